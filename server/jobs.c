/* Jobs: see jobs.h. Entries, units, transitions, the queue, actions and recovery; the thread that trains is in worker.c. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "api/event.h"
#include "server/jobs_internal.h"
#include "server/log.h"

#define CRASHES_MOST          3
#define RETRY_MILLISECONDS    2000
#define HINDERED_MILLISECONDS 10000

int64_t clock_unix_milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- entries --------------------------------------------------------------------------------------------------------- */

static struct entry *entry_find(const struct jobs *jobs, const char *id) {
    struct entry *entry = jobs->entries;
    while (entry != NULL && strcmp(entry->job.id, id) != 0) {
        entry = entry->next;
    }
    return entry;
}

/* Takes over `job`. NULL without memory; `job` is then released. */
static struct entry *entry_add(struct jobs *jobs, struct store_job *job) {
    struct entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL) {
        store_job_release(job);
        return NULL;
    }
    entry->jobs = jobs;
    entry->job = *job;
    entry->next = jobs->entries;
    jobs->entries = entry;
    return entry;
}

static void entry_remove(struct entry *entry) {
    struct entry **at = &entry->jobs->entries;
    while (*at != entry) {
        at = &(*at)->next;
    }
    *at = entry->next;
    store_job_release(&entry->job);
    free(entry);
}

static char *text_copy(const char *text) {
    return text == NULL ? NULL : strdup(text);
}

/* The row's changing part; texts are copied. A text that does not fit into memory is left out. */
void job_row_copy(struct store_job *to, const struct store_job *from) {
    *to = *from;
    to->document = to->name = to->task = to->rule = to->request = NULL;
    to->error_code = text_copy(from->error_code);
    to->error_detail = text_copy(from->error_detail);
    to->build = text_copy(from->build);
    to->isa = text_copy(from->isa);
}

static void jobs_schedule(struct jobs *jobs);
static void entry_settle(struct entry *entry);

/* ---- counting -------------------------------------------------------------------------------------------------------- */

const char *const jobs_failure_names[JOBS_FAILURES] = {"diverged",       "time_limit", "not_reproducible", "crashed",  "no_memory",
                                                       "bad_checkpoint", "invalid",    "dataset_changed",  "internal", "other"};

/* A change of status that is durable now. */
static void change_count(struct jobs *jobs, const struct store_job *job) {
    struct jobs_counts *counts = &jobs->counts;
    if (job->status == JOB_RUNNING && job->attempt == 1) {
        histogram_add(&counts->waits, (double)(job->started - job->created) * 1e-3);
    }
    if (job_status_is_final(job->status) && job->trained > 0) {
        histogram_add(&counts->runs[job->status], job->trained);
    }
    if (job->status == JOB_FAILED) {
        size_t code = 0;
        while (code < JOBS_FAILURES - 1 && (job->error_code == NULL || strcmp(job->error_code, jobs_failure_names[code]) != 0)) {
            code++;
        }
        counts->failed[code]++;
    }
}

