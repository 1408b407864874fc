/*
 * What to train: the plain structs that the api room fills and the core reads.
 *
 * Every number that a user can set is here once, in the unit given beside it; names are those of the job document.
 * Nothing here owns memory: pointers are borrowed from the caller for as long as training runs. The api room checks
 * ranges (its parameter tables); the core only checks sizes for overflow and memory.
 */
#ifndef MODPROP_CORE_CONFIG_H
#define MODPROP_CORE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/numbers.h"
#include "core/base/seams.h"

/* A parameter that may be left out. */
struct optional_double {
    bool set;
    double value;
};

/*
 * Storage for what only one task, or one rule, has: a struct that its file defines, and describes in its table of
 * parameters. Nobody else looks inside.
 */
#define OWN_BYTES 128
struct own {
    _Alignas(8) unsigned char bytes[OWN_BYTES];
};

struct task_data;

struct task_config {
    enum task_type type;
    struct own own;
    char dataset[65];     /* the name of the user's data, for tasks that have it as a parameter; else "" */
    char data_sha256[65]; /* of those trials, fixed when the job was accepted; "": no data, or a job of version 0.1 */
    const struct task_data *data; /* the trials, for tasks that need any; NULL for the others */
};

enum discretization { DISCRETIZATION_EXPONENTIAL, DISCRETIZATION_EULER };
/*
 * The magnitude at which Deep R reconnects a weight. A weight of exactly this magnitude is a placeholder that has
 * learned nothing yet: counts of synapses leave it out.
 */
#define DEEP_R_PLACEHOLDER 1e-12f

enum rewiring { REWIRING_NONE, REWIRING_DEEP_R };

/*
 * Weights as in documents: row-major, W[q*N + p] from q to p, Win (I,N), b (N) or NULL, Wout (N,O), bout (O). The sizes
 * state what may be read; a network of other sizes rejects the view.
 */
struct weights_view {
    int units, inputs, outputs; /* N, I, O */
    const float *W, *Win, *b, *Wout, *bout;
};

/* The view of a contiguous array W, Win, b (where `bias`), Wout, bout. */
static inline struct weights_view weights_view_make(const float *memory, int units, int inputs, int outputs,
                                                    bool bias) {
    size_t n = (size_t)units;
    const float *b = memory + n * n + (size_t)inputs * n, *Wout = bias ? b + n : b;
    return (struct weights_view){.units = units,
                                 .inputs = inputs,
                                 .outputs = outputs,
                                 .W = memory,
                                 .Win = memory + n * n,
                                 .b = bias ? b : NULL,
                                 .Wout = Wout,
                                 .bout = Wout + n * (size_t)outputs};
}

/* The least threshold of a spike: the pseudo-derivative, which divides by its square, stays a float32. */
#define THRESHOLD_LEAST 1e-6

struct network_config {
    int units;                 /* N */
    double tau;                /* ms, where tau_of_unit is NULL and no range is given */
    const double *tau_of_unit; /* (N) ms, or NULL */
    bool tau_is_range;         /* tau of each unit drawn uniformly from tau_low..tau_high by the seed */
    double tau_low, tau_high;  /* ms */
    enum neuron neuron;
    enum activation activation;
    double threshold, dampening; /* of models that spike */
    int refractory;              /* ms */
    double beta;                 /* of models that adapt, as what follows */
    double tau_adaptation;       /* ms, where no range is given */
    bool tau_adaptation_is_range;
    double tau_adaptation_low, tau_adaptation_high; /* ms */
    double adaptive_fraction;                       /* the last units of each sign have beta, the others 0 */
    struct optional_double readout_tau;             /* ms */
    double noise;                                   /* standard deviation that it alone gives v */
    bool dale;
    double excitatory_fraction;
    int types_per_sign;
    const int *type_of_unit; /* (N) 0..C-1, in any order, in the place of types_per_sign's groups; or NULL */
    int types;               /* C, where type_of_unit is given */
    bool types_shuffled;     /* the groups' units are dealt out at random within a sign, by the seed */
    double connectivity;
    enum rewiring rewiring;
    enum discretization discretization;
    bool bias;
    const struct weights_view *initial; /* given weights, whose sizes must be the network's; or NULL */
};

#define MU_PUBLISHED 0.25

enum credit_weights { CREDIT_CELL, CREDIT_TYPE, CREDIT_GIVEN, CREDIT_RANDOM, CREDIT_SHUFFLED };
enum averaging { AVERAGING_ALL, AVERAGING_EXISTING };
enum tracking { TRACKING_CURRENT, TRACKING_INITIAL };
enum first_hop { FIRST_HOP_MU, FIRST_HOP_EXACT };
enum feedback { FEEDBACK_SYMMETRIC, FEEDBACK_RANDOM, FEEDBACK_ADAPTIVE };

/* A bound on the credit gain (core/train/bound.h): every so many iterations mu is rescaled to respect it. */
struct gain_bound {
    double most; /* 0: none */
    int every;   /* iterations */
};
#define GAIN_EVERY 20

