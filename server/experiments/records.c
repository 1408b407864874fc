/*
 * Records of a study: its points, trials, comparisons and curves as objects that JSON, lines of JSON and CSV are made
 * of. See study.h.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/field.h"
#include "server/experiments/labels.h"
#include "server/experiments/statistics.h"
#include "server/experiments/study.h"

#define PAIRS_SEED 1     /* of draws, where there are too many pairs to go through all signs */
#define BOOTSTRAP_SEED 1 /* of resamples */

/* "never" for infinity, which is later than all. */
static json_t *number_or_never(double value) {
    return isinf(value) && value > 0 ? json_string("never") : json_number_or_null(value);
}

static json_t *pair_document(double low, double high) {
    return json_pack("{s:o, s:o}", "low", number_or_never(low), "high", number_or_never(high));
}

static json_t *interval_document(struct interval interval) {
    return pair_document(interval.low, interval.high);
}

/* Bootstrap intervals, where they were asked for: null where a value is never. */
static void bootstrap_put(json_t *document, const struct study *study, const double *sorted, const struct summary *s) {
    struct interval none = {NAN, NAN};
    if (study->draws > 0) {
        bool whole = s->finite == s->n;
        json_object_set_new(
            document, "mean_bootstrap_95",
            interval_document(whole ? bootstrap_interval(sorted, s->n, 0, study->draws, BOOTSTRAP_SEED) : none));
        json_object_set_new(
            document, "interquartile_mean_bootstrap_95",
            interval_document(whole ? bootstrap_interval(sorted, s->n, 0.25, study->draws, BOOTSTRAP_SEED) : none));
    }
}

static json_t *summary_document(const struct study *study, const struct study_point *point, size_t metric) {
    struct summary s;
    size_t n = 0, missing = 0;
    double *values = malloc((point->count + 1) * sizeof *values);
    for (size_t i = 0; values != NULL && i < point->count; i++) {
        const struct study_trial *trial = &study->trials[point->first + i];
        missing += trial->states[metric] == VALUE_MISSING;
        if (trial->states[metric] == VALUE_THERE) {
            values[n++] = trial->values[metric];
        }
    }
    if (values == NULL) {
        return NULL;
    }
    summary_compute(values, n, &s);
    json_t *document = json_pack(
        "{s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "n", (json_int_t)n, "never",
        (json_int_t)(n - s.finite), "missing", (json_int_t)missing, "mean", json_number_or_null(s.mean),
        "standard_deviation", json_number_or_null(s.standard_deviation), "mean_95", interval_document(s.mean_95),
        "median", number_or_never(s.median), "quartiles", pair_document(s.quartiles[0], s.quartiles[1]), "median_95",
        interval_document(s.median_95), "median_coverage", json_number_or_null(s.median_coverage), "interquartile_mean",
        number_or_never(s.interquartile_mean), "share", json_number_or_null(s.share), "share_95",
        interval_document(s.share_95), "few", n < STATISTICS_FEW);
    bootstrap_put(document, study, values, &s);
    free(values);
    return document;
}

/* How a point is shown, in every record of it: its name, label, colour, dash, marker and panel. */
static json_t *shown_document(const struct study *study, size_t index) {
    const struct study_point *point = &study->points[index];
    return json_pack("{s:s, s:s, s:s, s:i, s:i, s:s}", "point", point->name, "label", point->label, "colour",
                     rule_colour(study_type(point, "rule")), "dash", point->style.dash, "marker", point->style.marker,
                     "panel", point->style.panel == NULL ? "" : point->style.panel);
}

struct tally {
    json_int_t succeeded, diverged, failed, unfinished, running;
    double progress;
};

static struct tally tally_of(const struct study *study, const struct study_point *point) {
    struct tally tally = {0};
    for (size_t i = 0; i < point->count; i++) {
        const struct study_trial *trial = &study->trials[point->first + i];
        tally.succeeded += trial->status == JOB_SUCCEEDED;
        tally.diverged += trial->diverged;
        tally.failed += trial->status == JOB_FAILED || trial->status == JOB_CANCELLED;
        tally.unfinished += !job_status_is_final(trial->status);
        tally.running += trial->status == JOB_RUNNING || trial->status == JOB_PAUSING ||
                         trial->status == JOB_CANCELLING;
        tally.progress += trial->progress;
    }
    size_t all = study->design.document == NULL ? point->count : study->design.seed_count;
    tally.unfinished += (json_int_t)(all - point->count); /* those that have no job yet */
    tally.progress /= all == 0 ? 1.0 : (double)all;
    return tally;
}

