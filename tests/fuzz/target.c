/*
 * Coverage-guided fuzzing of everything that reads bytes from outside. One file, one target a build: TARGET names the parser (see `run`).
 * A target must return for any input without a sanitizer's report; what it decodes must encode and decode again.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/gradients.h"
#include "api/job.h"
#include "api/query.h"
#include "api/safetensors.h"
#include "api/simulate.h"
#include "api/text.h"
#include "server/datasets.h"
#include "server/routes.h"

#define TARGET_job 1
#define TARGET_gradients 2
#define TARGET_simulate 3
#define TARGET_safetensors 4
#define TARGET_idx 5
#define TARGET_query 6
#define TARGET_accept 7
#define PASTE(x) TARGET_##x
#define NUMBER(x) PASTE(x)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A text that ends with 0, as the parsers of headers and queries get it. */
static char *text_of(const uint8_t *data, size_t size) {
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

static void __attribute__((unused)) try_job(const uint8_t *data, size_t size) {
    char error[256];
    struct problems problems = {0};
    struct job_spec spec, again;
    json_t *document = json_parse((const char *)data, size, error);
    if (document == NULL) {
        return;
    }
    job_spec_decode(&spec, document, &problems);
    if (problems.count == 0 && spec.initial_job[0] == '\0') {
        char *first = job_spec_text(&spec);
        assert(job_spec_parse(&again, first));
        char *second = job_spec_text(&again);
        assert(strcmp(first, second) == 0);
        free(first);
        free(second);
        job_spec_release(&again);
    }
    job_spec_release(&spec);
    problems_release(&problems);
    json_decref(document);
}

static void __attribute__((unused)) try_gradients(const uint8_t *data, size_t size) {
    char error[256];
    struct problems problems = {0};
    struct gradients_request request;
    json_t *document = json_parse((const char *)data, size, error);
    if (document != NULL) {
        gradients_request_decode(&request, document, &problems);
        gradients_request_release(&request);
        problems_release(&problems);
        json_decref(document);
    }
}

static void __attribute__((unused)) try_simulate(const uint8_t *data, size_t size) {
    char error[256];
    struct problems problems = {0};
    struct simulate_ask ask;
    const struct trained trained = {.units = 20, .inputs = 2, .outputs = 2};
    json_t *document = json_parse((const char *)data, size, error);
    if (document != NULL) {
        simulate_ask_decode(&ask, document, &problems);
        if (problems.count == 0) {
            simulate_ask_fit(&ask, &trained, 900, 0, &problems);
        }
        simulate_ask_release(&ask);
        problems_release(&problems);
        json_decref(document);
    }
}

static void __attribute__((unused)) try_safetensors(const uint8_t *data, size_t size) {
    struct safetensor tensors[SAFETENSORS_MAX];
    char error[256];
    int count = 0;
    if (safetensors_parse(data, size, tensors, &count, error)) {
        for (int i = 0; i < count; i++) {
            volatile double sum = 0.0;
            for (size_t j = 0; j < tensors[i].count; j++) {
                sum = sum + safetensor_number(&tensors[i], j);
            }
        }
    }
}

static void __attribute__((unused)) try_idx(const uint8_t *data, size_t size) {
    unsigned char *items = NULL;
    size_t count;
    char error[DATASETS_ERROR_BYTES];
    if (size > 0 && idx_parse(data + 1, size - 1, data[0] & 1, &items, &count, error)) {
        free(items);
    }
}

static void __attribute__((unused)) try_query(const uint8_t *data, size_t size) {
    int64_t limit = 0;
    bool flag = false;
    char value[QUERY_VALUE_BYTES] = "", *text = text_of(data, size);
    struct problems problems = {0};
    const struct query_parameter parameters[] = {{.name = "limit", .type = QUERY_INTEGER, .low = 1, .high = 100, .integer = &limit},
                                                 {.name = "weights", .type = QUERY_BOOLEAN, .boolean = &flag},
                                                 {.name = "keys", .type = QUERY_TEXT, .text = value}};
    query_read(text, parameters, 3, &problems);
    problems_release(&problems);
    free(text);
}

static void __attribute__((unused)) try_accept(const uint8_t *data, size_t size) {
    static const char *const types[ROUTE_TYPES_MAX] = {"application/json", "text/event-stream", "application/x-ndjson"};
    char *text = text_of(data, size);
    const char *chosen = accept_choose(text, types);
    assert(chosen == NULL || chosen == types[0] || chosen == types[1] || chosen == types[2]);
    (void)etag_matches(text, "\"abc\"");
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
#if NUMBER(TARGET) == TARGET_job
    try_job(data, size);
#elif NUMBER(TARGET) == TARGET_gradients
    try_gradients(data, size);
#elif NUMBER(TARGET) == TARGET_simulate
    try_simulate(data, size);
#elif NUMBER(TARGET) == TARGET_safetensors
    try_safetensors(data, size);
#elif NUMBER(TARGET) == TARGET_idx
    try_idx(data, size);
#elif NUMBER(TARGET) == TARGET_query
    try_query(data, size);
#elif NUMBER(TARGET) == TARGET_accept
    try_accept(data, size);
#else
#error "TARGET must be one of the parsers"
#endif
    return 0;
}
