/*
 * Routes of jobs: list, get (and wait), act, delete. What a job has left behind is in history.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/field.h"
#include "api/job.h"
#include "api/search.h"
#include "api/text.h"
#include "server/routes/replies.h"
#include "server/routes/routes.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define WAIT_SECONDS_MAX 3600

/* ---- list and get ---- */

struct listing {
    struct computation computation; /* first */
    struct search search;
    struct store_page page;
    struct jobs_active *active; /* as read on the loop */
    size_t active_count;
    int count;
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
    listing->failed = text == NULL;
    free(text);
    return !listing->failed && !lane_is_stopped(listing);
}

static void work_listing(struct computation *computation) {
    struct listing *listing = (struct listing *)computation; /* its first member */
    struct store_found found;
    writer_text(&computation->writer, "{\"jobs\":[");
    int count = store_jobs_find(computation_reader(computation), &listing->page, &found, list_job, listing);
    if (count < 0 || listing->failed) {
        computation_fail(computation, 500, "the jobs cannot be read");
        return;
    }
    page_end(&computation->writer, &found);
}

static void listing_release(struct computation *computation) {
    struct listing *listing = (struct listing *)computation;
    free(listing->active);
    free(listing);
}

/* The parameters status, task and rule are terms of the search, as are those of q. */
static bool read_listing(struct request *request, struct listing *listing) {
    static const char *const names[] = {"status", "task", "rule"};
    char q[SEARCH_BYTES] = "", equal[COUNT(names)][QUERY_VALUE_BYTES] = {"", "", ""};
    struct problems problems = {0};
    int64_t limit = 20;
    const struct query_parameter parameters[] = {
        {.name = "q", .type = QUERY_TEXT, .text = q, .room = sizeof q},
        {.name = "status", .type = QUERY_TEXT, .text = equal[0]},
        {.name = "task", .type = QUERY_TEXT, .text = equal[1]},
        {.name = "rule", .type = QUERY_TEXT, .text = equal[2]},
        {.name = "limit", .type = QUERY_INTEGER, .low = 1, .high = 100, .integer = &limit},
        {.name = "after", .type = QUERY_INTEGER, .low = 1, .high = INT64_MAX, .integer = &listing->page.before},
    };
    listing->page = (struct store_page){.search = &listing->search, .before = INT64_MAX};
    if (!read_query(request, parameters, COUNT(parameters))) {
        return false;
    }
    listing->page.limit = (int)limit;
    search_read(&listing->search, SEARCH_JOBS, q, "q", &problems);
    for (size_t i = 0; i < COUNT(names); i++) {
        if (equal[i][0] != '\0') {
            search_equal(&listing->search, SEARCH_JOBS, names[i], equal[i], &problems);
        }
    }
    if (problems.count > 0) {
        reply_problems(request, 422, "the query has bad parameters", &problems);
        return false;
    }
    return true;
}

void route_jobs(struct server *server, struct request *request) {
    struct listing *listing = calloc(1, sizeof *listing);
    if (listing == NULL) {
        http_problem(request, 500, "out of memory");
        return;
    }
    if (!read_listing(request, listing)) {
        free(listing);
        return;
    }
    listing->active = jobs_active_read(server->jobs, &listing->active_count);
    listing->page.stopped = lane_is_stopped;
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
