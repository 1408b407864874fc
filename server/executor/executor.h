/*
 * Executors: what runs attempts. jobs knows them only through this header; pool.c (libuv's thread pool) runs them in
 * this daemon, remote.c leases them to workers.
 *
 * An attempt is one run of a job. It is started, may receive orders, delivers records in order, and ends once. All
 * calls and all hooks are on the loop thread. Records are counted: an executor has at most EXECUTOR_RECORDS of an
 * attempt unsettled and then waits, so that a slow disk slows training down instead of filling memory. An attempt
 * exists until its end was reported and its last record is settled; the executor then frees it.
 *
 * Losing an executor (a worker's machine, memory for a thread) is a fact about the attempt (ATTEMPT_LOST), not an error
 * of the job: the job is tried again.
 */
#ifndef MODPROP_SERVER_EXECUTOR_H
#define MODPROP_SERVER_EXECUTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/train/train.h"
#include "server/executor/meter.h"
#include "server/store/store.h"

#define EXECUTOR_RECORDS 64
#define EXECUTOR_TEXT_BYTES 256

struct attempt;

enum attempt_order {
    ATTEMPT_CHECKPOINT, /* write a checkpoint, then end */
    ATTEMPT_LEAVE,      /* the daemon ends: go on without it, or write a checkpoint; then end */
    ATTEMPT_ABANDON     /* end at once */
};

/* One report of an attempt. Valid only during the hook, except for what the hook takes over. */
struct attempt_record {
    enum {
        RECORD_PROGRESS,   /* an evaluation */
        RECORD_KNOWN,      /* an evaluation that an earlier attempt has reported: recomputed, with the same result */
        RECORD_INHERITED,  /* an evaluation of the job that this one extends */
        RECORD_CHECKPOINT, /* the state after `iteration` updates */
        RECORD_LOG
    } kind;
    struct train_progress progress;
    double elapsed;       /* seconds since the attempt started */
    double rate;          /* inherited: its trials_per_second */
    char *check;          /* progress: what the same evaluation must give again; set it to NULL to take it over */
    unsigned char *bytes; /* checkpoint; set it to NULL to take it over */
    size_t size;
    int64_t iteration;
    double loss;
    int keep;                       /* checkpoint: as training_keep (core/model/config.h) */
    char sha256[STORE_HASH_BYTES];  /* checkpoint: its own; progress: the data's */
    char text[EXECUTOR_TEXT_BYTES]; /* log */
    int64_t number;                 /* of a worker's record, from 1; 0: none */
    bool more;                      /* another one follows at once: both may become one unit of the store */
};

enum attempt_verdict {
    ATTEMPT_FINISHED, /* all iterations, or stop_when */
    ATTEMPT_STOPPED,  /* because of an order, or because it could not report anything */
    ATTEMPT_FAILED,   /* because of an error of the job itself: code, detail, iteration */
    ATTEMPT_LOST,     /* for a reason outside the job: detail */
    ATTEMPT_RETURNED  /* its place went silent, could not run it or gave it back: detail. Nothing of this daemon has
                       * failed */
};

struct attempt_end {
    enum attempt_verdict verdict;
    const char *code; /* of ATTEMPT_FAILED, as clients see it */
    char detail[EXECUTOR_TEXT_BYTES];
    bool lost;                             /* of ATTEMPT_RETURNED: it counts against the job if it makes no progress */
    int64_t iteration;                     /* -1: none */
    char weights_sha256[STORE_HASH_BYTES]; /* of ATTEMPT_FINISHED */
};

struct attempt_hooks {
    void (*record)(void *user, struct attempt *attempt, struct attempt_record *record);
    /* From now on it runs on a device and needs no core of its own; may be NULL. */
    void (*placed)(void *user, struct attempt *attempt);
    void (*end)(void *user, struct attempt *attempt, const struct attempt_end *end);
};

/* What an attempt starts from; copied. */
struct attempt_task {
    const char *id;             /* the job's */
    const char *dataset_sha256; /* of the data that it started with; "": it starts now */
    int64_t iteration;
    double trained;    /* seconds of earlier attempts */
    int64_t memory;    /* bytes that it takes, estimated */
    const char *place; /* of reserve; "": the executor has one place */
    int number;        /* the job's attempt */
    bool adopted;      /* it goes on from before the daemon's start */
    int64_t reported;  /* adopted: the number of the last record that was stored */
};

/* The state of an attempt. */
struct attempt_view {
    int64_t iteration;            /* updates made */
    size_t evaluated, evaluation; /* trials of the current evaluation: done, and in total; 0: no evaluation is
                                   * running */
    int64_t updates;              /* of them, in this attempt */
    double trials_per_second;     /* of this attempt; NaN before the first update */
    double trained;               /* seconds, in all attempts */
    int batch_size;               /* as the next two, 0 until the specification is read */
    int threads_most;
    int64_t time_limit; /* seconds; 0: none */
    int threads;
    bool on_device; /* its updates are made on a device */
    enum task_type task;
    enum rule_type rule;
};

struct executor;

struct executor_operations {
    const char *name;
    /* Attempts at once. */
    int (*capacity)(const struct executor *executor);
    /* NULL if there is no memory now. `user` is passed to the hooks. */
    struct attempt *(*start)(struct executor *executor, const struct attempt_task *task,
                             const struct attempt_hooks *hooks, void *user);
    /* May be called again; ATTEMPT_ABANDON is never undone. */
    void (*order)(struct attempt *attempt, enum attempt_order order);
    /* How many cores it may use from the next iteration on. */
    void (*share)(struct attempt *attempt, int threads);
    void (*look)(const struct attempt *attempt, struct attempt_view *view);
    /* One of its records was stored, or never will be. */
    void (*settle)(struct attempt *attempt);
    /*
     * For executors with places (workers), else NULL. wants: whether any asks for work. reserve finds one that takes a
     * job of so many bytes of memory and these data now, and keeps it until an attempt starts there or unreserve;
     * false: there is none. isa: the place's instruction set.
     */
    bool (*wants)(const struct executor *executor);
    bool (*reserve)(struct executor *executor, const struct store_job *job, char place[STORE_ID_BYTES]);
    void (*unreserve)(struct executor *executor, const char *place);
    const char *(*isa)(const struct executor *executor, const char *place);
    /* Multiply-adds per second and thread, as measured recently; NaN: not yet. */
    double (*rate)(struct executor *executor, enum rate rate);
    /* After all attempts have ended. NULL-safe. */
    void (*destroy)(struct executor *executor);
};

/* The first member of each kind. */
struct executor {
    const struct executor_operations *operations;
};

/*
 * Divides the cores over these attempts, at most POOL_MOST of them, as equally as possible: each has one, none more
 * than its bound; what a bound leaves goes to the others. One that runs on a device has one thread beside them.
 */
void executor_share(const struct executor *executor, struct attempt *const *attempts, size_t count, int cores);

#endif
