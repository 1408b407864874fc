/*
 * The kernels of neuron models, over the virtual vector and its operations (body.h, which includes this): a step, a
 * reverse step and a synapse's trace for every model of neurons.h, the learning signal where psi does not follow from
 * z, and a leaky readout's filter.
 */
#include "core/kernels/neurons.h"

INLINE struct unit_vectors unit_load(int c, const float *leak, const float *gain, const float *rho, const float *beta,
                                     const struct neuron_constants *all) {
    return (struct unit_vectors){.leak = v_load(leak + c),
                                 .gain = v_load(gain + c),
                                 .rho = v_load(rho + c),
                                 .beta = v_load(beta + c),
                                 .threshold = v_set(all->threshold),
                                 .psi_peak = v_set(all->psi_peak),
                                 .psi_slope = v_set(all->psi_slope),
                                 .refractory = v_set(all->refractory)};
}

#define STEP_CASE(number, name)                                                                                        \
    case NEURON_##number:                                                                                              \
        return name##_step(unit, u, z_before, state, psi, activation);
#define CREDIT_CASE(number, name)                                                                                      \
    case NEURON_##number:                                                                                              \
        return name##_credit(unit, psi, in, carry);

INLINE vec step_vectors(const enum neuron neuron, const enum activation activation, const struct unit_vectors *unit,
                        vec u, vec z_before, vec *state, vec *psi) {
    switch (neuron) {
        NEURONS(STEP_CASE)
    case NEURON_MODELS:
        break;
    }
    return u;
}

INLINE vec credit_vectors(const enum neuron neuron, const struct unit_vectors *unit, vec psi,
                          const struct inflow_vectors *in, vec *carry) {
    switch (neuron) {
        NEURONS(CREDIT_CASE)
    case NEURON_MODELS:
        break;
    }
    return psi;
}

INLINE void neuron_step_of(const enum neuron neuron, const enum activation activation, const struct neuron_step *s) {
    for (int c = 0; c < s->columns; c += LANES) {
        const struct unit_vectors unit = unit_load(c, s->leak, s->gain, s->rho, s->beta, &s->all);
        for (int r = 0; r < s->rows; r++) {
            size_t at = (size_t)(r * s->columns + c), z_at = (size_t)r * s->z_stride + (size_t)c;
            vec state[NEURON_STATES_MOST], psi = v_zero();
            for (int i = 0; i < NEURON_STATES_MOST; i++) {
                state[i] = s->state[i] ? v_load(s->state[i] + at) : v_zero();
            }
            vec z = step_vectors(neuron, activation, &unit, v_load(s->u + at), v_load(s->z_before + z_at), state, &psi);
            for (int i = 0; i < NEURON_STATES_MOST; i++) {
                if (s->state[i]) {
                    v_store(s->state[i] + at, state[i]);
                }
            }
            v_store(s->z + z_at, z);
            if (s->psi) {
                v_store(s->psi + at, psi);
            }
        }
    }
}

