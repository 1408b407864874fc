/*
 * The store and its files: the schema's migrations, checkpoints, a full disk, lock, damage, backup, notes in place.
 */
#include <check.h>
#include <inttypes.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/store/stops.h"
#include "tests/unit/stored.h"

/* ---- the schema ---- */

/* Columns, defaults, keys and indexes, in an order that does not depend on when they were added. */
#define SCHEMA_BYTES 16384
static void schema_describe(const char *path, char text[SCHEMA_BYTES]) {
    static const char query[] =
        "SELECT m.name || '.' || c.name || ' ' || c.type || ' ' || c.\"notnull\" || ' ' || coalesce(c.dflt_value, '-') "
        "|| "
        "' ' || c.pk FROM sqlite_master AS m, pragma_table_info(m.name) AS c WHERE m.type='table' AND m.name NOT LIKE "
        "'sqlite%' UNION ALL SELECT sql FROM sqlite_master WHERE type IN ('index', 'trigger') AND sql IS NOT NULL "
        "ORDER BY 1";
    sqlite3 *database;
    sqlite3_stmt *s = NULL;
    text[0] = '\0';
    ck_assert_int_eq(sqlite3_open(path, &database), SQLITE_OK);
    ck_assert_msg(sqlite3_prepare_v2(database, query, -1, &s, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(database));
    while (sqlite3_step(s) == SQLITE_ROW) {
        size_t length = strlen(text);
        snprintf(text + length, SCHEMA_BYTES - length, "%s\n", (const char *)sqlite3_column_text(s, 0));
    }
    sqlite3_finalize(s);
    sqlite3_close(database);
}

START_TEST(test_an_old_database_ends_with_the_schema_of_a_new_one) {
    static const char first[] =
        "CREATE TABLE jobs (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, document TEXT NOT NULL, "
        "digest TEXT NOT NULL, name TEXT NOT NULL, task TEXT NOT NULL, rule TEXT NOT NULL, status INTEGER NOT NULL, "
        "priority INTEGER NOT NULL, created INTEGER NOT NULL, started INTEGER NOT NULL DEFAULT 0, finished INTEGER NOT "
        "NULL DEFAULT 0, attempt INTEGER NOT NULL DEFAULT 1, iterations INTEGER NOT NULL, iteration INTEGER NOT NULL "
        "DEFAULT 0, loss REAL, accuracy REAL, trials_per_second REAL, error_code TEXT, error_detail TEXT, "
        "error_iteration INTEGER NOT NULL DEFAULT -1, weights_sha256 TEXT NOT NULL DEFAULT '', events INTEGER NOT NULL "
        "DEFAULT 0, crashes INTEGER NOT NULL DEFAULT 0, crash_iteration INTEGER NOT NULL DEFAULT -1, build TEXT, isa "
        "TEXT);"
        "CREATE INDEX jobs_queue ON jobs (status, priority DESC, number);"
        "CREATE TABLE events (seq INTEGER PRIMARY KEY, job TEXT NOT NULL, id INTEGER NOT NULL, time INTEGER NOT NULL, "
        "type TEXT NOT NULL, iteration INTEGER NOT NULL, terminal INTEGER NOT NULL, succeeded INTEGER NOT NULL, json "
        "TEXT NOT NULL, recheck TEXT);"
        "CREATE UNIQUE INDEX events_job ON events (job, id);"
        "CREATE INDEX events_progress ON events (job, iteration) WHERE recheck IS NOT NULL;"
        "CREATE TABLE checkpoints (job TEXT NOT NULL, iteration INTEGER NOT NULL, created INTEGER NOT NULL, loss REAL, "
        "sha256 TEXT NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (job, iteration));"
        "CREATE TABLE keys (key TEXT PRIMARY KEY, body TEXT NOT NULL, job TEXT NOT NULL, created INTEGER NOT NULL) "
        "WITHOUT ROWID;"
        "CREATE INDEX keys_job ON keys (job);"
        "INSERT INTO jobs (id, document, digest, name, task, rule, status, priority, created, iterations) VALUES "
        "('old', '%s', 'd', '', 'delayed_xor', 'bptt', 0, 0, 1, 10), ('small', '{}', 'd', '', 'delayed_xor', 'bptt', "
        "0, "
        "0, 1, 10); INSERT INTO events VALUES (1, 'old', 1, 1, 'status', -1, 0, 0, '{}', NULL);"
        "PRAGMA user_version=1";
    char fresh[SCHEMA_BYTES], walked[SCHEMA_BYTES], path[128], error[STORE_ERROR_BYTES], *document = NULL,
                                                                                         *old = large_document();
    struct store_job job;
    snprintf(path, sizeof path, "%s/modprop.db", directory);
    schema_describe(path, fresh);
    store_reader_close(reader);
    store_close(store);
    ck_assert_int_eq(unlink(path), 0);
    char *text = sqlite3_mprintf(first, old);
    statement_run(text);
    sqlite3_free(text);
    store = store_open(directory, &loop, error);
    reader = store == NULL ? NULL : store_reader_open(directory, error);
    ck_assert_msg(reader != NULL, "%s", error);
    schema_describe(path, walked);
    ck_assert_str_eq(walked, fresh);
    ck_assert_int_eq(store_job_read(reader, "old", &job), 1);
    ck_assert_uint_lt(strlen(job.brief), 200);
    ck_assert_int_gt(job.bytes, 3000000);
    store_job_release(&job);
    ck_assert_int_eq(store_document_read(reader, "old", &document), 1);
    ck_assert_str_eq(document, old);
    free(document);
    free(old);
    ck_assert_int_eq(number_read("SELECT count(*) FROM documents"), 1);
    ck_assert_msg(store_integrity_check(reader, error), "%s", error);
}
END_TEST

/* ---- checkpoints ---- */

static bool iteration_sum(void *user, const struct store_checkpoint *checkpoint) {
    *(int64_t *)user = *(int64_t *)user * 100 + checkpoint->iteration;
    return true;
}

START_TEST(test_the_newest_checkpoints_are_kept_and_a_damaged_one_is_passed_over) {
    struct store_checkpoint checkpoint = {0};
    char id[STORE_ID_BYTES];
    int64_t sum = 0;
    int damaged = -1;
    id_of(1, id);
    job_submit(1, 0);
    for (int i = 10; i <= 40; i += 10) {
        struct store_unit *unit = unit_make(i);
        checkpoint_put(unit, 1, i, 2);
        unit_submit(unit);
    }
    units_await();
    ck_assert_int_eq(store_checkpoints_list(reader, id, iteration_sum, &sum), 2);
    ck_assert_int_eq(sum, 4030);
    ck_assert_int_eq(store_checkpoint_read(reader, id, -1, &checkpoint, &damaged), 1);
    ck_assert(checkpoint.iteration == 40 && damaged == 0 && checkpoint.size == 100000 && checkpoint.bytes[99999] == 40);
    free(checkpoint.bytes);
    statement_run("UPDATE checkpoints SET bytes=zeroblob(100000) WHERE iteration=40");
    ck_assert_int_eq(store_checkpoint_read(reader, id, -1, &checkpoint, &damaged), 1);
    ck_assert(checkpoint.iteration == 30 && damaged == 1);
    free(checkpoint.bytes);
    checkpoint.bytes = NULL;
    ck_assert_int_eq(store_checkpoint_read(reader, id, 40, &checkpoint, NULL), 0);
    statement_run("UPDATE checkpoints SET bytes=substr(bytes, 1, 5000) WHERE iteration=30");
    ck_assert_int_eq(store_checkpoint_read(reader, id, -1, &checkpoint, &damaged), 0);
    ck_assert_int_eq(damaged, 2);
    ck_assert_ptr_null(checkpoint.bytes);
}
END_TEST

/* ---- the disk ---- */

/* A limit on the size of files stands for the full disk: writing beyond it fails in the same way. */
START_TEST(test_a_full_disk_fails_what_waits_until_the_loop_has_dealt_with_it) {
    struct rlimit limit, kept;
    char path[128];
    struct stat status;
    signal(SIGXFSZ, SIG_IGN);
    job_submit(1, 0);
    units_await();
    snprintf(path, sizeof path, "%s/modprop.db-wal", directory);
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &kept), 0);
    limit = (struct rlimit){.rlim_cur = (rlim_t)status.st_size + 50000, .rlim_max = kept.rlim_max};
    results_forget();
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    struct store_unit *unit = unit_make(2);
    checkpoint_put(unit, 1, 10, 2);
    unit_submit(unit);
    units_await();
    ck_assert_int_eq(results[STORE_STALLED], 1);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &kept), 0);
    job_submit(3, 0); /* there would be space, but the loop does not know yet what has failed */
    units_await();
    ck_assert_int_eq(results[STORE_STALLED], 2);
    const struct store_unit first = stalled;
    store_failure_handled(store, &first);
    limit.rlim_cur = 50000; /* the log has started again meanwhile */
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    unit = unit_make(3);
    checkpoint_put(unit, 1, 10, 2);
    unit_submit(unit);
    units_await();
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &kept), 0);
    store_failure_handled(store, &first); /* learning of the first failure implies nothing about the second */
    job_submit(4, 0);
    units_await();
    ck_assert_int_eq(results[STORE_STALLED], 4);
    store_failure_handled(store, &stalled);
    job_submit(2, 0);
    units_await();
    ck_assert_int_eq(results[STORE_WRITTEN], 1);
    ck_assert_int_eq(store_jobs_count(reader, JOB_QUEUED), 2);
    ck_assert_uint_eq(store_counts(store).failures, 2);
}
END_TEST

