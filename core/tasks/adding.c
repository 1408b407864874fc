/*
 * Adding: the sum of the two numbers that carry a mark (Hochreiter and Schmidhuber 1997; with numbers from 0 to 1, Le,
 * Jaitly and Hinton 2015).
 *
 * `length` numbers uniform in [0, 1), each on input 0 for item ms; input 1 is 1 during one number of the first half and
 * one of the second, else 0. At the last step the target is their sum: squared error, no accuracy. Who always says 1
 * has a mean square error of 1/6.
 */
#include "core/tasks/tasks.h"

struct adding {
    int length; /* numbers */
    int item;   /* ms of one */
};
OWN_STRUCT(struct adding);

static bool adding_shape(const struct task_config *config, struct task_shape *shape, char error[256]) {
    (void)error;
    const struct adding *adding = own(config);
    int steps = adding->length * adding->item;
    *shape = (struct task_shape){.steps = steps,
                                 .inputs = 2,
                                 .outputs = 1,
                                 .loss = LOSS_MSE,
                                 .mask_from = steps - 1,
                                 .mask_uniform = true,
                                 .trial_work = 2 * WORK_UNIFORM,
                                 .input_work = WORK_UNIFORM,
                                 .target_work = 2 * WORK_UNIFORM};
    return true;
}

/* bits: the place of the first mark, and from 32 on that of the second. */
static void adding_trial(const struct task *task, struct trial_id id, struct trial *trial) {
    struct random_stream stream = task_stream(task, RANDOM_TRAINING_LABEL, RANDOM_EVALUATION_LABEL, id);
    const struct adding *adding = own(task->config);
    uint64_t half = (uint64_t)adding->length / 2, rest = (uint64_t)adding->length - half;
    uint64_t second = half + random_below(&stream, 1, rest);
    *trial = (struct trial){.id = id, .bits = random_below(&stream, 0, half) | second << 32, .label = -1};
}

static float number_at(const struct task *task, const struct trial *trial, uint64_t place) {
    struct random_stream stream = task_stream(task, RANDOM_TRAINING_NOISE, RANDOM_EVALUATION_NOISE, trial->id);
    return (float)random_uniform(&stream, place);
}

static void adding_inputs(const struct task *task, const struct trial *trial, int from, int to, float *x,
                          size_t stride) {
    const struct adding *adding = own(task->config);
    for (int t = from; t < to; t++) {
        uint64_t place = (uint64_t)(t / adding->item);
        float *row = x + (size_t)(t - from) * stride;
        row[0] = number_at(task, trial, place);
        row[1] = place == (trial->bits & UINT32_MAX) || place == trial->bits >> 32 ? 1.0f : 0.0f;
    }
}

static float adding_target(const struct task *task, const struct trial *trial, int t, int *class_index, float *values) {
    (void)class_index;
    values[0] = number_at(task, trial, trial->bits & UINT32_MAX) + number_at(task, trial, trial->bits >> 32);
    return t == task->shape.steps - 1 ? 1.0f : 0.0f;
}

static const struct field parameters[] = {
    PLAIN_FIELD(FIELD_INT, struct adding, length, 2, 100000, "20", "numbers of a sequence"),
    MS_FIELD(struct adding, item, 1, 1000, "5", "how long a number is shown"),
};

static const struct task_default defaults[] = {
    UNPUBLISHED_DEFAULTS,
    {"network", "tau", "100"},
    {"optimizer", "learning_rate", "0.001"},
    {"training", "iterations", "1000"},
};

const struct task_ops task_adding = {
    .name = "adding",
    .doc = "add the two numbers of a sequence that carry a mark",
    .parameters = FIELDS(parameters),
    .defaults = defaults,
    .default_count = sizeof defaults / sizeof *defaults,
    .without_accuracy = true,
    .shape = adding_shape,
    .trial = adding_trial,
    .inputs = adding_inputs,
    .target = adding_target,
};
