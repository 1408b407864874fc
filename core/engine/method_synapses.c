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

static void block_traces_reset(struct engine *engine, struct block *block) {
    block_signal_reset(engine, block);
    memset(block->traces, 0, (size_t)engine->block_rows * trace_size(engine) * sizeof(float));
}

static void blocks_run_synapses(struct engine *engine, int first_group, int last_group) {
    blocks_run_steps(engine, first_group, last_group, block_traces_reset, block_step, &engine->phases.credit);
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
