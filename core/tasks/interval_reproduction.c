/*
 * Interval reproduction: measure the time between two pulses, ready and set, and let as much pass before going
 * (Jazayeri and Shadlen 2010; neurogym's ReadySetGo).
 *
 * Input 0 has a pulse of 1 at `fixation` ms (ready), input 1 at the end of the interval (set), each `pulse` ms long.
 * The interval is uniform among the whole ms from shortest to longest. From set on the target is a ramp, u / (gain
 * interval) at u ms after it, and 1 once the interval, times gain, is over: so the answer is when the output reaches 1.
 * Squared error from set to the end of the trial; no accuracy. The ramp is ours: neurogym asks for one action at the
 * moment to go.
 */
#include <stdio.h>

#include "core/tasks/tasks.h"

struct interval {
    int fixation, pulse, shortest, longest; /* ms */
    double gain;
};
OWN_STRUCT(struct interval);

static bool interval_shape(const struct task_config *config, struct task_shape *shape, char error[256]) {
    (void)error;
    const struct interval *interval = own(config);
    int answer = (int)(interval->gain * interval->longest) + interval->pulse;
    *shape = (struct task_shape){.steps = interval->fixation + interval->longest + answer,
                                 .inputs = 2,
                                 .outputs = 1,
                                 .loss = LOSS_MSE,
                                 .mask_from = interval->fixation + interval->shortest,
                                 .trial_work = WORK_UNIFORM,
                                 .input_work = 2,
                                 .target_work = 4};
    return true;
}

static bool interval_check(const struct task_config *config, const char **parameter, char error[256]) {
    const struct interval *given = own(config);
    if (given->shortest > given->longest) {
        *parameter = "shortest";
        snprintf(error, 256, "must be at most longest (%d); got %d", given->longest, given->shortest);
        return false;
    }
    return true;
}

/* bits: the interval. */
static void interval_trial(const struct task *task, struct trial_id id, struct trial *trial) {
    struct random_stream stream = task_stream(task, RANDOM_TRAINING_LABEL, RANDOM_EVALUATION_LABEL, id);
    const struct interval *interval = own(task->config);
    uint64_t shortest = (uint64_t)interval->shortest, longest = (uint64_t)interval->longest;
    *trial = (struct trial){.id = id, .bits = shortest + random_below(&stream, 0, longest - shortest + 1), .label = -1};
}

static void interval_inputs(const struct task *task, const struct trial *trial, int from, int to, float *x,
                            size_t stride) {
    const struct interval *interval = own(task->config);
    const struct task_block block = {.from = from, .to = to, .x = x, .stride = stride};
    int ready = interval->fixation, set = ready + (int)trial->bits;
    task_block_clear(block, task->shape.inputs);
    task_period_add(block, (struct task_period){ready, ready + interval->pulse, 0, 1}, 1);
    task_period_add(block, (struct task_period){set, set + interval->pulse, 1, 1}, 1);
}

static float interval_target(const struct task *task, const struct trial *trial, int t, int *class_index,
                             float *values) {
    (void)class_index;
    const struct interval *interval = own(task->config);
    int since = t - interval->fixation - (int)trial->bits;
    double part = since / (interval->gain * (double)trial->bits);
    values[0] = since < 0 ? 0.0f : part < 1 ? (float)part : 1.0f;
    return since < 0 ? 0.0f : 1.0f;
}

static const struct field parameters[] = {
    MS_FIELD(struct interval, fixation, 0, 1000000, "50", "time before ready"),
    MS_FIELD(struct interval, pulse, 1, 100000, "10", "duration of ready and of set"),
    MS_FIELD(struct interval, shortest, 1, 1000000, "100", "shortest interval; at most longest"),
    MS_FIELD(struct interval, longest, 1, 1000000, "200", "longest interval"),
    PLAIN_FIELD(FIELD_NUMBER, struct interval, gain, 0.01, 10, "1",
                "interval to reproduce, as a multiple of the one measured"),
};

static const struct task_default defaults[] = {
    UNPUBLISHED_DEFAULTS,
    {"network", "tau", "40"},
    {"optimizer", "learning_rate", "0.001"},
    {"training", "iterations", "1000"},
};

const struct task_ops task_interval_reproduction = {
    .name = "interval_reproduction",
    .doc = "measure the time between two pulses and let as much pass again",
    .parameters = FIELDS(parameters),
    .defaults = defaults,
    .default_count = sizeof defaults / sizeof *defaults,
    .without_accuracy = true,
    .check = interval_check,
    .shape = interval_shape,
    .trial = interval_trial,
    .inputs = interval_inputs,
    .target = interval_target,
};
