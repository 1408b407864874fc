/*
 * Routes of experiments: submit, validate, list, get, act, delete. What they found is in results of experiments
 * (studies.c).
 *
 * A specification is read and every point checked in a lane; the loop then stores it. Documents are made in a lane
 * too, since counting trials takes time in proportion to their number.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/event.h"
#include "api/field.h"
#include "api/search.h"
#include "api/text.h"
#include "server/experiments/experiments.h"
#include "server/experiments/growth.h"
#include "server/routes/keys.h"
#include "server/routes/replies.h"
#include "server/routes/routes.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* ---- documents ---- */

struct counting {
    int64_t of[JOB_STATUSES], all;
};

static bool count_status(void *user, enum job_status status, int64_t count) {
    struct counting *counting = user;
    counting->of[status] += count;
    counting->all += count;
    return true;
}

static json_t *time_or_null(int64_t milliseconds) {
    char text[TIME_TEXT_BYTES];
    if (milliseconds == 0) {
        return json_null();
    }
    time_text(milliseconds, text);
    return json_string(text);
}

/* What a cancelled experiment never made waits for nothing: it is cancelled too. */
static json_t *counts_document(const struct store_experiment *row, const struct counting *counting) {
    const int64_t *of = counting->of, unmade = row->trials - counting->all;
    const bool is_over = row->state == EXPERIMENT_CANCELLED;
    const json_int_t running = of[JOB_RUNNING] + of[JOB_PAUSING] + of[JOB_CANCELLING];
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "waiting", (json_int_t)(is_over ? 0 : unmade), "queued",
                     (json_int_t)of[JOB_QUEUED], "running", running, "paused", (json_int_t)of[JOB_PAUSED], "succeeded",
                     (json_int_t)of[JOB_SUCCEEDED], "failed", (json_int_t)of[JOB_FAILED], "cancelled",
                     (json_int_t)of[JOB_CANCELLED] + (is_over ? (json_int_t)unmade : 0));
}

static json_t *links_document(const char *id) {
    static const char *const names[] = {"points", "trials", "compare", "curves", "events"};
    json_t *links = json_pack("{s:o}", "self", json_sprintf("/v1/experiments/%s", id));
    for (size_t i = 0; i < COUNT(names); i++) {
        json_object_set_new(links, names[i], json_sprintf("/v1/experiments/%s/%s", id, names[i]));
    }
    return links;
}

/* In a lane. `whole`: with the specification. NULL where it cannot be read. */
static json_t *experiment_document(struct store_reader *reader, const struct store_experiment *row, const char *reason,
                                   bool whole) {
    struct counting counting = {0};
    if (store_trials_count(reader, row->number, count_status, &counting) < 0) {
        return NULL;
    }
    json_t *document = json_pack("{s:s, s:s, s:s?, s:s, s:o?, s:s?, s:o, s:o, s:I, s:I, s:o}", "id", row->id, "status",
                                 experiment_state_name(row->state), "name", *row->name == '\0' ? NULL : row->name,
                                 "notes", row->notes, "tags", json_loads(row->tags, 0, NULL), "reason", reason,
                                 "created_at", time_or_null(row->created), "finished_at", time_or_null(row->finished),
                                 "points", (json_int_t)row->points, "trials", (json_int_t)row->trials, "counts",
                                 counts_document(row, &counting));
    if (whole) {
        json_object_set_new(document, "specification", json_loads(row->document, 0, NULL));
    }
    json_object_set_new(document, "links", links_document(row->id));
    return document;
}

/* ---- get ---- */

struct looking {
    struct computation computation; /* first */
    char id[STORE_ID_BYTES + 1];    /* one more than an id has, so that what is too long stays unknown */
    char reason[256];
};

