/*
 * Routes of jobs: list, get (and wait), act, delete. What a job has left behind is in history.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/field.h"
#include "api/job.h"
#include "api/text.h"
#include "server/routes/replies.h"
#include "server/routes/routes.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define WAIT_SECONDS_MAX 3600

/* ---- list and get ---- */

struct listing {
    struct computation computation; /* first */
    struct store_filter filter;
    char task[QUERY_VALUE_BYTES], rule[QUERY_VALUE_BYTES];
    struct jobs_active *active; /* as read on the loop */
    size_t active_count;
    int count;
    int64_t last;
    bool failed;
};

static const struct jobs_live *active_find(const struct listing *listing, const char *id) {
    for (size_t i = 0; i < listing->active_count; i++) {
        struct jobs_active *active = &listing->active[i];
        if (strcmp(active->id, id) == 0) {
            active->live.stalled = active->live.stalled == NULL ? NULL : active->reason;
            return &active->live;
        }
    }
    return &jobs_live_none;
}

static bool list_job(void *user, const struct store_job *job) {
    struct listing *listing = user;
    struct writer *writer = &listing->computation.writer;
    json_t *document = job_document_with(listing->computation.server, job, active_find(listing, job->id));
    char *text = json_text(document, NULL);
    json_decref(document);
    writer_text(writer, listing->count++ == 0 ? "" : ",");
    writer_text(writer, text == NULL ? "" : text);
    listing->last = job->number;
    listing->failed = text == NULL;
    free(text);
    return !listing->failed && !lane_is_stopped(listing);
}

static void work_listing(struct computation *computation) {
    struct listing *listing = (struct listing *)computation; /* its first member */
    char end[48];
    writer_text(&computation->writer, "{\"jobs\":[");
    int count = store_jobs_list(computation_reader(computation), &listing->filter, list_job, listing);
    if (count < 0 || listing->failed) {
        computation_fail(computation, 500, "the jobs cannot be read");
        return;
    }
    snprintf(end, sizeof end, count == listing->filter.limit ? "],\"next\":\"%lld\"}" : "],\"next\":null}",
             (long long)listing->last);
    writer_text(&computation->writer, end);
}

static void listing_release(struct computation *computation) {
    struct listing *listing = (struct listing *)computation;
    free(listing->active);
    free(listing);
}

/* Filters must name what exists: a typing error must not look like an empty list. */
static bool check_filters(struct request *request, const char *status, const char *task, const char *rule,
                          struct store_filter *filter) {
    struct problems problems = {0};
    enum task_type task_type;
    enum rule_type rule_type;
    filter->by_status = *status != '\0';
    if (*status != '\0' && !job_status_find(status, &filter->status)) {
        problems_add(
            &problems, NULL, "status",
            "must be one of queued, running, pausing, paused, cancelling, succeeded, failed, cancelled; got \"%.60s\"",
            status);
    }
    if (*task != '\0' && !task_type_find(task, &task_type)) {
        problems_add(&problems, NULL, "task", "must be a task's type (GET /v1/tasks lists them); got \"%.60s\"", task);
    }
    if (*rule != '\0' && !rule_type_find(rule, &rule_type)) {
        problems_add(&problems, NULL, "rule", "must be a rule's type (GET /v1/rules lists them); got \"%.60s\"", rule);
    }
    filter->task = *task == '\0' ? NULL : task;
    filter->rule = *rule == '\0' ? NULL : rule;
    if (problems.count > 0) {
        reply_problems(request, 422, "the query has bad parameters", &problems);
        return false;
    }
    return true;
}

void route_jobs(struct server *server, struct request *request) {
    char status[QUERY_VALUE_BYTES] = "";
    int64_t limit = 20;
    struct listing *listing = calloc(1, sizeof *listing);
    if (listing == NULL) {
        http_problem(request, 500, "out of memory");
        return;
    }
    listing->filter.before = INT64_MAX;
    const struct query_parameter parameters[] = {
        {.name = "status", .type = QUERY_TEXT, .text = status},
        {.name = "task", .type = QUERY_TEXT, .text = listing->task},
        {.name = "rule", .type = QUERY_TEXT, .text = listing->rule},
        {.name = "limit", .type = QUERY_INTEGER, .low = 1, .high = 100, .integer = &limit},
        {.name = "after", .type = QUERY_INTEGER, .low = 1, .high = INT64_MAX, .integer = &listing->filter.before},
    };
    if (!read_query(request, parameters, COUNT(parameters)) ||
        !check_filters(request, status, listing->task, listing->rule, &listing->filter)) {
        free(listing);
        return;
    }
    listing->filter.limit = (int)limit;
    listing->active = jobs_active_read(server->jobs, &listing->active_count);
    computation_init(&listing->computation, server, request, "application/json");
    listing->computation.work = work_listing;
    listing->computation.release = listing_release;
    computation_start(&listing->computation, LANE_READS);
}

void route_job(struct server *server, struct request *request) {
    int64_t wait = 0;
    const struct query_parameter parameters[] = {
        {.name = "wait", .type = QUERY_INTEGER, .low = 0, .high = WAIT_SECONDS_MAX, .integer = &wait}};
    struct store_job job;
    if (!read_query(request, parameters, COUNT(parameters)) || !read_job(server, request, &job)) {
        return;
    }
    bool waits = wait > 0 && !job_status_is_final(job.status) && !request->head_only;
    if (!waits || !waits_add(&server->waits, request, job.id, wait)) {
        http_reply_json(request, 200, job_document(server, &job));
    }
    store_job_release(&job);
}

/* ---- acting ---- */

struct acting {
    struct server *server;
    struct request *request;
    enum jobs_action action;
};

static void on_acted(void *user, enum jobs_result result, const char *id, const char *detail) {
    static const char *const names[] = {
        [JOBS_CANCEL] = "cancel", [JOBS_PAUSE] = "pause", [JOBS_RESUME] = "resume", [JOBS_DELETE] = "delete"};
    struct acting *acting = user;
    const struct request *request = acting->request;
    log_info(result == JOBS_DONE ? "job changed" : "job not changed", LOG_T("job", id),
             LOG_T("action", names[acting->action]), LOG_T("reason", detail), LOG_T("request_id", request->id),
             LOG_T("token", request->identity[0] == '\0' ? NULL : request->identity));
    if (result != JOBS_DONE) {
        reply_refusal(acting->request, result, detail);
    } else if (acting->action == JOBS_DELETE) {
        http_reply_empty(acting->request, 204);
    } else {
        reply_job(acting->server, acting->request, 200, id);
    }
    free(acting);
}

static void act(struct server *server, struct request *request, enum jobs_action action) {
    struct acting *acting = calloc(1, sizeof *acting);
    if (acting == NULL) {
        http_problem(request, 500, "out of memory");
        return;
    }
    *acting = (struct acting){server, request, action};
    jobs_act(server->jobs, request->parameter, action, on_acted, acting);
}

void route_cancel(struct server *server, struct request *request) {
    act(server, request, JOBS_CANCEL);
}

void route_pause(struct server *server, struct request *request) {
    act(server, request, JOBS_PAUSE);
}

void route_resume(struct server *server, struct request *request) {
    act(server, request, JOBS_RESUME);
}

void route_delete(struct server *server, struct request *request) {
    int held = store_job_is_held(server->reader, request->parameter);
    if (held != 0) {
        http_problem(request, held < 0 ? 500 : 409,
                     held < 0 ? "the database cannot be read"
                              : "an experiment holds this job; delete the experiment instead");
        return;
    }
    act(server, request, JOBS_DELETE);
}
