/*
 * What the engine's files share: its memory. plan.c creates and plans, batch.c distributes a batch, forward.c is the
 * forward pass, readout.c the loss; method_reverse.c, method_traces.c and method_sensitivities.c are the three methods
 * for a gradient, which are independent of each other.
 */
#ifndef MODPROP_CORE_ENGINE_INTERNAL_H
#define MODPROP_CORE_ENGINE_INTERNAL_H

#include <stdatomic.h>

#include "core/engine/engine.h"
#include "core/rules/rules.h"

/*
 * Carves aligned arrays from one block; run once with base NULL to learn the size, then with the memory. A size that
 * cannot be allocated sets `used` to SIZE_BEYOND.
 */
struct carver {
    unsigned char *base;
    size_t used;
};

void *carve(struct carver *carver, size_t count, size_t size);
/* Zeroed memory of the size that a carver without memory has counted; the carver is then ready to run again. NULL:
 * out of memory. */
void *carver_allocate(struct carver *carver);

/* Rows that wait for one outer product of the forward traces: s (rows, stride), g (rows, columns). */
struct pending {
    float *s, *g;
    int rows, capacity;
};

/* What the rank-one method keeps of a block's trials. */
struct rank_one {
    float *sources;            /* (block_rows, stride) psi r in the z part, else 0 */
    float *h;                  /* (block_rows, columns) D r */
    float *r;                  /* (block_rows, columns) */
    float *signs;              /* (columns) of one trial */
    float *B;                  /* (block_rows, K, columns) */
    double norm[BLOCK_TRIALS]; /* |B|^2 */
};

/* Up to BLOCK_TRIALS trials of the batch and all data that belong to them alone. */
struct block {
    int first, rows;   /* trials first .. first+rows-1; rows is 0 if the batch is shorter than the engine allows */
    float *shown;      /* (block_rows + 1, columns) N_t and psi_t of a row; where options.credit wants them */
    float *history;    /* (slots, block_rows, stride): slot i is the source row of step start + i, its z part z_{t-1} */
    float *v;          /* (states, block_rows, columns): the neuron model's state, of membrane v */
    float *snapshots;  /* (segments, states + 1, block_rows, columns): state and z at each segment's start, and the
                          filtered rates of a leaky readout; where history is recomputed */
    float *u;          /* (block_rows, columns) currents; unless the forward pass is fused */
    int *listed;       /* (K) of models that spike: the sources of a step that are not 0 */
    int listed_count;  /* of them; 0: all sources are taken */
    float *psi;        /* (slots, block_rows, columns): psi of step start + i in slot i + 1; unless fused, with a rule,
                          and with synapse traces */
    float *filtered;   /* (TIME_BLOCK + 1, block_rows, columns) of a leaky readout: slot 0 is the step before those that
                          blocks_forward has done last */
    float *y_kept;     /* (slots, block_rows, O) of a leaky readout, for the reverse recursion */
    float *f, *signal; /* (block_rows, O) of the same: f_t = err_t + kappa f_{t+1}; (1 - kappa) f_t */
    float *learning;   /* (block_rows, columns) L_t; unless fused */
    float *y, *err;    /* (block_rows, O) */
    float *a;          /* (block_rows, columns) */
    float *d, *m, *a_next, *thin; /* d: (carries, block_rows, columns) */
    float *h, *past[2];           /* scratch of a hop; what hops by mu, where that is not delta */
    float *gm[2];
    float *gd;              /* (TIME_BLOCK, block_rows, columns) */
    bool a_next_live, live; /* live: a step with loss has been reached in the reverse recursion */
    struct filter filter;
    float *traces;     /* (modes, block_rows, stride); of synapses (block_rows, slots, K, columns) */
    float *e;          /* (2, columns) scratch of synapse traces */
    float *factors;    /* (1 + C, columns) of one trial: what multiplies the synapse's eligibility and each mode's trace
                        */
    float *eps_before; /* (block_rows, stride): mdgl's trace of the previous step */
    struct pending pending;
    float *projected; /* (block_rows, C) V^-1 A_t, the learning signal on the modes */
    double *sums;     /* (C) scratch of the projection */
    float *turned;    /* (block_rows, C) the same for the imaginary traces of pairs: (y_k+1, -y_k) in the place of (y_k,
                         y_k+1) */
    float *carried, *raw, *carried_scratch; /* (block_rows, columns) g_t; L_t; a rule that changes the signal in time */
    void *own;                              /* of the rule: block_size bytes */
    struct rank_one rank_one;
    double *sensitivities;                        /* (block_rows + 1, N, K, N): rtrl */
    double *sensitivity_of_row[BLOCK_TRIALS + 1]; /* which of them is a trial's; the last is free */
    double *tangents;                             /* (block_rows, N, carries, K, N), in rtrl's general form */
    double *filtered_tangents;                    /* (block_rows, N, K, N) of the same, where the readout leaks */
    double *row_total;                            /* (K, N) scratch of the same */
};

