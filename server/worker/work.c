/*
 * One leased job on a worker, from its lease to its end. See agent.h.
 *
 *     WORK_FETCHES  document, checkpoint and data come
 *     WORK_RUNS     the pool trains it
 *     WORK_ENDED    it has ended; what it reported is still being sent
 *     WORK_ENDING   all has arrived; its end is being sent
 *     WORK_GONE     nothing is left but what is under way
 *
 * Jobs take turns with their calls: when one has ended, the next job's follows.
 *
 * A 409 at any time means that the lease has ended: the job is stopped and everything about it thrown away. A work is
 * freed once its attempt and its calls have ended. Loop thread; `document` and `bytes` do not change while the job's
 * thread may read them.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/event.h"
#include "api/job.h"
#include "api/text.h"
#include "server/base/log.h"
#include "server/base/thread.h"
#include "server/executor/source.h"
#include "server/worker/agent.h"

#define CALL_SECONDS 60L
#define CALLS_MOST 2   /* at once, of all jobs: each takes a connection, and a cluster has a thousand workers */
#define FETCHES_MOST 1 /* of them: a dataset may take long, and what other jobs report does not wait for it */

/* ---- what the pool starts from ---- */

struct leased_job *work_find(const struct agent *agent, const char *id, int number) {
    struct leased_job *work = agent->works;
    while (work != NULL && (strcmp(work->id, id) != 0 || (number > 0 && work->number != number))) {
        work = work->next;
    }
    return work;
}

/* The job's attempt that runs: there is one at a time. */
static void *source_open(void *user, const char *id, char reason[STORE_ERROR_BYTES]) {
    struct agent *agent = user;
    pthread_mutex_lock(&agent->mutex);
    struct leased_job *work = agent->works;
    while (work != NULL && (work->phase != WORK_RUNS || strcmp(work->id, id) != 0)) {
        work = work->next;
    }
    pthread_mutex_unlock(&agent->mutex);
    if (work == NULL) {
        snprintf(reason, STORE_ERROR_BYTES, "the lease is gone");
    }
    return work;
}

static void source_close(void *handle) {
    (void)handle;
}

static int source_document(void *handle, const char *id, char **document) {
    const struct leased_job *work = handle;
    (void)id;
    *document = strdup(work->document);
    return *document != NULL ? 1 : -1;
}

/* The daemon reports what a job inherits, and compares what is computed again. */
static int source_history(void *handle, const char *id, char **history) {
    (void)handle;
    (void)id;
    *history = NULL;
    return 0;
}

static int source_check(void *handle, const char *id, int64_t iteration, char **check) {
    (void)handle;
    (void)id;
    (void)iteration;
    *check = NULL;
    return 0;
}

static int source_checkpoint(void *handle, const char *id, struct store_checkpoint *checkpoint, int *damaged) {
    const struct leased_job *work = handle;
    (void)id;
    *damaged = 0;
    if (work->checkpoint < 0) {
        return 0;
    }
    checkpoint->iteration = work->checkpoint;
    checkpoint->size = work->size;
    checkpoint->bytes = malloc(work->size);
    if (checkpoint->bytes == NULL) {
        return -1;
    }
    memcpy(checkpoint->bytes, work->bytes, work->size);
    return 1;
}

struct source work_source(struct agent *agent) {
    return (struct source){.user = agent,
                           .open = source_open,
                           .close = source_close,
                           .document = source_document,
                           .history = source_history,
                           .checkpoint = source_checkpoint,
                           .check = source_check};
}

/* ---- its memory ---- */

static void work_free(struct leased_job *work) {
    struct agent *agent = work->agent;
    pthread_mutex_lock(&agent->mutex);
    struct leased_job **at = &agent->works;
    while (*at != work) {
        at = &(*at)->next;
    }
    *at = work->next;
    pthread_mutex_unlock(&agent->mutex);
    if (work->file != NULL) {
        fclose(work->file);
    }
    outbox_destroy(work->outbox);
    free(work->document);
    free(work->bytes);
    free(work);
    agent->look(agent);
}

