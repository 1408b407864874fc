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

static void block_learning(struct engine *engine, struct group *group, struct block *block, const float *z) {
    int outputs = engine->network->outputs, columns = engine->columns;
    engine->kernels->learning_signal(block->rows, columns, outputs, engine->network->activation, z, engine->stride,
                                     block->err, engine->feedback, block->a);
    engine->kernels->readout_gradient(block->rows, columns, outputs, z, engine->stride, block->err, group->readout);
    for (int row = 0; row < block->rows; row++) {
        for (int o = 0; o < outputs; o++) {
            group->bout[o] += (double)block->err[row * outputs + o];
        }
    }
}

/* Targets come from outside the engine: a class that the outputs do not have would be read out of bounds. */
static bool class_is_valid(const struct engine *engine, int class_index) {
    return engine->options.loss != LOSS_CROSS_ENTROPY || (class_index >= 0 && class_index < engine->network->outputs);
}

bool block_loss(struct engine *engine, struct group *group, struct block *block, int t, int slot, bool gradient) {
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
    double each = (double)block->rows * engine->network->units * outputs;
    if (work_add(group->work, (gradient ? 3 : 1) * each)) {
        return false;
    }
    const float *z = history_z(engine, block, slot);
    engine->kernels->readout(block->rows, engine->columns, outputs, z, engine->stride, engine->wout_t, engine->bout,
                             block->y);
    for (int row = 0; row < block->rows; row++) {
        if (weights[row] != 0.0f) {
            row_loss(engine, block, row, weights[row], classes[row]);
        } else {
            memset(block->err + row * outputs, 0, (size_t)outputs * sizeof(float));
        }
    }
    if (gradient) {
        block_learning(engine, group, block, z);
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
