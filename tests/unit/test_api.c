/*
 * The contract's documents: bad jobs and their problems (tests/golden-input: NAME.json is the body, NAME.problem.json
 * the problem document), defaults, round trips, digests, numbers as text, query strings, safetensors truncated and
 * damaged at every byte, and each allocation failing in turn.
 *
 * MODPROP_GOLDEN_RECORD=1 writes the problem documents instead of comparing; read what it wrote before you commit it.
 */
#include <check.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/event.h"
#include "api/gradients.h"
#include "api/job.h"
#include "api/parameters.h"
#include "api/query.h"
#include "api/safetensors.h"
#include "api/simulate.h"
#include "api/text.h"
#include "api/weights.h"
#include "core/base/options.h"
#include "core/tasks/task.h"
#include "tests/unit/suite.h"

/*
 * ---- allocations that fail: the linker sends the room's calls here (--wrap), jansson's come by json_set_alloc_funcs
 * ----
 */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);

static long allocations_left = -1; /* -1: none fails */

static bool allocation_fails(void) {
    return allocations_left >= 0 && allocations_left-- == 0;
}

void *__wrap_malloc(size_t size) {
    return allocation_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    return allocation_fails() ? NULL : __real_calloc(count, size);
}

static void *json_malloc(size_t size) {
    return allocation_fails() ? NULL : __real_malloc(size);
}

/* ---- help ---- */

static char *file_read(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return NULL;
    }
    char *text = calloc(1, 1 << 20);
    *size = fread(text, 1, (1 << 20) - 1, file);
    fclose(file);
    return text;
}

/*
 * The problem document of a body as the server returns it: 400 if it is not JSON, 422 for bad fields; NULL if the job
 * is good.
 */
static char *problem_of(const char *body, size_t size) {
    char error[256], *text = NULL;
    struct problems problems = {0};
    struct job_spec spec;
    int status;
    json_t *document = json_parse_body(body, size, &problems, &status, error), *problem = NULL;
    if (document == NULL) {
        const char *title = status == 400   ? "Bad Request"
                            : status == 413 ? "Content Too Large"
                                            : "Unprocessable Content";
        problem = problem_document(status, title, error, &problems);
    } else {
        job_spec_decode(&spec, document, &problems);
        if (problems.count > 0) {
            problem = problem_document(422, "Unprocessable Content", "bad fields", &problems);
        }
        job_spec_release(&spec);
    }
    if (problem != NULL) {
        text = json_dumps(problem, JSON_INDENT(2));
    }
    json_decref(problem);
    json_decref(document);
    problems_release(&problems);
    return text;
}

/* The canonical text of a job that must be good; the caller frees. */
static char *canonical(const char *body, char digest[65]) {
    char error[256];
    struct problems problems = {0};
    struct job_spec spec;
    json_t *document = json_parse(body, strlen(body), error);
    ck_assert_msg(document != NULL, "%s: %s", body, error);
    job_spec_decode(&spec, document, &problems);
    char *faults = problems.count == 0 ? NULL : json_dumps(problems.errors, 0);
    ck_assert_msg(problems.count == 0, "%s: %s", body, faults);
    char *text = job_spec_text(&spec);
    ck_assert_ptr_nonnull(text);
    if (digest != NULL) {
        job_spec_digest(&spec, digest);
    }
    job_spec_release(&spec);
    json_decref(document);
    return text;
}

/* ---- bad input ---- */

static void check_golden(const char *name) {
    char path[512], expected_path[512];
    size_t size = 0, expected_size = 0;
    snprintf(path, sizeof path, "%s/%s.json", MODPROP_GOLDEN_INPUT, name);
    snprintf(expected_path, sizeof expected_path, "%s/%s.problem.json", MODPROP_GOLDEN_INPUT, name);
    char *body = file_read(path, &size);
    ck_assert_ptr_nonnull(body);
    char *got = problem_of(body, size);
    ck_assert_msg(got != NULL, "%s was taken for a good job", path);
    if (getenv("MODPROP_GOLDEN_RECORD") != NULL) {
        FILE *file = fopen(expected_path, "wb");
        ck_assert_ptr_nonnull(file);
        fprintf(file, "%s\n", got);
        fclose(file);
    }
    char *expected = file_read(expected_path, &expected_size);
    ck_assert_msg(expected != NULL, "%s is missing", expected_path);
    expected[strcspn(expected, "\0") - (expected_size > 0)] = '\0'; /* its last line break */
    ck_assert_msg(strcmp(got, expected) == 0, "%s: got\n%s\nnot\n%s", name, got, expected);
    free(expected);
    free(got);
    free(body);
}

