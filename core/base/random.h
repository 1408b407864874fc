/*
 * Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2,
 * 3", SC 2011).
 *
 * There is no state. A value is named by (seed, purpose, iteration, trial, index); the same name gives the same value
 * on every thread, instruction set and host. key = the seed's two halves; counter = (index / 4, trial, iteration,
 * purpose), and the lane index % 4 of the block. iteration and trial are taken modulo 2^32, index modulo 2^34, except
 * that the upper bits of iteration are folded into the purpose word's upper 24 bits.
 */
#ifndef MODPROP_CORE_RANDOM_H
#define MODPROP_CORE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

enum random_purpose {
    RANDOM_WEIGHTS_W = 1,
    RANDOM_WEIGHTS_WIN,
    RANDOM_WEIGHTS_WOUT,
    RANDOM_MASK,
    RANDOM_TAU,
    RANDOM_FEEDBACK,
    RANDOM_REWIRING,
    RANDOM_TASK, /* drawn once per job: frozen inputs, phases */
    RANDOM_TRAINING_LABEL,
    RANDOM_TRAINING_NOISE,
    RANDOM_EVALUATION_LABEL,
    RANDOM_EVALUATION_NOISE,
    RANDOM_BOOTSTRAP, /* statistics of experiments */
    RANDOM_SIGNS,
    RANDOM_CURRENT,     /* noise on currents in simulations and evaluations */
    RANDOM_DESIGN,      /* points of experiments */
    RANDOM_TYPES,       /* which units are dealt to which type */
    RANDOM_MODULATION,  /* random modulatory weights */
    RANDOM_PERMUTATION, /* shuffled modulatory weights */
    RANDOM_RANK_ONE,    /* the signs of uoro */
    RANDOM_ADAPTATION,  /* time constants of adaptation */
    RANDOM_NEURONS      /* noise on currents of the network itself */
};

struct random_stream {
    uint32_t key[2];
    uint32_t trial, iteration, purpose;
};

void philox4x32_10(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

struct random_stream random_stream_make(uint64_t seed, enum random_purpose purpose, int64_t iteration, size_t trial);
/* The index-th 32 random bits of the stream. */
uint32_t random_bits(const struct random_stream *stream, uint64_t index);
/* Uniform in [0,1), 53 bits, from bits 2*index and 2*index+1. */
double random_uniform(const struct random_stream *stream, uint64_t index);
/* count signs, 1 or -1, of step t, of vectors that are `count` long: one bit each. */
void random_signs_fill(const struct random_stream *stream, int t, int count, float *signs);
/* Uniform integer in [0,n), n >= 1, biased by less than n * 2^-64 (multiply-shift on 64 bits). */
uint64_t random_below(const struct random_stream *stream, uint64_t index, uint64_t n);
/*
 * Standard normal values number first .. first+count-1 of the stream, Box-Muller on float: the block's four words make
 * four values. out[i] for value first + i. The arithmetic is branch-free IEEE single precision from
 * core/base/elementary.h, so every instruction set gives the same bits.
 */
void random_normal_fill(const struct random_stream *stream, uint64_t first, size_t count, float *out);

/*
 * The same arithmetic compiled for several instruction sets; random_normal_fill takes the host's best. For tests: all
 * give the same bits.
 */
enum random_variant { RANDOM_VARIANT_PORTABLE, RANDOM_VARIANT_AVX2, RANDOM_VARIANT_AVX512 };
enum random_variant random_variant_best(void);
void random_normal_fill_with(enum random_variant variant, const struct random_stream *stream, uint64_t first,
                             size_t count, float *out);
/*
 * Standard normal in double for one-off draws (weights): value `index`, Box-Muller in double from
 * core/base/elementary.h.
 */
double random_normal(const struct random_stream *stream, uint64_t index);

#endif
