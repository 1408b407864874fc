/*
 * A dataset's file: see files.h.
 *
 * One pass over the file computes the digest and passes each tensor's entries, block by block, to the check or to the
 * loader. Tensors may be in any order in the file; the entries of one tensor come in order.
 */
#include "server/datasets/files.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/datasets/layout.h"
#include "server/datasets/spikes.h"

static enum dataset_result unreadable(int number, char *error) {
    snprintf(error, DATASET_ERROR_BYTES, "the dataset's file cannot be read: %s", strerror(number));
    return DATASET_UNREADABLE;
}

static bool fail(char *error, const char *sentence) {
    snprintf(error, DATASET_ERROR_BYTES, "%s", sentence);
    return false;
}

static size_t split_memory(const struct split *split) {
    return (split->inputs == NULL ? spikes_memory(split) : tensor_memory(split->inputs, false)) +
           tensor_memory(split->targets, false) + (split->mask == NULL ? 0 : tensor_memory(split->mask, true));
}

/* ---- checking every number ---- */

/* What is known about a file while its numbers are checked. */
struct check {
    const struct layout *layout;
    struct dataset_info *info;
    bool strict;
    char *error;
    bool trained_classes[OUTPUTS_MAX]; /* classes that occur in the training targets */
    bool one_hot;                      /* so far, every row of the training targets is 0 except for one 1 */
    double row_sum;                    /* of the row being read */
    size_t counted, from;              /* entries of the mask being read that count, and the first step with one */
};

/* "[3, 0, 1]": the position of an entry, each index from 0. */
static const char *entry_quote(const struct safetensor *tensor, size_t entry, char text[128]) {
    size_t below = tensor->count;
    int used = snprintf(text, 128, "[");
    for (int i = 0; i < tensor->dimensions; i++) {
        below /= tensor->shape[i];
        used += snprintf(text + used, 128 - (size_t)used, "%s%zu", i == 0 ? "" : ", ",
                         entry / below % tensor->shape[i]);
    }
    snprintf(text + used, 128 - (size_t)used, "]");
    return text;
}

static bool take_numbers(void *user, const struct safetensor *tensor, const struct safetensor *part, size_t first) {
    struct check *check = user;
    for (size_t i = 0; i < part->count; i++) {
        if (!isfinite((float)safetensor_number(part, i))) {
            char at[128];
            snprintf(check->error, DATASET_ERROR_BYTES,
                     "the tensor %s must hold finite numbers within the range of float32; entry %s is %g", tensor->name,
                     entry_quote(tensor, first + i, at), safetensor_number(part, i));
            return false;
        }
    }
    return true;
}

static bool take_values(void *user, const struct safetensor *tensor, const struct safetensor *part, size_t first) {
    struct check *check = user;
    size_t outputs = tensor->shape[2];
    for (size_t i = 0; i < part->count && check->one_hot; i++) {
        double value = safetensor_number(part, i);
        check->row_sum += value;
        check->one_hot = value == 0.0 || value == 1.0;
        if ((first + i + 1) % outputs == 0) {
            check->one_hot = check->one_hot && check->row_sum == 1.0;
            check->row_sum = 0.0;
        }
    }
    return take_numbers(user, tensor, part, first);
}

static bool take_classes(void *user, const struct safetensor *tensor, const struct safetensor *part, size_t first) {
    struct check *check = user;
    char at[128];
    bool training = tensor == check->layout->train.targets;
    for (size_t i = 0; i < part->count; i++) {
        double class = safetensor_number(part, i);
        if (class < 0 || class >= OUTPUTS_MAX) {
            snprintf(check->error, DATASET_ERROR_BYTES,
                     "the tensor %s must hold classes from 0 to %d; entry %s is %.0f", tensor->name, OUTPUTS_MAX - 1,
                     entry_quote(tensor, first + i, at), class);
            return false;
        }
        if (check->strict && !training && !check->trained_classes[(size_t)class]) {
            snprintf(check->error, DATASET_ERROR_BYTES,
                     "the tensor %s must hold classes that occur in targets too; entry %s is %.0f, which no training "
                     "trial has",
                     tensor->name, entry_quote(tensor, first + i, at), class);
            return false;
        }
        check->trained_classes[(size_t)class] = check->trained_classes[(size_t)class] || training;
        check->info->outputs = (size_t)class + 1 > check->info->outputs ? (size_t)class + 1 : check->info->outputs;
    }
    return true;
}

