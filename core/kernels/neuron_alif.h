/* The vector form of core/model/alif.c. */
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
