/*
 * The forward form: for equal leaks the filter of e-prop, and of ModProp with type averages, is a sum of exponentials,
 * so that nothing needs the future.
 *
 * With P the (N,C) indicator of types, D = diag(n) the units in each type and w the type averages,
 *
 *     D w = V diag(sigma) V^-1          (D Mu w, where mu is a list, one a type)
 *     lambda_k = leak + mu gain sigma_k
 *
 * and each source s (z_{t-1}, an input, or 1) keeps
 *
 *     eps_t = leak eps_{t-1} + gain s_t
 *     e_k,t = lambda_k e_k,t-1 + gain s_t
 *
 * With A_t = a_t P,
 *
 *     dW[s,p] = sum_t a_{p,t} eps_t + (1/n_type(p)) sum_t (sum_k V[type(p),k] (V^-1 A_t)_k e_k,t - A_{type(p),t} eps_t)
 *
 * MDGL needs eps of the step before:
 *
 *     dW[s,p] = sum_t a_{p,t} eps_t + eps_{t-1} psi_{p,t-1} ((gain a_t) M^T)_p
 *
 * Complex pairs lambda, conj(lambda) stay in real arithmetic. On the real basis (Re v, Im v) of the pair, with y = V^-1
 * A on that basis, powers of lambda act as rotations [[re, im], [-im, re]], so the pair contributes
 *
 *     e_re (v1 y1 + v2 y2) + e_im (v1 y2 - v2 y1) = v1 (e_re y1 + e_im y2) + v2 (e_re y2 - e_im y1)
 *
 * What follows 1/n_type(p) is the same for all units of a type. So a step with loss costs one outer product, of a_t and
 * eps_t, as in e-prop, and for the rest only sums over time of (C, K) numbers: sum_t y_k,t e_k,t by mode and sum_t
 * A_g,t eps_t by type. V multiplies them once, at the end. Where V is ill-conditioned (modes.c) the engine uses the
 * reverse recursion.
 *
 * Where no step of a TIME_BLOCK carries loss, all its steps are one pass of the traces through registers. Where one
 * does, steps are taken singly and each adds its rows of the eligibility trace to those that wait for an outer product.
 */
#include <string.h>

#include "core/engine/internal.h"

static int mode_traces(enum forward_form form, int types) {
    return form == FORWARD_MODES ? types + 1 : 1;
}

static float *trace_at(const struct engine *engine, const struct block *block, int trace) {
    return block->traces + (size_t)trace * (size_t)engine->block_rows * engine->stride;
}

/* All traces by `steps` steps whose source rows begin at `slot`. */
static void block_traces_advance(struct engine *engine, struct work *work, struct block *block, int slot, int steps) {
    const struct kernels *kernels = engine->kernels;
    const float *s = history_slot(engine, block, slot);
    size_t step_stride = (size_t)engine->block_rows * engine->stride;
    float gain = engine->gain[0], decay[TRACE_MODES_MOST] = {engine->leak[0]},
          *traces[TRACE_MODES_MOST] = {trace_at(engine, block, 0)};
    double each = (double)block->rows * engine->sources * steps;
    int gathered = 1;
    for (int k = 0; k < engine->mode_count; k++) {
        if (work_add(work, each * (engine->modes[k].pair ? 4 : 1))) {
            return;
        }
        const struct mode *mode = &engine->modes[k];
        if (mode->pair) {
            kernels->trace_rotation(block->rows, (int)engine->stride, steps, s, step_stride, gain, mode->decay_re,
                                    mode->decay_im, trace_at(engine, block, mode->trace),
                                    trace_at(engine, block, mode->trace + 1));
            continue;
        }
        if (gathered == TRACE_MODES_MOST) {
            kernels->trace(block->rows, (int)engine->stride, steps, s, step_stride, gain, gathered, decay, traces);
            gathered = 0;
        }
        decay[gathered] = mode->decay_re;
        traces[gathered++] = trace_at(engine, block, mode->trace);
    }
    if (gathered > 0) {
        work_add(work, each);
        kernels->trace(block->rows, (int)engine->stride, steps, s, step_stride, gain, gathered, decay, traces);
    }
}

