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
#include "server/routes/replies.h"
#include "server/routes/routes.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define WAIT_SECONDS_MAX 3600
#define WAITERS_MAX 4096

/* ---- list and get ---- */

struct listing {
    struct server *server;
    json_t *jobs;
    int64_t last;
};

static bool list_job(void *user, const struct store_job *job) {
    struct listing *listing = user;
    json_array_append_new(listing->jobs, job_document(listing->server, job));
    listing->last = job->number;
    return true;
}

/* Filters name what exists: a typing error must not look like an empty list. */
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
        reply_problems(request, 422, "the query has faults", &problems);
        return false;
    }
    return true;
}

void route_jobs(struct server *server, struct request *request) {
    char status[QUERY_VALUE_BYTES] = "", task[QUERY_VALUE_BYTES] = "", rule[QUERY_VALUE_BYTES] = "";
    int64_t limit = 20, after = INT64_MAX;
    const struct query_parameter parameters[] = {
        {.name = "status", .type = QUERY_TEXT, .text = status},
        {.name = "task", .type = QUERY_TEXT, .text = task},
        {.name = "rule", .type = QUERY_TEXT, .text = rule},
        {.name = "limit", .type = QUERY_INTEGER, .low = 1, .high = 100, .integer = &limit},
        {.name = "after", .type = QUERY_INTEGER, .low = 1, .high = INT64_MAX, .integer = &after},
    };
    struct store_filter filter = {0};
    if (!read_query(request, parameters, COUNT(parameters)) || !check_filters(request, status, task, rule, &filter)) {
        return;
    }
    filter.before = after;
    filter.limit = (int)limit;
    struct listing listing = {.server = server, .jobs = json_array()};
    int count = store_jobs_list(server->reader, &filter, list_job, &listing);
    if (count < 0) {
        json_decref(listing.jobs);
        http_problem(request, 500, "the jobs cannot be read");
        return;
    }
    char next[24];
    snprintf(next, sizeof next, "%lld", (long long)listing.last);
    http_reply_json(
        request, 200,
        json_pack("{s:o, s:o}", "jobs", listing.jobs, "next", count == limit ? json_string(next) : json_null()));
}

/* A request that waits for its job's end. */
struct waiting {
    struct waiting *next;
    struct request *request;
    char job[STORE_ID_BYTES];
    uint64_t deadline; /* ms */
};

static size_t waiting_count(const struct server *server) {
    size_t count = 0;
    for (const struct waiting *w = server->waiting; w != NULL; w = w->next) {
        count++;
    }
    return count;
}

/*
 * Answers those that wait for `job` (NULL: whose time is over). Entries are unlinked first: answering may run other
 * handlers.
 */
static void waiting_answer(struct server *server, const char *job, uint64_t now) {
    struct waiting *ready = NULL;
    for (struct waiting **link = &server->waiting; *link != NULL;) {
        struct waiting *w = *link;
        if (job != NULL ? strcmp(w->job, job) == 0 : now >= w->deadline) {
            *link = w->next;
            w->next = ready;
            ready = w;
        } else {
            link = &w->next;
        }
    }
    while (ready != NULL) {
        struct waiting *w = ready;
        ready = w->next;
        reply_job(server, w->request, 200, w->job);
        free(w);
    }
}

void routes_event(struct server *server, const struct stream_event *event) {
    if (event->terminal) {
        waiting_answer(server, event->job, 0);
    }
}

void routes_tick(struct server *server, uint64_t now) {
    waiting_answer(server, NULL, now);
}

void routes_end(struct server *server) {
    while (server->waiting != NULL) {
        struct waiting *w = server->waiting;
        server->waiting = w->next;
        http_problem(w->request, 503, "the daemon is shutting down");
        free(w);
    }
}

void route_job(struct server *server, struct request *request) {
    int64_t wait = 0;
    const struct query_parameter parameters[] = {
        {.name = "wait", .type = QUERY_INTEGER, .low = 0, .high = WAIT_SECONDS_MAX, .integer = &wait}};
    struct store_job job;
    if (!read_query(request, parameters, COUNT(parameters)) || !read_job(server, request, &job)) {
        return;
    }
    struct waiting *waiting = NULL;
    if (wait > 0 && !job_status_is_final(job.status) && !request->head_only && waiting_count(server) < WAITERS_MAX) {
        waiting = calloc(1, sizeof *waiting);
    }
    if (waiting == NULL) {
        http_reply_json(request, 200, job_document(server, &job));
    } else {
        waiting->request = request;
        memcpy(waiting->job, job.id, sizeof waiting->job);
        waiting->deadline = clock_milliseconds() + (uint64_t)wait * 1000;
        waiting->next = server->waiting;
        server->waiting = waiting;
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
    log_info(result == JOBS_DONE ? "job told" : "job not told", LOG_T("job", id),
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
    act(server, request, JOBS_DELETE);
}

/* ---- events ---- */

struct page {
    char *text;
    size_t size;
    FILE *out;
    int count;
    int64_t last;
    bool of_job;
};

static bool page_event(void *user, const struct store_event *event) {
    struct page *page = user;
    fprintf(page->out, "%s%s", page->count++ == 0 ? "" : ",", event->json);
    page->last = page->of_job ? event->id : event->seq;
    return true;
}

static void reply_page(struct server *server, struct request *request, const char *job, int64_t after, int64_t limit) {
    struct page page = {.of_job = job != NULL};
    page.out = open_memstream(&page.text, &page.size);
    if (page.out == NULL) {
        http_problem(request, 500, "out of memory");
        return;
    }
    fputs("{\"events\":[", page.out);
    int count = store_events_read(server->reader, job, after, (int)limit, page_event, &page);
    if (count == limit) {
        fprintf(page.out, "],\"next\":%lld}", (long long)page.last);
    } else {
        fputs("],\"next\":null}", page.out);
    }
    if (fclose(page.out) != 0 || count < 0) {
        free(page.text);
        http_problem(request, 500, "the events cannot be read");
        return;
    }
    http_reply_bytes(request, 200, "application/json", page.text, page.size);
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

/* The cursor: ?after=, else Last-Event-ID. -1: neither. False, answered, where one is malformed. */
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
         * who claims to have seen what never was (the store is an older one) gets what comes: waiting for it would
         * never end
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
        http_problem(request, 409, "the job is %s; its manifest is made when it has ended",
                     job_status_name(job.status));
    }
    store_job_release(&job);
}
