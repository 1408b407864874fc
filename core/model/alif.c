/*
 * Leaky integrate and fire with an adaptive threshold (Bellec et al. 2018, 2020; NEST's eprop_iaf_adapt):
 *     v_t = leak v_{t-1} + u_t - threshold z_{t-1},      h_t = rho h_{t-1} + z_{t-1},      A_t = threshold + beta h_t
 *     z_t = 1 where v_t > A_t, else 0
 *     psi_t = (dampening / threshold) max(0, 1 - |v_t - A_t| / threshold)
 *     G_t = L_t + dh_{t+1} + through
 *     dv_t = leak dv_{t+1} + psi_t G_t,      dh_t = rho dh_{t+1} - beta psi_t G_t,      delta_t = dv_t.
 * Forward in time
 *     ea_t = psi_{t-1} eps_{t-1} + (rho - beta psi_{t-1}) ea_{t-1},      eps_t = leak eps_{t-1} + s_t
 *     e_t = psi_t (eps_t - beta ea_t).
 * State: v, the steps left without a spike, h. Credit: dv, dh. Else as lif.c.
 */
#ifndef KERNEL_VECTORS
#include <math.h>

#include "core/model/neuron.h"

static float alif_step(const struct neuron_unit *unit, float u, float z_before, float *state, float *psi) {
    state[0] = fmaf(-unit->all->threshold, z_before, fmaf(unit->leak, state[0], u));
    state[2] = fmaf(unit->rho, state[2], z_before);
    return spike_make(unit, state[0], fmaf(unit->beta, state[2], unit->all->threshold), &state[1], psi);
}

static float alif_credit(const struct neuron_unit *unit, float psi, const struct neuron_inflow *in, float *carry) {
    float into = psi * (in->learning + carry[1] + in->through);
    carry[0] = fmaf(unit->leak, carry[0], into);
    carry[1] = fmaf(-unit->beta, into, unit->rho * carry[1]);
    return carry[0];
}

static double alif_tangent(const struct neuron_exact *unit, double psi, double du, double dz_before, double *tangent) {
    tangent[0] = unit->leak * tangent[0] + du;
    tangent[1] = unit->rho * tangent[1] + dz_before;
    return psi * (tangent[0] - unit->beta * tangent[1]);
}

static void alif_trace(const struct neuron_unit *unit, float s, float psi_before, float psi, float *trace) {
    (void)psi;
    trace[1] = fmaf(fmaf(-unit->beta, psi_before, unit->rho), trace[1], psi_before * trace[0]);
    trace[0] = fmaf(unit->leak, trace[0], unit->gain * s);
}

static float alif_eligibility(const struct neuron_unit *unit, float psi, const float *trace) {
    return psi * fmaf(-unit->beta, trace[1], trace[0]);
}

static const char *const takes[] = {"threshold",      "dampening",         "refractory", "beta",
                                    "tau_adaptation", "adaptive_fraction", NULL};

static const struct neuron_default defaults[] = {{"network", "tau", "20"}, {"rule", "first_hop", "\"exact\""}};

const struct neuron_ops neuron_alif = {.name = "alif",
                                       .doc = "leaky integrate and fire whose threshold rises with each spike and "
                                              "decays slowly",
                                       .weights = {.W = 1, .Win = 1, .Wout = 2, .dale = 1},
                                       .spikes = true,
                                       .adapts = true,
                                       .hop_exact = true,
                                       .hop_why = "the hop reaches a unit's spikes, and only their pseudo-derivative "
                                                  "leads on to its potential",
                                       .states = 3,
                                       .carries = 2,
                                       .traces = 2,
                                       .takes = takes,
                                       .defaults = defaults,
                                       .default_count = sizeof defaults / sizeof *defaults,
                                       .step = alif_step,
                                       .credit = alif_credit,
                                       .tangent = alif_tangent,
                                       .trace = alif_trace,
                                       .eligibility = alif_eligibility};

#else

INLINE vec alif_step(const struct unit_vectors *unit, vec u, vec z_before, vec *state, vec *psi,
                     const enum activation activation) {
    (void)activation;
    state[0] = v_fnma(unit->threshold, z_before, v_fma(unit->leak, state[0], u));
    state[2] = v_fma(unit->rho, state[2], z_before);
    return spike_vectors(unit, state[0], v_fma(unit->beta, state[2], unit->threshold), &state[1], psi);
}

INLINE vec alif_credit(const struct unit_vectors *unit, vec psi, const struct inflow_vectors *in, vec *carry) {
    vec into = v_mul(psi, v_add(v_add(in->learning, carry[1]), in->through));
    carry[0] = v_fma(unit->leak, carry[0], into);
    carry[1] = v_fnma(unit->beta, into, v_mul(unit->rho, carry[1]));
    return carry[0];
}

INLINE void alif_trace(const struct unit_vectors *unit, vec s, vec psi_before, vec psi, vec *trace) {
    (void)psi;
    trace[1] = v_fma(v_fnma(unit->beta, psi_before, unit->rho), trace[1], v_mul(psi_before, trace[0]));
    trace[0] = v_fma(unit->leak, trace[0], v_mul(unit->gain, s));
}

INLINE vec alif_eligibility(const struct unit_vectors *unit, vec psi, const vec *trace) {
    return v_mul(psi, v_fnma(unit->beta, trace[1], trace[0]));
}

#endif