static void pending_flush(struct engine *engine, struct group *group, struct pending *pending) {
    if (pending->rows > 0) {
        outer_run(engine, group->work, pending->s + engine->first_source, engine->stride, pending->g, pending->rows,
                  engine->sources, engine->columns, false, group->total);
    }
    pending->rows = 0;
}

/* Makes room for one block of rows of trace `trace` (copied) and returns where its factors (rows, columns) go. */
static float *pending_add(struct engine *engine, struct group *group, struct block *block, const float *trace) {
    struct pending *pending = &block->pending;
    if (pending->rows + block->rows > pending->capacity) {
        pending_flush(engine, group, pending);
    }
    memcpy(pending->s + (size_t)pending->rows * engine->stride, trace,
           (size_t)block->rows * engine->stride * sizeof(float));
    float *g = pending->g + (size_t)pending->rows * (size_t)engine->columns;
    pending->rows += block->rows;
    return g;
}

/* a_t eps_t: a unit's own part, which every rule with a forward form has. */
static void eligibility_add(struct engine *engine, struct group *group, struct block *block) {
    size_t elements = (size_t)block->rows * (size_t)engine->columns;
    memcpy(pending_add(engine, group, block, trace_at(engine, block, 0)), block->a, elements * sizeof(float));
}

static void mdgl_add(struct engine *engine, struct group *group, struct block *block, int slot) {
    size_t elements = (size_t)block->rows * (size_t)engine->columns;
    engine->kernels->scale_rows(block->rows, engine->columns, engine->gain, block->a, block->a_next);
    float *factors = pending_add(engine, group, block, block->eps_before);
    /* psi_{t-1} from z_{t-1}, which is in the source row of step t; d is 0, so the credit is psi times the hop */
    memset(block->d, 0, elements * sizeof(float));
    struct credit credit = {.kernels = engine->kernels,
                            .rule = &engine->rule,
                            .hop = &engine->hop,
                            .activation = engine->network->activation,
                            .leak = engine->leak,
                            .gain = engine->gain,
                            .rows = block->rows,
                            .columns = engine->columns,
                            .z = history_slot(engine, block, slot) + engine->z_offset,
                            .z_stride = engine->stride,
                            .d = block->d,
                            .gd = factors,
                            .thin = block->thin,
                            .work = group->work};
    if (!engine->fused) {
        credit.neuron = engine->network->neuron;
        credit.rho = engine->rho;
        credit.beta = engine->beta;
        credit.psi = history_psi(engine, block, slot - 1);
        credit.h = block->h;
    }
    hop_run(&credit, EPILOGUE_CREDIT_PSI, block->a_next, NULL);
    memcpy(factors, block->d, elements * sizeof(float));
}

/*
 * A step with loss, beyond a_{p,t} eps_t: the same for all units of a type, so it is summed by mode, (C, K) numbers,
 * and distributed to the units once, in traces_reduce.
 */
static void modprop_add(struct engine *engine, struct group *group, struct block *block) {
    int types = engine->network->types, rows = block->rows, stride = (int)engine->stride;
    modes_project(engine, group->work, block, block->a);
    outer_run(engine, group->work, block->thin, (size_t)engine->type_columns, trace_at(engine, block, 0), rows, types,
              stride, false, group->shared + (size_t)types * engine->stride);
    for (int i = 0; i < engine->mode_count; i++) {
        if (work_add(group->work, (double)rows * engine->sources * (engine->modes[i].pair ? 4 : 1))) {
            return;
        }
        const struct mode *mode = &engine->modes[i];
        float *to = group->shared + (size_t)mode->vector * engine->stride;
        engine->kernels->outer(block->projected + mode->vector, (size_t)types, trace_at(engine, block, mode->trace),
                               rows, 1 + mode->pair, stride, to);
        if (mode->pair) {
            engine->kernels->outer(block->turned + mode->vector, (size_t)types,
                                   trace_at(engine, block, mode->trace + 1), rows, 2, stride, to);
        }
    }
}

