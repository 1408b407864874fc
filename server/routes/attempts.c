/*
 * What a worker sends about an attempt that was leased to it, and what it fetches for one. See remote.h.
 *
 * Every call names the job and the attempt, and proves the worker; what does not fit a lease that holds is stale and
 * gets 409, with nothing stored. Records are numbered from 0, by the worker: those that were stored before are ignored,
 * and of those that come too early none is taken; the answer says which is expected next. Nothing is answered before it
 * is durable. Loop thread; checkpoints are checked in a lane.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/log.h"
#include "server/routes/replies.h"
#include "server/routes/routes.h"

#define RECORDS_BYTES_MOST 262144
#define RECORDS_MOST 1024
#define END_SECONDS 20
#define CHECKPOINT_SLACK 4096

/* The lease that the path names, if the worker has it; NULL after answering. */
static struct attempt *leased(struct server *server, struct request *request, struct worker **worker) {
    char *end;
    *worker = call_worker(server, request);
    if (*worker == NULL) {
        return NULL;
    }
    long number = strtol(request->further[0], &end, 10);
    struct attempt *attempt = *end == '\0' && number > 0 && number <= INT32_MAX
                                  ? remote_attempt(*worker, request->parameter, (int)number)
                                  : NULL;
    return attempt;
}

static void refuse_stale(struct server *server, struct request *request) {
    remote_count_stale(server->remote);
    http_problem(request, 409, "the lease has ended: abandon this attempt");
}

/* The same; NULL after answering 409 too. */
static struct attempt *leased_or_stale(struct server *server, struct request *request) {
    struct worker *worker;
    struct attempt *attempt = leased(server, request, &worker);
    if (attempt == NULL && !http_is_answered(request)) {
        refuse_stale(server, request);
    }
    return attempt;
}

/* The body (NULL after answering), and the lease that the path names (NULL where it has ended). */
static json_t *leased_body(struct server *server, struct request *request, struct worker **worker,
                           struct attempt **attempt) {
    *attempt = leased(server, request, worker);
    return *worker != NULL ? read_body(request) : NULL;
}

static void next_reply(struct call *call, enum remote_result result) {
    (void)result;
    http_reply_json(call->request, call->status, json_pack("{s:I}", "next", (json_int_t)call->number));
}

static void next_reply_now(struct request *request, const struct attempt *attempt) {
    http_reply_json(request, 200, json_pack("{s:I}", "next", (json_int_t)remote_attempt_next(attempt)));
}

/* ---- records ---- */

/* One record of the body; false with a fault. */
static bool record_read(const json_t *object, struct attempt_record *record, struct problems *problems) {
    const char *type = json_string_value(json_object_get(object, "type"));
    const char *message = json_string_value(json_object_get(object, "message"));
    *record = (struct attempt_record){.kind = RECORD_PROGRESS};
    if (type != NULL && strcmp(type, "log") == 0 && message != NULL) {
        record->kind = RECORD_LOG;
        snprintf(record->text, sizeof record->text, "%.250s", message);
        return true;
    }
    const json_t *iteration = json_object_get(object, "iteration");
    if (type == NULL || strcmp(type, "progress") != 0 || !json_is_integer(iteration) ||
        json_integer_value(iteration) < 0) {
        problems_add(problems, NULL, "records", "must hold objects of the type progress, with an iteration, or log");
        return false;
    }
    record->progress = event_progress_read(object, &record->elapsed, &record->rate);
    return true;
}

/* All are read before any is taken. NULL with faults, or if there are none. */
static struct attempt_record *records_read(const json_t *list, struct problems *problems) {
    size_t count = json_array_size(list);
    struct attempt_record *records = count > 0 ? calloc(count, sizeof *records) : NULL;
    if (!json_is_array(list) || count > RECORDS_MOST) {
        problems_add(problems, NULL, "records", "must be a list of at most %d records", RECORDS_MOST);
    }
    for (size_t i = 0; problems->count == 0 && records != NULL && i < count; i++) {
        record_read(json_array_get(list, i), &records[i], problems);
    }
    return records;
}

