/*
 * The mathematics of the rules: golden cases, finite differences, and identities between rules and between methods, on
 * random networks whose seed is printed, with every instruction set of the host. Tolerances are relative to the largest
 * entry.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/kernels/kernels.h"
#include "core/kernels/select.h"
#include "core/train/train.h"
#include "tests/unit/problems.h"

static uint64_t seed;

static struct problem_shape shape_any(uint64_t draw) {
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

static double run(const struct gradients_problem *problem, struct rule_config rule, enum engine_method method,
                  int64_t memory, int threads, struct owned_gradients *out) {
    double loss = NAN;
    struct error error;
    gradients_allocate(out, problem);
    enum result result = gradients_compute_by(problem, &rule, method, memory, threads, NULL, NULL, &out->view, &loss,
                                              &error);
    ck_assert_msg(result == RESULT_DONE, "%s", error.text);
    return loss;
}

/* The distance between two rules, or between two methods for one rule, on one problem. */
static double compare(const struct gradients_problem *problem, struct rule_config a, enum engine_method by_a,
                      struct rule_config b, enum engine_method by_b) {
    struct owned_gradients first, second;
    run(problem, a, by_a, 0, 1, &first);
    run(problem, b, by_b, 0, 2, &second);
    double distance = gradients_distance(&first, &second);
    gradients_free(&first);
    gradients_free(&second);
    return distance;
}

#define DRAWS 25
#define FOR_RANDOM_PROBLEMS(owned, shape, change)                                                                      \
    for (uint64_t draw = 0; draw < DRAWS; draw++)                                                                      \
        for (struct problem_shape shape = shape_any(draw), *once = &shape; once; once = NULL)                          \
            for (struct owned_problem owned = {0}; once; problem_release(&owned), once = NULL)                         \
                if (change, problem_random(&owned, &shape, seed + draw), true)

START_TEST(golden_cases) {
    json_t *cases = golden_load(), *item, *entry;
    size_t i, k;
    double worst = 0;
    json_array_foreach(cases, i, item) {
        struct owned_problem owned;
        problem_from_json(&owned, item);
        json_array_foreach(json_object_get(item, "rules"), k, entry) {
            struct owned_gradients got, expected;
            struct rule_config rule = rule_from_json(json_object_get(entry, "rule"));
            gradients_allocate(&expected, &owned.problem);
            json_t *given = json_object_get(entry, "gradients");
            const char *const names[] = {"W", "Win", "b", "Wout", "bout"};
            float *const fields[] = {expected.view.W, expected.view.Win, expected.view.b, expected.view.Wout,
                                     expected.view.bout};
            for (int f = 0; f < 5; f++) {
                size_t at = 0, x, y;
                json_t *row, *value, *array = json_object_get(given, names[f]);
                json_array_foreach(array, x, row) {
                    if (!json_is_array(row)) {
                        fields[f][at++] = (float)json_number_value(row);
                    } else {
                        json_array_foreach(row, y, value) fields[f][at++] = (float)json_number_value(value);
                    }
                }
            }
            double loss = run(&owned.problem, rule, METHOD_AUTO, 0, 1 + (int)(k % 3), &got),
                   distance = gradients_distance(&got, &expected);
            double expected_loss = json_number_value(json_object_get(item, "expected_loss"));
            char *text = json_dumps(json_object_get(entry, "rule"), JSON_COMPACT);
            ck_assert_msg(distance < 1e-5, "case %zu %s: off by %g of the largest entry", i, text, distance);
            ck_assert_msg(fabs(loss - expected_loss) < 1e-5 * fmax(1, fabs(expected_loss)),
                          "case %zu: loss %g, expected %g", i, loss, expected_loss);
            worst = fmax(worst, distance);
            free(text);
            gradients_free(&got);
            gradients_free(&expected);
        }
        problem_release(&owned);
    }
    json_decref(cases);
    printf("golden cases with %s: worst %.2g\n", kernels_name(), worst);
}
END_TEST

