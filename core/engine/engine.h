/*
 * The engine: loss and gradient of one batch of trials, on a team, in blocks.
 *
 * Equations: names as in core/MATHEMATICS.md; after Liu et al. (NeurIPS 2022, arXiv 2206.01338). Every rule's gradient
 * is
 *
 *     dW = sum_{t,b} z_{t-1}^T (gain * d_t)          (x_t, or 1, in the place of z_{t-1} for Win and b)
 *
 * with a credit d_t that the rule defines (core/rules). Methods compute it:
 *
 * - Reverse recursion (method_reverse.c): the forward pass keeps its source rows, or recomputes them in segments within
 *   the memory limit; then d_t is computed from the last step to the first, and each TIME_BLOCK of steps becomes one
 *   outer product.
 * - Forward traces (method_traces.c), for equal leaks, where the rule's filter is a sum of exponentials: nothing of
 * size T is kept.
 * - Synapse traces (method_synapses.c): the same with a trace for each synapse, for updates within a trial.
 * - Forward sensitivities (method_sensitivities.c): every derivative of every state; for small networks.
 *
 * Work is split into groups of blocks of up to BLOCK_TRIALS trials. A group has its own accumulators, which are added
 * in a fixed order, and which blocks form a group depends on the number of trials alone: the bits never depend on the
 * team.
 *
 * Owner: the thread that trains. Between engine_batch_run calls nothing runs.
 */
#ifndef MODPROP_CORE_ENGINE_H
#define MODPROP_CORE_ENGINE_H

#include "core/kernels/kernels.h"
#include "core/model/network.h"
#include "core/tasks/batch.h"
#include "core/base/result.h"
#include "core/base/work.h"
#include "core/base/team.h"

#define GROUPS_MOST 16 /* parts of a batch that may run at the same time */

/* What a batch will cost, computed from sizes alone. */
struct engine_plan {
    enum engine_method method;
    int segment_steps;   /* reverse recursion: number of steps whose history is kept at a time; T if nothing is
                          * recomputed */
    size_t memory_bytes; /* peak of blocks, accumulators and packed weights */
    double forward_multiply_adds, multiply_adds; /* of one forward pass; of one gradient with its forward pass and what
                                                    a change of weights costs the engine */
};

struct engine;

/*
 * The plan for a network of these sizes. False, with `error`, if a size is out of range, memory could not be addressed
 * or the rule does not fit (rtrl on a large network).
 */
bool engine_plan_make(int units, int inputs, int outputs, int types, bool bias, bool equal_leaks,
                      const struct batch_options *options, struct engine_plan *plan, struct error *error);

/*
 * NULL, with `error` and *result set to RESULT_NO_MEMORY or RESULT_INVALID, on failure. `network` is borrowed and must
 * outlive the engine.
 */
struct engine *engine_create(const struct network *network, const struct batch_options *options, enum result *result,
                             struct error *error);
void engine_destroy(struct engine *engine);

/*
 * Takes the network's current weights. `feedback` is F, (O,N); NULL: Wout transposed. mu as in the rule, where that has
 * no list of them. `averages`, (C,C), are the type averages to use for credit (type and random weights), or NULL to
 * average W again. Must be called after every
 * change of weights.
 */
void engine_weights_load(struct engine *engine, const float *feedback, double mu, const double *averages);

/*
 * Runs trials 0..trials-1 of the source. With `gradient` (network->parameters floats in the order of the weights) also
 * writes the rule's gradient. RESULT_DONE, RESULT_STOPPED (`work`, which counts and may be NULL, was stopped),
 * RESULT_NO_MEMORY, or RESULT_INVALID if `trials` is not from 1 to options.trials or a target is a class that the
 * outputs do not have.
 */
enum result engine_batch_run(struct engine *engine, struct team *team, const struct batch_source *source, int trials,
                             float *gradient, struct work *work, struct batch_result *result);

/*
 * The credit gain of the weights last loaded, for a rule with mu: the largest norm of a power of the credit operator
 * within the trial. `scratch` of engine_credit_gain_bytes. False when stopped. The cost in multiply-adds.
 */
bool engine_credit_gain(const struct engine *engine, void *scratch, struct work *work, double *gain);
size_t engine_credit_gain_bytes(int units);
double engine_credit_gain_cost(int units, int steps);

/*
 * The same, with an update of the weights after every options.update_every steps: `make` takes the gradient gathered
 * since the last one, changes the weights and calls engine_weights_load; state and traces go on. Where the run fails,
 * updates may have been made.
 */
struct engine_update {
    void (*make)(void *user);
    void *user;
};
enum result engine_batch_online(struct engine *engine, struct team *team, const struct batch_source *source, int trials,
                                float *gradient, const struct engine_update *update, struct work *work,
                                struct batch_result *result);

/*
 * The method used for the last gradient: the plan's, or the reverse recursion if the traces were ill-conditioned.
 */
enum engine_method engine_method_used(const struct engine *engine);
const char *engine_method_name(enum engine_method method, bool segmented);

#endif
