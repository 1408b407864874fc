/*
 * Checkpoints: everything that a job needs to go on bit for bit, as one flat, versioned, checksummed byte string.
 *
 * Layout, little-endian: struct checkpoint_header, identity (32 bytes), then weights (parameters floats), optimiser
 * state (floats), type averages (doubles, where tracking is initial) or the last fit (where taps are fitted: struct
 * fit_report, then the taps), leak (N floats), type of unit (N int32), sign of
 * unit (N int32). Random numbers need no state: they are named by counters.
 *
 * Version 1, of modprop 0.1, has no identity after its header but a hash of 64 bits in it (config_identity_1). It is
 * read and no longer written.
 */
#ifndef MODPROP_CORE_CHECKPOINT_H
#define MODPROP_CORE_CHECKPOINT_H

#include "core/model/network.h"
#include "core/model/optimizer.h"
#include "core/train/train.h"

/* What training carries from one iteration to the next, except for the arrays. */
struct train_state {
    int64_t iteration;           /* updates made */
    double training_loss;        /* of the last iteration; NaN before the first */
    double mu_mean;              /* mu "auto": running mean of psi; with a bound on the gain: mu as last rescaled */
    int64_t evaluated_iteration; /* of the last evaluation; -1: none yet */
    double loss, accuracy;       /* of the last evaluation */
    int32_t streak;              /* evaluations in a row that met stop_when */
};

/* The arrays that are stored as well, in the order of the layout. `averages`, or the fit in their place, is NULL, with
 * count 0, if there is none. */
struct checkpoint_arrays {
    struct network *network;
    struct optimizer *optimizer;
    double *averages;
    size_t average_count;
};

/*
 * The identity that checkpoints of version 1 have: a hash of all parameters of version 0.1 by their position. Frozen;
 * no parameter is added.
 */
uint64_t config_identity_1(const struct train_config *config);

/* Doubles that are stored of averages or a fit. */
size_t checkpoint_kept(const struct train_config *config);
size_t checkpoint_size(const struct checkpoint_arrays *arrays);
/* The same, from sizes alone, for estimates. */
size_t checkpoint_size_estimate(const struct train_config *config, int inputs, int outputs);
void checkpoint_write(const struct train_config *config, const struct train_state *state,
                      const struct checkpoint_arrays *arrays, unsigned char *bytes);
/*
 * Fills state and arrays. False, with a sentence, if the bytes are damaged or belong to another job; nothing is written
 * then.
 */
bool checkpoint_read(const struct train_config *config, const unsigned char *bytes, size_t size,
                     struct train_state *state, const struct checkpoint_arrays *arrays, struct error *error);

/*
 * Sets how many evaluations in a row have met stop_when, in the bytes of a sound checkpoint: for a job that is extended
 * and has other evaluations, or another condition, than the job that wrote it.
 */
void checkpoint_streak_set(unsigned char *bytes, int32_t streak);

#endif
