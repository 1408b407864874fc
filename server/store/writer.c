/*
 * The store's writer: the directory, the schema, units and their commits. See store.h. Reading is in reader.c.
 *
 * Rejected: files for checkpoints (a crash could then separate a checkpoint from its event; as rows they are one
 * commit); a connection per thread for writing (SQLite has one writer anyway, and only a queue in front of it lets many
 * submissions share one fsync).
 */
#include "server/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/job.h"
#include "server/base/thread.h"
#include "server/store/columns.h"
#include "server/store/reserve.h"
#include "server/store/schema.h"
#include "server/store/stops.h"

#define WHAT_TO_DO                                                                                                     \
    "restore it from a backup, or, to start afresh, move it away with all files whose names start with its own"
#define PAGE_BYTES 4096
#define LOG_PAGES 1000 /* of the write-ahead log, before it is copied into the database */
#define BUSY_MILLISECONDS 5000
#define COPY_MILLISECONDS 500 /* on a full disk, for readers to leave the log */
#define DISK_FULL "the disk is full"
#define UNITS_A_COMMIT 512  /* bounds how long the first of many waits for the last */
#define PURGE_MOST 2000     /* events in one portion of a deletion */
#define PURGE_MOST_FULL 100 /* the log of a portion fits into the reserve */
#define PURGE_CHECKPOINT_COST 500
#define DELETED_KEPT 10000 /* newest deletion events that are kept */

/* The statements of the writer, prepared once; columns_prepare fills in the names. */
enum statement {
    JOB_ADD,
    DOCUMENT_ADD,
    HISTORY_ADD,
    JOB_SET,
    JOB_COUNT,
    JOB_COUNTED,
    JOB_GROW,
    CHECKPOINTS_BYTES,
    TOTAL_ADD,
    JOB_CAPTION,
    JOB_TAGS_ADD,
    JOB_TAGS_DELETE,
    JOB_PURGE,
    JOB_DELETE,
    JOB_DELETE_KEYS,
    EVENT_ADD,
    CHECKPOINT_ADD,
    CHECKPOINT_TRIM,
    KEY_ADD,
    PURGE_NEXT,
    PURGE_EVENTS,
    PURGE_CHECKPOINT,
    PURGE_DOCUMENT,
    PURGE_HISTORY,
    PURGE_DONE,
    DELETED_TRIM,
    EXPERIMENT_ADD,
    EXPERIMENT_SET,
    EXPERIMENT_DELETE,
    EXPERIMENT_DELETE_TRIALS,
    TRIAL_ADD,
    TRIALS_DELETE,
    VIEW_PUT,
    VIEW_DELETE,
    STATEMENTS
};

static const char *const statement_text[STATEMENTS] = {
    [JOB_ADD] = "{jobs:insert}",
    [DOCUMENT_ADD] = "INSERT INTO documents (number, text) VALUES (?1, ?2)",
    [HISTORY_ADD] = "INSERT INTO histories (number, text) VALUES (?1, ?2)",
    [JOB_SET] = "{jobs:update}",
    [JOB_COUNT] = "UPDATE jobs SET events=?2, event_digest=?3, bytes=bytes+?4 WHERE id=?1",
    [JOB_COUNTED] = "SELECT event_digest, bytes FROM jobs WHERE id=?1",
    [JOB_GROW] = "UPDATE jobs SET bytes=bytes+?2 WHERE id=?1",
    [CHECKPOINTS_BYTES] = "SELECT coalesce(sum(length(bytes)), 0), count(*) FROM checkpoints WHERE job=?1",
    [TOTAL_ADD] = "UPDATE totals SET value=value+?1 WHERE name='bytes'",
    [JOB_CAPTION] = "UPDATE jobs SET name=?2, notes=?3, tags=?4, bytes=bytes+length(CAST(?3||?4 AS BLOB))-length(CAST("
                    "notes||tags AS BLOB)) WHERE id=?1",
    [JOB_TAGS_ADD] = "INSERT OR IGNORE INTO job_tags (tag, job) SELECT value, j.number FROM jobs AS j, "
                     "json_each(j.tags) WHERE j.id=?1",
    [JOB_TAGS_DELETE] = "DELETE FROM job_tags WHERE job=(SELECT number FROM jobs WHERE id=?1)",
    [JOB_PURGE] = "INSERT INTO purges (job, number) SELECT id, number FROM jobs WHERE id=?1",
    [JOB_DELETE] = "DELETE FROM jobs WHERE id=?1",
    [JOB_DELETE_KEYS] = "DELETE FROM keys WHERE job=?1",
    [EXPERIMENT_ADD] = "{experiments:insert}",
    [EXPERIMENT_SET] = "{experiments:update}",
    [EXPERIMENT_DELETE] = "DELETE FROM experiments WHERE id=?1",
    [EXPERIMENT_DELETE_TRIALS] = "DELETE FROM trials WHERE experiment=(SELECT number FROM experiments WHERE id=?1)",
    [TRIAL_ADD] = "{trials:insert}",
    [TRIALS_DELETE] = "DELETE FROM trials WHERE job=?1",
    [VIEW_PUT] = "INSERT OR REPLACE INTO views (name, document, changed) SELECT ?1, ?2, ?3 WHERE (SELECT count(*) FROM "
                 "views WHERE name<>?1)<?4",
    [VIEW_DELETE] = "DELETE FROM views WHERE name=?1",
    [EVENT_ADD] = "{events:insert}",
    [CHECKPOINT_ADD] = "{checkpoints:replace}",
    [CHECKPOINT_TRIM] =
        "DELETE FROM checkpoints WHERE job=?1 AND iteration NOT IN (SELECT iteration FROM checkpoints WHERE job=?1"
        " ORDER BY iteration DESC LIMIT ?2)",
    [KEY_ADD] = "{keys:insert}",
    [PURGE_NEXT] = "SELECT job, number FROM purges LIMIT 1",
    [PURGE_EVENTS] =
        "DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE job=?1 AND type<>'deleted' ORDER BY "
        "id LIMIT ?2)",
    [PURGE_CHECKPOINT] = "DELETE FROM checkpoints WHERE job=?1 AND iteration = (SELECT min(iteration) FROM checkpoints "
                         "WHERE job=?1)",
    [PURGE_DOCUMENT] = "DELETE FROM documents WHERE number=?1",
    [PURGE_HISTORY] = "DELETE FROM histories WHERE number=?1",
    [PURGE_DONE] = "DELETE FROM purges WHERE job=?1",
    [DELETED_TRIM] = "DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE type='deleted' ORDER BY seq DESC "
                     "LIMIT ?2 OFFSET ?1)",
};

