#include "api/writer.h"

#include <stdio.h>
#include <string.h>

#include "api/text.h"

#define PIECE_BYTES 8192

void writer_bytes(struct writer *writer, const void *bytes, size_t size) {
    writer->failed = writer->failed || !writer->write(writer->user, bytes, size);
}

void writer_text(struct writer *writer, const char *text) {
    writer_bytes(writer, text, strlen(text));
}

/* [..] of `count` numbers, each written by `put` in at most 40 bytes. */
static void numbers_write(struct writer *writer, const void *values, size_t count,
                          int (*put)(const void *values, size_t i, char *text)) {
    char piece[PIECE_BYTES];
    size_t used = 0;
    piece[used++] = '[';
    for (size_t i = 0; i < count; i++) {
        if (used + 42 > sizeof piece) {
            writer_bytes(writer, piece, used);
            used = 0;
        }
        if (i > 0) {
            piece[used++] = ',';
        }
        used += (size_t)put(values, i, piece + used);
    }
    piece[used++] = ']';
    writer_bytes(writer, piece, used);
}

static int put_float(const void *values, size_t i, char *text) {
    return float_put(((const float *)values)[i], text);
}

static int put_double(const void *values, size_t i, char *text) {
    return number_put(((const double *)values)[i], text);
}

void writer_vector(struct writer *writer, const float *values, size_t count) {
    numbers_write(writer, values, count, put_float);
}

void writer_doubles(struct writer *writer, const double *values, size_t count) {
    numbers_write(writer, values, count, put_double);
}

void writer_matrix(struct writer *writer, const float *values, size_t rows, size_t columns) {
    writer_text(writer, "[");
    for (size_t i = 0; i < rows && !writer->failed; i++) {
        if (i > 0) {
            writer_text(writer, ",");
        }
        writer_vector(writer, values + i * columns, columns);
    }
    writer_text(writer, "]");
}

void writer_cube(struct writer *writer, const float *values, size_t planes, size_t rows, size_t columns) {
    writer_text(writer, "[");
    for (size_t i = 0; i < planes && !writer->failed; i++) {
        if (i > 0) {
            writer_text(writer, ",");
        }
        writer_matrix(writer, values + i * rows * columns, rows, columns);
    }
    writer_text(writer, "]");
}

void writer_integers(struct writer *writer, const int *values, size_t count) {
    char number[16];
    writer_text(writer, "[");
    for (size_t i = 0; i < count; i++) {
        snprintf(number, sizeof number, "%s%d", i > 0 ? "," : "", values[i]);
        writer_text(writer, number);
    }
    writer_text(writer, "]");
}
