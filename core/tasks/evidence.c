/*
 * Evidence accumulation (Morcos and Harvey 2016; as a task for e-prop, Bellec et al. 2020): cues fall on the left or
 * the right group of inputs, and after a delay, while the recall group fires, the network says which side had more.
 *
 * 40 inputs in four groups of 10: left cues, right cues, background, recall. Poisson spikes, rate * dt a step: the
 * active rate while a group's cue or the recall is on, the background rate in group 2 throughout, else none. Each
 * trial's favoured side has cue_probability. Cross-entropy over the recall.
 */
#include "core/tasks/tasks.h"

enum { GROUP = 10, GROUPS = 4, INPUTS = GROUP * GROUPS };

static int recall_start(const struct task_config *config) {
    return config->evidence.cues * config->evidence.cue_duration + config->evidence.delay;
}

static bool evidence_shape(const struct task_config *config, struct task_shape *shape, char error[256]) {
    (void)error;
    int start = recall_start(config);
    *shape = (struct task_shape){.steps = start + config->evidence.recall,
                                 .inputs = INPUTS,
                                 .outputs = 2,
                                 .loss = LOSS_CROSS_ENTROPY,
                                 .has_accuracy = true,
                                 .mask_from = start,
                                 .mask_uniform = true,
                                 .trial_work = (double)WORK_UNIFORM * (1 + config->evidence.cues),
                                 .input_work = WORK_UNIFORM,
                                 .target_work = 1};
    return true;
}

/*
 * The side of a cue, 1 for the right: from the counter again wherever it is asked for, so that a trial may have any
 * number of cues.
 */
static bool cue_side(const struct task *task, struct trial_id id, bool favoured, int cue) {
    struct random_stream stream = task_stream(task, RANDOM_TRAINING_LABEL, RANDOM_EVALUATION_LABEL, id);
    bool on_favoured = random_uniform(&stream, 2 + (uint64_t)cue) < task->config->evidence.cue_probability;
    return on_favoured == favoured;
}

/* bits: the favoured side. The class is the side with more cues; of an even number that ties, the favoured side. */
static void evidence_trial(const struct task *task, struct trial_id id, struct trial *trial) {
    struct random_stream stream = task_stream(task, RANDOM_TRAINING_LABEL, RANDOM_EVALUATION_LABEL, id);
    int cues = task->config->evidence.cues, right = 0;
    bool favoured = random_bits(&stream, 0) & 1;
    for (int i = 0; i < cues; i++) {
        right += cue_side(task, id, favoured, i);
    }
    *trial = (struct trial){.id = id, .bits = favoured, .label = 2 * right == cues ? favoured : 2 * right > cues};
}

/* Spikes a second in each group at step t. */
static void group_rates(const struct task *task, const struct trial *trial, int t, double rate[GROUPS]) {
    const struct task_config *config = task->config;
    rate[0] = rate[1] = rate[3] = 0;
    rate[2] = config->evidence.background_rate;
    int cue = t / config->evidence.cue_duration;
    if (cue < config->evidence.cues && t % config->evidence.cue_duration < config->evidence.cue_active) {
        rate[cue_side(task, trial->id, trial->bits & 1, cue)] = config->evidence.active_rate;
    }
    if (t >= recall_start(config)) {
        rate[3] = config->evidence.active_rate;
    }
}

static void evidence_inputs(const struct task *task, const struct trial *trial, int from, int to, float *x,
                            size_t stride) {
    struct random_stream stream = task_stream(task, RANDOM_TRAINING_NOISE, RANDOM_EVALUATION_NOISE, trial->id);
    double rate[GROUPS];
    for (int t = from; t < to; t++) {
        group_rates(task, trial, t, rate);
        for (int i = 0; i < INPUTS; i++) {
            double chance = rate[i / GROUP] * 1e-3;
            bool spike = chance > 0 && random_bits(&stream, (uint64_t)t * INPUTS + (uint64_t)i) * 0x1p-32 < chance;
            x[(size_t)(t - from) * stride + (size_t)i] = spike ? 1.0f : 0.0f;
        }
    }
}

static float evidence_target(const struct task *task, const struct trial *trial, int t, int *class_index,
                             float *values) {
    (void)values;
    *class_index = trial->label;
    return t >= task->shape.mask_from ? 1.0f : 0.0f;
}

const struct task_ops task_evidence = {
    .name = "evidence",
    .shape = evidence_shape,
    .trial = evidence_trial,
    .inputs = evidence_inputs,
    .target = evidence_target,
};
