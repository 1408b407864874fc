/*
 * The parameter tables of the optimizer and of training: see parameters.c. Offsets are within the structs of
 * core/model/config.h; defaults are the published delayed XOR run.
 */
#include "api/parameters.h"

#include <stdint.h>
#include <string.h>

#include "api/rule.h"

#define BIT(x) (1u << (x))
#define COUNT(table) (sizeof(table) / sizeof *(table))
/* ---- optimizer ---- */

const struct variant optimizer_variants[2] = {{"adam", "Adam"}, {"sgd", "stochastic gradient descent with momentum"}};

#define OPTIMIZER(member) offsetof(struct optimizer_config, member)

static const struct field decay_items[] = {
    {.name = "factor",
     .type = FIELD_NUMBER,
     .offset = OPTIMIZER(decay_factor),
     .low = 0,
     .low_excluded = true,
     .high = 1},
    {.name = "every", .type = FIELD_INT, .offset = OPTIMIZER(decay_every), .low = 1, .high = 1000000000},
};
static const struct fields decay_fields = {decay_items, COUNT(decay_items)};

static void decode_decay(const json_t *value, const struct path *path, const struct field *field, void *object,
                         struct problems *problems) {
    struct optimizer_config *optimizer = object;
    char got[80];
    optimizer->decay_factor = 1.0;
    optimizer->decay_every = 0;
    if (json_is_object(value)) {
        const struct path here = {.parent = path, .name = field->name};
        fields_decode(&(struct decoding){.fields = &decay_fields, .variant = ~0u}, value, &here, optimizer, problems);
    } else if (!json_is_null(value)) {
        problems_add(problems, path, field->name,
                     "must be null or {\"factor\": a number above 0, at most 1, \"every\": an integer from 1 to "
                     "1000000000}; got %s",
                     value_quote(value, got));
    }
}

static json_t *encode_decay(const struct field *field, const void *object) {
    const struct optimizer_config *optimizer = object;
    (void)field;
    return optimizer->decay_every == 0
               ? json_null()
               : json_pack("{s:f, s:i}", "factor", optimizer->decay_factor, "every", optimizer->decay_every);
}

static const struct field_custom decay = {decode_decay, encode_decay,
                                          "{\"type\": [\"object\", \"null\"], \"properties\": {\"factor\": {\"type\": "
                                          "\"number\", \"exclusiveMinimum\": 0, \"maximum\": 1}, "
                                          "\"every\": {\"type\": \"integer\", \"minimum\": 1, \"maximum\": "
                                          "1000000000}}, \"required\": [\"factor\", \"every\"], "
                                          "\"additionalProperties\": false}"};