/* A job's response gives only the sizes of full weights; nothing else differs from the stored document. */
START_TEST(brief_documents) {
    static const char *const bodies[] = {
        "{\"task\":{\"type\":\"delayed_xor\"}}",
        "{\"task\":{\"type\":\"delayed_xor\"},\"name\":\"network\",\"metadata\":{\"initial\":{\"W\":[[1,2],[3]]},\"q\":"
        "\"\\\"}{\"}}",
        "{\"task\":{\"type\":\"delayed_xor\"},\"name\":\"\\\"network\\\":{\",\"metadata\":{\"network\":{\"initial\":{"
        "\"W\":1}}},\"rule\":{\"type\":\"bptt\"},"
        "\"network\":{\"units\":3,\"dale\":false,\"bias\":true,\"initial\":{\"W\":[[0,1,2],[3,0,5],[6,7,0]],\"Win\":[["
        "1,2,3],[4,5,6]],\"b\":[1,2,3],"
        "\"Wout\":[[1,2],[3,4],[5,6]],\"bout\":[0,1]}}}"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        char *text = canonical(bodies[i], NULL);
        json_t *whole = json_loads(text, 0, NULL), *brief = job_spec_brief(text);
        if (i == 2) {
            json_t *sizes = json_pack("{s:i, s:i, s:i}", "units", 3, "inputs", 2, "outputs", 2);
            json_object_set_new(json_object_get(whole, "network"), "initial", sizes);
        }
        ck_assert_msg(json_equal(whole, brief), "%s: %s", text, json_dumps(brief, 0));
        json_decref(whole);
        json_decref(brief);
        free(text);
    }
}
END_TEST

START_TEST(bad_bodies) {
    DIR *directory = opendir(MODPROP_GOLDEN_INPUT);
    ck_assert_ptr_nonnull(directory);
    int count = 0;
    for (const struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        const char *end = strstr(entry->d_name, ".json");
        if (end != NULL && strstr(entry->d_name, ".problem.") == NULL) {
            char name[256];
            snprintf(name, sizeof name, "%.*s", (int)(end - entry->d_name), entry->d_name);
            check_golden(name);
            count++;
        }
    }
    closedir(directory);
    ck_assert_int_ge(count, 50);
}
END_TEST

/* A value that does not fit is truncated, and only the value is shown. */
START_TEST(quotes_are_cut) {
    for (size_t length = 60; length < 90; length++) {
        char word[128] = "", text[80], whole[160];
        memset(word, 'a', length);
        json_t *value = json_string(word);
        memset(text, 'X', sizeof text);
        snprintf(whole, sizeof whole, "\"%s\"", word);
        value_quote(value, text);
        if (length + 2 <= 76) {
            ck_assert_str_eq(text, whole);
        } else {
            ck_assert_uint_eq(strlen(text), 76);
            ck_assert(strncmp(text, whole, 73) == 0 && strcmp(text + 73, "...") == 0);
        }
        json_decref(value);
    }
}
END_TEST

START_TEST(problems_are_bounded) {
    struct problems problems = {0};
    for (int i = 0; i < 3 * PROBLEMS_MAX; i++) {
        problems_add(&problems, &(struct path){.index = (size_t)i}, NULL, "is fault %d", i);
    }
    ck_assert_uint_eq(problems.count, 3 * PROBLEMS_MAX);
    ck_assert_uint_eq(json_array_size(problems.errors), PROBLEMS_MAX);
    problems_release(&problems);
}
END_TEST

/* ---- good input ---- */

static const char *const good[] = {
    "{\"task\":{\"type\":\"delayed_xor\"}}",
    "{\"task\":{\"type\":\"pattern\",\"outputs\":3},\"network\":{\"tau\":{\"low\":10,\"high\":100},\"dale\":false},"
    "\"rule\":{\"mu\":\"auto\",\"taps\":5}}",
    "{\"task\":{\"type\":\"row_mnist\"},\"rule\":{\"type\":\"eprop\",\"feedback\":\"adaptive\",\"feedback_decay\":0."
    "001},\"optimizer\":{\"type\":\"sgd\"}}",
    "{\"task\":{\"type\":\"evidence\"},\"name\":\"\xc3\xa9 \\\" "
    "x\",\"notes\":\"a\\nb\",\"metadata\":{\"lab\":[1,2.5,null,{\"x\":true}]},\"seed\":9007199254740991,\"threads\":3,"
    "\"priority\":-7,\"time_limit\":60,\"training\":{\"stop_when\":{\"metric\":\"accuracy\",\"above\":0.99,"
    "\"evaluations\":5},\"iterations\":3.0}}",
    "{\"task\":{\"type\":\"dataset\",\"name\":\"a-b_c.1\"},\"network\":{\"units\":6,\"tau\":[1,2,3,4,5.5,1e6]}}",
    "{\"task\":{\"type\":\"delayed_xor\"},\"network\":{\"initial\":{\"job\":\"0190\",\"iteration\":300}}}",
    "{\"task\":{\"type\":\"delayed_xor\"},\"network\":{\"units\":2,\"dale\":false,\"bias\":true,\"initial\":{\"W\":[[0,"
    "0.1],[-3e-39,0]],\"Win\":[[1,2],[3,4]],"
    "\"b\":[1e-12,-0.3],\"Wout\":[[1,2],[3,4]],\"bout\":[0.7,16777217]}}}",
};

#define GOOD (int)(sizeof good / sizeof good[0])

