/*
 * The pool's executor: see pool.h and executor.h. The pool has a thread for each slot, and there are never more
 * attempts than slots, so an attempt starts at once. Its reports go to the loop as messages, in order, at most
 * EXECUTOR_RECORDS of them unsettled.
 *
 * With a device (--device) an attempt whose job it covers runs there, beside others; the rest run on the processor. An
 * attempt begins on a core, where the device's first update is checked, and leaves it for the device (hook `placed`),
 * where its thread does little but wait. The bits are the same, so a job may change between attempts. A device that
 * fails, or whose first update differs from the processor's, is not used again before a restart, and its jobs are tried
 * again on the processor.
 *
 * A job that resumes from a checkpoint recomputes what lies between that checkpoint and the interruption. These results
 * have been reported already: each is compared with the stored event and not reported again. A difference ends the job
 * (not_reproducible), because then none of its numbers can be trusted.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/event.h"
#include "api/job.h"
#include "api/text.h"
#include "core/model/network.h"
#include "server/base/thread.h"
#include "server/executor/pool.h"

/* One attempt. Made on the loop; the thread owns the members marked so until the loop learns that it has ended. */
struct attempt {
    uv_work_t work;
    struct pool *pool;
    int slot; /* its slot in the pool */
    struct attempt_hooks hooks;
    void *user;
    char id[STORE_ID_BYTES];
    char *document;        /* the thread's, until it is parsed */
    struct job_spec spec;  /* thread's */
    atomic_int batch_size; /* from spec, as are the next four; 0 until the thread has read it */
    atomic_int threads_most;
    atomic_llong time_limit;
    atomic_int task, rule;
    const struct task_data *data; /* thread's */
    void *handle;                 /* thread's: of the pool's source */
    struct train_control control;
    struct train_device device; /* thread's */
    bool has_place;             /* thread's: one of the device's, from the beginning */
    atomic_bool on_device;      /* its updates are made there */
    struct placing {
        struct loop_message message; /* first */
        struct attempt *attempt;
    } placing;                           /* from the thread to the loop, once */
    uv_sem_t room;                       /* records that may still be sent */
    atomic_llong iteration;              /* updates made */
    _Atomic double began;                /* clock_seconds of the first update of this attempt; 0: none yet */
    _Atomic double latest;               /* of the last update */
    atomic_llong first_iteration;        /* where this attempt started */
    atomic_llong updates;                /* made in this attempt */
    atomic_size_t evaluated, evaluation; /* trials of the current evaluation: done, and in total; 0: no evaluation is
                                          * running */
    struct meter meter;                  /* thread's */
    bool mismatch;                       /* thread's: a recomputed value differed */
    int64_t mismatch_iteration;
    char weights_sha256[STORE_HASH_BYTES]; /* thread's: of the last checkpoint */
    char dataset_sha256[STORE_HASH_BYTES]; /* thread's: of earlier attempts, then of this one */
    bool other_data;                       /* thread's: the two differ */
    enum result result;                    /* thread's, then the loop's */
    struct error error;
    char hindrance[EXECUTOR_TEXT_BYTES]; /* the thread's: why it could not train or report for a reason outside the
                                          * job; "": it could */
    bool ended;                          /* the loop's: its run is over */
    int unsettled;                       /* the loop's: records delivered */
    double started;                      /* clock_seconds */
    double trained;                      /* seconds of earlier attempts */
};

struct pool {
    struct executor executor; /* first */
    struct loop *loop;
    struct datasets *datasets;
    struct source source;
    int slots;
    bool taken[POOL_MOST];
    struct rates rates;
    int device;              /* -1: none */
    int device_jobs;         /* at most */
    atomic_int device_taken; /* by attempts that run there, or are about to */
    atomic_bool device_lost;
};

/* A record on its way from the thread to the loop. */
struct message {
    struct loop_message message; /* first */
    struct attempt *attempt;
    struct attempt_record record;
};

/* ---- on the loop ---- */