START_TEST(test_what_is_written_is_there_after_closing) {
    char error[STORE_ERROR_BYTES], path[128];
    struct stat status;
    for (int i = 1; i <= 50; i++) {
        job_submit(i, 0);
    }
    store_reader_close(reader);
    store_close(store); /* writes what waits */
    loop_deliver(&loop);
    ck_assert_int_eq(results[STORE_WRITTEN], 50);
    awaited = 0;
    store = store_open(directory, &loop, error);
    reader = store == NULL ? NULL : store_reader_open(directory, error);
    ck_assert_msg(reader != NULL, "%s", error);
    ck_assert_int_eq(store_jobs_count(reader, JOB_QUEUED), 50);
    snprintf(path, sizeof path, "%s/modprop.db", directory);
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_int_eq(status.st_mode & 0777, 0600);
}
END_TEST

START_TEST(test_a_directory_has_one_owner) {
    char error[STORE_ERROR_BYTES] = "", process[32];
    ck_assert_ptr_null(store_open(directory, &loop, error));
    snprintf(process, sizeof process, "process %ld", (long)getpid());
    ck_assert_msg(strstr(error, process) != NULL, "%s", error);
    job_submit(1, 0); /* the owner is not disturbed */
    units_await();
    ck_assert_int_eq(results[STORE_WRITTEN], 1);
}
END_TEST