START_TEST(canonical_text_is_a_fixed_point) {
    char first[65], second[65], *text = canonical(good[_i], first), *again = canonical(text, second);
    ck_assert_str_eq(text, again);
    ck_assert_str_eq(first, second);
    struct job_spec spec;
    ck_assert(job_spec_parse(&spec, text));
    char *parsed = job_spec_text(&spec);
    ck_assert_str_eq(parsed, text);
    job_spec_release(&spec);
    for (size_t cut = 0; cut < strlen(text); cut += 7) { /* a damaged store is refused, not trusted */
        char *part = strndup(text, cut);
        ck_assert(!job_spec_parse(&spec, part));
        job_spec_release(&spec);
        free(part);
    }
    free(parsed);
    free(again);
    free(text);
}
END_TEST

START_TEST(defaults_are_the_published_run) {
    char *text = canonical(good[0], NULL);
    ck_assert_str_eq(text,
                     "{\"name\":null,\"metadata\":{},\"seed\":1,\"threads\":null,\"priority\":0,\"time_limit\":null,"
                     "\"task\":{\"type\":\"delayed_xor\",\"delay\":700,\"cue\":100,\"amplitude\":2.0,\"noise\":0.01},"
                     "\"network\":{\"units\":120,\"tau\":100.0,\"activation\":\"relu\",\"dale\":true,\"excitatory_"
                     "fraction\":0.8,\"types_per_sign\":1,\"connectivity\":1.0,"
                     "\"rewiring\":\"deep_r\",\"discretization\":\"exponential\",\"bias\":false,\"initial\":null},"
                     "\"rule\":{\"type\":\"modprop\",\"mu\":0.25,\"weights\":\"cell\",\"averaging\":\"all\","
                     "\"tracking\":\"current\",\"first_hop\":\"mu\",\"taps\":null,"
                     "\"feedback\":\"symmetric\",\"feedback_decay\":0.0},"
                     "\"optimizer\":{\"type\":\"adam\",\"learning_rate\":0.0005,\"decay\":{\"factor\":0.8,\"every\":"
                     "300},\"beta1\":0.9,\"beta2\":0.999,\"epsilon\":1e-08,"
                     "\"l2\":0.0005,\"l1\":0.01,\"clip_norm\":null},"
                     "\"training\":{\"iterations\":3000,\"batch_size\":32,\"evaluate_every\":20,\"checkpoint_every\":"
                     "100,\"keep_checkpoints\":2,\"stop_when\":null,"
                     "\"memory\":null,\"diagnostics\":false,\"events\":2}}");
    free(text);
}
END_TEST

/* A job stored before a field existed continues as it was accepted: with field.before, not today's default. */
START_TEST(stored_documents_keep_their_meaning) {
    const char *published = "{\"task\":{\"type\":\"delayed_xor\"},\"rule\":{\"type\":\"modprop\",\"mu\":0.1}}";
    const char *text = "{\"task\":{\"type\":\"dataset\",\"name\":\"mine\"}}";
    struct job_spec spec;
    struct problems problems = {0};
    json_t *document = json_loads(text, 0, NULL);
    ck_assert(job_spec_parse(&spec, text));
    ck_assert_int_eq((int)task_number(&spec.config.task, "draw"), 1);
    job_spec_release(&spec);
    job_spec_decode(&spec, document, &problems);
    ck_assert_int_eq((int)task_number(&spec.config.task, "draw"), 2);
    job_spec_release(&spec);
    json_decref(document);

    /* defaults that were filled in when a job was accepted stay, whatever the task's defaults are now */
    char *text_of_old = canonical(published, NULL);
    document = json_loads(text_of_old, 0, NULL);
    json_object_set_new(document, "task", json_pack("{s:s}", "type", "row_mnist"));
    free(text_of_old);
    text_of_old = json_dumps(document, 0);
    ck_assert(job_spec_parse(&spec, text_of_old));
    ck_assert(spec.config.rule.first_hop == FIRST_HOP_MU && spec.config.rule.mu == 0.1);
    ck_assert_int_eq(spec.config.training.evaluate_every, 20);
    job_spec_release(&spec);
    free(text_of_old);
    problems_release(&problems);
    json_decref(document);
}
END_TEST

/*
 * Every line of task_defaults is what a job of that task gets: an override that no section reads would go unnoticed
 * otherwise.
 */
START_TEST(defaults_of_tasks_take_effect) {
    size_t count;
    const struct field_default *defaults = task_defaults(&count);
    for (size_t i = 0; i < count; i++) {
        for (int task = 0; task < task_count; task++) {
            if ((defaults[i].variants & (1u << task)) == 0) {
                continue;
            }
            char body[128], *text;
            const char *name = task_table[task]->needs == NEEDS_DATASET ? ",\"name\":\"mine\"" : "";
            snprintf(body, sizeof body, "{\"task\":{\"type\":\"%s\"%s}}", task_table[task]->name, name);
            text = canonical(body, NULL);
            json_t *job = json_loads(text, 0, NULL),
                   *expected = json_loads(defaults[i].fallback, JSON_DECODE_ANY, NULL);
            json_t *got = json_object_get(json_object_get(job, defaults[i].section), defaults[i].name);
            bool equal = json_is_number(got) ? json_number_value(got) == json_number_value(expected)
                                             : json_is_object(got) || json_equal(got, expected);
            ck_assert_msg(equal, "%s: %s.%s should be %s: %s", body, defaults[i].section, defaults[i].name,
                          defaults[i].fallback, text);
            json_decref(expected);
            json_decref(job);
            free(text);
        }
    }
}
END_TEST

