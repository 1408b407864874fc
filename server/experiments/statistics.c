/* Statistics: see statistics.h. */
#include "server/experiments/statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/random.h"

#define SIGN_FLIP_EXACT 20
#define SIGN_FLIP_DRAWS 1000000
#define PI 3.14159265358979323846
#define Z_95 1.959963984540054     /* two-sided 95 % of the normal distribution */
#define Z_POWER 0.8416212335729143 /* one-sided 80 % */

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* ---- distributions ---- */

static double normal_below(double z) {
    return 0.5 * erfc(-z * 0.70710678118654752440);
}

/* The inverse of normal_below by Newton's method, p in (0,1): monotone and smooth enough from 0. */
static double normal_quantile(double p) {
    double low = -38, high = 38, z = 0;
    for (int i = 0; i < 200 && high - low > 1e-15 * fabs(z); i++) {
        double error = normal_below(z) - p;
        *(error > 0 ? &high : &low) = z;
        double next = z - error * 2.50662827463100050242 * exp(0.5 * z * z);
        z = next > low && next < high ? next : 0.5 * (low + high);
    }
    return z;
}

/* P(|T| < t) of Student's t: the finite sums of Abramowitz and Stegun 26.7.3 and 26.7.4, exact for whole degrees. */
static double student_within(int degrees, double t) {
    double theta = atan(t / sqrt(degrees)), cosine = cos(theta), square = cosine * cosine;
    bool odd = degrees % 2 == 1;
    double term = odd ? cosine : 1, sum = degrees > 1 ? term : 0;
    for (int k = odd ? 3 : 2; k < degrees; k += 2) {
        term *= square * (k - 1) / k;
        sum += term;
    }
    return odd ? (theta + sin(theta) * sum) * 2 / PI : sin(theta) * sum;
}

double student_two_sided(int degrees, double p) {
    double low = 0, high = 1;
    while (student_within(degrees, high) < p) {
        high *= 2;
    }
    for (int i = 0; i < 200; i++) {
        double middle = 0.5 * (low + high);
        *(student_within(degrees, middle) < p ? &low : &high) = middle;
    }
    return 0.5 * (low + high);
}

/* Probability of at most k heads in n throws of a fair coin. */
static double coin_at_most(size_t k, size_t n) {
    double sum = 0, logarithm = -(double)n * log(2), all = lgamma((double)n + 1);
    for (size_t i = 0; i <= k; i++) {
        sum += exp(logarithm + all - lgamma((double)i + 1) - lgamma((double)(n - i) + 1));
    }
    return sum > 1 ? 1 : sum;
}

/* ---- one sample ---- */

static double mean_of(const double *values, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += values[i];
    }
    return n == 0 ? NAN : sum / (double)n;
}

static double deviation_of(const double *values, size_t n, double mean) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (values[i] - mean) * (values[i] - mean);
    }
    return n < 2 ? NAN : sqrt(sum / (double)(n - 1));
}

static struct interval student_interval(double mean, double deviation, size_t n) {
    double half = n < 2 ? NAN : student_two_sided((int)(n - 1), 0.95) * deviation / sqrt((double)n);
    return (struct interval){mean - half, mean + half};
}

double quantile_sorted(const double *sorted, size_t n, double p) {
    if (n == 0) {
        return NAN;
    }
    double rank = p * (double)(n - 1);
    size_t below = (size_t)rank;
    double part = rank - (double)below;
    if (part == 0 || below + 1 >= n) {
        return sorted[below];
    }
    return isinf(sorted[below + 1]) ? sorted[below + 1] : sorted[below] + part * (sorted[below + 1] - sorted[below]);
}

struct interval share_interval(double part, size_t n) {
    if (n == 0) {
        return (struct interval){NAN, NAN};
    }
    double count = (double)n, share = part / count, z2 = Z_95 * Z_95;
    double centre = (share + z2 / (2 * count)) / (1 + z2 / count);
    double half = Z_95 * sqrt(share * (1 - share) / count + z2 / (4 * count * count)) / (1 + z2 / count);
    double low = centre - half, high = centre + half;
    return (struct interval){part <= 0 || low < 0 ? 0 : low, part >= count || high > 1 ? 1 : high};
}

