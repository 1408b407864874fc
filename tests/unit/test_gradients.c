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

#include "core/kernels/kernels.h"
#include "core/kernels/select.h"
#include "core/train/train.h"
#include "tests/unit/problems.h"

static uint64_t seed;

START_TEST(golden_cases) {
    json_t *cases = golden_load(MODPROP_GOLDEN), *item, *entry;
    size_t i, k;
    double worst = 0;
    json_array_foreach(cases, i, item) {
        struct owned_problem owned;
        problem_from_json(&owned, item);
        json_array_foreach(json_object_get(item, "rules"), k, entry) {
            double loss, distance = golden_compare(&owned, entry, METHOD_AUTO, 1 + (int)(k % 3), &loss),
                         expected = json_number_value(json_object_get(item, "expected_loss"));
            char *text = json_dumps(json_object_get(entry, "rule"), JSON_COMPACT);
            ck_assert_msg(distance < 1e-5, "case %zu %s: off by %g of the largest entry", i, text, distance);
            ck_assert_msg(fabs(loss - expected) < 1e-5 * fmax(1, fabs(expected)), "case %zu: loss %g, expected %g", i,
                          loss, expected);
            worst = fmax(worst, distance);
            free(text);
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
        gradients_run(&owned.problem, rule, METHOD_AUTO, 0, 1, &gradient);
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
            double above = gradients_run(&owned.problem, rule, METHOD_AUTO, 0, 1, &scratch);
            gradients_free(&scratch);
            *w = kept - step;
            double below = gradients_run(&owned.problem, rule, METHOD_AUTO, 0, 1, &scratch);
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

START_TEST(rtrl_is_bptt) {
    FOR_RANDOM_PROBLEMS(owned, shape, (void)0)
    ASSERT_SAME(gradients_compare(&owned.problem, (struct rule_config){.type = RULE_RTRL}, METHOD_AUTO,
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
        ASSERT_SAME(gradients_compare(&owned.problem, cut, METHOD_REVERSE, mdgl, METHOD_REVERSE), 1e-5);
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
        ASSERT_SAME(gradients_compare(&owned.problem, whole, METHOD_REVERSE, uncut, METHOD_REVERSE), 0);
        /*
         * one tap fewer than could matter still differs in the last hop alone: tested against the definition by the
         * golden cases; here it must run
         */
        gradients_compare(&owned.problem, cut, METHOD_REVERSE, uncut, METHOD_REVERSE);
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
        gradients_run(&owned.problem, cut, METHOD_REVERSE, 0, 1, &a);
        gradients_run(&owned.problem, uncut, METHOD_REVERSE, 0, 1, &b);
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
        ASSERT_SAME(
            gradients_compare(&owned.problem,
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
            ASSERT_SAME(gradients_compare(&owned.problem, rules[r], METHOD_FORWARD, rules[r], METHOD_REVERSE), 3e-5);
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
        ASSERT_SAME(gradients_compare(&owned.problem, rule, METHOD_FORWARD, rule, METHOD_REVERSE), 3e-5);
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
        ASSERT_SAME(gradients_compare(&owned.problem, type, METHOD_AUTO, cell, METHOD_AUTO), 1e-5);
        ASSERT_SAME(gradients_compare(&owned.problem, existing, METHOD_AUTO, cell, METHOD_AUTO), 0);
    }
}
END_TEST

START_TEST(bits_do_not_depend_on_threads_or_segments) {
    FOR_RANDOM_PROBLEMS(owned, shape, (shape.trials += 40)) {
        const struct rule_config rules[] = {
            {.type = RULE_BPTT}, {.type = RULE_EPROP}, {.type = RULE_MODPROP, .mu = 0.3, .first_hop = FIRST_HOP_EXACT}};
        for (size_t r = 0; r < sizeof rules / sizeof *rules; r++) {
            struct owned_gradients one, many, segmented;
            double a = gradients_run(&owned.problem, rules[r], METHOD_REVERSE, 0, 1, &one),
                   b = gradients_run(&owned.problem, rules[r], METHOD_REVERSE, 0, 5, &many);
            double c = gradients_run(&owned.problem, rules[r], METHOD_REVERSE, 1, 2, &segmented);
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
            bits_compare(&owned.problem, rules[r], "a membrane network");
        }
    }
}
END_TEST

static void tests_add(TCase *tests, bool first) {
    tcase_add_test(tests, golden_cases);
    tcase_add_test(tests, rtrl_is_bptt);
    tcase_add_test(tests, one_tap_is_mdgl);
    tcase_add_test(tests, long_taps_cut_nothing);
    tcase_add_test(tests, taps_by_the_ring_are_the_recursion);
    tcase_add_test(tests, mu_zero_is_eprop);
    tcase_add_test(tests, traces_are_the_recursion);
    tcase_add_test(tests, complex_and_defective_modes);
    tcase_add_test(tests, a_type_of_its_own_is_a_cell);
    if (first) {
        tcase_add_test(tests, bptt_is_the_derivative);
        tcase_add_test(tests, bits_do_not_depend_on_threads_or_segments);
        tcase_add_test(tests, bits_do_not_depend_on_the_instruction_set);
    }
}

int main(void) {
    return kernels_suites_run("gradients", &seed, tests_add);
}
