/*
 * The loss of steps, as core/engine/readout.c: outputs, loss and error of every trial and step side by side; then the
 * sums, each in the order of the engine: trial by trial over time, group by group over its blocks, steps and trials.
 */

/* Losses (weight l), whether the largest output was the class (weight or 0), and err, of steps [from, to). */
__kernel void loss_steps(__global const struct job *jobs, __global const float *history, __global const float *wout_t,
                         __global const float *bout, __global const float *weights, __global const int *classes,
                         __global const float *values, __global float *outputs, __global float *err,
                         __global double *losses, __global double *corrects, int from, int to, int slot) {
    int b = get_global_id(0), t = from + (int)get_global_id(1), i = t - MASK_FROM;
    size_t job = get_global_id(2), at = (job * LOSSES + i) * ROWS_PADDED + b;
    if (b >= ROWS_PADDED || t >= to) {
        return;
    }
    float weight = weights[at];
    __global float *y = outputs + at * OUTPUTS, *e = err + at * OUTPUTS;
    __global const float *z = history + ((job * SLOTS + slot + (t - from) + 1) * ROWS_PADDED + b) * ROW + Z_OFFSET;
    losses[at] = corrects[at] = 0;
    if (weight == 0.0f) {
        for (int o = 0; o < OUTPUTS; o++) {
            e[o] = 0.0f;
        }
        return;
    }
    int best = 0;
    for (int o = 0; o < OUTPUTS; o++) {
        float16 sum = 0.0f;
        for (int c = 0; c < COLUMNS; c += 16) {
            sum = fma(vload16(0, z + c), vload16(0, wout_t + (job * OUTPUTS + o) * COLUMNS + c), sum);
        }
        y[o] = lanes_sum(sum) + bout[job * OUTPUTS + o];
        best = y[o] > y[best] ? o : best;
    }
    double loss = 0;
#if LOSS_IS_CROSS_ENTROPY
    double sum = 0, largest = (double)y[best];
    int class_index = classes[at];
    for (int o = 0; o < OUTPUTS; o++) {
        sum += elementary_exp((double)y[o] - largest);
    }
    for (int o = 0; o < OUTPUTS; o++) {
        e[o] = (float)(elementary_exp((double)y[o] - largest) / sum - (o == class_index));
    }
    loss = elementary_log(sum) + largest - (double)y[class_index];
    corrects[at] = best == class_index ? (double)weight : 0;
#else
    for (int o = 0; o < OUTPUTS; o++) {
        e[o] = y[o] - values[at * OUTPUTS + o];
        loss += 0.5 * (double)e[o] * (double)e[o];
    }
#endif
    losses[at] = (double)weight * loss;
    float scale = (float)((double)weight / jobs[job].weight);
    for (int o = 0; o < OUTPUTS; o++) {
        e[o] *= scale;
    }
}

/* The i-th of the steps [from, to), from the first or, backwards, from the last. */
#define STEP_AT(i, from, to, backwards) ((backwards) ? (to) - 1 - (i) : (from) + (i))

__kernel void loss_of_trials(__global const struct job *jobs, __global const double *losses,
                             __global const double *corrects, __global double *trial_loss,
                             __global double *trial_correct, int from, int to, int backwards, int way) {
    int b = get_global_id(0);
    size_t job = get_global_id(2);
    if (b >= ROWS_PADDED || IDLE(job, way)) {
        return;
    }
    double loss = trial_loss[job * ROWS_PADDED + b], correct = trial_correct[job * ROWS_PADDED + b];
    for (int i = 0; i < to - from; i++) {
        size_t at = (job * LOSSES + STEP_AT(i, from, to, backwards) - MASK_FROM) * ROWS_PADDED + b;
        loss += losses[at];
        correct += corrects[at];
    }
    trial_loss[job * ROWS_PADDED + b] = loss;
    trial_correct[job * ROWS_PADDED + b] = correct;
}