/* Blocks whose gradients share accumulators. */
struct group {
    _Alignas(64) struct work own; /* the count of the member whose first group this is: on a cache line of its own */
    struct work *work;            /* the count of the member that has this group, while a batch runs */
    int first, count;             /* blocks */
    float *total;                 /* (K, columns) */
    float *readout;               /* (O, columns) */
    double *bout;                 /* (O) */
    float *psi;                   /* (columns) sums of a time block */
    double *psi_total;            /* (columns) */
    double *rate_total;           /* (columns) sum of z over steps and trials; where firing costs */
    float *shared; /* (2, C, stride) sums of a time block: what all units of a type share, first by mode, then of the
                      eligibility trace by type */
    double *shared_total; /* (2, C, stride) */
};

/* One exponential of the forward form: a real mode, or a complex pair carried as a rotation. */
struct mode {
    bool pair; /* also if mu or rounding makes decay_im 0 */
    float decay_re, decay_im;
    int vector; /* column of `vectors`; a pair takes this one and the next */
    int trace;  /* index among the traces; a pair takes two */
};

struct engine {
    const struct kernels *kernels;
    const struct network *network;
    struct batch_options options;
    struct rule_config rule;
    bool has_rule;
    enum forward_form form; /* the rule's; FORWARD_NONE without one */
    struct rule_shape shape;
    void *rule_shared; /* of the rule: shared_size bytes; with the reverse recursion */
    struct engine_plan plan;
    enum engine_method used;

    const struct neuron_ops *neuron;
    bool fused;                 /* membrane: the step and the credit are epilogues of the products */
    int columns;                /* N padded */
    int type_columns;           /* C padded */
    int sources;                /* K = I + bias + N */
    int z_offset, first_source; /* of a source row */
    size_t stride;              /* floats of a source row */
    int block_rows;
    int slots; /* of a block's history */
    int segments;

    struct packed weights; /* [Win; b; W] */
    bool sparse;           /* the model spikes and weights are finite: terms of 0 may be left out */
    struct hop hop;
    float *leak, *gain; /* (columns) */
    float *cost;        /* (columns) what firing adds to L_t, at every step; NULL where it costs nothing */
    enum { STAGE_WHOLE, STAGE_FORWARD, STAGE_BACK } stage; /* the mean rate must be known before credit is computed */
    float *rho, *beta;                                     /* (columns); unless fused */
    float *wout_t, *bout;                                  /* (O, columns), (O) */
    float *feedback;                                       /* (O, columns) */
    float *sum_matrix;                                     /* (N,N) scratch for M if it is neither W nor of low rank */
    float *mu;                                             /* (columns) of each unit; NULL where no credit travels */
    float mu_shared;                                       /* the rule's one mu, where it has one */
    double *averages;                                      /* (2, C, C): what M is for each block of types; scratch */
    double *draws;                                         /* (C,C) weights random: |normal| of each block */
    int32_t *permutation;                                  /* (N,N) weights shuffled: whose entry of W is M's */
    int32_t *block_ends;                                   /* (C * C + 1) scratch of its making */
    int window;                                            /* the rule's, in steps; 0: the whole trial */