/* In float32 within a time block, in double beyond. */
static void shared_fold(struct engine *engine, struct group *group) {
    size_t size = engine->stride;
    for (int row = 0; row < 2 * engine->network->types && !work_add(group->work, (double)size); row++) {
        float *shared = group->shared + (size_t)row * size;
        double *total = group->shared_total + (size_t)row * size;
        for (size_t i = 0; i < size; i++) {
            total[i] += (double)shared[i];
        }
        memset(shared, 0, size * sizeof(float));
    }
}

static void traces_reduce(struct engine *engine, int k, float *row) {
    if (engine->form != FORWARD_MODES) {
        return;
    }
    const struct network *network = engine->network;
    int types = network->types;
    double *share = engine->shares + (size_t)k * (size_t)types;
    size_t at = (size_t)engine->first_source + (size_t)k, stride = engine->stride;
    memset(share, 0, (size_t)types * sizeof *share);
    for (int m = 0; m < types; m++) {
        double mode = 0;
        for (int g = 0; g < engine->group_count; g++) {
            mode += engine->groups[g].shared_total[(size_t)m * stride + at];
            share[m] -= engine->groups[g].shared_total[((size_t)types + (size_t)m) * stride + at];
        }
        for (int type = 0; type < types; type++) {
            share[type] += engine->vectors[type * types + m] * mode;
        }
    }
    for (int p = 0; p < network->units; p++) {
        int type = network->type_of_unit[p];
        row[p] += (float)(share[type] / network->type_size[type]);
    }
}

/* Steps t + from .. t + count - 1 singly; slot 0 is step t. */
static void block_trace_steps(struct engine *engine, struct group *group, struct block *block, int t, int from,
                              int count) {
    for (int i = from; i < count && !group->work->stopped; i++) {
        if (engine->form == FORWARD_NEIGHBOUR) {
            memcpy(block->eps_before, trace_at(engine, block, 0),
                   (size_t)engine->block_rows * engine->stride * sizeof(float));
        }
        block_traces_advance(engine, group->work, block, i, 1);
        bool live = block_loss(engine, group, block, t + i, i);
        if (live) {
            block_learning(engine, group, block, i);
        }
        if (engine->form == FORWARD_SIGNAL) {
            live = block_signal(engine, group, block, i, live);
        }
        if (!live) {
            continue;
        }
        eligibility_add(engine, group, block);
        if (engine->mode_count > 0) {
            modprop_add(engine, group, block);
        } else if (engine->form == FORWARD_NEIGHBOUR) {
            mdgl_add(engine, group, block, i);
        }
    }
}

static void group_traces(struct engine *engine, struct group *group, int t, int count) {
    /* steps before the first that may carry loss are done together */
    int silent = engine->options.mask_from - t;
    silent = silent < 0 ? 0 : silent < count ? silent : count;
    for (int b = group->first; b < group->first + group->count; b++) {
        if (silent > 0) {
            block_traces_advance(engine, group->work, &engine->blocks[b], 0, silent);
        }
        block_trace_steps(engine, group, &engine->blocks[b], t, silent, count);
    }
    if (group->shared && silent < count) {
        shared_fold(engine, group);
    }
}

static void blocks_run_traces(struct engine *engine, int first_group, int last_group) {
    int first, last, steps = engine->to;
    member_blocks(engine, first_group, last_group, &first, &last);
    double since = phase_begin(engine, first_group);
    for (int b = first; b < last && engine->from == 0; b++) {
        block_reset(engine, &engine->blocks[b]);
        block_signal_reset(engine, &engine->blocks[b]);
        memset(engine->blocks[b].traces, 0,
               (size_t)mode_traces(engine->form, engine->network->types) * (size_t)engine->block_rows * engine->stride *
                   sizeof(float));
        engine->blocks[b].pending.rows = 0;
    }
    for (int t = engine->from; t < steps; t += TIME_BLOCK) {
        int count = steps - t < TIME_BLOCK ? steps - t : TIME_BLOCK;
        if (!blocks_forward_ring(engine, first_group, last_group, t, count, &since)) {
            return;
        }
        for (int g = first_group; g < last_group; g++) {
            group_traces(engine, &engine->groups[g], t, count);
        }
        blocks_wrap(engine, first, last, count);
        phase_end(engine, first_group, &since, &engine->phases.credit);
    }
    for (int g = first_group; g < last_group; g++) {
        for (int b = engine->groups[g].first; b < engine->groups[g].first + engine->groups[g].count; b++) {
            pending_flush(engine, &engine->groups[g], &engine->blocks[b].pending);
        }
    }
    phase_end(engine, first_group, &since, &engine->phases.gradient);
}

