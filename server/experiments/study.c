/* Gathering a study: see study.h. */
#include "server/experiments/study.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/event.h"
#include "api/job.h"
#include "api/search.h"
#include "api/text.h"
#include "server/experiments/experiments.h"
#include "server/experiments/labels.h"
#include "server/experiments/statistics.h"

#define JOBS_MOST 10000 /* in a set */
#define BY_MOST 8       /* fields that make points */

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

struct gathered {
    struct study *study;
    struct search by; /* a term for each field that makes points; none: all that reaches a result */
    json_t *known;    /* points by their key */
    json_t *same;     /* trials by identity, seed included; NULL: each counts */
};

static bool identity_hex(const struct job_spec *spec, char hex[2 * IDENTITY_BYTES + 1]) {
    uint8_t identity[IDENTITY_BYTES];
    if (!job_spec_identity(spec, REACH_RESULT, identity)) {
        return false;
    }
    for (size_t i = 0; i < IDENTITY_BYTES; i++) {
        snprintf(hex + 2 * i, 3, "%02x", identity[i]);
    }
    return true;
}

/* A field's value in a configuration; NULL where it has none. */
static const json_t *field_value(const struct search_term *term, const json_t *configuration) {
    switch (term->key) {
    case SEARCH_NAME:
        return json_object_get(configuration, "name");
    case SEARCH_TASK:
        return json_object_get(json_object_get(configuration, "task"), "type");
    case SEARCH_RULE:
        return json_object_get(json_object_get(configuration, "rule"), "type");
    default:
        return search_member(term, configuration);
    }
}

/* The values of the fields, as text; malloc'ed. */
static char *values_key(const struct search *by, const json_t *configuration) {
    json_t *values = json_array();
    for (size_t i = 0; i < by->count; i++) {
        const json_t *value = field_value(&by->terms[i], configuration);
        json_array_append_new(values, value == NULL ? json_null() : json_incref((json_t *)(uintptr_t)value));
    }
    char *text = json_text(values, NULL);
    json_decref(values);
    return text;
}

/* "modprop, delay=300": the values of the fields, with the names of those that a value does not explain. */
static char *values_label(const struct search *by, const json_t *configuration) {
    char *label = NULL;
    size_t size;
    FILE *out = open_memstream(&label, &size);
    for (size_t i = 0; out != NULL && i < by->count; i++) {
        const struct search_term *term = &by->terms[i];
        const json_t *value = field_value(term, configuration);
        char *text = json_is_string(value) ? strdup(json_string_value(value)) : json_text(value, NULL);
        bool member = term->key == SEARCH_MEMBER;
        fprintf(out, "%s%s%s%s", i == 0 ? "" : ", ", member ? term->path[term->depth - 1] : "", member ? "=" : "",
                text == NULL ? "none" : text);
        free(text);
    }
    return out == NULL || fclose(out) != 0 ? NULL : label;
}

/* The point of a job; a new one if there is none yet. */
static size_t point_of(struct gathered *gathered, struct job_spec *spec) {
    struct study *study = gathered->study;
    const struct search *by = &gathered->by;
    char hex[2 * IDENTITY_BYTES + 1] = "";
    spec->config.seed = 1;
    json_t *configuration = job_spec_encode(spec, false);
    char *key = configuration == NULL ? NULL : by->count > 0 ? values_key(by, configuration) : hex;
    bool made = key != NULL && (by->count > 0 || identity_hex(spec, hex));
    const json_t *entry = made ? json_object_get(gathered->known, key) : NULL;
    size_t index = !made ? SIZE_MAX : entry != NULL ? (size_t)json_integer_value(entry) : study->point_count;
    if (made && entry == NULL) {
        struct study_point *point = &study->points[study->point_count];
        point->configuration = json_incref(configuration);
        point->label = by->count > 0 ? values_label(by, configuration) : NULL;
        point->indices[0] = study->point_count;
        snprintf(point->name, sizeof point->name, "%zu", study->point_count++);
        made = json_object_set_new(gathered->known, key, json_integer((json_int_t)index)) == 0;
    }
    if (key != hex) {
        free(key);
    }
    json_decref(configuration);
    return made ? index : SIZE_MAX;
}

