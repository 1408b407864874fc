/*
 * The store's writer, first half: rows. The statements, what each item of a unit becomes, and what is left of deleted
 * jobs. The queue in front of it, its thread and the full disk are in rounds.c. See store.h. The writer's thread.
 *
 * Rejected: files for checkpoints (a crash could then separate a checkpoint from its event; as rows they are one
 * commit); a connection per thread for writing (SQLite has one writer anyway, and only a queue in front of it lets many
 * submissions share one fsync).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/job.h"
#include "server/store/columns.h"
#include "server/store/internal.h"

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
    EVENT_UNCOUNTED,
    CHECKPOINT_ADD,
    CHECKPOINT_TRIM,
    CHECKPOINT_THIN,
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
    EXPERIMENT_DELETE_JOBS,
    EXPERIMENT_DELETE_TRIALS,
    TRIAL_ADD,
    TRIALS_DELETE,
    TRIAL_FORGET,
    FINDING_ADD,
    FINDING_FORGET,
    ENDING_DELETE,
    ENDING_FORGET,
    TALLIES_DELETE,
    EVENT_NEXT,
    EVENTS_REOPEN,
    EXPERIMENT_PURGE,
    TRIALS_OF_JOB,
    CHECKPOINTS_DROP,
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
    [JOB_CAPTION] =
        "UPDATE jobs SET name=coalesce(?2, name), notes=coalesce(?3, notes), tags=coalesce(?4, tags), bytes=bytes+"
        "length(CAST(coalesce(?3, notes)||coalesce(?4, tags) AS BLOB))-length(CAST(notes||tags AS BLOB)) WHERE id=?1",
    [JOB_TAGS_ADD] = "INSERT OR IGNORE INTO job_tags (tag, job) SELECT value, j.number FROM jobs AS j, "
                     "json_each(j.tags) WHERE j.id=?1",
    [JOB_TAGS_DELETE] = "DELETE FROM job_tags WHERE job=(SELECT number FROM jobs WHERE id=?1)",
    [JOB_PURGE] = "INSERT INTO purges (job, number) SELECT id, number FROM jobs WHERE id=?1",
    [JOB_DELETE] = "DELETE FROM jobs WHERE id=?1",
    [JOB_DELETE_KEYS] = "DELETE FROM keys WHERE job=?1",
    [EXPERIMENT_ADD] = "{experiments:insert}",
    [EXPERIMENT_SET] = "{experiments:update}",
    [EXPERIMENT_DELETE] = "DELETE FROM experiments WHERE id=?1",
    [EXPERIMENT_DELETE_JOBS] =
        "UPDATE jobs SET (experiment, point)=(SELECT e.id, t.point FROM trials AS t JOIN experiments AS e ON "
        "e.number=t.experiment WHERE t.job=jobs.id ORDER BY e.number LIMIT 1) WHERE experiment=?1 AND point<>'' AND "
        "EXISTS (SELECT 1 FROM trials WHERE job=jobs.id)",
    [EXPERIMENT_DELETE_TRIALS] = "DELETE FROM trials WHERE experiment=(SELECT number FROM experiments WHERE id=?1)",
    [TRIAL_ADD] = "{trials:insert}",
    /* a trial whose findings are kept stays */
    [TRIALS_DELETE] = "DELETE FROM trials WHERE job=?1 AND NOT EXISTS (SELECT 1 FROM findings WHERE job=?1)",
    [TRIAL_FORGET] = "DELETE FROM trials WHERE experiment=?1 AND job=?2",
    [FINDING_ADD] = "{findings:replace}",
    [FINDING_FORGET] = "DELETE FROM findings WHERE job=?1 AND NOT EXISTS (SELECT 1 FROM trials WHERE job=?1)",
    [ENDING_DELETE] = "DELETE FROM endings WHERE job=?1",
    [ENDING_FORGET] = "DELETE FROM endings WHERE job=?1 AND NOT EXISTS (SELECT 1 FROM trials WHERE job=?1)",
    [TALLIES_DELETE] = "DELETE FROM tallies WHERE experiment=(SELECT number FROM experiments WHERE id=?1)",
    [EVENT_NEXT] = "SELECT coalesce(max(id), 0) + 1 FROM events WHERE job=?1",
    /* an experiment that goes on again: its last event does not end a stream any more */
    [EVENTS_REOPEN] = "UPDATE events SET terminal=0 WHERE job=?1 AND id=(SELECT max(id) FROM events WHERE job=?1)",
    [EXPERIMENT_PURGE] = "INSERT OR IGNORE INTO purges (job, number) VALUES (?1, 0)",
    [TRIALS_OF_JOB] = "SELECT count(*) FROM trials WHERE job=?1",
    [CHECKPOINTS_DROP] = "DELETE FROM checkpoints WHERE job=?1",
    [VIEW_PUT] = "INSERT OR REPLACE INTO views (name, document, changed) SELECT ?1, ?2, ?3 WHERE (SELECT count(*) FROM "
                 "views WHERE name<>?1)<?4",
    [VIEW_DELETE] = "DELETE FROM views WHERE name=?1",
    [EVENT_ADD] = "{events:insert}",
    [EVENT_UNCOUNTED] = "DELETE FROM events WHERE job=?1 AND id=0",
    [CHECKPOINT_ADD] = "{checkpoints:replace}",
    [CHECKPOINT_TRIM] =
        "DELETE FROM checkpoints WHERE job=?1 AND iteration NOT IN (SELECT iteration FROM checkpoints WHERE job=?1"
        " ORDER BY iteration DESC LIMIT ?2)",
    /* of those between the first and the newest the one whose neighbours are nearest to each other, by their ratio */
    [CHECKPOINT_THIN] =
        "DELETE FROM checkpoints WHERE job=?1 AND (SELECT count(*) FROM checkpoints WHERE job=?1) > ?2 AND iteration = "
        "(SELECT iteration FROM (SELECT iteration, lag(iteration) OVER w AS low, lead(iteration) OVER w AS high FROM "
        "checkpoints WHERE job=?1 WINDOW w AS (ORDER BY iteration)) WHERE low IS NOT NULL AND high IS NOT NULL ORDER "
        "BY "
        "high * 1.0 / max(low, 1), iteration LIMIT 1)",
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

