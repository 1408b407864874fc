/*
 * The job document: see job.h. Decoding goes top down through the tables. Checks that involve several fields come last,
 * and run only if the fields that they depend on were valid.
 */
#include "api/job.h"

#include <nettle/sha2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/numbers.h"
#include "api/parameters.h"
#include "api/text.h"
#include "core/base/options.h"
#include "core/model/neuron.h"
#include "core/rules/rules.h"
#include "core/tasks/batch.h"
#include "core/train/align.h"
#include "core/train/train.h"

#define METADATA_BYTES 16384

static const char *const top_names[] = {"name",    "notes",     "tags",       "metadata", "seed",
                                        "threads", "priority",  "time_limit", "task",     "network",
                                        "rule",    "optimizer", "training"};

static void decode_metadata(struct job_spec *spec, json_t *value, struct problems *problems) {
    char got[80];
    if (value == NULL || json_is_null(value)) {
        return;
    }
    size_t size = json_dumpb(value, NULL, 0, JSON_COMPACT);
    if (!json_is_object(value)) {
        problems_add(problems, NULL, "metadata", "must be an object or null; got %s", value_quote(value, got));
    } else if (size > METADATA_BYTES) {
        problems_add(problems, NULL, "metadata", "must take at most %d bytes as JSON; it takes %zu", METADATA_BYTES,
                     size);
    } else {
        spec->metadata = json_incref(value);
    }
}

static const struct field top_items[] = {
    {.name = "seed",
     .type = FIELD_SEED,
     .offset = offsetof(struct job_spec, config.seed),
     .low = 0,
     .high = 9007199254740991.0,
     .fallback = "1",
     .identity = "1",
     .doc = "initial weights, trials, noise and evaluation batches follow from it, whatever the rule: comparisons are "
            "paired"},
    {.name = "threads",
     .type = FIELD_INT_OR_NULL,
     .offset = offsetof(struct job_spec, threads),
     .low = 1,
     .high = 4096,
     .fallback = "null",
     .reach = REACH_NOTHING,
     .doc = "upper bound of the job's threads; one build gives the same bits with any number of them, and on every "
            "instruction set"},
    {.name = "priority",
     .type = FIELD_INT,
     .offset = offsetof(struct job_spec, priority),
     .low = -1000000,
     .high = 1000000,
     .fallback = "0",
     .reach = REACH_NOTHING,
     .doc =
         "higher starts first; within one priority tokens take turns, and a token's experiments (metadata.experiment); "
         "otherwise first come, first served"},
    {.name = "time_limit",
     .type = FIELD_INT64_OR_NULL,
     .offset = offsetof(struct job_spec, time_limit),
     .unit = "s",
     .low = 1,
     .high = 1e9,
     .fallback = "null",
     .reach = REACH_NOTHING,
     .doc =
         "fail the job after this much training time, counted over all attempts and compared once a second; training "
         "then stops within about a second, in the midst of an iteration too"},
};

const struct fields top_fields = {top_items, sizeof top_items / sizeof top_items[0]};

/* The section that has a field of this name; NULL: none, or more than one. */
static const char *section_of(const char *name) {
    const struct {
        const char *section;
        const struct fields *fields;
    } sections[] = {{"task", task_fields()},
                    {"network", network_fields()},
                    {"rule", rule_fields()},
                    {"optimizer", &optimizer_fields},
                    {"training", &training_fields}};
    const char *found = NULL;
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
        bool has = field_find(sections[i].fields, ANY_VARIANT, name) != NULL;
        if (has && found != NULL) {
            return NULL;
        }
        found = has ? sections[i].section : found;
    }
    return found;
}

static void check_top_names(const json_t *document, bool stored, struct problems *problems) {
    const size_t count = sizeof top_names / sizeof top_names[0];
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)document, name, value) {
        bool known = stored && strcmp(name, "origin") == 0;
        for (size_t i = 0; i < count; i++) {
            known = known || strcmp(name, top_names[i]) == 0;
        }
        const char *home = known || problems->count >= PROBLEMS_MAX ? NULL : section_of(name);
        if (home != NULL) {
            problems_add(problems, NULL, name, "is not a known field; did you mean \"%s.%s\"?", home, name);
        } else if (!known) {
            problems_add_unknown(problems, NULL, name, "field", top_names, count);
        }
    }
}

/* What the defaults of a document's sections depend on. */
struct origin {
    enum task_type task;
    enum neuron neuron;
    bool stored;
};

static struct decoding section(const struct fields *fields, const char *name, struct origin origin) {
    size_t count;
    const struct field_default *defaults = task_defaults(&count);
    struct decoding decoding = {.fields = fields,
                                .variant = ~0u,
                                .defaults = defaults,
                                .default_count = count,
                                .default_variant = 1u << origin.task,
                                .stored = origin.stored};
    neuron_defaults_set(&decoding, name, origin.neuron);
    return decoding;
}

