#include "api/gradients.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/array.h"
#include "api/job.h"
#include "api/text.h"
#include "core/model/neuron.h"
#include "core/rules/rules.h"

#define UNITS_MAX 4096
#define STEPS_MAX 1000000

static const char *const top_names[] = {"network", "inputs", "targets", "mask",      "loss",
                                        "rules",   "seed",   "nu",      "rate_cost", "rate_target"};
static const char *const network_names[] = {
    "W",        "Win",   "b",         "Wout",      "bout",       "leak", "types", "activation",
    "feedback", "model", "threshold", "dampening", "refractory", "beta", "rho",   "readout_kappa"};

#define COUNT(table) (sizeof(table) / sizeof *(table))

static void check_names(const json_t *object, const char *const *names, size_t count, const struct path *path,
                        struct problems *problems) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value) {
        bool known = false;
        for (size_t i = 0; i < count; i++) {
            known = known || strcmp(name, names[i]) == 0;
        }
        if (!known) {
            problems_add_unknown(problems, path, name, "field", names, count);
        }
    }
}

/*
 * Memory for count entries of size bytes, owned by the request. NULL, with a fault at path/name, if out of memory: a
 * missing array must never pass for one that was not sent.
 */
static void *take(struct gradients_request *request, size_t count, size_t size, const struct path *path,
                  const char *name, struct problems *problems) {
    void *memory = calloc(count == 0 ? 1 : count, size);
    if (memory == NULL) {
        problems_add(problems, path, name, "not enough memory for it");
        return NULL;
    }
    request->memory[request->memory_count++] = memory;
    return memory;
}

/* A float array of the given shape; NULL if it is optional and absent, or wrong. */
static const float *read_floats(struct gradients_request *request, const json_t *object, const char *name,
                                int dimensions, const size_t *lengths, bool optional, const struct path *path,
                                struct problems *problems) {
    const json_t *value = json_object_get(object, name);
    size_t bytes = size_product(lengths, dimensions, sizeof(float));
    if (optional && (value == NULL || json_is_null(value))) {
        return NULL;
    }
    if (value == NULL) {
        problems_add(problems, path, name, "is required");
        return NULL;
    }
    if (!array_check(value, dimensions, lengths, path, name, problems)) {
        return NULL;
    }
    if (bytes == 0) {
        problems_add(problems, path, name, "is too large");
        return NULL;
    }
    float *to = take(request, bytes / sizeof(float), sizeof(float), path, name, problems);
    return to != NULL && array_read(value, dimensions, lengths, to, path, name, problems) ? to : NULL;
}

/* The shapes that everything else must fit: those of W, Win, Wout and inputs. */
static bool read_shapes(struct gradients_request *request, const json_t *document, const json_t *network,
                        struct problems *problems) {
    const struct path path = {.name = "network"};
    struct gradients_problem *p = &request->problem;
    size_t W[3], Win[3], Wout[3], x[3];
    size_t before = problems->count;
    const struct {
        const json_t *object;
        const struct path *path;
        const char *name;
        int dimensions;
        size_t *lengths, most;
    } table[] = {{network, &path, "W", 2, W, UNITS_MAX},
                 {network, &path, "Win", 2, Win, UNITS_MAX},
                 {network, &path, "Wout", 2, Wout, UNITS_MAX},
                 {document, NULL, "inputs", 3, x, STEPS_MAX}};
    for (size_t i = 0; i < COUNT(table); i++) {
        int dimensions = array_shape(json_object_get(table[i].object, table[i].name), table[i].lengths);
        bool empty = false;
        for (int j = 0; j < dimensions; j++) {
            empty = empty || table[i].lengths[j] == 0;
        }
        if (dimensions != table[i].dimensions || empty) {
            const json_t *value = json_object_get(table[i].object, table[i].name);
            char got[80];
            problems_add(problems, table[i].path, table[i].name,
                         "must be a list of lists%s of numbers, none empty; got %s",
                         table[i].dimensions == 3 ? " of lists" : "", shape_quote(value, got));
        } else if (table[i].lengths[0] > table[i].most) {
            problems_add(problems, table[i].path, table[i].name, "must have at most %zu entries; it has %zu",
                         table[i].most, table[i].lengths[0]);
        }
    }
    if (problems->count > before) {
        return false;
    }
    if (x[1] > 65536 || Win[0] > UNITS_MAX || Wout[1] > UNITS_MAX) {
        problems_add(problems, NULL, "inputs",
                     "must have at most 65536 trials, %d inputs and outputs; got %zu, %zu and %zu", UNITS_MAX, x[1],
                     Win[0], Wout[1]);
        return false;
    }
    p->units = (int)W[0];
    p->inputs = (int)Win[0];
    p->outputs = (int)Wout[1];
    p->steps = (int)x[0];
    p->trials = (int)x[1];
    return true;
}

