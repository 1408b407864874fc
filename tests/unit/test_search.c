/*
 * The language of searches (api/search.c): what each term finds, and what each fault says and where. The rows that are
 * searched are JSON objects: a field's value is the member of its name.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "api/search.h"
#include "server/store/store.h"
#include "tests/unit/suite.h"

static const char job[] =
    "{\"name\": \"First try\", \"notes\": \"from 3 * 4 to 12\", \"tag\": [\"Paper\", \"fig 2\"], \"id\": "
    "\"01a2-77\", \"status\": \"succeeded\", \"outcome\": \"trained\", \"task\": \"delayed_xor\", \"rule\": \"eprop\","
    " \"seed\": 3, \"loss\": 0.05, \"accuracy\": null, \"created\": 1764288000000, \"iteration\": 100,"
    " \"document\": {\"task\": {\"name\": \"own\", \"delay\": 300}, \"network\": {\"units\": 64, \"dale\": true},"
    " \"rule\": {\"mu\": 0.25}, \"metadata\": {\"lab\": \"X\", \"n\": 7, \"a b\": {\"c\": 1}, \"list\": [1, \"two\"],"
    " \"none\": null, \"text\": \"0.5\"}}}";

static const char *const names[] = {
    [SEARCH_WORD] = "name",         [SEARCH_NAME] = "name",       [SEARCH_NOTES] = "notes",
    [SEARCH_TAG] = "tag",           [SEARCH_ID] = "id",           [SEARCH_STATUS] = "status",
    [SEARCH_OUTCOME] = "outcome",   [SEARCH_TASK] = "task",       [SEARCH_RULE] = "rule",
    [SEARCH_SEED] = "seed",         [SEARCH_LOSS] = "loss",       [SEARCH_ACCURACY] = "accuracy",
    [SEARCH_CREATED] = "created",   [SEARCH_OWNER] = "owner",     [SEARCH_ITERATION] = "iteration",
    [SEARCH_PRIORITY] = "priority", [SEARCH_MEMBER] = "document",
};

static void read_member(void *user, const struct search_term *term, struct search_datum *datum) {
    const json_t *row = user;
    ck_assert(names[term->key] != NULL);
    const json_t *value = json_object_get(row, names[term->key]);
    datum->type = DATUM_JSON;
    datum->json = term->key == SEARCH_MEMBER ? search_member(term, value) : value;
}

static bool search_fresh(struct search *search, enum search_kind kind, const char *query, const char *parameter,
                         struct problems *problems) {
    memset(search, 0, sizeof *search);
    return search_read(search, kind, query, parameter, problems);
}

static bool fits(const char *query) {
    static struct search search;
    struct problems problems = {0};
    json_t *row = json_loads(job, 0, NULL);
    ck_assert_ptr_nonnull(row);
    memset(&search, 0, sizeof search);
    bool sound = search_read(&search, SEARCH_JOBS, query, "q", &problems);
    ck_assert_msg(sound, "%s: %s", query, json_dumps(problems.errors, 0));
    bool found = search_fits(&search, read_member, row);
    json_decref(row);
    return found;
}

START_TEST(test_finds) {
    static const char *const found[] = {
        "",
        "  ",
        "try",
        "FIRST",
        "first try",
        "\"first try\"",
        "f*try",
        "name:\"first try\"",
        "name:first*",
        "name:*",
        "name!=second",
        "-name:second",
        "-second",
        "rule:eprop",
        "rule=eprop",
        "rule:bptt,eprop",
        "rule:e*",
        "task:*xor",
        "status:succeeded",
        "-status:active",
        "status!=active",
        "outcome:trained",
        "seed:3",
        "seed:1..5",
        "seed:..3",
        "seed:3..",
        "seed:1,3",
        "seed!=4",
        "seed>2",
        "seed>=3",
        "seed<4",
        "seed<=3",
        "loss<0.1",
        "loss:0.01..0.1",
        "loss:5e-2",
        "loss:*",
        "accuracy:none",
        "-accuracy:*",
        "owner:none",
        "-owner:x",
        "priority:none",
        "tag:paper",
        "tag:\"fig 2\"",
        "tag:other,paper",
        "tag:p*",
        "id:01a2",
        "id:01A2-77",
        "notes:\"from 3 * 4 to 12\"",
        "notes:*3*",
        "created:2025-11-28",
        "created:2025",
        "created>2025-11-27",
        "created>=2025-11-28",
        "created<2025-11-29",
        "created<=2025-11-28",
        "created:2025-11-28T00",
        "created:2025-11-01..2025-11-28",
        "units:64",
        "units>60",
        "dataset:own",
        "rule.mu:0.25",
        "rule.mu<0.5",
        "network.dale:true",
        "task.delay:300",
        "meta.lab=x",
        "metadata.lab:X",
        "meta.n:7",
        "meta.n:6..8",
        "meta.\"a b\".c:1",
        "meta.\"a b\":*",
        "meta.list:two",
        "meta.list:1",
        "meta.none:none",
        "meta.other:none",
        "meta.text:0.5",
        "meta.lab:*",
        "rule:eprop seed:1..5 loss<0.1 meta.lab=x",
        "-",
        "a-b,",
    };
    static const size_t words = 2; /* the last: not found, but sound */
    for (size_t i = 0; i < sizeof found / sizeof *found - words; i++) {
        ck_assert_msg(fits(found[i]), "%s", found[i]);
    }
    for (size_t i = sizeof found / sizeof *found - words; i < sizeof found / sizeof *found; i++) {
        ck_assert_msg(!fits(found[i]), "%s", found[i]);
    }
}
END_TEST

