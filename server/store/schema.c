/*
 * Schema: a new database is made from the records of columns.c and the tables and indexes below; an older one is
 * migrated version by version and ends with the same columns, tables and indexes (tests/unit/test_store_disk.c compares
 * them).
 *
 * A change is one version: SCHEMA_VERSION, a row of `steps`, and `since` at the columns, tables or indexes that it
 * adds. Never edit a version that has been released: databases of it exist.
 */
#include "server/store/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/job.h"
#include "server/store/columns.h"
#include "server/store/store.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

static const char schema_1[] =
    "CREATE TABLE jobs (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, document TEXT NOT NULL, "
    "digest TEXT NOT NULL,"
    " name TEXT NOT NULL, task TEXT NOT NULL, rule TEXT NOT NULL, status INTEGER NOT NULL, priority INTEGER NOT NULL, "
    "created INTEGER NOT "
    "NULL,"
    " started INTEGER NOT NULL DEFAULT 0, finished INTEGER NOT NULL DEFAULT 0, attempt INTEGER NOT NULL DEFAULT 1, "
    "iterations INTEGER NOT "
    "NULL,"
    " iteration INTEGER NOT NULL DEFAULT 0, loss REAL, accuracy REAL, trials_per_second REAL, error_code TEXT, "
    "error_detail TEXT,"
    " error_iteration INTEGER NOT NULL DEFAULT -1, weights_sha256 TEXT NOT NULL DEFAULT '', events INTEGER NOT NULL "
    "DEFAULT 0,"
    " crashes INTEGER NOT NULL DEFAULT 0, crash_iteration INTEGER NOT NULL DEFAULT -1, build TEXT, isa TEXT);"
    "CREATE INDEX jobs_queue ON jobs (status, priority DESC, number);"
    "CREATE TABLE events (seq INTEGER PRIMARY KEY, job TEXT NOT NULL, id INTEGER NOT NULL, time INTEGER NOT NULL, type "
    "TEXT NOT NULL,"
    " iteration INTEGER NOT NULL, terminal INTEGER NOT NULL, succeeded INTEGER NOT NULL, json TEXT NOT NULL, recheck "
    "TEXT);"
    "CREATE UNIQUE INDEX events_job ON events (job, id);"
    "CREATE INDEX events_progress ON events (job, iteration) WHERE recheck IS NOT NULL;"
    "CREATE TABLE checkpoints (job TEXT NOT NULL, iteration INTEGER NOT NULL, created INTEGER NOT NULL, loss REAL, "
    "sha256 TEXT NOT NULL,"
    " bytes BLOB NOT NULL, PRIMARY KEY (job, iteration));"
    "CREATE TABLE keys (key TEXT PRIMARY KEY, body TEXT NOT NULL, job TEXT NOT NULL, created INTEGER NOT NULL) WITHOUT "
    "ROWID;"
    "CREATE INDEX keys_job ON keys (job);";

/*
 * Version 2: the digest of a job's events, its training time over all attempts, its data's digest, its memory; which
 * jobs ended when.
 */
static const char schema_2[] = "ALTER TABLE jobs ADD COLUMN event_digest TEXT NOT NULL DEFAULT '';"
                               "ALTER TABLE jobs ADD COLUMN trained REAL NOT NULL DEFAULT 0;"
                               "ALTER TABLE jobs ADD COLUMN dataset_sha256 TEXT NOT NULL DEFAULT '';"
                               "ALTER TABLE jobs ADD COLUMN memory INTEGER NOT NULL DEFAULT 0;"
                               "CREATE INDEX jobs_finished ON jobs (finished, number) WHERE status>=5;";

/* Version 3: the request that submitted a job. */
static const char schema_3[] = "ALTER TABLE jobs ADD COLUMN request TEXT;";

/*
 * Version 4: the loss at iteration 0, which says whether a job diverged, and how far a job has come: the furthest of
 * its checkpoints and evaluations (iteration is the evaluation's alone).
 */
