/*
 * Delayed exclusive or: two cues, one at each end of a delay; the class is 1 if both or none carried a pulse (Liu et
 * al. 2022).
 *
 * Two inputs at 0.02. On input 0 in the first cue window, and on input 1 in the last, if that trial's bit is 1, a pulse
 * amplitude * exp(-s^2 / (2 (n/4)^2)) is added, s running from -n/2 to n/2 in n equal points for a cue of n steps;
 * normal(0, noise) on every value. T = cue + delay + cue; the loss counts the last step.
 */
#include "core/base/elementary.h"
#include "core/tasks/tasks.h"

struct delayed_xor {
    int delay;        /* ms */
    int cue;          /* ms */
    double amplitude; /* height of a cue pulse */
    double noise;     /* standard deviation of the noise on every input value */
};
OWN_STRUCT(struct delayed_xor);

#define BASELINE 0.02f

static bool delayed_xor_shape(const struct task_config *config, struct task_shape *shape, char error[256]) {
    (void)error;
    const struct delayed_xor *xor = own(config);
    *shape = task_choice_shape(2, 2 * xor->cue + xor->delay - 1, 1, WORK_UNIFORM);
    return true;
}

static size_t delayed_xor_state_size(const struct task_config *config) {
    const struct delayed_xor *xor = own(config);
    return (size_t)xor->cue * sizeof(float);
}

static void delayed_xor_init(struct task *task, struct work *work) {
    (void)work;
    const struct delayed_xor *xor = own(task->config);
    int cue = xor->cue;
    float *pulse = task->state;
    double width = cue / 4.0;
    for (int i = 0; i < cue; i++) {
        double s = cue > 1 ? -cue / 2.0 + cue * (double)i / (cue - 1) : 0;
        pulse[i] = (float)(xor->amplitude * elementary_exp(-s * s / (2 * width * width)));
    }
}

static void delayed_xor_trial(const struct task *task, struct trial_id id, struct trial *trial) {
    struct random_stream stream = task_stream(task, RANDOM_TRAINING_LABEL, RANDOM_EVALUATION_LABEL, id);
    uint64_t bits = random_bits(&stream, 0) & 3;
    *trial = (struct trial){.id = id, .bits = bits, .label = bits == 0 || bits == 3};
}

static void pulse_add(const struct task *task, int start, int channel, int from, int to, float *x, size_t stride) {
    const struct delayed_xor *xor = own(task->config);
    const float *pulse = task->state;
    int first = from > start ? from : start, end = start + xor->cue, last = to < end ? to : end;
    for (int t = first; t < last; t++) {
        x[(size_t)(t - from) * stride + (size_t)channel] += pulse[t - start];
    }
}

static void delayed_xor_inputs(const struct task *task, const struct trial *trial, int from, int to, float *x,
                               size_t stride) {
    enum { STEPS = 16 };
    const struct delayed_xor *xor = own(task->config);
    struct random_stream stream = task_stream(task, RANDOM_TRAINING_NOISE, RANDOM_EVALUATION_NOISE, trial->id);
    float noise = (float)xor->noise, values[2 * STEPS];
    for (int t = from; t < to; t += STEPS) {
        int count = to - t < STEPS ? to - t : STEPS;
        random_normal_fill(&stream, 2 * (uint64_t)t, 2 * (size_t)count, values);
        for (int i = 0; i < count; i++) {
            float *row = x + (size_t)(t - from + i) * stride;
            row[0] = BASELINE + noise * values[2 * i];
            row[1] = BASELINE + noise * values[2 * i + 1];
        }
    }
    if (trial->bits & 1) {
        pulse_add(task, 0, 0, from, to, x, stride);
    }
    if (trial->bits & 2) {
        pulse_add(task, xor->cue + xor->delay, 1, from, to, x, stride);
    }
}

static const struct field parameters[] = {
    {.name = "delay",
     .type = FIELD_INT,
     .offset = OWN(struct delayed_xor, delay),
     .unit = "ms",
     .low = 0,
     .high = 1000000,
     .fallback = "700",
     .identity = "700",
     .doc = "time between the cues"},
    {.name = "cue",
     .type = FIELD_INT,
     .offset = OWN(struct delayed_xor, cue),
     .unit = "ms",
     .low = 2,
     .high = 100000,
     .fallback = "100",
     .identity = "100",
     .doc = "duration of each of the two cue windows"},
    {.name = "amplitude",
     .type = FIELD_NUMBER,
     .offset = OWN(struct delayed_xor, amplitude),
     .low = 0,
     .high = 1000,
     .fallback = "2.0",
     .identity = "2.0",
     .doc = "height of a cue's pulse"},
    {.name = "noise",
     .type = FIELD_NUMBER,
     .offset = OWN(struct delayed_xor, noise),
     .low = 0,
     .high = 1000,
     .fallback = "0.01",
     .identity = "0.01",
     .doc = "standard deviation of the noise on every input value"},
};

const struct task_ops task_delayed_xor = {
    .name = "delayed_xor",
    .doc = "two cues apart in time; the class says whether they are equal (the published experiment)",
    .parameters = FIELDS(parameters),
    .shape = delayed_xor_shape,
    .state_size = delayed_xor_state_size,
    .init = delayed_xor_init,
    .trial = delayed_xor_trial,
    .inputs = delayed_xor_inputs,
    .target = task_label_target,
};
