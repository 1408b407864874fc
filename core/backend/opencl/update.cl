/*
 * From the groups' sums to new weights: core/engine/batch.c (the sums in order), core/model/optimizer.c (by element, in
 * its order of operations), and what a change of weights brings: packed matrices, type averages, modes.
 *
 * All weights of a job are one vector in the order W, Win, b, Wout, bout. `first` and `second` are Adam's moments, or
 * the velocity; after them comes F, (O,N), where feedback is not symmetric.
 */
#define OFFSET_WIN ((size_t)UNITS * UNITS)
#define OFFSET_B (OFFSET_WIN + (size_t)INPUTS * UNITS)
#define OFFSET_WOUT (OFFSET_B + (size_t)BIAS * UNITS)
#define OFFSET_BOUT (OFFSET_WOUT + (size_t)UNITS * OUTPUTS)
#define PARAMETERS (OFFSET_BOUT + OUTPUTS)
#define STATE ((size_t)MOMENTS * PARAMETERS + (size_t)HAS_FEEDBACK * OUTPUTS * UNITS)

/* The gradient of weight k (source) to c, from the groups in order; and, forward by modes, each type's share. */
__kernel void gradient_reduce(__global const struct job *jobs, __global const float *total,
                              __global const double *shares, __global const int *types, __global const int *type_sizes,
                              __global float *gradient) {
    int c = get_global_id(0), k = get_global_id(1);
    size_t job = get_global_id(2);
    if (c >= UNITS || k >= SOURCES) {
        return;
    }
    float sum = total[((job * GROUP_COUNT) * SOURCES + k) * COLUMNS + c];
    for (int group = 1; group < GROUP_COUNT; group++) {
        sum += total[((job * GROUP_COUNT + group) * SOURCES + k) * COLUMNS + c];
    }
#if MODES
    if (jobs[job].modes_good) {
        int type = types[job * UNITS + c];
        sum += (float)(shares[(job * SOURCES + k) * TYPES + type] / type_sizes[job * UNITS + type]);
    }
#endif
    size_t offset = k < INPUTS     ? OFFSET_WIN + (size_t)k * UNITS
                    : k < EXTERNAL ? OFFSET_B
                                   : (size_t)(k - EXTERNAL) * UNITS;
    gradient[job * PARAMETERS + offset + c] = sum;
}

__kernel void readout_reduce(__global const float *readout, __global const double *bout, __global float *gradient) {
    int j = get_global_id(0), o = get_global_id(1);
    size_t job = get_global_id(2);
    if (j >= UNITS || o >= OUTPUTS) {
        return;
    }
    float sum = 0.0f;
    for (int group = 0; group < GROUP_COUNT; group++) {
        sum += readout[((job * GROUP_COUNT + group) * OUTPUTS + o) * COLUMNS + j];
    }
    gradient[job * PARAMETERS + OFFSET_WOUT + (size_t)j * OUTPUTS + o] = sum;
    if (j == 0) {
        double bias = 0;
        for (int group = 0; group < GROUP_COUNT; group++) {
            bias += bout[(job * GROUP_COUNT + group) * OUTPUTS + o];
        }
        gradient[job * PARAMETERS + OFFSET_BOUT + o] = (float)bias;
    }
}

/* ---- the optimiser ---- */

bool weight_exists(__global const uchar *mask, size_t job, size_t i) {
    return i % (UNITS + 1) != 0 && (!HAS_MASK || mask[job * UNITS * UNITS + i]);
}

__kernel void update_regularise(__global const struct job *jobs, __global const uchar *mask,
                                __global const float *weights, __global float *gradient) {
    size_t i = get_global_id(0), job = get_global_id(2), at = job * PARAMETERS + i;
    if (i >= PARAMETERS || jobs[job].failed != NEVER) {
        return;
    }
    float g = gradient[at];
    bool decays = i < OFFSET_B || (i >= OFFSET_WOUT && i < OFFSET_BOUT);
    if (decays) {
        g += (float)jobs[job].l2 * weights[at];
    }
    gradient[at] = i < OFFSET_WIN && !weight_exists(mask, job, i) ? 0.0f : g;
}

/* The step's factor, what l1 takes, and what clipping leaves: numbers of the whole job. */
__kernel void update_numbers(__global struct job *jobs, __global const float *gradient) {
    size_t job = get_global_id(2);
    struct job j = jobs[job];
    double rate = j.decay_every > 0 ? j.learning_rate * power(j.decay_factor, j.iteration / j.decay_every)
                                    : j.learning_rate;
    jobs[job].shrink = rate * j.l1;
#if MOMENTS == 2
    jobs[job].rate = rate * sqrt(1 - power(j.beta2, j.iteration + 1)) / (1 - power(j.beta1, j.iteration + 1));
#else
    jobs[job].rate = rate;
#endif
#if CLIPS
    double sum = 0;
    for (size_t i = 0; i < PARAMETERS; i++) {
        double g = (double)gradient[job * PARAMETERS + i];
        sum += g * g;
    }
    jobs[job].clip_scale = sum > j.clip_norm * j.clip_norm ? j.clip_norm / sqrt(sum) : -1;
#endif
}

