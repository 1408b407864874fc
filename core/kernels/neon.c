/*
 * The kernels for arm64, whose baseline has NEON with fused multiply-add: a virtual vector is four registers, the tile
 * 4 rows by 1 vector (16 sums, 4 weights, 1 source of 32 registers). The plain C of portable.c gives the same bits, but
 * compilers vectorise its product in part only.
 */
#include <arm_neon.h>

typedef struct {
    float32x4_t q[4];
} vec;
#define TILE_ROWS 4
#define TILE_VECTORS 1
#define KERNELS kernels_neon
#define KERNELS_NAME "neon"

/* Each quarter by the expression; i is its number. */
#define EACH(expression)                                                                                               \
    vec result;                                                                                                        \
    _Pragma("GCC unroll 4") for (int i = 0; i < 4; i++) result.q[i] = expression;                                      \
    return result

static inline vec v_zero(void) {
    EACH(vdupq_n_f32(0.0f));
}
static inline vec v_set(float x) {
    EACH(vdupq_n_f32(x));
}
static inline vec v_load(const float *p) {
    EACH(vld1q_f32(p + 4 * i));
}
static inline void v_store(float *p, vec a) {
    for (int i = 0; i < 4; i++) {
        vst1q_f32(p + 4 * i, a.q[i]);
    }
}
static inline vec v_add(vec a, vec b) {
    EACH(vaddq_f32(a.q[i], b.q[i]));
}
static inline vec v_sub(vec a, vec b) {
    EACH(vsubq_f32(a.q[i], b.q[i]));
}
static inline vec v_mul(vec a, vec b) {
    EACH(vmulq_f32(a.q[i], b.q[i]));
}
static inline vec v_div(vec a, vec b) {
    EACH(vdivq_f32(a.q[i], b.q[i]));
}
/* As the x86 instructions have it: the second where the comparison fails, so also where one is not a number. */
static inline vec v_max(vec a, vec b) {
    EACH(vbslq_f32(vcgtq_f32(a.q[i], b.q[i]), a.q[i], b.q[i]));
}
static inline vec v_min(vec a, vec b) {
    EACH(vbslq_f32(vcltq_f32(a.q[i], b.q[i]), a.q[i], b.q[i]));
}
static inline vec v_fma(vec a, vec b, vec c) {
    EACH(vfmaq_f32(c.q[i], a.q[i], b.q[i]));
}
static inline vec v_fnma(vec a, vec b, vec c) {
    EACH(vfmsq_f32(c.q[i], a.q[i], b.q[i]));
}
static inline vec v_if_positive(vec z, vec a) {
    EACH(vreinterpretq_f32_u32(vandq_u32(vcgtq_f32(z.q[i], vdupq_n_f32(0.0f)), vreinterpretq_u32_f32(a.q[i]))));
}
static inline vec v_round(vec a) {
    EACH(vrndnq_f32(a.q[i]));
}
/* A NaN becomes the integer 0: the product stays a NaN. */
static inline vec v_scale2(vec a, vec n) {
    EACH(vmulq_f32(a.q[i], vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n.q[i]), vdupq_n_s32(127)), 23))));
}

static inline float v_sum(vec a) {
    float32x4_t four = vaddq_f32(vaddq_f32(a.q[0], a.q[2]), vaddq_f32(a.q[1], a.q[3]));
    float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

#include "core/kernels/body.h"