static bool take_mask(void *user, const struct safetensor *tensor, const struct safetensor *part, size_t first) {
    struct check *check = user;
    char at[128];
    for (size_t i = 0; i < part->count; i++) {
        double weight = safetensor_number(part, i);
        if (!(weight >= 0.0 && weight <= 1e6)) {
            snprintf(check->error, DATASET_ERROR_BYTES,
                     "the tensor %s must hold numbers from 0 to 1000000; entry %s is %g", tensor->name,
                     entry_quote(tensor, first + i, at), weight);
            return false;
        }
        if ((float)weight != 0.0f) { /* as training reads it */
            size_t step = (first + i) / tensor->shape[1];
            check->from = step < check->from ? step : check->from;
            check->counted++;
        }
    }
    return true;
}

static bool mask_counts(struct check *check, const struct safetensor *mask) {
    if (check->counted == 0 && check->strict) {
        snprintf(check->error, DATASET_ERROR_BYTES,
                 "the tensor %s must count at least one step; all its entries are 0 as float32", mask->name);
    }
    return check->counted > 0 || !check->strict;
}

static bool values_are_meant(struct check *check, const struct safetensor *targets) {
    bool suspicious = check->strict && check->one_hot && targets->shape[2] > 1 &&
                      strcmp(check->layout->metadata.loss, "mse") != 0;
    if (suspicious) {
        snprintf(
            check->error, DATASET_ERROR_BYTES,
            "the tensor %s holds classes as one-hot rows, which would be fitted by squared error: give the classes "
            "as integers of shape (steps, trials), or, where squared error is meant, \"loss\": \"mse\" in "
            "__metadata__",
            targets->name);
    }
    return !suspicious;
}

/* 0, or an errno; *sound is false, with a sentence, if a number is refused. */
static int split_check(struct blocks *blocks, const struct dataset_patience *patience, const struct split *split,
                       struct check *check, bool *sound) {
    bool training = split == &check->layout->train;
    int number = split->inputs == NULL ? spikes_check(blocks, split, patience, sound, check->error)
                                       : tensor_walk(blocks, split->inputs, patience, take_numbers, check, sound);
    if (number == 0 && *sound) {
        check->one_hot = training;
        check->row_sum = 0.0;
        number = tensor_walk(blocks, split->targets, patience, check->info->classes ? take_classes : take_values, check,
                             sound);
        *sound = *sound && (!training || check->info->classes || values_are_meant(check, split->targets));
    }
    check->from = split->mask == NULL ? 0 : split->shape[0];
    check->counted = split->mask == NULL ? split->shape[0] * split->shape[1] : 0;
    if (split->mask != NULL && number == 0 && *sound) {
        number = tensor_walk(blocks, split->mask, patience, take_mask, check, sound);
        *sound = *sound && (number != 0 || mask_counts(check, split->mask));
    }
    if (training) {
        check->info->counted = (int64_t)check->counted;
        check->info->from = check->from;
    } else {
        check->info->test_from = check->from;
    }
    return number;
}

static int numbers_check(struct blocks *blocks, const struct dataset_patience *patience, const struct layout *layout,
                         bool strict, struct dataset_info *info, bool *sound, char *error) {
    struct check *check = calloc(1, sizeof *check);
    if (check == NULL) {
        return ENOMEM;
    }
    check->layout = layout;
    check->info = info;
    check->strict = strict;
    check->error = error;
    int number = 0;
    for (int i = 0; i < 5 && info->units > 0 && number == 0 && *sound; i++) {
        number = layout->weights[i] == NULL
                     ? 0
                     : tensor_walk(blocks, layout->weights[i], patience, take_numbers, check, sound);
    }
    if (info->units == 0) {
        number = split_check(blocks, patience, &layout->train, check, sound);
    }
    if (info->units == 0 && number == 0 && *sound && layout->has_test) {
        number = split_check(blocks, patience, &layout->test, check, sound);
    }
    free(check);
    return number;
}