static void work_looking(struct computation *computation) {
    struct looking *looking = (struct looking *)computation;
    struct store_reader *reader = computation_reader(computation);
    struct store_experiment row;
    int found = store_experiment_read(reader, looking->id, &row);
    if (found != 1) {
        computation_fail(computation, found == 0 ? 404 : 500,
                         found == 0 ? "there is no experiment %.60s" : "the experiment %.60s cannot be read",
                         looking->id);
        return;
    }
    json_t *document = experiment_document(reader, &row, looking->reason[0] == '\0' ? NULL : looking->reason, true);
    char *text = json_text(document, NULL);
    if (text == NULL) {
        computation_fail(computation, 500, "the experiment cannot be read");
    } else {
        writer_text(&computation->writer, text);
    }
    free(text);
    json_decref(document);
    store_experiment_release(&row);
}

static void computation_free(struct computation *computation) {
    free(computation); /* the first member of what belongs to it */
}

/* Answers with the experiment as it is, from a lane. */
static void reply_experiment(struct server *server, struct request *request, int status, const char *id) {
    struct looking *looking = calloc(1, sizeof *looking);
    const char *reason = experiments_reason(server->experiments, id);
    if (looking == NULL) {
        http_problem(request, 500, "out of memory");
        return;
    }
    snprintf(looking->id, sizeof looking->id, "%.37s", id);
    snprintf(looking->reason, sizeof looking->reason, "%s", reason == NULL ? "" : reason);
    computation_init(&looking->computation, server, request, "application/json");
    looking->computation.status = status;
    looking->computation.work = work_looking;
    looking->computation.release = computation_free;
    computation_start(&looking->computation, LANE_READS);
}

void route_experiment(struct server *server, struct request *request) {
    reply_experiment(server, request, 200, request->parameter);
}

/* ---- list ---- */

struct listing {
    struct computation computation; /* first */
    struct search search;
    struct store_page page;
    int count;
    bool failed;
};

static bool list_experiment(void *user, const struct store_experiment *row) {
    struct listing *listing = user;
    struct writer *writer = &listing->computation.writer;
    json_t *document = experiment_document(computation_reader(&listing->computation), row, NULL, false);
    char *text = json_text(document, NULL);
    json_decref(document);
    writer_text(writer, listing->count++ == 0 ? "" : ",");
    writer_text(writer, text == NULL ? "" : text);
    listing->failed = text == NULL;
    free(text);
    return !listing->failed && !lane_is_stopped(listing);
}

static void work_listing(struct computation *computation) {
    struct listing *listing = (struct listing *)computation;
    struct store_found found;
    writer_text(&computation->writer, "{\"experiments\":[");
    int count = store_experiments_find(computation_reader(computation), &listing->page, &found, list_experiment,
                                       listing);
    if (count < 0 || listing->failed) {
        computation_fail(computation, 500, "the experiments cannot be read");
        return;
    }
    page_end(&computation->writer, &found);
}

static bool read_listing(struct request *request, struct listing *listing) {
    char q[SEARCH_BYTES] = "";
    struct problems problems = {0};
    int64_t limit = 20;
    const struct query_parameter parameters[] = {
        {.name = "q", .type = QUERY_TEXT, .text = q, .room = sizeof q},
        {.name = "limit", .type = QUERY_INTEGER, .low = 1, .high = 100, .integer = &limit},
        {.name = "after", .type = QUERY_INTEGER, .low = 1, .high = INT64_MAX, .integer = &listing->page.before},
    };
    listing->page = (struct store_page){.search = &listing->search, .before = INT64_MAX, .stopped = lane_is_stopped};
    if (!read_query(request, parameters, COUNT(parameters))) {
        return false;
    }
    listing->page.limit = (int)limit;
    if (!search_read(&listing->search, SEARCH_EXPERIMENTS, q, "q", &problems)) {
        reply_problems(request, 422, "the query has bad parameters", &problems);
        return false;
    }
    return true;
}

