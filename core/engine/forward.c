/*
 * The forward pass of a member's blocks, side by side, a TIME_BLOCK of steps at a time: every method starts with it.
 * See internal.h.
 *
 * Everything is done a TIME_BLOCK at a time, so that what a phase has written is still in cache for the next. All
 * functions run on the member that owns the blocks; each counts its work there and ends early once the batch is
 * stopped.
 */
#include <string.h>

#include "core/engine/internal.h"

#define SPARSE_MOST 0.75

void block_inputs(struct engine *engine, struct work *work, struct block *block, int from, int to, int slot) {
    double each = (double)(to - from) * engine->network->inputs * engine->options.input_work;
    for (int row = 0; row < block->rows && !work_add(work, each); row++) {
        float *x = history_slot(engine, block, slot) + (size_t)row * engine->stride + engine->first_source;
        engine->source->inputs(engine->source->user, (size_t)block->first + (size_t)row, from, to, x,
                               engine->stride * (size_t)engine->block_rows);
    }
}

enum { LINE = 64 };

void history_prefetch(const struct engine *engine, const struct block *block, int slot, bool write) {
    if (slot < 0 || slot > engine->plan.segment_steps) {
        return;
    }
    const char *at = (const char *)history_slot(engine, block, slot),
               *end = at + (size_t)block->rows * engine->stride * sizeof(float);
    for (; at < end && write; at += LINE) {
        __builtin_prefetch(at, 1, 2);
    }
    for (; at < end; at += LINE) {
        __builtin_prefetch(at, 0, 2);
    }
}

static bool keeps_history(const struct engine *engine) {
    return engine->want_gradient && engine->method == METHOD_REVERSE;
}

/* What turns the currents of a block into z, psi and the state of the step, whose source rows are in `slot`. */
static void block_neurons(struct engine *engine, struct block *block, int slot) {
    size_t size = (size_t)engine->block_rows * (size_t)engine->columns;
    struct neuron_step step = {.neuron = engine->network->neuron,
                               .activation = engine->network->activation,
                               .rows = block->rows,
                               .columns = engine->columns,
                               .leak = engine->leak,
                               .gain = engine->gain,
                               .rho = engine->rho,
                               .beta = engine->beta,
                               .all = engine->network->spiking,
                               .u = block->u,
                               .z_before = history_slot(engine, block, slot) + engine->z_offset,
                               .z = history_slot(engine, block, slot + 1) + engine->z_offset,
                               .psi = engine->want_gradient ? history_psi(engine, block, slot) : NULL,
                               .z_stride = engine->stride};
    for (int i = 0; i < engine->neuron->states; i++) {
        step.state[i] = block->v + (size_t)i * size;
    }
    engine->kernels->neuron_step(&step);
}

/* The end of step t, number i of those being done, beyond the product: unless all of it was the product's epilogue. */
static void block_step_end(struct engine *engine, struct work *work, struct block *block, int t, int slot, int i) {
    const double elements = (double)block->rows * engine->network->units;
    const bool noisy = engine->source->noise != NULL;
    if (work_add(work, elements * ((noisy ? WORK_NORMAL : 0) + (engine->fused ? 0 : NEURON_WORK)))) {
        return;
    }
    if (noisy && engine->fused) {
        block_noise(engine, block, t, slot);
    } else if (noisy) {
        block_noise_currents(engine, block, t);
    }
    if (!engine->fused) {
        block_neurons(engine, block, slot);
    }
    if (engine->network->readout_leaks) {
        const float kappa = (float)engine->network->readout_kappa;
        engine->kernels->filter_rows(block->rows, engine->columns, kappa, 1.0f - kappa, history_z(engine, block, slot),
                                     engine->stride, filtered_at(engine, block, i - 1), filtered_at(engine, block, i));
    }
    if (engine->network->readout_leaks && keeps_history(engine) && t >= engine->options.mask_from) {
        size_t outputs = (size_t)engine->network->outputs;
        engine->kernels->readout(block->rows, engine->columns, (int)outputs, filtered_at(engine, block, i),
                                 (size_t)engine->columns, engine->wout_t, engine->bout,
                                 block->y_kept + (size_t)slot * (size_t)engine->block_rows * outputs);
        work_add(work, elements * (double)outputs);
    }
}

/* The filtered rates of the last of `count` steps become those of the step before the next. */
static void block_filtered_wrap(const struct engine *engine, struct block *block, int count) {
    memcpy(filtered_at(engine, block, -1), filtered_at(engine, block, count - 1),
           (size_t)engine->block_rows * (size_t)engine->columns * sizeof(float));
}

/*
 * Of a model that spikes: the sources that the step in `slot` has, where they are few enough that a list of them pays
 * (PERFORMANCE.md). A list that would be empty holds one source all the same: the product of none is still stored.
 */
