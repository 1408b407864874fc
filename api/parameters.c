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

/* ---- rule ---- */

#define RULE(member) offsetof(struct rule_config, member)
#define TAKEN ~0u /* by the rules that name it, see core/rules/rules.h */

/* mu: {"gain_at_most": g} */
static const struct field bound_items[] = {
    {.name = "gain_at_most",
     .type = FIELD_NUMBER,
     .offset = RULE(gain_bound.most),
     .low = 1,
     .high = 1e9,
     .doc = "the credit gain that mu is rescaled to respect"},
    {.name = "every",
     .type = FIELD_INT,
     .offset = RULE(gain_bound.every),
     .unit = "iterations",
     .low = 1,
     .high = 1000000000,
     .fallback = TEXT(GAIN_EVERY),
     .doc = "how often it is rescaled"},
    {.name = "mu",
     .type = FIELD_NUMBER,
     .offset = RULE(mu),
     .low = 0,
     .high = 1,
     .fallback = TEXT(MU_PUBLISHED),
     .doc = "the most that mu is"},
};
static const struct fields bound_fields = FIELDS(bound_items);

static void decode_mu(const json_t *value, const struct path *path, const struct field *field, void *object,
                      struct problems *problems) {
    struct rule_config *rule = object;
    char got[80];
    rule->gain_bound = (struct gain_bound){0};
    if (json_is_object(value)) {
        rule->mu_auto = false;
        rule->mu_of = (struct numbers){0};
        const struct decoding decoding = {.fields = &bound_fields, .variant = ~0u};
        fields_decode(&decoding, value, &(struct path){.parent = path, .name = field->name}, rule, problems);
        return;
    }
    rule->mu_auto = json_is_string(value) && strcmp(json_string_value(value), "auto") == 0;
    rule->mu = rule->mu_auto || json_is_array(value) ? MU_PUBLISHED : json_number_value(value);
    rule->mu_of = (struct numbers){0};
    if (json_is_array(value)) {
        numbers_decode(value, 1, 0, 1, path, field->name, &rule->mu_of, problems);
    } else if (!rule->mu_auto && (!json_is_number(value) || !(rule->mu >= 0.0 && rule->mu <= 1.0))) {
        problems_add(problems, path, field->name,
                     "must be a number from 0 to 1, a list of such numbers (one for each type or unit), \"auto\", or "
                     "{\"gain_at_most\": a number of at least 1}; got %s",
                     value_quote(value, got));
    }
}

static json_t *encode_mu(const struct field *field, const void *object) {
    const struct rule_config *rule = object;
    (void)field;
    if (rule->gain_bound.most > 0) {
        json_t *bound = json_object();
        if (!fields_encode(&bound_fields, ~0u, rule, bound)) {
            json_decref(bound);
            return NULL;
        }
        return bound;
    }
    if (rule->mu_of.values != NULL) {
        return numbers_encode(&rule->mu_of);
    }
    return rule->mu_auto ? json_string("auto") : json_real(rule->mu);
}