static void records_take(struct server *server, struct request *request, struct attempt *attempt, int64_t first,
                         struct attempt_record *records, size_t count) {
    int64_t next = remote_attempt_next(attempt);
    if (first > next) {
        next_reply_now(request, attempt); /* some before it are missing: none is taken */
        return;
    }
    struct call *call = call_add(server, request, next_reply);
    if (call == NULL) {
        return;
    }
    call->number = first + (int64_t)count > next ? first + (int64_t)count : next;
    remote_attempt_wait(attempt, &call->call);
    for (size_t i = (size_t)(next - first); i < count; i++) {
        records[i].more = i + 1 < count;
        if (!remote_attempt_record(attempt, &records[i], "")) {
            return; /* the attempt has ended, and the call is answered */
        }
    }
}

void route_attempt_records(struct server *server, struct request *request) {
    struct problems problems = {0};
    struct attempt *attempt = leased_or_stale(server, request);
    if (attempt == NULL) {
        return;
    }
    if (request->body_size > RECORDS_BYTES_MOST) {
        http_problem(request, 413, "records have at most %d bytes", RECORDS_BYTES_MOST);
        return;
    }
    json_t *body = read_body(request);
    if (body == NULL) {
        return;
    }
    const json_t *list = json_object_get(body, "records");
    int64_t first = body_integer(body, "first", 0, INT64_MAX / 2, -1, &problems);
    struct attempt_record *records = records_read(list, &problems);
    if (problems.count > 0) {
        reply_problems(request, 422, "the records have bad fields", &problems);
    } else if (json_array_size(list) > 0 && records == NULL) {
        http_problem(request, 503, "out of memory");
    } else {
        remote_attempt_continue(attempt, first);
        records_take(server, request, attempt, first, records, json_array_size(list));
    }
    free(records);
    json_decref(body);
}

/* ---- checkpoints ---- */

/* An upload, then its check. */
struct upload {
    struct computation computation; /* first; without its request */
    struct request *request;
    struct spool spool;
    char job[STORE_ID_BYTES], worker[STORE_ID_BYTES];
    int attempt;
    int64_t iteration, record;
    double loss;
    char sha256[STORE_HASH_BYTES], weights_sha256[STORE_HASH_BYTES];
    unsigned char *bytes;
    int keep;
};

static bool upload_write(void *user, const char *bytes, size_t size) {
    struct upload *upload = user;
    if (!spool_write(&upload->spool, bytes, size)) {
        http_problem(upload->request, 507, "the checkpoint cannot be kept while it arrives: %s",
                     strerror(upload->spool.error));
        return false;
    }
    return true;
}

static void upload_free(struct upload *upload) {
    spool_release(&upload->spool);
    spool_release(&upload->computation.out);
    free(upload->bytes);
    free(upload);
}

void attempt_checkpoint_abandon(struct request *request) {
    if (request->user != NULL) {
        upload_free(request->user);
        request->user = NULL;
    }
}

static bool upload_query(struct request *request, struct upload *upload) {
    char sha256[QUERY_VALUE_BYTES] = "", loss[QUERY_VALUE_BYTES] = "";
    char *end;
    const struct query_parameter query[] = {
        {.name = "sha256", .type = QUERY_TEXT, .text = sha256},
        {.name = "loss", .type = QUERY_TEXT, .text = loss},
        {.name = "record", .type = QUERY_INTEGER, .low = 0, .high = INT64_MAX, .integer = &upload->record},
    };
    upload->record = -1;
    if (!read_query(request, query, sizeof query / sizeof query[0])) {
        return false;
    }
    upload->iteration = strtoll(request->further[1], &end, 10);
    upload->loss = *loss == '\0' ? NAN : strtod(loss, NULL);
    if (*end != '\0' || upload->iteration < 0 || strlen(sha256) != STORE_HASH_BYTES - 1 || upload->record < 0) {
        http_problem(request, 422,
                     "a checkpoint needs an iteration in its path, and the query sha256 (64 hexadecimal "
                     "digits), record and loss");
        return false;
    }
    memcpy(upload->sha256, sha256, sizeof upload->sha256);
    return true;
}

void begin_attempt_checkpoint(struct server *server, struct request *request) {
    static const struct body_sink sink = {.write = upload_write};
    struct attempt *attempt = leased_or_stale(server, request);
    struct upload *upload = attempt != NULL ? calloc(1, sizeof *upload) : NULL;
    if (upload == NULL) {
        if (attempt != NULL) {
            http_problem(request, 503, "out of memory");
        }
        return;
    }
    computation_init(&upload->computation, server, NULL, NULL);
    spool_init(&upload->spool, server->config.data);
    upload->request = request;
    if (!upload_query(request, upload)) {
        upload_free(upload);
        return;
    }
    snprintf(upload->job, sizeof upload->job, "%.36s", request->parameter);
    upload->attempt = (int)strtol(request->further[0], NULL, 10);
    request->user = upload;
    http_body_sink(request, remote_attempt_checkpoint_bytes(attempt) + CHECKPOINT_SLACK, &sink, upload);
}

