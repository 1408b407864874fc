/*
 * The store: jobs, events, checkpoints in one SQLite database in the data directory.
 *
 * One writer thread owns the connection that writes. Writes come as units, each all or nothing; the writer takes every
 * waiting unit, commits them together (one fsync for many submissions) and returns each on the loop thread through its
 * `done`. WAL mode, synchronous=FULL: what `done` reports as written survives kill -9 and power loss. For a full disk
 * there is a reserve for what frees space: units that are marked so (a cancellation, a deletion, a pause) are written,
 * all others are refused until there is space again (reserve.h).
 *
 * When a commit fails (full disk), its units fail, and so do all units that were made before the loop learned of it, so
 * that the events of a job can never have a gap: the numbers of a failed unit are used again.
 *
 * Readers: the loop thread reads through one read-only connection, store_reader; lanes and workers open their own.
 *
 * The directory has one owner: an exclusive lock on DIR/lock. A damaged database is refused, never overwritten.
 */
#ifndef MODPROP_SERVER_STORE_H
#define MODPROP_SERVER_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/histogram.h"
#include "server/base/loop.h"

#define STORE_ERROR_BYTES 512
#define STORE_ID_BYTES 37
#define STORE_HASH_BYTES 65
#define STORE_NAME_BYTES 72
#define STORE_POINT_BYTES 40

/* What a row takes besides its texts and bytes, indexes included: measured, rounded up. */
#define STORE_JOB_OVERHEAD 1024
#define STORE_EVENT_OVERHEAD 240
#define STORE_CHECKPOINT_OVERHEAD 4096

enum job_status {
    JOB_QUEUED,
    JOB_RUNNING,
    JOB_PAUSING,
    JOB_PAUSED,
    JOB_CANCELLING,
    JOB_SUCCEEDED,
    JOB_FAILED,
    JOB_CANCELLED,
    JOB_STATUSES
};

const char *job_status_name(enum job_status status);
bool job_status_find(const char *name, enum job_status *status);
static inline bool job_status_is_final(enum job_status status) {
    return status >= JOB_SUCCEEDED;
}

/*
 * A job as stored. Texts are owned (store_job_release); NULL if absent. Times are Unix milliseconds, 0: not yet.
 */
struct store_job {
    int64_t number; /* order of submission */
    char id[STORE_ID_BYTES];
    /* The defaulted job as JSON text, only for STORE_JOB_ADD; reading leaves it NULL (store_document_read). */
    char *document;
    char *history; /* only for STORE_JOB_ADD: see store_history_read; NULL: none */
    char *brief;   /* the document, with given weights replaced by their sizes: what lists and responses show */
    char digest[STORE_HASH_BYTES]; /* config_sha256 */
    char
        identity[STORE_HASH_BYTES]; /* of what reaches a result (job_spec_identity); "" : a job from before schema 12 */
    char *name, *task, *rule;
    char *notes, *tags; /* tags: a JSON array */
    int64_t seed;
    enum job_status status;
    int priority;
    int64_t created, started, finished;
    int attempt;
    int64_t iterations, iteration; /* requested; of the newest evaluation */
    int64_t progressed;            /* the furthest of checkpoints and evaluations */
    double loss, accuracy;         /* of the newest evaluation; NaN: none */
    double initial_loss;           /* of the evaluation at iteration 0; NaN: none yet */
    double trials_per_second;      /* NaN: none */
    char *error_code, *error_detail;
    int64_t error_iteration;               /* -1: none */
    char weights_sha256[STORE_HASH_BYTES]; /* "" : none yet */
    int64_t events;                        /* number of the last event */
    int crashes;                           /* how often the daemon crashed at crash_iteration while running this job */
    int64_t crash_iteration;
    int kills; /* how often the daemon was killed, or a worker went silent, while running this job, since it got beyond
                * killed_at */
    int64_t killed_at;
    char owner[STORE_NAME_BYTES];          /* name of the token that submitted it; without a token, the client's
                                            * address */
    char experiment[STORE_NAME_BYTES];     /* whose turns it shares: its experiment's id, else metadata.experiment */
    char point[STORE_POINT_BYTES];         /* of the experiment that made it; "" : a client submitted it */
    char *build, *isa;                     /* of the last attempt; isa names all sets that trained it, separated by
                                            * "," */
    char event_digest[STORE_HASH_BYTES];   /* of its events, see event_digest_add; kept by the store itself */
    int64_t memory;                        /* bytes of memory while it runs, estimated; 0: unknown */
    double trained;                        /* seconds of training in all attempts */
    char dataset_sha256[STORE_HASH_BYTES]; /* of the data that it uses, set at acceptance; "": none */
    int64_t bytes;                         /* approximate bytes in the store; maintained by the store itself */
    char worker[STORE_ID_BYTES];           /* that runs it, or ran it last; "": this daemon itself */
    int64_t reported;                      /* number of the last record of that attempt that was stored */
    char *request; /* id of the request that submitted it; NULL: unknown. Log lines about the job carry it */
};

