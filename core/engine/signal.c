/*
 * The step forward of a learning signal that the rule changes in time (FORWARD_SIGNAL): see internal.h.
 */
#include <string.h>

#include "core/engine/internal.h"
#include "core/kernels/activations.h"

void signal_carve(struct carver *carver, struct engine *engine, struct block *block) {
    size_t elements = (size_t)engine->block_rows * (size_t)engine->columns;
    if (engine->form != FORWARD_SIGNAL) {
        return;
    }
    block->carried = carve(carver, elements, sizeof(float));
    block->raw = carve(carver, elements, sizeof(float));
    block->carried_scratch = carve(carver, elements, sizeof(float));
}

void block_signal_reset(struct engine *engine, struct block *block) {
    if (block->carried) {
        memset(block->carried, 0, (size_t)engine->block_rows * (size_t)engine->columns * sizeof(float));
    }
    block->live = false;
}

/* L = err F, without psi. */
static void raw_fill(const struct engine *engine, struct block *block) {
    int outputs = engine->network->outputs, columns = engine->columns;
    for (int row = 0; row < block->rows; row++) {
        float *L = block->raw + row * columns;
        memset(L, 0, (size_t)columns * sizeof(float));
        for (int o = 0; o < outputs; o++) {
            float err = block->err[row * outputs + o];
            const float *feedback = engine->feedback + o * columns;
            for (int c = 0; c < columns; c++) {
                L[c] += err * feedback[c];
            }
        }
    }
}

bool block_signal(struct engine *engine, struct group *group, struct block *block, int slot, bool loss) {
    block->live = block->live || loss;
    if (!block->live) {
        return false;
    }
    if (loss) {
        raw_fill(engine, block);
    }
    const struct rule_ops *ops = rule_table[engine->rule.type];
    const struct signal signal = {.rule = &engine->rule,
                                  .units = engine->network->units,
                                  .rows = block->rows,
                                  .columns = engine->columns,
                                  .learning = loss ? block->raw : NULL,
                                  .g = block->carried,
                                  .scratch = block->carried_scratch};
    ops->signal(&signal);
    work_add(group->work, block->rows * ops->work(&engine->rule, &engine->shape));
    const float *z = history_z(engine, block, slot);
    for (int row = 0; row < block->rows; row++) {
        for (int c = 0; c < engine->columns; c++) {
            float psi = psi_of(engine->network->activation, z[(size_t)row * engine->stride + (size_t)c]);
            block->a[row * engine->columns + c] = psi * block->carried[row * engine->columns + c];
        }
    }
    return true;
}
