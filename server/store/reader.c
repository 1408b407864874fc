/* The store's readers: one read-only connection each, with statements prepared on first use and kept; and backup,
 * which is a reader too. See store.h. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/base/reading.h"
#include "server/store/columns.h"
#include "server/store/reader.h"
#include "server/store/schema.h"

#define PAGE_BYTES 4096 /* of the database; a measure, not a limit */

enum query {
    JOB_READ,
    DOCUMENT_READ,
    HISTORY_READ,
    JOB_QUEUED_READ,
    QUEUE_READ,
    JOBS_COUNT,
    QUEUE_SINCE,
    JOBS_WITH,
    EVENTS_OF_JOB,
    EVENTS_OF_ALL,
    PROGRESS_READ,
    PROGRESS_CHECK,
    SEQ_LAST,
    ID_LAST,
    CHECKPOINTS_LIST,
    CHECKPOINTS_NEWEST,
    CHECKPOINT_READ,
    KEY_READ,
    ORPHANS,
    TOTALS_CHECK,
    BYTES_USED,
    BYTES_FILE,
    BYTES_FREE,
    JOBS_OLDEST,
    DATA_HOLDERS,
    DATA_JOBS,
    DATA_UNKNOWN,
    EXPERIMENT_READ,
    EXPERIMENTS_ACTIVE,
    TRIALS_ALL,
    TRIALS_CURVES,
    TRIAL_EXISTS,
    JOB_HELD,
    TRIALS_COUNT,
    EXPERIMENT_JOBS,
    JOBS_SAME,
    ENDINGS_READ,
    TRIALS_LEFT,
    FINDING_READ,
    FINDINGS_ALL,
    EXPERIMENT_LAST,
    TALLIES_CHECK,
    QUERIES
};

_Static_assert(QUERIES <= READER_QUERIES, "room for the statements");