void store_job_release(struct store_job *job);

/* What a unit may contain. Each kind is one row or one change of a row. */
enum store_kind {
    STORE_JOB_ADD, /* job: whole */
    /* job: status, started, finished, attempt, iteration, loss, accuracy, trials_per_second, error, weights_sha256,
       crashes, kills, build, isa, trained, dataset_sha256, initial_loss, progressed, worker, reported */
    STORE_JOB_SET,
    STORE_JOB_CAPTION,       /* job: name, notes, tags, of which NULL stays as it is; the job must exist */
    STORE_JOB_DELETE,        /* job.id: the job; its document, events and checkpoints are deleted in portions, soon
                              * after */
    STORE_EVENT_ADD,         /* event; with the id 0 it is not of the job's own, and replaces the last such one */
    STORE_CHECKPOINT_ADD,    /* checkpoint; what is beyond `keep` goes */
    STORE_KEY_ADD,           /* idempotency key */
    STORE_EXPERIMENT_ADD,    /* experiment: whole */
    STORE_EXPERIMENT_SET,    /* experiment: state, finished, trials, name, notes, tags, document */
    STORE_EXPERIMENT_DELETE, /* experiment.id: with its trials and key; its jobs have gone before */
    STORE_TRIAL_ADD,         /* trial; its job must exist by then */
    STORE_VIEW_PUT,          /* view: whole, in place of the one of its name; at most STORE_VIEWS_MOST */
    STORE_VIEW_DELETE,       /* view.name; there must be one */
    STORE_TRIAL_FORGET, /* trial: of its experiment and job; what it found goes too if no other trial has the job */
    STORE_FINDING_ADD   /* result, unless no trial has its job any more */
};

/* The id of an experiment's event that is to be written: the store numbers it, and puts that in front of its text. */
#define STORE_EVENT_UNNUMBERED (-1)

struct store_event {
    char job[STORE_ID_BYTES]; /* or an experiment */
    int64_t seq, id, time;
    int64_t iteration; /* progress and checkpoint events; else -1 */
    char type[16];
    char *json;  /* owned */
    char *check; /* progress: what must be the same when the iteration is recomputed; owned, else NULL */
    bool terminal, succeeded;
    int64_t job_bytes; /* once it is written: approximate bytes of its job in the store */
};

struct store_checkpoint {
    char job[STORE_ID_BYTES];
    int64_t iteration, created;
    double loss;
    unsigned char *bytes; /* owned */
    size_t size;
    char sha256[STORE_HASH_BYTES];
    int keep; /* of the job's, once it is added: so many; below 0: so many spaced in the logarithm */
};

struct store_key {
    char *key;                   /* owned */
    char body[STORE_HASH_BYTES]; /* sha256 of the request's body */
    char job[STORE_ID_BYTES];
    int64_t created;
};

enum experiment_state {
    EXPERIMENT_RUNNING,
    EXPERIMENT_PAUSED,
    EXPERIMENT_RESUMING, /* running, once its paused jobs have been resumed */
    EXPERIMENT_CANCELLING,
    EXPERIMENT_DELETING, /* its jobs go, then it; nobody sees it any more */
    EXPERIMENT_RETRYING, /* running, once its failed and cancelled jobs have been deleted */
    EXPERIMENT_COMPLETE,
    EXPERIMENT_COMPLETE_WITH_FAILURES,
    EXPERIMENT_CANCELLED,
    EXPERIMENT_STATES
};

