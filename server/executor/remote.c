/*
 * The executor of workers: attempts, as jobs see them. See remote.h; workers.c has the registry.
 *
 * An attempt begins when its job is durably running. prepare.c reads what the worker needs; evaluations that the job
 * inherits are reported here; then the lease is ready and the worker gets it. What the worker sends arrives as calls of
 * remote_attempt_record and remote_attempt_end. The daemon alone numbers events, and it alone compares recomputed
 * values with those that are stored.
 *
 * Hooks are called from a worker's call, from a tick or from a message, never from within an order: orders come from
 * jobs, which would be entered again.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/event.h"
#include "server/executor/leases.h"

#define CHECKPOINT_MOST ((size_t)1 << 30) /* bytes of one whose size is not known (yet) */

struct remote *remote_of(struct executor *executor) {
    return (struct remote *)executor; /* its first member */
}

int remote_lease_seconds(const struct remote *remote) {
    return remote->options.lease;
}

/* ---- the life of an attempt ---- */

/* After its end, once nothing of it is in progress. */
static void attempt_free(struct attempt *attempt) {
    if (attempt->ended && attempt->unsettled == 0 && !attempt->posted && !attempt->preparing) {
        prepared_release(&attempt->prepared);
        free(attempt);
    }
}

static void calls_answer(struct attempt *attempt, enum remote_result result) {
    while (attempt->calls != NULL) {
        struct remote_call *call = attempt->calls;
        attempt->calls = call->next;
        call->attempt = NULL;
        call->answer(call, result);
    }
}

static void unlink_attempt(struct attempt *attempt) {
    struct attempt **at = &attempt->worker->attempts;
    while (*at != attempt) {
        at = &(*at)->next;
    }
    *at = attempt->next;
    attempt->worker = NULL;
    attempt->remote->counts.attempts--;
}

/* Ends the lease: refuses what still waits, and reports to jobs. */
static void attempt_finish(struct attempt *attempt, const struct attempt_end *end, enum remote_result answer) {
    struct worker *worker = attempt->worker;
    struct remote *remote = attempt->remote;
    remote->counts.silent += end->verdict == ATTEMPT_RETURNED && end->lost;
    remote->counts.returned += end->verdict == ATTEMPT_RETURNED && !end->lost;
    unlink_attempt(attempt);
    calls_answer(attempt, answer);
    attempt->hooks.end(attempt->user, attempt, end);
    attempt->ended = true;
    attempt_free(attempt);
    lease_look(worker);
}

/* Reports what the job inherits, as long as there is room; the lease is ready once all of it is stored. */
static void history_report(struct attempt *attempt) {
    struct prepared *prepared = &attempt->prepared;
    while (attempt->reported < prepared->history_count && attempt->unsettled < EXECUTOR_RECORDS) {
        struct attempt_record *record = &prepared->history[attempt->reported++];
        attempt->unsettled++;
        attempt->hooks.record(attempt->user, attempt, record);
        free(record->check);
        record->check = NULL;
    }
    if (attempt->reported == prepared->history_count && attempt->unsettled == 0) {
        attempt->ready = true;
        attempt->seen = attempt->remote->clock;
        lease_look(attempt->worker);
    }
}

static void wake(struct loop_message *message) {
    struct attempt *attempt = (struct attempt *)((char *)message - offsetof(struct attempt, message));
    attempt->posted = false;
    const bool leaves = attempt->ordered && attempt->order == ATTEMPT_LEAVE;
    if (attempt->worker == NULL) {
        attempt_free(attempt);
    } else if (attempt->ordered && attempt->order != ATTEMPT_CHECKPOINT) {
        const struct attempt_end end = {.verdict = ATTEMPT_STOPPED, .iteration = attempt->iteration};
        attempt_finish(attempt, &end, leaves ? REMOTE_CLOSING : REMOTE_STALE);
    } else if (!attempt->ready && !attempt->preparing) {
        history_report(attempt);
    } else if (attempt->unsettled == 0) {
        calls_answer(attempt, REMOTE_DONE);
    }
}