static const char schema_4[] =
    "ALTER TABLE jobs ADD COLUMN initial_loss REAL;"
    "ALTER TABLE jobs ADD COLUMN progressed INTEGER NOT NULL DEFAULT 0;"
    "UPDATE jobs SET progressed=max(iteration, coalesce((SELECT max(c.iteration) FROM checkpoints c WHERE "
    "c.job=jobs.id), 0)), initial_loss=(SELECT json_extract(e.json, '$.loss') FROM events e WHERE e.job=jobs.id AND "
    "e.iteration=0 AND e.recheck IS NOT NULL);";

#define WRITTEN_OUT 4 /* the versions up to this one are given above as they were released */

/* All records; those without a `since` are of those versions, and their columns may have grown since. */
static const struct record *const all_records[] = {&record_jobs,  &record_events,      &record_checkpoints,
                                                   &record_keys,  &record_experiments, &record_trials,
                                                   &record_views, &record_findings};

/* Tables of the store's own, and all indexes. `since`: the version that added them; WRITTEN_OUT for those before. */
static const struct {
    int since;
    const char *text;
} others[] = {
    {WRITTEN_OUT, "CREATE INDEX jobs_queue ON jobs (status, priority DESC, number);"},
    {WRITTEN_OUT, "CREATE INDEX jobs_finished ON jobs (finished, number) WHERE status>=5;"},
    {WRITTEN_OUT, "CREATE UNIQUE INDEX events_job ON events (job, id);"},
    {WRITTEN_OUT, "CREATE INDEX events_progress ON events (job, iteration) WHERE recheck IS NOT NULL;"},
    {WRITTEN_OUT, "CREATE INDEX keys_job ON keys (job);"},
    {6, "CREATE INDEX jobs_data ON jobs (dataset_sha256, number) WHERE task='dataset';"}, /* which job uses which
                                                                                           * data */
    {8, "CREATE INDEX jobs_status ON jobs (status, number);"},                            /* lists of one status */
    {5, "CREATE INDEX events_deleted ON events (seq) WHERE type='deleted';"},
    {9, "CREATE INDEX trials_job ON trials (job);"},                             /* who holds a job */
    {9, "CREATE INDEX jobs_made ON jobs (experiment, status) WHERE point<>'';"}, /* by an experiment */
    {9, "CREATE INDEX jobs_digest ON jobs (digest) WHERE status=5;"},            /* what may be reused */
    {9, "CREATE INDEX experiments_active ON experiments (number) WHERE state<6;"},
    /* lists by an exact value; the job's number follows in each by itself */
    {11, "CREATE INDEX jobs_task ON jobs (task);"},
    {11, "CREATE INDEX jobs_rule ON jobs (rule);"},
    {11, "CREATE INDEX jobs_seed ON jobs (seed);"},
    {11, "CREATE INDEX jobs_name ON jobs (name COLLATE NOCASE) WHERE name<>'';"},
    {11, "CREATE INDEX jobs_experiment ON jobs (experiment COLLATE NOCASE) WHERE experiment<>'';"},
    /* the tags of jobs, by the job's number */
    {11, "CREATE TABLE job_tags (tag TEXT NOT NULL COLLATE NOCASE, job INTEGER NOT NULL, PRIMARY KEY (tag, job)) "
         "WITHOUT ROWID;"
         "CREATE INDEX job_tags_job ON job_tags (job);"},
    {12, "CREATE INDEX jobs_identity ON jobs (identity) WHERE status=5 AND identity<>'';"}, /* the same */
    /* how many trials of an experiment have jobs of which status; kept by the triggers below */
    {12, "CREATE TABLE tallies (experiment INTEGER NOT NULL, status INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY "
         "KEY (experiment, status)) WITHOUT ROWID;"},
    /* jobs of trials that have ended and whose results are to be kept */
    {12, "CREATE TABLE endings (job TEXT PRIMARY KEY) WITHOUT ROWID;"},
    {12, "CREATE TRIGGER trials_added AFTER INSERT ON trials BEGIN "
         "INSERT INTO tallies SELECT NEW.experiment, status, 1 FROM jobs WHERE id=NEW.job ON CONFLICT DO UPDATE SET "
         "count=count+1; "
         "INSERT OR IGNORE INTO endings SELECT id FROM jobs WHERE id=NEW.job AND status>=5 AND NOT EXISTS (SELECT 1 "
         "FROM findings WHERE job=NEW.job); END;"},
    {12, "CREATE TRIGGER trials_moved AFTER UPDATE OF status ON jobs WHEN OLD.status<>NEW.status AND NEW.point<>'' "
         "BEGIN "
         "UPDATE tallies SET count=count-1 WHERE status=OLD.status AND experiment IN (SELECT experiment FROM trials "
         "WHERE job=NEW.id); "
         "INSERT INTO tallies SELECT experiment, NEW.status, 1 FROM trials WHERE job=NEW.id ON CONFLICT DO UPDATE SET "
         "count=count+1; "
         "INSERT OR IGNORE INTO endings SELECT NEW.id WHERE NEW.status>=5 AND EXISTS (SELECT 1 FROM trials WHERE "
         "job=NEW.id); END;"},
    {12, "CREATE TRIGGER trials_removed BEFORE DELETE ON trials BEGIN "
         "UPDATE tallies SET count=count-1 WHERE experiment=OLD.experiment AND status=coalesce((SELECT status FROM "
         "jobs WHERE id=OLD.job), (SELECT status FROM findings WHERE job=OLD.job)); END;"},
    /* documents that are too large for lists, by the number of the job, whose row has the brief one */
    {5, "CREATE TABLE documents (number INTEGER PRIMARY KEY, text TEXT NOT NULL);"},
    /* the evaluations that an extended job inherits, by its number */
    {10, "CREATE TABLE histories (number INTEGER PRIMARY KEY, text TEXT NOT NULL);"},
    /* sums that are updated with every commit */
    {5, "CREATE TABLE totals (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
        "INSERT INTO totals VALUES ('bytes', 0);"},
    /* deleted jobs whose events, checkpoints or document are still there */
    {5, "CREATE TABLE purges (job TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;"},
};

