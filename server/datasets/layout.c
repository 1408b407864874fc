/*
 * What a dataset's file holds: see layout.h.
 */
#include "server/datasets/layout.h"

#include <stdio.h>
#include <string.h>

#define LENGTH_MAX INT32_MAX
#define INPUTS_MAX 16384

static bool fail(char *error, const char *sentence) {
    snprintf(error, DATASET_ERROR_BYTES, "%s", sentence);
    return false;
}

/* "F32 (12, 30, 2)": a tensor's type and shape. */
static const char *tensor_quote(const struct safetensor *tensor, char text[128]) {
    int used = snprintf(text, 128, "%s (", tensor_type_name(tensor->type));
    for (int i = 0; i < tensor->dimensions; i++) {
        used += snprintf(text + used, 128 - (size_t)used, "%s%zu", i == 0 ? "" : ", ", tensor->shape[i]);
    }
    snprintf(text + used, 128 - (size_t)used, ")");
    return text;
}

static bool names_are_known(const struct layout *layout, char *error) {
    static const char *const known[] = {"inputs", "targets", "mask", "spikes_trials", "spikes_times", "spikes_units"};
    for (int i = 0; i < layout->count; i++) {
        const char *name = layout->tensors[i].name;
        bool found = false;
        name += strncmp(name, "test_", 5) == 0 ? 5 : 0;
        for (size_t j = 0; j < sizeof known / sizeof known[0]; j++) {
            found = found || strcmp(name, known[j]) == 0;
        }
        if (!found) {
            snprintf(
                error, DATASET_ERROR_BYTES,
                "the tensor \"%.60s\" is not one of inputs (or spikes_trials, spikes_times, spikes_units), targets, "
                "mask, nor one of these with test_ in front",
                layout->tensors[i].name);
            return false;
        }
    }
    return true;
}

/* ---- inputs ---- */

static bool inputs_fit(struct split *split, const char *prefix, char *error) {
    const struct safetensor *x = split->inputs;
    char got[128];
    if (x->dimensions == 3 && x->count > 0 && x->shape[0] <= LENGTH_MAX && x->shape[1] <= LENGTH_MAX &&
        x->shape[2] <= INPUTS_MAX) {
        memcpy(split->shape, x->shape, sizeof split->shape);
        return true;
    }
    snprintf(error, DATASET_ERROR_BYTES,
             "the tensor %sinputs must have the shape (steps, trials, inputs), none 0, at most %d inputs; got %s",
             prefix, INPUTS_MAX, tensor_quote(x, got));
    return false;
}

/* The metadata's "[12, 30, 2]": steps, trials, inputs. */
static bool shape_read(const char *text, size_t shape[3]) {
    json_t *document = json_loads(text, 0, NULL);
    bool ok = json_is_array(document) && json_array_size(document) == 3;
    for (size_t i = 0; ok && i < 3; i++) {
        const json_t *length = json_array_get(document, i);
        ok = json_is_integer(length) && json_integer_value(length) > 0 &&
             json_integer_value(length) <= (i == 2 ? INPUTS_MAX : LENGTH_MAX);
        shape[i] = (size_t)json_integer_value(length);
    }
    json_decref(document);
    return ok;
}

static bool spikes_fit(struct split *split, const char *prefix, const char *shape, char *error) {
    static const char *const names[SPIKE_TENSORS] = {"trials", "times", "units"};
    const struct safetensor *first = split->spikes[0];
    char got[128] = "none";
    for (int i = 0; i < SPIKE_TENSORS; i++) {
        const struct safetensor *tensor = split->spikes[i];
        if (tensor == NULL || tensor->dimensions != 1 || tensor->count == 0 || !safetensor_is_integer(tensor) ||
            tensor->count != first->count) {
            snprintf(error, DATASET_ERROR_BYTES,
                     "the tensors %sspikes_trials, %sspikes_times and %sspikes_units must hold integers, one of each a "
                     "spike, and at least one spike; of %sspikes_%s got %s",
                     prefix, prefix, prefix, prefix, names[i], tensor == NULL ? got : tensor_quote(tensor, got));
            return false;
        }
    }
    if (!shape_read(shape, split->shape)) {
        snprintf(
            error, DATASET_ERROR_BYTES,
            "__metadata__ must say the spikes' \"%sshape\" as the text \"[steps, trials, inputs]\", integers of at "
            "least 1, at most %d inputs; got \"%.60s\"",
            prefix, INPUTS_MAX, shape);
        return false;
    }
    return true;
}

static bool has_spikes(const struct split *split) {
    return split->spikes[0] != NULL || split->spikes[1] != NULL || split->spikes[2] != NULL;
}

/* "inputs, F32 (12, 30, 2)": where the split's shape stands. */
static const char *shape_quote(const struct split *split, const char *prefix, char text[192]) {
    char got[128];
    if (split->inputs != NULL) {
        snprintf(text, 192, "%sinputs, %s", prefix, tensor_quote(split->inputs, got));
    } else {
        snprintf(text, 192, "the metadata's %sshape, [%zu, %zu, %zu]", prefix, split->shape[0], split->shape[1],
                 split->shape[2]);
    }
    return text;
}

