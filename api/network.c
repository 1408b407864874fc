/*
 * The parameter table of the network: its rows, decoders and encoders. Offsets are in struct job_spec, since tau, types
 * and initial weights own memory. Rows that only some neuron models have are taken by name (core/model/neuron.h).
 */
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/array.h"
#include "api/job.h"
#include "api/parameters.h"
#include "api/text.h"
#include "core/model/neuron.h"

#define BIT(x) (1u << (x))
#define COUNT(table) (sizeof(table) / sizeof *(table))
#define TAKEN ~0u         /* by the neuron models that name it */
#define SPIKING (~0u - 1) /* by those that spike */
#define DEFAULTS_OF_NEURONS 64

/* ---- network (offsets in struct job_spec) ---- */

#define NETWORK(member) (offsetof(struct job_spec, config.network) + offsetof(struct network_config, member))
#define TAU_LOW 0.1
#define TAU_HIGH 1e6

static bool tau_is_valid(const json_t *value) {
    return json_is_number(value) && json_number_value(value) >= TAU_LOW && json_number_value(value) <= TAU_HIGH;
}

static void decode_tau_list(const json_t *value, const struct path *path, const struct field *field,
                            struct job_spec *spec, struct problems *problems) {
    size_t count = json_array_size(value);
    char got[80];
    if (count == 0 || count > 16384) {
        problems_add(
            problems, path, field->name,
            "must be a number, a list of one number per unit, or {\"low\", \"high\"}; the list has %zu entries", count);
        return;
    }
    spec->tau_of_unit = json_memory_seen(calloc(count, sizeof *spec->tau_of_unit));
    spec->tau_count = (int)count;
    if (spec->tau_of_unit == NULL) {
        problems_add(problems, path, field->name, "not enough memory for this list");
    }
    for (size_t i = 0; spec->tau_of_unit != NULL && i < count; i++) {
        const json_t *entry = json_array_get(value, i);
        if (!tau_is_valid(entry)) {
            struct path here = {.parent = path, .name = field->name}, below = {.parent = &here, .index = i};
            problems_add(problems, &below, NULL, "must be a number from 0.1 to 1000000; got %s",
                         value_quote(entry, got));
            return;
        }
        spec->tau_of_unit[i] = json_number_value(entry);
    }
    spec->config.network.tau_of_unit = spec->tau_of_unit;
}

static const struct field tau_range_items[] = {
    {.name = "low", .type = FIELD_NUMBER, .offset = NETWORK(tau_low), .low = TAU_LOW, .high = TAU_HIGH},
    {.name = "high", .type = FIELD_NUMBER, .offset = NETWORK(tau_high), .low = TAU_LOW, .high = TAU_HIGH},
};
static const struct fields tau_range_fields = {tau_range_items, COUNT(tau_range_items)};

/* {"low", "high"} into the members that `fields` describes, which `low` and `high` are. */
static void decode_range(const json_t *value, const struct path *path, const struct fields *fields, const double *low,
                         const double *high, struct job_spec *spec, struct problems *problems) {
    size_t before = problems->count;
    fields_decode(&(struct decoding){.fields = fields, .variant = ~0u}, value, path, spec, problems);
    if (problems->count == before && *low > *high) {
        problems_add(problems, path, "low", "must be at most high (%.9g); got %.9g", *high, *low);
    }
}

static void decode_tau(const json_t *value, const struct path *path, const struct field *field, void *object,
                       struct problems *problems) {
    struct job_spec *spec = object;
    struct network_config *network = &spec->config.network;
    char got[80];
    if (json_is_array(value)) {
        decode_tau_list(value, path, field, spec, problems);
    } else if (json_is_object(value)) {
        network->tau_is_range = true;
        decode_range(value, &(struct path){.parent = path, .name = field->name}, &tau_range_fields, &network->tau_low,
                     &network->tau_high, spec, problems);
    } else if (tau_is_valid(value)) {
        network->tau = json_number_value(value);
    } else {
        problems_add(problems, path, field->name,
                     "must be a number from 0.1 to 1000000, a list of such numbers (one per unit), or {\"low\": .., "
                     "\"high\": ..}; got %s",
                     value_quote(value, got));
    }
}

