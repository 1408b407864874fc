/*
 * Filter taps fitted to bptt: the ridge least-squares solution that makes psi_t n_t closest to psi_t N_t, N_t =
 * (gain d_{t+1}) W^T being bptt's nonlocal credit, over units, steps and trials of a fresh batch (core/rules/filter.c
 * says what n is; bptt has the rule's feedback). Each trial weighs 1 / sum |A|^2.
 *
 * Types are independent of each other. With free taps and loss on one step alone so are the lags, and each is solved by
 * itself: in the C unknowns, or, where trials are fewer, in the trials (the dual form). Otherwise a type has all its
 * unknowns in one system of normal equations.
 *
 * A fit depends on seed, iteration and weights alone: the trials are those of the training phase that come after the
 * batch of this iteration. Owner: the thread that trains; types are shared out to its team, and each type's sums have
 * one order.
 */
#ifndef MODPROP_CORE_FIT_H
#define MODPROP_CORE_FIT_H

#include "core/rules/rules.h"
#include "core/train/align.h"
#include "core/train/tape.h"
#include "core/train/train.h"

/* ---- taps from a tape ---- */

/*
 * Writes taps (S, C, C), [s - 1][g][h]. `decouples`: only the last step broadcasts. RESULT_DONE, RESULT_STOPPED or
 * RESULT_NO_MEMORY.
 */
enum result fit_solve(const struct tape *tape, const struct tap_fit *fit, bool decouples, struct team *team,
                      struct work *work, double *taps);

/* What it takes. */
size_t fit_solve_bytes(const struct tap_fit *fit, bool decouples, int types, int trials);
double fit_solve_cost(const struct tap_fit *fit, bool decouples, int types, int trials, int steps);

/*
 * ModProp's own taps, F_s = w Gam (Lam + Mu D w Gam)^{s-1}, in the same layout. RESULT_INVALID: leaks differ within a
 * type, so there are none.
 */
enum result fit_modprop_taps(const struct network *network, double mu, int lags, double *taps, struct work *work);

/* The sizes of a job's network, as rules see them. */
struct rule_shape fit_shape(const struct train_config *config, const struct task_shape *shape);

/* ---- a job's own ---- */

struct fit {
    const struct tap_fit *config;
    struct rule_config rule;   /* the job's, whose taps are here */
    struct fit_report *report; /* what is kept begins with it; */
    double *taps;              /* (S, C, C) these come after it */
    double *kept;              /* both, as a checkpoint has them */
    struct rule_shape shape;
    struct tape tape;
    struct trial_id *ids; /* (trials) */
    float *gradients;     /* (3, parameters): of bptt, eprop and the rule, for the batch that the fit has not seen */
};

/* For a configuration whose taps are fitted. False: out of memory. fit_release is NULL-safe, also for a struct of 0. */
bool fit_init(struct fit *fit, const struct train_config *config, const struct task_shape *shape,
              const struct network *network);
void fit_release(struct fit *fit);
/*
 * Fits at `iteration` and measures, for a batch whose ids and options are replaced. RESULT_DONE; or another, with a
 * sentence where it is RESULT_NO_MEMORY or RESULT_INVALID; the taps may then be lost.
 */
enum result fit_run(struct fit *fit, const struct align_batch *job, int64_t iteration, struct error *error);
/* What a fit takes; memory includes what is kept. False, with `error`, if a size does not fit. */
bool fit_plan(const struct train_config *config, const struct task_shape *shape, size_t *bytes, double *multiply_adds,
              struct error *error);

/* ---- parts that an answer about a checkpoint (explained.h) uses too ---- */

/* Fills the tape with trials first .. of the training phase after the batch, and the gradient of bptt. */
enum result fit_tape_fill(struct tape *tape, const struct align_batch *job, struct trial_id *ids,
                          enum feedback feedback, int64_t iteration, size_t first, float *gradient,
                          struct error *error);
/* Share and cosine over all lags and over those that taps reach, and of each bin. */
void fit_score_make(const struct tape_sums *sums, struct fit_score *score);
/* How gradients of W compare: the rule's, eprop's and bptt's. */
void fit_gradients_compare(const struct network *network, const float *rule, const float *eprop, const float *bptt,
                           struct fit_score *score);

#endif
