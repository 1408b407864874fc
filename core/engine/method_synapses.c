/*
 * Synapse traces: the forward form of rules that multiply a signal known at each step with the eligibility trace, where
 * leaks differ, so that a trace belongs to a synapse and not to its source. Every trial keeps, for each source s and
 * unit p, eps_{sp,t} = leak_p eps_{sp,t-1} + gain_p s_t, (K, N) numbers, and each step with a signal adds a_{p,t}
 * eps_{sp,t} to the gradient. Where leaks are equal method_traces.c does the same with K numbers.
 */
#include <string.h>

#include "core/base/size.h"
#include "core/engine/internal.h"

static size_t trace_size(const struct engine *engine) {
    return (size_t)engine->sources * (size_t)engine->columns;
}

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

static void block_step(struct engine *engine, struct group *group, struct block *block, int t, int slot) {
    bool loss = block_loss(engine, group, block, t, slot);
    if (loss) {
        block_learning(engine, group, block, slot);
    }
    bool live = block_signal(engine, group, block, slot, loss);
    for (int row = 0; row < block->rows; row++) {
        if (work_add(group->work, (live ? 2.0 : 1.0) * engine->sources * engine->network->units)) {
            return;
        }
        const float *source = history_slot(engine, block, slot) + (size_t)row * engine->stride + engine->first_source;
        trial_step(engine, source, block->traces + (size_t)row * trace_size(engine),
                   live ? block->a + row * engine->columns : NULL, group->total);
    }
}

static void blocks_run_synapses(struct engine *engine, int first_group, int last_group) {
    int first, last, steps = engine->options.steps;
    member_blocks(engine, first_group, last_group, &first, &last);
    double since = phase_begin(engine, first_group);
    for (int b = first; b < last; b++) {
        block_reset(engine, &engine->blocks[b]);
        block_signal_reset(engine, &engine->blocks[b]);
        memset(engine->blocks[b].traces, 0, (size_t)engine->block_rows * trace_size(engine) * sizeof(float));
    }
    for (int t = 0; t < steps; t += TIME_BLOCK) {
        int count = steps - t < TIME_BLOCK ? steps - t : TIME_BLOCK;
        if (!blocks_forward_ring(engine, first_group, last_group, t, count, &since)) {
            return;
        }
        for (int b = first; b < last; b++) {
            struct group *group = block_group(engine, first_group, b);
            for (int i = 0; i < count && !group->work->stopped; i++) {
                block_step(engine, group, &engine->blocks[b], t + i, i);
            }
        }
        blocks_wrap(engine, first, last, count);
        phase_end(engine, first_group, &since, &engine->phases.credit);
    }
}

static bool synapses_apply(const struct plan_sizes *s) {
    return s->form == FORWARD_SIGNAL;
}

static double synapses_cost(const struct plan_sizes *s) {
    double each = s->sources * s->units;
    return s->forward +
           s->trials * (s->steps * each + s->losses * (each + rule_table[s->rule->type]->work(s->rule, &s->shape)));
}

static void synapses_carve(struct carver *carver, struct engine *engine, struct block *block) {
    block->traces = carve(carver, size_times((size_t)engine->block_rows, trace_size(engine)), sizeof(float));
    signal_carve(carver, engine, block);
}

const struct method method_synapses = {.name = "synapse traces",
                                       .applies = synapses_apply,
                                       .cost = synapses_cost,
                                       .carve_block = synapses_carve,
                                       .run = blocks_run_synapses};
