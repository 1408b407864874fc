/* Gradient problems for tests: the golden cases, and random ones from a printed seed. */
#ifndef MODPROP_TESTS_PROBLEMS_H
#define MODPROP_TESTS_PROBLEMS_H

#include <check.h>
#include <jansson.h>

#include "core/train/gradients_by.h"
#include "core/base/random.h"
#include "core/engine/engine.h"

/* A problem that owns its arrays. */
struct owned_problem {
    struct gradients_problem problem;
    float *floats;
    double *leak, *adaptation; /* (N); (2,N) rho and beta */
    float *nu;                 /* (T,B,N); the problem takes it only where a case gives it */
    int *types;
    int32_t *classes;
};

struct problem_shape {
    int units, inputs, outputs, types, steps, trials;
    enum activation activation;
    enum neuron neuron;   /* of the models that adapt every third unit has no beta */
    double readout_kappa; /* 0: the readout has no leak */
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
/* Its lists live as long as the process (decoded.h). */
struct rule_config rule_from_json(const json_t *rule);
json_t *golden_load(const char *path);
/* The numbers of a field, in order; none where the object lacks it. */
void golden_field(const json_t *object, const char *name, const float *to);
/* How far the rule of `entry` is from its gradients, as gradients_distance; *loss is the case's. */
double golden_compare(const struct owned_problem *owned, const json_t *entry, enum engine_method method, int threads,
                      double *loss);
/* What the engine would take for a rule that may go by `method`: as engine_plan_make's. */
enum engine_method method_planned(const struct gradients_problem *problem, struct rule_config rule,
                                  enum engine_method method);

/* gradients_compute_by, which must not fail. Returns the loss. */
double gradients_run(const struct gradients_problem *problem, struct rule_config rule, enum engine_method method,
                     int64_t memory, int threads, struct owned_gradients *out);
/*
 * The rule's gradient by the slow scalar kernels on one thread is, to the bit, that of every instruction set of the
 * host, by another team, and with history recomputed in segments where there is any.
 */
void bits_compare(const struct gradients_problem *problem, struct rule_config rule, const char *name);
/* The distance between two rules, or between two methods for one rule, on one problem. */
double gradients_compare(const struct gradients_problem *problem, struct rule_config a, enum engine_method by_a,
                         struct rule_config b, enum engine_method by_b);

/* DRAWS random problems of `shape`, a function of the draw's number, changed by `change`, from `seed`. */
#define DRAWS 25
#define FOR_RANDOM_PROBLEMS(owned, shape, change)                                                                      \
    for (uint64_t draw = 0; draw < DRAWS; draw++)                                                                      \
        for (struct problem_shape shape = shape_any(seed, draw), *once = &shape; once; once = NULL)                    \
            for (struct owned_problem owned = {0}; once; problem_release(&owned), once = NULL)                         \
                if (change, problem_random(&owned, &shape, seed + draw), true)
struct problem_shape shape_any(uint64_t seed, uint64_t draw);

#define ASSERT_SAME(distance, bound)                                                                                   \
    do {                                                                                                               \
        double found = (distance);                                                                                     \
        ck_assert_msg(found <= (bound), "seed %llu draw %llu: off by %g of the largest entry",                         \
                      (unsigned long long)seed, (unsigned long long)draw, found);                                      \
    } while (0)

/*
 * A suite for every instruction set of the host: `add` adds its tests, those that run only once where `first`. Prints
 * the seed, which MODPROP_TEST_SEED repeats: one and the same in the short run, a new one with MODPROP_LONG. Returns
 * the status of main.
 */
int kernels_suites_run(const char *name, uint64_t *seed, void (*add)(TCase *tests, bool first));

#endif
