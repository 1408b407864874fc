/* See problems.h. */
#include "tests/unit/problems.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/job.h"
#include "core/kernels/kernels.h"
#include "core/kernels/select.h"
#include "core/model/neuron.h"
#include "core/rules/rules.h"
#include "tests/unit/decoded.h"
#include "tests/unit/suite.h"

static void problem_allocate(struct owned_problem *owned) {
    struct gradients_problem *p = &owned->problem;
    size_t n = (size_t)p->units, i = (size_t)p->inputs, o = (size_t)p->outputs,
           tb = (size_t)p->steps * (size_t)p->trials;
    size_t sizes[] = {n * n, i * n, n, n * o, o, tb * i, tb * o, tb, o * n}, total = 0;
    owned->adaptation = calloc(2 * n, sizeof *owned->adaptation);
    ck_assert_ptr_nonnull(owned->adaptation);
    p->rho = owned->adaptation;
    p->beta = owned->adaptation + n;
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        total += sizes[k];
    }
    float *at = owned->floats = calloc(total, sizeof *at);
    owned->leak = calloc(n, sizeof *owned->leak);
    owned->nu = calloc(tb * n, sizeof *owned->nu);
    owned->types = calloc(n, sizeof *owned->types);
    owned->classes = calloc(tb, sizeof *owned->classes);
    ck_assert(at && owned->leak && owned->types && owned->classes);
    const float **fields[] = {&p->W, &p->Win, &p->b, &p->Wout, &p->bout, &p->x, &p->values, &p->mask, &p->feedback};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; at += sizes[k++]) {
        *fields[k] = at;
    }
    p->leak = owned->leak;
    p->type_of_unit = owned->types;
    p->classes = owned->classes;
}

void problem_release(struct owned_problem *owned) {
    free(owned->floats);
    free(owned->leak);
    free(owned->adaptation);
    free(owned->nu);
    free(owned->types);
    free(owned->classes);
}

static void normals(const struct random_stream *stream, uint64_t *index, const float *to, size_t count,
                    double deviation) {
    for (size_t i = 0; i < count; i++) {
        ((float *)(uintptr_t)to)[i] = (float)(deviation * random_normal(stream, (*index)++));
    }
}

void problem_random(struct owned_problem *owned, const struct problem_shape *shape, uint64_t seed) {
    *owned = (struct owned_problem){.problem = {.units = shape->units,
                                                .inputs = shape->inputs,
                                                .outputs = shape->outputs,
                                                .types = shape->types,
                                                .steps = shape->steps,
                                                .trials = shape->trials,
                                                .activation = shape->activation,
                                                .neuron = shape->neuron,
                                                .threshold = 0.6,
                                                .dampening = 0.3,
                                                .refractory = 2,
                                                .readout_kappa = shape->readout_kappa,
                                                .loss = shape->loss}};
    problem_allocate(owned);
    struct gradients_problem *p = &owned->problem;
    struct random_stream stream = random_stream_make(seed, RANDOM_TASK, 0, 0);
    size_t n = (size_t)p->units, tb = (size_t)p->steps * (size_t)p->trials;
    uint64_t index = 0;
    normals(&stream, &index, p->W, n * n, shape->weight_scale / sqrt((double)n));
    for (size_t i = 0; i < n; i++) {
        owned->floats[i * (n + 1)] = 0;
    }
    normals(&stream, &index, p->Win, n * (size_t)p->inputs, 1);
    normals(&stream, &index, p->b, n, 0.3);
    normals(&stream, &index, p->Wout, n * (size_t)p->outputs, 0.5);
    normals(&stream, &index, p->bout, (size_t)p->outputs, 0.1);
    normals(&stream, &index, p->x, tb * (size_t)p->inputs, 1);
    normals(&stream, &index, p->values, tb * (size_t)p->outputs, 1);
    normals(&stream, &index, p->feedback, n * (size_t)p->outputs, 0.5);
    for (size_t j = 0; j < n; j++) {
        double u = random_uniform(&stream, (index++) * 2);
        owned->leak[j] = shape->unequal_leaks ? 0.5 + 0.45 * u : 0.8;
        owned->adaptation[j] = 0.9 + 0.05 * u;
        owned->adaptation[n + j] = 0.1 * (double)(j % 3);
        owned->types[j] = shape->types == shape->units
                              ? (int)j
                              : (int)random_below(&stream, (index++) * 2, (uint64_t)shape->types);
    }
    for (size_t i = 0; i < tb; i++) {
        owned->classes[i] = (int32_t)random_below(&stream, (index++) * 2, (uint64_t)p->outputs);
        bool counts = (int)(i / (size_t)p->trials) >= shape->mask_from && random_below(&stream, (index++) * 2, 4) != 0;
        ((float *)(uintptr_t)p->mask)[i] = i + 1 == tb || counts ? 1.0f : 0.0f;
    }
    if (!shape->bias) {
        p->b = NULL;
    }
}

