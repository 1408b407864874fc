/*
 * Jobs: see jobs.h. The queue (which job starts), and the daemon's start, ticks and shutdown. state.c decides what
 * becomes of each job; life.c carries it out.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/kernels/select.h"
#include "server/base/thread.h"
#include "server/jobs/internal.h"
#include "server/base/log.h"

#define CRASHES_MOST 3
#define KILLS_MOST 10

/* ---- what is reported about them ---- */

/* Takes a slot: an attempt has it, or is about to. */
static bool takes_slot(const struct active_job *active) {
    return active->attempt != NULL || active->state.phase == PHASE_STARTS;
}

/* One of this daemon's. */
static bool takes_own_slot(const struct active_job *active) {
    return takes_slot(active) && !active_is_remote(active);
}

/* Whether this daemon can run another: on a core, where every attempt begins, and in its pool of threads. */
static bool slot_is_free(const struct jobs *jobs) {
    const struct executor *executor = jobs->options.executor;
    int own = 0, cores = 0;
    for (const struct active_job *active = jobs->active; active != NULL; active = active->next) {
        own += takes_own_slot(active);
        cores += takes_own_slot(active) && !active->on_device;
    }
    return cores < jobs->options.workers && own < executor->operations->capacity(executor);
}

int jobs_running_all(const struct jobs *jobs) {
    int running = 0;
    for (const struct active_job *active = jobs->active; active != NULL; active = active->next) {
        running += takes_slot(active);
    }
    return running;
}

const struct jobs_live jobs_live_none = {.trials_per_second = NAN, .seconds_left = NAN};

