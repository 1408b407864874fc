/*
 * A worker: one attempt at one job, on a thread of libuv's pool. The pool has a thread for each slot, and there are
 * never more attempts than slots, so that an attempt begins at once. Everything it has to say goes to the loop as
 * messages, in order, at most MESSAGES_MOST of them uncommitted: a slow disk slows training instead of filling memory.
 *
 * A job that goes on from a checkpoint computes again what lies between that checkpoint and the crash. What it reports
 * there has been reported: it is compared with the stored event and not said twice; a difference ends the job
 * (not_reproducible), since then no number of it could be trusted.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/event.h"
#include "api/text.h"
#include "core/model/network.h"
#include "server/jobs/internal.h"
#include "server/base/log.h"
#include "server/base/thread.h"

struct worker_message {
    struct loop_message message;
    struct worker *worker;
    enum { SAYS_PROGRESS, SAYS_KNOWN, SAYS_CHECKPOINT, SAYS_LOG } kind;
    struct train_progress progress;
    double elapsed;
    char *check;          /* progress */
    unsigned char *bytes; /* checkpoint */
    size_t size;
    int64_t iteration;
    double loss;
    char sha256[STORE_HASH_BYTES]; /* checkpoint: its own; progress: the data's */
    char text[256];                /* log */
};

/* ---- on the loop ---- */

/* The worker may send one more message. */
static void room_give(struct worker *worker) {
    uv_sem_post(&worker->room);
}

static void progress_take(struct store_job *job, const struct train_progress *progress) {
    job->iteration = progress->iteration;
    job->loss = progress->loss;
    job->accuracy = progress->accuracy;
    job->initial_loss = progress->iteration == 0 ? progress->loss : job->initial_loss;
    job->progressed = progress->iteration > job->progressed ? progress->iteration : job->progressed;
}

static void progress_store(struct worker *worker, struct worker_message *said) {
    struct entry *entry = worker->entry;
    struct store_unit *unit = entry_unit(entry, worker, false);
    struct event_head head;
    struct store_event *event = unit != NULL ? entry_event(entry, unit, "progress", &head) : NULL;
    struct store_item *row = event != NULL ? store_unit_add(unit, STORE_JOB_SET) : NULL;
    progress_take(&entry->job, &said->progress);
    entry->job.trials_per_second = worker_trials_per_second(worker);
    entry->job.trained = worker_trained(worker);
    memcpy(entry->job.dataset_sha256, said->sha256, sizeof said->sha256);
    if (row == NULL) {
        entry_discard(entry, unit);
        room_give(worker);
        return;
    }
    event->iteration = said->progress.iteration;
    event->check = said->check;
    said->check = NULL;
    event->json = event_progress_text(&head, &said->progress, said->elapsed, entry->job.trials_per_second);
    job_row_copy(&row->job, &entry->job);
    worker->units++;
    entry_submit(entry, unit);
}

static void checkpoint_store(struct worker *worker, struct worker_message *said) {
    struct entry *entry = worker->entry;
    struct store_unit *unit = entry_unit(entry, worker, false);
    struct event_head head;
    struct store_item *item = unit != NULL ? store_unit_add(unit, STORE_CHECKPOINT_ADD) : NULL;
    struct store_event *event = item != NULL ? entry_event(entry, unit, "checkpoint", &head) : NULL;
    struct store_item *row = event != NULL ? store_unit_add(unit, STORE_JOB_SET) : NULL;
    if (row == NULL) {
        entry_discard(entry, unit);
        room_give(worker);
        return;
    }
    item->checkpoint = (struct store_checkpoint){.iteration = said->iteration,
                                                 .created = head.time,
                                                 .loss = said->loss,
                                                 .bytes = said->bytes,
                                                 .size = said->size,
                                                 .keep = worker->spec.config.training.keep_checkpoints};
    said->bytes = NULL;
    memcpy(item->checkpoint.job, worker->id, sizeof worker->id);
    memcpy(item->checkpoint.sha256, said->sha256, sizeof said->sha256);
    entry->job.progressed = said->iteration > entry->job.progressed ? said->iteration : entry->job.progressed;
    job_row_copy(&row->job, &entry->job);
    event->iteration = said->iteration;
    event->json = event_checkpoint_text(&head, said->iteration, said->loss, said->size, said->sha256);
    worker->units++;
    entry_submit(entry, unit);
}

