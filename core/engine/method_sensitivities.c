/*
 * Real-time recurrent learning (Williams and Zipser 1989): the exact gradient carried forward. Every trial keeps
 * J[p,k,r] = dv_p / d(weight from source k to unit r), (N, K, N), which obeys
 *
 *     J_t[p,k,r] = leak_p J_{t-1}[p,k,r] + gain_p (delta_pr s_t[k] + sum_j W[j,p] psi_{j,t-1} J_{t-1}[j,k,r])
 *
 * and a step with loss adds sum_p a_{p,t} J_t[p,.,.] to the gradient. In double and in no hurry: it is the check on all
 * other rules.
 *
 * Neuron models other than membrane, and leaky readouts, take the general form: of every unit the tangent of its state
 * (struct neuron_ops) in each of the K N directions, J[p,k,r] = dz_p / d(weight), and where the readout leaks its
 * filtered copy. A step with loss then adds sum_p (err F)_p J_t[p,.,.].
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

/* ---- the general form ---- */

static bool is_general(const struct engine *engine) {
    return !engine->fused || engine->network->readout_leaks;
}

static double psi_of_unit(const struct engine *engine, const struct block *block, int row, int p, int slot) {
    if (engine->fused) {
        size_t at = (size_t)row * engine->stride + (size_t)p;
        return psi_exact(engine->network->activation, (double)history_z(engine, block, slot)[at]);
    }
    return (double)history_psi(engine, block, slot)[row * engine->columns + p];
}

/*
 * One unit's J_t in all directions, from those of all units at t - 1. `tangents` are the unit's, (carries, K N), state
 * by state.
 */
static void unit_tangents(const struct engine *engine, int p, double psi, const float *s, const double *before,
                          double *tangents, double *after) {
    const struct network *network = engine->network;
    const float *W = network->weights + network->offset_W;
    const struct neuron_exact unit = {network->leak_exact[p], network->gain_exact[p], network->rho_exact[p],
                                      network->beta_exact[p]};
    size_t size = sensitivity_size(engine), n = (size_t)network->units;
    for (size_t i = 0; i < size; i++) {
        double du = i % n == (size_t)p ? (double)s[i / n] : 0, state[NEURON_CARRIES_MOST];
        for (size_t j = 0; j < n; j++) {
            du += (double)W[j * n + (size_t)p] * before[j * size + i];
        }
        for (int c = 0; c < engine->neuron->carries; c++) {
            state[c] = tangents[(size_t)c * size + i];
        }
        after[i] = engine->neuron->tangent(&unit, psi, du, before[(size_t)p * size + i], state);
        for (int c = 0; c < engine->neuron->carries; c++) {
            tangents[(size_t)c * size + i] = state[c];
        }
    }
}

/* J_t of one trial; swaps it with the free one. Its filtered copy follows where the readout leaks. */
static void row_tangents(struct engine *engine, struct group *group, struct block *block, int row, int slot) {
    size_t size = sensitivity_size(engine), n = (size_t)engine->network->units,
           carries = (size_t)engine->neuron->carries;
    const float *s = history_slot(engine, block, slot) + (size_t)row * engine->stride + engine->first_source;
    double *before = block->sensitivity_of_row[row], *after = block->sensitivity_of_row[BLOCK_TRIALS];
    for (size_t p = 0; p < n && !work_add(group->work, (double)(size * (n + 4))); p++) {
        unit_tangents(engine, (int)p, psi_of_unit(engine, block, row, (int)p, slot), s, before,
                      block->tangents + ((size_t)row * n + p) * carries * size, after + p * size);
    }
    block->sensitivity_of_row[row] = after;
    block->sensitivity_of_row[BLOCK_TRIALS] = before;
    if (engine->network->readout_leaks) {
        double kappa = engine->network->readout_kappa, *filtered = block->filtered_tangents + (size_t)row * n * size;
        for (size_t i = 0; i < n * size; i++) {
            filtered[i] = kappa * filtered[i] + (1 - kappa) * after[i];
        }
    }
}

static void row_gradient(const struct engine *engine, struct group *group, const struct block *block, int row) {
    size_t n = (size_t)engine->network->units, outputs = (size_t)engine->network->outputs,
           size = sensitivity_size(engine);
    const double *J = engine->network->readout_leaks ? block->filtered_tangents + (size_t)row * n * size
                                                     : block->sensitivity_of_row[row];
    const float *err = block->err + (size_t)row * outputs;
    for (size_t p = 0; p < n && !work_add(group->work, (double)size); p++) {
        double learning = 0;
        for (size_t o = 0; o < outputs; o++) {
            learning += (double)err[o] * (double)engine->feedback[o * (size_t)engine->columns + p];
        }
        for (size_t i = 0; i < size; i++) {
            block->row_total[i] = (p == 0 ? 0 : block->row_total[i]) + learning * J[p * size + i];
        }
    }
    for (size_t i = 0; i < size; i++) {
        group->total[i / n * (size_t)engine->columns + i % n] += (float)block->row_total[i];
    }
}

static void block_tangents_step(struct engine *engine, struct group *group, struct block *block, int t, int slot) {
    for (int row = 0; row < block->rows && !group->work->stopped; row++) {
        row_tangents(engine, group, block, row, slot);
    }
    if (block_loss(engine, group, block, t, slot)) {
        block_learning(engine, group, block, slot);
        for (int row = 0; row < block->rows && !group->work->stopped; row++) {
            row_gradient(engine, group, block, row);
        }
    }
}

/* ---- the run ---- */

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
    if (is_general(engine)) {
        size_t states = (size_t)engine->neuron->carries, rows = (size_t)engine->block_rows;
        memset(block->tangents, 0, rows * states * size * sizeof(double));
        memset(block->filtered_tangents, 0, engine->network->readout_leaks ? rows * size * sizeof(double) : 0);
    }
}

static void blocks_run_sensitivities(struct engine *engine, int first_group, int last_group) {
    blocks_run_steps(engine, first_group, last_group, block_sensitivities_reset,
                     is_general(engine) ? block_tangents_step : block_sensitivities_step, &engine->phases.credit);
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
    if (is_general(engine)) {
        size_t units = (size_t)engine->network->units, states = (size_t)engine->neuron->carries,
               each = size_times((size_t)engine->sources * sizeof(double), units * units);
        block->tangents = carve(carver, rows * states, each);
        block->filtered_tangents = carve(carver, engine->network->readout_leaks ? rows : 0, each);
        block->row_total = carve(carver, (size_t)engine->sources * units, sizeof(double));
    }
}

const struct method method_sensitivities = {.name = "forward sensitivities",
                                            .applies = sensitivities_apply,
                                            .cost = sensitivities_cost,
                                            .carve_block = sensitivities_carve,
                                            .run = blocks_run_sensitivities};
