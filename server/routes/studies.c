/*
 * Routes of what experiments found: points, trials, comparisons and curves, and the same of any set of jobs. All are
 * made in the heavy lane, as JSON, lines of JSON or CSV. A record is an object; its row of CSV has a column for each
 * number and text in it, those of objects within it named "outer.inner".
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
#define PARAMETERS_MOST 6 /* of one view */
#define DRAWS_USUAL 2000  /* of a bootstrap */
#define DRAWS_MOST 100000

enum view { VIEW_POINTS, VIEW_TRIALS, VIEW_COMPARE, VIEW_CURVES, VIEW_JOBS };

static const char *const view_names[] = {"points", "trials", "comparisons", "curves", "points"};

struct viewing {
    struct computation computation; /* first */
    enum view view;
    char id[STORE_ID_BYTES + 1]; /* one more than an id has, so that what is too long stays unknown */
    struct selection {
        char keys[QUERY_VALUE_BYTES], points[QUERY_VALUE_BYTES];                           /* "": the default, all */
        char metrics[QUERY_VALUE_BYTES], unit[QUERY_VALUE_BYTES], axis[QUERY_VALUE_BYTES]; /* "": the experiment's */
        int64_t draws, to;
        bool seeds, mean;
    } selection;
    bool csv, lines, failed;
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
        writer_text(writer, viewing->records == 0 || viewing->lines ? "" : ",");
        writer_text(writer, text);
        writer_text(writer, viewing->lines ? "\n" : "");
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
        go_on = !is_wanted(viewing->selection.points, viewing->study.points[i].name) ||
                record_put(viewing, study_point_record(&viewing->study, i));
    }
}

static void put_trials(struct viewing *viewing) {
    bool go_on = true;
    for (size_t i = 0; go_on && i < viewing->study.trial_count; i++) {
        const struct study_point *point = &viewing->study.points[viewing->study.trials[i].point];
        go_on = !is_wanted(viewing->selection.points, point->name) ||
                record_put(viewing, study_trial_record(&viewing->study, i));
    }
}

/* In CSV a curve has a row an iteration, or with seeds one for each seed too. */
static bool put_curve_rows(struct viewing *viewing, size_t point, const char *key, const struct band *band) {
    bool go_on = true;
    if (viewing->selection.seeds) {
        return study_seeds_rows(&viewing->study, point, key, record_put, viewing);
    }
    for (size_t i = 0; go_on && i < band->length; i++) {
        go_on = record_put(viewing, study_band_row(&viewing->study, point, key, band, i));
    }
    return go_on;
}

static bool put_curve(struct viewing *viewing, size_t index, const char *key) {
    const struct study *study = &viewing->study;
    struct band band;
    bool go_on = study_band_compute(study, index, key, &band);
    viewing->failed = viewing->failed || !go_on;
    if (go_on && viewing->csv) {
        go_on = put_curve_rows(viewing, index, key, &band);
    } else if (go_on) {
        json_t *record = study_band_record(study, index, key, &band);
        if (viewing->selection.seeds && record != NULL) {
            json_object_set_new(record, "seeds", study_seeds_record(study, index, key));
        }
        go_on = record_put(viewing, record);
    }
    band_release(&band);
    return go_on;
}

