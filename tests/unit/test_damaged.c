/*
 * Documents damaged at random: for any bytes a decoder reports a fault or accepts them; it neither crashes nor reads
 * beyond the text (the text is in memory of exactly its size, so the address sanitizer detects a read one byte too
 * far), and what it accepts survives a round trip. The seed is printed; MODPROP_TEST_SEED sets another one,
 * MODPROP_LONG=1 runs a hundred times as many.
 */
#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/gradients.h"
#include "api/job.h"
#include "api/query.h"
#include "api/simulate.h"
#include "tests/unit/suite.h"

#define BODIES_MAX 256

static char *bodies[BODIES_MAX];
static size_t sizes[BODIES_MAX];
static int body_count;
static uint64_t state;

/* splitmix64 */
static uint64_t draw(uint64_t bound) {
    uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) % bound;
}

static void body_add(const char *text, size_t size) {
    if (body_count < BODIES_MAX && size > 0) {
        bodies[body_count] = malloc(size);
        memcpy(bodies[body_count], text, size);
        sizes[body_count++] = size;
    }
}

static void bodies_read(void) {
    static const char *const more[] = {
        "{\"task\":{\"type\":\"evidence\"},\"training\":{\"stop_when\":{\"metric\":\"accuracy\",\"above\":0.99,"
        "\"evaluations\":5}}}",
        "{\"network\":{\"W\":[[0,0.5],[-0.5,0]],\"Win\":[[1,1]],\"b\":[0,0],\"Wout\":[[1,0],[0,1]],\"bout\":[0,0],"
        "\"leak\":[0.9,0.8],\"types\":[0,1],"
        "\"activation\":\"tanh\",\"feedback\":[[1,0],[0,1]]},\"inputs\":[[[1]],[[0]],[[1]]],\"targets\":[[0],[1],[0]],"
        "\"mask\":[[0],[1],[1]],"
        "\"loss\":\"cross_entropy\",\"rules\":[{\"type\":\"modprop\",\"mu\":0.1,\"taps\":2},{\"type\":\"eprop\","
        "\"feedback\":\"random\"}]}",
        "{\"trials\":4,\"seed\":3,\"units\":[0,1,5],\"every\":2,\"iteration\":10}",
        "{\"inputs\":[[[0.1,0.2]],[[0.3,0.4]]],\"units\":[0]}",
    };
    DIR *directory = opendir(MODPROP_GOLDEN_INPUT);
    ck_assert_ptr_nonnull(directory);
    for (const struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        char path[512], text[32768];
        snprintf(path, sizeof path, "%s/%s", MODPROP_GOLDEN_INPUT, entry->d_name);
        FILE *file = strstr(entry->d_name, ".json") != NULL && strstr(entry->d_name, ".problem.") == NULL
                         ? fopen(path, "rb")
                         : NULL;
        if (file != NULL) {
            body_add(text, fread(text, 1, sizeof text, file));
            fclose(file);
        }
    }
    closedir(directory);
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        body_add(more[i], strlen(more[i]));
    }
}

/* One document with some bytes changed, removed, doubled, or replaced by pieces of JSON. The caller frees. */
static char *damaged(size_t *size) {
    static const char *const pieces[] = {
        "null", "-1",       "1e308", "9223372036854775807", "[]", "{}", "\"\"", "[[", "0.5", "true", ",",
        ":",    "\"type\"", "-0"};
    int which = (int)draw((uint64_t)body_count);
    size_t used = sizes[which], room = used + 256;
    char *text = malloc(room);
    memcpy(text, bodies[which], used);
    for (uint64_t changes = draw(4); changes > 0 && used > 0; changes--) {
        size_t at = draw(used), length = draw(8);
        const char *piece = pieces[draw(sizeof pieces / sizeof pieces[0])];
        length = length < used - at ? length : used - at;
        if (draw(3) == 0) {
            text[at] = (char)draw(256);
        } else if (draw(2) == 0) {
            memmove(text + at, text + at + length, used - at - length);
            used -= length;
        } else if (used + strlen(piece) <= room) { /* in the place of a number, or between */
            memmove(text + at + strlen(piece), text + at, used - at);
            memcpy(text + at, piece, strlen(piece));
            used += strlen(piece);
        }
    }
    char *exact = malloc(used + (used == 0));
    memcpy(exact, text, used);
    free(text);
    *size = used;
    return exact;
}

static void try_job(const json_t *document) {
    struct job_spec spec, again;
    struct problems problems = {0};
    job_spec_decode(&spec, document, &problems);
    if (problems.count == 0) {
        char *text = job_spec_text(&spec);
        bool parsed = job_spec_parse(&again, text);
        char *second = parsed ? job_spec_text(&again) : NULL;
        ck_assert_msg(parsed && strcmp(text, second) == 0, "%s", text);
        job_spec_release(&again);
        free(second);
        free(text);
    }
    problems_release(&problems);
    job_spec_release(&spec);
}

static void try_computations(const json_t *document) {
    struct problems problems = {0};
    struct gradients_request *request = calloc(1, sizeof *request);
    struct simulate_ask ask;
    gradients_request_decode(request, document, &problems);
    ck_assert(problems.count > 0 || (request->rule_count > 0 && request->rule_count <= GRADIENTS_RULES_MAX));
    gradients_request_release(request);
    free(request);
    problems_release(&problems);
    for (int kind = ASK_SIMULATE; kind <= ASK_EVALUATE; kind++) {
        simulate_ask_decode(&ask, (enum ask_kind)kind, document, &problems);
        simulate_ask_release(&ask);
        problems_release(&problems);
    }
}

static void try_query(const char *text, size_t size) {
    char query[512], status[QUERY_VALUE_BYTES];
    int64_t limit = 20;
    struct problems problems = {0};
    size = size < sizeof query ? size : sizeof query - 1;
    memcpy(query, text, size);
    query[size] = '\0';
    const struct query_parameter parameters[] = {
        {.name = "limit", .type = QUERY_INTEGER, .low = 1, .high = 100, .integer = &limit},
        {.name = "status", .type = QUERY_TEXT, .text = status}};
    query_read(query, parameters, 2, &problems);
    ck_assert(limit >= 1 && limit <= 100);
    problems_release(&problems);
}

START_TEST(documents) {
    const char *seed = getenv("MODPROP_TEST_SEED"), *longer = getenv("MODPROP_LONG");
    state = seed == NULL ? 1 : strtoull(seed, NULL, 10);
    printf("MODPROP_TEST_SEED=%llu\n", (unsigned long long)state);
    bodies_read();
    int parsed = 0, rounds = longer != NULL && *longer != '\0' ? 2000000 : 20000;
    for (int i = 0; i < rounds; i++) {
        size_t size;
        char error[256] = "", *text = damaged(&size);
        json_t *document = json_parse(text, size, error);
        ck_assert((document == NULL) == (error[0] != '\0'));
        if (document != NULL) {
            try_job(document);
            try_computations(document);
            parsed++;
        }
        try_query(text, size);
        json_decref(document);
        free(text);
    }
    ck_assert_int_gt(parsed, rounds / 20); /* the decoders saw something */
    while (body_count > 0) {
        free(bodies[--body_count]);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("damaged");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 3600);
    tcase_add_test(all, documents);
    suite_add_tcase(suite, all);
    return suite_run(suite);
}