/* An experiment as the store has it. Texts are owned (store_experiment_release). */
struct store_experiment {
    int64_t number; /* order of submission */
    char id[STORE_ID_BYTES];
    char owner[STORE_NAME_BYTES];
    enum experiment_state state;
    int64_t created, finished;
    int64_t points, trials;
    char *name, *notes, *tags; /* tags: a JSON array */
    char *document;            /* the specification, as JSON text */
};

/* One point with one seed. */
struct store_trial {
    int64_t experiment; /* its number */
    char point[STORE_POINT_BYTES];
    int64_t seed;
    char job[STORE_ID_BYTES];
    bool made; /* the job was made for it; else it was there before */
};

/* What somebody wants to see again: a query, an order, columns. */
#define STORE_VIEWS_MOST 200
#define STORE_VIEW_NAME_BYTES 65
struct store_view {
    char name[STORE_VIEW_NAME_BYTES];
    char *document; /* owned; JSON */
    int64_t changed;
};

/*
 * What a trial's job has found, kept apart from the job from its end on: statistics read it at once, and it stays when
 * retention deletes the job.
 */
struct store_finding {
    char job[STORE_ID_BYTES];
    enum job_status status;
    bool diverged;
    int64_t iteration;             /* of the last evaluation */
    char sha256[STORE_HASH_BYTES]; /* of the curves */
    unsigned char *curves;         /* a table of them (server/experiments/curves.h); owned, or borrowed where read */
    size_t size;
    bool archived; /* its job is gone */
    bool dropped;  /* the job's checkpoints are not kept; for STORE_FINDING_ADD: unless another trial has it */
};

struct store_item {
    struct store_item *next;
    enum store_kind kind;
    union {
        struct store_job job;
        struct store_event event;
        struct store_checkpoint checkpoint;
        struct store_key key;
        struct store_experiment experiment;
        struct store_trial trial;
        struct store_view view;
        struct store_finding finding;
    };
};

/* The state as clients see it. */
const char *experiment_state_name(enum experiment_state state);
void store_experiment_release(struct store_experiment *experiment);
void store_view_release(struct store_view *view);

enum store_result {
    STORE_WRITTEN,
    STORE_STALLED, /* nothing can be written now (a full or failing disk, no memory): the whole commit failed, and
                    * `error` says why */
    STORE_FAILED   /* this unit alone: it violates a constraint */
};

struct store_unit {
    struct loop_message message; /* private to the store */
    struct store_unit *next;     /* private to the store */
    uint64_t epoch; /* private to the store: the last failure that the loop had learned of; then the one that this unit
                     * belongs to */
    struct store_item *first, **last;
    bool frees;   /* it frees space, or stops what uses it: it is written from the reserve if the disk is full */
    bool full;    /* stalled because the disk is full: if it frees space, it may be tried again */
    bool refused; /* the disk was known to be full: it was not tried, and nothing else failed with it */
    enum store_result result;
    char error[STORE_ERROR_BYTES];
    /* Loop thread, once; the unit and its items are freed when it returns. */
    void (*done)(struct store_unit *unit);
    void *user;
};

struct store;

/* Opens or creates DIR/modprop.db. NULL with a sentence that says what to do. */
struct store *store_open(const char *directory, struct loop *loop, char error[STORE_ERROR_BYTES]);
/* Writes what waits, stops the writer, closes, unlocks. `done` of every unit has been posted to the loop. NULL-safe. */
void store_close(struct store *store);

/* A unit without items; NULL if out of memory. */
struct store_unit *store_unit_create(void (*done)(struct store_unit *unit), void *user);
/* A zeroed item of the kind, at the unit's end; NULL if out of memory. */
struct store_item *store_unit_add(struct store_unit *unit, enum store_kind kind);
/* For a unit that is not submitted. NULL-safe. */
void store_unit_free(struct store_unit *unit);
/* Loop thread. */
void store_submit(struct store *store, struct store_unit *unit);
/* Loop thread: the failure that this unit reported to `done` has been handled; what is submitted from now on is
 * tried again, unless something has failed since. */
