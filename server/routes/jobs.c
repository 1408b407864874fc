/*
 * Routes of jobs: list, get (and wait), act, delete, events, checkpoints.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/event.h"
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

/* ---- events ---- */

struct page {
    struct computation computation; /* first */
    char job[STORE_ID_BYTES];       /* "" : of all jobs */
    int64_t after, last;
    int limit, count;
};

static bool page_event(void *user, const struct store_event *event) {
    struct page *page = user;
    writer_text(&page->computation.writer, page->count++ == 0 ? "" : ",");
    writer_text(&page->computation.writer, event->json);
    page->last = page->job[0] != '\0' ? event->id : event->seq;
    return true;
}

static void work_page(struct computation *computation) {
    struct page *page = (struct page *)computation; /* its first member */
    char end[48];
    writer_text(&computation->writer, "{\"events\":[");
    int count = store_events_read(computation_reader(computation), page->job[0] != '\0' ? page->job : NULL, page->after,
                                  page->limit, page_event, page);
    if (count < 0) {
        computation_fail(computation, 500, "the events cannot be read");
        return;
    }
    snprintf(end, sizeof end, count == page->limit ? "],\"next\":%lld}" : "],\"next\":null}", (long long)page->last);
    writer_text(&computation->writer, end);
}

static void page_release(struct computation *computation) {
    free(computation); /* the first member of the page */
}

static void reply_page(struct server *server, struct request *request, const char *job, int64_t after, int64_t limit) {
    struct page *page = calloc(1, sizeof *page);
    if (page == NULL) {
        http_problem(request, 500, "out of memory");
        return;
    }
    snprintf(page->job, sizeof page->job, "%s", job == NULL ? "" : job);
    page->after = after;
    page->limit = (int)limit;
    computation_init(&page->computation, server, request, "application/json");
    page->computation.work = work_page;
    page->computation.release = page_release;
    computation_start(&page->computation, LANE_READS);
}

struct emission {
    bool (*emit)(void *to, const struct stream_event *event);
    void *to;
};

static bool emit_event(void *user, const struct store_event *event) {
    const struct emission *emission = user;
    const struct stream_event view = stream_event_of(event);
    return emission->emit(emission->to, &view);
}

int routes_page(void *user, const char *job, int64_t after, int limit,
                bool (*emit)(void *to, const struct stream_event *event), void *to) {
    struct server *server = user;
    struct emission emission = {emit, to};
    return store_events_read(server->reader, job, after, limit, emit_event, &emission);
}

/* The cursor: ?after=, else Last-Event-ID. -1: neither. False, after answering, if one is malformed. */
static bool read_cursor(struct request *request, int64_t *after, int64_t *limit, bool *weights) {
    const struct query_parameter parameters[] = {
        {.name = "after", .type = QUERY_INTEGER, .low = 0, .high = INT64_MAX, .integer = after},
        {.name = "limit", .type = QUERY_INTEGER, .low = 1, .high = 1000, .integer = limit},
        {.name = "weights", .type = QUERY_BOOLEAN, .boolean = weights},
    };
    const char *last = http_header(request, "Last-Event-ID");
    *after = -1;
    if (!read_query(request, parameters, COUNT(parameters) - (weights == NULL))) {
        return false;
    }
    if (*after < 0 && last != NULL && *last != '\0') {
        char *end;
        errno = 0;
        *after = strtoll(last, &end, 10);
        if (*end != '\0' || last[strspn(last, "0123456789")] != '\0' || errno != 0) {
            http_problem(request, 400,
                         "Last-Event-ID must be the id of an event, an integer of at least 0; got \"%.60s\"", last);
            return false;
        }
    }
    return true;
}

void route_job_events(struct server *server, struct request *request) {
    int64_t after, limit = 100;
    bool weights = false;
    struct store_job job;
    if (!read_cursor(request, &after, &limit, &weights) || !read_job(server, request, &job)) {
        return;
    }
    after = after < 0 ? 0 : after;
    if (strcmp(request->type, "application/json") == 0) {
        reply_page(server, request, job.id, after, limit);
    } else if (job_status_is_final(job.status) && after >= job.events) {
        http_reply_empty(request, 204);
    } else {
        /*
         * a client that claims to have seen an event that does not exist (the store is an older one) gets what comes:
         * waiting for it would never end
         */
        after = after > job.events ? job.events : after;
        const struct stream_options options = {
            .job = job.id, .after = after, .sse = strcmp(request->type, "text/event-stream") == 0, .weights = weights};
        streams_open(server->streams, request, 200, &options);
    }
    store_job_release(&job);
}

void route_events(struct server *server, struct request *request) {
    int64_t after, limit = 100;
    if (!read_cursor(request, &after, &limit, NULL)) {
        return;
    }
    if (strcmp(request->type, "application/json") == 0) {
        reply_page(server, request, NULL, after < 0 ? 0 : after, limit);
        return;
    }
    const int64_t newest = store_seq_last(server->reader);
    const struct stream_options options = {.after = after < 0 || after > newest ? newest : after,
                                           .live = after < 0,
                                           .sse = strcmp(request->type, "text/event-stream") == 0,
                                           .endless = true};
    streams_open(server->streams, request, 200, &options);
}

/* ---- checkpoints ---- */

static bool list_checkpoint(void *user, const struct store_checkpoint *checkpoint) {
    char created[TIME_TEXT_BYTES], link[160];
    time_text(checkpoint->created, created);
    snprintf(link, sizeof link, "/v1/jobs/%s/weights?iteration=%lld", checkpoint->job,
             (long long)checkpoint->iteration);
    json_array_append_new(
        user, json_pack("{s:I, s:o, s:I, s:s, s:s, s:{s:s}}", "iteration", (json_int_t)checkpoint->iteration, "loss",
                        json_number_or_null(checkpoint->loss), "size", (json_int_t)checkpoint->size, "sha256",
                        checkpoint->sha256, "created_at", created, "links", "weights", link));
    return true;
}

void route_checkpoints(struct server *server, struct request *request) {
    struct store_job job;
    if (!read_job(server, request, &job)) {
        return;
    }
    json_t *list = json_array();
    if (store_checkpoints_list(server->reader, job.id, list_checkpoint, list) < 0) {
        json_decref(list);
        http_problem(request, 500, "the checkpoints cannot be read");
    } else {
        http_reply_json(request, 200, json_pack("{s:o}", "checkpoints", list));
    }
    store_job_release(&job);
}

void route_manifest(struct server *server, struct request *request) {
    struct store_job job;
    if (!read_job(server, request, &job)) {
        return;
    }
    if (job_status_is_final(job.status)) {
        http_reply_json(request, 200, manifest_document(&job));
    } else {
        http_problem(request, 409, "the job is %s; its manifest exists once it has ended", job_status_name(job.status));
    }
    store_job_release(&job);
}