static void read_types(struct gradients_request *request, const json_t *network, const struct path *path,
                       struct problems *problems) {
    struct gradients_problem *p = &request->problem;
    const json_t *value = json_object_get(network, "types");
    p->types = 1;
    if (value == NULL || json_is_null(value)) {
        return;
    }
    int32_t *types = take(request, (size_t)p->units, sizeof *types, path, "types", problems);
    if (types == NULL ||
        !array_read_integers(value, 1, (size_t[]){(size_t)p->units}, 0, p->units - 1, types, path, "types", problems)) {
        return;
    }
    for (int i = 0; i < p->units; i++) {
        p->types = types[i] >= p->types ? types[i] + 1 : p->types;
    }
    p->type_of_unit = types;
}

/* One number a unit, at least `low` and below `below`. */
static const double *read_units(struct gradients_request *request, const json_t *network, const char *name, double low,
                                double below, const struct path *path, struct problems *problems) {
    struct gradients_problem *p = &request->problem;
    const json_t *value = json_object_get(network, name);
    char got[80];
    if (!json_is_array(value) || json_array_size(value) != (size_t)p->units) {
        problems_add(problems, path, name, "must be a list of one number per unit (%d); got %s", p->units,
                     shape_quote(value, got));
        return NULL;
    }
    double *numbers = take(request, (size_t)p->units, sizeof *numbers, path, name, problems);
    for (int i = 0; numbers != NULL && i < p->units; i++) {
        const json_t *entry = json_array_get(value, (size_t)i);
        numbers[i] = json_number_value(entry);
        if (!json_is_number(entry) || !(numbers[i] >= low && numbers[i] < below)) {
            const struct path here = {.parent = path, .name = name}, under = {.parent = &here, .index = (size_t)i};
            problems_add(problems, &under, NULL, "must be a number of at least %g, below %g; got %s", low, below,
                         value_quote(entry, got));
            return NULL;
        }
    }
    return numbers;
}

static void read_number(const json_t *network, const char *name, double low, double below, const struct path *path,
                        double *to, struct problems *problems) {
    const json_t *value = json_object_get(network, name);
    double number = json_number_value(value);
    char got[80];
    if (!json_is_number(value) || !(number >= low && number < below)) {
        problems_add(problems, path, name, "must be a number of at least %g, below %g; got %s", low, below,
                     value == NULL ? "none" : value_quote(value, got));
        return;
    }
    *to = number;
}

static void read_refractory(struct gradients_problem *problem, const json_t *network, const struct path *path,
                            struct problems *problems) {
    const json_t *value = json_object_get(network, "refractory");
    char got[80];
    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > STEPS_MAX) {
        problems_add(problems, path, "refractory", "must be an integer from 0 to %d, in steps; got %s", STEPS_MAX,
                     value == NULL ? "none" : value_quote(value, got));
        return;
    }
    problem->refractory = (int)json_integer_value(value);
}

#define ACTIVATION_NAME(number, name) #name,
#define ACTIVATION_QUOTED(number, name) ", \"" #name "\""

static void read_activation(struct gradients_problem *problem, const json_t *value, const struct path *path,
                            struct problems *problems) {
    static const char *const names[] = {ACTIVATION_ROWS(ACTIVATION_NAME)};
    const char *name = value == NULL ? names[0] : json_string_value(value);
    char got[80];
    for (int i = 0; name != NULL && i < ACTIVATIONS; i++) {
        if (strcmp(name, names[i]) == 0) {
            problem->activation = (enum activation)i;
            return;
        }
    }
    problems_add(problems, path, "activation", "must be one of%s; got %s", &ACTIVATION_ROWS(ACTIVATION_QUOTED)[1],
                 value_quote(value, got));
}