static json_t *encode_tau(const struct field *field, const void *object) {
    const struct job_spec *spec = object;
    const struct network_config *network = &spec->config.network;
    (void)field;
    if (network->tau_is_range) {
        return json_pack("{s:f, s:f}", "low", network->tau_low, "high", network->tau_high);
    }
    if (spec->tau_of_unit == NULL) {
        return json_real(network->tau);
    }
    json_t *list = json_array();
    for (int i = 0; i < spec->tau_count; i++) {
        if (json_array_append_new(list, json_real(spec->tau_of_unit[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static const struct field_custom tau = {
    decode_tau, encode_tau,
    "{\"oneOf\": [{\"type\": \"number\", \"minimum\": 0.1, \"maximum\": 1000000}, {\"type\": \"array\", \"minItems\": "
    "1, \"maxItems\": 16384, "
    "\"items\": {\"type\": \"number\", \"minimum\": 0.1, \"maximum\": 1000000}}, "
    "{\"type\": \"object\", \"properties\": {\"low\": {\"type\": \"number\", \"minimum\": 0.1, \"maximum\": 1000000}, "
    "\"high\": {\"type\": \"number\", \"minimum\": 0.1, \"maximum\": 1000000}}, \"required\": [\"low\", \"high\"], "
    "\"additionalProperties\": false}]}"};

/* ---- the time constant of adaptation: a number or a range ---- */

static const struct field adaptation_range_items[] = {
    {.name = "low", .type = FIELD_NUMBER, .offset = NETWORK(tau_adaptation_low), .low = TAU_LOW, .high = TAU_HIGH},
    {.name = "high", .type = FIELD_NUMBER, .offset = NETWORK(tau_adaptation_high), .low = TAU_LOW, .high = TAU_HIGH},
};
static const struct fields adaptation_range_fields = {adaptation_range_items, COUNT(adaptation_range_items)};

static void decode_adaptation(const json_t *value, const struct path *path, const struct field *field, void *object,
                              struct problems *problems) {
    struct job_spec *spec = object;
    struct network_config *network = &spec->config.network;
    char got[80];
    network->tau_adaptation_is_range = json_is_object(value);
    if (json_is_object(value)) {
        decode_range(value, &(struct path){.parent = path, .name = field->name}, &adaptation_range_fields,
                     &network->tau_adaptation_low, &network->tau_adaptation_high, spec, problems);
    } else if (tau_is_valid(value)) {
        network->tau_adaptation = json_number_value(value);
    } else {
        problems_add(problems, path, field->name,
                     "must be a number from 0.1 to 1000000, or {\"low\": .., \"high\": ..}; got %s",
                     value_quote(value, got));
    }
}

static json_t *encode_adaptation(const struct field *field, const void *object) {
    const struct job_spec *spec = object;
    const struct network_config *network = &spec->config.network;
    (void)field;
    return network->tau_adaptation_is_range
               ? json_pack("{s:f, s:f}", "low", network->tau_adaptation_low, "high", network->tau_adaptation_high)
               : json_real(network->tau_adaptation);
}

static const struct field_custom adaptation = {
    decode_adaptation, encode_adaptation,
    "{\"oneOf\": [{\"type\": \"number\", \"minimum\": 0.1, \"maximum\": 1000000}, "
    "{\"type\": \"object\", \"properties\": {\"low\": {\"type\": \"number\", \"minimum\": 0.1, \"maximum\": 1000000}, "
    "\"high\": {\"type\": \"number\", \"minimum\": 0.1, \"maximum\": 1000000}}, \"required\": [\"low\", \"high\"], "
    "\"additionalProperties\": false}]}"};

/* ---- weights to start from ---- */

/* Shapes of the given weights, from their lists; false if W, Win or Wout is not a matrix. */
static bool initial_shape(const json_t *value, struct weights_document *weights, const struct path *path,
                          struct problems *problems) {
    static const char *const names[] = {"W", "Win", "Wout"};
    size_t lengths[3][3];
    for (int i = 0; i < 3; i++) {
        if (array_shape(json_object_get(value, names[i]), lengths[i]) != 2 || lengths[i][0] == 0 ||
            lengths[i][1] == 0) {
            char got[80];
            problems_add(problems, path, names[i], "must be a list of lists of numbers; got %s",
                         shape_quote(json_object_get(value, names[i]), got));
            return false;
        }
        if (lengths[i][0] > 16384 || lengths[i][1] > 16384) {
            problems_add(problems, path, names[i], "must have at most 16384 rows and columns; it has %zu and %zu",
                         lengths[i][0], lengths[i][1]);
            return false;
        }
    }
    weights->units = (int)lengths[0][0];
    weights->inputs = (int)lengths[1][0];
    weights->outputs = (int)lengths[2][1];
    return true;
}

static void decode_weights(const json_t *value, const struct path *path, struct weights_document *weights,
                           struct problems *problems) {
    if (!initial_shape(value, weights, path, problems)) {
        return;
    }
    const size_t N = (size_t)weights->units, I = (size_t)weights->inputs, O = (size_t)weights->outputs;
    const json_t *b = json_object_get(value, "b");
    const bool bias = b != NULL && !json_is_null(b);
    const struct {
        const char *name;
        int dimensions; /* 0: absent */
        size_t lengths[2], entries;
    } parts[] = {{"W", 2, {N, N}, N * N},
                 {"Win", 2, {I, N}, I * N},
                 {"b", bias, {N}, bias ? N : 0},
                 {"Wout", 2, {N, O}, N * O},
                 {"bout", 1, {O}, O}};
    bool fits[COUNT(parts)], all_fit = true;
    for (size_t i = 0; i < COUNT(parts); i++) {
        const json_t *part = json_object_get(value, parts[i].name);
        fits[i] = parts[i].dimensions > 0 &&
                  array_check(part, parts[i].dimensions, parts[i].lengths, path, parts[i].name, problems);
        all_fit = all_fit && (fits[i] || parts[i].dimensions == 0);
    }
    float *to = all_fit ? json_memory_seen(calloc(N * N + I * N + N + N * O + O, sizeof *to)) : NULL;
    if (all_fit && to == NULL) {
        problems_add(problems, path, NULL, "not enough memory for these weights");
        return;
    }
    for (size_t i = 0, used = 0; i < COUNT(parts); used += parts[i++].entries) {
        const json_t *part = json_object_get(value, parts[i].name);
        /* the entries are checked even if another array does not fit, so that every fault is reported at once */
        (void)(fits[i] && array_read(part, parts[i].dimensions, parts[i].lengths, to == NULL ? NULL : to + used, path,
                                     parts[i].name, problems));
    }
    if (to != NULL) {
        weights->memory = to;
        weights->view = weights_view_make(to, weights->units, weights->inputs, weights->outputs, bias);
    }
}

static const char *const job_members[] = {"job", "iteration"};
/* A weights document is accepted as GET .../weights returns it. */
static const char *const document_members[] = {"job",
                                               "iteration",
                                               "W",
                                               "Win",
                                               "b",
                                               "Wout",
                                               "bout",
                                               "type",
                                               "sha256",
                                               "units",
                                               "inputs",
                                               "outputs",
                                               "leak",
                                               "types",
                                               "sign",
                                               "density",
                                               "mask",
                                               "task",
                                               "tau",
                                               "activation",
                                               "neuron",
                                               "readout",
                                               "discretization",
                                               "rho",
                                               "beta",
                                               "threshold",
                                               "dampening",
                                               "refractory",
                                               "readout_tau",
                                               "noise",
                                               "from_job",
                                               "from_iteration",
                                               "from_weights",
                                               "from_sha256"};

/* Members that this form of `initial` does not have. */
static void complain_unknown_initial(const json_t *value, const char *const *known, size_t count,
                                     const struct path *path, struct problems *problems) {
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)value, name, member) {
        bool found = false;
        for (size_t i = 0; i < count; i++) {
            found = found || strcmp(name, known[i]) == 0;
        }
        if (!found) {
            problems_add_unknown(problems, path, name, "field", known, count);
        }
    }
}

bool weights_reference_is_given(const struct weights_reference *reference) {
    return reference->job[0] != '\0' || reference->file[0] != '\0';
}

static void decode_job_reference(const json_t *value, const struct path *here, struct weights_reference *reference,
                                 struct problems *problems) {
    const json_t *number = json_object_get(value, "iteration");
    char got[80];
    complain_unknown_initial(value, job_members, COUNT(job_members), here, problems);
    snprintf(reference->job, sizeof reference->job, "%s", json_string_value(json_object_get(value, "job")));
    if (number != NULL && (!json_is_integer(number) || json_integer_value(number) < 0)) {
        problems_add(problems, here, "iteration", "must be an integer of at least 0; got %s", value_quote(number, got));
    } else if (number != NULL) {
        reference->iteration = json_integer_value(number);
    }
}

static const struct field file_items[] = {
    {.name = "weights", .type = FIELD_NAME, .offset = offsetof(struct weights_reference, file)},
    {.name = "sha256",
     .type = FIELD_SHA256_OR_NULL,
     .offset = offsetof(struct weights_reference, sha256),
     .fallback = "null"},
};
static const struct fields file_fields = {file_items, COUNT(file_items)};

/* What a stored document says of where its weights were taken from. */
static void decode_from(const json_t *value, struct weights_reference *from) {
    static const char *const names[] = {"from_job", "from_weights", "from_sha256"};
    char *const to[] = {from->job, from->file, from->sha256};
    const size_t room[] = {sizeof from->job, sizeof from->file, sizeof from->sha256};
    for (size_t i = 0; i < COUNT(names); i++) {
        const char *text = json_string_value(json_object_get(value, names[i]));
        snprintf(to[i], room[i], "%s", text == NULL ? "" : text);
    }
    from->iteration = json_integer_value(json_object_get(value, "from_iteration"));
}

void weights_reference_decode(const json_t *value, const struct path *path, const char *name,
                              struct weights_document *document, struct weights_reference *reference,
                              struct problems *problems) {
    const struct path here = {.parent = path, .name = name};
    const char *job = json_string_value(json_object_get(value, "job"));
    char got[80];
    *reference = (struct weights_reference){.iteration = -1};
    if (json_is_null(value)) {
        return;
    }
    if (json_object_get(value, "W") != NULL) {
        complain_unknown_initial(value, document_members, COUNT(document_members), &here, problems);
        decode_weights(value, &here, document, problems);
        decode_from(value, reference);
    } else if (job != NULL && strlen(job) < JOB_ID_BYTES) {
        decode_job_reference(value, &here, reference, problems);
    } else if (json_object_get(value, "weights") != NULL) {
        fields_decode(&(struct decoding){.fields = &file_fields, .variant = ~0u}, value, &here, reference, problems);
    } else {
        problems_add(problems, path, name,
                     "must be null, {\"job\": id, \"iteration\": n}, {\"weights\": name of an uploaded file}, or a "
                     "weights document with W, Win, Wout, bout; got %s",
                     value_quote(value, got));
    }
}

static void decode_initial(const json_t *value, const struct path *path, const struct field *field, void *object,
                           struct problems *problems) {
    struct job_spec *spec = object;
    weights_reference_decode(value, path, field->name, &spec->initial, &spec->initial_from, problems);
    spec->config.network.initial = spec->initial.memory == NULL ? NULL : &spec->initial.view;
}

bool weights_reference_put(const struct weights_reference *from, json_t *document) {
    bool ok = !weights_reference_is_given(from) ||
              json_object_set_new(document, "from_sha256", json_string(from->sha256)) == 0;
    if (from->job[0] != '\0') {
        return json_object_set_new(document, "from_job", json_string(from->job)) == 0 &&
               json_object_set_new(document, "from_iteration", json_integer(from->iteration)) == 0 && ok;
    }
    return (from->file[0] == '\0' || json_object_set_new(document, "from_weights", json_string(from->file)) == 0) && ok;
}

static json_t *encode_initial(const struct field *field, const void *object) {
    const struct job_spec *spec = object;
    (void)field;
    const struct weights_reference *from = &spec->initial_from;
    if (spec->initial.memory != NULL) {
        json_t *sizes = json_pack("{s:i, s:i, s:i}", "units", spec->initial.units, "inputs", spec->initial.inputs,
                                  "outputs", spec->initial.outputs);
        if (sizes != NULL && !weights_reference_put(from, sizes)) {
            json_decref(sizes);
            return NULL;
        }
        return sizes;
    }
    if (from->file[0] != '\0') {
        return from->sha256[0] == '\0' ? json_pack("{s:s}", "weights", from->file)
                                       : json_pack("{s:s, s:s}", "weights", from->file, "sha256", from->sha256);
    }
    if (from->job[0] != '\0') {
        return from->iteration < 0
                   ? json_pack("{s:s}", "job", from->job)
                   : json_pack("{s:s, s:I}", "job", from->job, "iteration", (json_int_t)from->iteration);
    }
    return json_null();
}

static const struct field_custom initial = {decode_initial, encode_initial, "{\"type\": [\"object\", \"null\"]}"};

#define TYPES_MAX 16384

/* The number of types, or 0 with a fault: each from 0 on must be some unit's. */
static int types_count(const int *type_of_unit, size_t units, const struct path *path, const char *name,
                       struct problems *problems) {
    int count = 0;
    bool used[TYPES_MAX] = {false};
    for (size_t i = 0; i < units; i++) {
        used[type_of_unit[i]] = true;
        count = type_of_unit[i] >= count ? type_of_unit[i] + 1 : count;
    }
    for (int type = 0; type < count; type++) {
        if (!used[type]) {
            problems_add(problems, path, name, "must use every type from 0 to its largest (%d); no unit is of type %d",
                         count - 1, type);
            return 0;
        }
    }
    return count;
}

static void decode_types_list(const json_t *value, const struct path *path, const struct field *field,
                              struct job_spec *spec, struct problems *problems) {
    struct network_config *network = &spec->config.network;
    size_t count = json_array_size(value);
    if (count == 0 || count > TYPES_MAX) {
        problems_add(problems, path, field->name,
                     "must be a list of one integer for each unit; the list has %zu entries", count);
        return;
    }
    spec->type_of_unit = json_memory_seen(calloc(count, sizeof *spec->type_of_unit));
    if (spec->type_of_unit == NULL) {
        problems_add(problems, path, field->name, "not enough memory for this list");
    } else if (array_read_integers(value, 1, &count, 0, TYPES_MAX - 1, spec->type_of_unit, path, field->name,
                                   problems)) {
        spec->type_count = (int)count;
        network->types = types_count(spec->type_of_unit, count, path, field->name, problems);
        network->type_of_unit = network->types > 0 ? spec->type_of_unit : NULL;
    }
}

static void decode_types(const json_t *value, const struct path *path, const struct field *field, void *object,
                         struct problems *problems) {
    struct job_spec *spec = object;
    char got[80];
    if (json_is_array(value)) {
        decode_types_list(value, path, field, spec, problems);
    } else if (json_is_string(value) && strcmp(json_string_value(value), "shuffled") == 0) {
        spec->config.network.types_shuffled = true;
    } else if (!json_is_null(value)) {
        problems_add(problems, path, field->name,
                     "must be a list of one integer for each unit, \"shuffled\", or null; got %s",
                     value_quote(value, got));
    }
}

static json_t *encode_types(const struct field *field, const void *object) {
    const struct job_spec *spec = object;
    (void)field;
    if (spec->type_of_unit == NULL) {
        return spec->config.network.types_shuffled ? json_string("shuffled") : json_null();
    }
    json_t *list = json_array();
    for (int i = 0; i < spec->type_count; i++) {
        if (json_array_append_new(list, json_integer(spec->type_of_unit[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static const struct field_custom types = {
    decode_types, encode_types,
    "{\"oneOf\": [{\"type\": \"null\"}, {\"const\": \"shuffled\"}, {\"type\": \"array\", \"minItems\": 1, "
    "\"maxItems\": "
    "16384, \"items\": {\"type\": \"integer\", \"minimum\": 0, \"maximum\": 16383}}]}"};

#define ACTIVATION_NAME(number, name) #name,
static const char *const activation_choices[] = {ACTIVATION_ROWS(ACTIVATION_NAME) NULL};
static const char *const rewiring_choices[] = {"none", "deep_r", NULL};
static const char *const discretization_choices[] = {"exponential", "euler", NULL};

#define NEURON_NAME(number, name) #name,
static const char *const neuron_choices[] = {NEURONS(NEURON_NAME) NULL};

static const struct field network_items[] = {
    {.name = "model",
     .type = FIELD_CHOICE,
     .offset = NETWORK(neuron),
     .choices = neuron_choices,
     .fallback = "\"membrane\"",
     .identity = "\"membrane\"",
     .omit_fallback = true,
     .doc = "neuron model: what a unit's state is and which derivatives leave it (GET /v1/neurons)"},
    {.name = "units",
     .type = FIELD_INT,
     .offset = NETWORK(units),
     .low = 1,
     .high = 16384,
     .fallback = "120",
     .identity = "120",
     .doc = "recurrent units; at least 6 with Dale's law"},
    {.name = "tau",
     .type = FIELD_CUSTOM,
     .custom = &tau,
     .unit = "ms",
     .fallback = "100",
     .identity = "100",
     .doc = "membrane time constant: one number, one per unit, or a range from which the seed draws each unit's"},
    {.name = "activation",
     .type = FIELD_CHOICE,
     .offset = NETWORK(activation),
     .choices = activation_choices,
     .fallback = "\"relu\"",
     .identity = "\"relu\"",
     .variants = TAKEN,
     .doc = "firing rate as a function of the membrane potential, with model rate of the current"},
    {.name = "threshold",
     .type = FIELD_NUMBER,
     .offset = NETWORK(threshold),
     .low = THRESHOLD_LEAST,
     .high = 1000,
     .fallback = "0.6",
     .identity = "0.6",
     .variants = TAKEN,
     .doc = "membrane potential above which a unit spikes, and what a spike subtracts from it"},
    {.name = "dampening",
     .type = FIELD_NUMBER,
     .offset = NETWORK(dampening),
     .low = 0,
     .high = 1000,
     .fallback = "0.3",
     .identity = "0.3",
     .variants = TAKEN,
     .doc = "height of the pseudo-derivative of a spike, times the threshold"},
    {.name = "refractory",
     .type = FIELD_INT,
     .offset = NETWORK(refractory),
     .unit = "ms",
     .low = 0,
     .high = 1000000,
     .fallback = "5",
     .identity = "5",
     .variants = TAKEN,
     .doc = "time after a spike in which the unit cannot spike"},
    {.name = "beta",
     .type = FIELD_NUMBER,
     .offset = NETWORK(beta),
     .low = 0,
     .high = 1000,
     .fallback = "0.16",
     .identity = "0.16",
     .variants = TAKEN,
     .doc = "what a spike of an adaptive unit adds to its threshold"},
    {.name = "tau_adaptation",
     .type = FIELD_CUSTOM,
     .custom = &adaptation,
     .unit = "ms",
     .fallback = "1200",
     .identity = "1200",
     .variants = TAKEN,
     .doc = "time constant with which the threshold falls back: one number, or a range from which the seed draws each "
            "unit's"},
    {.name = "adaptive_fraction",
     .type = FIELD_NUMBER,
     .offset = NETWORK(adaptive_fraction),
     .low = 0,
     .high = 1,
     .fallback = "0.4",
     .identity = "0.4",
     .variants = TAKEN,
     .doc = "share of the units whose threshold adapts: the last ones of each sign"},
    {.name = "readout_tau",
     .type = FIELD_NUMBER_OR_NULL,
     .offset = NETWORK(readout_tau),
     .unit = "ms",
     .low = TAU_LOW,
     .high = TAU_HIGH,
     .fallback = "null",
     .identity = "null",
     .variants = TAKEN,
     .omit_null = true,
     .doc = "time constant of the readout's leak; null: it has none"},
    {.name = "readout_tau",
     .type = FIELD_NUMBER_OR_NULL,
     .offset = NETWORK(readout_tau),
     .unit = "ms",
     .low = TAU_LOW,
     .high = TAU_HIGH,
     .fallback = "20",
     .identity = "null",
     .variants = SPIKING,
     .doc = "time constant of the readout's leak; null: it has none"},
    {.name = "noise",
     .type = FIELD_NUMBER,
     .offset = NETWORK(noise),
     .low = 0,
     .high = 1000,
     .fallback = "0",
     .identity = "0",
     .omit_fallback = true,
     .doc = "normal noise on the current of every unit at every step, such that by itself it gives the membrane "
            "potential this standard deviation (model rate: inside the activation)"},
    {.name = "dale",
     .type = FIELD_BOOLEAN,
     .offset = NETWORK(dale),
     .fallback = "true",
     .identity = "true",
     .doc = "Dale's law: a unit's outgoing weights have one sign"},
    {.name = "excitatory_fraction",
     .type = FIELD_NUMBER,
     .offset = NETWORK(excitatory_fraction),
     .low = 0,
     .high = 1,
     .fallback = "0.8",
     .identity = "0.8",
     .doc = "with Dale's law: share of excitatory units"},
    {.name = "types_per_sign",
     .type = FIELD_INT,
     .offset = NETWORK(types_per_sign),
     .low = 1,
     .high = 16384,
     .fallback = "1",
     .identity = "1",
     .doc = "cell types among the inhibitory and among the excitatory units"},
    {.name = "types",
     .type = FIELD_CUSTOM,
     .custom = &types,
     .fallback = "null",
     .identity = "null",
     .omit_null = true,
     .doc =
         "which type each unit is of, in the place of contiguous groups: a list of one integer for each unit, from 0 "
         "to the number of types - 1; or \"shuffled\": the groups of types_per_sign, dealt out at random within a "
         "sign"},
    {.name = "connectivity",
     .type = FIELD_NUMBER,
     .offset = NETWORK(connectivity),
     .low = 0,
     .low_excluded = true,
     .high = 1,
     .fallback = "1.0",
     .identity = "1.0",
     .doc = "share of the recurrent synapses that may exist"},
    {.name = "rewiring",
     .type = FIELD_CHOICE,
     .offset = NETWORK(rewiring),
     .choices = rewiring_choices,
     .fallback = "\"deep_r\"",
     .identity = "\"deep_r\"",
     .doc = "what brings back a weight that an update pushed to zero: only its gradient, or random draws (Deep "
            "R; needs Dale's law)"},
    {.name = "discretization",
     .type = FIELD_CHOICE,
     .offset = NETWORK(discretization),
     .choices = discretization_choices,
     .fallback = "\"exponential\"",
     .identity = "\"exponential\"",
     .doc = "leak per step: exp(-dt/tau) or 1 - dt/tau"},
    {.name = "bias",
     .type = FIELD_BOOLEAN,
     .offset = NETWORK(bias),
     .fallback = "false",
     .identity = "false",
     .doc = "whether recurrent units have a bias"},
    {.name = "initial",
     .type = FIELD_CUSTOM,
     .custom = &initial,
     .fallback = "null",
     .identity = "null",
     .doc = "weights to start from: {\"job\": id, \"iteration\": n} (null: newest), {\"weights\": name} of a file that "
            "was uploaded by PUT /v1/datasets/{name}, or a weights document; units default to theirs; the job says "
            "which it took; a log event "
            "reports what the network cannot hold of them (the diagonal, "
            "entries outside the mask, signs against Dale's law, b without bias)"},
};

/* The same with the variants of rows that are taken; and where a model's defaults differ. */
static struct {
    struct variant variants[NEURON_MODELS];
    struct field items[COUNT(network_items)];
    struct fields fields;
    struct field_default defaults[DEFAULTS_OF_NEURONS];
    size_t default_count;
} networks;

static bool neuron_takes(const struct neuron_ops *ops, const char *name) {
    for (const char *const *taken = ops->takes; taken != NULL && *taken != NULL; taken++) {
        if (strcmp(*taken, name) == 0) {
            return true;
        }
    }
    return false;
}

static void networks_collect(void) {
    memcpy(networks.items, network_items, sizeof network_items);
    networks.fields = (struct fields){networks.items, COUNT(network_items)};
    for (int i = 0; i < NEURON_MODELS; i++) {
        const struct neuron_ops *ops = neuron_table[i];
        networks.variants[i] = (struct variant){ops->name, ops->doc};
        for (size_t k = 0; k < COUNT(network_items); k++) {
            unsigned *variants = &networks.items[k].variants;
            if (network_items[k].variants == SPIKING) {
                *variants = (i == 0 ? 0 : *variants) | (ops->spikes ? BIT(i) : 0);
            }
            if (network_items[k].variants == TAKEN) {
                *variants = (i == 0 ? 0 : *variants) | (neuron_takes(ops, network_items[k].name) ? BIT(i) : 0);
            }
        }
        for (size_t k = 0; k < ops->default_count && networks.default_count < DEFAULTS_OF_NEURONS; k++) {
            const struct neuron_default *one = &ops->defaults[k];
            networks.defaults[networks.default_count++] = (struct field_default){BIT(i), one->section, one->name,
                                                                                 one->fallback};
        }
    }
}

static void networks_ready(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, networks_collect);
}

const struct variant *neuron_variants(void) {
    networks_ready();
    return networks.variants;
}

const struct fields *network_fields(void) {
    networks_ready();
    return &networks.fields;
}

const struct field_default *neuron_defaults(size_t *count) {
    networks_ready();
    *count = networks.default_count;
    return networks.defaults;
}