/* Where the job's trial goes; NULL: nowhere, because an equal job counts, or because memory ran out (failed is set). */
static struct study_trial *trial_place(struct gathered *gathered, const struct job_spec *spec,
                                       const struct store_job *job) {
    struct study *study = gathered->study;
    char hex[2 * IDENTITY_BYTES + 1];
    if (gathered->same == NULL) {
        return trial_add(study);
    }
    if (!identity_hex(spec, hex)) {
        study->failed = true;
        return NULL;
    }
    const json_t *entry = json_object_get(gathered->same, hex);
    if (entry == NULL) {
        json_object_set_new(gathered->same, hex, json_integer((json_int_t)study->trial_count));
        return trial_add(study);
    }
    struct study_trial *trial = &study->trials[json_integer_value(entry)];
    if (trial->status == JOB_SUCCEEDED && job->status != JOB_SUCCEEDED) {
        return NULL;
    }
    *trial = (struct study_trial){0};
    return trial;
}

/* Adds the job as a trial. False if there is no such job. */
static bool job_take(struct gathered *gathered, const char *id) {
    struct study *study = gathered->study;
    struct job_spec spec = {0};
    struct store_job job;
    char *document = NULL;
    int found = store_job_read(study->reader, id, &job);
    if (found != 1) {
        study->failed = study->failed || found < 0;
        return false;
    }
    bool read = store_document_read(study->reader, id, &document) == 1 && job_spec_parse(&spec, document);
    struct study_trial *trial = read ? trial_place(gathered, &spec, &job) : NULL;
    if (trial != NULL) {
        trial->seed = (int64_t)spec.config.seed;
        snprintf(trial->job, sizeof trial->job, "%s", job.id);
        status_take(trial, &job);
        trial->point = point_of(gathered, &spec);
        study->failed = study->failed || trial->point == SIZE_MAX || !values_take(study, trial, NULL);
    }
    study->failed = study->failed || !read;
    job_spec_release(&spec);
    store_job_release(&job);
    free(document);
    return true;
}

/* Fields that make points are read as terms of a query that ask for any value. */
static void by_read(const json_t *by, struct search *search, struct problems *problems) {
    const struct path path = {.name = "by"};
    size_t index;
    json_t *field;
    if (by != NULL && (!json_is_array(by) || json_array_size(by) == 0 || json_array_size(by) > BY_MOST)) {
        problems_add(problems, NULL, "by", "must be a list of 1 to %d fields, such as rule and task.delay", BY_MOST);
        return;
    }
    json_array_foreach(by, index, field) {
        const struct path at = {.parent = &path, .index = index};
        char query[SEARCH_BYTES];
        const char *name = json_string_value(field);
        bool fits = name != NULL && snprintf(query, sizeof query, "%s:*", name) < (int)sizeof query;
        struct problems faults = {0};
        size_t before = search->count;
        bool sound = fits && search_read(search, SEARCH_JOBS, query, "by", &faults);
        const struct search_term *term = sound && search->count == before + 1 ? &search->terms[before] : NULL;
        bool known = term != NULL && term->count == 1 && strcmp(term->values[0].text, "\1") == 0 && !term->negated &&
                     (term->key == SEARCH_MEMBER || term->key == SEARCH_NAME || term->key == SEARCH_TASK ||
                      term->key == SEARCH_RULE);
        if (!known) {
            const json_t *first = json_array_get(faults.errors, 0);
            const char *why = json_string_value(json_object_get(first, "detail"));
            problems_add(problems, &at, NULL,
                         "must be name, task, rule, or a parameter such as task.delay or meta.lab%s%s",
                         why == NULL ? "" : "; ", why == NULL ? "" : why);
        }
        problems_release(&faults);
    }
}

static bool id_add(void *user, const struct store_job *job) {
    return json_array_insert_new(user, 0, json_string(job->id)) == 0;
}