/* Called after the later of two: the end of its run, and the settling of its last record. */
static void attempt_free(struct attempt *attempt) {
    if (!attempt->ended || attempt->unsettled > 0) {
        return;
    }
    job_spec_release(&attempt->spec);
    uv_sem_destroy(&attempt->room);
    free(attempt);
}

static void message_deliver(struct loop_message *posted) {
    struct message *message = (struct message *)posted;
    struct attempt *attempt = message->attempt;
    attempt->unsettled++;
    attempt->hooks.record(attempt->user, attempt, &message->record);
    free(message->record.check);
    free(message->record.bytes);
    free(message);
}

static void placing_deliver(struct loop_message *posted) {
    struct attempt *attempt = ((struct placing *)posted)->attempt;
    if (attempt->hooks.placed != NULL) {
        attempt->hooks.placed(attempt->user, attempt);
    }
}

static void pool_settle(struct attempt *attempt) {
    attempt->unsettled--;
    uv_sem_post(&attempt->room);
    attempt_free(attempt);
}

static void pool_order(struct attempt *attempt, enum attempt_order order) {
    /* ATTEMPT_LEAVE: it cannot go on without the process, and keeps what it has in a checkpoint */
    if (order == ATTEMPT_ABANDON || atomic_load(&attempt->control.command) != TRAIN_ABANDON) {
        atomic_store(&attempt->control.command, order == ATTEMPT_ABANDON ? TRAIN_ABANDON : TRAIN_STOP);
    }
}

static void pool_share(struct attempt *attempt, int threads) {
    atomic_store(&attempt->control.threads, threads);
}

static double trials_per_second(const struct attempt *attempt) {
    double took = atomic_load(&attempt->latest) - atomic_load(&attempt->began);
    double made = (double)(atomic_load(&attempt->iteration) - atomic_load(&attempt->first_iteration));
    return took > 0 && made > 0 ? made * atomic_load(&attempt->batch_size) / took : NAN;
}

static void pool_look(const struct attempt *attempt, struct attempt_view *view) {
    *view = (struct attempt_view){.iteration = atomic_load(&attempt->iteration),
                                  .evaluated = atomic_load(&attempt->evaluated),
                                  .evaluation = atomic_load(&attempt->evaluation),
                                  .updates = atomic_load(&attempt->updates),
                                  .trials_per_second = trials_per_second(attempt),
                                  .trained = attempt->trained + (clock_seconds() - attempt->started),
                                  .batch_size = atomic_load(&attempt->batch_size),
                                  .threads_most = atomic_load(&attempt->threads_most),
                                  .time_limit = atomic_load(&attempt->time_limit),
                                  .threads = atomic_load(&attempt->control.threads),
                                  .on_device = atomic_load(&attempt->on_device),
                                  .task = (enum task_type)atomic_load(&attempt->task),
                                  .rule = (enum rule_type)atomic_load(&attempt->rule)};
}

static int pool_capacity(const struct executor *executor) {
    return ((const struct pool *)executor)->slots;
}

/* ---- on the attempt's thread ---- */

/* A record to fill; waits until there is room. NULL if out of memory. */
static struct message *message_make(struct attempt *attempt, int kind) {
    struct message *message = calloc(1, sizeof *message);
    if (message != NULL) {
        message->attempt = attempt;
        message->record.kind = kind;
        message->message.deliver = message_deliver;
        uv_sem_wait(&attempt->room);
    }
    return message;
}

static void post(struct message *message) {
    loop_post(message->attempt->pool->loop, &message->message);
}

static void say_log(struct attempt *attempt, const char *text) {
    struct message *message = message_make(attempt, RECORD_LOG);
    if (message != NULL) {
        snprintf(message->record.text, sizeof message->record.text, "%.250s", text);
        post(message);
    }
}

/* Why this attempt ends for a reason outside the job: it is run again. */
static void hinder(struct attempt *attempt, const char *reason) {
    snprintf(attempt->hindrance, sizeof attempt->hindrance, "%.*s", EXECUTOR_TEXT_BYTES - 1, reason);
}

