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
            double loss, distance = golden_compare(&owned, entry, METHOD_AUTO, 1 + (int)(k % 3), &loss),
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

START_TEST(golden_cases_forward_in_time) {
    json_t *cases = golden_load(MODPROP_GOLDEN_MORE), *item, *entry;
    size_t i, k;
    double worst = 0;
    int of_model[NEURON_MODELS] = {0};
    json_array_foreach(cases, i, item) {
        struct owned_problem owned;
        problem_from_json(&owned, item);
        json_array_foreach(json_object_get(item, "rules"), k, entry) {
            struct rule_config rule = rule_from_json(json_object_get(entry, "rule"));
            if (method_planned(&owned.problem, rule, METHOD_SYNAPSES) != METHOD_SYNAPSES) {
                continue;
            }
            double loss, distance = golden_compare(&owned, entry, METHOD_SYNAPSES, 1 + (int)(k % 3), &loss);
            char *text = json_dumps(json_object_get(entry, "rule"), JSON_COMPACT);
            ck_assert_msg(distance < 1e-5, "case %zu %s: off by %g of the largest entry", i, text, distance);
            worst = fmax(worst, distance);
            of_model[owned.problem.neuron]++;
            free(text);
        }
        problem_release(&owned);
    }
    json_decref(cases);
    printf("golden cases by synapse traces with %s: membrane %d, rate %d, lif %d, alif %d, worst %.2g\n",
           kernels_name(), of_model[NEURON_MEMBRANE], of_model[NEURON_RATE], of_model[NEURON_LIF],
           of_model[NEURON_ALIF], worst);
    for (int neuron = 0; neuron <= NEURON_ALIF; neuron++) { /* test_neurons.c holds any other to the recursion */
        ck_assert_int_ge(of_model[neuron], 2);
    }
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

/*
 * W's gradient by definition, in double: of bptt with a window; or, with a `keep` of 0 or more, of e-prop whose
 * learning signal at t is the sum of keep^r L_{t-r}.
 */
static void gradient_reference(const struct gradients_problem *p, int window, double keep, const float *err,
                               const float *rates, double *dW) {
    int n = p->units, B = p->trials, O = p->outputs, T = p->steps;
    double *d = calloc((size_t)n, sizeof *d), *next = calloc((size_t)n, sizeof *next),
           *signal = calloc((size_t)(T * n), sizeof *signal);
    for (int b = 0; b < B; b++) {
        for (int i = 0; i < T * n; i++) {
            int t = i / n, k = i % n;
            signal[i] = keep >= 0 && t > 0 ? keep * signal[i - n] : 0;
            for (int o = 0; o < O; o++) {
                signal[i] += (double)err[(t * B + b) * O + o] * (double)p->Wout[k * O + o];
            }
        }
        memset(d, 0, (size_t)n * sizeof *d);
        for (int t = T - 1; t >= 0; t--) {
            bool ends = keep < 0 && (T - 1 - t) % window == 0;
            const float *z = rates + (t * B + b) * n;
            for (int k = 0; k < n; k++) {
                double psi = p->activation == ACTIVATION_TANH ? 1 - (double)z[k] * (double)z[k] : z[k] > 0, hop = 0;
                for (int m = 0; m < n && keep < 0 && !ends; m++) {
                    hop += (1 - p->leak[m]) * d[m] * (double)p->W[k * n + m];
                }
                next[k] = psi * signal[t * n + k] + (ends ? 0 : p->leak[k] * d[k]) + psi * hop;
            }
            memcpy(d, next, (size_t)n * sizeof *d);
            for (int q = 0; q < n && t > 0; q++) {
                double before = (double)rates[((t - 1) * B + b) * n + q];
                for (int k = 0; k < n; k++) {
                    dW[q * n + k] += before * (1 - p->leak[k]) * d[k];
                }
            }
        }
    }
    free(d);
    free(next);
    free(signal);
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

/* How far W's gradient under `rule` is from the reference's. */
static double reference_distance(const struct gradients_problem *p, struct rule_config rule, int64_t memory, int window,
                                 double keep) {
    size_t n = (size_t)p->units, steps = (size_t)p->steps * (size_t)p->trials;
    float *err = calloc(steps * (size_t)p->outputs, sizeof *err), *rates = calloc(steps * n, sizeof *rates);
    double *expected = calloc(n * n, sizeof *expected), worst = 0, largest = 0;
    struct owned_gradients got;
    forward_reference(p, err, rates);
    gradient_reference(p, window, keep, err, rates, expected);
    gradients_run(p, rule, METHOD_AUTO, memory, 2, &got);
    for (size_t i = 0; i < n * n; i++) {
        worst = fmax(worst, fabs((double)got.view.W[i] - expected[i]));
        largest = fmax(largest, fabs(expected[i]));
    }
    gradients_free(&got);
    free(err);
    free(rates);
    free(expected);
    return worst / fmax(largest, 1e-30);
}

START_TEST(a_window_cuts_at_its_blocks) {
    FOR_RANDOM_PROBLEMS(owned, shape, (shape.loss = LOSS_MSE, shape.activation = ACTIVATION_TANH)) {
        int window = 1 + (int)draw % shape.steps;
        ASSERT_SAME(reference_distance(&owned.problem, rule_of("{'type': 'bptt', 'window': %d}", window), (int)draw % 2,
                                       window, -1),
                    2e-5);
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

/* ---- filter ---- */

static void square_multiply(int n, const double *a, const double *b, double *to) {
    for (int i = 0; i < n * n; i++) {
        to[i] = 0;
        for (int k = 0; k < n; k++) {
            to[i] += a[i / n * n + k] * b[k * n + i % n];
        }
    }
}

/* F[.,.,s] = w Gam (Lam + Mu D w Gam)^(s-1), as taps[g][h][s-1]. */
static void own_taps(const struct owned_problem *owned, const double *mu, int steps, char *text, size_t size) {
    int types = owned->problem.types, sizes[8] = {0};
    double leak[8] = {0}, w[64], base[64], step[64], next[64], taps[64][64];
    averages_of(owned, w);
    for (int p = 0; p < owned->problem.units; p++) {
        sizes[owned->types[p]]++;
        leak[owned->types[p]] = owned->leak[p];
    }
    for (int i = 0; i < types * types; i++) {
        int g = i / types, h = i % types;
        step[i] = w[i] * (1 - leak[h]);
        base[i] = (g == h ? leak[g] : 0) + mu[g] * sizes[g] * w[i] * (1 - leak[h]);
    }
    for (int s = 0; s < steps; s++) {
        for (int i = 0; i < types * types; i++) {
            taps[i][s] = step[i];
        }
        square_multiply(types, step, base, next);
        memcpy(step, next, sizeof step);
    }
    size_t used = 0;
    for (int i = 0; i < types * types; i++) {
        const char *between = i == 0 ? "[[" : i % types ? "," : "],[";
        char list[4096];
        used += (size_t)snprintf(text + used, size - used, "%s%s", between,
                                 list_text(taps[i], steps, list, sizeof list));
    }
    snprintf(text + used, size - used, "]]");
}

START_TEST(modprops_own_taps_are_modprop) {
    FOR_RANDOM_PROBLEMS(owned, shape, (shape.types = 1 + (int)draw % 4, shape.steps = 3 + (int)draw % 30)) {
        static char text[60000];
        double mu[8] = {0.3, 0.1, 0.5, 0.2};
        char mu_text[256];
        list_text(mu, shape.types, mu_text, sizeof mu_text);
        owned.problem.types = shape.types;
        for (int p = 0; p < shape.units; p++) {
            owned.types[p] = p < shape.types ? p : owned.types[p];
            owned.leak[p] = 0.5 + 0.1 * owned.types[p];
        }
        for (int cut = 0; cut < 2; cut++) {
            int taps = cut ? 1 + shape.steps / 2 : shape.steps + 3;
            own_taps(&owned, mu, taps, text, sizeof text);
            ASSERT_SAME(gradients_compare(&owned.problem, rule_of("{'type': 'filter', 'taps': %s}", text), METHOD_AUTO,
                                          rule_of("{'type': 'modprop', 'mu': %s, 'weights': 'type', 'first_hop': "
                                                  "'exact', 'taps': %d}",
                                                  mu_text, taps),
                                          METHOD_AUTO),
                        2e-5);
        }
    }
}
END_TEST

/* ---- snap ---- */

static void synapses_remove(struct owned_problem *owned, uint64_t draw) {
    struct random_stream stream = random_stream_make(seed, RANDOM_MASK, 0, draw);
    int n = owned->problem.units;
    for (int i = 0; i < n * n; i++) {
        owned->floats[i] = random_below(&stream, (uint64_t)i, 4) ? 0.0f : owned->floats[i];
    }
}

START_TEST(snap_lies_between_eprop_and_bptt) {
    FOR_RANDOM_PROBLEMS(owned, shape, (void)0) {
        synapses_remove(&owned, draw);
        ASSERT_SAME(gradients_compare(&owned.problem, rule_of("{'type': 'snap', 'order': 1}"), METHOD_AUTO,
                                      rule_of("{'type': 'eprop'}"), METHOD_AUTO),
                    1e-5);
        ASSERT_SAME(gradients_compare(&owned.problem, rule_of("{'type': 'snap', 'order': %d}", shape.units),
                                      METHOD_AUTO, rule_of("{'type': 'bptt'}"), METHOD_AUTO),
                    1e-5);
    }
}
END_TEST

/* ---- uoro ---- */

START_TEST(the_mean_of_uoro_is_bptt) {
    for (uint64_t draw = 0; draw < 6; draw++) {
        struct problem_shape shape = {.units = draw % 2 ? 2 : 3,
                                      .inputs = 1,
                                      .outputs = 2,
                                      .types = 1,
                                      .steps = draw % 2 ? 5 : 3,
                                      .trials = 1,
                                      .activation = draw % 3 ? ACTIVATION_TANH : ACTIVATION_RELU,
                                      .bias = draw % 2,
                                      .unequal_leaks = true,
                                      .weight_scale = 0.9};
        struct owned_problem owned;
        struct owned_gradients exact, one;
        problem_random(&owned, &shape, seed + draw);
        owned.problem.nu = owned.nu;
        int signs = shape.units * shape.steps;
        double sums[64] = {0};
        gradients_run(&owned.problem, rule_of("{'type': 'bptt'}"), METHOD_AUTO, 0, 1, &exact);
        for (int vector = 0; vector < 1 << signs; vector++) {
            for (int i = 0; i < signs; i++) {
                owned.nu[i] = vector >> i & 1 ? 1 : -1;
            }
            gradients_run(&owned.problem, rule_of("{'type': 'uoro'}"), METHOD_AUTO, 0, 1, &one);
            for (size_t i = 0; i < one.size; i++) {
                sums[i] += (double)one.data[i];
            }
            gradients_free(&one);
        }
        double worst = 0, largest = 0;
        for (size_t i = 0; i < exact.size; i++) {
            worst = fmax(worst, fabs(sums[i] / (1 << signs) - (double)exact.data[i]));
            largest = fmax(largest, fabs((double)exact.data[i]));
        }
        ASSERT_SAME(worst / largest, 1e-5);
        gradients_free(&exact);
        problem_release(&owned);
    }
}
END_TEST

/* ---- diffusion ---- */

START_TEST(diffusion_without_a_kernel_is_eprop) {
    FOR_RANDOM_PROBLEMS(owned, shape, (shape.mask_from = draw % 2 ? 0 : 1 << 20)) {
        /* a kernel of 0; or any kernel, where loss is at the last step alone */
        const char *kernel = draw % 2 ? "'kernel': [[0]]" : "'decay': 0.7";
        ASSERT_SAME(gradients_compare(&owned.problem, rule_of("{'type': 'diffusion', %s}", kernel), METHOD_AUTO,
                                      rule_of("{'type': 'eprop'}"), METHOD_AUTO),
                    1e-5);
    }
}
END_TEST

START_TEST(a_kernel_of_one_unit_is_a_memory) {
    FOR_RANDOM_PROBLEMS(owned, shape, (shape.loss = LOSS_MSE, shape.activation = ACTIVATION_TANH))
    ASSERT_SAME(reference_distance(&owned.problem, rule_of("{'type': 'diffusion', 'kernel': [[0.8]]}"), 0, 1, 0.8),
                2e-5);
}
END_TEST

START_TEST(traces_of_synapses_are_those_of_sources) {
    FOR_RANDOM_PROBLEMS(owned, shape, (shape.unequal_leaks = false))
    ASSERT_SAME(gradients_compare(&owned.problem, rule_of("{'type': 'diffusion'}"), METHOD_SYNAPSES,
                                  rule_of("{'type': 'diffusion'}"), METHOD_FORWARD),
                1e-5);
}
END_TEST

/* ---- bits ---- */

static const char *const any_rules[] = {
    "{'type': 'bptt', 'window': 7}",
    "{'type': 'snap', 'order': 2}",
    "{'type': 'uoro'}",
    "{'type': 'diffusion', 'decay': 0.6}",
    "{'type': 'filter', 'taps': [[[0.3, 0.2, 0.1], [0.1, 0, -0.1]], [[0.1, 0, 0.2], [0.1, 0.1, 0.1]]]}",
    "{'type': 'modprop', 'weights': 'random'}",
    "{'type': 'mdgl', 'weights': 'shuffled'}",
    "{'type': 'modprop', 'mu': [0.1, 0.4], 'weights': 'type', 'first_hop': 'exact'}",
};

START_TEST(bits_depend_on_nothing_but_the_problem) {
    FOR_RANDOM_PROBLEMS(owned, shape, (shape.types = 2, shape.trials += 10)) {
        owned.problem.seed = draw;
        for (size_t r = 0; r < sizeof any_rules / sizeof *any_rules; r++) {
            bits_compare(&owned.problem, rule_of("%s", any_rules[r]), any_rules[r]);
        }
    }
}
END_TEST

static void tests_add(TCase *tests, bool first) {
    tcase_add_test(tests, golden_cases);
    tcase_add_test(tests, golden_cases_forward_in_time);
    tcase_add_test(tests, a_long_window_is_bptt);
    tcase_add_test(tests, mu_of_types_is_mu_of_units);
    if (first) {
        tcase_add_test(tests, a_window_cuts_at_its_blocks);
        tcase_add_test(tests, equal_mu_are_one_mu);
        tcase_add_test(tests, given_weights_are_taken);
        tcase_add_test(tests, random_weights_of_one_type_are_the_average);
        tcase_add_test(tests, drawn_weights_follow_the_seed);
        tcase_add_test(tests, shuffling_stays_within_blocks);
        tcase_add_test(tests, modprops_own_taps_are_modprop);
        tcase_add_test(tests, snap_lies_between_eprop_and_bptt);
        tcase_add_test(tests, the_mean_of_uoro_is_bptt);
        tcase_add_test(tests, diffusion_without_a_kernel_is_eprop);
        tcase_add_test(tests, a_kernel_of_one_unit_is_a_memory);
        tcase_add_test(tests, traces_of_synapses_are_those_of_sources);
        tcase_add_test(tests, bits_depend_on_nothing_but_the_problem);
    }
}

int main(void) {
    return kernels_suites_run("rules", &seed, tests_add);
}