json_t *study_point_record(const struct study *study, size_t index) {
    const struct study_point *point = &study->points[index];
    const struct tally tally = tally_of(study, point);
    json_t *metrics = json_object(), *record = shown_document(study, index);
    for (size_t i = 0; i < study->metric_count; i++) {
        json_object_set_new(metrics, study->metrics[i].name, summary_document(study, point, i));
    }
    json_t *own = json_pack("{s:s, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:f, s:o}", "rule", study_type(point, "rule"),
                            "task", study_type(point, "task"), "values", study_values(study, point), "n",
                            tally.succeeded, "diverged", tally.diverged, "failed", tally.failed, "unfinished",
                            tally.unfinished, "running", tally.running, "progress", tally.progress, "metrics", metrics);
    json_object_update(record, own);
    json_decref(own);
    return record;
}

static json_t *outcome_document(const struct study_trial *trial) {
    return trial->status != JOB_SUCCEEDED ? json_null() : json_string(trial->diverged ? "diverged" : "trained");
}

json_t *study_trial_record(const struct study *study, size_t index) {
    const struct study_trial *trial = &study->trials[index];
    const struct study_point *point = &study->points[trial->point];
    json_t *metrics = json_object();
    for (size_t i = 0; i < study->metric_count; i++) {
        json_object_set_new(metrics, study->metrics[i].name,
                            trial->states[i] == VALUE_THERE ? number_or_never(trial->values[i]) : json_null());
    }
    return json_pack("{s:s, s:s, s:s, s:I, s:s, s:s, s:o, s:b, s:b, s:b, s:I, s:o}", "point", point->name, "label",
                     point->label, "colour", rule_colour(study_type(point, "rule")), "seed", (json_int_t)trial->seed,
                     "job", trial->job, "status", job_status_name(trial->status), "outcome", outcome_document(trial),
                     "diverged", trial->diverged, "linked", trial->linked, "archived", trial->archived, "iteration",
                     (json_int_t)trial->iteration, "metrics", metrics);
}

/* ---- comparisons ---- */

struct comparison {
    size_t point, to;
    struct paired paired;
};

/* The point that another is compared with; SIZE_MAX: it is such a point itself. */
static size_t reference_of(const struct study *study, size_t index) {
    const struct study_point *point = &study->points[index];
    const struct design *design = &study->design;
    if (design->document == NULL || design->kind != DESIGN_GRID) {
        return index == study->compare_to ? SIZE_MAX : study->compare_to;
    }
    if (study->compare_axis < 0 || point->indices[study->compare_axis] == study->compare_to) {
        return SIZE_MAX;
    }
    size_t step = 1;
    for (size_t i = (size_t)study->compare_axis + 1; i < design->axis_count; i++) {
        step *= design->axes[i].count;
    }
    return index - point->indices[study->compare_axis] * step + study->compare_to * step;
}

/* Both points' values of the seeds that both have; how many. */
static size_t pairs_take(const struct study *study, const struct study_point *reference,
                         const struct study_point *point, size_t metric, double *x, double *y) {
    const double sign = study->metrics[metric].greater_is_better ? -1.0 : 1.0; /* less is better, to the test */
    size_t n = 0;
    for (size_t i = 0, j = 0; i < reference->count && j < point->count;) {
        const struct study_trial *a = &study->trials[reference->first + i], *b = &study->trials[point->first + j];
        if (a->seed == b->seed && a->states[metric] == VALUE_THERE && b->states[metric] == VALUE_THERE) {
            x[n] = sign * a->values[metric];
            y[n++] = sign * b->values[metric];
        }
        i += a->seed <= b->seed;
        j += b->seed <= a->seed;
    }
    return n;
}

