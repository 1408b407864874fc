/*
 * The fused multiply-add of floats, a * b + c rounded once, for targets that have none: fmaf is then a call into the C
 * library, some 30 times slower. Exact, so its bits are those of the instruction: subnormal numbers, infinities, signed
 * zeros and NaN included (of a NaN only that it is one).
 *
 * The product of two floats is exact in double (24 + 24 bits of 53, and no exponent is out of range). The sum with c is
 * rounded to double, and Knuth's two-sum gives the error of that, also exactly. Where it is not 0, the sum is rounded
 * to odd instead (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding
 * to odd", 2008): towards zero, with the last bit set. A double that was rounded to odd becomes the float to which the
 * exact value would have been rounded, since double has more than two bits more, of subnormal floats too.
 *
 * Without branches, in vectors of the compiler's. Needs arithmetic that is not contracted
 * (-ffp-contract=off) and no excess precision.
 */
#ifndef MODPROP_CORE_KERNELS_FMA_H
#define MODPROP_CORE_KERNELS_FMA_H

#include <stdbool.h>
#include <stdint.h>

typedef float fma_floats __attribute__((vector_size(16)));
typedef float fma_pair __attribute__((vector_size(8)));
typedef double fma_doubles __attribute__((vector_size(16)));
typedef int64_t fma_signed __attribute__((vector_size(16)));
typedef uint64_t fma_bits __attribute__((vector_size(16)));

/* Two products and sums, rounded to odd. */
static inline __attribute__((always_inline)) fma_doubles fma_odd(fma_doubles product, fma_doubles addend) {
    const fma_bits magnitude = {INT64_MAX, INT64_MAX};
    fma_doubles sum = product + addend, part = sum - product, error = (product - (sum - part)) + (addend - part),
                size = (fma_doubles)((fma_bits)error & magnitude);
    /* all bits set where there is an error; infinities and NaN make it a NaN, which counts as none */
    fma_bits inexact = (fma_bits)(size > (fma_doubles){0, 0});
    fma_bits beyond = (((fma_bits)sum ^ (fma_bits)error) >> 63) & inexact; /* the sum was rounded away from zero */
    return (fma_doubles)(((fma_bits)sum - beyond) | inexact >> 63);
}

static inline __attribute__((always_inline)) fma_doubles fma_widened(fma_floats a, bool upper) {
    fma_pair pair = upper ? (fma_pair){a[2], a[3]} : (fma_pair){a[0], a[1]};
    return __builtin_convertvector(pair, fma_doubles);
}

/* Four at a time. */
static inline __attribute__((always_inline)) fma_floats fma_exact4(fma_floats a, fma_floats b, fma_floats c) {
    fma_doubles product0 = fma_widened(a, false) * fma_widened(b, false), addend0 = fma_widened(c, false),
                product1 = fma_widened(a, true) * fma_widened(b, true), addend1 = fma_widened(c, true);
    fma_pair low = __builtin_convertvector(fma_odd(product0, addend0), fma_pair),
             high = __builtin_convertvector(fma_odd(product1, addend1), fma_pair);
    return (fma_floats){low[0], low[1], high[0], high[1]};
}

#endif
