/* See stored.h. */
#include "tests/unit/stored.h"
#include "tests/unit/suite.h"

#include <ftw.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char directory[64];
struct store *store;
struct store_reader *reader;
int awaited, results[3], order[STORED_ORDERED_MOST], ordered;
struct store_unit stalled;
struct loop loop;
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

static void on_done(struct store_unit *unit) {
    if (unit->result == STORE_STALLED) {
        stalled = *unit;
    }
    ck_assert(pthread_equal(pthread_self(), loop_thread));
    if (ordered < STORED_ORDERED_MOST) {
        order[ordered++] = (int)(intptr_t)unit->user;
    }
    results[unit->result]++;
    if (--awaited == 0) {
        loop_stop(&loop);
    }
}

struct store_unit *unit_make(int number) {
    struct store_unit *unit = store_unit_create(on_done, (void *)(intptr_t)number);
    ck_assert_ptr_nonnull(unit);
    return unit;
}

void unit_submit(struct store_unit *unit) {
    awaited++;
    store_submit(store, unit);
}

/* Waits until every unit has come back. */
void units_await(void) {
    if (awaited > 0) {
        loop_run(&loop);
    }
    ck_assert_int_eq(awaited, 0);
}

void results_forget(void) {
    memset(results, 0, sizeof results);
    ordered = 0;
}

void id_of(int number, char id[STORE_ID_BYTES]) {
    snprintf(id, STORE_ID_BYTES, "00000000-0000-7000-8000-%012d", number);
}

void job_put(struct store_unit *unit, int number, int priority) {
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

void event_put(struct store_unit *unit, int job, int64_t id, int64_t seq, const char *check) {
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

void checkpoint_put(struct store_unit *unit, int job, int64_t iteration, int keep) {
    struct store_item *item = store_unit_add(unit, STORE_CHECKPOINT_ADD);
    item->checkpoint = (struct store_checkpoint){
        .iteration = iteration, .created = 7, .loss = NAN, .size = 100000, .keep = keep};
    item->checkpoint.bytes = malloc(item->checkpoint.size);
    memset(item->checkpoint.bytes, (int)iteration, item->checkpoint.size);
    sha256_hex(item->checkpoint.bytes, item->checkpoint.size, item->checkpoint.sha256);
    id_of(job, item->checkpoint.job);
}

void job_submit(int number, int priority) {
    struct store_unit *unit = unit_make(number);
    job_put(unit, number, priority);
    event_put(unit, number, 1, number, NULL);
    unit_submit(unit);
}

void statement_run(const char *text) {
    char path[128];
    sqlite3 *database;
    snprintf(path, sizeof path, "%s/modprop.db", directory);
    ck_assert_int_eq(sqlite3_open(path, &database), SQLITE_OK);
    sqlite3_busy_timeout(database, 5000);
    ck_assert_msg(sqlite3_exec(database, text, NULL, NULL, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(database));
    sqlite3_close(database);
}

void purge_await(void) {
    for (int i = 0; i < 5000 && store_counts(store).purging; i++) {
        usleep(2000);
    }
    ck_assert(!store_counts(store).purging);
}

int64_t number_read(const char *text) {
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

bool event_count(void *user, const struct store_event *event) {
    (void)event;
    ++*(int *)user;
    return true;
}

void job_remove(int number, int64_t id, int64_t seq) {
    struct store_unit *unit = unit_make(number);
    id_of(number, store_unit_add(unit, STORE_JOB_DELETE)->job.id);
    event_put(unit, number, id, seq, NULL);
    memcpy(unit->first->next->event.type, "deleted", 8);
    unit_submit(unit);
}

char *large_document(void) {
    size_t size = 3000000;
    static const char head[] = "{\"seed\":1,\"network\":{\"units\":2,\"initial\":{\"W\":[[0,1],[1,0";
    char *text = malloc(size + 1);
    memset(text, ' ', size);
    memcpy(text, head, sizeof head - 1);
    snprintf(text + size - 64, 64, "%*s", 62, "]],\"Win\":[[1,1]],\"b\":null,\"Wout\":[[1],[1]],\"bout\":[0]}}}");
    return text;
}

int stored_suite_run(const char *name, const TTest *const *tests, size_t count) {
    Suite *suite = suite_create(name);
    TCase *all = tcase_create(name);
    tcase_add_checked_fixture(all, store_begin, store_end);
    tcase_set_timeout(all, 60);
    for (size_t i = 0; i < count; i++) {
        tcase_add_test(all, tests[i]);
    }
    suite_add_tcase(suite, all);
    return suite_run(suite);
}
