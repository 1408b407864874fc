/*
 * Store and recall: keep one bit out of a stream of bits, and name it when asked (after Bellec, Salaj, Subramoney,
 * Legenstein and Maass 2018, "Long short-term memory and learning-to-learn in networks of spiking neurons").
 *
 * 40 inputs in four groups of 10: value 0, value 1, store, recall. A trial is `characters` periods of `duration` ms. A
 * period carries a random value; it also carries a command with command_probability: store if nothing is held, recall
 * if a value is. A recall carries no value and ends the holding. Where chance has made none, the last period is a
 * recall, and a store stands before it at the latest, so each trial has one recall at least. A group fires Poisson
 * spikes at active_rate while it is on, else none. Cross-entropy over every recall: the class is the value of the store
 * before it.
 */
#include "core/tasks/tasks.h"

struct store_recall {
    int characters;             /* periods of a trial */
    int duration;               /* ms of a period */
    double command_probability; /* of a period */
    double active_rate;         /* Hz */
};
OWN_STRUCT(struct store_recall);

enum { GROUP = 10, GROUPS = 4, INPUTS = GROUP * GROUPS, MOST = 21, PERIOD_BITS = 3 };
enum { VALUE = 1, STORE = 2, RECALL = 4 }; /* the bits of a period */

static bool recall_shape(const struct task_config *config, struct task_shape *shape, char error[256]) {
    (void)error;
    const struct store_recall *recall = own(config);
    *shape = (struct task_shape){.steps = recall->characters * recall->duration,
                                 .inputs = INPUTS,
                                 .outputs = 2,
                                 .loss = LOSS_CROSS_ENTROPY,
                                 .has_accuracy = true,
                                 .mask_from = recall->duration,
                                 .trial_work = 2.0 * WORK_UNIFORM * recall->characters,
                                 .input_work = WORK_UNIFORM,
                                 .target_work = recall->characters};
    return true;
}

/* bits: PERIOD_BITS a period, from the first on. */
static void recall_trial(const struct task *task, struct trial_id id, struct trial *trial) {
    struct random_stream stream = task_stream(task, RANDOM_TRAINING_LABEL, RANDOM_EVALUATION_LABEL, id);
    const struct store_recall *recall = own(task->config);
    bool holds = false, recalled = false;
    uint64_t bits = 0;
    for (int i = 0; i < recall->characters; i++) {
        uint64_t period = random_bits(&stream, (uint64_t)i) & VALUE;
        bool due = !recalled && i >= recall->characters - (holds ? 1 : 2);
        if (due || random_bits(&stream, MOST + (uint64_t)i) * 0x1p-32 < recall->command_probability) {
            period |= holds ? RECALL : STORE;
            recalled = recalled || holds;
            holds = !holds;
        }
        bits |= period << (PERIOD_BITS * i);
    }
    *trial = (struct trial){.id = id, .bits = bits, .label = -1};
}

static uint64_t period_of(const struct trial *trial, int i) {
    return trial->bits >> (PERIOD_BITS * i);
}

static bool group_is_on(uint64_t period, int group) {
    if (group < 2) {
        return !(period & RECALL) && (period & VALUE) == (uint64_t)group;
    }
    return period & (group == 2 ? STORE : RECALL);
}

static void recall_inputs(const struct task *task, const struct trial *trial, int from, int to, float *x,
                          size_t stride) {
    const struct store_recall *recall = own(task->config);
    struct random_stream stream = task_stream(task, RANDOM_TRAINING_NOISE, RANDOM_EVALUATION_NOISE, trial->id);
    double chance = recall->active_rate * 1e-3;
    for (int t = from; t < to; t++) {
        uint64_t period = period_of(trial, t / recall->duration);
        for (int i = 0; i < INPUTS; i++) {
            bool spike = group_is_on(period, i / GROUP) &&
                         random_bits(&stream, (uint64_t)t * INPUTS + (uint64_t)i) * 0x1p-32 < chance;
            x[(size_t)(t - from) * stride + (size_t)i] = spike ? 1.0f : 0.0f;
        }
    }
}

static float recall_target(const struct task *task, const struct trial *trial, int t, int *class_index, float *values) {
    (void)values;
    const struct store_recall *recall = own(task->config);
    int i = t / recall->duration;
    bool asked = period_of(trial, i) & RECALL;
    while (asked && !(period_of(trial, i) & STORE)) {
        i--;
    }
    *class_index = (int)(period_of(trial, i) & VALUE);
    return asked ? 1.0f : 0.0f;
}

static const struct field parameters[] = {
    PLAIN_FIELD(FIELD_INT, struct store_recall, characters, 2, MOST, "10", "periods of a trial"),
    MS_FIELD(struct store_recall, duration, 1, 100000, "100", "duration of a period"),
    PLAIN_FIELD(FIELD_NUMBER, struct store_recall, command_probability, 0, 1, "0.2",
                "probability that a period carries a command: store, or recall if a value is held"),
    {.name = "active_rate",
     .type = FIELD_NUMBER,
     .offset = OWN(struct store_recall, active_rate),
     .unit = "Hz",
     .low = 0,
     .high = 1000,
     .fallback = "50",
     .identity = "50",
     .doc = "rate of an active input"},
};

static const struct task_default defaults[] = {
    UNPUBLISHED_DEFAULTS,
    {"network", "tau", "200"},
    {"optimizer", "learning_rate", "0.001"},
    {"training", "iterations", "1000"},
};

const struct task_ops task_store_recall = {
    .name = "store_recall",
    .doc = "keep one bit out of a stream of bits, and name it when asked",
    .parameters = FIELDS(parameters),
    .defaults = defaults,
    .default_count = sizeof defaults / sizeof *defaults,
    .shape = recall_shape,
    .trial = recall_trial,
    .inputs = recall_inputs,
    .target = recall_target,
};