/* ---- targets and mask ---- */

bool targets_are_per_trial(const struct safetensor *targets) {
    return targets->dimensions == 1;
}

bool targets_are_classes(const struct safetensor *targets) {
    return targets->dimensions < 3;
}

static bool spans_the_trials(const struct safetensor *tensor, const struct split *split) {
    return tensor->dimensions >= 2 && tensor->shape[0] == split->shape[0] && tensor->shape[1] == split->shape[1];
}

static bool targets_fit(const struct split *split, const char *prefix, char *error) {
    const struct safetensor *y = split->targets;
    char got[128], whole[192];
    bool fits = y->dimensions == 1   ? y->shape[0] == split->shape[1] && safetensor_is_integer(y)
                : y->dimensions == 2 ? spans_the_trials(y, split) && safetensor_is_integer(y)
                : y->dimensions == 3 ? spans_the_trials(y, split) && y->shape[2] > 0 && y->shape[2] <= OUTPUTS_MAX
                                     : false;
    if (!fits) {
        snprintf(error, DATASET_ERROR_BYTES,
                 "the tensor %stargets must be integers of shape (trials) or (steps, trials), classes, or numbers of "
                 "shape (steps, trials, outputs), with the steps and trials of %s; got %s",
                 prefix, shape_quote(split, prefix, whole), tensor_quote(y, got));
    }
    return fits;
}

static bool mask_fits(const struct split *split, const char *prefix, char *error) {
    const struct safetensor *m = split->mask;
    char got[128], whole[192];
    if (m == NULL || (m->dimensions == 2 && spans_the_trials(m, split))) {
        return true;
    }
    snprintf(error, DATASET_ERROR_BYTES, "the tensor %smask must have the shape (steps, trials) of %s; got %s", prefix,
             shape_quote(split, prefix, whole), tensor_quote(m, got));
    return false;
}

/* ---- splits ---- */

/* Finds the tensors of a split; false if it has none at all. */
static bool split_find(const struct layout *layout, const char *prefix, struct split *split) {
    const struct {
        const char *name;
        const struct safetensor **tensor;
    } members[] = {{"inputs", &split->inputs},
                   {"spikes_trials", &split->spikes[SPIKE_TRIALS]},
                   {"spikes_times", &split->spikes[SPIKE_TIMES]},
                   {"spikes_units", &split->spikes[SPIKE_UNITS]},
                   {"targets", &split->targets},
                   {"mask", &split->mask}};
    bool found = false;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s%s", prefix, members[i].name);
        *members[i].tensor = safetensor_find(layout->tensors, layout->count, name);
        found = found || *members[i].tensor != NULL;
    }
    return found;
}

static bool split_fits(struct split *split, const char *prefix, const char *shape, char *error) {
    bool spikes = has_spikes(split);
    if ((split->inputs == NULL && !spikes) || split->targets == NULL) {
        snprintf(error, DATASET_ERROR_BYTES,
                 "the tensors %sinputs (or %sspikes_trials, %sspikes_times and %sspikes_units) and %stargets are "
                 "required",
                 prefix, prefix, prefix, prefix, prefix);
        return false;
    }
    if (split->inputs != NULL && spikes) {
        snprintf(error, DATASET_ERROR_BYTES, "the inputs must be either the tensor %sinputs or spikes; got both",
                 prefix);
        return false;
    }
    return (spikes ? spikes_fit(split, prefix, shape, error) : inputs_fit(split, prefix, error)) &&
           targets_fit(split, prefix, error) && mask_fits(split, prefix, error);
}

static void split_describe(const struct split *split, struct dataset_info *info) {
    const struct safetensor *y = split->targets,
                            *x = split->inputs == NULL ? split->spikes[SPIKE_UNITS] : split->inputs;
    info->steps = split->shape[0];
    info->trials = split->shape[1];
    info->inputs = split->shape[2];
    info->classes = targets_are_classes(y);
    info->outputs = info->classes ? 0 : y->shape[2];
    info->spikes = split->inputs == NULL ? x->count : 0;
    info->mask = split->mask != NULL;
    snprintf(info->inputs_type, sizeof info->inputs_type, "%s", tensor_type_name(x->type));
    snprintf(info->targets_type, sizeof info->targets_type, "%s", tensor_type_name(y->type));
}

/* Whether the test split fits the training split, which `info` describes. */
static bool test_agrees(const struct split *test, struct dataset_info *info, char *error) {
    const struct safetensor *y = test->targets;
    char got[128];
    info->test_trials = test->shape[1];
    info->test_mask = test->mask != NULL;
    info->test_spikes = test->inputs == NULL ? test->spikes[SPIKE_UNITS]->count : 0;
    if ((test->inputs == NULL) != (info->spikes > 0)) {
        return fail(error, "the test split must have spikes where the training split has, and an array of inputs "
                           "where that has one");
    }
    if (test->shape[0] != info->steps || test->shape[2] != info->inputs || targets_are_classes(y) != info->classes ||
        (!info->classes && y->shape[2] != info->outputs)) {
        snprintf(error, DATASET_ERROR_BYTES,
                 "the test split must have the steps (%zu), inputs (%zu) and kind of targets (%s) of the training "
                 "split; got %zu, %zu and %s",
                 info->steps, info->inputs, info->classes ? "classes" : "values", test->shape[0], test->shape[2],
                 tensor_quote(y, got));
        return false;
    }
    return true;
}

