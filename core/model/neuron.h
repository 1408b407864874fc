/*
 * A neuron model: what a unit's state is, how a step changes it, and which derivatives leave it. One file a model
 * (membrane.c, rate.c, lif.c, alif.c) in two halves. The first is scalar, is the authority, and ends in one `struct
 * neuron_ops`; neuron_table lists them all. The second, where KERNEL_VECTORS is defined, is the same step and the same
 * reverse carry over vectors (core/kernels/neurons.h, which includes it), in the same operations, so that both give the
 * same bits (tests/unit/test_neurons.c). The tangent is in double; rtrl is made of it, and a test holds the reverse
 * carry to be its transpose.
 *
 * Notation: MATHEMATICS.md. u is the current, z what leaves the unit, psi = dz / d(what the current moves), L = dE/dz
 * by the readout, and delta = dE/du, with which every rule's gradient is sum_t source_{t} delta_t.
 */
#ifndef MODPROP_CORE_MODEL_NEURON_H
#define MODPROP_CORE_MODEL_NEURON_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/neuron.h"
#include "core/base/seams.h"

/* One unit. */
struct neuron_unit {
    float leak, gain, rho, beta;
    const struct neuron_constants *all;
    float (*phi)(float x);          /* of models that have an activation */
    float (*phi_slope)(float of_z); /* its derivative as a function of its value */
};

/* The same in double, for tangents. */
struct neuron_exact {
    double leak, gain, rho, beta;
};

/* What reaches a unit's credit at a step beside its own. */
struct neuron_inflow {
    float learning; /* L_t */
    float through;  /* hopped credit that passes the unit's own derivative: bptt, mdgl, first_hop exact */
    float past;     /* hopped credit that mu has taken past it: first_hop mu */
    float beside;   /* the same, and not carried on: the filter of finite taps, which carries it itself */
};

/* A default of a job's section where the model differs from the table's. */
struct neuron_default {
    const char *section, *name, *fallback;
};

/* How initial weights are drawn where they are not given (network.c); variances times N, I and N. */
struct neuron_weights {
    double W, Win, Wout; /* W and Wout without Dale's law */
    double dale;         /* what the published recipe's W and Wout are multiplied by */
};

struct neuron_ops {
    const char *name, *doc;
    struct neuron_weights weights;
    bool spikes;         /* z is 0 or 1, psi a pseudo-derivative; the gain is 1 */
    bool adapts;         /* it has beta and rho */
    bool one_trace;      /* a synapse's eligibility is psi times a filter of its source by leak and gain alone */
    bool mu_at_source;   /* mu stands for the psi of the unit that hopped credit comes from, not that it arrives at */
    bool hop_by_mu;      /* modprop's first_hop mu has a meaning */
    bool hop_exact;      /* its first_hop exact has one */
    const char *hop_why; /* of the one that has none */
    int states, carries;
    int traces; /* numbers that a synapse carries forward in time: NEURON_TRACES_MOST at most */
    /* The parameters of the network section that not every model has, by name, NULL-ended (api/network.c). */
    const char *const *takes;
    const struct neuron_default *defaults;
    size_t default_count;

    /* From u_t, z_{t-1} and the state of the step before: z_t, the state and psi_t. */
    float (*step)(const struct neuron_unit *unit, float u, float z_before, float *state, float *psi);
    /* delta_t, from psi_t and what flows in; carry is that of step t+1 on entry and of step t on return. */
    float (*credit)(const struct neuron_unit *unit, float psi, const struct neuron_inflow *in, float *carry);
    /*
     * The derivative of z_t in a direction in which u_t changes by du and z_{t-1} by dz_before. `tangent` (carries
     * numbers) is the state's derivative at t-1 on entry and at t on return.
     */
    double (*tangent)(const struct neuron_exact *unit, double psi, double du, double dz_before, double *tangent);
    /*
     * e-prop forward in time: a synapse's traces, 0 before the trial, take in the source's s_t, and its eligibility
     * e_t is what they and psi_t make, so that a learning signal L_t adds L_t e_t to the gradient. Arguments psi_{t-1}
     * and psi_t.
     */
    void (*trace)(const struct neuron_unit *unit, float s, float psi_before, float psi, float *trace);
    float (*eligibility)(const struct neuron_unit *unit, float psi, const float *trace);
};

extern const struct neuron_ops *const neuron_table[NEURON_MODELS];

#define NEURON_DECLARED(number, name) extern const struct neuron_ops neuron_##name;
NEURONS(NEURON_DECLARED)
#undef NEURON_DECLARED

/* What lif and alif share (lif.c): a spike at v > level, refractoriness, psi. */
float spike_make(const struct neuron_unit *unit, float v, float level, float *resting, float *psi);

#endif
