/*
 * Jobs: see jobs.h. Their course: which one starts, what may happen to each once a change of it is durable, how an
 * attempt ends, and the daemon's start, ticks and end.
 *
 *     entries.c    active jobs in memory, and what of them goes to the store
 *     requests.c   what clients ask: submissions and actions
 *     stall.c      jobs that were stopped by a full disk or the like, and go on by themselves
 *     pool.c       the thread that trains
 *
 * entry_settle is where all of them meet: whenever something of a job has ended, that looks at how the job stands and
 * does what comes next.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/jobs/internal.h"
#include "server/base/log.h"

#define CRASHES_MOST 3

int64_t clock_unix_milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- what is told of them ---- */

int jobs_running(const struct jobs *jobs) {
    int running = 0;
    for (const struct entry *entry = jobs->entries; entry != NULL; entry = entry->next) {
        running += entry->worker != NULL || entry->job.status == JOB_RUNNING;
    }
    return running;
}

const struct jobs_live jobs_live_none = {.trials_per_second = NAN, .seconds_left = NAN};

bool jobs_live_read(const struct jobs *jobs, const char *id, struct jobs_live *live) {
    *live = jobs_live_none;
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

static void active_take(const struct jobs *jobs, const char *id, struct jobs_active *active) {
    snprintf(active->id, sizeof active->id, "%s", id);
    jobs_live_read(jobs, id, &active->live);
    active->reason[0] = '\0';
    if (active->live.stalled != NULL) {
        snprintf(active->reason, sizeof active->reason, "%s", active->live.stalled);
    }
}

struct jobs_active *jobs_active_read(const struct jobs *jobs, size_t *count) {
    size_t most = 0;
    *count = 0;
    for (const struct entry *entry = jobs->entries; entry != NULL; entry = entry->next) {
        most++;
    }
    for (const struct stalled *stalled = jobs->stalled; stalled != NULL; stalled = stalled->next) {
        most++;
    }
    struct jobs_active *all = most == 0 ? NULL : calloc(most, sizeof *all);
    if (all == NULL) {
        return NULL;
    }
    for (const struct entry *entry = jobs->entries; entry != NULL; entry = entry->next) {
        active_take(jobs, entry->job.id, &all[(*count)++]);
    }
    for (const struct stalled *stalled = jobs->stalled; stalled != NULL; stalled = stalled->next) {
        active_take(jobs, stalled->id, &all[(*count)++]);
    }
    return all;
}

/* ---- the queue ---- */

int64_t jobs_place(const struct jobs *jobs, const struct store_job *job) {
    return queue_place(jobs->queue, job->priority, job->number);
}

static bool queue_read(void *user, int priority, int64_t number) {
    return queue_add(user, priority, number);
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

static bool takes_memory(const struct entry *entry) {
    return entry->worker != NULL || entry->job.status == JOB_RUNNING;
}

/* Bytes of the data of this digest, where none of the jobs before `upto` brings them in. */
static int64_t data_memory(const struct jobs *jobs, const struct entry *upto, const char *sha256) {
    for (const struct entry *entry = jobs->entries; entry != upto; entry = entry->next) {
        if (takes_memory(entry) && strcmp(entry->job.dataset_sha256, sha256) == 0) {
            return 0;
        }
    }
    return datasets_memory(jobs->options.datasets, sha256);
}

/*
 * Whether a job fits beside those that run; data count once, however many train on them. One alone always does: it was
 * accepted, maybe by a daemon with more.
 */
static bool memory_is_free(const struct jobs *jobs, const struct store_job *job) {
    int64_t taken = 0;
    for (const struct entry *entry = jobs->entries; entry != NULL; entry = entry->next) {
        if (takes_memory(entry)) {
            taken += entry->job.memory + data_memory(jobs, entry, entry->job.dataset_sha256);
        }
    }
    int64_t needed = job->memory + data_memory(jobs, NULL, job->dataset_sha256);
    return taken == 0 || needed <= jobs->options.memory - taken;
}

/* A job that goes on with other kernels than it began with has a mixed result: all sets are named, in order. */
static void isa_record(struct store_job *job, const char *name) {
    char text[128];
    const char *last = job->isa != NULL ? strrchr(job->isa, ',') : NULL;
    last = last != NULL ? last + 1 : job->isa;
    if (last != NULL && strcmp(last, name) == 0) {
        return;
    }
    snprintf(text, sizeof text, "%s%s%s", last != NULL && job->iteration > 0 ? job->isa : "",
             last != NULL && job->iteration > 0 ? "," : "", name);
    free(job->isa);
    job->isa = text_copy(text);
}

void jobs_schedule(struct jobs *jobs) {
    bool may_start = jobs->started && !jobs->draining && !jobs->disk_full && clock_milliseconds() >= jobs->start_at;
    while (may_start && jobs_running(jobs) < jobs->options.workers) {
        struct store_job job;
        if (store_job_next(jobs->options.reader, is_active, jobs, &job) != 1) {
            return;
        }
        if (!memory_is_free(jobs, &job)) {
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

/* ---- settling: what may happen once a change is durable ---- */

static void worker_begin(struct entry *entry) {
    entry->worker = worker_start(entry, 1);
    if (entry->worker != NULL) {
        cores_share(entry->jobs);
        return;
    }
    log_warning("a job cannot be started now: there is no memory for it", LOG_T("job", entry->job.id),
                LOG_T("request_id", entry->job.request));
    entry_lose(entry, "there was no memory to start it");
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

void entry_settle(struct entry *entry) {
    struct jobs *jobs = entry->jobs;
    if (entry->changing) {
        return;
    }
    bool stands = entry->worker == NULL && entry->units == 0 && !entry->lost; /* nothing of it is under way */
    bool stalled = jobs->disk_full || stalled_find(jobs, entry->job.id) != NULL;
    if (stands && entry->job.status == JOB_RUNNING && !jobs->draining && !stalled) {
        worker_begin(entry);
    } else if (stands && (entry->job.status == JOB_PAUSING || entry->job.status == JOB_CANCELLING)) {
        entry_rest(entry, NULL); /* of a stalled job: there is nobody to wait for */
    }
    if (!entry->lost && entry->job.status == JOB_PAUSED && entry->resume_after_pause) {
        entry->resume_after_pause = false;
        entry_queue_again(entry, NULL);
    }
    waiters_settle(entry);
    bool idle = entry->units == 0 && entry->worker == NULL && !entry->changing && entry->waiting == NULL;
    if (idle && (entry->lost || stalled || entry->job.status != JOB_RUNNING)) {
        if (entry->job.status == JOB_RUNNING) {
            entry_lose(entry, jobs->reason); /* it was to start, and may not now */
        }
        if (entry->lost) {
            stalled_add(jobs, entry);
        }
        entry_remove(entry);
        cores_share(jobs);
        jobs_schedule(jobs);
    }
    idle_tell(jobs);
}

/* ---- the end of an attempt ---- */

static void entry_stopped(struct entry *entry, const struct worker *worker) {
    char text[128];
    if (worker->mismatch) {
        snprintf(text, sizeof text,
                 "iteration %lld, computed again after an interruption, gave other numbers than before",
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
        entry_fail(entry, "time_limit", "the job reached its time limit; its last checkpoint stays",
                   atomic_load(&worker->iteration));
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
        log_warning("a job was stopped; it goes on by itself", LOG_T("job", entry->job.id),
                    LOG_T("reason", entry->reason), LOG_T("request_id", entry->job.request));
    }
    entry_settle(entry);
}

/* ---- starting, ticking, ending ---- */

struct jobs *jobs_create(const struct jobs_options *options) {
    struct jobs *jobs = calloc(1, sizeof *jobs);
    if (jobs != NULL && (jobs->queue = queue_create()) == NULL) {
        free(jobs);
        return NULL;
    }
    if (jobs != NULL) {
        jobs->options = *options;
        rates_init(&jobs->rates);
        histogram_init(&jobs->counts.waits, duration_bounds, duration_buckets);
        for (int i = 0; i < JOB_STATUSES; i++) {
            histogram_init(&jobs->counts.runs[i], duration_bounds, duration_buckets);
        }
    }
    return jobs;
}

double jobs_rate(struct jobs *jobs, enum rate rate) {
    return rates_read(&jobs->rates, rate);
}

int jobs_threads(const struct jobs *jobs, int bound, int most) {
    int threads = jobs->options.cores < most ? jobs->options.cores : most;
    return bound > 0 && bound < threads ? bound : threads;
}

struct recovery {
    struct jobs *jobs;
    const char *crashed;
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
    if (entry->job.status == JOB_RUNNING && strcmp(recovery->crashed, found->id) == 0 &&
        crash_count(jobs, &entry->job)) {
        entry_fail(entry, "crashed", "this job brought the daemon down three times from one checkpoint",
                   entry->job.crash_iteration);
    } else { /* that it was cancelled has its own reason */
        entry_rest(entry, entry->job.status == JOB_CANCELLING ? NULL : "the daemon was started again");
    }
    return !entry->lost;
}

bool jobs_start(struct jobs *jobs, const char *crashed, char error[STORE_ERROR_BYTES]) {
    struct recovery recovery = {.jobs = jobs, .crashed = crashed};
    jobs->seq = store_seq_last(jobs->options.reader);
    bool is_readable = jobs->seq >= 0;
    for (int i = 0; i < JOB_STATUSES; i++) {
        jobs->counts.jobs[i] = store_jobs_count(jobs->options.reader, (enum job_status)i);
        is_readable = is_readable && jobs->counts.jobs[i] >= 0;
    }
    jobs->queued = jobs->counts.jobs[JOB_QUEUED];
    jobs->last_time = store_id_time_last(jobs->options.reader) +
                      1; /* ids ascend over a restart with an earlier clock */
    if (!is_readable || store_queue_read(jobs->options.reader, queue_read, jobs->queue) < 0 ||
        store_jobs_with(jobs->options.reader, 1u << JOB_RUNNING | 1u << JOB_PAUSING | 1u << JOB_CANCELLING, job_recover,
                        &recovery) < 0) {
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

void jobs_tick(struct jobs *jobs, uint64_t now) {
    for (struct entry *entry = jobs->entries; entry != NULL; entry = entry->next) {
        struct worker *worker = entry->worker;
        if (worker != NULL && worker->stop == STOP_NONE && atomic_load(&worker->time_limit) > 0 &&
            worker_trained(worker) > (double)atomic_load(&worker->time_limit)) {
            worker_stop(worker, STOP_TIME);
        }
    }
    stalled_tick(jobs, now);
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
    stalled_release(jobs);
    rates_release(&jobs->rates);
    queue_destroy(jobs->queue);
    free(jobs);
}
