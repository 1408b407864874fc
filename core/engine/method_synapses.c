/*
 * Synapse traces: rules that go forward in time where a trace belongs to a synapse and not to its source alone, since
 * leaks differ, or the neuron model has more than a filter of the source (rate, alif), or the readout leaks. Every
 * trial keeps (K, N) numbers for each of them. Where traces belong to sources method_traces.c does the same with K.
 *
 * e_t is the eligibility of a synapse as the neuron model makes it of its own traces (core/model/neuron.h). With L_t =
 * err_t F, a_t = psi_t L_t, all of a unit p but e and its filters, which are of a synapse:
 *
 *     eprop                 dW = sum_t L_t e_t
 *     mdgl                  dW = sum_t L_t e_t + ((gain a_t) M^T) e_{t-1}
 *     modprop, exact        dW = sum_t L_t e_t + sum_k (spread y_t)_k E_k,t-1      E_k,t = lambda_k E_k,t-1 + e_t
 *     modprop, mu (rate)    dW = sum_t (L_t - A_t / n) e_t + sum_k (spread y_t)_k P_k,t
 *                                                                       P_k,t = lambda_k P_k,t-1 + gain psi_t s_t
 *
 * where A_t sums by type the signal that hops (a_t; of the rate model L_t), y_t = V^-1 A_t, and lambda, V and spread
 * are those of modes.c. A step's hop reaches the eligibility of the step before, so nothing needs the future. A leaky
 * readout's L_t needs it: there the whole trace is filtered instead, ebar_t = kappa ebar_{t-1} + (1 - kappa) e_t, P_k
 * likewise, and err_t F multiplies that (MATHEMATICS.md); where psi of one step meets the eligibility of another, in
 * mdgl and after an exact hop, no filter of a synapse alone does it, and the method does not apply.
 *
 * A rule that changes the learning signal in time (FORWARD_SIGNAL, membrane) keeps eps alone, and a_t multiplies it.
 */
#include <string.h>

#include "core/base/size.h"
#include "core/engine/internal.h"
#include "core/kernels/activations.h"

/* How a block's (rows, slots, K, columns) traces are divided. */
struct slots {
    int modes;    /* the first of the modes' traces */
    int count;    /* of what a filter of the readout may follow: the eligibility, then the modes */
    int filtered; /* the first filtered one */
    int all;
};

static struct slots slots_of(const struct engine *engine) {
    struct slots slots = {.modes = engine->form == FORWARD_SIGNAL ? 1 : engine->neuron->traces, .count = 1};
    slots.count += forms_modes(engine->form) ? engine->network->types : 0;
    slots.filtered = slots.modes + slots.count - 1;
    slots.all = slots.filtered + (engine->network->readout_leaks ? slots.count : 0);
    return slots;
}

static size_t slot_size(const struct engine *engine) {
    return (size_t)engine->sources * (size_t)engine->columns;
}

static size_t trial_size(const struct engine *engine) {
    return size_times((size_t)slots_of(engine).all, slot_size(engine));
}

static float *row_traces(const struct engine *engine, const struct block *block, int row) {
    return block->traces + (size_t)row * trial_size(engine);
}

/* ---- a signal that the rule changes: eps alone ---- */

/* Advances the traces of one trial by the source row of a step and, with a signal, adds to the gradient. */
static void trial_step(const struct engine *engine, const float *source, float *traces, const float *a, float *total) {
    int columns = engine->columns;
    for (int k = 0; k < engine->sources; k++) {
        float *eps = traces + (size_t)k * (size_t)columns, *to = total + (size_t)k * (size_t)columns, s = source[k];
        for (int c = 0; c < columns; c++) {
            eps[c] = engine->leak[c] * eps[c] + engine->gain[c] * s;
        }
        for (int c = 0; a && c < columns; c++) {
            to[c] += a[c] * eps[c];
        }
    }
}

/* ---- what multiplies the traces at a step with loss ---- */

/* psi_t, where the forward pass has none of its own. */
static void psi_fill(const struct engine *engine, struct block *block, int slot) {
    const float *z = history_z(engine, block, slot);
    float *psi = history_psi(engine, block, slot);
    for (int row = 0; row < block->rows; row++) {
        for (int c = 0; c < engine->columns; c++) {
            psi[row * engine->columns + c] = psi_of(engine->network->activation,
                                                    z[(size_t)row * engine->stride + (size_t)c]);
        }
    }
}

