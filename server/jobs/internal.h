/*
 * What the parts of jobs share: driver.c (which one runs, and what comes next for each), entries.c (active jobs, and
 * what of them goes to the store), requests.c (what clients ask), stall.c (what was stopped and goes on by itself) and
 * pool.c (what runs on the pool's threads, and what it sends). Nobody else includes this file.
 */
#ifndef MODPROP_SERVER_JOBS_INTERNAL_H
#define MODPROP_SERVER_JOBS_INTERNAL_H

#include <stdatomic.h>
#include <uv.h>

#include "api/event.h"
#include "core/train/train.h"
#include "server/base/thread.h"
#include "server/jobs/jobs.h"
#include "server/jobs/queue.h"

#define MESSAGES_MOST 64 /* that a worker may have under way before it waits for the store */

#define REASON_BYTES 200

enum worker_stop { STOP_NONE, STOP_PAUSE, STOP_CANCEL, STOP_DRAIN, STOP_STALL, STOP_TIME };

struct worker;

/* Somebody who asked for an action and waits. */
struct waiter {
    struct waiter *next;
    enum jobs_action action;
    bool taken; /* its change is under way */
    jobs_done *done;
    void *user;
};

/* An active job. */
struct entry {
    struct entry *next;
    struct jobs *jobs;
    struct store_job job;   /* runs ahead of the database by the units under way */
    enum job_status stored; /* its status in the database */
    int units;              /* under way */
    bool changing;          /* one of them changes the status: actions wait */
    struct worker *worker;
    bool resume_after_pause;
    struct waiter *waiting; /* for `changing` to end, in order */
    bool deleted;
    bool lost;                 /* a unit failed: the entry must be read again; no unit is made any more */
    char reason[REASON_BYTES]; /* why it is lost */
    struct stalled *place;     /* among the stalled; made with the entry, since it may be lost for want of memory */
};

/*
 * A job whose results could not be stored, or that could not be started: its row is looked at again when writing works.
 */
struct stalled {
    struct stalled *next;
    char id[STORE_ID_BYTES];
    uint64_t due; /* ms: not before */
    char reason[REASON_BYTES];
};

struct jobs {
    struct jobs_options options;
    struct entry *entries;
    struct stalled *stalled;           /* stopped by a full disk or the like, to be queued again */
    bool disk_full, draining, started; /* disk_full: nothing can be written, for this or another reason */
    char reason[REASON_BYTES];         /* why nothing can be written */
    uint64_t retry_at;                 /* ms */
    uint64_t start_at;                 /* ms: no job is started before */
    int64_t seq;                       /* last given */
    int64_t last_time;                 /* of ids, which must ascend */
    unsigned id_counter;
    int64_t queued;        /* jobs that wait, as the loop knows */
    bool slots[POOL_MOST]; /* taken by workers; options.workers of them are used */
    struct queue *queue;   /* those whose waiting is committed, in their order */
    struct jobs_counts counts;
    struct rates rates;
    void (*idle)(void *user);
    void *idle_user;
};

/*
 * One attempt at one job, on a thread of libuv's pool. Made on the loop; its thread owns what is marked so until the
 * loop hears of its end.
 */
struct worker {
    uv_work_t work;
    int slot; /* which thread's worth of the pool it takes */
    struct entry *entry;
    struct jobs *jobs;
    char id[STORE_ID_BYTES];
    char *document;        /* thread's, until it is parsed */
    struct job_spec spec;  /* thread's */
    atomic_int batch_size; /* of spec, as the next two; 0 until the thread has read it */
    atomic_int threads_most;
    atomic_llong time_limit;
    const struct task_data *data; /* thread's */
    struct store_reader *reader;  /* thread's */
    struct train_control control;
    enum worker_stop stop;               /* loop's */
    uv_sem_t room;                       /* messages that may still be sent */
    atomic_llong iteration;              /* updates made */
    _Atomic double began;                /* clock_seconds of the first update of this attempt; 0: none yet */
    _Atomic double latest;               /* of the last one */
    atomic_llong first_iteration;        /* where this attempt began */
    atomic_llong updates;                /* made in this attempt */
    atomic_size_t evaluated, evaluation; /* trials of the evaluation under way: done, and in all; 0: none is */
    struct meter meter;                  /* thread's */
    long long counted;                   /* loop's: of them, those that the metrics have */
    bool mismatch;                       /* thread's: a recomputed value differed */
    int64_t mismatch_iteration;
    char weights_sha256[STORE_HASH_BYTES]; /* thread's: of the last checkpoint */
    char dataset_sha256[STORE_HASH_BYTES]; /* thread's: of the data that the job rests on */
    bool other_data;                       /* thread's: those that are there are others */
    enum train_result result;              /* thread's, then the loop's */
    struct train_error error;
    char hindrance[REASON_BYTES]; /* thread's: why it could not train or report, which is no fault of the job's; "": it
                                     could */
    bool ended;                   /* loop's: its run is over */
    int units;                    /* loop's: its units that the store has not yet given back */
    double started;               /* clock_seconds */
    double trained;               /* seconds of earlier attempts */
};