/* What the worker has done since it was last asked. */
static void worker_count(struct worker *worker) {
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

const struct jobs_counts *jobs_counts(struct jobs *jobs) {
    for (struct entry *entry = jobs->entries; entry != NULL; entry = entry->next) {
        if (entry->worker != NULL) {
            worker_count(entry->worker);
        }
    }
    return &jobs->counts;
}

/* ---- units ----------------------------------------------------------------------------------------------------------- */

/* What a unit of an entry carries from its making to its commit. */
struct unit_context {
    struct entry *entry;
    struct worker *worker; /* whose message it is; NULL: none */
    bool changes;
    int queued; /* how many more jobs wait by this change; taken back where it is not committed */
};

static void events_publish(struct jobs *jobs, const struct store_unit *unit) {
    for (const struct store_item *item = unit->first; item != NULL; item = item->next) {
        if (item->kind == STORE_EVENT_ADD) {
            const struct store_event *e = &item->event;
            struct stream_event event = {.job = e->job,
                                         .id = e->id,
                                         .seq = e->seq,
                                         .type = e->type,
                                         .terminal = e->terminal,
                                         .succeeded = e->succeeded,
                                         .json = e->json,
                                         .size = strlen(e->json)};
            jobs->options.publish(jobs->options.user, &event);
        }
    }
}

static struct stalled *stalled_find(const struct jobs *jobs, const char *id) {
    struct stalled *stalled = jobs->stalled;
    while (stalled != NULL && strcmp(stalled->id, id) != 0) {
        stalled = stalled->next;
    }
    return stalled;
}

/* What kept a job from going on (memory, descriptors) may last: trying each second would fill its events. A disk is tried by one write. */
static void stalled_add(struct jobs *jobs, const struct entry *entry) {
    struct stalled **at = &jobs->stalled, *stalled = stalled_find(jobs, entry->job.id) == NULL ? calloc(1, sizeof *stalled) : NULL;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    if (stalled != NULL) {
        memcpy(stalled->id, entry->job.id, sizeof stalled->id);
        stalled->due = jobs->disk_full ? 0 : clock_milliseconds() + HINDERED_MILLISECONDS;
        snprintf(stalled->reason, sizeof stalled->reason, "%s", *entry->reason != '\0' ? entry->reason : "there was no memory");
        *at = stalled;
    }
}

void entry_lose(struct entry *entry, const char *reason) {
    if (!entry->lost) {
        snprintf(entry->reason, sizeof entry->reason, "%.*s", REASON_BYTES - 1, reason);
    }
    entry->lost = true;
    if (entry->worker != NULL) {
        worker_stop(entry->worker, STOP_STALL);
    }
}

/* Nothing can be written (a full disk, mostly): nothing is lost that was committed. Workers stop; what ran is queued again when a write
   succeeds. */
static void jobs_stall(struct jobs *jobs, const struct store_unit *unit) {
    const char *reason = unit->error;
    if (!jobs->disk_full) {
        log_error("writing failed; jobs stop until it succeeds", LOG_T("reason", reason));
    }
    jobs->disk_full = true;
    snprintf(jobs->reason, sizeof jobs->reason, "%.*s", REASON_BYTES - 1, reason);
    jobs->retry_at = clock_milliseconds() + RETRY_MILLISECONDS;
    for (struct entry *entry = jobs->entries; entry != NULL; entry = entry->next) {
        if (entry->units > 0) {
            entry_lose(entry, reason); /* what is under way of it has failed too, or may have: the next would leave a gap */
        } else if (entry->worker != NULL) {
            worker_stop(entry->worker, STOP_STALL);
        }
    }
    store_failure_handled(jobs->options.store, unit);
}

static void waiters_answer(struct entry *entry, enum jobs_result result, const char *detail) {
    struct waiter *waiter = entry->waiting;
    entry->waiting = NULL;
    while (waiter != NULL) {
        struct waiter *next = waiter->next;
        waiter->done(waiter->user, result, entry->job.id, detail);
        free(waiter);
        waiter = next;
    }
}

static void unit_done(struct store_unit *unit) {
    struct unit_context context = *(struct unit_context *)unit->user;
    struct entry *entry = context.entry;
    struct jobs *jobs = entry->jobs;
    free(unit->user);
    entry->units--;
    if (unit->result == STORE_WRITTEN) {
        events_publish(jobs, unit);
    } else {
        jobs->queued -= context.queued;
        entry_lose(entry, unit->error);
        jobs_stall(jobs, unit);
    }
    if (context.changes) {
        entry->changing = false;
        if (unit->result == STORE_WRITTEN && !entry->deleted) {
            change_count(jobs, &entry->job);
        }
    }
    if (context.worker != NULL) {
        worker_unit_done(context.worker);
    }
    entry_settle(entry);
}

struct store_unit *entry_unit(struct entry *entry, struct worker *worker, bool changes) {
    if (entry->lost) {
        return NULL;
    }
    struct unit_context *context = malloc(sizeof *context);
    struct store_unit *unit = context != NULL ? store_unit_create(unit_done, context) : NULL;
    if (unit == NULL) {
        free(context);
        entry_lose(entry, "");
        return NULL;
    }
    *context = (struct unit_context){.entry = entry, .worker = worker, .changes = changes};
    return unit;
}

/* Texts of events are made where memory may be short. */
static bool unit_is_filled(const struct store_unit *unit) {
    const struct store_item *item = unit->first;
    while (item != NULL && (item->kind != STORE_EVENT_ADD || item->event.json != NULL)) {
        item = item->next;
    }
    return item == NULL;
}

void entry_submit(struct entry *entry, struct store_unit *unit) {
    const struct unit_context *context = unit->user;
    struct worker *worker = context->worker;
    if (!unit_is_filled(unit)) {
        entry_discard(entry, unit);
        if (worker != NULL) {
            worker_unit_done(worker);
        }
        return;
    }
    entry->units++;
    entry->changing = entry->changing || context->changes;
    entry->jobs->queued += context->queued;
    store_submit(entry->jobs->options.store, unit);
}

void entry_discard(struct entry *entry, struct store_unit *unit) {
    entry_lose(entry, "");
    if (unit != NULL) {
        free(unit->user);
        store_unit_free(unit);
    }
}

struct store_event *entry_event(struct entry *entry, struct store_unit *unit, const char *type, struct event_head *head) {
    struct store_item *item = store_unit_add(unit, STORE_EVENT_ADD);
    if (item == NULL) {
        entry_lose(entry, "");
        return NULL;
    }
    struct store_event *event = &item->event;
    event->seq = ++entry->jobs->seq;
    event->id = ++entry->job.events;
    event->time = clock_unix_milliseconds();
    event->iteration = -1;
    memcpy(event->job, entry->job.id, sizeof event->job);
    snprintf(event->type, sizeof event->type, "%s", type);
    *head = (struct event_head){.job = entry->job.id, .id = event->id, .seq = event->seq, .time = event->time};
    return event;
}

static char *status_text(const struct event_head *head, const struct store_job *job, const char *reason) {
    bool final = job_status_is_final(job->status);
    struct event_status status = {.status = job_status_name(job->status),
                                  .reason = reason,
                                  .attempt = job->attempt,
                                  .final = final,
                                  .weights = job->status == JOB_SUCCEEDED,
                                  .iteration = job->iteration,
                                  .loss = job->loss,
                                  .accuracy = job->accuracy,
                                  .weights_sha256 = *job->weights_sha256 != '\0' ? job->weights_sha256 : NULL,
                                  .error_code = job->error_code,
                                  .error_detail = job->error_detail,
                                  .error_iteration = job->error_iteration};
    return event_status_text(head, &status);
}

void entry_change(struct entry *entry, enum job_status status, const char *reason) {
    struct store_job *job = &entry->job;
    int64_t now = clock_unix_milliseconds();
    int queued = (status == JOB_QUEUED) - (job->status == JOB_QUEUED);
    job->status = status;
    /* whatever the clock is set to, no job ends before it has begun */
    if (status == JOB_RUNNING && job->started == 0) {
        job->started = now > job->created ? now : job->created;
    }
    if (job_status_is_final(status)) {
        int64_t least = job->started > job->created ? job->started : job->created;
        job->finished = now > least ? now : least;
    }
    struct store_unit *unit = entry_unit(entry, NULL, true);
    struct store_item *row = unit != NULL ? store_unit_add(unit, STORE_JOB_SET) : NULL;
    struct event_head head;
    struct store_event *event = row != NULL ? entry_event(entry, unit, "status", &head) : NULL;
    if (event == NULL) {
        entry_discard(entry, unit);
        return;
    }
    ((struct unit_context *)unit->user)->queued = queued;
    job_row_copy(&row->job, job);
    event->terminal = job_status_is_final(status);
    event->succeeded = status == JOB_SUCCEEDED;
    event->json = status_text(&head, job, reason);
    log_info("job", LOG_T("job", job->id), LOG_T("status", job_status_name(status)), LOG_I("attempt", job->attempt),
             LOG_T("reason", reason), LOG_T("error", job->error_code), LOG_T("request_id", job->request));
    entry_submit(entry, unit);
}

void entry_log(struct entry *entry, const char *level, const char *message) {
    struct store_unit *unit = entry_unit(entry, NULL, false);
    struct event_head head;
    struct store_event *event = unit != NULL ? entry_event(entry, unit, "log", &head) : NULL;
    if (event == NULL) {
        entry_discard(entry, unit);
        return;
    }
    event->json = event_log_text(&head, level, message);
    entry_submit(entry, unit);
}

/* ---- the queue ------------------------------------------------------------------------------------------------------- */

int jobs_running(const struct jobs *jobs) {
    int running = 0;
    for (const struct entry *entry = jobs->entries; entry != NULL; entry = entry->next) {
        running += entry->worker != NULL || entry->job.status == JOB_RUNNING;
    }
    return running;
}

bool jobs_are_stalled(const struct jobs *jobs) {
    return jobs->disk_full;
}

/* Cores over running jobs, as equal as can be, none above its bound; what a bound leaves goes to the others. */
static void cores_share(struct jobs *jobs) {
    int left = jobs->options.cores, workers = 0;
    for (struct entry *entry = jobs->entries; entry != NULL; entry = entry->next) {
        if (entry->worker != NULL) {
            atomic_store(&entry->worker->control.threads, 1);
            workers++;
        }
    }
    left -= workers;
    for (bool gave = true; gave && left > 0;) {
        gave = false;
        for (struct entry *entry = jobs->entries; left > 0 && entry != NULL; entry = entry->next) {
            struct worker *worker = entry->worker;
            int bound = worker == NULL ? 0 : atomic_load(&worker->threads_most);
            if (worker != NULL && (bound == 0 || atomic_load(&worker->control.threads) < bound)) {
                atomic_fetch_add(&worker->control.threads, 1);
                left--;
                gave = true;
            }
        }
    }
}

static bool is_active(void *user, const char *id) {
    return entry_find(user, id) != NULL || stalled_find(user, id) != NULL;
}

/* Whether a job fits beside those that run. One alone always does: it was accepted, maybe by a daemon with more. */
static bool memory_is_free(const struct jobs *jobs, int64_t memory) {
    int64_t taken = 0;
    for (const struct entry *entry = jobs->entries; entry != NULL; entry = entry->next) {
        if (entry->worker != NULL || entry->job.status == JOB_RUNNING) {
            taken += entry->job.memory;
        }
    }
    return taken == 0 || memory <= jobs->options.memory - taken;
}

/* A job that goes on with other kernels than it began with has a mixed result: all sets are named, in order. */
static void isa_record(struct store_job *job, const char *name) {
    char text[128];
    const char *last = job->isa != NULL ? strrchr(job->isa, ',') : NULL;
    last = last != NULL ? last + 1 : job->isa;
    if (last != NULL && strcmp(last, name) == 0) {
        return;
    }
    snprintf(text, sizeof text, "%s%s%s", last != NULL && job->iteration > 0 ? job->isa : "", last != NULL && job->iteration > 0 ? "," : "",
             name);
    free(job->isa);
    job->isa = text_copy(text);
}

/* Starts what waits, while there is a slot. A job runs once its change to running is committed (entry_settle). */
static void jobs_schedule(struct jobs *jobs) {
    while (jobs->started && !jobs->draining && !jobs->disk_full && jobs_running(jobs) < jobs->options.workers) {
        struct store_job job;
        if (store_job_next(jobs->options.reader, is_active, jobs, &job) != 1) {
            return;
        }
        if (!memory_is_free(jobs, job.memory)) {
            store_job_release(&job); /* nobody overtakes it: small jobs could keep a large one waiting for ever */
            return;
        }
        struct entry *entry = entry_add(jobs, &job);
        if (entry == NULL) {
            return;
        }
        free(entry->job.build);
        entry->job.build = text_copy(jobs->options.build);
        isa_record(&entry->job, kernels_name());
        entry_change(entry, JOB_RUNNING, NULL);
        if (entry->lost) {
            entry_settle(entry);
            return;
        }
    }
}

static void set_error(struct store_job *job, const char *code, const char *detail, int64_t iteration) {
    free(job->error_code);
    free(job->error_detail);
    job->error_code = text_copy(code);
    job->error_detail = text_copy(detail);
    job->error_iteration = iteration;
}

static void entry_fail(struct entry *entry, const char *code, const char *detail, int64_t iteration) {
    set_error(&entry->job, code, detail, iteration);
    entry_change(entry, JOB_FAILED, NULL);
}

static void entry_stopped(struct entry *entry, const struct worker *worker) {
    char text[128];
    if (worker->mismatch) {
        snprintf(text, sizeof text, "iteration %lld, computed again after an interruption, gave other numbers than before",
                 (long long)worker->mismatch_iteration);
        entry_fail(entry, "not_reproducible", text, worker->mismatch_iteration);
        return;
    }
    switch (worker->stop) {
    case STOP_CANCEL:
        entry_change(entry, JOB_CANCELLED, NULL);
        break;
    case STOP_PAUSE:
        entry_change(entry, JOB_PAUSED, NULL);
        break;
    case STOP_TIME:
        entry_fail(entry, "time_limit", "the job reached its time limit; its last checkpoint stays", atomic_load(&worker->iteration));
        break;
    case STOP_STALL:
        entry_lose(entry, entry->jobs->reason);
        break;
    case STOP_NONE: /* a callback failed for want of memory: it goes on from its checkpoint */
        entry_lose(entry, "");
        break;
    case STOP_DRAIN: /* stays running in the database: the next start queues it again */
        break;
    }
}

void entry_worker_ended(struct entry *entry, struct worker *worker) {
    worker_count(worker);
    entry->worker = NULL;
    entry->job.trials_per_second = worker_trials_per_second(worker);
    entry->job.trained = worker_trained(worker);
    if (!entry->lost && worker->stop == STOP_CANCEL) {
        entry_change(entry, JOB_CANCELLED, NULL);
    } else if (!entry->lost && *worker->hindrance != '\0') {
        entry_lose(entry, worker->hindrance);
    } else if (!entry->lost) {
        switch (worker->result) {
        case TRAIN_FINISHED:
            memcpy(entry->job.weights_sha256, worker->weights_sha256, sizeof worker->weights_sha256);
            entry_change(entry, JOB_SUCCEEDED, NULL);
            break;
        case TRAIN_STOPPED:
            entry_stopped(entry, worker);
            break;
        case TRAIN_DIVERGED:
            entry_fail(entry, "diverged", worker->error.text, worker->error.iteration);
            break;
        case TRAIN_NO_MEMORY:
            entry_fail(entry, "no_memory", worker->error.text, -1);
            break;
        case TRAIN_BAD_CHECKPOINT:
            entry_fail(entry, "bad_checkpoint", worker->error.text, -1);
            break;
        case TRAIN_INVALID:
            entry_fail(entry, worker->other_data ? "dataset_changed" : "invalid", worker->error.text, -1);
            break;
        }
    }
    if (entry->lost) {
        log_warning("a job was stopped; it goes on by itself", LOG_T("job", entry->job.id), LOG_T("reason", entry->reason),
                    LOG_T("request_id", entry->job.request));
    }
    entry_settle(entry);
}

static void waiter_append(struct entry *entry, struct waiter *waiter) {
    struct waiter **at = &entry->waiting;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    waiter->next = NULL;
    *at = waiter;
}

static void waiter_finish(struct entry *entry, struct waiter *waiter, enum jobs_result result, const char *detail) {
    waiter->done(waiter->user, result, entry->job.id, detail);
    free(waiter);
}

/* ---- settling: what may happen once a change is durable -------------------------------------------------------------- */

static void action_do(struct entry *entry, struct waiter *waiter);

static void worker_begin(struct entry *entry) {
    entry->worker = worker_start(entry, 1);
    if (entry->worker != NULL) {
        cores_share(entry->jobs);
        return;
    }
    log_warning("a job cannot be started now: there is no memory or no thread for it", LOG_T("job", entry->job.id),
                LOG_T("request_id", entry->job.request));
    entry_lose(entry, "there was no memory or no thread to start it");
}

static void idle_tell(struct jobs *jobs) {
    bool idle = jobs->idle != NULL;
    for (const struct entry *entry = jobs->entries; entry != NULL; entry = entry->next) {
        idle = idle && entry->worker == NULL && entry->units == 0;
    }
    if (idle) {
        void (*tell)(void *user) = jobs->idle;
        jobs->idle = NULL;
        tell(jobs->idle_user);
    }
}

static void entry_settle(struct entry *entry) {
    struct jobs *jobs = entry->jobs;
    if (entry->changing) {
        return;
    }
    bool stands = entry->worker == NULL && entry->units == 0 && !entry->lost; /* nothing of it is under way */
    bool stalled = jobs->disk_full || stalled_find(jobs, entry->job.id) != NULL;
    if (stands && entry->job.status == JOB_RUNNING && !jobs->draining && !stalled) {
        worker_begin(entry);
    } else if (stands && entry->job.status == JOB_PAUSING) { /* of a stalled job: there is nobody to wait for */
        entry_change(entry, JOB_PAUSED, NULL);
    } else if (stands && entry->job.status == JOB_CANCELLING) {
        entry_change(entry, JOB_CANCELLED, NULL);
    }
    if (!entry->lost && entry->job.status == JOB_PAUSED && entry->resume_after_pause) {
        entry->resume_after_pause = false;
        entry->job.attempt++;
        entry_change(entry, JOB_QUEUED, NULL);
    }
    if (entry->lost) {
        waiters_answer(entry, JOBS_NO_ROOM, *entry->reason != '\0' ? entry->reason : "there is no memory");
    }
    while (!entry->changing && !entry->lost && entry->waiting != NULL) {
        struct waiter *waiter = entry->waiting;
        entry->waiting = waiter->next;
        if (waiter->taken) {
            waiter_finish(entry, waiter, JOBS_DONE, NULL);
        } else if (entry->deleted) {
            waiter_finish(entry, waiter, JOBS_UNKNOWN, "there is no such job");
        } else {
            action_do(entry, waiter);
        }
    }
    bool idle = entry->units == 0 && entry->worker == NULL && !entry->changing && entry->waiting == NULL;
    if (idle && (entry->lost || stalled || entry->job.status != JOB_RUNNING)) {
        if (entry->lost || entry->job.status == JOB_RUNNING) {
            stalled_add(jobs, entry);
        }
        entry_remove(entry);
        cores_share(jobs);
        jobs_schedule(jobs);
    }
    idle_tell(jobs);
}

/* ---- submission ------------------------------------------------------------------------------------------------------ */

struct submission {
    struct jobs *jobs;
    char id[STORE_ID_BYTES];
    jobs_done *done;
    void *user;
};

/* UUIDv7 (RFC 9562): milliseconds, then a counter within the millisecond so that ids of one daemon ascend, then random bits. */
static void id_make(struct jobs *jobs, char id[STORE_ID_BYTES]) {
    unsigned char random[8] = {0};
    int64_t now = clock_unix_milliseconds();
    if (now > jobs->last_time) {
        jobs->last_time = now;
        jobs->id_counter = 0;
    } else if (++jobs->id_counter > 0xfff) {
        jobs->last_time++;
        jobs->id_counter = 0;
    }
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        log_warning("the system gave no random bytes for a job's id");
    }
    unsigned long long time = (unsigned long long)jobs->last_time;
    snprintf(id, STORE_ID_BYTES, "%08llx-%04llx-7%03x-%02x%02x-%02x%02x%02x%02x%02x%02x", time >> 16 & 0xffffffff, time & 0xffff,
             jobs->id_counter, (random[0] & 0x3f) | 0x80, random[1], random[2], random[3], random[4], random[5], random[6], random[7]);
}

