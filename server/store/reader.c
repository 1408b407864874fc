/* The store's readers: one read-only connection each, statements prepared when first used and kept; and backup, which
   is a reader too. See store.h. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <nettle/sha2.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/store/store.h"
#include "server/store/schema.h"

#define JOB_COLUMNS                                                                                                    \
    "number, id, document, digest, name, task, rule, status, priority, created, started, finished, attempt, "          \
    "iterations, iteration, loss, "                                                                                    \
    "accuracy, trials_per_second, error_code, error_detail, error_iteration, weights_sha256, events, crashes, "        \
    "crash_iteration, build, "                                                                                         \
    "isa, "                                                                                                            \
    "event_digest, trained, dataset_sha256, memory, request, initial_loss, progressed"
#define EVENT_COLUMNS "seq, job, id, time, type, iteration, terminal, succeeded, json, recheck"

enum query {
    JOB_READ,
    JOB_NEXT,
    JOB_PLACE,
    JOBS_COUNT,
    QUEUE_SINCE,
    JOBS_LIST,
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
    BYTES_USED,
    JOBS_OLDEST,
    QUERIES
};

static const char *const query_text[QUERIES] = {
    [JOB_READ] = "SELECT " JOB_COLUMNS " FROM jobs WHERE id=?1",
    [JOB_NEXT] = "SELECT " JOB_COLUMNS " FROM jobs WHERE status=0 ORDER BY priority DESC, number",
    /* two ranges of the index rather than one with a condition on each row, which takes several times as long */
    [JOB_PLACE] = "SELECT (SELECT count(*) FROM jobs WHERE status=0 AND priority>?1) +"
                  " (SELECT count(*) FROM jobs WHERE status=0 AND priority=?1 AND number<?2)",
    [JOBS_COUNT] = "SELECT count(*) FROM jobs WHERE status=?1",
    [QUEUE_SINCE] = "SELECT coalesce((SELECT time FROM events WHERE (job, id) ="
                    " (SELECT id, events FROM jobs WHERE status=0 ORDER BY priority DESC, number LIMIT 1)), 0)",
    [JOBS_LIST] =
        "SELECT " JOB_COLUMNS
        " FROM jobs WHERE number<?1 AND (?2<0 OR status=?2) AND (?3 IS NULL OR task=?3) AND (?4 IS NULL OR rule=?4)"
        " ORDER BY number DESC LIMIT ?5",
    [JOBS_WITH] = "SELECT " JOB_COLUMNS " FROM jobs WHERE (1<<status)&?1 ORDER BY number",
    [EVENTS_OF_JOB] = "SELECT " EVENT_COLUMNS " FROM events WHERE job=?1 AND id>?2 ORDER BY id LIMIT ?3",
    [EVENTS_OF_ALL] = "SELECT " EVENT_COLUMNS " FROM events WHERE seq>?2 ORDER BY seq LIMIT ?3",
    [PROGRESS_READ] =
        "SELECT " EVENT_COLUMNS
        " FROM events WHERE job=?1 AND recheck IS NOT NULL AND iteration BETWEEN ?2 AND ?3 ORDER BY iteration",
    [PROGRESS_CHECK] = "SELECT recheck FROM events WHERE job=?1 AND iteration=?2 AND recheck IS NOT NULL",
    [SEQ_LAST] = "SELECT coalesce(max(seq),0) FROM events",
    [ID_LAST] = "SELECT id FROM jobs ORDER BY number DESC LIMIT 1",
    [CHECKPOINTS_LIST] = "SELECT job, iteration, created, loss, sha256, length(bytes) FROM checkpoints WHERE job=?1 "
                         "ORDER BY iteration DESC",
    [CHECKPOINTS_NEWEST] = "SELECT job, iteration, created, loss, sha256, length(bytes), bytes FROM checkpoints WHERE "
                           "job=?1 ORDER BY iteration DESC",
    [CHECKPOINT_READ] = "SELECT job, iteration, created, loss, sha256, length(bytes), bytes FROM checkpoints WHERE "
                        "job=?1 AND iteration=?2",
    [KEY_READ] = "SELECT key, body, job, created FROM keys WHERE key=?1",
    [ORPHANS] = "SELECT (SELECT count(*) FROM events WHERE type<>'deleted' AND job NOT IN (SELECT id FROM jobs)) +"
                " (SELECT count(*) FROM checkpoints WHERE job NOT IN (SELECT id FROM jobs)) + (SELECT count(*) FROM "
                "keys WHERE job NOT IN "
                "(SELECT id FROM jobs))",
    [BYTES_USED] = "SELECT (p.page_count - f.freelist_count) * s.page_size FROM pragma_page_count AS p, "
                   "pragma_freelist_count AS f, "
                   "pragma_page_size AS s",
    [JOBS_OLDEST] =
        "SELECT id, finished, length(document) + (SELECT coalesce(sum(length(bytes)), 0) FROM checkpoints WHERE "
        "job=jobs.id) +"
        " (SELECT coalesce(sum(length(json) + coalesce(length(recheck), 0) + 200), 0) FROM events WHERE job=jobs.id)"
        " FROM jobs WHERE status>=5 ORDER BY finished, number LIMIT ?1",
};