static bool comparison_make(const struct study *study, size_t metric, struct comparison *comparison) {
    const struct study_point *reference = &study->points[comparison->to], *point = &study->points[comparison->point];
    size_t most = reference->count + point->count + 1;
    double *x = malloc(most * sizeof *x), *y = malloc(most * sizeof *y);
    bool whole = x != NULL && y != NULL;
    if (whole) {
        size_t n = pairs_take(study, reference, point, metric, x, y);
        paired_compute(x, y, n, study->metrics[metric].kind == METRIC_LEARNED, PAIRS_SEED, &comparison->paired);
    }
    free(x);
    free(y);
    return whole;
}

static json_t *comparison_record(const struct study *study, size_t metric, const struct comparison *comparison,
                                 double holm) {
    const struct paired *p = &comparison->paired;
    const struct study_point *point = &study->points[comparison->point], *to = &study->points[comparison->to];
    bool negated = study->metrics[metric].greater_is_better;
    double sign = negated ? -1.0 : 1.0;
    struct interval difference = negated ? (struct interval){-p->difference_95.high, -p->difference_95.low}
                                         : p->difference_95;
    json_t *record = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:b, s:o, s:o, s:o, s:o, s:o}", "metric", study->metrics[metric].name,
        "point", point->name, "label", point->label, "to", to->name, "to_label", to->label, "n", (json_int_t)p->n,
        "finite", (json_int_t)p->finite, "logarithms", study->metrics[metric].kind == METRIC_LEARNED, "mean_difference",
        json_number_or_null(sign * p->mean_difference), "spread", json_number_or_null(p->spread), "difference_95",
        interval_document(difference), "won", json_number_or_null(p->won), "won_95", interval_document(p->won_95));
    json_object_set_new(record, "sign_flip_p", json_number_or_null(p->sign_flip_p));
    json_object_set_new(record, "sign_flip_error", json_number_or_null(p->sign_flip_error));
    json_object_set_new(record, "sign_test_p", json_number_or_null(p->sign_test_p));
    json_object_set_new(record, "holm_p", json_number_or_null(holm));
    json_object_set_new(record, "least_p", json_number_or_null(p->least_p));
    json_object_set_new(record, "pairs_needed", json_number_or_null(p->pairs_needed));
    json_object_set_new(record, "few", json_boolean(p->n < STATISTICS_FEW));
    return record;
}

/* All comparisons of all metrics, whose p values are adjusted together. */
static bool all_compare(const struct study *study, struct comparison *all, size_t count, double *p, double *holm) {
    for (size_t i = 0; i < count * study->metric_count; i++) {
        all[i] = all[i % count];
        if (!comparison_make(study, i / count, &all[i]) || study->stopped(study->user)) {
            return false;
        }
        p[i] = all[i].paired.sign_flip_p;
    }
    return holm_adjust(p, count * study->metric_count, holm);
}

bool study_compare(const struct study *study, bool (*each)(void *user, json_t *record), void *user) {
    size_t most = study->point_count * study->metric_count + 1, count = 0;
    struct comparison *all = calloc(most, sizeof *all);
    double *p = malloc(most * sizeof *p), *holm = malloc(most * sizeof *holm);
    bool whole = all != NULL && p != NULL && holm != NULL;
    for (size_t i = 0; whole && i < study->point_count; i++) {
        size_t to = reference_of(study, i);
        if (to != SIZE_MAX) {
            all[count++] = (struct comparison){.point = i, .to = to};
        }
    }
    whole = whole && (count == 0 || all_compare(study, all, count, p, holm));
    for (size_t i = 0; whole && i < count * study->metric_count; i++) {
        whole = each(user, comparison_record(study, i / count, &all[i], holm[i]));
    }
    free(all);
    free(p);
    free(holm);
    return whole;
}

/* ---- curves ---- */

static json_t *numbers(const double *values, size_t count) {
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(list, json_number_or_null(values[i]));
    }
    return list;
}

/* Whole numbers as integers. */
static json_t *coordinates(const double *values, size_t count, enum metric_unit unit) {
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(list, unit == UNIT_SECONDS ? json_number_or_null(values[i])
                                                         : json_integer((json_int_t)values[i]));
    }
    return list;
}

