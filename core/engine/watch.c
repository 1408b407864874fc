/*
 * The forward pass with somebody looking on: for simulation, on the caller's thread. See engine.h.
 */
#include "core/engine/internal.h"

/* Step t, whose source row is in `slot`, of one block. */
static void block_show(struct engine *engine, struct block *block, int t, int slot, const struct engine_watch *watch) {
    const float *z = history_z(engine, block, slot);
    size_t outputs = (size_t)engine->network->outputs;
    engine->kernels->readout(block->rows, engine->columns, (int)outputs, z, engine->stride, engine->wout_t,
                             engine->bout, block->y);
    for (int row = 0; row < block->rows; row++) {
        const float *source = history_slot(engine, block, slot) + (size_t)row * engine->stride;
        watch->step(watch->user, (size_t)(block->first + row), t, source + engine->first_source,
                    z + (size_t)row * engine->stride, block->y + (size_t)row * outputs);
    }
}

bool engine_watch_run(struct engine *engine, const struct batch_source *source, int trials,
                      const struct engine_watch *watch, struct work *work) {
    int steps = engine->options.steps;
    engine->source = source;
    engine->want_gradient = false;
    blocks_assign(engine, trials);
    for (int b = 0; b < engine->block_count; b++) {
        block_reset(engine, &engine->blocks[b]);
    }
    for (int t = 0; t < steps; t += TIME_BLOCK) {
        if (work_look(work)) {
            return false;
        }
        int count = steps - t < TIME_BLOCK ? steps - t : TIME_BLOCK;
        for (int b = 0; b < engine->block_count; b++) {
            block_inputs(engine, work, &engine->blocks[b], t, t + count, 0);
        }
        blocks_forward(engine, work, 0, engine->block_count, 0, count);
        for (int b = 0; b < engine->block_count; b++) {
            for (int i = 0; i < count; i++) {
                if ((t + i) % watch->every == 0) {
                    block_show(engine, &engine->blocks[b], t + i, i, watch);
                }
            }
        }
        blocks_wrap(engine, 0, engine->block_count, count);
    }
    return !work->stopped;
}
