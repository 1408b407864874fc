/*
 * The neuron models over a virtual vector (body.h). Each is in core/model/NAME.c, whose second half, where
 * KERNEL_VECTORS is defined, this includes by the rows of core/base/seams.h (the build writes the list). It defines
 *
 *     vec NAME_step(unit, u, z_before, state, psi, activation)      z_t; the state of vectors is replaced, *psi set
 *     vec NAME_credit(unit, psi, in, carry)                          delta_t; the carry is replaced
 *     void NAME_trace(unit, s, psi_before, psi, trace)               a synapse's traces are replaced
 *     vec NAME_eligibility(unit, psi, trace)                         e_t
 *
 * in the operations, and in their order, of the scalar form in the first half.
 */
struct unit_vectors {
    vec leak, gain, rho, beta, threshold, psi_peak, psi_slope, refractory;
};

struct inflow_vectors {
    vec learning, through, past, beside;
};

#include "core/kernels/neuron_files.h"
