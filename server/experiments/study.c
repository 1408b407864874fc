/*
 * Gathering a study and its records: see study.h.
 */
#include "server/experiments/study.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/event.h"
#include "api/field.h"
#include "api/job.h"
#include "server/experiments/experiments.h"
#include "server/experiments/labels.h"
#include "server/experiments/statistics.h"

#define JOBS_MOST 10000 /* in a set */
#define PAIRS_SEED 1    /* of draws, where there are too many pairs to go through all signs */

/* ---- curves ---- */

/* The number of a member of an event's text, which is our own writing; NaN: null, or there is none. */
static double member_number(const char *json, const char *key) {
    char quoted[METRIC_NAME_BYTES + 4];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *at = strstr(json, quoted);
    char *end;
    if (at == NULL) {
        return NAN;
    }
    at += strlen(quoted);
    double value = strtod(at, &end);
    return end == at ? NAN : value;
}

static bool column_grow(double **column, size_t room) {
    double *grown = realloc(*column, room * sizeof *grown);
    if (grown == NULL) {
        return false;
    }
    *column = grown;
    return true;
}

static bool curve_add(struct curve_values *curve, double iteration, double value) {
    if (curve->length == curve->room) {
        size_t room = curve->room == 0 ? 256 : 2 * curve->room;
        if (!column_grow(&curve->iterations, room) || !column_grow(&curve->values, room)) {
            return false;
        }
        curve->room = room;
    }
    curve->iterations[curve->length] = iteration;
    curve->values[curve->length++] = value;
    return true;
}

struct curves_reading {
    const struct study *study;
    const char *keys[DESIGN_METRICS];
    struct curve_values *curves[DESIGN_METRICS];
    size_t count;
    bool failed;
};

static bool read_progress(void *user, const struct store_event *event) {
    struct curves_reading *reading = user;
    for (size_t i = 0; i < reading->count; i++) {
        reading->failed = reading->failed || !curve_add(reading->curves[i], (double)event->iteration,
                                                        member_number(event->json, reading->keys[i]));
    }
    return !reading->failed && !reading->study->stopped(reading->study->user);
}

void curve_values_release(struct curve_values *values) {
    free(values->iterations);
    free(values->values);
    *values = (struct curve_values){0};
}

bool study_curve_read(const struct study *study, const char *job, const char *key, struct curve_values *values) {
    struct curves_reading reading = {.study = study, .keys = {key}, .curves = {values}, .count = 1};
    return store_progress_read(study->reader, job, 0, INT64_MAX, read_progress, &reading) >= 0 && !reading.failed;
}

/* ---- a trial's values ---- */

static double metric_of_curve(const struct metric *metric, const struct curve_values *curve) {
    switch (metric->kind) {
    case METRIC_LEARNED:
        return curve_learned(curve->iterations, curve->values, curve->length, metric->threshold, metric->above,
                             metric->in_a_row);
    case METRIC_FINAL:
        return curve->length == 0 ? NAN : curve->values[curve->length - 1];
    case METRIC_BEST:
        return curve_best(curve->values, curve->length, metric->greater_is_better);
    case METRIC_AREA:
        return curve_area(curve->iterations, curve->values, curve->length);
    }
    return NAN;
}

static void value_set(struct study_trial *trial, size_t metric, double value) {
    trial->values[metric] = value;
    trial->states[metric] = isnan(value) ? VALUE_MISSING : VALUE_THERE;
}

/* The index of the curve of this key among those that are read; metrics of one curve share it. */
static size_t curve_wanted(struct curves_reading *reading, const char *key, struct curve_values *curves) {
    size_t i = 0;
    while (i < reading->count && strcmp(reading->keys[i], key) != 0) {
        i++;
    }
    if (i == reading->count) {
        reading->keys[i] = key;
        reading->curves[i] = &curves[i];
        reading->count++;
    }
    return i;
}

