/*
 * Routes of what experiments found: points, trials, comparisons and curves, and the same of any set of jobs. All are
 * made in the heavy lane, as JSON or CSV. A record is an object; its row of CSV has a column for each number and text
 * in it, those of objects within it named "outer.inner".
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/event.h"
#include "api/field.h"
#include "api/text.h"
#include "core/base/options.h"
#include "server/experiments/experiments.h"
#include "server/experiments/labels.h"
#include "server/experiments/study.h"
#include "server/routes/replies.h"
#include "server/routes/routes.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define CSV "text/csv; charset=utf-8; header=present"

enum view { VIEW_POINTS, VIEW_TRIALS, VIEW_COMPARE, VIEW_CURVES, VIEW_JOBS };

static const char *const view_names[] = {"points", "trials", "comparisons", "curves", "points"};

struct viewing {
    struct computation computation; /* first */
    enum view view;
    char id[STORE_ID_BYTES];
    char keys[QUERY_VALUE_BYTES], points[QUERY_VALUE_BYTES]; /* "": the default, all */
    bool seeds, csv, failed;
    size_t records;
    struct study study;
};

static void viewing_release(struct computation *computation) {
    struct viewing *viewing = (struct viewing *)computation;
    study_release(&viewing->study);
    free(viewing);
}

/* ---- records ---- */

static void csv_text(struct writer *writer, const char *text) {
    if (text[strcspn(text, ",\"\r\n")] == '\0') {
        writer_text(writer, text);
        return;
    }
    writer_text(writer, "\"");
    for (const char *c = text; *c != '\0'; c++) {
        writer_bytes(writer, c, 1);
        if (*c == '"') {
            writer_text(writer, "\"");
        }
    }
    writer_text(writer, "\"");
}

static void csv_value(struct writer *writer, const json_t *value) {
    if (json_is_string(value)) {
        csv_text(writer, json_string_value(value));
    } else if (!json_is_null(value)) {
        char *text = json_text(value, NULL);
        csv_text(writer, text == NULL ? "" : text);
        free(text);
    }
}

/* The columns' names, or with `values` the row. */
static void csv_walk(struct writer *writer, const json_t *record, const char *prefix, bool values, bool *first) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)record, name, value) {
        char path[256];
        snprintf(path, sizeof path, "%.120s%s%.120s", prefix, *prefix == '\0' ? "" : ".", name);
        if (json_is_object(value)) {
            csv_walk(writer, value, path, values, first);
            continue;
        }
        writer_text(writer, *first ? "" : ",");
        *first = false;
        if (values) {
            csv_value(writer, value);
        } else {
            csv_text(writer, path);
        }
    }
}

/* Takes over the record. */
static bool record_put(void *user, json_t *record) {
    struct viewing *viewing = user;
    struct writer *writer = &viewing->computation.writer;
    char *text = viewing->csv || record == NULL ? NULL : json_text(record, NULL);
    viewing->failed = viewing->failed || record == NULL || (!viewing->csv && text == NULL);
    if (viewing->csv && record != NULL) {
        for (int row = viewing->records == 0 ? 0 : 1; row < 2; row++) {
            bool first = true;
            csv_walk(writer, record, "", row == 1, &first);
            writer_text(writer, "\r\n");
        }
    } else if (text != NULL) {
        writer_text(writer, viewing->records == 0 ? "" : ",");
        writer_text(writer, text);
    }
    viewing->records++;
    free(text);
    json_decref(record);
    return !viewing->failed && !lane_is_stopped(viewing);
}

/* ---- views ---- */

static bool is_wanted(const char *list, const char *name) {
    size_t length;
    for (const char *rest = *list == '\0' ? NULL : list, *one; (one = option_list_next(&rest, &length)) != NULL;) {
        if (strlen(name) == length && strncmp(one, name, length) == 0) {
            return true;
        }
    }
    return *list == '\0';
}

static void put_points(struct viewing *viewing) {
    bool go_on = true;
    for (size_t i = 0; go_on && i < viewing->study.point_count; i++) {
        go_on = !is_wanted(viewing->points, viewing->study.points[i].name) ||
                record_put(viewing, study_point_record(&viewing->study, i));
    }
}

