/*
 * The forward pass of the membrane model: one work-group a job and a part of its trials, a tile of TILE_ROWS trials by
 * four columns a work-item, every column the sum over sources in order (core/kernels/kernels.h). The sources of a step
 * are in local memory, transposed, [source][trial]; the packed weights give a work-item its four columns lane, lane +
 * LANES, ... in one vector, so that reading W and storing z are free of bank conflicts.
 */
#define TILES (GROUP_ROWS / TILE_ROWS)
#define PITCH (GROUP_ROWS + (GROUP_ROWS % 8 == 0 ? 4 : 0))
#define GROUP_ITEMS (LANE_COUNT * TILES)
#define ROW_GROUPS (ROWS_PADDED / GROUP_ROWS)
#define EXTERNAL_LOADS ((GROUP_ROWS * EXTERNAL + GROUP_ITEMS - 1) / GROUP_ITEMS)

/* TILE_ROWS floats from local memory */
#if TILE_ROWS % 4 == 0
#define LOAD_ROWS(to, from)                                                                                            \
    do {                                                                                                               \
        UNROLL for (int q = 0; q < TILE_ROWS / 4; q++) {                                                               \
            float4 four = vload4(q, from);                                                                             \
            to[4 * q] = four.x, to[4 * q + 1] = four.y, to[4 * q + 2] = four.z, to[4 * q + 3] = four.w;                \
        }                                                                                                              \
    } while (0)
#define STORE_ROWS(from, to)                                                                                           \
    do {                                                                                                               \
        UNROLL for (int q = 0; q < TILE_ROWS / 4; q++) {                                                               \
            vstore4((float4)(from[4 * q], from[4 * q + 1], from[4 * q + 2], from[4 * q + 3]), q, to);                  \
        }                                                                                                              \
    } while (0)
#else
#define LOAD_ROWS(to, from)                                                                                            \
    do {                                                                                                               \
        for (int q = 0; q < TILE_ROWS; q++) {                                                                          \
            to[q] = (from)[q];                                                                                         \
        }                                                                                                              \
    } while (0)
#define STORE_ROWS(from, to)                                                                                           \
    do {                                                                                                               \
        for (int q = 0; q < TILE_ROWS; q++) {                                                                          \
            (to)[q] = from[q];                                                                                         \
        }                                                                                                              \
    } while (0)
#endif

