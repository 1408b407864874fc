/*
 * What all kernels share: the state of a job, and the numbers of core/base (random.c, elementary.h) and of the
 * activations (core/kernels) in the same operations and in the same order, so with the same bits. Explicit fma, no
 * contraction, no native functions. Sizes are defined by the host (program.c) before this text.
 */
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#pragma OPENCL FP_CONTRACT OFF

/* A processor's compiler takes long over unrolled loops, and needs none. */
#if UNROLLS
#define UNROLL _Pragma("unroll")
#define UNROLL_4 _Pragma("unroll 4")
#else
#define UNROLL
#define UNROLL_4
#endif

#define EXTERNAL (INPUTS + BIAS)   /* sources before z: x, and 1 if there is a bias */
#define SOURCES (EXTERNAL + UNITS) /* K */
#define FIRST_SOURCE (Z_OFFSET - EXTERNAL)
#define ROW (Z_OFFSET + COLUMNS) /* floats of a source row */
#define BLOCKS (ROWS_PADDED / BLOCK_ROWS)
#define LOSSES (STEPS - MASK_FROM) /* steps that may carry loss */
#define NEVER (-1L)
/*
 * The forward form by modes is used where they are well-conditioned, else the reverse recursion: both are launched, and
 * the kernels of the one that a job does not use do nothing.
 */
#define BY_TRACES 1
#define BY_REVERSE 2
#define IDLE(job, way) (MODES && (way) && (way) != (jobs[job].modes_good ? BY_TRACES : BY_REVERSE))

/* As struct opencl_job in cohort.h: all members have eight bytes. */
struct job {
    ulong seed;
    long iteration; /* updates made */
    long failed;    /* the update whose loss was not finite, or NEVER */
    long trials;    /* of the batch that runs */
    double mu, mu_mean, training_loss;
    double weight, loss, correct, psi_mean; /* of the last batch */
    long silent;
    long modes_good;     /* the forward form's modes can be used */
    double rate, shrink; /* of the update: the step's factor; what l1 takes */
    double learning_rate, decay_factor;
    long decay_every;
    double momentum, beta1, beta2, epsilon, l2, l1, clip_norm, feedback_decay, clip_scale;
    double leak, gain; /* of all units, where they are equal */
    double task[8];    /* the task's own numbers */
};

/* Names a trial, as struct trial_id. */
struct id {
    long phase, iteration, trial;
};
enum { PHASE_TRAINING, PHASE_EVALUATION, PHASE_TEST, PHASE_LISTED };

/* What a task has drawn for a trial, as struct trial. */
struct drawn {
    ulong bits;
    long source;
    int label, unused;
};

/* ---- core/base/random.c ---- */

struct stream {
    uint key0, key1, trial, iteration, purpose;
};

enum {
    RANDOM_REWIRING = 7,
    RANDOM_TRAINING_LABEL = 9,
    RANDOM_TRAINING_NOISE,
    RANDOM_EVALUATION_LABEL,
    RANDOM_EVALUATION_NOISE
};

struct stream stream_make(ulong seed, uint purpose, long iteration, ulong trial) {
    ulong n = (ulong)iteration;
    struct stream stream = {(uint)seed, (uint)(seed >> 32), (uint)trial, (uint)n, purpose | (uint)(n >> 32) << 8};
    return stream;
}