static void put_trials(struct viewing *viewing) {
    bool go_on = true;
    for (size_t i = 0; go_on && i < viewing->study.trial_count; i++) {
        const struct study_point *point = &viewing->study.points[viewing->study.trials[i].point];
        go_on = !is_wanted(viewing->points, point->name) || record_put(viewing, study_trial_record(&viewing->study, i));
    }
}

static json_t *numbers(const double *values, size_t count) {
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(list, json_number_or_null(values[i]));
    }
    return list;
}

static json_t *integers(const double *values, size_t count) {
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(list, json_integer((json_int_t)values[i]));
    }
    return list;
}

/* Each seed's own curve, by seed. */
static json_t *seeds_document(const struct study *study, const struct study_point *point, const char *key) {
    json_t *seeds = json_object();
    for (size_t i = 0; i < point->count; i++) {
        const struct study_trial *trial = &study->trials[point->first + i];
        struct curve_values values = {0};
        char seed[24];
        snprintf(seed, sizeof seed, "%lld", (long long)trial->seed);
        if (study_curve_read(study, trial->job, key, &values)) {
            json_object_set_new(seeds, seed,
                                json_pack("{s:o, s:o}", "iteration", integers(values.iterations, values.length),
                                          "value", numbers(values.values, values.length)));
        }
        curve_values_release(&values);
    }
    return seeds;
}

static json_t *curve_record(const struct study *study, const struct study_point *point, const char *key,
                            const struct study_curve *curve) {
    const char *rule = json_string_value(json_object_get(json_object_get(point->configuration, "rule"), "type"));
    json_t *n = json_array();
    (void)study;
    for (size_t i = 0; i < curve->length; i++) {
        json_array_append_new(n, json_integer((json_int_t)curve->seeds[i]));
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "point", point->name, "label", point->label,
                     "colour", rule_colour(rule == NULL ? "" : rule), "key", key, "iteration",
                     integers(curve->iterations, curve->length), "n", n, "median",
                     numbers(curve->median, curve->length), "low", numbers(curve->low, curve->length), "high",
                     numbers(curve->high, curve->length));
}

/* In CSV a curve has a row an iteration. */
static bool put_curve_rows(struct viewing *viewing, const struct study_point *point, const char *key,
                           const struct study_curve *curve) {
    bool go_on = true;
    for (size_t i = 0; go_on && i < curve->length; i++) {
        go_on = record_put(
            viewing, json_pack("{s:s, s:s, s:s, s:I, s:I, s:o, s:o, s:o}", "point", point->name, "label", point->label,
                               "key", key, "iteration", (json_int_t)curve->iterations[i], "n",
                               (json_int_t)curve->seeds[i], "median", json_number_or_null(curve->median[i]), "low",
                               json_number_or_null(curve->low[i]), "high", json_number_or_null(curve->high[i])));
    }
    return go_on;
}

static bool put_curve(struct viewing *viewing, size_t index, const char *key) {
    const struct study *study = &viewing->study;
    const struct study_point *point = &study->points[index];
    struct study_curve curve;
    bool go_on = study_curve_compute(study, index, key, &curve);
    viewing->failed = viewing->failed || !go_on;
    if (go_on && viewing->csv) {
        go_on = put_curve_rows(viewing, point, key, &curve);
    } else if (go_on) {
        json_t *record = curve_record(study, point, key, &curve);
        if (viewing->seeds && record != NULL) {
            json_object_set_new(record, "seeds", seeds_document(study, point, key));
        }
        go_on = record_put(viewing, record);
    }
    study_curve_release(&curve);
    return go_on;
}

static void put_curves(struct viewing *viewing) {
    bool go_on = true;
    for (size_t i = 0; go_on && i < viewing->study.point_count; i++) {
        const char *names[CURVES_MAX];
        size_t count = is_wanted(viewing->points, viewing->study.points[i].name) ? event_curves(names) : 0;
        for (size_t k = 1; go_on && k < count; k++) { /* not the iteration */
            go_on = !is_wanted(viewing->keys, names[k]) || put_curve(viewing, i, names[k]);
        }
    }
}

static void put_view(struct viewing *viewing, enum view view) {
    switch (view) {
    case VIEW_POINTS:
    case VIEW_JOBS:
        put_points(viewing);
        break;
    case VIEW_TRIALS:
        put_trials(viewing);
        break;
    case VIEW_COMPARE:
        viewing->failed = !study_compare(&viewing->study, record_put, viewing) || viewing->failed;
        break;
    case VIEW_CURVES:
        put_curves(viewing);
    }
}