void route_experiments(struct server *server, struct request *request) {
    struct listing *listing = calloc(1, sizeof *listing);
    if (listing == NULL) {
        http_problem(request, 500, "out of memory");
        return;
    }
    if (!read_listing(request, listing)) {
        free(listing);
        return;
    }
    computation_init(&listing->computation, server, request, "application/json");
    listing->computation.work = work_listing;
    listing->computation.release = computation_free;
    computation_start(&listing->computation, LANE_READS);
}

/* ---- submit and validate ---- */

struct creation {
    struct computation computation; /* first */
    struct keyed keyed;
    struct design design;
    char *text;
    bool validate_only;
    struct experiment_costs costs;
};

static void creation_release(struct computation *computation) {
    struct creation *creation = (struct creation *)computation;
    keyed_end(computation->server, &creation->keyed);
    design_release(&creation->design);
    problems_release(&computation->problems);
    spool_release(&computation->out);
    free(creation->text);
    free(creation);
}

static void run_creation(struct lane_task *task) {
    struct creation *creation = (struct creation *)task;
    struct computation *computation = &creation->computation;
    json_t *document = computation_body(computation);
    if (document == NULL) {
        return;
    }
    design_read(&creation->design, document, &computation->problems);
    design_sent_check(document, &computation->problems);
    json_decref(document);
    if (computation->problems.count == 0) {
        experiment_check(&creation->design, &computation->server->admission, computation_reader(computation),
                         lane_is_stopped, task, &computation->problems, &creation->costs);
    }
    if (computation->problems.count == 0) {
        creation->text = json_text(creation->design.document, NULL);
    }
    computation_tidy(computation);
}

static json_t *validated_document(struct creation *creation) {
    const struct design *design = &creation->design;
    struct server *server = creation->computation.server;
    double hours = creation->costs.multiply_adds / jobs_rate(server->jobs, RATE_TRAINING) / 3600.0;
    return json_pack("{s:I, s:I, s:I, s:{s:f, s:o, s:f, s:f}}", "points", (json_int_t)design->points, "seeds",
                     (json_int_t)design->seed_count, "trials", (json_int_t)design_trials(design), "estimate",
                     "multiply_adds", creation->costs.multiply_adds, "core_hours", json_number_or_null(hours), "bytes",
                     creation->costs.bytes, "memory_bytes", creation->costs.memory);
}

static void on_created(void *user, enum jobs_result result, const char *id, const char *detail) {
    struct creation *creation = user;
    struct request *request = creation->computation.request;
    struct server *server = creation->computation.server;
    if (result == JOBS_DONE) {
        char location[80];
        snprintf(location, sizeof location, "/v1/experiments/%s", id);
        http_header_set(request, "Location", location);
        log_info("experiment submitted", LOG_T("experiment", id), LOG_T("request_id", request->id),
                 LOG_T("token", request->identity[0] == '\0' ? NULL : request->identity));
        reply_experiment(server, request, 201, id);
    } else {
        reply_refusal(request, result, detail);
    }
    creation_release(&creation->computation);
}

/* Whether what the lane read may not go on to the experiments: it was answered then. `faults`: what bad fields make. */
static bool is_refused(struct computation *computation, const char *faults) {
    struct request *request = computation->request;
    if (computation->task.outcome != LANE_GO) {
        reply_stopped(request, &computation->task);
    } else if (computation->server->state != SERVER_READY) {
        http_problem(request, 503, "the daemon is shutting down");
    } else if (computation->status >= 400) {
        reply_problems(request, computation->status, computation->detail, &computation->problems); /* no JSON */
    } else if (computation->problems.count > 0) {
        reply_problems(request, 422, faults, &computation->problems);
    } else {
        return false;
    }
    return true;
}