bool writer_prepare(struct store *store) {
    bool prepared = (store->statements = calloc(STATEMENTS, sizeof(sqlite3_stmt *))) != NULL;
    for (int i = 0; prepared && i < STATEMENTS; i++) {
        prepared = columns_prepare(store->database, statement_text[i], &store->statements[i]) == SQLITE_OK;
    }
    return prepared;
}

void writer_release(struct store *store) {
    for (int i = 0; store->statements != NULL && i < STATEMENTS; i++) {
        sqlite3_finalize(store->statements[i]);
    }
    free(store->statements);
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
    static const enum statement all[] = {JOB_PURGE,     JOB_DELETE_KEYS, TRIALS_DELETE,
                                         ENDING_DELETE, JOB_TAGS_DELETE, JOB_DELETE};
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

/* The event of a changed caption, in place of the last one; the first alone counts among the job's bytes. */
static int event_add_uncounted(struct store *store, const struct store_event *event) {
    int result = job_run(store, EVENT_UNCOUNTED, event->job);
    bool first = sqlite3_changes(store->database) == 0;
    result = result == SQLITE_DONE ? record_write(store, EVENT_ADD, &record_events, COLUMN_ADD, event) : result;
    if (result != SQLITE_DONE || !first) {
        return result;
    }
    int64_t more = STORE_EVENT_OVERHEAD + (int64_t)strlen(event->json);
    sqlite3_stmt *s = store->statements[JOB_GROW];
    bind_text(s, 1, event->job);
    sqlite3_bind_int64(s, 2, more);
    store->grown += more;
    return statement_run(s);
}

/* The number of an experiment's event, which also comes first in its text. */
static int event_number(struct store *store, struct store_event *event) {
    sqlite3_stmt *s = store->statements[EVENT_NEXT];
    char *text = NULL;
    bind_text(s, 1, event->job);
    int result = sqlite3_step(s);
    int64_t id = sqlite3_column_int64(s, 0);
    sqlite3_reset(s);
    if (result != SQLITE_ROW) {
        return result;
    }
    if (asprintf(&text, "{\"id\":%lld,%s", (long long)id, event->json + 1) < 0) {
        return SQLITE_NOMEM;
    }
    free(event->json);
    event->json = text;
    event->id = id;
    return SQLITE_DONE;
}

static int event_add(struct store *store, struct store_event *event) {
    if (event->id == 0) {
        return event_add_uncounted(store, event);
    }
    int numbered = event->id == STORE_EVENT_UNNUMBERED ? event_number(store, event) : SQLITE_DONE;
    if (numbered != SQLITE_DONE) {
        return numbered;
    }
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
    sqlite3_stmt *s = store->statements[checkpoint->keep < 0 ? CHECKPOINT_THIN : CHECKPOINT_TRIM];
    bind_text(s, 1, checkpoint->job);
    sqlite3_bind_int(s, 2, checkpoint->keep != 0 ? abs(checkpoint->keep) : 1);
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

/*
 * Its trials have been forgotten before; its events are deleted in portions, soon after. Jobs that it made and others
 * hold pass to one of these, so that they go with the last.
 */
static int experiment_delete(struct store *store, const char *id) {
    static const enum statement all[] = {JOB_DELETE_KEYS,        EXPERIMENT_DELETE_TRIALS, TALLIES_DELETE,
                                         EXPERIMENT_DELETE_JOBS, EXPERIMENT_PURGE,         EXPERIMENT_DELETE};
    int result = SQLITE_DONE;
    for (size_t i = 0; result == SQLITE_DONE && i < sizeof all / sizeof *all; i++) {
        result = job_run(store, all[i], id);
    }
    store->purging = true;
    return result;
}

static int experiment_set(struct store *store, const struct store_experiment *experiment) {
    int result = record_write(store, EXPERIMENT_SET, &record_experiments, COLUMN_SET, experiment);
    return result == SQLITE_DONE && experiment->state < EXPERIMENT_COMPLETE
               ? job_run(store, EVENTS_REOPEN, experiment->id)
               : result;
}

static int trial_forget(struct store *store, const struct store_trial *trial) {
    static const enum statement all[] = {FINDING_FORGET, ENDING_FORGET};
    sqlite3_bind_int64(store->statements[TRIAL_FORGET], 1, trial->experiment);
    bind_text(store->statements[TRIAL_FORGET], 2, trial->job);
    int result = statement_run(store->statements[TRIAL_FORGET]);
    for (size_t i = 0; result == SQLITE_DONE && i < sizeof all / sizeof *all; i++) {
        result = job_run(store, all[i], trial->job);
    }
    return result;
}

/* The job's checkpoints go; what they took is counted off. */
static int checkpoints_drop(struct store *store, const char *job) {
    int64_t before = checkpoints_bytes(store, job);
    int result = before < 0 ? sqlite3_errcode(store->database) : job_run(store, CHECKPOINTS_DROP, job);
    if (result != SQLITE_DONE) {
        return result;
    }
    bind_text(store->statements[JOB_GROW], 1, job);
    sqlite3_bind_int64(store->statements[JOB_GROW], 2, -before);
    store->grown -= before;
    return statement_run(store->statements[JOB_GROW]);
}

/* A job whose trials have all been forgotten meanwhile leaves nothing. */
static int finding_add(struct store *store, struct store_finding *added) {
    sqlite3_stmt *s = store->statements[TRIALS_OF_JOB];
    bind_text(s, 1, added->job);
    int result = sqlite3_step(s);
    int64_t trials = result == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    sqlite3_reset(s);
    if (result != SQLITE_ROW) {
        return result;
    }
    added->dropped = added->dropped && trials == 1;
    result = trials == 0 ? SQLITE_DONE : record_write(store, FINDING_ADD, &record_findings, COLUMN_ADD, added);
    if (result == SQLITE_DONE && added->dropped) {
        result = checkpoints_drop(store, added->job);
    }
    return result == SQLITE_DONE ? job_run(store, ENDING_DELETE, added->job) : result;
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
        return experiment_set(store, &item->experiment);
    case STORE_EXPERIMENT_DELETE:
        return experiment_delete(store, item->experiment.id);
    case STORE_TRIAL_ADD:
        return trial_add(store, &item->trial);
    case STORE_TRIAL_FORGET:
        return trial_forget(store, &item->trial);
    case STORE_FINDING_ADD:
        return finding_add(store, &item->finding);
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

int units_commit(struct store *store, struct store_unit *units, double *synced) {
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

int purge_commit(struct store *store) {
    double synced;
    int found = database_do(store, "BEGIN IMMEDIATE") == SQLITE_OK ? purge_portion(store) : -1;
    return transaction_end(store, found < 0 ? SQLITE_ERROR : SQLITE_OK, &synced) == SQLITE_OK ? found : -1;
}