/* Names in a list of the query that do not exist are faults. */
static void check_lists(struct viewing *viewing) {
    char name[QUERY_VALUE_BYTES];
    size_t length;
    struct problems *problems = &viewing->computation.problems;
    for (const char *rest = *viewing->points == '\0' ? NULL : viewing->points, *one;
         (one = option_list_next(&rest, &length)) != NULL;) {
        snprintf(name, sizeof name, "%.*s", (int)length, one);
        if (study_find(&viewing->study, name) == SIZE_MAX) {
            problems_add(problems, NULL, "points", "\"%.60s\" is not a point of this experiment", name);
        }
    }
    for (const char *rest = *viewing->keys == '\0' ? NULL : viewing->keys, *one;
         (one = option_list_next(&rest, &length)) != NULL;) {
        snprintf(name, sizeof name, "%.*s", (int)length, one);
        if (!curve_exists(name)) {
            problems_add(problems, NULL, "keys", "\"%.60s\" is not a curve", name);
        }
    }
    if (problems->count > 0) {
        computation_fail(&viewing->computation, 422, "the query has bad parameters");
    }
}

static void study_init(struct viewing *viewing) {
    viewing->study.reader = computation_reader(&viewing->computation);
    viewing->study.stopped = lane_is_stopped;
    viewing->study.user = viewing;
}

/* A further list of the answer. */
static void put_more(struct viewing *viewing, enum view view) {
    struct writer *writer = &viewing->computation.writer;
    writer_text(writer, "],\"");
    writer_text(writer, view_names[view]);
    writer_text(writer, "\":[");
    viewing->records = 0;
    put_view(viewing, view);
}

static void put_whole(struct viewing *viewing) {
    struct writer *writer = &viewing->computation.writer;
    if (!viewing->csv) {
        writer_text(writer, "{\"");
        writer_text(writer, view_names[viewing->view]);
        writer_text(writer, "\":[");
    }
    put_view(viewing, viewing->view);
    if (!viewing->csv && viewing->view == VIEW_JOBS) {
        put_more(viewing, VIEW_COMPARE);
        put_more(viewing, VIEW_TRIALS);
        if (viewing->keys[0] != '\0') {
            put_more(viewing, VIEW_CURVES);
        }
    }
    writer_text(writer, viewing->csv ? "" : "]}");
    if (viewing->failed) {
        computation_fail(&viewing->computation, 500, "the experiment cannot be read");
    }
}

static void work_viewing(struct computation *computation) {
    struct viewing *viewing = (struct viewing *)computation;
    struct store_experiment row;
    study_init(viewing);
    int found = store_experiment_read(viewing->study.reader, viewing->id, &row);
    if (found != 1) {
        computation_fail(computation, found == 0 ? 404 : 500,
                         found == 0 ? "there is no experiment %.60s" : "the experiment %.60s cannot be read",
                         viewing->id);
        return;
    }
    study_of_experiment(&viewing->study, &row, viewing->view != VIEW_CURVES);
    store_experiment_release(&row);
    if (viewing->study.failed) {
        computation_fail(computation, 500, "the experiment cannot be read");
        return;
    }
    check_lists(viewing);
    if (computation->problems.count == 0) {
        put_whole(viewing);
    }
}

/* `parameters`: how many of points, keys and seeds the route takes. */
static void view(struct server *server, struct request *request, enum view view, size_t parameters) {
    struct viewing *viewing = calloc(1, sizeof *viewing);
    if (viewing == NULL) {
        http_problem(request, 500, "out of memory");
        return;
    }
    const struct query_parameter all[] = {{.name = "points", .type = QUERY_TEXT, .text = viewing->points},
                                          {.name = "keys", .type = QUERY_TEXT, .text = viewing->keys},
                                          {.name = "seeds", .type = QUERY_BOOLEAN, .boolean = &viewing->seeds}};
    if (!read_query(request, all, parameters)) {
        free(viewing);
        return;
    }
    if (view == VIEW_CURVES && viewing->keys[0] == '\0') {
        snprintf(viewing->keys, sizeof viewing->keys, "loss,accuracy");
    }
    viewing->view = view;
    viewing->csv = strcmp(request->type, "text/csv") == 0;
    snprintf(viewing->id, sizeof viewing->id, "%.36s", request->parameter);
    computation_init(&viewing->computation, server, request, viewing->csv ? CSV : "application/json");
    viewing->computation.work = work_viewing;
    viewing->computation.release = viewing_release;
    computation_start(&viewing->computation, LANE_HEAVY);
}