START_TEST(digest_is_of_what_determines_the_result) {
    char plain[65], named[65], seeded[65];
    free(canonical(good[0], plain));
    free(canonical("{\"task\":{\"type\":\"delayed_xor\",\"delay\":700},\"name\":\"x\",\"metadata\":{\"a\":1},"
                   "\"threads\":2,\"priority\":5,\"time_limit\":9}",
                   named));
    free(canonical("{\"task\":{\"type\":\"delayed_xor\"},\"seed\":2}", seeded));
    ck_assert_str_eq(plain, named);
    ck_assert_str_ne(plain, seeded);
}
END_TEST

START_TEST(without_memory_nothing_is_wrong) {
    char *expected = canonical(good[_i], NULL), error[256];
    json_set_alloc_funcs(json_malloc, free);
    for (long n = 0, whole = 0; whole == 0; n++) {
        struct problems problems = {0};
        struct job_spec spec;
        ck_assert_int_lt(n, 100000);
        json_t *document = json_parse(good[_i], strlen(good[_i]), error);
        (void)json_memory_begin();
        allocations_left = n;
        job_spec_decode(&spec, document, &problems);
        whole = allocations_left >= 0; /* no allocation had to fail any more */
        allocations_left = -1;
        if (problems.count == 0) {
            char *text = job_spec_text(&spec);
            ck_assert_msg(strcmp(text, expected) == 0, "allocation %ld: got %s, not %s", n, text, expected);
            free(text);
        }
        ck_assert(whole == 0 || problems.count == 0);
        problems_release(&problems);
        job_spec_release(&spec);
        json_decref(document);
    }
    struct job_spec spec;
    ck_assert(job_spec_parse(&spec, expected));
    for (long n = 0, whole = 0; whole == 0; n++) {
        allocations_left = n;
        char *text = job_spec_text(&spec);
        whole = allocations_left >= 0;
        allocations_left = -1;
        ck_assert(whole == 0 || text != NULL);
        ck_assert_msg(text == NULL || strcmp(text, expected) == 0, "allocation %ld: got %s, not %s", n, text, expected);
        free(text);
    }
    job_spec_release(&spec);
    free(expected);
}
END_TEST

/* Two units of two types, one input, two outputs, two steps, one trial; every optional member is present. */
static const char whole_batch[] = "{\"network\":{\"W\":[[0,0.5],[-0.5,0]],\"Win\":[[1,2]],\"b\":[0.1,0.2],\"Wout\":[[1,"
                                  "0],[0,1]],\"bout\":[0,0.5],\"leak\":[0.5,0.9],"
                                  "\"types\":[0,1],\"feedback\":[[1,2],[3,4]],\"activation\":\"tanh\"},\"inputs\":[[[1]"
                                  "],[[2]]],\"targets\":[[0],[1]],\"mask\":[[0],[1]],"
                                  "\"loss\":\"cross_entropy\",\"rules\":[{\"type\":\"mdgl\",\"weights\":\"type\"}]}";

static void batch_check(const struct gradients_problem *p, long n) {
    ck_assert_msg(p->W != NULL && p->Win != NULL && p->b != NULL && p->Wout != NULL && p->bout != NULL &&
                      p->leak != NULL && p->type_of_unit != NULL && p->x != NULL && p->classes != NULL &&
                      p->mask != NULL && p->feedback != NULL,
                  "allocation %ld: an array is missing", n);
    ck_assert(p->types == 2 && p->type_of_unit[1] == 1 && p->leak[1] == 0.9 && p->classes[1] == 1 &&
              p->mask[0] == 0.0f && p->b[1] == 0.2f);
}

/* A list for which memory ran out must not pass for one that was left out. */
START_TEST(without_memory_no_part_of_a_batch_is_missing) {
    char error[256];
    json_set_alloc_funcs(json_malloc, free);
    json_t *document = json_parse(whole_batch, strlen(whole_batch), error);
    for (long n = 0, whole = 0; whole == 0; n++) {
        struct problems problems = {0};
        struct gradients_request request;
        allocations_left = n;
        gradients_request_decode(&request, document, &problems);
        whole = allocations_left >= 0;
        allocations_left = -1;
        if (problems.count == 0) {
            batch_check(&request.problem, n);
        }
        ck_assert(whole == 0 || problems.count == 0);
        problems_release(&problems);
        gradients_request_release(&request);
    }
    json_decref(document);
}
END_TEST