/* True if it is freed. */
static bool work_leave(struct leased_job *work) {
    if (work->phase != WORK_GONE || work->attempt != NULL || work->fetching || work->sending) {
        return false;
    }
    work_free(work);
    return true;
}

static void phase_set(struct leased_job *work, int phase) {
    pthread_mutex_lock(&work->agent->mutex);
    work->phase = phase;
    pthread_mutex_unlock(&work->agent->mutex);
}

static const struct executor_operations *operations_of(const struct leased_job *work) {
    return work->agent->executor->operations;
}

/* ---- calls ---- */

static void path_set(const struct leased_job *work, struct client_call *call, const char *rest) {
    snprintf(call->path, sizeof call->path, "/v1/jobs/%s/attempts/%d/%s", work->id, work->number, rest);
}

/*
 * What all answers have in common: false if the caller has nothing more to do with it. A lease that has ended is
 * abandoned; what may come right later is tried again.
 */
static bool answer_is_good(struct leased_job *work, const struct client_call *call) {
    if (call->status >= 200 && call->status < 300) {
        work->failures = 0;
        return true;
    }
    if (call->status == 409) {
        log_warning("a lease has ended; its job is abandoned", LOG_T("job", work->id), LOG_I("attempt", work->number));
        work_abandon(work);
        return false;
    }
    if (call->download != NULL && call->status == 404) {
        work_give_up(work, "its dataset is gone");
        return false;
    }
    if (call->status == 404 || call->status == 403) {
        agent_forgotten(work->agent, call->status == 403);
    } else if (call->status >= 400 && call->status < 500 && call->status != 429) {
        log_error("the daemon refused what a job reported; the job is given back", LOG_T("job", work->id),
                  LOG_I("status", call->status), LOG_T("answer", call->answer));
        work_give_up(work, "the daemon refused what its worker reported; the worker's log has the reason");
        return false;
    } else if (work->failures == 0) {
        log_warning(call->status == 507
                        ? "the daemon has no room for what a job reports; the job goes on, and it is kept"
                        : "the daemon cannot be reached; the job goes on, and what it reports is kept",
                    LOG_T("job", work->id), LOG_I("status", call->status), LOG_T("reason", call->error));
    }
    work->retry_at = clock_milliseconds() + agent_pause(work->agent, work->failures++);
    return false;
}

/* ---- fetching ---- */

static void fetch_ended(struct leased_job *work) {
    work->agent->calls--;
    work->agent->fetches--;
    work->fetching = false;
}

static void on_document(struct client_call *call) {
    struct leased_job *work = call->user;
    fetch_ended(work);
    if (answer_is_good(work, call)) {
        work->document = call->answer;
        call->answer = NULL;
    }
    free(call->answer);
    works_step(work->agent, work);
}

static void on_checkpoint(struct client_call *call) {
    struct leased_job *work = call->user;
    char sha256[STORE_HASH_BYTES];
    fetch_ended(work);
    if (answer_is_good(work, call)) {
        sha256_hex(call->answer, call->answer_size, sha256);
        if (strcmp(sha256, work->checkpoint_sha256) == 0) {
            work->bytes = (unsigned char *)call->answer;
            work->size = call->answer_size;
            call->answer = NULL;
        } else {
            work->retry_at = clock_milliseconds() + agent_pause(work->agent, work->failures++);
        }
    }
    free(call->answer);
    works_step(work->agent, work);
}

static void on_data(struct client_call *call) {
    struct leased_job *work = call->user;
    fetch_ended(work);
    FILE *file = work->file;
    work->file = NULL;
    bool good = answer_is_good(work, call);
    if (good && !data_keep(work->agent, work->dataset_sha256, work->mnist_training, file)) {
        log_warning("a dataset arrived damaged, or could not be kept; it is fetched again",
                    LOG_T("sha256", work->dataset_sha256));
        work->retry_at = clock_milliseconds() + agent_pause(work->agent, work->failures++);
    } else if (!good) {
        fclose(file);
    }
    free(call->answer);
    works_step(work->agent, work);
}

