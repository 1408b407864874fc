/*
 * The reverse recursion's credit, a block of time at a time and from its last step to its first, and the outer product
 * that makes it a gradient. Work-groups and tiles as in forward.cl; the sources of a hop are what leaves the units of
 * the step after.
 *
 * CREDIT is one of the following; HOP_TYPES is C where the hop goes through types, else 0.
 */
#define CREDIT_LOCAL 0 /* e-prop */
#define CREDIT_PSI 1   /* bptt */
#define CREDIT_MU 2    /* modprop, first_hop mu */
#define CREDIT_EXACT 3 /* modprop, first_hop exact */
#define CREDIT_NEXT 4  /* mdgl */

/* delta of step t is in slot t % TIME_BLOCK of the ring gd (jobs, TIME_BLOCK, trials, columns) */
#define GD_AT(job, t, b, c) ((((job) * TIME_BLOCK + (t) % TIME_BLOCK) * ROWS_PADDED + (b)) * COLUMNS + (c))

/*
 * Steps [from, to) backwards, `slot` that of step `from`. `matrix` is M^T packed (UNITS sources) or, by types,
 * (HOP_TYPES sources). `carried` (jobs, 3, trials, columns): d; m; what hops next where that is not delta.
 */
__kernel __attribute__((reqd_work_group_size(GROUP_ITEMS, 1, 1))) void credit(
    __global const struct job *jobs, __global const float4 *restrict matrix, __global const float *restrict units,
    __global const float *restrict mu, __global const int *restrict types, __global const float *restrict history,
    __global const float *restrict err, __global const float *restrict feedback, __global const int *restrict live,
    __global float *restrict carried, __global float *restrict gd, int from, int to, int slot) {
    __local float sources[2][UNITS * PITCH];
#if HOP_TYPES
    __local float thin[HOP_TYPES * PITCH];
#endif
    const int id = get_local_id(0), lane = id % LANE_COUNT, tile = id / LANE_COUNT;
    const size_t job = get_global_id(2), array = (size_t)ROWS_PADDED * COLUMNS;
    const int row0 = get_group_id(0) * GROUP_ROWS, row = row0 + tile * TILE_ROWS;
    if (IDLE(job, BY_REVERSE)) {
        return;
    }
    __global const float *unit = units + job * 2 * COLUMNS;
    __global float *d_kept = carried + job * 3 * array, *m_kept = d_kept + array, *next_kept = m_kept + array;
    float d[TILE_ROWS][4], m[TILE_ROWS][4], leak[4], gain[4], mus[4];
    UNROLL
    for (int j = 0; j < 4; j++) {
        int c = lane + LANE_COUNT * j;
        leak[j] = c < UNITS ? unit[c] : 0.0f;
        gain[j] = c < UNITS ? unit[COLUMNS + c] : 0.0f;
        mus[j] = c < UNITS ? mu[job * COLUMNS + c] : 0.0f;
        UNROLL
        for (int r = 0; r < TILE_ROWS; r++) {
            size_t at = (size_t)(row + r) * COLUMNS + c;
            d[r][j] = c < UNITS ? d_kept[at] : 0.0f;
            m[r][j] = c < UNITS ? m_kept[at] : 0.0f;
        }
    }
    for (int i = id; i < GROUP_ROWS * UNITS; i += GROUP_ITEMS) {
        int r = i / UNITS, c = i % UNITS;
        sources[to & 1][c * PITCH + r] = next_kept[(size_t)(row0 + r) * COLUMNS + c];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int t = to - 1; t >= from; t--) {
        __local const float *in = sources[(t + 1) & 1] + tile * TILE_ROWS;
        __local float *out = sources[t & 1];
        __global const float *z_t = history + (job * SLOTS + slot + (t - from) + 1) * ROWS_PADDED * ROW + Z_OFFSET;
        float sum[TILE_ROWS][4];
        const bool cut = WINDOW > 0 && (STEPS - 1 - t) % (WINDOW > 0 ? WINDOW : 1) == 0;
#if CREDIT != CREDIT_LOCAL
#if HOP_TYPES
        for (int i = id; i < GROUP_ROWS * HOP_TYPES; i += GROUP_ITEMS) {
            int r = i % GROUP_ROWS, type = i / GROUP_ROWS;
            float gathered = 0.0f;
            for (int k = 0; k < UNITS; k++) {
                gathered = fma(sources[(t + 1) & 1][k * PITCH + r], types[job * UNITS + k] == type ? 1.0f : 0.0f,
                               gathered);
            }
            thin[type * PITCH + r] = gathered;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        PRODUCT(sum, HOP_TYPES, thin + tile * TILE_ROWS, matrix + job * HOP_TYPES * LANE_COUNT);
#else
        PRODUCT(sum, UNITS, in, matrix + job * UNITS * LANE_COUNT);
#endif
#endif
        UNROLL
        for (int j = 0; j < 4; j++) {
            int c = lane + LANE_COUNT * j;
            float hops[TILE_ROWS];
            UNROLL
            for (int r = 0; r < TILE_ROWS; r++) {
                const int b = row + r;
                const size_t step = job * LOSSES + (t - MASK_FROM);
                const bool loss = t >= MASK_FROM && live[step * BLOCKS + b / BLOCK_ROWS];
                const bool heard = t + 1 < STEPS && t + 1 >= MASK_FROM && live[(step + 1) * BLOCKS + b / BLOCK_ROWS];
                const float z = c < UNITS ? z_t[(size_t)b * ROW + c] : 0.0f;
                float a = 0.0f;
                if (loss && c < UNITS) {
                    for (int o = 0; o < OUTPUTS; o++) {
                        a = fma(err[(step * ROWS_PADDED + b) * OUTPUTS + o],
                                feedback[(job * OUTPUTS + o) * COLUMNS + c], a);
                    }
                    a = psi_times(z, a);
                }
                float before = cut ? 0.0f : d[r][j], now;
                bool local_only = CREDIT == CREDIT_LOCAL || cut || (CREDIT == CREDIT_NEXT && !heard);
                float by_mu = mus[j] * sum[r][j];
                if (local_only) {
                    now = leak[j] * before;
                } else if (CREDIT == CREDIT_MU) {
                    now = fma(leak[j], before, by_mu);
                } else {
                    now = fma(leak[j], before, psi_times(z, sum[r][j]));
                }
                now = loss ? now + a : now;
                d[r][j] = now;
                float delta = gain[j] * now;
                hops[r] = delta;
#if CREDIT == CREDIT_EXACT
                m[r][j] = fma(leak[j], m[r][j], by_mu);
                m[r][j] = loss ? m[r][j] + a : m[r][j];
                hops[r] = gain[j] * m[r][j];
#elif CREDIT == CREDIT_NEXT
                hops[r] = gain[j] * a;
#endif
                if (c < UNITS) {
                    gd[GD_AT(job, t, b, c)] = delta;
                }
            }
            if (c < UNITS) {
                STORE_ROWS(hops, out + c * PITCH + tile * TILE_ROWS);
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    UNROLL
    for (int j = 0; j < 4; j++) {
        int c = lane + LANE_COUNT * j;
        for (int r = 0; r < TILE_ROWS && c < UNITS; r++) {
            size_t at = (size_t)(row + r) * COLUMNS + c;
            d_kept[at] = d[r][j];
            m_kept[at] = m[r][j];
            next_kept[at] = sources[from & 1][c * PITCH + tile * TILE_ROWS + r];
        }
    }
}

__kernel void credit_reset(__global float *carried) {
    size_t i = get_global_id(0), job = get_global_id(2), size = (size_t)3 * ROWS_PADDED * COLUMNS;
    if (i < size) {
        carried[job * size + i] = 0.0f;
    }
}

/*
 * total (groups, sources, columns) += the outer product of source rows and factors: a chain of fused multiply-adds over
 * `rows_of` steps by BLOCK_ROWS trials of each block, the chains of a group's blocks added in order. The source row of
 * the i-th step is in slot `slot` + i of `s` (jobs, s_slots, trials, ROW), its factors in slot (first + i) % g_slots of
 * g (jobs, g_slots, trials, columns). A tile of OUTER_SOURCES sources by four columns a work-item; rows go through
 * local memory OUTER_CHUNK at a time.
 */
#define OUTER_TILES ((SOURCES + OUTER_SOURCES - 1) / OUTER_SOURCES)
#define OUTER_ITEMS (LANE_COUNT * OUTER_TILES_GROUP)
#define OUTER_WIDTH (OUTER_SOURCES * OUTER_TILES_GROUP)

__kernel __attribute__((reqd_work_group_size(OUTER_ITEMS, 1, 1))) void outer_add(
    __global const struct job *jobs, __global const float *restrict s, __global const float *restrict g,
    __global float *restrict total, int s_slots, int g_slots, int s_first, int g_first, int steps, int way) {
    __local float s_rows[OUTER_CHUNK][OUTER_WIDTH];
    __local float g_rows[OUTER_CHUNK][COLUMNS];
    const int id = get_local_id(0), lane = id % LANE_COUNT, tile = id / LANE_COUNT;
    const size_t job = get_global_id(2);
    if (IDLE(job, way)) {
        return;
    }
    const int group = get_global_id(1), k0 = get_group_id(0) * OUTER_WIDTH, rows = steps * BLOCK_ROWS;
    for (int block = GROUP_FIRST(group); block < GROUP_FIRST(group + 1); block++) {
        float sum[OUTER_SOURCES][4];
        UNROLL
        for (int i = 0; i < OUTER_SOURCES; i++) {
            sum[i][0] = sum[i][1] = sum[i][2] = sum[i][3] = 0.0f;
        }
        for (int first = 0; first < rows; first += OUTER_CHUNK) {
            barrier(CLK_LOCAL_MEM_FENCE);
            for (int i = id; i < OUTER_CHUNK * OUTER_WIDTH; i += OUTER_ITEMS) {
                int r = first + i / OUTER_WIDTH, k = k0 + i % OUTER_WIDTH, b = block * BLOCK_ROWS + r % BLOCK_ROWS;
                size_t step = job * s_slots + (s_first + r / BLOCK_ROWS) % s_slots;
                s_rows[i / OUTER_WIDTH][i % OUTER_WIDTH] = r < rows && k < SOURCES
                                                               ? s[(step * ROWS_PADDED + b) * ROW + FIRST_SOURCE + k]
                                                               : 0.0f;
            }
            for (int i = id; i < OUTER_CHUNK * COLUMNS; i += OUTER_ITEMS) {
                int r = first + i / COLUMNS, c = i % COLUMNS, b = block * BLOCK_ROWS + r % BLOCK_ROWS;
                size_t step = job * g_slots + (g_first + r / BLOCK_ROWS) % g_slots;
                g_rows[i / COLUMNS][c] = r < rows && c < UNITS ? g[(step * ROWS_PADDED + b) * COLUMNS + c] : 0.0f;
            }
            barrier(CLK_LOCAL_MEM_FENCE);
            for (int r = 0; r < OUTER_CHUNK; r++) {
                float w[4];
                UNROLL
                for (int j = 0; j < 4; j++) {
                    int c = lane + LANE_COUNT * j;
                    w[j] = c < COLUMNS ? g_rows[r][c] : 0.0f;
                }
                UNROLL
                for (int i = 0; i < OUTER_SOURCES; i++) {
                    float x = s_rows[r][tile * OUTER_SOURCES + i];
                    sum[i][0] = fma(x, w[0], sum[i][0]);
                    sum[i][1] = fma(x, w[1], sum[i][1]);
                    sum[i][2] = fma(x, w[2], sum[i][2]);
                    sum[i][3] = fma(x, w[3], sum[i][3]);
                }
            }
        }
        UNROLL
        for (int i = 0; i < OUTER_SOURCES; i++) {
            int k = k0 + tile * OUTER_SOURCES + i;
            UNROLL
            for (int j = 0; j < 4; j++) {
                int c = lane + LANE_COUNT * j;
                if (k < SOURCES && c < UNITS) {
                    total[((job * GROUP_COUNT + group) * SOURCES + k) * COLUMNS + c] += sum[i][j];
                }
            }
        }
    }
}