struct problem_shape shape_any(uint64_t seed, uint64_t draw) {
    struct random_stream stream = random_stream_make(seed, RANDOM_TASK, 1, draw);
    return (struct problem_shape){.units = 5 + (int)random_below(&stream, 0, 30),
                                  .inputs = 1 + (int)random_below(&stream, 1, 4),
                                  .outputs = 2 + (int)random_below(&stream, 2, 3),
                                  .types = 1 + (int)random_below(&stream, 3, 5),
                                  .steps = 3 + (int)random_below(&stream, 4, 45),
                                  .trials = 1 + (int)random_below(&stream, 5, 20),
                                  .activation = random_below(&stream, 6, 2) ? ACTIVATION_TANH : ACTIVATION_RELU,
                                  .loss = random_below(&stream, 7, 2) ? LOSS_MSE : LOSS_CROSS_ENTROPY,
                                  .bias = random_below(&stream, 8, 2),
                                  .unequal_leaks = random_below(&stream, 9, 2),
                                  .weight_scale = 0.9};
}

void gradients_allocate(struct owned_gradients *owned, const struct gradients_problem *problem) {
    size_t n = (size_t)problem->units, i = (size_t)problem->inputs, o = (size_t)problem->outputs;
    owned->size = n * n + i * n + n + n * o + o;
    float *at = owned->data = calloc(owned->size, sizeof *at);
    ck_assert_ptr_nonnull(at);
    owned->view = (struct gradients){.W = at,
                                     .Win = at + n * n,
                                     .b = at + n * n + i * n,
                                     .Wout = at + n * n + i * n + n,
                                     .bout = at + owned->size - o};
}

void gradients_free(struct owned_gradients *owned) {
    free(owned->data);
}

double gradients_distance(const struct owned_gradients *a, const struct owned_gradients *expected) {
    double worst = 0, largest = 0;
    for (size_t i = 0; i < expected->size; i++) {
        double difference = fabs((double)a->data[i] - (double)expected->data[i]);
        worst = difference > worst || difference != difference ? difference : worst;
        largest = fmax(largest, fabs((double)expected->data[i]));
    }
    return worst / fmax(largest, 1e-30);
}

static void numbers_fill(const json_t *value, const float *to, size_t *at) {
    size_t index;
    json_t *item;
    if (value == NULL) {
        return;
    }
    if (!json_is_array(value)) {
        ((float *)(uintptr_t)to)[(*at)++] = (float)json_number_value(value);
        return;
    }
    json_array_foreach(value, index, item) numbers_fill(item, to, at);
}

void golden_field(const json_t *object, const char *name, const float *to) {
    size_t at = 0;
    numbers_fill(json_object_get(object, name), to, &at);
}

static bool is(const json_t *object, const char *name, const char *value) {
    const char *given = json_string_value(json_object_get(object, name));
    return given && strcmp(given, value) == 0;
}

static int length(const json_t *array) {
    return (int)json_array_size(array);
}