START_TEST(test_a_file_that_is_no_database_is_refused_and_left_alone) {
    static const char text[] = "not a database, and somebody's only copy of it; long enough to have what SQLite takes "
                               "for a header of one hundred bytes and more";
    char path[128], error[STORE_ERROR_BYTES] = "", now[sizeof text] = "";
    store_reader_close(reader);
    store_close(store);
    snprintf(path, sizeof path, "%s/modprop.db", directory);
    FILE *file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
    store = store_open(directory, &loop, error);
    ck_assert_ptr_null(store);
    ck_assert_msg(strstr(error, "damaged") != NULL && strstr(error, "backup") != NULL, "%s", error);
    reader = store_reader_open(directory, error);
    ck_assert_ptr_null(reader);
    file = fopen(path, "r");
    ck_assert_uint_eq(fread(now, 1, sizeof text - 1, file), sizeof text - 1);
    fclose(file);
    ck_assert_str_eq(now, text);
}
END_TEST

START_TEST(test_a_backup_is_whole_while_the_writer_writes) {
    char file[128], folder[96], error[STORE_ERROR_BYTES] = "";
    for (int i = 1; i <= 300; i++) {
        job_submit(i, 0);
    }
    snprintf(folder, sizeof folder, "%s/copy", directory);
    ck_assert_int_eq(mkdir(folder, 0700), 0);
    snprintf(file, sizeof file, "%s/modprop.db", folder);
    ck_assert_msg(store_backup(directory, file, error), "%s", error);
    ck_assert(!store_backup(directory, file, error));
    ck_assert_msg(strstr(error, "exists already") != NULL, "%s", error);
    units_await();
    struct store_reader *copy = store_reader_open(folder, error);
    ck_assert_msg(copy != NULL && store_integrity_check(copy, error), "%s", error);
    int64_t jobs = store_jobs_count(copy, JOB_QUEUED);
    ck_assert_msg(jobs >= 0 && jobs <= 300 && store_seq_last(copy) == jobs, "%" PRId64 " jobs", jobs);
    store_reader_close(copy);
}
END_TEST