#define STEP_ACTIVATION_CASE(number, name)                                                                             \
    case ACTIVATION_##number:                                                                                          \
        neuron_step_of(neuron, ACTIVATION_##number, s);                                                                \
        break;
INLINE void neuron_step_activated(const enum neuron neuron, const struct neuron_step *s) {
    switch (s->activation) {
        ACTIVATION_ROWS(STEP_ACTIVATION_CASE)
    case ACTIVATIONS:
        break;
    }
}

#define STEP_NEURON_CASE(number, name)                                                                                 \
    case NEURON_##number:                                                                                              \
        neuron_step_activated(NEURON_##number, s);                                                                     \
        break;
static void kernel_neuron_step(const struct neuron_step *s) {
    switch (s->neuron) {
        NEURONS(STEP_NEURON_CASE)
    case NEURON_MODELS:
        break;
    }
}

/* What of the hop flows in where. */
INLINE void hop_split(const enum hopped hopped, vec hop, vec by_mu, struct inflow_vectors *in) {
    if (hopped == HOPPED_THROUGH || hopped == HOPPED_EXACT) {
        in->through = hop;
    } else if (hopped == HOPPED_PAST) {
        in->past = by_mu;
    } else if (hopped == HOPPED_BESIDE) {
        in->beside = by_mu;
    }
}

INLINE void neuron_credit_of(const enum neuron neuron, const enum hopped hopped, const struct neuron_credit *s) {
    const struct neuron_constants none = {0};
    for (int c = 0; c < s->columns; c += LANES) {
        const struct unit_vectors unit = unit_load(c, s->leak, s->gain, s->rho, s->beta, &none);
        const vec mu = s->mu ? v_load(s->mu + c) : v_set(1.0f);
        for (int r = 0; r < s->rows; r++) {
            size_t at = (size_t)(r * s->columns + c);
            vec psi = v_load(s->psi + at), carry[NEURON_CARRIES_MOST], hop = v_zero();
            struct inflow_vectors in = {s->learning ? v_load(s->learning + at) : v_zero(), v_zero(), v_zero(),
                                        v_zero()};
            if (hopped != HOPPED_NONE) {
                hop = v_load(s->hop + at);
                hop_split(hopped, hop, s->mu ? v_mul(mu, hop) : hop, &in);
            }
            for (int i = 0; i < NEURON_CARRIES_MOST; i++) {
                carry[i] = s->carry[i] ? v_load(s->carry[i] + at) : v_zero();
            }
            v_store(s->delta + at, credit_vectors(neuron, &unit, psi, &in, carry));
            for (int i = 0; i < NEURON_CARRIES_MOST; i++) {
                if (s->carry[i]) {
                    v_store(s->carry[i] + at, carry[i]);
                }
            }
            if (hopped == HOPPED_EXACT) {
                vec m = v_fma(unit.leak, v_load(s->m + at), v_fma(psi, in.learning, v_mul(mu, hop)));
                v_store(s->m + at, m);
                v_store(s->gm + at, v_mul(unit.gain, m));
            }
            if (s->mu_next) {
                v_store(s->past_next + at, v_mul(v_mul(v_load(s->mu_next + c), unit.gain), carry[0]));
            }
        }
    }
}

#define HOPPED_CASE(kind)                                                                                              \
    case kind:                                                                                                         \
        neuron_credit_of(neuron, kind, s);                                                                             \
        break;
INLINE void neuron_credit_hopped(const enum neuron neuron, const struct neuron_credit *s) {
    switch (s->hopped) {
        HOPPED_CASE(HOPPED_NONE)
        HOPPED_CASE(HOPPED_THROUGH)
        HOPPED_CASE(HOPPED_PAST)
        HOPPED_CASE(HOPPED_EXACT)
        HOPPED_CASE(HOPPED_BESIDE)
    case HOPPED_KINDS:
        break;
    }
}

#define CREDIT_NEURON_CASE(number, name)                                                                               \
    case NEURON_##number:                                                                                              \
        neuron_credit_hopped(NEURON_##number, s);                                                                      \
        break;
static void kernel_neuron_credit(const struct neuron_credit *s) {
    switch (s->neuron) {
        NEURONS(CREDIT_NEURON_CASE)
    case NEURON_MODELS:
        break;
    }
}

#define TRACE_CASE(number, name)                                                                                       \
    case NEURON_##number:                                                                                              \
        name##_trace(unit, s, psi_before, psi, trace);                                                                 \
        break;
#define ELIGIBILITY_CASE(number, name)                                                                                 \
    case NEURON_##number:                                                                                              \
        return name##_eligibility(unit, psi, trace);

INLINE void trace_vectors(const enum neuron neuron, const struct unit_vectors *unit, vec s, vec psi_before, vec psi,
                          vec *trace) {
    switch (neuron) {
        NEURONS(TRACE_CASE)
    case NEURON_MODELS:
        break;
    }
}

INLINE vec eligibility_vectors(const enum neuron neuron, const struct unit_vectors *unit, vec psi, const vec *trace) {
    switch (neuron) {
        NEURONS(ELIGIBILITY_CASE)
    case NEURON_MODELS:
        break;
    }
    return psi;
}

INLINE void neuron_trace_of(const enum neuron neuron, const struct neuron_trace *n) {
    const struct neuron_constants none = {0};
    const vec s = v_set(n->s);
    for (int c = 0; c < n->columns; c += LANES) {
        const struct unit_vectors unit = unit_load(c, n->leak, n->gain, n->rho, n->beta, &none);
        const vec psi_before = v_load(n->psi_before + c), psi = v_load(n->psi + c);
        vec trace[NEURON_TRACES_MOST];
        for (int i = 0; i < NEURON_TRACES_MOST; i++) {
            trace[i] = n->trace[i] ? v_load(n->trace[i] + c) : v_zero();
        }
        if (n->e_before) {
            v_store(n->e_before + c, eligibility_vectors(neuron, &unit, psi_before, trace));
        }
        trace_vectors(neuron, &unit, s, psi_before, psi, trace);
        v_store(n->e + c, eligibility_vectors(neuron, &unit, psi, trace));
        for (int i = 0; i < NEURON_TRACES_MOST; i++) {
            if (n->trace[i]) {
                v_store(n->trace[i] + c, trace[i]);
            }
        }
    }
}

#define TRACE_NEURON_CASE(number, name)                                                                                \
    case NEURON_##number:                                                                                              \
        neuron_trace_of(NEURON_##number, n);                                                                           \
        break;
static void kernel_neuron_trace(const struct neuron_trace *n) {
    switch (n->neuron) {
        NEURONS(TRACE_NEURON_CASE)
    case NEURON_MODELS:
        break;
    }
}

static void kernel_multiply_add(int n, const float *scale, const float *x, float *total) {
    for (int i = 0; i < n; i += LANES) {
        v_store(total + i, v_fma(v_load(scale + i), v_load(x + i), v_load(total + i)));
    }
}

static void kernel_learning(int rows, int columns, int outputs, const float *err, const float *feedback,
                            const float *more, const float *psi, float *L, float *a) {
    for (int r = 0; r < rows; r++) {
        for (int c = 0; c < columns; c += LANES) {
            size_t at = (size_t)(r * columns + c);
            vec signal = more ? v_load(more + c) : v_zero();
            for (int o = 0; err && o < outputs; o++) {
                signal = v_fma(v_set(err[r * outputs + o]), v_load(feedback + (size_t)o * (size_t)columns + c), signal);
            }
            v_store(L + at, signal);
            v_store(a + at, v_mul(v_load(psi + at), signal));
        }
    }
}

static void kernel_filter_rows(int rows, int columns, float keep, float take, const float *z, size_t z_stride,
                               const float *before, float *out) {
    const vec kept = v_set(keep), taken = v_set(take);
    for (int r = 0; r < rows; r++) {
        for (int c = 0; c < columns; c += LANES) {
            size_t at = (size_t)(r * columns + c);
            v_store(out + at, v_fma(taken, v_load(z + (size_t)r * z_stride + c), v_mul(kept, v_load(before + at))));
        }
    }
}