static void submission_done(struct store_unit *unit) {
    struct submission *submission = unit->user;
    struct jobs *jobs = submission->jobs;
    if (unit->result == STORE_WRITTEN) {
        events_publish(jobs, unit);
        submission->done(submission->user, JOBS_DONE, submission->id, NULL);
        jobs_schedule(jobs);
    } else {
        jobs->queued--;
        if (unit->result == STORE_STALLED) {
            jobs_stall(jobs, unit);
        }
        submission->done(submission->user, unit->result == STORE_STALLED ? JOBS_NO_ROOM : JOBS_BROKEN, submission->id, unit->error);
    }
    free(submission);
}

static bool submission_fill(struct jobs *jobs, struct store_unit *unit, const struct jobs_submission *asked, const char *id) {
    const struct job_spec *spec = asked->spec;
    const char *key = asked->key;
    struct store_item *item = store_unit_add(unit, STORE_JOB_ADD), *said = item != NULL ? store_unit_add(unit, STORE_EVENT_ADD) : NULL;
    struct store_item *kept = said != NULL && key != NULL ? store_unit_add(unit, STORE_KEY_ADD) : NULL;
    if (said == NULL || (key != NULL && kept == NULL)) {
        free(asked->document);
        return false;
    }
    int64_t now = clock_unix_milliseconds();
    struct store_job *job = &item->job;
    *job = (struct store_job){.document = asked->document,
                              .name = strdup(spec->name),
                              .task = strdup(task_type_name(spec->config.task.type)),
                              .rule = strdup(rule_type_name(spec->config.rule.type)),
                              .priority = spec->priority,
                              .created = now,
                              .attempt = 1,
                              .iterations = spec->config.training.iterations,
                              .memory = asked->memory,
                              .loss = NAN,
                              .accuracy = NAN,
                              .request = text_copy(asked->request)};
    snprintf(job->digest, sizeof job->digest, "%s", asked->digest);
    memcpy(job->id, id, sizeof job->id);
    struct event_head head = {.job = id, .id = 1, .seq = ++jobs->seq, .time = now};
    said->event = (struct store_event){
        .seq = head.seq, .id = 1, .time = now, .iteration = -1, .type = "status", .json = status_text(&head, job, NULL)};
    memcpy(said->event.job, id, sizeof said->event.job);
    if (kept != NULL) {
        kept->key = (struct store_key){.key = strdup(key), .created = now};
        memcpy(kept->key.job, id, sizeof kept->key.job);
        snprintf(kept->key.body, sizeof kept->key.body, "%s", asked->body);
    }
    return job->document != NULL && job->digest[0] != '\0' && job->name != NULL && job->task != NULL && job->rule != NULL &&
           said->event.json != NULL && (kept == NULL || kept->key.key != NULL);
}