static void block_list(const struct engine *engine, struct block *block, int slot) {
    const float *rows_in = history_slot(engine, block, slot) + engine->first_source;
    int count = engine->kernels->sources_list(block->rows, engine->sources, rows_in, engine->stride, block->listed);
    if (count == 0) {
        block->listed[count++] = 0;
    }
    block->listed_count = count <= SPARSE_MOST * engine->sources ? count : 0;
}

/* One panel of the step whose source rows are in `slot`, for blocks [first, last). */
static void panel_forward(const struct engine *engine, struct product *product, int first, int last, int slot,
                          int panel) {
    const struct kernels *kernels = engine->kernels;
    const enum epilogue epilogue = engine->fused ? EPILOGUE_FORWARD : EPILOGUE_STORE;
    for (int b = first; b < last; b++) {
        const struct block *block = &engine->blocks[b];
        product->rows_in = history_slot(engine, block, slot) + engine->first_source;
        product->rows = block->rows;
        product->v = block->v;
        product->out = block->u;
        product->z_out = history_slot(engine, block, slot + 1) + engine->z_offset;
        if (block->listed_count > 0) {
            kernels->product_listed(product, block->listed, block->listed_count, panel);
        } else {
            kernels->product(epilogue, product, panel);
        }
    }
}

/* Panels and blocks of a step that are computed between two counts of the work. */
struct portion {
    int panels, blocks;
    double each; /* multiply-adds of one panel and one trial */
};

/*
 * As much as takes no more work than lies between two checks of the stop word: of a small network, to count by panel
 * and block would cost a percent of the pass.
 */
static struct portion portion_choose(const struct engine *engine, int blocks) {
    const int panels = packed_panels(engine->kernels, engine->columns);
    const double each = (double)engine->sources * engine->network->units / panels, block = each * engine->block_rows;
    if (block * panels * blocks <= WORK_LOOK) {
        return (struct portion){panels, blocks, each};
    }
    const double fitting = WORK_LOOK / block;
    return (struct portion){1, fitting < 1 ? 1 : fitting > blocks ? blocks : (int)fitting, each};
}

/* The products of one step. False when stopped. */
static bool step_products(const struct engine *engine, struct work *work, struct product *product,
                          const struct portion *portion, int first, int last, int slot) {
    const int panels = packed_panels(engine->kernels, engine->columns);
    for (int panel = 0; panel < panels; panel += portion->panels) {
        for (int b = first; b < last; b += portion->blocks) {
            const int end = b + portion->blocks < last ? b + portion->blocks : last;
            const struct block *from = &engine->blocks[b], *to = &engine->blocks[end - 1];
            if (work_add(work, portion->each * portion->panels * (to->first + to->rows - from->first))) {
                return false;
            }
            for (int i = panel; i < panel + portion->panels; i++) {
                panel_forward(engine, product, b, end, slot, i);
            }
        }
    }
    return true;
}

void blocks_forward(struct engine *engine, struct work *work, int first, int last, int t, int slot, int count) {
    const bool keeps = keeps_history(engine), leaky = engine->network->readout_leaks,
               plain = engine->fused && !engine->source->noise && !leaky;
    struct product product = {.row_stride = engine->stride,
                              .matrix = &engine->weights,
                              .activation = engine->network->activation,
                              .leak = engine->leak,
                              .gain = engine->gain,
                              .z_stride = engine->stride};
    const struct portion portion = portion_choose(engine, last - first);
    for (int i = slot; i < slot + count; i++) {
        for (int b = first; b < last; b++) {
            if (keeps) {
                history_prefetch(engine, &engine->blocks[b], i + HISTORY_AHEAD, true);
            }
            if (engine->sparse) {
                block_list(engine, &engine->blocks[b], i);
            }
        }
        if (!step_products(engine, work, &product, &portion, first, last, i)) {
            return;
        }
        for (int b = first; b < last && !plain; b++) {
            block_step_end(engine, work, &engine->blocks[b], t + i - slot, i, i - slot);
        }
    }
    for (int b = first; b < last && leaky; b++) {
        block_filtered_wrap(engine, &engine->blocks[b], count);
    }
}

void block_reset(struct engine *engine, struct block *block) {
    size_t columns = (size_t)engine->columns;
    size_t size = (size_t)engine->block_rows * columns * sizeof(float);
    memset(block->v, 0, (size_t)engine->neuron->states * size);
    if (block->filtered) {
        memset(filtered_at(engine, block, -1), 0, size);
    }
    if (block->psi) {
        memset(block->psi, 0, size);
    }
    for (int row = 0; row < engine->block_rows; row++) {
        memset(history_slot(engine, block, 0) + (size_t)row * engine->stride + engine->z_offset, 0,
               columns * sizeof(float));
    }
}