struct store {
    struct loop *loop;
    sqlite3 *database;
    sqlite3_stmt *statements[STATEMENTS];
    int lock, database_lock; /* of the directory, of the database's file */
    pthread_t writer;
    bool writing; /* the thread exists */
    pthread_mutex_t mutex;
    pthread_cond_t wake, idle;        /* something waits; nothing waits or is being written */
    struct store_unit *first, **last; /* under the mutex */
    size_t depth;
    bool leave;
    uint64_t handled; /* the last failure that the loop has handled; failures are counted from 1 */
    uint64_t failed;  /* writer's: the last failure; units made before the loop has handled it fail untried */
    char reason[STORE_ERROR_BYTES]; /* writer's: of the last commit that failed */
    bool disk_is_full;              /* writer's: the last reason was a full disk */
    struct reserve reserve;         /* writer's */
    struct stops stops;             /* cancellations that could not be stored */
    bool full;                      /* under the mutex: units that do not free space are refused */
    int64_t grown;                  /* writer's: bytes by which jobs have grown in this transaction */
    bool purging;                   /* writer's: parts of a deleted job are left */
    bool purge_failed;              /* writer's: the last portion failed */
    struct store_counts counts;
};

/* ---- units ---- */

struct store_unit *store_unit_create(void (*done)(struct store_unit *unit), void *user) {
    struct store_unit *unit = calloc(1, sizeof *unit);
    if (unit != NULL) {
        unit->last = &unit->first;
        unit->done = done;
        unit->user = user;
    }
    return unit;
}

struct store_item *store_unit_add(struct store_unit *unit, enum store_kind kind) {
    struct store_item *item = calloc(1, sizeof *item);
    if (item != NULL) {
        item->kind = kind;
        *unit->last = item;
        unit->last = &item->next;
    }
    return item;
}

static void item_release(struct store_item *item) {
    switch (item->kind) {
    case STORE_JOB_ADD:
    case STORE_JOB_SET:
    case STORE_JOB_CAPTION:
    case STORE_JOB_DELETE:
        store_job_release(&item->job);
        break;
    case STORE_EVENT_ADD:
        free(item->event.json);
        free(item->event.check);
        break;
    case STORE_CHECKPOINT_ADD:
        free(item->checkpoint.bytes);
        break;
    case STORE_KEY_ADD:
        free(item->key.key);
        break;
    case STORE_EXPERIMENT_ADD:
    case STORE_EXPERIMENT_SET:
    case STORE_EXPERIMENT_DELETE:
        store_experiment_release(&item->experiment);
        break;
    case STORE_VIEW_PUT:
    case STORE_VIEW_DELETE:
        store_view_release(&item->view);
        break;
    case STORE_TRIAL_ADD:
        break;
    }
}

void store_unit_free(struct store_unit *unit) {
    if (unit == NULL) {
        return;
    }
    for (struct store_item *item = unit->first, *next; item != NULL; item = next) {
        next = item->next;
        item_release(item);
        free(item);
    }
    free(unit);
}

static void unit_deliver(struct loop_message *message) {
    struct store_unit *unit = (struct store_unit *)((char *)message - offsetof(struct store_unit, message));
    if (unit->done != NULL) {
        unit->done(unit);
    }
    store_unit_free(unit);
}

void store_submit(struct store *store, struct store_unit *unit) {
    unit->message.deliver = unit_deliver;
    unit->next = NULL;
    pthread_mutex_lock(&store->mutex);
    unit->epoch = store->handled;
    *store->last = unit;
    store->last = &unit->next;
    store->depth++;
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->mutex);
}

void store_failure_handled(struct store *store, const struct store_unit *unit) {
    pthread_mutex_lock(&store->mutex);
    store->handled = unit->epoch > store->handled ? unit->epoch : store->handled;
    pthread_mutex_unlock(&store->mutex);
}

void store_flush(struct store *store) {
    pthread_mutex_lock(&store->mutex);
    while (store->depth > 0) {
        pthread_cond_wait(&store->idle, &store->mutex);
    }
    pthread_mutex_unlock(&store->mutex);
}

bool store_is_full(struct store *store, char reason[STORE_ERROR_BYTES]) {
    pthread_mutex_lock(&store->mutex);
    bool full = store->full;
    if (full && reason != NULL) {
        snprintf(reason, STORE_ERROR_BYTES, DISK_FULL);
    }
    pthread_mutex_unlock(&store->mutex);
    return full;
}

bool store_stop_noted(struct store *store, const char *id) {
    return stops_has(&store->stops, id);
}

void store_stops_each(struct store *store, void (*each)(void *user, const char *id), void *user) {
    for (int i = 0; i < STOPS_MOST; i++) {
        char id[STORE_ID_BYTES];
        pthread_mutex_lock(&store->stops.mutex);
        memcpy(id, store->stops.ids[i], sizeof id);
        pthread_mutex_unlock(&store->stops.mutex);
        if (id[0] != '\0') {
            each(user, id);
        }
    }
}

void store_stop_forget(struct store *store, const char *id) {
    stops_remove(&store->stops, id);
}

size_t store_depth(struct store *store) {
    pthread_mutex_lock(&store->mutex);
    size_t depth = store->depth;
    pthread_mutex_unlock(&store->mutex);
    return depth;
}

struct store_counts store_counts(struct store *store) {
    pthread_mutex_lock(&store->mutex);
    struct store_counts counts = store->counts;
    pthread_mutex_unlock(&store->mutex);
    return counts;
}

/* ---- writing ---- */

static void bind_text(sqlite3_stmt *statement, int at, const char *text) {
    sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC);
}

/* Runs a bound statement and makes it ready again. SQLITE_DONE on success. */
static int statement_run(sqlite3_stmt *statement) {
    int result = sqlite3_step(statement);
    sqlite3_reset(statement);
    return result;
}

/* Writes a row of a record with its statement. */
static int record_write(struct store *store, enum statement statement, const struct record *record, unsigned use,
                        const void *row) {
    record_bind(store->statements[statement], record, use, row);
    return statement_run(store->statements[statement]);
}

/* A text of the job that has a row of its own. */
static int text_add(struct store *store, enum statement statement, int64_t number, const char *text) {
    sqlite3_bind_int64(store->statements[statement], 1, number);
    bind_text(store->statements[statement], 2, text);
    return statement_run(store->statements[statement]);
}

static bool has_tags(const struct store_job *job) {
    return job->tags != NULL && strcmp(job->tags, "[]") != 0;
}