/* After the last of two: the end of its run, or the commit of the last unit. */
static void worker_free(struct worker *worker) {
    if (!worker->ended || worker->units > 0) {
        return;
    }
    job_spec_release(&worker->spec);
    uv_sem_destroy(&worker->room);
    free(worker);
}

static void message_deliver(struct loop_message *message) {
    struct worker_message *said = (struct worker_message *)((char *)message - offsetof(struct worker_message, message));
    struct worker *worker = said->worker;
    struct entry *entry = worker->entry;
    switch (said->kind) {
    case SAYS_PROGRESS:
        progress_store(worker, said);
        break;
    case SAYS_KNOWN:
        progress_take(&entry->job, &said->progress);
        room_give(worker);
        break;
    case SAYS_CHECKPOINT:
        checkpoint_store(worker, said);
        break;
    case SAYS_LOG:
        entry_log(entry, "warning", said->text);
        room_give(worker);
        break;
    }
    free(said->check);
    free(said->bytes);
    free(said);
}

void worker_unit_done(struct worker *worker) {
    worker->units--;
    room_give(worker);
    worker_free(worker);
}

void worker_stop(struct worker *worker, enum worker_stop why) {
    /* what weighs more stays: a job that is being cancelled is not merely paused */
    if (worker->stop == STOP_NONE || why == STOP_CANCEL || (why == STOP_STALL && worker->stop != STOP_CANCEL)) {
        worker->stop = why;
    }
    bool abandon = worker->stop == STOP_CANCEL || worker->stop == STOP_STALL;
    atomic_store(&worker->control.command, abandon ? TRAIN_ABANDON : TRAIN_STOP);
}

double worker_trials_per_second(const struct worker *worker) {
    double took = atomic_load(&worker->latest) - atomic_load(&worker->began);
    double made = (double)(atomic_load(&worker->iteration) - atomic_load(&worker->first_iteration));
    return took > 0 && made > 0 ? made * atomic_load(&worker->batch_size) / took : NAN;
}

double worker_trained(const struct worker *worker) {
    return worker->trained + (clock_seconds() - worker->started);
}

void worker_live(const struct worker *worker, int64_t iterations, struct jobs_live *live) {
    live->running = true;
    live->iteration = atomic_load(&worker->iteration);
    live->evaluation = atomic_load(&worker->evaluation);
    live->evaluated = atomic_load(&worker->evaluated);
    live->trials_per_second = worker_trials_per_second(worker);
    live->seconds_left = (double)(iterations - live->iteration) * atomic_load(&worker->batch_size) /
                         live->trials_per_second;
    live->threads = atomic_load(&worker->control.threads);
}

void worker_count(struct worker *worker) {
    struct jobs_counts *counts = &worker->jobs->counts;
    const struct train_config *config = &worker->spec.config;
    long long updates = atomic_load(&worker->updates), more = updates - worker->counted;
    if (more == 0) {
        return; /* its thread may not have read the job yet */
    }
    worker->counted = updates;
    counts->iterations[config->task.type][config->rule.type] += (uint64_t)more;
    counts->trials[config->task.type][config->rule.type] += (uint64_t)more * (uint64_t)config->training.batch_size;
}

/* ---- on the worker's thread ---- */

/* A message to fill; waits until there is room. NULL without memory. */
static struct worker_message *message_make(struct worker *worker, int kind) {
    struct worker_message *said = calloc(1, sizeof *said);
    if (said != NULL) {
        said->worker = worker;
        said->kind = kind;
        said->message.deliver = message_deliver;
        uv_sem_wait(&worker->room);
    }
    return said;
}