void store_failure_handled(struct store *store, const struct store_unit *unit);

/*
 * Waits until everything submitted has been tried and posted to the loop; loop_deliver then calls each `done`. Loop
 * thread.
 */
void store_flush(struct store *store);

/*
 * Whether the disk is full: then only units that free space are written, until there is free space for twice the
 * reserve. `reason` may be NULL. Any thread.
 */
bool store_is_full(struct store *store, char reason[STORE_ERROR_BYTES]);

/*
 * Cancellations that could not be stored and are noted all the same (stops.h): `each` gets the ids of their jobs; any
 * thread. A note goes with the commit of the job's cancellation or deletion, or with store_stop_forget.
 */
bool store_stop_noted(struct store *store, const char *id);
void store_stops_each(struct store *store, void (*each)(void *user, const char *id), void *user);
void store_stop_forget(struct store *store, const char *id);

size_t store_depth(struct store *store);
struct store_counts {
    uint64_t commits, units, failures;
    struct histogram commit; /* seconds of whole commits, from the first statement on */
    struct histogram sync;   /* the part of them that COMMIT itself took: writing the log and its fsync */
    uint64_t portions;       /* commits that removed a portion of deleted jobs */
    bool purging;            /* more of that is left */
};
struct store_counts store_counts(struct store *store);

/* ---- reading ---- */

/* A read-only connection; used by one thread. */
struct store_reader;

struct store_reader *store_reader_open(const char *directory, char error[STORE_ERROR_BYTES]);
void store_reader_close(struct store_reader *reader);

/* 1 found, 0 not, -1 failure. `job` is released by store_job_release. */
int store_job_read(struct store_reader *reader, const char *id, struct store_job *job);
/* The job with this number, if it is queued. Returns as store_job_read. */
int store_job_queued(struct store_reader *reader, int64_t number, struct store_job *job);
/* The whole document of a job as it was submitted; malloc'ed. It may be tens of megabytes: not for the loop. 1, 0,
 * -1. */
int store_document_read(struct store_reader *reader, const char *id, char **document);
/*
 * The evaluations that a job inherits from the one that it extends, one progress event a line without its own id, job,
 * seq, type and time, in order; malloc'ed. It may be long: not for the loop. 1, 0 (none), -1.
 */
int store_history_read(struct store_reader *reader, const char *id, char **history);
/*
 * Calls `each` for every queued job, by priority and number; of `job` only these, owner and experiment are set. Returns
 * how many, or -1. For the daemon's start.
 */
int store_queue_read(struct store_reader *reader, bool (*each)(void *user, const struct store_job *job), void *user);
int64_t store_jobs_count(struct store_reader *reader, enum job_status status);
/* When the job that starts next was queued (by its last event); 0: no job waits. -1 on failure. */
int64_t store_queue_since(struct store_reader *reader);

struct search; /* api/search.h */

/* A page of a list, newest first. */
struct store_page {
    const struct search *search;
    int64_t before; /* number; INT64_MAX: starting at the newest */
    int limit;
    bool (*stopped)(void *user); /* polled; NULL: never */
};

struct store_found {
    int64_t next;    /* the `before` of the next page; 0: there is none */
    int64_t scanned; /* rows that were looked at: at most STORE_SCAN_MOST */
    bool bounded;    /* the page ended there, before it was full */
};

#define STORE_SCAN_MOST 10000

/*
 * Calls `each` for the jobs that fit the search. One that asks for an exact id, name, tag, experiment, seed, status,
 * rule or task looks at the rows that have it; any other goes through all jobs, page by page. Texts are valid during
 * the call. Returns how many fit, or -1.
 */
int store_jobs_find(struct store_reader *reader, const struct store_page *page, struct store_found *found,
                    bool (*each)(void *user, const struct store_job *job), void *user);
/* The same of experiments. */
int store_experiments_find(struct store_reader *reader, const struct store_page *page, struct store_found *found,
                           bool (*each)(void *user, const struct store_experiment *experiment), void *user);
