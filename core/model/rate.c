/*
 * The rate model, whose leak is on the rate (RFLO: Murray 2019; Marschall et al. 2020; Yang et al. 2019):
 *     z_t = leak z_{t-1} + gain phi(u_t),      psi_t = phi'(u_t)
 *     c_t = L_t + leak c_{t+1} + through + past,      delta_t = gain psi_t c_t.
 * Forward in time p_t = leak p_{t-1} + gain psi_t s_t, which is the eligibility itself.
 * State: z. Credit: c = "dE/dz". Credit that hops by mu is mu gain c_{t+1}: mu stands for the psi of the unit that it
 * comes from, so past has been multiplied by it already.
 */
#ifndef KERNEL_VECTORS
#include <math.h>

#include "core/model/neuron.h"

static float rate_step(const struct neuron_unit *unit, float u, float z_before, float *state, float *psi) {
    (void)z_before;
    float drive = unit->phi(u);
    state[0] = fmaf(unit->gain, drive, unit->leak * state[0]);
    *psi = unit->phi_slope(drive);
    return state[0];
}

static float rate_credit(const struct neuron_unit *unit, float psi, const struct neuron_inflow *in, float *carry) {
    carry[0] = fmaf(unit->leak, carry[0], in->learning) + in->through + in->past;
    return unit->gain * psi * (carry[0] + in->beside);
}

static double rate_tangent(const struct neuron_exact *unit, double psi, double du, double dz_before, double *tangent) {
    (void)dz_before;
    tangent[0] = unit->leak * tangent[0] + unit->gain * psi * du;
    return tangent[0];
}

static void rate_trace(const struct neuron_unit *unit, float s, float psi_before, float psi, float *trace) {
    (void)psi_before;
    trace[0] = fmaf(unit->leak, trace[0], unit->gain * psi * s);
}

static float rate_eligibility(const struct neuron_unit *unit, float psi, const float *trace) {
    (void)unit;
    (void)psi;
    return trace[0];
}

static const struct neuron_default defaults[] = {{"rule", "first_hop", "\"mu\""}};

static const char *const takes[] = {"activation", "readout_tau", NULL};

const struct neuron_ops neuron_rate = {.name = "rate",
                                       .doc = "leaky rate: the leak is on the rate, activation of the current (RFLO)",
                                       .takes = takes,
                                       .weights = {.W = 2, .Win = 2, .Wout = 2, .dale = 1},
                                       .mu_at_source = true,
                                       .hop_by_mu = true,
                                       .hop_why = "the derivative of the hop's end is taken where the credit is used",
                                       .states = 1,
                                       .carries = 1,
                                       .traces = 1,
                                       .defaults = defaults,
                                       .default_count = sizeof defaults / sizeof *defaults,
                                       .step = rate_step,
                                       .credit = rate_credit,
                                       .tangent = rate_tangent,
                                       .trace = rate_trace,
                                       .eligibility = rate_eligibility};

#else

INLINE vec rate_step(const struct unit_vectors *unit, vec u, vec z_before, vec *state, vec *psi,
                     const enum activation activation) {
    (void)z_before;
    vec drive = v_rate(u, activation);
    state[0] = v_fma(unit->gain, drive, v_mul(unit->leak, state[0]));
    *psi = v_psi(drive, v_set(1.0f), activation);
    return state[0];
}

INLINE vec rate_credit(const struct unit_vectors *unit, vec psi, const struct inflow_vectors *in, vec *carry) {
    carry[0] = v_add(v_add(v_fma(unit->leak, carry[0], in->learning), in->through), in->past);
    return v_mul(v_mul(unit->gain, psi), v_add(carry[0], in->beside));
}

INLINE void rate_trace(const struct unit_vectors *unit, vec s, vec psi_before, vec psi, vec *trace) {
    (void)psi_before;
    trace[0] = v_fma(unit->leak, trace[0], v_mul(v_mul(unit->gain, psi), s));
}

INLINE vec rate_eligibility(const struct unit_vectors *unit, vec psi, const vec *trace) {
    (void)unit;
    (void)psi;
    return trace[0];
}

#endif