/* What notes and tags add to the document, which has the name. */
static size_t caption_bytes(const struct store_job *job) {
    return (job->notes == NULL ? 0 : strlen(job->notes)) + (has_tags(job) ? strlen(job->tags) - 2 : 0);
}

/* Runs a statement that needs the job's id alone. */
static int job_run(struct store *store, enum statement statement, const char *id) {
    bind_text(store->statements[statement], 1, id);
    return statement_run(store->statements[statement]);
}

/* A document with weights has a row of its own, and the job's row has the brief one. */
static int job_add(struct store *store, struct store_job *job) {
    char *text = job->document;
    if (text == NULL || !job_spec_brief_text(text, &job->brief)) {
        return SQLITE_NOMEM;
    }
    bool parted = job->brief != NULL;
    job->bytes = STORE_JOB_OVERHEAD + (int64_t)(strlen(text) + (parted ? strlen(job->brief) : 0) + caption_bytes(job)) +
                 (job->history == NULL ? 0 : (int64_t)strlen(job->history));
    if (!parted) {
        job->brief = text;
        job->document = NULL;
    }
    int result = record_write(store, JOB_ADD, &record_jobs, COLUMN_ADD, job);
    job->number = sqlite3_last_insert_rowid(store->database);
    store->grown += job->bytes;
    if (result == SQLITE_DONE && parted) {
        result = text_add(store, DOCUMENT_ADD, job->number, text);
    }
    result = result == SQLITE_DONE && has_tags(job) ? job_run(store, JOB_TAGS_ADD, job->id) : result;
    return result == SQLITE_DONE && job->history != NULL ? text_add(store, HISTORY_ADD, job->number, job->history)
                                                         : result;
}

/* What the job has so far: its events' digest, its bytes. SQLITE_ROW, or SQLITE_DONE if there is no such job. */
static int job_counted(struct store *store, const char *id, char digest[STORE_HASH_BYTES], int64_t *bytes) {
    sqlite3_stmt *s = store->statements[JOB_COUNTED];
    bind_text(s, 1, id);
    int result = sqlite3_step(s);
    if (result == SQLITE_ROW) {
        snprintf(digest, STORE_HASH_BYTES, "%s", (const char *)sqlite3_column_text(s, 0));
        *bytes = sqlite3_column_int64(s, 1);
    }
    sqlite3_reset(s);
    return result;
}

/* The row is deleted at once, and with it everything visible of the job; large data follow in portions (purge). */
static int job_delete(struct store *store, const char *id) {
    static const enum statement all[] = {JOB_PURGE, JOB_DELETE_KEYS, TRIALS_DELETE, JOB_TAGS_DELETE, JOB_DELETE};
    char digest[STORE_HASH_BYTES];
    int64_t bytes = 0;
    int result = job_counted(store, id, digest, &bytes);
    if (result != SQLITE_ROW) {
        return result;
    }
    result = SQLITE_DONE;
    for (size_t i = 0; result == SQLITE_DONE && i < sizeof all / sizeof *all; i++) {
        result = job_run(store, all[i], id);
    }
    store->grown -= bytes;
    store->purging = true;
    return result;
}

/* A job that is no longer there fails the unit alone. */
static int job_caption(struct store *store, const struct store_job *job) {
    char digest[STORE_HASH_BYTES];
    int64_t before = 0, after = 0;
    int result = job_counted(store, job->id, digest, &before);
    if (result != SQLITE_ROW) {
        return result == SQLITE_DONE ? SQLITE_CONSTRAINT : result;
    }
    sqlite3_stmt *s = store->statements[JOB_CAPTION];
    bind_text(s, 1, job->id);
    bind_text(s, 2, job->name);
    bind_text(s, 3, job->notes);
    bind_text(s, 4, job->tags);
    result = statement_run(s);
    result = result == SQLITE_DONE ? job_run(store, JOB_TAGS_DELETE, job->id) : result;
    result = result == SQLITE_DONE ? job_run(store, JOB_TAGS_ADD, job->id) : result;
    if (result == SQLITE_DONE && job_counted(store, job->id, digest, &after) == SQLITE_ROW) {
        store->grown += after - before;
    }
    return result;
}

/* What changes no row (there are too many views, or none of this name) fails the unit alone. */
static int view_write(struct store *store, enum statement statement, const struct store_view *view) {
    sqlite3_stmt *s = store->statements[statement];
    bind_text(s, 1, view->name);
    if (statement == VIEW_PUT) {
        bind_text(s, 2, view->document);
        sqlite3_bind_int64(s, 3, view->changed);
        sqlite3_bind_int(s, 4, STORE_VIEWS_MOST);
    }
    int result = statement_run(s);
    return result == SQLITE_DONE && sqlite3_changes(store->database) == 0 ? SQLITE_CONSTRAINT : result;
}

/*
 * Updates the job's number of events, their digest and its bytes with this event. For the event of a deletion the job
 * no longer exists.
 */
static int job_count_event(struct store *store, struct store_event *event) {
    sqlite3_stmt *s = store->statements[JOB_COUNT];
    char digest[STORE_HASH_BYTES];
    int64_t more = STORE_EVENT_OVERHEAD + (int64_t)strlen(event->json) +
                   (event->check == NULL ? 0 : (int64_t)strlen(event->check));
    int result = job_counted(store, event->job, digest, &event->job_bytes);
    if (result != SQLITE_ROW) {
        return result;
    }
    event_digest_add(digest, event->json);
    event->job_bytes += more;
    store->grown += more;
    bind_text(s, 1, event->job);
    sqlite3_bind_int64(s, 2, event->id);
    bind_text(s, 3, digest);
    sqlite3_bind_int64(s, 4, more);
    return statement_run(s);
}

static int event_add(struct store *store, struct store_event *event) {
    int result = record_write(store, EVENT_ADD, &record_events, COLUMN_ADD, event);
    return result == SQLITE_DONE ? job_count_event(store, event) : result;
}

/* The bytes of the job's checkpoints; -1 on failure. Their number is bounded, and their contents are not read for
 * it. */
static int64_t checkpoints_bytes(struct store *store, const char *job) {
    sqlite3_stmt *s = store->statements[CHECKPOINTS_BYTES];
    bind_text(s, 1, job);
    int64_t bytes = sqlite3_step(s) == SQLITE_ROW
                        ? sqlite3_column_int64(s, 0) + STORE_CHECKPOINT_OVERHEAD * sqlite3_column_int64(s, 1)
                        : -1;
    sqlite3_reset(s);
    return bytes;
}