struct store_reader {
    sqlite3 *database;
    sqlite3_stmt *queries[QUERIES];
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
    for (int i = 0; i < QUERIES; i++) {
        sqlite3_finalize(reader->queries[i]);
    }
    sqlite3_close(reader->database);
    free(reader);
}

/* The statement, ready to be bound; NULL on failure. */
static sqlite3_stmt *query_begin(struct store_reader *reader, enum query query) {
    sqlite3_stmt **statement = &reader->queries[query];
    if (*statement == NULL && sqlite3_prepare_v3(reader->database, query_text[query], -1, SQLITE_PREPARE_PERSISTENT,
                                                 statement, NULL) != SQLITE_OK) {
        return NULL;
    }
    return *statement;
}

/* A statement that is not reset keeps its snapshot, and with it the write-ahead log, alive. */
static void query_end(sqlite3_stmt *statement) {
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
}

static double column_number(sqlite3_stmt *s, int at) {
    return sqlite3_column_type(s, at) == SQLITE_NULL ? NAN : sqlite3_column_double(s, at);
}

static char *column_copy(sqlite3_stmt *s, int at) {
    const char *text = (const char *)sqlite3_column_text(s, at);
    return text == NULL ? NULL : strdup(text);
}

static void column_fixed(sqlite3_stmt *s, int at, char *to, size_t room) {
    const char *text = (const char *)sqlite3_column_text(s, at);
    snprintf(to, room, "%s", text == NULL ? "" : text);
}

/* False without memory, or where the row is damaged. */
static bool job_fill(sqlite3_stmt *s, struct store_job *job) {
    *job = (struct store_job){.number = sqlite3_column_int64(s, 0),
                              .document = column_copy(s, 2),
                              .name = column_copy(s, 4),
                              .task = column_copy(s, 5),
                              .rule = column_copy(s, 6),
                              .status = (enum job_status)sqlite3_column_int(s, 7),
                              .priority = sqlite3_column_int(s, 8),
                              .created = sqlite3_column_int64(s, 9),
                              .started = sqlite3_column_int64(s, 10),
                              .finished = sqlite3_column_int64(s, 11),
                              .attempt = sqlite3_column_int(s, 12),
                              .iterations = sqlite3_column_int64(s, 13),
                              .iteration = sqlite3_column_int64(s, 14),
                              .loss = column_number(s, 15),
                              .accuracy = column_number(s, 16),
                              .trials_per_second = column_number(s, 17),
                              .error_code = column_copy(s, 18),
                              .error_detail = column_copy(s, 19),
                              .error_iteration = sqlite3_column_int64(s, 20),
                              .events = sqlite3_column_int64(s, 22),
                              .crashes = sqlite3_column_int(s, 23),
                              .crash_iteration = sqlite3_column_int64(s, 24),
                              .build = column_copy(s, 25),
                              .isa = column_copy(s, 26),
                              .trained = sqlite3_column_double(s, 28),
                              .memory = sqlite3_column_int64(s, 30),
                              .request = column_copy(s, 31),
                              .initial_loss = column_number(s, 32),
                              .progressed = sqlite3_column_int64(s, 33)};
    column_fixed(s, 1, job->id, sizeof job->id);
    column_fixed(s, 3, job->digest, sizeof job->digest);
    column_fixed(s, 21, job->weights_sha256, sizeof job->weights_sha256);
    column_fixed(s, 27, job->event_digest, sizeof job->event_digest);
    column_fixed(s, 29, job->dataset_sha256, sizeof job->dataset_sha256);
    bool known = sqlite3_column_int64(s, 7) >= 0 &&
                 sqlite3_column_int64(s, 7) < JOB_STATUSES; /* else it indexes beyond its names */
    return known && job->document != NULL && job->name != NULL && job->task != NULL && job->rule != NULL;
}