static void post(struct attempt *attempt) {
    if (!attempt->posted) {
        attempt->posted = true;
        attempt->message.deliver = wake;
        loop_post(attempt->remote->options.loop, &attempt->message);
    }
}

static void attempt_prepared(struct attempt *attempt) {
    struct attempt_end end = {.verdict = ATTEMPT_LOST, .iteration = -1};
    if (attempt->worker == NULL) {
        attempt_free(attempt);
    } else if (attempt->prepared.fault[0] != '\0') {
        memcpy(end.detail, attempt->prepared.fault, sizeof end.detail);
        end.verdict = attempt->prepared.code != NULL ? ATTEMPT_FAILED : ATTEMPT_LOST;
        end.code = attempt->prepared.code;
        attempt_finish(attempt, &end, REMOTE_STALE);
    } else {
        if (attempt->dataset_sha256[0] == '\0') {
            memcpy(attempt->dataset_sha256, attempt->prepared.dataset_sha256, sizeof attempt->dataset_sha256);
        }
        if (!attempt->ready) { /* an adopted one has reported it: its worker has the lease */
            history_report(attempt);
        }
    }
}

/* ---- what jobs do with it ---- */

static int remote_capacity(const struct executor *executor) {
    int slots = 0;
    const struct remote *remote = (const struct remote *)executor;
    for (const struct worker *worker = remote->workers; worker != NULL; worker = worker->next) {
        slots += worker->facts.slots;
    }
    return slots;
}

static bool remote_wants(const struct executor *executor) {
    const struct worker *worker = ((const struct remote *)executor)->workers;
    while (worker != NULL && (worker->call == NULL || worker->wanted <= worker->reserved)) {
        worker = worker->next;
    }
    return worker != NULL;
}

/* The place that has most slots left, so that jobs spread. */
static bool remote_reserve(struct executor *executor, const struct store_job *job, char place[STORE_ID_BYTES]) {
    struct remote *remote = remote_of(executor);
    int64_t memory = job->memory + datasets_memory(remote->options.datasets, job->dataset_sha256);
    struct worker *best = NULL;
    for (struct worker *worker = remote->workers; worker != NULL; worker = worker->next) {
        int left = worker->call == NULL ? 0 : worker->wanted - worker->reserved;
        if (left > 0 && worker->memory >= memory && (best == NULL || left > best->wanted - best->reserved)) {
            best = worker;
        }
    }
    if (best == NULL) {
        return false;
    }
    best->reserved++;
    best->memory -= memory;
    memcpy(place, best->id, sizeof best->id);
    return true;
}

static void remote_unreserve(struct executor *executor, const char *place) {
    struct worker *worker = worker_find(remote_of(executor), place);
    if (worker != NULL && worker->reserved > 0) {
        worker->reserved--;
        lease_look(worker);
    }
}

static const char *remote_isa(const struct executor *executor, const char *place) {
    const struct worker *worker = worker_find((const struct remote *)executor, place);
    return worker != NULL ? worker->facts.isa : "";
}

static struct attempt *remote_begin(struct executor *executor, const struct attempt_task *task,
                                    const struct attempt_hooks *hooks, void *user) {
    struct remote *remote = remote_of(executor);
    struct worker *worker = task->adopted ? worker_expect(remote, task->place) : worker_find(remote, task->place);
    struct attempt *attempt = worker != NULL ? calloc(1, sizeof *attempt) : NULL;
    if (worker != NULL && !task->adopted) {
        worker->reserved--;
        worker->wanted--;
    }
    if (attempt == NULL) {
        return NULL;
    }
    *attempt = (struct attempt){.next = worker->attempts,
                                .remote = remote,
                                .worker = worker,
                                .hooks = *hooks,
                                .user = user,
                                .number = task->number,
                                .memory = task->memory,
                                .adopted = task->adopted,
                                .ready = task->adopted,
                                .next_record = task->reported,
                                .known_records = task->reported,
                                .seen = remote->clock,
                                .checkpoint = -1,
                                .iteration = task->iteration,
                                .rate = NAN,
                                .spent = task->trained,
                                .threads = 1};
    snprintf(attempt->id, sizeof attempt->id, "%s", task->id);
    snprintf(attempt->dataset_sha256, sizeof attempt->dataset_sha256, "%s", task->dataset_sha256);
    memcpy(attempt->request, task->adopted ? "" : worker->request, task->adopted ? 1 : sizeof attempt->request);
    worker->attempts = attempt;
    remote->counts.attempts++;
    remote->counts.leased += !task->adopted;
    prepare_submit(attempt);
    return attempt;
}

