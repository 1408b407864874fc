/*
 * Shared responses: see replies.h.
 */
#include "server/routes/replies.h"

#include <malloc.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/event.h"
#include "api/job.h"
#include "api/field.h"
#include "api/text.h"

#define BODY_SMALL 65536       /* bytes */
#define ENGINE_SMALL (4 << 20) /* bytes that a computation may take uncounted */
#define BODY_FACTOR 48
#define BODY_KEPT_FACTOR 4 /* what is kept of it once it is read: numbers of 4 bytes, of 2 characters each */
#define BODY_VALUES_BYTES (INT64_C(400) << 20)
#define TIDY_FROM (1 << 20)                    /* bytes of a body */
#define ANSWERS_BYTES (UINT64_C(256) << 20)    /* that wait in memory for their clients */
#define ANSWERS_FILE_BYTES (UINT64_C(8) << 30) /* and in files */

void reply_problems(struct request *request, int status, const char *detail, struct problems *problems) {
    size_t size;
    json_t *document = problem_document(status, http_status_text(status), detail, problems);
    char *text = json_line(document, &size);
    json_decref(document);
    problems_release(problems);
    http_reply_bytes(request, status, "application/problem+json", text, text == NULL ? 0 : size);
}

bool read_query(struct request *request, const struct query_parameter *parameters, size_t count) {
    struct problems problems = {0};
    query_read(request->query, parameters, count, &problems);
    if (problems.count > 0) {
        reply_problems(request, 422, "the query has bad parameters", &problems);
        return false;
    }
    return true;
}

json_t *read_body(struct request *request) {
    char error[256];
    int status;
    struct problems problems = {0};
    json_t *document = json_parse_body(request->body, request->body_size, &problems, &status, error);
    if (document == NULL) {
        reply_problems(request, status, error, &problems);
    }
    return document;
}

/* ---- a job's document ---- */

static json_t *time_or_null(int64_t milliseconds) {
    char text[TIME_TEXT_BYTES];
    if (milliseconds == 0) {
        return json_null();
    }
    time_text(milliseconds, text);
    return json_string(text);
}

static json_t *progress_document(const struct store_job *job, const struct jobs_live *live) {
    int64_t iteration = live->running && live->iteration > job->progressed ? live->iteration : job->progressed;
    double rate = isnan(live->trials_per_second) ? job->trials_per_second : live->trials_per_second;
    json_t *finish = isnan(live->seconds_left) || live->seconds_left > 1e10
                         ? json_null()
                         : time_or_null(clock_unix_milliseconds() + (int64_t)(live->seconds_left * 1000.0));
    json_t *evaluating = live->evaluation == 0 ? json_null()
                                               : json_pack("{s:I, s:I}", "done", (json_int_t)live->evaluated, "trials",
                                                           (json_int_t)live->evaluation);
    return json_pack("{s:I, s:I, s:f, s:o, s:o, s:o}", "iteration", (json_int_t)iteration, "iterations",
                     (json_int_t)job->iterations, "fraction",
                     job->iterations > 0 ? (double)iteration / (double)job->iterations : 0.0, "trials_per_second",
                     json_number_or_null(rate), "estimated_finish", finish, "evaluating", evaluating);
}

static json_t *links_document(const char *id) {
    static const char *const names[] = {"events", "metrics", "weights", "spectrum", "checkpoints", "manifest"};
    char link[160];
    json_t *links = json_object();
    snprintf(link, sizeof link, "/v1/jobs/%s", id);
    json_object_set_new(links, "self", json_string(link));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(link, sizeof link, "/v1/jobs/%s/%s", id, names[i]);
        json_object_set_new(links, names[i], json_string(link));
    }
    return links;
}

static void put_end(const struct store_job *job, json_t *document) {
    json_object_set_new(document, "outcome",
                        job->status == JOB_SUCCEEDED ? json_string(outcome_name(job->loss, job->initial_loss))
                                                     : json_null());
    if (job->weights_sha256[0] != '\0') {
        json_object_set_new(document, "weights_sha256", json_string(job->weights_sha256));
    }
    if (job->error_code != NULL) {
        json_t *error = json_pack("{s:s, s:s?}", "code", job->error_code, "detail", job->error_detail);
        if (job->error_iteration >= 0) {
            json_object_set_new(error, "iteration", json_integer(job->error_iteration));
        }
        json_object_set_new(document, "error", error);
    }
}