static bool decode_task(struct job_spec *spec, const json_t *value, bool stored, struct problems *problems) {
    const struct path path = {.name = "task"};
    char name[32];
    int type;
    if (!json_is_object(value)) {
        char got[80];
        problems_add(problems, NULL, "task",
                     "must be an object with a type, such as {\"type\": \"delayed_xor\"}; got %s",
                     value == NULL ? "none" : value_quote(value, got));
        return false;
    }
    if (!variant_decode(value, task_variants(), task_count, -1, &path, &type, problems)) {
        return false;
    }
    spec->config.task.type = (enum task_type)type;
    snprintf(name, sizeof name, "task %s", task_table[type]->name);
    const struct decoding decoding = {
        .fields = task_fields(), .variant = 1u << type, .variant_name = name, .skip = "type", .stored = stored};
    fields_decode(&decoding, value, &path, &spec->config.task, problems);
    return true;
}

static void decode_optimizer(struct job_spec *spec, const json_t *value, struct origin origin,
                             struct problems *problems) {
    const struct path path = {.name = "optimizer"};
    char name[32];
    int type;
    if (value != NULL && !json_is_object(value)) {
        fields_decode(&(struct decoding){.fields = &optimizer_fields, .variant = 1}, value, &path,
                      &spec->config.optimizer, problems);
        return;
    }
    if (!variant_decode(value, optimizer_variants, 2, OPTIMIZER_ADAM, &path, &type, problems)) {
        return;
    }
    spec->config.optimizer.type = (enum optimizer_type)type;
    snprintf(name, sizeof name, "optimizer %s", optimizer_variants[type].name);
    struct decoding decoding = section(&optimizer_fields, "optimizer", origin);
    decoding.variant = 1u << type;
    decoding.variant_name = name;
    decoding.skip = "type";
    fields_decode(&decoding, value, &path, &spec->config.optimizer, problems);
}

static void decode_network(struct job_spec *spec, const json_t *value, struct origin origin,
                           struct problems *problems) {
    const struct path path = {.name = "network"};
    struct decoding decoding = section(network_fields(), "network", origin);
    char model[32];
    decoding.variant = 1u << origin.neuron;
    snprintf(model, sizeof model, "network.model %s", neuron_table[origin.neuron]->name);
    decoding.variant_name = model;
    fields_decode(&decoding, value, &path, spec, problems);
    if (!spec->config.network.dale && json_object_get(value, "rewiring") == NULL) {
        spec->config.network.rewiring = REWIRING_NONE; /* Deep R is the default only with Dale's law */
    }
    if (json_object_get(value, "units") == NULL) { /* they are those of the initial weights */
        spec->units_open = weights_reference_is_given(&spec->initial_from) && spec->initial.memory == NULL;
        spec->config.network.units = spec->initial.memory == NULL ? spec->config.network.units : spec->initial.units;
    }
}

/* The model that a network section names; the default where it names none, or none that there is. */
static enum neuron neuron_named(const json_t *network) {
    const char *name = json_string_value(json_object_get(network, "model"));
    for (int i = 0; name != NULL && i < NEURON_MODELS; i++) {
        if (strcmp(name, neuron_table[i]->name) == 0) {
            return (enum neuron)i;
        }
    }
    return NEURON_MEMBRANE;
}

/* ---- what no single field can know ---- */

static double tau_least(const struct job_spec *spec) {
    const struct network_config *network = &spec->config.network;
    double least = network->tau_is_range ? network->tau_low : network->tau;
    for (int i = 0; spec->tau_of_unit != NULL && i < spec->tau_count; i++) {
        least = i == 0 || spec->tau_of_unit[i] < least ? spec->tau_of_unit[i] : least;
    }
    return least;
}

static void check_units(const struct job_spec *spec, struct problems *problems) {
    const struct path path = {.name = "network"};
    const struct network_config *network = &spec->config.network;
    if (network->dale && network->units < 6) {
        problems_add(problems, &path, "units", "must be at least 6 with Dale's law; got %d", network->units);
    } else if (network->types_per_sign > network->units) {
        problems_add(problems, &path, "types_per_sign", "must be at most units (%d); got %d", network->units,
                     network->types_per_sign);
    }
    if (spec->tau_of_unit != NULL && spec->tau_count != network->units) {
        problems_add(problems, &path, "tau", "must have one number per unit (%d); it has %d", network->units,
                     spec->tau_count);
    }
    if (spec->type_of_unit != NULL && spec->type_count != network->units) {
        problems_add(problems, &path, "types", "must have one integer for each unit (%d); it has %d", network->units,
                     spec->type_count);
    }
    if (spec->initial.memory != NULL && spec->initial.units != network->units) {
        const struct path initial = {.parent = &path, .name = "initial"};
        problems_add(problems, &initial, "W", "must be %d by %d to match network.units; it is %d by %d", network->units,
                     network->units, spec->initial.units, spec->initial.units);
    }
}

/* Steps are not known before the data are; what depends on them is checked with the estimate (core/train). */
static struct rule_shape shape_of(const struct job_spec *spec) {
    return (struct rule_shape){.units = spec->config.network.units,
                               .types = network_types_count(&spec->config.network),
                               .steps = STEPS_MOST,
                               .losses = 1,
                               .neuron = spec->config.network.neuron,
                               .readout_leaks = spec->config.network.readout_tau.set,
                               .connectivity = spec->config.network.connectivity};
}

/* `path` leads to the rule. */
static void check_rule_shape(const struct job_spec *spec, const struct rule_config *rule, const struct path *path,
                             struct problems *problems) {
    const struct rule_shape shape = shape_of(spec);
    const char *parameter;
    char sentence[256];
    if (!rule_suits(rule, &shape, &parameter, sentence)) {
        problems_add(problems, path, parameter, "%s", sentence);
    }
}

