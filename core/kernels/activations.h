/*
 * The activations, a file each: z = f(v), and the derivative psi as a function of z. A file activation_NAME.h, which
 * the build includes by its row in core/base/seams.h, defines
 *
 *     float NAME_psi_of(float z)        psi, the plain form: for rules that work by element
 *     double NAME_psi_exact(double z)   the same in double: for the sensitivities, the check on all else
 *     vec NAME_rate(vec v)              f over a virtual vector (body.h)
 *     vec NAME_psi(vec z, vec value)    psi(z) * value
 *
 * the last two where KERNEL_VECTORS is defined: body.h includes this once an instruction set, and makes the forward and
 * the reverse epilogues of each. All that reaches a result is made of the operations of body.h, which every set rounds
 * alike.
 */
#include "core/base/seams.h"

#include "core/kernels/activation_files.h"

#ifndef KERNEL_VECTORS
#define PSI_OF_CASE(number, name)                                                                                      \
    case ACTIVATION_##number:                                                                                          \
        return name##_psi_of(z);
static inline float psi_of(enum activation activation, float z) {
    switch (activation) {
        ACTIVATION_ROWS(PSI_OF_CASE)
    case ACTIVATIONS:
        break;
    }
    return 0.0f;
}

#define PSI_EXACT_CASE(number, name)                                                                                   \
    case ACTIVATION_##number:                                                                                          \
        return name##_psi_exact(z);
static inline double psi_exact(enum activation activation, double z) {
    switch (activation) {
        ACTIVATION_ROWS(PSI_EXACT_CASE)
    case ACTIVATIONS:
        break;
    }
    return 0;
}
#endif
