/*
 * Schema: each version is what the one before was, changed. A new database walks the same way as an old one, so that
 * both end with the same tables.
 *
 * Never edit a version that has been in a release: databases of it exist.
 */
#include "server/store/schema.h"

#include <stdio.h>
#include <string.h>

#include "server/store/store.h"

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
 * Version 2: the digest of a job's events, its training time over all attempts, its data's digest, its memory; who
 * ended when.
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

/* Digests of the events that version 1 stored without. */
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

/* What leads to each version from the one before. */
static const struct {
    const char *statements;
    bool (*fill)(sqlite3 *database); /* NULL: nothing to fill in */
} steps[SCHEMA_VERSION] = {{schema_1, NULL}, {schema_2, events_digest}, {schema_3, NULL}, {schema_4, NULL}};

bool schema_migrate(sqlite3 *database, int from) {
    char version[64];
    if (from == SCHEMA_VERSION) {
        return true;
    }
    bool ok = sqlite3_exec(database, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK;
    for (int i = from; ok && i < SCHEMA_VERSION; i++) {
        ok = sqlite3_exec(database, steps[i].statements, NULL, NULL, NULL) == SQLITE_OK &&
             (steps[i].fill == NULL || steps[i].fill(database));
    }
    snprintf(version, sizeof version, "PRAGMA user_version=%d; COMMIT", SCHEMA_VERSION);
    ok = ok && sqlite3_exec(database, version, NULL, NULL, NULL) == SQLITE_OK;
    if (!ok && sqlite3_get_autocommit(database) == 0) {
        sqlite3_exec(database, "ROLLBACK", NULL, NULL, NULL);
    }
    return ok;
}
