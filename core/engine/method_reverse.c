/*
 * The reverse recursion: the forward pass keeps its source rows, or recomputes them in segments within the memory
 * limit; then the rule's credit d_t is computed from the last step to the first, and each TIME_BLOCK of steps becomes
 * one outer product. See engine.h.
 */
#include <math.h>
#include <string.h>

#include "core/engine/internal.h"

/* Arrays of (block_rows, columns) that a segment begins with: the model's state, z, and a leaky readout's. */
static size_t snapshot_arrays(const struct engine *engine) {
    return (size_t)engine->neuron->states + 1 + engine->network->readout_leaks;
}

static void array_copy(float *kept, float *live, size_t size, bool save) {
    memcpy(save ? kept : live, save ? live : kept, size * sizeof(float));
}

static void block_state_copy(struct engine *engine, struct block *block, int segment, bool save) {
    size_t columns = (size_t)engine->columns, size = (size_t)engine->block_rows * columns,
           states = (size_t)engine->neuron->states;
    float *v = block->snapshots + (size_t)segment * snapshot_arrays(engine) * size, *z = v + states * size;
    array_copy(v, block->v, states * size, save);
    if (block->filtered) {
        array_copy(z + size, filtered_at(engine, block, -1), size, save);
    }
    for (int row = 0; row < engine->block_rows; row++) {
        float *slot = history_slot(engine, block, 0) + (size_t)row * engine->stride + engine->z_offset;
        memcpy(save ? z + (size_t)row * columns : slot, save ? slot : z + (size_t)row * columns,
               columns * sizeof(float));
    }
}

/* Steps [start, end) into the slots from 0 on. False when stopped. */
static bool segment_forward(struct engine *engine, int first_group, int first, int last, int start, int end,
                            bool count_psi, double *since) {
    struct work *work = engine->groups[first_group].work;
    for (int t = start; t < end; t += TIME_BLOCK) {
        if (work_look(work)) {
            return false;
        }
        int count = end - t < TIME_BLOCK ? end - t : TIME_BLOCK;
        for (int b = first; b < last; b++) {
            block_inputs(engine, work, &engine->blocks[b], t, t + count, t - start);
        }
        phase_end(engine, first_group, since, &engine->phases.trials);
        blocks_forward(engine, work, first, last, t, t - start, count);
        for (int b = first; count_psi && b < last; b++) {
            struct group *group = block_group(engine, first_group, b);
            block_psi_count(engine, group, &engine->blocks[b], t - start, count);
            block_rate_count(engine, group, &engine->blocks[b], t - start, count);
        }
        phase_end(engine, first_group, since, &engine->phases.forward);
    }
    return !work->stopped;
}

static void block_reverse_reset(struct engine *engine, struct block *block) {
    size_t size = (size_t)engine->block_rows * (size_t)engine->columns * sizeof(float);
    memset(block->d, 0, (size_t)engine->neuron->carries * size);
    memset(block->gd, 0, TIME_BLOCK * size);
    if (block->past[0]) {
        memset(block->past[0], 0, size);
        memset(block->past[1], 0, size);
    }
    if (block->f) {
        memset(block->f, 0, (size_t)(engine->block_rows * engine->network->outputs) * sizeof(float));
    }
    if (block->m) {
        memset(block->m, 0, size);
        memset(block->gm[0], 0, size);
        memset(block->gm[1], 0, size);
    }
    if (block->filter.age) {
        memset(block->filter.age, 0, (size_t)block->filter.taps * sizeof(int));
        block->filter.next = 0;
    }
    if (block->own) {
        memset(block->own, 0, rule_table[engine->rule.type]->block_size(&engine->rule, &engine->shape));
    }
    block->a_next_live = block->live = false;
}

/* What a neuron model other than membrane adds. */
static void credit_neuron_set(const struct engine *engine, const struct block *block, int t, int slot, bool loss,
                              struct credit *credit) {
    credit->neuron = engine->network->neuron;
    credit->rho = engine->rho;
    credit->beta = engine->beta;
    credit->psi = history_psi(engine, block, slot);
    credit->learning = loss ? block->learning : NULL;
    credit->second = engine->neuron->carries > 1 ? block->d + (size_t)engine->block_rows * (size_t)engine->columns
                                                 : NULL;
    credit->h = block->h;
    if (block->past[0]) {
        credit->past = block->past[(t + 1) % 2];
        credit->past_next = block->past[t % 2];
    }
}

static void credit_make(struct engine *engine, struct block *block, const struct credit *credit) {
    if (block->shown) {
        block_credit_show(engine, block, credit);
    }
    rule_table[engine->rule.type]->credit(credit);
}