static void read_model(struct gradients_problem *problem, const json_t *value, const struct path *path,
                       struct problems *problems) {
    const char *name = value == NULL ? neuron_table[NEURON_MEMBRANE]->name : json_string_value(value);
    char got[80];
    for (int i = 0; name != NULL && i < NEURON_MODELS; i++) {
        if (strcmp(name, neuron_table[i]->name) == 0) {
            problem->neuron = (enum neuron)i;
            return;
        }
    }
    problems_add(problems, path, "model", "must be one of%s; got %s", &NEURONS(ACTIVATION_QUOTED)[1],
                 value_quote(value, got));
}

/* What the model and the readout need; a field that the model does not have is a mistake that would go unnoticed. */
static void read_neuron(struct gradients_request *request, const json_t *network, const struct path *path,
                        struct problems *problems) {
    struct gradients_problem *p = &request->problem;
    read_model(p, json_object_get(network, "model"), path, problems);
    const struct neuron_ops *ops = neuron_table[p->neuron];
    const struct {
        const char *name;
        bool applies;
    } table[] = {{"activation", !ops->spikes}, {"threshold", ops->spikes}, {"dampening", ops->spikes},
                 {"refractory", ops->spikes},  {"beta", ops->adapts},      {"rho", ops->adapts}};
    for (size_t i = 0; i < COUNT(table); i++) {
        if (!table[i].applies && json_object_get(network, table[i].name) != NULL) {
            problems_add(problems, path, table[i].name, "does not apply to network.model %s", ops->name);
        }
    }
    if (json_object_get(network, "readout_kappa") != NULL) {
        read_number(network, "readout_kappa", 0, 1, path, &p->readout_kappa, problems);
    }
    if (!ops->spikes) {
        read_activation(p, json_object_get(network, "activation"), path, problems);
        return;
    }
    read_number(network, "threshold", THRESHOLD_LEAST, 1e6, path, &p->threshold, problems);
    read_number(network, "dampening", 0, 1e6, path, &p->dampening, problems);
    read_refractory(p, network, path, problems);
    p->rho = ops->adapts ? read_units(request, network, "rho", 0, 1, path, problems) : NULL;
    p->beta = ops->adapts ? read_units(request, network, "beta", 0, 1e6, path, problems) : NULL;
}

static void read_network(struct gradients_request *request, const json_t *network, struct problems *problems) {
    const struct path path = {.name = "network"};
    struct gradients_problem *p = &request->problem;
    size_t N = (size_t)p->units, I = (size_t)p->inputs, O = (size_t)p->outputs;
    check_names(network, network_names, COUNT(network_names), &path, problems);
    p->W = read_floats(request, network, "W", 2, (size_t[]){N, N}, false, &path, problems);
    p->Win = read_floats(request, network, "Win", 2, (size_t[]){I, N}, false, &path, problems);
    p->b = read_floats(request, network, "b", 1, (size_t[]){N}, true, &path, problems);
    request->bias = p->b != NULL;
    p->b = request->bias ? p->b : take(request, N, sizeof(float), &path, "b", problems);
    p->Wout = read_floats(request, network, "Wout", 2, (size_t[]){N, O}, false, &path, problems);
    p->bout = read_floats(request, network, "bout", 1, (size_t[]){O}, false, &path, problems);
    p->feedback = read_floats(request, network, "feedback", 2, (size_t[]){O, N}, true, &path, problems);
    p->leak = read_units(request, network, "leak", 0, 1, &path, problems);
    read_types(request, network, &path, problems);
    read_neuron(request, network, &path, problems);
}

