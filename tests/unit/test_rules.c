/*
 * The rules beyond those of the paper, and what they share: golden cases (tests/golden/more.json, from an independent
 * float64 reference), and identities between rules on random networks whose seed is printed, with every instruction set
 * of the host. Tolerances are relative to the largest entry.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/job.h"
#include "core/kernels/kernels.h"
#include "core/kernels/select.h"
#include "core/rules/rules.h"
#include "tests/unit/problems.h"

static uint64_t seed;

START_TEST(golden_cases) {
    json_t *cases = golden_load(MODPROP_GOLDEN_MORE), *item, *entry;
    size_t i, k;
    double worst = 0;
    int count = 0;
    json_array_foreach(cases, i, item) {
        struct owned_problem owned;
        problem_from_json(&owned, item);
        json_array_foreach(json_object_get(item, "rules"), k, entry) {
            const char *type = json_string_value(json_object_get(json_object_get(entry, "rule"), "type"));
            enum rule_type known;
            if (!rule_type_find(type, &known)) {
                continue;
            }
            double loss, distance = golden_compare(&owned, entry, 1 + (int)(k % 3), &loss),
                         expected = json_number_value(json_object_get(item, "expected_loss"));
            char *text = json_dumps(json_object_get(entry, "rule"), JSON_COMPACT);
            ck_assert_msg(distance < 1e-5, "case %zu %s: off by %g of the largest entry", i, text, distance);
            ck_assert_msg(fabs(loss - expected) < 1e-5 * fmax(1, fabs(expected)), "case %zu: loss %g, expected %g", i,
                          loss, expected);
            worst = fmax(worst, distance);
            count++;
            free(text);
        }
        problem_release(&owned);
    }
    json_decref(cases);
    ck_assert_int_ge(count, 90);
    printf("%d golden cases with %s: worst %.2g\n", count, kernels_name(), worst);
}
END_TEST

/* The rule that a job's document would say, such as {"type": "bptt", "window": 5}; its lists live as long as the test.
 */
static struct rule_config rule_of(const char *format, ...) __attribute__((format(printf, 1, 2)));
static struct rule_config rule_of(const char *format, ...) {
    char text[65536];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (char *c = text; *c != '\0'; c++) {
        *c = *c == '\'' ? '"' : *c;
    }
    json_error_t error;
    json_t *document = json_loads(text, 0, &error);
    ck_assert_msg(document != NULL, "%s: %s", text, error.text);
    struct rule_config rule = rule_from_json(document);
    json_decref(document);
    return rule;
}

/* A list as JSON, of `count` numbers. */
static const char *list_text(const double *values, int count, char *text, size_t size) {
    size_t used = 0;
    for (int i = 0; i < count; i++) {
        used += (size_t)snprintf(text + used, size - used, "%s%.17g", i == 0 ? "[" : ",", values[i]);
    }
    snprintf(text + used, size - used, "]");
    return text;
}

/* ---- window ---- */

START_TEST(a_long_window_is_bptt) {
    FOR_RANDOM_PROBLEMS(owned, shape, (void)0)
    ASSERT_SAME(gradients_compare(&owned.problem,
                                  rule_of("{'type': 'bptt', 'window': %d}", shape.steps + (int)draw % 3), METHOD_AUTO,
                                  rule_of("{'type': 'bptt'}"), METHOD_AUTO),
                0);
}
END_TEST