/* The values of all metrics from the trial's curves. */
static bool values_read(const struct study *study, struct study_trial *trial) {
    struct curve_values curves[DESIGN_METRICS] = {0};
    struct curves_reading reading = {.study = study};
    size_t of[DESIGN_METRICS] = {0}; /* which curve each metric is of */
    for (size_t i = 0; i < study->metric_count; i++) {
        of[i] = curve_wanted(&reading, study->metrics[i].key, curves);
    }
    bool read = store_progress_read(study->reader, trial->job, 0, INT64_MAX, read_progress, &reading) >= 0 &&
                !reading.failed;
    for (size_t i = 0; i < study->metric_count; i++) {
        bool never = trial->diverged && study->metrics[i].kind == METRIC_LEARNED;
        value_set(trial, i, never ? INFINITY : metric_of_curve(&study->metrics[i], &curves[of[i]]));
    }
    for (size_t i = 0; i < reading.count; i++) {
        curve_values_release(&curves[i]);
    }
    return read;
}

static bool values_take(const struct study *study, struct study_trial *trial) {
    bool ended = job_status_is_final(trial->status);
    for (size_t i = 0; i < study->metric_count; i++) {
        bool never = ended && trial->diverged && study->metrics[i].kind == METRIC_LEARNED;
        trial->values[i] = never ? INFINITY : NAN;
        trial->states[i] = never ? VALUE_THERE : ended ? VALUE_MISSING : VALUE_OPEN;
    }
    return trial->status != JOB_SUCCEEDED || values_read(study, trial);
}

static void status_take(struct study_trial *trial, const struct store_job *job) {
    trial->status = job->status;
    trial->diverged = job->status == JOB_SUCCEEDED
                          ? strcmp(outcome_name(job->loss, job->initial_loss), "diverged") == 0
                          : job->error_code != NULL && strcmp(job->error_code, "diverged") == 0;
}

/* ---- gathering ---- */

static struct study_trial *trial_add(struct study *study) {
    if (study->trial_count == study->trial_room) {
        size_t room = study->trial_room == 0 ? 256 : 2 * study->trial_room;
        struct study_trial *trials = realloc(study->trials, room * sizeof *trials);
        if (trials == NULL) {
            study->failed = true;
            return NULL;
        }
        study->trials = trials;
        study->trial_room = room;
    }
    study->trials[study->trial_count] = (struct study_trial){0};
    return &study->trials[study->trial_count++];
}

struct gathering {
    struct study *study;
    bool values;
};

static bool gather_trial(void *user, const struct store_trial *row) {
    struct gathering *gathering = user;
    struct study *study = gathering->study;
    struct store_job job;
    size_t point = design_find(&study->design, row->point);
    int found = store_job_read(study->reader, row->job, &job);
    if (found == 0 || point == SIZE_MAX) {
        return true; /* it goes just now */
    }
    struct study_trial *trial = found < 0 ? NULL : trial_add(study);
    if (trial == NULL) {
        study->failed = true;
    } else {
        trial->point = point;
        trial->seed = row->seed;
        trial->linked = !row->made;
        memcpy(trial->job, row->job, sizeof trial->job);
        status_take(trial, &job);
        study->failed = gathering->values && !values_take(study, trial);
    }
    if (found == 1) {
        store_job_release(&job);
    }
    return !study->failed && !study->stopped(study->user);
}

static int trial_order(const void *a, const void *b) {
    const struct study_trial *x = a, *y = b;
    return x->point != y->point ? (x->point > y->point) - (x->point < y->point)
                                : (x->seed > y->seed) - (x->seed < y->seed);
}

/* Assigns trials to points. */
static void trials_order(struct study *study) {
    if (study->trial_count > 0) {
        qsort(study->trials, study->trial_count, sizeof *study->trials, trial_order);
    }
    for (size_t i = study->trial_count; i-- > 0;) {
        struct study_point *point = &study->points[study->trials[i].point];
        point->first = i;
        point->count++;
    }
}