START_TEST(without_memory_no_part_of_a_simulation_is_missing) {
    static const char text[] = "{\"units\":[1,0,3],\"inputs\":[[[1,2]],[[3,4]]],\"every\":2,\"seed\":5}";
    char error[256];
    json_set_alloc_funcs(json_malloc, free);
    json_t *document = json_parse(text, strlen(text), error);
    for (long n = 0, whole = 0; whole == 0; n++) {
        struct problems problems = {0};
        struct simulate_ask ask;
        allocations_left = n;
        simulate_ask_decode(&ask, ASK_SIMULATE, document, &problems);
        whole = allocations_left >= 0;
        allocations_left = -1;
        ck_assert_msg(problems.count > 0 ||
                          (ask.request.unit_count == 3 && ask.request.units[2] == 3 && ask.request.x != NULL &&
                           ask.request.x[3] == 4.0f && ask.request.every == 2 && ask.request.seed == 5 &&
                           ask.request.trials == 1),
                      "allocation %ld: something is missing", n);
        ck_assert(whole == 0 || problems.count == 0);
        problems_release(&problems);
        simulate_ask_release(&ask);
    }
    json_decref(document);
}
END_TEST

/* ---- numbers, times, queries ---- */

START_TEST(floats_come_back) {
    char text[32];
    uint32_t bits = 12345;
    for (int i = 0; i < 200000; i++) {
        float value;
        bits = bits * 1664525u + 1013904223u;
        memcpy(&value, &bits, sizeof value);
        int length = float_put(value, text);
        ck_assert_int_eq(length, (int)strlen(text));
        float back = strtof(text, NULL);
        ck_assert_msg(isfinite(value) ? memcmp(&back, &value, sizeof value) == 0 : strcmp(text, "null") == 0,
                      "%a became %s", (double)value, text);
    }
    float_put(0.1f, text);
    ck_assert_str_eq(text, "0.1");
    float_put(-0.0f, text);
    ck_assert_str_eq(text, "-0.0");
    number_put(0.8, text);
    ck_assert_str_eq(text, "0.8");
    number_put(NAN, text);
    ck_assert_str_eq(text, "null");
}
END_TEST

START_TEST(times) {
    char text[TIME_TEXT_BYTES];
    time_text(0, text);
    ck_assert_str_eq(text, "1970-01-01T00:00:00.000Z");
    time_text(1709251199007, text);
    ck_assert_str_eq(text, "2024-02-29T23:59:59.007Z");
}
END_TEST

/* Regression: there was no room for a 17th variant and a 32nd parameter. */
START_TEST(as_many_names_as_there_are) {
    struct query_parameter parameters[QUERY_PARAMETERS_MAX];
    char names[QUERY_PARAMETERS_MAX][32], query[QUERY_PARAMETERS_MAX * 64] = "unknown_parameter_32=1&";
    int64_t values[QUERY_PARAMETERS_MAX] = {0};
    struct problems problems = {0};
    for (int i = 0; i < QUERY_PARAMETERS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "unknown_parameter_%d", i);
        parameters[i] = (struct query_parameter){
            .name = names[i], .type = QUERY_INTEGER, .high = 100, .integer = &values[i]};
        size_t used = strlen(query);
        snprintf(query + used, sizeof query - used, "%.31s=%d&%.31s=3&", names[i], i, names[i]);
    }
    query_read(query, parameters, QUERY_PARAMETERS_MAX, &problems);
    ck_assert_uint_eq(problems.count, QUERY_PARAMETERS_MAX + 1);
    for (int i = 0; i < QUERY_PARAMETERS_MAX; i++) {
        ck_assert_int_eq(values[i], i);
        ck_assert_str_eq(name_nearest_in(names[i], parameters, sizeof *parameters, QUERY_PARAMETERS_MAX), names[i]);
    }
    problems_release(&problems);
}
END_TEST

