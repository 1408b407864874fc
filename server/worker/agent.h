/*
 * The agent: a process that asks a daemon for jobs, trains them on its own pool exactly as the daemon does, and sends
 * back what they report. The daemon decides everything; the agent obeys, and loses nothing that it has been given while
 * the daemon cannot be reached.
 *
 *     agent.c    the agent itself: announcing, leases, beats, the end
 *     work.c     one leased job, from its lease to its end
 *     outbox.c   what it reports, until it has arrived
 *     data.c     the datasets that jobs use, by digest
 *     scratch.c  the directory of a run
 *     patience.c when to call again
 *     client.c   calls over HTTP
 *
 * Everything belongs to the loop thread, but for jobs' threads, which read what work.c keeps for them.
 */
#ifndef MODPROP_SERVER_WORKER_AGENT_H
#define MODPROP_SERVER_WORKER_AGENT_H

#include <jansson.h>
#include <pthread.h>

#include "server/base/loop.h"
#include "server/datasets/datasets.h"
#include "server/executor/executor.h"
#include "server/executor/source.h"
#include "server/worker/client.h"
#include "server/worker/outbox.h"

#define AGENT_SERVER_BYTES 512

struct agent_options {
    const char *server, *token, *ca_file; /* token, ca_file: NULL: none */
    const char *pool, *external, *scratch;
    int slots, cores;
    int64_t memory;
    int64_t idle;     /* seconds without work after which it ends; 0: never */
    int64_t walltime; /* seconds that it may run; 0: no bound */
    int64_t checkpoint_seconds;
};

struct agent;

/* One leased job. */
struct leased_job {
    struct leased_job *next;
    struct agent *agent;
    char id[STORE_ID_BYTES];
    int number; /* of the attempt */
    char *document;
    char dataset_sha256[STORE_HASH_BYTES], checkpoint_sha256[STORE_HASH_BYTES];
    int64_t checkpoint; /* to go on from; -1: none */
    int64_t memory;
    int64_t mnist_training; /* images of MNIST's training set, where the dataset is MNIST; else 0 */
    unsigned char *bytes;   /* of that checkpoint */
    size_t size;
    enum { WORK_FETCHES, WORK_RUNS, WORK_ENDED, WORK_ENDING, WORK_GONE } phase;
    bool fetching;                    /* a call of it, or its data, is under way */
    bool sending;                     /* the outbox' call is under way */
    bool paused, abandoned, released; /* what was ordered; released: by this worker, which stops */
    double trained;                   /* of the attempt */
    struct attempt *attempt;
    struct attempt_view view; /* the last */
    struct attempt_end end;
    char fault[EXECUTOR_TEXT_BYTES]; /* why this worker cannot run it; "": it can */
    struct outbox *outbox;
    struct client_call call, send;
    FILE *file; /* being sent or fetched */
    uint64_t retry_at, checkpoint_at;
    int failures;
};

struct agent {
    struct agent_options options;
    struct loop loop;
    struct client *client;
    struct datasets *datasets;
    struct executor *executor;
    char directory[OUTBOX_PATH_BYTES]; /* of this run */
    int lock;                          /* on it, as long as this process lives */
    char id[STORE_ID_BYTES];
    bool announced, stopping, failed;
    bool left; /* the daemon knows that it leaves */
    struct client_call announce, lease, beat;
    bool announcing, leasing, beating;
    char request[STORE_ID_BYTES]; /* of the lease that is asked for; "": the next one is new */
    double beat_seconds;
    uint64_t announce_at, lease_at, beat_at, idle_since, stop_due, end_at;
    int failures;
    int refusals; /* jobs in a row that this worker could not run */
    int calls;    /* of jobs, under way */
    int fetches;  /* of these, those that fetch what a job starts from */
    uint64_t requests;
    void (*look)(struct agent *agent); /* hook, set by agent.c: something has ended; asks for more, or ends itself */
    pthread_mutex_t mutex;             /* guards the list of works, which jobs' threads read */
    struct leased_job *works;
};

/* Runs until it has nothing to do any more, or is stopped by a signal; the exit status. */
int agent_run(const struct agent_options *options);

/* ---- patience.c ---- */

/* Milliseconds until the next try, longer after each failure, and not the same for all workers. */
uint64_t agent_pause(const struct agent *agent, int failures);
/* The daemon does not know this worker (any more): it announces itself again. */
void agent_forgotten(struct agent *agent, bool identity);
/* A job was given back: this worker asks for no more for a while, longer each time. */
void agent_rest(struct agent *agent);

/* ---- work.c ---- */

struct source work_source(struct agent *agent);
/* Takes a lease of the daemon's answer; false if it is not as it should be. */
bool work_take(struct agent *agent, const json_t *lease);
/* Does what can be done now: fetches, starts, sends, ends. It may free the work. */
void work_step(struct leased_job *work);
/* Orders of the daemon, or of this worker. */
void work_pause(struct leased_job *work);
void work_abandon(struct leased_job *work);
void work_release(struct leased_job *work);
/* This worker cannot run it: it is given back with this reason, and tried again later. */
void work_give_up(struct leased_job *work, const char *fault);
struct leased_job *work_find(const struct agent *agent, const char *id, int number);
/* Steps all of them, those after `last` first (NULL: in their order). */
void works_step(struct agent *agent, const struct leased_job *last);
/* Divides the cores. */
void works_share(struct agent *agent);

/* ---- scratch.c ---- */

/*
 * A directory of this run's own in the scratch directory, locked as long as this process lives; removes those of
 * processes that do not live any more. False with errno.
 */
bool scratch_open(struct agent *agent);
void scratch_close(struct agent *agent);

/* ---- data.c ---- */

/* Whether the dataset lies in the scratch directory; `mnist`: MNIST, with so many images to train on, else 0. */
bool data_is_here(const struct agent *agent, const char *sha256, int64_t mnist);
/* Where it is fetched to, before it is checked. */
FILE *data_open(const struct agent *agent, const char *sha256);
/* Checks what was fetched and gives it its name; false: it is removed. */
bool data_keep(const struct agent *agent, const char *sha256, int64_t mnist, FILE *file);

#endif
