/*
 * Sizes in memory: sums and products that saturate at SIZE_BEYOND instead of wrapping. So a size is computed from any
 * number of terms and factors and checked once, at the end; beyond SIZE_MOST it cannot be allocated.
 *
 * All counts of core are multiplied and added with these if they involve a caller's numbers. An index into memory that
 * was allocated with such a size needs no check, only size_t.
 */
#ifndef MODPROP_CORE_SIZE_H
#define MODPROP_CORE_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIZE_BEYOND SIZE_MAX
#define SIZE_MOST (SIZE_MAX / 4) /* leaves room for padding and for a pointer difference */

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