/* In the lane: the job's own configuration, read from the store. False after computation_fail. */
static bool spec_read(struct computation *computation, const char *job, struct job_spec *spec) {
    char *document = NULL;
    int found = store_document_read(computation_reader(computation), job, &document);
    bool parsed = found == 1 && job_spec_parse(spec, document);
    free(document);
    if (!parsed) {
        computation_fail(computation, found < 0 ? 500 : 503, "the job's document cannot be read now");
    }
    return parsed;
}

/* In the lane: whether the bytes are a checkpoint of this job and iteration; the sha256 of its weights. */
static void checkpoint_check(struct upload *upload) {
    struct computation *computation = &upload->computation;
    struct job_spec spec;
    struct trained trained;
    struct error error = {.text = ""};
    if (!spec_read(computation, upload->job, &spec)) {
        return;
    }
    enum result result = trained_open(&spec.config, upload->bytes, (size_t)upload->spool.size, &trained, &error);
    if (result == RESULT_NO_MEMORY) {
        computation_fail(computation, 503, "out of memory");
    } else if (result != RESULT_DONE) {
        computation_fail(computation, 422, "this is no checkpoint of the job: %s", error.text);
    } else {
        if (trained.iteration != upload->iteration) {
            computation_fail(computation, 422, "the checkpoint is of iteration %lld, not %lld",
                             (long long)trained.iteration, (long long)upload->iteration);
        }
        sha256_hex(trained.W, trained.parameters * sizeof(float), upload->weights_sha256);
        upload->keep = training_keep(&spec.config.training);
        trained_release(&trained);
    }
    job_spec_release(&spec);
}

static void work_check(struct computation *computation) {
    struct upload *upload = (struct upload *)computation; /* its first member */
    char sha256[STORE_HASH_BYTES];
    size_t size = (size_t)upload->spool.size;
    upload->bytes = malloc(size + 1);
    if (upload->bytes == NULL || spool_read(&upload->spool, 0, upload->bytes, size) != (ssize_t)size) {
        computation_fail(computation, 503, "the checkpoint cannot be read back");
        return;
    }
    sha256_hex(upload->bytes, size, sha256);
    if (strcmp(sha256, upload->sha256) != 0) {
        computation_fail(computation, 422, "the bytes have the sha256 %s, not the one that was announced", sha256);
        return;
    }
    checkpoint_check(upload);
}

/* On the loop: takes what was checked, if the lease still holds. */
static void checkpoint_take(struct upload *upload, struct attempt *attempt) {
    struct server *server = upload->computation.server;
    struct attempt_record record = {.kind = RECORD_CHECKPOINT,
                                    .bytes = upload->bytes,
                                    .size = (size_t)upload->spool.size,
                                    .iteration = upload->iteration,
                                    .loss = upload->loss,
                                    .keep = upload->keep};
    remote_attempt_continue(attempt, upload->record);
    if (upload->record != remote_attempt_next(attempt)) {
        next_reply_now(upload->request, attempt); /* a repeat, or records before it are missing */
        return;
    }
    struct call *call = call_add(server, upload->request, next_reply);
    if (call == NULL) {
        return;
    }
    call->status = 201;
    call->number = upload->record + 1;
    upload->bytes = NULL;
    memcpy(record.sha256, upload->sha256, sizeof record.sha256);
    remote_attempt_wait(attempt, &call->call);
    remote_attempt_record(attempt, &record, upload->weights_sha256);
}

static void check_release(struct computation *computation) {
    struct upload *upload = (struct upload *)computation;
    struct server *server = computation->server;
    struct worker *worker = remote_worker(server->remote, upload->worker);
    struct attempt *attempt = worker == NULL ? NULL : remote_attempt(worker, upload->job, upload->attempt);
    if (computation->task.outcome != LANE_GO) {
        reply_stopped(upload->request, &computation->task);
    } else if (computation->status >= 400) {
        log_warning("a checkpoint was refused", LOG_T("job", upload->job), LOG_T("worker", upload->worker),
                    LOG_T("reason", computation->detail));
        http_problem(upload->request, computation->status, "%s", computation->detail);
    } else if (attempt == NULL) {
        refuse_stale(server, upload->request);
    } else {
        checkpoint_take(upload, attempt);
    }
    upload_free(upload);
}

