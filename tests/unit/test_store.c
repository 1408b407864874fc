/*
 * The store on real databases: units, group commit, order, events, deletion.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/stored.h"

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

int main(void) {
    const TTest *const tests[] = {
        test_many_units_share_commits_and_come_back_in_order,
        test_a_unit_that_fails_costs_its_neighbours_nothing,
        test_a_job_comes_back_as_it_was_written,
        test_the_queue_is_by_priority_then_age,
        test_events_are_paged_and_their_digest_is_kept,
        test_an_event_number_is_given_once,
        test_deletion_takes_all_that_belongs_to_the_job,
        test_a_large_deletion_is_made_in_portions,
        test_what_a_deletion_leaves_is_removed_by_the_next_start,
        test_events_of_deletions_are_bounded,
    };
    return stored_suite_run("store", tests, sizeof tests / sizeof *tests);
}
