/*
 * Tables of curves: what is encoded is decoded to the bit, whichever curves are wanted; damaged bytes are refused or
 * decoded to as many values as there are bytes for, and never read beyond.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/random.h"
#include "server/experiments/curves.h"
#include "tests/unit/suite.h"

#define ROWS 50

/* The events of the one job that there is. */
int store_progress_read(struct store_reader *reader, const char *job, int64_t from, int64_t to,
                        bool (*each)(void *user, const struct store_event *event), void *user) {
    (void)reader;
    (void)job;
    int count = 0;
    for (int64_t i = 0; i < ROWS && i >= from && i <= to; i++) {
        char json[200];
        snprintf(json, sizeof json, "{\"iteration\":%d,\"loss\":%.17g,\"accuracy\":%s,\"training_loss\":-1e-300}",
                 (int)(10 * i), 1.0 / (double)(i + 3), i % 2 == 0 ? "null" : "0.5");
        const struct store_event event = {.iteration = 10 * i, .json = json};
        count++;
        if (!each(user, &event)) {
            break;
        }
    }
    return count;
}

static bool never(void *user) {
    (void)user;
    return false;
}

static bool at_once(void *user) {
    (void)user;
    return true;
}

static void job_check(const struct curves *curves) {
    ck_assert_uint_eq(curves->length, ROWS);
    for (size_t i = 0; i < ROWS; i++) {
        ck_assert_double_eq(curves->iterations[i], 10.0 * (double)i);
        for (size_t k = 0; k < curves->count; k++) {
            double value = curves->values[k][i];
            if (strcmp(curves->keys[k], "loss") == 0) {
                ck_assert_double_eq(value, 1.0 / (double)(i + 3));
            } else if (strcmp(curves->keys[k], "accuracy") == 0) {
                ck_assert(i % 2 == 0 ? isnan(value) : value == 0.5);
            } else if (strcmp(curves->keys[k], "training_loss") == 0) {
                ck_assert_double_eq(value, -1e-300);
            } else {
                ck_assert(isnan(value));
            }
        }
    }
}

START_TEST(a_table_has_what_the_events_have) {
    struct curves all = {0}, some = {0};
    size_t size;
    curves_want_all(&all);
    ck_assert(curves_read(&all, NULL, "job", never, NULL));
    job_check(&all);
    unsigned char *bytes = curves_encode(&all, &size);
    ck_assert_ptr_nonnull(bytes);
    ck_assert_uint_lt(size, 100 + 8 * ROWS * 4); /* curves without values take nothing */
    ck_assert(curves_decode(&all, bytes, size));
    job_check(&all);
    ck_assert_uint_eq(curves_want(&some, "cosine_all"), 0);
    ck_assert_uint_eq(curves_want(&some, "training_loss"), 1);
    ck_assert_uint_eq(curves_want(&some, "loss"), 2);
    ck_assert_uint_eq(curves_want(&some, "training_loss"), 1);
    ck_assert(curves_decode(&some, bytes, size));
    job_check(&some);
    ck_assert(curves_decode(&some, bytes, size)); /* again, into the same */
    job_check(&some);
    ck_assert(!curves_read(&some, NULL, "job", at_once, NULL));
    curves_release(&all);
    curves_release(&some);
    free(bytes);
}
END_TEST

START_TEST(a_table_may_be_empty) {
    struct curves none = {0};
    size_t size;
    curves_want(&none, "loss");
    unsigned char *bytes = curves_encode(&none, &size);
    ck_assert(curves_decode(&none, bytes, size) && none.length == 0);
    curves_release(&none);
    free(bytes);
}
END_TEST

/* A copy that ends where the bytes end, so that a sanitizer sees what is read beyond. */
static void damaged_decode(const unsigned char *bytes, size_t size) {
    struct curves curves = {0};
    unsigned char *copy = malloc(size == 0 ? 1 : size);
    memcpy(copy, bytes, size);
    curves_want_all(&curves);
    if (curves_decode(&curves, copy, size)) {
        ck_assert_uint_le(8 * curves.length, size);
    }
    curves_release(&curves);
    free(copy);
}

START_TEST(damage_is_survived) {
    struct curves all = {0};
    struct random_stream stream = random_stream_make(1, RANDOM_TASK, 0, 0);
    size_t size;
    curves_want_all(&all);
    ck_assert(curves_read(&all, NULL, "job", never, NULL));
    unsigned char *bytes = curves_encode(&all, &size), *copy = malloc(size);
    for (size_t cut = 0; cut <= size; cut++) {
        damaged_decode(bytes, cut);
    }
    for (uint64_t round = 0; round < 20000; round++) {
        memcpy(copy, bytes, size);
        for (uint64_t i = 0; i <= round % 3; i++) { /* where the numbers of rows and columns and the names are, most */
            uint64_t at = random_below(&stream, 8 * round + 2 * i, round % 2 == 0 ? 60 : size);
            copy[at] = (unsigned char)random_below(&stream, 8 * round + 2 * i + 1, 256);
        }
        damaged_decode(copy, size);
    }
    curves_release(&all);
    free(bytes);
    free(copy);
}
END_TEST

START_TEST(a_job_diverged_by_its_outcome_or_its_error) {
    char code[] = "diverged", other[] = "time_limit";
    struct store_job job = {.status = JOB_SUCCEEDED, .loss = 3.1, .initial_loss = 1};
    ck_assert(job_diverged(&job));
    job.loss = 2.9;
    ck_assert(!job_diverged(&job));
    job.status = JOB_FAILED;
    ck_assert(!job_diverged(&job));
    job.error_code = other;
    ck_assert(!job_diverged(&job));
    job.error_code = code;
    ck_assert(job_diverged(&job));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("curves");
    TCase *all = tcase_create("tables");
    tcase_add_test(all, a_table_has_what_the_events_have);
    tcase_add_test(all, a_table_may_be_empty);
    tcase_add_test(all, damage_is_survived);
    tcase_add_test(all, a_job_diverged_by_its_outcome_or_its_error);
    suite_add_tcase(suite, all);
    return suite_run(suite);
}