START_TEST(queries) {
    static const struct {
        const char *query;
        size_t faults;
        int64_t limit;
        const char *status;
        bool all;
    } cases[] = {
        {"", 0, 20, "", false},
        {"limit=5&status=a%20b%2B+c&all=true", 0, 5, "a b+ c", true},
        {"&&limit=7&", 0, 7, "", false},
        {"limit=101", 1, 20, "", false},
        {"limit=", 1, 20, "", false},
        {"limit=+5", 1, 20, "", false},
        {"limit=5&limit=6", 1, 5, "", false},
        {"limit=99999999999999999999", 1, 20, "", false},
        {"status=%", 1, 20, "", false},
        {"status=%0", 1, 20, "", false},
        {"status=%zz", 1, 20, "", false},
        {"status=%00", 1, 20, "", false},
        {"limti=5", 1, 20, "", false},
        {"all=maybe&limit=x", 2, 20, "", false},
        {"=", 1, 20, "", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct problems problems = {0};
        int64_t limit = 20;
        bool all = false;
        char status[QUERY_VALUE_BYTES] = "";
        const struct query_parameter parameters[] = {
            {.name = "limit", .type = QUERY_INTEGER, .low = 1, .high = 100, .integer = &limit},
            {.name = "status", .type = QUERY_TEXT, .text = status},
            {.name = "all", .type = QUERY_BOOLEAN, .boolean = &all}};
        query_read(cases[i].query, parameters, 3, &problems);
        ck_assert_msg(problems.count == cases[i].faults && limit == cases[i].limit &&
                          strcmp(status, cases[i].status) == 0 && all == cases[i].all,
                      "\"%s\": %zu faults, limit %lld, status \"%s\"", cases[i].query, problems.count, (long long)limit,
                      status);
        problems_release(&problems);
    }
    char *huge = calloc(1, 4096);
    struct problems problems = {0};
    memcpy(huge, "status=", 7);
    memset(huge + 7, 'x', 4000);
    char status[QUERY_VALUE_BYTES];
    query_read(huge, &(struct query_parameter){.name = "status", .type = QUERY_TEXT, .text = status}, 1, &problems);
    ck_assert_uint_eq(problems.count, 1);
    problems_release(&problems);
    free(huge);
}
END_TEST

/* ---- safetensors ---- */

static size_t tensors_make(unsigned char *file, const char *header, size_t data) {
    uint64_t length = strlen(header);
    memcpy(file, &length, 8);
    memcpy(file + 8, header, length);
    for (size_t i = 0; i < data; i++) {
        file[8 + length + i] = (unsigned char)i;
    }
    return 8 + length + data;
}

static const char two[] =
    "{\"__metadata__\":{\"a\":\"b\"},\"inputs\":{\"dtype\":\"F32\",\"shape\":[2,1,1],\"data_offsets\":[0,8]},"
    "\"targets\":{\"dtype\":\"I64\",\"shape\":[2,1],\"data_offsets\":[8,24]}}";

START_TEST(tensors_are_read) {
    unsigned char file[1024];
    struct safetensor tensors[SAFETENSORS_MAX];
    int count = 0;
    char error[256];
    size_t size = tensors_make(file, two, 24);
    ck_assert_msg(safetensors_parse(file, size, tensors, &count, error), "%s", error);
    ck_assert_int_eq(count, 2);
    const struct safetensor *targets = safetensor_find(tensors, count, "targets");
    ck_assert_ptr_nonnull(targets);
    ck_assert(safetensor_is_integer(targets) && targets->dimensions == 2 && targets->count == 2);
    ck_assert_double_eq(safetensor_number(targets, 0), (double)0x0f0e0d0c0b0a0908);
    ck_assert_ptr_null(safetensor_find(tensors, count, "mask"));
}
END_TEST

/*
 * Memory of exactly the file's size each time: the address sanitizer detects a read one byte too far. Every change of
 * one byte is refused or read within bounds.
 */
START_TEST(tensors_cut_and_damaged) {
    unsigned char file[1024];
    struct safetensor tensors[SAFETENSORS_MAX];
    char error[256];
    size_t size = tensors_make(file, two, 24), checksum = 0;
    for (size_t cut = 0; cut < size; cut++) {
        int count = 0;
        unsigned char *part = malloc(cut + (cut == 0));
        memcpy(part, file, cut);
        ck_assert_msg(!safetensors_parse(part, cut, tensors, &count, error), "cut at %zu", cut);
        free(part);
    }
    for (size_t at = 0; at < size - 24; at++) {
        for (int to = 0; to < 256; to += to < 128 ? 1 : 17) {
            int count = 0;
            unsigned char *damaged = malloc(size);
            double sum = 0;
            memcpy(damaged, file, size);
            damaged[at] = (unsigned char)to;
            if (safetensors_parse(damaged, size, tensors, &count, error)) {
                for (int i = 0; i < count; i++) {
                    for (size_t k = 0; k < tensors[i].count; k++) {
                        sum += safetensor_number(&tensors[i], k);
                    }
                }
            }
            checksum += isfinite(sum);
            free(damaged);
        }
    }
    ck_assert_uint_gt(checksum, 0); /* the reads were not optimised away */
}
END_TEST

START_TEST(tensors_refused) {
    static const struct {
        const char *header, *sentence;
    } cases[] = {
        {"[]", "not a JSON object"},
        {"{\"a\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[0,2]}}", "must have the dtype"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1],\"data_offsets\":[0,4]}}", "at most 4 dimensions"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", "of at least 0"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,4294967296],\"data_offsets\":[0,4]}}",
         "too many entries"},
        {"{\"a\":{\"dtype\":\"F64\",\"shape\":[2305843009213693952],\"data_offsets\":[0,0]}}", "as many bytes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,5]}}", "as many bytes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[7],\"data_offsets\":[0,28]}}", "within the file"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,4]}}", "within the file"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", "within the file"},
        {"{\"a\":7}", "must have the dtype"},
        {" {\"a\":{\"dtype\":\"U8\",\"shape\":[24],\"data_offsets\":[0,24]}}", "must begin with {"},
        {"{\"__metadata__\":{\"a\":7},\"a\":{\"dtype\":\"U8\",\"shape\":[24],\"data_offsets\":[0,24]}}",
         "members are strings"},
        {"{\"__metadata__\":[],\"a\":{\"dtype\":\"U8\",\"shape\":[24],\"data_offsets\":[0,24]}}", "must be an object"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[23],\"data_offsets\":[0,23]}}", "1 bytes after its last tensor"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[23],\"data_offsets\":[1,24]}}", "has a hole in front"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[16,24]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[15],\"data_offsets\":[0,15]}}",
         "\"a\" has a hole in front"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[16],\"data_offsets\":[0,16]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[16],\"data_offsets\":[8,24]}}",
         "\"b\" overlaps"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[24],\"data_offsets\":[0,24]},"
         "\"a\":{\"dtype\":\"U8\",\"shape\":[24],\"data_offsets\":[0,24]}}",
         "a"},
        {"{\"a123456789b123456789c123456789d123456789e123456789f123456789g123\":{\"dtype\":\"F32\",\"shape\":[1],"
         "\"data_offsets\":[0,4]}}",
         "more than 63 bytes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned char file[1024];
        struct safetensor tensors[SAFETENSORS_MAX];
        int count = 0;
        char error[256] = "";
        size_t size = tensors_make(file, cases[i].header, 24);
        ck_assert_msg(!safetensors_parse(file, size, tensors, &count, error) &&
                          strstr(error, cases[i].sentence) != NULL,
                      "%s: \"%s\"", cases[i].header, error);
    }
}
END_TEST

