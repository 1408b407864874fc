/*
 * Autocorrelation timescales of the units.
 *
 * x_kb: rate of a unit in bin k of trial b, less its mean over the trials in that bin, so that what every trial has in
 * common does not count. rho(l) = [sum_b sum_k x_kb x_(k+l)b / (K - l)] / [sum_b sum_k x_kb^2 / K]. Fitted by least
 * squares at lags 1 to L: rho(l) = A (exp(-l every / tau) + B) (Murray et al. 2014, "A hierarchy of intrinsic
 * timescales across primate cortex", equation 1). For a given tau, A and A B solve a linear problem; tau itself is
 * found on a logarithmic grid and refined by golden sections. A fit that ends at a border of the grid, or with A <= 0,
 * says that no exponential fits: NaN.
 */
#include <math.h>
#include <stdlib.h>

#include "core/analysis/activity.h"
#include "core/analysis/matrix.h"
#include "core/base/elementary.h"
#include "core/base/size.h"

enum { LAGS, AUTOCORRELATION, MEAN, TIMESCALE, AMPLITUDE, OFFSET, POPULATION, UNIT_TYPES, TYPE_TIMESCALE, OUTPUTS };
enum { GRID = 160, GOLDEN = 40 };

static const struct analysis_output outputs[] = {
    [LAGS] = {"lag", "lag", "ms", "from 0 on, a bin apart"},
    [AUTOCORRELATION] = {"autocorrelation", "lag unit", NULL, "of each unit's rate, less its mean over trials"},
    [MEAN] = {"mean_autocorrelation", "lag", NULL, "mean over the units that vary"},
    [TIMESCALE] = {"timescale", "unit", "ms", "tau of A (exp(-lag/tau) + B), fitted to the lags above 0"},
    [AMPLITUDE] = {"amplitude", "unit", NULL, "A"},
    [OFFSET] = {"offset", "unit", NULL, "B"},
    [POPULATION] = {"population_timescale", "", "ms", "tau of the mean autocorrelation"},
    [UNIT_TYPES] = {"unit_type", "unit", NULL, "cell type of each unit"},
    [TYPE_TIMESCALE] = {"type_timescale", "type", "ms", "mean timescale of each cell type, of units that have one"},
};

extern const struct analysis_ops analysis_timescales;

/* Lags, that of 0 included. */
static size_t lags_of(const struct analysis_input *input) {
    size_t bins = activity_bins(input), wanted = (size_t)input->request.lags;
    wanted = wanted == 0 ? bins / 2 : wanted;
    return wanted < bins ? wanted + 1 : bins;
}

static size_t timescales_memory(const struct analysis_input *input) {
    size_t n = (size_t)input->network.trained->units;
    return size_plus(activity_memory(input, &input->network),
                     size_times(size_times(n, lags_of(input) + 8), sizeof(double)));
}

static double timescales_cost(const struct analysis_input *input) {
    double n = input->network.trained->units, lags = (double)lags_of(input),
           rows = (double)activity_bins(input) * (double)input->request.trials;
    return activity_cost(input, &input->network) + rows * n * lags + n * lags * 10 * (GRID + GOLDEN);
}

struct fit {
    double error, amplitude, level; /* amplitude * exp + level */
};

/* The best fit of rho, (lags) apart by `stride`, with this decay a bin. */
static struct fit fit_at(const double *rho, size_t lags, size_t stride, double log_tau) {
    double decay = elementary_exp(-elementary_exp(-log_tau)), e = 1, n = 0, se = 0, see = 0, sy = 0, sey = 0, syy = 0;
    for (size_t l = 1; l < lags; l++) {
        double y = rho[l * stride];
        e *= decay;
        n++;
        se += e;
        see += e * e;
        sy += y;
        sey += e * y;
        syy += y * y;
    }
    double spread = see - se * se / n, both = sey - se * sy / n, amplitude = spread > 1e-14 * see ? both / spread : 0,
           level = (sy - amplitude * se) / n;
    return (struct fit){syy - sy * sy / n - amplitude * both, amplitude, level};
}

/* tau in bins; NaN: no exponential fits. */
static double tau_find(const double *rho, size_t lags, size_t stride, struct fit *best) {
    double low = elementary_log(0.1), high = elementary_log(10.0 * (double)lags), step = (high - low) / GRID;
    int at = 0;
    *best = (struct fit){INFINITY, NAN, NAN};
    for (int i = 0; i <= GRID && lags > 4; i++) {
        struct fit fit = fit_at(rho, lags, stride, low + i * step);
        if (fit.error < best->error) {
            *best = fit;
            at = i;
        }
    }
    if (at == 0 || at == GRID || !(best->amplitude > 0)) {
        return NAN;
    }
    const double golden = 0.6180339887498949;
    double a = low + (at - 1) * step, b = low + (at + 1) * step, middle = (a + b) / 2;
    for (int i = 0; i < GOLDEN; i++) {
        double left = b - golden * (b - a), right = a + golden * (b - a);
        if (fit_at(rho, lags, stride, left).error < fit_at(rho, lags, stride, right).error) {
            b = right;
        } else {
            a = left;
        }
        middle = (a + b) / 2;
    }
    *best = fit_at(rho, lags, stride, middle);
    return elementary_exp(middle);
}