static void say(struct worker *worker, struct worker_message *said) {
    loop_post(worker->jobs->options.loop, &said->message);
}

static void say_log(struct worker *worker, const char *text) {
    struct worker_message *said = message_make(worker, SAYS_LOG);
    if (said != NULL) {
        snprintf(said->text, sizeof said->text, "%.250s", text);
        say(worker, said);
    }
}

/* Why this attempt ends where it is no fault of the job's: it is made again. */
static void hinder(struct worker *worker, const char *reason) {
    snprintf(worker->hindrance, sizeof worker->hindrance, "%.*s", REASON_BYTES - 1, reason);
}

static bool on_progress(void *user, const struct train_progress *progress) {
    struct worker *worker = user;
    char *check = event_progress_check(progress), *known = NULL;
    int found = check != NULL ? store_progress_check(worker->reader, worker->id, progress->iteration, &known) : -1;
    if (check != NULL && found < 0) {
        hinder(worker, "its stored events cannot be read");
    }
    if (found == 1 && strcmp(known, check) != 0) {
        worker->mismatch = true;
        worker->mismatch_iteration = progress->iteration;
    }
    free(known);
    struct worker_message *said = found < 0 || worker->mismatch
                                      ? NULL
                                      : message_make(worker, found == 1 ? SAYS_KNOWN : SAYS_PROGRESS);
    if (said == NULL) {
        free(check);
        return false;
    }
    said->progress = *progress;
    said->check = check;
    memcpy(said->sha256, worker->dataset_sha256, sizeof said->sha256);
    said->elapsed = clock_seconds() - worker->started;
    say(worker, said);
    return true;
}

/* What the weights document of this checkpoint will say its sha256 is. */
static bool weights_digest(struct worker *worker, const unsigned char *bytes, size_t size) {
    struct trained trained;
    struct train_error error;
    if (trained_open(&worker->spec.config, bytes, size, &trained, &error) != TRAIN_FINISHED) {
        return false;
    }
    sha256_hex(trained.W, trained.parameters * sizeof(float), worker->weights_sha256);
    trained_release(&trained);
    return true;
}

static bool on_checkpoint(void *user, int64_t iteration, double loss, const unsigned char *bytes, size_t size) {
    struct worker *worker = user;
    meter_pause(&worker->meter);
    struct worker_message *said = weights_digest(worker, bytes, size) ? message_make(worker, SAYS_CHECKPOINT) : NULL;
    if (said == NULL || (said->bytes = malloc(size)) == NULL) {
        if (said != NULL) {
            uv_sem_post(&worker->room);
        }
        free(said);
        return false;
    }
    memcpy(said->bytes, bytes, size);
    said->size = size;
    said->iteration = iteration;
    said->loss = loss;
    sha256_hex(bytes, size, said->sha256);
    say(worker, said);
    return true;
}

/* Cores may have been given to the job before its bound was known. */
static void threads_bound(struct worker *worker) {
    int most = worker->spec.threads;
    if (most > 0 && atomic_load(&worker->control.threads) > most) {
        atomic_store(&worker->control.threads, most);
    }
}

static void on_iteration(void *user, int64_t iteration) {
    struct worker *worker = user;
    double now = clock_seconds();
    if (atomic_load(&worker->began) == 0) {
        /* the first update pays for pages and caches; it opens the count */
        atomic_store(&worker->first_iteration, iteration);
        atomic_store(&worker->began, now);
    }
    atomic_store(&worker->latest, now);
    threads_bound(worker);
    atomic_store(&worker->iteration, iteration);
    atomic_fetch_add(&worker->updates, 1);
    meter_iteration(&worker->meter, now, atomic_load(&worker->control.threads));
}