/* What the model of neuron has beyond the membrane. */
static void neuron_from_json(struct owned_problem *owned, const json_t *network) {
    struct gradients_problem *p = &owned->problem;
    const char *model = json_string_value(json_object_get(network, "model"));
    for (int i = 0; model && i < NEURON_MODELS; i++) {
        p->neuron = strcmp(model, neuron_table[i]->name) == 0 ? (enum neuron)i : p->neuron;
    }
    p->threshold = json_number_value(json_object_get(network, "threshold"));
    p->dampening = json_number_value(json_object_get(network, "dampening"));
    p->refractory = (int)json_integer_value(json_object_get(network, "refractory"));
    p->readout_kappa = json_number_value(json_object_get(network, "readout_kappa"));
    for (size_t j = 0; j < (size_t)p->units; j++) {
        owned->adaptation[j] = json_number_value(json_array_get(json_object_get(network, "rho"), j));
        owned->adaptation[(size_t)p->units + j] = json_number_value(
            json_array_get(json_object_get(network, "beta"), j));
    }
}

void problem_from_json(struct owned_problem *owned, const json_t *item) {
    const json_t *network = json_object_get(item, "network"), *inputs = json_object_get(item, "inputs"),
                 *targets = json_object_get(item, "targets");
    const json_t *types = json_object_get(network, "types"), *b = json_object_get(network, "b");
    bool classes = strcmp(json_string_value(json_object_get(item, "loss")), "cross_entropy") == 0;
    *owned = (struct owned_problem){
        .problem = {.units = length(json_object_get(network, "W")),
                    .inputs = length(json_object_get(network, "Win")),
                    .outputs = length(json_object_get(network, "bout")),
                    .steps = length(inputs),
                    .trials = length(json_array_get(inputs, 0)),
                    .types = 1,
                    .loss = classes ? LOSS_CROSS_ENTROPY : LOSS_MSE,
                    .activation = is(network, "activation", "tanh") ? ACTIVATION_TANH : ACTIVATION_RELU}};
    problem_allocate(owned);
    struct gradients_problem *p = &owned->problem;
    golden_field(network, "W", p->W);
    golden_field(network, "Win", p->Win);
    golden_field(network, "Wout", p->Wout);
    golden_field(network, "bout", p->bout);
    golden_field(item, "inputs", p->x);
    golden_field(item, "mask", p->mask);
    if (json_is_array(b)) {
        golden_field(network, "b", p->b);
    } else {
        p->b = NULL;
    }
    golden_field(network, "feedback", p->feedback);
    golden_field(item, "nu", owned->nu);
    p->nu = json_object_get(item, "nu") ? owned->nu : NULL;
    if (!classes) {
        golden_field(item, "targets", p->values);
    }
    for (int t = 0; classes && t < p->steps; t++) {
        for (int k = 0; k < p->trials; k++) {
            owned->classes[t * p->trials + k] = (int32_t)json_integer_value(
                json_array_get(json_array_get(targets, (size_t)t), (size_t)k));
        }
    }
    neuron_from_json(owned, network);
    for (int j = 0; j < p->units; j++) {
        owned->leak[j] = json_number_value(json_array_get(json_object_get(network, "leak"), (size_t)j));
        owned->types[j] = types ? (int)json_integer_value(json_array_get(types, (size_t)j)) : 0;
        p->types = owned->types[j] >= p->types ? owned->types[j] + 1 : p->types;
    }
}

struct rule_config rule_from_json(const json_t *json) {
    return rule_decoded(json);
}

json_t *golden_load(const char *path) {
    json_error_t error;
    json_t *cases = json_load_file(path, 0, &error);
    ck_assert_msg(cases != NULL, "%s: %s", path, error.text);
    return cases;
}

double golden_compare(const struct owned_problem *owned, const json_t *entry, enum engine_method method, int threads,
                      double *loss) {
    static const char *const names[] = {"W", "Win", "b", "Wout", "bout"};
    struct owned_gradients got, expected;
    struct rule_config rule = rule_from_json(json_object_get(entry, "rule"));
    gradients_allocate(&expected, &owned->problem);
    float *const fields[] = {expected.view.W, expected.view.Win, expected.view.b, expected.view.Wout,
                             expected.view.bout};
    for (int f = 0; f < 5; f++) {
        golden_field(json_object_get(entry, "gradients"), names[f], fields[f]);
    }
    *loss = gradients_run(&owned->problem, rule, method, 0, threads, &got);
    double distance = gradients_distance(&got, &expected);
    gradients_free(&got);
    gradients_free(&expected);
    return distance;
}

