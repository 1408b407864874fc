/*
 * Statistics against worked samples (tests/golden/statistics.json, made by SciPy), and intervals against what they
 * promise: how often they cover the true value in simulation.
 */
#include <check.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/random.h"
#include "server/experiments/statistics.h"
#include "tests/unit/suite.h"

#define MOST 64

/* null means never: infinite for a value, absent (NaN) for a statistic. */
static size_t numbers(const json_t *list, double *out, double null) {
    size_t i;
    json_t *item;
    json_array_foreach((json_t *)list, i, item) {
        out[i] = json_is_null(item) ? null : json_number_value(item);
    }
    return json_array_size(list);
}

static void same(const char *name, size_t at, double got, const json_t *want, double null) {
    double expected = json_is_null(want) || want == NULL ? null : json_number_value(want);
    bool equal = (isnan(expected) && isnan(got)) || got == expected ||
                 fabs(got - expected) <= 1e-12 * fmax(1, fabs(expected));
    ck_assert_msg(equal, "case %zu, %s: got %.17g, expected %.17g", at, name, got, expected);
}

static void same_pair(const char *name, size_t at, double low, double high, const json_t *want, double null) {
    same(name, at, low, json_array_get(want, 0), null);
    same(name, at, high, json_array_get(want, 1), null);
}

static json_t *golden(const char *member) {
    json_error_t error;
    json_t *all = json_load_file(MODPROP_GOLDEN_STATISTICS, 0, &error);
    ck_assert_msg(all != NULL, "%s", error.text);
    json_t *found = json_incref(json_object_get(all, member));
    json_decref(all);
    return found;
}

static void check_paired(size_t at, const json_t *item, const json_t *want) {
    double x[MOST], y[MOST];
    struct paired paired;
    size_t n = numbers(json_object_get(item, "x"), x, INFINITY);
    numbers(json_object_get(item, "y"), y, INFINITY);
    paired_compute(x, y, n, false, 1, &paired);
    same("mean_difference", at, paired.mean_difference, json_object_get(want, "mean_difference"), NAN);
    same("sign_flip_p", at, paired.sign_flip_p, json_object_get(want, "sign_flip_p"), NAN);
    same("least_p", at, paired.least_p, json_object_get(want, "least_p"), NAN);
    same("won", at, paired.won, json_object_get(want, "won"), NAN);
}

START_TEST(golden_samples) {
    json_t *cases = golden("cases"), *item;
    size_t at, never = 0;
    ck_assert_int_gt((int)json_array_size(cases), 20);
    json_array_foreach(cases, at, item) {
        const json_t *want = json_object_get(item, "expected");
        double x[MOST];
        struct summary summary;
        size_t n = numbers(json_object_get(item, "x"), x, INFINITY);
        summary_compute(x, n, &summary);
        never += summary.finite < n;
        ck_assert_int_eq((int)summary.n, (int)json_integer_value(json_object_get(want, "n")));
        same("mean", at, summary.mean, json_object_get(want, "mean"), NAN);
        same("standard_deviation", at, summary.standard_deviation, json_object_get(want, "standard_deviation"), NAN);
        if (json_object_get(want, "mean_interval") != NULL) {
            same_pair("mean_interval", at, summary.mean_95.low, summary.mean_95.high,
                      json_object_get(want, "mean_interval"), NAN);
        }
        same("median", at, summary.median, json_object_get(want, "median"), INFINITY);
        same_pair("quartiles", at, summary.quartiles[0], summary.quartiles[1], json_object_get(want, "quartiles"),
                  INFINITY);
        bool exists = json_is_true(json_object_get(want, "median_interval_exists"));
        same_pair("median_interval", at, summary.median_95.low, summary.median_95.high,
                  json_object_get(want, "median_interval"), exists ? INFINITY : NAN);
        same("coverage", at, summary.median_coverage, json_object_get(want, "median_interval_coverage"), NAN);
        same("share_finite", at, summary.share, json_object_get(want, "share_finite"), NAN);
        same_pair("share_interval", at, summary.share_95.low, summary.share_95.high,
                  json_object_get(want, "share_interval"), NAN);
        if (json_object_get(want, "interquartile_mean") != NULL) {
            same("interquartile_mean", at, summary.interquartile_mean, json_object_get(want, "interquartile_mean"),
                 NAN);
        }
        if (json_object_get(want, "paired") != NULL) {
            check_paired(at, item, json_object_get(want, "paired"));
        }
    }
    ck_assert_int_gt((int)never, 0);
    json_decref(cases);
}
END_TEST

START_TEST(golden_holm) {
    json_t *holm = golden("holm");
    double p[MOST], adjusted[MOST], backwards[MOST];
    size_t n = numbers(json_object_get(holm, "p"), p, NAN);
    ck_assert(holm_adjust(p, n, adjusted));
    for (size_t i = 0; i < n; i++) {
        same("holm", i, adjusted[i], json_array_get(json_object_get(holm, "adjusted"), i), NAN);
        backwards[i] = p[n - 1 - i];
    }
    backwards[n] = NAN;
    double again[MOST];
    ck_assert(holm_adjust(backwards, n + 1, again));
    for (size_t i = 0; i < n; i++) {
        ck_assert_double_eq(again[i], adjusted[n - 1 - i]);
    }
    ck_assert(isnan(again[n]));
    json_decref(holm);
}
END_TEST