START_TEST(bptt_is_the_derivative) {
    /* tanh, so that the loss is smooth; central differences of a float32 loss are good to a few parts in a thousand */
    FOR_RANDOM_PROBLEMS(owned, shape,
                        (shape.activation = ACTIVATION_TANH, shape.steps = 4 + shape.steps % 12, shape.bias = true)) {
        struct owned_gradients gradient, scratch;
        struct rule_config rule = {.type = RULE_BPTT};
        run(&owned.problem, rule, METHOD_AUTO, 0, 1, &gradient);
        float *const weights[] = {(float *)(uintptr_t)owned.problem.W, (float *)(uintptr_t)owned.problem.Win,
                                  (float *)(uintptr_t)owned.problem.b, (float *)(uintptr_t)owned.problem.Wout,
                                  (float *)(uintptr_t)owned.problem.bout};
        float *const fields[] = {gradient.view.W, gradient.view.Win, gradient.view.b, gradient.view.Wout,
                                 gradient.view.bout};
        double largest = 0;
        for (size_t i = 0; i < gradient.size; i++) {
            largest = fmax(largest, fabs((double)gradient.data[i]));
        }
        for (int f = 0; f < 5; f++) {
            float *w = weights[f] + 1, kept = *w, step = 0x1p-7f;
            *w = kept + step;
            double above = run(&owned.problem, rule, METHOD_AUTO, 0, 1, &scratch);
            gradients_free(&scratch);
            *w = kept - step;
            double below = run(&owned.problem, rule, METHOD_AUTO, 0, 1, &scratch);
            gradients_free(&scratch);
            *w = kept;
            double numeric = (above - below) / (2 * (double)step);
            ck_assert_msg(fabs(numeric - (double)fields[f][1]) < 4e-3 * largest + 1e-5,
                          "seed %llu draw %llu field %d: %g by differences, %g by bptt", (unsigned long long)seed,
                          (unsigned long long)draw, f, numeric, (double)fields[f][1]);
        }
        gradients_free(&gradient);
    }
}
END_TEST

#define ASSERT_SAME(distance, bound)                                                                                   \
    do {                                                                                                               \
        double found = (distance);                                                                                     \
        ck_assert_msg(found <= (bound), "seed %llu draw %llu: off by %g of the largest entry",                         \
                      (unsigned long long)seed, (unsigned long long)draw, found);                                      \
    } while (0)

START_TEST(rtrl_is_bptt) {
    FOR_RANDOM_PROBLEMS(owned, shape, (void)0)
    ASSERT_SAME(compare(&owned.problem, (struct rule_config){.type = RULE_RTRL}, METHOD_AUTO,
                        (struct rule_config){.type = RULE_BPTT}, METHOD_AUTO),
                2e-5);
}
END_TEST

START_TEST(one_tap_is_mdgl) {
    FOR_RANDOM_PROBLEMS(owned, shape, (void)0)
    for (int by_type = 0; by_type < 2; by_type++) {
        struct rule_config cut = {.type = RULE_MODPROP,
                                  .mu = 0.3,
                                  .first_hop = FIRST_HOP_EXACT,
                                  .taps = 1,
                                  .weights = (enum credit_weights)by_type};
        struct rule_config mdgl = {.type = RULE_MDGL, .weights = (enum credit_weights)by_type};
        ASSERT_SAME(compare(&owned.problem, cut, METHOD_REVERSE, mdgl, METHOD_REVERSE), 1e-5);
    }
}
END_TEST

START_TEST(long_taps_cut_nothing) {
    FOR_RANDOM_PROBLEMS(owned, shape, (void)0)
    for (int exact = 0; exact < 2; exact++) {
        struct rule_config uncut = {.type = RULE_MODPROP, .mu = 0.3, .first_hop = (enum first_hop)exact}, cut = uncut;
        cut.taps = shape.steps > 3 ? shape.steps - 2 : 1;
        struct rule_config whole = uncut;
        whole.taps = shape.steps + 7;
        ASSERT_SAME(compare(&owned.problem, whole, METHOD_REVERSE, uncut, METHOD_REVERSE), 0);
        /*
         * one tap fewer than could matter still differs in the last hop alone: tested against the definition by the
         * golden cases; here it must run
         */
        compare(&owned.problem, cut, METHOD_REVERSE, uncut, METHOD_REVERSE);
    }
}
END_TEST