void route_experiment_points(struct server *server, struct request *request) {
    view(server, request, VIEW_POINTS, 1);
}

void route_experiment_trials(struct server *server, struct request *request) {
    view(server, request, VIEW_TRIALS, 1);
}

void route_experiment_compare(struct server *server, struct request *request) {
    view(server, request, VIEW_COMPARE, 0);
}

void route_experiment_curves(struct server *server, struct request *request) {
    view(server, request, VIEW_CURVES, 3);
}

/* ---- any set of jobs ---- */

/* The curves that the request names, as the query of an experiment's curves would; each seed's own where `seeds`. */
static void curves_take(struct viewing *viewing, const json_t *document) {
    struct problems *problems = &viewing->computation.problems;
    const json_t *list = json_object_get(document, "curves"), *seeds = json_object_get(document, "seeds");
    const struct path path = {.name = "curves"};
    size_t index, used = 0;
    json_t *one;
    viewing->seeds = json_is_true(seeds);
    if (seeds != NULL && !json_is_boolean(seeds)) {
        problems_add(problems, NULL, "seeds", "must be true or false");
    }
    if (list != NULL && !json_is_array(list)) {
        problems_add(problems, NULL, "curves", "must be a list of curves of GET /v1/jobs/{id}/metrics");
    }
    json_array_foreach((json_t *)(uintptr_t)list, index, one) {
        const struct path at = {.parent = &path, .index = index};
        const char *key = json_string_value(one);
        size_t room = sizeof viewing->keys - used;
        if (key == NULL || !curve_exists(key) || strlen(key) + 2 > room) {
            problems_add(problems, &at, NULL, "must be a curve of GET /v1/jobs/{id}/metrics, each once");
            continue;
        }
        used += (size_t)snprintf(viewing->keys + used, room, "%s%s", used == 0 ? "" : ",", key);
    }
}

static void work_jobs(struct computation *computation) {
    static const char *const members[] = {"jobs", "metrics", "to", "curves", "seeds"};
    struct viewing *viewing = (struct viewing *)computation;
    struct problems *problems = &computation->problems;
    struct study *study = &viewing->study;
    json_t *document = computation_body(computation), *value;
    const char *name;
    if (document == NULL) {
        return;
    }
    json_object_foreach(document, name, value) {
        bool known = false;
        for (size_t i = 0; i < COUNT(members); i++) {
            known = known || strcmp(name, members[i]) == 0;
        }
        if (!known) {
            problems_add_unknown(problems, NULL, name, "member", members, COUNT(members));
        }
    }
    study_init(viewing);
    study->metric_count = metrics_read(json_object_get(document, "metrics"), study->metrics, problems);
    curves_take(viewing, document);
    if (problems->count == 0) {
        study_of_jobs(study, json_object_get(document, "jobs"), problems);
    }
    const json_t *to = json_object_get(document, "to");
    study->compare_to = (size_t)json_integer_value(to);
    if (to != NULL && (!json_is_integer(to) || json_integer_value(to) < 0 || study->compare_to >= study->point_count)) {
        problems_add(problems, NULL, "to", "must be the index of a point, below %zu", study->point_count);
    }
    json_decref(document);
    if (problems->count > 0) {
        computation_fail(computation, 422, "the request has bad fields");
    } else if (study->failed) {
        computation_fail(computation, 500, "the jobs cannot be read");
    } else {
        put_whole(viewing);
    }
}

void route_compare(struct server *server, struct request *request) {
    struct viewing *viewing = calloc(1, sizeof *viewing);
    if (viewing == NULL) {
        http_problem(request, 500, "out of memory");
        return;
    }
    viewing->view = VIEW_JOBS;
    viewing->csv = strcmp(request->type, "text/csv") == 0;
    computation_init(&viewing->computation, server, request, viewing->csv ? CSV : "application/json");
    viewing->computation.work = work_jobs;
    viewing->computation.release = viewing_release;
    computation_start(&viewing->computation, LANE_HEAVY);
}
