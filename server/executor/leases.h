/*
 * What the parts of the workers' executor share: remote.c (the executor and its attempts), workers.c (the registry and
 * the calls that wait) and prepare.c (what is read for a lease). No other file includes this one.
 */
#ifndef MODPROP_SERVER_EXECUTOR_LEASES_H
#define MODPROP_SERVER_EXECUTOR_LEASES_H

#include "server/executor/remote.h"

#define REMOTE_KEY_BYTES 32

/* One worker. */
struct worker {
    struct worker *next;
    struct remote *remote;
    char id[STORE_ID_BYTES];
    struct worker_facts facts;
    bool known;
    double seen, ends_at; /* on the remote's clock; ends_at INFINITY: no walltime */
    int64_t since;
    /* its current request for leases */
    char request[REMOTE_NAME_BYTES];
    int wanted, reserved;
    int64_t memory;
    struct remote_call *call; /* that waits; NULL: none */
    double deadline;
    struct attempt *attempts;
};

/* What prepare.c reads for a lease, on a thread of the pool. */
struct prepared {
    char fault[EXECUTOR_TEXT_BYTES]; /* "": it was read */
    char *document;                  /* NULL: too large */
    struct attempt_record
        *history; /* evaluations that it inherits and that are not reported yet; each with its check */
    size_t history_count;
    int64_t checkpoint; /* iteration of the newest; -1: none */
    char checkpoint_sha256[STORE_HASH_BYTES];
    char dataset_sha256[STORE_HASH_BYTES];
    int64_t mnist_training; /* images of MNIST's training set; 0: the job does not use it */
    const char *code;       /* with a fault that is the job's own: of its failure; NULL: none */
    size_t checkpoint_bytes;
    int batch_size, threads_most;
    int64_t time_limit;
    enum task_type task;
    enum rule_type rule;
};

/* One lease. */
struct attempt {
    struct attempt *next;          /* of its worker */
    struct attempt *next_prepared; /* of the remote's list */
    struct loop_message message;
    struct remote *remote;
    struct worker *worker; /* NULL: it has ended */
    struct attempt_hooks hooks;
    void *user;
    char id[STORE_ID_BYTES];
    int number;
    int64_t memory;                  /* bytes that it takes */
    char request[REMOTE_NAME_BYTES]; /* that it answers; "": adopted */
    char dataset_sha256[STORE_HASH_BYTES];
    struct prepared prepared;
    bool preparing, ready; /* ready: the worker may have it, and write */
    size_t reported;       /* of the history */
    bool adopted;          /* and the worker has not said yet where it goes on */
    int64_t next_record, known_records;
    int unsettled;
    struct remote_call *calls;
    double seen;
    enum attempt_order order;
    bool ordered, posted, ended;
    int64_t checkpoint; /* of this attempt, the newest that was taken */
    char weights_sha256[STORE_HASH_BYTES];
    int64_t iteration, updates;
    size_t evaluated, evaluation;
    double rate, trained, spent; /* spent: seconds of earlier attempts */
    int threads;
};

struct remote {
    struct executor executor; /* first */
    struct remote_options options;
    unsigned char key[REMOTE_KEY_BYTES];
    struct worker *workers;
    double clock;     /* seconds that this daemon has run, without what it slept */
    uint64_t tick_at; /* ms: of the last tick */
    bool preparing;   /* prepare.c's thread is at work */
    struct attempt *to_prepare, **to_prepare_last;
    struct remote_counts counts;
    uv_work_t work;
    /* hooks, set by remote.c: what a lease needs was read; a lease ends, and what still waits for it is refused */
    void (*prepared)(struct attempt *attempt);
    void (*finish)(struct attempt *attempt, const struct attempt_end *end, enum remote_result answer);
    struct store_reader *work_reader; /* the thread's */
    struct attempt *work_list;
};

/* ---- prepare.c ---- */

/* Reads what the lease needs; the hook `prepared` follows on the loop. */
void prepare_submit(struct attempt *attempt);
void prepare_release(struct remote *remote);
void prepared_release(struct prepared *prepared);

/* ---- workers.c ---- */

bool key_read(struct remote *remote, char error[STORE_ERROR_BYTES]);
/* Whether it has ended asking for leases: answers. */
void lease_look(struct worker *worker);
struct worker *worker_find(const struct remote *remote, const char *id);
/* As remote_worker, also one that has not announced itself. NULL if out of memory. */
struct worker *worker_expect(struct remote *remote, const char *id);
void workers_tick(struct remote *remote);
void workers_release(struct remote *remote);

#endif