json_t *job_document(struct server *server, const struct store_job *job) {
    struct jobs_live live;
    jobs_live_read(server->jobs, job->id, &live);
    return job_document_with(server, job, &live);
}

json_t *job_document_with(const struct server *server, const struct store_job *job, const struct jobs_live *live) {
    json_t *document = json_pack("{s:s, s:s}", "id", job->id, "status", job_status_name(job->status));
    json_t *spec = job_spec_brief(job->brief);
    json_object_update(document, spec);
    json_decref(spec);
    if (json_object_get(document, "origin") == NULL) {
        json_object_set_new(document, "origin", json_null());
    }
    caption_put(document, job->name, job->notes, job->tags);
    json_object_set_new(document, "created_at", time_or_null(job->created));
    json_object_set_new(document, "started_at", time_or_null(job->started));
    json_object_set_new(document, "finished_at", time_or_null(job->finished));
    json_object_set_new(document, "attempt", json_integer(job->attempt));
    json_object_set_new(document, "worker", *job->worker == '\0' ? json_null() : json_string(job->worker));
    if (job->status == JOB_QUEUED) {
        json_object_set_new(document, "queue_position", json_integer(jobs_position(server->jobs, job)));
    }
    if (live->stalled != NULL) {
        json_object_set_new(document, "reason",
                            json_sprintf(live->stopped
                                             ? "%s; the job is cancelled as soon as the cancellation can be stored"
                                             : "%s; the job resumes by itself",
                                         live->stalled));
    }
    if (job->point[0] != '\0') {
        json_object_set_new(document, "experiment",
                            json_pack("{s:s, s:s}", "id", job->experiment, "point", job->point));
    }
    json_object_set_new(document, "progress", progress_document(job, live));
    json_object_set_new(document, "metrics",
                        json_pack("{s:o, s:o}", "loss", json_number_or_null(job->loss), "accuracy",
                                  json_number_or_null(job->accuracy)));
    json_object_set_new(document, "config_sha256", json_string(job->digest));
    json_object_set_new(document, "build", job->build == NULL ? json_null() : json_string(job->build));
    json_object_set_new(document, "instruction_set", job->isa == NULL ? json_null() : json_string(job->isa));
    put_end(job, document);
    json_object_set_new(document, "links", links_document(job->id));
    return document;
}

static json_t *text_or_null(const char *text) {
    return text == NULL || *text == '\0' ? json_null() : json_string(text);
}

/* "avx2,avx512" as a list, in the order in which they trained. */
static json_t *instruction_sets(const char *names) {
    json_t *list = json_array();
    while (names != NULL && *names != '\0') {
        size_t length = strcspn(names, ",");
        json_array_append_new(list, json_stringn(names, length));
        names += length + (names[length] == ',');
    }
    return list;
}

json_t *manifest_document(const struct store_job *job) {
    json_t *config = job_spec_brief(job->brief);
    json_t *seed = json_incref(json_object_get(config, "seed")), *origin = json_object_get(config, "origin");
    origin = origin == NULL ? json_null() : json_incref(origin);
    job_document_strip(config);
    json_t *document = json_pack("{s:s, s:s, s:o, s:s, s:o}", "job", job->id, "status", job_status_name(job->status),
                                 "config", config, "config_sha256", job->digest, "seed", seed);
    json_object_set_new(document, "origin", origin);
    json_object_set_new(document, "build", text_or_null(job->build));
    json_object_set_new(document, "instruction_sets", instruction_sets(job->isa));
    json_object_set_new(document, "dataset_sha256", text_or_null(job->dataset_sha256));
    json_object_set_new(document, "events",
                        json_pack("{s:I, s:s}", "count", (json_int_t)job->events, "digest", job->event_digest));
    json_object_set_new(document, "weights_sha256", json_null());
    json_object_set_new(document, "iteration", json_integer(job->iteration));
    json_object_set_new(document, "metrics",
                        json_pack("{s:o, s:o}", "loss", json_number_or_null(job->loss), "accuracy",
                                  json_number_or_null(job->accuracy)));
    json_object_set_new(document, "attempts", json_integer(job->attempt));
    json_object_set_new(document, "training_seconds", json_real(job->trained));
    json_object_set_new(document, "created_at", time_or_null(job->created));
    json_object_set_new(document, "started_at", time_or_null(job->started));
    json_object_set_new(document, "finished_at", time_or_null(job->finished));
    put_end(job, document);
    return document;
}

