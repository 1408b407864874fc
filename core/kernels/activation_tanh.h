/* Hyperbolic tangent: z = tanh(v); psi = 1 - z^2. */
static inline float tanh_psi_of(float z) {
    return 1.0f - z * z;
}

static inline double tanh_psi_exact(double z) {
    return 1.0 - z * z;
}

#ifdef KERNEL_VECTORS
/* The function itself, within 2 units in the last place; odd, monotone where tested, saturates to 1. */

/* exp(x) for 0 <= x <= 20: x = n ln2 + r, a polynomial of degree 6 in r, scaled by 2^n. */
INLINE vec v_exp_small(vec x) {
    vec n = v_round(v_mul(x, v_set(1.44269504f)));
    vec r = v_fnma(n, v_set(0.693359375f), x);
    r = v_fma(n, v_set(2.12194440e-4f), r);
    vec p = v_set(1.0f / 720);
    p = v_fma(p, r, v_set(1.0f / 120));
    p = v_fma(p, r, v_set(1.0f / 24));
    p = v_fma(p, r, v_set(1.0f / 6));
    p = v_fma(p, r, v_set(0.5f));
    p = v_fma(p, r, v_set(1.0f));
    p = v_fma(p, r, v_set(1.0f));
    return v_scale2(p, n);
}

/*
 * For |x| >= 0.5: 1 - 2 / (exp(2|x|) + 1). Below: x + x^3 P(x^2), P the Taylor series' first seven terms, whose
 * remainder at 0.5 is under 2^-24 relative. Both are computed and one is taken, so that there is no branch.
 */
INLINE vec v_tanh(vec x) {
    vec size = v_max(x, v_sub(v_zero(), x));
    vec bounded = v_min(size, v_set(9.5f));
    vec large = v_sub(v_set(1.0f), v_div(v_set(2.0f), v_add(v_exp_small(v_add(bounded, bounded)), v_set(1.0f))));
    vec s = v_min(size, v_set(0.5f));
    vec s2 = v_mul(s, s);
    vec p = v_set(-929569.0f / 638512875.0f);
    p = v_fma(p, s2, v_set(21844.0f / 6081075.0f));
    p = v_fma(p, s2, v_set(-1382.0f / 155925.0f));
    p = v_fma(p, s2, v_set(62.0f / 2835.0f));
    p = v_fma(p, s2, v_set(-17.0f / 315.0f));
    p = v_fma(p, s2, v_set(2.0f / 15.0f));
    p = v_fma(p, s2, v_set(-1.0f / 3.0f));
    vec small = v_fma(v_mul(s, s2), p, s);
    vec above = v_if_positive(v_sub(size, v_set(0.5f)), v_set(1.0f));
    vec magnitude = v_fma(above, large, v_fnma(above, small, small));
    /* one of the two terms is exactly 0, so the sum is exact; the sign comes back by one more exact selection */
    vec positive = v_if_positive(x, magnitude);
    vec negative = v_if_positive(v_sub(v_zero(), x), magnitude);
    /* 0 * x is 0 for every finite x, and keeps a NaN or an infinity from passing as a number */
    return v_fma(v_zero(), x, v_sub(positive, negative));
}

INLINE vec tanh_rate(vec v) {
    return v_tanh(v);
}

INLINE vec tanh_psi(vec z, vec value) {
    return v_mul(v_fnma(z, z, v_set(1.0f)), value);
}
#endif
