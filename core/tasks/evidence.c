/*
 * Evidence accumulation (Morcos and Harvey 2016; as a task for e-prop, Bellec et al. 2020): cues fall on the left or
 * the right group of inputs, and after a delay, while the recall group fires, the network says which side had more.
 *
 * 40 inputs in four groups of 10: left cues, right cues, background, recall. Poisson spikes, rate * dt a step: the
 * active rate while a group's cue or the recall is on, the background rate in group 2 throughout, else none. Each
 * trial's favoured side has cue_probability. Cross-entropy over the recall.
 */
#include <stdio.h>

#include "core/tasks/tasks.h"

struct evidence {
    int cues;               /* number of cues */
    int cue_duration;       /* ms from one cue to the next */
    int cue_active;         /* ms of it during which the cue's group fires */
    int delay;              /* ms */
    int recall;             /* ms */
    double cue_probability; /* that a cue falls on the trial's favoured side */
    double active_rate;     /* Hz */
    double background_rate; /* Hz */
};
OWN_STRUCT(struct evidence);

enum { GROUP = 10, GROUPS = 4, INPUTS = GROUP * GROUPS };

static int recall_start(const struct task_config *config) {
    const struct evidence *evidence = own(config);
    return evidence->cues * evidence->cue_duration + evidence->delay;
}

static bool evidence_shape(const struct task_config *config, struct task_shape *shape, char error[256]) {
    (void)error;
    const struct evidence *evidence = own(config);
    int start = recall_start(config);
    *shape = task_choice_shape(INPUTS, start, evidence->recall, (double)WORK_UNIFORM * (1 + evidence->cues));
    return true;
}

static bool evidence_check(const struct task_config *config, const char **parameter, char error[256]) {
    const struct evidence *evidence = own(config);
    if (evidence->cue_active > evidence->cue_duration) {
        *parameter = "cue_active";
        snprintf(error, 256, "must be at most cue_duration (%d); got %d", evidence->cue_duration, evidence->cue_active);
        return false;
    }
    return true;
}

/*
 * The side of a cue, 1 for the right: recomputed from the counter wherever it is needed, so that a trial may have any
 * number of cues.
 */
static bool cue_side(const struct task *task, struct trial_id id, bool favoured, int cue) {
    const struct evidence *evidence = own(task->config);
    struct random_stream stream = task_stream(task, RANDOM_TRAINING_LABEL, RANDOM_EVALUATION_LABEL, id);
    bool on_favoured = random_uniform(&stream, 2 + (uint64_t)cue) < evidence->cue_probability;
    return on_favoured == favoured;
}

/* bits: the favoured side. The class is the side with more cues; of an even number that ties, the favoured side. */
static void evidence_trial(const struct task *task, struct trial_id id, struct trial *trial) {
    struct random_stream stream = task_stream(task, RANDOM_TRAINING_LABEL, RANDOM_EVALUATION_LABEL, id);
    const struct evidence *evidence = own(task->config);
    int cues = evidence->cues, right = 0;
    bool favoured = random_bits(&stream, 0) & 1;
    for (int i = 0; i < cues; i++) {
        right += cue_side(task, id, favoured, i);
    }
    *trial = (struct trial){.id = id, .bits = favoured, .label = 2 * right == cues ? favoured : 2 * right > cues};
}

/* Spikes per second in each group at step t. */
static void group_rates(const struct task *task, const struct trial *trial, int t, double rate[GROUPS]) {
    const struct evidence *evidence = own(task->config);
    rate[0] = rate[1] = rate[3] = 0;
    rate[2] = evidence->background_rate;
    int cue = t / evidence->cue_duration;
    if (cue < evidence->cues && t % evidence->cue_duration < evidence->cue_active) {
        rate[cue_side(task, trial->id, trial->bits & 1, cue)] = evidence->active_rate;
    }
    if (t >= recall_start(task->config)) {
        rate[3] = evidence->active_rate;
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

static const struct field parameters[] = {
    {.name = "cues",
     .type = FIELD_INT,
     .offset = OWN(struct evidence, cues),
     .low = 1,
     .high = 1000,
     .fallback = "7",
     .identity = "7",
     .doc = "cues in a trial; an odd number leaves no tie"},
    {.name = "cue_duration",
     .type = FIELD_INT,
     .offset = OWN(struct evidence, cue_duration),
     .unit = "ms",
     .low = 1,
     .high = 100000,
     .fallback = "150",
     .identity = "150",
     .doc = "from the start of one cue to the next"},
    {.name = "cue_active",
     .type = FIELD_INT,
     .offset = OWN(struct evidence, cue_active),
     .unit = "ms",
     .low = 1,
     .high = 100000,
     .fallback = "100",
     .identity = "100",
     .doc = "how long a cue's inputs fire; at most cue_duration"},
    {.name = "delay",
     .type = FIELD_INT,
     .offset = OWN(struct evidence, delay),
     .unit = "ms",
     .low = 0,
     .high = 1000000,
     .fallback = "800",
     .identity = "800",
     .doc = "time between the last cue and the recall"},
    {.name = "recall",
     .type = FIELD_INT,
     .offset = OWN(struct evidence, recall),
     .unit = "ms",
     .low = 1,
     .high = 100000,
     .fallback = "150",
     .identity = "150",
     .doc = "duration of the recall, over which the loss counts"},
    {.name = "cue_probability",
     .type = FIELD_NUMBER,
     .offset = OWN(struct evidence, cue_probability),
     .low = 0,
     .high = 1,
     .fallback = "0.7",
     .identity = "0.7",
     .doc = "probability that a cue falls on the trial's favoured side"},
    {.name = "active_rate",
     .type = FIELD_NUMBER,
     .offset = OWN(struct evidence, active_rate),
     .unit = "Hz",
     .low = 0,
     .high = 1000,
     .fallback = "40",
     .identity = "40",
     .doc = "rate of an active input"},
    {.name = "background_rate",
     .type = FIELD_NUMBER,
     .offset = OWN(struct evidence, background_rate),
     .unit = "Hz",
     .low = 0,
     .high = 1000,
     .fallback = "10",
     .identity = "10",
     .doc = "rate of a background input"},
};

static const struct task_default defaults[] = {
    UNPUBLISHED_DEFAULTS,
    {"network", "tau", "200"},
    {"optimizer", "learning_rate", "0.001"},
    {"optimizer", "decay", "{\"factor\": 0.5, \"every\": 200}"},
    {"training", "iterations", "1000"},
};

const struct task_ops task_evidence = {
    .name = "evidence",
    .doc = "accumulate cues from two sides over a delay, then say which side had more",
    .parameters = FIELDS(parameters),
    .defaults = defaults,
    .default_count = sizeof defaults / sizeof *defaults,
    .check = evidence_check,
    .shape = evidence_shape,
    .trial = evidence_trial,
    .inputs = evidence_inputs,
    .target = task_label_target,
};
