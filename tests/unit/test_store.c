/*
 * The store on real databases: units, group commit, rollback, disk failures, readers, checkpoints, lock, damage. Each
 * test has its own directory.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/search.h"
#include "server/base/loop.h"
#include "server/store/stops.h"
#include "server/store/store.h"

static char directory[64];
static struct loop loop;
static struct store *store;
static struct store_reader *reader;
static int awaited, results[3], order[1024], ordered;
static pthread_t loop_thread;

static void on_tick(void *user, uint64_t now) {
    (void)user;
    (void)now;
}

static void on_signal(void *user, int number) {
    (void)user;
    (void)number;
}

static void store_begin(void) {
    static const struct loop_hooks hooks = {.tick = on_tick, .signal = on_signal};
    char error[STORE_ERROR_BYTES] = "";
    snprintf(directory, sizeof directory, "/tmp/modprop-store-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    ck_assert_int_eq(loop_init(&loop, &hooks), 0);
    loop_thread = pthread_self();
    store = store_open(directory, &loop, error);
    ck_assert_msg(store != NULL, "%s", error);
    reader = store_reader_open(directory, error);
    ck_assert_msg(reader != NULL, "%s", error);
}

static int entry_delete(const char *path, const struct stat *status, int type, struct FTW *at) {
    (void)status;
    (void)type;
    (void)at;
    return remove(path);
}

static void store_end(void) {
    store_reader_close(reader);
    store_close(store);
    loop_release(&loop);
    nftw(directory, entry_delete, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- units ---- */

static struct store_unit stalled; /* the last one that failed with its commit, as it was */

static void on_done(struct store_unit *unit) {
    if (unit->result == STORE_STALLED) {
        stalled = *unit;
    }
    ck_assert(pthread_equal(pthread_self(), loop_thread));
    if (ordered < 1024) {
        order[ordered++] = (int)(intptr_t)unit->user;
    }
    results[unit->result]++;
    if (--awaited == 0) {
        loop_stop(&loop);
    }
}

static struct store_unit *unit_make(int number) {
    struct store_unit *unit = store_unit_create(on_done, (void *)(intptr_t)number);
    ck_assert_ptr_nonnull(unit);
    return unit;
}

static void unit_submit(struct store_unit *unit) {
    awaited++;
    store_submit(store, unit);
}

/* Waits until every unit has come back. */
static void units_await(void) {
    if (awaited > 0) {
        loop_run(&loop);
    }
    ck_assert_int_eq(awaited, 0);
}

static void results_forget(void) {
    memset(results, 0, sizeof results);
    ordered = 0;
}

static void id_of(int number, char id[STORE_ID_BYTES]) {
    snprintf(id, STORE_ID_BYTES, "00000000-0000-7000-8000-%012d", number);
}

static void job_put(struct store_unit *unit, int number, int priority) {
    struct store_item *item = store_unit_add(unit, STORE_JOB_ADD);
    item->job = (struct store_job){.document = strdup("{\"seed\":1}"),
                                   .name = strdup("n"),
                                   .task = strdup("delayed_xor"),
                                   .rule = strdup("bptt"),
                                   .notes = strdup(""),
                                   .tags = strdup("[]"),
                                   .seed = number,
                                   .priority = priority,
                                   .created = 1000 + number,
                                   .iterations = 100,
                                   .memory = 4096};
    snprintf(item->job.digest, sizeof item->job.digest, "%064d", number);
    id_of(number, item->job.id);
}

static void event_put(struct store_unit *unit, int job, int64_t id, int64_t seq, const char *check) {
    char json[80];
    struct store_item *item = store_unit_add(unit, STORE_EVENT_ADD);
    snprintf(json, sizeof json, "{\"id\":%" PRId64 ",\"seq\":%" PRId64 "}", id, seq);
    item->event = (struct store_event){.seq = seq,
                                       .id = id,
                                       .time = 5,
                                       .iteration = check != NULL ? id : -1,
                                       .json = strdup(json),
                                       .check = check != NULL ? strdup(check) : NULL};
    snprintf(item->event.type, sizeof item->event.type, "%s", check != NULL ? "progress" : "status");
    id_of(job, item->event.job);
}