/* sum[r][j] = sum over k < COUNT of rows [k][r] (local, `in`) times packed [k][column lane + j LANES] */
#define PRODUCT(sum, COUNT, in, packed)                                                                                \
    do {                                                                                                               \
        UNROLL for (int r = 0; r < TILE_ROWS; r++) {                                                                   \
            sum[r][0] = sum[r][1] = sum[r][2] = sum[r][3] = 0.0f;                                                      \
        }                                                                                                              \
        UNROLL_4 for (int k = 0; k < (COUNT); k++) {                                                                   \
            float4 w = (packed)[k * LANE_COUNT + lane];                                                                \
            float s[TILE_ROWS] = {0.0f};                                                                               \
            LOAD_ROWS(s, (in) + k * PITCH);                                                                            \
            UNROLL for (int r = 0; r < TILE_ROWS; r++) {                                                               \
                sum[r][0] = fma(s[r], w.x, sum[r][0]);                                                                 \
                sum[r][1] = fma(s[r], w.y, sum[r][1]);                                                                 \
                sum[r][2] = fma(s[r], w.z, sum[r][2]);                                                                 \
                sum[r][3] = fma(s[r], w.w, sum[r][3]);                                                                 \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)

/*
 * `steps` steps whose source rows begin at `slot`: z_t goes into the next slot. v is (jobs, trials, columns); `units`
 * (jobs, 2, columns) has leak and gain.
 */
__kernel __attribute__((reqd_work_group_size(GROUP_ITEMS, 1, 1))) void forward(__global const float4 *restrict packed,
                                                                               __global const float *restrict units,
                                                                               __global float *restrict history,
                                                                               __global float *restrict v_kept,
                                                                               int slot, int steps) {
    __local float sources[2][SOURCES * PITCH];
    const int id = get_local_id(0), lane = id % LANE_COUNT, tile = id / LANE_COUNT;
    const size_t job = get_global_id(2);
    const int row0 = get_group_id(0) * GROUP_ROWS, row = row0 + tile * TILE_ROWS;
    __global const float4 *W = packed + job * SOURCES * LANE_COUNT;
    __global const float *unit = units + job * 2 * COLUMNS;
    __global float *at = history + (job * SLOTS + slot) * ROWS_PADDED * ROW;
    __global float *vs = v_kept + job * ROWS_PADDED * COLUMNS;
    float v[TILE_ROWS][4], leak[4], gain[4], next[EXTERNAL_LOADS];
    UNROLL
    for (int j = 0; j < 4; j++) {
        int c = lane + LANE_COUNT * j;
        leak[j] = c < UNITS ? unit[c] : 0.0f;
        gain[j] = c < UNITS ? unit[COLUMNS + c] : 0.0f;
        UNROLL
        for (int r = 0; r < TILE_ROWS; r++) {
            v[r][j] = c < UNITS ? vs[(size_t)(row + r) * COLUMNS + c] : 0.0f;
        }
    }
    for (int i = id; i < GROUP_ROWS * SOURCES; i += GROUP_ITEMS) {
        int r = i / SOURCES, k = i % SOURCES;
        sources[0][k * PITCH + r] = at[(size_t)(row0 + r) * ROW + FIRST_SOURCE + k];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int t = 0; t < steps; t++) {
        __local const float *in = sources[t & 1] + tile * TILE_ROWS;
        __local float *out = sources[(t + 1) & 1];
        at += (size_t)ROWS_PADDED * ROW;
        UNROLL
        for (int l = 0; l < EXTERNAL_LOADS; l++) {
            int i = id + l * GROUP_ITEMS;
            next[l] = i < GROUP_ROWS * EXTERNAL && t + 1 < steps
                          ? at[(size_t)(row0 + i / EXTERNAL) * ROW + FIRST_SOURCE + i % EXTERNAL]
                          : 0.0f;
        }
        float sum[TILE_ROWS][4];
        PRODUCT(sum, SOURCES, in, W);
        UNROLL
        for (int j = 0; j < 4; j++) {
            int c = lane + LANE_COUNT * j;
            float z[TILE_ROWS];
            UNROLL
            for (int r = 0; r < TILE_ROWS; r++) {
                v[r][j] = fma(gain[j], sum[r][j], leak[j] * v[r][j]);
                z[r] = rate_of(v[r][j]);
            }
            if (c < UNITS) {
                STORE_ROWS(z, out + (EXTERNAL + c) * PITCH + tile * TILE_ROWS);
                UNROLL
                for (int r = 0; r < TILE_ROWS; r++) {
                    at[(size_t)(row + r) * ROW + Z_OFFSET + c] = z[r];
                }
            }
        }
        UNROLL
        for (int l = 0; l < EXTERNAL_LOADS; l++) {
            int i = id + l * GROUP_ITEMS;
            if (i < GROUP_ROWS * EXTERNAL) {
                out[i % EXTERNAL * PITCH + i / EXTERNAL] = next[l];
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    UNROLL
    for (int j = 0; j < 4; j++) {
        int c = lane + LANE_COUNT * j;
        for (int r = 0; r < TILE_ROWS && c < UNITS; r++) {
            vs[(size_t)(row + r) * COLUMNS + c] = v[r][j];
        }
    }
}

/* v and z of the step before the first, which are 0. */
__kernel void forward_reset(__global float *history, __global float *v_kept) {
    int c = get_global_id(0), b = get_global_id(1);
    size_t job = get_global_id(2);
    if (c < COLUMNS && b < ROWS_PADDED) {
        history[(job * SLOTS * ROWS_PADDED + b) * ROW + Z_OFFSET + c] = 0.0f;
        v_kept[(job * ROWS_PADDED + b) * COLUMNS + c] = 0.0f;
    }
}

/* z of slot `slot` becomes that of slot 0. */
__kernel void forward_wrap(__global float *history, int slot) {
    int c = get_global_id(0), b = get_global_id(1);
    size_t job = get_global_id(2), base = (job * SLOTS * ROWS_PADDED + b) * ROW + Z_OFFSET + c;
    if (c < COLUMNS && b < ROWS_PADDED) {
        history[base] = history[base + (size_t)slot * ROWS_PADDED * ROW];
    }
}

/* Adds psi of `steps` steps from `slot` on: in float within a block of trials, in double beyond. */
__kernel void psi_count(__global const struct job *jobs, __global const float *history, __global double *psi, int slot,
                        int steps) {
    int c = get_global_id(0), group = get_global_id(1);
    size_t job = get_global_id(2);
    if (c >= UNITS || group >= GROUP_COUNT) {
        return;
    }
    double total = psi[(job * GROUP_COUNT + group) * COLUMNS + c];
    for (int block = GROUP_FIRST(group); block < GROUP_FIRST(group + 1); block++) {
        int rows = (int)jobs[job].trials - block * BLOCK_ROWS;
        rows = rows < BLOCK_ROWS ? rows : BLOCK_ROWS;
        float sum = 0.0f;
        for (int i = slot; i < slot + steps; i++) {
            __global const float *z = history + ((job * SLOTS + i + 1) * ROWS_PADDED + block * BLOCK_ROWS) * ROW +
                                      Z_OFFSET + c;
            for (int r = 0; r < rows; r++) {
                sum += psi_times(z[(size_t)r * ROW], 1.0f);
            }
        }
        total += (double)sum;
    }
    psi[(job * GROUP_COUNT + group) * COLUMNS + c] = total;
}