/* The gradient with a window, by its definition, in double: W, Win and b of one batch. */
static void windowed_reference(const struct gradients_problem *p, int window, const float *err, const float *rates,
                               double *dW) {
    int n = p->units, B = p->trials, O = p->outputs;
    double *d = calloc((size_t)n, sizeof *d), *next = calloc((size_t)n, sizeof *next);
    for (int b = 0; b < B; b++) {
        memset(d, 0, (size_t)n * sizeof *d);
        for (int t = p->steps - 1; t >= 0; t--) {
            bool ends = (p->steps - 1 - t) % window == 0;
            const float *z = rates + ((size_t)t * (size_t)B + (size_t)b) * (size_t)n;
            for (int k = 0; k < n; k++) {
                double psi = p->activation == ACTIVATION_TANH ? 1 - (double)z[k] * (double)z[k] : z[k] > 0, signal = 0,
                       hop = 0;
                for (int o = 0; o < O; o++) {
                    signal += (double)err[((size_t)t * (size_t)B + (size_t)b) * (size_t)O + (size_t)o] *
                              (double)p->Wout[k * O + o];
                }
                for (int m = 0; m < n && !ends; m++) {
                    hop += (1 - p->leak[m]) * d[m] * (double)p->W[k * n + m];
                }
                next[k] = psi * signal + (ends ? 0 : p->leak[k] * d[k]) + psi * hop;
            }
            memcpy(d, next, (size_t)n * sizeof *d);
            for (int q = 0; q < n && t > 0; q++) {
                double before = (double)rates[((size_t)(t - 1) * (size_t)B + (size_t)b) * (size_t)n + (size_t)q];
                for (int k = 0; k < n; k++) {
                    dW[q * n + k] += before * (1 - p->leak[k]) * d[k];
                }
            }
        }
    }
    free(d);
    free(next);
}

/* The network forward, in double, for squared error and a mask: rates and dE/dy. */
static void forward_reference(const struct gradients_problem *p, float *err, float *rates) {
    int n = p->units, B = p->trials, O = p->outputs, I = p->inputs;
    double weight = 0, *v = calloc((size_t)n, sizeof *v), *z = calloc((size_t)n, sizeof *z),
           *u = calloc((size_t)n, sizeof *u);
    for (int i = 0; i < p->steps * B; i++) {
        weight += (double)p->mask[i];
    }
    for (int b = 0; b < B; b++) {
        memset(v, 0, (size_t)n * sizeof *v);
        memset(z, 0, (size_t)n * sizeof *z);
        for (int t = 0; t < p->steps; t++) {
            size_t at = (size_t)t * (size_t)B + (size_t)b;
            for (int k = 0; k < n; k++) {
                u[k] = p->b ? (double)p->b[k] : 0;
                for (int q = 0; q < n; q++) {
                    u[k] += z[q] * (double)p->W[q * n + k];
                }
                for (int i = 0; i < I; i++) {
                    u[k] += (double)p->x[at * (size_t)I + (size_t)i] * (double)p->Win[i * n + k];
                }
            }
            for (int k = 0; k < n; k++) {
                v[k] = p->leak[k] * v[k] + (1 - p->leak[k]) * u[k];
                z[k] = p->activation == ACTIVATION_TANH ? tanh(v[k]) : fmax(v[k], 0);
                rates[at * (size_t)n + (size_t)k] = (float)z[k];
            }
            for (int o = 0; o < O; o++) {
                double y = (double)p->bout[o];
                for (int k = 0; k < n; k++) {
                    y += z[k] * (double)p->Wout[k * O + o];
                }
                err[at * (size_t)O + (size_t)o] = (float)((y - (double)p->values[at * (size_t)O + (size_t)o]) *
                                                          (double)p->mask[at] / weight);
            }
        }
    }
    free(v);
    free(z);
    free(u);
}

START_TEST(a_window_cuts_at_its_blocks) {
    FOR_RANDOM_PROBLEMS(owned, shape, (shape.loss = LOSS_MSE, shape.activation = ACTIVATION_TANH)) {
        const struct gradients_problem *p = &owned.problem;
        size_t n = (size_t)p->units, steps = (size_t)p->steps * (size_t)p->trials;
        float *err = calloc(steps * (size_t)p->outputs, sizeof *err), *rates = calloc(steps * n, sizeof *rates);
        double *expected = calloc(n * n, sizeof *expected), worst = 0, largest = 0;
        int window = 1 + (int)draw % p->steps;
        struct owned_gradients got;
        forward_reference(p, err, rates);
        windowed_reference(p, window, err, rates, expected);
        gradients_run(p, rule_of("{'type': 'bptt', 'window': %d}", window), METHOD_AUTO, draw % 2 ? 1 : 0, 2, &got);
        for (size_t i = 0; i < n * n; i++) {
            worst = fmax(worst, fabs((double)got.view.W[i] - expected[i]));
            largest = fmax(largest, fabs(expected[i]));
        }
        ASSERT_SAME(worst / fmax(largest, 1e-30), 2e-5);
        gradients_free(&got);
        free(err);
        free(rates);
        free(expected);
    }
}
END_TEST