/* What the stored evaluation of this iteration must give again. As store_progress_check. */
static int check_read(struct attempt *attempt, int64_t iteration, char **check) {
    return attempt->pool->source.check(attempt->handle, attempt->id, iteration, check);
}

/* An evaluation, of this attempt or inherited; `record` has what only one of the two has. */
static bool progress_report(struct attempt *attempt, const struct train_progress *progress,
                            const struct attempt_record *record) {
    char *check = event_progress_check(progress), *known = NULL;
    int found = check != NULL ? check_read(attempt, progress->iteration, &known) : -1;
    if (check != NULL && found < 0) {
        hinder(attempt, "its stored events cannot be read");
    }
    if (found == 1 && strcmp(known, check) != 0) {
        attempt->mismatch = true;
        attempt->mismatch_iteration = progress->iteration;
    }
    free(known);
    struct message *message = found < 0 || attempt->mismatch
                                  ? NULL
                                  : message_make(attempt, found == 1 ? RECORD_KNOWN : (int)record->kind);
    if (message == NULL) {
        free(check);
        return false;
    }
    message->record.progress = *progress;
    message->record.check = check;
    memcpy(message->record.sha256, attempt->dataset_sha256, sizeof message->record.sha256);
    message->record.elapsed = record->elapsed;
    message->record.rate = record->rate;
    post(message);
    return true;
}

static bool on_progress(void *user, const struct train_progress *progress) {
    struct attempt *attempt = user;
    const struct attempt_record record = {.kind = RECORD_PROGRESS, .elapsed = clock_seconds() - attempt->started};
    return progress_report(attempt, progress, &record);
}

/* Whether the events of this job have the evaluation already. */
static bool is_reported(struct attempt *attempt, const struct train_progress *progress) {
    char *known = NULL;
    bool reported = check_read(attempt, progress->iteration, &known) == 1;
    free(known);
    return reported;
}

/* Waits until every record is settled: what was reported is stored, and a later comparison finds it. */
static void records_settle(struct attempt *attempt) {
    for (int i = 0; i < EXECUTOR_RECORDS; i++) {
        uv_sem_wait(&attempt->room);
    }
    for (int i = 0; i < EXECUTOR_RECORDS; i++) {
        uv_sem_post(&attempt->room);
    }
}

/*
 * Reports the evaluations that an extended job inherits, once, before its own: its curves begin at iteration 0. An
 * attempt that was interrupted meanwhile is continued here. False: stopped, or nothing can be read.
 */
static bool history_report(struct attempt *attempt) {
    char *history = NULL, *rest;
    int found = attempt->pool->source.history(attempt->handle, attempt->id, &history);
    bool go_on = found >= 0;
    if (!go_on) {
        hinder(attempt, "the evaluations of the job that it extends cannot be read");
    }
    rest = history;
    for (char *line; go_on && rest != NULL && (line = strsep(&rest, "\n")) != NULL && *line != '\0';) {
        json_t *event = json_loads(line, 0, NULL);
        struct attempt_record record = {.kind = RECORD_INHERITED};
        const struct train_progress progress = event_progress_read(event, &record.elapsed, &record.rate);
        if (event == NULL) {
            hinder(attempt, "not enough memory for the evaluations of the job that it extends");
        }
        go_on = event != NULL && atomic_load(&attempt->control.command) == TRAIN_GO &&
                (is_reported(attempt, &progress) || progress_report(attempt, &progress, &record));
        json_decref(event);
    }
    if (history != NULL) {
        records_settle(attempt);
    }
    free(history);
    return go_on;
}

/* The sha256 that the weights document of this checkpoint will state. */
static bool weights_digest(struct attempt *attempt, const unsigned char *bytes, size_t size) {
    struct trained trained;
    struct error error;
    if (trained_open(&attempt->spec.config, bytes, size, &trained, &error) != RESULT_DONE) {
        return false;
    }
    sha256_hex(trained.W, trained.parameters * sizeof(float), attempt->weights_sha256);
    trained_release(&trained);
    return true;
}

