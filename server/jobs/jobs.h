/*
 * Jobs: states, queue, workers. Loop thread only, except for the threads that train (pool.c).
 *
 * The database is the authority on a job, unless the job is active: running, or with a change that is not committed
 * yet. Active jobs are kept here, ahead of the database by what waits for the writer. Nothing is answered
 * or published before it is committed.
 *
 *     queued -> running -> succeeded | failed
 *     pause:  queued -> paused; running -> pausing -> paused (at a checkpoint)
 *     resume: paused -> queued
 *     cancel: queued, paused -> cancelled; running, pausing -> cancelling -> cancelled
 *
 * At a start pausing becomes paused, cancelling becomes cancelled, and running becomes queued with one more attempt. A
 * full disk stops the running jobs without losing what was committed; they are queued again when there is space.
 */
#ifndef MODPROP_SERVER_JOBS_H
#define MODPROP_SERVER_JOBS_H

#include "api/event.h"
#include "api/job.h"
#include "server/datasets/datasets.h"
#include "server/base/histogram.h"
#include "server/base/loop.h"
#include "server/store/store.h"
#include "server/events/streams.h"
#include "server/executor/meter.h"

struct executor;
struct jobs;

#define JOBS_FAILURES 10

struct jobs_options {
    struct loop *loop;
    struct store *store;
    struct store_reader *reader;      /* the loop's */
    struct datasets *datasets;        /* outlive the jobs, as does the executor */
    struct executor *executor;        /* of this daemon */
    struct executor *remote;          /* leases jobs to workers; NULL: there are none */
    int workers, cores;               /* jobs at once: at most the executor's capacity */
    int64_t max_queued, owner_queued; /* in total; of one owner (0: no bound of its own) */
    int64_t max_job_bytes;            /* bytes that a job may store before it is paused */
    int64_t memory;                   /* bytes that running jobs may take together */
    const char *build;                /* recorded with each attempt */
    void *user;
    void (*publish)(void *user, const struct stream_event *event); /* each committed event, in order */
};

/* NULL if out of memory. */
struct jobs *jobs_create(const struct jobs_options *options);
/*
 * Puts right what a crash left, then starts jobs. `crashed`: what store_crash_mark_take gave. False with a sentence.
 */
bool jobs_start(struct jobs *jobs, const char *crashed, char error[STORE_ERROR_BYTES]);
/* Each second: stalled disks, time limits. */
void jobs_tick(struct jobs *jobs, uint64_t now);
/*
 * No job starts any more; running ones are ordered to write a checkpoint. `idle` is called once none runs (perhaps at
 * once).
 */
void jobs_drain(struct jobs *jobs, void (*idle)(void *user), void *user);
/* After the loop has ended and the store is closed. NULL-safe. */
void jobs_destroy(struct jobs *jobs);

enum jobs_result {
    JOBS_DONE,
    JOBS_UNKNOWN,  /* no such job */
    JOBS_CONFLICT, /* its status does not allow that; `detail` explains */
    JOBS_CROWDED,  /* the queue is full */
    JOBS_NO_ROOM,  /* nothing can be stored now, usually because the disk is full; `detail` explains */
    JOBS_CLOSING,  /* the daemon is shutting down */
    JOBS_BROKEN    /* out of memory, or a database failure; `detail` says which */
};

/* Called once, when the request is durable or refused. */
typedef void jobs_done(void *user, enum jobs_result result, const char *id, const char *detail);

/* What an extended job has before it starts: a checkpoint, and the evaluations up to there. */
struct jobs_inherited {
    struct store_checkpoint checkpoint; /* without its job; keep is set */
    char *history;                      /* as store_history_read gives it */
    int64_t iteration;                  /* of the last of these evaluations; 0: there are none, and all are NaN */
    double loss, accuracy, initial_loss;
};

/* Frees what it points to. */
void jobs_inherited_release(struct jobs_inherited *inherited);

/* A submission; everything stays the caller's, except as noted. */
struct jobs_submission {
    const struct job_spec *spec;
    char *document;         /* its text (job_spec_text); taken over in any case */
    const char *digest;     /* job_spec_digest */
    const char *identity;   /* admission.h; NULL: the job is not found by what reaches its result */
    const char *data;       /* sha256 of the data that it uses; "": none. A hold on a dataset (catalog.h) passes to the
                             * job with JOBS_DONE */
    int64_t memory;         /* estimated bytes of memory: it starts when that much is free */
    const char *key, *body; /* stored as its idempotency key and the body's sha256; key NULL: none */
    const char *request;    /* id of the request */
    const char *owner;      /* the token's name, or the client's address: its jobs take turns with those of others */
    struct jobs_inherited *inherited; /* of the job that it extends; taken over in any case. NULL: it begins at 0 */
    const struct store_trial *trial;  /* of an experiment, stored in the same unit; its job is set; NULL: none */
    const char *experiment;           /* that one's id */
};

