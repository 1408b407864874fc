/*
 * What a job has left behind: its events (in pages and as streams), its checkpoints, its manifest. All of it is read in
 * lanes.
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
    snprintf(page->job, sizeof page->job, "%.36s", job == NULL ? "" : job);
    page->after = after;
    page->limit = (int)limit;
    computation_init(&page->computation, server, request, "application/json");
    page->computation.work = work_page;
    page->computation.release = page_release;
    computation_start(&page->computation, LANE_READS);
}

/* A page for a stream that is not up to date; NULL `done`: nobody wants it any more. */
struct catchup {
    struct computation computation; /* first */
    char job[STORE_ID_BYTES];       /* "" : of all jobs */
    int64_t after;
    struct stream_page *page;
    bool full;
    void (*done)(void *to, struct stream_page *page);
    void *to;
};

static bool read_event(void *user, const struct store_event *event) {
    struct catchup *catchup = user;
    const struct stream_event view = stream_event_of(event);
    bool more = stream_page_add(catchup->page, &view);
    catchup->full = catchup->full || !more;
    return more && !lane_is_stopped(catchup);
}

static void run_catchup(struct lane_task *task) {
    struct catchup *catchup = (struct catchup *)task; /* its first member */
    int count = store_events_read(computation_reader(&catchup->computation),
                                  catchup->job[0] != '\0' ? catchup->job : NULL, catchup->after, STREAM_PAGE_EVENTS,
                                  read_event, catchup);
    if (count >= 0 && count < STREAM_PAGE_EVENTS && !catchup->full) {
        stream_page_complete(catchup->page);
    }
    catchup->computation.status = count < 0 || stream_page_failed(catchup->page) ? 500 : 200;
}

static void catchup_release(struct computation *computation) {
    struct catchup *catchup = (struct catchup *)computation;
    stream_page_free(catchup->page);
    free(catchup);
}

/* While the daemon ends, an empty page: the stream waits for the end of all. */
static void finish_catchup(struct lane_task *task) {
    struct catchup *catchup = (struct catchup *)task;
    bool ok = (task->outcome == LANE_GO && catchup->computation.status == 200) || task->outcome == LANE_ENDING;
    if (catchup->done != NULL) {
        struct stream_page *page = ok ? catchup->page : NULL;
        catchup->page = ok ? NULL : catchup->page;
        catchup->done(catchup->to, page);
    }
    catchup_release(&catchup->computation);
}

bool history_page_begin(void *user, const struct request *request, const char *job, int64_t after,
                        void (*done)(void *to, struct stream_page *page), void *to, void **handle) {
    struct server *server = user;
    struct catchup *catchup = calloc(1, sizeof *catchup);
    if (catchup == NULL) {
        return false;
    }
    snprintf(catchup->job, sizeof catchup->job, "%s", job == NULL ? "" : job);
    catchup->after = after;
    catchup->done = done;
    catchup->to = to;
    computation_init(&catchup->computation, server, NULL, NULL);
    catchup->computation.task.run = run_catchup;
    catchup->computation.task.finish = finish_catchup;
    catchup->page = stream_page_create();
    if (catchup->page == NULL || server->lanes == NULL ||
        !lanes_submit(server->lanes, LANE_READS, request->identity, request->address, &catchup->computation.task)) {
        catchup_release(&catchup->computation);
        return false;
    }
    *handle = catchup;
    return true;
}