void jobs_submit(struct jobs *jobs, const struct jobs_submission *asked, char id[STORE_ID_BYTES], jobs_done *done, void *user) {
    id_make(jobs, id);
    if (jobs->queued >= jobs->options.max_queued) {
        free(asked->document);
        done(user, JOBS_CROWDED, id, "the queue is full");
        return;
    }
    struct submission *submission = malloc(sizeof *submission);
    struct store_unit *unit = submission != NULL ? store_unit_create(submission_done, submission) : NULL;
    if (unit == NULL) {
        free(asked->document);
    }
    if (unit == NULL || !submission_fill(jobs, unit, asked, id)) {
        free(submission);
        store_unit_free(unit);
        done(user, JOBS_BROKEN, id, "out of memory");
        return;
    }
    *submission = (struct submission){.jobs = jobs, .done = done, .user = user};
    memcpy(submission->id, id, sizeof submission->id);
    jobs->queued++;
    store_submit(jobs->options.store, unit);
}

/* ---- actions --------------------------------------------------------------------------------------------------------- */

static const char *const action_names[] = {"cancelled", "paused", "resumed", "deleted"};

/* What an action does to a job in a status. */
enum step {
    REFUSE,      /* conflict */
    KEEP,        /* it is so already */
    TO_CANCELLED, TO_CANCELLING, TO_PAUSED, TO_PAUSING, TO_QUEUED, TO_RESUME_LATER, TO_NOTHING
};

