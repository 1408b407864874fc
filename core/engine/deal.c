/* Distributing the trials of a batch to the blocks, and clearing the accumulators of their groups: see internal.h. */
#include <string.h>

#include "core/engine/internal.h"

void group_reset(struct engine *engine, struct group *group) {
    size_t columns = (size_t)engine->columns, outputs = (size_t)engine->network->outputs;
    memset(group->total, 0, (size_t)engine->sources * columns * sizeof(float));
    memset(group->readout, 0, outputs * columns * sizeof(float));
    memset(group->bout, 0, outputs * sizeof(double));
    memset(group->psi_total, 0, columns * sizeof(double));
    if (group->rate_total) {
        memset(group->rate_total, 0, columns * sizeof(double));
    }
    if (group->shared) {
        size_t size = 2 * (size_t)engine->network->types * engine->stride;
        memset(group->shared, 0, size * sizeof(float));
        memset(group->shared_total, 0, size * sizeof(double));
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