/* total (outputs, columns) of each group += err^T z */
__kernel void readout_gradient(__global const struct job *jobs, __global const float *history,
                               __global const float *err, __global const int *live, __global float *total, int from,
                               int to, int slot, int backwards, int way) {
    int c = get_global_id(0) % COLUMNS, o = get_global_id(0) / COLUMNS, group = get_global_id(1);
    size_t job = get_global_id(2), at = ((job * GROUP_COUNT + group) * OUTPUTS + o) * COLUMNS + c;
    if (o >= OUTPUTS || group >= GROUP_COUNT || IDLE(job, way)) {
        return;
    }
    float sum = total[at];
    for (int block = GROUP_FIRST(group); block < GROUP_FIRST(group + 1); block++) {
        for (int i = 0; i < to - from; i++) {
            int t = STEP_AT(i, from, to, backwards);
            size_t step = job * LOSSES + (t - MASK_FROM);
            if (!live[step * BLOCKS + block]) {
                continue;
            }
            for (int b = block * BLOCK_ROWS; b < (block + 1) * BLOCK_ROWS; b++) {
                float z = history[((job * SLOTS + slot + (t - from) + 1) * ROWS_PADDED + b) * ROW + Z_OFFSET + c];
                sum = fma(err[(step * ROWS_PADDED + b) * OUTPUTS + o], z, sum);
            }
        }
    }
    total[at] = sum;
}

__kernel void bout_gradient(__global const struct job *jobs, __global const float *err, __global double *total,
                            int from, int to, int backwards, int way) {
    int o = get_global_id(0), group = get_global_id(1);
    size_t job = get_global_id(2), at = (job * GROUP_COUNT + group) * OUTPUTS + o;
    if (o >= OUTPUTS || group >= GROUP_COUNT || IDLE(job, way)) {
        return;
    }
    double sum = total[at];
    for (int block = GROUP_FIRST(group); block < GROUP_FIRST(group + 1); block++) {
        for (int i = 0; i < to - from; i++) {
            size_t step = job * LOSSES + (STEP_AT(i, from, to, backwards) - MASK_FROM);
            for (int b = block * BLOCK_ROWS; b < (block + 1) * BLOCK_ROWS; b++) {
                sum += (double)err[(step * ROWS_PADDED + b) * OUTPUTS + o];
            }
        }
    }
    total[at] = sum;
}

/* What a batch adds to, 0. */
__kernel void sums_reset(__global double *trial_loss, __global double *trial_correct, __global float *readout,
                         __global double *bout, __global double *psi, __global float *total, __global double *shared) {
    size_t i = get_global_id(0), job = get_global_id(2);
    if (i < ROWS_PADDED) {
        trial_loss[job * ROWS_PADDED + i] = trial_correct[job * ROWS_PADDED + i] = 0;
    }
    if (i < GROUP_COUNT * OUTPUTS * COLUMNS) {
        readout[job * GROUP_COUNT * OUTPUTS * COLUMNS + i] = 0.0f;
    }
    if (i < GROUP_COUNT * OUTPUTS) {
        bout[job * GROUP_COUNT * OUTPUTS + i] = 0;
    }
    if (i < GROUP_COUNT * COLUMNS) {
        psi[job * GROUP_COUNT * COLUMNS + i] = 0;
    }
    if (i < (size_t)GROUP_COUNT * SOURCES * COLUMNS) {
        total[job * GROUP_COUNT * SOURCES * COLUMNS + i] = 0.0f;
    }
#if MODES
    if (i < (size_t)GROUP_COUNT * 2 * TYPES * SOURCES) {
        shared[job * GROUP_COUNT * 2 * TYPES * SOURCES + i] = 0;
    }
#endif
}

/* Loss, share of correct steps and mean psi of the batch; of a training batch, whether it may be used. */
__kernel void batch_end(__global struct job *jobs, __global const double *trial_loss,
                        __global const double *trial_correct, __global const double *psi, int training) {
    size_t job = get_global_id(2);
    double loss = 0, correct = 0, weight = jobs[job].weight, all = 0;
    int trials = (int)jobs[job].trials;
    long silent = 0;
    for (int b = 0; b < trials; b++) {
        loss += trial_loss[job * ROWS_PADDED + b];
        correct += trial_correct[job * ROWS_PADDED + b];
    }
    jobs[job].loss = weight > 0 ? loss / weight : as_double(0x7ff8000000000000UL);
    jobs[job].correct = weight > 0 ? correct / weight : as_double(0x7ff8000000000000UL);
#if COUNT_PSI
    for (int p = 0; p < UNITS; p++) {
        double unit = 0;
        for (int group = 0; group < GROUP_COUNT; group++) {
            unit += psi[(job * GROUP_COUNT + group) * COLUMNS + p];
        }
        all += unit;
        silent += unit == 0;
    }
    jobs[job].psi_mean = all / ((double)UNITS * STEPS * trials);
    jobs[job].silent = silent;
#endif
    if (training && jobs[job].failed == NEVER && weight > 0 && !isfinite(jobs[job].loss)) {
        jobs[job].failed = jobs[job].iteration;
    }
}
