/* Rectified linear: z = max(v, 0); psi = 1 where z > 0, else 0. */
static inline float relu_psi_of(float z) {
    return z > 0.0f;
}

static inline double relu_psi_exact(double z) {
    return z > 0.0;
}

#ifdef KERNEL_VECTORS
INLINE vec relu_rate(vec v) {
    return v_if_positive(v, v);
}

INLINE vec relu_psi(vec z, vec value) {
    return v_if_positive(z, value);
}
#endif