START_TEST(test_finds_not) {
    static const char *const missed[] = {
        "second",
        "-try",
        "first second",
        "name:first",
        "name:f*second",
        "rule:bptt",
        "-rule:eprop",
        "rule!=eprop",
        "status:active",
        "seed:4",
        "seed:4..",
        "seed!=3",
        "seed!=1..5",
        "seed>3",
        "seed<3",
        "loss>=0.1",
        "loss:none",
        "accuracy<1",
        "accuracy:*",
        "owner:x",
        "owner!=none",
        "tag:pap",
        "tag!=paper",
        "id:1a2",
        "notes:\"3 * 4\"",
        "created<2025-11-28",
        "created>2025-11-28",
        "created:2024",
        "rule.mu:0.3",
        "rule.mu:none",
        "network.dale:false",
        "meta.lab:y",
        "meta.lab<3",
        "meta.text<1",
        "meta.other:*",
        "meta.list:three",
        "meta.\"a b\":x",
        "name:\"first*\"",
        "meta.none:*",
    };
    for (size_t i = 0; i < sizeof missed / sizeof *missed; i++) {
        ck_assert_msg(!fits(missed[i]), "%s", missed[i]);
    }
}
END_TEST

START_TEST(test_faults) {
    static const struct {
        enum search_kind kind;
        const char *query, *says;
    } faults[] = {
        {SEARCH_JOBS, "lossy<1", "at character 1: there is no field \"lossy\"; did you mean \"loss\"?"},
        {SEARCH_JOBS, "a zzzzzz:1", "at character 3: there is no field \"zzzzzz\"; fields are name, notes"},
        {SEARCH_JOBS, "\xc3\xa4 lossy<1", "at character 3: there is no field"},
        {SEARCH_JOBS, "rule:eprob", "at character 6: \"eprob\" is no rule; did you mean \"eprop\"?"},
        {SEARCH_JOBS, "status:zzzzzz", "status must be one of queued, running"},
        {SEARCH_EXPERIMENTS, "status:queued", "status must be one of running, paused"},
        {SEARCH_EXPERIMENTS, "seed:1", "there is no field \"seed\""},
        {SEARCH_JOBS, "seed:x", "at character 6: seed must be a number, a range such as 1..5"},
        {SEARCH_JOBS, "seed:0x3", "seed must be a number"},
        {SEARCH_JOBS, "seed:..", "seed must be a number"},
        {SEARCH_JOBS, "seed:5..1", "a range must go from its lower end"},
        {SEARCH_JOBS, "seed:1,", "at character 8: a value must stand here"},
        {SEARCH_JOBS, "seed:", "at character 6: a value must stand here"},
        {SEARCH_JOBS, "loss<", "at character 6: a value must stand here"},
        {SEARCH_JOBS, "loss<1,2", "there must be one value"},
        {SEARCH_JOBS, "loss<x", "there must be one number"},
        {SEARCH_JOBS, "loss<1..2", "there must be one number"},
        {SEARCH_JOBS, "loss<none", "there must be one number"},
        {SEARCH_JOBS, "name<b", "at character 5: name has no order"},
        {SEARCH_JOBS, "loss!1", "\"!\" must be followed by \"=\""},
        {SEARCH_JOBS, "<0.1", "before \"<\" there must be a field"},
        {SEARCH_JOBS, "name:\"open", "at character 6: the quotes have no end"},
        {SEARCH_JOBS, "created:yesterday", "created must be a date such as 2026-11-28"},
        {SEARCH_JOBS, "created:2026-13", "created must be a date"},
        {SEARCH_JOBS, "created:2026-02-30", "created must be a date"},
        {SEARCH_JOBS, "created:2025-02-29..2026", "created must be a date"},
        {SEARCH_JOBS, "created:2026-04-31T10", "created must be a date"},
        {SEARCH_JOBS, "rule.mus:1", "rule has no parameter \"mus\"; did you mean \"mu\"?"},
        {SEARCH_JOBS, "networks.units:1", "did you mean \"network\"?"},
        {SEARCH_JOBS, "\1", "must be at most 1023 bytes without control characters"},
    };
    static struct search search;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct problems problems = {0};
        memset(&search, 0, sizeof search);
        ck_assert_msg(!search_read(&search, faults[i].kind, faults[i].query, "q", &problems), "%s", faults[i].query);
        ck_assert_uint_eq(problems.count, 1);
        const json_t *error = json_array_get(problems.errors, 0);
        const char *says = json_string_value(json_object_get(error, "detail"));
        ck_assert_str_eq(json_string_value(json_object_get(error, "pointer")), "/q");
        ck_assert_msg(strstr(says, faults[i].says) != NULL, "%s: %s", faults[i].query, says);
        problems_release(&problems);
    }
}
END_TEST

