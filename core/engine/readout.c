/*
 * The loss: E = sum_{t,b} m l / sum m, l softmax cross-entropy against a class or half the squared error summed over
 * outputs; its derivative err = dE/dy by outputs, and from it the learning signal a_t = psi_t * (err_t F) and the
 * gradient of the readout.
 */
#include <string.h>

#include "core/base/elementary.h"
#include "core/engine/internal.h"

/* l, and err before the factor m / sum m; *correct whether the largest output is the class. */
static double cross_entropy(int outputs, const float *y, int class_index, float *err, bool *correct) {
    int best = 0;
    for (int o = 1; o < outputs; o++) {
        if (y[o] > y[best]) {
            best = o;
        }
    }
    *correct = best == class_index;
    double sum = 0, largest = (double)y[best];
    for (int o = 0; o < outputs; o++) {
        sum += elementary_exp((double)y[o] - largest);
    }
    for (int o = 0; o < outputs; o++) {
        err[o] = (float)(elementary_exp((double)y[o] - largest) / sum - (o == class_index));
    }
    return elementary_log(sum) + largest - (double)y[class_index];
}

static double squared_error(int outputs, const float *y, float *err) {
    double sum = 0;
    for (int o = 0; o < outputs; o++) {
        err[o] = y[o] - err[o]; /* the target is stored where the error will be */
        sum += 0.5 * (double)err[o] * (double)err[o];
    }
    return sum;
}

static float trial_weight(const struct engine *engine, int trial, int t, int *class_index, float *values) {
    return engine->source->target(engine->source->user, (size_t)trial, t, class_index, values);
}

/* Loss of one trial, its err scaled by m / sum m. */
static void row_loss(struct engine *engine, struct block *block, int row, float weight, int class_index) {
    int outputs = engine->network->outputs, trial = block->first + row;
    const float *y = block->y + row * outputs;
    float *err = block->err + row * outputs;
    bool correct = false;
    double loss = engine->options.loss == LOSS_CROSS_ENTROPY ? cross_entropy(outputs, y, class_index, err, &correct)
                                                             : squared_error(outputs, y, err);
    engine->trial_loss[trial] += (double)weight * loss;
    engine->trial_correct[trial] += correct ? (double)weight : 0;
    float scale = (float)((double)weight / engine->weight_sum);
    for (int o = 0; o < outputs; o++) {
        err[o] *= scale;
    }
}

/* a_t, and L_t where psi does not follow from z, from the outputs' signal (rows, O). */
static void signal_spread(struct engine *engine, struct block *block, int slot, const float *signal) {
    int outputs = engine->network->outputs, columns = engine->columns;
    if (engine->fused) {
        engine->kernels->learning_signal(block->rows, columns, outputs, engine->network->activation,
                                         history_z(engine, block, slot), engine->stride, signal, engine->feedback,
                                         block->a);
    } else {
        engine->kernels->learning(block->rows, columns, outputs, signal, engine->feedback, engine->cost,
                                  history_psi(engine, block, slot), block->learning, block->a);
    }
}

static void bout_add(const struct engine *engine, struct group *group, const struct block *block) {
    int outputs = engine->network->outputs;
    for (int row = 0; row < block->rows; row++) {
        for (int o = 0; o < outputs; o++) {
            group->bout[o] += (double)block->err[row * outputs + o];
        }
    }
}

/* dWout = sum_t z_t^T (1 - kappa) f_t = sum_t zbar_t^T err_t, zbar the filtered rates: that is the form forward in
 * time. */
void block_learning(struct engine *engine, struct group *group, struct block *block, int slot) {
    int outputs = engine->network->outputs, columns = engine->columns;
    if (work_add(group->work, 2.0 * block->rows * engine->network->units * outputs)) {
        return;
    }
    signal_spread(engine, block, slot, block->err);
    bool leaky = engine->network->readout_leaks;
    const float *z = leaky ? filtered_at(engine, block, slot) : history_z(engine, block, slot);
    engine->kernels->readout_gradient(block->rows, columns, outputs, z, leaky ? (size_t)columns : engine->stride,
                                      block->err, group->readout);
    bout_add(engine, group, block);
}