static void block_reverse_step(struct engine *engine, struct group *group, struct block *block, int t, int slot) {
    size_t size = (size_t)engine->block_rows * (size_t)engine->columns;
    history_prefetch(engine, block, slot - HISTORY_AHEAD, false);
    bool cut = window_ends(engine, t), loss = block_loss(engine, group, block, t, slot);
    loss = block_learning_back(engine, group, block, slot, loss, cut);
    float *gd = block->gd + (size_t)(t % TIME_BLOCK) * size;
    block->live = block->live || loss;
    if (!block->live) {
        memset(gd, 0, size * sizeof(float));
        return;
    }
    if (cut) {
        memset(block->d, 0, (size_t)engine->neuron->carries * size * sizeof(float));
    }
    struct credit credit = {
        .kernels = engine->kernels,
        .rule = &engine->rule,
        .hop = &engine->hop,
        .leak = engine->leak,
        .gain = engine->gain,
        .mu = engine->mu,
        .activation = engine->network->activation,
        .rows = block->rows,
        .columns = engine->columns,
        .z = history_z(engine, block, slot),
        .z_stride = engine->stride,
        .a = loss ? block->a : NULL,
        .gd_next = cut ? NULL : block->gd + (size_t)((t + 1) % TIME_BLOCK) * size,
        .gd = gd,
        .d = block->d,
        .m = block->m,
        .gm_next = block->gm[(t + 1) % 2],
        .gm = block->gm[t % 2],
        .a_next = block->a_next,
        .a_next_live = &block->a_next_live,
        .thin = block->thin,
        .filter = block->filter.taps > 0 ? &block->filter : NULL,
        .work = group->work,
        .network = engine->network,
        .shape = &engine->shape,
        .t = t,
        .shared = engine->rule_shared,
        .own = block->own,
    };
    credit.past = credit.gd_next;
    if (!engine->fused) {
        credit_neuron_set(engine, block, t, slot, loss, &credit);
    }
    credit_make(engine, block, &credit);
}

/* Steps [start, end), of which slot 0 is start, from the last to the first. False when stopped. */
static bool segment_reverse(struct engine *engine, int first_group, int last_group, int start, int end, double *since) {
    struct work *work = engine->groups[first_group].work;
    for (int to = end; to > start;) {
        if (work_look(work)) {
            return false;
        }
        int from = (to - 1) / TIME_BLOCK * TIME_BLOCK;
        for (int g = first_group; g < last_group; g++) {
            for (int b = engine->groups[g].first; b < engine->groups[g].first + engine->groups[g].count; b++) {
                for (int t = to - 1; t >= from && !work->stopped; t--) {
                    block_reverse_step(engine, &engine->groups[g], &engine->blocks[b], t, t - start);
                }
            }
        }
        phase_end(engine, first_group, since, &engine->phases.credit);
        for (int g = first_group; g < last_group; g++) {
            for (int b = engine->groups[g].first; b < engine->groups[g].first + engine->groups[g].count; b++) {
                struct block *block = &engine->blocks[b];
                if (block->live) {
                    outer_run(engine, work, history_slot(engine, block, from - start) + engine->first_source,
                              engine->stride, block->gd, (to - from) * engine->block_rows, engine->sources,
                              engine->columns, true, engine->groups[g].total);
                }
            }
        }
        phase_end(engine, first_group, since, &engine->phases.gradient);
        to = from;
    }
    return !work->stopped;
}

/* One past the last step of segment `s`. */
static int segment_end(const struct engine *engine, int s) {
    int start = s * engine->plan.segment_steps, left = engine->options.steps - start;
    return start + (left < engine->plan.segment_steps ? left : engine->plan.segment_steps);
}

/* The whole trial forward, with what the way back needs kept. False when stopped. */
static bool trial_forward(struct engine *engine, int first_group, int first, int last, double *since) {
    int length = engine->plan.segment_steps, segments = engine->segments;
    for (int b = first; b < last; b++) {
        block_reset(engine, &engine->blocks[b]);
        block_reverse_reset(engine, &engine->blocks[b]);
    }
    for (int s = 0; s < segments; s++) {
        int end = segment_end(engine, s);
        for (int b = first; segments > 1 && b < last; b++) {
            block_state_copy(engine, &engine->blocks[b], s, true);
        }
        if (!segment_forward(engine, first_group, first, last, s * length, end, true, since)) {
            return false;
        }
        if (s + 1 < segments) {
            blocks_wrap(engine, first, last, length);
        }
    }
    return true;
}