static void fetch(struct leased_job *work, void (*done)(struct client_call *call)) {
    work->call.method = "GET";
    work->call.seconds = CALL_SECONDS;
    work->call.download = work->file;
    work->call.done = done;
    work->call.user = work;
    work->fetching = true;
    work->agent->calls++;
    work->agent->fetches++;
    client_start(work->agent->client, &work->call);
}

static bool lacks_checkpoint(const struct leased_job *work) {
    return work->checkpoint >= 0 && work->bytes == NULL;
}

static bool all_is_fetched(const struct leased_job *work) {
    return work->document != NULL && !lacks_checkpoint(work) &&
           (work->dataset_sha256[0] == '\0' || data_is_here(work->agent, work->dataset_sha256, work->mnist_training));
}

/* Fetches what is missing, one after the other. */
static void fetch_next(struct leased_job *work) {
    char rest[64];
    if (work->agent->fetches >= FETCHES_MOST) {
        return;
    }
    if (work->document == NULL) {
        path_set(work, &work->call, "document");
        fetch(work, on_document);
    } else if (lacks_checkpoint(work)) {
        snprintf(rest, sizeof rest, "checkpoints/%" PRId64, work->checkpoint);
        path_set(work, &work->call, rest);
        fetch(work, on_checkpoint);
    } else {
        work->file = data_open(work->agent, work->dataset_sha256);
        if (work->file == NULL) {
            work_give_up(work, "its worker's scratch directory cannot be written");
            return;
        }
        snprintf(work->call.path, sizeof work->call.path, "/v1/datasets/by-sha256/%s", work->dataset_sha256);
        fetch(work, on_data);
    }
}

/* ---- training ---- */

static void on_record(void *user, struct attempt *attempt, struct attempt_record *record) {
    struct leased_job *work = user;
    const struct event_head head = {.job = work->id};
    bool kept = true;
    char *text = NULL;
    operations_of(work)->look(attempt, &work->view);
    switch (record->kind) {
    case RECORD_CHECKPOINT:
        kept = outbox_checkpoint(work->outbox, record->iteration, record->loss, record->bytes, record->size,
                                 record->sha256);
        break;
    case RECORD_LOG:
        text = event_log_text(&head, "warning", record->text);
        kept = text != NULL && outbox_record(work->outbox, text);
        break;
    default:
        text = event_progress_text(&head, &record->progress, record->elapsed, work->view.trials_per_second);
        kept = text != NULL && outbox_record(work->outbox, text);
    }
    free(text);
    if (!kept && !work->abandoned) {
        work_give_up(work, "its worker's scratch directory is full");
    }
    operations_of(work)->settle(attempt);
}

static void on_end(void *user, struct attempt *attempt, const struct attempt_end *end) {
    struct leased_job *work = user;
    operations_of(work)->look(attempt, &work->view);
    work->attempt = NULL;
    work->end = *end;
    works_share(work->agent);
    bool ordered = work->paused || work->released || work->abandoned || work->fault[0] != '\0';
    if (end->verdict == ATTEMPT_STOPPED && !ordered) {
        work_give_up(work, "its worker ran out of memory"); /* it could not report anything */
    }
    work->agent->refusals = end->verdict == ATTEMPT_FINISHED ? 0 : work->agent->refusals;
    phase_set(work, work->abandoned ? WORK_GONE : work->fault[0] != '\0' ? WORK_ENDING : WORK_ENDED);
    log_info("job ended", LOG_T("job", work->id), LOG_I("attempt", work->number),
             LOG_T("verdict", end->verdict == ATTEMPT_FINISHED  ? "finished"
                              : end->verdict == ATTEMPT_STOPPED ? "stopped"
                              : end->verdict == ATTEMPT_FAILED  ? "failed"
                                                                : "lost"),
             LOG_I("iteration", work->view.iteration));
    work_step(work);
}

static const struct attempt_hooks hooks = {.record = on_record, .end = on_end};

static bool keeps_several(const char *document) {
    struct job_spec spec;
    bool several = job_spec_parse(&spec, document) && spec.config.training.keep_checkpoints > 1;
    job_spec_release(&spec);
    return several;
}