/* columns_prepare fills in the names. */
static const char *const query_text[QUERIES] = {
    [JOB_READ] = "SELECT {jobs} FROM jobs WHERE id=?1",
    [DOCUMENT_READ] =
        "SELECT coalesce((SELECT text FROM documents AS d WHERE d.number=jobs.number), document) FROM jobs "
        "WHERE id=?1",
    [HISTORY_READ] = "SELECT text FROM histories WHERE number=(SELECT number FROM jobs WHERE id=?1)",
    [JOB_QUEUED_READ] = "SELECT {jobs} FROM jobs WHERE number=?1 AND status=0",
    [QUEUE_READ] = "SELECT priority, number, owner, experiment FROM jobs WHERE status=0 ORDER BY priority DESC, number",
    [JOBS_COUNT] = "SELECT count(*) FROM jobs WHERE status=?1",
    [QUEUE_SINCE] = "SELECT coalesce((SELECT time FROM events WHERE (job, id) ="
                    " (SELECT id, events FROM jobs WHERE status=0 ORDER BY priority DESC, number LIMIT 1)), 0)",
    [JOBS_WITH] = "SELECT {jobs} FROM jobs WHERE (1<<status)&?1 ORDER BY number",
    [EVENTS_OF_JOB] = "SELECT {events} FROM events WHERE job=?1 AND id>?2 ORDER BY id LIMIT ?3",
    [EVENTS_OF_ALL] = "SELECT {events} FROM events WHERE seq>?2 ORDER BY seq LIMIT ?3",
    [PROGRESS_READ] =
        "SELECT {events} FROM events WHERE job=?1 AND recheck IS NOT NULL AND iteration BETWEEN ?2 AND ?3 ORDER BY "
        "iteration",
    [PROGRESS_CHECK] = "SELECT recheck FROM events WHERE job=?1 AND iteration=?2 AND recheck IS NOT NULL",
    [SEQ_LAST] = "SELECT coalesce(max(seq),0) FROM events",
    [ID_LAST] = "SELECT id FROM jobs ORDER BY number DESC LIMIT 1",
    [CHECKPOINTS_LIST] = "SELECT {checkpoints}, length(bytes) FROM checkpoints WHERE job=?1 ORDER BY iteration DESC",
    [CHECKPOINTS_NEWEST] =
        "SELECT {checkpoints}, length(bytes), bytes FROM checkpoints WHERE job=?1 ORDER BY iteration DESC",
    [CHECKPOINT_READ] = "SELECT {checkpoints}, length(bytes), bytes FROM checkpoints WHERE job=?1 AND iteration=?2",
    [KEY_READ] = "SELECT {keys} FROM keys WHERE key=?1",
    [ORPHANS] =
        "WITH known(id) AS (SELECT id FROM jobs UNION ALL SELECT job FROM purges UNION ALL SELECT id FROM experiments)"
        " SELECT (SELECT count(*) FROM events WHERE type<>'deleted' AND job NOT IN known) +"
        " (SELECT count(*) FROM checkpoints WHERE job NOT IN known) + (SELECT count(*) FROM keys WHERE job NOT IN "
        "known)"
        " + (SELECT count(*) FROM trials WHERE (job NOT IN (SELECT id FROM jobs) AND job NOT IN (SELECT job FROM "
        "findings)) OR experiment NOT IN (SELECT number FROM experiments))"
        " + (SELECT count(*) FROM findings WHERE job NOT IN (SELECT job FROM trials))"
        " + (SELECT count(*) FROM job_tags WHERE job NOT IN (SELECT number FROM jobs))"
        " + (SELECT count(*) FROM (SELECT number FROM documents UNION ALL SELECT number FROM histories) WHERE number "
        "NOT IN (SELECT number FROM jobs UNION ALL SELECT number FROM purges))",
    [TOTALS_CHECK] =
        "SELECT (SELECT coalesce(sum(bytes), 0) FROM jobs) = (SELECT value FROM totals WHERE name='bytes')",
    [BYTES_USED] = "SELECT value FROM totals WHERE name='bytes'",
    [BYTES_FILE] = "SELECT p.page_count * s.page_size FROM pragma_page_count AS p, pragma_page_size AS s",
    [BYTES_FREE] = "SELECT f.freelist_count * s.page_size FROM pragma_freelist_count AS f, pragma_page_size AS s",
    [JOBS_OLDEST] = "SELECT id, finished, bytes FROM jobs WHERE status>=5 AND NOT EXISTS (SELECT 1 FROM trials WHERE "
                    "job=jobs.id EXCEPT SELECT 1 FROM findings WHERE job=jobs.id) ORDER BY finished, number LIMIT ?1",
    [DATA_HOLDERS] = "SELECT dataset_sha256, count(*) FROM jobs WHERE task='dataset' AND dataset_sha256<>'' GROUP BY "
                     "dataset_sha256",
    [DATA_JOBS] = "SELECT id, number FROM jobs WHERE task='dataset' AND dataset_sha256=?1 AND number<?2 ORDER BY "
                  "number DESC LIMIT ?3",
    [DATA_UNKNOWN] = "SELECT id, number FROM jobs WHERE task='dataset' AND dataset_sha256='' ORDER BY number",
    [EXPERIMENT_READ] = "SELECT {experiments} FROM experiments WHERE id=?1 AND state<>4",
    [EXPERIMENTS_ACTIVE] =
        "SELECT {experiments} FROM experiments WHERE number<?1 AND state<6 ORDER BY number DESC LIMIT ?2",
    [TRIALS_ALL] = "SELECT t.*, {findings}, NOT EXISTS (SELECT 1 FROM jobs WHERE id=t.job) FROM (SELECT {trials} FROM "
                   "trials WHERE "
                   "experiment=?1) AS t LEFT JOIN findings USING (job) ORDER BY point, seed",
    [TRIALS_CURVES] = "SELECT t.*, {findings}, NOT EXISTS (SELECT 1 FROM jobs WHERE id=t.job), curves FROM (SELECT "
                      "{trials} FROM trials WHERE experiment=?1) AS t LEFT "
                      "JOIN findings USING (job) ORDER BY point, seed",
    [TRIAL_EXISTS] = "SELECT count(*) FROM trials WHERE experiment=?1 AND point=?2 AND seed=?3",
    [JOB_HELD] = "SELECT EXISTS (SELECT 1 FROM trials WHERE job=?1)",
    [TRIALS_COUNT] = "SELECT status, count FROM tallies WHERE experiment=?1 AND count>0",
    [EXPERIMENT_JOBS] =
        "SELECT id, status FROM jobs WHERE experiment=?1 AND point<>'' AND status=?2 AND NOT EXISTS (SELECT 1 FROM "
        "trials AS t WHERE t.job=jobs.id AND t.experiment<>?4) LIMIT ?3",
    [JOBS_SAME] = "SELECT {jobs} FROM jobs WHERE number IN (SELECT number FROM jobs WHERE digest=?1 AND status=5 UNION "
                  "SELECT number FROM jobs WHERE identity=?4 AND identity<>'' AND status=5) AND dataset_sha256=?2 AND "
                  "build=?3 AND (?5=0 OR EXISTS (SELECT 1 FROM checkpoints WHERE job=id AND "
                  "checkpoints.iteration=jobs.progressed)) ORDER BY number DESC",
    [ENDINGS_READ] = "SELECT job, 0 FROM endings LIMIT ?1",
    [TRIALS_LEFT] = "SELECT t.job, 0 FROM trials AS t LEFT JOIN findings AS r ON r.job=t.job WHERE t.experiment=?1 AND "
                    "(?2=0 OR (r.status IN (6, 7) AND NOT EXISTS (SELECT 1 FROM jobs WHERE id=t.job))) LIMIT ?3",
    [FINDING_READ] = "SELECT {findings}, 0, curves FROM findings WHERE job=?1",
    [FINDINGS_ALL] =
        "SELECT {findings}, NOT EXISTS (SELECT 1 FROM jobs WHERE id=job), curves FROM findings ORDER BY job",
    [EXPERIMENT_LAST] = "SELECT state, (SELECT coalesce(max(id), 0) FROM events WHERE job=?1) FROM experiments WHERE "
                        "id=?1 AND state<>4",
    [TALLIES_CHECK] = "SELECT count(*) FROM experiments AS e WHERE (SELECT coalesce(sum(count), 0) FROM tallies WHERE "
                      "experiment=e.number) <> (SELECT count(*) FROM trials WHERE experiment=e.number)",
};

struct store_reader *store_reader_open(const char *directory, char error[STORE_ERROR_BYTES]) {
    char path[4096];
    struct store_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL || snprintf(path, sizeof path, "%s/modprop.db", directory) >= (int)sizeof path) {
        snprintf(error, STORE_ERROR_BYTES, "out of memory");
        free(reader);
        return NULL;
    }
    if (sqlite3_open_v2(path, &reader->database, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
        snprintf(error, STORE_ERROR_BYTES, "cannot open the database %.300s: %s", path,
                 sqlite3_errmsg(reader->database));
        store_reader_close(reader);
        return NULL;
    }
    sqlite3_busy_timeout(reader->database, 5000);
    schema_distrust(reader->database);
    int version = schema_version(reader->database);
    if (version != SCHEMA_VERSION) {
        snprintf(error, STORE_ERROR_BYTES, "the database %.300s %s", path,
                 version < 0                ? "is damaged or cannot be read"
                 : version > SCHEMA_VERSION ? "was written by a newer modprop: use that version"
                                            : "was written by an older modprop: start the daemon on it once");
        store_reader_close(reader);
        return NULL;
    }
    return reader;
}

