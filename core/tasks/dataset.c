/*
 * A user's own task: inputs, targets and mask as uploaded. Inputs may be spikes: lists of (tick, unit) a trial that are
 * never expanded. A step gathers `bin` ticks, step t those from t bin to before (t + 1) bin (the last may have fewer):
 * an input is the number of its spikes in them, mask and target are those of the last tick that counts. So one upload
 * at a fine resolution serves jobs at many.
 *
 * Mini-batches are drawn by the counter; evaluations use the test split, or else a fresh draw of training trials.
 *
 * The draw has versions, because a job must continue as it started. Version 2 draws trials in which some step counts,
 * so that no batch is without a loss; version 1, for jobs accepted before it, draws from all trials, and a batch in
 * which nothing counts has the loss 0. If something counts in every trial, the two are the same.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/tasks/tasks.h"

struct dataset {
    int draw; /* version of the draw of training trials; see above. Below 2: the first */
    int bin;  /* ticks in a step; below 2: 1 */
};
OWN_STRUCT(struct dataset);

/* Entries [from, from + count) of the array as float32, each converted as from double. */
#define CONVERT(type_of_c)                                                                                             \
    for (size_t i = 0; i < count; i++) {                                                                               \
        type_of_c entry;                                                                                               \
        memcpy(&entry, array->bytes + (from + i) * sizeof entry, sizeof entry);                                        \
        to[i] = (float)(double)entry;                                                                                  \
    }                                                                                                                  \
    break

static void array_floats(const struct data_array *array, size_t from, size_t count, float *to) {
    switch (array->type) {
    case DATA_F32:
        memcpy(to, array->bytes + from * sizeof(float), count * sizeof(float));
        break;
    case DATA_F64:
        CONVERT(double);
    case DATA_I8:
        CONVERT(int8_t);
    case DATA_U8:
        CONVERT(uint8_t);
    case DATA_I16:
        CONVERT(int16_t);
    case DATA_I32:
        CONVERT(int32_t);
    case DATA_I64:
        CONVERT(int64_t);
    }
}

/* A class: below 4096, so that float32 has it exactly. */
static int array_class(const struct data_array *array, size_t at) {
    float class = 0.0f;
    array_floats(array, at, 1, &class);
    return (int)class;
}

static size_t lesser(size_t a, size_t b) {
    return a < b ? a : b;
}

static size_t bin_of(const struct task_config *config) {
    const struct dataset *dataset = own(config);
    return dataset->bin > 1 ? (size_t)dataset->bin : 1;
}

static bool draws_counting(const struct task_config *config) {
    const struct dataset *dataset = own(config);
    return dataset->draw >= 2;
}

static bool something_counts(const struct task_data *data, char error[256]) {
    const struct {
        const struct trial_set *set;
        const char *name;
    } sets[] = {{&data->train, "mask"}, {&data->test, "test_mask"}};
    for (int i = 0; i < 2; i++) {
        if (sets[i].set->trials > 0 && sets[i].set->mask_from == data->steps) {
            snprintf(error, 256, "the dataset's tensor %s must count at least one step; all its entries are 0",
                     sets[i].name);
            return false;
        }
    }
    return true;
}

static bool dataset_shape(const struct task_config *config, struct task_shape *shape, char error[256]) {
    const struct task_data *data = config->data;
    if (!data || data->train.trials == 0) {
        snprintf(error, 256, "the dataset is not loaded");
        return false;
    }
    if (data->steps > INT32_MAX || data->inputs > INT32_MAX || data->outputs > INT32_MAX) {
        snprintf(error, 256, "the dataset is too large");
        return false;
    }
    size_t bin = bin_of(config), from = data->train.mask_from;
    if (bin > 1 && !data->spiking) {
        snprintf(error, 256, "bin must be 1 for a dataset whose inputs are an array, not spikes; got %zu", bin);
        return false;
    }
    if (draws_counting(config) && !something_counts(data, error)) {
        return false;
    }
    if (data->test.trials > 0) {
        from = lesser(from, data->test.mask_from);
    }
    *shape = (struct task_shape){.steps = (int)((data->steps + bin - 1) / bin),
                                 .inputs = (int)data->inputs,
                                 .outputs = (int)data->outputs,
                                 .loss = data->loss,
                                 .has_accuracy = data->loss == LOSS_CROSS_ENTROPY,
                                 .mask_from = (int)(from / bin),
                                 .mask_uniform = !data->train.masked && !data->test.masked,
                                 .trial_work = WORK_UNIFORM,
                                 .input_work = 1,
                                 .target_work = data->loss == LOSS_MSE ? (double)data->outputs : (double)bin,
                                 .empty_loss = draws_counting(config) ? NAN : 0,
                                 .test_trials = data->test.trials,
                                 .training_trials = data->train.trials};
    return true;
}

static const struct trial_set *dataset_set(const struct task *task, const struct trial *trial) {
    return trial->id.phase == TRIAL_TEST ? &task->config->data->test : &task->config->data->train;
}

/* The training trials that are drawn, unless all are. */
struct drawn {
    size_t count;
    uint32_t trials[];
};

static size_t dataset_state_size(const struct task_config *config) {
    const struct trial_set *set = &config->data->train;
    return draws_counting(config) && set->mask ? sizeof(struct drawn) + set->trials * sizeof(uint32_t) : 0;
}

static bool trial_counts(const struct trial_set *set, size_t steps, size_t trial) {
    for (size_t t = 0; t < steps; t++) {
        if (set->mask[t * set->trials + trial] != 0.0f) {
            return true;
        }
    }
    return false;
}