json_t *study_band_record(const struct study *study, size_t point, const char *key, const struct band *band) {
    json_t *record = shown_document(study, point), *n = json_array();
    for (size_t i = 0; i < band->length; i++) {
        json_array_append_new(n, json_integer((json_int_t)band->seeds[i]));
    }
    json_object_set_new(record, "key", json_string(key));
    json_object_set_new(record, "iteration", coordinates(band->iterations, band->length, UNIT_ITERATIONS));
    if (study->x_given) {
        json_object_set_new(record, "x", coordinates(band->x, band->length, study->x));
    }
    json_object_set_new(record, "n", n);
    json_object_set_new(record, "median", numbers(band->median, band->length));
    json_object_set_new(record, "low", numbers(band->low, band->length));
    json_object_set_new(record, "high", numbers(band->high, band->length));
    if (study->draws > 0) {
        json_object_set_new(record, "mean", numbers(band->mean, band->length));
        json_object_set_new(record, "mean_low", numbers(band->mean_low, band->length));
        json_object_set_new(record, "mean_high", numbers(band->mean_high, band->length));
    }
    return record;
}

json_t *study_band_row(const struct study *study, size_t point, const char *key, const struct band *band, size_t row) {
    json_t *record = json_pack("{s:s, s:s, s:s, s:I}", "point", study->points[point].name, "label",
                               study->points[point].label, "key", key, "iteration", (json_int_t)band->iterations[row]);
    if (study->x_given) {
        json_object_set_new(record, "x", json_number_or_null(band->x[row]));
    }
    json_object_set_new(record, "n", json_integer((json_int_t)band->seeds[row]));
    json_object_set_new(record, "median", json_number_or_null(band->median[row]));
    json_object_set_new(record, "low", json_number_or_null(band->low[row]));
    json_object_set_new(record, "high", json_number_or_null(band->high[row]));
    if (study->draws > 0) {
        json_object_set_new(record, "mean", json_number_or_null(band->mean[row]));
        json_object_set_new(record, "mean_low", json_number_or_null(band->mean_low[row]));
        json_object_set_new(record, "mean_high", json_number_or_null(band->mean_high[row]));
    }
    return record;
}

json_t *study_seeds_record(const struct study *study, size_t index, const char *key) {
    const struct study_point *point = &study->points[index];
    json_t *seeds = json_object();
    for (size_t i = 0; i < point->count && !study->stopped(study->user); i++) {
        const struct study_trial *trial = &study->trials[point->first + i];
        struct trial_curve curve;
        char seed[24];
        snprintf(seed, sizeof seed, "%lld", (long long)trial->seed);
        if (trial_curve_read(study, trial, key, &curve)) {
            json_t *own = json_pack("{s:o, s:o}", "iteration",
                                    coordinates(curve.curves.iterations, curve.curves.length, UNIT_ITERATIONS), "value",
                                    numbers(curve.values, curve.curves.length));
            if (study->x_given) {
                json_object_set_new(own, "x", coordinates(curve.x, curve.curves.length, study->x));
            }
            json_object_set_new(seeds, seed, own);
        }
        trial_curve_release(&curve);
    }
    return seeds;
}

bool study_seeds_rows(const struct study *study, size_t index, const char *key,
                      bool (*each)(void *user, json_t *record), void *user) {
    const struct study_point *point = &study->points[index];
    bool go_on = true;
    for (size_t i = 0; go_on && i < point->count; i++) {
        const struct study_trial *trial = &study->trials[point->first + i];
        struct trial_curve curve;
        go_on = trial_curve_read(study, trial, key, &curve);
        for (size_t row = 0; go_on && row < curve.curves.length; row++) {
            json_t *record = json_pack("{s:s, s:s, s:s, s:I, s:I}", "point", point->name, "label", point->label, "key",
                                       key, "seed", (json_int_t)trial->seed, "iteration",
                                       (json_int_t)curve.curves.iterations[row]);
            if (study->x_given) {
                json_object_set_new(record, "x", json_number_or_null(curve.x[row]));
            }
            json_object_set_new(record, "value", json_number_or_null(curve.values[row]));
            go_on = each(user, record);
        }
        trial_curve_release(&curve);
    }
    return go_on;
}