enum engine_method method_planned(const struct gradients_problem *problem, struct rule_config rule,
                                  enum engine_method method) {
    const struct batch_options options = {.steps = problem->steps,
                                          .trials = problem->trials,
                                          .neuron = problem->neuron,
                                          .readout_leaks = problem->readout_kappa > 0,
                                          .rule = &rule,
                                          .method = method};
    bool equal = true;
    for (int p = 1; p < problem->units; p++) {
        equal = equal && problem->leak[p] == problem->leak[0];
    }
    struct engine_plan plan;
    struct error error;
    ck_assert_msg(engine_plan_make(problem->units, problem->inputs, problem->outputs, problem->types,
                                   problem->b != NULL, equal, &options, &plan, &error),
                  "%s", error.text);
    return plan.method;
}

double gradients_run(const struct gradients_problem *problem, struct rule_config rule, enum engine_method method,
                     int64_t memory, int threads, struct owned_gradients *out) {
    double loss = NAN;
    struct error error;
    gradients_allocate(out, problem);
    const struct gradients_way way = {.method = method, .memory = memory, .threads = threads};
    enum result result = gradients_compute_by(problem, &rule, &way, NULL, NULL, &out->view, &loss, &error);
    ck_assert_msg(result == RESULT_DONE, "%s", error.text);
    return loss;
}

double gradients_compare(const struct gradients_problem *problem, struct rule_config a, enum engine_method by_a,
                         struct rule_config b, enum engine_method by_b) {
    struct owned_gradients first, second;
    gradients_run(problem, a, by_a, 0, 1, &first);
    gradients_run(problem, b, by_b, 0, 2, &second);
    double distance = gradients_distance(&first, &second);
    gradients_free(&first);
    gradients_free(&second);
    return distance;
}

void bits_compare(const struct gradients_problem *problem, struct rule_config rule, const char *name) {
    struct owned_gradients authority, other;
    ck_assert(kernels_select("portable"));
    double loss = gradients_run(problem, rule, METHOD_AUTO, 0, 1, &authority);
    for (int i = 0; kernels_listed(i); i++) {
        ck_assert(kernels_select(kernels_listed(i)->name));
        for (int k = 0; k < 2; k++) {
            ck_assert(gradients_run(problem, rule, METHOD_AUTO, k, k ? 3 : 2, &other) == loss);
            ck_assert_msg(memcmp(authority.data, other.data, other.size * sizeof(float)) == 0,
                          "%s of %s: other bits with %s%s", rule_table[rule.type]->name, name, kernels_name(),
                          k ? ", in segments" : "");
            gradients_free(&other);
        }
    }
    gradients_free(&authority);
}

int kernels_suites_run(const char *name, uint64_t *seed, void (*add)(TCase *tests, bool first)) {
    const char *given = getenv("MODPROP_TEST_SEED"), *longer = getenv("MODPROP_LONG");
    uint64_t drawn = longer != NULL && *longer != '\0' ? (uint64_t)time(NULL) % 100000 : 2;
    *seed = given != NULL ? strtoull(given, NULL, 10) : drawn;
    printf("MODPROP_TEST_SEED=%llu\n", (unsigned long long)*seed);
    int failed = 0;
    for (int i = 0; kernels_listed(i); i++) {
        kernels_select(kernels_listed(i)->name);
        Suite *suite = suite_create(kernels_listed(i)->name);
        TCase *tests = tcase_create(name);
        tcase_set_timeout(tests, 0);
        add(tests, i == 0);
        suite_add_tcase(suite, tests);
        failed |= suite_run(suite);
    }
    return failed;
}
