/* Gradient problems for tests: the golden cases, and random ones from a printed seed. */
#ifndef MODPROP_TESTS_PROBLEMS_H
#define MODPROP_TESTS_PROBLEMS_H

#include <jansson.h>

#include "core/train/gradients_by.h"
#include "core/base/random.h"

/* A problem that owns its arrays. */
struct owned_problem {
    struct gradients_problem problem;
    float *floats;
    double *leak;
    int *types;
    int32_t *classes;
};

struct problem_shape {
    int units, inputs, outputs, types, steps, trials;
    enum activation activation;
    enum loss_type loss;
    bool bias, unequal_leaks;
    int mask_from;       /* steps before it have mask 0 */
    double weight_scale; /* standard deviation of W times sqrt(N) */
};

void problem_random(struct owned_problem *owned, const struct problem_shape *shape, uint64_t seed);
void problem_release(struct owned_problem *owned);

/* Gradients in one allocation: data[0..size) is W, Win, b (zeros where absent), Wout, bout. */
struct owned_gradients {
    struct gradients view;
    float *data;
    size_t size;
};

void gradients_allocate(struct owned_gradients *owned, const struct gradients_problem *problem);
void gradients_free(struct owned_gradients *owned);
/* Largest difference over the largest entry of `expected`. */
double gradients_distance(const struct owned_gradients *a, const struct owned_gradients *expected);

/* A golden case. */
void problem_from_json(struct owned_problem *owned, const json_t *item);
struct rule_config rule_from_json(const json_t *rule);
json_t *golden_load(void);

#endif
