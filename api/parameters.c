/*
 * The parameter tables of task, network and rule, but for what only one task or one rule has: their files own that
 * (core/tasks, core/rules). Those of optimizer and training are in parameters_training.c.
 * Offsets are within the structs of core/model/config.h, but for network (struct job_spec: tau and initial weights own
 * memory). Defaults are the published delayed XOR run (Liu et al. 2022); a task's file says where it learns better with
 * others.
 */
#include "api/parameters.h"

#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/array.h"
#include "api/job.h"
#include "api/numbers.h"
#include "core/rules/rules.h"
#include "core/tasks/task.h"

#define TEXT_OF(x) #x
#define TEXT(macro) TEXT_OF(macro)
#define BIT(x) (1u << (x))
#define COUNT(table) (sizeof(table) / sizeof *(table))
#define FIELDS_OF_TASKS 256 /* rows of all tasks together */
#define FIELDS_OF_RULES 128
#define DEFAULTS_OF_TASKS 256

/* ---- task: the tables are those of the tasks' files ---- */

static struct {
    struct variant variants[TASKS_MOST];
    struct field items[FIELDS_OF_TASKS];
    struct field_default defaults[DEFAULTS_OF_TASKS];
    struct fields fields;
    size_t default_count;
} tasks;

static void tasks_collect(void) {
    tasks.fields.items = tasks.items;
    for (int i = 0; i < task_count; i++) {
        const struct task_ops *ops = task_table[i];
        tasks.variants[i] = (struct variant){ops->name, ops->doc};
        for (size_t k = 0; k < ops->parameters.count && tasks.fields.count < FIELDS_OF_TASKS; k++) {
            struct field *item = &tasks.items[tasks.fields.count++];
            *item = ops->parameters.items[k];
            item->variants = BIT(i);
        }
        for (size_t k = 0; k < ops->default_count && tasks.default_count < DEFAULTS_OF_TASKS; k++) {
            const struct task_default *one = &ops->defaults[k];
            tasks.defaults[tasks.default_count++] = (struct field_default){BIT(i), one->section, one->name,
                                                                           one->fallback};
        }
    }
}

static void tasks_ready(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, tasks_collect);
}

const struct variant *task_variants(void) {
    tasks_ready();
    return tasks.variants;
}

const struct fields *task_fields(void) {
    tasks_ready();
    return &tasks.fields;
}

const struct field_default *task_defaults(size_t *count) {
    tasks_ready();
    *count = tasks.default_count;
    return tasks.defaults;
}

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
    spec->tau_of_unit = calloc(count, sizeof *spec->tau_of_unit);
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

