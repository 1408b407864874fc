/*
 * Kernels: the arithmetic that costs time, one file an instruction set, one shape of loop shared by all.
 *
 * Layout. A "source row" is what drives the network at one step in one trial: [.. x_t (I) | 1 if bias | z_{t-1} (N) ..], with the z part
 * at offset z_offset (a multiple of 16 floats, so 64-byte aligned) and x right-aligned before it, so that the recurrent product,
 * the input and the bias are one product over contiguous sources, and so is the outer product of the gradient.
 * Units are the vector dimension, padded to 16; trials are grouped in blocks of 8, the unit of reduction. History of a block is
 * [t][8][stride]. Weights are packed once an iteration into panels [panel][source][16 * V] of the kernel's tile width.
 *
 * Same bits everywhere. Every element is accumulated over sources (product) or over the rows of a fixed block of time (outer
 * product) in one order with explicit fused multiply-adds, and horizontal sums use 16 virtual lanes and a fixed tree, so scalar,
 * AVX2 and AVX-512 agree bit for bit, whatever tile a row fell into. The scalar file is the authority.
 *
 * Rejected: trials as the vector dimension (no padding, but batch 1 would waste 15 lanes of 16 and gradient
 * accumulators would be 16 times larger than the level-2 cache likes).
 */
#ifndef MODPROP_CORE_KERNELS_H
#define MODPROP_CORE_KERNELS_H

#define LANES 16       /* floats of a virtual vector; units are padded to a multiple */
#define BLOCK_TRIALS 8 /* trials of a block, the unit of reduction */

#endif