    struct mode *modes;          /* (C) */
    int mode_count, trace_count; /* trace 0 is the eligibility trace */
    double *vectors, *inverse_t; /* (C,C): V, and V^-1 transposed, in real block form */
    float *spread;               /* (C,C) what a unit of type g gets of mode k (modes.c) */
    unsigned char *kinds;        /* (2, C) which traces are pairs, now and before the last update; of updates within a
                                    trial alone, as what follows */
    float *kind_values;          /* (C) scratch */
    double *shares;              /* (K, C): scratch of the reduction */
    double *type_scratch;        /* for the decomposition */
    void *eigen_scratch;
    bool traces_good;  /* V is well-conditioned */
    bool traces_stale; /* weights have changed since the modes were made */

    struct block *blocks;
    struct group *groups;
    int block_count, group_count;
    double *trial_loss, *trial_correct; /* (trials) */
    void *memory, *reverse_memory;

    /* of the batch that runs */
    const struct batch_source *source;
    struct work *work; /* the caller's count and stop word; may be NULL */
    bool want_gradient;
    enum engine_method method;
    double weight_sum; /* sum m */
    float *gradient;
    int trials;
    int from, to; /* steps that run: all of the trial, or the next ones until an update */
    atomic_bool stopped;
    atomic_bool class_invalid; /* a target names a class that the outputs do not have; the batch then ends as when
                                * stopped */
    struct phases phases;
};

static inline float *history_slot(const struct engine *engine, const struct block *block, int slot) {
    return block->history + (size_t)slot * (size_t)engine->block_rows * engine->stride;
}

/* psi_t of the step whose source row is in `slot`; unless fused. */
static inline float *history_psi(const struct engine *engine, const struct block *block, int slot) {
    return block->psi + (size_t)(slot + 1) * (size_t)engine->block_rows * (size_t)engine->columns;
}

/* A leaky readout's filtered rates of step i of those that blocks_forward has done last; -1: of the step before. */
static inline float *filtered_at(const struct engine *engine, const struct block *block, int i) {
    return block->filtered + (size_t)(i + 1) * (size_t)engine->block_rows * (size_t)engine->columns;
}

/* z_{t} of the step whose source row is in `slot`: it is in the next slot. */
static inline const float *history_z(const struct engine *engine, const struct block *block, int slot) {
    return history_slot(engine, block, slot + 1) + engine->z_offset;
}

/*
 * Prefetches a slot of history HISTORY_AHEAD steps before its use. History is larger than the caches and is written and
 * read one block's rows at a time, backwards in the reverse recursion, which the hardware does not predict; without
 * this the credit of bptt waits for z, and the outer product of the other rules for its sources.
 */
enum { HISTORY_AHEAD = 2 };
void history_prefetch(const struct engine *engine, const struct block *block, int slot, bool write);

/* modulation.c: M. Memory; what is drawn from the seed, once; mu of every unit; and M from the weights and, unless
 * NULL, the averages to use. */
void hop_carve(struct carver *carver, struct engine *engine);
void hop_draw(struct engine *engine);
void mu_load(struct engine *engine, double mu);
void hop_load(struct engine *engine, const double *averages);

/* Whether step t is the last of a block within which the rule carries credit: nothing arrives from t + 1. */
static inline bool window_ends(const struct engine *engine, int t) {
    return engine->window > 0 && (engine->options.steps - 1 - t) % engine->window == 0;
}

/* forward.c. Inputs of steps [from, to) into the slots from `slot` on. */
void block_inputs(struct engine *engine, struct work *work, struct block *block, int from, int to, int slot);
/*
 * Steps t .. t + count - 1, whose source rows are in the slots from `slot` on, of blocks [first, last), side by side,
 * so that a panel of weights serves all of them while it is in the first-level cache. count <= TIME_BLOCK.
 */