/* Another attempt at the same job may still be stopping. */
static bool is_alone(const struct leased_job *work) {
    const struct leased_job *other = work->agent->works;
    while (other != NULL && (other == work || other->attempt == NULL || strcmp(other->id, work->id) != 0)) {
        other = other->next;
    }
    return other == NULL;
}

static void run(struct leased_job *work) {
    char path[OUTBOX_PATH_BYTES];
    const struct attempt_task task = {.id = work->id,
                                      .dataset_sha256 = work->dataset_sha256,
                                      .iteration = work->checkpoint > 0 ? work->checkpoint : 0,
                                      .place = "",
                                      .number = work->number};
    snprintf(path, sizeof path, "%.400s/%s.%d", work->agent->directory, work->id, work->number);
    work->outbox = outbox_create(path, keeps_several(work->document));
    phase_set(work, WORK_RUNS);
    work->attempt = work->outbox == NULL ? NULL
                                         : operations_of(work)->start(work->agent->executor, &task, &hooks, work);
    if (work->attempt == NULL) {
        work_give_up(work, "its worker has no memory for it, or cannot write its scratch directory");
        return;
    }
    log_info("job started", LOG_T("job", work->id), LOG_I("attempt", work->number), LOG_I("from", work->checkpoint));
    works_share(work->agent);
}

void works_share(struct agent *agent) {
    struct attempt *attempts[POOL_MOST];
    size_t count = 0;
    for (const struct leased_job *work = agent->works; work != NULL && count < POOL_MOST; work = work->next) {
        if (work->attempt != NULL) {
            attempts[count++] = work->attempt;
        }
    }
    executor_share(agent->executor, attempts, count, agent->options.cores);
}

/* ---- sending ---- */

static void on_sent(struct client_call *call) {
    struct leased_job *work = call->user;
    work->agent->calls--;
    work->sending = false;
    if (work->file != NULL) {
        fclose(work->file);
        work->file = NULL;
    }
    if (answer_is_good(work, call)) {
        outbox_acknowledge(work->outbox);
    }
    free(call->answer);
    works_step(work->agent, work);
}

static bool checkpoint_call(struct leased_job *work, const struct outbox_item *item) {
    const struct outbox_checkpoint *checkpoint = item->checkpoint;
    char rest[256], loss[64] = "";
    if (isfinite(checkpoint->loss)) {
        snprintf(loss, sizeof loss, "&loss=%.17g", checkpoint->loss);
    }
    snprintf(rest, sizeof rest, "checkpoints/%" PRId64 "?sha256=%s&record=%" PRId64 "%s", checkpoint->iteration,
             checkpoint->sha256, item->first, loss);
    for (char *plus = strchr(rest, '+'); plus != NULL; plus = strchr(plus, '+')) {
        *plus = ' ';
        memmove(plus, plus + 1, strlen(plus)); /* 1e+20 is 1e20, and needs no escape */
    }
    path_set(work, &work->send, rest);
    work->file = fopen(checkpoint->path, "re");
    work->send.method = "PUT";
    work->send.upload = work->file;
    work->send.upload_size = (int64_t)checkpoint->size;
    work->checkpoint_at = clock_milliseconds() + (uint64_t)work->agent->options.checkpoint_seconds * 1000;
    return work->file != NULL;
}

/* True if something is under way. */
static bool send_next(struct leased_job *work) {
    struct outbox_item item;
    bool due = work->phase != WORK_RUNS || clock_milliseconds() >= work->checkpoint_at;
    if (!outbox_next(work->outbox, due, &item)) {
        return false;
    }
    work->send = (struct client_call){.seconds = CALL_SECONDS, .done = on_sent, .user = work};
    if (item.checkpoint == NULL) {
        path_set(work, &work->send, "records");
        work->send.method = "POST";
        work->send.body = item.body;
        work->send.body_size = item.body_size;
    } else if (!checkpoint_call(work, &item)) {
        work_give_up(work, "a checkpoint in its worker's scratch directory is gone");
        return false;
    }
    work->sending = true;
    work->agent->calls++;
    client_start(work->agent->client, &work->send);
    return true;
}

/* ---- the end ---- */

