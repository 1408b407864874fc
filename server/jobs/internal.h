/*
 * What the parts of jobs share. Each calls only those above it; calls the other way are hooks in struct jobs:
 *
 *     state.c      what becomes of a job, as a pure function
 *     active.c        active jobs in memory, and what of them goes to the store
 *     parked.c     jobs that were stopped by a full disk, for example, to be read again
 *     records.c    the reports of attempts, as units
 *     life.c       passes facts to state.c and performs its actions
 *     requests.c   requests of clients: submissions and actions
 *     captions.c   changes of names, notes and tags, which concern no active job
 *     driver.c     the queue; start, tick and end
 *
 * No other file includes this one.
 */
#ifndef MODPROP_SERVER_JOBS_INTERNAL_H
#define MODPROP_SERVER_JOBS_INTERNAL_H

#include "api/event.h"
#include "server/executor/executor.h"
#include "server/jobs/jobs.h"
#include "server/jobs/queue.h"
#include "server/jobs/state.h"

#define REASON_BYTES 200
#define JOBS_RETRY_MILLISECONDS 2000 /* between two attempts to use a disk that could not be written */

/* A client that requested an action and waits. */
struct waiter {
    struct waiter *next;
    enum jobs_action action;
    bool taken;   /* its change is in progress */
    int tries;    /* how often its change met a full disk */
    double since; /* clock_seconds() */
    jobs_done *done;
    void *user;
};

/* An active job. */
struct active_job {
    struct active_job *next;
    struct jobs *jobs;
    struct job_state state;
    struct store_job job;      /* ahead of the database by the units in progress */
    enum job_status stored;    /* its status in the database */
    int units;                 /* under way */
    int64_t bytes;             /* bytes that it takes in the store, as of its last event */
    struct executor *executor; /* of the attempt, or of the one that is being started */
    struct attempt *attempt;   /* NULL: no attempt runs it */
    bool on_device;            /* the attempt needs no core */
    int64_t counted;           /* of the attempt's updates, those already counted in the metrics */
    struct attempt_end end;    /* of the last attempt; code and detail of a failure */
    struct waiter *waiting;    /* in order */
    char reason[REASON_BYTES]; /* of its next change, or why it is lost; "": none */
    bool stopped;              /* a cancellation could not be stored: it is not trained again */
    struct parked *reserved;   /* made with the active job, because later there may be no memory */

    /* evaluations that came together and become one unit, which settles one of them; NULL: none */
    struct store_unit *gathered;
};

/* A job that waits to be read again. */
struct parked {
    struct parked *next;
    char id[STORE_ID_BYTES];
    int64_t number;
    uint64_t due; /* ms: not before */
    bool stopped; /* to be cancelled, not resumed */
    char reason[REASON_BYTES];
};

/* What a unit of an active job carries from its creation to its commit. */
struct unit_context {
    struct active_job *active;
    struct attempt *attempt; /* whose record it is; NULL: none */
    bool changes;            /* it contains a change of the status */
    int queued;              /* how many more jobs are queued by this change; undone if it is not committed */
};

struct jobs {
    struct jobs_options options;
    struct active_job *active;
    struct parked *parked;
    bool disk_full, draining, started; /* disk_full: nothing can be written, for this or another reason */
    char reason[REASON_BYTES];         /* why nothing can be written */
    uint64_t retry_at;                 /* ms */
    uint64_t start_at;                 /* ms: no job is started before */
    int64_t seq;                       /* last given */
    int64_t last_time;                 /* of ids, which must ascend */
    unsigned id_counter;
    int64_t queued;      /* queued jobs, as the loop knows */
    struct queue *queue; /* those whose queueing is committed, in order */
    bool queue_short;    /* one is missing there because memory ran out */
    struct jobs_counts counts;
    void (*idle)(void *user);
    void *idle_user;
    /* hooks, set by driver.c */
    void (*unit_done)(const struct unit_context *context, const struct store_unit *unit); /* counted and published */
    void (*unit_failed)(struct active_job *active); /* a unit of this active could not be made */
    void (*began)(struct jobs *jobs);               /* an attempt has begun */
    void (*moved)(struct jobs *jobs);               /* a slot may be free, or a job may be waiting */
};