size_t tensor_memory(const struct safetensor *tensor, bool as_floats) {
    bool in_place = !as_floats && tensor->type != TENSOR_F64;
    return tensor->count * (in_place ? tensor_type_size(tensor->type) : sizeof(float));
}

/* ---- weights ---- */

#define WEIGHTS_UNITS_MAX 16384
static const char *const weights_names[5] = {"W", "Win", "b", "Wout", "bout"};

static bool weights_fit(const struct safetensor *tensor, const char *name, int dimensions, size_t rows, size_t columns,
                        char *error) {
    char got[128] = "none", second[32] = "";
    if (tensor != NULL && tensor->dimensions == dimensions && tensor->shape[0] == rows &&
        (dimensions == 1 || tensor->shape[1] == columns) &&
        (tensor->type == TENSOR_F32 || tensor->type == TENSOR_F64)) {
        return true;
    }
    if (dimensions == 2) {
        snprintf(second, sizeof second, ", %zu", columns);
    }
    snprintf(error, DATASET_ERROR_BYTES, "the tensor %s must hold F32 or F64 of the shape (%zu%s); got %s", name, rows,
             second, tensor == NULL ? got : tensor_quote(tensor, got));
    return false;
}

/* Whether the three matrices are there, and of sizes that a network may have. */
static bool weights_sizes_fit(const struct safetensor *const *w, char *error) {
    for (int i = 0; i < 4; i++) {
        if (i != 2 && (w[i] == NULL || w[i]->dimensions != 2)) {
            return fail(error, "weights must have the tensors W (N, N), Win (inputs, N), Wout (N, outputs) and bout "
                               "(outputs), and may have b (N)");
        }
    }
    size_t n = w[0]->shape[0], inputs = w[1]->shape[0], outputs = w[3]->shape[1];
    if (n == 0 || n > WEIGHTS_UNITS_MAX || inputs == 0 || inputs > INPUTS_MAX || outputs == 0 ||
        outputs > OUTPUTS_MAX) {
        return fail(error, "weights must be of 1 to 16384 units, 1 to 16384 inputs and 1 to 4096 outputs");
    }
    return true;
}

/* What the weights are, once a tensor is named W. */
static bool weights_layout(struct layout *layout, size_t size, struct dataset_info *info, char *error) {
    const struct safetensor **w = layout->weights;
    for (int i = 0; i < 5; i++) {
        w[i] = safetensor_find(layout->tensors, layout->count, weights_names[i]);
    }
    if (!weights_sizes_fit(w, error)) {
        return false;
    }
    size_t n = w[0]->shape[0], inputs = w[1]->shape[0], outputs = w[3]->shape[1];
    if (!weights_fit(w[0], "W", 2, n, n, error) || !weights_fit(w[1], "Win", 2, inputs, n, error) ||
        (w[2] != NULL && !weights_fit(w[2], "b", 1, n, 0, error)) || !weights_fit(w[3], "Wout", 2, n, outputs, error) ||
        !weights_fit(w[4], "bout", 1, outputs, 0, error)) {
        return false;
    }
    info->units = n;
    info->inputs = inputs;
    info->outputs = outputs;
    info->bias = w[2] != NULL;
    info->bytes = (int64_t)size;
    info->memory = 0;
    for (int i = 0; i < 5; i++) {
        info->memory += w[i] == NULL ? 0 : (int64_t)(w[i]->count * sizeof(float));
    }
    return true;
}

bool layout_read(struct blocks *blocks, bool strict, struct layout *layout, struct dataset_info *info, int *number,
                 char error[DATASET_ERROR_BYTES]) {
    char reason[256];
    size_t held;
    *number = blocks_header(blocks, &held);
    if (*number != 0) {
        return false;
    }
    if (!safetensors_parse_header(blocks->block, held, blocks->size, strict, layout->tensors, &layout->count,
                                  &layout->metadata, reason)) {
        return fail(error, reason);
    }
    memset(layout->weights, 0, sizeof layout->weights);
    if (safetensor_find(layout->tensors, layout->count, "W") != NULL) {
        return weights_layout(layout, blocks->size, info, error);
    }
    (void)split_find(layout, "", &layout->train);
    layout->has_test = split_find(layout, "test_", &layout->test);
    if (!names_are_known(layout, error) || !split_fits(&layout->train, "", layout->metadata.shape, error)) {
        return false;
    }
    split_describe(&layout->train, info);
    info->bytes = (int64_t)blocks->size;
    return !layout->has_test || (split_fits(&layout->test, "test_", layout->metadata.test_shape, error) &&
                                 test_agrees(&layout->test, info, error));
}