static void on_ended(struct client_call *call) {
    struct leased_job *work = call->user;
    work->agent->calls--;
    work->sending = false;
    free((char *)(uintptr_t)call->body);
    if (answer_is_good(work, call)) {
        json_t *answer = json_loadb(call->answer == NULL ? "" : call->answer, call->answer_size, 0, NULL);
        if (json_is_true(json_object_get(answer, "ended"))) {
            phase_set(work, WORK_GONE);
        } else {
            work_give_up(work, "what its worker reported did not all arrive");
        }
        json_decref(answer);
    }
    free(call->answer);
    works_step(work->agent, work);
}

static json_t *end_document(const struct leased_job *work) {
    static const char *const names[] = {[ATTEMPT_FINISHED] = "finished",
                                        [ATTEMPT_STOPPED] = "stopped",
                                        [ATTEMPT_FAILED] = "failed",
                                        [ATTEMPT_LOST] = "lost",
                                        [ATTEMPT_RETURNED] = "lost"};
    const struct attempt_view *view = &work->view;
    json_t *document = json_pack("{s:I, s:f, s:I}", "updates", (json_int_t)view->updates, "trained", view->trained,
                                 "iteration", (json_int_t)view->iteration);
    if (isfinite(view->trials_per_second)) {
        json_object_set_new(document, "trials_per_second", json_real(view->trials_per_second));
    }
    if (work->fault[0] != '\0') {
        json_object_set_new(document, "verdict", json_string("lost"));
        json_object_set_new(document, "detail", json_string(work->fault));
        json_object_set_new(document, "records", json_integer(0));
        return document;
    }
    if (work->released) {
        json_object_set_new(document, "reason",
                            json_string(*work->end.detail != '\0' ? work->end.detail : "its worker stopped"));
        return document;
    }
    bool failed = work->end.verdict == ATTEMPT_FAILED;
    json_object_set_new(document, "verdict", json_string(names[work->end.verdict]));
    json_object_set_new(document, "records", json_integer(work->outbox == NULL ? 0 : outbox_count(work->outbox)));
    json_object_set_new(document, "code", json_string(failed ? work->end.code : ""));
    json_object_set_new(document, "detail", json_string(work->end.detail));
    json_object_set_new(document, "weights_sha256", json_string(work->end.weights_sha256));
    if (failed) {
        json_object_set_new(document, "iteration", json_integer(work->end.iteration));
    }
    return document;
}

static void end_send(struct leased_job *work) {
    json_t *document = end_document(work);
    char *body = json_text(document, NULL);
    json_decref(document);
    if (body == NULL) {
        return; /* out of memory: the next tick tries again */
    }
    work->send = (struct client_call){.method = "POST",
                                      .body = body,
                                      .body_size = strlen(body),
                                      .seconds = CALL_SECONDS,
                                      .done = on_ended,
                                      .user = work};
    path_set(work, &work->send, work->released && work->fault[0] == '\0' ? "release" : "end");
    work->sending = true;
    work->agent->calls++;
    client_start(work->agent->client, &work->send);
}

/* ---- orders ---- */

void work_pause(struct leased_job *work) {
    work->paused = true;
    if (work->attempt != NULL) {
        operations_of(work)->order(work->attempt, ATTEMPT_CHECKPOINT);
    }
}

void work_abandon(struct leased_job *work) {
    work->abandoned = true;
    if (work->attempt != NULL) {
        operations_of(work)->order(work->attempt, ATTEMPT_ABANDON);
    } else {
        phase_set(work, WORK_GONE);
    }
}

void work_give_up(struct leased_job *work, const char *fault) {
    if (work->fault[0] == '\0') {
        agent_rest(work->agent);
        log_error("this worker gives a job back", LOG_T("job", work->id), LOG_T("reason", fault));
    }
    snprintf(work->fault, sizeof work->fault, "%s", fault);
    if (work->attempt != NULL) {
        operations_of(work)->order(work->attempt, ATTEMPT_ABANDON);
    } else {
        phase_set(work, WORK_ENDING);
    }
}