void job_spec_check_aligned(const struct job_spec *spec, const struct rule_config *rules, int count,
                            const struct path *path, struct problems *problems) {
    for (int i = 0; i < count; i++) {
        const struct path here = {.parent = path, .index = (size_t)i};
        const struct rule_ops *ops = rule_table[rules[i].type];
        const char *parameter;
        char sentence[256];
        if (ops->units_most > 0 && spec->config.network.units > ops->units_most) {
            problems_add(problems, &here, "type", "must not be \"%s\" with more than %d units; the network has %d",
                         ops->name, ops->units_most, spec->config.network.units);
        }
        if (!align_suits(&spec->config, &rules[i], &parameter, sentence)) {
            problems_add(problems, &here, parameter, "%s", sentence);
        }
        check_rule_shape(spec, &rules[i], &here, problems);
    }
}

static void check_rule_units(const struct job_spec *spec, struct problems *problems) {
    const struct rule_ops *rule = rule_table[spec->config.rule.type];
    const struct training_config *training = &spec->config.training;
    const struct path section = {.name = "training"}, diagnostics = {.parent = &section, .name = "diagnostics"},
                      aligned = {.parent = &diagnostics, .name = "alignment"};
    int units = spec->config.network.units;
    if (rule->units_most > 0 && units > rule->units_most) {
        problems_add(problems, &(struct path){.name = "network"}, "units", "must be at most %d with rule %s; got %d",
                     rule->units_most, rule->name, units);
    }
    if (spec->type_of_unit != NULL && spec->type_count != units) {
        return; /* said already; how many types there are is open */
    }
    check_rule_shape(spec, &spec->config.rule, &(struct path){.name = "rule"}, problems);
    job_spec_check_aligned(spec, training->aligned, training->aligned_count, &aligned, problems);
}

void job_spec_units_set(struct job_spec *spec, int units, struct problems *problems) {
    spec->config.network.units = units;
    spec->units_open = false;
    check_units(spec, problems);
    check_rule_units(spec, problems);
}

static void check_network(const struct job_spec *spec, struct problems *problems) {
    const struct path path = {.name = "network"};
    const struct network_config *network = &spec->config.network;
    if (!spec->units_open) {
        check_units(spec, problems);
    }
    if (spec->type_of_unit != NULL && network->types_per_sign != 1) {
        problems_add(problems, &path, "types_per_sign", "must be 1 where types is a list, which replaces it; got %d",
                     network->types_per_sign);
    }
    if (!network->dale && network->rewiring == REWIRING_DEEP_R) {
        problems_add(problems, &path, "rewiring", "must be \"none\" without Dale's law; got \"deep_r\"");
    }
    if (network->discretization == DISCRETIZATION_EULER && tau_least(spec) < 1.0) {
        problems_add(problems, &path, "tau", "must be at least 1 ms, the step, with discretization euler; got %.9g",
                     tau_least(spec));
    }
}

/* A choice that has no effect is a mistake that would go unnoticed. */
static void check_rule(const struct rule_config *rule, struct problems *problems) {
    const struct path path = {.name = "rule"};
    bool typed = rule_is_averaged(rule); /* rules without these parameters have the values of no choice */
    if (!typed && rule->averaging != AVERAGING_ALL) {
        problems_add(problems, &path, "averaging",
                     "must be \"all\" unless weights is \"type\" or \"random\"; got \"existing\"");
    }
    if (!typed && rule->tracking != TRACKING_CURRENT) {
        problems_add(problems, &path, "tracking",
                     "must be \"current\" unless weights is \"type\" or \"random\"; got \"initial\"");
    }
    if (rule->weights != CREDIT_GIVEN && rule->modulation.values != NULL) {
        problems_add(problems, &path, "modulation", "must be null unless weights is \"given\"");
    }
    if (rule->feedback != FEEDBACK_ADAPTIVE && rule->feedback_decay != 0.0) {
        problems_add(problems, &path, "feedback_decay", "must be 0 unless feedback is \"adaptive\"; got %g",
                     rule->feedback_decay);
    }
}

/* The sections that were read without a fault: a check that depends on other sections would complain about defaults. */
struct sound {
    bool type, task, network, rule, training; /* type: the task's, on which the defaults of the other sections depend */
};

static bool stops_by_accuracy(const struct training_config *training) {
    return training->stop_metric == STOP_ACCURACY_ABOVE || training->stop_metric == STOP_ACCURACY_BELOW;
}

/* Of spiking models, and backwards in time: the cost needs the mean over the whole trial. */
static void check_rate_cost(const struct train_config *config, struct problems *problems) {
    const struct path path = {.name = "training"};
    const struct neuron_ops *neuron = neuron_table[config->network.neuron];
    if (config->training.rate_cost > 0 && !neuron->spikes) {
        problems_add(problems, &path, "rate_cost",
                     "must be 0 where network.model is \"%s\", which does not spike; got %g", neuron->name,
                     config->training.rate_cost);
    } else if (config->training.rate_cost > 0 && rule_table[config->rule.type]->credit == NULL) {
        problems_add(problems, &path, "rate_cost",
                     "must be 0 with rule %s, which goes forward in time: the cost needs the mean rate of the whole "
                     "trial; got %g",
                     rule_table[config->rule.type]->name, config->training.rate_cost);
    }
}

