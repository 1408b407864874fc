/*
 * Real-time recurrent learning (Williams and Zipser 1989): the exact gradient carried forward. Every trial keeps
 * J[p,k,r] = dv_p / d(weight from source k to unit r), (N, K, N), which obeys
 *
 *     J_t[p,k,r] = leak_p J_{t-1}[p,k,r] + gain_p (delta_pr s_t[k] + sum_j W[j,p] psi_{j,t-1} J_{t-1}[j,k,r])
 *
 * and a step with loss adds sum_p a_{p,t} J_t[p,.,.] to the gradient. In double and in no hurry: it is the check on all
 * other rules.
 */
#include <string.h>

#include "core/base/size.h"
#include "core/engine/internal.h"
#include "core/kernels/activations.h"

static size_t sensitivity_size(const struct engine *engine) {
    return (size_t)engine->sources * (size_t)engine->network->units;
}

/* Computes J_t of one trial into `next`, from J_{t-1} in `now` and the source row of step t. */
static void sensitivity_step(const struct engine *engine, struct work *work, const float *source_row, const double *now,
                             double *next) {
    const struct network *network = engine->network;
    int n = network->units;
    size_t size = sensitivity_size(engine);
    const float *W = network->weights + network->offset_W, *z = source_row + engine->z_offset,
                *s = source_row + engine->first_source;
    for (int p = 0; p < n && !work_add(work, (double)size * (n + 1)); p++) {
        double *to = next + (size_t)p * size, leak = network->leak_exact[p], gain = network->gain_exact[p];
        for (size_t i = 0; i < size; i++) {
            to[i] = leak * now[(size_t)p * size + i];
        }
        for (int j = 0; j < n; j++) {
            double factor = gain * (double)W[j * n + p] * psi_exact(network->activation, (double)z[j]);
            const double *from = now + (size_t)j * size;
            for (size_t i = 0; factor != 0 && i < size; i++) {
                to[i] += factor * from[i];
            }
        }
        for (int k = 0; k < engine->sources; k++) {
            to[(size_t)k * (size_t)n + (size_t)p] += gain * (double)s[k];
        }
    }
}

static void sensitivity_gradient(const struct engine *engine, struct group *group, const float *a,
                                 const double *sensitivity) {
    size_t n = (size_t)engine->network->units, size = sensitivity_size(engine);
    for (size_t k = 0; k < (size_t)engine->sources && !work_add(group->work, (double)(n * n)); k++) {
        for (size_t r = 0; r < n; r++) {
            double sum = 0;
            for (size_t p = 0; p < n; p++) {
                sum += (double)a[p] * sensitivity[p * size + k * n + r];
            }
            group->total[k * (size_t)engine->columns + r] += (float)sum;
        }
    }
}

static void block_sensitivities_step(struct engine *engine, struct group *group, struct block *block, int t, int slot) {
    for (int row = 0; row < block->rows; row++) {
        double *now = block->sensitivity_of_row[row], *next = block->sensitivity_of_row[BLOCK_TRIALS];
        sensitivity_step(engine, group->work, history_slot(engine, block, slot) + (size_t)row * engine->stride, now,
                         next);
        block->sensitivity_of_row[row] = next;
        block->sensitivity_of_row[BLOCK_TRIALS] = now;
    }
    if (block_loss(engine, group, block, t, slot)) {
        block_learning(engine, group, block, slot);
        for (int row = 0; row < block->rows; row++) {
            sensitivity_gradient(engine, group, block->a + row * engine->columns, block->sensitivity_of_row[row]);
        }
    }
}

static void block_sensitivities_reset(struct engine *engine, struct block *block) {
    size_t size = (size_t)engine->network->units * sensitivity_size(engine);
    memset(block->sensitivities, 0, (size_t)engine->block_rows * size * sizeof(double));
    for (int row = 0; row < engine->block_rows; row++) {
        block->sensitivity_of_row[row] = block->sensitivities + (size_t)row * size;
    }
    block->sensitivity_of_row[BLOCK_TRIALS] = block->sensitivities + (size_t)engine->block_rows * size;
}

static void blocks_run_sensitivities(struct engine *engine, int first_group, int last_group) {
    blocks_run_steps(engine, first_group, last_group, block_sensitivities_reset, block_sensitivities_step,
                     &engine->phases.credit);
}

static bool sensitivities_apply(const struct plan_sizes *s) {
    return s->form == FORWARD_SENSITIVITIES;
}

static double sensitivities_cost(const struct plan_sizes *s) {
    return s->forward + s->trials * s->steps * s->units * s->units * s->units * s->sources;
}

static void sensitivities_carve(struct carver *carver, struct engine *engine, struct block *block) {
    size_t rows = (size_t)engine->block_rows;
    block->sensitivities = carve(carver, size_times((rows + 1) * (size_t)engine->sources, sizeof(double)),
                                 (size_t)engine->network->units * (size_t)engine->network->units);
}

const struct method method_sensitivities = {.name = "forward sensitivities",
                                            .applies = sensitivities_apply,
                                            .cost = sensitivities_cost,
                                            .carve_block = sensitivities_carve,
                                            .run = blocks_run_sensitivities};
