/*
 * The loops of the kernels, written once over a virtual vector of 16 floats. A file of an instruction set defines
 *
 *     vec                         the vector, by value
 *     v_zero() v_set(x) v_load(p) v_loadu(p) v_store(p, a)
 *     v_add(a,b) v_sub(a,b) v_mul(a,b) v_div(a,b) v_max(a,b) v_min(a,b)
 *     v_fma(a,b,c) = a*b + c      rounded once        v_fnma(a,b,c) = c - a*b
 *     v_if_positive(z, a)         a where z > 0, else +0
 *     v_round(a)                  to the nearest integer, ties to even
 *     v_scale2(a, n)              a * 2^n for integral n, |n| <= 126
 *     v_sum(a)                    the 16 lanes by the fixed tree: i with i+8, i+4, i+2, i+1
 *     TILE_ROWS, TILE_VECTORS     the register tile
 *     KERNELS, KERNELS_NAME       the table to define and its name
 *
 * and includes this. Tiles are always_inline functions of constant sizes, so that accumulators live in registers; each
 * is instantiated for (TILE_ROWS, ..., 1) rows and (1 .. TILE_VECTORS) vectors.
 */
#include "core/kernels/kernels.h"

#define INLINE static inline __attribute__((always_inline))

/* ---- activations ---- */

#define KERNEL_VECTORS
#include "core/kernels/activations.h"

#define RATE_CASE(number, name)                                                                                        \
    case ACTIVATION_##number:                                                                                          \
        return name##_rate(v);
#define PSI_CASE(number, name)                                                                                         \
    case ACTIVATION_##number:                                                                                          \
        return name##_psi(z, value);

/* z = f(v) */
INLINE vec v_rate(vec v, const enum activation activation) {
    switch (activation) {
        ACTIVATION_ROWS(RATE_CASE)
    case ACTIVATIONS:
        break;
    }
    return v;
}

/* psi(z) * value */
INLINE vec v_psi(vec z, vec value, const enum activation activation) {
    switch (activation) {
        ACTIVATION_ROWS(PSI_CASE)
    case ACTIVATIONS:
        break;
    }
    return value;
}

/* ---- product ---- */

/* One vector of the result h, at row r (of the product) and column c. */
INLINE void epilogue_apply(const enum epilogue epilogue, const enum activation activation, const struct product *p,
                           int r, int c, vec h) {
    size_t at = (size_t)r * (size_t)p->matrix->columns + (size_t)c, z_at = (size_t)r * p->z_stride + (size_t)c;
    if (epilogue == EPILOGUE_STORE) {
        v_store(p->out + at, h);
        return;
    }
    vec leak = v_load(p->leak + c), gain = v_load(p->gain + c);
    if (epilogue == EPILOGUE_FORWARD) {
        vec v = v_fma(gain, h, v_mul(leak, v_load(p->v + at)));
        v_store(p->v + at, v);
        v_store(p->z_out + z_at, v_rate(v, activation));
        return;
    }
    const bool exact = epilogue == EPILOGUE_CREDIT_EXACT;
    vec through_mu = v_zero(), d;
    if (exact || epilogue == EPILOGUE_CREDIT_MU) {
        through_mu = v_mul(v_load(p->mu + c), h);
    }
    if (epilogue == EPILOGUE_CREDIT_MU) {
        d = v_fma(leak, v_load(p->d + at), through_mu);
    } else {
        d = v_fma(leak, v_load(p->d + at), v_psi(v_load(p->z + z_at), h, activation));
    }
    if (p->a) {
        d = v_add(d, v_load(p->a + at));
    }
    v_store(p->d + at, d);
    v_store(p->gd + at, v_mul(gain, d));
    if (exact) {
        vec m = v_fma(leak, v_load(p->m + at), through_mu);
        if (p->a) {
            m = v_add(m, v_load(p->a + at));
        }
        v_store(p->m + at, m);
        v_store(p->gm + at, v_mul(gain, m));
    }
}

/* As packed_panel, without its division where every panel is one vector. */
INLINE void panel_at(int vectors, int panel, int *first, int *count) {
    if (TILE_VECTORS == 1) {
        *first = panel;
        *count = 1;
    } else {
        packed_panel(vectors, (vectors + TILE_VECTORS - 1) / TILE_VECTORS, panel, first, count);
    }
}

/*
 * What a sum is taken over: all sources or rows, `list` NULL, or the `count` of them that are listed (body_sparse.h).
 * `listed` is a constant where tiles are instantiated, so that a dense loop has nothing of lists.
 */
