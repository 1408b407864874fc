/* The vector form of core/model/membrane.c. */
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