void schema_distrust(sqlite3 *database) {
    sqlite3_db_config(database, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_exec(database, "PRAGMA cell_size_check=ON", NULL, NULL, NULL);
}

int schema_version(sqlite3 *database) {
    sqlite3_stmt *statement = NULL;
    int version = -1;
    if (sqlite3_prepare_v2(database, "PRAGMA user_version", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        version = sqlite3_column_int(statement, 0);
    }
    sqlite3_finalize(statement);
    return version;
}

bool statuses_are_known(sqlite3 *database) {
    char text[96];
    sqlite3_stmt *statement = NULL;
    snprintf(text, sizeof text, "SELECT 1 FROM jobs NOT INDEXED WHERE status NOT BETWEEN 0 AND %d LIMIT 1",
             JOB_STATUSES - 1);
    bool known = sqlite3_prepare_v2(database, text, -1, &statement, NULL) == SQLITE_OK &&
                 sqlite3_step(statement) == SQLITE_DONE;
    sqlite3_finalize(statement);
    return known;
}

static bool digest_store(sqlite3_stmt *update, const char *job, const char *digest) {
    sqlite3_bind_text(update, 1, job, -1, SQLITE_STATIC);
    sqlite3_bind_text(update, 2, digest, -1, SQLITE_STATIC);
    int result = sqlite3_step(update);
    sqlite3_reset(update);
    return result == SQLITE_DONE;
}

/* Digests of the events, which version 1 stored without. */
static bool events_digest(sqlite3 *database) {
    sqlite3_stmt *read = NULL, *update = NULL;
    char job[STORE_ID_BYTES] = "", digest[STORE_HASH_BYTES] = "";
    bool ok = sqlite3_prepare_v2(database, "SELECT job, json FROM events ORDER BY job, id", -1, &read, NULL) ==
                  SQLITE_OK &&
              sqlite3_prepare_v2(database, "UPDATE jobs SET event_digest=?2 WHERE id=?1", -1, &update, NULL) ==
                  SQLITE_OK;
    int step = SQLITE_DONE;
    while (ok && (step = sqlite3_step(read)) == SQLITE_ROW) {
        const char *of = (const char *)sqlite3_column_text(read, 0), *json = (const char *)sqlite3_column_text(read, 1);
        if (of == NULL || json == NULL) {
            ok = false;
        } else if (strcmp(of, job) != 0) {
            ok = digest_store(update, job, digest);
            snprintf(job, sizeof job, "%s", of);
            digest[0] = '\0';
        }
        if (ok) {
            event_digest_add(digest, json);
        }
    }
    ok = ok && step == SQLITE_DONE && digest_store(update, job, digest);
    sqlite3_finalize(read);
    sqlite3_finalize(update);
    return ok;
}

/* Moves a document that holds weights out of its row, which keeps the brief one. */
static bool document_part(sqlite3_stmt *insert, sqlite3_stmt *update, int64_t number, const char *text) {
    char *brief = NULL;
    if (text == NULL || !job_spec_brief_text(text, &brief)) {
        return false;
    }
    if (brief == NULL) {
        return true;
    }
    sqlite3_bind_int64(insert, 1, number);
    sqlite3_bind_text(insert, 2, text, -1, SQLITE_STATIC);
    sqlite3_bind_int64(update, 1, number);
    sqlite3_bind_text(update, 2, brief, -1, SQLITE_STATIC);
    bool done = sqlite3_step(insert) == SQLITE_DONE && sqlite3_step(update) == SQLITE_DONE;
    sqlite3_reset(insert);
    sqlite3_reset(update);
    free(brief);
    return done;
}

static bool documents_part(sqlite3 *database) {
    sqlite3_stmt *read = NULL, *insert = NULL, *update = NULL;
    bool ok = sqlite3_prepare_v2(database, "SELECT number, document FROM jobs", -1, &read, NULL) == SQLITE_OK &&
              sqlite3_prepare_v2(database, "INSERT INTO documents VALUES (?1, ?2)", -1, &insert, NULL) == SQLITE_OK &&
              sqlite3_prepare_v2(database, "UPDATE jobs SET document=?2 WHERE number=?1", -1, &update, NULL) ==
                  SQLITE_OK;
    int step = SQLITE_DONE;
    while (ok && (step = sqlite3_step(read)) == SQLITE_ROW) {
        ok = document_part(insert, update, sqlite3_column_int64(read, 0), (const char *)sqlite3_column_text(read, 1));
    }
    sqlite3_finalize(read);
    sqlite3_finalize(insert);
    sqlite3_finalize(update);
    return ok && step == SQLITE_DONE;
}

/* Counts what versions before 5 did not, as the writer would have. */
static bool bytes_sum(sqlite3 *database) {
    char text[1024];
    snprintf(
        text, sizeof text,
        "UPDATE jobs SET bytes = %d + length(document) + coalesce((SELECT length(text) FROM documents AS d WHERE "
        "d.number=jobs.number), 0)"
        " + (SELECT coalesce(sum(length(bytes) + %d), 0) FROM checkpoints WHERE job=id)"
        " + (SELECT coalesce(sum(length(json) + coalesce(length(recheck), 0) + %d), 0) FROM events WHERE job=jobs.id);"
        "UPDATE totals SET value = (SELECT coalesce(sum(bytes), 0) FROM jobs) WHERE name='bytes'",
        STORE_JOB_OVERHEAD, STORE_CHECKPOINT_OVERHEAD, STORE_EVENT_OVERHEAD);
    return sqlite3_exec(database, text, NULL, NULL, NULL) == SQLITE_OK;
}

static bool fill_5(sqlite3 *database) {
    return documents_part(database) && bytes_sum(database);
}

/* Seeds, which were in the documents alone. A damaged document costs no more than its own. */
static bool seeds_fill(sqlite3 *database) {
    static const char text[] = "UPDATE jobs SET seed=coalesce(json_extract(document, '$.seed'), 1) WHERE "
                               "json_valid(document)";
    return sqlite3_exec(database, text, NULL, NULL, NULL) == SQLITE_OK;
}

/* What the triggers of version 12 would have kept. */
static bool tallies_fill(sqlite3 *database) {
    return sqlite3_exec(database,
                        "INSERT INTO tallies SELECT t.experiment, j.status, count(*) FROM trials AS t, jobs AS j WHERE "
                        "j.id=t.job GROUP BY 1, 2;"
                        "INSERT INTO endings SELECT DISTINCT t.job FROM trials AS t, jobs AS j WHERE j.id=t.job AND "
                        "j.status>=5",
                        NULL, NULL, NULL) == SQLITE_OK;
}

/* The step to each version from the previous one: its own statements, then what its `since` adds, then `fill`. */
static const struct {
    const char *statements;
    bool (*fill)(sqlite3 *database); /* NULL: nothing to fill in */
} steps[SCHEMA_VERSION] = {{schema_1, NULL}, {schema_2, events_digest},
                           {schema_3, NULL}, {schema_4, NULL},
                           {"", fill_5},     {"", NULL},
                           {"", NULL},       {"", NULL},
                           {"", NULL},       {"", NULL},
                           {"", seeds_fill}, {"", tallies_fill},
                           {"", NULL}};

/* Runs and frees a generated text; false for NULL too. */
static bool made_run(sqlite3 *database, char *text) {
    bool done = text != NULL && sqlite3_exec(database, text, NULL, NULL, NULL) == SQLITE_OK;
    free(text);
    return done;
}

/* Tables and indexes of the versions after `from`, up to `to`. */
static bool others_create(sqlite3 *database, int from, int to) {
    bool done = true;
    for (size_t i = 0; done && i < COUNT(others); i++) {
        done = others[i].since <= from || others[i].since > to ||
               sqlite3_exec(database, others[i].text, NULL, NULL, NULL) == SQLITE_OK;
    }
    return done;
}

static bool newest_create(sqlite3 *database) {
    bool done = true;
    for (size_t i = 0; done && i < COUNT(all_records); i++) {
        done = made_run(database, record_create_text(all_records[i]));
    }
    return done && others_create(database, 0, SCHEMA_VERSION);
}

/* From the previous version. */
static bool version_step(sqlite3 *database, int version) {
    bool done = sqlite3_exec(database, steps[version - 1].statements, NULL, NULL, NULL) == SQLITE_OK;
    for (size_t i = 0; done && version > WRITTEN_OUT && i < COUNT(all_records); i++) {
        const struct record *record = all_records[i];
        done = made_run(database,
                        record->since == version ? record_create_text(record) : record_alter_text(record, version));
    }
    return done && (version <= WRITTEN_OUT || others_create(database, version - 1, version)) &&
           (steps[version - 1].fill == NULL || steps[version - 1].fill(database));
}

bool schema_migrate(sqlite3 *database, int from) {
    char version[64];
    if (from == SCHEMA_VERSION) {
        return true;
    }
    bool ok = sqlite3_exec(database, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK;
    if (ok && from == 0) {
        ok = newest_create(database);
    }
    for (int next = from + 1; ok && from > 0 && next <= SCHEMA_VERSION; next++) {
        ok = version_step(database, next);
    }
    snprintf(version, sizeof version, "PRAGMA user_version=%d; COMMIT", SCHEMA_VERSION);
    ok = ok && sqlite3_exec(database, version, NULL, NULL, NULL) == SQLITE_OK;
    if (!ok && sqlite3_get_autocommit(database) == 0) {
        sqlite3_exec(database, "ROLLBACK", NULL, NULL, NULL);
    }
    return ok;
}
