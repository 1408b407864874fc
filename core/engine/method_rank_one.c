/*
 * The rank-one estimate of the sensitivities (UORO, Tallec and Ollivier 2018). Every trial keeps r, (N), and B, (K, N),
 * whose product r_k B[s,p] stands for dv_k / d(weight from source s to unit p). With D_t the state Jacobian,
 *     D[k,m] = leak_k [k = m] + gain_k psi_{m,t-1} W[m,k],      Mbar_t[s,p] = nu_p gain_p s_t,
 * and a vector nu of signs a step and trial,
 *     r <- p0 D r + p1 nu,    B <- B / p0 + Mbar / p1,
 *     p0 = sqrt((|B| + e) / (|D r| + e)),   p1 = sqrt((|Mbar| + e) / (sqrt(N) + e)),   e = 1e-7,
 * norms Euclidean over all entries, and a step with loss adds (a_t . r) B. The factors keep the two terms of each
 * product alike in size, which makes the variance least; the mean over nu does not depend on them.
 *
 * Every pair is in B, absent synapses and autapses too. Norms and factors are in double, r and B in float32.
 */
#include <math.h>
#include <string.h>

#include "core/base/size.h"
#include "core/engine/internal.h"
#include "core/kernels/activations.h"

#define SMALL 1e-7

static size_t estimate_size(const struct engine *engine) {
    return (size_t)engine->sources * (size_t)engine->columns;
}

/* h = W^T (psi r) for all rows, by the forward pass's packed weights: inputs and bias count as 0. */
static void jacobian_hop(struct engine *engine, struct work *work, struct block *block, int slot) {
    struct rank_one *one = &block->rank_one;
    for (int row = 0; row < block->rows; row++) {
        const float *z = history_slot(engine, block, slot) + (size_t)row * engine->stride + engine->z_offset;
        float *to = one->sources + (size_t)row * engine->stride + engine->z_offset;
        for (int m = 0; m < engine->network->units; m++) {
            to[m] = psi_of(engine->network->activation, z[m]) * one->r[row * engine->columns + m];
        }
    }
    struct product product = {.rows_in = one->sources + engine->first_source,
                              .row_stride = engine->stride,
                              .rows = block->rows,
                              .matrix = &engine->weights,
                              .out = one->h};
    product_run(engine->kernels, EPILOGUE_STORE, &product);
    work_add(work, (double)block->rows * engine->sources * engine->network->units);
}

static double norm_of(const float *values, int count) {
    double sum = 0;
    for (int i = 0; i < count; i++) {
        sum += (double)values[i] * (double)values[i];
    }
    return sqrt(sum);
}

/* One trial's r and B; h is W^T (psi r). */
static void estimate_step(struct engine *engine, struct block *block, int row, const float *source) {
    struct rank_one *one = &block->rank_one;
    int n = engine->network->units, columns = engine->columns;
    float *r = one->r + row * columns, *h = one->h + row * columns, *nu = one->signs;
    double gains = 0, norm = 0;
    for (int k = 0; k < n; k++) {
        h[k] = engine->leak[k] * r[k] + engine->gain[k] * h[k];
        gains += (double)engine->gain[k] * (double)engine->gain[k] * (double)nu[k] * (double)nu[k];
    }
    double p0 = sqrt((sqrt(one->norm[row]) + SMALL) / (norm_of(h, n) + SMALL)),
           p1 = sqrt((norm_of(source, engine->sources) * sqrt(gains) + SMALL) / (norm_of(nu, n) + SMALL));
    for (int k = 0; k < n; k++) {
        r[k] = (float)(p0 * (double)h[k] + p1 * (double)nu[k]);
        nu[k] = (float)((double)(engine->gain[k] * nu[k]) / p1);
    }
    float keep = (float)(1 / p0);
    for (int s = 0; s < engine->sources; s++) {
        float *B = one->B + (size_t)row * estimate_size(engine) + (size_t)s * (size_t)columns;
        float sum[LANES] = {0};
        for (int p = 0; p < columns; p += LANES) {
            for (int lane = 0; lane < LANES; lane++) {
                B[p + lane] = B[p + lane] * keep + source[s] * nu[p + lane];
                sum[lane] += B[p + lane] * B[p + lane];
            }
        }
        for (int lane = 0; lane < LANES; lane++) {
            norm += (double)sum[lane];
        }
    }
    one->norm[row] = norm;
}

/* total += (a . r) B */
static void estimate_gradient(const struct engine *engine, struct group *group, const struct block *block, int row) {
    const struct rank_one *one = &block->rank_one;
    const float *a = block->a + row * engine->columns, *r = one->r + row * engine->columns,
                *B = one->B + (size_t)row * estimate_size(engine);
    double dot = 0;
    for (int k = 0; k < engine->network->units; k++) {
        dot += (double)a[k] * (double)r[k];
    }
    float factor = (float)dot;
    for (size_t i = 0; i < estimate_size(engine); i++) {
        group->total[i] += factor * B[i];
    }
}

static void block_step(struct engine *engine, struct group *group, struct block *block, int t, int slot) {
    int n = engine->network->units;
    double each = (double)engine->sources * n;
    jacobian_hop(engine, group->work, block, slot);
    for (int row = 0; row < block->rows && !work_add(group->work, 2 * each); row++) {
        engine->source->signs(engine->source->user, (size_t)block->first + (size_t)row, t, n, block->rank_one.signs);
        const float *source = history_slot(engine, block, slot) + (size_t)row * engine->stride + engine->first_source;
        estimate_step(engine, block, row, source);
    }
    if (block_loss(engine, group, block, t, slot)) {
        block_learning(engine, group, block, slot);
        for (int row = 0; row < block->rows && !work_add(group->work, each); row++) {
            estimate_gradient(engine, group, block, row);
        }
    }
}

static void block_estimate_reset(struct engine *engine, struct block *block) {
    struct rank_one *one = &block->rank_one;
    size_t rows = (size_t)engine->block_rows;
    memset(one->r, 0, rows * (size_t)engine->columns * sizeof(float));
    memset(one->signs, 0, (size_t)engine->columns * sizeof(float));
    memset(one->B, 0, rows * estimate_size(engine) * sizeof(float));
    memset(one->norm, 0, sizeof one->norm);
}

static void blocks_run_rank_one(struct engine *engine, int first_group, int last_group) {
    blocks_run_steps(engine, first_group, last_group, block_estimate_reset, block_step, &engine->phases.credit);
}

static bool rank_one_applies(const struct plan_sizes *s) {
    return s->form == FORWARD_RANK_ONE;
}

static double rank_one_cost(const struct plan_sizes *s) {
    return s->forward + s->trials * s->sources * s->units * (3 * s->steps + s->losses);
}

static void rank_one_carve(struct carver *carver, struct engine *engine, struct block *block) {
    size_t rows = (size_t)engine->block_rows, columns = (size_t)engine->columns;
    block->rank_one.sources = carve(carver, rows, engine->stride * sizeof(float));
    block->rank_one.h = carve(carver, rows * columns, sizeof(float));
    block->rank_one.r = carve(carver, rows * columns, sizeof(float));
    block->rank_one.signs = carve(carver, columns, sizeof(float));
    block->rank_one.B = carve(carver, size_times(rows, estimate_size(engine)), sizeof(float));
}

const struct method method_rank_one = {.name = "rank-one estimate",
                                       .applies = rank_one_applies,
                                       .cost = rank_one_cost,
                                       .carve_block = rank_one_carve,
                                       .run = blocks_run_rank_one};