/* scipy.stats.t.ppf(0.975, df) */
START_TEST(student_quantiles) {
    static const struct {
        int degrees;
        double t;
    } table[] = {{1, 12.706204736174694},
                 {2, 4.302652729749462},
                 {9, 2.2621571627982053},
                 {30, 2.0422724563012373},
                 {999, 1.9623414611334487}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        double got = student_two_sided(table[i].degrees, 0.95);
        ck_assert_msg(fabs(got - table[i].t) < 2e-12 * table[i].t, "%d: %.17g", table[i].degrees, got);
    }
}
END_TEST

START_TEST(never_is_never_dropped) {
    double x[] = {100, INFINITY, INFINITY, 300, 200}, y[] = {50, 400, INFINITY, 150, 300};
    struct paired paired;
    paired_compute(x, y, 5, true, 1, &paired);
    ck_assert_int_eq((int)paired.finite, 3);
    ck_assert_double_eq(paired.won, 3.5 / 5); /* 50, 400 against never, 150; a tie of two that never did */
    ck_assert_double_eq_tol(paired.mean_difference, (log(0.5) + log(0.5) + log(1.5)) / 3, 1e-15);
    ck_assert_double_eq_tol(paired.sign_test_p, 0.625, 1e-14); /* 3 of 4 decided */
    struct summary summary;
    summary_compute(x, 5, &summary);
    ck_assert_double_eq(summary.median, 300);
    ck_assert(isnan(summary.mean) && isinf(summary.quartiles[1]));
}
END_TEST

/* Every pattern of signs, one by one. */
static double flips_by_hand(const double *differences, size_t n) {
    double observed = 0;
    size_t as_far = 0;
    for (size_t i = 0; i < n; i++) {
        observed += differences[i];
    }
    for (size_t pattern = 0; pattern < (size_t)1 << n; pattern++) {
        double sum = 0;
        for (size_t i = 0; i < n; i++) {
            sum += pattern >> i & 1 ? differences[i] : -differences[i];
        }
        as_far += fabs(sum) >= fabs(observed);
    }
    return (double)as_far / (double)((size_t)1 << n);
}

/* Small whole numbers, so that many sums are the same; all zero among them. */
START_TEST(signs_are_flipped_exactly) {
    double zero[MOST] = {0}, y[MOST];
    for (size_t n = 1; n <= 13; n++) {
        for (int64_t round = 0; round < 20; round++) {
            struct random_stream stream = random_stream_make(n, RANDOM_TASK, round, 0);
            struct paired paired;
            for (size_t i = 0; i < n; i++) {
                y[i] = round == 0 ? 0 : (double)random_below(&stream, i, 7) - 2;
            }
            paired_compute(zero, y, n, false, 1, &paired);
            ck_assert_msg(paired.sign_flip_p == flips_by_hand(y, n), "%zu pairs, round %d: %g is not %g", n, (int)round,
                          paired.sign_flip_p, flips_by_hand(y, n));
        }
    }
}
END_TEST

START_TEST(many_pairs_are_drawn) {
    double x[MOST], y[MOST];
    struct random_stream stream = random_stream_make(3, RANDOM_TASK, 0, 0);
    for (size_t i = 0; i < 20; i++) {
        x[i] = random_normal(&stream, i);
        y[i] = x[i] + 0.5 + random_normal(&stream, 100 + i);
    }
    struct paired exact, drawn;
    paired_compute(x, y, 20, false, 1, &exact);
    x[20] = y[20] = 1; /* a pair without a difference changes no p, but makes it too many for the exact sum */
    paired_compute(x, y, 21, false, 1, &drawn);
    ck_assert_double_eq(exact.sign_flip_error, 0);
    ck_assert_double_gt(drawn.sign_flip_error, 0);
    ck_assert_msg(fabs(drawn.sign_flip_p - exact.sign_flip_p) < 5 * drawn.sign_flip_error, "%g and %g",
                  drawn.sign_flip_p, exact.sign_flip_p);
}
END_TEST

START_TEST(curves) {
    const double at[] = {0, 20, 40, 60, 80, 100}, loss[] = {0.7, 0.05, NAN, 0.05, 0.04, 0.03};
    ck_assert_double_eq(curve_learned(at, loss, 6, 0.1, false, 3), 60);
    ck_assert_double_eq(curve_learned(at, loss, 6, 0.1, false, 1), 20);
    ck_assert(isinf(curve_learned(at, loss, 6, 0.1, false, 4)));
    ck_assert_double_eq(curve_learned(at, loss, 6, 0.5, true, 1), 0);
    ck_assert_double_eq(curve_best(loss, 6, false), 0.03);
    ck_assert_double_eq(curve_best(loss, 6, true), 0.7);
    ck_assert_double_eq_tol(curve_area(at, loss, 6), (7.5 + 2 + 0.9 + 0.7) / 100, 1e-15);
    ck_assert_double_eq(curve_area(at, loss, 1), 0.7);
    ck_assert(isnan(curve_area(at, loss, 0)) && isnan(curve_best(loss + 2, 1, false)));
}
END_TEST