static void on_evaluating(void *user, size_t done, size_t trials) {
    struct worker *worker = user;
    meter_evaluating(&worker->meter, clock_seconds(), atomic_load(&worker->control.threads), done, trials);
    atomic_store(&worker->evaluated, done);
    atomic_store(&worker->evaluation, done < trials ? trials : 0);
}

static double on_clock(void *user) {
    (void)user;
    return clock_seconds();
}

/* The data that the job was accepted with, or none. */
static bool data_hold(struct worker *worker) {
    struct datasets *datasets = worker->jobs->options.datasets;
    char text[DATASETS_ERROR_BYTES];
    enum datasets_result result = datasets_hold(datasets, &worker->spec.config.task, worker->dataset_sha256,
                                                &worker->data, text);
    worker->other_data = result == DATASETS_CHANGED;
    if (result != DATASETS_HELD) {
        snprintf(worker->error.text, sizeof worker->error.text, "%.250s", text);
        return false;
    }
    worker->spec.config.task.data = worker->data;
    datasets_digest(datasets, worker->data, worker->dataset_sha256);
    return true;
}

/* Initial weights were checked against the task's shape when they came in; nothing may rest on that alone. */
static bool shapes_agree(struct worker *worker) {
    const struct train_config *config = &worker->spec.config;
    struct problems problems = {0};
    struct task_shape shape;
    char text[256];
    if (task_table[config->task.type]->shape(&config->task, &shape, text)) {
        job_spec_check_shape(&worker->spec, shape.inputs, shape.outputs, &problems);
    }
    bool agree = problems.count == 0;
    if (!agree) {
        snprintf(worker->error.text, sizeof worker->error.text,
                 "network.initial does not fit the task, which has %d inputs and %d outputs", shape.inputs,
                 shape.outputs);
    }
    problems_release(&problems);
    return agree;
}

/* A job that begins from given weights says what of them its network cannot hold: nobody would notice. */
static void say_losses(struct worker *worker) {
    const struct train_config *config = &worker->spec.config;
    struct given_losses losses;
    struct task_shape shape;
    char text[256];
    if (config->network.initial == NULL || !task_table[config->task.type]->shape(&config->task, &shape, text) ||
        !network_given_losses(&config->network, shape.inputs, shape.outputs, config->seed, &losses, text)) {
        return; /* what hinders this will hinder the training, which tells it */
    }
    const struct {
        size_t count;
        const char *of, *why;
    } table[] = {
        {losses.diagonal, "W", "on the diagonal are set to 0: there are no autapses"},
        {losses.unmasked, "W", "are set to 0 where network.connectivity and the seed leave no synapse"},
        {losses.forbidden, "W and Wout", "have the sign that Dale's law forbids: the first update sets them to 0"},
        {losses.bias, "b", "are not taken: network.bias is false"}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (table[i].count > 0) {
            snprintf(text, sizeof text, "of network.initial, %zu entries of %s %s", table[i].count, table[i].of,
                     table[i].why);
            say_log(worker, text);
        }
    }
}

static enum train_result attempt(struct worker *worker) {
    char text[DATASETS_ERROR_BYTES];
    struct store_checkpoint checkpoint = {0};
    int damaged = 0, found;
    if ((found = store_checkpoint_read(worker->reader, worker->id, -1, &checkpoint, &damaged)) < 0) {
        hinder(worker, "its checkpoints cannot be read");
        return TRAIN_STOPPED;
    }
    if (damaged > 0) {
        snprintf(text, sizeof text, "%d damaged checkpoint%s passed over; the job goes on from %s", damaged,
                 damaged == 1 ? " was" : "s were", found == 1 ? "the one before" : "its beginning");
        say_log(worker, text);
    }
    if (!data_hold(worker) || !shapes_agree(worker)) {
        datasets_release(worker->jobs->options.datasets, worker->data);
        free(checkpoint.bytes);
        return TRAIN_INVALID;
    }
    if (checkpoint.bytes == NULL) {
        say_losses(worker);
    }
    struct train_estimate estimate = {0};
    (void)train_estimate_compute(&worker->spec.config, &estimate, &worker->error); /* what fails here fails below */
    meter_init(&worker->meter, &worker->jobs->rates, &estimate);
    const struct train_callbacks callbacks = {.user = worker,
                                              .progress = on_progress,
                                              .checkpoint = on_checkpoint,
                                              .evaluating = on_evaluating,
                                              .iteration = on_iteration,
                                              .clock = on_clock};
    enum train_result result = train_run(&worker->spec.config, found == 1 ? checkpoint.bytes : NULL, checkpoint.size,
                                         &worker->control, &callbacks, &worker->error);
    datasets_release(worker->jobs->options.datasets, worker->data);
    free(checkpoint.bytes);
    return result;
}