static void read_batch(struct gradients_request *request, const json_t *document, struct problems *problems) {
    struct gradients_problem *p = &request->problem;
    size_t T = (size_t)p->steps, B = (size_t)p->trials, I = (size_t)p->inputs, O = (size_t)p->outputs;
    const char *loss = json_string_value(json_object_get(document, "loss"));
    char got[80];
    p->x = read_floats(request, document, "inputs", 3, (size_t[]){T, B, I}, false, NULL, problems);
    p->mask = read_floats(request, document, "mask", 2, (size_t[]){T, B}, true, NULL, problems);
    if (loss != NULL && strcmp(loss, "cross_entropy") == 0) {
        p->loss = LOSS_CROSS_ENTROPY;
        const json_t *targets = json_object_get(document, "targets");
        bool fits = array_check(targets, 2, (size_t[]){T, B}, NULL, "targets", problems);
        int32_t *classes = fits ? take(request, T * B, sizeof *classes, NULL, "targets", problems) : NULL;
        bool ok = classes != NULL &&
                  array_read_integers(targets, 2, (size_t[]){T, B}, 0, (int)O - 1, classes, NULL, "targets", problems);
        p->classes = ok ? classes : NULL;
    } else if (loss != NULL && strcmp(loss, "mse") == 0) {
        p->loss = LOSS_MSE;
        p->values = read_floats(request, document, "targets", 3, (size_t[]){T, B, O}, false, NULL, problems);
    } else {
        const json_t *value = json_object_get(document, "loss");
        problems_add(problems, NULL, "loss", "must be one of \"cross_entropy\", \"mse\"; got %s",
                     value == NULL ? "none" : value_quote(value, got));
    }
    double sum = 0.0;
    for (size_t i = 0; p->mask != NULL && i < T * B; i++) {
        sum += p->mask[i];
        if (p->mask[i] < 0.0f) {
            problems_add(problems, NULL, "mask", "must have no entry below 0; got %.9g", (double)p->mask[i]);
            return;
        }
    }
    if (p->mask != NULL && !(sum > 0.0)) {
        problems_add(problems, NULL, "mask", "must count at least one step; all its entries are 0");
    }
}

static struct rule_shape shape_of(const struct gradients_request *request) {
    const struct gradients_problem *p = &request->problem;
    return (struct rule_shape){.units = p->units,
                               .types = p->types,
                               .steps = p->steps,
                               .losses = p->steps,
                               .neuron = p->neuron,
                               .readout_leaks = p->readout_kappa > 0,
                               .connectivity = 1};
}

static void check_rule_lists(const struct gradients_request *request, const struct rule_config *rule,
                             const struct path *path, struct problems *problems) {
    const struct rule_shape shape = shape_of(request);
    const char *parameter;
    char sentence[256];
    if (!rule_suits(rule, &shape, &parameter, sentence)) {
        problems_add(problems, path, parameter, "%s", sentence);
    }
}

static void read_seed(struct gradients_request *request, const json_t *value, struct problems *problems) {
    char got[80];
    request->problem.seed = 1;
    if (json_is_integer(value) && json_integer_value(value) >= 0 && json_integer_value(value) < (INT64_C(1) << 53)) {
        request->problem.seed = (uint64_t)json_integer_value(value);
    } else if (value != NULL) {
        problems_add(problems, NULL, "seed", "must be an integer from 0 to 9007199254740991; got %s",
                     value_quote(value, got));
    }
}

/* The firing cost of spiking models; see training.rate_cost. */
static void read_rate_cost(struct gradients_request *request, const json_t *document, struct problems *problems) {
    struct gradients_problem *p = &request->problem;
    p->rate_target = 0.01;
    if (json_object_get(document, "rate_cost") != NULL) {
        read_number(document, "rate_cost", 0, 1e9, NULL, &p->rate_cost, problems);
    }
    if (json_object_get(document, "rate_target") != NULL) {
        read_number(document, "rate_target", 0, 1.0000001, NULL, &p->rate_target, problems);
    }
    if (p->rate_cost > 0 && !neuron_table[p->neuron]->spikes) {
        problems_add(problems, NULL, "rate_cost",
                     "must be 0 where network.model is \"%s\", which does not spike; got %g",
                     neuron_table[p->neuron]->name, p->rate_cost);
    }
}

/* Whether a rule goes forward by a draw of signs. */
static bool draws_signs(const struct gradients_request *request) {
    const struct rule_shape shape = shape_of(request);
    for (int i = 0; i < request->rule_count; i++) {
        const struct rule_config *rule = &request->rules[i];
        const struct rule_ops *ops = rule_table[rule->type];
        if (ops->forward != NULL && ops->forward(rule, &shape) == FORWARD_RANK_ONE) {
            return true;
        }
    }
    return false;
}