START_TEST(test_cancellations_that_could_not_be_stored_are_noted_in_place) {
    struct stops *stops = calloc(1, sizeof *stops);
    char id[STORE_ID_BYTES];
    ck_assert(stops_init(stops, directory));
    for (int i = 0; i < STOPS_MOST; i++) {
        snprintf(id, sizeof id, "job-%d", i);
        ck_assert(stops_add(stops, id));
        ck_assert(stops_add(stops, id)); /* again: noted already */
    }
    ck_assert(!stops_add(stops, "one more"));
    stops_remove(stops, "job-7");
    stops_remove(stops, "unknown");
    ck_assert(stops_add(stops, "another"));
    stops_release(stops);
    ck_assert(stops_init(stops, directory));
    ck_assert_int_eq(stops->count, STOPS_MOST);
    ck_assert(stops_has(stops, "job-0") && stops_has(stops, "job-255") && stops_has(stops, "another"));
    ck_assert(!stops_has(stops, "job-7") && !stops_has(stops, ""));
    stops_release(stops);
    free(stops);
}
END_TEST

START_TEST(test_a_crash_of_its_own_is_told_from_a_kill) {
    char job[STORE_ID_BYTES];
    store_crash_mark_take(directory, job);
    ck_assert_str_eq(job, "");
    int mark = store_crash_mark_open(directory);
    ck_assert_int_ge(mark, 0);
    store_crash_mark_take(directory, job);
    ck_assert_str_eq(job, ""); /* opened, nothing written, killed */
    close(mark);
    mark = store_crash_mark_open(directory);
    ck_assert_int_eq(write(mark, "0190\n", 5), 5);
    close(mark);
    store_crash_mark_take(directory, job);
    ck_assert_str_eq(job, "0190");
    store_crash_mark_take(directory, job);
    ck_assert_str_eq(job, "");
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        test_an_old_database_ends_with_the_schema_of_a_new_one,
        test_the_newest_checkpoints_are_kept_and_a_damaged_one_is_passed_over,
        test_a_full_disk_fails_what_waits_until_the_loop_has_dealt_with_it,
        test_what_is_written_is_there_after_closing,
        test_a_directory_has_one_owner,
        test_a_file_that_is_no_database_is_refused_and_left_alone,
        test_a_backup_is_whole_while_the_writer_writes,
        test_cancellations_that_could_not_be_stored_are_noted_in_place,
        test_a_crash_of_its_own_is_told_from_a_kill,
    };
    return stored_suite_run("store disk", tests, sizeof tests / sizeof *tests);
}
