/*
 * Kernels: the arithmetic that costs time, one file an instruction set, one shape of loop shared by all (body.h).
 *
 * Layout. A "source row" is what drives the network at one step in one trial: [.. x_t (I) | 1 if bias | z_{t-1} (N)
 * ..], with the z part at an offset that is a multiple of 16 floats, so 64-byte aligned, and x right-aligned before it,
 * so that the recurrent product, the input and the bias are one product over contiguous sources, and so is the outer
 * product of the gradient. Units are the vector dimension, padded to 16; trials are grouped in blocks of up to 8, the
 * unit of reduction. The matrix of a product is packed once an iteration into panels [panel][source][16 * vectors of
 * the panel] of the kernel's tile width.
 *
 * Same bits everywhere. Every element is accumulated over sources (product) or over the rows of a fixed block of time
 * (outer product) in one order with explicit fused multiply-adds, and horizontal sums use 16 virtual lanes and a fixed
 * tree, so portable, AVX2 and AVX-512 agree bit for bit, whatever tile a row fell into. The portable file is the
 * authority.
 *
 * Rejected: trials as the vector dimension (no padding, but batch 1 would waste 15 lanes of 16, and the gradient's
 * accumulators would be 16 times larger than the level-2 cache likes).
 */
#ifndef MODPROP_CORE_KERNELS_H
#define MODPROP_CORE_KERNELS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/neuron.h"
#include "core/base/seams.h"

#define LANES 16       /* floats of a virtual vector; units are padded to a multiple */
#define BLOCK_TRIALS 8 /* trials of a block, the unit of reduction */
#define TIME_BLOCK 64
#define PANEL_VECTORS_MOST 3
#define TRACE_MODES_MOST 3
#define OUTER_ROWS_MOST (TIME_BLOCK * BLOCK_TRIALS) /* of a sparse outer product */

/* n rounded up to whole vectors. */
static inline int lanes_pad(int n) {
    return (n + LANES - 1) / LANES * LANES;
}

/* What happens to a finished product h = rows * matrix while it is still in registers. */
enum epilogue {
    EPILOGUE_STORE,        /* out = h */
    EPILOGUE_FORWARD,      /* v = leak v + gain h, z_out = f(v) */
    EPILOGUE_CREDIT_PSI,   /* d = a + leak d + psi(z) h, gd = gain d */
    EPILOGUE_CREDIT_MU,    /* d = a + leak d + mu h, gd = gain d */
    EPILOGUE_CREDIT_EXACT, /* m = a + leak m + mu h, gm = gain m; d = a + leak d + psi(z) h, gd = gain d */
    EPILOGUES
};

/* A matrix (sources, columns) in the packed order of the kernels in use. */
struct packed {
    float *data; /* 64-byte aligned */
    int sources; /* rows of the matrix: the terms of each sum */
    int columns; /* padded to LANES */
};

/*
 * One product of up to BLOCK_TRIALS rows with a packed matrix, and what its epilogue reads and writes. Arrays with
 * `columns` entries a row are (rows, columns) with row stride `columns`; z and z_out have row stride z_stride. `a` NULL
 * counts as 0. All 64-byte aligned but `rows_in`.
 */
struct product {
    const float *rows_in; /* (rows, sources) */
    size_t row_stride;
    int rows;
    const struct packed *matrix;
    enum activation activation; /* whose f and psi */
    float *out;                 /* EPILOGUE_STORE */
    const float *leak, *gain;   /* (columns) */
    const float *mu;            /* (columns); EPILOGUE_CREDIT_MU and _EXACT */
    float *v;                   /* forward */
    float *z_out;
    size_t z_stride;
    const float *z; /* credit: z_t, which gives psi_t */
    const float *a;
    float *d, *gd, *m, *gm;
};

/*
 * One step of a neuron model after the product has left the currents u. Arrays are (rows, columns) with row stride
 * `columns`, but z and z_before, which have z_stride; those of units are (columns). 64-byte aligned.
 */