bool jobs_live_read(const struct jobs *jobs, const char *id, struct jobs_live *live) {
    *live = jobs_live_none;
    const struct parked *parked = parked_find(jobs, id);
    if (parked != NULL) {
        live->stalled = parked->reason;
        live->stopped = parked->stopped;
        return true;
    }
    const struct active_job *active = active_find(jobs, id);
    if (active == NULL) {
        return false;
    }
    live->iteration = active->job.iteration;
    if (active->attempt != NULL) {
        struct attempt_view view;
        active_operations(active)->look(active->attempt, &view);
        live->running = true;
        live->iteration = view.iteration;
        live->evaluated = view.evaluated;
        live->evaluation = view.evaluation;
        live->trials_per_second = view.trials_per_second;
        live->seconds_left = (double)(active->job.iterations - view.iteration) * view.batch_size /
                             view.trials_per_second;
        live->threads = view.threads;
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
    for (const struct active_job *active = jobs->active; active != NULL; active = active->next) {
        most++;
    }
    for (const struct parked *parked = jobs->parked; parked != NULL; parked = parked->next) {
        most++;
    }
    struct jobs_active *all = most == 0 ? NULL : calloc(most, sizeof *all);
    if (all == NULL) {
        return NULL;
    }
    for (const struct active_job *active = jobs->active; active != NULL; active = active->next) {
        active_take(jobs, active->job.id, &all[(*count)++]);
    }
    for (const struct parked *parked = jobs->parked; parked != NULL; parked = parked->next) {
        active_take(jobs, parked->id, &all[(*count)++]);
    }
    return all;
}

/* ---- the queue ---- */

int64_t jobs_position(const struct jobs *jobs, const struct store_job *job) {
    return queue_position(jobs->queue, job->priority, job->number);
}

static bool queue_read(void *user, const struct store_job *job) {
    return queue_add(user, job);
}

/* A worker divides its own cores. */
static bool has_own_attempt(const struct active_job *active) {
    return active->attempt != NULL && !active_is_remote(active);
}

/* Divides the cores over the running jobs. */
static void cores_share(struct jobs *jobs) {
    struct attempt *attempts[POOL_MOST];
    size_t count = 0;
    for (struct active_job *active = jobs->active; active != NULL && count < POOL_MOST; active = active->next) {
        if (has_own_attempt(active)) {
            attempts[count++] = active->attempt;
        }
    }
    executor_share(jobs->options.executor, attempts, count, jobs->options.cores);
}

static bool is_active(void *user, int64_t number) {
    const struct jobs *jobs = user;
    const struct active_job *active = jobs->active;
    const struct parked *parked = jobs->parked;
    while (active != NULL && active->job.number != number) {
        active = active->next;
    }
    while (parked != NULL && parked->number != number) {
        parked = parked->next;
    }
    return active != NULL || parked != NULL;
}

/* Bytes of the data with this digest, unless one of the jobs before `upto` loads them. */
static int64_t data_memory(const struct jobs *jobs, const struct active_job *upto, const char *sha256) {
    for (const struct active_job *active = jobs->active; active != upto; active = active->next) {
        if (takes_own_slot(active) && strcmp(active->job.dataset_sha256, sha256) == 0) {
            return 0;
        }
    }
    return datasets_memory(jobs->options.datasets, sha256);
}

/*
 * Whether a job fits beside those that run; data count once, however many jobs train on them. A job alone always fits:
 * it was accepted, perhaps by a daemon with more memory.
 */
static bool memory_is_free(const struct jobs *jobs, const struct store_job *job) {
    int64_t taken = 0;
    for (const struct active_job *active = jobs->active; active != NULL; active = active->next) {
        if (takes_own_slot(active)) {
            taken += active->job.memory + data_memory(jobs, active, active->job.dataset_sha256);
        }
    }
    int64_t needed = job->memory + data_memory(jobs, NULL, job->dataset_sha256);
    return taken == 0 || needed <= jobs->options.memory - taken;
}

/*
 * Who runs the job: a slot of this daemon that is free, else a worker that has asked for work. NULL: nobody can now.
 * `place` is then the worker's.
 */
static struct executor *executor_choose(struct jobs *jobs, const struct store_job *job, char place[STORE_ID_BYTES]) {
    struct executor *remote = jobs->options.remote;
    place[0] = '\0';
    if (slot_is_free(jobs) && memory_is_free(jobs, job)) {
        return jobs->options.executor;
    }
    return remote != NULL && remote->operations->reserve(remote, job, place) ? remote : NULL;
}

/* Takes the job for the executor, whose place is kept for it. */
static void job_pick(struct jobs *jobs, struct store_job *job, struct executor *executor, const char *place) {
    struct active_job *active = active_add(jobs, job);
    if (active == NULL) {
        if (*place != '\0') {
            executor->operations->unreserve(executor, place);
        }
        jobs->start_at = clock_milliseconds() + JOBS_RETRY_MILLISECONDS;
        return;
    }
    active->executor = executor;
    memcpy(active->job.worker, place, sizeof active->job.worker);
    active->job.reported = 0;
    free(active->job.build);
    active->job.build = text_copy(jobs->options.build);
    active_isa_record(active, *place != '\0' ? executor->operations->isa(executor, place) : kernels_name());
    queue_served(jobs->queue, &active->job);
    active_fact(active, FACT_PICKED); /* if out of memory it is parked, and start_at is in the future */
}

static bool somebody_is_free(const struct jobs *jobs) {
    const struct executor *remote = jobs->options.remote;
    return slot_is_free(jobs) || (remote != NULL && remote->operations->wants(remote));
}

static void schedule(struct jobs *jobs) {
    bool may_start = jobs->started && !jobs->draining && !jobs_are_stalled(jobs) &&
                     clock_milliseconds() >= jobs->start_at;
    while (may_start && somebody_is_free(jobs)) {
        struct store_job job;
        char place[STORE_ID_BYTES];
        int64_t number = queue_next(jobs->queue, is_active, jobs);
        if (number == 0 || store_job_queued(jobs->options.reader, number, &job) != 1) {
            return;
        }
        struct executor *executor = executor_choose(jobs, &job, place);
        if (executor == NULL) {
            store_job_release(&job); /* no other job overtakes it: small jobs could keep a large one waiting for ever */
            return;
        }
        job_pick(jobs, &job, executor, place);
        may_start = clock_milliseconds() >= jobs->start_at;
    }
}

void jobs_schedule(struct jobs *jobs) {
    schedule(jobs);
}

/* A slot may be free, or a job waits. */
static void on_moved(struct jobs *jobs) {
    cores_share(jobs);
    schedule(jobs);
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
        jobs->began = cores_share;
        jobs->moved = on_moved;
        life_init(jobs);
        histogram_init(&jobs->counts.waits, duration_bounds, duration_buckets);
        for (int i = 0; i < JOB_STATUSES; i++) {
            histogram_init(&jobs->counts.runs[i], duration_bounds, duration_buckets);
        }
    }
    return jobs;
}