/* Every fault of a query is named, and what is sound beside it is not. */
START_TEST(test_many_faults) {
    static struct search search;
    struct problems problems = {0};
    ck_assert(
        !search_read(&search, SEARCH_JOBS, "lossy<1 rule:eprop seed:\"a b\" name:\"x y\" zeed:1", "q", &problems));
    ck_assert_uint_eq(problems.count, 3);
    problems_release(&problems);
    /* a quote that a backslash makes a character of the text ends no term: what it holds is not read again */
    memset(&search, 0, sizeof search);
    ck_assert(!search_read(&search, SEARCH_JOBS, "seed:\"\\\" lossy<1 \\\\\" name:\"a\" zeed:1", "q", &problems));
    ck_assert_uint_eq(problems.count, 2);
    ck_assert_uint_eq(search.used, strlen("name") + 1 + strlen("a") + 1);
    problems_release(&problems);
}
END_TEST

START_TEST(test_bounds) {
    static struct search search;
    static char query[2 * SEARCH_BYTES];
    struct problems problems = {0};
    memset(query, 'a', SEARCH_BYTES - 1);
    ck_assert(search_fresh(&search, SEARCH_JOBS, query, "q", &problems));
    query[SEARCH_BYTES - 1] = 'a';
    ck_assert(!search_fresh(&search, SEARCH_JOBS, query, "q", &problems));
    query[0] = '\0';
    for (int i = 0; i < SEARCH_TERMS; i++) {
        strcat(query, "a ");
    }
    problems_release(&problems);
    ck_assert(search_fresh(&search, SEARCH_JOBS, query, "q", &problems));
    strcat(query, "a ");
    ck_assert(!search_fresh(&search, SEARCH_JOBS, query, "q", &problems));
    problems_release(&problems);
    strcpy(query, "seed:0");
    for (int i = 1; i < SEARCH_VALUES; i++) {
        strcat(query, ",1");
    }
    ck_assert(search_fresh(&search, SEARCH_JOBS, query, "q", &problems));
    strcat(query, ",1");
    ck_assert(!search_fresh(&search, SEARCH_JOBS, query, "q", &problems));
    problems_release(&problems);
}
END_TEST