/* Of the executor that runs the job. */
static inline const struct executor_operations *active_operations(const struct active_job *active) {
    return active->executor->operations;
}

/* Whether a worker runs it, or is to run it. */
static inline bool active_is_remote(const struct active_job *active) {
    return active->executor != active->jobs->options.executor;
}

/* ---- parked.c ---- */

/* NULL: the job is not parked. */
struct parked *parked_find(const struct jobs *jobs, const char *id);
/* Parks the job, unless it is parked already. */
void parked_add(struct jobs *jobs, struct active_job *active);
/* Removes and returns the first that is due at `now` and has no active; NULL: none. Free it, or put it back. */
struct parked *parked_take(struct jobs *jobs, uint64_t now);
void parked_put_back(struct jobs *jobs, struct parked *parked, uint64_t now);
void parked_release(struct jobs *jobs);

/* ---- active.c ---- */

/* NULL: the job is not active. */
struct active_job *active_find(const struct jobs *jobs, const char *id);
/* Takes ownership of `job`, which no attempt runs. NULL if out of memory; `job` is then released. */
struct active_job *active_add(struct jobs *jobs, struct store_job *job);
void active_remove(struct active_job *active);
/* A unit for this active. NULL if out of memory; unit_failed was called then. */
struct store_unit *active_unit(struct active_job *active, struct attempt *attempt, bool changes);
/* Frees the unit if one of its texts is missing because memory ran out; then false, and unit_failed was called. */
bool active_submit(struct active_job *active, struct store_unit *unit);
/* A unit that could not be filled because memory ran out. NULL-safe. Calls unit_failed. */
void active_discard(struct active_job *active, struct store_unit *unit);
/* Adds an event with its numbers; the caller sets json (from *head), iteration and check. NULL if out of memory. */
struct store_event *active_event(struct active_job *active, struct store_unit *unit, enum event_type type,
                                 struct event_head *head);
/* Row and event of active->state.status in one unit. False if out of memory: nothing is in progress. */
bool active_commit(struct active_job *active);
bool active_commit_deletion(struct active_job *active);
/* The code and text of active->job's failure. */
void active_error_set(struct active_job *active, const char *code, const char *detail, int64_t iteration);
/* Adds to the metrics what the attempt has done since the last call. */
void active_count(struct active_job *active);
void active_reason_set(struct active_job *active, const char *reason);
/*
 * Notes what trains the job: the name of the kernels, or ISA_DEVICE. A job that resumes with other ones than it started
 * with has all of them, in order; a device comes after the kernels of its host.
 */
#define ISA_DEVICE "opencl"
void active_isa_record(struct active_job *active, const char *name);
/* Of a committed unit. */
void events_publish(struct jobs *jobs, const struct store_unit *unit);
/* The part of a row that STORE_JOB_SET writes, texts copied. A text that does not fit into memory is left out. */
void job_row_copy(struct store_job *to, const struct store_job *from);
/* The event of a job's status. NULL if out of memory. */
char *job_status_text(const struct event_head *head, const struct store_job *job, const char *reason);
/* NULL for NULL, and if out of memory. */
char *text_copy(const char *text);

/* ---- records.c ---- */

/* Submits the unit of the evaluations that were gathered, if there are any. */
void records_flush(struct active_job *active, struct attempt *attempt);
/* A report of an attempt becomes a unit, or part of one, or is settled at once. */
void record_store(struct active_job *active, struct attempt *attempt, struct attempt_record *record);

/* ---- life.c ---- */

/* Sets the hooks that active.c calls. */
void life_init(struct jobs *jobs);
/* Something happened: performs what follows, answers waiting clients, and releases the job if possible, which
 * frees it. */
void active_fact(struct active_job *active, enum fact fact);
/* Somebody asks. */
void active_ask(struct active_job *active, struct waiter *waiter);
/* Answers clients that have waited for too long to resume a job that is still pausing; as above. */
void waiters_expire(struct active_job *active);
/* Answers all waiting clients. */
void waiters_answer(struct active_job *active, enum jobs_result result, const char *detail);
/* Calls jobs->idle if no attempt runs and nothing is in progress. */
void life_report_idle(struct jobs *jobs);

#endif