bool read_job(struct server *server, struct request *request, struct store_job *job) {
    int found = store_job_read(server->reader, request->parameter, job);
    if (found == 0) {
        http_problem(request, 404, "there is no job %.60s", request->parameter);
    } else if (found < 0) {
        http_problem(request, 500, "the job cannot be read");
    }
    return found == 1;
}

void reply_job(struct server *server, struct request *request, int status, const char *id) {
    struct store_job job;
    snprintf(request->parameter, sizeof request->parameter, "%s", id);
    if (read_job(server, request, &job)) {
        http_reply_json(request, status, job_document(server, &job));
        store_job_release(&job);
    }
}

void reply_refusal(struct request *request, enum jobs_result result, const char *detail) {
    switch (result) {
    case JOBS_UNKNOWN:
        http_problem(request, 404, "there is no job %.60s", request->parameter);
        break;
    case JOBS_CONFLICT:
        http_problem(request, 409, "%s", detail == NULL ? "the job's status does not allow this" : detail);
        break;
    case JOBS_CROWDED:
        http_header_set(request, "Retry-After", "10");
        http_problem(request, 429, "%s", detail == NULL ? "the queue is full" : detail);
        break;
    case JOBS_NO_ROOM:
        http_header_set(request, "Retry-After", "60");
        http_problem(request, 507, "%s", detail == NULL ? "the disk is full" : detail);
        break;
    case JOBS_CLOSING:
        http_problem(request, 503, "the daemon is shutting down");
        break;
    default:
        http_problem(request, 500, "%s", detail == NULL ? "the store failed" : detail);
    }
}

void page_end(struct writer *writer, const struct store_found *found) {
    char end[128], next[32] = "null";
    if (found->next > 0) {
        snprintf(next, sizeof next, "\"%lld\"", (long long)found->next);
    }
    snprintf(end, sizeof end, "],\"next\":%s,\"scanned\":%lld,\"bounded\":%s}", next, (long long)found->scanned,
             found->bounded ? "true" : "false");
    writer_text(writer, end);
}

/* ---- computations in lanes ---- */

void reply_gone(struct request *request) {
    http_problem(request, 400, "the connection was closed before the response was ready; keep it open until then");
}

void reply_stopped(struct request *request, const struct lane_task *task) {
    switch (task->outcome) {
    case LANE_GONE:
        reply_gone(request);
        break;
    case LANE_TIME:
        http_problem(request, 503,
                     "the computation took longer than %d seconds and was stopped; send a smaller request",
                     lane_seconds(task->lane));
        break;
    default:
        http_problem(request, 503, "the daemon is shutting down");
    }
}

static bool write_spool(void *user, const void *bytes, size_t size) {
    return spool_write(user, bytes, size);
}

void computation_tidy(struct computation *computation) {
    size_t size = computation->request == NULL ? 0 : computation->request->body_size;
    if (size > TIDY_FROM) {
        malloc_trim(0);
    }
    int64_t kept = size > BODY_SMALL ? BODY_KEPT_FACTOR * (int64_t)size : 0;
    if (kept < atomic_load(&computation->task.memory)) {
        atomic_store(&computation->task.memory, kept);
    }
}

static void run(struct lane_task *task) {
    struct computation *computation = (struct computation *)task; /* its first member */
    (void)json_memory_begin();                                    /* what another task lacked is not its concern */
    computation->work(computation);
    computation_tidy(computation);
    if (computation->status < 300 && computation->status != 204 && computation->problems.count == 0 &&
        computation->type != NULL && strcmp(computation->type, "application/json") == 0) {
        writer_text(&computation->writer, "\n"); /* as json_line */
    }
    spool_finish(&computation->out);
}

static void computation_again(struct computation *computation);

