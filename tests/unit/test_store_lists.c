/*
 * What readers of the store find: documents, bytes, lists by a query, views.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/search.h"
#include "tests/unit/stored.h"

/* ---- documents and bytes ---- */

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

int main(void) {
    const TTest *const tests[] = {
        test_a_large_document_is_no_part_of_what_lists_read,
        test_the_bytes_of_each_job_and_of_all_are_kept,
        test_jobs_are_found_by_what_they_have,
        test_a_page_looks_at_few_rows,
        test_views_are_bounded,
    };
    return stored_suite_run("store lists", tests, sizeof tests / sizeof *tests);
}