static void remote_order(struct attempt *attempt, enum attempt_order order) {
    if (attempt->ordered && attempt->order == ATTEMPT_ABANDON) {
        return;
    }
    attempt->ordered = true;
    attempt->order = order;
    if (order != ATTEMPT_CHECKPOINT) {
        post(attempt);
    }
}

static void remote_share(struct attempt *attempt, int threads) {
    (void)attempt; /* a worker divides its own cores */
    (void)threads;
}

static void remote_look(const struct attempt *attempt, struct attempt_view *view) {
    const struct prepared *prepared = &attempt->prepared;
    *view = (struct attempt_view){.iteration = attempt->iteration,
                                  .evaluated = attempt->evaluated,
                                  .evaluation = attempt->evaluation,
                                  .updates = attempt->updates,
                                  .trials_per_second = attempt->rate,
                                  .trained = attempt->spent + attempt->trained,
                                  .threads = attempt->threads};
    if (!attempt->preparing) {
        view->batch_size = prepared->batch_size;
        view->threads_most = prepared->threads_most;
        view->time_limit = prepared->time_limit;
        view->task = prepared->task;
        view->rule = prepared->rule;
    }
}

static void remote_settle(struct attempt *attempt) {
    attempt->unsettled--;
    if (attempt->unsettled == 0 || !attempt->ready) {
        post(attempt); /* what the unit means for the job is known only afterwards */
    }
}

static double remote_rate(struct executor *executor, enum rate rate) {
    (void)executor;
    (void)rate;
    return NAN;
}

static void remote_destroy(struct executor *executor) {
    if (executor != NULL) {
        prepare_release(remote_of(executor));
        workers_release(remote_of(executor));
        free(executor);
    }
}

static const struct executor_operations remote_operations = {.name = "remote",
                                                             .capacity = remote_capacity,
                                                             .start = remote_begin,
                                                             .order = remote_order,
                                                             .share = remote_share,
                                                             .look = remote_look,
                                                             .settle = remote_settle,
                                                             .wants = remote_wants,
                                                             .reserve = remote_reserve,
                                                             .unreserve = remote_unreserve,
                                                             .isa = remote_isa,
                                                             .rate = remote_rate,
                                                             .destroy = remote_destroy};

struct executor *remote_executor_create(const struct remote_options *options, char error[STORE_ERROR_BYTES]) {
    struct remote *remote = calloc(1, sizeof *remote);
    if (remote == NULL) {
        snprintf(error, STORE_ERROR_BYTES, "out of memory");
        return NULL;
    }
    remote->executor.operations = &remote_operations;
    remote->prepared = attempt_prepared;
    remote->finish = attempt_finish;
    remote->options = *options;
    remote->tick_at = clock_milliseconds();
    remote->to_prepare_last = &remote->to_prepare;
    if (!key_read(remote, error)) {
        free(remote);
        return NULL;
    }
    return &remote->executor;
}

/* ---- what its worker says ---- */

struct attempt *remote_attempt(struct worker *worker, const char *job, int number) {
    struct attempt *attempt = worker->attempts;
    while (attempt != NULL && (attempt->number != number || strcmp(attempt->id, job) != 0)) {
        attempt = attempt->next;
    }
    if (attempt == NULL || !attempt->ready || (attempt->ordered && attempt->order == ATTEMPT_ABANDON)) {
        return NULL;
    }
    attempt->seen = attempt->remote->clock;
    return attempt;
}