static void checkpoint_put(struct store_unit *unit, int job, int64_t iteration, int keep) {
    struct store_item *item = store_unit_add(unit, STORE_CHECKPOINT_ADD);
    item->checkpoint = (struct store_checkpoint){
        .iteration = iteration, .created = 7, .loss = NAN, .size = 100000, .keep = keep};
    item->checkpoint.bytes = malloc(item->checkpoint.size);
    memset(item->checkpoint.bytes, (int)iteration, item->checkpoint.size);
    sha256_hex(item->checkpoint.bytes, item->checkpoint.size, item->checkpoint.sha256);
    id_of(job, item->checkpoint.job);
}

static void job_submit(int number, int priority) {
    struct store_unit *unit = unit_make(number);
    job_put(unit, number, priority);
    event_put(unit, number, 1, number, NULL);
    unit_submit(unit);
}

static void statement_run(const char *text) {
    char path[128];
    sqlite3 *database;
    snprintf(path, sizeof path, "%s/modprop.db", directory);
    ck_assert_int_eq(sqlite3_open(path, &database), SQLITE_OK);
    sqlite3_busy_timeout(database, 5000);
    ck_assert_msg(sqlite3_exec(database, text, NULL, NULL, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(database));
    sqlite3_close(database);
}

static void purge_await(void) {
    for (int i = 0; i < 5000 && store_counts(store).purging; i++) {
        usleep(2000);
    }
    ck_assert(!store_counts(store).purging);
}

static int64_t number_read(const char *text) {
    char path[128];
    sqlite3 *database;
    sqlite3_stmt *s = NULL;
    snprintf(path, sizeof path, "%s/modprop.db", directory);
    ck_assert_int_eq(sqlite3_open(path, &database), SQLITE_OK);
    ck_assert_msg(sqlite3_prepare_v2(database, text, -1, &s, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(database));
    ck_assert_int_eq(sqlite3_step(s), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(database);
    return number;
}

static bool event_count(void *user, const struct store_event *event) {
    (void)event;
    ++*(int *)user;
    return true;
}

START_TEST(test_many_units_share_commits_and_come_back_in_order) {
    for (int i = 1; i <= 600; i++) {
        job_submit(i, 0);
    }
    units_await();
    struct store_counts counts = store_counts(store);
    ck_assert_int_eq(results[STORE_WRITTEN], 600);
    ck_assert_uint_eq(counts.units, 600);
    ck_assert_msg(counts.commits >= 2 && counts.commits <= 100, "%" PRIu64 " commits of 600 units", counts.commits);
    for (int i = 0; i < 600; i++) {
        ck_assert_int_eq(order[i], i + 1);
    }
    ck_assert_int_eq(store_jobs_count(reader, JOB_QUEUED), 600);
    ck_assert_int_eq(store_seq_last(reader), 600);
    store_flush(store); /* the last unit comes back a moment before the writer has counted it */
    ck_assert_uint_eq(store_depth(store), 0);
}
END_TEST

START_TEST(test_a_unit_that_fails_costs_its_neighbours_nothing) {
    job_submit(1, 0);
    job_submit(2, 0);
    struct store_unit *bad = unit_make(3);
    event_put(bad, 1, 2, 50, NULL); /* good alone */
    job_put(bad, 2, 0);             /* the id is taken */
    unit_submit(bad);
    job_submit(4, 0);
    units_await();
    ck_assert_int_eq(results[STORE_WRITTEN], 3);
    ck_assert_int_eq(results[STORE_FAILED], 1);
    int events = 0;
    char id[STORE_ID_BYTES];
    id_of(1, id);
    ck_assert_int_eq(store_events_read(reader, id, 0, 10, event_count, &events), 1);
    ck_assert_int_eq(store_seq_last(reader), 4);
    job_submit(5, 0);
    units_await();
    ck_assert_int_eq(results[STORE_WRITTEN], 4);
}
END_TEST

START_TEST(test_a_job_comes_back_as_it_was_written) {
    struct store_job job;
    char id[STORE_ID_BYTES];
    job_submit(7, 3);
    units_await();
    struct store_unit *unit = unit_make(0);
    struct store_item *set = store_unit_add(unit, STORE_JOB_SET);
    set->job = (struct store_job){.status = JOB_FAILED,
                                  .started = 11,
                                  .finished = 12,
                                  .attempt = 2,
                                  .iteration = 40,
                                  .loss = 0.25,
                                  .accuracy = NAN,
                                  .initial_loss = 0.5,
                                  .progressed = 60,
                                  .trials_per_second = 1.5,
                                  .error_code = strdup("diverged"),
                                  .error_detail = strdup("at 40"),
                                  .error_iteration = 40,
                                  .crashes = 1,
                                  .crash_iteration = 20,
                                  .build = strdup("b"),
                                  .isa = strdup("avx2"),
                                  .trained = 2.5,
                                  .dataset_sha256 = "d"};
    id_of(7, set->job.id);
    unit_submit(unit);
    units_await();
    id_of(7, id);
    ck_assert_int_eq(store_job_read(reader, id, &job), 1);
    ck_assert_str_eq(job.brief, "{\"seed\":1}");
    ck_assert_ptr_null(job.document);
    ck_assert_int_eq(job.status, JOB_FAILED);
    ck_assert_int_eq(job.priority, 3);
    ck_assert(job.created == 1007 && job.started == 11 && job.finished == 12 && job.attempt == 2 &&
              job.iteration == 40 && job.iterations == 100);
    ck_assert(job.loss == 0.25 && isnan(job.accuracy) && job.initial_loss == 0.5 && job.progressed == 60 &&
              job.trials_per_second == 1.5 && job.trained == 2.5 && job.memory == 4096);
    ck_assert_str_eq(job.error_code, "diverged");
    ck_assert_str_eq(job.error_detail, "at 40");
    ck_assert(job.error_iteration == 40 && job.crashes == 1 && job.crash_iteration == 20 && job.events == 1);
    ck_assert_str_eq(job.isa, "avx2");
    ck_assert_str_eq(job.dataset_sha256, "d");
    store_job_release(&job);
    id_of(8, id);
    ck_assert_int_eq(store_job_read(reader, id, &job), 0);
}
END_TEST

static bool queue_note(void *user, const struct store_job *job) {
    *(int64_t *)user = *(int64_t *)user * 10 + job->number;
    return true;
}

START_TEST(test_the_queue_is_by_priority_then_age) {
    static const int priorities[] = {0, 5, 0, 5, -1};
    int64_t order_read = 0;
    struct store_job job;
    char id[STORE_ID_BYTES];
    for (int i = 0; i < 5; i++) {
        job_submit(i + 1, priorities[i]);
    }
    units_await();
    ck_assert_int_eq(store_queue_read(reader, queue_note, &order_read), 5);
    ck_assert_int_eq(order_read, 24135);
    ck_assert_int_eq(store_job_queued(reader, 2, &job), 1);
    id_of(2, id);
    ck_assert_str_eq(job.id, id);
    store_job_release(&job);
    ck_assert_int_eq(store_job_queued(reader, 6, &job), 0);
}
END_TEST

/* ---- events ---- */

START_TEST(test_events_are_paged_and_their_digest_is_kept) {
    char id[STORE_ID_BYTES], digest[STORE_HASH_BYTES] = "", *check = NULL;
    struct store_job job;
    int events = 0;
    job_submit(1, 0);
    for (int i = 2; i <= 30; i++) {
        struct store_unit *unit = unit_make(i);
        event_put(unit, 1, i, i, i % 2 == 0 ? "{\"loss\":1}" : NULL);
        unit_submit(unit);
    }
    units_await();
    id_of(1, id);
    ck_assert_int_eq(store_events_read(reader, id, 10, 5, event_count, &events), 5);
    ck_assert_int_eq(store_events_read(reader, id, 28, 100, event_count, &events), 2);
    ck_assert_int_eq(store_events_read(reader, NULL, 29, 100, event_count, &events), 1);
    ck_assert_int_eq(store_progress_read(reader, id, 0, INT64_MAX, event_count, &events), 15);
    ck_assert_int_eq(store_progress_read(reader, id, 4, 8, event_count, &events), 3);
    ck_assert_int_eq(store_progress_check(reader, id, 4, &check), 1);
    ck_assert_str_eq(check, "{\"loss\":1}");
    free(check);
    ck_assert_int_eq(store_progress_check(reader, id, 5, &check), 0);
    for (int i = 1; i <= 30; i++) {
        char json[80];
        snprintf(json, sizeof json, "{\"id\":%d,\"seq\":%d}", i, i);
        event_digest_add(digest, json);
    }
    ck_assert_int_eq(store_job_read(reader, id, &job), 1);
    ck_assert_int_eq(job.events, 30);
    ck_assert_str_eq(job.event_digest, digest);
    store_job_release(&job);
}
END_TEST

START_TEST(test_an_event_number_is_given_once) {
    job_submit(1, 0);
    struct store_unit *unit = unit_make(2);
    event_put(unit, 1, 1, 2, NULL);
    unit_submit(unit);
    units_await();
    ck_assert_int_eq(results[STORE_FAILED], 1);
}
END_TEST

START_TEST(test_deletion_takes_all_that_belongs_to_the_job) {
    char id[STORE_ID_BYTES], error[STORE_ERROR_BYTES];
    struct store_job job;
    struct store_key key;
    job_submit(1, 0);
    job_submit(2, 0);
    struct store_unit *unit = unit_make(3);
    checkpoint_put(unit, 1, 10, 2);
    struct store_item *item = store_unit_add(unit, STORE_KEY_ADD);
    item->key = (struct store_key){.key = strdup("k"), .body = "b", .created = 1};
    id_of(1, item->key.job);
    unit_submit(unit);
    units_await();
    ck_assert_int_eq(store_key_read(reader, "k", &key), 1);
    ck_assert_str_eq(key.body, "b");
    unit = unit_make(4);
    id_of(1, id);
    memcpy(store_unit_add(unit, STORE_JOB_DELETE)->job.id, id, sizeof id);
    event_put(unit, 1, 2, 3, NULL);
    memcpy(unit->first->next->event.type, "deleted", 8);
    unit_submit(unit);
    units_await();
    purge_await();
    ck_assert_int_eq(results[STORE_WRITTEN], 4);
    ck_assert_int_eq(store_job_read(reader, id, &job), 0);
    ck_assert_int_eq(store_key_read(reader, "k", &key), 0);
    int events = 0;
    ck_assert_int_eq(store_events_read(reader, NULL, 0, 10, event_count, &events), 2);
    ck_assert_msg(store_integrity_check(reader, error), "%s", error);
    ck_assert_int_eq(store_jobs_count(reader, JOB_QUEUED), 1);
}
END_TEST

static void job_remove(int number, int64_t id, int64_t seq) {
    struct store_unit *unit = unit_make(number);
    id_of(number, store_unit_add(unit, STORE_JOB_DELETE)->job.id);
    event_put(unit, number, id, seq, NULL);
    memcpy(unit->first->next->event.type, "deleted", 8);
    unit_submit(unit);
}

START_TEST(test_a_large_deletion_is_made_in_portions) {
    struct store_job job;
    char id[STORE_ID_BYTES], error[STORE_ERROR_BYTES];
    id_of(1, id);
    job_submit(1, 0);
    struct store_unit *unit = unit_make(1);
    for (int i = 2; i <= 9001; i++) {
        event_put(unit, 1, i, i, NULL);
    }
    checkpoint_put(unit, 1, 10, 3);
    checkpoint_put(unit, 1, 20, 3);
    unit_submit(unit);
    units_await();
    purge_await();
    uint64_t portions = store_counts(store).portions;
    job_remove(1, 9002, 9002);
    job_submit(9003, 0); /* what the deletion leaves does not delay it */
    units_await();
    ck_assert_int_eq(store_job_read(reader, id, &job), 0);
    ck_assert_msg(store_integrity_check(reader, error), "%s", error);
    purge_await();
    portions = store_counts(store).portions - portions;
    ck_assert_msg(portions >= 5, "%" PRIu64 " portions of 9000 events and two checkpoints", portions);
    ck_assert_int_eq(number_read("SELECT count(*) FROM events"), 2);
    ck_assert_int_eq(number_read("SELECT count(*) FROM checkpoints"), 0);
    ck_assert_msg(store_integrity_check(reader, error), "%s", error);
}
END_TEST

START_TEST(test_what_a_deletion_leaves_is_removed_by_the_next_start) {
    char error[STORE_ERROR_BYTES];
    job_submit(1, 0);
    units_await();
    purge_await();
    store_reader_close(reader);
    store_close(store);
    /* as a kill between the deletion and its first portion leaves it */
    statement_run("INSERT INTO purges SELECT id, number FROM jobs; DELETE FROM jobs;"
                  "UPDATE totals SET value=0; INSERT INTO documents VALUES (1, 'large')");
    store = store_open(directory, &loop, error);
    reader = store == NULL ? NULL : store_reader_open(directory, error);
    ck_assert_msg(reader != NULL, "%s", error);
    purge_await();
    ck_assert_int_eq(number_read("SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM documents)"), 0);
    ck_assert_msg(store_integrity_check(reader, error), "%s", error);
}
END_TEST

START_TEST(test_events_of_deletions_are_bounded) {
    job_submit(1, 0);
    struct store_unit *unit = unit_make(1);
    for (int i = 2; i <= 11001; i++) {
        event_put(unit, 1000 + i, 1, i, NULL); /* of jobs that are gone */
        struct store_item *last = (struct store_item *)(void *)((char *)unit->last - offsetof(struct store_item, next));
        memcpy(last->event.type, "deleted", 8);
    }
    unit_submit(unit);
    units_await();
    ck_assert_int_eq(number_read("SELECT count(*) FROM events WHERE type='deleted'"), 11000);
    int64_t used = store_bytes_used(reader);
    ck_assert_msg(used > 0 && used < 4096, "%" PRId64 " bytes: events of deletions count for no job", used);
    job_remove(1, 2, 11002);
    units_await();
    purge_await();
    ck_assert_int_eq(number_read("SELECT count(*) FROM events WHERE type='deleted'"), 10000);
    ck_assert_int_eq(number_read("SELECT max(seq) FROM events"), 11002);
    ck_assert_int_eq(store_bytes_used(reader), 0);
}
END_TEST

/* ---- documents and bytes ---- */

static char *large_document(void) {
    size_t size = 3000000;
    static const char head[] = "{\"seed\":1,\"network\":{\"units\":2,\"initial\":{\"W\":[[0,1],[1,0";
    char *text = malloc(size + 1);
    memset(text, ' ', size);
    memcpy(text, head, sizeof head - 1);
    snprintf(text + size - 64, 64, "%*s", 62, "]],\"Win\":[[1,1]],\"b\":null,\"Wout\":[[1],[1]],\"bout\":[0]}}}");
    return text;
}

START_TEST(test_a_large_document_is_no_part_of_what_lists_read) {
    struct store_job job;
    char id[STORE_ID_BYTES], *document = NULL, *text = large_document();
    struct store_unit *unit = unit_make(1);
    job_put(unit, 1, 0);
    free(unit->first->job.document);
    unit->first->job.document = strdup(text);
    unit_submit(unit);
    units_await();
    id_of(1, id);
    ck_assert_int_eq(store_job_read(reader, id, &job), 1);
    ck_assert_msg(strlen(job.brief) < 200, "%zu bytes", strlen(job.brief));
    ck_assert_msg(strstr(job.brief, "\"initial\":{\"units\":2,\"inputs\":1,\"outputs\":1}") != NULL, "%s", job.brief);
    ck_assert_int_ge(job.bytes, (int64_t)strlen(text));
    ck_assert_int_eq(store_bytes_used(reader), job.bytes);
    store_job_release(&job);
    ck_assert_int_eq(store_document_read(reader, id, &document), 1);
    ck_assert_str_eq(document, text);
    free(document);
    free(text);
    job_remove(1, 2, 2);
    units_await();
    purge_await();
    ck_assert_int_eq(store_bytes_used(reader), 0);
    ck_assert_int_eq(number_read("SELECT count(*) FROM documents"), 0);
}
END_TEST

START_TEST(test_the_bytes_of_each_job_and_of_all_are_kept) {
    struct store_job job;
    char id[STORE_ID_BYTES], error[STORE_ERROR_BYTES];
    id_of(1, id);
    job_submit(1, 0);
    job_submit(2, 0);
    for (int i = 10; i <= 40; i += 10) {
        struct store_unit *unit = unit_make(i);
        checkpoint_put(unit, 1, i, 2);
        event_put(unit, 1, i / 10 + 1, i, "{}");
        unit_submit(unit);
    }
    units_await();
    ck_assert_int_eq(store_job_read(reader, id, &job), 1);
    ck_assert_msg(job.bytes > 200000 && job.bytes < 215000, "%" PRId64 " bytes", job.bytes); /* two are kept */
    store_job_release(&job);
    ck_assert_int_eq(number_read("SELECT sum(bytes) FROM jobs"), store_bytes_used(reader));
    struct store_unit *bad = unit_make(3);
    event_put(bad, 1, 100, 100, NULL);
    job_put(bad, 2, 0); /* the id is taken: the whole unit fails, and with it its bytes */
    unit_submit(bad);
    job_submit(4, 0);
    units_await();
    ck_assert_int_eq(number_read("SELECT sum(bytes) FROM jobs"), store_bytes_used(reader));
    ck_assert_msg(store_integrity_check(reader, error), "%s", error);
}
END_TEST

/* ---- lists ---- */

/* The numbers that a query finds, as text; `found` what is said about the page. */
static bool number_add(void *user, const struct store_job *job) {
    char *text = user;
    size_t length = strlen(text);
    snprintf(text + length, 256 - length, "%s%" PRId64, length == 0 ? "" : " ", job->number);
    return true;
}

static const char *jobs_found(const char *query, int64_t before, int limit, struct store_found *found) {
    static struct search search;
    static char text[256];
    struct problems problems = {0};
    memset(&search, 0, sizeof search);
    text[0] = '\0';
    ck_assert_msg(search_read(&search, SEARCH_JOBS, query, "q", &problems), "%s", query);
    const struct store_page page = {.search = &search, .before = before, .limit = limit};
    ck_assert_int_ge(store_jobs_find(reader, &page, found, number_add, text), 0);
    return text;
}

static void caption_set(int number, const char *name, const char *notes, const char *tags) {
    struct store_unit *unit = unit_make(number);
    struct store_item *item = store_unit_add(unit, STORE_JOB_CAPTION);
    item->job = (struct store_job){.name = strdup(name), .notes = strdup(notes), .tags = strdup(tags)};
    id_of(number, item->job.id);
    unit_submit(unit);
    units_await();
}

START_TEST(test_jobs_are_found_by_what_they_have) {
    struct store_found found;
    char error[STORE_ERROR_BYTES];
    for (int i = 1; i <= 5; i++) {
        job_submit(i, 0);
    }
    units_await();
    caption_set(2, "First try", "of two", "[\"paper\",\"Fig 2\"]");
    caption_set(4, "first TRY", "", "[\"Paper\"]");
    static const char *const finds[][2] = {
        {"", "5 4 3 2 1"},
        {"name:\"first try\"", "4 2"},
        {"tag:PAPER", "4 2"},
        {"tag:\"fig 2\"", "2"},
        {"tag:paper seed:1..3", "2"},
        {"tag:none", "5 3 1"},
        {"seed:3", "3"},
        {"seed:3.5", ""},
        {"seed:3 rule:eprop", ""},
        {"notes:*two", "2"},
        {"n", "5 3 1"},
        {"rule:bptt -tag:*", "5 3 1"},
        {"status:queued task:delayed_xor", "5 4 3 2 1"},
        {"status:succeeded", ""},
        {"experiment:none", "5 4 3 2 1"},
        {"id:00000000-0000-7000-8000-000000000003", "3"},
        {"id:00000000-0000-7000-8000-000000000003,00000000-0000-7000-8000-000000000001", "3 1"},
        {"id:00000000-0000-7000-8000-00000000000", "5 4 3 2 1"},
        {"id:0000 seed:2", "2"},
    };
    for (size_t i = 0; i < sizeof finds / sizeof *finds; i++) {
        ck_assert_str_eq(jobs_found(finds[i][0], INT64_MAX, 100, &found), finds[i][1]);
        ck_assert(found.next == 0 && !found.bounded);
    }
    statement_run(
        "UPDATE jobs SET document='{\"name\":null,\"metadata\":{\"a b\":1,\"rule\":{\"mu\":9},"
        "\"metadata\":{\"x\":2}},\"rule\":{\"type\":\"modprop\",\"mu\":0.5},\"training\":{}}' WHERE number=3");
    ck_assert_str_eq(jobs_found("rule.mu:0.5", INT64_MAX, 100, &found), "3");
    ck_assert_str_eq(jobs_found("rule.mu:9", INT64_MAX, 100, &found), "");
    ck_assert_str_eq(jobs_found("meta.rule.mu:9 meta.metadata.x:2 meta.\"a b\":1", INT64_MAX, 100, &found), "3");
    ck_assert_str_eq(jobs_found("meta.x:2", INT64_MAX, 100, &found), "");
    ck_assert_str_eq(jobs_found("rule.mu:none", INT64_MAX, 100, &found), "5 4 2 1");
    ck_assert_str_eq(jobs_found("tag:paper", INT64_MAX, 1, &found), "4");
    ck_assert(found.next == 4 && found.scanned == 1);
    ck_assert_str_eq(jobs_found("tag:paper", 4, 1, &found), "2");
    caption_set(4, "n", "", "[]");
    ck_assert_str_eq(jobs_found("tag:paper", INT64_MAX, 100, &found), "2");
    ck_assert_int_eq(number_read("SELECT sum(bytes) FROM jobs"), store_bytes_used(reader));
    job_remove(2, 2, 10);
    units_await();
    ck_assert_str_eq(jobs_found("tag:paper", INT64_MAX, 100, &found), "");
    purge_await();
    ck_assert_int_eq(number_read("SELECT count(*) FROM job_tags"), 0);
    ck_assert_msg(store_integrity_check(reader, error), "%s", error);
}
END_TEST

/* An exact value's rows are the only ones that are looked at; without one a page ends after STORE_SCAN_MOST. */
START_TEST(test_a_page_looks_at_few_rows) {
    struct store_found found;
    statement_run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<25000) INSERT INTO jobs (id, "
                  "document, digest, name, task, rule, status, priority, created, iterations, seed, experiment) SELECT "
                  "printf('00000000-0000-7000-8000-%012d', i), '{\"metadata\":{}}', '', '', 'delayed_xor', "
                  "iif(i%5000=7, 'eprop', 'bptt'), iif(i%4000=9, 6, 5), 0, i, 1, i%100, iif(i<30, 'old', '') FROM n");
    static const char *const exact[][2] = {{"rule:eprop", "20007 15007 10007 5007 7"},
                                           {"status:failed", "24009 20009 16009 12009 8009 4009 9"},
                                           {"experiment:OLD seed:17", "17"}};
    for (size_t i = 0; i < sizeof exact / sizeof *exact; i++) {
        ck_assert_str_eq(jobs_found(exact[i][0], INT64_MAX, 100, &found), exact[i][1]);
        ck_assert(!found.bounded && found.next == 0);
        ck_assert_int_le(found.scanned, 29);
    }
    jobs_found("seed:7", INT64_MAX, 20, &found);
    ck_assert_int_eq(found.scanned, 20);
    ck_assert_str_eq(jobs_found("meta.x:1", INT64_MAX, 100, &found), "");
    ck_assert(found.bounded && found.scanned == STORE_SCAN_MOST && found.next == 25000 - STORE_SCAN_MOST + 1);
    ck_assert_str_eq(jobs_found("meta.x:1", 5001, 100, &found), "");
    ck_assert(!found.bounded && found.scanned == 5000 && found.next == 0);
}
END_TEST

static void view_submit(int number, enum store_kind kind, const char *name) {
    struct store_unit *unit = unit_make(number);
    struct store_item *item = store_unit_add(unit, kind);
    item->view = (struct store_view){.document = strdup("{}"), .changed = number};
    snprintf(item->view.name, sizeof item->view.name, "%s", name);
    unit_submit(unit);
}

static bool view_count(void *user, const struct store_view *view) {
    (void)view;
    ++*(int *)user;
    return true;
}

START_TEST(test_views_are_bounded) {
    struct store_view view;
    int count = 0;
    results_forget();
    for (int i = 0; i < STORE_VIEWS_MOST; i++) {
        char name[16];
        snprintf(name, sizeof name, "v%d", i);
        view_submit(i, STORE_VIEW_PUT, name);
    }
    units_await();
    view_submit(300, STORE_VIEW_PUT, "more");
    view_submit(301, STORE_VIEW_PUT, "v7"); /* in place of one is no more */
    view_submit(302, STORE_VIEW_DELETE, "none");
    view_submit(303, STORE_VIEW_DELETE, "v8");
    view_submit(304, STORE_VIEW_PUT, "more");
    units_await();
    ck_assert_int_eq(results[STORE_WRITTEN], STORE_VIEWS_MOST + 3); /* not the first "more", not "none" */
    ck_assert_int_eq(results[STORE_FAILED], 2);
    ck_assert_int_eq(store_views_list(reader, view_count, &count), STORE_VIEWS_MOST);
    ck_assert_int_eq(store_view_read(reader, "v7", &view), 1);
    ck_assert_int_eq(view.changed, 301);
    store_view_release(&view);
    ck_assert_int_eq(store_view_read(reader, "v8", &view), 0);
}
END_TEST

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
    Suite *suite = suite_create("store");
    TCase *all = tcase_create("store");
    tcase_add_checked_fixture(all, store_begin, store_end);
    tcase_set_timeout(all, 60);
    tcase_add_test(all, test_many_units_share_commits_and_come_back_in_order);
    tcase_add_test(all, test_a_unit_that_fails_costs_its_neighbours_nothing);
    tcase_add_test(all, test_a_job_comes_back_as_it_was_written);
    tcase_add_test(all, test_the_queue_is_by_priority_then_age);
    tcase_add_test(all, test_events_are_paged_and_their_digest_is_kept);
    tcase_add_test(all, test_an_event_number_is_given_once);
    tcase_add_test(all, test_deletion_takes_all_that_belongs_to_the_job);
    tcase_add_test(all, test_a_large_deletion_is_made_in_portions);
    tcase_add_test(all, test_what_a_deletion_leaves_is_removed_by_the_next_start);
    tcase_add_test(all, test_events_of_deletions_are_bounded);
    tcase_add_test(all, test_a_large_document_is_no_part_of_what_lists_read);
    tcase_add_test(all, test_the_bytes_of_each_job_and_of_all_are_kept);
    tcase_add_test(all, test_jobs_are_found_by_what_they_have);
    tcase_add_test(all, test_a_page_looks_at_few_rows);
    tcase_add_test(all, test_views_are_bounded);
    tcase_add_test(all, test_an_old_database_ends_with_the_schema_of_a_new_one);
    tcase_add_test(all, test_the_newest_checkpoints_are_kept_and_a_damaged_one_is_passed_over);
    tcase_add_test(all, test_a_full_disk_fails_what_waits_until_the_loop_has_dealt_with_it);
    tcase_add_test(all, test_what_is_written_is_there_after_closing);
    tcase_add_test(all, test_a_directory_has_one_owner);
    tcase_add_test(all, test_a_file_that_is_no_database_is_refused_and_left_alone);
    tcase_add_test(all, test_a_backup_is_whole_while_the_writer_writes);
    tcase_add_test(all, test_a_crash_of_its_own_is_told_from_a_kill);
    tcase_add_test(all, test_cancellations_that_could_not_be_stored_are_noted_in_place);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