/* ---- mu, types and modulatory weights ---- */

START_TEST(equal_mu_are_one_mu) {
    FOR_RANDOM_PROBLEMS(owned, shape, (shape.unequal_leaks = draw % 2))
    for (int i = 0; i < 8; i++) {
        const char *weights = i % 2 ? "type" : "cell", *hop = i / 2 % 2 ? "exact" : "mu";
        int count = i / 4 ? owned.problem.units : owned.problem.types;
        double values[64];
        char text[4096];
        for (int k = 0; k < count; k++) {
            values[k] = 0.3;
        }
        ASSERT_SAME(gradients_compare(
                        &owned.problem,
                        rule_of("{'type': 'modprop', 'mu': %s, 'weights': '%s', 'first_hop': '%s'}",
                                list_text(values, count, text, sizeof text), weights, hop),
                        METHOD_REVERSE,
                        rule_of("{'type': 'modprop', 'mu': 0.3, 'weights': '%s', 'first_hop': '%s'}", weights, hop),
                        METHOD_REVERSE),
                    0);
    }
}
END_TEST

/* One mu a type: by the traces, by the recursion, and by the recursion with one mu a unit. */
START_TEST(mu_of_types_is_mu_of_units) {
    FOR_RANDOM_PROBLEMS(owned, shape, (shape.unequal_leaks = false, shape.types = 1 + (int)draw % 5)) {
        double of_types[64], of_units[64];
        char types[4096], units[4096];
        for (int k = 0; k < owned.problem.types; k++) {
            of_types[k] = 0.1 + 0.1 * k;
        }
        for (int p = 0; p < owned.problem.units; p++) {
            of_units[p] = of_types[owned.types[p]];
        }
        list_text(of_types, owned.problem.types, types, sizeof types);
        list_text(of_units, owned.problem.units, units, sizeof units);
        const struct rule_config by_type = rule_of("{'type': 'modprop', 'mu': %s, 'weights': 'type'}", types),
                                 by_unit = rule_of("{'type': 'modprop', 'mu': %s, 'weights': 'type'}", units);
        ASSERT_SAME(gradients_compare(&owned.problem, by_type, METHOD_FORWARD, by_type, METHOD_REVERSE), 3e-5);
        ASSERT_SAME(gradients_compare(&owned.problem, by_type, METHOD_REVERSE, by_unit, METHOD_REVERSE), 0);
    }
}
END_TEST

/* The averages of W between types, in double. */
static void averages_of(const struct owned_problem *owned, double *averages) {
    int n = owned->problem.units, types = owned->problem.types;
    double counts[64] = {0};
    memset(averages, 0, (size_t)(types * types) * sizeof *averages);
    for (int i = 0; i < n * n; i++) {
        int at = owned->types[i / n] * types + owned->types[i % n];
        averages[at] += (double)owned->problem.W[i];
        counts[at]++;
    }
    for (int i = 0; i < types * types; i++) {
        averages[i] = counts[i] > 0 ? averages[i] / counts[i] : 0;
    }
}

static const char *matrix_text(const double *values, int n, char *text, size_t size) {
    size_t used = 0;
    for (int i = 0; i < n * n; i++) {
        used += (size_t)snprintf(text + used, size - used, "%s%.9g", i % n ? "," : i ? "],[" : "[[", values[i]);
    }
    snprintf(text + used, size - used, "]]");
    return text;
}

/* Given W or its averages: what weights "cell" and "type" take themselves. */
START_TEST(given_weights_are_taken) {
    FOR_RANDOM_PROBLEMS(owned, shape, (shape.units = 5 + (int)draw % 9, shape.types = 1 + (int)draw % 4)) {
        static char text[65536];
        double W[400], averages[64];
        for (int i = 0; i < shape.units * shape.units; i++) {
            W[i] = (double)owned.problem.W[i];
        }
        averages_of(&owned, averages);
        for (int i = 0; i < 3; i++) {
            const char *rest = i == 0   ? "'type': 'mdgl'"
                               : i == 1 ? "'type': 'modprop', 'mu': 0.3"
                                        : "'type': 'modprop', 'mu': 0.3, 'first_hop': 'exact'";
            matrix_text(W, shape.units, text, sizeof text);
            ASSERT_SAME(gradients_compare(&owned.problem,
                                          rule_of("{%s, 'weights': 'given', 'modulation': %s}", rest, text),
                                          METHOD_AUTO, rule_of("{%s}", rest), METHOD_AUTO),
                        1e-6);
            matrix_text(averages, owned.problem.types, text, sizeof text);
            ASSERT_SAME(gradients_compare(&owned.problem,
                                          rule_of("{%s, 'weights': 'given', 'modulation': %s}", rest, text),
                                          METHOD_AUTO, rule_of("{%s, 'weights': 'type'}", rest), METHOD_AUTO),
                        1e-5);
        }
    }
}
END_TEST