/* ---- weights ---- */

struct buffer {
    char bytes[8192];
    size_t used;
};

static bool buffer_write(void *user, const void *bytes, size_t size) {
    struct buffer *buffer = user;
    if (buffer->used + size >= sizeof buffer->bytes) {
        return false;
    }
    memcpy(buffer->bytes + buffer->used, bytes, size);
    buffer->used += size;
    return true;
}

/* What is written in either format is read back unchanged, and the JSON form may start another job. */
START_TEST(weights_there_and_back) {
    float memory[] = {0, 0.1f, -1e-12f, 0, 1, 2, 3, 4, 0.3f, -0.3f, 5, 6, 7, 8, 0.7f, -0.7f}, leak[] = {0.9f, 0.99f};
    int types[] = {0, 1}, sign[] = {-1, 1};
    bool bias = _i == 1;
    struct trained trained = {.units = 2,
                              .inputs = 2,
                              .outputs = 2,
                              .iteration = 7,
                              .W = memory,
                              .Win = memory + 4,
                              .b = bias ? memory + 8 : NULL,
                              .Wout = memory + (bias ? 10 : 8),
                              .bout = memory + (bias ? 14 : 12),
                              .parameters = bias ? 16 : 14,
                              .leak = leak,
                              .type_of_unit = types,
                              .sign_of_unit = sign};
    static struct buffer json, binary;
    json.used = binary.used = 0;
    struct writer to_json = {.write = buffer_write, .user = &json},
                  to_binary = {.write = buffer_write, .user = &binary};
    char sha256[65], error[256];
    weights_digest(&trained, sha256);
    struct job_spec of = {0};
    ck_assert(job_spec_parse(&of, "{\"task\":{\"type\":\"pattern\"}}"));
    json_t *model = weights_model(&of);
    job_spec_release(&of);
    weights_write_json(&to_json, &trained, model, "id", sha256, true);
    weights_write_safetensors(&to_binary, &trained, model, "id", sha256);
    json_decref(model);
    ck_assert(!to_json.failed && !to_binary.failed);
    struct safetensor tensors[SAFETENSORS_MAX];
    int count = 0;
    ck_assert_msg(safetensors_parse((unsigned char *)binary.bytes, binary.used, tensors, &count, error), "%s", error);
    ck_assert_int_eq(count, bias ? 9 : 8);
    ck_assert(memcmp(safetensor_find(tensors, count, "W")->bytes, memory, 16) == 0);
    ck_assert(memcmp(safetensor_find(tensors, count, "bout")->bytes, trained.bout, 8) == 0);

    json_t *weights = json_loadb(json.bytes, json.used, 0, NULL);
    ck_assert_ptr_nonnull(weights);
    ck_assert_str_eq(json_string_value(json_object_get(weights, "type")), "weights");
    json_t *job = json_pack("{s:{s:s}, s:{s:i, s:b, s:b, s:o}}", "task", "type", "delayed_xor", "network", "units", 2,
                            "dale", 0, "bias", (int)bias, "initial", weights);
    struct problems problems = {0};
    struct job_spec spec;
    job_spec_decode(&spec, job, &problems);
    job_spec_check_shape(&spec, 2, 2, &problems);
    ck_assert_uint_eq(problems.count, 0);
    ck_assert(memcmp(spec.initial.memory, memory, trained.parameters * sizeof(float)) == 0);
    job_spec_check_shape(&spec, 3, 1, &problems);
    ck_assert_uint_eq(problems.count, 2);
    problems_release(&problems);
    job_spec_release(&spec);
    json_decref(job);
}
END_TEST