static int checkpoint_add(struct store *store, const struct store_checkpoint *checkpoint) {
    int64_t before = checkpoints_bytes(store, checkpoint->job);
    int result = before < 0 ? sqlite3_errcode(store->database)
                            : record_write(store, CHECKPOINT_ADD, &record_checkpoints, COLUMN_ADD, checkpoint);
    if (result != SQLITE_DONE) {
        return result;
    }
    sqlite3_stmt *s = store->statements[CHECKPOINT_TRIM];
    bind_text(s, 1, checkpoint->job);
    sqlite3_bind_int(s, 2, checkpoint->keep > 0 ? checkpoint->keep : 1);
    result = statement_run(s);
    int64_t after = result == SQLITE_DONE ? checkpoints_bytes(store, checkpoint->job) : -1;
    if (after < 0) {
        return result == SQLITE_DONE ? sqlite3_errcode(store->database) : result;
    }
    s = store->statements[JOB_GROW];
    bind_text(s, 1, checkpoint->job);
    sqlite3_bind_int64(s, 2, after - before);
    store->grown += after - before;
    return statement_run(s);
}

/* The number that the row was given comes back in it. */
static int experiment_add(struct store *store, struct store_experiment *experiment) {
    int result = record_write(store, EXPERIMENT_ADD, &record_experiments, COLUMN_ADD, experiment);
    experiment->number = sqlite3_last_insert_rowid(store->database);
    return result;
}

static int experiment_delete(struct store *store, const char *id) {
    static const enum statement all[] = {JOB_DELETE_KEYS, EXPERIMENT_DELETE_TRIALS, EXPERIMENT_DELETE};
    int result = SQLITE_DONE;
    for (size_t i = 0; result == SQLITE_DONE && i < sizeof all / sizeof *all; i++) {
        result = job_run(store, all[i], id);
    }
    return result;
}

/* A job that was found for the trial may have gone meanwhile: that fails the unit alone. */
static int trial_add(struct store *store, const struct store_trial *trial) {
    char digest[STORE_HASH_BYTES];
    int64_t bytes;
    int result = job_counted(store, trial->job, digest, &bytes);
    return result == SQLITE_DONE  ? SQLITE_CONSTRAINT
           : result != SQLITE_ROW ? result
                                  : record_write(store, TRIAL_ADD, &record_trials, COLUMN_ADD, trial);
}

static int item_write(struct store *store, struct store_item *item) {
    switch (item->kind) {
    case STORE_JOB_ADD:
        return job_add(store, &item->job);
    case STORE_JOB_SET:
        return record_write(store, JOB_SET, &record_jobs, COLUMN_SET, &item->job);
    case STORE_JOB_CAPTION:
        return job_caption(store, &item->job);
    case STORE_JOB_DELETE:
        return job_delete(store, item->job.id);
    case STORE_EVENT_ADD:
        return event_add(store, &item->event);
    case STORE_CHECKPOINT_ADD:
        return checkpoint_add(store, &item->checkpoint);
    case STORE_KEY_ADD:
        return record_write(store, KEY_ADD, &record_keys, COLUMN_ADD, &item->key);
    case STORE_EXPERIMENT_ADD:
        return experiment_add(store, &item->experiment);
    case STORE_EXPERIMENT_SET:
        return record_write(store, EXPERIMENT_SET, &record_experiments, COLUMN_SET, &item->experiment);
    case STORE_EXPERIMENT_DELETE:
        return experiment_delete(store, item->experiment.id);
    case STORE_TRIAL_ADD:
        return trial_add(store, &item->trial);
    case STORE_VIEW_PUT:
        return view_write(store, VIEW_PUT, &item->view);
    case STORE_VIEW_DELETE:
        return view_write(store, VIEW_DELETE, &item->view);
    }
    return SQLITE_MISUSE;
}

/* Why nothing can be written now. Call it before SQLite is used for anything else, which would erase the reason.
 * errno was 0 before: SQLite does not set its own copy (sqlite3_system_errno) when it is the commit that fails. */
static void reason_keep(struct store *store, int code) {
    int number = errno, primary = code & 0xff;
    bool full = primary == SQLITE_FULL ||
                (primary == SQLITE_IOERR && (number == ENOSPC || number == EDQUOT || number == EFBIG));
    store->disk_is_full = full;
    if (full && number == EFBIG) {
        snprintf(store->reason, sizeof store->reason, "the database has reached the limit of file sizes (ulimit -f)");
    } else if (full) {
        snprintf(store->reason, sizeof store->reason, DISK_FULL);
    } else if (primary == SQLITE_NOMEM || code == SQLITE_IOERR_NOMEM) {
        snprintf(store->reason, sizeof store->reason, "not enough memory to write the database");
    } else if (primary == SQLITE_IOERR && number != 0) {
        snprintf(store->reason, sizeof store->reason, "the disk failed: %s", strerror(number));
    } else {
        snprintf(store->reason, sizeof store->reason, "the database cannot be written: %s",
                 sqlite3_errmsg(store->database));
    }
}

/* SQLITE_OK, or the extended code of the failure, whose reason is kept. */
static int database_do(struct store *store, const char *statement) {
    errno = 0;
    if (sqlite3_exec(store->database, statement, NULL, NULL, NULL) == SQLITE_OK) {
        return SQLITE_OK;
    }
    int code = sqlite3_extended_errcode(store->database);
    reason_keep(store, code);
    return code;
}

/*
 * The unit between two savepoints: if it violates a constraint (a key that exists) the other units are not affected.
 * Any other failure fails the whole commit: a job's next unit must not be written without this one. SQLITE_OK, or what
 * fails the commit.
 */
static int unit_write(struct store *store, struct store_unit *unit) {
    int result = database_do(store, "SAVEPOINT unit"), step = SQLITE_DONE;
    if (result != SQLITE_OK) {
        return result;
    }
    int64_t grown = store->grown;
    for (struct store_item *item = unit->first; step == SQLITE_DONE && item != NULL; item = item->next) {
        errno = 0;
        step = item_write(store, item);
    }
    if (step == SQLITE_DONE) {
        unit->result = STORE_WRITTEN;
        return database_do(store, "RELEASE unit");
    }
    if ((step & 0xff) != SQLITE_CONSTRAINT) {
        reason_keep(store, step);
        return step;
    }
    store->grown = grown;
    unit->result = STORE_FAILED;
    snprintf(unit->error, sizeof unit->error, "%s", sqlite3_errmsg(store->database));
    return database_do(store, "ROLLBACK TO unit; RELEASE unit");
}