struct rule_config {
    enum rule_type type;
    double mu;                    /* with a bound on the gain: the most that it is */
    struct gain_bound gain_bound; /* of one mu, and not with mu_auto */
    bool mu_auto;                 /* mu is the running mean of psi instead */
    struct numbers mu_of; /* (C) or (N): mu of each type, or of each unit, in the place of mu; where C = N, of a unit */
    enum credit_weights weights;
    struct numbers modulation; /* weights given: M itself, (N,N) or, by types, (C,C); where C = N, (N,N) */
    enum averaging averaging;
    enum tracking tracking;
    enum first_hop first_hop;
    int taps; /* 0: no cut */
    enum feedback feedback;
    double feedback_decay;
    struct own own;
};

/* Whether the weights that carry credit are made from averages of W over blocks of types. */
static inline bool rule_is_averaged(const struct rule_config *rule) {
    return rule->weights == CREDIT_TYPE || rule->weights == CREDIT_RANDOM;
}

/* How a rule's taps (S, C, C) are fitted to bptt's nonlocal credit, every so many iterations (core/train/fit.h). */
enum fit_basis { FIT_EXPONENTIAL, FIT_FREE };
struct tap_fit {
    int steps; /* S; 0: the taps are given */
    enum fit_basis basis;
    int terms;         /* exponential */
    int every, trials; /* iterations; of the batch that is fitted to */
    double ridge;
};

enum optimizer_type { OPTIMIZER_ADAM, OPTIMIZER_SGD };

struct optimizer_config {
    enum optimizer_type type;
    double learning_rate;
    double decay_factor;          /* the learning rate is multiplied by this every decay_every iterations */
    int decay_every;              /* iterations; 0: never */
    double momentum;              /* SGD */
    double beta1, beta2, epsilon; /* Adam */
    double l2, l1;
    struct optional_double clip_norm;
};

/* What an evaluation may report besides its loss; bits. */
enum diagnostic {
    DIAGNOSTIC_COSINE = 1, /* of the rule's gradient with the true one (bptt, symmetric feedback), on the same batch */
    DIAGNOSTIC_SPECTRAL_RADIUS = 2, /* of W */
    DIAGNOSTIC_PSI = 4,             /* mean psi, share of silent units */
    DIAGNOSTIC_NORMS = 8,           /* of the rule's gradient */
    DIAGNOSTIC_PHASES = 16,         /* where the time goes */
    DIAGNOSTIC_ALL = 31,
    DIAGNOSTIC_GRADIENT = DIAGNOSTIC_COSINE | DIAGNOSTIC_PSI | DIAGNOSTIC_NORMS, /* that need a gradient */
    DIAGNOSTIC_MU = 32,           /* mu, if it changes: reported without being requested, see training_config.events */
    DIAGNOSTIC_ALIGNMENT = 64,    /* of the rules in training_config.aligned with each other, on the same batch */
    DIAGNOSTIC_CREDIT_GAIN = 128, /* of a rule with mu: the largest norm of a power of its credit operator */
    DIAGNOSTIC_FIT = 256          /* of fitted taps, reported without being requested */
};

/* Which checkpoints are kept: the newest, or some spaced evenly in the logarithm of their iterations. */
enum checkpoint_spacing { SPACING_NEWEST, SPACING_LOG };

enum stop_metric { STOP_NEVER, STOP_ACCURACY_ABOVE, STOP_ACCURACY_BELOW, STOP_LOSS_ABOVE, STOP_LOSS_BELOW };

#define ALIGNED_MOST 8

struct training_config {
    int64_t iterations;
    int batch_size;            /* trials */
    int64_t evaluate_every;    /* iterations; 0: the result of train_cadence, filled in when the job is accepted */
    int64_t evaluation_trials; /* trials of the test split used by an evaluation; 0: all of them */
    int64_t checkpoint_every;  /* iterations */
    int keep_checkpoints;
    enum checkpoint_spacing checkpoint_spacing;
    enum stop_metric stop_metric;
    double stop_threshold;
    int stop_evaluations;                     /* evaluations in a row that must meet it */
    int update_every;                         /* steps between updates within a trial; 0: one update at its end */
    double rate_cost;                         /* of spiking models: weight of the firing cost; 0: none */
    double rate_target;                       /* spikes a step */
    int64_t memory;                           /* bytes that history may take; 0: the core's default */
    unsigned diagnostics;                     /* bits of enum diagnostic */
    struct rule_config aligned[ALIGNED_MOST]; /* the rules whose gradients are compared */
    int aligned_count;
    enum neuron aligned_neuron; /* whose defaults these rules have: the network's, set before they are decoded */
    int events;                 /* version of what an evaluation reports: from 2 on mu too, where it is "auto" */
};

/* How many checkpoints to keep, as one number: below 0 as many spaced in the logarithm. */
static inline int training_keep(const struct training_config *training) {
    bool is_log = training->checkpoint_spacing == SPACING_LOG && training->keep_checkpoints > 1;
    return is_log ? -training->keep_checkpoints : training->keep_checkpoints;
}

/* One job as the core knows it. */
struct train_config {
    /*
     * Of everything that determines the course of training, made by the creator of this struct (api/job.h); opaque
     * here. It names the job in its checkpoints: two configurations with the same identity may exchange them.
     */
    uint8_t identity[32];
    uint64_t seed; /* 0 .. 2^53-1 */
    struct task_config task;
    struct network_config network;
    struct rule_config rule;
    struct optimizer_config optimizer;
    struct training_config training;
};

#endif