static void check_job(const struct job_spec *spec, struct sound sound, struct problems *problems) {
    const struct train_config *config = &spec->config;
    if (sound.type && sound.network) {
        check_network(spec, problems);
    }
    if (sound.type && sound.network && sound.rule && !spec->units_open) {
        check_rule_units(spec, problems);
    }
    const struct task_ops *task = task_ops_of(&config->task);
    const char *parameter;
    char error[256];
    if (sound.task && task->check != NULL && !task->check(&config->task, &parameter, error)) {
        problems_add(problems, &(struct path){.name = "task"}, parameter, "%s", error);
    }
    if (sound.rule && sound.training && (config->training.diagnostics & DIAGNOSTIC_CREDIT_GAIN) &&
        !rule_takes(rule_table[config->rule.type], "mu")) {
        problems_add(problems, &(struct path){.name = "training"}, "diagnostics",
                     "must not ask for credit_gain with rule %s, which has no mu", rule_table[config->rule.type]->name);
    }
    if (sound.type && sound.training && stops_by_accuracy(&config->training) && task->without_accuracy) {
        problems_add(problems, &(struct path){.name = "training"}, "stop_when",
                     "must use the loss: the task %s has no accuracy", task->name);
    }
}

/* True if the rule was read without a fault. */
static bool decode(struct job_spec *spec, const json_t *document, bool stored, struct problems *problems) {
    memset(spec, 0, sizeof *spec);
    spec->initial_from.iteration = -1;
    check_top_names(document, stored, problems);
    spec->origin = stored ? json_incref(json_object_get(document, "origin")) : NULL;
    caption_read(&spec->caption, document, stored, problems);
    decode_metadata(spec, json_object_get(document, "metadata"), problems);
    for (size_t i = 0; i < top_fields.count; i++) {
        json_t *value = json_object_get(document, top_items[i].name);
        json_t *one = value == NULL ? NULL : json_pack("{s:O}", top_items[i].name, value);
        if (value != NULL && one == NULL) {
            problems_add(problems, NULL, top_items[i].name, "not enough memory to read it");
            continue;
        }
        const struct decoding decoding = {
            .fields = &(struct fields){&top_items[i], 1}, .variant = ~0u, .stored = stored};
        fields_decode(&decoding, one, NULL, spec, problems);
        json_decref(one);
    }
    struct sound sound;
    size_t before = problems->count;
    sound.type = decode_task(spec, json_object_get(document, "task"), stored, problems);
    sound.task = problems->count == before;
    const struct origin origin = {sound.type ? spec->config.task.type : 0,
                                  neuron_named(json_object_get(document, "network")), stored};
    const struct path rule = {.name = "rule"}, training = {.name = "training"};
    before = problems->count;
    decode_network(spec, json_object_get(document, "network"), origin, problems);
    sound.network = problems->count == before;
    before = problems->count;
    rule_decode_by(&spec->config.rule, section(rule_fields(), "rule", origin), json_object_get(document, "rule"), &rule,
                   problems);
    sound.rule = problems->count == before;
    decode_optimizer(spec, json_object_get(document, "optimizer"), origin, problems);
    before = problems->count;
    spec->config.training.aligned_neuron = spec->config.network.neuron;
    const struct decoding decoding = section(&training_fields, "training", origin);
    fields_decode(&decoding, json_object_get(document, "training"), &training, &spec->config.training, problems);
    sound.training = problems->count == before;
    check_job(spec, sound, problems);
    return sound.rule;
}

/* check_rule protects people, not memory: a document stored before the check existed stays readable. */
void job_spec_decode(struct job_spec *spec, const json_t *document, struct problems *problems) {
    if (decode(spec, document, false, problems)) {
        check_rule(&spec->config.rule, problems);
        check_rate_cost(&spec->config, problems);
    }
}

bool job_spec_parse(struct job_spec *spec, const char *text) {
    char error[256];
    struct problems problems = {0};
    json_t *document = json_parse(text, strlen(text), error);
    decode(spec, document, true, &problems);
    bool ok = document != NULL && problems.count == 0;
    problems_release(&problems);
    json_decref(document);
    return ok && job_spec_identity(spec, REACH_COURSE, spec->config.identity);
}

/*
 * Number of entries of the list at `list` ("[1,2" or "[[1],[2"), up to its end: the separators that do not follow a
 * row's closing bracket, plus one.
 */
static int list_entries(const char *list) {
    bool nested = list[1] == '[';
    int count = 1;
    for (const char *c = list + 1; *c != '\0' && !(*c == ']' && (!nested || c[1] == ']')); c++) {
        count += nested ? c[0] == ']' && c[1] == ',' : c[0] == ',';
    }
    return count;
}

