/*
 * Gradients of one given batch under any rule, for POST /v1/gradients and the golden tests.
 *
 * Raw gradients as the formulas of the rules give them: no regulariser, no clipping, no Dale projection, the diagonal
 * of W's gradient included. Computed by the same kernels as training, in float32. Blocks the calling thread; owns no
 * state.
 */
#ifndef MODPROP_CORE_GRADIENTS_H
#define MODPROP_CORE_GRADIENTS_H

#include "core/base/result.h"
#include "core/model/config.h"
#include "core/tasks/task.h"

/* A network and a batch. All arrays are borrowed, row-major. */
struct gradients_problem {
    int units, inputs, outputs; /* N, I, O */
    int types;                  /* C: 1 + the largest entry of type_of_unit */
    int steps, trials;          /* T, B */
    enum neuron neuron;
    enum activation activation;    /* of models that have one */
    double threshold, dampening;   /* of spiking models */
    int refractory;                /* steps */
    double readout_kappa;          /* 0: the readout has no leak */
    double rate_cost, rate_target; /* as in struct batch_options */
    enum loss_type loss;
    const float *W, *Win, *b, *Wout, *bout; /* (N,N), (I,N), (N) or NULL for none, (N,O), (O) */
    const double *leak;                     /* (N); gain is 1 - leak, or 1 where the model spikes */
    const double *rho, *beta;               /* (N) of models that adapt, else NULL */
    const int *type_of_unit;                /* (N) 0..C-1, in any order; NULL: one type */
    const float *x;                         /* (T,B,I) */
    const int32_t *classes;                 /* (T,B) cross-entropy */
    const float *values;                    /* (T,B,O) squared error */
    const float *mask;                      /* (T,B); NULL: every step counts. Its sum must be positive. */
    const float *feedback;                  /* (O,N) for feedback random and adaptive; NULL otherwise */
    uint64_t seed;                          /* of what a rule draws */
    const float *nu;                        /* (T,B,N) the signs of uoro; NULL: drawn from the seed */
};

/* Written by gradients_compute; the caller provides arrays of the shapes of the weights. b may be NULL. */
struct gradients {
    float *W, *Win, *b, *Wout, *bout;
};

/*
 * The gradient of `problem` under `rule`, on `threads` threads; *loss is the batch's loss (masked mean). `stop` (may be
 * NULL) is polled. Returns RESULT_DONE, RESULT_STOPPED, RESULT_NO_MEMORY or RESULT_INVALID (error says how); on failure
 * no result is written, but the arrays' previous contents may be lost. rule->mu_auto is RESULT_INVALID: a single batch
 * has no running mean.
 */
enum result gradients_compute(const struct gradients_problem *problem, const struct rule_config *rule, int threads,
                              bool (*stop)(void *user), void *user, struct gradients *gradients, double *loss,
                              struct error *error);

/* Bytes that gradients_compute takes at its peak, computed from sizes alone. SIZE_MAX: more than can be addressed. */
size_t gradients_memory(const struct gradients_problem *problem, const struct rule_config *rule);

#endif