/* 1 found, 0 not, -1 failure. `view` is released by store_view_release. */
int store_view_read(struct store_reader *reader, const char *name, struct store_view *view);
/* Calls `each` for every view, by name; texts are valid during the call. How many, or -1. */
int store_views_list(struct store_reader *reader, bool (*each)(void *user, const struct store_view *view), void *user);
/* Jobs that have one of the statuses of the bit mask, oldest first. */
int store_jobs_with(struct store_reader *reader, unsigned statuses,
                    bool (*each)(void *user, const struct store_job *job), void *user);

/*
 * Jobs that use users' datasets: how many use each version; which use one version, newest first, below `before`
 * (number; INT64_MAX: starting at the newest); and those of version 0.1 that have not started, which name no version.
 * Returns the number of calls, or -1.
 */
int store_data_holders(struct store_reader *reader, bool (*each)(void *user, const char *sha256, int64_t jobs),
                       void *user);
int store_data_jobs(struct store_reader *reader, const char *sha256, int64_t before, int limit,
                    bool (*each)(void *user, const char *id, int64_t number), void *user);
int store_data_unknown(struct store_reader *reader, bool (*each)(void *user, const char *id, int64_t number),
                       void *user);

/*
 * Events of a job after id `after`, or of all jobs (job NULL) after seq `after`; texts are valid during the call.
 * Returns how many, or -1.
 */
int store_events_read(struct store_reader *reader, const char *job, int64_t after, int limit,
                      bool (*each)(void *user, const struct store_event *event), void *user);
/* Only progress events, of iterations from..to, in order. */
int store_progress_read(struct store_reader *reader, const char *job, int64_t from, int64_t to,
                        bool (*each)(void *user, const struct store_event *event), void *user);
/* `check` of the progress event at this iteration; malloc'ed. 1, 0, -1. */
int store_progress_check(struct store_reader *reader, const char *job, int64_t iteration, char **check);
int64_t store_seq_last(struct store_reader *reader);
/* The time in the newest job's id, Unix ms; 0 if there is none. */
int64_t store_id_time_last(struct store_reader *reader);

/* Checkpoints without their bytes, newest first. */
int store_checkpoints_list(struct store_reader *reader, const char *job,
                           bool (*each)(void *user, const struct store_checkpoint *checkpoint), void *user);
/*
 * A checkpoint with bytes, whose sha256 has been checked. iteration -1: the newest intact one; *damaged (may be NULL)
 * counts newer ones that were damaged. 1, 0 (none, or it is damaged), -1. Released by free(checkpoint->bytes).
 */
int store_checkpoint_read(struct store_reader *reader, const char *job, int64_t iteration,
                          struct store_checkpoint *checkpoint, int *damaged);

/* 1: the key exists; returns the body's hash and the job. */
int store_key_read(struct store_reader *reader, const char *key, struct store_key *found);

/* 1 found, 0 not, -1 failure. `experiment` is released by store_experiment_release. */
int store_experiment_read(struct store_reader *reader, const char *id, struct store_experiment *experiment);
/*
 * Calls each for experiments that are not final yet, newest first: from below `before` (number; INT64_MAX: from the
 * newest), at most `limit`. How many, or -1.
 */
int store_experiments_active(struct store_reader *reader, int64_t before, int limit,
                             bool (*each)(void *user, const struct store_experiment *experiment), void *user);
/*
 * Calls each for all trials of an experiment, by point and seed, with what its job has found (NULL: nothing is kept
 * yet); its curves, which are borrowed, only where `curves`. How many, or -1.
 */
int store_trials_read(struct store_reader *reader, int64_t experiment, bool curves,
                      bool (*each)(void *user, const struct store_trial *trial, const struct store_finding *result),
                      void *user);
/* Whether there is this trial. 1, 0, -1. */
int store_trial_exists(struct store_reader *reader, int64_t experiment, const char *point, int64_t seed);
/* Whether an experiment holds this job. 1, 0, -1. */
int store_job_is_held(struct store_reader *reader, const char *job);
/* Calls each with a status and the number of the experiment's trials whose jobs have it. How many calls, or -1. */
int store_trials_count(struct store_reader *reader, int64_t experiment,
                       bool (*each)(void *user, enum job_status status, int64_t count), void *user);
/*
 * Calls each for at most `limit` jobs that the experiment (its id, its number) made, that no other one holds, and that
 * have a status of the bit mask. How many, or -1.
 */