static const enum step steps[][JOB_STATUSES] = {
    /*                queued        running        pausing          paused        cancelling  succeeded   failed      cancelled */
    [JOBS_CANCEL] = {TO_CANCELLED, TO_CANCELLING, TO_CANCELLING,   TO_CANCELLED, KEEP,       REFUSE,     REFUSE,     KEEP},
    [JOBS_PAUSE]  = {TO_PAUSED,    TO_PAUSING,    KEEP,            KEEP,         REFUSE,     REFUSE,     REFUSE,     REFUSE},
    [JOBS_RESUME] = {KEEP,         KEEP,          TO_RESUME_LATER, TO_QUEUED,    REFUSE,     REFUSE,     REFUSE,     REFUSE},
    [JOBS_DELETE] = {REFUSE,       REFUSE,        REFUSE,          REFUSE,       REFUSE,     TO_NOTHING, TO_NOTHING, TO_NOTHING},
};

static void entry_delete(struct entry *entry) {
    struct store_unit *unit = entry_unit(entry, NULL, true);
    struct store_item *gone = unit != NULL ? store_unit_add(unit, STORE_JOB_DELETE) : NULL;
    struct event_head head;
    struct store_event *event = gone != NULL ? entry_event(entry, unit, "deleted", &head) : NULL;
    if (event == NULL) {
        entry_discard(entry, unit);
        return;
    }
    memcpy(gone->job.id, entry->job.id, sizeof gone->job.id);
    event->terminal = true;
    event->json = event_deleted_text(&head);
    entry->deleted = true;
    entry_submit(entry, unit);
}

