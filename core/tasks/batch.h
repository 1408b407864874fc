/*
 * A batch of trials, in the terms of whoever runs one: where its trials come from, what a run of it needs, costs and
 * reports. The words between the training loop, the backends and the engine; no code.
 *
 * Shapes: T steps, B trials, I inputs, N units, O outputs.
 */
#ifndef MODPROP_CORE_TASKS_BATCH_H
#define MODPROP_CORE_TASKS_BATCH_H

#include "core/base/phases.h"
#include "core/tasks/task.h"

/* How a gradient is computed; see core/engine. */
enum engine_method {
    METHOD_AUTO,
    METHOD_REVERSE,
    METHOD_FORWARD,
    METHOD_SENSITIVITIES,
    METHOD_SYNAPSES,
    METHOD_RANK_ONE
};

/*
 * A step of one trial in the reverse recursion of a rule that hops: a_t (N; NULL: 0), psi_t (N), and the nonlocal term
 * N_t = (gain d_{t+1}) M^T (N). Steps at which nothing has arrived yet are not shown. Valid during the call.
 */
struct batch_credit {
    size_t trial;
    int t;
    const float *a, *psi, *nonlocal;
};

struct batch_options {
    int steps;  /* T */
    int trials; /* most trials of a batch */
    enum loss_type loss;
    int mask_from;      /* no earlier step carries loss */
    bool mask_uniform;  /* every step from there on has weight 1 in every trial */
    enum neuron neuron; /* these three as the network's: who creates a backend need not give them */
    bool readout_leaks, noisy;
    /*
     * Of spiking models: rate_cost / 2 sum_p (mean_{t,b} z - rate_target)^2 joins the loss that the gradient is of, and
     * not the loss that is reported; 0: it does not.
     */
    double rate_cost, rate_target;
    int update_every; /* steps between updates within a trial, for backends' `iterate`; 0: one at its end */
    const struct rule_config *rule; /* NULL: forward passes only */
    enum engine_method method;
    int device;                  /* of a backend that has several: its number */
    const struct task_ops *task; /* whose trials the backend is to draw; NULL: not known, or given */
    uint64_t seed;               /* of what the rule draws: random and shuffled weights */
    double connectivity;         /* share of the recurrent synapses that may exist, for costs; 0: not known, so 1 */
    int64_t memory;              /* bytes that the history of the reverse recursion may take; 0: BATCH_MEMORY_DEFAULT */
    bool count_psi;              /* fill batch_result's psi sums */
    double input_work, target_work; /* multiply-adds that the source takes for one input value, for one target */
    double (*clock)(void *user);    /* seconds, for phases; NULL: none */
    void *clock_user;
    /* NULL: not wanted. Called from all members of a team, each trial from one. */
    void (*credit)(void *user, const struct batch_credit *step);
    void *credit_user;
};

/* The upper limits of a plan; memory usually allows far less. */
#define STEPS_MOST (INT32_MAX - 1023)
#define TRIALS_MOST (1 << 28)
#define SOURCES_MOST (1 << 27) /* units, inputs, outputs */
#define BATCH_MEMORY_DEFAULT ((int64_t)1 << 30)

enum { NEURON_WORK = 24 }; /* multiply-adds that count for a step of a unit of models other than membrane */

/* A step of one trial as a forward pass leaves it: x_t (I), z_t (N), y_t (O). Valid during the call that shows it. */
struct batch_step {
    size_t trial;
    int t;
    const float *inputs, *rates, *outputs;
};

/* The source of a batch. Called from all members of a team, each trial from one of them. */
struct batch_source {
    const void *user;
    /* x[(t - from) * stride + i] for t in [from, to) */
    void (*inputs)(const void *user, size_t trial, int from, int to, float *x, size_t stride);
    /* weight m of step t, and the target; called only for t >= mask_from */
    float (*target)(const void *user, size_t trial, int t, int *class_index, float *values);
    /* uoro: signs[p], 1 or -1, of step t for units p in [0, count); NULL: no rule that wants them is run */
    void (*signs)(const void *user, size_t trial, int t, int count, float *signs);
    /*
     * NULL: not wanted. noise: what is added at step t to the current of units [from, from + count); it is asked for
     * again where a step is recomputed. step, of forward passes alone: looks at every step_every-th step, the first
     * included.
     */
    void (*noise)(const void *user, size_t trial, int t, int from, int count, float *noise);
    void (*step)(const void *user, const struct batch_step *step);
    int step_every;
};

struct batch_result {
    double loss;          /* sum m l / sum m; NaN if no step counts (weight 0) */
    double weight;        /* sum m */
    double correct;       /* sum m [argmax y = class] / sum m; cross-entropy only; NaN likewise */
    double psi_mean;      /* over units, steps and trials; count_psi */
    int silent_units;     /* units whose psi was 0 throughout; count_psi */
    struct phases phases; /* seconds of member 0, added to the previous value */
};

/* The sentence for RESULT_INVALID of a batch. */
#define BATCH_CLASS_INVALID "a target names a class that the network has no output for"

#endif