float shrink(float w, float by) {
    return w > by ? w - by : w < -by ? w + by : 0.0f;
}

__kernel void update_step(__global const struct job *jobs, __global const int *signs, __global float *weights,
                          __global float *state, __global const float *gradient) {
    size_t i = get_global_id(0), job = get_global_id(2), at = job * PARAMETERS + i;
    if (i >= PARAMETERS || jobs[job].failed != NEVER) {
        return;
    }
    __global const struct job *j = &jobs[job];
    float g = gradient[at], rate = (float)j->rate;
#if CLIPS
    g = j->clip_scale >= 0 ? g * (float)j->clip_scale : g;
#endif
    __global float *first = state + job * STATE + i;
#if MOMENTS == 2
    __global float *second = first + PARAMETERS;
    float b1 = (float)j->beta1, b2 = (float)j->beta2, c1 = (float)(1 - j->beta1), c2 = (float)(1 - j->beta2);
    float m = b1 * *first + c1 * g, v = b2 * *second + c2 * g * g;
    *first = m;
    *second = v;
    float step = -rate * m / (sqrt(v) + (float)j->epsilon);
#else
    float velocity = (float)j->momentum * *first + g;
    *first = velocity;
    float step = -rate * velocity;
#endif
    bool of_W = i < OFFSET_WIN, of_Wout = i >= OFFSET_WOUT && i < OFFSET_BOUT, from_unit = of_W || of_Wout;
    float w = weights[at];
    w = REWIRES && from_unit && w == 0.0f ? 0.0f : w + step;
#if FEEDBACK_ADAPTS
    if (of_Wout) {
        size_t k = i - OFFSET_WOUT;
        __global float *f = state + job * STATE + MOMENTS * PARAMETERS + k % OUTPUTS * UNITS + k / OUTPUTS;
        float keep = (float)(1 - j->feedback_decay);
        *f = keep * (*f + step);
        w *= keep;
    }
#endif
    if (from_unit) {
        float by = (float)j->shrink;
        float shrunk = by > 0 ? shrink(w, by) : w;
        int sign = DALE ? signs[job * UNITS + (of_W ? i / UNITS : (i - OFFSET_WOUT) / OUTPUTS)] : 0;
        w = sign != 0 && shrunk * (float)sign <= 0.0f ? 0.0f : shrunk;
    }
    weights[at] = w;
}

/* The weight that entry i of W and Wout together is; whether rewiring considers it. */
#define JOINT ((size_t)UNITS * UNITS + (size_t)UNITS * OUTPUTS)
size_t joint_at(size_t i) {
    return i < OFFSET_WIN ? i : OFFSET_WOUT + (i - OFFSET_WIN);
}

bool joint_counts(__global const uchar *mask, size_t job, size_t i) {
    return i >= OFFSET_WIN || weight_exists(mask, job, i);
}

/* Deep R: the list of dormant entries is made by all work-items of a group, the draws by one. */
__kernel __attribute__((reqd_work_group_size(REWIRE_ITEMS, 1, 1))) void update_rewire(__global const struct job *jobs,
                                                                                      __global const int *signs,
                                                                                      __global const uchar *mask,
                                                                                      __global float *weights,
                                                                                      __global uint *dormant) {
    __local uint dormants[REWIRE_ITEMS], counteds[REWIRE_ITEMS];
    const int id = get_local_id(0);
    const size_t job = get_global_id(2), each = (JOINT + REWIRE_ITEMS - 1) / REWIRE_ITEMS;
    size_t from = id * each < JOINT ? id * each : JOINT, to = from + each < JOINT ? from + each : JOINT;
    __global float *w = weights + job * PARAMETERS;
    __global uint *list = dormant + job * JOINT;
    uint dormant_here = 0, counted_here = 0;
    for (size_t i = from; i < to; i++) {
        bool counts = joint_counts(mask, job, i);
        counted_here += counts;
        dormant_here += counts && w[joint_at(i)] == 0.0f;
    }
    dormants[id] = dormant_here;
    counteds[id] = counted_here;
    barrier(CLK_LOCAL_MEM_FENCE);
    uint at = 0, all = 0, counted = HAS_MASK ? 0 : UNITS;
    for (int i = 0; i < REWIRE_ITEMS; i++) {
        at += i < id ? dormants[i] : 0;
        all += dormants[i];
        counted += counteds[i];
    }
    for (size_t i = from; i < to; i++) {
        if (joint_counts(mask, job, i) && w[joint_at(i)] == 0.0f) {
            list[at++] = (uint)i;
        }
    }
    barrier(CLK_GLOBAL_MEM_FENCE);
    if (id != 0 || jobs[job].failed != NEVER) {
        return;
    }
    ulong wanted = (ulong)floor(0.99 * (double)counted);
    struct stream stream = stream_make(jobs[job].seed, RANDOM_REWIRING, jobs[job].iteration, 0);
    for (uint i = 0; counted - all + i < wanted && i < all; i++) {
        uint pick = i + (uint)random_below(stream, i, all - i), chosen = list[pick];
        list[pick] = list[i];
        size_t source = chosen < OFFSET_WIN ? chosen / UNITS : (chosen - OFFSET_WIN) / OUTPUTS;
        w[joint_at(chosen)] = 1e-12f * (float)signs[job * UNITS + source];
    }
}