/* Here and not on the loop: a document with initial weights may be tens of megabytes. */
static bool document_parse(struct worker *worker) {
    char reason[STORE_ERROR_BYTES];
    worker->reader = store_reader_open(worker->jobs->options.directory, reason);
    if (worker->reader == NULL || store_document_read(worker->reader, worker->id, &worker->document) != 1) {
        hinder(worker, worker->reader == NULL ? reason : "its document cannot be read");
        return false;
    }
    errno = 0;
    (void)json_memory_short(); /* forget earlier failures */
    bool ok = job_spec_parse(&worker->spec, worker->document);
    free(worker->document);
    worker->document = NULL;
    if (ok) {
        atomic_store(&worker->batch_size, worker->spec.config.training.batch_size);
        atomic_store(&worker->threads_most, worker->spec.threads);
        atomic_store(&worker->time_limit, worker->spec.time_limit);
        threads_bound(worker);
    } else if (json_memory_short() || errno == ENOMEM) {
        hinder(worker, "there was no memory for its document");
    } else {
        snprintf(worker->error.text, sizeof worker->error.text, "the job's stored document is damaged");
    }
    return ok;
}

static void run(uv_work_t *work) {
    struct worker *worker = work->data;
    thread_slot_enter(worker->slot, worker->id);
    worker->result = document_parse(worker) ? attempt(worker) : TRAIN_INVALID;
    store_reader_close(worker->reader);
    worker->reader = NULL;
    thread_slot_leave(worker->slot);
}

/* Loop: what the worker said comes by another way than its end, and is taken first. */
static void after_run(uv_work_t *work, int status) {
    struct worker *worker = work->data;
    (void)status; /* nothing is cancelled */
    loop_deliver(worker->jobs->options.loop);
    worker->jobs->slots[worker->slot] = false;
    entry_worker_ended(worker->entry, worker);
    worker->ended = true;
    worker_free(worker);
}

static int slot_take(struct jobs *jobs) {
    int slot = 0;
    while (jobs->slots[slot]) {
        slot++;
    }
    jobs->slots[slot] = true;
    return slot;
}

struct worker *worker_start(struct entry *entry, int threads) {
    struct worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL || uv_sem_init(&worker->room, MESSAGES_MOST) != 0) {
        free(worker);
        return NULL;
    }
    worker->entry = entry;
    worker->jobs = entry->jobs;
    worker->started = clock_seconds();
    worker->trained = entry->job.trained;
    memcpy(worker->id, entry->job.id, sizeof worker->id);
    memcpy(worker->dataset_sha256, entry->job.dataset_sha256, sizeof worker->dataset_sha256);
    atomic_init(&worker->control.command, TRAIN_GO);
    atomic_init(&worker->control.threads, threads);
    atomic_init(&worker->iteration, entry->job.iteration);
    atomic_init(&worker->batch_size, 0);
    atomic_init(&worker->threads_most, 0);
    atomic_init(&worker->time_limit, 0);
    worker->slot = slot_take(entry->jobs);
    worker->work.data = worker;
    uv_queue_work(&entry->jobs->options.loop->uv, &worker->work, run, after_run); /* fails without a callback alone */
    return worker;
}
