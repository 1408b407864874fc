/*
 * Pattern generation: frozen inputs, the same for every trial, drive O targets, each a sum of sines of periods 1000,
 * 500, 333 and 200 ms with amplitudes U(0.5, 2) and random phases, scaled to a largest absolute value of 1. Squared
 * error at every step; there is no accuracy.
 *
 * Inputs are normal(0,1) from the counter, a step's own, so nothing has size T. The scale needs one pass over the steps
 * of one common period (333 s: beyond it targets repeat), made once.
 */
#include <string.h>

#include "core/base/elementary.h"
#include "core/tasks/tasks.h"

struct pattern {
    int inputs;
    int outputs;
    int duration; /* ms */
};
OWN_STRUCT(struct pattern);

enum { SINES = 4, TARGET_WORK = 40 * SINES };

static const double period[SINES] = {1000, 500, 333, 200};

enum { COMMON_PERIOD = 333000 }; /* steps after which all sines repeat */

struct target {
    double amplitude[SINES], phase[SINES]; /* phase in turns */
    double scale;
};

static bool pattern_shape(const struct task_config *config, struct task_shape *shape, char error[256]) {
    (void)error;
    const struct pattern *pattern = own(config);
    *shape = (struct task_shape){.steps = pattern->duration,
                                 .inputs = pattern->inputs,
                                 .outputs = pattern->outputs,
                                 .loss = LOSS_MSE,
                                 .mask_from = 0,
                                 .mask_uniform = true,
                                 .trial_work = 1,
                                 .input_work = WORK_UNIFORM,
                                 .target_work = (double)TARGET_WORK * pattern->outputs};
    return true;
}

static size_t pattern_state_size(const struct task_config *config) {
    const struct pattern *pattern = own(config);
    return (size_t)pattern->outputs * sizeof(struct target);
}

static double target_value(const struct target *target, int t) {
    double sum = 0, sine, cosine;
    for (int i = 0; i < SINES; i++) {
        elementary_sincos_turns(t / period[i] + target->phase[i], &sine, &cosine);
        sum += target->amplitude[i] * sine;
    }
    return sum * target->scale;
}

static void pattern_init(struct task *task, struct work *work) {
    struct target *targets = task->state;
    int steps = task->shape.steps < COMMON_PERIOD ? task->shape.steps : COMMON_PERIOD;
    for (int o = 0; o < task->shape.outputs; o++) {
        struct random_stream stream = random_stream_make(task->seed, RANDOM_TASK, 1, (size_t)o);
        for (int i = 0; i < SINES; i++) {
            targets[o].amplitude[i] = 0.5 + 1.5 * random_uniform(&stream, 2 * (uint64_t)i);
            targets[o].phase[i] = random_uniform(&stream, 2 * (uint64_t)i + 1);
        }
        targets[o].scale = 1;
        double largest = 0;
        for (int t = 0; t < steps && !work_add(work, TARGET_WORK); t++) {
            largest = fmax(largest, fabs(target_value(&targets[o], t)));
        }
        targets[o].scale = largest > 0 ? 1 / largest : 1;
    }
}

static double pattern_init_work(const struct task_config *config) {
    const struct pattern *pattern = own(config);
    int steps = pattern->duration < COMMON_PERIOD ? pattern->duration : COMMON_PERIOD;
    return (double)TARGET_WORK * pattern->outputs * steps;
}

static void pattern_trial(const struct task *task, struct trial_id id, struct trial *trial) {
    (void)task;
    *trial = (struct trial){.id = id, .label = -1};
}

static void pattern_inputs(const struct task *task, const struct trial *trial, int from, int to, float *x,
                           size_t stride) {
    enum { VALUES = 512 }; /* made together: single steps would leave most of random_normal_fill's vectors unused */
    (void)trial;
    size_t inputs = (size_t)task->shape.inputs;
    struct random_stream stream = random_stream_make(task->seed, RANDOM_TASK, 0, 0);
    float values[VALUES];
    int together = inputs < VALUES ? (int)(VALUES / inputs) : 1;
    for (int t = from; t < to; t += together) {
        int count = to - t < together ? to - t : together;
        float *first = inputs > VALUES ? x + (size_t)(t - from) * stride : values;
        random_normal_fill(&stream, (uint64_t)t * inputs, (size_t)count * inputs, first);
        for (int i = 0; i < count && first == values; i++) {
            memcpy(x + (size_t)(t - from + i) * stride, values + (size_t)i * inputs, inputs * sizeof *x);
        }
    }
}

static float pattern_target(const struct task *task, const struct trial *trial, int t, int *class_index,
                            float *values) {
    (void)trial;
    (void)class_index;
    const struct target *targets = task->state;
    for (int o = 0; o < task->shape.outputs; o++) {
        values[o] = (float)target_value(&targets[o], t);
    }
    return 1.0f;
}

static const struct field parameters[] = {
    {.name = "inputs",
     .type = FIELD_INT,
     .offset = OWN(struct pattern, inputs),
     .low = 1,
     .high = 4096,
     .fallback = "20",
     .identity = "20",
     .doc = "frozen noise inputs"},
    {.name = "outputs",
     .type = FIELD_INT,
     .offset = OWN(struct pattern, outputs),
     .low = 1,
     .high = 1024,
     .fallback = "1",
     .identity = "1",
     .doc = "target patterns"},
    {.name = "duration",
     .type = FIELD_INT,
     .offset = OWN(struct pattern, duration),
     .unit = "ms",
     .low = 1,
     .high = 10000000,
     .fallback = "1000",
     .identity = "1000",
     .doc = "length of the pattern"},
};

static const struct task_default defaults[] = {
    UNPUBLISHED_DEFAULTS,
    {"network", "tau", "30"},
    {"optimizer", "learning_rate", "0.001"},
    {"optimizer", "decay", "{\"factor\": 0.5, \"every\": 1000}"},
    {"training", "batch_size", "1"},
};

const struct task_ops task_pattern = {
    .name = "pattern",
    .doc = "produce sums of sines from frozen noise",
    .parameters = FIELDS(parameters),
    .defaults = defaults,
    .default_count = sizeof defaults / sizeof *defaults,
    .without_accuracy = true,
    .shape = pattern_shape,
    .state_size = pattern_state_size,
    .init = pattern_init,
    .init_work = pattern_init_work,
    .trial = pattern_trial,
    .inputs = pattern_inputs,
    .target = pattern_target,
};