/* What training carries on. */
__kernel void update_end(__global struct job *jobs) {
    size_t job = get_global_id(2);
    if (jobs[job].failed != NEVER) {
        return;
    }
    jobs[job].iteration++;
    jobs[job].training_loss = jobs[job].weight > 0 ? jobs[job].loss : EMPTY_LOSS;
#if MU_AUTO
    jobs[job].mu_mean += 0.048770575499285984 * (jobs[job].psi_mean - jobs[job].mu_mean);
    jobs[job].mu = jobs[job].mu_mean;
#endif
}

/* ---- a change of weights ---- */

/* Column of the packed order: work-item `lane` takes columns lane, lane + LANE_COUNT, ... */
#define PACKED_COLUMN(i) ((i) / 4 + (i) % 4 * LANE_COUNT)

__kernel void load_forward(__global const float *weights, __global float *packed) {
    int i = get_global_id(0), k = get_global_id(1), c = PACKED_COLUMN(i);
    size_t job = get_global_id(2);
    if (i >= 4 * LANE_COUNT || k >= SOURCES) {
        return;
    }
    size_t offset = k < INPUTS     ? OFFSET_WIN + (size_t)k * UNITS
                    : k < EXTERNAL ? OFFSET_B
                                   : (size_t)(k - EXTERNAL) * UNITS;
    packed[(job * SOURCES + k) * 4 * LANE_COUNT + i] = c < UNITS ? weights[job * PARAMETERS + offset + c] : 0.0f;
}

/* Wout transposed, bout, F; and mu of every unit. */
__kernel void load_readout(__global const struct job *jobs, __global const float *weights, __global const float *state,
                           __global const int *types, __global const float *mu_given, __global float *wout_t,
                           __global float *bout, __global float *feedback, __global float *mu) {
    int j = get_global_id(0), o = get_global_id(1);
    size_t job = get_global_id(2), at = (job * OUTPUTS + o) * COLUMNS + j;
    if (j >= COLUMNS || o >= OUTPUTS) {
        return;
    }
    float w = j < UNITS ? weights[job * PARAMETERS + OFFSET_WOUT + (size_t)j * OUTPUTS + o] : 0.0f;
    wout_t[at] = w;
#if HAS_FEEDBACK
    feedback[at] = j < UNITS ? state[job * STATE + MOMENTS * PARAMETERS + (size_t)o * UNITS + j] : 0.0f;
#else
    feedback[at] = w;
#endif
    if (j == 0) {
        bout[job * OUTPUTS + o] = weights[job * PARAMETERS + OFFSET_BOUT + o];
    }
    if (o == 0) {
        mu[job * COLUMNS + j] = j >= UNITS ? 0.0f : MU_GIVEN ? mu_given[job * COLUMNS + j] : (float)jobs[job].mu;
    }
}

#if CREDIT != 0
/* M^T packed, (sources, columns): W, or the averages by which a type's units take the hop of another's. */
__kernel void load_hop(__global const float *weights, __global const double *averages, __global const int *types,
                       __global float *matrix) {
    int i = get_global_id(0), k = get_global_id(1), c = PACKED_COLUMN(i);
    size_t job = get_global_id(2);
    int sources = HOP_TYPES ? HOP_TYPES : UNITS;
    if (i >= 4 * LANE_COUNT || k >= sources) {
        return;
    }
    float value = 0.0f;
    if (c < UNITS) {
#if HOP_TYPES
        value = (float)averages[(job * TYPES + types[job * UNITS + c]) * TYPES + k];
#else
        value = weights[job * PARAMETERS + (size_t)c * UNITS + k];
#if HOP_EXISTING
        value = value != 0.0f ? (float)averages[(job * TYPES + types[job * UNITS + c]) * TYPES + types[job * UNITS + k]]
                              : 0.0f;
#endif
#endif
    }
    matrix[(job * sources + k) * 4 * LANE_COUNT + i] = value;
}
#endif

#if HOP_AVERAGES
/*
 * W averaged over the block from type g to type h, over q and then p in order (core/model/network.c). One work-item a
 * block looks at the units of its types alone.
 */
__kernel void load_averages(__global const float *weights, __global const int *types, __global double *averages) {
    int h = get_global_id(0), g = get_global_id(1);
    size_t job = get_global_id(2);
    if (h >= TYPES || g >= TYPES) {
        return;
    }
    __global const int *type = types + job * UNITS;
    double sum = 0, count = 0;
    for (int q = 0; q < UNITS; q++) {
        if (type[q] != g) {
            continue;
        }
        for (int p = 0; p < UNITS; p++) {
            if (type[p] == h) {
                float w = weights[job * PARAMETERS + (size_t)q * UNITS + p];
                sum += (double)w;
                count += !HOP_EXISTING || w != 0.0f;
            }
        }
    }
    averages[(job * TYPES + g) * TYPES + h] = count > 0 ? sum / count : 0;
}
#endif
