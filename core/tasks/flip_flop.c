/*
 * Flip-flop: hold the sign of each channel's last pulse (Sussillo and Barak 2013: three bits).
 *
 * `channels` inputs and outputs. Time is cut into slots of slot ms; in a slot each channel has with pulse_probability a
 * pulse of +1 or -1 (equally likely) over the slot's first pulse ms, and in the first slot in any case. The target of a
 * channel is the sign of its last pulse, from that pulse's start on. Squared error at every step after the first
 * pulses; no accuracy.
 */
#include <stdio.h>

#include "core/tasks/tasks.h"

struct flip_flop {
    int channels;
    int duration, slot, pulse; /* ms */
    double pulse_probability;  /* of a slot and channel */
};
OWN_STRUCT(struct flip_flop);

static bool flip_flop_shape(const struct task_config *config, struct task_shape *shape, char error[256]) {
    (void)error;
    const struct flip_flop *flip = own(config);
    *shape = (struct task_shape){.steps = flip->slot + flip->duration,
                                 .inputs = flip->channels,
                                 .outputs = flip->channels,
                                 .loss = LOSS_MSE,
                                 .mask_from = flip->pulse,
                                 .mask_uniform = true,
                                 .trial_work = 1,
                                 .input_work = WORK_UNIFORM,
                                 .target_work = flip->channels * WORK_UNIFORM / flip->pulse_probability};
    return true;
}

static bool flip_flop_check(const struct task_config *config, const char **parameter, char error[256]) {
    const struct flip_flop *given = own(config);
    if (given->pulse > given->slot) {
        *parameter = "pulse";
        snprintf(error, 256, "must be at most slot (%d); got %d", given->slot, given->pulse);
        return false;
    }
    return true;
}

static void flip_flop_trial(const struct task *task, struct trial_id id, struct trial *trial) {
    (void)task;
    *trial = (struct trial){.id = id, .label = -1};
}

/* The pulse of a channel in a slot: 1, -1, or 0 for none. */
static float pulse_of(const struct flip_flop *flip, const struct random_stream *stream, int slot, int channel) {
    uint32_t bits = random_bits(stream, (uint64_t)slot * (uint64_t)flip->channels + (uint64_t)channel);
    bool pulse = slot == 0 || (bits >> 1) * 0x1p-31 < flip->pulse_probability;
    return !pulse ? 0.0f : bits & 1 ? 1.0f : -1.0f;
}

static void flip_flop_inputs(const struct task *task, const struct trial *trial, int from, int to, float *x,
                             size_t stride) {
    const struct flip_flop *flip = own(task->config);
    struct random_stream stream = task_stream(task, RANDOM_TRAINING_LABEL, RANDOM_EVALUATION_LABEL, trial->id);
    for (int t = from; t < to; t++) {
        for (int i = 0; i < flip->channels; i++) {
            float *at = x + (size_t)(t - from) * stride + (size_t)i;
            *at = t % flip->slot < flip->pulse ? pulse_of(flip, &stream, t / flip->slot, i) : 0.0f;
        }
    }
}

static float flip_flop_target(const struct task *task, const struct trial *trial, int t, int *class_index,
                              float *values) {
    (void)class_index;
    const struct flip_flop *flip = own(task->config);
    struct random_stream stream = task_stream(task, RANDOM_TRAINING_LABEL, RANDOM_EVALUATION_LABEL, trial->id);
    for (int i = 0; i < flip->channels; i++) {
        int slot = t / flip->slot;
        do {
            values[i] = pulse_of(flip, &stream, slot--, i);
        } while (values[i] == 0);
    }
    return 1.0f;
}

static const struct field parameters[] = {
    PLAIN_FIELD(FIELD_INT, struct flip_flop, channels, 1, 256, "3", "bits to hold"),
    MS_FIELD(struct flip_flop, duration, 1, 10000000, "480", "length of a trial after its first slot"),
    MS_FIELD(struct flip_flop, slot, 1, 100000, "20", "from the start of one possible pulse to the next"),
    MS_FIELD(struct flip_flop, pulse, 1, 100000, "5", "duration of a pulse; at most slot"),
    PLAIN_FIELD(FIELD_NUMBER, struct flip_flop, pulse_probability, 0.01, 1, "0.2",
                "probability that a slot has a pulse, for each channel"),
};

static const struct task_default defaults[] = {
    UNPUBLISHED_DEFAULTS,
    {"network", "tau", "30"},
    {"optimizer", "learning_rate", "0.001"},
    {"training", "iterations", "1000"},
};

const struct task_ops task_flip_flop = {
    .name = "flip_flop",
    .doc = "hold the sign of each channel's last pulse",
    .parameters = FIELDS(parameters),
    .defaults = defaults,
    .default_count = sizeof defaults / sizeof *defaults,
    .without_accuracy = true,
    .check = flip_flop_check,
    .shape = flip_flop_shape,
    .trial = flip_flop_trial,
    .inputs = flip_flop_inputs,
    .target = flip_flop_target,
};