/* The most that the rows of such a job may take in the store, rounded up. Any thread. */
double jobs_bytes_most(const struct train_config *config, const struct train_estimate *estimate);

/* Submits a job. `id` receives its id at once. `done` may be called before this returns (refused) or later. */
void jobs_submit(struct jobs *jobs, const struct jobs_submission *submission, char id[STORE_ID_BYTES], jobs_done *done,
                 void *user);

enum jobs_action { JOBS_CANCEL, JOBS_PAUSE, JOBS_RESUME, JOBS_DELETE };

void jobs_act(struct jobs *jobs, const char *id, enum jobs_action action, jobs_done *done, void *user);

/*
 * Changes the members of the job's caption that are given. It is neither part of the job's history nor of its state:
 * the change and its event (id 0, on GET /v1/events alone) are one unit of their own.
 */
void jobs_caption(struct jobs *jobs, const char *id, const struct caption *caption, jobs_done *done, void *user);

/* Nothing could be written (another write has failed): jobs stop until it is possible again. */
void jobs_stall(struct jobs *jobs, const struct store_unit *unit);
/* A new id: a job's, or that of an experiment. */
void jobs_id_make(struct jobs *jobs, char id[STORE_ID_BYTES]);

/* What is known about an active job beyond its row. */
struct jobs_live {
    bool running;             /* an attempt runs it */
    bool stopped;             /* with `stalled`: a cancellation could not be stored; the job is cancelled as soon as it
                               * can be */
    const char *stalled;      /* why it was stopped and will resume by itself (usually a full disk), until jobs change;
                               * NULL: it was not stopped */
    int64_t iteration;        /* updates made */
    double trials_per_second; /* of this attempt; NaN before the first iteration */
    size_t evaluated, evaluation; /* trials of the current evaluation: done, and in total; 0: no evaluation is
                                   * running */
    double seconds_left;          /* NaN: unknown */
    int threads;
};

/* For a job that is not active. */
extern const struct jobs_live jobs_live_none;
/* False if the job is not active: `live` is then jobs_live_none. */
bool jobs_live_read(const struct jobs *jobs, const char *id, struct jobs_live *live);

/* Multiply-adds per second and thread, as measured recently; NaN: not yet. */
double jobs_rate(struct jobs *jobs, enum rate rate);
/* Threads that a job would have if it ran alone: `bound` (0: none) is its own, `most` is how many have work. */
int jobs_threads(const struct jobs *jobs, int bound, int most);
/* An active job, as of jobs_active_read; for threads other than the loop. */
struct jobs_active {
    char id[STORE_ID_BYTES];
    char reason[200]; /* what live.stalled points to */
    struct jobs_live live;
};

/* All active jobs; malloc'ed. NULL with *count 0 if there are none, or no memory for them. */
struct jobs_active *jobs_active_read(const struct jobs *jobs, size_t *count);

/* How many queued jobs start before this one (job->priority, job->number). Any thread. */
int64_t jobs_position(const struct jobs *jobs, const struct store_job *job);

/* Milliseconds since 1970: the time of jobs and events. */
int64_t clock_unix_milliseconds(void);

/* What has happened since the daemon's start, and the current numbers. Only what is durable counts. */
struct jobs_counts {
    int64_t jobs[JOB_STATUSES]; /* in the store now, by status */
    struct histogram waits;     /* seconds from submission to the first start */
    struct histogram
        runs[JOB_STATUSES];         /* seconds of training of jobs that ended, by how; only final statuses are used */
    uint64_t failed[JOBS_FAILURES]; /* by code, in the order of jobs_failure_names */
    uint64_t iterations[TASKS_MOST][RULE_TYPES]; /* updates made, including those recomputed after an interruption */
    uint64_t trials[TASKS_MOST][RULE_TYPES];     /* trained on */
};

extern const char *const jobs_failure_names[JOBS_FAILURES]; /* codes of `error`; the last stands for any other */

const struct jobs_counts *jobs_counts(struct jobs *jobs);

/*
 * Adds an event of an experiment (`of`: its id) to a unit that is not the jobs' own: the store numbers it, the caller
 * sets json from *head and publishes the unit once it is written. NULL if out of memory.
 */
struct store_event *jobs_event_add(struct jobs *jobs, struct store_unit *unit, const char *of, enum event_type type,
                                   struct event_head *head);
/* Of a unit that is written. */
void jobs_publish(struct jobs *jobs, const struct store_unit *unit);

/* A stored event as streams take it: a view, valid as long as the event. */
struct stream_event stream_event_of(const struct store_event *event);

/* Attempts, or starts of them, of all executors. */
int jobs_running_all(const struct jobs *jobs);
/* A slot may be free, or a place of a worker: starts what can start. */
void jobs_schedule(struct jobs *jobs);
bool jobs_are_stalled(const struct jobs *jobs);

#endif