uint4 philox(struct stream stream, uint block) {
    uint4 c = (uint4)(block, stream.trial, stream.iteration, stream.purpose);
    uint k0 = stream.key0, k1 = stream.key1;
    for (int round = 0; round < 10; round++) {
        uint high0 = mul_hi(0xD2511F53u, c.x), low0 = 0xD2511F53u * c.x, high1 = mul_hi(0xCD9E8D57u, c.z),
             low1 = 0xCD9E8D57u * c.z;
        c = (uint4)(high1 ^ c.y ^ k0, low1, high0 ^ c.w ^ k1, low0);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return c;
}

uint word(uint4 block, uint lane) {
    return lane == 0 ? block.x : lane == 1 ? block.y : lane == 2 ? block.z : block.w;
}

uint random_bits(struct stream stream, ulong index) {
    return word(philox(stream, (uint)(index / 4)), (uint)(index % 4));
}

ulong random_bits64(struct stream stream, ulong index) {
    uint4 block = philox(stream, (uint)(index / 2));
    return index % 2 ? (ulong)block.w << 32 | block.z : (ulong)block.y << 32 | block.x;
}

double random_uniform(struct stream stream, ulong index) {
    return (double)(random_bits64(stream, index) >> 11) * 0x1p-53;
}

ulong random_below(struct stream stream, ulong index, ulong n) {
    return mul_hi(random_bits64(stream, index), n);
}

/* ---- core/base/elementary.h ---- */

double elementary_exp(double x) {
    const double inverse_factorial[] = {
        1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720,
        1.0 / 120,       1.0 / 24,       1.0 / 6,       0.5,          1.0,         1.0};
    if (!(x > -708.0)) {
        return x != x ? x : 0.0;
    }
    if (x > 709.7) {
        return as_double(0x7ff0000000000000UL);
    }
    double n = floor(x * 1.4426950408889634 + 0.5);
    double r = (x - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10;
    double p = 1.0 / 6227020800.0;
    for (int i = 0; i < 13; i++) {
        p = p * r + inverse_factorial[i];
    }
    return p * as_double((ulong)((long)n + 1023) << 52);
}

double elementary_log(double x) {
    double shift = 0;
    if (!(x > 0)) {
        return x == 0 ? as_double(0xfff0000000000000UL) : as_double(0x7ff8000000000000UL);
    }
    if (x > 1.7976931348623157e308) {
        return x;
    }
    bool small = x < 2.2250738585072014e-308;
    if (small) {
        x = x * 18014398509481984.0;
        shift = 37.429947750237047;
    }
    ulong bits = as_ulong(x);
    int exponent = (int)(bits >> 52) - 1023;
    double m = as_double((bits & 0xfffffffffffffUL) | 0x3ff0000000000000UL);
    if (m > 1.4142135623730951) {
        m *= 0.5;
        exponent++;
    }
    double s = (m - 1.0) / (m + 1.0), s2 = s * s, p = 1.0 / 23.0;
    for (int k = 21; k >= 3; k -= 2) {
        p = p * s2 + 1.0 / k;
    }
    double log = 2.0 * s + (2.0 * s * s2 * p + exponent * 1.90821492927058770002e-10) +
                 exponent * 0.693147180369123816490;
    return small ? log - shift : log;
}

float elementary_logf_unit(float x) {
    uint shifted = as_uint(x) - 0x3f3504f3u;
    float exponent = (float)((int)shifted >> 23);
    float m = as_float((shifted & 0x7fffffu) + 0x3f3504f3u);
    float s = (m - 1.0f) / (m + 1.0f), s2 = s * s;
    float p = ((((1.0f / 11) * s2 + 1.0f / 9) * s2 + 1.0f / 7) * s2 + 1.0f / 5) * s2 + 1.0f / 3;
    return exponent * 0.693359375f + (2.0f * s + (2.0f * s * s2 * p - exponent * 2.12194440e-4f));
}

float2 elementary_sincosf_turns(float x) {
    int quarter = (int)(4.0f * x + 0.5f);
    float r = (x - 0.25f * (float)quarter) * 6.28318530718f, r2 = r * r;
    float s = r * ((((1.0f / 362880 * r2 - 1.0f / 5040) * r2 + 1.0f / 120) * r2 - 1.0f / 6) * r2 + 1.0f);
    float c = (((1.0f / 40320 * r2 - 1.0f / 720) * r2 + 1.0f / 24) * r2 - 0.5f) * r2 + 1.0f;
    bool odd = quarter & 1;
    float a = odd ? c : s, b = odd ? s : c;
    return (float2)(quarter & 2 ? -a : a, (quarter + 1) & 2 ? -b : b);
}

/* The four standard normal values of a block, as random_normal_fill. */
float4 normal4(struct stream stream, uint block) {
    uint4 c = philox(stream, block);
    float u0 = ((float)(int)(c.x >> 8) + 0.5f) * 0x1p-24f, u1 = ((float)(int)(c.z >> 8) + 0.5f) * 0x1p-24f;
    float2 first = elementary_sincosf_turns((float)(int)(c.y >> 8) * 0x1p-24f),
           second = elementary_sincosf_turns((float)(int)(c.w >> 8) * 0x1p-24f);
    float r0 = sqrt(-2.0f * elementary_logf_unit(u0)), r1 = sqrt(-2.0f * elementary_logf_unit(u1));
    return (float4)(r0 * first.y, r0 * first.x, r1 * second.y, r1 * second.x);
}

/* Value `index` of the stream. */
float normal(struct stream stream, ulong index) {
    float4 four = normal4(stream, (uint)(index / 4));
    uint lane = (uint)(index % 4);
    return lane == 0 ? four.x : lane == 1 ? four.y : lane == 2 ? four.z : four.w;
}

double power(double x, long n) {
    double result = 1;
    for (; n > 0; n /= 2, x *= x) {
        if (n % 2) {
            result *= x;
        }
    }
    return result;
}

/* ---- activations, as core/kernels/activation_*.h ---- */

float positive(float z, float a) {
    return z > 0 ? a : 0.0f;
}

float exp_small(float x) {
    float n = rint(x * 1.44269504f);
    float r = fma(-n, 0.693359375f, x);
    r = fma(n, 2.12194440e-4f, r);
    float p = 1.0f / 720;
    p = fma(p, r, 1.0f / 120);
    p = fma(p, r, 1.0f / 24);
    p = fma(p, r, 1.0f / 6);
    p = fma(p, r, 0.5f);
    p = fma(p, r, 1.0f);
    p = fma(p, r, 1.0f);
    return p * as_float((uint)((int)n + 127) << 23);
}

float tanh_rate(float x) {
    float minus = 0.0f - x, size = x > minus ? x : minus;
    float bounded = size < 9.5f ? size : 9.5f;
    float large = 1.0f - 2.0f / (exp_small(bounded + bounded) + 1.0f);
    float s = size < 0.5f ? size : 0.5f, s2 = s * s;
    float p = -929569.0f / 638512875.0f;
    p = fma(p, s2, 21844.0f / 6081075.0f);
    p = fma(p, s2, -1382.0f / 155925.0f);
    p = fma(p, s2, 62.0f / 2835.0f);
    p = fma(p, s2, -17.0f / 315.0f);
    p = fma(p, s2, 2.0f / 15.0f);
    p = fma(p, s2, -1.0f / 3.0f);
    float small = fma(s * s2, p, s);
    float above = positive(size - 0.5f, 1.0f);
    float magnitude = fma(above, large, fma(-above, small, small));
    return fma(0.0f, x, positive(x, magnitude) - positive(0.0f - x, magnitude));
}

#if ACTIVATION_IS_TANH
float rate_of(float v) {
    return tanh_rate(v);
}
/* psi(z) * value */
float psi_times(float z, float value) {
    return fma(-z, z, 1.0f) * value;
}
#else
float rate_of(float v) {
    return positive(v, v);
}
float psi_times(float z, float value) {
    return positive(z, value);
}
#endif

/* A horizontal sum over virtual vectors of 16 lanes, by the fixed tree of kernels.h. */
float lanes_sum(float16 a) {
    float8 eight = a.lo + a.hi;
    float4 four = eight.lo + eight.hi;
    float2 two = four.lo + four.hi;
    return two.x + two.y;
}