/* With one type, all that is random is a scale, and that is fixed by the norm. */
START_TEST(random_weights_of_one_type_are_the_average) {
    FOR_RANDOM_PROBLEMS(owned, shape, (shape.types = 1))
    for (int i = 0; i < 2; i++) {
        const char *rest = i ? "'averaging': 'existing'" : "'averaging': 'all'";
        owned.problem.seed = draw;
        ASSERT_SAME(gradients_compare(&owned.problem, rule_of("{'type': 'modprop', 'weights': 'random', %s}", rest),
                                      METHOD_AUTO, rule_of("{'type': 'modprop', 'weights': 'type', %s}", rest),
                                      METHOD_AUTO),
                    1e-5);
    }
}
END_TEST

/* Draws depend on the seed alone; another seed draws others. */
START_TEST(drawn_weights_follow_the_seed) {
    FOR_RANDOM_PROBLEMS(owned, shape, (shape.types = 3, shape.units = 12 + (int)draw, shape.steps = 20))
    for (int i = 0; i < 2; i++) {
        const struct rule_config rule = rule_of("{'type': 'modprop', 'weights': '%s'}", i ? "random" : "shuffled");
        struct owned_gradients first, again, other;
        owned.problem.seed = 7;
        gradients_run(&owned.problem, rule, METHOD_AUTO, 0, 1, &first);
        gradients_run(&owned.problem, rule, METHOD_AUTO, 0, 2, &again);
        owned.problem.seed = 8;
        gradients_run(&owned.problem, rule, METHOD_AUTO, 0, 1, &other);
        ck_assert(memcmp(first.data, again.data, first.size * sizeof(float)) == 0);
        ck_assert_double_gt(gradients_distance(&other, &first), 1e-4);
        gradients_free(&first);
        gradients_free(&again);
        gradients_free(&other);
    }
}
END_TEST

/* Where all weights of a block are equal, shuffling within it changes nothing; W itself is not moved. */
START_TEST(shuffling_stays_within_blocks) {
    FOR_RANDOM_PROBLEMS(owned, shape, (shape.types = 1 + (int)draw % 4)) {
        int n = owned.problem.units, types = owned.problem.types;
        for (int i = 0; i < n * n; i++) {
            int block = owned.types[i / n] * types + owned.types[i % n];
            owned.floats[i] = i % (n + 1) == 0 ? 0.0f : 0.3f / (float)n * (float)(block - 2);
        }
        ASSERT_SAME(gradients_compare(&owned.problem, rule_of("{'type': 'modprop', 'weights': 'shuffled'}"),
                                      METHOD_AUTO, rule_of("{'type': 'modprop'}"), METHOD_AUTO),
                    0);
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
        TCase *tests = tcase_create("rules");
        tcase_set_timeout(tests, 0);
        tcase_add_test(tests, golden_cases);
        tcase_add_test(tests, a_long_window_is_bptt);
        tcase_add_test(tests, mu_of_types_is_mu_of_units);
        if (i == 0) {
            tcase_add_test(tests, a_window_cuts_at_its_blocks);
            tcase_add_test(tests, equal_mu_are_one_mu);
            tcase_add_test(tests, given_weights_are_taken);
            tcase_add_test(tests, random_weights_of_one_type_are_the_average);
            tcase_add_test(tests, drawn_weights_follow_the_seed);
            tcase_add_test(tests, shuffling_stays_within_blocks);
        }
        suite_add_tcase(suite, tests);
        SRunner *runner = srunner_create(suite);
        srunner_run_all(runner, CK_ENV);
        failed += srunner_ntests_failed(runner);
        srunner_free(runner);
    }
    return failed == 0 ? 0 : 1;
}