START_TEST(taps_by_the_ring_are_the_recursion) {
    /*
     * mask in the last step only: S = T - 2 hops reach all but the first step, whose sources are the inputs of step 0
     * and z = 0
     */
    FOR_RANDOM_PROBLEMS(owned, shape, (shape.mask_from = 1 << 20, shape.steps = shape.steps < 6 ? 6 : shape.steps))
    for (int exact = 0; exact < 2; exact++) {
        struct rule_config uncut = {.type = RULE_MODPROP, .mu = 0.3, .first_hop = (enum first_hop)exact}, cut = uncut;
        cut.taps = shape.steps - 2;
        struct owned_gradients a, b;
        run(&owned.problem, cut, METHOD_REVERSE, 0, 1, &a);
        run(&owned.problem, uncut, METHOD_REVERSE, 0, 1, &b);
        /* W's gradient does not see step 0, where z_{-1} = 0 */
        size_t n = (size_t)shape.units;
        double worst = 0, largest = 0;
        for (size_t i = 0; i < n * n; i++) {
            worst = fmax(worst, fabs((double)a.view.W[i] - (double)b.view.W[i]));
            largest = fmax(largest, fabs((double)b.view.W[i]));
        }
        ASSERT_SAME(worst / fmax(largest, 1e-30), 2e-5);
        gradients_free(&a);
        gradients_free(&b);
    }
}
END_TEST

START_TEST(mu_zero_is_eprop) {
    FOR_RANDOM_PROBLEMS(owned, shape, (void)0)
    for (int by_type = 0; by_type < 2; by_type++) {
        ASSERT_SAME(compare(&owned.problem,
                            (struct rule_config){.type = RULE_MODPROP, .weights = (enum credit_weights)by_type},
                            METHOD_AUTO, (struct rule_config){.type = RULE_EPROP}, METHOD_AUTO),
                    1e-5);
    }
}
END_TEST

START_TEST(traces_are_the_recursion) {
    FOR_RANDOM_PROBLEMS(owned, shape,
                        (shape.unequal_leaks = false, shape.mask_from = draw % 3 == 0   ? 1 << 20
                                                                        : draw % 3 == 1 ? 10
                                                                                        : 0)) {
        const struct rule_config rules[] = {{.type = RULE_EPROP},
                                            {.type = RULE_MDGL},
                                            {.type = RULE_MDGL, .weights = CREDIT_TYPE},
                                            {.type = RULE_MODPROP, .mu = 0.4, .weights = CREDIT_TYPE},
                                            {.type = RULE_EPROP, .feedback = FEEDBACK_RANDOM}};
        for (size_t r = 0; r < sizeof rules / sizeof *rules; r++) {
            ASSERT_SAME(compare(&owned.problem, rules[r], METHOD_FORWARD, rules[r], METHOD_REVERSE), 3e-5);
        }
    }
}
END_TEST

START_TEST(complex_and_defective_modes) {
    /*
     * W between three types as a rotation (complex modes), as a Jordan block (no basis of eigenvectors), and nearly one
     */
    const double blocks[3][9] = {
        {0, 1, 0, 0, 0, 1, 1, 0, 0}, {0, 1, 0, 0, 0, 1, 0, 0, 0}, {0, 1, 0, 0, 0, 1, 1e-9, 0, 0}};
    for (uint64_t draw = 0; draw < 3; draw++) {
        struct problem_shape shape = {.units = 12,
                                      .inputs = 2,
                                      .outputs = 2,
                                      .types = 3,
                                      .steps = 40,
                                      .trials = 9,
                                      .loss = LOSS_MSE,
                                      .bias = true};
        struct owned_problem owned;
        problem_random(&owned, &shape, seed + draw);
        for (int q = 0; q < 12; q++) {
            for (int p = 0; p < 12; p++) {
                owned.floats[q * 12 + p] = q == p ? 0.0f
                                                  : (float)(0.6 * blocks[draw][owned.types[q] * 3 + owned.types[p]]);
            }
        }
        struct rule_config rule = {.type = RULE_MODPROP, .mu = 0.5, .weights = CREDIT_TYPE};
        ASSERT_SAME(compare(&owned.problem, rule, METHOD_FORWARD, rule, METHOD_REVERSE), 3e-5);
        problem_release(&owned);
    }
}
END_TEST

