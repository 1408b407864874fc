/*
 * Running a batch: the forward pass, the reverse recursion in segments, and the reduction. See engine.h.
 *
 * A member of the team takes whole groups. Within a member all blocks go through time side by side. Everything is done
 * a TIME_BLOCK of steps at a time: inputs, forward, and on the way back credit and one outer product, so that what a
 * phase has written is still in cache for the next.
 */
#include <math.h>
#include <string.h>

#include "core/engine/internal.h"

bool engine_stopping(struct engine *engine, int first_group) {
    if (first_group == 0 && engine->stop && engine->stop(engine->stop_user)) {
        atomic_store(&engine->stopped, true);
    }
    return atomic_load_explicit(&engine->stopped, memory_order_relaxed);
}

void phase_end(struct engine *engine, int first_group, double *since, double *phase) {
    if (first_group != 0 || !engine->options.clock) {
        return;
    }
    double now = engine->options.clock(engine->options.clock_user);
    *phase += now - *since;
    *since = now;
}

double phase_begin(const struct engine *engine, int first_group) {
    return first_group == 0 && engine->options.clock ? engine->options.clock(engine->options.clock_user) : 0;
}

void block_inputs(struct engine *engine, struct block *block, int from, int to, int slot) {
    for (int row = 0; row < block->rows; row++) {
        float *x = history_slot(engine, block, slot) + (size_t)row * engine->stride + engine->first_source;
        engine->source->inputs(engine->source->user, (size_t)(block->first + row), from, to, x,
                               engine->stride * (size_t)engine->block_rows);
    }
}

/*
 * Asks for a slot of history HISTORY_AHEAD steps before its use. History is larger than the caches and is written and
 * read one block's rows at a time, backwards in the reverse recursion, which hardware does not foresee; without this
 * the credit of bptt waits for z and the outer product of the other rules for its sources.
 */
enum { HISTORY_AHEAD = 2, LINE = 64 };