int store_experiment_jobs(struct store_reader *reader, const char *experiment, int64_t number, unsigned statuses,
                          int limit, bool (*each)(void *user, const char *id, int64_t status), void *user);
/*
 * Calls each for jobs that succeeded with the same identity (or configuration), data and build, until it returns false;
 * `weights`: only for those whose last checkpoint is there. How many calls, or -1.
 */
int store_jobs_same(struct store_reader *reader, const struct store_job *job, bool weights,
                    bool (*each)(void *user, const struct store_job *job), void *user);

/* Calls each for at most `limit` ended jobs of trials whose results are not kept yet. How many, or -1. */
int store_endings_read(struct store_reader *reader, int limit,
                       bool (*each)(void *user, const char *job, int64_t number), void *user);
/* Calls each for at most `limit` trials of the experiment that are gone, or failed and have no job any more (`failed`).
 * How many, or -1. */
int store_trials_left(struct store_reader *reader, int64_t experiment, bool failed, int limit,
                      bool (*each)(void *user, const char *job, int64_t number), void *user);
/* The result of a job, its curves malloc'ed. 1, 0, -1. */
int store_finding_read(struct store_reader *reader, const char *job, struct store_finding *result);
/* Calls each for all that trials have found, by job, with curves that are borrowed. How many, or -1. */
int store_findings_read(struct store_reader *reader, bool (*each)(void *user, const struct store_finding *finding),
                        void *user);
/* An experiment's state, and the number of its last event; without its document. 1, 0, -1. */
int store_experiment_last(struct store_reader *reader, const char *id, enum experiment_state *state, int64_t *event);

/* Everything read until store_reader_release comes from one state of the database. False on failure. */
bool store_reader_hold(struct store_reader *reader);
void store_reader_release(struct store_reader *reader);
/*
 * SQLite's own check of every page, that every job has a status, and that no event or checkpoint lacks its job. False,
 * with the first fault in `error`.
 */
bool store_integrity_check(struct store_reader *reader, char error[STORE_ERROR_BYTES]);
/* Approximate bytes of all jobs together: the sum over jobs, updated with every commit. -1 on failure. */
int64_t store_bytes_used(struct store_reader *reader);
/* Bytes of the database's file, and how many of them are in free pages. -1 on failure. */
int64_t store_bytes_file(struct store_reader *reader);
int64_t store_bytes_free(struct store_reader *reader);
/* Bytes of memory that the store's connections use in this process: page caches, at most 8 MiB for writing and 2 MiB
 * for each reader, and statements. */
int64_t store_memory_bytes(void);
/*
 * At most `limit` finished jobs, those that finished first; `bytes` is approximately what a job's rows take. Returns
 * how many, or -1.
 */
int store_jobs_oldest(struct store_reader *reader, int limit,
                      bool (*each)(void *user, const char *id, int64_t finished, int64_t bytes), void *user);
/*
 * Writes a copy of the database as it is now to `file`, which must not exist yet, while others read and write. If it
 * returns true the copy is complete, checked and durable; else no file has that name, and `error` says why.
 */
bool store_backup(const char *directory, const char *file, char error[STORE_ERROR_BYTES]);

/*
 * The digest of a job's events: SHA-256 of the previous digest ("" at first, then 64 hexadecimal digits) and the
 * event's text.
 */
void event_digest_add(char digest[STORE_HASH_BYTES], const char *json);

/* SHA-256 in hexadecimal. */
void sha256_hex(const void *bytes, size_t size, char hex[STORE_HASH_BYTES]);

/*
 * How the last daemon ended: `job` is the one whose thread met a fatal signal; "" where none did (a crash of the daemon
 * itself, SIGKILL); STORE_STOPPED where it stopped in order. The mark is removed.
 */
void store_crash_mark_take(const char *directory, char job[STORE_ID_BYTES]);
/* Opens DIR/crashed for the handler of fatal signals to write to; the descriptor, or -1. */
int store_crash_mark_open(const char *directory);
/* Writes into it that the daemon stops in order: the next store_crash_mark_take gives STORE_STOPPED for a job. */
#define STORE_STOPPED "stopped"
void store_mark_stopped(int mark);

#endif
