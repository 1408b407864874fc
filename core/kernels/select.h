/* The choice of the kernels' instruction set, for callers that run no kernel themselves. */
#ifndef MODPROP_CORE_KERNELS_SELECT_H
#define MODPROP_CORE_KERNELS_SELECT_H

#include <stdbool.h>

/*
 * Chooses the instruction set whose kernels this process uses: "avx512", "avx2", "neon" or "portable"; NULL: the best
 * that the host has. False if that set is unknown, was not built or is not supported by the host. Call once before any
 * training.
 */
bool kernels_select(const char *forced);
const char *kernels_name(void);

#endif
