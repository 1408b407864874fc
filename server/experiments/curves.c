/* Curves of one job: see curves.h. */
#include "server/experiments/curves.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK "MPC1"
#define ROWS_MOST 100000000u
#define NAME_BYTES 64

size_t curves_want(struct curves *curves, const char *key) {
    size_t i = 0;
    while (i < curves->count && strcmp(curves->keys[i], key) != 0) {
        i++;
    }
    if (i == curves->count && i < CURVES_MAX) {
        curves->keys[curves->count++] = key;
    }
    return i;
}

void curves_want_all(struct curves *curves) {
    const char *names[CURVES_MAX];
    size_t count = event_curves(names);
    for (size_t i = 1; i < count; i++) { /* not the iteration */
        curves_want(curves, names[i]);
    }
}

void curves_release(struct curves *curves) {
    free(curves->iterations);
    for (size_t i = 0; i < CURVES_MAX; i++) {
        free(curves->values[i]);
        curves->values[i] = NULL;
    }
    curves->iterations = NULL;
    curves->length = curves->room = 0;
}

static bool column_grow(double **column, size_t room) {
    double *grown = realloc(*column, room * sizeof *grown);
    if (grown == NULL) {
        return false;
    }
    *column = grown;
    return true;
}

static bool curves_grow(struct curves *curves, size_t room) {
    bool whole = column_grow(&curves->iterations, room);
    for (size_t i = 0; whole && i < curves->count; i++) {
        whole = column_grow(&curves->values[i], room);
    }
    curves->room = whole ? room : curves->room;
    return whole;
}

/* ---- from events ---- */

/* The number of a member of an event's text, which is our own writing; NaN: null, or there is none. */
static double member_number(const char *json, const char *key) {
    char quoted[NAME_BYTES + 4];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *at = strstr(json, quoted);
    char *end;
    if (at == NULL) {
        return NAN;
    }
    at += strlen(quoted);
    double value = strtod(at, &end);
    return end == at ? NAN : value;
}

struct curve_reading {
    struct curves *curves;
    bool (*stopped)(void *user);
    void *user;
    bool failed;
};

static bool read_progress(void *user, const struct store_event *event) {
    struct curve_reading *reading = user;
    struct curves *curves = reading->curves;
    if (curves->length == curves->room && !curves_grow(curves, curves->room == 0 ? 256 : 2 * curves->room)) {
        reading->failed = true;
        return false;
    }
    curves->iterations[curves->length] = (double)event->iteration;
    for (size_t i = 0; i < curves->count; i++) {
        curves->values[i][curves->length] = member_number(event->json, curves->keys[i]);
    }
    curves->length++;
    reading->failed = reading->stopped(reading->user);
    return !reading->failed;
}

bool curves_read(struct curves *curves, struct store_reader *reader, const char *job, bool (*stopped)(void *user),
                 void *user) {
    struct curve_reading reading = {.curves = curves, .stopped = stopped, .user = user};
    curves->length = 0;
    return store_progress_read(reader, job, 0, INT64_MAX, read_progress, &reading) >= 0 && !reading.failed;
}

/* ---- the table's bytes ---- */

static void bytes_put(unsigned char **at, uint64_t value, size_t size) {
    for (size_t i = 0; i < size; i++) {
        *(*at)++ = (unsigned char)(value >> (8 * i));
    }
}

static uint64_t bytes_take(const unsigned char **at, size_t size) {
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value |= (uint64_t)(*(*at)++) << (8 * i);
    }
    return value;
}

static void double_put(unsigned char **at, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    bytes_put(at, bits, sizeof bits);
}

static double double_take(const unsigned char **at) {
    uint64_t bits = bytes_take(at, sizeof bits);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static bool curve_is_empty(const struct curves *curves, size_t index) {
    for (size_t i = 0; i < curves->length; i++) {
        if (!isnan(curves->values[index][i])) {
            return false;
        }
    }
    return true;
}

unsigned char *curves_encode(const struct curves *curves, size_t *size) {
    size_t kept[CURVES_MAX], count = 0, head = sizeof MARK - 1 + 4 + 2;
    for (size_t i = 0; i < curves->count; i++) {
        if (!curve_is_empty(curves, i)) {
            kept[count++] = i;
            head += 1 + strlen(curves->keys[i]);
        }
    }
    *size = head + 8 * curves->length * (1 + count);
    unsigned char *bytes = malloc(*size), *at = bytes;
    if (bytes == NULL) {
        return NULL;
    }
    memcpy(at, MARK, sizeof MARK - 1);
    at += sizeof MARK - 1;
    bytes_put(&at, curves->length, 4);
    bytes_put(&at, count, 2);
    for (size_t i = 0; i < count; i++) {
        const char *key = curves->keys[kept[i]];
        bytes_put(&at, strlen(key), 1);
        memcpy(at, key, strlen(key));
        at += strlen(key);
    }
    for (size_t row = 0; row < curves->length; row++) {
        bytes_put(&at, (uint64_t)(int64_t)curves->iterations[row], 8);
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t row = 0; row < curves->length; row++) {
            double_put(&at, curves->values[kept[i]][row]);
        }
    }
    return bytes;
}

/* Where each wanted curve's values are: its column, or SIZE_MAX. False if the names do not fit. */
static bool names_take(const struct curves *curves, const unsigned char **at, const unsigned char *end, size_t columns,
                       size_t places[CURVES_MAX]) {
    for (size_t i = 0; i < curves->count; i++) {
        places[i] = SIZE_MAX;
    }
    for (size_t column = 0; column < columns; column++) {
        size_t length = *at < end ? *(*at)++ : SIZE_MAX;
        if (length > (size_t)(end - *at)) {
            return false;
        }
        for (size_t i = 0; i < curves->count; i++) {
            if (strlen(curves->keys[i]) == length && memcmp(curves->keys[i], *at, length) == 0) {
                places[i] = column;
            }
        }
        *at += length;
    }
    return true;
}

bool curves_decode(struct curves *curves, const unsigned char *bytes, size_t size) {
    const unsigned char *at = bytes, *end = bytes + size;
    const size_t head = sizeof MARK - 1 + 4 + 2;
    size_t places[CURVES_MAX] = {0};
    if (size < head || memcmp(bytes, MARK, sizeof MARK - 1) != 0) {
        return false;
    }
    at += sizeof MARK - 1;
    size_t rows = (size_t)bytes_take(&at, 4), columns = (size_t)bytes_take(&at, 2);
    if (rows > ROWS_MOST || columns > CURVES_MAX || !names_take(curves, &at, end, columns, places) ||
        (size_t)(end - at) != 8 * rows * (1 + columns) || !curves_grow(curves, rows + 1)) {
        return false;
    }
    curves->length = rows;
    const unsigned char *values = at + 8 * rows;
    for (size_t row = 0; row < rows; row++) {
        curves->iterations[row] = (double)(int64_t)bytes_take(&at, 8);
    }
    for (size_t i = 0; i < curves->count; i++) {
        const unsigned char *from = places[i] == SIZE_MAX ? NULL : values + 8 * rows * places[i];
        for (size_t row = 0; row < rows; row++) {
            curves->values[i][row] = from == NULL ? NAN : double_take(&from);
        }
    }
    return true;
}

bool job_diverged(const struct store_job *job) {
    return job->status == JOB_SUCCEEDED ? strcmp(outcome_name(job->loss, job->initial_loss), "diverged") == 0
                                        : job->error_code != NULL && strcmp(job->error_code, "diverged") == 0;
}