/* h = (gain a_t) M^T. */
static void hop_fill(const struct engine *engine, struct group *group, struct block *block) {
    engine->kernels->scale_rows(block->rows, engine->columns, engine->gain, block->a, block->a_next);
    const struct credit credit = {.kernels = engine->kernels,
                                  .rule = &engine->rule,
                                  .hop = &engine->hop,
                                  .rows = block->rows,
                                  .columns = engine->columns,
                                  .thin = block->thin,
                                  .work = group->work};
    hop_run(&credit, EPILOGUE_STORE, block->a_next, block->h);
}

/* Of one trial: what multiplies e_t (of mu), and each mode's trace. */
static void factors_fill(const struct engine *engine, struct block *block, int row) {
    const struct network *network = engine->network;
    const int types = network->types, columns = engine->columns;
    const float *y = block->projected + row * types, *turned = block->turned + row * types,
                *by_type = block->thin + row * engine->type_columns, *L = block->learning + row * columns;
    for (int p = 0; p < network->units; p++) {
        const int g = network->type_of_unit[p];
        const float *spread = engine->spread + g * types;
        float own = engine->form == FORWARD_MODES ? by_type[g] / (float)network->type_size[g] : 0.0f;
        block->factors[p] = L[p] - own;
        for (int i = 0; i < engine->mode_count; i++) {
            const struct mode *mode = &engine->modes[i];
            const int k = mode->vector;
            float *to = block->factors + (size_t)mode->trace * (size_t)columns + p;
            *to = spread[k] * y[k];
            if (mode->pair) {
                *to += spread[k + 1] * y[k + 1];
                to[columns] = spread[k] * turned[k] + spread[k + 1] * turned[k + 1];
            }
        }
    }
}

/* ---- one step of one trial ---- */

struct trial_row {
    const float *s;                       /* (K) */
    const float *psi_before, *psi;        /* (columns) */
    const float *now;                     /* (columns) multiplies the step's eligibility; NULL: no loss */
    const float *before;                  /* (columns) multiplies that of the step before; NULL: nothing does */
    float *traces, *total, *e, *e_before; /* e: (columns) scratch */
    bool modes;                           /* whether the modes are multiplied by their factors */
};

/* Source k's modes by a step that drives them with `drive`. */
static void modes_advance(const struct engine *engine, const float *drive, float *traces, size_t size) {
    float decay[TRACE_MODES_MOST], *gathered[TRACE_MODES_MOST];
    int count = 0;
    for (int i = 0; i < engine->mode_count; i++) {
        const struct mode *mode = &engine->modes[i];
        float *at = traces + (size_t)(mode->trace - 1) * size;
        if (mode->pair) {
            engine->kernels->trace_rotation(1, engine->columns, 1, drive, 0, 1.0f, mode->decay_re, mode->decay_im, at,
                                            at + size);
            continue;
        }
        decay[count] = mode->decay_re;
        gathered[count++] = at;
        if (count == TRACE_MODES_MOST) {
            engine->kernels->trace(1, engine->columns, 1, drive, 0, 1.0f, count, decay, gathered);
            count = 0;
        }
    }
    if (count > 0) {
        engine->kernels->trace(1, engine->columns, 1, drive, 0, 1.0f, count, decay, gathered);
    }
}

static void modes_add(const struct engine *engine, const struct block *block, const float *traces, size_t size,
                      float *to) {
    for (int i = 1; i < engine->trace_count; i++) {
        engine->kernels->multiply_add(engine->columns, block->factors + (size_t)i * (size_t)engine->columns,
                                      traces + (size_t)(i - 1) * size, to);
    }
}

/* What the readout filters follows what it filters; the filtered ones are multiplied. */
static void filtered_add(const struct engine *engine, const struct block *block, const struct trial_row *row,
                         const struct slots *slots, const float *e, float *own, float *to) {
    const struct kernels *kernels = engine->kernels;
    const float kappa = (float)engine->network->readout_kappa;
    const size_t size = slot_size(engine);
    for (int i = 0; i < slots->count; i++) {
        const float *from = i == 0 ? e : own + (size_t)(slots->modes + i - 1) * size;
        float *filtered = own + (size_t)(slots->filtered + i) * size;
        kernels->filter_rows(1, engine->columns, kappa, 1.0f - kappa, from, 0, filtered, filtered);
        if (row->now && i == 0) {
            kernels->multiply_add(engine->columns, row->now, filtered, to);
        } else if (row->modes) {
            kernels->multiply_add(engine->columns, block->factors + (size_t)i * (size_t)engine->columns, filtered, to);
        }
    }
}

