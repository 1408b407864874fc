/* The vector form of core/model/lif.c. */
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