/* Between the ranks k and n + 1 - k, the largest k whose exact coverage is at least 95 %. */
static void median_interval(const double *sorted, size_t n, struct summary *summary) {
    summary->median_95 = (struct interval){NAN, NAN};
    summary->median_coverage = NAN;
    for (size_t k = n / 2; k >= 1; k--) {
        double coverage = 1 - 2 * coin_at_most(k - 1, n);
        if (coverage >= 0.95) {
            summary->median_95 = (struct interval){sorted[k - 1], sorted[n - k]};
            summary->median_coverage = coverage;
            return;
        }
    }
}

void summary_compute(double *values, size_t n, struct summary *summary) {
    qsort(values, n, sizeof *values, ascending);
    size_t finite = n;
    while (finite > 0 && isinf(values[finite - 1])) {
        finite--;
    }
    bool whole = finite == n;
    size_t cut = n / 4;
    double trimmed = mean_of(values + cut, n - 2 * cut);
    *summary = (struct summary){.n = n,
                                .finite = finite,
                                .mean = whole ? mean_of(values, n) : NAN,
                                .median = quantile_sorted(values, n, 0.5),
                                .quartiles = {quantile_sorted(values, n, 0.25), quantile_sorted(values, n, 0.75)},
                                .interquartile_mean = isinf(trimmed) ? NAN : trimmed,
                                .share = n == 0 ? NAN : (double)finite / (double)n,
                                .share_95 = share_interval((double)finite, n)};
    summary->standard_deviation = whole ? deviation_of(values, n, summary->mean) : NAN;
    summary->mean_95 = student_interval(summary->mean, summary->standard_deviation, n);
    median_interval(values, n, summary);
}

/* ---- the bootstrap ---- */

/* Of ascending values, without the lowest and highest floor(trim * n). */
static double trimmed_mean(const double *sorted, size_t n, double trim) {
    size_t cut = (size_t)(trim * (double)n);
    return mean_of(sorted + cut, n - 2 * cut);
}

static void resample(const double *values, size_t n, double trim, size_t draws, uint64_t seed, double *statistics,
                     double *scratch) {
    for (size_t draw = 0; draw < draws; draw++) {
        struct random_stream stream = random_stream_make(seed, RANDOM_BOOTSTRAP, (int64_t)draw, 0);
        for (size_t i = 0; i < n; i++) {
            scratch[i] = values[random_below(&stream, i, n)];
        }
        if (trim > 0) {
            qsort(scratch, n, sizeof *scratch, ascending);
        }
        statistics[draw] = trimmed_mean(scratch, n, trim);
    }
    qsort(statistics, draws, sizeof *statistics, ascending);
}

/* Acceleration (Efron 1987, equation 6.6): the skewness of the jackknife's values. NaN where they are all equal. */
static double acceleration(const double *sorted, size_t n, double trim, double *left, double *scratch) {
    for (size_t out = 0; out < n; out++) {
        memcpy(scratch, sorted, out * sizeof *sorted);
        memcpy(scratch + out, sorted + out + 1, (n - 1 - out) * sizeof *sorted);
        left[out] = trimmed_mean(scratch, n - 1, trim);
    }
    double mean = mean_of(left, n), square = 0, cube = 0;
    for (size_t i = 0; i < n; i++) {
        double d = mean - left[i];
        square += d * d;
        cube += d * d * d;
    }
    return cube / (6 * pow(square, 1.5));
}

/* The share of resamples that the corrected end stands for. */
static double corrected(double bias, double acceleration_, double z) {
    double shifted = bias + z;
    return normal_below(bias + shifted / (1 - acceleration_ * shifted));
}

struct interval bootstrap_interval(const double *values, size_t n, double trim, size_t draws, uint64_t seed) {
    struct interval found = {NAN, NAN};
    double *memory = n < 3 || draws == 0 ? NULL : malloc((draws + 3 * n) * sizeof *memory);
    if (memory == NULL) {
        return found;
    }
    double *statistics = memory, *sorted = memory + draws, *left = sorted + n, *scratch = left + n;
    memcpy(sorted, values, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, ascending);
    resample(sorted, n, trim, draws, seed, statistics, scratch);
    double observed = trimmed_mean(sorted, n, trim), below = 0;
    for (size_t i = 0; i < draws; i++) {
        below += statistics[i] < observed ? 1 : statistics[i] == observed ? 0.5 : 0;
    }
    double skew = acceleration(sorted, n, trim, left, scratch);
    if (below > 0 && below < (double)draws && isfinite(skew)) {
        double bias = normal_quantile(below / (double)draws);
        found.low = quantile_sorted(statistics, draws, corrected(bias, skew, -Z_95));
        found.high = quantile_sorted(statistics, draws, corrected(bias, skew, Z_95));
    }
    free(memory);
    return found;
}

