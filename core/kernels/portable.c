/*
 * The kernels in plain C: always built, the authority that the others are held against. A virtual vector is an array of
 * 16 floats, which compilers turn into vector instructions in part, where the target's baseline has fused multiply-add;
 * on x86-64's baseline fmaf is a call, correct and slow.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    float lane[16];
} vec;
#define TILE_ROWS 4
#define TILE_VECTORS 1
#define KERNELS kernels_portable
#define KERNELS_NAME "portable"

#define EACH(expression)                                                                                               \
    vec result;                                                                                                        \
    for (int i = 0; i < 16; i++)                                                                                       \
        result.lane[i] = expression;                                                                                   \
    return result

static inline vec v_zero(void) {
    EACH(0.0f);
}
static inline vec v_set(float x) {
    EACH(x);
}
static inline vec v_load(const float *p) {
    EACH(p[i]);
}
static inline void v_store(float *p, vec a) {
    memcpy(p, a.lane, sizeof a.lane);
}
static inline vec v_add(vec a, vec b) {
    EACH(a.lane[i] + b.lane[i]);
}
static inline vec v_sub(vec a, vec b) {
    EACH(a.lane[i] - b.lane[i]);
}
static inline vec v_mul(vec a, vec b) {
    EACH(a.lane[i] * b.lane[i]);
}
static inline vec v_div(vec a, vec b) {
    EACH(a.lane[i] / b.lane[i]);
}
/* As the x86 instructions have it: the second where the comparison fails, so also where one is not a number. */
static inline vec v_max(vec a, vec b) {
    EACH(a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]);
}
static inline vec v_min(vec a, vec b) {
    EACH(a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]);
}
static inline vec v_fma(vec a, vec b, vec c) {
    EACH(fmaf(a.lane[i], b.lane[i], c.lane[i]));
}
static inline vec v_fnma(vec a, vec b, vec c) {
    EACH(fmaf(-a.lane[i], b.lane[i], c.lane[i]));
}
static inline vec v_if_positive(vec z, vec a) {
    EACH(z.lane[i] > 0.0f ? a.lane[i] : 0.0f);
}
/* Adding and taking away 1.5 * 2^23 rounds |a| < 2^22 to the nearest integer, ties to even. */
static inline vec v_round(vec a) {
    EACH((a.lane[i] + 12582912.0f) - 12582912.0f);
}

static inline vec v_scale2(vec a, vec n) {
    vec result;
    for (int i = 0; i < 16; i++) {
        /* a NaN has no integer: any exponent will do, the product stays a NaN */
        uint32_t bits = n.lane[i] == n.lane[i] ? (uint32_t)((int32_t)n.lane[i] + 127) << 23 : 0;
        float power;
        memcpy(&power, &bits, sizeof power);
        result.lane[i] = a.lane[i] * power;
    }
    return result;
}

static inline float v_sum(vec a) {
    for (int width = 8; width > 0; width /= 2) {
        for (int i = 0; i < width; i++) {
            a.lane[i] += a.lane[i + width];
        }
    }
    return a.lane[0];
}

#include "core/kernels/body.h"
