/*
 * What a source may want of a forward pass beside the loss: noise on the currents, and to be shown the steps. See
 * struct batch_source in engine.h.
 */
#include <string.h>

#include "core/engine/internal.h"
#include "core/kernels/activations.h"

/* Units whose noise is drawn at a time. */
enum { NOISE_UNITS = 64 };

/*
 * Step t, whose source rows are in `slot`, with noise on its currents: v takes it as it took the current, and z follows
 * from v as in the epilogue.
 */
void block_noise(struct engine *engine, struct block *block, int t, int slot) {
    const struct batch_source *source = engine->source;
    int units = engine->network->units, columns = engine->columns;
    float noise[NOISE_UNITS];
    for (int row = 0; row < block->rows; row++) {
        float *v = block->v + (size_t)row * (size_t)columns,
              *z = history_slot(engine, block, slot + 1) + (size_t)row * engine->stride + engine->z_offset;
        for (int from = 0; from < units; from += NOISE_UNITS) {
            int count = units - from < NOISE_UNITS ? units - from : NOISE_UNITS;
            source->noise(source->user, (size_t)block->first + (size_t)row, t, from, count, noise);
            for (int i = 0; i < count; i++) {
                v[from + i] += engine->gain[from + i] * noise[i];
            }
        }
        if (engine->network->activation == ACTIVATION_TANH) {
            engine->kernels->tanh_rows(columns, v, z);
        }
        for (int c = 0; c < columns && engine->network->activation != ACTIVATION_TANH; c++) {
            z[c] = v[c] > 0.0f ? v[c] : 0.0f;
        }
    }
}

void block_noise_currents(struct engine *engine, struct block *block, int t) {
    const struct batch_source *source = engine->source;
    int units = engine->network->units;
    float noise[NOISE_UNITS];
    for (int row = 0; row < block->rows; row++) {
        float *u = block->u + (size_t)row * (size_t)engine->columns;
        for (int from = 0; from < units; from += NOISE_UNITS) {
            int count = units - from < NOISE_UNITS ? units - from : NOISE_UNITS;
            source->noise(source->user, (size_t)block->first + (size_t)row, t, from, count, noise);
            for (int i = 0; i < count; i++) {
                u[from + i] += noise[i];
            }
        }
    }
}

/* Shows step t, whose source rows are in `slot`. */
void block_show(struct engine *engine, struct work *work, struct block *block, int t, int slot) {
    const struct batch_source *source = engine->source;
    int outputs = engine->network->outputs;
    if (t % source->step_every != 0 || work_add(work, (double)block->rows * engine->network->units * outputs)) {
        return;
    }
    const float *z = history_z(engine, block, slot);
    block_readout(engine, block, slot);
    for (int row = 0; row < block->rows; row++) {
        struct batch_step step = {.trial = (size_t)(block->first + row),
                                  .t = t,
                                  .inputs = history_slot(engine, block, slot) + (size_t)row * engine->stride +
                                            engine->first_source,
                                  .rates = z + (size_t)row * engine->stride,
                                  .outputs = block->y + (size_t)row * (size_t)outputs};
        source->step(source->user, &step);
    }
}

void block_credit_show(struct engine *engine, struct block *block, const struct credit *credit) {
    size_t columns = (size_t)engine->columns;
    float *psi = block->shown + (size_t)engine->block_rows * columns;
    if (credit->gd_next) {
        hop_run(credit, EPILOGUE_STORE, credit->gd_next, block->shown);
    } else {
        memset(block->shown, 0, (size_t)engine->block_rows * columns * sizeof(float));
    }
    for (int row = 0; row < block->rows; row++) {
        const float *z = credit->z + (size_t)row * credit->z_stride;
        for (int p = 0; p < engine->network->units; p++) {
            psi[p] = credit->psi ? credit->psi[(size_t)row * columns + (size_t)p] : psi_of(credit->activation, z[p]);
        }
        const struct batch_credit step = {.trial = (size_t)(block->first + row),
                                          .t = credit->t,
                                          .a = credit->a ? credit->a + (size_t)row * columns : NULL,
                                          .psi = psi,
                                          .nonlocal = block->shown + (size_t)row * columns};
        engine->options.credit(engine->options.credit_user, &step);
    }
}