const char *remote_attempt_beat(struct attempt *attempt, const struct attempt_news *news) {
    attempt->iteration = news->iteration > attempt->iteration ? news->iteration : attempt->iteration;
    attempt->updates = news->updates > attempt->updates ? news->updates : attempt->updates;
    attempt->evaluated = news->evaluated;
    attempt->evaluation = news->evaluation;
    attempt->rate = news->trials_per_second;
    attempt->trained = news->trained;
    attempt->threads = news->threads;
    return attempt->ordered ? "pause" : "go";
}

int64_t remote_attempt_next(const struct attempt *attempt) {
    return attempt->next_record;
}

void remote_attempt_continue(struct attempt *attempt, int64_t first) {
    if (attempt->adopted) {
        attempt->adopted = false;
        attempt->next_record = first > attempt->known_records ? first : attempt->known_records;
    }
}

size_t remote_attempt_checkpoint_bytes(const struct attempt *attempt) {
    size_t bytes = attempt->preparing ? 0 : attempt->prepared.checkpoint_bytes;
    return bytes > 0 ? bytes : CHECKPOINT_MOST;
}

/* What an earlier attempt has reported must come again as it was. False: it differs. */
static bool recomputed_is_same(const struct attempt *attempt, struct attempt_record *record) {
    char *known = NULL;
    record->check = event_progress_check(&record->progress);
    int found = store_progress_check(attempt->remote->options.reader, attempt->id, record->progress.iteration, &known);
    bool same = found != 1 || record->check == NULL || strcmp(known, record->check) == 0;
    free(known);
    record->kind = found == 1 ? RECORD_KNOWN : RECORD_PROGRESS;
    return same;
}

bool remote_attempt_record(struct attempt *attempt, struct attempt_record *record, const char *weights_sha256) {
    attempt->seen = attempt->remote->clock;
    record->number = ++attempt->next_record;
    if (record->kind == RECORD_PROGRESS) {
        memcpy(record->sha256, attempt->dataset_sha256, sizeof record->sha256);
        if (!recomputed_is_same(attempt, record)) {
            struct attempt_end end = {
                .verdict = ATTEMPT_FAILED, .code = "not_reproducible", .iteration = record->progress.iteration};
            snprintf(end.detail, sizeof end.detail,
                     "iteration %lld, recomputed after an interruption, gave different numbers",
                     (long long)record->progress.iteration);
            free(record->check);
            attempt_finish(attempt, &end, REMOTE_STALE);
            return false;
        }
    } else if (record->kind == RECORD_CHECKPOINT) {
        attempt->checkpoint = record->iteration;
        snprintf(attempt->weights_sha256, sizeof attempt->weights_sha256, "%s", weights_sha256);
    }
    if (record->kind == RECORD_PROGRESS || record->kind == RECORD_KNOWN) {
        attempt->rate = record->rate;
        attempt->trained = record->elapsed > attempt->trained ? record->elapsed : attempt->trained;
    }
    attempt->unsettled++;
    attempt->hooks.record(attempt->user, attempt, record);
    free(record->check);
    free(record->bytes);
    return true;
}

void remote_attempt_wait(struct attempt *attempt, struct remote_call *call) {
    call->worker = NULL;
    call->attempt = attempt;
    call->next = attempt->calls;
    attempt->calls = call;
    if (attempt->unsettled == 0) {
        post(attempt);
    }
}

int64_t remote_attempt_checkpoint(const struct attempt *attempt, char weights_sha256[STORE_HASH_BYTES]) {
    memcpy(weights_sha256, attempt->weights_sha256, STORE_HASH_BYTES);
    return attempt->checkpoint;
}

void remote_attempt_end(struct attempt *attempt, const struct attempt_end *end) {
    attempt_finish(attempt, end, REMOTE_STALE);
}