/* The means over trials are taken from the rates. */
static void means_remove(struct activity *activity) {
    size_t n = activity->units, trials = activity->trials;
    for (size_t k = 0; k < activity->bins; k++) {
        float *rates = activity->rates + k * trials * n;
        for (size_t u = 0; u < n; u++) {
            double mean = 0;
            for (size_t b = 0; b < trials; b++) {
                mean += (double)rates[b * n + u];
            }
            mean /= (double)trials;
            for (size_t b = 0; b < trials; b++) {
                rates[b * n + u] = (float)((double)rates[b * n + u] - mean);
            }
        }
    }
}

/* rho (lags,N); NaN where a unit does not vary. */
static bool autocorrelate(const struct activity *activity, size_t lags, double *rho, struct work *work) {
    size_t n = activity->units, row = activity->trials * n;
    for (size_t l = 0; l < lags; l++) {
        double *sums = rho + l * n;
        for (size_t k = 0; k + l < activity->bins; k++) {
            const float *a = activity->rates + k * row, *b = activity->rates + (k + l) * row;
            for (size_t i = 0; i < row; i += n) {
                for (size_t u = 0; u < n; u++) {
                    sums[u] += (double)a[i + u] * (double)b[i + u];
                }
            }
            if (work_add(work, (double)row)) {
                return false;
            }
        }
        for (size_t u = 0; u < n; u++) {
            sums[u] /= (double)(activity->bins - l);
        }
    }
    for (size_t u = 0; u < n; u++) {
        double variance = rho[u];
        for (size_t l = 0; l < lags; l++) {
            rho[l * n + u] = variance > 0 ? rho[l * n + u] / variance : NAN;
        }
    }
    return true;
}

static void mean_write(const double *rho, size_t lags, size_t n, double *mean) {
    double varying = 0;
    for (size_t u = 0; u < n; u++) {
        varying += !isnan(rho[u]);
        for (size_t l = 0; l < lags && !isnan(rho[u]); l++) {
            mean[l] += rho[l * n + u];
        }
    }
    for (size_t l = 0; l < lags; l++) {
        mean[l] = varying > 0 ? mean[l] / varying : NAN;
    }
}

static bool units_fit(const struct analysis_array *arrays, size_t lags, size_t n, double every, struct work *work) {
    for (size_t u = 0; u < n; u++) {
        const double *rho = arrays[AUTOCORRELATION].values + u;
        struct fit fit = {NAN, NAN, NAN};
        double tau = isnan(*rho) ? NAN : tau_find(rho, lags, n, &fit);
        arrays[TIMESCALE].values[u] = tau * every;
        arrays[AMPLITUDE].values[u] = isnan(tau) ? NAN : fit.amplitude;
        arrays[OFFSET].values[u] = isnan(tau) ? NAN : fit.level / fit.amplitude;
        if (work_add(work, 10.0 * (double)lags * (GRID + GOLDEN))) {
            return false;
        }
    }
    return true;
}

static enum result activity_analyse(struct activity *activity, const struct trained *trained, size_t lags,
                                    struct analysis_answer *answer, struct work *work, struct error *error) {
    const struct analysis_array *arrays = answer->arrays;
    size_t n = activity->units;
    const size_t lengths[OUTPUTS][ANALYSIS_AXES_MOST] = {
        [LAGS] = {lags},    [AUTOCORRELATION] = {lags, n},
        [MEAN] = {lags},    [TIMESCALE] = {n},
        [AMPLITUDE] = {n},  [OFFSET] = {n},
        [UNIT_TYPES] = {n}, [TYPE_TIMESCALE] = {(size_t)trained->types}};
    if (!analysis_arrays(answer, &analysis_timescales, lengths, error)) {
        return RESULT_NO_MEMORY;
    }
    means_remove(activity);
    if (!autocorrelate(activity, lags, arrays[AUTOCORRELATION].values, work) ||
        !units_fit(arrays, lags, n, activity->every, work)) {
        return analysis_solved(-1, error);
    }
    struct fit fit;
    mean_write(arrays[AUTOCORRELATION].values, lags, n, arrays[MEAN].values);
    *arrays[POPULATION].values = tau_find(arrays[MEAN].values, lags, 1, &fit) * activity->every;
    for (size_t l = 0; l < lags; l++) {
        arrays[LAGS].values[l] = (double)l * activity->every;
    }
    for (size_t u = 0; u < n; u++) {
        arrays[UNIT_TYPES].values[u] = trained->type_of_unit[u];
    }
    types_mean(trained, arrays[TIMESCALE].values, arrays[TYPE_TIMESCALE].values);
    return RESULT_DONE;
}

static enum result timescales_run(const struct analysis_input *input, struct work *work, struct analysis_answer *answer,
                                  struct error *error) {
    struct activity activity;
    enum result result = activity_make(input, &input->network, work, &activity, error);
    if (result == RESULT_DONE) {
        result = activity_analyse(&activity, input->network.trained, lags_of(input), answer, work, error);
    }
    activity_release(&activity);
    return result;
}

const struct analysis_ops analysis_timescales = {
    .name = "timescales",
    .doc = "autocorrelation of each unit's rate across trials, and the time constant of its exponential decay",
    .outputs = outputs,
    .output_count = OUTPUTS,
    .memory = timescales_memory,
    .cost = timescales_cost,
    .run = timescales_run,
};