static void step_take(struct entry *entry, enum step step) {
    switch (step) {
    case TO_CANCELLED:
        entry_change(entry, JOB_CANCELLED, NULL);
        break;
    case TO_CANCELLING:
        entry_change(entry, JOB_CANCELLING, NULL);
        if (entry->worker != NULL) {
            worker_stop(entry->worker, STOP_CANCEL);
        }
        break;
    case TO_PAUSED:
        entry_change(entry, JOB_PAUSED, NULL);
        break;
    case TO_PAUSING:
        entry_change(entry, JOB_PAUSING, NULL);
        if (entry->worker != NULL) {
            worker_stop(entry->worker, STOP_PAUSE);
        }
        break;
    case TO_QUEUED:
        entry->job.attempt++;
        entry_change(entry, JOB_QUEUED, NULL);
        break;
    case TO_RESUME_LATER:
        entry->resume_after_pause = true;
        break;
    case TO_NOTHING:
        entry_delete(entry);
        break;
    case REFUSE:
    case KEEP:
        break;
    }
}

static void action_do(struct entry *entry, struct waiter *waiter) {
    char detail[128];
    enum step step = steps[waiter->action][entry->job.status];
    if (step == REFUSE) {
        snprintf(detail, sizeof detail, "the job is %s and cannot be %s%s", job_status_name(entry->job.status),
                 action_names[waiter->action], waiter->action == JOBS_DELETE ? "; cancel it first" : "");
        waiter_finish(entry, waiter, JOBS_CONFLICT, detail);
        return;
    }
    step_take(entry, step);
    if (entry->changing) {
        /* first in the line again: its answer goes out with the commit */
        waiter->taken = true;
        waiter->next = entry->waiting;
        entry->waiting = waiter;
    } else if (entry->lost) {
        waiter_finish(entry, waiter, JOBS_NO_ROOM, *entry->reason != '\0' ? entry->reason : "there is no memory");
    } else {
        waiter_finish(entry, waiter, JOBS_DONE, NULL);
    }
}

