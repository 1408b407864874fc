/*
 * The curves of one job: what its evaluations reported, by iteration. They are read from its progress events, or from
 * the table that was made of them when the job ended (store.h: findings), which costs a fiftieth of that.
 *
 * The table's bytes, all integers little-endian: "MPC1"; u32 rows; u16 columns; for each column a u8 length and its
 * name; then the iterations as i64, then each column's values as IEEE doubles, NaN where an evaluation has none.
 *
 * Any thread; one reader each.
 */
#ifndef MODPROP_SERVER_CURVES_H
#define MODPROP_SERVER_CURVES_H

#include <stdbool.h>
#include <stddef.h>

#include "api/event.h"
#include "server/store/store.h"

/* The curve of the seconds that training has taken. */
#define CURVE_SECONDS "elapsed_seconds"

struct curves {
    const char *keys[CURVES_MAX]; /* which; set before reading, the texts outlive it */
    size_t count;
    size_t length, room;
    double *iterations, *values[CURVES_MAX]; /* (length) each */
};

/* Adds a curve to those that are wanted, once; its index. */
size_t curves_want(struct curves *curves, const char *key);
/* Wants every curve that there can be. */
void curves_want_all(struct curves *curves);

/* Reads the wanted curves from the job's events. False on failure, if out of memory or if it was stopped. */
bool curves_read(struct curves *curves, struct store_reader *reader, const char *job, bool (*stopped)(void *user),
                 void *user);
/* The same from a table's bytes; false also if these are damaged. */
bool curves_decode(struct curves *curves, const unsigned char *bytes, size_t size);
/* The table's bytes, malloc'ed, without curves that have no value; NULL if out of memory. */
unsigned char *curves_encode(const struct curves *curves, size_t *size);
/* Frees the values; what is wanted stays. */
void curves_release(struct curves *curves);

/* Whether an ended job diverged: by its outcome, or as the reason of its failure. */
bool job_diverged(const struct store_job *job);

#endif