/* Every default of a description lies within its stated bounds, and everything is explained. */
/* A refusal is known to whoever began before it, whatever was made or asked in between. */
START_TEST(shortages_of_memory_are_compared) {
    json_t *document = json_pack("{s:i}", "a", 1);
    uint64_t whole = json_memory_begin(), inner;
    char *text = json_text(document, NULL);
    ck_assert_str_eq(text, "{\"a\":1}");
    free(text);
    ck_assert(!json_memory_short(whole));
    ck_assert_ptr_null(json_memory_seen(NULL));
    json_decref(json_loads("[1.5, 2]", 0, NULL));  /* its numbers set errno to 0 */
    ck_assert_ptr_null(json_text(document, NULL)); /* it may lack something */
    ck_assert(json_memory_short(whole) && json_memory_short(whole));
    inner = json_memory_begin();
    text = json_text(document, NULL);
    ck_assert_str_eq(text, "{\"a\":1}");
    ck_assert(!json_memory_short(inner) && json_memory_short(whole));
    ck_assert_ptr_eq(json_memory_seen(text), text);
    ck_assert(!json_memory_short(inner));
    free(text);
    json_decref(document);
}
END_TEST

/* What is recommended is a job that can be submitted; settings for one rule leave its name out. */
static void recommended_check(const struct recommendation *one) {
    json_t *job = json_loads(one->settings, 0, NULL);
    ck_assert_ptr_nonnull(job);
    ck_assert_msg(strstr(one->evidence, "tests/reproduce") != NULL, "%s", one->evidence);
    json_object_set_new(job, "task", json_pack("{s:s}", "type", "delayed_xor"));
    for (int r = 0; r < RULE_TYPES; r++) {
        if (one->variants == 1u << r) {
            json_t *rule = json_object_get(job, "rule") != NULL ? json_incref(json_object_get(job, "rule"))
                                                                : json_object();
            json_object_set_new(rule, "type", json_string(rule_variants()[r].name));
            json_object_set_new(job, "rule", rule);
        }
    }
    char *text = json_dumps(job, 0);
    free(canonical(text, NULL));
    free(text);
    json_decref(job);
}

START_TEST(descriptions) {
    json_t *tasks = tasks_describe(), *rules = rules_describe(), *entry, *field;
    const char *name;
    size_t i;
    ck_assert_uint_eq(json_array_size(json_object_get(tasks, "tasks")), (size_t)task_count);
    ck_assert_uint_eq(json_array_size(json_object_get(rules, "rules")), RULE_TYPES);
    json_array_foreach(json_object_get(rules, "rules"), i, entry) {
        json_object_foreach(json_object_get(entry, "parameters"), name, field) {
            ck_assert_msg(json_string_length(json_object_get(field, "description")) > 10, "%s", name);
        }
    }
    for (i = 0; i < recommendation_count; i++) {
        recommended_check(&recommendations[i]);
    }
    json_array_foreach(json_object_get(tasks, "tasks"), i, entry) {
        json_object_foreach(json_object_get(entry, "parameters"), name, field) {
            const json_t *fallback = json_object_get(field, "default"), *low = json_object_get(field, "minimum"),
                         *high = json_object_get(field, "maximum");
            ck_assert_msg(json_string_length(json_object_get(field, "description")) > 10, "%s", name);
            ck_assert(!json_is_number(fallback) || (json_number_value(fallback) >= json_number_value(low) &&
                                                    json_number_value(fallback) <= json_number_value(high)));
        }
    }
    const json_t *mnist = json_object_get(json_array_get(json_object_get(tasks, "tasks"), TASK_ROW_MNIST), "defaults");
    ck_assert_double_eq(
        json_number_value(json_object_get(json_object_get(json_object_get(mnist, "rule"), "mu"), "default")), 0.25);
    json_decref(tasks);
    json_decref(rules);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("api");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 120);
    tcase_add_test(all, brief_documents);
    tcase_add_test(all, bad_bodies);
    tcase_add_test(all, quotes_are_cut);
    tcase_add_test(all, problems_are_bounded);
    tcase_add_loop_test(all, canonical_text_is_a_fixed_point, 0, GOOD);
    tcase_add_test(all, defaults_are_the_published_run);
    tcase_add_test(all, defaults_of_tasks_take_effect);
    tcase_add_test(all, stored_documents_keep_their_meaning);
    tcase_add_test(all, digest_is_of_what_determines_the_result);
    tcase_add_loop_test(all, without_memory_nothing_is_wrong, 0, GOOD);
    tcase_add_test(all, without_memory_no_part_of_a_batch_is_missing);
    tcase_add_test(all, without_memory_no_part_of_a_simulation_is_missing);
    tcase_add_test(all, floats_come_back);
    tcase_add_test(all, times);
    tcase_add_test(all, as_many_names_as_there_are);
    tcase_add_test(all, queries);
    tcase_add_test(all, tensors_are_read);
    tcase_add_test(all, tensors_cut_and_damaged);
    tcase_add_test(all, tensors_refused);
    tcase_add_loop_test(all, weights_there_and_back, 0, 2);
    tcase_add_test(all, descriptions);
    tcase_add_test(all, shortages_of_memory_are_compared);
    suite_add_tcase(suite, all);
    return suite_run(suite);
}
