/*
 * Elementary functions with reproducible bits: libm chooses variants by processor, so no result may depend on it (sqrt
 * is exact and is allowed).
 *
 * Plain IEEE arithmetic without fused operations, and without branches in the float versions, so that a compiler may
 * vectorise a loop over them and every instruction set gives the same bits. Errors against exact values: double under 2
 * units in the last place, float under 3 (tests/unit/test_random.c).
 */
#ifndef MODPROP_CORE_ELEMENTARY_H
#define MODPROP_CORE_ELEMENTARY_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline double elementary_from_bits(uint64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint64_t elementary_to_bits(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* e^x: x = n ln2 + r, |r| <= ln2/2, Taylor to r^13. Below -708 it is 0 (no subnormal results), above 709.7 infinity. */
static inline double elementary_exp(double x) {
    if (!(x > -708.0)) {
        return x != x ? x : 0.0;
    }
    if (x > 709.7) {
        return HUGE_VAL;
    }
    double n = floor(x * 1.4426950408889634 + 0.5);
    double r = (x - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10;
    double p = 1.0 / 6227020800.0;
    static const double inverse_factorial[] = {
        1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720,
        1.0 / 120,       1.0 / 24,       1.0 / 6,       0.5,          1.0,         1.0};
    for (unsigned i = 0; i < sizeof inverse_factorial / sizeof *inverse_factorial; i++) {
        p = p * r + inverse_factorial[i];
    }
    return p * elementary_from_bits((uint64_t)((int64_t)n + 1023) << 52);
}

/*
 * Natural logarithm of a positive normal number: x = m 2^e, m in [sqrt(1/2), sqrt(2)), log m = 2 atanh((m-1)/(m+1)). 0
 * gives -infinity, negative NaN.
 */
static inline double elementary_log(double x) {
    if (!(x > 0)) {
        return x == 0 ? -HUGE_VAL : NAN;
    }
    if (x < 2.2250738585072014e-308) {
        return elementary_log(x * 18014398509481984.0) - 37.429947750237047;
    }
    if (x > 1.7976931348623157e308) {
        return x;
    }
    uint64_t bits = elementary_to_bits(x);
    int exponent = (int)(bits >> 52) - 1023;
    double m = elementary_from_bits((bits & 0xfffffffffffffu) | 0x3ff0000000000000u);
    if (m > 1.4142135623730951) {
        m *= 0.5;
        exponent++;
    }
    double s = (m - 1.0) / (m + 1.0), s2 = s * s, p = 1.0 / 23.0;
    for (int k = 21; k >= 3; k -= 2) {
        p = p * s2 + 1.0 / k;
    }
    return 2.0 * s + (2.0 * s * s2 * p + exponent * 1.90821492927058770002e-10) + exponent * 0.693147180369123816490;
}

/* sin and cos of 2 pi x for |x| < 2^50: x is reduced to a quarter turn and the rest expanded to r^17. */
static inline void elementary_sincos_turns(double x, double *sine, double *cosine) {
    x -= floor(x);
    double quarter = floor(4.0 * x + 0.5), r = (x - 0.25 * quarter) * 6.2831853071795864769, r2 = r * r;
    double s = 1.0 / 355687428096000.0, c = 1.0 / 20922789888000.0;
    static const double sine_terms[] = {-1.0 / 1307674368000.0, 1.0 / 6227020800.0, -1.0 / 39916800.0, 1.0 / 362880.0,
                                        -1.0 / 5040.0,          1.0 / 120.0,        -1.0 / 6.0,        1.0};
    static const double cosine_terms[] = {
        -1.0 / 87178291200.0, 1.0 / 479001600.0, -1.0 / 3628800.0, 1.0 / 40320.0, -1.0 / 720.0, 1.0 / 24.0, -0.5, 1.0};
    for (int i = 0; i < 8; i++) {
        s = s * r2 + sine_terms[i];
        c = c * r2 + cosine_terms[i];
    }
    s *= r;
    int q = (int)quarter & 3;
    *sine = q == 0 ? s : q == 1 ? c : q == 2 ? -s : -c;
    *cosine = q == 0 ? c : q == 1 ? -s : q == 2 ? -c : s;
}

/* Natural logarithm of a float in (0, 1]; as elementary_log, without branches. */
static inline float elementary_logf_unit(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    /* moving the cut from 1 to sqrt(1/2): the exponent field of bits - bits(sqrt(1/2)) is the power of two */
    uint32_t shifted = bits - 0x3f3504f3u;
    float exponent = (float)((int32_t)shifted >> 23);
    uint32_t mantissa = (shifted & 0x7fffffu) + 0x3f3504f3u;
    float m;
    memcpy(&m, &mantissa, sizeof m);
    float s = (m - 1.0f) / (m + 1.0f), s2 = s * s;
    float p = ((((1.0f / 11) * s2 + 1.0f / 9) * s2 + 1.0f / 7) * s2 + 1.0f / 5) * s2 + 1.0f / 3;
    return exponent * 0.693359375f + (2.0f * s + (2.0f * s * s2 * p - exponent * 2.12194440e-4f));
}

/* sin and cos of 2 pi x for x in [0, 1). */
static inline void elementary_sincosf_turns(float x, float *sine, float *cosine) {
    int quarter = (int)(4.0f * x + 0.5f);
    float r = (x - 0.25f * (float)quarter) * 6.28318530718f, r2 = r * r;
    float s = r * ((((1.0f / 362880 * r2 - 1.0f / 5040) * r2 + 1.0f / 120) * r2 - 1.0f / 6) * r2 + 1.0f);
    float c = (((1.0f / 40320 * r2 - 1.0f / 720) * r2 + 1.0f / 24) * r2 - 0.5f) * r2 + 1.0f;
    int odd = quarter & 1;
    float a = odd ? c : s, b = odd ? s : c;
    *sine = quarter & 2 ? -a : a;
    *cosine = (quarter + 1) & 2 ? -b : b;
}

#endif