static void blocks_run_reverse(struct engine *engine, int first_group, int last_group) {
    int first, last, length = engine->plan.segment_steps, segments = engine->segments;
    member_blocks(engine, first_group, last_group, &first, &last);
    double since = phase_begin(engine, first_group);
    if (engine->stage != STAGE_BACK && !trial_forward(engine, first_group, first, last, &since)) {
        return;
    }
    if (engine->stage == STAGE_FORWARD) {
        return;
    }
    for (int s = segments - 1; s >= 0; s--) {
        int end = segment_end(engine, s);
        if (s + 1 < segments) {
            for (int b = first; b < last; b++) {
                block_state_copy(engine, &engine->blocks[b], s, false);
            }
            if (!segment_forward(engine, first_group, first, last, s * length, end, false, &since)) {
                return;
            }
        }
        if (!segment_reverse(engine, first_group, last_group, s * length, end, &since)) {
            return;
        }
    }
}

/* ---- the method ---- */

static bool reverse_applies(const struct plan_sizes *s) {
    return s->form < FORWARD_SIGNAL;
}

static double reverse_cost(const struct plan_sizes *s) {
    double hops = rule_table[s->rule->type]->hops_at_loss ? s->signals : s->steps;
    int taps = rule_taps(s->rule);
    if (taps > 0) {
        hops = s->steps * fmin(taps, s->signals);
    }
    double readout = s->signals * 2 * s->units * s->outputs + (s->fused ? 0 : s->steps * NEURON_WORK * s->units);
    return s->forward + s->trials * (s->steps * s->sources * s->units + hops * hop_cost(s->rule, &s->shape) + readout);
}

/* The rule's own memory, and that of who is shown credit. */
static void credit_memory_carve(struct carver *carver, struct engine *engine, struct block *block) {
    const struct rule_ops *ops = rule_table[engine->rule.type];
    if (ops->block_size) {
        block->own = carve(carver, ops->block_size(&engine->rule, &engine->shape), 1);
    }
    if (engine->options.credit) {
        block->shown = carve(carver, ((size_t)engine->block_rows + 1) * (size_t)engine->columns, sizeof(float));
    }
}

static void reverse_block_carve(struct carver *carver, struct engine *engine, struct block *block) {
    size_t rows = (size_t)engine->block_rows, columns = (size_t)engine->columns;
    int steps_cut = rule_taps(&engine->rule);
    block->history = carve(carver, ((size_t)engine->plan.segment_steps + 1) * rows, engine->stride * sizeof(float));
    if (engine->segments > 1) {
        block->snapshots = carve(carver, (size_t)engine->segments * snapshot_arrays(engine) * rows * columns,
                                 sizeof(float));
    }
    if (!engine->fused) {
        block->psi = carve(carver, ((size_t)engine->plan.segment_steps + 1) * rows, columns * sizeof(float));
        block->h = carve(carver, rows * columns, sizeof(float));
    }
    if (engine->neuron->mu_at_source) {
        block->past[0] = carve(carver, rows * columns, sizeof(float));
        block->past[1] = carve(carver, rows * columns, sizeof(float));
    }
    if (engine->network->readout_leaks) {
        size_t outputs = (size_t)engine->network->outputs;
        block->y_kept = carve(carver, (size_t)engine->plan.segment_steps * rows, outputs * sizeof(float));
        block->f = carve(carver, rows * outputs, sizeof(float));
        block->signal = carve(carver, rows * outputs, sizeof(float));
    }
    block->d = carve(carver, (size_t)engine->neuron->carries * rows * columns, sizeof(float));
    block->gd = carve(carver, (size_t)TIME_BLOCK * rows * columns, sizeof(float));
    block->a_next = carve(carver, rows * columns, sizeof(float));
    credit_memory_carve(carver, engine, block);
    if (rule_keeps_inner(&engine->rule)) {
        block->m = carve(carver, rows * columns, sizeof(float));
        block->gm[0] = carve(carver, rows * columns, sizeof(float));
        block->gm[1] = carve(carver, rows * columns, sizeof(float));
    }
    /* a filter as long as the trial cuts nothing */
    if (steps_cut > 0 && steps_cut < engine->options.steps - 1) {
        size_t elements = rows * columns, taps = (size_t)steps_cut, size = filter_size(steps_cut, elements);
        float *memory = carve(carver, size, sizeof(float));
        int *age = carve(carver, taps, sizeof(int));
        if (memory) {
            block->filter = (struct filter){.taps = steps_cut,
                                            .age = age,
                                            .r = memory,
                                            .q = memory + taps * elements,
                                            .h = memory + 2 * taps * elements,
                                            .scaled = memory + (2 * taps + 1) * elements,
                                            .sum = memory + (2 * taps + 2) * elements};
        }
    }
}

const struct method method_reverse = {.name = "reverse recursion",
                                      .name_in_segments = "reverse recursion, recomputed in segments",
                                      .applies = reverse_applies,
                                      .cost = reverse_cost,
                                      .carve_history = reverse_block_carve,
                                      .run = blocks_run_reverse};
