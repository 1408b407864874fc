/*
 * Inputs given as spikes: three integer tensors of a dataset's file, a spike being an entry of each.
 *
 *   spikes_trials  from 0 to trials - 1   in ascending order
 *   spikes_times   from 0 to steps - 1    ticks; in ascending order within a trial
 *   spikes_units   from 0 to inputs - 1   the input that the spike adds 1 to
 *
 * The metadata's "shape", "[steps, trials, inputs]", says what the lists themselves cannot (test_spikes_* and
 * "test_shape" likewise). The order is required, so that a check needs no memory and loading is one pass. The lists are
 * never expanded: a spike takes 6 bytes in memory, a trial 8. A polarity is a matter of units: on and off events of one
 * place are two inputs.
 */
#ifndef MODPROP_SERVER_DATASET_SPIKES_H
#define MODPROP_SERVER_DATASET_SPIKES_H

#include "server/datasets/layout.h"

/* Bytes that a split's spikes take in memory. */
size_t spikes_memory(const struct split *split);

/* Checks every spike. 0, or an errno; *sound is false, with a sentence, if one is refused. */
int spikes_check(struct blocks *blocks, const struct split *split, const struct dataset_patience *patience, bool *sound,
                 char error[DATASET_ERROR_BYTES]);

/*
 * Loads spikes that were checked before: first (trials + 1), ticks and units (of each spike). 0, or an errno; EIO where
 * the file is not the one that was checked.
 */
int spikes_load(struct blocks *blocks, const struct split *split, size_t *first, uint32_t *ticks, uint16_t *units);

#endif