static const struct field optimizer_items[] = {
    {.name = "learning_rate",
     .type = FIELD_NUMBER,
     .offset = OPTIMIZER(learning_rate),
     .low = 0,
     .high = 1000,
     .fallback = "0.0005",
     .identity = "0.0005",
     .doc = "initial step size"},
    {.name = "decay",
     .type = FIELD_CUSTOM,
     .custom = &decay,
     .fallback = "{\"factor\": 0.8, \"every\": 300}",
     .identity = "{\"factor\": 0.8, \"every\": 300}",
     .doc = "the learning rate is multiplied by factor every so many iterations"},
    {.name = "momentum",
     .type = FIELD_NUMBER,
     .offset = OPTIMIZER(momentum),
     .low = 0,
     .high = 1,
     .fallback = "0.9",
     .identity = "0.9",
     .variants = BIT(OPTIMIZER_SGD),
     .doc = "share of the last step that is kept"},
    {.name = "beta1",
     .type = FIELD_NUMBER,
     .offset = OPTIMIZER(beta1),
     .low = 0,
     .high = 0.999999,
     .fallback = "0.9",
     .identity = "0.9",
     .variants = BIT(OPTIMIZER_ADAM),
     .doc = "decay of the first moment"},
    {.name = "beta2",
     .type = FIELD_NUMBER,
     .offset = OPTIMIZER(beta2),
     .low = 0,
     .high = 0.99999999,
     .fallback = "0.999",
     .identity = "0.999",
     .variants = BIT(OPTIMIZER_ADAM),
     .doc = "decay of the second moment"},
    {.name = "epsilon",
     .type = FIELD_NUMBER,
     .offset = OPTIMIZER(epsilon),
     .low = 0,
     .low_excluded = true,
     .high = 1,
     .fallback = "1e-8",
     .identity = "1e-8",
     .variants = BIT(OPTIMIZER_ADAM),
     .doc = "added to the root of the second moment"},
    {.name = "l2",
     .type = FIELD_NUMBER,
     .offset = OPTIMIZER(l2),
     .low = 0,
     .high = 1000,
     .fallback = "0.0005",
     .identity = "0.0005",
     .doc = "weight decay, added to the gradient of W, Win and Wout"},
    {.name = "l1",
     .type = FIELD_NUMBER,
     .offset = OPTIMIZER(l1),
     .low = 0,
     .high = 1000,
     .fallback = "0.01",
     .identity = "0.01",
     .doc = "each connected entry of W and Wout shrinks by learning rate * l1 per update"},
    {.name = "clip_norm",
     .type = FIELD_NUMBER_OR_NULL,
     .offset = OPTIMIZER(clip_norm),
     .low = 0,
     .low_excluded = true,
     .high = 1e9,
     .fallback = "null",
     .identity = "null",
     .doc = "bound on the gradient's global norm"},
};

const struct fields optimizer_fields = {optimizer_items, COUNT(optimizer_items)};

/* ---- training ---- */

#define TRAINING(member) offsetof(struct training_config, member)

static const struct {
    const char *metric, *bound;
    enum stop_metric value;
} stop_table[] = {{"accuracy", "above", STOP_ACCURACY_ABOVE},
                  {"accuracy", "below", STOP_ACCURACY_BELOW},
                  {"loss", "above", STOP_LOSS_ABOVE},
                  {"loss", "below", STOP_LOSS_BELOW}};

struct stop {
    int metric, evaluations;
    struct optional_double above, below;
};

static const char *const stop_metrics[] = {"accuracy", "loss", NULL};

#define STOP(member) offsetof(struct stop, member)

static const struct field stop_items[] = {
    {.name = "metric", .type = FIELD_CHOICE, .offset = STOP(metric), .choices = stop_metrics},
    {.name = "above",
     .type = FIELD_NUMBER_OR_NULL,
     .offset = STOP(above),
     .low = -1e30,
     .high = 1e30,
     .fallback = "null"},
    {.name = "below",
     .type = FIELD_NUMBER_OR_NULL,
     .offset = STOP(below),
     .low = -1e30,
     .high = 1e30,
     .fallback = "null"},
    {.name = "evaluations", .type = FIELD_INT, .offset = STOP(evaluations), .low = 1, .high = 1000000, .fallback = "1"},
};
static const struct fields stop_fields = {stop_items, COUNT(stop_items)};

static void stop_decode(const json_t *value, const struct path *path, struct training_config *training,
                        struct problems *problems) {
    struct stop stop = {0};
    size_t before = problems->count;
    char got[80];
    fields_decode(&(struct decoding){.fields = &stop_fields, .variant = ~0u}, value, path, &stop, problems);
    if (problems->count > before) {
        return;
    }
    if (stop.above.set == stop.below.set) {
        problems_add(problems, path, NULL, "must have one of \"above\" and \"below\"; got %s", value_quote(value, got));
        return;
    }
    for (size_t i = 0; i < COUNT(stop_table); i++) {
        if (strcmp(stop_table[i].metric, stop_metrics[stop.metric]) == 0 &&
            strcmp(stop_table[i].bound, stop.above.set ? "above" : "below") == 0) {
            training->stop_metric = stop_table[i].value;
        }
    }
    training->stop_threshold = stop.above.set ? stop.above.value : stop.below.value;
    training->stop_evaluations = stop.evaluations;
}