/* The weights object as encode_initial_whole wrote it: W, Win, b, Wout and bout, only numbers, then from_.... */
static json_t *brief_initial(const char *text) {
    static const char *const names[] = {"\"W\":[", "\"Win\":[", "\"bout\":["};
    int sizes[3] = {0};
    for (int i = 0; i < 3; i++) {
        const char *at = strstr(text, names[i]);
        sizes[i] = at == NULL ? 0 : list_entries(at + strlen(names[i]) - 1);
    }
    json_t *brief = json_pack("{s:i, s:i, s:i}", "units", sizes[0], "inputs", sizes[1], "outputs", sizes[2]);
    const char *from = strstr(text, ",\"from_"), *end = from == NULL ? NULL : strchr(text, '}');
    if (end != NULL && from < end) { /* flat members, the last ones */
        char *members = NULL;
        json_t *told = asprintf(&members, "{%.*s}", (int)(end - from - 1), from + 1) < 0 ? NULL
                                                                                         : json_loads(members, 0, NULL);
        (void)json_object_update(brief, told);
        json_decref(told);
        free(members);
    }
    return brief;
}

/*
 * Where a stored text holds full weights: a pointer to their opening brace, or NULL. A user's own text (metadata) may
 * look the same, but not at this position.
 */
static const char *find_initial(const char *text) {
    static const char section[] = "\"network\":{", member[] = "\"initial\":{\"W\":";
    bool within = false;
    int depth = 0;
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '"') {
            within = depth == 1 ? strncmp(c, section, strlen(section)) == 0 : within;
            if (within && depth == 2 && strncmp(c, member, strlen(member)) == 0) {
                return c + strlen("\"initial\":");
            }
            for (c++; *c != '"' && *c != '\0'; c++) {
                c += *c == '\\' && c[1] != '\0';
            }
            if (*c == '\0') {
                return NULL;
            }
        }
        depth += (*c == '{' || *c == '[') - (*c == '}' || *c == ']');
    }
    return NULL;
}

bool job_spec_brief_text(const char *text, char **brief) {
    const char *initial = find_initial(text), *end = initial == NULL ? NULL : strchr(initial, '}');
    *brief = NULL;
    if (end == NULL) {
        return true;
    }
    json_t *sizes = brief_initial(initial);
    char *shown = json_text(sizes, NULL);
    json_decref(sizes);
    bool made = shown != NULL && asprintf(brief, "%.*s%s%s", (int)(initial - text), text, shown, end + 1) >= 0;
    if (!made) {
        *brief = NULL;
    }
    free(shown);
    return made;
}

json_t *job_spec_brief(const char *text) {
    char *brief;
    if (!job_spec_brief_text(text, &brief)) {
        return NULL;
    }
    json_t *document = json_loads(brief == NULL ? text : brief, JSON_REJECT_DUPLICATES, NULL);
    free(brief);
    return document;
}

char *job_spec_text(const struct job_spec *spec) {
    json_t *document = job_spec_encode(spec, true);
    char *text = json_text(document, NULL);
    json_decref(document);
    return text;
}

void job_spec_release(struct job_spec *spec) {
    caption_release(&spec->caption);
    json_decref(spec->metadata);
    json_decref(spec->origin);
    free(spec->tau_of_unit);
    free(spec->type_of_unit);
    rule_release(&spec->config.rule);
    for (int i = 0; i < spec->config.training.aligned_count; i++) {
        rule_release(&spec->config.training.aligned[i]);
    }
    free(spec->initial.memory);
    memset(spec, 0, sizeof *spec);
}

void job_spec_check_shape(const struct job_spec *spec, int inputs, int outputs, struct problems *problems) {
    const struct path network = {.name = "network"}, initial = {.parent = &network, .name = "initial"};
    if (spec->initial.memory == NULL) {
        return;
    }
    if (spec->initial.inputs != inputs) {
        problems_add(problems, &initial, "Win", "must have %d rows, one per input of the task; it has %d", inputs,
                     spec->initial.inputs);
    }
    if (spec->initial.outputs != outputs) {
        problems_add(problems, &initial, "Wout", "must have %d columns, one per output of the task; it has %d", outputs,
                     spec->initial.outputs);
    }
}

void job_spec_settle(struct job_spec *spec, const struct task_shape *shape, struct problems *problems) {
    const struct path training = {.name = "training"}, evaluation = {.parent = &training, .name = "evaluation"};
    struct training_config *config = &spec->config.training;
    size_t test_trials = shape->test_trials;
    if (stops_by_accuracy(config) && !shape->has_accuracy && !task_ops_of(&spec->config.task)->without_accuracy) {
        problems_add(problems, &training, "stop_when", "must use the loss: targets that are values have no accuracy");
    }
    if (config->evaluation_trials > 0 && test_trials == 0) {
        problems_add(problems, &training, "evaluation",
                     "must be null: the task has no test split, and an evaluation uses one fresh batch");
    } else if (config->evaluation_trials > 0 && (size_t)config->evaluation_trials > test_trials) {
        problems_add(problems, &evaluation, "trials", "must be at most the trials of the test split (%zu); got %lld",
                     test_trials, (long long)config->evaluation_trials);
    }
    if (config->evaluate_every == 0) {
        size_t trials = config->evaluation_trials > 0 ? (size_t)config->evaluation_trials : test_trials;
        config->evaluate_every = train_cadence(trials, config->batch_size);
    }
}

/* ---- encoding ---- */