void history_page_forget(void *user, void *handle) {
    struct catchup *catchup = handle;
    (void)user;
    catchup->done = NULL;
    atomic_store(&catchup->computation.task.stop, LANE_GONE);
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

void route_experiment_events(struct server *server, struct request *request) {
    int64_t after, last, limit = 100;
    enum experiment_state state;
    if (!read_cursor(request, &after, &limit, NULL)) {
        return;
    }
    const char *id = request->parameter;
    int found = store_experiment_last(server->reader, id, &state, &last);
    if (found != 1) {
        http_problem(request, found == 0 ? 404 : 500,
                     found == 0 ? "there is no experiment %.60s" : "the experiment %.60s cannot be read", id);
        return;
    }
    after = after < 0 ? 0 : after > last ? last : after; /* as of a job */
    if (strcmp(request->type, "application/json") == 0) {
        reply_page(server, request, id, after, limit);
    } else if (state >= EXPERIMENT_COMPLETE && after >= last) {
        http_reply_empty(request, 204);
    } else {
        const struct stream_options options = {
            .job = id, .after = after, .sse = strcmp(request->type, "text/event-stream") == 0};
        streams_open(server->streams, request, 200, &options);
    }
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

/* ---- checkpoints and the manifest ---- */

/* A job of which something is read in a lane. */
struct kept {
    struct computation computation; /* first */
    char job[STORE_ID_BYTES];
    int count;
    bool failed;
};

static void kept_release(struct computation *computation) {
    free(computation); /* the first member */
}

/* Takes ownership of the document. */
static bool write_document(struct writer *writer, json_t *document) {
    char *text = json_text(document, NULL);
    json_decref(document);
    writer_text(writer, text == NULL ? "" : text);
    bool written = text != NULL;
    free(text);
    return written;
}

static bool list_checkpoint(void *user, const struct store_checkpoint *checkpoint) {
    struct kept *kept = user;
    char created[TIME_TEXT_BYTES], link[160];
    time_text(checkpoint->created, created);
    snprintf(link, sizeof link, "/v1/jobs/%s/weights?iteration=%lld", checkpoint->job,
             (long long)checkpoint->iteration);
    writer_text(&kept->computation.writer, kept->count++ == 0 ? "" : ",");
    kept->failed = !write_document(
        &kept->computation.writer,
        json_pack("{s:I, s:o, s:I, s:s, s:s, s:{s:s}}", "iteration", (json_int_t)checkpoint->iteration, "loss",
                  json_number_or_null(checkpoint->loss), "size", (json_int_t)checkpoint->size, "sha256",
                  checkpoint->sha256, "created_at", created, "links", "weights", link));
    return !kept->failed && !lane_is_stopped(kept);
}

static void work_checkpoints(struct computation *computation) {
    struct kept *kept = (struct kept *)computation; /* its first member */
    writer_text(&computation->writer, "{\"checkpoints\":[");
    if (store_checkpoints_list(computation_reader(computation), kept->job, list_checkpoint, kept) < 0 || kept->failed) {
        computation_fail(computation, 500, "the checkpoints cannot be read");
        return;
    }
    writer_text(&computation->writer, "]}");
}

static void work_manifest(struct computation *computation) {
    const struct kept *kept = (struct kept *)computation;
    struct store_job job;
    int found = store_job_read(computation_reader(computation), kept->job, &job);
    if (found != 1) {
        computation_fail(computation, found == 0 ? 404 : 500,
                         found == 0 ? "there is no job %s" : "the job %s cannot be read", kept->job);
        return;
    }
    if (!job_status_is_final(job.status)) {
        computation_fail(computation, 409, "the job is %s; its manifest exists once it has ended",
                         job_status_name(job.status));
    } else if (!write_document(&computation->writer, manifest_document(&job))) {
        computation_fail(computation, 503, "not enough memory for this response now");
    }
    store_job_release(&job);
}

static void read_kept(struct server *server, struct request *request, void (*work)(struct computation *computation)) {
    struct store_job job;
    if (!read_job(server, request, &job)) {
        return;
    }
    struct kept *kept = calloc(1, sizeof *kept);
    if (kept == NULL) {
        http_problem(request, 503, "out of memory");
    } else {
        memcpy(kept->job, job.id, sizeof kept->job);
        computation_init(&kept->computation, server, request, "application/json");
        kept->computation.work = work;
        kept->computation.release = kept_release;
        computation_start(&kept->computation, LANE_READS);
    }
    store_job_release(&job);
}

void route_checkpoints(struct server *server, struct request *request) {
    read_kept(server, request, work_checkpoints);
}

void route_manifest(struct server *server, struct request *request) {
    read_kept(server, request, work_manifest);
}
