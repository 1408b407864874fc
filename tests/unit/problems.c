/* See problems.h. The path of the golden cases is given by the build. */
#include "tests/unit/problems.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/rules/rules.h"

static void problem_allocate(struct owned_problem *owned) {
    struct gradients_problem *p = &owned->problem;
    size_t n = (size_t)p->units, i = (size_t)p->inputs, o = (size_t)p->outputs,
           tb = (size_t)p->steps * (size_t)p->trials;
    size_t sizes[] = {n * n, i * n, n, n * o, o, tb * i, tb * o, tb, o * n}, total = 0;
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        total += sizes[k];
    }
    float *at = owned->floats = calloc(total, sizeof *at);
    owned->leak = calloc(n, sizeof *owned->leak);
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
    if (!json_is_array(value)) {
        ((float *)(uintptr_t)to)[(*at)++] = (float)json_number_value(value);
        return;
    }
    json_array_foreach(value, index, item) numbers_fill(item, to, at);
}

static void field_fill(const json_t *object, const char *name, const float *to) {
    size_t at = 0;
    numbers_fill(json_object_get(object, name), to, &at);
}

static int length(const json_t *array) {
    return (int)json_array_size(array);
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
                    .activation = strcmp(json_string_value(json_object_get(network, "activation")), "tanh") == 0
                                      ? ACTIVATION_TANH
                                      : ACTIVATION_RELU}};
    problem_allocate(owned);
    struct gradients_problem *p = &owned->problem;
    field_fill(network, "W", p->W);
    field_fill(network, "Win", p->Win);
    field_fill(network, "Wout", p->Wout);
    field_fill(network, "bout", p->bout);
    field_fill(item, "inputs", p->x);
    field_fill(item, "mask", p->mask);
    if (json_is_array(b)) {
        field_fill(network, "b", p->b);
    } else {
        p->b = NULL;
    }
    if (!classes) {
        field_fill(item, "targets", p->values);
    }
    for (int t = 0; classes && t < p->steps; t++) {
        for (int k = 0; k < p->trials; k++) {
            owned->classes[t * p->trials + k] = (int32_t)json_integer_value(
                json_array_get(json_array_get(targets, (size_t)t), (size_t)k));
        }
    }
    for (int j = 0; j < p->units; j++) {
        owned->leak[j] = json_number_value(json_array_get(json_object_get(network, "leak"), (size_t)j));
        owned->types[j] = types ? (int)json_integer_value(json_array_get(types, (size_t)j)) : 0;
        p->types = owned->types[j] >= p->types ? owned->types[j] + 1 : p->types;
    }
}

static bool is(const json_t *rule, const char *name, const char *value) {
    const char *given = json_string_value(json_object_get(rule, name));
    return given && strcmp(given, value) == 0;
}

struct rule_config rule_from_json(const json_t *json) {
    struct rule_config rule = {.mu = json_number_value(json_object_get(json, "mu")),
                               .taps = (int)json_integer_value(json_object_get(json, "taps"))};
    for (int i = 0; i < RULE_TYPES; i++) {
        if (is(json, "type", rule_table[i]->name)) {
            rule.type = (enum rule_type)i;
        }
    }
    rule.weights = is(json, "weights", "type") ? CREDIT_TYPE : CREDIT_CELL;
    rule.averaging = is(json, "averaging", "existing") ? AVERAGING_EXISTING : AVERAGING_ALL;
    rule.first_hop = is(json, "first_hop", "exact") ? FIRST_HOP_EXACT : FIRST_HOP_MU;
    return rule;
}

json_t *golden_load(void) {
    json_error_t error;
    json_t *cases = json_load_file(MODPROP_GOLDEN, 0, &error);
    ck_assert_msg(cases != NULL, "%s: %s", MODPROP_GOLDEN, error.text);
    return cases;
}