/* Here NULL means "out of memory" and is passed up: jansson's setters refuse a NULL value. */
static json_t *encode_vector(const float *values, int count) {
    json_t *list = json_array();
    for (int i = 0; i < count; i++) {
        if (json_array_append_new(list, json_number_or_null(values[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *encode_matrix(const float *values, int rows, int columns) {
    json_t *list = json_array();
    for (int i = 0; i < rows; i++) {
        if (json_array_append_new(list, encode_vector(values + (size_t)i * (size_t)columns, columns)) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *encode_initial_whole(const struct weights_document *weights, const struct weights_reference *from) {
    const struct weights_view *view = &weights->view;
    json_t *document = json_object();
    bool ok = json_object_set_new(document, "W", encode_matrix(view->W, weights->units, weights->units)) == 0 &&
              json_object_set_new(document, "Win", encode_matrix(view->Win, weights->inputs, weights->units)) == 0 &&
              (view->b == NULL || json_object_set_new(document, "b", encode_vector(view->b, weights->units)) == 0) &&
              json_object_set_new(document, "Wout", encode_matrix(view->Wout, weights->units, weights->outputs)) == 0 &&
              json_object_set_new(document, "bout", encode_vector(view->bout, weights->outputs)) == 0 &&
              weights_reference_put(from, document);
    if (!ok) {
        json_decref(document);
        return NULL;
    }
    return document;
}

static bool encode_sections(const struct job_spec *spec, bool with_weights, json_t *document) {
    const struct train_config *config = &spec->config;
    json_t *task = json_pack("{s:s}", "type", task_ops_of(&config->task)->name), *network = json_object(),
           *training = json_object();
    json_t *optimizer = json_pack("{s:s}", "type", optimizer_variants[config->optimizer.type].name);
    bool whole = with_weights && spec->initial.memory != NULL;
    bool ok = fields_encode(task_fields(), 1u << config->task.type, &config->task, task) &&
              fields_encode(network_fields(), 1u << config->network.neuron, spec, network) &&
              fields_encode(&optimizer_fields, 1u << config->optimizer.type, &config->optimizer, optimizer) &&
              fields_encode(&training_fields, ~0u, &config->training, training) &&
              (!whole ||
               json_object_set_new(network, "initial", encode_initial_whole(&spec->initial, &spec->initial_from)) == 0);
    /* each setter takes ownership of its value, whether it succeeds or not: all are called */
    ok = (json_object_set_new(document, "task", task) == 0) && ok;
    ok = (json_object_set_new(document, "network", network) == 0) && ok;
    ok = (json_object_set_new(document, "rule", rule_encode(&config->rule)) == 0) && ok;
    ok = (json_object_set_new(document, "optimizer", optimizer) == 0) && ok;
    return (json_object_set_new(document, "training", training) == 0) && ok;
}

json_t *job_spec_encode(const struct job_spec *spec, bool with_weights) {
    json_t *document = json_object();
    const struct caption *caption = &spec->caption;
    /* notes and tags change: in the store they have columns of their own */
    bool ok = caption_put(document, caption->name, caption->notes, caption->tags) &&
              (!with_weights || (json_object_del(document, "notes") == 0 && json_object_del(document, "tags") == 0)) &&
              json_object_set_new(document, "metadata",
                                  spec->metadata == NULL ? json_object() : json_incref(spec->metadata)) == 0 &&
              fields_encode(&top_fields, ~0u, spec, document) && encode_sections(spec, with_weights, document) &&
              (spec->origin == NULL || json_object_set(document, "origin", spec->origin) == 0);
    if (!ok) {
        json_decref(document);
        return NULL;
    }
    return document;
}

static void hex_put(const uint8_t *bytes, size_t count, char *text) {
    for (size_t i = 0; i < count; i++) {
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    }
}

void job_document_strip(json_t *document) {
    static const char *const free_of_results[] = {"name",    "notes",    "tags",       "metadata",
                                                  "threads", "priority", "time_limit", "origin"};
    static const char *const told[] = {"from_job", "from_iteration", "from_weights", "from_sha256"};
    json_t *initial = json_object_get(json_object_get(document, "network"), "initial");
    for (size_t i = 0; i < sizeof free_of_results / sizeof free_of_results[0]; i++) {
        json_object_del(document, free_of_results[i]);
    }
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
        json_object_del(initial, told[i]);
    }
}

/* Takes ownership of the document. */
static void document_digest(json_t *document, char digest[65]) {
    struct sha256_ctx context;
    uint8_t bytes[SHA256_DIGEST_SIZE];
    job_document_strip(document);
    char *text = json_text(document, NULL);
    json_decref(document);
    digest[0] = '\0';
    if (text == NULL) {
        return;
    }
    sha256_init(&context);
    sha256_update(&context, strlen(text), (const uint8_t *)text);
    sha256_digest(&context, sizeof bytes, bytes);
    free(text);
    hex_put(bytes, sizeof bytes, digest);
}

void job_spec_digest(const struct job_spec *spec, char digest[65]) {
    document_digest(job_spec_encode(spec, true), digest);
}

void job_document_digest(const char *text, char digest[65]) {
    document_digest(json_loads(text, JSON_REJECT_DUPLICATES, NULL), digest);
}

/* ---- identity ---- */

/* SHA-256 of the sizes and of the weights themselves. */
static void initial_digest(const struct weights_document *weights, char digest[65]) {
    const size_t n = (size_t)weights->units, inputs = (size_t)weights->inputs, outputs = (size_t)weights->outputs;
    const bool bias = weights->view.b != NULL;
    const uint32_t sizes[] = {(uint32_t)n, (uint32_t)inputs, (uint32_t)outputs, bias};
    struct sha256_ctx context;
    uint8_t bytes[SHA256_DIGEST_SIZE];
    sha256_init(&context);
    sha256_update(&context, sizeof sizes, (const uint8_t *)sizes);
    sha256_update(&context, (n * (n + inputs + bias + outputs) + outputs) * sizeof *weights->memory,
                  (const uint8_t *)weights->memory);
    sha256_digest(&context, sizeof bytes, bytes);
    hex_put(bytes, sizeof bytes, digest);
}

/* What no table contains: the types, and contents by their digests. */
static bool identity_add_contents(const struct job_spec *spec, json_t *pairs) {
    const struct train_config *config = &spec->config;
    char digest[65];
    bool ok = identity_add_text(pairs, "task.type", task_ops_of(&config->task)->name) &&
              identity_add_text(pairs, "rule.type", rule_variants()[config->rule.type].name) &&
              identity_add_text(pairs, "optimizer.type", optimizer_variants[config->optimizer.type].name);
    if (config->task.data_sha256[0] != '\0') {
        (void)json_object_del(pairs, "task.name");
    }
    if (spec->initial.memory != NULL) {
        initial_digest(&spec->initial, digest);
        ok = ok && identity_add_text(pairs, "network.initial", digest);
    }
    return ok;
}

bool job_spec_identity(const struct job_spec *spec, enum field_reach reach, uint8_t identity[IDENTITY_BYTES]) {
    const struct train_config *config = &spec->config;
    json_t *pairs = json_object();
    bool ok = identity_add(pairs, NULL, &top_fields, ~0u, reach, spec) &&
              identity_add(pairs, "task", task_fields(), 1u << config->task.type, reach, &config->task) &&
              identity_add(pairs, "network", network_fields(), 1u << config->network.neuron, reach, spec) &&
              identity_add(pairs, "rule", rule_fields(), 1u << config->rule.type, reach, &config->rule) &&
              identity_add(pairs, "optimizer", &optimizer_fields, 1u << config->optimizer.type, reach,
                           &config->optimizer) &&
              identity_add(pairs, "training", &training_fields, ~0u, reach, &config->training) &&
              identity_add_contents(spec, pairs) && identity_hash(pairs, identity);
    json_decref(pairs);
    return ok;
}

/* ---- describing ---- */

json_t *tasks_describe(void) {
    json_t *list = json_array();
    for (int i = 0; i < task_count; i++) {
        const struct decoding task = {.fields = task_fields(), .variant = 1u << i};
        const struct origin origin = {.task = (enum task_type)i};
        struct decoding network = section(network_fields(), "network", origin);
        const struct decoding training = section(&training_fields, "training", origin);
        struct decoding optimizer = section(&optimizer_fields, "optimizer", origin);
        struct decoding rule = section(rule_fields(), "rule", origin);
        optimizer.variant = 1u << OPTIMIZER_ADAM;
        rule.variant = 1u << RULE_DEFAULT;
        network.variant = 1u << NEURON_MEMBRANE;
        json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:{s:o, s:o, s:o, s:o}}", "type", task_table[i]->name,
                                              "description", task_table[i]->doc, "parameters", fields_describe(&task),
                                              "defaults", "network", fields_describe(&network), "rule",
                                              fields_describe(&rule), "optimizer", fields_describe(&optimizer),
                                              "training", fields_describe(&training)));
    }
    return json_pack("{s:o}", "tasks", list);
}

/* Of a rule or of a neuron model; the other 0. */
static json_t *recommendations_describe(unsigned variant, unsigned neuron) {
    json_t *list = json_array();
    for (size_t i = 0; i < recommendation_count; i++) {
        const struct recommendation *one = &recommendations[i];
        if ((one->variants & variant) || (one->neurons & neuron)) {
            json_array_append_new(list, json_pack("{s:s, s:o, s:s}", "for", one->purpose, "settings",
                                                  json_loads(one->settings, 0, NULL), "evidence", one->evidence));
        }
    }
    return list;
}

json_t *rules_describe(void) {
    json_t *list = json_array();
    for (int i = 0; i < RULE_TYPES; i++) {
        const struct decoding rule = {.fields = rule_fields(), .variant = 1u << i};
        json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:o}", "type", rule_variants()[i].name, "description",
                                              rule_variants()[i].doc, "parameters", fields_describe(&rule),
                                              "recommended", recommendations_describe(1u << i, 0)));
    }
    return json_pack("{s:o, s:s}", "rules", list, "default", rule_variants()[RULE_DEFAULT].name);
}

/* Names, by section, of the defaults of a neuron model that come before a task's. */
static json_t *own_defaults_describe(enum neuron neuron) {
    json_t *names = json_pack("{s:[], s:[]}", "network", "rule");
    size_t count;
    const struct field_default *defaults = neuron_defaults(&count);
    for (size_t i = 0; i < count; i++) {
        if (defaults[i].variants & 1u << neuron) {
            json_array_append_new(json_object_get(names, defaults[i].section), json_string(defaults[i].name));
        }
    }
    return names;
}

json_t *neurons_describe(void) {
    json_t *list = json_array();
    for (int i = 0; i < NEURON_MODELS; i++) {
        const struct origin origin = {.neuron = (enum neuron)i};
        struct decoding network = section(network_fields(), "network", origin),
                        rule = section(rule_fields(), "rule", origin);
        network.defaults = rule.defaults = NULL;
        network.default_count = rule.default_count = 0;
        network.variant = 1u << i;
        rule.variant = 1u << RULE_DEFAULT;
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:b, s:o, s:{s:o}, s:o, s:o}", "type", neuron_variants()[i].name,
                                        "description", neuron_variants()[i].doc, "spikes", (int)neuron_table[i]->spikes,
                                        "parameters", fields_describe(&network), "defaults", "rule",
                                        fields_describe(&rule), "own_defaults", own_defaults_describe((enum neuron)i),
                                        "recommended", recommendations_describe(0, 1u << i)));
    }
    return json_pack("{s:o, s:s}", "neurons", list, "default", neuron_variants()[NEURON_MEMBRANE].name);
}