void jobs_act(struct jobs *jobs, const char *id, enum jobs_action action, jobs_done *done, void *user) {
    struct entry *entry = entry_find(jobs, id);
    struct waiter *waiter = malloc(sizeof *waiter);
    struct store_job job;
    if (waiter != NULL && entry == NULL) {
        int found = store_job_read(jobs->options.reader, id, &job);
        if (found != 1) {
            free(waiter);
            done(user, found == 0 ? JOBS_UNKNOWN : JOBS_BROKEN, id, found == 0 ? "there is no such job" : "the database cannot be read");
            return;
        }
        entry = entry_add(jobs, &job);
    }
    if (entry == NULL || waiter == NULL) {
        free(waiter);
        done(user, JOBS_BROKEN, id, "out of memory");
        return;
    }
    *waiter = (struct waiter){.action = action, .done = done, .user = user};
    waiter_append(entry, waiter);
    entry_settle(entry);
}

bool jobs_live_read(const struct jobs *jobs, const char *id, struct jobs_live *live) {
    *live = (struct jobs_live){.trials_per_second = NAN, .seconds_left = NAN};
    const struct stalled *stalled = stalled_find(jobs, id);
    if (stalled != NULL) {
        live->stalled = stalled->reason;
        return true;
    }
    const struct entry *entry = entry_find(jobs, id);
    if (entry == NULL) {
        return false;
    }
    live->iteration = entry->job.iteration;
    if (entry->worker != NULL) {
        worker_live(entry->worker, entry->job.iterations, live);
    }
    return true;
}

/* ---- starting, ticking, ending --------------------------------------------------------------------------------------- */

struct jobs *jobs_create(const struct jobs_options *options) {
    struct jobs *jobs = calloc(1, sizeof *jobs);
    if (jobs != NULL) {
        jobs->options = *options;
        histogram_init(&jobs->counts.waits, duration_bounds, duration_buckets);
        for (int i = 0; i < JOB_STATUSES; i++) {
            histogram_init(&jobs->counts.runs[i], duration_bounds, duration_buckets);
        }
    }
    return jobs;
}

struct recovery {
    struct jobs *jobs;
    bool crashed;
};

static bool newest_checkpoint(void *user, const struct store_checkpoint *checkpoint) {
    *(int64_t *)user = checkpoint->iteration;
    return false;
}

/* True where the job has now brought the daemon down CRASHES_MOST times at one checkpoint. */
static bool crash_count(struct jobs *jobs, struct store_job *job) {
    int64_t iteration = 0;
    store_checkpoints_list(jobs->options.reader, job->id, newest_checkpoint, &iteration);
    job->crashes = job->crash_iteration == iteration ? job->crashes + 1 : 1;
    job->crash_iteration = iteration;
    return job->crashes >= CRASHES_MOST;
}

static bool job_recover(void *user, const struct store_job *found) {
    struct recovery *recovery = user;
    struct jobs *jobs = recovery->jobs;
    struct store_job job;
    if (store_job_read(jobs->options.reader, found->id, &job) != 1) {
        return false;
    }
    struct entry *entry = entry_add(jobs, &job);
    if (entry == NULL) {
        return false;
    }
    if (entry->job.status == JOB_PAUSING) {
        entry_change(entry, JOB_PAUSED, "the daemon was started again");
    } else if (entry->job.status == JOB_CANCELLING) {
        entry_change(entry, JOB_CANCELLED, NULL);
    } else if (recovery->crashed && crash_count(jobs, &entry->job)) {
        entry_fail(entry, "crashed", "the daemon went down three times while this job ran from one checkpoint", entry->job.crash_iteration);
    } else {
        entry->job.attempt++;
        entry_change(entry, JOB_QUEUED, "the daemon was started again");
    }
    return !entry->lost;
}