static void read_rules(struct gradients_request *request, const json_t *document, struct problems *problems) {
    const json_t *rules = json_object_get(document, "rules");
    const struct path path = {.name = "rules"};
    size_t count = json_array_size(rules);
    if (!json_is_array(rules) || count == 0 || count > GRADIENTS_RULES_MAX) {
        char got[80];
        problems_add(problems, NULL, "rules", "must be a list of 1 to %d rule objects; got %s", GRADIENTS_RULES_MAX,
                     shape_quote(rules, got));
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct rule_config *rule = &request->rules[i];
        const struct path here = {.parent = &path, .index = i};
        json_t *value = json_array_get(rules, i);
        rule_decode(rule, value, request->problem.neuron, &here, problems);
        request->received[i] = json_incref(value);
        request->rule_count = (int)i + 1;
        if (rule->mu_auto) {
            problems_add(problems, &here, "mu",
                         "must be a number: one batch has no running mean for \"auto\" to follow; got \"auto\"");
        }
        if (rule_fit(rule) != NULL) {
            problems_add(problems, &here, "taps", "must be a list: taps are fitted in training alone");
        }
        if (rule->gain_bound.most > 0) {
            problems_add(problems, &here, "mu",
                         "must be a number or a list: a bound on the gain rescales mu in training, and one batch has "
                         "mu as it is given");
        }
        if (request->problem.rate_cost > 0 && rule_table[rule->type]->credit == NULL) {
            problems_add(problems, &here, "type",
                         "must not be %s where rate_cost is above 0: it goes forward in time, and "
                         "the cost needs the mean rate of the whole trial",
                         rule_table[rule->type]->name);
        }
        if (rule->feedback != FEEDBACK_SYMMETRIC && request->problem.feedback == NULL) {
            problems_add(problems, &(struct path){.name = "network"}, "feedback",
                         "is required (outputs by units) for random and adaptive feedback");
        }
        const struct rule_ops *ops = rule_table[rule->type];
        if (ops->units_most > 0 && request->problem.units > ops->units_most) {
            problems_add(problems, &here, "type", "must not be %s with more than %d units; the network has %d",
                         ops->name, ops->units_most, request->problem.units);
        }
        if (request->problem.units > 0) {
            check_rule_lists(request, rule, &here, problems);
        }
    }
}

/* Multiply-adds of all rules, including bptt for the cosine. */
static double work_of(const struct gradients_request *request) {
    const struct gradients_problem *p = &request->problem;
    const struct rule_shape shape = shape_of(request);
    double N = p->units, trials = (double)p->steps * p->trials, step = trials * N * (N + p->inputs + p->outputs),
           work = 3.0 * step;
    for (int i = 0; i < request->rule_count; i++) {
        const struct rule_config *rule = &request->rules[i];
        const struct rule_ops *ops = rule_table[rule->type];
        double own = ops->work != NULL ? trials * ops->work(rule, &shape) : 0;
        work += rule_forward(rule, &shape) == FORWARD_SENSITIVITIES
                    ? step * N * (N + p->inputs + 1.0)
                    : 3.0 * step * (rule_taps(rule) > 0 ? 2.0 : 1.0) + own;
    }
    return work;
}

void gradients_request_decode(struct gradients_request *request, const json_t *document, struct problems *problems) {
    memset(request, 0, sizeof *request);
    const json_t *network = json_object_get(document, "network");
    check_names(document, top_names, COUNT(top_names), NULL, problems);
    if (!json_is_object(network)) {
        char got[80];
        problems_add(problems, NULL, "network", "must be an object with W, Win, Wout, bout and leak; got %s",
                     shape_quote(network, got));
    }
    if (read_shapes(request, document, network, problems)) {
        read_network(request, network, problems);
        read_batch(request, document, problems);
    }
    if (request->problem.units > 0) {
        const struct gradients_problem *p = &request->problem;
        request->problem.nu = read_floats(request, document, "nu", 3,
                                          (size_t[]){(size_t)p->steps, (size_t)p->trials, (size_t)p->units}, true, NULL,
                                          problems);
    }
    read_seed(request, json_object_get(document, "seed"), problems);
    read_rate_cost(request, document, problems);
    read_rules(request, document, problems);
    if (request->problem.nu != NULL && problems->count == 0 && !draws_signs(request)) {
        problems_add(problems, NULL, "nu", "must be absent, or null, unless a rule is uoro: no other has signs");
    }
    if (problems->count == 0 && work_of(request) > GRADIENTS_WORK_MAX) {
        problems_add(
            problems, NULL, "inputs",
            "is too large: the rules would take %.3g multiply-adds together, at most %.3g are allowed per request",
            work_of(request), GRADIENTS_WORK_MAX);
    }
}