START_TEST(test_exact) {
    static struct search search;
    struct problems problems = {0};
    ck_assert(search_fresh(&search, SEARCH_JOBS, "-rule:bptt rule:EProp,bptt seed:1..3 seed:5 name:a* tag:none x", "q",
                           &problems));
    const struct search_term *rule = search_exact(&search, SEARCH_RULE), *seed = search_exact(&search, SEARCH_SEED);
    ck_assert_uint_eq(rule->count, 2);
    ck_assert_str_eq(rule->values[0].text, "eprop");
    ck_assert_double_eq(seed->values[0].low, 5);
    ck_assert_ptr_null(search_exact(&search, SEARCH_NAME));
    ck_assert_ptr_null(search_exact(&search, SEARCH_TAG));
    ck_assert_ptr_null(search_exact(&search, SEARCH_WORD));
}
END_TEST

/* A parameter of its own beside q: literal, and its fault has its name and no position. */
START_TEST(test_equal) {
    static struct search search;
    struct problems problems = {0};
    json_t *row = json_loads(job, 0, NULL);
    ck_assert(search_fresh(&search, SEARCH_JOBS, "seed:3", "q", &problems));
    ck_assert(search_equal(&search, SEARCH_JOBS, "rule", "eprop", &problems));
    ck_assert(search_fits(&search, read_member, row));
    ck_assert(search_equal(&search, SEARCH_JOBS, "name", "f*", &problems));
    ck_assert(!search_fits(&search, read_member, row));
    ck_assert(!search_equal(&search, SEARCH_JOBS, "rule", "eprob", &problems));
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(problems.errors, 0), "pointer")), "/rule");
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(problems.errors, 0), "detail")),
                     "\"eprob\" is no rule; did you mean \"eprop\"?");
    ck_assert(!search_equal(&search, SEARCH_JOBS, "rule", "zzzzzzzz", &problems));
    const char *detail = json_string_value(json_object_get(json_array_get(problems.errors, 1), "detail"));
    ck_assert(strncmp(detail, "must be one of bptt, ", 21) == 0);
    problems_release(&problems);
    json_decref(row);
}
END_TEST

/* The choices that the table of fields lists are the statuses that there are. */
START_TEST(test_statuses) {
    static struct search search;
    struct problems problems = {0};
    for (int i = 0; i < JOB_STATUSES; i++) {
        char query[64];
        snprintf(query, sizeof query, "status:%s", job_status_name((enum job_status)i));
        ck_assert_msg(search_fresh(&search, SEARCH_JOBS, query, "q", &problems), "%s", query);
        json_t *row = json_pack("{s:s}", "status", job_status_name((enum job_status)i));
        ck_assert(search_fits(&search, read_member, row));
        ck_assert(search_fresh(&search, SEARCH_JOBS, "status:active", "q", &problems));
        ck_assert(search_fits(&search, read_member, row) != job_status_is_final((enum job_status)i));
        json_decref(row);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("search");
    TCase *tests = tcase_create("search");
    tcase_add_test(tests, test_finds);
    tcase_add_test(tests, test_finds_not);
    tcase_add_test(tests, test_faults);
    tcase_add_test(tests, test_many_faults);
    tcase_add_test(tests, test_bounds);
    tcase_add_test(tests, test_exact);
    tcase_add_test(tests, test_equal);
    tcase_add_test(tests, test_statuses);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