/* Source k: its synapses' traces, and what they add. */
static void source_step(const struct engine *engine, const struct block *block, const struct trial_row *row,
                        const struct slots *slots, int k) {
    const struct kernels *kernels = engine->kernels;
    const size_t size = slot_size(engine), at = (size_t)k * (size_t)engine->columns;
    float *own = row->traces + at, *to = row->total + at;
    const bool exact = engine->form == FORWARD_MODES_EXACT, leaks = engine->network->readout_leaks;
    struct neuron_trace step = {.neuron = engine->network->neuron,
                                .columns = engine->columns,
                                .leak = engine->leak,
                                .gain = engine->gain,
                                .rho = engine->rho ? engine->rho : engine->leak,
                                .beta = engine->beta ? engine->beta : engine->leak,
                                .psi_before = row->psi_before,
                                .psi = row->psi,
                                .s = row->s[k],
                                .e = row->e,
                                .e_before = row->before ? row->e_before : NULL};
    for (int i = 0; i < engine->neuron->traces; i++) {
        step.trace[i] = own + (size_t)i * size;
    }
    kernels->neuron_trace(&step);
    if (row->before) {
        kernels->multiply_add(engine->columns, row->before, row->e_before, to);
    }
    if (exact && row->modes) {
        modes_add(engine, block, own + (size_t)slots->modes * size, size, to);
    }
    if (exact) {
        modes_advance(engine, row->e, own + (size_t)slots->modes * size, size);
    } else if (engine->mode_count > 0) {
        for (int c = 0; c < engine->columns; c++) {
            row->e_before[c] = engine->gain[c] * row->psi[c] * row->s[k]; /* what drives the rate model's traces */
        }
        modes_advance(engine, row->e_before, own + (size_t)slots->modes * size, size);
    }
    if (leaks) {
        filtered_add(engine, block, row, slots, row->e, own, to);
        return;
    }
    if (row->now) {
        kernels->multiply_add(engine->columns, row->now, row->e, to);
    }
    if (!exact && row->modes) {
        modes_add(engine, block, own + (size_t)slots->modes * size, size, to);
    }
}

/* ---- a step of a block ---- */

static void block_step_signal(struct engine *engine, struct group *group, struct block *block, int slot, bool loss) {
    bool live = block_signal(engine, group, block, slot, loss);
    for (int row = 0; row < block->rows; row++) {
        if (work_add(group->work, (live ? 2.0 : 1.0) * engine->sources * engine->network->units)) {
            return;
        }
        const float *source = history_slot(engine, block, slot) + (size_t)row * engine->stride + engine->first_source;
        trial_step(engine, source, row_traces(engine, block, row), live ? block->a + row * engine->columns : NULL,
                   group->total);
    }
}

/* What a step with loss needs beyond L. */
static void signals_prepare(struct engine *engine, struct group *group, struct block *block, int slot) {
    if (engine->fused) {
        engine->kernels->learning(block->rows, engine->columns, engine->network->outputs, block->err, engine->feedback,
                                  NULL, history_psi(engine, block, slot), block->learning, block->a);
    }
    if (engine->form == FORWARD_NEIGHBOUR) {
        hop_fill(engine, group, block);
    } else if (engine->mode_count > 0) {
        modes_project(engine, group->work, block, engine->form == FORWARD_MODES ? block->learning : block->a);
    }
}

static void block_step_own(struct engine *engine, struct group *group, struct block *block, int slot, bool loss) {
    const struct slots slots = slots_of(engine);
    if (engine->fused) {
        psi_fill(engine, block, slot);
    }
    if (loss) {
        signals_prepare(engine, group, block, slot);
    }
    const double each = (double)engine->sources * engine->network->units * (loss ? 2 : 1) * slots.all;
    const bool modes = loss && engine->mode_count > 0;
    for (int r = 0; r < block->rows && !work_add(group->work, each); r++) {
        const size_t at = (size_t)r * (size_t)engine->columns;
        if (modes) {
            factors_fill(engine, block, r);
        }
        const struct trial_row row = {.s = history_slot(engine, block, slot) + (size_t)r * engine->stride +
                                           engine->first_source,
                                      .psi_before = history_psi(engine, block, slot - 1) + at,
                                      .psi = history_psi(engine, block, slot) + at,
                                      .now = !loss   ? NULL
                                             : modes ? block->factors
                                                     : block->learning + at,
                                      .before = loss && engine->form == FORWARD_NEIGHBOUR ? block->h + at : NULL,
                                      .traces = row_traces(engine, block, r),
                                      .total = group->total,
                                      .e = block->e,
                                      .e_before = block->e + engine->columns,
                                      .modes = modes};
        for (int k = 0; k < engine->sources; k++) {
            source_step(engine, block, &row, &slots, k);
        }
    }
}