void work_release(struct leased_job *work) {
    work->released = true;
    if (work->attempt != NULL) {
        operations_of(work)->order(work->attempt, ATTEMPT_CHECKPOINT);
    } else if (work->phase == WORK_FETCHES) {
        phase_set(work, WORK_ENDING);
    }
}

/* ---- steps ---- */

static void step_fetches(struct leased_job *work) {
    if (!all_is_fetched(work)) {
        fetch_next(work);
    } else if (is_alone(work) && work->paused) {
        work->end.verdict = ATTEMPT_STOPPED;
        phase_set(work, WORK_ENDING);
    } else if (is_alone(work)) {
        run(work);
    }
}

static void step_ended(struct leased_job *work) {
    bool finished = work->end.verdict == ATTEMPT_FINISHED || work->end.verdict == ATTEMPT_FAILED;
    if (work->released && finished) {
        work->released = false; /* it came to its end after all */
    }
    if (!work->sending && (work->outbox == NULL || (!send_next(work) && outbox_is_empty(work->outbox)))) {
        phase_set(work, WORK_ENDING);
    }
}

void work_step(struct leased_job *work) {
    if (work_leave(work) || work->phase == WORK_GONE || clock_milliseconds() < work->retry_at ||
        work->agent->calls >= CALLS_MOST) {
        return;
    }
    if (work->phase == WORK_FETCHES && !work->fetching && work->agent->announced) {
        step_fetches(work);
    }
    if (!work->agent->announced || work->sending || work->abandoned) {
        return;
    }
    if (work->phase == WORK_RUNS && work->fault[0] == '\0') {
        send_next(work);
    } else if (work->phase == WORK_ENDED) {
        step_ended(work);
    }
    if (work->phase == WORK_ENDING && !work->sending) {
        end_send(work);
    }
}

void works_step(struct agent *agent, const struct leased_job *last) {
    for (struct leased_job *work = last == NULL ? NULL : last->next, *next; work != NULL; work = next) {
        next = work->next;
        work_step(work);
    }
    for (struct leased_job *work = agent->works, *next; work != NULL; work = next) {
        next = work == last ? NULL : work->next;
        work_step(work);
    }
}

/* ---- taking a lease ---- */

static void text_take(const json_t *object, const char *name, char *to, size_t size) {
    const char *text = json_string_value(json_object_get(object, name));
    snprintf(to, size, "%s", text == NULL ? "" : text);
}

bool work_take(struct agent *agent, const json_t *lease) {
    const json_t *document = json_object_get(lease, "document"), *checkpoint = json_object_get(lease, "checkpoint");
    int number = (int)json_integer_value(json_object_get(lease, "attempt"));
    char id[STORE_ID_BYTES];
    text_take(lease, "job", id, sizeof id);
    if (strlen(id) != STORE_ID_BYTES - 1 || strspn(id, "0123456789abcdef-") != strlen(id) || number < 1) {
        return false;
    }
    if (work_find(agent, id, number) != NULL) {
        return true; /* the answer came twice */
    }
    struct leased_job *work = calloc(1, sizeof *work);
    if (work == NULL) {
        return false;
    }
    work->agent = agent;
    work->number = number;
    work->view.trials_per_second = NAN;
    memcpy(work->id, id, sizeof work->id);
    text_take(lease, "dataset_sha256", work->dataset_sha256, sizeof work->dataset_sha256);
    text_take(lease, "checkpoint_sha256", work->checkpoint_sha256, sizeof work->checkpoint_sha256);
    work->checkpoint = json_is_integer(checkpoint) ? json_integer_value(checkpoint) : -1;
    work->memory = json_integer_value(json_object_get(lease, "memory"));
    work->mnist_training = json_integer_value(json_object_get(lease, "mnist_training"));
    work->document = json_is_string(document) ? strdup(json_string_value(document)) : NULL;
    work->checkpoint_at = clock_milliseconds() + (uint64_t)agent->options.checkpoint_seconds * 1000;
    pthread_mutex_lock(&agent->mutex);
    work->next = agent->works;
    agent->works = work;
    pthread_mutex_unlock(&agent->mutex);
    return true;
}