void gradients_request_release(struct gradients_request *request) {
    for (int i = 0; i < request->memory_count; i++) {
        free(request->memory[i]);
    }
    for (int i = 0; i < request->rule_count; i++) {
        json_decref(request->received[i]);
        rule_release(&request->rules[i]);
    }
    memset(request, 0, sizeof *request);
}

bool gradients_create(const struct gradients_problem *p, struct gradients *gradients) {
    size_t N = (size_t)p->units, I = (size_t)p->inputs, O = (size_t)p->outputs;
    float *memory = calloc(N * N + I * N + N + N * O + O, sizeof *memory);
    gradients->W = memory;
    if (memory == NULL) {
        return false;
    }
    gradients->Win = memory + N * N;
    gradients->b = gradients->Win + I * N;
    gradients->Wout = gradients->b + N;
    gradients->bout = gradients->Wout + N * O;
    return true;
}

void gradients_release(struct gradients *gradients) {
    free(gradients->W); /* the first of one block */
    gradients->W = NULL;
}

/* ---- the answer ---- */

static double dot(const float *a, const float *b, size_t count) {
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) {
        sum += (double)a[i] * (double)b[i];
    }
    return sum;
}

static void write_cosine(struct writer *writer, const char *name, double ab, double aa, double bb) {
    char number[32], text[64];
    number_put(aa > 0.0 && bb > 0.0 ? fmax(-1.0, fmin(1.0, ab / sqrt(aa * bb))) : NAN, number);
    snprintf(text, sizeof text, "\"%s\":%s", name, number);
    writer_text(writer, text);
}

void gradients_write_begin(struct writer *writer, double loss) {
    char number[32];
    number_put(loss, number);
    writer_text(writer, "{\"loss\":");
    writer_text(writer, number);
    writer_text(writer, ",\"rules\":[");
}

void gradients_write_rule(struct writer *writer, const struct gradients_request *request, int index,
                          const struct gradients *g, const struct gradients *bptt) {
    const struct gradients_problem *p = &request->problem;
    size_t N = (size_t)p->units, I = (size_t)p->inputs, O = (size_t)p->outputs;
    const struct {
        const char *name;
        const float *values, *truth;
        size_t rows, columns; /* rows 0: a vector */
    } parts[] = {{"W", g->W, bptt->W, N, N},
                 {"Win", g->Win, bptt->Win, I, N},
                 {"b", g->b, bptt->b, 0, N},
                 {"Wout", g->Wout, bptt->Wout, N, O},
                 {"bout", g->bout, bptt->bout, 0, O}};
    char *rule = json_text(request->received[index], NULL);
    double sums[3] = {0};
    writer_text(writer, index == 0 ? "{\"rule\":" : ",{\"rule\":");
    writer_text(writer, rule == NULL ? "null" : rule);
    free(rule);
    writer_text(writer, ",\"gradients\":{");
    for (size_t i = 0; i < COUNT(parts); i++) {
        writer_text(writer, i == 0 ? "\"" : ",\"");
        writer_text(writer, parts[i].name);
        writer_text(writer, "\":");
        if (parts[i].rows == 0) {
            writer_vector(writer, parts[i].values, parts[i].columns);
        } else {
            writer_matrix(writer, parts[i].values, parts[i].rows, parts[i].columns);
        }
    }
    writer_text(writer, "},\"cosine\":{");
    for (size_t i = 0; i < COUNT(parts); i++) {
        size_t count = parts[i].columns * (parts[i].rows == 0 ? 1 : parts[i].rows);
        double ab = dot(parts[i].values, parts[i].truth, count), aa = dot(parts[i].values, parts[i].values, count),
               bb = dot(parts[i].truth, parts[i].truth, count);
        if (request->bias || parts[i].values != g->b) {
            sums[0] += ab;
            sums[1] += aa;
            sums[2] += bb;
        }
        write_cosine(writer, parts[i].name, ab, aa, bb);
        writer_text(writer, ",");
    }
    write_cosine(writer, "all", sums[0], sums[1], sums[2]);
    writer_text(writer, "}}");
}

void gradients_write_end(struct writer *writer) {
    writer_text(writer, "]}");
}
