/*
 * Context-dependent decision: which of two stimuli is stronger, in the one of two modalities that the context names
 * (Mante, Sussillo, Shenoy and Newsome 2013; after neurogym's ContextDecisionMaking with an explicit context). Liu et
 * al. 2023, "How connectivity structure shapes rich and lazy learning in neural circuits", arXiv:2310.08513, train
 * networks on a task of this kind.
 *
 * Periods: fixation, stimulus, delay, decision. Input 0 is 1 until the decision begins. During the stimulus inputs 1
 * and 2 (first modality), 3 and 4 (second) are (1 + c) / 2 and (1 - c) / 2 and normal(0, noise); each modality has a
 * side and a coherence of its own, c being coherence_scale times one of 0.05, 0.15, 0.5, positive for class 0. Input 5
 * or 6 is 1 throughout: the context. The class is the side of the modality that it names. Cross-entropy over the
 * decision.
 *
 * Where neurogym differs: 300 ms, 750 ms, a delay drawn from 300 to 3000 ms, and 100 ms, at steps of 100 ms; noise
 * 1 / sqrt(dt in ms), which is 1 a step here; input 0 during fixation alone (its newest version); a third output for
 * fixation; here nothing counts before the decision.
 */
#include "core/tasks/tasks.h"

struct context {
    int fixation, stimulus, delay, decision; /* ms */
    double coherence_scale;
    double noise; /* standard deviation */
};
OWN_STRUCT(struct context);

enum { COHERENCES = 3, INPUTS = 7 };
static const double coherences[COHERENCES] = {0.05, 0.15, 0.5};

static int decision_start(const struct context *context) {
    return context->fixation + context->stimulus + context->delay;
}

static bool context_shape(const struct task_config *config, struct task_shape *shape, char error[256]) {
    (void)error;
    const struct context *context = own(config);
    int start = decision_start(context);
    *shape = task_choice_shape(INPUTS, start, context->decision, WORK_UNIFORM * 3);
    return true;
}

/* bits: 0 the context, 1 and 2 the modalities' sides, from 8 on the index of both coherences. */
static void context_trial(const struct task *task, struct trial_id id, struct trial *trial) {
    struct random_stream stream = task_stream(task, RANDOM_TRAINING_LABEL, RANDOM_EVALUATION_LABEL, id);
    uint64_t bits = (random_bits(&stream, 0) & 7) | random_below(&stream, 1, (uint64_t)COHERENCES * COHERENCES) << 8;
    *trial = (struct trial){.id = id, .label = (int)(bits >> (1 + (bits & 1)) & 1), .bits = bits};
}

static void context_inputs(const struct task *task, const struct trial *trial, int from, int to, float *x,
                           size_t stride) {
    const struct context *context = own(task->config);
    const struct task_block block = {.from = from, .to = to, .x = x, .stride = stride};
    int shown = context->fixation, hidden = shown + context->stimulus;
    uint64_t drawn = trial->bits >> 8;
    task_block_clear(block, INPUTS);
    task_period_add(block, (struct task_period){0, decision_start(context), 0, 1}, 1);
    task_period_add(block, (struct task_period){0, task->shape.steps, 5 + (int)(trial->bits & 1), 1}, 1);
    for (int modality = 0; modality < 2; modality++) {
        double coherence = context->coherence_scale *
                           coherences[modality == 0 ? drawn % COHERENCES : drawn / COHERENCES];
        double c = trial->bits >> (1 + modality) & 1 ? -coherence : coherence;
        task_period_add(block, (struct task_period){shown, hidden, 1 + 2 * modality, 1}, (float)((1 + c) / 2));
        task_period_add(block, (struct task_period){shown, hidden, 2 + 2 * modality, 1}, (float)((1 - c) / 2));
    }
    task_noise_add(task, trial, context->noise, block, (struct task_period){shown, hidden, 1, 4});
}

static const struct field parameters[] = {
    MS_FIELD(struct context, fixation, 0, 1000000, "50", "time before the stimulus"),
    MS_FIELD(struct context, stimulus, 1, 1000000, "500", "duration of the stimulus"),
    MS_FIELD(struct context, delay, 0, 1000000, "50", "time between stimulus and decision"),
    MS_FIELD(struct context, decision, 1, 1000000, "100", "duration of the decision, over which the loss counts"),
    PLAIN_FIELD(FIELD_NUMBER, struct context, coherence_scale, 0, 100, "1",
                "factor of the coherences 0.05, 0.15 and 0.5"),
    PLAIN_FIELD(FIELD_NUMBER, struct context, noise, 0, 1000, "1",
                "standard deviation of the noise on all four stimulus inputs at every step"),
};

static const struct task_default defaults[] = {
    UNPUBLISHED_DEFAULTS,
    {"network", "tau", "100"},
    {"optimizer", "learning_rate", "0.001"},
    {"training", "iterations", "1000"},
};

const struct task_ops task_context_decision = {
    .name = "context_decision",
    .doc = "say which stimulus is stronger, in the modality that a context names",
    .parameters = FIELDS(parameters),
    .defaults = defaults,
    .default_count = sizeof defaults / sizeof *defaults,
    .shape = context_shape,
    .trial = context_trial,
    .inputs = context_inputs,
    .target = task_label_target,
};