static json_t *configuration_of(const json_t *job) {
    struct job_spec spec = {0};
    struct problems problems = {0};
    job_spec_decode(&spec, job, &problems);
    json_t *configuration = job_spec_encode(&spec, false);
    problems_release(&problems);
    job_spec_release(&spec);
    return configuration;
}

/* The user's name for a point, and the pointers that it stands for. */
static json_t *given_labels(const struct design *design, const size_t *indices, json_t *covered) {
    json_t *given = json_array();
    for (size_t i = 0; i < design->axis_count; i++) {
        json_t *patch = json_array_get(design->axes[i].values, indices[i]), *value;
        json_t *label = json_object_get(patch, "label");
        const char *name;
        if (label != NULL && design->axes[i].count > 1) {
            json_array_append(given, label);
            json_object_foreach(patch, name, value) {
                json_object_set_new(covered, name, json_true());
            }
        }
    }
    return given;
}

static void labels_take(struct study *study) {
    size_t count = study->point_count;
    json_t **configurations = calloc(count + 1, sizeof *configurations), **given = calloc(count + 1, sizeof *given);
    char **labels = calloc(count + 1, sizeof *labels);
    json_t *covered = json_object();
    bool whole = configurations != NULL && given != NULL && labels != NULL && covered != NULL;
    for (size_t i = 0; whole && i < count; i++) {
        configurations[i] = study->points[i].configuration;
        given[i] = given_labels(&study->design, study->points[i].indices, covered);
    }
    whole = whole && labels_make(configurations, count, given, covered, labels);
    for (size_t i = 0; i < count; i++) {
        study->points[i].label = labels == NULL ? NULL : labels[i];
        if (given != NULL) {
            json_decref(given[i]);
        }
    }
    free(configurations);
    free(given);
    free(labels);
    json_decref(covered);
    study->failed = study->failed || !whole;
}

static void design_points_take(struct study *study) {
    study->point_count = study->design.points;
    study->points = calloc(study->point_count, sizeof *study->points);
    study->failed = study->points == NULL;
    for (size_t i = 0; !study->failed && i < study->point_count && !study->stopped(study->user); i++) {
        struct study_point *point = &study->points[i];
        json_t *job = design_job(&study->design, i, study->design.seeds[0]);
        design_name(&study->design, i, point->name);
        design_indices(&study->design, i, point->indices);
        point->configuration = job == NULL ? NULL : configuration_of(job);
        study->failed = point->configuration == NULL;
        json_decref(job);
    }
}

void study_of_experiment(struct study *study, const struct store_experiment *row, bool values) {
    struct gathering gathering = {study, values};
    if (!experiment_design(row, &study->design)) {
        study->failed = true;
        return;
    }
    memcpy(study->metrics, study->design.metrics, sizeof study->metrics);
    study->metric_count = study->design.metric_count;
    study->compare_axis = study->design.compare_axis;
    study->compare_to = study->design.compare_to;
    design_points_take(study);
    if (study->failed || study->stopped(study->user)) {
        return;
    }
    labels_take(study);
    if (store_trials_read(study->reader, row->number, NULL, gather_trial, &gathering) < 0) {
        study->failed = true;
    }
    trials_order(study);
}

/* ---- of a set of jobs ---- */

/* The point of a job's configuration, by its identity without the seed; a new one if there is none yet. */
static size_t point_of(struct study *study, json_t *known, struct job_spec *spec) {
    uint8_t identity[IDENTITY_BYTES];
    char hex[2 * IDENTITY_BYTES + 1];
    spec->config.seed = 1;
    if (!job_spec_identity(spec, REACH_RESULT, identity)) {
        return SIZE_MAX;
    }
    for (size_t i = 0; i < IDENTITY_BYTES; i++) {
        snprintf(hex + 2 * i, 3, "%02x", identity[i]);
    }
    const json_t *entry = json_object_get(known, hex);
    if (entry != NULL) {
        return (size_t)json_integer_value(entry);
    }
    struct study_point *point = &study->points[study->point_count];
    point->configuration = job_spec_encode(spec, false);
    point->indices[0] = study->point_count;
    snprintf(point->name, sizeof point->name, "%zu", study->point_count);
    if (point->configuration == NULL ||
        json_object_set_new(known, hex, json_integer((json_int_t)study->point_count)) != 0) {
        return SIZE_MAX;
    }
    return study->point_count++;
}