/* ---- driver.c ---- */

/* Starts what waits, while there is a slot. A job runs once its change to running is committed (entry_settle). */
void jobs_schedule(struct jobs *jobs);
/*
 * Does what may be done next for the entry: start its worker, take up who waits, or let it go, which frees it. After
 * whatever has ended.
 */
void entry_settle(struct entry *entry);
/* A worker's run is over and all its messages were delivered. */
void entry_worker_ended(struct entry *entry, struct worker *worker);

/* ---- entries.c ---- */

/* NULL: the job is not active. */
struct entry *entry_find(const struct jobs *jobs, const char *id);
/* Takes over `job`. NULL without memory; `job` is then released. */
struct entry *entry_add(struct jobs *jobs, struct store_job *job);
void entry_remove(struct entry *entry);
/*
 * A unit for this entry: counted, its events published when it is committed. NULL without memory, which loses the
 * entry.
 */
struct store_unit *entry_unit(struct entry *entry, struct worker *worker, bool changes);
void entry_submit(struct entry *entry, struct store_unit *unit);
/* A unit that could not be filled for want of memory: the entry is lost. NULL-safe. */
void entry_discard(struct entry *entry, struct store_unit *unit);
/* Marks the entry as lost; its worker, if any, stops. The first reason stays; "" stands for want of memory. */
void entry_lose(struct entry *entry, const char *reason);
/* Adds an event with its numbers; the caller sets json (from *head), iteration and check. NULL without memory. */
struct store_event *entry_event(struct entry *entry, struct store_unit *unit, const char *type,
                                struct event_head *head);
/* Status, row and event in one unit. `reason` may be NULL. */
void entry_change(struct entry *entry, enum job_status status, const char *reason);
/* As the next attempt. */
void entry_queue_again(struct entry *entry, const char *reason);
/*
 * Of running, pausing or cancelling to what that becomes where no worker has the job any more: queued again, paused,
 * cancelled.
 */
void entry_rest(struct entry *entry, const char *reason);
void entry_fail(struct entry *entry, const char *code, const char *detail, int64_t iteration);
void entry_log(struct entry *entry, const char *level, const char *message);
/* Of a committed unit. */
void events_publish(struct jobs *jobs, const struct store_unit *unit);
/* The part of a row that STORE_JOB_SET writes, texts copied. A text that does not fit into memory is left out. */
void job_row_copy(struct store_job *to, const struct store_job *from);
/* The event of a job's status. NULL without memory. */
char *job_status_text(const struct event_head *head, const struct store_job *job, const char *reason);
/* NULL of NULL, and without memory. */
char *text_copy(const char *text);

/* ---- requests.c ---- */

/* Answers who waits, and does what they ask, as far as the entry's state lets it. */
void waiters_settle(struct entry *entry);
/* Answers all who wait. */
void waiters_answer(struct entry *entry, enum jobs_result result, const char *detail);

/* ---- stall.c ---- */

/* Nothing can be written (a full disk, mostly): nothing is lost that was committed. Workers stop; what ran is queued
   again when a write succeeds. */
void jobs_stall(struct jobs *jobs, const struct store_unit *unit);
/* NULL: the job is not stalled. */
struct stalled *stalled_find(const struct jobs *jobs, const char *id);
/* Before a lost entry is let go; takes its place. */
void stalled_add(struct jobs *jobs, struct entry *entry);
/* Each second: takes up one job that may go on. */
void stalled_tick(struct jobs *jobs, uint64_t now);
void stalled_release(struct jobs *jobs);

/* ---- pool.c ---- */

/* Starts the attempt on a thread of the pool. NULL where there is no memory now. */
struct worker *worker_start(struct entry *entry, int threads);
void worker_stop(struct worker *worker, enum worker_stop why);
/* A unit of this worker's was committed or has failed: it may send one more message. Frees the worker where it was the
   last thing to wait for. */
void worker_unit_done(struct worker *worker);
void worker_live(const struct worker *worker, int64_t iterations, struct jobs_live *live);
/* Adds to the metrics what it has done since this was last called. */
void worker_count(struct worker *worker);
/* Seconds of training in all attempts. */
double worker_trained(const struct worker *worker);
/* Trials a second of training in this attempt; NaN before the first update. */
double worker_trials_per_second(const struct worker *worker);

#endif