/* The sum of all jobs' bytes, including this transaction. SQLITE_OK, or the failure. */
static int total_add(struct store *store) {
    sqlite3_bind_int64(store->statements[TOTAL_ADD], 1, store->grown);
    int result = store->grown == 0 ? SQLITE_DONE : statement_run(store->statements[TOTAL_ADD]);
    if (result != SQLITE_DONE) {
        reason_keep(store, result);
    }
    return result == SQLITE_DONE ? SQLITE_OK : result;
}

/* Ends the transaction: commits if everything succeeded so far, else rolls back. Returns as units_commit. */
static int transaction_end(struct store *store, int result, double *synced) {
    if (result == SQLITE_OK) {
        double began = clock_seconds();
        result = database_do(store, "COMMIT");
        *synced = clock_seconds() - began;
    }
    if (result != SQLITE_OK && sqlite3_get_autocommit(store->database) == 0) {
        sqlite3_exec(store->database, "ROLLBACK", NULL, NULL, NULL);
    }
    return result;
}

/* SQLITE_OK, or the failure. `synced` receives the time of COMMIT itself; unchanged if it was not reached. */
static int units_commit(struct store *store, struct store_unit *units, double *synced) {
    int result = database_do(store, "BEGIN IMMEDIATE");
    store->grown = 0;
    for (struct store_unit *unit = units; result == SQLITE_OK && unit != NULL; unit = unit->next) {
        result = unit_write(store, unit);
    }
    return transaction_end(store, result == SQLITE_OK ? total_add(store) : result, synced);
}

/* ---- what deleted jobs leave ---- */

/* The number of rows that the statement changed; -1 on failure. */
static int rows_delete(struct store *store, enum statement statement, const char *job, int64_t number, int most) {
    sqlite3_stmt *s = store->statements[statement];
    if (job != NULL) {
        bind_text(s, 1, job);
    } else {
        sqlite3_bind_int64(s, 1, number);
    }
    if (sqlite3_bind_parameter_count(s) > 1) {
        sqlite3_bind_int(s, 2, most);
    }
    return statement_run(s) == SQLITE_DONE ? sqlite3_changes(store->database) : -1;
}

/*
 * Removes some of what one deleted job has left: at most `most` events, else one checkpoint, else the rest. Returns the
 * cost in events; -1 if the database fails.
 */
static int purge_some(struct store *store, const char *job, int64_t number, int most) {
    int events = rows_delete(store, PURGE_EVENTS, job, 0, most);
    if (events == most || events < 0) {
        return events;
    }
    int checkpoints = rows_delete(store, PURGE_CHECKPOINT, job, 0, 0);
    if (checkpoints != 0) {
        return checkpoints < 0 ? -1 : events + PURGE_CHECKPOINT_COST;
    }
    bool gone = rows_delete(store, PURGE_DOCUMENT, NULL, number, 0) >= 0 &&
                rows_delete(store, PURGE_HISTORY, NULL, number, 0) >= 0 &&
                rows_delete(store, PURGE_DONE, job, 0, 0) >= 0;
    return gone ? events + 1 : -1;
}

/* 1: `job` and `number` receive the next deleted job that has left something; 0: there is none. -1 on failure. */
static int purge_next(struct store *store, char job[STORE_ID_BYTES], int64_t *number) {
    sqlite3_stmt *s = store->statements[PURGE_NEXT];
    int step = sqlite3_step(s);
    if (step == SQLITE_ROW) {
        snprintf(job, STORE_ID_BYTES, "%s", (const char *)sqlite3_column_text(s, 0));
        *number = sqlite3_column_int64(s, 1);
    }
    sqlite3_reset(s);
    return step == SQLITE_ROW ? 1 : step == SQLITE_DONE ? 0 : -1;
}

/* One portion, within a transaction; returns as purge_next. */
static int purge_portion(struct store *store) {
    char job[STORE_ID_BYTES];
    int64_t number = 0;
    int left = store->reserve.held ? PURGE_MOST : PURGE_MOST_FULL, found = 1;
    while (left > 0 && (found = purge_next(store, job, &number)) == 1) {
        int cost = purge_some(store, job, number, left);
        if (cost < 0) {
            return -1;
        }
        left -= cost;
    }
    return rows_delete(store, DELETED_TRIM, NULL, DELETED_KEPT, store->reserve.held ? PURGE_MOST : PURGE_MOST_FULL) < 0
               ? -1
               : found;
}

/*
 * Removes one portion, in its own commit, so that no deletion delays other writes. If nothing can be written it is left
 * for a later commit.
 */
static void purge(struct store *store) {
    double synced;
    int found = database_do(store, "BEGIN IMMEDIATE") == SQLITE_OK ? purge_portion(store) : -1;
    if (transaction_end(store, found < 0 ? SQLITE_ERROR : SQLITE_OK, &synced) != SQLITE_OK) {
        found = -1;
    }
    store->purging = found == 1;
    store->purge_failed = found < 0;
    pthread_mutex_lock(&store->mutex);
    store->counts.portions += found >= 0;
    store->counts.purging = found != 0;
    pthread_mutex_unlock(&store->mutex);
}

/* ---- the writer ---- */

/* Takes what waits, at most UNITS_A_COMMIT; NULL when it is time to exit, or to continue purging. */
static struct store_unit *units_take(struct store *store, bool *leave) {
    pthread_mutex_lock(&store->mutex);
    bool waits = store->first == NULL && !store->leave && (!store->purging || store->purge_failed);
    if (waits && store->full) { /* while waiting for space it checks each second */
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec++;
        pthread_cond_timedwait(&store->wake, &store->mutex, &until);
    }
    while (waits && !store->full && store->first == NULL && !store->leave && !store->purging) {
        pthread_cond_wait(&store->wake, &store->mutex);
    }
    struct store_unit *taken = store->first, **end = &store->first;
    for (int i = 0; i < UNITS_A_COMMIT && *end != NULL; i++) {
        end = &(*end)->next;
    }
    store->first = *end;
    *end = NULL;
    if (store->first == NULL) {
        store->last = &store->first;
    }
    *leave = taken == NULL && store->leave;
    pthread_mutex_unlock(&store->mutex);
    return taken;
}

/* Notes cancellations that were not stored, and strikes out those that were. */
static void unit_note(struct store *store, const struct store_unit *unit) {
    for (const struct store_item *item = unit->first; item != NULL; item = item->next) {
        bool cancels = item->kind == STORE_JOB_SET &&
                       (item->job.status == JOB_CANCELLING || item->job.status == JOB_CANCELLED);
        if (unit->result == STORE_STALLED && cancels) {
            (void)stops_add(&store->stops, item->job.id); /* without it, only this daemon remembers */
        } else if (unit->result == STORE_WRITTEN && (cancels || item->kind == STORE_JOB_DELETE)) {
            stops_remove(&store->stops, item->job.id);
        }
    }
}