static void decode_stop(const json_t *value, const struct path *path, const struct field *field, void *object,
                        struct problems *problems) {
    struct training_config *training = object;
    char got[80];
    training->stop_metric = STOP_NEVER;
    training->stop_evaluations = 1;
    if (json_is_object(value)) {
        stop_decode(value, &(struct path){.parent = path, .name = field->name}, training, problems);
    } else if (!json_is_null(value)) {
        problems_add(problems, path, field->name,
                     "must be null or {\"metric\": \"accuracy\" or \"loss\", \"above\" or \"below\": a number, "
                     "\"evaluations\": an integer of at least 1}; got %s",
                     value_quote(value, got));
    }
}

static json_t *encode_stop(const struct field *field, const void *object) {
    const struct training_config *training = object;
    (void)field;
    for (size_t i = 0; i < COUNT(stop_table); i++) {
        if (stop_table[i].value == training->stop_metric) {
            return json_pack("{s:s, s:f, s:i}", "metric", stop_table[i].metric, stop_table[i].bound,
                             training->stop_threshold, "evaluations", training->stop_evaluations);
        }
    }
    return json_null();
}

static const struct field_custom stop_when = {
    decode_stop, encode_stop,
    "{\"type\": [\"object\", \"null\"], \"properties\": {\"metric\": {\"enum\": [\"accuracy\", \"loss\"]}, "
    "\"above\": {\"type\": [\"number\", \"null\"], \"minimum\": -1e30, \"maximum\": 1e30}, "
    "\"below\": {\"type\": [\"number\", \"null\"], \"minimum\": -1e30, \"maximum\": 1e30}, "
    "\"evaluations\": {\"type\": \"integer\", \"minimum\": 1, \"maximum\": 1000000}}, \"required\": [\"metric\"], "
    "\"additionalProperties\": false}"};

/*
 * What training.diagnostics may list; the table, the error message and the schema are made from this. The field's
 * description states the costs.
 */
#define DIAGNOSTICS(ITEM, BETWEEN)                                                                                     \
    ITEM("cosine", DIAGNOSTIC_COSINE) BETWEEN ITEM("spectral_radius", DIAGNOSTIC_SPECTRAL_RADIUS)                      \
    BETWEEN                                                                                                            \
    ITEM("psi", DIAGNOSTIC_PSI) BETWEEN ITEM("norms", DIAGNOSTIC_NORMS)                                                \
    BETWEEN                                                                                                            \
    ITEM("phases", DIAGNOSTIC_PHASES) BETWEEN ITEM("credit_gain", DIAGNOSTIC_CREDIT_GAIN)
#define DIAGNOSTIC_ROW(name, bit) {name, bit},
#define DIAGNOSTIC_NAME(name, bit) name,
#define DIAGNOSTIC_QUOTED(name, bit) "\"" name "\""

static const struct {
    const char *name;
    unsigned bit;
} diagnostic_table[] = {DIAGNOSTICS(DIAGNOSTIC_ROW, )};

static unsigned diagnostic_bit(const char *name) {
    for (size_t i = 0; i < COUNT(diagnostic_table); i++) {
        if (strcmp(name, diagnostic_table[i].name) == 0) {
            return diagnostic_table[i].bit;
        }
    }
    return 0;
}

/* The rules of "alignment": names, or rule objects. */
void alignment_rules_decode(const json_t *value, enum neuron neuron, const struct path *path, const char *name,
                            struct rule_config *rules, int *count, struct problems *problems) {
    const struct path here = {.parent = path, .name = name};
    size_t i, size = json_array_size(value);
    json_t *entry;
    char got[80];
    *count = 0;
    if (!json_is_array(value) || size < 1 || size > ALIGNED_MOST) {
        problems_add(problems, path, name, "must be a list of 1 to %d rules, each a name or a rule object; got %s",
                     ALIGNED_MOST, value == NULL ? "none" : value_quote(value, got));
        return;
    }
    json_array_foreach((json_t *)(uintptr_t)value, i, entry) {
        const struct path below = {.parent = &here, .index = i};
        json_t *rule = json_is_string(entry) ? json_pack("{s:O}", "type", entry) : json_incref(entry);
        rule_decode(&rules[i], rule, neuron, &below, problems);
        *count = (int)i + 1;
        json_decref(rule);
    }
}

