/*
 * The modes of the filter between types: where all leaks are equal, the filter of ModProp with type averages is a sum
 * of C exponentials, which method_traces.c and method_synapses.c carry forward in time.
 *
 *     D w = V diag(sigma) V^-1          with a list of mu, one a type, D Mu w; of a model whose mu is the source's D w
 * Mu lambda_k = leak + mu gain sigma_k
 *
 * P is the (N,C) indicator of types, D = diag(n) the units in each, w the averages. V^-1 A of a signal A by type is
 * what reaches mode k; what comes back from it to a unit of type g is `spread`: V[g,k] / n_g where credit hops by mu,
 * and gain (w V)[g,k] where the first hop is exact.
 *
 * An ill-conditioned V would cancel away float32's digits: CONDITION_MOST bounds |V|_1 |V^-1|_1, beyond it the engine
 * uses the reverse recursion. With updates within a trial there is none: the bound is CONDITION_ONLINE, which costs a
 * per cent of a gradient at most, and beyond it credit stays in the cell (e-prop's) until the next update.
 *
 * Updates within a trial: traces go on and modes are made anew. Which trace is whose is by order, largest real part
 * first, and where two real modes have become a pair, or a pair two, recast keeps what they carried: seen as complex
 * numbers, a pair's traces are re + i im and re - i im.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/eigen.h"
#include "core/base/inverse.h"
#include "core/base/size.h"
#include "core/engine/internal.h"

#define CONDITION_MOST 300.0
#define CONDITION_ONLINE 1e5

/* Largest real part first; of one real part, the larger imaginary one. */
static int mode_compare(const void *a, const void *b) {
    const struct mode *x = a, *y = b;
    if (x->decay_re != y->decay_re) {
        return x->decay_re > y->decay_re ? -1 : 1;
    }
    return x->decay_im != y->decay_im ? (x->decay_im > y->decay_im ? -1 : 1) : x->vector - y->vector;
}

static bool is_online(const struct engine *engine) {
    return engine->options.update_every > 0;
}

static void modes_make(struct engine *engine, const double *re, const double *im) {
    int types = engine->network->types;
    /* a list of mu is in the eigenvalues already */
    double leak = engine->network->leak_exact[0], mu = engine->rule.mu_of.values ? 1 : (double)engine->mu_shared,
           step = mu * engine->network->gain_exact[0];
    engine->mode_count = 0;
    engine->trace_count = 1;
    for (int k = 0; k < types; k++) {
        bool pair = im[k] != 0;
        engine->modes[engine->mode_count++] = (struct mode){.pair = pair,
                                                            .decay_re = (float)(leak + step * re[k]),
                                                            .decay_im = pair ? (float)(step * im[k]) : 0.0f,
                                                            .vector = k};
        k += pair;
    }
    if (is_online(engine)) {
        qsort(engine->modes, (size_t)engine->mode_count, sizeof *engine->modes, mode_compare);
    }
    for (int i = 0; i < engine->mode_count; i++) {
        engine->modes[i].trace = engine->trace_count;
        engine->trace_count += 1 + engine->modes[i].pair;
    }
}

/* What a unit of type g gets of mode k. */
static void spread_fill(struct engine *engine) {
    const struct network *network = engine->network;
    int types = network->types;
    for (int g = 0; g < types; g++) {
        for (int k = 0; k < types; k++) {
            double sum = 0;
            for (int h = 0; engine->form == FORWARD_MODES_EXACT && h < types; h++) {
                sum += engine->averages[g * types + h] * engine->vectors[h * types + k];
            }
            engine->spread[g * types + k] = (float)(engine->form == FORWARD_MODES_EXACT
                                                        ? network->gain_exact[0] * sum
                                                        : engine->vectors[g * types + k] / network->type_size[g]);
        }
    }
}

/* D w, with a list of mu by its place. */
static bool operator_fill(const struct engine *engine, double *matrix) {
    const struct network *network = engine->network;
    const double *mu_of = engine->rule.mu_of.values;
    int types = network->types;
    for (int g = 0; g < types; g++) {
        for (int h = 0; h < types; h++) {
            double mu = mu_of ? mu_of[engine->neuron->mu_at_source ? h : g] : 1;
            matrix[g * types + h] = network->type_size[g] * engine->averages[g * types + h] * mu;
            if (!isfinite(matrix[g * types + h])) {
                return false;
            }
        }
    }
    return true;
}

/* The modes; traces_good says whether they can be used. */
static void modes_compute(struct engine *engine) {
    int types = engine->network->types;
    double *matrix = engine->type_scratch, *copy = matrix + types * types, *re = copy + types * types, *im = re + types;
    engine->traces_good = false;
    if (!operator_fill(engine, matrix) ||
        eigen_decompose(types, matrix, engine->eigen_scratch, engine->work, re, im, engine->vectors) != 0) {
        return;
    }
    memcpy(copy, engine->vectors, (size_t)types * (size_t)types * sizeof *copy);
    if (!matrix_invert(types, copy, matrix, engine->work)) {
        return;
    }
    double condition = matrix_norm(types, engine->vectors) * matrix_norm(types, matrix);
    for (int g = 0; g < types; g++) {
        for (int k = 0; k < types; k++) {
            engine->inverse_t[g * types + k] = matrix[k * types + g];
        }
    }
    engine->traces_good = condition <= (is_online(engine) ? CONDITION_ONLINE : CONDITION_MOST);
    if (engine->traces_good || !is_online(engine)) {
        modes_make(engine, re, im);
        spread_fill(engine);
    }
}

/* ---- from one state of the weights to the next ---- */