/* Hands a computation without a request to a lane; after answering 429, false. */
static bool lane_take(struct computation *computation, struct request *request, enum lane lane) {
    struct server *server = computation->server;
    if (server->lanes != NULL &&
        lanes_submit(server->lanes, lane, request->identity, request->address, &computation->task)) {
        return true;
    }
    http_header_set(request, "Retry-After", "2");
    http_problem(request, 429, "too many computations are waiting: at most %lld (--max-waiting)",
                 (long long)server->config.max_waiting);
    return false;
}

void route_attempt_checkpoint_put(struct server *server, struct request *request) {
    struct upload *upload = request->user;
    request->user = NULL;
    struct worker *worker = upload == NULL ? NULL : call_worker(server, request);
    if (upload == NULL) {
        http_problem(request, 415, "a checkpoint's body must be application/octet-stream");
        return;
    }
    bool whole = worker != NULL && spool_finish(&upload->spool);
    if (worker != NULL) {
        snprintf(upload->worker, sizeof upload->worker, "%s", worker_look(worker).id);
    }
    upload->computation.work = work_check;
    upload->computation.release = check_release;
    if (!whole && worker != NULL) {
        http_problem(request, 507, "the checkpoint cannot be kept");
    }
    if (!whole || !lane_take(&upload->computation, request, LANE_CHECKS)) {
        upload_free(upload);
    }
}

/* ---- what a worker fetches ---- */

struct fetch {
    struct computation computation; /* first */
    char job[STORE_ID_BYTES];
    int64_t iteration;
};

static void fetch_release(struct computation *computation) {
    free(computation); /* the first member of what belongs to it */
}

static void work_checkpoint(struct computation *computation) {
    const struct fetch *fetch = (struct fetch *)computation;
    struct store_checkpoint checkpoint = {0};
    int found = store_checkpoint_read(computation_reader(computation), fetch->job, fetch->iteration, &checkpoint, NULL);
    if (found != 1) {
        computation_fail(computation, found == 0 ? 410 : 500, "the job has no intact checkpoint of this iteration");
    } else {
        spool_write(&computation->out, checkpoint.bytes, checkpoint.size);
    }
    free(checkpoint.bytes);
}

static void work_document(struct computation *computation) {
    const struct fetch *fetch = (struct fetch *)computation;
    char *document = NULL;
    if (store_document_read(computation_reader(computation), fetch->job, &document) != 1) {
        computation_fail(computation, 500, "the job's document cannot be read");
    } else {
        spool_text(&computation->out, document);
    }
    free(document);
}

static void fetch_start(struct server *server, struct request *request, void (*work)(struct computation *)) {
    struct fetch *fetch = leased_or_stale(server, request) != NULL ? calloc(1, sizeof *fetch) : NULL;
    if (fetch == NULL) {
        if (!http_is_answered(request)) {
            http_problem(request, 503, "out of memory");
        }
        return;
    }
    snprintf(fetch->job, sizeof fetch->job, "%.36s", request->parameter);
    fetch->iteration = strtoll(request->further[1], NULL, 10);
    computation_init(&fetch->computation, server, request, "application/octet-stream");
    fetch->computation.work = work;
    fetch->computation.release = fetch_release;
    computation_start(&fetch->computation, LANE_READS);
}

void route_attempt_checkpoint(struct server *server, struct request *request) {
    fetch_start(server, request, work_checkpoint);
}

void route_attempt_document(struct server *server, struct request *request) {
    fetch_start(server, request, work_document);
}

/* ---- the end ---- */

static void end_reply(struct call *call, enum remote_result result) {
    (void)result;
    http_reply_json(call->request, 200, json_pack("{s:b}", "ended", 1));
}

/* The attempt is not leased to the worker: has the job's row the end that the worker reports again? */
static void end_again(struct server *server, struct request *request, struct worker *worker, bool released) {
    struct store_job job;
    int number = (int)strtol(request->further[0], NULL, 10);
    int found = store_job_read(server->reader, request->parameter, &job);
    if (found < 0) {
        http_problem(request, 500, "the job cannot be read");
        return;
    }
    bool same = found == 1 && strcmp(job.worker, worker_look(worker).id) == 0 &&
                ((job.attempt == number && job.status != JOB_RUNNING && job.status != JOB_QUEUED) ||
                 (released && job.attempt > number));
    if (found == 1) {
        store_job_release(&job);
    }
    if (same) {
        http_reply_json(request, 200, json_pack("{s:b}", "ended", 1));
    } else {
        refuse_stale(server, request);
    }
}

