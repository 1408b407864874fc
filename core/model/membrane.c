/*
 * The leaky membrane of Liu et al. 2022:
 *     v_t = leak v_{t-1} + gain u_t,      z_t = phi(v_t),      psi_t = phi'(v_t)
 *     d_t = psi_t (L_t + through) + leak d_{t+1} + mu past,      delta_t = gain d_t.
 * State: v. Credit: d = "dE/dv". Forward in time
 *     eps_t = leak eps_{t-1} + gain s_t,      e_t = psi_t eps_t.
 *
 * The engine runs it by the fused epilogues of the product (core/kernels/body.h), in which the same operations come in
 * the order that version 0.1 had.
 */
#ifndef KERNEL_VECTORS
#include <math.h>

#include "core/model/neuron.h"

static float membrane_step(const struct neuron_unit *unit, float u, float z_before, float *state, float *psi) {
    (void)z_before;
    state[0] = fmaf(unit->gain, u, unit->leak * state[0]);
    float z = unit->phi(state[0]);
    *psi = unit->phi_slope(z);
    return z;
}

static float membrane_credit(const struct neuron_unit *unit, float psi, const struct neuron_inflow *in, float *carry) {
    carry[0] = fmaf(psi, in->learning + in->through, unit->leak * carry[0]) + in->past;
    return unit->gain * (carry[0] + in->beside);
}

static double membrane_tangent(const struct neuron_exact *unit, double psi, double du, double dz_before,
                               double *tangent) {
    (void)dz_before;
    tangent[0] = unit->leak * tangent[0] + unit->gain * du;
    return psi * tangent[0];
}

static void membrane_trace(const struct neuron_unit *unit, float s, float psi_before, float psi, float *trace) {
    (void)psi_before;
    (void)psi;
    trace[0] = fmaf(unit->leak, trace[0], unit->gain * s);
}

static float membrane_eligibility(const struct neuron_unit *unit, float psi, const float *trace) {
    (void)unit;
    return psi * trace[0];
}

static const char *const takes[] = {"activation", "readout_tau", NULL};

const struct neuron_ops neuron_membrane = {.name = "membrane",
                                           .doc = "leaky membrane potential, rate = activation of it",
                                           .takes = takes,
                                           .weights = {.W = 2, .Win = 2, .Wout = 2, .dale = 1},
                                           .one_trace = true,
                                           .hop_by_mu = true,
                                           .hop_exact = true,
                                           .states = 1,
                                           .carries = 1,
                                           .traces = 1,
                                           .step = membrane_step,
                                           .credit = membrane_credit,
                                           .tangent = membrane_tangent,
                                           .trace = membrane_trace,
                                           .eligibility = membrane_eligibility};

#else

INLINE vec membrane_step(const struct unit_vectors *unit, vec u, vec z_before, vec *state, vec *psi,
                         const enum activation activation) {
    (void)z_before;
    state[0] = v_fma(unit->gain, u, v_mul(unit->leak, state[0]));
    vec z = v_rate(state[0], activation);
    *psi = v_psi(z, v_set(1.0f), activation);
    return z;
}

INLINE vec membrane_credit(const struct unit_vectors *unit, vec psi, const struct inflow_vectors *in, vec *carry) {
    carry[0] = v_add(v_fma(psi, v_add(in->learning, in->through), v_mul(unit->leak, carry[0])), in->past);
    return v_mul(unit->gain, v_add(carry[0], in->beside));
}

INLINE void membrane_trace(const struct unit_vectors *unit, vec s, vec psi_before, vec psi, vec *trace) {
    (void)psi_before;
    (void)psi;
    trace[0] = v_fma(unit->leak, trace[0], v_mul(unit->gain, s));
}

INLINE vec membrane_eligibility(const struct unit_vectors *unit, vec psi, const vec *trace) {
    (void)unit;
    return v_mul(psi, trace[0]);
}

#endif
