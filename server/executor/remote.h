/*
 * The executor of workers: it leases attempts to processes elsewhere, which ask for them over HTTP (routes/workers.c,
 * routes/attempts.c), and turns what they send into the records and the end of an attempt.
 *
 * A lease is (job, attempt, worker). It begins only once the job's row says so durably, so a number is never leased
 * twice; whatever a worker sends is compared with it, and what does not fit is stale: refused, and the worker abandons
 * what it does. A worker that is silent for the time of a lease loses its attempts, which are queued again. Its clock
 * runs with this daemon and starts again with it: a daemon that was down for an hour takes nothing away from a worker.
 *
 * Workers are not stored. Their secret is a MAC of their id, with a key in the data directory; a job's row names the
 * worker that runs it. After a restart a worker announces itself again, under the same id, and goes on.
 *
 * The registry and the attempts belong to the loop thread. Jobs know this executor by executor.h alone.
 */
#ifndef MODPROP_SERVER_EXECUTOR_REMOTE_H
#define MODPROP_SERVER_EXECUTOR_REMOTE_H

#include "server/base/loop.h"
#include "server/datasets/datasets.h"
#include "server/executor/executor.h"

#define REMOTE_NAME_BYTES 72 /* of pools, of requests, of what a worker is called elsewhere */
#define REMOTE_SECRET_BYTES 65
#define REMOTE_DOCUMENT_MOST 65536 /* bytes of a document that goes with the lease; a larger one is fetched */

struct remote;
struct worker;

struct remote_options {
    struct loop *loop;
    struct store_reader *reader; /* the loop's */
    struct datasets *datasets;
    const char *directory; /* of the store */
    int lease;             /* seconds of silence that end a lease */
};

/* NULL with a sentence in `error`. */
struct executor *remote_executor_create(const struct remote_options *options, char error[STORE_ERROR_BYTES]);
struct remote *remote_of(struct executor *executor);
/* Each second: leases that have ended, calls whose time is over. */
void remote_tick(struct remote *remote);
int remote_lease_seconds(const struct remote *remote);

/* ---- workers ---- */

/* What a worker says about itself. */
struct worker_facts {
    char pool[REMOTE_NAME_BYTES], external[REMOTE_NAME_BYTES]; /* external: as "slurm:123"; "" */
    char isa[16], device[REMOTE_NAME_BYTES];
    int slots, cores;
    int64_t memory;      /* bytes for jobs */
    double seconds_left; /* until its walltime; INFINITY: none */
};

/* Under `id`, or a new one (NULL). NULL if out of memory. */
struct worker *remote_register(struct remote *remote, const char *id, const struct worker_facts *facts);
/* The secret that goes with an id. */
void remote_secret(const struct remote *remote, const char *id, char secret[REMOTE_SECRET_BYTES]);
/* Whether the secret is that of the id; takes the same time whatever they are. */
bool remote_secret_is(const struct remote *remote, const char *id, const char *secret);
/* The worker, which has just been heard from; NULL: it has to announce itself. */
struct worker *remote_worker(struct remote *remote, const char *id);

/* It stops: the request that waits is answered, with what was kept for it. */
void remote_withdraw(struct worker *worker);
/* It says goodbye: it is forgotten, unless it has leases. */
void remote_leave(struct worker *worker);

/* As of remote_workers_each. */
struct worker_view {
    const char *id;
    const struct worker_facts *facts;
    int running;        /* attempts leased to it */
    double silent;      /* seconds since it was heard from */
    bool known, asking; /* it has announced itself since the daemon's start; it asks for work */
    int64_t since;      /* Unix ms: when it was first heard from */
};

void remote_workers_each(const struct remote *remote, void (*each)(void *user, const struct worker_view *view),
                         void *user);
struct worker_view worker_look(const struct worker *worker);
/* Since the start: leases given, ended by silence, given back; writes refused as stale. */
struct remote_counts {
    uint64_t leased, silent, returned, stale;
    int workers, attempts; /* now */
};
struct remote_counts remote_counts(const struct remote *remote);
void remote_count_stale(struct remote *remote);

/* ---- calls that wait ---- */

enum remote_result {
    REMOTE_DONE,
    REMOTE_STALE,  /* the lease has ended */
    REMOTE_CLOSING /* the daemon shuts down */
};

/* Embedded in what waits. `answer` is called once, on the loop, unless remote_call_forget was called before. */
struct remote_call {
    struct remote_call *next; /* private */
    struct worker *worker;    /* private: of a lease */
    struct attempt *attempt;  /* private: of a write */
    void (*answer)(struct remote_call *call, enum remote_result result);
};

void remote_call_forget(struct remote_call *call);

/* ---- leases ---- */

struct lease_request {
    char id[REMOTE_NAME_BYTES]; /* a repeated one gets the same answer */
    int slots;
    int64_t memory; /* free bytes */
    double wait;    /* seconds */
};

/*
 * Answers `call` when there are leases for this request, or when its time is over: worker_leases then has them. The
 * caller lets jobs be scheduled afterwards.
 */
void remote_lease(struct worker *worker, const struct lease_request *request, struct remote_call *call);

/* One lease of the worker's current request. */
struct lease_view {
    const char *job, *dataset_sha256, *checkpoint_sha256; /* "": none */
    int attempt;
    const char *document; /* NULL: it is larger than REMOTE_DOCUMENT_MOST */
    int64_t checkpoint;   /* iteration; -1: none */
    int64_t memory;
    int64_t mnist_training; /* images of MNIST's training set, where its dataset is MNIST; else 0 */
};

void worker_leases(const struct worker *worker, void (*each)(void *user, const struct lease_view *lease), void *user);

/* ---- attempts ---- */

/* NULL: stale. Its lease is thereby extended. */
struct attempt *remote_attempt(struct worker *worker, const char *job, int number);

/* What a beat says about an attempt. */
struct attempt_news {
    int64_t iteration, updates;
    size_t evaluated, evaluation;
    double trials_per_second, trained; /* trained: seconds of this attempt */
    int threads;
};

/* What is ordered: "go" or "pause". */
const char *remote_attempt_beat(struct attempt *attempt, const struct attempt_news *news);

/* The number of the next record that is expected, from 0. */
int64_t remote_attempt_next(const struct attempt *attempt);
/* After a restart of the daemon the worker says where it goes on: at `first`, if it may. */
void remote_attempt_continue(struct attempt *attempt, int64_t first);
/* Bytes of one of its checkpoints, at most. */
size_t remote_attempt_checkpoint_bytes(const struct attempt *attempt);
/*
 * The next record, which the worker sent: progress, log, or a checkpoint that was checked, its weights having this
 * sha256. False if it ended the attempt (a recomputed value differs).
 */
bool remote_attempt_record(struct attempt *attempt, struct attempt_record *record, const char *weights_sha256);
/* Answers `call` once all records are settled. */
void remote_attempt_wait(struct attempt *attempt, struct remote_call *call);
/* The newest checkpoint of this attempt: its iteration, and the sha256 of its weights (""); -1: none. */
int64_t remote_attempt_checkpoint(const struct attempt *attempt, char weights_sha256[STORE_HASH_BYTES]);
/* The worker ended it. */
void remote_attempt_end(struct attempt *attempt, const struct attempt_end *end);

#endif