void blocks_forward(struct engine *engine, struct work *work, int first, int last, int t, int slot, int count);
/*
 * watch.c. Step t, whose source rows are in `slot`: with the source's noise in v and z (of a fused forward pass), or in
 * the currents; shown to the source, `i` as in filtered_at.
 */
void block_noise(struct engine *engine, struct block *block, int t, int slot);
void block_noise_currents(struct engine *engine, struct block *block, int t);
void block_show(struct engine *engine, struct work *work, struct block *block, int t, int slot);
/* Shows the credit that arrives at a step, before the rule makes it its own. */
void block_credit_show(struct engine *engine, struct block *block, const struct credit *credit);
/* psi of `count` steps whose source rows start at `slot`, if the options ask for it. */
void block_psi_count(struct engine *engine, struct group *group, struct block *block, int slot, int count);
/* The sum of z over the same, where firing costs. */
void block_rate_count(struct engine *engine, struct group *group, struct block *block, int slot, int count);
/* The group of block `b`, counted from a member's first group. */
struct group *block_group(struct engine *engine, int first_group, int b);

/*
 * The kernels' outer product, counted, in slices between which the stop word is checked. `work` may be NULL. `spikes`:
 * s is source rows, mostly 0 of a model that spikes.
 */
#define OUTER_WORK_MOST 1e8
#define OUTER_SOURCES 24 /* a multiple of every kernel's tile */
void outer_run(struct engine *engine, struct work *work, const float *s, size_t s_stride, const float *g, int rows,
               int sources, int columns, bool spikes, float *total);

/*
 * Loss at step t for a block, with z_t in the slot after `slot`. Returns false if no trial of the block has weight
 * there; otherwise adds to the trials' loss and fills block->err.
 */
bool block_loss(struct engine *engine, struct group *group, struct block *block, int t, int slot);
/*
 * Forward in time: the learning signal of a step with loss into block->a (and ->learning), and its share of the
 * readout's gradient.
 */
void block_learning(struct engine *engine, struct group *group, struct block *block, int slot);
/*
 * Backwards in time, which a leaky readout needs; `loss` is what block_loss said of this step, `cut` whether nothing
 * comes from the step after. False while no step from this one on carries loss: a is 0.
 */
bool block_learning_back(struct engine *engine, struct group *group, struct block *block, int slot, bool loss,
                         bool cut);
/* y of the step in `slot` of the ring into block->y. */
void block_readout(struct engine *engine, struct block *block, int slot);
/*
 * signal.c, of a rule that changes the learning signal forward in time: memory; g_{-1} = 0; and after block_loss, which
 * said `loss` of the step in `slot`, the step of g, which fills block->a. False while g is 0.
 */
void signal_carve(struct carver *carver, struct engine *engine, struct block *block);
void block_signal_reset(struct engine *engine, struct block *block);
bool block_signal(struct engine *engine, struct group *group, struct block *block, int slot, bool loss);
/* sum m over the batch. */
double batch_weight_sum(const struct engine *engine);

/* Creates the memory of the reverse recursion if it does not exist yet. False if out of memory. */
bool engine_reverse_prepare(struct engine *engine);

/* All accumulators of a group, 0. */
void group_reset(struct engine *engine, struct group *group);
/* Distributes the trials 0 .. trials - 1 of a batch to the blocks. */
void blocks_assign(struct engine *engine, int trials);
/* v and z of the step before the first, which are 0. */
void block_reset(struct engine *engine, struct block *block);
/* The blocks [*first, *last) of groups [first_group, last_group). */
void member_blocks(const struct engine *engine, int first_group, int last_group, int *first, int *last);
/*
 * Inputs and forward pass of steps [t, t + count) into the slots from 0 on, count <= TIME_BLOCK. False when
 * stopped.
 */
