/*
 * Where most sources are 0, as the spikes of a step: terms of 0 are left out, and the bits are those of the whole sum
 * (body.h, which includes this).
 *
 * A term of 0 times a finite number is 0, and adding 0 changes no sum but one of -0, which may become +0. A sum begins
 * at +0 and becomes -0 only where a product that is not 0 is too small for a float, so only the sign of a zero can
 * differ. Of a current nothing depends on it (v is compared with a level, and adds to what is not 0); and a gradient's
 * total, to which sums are added, begins at +0 and stays there. 0 times infinity is no number, so all of this is for
 * finite weights and factors: the caller asks kernel_finite first, and takes the whole sum otherwise.
 */
#include <stdint.h>
#include <string.h>

#define SIGN_OFF 0x7fffffff7fffffffu

/* The bits of `count` floats, signs off, or-ed: 0 where all are 0. */
INLINE uint64_t bits_any(const int count, const float *x) {
    uint64_t any = 0;
    for (int i = 0; i + 2 <= count; i += 2) {
        uint64_t two;
        memcpy(&two, x + i, sizeof two);
        any |= two;
    }
    if (count % 2 != 0) {
        uint32_t one;
        memcpy(&one, x + count - 1, sizeof one);
        any |= one;
    }
    return any & SIGN_OFF;
}

enum { LISTED_AT_ONCE = 64 };

static int kernel_sources_list(int rows, int sources, const float *rows_in, size_t row_stride, int *list) {
    int count = 0;
    for (int from = 0; from < sources; from += LISTED_AT_ONCE) {
        const int here = sources - from < LISTED_AT_ONCE ? sources - from : LISTED_AT_ONCE;
        uint32_t any[LISTED_AT_ONCE] = {0}, bits[LISTED_AT_ONCE] = {0};
        for (int r = 0; r < rows; r++) {
            memcpy(bits, rows_in + (size_t)r * row_stride + (size_t)from, (size_t)here * sizeof *bits);
            for (int i = 0; i < LISTED_AT_ONCE; i++) {
                any[i] |= bits[i]; /* those beyond `here` stay 0 */
            }
        }
        for (int i = 0; i < here; i++) {
            list[count] = from + i;
            count += (any[i] << 1) != 0;
        }
    }
    return count;
}

static void kernel_product_listed(const struct product *p, const int *list, int count, int panel) {
    const struct terms some = {list, count};
    product_panel(EPILOGUE_STORE, ACTIVATIONS, true, some, p, panel);
}

/* 0 times each: not a number where one is infinite or none. */
static bool kernel_finite(size_t n, const float *x) {
    vec sum[4], zero = v_zero();
    for (int i = 0; i < 4; i++) {
        sum[i] = v_zero();
    }
    for (size_t at = 0, i = 0; at < n; at += LANES, i = (i + 1) % 4) {
        sum[i] = v_fma(v_load(x + at), zero, sum[i]);
    }
    return v_sum(v_add(v_add(sum[0], sum[1]), v_add(sum[2], sum[3]))) == 0.0f;
}

/* R sources from s on, of the rows in which one of them is not 0. */
INLINE void outer_sources(const int R, const float *s, size_t s_stride, const float *g, int rows, int columns,
                          float *total) {
    int list[OUTER_ROWS_MOST], count = 0;
    for (int row = 0; row < rows; row++) {
        list[count] = row;
        count += bits_any(R, s + (size_t)row * s_stride) != 0;
    }
    if (count == 0) {
        return; /* total + 0, which is total: it is never -0 */
    }
    const struct terms some = {list, count};
    outer_panels(R, true, some, s, s_stride, g, R, columns, total);
}

static void kernel_outer_sparse(const float *s, size_t s_stride, const float *g, int rows, int sources, int columns,
                                float *total) {
    int k = 0;
    for (; k + TILE_ROWS <= sources; k += TILE_ROWS) {
        outer_sources(TILE_ROWS, s + k, s_stride, g, rows, columns, total + (size_t)k * (size_t)columns);
    }
    for (; k < sources; k++) {
        outer_sources(1, s + k, s_stride, g, rows, columns, total + (size_t)k * (size_t)columns);
    }
}