struct neuron_step {
    enum neuron neuron;
    enum activation activation;
    int rows, columns;
    const float *leak, *gain, *rho, *beta;
    struct neuron_constants all;
    const float *u, *z_before;
    float *state[NEURON_STATES_MOST]; /* as many as the model has; the others NULL */
    float *z, *psi;
    size_t z_stride;
};

/* What becomes of credit that has hopped; see struct neuron_inflow in core/model/neuron.h. */
enum hopped {
    HOPPED_NONE,
    HOPPED_THROUGH, /* passes the unit's own derivative */
    HOPPED_PAST,    /* mu has taken it past the derivative */
    HOPPED_EXACT,   /* through, and by mu into the recursion m inside the filter */
    HOPPED_BESIDE,  /* past, and not carried on */
    HOPPED_KINDS
};

/* One reverse step of a neuron model. Layout as above. */
struct neuron_credit {
    enum neuron neuron;
    enum hopped hopped;
    int rows, columns;
    const float *leak, *gain, *rho, *beta;
    const float *psi;
    const float *learning;             /* L_t; NULL: 0 */
    const float *hop;                  /* unless HOPPED_NONE */
    const float *mu;                   /* (columns); of HOPPED_PAST and _BESIDE NULL where the hop has it already */
    float *carry[NEURON_CARRIES_MOST]; /* as many as the model has; the others NULL */
    float *delta;                      /* out */
    float *m, *gm;                     /* HOPPED_EXACT: m_{t+1} in, m_t out; out: gain m_t */
    const float *mu_next;              /* (columns) or NULL */
    float *past_next;                  /* out, where mu_next is given: mu_next gain carry[0], which hops next */
};

/*
 * The synapses of one source onto all units, one step forward in time: traces are replaced, e is the step's eligibility
 * (core/model/neuron.h). Arrays are (columns), 64-byte aligned.
 */
struct neuron_trace {
    enum neuron neuron;
    int columns;
    const float *leak, *gain, *rho, *beta;
    const float *psi_before, *psi;
    float s;
    float *trace[NEURON_TRACES_MOST]; /* as many as the model has; the others NULL */
    float *e;
    float *e_before; /* out: e of the step before; NULL: not wanted */
};

