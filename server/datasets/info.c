/* What is known about a dataset: see info.h. */
#include "server/datasets/info.h"

#include <stdio.h>
#include <string.h>

/* A document's "format". */
enum { ARRAYS = 1, WEIGHTS, SPIKES };

bool dataset_name_is_valid(const char *name) {
    size_t length = strlen(name);
    return length > 0 && length < DATASET_NAME_BYTES && name[0] != '.' &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") == length;
}

json_t *dataset_info_encode(const struct dataset_info *info) {
    if (info->units > 0) {
        return json_pack("{s:i, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:b}", "format", WEIGHTS, "kind", "weights",
                         "sha256", info->sha256, "bytes", (json_int_t)info->bytes, "memory", (json_int_t)info->memory,
                         "units", (json_int_t)info->units, "inputs", (json_int_t)info->inputs, "outputs",
                         (json_int_t)info->outputs, "bias", info->bias);
    }
    json_t *document = json_pack(
        "{s:i, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:b, s:I, s:I, s:I, s:s, s:s}", "format",
        info->spikes > 0 ? SPIKES : ARRAYS, "sha256", info->sha256, "bytes", (json_int_t)info->bytes, "memory",
        (json_int_t)info->memory, "steps", (json_int_t)info->steps, "trials", (json_int_t)info->trials, "inputs",
        (json_int_t)info->inputs, "outputs", (json_int_t)info->outputs, "test_trials", (json_int_t)info->test_trials,
        "classes", info->classes, "mask", info->mask, "test_mask", info->test_mask, "from", (json_int_t)info->from,
        "test_from", (json_int_t)info->test_from, "counted", (json_int_t)info->counted, "inputs_type",
        info->inputs_type, "targets_type", info->targets_type);
    if (document != NULL && info->spikes > 0 &&
        (json_object_set_new(document, "spikes", json_integer((json_int_t)info->spikes)) != 0 ||
         json_object_set_new(document, "test_spikes", json_integer((json_int_t)info->test_spikes)) != 0)) {
        json_decref(document);
        document = NULL;
    }
    return document;
}

/* A number that counts something; false if it is not one. */
static bool size_decode(const json_t *document, const char *key, json_int_t least, size_t *size) {
    const json_t *value = json_object_get(document, key);
    *size = (size_t)json_integer_value(value);
    return json_is_integer(value) && json_integer_value(value) >= least;
}

static bool text_decode(const json_t *document, const char *key, char *text, size_t room) {
    const char *value = json_string_value(json_object_get(document, key));
    return value != NULL && (size_t)snprintf(text, room, "%s", value) < room;
}

static bool flag_decode(const json_t *document, const char *key, bool *flag) {
    const json_t *value = json_object_get(document, key);
    *flag = json_is_true(value);
    return json_is_boolean(value);
}

static bool weights_info_decode(struct dataset_info *info, const json_t *document) {
    size_t bytes, memory;
    bool ok = text_decode(document, "sha256", info->sha256, sizeof info->sha256) &&
              size_decode(document, "bytes", 1, &bytes) && size_decode(document, "memory", 1, &memory) &&
              size_decode(document, "units", 1, &info->units) && size_decode(document, "inputs", 1, &info->inputs) &&
              size_decode(document, "outputs", 1, &info->outputs) && flag_decode(document, "bias", &info->bias);
    if (ok) {
        info->bytes = (int64_t)bytes;
        info->memory = (int64_t)memory;
    }
    return ok;
}

/* Members that count something, of arrays and of spikes. */
static bool sizes_decode(struct dataset_info *info, const json_t *document, bool spikes) {
    const struct {
        const char *key;
        json_int_t least;
        size_t *size;
    } sizes[] = {{"steps", 1, &info->steps},
                 {"trials", 1, &info->trials},
                 {"inputs", 1, &info->inputs},
                 {"outputs", 1, &info->outputs},
                 {"test_trials", 0, &info->test_trials},
                 {"from", 0, &info->from},
                 {"test_from", 0, &info->test_from},
                 {"spikes", 1, &info->spikes},
                 {"test_spikes", 0, &info->test_spikes}};
    size_t count = sizeof sizes / sizeof *sizes - (spikes ? 0 : 2);
    bool ok = true;
    for (size_t i = 0; i < count; i++) {
        ok = ok && size_decode(document, sizes[i].key, sizes[i].least, sizes[i].size);
    }
    return ok;
}

bool dataset_info_decode(struct dataset_info *info, const json_t *document) {
    size_t format, bytes, memory, counted;
    *info = (struct dataset_info){0};
    if (json_integer_value(json_object_get(document, "format")) == WEIGHTS) {
        return weights_info_decode(info, document);
    }
    bool ok = size_decode(document, "format", 1, &format) && (format == ARRAYS || format == SPIKES) &&
              text_decode(document, "sha256", info->sha256, sizeof info->sha256) &&
              size_decode(document, "bytes", 1, &bytes) && size_decode(document, "memory", 1, &memory) &&
              sizes_decode(info, document, format == SPIKES) && flag_decode(document, "classes", &info->classes) &&
              flag_decode(document, "mask", &info->mask) && flag_decode(document, "test_mask", &info->test_mask) &&
              size_decode(document, "counted", 0, &counted) &&
              text_decode(document, "inputs_type", info->inputs_type, sizeof info->inputs_type) &&
              text_decode(document, "targets_type", info->targets_type, sizeof info->targets_type);
    if (ok) {
        info->bytes = (int64_t)bytes;
        info->memory = (int64_t)memory;
        info->counted = (int64_t)counted;
    }
    return ok;
}

struct task_data dataset_describe(const struct dataset_info *info) {
    return (struct task_data){
        .steps = info->steps,
        .inputs = info->inputs,
        .outputs = info->outputs,
        .spiking = info->spikes > 0,
        .loss = info->classes ? LOSS_CROSS_ENTROPY : LOSS_MSE,
        .train = {.trials = info->trials, .masked = info->mask, .mask_from = info->from},
        .test = {.trials = info->test_trials, .masked = info->test_mask, .mask_from = info->test_from}};
}