/* ---- pairs ---- */

/* The sums of all sign patterns of n values, in 2^n places, ascending. */
static void pattern_sums(const double *values, size_t n, double *sums) {
    sums[0] = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = (size_t)1 << i; j-- > 0;) {
            sums[j + ((size_t)1 << i)] = sums[j] + values[i];
            sums[j] -= values[i];
        }
    }
    qsort(sums, (size_t)1 << n, sizeof *sums, ascending);
}

/*
 * Share of all sign patterns whose sum is at least `bound` from 0. The sums of each half of the values are listed in
 * order; as those of the one ascend, the place in the other from which on their sum reaches the bound descends
 * (Horowitz and Sahni 1974). NaN if out of memory.
 */
static double flips_exact(const double *differences, size_t n, double bound) {
    size_t half = n / 2, low_count = (size_t)1 << half, high_count = (size_t)1 << (n - half);
    double *low = malloc((low_count + high_count) * sizeof *low), *high = low == NULL ? NULL : low + low_count;
    uint64_t as_far = 0;
    if (low == NULL) {
        return NAN;
    }
    pattern_sums(differences, half, low);
    pattern_sums(differences + half, n - half, high);
    for (size_t i = 0, above = high_count, below = high_count; i < low_count; i++) {
        while (above > 0 && low[i] + high[above - 1] >= bound) {
            above--;
        }
        while (below > 0 && low[i] + high[below - 1] > -bound) {
            below--;
        }
        /* where the bound is not above 0 the two overlap: every sum is as far */
        as_far += above < below ? high_count : high_count - above + below;
    }
    free(low);
    return (double)as_far / ((double)low_count * (double)high_count);
}

/* The sums of every pattern of up to eight values, by its bits: a set one is plus. */
static void byte_sums(const double *values, size_t n, double sums[256]) {
    sums[0] = 0;
    for (size_t i = 0; i < 8; i++) {
        double value = i < n ? values[i] : 0;
        for (size_t j = (size_t)1 << i; j-- > 0;) {
            sums[j + ((size_t)1 << i)] = sums[j] + value;
            sums[j] -= value;
        }
    }
}

/* The same of SIGN_FLIP_DRAWS drawn patterns, the observed one counted too (Phipson and Smyth 2010). */
static double flips_drawn(const double *differences, size_t n, double bound, uint64_t seed, double *error) {
    const size_t bytes = (n + 7) / 8;
    double (*tables)[256] = malloc(bytes * sizeof *tables);
    uint64_t as_far = 0;
    for (size_t i = 0; tables != NULL && i < bytes; i++) {
        byte_sums(differences + 8 * i, n - 8 * i, tables[i]);
    }
    for (int64_t draw = 0; tables != NULL && draw < SIGN_FLIP_DRAWS; draw++) {
        struct random_stream stream = random_stream_make(seed, RANDOM_SIGNS, draw, 0);
        double sum = 0;
        uint32_t bits = 0;
        for (size_t i = 0; i < bytes; i++) {
            bits = i % 4 == 0 ? random_bits(&stream, i / 4) : bits >> 8;
            sum += tables[i][bits & 0xff];
        }
        as_far += fabs(sum) >= bound;
    }
    double p = tables == NULL ? NAN : ((double)as_far + 1) / (SIGN_FLIP_DRAWS + 1.0);
    free(tables);
    *error = sqrt(p * (1 - p) / SIGN_FLIP_DRAWS);
    return p;
}

static void sign_flip(const double *differences, size_t n, uint64_t seed, struct paired *paired) {
    double sum = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        sum += differences[i];
        size += fabs(differences[i]);
    }
    double slack = 1e-12 * size; /* ties count, whatever the order of the sum */
    paired->sign_flip_error = 0;
    paired->sign_flip_p = n == 0 ? NAN
                          : n <= SIGN_FLIP_EXACT
                              ? flips_exact(differences, n, fabs(sum) - slack)
                              : flips_drawn(differences, n, fabs(sum) - slack, seed, &paired->sign_flip_error);
    paired->least_p = n == 0 ? 1 : fmin(1, 2 * pow(0.5, (double)n));
}