static bool on_checkpoint(void *user, int64_t iteration, double loss, const unsigned char *bytes, size_t size) {
    struct attempt *attempt = user;
    meter_pause(&attempt->meter);
    struct message *message = weights_digest(attempt, bytes, size) ? message_make(attempt, RECORD_CHECKPOINT) : NULL;
    if (message == NULL || (message->record.bytes = malloc(size)) == NULL) {
        if (message != NULL) {
            uv_sem_post(&attempt->room);
        }
        free(message);
        return false;
    }
    struct attempt_record *record = &message->record;
    memcpy(record->bytes, bytes, size);
    record->size = size;
    record->iteration = iteration;
    record->loss = loss;
    record->keep = training_keep(&attempt->spec.config.training);
    sha256_hex(bytes, size, record->sha256);
    post(message);
    return true;
}

/* The job may have been given cores before its bound was known. */
static void threads_bound(struct attempt *attempt) {
    int most = attempt->spec.threads;
    if (most > 0 && atomic_load(&attempt->control.threads) > most) {
        atomic_store(&attempt->control.threads, most);
    }
}

static void on_iteration(void *user, int64_t iteration) {
    struct attempt *attempt = user;
    double now = clock_seconds();
    int64_t before = atomic_load(&attempt->iteration);
    if (atomic_load(&attempt->began) == 0) {
        /* the first update includes page faults and cold caches; counting starts after it */
        atomic_store(&attempt->first_iteration, iteration);
        atomic_store(&attempt->began, now);
    }
    atomic_store(&attempt->latest, now);
    threads_bound(attempt);
    atomic_store(&attempt->iteration, iteration);
    atomic_fetch_add(&attempt->updates, iteration - before);
    if (!attempt->device.used) { /* it measures the processor */
        meter_iteration(&attempt->meter, now, atomic_load(&attempt->control.threads));
    }
}

static void on_evaluating(void *user, size_t done, size_t trials) {
    struct attempt *attempt = user;
    if (!attempt->device.used) {
        meter_evaluating(&attempt->meter, clock_seconds(), atomic_load(&attempt->control.threads), done, trials);
    }
    atomic_store(&attempt->evaluated, done);
    atomic_store(&attempt->evaluation, done < trials ? trials : 0);
}

static double on_clock(void *user) {
    (void)user;
    return clock_seconds();
}

/* The data that the job was accepted with, or none. */
static bool data_hold(struct attempt *attempt) {
    struct datasets *datasets = attempt->pool->datasets;
    char text[DATASETS_ERROR_BYTES];
    enum datasets_result result = datasets_hold(datasets, &attempt->spec.config.task, attempt->dataset_sha256,
                                                &attempt->data, text);
    attempt->other_data = result == DATASETS_CHANGED;
    if (result != DATASETS_HELD) {
        snprintf(attempt->error.text, sizeof attempt->error.text, "%.250s", text);
        return false;
    }
    attempt->spec.config.task.data = attempt->data;
    datasets_digest(datasets, attempt->data, attempt->dataset_sha256);
    return true;
}

/* Initial weights were checked against the task's shape at submission; nothing may rely on that alone. */
static bool shapes_agree(struct attempt *attempt) {
    const struct train_config *config = &attempt->spec.config;
    struct problems problems = {0};
    struct task_shape shape;
    char text[256];
    if (task_table[config->task.type]->shape(&config->task, &shape, text)) {
        job_spec_check_shape(&attempt->spec, shape.inputs, shape.outputs, &problems);
    }
    bool agree = problems.count == 0;
    if (!agree) {
        snprintf(attempt->error.text, sizeof attempt->error.text,
                 "network.initial does not fit the task, which has %d inputs and %d outputs", shape.inputs,
                 shape.outputs);
    }
    problems_release(&problems);
    return agree;
}