static void units_deliver(struct store *store, struct store_unit *units) {
    for (struct store_unit *unit = units, *next; unit != NULL; unit = next) {
        next = unit->next;
        unit_note(store, unit);
        loop_post(store->loop, &unit->message);
        pthread_mutex_lock(&store->mutex);
        if (--store->depth == 0) {
            pthread_cond_signal(&store->idle);
        }
        pthread_mutex_unlock(&store->mutex);
    }
}

/* Splits off units that were made before the loop learned of the last failure: they fail untried. */
static struct store_unit *units_refuse(struct store *store, struct store_unit *units) {
    struct store_unit *tried = NULL, **tail = &tried;
    for (struct store_unit *unit = units, *next; unit != NULL; unit = next) {
        next = unit->next;
        unit->next = NULL;
        if (unit->epoch < store->failed) {
            unit->epoch = store->failed;
            unit->result = STORE_STALLED;
            unit->full = store->disk_is_full;
            memcpy(unit->error, store->reason, sizeof unit->error);
            units_deliver(store, unit);
        } else {
            *tail = unit;
            tail = &unit->next;
        }
    }
    return tried;
}

static void units_fail_all(struct store *store, struct store_unit *units) {
    store->failed++;
    for (struct store_unit *unit = units; unit != NULL; unit = unit->next) {
        unit->epoch = store->failed;
        unit->result = STORE_STALLED;
        unit->full = store->disk_is_full;
        memcpy(unit->error, store->reason, sizeof unit->error);
    }
}

/* ---- the full disk ---- */

static void full_set(struct store *store, bool full) {
    pthread_mutex_lock(&store->mutex);
    store->full = full;
    pthread_mutex_unlock(&store->mutex);
}

