/* The vector form of core/model/rate.c. */
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