/* Adds the job as a trial. False if there is no such job. */
static bool job_take(struct study *study, json_t *known, const char *id) {
    struct job_spec spec = {0};
    struct store_job job;
    char *document = NULL;
    int found = store_job_read(study->reader, id, &job);
    if (found != 1) {
        study->failed = study->failed || found < 0;
        return false;
    }
    bool read = store_document_read(study->reader, id, &document) == 1 && job_spec_parse(&spec, document);
    struct study_trial *trial = read ? trial_add(study) : NULL;
    if (trial != NULL) {
        trial->seed = (int64_t)spec.config.seed;
        snprintf(trial->job, sizeof trial->job, "%s", job.id);
        status_take(trial, &job);
        trial->point = point_of(study, known, &spec);
        study->failed = study->failed || trial->point == SIZE_MAX || !values_take(study, trial);
    }
    study->failed = study->failed || trial == NULL;
    job_spec_release(&spec);
    store_job_release(&job);
    free(document);
    return true;
}

void study_of_jobs(struct study *study, const json_t *ids, struct problems *problems) {
    const struct path path = {.name = "jobs"};
    size_t count = json_array_size(ids);
    json_t *known = json_object(), *seen = json_object();
    if (!json_is_array(ids) || count == 0 || count > JOBS_MOST) {
        problems_add(problems, NULL, "jobs", "must be a list of 1 to %d ids of jobs", JOBS_MOST);
        count = 0;
    }
    study->compare_axis = -1;
    study->points = calloc(count + 1, sizeof *study->points);
    study->failed = study->points == NULL || known == NULL || seen == NULL;
    for (size_t i = 0; !study->failed && i < count && !study->stopped(study->user); i++) {
        const struct path at = {.parent = &path, .index = i};
        const char *id = json_string_value(json_array_get(ids, i));
        if (id == NULL || json_object_get(seen, id) != NULL) {
            problems_add(problems, &at, NULL, "must be the id of a job, each once");
        } else if (!job_take(study, known, id)) {
            problems_add(problems, &at, NULL, "there is no job %.60s", id);
        } else {
            json_object_set_new(seen, id, json_true());
        }
    }
    json_decref(known);
    json_decref(seen);
    if (!study->failed) {
        labels_take(study);
        trials_order(study);
    }
}

void study_release(struct study *study) {
    for (size_t i = 0; study->points != NULL && i < study->point_count; i++) {
        json_decref(study->points[i].configuration);
        free(study->points[i].label);
    }
    free(study->points);
    free(study->trials);
    design_release(&study->design);
    study->points = NULL;
    study->trials = NULL;
}

size_t study_find(const struct study *study, const char *name) {
    for (size_t i = 0; i < study->point_count; i++) {
        if (strcmp(study->points[i].name, name) == 0) {
            return i;
        }
    }
    return SIZE_MAX;
}

/* ---- records ---- */

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
    free(values);
    return json_pack("{s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "n", (json_int_t)n,
                     "never", (json_int_t)(n - s.finite), "missing", (json_int_t)missing, "mean",
                     json_number_or_null(s.mean), "standard_deviation", json_number_or_null(s.standard_deviation),
                     "mean_95", interval_document(s.mean_95), "median", number_or_never(s.median), "quartiles",
                     pair_document(s.quartiles[0], s.quartiles[1]), "median_95", interval_document(s.median_95),
                     "median_coverage", json_number_or_null(s.median_coverage), "interquartile_mean",
                     number_or_never(s.interquartile_mean), "share", json_number_or_null(s.share), "share_95",
                     interval_document(s.share_95), "few", n < STATISTICS_FEW);
}

static const char *type_of(const struct study_point *point, const char *section) {
    const char *type = json_string_value(json_object_get(json_object_get(point->configuration, section), "type"));
    return type == NULL ? "" : type;
}

