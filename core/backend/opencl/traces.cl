/*
 * The forward form (core/engine/method_traces.c): exponential traces of every source and trial, and what a step with
 * loss takes of them. Traces are (jobs, TRACES, trials, ROW): the eligibility trace first. Where every step from
 * MASK_FROM on carries loss, step t has the entries ENTRIES (t - MASK_FROM) and on of two rings: the rows of the
 * trace (jobs, RING, trials, ROW) and their factors (jobs, RING, trials, columns), of which outer_add makes the
 * gradient.
 */
#if TRACES
#define ENTRY(t) (((t) - MASK_FROM) * ENTRIES % RING)

#define KEPT(t) (((t) - MASK_FROM) % KEPT_STEPS)

/* One mode of a job: vector k, and the next one where it is a pair. */
struct mode {
    double decay_re, decay_im;
    long pair, unused;
};

__kernel void traces_reset(__global float *traces) {
    size_t i = get_global_id(0), job = get_global_id(2), size = (size_t)TRACES * ROWS_PADDED * ROW;
    if (i < size) {
        traces[job * size + i] = 0.0f;
    }
}

/* Steps [from, to), `slot` that of step `from`; traces at steps with loss into `rows`, and all of them into `kept`. */
__kernel void traces_advance(__global const struct job *jobs, __global const struct mode *modes,
                             __global const float *units, __global const float *history, __global float *traces,
                             __global float *rows, __global float *kept, int from, int to, int slot) {
    int k = get_global_id(0), b = get_global_id(1);
    size_t job = get_global_id(2), size = (size_t)ROWS_PADDED * ROW, at = (size_t)b * ROW + FIRST_SOURCE + k;
    if (k >= SOURCES || b >= ROWS_PADDED || IDLE(job, BY_TRACES)) {
        return;
    }
    __global float *trace = traces + job * TRACES * size + at;
    float e[TRACES], re[TRACES], im[TRACES];
    int pair[TRACES];
    float gain = units[job * 2 * COLUMNS + COLUMNS];
    for (int m = 0; m < TRACES; m++) {
        e[m] = trace[m * size];
        re[m] = im[m] = 0.0f;
        pair[m] = 0;
    }
    re[0] = units[job * 2 * COLUMNS];
#if MODES
    for (int m = 1; m < TRACES; m++) {
        struct mode mode = modes[job * TYPES + m - 1];
        re[m] = (float)mode.decay_re;
        im[m] = (float)mode.decay_im;
        pair[m] = (int)mode.pair;
    }
#endif
    for (int t = from; t < to; t++) {
        float drive = gain * history[(job * SLOTS + slot + (t - from)) * size + at], before = e[0];
        for (int m = 0; m < TRACES; m++) {
            if (pair[m]) {
                float turned = fma(re[m], e[m], fma(-im[m], e[m + 1], drive));
                e[m + 1] = fma(re[m], e[m + 1], im[m] * e[m]);
                e[m] = turned;
                m++;
            } else {
                e[m] = fma(re[m], e[m], drive);
            }
        }
        if (t >= MASK_FROM) {
            rows[(job * RING + ENTRY(t)) * size + at] = e[0];
#if ENTRIES == 2
            rows[(job * RING + ENTRY(t) + 1) * size + at] = before;
#endif
#if MODES
            for (int m = 0; m < TRACES; m++) {
                kept[((job * KEPT_STEPS + KEPT(t)) * TRACES + m) * size + at] = e[m];
            }
#endif
        }
    }
    for (int m = 0; m < TRACES; m++) {
        trace[m * size] = e[m];
    }
}

/* a_t of the steps with loss among [from, to), as the factors of the eligibility trace. */
__kernel void traces_factors(__global const float *history, __global const float *err, __global const float *feedback,
                             __global float *factors, int from, int to, int slot) {
    int c = get_global_id(0) % COLUMNS, t = from + (int)(get_global_id(0) / COLUMNS), b = get_global_id(1);
    size_t job = get_global_id(2), step = job * LOSSES + (t - MASK_FROM);
    if (t >= to || b >= ROWS_PADDED || t < MASK_FROM) {
        return;
    }
    float a = 0.0f;
    for (int o = 0; o < OUTPUTS; o++) {
        a = fma(err[(step * ROWS_PADDED + b) * OUTPUTS + o], feedback[(job * OUTPUTS + o) * COLUMNS + c], a);
    }
    float z = history[((job * SLOTS + slot + (t - from) + 1) * ROWS_PADDED + b) * ROW + Z_OFFSET + c];
    factors[((job * RING + ENTRY(t)) * ROWS_PADDED + b) * COLUMNS + c] = psi_times(z, a);
}

#if ENTRIES == 2
/* mdgl: psi_{t-1} ((gain a_t) M^T), the factors of the trace of the step before. Work-groups as in forward.cl. */
__kernel __attribute__((reqd_work_group_size(GROUP_ITEMS, 1, 1))) void traces_hop(
    __global const float4 *restrict matrix, __global const float *restrict units, __global const int *restrict types,
    __global const float *restrict history, __global float *restrict factors, int from, int slot) {
    __local float sources[UNITS * PITCH];
#if HOP_TYPES
    __local float thin[HOP_TYPES * PITCH];
#endif
    const int id = get_local_id(0), lane = id % LANE_COUNT, tile = id / LANE_COUNT, t = from + (int)get_global_id(1);
    const size_t job = get_global_id(2), array = (size_t)ROWS_PADDED * COLUMNS;
    const int row0 = get_group_id(0) * GROUP_ROWS, row = row0 + tile * TILE_ROWS;
    __global const float *a = factors + (job * RING + ENTRY(t)) * array;
    __global float *to = factors + (job * RING + ENTRY(t) + 1) * array;
    __global const float *z = history + (job * SLOTS + slot + (t - from)) * ROWS_PADDED * ROW + Z_OFFSET;
    for (int i = id; i < GROUP_ROWS * UNITS; i += GROUP_ITEMS) {
        int r = i / UNITS, c = i % UNITS;
        sources[c * PITCH + r] = units[job * 2 * COLUMNS + COLUMNS + c] * a[(size_t)(row0 + r) * COLUMNS + c];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    float sum[TILE_ROWS][4];
#if HOP_TYPES
    for (int i = id; i < GROUP_ROWS * HOP_TYPES; i += GROUP_ITEMS) {
        int r = i % GROUP_ROWS, type = i / GROUP_ROWS;
        float gathered = 0.0f;
        for (int k = 0; k < UNITS; k++) {
            gathered = fma(sources[k * PITCH + r], types[job * UNITS + k] == type ? 1.0f : 0.0f, gathered);
        }
        thin[type * PITCH + r] = gathered;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    PRODUCT(sum, HOP_TYPES, thin + tile * TILE_ROWS, matrix + job * HOP_TYPES * LANE_COUNT);
#else
    PRODUCT(sum, UNITS, sources + tile * TILE_ROWS, matrix + job * UNITS * LANE_COUNT);
#endif
    for (int j = 0; j < 4; j++) {
        int c = lane + LANE_COUNT * j;
        for (int r = 0; r < TILE_ROWS && c < UNITS; r++) {
            to[(size_t)(row + r) * COLUMNS + c] = psi_times(z[(size_t)(row + r) * ROW + c], sum[r][j]);
        }
    }
}
#endif
#endif
