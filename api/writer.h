/*
 * Output of a large document, piece by piece: neither jansson's tree nor the whole text is ever in memory at once. A
 * writer that has failed ignores further output; check `failed` at the end.
 */
#ifndef MODPROP_API_WRITER_H
#define MODPROP_API_WRITER_H

#include <stdbool.h>
#include <stddef.h>

struct writer {
    bool (*write)(void *user, const void *bytes, size_t size);
    void *user;
    bool failed;
};

void writer_bytes(struct writer *writer, const void *bytes, size_t size);
void writer_text(struct writer *writer, const char *text);
/* [..] and [[..], ..] of float32, with the digits that bring each back exactly; not finite: null. */
void writer_vector(struct writer *writer, const float *values, size_t count);
void writer_matrix(struct writer *writer, const float *values, size_t rows, size_t columns);
/* [[[..], ..], ..] */
void writer_cube(struct writer *writer, const float *values, size_t planes, size_t rows, size_t columns);
/* [..] of double, likewise */
void writer_doubles(struct writer *writer, const double *values, size_t count);
void writer_integers(struct writer *writer, const int *values, size_t count);

#endif