/* The ids of what a query finds, the oldest first: the order of points must not change when jobs come. */
static json_t *ids_find(struct study *study, const char *q, struct problems *problems) {
    struct search *search = calloc(1, sizeof *search);
    json_t *ids = json_array();
    struct store_page page = {.search = search, .before = INT64_MAX, .limit = JOBS_MOST + 1};
    struct store_found found = {.next = 1};
    study->failed = study->failed || search == NULL || ids == NULL;
    bool sound = !study->failed && search_read(search, SEARCH_JOBS, q, "q", problems);
    while (sound && !study->failed && found.next != 0 && !study->stopped(study->user) &&
           json_array_size(ids) <= JOBS_MOST) {
        study->failed = store_jobs_find(study->reader, &page, &found, id_add, ids) < 0;
        page.before = found.next;
    }
    if (sound && (json_array_size(ids) == 0 || json_array_size(ids) > JOBS_MOST)) {
        problems_add(problems, NULL, "q", "must find 1 to %d jobs; it finds %s", JOBS_MOST,
                     json_array_size(ids) == 0 ? "none" : "more");
    }
    free(search);
    return ids;
}

/* Pairs are by seed: a point must not have two jobs with one. */
static void seeds_check(const struct study *study, struct problems *problems) {
    for (size_t i = 1; i < study->trial_count; i++) {
        const struct study_trial *a = &study->trials[i - 1], *b = &study->trials[i];
        if (a->point == b->point && a->seed == b->seed) {
            problems_add(problems, NULL, "by",
                         "must tell apart the jobs %s and %s, which have the seed %lld both: add the field in which "
                         "they differ, or compare fewer jobs",
                         a->job, b->job, (long long)a->seed);
            return;
        }
    }
}

static void ids_take(struct gathered *gathered, const json_t *ids, struct problems *problems) {
    const struct path path = {.name = "jobs"};
    struct study *study = gathered->study;
    json_t *seen = json_object();
    for (size_t i = 0; !study->failed && i < json_array_size(ids) && !study->stopped(study->user); i++) {
        const struct path at = {.parent = &path, .index = i};
        const char *id = json_string_value(json_array_get(ids, i));
        if (id == NULL || json_object_get(seen, id) != NULL) {
            problems_add(problems, &at, NULL, "must be the id of a job, each once");
        } else if (!job_take(gathered, id) && gathered->same == NULL) { /* one that was found may have gone since */
            problems_add(problems, &at, NULL, "there is no job %.60s", id);
        } else {
            json_object_set_new(seen, id, json_true());
        }
    }
    json_decref(seen);
}

void study_of_jobs(struct study *study, const struct study_set *set, struct problems *problems) {
    struct gathered *gathered = calloc(1, sizeof *gathered);
    json_t *found = set->q == NULL ? NULL : ids_find(study, set->q, problems);
    const json_t *ids = set->q == NULL ? set->ids : found;
    size_t count = json_array_size(ids), before = problems->count;
    if (set->q == NULL && (!json_is_array(ids) || count == 0 || count > JOBS_MOST)) {
        problems_add(problems, NULL, "jobs", "must be a list of 1 to %d ids of jobs", JOBS_MOST);
    }
    study->compare_axis = -1;
    study->points = calloc(count + 1, sizeof *study->points);
    study->failed = study->failed || study->points == NULL || gathered == NULL;
    if (!study->failed) {
        *gathered = (struct gathered){
            .study = study, .known = json_object(), .same = set->q == NULL ? NULL : json_object()};
        by_read(set->by, &gathered->by, problems);
    }
    if (!study->failed && problems->count == before) {
        ids_take(gathered, ids, problems);
    }
    if (!study->failed) {
        if (gathered->by.count == 0) {
            labels_take(study);
        }
        study_style(study);
        trials_order(study);
    }
    if (!study->failed && set->by != NULL && problems->count == before) {
        seeds_check(study, problems);
    }
    if (gathered != NULL) {
        json_decref(gathered->known);
        json_decref(gathered->same);
    }
    free(gathered);
    json_decref(found);
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