bool block_learning_back(struct engine *engine, struct group *group, struct block *block, int slot, bool loss,
                         bool cut) {
    int outputs = engine->network->outputs;
    if (!engine->network->readout_leaks) {
        if (loss) {
            block_learning(engine, group, block, slot);
        } else if (engine->cost) {
            signal_spread(engine, block, slot, NULL);
        }
        return loss || engine->cost;
    }
    block->live = block->live || loss || engine->cost;
    if (!block->live || work_add(group->work, 2.0 * block->rows * engine->network->units * outputs)) {
        return false;
    }
    const float kappa = (float)engine->network->readout_kappa;
    for (int i = 0; i < block->rows * outputs; i++) {
        block->f[i] = (cut ? 0.0f : kappa * block->f[i]) + (loss ? block->err[i] : 0.0f);
        block->signal[i] = (1.0f - kappa) * block->f[i];
    }
    signal_spread(engine, block, slot, block->signal);
    engine->kernels->readout_gradient(block->rows, engine->columns, outputs, history_z(engine, block, slot),
                                      engine->stride, block->signal, group->readout);
    if (loss) {
        bout_add(engine, group, block);
    }
    return true;
}

void block_readout(struct engine *engine, struct block *block, int slot) {
    int outputs = engine->network->outputs;
    if (!engine->network->readout_leaks) {
        engine->kernels->readout(block->rows, engine->columns, outputs, history_z(engine, block, slot), engine->stride,
                                 engine->wout_t, engine->bout, block->y);
    } else if (block->y_kept && engine->want_gradient && engine->method == METHOD_REVERSE) {
        memcpy(block->y, block->y_kept + (size_t)slot * (size_t)(engine->block_rows * outputs),
               (size_t)(block->rows * outputs) * sizeof(float));
    } else {
        engine->kernels->readout(block->rows, engine->columns, outputs, filtered_at(engine, block, slot),
                                 (size_t)engine->columns, engine->wout_t, engine->bout, block->y);
    }
}

/* Targets come from outside the engine: a class that the outputs do not have would be read out of bounds. */
static bool class_is_valid(const struct engine *engine, int class_index) {
    return engine->options.loss != LOSS_CROSS_ENTROPY || (class_index >= 0 && class_index < engine->network->outputs);
}

bool block_loss(struct engine *engine, struct group *group, struct block *block, int t, int slot) {
    int outputs = engine->network->outputs;
    if (t < engine->options.mask_from) {
        return false;
    }
    float weights[BLOCK_TRIALS] = {0};
    int classes[BLOCK_TRIALS] = {0};
    bool any = false, valid = true;
    work_add(group->work, block->rows * engine->options.target_work);
    for (int row = 0; row < block->rows; row++) {
        weights[row] = trial_weight(engine, block->first + row, t, &classes[row], block->err + row * outputs);
        any = any || weights[row] != 0.0f;
        valid = valid && (weights[row] == 0.0f || class_is_valid(engine, classes[row]));
    }
    if (!valid) {
        atomic_store(&engine->class_invalid, true);
        atomic_store(&engine->stopped, true);
    }
    if (!any || !valid) {
        return false;
    }
    if (work_add(group->work, (double)block->rows * engine->network->units * outputs)) {
        return false;
    }
    block_readout(engine, block, slot);
    for (int row = 0; row < block->rows; row++) {
        if (weights[row] != 0.0f) {
            row_loss(engine, block, row, weights[row], classes[row]);
        } else {
            memset(block->err + row * outputs, 0, (size_t)outputs * sizeof(float));
        }
    }
    return true;
}

double batch_weight_sum(const struct engine *engine) {
    const struct batch_options *options = &engine->options;
    if (options->mask_uniform) {
        return (double)(options->steps - options->mask_from) * engine->trials;
    }
    double sum = 0;
    int class_index;
    double each = (options->steps - options->mask_from) * options->target_work;
    for (int trial = 0; trial < engine->trials && !work_add(engine->work, each); trial++) {
        for (int t = options->mask_from; t < options->steps; t++) {
            sum += (double)trial_weight(engine, trial, t, &class_index, engine->blocks[0].err);
        }
    }
    return sum;
}
