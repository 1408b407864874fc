/*
 * What jobs.c (states, actions, recovery) and worker.c (the thread that trains, and what it sends) share.
 */
#ifndef MODPROP_SERVER_JOBS_INTERNAL_H
#define MODPROP_SERVER_JOBS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "api/event.h"
#include "core/train.h"
#include "server/jobs.h"

#define MESSAGES_MOST 64 /* that a worker may have under way before it waits for the store */

#define REASON_BYTES  200

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
    struct store_job job;     /* runs ahead of the database by the units under way */
    int units;                /* under way */
    bool changing;            /* one of them changes the status: actions wait */
    struct worker *worker;
    bool resume_after_pause;
    struct waiter *waiting;   /* for `changing` to end, in order */
    bool deleted;
    bool lost;                /* a unit failed: the entry must be read again; no unit is made any more */
    char reason[REASON_BYTES]; /* why it is lost; "": for want of memory */
};

/* A job whose results could not be stored, or that could not be started: its row is looked at again when writing works. */
struct stalled {
    struct stalled *next;
    char id[STORE_ID_BYTES];
    uint64_t due; /* ms: not before */
    char reason[REASON_BYTES];
};

struct jobs {
    struct jobs_options options;
    struct entry *entries;
    struct stalled *stalled;  /* stopped by a full disk or the like, to be queued again */
    bool disk_full, draining, started; /* disk_full: nothing can be written, for this or another reason */
    char reason[REASON_BYTES]; /* why nothing can be written */
    uint64_t retry_at;        /* ms */
    int64_t seq;              /* last given */
    int64_t last_time;        /* of ids, which must ascend */
    unsigned id_counter;
    int64_t queued;           /* jobs that wait, as the loop knows */
    struct jobs_counts counts;
    void (*idle)(void *user);
    void *idle_user;
};

/* One attempt at one job, on a thread of its own. Made on the loop; its thread owns what is marked so until `ended` is delivered. */
struct worker {
    pthread_t thread;
    struct entry *entry;
    struct jobs *jobs;
    char id[STORE_ID_BYTES];
    char *document;                    /* thread's, until it is parsed */
    struct job_spec spec;              /* thread's */
    atomic_int batch_size;             /* of spec, as the next two; 0 until the thread has read it */
    atomic_int threads_most;
    atomic_llong time_limit;
    const struct task_data *data;      /* thread's */
    struct store_reader *reader;       /* thread's */
    struct train_control control;
    enum worker_stop stop;             /* loop's */
    uv_sem_t room;                     /* messages that may still be sent */
    atomic_llong iteration;            /* updates made */
    _Atomic double began;              /* clock_seconds of the first update of this attempt; 0: none yet */
    _Atomic double latest;             /* of the last one */
    atomic_llong first_iteration;      /* where this attempt began */
    atomic_llong updates;              /* made in this attempt */
    long long counted;                 /* loop's: of them, those that the metrics have */
    bool mismatch;                     /* thread's: a recomputed value differed */
    int64_t mismatch_iteration;
    char weights_sha256[STORE_HASH_BYTES]; /* thread's: of the last checkpoint */
    char dataset_sha256[STORE_HASH_BYTES]; /* thread's: of earlier attempts, then of this one */
    bool other_data;                   /* thread's: the two differ */
    enum train_result result;          /* thread's, then the loop's */
    struct train_error error;
    char hindrance[REASON_BYTES];      /* thread's: why it could not train or report, which is no fault of the job's; "": it could */
    struct worker_message *end;        /* the last one, made at the start */
    bool ended;                        /* loop's: its last message came */
    int units;                         /* loop's: its units that the store has not yet given back */
    double started;                    /* clock_seconds */
    double trained;                    /* seconds of earlier attempts */
};


/* --- jobs.c
   ---------------------------------------------------------------------------------------------------------------------------------- */

/* A unit for this entry: counted, its events published when it is committed. NULL without memory, which loses the entry. */
struct store_unit *entry_unit(struct entry *entry, struct worker *worker, bool changes);
void entry_submit(struct entry *entry, struct store_unit *unit);
/* A unit that could not be filled for want of memory: the entry is lost. NULL-safe. */
void entry_discard(struct entry *entry, struct store_unit *unit);
/* Marks the entry as lost; its worker, if any, stops. The first reason stays. */
void entry_lose(struct entry *entry, const char *reason);
/* Adds an event with its numbers; the caller sets json (from *head), iteration and check. NULL without memory. */
struct store_event *entry_event(struct entry *entry, struct store_unit *unit, const char *type, struct event_head *head);
/* The part of a row that STORE_JOB_SET writes, texts copied. */
void job_row_copy(struct store_job *to, const struct store_job *from);
/* Status, row and event in one unit. */
void entry_change(struct entry *entry, enum job_status status, const char *reason);
void entry_log(struct entry *entry, const char *level, const char *message);
/* A worker's thread has ended and its last message was delivered. */
void entry_worker_ended(struct entry *entry, struct worker *worker);

/* --- worker.c
   -------------------------------------------------------------------------------------------------------------------------------- */

/* Starts the attempt on a thread of its own. NULL where there is no thread or no memory now. */
struct worker *worker_start(struct entry *entry, int threads);
void worker_stop(struct worker *worker, enum worker_stop why);
/* A unit of this worker's was committed or has failed: it may send one more message. Frees the worker where it was the last thing to wait
   for. */
void worker_unit_done(struct worker *worker);
void worker_live(const struct worker *worker, int64_t iterations, struct jobs_live *live);
/* Seconds of training in all attempts. */
double worker_trained(const struct worker *worker);
/* Trials a second of training in this attempt; NaN before the first update. */
double worker_trials_per_second(const struct worker *worker);

#endif