void store_reader_close(struct store_reader *reader) {
    if (reader == NULL) {
        return;
    }
    for (int i = 0; i < READER_QUERIES; i++) {
        sqlite3_finalize(reader->queries[i]);
    }
    for (int i = 0; i < READER_LISTS; i++) {
        sqlite3_finalize(reader->lists[i]);
    }
    sqlite3_close(reader->database);
    free(reader);
}

/* The statement, ready to be bound; NULL on failure. */
static sqlite3_stmt *query_begin(struct store_reader *reader, enum query query) {
    sqlite3_stmt **statement = &reader->queries[query];
    if (*statement == NULL && columns_prepare(reader->database, query_text[query], statement) != SQLITE_OK) {
        return NULL;
    }
    return *statement;
}

void query_end(sqlite3_stmt *statement) {
    sqlite3 *database = sqlite3_db_handle(statement);
    int hit = 0, miss = 0, highest;
    sqlite3_db_status(database, SQLITE_DBSTATUS_CACHE_HIT, &hit, &highest, 1);
    sqlite3_db_status(database, SQLITE_DBSTATUS_CACHE_MISS, &miss, &highest, 1);
    reading_add((uint64_t)sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_VM_STEP, 1),
                (uint64_t)(hit + miss) * PAGE_BYTES);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
}

static char *column_copy(sqlite3_stmt *s, int at) {
    const char *text = (const char *)sqlite3_column_text(s, at);
    return text == NULL ? NULL : strdup(text);
}

static void column_fixed(sqlite3_stmt *s, int at, char *to, size_t room) {
    const char *text = (const char *)sqlite3_column_text(s, at);
    snprintf(to, room, "%s", text == NULL ? "" : text);
}

bool job_fill(sqlite3_stmt *s, struct store_job *job, bool borrow) {
    *job = (struct store_job){0};
    bool whole = record_read(s, &record_jobs, job, borrow);
    bool known = (int)job->status >= 0 && job->status < JOB_STATUSES; /* else it would index beyond its names */
    return whole && known && job->brief != NULL && job->name != NULL && job->task != NULL && job->rule != NULL &&
           job->notes != NULL && job->tags != NULL;
}

/* Ends the query. */
static int job_read(sqlite3_stmt *s, struct store_job *job) {
    int step = sqlite3_step(s), found = step == SQLITE_ROW ? 1 : step == SQLITE_DONE ? 0 : -1;
    if (found == 1 && !job_fill(s, job, false)) {
        store_job_release(job);
        found = -1;
    }
    query_end(s);
    return found;
}

int store_job_read(struct store_reader *reader, const char *id, struct store_job *job) {
    sqlite3_stmt *s = query_begin(reader, JOB_READ);
    if (s == NULL) {
        return -1;
    }
    sqlite3_bind_text(s, 1, id, -1, SQLITE_STATIC);
    return job_read(s, job);
}

/* A text of the job; malloc'ed. 1, 0, -1. */
static int text_read(struct store_reader *reader, enum query query, const char *id, char **text) {
    sqlite3_stmt *s = query_begin(reader, query);
    if (s == NULL) {
        return -1;
    }
    sqlite3_bind_text(s, 1, id, -1, SQLITE_STATIC);
    int step = sqlite3_step(s), found = step == SQLITE_ROW ? 1 : step == SQLITE_DONE ? 0 : -1;
    if (found == 1) {
        *text = column_copy(s, 0);
        found = *text != NULL ? 1 : -1;
    }
    query_end(s);
    return found;
}

int store_document_read(struct store_reader *reader, const char *id, char **document) {
    return text_read(reader, DOCUMENT_READ, id, document);
}

int store_history_read(struct store_reader *reader, const char *id, char **history) {
    return text_read(reader, HISTORY_READ, id, history);
}

int store_job_queued(struct store_reader *reader, int64_t number, struct store_job *job) {
    sqlite3_stmt *s = query_begin(reader, JOB_QUEUED_READ);
    if (s == NULL) {
        return -1;
    }
    sqlite3_bind_int64(s, 1, number);
    return job_read(s, job);
}

static int64_t number_query(sqlite3_stmt *s) {
    int64_t number = s != NULL && sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : -1;
    if (s != NULL) {
        query_end(s);
    }
    return number;
}

int store_queue_read(struct store_reader *reader, bool (*each)(void *user, const struct store_job *job), void *user) {
    sqlite3_stmt *s = query_begin(reader, QUEUE_READ);
    int count = 0, step = s == NULL ? SQLITE_ERROR : SQLITE_ROW;
    while (step == SQLITE_ROW && (step = sqlite3_step(s)) == SQLITE_ROW) {
        const char *owner = (const char *)sqlite3_column_text(s, 2),
                   *experiment = (const char *)sqlite3_column_text(s, 3);
        struct store_job job = {.priority = sqlite3_column_int(s, 0), .number = sqlite3_column_int64(s, 1)};
        snprintf(job.owner, sizeof job.owner, "%s", owner == NULL ? "" : owner);
        snprintf(job.experiment, sizeof job.experiment, "%s", experiment == NULL ? "" : experiment);
        count++;
        step = each(user, &job) ? SQLITE_ROW : SQLITE_NOMEM;
    }
    if (s != NULL) {
        query_end(s);
    }
    return step == SQLITE_DONE ? count : -1;
}