enum kind { KIND_REAL, KIND_PAIR, KIND_SECOND };

static void kinds_fill(const struct engine *engine, unsigned char *kinds) {
    memset(kinds, KIND_REAL, (size_t)engine->network->types);
    for (int i = 0; i < engine->mode_count; i++) {
        const struct mode *mode = &engine->modes[i];
        if (mode->pair) {
            kinds[mode->trace - 1] = KIND_PAIR;
            kinds[mode->trace] = KIND_SECOND;
        }
    }
}

/* Trace i as a complex number, of the kinds that were. */
static void kind_read(const unsigned char *kinds, const float *values, int i, float *re, float *im) {
    *re = values[kinds[i] == KIND_SECOND ? i - 1 : i];
    *im = kinds[i] == KIND_PAIR ? values[i + 1] : kinds[i] == KIND_SECOND ? -values[i] : 0.0f;
}

void modes_recast(const struct engine *engine, size_t size, float *traces) {
    const int types = engine->network->types;
    const unsigned char *now = engine->kinds, *before = now + types;
    float *values = engine->kind_values;
    if (engine->mode_count == 0) {
        memset(traces, 0, (size_t)types * size * sizeof *traces);
        return;
    }
    for (size_t at = 0; at < size; at++) {
        for (int i = 0; i < types; i++) {
            values[i] = traces[(size_t)i * size + at];
        }
        for (int i = 0; i < types; i++) {
            float re, im, next_re, next_im;
            kind_read(before, values, i, &re, &im);
            if (now[i] == KIND_PAIR) {
                kind_read(before, values, i + 1, &next_re, &next_im);
                traces[(size_t)i * size + at] = 0.5f * (re + next_re);
                traces[(size_t)(i + 1) * size + at] = 0.5f * (im - next_im);
            } else if (now[i] == KIND_REAL) {
                traces[(size_t)i * size + at] = re;
            }
        }
    }
}

/* After an update within a trial, where what the traces are has changed. */
static void modes_carry_on(struct engine *engine, void (*recast)(struct engine *engine, struct block *block)) {
    const int types = engine->network->types;
    memcpy(engine->kinds + types, engine->kinds, (size_t)types);
    kinds_fill(engine, engine->kinds);
    bool same = engine->mode_count > 0 && memcmp(engine->kinds, engine->kinds + types, (size_t)types) == 0;
    for (int b = 0; !same && b < engine->block_count; b++) {
        recast(engine, &engine->blocks[b]);
    }
}

/* ---- for the methods ---- */

bool forms_modes(enum forward_form form) {
    return form == FORWARD_MODES || form == FORWARD_MODES_EXACT;
}

bool engine_modes_prepare(struct engine *engine, void (*recast)(struct engine *engine, struct block *block)) {
    if (engine->traces_stale) {
        engine->mode_count = 0;
        engine->trace_count = 1;
        engine->traces_good = true;
        if (forms_modes(engine->form)) {
            modes_compute(engine);
        }
        engine->traces_stale = engine->work && engine->work->stopped;
        if (engine->kinds && !engine->traces_stale) {
            modes_carry_on(engine, recast);
        }
    }
    return !engine->traces_stale;
}

void modes_carve(struct carver *carver, struct engine *engine) {
    size_t types = (size_t)engine->network->types, square = size_times(types, types);
    engine->modes = carve(carver, types, sizeof *engine->modes);
    engine->vectors = carve(carver, square, sizeof(double));
    engine->inverse_t = carve(carver, square, sizeof(double));
    engine->spread = carve(carver, square, sizeof(float));
    engine->type_scratch = carve(carver, size_plus(square, types), 2 * sizeof(double));
    if (is_online(engine)) {
        engine->kinds = carve(carver, types, 2);
        engine->kind_values = carve(carver, types, sizeof(float));
    }
    size_t scratch = eigen_decompose_scratch_size((int)types);
    engine->eigen_scratch = carve(carver, scratch > 0 ? scratch : SIZE_BEYOND, 1);
}

void modes_carve_block(struct carver *carver, struct engine *engine, struct block *block) {
    size_t rows = (size_t)engine->block_rows, types = (size_t)engine->network->types;
    block->projected = carve(carver, rows * types, sizeof(float));
    block->turned = carve(carver, rows * types, sizeof(float));
    block->sums = carve(carver, types, sizeof(double));
}

void modes_project(struct engine *engine, struct work *work, struct block *block, const float *signals) {
    int types = engine->network->types;
    struct product by_type = {.rows_in = signals,
                              .row_stride = (size_t)engine->columns,
                              .rows = block->rows,
                              .matrix = &engine->hop.gather,
                              .out = block->thin};
    product_run(engine->kernels, EPILOGUE_STORE, &by_type);
    work_add(work, (double)block->rows * engine->network->units * types);
    for (int row = 0; row < block->rows && !work_add(work, (double)types * types); row++) {
        const float *signal = block->thin + row * engine->type_columns;
        double *sums = block->sums;
        float *y = block->projected + row * types, *turned = block->turned + row * types;
        memset(sums, 0, (size_t)types * sizeof *sums);
        for (int g = 0; g < types; g++) {
            for (int k = 0; k < types; k++) {
                sums[k] += engine->inverse_t[g * types + k] * (double)signal[g];
            }
        }
        for (int k = 0; k < types; k++) {
            y[k] = (float)sums[k];
        }
        for (int i = 0; i < engine->mode_count; i++) {
            int k = engine->modes[i].vector;
            if (engine->modes[i].pair) {
                turned[k] = y[k + 1];
                turned[k + 1] = -y[k];
            }
        }
    }
}