static const struct field_custom mu = {
    decode_mu, encode_mu,
    "{\"oneOf\": [{\"type\": \"number\", \"minimum\": 0, \"maximum\": 1}, {\"const\": \"auto\"}, {\"type\": \"array\", "
    "\"minItems\": 1, \"maxItems\": 16384, \"items\": {\"type\": \"number\", \"minimum\": 0, \"maximum\": 1}}, "
    "{\"type\": \"object\", \"properties\": {\"gain_at_most\": {\"type\": \"number\", \"minimum\": 1, \"maximum\": "
    "1e9}, "
    "\"every\": {\"type\": \"integer\", \"minimum\": 1, \"maximum\": 1000000000, \"default\": " TEXT(
        GAIN_EVERY) "}, "
                    "\"mu\": {\"type\": \"number\", \"minimum\": 0, \"maximum\": 1, \"default\": " TEXT(
                        MU_PUBLISHED) "}}, "
                                      "\"required\": [\"gain_at_most\"], \"additionalProperties\": false}]}"};

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
         "paper); {\"gain_at_most\": 10} rescales it every 20 iterations so that the credit gain stays under the "
         "bound"},
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
    {BIT(RULE_MODPROP), 0, "type-averaged weights",
     "{\"network\": {\"types_per_sign\": 23}, \"rule\": {\"weights\": \"type\", \"first_hop\": \"exact\", "
     "\"mu\": " TEXT(MU_PUBLISHED) "}}",
     "Seeds 1 to 10, medians. Delayed XOR, the published run: learned by iteration 550 (cell weights 510, bptt 400, "
     "e-prop 1470), all runs at 100 %, final loss 0.009 "
     "(cell 0.009); with 2 to 8 types in all it took 1020 to 1350. Pattern generation: learned by 290 (cell weights "
     "with the exact first hop 290, bptt 200, e-prop 750). "
     "Row MNIST: 92.7 %, one run of ten diverged (bptt 97.3 %, MDGL 89.8 %, e-prop 88.2 %). tests/reproduce/results"},
    {BIT(RULE_MODPROP), 0, "random or shuffled weights",
     "{\"rule\": {\"weights\": \"shuffled\", \"first_hop\": \"exact\", \"mu\": 0.25}, \"optimizer\": "
     "{\"learning_rate\": 0.005}}",
     "Seeds 1 to 10, delayed XOR of 300 ms, 60 units, 200 iterations; median loss of the last five evaluations: "
     "shuffled "
     "0.012 with mu 0.25 and 0.032 with 0.1, random 0.062 and 0.029 (bptt 0.008, e-prop 0.027); all runs learned. "
     "tests/reproduce/results/delayed_xor_rules.md"},
    {BIT(RULE_DIFFUSION), 0, "short tasks", "{\"optimizer\": {\"learning_rate\": 0.005}}",
     "Seeds 1 to 10, delayed XOR of 300 ms, 60 units, where it is e-prop, loss being at the last step: all runs "
     "learned, "
     "median loss of the last five evaluations 0.028. tests/reproduce/results/delayed_xor_rules.md"},
    {BIT(RULE_BPTT), 0, "windows", "{\"rule\": {\"window\": 100}, \"optimizer\": {\"learning_rate\": 0.005}}",
     "Seeds 1 to 10, delayed XOR of 300 ms, 60 units: all runs learned, median loss of the last five evaluations 0.016 "
     "(the whole trial 0.008, e-prop 0.027). tests/reproduce/results/delayed_xor_rules.md"},
    {BIT(RULE_SNAP), 0, "sparse networks",
     "{\"network\": {\"connectivity\": 0.1}, \"rule\": {\"order\": 2}, \"optimizer\": {\"learning_rate\": 0.005}}",
     "Seed 1, delayed XOR of 300 ms, 60 units, a tenth of the synapses: loss of the last five evaluations 0.089 (bptt "
     "0.086, "
     "e-prop 0.121); at rates 0.002 and 0.0005 0.31 and 0.63. tests/reproduce/results/delayed_xor_snap.md"},
    {BIT(RULE_UORO), 0, "short tasks", "{\"optimizer\": {\"learning_rate\": 0.005}}",
     "Seeds 1 to 3, delayed XOR of 300 ms, 60 units: two of three runs learned, median loss of the last five "
     "evaluations "
     "0.105 (e-prop 0.027); at rates 0.002 and 0.0005 none had learned after 200 iterations. "
     "tests/reproduce/results/delayed_xor_uoro.md"},
    {0, BIT(NEURON_ALIF), "memory by e-prop",
     "{\"network\": {\"model\": \"alif\"}, \"optimizer\": {\"learning_rate\": 0.003}}",
     "Seeds 1 to 10, 60 units, batch 8, 700 iterations; mean accuracy of the last five evaluations, median (range). "
     "store_recall of 360 ms: e-prop 96 % (87 to 100), bptt 97 % (82 to 100). With clip_norm 1 and 2000 iterations, "
     "final accuracy on evidence of three cues and 450 ms: 100 % both; e-prop learned at 365, bptt at 1100. "
     "tests/reproduce/results/alif_store_recall.md, alif_evidence.md"},
    {0, BIT(NEURON_LIF), "pattern generation",
     "{\"network\": {\"model\": \"lif\"}, \"optimizer\": {\"learning_rate\": 0.003}}",
     "Seeds 1 to 10, 60 units: loss under 0.001 from iteration 340 by e-prop and 300 by bptt, medians; all runs. "
     "tests/reproduce/results/lif_pattern.md"},
    {0, BIT(NEURON_RATE), "decisions by RFLO (eprop)",
     "{\"network\": {\"model\": \"rate\"}, \"optimizer\": {\"learning_rate\": 0.003}}",
     "Seeds 1 to 10, 40 units, batch 16, 400 iterations, trials of about 280 ms; mean accuracy of the last five "
     "evaluations, medians: perceptual_decision 79 % (bptt 82 %; at most 90), delayed_match_to_sample 100 % (100 %), "
     "context_decision 81 % (81 %). tests/reproduce/results/rate_decisions.md"},
    {BIT(RULE_FILTER), 0, "taps fitted to bptt",
     "{\"network\": {\"types_per_sign\": 8}, \"rule\": {\"taps\": {\"fit\": {\"steps\": 500, "
     "\"basis\": \"free\", \"every\": 50, \"trials\": 96, \"ridge\": 0.01}}}, \"optimizer\": {\"learning_rate\": "
     "0.0005}}",
     "Delayed XOR with a delay of 300, 400 iterations, seeds 1 and 2: final loss 0.024 and 0.077 (0.032 and 0.351 at "
     "0.001, 0.068 and 0.225 at 0.002; ModProp with cell weights 0.009 and 0.008). "
     "tests/reproduce/results/filter_learning.md"},
};
const size_t recommendation_count = COUNT(recommendations);