static const char *failure_code(const char *code) {
    for (int i = 0; i < JOBS_FAILURES; i++) {
        if (strcmp(jobs_failure_names[i], code) == 0) {
            return jobs_failure_names[i];
        }
    }
    return "internal";
}

static struct attempt_end end_read(const json_t *body, struct problems *problems) {
    static const char *const names[] = {[ATTEMPT_FINISHED] = "finished",
                                        [ATTEMPT_STOPPED] = "stopped",
                                        [ATTEMPT_FAILED] = "failed",
                                        [ATTEMPT_LOST] = "lost"};
    const char *verdict = body_text(body, "verdict", 16, NULL, problems);
    struct attempt_end end = {.code = failure_code(body_text(body, "code", 32, "", problems)),
                              .iteration = body_integer(body, "iteration", -1, INT64_MAX, -1, problems)};
    size_t at = 0;
    while (at < sizeof names / sizeof names[0] && strcmp(names[at], verdict) != 0) {
        at++;
    }
    if (at == sizeof names / sizeof names[0]) {
        problems_add(problems, NULL, "verdict", "must be finished, stopped, failed or lost");
        at = ATTEMPT_LOST;
    }
    end.verdict = (enum attempt_verdict)at;
    if (end.verdict == ATTEMPT_LOST) { /* by the worker: the daemon has lost nothing */
        end.verdict = ATTEMPT_RETURNED;
        end.lost = true;
    }
    snprintf(end.detail, sizeof end.detail, "%s", body_text(body, "detail", EXECUTOR_TEXT_BYTES - 1, "", problems));
    snprintf(end.weights_sha256, sizeof end.weights_sha256, "%s",
             body_text(body, "weights_sha256", STORE_HASH_BYTES - 1, "", problems));
    return end;
}

/* Ends the attempt; the answer follows once that is durable. */
static void end_take(struct server *server, struct request *request, struct attempt *attempt,
                     const struct attempt_end *end) {
    struct call *call = call_add(server, request, end_reply);
    if (call == NULL) {
        return;
    }
    snprintf(call->job, sizeof call->job, "%.36s", request->parameter);
    call->deadline = clock_milliseconds() + END_SECONDS * 1000;
    remote_attempt_end(attempt, end);
}

/* A job's weights are those that the daemon has: the worker's word for them is compared. */
struct finish {
    struct computation computation; /* first; without its request */
    struct request *request;
    char job[STORE_ID_BYTES], worker[STORE_ID_BYTES];
    int attempt;
    struct attempt_end end;
};

static void work_weights(struct computation *computation) {
    struct finish *finish = (struct finish *)computation;
    struct store_checkpoint checkpoint = {0};
    struct job_spec spec;
    struct trained trained;
    struct error error = {.text = ""};
    char sha256[STORE_HASH_BYTES] = "";
    if (store_checkpoint_read(computation_reader(computation), finish->job, -1, &checkpoint, NULL) != 1) {
        computation_fail(computation, 422, "the job has no checkpoint: send the last one before its end");
        return;
    }
    if (spec_read(computation, finish->job, &spec)) {
        if (trained_open(&spec.config, checkpoint.bytes, checkpoint.size, &trained, &error) == RESULT_DONE) {
            sha256_hex(trained.W, trained.parameters * sizeof(float), sha256);
            trained_release(&trained);
        }
        job_spec_release(&spec);
    }
    free(checkpoint.bytes);
    if (computation->status == 200 && strcmp(sha256, finish->end.weights_sha256) != 0) {
        computation_fail(computation, 422, "the newest checkpoint has other weights than the end names");
    }
}

static void weights_release(struct computation *computation) {
    struct finish *finish = (struct finish *)computation;
    struct worker *worker = remote_worker(computation->server->remote, finish->worker);
    struct attempt *attempt = worker == NULL ? NULL : remote_attempt(worker, finish->job, finish->attempt);
    if (computation->task.outcome != LANE_GO) {
        reply_stopped(finish->request, &computation->task);
    } else if (computation->status >= 400) {
        http_problem(finish->request, computation->status, "%s", computation->detail);
    } else if (attempt == NULL) {
        refuse_stale(computation->server, finish->request);
    } else {
        end_take(computation->server, finish->request, attempt, &finish->end);
    }
    spool_release(&computation->out);
    free(finish);
}