static void history_prefetch(const struct engine *engine, const struct block *block, int slot, bool write) {
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

void blocks_forward(struct engine *engine, int first, int last, int slot, int count) {
    const struct kernels *kernels = engine->kernels;
    const enum epilogue epilogue = engine->network->activation == ACTIVATION_TANH ? EPILOGUE_FORWARD_TANH
                                                                                  : EPILOGUE_FORWARD_RELU;
    int panels = packed_panels(kernels, engine->columns);
    bool keeps = engine->want_gradient && engine->method == METHOD_REVERSE;
    struct product product = {.row_stride = engine->stride,
                              .matrix = &engine->weights,
                              .leak = engine->leak,
                              .gain = engine->gain,
                              .z_stride = engine->stride};
    for (int i = slot; i < slot + count; i++) {
        for (int panel = 0; panel < panels; panel++) {
            for (int b = first; b < last; b++) {
                struct block *block = &engine->blocks[b];
                if (keeps && panel == 0) {
                    history_prefetch(engine, block, i + HISTORY_AHEAD, true);
                }
                product.rows_in = history_slot(engine, block, i) + engine->first_source;
                product.rows = block->rows;
                product.v = block->v;
                product.z_out = history_slot(engine, block, i + 1) + engine->z_offset;
                kernels->product(epilogue, &product, panel);
            }
        }
    }
}

void block_reset(struct engine *engine, struct block *block) {
    size_t columns = (size_t)engine->columns;
    memset(block->v, 0, (size_t)engine->block_rows * columns * sizeof(float));
    for (int row = 0; row < engine->block_rows; row++) {
        memset(history_slot(engine, block, 0) + (size_t)row * engine->stride + engine->z_offset, 0,
               columns * sizeof(float));
    }
}

static void group_reset(struct engine *engine, struct group *group) {
    size_t columns = (size_t)engine->columns, outputs = (size_t)engine->network->outputs;
    memset(group->total, 0, (size_t)engine->sources * columns * sizeof(float));
    memset(group->readout, 0, outputs * columns * sizeof(float));
    memset(group->bout, 0, outputs * sizeof(double));
    memset(group->psi_total, 0, columns * sizeof(double));
    if (group->shared) {
        size_t size = 2 * (size_t)engine->network->types * engine->stride;
        memset(group->shared, 0, size * sizeof(float));
        memset(group->shared_total, 0, size * sizeof(double));
    }
}

/* psi of `count` steps whose source rows begin at `slot`. */
static void block_psi_count(struct engine *engine, struct group *group, struct block *block, int slot, int count) {
    if (!engine->options.count_psi) {
        return;
    }
    memset(group->psi, 0, (size_t)engine->columns * sizeof(float));
    for (int i = slot; i < slot + count; i++) {
        engine->kernels->psi_sum(block->rows, engine->columns, engine->network->activation == ACTIVATION_TANH,
                                 history_z(engine, block, i), engine->stride, group->psi);
    }
    for (int c = 0; c < engine->columns; c++) {
        group->psi_total[c] += (double)group->psi[c];
    }
}

static struct group *block_group(struct engine *engine, int first_group, int b) {
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

/* ---- forward only ---- */

void blocks_wrap(struct engine *engine, int first, int last, int slot) {
    for (int b = first; b < last; b++) {
        memcpy(history_slot(engine, &engine->blocks[b], 0), history_slot(engine, &engine->blocks[b], slot),
               (size_t)engine->block_rows * engine->stride * sizeof(float));
    }
}

bool blocks_forward_ring(struct engine *engine, int first_group, int last_group, int t, int count, double *since) {
    int first, last;
    if (engine_stopping(engine, first_group)) {
        return false;
    }
    member_blocks(engine, first_group, last_group, &first, &last);
    for (int b = first; b < last; b++) {
        block_inputs(engine, &engine->blocks[b], t, t + count, 0);
    }
    phase_end(engine, first_group, since, &engine->phases.trials);
    blocks_forward(engine, first, last, 0, count);
    for (int b = first; engine->want_gradient && b < last; b++) {
        block_psi_count(engine, block_group(engine, first_group, b), &engine->blocks[b], 0, count);
    }
    phase_end(engine, first_group, since, &engine->phases.forward);
    return true;
}

static void blocks_run_forward(struct engine *engine, int first_group, int last_group) {
    int first, last, steps = engine->options.steps;
    double since = phase_begin(engine, first_group);
    member_blocks(engine, first_group, last_group, &first, &last);
    for (int b = first; b < last; b++) {
        block_reset(engine, &engine->blocks[b]);
    }
    for (int t = 0; t < steps; t += TIME_BLOCK) {
        int count = steps - t < TIME_BLOCK ? steps - t : TIME_BLOCK;
        if (!blocks_forward_ring(engine, first_group, last_group, t, count, &since)) {
            return;
        }
        for (int b = first; b < last; b++) {
            for (int i = 0; i < count; i++) {
                block_loss(engine, NULL, &engine->blocks[b], t + i, i, false);
            }
        }
        blocks_wrap(engine, first, last, count);
    }
}

/* ---- reverse recursion ---- */

static void block_state_copy(struct engine *engine, struct block *block, int segment, bool save) {
    size_t columns = (size_t)engine->columns, size = (size_t)engine->block_rows * columns;
    float *v = block->snapshots + (size_t)segment * 2 * size, *z = v + size;
    memcpy(save ? v : block->v, save ? block->v : v, size * sizeof(float));
    for (int row = 0; row < engine->block_rows; row++) {
        float *slot = history_slot(engine, block, 0) + (size_t)row * engine->stride + engine->z_offset;
        memcpy(save ? z + (size_t)row * columns : slot, save ? slot : z + (size_t)row * columns,
               columns * sizeof(float));
    }
}

/* Steps [start, end) into the slots from 0 on. False when told to stop. */
static bool segment_forward(struct engine *engine, int first_group, int first, int last, int start, int end,
                            bool count_psi, double *since) {
    for (int t = start; t < end; t += TIME_BLOCK) {
        if (engine_stopping(engine, first_group)) {
            return false;
        }
        int count = end - t < TIME_BLOCK ? end - t : TIME_BLOCK;
        for (int b = first; b < last; b++) {
            block_inputs(engine, &engine->blocks[b], t, t + count, t - start);
        }
        phase_end(engine, first_group, since, &engine->phases.trials);
        blocks_forward(engine, first, last, t - start, count);
        for (int b = first; count_psi && b < last; b++) {
            block_psi_count(engine, block_group(engine, first_group, b), &engine->blocks[b], t - start, count);
        }
        phase_end(engine, first_group, since, &engine->phases.forward);
    }
    return true;
}

static void block_reverse_reset(struct engine *engine, struct block *block) {
    size_t size = (size_t)engine->block_rows * (size_t)engine->columns * sizeof(float);
    memset(block->d, 0, size);
    memset(block->gd, 0, TIME_BLOCK * size);
    if (block->m) {
        memset(block->m, 0, size);
        memset(block->gm[0], 0, size);
        memset(block->gm[1], 0, size);
    }
    if (block->filter.age) {
        memset(block->filter.age, 0, (size_t)block->filter.taps * sizeof(int));
        block->filter.next = 0;
    }
    block->a_next_live = block->live = false;
}

static void block_reverse_step(struct engine *engine, struct group *group, struct block *block, int t, int slot) {
    size_t size = (size_t)engine->block_rows * (size_t)engine->columns;
    history_prefetch(engine, block, slot - HISTORY_AHEAD, false);
    bool loss = block_loss(engine, group, block, t, slot, true);
    float *gd = block->gd + (size_t)(t % TIME_BLOCK) * size;
    block->live = block->live || loss;
    if (!block->live) {
        memset(gd, 0, size * sizeof(float));
        return;
    }
    struct credit credit = {
        .kernels = engine->kernels,
        .rule = &engine->rule,
        .hop = &engine->hop,
        .leak = engine->leak,
        .gain = engine->gain,
        .mu = engine->mu,
        .tanh_activation = engine->network->activation == ACTIVATION_TANH,
        .rows = block->rows,
        .columns = engine->columns,
        .z = history_z(engine, block, slot),
        .z_stride = engine->stride,
        .a = loss ? block->a : NULL,
        .gd_next = block->gd + (size_t)((t + 1) % TIME_BLOCK) * size,
        .gd = gd,
        .d = block->d,
        .m = block->m,
        .gm_next = block->gm[(t + 1) % 2],
        .gm = block->gm[t % 2],
        .a_next = block->a_next,
        .a_next_live = &block->a_next_live,
        .thin = block->thin,
        .filter = block->filter.taps > 0 ? &block->filter : NULL,
    };
    rule_table[engine->rule.type]->credit(&credit);
}

/* Steps [start, end), of which slot 0 is start, from the last to the first. False when told to stop. */
static bool segment_reverse(struct engine *engine, int first_group, int last_group, int start, int end, double *since) {
    for (int to = end; to > start;) {
        if (engine_stopping(engine, first_group)) {
            return false;
        }
        int from = (to - 1) / TIME_BLOCK * TIME_BLOCK;
        for (int g = first_group; g < last_group; g++) {
            for (int b = engine->groups[g].first; b < engine->groups[g].first + engine->groups[g].count; b++) {
                for (int t = to - 1; t >= from; t--) {
                    block_reverse_step(engine, &engine->groups[g], &engine->blocks[b], t, t - start);
                }
            }
        }
        phase_end(engine, first_group, since, &engine->phases.credit);
        for (int g = first_group; g < last_group; g++) {
            for (int b = engine->groups[g].first; b < engine->groups[g].first + engine->groups[g].count; b++) {
                struct block *block = &engine->blocks[b];
                if (block->live) {
                    engine->kernels->outer(history_slot(engine, block, from - start) + engine->first_source,
                                           engine->stride, block->gd, (to - from) * engine->block_rows, engine->sources,
                                           engine->columns, engine->groups[g].total);
                }
            }
        }
        phase_end(engine, first_group, since, &engine->phases.gradient);
        to = from;
    }
    return true;
}

/* One past the last step of segment `s`. */
static int segment_end(const struct engine *engine, int s) {
    int start = s * engine->plan.segment_steps, left = engine->options.steps - start;
    return start + (left < engine->plan.segment_steps ? left : engine->plan.segment_steps);
}

static void blocks_run_reverse(struct engine *engine, int first_group, int last_group) {
    int first, last, length = engine->plan.segment_steps, segments = engine->segments;
    member_blocks(engine, first_group, last_group, &first, &last);
    double since = phase_begin(engine, first_group);
    for (int b = first; b < last; b++) {
        block_reset(engine, &engine->blocks[b]);
        block_reverse_reset(engine, &engine->blocks[b]);
    }
    for (int s = 0; s < segments; s++) {
        int end = segment_end(engine, s);
        for (int b = first; segments > 1 && b < last; b++) {
            block_state_copy(engine, &engine->blocks[b], s, true);
        }
        if (!segment_forward(engine, first_group, first, last, s * length, end, true, &since)) {
            return;
        }
        if (s + 1 < segments) {
            blocks_wrap(engine, first, last, length);
        }
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

/* ---- the team's work ---- */

static void batch_work(void *user, int member, int members) {
    struct engine *engine = user;
    int first, last;
    team_share(engine->group_count, member, members, &first, &last);
    /* the groups that the batch fills, where it is shorter than the engine allows */
    while (last > first && engine->blocks[engine->groups[last - 1].first].rows == 0) {
        last--;
    }
    if (first >= last) {
        return;
    }
    for (int g = first; g < last; g++) {
        group_reset(engine, &engine->groups[g]);
    }
    if (!engine->want_gradient) {
        blocks_run_forward(engine, first, last);
    } else if (engine->method == METHOD_FORWARD) {
        blocks_run_traces(engine, first, last);
    } else if (engine->method == METHOD_SENSITIVITIES) {
        blocks_run_sensitivities(engine, first, last);
    } else {
        blocks_run_reverse(engine, first, last);
    }
}

/* Adds the groups' accumulators in order and unpads them; rows of sources are shared out. */
static void reduce_work(void *user, int member, int members) {
    struct engine *engine = user;
    const struct network *network = engine->network;
    size_t columns = (size_t)engine->columns, n = (size_t)network->units;
    int from, to;
    team_share(engine->sources, member, members, &from, &to);
    for (int g = 1; g < engine->group_count; g++) {
        engine->kernels->accumulate((size_t)(to - from) * columns, engine->groups[g].total + (size_t)from * columns,
                                    engine->groups[0].total + (size_t)from * columns);
    }
    int inputs = network->inputs, recurrent = inputs + network->bias;
    for (int k = from; k < to; k++) {
        if (engine->method == METHOD_FORWARD && engine->rule.type == RULE_MODPROP) {
            traces_reduce(engine, k, engine->groups[0].total + (size_t)k * columns);
        }
        size_t offset = k < inputs      ? network->offset_Win + (size_t)k * n
                        : k < recurrent ? network->offset_b
                                        : network->offset_W + (size_t)(k - recurrent) * n;
        memcpy(engine->gradient + offset, engine->groups[0].total + (size_t)k * columns, n * sizeof(float));
    }
}

static void readout_reduce(struct engine *engine) {
    const struct network *network = engine->network;
    size_t n = (size_t)network->units, outputs = (size_t)network->outputs, columns = (size_t)engine->columns;
    for (size_t o = 0; o < outputs; o++) {
        double bias = 0;
        for (int g = 0; g < engine->group_count; g++) {
            bias += engine->groups[g].bout[o];
        }
        engine->gradient[network->offset_bout + o] = (float)bias;
        for (size_t j = 0; j < n; j++) {
            float sum = 0;
            for (int g = 0; g < engine->group_count; g++) {
                sum += engine->groups[g].readout[o * columns + j];
            }
            engine->gradient[network->offset_Wout + j * outputs + o] = sum;
        }
    }
}

void blocks_assign(struct engine *engine, int trials) {
    for (int b = 0; b < engine->block_count; b++) {
        int first = b * engine->block_rows, rows = trials - first;
        engine->blocks[b].first = first;
        engine->blocks[b].rows = rows < 0 ? 0 : rows < engine->block_rows ? rows : engine->block_rows;
    }
    for (int g = 0; g < engine->group_count; g++) {
        if (engine->blocks[engine->groups[g].first].rows == 0) {
            group_reset(engine, &engine->groups[g]);
        }
    }
}

static void psi_report(const struct engine *engine, struct engine_result *result) {
    const struct network *network = engine->network;
    double sum = 0;
    int silent = 0;
    for (int p = 0; p < network->units; p++) {
        double unit = 0;
        for (int g = 0; g < engine->group_count; g++) {
            unit += engine->groups[g].psi_total[p];
        }
        sum += unit;
        silent += unit == 0;
    }
    result->psi_mean = sum / ((double)network->units * engine->options.steps * engine->trials);
    result->silent_units = silent;
}

static bool batch_prepare(struct engine *engine, int trials, float *gradient) {
    engine->trials = trials;
    engine->want_gradient = gradient != NULL;
    engine->gradient = gradient;
    engine->method = engine->plan.method;
    if (gradient && engine->method == METHOD_FORWARD && !engine->traces_good) {
        engine->method = METHOD_REVERSE;
    }
    if (gradient && engine->method == METHOD_REVERSE && !engine_reverse_prepare(engine)) {
        return false;
    }
    if (gradient) {
        engine->used = engine->method;
    }
    blocks_assign(engine, trials);
    memset(engine->trial_loss, 0, (size_t)trials * sizeof(double));
    memset(engine->trial_correct, 0, (size_t)trials * sizeof(double));
    engine->phases = (struct train_phases){0};
    engine->weight_sum = batch_weight_sum(engine);
    return true;
}

enum train_result engine_batch_run(struct engine *engine, struct team *team, const struct batch_source *source,
                                   int trials, float *gradient, bool (*stop)(void *user), void *user,
                                   struct engine_result *result) {
    engine->source = source;
    engine->stop = stop;
    engine->stop_user = user;
    atomic_store(&engine->stopped, false);
    atomic_store(&engine->class_invalid, false);
    if (trials < 1 || trials > engine->options.trials) {
        return TRAIN_INVALID;
    }
    if (!batch_prepare(engine, trials, gradient)) {
        return TRAIN_NO_MEMORY;
    }
    team_run(team, batch_work, engine);
    if (atomic_load(&engine->stopped)) {
        return atomic_load(&engine->class_invalid) ? TRAIN_INVALID : TRAIN_STOPPED;
    }
    double since = phase_begin(engine, 0);
    if (gradient) {
        team_run(team, reduce_work, engine);
        readout_reduce(engine);
        phase_end(engine, 0, &since, &engine->phases.gradient);
    }
    double loss = 0, correct = 0;
    for (int i = 0; i < trials; i++) {
        loss += engine->trial_loss[i];
        correct += engine->trial_correct[i];
    }
    result->weight = engine->weight_sum;
    /* in a batch of a user's own trials it may be that nothing counts: no loss, no gradient, and no fault */
    result->loss = engine->weight_sum > 0 ? loss / engine->weight_sum : NAN;
    result->correct = engine->weight_sum > 0 ? correct / engine->weight_sum : NAN;
    if (gradient && engine->options.count_psi) {
        psi_report(engine, result);
    }
    phases_add(&result->phases, &engine->phases);
    return TRAIN_FINISHED;
}