static void decode_diagnostic_members(const json_t *value, const struct path *path, struct training_config *training,
                                      struct problems *problems) {
    static const char *const known[] = {DIAGNOSTICS(DIAGNOSTIC_NAME, ) "alignment"};
    const char *name;
    json_t *member;
    char got[80];
    json_object_foreach((json_t *)(uintptr_t)value, name, member) {
        unsigned bit = diagnostic_bit(name);
        if (strcmp(name, "alignment") == 0) {
            training->diagnostics |= DIAGNOSTIC_ALIGNMENT;
            alignment_rules_decode(member, training->aligned_neuron, path, name, training->aligned,
                                   &training->aligned_count, problems);
        } else if (bit == 0) {
            problems_add_unknown(problems, path, name, "diagnostic", known, COUNT(known));
        } else if (!json_is_boolean(member)) {
            problems_add(problems, path, name, "must be true or false; got %s", value_quote(member, got));
        } else {
            training->diagnostics |= json_is_true(member) ? bit : 0;
        }
    }
}

static void decode_diagnostics(const json_t *value, const struct path *path, const struct field *field, void *object,
                               struct problems *problems) {
    struct training_config *training = object;
    bool ok = json_is_boolean(value) || json_is_array(value) || json_is_object(value);
    training->diagnostics = json_is_true(value) ? DIAGNOSTIC_ALL : 0;
    training->aligned_count = 0;
    if (json_is_object(value)) {
        decode_diagnostic_members(value, &(struct path){.parent = path, .name = field->name}, training, problems);
    }
    size_t i;
    json_t *entry;
    json_array_foreach((json_t *)(uintptr_t)value, i, entry) {
        unsigned bit = json_is_string(entry) ? diagnostic_bit(json_string_value(entry)) : 0;
        ok = ok && bit != 0 && !(training->diagnostics & bit);
        training->diagnostics |= bit;
    }
    char got[80];
    if (!ok) {
        problems_add(problems, path, field->name,
                     "must be true, false or a list of some of " DIAGNOSTICS(
                         DIAGNOSTIC_QUOTED, ", ") ", each once; or an "
                                                  "object of them and \"alignment\"; got %s",
                     value_quote(value, got));
    }
}