struct terms {
    const int *list;
    int count;
};

INLINE int term_at(const bool listed, const struct terms terms, int i) {
    return listed ? terms.list[i] : i;
}

/* Rows row .. row+R-1 and V vectors from column c on; panel is (sources, 16 V). */
INLINE void product_tile(const int R, const int V, const enum epilogue epilogue, const enum activation activation,
                         const bool listed, const struct terms terms, const struct product *p, int row, int c,
                         const float *panel) {
    vec sum[TILE_ROWS][TILE_VECTORS];
    const float *in = p->rows_in + (size_t)row * p->row_stride;
    const size_t stride = p->row_stride;
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 3
        for (int v = 0; v < V; v++) {
            sum[r][v] = v_zero();
        }
    for (int i = 0; i < terms.count; i++) {
        const int k = term_at(listed, terms, i);
        vec w[TILE_VECTORS];
#pragma GCC unroll 3
        for (int v = 0; v < V; v++) {
            w[v] = v_load(panel + (size_t)(k * V + v) * LANES);
        }
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) {
            vec x = v_set(in[(size_t)r * stride + (size_t)k]);
#pragma GCC unroll 3
            for (int v = 0; v < V; v++) {
                sum[r][v] = v_fma(x, w[v], sum[r][v]);
            }
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 3
        for (int v = 0; v < V; v++) {
            epilogue_apply(epilogue, activation, p, row + r, c + v * LANES, sum[r][v]);
        }
}

INLINE void product_rows(const int V, const enum epilogue epilogue, const enum activation activation, const bool listed,
                         const struct terms terms, const struct product *p, int c, const float *panel) {
    int row = 0;
    for (; row + TILE_ROWS <= p->rows; row += TILE_ROWS) {
        product_tile(TILE_ROWS, V, epilogue, activation, listed, terms, p, row, c, panel);
    }
    if (TILE_ROWS > 4) {
        for (; row + 4 <= p->rows; row += 4) {
            product_tile(4, V, epilogue, activation, listed, terms, p, row, c, panel);
        }
    }
    for (; row < p->rows; row++) {
        product_tile(1, V, epilogue, activation, listed, terms, p, row, c, panel);
    }
}

INLINE void product_panel(const enum epilogue epilogue, const enum activation activation, const bool listed,
                          const struct terms terms, const struct product *p, int index) {
    int first, count;
    panel_at(p->matrix->columns / LANES, index, &first, &count);
    const float *panel = p->matrix->data + (size_t)first * LANES * (size_t)p->matrix->sources;
    switch (count) {
    case 1:
        product_rows(1, epilogue, activation, listed, terms, p, first * LANES, panel);
        break;
#if TILE_VECTORS >= 2
    case 2:
        product_rows(2, epilogue, activation, listed, terms, p, first * LANES, panel);
        break;
#endif
#if TILE_VECTORS >= 3
    default:
        product_rows(3, epilogue, activation, listed, terms, p, first * LANES, panel);
        break;
#endif
    }
}

/* By a copy of the product, which no store can change: its members are not read again for each row of the epilogue. */
INLINE void product_dense(const enum epilogue epilogue, const enum activation activation, const struct product *p,
                          int panel) {
    const struct packed matrix = *p->matrix;
    struct product copy = *p;
    copy.matrix = &matrix;
    const struct terms all = {NULL, matrix.sources};
    product_panel(epilogue, activation, false, all, &copy, panel);
}

/* Where psi has no part one activation does for all. */
#define PRODUCT_CASE(number, name)                                                                                     \
    case ACTIVATION_##number:                                                                                          \
        product_dense(epilogue, ACTIVATION_##number, p, panel);                                                        \
        break;
INLINE void product_of_activation(const enum epilogue epilogue, const struct product *p, int panel) {
    switch (p->activation) {
        ACTIVATION_ROWS(PRODUCT_CASE)
    case ACTIVATIONS:
        break;
    }
}

static void kernel_product(enum epilogue epilogue, const struct product *p, int panel) {
    switch (epilogue) {
    case EPILOGUE_STORE:
        product_dense(EPILOGUE_STORE, ACTIVATIONS, p, panel);
        break;
    case EPILOGUE_FORWARD:
        product_of_activation(EPILOGUE_FORWARD, p, panel);
        break;
    case EPILOGUE_CREDIT_PSI:
        product_of_activation(EPILOGUE_CREDIT_PSI, p, panel);
        break;
    case EPILOGUE_CREDIT_MU:
        product_dense(EPILOGUE_CREDIT_MU, ACTIVATIONS, p, panel);
        break;
    case EPILOGUE_CREDIT_EXACT:
        product_of_activation(EPILOGUE_CREDIT_EXACT, p, panel);
        break;
    case EPILOGUES:
        break;
    }
}

/* ---- outer product ---- */

INLINE void outer_tile(const int R, const int V, const bool listed, const struct terms rows, const float *s,
                       size_t s_stride, const float *g, size_t columns, float *total) {
    vec sum[TILE_ROWS][TILE_VECTORS];
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 3
        for (int v = 0; v < V; v++) {
            sum[r][v] = v_zero();
        }
    for (int i = 0; i < rows.count; i++) {
        const int row = term_at(listed, rows, i);
        vec w[TILE_VECTORS];
#pragma GCC unroll 3
        for (int v = 0; v < V; v++) {
            w[v] = v_load(g + (size_t)row * columns + (size_t)v * LANES);
        }
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) {
            vec x = v_set(s[(size_t)row * s_stride + (size_t)r]);
#pragma GCC unroll 3
            for (int v = 0; v < V; v++) {
                sum[r][v] = v_fma(x, w[v], sum[r][v]);
            }
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 3
        for (int v = 0; v < V; v++) {
            float *to = total + (size_t)r * columns + (size_t)v * LANES;
            v_store(to, v_add(v_load(to), sum[r][v]));
        }
}

/* All sources, or, where rows are listed, the R sources of the list. */
INLINE void outer_columns(const int R, const int V, const bool listed, const struct terms rows, const float *s,
                          size_t s_stride, const float *g, size_t columns, int sources, float *total) {
    int k = 0;
    if (listed) {
        outer_tile(R, V, true, rows, s, s_stride, g, columns, total);
        return;
    }
    for (; k + TILE_ROWS <= sources; k += TILE_ROWS) {
        outer_tile(TILE_ROWS, V, false, rows, s + k, s_stride, g, columns, total + (size_t)k * columns);
    }
    if (TILE_ROWS > 4) {
        for (; k + 4 <= sources; k += 4) {
            outer_tile(4, V, false, rows, s + k, s_stride, g, columns, total + (size_t)k * columns);
        }
    }
    for (; k < sources; k++) {
        outer_tile(1, V, false, rows, s + k, s_stride, g, columns, total + (size_t)k * columns);
    }
}

INLINE void outer_panels(const int R, const bool listed, const struct terms rows, const float *s, size_t s_stride,
                         const float *g, int sources, int columns, float *total) {
    int vectors = columns / LANES, panels = (vectors + TILE_VECTORS - 1) / TILE_VECTORS;
    for (int panel = 0; panel < panels; panel++) {
        int first, count;
        panel_at(vectors, panel, &first, &count);
        const float *from = g + first * LANES;
        float *to = total + first * LANES;
        if (count == 1) {
            outer_columns(R, 1, listed, rows, s, s_stride, from, (size_t)columns, sources, to);
        }
#if TILE_VECTORS >= 2
        else if (count == 2) {
            outer_columns(R, 2, listed, rows, s, s_stride, from, (size_t)columns, sources, to);
        }
#endif
#if TILE_VECTORS >= 3
        else {
            outer_columns(R, 3, listed, rows, s, s_stride, from, (size_t)columns, sources, to);
        }
#endif
    }
}

static void kernel_outer(const float *s, size_t s_stride, const float *g, int rows, int sources, int columns,
                         float *total) {
    const struct terms all = {NULL, rows};
    outer_panels(0, false, all, s, s_stride, g, sources, columns, total);
}

/* ---- where most sources are 0 ---- */

#include "core/kernels/body_sparse.h"

/* ---- traces ---- */

INLINE void trace_tile(const int R, const int M, int columns, int steps, const float *s, size_t step_stride, float gain,
                       const float *decay, float *const *e, size_t at) {
    vec state[TILE_ROWS][TRACE_MODES_MOST], factor[TRACE_MODES_MOST], g = v_set(gain);
#pragma GCC unroll 3
    for (int m = 0; m < M; m++) {
        factor[m] = v_set(decay[m]);
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 3
        for (int m = 0; m < M; m++) {
            state[r][m] = v_load(e[m] + at + (size_t)(r * columns));
        }
    for (int t = 0; t < steps; t++)
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) {
            vec x = v_mul(g, v_load(s + (size_t)t * step_stride + at + (size_t)(r * columns)));
#pragma GCC unroll 3
            for (int m = 0; m < M; m++) {
                state[r][m] = v_fma(factor[m], state[r][m], x);
            }
        }
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 3
        for (int m = 0; m < M; m++) {
            v_store(e[m] + at + (size_t)(r * columns), state[r][m]);
        }
}

INLINE void trace_modes(const int M, int rows, int columns, int steps, const float *s, size_t step_stride, float gain,
                        const float *decay, float *const *e) {
    int row = 0;
    for (; row + TILE_ROWS <= rows; row += TILE_ROWS) {
        for (int c = 0; c < columns; c += LANES) {
            trace_tile(TILE_ROWS, M, columns, steps, s, step_stride, gain, decay, e, (size_t)(row * columns + c));
        }
    }
    for (; row < rows; row++) {
        for (int c = 0; c < columns; c += LANES) {
            trace_tile(1, M, columns, steps, s, step_stride, gain, decay, e, (size_t)(row * columns + c));
        }
    }
}

static void kernel_trace(int rows, int columns, int steps, const float *s, size_t step_stride, float gain, int modes,
                         const float *decay, float *const *e) {
    if (modes == 1) {
        trace_modes(1, rows, columns, steps, s, step_stride, gain, decay, e);
    } else if (modes == 2) {
        trace_modes(2, rows, columns, steps, s, step_stride, gain, decay, e);
    } else {
        trace_modes(3, rows, columns, steps, s, step_stride, gain, decay, e);
    }
}

static void kernel_trace_rotation(int rows, int columns, int steps, const float *s, size_t step_stride, float gain,
                                  float decay_re, float decay_im, float *re, float *im) {
    vec g = v_set(gain), dr = v_set(decay_re), di = v_set(decay_im);
    for (int at = 0; at < rows * columns; at += LANES) {
        vec x = v_load(re + at), y = v_load(im + at);
        for (int t = 0; t < steps; t++) {
            vec drive = v_mul(g, v_load(s + (size_t)t * step_stride + at));
            vec turned = v_fma(dr, x, v_fnma(di, y, drive));
            y = v_fma(dr, y, v_mul(di, x));
            x = turned;
        }
        v_store(re + at, x);
        v_store(im + at, y);
    }
}

/* ---- neuron models ---- */

#include "core/kernels/body_neurons.h"

/* ---- by element ---- */

static void kernel_credit_local(int rows, int columns, const float *leak, const float *gain, const float *a, float *d,
                                float *gd) {
    for (int r = 0; r < rows; r++) {
        for (int c = 0; c < columns; c += LANES) {
            size_t at = (size_t)(r * columns + c);
            vec credit = v_mul(v_load(leak + c), v_load(d + at));
            if (a) {
                credit = v_add(credit, v_load(a + at));
            }
            v_store(d + at, credit);
            v_store(gd + at, v_mul(v_load(gain + c), credit));
        }
    }
}

static void kernel_readout(int rows, int columns, int outputs, const float *z, size_t z_stride, const float *wout_t,
                           const float *bout, float *y) {
    for (int r = 0; r < rows; r++) {
        for (int o = 0; o < outputs; o++) {
            vec sum = v_zero();
            for (int c = 0; c < columns; c += LANES) {
                sum = v_fma(v_load(z + (size_t)r * z_stride + c), v_load(wout_t + (size_t)o * (size_t)columns + c),
                            sum);
            }
            y[r * outputs + o] = v_sum(sum) + bout[o];
        }
    }
}

INLINE void learning_signal_of(const enum activation activation, int rows, int columns, int outputs, const float *z,
                               size_t z_stride, const float *err, const float *feedback, float *a) {
    for (int r = 0; r < rows; r++) {
        for (int c = 0; c < columns; c += LANES) {
            vec signal = v_zero();
            for (int o = 0; o < outputs; o++) {
                signal = v_fma(v_set(err[r * outputs + o]), v_load(feedback + (size_t)o * (size_t)columns + c), signal);
            }
            v_store(a + (size_t)(r * columns + c), v_psi(v_load(z + (size_t)r * z_stride + c), signal, activation));
        }
    }
}

#define LEARNING_CASE(number, name)                                                                                    \
    case ACTIVATION_##number:                                                                                          \
        learning_signal_of(ACTIVATION_##number, rows, columns, outputs, z, z_stride, err, feedback, a);                \
        break;
static void kernel_learning_signal(int rows, int columns, int outputs, enum activation activation, const float *z,
                                   size_t z_stride, const float *err, const float *feedback, float *a) {
    switch (activation) {
        ACTIVATION_ROWS(LEARNING_CASE)
    case ACTIVATIONS:
        break;
    }
}

static void kernel_readout_gradient(int rows, int columns, int outputs, const float *z, size_t z_stride,
                                    const float *err, float *total) {
    for (int o = 0; o < outputs; o++) {
        for (int c = 0; c < columns; c += LANES) {
            float *to = total + (size_t)o * (size_t)columns + c;
            vec sum = v_load(to);
            for (int r = 0; r < rows; r++) {
                sum = v_fma(v_set(err[r * outputs + o]), v_load(z + (size_t)r * z_stride + c), sum);
            }
            v_store(to, sum);
        }
    }
}

INLINE void psi_sum_of(const enum activation activation, int rows, int columns, const float *z, size_t z_stride,
                       float *sums) {
    for (int c = 0; c < columns; c += LANES) {
        vec sum = v_load(sums + c);
        for (int r = 0; r < rows; r++) {
            sum = v_add(sum, v_psi(v_load(z + (size_t)r * z_stride + c), v_set(1.0f), activation));
        }
        v_store(sums + c, sum);
    }
}

#define PSI_SUM_CASE(number, name)                                                                                     \
    case ACTIVATION_##number:                                                                                          \
        psi_sum_of(ACTIVATION_##number, rows, columns, z, z_stride, sums);                                             \
        break;
static void kernel_psi_sum(int rows, int columns, enum activation activation, const float *z, size_t z_stride,
                           float *sums) {
    switch (activation) {
        ACTIVATION_ROWS(PSI_SUM_CASE)
    case ACTIVATIONS:
        break;
    }
}

static void kernel_scale_rows(int rows, int columns, const float *scale, const float *x, float *y) {
    for (int r = 0; r < rows; r++) {
        for (int c = 0; c < columns; c += LANES) {
            v_store(y + (size_t)(r * columns + c), v_mul(v_load(scale + c), v_load(x + (size_t)(r * columns + c))));
        }
    }
}

static void kernel_tanh_rows(int n, const float *x, float *y) {
    for (int i = 0; i < n; i += LANES) {
        v_store(y + i, v_tanh(v_load(x + i)));
    }
}

static void kernel_accumulate(size_t n, const float *x, float *total) {
    for (size_t i = 0; i < n; i += LANES) {
        v_store(total + i, v_add(v_load(total + i), v_load(x + i)));
    }
}

static float kernel_peak(long rounds, double *flops) {
    vec sum[12], scale = v_set(0.999f), step = v_set(1e-3f);
#pragma GCC unroll 12
    for (int i = 0; i < 12; i++) {
        sum[i] = v_set((float)i);
    }
    for (long k = 0; k < rounds; k++)
#pragma GCC unroll 12
        for (int i = 0; i < 12; i++) {
            sum[i] = v_fma(sum[i], scale, step);
        }
    vec all = v_zero();
#pragma GCC unroll 12
    for (int i = 0; i < 12; i++) {
        all = v_add(all, sum[i]);
    }
    *flops = 2.0 * 12 * LANES * (double)rounds;
    return v_sum(all);
}

const struct kernels KERNELS = {
    .name = KERNELS_NAME,
    .panel_vectors = TILE_VECTORS,
    .product = kernel_product,
    .outer = kernel_outer,
    .sources_list = kernel_sources_list,
    .product_listed = kernel_product_listed,
    .outer_sparse = kernel_outer_sparse,
    .finite = kernel_finite,
    .credit_local = kernel_credit_local,
    .trace = kernel_trace,
    .trace_rotation = kernel_trace_rotation,
    .readout = kernel_readout,
    .learning_signal = kernel_learning_signal,
    .neuron_step = kernel_neuron_step,
    .neuron_credit = kernel_neuron_credit,
    .neuron_trace = kernel_neuron_trace,
    .multiply_add = kernel_multiply_add,
    .learning = kernel_learning,
    .filter_rows = kernel_filter_rows,
    .readout_gradient = kernel_readout_gradient,
    .psi_sum = kernel_psi_sum,
    .scale_rows = kernel_scale_rows,
    .tanh_rows = kernel_tanh_rows,
    .accumulate = kernel_accumulate,
    .peak = kernel_peak,
};