static void finish(struct lane_task *task) {
    struct computation *computation = (struct computation *)task;
    struct request *request = computation->request;
    if (request == NULL) {
        computation->release(computation);
        return;
    }
    if (task->outcome == LANE_GO && computation->wanted > 0) {
        computation_again(computation);
        return;
    }
    if (task->outcome != LANE_GO) {
        reply_stopped(request, task);
    } else if (computation->problems.count > 0) {
        reply_problems(request, computation->status, computation->detail, &computation->problems);
    } else if (computation->status >= 400) {
        http_problem(request, computation->status, "%s", computation->detail);
    } else {
        if (computation->etag[0] != '\0') {
            http_header_set(request, "ETag", computation->etag);
            http_header_set(request, "Cache-Control", "no-cache");
        }
        if (computation->status == 304 || computation->status == 204) {
            http_reply_empty(request, computation->status);
        } else {
            spool_reply(&computation->out, request, computation->status, computation->type);
        }
    }
    problems_release(&computation->problems);
    spool_release(&computation->out);
    computation->release(computation);
}

static bool is_gone(struct lane_task *task) {
    const struct computation *computation = (struct computation *)task;
    return http_is_gone(computation->request);
}

void computation_init(struct computation *computation, struct server *server, struct request *request,
                      const char *type) {
    computation->server = server;
    computation->request = request;
    computation->type = type;
    computation->status = 200;
    computation->task.run = run;
    computation->task.finish = finish;
    computation->task.gone = request == NULL ? NULL : is_gone;
    spool_init(&computation->out, server->config.data);
    computation->writer = (struct writer){.write = write_spool, .user = &computation->out};
}

bool answers_are_full(const struct server *server) {
    const struct http_counts counts = http_counts(server->http);
    return counts.answer_bytes > ANSWERS_BYTES || counts.answer_file_bytes + spools_held() > ANSWERS_FILE_BYTES;
}

struct store_reader *computation_reader(const struct computation *computation) {
    return computation->server->lane_readers[computation->task.seat];
}

/*
 * Bytes that a body takes while it is read, at most, as measured: a list of two characters is the dearest value, 48
 * times its text, and beyond JSON_VALUES_MAX no value takes any. Small bodies count as nothing.
 */
static int64_t body_memory(size_t size) {
    int64_t bytes = (int64_t)size, by_text = BODY_FACTOR * bytes, by_values = BODY_VALUES_BYTES + 4 * bytes;
    return size <= BODY_SMALL ? 0 : by_text < by_values ? by_text : by_values;
}

static void submit(struct computation *computation, enum lane lane) {
    struct server *server = computation->server;
    struct request *request = computation->request;
    if (server->lanes != NULL &&
        lanes_submit(server->lanes, lane, request->identity, request->address, &computation->task)) {
        return;
    }
    http_header_set(request, "Retry-After", "2");
    http_problem(request, 429,
                 "too many computations are waiting: at most %lld, and half of that for one client (--max-waiting)",
                 (long long)server->config.max_waiting);
    computation->release(computation);
}

void computation_start(struct computation *computation, enum lane lane) {
    computation->task.memory += body_memory(computation->request->body_size);
    submit(computation, lane);
}

bool computation_memory(struct computation *computation, uint64_t bytes) {
    if (bytes <= ENGINE_SMALL || bytes <= (uint64_t)computation->task.engine) {
        return true;
    }
    if (bytes > (uint64_t)computation->server->memory) {
        computation_fail(computation, 422,
                         "this takes %.3g GB of memory, more than the %.3g GB that the daemon may use (--memory): take "
                         "shorter trials, a smaller dataset, or a job with a smaller batch",
                         (double)bytes * 1e-9, (double)computation->server->memory * 1e-9);
    } else {
        computation->wanted = (int64_t)bytes;
    }
    return false;
}

/* Waits for its turn once more, with the memory that it has asked for. */
static void computation_again(struct computation *computation) {
    computation->task.engine = computation->wanted;
    computation->wanted = 0;
    spool_release(&computation->out);
    spool_init(&computation->out, computation->server->config.data);
    computation->writer = (struct writer){.write = write_spool, .user = &computation->out};
    submit(computation, computation->task.lane);
}

json_t *computation_body(struct computation *computation) {
    const struct request *request = computation->request; /* it waits: its body stays */
    char error[256];
    int status;
    json_t *document = json_parse_body(request->body, request->body_size, &computation->problems, &status, error);
    if (document == NULL) {
        computation_fail(computation, status, "%s", error);
    }
    return document;
}

void computation_fail(struct computation *computation, int status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(computation->detail, sizeof computation->detail, format, arguments);
    va_end(arguments);
    computation->status = status;
}