static void finish_creation(struct lane_task *task) {
    struct creation *creation = (struct creation *)task;
    struct computation *computation = &creation->computation;
    struct request *request = computation->request;
    bool refused = is_refused(computation, "the experiment has bad fields");
    if (!refused && creation->validate_only) {
        http_reply_json(request, 200, validated_document(creation));
    }
    if (refused || creation->validate_only) {
        creation_release(computation);
        return;
    }
    const struct experiments_submission wanted = {.design = &creation->design,
                                                  .document = creation->text,
                                                  .owner = http_holder(request),
                                                  .key = creation->keyed.key,
                                                  .body = creation->keyed.body_sha256};
    creation->text = NULL;
    experiments_submit(computation->server->experiments, &wanted, on_created, creation);
}

static void submit(struct server *server, struct request *request, bool validate_only) {
    struct creation *creation = calloc(1, sizeof *creation);
    char known[STORE_ID_BYTES] = "";
    if (creation == NULL) {
        http_problem(request, 503, "out of memory");
        return;
    }
    computation_init(&creation->computation, server, request, NULL);
    creation->computation.task.run = run_creation;
    creation->computation.task.finish = finish_creation;
    creation->computation.release = creation_release;
    creation->validate_only = validate_only;
    if (!validate_only && !keyed_begin(server, request, "experiments\n", &creation->keyed, known)) {
        creation_release(&creation->computation);
        if (known[0] != '\0') {
            reply_experiment(server, request, 201, known);
        }
        return;
    }
    computation_start(&creation->computation, LANE_CHECKS);
}

void route_experiment_submit(struct server *server, struct request *request) {
    submit(server, request, false);
}

void route_experiment_validate(struct server *server, struct request *request) {
    submit(server, request, true);
}

/* ---- edit ---- */

struct editing {
    struct computation computation; /* first */
    struct design design;           /* the new one */
    struct experiments_edit edit;
    char *before, *text;
};

static void editing_release(struct computation *computation) {
    struct editing *editing = (struct editing *)computation;
    design_release(&editing->design);
    problems_release(&computation->problems);
    spool_release(&computation->out);
    free(editing->before);
    free(editing->text);
    free(editing);
}

/* The specification with the changes, read and (if it has grown) checked. */
static void design_edit(struct editing *editing, const struct store_experiment *row, const json_t *changes) {
    struct computation *computation = &editing->computation;
    struct problems *problems = &computation->problems;
    struct design before;
    struct experiment_costs costs = {0};
    if (!experiment_design(row, &before)) {
        computation_fail(computation, 500, "the experiment cannot be read");
        design_release(&before);
        return;
    }
    design_sent_check(changes, problems);
    json_t *document = design_change(&before, changes, &editing->edit.grown, problems);
    design_release(&before);
    if (document != NULL) {
        design_read(&editing->design, document, problems);
    }
    json_decref(document);
    if (problems->count == 0 && editing->edit.grown) {
        experiment_check(&editing->design, &computation->server->admission, computation_reader(computation),
                         lane_is_stopped, editing, problems, &costs);
    }
    if (problems->count == 0) {
        editing->text = json_text(editing->design.document, NULL);
        editing->before = strdup(row->document);
    }
    if (problems->count == 0 && (editing->text == NULL || editing->before == NULL)) {
        computation_fail(computation, 500, "out of memory");
    }
}

static void run_editing(struct lane_task *task) {
    struct editing *editing = (struct editing *)task;
    struct computation *computation = &editing->computation;
    const char *id = computation->request->parameter;
    json_t *changes = computation_body(computation);
    struct store_experiment row;
    if (changes == NULL) {
        return;
    }
    int found = store_experiment_read(computation_reader(computation), id, &row);
    if (found != 1) {
        computation_fail(computation, found == 0 ? 404 : 500,
                         found == 0 ? "there is no experiment %.60s" : "the experiment %.60s cannot be read", id);
    } else {
        design_edit(editing, &row, changes);
        store_experiment_release(&row);
    }
    json_decref(changes);
    computation_tidy(computation);
}