static void dataset_init(struct task *task, struct work *work) {
    const struct trial_set *set = &task->config->data->train;
    struct drawn *drawn = task->state;
    for (size_t i = 0; drawn && i < set->trials && !work_add(work, (double)task->config->data->steps); i++) {
        if (trial_counts(set, task->config->data->steps, i)) {
            drawn->trials[drawn->count++] = (uint32_t)i;
        }
    }
}

static void dataset_trial(const struct task *task, struct trial_id id, struct trial *trial) {
    *trial = (struct trial){.id = id, .source = id.trial, .label = -1};
    if (id.phase == TRIAL_TEST || id.phase == TRIAL_LISTED) {
        return;
    }
    struct random_stream stream = task_stream(task, RANDOM_TRAINING_LABEL, RANDOM_EVALUATION_LABEL, id);
    const struct drawn *drawn = task->state;
    size_t number = (size_t)random_below(&stream, 0, drawn ? drawn->count : task->config->data->train.trials);
    trial->source = drawn ? drawn->trials[number] : number;
}

/* Position of the trial's first spike at or after the tick. */
static size_t spike_find(const struct spike_list *spikes, size_t trial, size_t tick) {
    size_t low = spikes->first[trial], high = spikes->first[trial + 1];
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (spikes->ticks[middle] < tick) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void spikes_add(const struct spike_list *spikes, size_t trial, size_t bin, struct task_block block) {
    size_t until = (size_t)block.to * bin, end = spikes->first[trial + 1];
    for (size_t i = spike_find(spikes, trial, (size_t)block.from * bin); i < end && spikes->ticks[i] < until; i++) {
        block.x[(spikes->ticks[i] / bin - (size_t)block.from) * block.stride + spikes->units[i]] += 1.0f;
    }
}

static void dataset_inputs(const struct task *task, const struct trial *trial, int from, int to, float *x,
                           size_t stride) {
    const struct trial_set *set = dataset_set(task, trial);
    const struct task_block block = {from, to, x, stride};
    size_t inputs = task->config->data->inputs;
    if (set->spikes.first) {
        task_block_clear(block, (int)inputs);
        spikes_add(&set->spikes, trial->source, bin_of(task->config), block);
        return;
    }
    for (int t = from; t < to; t++) {
        array_floats(&set->inputs, ((size_t)t * set->trials + trial->source) * inputs, inputs,
                     x + (size_t)(t - from) * stride);
    }
}

/* The tick whose target and mask step t has: of its ticks the last that counts, or the last if none does. */
static size_t target_tick(const struct task *task, const struct trial_set *set, size_t trial, int t) {
    size_t bin = bin_of(task->config), from = (size_t)t * bin, to = lesser(from + bin, task->config->data->steps);
    for (size_t tick = to; set->mask && tick > from; tick--) {
        if (set->mask[(tick - 1) * set->trials + trial] != 0.0f) {
            return tick - 1;
        }
    }
    return to - 1;
}

static float dataset_target(const struct task *task, const struct trial *trial, int t, int *class_index,
                            float *values) {
    const struct trial_set *set = dataset_set(task, trial);
    size_t at = target_tick(task, set, trial->source, t) * set->trials + trial->source;
    if (set->classes.bytes) {
        *class_index = array_class(&set->classes, set->class_per_trial ? trial->source : at);
    } else {
        size_t outputs = task->config->data->outputs;
        array_floats(&set->values, at * outputs, outputs, values);
    }
    return set->mask ? set->mask[at] : 1.0f;
}

static const struct field parameters[] = {
    {.name = "name",
     .type = FIELD_NAME,
     .offset = offsetof(struct task_config, dataset),
     .identity = "null",
     .doc = "the dataset's name"},
    DATA_SHA256_FIELD,
    {.name = "draw",
     .type = FIELD_INT,
     .offset = OWN(struct dataset, draw),
     .low = 1,
     .high = 2,
     .fallback = "2",
     .identity = "1",
     .before = "1",
     .doc = "version of the draw of training trials: 2 draws those in which some step counts; 1, that of jobs accepted "
            "before there was this field, draws from all, and a batch in which nothing counts has the loss 0"},
    {.name = "bin",
     .type = FIELD_INT,
     .offset = OWN(struct dataset, bin),
     .unit = "ticks",
     .low = 1,
     .high = 1000000,
     .fallback = "1",
     .identity = "1",
     .doc = "ticks of a dataset of spikes that make one step: an input is the number of its spikes in them, and target "
            "and mask are those of the last of them that counts; 1 where the inputs are an array"},
};

static const struct task_default defaults[] = {
    UNPUBLISHED_DEFAULTS,        {"training", "evaluate_every", "null"},  {"network", "tau", "20"},
    {"network", "bias", "true"}, {"optimizer", "learning_rate", "0.001"}, {"optimizer", "decay", "null"},
};

const struct task_ops task_dataset = {
    .name = "dataset",
    .doc = "your own trials, arrays or spikes, uploaded with PUT /v1/datasets/{name}",
    .parameters = FIELDS(parameters),
    .defaults = defaults,
    .default_count = sizeof defaults / sizeof *defaults,
    .needs = NEEDS_DATASET,
    .shape = dataset_shape,
    .state_size = dataset_state_size,
    .init = dataset_init,
    .trial = dataset_trial,
    .inputs = dataset_inputs,
    .target = dataset_target,
};