static void block_step(struct engine *engine, struct group *group, struct block *block, int t, int slot) {
    bool loss = block_loss(engine, group, block, t, slot);
    if (loss) {
        block_learning(engine, group, block, slot);
    }
    if (engine->form == FORWARD_SIGNAL) {
        block_step_signal(engine, group, block, slot, loss);
    } else {
        block_step_own(engine, group, block, slot, loss);
    }
}

static void block_traces_reset(struct engine *engine, struct block *block) {
    block_signal_reset(engine, block);
    memset(block->traces, 0, (size_t)engine->block_rows * trial_size(engine) * sizeof(float));
}

static void blocks_run_synapses(struct engine *engine, int first_group, int last_group) {
    blocks_run_steps(engine, first_group, last_group, block_traces_reset, block_step, &engine->phases.credit);
}

/* ---- the method ---- */

static bool synapses_apply(const struct plan_sizes *s) {
    const bool at_source = neuron_table[s->shape.neuron]->mu_at_source;
    if (s->rate_cost) {
        return false;
    }
    switch (s->form) {
    case FORWARD_SIGNAL:
    case FORWARD_ELIGIBILITY:
        return true;
    case FORWARD_NEIGHBOUR:
        return !s->readout_leaks;
    case FORWARD_MODES:
        return s->equal_leaks && at_source;
    case FORWARD_MODES_EXACT:
        return s->equal_leaks && !s->readout_leaks;
    default:
        return false;
    }
}

static double synapses_cost(const struct plan_sizes *s) {
    const struct rule_ops *ops = rule_table[s->rule->type];
    double each = s->sources * s->units, more = s->form == FORWARD_SIGNAL ? ops->work(s->rule, &s->shape) : 0,
           modes = forms_modes(s->form) ? s->types : 0,
           slots = neuron_table[s->shape.neuron]->traces + modes + (s->readout_leaks ? 1 + modes : 0);
    if (s->form == FORWARD_NEIGHBOUR) {
        more += hop_cost(s->rule, &s->shape);
    }
    return s->forward + s->trials * slots * each * (s->steps + s->losses) +
           s->trials * s->losses * (more + modes * (s->units + s->types) + 2 * s->units * s->outputs);
}

static void synapses_carve_matrices(struct carver *carver, struct engine *engine) {
    if (forms_modes(engine->form)) {
        modes_carve(carver, engine);
    }
}

static void synapses_carve_block(struct carver *carver, struct engine *engine, struct block *block) {
    size_t rows = (size_t)engine->block_rows, columns = (size_t)engine->columns;
    block->traces = carve(carver, size_times((size_t)engine->block_rows, trial_size(engine)), sizeof(float));
    signal_carve(carver, engine, block);
    if (engine->form == FORWARD_SIGNAL) {
        return;
    }
    if (engine->fused) {
        block->psi = carve(carver, (TIME_BLOCK + 1) * rows, columns * sizeof(float));
        block->learning = carve(carver, rows * columns, sizeof(float));
    }
    block->e = carve(carver, columns, 2 * sizeof(float));
    if (engine->form == FORWARD_NEIGHBOUR) {
        block->a_next = carve(carver, rows * columns, sizeof(float));
        block->h = carve(carver, rows * columns, sizeof(float));
    }
    if (forms_modes(engine->form)) {
        modes_carve_block(carver, engine, block);
        block->factors = carve(carver, (size_t)engine->network->types + 1, columns * sizeof(float));
    }
}

static void synapses_recast(struct engine *engine, struct block *block) {
    const struct slots slots = slots_of(engine);
    const size_t size = slot_size(engine);
    for (int row = 0; row < engine->block_rows; row++) {
        float *traces = row_traces(engine, block, row);
        modes_recast(engine, size, traces + (size_t)slots.modes * size);
        if (engine->network->readout_leaks) {
            modes_recast(engine, size, traces + (size_t)(slots.filtered + 1) * size);
        }
    }
}

const struct method method_synapses = {.name = "synapse traces",
                                       .applies = synapses_apply,
                                       .cost = synapses_cost,
                                       .carve_matrices = synapses_carve_matrices,
                                       .carve_block = synapses_carve_block,
                                       .run = blocks_run_synapses,
                                       .recast = synapses_recast};