/* Who won, every pair counted: a finite value beats never; two that never did are a tie. */
static void wins(const double *x, const double *y, size_t n, struct paired *paired) {
    double won = 0;
    size_t decided = 0, best = 0;
    for (size_t i = 0; i < n; i++) {
        won += y[i] < x[i] ? 1 : y[i] > x[i] ? 0 : 0.5;
        decided += y[i] != x[i];
        best += y[i] < x[i];
    }
    size_t fewer = best < decided - best ? best : decided - best;
    paired->won = n == 0 ? NAN : won / (double)n;
    paired->won_95 = share_interval(won, n);
    paired->sign_test_p = decided == 0 ? 1 : fmin(1, 2 * coin_at_most(fewer, decided));
}

/* Guenther's correction of the normal formula for a two-sided paired t test at 5 %. */
static double pairs_for_power(double spread) {
    double effect = log(1.5) / spread, z = Z_95 + Z_POWER;
    return isfinite(effect) ? ceil(z * z / (effect * effect) + Z_95 * Z_95 / 2) : NAN;
}

void paired_compute(const double *x, const double *y, size_t n, bool logarithms, uint64_t seed, struct paired *paired) {
    double *differences = calloc(n + 1, sizeof *differences);
    size_t finite = 0;
    *paired = (struct paired){.n = n};
    for (size_t i = 0; differences != NULL && i < n; i++) {
        double difference = logarithms ? log(y[i]) - log(x[i]) : y[i] - x[i];
        if (isfinite(x[i]) && isfinite(y[i]) && isfinite(difference)) {
            differences[finite++] = difference;
        }
    }
    paired->finite = finite;
    paired->mean_difference = mean_of(differences, finite);
    paired->spread = deviation_of(differences, finite, paired->mean_difference);
    paired->difference_95 = student_interval(paired->mean_difference, paired->spread, finite);
    paired->pairs_needed = logarithms ? pairs_for_power(paired->spread) : NAN;
    sign_flip(differences, finite, seed, paired);
    wins(x, y, n, paired);
    free(differences);
}

struct ranked {
    double p;
    size_t at;
};

static int by_p(const void *a, const void *b) {
    return ascending(&((const struct ranked *)a)->p, &((const struct ranked *)b)->p);
}

bool holm_adjust(const double *p, size_t n, double *adjusted) {
    struct ranked *ranked = malloc((n + 1) * sizeof *ranked);
    size_t count = 0;
    double most = 0;
    if (ranked == NULL) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        adjusted[i] = NAN;
        if (!isnan(p[i])) {
            ranked[count++] = (struct ranked){p[i], i};
        }
    }
    qsort(ranked, count, sizeof *ranked, by_p);
    for (size_t i = 0; i < count; i++) {
        most = fmax(most, fmin(1, ranked[i].p * (double)(count - i)));
        adjusted[ranked[i].at] = most;
    }
    free(ranked);
    return true;
}

/* ---- curves ---- */

double curve_learned(const double *iterations, const double *values, size_t n, double threshold, bool above,
                     int in_a_row) {
    int row = 0;
    for (size_t i = 0; i < n; i++) {
        bool meets = above ? values[i] > threshold : values[i] < threshold; /* false for NaN */
        row = meets ? row + 1 : 0;
        if (row == in_a_row) {
            return iterations[i + 1 - (size_t)row];
        }
    }
    return INFINITY;
}

double curve_area(const double *iterations, const double *values, size_t n) {
    double area = 0, length = 0, last = NAN;
    size_t before = n;
    for (size_t i = 0; i < n; i++) {
        if (isnan(values[i])) {
            continue;
        }
        if (before < n) {
            double step = iterations[i] - iterations[before];
            area += step * 0.5 * (values[i] + values[before]);
            length += step;
        }
        last = values[i];
        before = i;
    }
    return length > 0 ? area / length : last;
}

double curve_best(const double *values, size_t n, bool largest) {
    double best = NAN;
    for (size_t i = 0; i < n; i++) {
        if (isfinite(values[i]) && (isnan(best) || (largest ? values[i] > best : values[i] < best))) {
            best = values[i];
        }
    }
    return best;
}