double jobs_rate(struct jobs *jobs, enum rate rate) {
    return jobs->options.executor->operations->rate(jobs->options.executor, rate);
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

/* True if the job has now crashed the daemon CRASHES_MOST times at one checkpoint. */
static bool crash_count(struct jobs *jobs, struct store_job *job) {
    int64_t iteration = 0;
    store_checkpoints_list(jobs->options.reader, job->id, newest_checkpoint, &iteration);
    job->crashes = job->crash_iteration == iteration ? job->crashes + 1 : 1;
    job->crash_iteration = iteration;
    return job->crashes >= CRASHES_MOST;
}

/*
 * True if the process was now killed KILLS_MOST times (SIGKILL, usually by the out-of-memory killer) with this job
 * running and without any progress in between: starting it again would never end.
 */
static bool kill_count(struct store_job *job) {
    job->kills = job->killed_at == job->progressed ? job->kills + 1 : 1;
    job->killed_at = job->progressed;
    return job->kills >= KILLS_MOST;
}

static bool job_recover(void *user, const struct store_job *found) {
    struct recovery *recovery = user;
    struct jobs *jobs = recovery->jobs;
    struct store_job job;
    if (store_job_read(jobs->options.reader, found->id, &job) != 1) {
        return false;
    }
    struct active_job *active = active_add(jobs, &job);
    if (active == NULL) {
        return false;
    }
    enum fact fact = FACT_RETRY;
    active->stopped = store_stop_noted(jobs->options.store, found->id);
    bool leased = jobs->options.remote != NULL && *active->job.worker != '\0' && active->job.status != JOB_CANCELLING;
    if (active->stopped) {
        fact = FACT_ASK_CANCEL;
    } else if (leased) {
        active->executor = jobs->options.remote;
        fact = FACT_ADOPTED;
    } else if (active->job.status == JOB_RUNNING && strcmp(recovery->crashed, found->id) == 0 &&
               crash_count(jobs, &active->job)) {
        fact = FACT_GUILTY;
        active->end = (struct attempt_end){.code = "crashed", .iteration = active->job.crash_iteration};
        snprintf(active->end.detail, sizeof active->end.detail,
                 "this job crashed the daemon three times from one checkpoint");
    } else if (active->job.status == JOB_RUNNING && strcmp(recovery->crashed, STORE_STOPPED) != 0 &&
               kill_count(&active->job)) {
        fact = FACT_HELD;
        active->job.kills = 0; /* resuming it allows as many attempts again */
        active_reason_set(active,
                          "the daemon was killed ten times while this job ran without progress, perhaps for lack of "
                          "memory; resume it when the cause is gone");
    } else if (active->job.status != JOB_CANCELLING) { /* a cancellation has its own reason */
        active_reason_set(active, "the daemon was restarted");
    }
    active_fact(active, fact);
    return parked_find(jobs, found->id) == NULL;
}

/*
 * A cancellation that an earlier daemon could not store. Jobs that were running are active by now; others are
 * cancelled here. Where nothing can be stored yet, they are parked.
 */
static void stop_again(void *user, const char *id) {
    struct jobs *jobs = user;
    struct store_job job;
    int found = active_find(jobs, id) != NULL || parked_find(jobs, id) != NULL
                    ? -1
                    : store_job_read(jobs->options.reader, id, &job);
    if (found == 1 && !job_status_is_final(job.status)) {
        struct active_job *active = active_add(jobs, &job);
        if (active != NULL) {
            active->stopped = true;
            active_fact(active, FACT_ASK_CANCEL);
        }
        return;
    }
    if (found == 1) {
        store_job_release(&job);
    }
    if (found >= 0) {
        store_stop_forget(jobs->options.store, id);
    }
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
                      1; /* ids ascend across a restart with an earlier clock */
    if (!is_readable || store_queue_read(jobs->options.reader, queue_read, jobs->queue) < 0 ||
        store_jobs_with(jobs->options.reader, 1u << JOB_RUNNING | 1u << JOB_PAUSING | 1u << JOB_CANCELLING, job_recover,
                        &recovery) < 0) {
        snprintf(error, STORE_ERROR_BYTES, "the jobs in the database cannot be read");
        return false;
    }
    store_stops_each(jobs->options.store, stop_again, jobs);
    /* clients must not see a job as the crash left it: ready means recovered */
    store_flush(jobs->options.store);
    loop_deliver(jobs->options.loop);
    jobs->started = true;
    schedule(jobs);
    return true;
}

/* Queues a parked job again, or ends what was interrupted. False if out of memory. */
static bool parked_resume(struct jobs *jobs, const struct parked *parked) {
    struct store_job job;
    int found = store_job_read(jobs->options.reader, parked->id, &job);
    if (found != 1) {
        return found == 0;
    }
    bool adrift = state_of_row(job.status).phase == PHASE_ADRIFT;
    struct active_job *active = adrift || parked->stopped ? active_add(jobs, &job) : NULL;
    if (active == NULL) {
        if (!adrift && !parked->stopped) {
            store_job_release(&job);
        }
        return !adrift && !parked->stopped;
    }
    active->stopped = parked->stopped;
    if (!parked->stopped) {
        active_reason_set(active, parked->reason);
    }
    active_fact(active, parked->stopped ? FACT_ASK_CANCEL : FACT_RETRY);
    return true;
}

static void parked_retry(struct jobs *jobs, uint64_t now) {
    struct parked *parked = parked_take(jobs, now); /* while it is parked, it does not become active */
    jobs->disk_full = jobs->disk_full && jobs->parked != NULL && parked == NULL;
    if (parked == NULL) {
        schedule(jobs);
    } else if (parked_resume(jobs, parked)) {
        free(parked);
    } else {
        parked_put_back(jobs, parked, now);
    }
}

static void waiting_check(struct jobs *jobs) {
    for (struct active_job *active = jobs->active, *next; active != NULL; active = next) {
        next = active->next;
        waiters_expire(active);
    }
}

static void limits_check(struct jobs *jobs) {
    for (struct active_job *active = jobs->active, *next; active != NULL; active = next) {
        struct attempt_view view;
        next = active->next;
        if (active->attempt != NULL) {
            active_operations(active)->look(active->attempt, &view);
            if (view.time_limit > 0 && view.trained > (double)view.time_limit) {
                active_fact(active, FACT_TIME);
            } else if (active->bytes > jobs->options.max_job_bytes) {
                active_fact(active, FACT_SPACE);
            }
        }
    }
}

/* Reads the queue again if a job is missing from it because memory ran out. */
static void queue_mend(struct jobs *jobs) {
    if (jobs->queue_short) {
        jobs->queue_short = store_queue_read(jobs->options.reader, queue_read, jobs->queue) < 0;
    }
}

void jobs_tick(struct jobs *jobs, uint64_t now) {
    waiting_check(jobs);
    limits_check(jobs);
    queue_mend(jobs);
    cores_share(jobs); /* bounds of jobs that started since are known by now */
    bool is_due = jobs->disk_full ? now >= jobs->retry_at : jobs->parked != NULL;
    if (is_due && !jobs->draining && !store_is_full(jobs->options.store, NULL)) {
        jobs->retry_at = now + JOBS_RETRY_MILLISECONDS;
        parked_retry(jobs, now);
    }
    schedule(jobs); /* for jobs that could not start for lack of memory: nothing else would call it again */
}

void jobs_drain(struct jobs *jobs, void (*idle)(void *user), void *user) {
    jobs->draining = true;
    for (struct active_job *active = jobs->active, *next; active != NULL; active = next) {
        next = active->next;
        if (active->attempt != NULL && active->state.phase == PHASE_STOPS) {
            active_operations(active)->order(active->attempt, ATTEMPT_LEAVE);
        }
        active_fact(active, FACT_DRAIN);
    }
    jobs->idle = idle;
    jobs->idle_user = user;
    life_report_idle(jobs);
}

void jobs_destroy(struct jobs *jobs) {
    if (jobs == NULL) {
        return;
    }
    while (jobs->active != NULL) {
        waiters_answer(jobs->active, JOBS_CLOSING, NULL);
        active_remove(jobs->active);
    }
    parked_release(jobs);
    queue_destroy(jobs->queue);
    free(jobs);
}