/* After a restart the daemon does not know the weights of the checkpoint that it has: it looks. */
static void weights_compare(struct server *server, struct request *request, struct worker *worker,
                            const struct attempt_end *end) {
    struct finish *finish = calloc(1, sizeof *finish);
    if (finish == NULL) {
        http_problem(request, 503, "out of memory");
        return;
    }
    computation_init(&finish->computation, server, NULL, NULL);
    finish->computation.work = work_weights;
    finish->computation.release = weights_release;
    finish->request = request;
    finish->end = *end;
    finish->attempt = (int)strtol(request->further[0], NULL, 10);
    snprintf(finish->job, sizeof finish->job, "%.36s", request->parameter);
    snprintf(finish->worker, sizeof finish->worker, "%s", worker_look(worker).id);
    if (!lane_take(&finish->computation, request, LANE_CHECKS)) {
        spool_release(&finish->computation.out);
        free(finish);
    }
}

static void end_decide(struct server *server, struct request *request, struct worker *worker, struct attempt *attempt,
                       const struct attempt_end *end) {
    char weights[STORE_HASH_BYTES];
    int64_t checkpoint = remote_attempt_checkpoint(attempt, weights);
    if (end->verdict != ATTEMPT_FINISHED) {
        end_take(server, request, attempt, end);
    } else if (checkpoint < 0) {
        weights_compare(server, request, worker, end);
    } else if (strcmp(weights, end->weights_sha256) != 0) {
        http_problem(request, 422, "the newest checkpoint has other weights than the end names");
    } else {
        end_take(server, request, attempt, end);
    }
}

static void news_take(struct attempt *attempt, const json_t *body) {
    struct attempt_news news = {.trials_per_second = body_number(body, "trials_per_second", NAN),
                                .trained = body_number(body, "trained", 0),
                                .threads = 1};
    struct problems ignored = {0};
    news.updates = body_integer(body, "updates", 0, INT64_MAX, 0, &ignored);
    news.iteration = body_integer(body, "iteration", 0, INT64_MAX, 0, &ignored);
    problems_release(&ignored);
    remote_attempt_beat(attempt, &news);
}

void route_attempt_end(struct server *server, struct request *request) {
    struct problems problems = {0};
    struct worker *worker;
    struct attempt *attempt;
    json_t *body = leased_body(server, request, &worker, &attempt);
    if (body == NULL) {
        return;
    }
    const struct attempt_end end = end_read(body, &problems);
    int64_t records = body_integer(body, "records", 0, INT64_MAX / 2, -1, &problems);
    if (problems.count > 0) {
        reply_problems(request, 422, "the end has bad fields", &problems);
    } else if (attempt == NULL) {
        end_again(server, request, worker, false);
    } else {
        remote_attempt_continue(attempt, records);
        news_take(attempt, body);
        if (end.verdict != ATTEMPT_RETURNED && records != remote_attempt_next(attempt)) {
            http_reply_json(request, 200,
                            json_pack("{s:b, s:I}", "ended", 0, "next", (json_int_t)remote_attempt_next(attempt)));
        } else {
            end_decide(server, request, worker, attempt, &end);
        }
    }
    json_decref(body);
}

void route_attempt_release(struct server *server, struct request *request) {
    struct problems problems = {0};
    struct worker *worker;
    struct attempt *attempt;
    json_t *body = leased_body(server, request, &worker, &attempt);
    if (body == NULL) {
        return;
    }
    struct attempt_end end = {.verdict = ATTEMPT_RETURNED, .iteration = -1};
    snprintf(end.detail, sizeof end.detail, "%s",
             body_text(body, "reason", EXECUTOR_TEXT_BYTES - 1, "its worker stopped", &problems));
    if (problems.count > 0) {
        reply_problems(request, 422, "the release has bad fields", &problems);
    } else if (attempt == NULL) {
        end_again(server, request, worker, true);
    } else {
        remote_withdraw(worker); /* it would get the same job again */
        news_take(attempt, body);
        end_take(server, request, attempt, &end);
    }
    json_decref(body);
}