/* A job that starts from given weights reports what its network cannot hold of them: it would go unnoticed. */
static void say_losses(struct attempt *attempt) {
    const struct train_config *config = &attempt->spec.config;
    struct given_losses losses;
    struct task_shape shape;
    char text[256];
    if (config->network.initial == NULL || !task_table[config->task.type]->shape(&config->task, &shape, text) ||
        !network_given_losses(&config->network, shape.inputs, shape.outputs, config->seed, &losses, text)) {
        return; /* the same problem will stop the training, which reports it */
    }
    const struct {
        size_t count;
        const char *of, *why;
    } table[] = {
        {losses.diagonal, "W", "on the diagonal are set to 0: there are no autapses"},
        {losses.unmasked, "W", "are set to 0 where network.connectivity and the seed leave no synapse"},
        {losses.forbidden, "W and Wout", "have the sign that Dale's law forbids: the first update sets them to 0"},
        {losses.bias, "b", "are ignored: network.bias is false"}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (table[i].count > 0) {
            snprintf(text, sizeof text, "of network.initial, %zu entries of %s %s", table[i].count, table[i].of,
                     table[i].why);
            say_log(attempt, text);
        }
    }
}

/* One of the device's places. False: all are taken. */
static bool place_take(struct pool *pool) {
    int taken = atomic_load(&pool->device_taken);
    while (taken < pool->device_jobs && !atomic_compare_exchange_weak(&pool->device_taken, &taken, taken + 1)) {
    }
    return taken < pool->device_jobs;
}

static void place_leave(struct attempt *attempt) {
    if (attempt->has_place) {
        attempt->has_place = false;
        atomic_fetch_sub(&attempt->pool->device_taken, 1);
    }
}

/* It is known where the job runs. What the device covers, and has no memory for, is a surprise: the job says so. */
static void on_decided(void *user) {
    struct attempt *attempt = user;
    char text[EXECUTOR_TEXT_BYTES];
    if (attempt->device.used) {
        atomic_store(&attempt->on_device, true);
        attempt->placing = (struct placing){{.deliver = placing_deliver}, attempt};
        loop_post(attempt->pool->loop, &attempt->placing.message);
    } else {
        place_leave(attempt);
        snprintf(text, sizeof text, "the job runs on the processor: %.200s", attempt->device.why);
        say_log(attempt, text);
    }
}

/* The device for this attempt, where it covers the job and takes another. */
static void device_take(struct attempt *attempt) {
    struct pool *pool = attempt->pool;
    struct train_device covers = {.number = pool->device};
    if (pool->device >= 0 && !atomic_load(&pool->device_lost) && train_device_covers(&attempt->spec.config, &covers) &&
        place_take(pool)) {
        attempt->has_place = true;
        attempt->device = (struct train_device){.number = pool->device, .decided = on_decided, .user = attempt};
        attempt->control.device = &attempt->device;
    }
}

static void device_leave(struct attempt *attempt, enum result result) {
    struct pool *pool = attempt->pool;
    if (result == RESULT_DEVICE_LOST) {
        atomic_store(&pool->device_lost, true);
        hinder(attempt, attempt->error.text);
    }
    attempt->control.device = NULL;
    place_leave(attempt);
}

/* `checkpoint` NULL: from the beginning. */
static enum result train_from(struct attempt *attempt, const struct store_checkpoint *checkpoint) {
    struct train_estimate estimate = {0};
    (void)train_estimate_compute(&attempt->spec.config, &estimate, &attempt->error); /* if this fails, so does what
                                                                                      * follows */
    meter_init(&attempt->meter, &attempt->pool->rates, &estimate);
    const struct train_callbacks callbacks = {.user = attempt,
                                              .progress = on_progress,
                                              .checkpoint = on_checkpoint,
                                              .evaluating = on_evaluating,
                                              .iteration = on_iteration,
                                              .clock = on_clock};
    device_take(attempt);
    enum result result = train_run(&attempt->spec.config, checkpoint == NULL ? NULL : checkpoint->bytes,
                                   checkpoint == NULL ? 0 : checkpoint->size, &attempt->control, &callbacks,
                                   &attempt->error);
    device_leave(attempt, result);
    return result;
}