bool jobs_start(struct jobs *jobs, bool crashed, char error[STORE_ERROR_BYTES]) {
    struct recovery recovery = {.jobs = jobs, .crashed = crashed};
    jobs->seq = store_seq_last(jobs->options.reader);
    jobs->queued = store_jobs_count(jobs->options.reader, JOB_QUEUED);
    jobs->last_time = store_id_time_last(jobs->options.reader) + 1; /* ids ascend over a restart with an earlier clock */
    if (jobs->seq < 0 || jobs->queued < 0 ||
        store_jobs_with(jobs->options.reader, 1u << JOB_RUNNING | 1u << JOB_PAUSING | 1u << JOB_CANCELLING, job_recover, &recovery) < 0) {
        snprintf(error, STORE_ERROR_BYTES, "the jobs in the database cannot be read");
        return false;
    }
    /* nobody may see a job as the crash left it: ready means recovered */
    store_flush(jobs->options.store);
    loop_deliver(jobs->options.loop);
    jobs->started = true;
    jobs_schedule(jobs);
    return true;
}

/* Queues a stalled job again, or ends what it was in the midst of. False for want of memory. */
static bool stalled_resume(struct jobs *jobs, const struct stalled *stalled) {
    struct store_job job;
    int found = store_job_read(jobs->options.reader, stalled->id, &job);
    if (found != 1) {
        return found == 0;
    }
    if (job.status == JOB_QUEUED || job.status == JOB_PAUSED || job_status_is_final(job.status)) {
        store_job_release(&job);
        return true;
    }
    struct entry *entry = entry_add(jobs, &job);
    if (entry == NULL) {
        return false;
    }
    if (entry->job.status == JOB_RUNNING) {
        entry->job.attempt++;
        entry_change(entry, JOB_QUEUED, stalled->reason);
    } else {
        entry_change(entry, entry->job.status == JOB_PAUSING ? JOB_PAUSED : JOB_CANCELLED, stalled->reason);
    }
    bool changing = !entry->lost;
    if (!changing) {
        entry_remove(entry);
    }
    return changing;
}

/* One write decides whether there is room again; stalled jobs go on one by one. */
static void stall_retry(struct jobs *jobs, uint64_t now) {
    struct stalled **at = &jobs->stalled;
    /* an entry: its last unit, or an action on it, is under way */
    while (*at != NULL && ((*at)->due > now || entry_find(jobs, (*at)->id) != NULL)) {
        at = &(*at)->next;
    }
    struct stalled *stalled = *at;
    jobs->disk_full = jobs->disk_full && jobs->stalled != NULL && stalled == NULL;
    if (stalled == NULL) {
        jobs_schedule(jobs);
        return;
    }
    *at = stalled->next; /* while it is there, no entry of it begins */
    if (stalled_resume(jobs, stalled)) {
        free(stalled);
    } else {
        stalled->due = now + HINDERED_MILLISECONDS;
        stalled->next = jobs->stalled;
        jobs->stalled = stalled;
    }
}

void jobs_tick(struct jobs *jobs, uint64_t now) {
    for (struct entry *entry = jobs->entries; entry != NULL; entry = entry->next) {
        struct worker *worker = entry->worker;
        if (worker != NULL && worker->stop == STOP_NONE && atomic_load(&worker->time_limit) > 0 &&
            worker_trained(worker) > (double)atomic_load(&worker->time_limit)) {
            worker_stop(worker, STOP_TIME);
        }
    }
    if (jobs->disk_full && now >= jobs->retry_at && !jobs->draining) {
        jobs->retry_at = now + RETRY_MILLISECONDS;
        stall_retry(jobs, now);
    } else if (!jobs->disk_full && jobs->stalled != NULL && !jobs->draining) {
        stall_retry(jobs, now);
    }
    jobs_schedule(jobs); /* what began nothing for want of memory has nobody else to call it again */
}

void jobs_drain(struct jobs *jobs, void (*idle)(void *user), void *user) {
    jobs->draining = true;
    jobs->idle = idle;
    jobs->idle_user = user;
    for (struct entry *entry = jobs->entries; entry != NULL; entry = entry->next) {
        if (entry->worker != NULL && entry->worker->stop == STOP_NONE) {
            worker_stop(entry->worker, STOP_DRAIN);
        }
    }
    idle_tell(jobs);
}

void jobs_destroy(struct jobs *jobs) {
    if (jobs == NULL) {
        return;
    }
    while (jobs->entries != NULL) {
        waiters_answer(jobs->entries, JOBS_BROKEN, "the daemon stops");
        entry_remove(jobs->entries);
    }
    for (struct stalled *stalled = jobs->stalled, *next; stalled != NULL; stalled = next) {
        next = stalled->next;
        free(stalled);
    }
    free(jobs);
}
