/*
 * Nested lists of numbers: from JSON to contiguous float32 (or int32). Every fault is named, and sizes are checked
 * before any memory is allocated.
 */
#ifndef MODPROP_API_ARRAY_H
#define MODPROP_API_ARRAY_H

#include <stdint.h>

#include "api/problem.h"

/*
 * The lengths of a list of lists down to numbers, outermost first, taken from the first element of each; 0 if it is not
 * a list or is deeper than 3.
 */
int array_shape(const json_t *value, size_t lengths[3]);

/*
 * True if every list has the length that `lengths` gives; else adds a fault at path/name. What passes is present in the
 * document entry by entry, so the memory then allocated for it is no more than the document's own. Call it before
 * allocating that memory.
 */
bool array_check(const json_t *value, int dimensions, const size_t *lengths, const struct path *path, const char *name,
                 struct problems *problems);

/*
 * Reads a list of `dimensions` levels whose lengths are `lengths` into `to`, row-major. False, with a fault at
 * path/name, if a length differs or an entry is not a finite number. With `to` NULL entries are checked but not stored.
 */
bool array_read(const json_t *value, int dimensions, const size_t *lengths, float *to, const struct path *path,
                const char *name, struct problems *problems);

/* The same for integers from low to high. */
bool array_read_integers(const json_t *value, int dimensions, const size_t *lengths, int low, int high, int32_t *to,
                         const struct path *path, const char *name, struct problems *problems);

/* The same for finite numbers from low to high, in double. */
bool array_read_doubles(const json_t *value, int dimensions, const size_t *lengths, double low, double high, double *to,
                        const struct path *path, const char *name, struct problems *problems);

/* count * size without overflow, or 0. */
size_t size_product(const size_t *lengths, int dimensions, size_t size);

/*
 * Describes what was sent in place of a list, for a message: "a list of 3 entries", the value itself, or "none";
 * returns `text`.
 */
const char *shape_quote(const json_t *value, char text[80]);

#endif