static enum result train(struct attempt *attempt) {
    char text[DATASETS_ERROR_BYTES];
    struct store_checkpoint checkpoint = {0};
    int damaged = 0, found;
    if ((found = attempt->pool->source.checkpoint(attempt->handle, attempt->id, &checkpoint, &damaged)) < 0) {
        hinder(attempt, "its checkpoints cannot be read");
        return RESULT_STOPPED;
    }
    if (damaged > 0) {
        snprintf(text, sizeof text, "%d damaged checkpoint%s passed over; the job goes on from %s", damaged,
                 damaged == 1 ? " was" : "s were", found == 1 ? "the one before" : "its beginning");
        say_log(attempt, text);
    }
    if (!data_hold(attempt) || !shapes_agree(attempt)) {
        datasets_release(attempt->pool->datasets, attempt->data);
        free(checkpoint.bytes);
        return RESULT_INVALID;
    }
    if (checkpoint.bytes == NULL) {
        say_losses(attempt);
    }
    enum result result = history_report(attempt) ? train_from(attempt, found == 1 ? &checkpoint : NULL)
                                                 : RESULT_STOPPED;
    datasets_release(attempt->pool->datasets, attempt->data);
    free(checkpoint.bytes);
    return result;
}

/* Here and not on the loop: a document with initial weights may be tens of megabytes. */
static bool document_parse(struct attempt *attempt) {
    char reason[STORE_ERROR_BYTES];
    const struct source *source = &attempt->pool->source;
    attempt->handle = source->open(source->user, attempt->id, reason);
    if (attempt->handle == NULL || source->document(attempt->handle, attempt->id, &attempt->document) != 1) {
        hinder(attempt, attempt->handle == NULL ? reason : "its document cannot be read");
        return false;
    }
    const uint64_t begin = json_memory_begin();
    bool ok = job_spec_parse(&attempt->spec, attempt->document);
    free(attempt->document);
    attempt->document = NULL;
    if (ok) {
        atomic_store(&attempt->batch_size, attempt->spec.config.training.batch_size);
        atomic_store(&attempt->threads_most, attempt->spec.threads);
        atomic_store(&attempt->time_limit, attempt->spec.time_limit);
        atomic_store(&attempt->task, (int)attempt->spec.config.task.type);
        atomic_store(&attempt->rule, (int)attempt->spec.config.rule.type);
        threads_bound(attempt);
    } else if (json_memory_short(begin)) {
        hinder(attempt, "not enough memory for its document");
    } else {
        snprintf(attempt->error.text, sizeof attempt->error.text, "the job's stored document is damaged");
    }
    return ok;
}

static void run(uv_work_t *work) {
    struct attempt *attempt = work->data;
    thread_slot_enter(attempt->slot, attempt->id);
    attempt->result = document_parse(attempt) ? train(attempt) : RESULT_INVALID;
    attempt->pool->source.close(attempt->handle);
    attempt->handle = NULL;
    thread_slot_leave(attempt->slot);
}

/* ---- the end, on the loop ---- */

static void end_fail(struct attempt_end *end, const char *code, const char *detail, int64_t iteration) {
    end->verdict = ATTEMPT_FAILED;
    end->code = code;
    end->iteration = iteration;
    snprintf(end->detail, sizeof end->detail, "%s", detail);
}

static void end_mismatch(struct attempt_end *end, int64_t iteration) {
    char text[EXECUTOR_TEXT_BYTES];
    snprintf(text, sizeof text, "iteration %lld, recomputed after an interruption, gave different numbers",
             (long long)iteration);
    end_fail(end, "not_reproducible", text, iteration);
}