int store_job_read(struct store_reader *reader, const char *id, struct store_job *job) {
    sqlite3_stmt *s = query_begin(reader, JOB_READ);
    if (s == NULL) {
        return -1;
    }
    sqlite3_bind_text(s, 1, id, -1, SQLITE_STATIC);
    int step = sqlite3_step(s), found = step == SQLITE_ROW ? 1 : step == SQLITE_DONE ? 0 : -1;
    if (found == 1 && !job_fill(s, job)) {
        store_job_release(job);
        found = -1;
    }
    query_end(s);
    return found;
}

int store_job_next(struct store_reader *reader, bool (*skip)(void *user, const char *id), void *user,
                   struct store_job *job) {
    sqlite3_stmt *s = query_begin(reader, JOB_NEXT);
    int found = s == NULL ? -1 : 0;
    while (found == 0) {
        int step = sqlite3_step(s);
        if (step != SQLITE_ROW) {
            found = step == SQLITE_DONE ? 0 : -1;
            break;
        }
        if (skip(user, (const char *)sqlite3_column_text(s, 1))) {
            continue;
        }
        found = job_fill(s, job) ? 1 : -1;
        if (found < 0) {
            store_job_release(job);
        }
    }
    if (s != NULL) {
        query_end(s);
    }
    return found;
}

static int64_t number_query(sqlite3_stmt *s) {
    int64_t number = s != NULL && sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : -1;
    if (s != NULL) {
        query_end(s);
    }
    return number;
}