void block_psi_count(struct engine *engine, struct group *group, struct block *block, int slot, int count) {
    if (!engine->options.count_psi || work_add(group->work, (double)count * block->rows * engine->network->units)) {
        return;
    }
    memset(group->psi, 0, (size_t)engine->columns * sizeof(float));
    for (int i = slot; i < slot + count && !engine->fused; i++) {
        const float *psi = history_psi(engine, block, i);
        for (int at = 0; at < block->rows * engine->columns; at++) {
            group->psi[at % engine->columns] += psi[at];
        }
    }
    for (int i = slot; i < slot + count && engine->fused; i++) {
        engine->kernels->psi_sum(block->rows, engine->columns, engine->network->activation, history_z(engine, block, i),
                                 engine->stride, group->psi);
    }
    for (int c = 0; c < engine->columns; c++) {
        group->psi_total[c] += (double)group->psi[c];
    }
}

void block_rate_count(struct engine *engine, struct group *group, struct block *block, int slot, int count) {
    if (!group->rate_total || work_add(group->work, (double)count * block->rows * engine->network->units)) {
        return;
    }
    for (int i = slot; i < slot + count; i++) {
        const float *z = history_z(engine, block, i);
        for (int row = 0; row < block->rows; row++) {
            for (int c = 0; c < engine->columns; c++) {
                group->rate_total[c] += (double)z[(size_t)row * engine->stride + (size_t)c];
            }
        }
    }
}

struct group *block_group(struct engine *engine, int first_group, int b) {
    int g = first_group;
    while (b >= engine->groups[g].first + engine->groups[g].count) {
        g++;
    }
    return &engine->groups[g];
}

void member_blocks(const struct engine *engine, int first_group, int last_group, int *first, int *last) {
    *first = engine->groups[first_group].first;
    *last = engine->groups[last_group - 1].first + engine->groups[last_group - 1].count;
}

void blocks_wrap(struct engine *engine, int first, int last, int slot) {
    for (int b = first; b < last; b++) {
        memcpy(history_slot(engine, &engine->blocks[b], 0), history_slot(engine, &engine->blocks[b], slot),
               (size_t)engine->block_rows * engine->stride * sizeof(float));
        if (engine->blocks[b].psi) {
            memcpy(history_psi(engine, &engine->blocks[b], -1), history_psi(engine, &engine->blocks[b], slot - 1),
                   (size_t)engine->block_rows * (size_t)engine->columns * sizeof(float));
        }
    }
}

bool blocks_forward_ring(struct engine *engine, int first_group, int last_group, int t, int count, double *since) {
    int first, last;
    struct work *work = engine->groups[first_group].work;
    if (work_look(work)) {
        return false;
    }
    member_blocks(engine, first_group, last_group, &first, &last);
    for (int b = first; b < last; b++) {
        block_inputs(engine, work, &engine->blocks[b], t, t + count, 0);
    }
    phase_end(engine, first_group, since, &engine->phases.trials);
    blocks_forward(engine, work, first, last, t, 0, count);
    for (int b = first; engine->want_gradient && b < last; b++) {
        block_psi_count(engine, block_group(engine, first_group, b), &engine->blocks[b], 0, count);
    }
    phase_end(engine, first_group, since, &engine->phases.forward);
    return !work->stopped;
}

void blocks_run_steps(struct engine *engine, int first_group, int last_group, block_reset_fn *reset,
                      block_step_fn *step, double *phase) {
    int first, last, steps = engine->to;
    member_blocks(engine, first_group, last_group, &first, &last);
    double since = phase_begin(engine, first_group);
    for (int b = first; b < last && engine->from == 0; b++) {
        block_reset(engine, &engine->blocks[b]);
        if (reset) {
            reset(engine, &engine->blocks[b]);
        }
    }
    for (int t = engine->from; t < steps; t += TIME_BLOCK) {
        int count = steps - t < TIME_BLOCK ? steps - t : TIME_BLOCK;
        if (!blocks_forward_ring(engine, first_group, last_group, t, count, &since)) {
            return;
        }
        for (int b = first; b < last; b++) {
            struct group *group = block_group(engine, first_group, b);
            for (int i = 0; i < count && !group->work->stopped; i++) {
                step(engine, group, &engine->blocks[b], t + i, i);
            }
        }
        blocks_wrap(engine, first, last, count);
        if (phase) {
            phase_end(engine, first_group, &since, phase);
        }
    }
}

static void block_step_forward(struct engine *engine, struct group *group, struct block *block, int t, int slot) {
    block_loss(engine, group, block, t, slot);
    if (engine->source->step) {
        block_show(engine, group->work, block, t, slot);
    }
}

void blocks_run_forward(struct engine *engine, int first_group, int last_group) {
    blocks_run_steps(engine, first_group, last_group, NULL, block_step_forward, NULL);
}
