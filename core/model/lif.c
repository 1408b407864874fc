/*
 * Leaky integrate and fire (Bellec et al. 2020; the same step as NEST's eprop_iaf):
 *     v_t = leak v_{t-1} + u_t - threshold z_{t-1},      z_t = 1 where v_t > threshold, else 0
 *     psi_t = (dampening / threshold) max(0, 1 - |v_t - threshold| / threshold)
 *     G_t = L_t + through,      dv_t = leak dv_{t+1} + psi_t G_t,      delta_t = dv_t.
 * Forward in time eps_t = leak eps_{t-1} + s_t, e_t = psi_t eps_t (the gain is 1).
 * For `refractory` steps after a spike z and psi are 0 whatever v is, and v goes on. State: v, and the steps left
 * without a spike. Credit: dv. The reset and refractoriness carry no gradient (the published convention). Spikes are no
 * derivative's business: psi is a pseudo-derivative, and finite differences of the loss say nothing about it.
 */
#ifndef KERNEL_VECTORS
#include <math.h>

#include "core/model/neuron.h"

float spike_make(const struct neuron_unit *unit, float v, float level, float *resting, float *psi) {
    const struct neuron_constants *all = unit->all;
    const bool rests = *resting > 0.0f;
    const float above = v - level, z = above > 0.0f && !rests ? 1.0f : 0.0f,
                slope = fmaf(-fabsf(above), all->psi_slope, all->psi_peak);
    *psi = slope > 0.0f && !rests ? slope : 0.0f;
    *resting = fmaf(z, all->refractory, *resting > 1.0f ? *resting - 1.0f : 0.0f);
    return z;
}

static float lif_step(const struct neuron_unit *unit, float u, float z_before, float *state, float *psi) {
    state[0] = fmaf(-unit->all->threshold, z_before, fmaf(unit->leak, state[0], u));
    return spike_make(unit, state[0], unit->all->threshold, &state[1], psi);
}

static float lif_credit(const struct neuron_unit *unit, float psi, const struct neuron_inflow *in, float *carry) {
    carry[0] = fmaf(psi, in->learning + in->through, unit->leak * carry[0]);
    return carry[0];
}

static double lif_tangent(const struct neuron_exact *unit, double psi, double du, double dz_before, double *tangent) {
    (void)dz_before;
    tangent[0] = unit->leak * tangent[0] + du;
    return psi * tangent[0];
}

static void lif_trace(const struct neuron_unit *unit, float s, float psi_before, float psi, float *trace) {
    (void)psi_before;
    (void)psi;
    trace[0] = fmaf(unit->leak, trace[0], unit->gain * s);
}

static float lif_eligibility(const struct neuron_unit *unit, float psi, const float *trace) {
    (void)unit;
    return psi * trace[0];
}

static const char *const takes[] = {"threshold", "dampening", "refractory", NULL};

static const struct neuron_default defaults[] = {{"network", "tau", "20"}, {"rule", "first_hop", "\"exact\""}};

const struct neuron_ops neuron_lif = {.name = "lif",
                                      .doc = "leaky integrate and fire: spikes, a fixed threshold",
                                      .weights = {.W = 1, .Win = 1, .Wout = 2, .dale = 1},
                                      .spikes = true,
                                      .one_trace = true,
                                      .hop_exact = true,
                                      .hop_why = "the hop reaches a unit's spikes, and only their pseudo-derivative "
                                                 "leads on to its potential",
                                      .states = 2,
                                      .carries = 1,
                                      .traces = 1,
                                      .takes = takes,
                                      .defaults = defaults,
                                      .default_count = sizeof defaults / sizeof *defaults,
                                      .step = lif_step,
                                      .credit = lif_credit,
                                      .tangent = lif_tangent,
                                      .trace = lif_trace,
                                      .eligibility = lif_eligibility};

#else

INLINE vec spike_vectors(const struct unit_vectors *unit, vec v, vec level, vec *resting, vec *psi) {
    const vec above = v_sub(v, level), spike = v_if_positive(above, v_set(1.0f)),
              z = v_sub(spike, v_if_positive(*resting, spike)), distance = v_max(above, v_sub(v_zero(), above)),
              slope = v_max(v_fnma(distance, unit->psi_slope, unit->psi_peak), v_zero());
    *psi = v_sub(slope, v_if_positive(*resting, slope));
    *resting = v_fma(z, unit->refractory, v_max(v_sub(*resting, v_set(1.0f)), v_zero()));
    return z;
}

INLINE vec lif_step(const struct unit_vectors *unit, vec u, vec z_before, vec *state, vec *psi,
                    const enum activation activation) {
    (void)activation;
    state[0] = v_fnma(unit->threshold, z_before, v_fma(unit->leak, state[0], u));
    return spike_vectors(unit, state[0], unit->threshold, &state[1], psi);
}

INLINE vec lif_credit(const struct unit_vectors *unit, vec psi, const struct inflow_vectors *in, vec *carry) {
    carry[0] = v_fma(psi, v_add(in->learning, in->through), v_mul(unit->leak, carry[0]));
    return carry[0];
}

INLINE void lif_trace(const struct unit_vectors *unit, vec s, vec psi_before, vec psi, vec *trace) {
    (void)psi_before;
    (void)psi;
    trace[0] = v_fma(unit->leak, trace[0], v_mul(unit->gain, s));
}

INLINE vec lif_eligibility(const struct unit_vectors *unit, vec psi, const vec *trace) {
    (void)unit;
    return v_mul(psi, trace[0]);
}

#endif