int64_t store_job_place(struct store_reader *reader, const struct store_job *job) {
    sqlite3_stmt *s = query_begin(reader, JOB_PLACE);
    if (s != NULL) {
        sqlite3_bind_int(s, 1, job->priority);
        sqlite3_bind_int64(s, 2, job->number);
    }
    return number_query(s);
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

int64_t store_seq_last(struct store_reader *reader) {
    return number_query(query_begin(reader, SEQ_LAST));
}

int64_t store_id_time_last(struct store_reader *reader) {
    sqlite3_stmt *s = query_begin(reader, ID_LAST);
    unsigned long long high = 0, low = 0;
    if (s == NULL) {
        return 0;
    }
    bool found = sqlite3_step(s) == SQLITE_ROW &&
                 sscanf((const char *)sqlite3_column_text(s, 0), "%8llx-%4llx-", &high, &low) == 2;
    query_end(s);
    return found ? (int64_t)(high << 16 | low) : 0;
}

static int jobs_each(sqlite3_stmt *s, bool (*each)(void *user, const struct store_job *job), void *user) {
    int count = 0, step;
    while ((step = sqlite3_step(s)) == SQLITE_ROW) {
        struct store_job job;
        bool filled = job_fill(s, &job), go_on = filled && each(user, &job);
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

int store_jobs_list(struct store_reader *reader, const struct store_filter *filter,
                    bool (*each)(void *user, const struct store_job *job), void *user) {
    sqlite3_stmt *s = query_begin(reader, JOBS_LIST);
    if (s == NULL) {
        return -1;
    }
    sqlite3_bind_int64(s, 1, filter->before);
    sqlite3_bind_int(s, 2, filter->by_status ? (int)filter->status : -1);
    sqlite3_bind_text(s, 3, filter->task, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 4, filter->rule, -1, SQLITE_STATIC);
    sqlite3_bind_int(s, 5, filter->limit);
    return jobs_each(s, each, user);
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
        struct store_event event = {.seq = sqlite3_column_int64(s, 0),
                                    .id = sqlite3_column_int64(s, 2),
                                    .time = sqlite3_column_int64(s, 3),
                                    .iteration = sqlite3_column_int64(s, 5),
                                    .terminal = sqlite3_column_int(s, 6) != 0,
                                    .succeeded = sqlite3_column_int(s, 7) != 0};
        column_fixed(s, 1, event.job, sizeof event.job);
        column_fixed(s, 4, event.type, sizeof event.type);
        const void *json = sqlite3_column_text(s, 8), *check = sqlite3_column_text(s, 9);
        memcpy(&event.json, &json, sizeof json);
        memcpy(&event.check, &check, sizeof check);
        count++;
        if (json == NULL || !each(user, &event)) {
            step = json == NULL ? SQLITE_NOMEM : SQLITE_DONE;
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
    *checkpoint = (struct store_checkpoint){.iteration = sqlite3_column_int64(s, 1),
                                            .created = sqlite3_column_int64(s, 2),
                                            .loss = column_number(s, 3),
                                            .size = (size_t)sqlite3_column_int64(s, 5)};
    column_fixed(s, 0, checkpoint->job, sizeof checkpoint->job);
    column_fixed(s, 4, checkpoint->sha256, sizeof checkpoint->sha256);
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

/* The row's bytes, where their sha256 is the one that was stored with them. 1, 0, -1. */
static int checkpoint_take(sqlite3_stmt *s, struct store_checkpoint *checkpoint) {
    char hex[STORE_HASH_BYTES];
    checkpoint_fill(s, checkpoint);
    const void *bytes = sqlite3_column_blob(s, 6);
    if (bytes == NULL) {
        return checkpoint->size == 0 ? 0 : -1; /* no memory for it: that is no damage */
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
        *found = (struct store_key){.created = sqlite3_column_int64(s, 3)};
        column_fixed(s, 1, found->body, sizeof found->body);
        column_fixed(s, 2, found->job, sizeof found->job);
    }
    query_end(s);
    return result;
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
    const char *said = read ? (const char *)sqlite3_column_text(s, 0) : sqlite3_errmsg(database);
    bool whole = read && said != NULL && strcmp(said, "ok") == 0;
    if (!whole) {
        snprintf(error, STORE_ERROR_BYTES, "the database is damaged: %.400s", said == NULL ? "out of memory" : said);
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
    if (orphans < 0) {
        snprintf(error, STORE_ERROR_BYTES, "the database cannot be read: %.300s", sqlite3_errmsg(reader->database));
    } else if (orphans > 0) {
        snprintf(error, STORE_ERROR_BYTES, "%lld events, checkpoints and keys belong to no job", (long long)orphans);
    }
    return orphans == 0;
}

int64_t store_bytes_used(struct store_reader *reader) {
    return number_query(query_begin(reader, BYTES_USED));
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

void event_digest_add(char digest[STORE_HASH_BYTES], const char *json) {
    struct sha256_ctx context;
    uint8_t bytes[SHA256_DIGEST_SIZE];
    sha256_init(&context);
    sha256_update(&context, strlen(digest), (const uint8_t *)digest);
    sha256_update(&context, strlen(json), (const uint8_t *)json);
    sha256_digest(&context, sizeof bytes, bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        snprintf(digest + 2 * i, 3, "%02x", bytes[i]);
    }
}

/* ---- backup ---- */

/*
 * Every page in one step: a copy in several would begin anew whenever somebody writes. Readers do not stop the writer
 * (WAL).
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
    /* a backup is one file: no log of its own beside it */
    bool copied = result == SQLITE_OK && sqlite3_exec(to, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL) == SQLITE_OK;
    if (!copied) {
        snprintf(error, STORE_ERROR_BYTES, "the database cannot be copied to %.300s: %s", path, sqlite3_errmsg(to));
    }
    copied = copied && pages_check(to, error);
    sqlite3_close(to);
    return copied;
}

/*
 * The file under its final name, durable. link() and not rename(): it does not replace what somebody put there
 * meanwhile.
 */
static bool file_publish(const char *temporary, const char *file, char error[STORE_ERROR_BYTES]) {
    char folder[4096];
    snprintf(folder, sizeof folder, "%s", file);
    char *slash = strrchr(folder, '/');
    snprintf(slash == NULL ? folder : slash + 1, 2, "%s", slash == NULL ? "." : "");
    int copy = open(temporary, O_RDONLY | O_CLOEXEC), directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool done = copy >= 0 && directory >= 0 && fsync(copy) == 0 && link(temporary, file) == 0 && fsync(directory) == 0;
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

bool store_backup(const char *directory, const char *file, char error[STORE_ERROR_BYTES]) {
    char temporary[4096];
    if (access(file, F_OK) == 0) {
        snprintf(error, STORE_ERROR_BYTES, "%.400s exists already; a backup replaces nothing", file);
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
    (void)unlink(temporary);
    mode_t kept = umask(0077);
    bool done = pages_copy(reader->database, temporary, error) && file_publish(temporary, file, error);
    umask(kept);
    (void)unlink(temporary);
    store_reader_close(reader);
    return done;
}
