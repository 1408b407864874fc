/*
 * The modes of modprop with type averages (core/engine/method_traces.c): V, its inverse and the decays after every
 * change of weights; sums over time by mode and by type; and the share of each type in the end. The eigenvalue problem
 * is the processor's own text (core/base/eigen_complex.h), one work-item a job.
 */
#if MODES

__kernel void modes_make(__global struct job *jobs, __global const double *averages, __global const int *type_sizes,
                         __global const double *mu_of, __global struct mode *modes, __global double *vectors,
                         __global double *inverse) {
    size_t job = get_global_id(2), square = TYPES * TYPES;
    double matrix[TYPES * TYPES], copy[TYPES * TYPES], found[TYPES * TYPES], re[TYPES], im[TYPES];
    complex_t scratch[2 * TYPES * TYPES + 2 * TYPES];
    struct work none;
    jobs[job].modes_good = 0;
    for (int i = 0; i < TYPES; i++) {
        for (int h = 0; h < TYPES; h++) {
            double mu = MU_GIVEN ? mu_of[job * TYPES + i] : 1;
            matrix[i * TYPES + h] = type_sizes[job * UNITS + i] * averages[job * square + i * TYPES + h] * mu;
            if (!isfinite(matrix[i * TYPES + h])) {
                return;
            }
        }
    }
    if (complex_decompose(TYPES, matrix, scratch, &none, re, im, found) != 0) {
        return;
    }
    for (int i = 0; i < TYPES * TYPES; i++) {
        copy[i] = vectors[job * square + i] = found[i];
    }
    if (!matrix_invert(TYPES, copy, matrix, &none)) {
        return;
    }
    double condition = matrix_norm(TYPES, found) * matrix_norm(TYPES, matrix);
    double step = (MU_GIVEN ? 1 : (double)(float)jobs[job].mu) * jobs[job].gain;
    for (int k = 0; k < TYPES; k++) {
        for (int i = 0; i < TYPES; i++) {
            inverse[job * square + i * TYPES + k] = matrix[k * TYPES + i];
        }
        struct mode mode = {jobs[job].leak + step * re[k], im[k] != 0 ? step * im[k] : 0, im[k] != 0, 0};
        modes[job * TYPES + k] = mode;
    }
    for (int k = 0; k < TYPES; k++) {
        k += im[k] != 0;
        if (im[k] != 0) {
            modes[job * TYPES + k].pair = 2; /* the other of a pair */
        }
    }
    jobs[job].modes_good = condition <= 300.0;
}

/* Of each trial at the steps with loss [from, to): A = a P; y = V^-1 A; and y turned by a quarter, of pairs. */
#define SIGNAL(job, t, b) (((job) * KEPT_STEPS + KEPT(t)) * ROWS_PADDED + (b)) * 3 * TYPES

__kernel void modes_signals(__global const struct job *jobs, __global const float *factors, __global const int *types,
                            __global const double *inverse, __global const struct mode *modes, __global float *signals,
                            int from, int to) {
    int b = get_global_id(0), t = from + (int)get_global_id(1);
    size_t job = get_global_id(2);
    if (b >= ROWS_PADDED || t >= to || IDLE(job, BY_TRACES)) {
        return;
    }
    __global float *A = signals + SIGNAL(job, t, b), *y = A + TYPES, *turned = y + TYPES;
    __global const float *a = factors + ((job * RING + ENTRY(t)) * ROWS_PADDED + b) * COLUMNS;
    double sums[TYPES];
    for (int type = 0; type < TYPES; type++) {
        float gathered = 0.0f;
        for (int p = 0; p < UNITS; p++) {
            gathered = fma(a[p], types[job * UNITS + p] == type ? 1.0f : 0.0f, gathered);
        }
        A[type] = gathered;
        sums[type] = 0;
    }
    for (int i = 0; i < TYPES; i++) {
        for (int k = 0; k < TYPES; k++) {
            sums[k] += inverse[(job * TYPES + i) * TYPES + k] * (double)A[i];
        }
    }
    for (int k = 0; k < TYPES; k++) {
        y[k] = (float)sums[k];
    }
    for (int k = 0; k < TYPES; k++) {
        if (modes[job * TYPES + k].pair == 1) {
            turned[k] = y[k + 1];
            turned[k + 1] = -y[k];
        }
    }
}

/* sum over the trials of a block of signal `at` times trace m, added to `to` as the engine's outer product is. */
float modes_add(__global const float *signals, __global const float *kept, size_t job, int t, int block, int at, int m,
                size_t source, float to) {
    float sum = 0.0f;
    for (int b = block * BLOCK_ROWS; b < (block + 1) * BLOCK_ROWS; b++) {
        sum = fma(signals[SIGNAL(job, t, b) + at],
                  kept[(((job * KEPT_STEPS + KEPT(t)) * TRACES + m) * ROWS_PADDED + b) * ROW + source], sum);
    }
    return to + sum;
}

/* (2, TYPES, sources) of each group: by mode, then of the eligibility trace by type; in double beyond [from, to). */
__kernel void modes_shared(__global const struct job *jobs, __global const struct mode *modes,
                           __global const float *signals, __global const float *kept, __global double *shared, int from,
                           int to) {
    int k = get_global_id(0), row = get_global_id(1) % (2 * TYPES), group = get_global_id(1) / (2 * TYPES);
    size_t job = get_global_id(2), source = FIRST_SOURCE + k;
    if (k >= SOURCES || group >= GROUP_COUNT || IDLE(job, BY_TRACES)) {
        return;
    }
    float sum = 0.0f;
    int pair = row < TYPES ? (int)modes[job * TYPES + row].pair : 0, trace = row + 1 - (pair == 2);
    for (int block = GROUP_FIRST(group); block < GROUP_FIRST(group + 1); block++) {
        for (int t = from; t < to; t++) {
            if (row >= TYPES) {
                sum = modes_add(signals, kept, job, t, block, row - TYPES, 0, source, sum);
                continue;
            }
            sum = modes_add(signals, kept, job, t, block, TYPES + row, trace, source, sum);
            if (pair) {
                sum = modes_add(signals, kept, job, t, block, 2 * TYPES + row, trace + 1, source, sum);
            }
        }
    }
    shared[((job * GROUP_COUNT + group) * 2 * TYPES + row) * SOURCES + k] += (double)sum;
}

__kernel void modes_shares(__global const struct job *jobs, __global const double *shared,
                           __global const double *vectors, __global double *shares) {
    int k = get_global_id(0), type = get_global_id(1);
    size_t job = get_global_id(2);
    if (k >= SOURCES || type >= TYPES || IDLE(job, BY_TRACES)) {
        return;
    }
    double share = 0;
    for (int m = 0; m < TYPES; m++) {
        double mode = 0;
        for (int group = 0; group < GROUP_COUNT; group++) {
            size_t at = ((job * GROUP_COUNT + group) * 2 * TYPES + m) * SOURCES + k;
            mode += shared[at];
            share -= m == type ? shared[at + TYPES * SOURCES] : 0;
        }
        share += vectors[(job * TYPES + type) * TYPES + m] * mode;
    }
    shares[(job * SOURCES + k) * TYPES + type] = share;
}
#endif