START_TEST(a_type_of_its_own_is_a_cell) {
    FOR_RANDOM_PROBLEMS(owned, shape, (shape.types = shape.units))
    for (int exact = 0; exact < 2; exact++) {
        struct rule_config cell = {.type = RULE_MODPROP, .mu = 0.3, .first_hop = (enum first_hop)exact}, type = cell,
                           existing = cell;
        type.weights = existing.weights = CREDIT_TYPE;
        existing.averaging = AVERAGING_EXISTING;
        ASSERT_SAME(compare(&owned.problem, type, METHOD_AUTO, cell, METHOD_AUTO), 1e-5);
        ASSERT_SAME(compare(&owned.problem, existing, METHOD_AUTO, cell, METHOD_AUTO), 0);
    }
}
END_TEST

START_TEST(bits_do_not_depend_on_threads_or_segments) {
    FOR_RANDOM_PROBLEMS(owned, shape, (shape.trials += 40)) {
        const struct rule_config rules[] = {
            {.type = RULE_BPTT}, {.type = RULE_EPROP}, {.type = RULE_MODPROP, .mu = 0.3, .first_hop = FIRST_HOP_EXACT}};
        for (size_t r = 0; r < sizeof rules / sizeof *rules; r++) {
            struct owned_gradients one, many, segmented;
            double a = run(&owned.problem, rules[r], METHOD_REVERSE, 0, 1, &one),
                   b = run(&owned.problem, rules[r], METHOD_REVERSE, 0, 5, &many);
            double c = run(&owned.problem, rules[r], METHOD_REVERSE, 1, 2, &segmented);
            ck_assert(a == b && a == c);
            ck_assert_int_eq(memcmp(one.data, many.data, one.size * sizeof(float)), 0);
            ck_assert_int_eq(memcmp(one.data, segmented.data, one.size * sizeof(float)), 0);
            gradients_free(&one);
            gradients_free(&many);
            gradients_free(&segmented);
        }
    }
}
END_TEST

START_TEST(bits_do_not_depend_on_the_instruction_set) {
    FOR_RANDOM_PROBLEMS(owned, shape, (void)0) {
        const struct rule_config rules[] = {
            {.type = RULE_BPTT}, {.type = RULE_MODPROP, .mu = 0.3, .weights = CREDIT_TYPE}, {.type = RULE_EPROP}};
        for (size_t r = 0; r < sizeof rules / sizeof *rules; r++) {
            struct owned_gradients authority, other;
            ck_assert(kernels_select("portable"));
            double loss = run(&owned.problem, rules[r], METHOD_AUTO, 0, 1, &authority);
            for (int i = 0; kernels_listed(i); i++) {
                ck_assert(kernels_select(kernels_listed(i)->name));
                ck_assert(run(&owned.problem, rules[r], METHOD_AUTO, 0, 1, &other) == loss);
                ck_assert_msg(memcmp(authority.data, other.data, other.size * sizeof(float)) == 0, "%s differs",
                              kernels_name());
                gradients_free(&other);
            }
            gradients_free(&authority);
        }
    }
}
END_TEST

int main(void) {
    const char *given = getenv("MODPROP_TEST_SEED");
    seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) % 100000;
    printf("MODPROP_TEST_SEED=%llu\n", (unsigned long long)seed);
    int failed = 0;
    for (int i = 0; kernels_listed(i); i++) {
        kernels_select(kernels_listed(i)->name);
        Suite *suite = suite_create(kernels_listed(i)->name);
        TCase *tests = tcase_create("gradients");
        tcase_set_timeout(tests, 0);
        tcase_add_test(tests, golden_cases);
        tcase_add_test(tests, rtrl_is_bptt);
        tcase_add_test(tests, one_tap_is_mdgl);
        tcase_add_test(tests, long_taps_cut_nothing);
        tcase_add_test(tests, taps_by_the_ring_are_the_recursion);
        tcase_add_test(tests, mu_zero_is_eprop);
        tcase_add_test(tests, traces_are_the_recursion);
        tcase_add_test(tests, complex_and_defective_modes);
        tcase_add_test(tests, a_type_of_its_own_is_a_cell);
        if (i == 0) {
            tcase_add_test(tests, bptt_is_the_derivative);
            tcase_add_test(tests, bits_do_not_depend_on_threads_or_segments);
            tcase_add_test(tests, bits_do_not_depend_on_the_instruction_set);
        }
        suite_add_tcase(suite, tests);
        SRunner *runner = srunner_create(suite);
        srunner_run_all(runner, CK_ENV);
        failed += srunner_ntests_failed(runner);
        srunner_free(runner);
    }
    return failed == 0 ? 0 : 1;
}