/* One number that a pragma gives; 0 on failure. */
static int64_t pragma_number(struct store *store, const char *text) {
    sqlite3_stmt *s = NULL;
    bool found = sqlite3_prepare_v2(store->database, text, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW;
    int64_t number = found ? sqlite3_column_int64(s, 0) : 0;
    sqlite3_finalize(s);
    return number;
}

/*
 * Whether there is free space for twice the reserve, counting the disk and free pages of the database together, and for
 * half of it on the disk, where the log is; half as much is enough to stay not full. Recreates the reserve if the disk
 * alone has that much.
 */
static bool room_is_there(struct store *store) {
    struct reserve *reserve = &store->reserve;
    int64_t disk = reserve_disk_free(reserve);
    if (reserve->held || (disk >= 2 * reserve->bytes && reserve_take(reserve))) {
        return true;
    }
    int64_t pages = pragma_number(store, "PRAGMA freelist_count") * pragma_number(store, "PRAGMA page_size");
    int64_t wanted = store->full ? reserve->bytes : reserve->bytes / 2;
    return disk >= wanted / 2 && disk / 2 + pages / 2 >= wanted;
}

/* Checks for space when the disk was full, and for lack of it when the reserve is not held. */
static void room_look(struct store *store) {
    if (!store->reserve.held) {
        bool full = !room_is_there(store);
        if (full) {
            snprintf(store->reason, sizeof store->reason, DISK_FULL);
        }
        full_set(store, full);
        if (!full) {
            stops_prepare(&store->stops);
        }
    }
}

/* Copies the log into the database and gives its space back to the disk; false if a reader uses it for longer. */
static bool log_copy(struct store *store) {
    sqlite3_busy_timeout(store->database, COPY_MILLISECONDS);
    bool copied = sqlite3_wal_checkpoint_v2(store->database, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) == SQLITE_OK;
    sqlite3_busy_timeout(store->database, BUSY_MILLISECONDS);
    return copied;
}

/* The disk is full: releases its reserve. */
static void full_begin(struct store *store) {
    reserve_release(&store->reserve);
    log_copy(store);
    full_set(store, true);
}

/* The job that a unit belongs to. */
static const char *unit_job(const struct store_unit *unit) {
    const struct store_item *item = unit->first;
    if (item == NULL) {
        return "";
    }
    switch (item->kind) {
    case STORE_JOB_ADD:
    case STORE_JOB_SET:
    case STORE_JOB_CAPTION:
    case STORE_JOB_DELETE:
        return item->job.id;
    case STORE_EVENT_ADD:
        return item->event.job;
    case STORE_CHECKPOINT_ADD:
        return item->checkpoint.job;
    case STORE_KEY_ADD:
        return item->key.job;
    case STORE_EXPERIMENT_ADD:
    case STORE_EXPERIMENT_SET:
    case STORE_EXPERIMENT_DELETE:
        return item->experiment.id;
    case STORE_TRIAL_ADD:
        return item->trial.job;
    case STORE_VIEW_PUT:
    case STORE_VIEW_DELETE:
        return item->view.name;
    }
    return "";
}

static bool job_is_among(const struct store_unit *units, const char *job) {
    while (units != NULL && strcmp(unit_job(units), job) != 0) {
        units = units->next;
    }
    return units != NULL;
}

/* From the units, those that free space and do not follow a unit of their job that does not; the others go to *rest. */
static struct store_unit *units_part(struct store_unit *units, struct store_unit **rest) {
    struct store_unit *freeing = NULL, **freeing_end = &freeing, **rest_end = rest;
    *rest = NULL;
    for (struct store_unit *unit = units, *next; unit != NULL; unit = next) {
        next = unit->next;
        unit->next = NULL;
        struct store_unit ***end = unit->frees && !job_is_among(*rest, unit_job(unit)) ? &freeing_end : &rest_end;
        **end = unit;
        *end = &unit->next;
    }
    return freeing;
}

/*
 * Units that do not free space, on a disk that is known to be full. A submission is refused by itself, because nothing
 * follows it before it is answered; anything else is a failure that its successors share.
 */
static void units_refuse_full(struct store *store, struct store_unit *units) {
    bool alone = true;
    for (struct store_unit *unit = units; unit != NULL; unit = unit->next) {
        unit->refused = unit->first != NULL &&
                        (unit->first->kind == STORE_JOB_ADD || unit->first->kind == STORE_EXPERIMENT_ADD ||
                         unit->first->kind == STORE_TRIAL_ADD || unit->first->kind == STORE_VIEW_PUT);
        alone = alone && unit->refused;
    }
    snprintf(store->reason, sizeof store->reason, DISK_FULL);
    store->disk_is_full = true;
    store->failed -= alone;
    units_fail_all(store, units);
    units_deliver(store, units);
}

/* ---- the writer's round ---- */

static void commit_count(struct store *store, const struct store_unit *units, int result, double took, double synced) {
    pthread_mutex_lock(&store->mutex);
    for (const struct store_unit *unit = units; unit != NULL; unit = unit->next) {
        store->counts.units++;
    }
    store->counts.commits++;
    store->counts.failures += result != SQLITE_OK;
    /* what could not be purged before may succeed now */
    store->purging = store->purging || (store->counts.purging && result == SQLITE_OK);
    store->counts.purging = store->counts.purging || store->purging;
    histogram_add(&store->counts.commit, took);
    if (!isnan(synced)) {
        histogram_add(&store->counts.sync, synced);
    }
    pthread_mutex_unlock(&store->mutex);
}

/* Commits units and delivers them. Returns those that may be tried again from the reserve. */
static struct store_unit *units_try(struct store *store, struct store_unit *units, bool again) {
    double began = clock_seconds(), synced = NAN;
    struct store_unit *freeing = NULL;
    int result = units_commit(store, units, &synced);
    commit_count(store, units, result, clock_seconds() - began, synced);
    if (result != SQLITE_OK) {
        if (store->disk_is_full && again) {
            freeing = units_part(units, &units);
            full_begin(store);
        }
        units_fail_all(store, units);
    }
    units_deliver(store, units);
    return freeing;
}

static void units_write(struct store *store, struct store_unit *units) {
    room_look(store);
    struct store_unit *rest = NULL;
    if (store->full) { /* no other thread changes it */
        units = units_part(units, &rest);
    }
    if (rest != NULL) {
        units_refuse_full(store, rest);
    }
    if (units != NULL) {
        units = units_try(store, units, true);
    }
    if (units != NULL) {
        units_try(store, units, false);
    }
}

static void writer_main(void *argument) {
    struct store *store = argument;
    bool leave = false;
    for (struct store_unit *units = units_take(store, &leave); !leave; units = units_take(store, &leave)) {
        units = units_refuse(store, units);
        if (units != NULL) {
            units_write(store, units);
        }
        if (store->purging) {
            /* on a full disk only with an empty log: while readers keep it, portions would use up the reserve */
            if (!store->full || log_copy(store)) {
                purge(store);
            } else {
                store->purge_failed = true;
            }
        }
        if (store->full) {
            log_copy(store);
            room_look(store);
            store->purging = store->counts.purging; /* once more: it needs little space, and frees some */
        }
    }
}

/* ---- opening ---- */

static bool path_join(char path[4096], const char *directory, const char *name, char *error) {
    if (snprintf(path, 4096, "%s/%s", directory, name) >= 4096) {
        snprintf(error, STORE_ERROR_BYTES, "the path of the data directory is too long");
        return false;
    }
    return true;
}

static bool directory_lock(struct store *store, const char *directory, char *error) {
    char path[4096], owner[32] = "";
    if (!path_join(path, directory, "lock", error)) {
        return false;
    }
    store->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (store->lock < 0) {
        snprintf(error, STORE_ERROR_BYTES, "cannot open %.300s: %s", path, strerror(errno));
        return false;
    }
    if (flock(store->lock, LOCK_EX | LOCK_NB) != 0) {
        ssize_t got = read(store->lock, owner, sizeof owner - 1);
        owner[got > 0 ? got : 0] = '\0';
        owner[strcspn(owner, " \n")] = '\0';
        snprintf(error, STORE_ERROR_BYTES,
                 "the data directory %.300s belongs to a running modpropd%s%s; stop that one or give another --data",
                 directory, *owner != '\0' ? ", process " : "", owner);
        return false;
    }
    /* always the same length, over what is there: a full disk has no free block for it */
    int length = snprintf(owner, sizeof owner, "%-20ld\n", (long)getpid());
    if (pwrite(store->lock, owner, (size_t)length, 0) != length || ftruncate(store->lock, length) != 0) {
        snprintf(error, STORE_ERROR_BYTES, "cannot write %.300s: %s", path, strerror(errno));
        return false;
    }
    return true;
}

/* A new file is durable once its directory is. EINVAL: a file system that does not support this. */
static bool directory_sync(const char *directory, char *error) {
    int descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool done = descriptor >= 0 && (fsync(descriptor) == 0 || errno == EINVAL);
    if (!done) {
        snprintf(error, STORE_ERROR_BYTES, "the data directory %.300s cannot be made durable: %s", directory,
                 strerror(errno));
    }
    if (descriptor >= 0) {
        close(descriptor);
    }
    return done;
}

static bool database_fail(struct store *store, const char *path, const char *what, char *error) {
    int code = sqlite3_errcode(store->database) & 0xff;
    if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB) {
        snprintf(error, STORE_ERROR_BYTES, "the database %.200s is damaged (%s); nothing was changed: " WHAT_TO_DO,
                 path, sqlite3_errmsg(store->database));
    } else {
        snprintf(error, STORE_ERROR_BYTES, "cannot %s the database %.300s: %s", what, path,
                 sqlite3_errmsg(store->database));
    }
    return false;
}

static int check_row(void *user, int columns, char **values, char **names) {
    (void)names;
    *(bool *)user = columns == 1 && values[0] != NULL && strcmp(values[0], "ok") == 0;
    return 0;
}

/*
 * SQLite takes an empty file with a log beside it for a new database and deletes the log, which holds committed data.
 */
static bool log_has_its_database(const char *path, char *error) {
    char log[4096 + 8];
    struct stat database, status;
    snprintf(log, sizeof log, "%s-wal", path);
    if ((stat(path, &database) == 0 && database.st_size > 0) || stat(log, &status) != 0 || status.st_size == 0) {
        return true;
    }
    snprintf(error, STORE_ERROR_BYTES,
             "the database %.200s is missing or empty, and its log is there; nothing was changed: " WHAT_TO_DO, path);
    return false;
}

/* Whether the database is one of ours, and intact. Nothing is written before this is known. */
static bool database_check(struct store *store, const char *path, int *version, char *error) {
    bool whole = false;
    *version = schema_version(store->database);
    if (*version > SCHEMA_VERSION) {
        snprintf(error, STORE_ERROR_BYTES,
                 "the database %.300s was written by a newer modprop (schema %d; this one knows %d): use that version",
                 path, *version, SCHEMA_VERSION);
        return false;
    }
    if (*version < 0 || sqlite3_exec(store->database, "PRAGMA quick_check(1)", check_row, &whole, NULL) != SQLITE_OK) {
        return database_fail(store, path, "read", error);
    }
    whole = whole && (*version == 0 || statuses_are_known(store->database));
    if (!whole) {
        snprintf(error, STORE_ERROR_BYTES, "the database %.200s is damaged; nothing was changed: " WHAT_TO_DO, path);
    }
    return whole;
}

