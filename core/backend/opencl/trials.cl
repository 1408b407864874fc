/*
 * The trials of a batch: their names, what a task draws for them, their inputs as source rows, and their targets. A
 * task is a file task_NAME.cl that defines
 *
 *     task_draw(job, id, drawn)                     what core/tasks/NAME.c draws for a trial
 *     task_inputs(job, data, id, drawn, t, x)       x[0..INPUTS) of step t
 *     task_target(job, data, drawn, t, &class, values)    the weight of step t >= MASK_FROM, and its target
 *
 * and TASK_FILE, the one that the host has chosen, is the text before this.
 */

/* The training trials of the next update. */
__kernel void ids_training(__global const struct job *jobs, __global struct id *ids) {
    int b = get_global_id(0);
    size_t job = get_global_id(2);
    if (b < ROWS_PADDED) {
        struct id id = {PHASE_TRAINING, jobs[job].iteration, b};
        ids[job * ROWS_PADDED + b] = id;
    }
}

#if HAS_TASK
__kernel void trials_draw(__global const struct job *jobs, __global const struct id *ids,
                          __global struct drawn *drawn) {
    int b = get_global_id(0);
    size_t job = get_global_id(2), at = job * ROWS_PADDED + b;
    if (b < ROWS_PADDED) {
        struct drawn made = {0, 0, 0, 0};
        if (b < jobs[job].trials) {
            struct id id = ids[at];
            task_draw(&jobs[job], id, &made);
        }
        drawn[at] = made;
    }
}

/* Inputs of steps [from, from + steps) into the source rows from `slot` on; rows without a trial have 0. */
__kernel void inputs_draw(__global const struct job *jobs, __global const float *data, __global const struct id *ids,
                          __global const struct drawn *drawn, __global float *history, int from, int steps, int slot) {
    int b = get_global_id(0), i = get_global_id(1);
    size_t job = get_global_id(2), at = job * ROWS_PADDED + b;
    if (b >= ROWS_PADDED || i >= steps) {
        return;
    }
    __global float *row = history + ((job * SLOTS + slot + i) * ROWS_PADDED + b) * ROW + FIRST_SOURCE;
    if (b < jobs[job].trials) {
        struct id id = ids[at];
        struct drawn trial = drawn[at];
        task_inputs(&jobs[job], data + job * DATA_FLOATS, id, trial, from + i, row);
    } else {
        for (int k = 0; k < INPUTS; k++) {
            row[k] = 0.0f;
        }
    }
}

__kernel void targets_draw(__global const struct job *jobs, __global const float *data,
                           __global const struct drawn *drawn, __global float *weights, __global int *classes,
                           __global float *values) {
    int b = get_global_id(0), i = get_global_id(1);
    size_t job = get_global_id(2), at = (job * LOSSES + i) * ROWS_PADDED + b;
    if (b >= ROWS_PADDED || i >= LOSSES) {
        return;
    }
    int class_index = 0;
    float weight = 0.0f;
    if (b < jobs[job].trials) {
        struct drawn trial = drawn[job * ROWS_PADDED + b];
        weight = task_target(&jobs[job], data + job * DATA_FLOATS, trial, MASK_FROM + i, &class_index,
                             values + at * OUTPUTS);
    }
    weights[at] = weight;
    classes[at] = class_index;
}
#endif

/* Inputs that the host has given, (STEPS, trials, INPUTS), into the source rows from `slot` on. */
__kernel void inputs_given(__global const float *given, __global float *history, int from, int steps, int slot) {
    int b = get_global_id(0), i = get_global_id(1);
    size_t job = get_global_id(2);
    if (b >= ROWS_PADDED || i >= steps) {
        return;
    }
    __global float *row = history + ((job * SLOTS + slot + i) * ROWS_PADDED + b) * ROW + FIRST_SOURCE;
    for (int k = 0; k < INPUTS; k++) {
        row[k] = given[((job * STEPS + from + i) * ROWS_PADDED + b) * INPUTS + k];
    }
}

/* The number 1 that is the source of the bias, in every source row. */
__kernel void bias_fill(__global float *history) {
    size_t row = get_global_id(0), job = get_global_id(2);
    if (row < (size_t)SLOTS * ROWS_PADDED) {
        history[(job * SLOTS * ROWS_PADDED + row) * ROW + Z_OFFSET - 1] = 1.0f;
    }
}

/*
 * sum m over the batch, trial by trial as core/engine/readout.c adds it; and whether a block has a step with loss.
 */
__kernel void weights_sum(__global struct job *jobs, __global const float *weights, __global int *live) {
    size_t job = get_global_id(2);
    double sum = 0;
    int trials = (int)jobs[job].trials;
#if MASK_UNIFORM
    sum = (double)LOSSES * trials;
#else
    for (int b = 0; b < trials; b++) {
        for (int i = 0; i < LOSSES; i++) {
            sum += (double)weights[(job * LOSSES + i) * ROWS_PADDED + b];
        }
    }
#endif
    jobs[job].weight = sum;
    for (int i = 0; i < LOSSES; i++) {
        for (int block = 0; block < BLOCKS; block++) {
            int any = 0;
            for (int r = 0; r < BLOCK_ROWS; r++) {
                any = any || weights[(job * LOSSES + i) * ROWS_PADDED + block * BLOCK_ROWS + r] != 0.0f;
            }
            live[(job * LOSSES + i) * BLOCKS + block] = any;
        }
    }
}