static void on_edited(void *user, enum jobs_result result, const char *id, const char *detail) {
    struct editing *editing = user;
    struct request *request = editing->computation.request;
    struct server *server = editing->computation.server;
    log_info("experiment", LOG_T("experiment", id), LOG_T("action", editing->edit.grown ? "extend" : "edit"),
             LOG_T("done", result == JOBS_DONE ? "yes" : "no"), LOG_T("reason", detail),
             LOG_T("request_id", request->id));
    if (result == JOBS_UNKNOWN) {
        http_problem(request, 404, "there is no experiment %.60s", request->parameter);
    } else if (result != JOBS_DONE) {
        reply_refusal(request, result, detail);
    } else {
        reply_experiment(server, request, 200, id);
    }
    editing_release(&editing->computation);
}

static void finish_editing(struct lane_task *task) {
    struct editing *editing = (struct editing *)task;
    struct computation *computation = &editing->computation;
    if (is_refused(computation, "the change has bad fields")) {
        editing_release(computation);
        return;
    }
    editing->edit.design = &editing->design;
    editing->edit.document = editing->text;
    editing->edit.before = editing->before;
    experiments_edit(computation->server->experiments, computation->request->parameter, &editing->edit, on_edited,
                     editing);
}

void route_experiment_edit(struct server *server, struct request *request) {
    struct editing *editing = calloc(1, sizeof *editing);
    if (editing == NULL) {
        http_problem(request, 503, "out of memory");
        return;
    }
    computation_init(&editing->computation, server, request, NULL);
    editing->computation.task.run = run_editing;
    editing->computation.task.finish = finish_editing;
    editing->computation.release = editing_release;
    computation_start(&editing->computation, LANE_CHECKS);
}

/* ---- acting ---- */

struct acting {
    struct server *server;
    struct request *request;
    enum experiments_action action;
};

static void on_acted(void *user, enum jobs_result result, const char *id, const char *detail) {
    static const char *const names[] = {[EXPERIMENTS_PAUSE] = "pause",
                                        [EXPERIMENTS_RESUME] = "resume",
                                        [EXPERIMENTS_CANCEL] = "cancel",
                                        [EXPERIMENTS_RETRY] = "retry",
                                        [EXPERIMENTS_DELETE] = "delete"};
    struct acting acting = *(struct acting *)user;
    struct request *request = acting.request;
    free(user);
    log_info("experiment", LOG_T("experiment", id), LOG_T("action", names[acting.action]),
             LOG_T("done", result == JOBS_DONE ? "yes" : "no"), LOG_T("reason", detail),
             LOG_T("request_id", request->id));
    if (result == JOBS_UNKNOWN) {
        http_problem(request, 404, "there is no experiment %.60s", request->parameter);
    } else if (result != JOBS_DONE) {
        reply_refusal(request, result, detail);
    } else if (acting.action == EXPERIMENTS_DELETE) {
        http_reply_empty(request, 204);
    } else {
        reply_experiment(acting.server, request, 200, id);
    }
}

static void act(struct server *server, struct request *request, enum experiments_action action) {
    struct acting *acting = malloc(sizeof *acting);
    if (acting == NULL) {
        http_problem(request, 500, "out of memory");
        return;
    }
    *acting = (struct acting){server, request, action};
    experiments_act(server->experiments, request->parameter, action, on_acted, acting);
}

void route_experiment_pause(struct server *server, struct request *request) {
    act(server, request, EXPERIMENTS_PAUSE);
}

void route_experiment_resume(struct server *server, struct request *request) {
    act(server, request, EXPERIMENTS_RESUME);
}

void route_experiment_cancel(struct server *server, struct request *request) {
    act(server, request, EXPERIMENTS_CANCEL);
}

void route_experiment_retry(struct server *server, struct request *request) {
    act(server, request, EXPERIMENTS_RETRY);
}

void route_experiment_delete(struct server *server, struct request *request) {
    act(server, request, EXPERIMENTS_DELETE);
}