json_t *variants_schema(const struct fields *fields, const struct variant *variants, int count, bool type_required) {
    json_t *list = json_array();
    for (int i = 0; i < count; i++) {
        const struct decoding decoding = {.fields = fields, .variant = 1u << i};
        json_t *properties = fields_schema(&decoding);
        json_object_set_new(properties, "type",
                            json_pack("{s:s, s:s}", "const", variants[i].name, "description", variants[i].doc));
        json_t *schema = json_pack("{s:s, s:s, s:o, s:b}", "type", "object", "title", variants[i].name, "properties",
                                   properties, "additionalProperties", 0);
        json_t *required = fields_required(&decoding);
        if (type_required) {
            json_array_insert_new(required, 0, json_string("type"));
        }
        if (json_array_size(required) > 0) {
            json_object_set(schema, "required", required);
        }
        json_decref(required);
        json_array_append_new(list, schema);
    }
    return json_pack("{s:o}", type_required ? "oneOf" : "anyOf", list);
}

json_t *rule_schema(void) {
    return variants_schema(rule_fields(), rule_variants(), RULE_TYPES, false);
}

json_t *job_schema(void) {
    const struct decoding top = {.fields = &top_fields, .variant = ~0u},
                          network = {.fields = network_fields(), .variant = ~0u},
                          training = {.fields = &training_fields, .variant = ~0u};
    json_t *properties = fields_schema(&top);
    caption_schema_put(properties);
    json_object_set_new(properties, "metadata", json_pack("{s:[s,s]}", "type", "object", "null"));
    json_object_set_new(properties, "task", variants_schema(task_fields(), task_variants(), task_count, true));
    json_object_set_new(properties, "network",
                        json_pack("{s:s, s:o, s:b}", "type", "object", "properties", fields_schema(&network),
                                  "additionalProperties", 0));
    json_object_set_new(properties, "rule", rule_schema());
    json_object_set_new(properties, "optimizer", variants_schema(&optimizer_fields, optimizer_variants, 2, false));
    json_object_set_new(properties, "training",
                        json_pack("{s:s, s:o, s:b}", "type", "object", "properties", fields_schema(&training),
                                  "additionalProperties", 0));
    return json_pack("{s:s, s:o, s:[s], s:b}", "type", "object", "properties", properties, "required", "task",
                     "additionalProperties", 0);
}

