/*
 * Go or no-go: answer after one stimulus, hold still after the other (as neurogym's GoNogo, after Zhang et al. 2019,
 * "Active information maintenance in working memory by a sensory cortex", eLife 8:e43191).
 *
 * Periods: fixation, stimulus, delay, decision. Input 0 is 1 until the decision begins. During the stimulus input 1
 * (no-go, class 0) or input 2 (go, class 1) is 1, each in half of the trials; normal(0, noise) on both. Cross-entropy
 * over the decision.
 *
 * Where neurogym differs: 0, 500, 500 and 500 ms at steps of 100 ms; holding still counts there before the decision
 * too.
 */
#include "core/tasks/tasks.h"

struct go_nogo {
    int fixation, stimulus, delay, decision; /* ms */
    double noise;                            /* standard deviation */
};
OWN_STRUCT(struct go_nogo);

static int decision_start(const struct go_nogo *go) {
    return go->fixation + go->stimulus + go->delay;
}

static bool go_nogo_shape(const struct task_config *config, struct task_shape *shape, char error[256]) {
    (void)error;
    const struct go_nogo *go = own(config);
    int start = decision_start(go);
    *shape = task_choice_shape(3, start, go->decision, WORK_UNIFORM);
    return true;
}

static void go_nogo_trial(const struct task *task, struct trial_id id, struct trial *trial) {
    struct random_stream stream = task_stream(task, RANDOM_TRAINING_LABEL, RANDOM_EVALUATION_LABEL, id);
    *trial = (struct trial){.id = id, .label = (int)(random_bits(&stream, 0) & 1)};
}

static void go_nogo_inputs(const struct task *task, const struct trial *trial, int from, int to, float *x,
                           size_t stride) {
    const struct go_nogo *go = own(task->config);
    const struct task_block block = {.from = from, .to = to, .x = x, .stride = stride};
    int shown = go->fixation, hidden = shown + go->stimulus;
    task_block_clear(block, task->shape.inputs);
    task_period_add(block, (struct task_period){0, decision_start(go), 0, 1}, 1);
    task_period_add(block, (struct task_period){shown, hidden, 1 + trial->label, 1}, 1);
    task_noise_add(task, trial, go->noise, block, (struct task_period){shown, hidden, 1, 2});
}

static const struct field parameters[] = {
    MS_FIELD(struct go_nogo, fixation, 0, 1000000, "0", "time before the stimulus"),
    MS_FIELD(struct go_nogo, stimulus, 1, 1000000, "100", "duration of the stimulus"),
    MS_FIELD(struct go_nogo, delay, 0, 1000000, "100", "time between stimulus and decision"),
    MS_FIELD(struct go_nogo, decision, 1, 1000000, "100", "duration of the decision, over which the loss counts"),
    PLAIN_FIELD(FIELD_NUMBER, struct go_nogo, noise, 0, 1000, "0", "standard deviation of the noise on both stimuli"),
};

static const struct task_default defaults[] = {
    UNPUBLISHED_DEFAULTS,
    {"network", "tau", "40"},
    {"optimizer", "learning_rate", "0.001"},
    {"training", "iterations", "1000"},
};

const struct task_ops task_go_nogo = {
    .name = "go_nogo",
    .doc = "answer after one stimulus, hold still after the other",
    .parameters = FIELDS(parameters),
    .defaults = defaults,
    .default_count = sizeof defaults / sizeof *defaults,
    .shape = go_nogo_shape,
    .trial = go_nogo_trial,
    .inputs = go_nogo_inputs,
    .target = task_label_target,
};