static void put_curves(struct viewing *viewing) {
    bool go_on = true;
    for (size_t i = 0; go_on && i < viewing->study.point_count; i++) {
        const char *names[CURVES_MAX];
        size_t count = is_wanted(viewing->selection.points, viewing->study.points[i].name) ? event_curves(names) : 0;
        for (size_t k = 1; go_on && k < count; k++) { /* not the iteration */
            go_on = !is_wanted(viewing->selection.keys, names[k]) || put_curve(viewing, i, names[k]);
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
    for (const char *rest = *viewing->selection.points == '\0' ? NULL : viewing->selection.points, *one;
         (one = option_list_next(&rest, &length)) != NULL;) {
        snprintf(name, sizeof name, "%.*s", (int)length, one);
        if (study_find(&viewing->study, name) == SIZE_MAX) {
            problems_add(problems, NULL, "points", "\"%.60s\" is not a point of this experiment", name);
        }
    }
    for (const char *rest = *viewing->selection.keys == '\0' ? NULL : viewing->selection.keys, *one;
         (one = option_list_next(&rest, &length)) != NULL;) {
        snprintf(name, sizeof name, "%.*s", (int)length, one);
        if (!curve_exists(name)) {
            curve_refuse(problems, name);
        }
    }
    if (problems->count > 0) {
        computation_fail(&viewing->computation, 422, "the query has bad parameters");
    }
}

/* What the query asks of the study; faults go to the problems. */
static void study_ask(struct viewing *viewing) {
    struct study *study = &viewing->study;
    struct problems *problems = &viewing->computation.problems;
    const struct selection *selection = &viewing->selection;
    enum metric_unit unit = UNIT_ITERATIONS;
    if (selection->unit[0] != '\0' && !metric_unit_find(selection->unit, &unit)) {
        problems_add(problems, NULL, viewing->view == VIEW_CURVES ? "x" : "in",
                     "must be iterations, trials or seconds; got \"%.60s\"", selection->unit);
    }
    if (selection->metrics[0] != '\0') {
        study->metric_count = metrics_parse(selection->metrics, unit, study->metrics, problems);
    }
    study->x = unit;
    study->x_given = viewing->view == VIEW_CURVES && selection->unit[0] != '\0';
    study->draws = (size_t)selection->draws;
    if (viewing->view == VIEW_CURVES && !selection->mean) {
        study->draws = 0;
    }
    if (problems->count > 0) {
        computation_fail(&viewing->computation, 422, "the query has bad parameters");
    }
}

/* The sentence on a name that no axis has, with those that there are. */
static void axis_refuse(const struct design *design, const char *name, struct problems *problems) {
    char list[300] = "";
    for (size_t i = 0, used = 0; i < design->axis_count && used < sizeof list; i++) {
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "; it has " : ", ",
                                 design->axes[i].name);
    }
    problems_add(problems, NULL, "axis", "is not an axis of this experiment%s; got \"%.60s\"", list, name);
}

/* Another axis to compare along, and the value to compare to. */
static void compare_ask(struct viewing *viewing) {
    struct study *study = &viewing->study;
    struct problems *problems = &viewing->computation.problems;
    const struct selection *selection = &viewing->selection;
    bool found = selection->axis[0] == '\0';
    for (size_t i = 0; !found && i < study->design.axis_count; i++) {
        if (strcmp(study->design.axes[i].name, selection->axis) == 0) {
            study->compare_axis = (int)i;
            study->compare_to = 0;
            found = true;
        }
    }
    if (!found) {
        axis_refuse(&study->design, selection->axis, problems);
    }
    size_t most = study->design.kind != DESIGN_GRID ? study->point_count
                  : study->compare_axis < 0         ? 1
                                                    : study->design.axes[study->compare_axis].count;
    if (selection->to >= 0) {
        study->compare_to = (size_t)selection->to;
    }
    if (study->compare_to >= most) {
        problems_add(problems, NULL, "to", "must be the index of a value, below %zu", most);
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
    if (!viewing->csv && !viewing->lines) {
        writer_text(writer, "{\"");
        writer_text(writer, view_names[viewing->view]);
        writer_text(writer, "\":[");
    }
    put_view(viewing, viewing->view);
    if (!viewing->csv && !viewing->lines && viewing->view == VIEW_JOBS) {
        put_more(viewing, VIEW_COMPARE);
        put_more(viewing, VIEW_TRIALS);
        if (viewing->selection.keys[0] != '\0') {
            viewing->study.draws = !viewing->selection.mean    ? 0
                                   : viewing->study.draws == 0 ? DRAWS_USUAL
                                                               : viewing->study.draws;
            put_more(viewing, VIEW_CURVES);
        }
    }
    writer_text(writer, viewing->csv || viewing->lines ? "" : "]}");
    if (viewing->failed) {
        computation_fail(&viewing->computation, 500, "the experiment cannot be read");
    }
}

static void work_viewing(struct computation *computation) {
    struct viewing *viewing = (struct viewing *)computation;
    struct store_experiment row;
    study_init(viewing);
    study_ask(viewing);
    if (computation->problems.count > 0) {
        return;
    }
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
    if (viewing->view == VIEW_COMPARE) {
        compare_ask(viewing);
    }
    if (computation->problems.count == 0) {
        put_whole(viewing);
    }
}

/* The form of the answer that was negotiated: CSV, lines of JSON, or a document. */
static void form_take(struct viewing *viewing, struct server *server, struct request *request) {
    viewing->csv = strcmp(request->type, "text/csv") == 0;
    viewing->lines = strcmp(request->type, "application/x-ndjson") == 0;
    computation_init(&viewing->computation, server, request, viewing->csv ? CSV : request->type);
    viewing->computation.release = viewing_release;
}

/* Where each parameter goes. */
static struct query_parameter parameter_of(struct selection *selection, const char *name) {
    const struct query_parameter all[] = {
        {.name = "points", .type = QUERY_TEXT, .text = selection->points},
        {.name = "metrics", .type = QUERY_TEXT, .text = selection->metrics},
        {.name = "in", .type = QUERY_TEXT, .text = selection->unit},
        {.name = "x", .type = QUERY_TEXT, .text = selection->unit},
        {.name = "axis", .type = QUERY_TEXT, .text = selection->axis},
        {.name = "to", .type = QUERY_INTEGER, .low = 0, .high = DESIGN_POINTS, .integer = &selection->to},
        {.name = "bootstrap", .type = QUERY_INTEGER, .low = 0, .high = DRAWS_MOST, .integer = &selection->draws},
        {.name = "draws", .type = QUERY_INTEGER, .low = 1, .high = DRAWS_MOST, .integer = &selection->draws},
        {.name = "keys", .type = QUERY_TEXT, .text = selection->keys},
        {.name = "seeds", .type = QUERY_BOOLEAN, .boolean = &selection->seeds},
        {.name = "mean", .type = QUERY_BOOLEAN, .boolean = &selection->mean},
    };
    size_t i = 0;
    while (i + 1 < COUNT(all) && strcmp(all[i].name, name) != 0) {
        i++;
    }
    return all[i];
}

static void view(struct server *server, struct request *request, enum view view) {
    static const char *const names[][PARAMETERS_MOST + 1] = {
        [VIEW_POINTS] = {"points", "metrics", "in", "bootstrap", NULL},
        [VIEW_TRIALS] = {"points", "metrics", "in", NULL},
        [VIEW_COMPARE] = {"metrics", "in", "axis", "to", NULL},
        [VIEW_CURVES] = {"points", "keys", "seeds", "x", "mean", "draws", NULL},
    };
    struct query_parameter parameters[PARAMETERS_MOST];
    size_t count = 0;
    struct viewing *viewing = calloc(1, sizeof *viewing);
    if (viewing == NULL) {
        http_problem(request, 500, "out of memory");
        return;
    }
    viewing->selection.draws = view == VIEW_CURVES ? DRAWS_USUAL : 0;
    viewing->selection.to = -1;
    for (; names[view][count] != NULL; count++) {
        parameters[count] = parameter_of(&viewing->selection, names[view][count]);
    }
    if (!read_query(request, parameters, count)) {
        free(viewing);
        return;
    }
    if (view == VIEW_CURVES && viewing->selection.keys[0] == '\0') {
        snprintf(viewing->selection.keys, sizeof viewing->selection.keys, "loss,accuracy");
    }
    viewing->view = view;
    snprintf(viewing->id, sizeof viewing->id, "%.37s", request->parameter);
    form_take(viewing, server, request);
    viewing->computation.work = work_viewing;
    computation_start(&viewing->computation, LANE_HEAVY);
}

void route_experiment_points(struct server *server, struct request *request) {
    view(server, request, VIEW_POINTS);
}

void route_experiment_trials(struct server *server, struct request *request) {
    view(server, request, VIEW_TRIALS);
}

void route_experiment_compare(struct server *server, struct request *request) {
    view(server, request, VIEW_COMPARE);
}

void route_experiment_curves(struct server *server, struct request *request) {
    view(server, request, VIEW_CURVES);
}

/* ---- any set of jobs ---- */

/* Whether an entry of a list of texts is there before it. */
static bool is_repeated(const json_t *list, size_t index) {
    for (size_t i = 0; i < index; i++) {
        if (json_equal(json_array_get(list, i), json_array_get(list, index))) {
            return true;
        }
    }
    return false;
}

/* The curves that the request names, as the query of an experiment's curves would; each seed's own where `seeds`. */
static void curves_take(struct viewing *viewing, const json_t *document) {
    struct problems *problems = &viewing->computation.problems;
    const json_t *list = json_object_get(document, "curves"), *seeds = json_object_get(document, "seeds");
    const struct path path = {.name = "curves"};
    size_t index, used = 0;
    json_t *one;
    viewing->selection.seeds = json_is_true(seeds);
    if (seeds != NULL && !json_is_boolean(seeds)) {
        problems_add(problems, NULL, "seeds", "must be true or false");
    }
    if (list != NULL && !json_is_array(list)) {
        problems_add(problems, NULL, "curves", "must be a list of curves of GET /v1/jobs/{id}/metrics");
    }
    json_array_foreach((json_t *)(uintptr_t)list, index, one) {
        const struct path at = {.parent = &path, .index = index};
        const char *key = json_string_value(one);
        size_t room = sizeof viewing->selection.keys - used;
        if (key == NULL || !curve_exists(key) || strlen(key) + 2 > room || is_repeated(list, index)) {
            problems_add(problems, &at, NULL, "must be a curve of GET /v1/jobs/{id}/metrics, each once");
            continue;
        }
        used += (size_t)snprintf(viewing->selection.keys + used, room, "%s%s", used == 0 ? "" : ",", key);
    }
}

/* How curves and intervals are asked for, as the query of an experiment's views would. */
static void view_take(struct viewing *viewing, const json_t *document) {
    struct problems *problems = &viewing->computation.problems;
    struct study *study = &viewing->study;
    const json_t *mean = json_object_get(document, "mean"), *x = json_object_get(document, "x"),
                 *draws = json_object_get(document, "bootstrap");
    if (mean != NULL && !json_is_boolean(mean)) {
        problems_add(problems, NULL, "mean", "must be true or false");
    }
    study->x_given = x != NULL;
    if (x != NULL && !metric_unit_find(json_string_value(x), &study->x)) {
        problems_add(problems, NULL, "x", "must be iterations, trials or seconds");
    }
    if (draws != NULL &&
        (!json_is_integer(draws) || json_integer_value(draws) < 0 || json_integer_value(draws) > DRAWS_MOST)) {
        problems_add(problems, NULL, "bootstrap", "must be an integer from 0 to %d", DRAWS_MOST);
    }
    study->draws = (size_t)json_integer_value(draws);
    viewing->selection.mean = json_is_true(mean);
}

/* Which jobs: listed, or found by a query. */
static void set_take(struct study *study, const json_t *document, struct problems *problems) {
    const json_t *q = json_object_get(document, "q");
    const struct study_set set = {.ids = json_object_get(document, "jobs"),
                                  .q = q == NULL ? NULL : json_string_value(q),
                                  .by = json_object_get(document, "by")};
    if (q != NULL && (set.q == NULL || strlen(set.q) != json_string_length(q))) {
        problems_add(problems, NULL, "q", "must be a query, as GET /v1/jobs takes it");
    } else if (q != NULL && set.ids != NULL) {
        problems_add(problems, NULL, "q", "must be absent where jobs are listed");
    } else {
        study_of_jobs(study, &set, problems);
    }
}

static void work_jobs(struct computation *computation) {
    static const char *const members[] = {"jobs",   "q",     "by",   "metrics", "to",
                                          "curves", "seeds", "mean", "x",       "bootstrap"};
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
    view_take(viewing, document);
    if (problems->count == 0) {
        set_take(study, document, problems);
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
    form_take(viewing, server, request);
    viewing->computation.work = work_jobs;
    computation_start(&viewing->computation, LANE_HEAVY);
}