static const struct field *task_parameter(enum task_type type, const char *parameter) {
    const struct field *field = field_find(task_fields(), 1u << type, parameter);
    return field != NULL && field_applies(field, 1u << type) ? field : NULL;
}

bool task_parameter_is_number(enum task_type type, const char *parameter) {
    const struct field *field = task_parameter(type, parameter);
    return field != NULL && (field->type == FIELD_INT || field->type == FIELD_INT64 || field->type == FIELD_NUMBER);
}

bool task_config_change(const struct task_config *from, const char *parameter, double value, struct task_config *to,
                        char fault[256]) {
    json_t *document = json_pack("{s:s}", "type", task_table[from->type]->name);
    struct job_spec spec = {0};
    struct problems problems = {0};
    bool whole = value == (double)(int64_t)value,
         encoded = document != NULL && fields_encode(task_fields(), 1u << from->type, from, document);
    const char *unfit;
    snprintf(fault, 256, "not enough memory for this");
    spec.config.task.type = from->type;
    if (encoded) {
        json_object_set_new(document, parameter, whole ? json_integer((json_int_t)value) : json_real(value));
        encoded = decode_task(&spec, document, false, &problems);
    }
    const json_t *first = json_array_get(problems.errors, 0);
    if (first != NULL) {
        snprintf(fault, 256, "%s", json_string_value(json_object_get(first, "detail")));
    } else if (encoded && task_table[from->type]->check != NULL &&
               !task_table[from->type]->check(&spec.config.task, &unfit, fault)) {
        encoded = false;
    }
    *to = spec.config.task;
    to->data = from->data;
    memcpy(to->data_sha256, from->data_sha256, sizeof to->data_sha256);
    encoded = encoded && first == NULL;
    problems_release(&problems);
    json_decref(document);
    return encoded;
}

void task_config_release(struct task_config *task) {
    fields_release(task_fields(), 1u << task->type, task);
}

const char *task_type_name(enum task_type type) {
    return task_table[type]->name;
}

bool task_type_find(const char *name, enum task_type *type) {
    for (int i = 0; i < task_count; i++) {
        if (strcmp(name, task_table[i]->name) == 0) {
            *type = (enum task_type)i;
            return true;
        }
    }
    return false;
}