struct kernels {
    const char *name;
    int panel_vectors; /* vectors of a full panel */
    /* Panel number `panel` of a product. */
    void (*product)(enum epilogue epilogue, const struct product *product, int panel);
    /*
     * EPILOGUE_STORE, of terms of the `count` listed sources alone (sources_list). `out` gets the bits that `product`
     * gives, but for the sign of a 0.
     */
    void (*product_listed)(const struct product *product, const int *list, int count, int panel);
    /*
     * total (sources, columns) += sum over `rows` of s (row, sources; stride s_stride) times g (row, columns; stride
     * columns)
     */
    void (*outer)(const float *s, size_t s_stride, const float *g, int rows, int sources, int columns, float *total);
    /*
     * The same where most of s is 0: terms of 0 are left out. g must be finite, rows at most OUTER_ROWS_MOST; total
     * holds no -0, and gets the bits that `outer` gives.
     */
    void (*outer_sparse)(const float *s, size_t s_stride, const float *g, int rows, int sources, int columns,
                         float *total);
    /* The sources that are not 0 in all rows into `list` (sources), ascending; returns how many. */
    int (*sources_list)(int rows, int sources, const float *rows_in, size_t row_stride, int *list);
    /* Whether all of n floats are finite; n a multiple of LANES, x aligned. */
    bool (*finite)(size_t n, const float *x);
    /* d = a + leak d, gd = gain d over (rows, columns); a may be NULL */
    void (*credit_local)(int rows, int columns, const float *leak, const float *gain, const float *a, float *d,
                         float *gd);
    /*
     * e[k] = decay[k] e[k] + gain s_t for t = 0 .. steps-1, k < modes <= TRACE_MODES_MOST: e[k] (rows, columns), s_t
     * (rows, columns) at s + t * step_stride
     */
    void (*trace)(int rows, int columns, int steps, const float *s, size_t step_stride, float gain, int modes,
                  const float *decay, float *const *e);
    /*
     * The same for a complex mode carried as a rotation: (re, im) <- (re, im) rotated and scaled by decay_re + i
     * decay_im, re += gain s_t
     */
    void (*trace_rotation)(int rows, int columns, int steps, const float *s, size_t step_stride, float gain,
                           float decay_re, float decay_im, float *re, float *im);
    /* y (rows, outputs) = z Wout + bout, Wout given transposed (outputs, columns) */
    void (*readout)(int rows, int columns, int outputs, const float *z, size_t z_stride, const float *wout_t,
                    const float *bout, float *y);
    /* a (rows, columns) = psi(z) * (err F), F (outputs, columns) */
    void (*learning_signal)(int rows, int columns, int outputs, enum activation activation, const float *z,
                            size_t z_stride, const float *err, const float *feedback, float *a);
    void (*neuron_step)(const struct neuron_step *step);
    void (*neuron_credit)(const struct neuron_credit *credit);
    void (*neuron_trace)(const struct neuron_trace *trace);
    /* total += scale * x over n floats, a multiple of LANES */
    void (*multiply_add)(int n, const float *scale, const float *x, float *total);
    /* L (rows, columns) = err F + more (columns, may be NULL); a = psi * L, psi (rows, columns); err NULL counts as 0
     */
    void (*learning)(int rows, int columns, int outputs, const float *err, const float *feedback, const float *more,
                     const float *psi, float *L, float *a);
    /* out (rows, columns) = keep * before + take * z, z with z_stride: a leaky readout's filtered rates */
    void (*filter_rows)(int rows, int columns, float keep, float take, const float *z, size_t z_stride,
                        const float *before, float *out);
    /* total (outputs, columns) += err^T z */
    void (*readout_gradient)(int rows, int columns, int outputs, const float *z, size_t z_stride, const float *err,
                             float *total);
    /* sums (columns) += sum over rows of psi(z) */
    void (*psi_sum)(int rows, int columns, enum activation activation, const float *z, size_t z_stride, float *sums);
    /* y = scale * x over n floats, a multiple of LANES; scale is (columns) repeated for each row */
    void (*scale_rows)(int rows, int columns, const float *scale, const float *x, float *y);
    /* y = f(x) over n floats, a multiple of LANES: the tanh of the forward epilogue, for tests */
    void (*tanh_rows)(int n, const float *x, float *y);
    /* total += x over n floats, a multiple of LANES */
    void (*accumulate)(size_t n, const float *x, float *total);
    /*
     * Fused multiply-adds that wait for nothing, to measure the benchmark's peak: returns a value that depends on all
     * of them; counts 2 flops each.
     */
    float (*peak)(long rounds, double *flops);
};

extern const struct kernels kernels_portable;
#ifdef MODPROP_KERNELS_X86
extern const struct kernels kernels_avx2, kernels_avx512;
#endif
#ifdef MODPROP_KERNELS_ARM64
extern const struct kernels kernels_neon;
#endif

/* The kernels that kernels_select (select.h) chose; the host's best if it was not called. */
const struct kernels *kernels_current(void);
/* Entry i of the list of kernels that this host can run, best first; NULL at its end. */
const struct kernels *kernels_listed(int i);

/* Panels of a packed matrix and, of one panel, its first vector and its number of vectors: as equal as can be. */
int packed_panels(const struct kernels *kernels, int columns);
void packed_panel(int vectors, int panels, int panel, int *first, int *count);
/*
 * Packs rows first_source .. first_source+count-1 from a row-major matrix (count, n) with row stride `stride`; columns
 * n..columns-1 become 0. `transposed`: the matrix is given as (n, count), entry (source, column) at column * stride +
 * source.
 */
void packed_fill(const struct kernels *kernels, struct packed *packed, int first_source, int count, const float *matrix,
                 size_t stride, int n, bool transposed);
/* The whole product, all panels. */
void product_run(const struct kernels *kernels, enum epilogue epilogue, const struct product *product);

#endif