bool blocks_forward_ring(struct engine *engine, int first_group, int last_group, int t, int count, double *since);
/* Slot `slot` becomes slot 0. */
void blocks_wrap(struct engine *engine, int first, int last, int slot);

/*
 * A member's groups forward in time, block by block and step by step: `reset` (may be NULL) before the first step of a
 * block, `step` with the step's source rows in `slot`. Time that steps take is added to *phase (may be NULL). Ends
 * early when stopped.
 */
typedef void block_reset_fn(struct engine *engine, struct block *block);
typedef void block_step_fn(struct engine *engine, struct group *group, struct block *block, int t, int slot);
void blocks_run_steps(struct engine *engine, int first_group, int last_group, block_reset_fn *reset,
                      block_step_fn *step, double *phase);
/* The forward pass of a member's groups, with the loss and without gradient. */
void blocks_run_forward(struct engine *engine, int first_group, int last_group);
/*
 * modes.c. Whether a form has modes; memory of the engine and of a block; sets up the modes from the averages, if
 * weights have changed since (false when stopped: they are then set up at the next call; `recast` is the method's); the
 * signals (rows, columns) of each trial by type into block->thin, and on the modes, V^-1 A, into ->projected and
 * ->turned.
 */
bool forms_modes(enum forward_form form);
void modes_carve(struct carver *carver, struct engine *engine);
void modes_carve_block(struct carver *carver, struct engine *engine, struct block *block);
bool engine_modes_prepare(struct engine *engine, void (*recast)(struct engine *engine, struct block *block));
void modes_project(struct engine *engine, struct work *work, struct block *block, const float *signals);
/* The traces of all modes, (C, size) from trace 1 on, after an update that has changed which are pairs. */
void modes_recast(const struct engine *engine, size_t size, float *traces);

/* What a plan computes with; multiply-adds. */
struct plan_sizes {
    double units, outputs, types, sources, steps, trials, losses; /* losses: steps that carry loss, at most */
    double signals;                                               /* steps with a learning signal, backwards in time */
    bool equal_leaks, fused, one_trace, readout_leaks, rate_cost;
    double forward; /* of a forward pass */
    const struct rule_config *rule;
    struct rule_shape shape;
    enum forward_form form;
};
/* Of one hop of credit in one trial. */
double hop_cost(const struct rule_config *rule, const struct rule_shape *shape);

/*
 * A method for a gradient: one file, with its row at the end. Members may be NULL unless noted. carve_history is memory
 * that is allocated when first needed, because the traces fall back on the reverse recursion.
 */
struct method {
    const char *name, *name_in_segments;
    bool (*applies)(const struct plan_sizes *sizes); /* never NULL */
    double (*cost)(const struct plan_sizes *sizes);  /* of a gradient; never NULL */
    void (*carve_matrices)(struct carver *carver, struct engine *engine);
    void (*carve_block)(struct carver *carver, struct engine *engine, struct block *block);
    void (*carve_group)(struct carver *carver, struct engine *engine, struct group *group);
    void (*carve_history)(struct carver *carver, struct engine *engine, struct block *block);
    void (*run)(struct engine *engine, int first_group, int last_group); /* a member's groups; never NULL */
    /* what a block's modes have carried, after an update within a trial: modes_recast; of methods with modes */
    void (*recast)(struct engine *engine, struct block *block);
    void (*reduce)(struct engine *engine, int k, float *row); /* adds to row k of the gradient what the method
                                                               * accumulates separately */
};

extern const struct method method_reverse, method_traces, method_sensitivities, method_synapses, method_rank_one;
extern const struct method *const method_table[]; /* by enum engine_method; METHOD_AUTO has none */

/*
 * Seconds since *since by the engine's clock, added to *phase; *since becomes now. Only the member with group 0
 * measures.
 */
double phase_begin(const struct engine *engine, int first_group);
void phase_end(struct engine *engine, int first_group, double *since, double *phase);

#endif
