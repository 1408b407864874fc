/* What libFuzzer calls; replay.c calls it in its place. */
#ifndef MODPROP_FUZZ_TARGET_H
#define MODPROP_FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>

/* Before the first input: chooses the target by $FUZZ_TARGET, or ends the process. */
int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