static void decode_tau_range(const json_t *value, const struct path *path, struct job_spec *spec,
                             struct problems *problems) {
    struct network_config *network = &spec->config.network;
    size_t before = problems->count;
    network->tau_is_range = true;
    fields_decode(&(struct decoding){.fields = &tau_range_fields, .variant = ~0u}, value, path, spec, problems);
    if (problems->count == before && network->tau_low > network->tau_high) {
        problems_add(problems, path, "low", "must be at most high (%.9g); got %.9g", network->tau_high,
                     network->tau_low);
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
        decode_tau_range(value, &(struct path){.parent = path, .name = field->name}, spec, problems);
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
    float *to = all_fit ? calloc(N * N + I * N + N + N * O + O, sizeof *to) : NULL;
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

/* Members that neither form of `initial` has. A weights document is accepted as GET .../weights returns it. */
static void complain_unknown_initial(const json_t *value, bool reference, const struct path *path,
                                     struct problems *problems) {
    static const char *const known[] = {
        "job",    "iteration", "W",      "Win",        "b",      "Wout",    "bout",          "type",
        "sha256", "units",     "inputs", "outputs",    "leak",   "types",   "sign",          "density",
        "mask",   "task",      "tau",    "activation", "neuron", "readout", "discretization"};
    const size_t count = reference ? 2 : COUNT(known);
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

void weights_reference_decode(const json_t *value, const struct path *path, const char *name,
                              struct weights_document *document, char job[JOB_ID_BYTES], int64_t *iteration,
                              struct problems *problems) {
    const struct path here = {.parent = path, .name = name};
    const char *given = json_string_value(json_object_get(value, "job"));
    char got[80];
    *iteration = -1;
    if (json_is_null(value)) {
        return;
    }
    if (json_object_get(value, "W") != NULL) {
        complain_unknown_initial(value, false, &here, problems);
        decode_weights(value, &here, document, problems);
    } else if (given != NULL && strlen(given) < JOB_ID_BYTES) {
        const json_t *number = json_object_get(value, "iteration");
        complain_unknown_initial(value, true, &here, problems);
        snprintf(job, JOB_ID_BYTES, "%s", given);
        if (number != NULL && (!json_is_integer(number) || json_integer_value(number) < 0)) {
            problems_add(problems, &here, "iteration", "must be an integer of at least 0; got %s",
                         value_quote(number, got));
        } else if (number != NULL) {
            *iteration = json_integer_value(number);
        }
    } else {
        problems_add(
            problems, path, name,
            "must be null, {\"job\": id, \"iteration\": n}, or a weights document with W, Win, Wout, bout; got %s",
            value_quote(value, got));
    }
}

static void decode_initial(const json_t *value, const struct path *path, const struct field *field, void *object,
                           struct problems *problems) {
    struct job_spec *spec = object;
    weights_reference_decode(value, path, field->name, &spec->initial, spec->initial_job, &spec->initial_iteration,
                             problems);
    spec->config.network.initial = spec->initial.memory == NULL ? NULL : &spec->initial.view;
}

static json_t *encode_initial(const struct field *field, const void *object) {
    const struct job_spec *spec = object;
    (void)field;
    if (spec->initial_job[0] != '\0') {
        json_t *reference = json_pack("{s:s}", "job", spec->initial_job);
        if (spec->initial_iteration >= 0 &&
            json_object_set_new(reference, "iteration", json_integer(spec->initial_iteration)) != 0) {
            json_decref(reference);
            return NULL;
        }
        return reference;
    }
    if (spec->initial.memory == NULL) {
        return json_null();
    }
    return json_pack("{s:i, s:i, s:i}", "units", spec->initial.units, "inputs", spec->initial.inputs, "outputs",
                     spec->initial.outputs);
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
    spec->type_of_unit = calloc(count, sizeof *spec->type_of_unit);
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

static const struct field network_items[] = {
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
     .doc = "firing rate as a function of the membrane potential"},
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
     .doc = "weights to start from: a job's checkpoint, or a weights document; units default to theirs; a log event "
            "reports what the network cannot hold of them (the diagonal, "
            "entries outside the mask, signs against Dale's law, b without bias)"},
};

const struct fields network_fields = {network_items, COUNT(network_items)};

/* ---- rule ---- */

#define RULE(member) offsetof(struct rule_config, member)
#define TAKEN ~0u /* by the rules that name it, see core/rules/rules.h */

static void decode_mu(const json_t *value, const struct path *path, const struct field *field, void *object,
                      struct problems *problems) {
    struct rule_config *rule = object;
    char got[80];
    rule->mu_auto = json_is_string(value) && strcmp(json_string_value(value), "auto") == 0;
    rule->mu = rule->mu_auto || json_is_array(value) ? MU_PUBLISHED : json_number_value(value);
    rule->mu_of = (struct numbers){0};
    if (json_is_array(value)) {
        numbers_decode(value, 1, 0, 1, path, field->name, &rule->mu_of, problems);
    } else if (!rule->mu_auto && (!json_is_number(value) || !(rule->mu >= 0.0 && rule->mu <= 1.0))) {
        problems_add(
            problems, path, field->name,
            "must be a number from 0 to 1, a list of such numbers (one for each type or unit), or \"auto\"; got "
            "%s",
            value_quote(value, got));
    }
}

static json_t *encode_mu(const struct field *field, const void *object) {
    const struct rule_config *rule = object;
    (void)field;
    if (rule->mu_of.values != NULL) {
        return numbers_encode(&rule->mu_of);
    }
    return rule->mu_auto ? json_string("auto") : json_real(rule->mu);
}

static const struct field_custom mu = {
    decode_mu, encode_mu,
    "{\"oneOf\": [{\"type\": \"number\", \"minimum\": 0, \"maximum\": 1}, {\"const\": \"auto\"}, {\"type\": \"array\", "
    "\"minItems\": 1, \"maxItems\": 16384, \"items\": {\"type\": \"number\", \"minimum\": 0, \"maximum\": 1}}]}"};

static const char *const credit_choices[] = {"cell", "type", "given", "random", "shuffled", NULL};
static const char *const averaging_choices[] = {"all", "existing", NULL};
static const char *const tracking_choices[] = {"current", "initial", NULL};
static const char *const first_hop_choices[] = {"mu", "exact", NULL};
static const char *const feedback_choices[] = {"symmetric", "random", "adaptive", NULL};

static const struct field shared_items[] = {
    {.name = "mu",
     .type = FIELD_CUSTOM,
     .custom = &mu,
     .fallback = TEXT(MU_PUBLISHED),
     .identity = "0.25",
     .variants = TAKEN,
     .doc =
         "stands for the activation derivative on the way through the recurrent weights: one number, or a list of one "
         "for each type or each unit that credit arrives at; \"auto\" follows its running mean (ours, not in the "
         "paper)"},
    {.name = "weights",
     .type = FIELD_CHOICE,
     .offset = RULE(weights),
     .choices = credit_choices,
     .fallback = "\"cell\"",
     .identity = "\"cell\"",
     .variants = TAKEN,
     .doc = "the weights that carry the credit: each cell's own (what the published code does), averages over cell "
            "types (the paper's text), those given in modulation, random ones with the averages' signs and norm, or "
            "each cell's own shuffled within its block of types"},
    {.name = "modulation",
     .type = FIELD_NUMBERS_OR_NULL,
     .offset = RULE(modulation),
     .dimensions = 2,
     .low = -1e6,
     .high = 1e6,
     .fallback = "null",
     .identity = "null",
     .omit_null = true,
     .variants = TAKEN,
     .doc = "with given weights: a row for each unit or type that a weight comes from, a column for each that it goes "
            "to"},
    {.name = "averaging",
     .type = FIELD_CHOICE,
     .offset = RULE(averaging),
     .choices = averaging_choices,
     .fallback = "\"all\"",
     .identity = "\"all\"",
     .variants = TAKEN,
     .doc = "with type and random weights: average over all pairs of a block, or over existing synapses"},
    {.name = "tracking",
     .type = FIELD_CHOICE,
     .offset = RULE(tracking),
     .choices = tracking_choices,
     .fallback = "\"current\"",
     .identity = "\"current\"",
     .variants = TAKEN,
     .doc = "with type and random weights: average before every update, or once at the start"},
    {.name = "first_hop",
     .type = FIELD_CHOICE,
     .offset = RULE(first_hop),
     .choices = first_hop_choices,
     .fallback = "\"mu\"",
     .identity = "\"mu\"",
     .variants = TAKEN,
     .doc =
         "derivative at the first hop of the credit: mu (the published code, and the default of delayed_xor) or exact "
         "(the paper's form, which learned better on all other tasks)"},
    {.name = "taps",
     .type = FIELD_INT_OR_NULL,
     .offset = RULE(taps),
     .unit = "steps",
     .low = 1,
     .high = 1000000000,
     .fallback = "null",
     .identity = "null",
     .variants = TAKEN,
     .doc = "cut the credit's filter after this many steps; null: no cut"},
    {.name = "feedback",
     .type = FIELD_CHOICE,
     .offset = RULE(feedback),
     .choices = feedback_choices,
     .fallback = "\"symmetric\"",
     .identity = "\"symmetric\"",
     .doc =
         "weights that carry the error to the units: the readout's own, random, or random with the readout's updates"},
    {.name = "feedback_decay",
     .type = FIELD_NUMBER,
     .offset = RULE(feedback_decay),
     .low = 0,
     .high = 1,
     .fallback = "0",
     .identity = "0",
     .doc = "with adaptive feedback: share by which Wout and feedback decay at every update"},
};

static struct {
    struct variant variants[RULE_TYPES];
    struct field items[FIELDS_OF_RULES];
    struct fields fields;
} rules;

static void rules_collect(void) {
    rules.fields.items = rules.items;
    for (size_t k = 0; k < COUNT(shared_items); k++) {
        struct field *item = &rules.items[rules.fields.count];
        *item = shared_items[k];
        for (int i = 0; i < RULE_TYPES && shared_items[k].variants == TAKEN; i++) {
            item->variants = (i == 0 ? 0 : item->variants) | (rule_takes(rule_table[i], item->name) ? BIT(i) : 0);
        }
        rules.fields.count += shared_items[k].variants == 0 || item->variants != 0;
    }
    for (int i = 0; i < RULE_TYPES; i++) {
        const struct rule_ops *ops = rule_table[i];
        rules.variants[i] = (struct variant){ops->name, ops->doc};
        for (size_t k = 0; k < ops->parameters.count && rules.fields.count < FIELDS_OF_RULES; k++) {
            struct field *item = &rules.items[rules.fields.count++];
            *item = ops->parameters.items[k];
            item->variants = BIT(i);
        }
    }
}

static void rules_ready(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, rules_collect);
}

const struct variant *rule_variants(void) {
    rules_ready();
    return rules.variants;
}

const struct fields *rule_fields(void) {
    rules_ready();
    return &rules.fields;
}

/* ---- recommendations ---- */

const struct recommendation recommendations[] = {
    {BIT(RULE_MODPROP), "type-averaged weights",
     "{\"network\": {\"types_per_sign\": 23}, \"rule\": {\"weights\": \"type\", \"first_hop\": \"exact\", "
     "\"mu\": " TEXT(MU_PUBLISHED) "}}",
     "Seeds 1 to 10, medians. Delayed XOR, the published run: learned by iteration 550 (cell weights 510, bptt 400, "
     "e-prop 1470), all runs at 100 %, final loss 0.009 "
     "(cell 0.009); with 2 to 8 types in all it took 1020 to 1350. Pattern generation: learned by 290 (cell weights "
     "with the exact first hop 290, bptt 200, e-prop 750). "
     "Row MNIST: 92.7 %, one run of ten diverged (bptt 97.3 %, MDGL 89.8 %, e-prop 88.2 %). tests/reproduce/results"},
};
const size_t recommendation_count = COUNT(recommendations);