enum dataset_result dataset_check(const char *path, bool strict, const struct dataset_patience *patience,
                                  struct dataset_info *info, char error[DATASET_ERROR_BYTES]) {
    struct blocks blocks;
    struct layout layout;
    int number = blocks_open(&blocks, path);
    bool sound = true;
    *info = (struct dataset_info){0};
    if (number == 0 && blocks.size == 0) {
        sound = fail(error, "the body must be a safetensors file; it is empty");
    }
    sound = sound && number == 0 && layout_read(&blocks, strict, &layout, info, &number, error);
    if (number == 0 && sound) {
        number = numbers_check(&blocks, patience, &layout, strict, info, &sound, error);
    }
    if (number == 0 && sound && info->units == 0) {
        info->memory = (int64_t)(split_memory(&layout.train) + (layout.has_test ? split_memory(&layout.test) : 0));
    }
    if (number == 0 && sound) {
        number = blocks_digest(&blocks, patience, info->sha256);
    }
    blocks_close(&blocks);
    if (number != 0) {
        return unreadable(number, error);
    }
    return sound ? DATASET_SOUND : DATASET_REFUSED;
}

/* ---- loading ---- */

static void *take(struct dataset_data *loaded, size_t bytes) {
    void *memory = malloc(bytes + (bytes == 0));
    if (memory != NULL) {
        loaded->memory[loaded->count++] = memory;
        loaded->bytes += (int64_t)bytes;
    }
    return memory;
}

/* A tensor being loaded: unchanged, or as float32. */
struct load {
    struct dataset_info *info;
    unsigned char *to;
    bool as_floats;
};

static bool take_load(void *user, const struct safetensor *tensor, const struct safetensor *part, size_t first) {
    const struct load *load = user;
    size_t each = tensor_type_size(tensor->type);
    if (!load->as_floats) {
        memcpy(load->to + first * each, part->bytes, part->count * each);
        return true;
    }
    for (size_t i = 0; i < part->count; i++) {
        float value = (float)safetensor_number(part, i);
        memcpy(load->to + (first + i) * sizeof value, &value, sizeof value);
    }
    return true;
}

static int tensor_load(struct blocks *blocks, struct dataset_data *loaded, const struct safetensor *tensor,
                       bool as_floats, struct data_array *array) {
    static const enum data_type types[TENSOR_TYPES] = {
        [TENSOR_F32] = DATA_F32, [TENSOR_F64] = DATA_F32, [TENSOR_I8] = DATA_I8,   [TENSOR_U8] = DATA_U8,
        [TENSOR_BOOL] = DATA_U8, [TENSOR_I16] = DATA_I16, [TENSOR_I32] = DATA_I32, [TENSOR_I64] = DATA_I64};
    struct load load = {.to = take(loaded, tensor_memory(tensor, as_floats)),
                        .as_floats = as_floats || tensor->type == TENSOR_F64};
    bool taken = true;
    if (load.to == NULL) {
        return ENOMEM;
    }
    *array = (struct data_array){.bytes = load.to, .type = load.as_floats ? DATA_F32 : types[tensor->type]};
    return tensor_walk(blocks, tensor, NULL, take_load, &load, &taken);
}

static int inputs_load(struct blocks *blocks, struct dataset_data *loaded, const struct split *split,
                       struct trial_set *set) {
    if (split->inputs != NULL) {
        return tensor_load(blocks, loaded, split->inputs, false, &set->inputs);
    }
    size_t count = split->spikes[SPIKE_UNITS]->count, *first = take(loaded, (split->shape[1] + 1) * sizeof *first);
    uint32_t *ticks = take(loaded, count * sizeof *ticks);
    uint16_t *units = take(loaded, count * sizeof *units);
    if (first == NULL || ticks == NULL || units == NULL) {
        return ENOMEM;
    }
    set->spikes = (struct spike_list){.first = first, .ticks = ticks, .units = units};
    return spikes_load(blocks, split, first, ticks, units);
}

static int split_load(struct blocks *blocks, struct dataset_data *loaded, const struct split *split, bool classes,
                      struct trial_set *set) {
    struct data_array mask = {0};
    set->trials = split->shape[1];
    set->class_per_trial = targets_are_per_trial(split->targets);
    int number = inputs_load(blocks, loaded, split, set);
    if (number == 0) {
        number = tensor_load(blocks, loaded, split->targets, false, classes ? &set->classes : &set->values);
    }
    if (number == 0 && split->mask != NULL) {
        number = tensor_load(blocks, loaded, split->mask, true, &mask);
        set->mask = (const float *)(const void *)mask.bytes; /* malloc aligned it */
    }
    return number;
}

