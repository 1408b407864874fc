/*
 * Delayed match to sample: whether a test equals the sample shown before a delay (Miller, Erickson and Desimone 1996;
 * after neurogym's DelayMatchSample with two stimuli). Liu et al. 2023, "How connectivity structure shapes rich and
 * lazy learning in neural circuits", arXiv:2310.08513, train networks on a task of this kind.
 *
 * Periods: fixation, sample, delay, test, decision. Input 0 is 1 until the decision begins. During sample and test
 * inputs 1 and 2 are 1 and 0, or 0 and 1, by the stimulus shown, and normal(0, noise). Class 0: they match; class 1:
 * they do not; each half of the trials. Cross-entropy over the decision.
 *
 * Where neurogym differs: 300, 500, 1000, 500 and 900 ms at steps of 100 ms, noise 1 / sqrt(dt in ms), which is 1 a
 * step here, and a third output for fixation; here nothing counts before the decision.
 */
#include "core/tasks/tasks.h"

struct matching {
    int fixation, sample, delay, test, decision; /* ms */
    double noise;                                /* standard deviation */
};
OWN_STRUCT(struct matching);

static int decision_start(const struct matching *matching) {
    return matching->fixation + matching->sample + matching->delay + matching->test;
}

static bool matching_shape(const struct task_config *config, struct task_shape *shape, char error[256]) {
    (void)error;
    const struct matching *matching = own(config);
    int start = decision_start(matching);
    *shape = task_choice_shape(3, start, matching->decision, WORK_UNIFORM * 2);
    return true;
}

/* bits: the sample. */
static void matching_trial(const struct task *task, struct trial_id id, struct trial *trial) {
    struct random_stream stream = task_stream(task, RANDOM_TRAINING_LABEL, RANDOM_EVALUATION_LABEL, id);
    uint32_t bits = random_bits(&stream, 0);
    *trial = (struct trial){.id = id, .label = (int)(bits & 1), .bits = bits >> 1 & 1};
}

static void matching_inputs(const struct task *task, const struct trial *trial, int from, int to, float *x,
                            size_t stride) {
    const struct matching *matching = own(task->config);
    const struct task_block block = {.from = from, .to = to, .x = x, .stride = stride};
    int sample = matching->fixation, sampled = sample + matching->sample, test = sampled + matching->delay,
        tested = test + matching->test, first = 1 + (int)trial->bits, second = 1 + ((int)trial->bits ^ trial->label);
    task_block_clear(block, task->shape.inputs);
    task_period_add(block, (struct task_period){0, tested, 0, 1}, 1);
    task_period_add(block, (struct task_period){sample, sampled, first, 1}, 1);
    task_period_add(block, (struct task_period){test, tested, second, 1}, 1);
    task_noise_add(task, trial, matching->noise, block, (struct task_period){sample, sampled, 1, 2});
    task_noise_add(task, trial, matching->noise, block, (struct task_period){test, tested, 1, 2});
}

static const struct field parameters[] = {
    MS_FIELD(struct matching, fixation, 0, 1000000, "50", "time before the sample"),
    MS_FIELD(struct matching, sample, 1, 1000000, "150", "duration of the sample"),
    MS_FIELD(struct matching, delay, 0, 1000000, "300", "time between sample and test"),
    MS_FIELD(struct matching, test, 1, 1000000, "150", "duration of the test"),
    MS_FIELD(struct matching, decision, 1, 1000000, "100", "duration of the decision, over which the loss counts"),
    PLAIN_FIELD(FIELD_NUMBER, struct matching, noise, 0, 1000, "1",
                "standard deviation of the noise on both stimulus inputs during sample and test"),
};

static const struct task_default defaults[] = {
    UNPUBLISHED_DEFAULTS,
    {"network", "tau", "100"},
    {"optimizer", "learning_rate", "0.001"},
    {"training", "iterations", "1000"},
};

const struct task_ops task_delayed_match_to_sample = {
    .name = "delayed_match_to_sample",
    .doc = "say whether a test equals the sample shown before a delay",
    .parameters = FIELDS(parameters),
    .defaults = defaults,
    .default_count = sizeof defaults / sizeof *defaults,
    .shape = matching_shape,
    .trial = matching_trial,
    .inputs = matching_inputs,
    .target = task_label_target,
};
