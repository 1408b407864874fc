/*
 * Perceptual decision: which of two noisy stimuli is stronger (Britten, Shadlen, Newsome and Movshon 1992; after
 * neurogym's PerceptualDecisionMaking). Liu et al. 2023, "How connectivity structure shapes rich and lazy learning in
 * neural circuits", arXiv:2310.08513, train networks on a task of this kind.
 *
 * Periods: fixation, stimulus, delay, decision. Input 0 is 1 until the decision begins, the cue to answer. During the
 * stimulus inputs 1 and 2 are (1 + c) / 2 and (1 - c) / 2 and normal(0, noise), with c the coherence, positive for
 * class 0 and negative for class 1, of magnitude coherence_scale times one of 0, 0.064, 0.128, 0.256, 0.512.
 * Cross-entropy over the decision.
 *
 * Where neurogym differs: its stimulus lasts 2000 ms at steps of 100 ms, its noise is 1 / sqrt(dt in ms), which is 1 a
 * step here, its newest version shows input 0 during fixation alone, and it has a third output for fixation; here
 * nothing counts before the decision. A fifth of the trials have coherence 0, so no network is right in more than 90 %
 * of them.
 */
#include "core/tasks/tasks.h"

struct perceptual {
    int fixation, stimulus, delay, decision; /* ms */
    double coherence_scale;
    double noise; /* standard deviation */
};
OWN_STRUCT(struct perceptual);

enum { COHERENCES = 5 };
static const double coherences[COHERENCES] = {0, 0.064, 0.128, 0.256, 0.512};

static int decision_start(const struct perceptual *perceptual) {
    return perceptual->fixation + perceptual->stimulus + perceptual->delay;
}

static bool perceptual_shape(const struct task_config *config, struct task_shape *shape, char error[256]) {
    (void)error;
    const struct perceptual *perceptual = own(config);
    int start = decision_start(perceptual);
    *shape = task_choice_shape(3, start, perceptual->decision, WORK_UNIFORM * 2);
    return true;
}

/* bits: the index of the coherence. */
static void perceptual_trial(const struct task *task, struct trial_id id, struct trial *trial) {
    struct random_stream stream = task_stream(task, RANDOM_TRAINING_LABEL, RANDOM_EVALUATION_LABEL, id);
    *trial = (struct trial){
        .id = id, .label = (int)(random_bits(&stream, 0) & 1), .bits = random_below(&stream, 1, COHERENCES)};
}

static void perceptual_inputs(const struct task *task, const struct trial *trial, int from, int to, float *x,
                              size_t stride) {
    const struct perceptual *perceptual = own(task->config);
    const struct task_block block = {.from = from, .to = to, .x = x, .stride = stride};
    int shown = perceptual->fixation, hidden = shown + perceptual->stimulus;
    double coherence = perceptual->coherence_scale * coherences[trial->bits] * (trial->label == 0 ? 1 : -1);
    task_block_clear(block, task->shape.inputs);
    task_period_add(block, (struct task_period){0, decision_start(perceptual), 0, 1}, 1);
    task_period_add(block, (struct task_period){shown, hidden, 1, 1}, (float)((1 + coherence) / 2));
    task_period_add(block, (struct task_period){shown, hidden, 2, 1}, (float)((1 - coherence) / 2));
    task_noise_add(task, trial, perceptual->noise, block, (struct task_period){shown, hidden, 1, 2});
}

static const struct field parameters[] = {
    MS_FIELD(struct perceptual, fixation, 0, 1000000, "50", "time before the stimulus"),
    MS_FIELD(struct perceptual, stimulus, 1, 1000000, "500", "duration of the stimulus"),
    MS_FIELD(struct perceptual, delay, 0, 1000000, "0", "time between stimulus and decision"),
    MS_FIELD(struct perceptual, decision, 1, 1000000, "100", "duration of the decision, over which the loss counts"),
    PLAIN_FIELD(FIELD_NUMBER, struct perceptual, coherence_scale, 0, 100, "1",
                "factor of the coherences 0, 0.064, 0.128, 0.256 and 0.512"),
    PLAIN_FIELD(FIELD_NUMBER, struct perceptual, noise, 0, 1000, "1",
                "standard deviation of the noise on both stimuli at every step"),
};

static const struct task_default defaults[] = {
    UNPUBLISHED_DEFAULTS,
    {"network", "tau", "100"},
    {"optimizer", "learning_rate", "0.001"},
    {"training", "iterations", "1000"},
};

const struct task_ops task_perceptual_decision = {
    .name = "perceptual_decision",
    .doc = "say which of two noisy stimuli is stronger",
    .parameters = FIELDS(parameters),
    .defaults = defaults,
    .default_count = sizeof defaults / sizeof *defaults,
    .shape = perceptual_shape,
    .trial = perceptual_trial,
    .inputs = perceptual_inputs,
    .target = task_label_target,
};
