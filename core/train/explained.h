/*
 * How much of bptt's nonlocal credit can filters between cell types explain, in a trained network? Taps are
 * fitted for several numbers of types and steps, and tested on another batch, ModProp's own taps beside them, all with
 * the readout's own weights as feedback. The analysis "filters" (core/analysis).
 *
 * Owner: the caller's thread, with a team of its own.
 */
#ifndef MODPROP_CORE_EXPLAINED_H
#define MODPROP_CORE_EXPLAINED_H

#include "core/train/train.h"

#define EXPLAINED_MOST 16                      /* numbers of types; of steps */
#define EXPLAINED_HISTORY ((int64_t)256 << 20) /* bytes; a longer history is recomputed in segments */

struct explain_request {
    int types_per_sign[EXPLAINED_MOST], types_count; /* 0: one answer, for the job's own types */
    int steps[EXPLAINED_MOST], steps_count;
    struct tap_fit fit; /* of which steps are replaced */
    double mu;          /* of ModProp's taps */
    bool keep_taps;     /* where types_count is at most 1: those of the most steps */
    int threads;
};

struct explained {
    int types, steps; /* C, S */
    double share_seen;
    struct fit_score fitted, modprop; /* on the batch that the fit has not seen */
    bool has_modprop;                 /* not where leaks differ within a type */
    double *taps;                     /* (S, C, C), if they are kept; explained_release frees them */
};

/*
 * Writes types_count (or 1) times steps_count answers, types outermost. The trials are those that a fit of this job at
 * the checkpoint's iteration has. RESULT_DONE, or with a sentence RESULT_STOPPED, RESULT_NO_MEMORY or RESULT_INVALID.
 */
enum result explain(const struct train_config *config, const struct trained *trained,
                    const struct explain_request *request, struct work *work, struct explained *answers,
                    struct error *error);
void explained_release(struct explained *answers, int count);
/* What it takes. False, with `error`, if a filter does not fit the network. */
bool explain_plan(const struct train_config *config, const struct explain_request *request, size_t *bytes,
                  double *multiply_adds, struct error *error);

#endif