/* The index of the first value of an axis that is equal to this one: a design that draws has the same one often. */
static size_t value_first(const struct axis *axis, size_t index) {
    const json_t *patch = json_array_get(axis->values, index);
    size_t first = 0;
    while (first < index && !json_equal(json_array_get(axis->values, first), (json_t *)(uintptr_t)patch)) {
        first++;
    }
    return first;
}

/* By axis: its value at the point, or what the user calls it; else its index. */
static json_t *values_document(const struct study *study, const struct study_point *point) {
    json_t *values = json_object();
    for (size_t i = 0; i < study->design.axis_count; i++) {
        json_t *patch = json_array_get(study->design.axes[i].values, point->indices[i]), *value;
        json_t *label = json_object_get(patch, "label");
        const char *name = json_object_iter_key(json_object_iter(patch));
        value = label != NULL ? label : json_object_size(patch) == 1 ? json_object_get(patch, name) : NULL;
        bool plain = value != NULL && !json_is_object(value) && !json_is_array(value);
        json_object_set_new(values, study->design.axes[i].name,
                            plain ? json_incref(value)
                                  : json_integer((json_int_t)value_first(&study->design.axes[i], point->indices[i])));
    }
    return values;
}

json_t *study_point_record(const struct study *study, size_t index) {
    const struct study_point *point = &study->points[index];
    json_int_t succeeded = 0, diverged = 0, failed = 0, unfinished = 0;
    json_t *metrics = json_object();
    for (size_t i = 0; i < point->count; i++) {
        const struct study_trial *trial = &study->trials[point->first + i];
        succeeded += trial->status == JOB_SUCCEEDED;
        diverged += trial->diverged;
        failed += trial->status == JOB_FAILED || trial->status == JOB_CANCELLED;
        unfinished += !job_status_is_final(trial->status);
    }
    for (size_t i = 0; i < study->metric_count; i++) {
        json_object_set_new(metrics, study->metrics[i].name, summary_document(study, point, i));
    }
    json_int_t waiting = study->design.document == NULL ? 0 : (json_int_t)(study->design.seed_count - point->count);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:I, s:I, s:I, s:I, s:o}", "point", point->name, "label",
                     point->label, "colour", rule_colour(type_of(point, "rule")), "rule", type_of(point, "rule"),
                     "task", type_of(point, "task"), "values", values_document(study, point), "n", succeeded,
                     "diverged", diverged, "failed", failed, "unfinished", unfinished + waiting, "metrics", metrics);
}

json_t *study_trial_record(const struct study *study, size_t index) {
    const struct study_trial *trial = &study->trials[index];
    const struct study_point *point = &study->points[trial->point];
    json_t *metrics = json_object();
    for (size_t i = 0; i < study->metric_count; i++) {
        json_object_set_new(metrics, study->metrics[i].name,
                            trial->states[i] == VALUE_THERE ? number_or_never(trial->values[i]) : json_null());
    }
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:b, s:b, s:o}", "point", point->name, "label", point->label, "seed",
                     (json_int_t)trial->seed, "job", trial->job, "status", job_status_name(trial->status), "diverged",
                     trial->diverged, "linked", trial->linked, "metrics", metrics);
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

/* All comparisons of one metric, whose p values are adjusted together. */
static bool metric_compare(const struct study *study, size_t metric, struct comparison *all, size_t count,
                           bool (*each)(void *user, json_t *record), void *user) {
    double *p = malloc((count + 1) * sizeof *p), *holm = malloc((count + 1) * sizeof *holm);
    bool whole = p != NULL && holm != NULL;
    for (size_t i = 0; whole && i < count; i++) {
        whole = comparison_make(study, metric, &all[i]) && !study->stopped(study->user);
        p[i] = all[i].paired.sign_flip_p;
    }
    whole = whole && holm_adjust(p, count, holm);
    for (size_t i = 0; whole && i < count; i++) {
        whole = each(user, comparison_record(study, metric, &all[i], holm[i]));
    }
    free(p);
    free(holm);
    return whole;
}