int64_t store_jobs_count(struct store_reader *reader, enum job_status status) {
    sqlite3_stmt *s = query_begin(reader, JOBS_COUNT);
    if (s != NULL) {
        sqlite3_bind_int(s, 1, (int)status);
    }
    return number_query(s);
}

int64_t store_queue_since(struct store_reader *reader) {
    return number_query(query_begin(reader, QUEUE_SINCE));
}

/* Calls `each` with a text and a number from every row. */
static int pairs_each(sqlite3_stmt *s, bool (*each)(void *user, const char *text, int64_t number), void *user) {
    int count = 0, step;
    while ((step = sqlite3_step(s)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(s, 0);
        count++;
        if (text == NULL || !each(user, text, sqlite3_column_int64(s, 1))) {
            step = text == NULL ? SQLITE_NOMEM : SQLITE_DONE;
            break;
        }
    }
    query_end(s);
    return step == SQLITE_DONE ? count : -1;
}

int store_data_holders(struct store_reader *reader, bool (*each)(void *user, const char *sha256, int64_t jobs),
                       void *user) {
    sqlite3_stmt *s = query_begin(reader, DATA_HOLDERS);
    return s == NULL ? -1 : pairs_each(s, each, user);
}

int store_data_jobs(struct store_reader *reader, const char *sha256, int64_t before, int limit,
                    bool (*each)(void *user, const char *id, int64_t number), void *user) {
    sqlite3_stmt *s = query_begin(reader, DATA_JOBS);
    if (s == NULL) {
        return -1;
    }
    sqlite3_bind_text(s, 1, sha256, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 2, before);
    sqlite3_bind_int(s, 3, limit);
    return pairs_each(s, each, user);
}

int store_data_unknown(struct store_reader *reader, bool (*each)(void *user, const char *id, int64_t number),
                       void *user) {
    sqlite3_stmt *s = query_begin(reader, DATA_UNKNOWN);
    return s == NULL ? -1 : pairs_each(s, each, user);
}

int64_t store_seq_last(struct store_reader *reader) {
    return number_query(query_begin(reader, SEQ_LAST));
}

int64_t store_id_time_last(struct store_reader *reader) {
    sqlite3_stmt *s = query_begin(reader, ID_LAST);
    unsigned long long high = 0, low = 0;
    if (s == NULL) {
        return 0;
    }
    bool found = sqlite3_step(s) == SQLITE_ROW;
    if (found) {
        char *end;
        high = strtoull((const char *)sqlite3_column_text(s, 0), &end, 16);
        found = *end == '-';
        low = found ? strtoull(end + 1, &end, 16) : 0;
        found = found && *end == '-';
    }
    query_end(s);
    return found ? (int64_t)(high << 16 | low) : 0;
}

static int jobs_each(sqlite3_stmt *s, bool (*each)(void *user, const struct store_job *job), void *user) {
    int count = 0, step;
    while ((step = sqlite3_step(s)) == SQLITE_ROW) {
        struct store_job job;
        bool filled = job_fill(s, &job, false), go_on = filled && each(user, &job);
        store_job_release(&job);
        count++;
        if (!go_on) {
            step = filled ? SQLITE_DONE : SQLITE_NOMEM;
            break;
        }
    }
    query_end(s);
    return step == SQLITE_DONE ? count : -1;
}

int store_jobs_with(struct store_reader *reader, unsigned statuses,
                    bool (*each)(void *user, const struct store_job *job), void *user) {
    sqlite3_stmt *s = query_begin(reader, JOBS_WITH);
    if (s == NULL) {
        return -1;
    }
    sqlite3_bind_int(s, 1, (int)statuses);
    return jobs_each(s, each, user);
}

static int events_each(sqlite3_stmt *s, bool (*each)(void *user, const struct store_event *event), void *user) {
    int count = 0, step;
    while ((step = sqlite3_step(s)) == SQLITE_ROW) {
        struct store_event event = {0};
        bool whole = record_read(s, &record_events, &event, true);
        count++;
        if (!whole || event.json == NULL || !each(user, &event)) {
            step = !whole || event.json == NULL ? SQLITE_NOMEM : SQLITE_DONE;
            break;
        }
    }
    query_end(s);
    return step == SQLITE_DONE ? count : -1;
}

int store_events_read(struct store_reader *reader, const char *job, int64_t after, int limit,
                      bool (*each)(void *user, const struct store_event *event), void *user) {
    sqlite3_stmt *s = query_begin(reader, job != NULL ? EVENTS_OF_JOB : EVENTS_OF_ALL);
    if (s == NULL) {
        return -1;
    }
    if (job != NULL) {
        sqlite3_bind_text(s, 1, job, -1, SQLITE_STATIC);
    }
    sqlite3_bind_int64(s, 2, after);
    sqlite3_bind_int(s, 3, limit);
    return events_each(s, each, user);
}

int store_progress_read(struct store_reader *reader, const char *job, int64_t from, int64_t to,
                        bool (*each)(void *user, const struct store_event *event), void *user) {
    sqlite3_stmt *s = query_begin(reader, PROGRESS_READ);
    if (s == NULL) {
        return -1;
    }
    sqlite3_bind_text(s, 1, job, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 2, from);
    sqlite3_bind_int64(s, 3, to);
    return events_each(s, each, user);
}

int store_progress_check(struct store_reader *reader, const char *job, int64_t iteration, char **check) {
    sqlite3_stmt *s = query_begin(reader, PROGRESS_CHECK);
    if (s == NULL) {
        return -1;
    }
    sqlite3_bind_text(s, 1, job, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 2, iteration);
    int step = sqlite3_step(s), found = step == SQLITE_ROW ? 1 : step == SQLITE_DONE ? 0 : -1;
    if (found == 1) {
        *check = column_copy(s, 0);
        found = *check != NULL ? 1 : -1;
    }
    query_end(s);
    return found;
}

static void checkpoint_fill(sqlite3_stmt *s, struct store_checkpoint *checkpoint) {
    *checkpoint = (struct store_checkpoint){0};
    record_read(s, &record_checkpoints, checkpoint, true);
    checkpoint->size = (size_t)sqlite3_column_int64(s, record_width(&record_checkpoints));
}

int store_checkpoints_list(struct store_reader *reader, const char *job,
                           bool (*each)(void *user, const struct store_checkpoint *checkpoint), void *user) {
    sqlite3_stmt *s = query_begin(reader, CHECKPOINTS_LIST);
    if (s == NULL) {
        return -1;
    }
    sqlite3_bind_text(s, 1, job, -1, SQLITE_STATIC);
    int count = 0, step;
    while ((step = sqlite3_step(s)) == SQLITE_ROW) {
        struct store_checkpoint checkpoint;
        checkpoint_fill(s, &checkpoint);
        count++;
        if (!each(user, &checkpoint)) {
            step = SQLITE_DONE;
            break;
        }
    }
    query_end(s);
    return step == SQLITE_DONE ? count : -1;
}

/* The row's bytes, if their sha256 is the one that was stored with them. 1, 0, -1. */
static int checkpoint_take(sqlite3_stmt *s, struct store_checkpoint *checkpoint) {
    char hex[STORE_HASH_BYTES];
    checkpoint_fill(s, checkpoint);
    const void *bytes = sqlite3_column_blob(s, record_width(&record_checkpoints) + 1);
    if (bytes == NULL) {
        return checkpoint->size == 0 ? 0 : -1; /* no memory for it: that is not damage */
    }
    sha256_hex(bytes, checkpoint->size, hex);
    if (strcmp(hex, checkpoint->sha256) != 0) {
        return 0;
    }
    checkpoint->bytes = malloc(checkpoint->size);
    if (checkpoint->bytes == NULL) {
        return -1;
    }
    memcpy(checkpoint->bytes, bytes, checkpoint->size);
    return 1;
}

int store_checkpoint_read(struct store_reader *reader, const char *job, int64_t iteration,
                          struct store_checkpoint *checkpoint, int *damaged) {
    sqlite3_stmt *s = query_begin(reader, iteration < 0 ? CHECKPOINTS_NEWEST : CHECKPOINT_READ);
    if (damaged != NULL) {
        *damaged = 0;
    }
    if (s == NULL) {
        return -1;
    }
    sqlite3_bind_text(s, 1, job, -1, SQLITE_STATIC);
    if (iteration >= 0) {
        sqlite3_bind_int64(s, 2, iteration);
    }
    int found = 0, step;
    while (found == 0 && (step = sqlite3_step(s)) != SQLITE_DONE) {
        found = step == SQLITE_ROW ? checkpoint_take(s, checkpoint) : -1;
        if (found == 0 && damaged != NULL) {
            ++*damaged;
        }
    }
    query_end(s);
    return found;
}

int store_key_read(struct store_reader *reader, const char *key, struct store_key *found) {
    sqlite3_stmt *s = query_begin(reader, KEY_READ);
    if (s == NULL) {
        return -1;
    }
    sqlite3_bind_text(s, 1, key, -1, SQLITE_STATIC);
    int step = sqlite3_step(s), result = step == SQLITE_ROW ? 1 : step == SQLITE_DONE ? 0 : -1;
    if (result == 1) {
        *found = (struct store_key){0};
        record_read(s, &record_keys, found, false);
    }
    query_end(s);
    return result;
}

/* ---- experiments ---- */

bool experiment_fill(sqlite3_stmt *s, struct store_experiment *experiment, bool borrow) {
    *experiment = (struct store_experiment){0};
    bool whole = record_read(s, &record_experiments, experiment, borrow);
    return whole && (int)experiment->state >= 0 && experiment->state < EXPERIMENT_STATES && experiment->name != NULL &&
           experiment->notes != NULL && experiment->tags != NULL && experiment->document != NULL;
}

int store_experiment_read(struct store_reader *reader, const char *id, struct store_experiment *experiment) {
    sqlite3_stmt *s = query_begin(reader, EXPERIMENT_READ);
    if (s == NULL) {
        return -1;
    }
    sqlite3_bind_text(s, 1, id, -1, SQLITE_STATIC);
    int step = sqlite3_step(s), found = step == SQLITE_ROW ? 1 : step == SQLITE_DONE ? 0 : -1;
    if (found == 1 && !experiment_fill(s, experiment, false)) {
        store_experiment_release(experiment);
        found = -1;
    }
    query_end(s);
    return found;
}

int store_experiments_active(struct store_reader *reader, int64_t before, int limit,
                             bool (*each)(void *user, const struct store_experiment *experiment), void *user) {
    sqlite3_stmt *s = query_begin(reader, EXPERIMENTS_ACTIVE);
    int count = 0, step = s == NULL ? SQLITE_ERROR : SQLITE_ROW;
    if (s == NULL) {
        return -1;
    }
    sqlite3_bind_int64(s, 1, before);
    sqlite3_bind_int(s, 2, limit);
    while (step == SQLITE_ROW && (step = sqlite3_step(s)) == SQLITE_ROW) {
        struct store_experiment experiment;
        bool filled = experiment_fill(s, &experiment, false), go_on = filled && each(user, &experiment);
        store_experiment_release(&experiment);
        count++;
        step = go_on ? SQLITE_ROW : filled ? SQLITE_DONE : SQLITE_NOMEM;
    }
    query_end(s);
    return step == SQLITE_DONE ? count : -1;
}

/* The result beside a trial, or in a row of its own, from a column on. False if it is damaged. */
static bool finding_fill(sqlite3_stmt *s, int at, bool curves, struct store_finding *result) {
    const void *bytes = NULL;
    *result = (struct store_finding){.status = (enum job_status)sqlite3_column_int(s, at + 1),
                                     .diverged = sqlite3_column_int(s, at + 2) != 0,
                                     .iteration = sqlite3_column_int64(s, at + 3)};
    column_fixed(s, at, result->job, sizeof result->job);
    column_fixed(s, at + 4, result->sha256, sizeof result->sha256);
    result->dropped = sqlite3_column_int(s, at + 5) != 0;
    result->archived = sqlite3_column_int(s, at + 6) != 0;
    if (curves) {
        bytes = sqlite3_column_blob(s, at + 7);
        result->size = (size_t)sqlite3_column_bytes(s, at + 7);
        memcpy(&result->curves, &bytes, sizeof bytes);
    }
    return (int)result->status >= 0 && result->status < JOB_STATUSES;
}

int store_trials_read(struct store_reader *reader, int64_t experiment, bool curves,
                      bool (*each)(void *user, const struct store_trial *trial, const struct store_finding *result),
                      void *user) {
    sqlite3_stmt *s = query_begin(reader, curves ? TRIALS_CURVES : TRIALS_ALL);
    const int width = record_width(&record_trials);
    int count = 0, step = SQLITE_ROW;
    if (s == NULL) {
        return -1;
    }
    sqlite3_bind_int64(s, 1, experiment);
    while (step == SQLITE_ROW && (step = sqlite3_step(s)) == SQLITE_ROW) {
        struct store_trial trial = {0};
        struct store_finding result;
        bool kept = sqlite3_column_type(s, width + 1) != SQLITE_NULL; /* its status: the job is the trial's */
        record_read(s, &record_trials, &trial, false);
        count++;
        step = kept && !finding_fill(s, width, curves, &result) ? SQLITE_CORRUPT
               : each(user, &trial, kept ? &result : NULL)      ? SQLITE_ROW
                                                                : SQLITE_DONE;
    }
    query_end(s);
    return step == SQLITE_DONE ? count : -1;
}

int store_finding_read(struct store_reader *reader, const char *job, struct store_finding *result) {
    sqlite3_stmt *s = query_begin(reader, FINDING_READ);
    if (s == NULL) {
        return -1;
    }
    sqlite3_bind_text(s, 1, job, -1, SQLITE_STATIC);
    int step = sqlite3_step(s), found = step == SQLITE_ROW ? 1 : step == SQLITE_DONE ? 0 : -1;
    if (found == 1) {
        bool whole = finding_fill(s, 0, true, result);
        unsigned char *copy = malloc(result->size + 1);
        if (copy != NULL && result->size > 0) {
            memcpy(copy, result->curves, result->size);
        }
        result->curves = copy;
        found = whole && copy != NULL ? 1 : -1;
    }
    query_end(s);
    return found;
}

int store_findings_read(struct store_reader *reader, bool (*each)(void *user, const struct store_finding *finding),
                        void *user) {
    sqlite3_stmt *s = query_begin(reader, FINDINGS_ALL);
    int count = 0, step = s == NULL ? SQLITE_ERROR : SQLITE_ROW;
    while (step == SQLITE_ROW && (step = sqlite3_step(s)) == SQLITE_ROW) {
        struct store_finding finding;
        count++;
        step = !finding_fill(s, 0, true, &finding) ? SQLITE_CORRUPT : each(user, &finding) ? SQLITE_ROW : SQLITE_DONE;
    }
    if (s != NULL) {
        query_end(s);
    }
    return step == SQLITE_DONE ? count : -1;
}

int store_endings_read(struct store_reader *reader, int limit,
                       bool (*each)(void *user, const char *job, int64_t number), void *user) {
    sqlite3_stmt *s = query_begin(reader, ENDINGS_READ);
    if (s == NULL) {
        return -1;
    }
    sqlite3_bind_int(s, 1, limit);
    return pairs_each(s, each, user);
}

int store_trials_left(struct store_reader *reader, int64_t experiment, bool failed, int limit,
                      bool (*each)(void *user, const char *job, int64_t number), void *user) {
    sqlite3_stmt *s = query_begin(reader, TRIALS_LEFT);
    if (s == NULL) {
        return -1;
    }
    sqlite3_bind_int64(s, 1, experiment);
    sqlite3_bind_int(s, 2, failed);
    sqlite3_bind_int(s, 3, limit);
    return pairs_each(s, each, user);
}

int store_experiment_last(struct store_reader *reader, const char *id, enum experiment_state *state, int64_t *event) {
    sqlite3_stmt *s = query_begin(reader, EXPERIMENT_LAST);
    if (s == NULL) {
        return -1;
    }
    sqlite3_bind_text(s, 1, id, -1, SQLITE_STATIC);
    int step = sqlite3_step(s), found = step == SQLITE_ROW ? 1 : step == SQLITE_DONE ? 0 : -1;
    if (found == 1) {
        int number = sqlite3_column_int(s, 0);
        *event = sqlite3_column_int64(s, 1);
        found = number >= 0 && number < EXPERIMENT_STATES ? 1 : -1;
        *state = found == 1 ? (enum experiment_state)number : EXPERIMENT_COMPLETE;
    }
    query_end(s);
    return found;
}

int store_trial_exists(struct store_reader *reader, int64_t experiment, const char *point, int64_t seed) {
    sqlite3_stmt *s = query_begin(reader, TRIAL_EXISTS);
    if (s != NULL) {
        sqlite3_bind_int64(s, 1, experiment);
        sqlite3_bind_text(s, 2, point, -1, SQLITE_STATIC);
        sqlite3_bind_int64(s, 3, seed);
    }
    return (int)number_query(s);
}

int store_job_is_held(struct store_reader *reader, const char *job) {
    sqlite3_stmt *s = query_begin(reader, JOB_HELD);
    if (s != NULL) {
        sqlite3_bind_text(s, 1, job, -1, SQLITE_STATIC);
    }
    return (int)number_query(s);
}

int store_trials_count(struct store_reader *reader, int64_t experiment,
                       bool (*each)(void *user, enum job_status status, int64_t count), void *user) {
    sqlite3_stmt *s = query_begin(reader, TRIALS_COUNT);
    int count = 0, step = SQLITE_ROW;
    if (s == NULL) {
        return -1;
    }
    sqlite3_bind_int64(s, 1, experiment);
    while (step == SQLITE_ROW && (step = sqlite3_step(s)) == SQLITE_ROW) {
        int status = sqlite3_column_int(s, 0);
        bool known = status >= 0 && status < JOB_STATUSES;
        count++;
        step = !known                                                            ? SQLITE_CORRUPT
               : each(user, (enum job_status)status, sqlite3_column_int64(s, 1)) ? SQLITE_ROW
                                                                                 : SQLITE_DONE;
    }
    query_end(s);
    return step == SQLITE_DONE ? count : -1;
}

int store_experiment_jobs(struct store_reader *reader, const char *experiment, int64_t number, unsigned statuses,
                          int limit, bool (*each)(void *user, const char *id, int64_t status), void *user) {
    int count = 0;
    for (int status = 0; status < JOB_STATUSES && count < limit; status++) { /* each is a range of the index */
        sqlite3_stmt *s = (statuses >> status & 1) == 0 ? NULL : query_begin(reader, EXPERIMENT_JOBS);
        if (s == NULL && (statuses >> status & 1) == 0) {
            continue;
        }
        if (s == NULL) {
            return -1;
        }
        sqlite3_bind_text(s, 1, experiment, -1, SQLITE_STATIC);
        sqlite3_bind_int(s, 2, status);
        sqlite3_bind_int(s, 3, limit - count);
        sqlite3_bind_int64(s, 4, number);
        int more = pairs_each(s, each, user);
        if (more < 0) {
            return -1;
        }
        count += more;
    }
    return count;
}

int store_jobs_same(struct store_reader *reader, const struct store_job *job, bool weights,
                    bool (*each)(void *user, const struct store_job *job), void *user) {
    sqlite3_stmt *s = query_begin(reader, JOBS_SAME);
    if (s == NULL) {
        return -1;
    }
    sqlite3_bind_text(s, 1, job->digest, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 2, job->dataset_sha256, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 3, job->build, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 4, job->identity, -1, SQLITE_STATIC);
    sqlite3_bind_int(s, 5, weights);
    return jobs_each(s, each, user);
}

/* ---- the whole ---- */

bool store_reader_hold(struct store_reader *reader) {
    return sqlite3_exec(reader->database, "BEGIN", NULL, NULL, NULL) == SQLITE_OK;
}

void store_reader_release(struct store_reader *reader) {
    sqlite3_exec(reader->database, "COMMIT", NULL, NULL, NULL);
}

/* One row "ok", or rows of faults, of which the first is kept. */
static bool pages_check(sqlite3 *database, char error[STORE_ERROR_BYTES]) {
    sqlite3_stmt *s = NULL;
    bool read = sqlite3_prepare_v2(database, "PRAGMA integrity_check(1)", -1, &s, NULL) == SQLITE_OK &&
                sqlite3_step(s) == SQLITE_ROW;
    const char *verdict = read ? (const char *)sqlite3_column_text(s, 0) : sqlite3_errmsg(database);
    bool whole = read && verdict != NULL && strcmp(verdict, "ok") == 0;
    if (!whole) {
        snprintf(error, STORE_ERROR_BYTES, "the database is damaged: %.400s",
                 verdict == NULL ? "out of memory" : verdict);
    }
    sqlite3_finalize(s);
    return whole;
}

bool store_integrity_check(struct store_reader *reader, char error[STORE_ERROR_BYTES]) {
    if (!pages_check(reader->database, error)) {
        return false;
    }
    int64_t orphans = number_query(query_begin(reader, ORPHANS));
    if (!statuses_are_known(reader->database)) {
        snprintf(error, STORE_ERROR_BYTES, "the database is damaged: a job has a status that does not exist");
        return false;
    }
    int64_t summed = number_query(query_begin(reader, TOTALS_CHECK)),
            miscounted = number_query(query_begin(reader, TALLIES_CHECK));
    if (orphans < 0 || summed < 0 || miscounted < 0) {
        snprintf(error, STORE_ERROR_BYTES, "the database cannot be read: %.300s", sqlite3_errmsg(reader->database));
    } else if (orphans > 0) {
        snprintf(error, STORE_ERROR_BYTES,
                 "%lld events, checkpoints, keys, documents, histories, trials and tags belong to no job",
                 (long long)orphans);
    } else if (summed == 0) {
        snprintf(error, STORE_ERROR_BYTES, "the database is damaged: the jobs' bytes do not add up to their total");
    } else if (miscounted > 0) {
        snprintf(error, STORE_ERROR_BYTES, "the database is damaged: the trials of %lld experiments are miscounted",
                 (long long)miscounted);
    }
    return orphans == 0 && summed == 1 && miscounted == 0;
}

int64_t store_bytes_used(struct store_reader *reader) {
    return number_query(query_begin(reader, BYTES_USED));
}

int64_t store_bytes_file(struct store_reader *reader) {
    return number_query(query_begin(reader, BYTES_FILE));
}

int64_t store_bytes_free(struct store_reader *reader) {
    return number_query(query_begin(reader, BYTES_FREE));
}

int64_t store_memory_bytes(void) {
    return sqlite3_memory_used();
}

int store_jobs_oldest(struct store_reader *reader, int limit,
                      bool (*each)(void *user, const char *id, int64_t finished, int64_t bytes), void *user) {
    sqlite3_stmt *s = query_begin(reader, JOBS_OLDEST);
    int count = 0, step = SQLITE_ERROR;
    if (s == NULL) {
        return -1;
    }
    sqlite3_bind_int(s, 1, limit);
    while ((step = sqlite3_step(s)) == SQLITE_ROW) {
        char id[STORE_ID_BYTES];
        column_fixed(s, 0, id, sizeof id);
        count++;
        if (!each(user, id, sqlite3_column_int64(s, 1), sqlite3_column_int64(s, 2))) {
            step = SQLITE_DONE;
            break;
        }
    }
    query_end(s);
    return step == SQLITE_DONE ? count : -1;
}

/* ---- backup ---- */

/*
 * All pages in one step: a copy in several steps would start again whenever another connection writes. Readers do not
 * block the writer (WAL).
 */
static bool pages_copy(sqlite3 *from, const char *path, char error[STORE_ERROR_BYTES]) {
    sqlite3 *to = NULL;
    int result = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    sqlite3_backup *backup = result == SQLITE_OK ? sqlite3_backup_init(to, "main", from, "main") : NULL;
    if (backup != NULL) {
        sqlite3_backup_step(backup, -1);
        result = sqlite3_backup_finish(backup);
    } else {
        result = SQLITE_ERROR;
    }
    /* a backup is one file: it must have no log beside it */
    bool copied = result == SQLITE_OK && sqlite3_exec(to, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL) == SQLITE_OK;
    if (!copied) {
        snprintf(error, STORE_ERROR_BYTES, "the database cannot be copied to %.300s: %s", path, sqlite3_errmsg(to));
    }
    copied = copied && pages_check(to, error);
    sqlite3_close(to);
    return copied;
}

/*
 * Gives the file its final name without replacing a file that has appeared meanwhile: by a link, or, if the file system
 * has none, by a rename that refuses to replace; at the least with a name that was reserved before.
 */
static bool file_name(const char *temporary, const char *file) {
    if (link(temporary, file) == 0) {
        return true;
    }
    if (errno == EEXIST) {
        return false;
    }
    if (renameat2(AT_FDCWD, temporary, AT_FDCWD, file, RENAME_NOREPLACE) == 0) {
        return true;
    }
    if (errno != EINVAL && errno != ENOSYS) {
        return false;
    }
    int taken = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (taken < 0) {
        return false;
    }
    close(taken);
    bool named = rename(temporary, file) == 0;
    if (!named) {
        (void)unlink(file);
    }
    return named;
}

/* The file under its final name, durable. */
static bool file_publish(const char *temporary, const char *file, char error[STORE_ERROR_BYTES]) {
    char folder[4096];
    snprintf(folder, sizeof folder, "%s", file);
    char *slash = strrchr(folder, '/');
    snprintf(slash == NULL ? folder : slash + 1, 2, "%s", slash == NULL ? "." : "");
    int copy = open(temporary, O_RDONLY | O_CLOEXEC), directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool done = copy >= 0 && directory >= 0 && fsync(copy) == 0 && file_name(temporary, file) && fsync(directory) == 0;
    if (!done) {
        snprintf(error, STORE_ERROR_BYTES, "cannot write %.300s: %s", file, strerror(errno));
    }
    if (copy >= 0) {
        close(copy);
    }
    if (directory >= 0) {
        close(directory);
    }
    return done;
}

/* The copy under its temporary name, and the files that SQLite may have beside it. */
static void copy_remove(const char *temporary) {
    static const char *const ends[] = {"", "-journal", "-wal", "-shm"};
    char path[4096 + 16];
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        snprintf(path, sizeof path, "%s%s", temporary, ends[i]);
        (void)unlink(path);
    }
}

bool store_backup(const char *directory, const char *file, char error[STORE_ERROR_BYTES]) {
    char temporary[4096];
    if (access(file, F_OK) == 0) {
        snprintf(error, STORE_ERROR_BYTES, "%.400s exists already; a backup never overwrites a file", file);
        return false;
    }
    if (snprintf(temporary, sizeof temporary, "%s.partial", file) >= (int)sizeof temporary) {
        snprintf(error, STORE_ERROR_BYTES, "the path of the backup is too long");
        return false;
    }
    struct store_reader *reader = store_reader_open(directory, error);
    if (reader == NULL) {
        return false;
    }
    copy_remove(temporary);
    mode_t kept = umask(0077);
    bool done = pages_copy(reader->database, temporary, error) && file_publish(temporary, file, error);
    umask(kept);
    copy_remove(temporary);
    store_reader_close(reader);
    return done;
}