/* ---- coverage ---- */

enum kind { MEAN_T, MEDIAN_ORDER, MEAN_BCA, IQM_BCA, SHARE_WILSON, KINDS };
static const char *const kind_names[KINDS] = {"mean, t", "median, order statistics", "mean, BCa", "IQM, BCa",
                                              "share, Wilson"};

/* The interquartile mean of the lognormal distribution, by its definition: e^(1/2) (F(q3 - 1) - F(q1 - 1)) / 0.5. */
static double truth_of(enum kind kind, bool lognormal) {
    const double q = 0.6744897501960817;
    switch (kind) {
    case MEAN_T:
    case MEAN_BCA:
        return lognormal ? exp(0.5) : 0;
    case MEDIAN_ORDER:
        return lognormal ? 1 : 0;
    case IQM_BCA:
        return lognormal ? exp(0.5) * (erfc(-(q - 1) / sqrt(2)) - erfc(-(-q - 1) / sqrt(2))) : 0;
    default:
        return 0.3;
    }
}

static struct interval interval_of(enum kind kind, double *values, size_t n, uint64_t seed) {
    struct summary summary;
    summary_compute(values, n, &summary);
    return kind == MEAN_T         ? summary.mean_95
           : kind == MEDIAN_ORDER ? summary.median_95
           : kind == SHARE_WILSON ? summary.share_95
                                  : bootstrap_interval(values, n, kind == IQM_BCA ? 0.25 : 0, 400, seed);
}

static double coverage(enum kind kind, bool lognormal, size_t n, int samples) {
    double truth = truth_of(kind, lognormal);
    int covered = 0, exist = 0;
    for (int sample = 0; sample < samples; sample++) {
        struct random_stream stream = random_stream_make(11, RANDOM_TASK, sample, n);
        double values[MOST];
        for (size_t i = 0; i < n; i++) {
            double z = random_normal(&stream, i);
            values[i] = kind == SHARE_WILSON ? (z < -0.5244005127080407 ? 1 : INFINITY) : lognormal ? exp(z) : z;
        }
        struct interval found = interval_of(kind, values, n, (uint64_t)sample);
        exist += !isnan(found.low);
        covered += found.low <= truth && truth <= found.high;
    }
    return exist == 0 ? NAN : (double)covered / exist;
}

/*
 * The least coverage of each, n = 5, 10, 20: exact intervals cover 95 % minus three standard errors; approximations are
 * compared with what was measured, so a table printed here is also a table that stays true.
 */
START_TEST(intervals_cover) {
    static const struct {
        enum kind kind;
        bool lognormal;
        double least[3];
    } table[] = {
        {MEAN_T, false, {0.935, 0.935, 0.935}},    {MEAN_T, true, {0.78, 0.80, 0.83}},
        {MEDIAN_ORDER, false, {0, 0.935, 0.935}},  {MEDIAN_ORDER, true, {0, 0.935, 0.935}},
        {MEAN_BCA, false, {0.78, 0.87, 0.90}},     {MEAN_BCA, true, {0.68, 0.79, 0.84}},
        {IQM_BCA, false, {0.74, 0.80, 0.88}},      {IQM_BCA, true, {0.70, 0.80, 0.87}},
        {SHARE_WILSON, false, {0.90, 0.90, 0.90}},
    };
    static const size_t sizes[] = {5, 10, 20};
    const char *is_long = getenv("MODPROP_LONG");
    int samples = is_long != NULL && *is_long != '\0' ? 5000 : 1000;
    printf("coverage of 95 %% intervals      n = 5     10     20\n");
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        printf("%-25s %s", kind_names[table[i].kind], table[i].lognormal ? "lognormal" : "   normal");
        for (int j = 0; j < 3; j++) {
            double got = coverage(table[i].kind, table[i].lognormal, sizes[j], samples);
            printf(" %6.3f", got);
            ck_assert_msg(isnan(got) ? table[i].least[j] == 0 : got >= table[i].least[j], "%s, n %zu: %g",
                          kind_names[table[i].kind], sizes[j], got);
        }
        printf("\n");
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("statistics");
    TCase *values = tcase_create("values"), *simulated = tcase_create("coverage");
    tcase_add_test(values, golden_samples);
    tcase_add_test(values, golden_holm);
    tcase_add_test(values, student_quantiles);
    tcase_add_test(values, never_is_never_dropped);
    tcase_add_test(values, signs_are_flipped_exactly);
    tcase_add_test(values, many_pairs_are_drawn);
    tcase_add_test(values, curves);
    tcase_set_timeout(values, 120);
    tcase_add_test(simulated, intervals_cover);
    tcase_set_timeout(simulated, 600);
    suite_add_tcase(suite, values);
    suite_add_tcase(suite, simulated);
    return suite_run(suite);
}
