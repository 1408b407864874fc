/*
 * Executors: who trains. jobs knows them by this header alone; pool.c (libuv's thread pool) is the one of this daemon.
 *
 * An attempt is one try at one job. It is started, may be given orders, hands out records in order, and ends once. All
 * calls and all hooks are on the loop thread. Records are counted: an executor has at most EXECUTOR_RECORDS of an
 * attempt unsettled and then waits, so that a slow disk slows training instead of filling memory. An attempt lives
 * until its end was reported and its last record is settled; the executor frees it then.
 *
 * That an executor is lost (a worker's machine, memory for a thread) is a fact about the attempt (ATTEMPT_LOST) and no
 * error of the job's: the job is tried again.
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
    ATTEMPT_CHECKPOINT, /* leave a checkpoint, then end */
    ATTEMPT_ABANDON     /* end at once */
};

/* One thing that an attempt reports. A view for the time of the hook, but for what the hook takes over. */
struct attempt_record {
    enum {
        RECORD_PROGRESS, /* an evaluation */
        RECORD_KNOWN,    /* an evaluation that an earlier attempt has reported: computed again, with the same result */
        RECORD_CHECKPOINT, /* the state after `iteration` updates */
        RECORD_LOG
    } kind;
    struct train_progress progress;
    double elapsed;       /* seconds since the attempt began */
    char *check;          /* progress: what the same evaluation must give again; to take over, set NULL */
    unsigned char *bytes; /* checkpoint; to take over, set NULL */
    size_t size;
    int64_t iteration;
    double loss;
    int keep;                       /* checkpoint: how many of the job are kept */
    char sha256[STORE_HASH_BYTES];  /* checkpoint: its own; progress: the data's */
    char text[EXECUTOR_TEXT_BYTES]; /* log */
};

enum attempt_verdict {
    ATTEMPT_FINISHED, /* all iterations, or stop_when */
    ATTEMPT_STOPPED,  /* by an order, or because it could report nothing */
    ATTEMPT_FAILED,   /* by a fault of the job's own: code, detail, iteration */
    ATTEMPT_LOST      /* by none of the job's: detail */
};

struct attempt_end {
    enum attempt_verdict verdict;
    const char *code; /* of ATTEMPT_FAILED, as clients see it */
    char detail[EXECUTOR_TEXT_BYTES];
    int64_t iteration;                     /* -1: none */
    char weights_sha256[STORE_HASH_BYTES]; /* of ATTEMPT_FINISHED */
};

struct attempt_hooks {
    void (*record)(void *user, struct attempt *attempt, struct attempt_record *record);
    void (*end)(void *user, struct attempt *attempt, const struct attempt_end *end);
};

/* What an attempt begins from; copied. */
struct attempt_task {
    const char *id;             /* the job's */
    const char *dataset_sha256; /* of the data that it began with; "": it begins now */
    int64_t iteration;
    double trained; /* seconds of earlier attempts */
};

/* How an attempt stands. */
struct attempt_view {
    int64_t iteration;            /* updates made */
    size_t evaluated, evaluation; /* trials of the evaluation under way: done, and in all; 0: none is */
    int64_t updates;              /* of them, in this attempt */
    double trials_per_second;     /* of this attempt; NaN before the first update */
    double trained;               /* seconds, in all attempts */
    int batch_size;               /* as the next two, 0 until the specification is read */
    int threads_most;
    int64_t time_limit; /* seconds; 0: none */
    int threads;
    enum task_type task;
    enum rule_type rule;
};

struct executor;

struct executor_operations {
    const char *name;
    /* Attempts at once. */
    int (*capacity)(const struct executor *executor);
    /* NULL where there is no memory now. `user` is for the hooks. */
    struct attempt *(*start)(struct executor *executor, const struct attempt_task *task,
                             const struct attempt_hooks *hooks, void *user);
    /* May come again; ATTEMPT_ABANDON stays. */
    void (*order)(struct attempt *attempt, enum attempt_order order);
    /* How many cores it may use from the next iteration on. */
    void (*share)(struct attempt *attempt, int threads);
    void (*look)(const struct attempt *attempt, struct attempt_view *view);
    /* One of its records is stored, or will never be. */
    void (*settle)(struct attempt *attempt);
    /* Multiply-adds a second and thread, as measured of late; NaN: not yet. */
    double (*rate)(struct executor *executor, enum rate rate);
    /* After all attempts have ended. NULL-safe. */
    void (*destroy)(struct executor *executor);
};

/* The first member of each kind. */
struct executor {
    const struct executor_operations *operations;
};

#endif
