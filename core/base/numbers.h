/*
 * A list of numbers that a parameter holds: of one, two or three dimensions, row-major. Owned by whoever decoded it
 * (api/numbers.h); everybody else borrows it.
 */
#ifndef MODPROP_CORE_NUMBERS_H
#define MODPROP_CORE_NUMBERS_H

#include <stddef.h>

#define NUMBERS_DIMENSIONS 3

struct numbers {
    const double *values; /* NULL: none were given */
    int dimensions;
    int lengths[NUMBERS_DIMENSIONS]; /* outermost first */
};

static inline size_t numbers_count(const struct numbers *numbers) {
    size_t count = numbers->values ? 1 : 0;
    for (int i = 0; i < numbers->dimensions; i++) {
        count *= (size_t)numbers->lengths[i];
    }
    return count;
}

#endif
