/*
 * The kernels for AVX2 with FMA: a virtual vector is two registers, the tile 4 rows by 1 vector (8 sums, 2 weights, 1
 * source of 16 registers).
 */
#include <immintrin.h>

typedef struct {
    __m256 low, high;
} vec;
#define TILE_ROWS 4
#define TILE_VECTORS 1
#define KERNELS kernels_avx2
#define KERNELS_NAME "avx2"

static inline vec v_of(__m256 low, __m256 high) {
    return (vec){low, high};
}
static inline vec v_zero(void) {
    return v_of(_mm256_setzero_ps(), _mm256_setzero_ps());
}
static inline vec v_set(float x) {
    return v_of(_mm256_set1_ps(x), _mm256_set1_ps(x));
}
static inline vec v_load(const float *p) {
    return v_of(_mm256_load_ps(p), _mm256_load_ps(p + 8));
}
static inline void v_store(float *p, vec a) {
    _mm256_store_ps(p, a.low);
    _mm256_store_ps(p + 8, a.high);
}
static inline vec v_add(vec a, vec b) {
    return v_of(_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high));
}
static inline vec v_sub(vec a, vec b) {
    return v_of(_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high));
}
static inline vec v_mul(vec a, vec b) {
    return v_of(_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high));
}
static inline vec v_div(vec a, vec b) {
    return v_of(_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high));
}
static inline vec v_max(vec a, vec b) {
    return v_of(_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high));
}
static inline vec v_min(vec a, vec b) {
    return v_of(_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high));
}
static inline vec v_fma(vec a, vec b, vec c) {
    return v_of(_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high));
}
static inline vec v_fnma(vec a, vec b, vec c) {
    return v_of(_mm256_fnmadd_ps(a.low, b.low, c.low), _mm256_fnmadd_ps(a.high, b.high, c.high));
}

static inline __m256 half_if_positive(__m256 z, __m256 a) {
    return _mm256_and_ps(_mm256_cmp_ps(z, _mm256_setzero_ps(), _CMP_GT_OQ), a);
}
static inline vec v_if_positive(vec z, vec a) {
    return v_of(half_if_positive(z.low, a.low), half_if_positive(z.high, a.high));
}

static inline __m256 half_round(__m256 a) {
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline vec v_round(vec a) {
    return v_of(half_round(a.low), half_round(a.high));
}

static inline __m256 half_scale2(__m256 a, __m256 n) {
    __m256i exponent = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_mul_ps(a, _mm256_castsi256_ps(exponent));
}
static inline vec v_scale2(vec a, vec n) {
    return v_of(half_scale2(a.low, n.low), half_scale2(a.high, n.high));
}

static inline float v_sum(vec a) {
    __m256 eight = _mm256_add_ps(a.low, a.high);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

#include "core/kernels/body.h"