/* ---- the method ---- */

static bool traces_apply(const struct plan_sizes *s) {
    return s->equal_leaks && s->one_trace && !s->readout_leaks && !s->rate_cost &&
           (s->form == FORWARD_ELIGIBILITY || s->form == FORWARD_NEIGHBOUR || s->form == FORWARD_MODES ||
            s->form == FORWARD_SIGNAL);
}

static double traces_cost(const struct plan_sizes *s) {
    double n = s->units, k = s->sources, types = s->types;
    double outer = s->losses * k * n * (s->form == FORWARD_NEIGHBOUR ? 2 : 1), shared = 0;
    /* sums by mode and by type, and V^-1 A: short rows, which run at about a third of a product's rate */
    if (s->form == FORWARD_MODES) {
        shared = 3 * s->losses * (2 * k * types + types * types);
    }
    double readout = s->losses * 2 * n * s->outputs;
    return s->forward + s->trials * (s->steps * k * mode_traces(s->form, (int)types) + outer + shared +
                                     s->losses * hop_cost(s->rule, &s->shape) + readout);
}

static void traces_carve_matrices(struct carver *carver, struct engine *engine) {
    if (engine->form == FORWARD_MODES) {
        modes_carve(carver, engine);
        engine->shares = carve(carver, (size_t)engine->sources * (size_t)engine->network->types, sizeof(double));
    }
}

static void traces_recast(struct engine *engine, struct block *block) {
    modes_recast(engine, (size_t)engine->block_rows * engine->stride, trace_at(engine, block, 1));
}

static void traces_carve_block(struct carver *carver, struct engine *engine, struct block *block) {
    size_t rows = (size_t)engine->block_rows, columns = (size_t)engine->columns;
    block->traces = carve(carver, (size_t)mode_traces(engine->form, engine->network->types) * rows,
                          engine->stride * sizeof(float));
    block->eps_before = carve(carver, rows, engine->stride * sizeof(float));
    block->d = carve(carver, rows * columns, sizeof(float));
    block->h = engine->fused ? NULL : carve(carver, rows * columns, sizeof(float));
    block->a_next = carve(carver, rows * columns, sizeof(float));
    modes_carve_block(carver, engine, block);
    signal_carve(carver, engine, block);
    block->pending.capacity = TIME_BLOCK * engine->block_rows;
    block->pending.s = carve(carver, (size_t)block->pending.capacity, engine->stride * sizeof(float));
    block->pending.g = carve(carver, (size_t)block->pending.capacity * columns, sizeof(float));
}

static void traces_carve_group(struct carver *carver, struct engine *engine, struct group *group) {
    if (engine->form != FORWARD_MODES) {
        return;
    }
    group->shared = carve(carver, 2 * (size_t)engine->network->types, engine->stride * sizeof(float));
    group->shared_total = carve(carver, 2 * (size_t)engine->network->types, engine->stride * sizeof(double));
}

const struct method method_traces = {.name = "forward traces",
                                     .applies = traces_apply,
                                     .cost = traces_cost,
                                     .carve_matrices = traces_carve_matrices,
                                     .carve_block = traces_carve_block,
                                     .carve_group = traces_carve_group,
                                     .run = blocks_run_traces,
                                     .recast = traces_recast,
                                     .reduce = traces_reduce};
