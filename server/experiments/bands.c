/*
 * Curves over seeds: at each iteration the quartiles of the values that the seeds have there, and where it was asked
 * for their mean with a bootstrap interval. A trial counts as far as it was measured: n is how many do. See study.h.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "server/experiments/statistics.h"
#include "server/experiments/study.h"

#define BOOTSTRAP_SEED 1

/* ---- one trial ---- */

bool trial_curve_read(const struct study *study, const struct study_trial *trial, const char *key,
                      struct trial_curve *curve) {
    *curve = (struct trial_curve){0};
    size_t value = curves_want(&curve->curves, key),
           seconds = study->x == UNIT_SECONDS ? curves_want(&curve->curves, CURVE_SECONDS) : 0;
    if (!study_curves_read(study, trial, &curve->curves)) {
        return false;
    }
    const double batch_size = study_batch_size(study, trial);
    curve->values = curve->curves.values[value];
    curve->x = malloc((curve->curves.length + 1) * sizeof *curve->x);
    for (size_t i = 0; curve->x != NULL && i < curve->curves.length; i++) {
        double iteration = curve->curves.iterations[i];
        curve->x[i] = study->x == UNIT_SECONDS  ? curve->curves.values[seconds][i]
                      : study->x == UNIT_TRIALS ? iteration * batch_size
                                                : iteration;
    }
    return curve->x != NULL;
}

void trial_curve_release(struct trial_curve *curve) {
    curves_release(&curve->curves);
    free(curve->x);
    *curve = (struct trial_curve){0};
}

/* ---- all seeds ---- */

struct sample {
    double iteration, value, x;
};

static int sample_order(const void *a, const void *b) {
    const struct sample *x = a, *y = b;
    return x->iteration != y->iteration ? (x->iteration > y->iteration) - (x->iteration < y->iteration)
                                        : (x->value > y->value) - (x->value < y->value);
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct samples {
    struct sample *all;
    size_t count;
};

static bool samples_add(struct samples *samples, const struct trial_curve *curve) {
    struct sample *more = realloc(samples->all, (samples->count + curve->curves.length + 1) * sizeof *more);
    if (more == NULL) {
        return false;
    }
    samples->all = more;
    for (size_t i = 0; i < curve->curves.length; i++) {
        if (!isnan(curve->values[i])) {
            more[samples->count++] = (struct sample){curve->curves.iterations[i], curve->values[i], curve->x[i]};
        }
    }
    return true;
}

static bool band_create(struct band *band, size_t room) {
    double **const columns[] = {&band->iterations, &band->x,    &band->median,   &band->low,
                                &band->high,       &band->mean, &band->mean_low, &band->mean_high};
    bool whole = true;
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        *columns[i] = malloc((room + 1) * sizeof **columns[i]);
        whole = whole && *columns[i] != NULL;
    }
    band->seeds = malloc((room + 1) * sizeof *band->seeds);
    return whole && band->seeds != NULL;
}

/* The mean, summed in ascending order, with its bootstrap interval. */
static void mean_fill(struct band *band, size_t row, const double *values, size_t n, size_t draws) {
    struct interval interval = bootstrap_interval(values, n, 0, draws, BOOTSTRAP_SEED);
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += values[i];
    }
    band->mean[row] = sum / (double)n;
    band->mean_low[row] = interval.low;
    band->mean_high[row] = interval.high;
}

/* From samples in order. False if out of memory. */
static bool band_fill(struct band *band, const struct study *study, const struct samples *samples) {
    const struct sample *all = samples->all;
    double *values = malloc((samples->count + 1) * sizeof *values), *x = malloc((samples->count + 1) * sizeof *x);
    bool whole = values != NULL && x != NULL && band_create(band, samples->count);
    for (size_t i = 0, n; whole && i < samples->count && !study->stopped(study->user); i += n) {
        for (n = 0; i + n < samples->count && all[i + n].iteration == all[i].iteration; n++) {
            values[n] = all[i + n].value;
            x[n] = all[i + n].x;
        }
        size_t row = band->length++;
        qsort(x, n, sizeof *x, ascending);
        band->iterations[row] = all[i].iteration;
        band->x[row] = quantile_sorted(x, n, 0.5);
        band->median[row] = quantile_sorted(values, n, 0.5);
        band->low[row] = quantile_sorted(values, n, 0.25);
        band->high[row] = quantile_sorted(values, n, 0.75);
        band->seeds[row] = n;
        if (study->draws > 0) {
            mean_fill(band, row, values, n, study->draws);
        }
    }
    free(values);
    free(x);
    return whole;
}

bool study_band_compute(const struct study *study, size_t index, const char *key, struct band *band) {
    const struct study_point *point = &study->points[index];
    struct samples samples = {0};
    bool whole = true;
    *band = (struct band){0};
    for (size_t i = 0; whole && i < point->count && !study->stopped(study->user); i++) {
        const struct study_trial *trial = &study->trials[point->first + i];
        struct trial_curve curve = {0};
        /* one that goes on would pull at its latest iterations alone */
        if (trial->status == JOB_SUCCEEDED || (trial->status == JOB_FAILED && trial->diverged)) {
            whole = trial_curve_read(study, trial, key, &curve) && samples_add(&samples, &curve);
        }
        trial_curve_release(&curve);
    }
    if (whole && samples.count > 0) {
        qsort(samples.all, samples.count, sizeof *samples.all, sample_order);
    }
    whole = whole && band_fill(band, study, &samples);
    free(samples.all);
    return whole;
}

void band_release(struct band *band) {
    free(band->iterations);
    free(band->x);
    free(band->median);
    free(band->low);
    free(band->high);
    free(band->mean);
    free(band->mean_low);
    free(band->mean_high);
    free(band->seeds);
    *band = (struct band){0};
}