static void end_fill(const struct attempt *attempt, struct attempt_end *end) {
    *end = (struct attempt_end){.verdict = ATTEMPT_STOPPED, .iteration = atomic_load(&attempt->iteration)};
    if (*attempt->hindrance != '\0') {
        end->verdict = ATTEMPT_LOST;
        memcpy(end->detail, attempt->hindrance, sizeof end->detail);
        return;
    }
    switch (attempt->result) {
    case RESULT_DONE:
        end->verdict = ATTEMPT_FINISHED;
        memcpy(end->weights_sha256, attempt->weights_sha256, sizeof end->weights_sha256);
        break;
    case RESULT_STOPPED:
        if (attempt->mismatch) {
            end_mismatch(end, attempt->mismatch_iteration);
        }
        break;
    case RESULT_DIVERGED:
        end_fail(end, "diverged", attempt->error.text, attempt->error.iteration);
        break;
    case RESULT_NO_MEMORY:
        end_fail(end, "no_memory", attempt->error.text, -1);
        break;
    case RESULT_BAD_CHECKPOINT:
        end_fail(end, "bad_checkpoint", attempt->error.text, -1);
        break;
    case RESULT_DEVICE_LOST: /* it is a hindrance, above */
        break;
    case RESULT_INVALID:
        end_fail(end, attempt->other_data ? "dataset_changed" : "invalid", attempt->error.text, -1);
        break;
    }
}

/* The attempt's records come by a different way than its end, and are handled first. */
static void after_run(uv_work_t *work, int status) {
    struct attempt *attempt = work->data;
    struct loop *loop = attempt->pool->loop;
    struct attempt_end end;
    (void)status; /* nothing is cancelled */
    loop_deliver(loop);
    const struct loop_mark mark = loop_enter();
    attempt->pool->taken[attempt->slot] = false;
    end_fill(attempt, &end);
    attempt->hooks.end(attempt->user, attempt, &end);
    attempt->ended = true;
    attempt_free(attempt);
    loop_leave(loop, LOOP_MESSAGE, &mark);
}

static int slot_take(struct pool *pool) {
    int slot = 0;
    while (slot < pool->slots && pool->taken[slot]) {
        slot++;
    }
    return slot;
}

static struct attempt *pool_begin(struct executor *executor, const struct attempt_task *task,
                                  const struct attempt_hooks *hooks, void *user) {
    struct pool *pool = (struct pool *)executor;
    struct attempt *attempt = calloc(1, sizeof *attempt);
    int slot = slot_take(pool);
    if (attempt == NULL || slot == pool->slots || uv_sem_init(&attempt->room, EXECUTOR_RECORDS) != 0) {
        free(attempt);
        return NULL;
    }
    attempt->pool = pool;
    attempt->hooks = *hooks;
    attempt->user = user;
    attempt->started = clock_seconds();
    attempt->trained = task->trained;
    snprintf(attempt->id, sizeof attempt->id, "%s", task->id);
    snprintf(attempt->dataset_sha256, sizeof attempt->dataset_sha256, "%s", task->dataset_sha256);
    atomic_store(&attempt->control.threads, 1);
    atomic_store(&attempt->iteration, task->iteration);
    attempt->slot = slot;
    pool->taken[slot] = true;
    attempt->work.data = attempt;
    uv_queue_work(&pool->loop->uv, &attempt->work, run, after_run); /* fails without a callback alone */
    return attempt;
}

static double pool_rate(struct executor *executor, enum rate rate) {
    return rates_read(&((struct pool *)executor)->rates, rate);
}

static void pool_destroy(struct executor *executor) {
    if (executor != NULL) {
        rates_release(&((struct pool *)executor)->rates);
        free(executor);
    }
}

static const struct executor_operations pool_operations = {.name = "pool",
                                                           .capacity = pool_capacity,
                                                           .start = pool_begin,
                                                           .order = pool_order,
                                                           .share = pool_share,
                                                           .look = pool_look,
                                                           .settle = pool_settle,
                                                           .rate = pool_rate,
                                                           .destroy = pool_destroy};

struct executor *pool_executor_create(struct loop *loop, struct datasets *datasets, const struct source *source,
                                      int slots, int device, int device_jobs) {
    struct pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL) {
        return NULL;
    }
    *pool = (struct pool){.executor = {.operations = &pool_operations},
                          .loop = loop,
                          .datasets = datasets,
                          .source = *source,
                          .slots = slots + device_jobs,
                          .device = device,
                          .device_jobs = device_jobs};
    rates_init(&pool->rates);
    return &pool->executor;
}
