/*
 * Random numbers by counter: see random.h. Most of them are noise on inputs, so random_normal_fill makes BATCH counters
 * at a time in arrays that a compiler turns into vectors, once for each instruction set that the host may have; the
 * arithmetic is the same, so the bits are too.
 */
#include "core/base/random.h"

#include <math.h>

#include "core/base/elementary.h"

#define PHILOX_M0 0xD2511F53u
#define PHILOX_M1 0xCD9E8D57u
#define PHILOX_W0 0x9E3779B9u /* golden ratio */
#define PHILOX_W1 0xBB67AE85u /* sqrt(3) - 1 */

enum { PHILOX_ROUNDS = 10, BATCH = 8 };

static inline __attribute__((always_inline)) void philox_batch(int count, uint32_t c[4][BATCH], const uint32_t key[2]) {
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        for (int i = 0; i < count; i++) {
            uint64_t p0 = (uint64_t)PHILOX_M0 * c[0][i], p1 = (uint64_t)PHILOX_M1 * c[2][i];
            uint32_t c1 = c[1][i], c3 = c[3][i];
            c[0][i] = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
            c[1][i] = (uint32_t)p1;
            c[2][i] = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
            c[3][i] = (uint32_t)p0;
        }
        k0 += PHILOX_W0;
        k1 += PHILOX_W1;
    }
}

void philox4x32_10(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c[4][BATCH];
    for (int i = 0; i < 4; i++) {
        c[i][0] = counter[i];
    }
    philox_batch(1, c, key);
    for (int i = 0; i < 4; i++) {
        out[i] = c[i][0];
    }
}

struct random_stream random_stream_make(uint64_t seed, enum random_purpose purpose, int64_t iteration, size_t trial) {
    uint64_t n = (uint64_t)iteration;
    return (struct random_stream){
        .key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
        .trial = (uint32_t)trial,
        .iteration = (uint32_t)n,
        .purpose = (uint32_t)purpose | (uint32_t)(n >> 32) << 8,
    };
}

static void stream_block(const struct random_stream *stream, uint64_t index, uint32_t out[4]) {
    const uint32_t counter[4] = {(uint32_t)index, stream->trial, stream->iteration, stream->purpose};
    philox4x32_10(counter, stream->key, out);
}

uint32_t random_bits(const struct random_stream *stream, uint64_t index) {
    uint32_t out[4];
    stream_block(stream, index / 4, out);
    return out[index % 4];
}

static uint64_t random_bits64(const struct random_stream *stream, uint64_t index) {
    uint32_t out[4];
    stream_block(stream, index / 2, out);
    return (uint64_t)out[index % 2 * 2 + 1] << 32 | out[index % 2 * 2];
}

double random_uniform(const struct random_stream *stream, uint64_t index) {
    return (double)(random_bits64(stream, index) >> 11) * 0x1p-53;
}

uint64_t random_below(const struct random_stream *stream, uint64_t index, uint64_t n) {
    return (uint64_t)((unsigned __int128)random_bits64(stream, index) * n >> 64);
}

double random_normal(const struct random_stream *stream, uint64_t index) {
    /* value 2k and 2k+1 are the two of one pair; u1 in (0, 1] so that its logarithm is finite */
    double u1 = 1.0 - random_uniform(stream, index / 2 * 2), u2 = random_uniform(stream, index / 2 * 2 + 1), sine,
           cosine;
    elementary_sincos_turns(u2, &sine, &cosine);
    return sqrt(-2.0 * elementary_log(u1)) * (index % 2 == 0 ? cosine : sine);
}

/*
 * Four normals from each of BATCH counters, block .. block + BATCH - 1: out[4 * i + lane]. Box-Muller on words (0,1)
 * and (2,3).
 */
static inline __attribute__((always_inline)) void normal_batch(const struct random_stream *stream, uint64_t block,
                                                               float *restrict out) {
    uint32_t c[4][BATCH];
    float made[4][BATCH];
    for (int i = 0; i < BATCH; i++) {
        c[0][i] = (uint32_t)(block + (uint64_t)i);
        c[1][i] = stream->trial;
        c[2][i] = stream->iteration;
        c[3][i] = stream->purpose;
    }
    philox_batch(BATCH, c, stream->key);
    for (int pair = 0; pair < 4; pair += 2) {
        for (int i = 0; i < BATCH; i++) {
            float u1 = ((float)(int32_t)(c[pair][i] >> 8) + 0.5f) * 0x1p-24f,
                  u2 = (float)(int32_t)(c[pair + 1][i] >> 8) * 0x1p-24f, sine, cosine;
            elementary_sincosf_turns(u2, &sine, &cosine);
            float radius = sqrtf(-2.0f * elementary_logf_unit(u1));
            made[pair][i] = radius * cosine;
            made[pair + 1][i] = radius * sine;
        }
    }
    for (int i = 0; i < BATCH; i++) {
        for (int lane = 0; lane < 4; lane++) {
            out[4 * i + lane] = made[lane][i];
        }
    }
}

static inline __attribute__((always_inline)) void normal_fill(const struct random_stream *stream, uint64_t first,
                                                              size_t count, float *out) {
    float values[4 * BATCH];
    while (count > 0) {
        uint64_t block = first / 4;
        size_t skip = (size_t)(first % 4), taken = 4 * BATCH - skip;
        if (taken > count) {
            taken = count;
        }
        normal_batch(stream, block, values);
        memcpy(out, values + skip, taken * sizeof *out);
        out += taken;
        first += taken;
        count -= taken;
    }
}

static void normal_fill_portable(const struct random_stream *stream, uint64_t first, size_t count, float *out) {
    normal_fill(stream, first, count, out);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void normal_fill_avx2(const struct random_stream *stream, uint64_t first,
                                                             size_t count, float *out) {
    normal_fill(stream, first, count, out);
}

__attribute__((target("avx512f,avx512dq,prefer-vector-width=512"))) static void normal_fill_avx512(
    const struct random_stream *stream, uint64_t first, size_t count, float *out) {
    normal_fill(stream, first, count, out);
}
#endif

void random_normal_fill_with(enum random_variant variant, const struct random_stream *stream, uint64_t first,
                             size_t count, float *out) {
#if defined(__x86_64__)
    if (variant == RANDOM_VARIANT_AVX512) {
        normal_fill_avx512(stream, first, count, out);
    } else if (variant == RANDOM_VARIANT_AVX2) {
        normal_fill_avx2(stream, first, count, out);
    } else
#else
    (void)variant;
#endif
        normal_fill_portable(stream, first, count, out);
}

enum random_variant random_variant_best(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) {
        return RANDOM_VARIANT_AVX512;
    }
    if (__builtin_cpu_supports("avx2")) {
        return RANDOM_VARIANT_AVX2;
    }
#endif
    return RANDOM_VARIANT_PORTABLE;
}

void random_normal_fill(const struct random_stream *stream, uint64_t first, size_t count, float *out) {
    random_normal_fill_with(random_variant_best(), stream, first, count, out);
}

void random_signs_fill(const struct random_stream *stream, int t, int count, float *signs) {
    uint64_t words = ((uint64_t)count + 31) / 32, first = (uint64_t)t * words;
    uint32_t bits = 0;
    for (int i = 0; i < count; i++) {
        bits = i % 32 == 0 ? random_bits(stream, first + (uint64_t)i / 32) : bits >> 1;
        signs[i] = bits & 1 ? 1.0f : -1.0f;
    }
}