/* The first step that counts in any trial of the split. */
static size_t mask_begin(const struct trial_set *set, size_t steps) {
    size_t i = 0;
    while (set->mask != NULL && i < steps * set->trials && set->mask[i] == 0.0f) {
        i++;
    }
    return i / set->trials;
}

/* The number of outputs of class targets is known only after reading all of them. */
static size_t classes_count(const struct trial_set *set, const struct safetensor *targets) {
    struct safetensor all = *targets;
    size_t most = 0;
    all.bytes = set->classes.bytes;
    for (size_t i = 0; i < all.count; i++) {
        size_t class = (size_t)safetensor_number(&all, i);
        most = class > most ? class : most;
    }
    return most + 1;
}

static int splits_load(struct blocks *blocks, const struct layout *layout, const struct dataset_info *info,
                       struct dataset_data *loaded) {
    struct task_data *data = &loaded->task;
    *data = dataset_describe(info);
    int number = split_load(blocks, loaded, &layout->train, info->classes, &data->train);
    if (number == 0 && layout->has_test) {
        number = split_load(blocks, loaded, &layout->test, info->classes, &data->test);
    }
    if (number != 0) {
        return number;
    }
    data->train.mask_from = mask_begin(&data->train, data->steps);
    if (info->classes) {
        data->outputs = classes_count(&data->train, layout->train.targets);
    }
    if (layout->has_test) {
        data->test.mask_from = mask_begin(&data->test, data->steps);
        size_t outputs = info->classes ? classes_count(&data->test, layout->test.targets) : 0;
        data->outputs = outputs > data->outputs ? outputs : data->outputs;
    }
    return 0;
}

bool dataset_data_load(const char *path, const char *sha256, struct dataset_data *loaded,
                       char error[DATASET_ERROR_BYTES]) {
    struct blocks blocks;
    struct layout layout;
    struct dataset_info info = {0};
    char digest[STORE_HASH_BYTES] = "";
    *loaded = (struct dataset_data){0};
    *error = '\0';
    int number = blocks_open(&blocks, path);
    number = number != 0 ? number : blocks_digest(&blocks, NULL, digest);
    /* it was checked when it was stored and is the same, byte for byte: no second check */
    bool same = number == 0 && strcmp(digest, sha256) == 0;
    if (number == 0 && !same) {
        fail(error, "the dataset's file is damaged: its sha256 differs from the one under which it was stored");
    }
    same = same && layout_read(&blocks, false, &layout, &info, &number, error);
    if (same) {
        number = splits_load(&blocks, &layout, &info, loaded);
    }
    blocks_close(&blocks);
    if (number == ENOMEM) {
        fail(error, "the dataset does not fit into memory");
    } else if (number != 0) {
        unreadable(number, error);
    }
    if (number != 0 || !same) {
        dataset_data_release(loaded);
    }
    return number == 0 && same;
}

void dataset_data_release(struct dataset_data *loaded) {
    for (int i = 0; i < loaded->count; i++) {
        free(loaded->memory[i]);
    }
    *loaded = (struct dataset_data){0};
}

bool weights_file_load(const char *path, const char *sha256, float **memory, char error[DATASET_ERROR_BYTES]) {
    struct blocks blocks;
    struct layout layout;
    struct dataset_info info = {0};
    char digest[STORE_HASH_BYTES] = "";
    int number = blocks_open(&blocks, path);
    *memory = NULL;
    number = number != 0 ? number : blocks_digest(&blocks, NULL, digest);
    bool same = number == 0 && strcmp(digest, sha256) == 0 &&
                layout_read(&blocks, false, &layout, &info, &number, error) && info.units > 0;
    float *to = same ? malloc((size_t)info.memory) : NULL, *at = to;
    number = same && to == NULL ? ENOMEM : number;
    for (int i = 0; i < 5 && to != NULL && number == 0; i++) {
        struct load load = {.to = (unsigned char *)at, .as_floats = true};
        if (layout.weights[i] != NULL) {
            number = tensor_walk(&blocks, layout.weights[i], NULL, take_load, &load, &same);
            at += layout.weights[i]->count;
        }
    }
    blocks_close(&blocks);
    if (number != 0) {
        free(to);
        unreadable(number, error);
        return false;
    }
    if (!same) {
        free(to);
        return fail(error, "the file of weights is damaged: its sha256 differs from the one under which it was stored");
    }
    *memory = to;
    return true;
}
