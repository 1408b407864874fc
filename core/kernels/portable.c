/*
 * The kernels in plain C: always built, and the authority for the others. A virtual vector is four of the compiler's
 * vectors (GCC and clang have them for every target). If the target's baseline has no fused multiply-add (x86-64), it
 * is emulated in double arithmetic (fma.h).
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "core/kernels/fma.h"

typedef float f4 __attribute__((vector_size(16)));
typedef int32_t i4 __attribute__((vector_size(16)));

typedef struct {
    f4 q[4];
} vec;
#define TILE_ROWS 4
#define TILE_VECTORS 1
#define KERNELS kernels_portable
#define KERNELS_NAME "portable"

/* Each quarter by the expression; i is its number. */
#define EACH(expression)                                                                                               \
    vec result;                                                                                                        \
    _Pragma("GCC unroll 4") for (int i = 0; i < 4; i++) result.q[i] = expression;                                      \
    return result

static inline f4 q_set(float x) {
    return (f4){x, x, x, x};
}
/* a where the mask is set, else b */
static inline f4 q_choose(i4 mask, f4 a, f4 b) {
    return (f4)((mask & (i4)a) | (~mask & (i4)b));
}

#ifdef FP_FAST_FMAF /* math.h: fmaf is an instruction */
static inline f4 q_fma(f4 a, f4 b, f4 c) {
    return (f4){fmaf(a[0], b[0], c[0]), fmaf(a[1], b[1], c[1]), fmaf(a[2], b[2], c[2]), fmaf(a[3], b[3], c[3])};
}
#else
static inline f4 q_fma(f4 a, f4 b, f4 c) {
    return fma_exact4(a, b, c);
}
#endif

static inline vec v_zero(void) {
    EACH(q_set(0.0f));
}
static inline vec v_set(float x) {
    EACH(q_set(x));
}
static inline vec v_load(const float *p) {
    vec result;
    memcpy(&result, p, sizeof result);
    return result;
}
static inline void v_store(float *p, vec a) {
    memcpy(p, &a, sizeof a);
}
static inline vec v_add(vec a, vec b) {
    EACH(a.q[i] + b.q[i]);
}
static inline vec v_sub(vec a, vec b) {
    EACH(a.q[i] - b.q[i]);
}
static inline vec v_mul(vec a, vec b) {
    EACH(a.q[i] * b.q[i]);
}
static inline vec v_div(vec a, vec b) {
    EACH(a.q[i] / b.q[i]);
}
/* As the x86 instructions have it: the second where the comparison fails, so also where one is not a number. */
static inline vec v_max(vec a, vec b) {
    EACH(q_choose(a.q[i] > b.q[i], a.q[i], b.q[i]));
}
static inline vec v_min(vec a, vec b) {
    EACH(q_choose(a.q[i] < b.q[i], a.q[i], b.q[i]));
}
static inline vec v_fma(vec a, vec b, vec c) {
    EACH(q_fma(a.q[i], b.q[i], c.q[i]));
}
static inline vec v_fnma(vec a, vec b, vec c) {
    EACH(q_fma(-a.q[i], b.q[i], c.q[i]));
}
static inline vec v_if_positive(vec z, vec a) {
    EACH((f4)((z.q[i] > q_set(0.0f)) & (i4)a.q[i]));
}
/* Adding and taking away 1.5 * 2^23 rounds |a| < 2^22 to the nearest integer, ties to even. */
static inline vec v_round(vec a) {
    EACH((a.q[i] + q_set(12582912.0f)) - q_set(12582912.0f));
}

static inline vec v_scale2(vec a, vec n) {
    vec result = a;
    for (int i = 0; i < 16; i++) {
        /* a NaN has no integer: any exponent will do, the product stays a NaN */
        float exponent = n.q[i / 4][i % 4];
        uint32_t bits = exponent == exponent ? (uint32_t)((int32_t)exponent + 127) << 23 : 0;
        float power;
        memcpy(&power, &bits, sizeof power);
        result.q[i / 4][i % 4] *= power;
    }
    return result;
}

static inline float v_sum(vec a) {
    f4 four = (a.q[0] + a.q[2]) + (a.q[1] + a.q[3]);
    return (four[0] + four[2]) + (four[1] + four[3]);
}

#include "core/kernels/body.h"
