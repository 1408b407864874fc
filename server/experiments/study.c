/* Gathering a study: see study.h. */
#include "server/experiments/study.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/event.h"
#include "api/job.h"
#include "server/experiments/experiments.h"
#include "server/experiments/labels.h"
#include "server/experiments/statistics.h"

#define JOBS_MOST 10000 /* in a set */

/* ---- a trial's values ---- */

double study_batch_size(const struct study *study, const struct study_trial *trial) {
    const json_t *training = json_object_get(study->points[trial->point].configuration, "training");
    return json_number_value(json_object_get(training, "batch_size"));
}

/* What an iteration is in the metric's unit; `seconds` are those of each evaluation. */
static double in_unit(const struct metric *metric, double iteration, const struct curves *curves, const double *seconds,
                      double batch_size) {
    if (isinf(iteration) || metric->unit == UNIT_ITERATIONS) {
        return iteration;
    }
    for (size_t i = 0; metric->unit == UNIT_SECONDS && i < curves->length; i++) {
        if (curves->iterations[i] == iteration) {
            return seconds[i];
        }
    }
    return metric->unit == UNIT_TRIALS ? iteration * batch_size : NAN;
}

static double metric_of(const struct metric *metric, const struct curves *curves, const double *values,
                        const double *seconds, double batch_size) {
    double iteration;
    switch (metric->kind) {
    case METRIC_LEARNED:
        iteration = curve_learned(curves->iterations, values, curves->length, metric->threshold, metric->above,
                                  metric->in_a_row);
        return in_unit(metric, iteration, curves, seconds, batch_size);
    case METRIC_FINAL:
        return curves->length == 0 ? NAN : values[curves->length - 1];
    case METRIC_BEST:
        return curve_best(values, curves->length, metric->greater_is_better);
    case METRIC_AREA:
        return curve_area(curves->iterations, values, curves->length);
    }
    return NAN;
}

static void value_set(struct study_trial *trial, size_t metric, double value) {
    trial->values[metric] = value;
    trial->states[metric] = isnan(value) ? VALUE_MISSING : VALUE_THERE;
}

bool study_curves_read(const struct study *study, const struct study_trial *trial, struct curves *curves) {
    struct store_finding result = {0};
    if (trial->kept) {
        bool read = store_finding_read(study->reader, trial->job, &result) == 1 &&
                    curves_decode(curves, result.curves, result.size);
        free(result.curves);
        return read;
    }
    return curves_read(curves, study->reader, trial->job, study->stopped, study->user);
}

/* The values of all metrics from the trial's curves. */
static bool values_read(const struct study *study, struct study_trial *trial, const struct store_finding *result) {
    struct curves curves = {0};
    size_t of[DESIGN_METRICS] = {0}, seconds = 0; /* which curve each metric is of */
    for (size_t i = 0; i < study->metric_count; i++) {
        of[i] = curves_want(&curves, study->metrics[i].key);
    }
    for (size_t i = 0; i < study->metric_count; i++) {
        seconds = study->metrics[i].unit == UNIT_SECONDS ? curves_want(&curves, CURVE_SECONDS) : seconds;
    }
    bool read = result != NULL ? curves_decode(&curves, result->curves, result->size)
                               : study_curves_read(study, trial, &curves);
    for (size_t i = 0; read && i < study->metric_count; i++) {
        bool never = trial->diverged && study->metrics[i].kind == METRIC_LEARNED;
        value_set(trial, i,
                  never ? INFINITY
                        : metric_of(&study->metrics[i], &curves, curves.values[of[i]], curves.values[seconds],
                                    study_batch_size(study, trial)));
    }
    curves_release(&curves);
    return read;
}

static bool values_take(const struct study *study, struct study_trial *trial, const struct store_finding *result) {
    bool ended = job_status_is_final(trial->status);
    for (size_t i = 0; i < study->metric_count; i++) {
        bool never = ended && trial->diverged && study->metrics[i].kind == METRIC_LEARNED;
        trial->values[i] = never ? INFINITY : NAN;
        trial->states[i] = never ? VALUE_THERE : ended ? VALUE_MISSING : VALUE_OPEN;
    }
    return trial->status != JOB_SUCCEEDED || values_read(study, trial, result);
}

static void status_take(struct study_trial *trial, const struct store_job *job) {
    trial->status = job->status;
    trial->iteration = job->iteration;
    trial->progress = job_status_is_final(job->status) || job->iterations <= 0
                          ? 1.0
                          : (double)job->progressed / (double)job->iterations;
    trial->diverged = job_diverged(job);
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

/* What is kept of a trial whose job has ended. */
static bool result_take(struct gathering *gathering, struct study_trial *trial, const struct store_finding *result) {
    trial->status = result->status;
    trial->diverged = result->diverged;
    trial->iteration = result->iteration;
    trial->progress = 1;
    trial->kept = true;
    trial->archived = result->archived;
    return !gathering->values || values_take(gathering->study, trial, result);
}

/* What a trial's job says, which has not ended, or just now. */
static bool job_read(struct gathering *gathering, struct study_trial *trial) {
    struct study *study = gathering->study;
    struct store_job job;
    int found = store_job_read(study->reader, trial->job, &job);
    if (found != 1) {
        return false;
    }
    status_take(trial, &job);
    store_job_release(&job);
    return !gathering->values || values_take(study, trial, NULL);
}

static bool gather_trial(void *user, const struct store_trial *row, const struct store_finding *result) {
    struct gathering *gathering = user;
    struct study *study = gathering->study;
    size_t point = design_find(&study->design, row->point);
    struct study_trial *trial = point == SIZE_MAX ? NULL : trial_add(study);
    if (trial != NULL) {
        trial->point = point;
        trial->seed = row->seed;
        trial->linked = !row->made;
        memcpy(trial->job, row->job, sizeof trial->job);
        bool taken = result != NULL ? result_take(gathering, trial, result) : job_read(gathering, trial);
        study->failed = study->failed || !taken;
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
    json_t **configurations = calloc(3 * count + 1, sizeof *configurations), **given = configurations + count,
           **covered = given + count;
    char **labels = calloc(count + 1, sizeof *labels);
    bool whole = configurations != NULL && labels != NULL;
    for (size_t i = 0; whole && i < count; i++) {
        configurations[i] = study->points[i].configuration;
        covered[i] = json_object();
        given[i] = given_labels(&study->design, study->points[i].indices, covered[i]);
    }
    whole = whole && labels_make(configurations, count, given, covered, labels);
    for (size_t i = 0; i < count; i++) {
        study->points[i].label = labels == NULL ? NULL : labels[i];
        if (configurations != NULL) {
            json_decref(given[i]);
            json_decref(covered[i]);
        }
    }
    free(configurations);
    free(labels);
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
    if (study->metric_count == 0) {
        memcpy(study->metrics, study->design.metrics, sizeof study->metrics);
        study->metric_count = study->design.metric_count;
    }
    study->compare_axis = study->design.compare_axis;
    study->compare_to = study->design.compare_to;
    design_points_take(study);
    if (study->failed || study->stopped(study->user)) {
        return;
    }
    labels_take(study);
    study_style(study);
    if (store_trials_read(study->reader, row->number, values, gather_trial, &gathering) < 0) {
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
        study->failed = study->failed || trial->point == SIZE_MAX || !values_take(study, trial, NULL);
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
        study_style(study);
        trials_order(study);
    }
}

void study_release(struct study *study) {
    for (size_t i = 0; study->points != NULL && i < study->point_count; i++) {
        json_decref(study->points[i].configuration);
        free(study->points[i].label);
        free(study->points[i].style.panel);
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
