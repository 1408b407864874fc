/*
 * Copy: repeat a sequence of symbols after a delay (Hochreiter and Schmidhuber 1997; as a test of memory, Arjovsky,
 * Shah and Bengio 2016).
 *
 * `length` symbols, one of `symbols` each, drawn independently, are shown one after the other for item ms: input s is 1
 * for symbol s. After `delay` ms the last input, the cue to answer, is 1 for length * item ms, during which the class
 * is the symbol that was shown length * item + delay ms before. Cross-entropy over the answer (Arjovsky et al. count
 * the blanks before it too). Chance is 1 / symbols.
 */
#include "core/tasks/tasks.h"

struct copy {
    int symbols, length;
    int item, delay; /* ms */
};
OWN_STRUCT(struct copy);

static int answer_start(const struct copy *copy) {
    return copy->length * copy->item + copy->delay;
}

static bool copy_shape(const struct task_config *config, struct task_shape *shape, char error[256]) {
    (void)error;
    const struct copy *copy = own(config);
    int start = answer_start(copy);
    *shape = (struct task_shape){.steps = start + copy->length * copy->item,
                                 .inputs = copy->symbols + 1,
                                 .outputs = copy->symbols,
                                 .loss = LOSS_CROSS_ENTROPY,
                                 .has_accuracy = true,
                                 .mask_from = start,
                                 .mask_uniform = true,
                                 .trial_work = 1,
                                 .input_work = 2,
                                 .target_work = WORK_UNIFORM};
    return true;
}

static void copy_trial(const struct task *task, struct trial_id id, struct trial *trial) {
    (void)task;
    *trial = (struct trial){.id = id, .label = -1};
}

/* The symbol at a place of the sequence, recomputed from the counter, so that a sequence may have any length. */
static int symbol_at(const struct task *task, const struct trial *trial, int place) {
    const struct copy *copy = own(task->config);
    struct random_stream stream = task_stream(task, RANDOM_TRAINING_LABEL, RANDOM_EVALUATION_LABEL, trial->id);
    return (int)random_below(&stream, (uint64_t)place, (uint64_t)copy->symbols);
}

static void copy_inputs(const struct task *task, const struct trial *trial, int from, int to, float *x, size_t stride) {
    const struct copy *copy = own(task->config);
    const struct task_block block = {.from = from, .to = to, .x = x, .stride = stride};
    int first = from / copy->item, most = copy->length;
    task_block_clear(block, task->shape.inputs);
    for (int k = first; k < most && k * copy->item < to; k++) {
        task_period_add(block, (struct task_period){k * copy->item, (k + 1) * copy->item, symbol_at(task, trial, k), 1},
                        1);
    }
    task_period_add(block, (struct task_period){answer_start(copy), task->shape.steps, copy->symbols, 1}, 1);
}

static float copy_target(const struct task *task, const struct trial *trial, int t, int *class_index, float *values) {
    (void)values;
    const struct copy *copy = own(task->config);
    *class_index = symbol_at(task, trial, (t - answer_start(copy)) / copy->item);
    return 1.0f;
}

static const struct field parameters[] = {
    PLAIN_FIELD(FIELD_INT, struct copy, symbols, 2, 256, "8", "different symbols"),
    PLAIN_FIELD(FIELD_INT, struct copy, length, 1, 1000, "3", "symbols of a sequence"),
    MS_FIELD(struct copy, item, 1, 1000, "20", "how long a symbol is shown, and asked for"),
    MS_FIELD(struct copy, delay, 0, 1000000, "50", "time between the last symbol and the answer"),
};

static const struct task_default defaults[] = {
    UNPUBLISHED_DEFAULTS,
    {"network", "tau", "40"},
    {"optimizer", "learning_rate", "0.001"},
    {"training", "iterations", "1000"},
};

const struct task_ops task_copy = {
    .name = "copy",
    .doc = "repeat a sequence of symbols after a delay",
    .parameters = FIELDS(parameters),
    .defaults = defaults,
    .default_count = sizeof defaults / sizeof *defaults,
    .shape = copy_shape,
    .trial = copy_trial,
    .inputs = copy_inputs,
    .target = copy_target,
};