/*
 * Removing the lock file must not let a second daemon in: the database itself is locked too, with a lock that SQLite
 * does not use. The descriptor is closed last, because closing it ends the locks that SQLite holds on the file.
 */
static bool database_lock(struct store *store, const char *path, const char *directory, char *error) {
    store->database_lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    bool locked = store->database_lock >= 0 && flock(store->database_lock, LOCK_EX | LOCK_NB) == 0;
    if (!locked && errno == EWOULDBLOCK) {
        snprintf(error, STORE_ERROR_BYTES,
                 "the database in %.300s belongs to a running modpropd; stop that one or give another --data",
                 directory);
    } else if (!locked) {
        snprintf(error, STORE_ERROR_BYTES, "cannot open the database %.300s: %s", path, strerror(errno));
    }
    return locked;
}

static bool database_open(struct store *store, const char *directory, char *error) {
    char path[4096];
    int version = 0;
    if (!path_join(path, directory, "modprop.db", error) || !log_has_its_database(path, error)) {
        return false;
    }
    mode_t kept = umask(0077);
    if (!database_lock(store, path, directory, error)) {
        umask(kept);
        return false;
    }
    int result = sqlite3_open_v2(path, &store->database,
                                 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (result == SQLITE_OK) {
        sqlite3_busy_timeout(store->database, BUSY_MILLISECONDS);
        schema_distrust(store->database);
    }
    /* closing copies the log into the database: not into a damaged one */
    bool opened = result == SQLITE_OK &&
                  sqlite3_db_config(store->database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL) == SQLITE_OK;
    opened = opened ? database_check(store, path, &version, error) : database_fail(store, path, "open", error);
    static const char settings[] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-8192; "
                                   "PRAGMA journal_size_limit=8388608";
    if (opened && sqlite3_exec(store->database, settings, NULL, NULL, NULL) != SQLITE_OK) {
        opened = database_fail(store, path, "open", error);
    }
    umask(kept);
    if (!opened) {
        return false;
    }
    sqlite3_db_config(store->database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    /* half of the reserve is enough space for what the log adds to the database */
    int64_t pages = store->reserve.bytes / 2 / PAGE_BYTES;
    sqlite3_wal_autocheckpoint(store->database, pages < LOG_PAGES ? (int)pages : LOG_PAGES);
    if (!schema_migrate(store->database, version)) {
        return database_fail(store, path, "prepare", error);
    }
    for (int i = 0; i < STATEMENTS; i++) {
        if (columns_prepare(store->database, statement_text[i], &store->statements[i]) != SQLITE_OK) {
            return database_fail(store, path, "prepare", error);
        }
    }
    store->purging = store->counts.purging = true; /* until it has checked */
    return directory_sync(directory, error);
}

/* Opening writes a little too: on a full disk into the space of the reserve. */
static bool reserve_open(struct store *store, const char *directory, char *error) {
    if (!reserve_init(&store->reserve, directory) || !stops_init(&store->stops, directory)) {
        snprintf(error, STORE_ERROR_BYTES, "the path of the data directory is too long");
        return false;
    }
    if (reserve_disk_free(&store->reserve) < store->reserve.bytes) {
        reserve_release(&store->reserve);
    }
    return true;
}

struct store *store_open(const char *directory, struct loop *loop, char error[STORE_ERROR_BYTES]) {
    struct store *store = calloc(1, sizeof *store);
    if (store == NULL) {
        snprintf(error, STORE_ERROR_BYTES, "out of memory");
        return NULL;
    }
    store->loop = loop;
    store->lock = store->database_lock = store->stops.descriptor = -1;
    store->last = &store->first;
    pthread_mutex_init(&store->mutex, NULL);
    histogram_init(&store->counts.commit, latency_bounds, latency_buckets);
    histogram_init(&store->counts.sync, latency_bounds, latency_buckets);
    pthread_cond_init(&store->wake, NULL);
    pthread_cond_init(&store->idle, NULL);
    if (!directory_lock(store, directory, error) || !reserve_open(store, directory, error) ||
        !database_open(store, directory, error)) {
        store_close(store);
        return NULL;
    }
    room_look(store);
    if (!thread_start(&store->writer, writer_main, store)) {
        snprintf(error, STORE_ERROR_BYTES, "cannot start the store's writer thread");
        store_close(store);
        return NULL;
    }
    store->writing = true;
    return store;
}

void store_close(struct store *store) {
    if (store == NULL) {
        return;
    }
    if (store->writing) {
        pthread_mutex_lock(&store->mutex);
        store->leave = true;
        pthread_cond_signal(&store->wake);
        pthread_mutex_unlock(&store->mutex);
        pthread_join(store->writer, NULL);
        /*
         * readers are still open, so closing alone would leave the log: after a shutdown there is one file, which may
         * be copied
         */
        sqlite3_exec(store->database, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
    }
    for (int i = 0; i < STATEMENTS; i++) {
        sqlite3_finalize(store->statements[i]);
    }
    sqlite3_close(store->database);
    if (store->database_lock >= 0) {
        close(store->database_lock);
    }
    if (store->lock >= 0) {
        close(store->lock);
    }
    stops_release(&store->stops);
    pthread_cond_destroy(&store->wake);
    pthread_cond_destroy(&store->idle);
    pthread_mutex_destroy(&store->mutex);
    free(store);
}

void store_crash_mark_take(const char *directory, char job[STORE_ID_BYTES]) {
    char path[4096], error[STORE_ERROR_BYTES];
    job[0] = '\0';
    if (!path_join(path, directory, "crashed", error)) {
        return;
    }
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = descriptor >= 0 ? read(descriptor, job, STORE_ID_BYTES - 1) : -1;
    job[size > 0 ? size : 0] = '\0';
    job[strcspn(job, "\n")] = '\0';
    if (descriptor >= 0) {
        close(descriptor);
    }
    (void)unlink(path);
}

int store_crash_mark_open(const char *directory) {
    char path[4096], error[STORE_ERROR_BYTES];
    if (!path_join(path, directory, "crashed", error)) {
        return -1;
    }
    return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

void store_mark_stopped(int mark) {
    /* where it cannot be written this counts as one kill, and it takes ten to hold a job */
    ssize_t written = mark >= 0 ? write(mark, STORE_STOPPED "\n", sizeof STORE_STOPPED) : 0;
    (void)written;
}