bool study_compare(const struct study *study, bool (*each)(void *user, json_t *record), void *user) {
    struct comparison *all = calloc(study->point_count + 1, sizeof *all);
    size_t count = 0;
    bool whole = all != NULL;
    for (size_t i = 0; whole && i < study->point_count; i++) {
        size_t to = reference_of(study, i);
        if (to != SIZE_MAX) {
            all[count++] = (struct comparison){.point = i, .to = to};
        }
    }
    for (size_t metric = 0; whole && metric < study->metric_count; metric++) {
        whole = metric_compare(study, metric, all, count, each, user);
    }
    free(all);
    return whole;
}

/* ---- curves over seeds ---- */

struct sample {
    double iteration, value;
};

static int sample_order(const void *a, const void *b) {
    const struct sample *x = a, *y = b;
    return x->iteration != y->iteration ? (x->iteration > y->iteration) - (x->iteration < y->iteration)
                                        : (x->value > y->value) - (x->value < y->value);
}

/* Quartiles of each iteration's values, from samples in order. False if out of memory. */
static bool curve_fill(struct study_curve *curve, const struct sample *samples, size_t count) {
    double *values = malloc((count + 1) * sizeof *values);
    curve->iterations = malloc((count + 1) * sizeof *curve->iterations);
    curve->median = malloc((count + 1) * sizeof *curve->median);
    curve->low = malloc((count + 1) * sizeof *curve->low);
    curve->high = malloc((count + 1) * sizeof *curve->high);
    curve->seeds = malloc((count + 1) * sizeof *curve->seeds);
    bool whole = values != NULL && curve->iterations != NULL && curve->median != NULL && curve->low != NULL &&
                 curve->high != NULL && curve->seeds != NULL;
    for (size_t i = 0, n; whole && i < count; i += n) {
        for (n = 0; i + n < count && samples[i + n].iteration == samples[i].iteration; n++) {
            values[n] = samples[i + n].value;
        }
        curve->iterations[curve->length] = samples[i].iteration;
        curve->median[curve->length] = quantile_sorted(values, n, 0.5);
        curve->low[curve->length] = quantile_sorted(values, n, 0.25);
        curve->high[curve->length] = quantile_sorted(values, n, 0.75);
        curve->seeds[curve->length++] = n;
    }
    free(values);
    return whole;
}

static bool samples_add(struct sample **samples, size_t *count, const struct curve_values *values) {
    struct sample *more = realloc(*samples, (*count + values->length + 1) * sizeof *more);
    if (more == NULL) {
        return false;
    }
    *samples = more;
    for (size_t i = 0; i < values->length; i++) {
        if (!isnan(values->values[i])) {
            more[(*count)++] = (struct sample){values->iterations[i], values->values[i]};
        }
    }
    return true;
}

bool study_curve_compute(const struct study *study, size_t index, const char *key, struct study_curve *curve) {
    const struct study_point *point = &study->points[index];
    struct sample *samples = NULL;
    size_t count = 0;
    bool whole = true;
    *curve = (struct study_curve){0};
    for (size_t i = 0; whole && i < point->count && !study->stopped(study->user); i++) {
        const struct study_trial *trial = &study->trials[point->first + i];
        struct curve_values values = {0};
        if (trial->status == JOB_SUCCEEDED) { /* one that goes on would pull at its latest iterations alone */
            whole = study_curve_read(study, trial->job, key, &values) && samples_add(&samples, &count, &values);
        }
        curve_values_release(&values);
    }
    if (whole && count > 0) {
        qsort(samples, count, sizeof *samples, sample_order);
    }
    whole = whole && curve_fill(curve, samples, count);
    free(samples);
    return whole;
}

void study_curve_release(struct study_curve *curve) {
    free(curve->iterations);
    free(curve->median);
    free(curve->low);
    free(curve->high);
    free(curve->seeds);
    *curve = (struct study_curve){0};
}