/* {"cosine": true, .., "alignment": [rule objects]} */
static json_t *encode_diagnostic_members(const struct training_config *training) {
    json_t *object = json_object(), *rules = json_array();
    bool ok = object != NULL && rules != NULL;
    for (size_t i = 0; ok && i < COUNT(diagnostic_table); i++) {
        ok = !(training->diagnostics & diagnostic_table[i].bit) ||
             json_object_set_new(object, diagnostic_table[i].name, json_true()) == 0;
    }
    for (int i = 0; ok && i < training->aligned_count; i++) {
        ok = json_array_append_new(rules, rule_encode(&training->aligned[i])) == 0;
    }
    ok = (json_object_set_new(object, "alignment", rules) == 0) && ok;
    if (!ok) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *encode_diagnostics(const struct field *field, const void *object) {
    const struct training_config *training = object;
    (void)field;
    if (training->diagnostics & DIAGNOSTIC_ALIGNMENT) {
        return encode_diagnostic_members(training);
    }
    if (training->diagnostics == 0 || training->diagnostics == DIAGNOSTIC_ALL) {
        return json_boolean(training->diagnostics != 0);
    }
    json_t *list = json_array();
    for (size_t i = 0; i < COUNT(diagnostic_table); i++) {
        if ((training->diagnostics & diagnostic_table[i].bit) &&
            json_array_append_new(list, json_string(diagnostic_table[i].name)) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

#define DIAGNOSTIC_MEMBER(name, bit) "\"" name "\": {\"type\": \"boolean\"}"

static const struct field_custom diagnostics = {
    decode_diagnostics, encode_diagnostics,
    "{\"oneOf\": [{\"type\": \"boolean\"}, {\"type\": \"array\", \"uniqueItems\": true, \"items\": {\"enum\": "
    "[" DIAGNOSTICS(DIAGNOSTIC_QUOTED, ", ") "]}}, {\"type\": \"object\", \"properties\": {" DIAGNOSTICS(
        DIAGNOSTIC_MEMBER, ", ") ", \"alignment\": {\"type\": \"array\", \"minItems\": 1, \"maxItems\": 8, \"items\": "
                                 "{\"type\": [\"string\", \"object\"]}}}, \"additionalProperties\": false}]}"};

static const struct field evaluation_items[] = {
    {.name = "trials",
     .type = FIELD_INT64_OR_NULL,
     .offset = TRAINING(evaluation_trials),
     .low = 1,
     .high = INT32_MAX,
     .fallback = "null"},
};
static const struct fields evaluation_fields = {evaluation_items, COUNT(evaluation_items)};

static void decode_evaluation(const json_t *value, const struct path *path, const struct field *field, void *object,
                              struct problems *problems) {
    struct training_config *training = object;
    char got[80];
    training->evaluation_trials = 0;
    if (json_is_object(value)) {
        const struct path here = {.parent = path, .name = field->name};
        fields_decode(&(struct decoding){.fields = &evaluation_fields, .variant = ~0u}, value, &here, training,
                      problems);
    } else if (!json_is_null(value)) {
        problems_add(problems, path, field->name,
                     "must be null or {\"trials\": an integer from 1 to 2147483647, or null}; got %s",
                     value_quote(value, got));
    }
}

static json_t *encode_evaluation(const struct field *field, const void *object) {
    const struct training_config *training = object;
    (void)field;
    return training->evaluation_trials == 0 ? json_null()
                                            : json_pack("{s:I}", "trials", (json_int_t)training->evaluation_trials);
}

static const struct field_custom evaluation = {
    decode_evaluation, encode_evaluation,
    "{\"type\": [\"object\", \"null\"], \"properties\": {\"trials\": {\"type\": [\"integer\", \"null\"], "
    "\"minimum\": 1, \"maximum\": 2147483647}}, \"additionalProperties\": false}"};

static const char *const spacings[] = {"newest", "log", NULL}; /* by enum checkpoint_spacing */

static const struct field training_items[] = {
    {.name = "iterations",
     .type = FIELD_INT64,
     .offset = TRAINING(iterations),
     .low = 1,
     .high = 1e12,
     .fallback = "3000",
     .reach = REACH_RESULT,
     .identity = "3000",
     .doc = "updates of the weights"},
    {.name = "batch_size",
     .type = FIELD_INT,
     .offset = TRAINING(batch_size),
     .unit = "trials",
     .low = 1,
     .high = 65536,
     .fallback = "32",
     .identity = "32",
     .doc = "trials per update"},
    {.name = "evaluate_every",
     .type = FIELD_INT64_OR_NULL,
     .offset = TRAINING(evaluate_every),
     .unit = "iterations",
     .low = 1,
     .high = 1e12,
     .fallback = "20",
     .reach = REACH_RESULT,
     .identity = "20",
     .doc = "iterations between evaluations; null: 20, or with a test split as many as keep evaluation under a "
            "fifth of the work, whatever the rule; the accepted job states the number"},
    {.name = "evaluation",
     .type = FIELD_CUSTOM,
     .custom = &evaluation,
     .fallback = "null",
     .reach = REACH_RESULT,
     .identity = "null",
     .omit_null = true,
     .doc = "{\"trials\": n}: an evaluation takes n trials of the test split, the same each time, evenly spaced over "
            "it; null, or null trials: all of it. Only for tasks with a test split"},
    {.name = "checkpoint_every",
     .type = FIELD_INT64,
     .offset = TRAINING(checkpoint_every),
     .unit = "iterations",
     .low = 1,
     .high = 1e12,
     .fallback = "100",
     .reach = REACH_NOTHING,
     .doc = "iterations between checkpoints"},
    {.name = "keep_checkpoints",
     .type = FIELD_INT,
     .offset = TRAINING(keep_checkpoints),
     .low = 1,
     .high = 1000,
     .fallback = "2",
     .reach = REACH_NOTHING,
     .doc = "number of checkpoints that are kept"},
    {.name = "checkpoint_spacing",
     .type = FIELD_CHOICE,
     .offset = TRAINING(checkpoint_spacing),
     .choices = spacings,
     .fallback = "\"newest\"",
     .reach = REACH_NOTHING,
     .omit_fallback = true,
     .doc = "which are kept: the newest; or the first, the newest and between them those whose iterations are spaced "
            "most evenly in the logarithm, to see how weights change over training"},
    {.name = "stop_when",
     .type = FIELD_CUSTOM,
     .custom = &stop_when,
     .fallback = "null",
     .reach = REACH_RESULT,
     .identity = "null",
     .doc = "end early once this many evaluations in a row meet the condition"},
    {.name = "update_every",
     .type = FIELD_INT_OR_NULL,
     .offset = TRAINING(update_every),
     .unit = "steps",
     .low = 1,
     .high = 1000000000,
     .fallback = "null",
     .identity = "null",
     .omit_null = true,
     .doc = "update the weights after every so many steps of a trial, traces and state going on; null: at its end. For "
            "rules that go forward in time: eprop; mdgl without a leak in the readout; modprop with weights by type, "
            "averaging all, taps null and equal tau (in a leaky readout of model rate alone); diffusion, uoro, rtrl"},
    {.name = "rate_cost",
     .type = FIELD_NUMBER,
     .offset = TRAINING(rate_cost),
     .low = 0,
     .high = 1e9,
     .fallback = "0",
     .identity = "0",
     .omit_fallback = true,
     .doc =
         "of spiking models: half of this times the squared distance of each unit's mean rate from rate_target, summed "
         "over units, joins the loss that is optimised, not the one that is reported"},
    {.name = "rate_target",
     .type = FIELD_NUMBER,
     .offset = TRAINING(rate_target),
     .unit = "spikes per step",
     .low = 0,
     .high = 1,
     .fallback = "0.01",
     .identity = "0.01",
     .omit_fallback = true,
     .doc = "the mean rate that costs nothing: 0.01 is 10 Hz"},
    {.name = "memory",
     .type = FIELD_INT64_OR_NULL,
     .offset = TRAINING(memory),
     .unit = "bytes",
     .low = 1048576,
     .high = 1e15,
     .fallback = "null",
     .reach = REACH_NOTHING,
     .doc = "bound on the memory for history; beyond it time is recomputed in segments"},
    {.name = "diagnostics",
     .type = FIELD_CUSTOM,
     .custom = &diagnostics,
     .fallback = "false",
     .reach = REACH_NOTHING,
     .doc = "what each evaluation also reports, true for all but credit_gain and alignment; cost per evaluation: "
            "cosine with the true gradient "
            "(bptt's, with symmetric feedback) of the same batch (an iteration of bptt and "
            "one of the rule, the latter once for cosine, psi and norms together), spectral_radius of W (eigenvalues, "
            "of order units^3), psi (mean psi, "
            "silent units; an iteration of the rule), norms of the gradient (an iteration of the rule), phases (where "
            "the time goes; nothing), credit_gain (of rules with mu: how much the credit operator can amplify within "
            "the trial, "
            "some 20 products of units by units matrices). As an object, such as {\"cosine\": true, \"alignment\": "
            "[\"bptt\", "
            "\"eprop\"]}, also alignment: the cosines between the gradients of any rules, named or as rule objects, by "
            "weight matrix and in whole (an iteration of each)"},
    {.name = "events",
     .type = FIELD_INT,
     .offset = TRAINING(events),
     .low = 1,
     .high = 2,
     .fallback = "2",
     .before = "1",
     .reach = REACH_RESULT,
     .identity = "1",
     .doc = "version of what an evaluation reports: 2 adds mu where it is \"auto\"; 1 is that of jobs accepted before "
            "there was this field"},
};

const struct fields training_fields = {training_items, COUNT(training_items)};
