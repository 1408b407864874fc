/*
 * Sizes in memory: sums and products that stop at SIZE_BEYOND instead of wrapping. So a size is made of any number of
 * terms and factors and asked once, at the end, whether it can be had; beyond SIZE_MOST it cannot.
 *
 * All counts of core are multiplied and added with these wherever a caller's numbers are among them. An index into
 * memory that was allocated by such a size needs no check, only size_t.
 */
#ifndef MODPROP_CORE_SIZE_H
#define MODPROP_CORE_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIZE_BEYOND SIZE_MAX
#define SIZE_MOST (SIZE_MAX / 4) /* leaves room for padding and for a pointer's difference */

static inline size_t size_plus(size_t a, size_t b) {
    size_t sum;
    return __builtin_add_overflow(a, b, &sum) ? SIZE_BEYOND : sum;
}

static inline size_t size_times(size_t a, size_t b) {
    size_t product;
    return __builtin_mul_overflow(a, b, &product) ? SIZE_BEYOND : product;
}

/* `size` rounded up to a multiple of `unit`, a power of two. */
static inline size_t size_aligned(size_t size, size_t unit) {
    size_t padded = size_plus(size, unit - 1);
    return padded == SIZE_BEYOND ? padded : padded & ~(unit - 1);
}

static inline bool size_possible(size_t size) {
    return size <= SIZE_MOST;
}

#endif
