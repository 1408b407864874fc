/*
 * A rule: the credit d_t = "dE/dv_t" of one block at one step of the reverse recursion. One file per rule, each ending
 * in one `struct rule_ops`; rule_table lists them all.
 */
#ifndef MODPROP_CORE_RULES_H
#define MODPROP_CORE_RULES_H

#include "core/base/field.h"
#include "core/base/work.h"
#include "core/kernels/kernels.h"
#include "core/model/network.h"
#include "core/model/neuron.h"

/* The sizes of a network that decide what a rule can do there. */
struct rule_shape {
    int units, types;  /* N, C */
    int steps, losses; /* T; steps of them that carry loss, at most */
    enum neuron neuron;
    bool readout_leaks;
    double connectivity; /* share of the synapses that may exist */
};

/* The matrix M^T on which credit travels to the previous step: full, or of rank C through the types. */
struct hop {
    bool low_rank;
    struct packed matrix;  /* (N, units): row j, column p = M[p,j]; unless low_rank */
    struct packed gather;  /* (N, C): row j is the indicator of j's type */
    struct packed scatter; /* (C, units): row h, column p = w[type(p), h] */
};

/* One step of one block. Arrays are (rows, columns) with row stride `columns`, columns being the padded units. */
struct credit {
    const struct kernels *kernels;
    const struct rule_config *rule;
    const struct hop *hop;
    const float *leak, *gain; /* (columns), 0 beyond N */
    const float *mu;          /* (columns) of the unit whose psi it stands for */
    enum activation activation;
    int rows, columns;
    const float *z; /* z_t, row stride z_stride */
    size_t z_stride;
    const float *a;       /* a_t; NULL if no trial of the block carries loss at this step */
    const float *gd_next; /* delta_{t+1}: gain d_{t+1}; NULL if nothing comes from the step after: a rule's window */
    float *gd;            /* out: delta_t */
    const float *past;    /* what hops by mu: delta_{t+1}; where mu stands for the source's psi, mu gain c_{t+1} */
    float *d;             /* d_{t+1} in, d_t out */
    float *m;             /* first_hop exact: the recursion inside the filter, m_{t+1} in, m_t out */
    const float *gm_next; /* gain m_{t+1} */
    float *gm;            /* out: gain m_t */
    float *a_next;        /* mdgl: gain a_{t+1} */
    bool *a_next_live;
    float *thin;           /* (rows, padded C) scratch of a low-rank hop */
    struct filter *filter; /* finite taps */
    struct work *work;     /* counts the hops */
    const struct network *network;
    const struct rule_shape *shape;
    int t;        /* this step */
    void *shared; /* what the rule's `load` made of the weights */
    void *own;    /* the rule's memory of this block, 0 at the trial's end */
    /* of neuron models other than membrane, else NULL */
    enum neuron neuron;
    const float *rho, *beta; /* (columns) */
    const float *psi;        /* psi_t */
    const float *learning;   /* L_t, of which a is psi L; NULL as a is */
    float *second;           /* its second carry, dh */
    float *past_next;        /* out, what hops next by mu, where that is not delta */
    float *h;                /* scratch: a hop that has arrived */
};

/* How a rule's gradient can be carried forward in time, without history. */
enum forward_form {
    FORWARD_NONE,
    FORWARD_ELIGIBILITY,  /* equal leaks: the eligibility trace alone */
    FORWARD_NEIGHBOUR,    /* equal leaks: and that of the step before, for one hop of credit */
    FORWARD_MODES,        /* equal leaks: and one trace for each exponential of the filter between types */
    FORWARD_MODES_EXACT,  /* the same after an exact first hop: exponentials of the synapse's eligibility */
    FORWARD_SIGNAL,       /* the rule changes the learning signal forward in time; e-prop's traces. No reverse form */
    FORWARD_RANK_ONE,     /* a random estimate of rank one of the sensitivities. No reverse form */
    FORWARD_SENSITIVITIES /* every derivative of every state: the rule has no reverse form */
};

#define FIT_UNKNOWNS_MOST 4096      /* of one type */
#define FIT_TAPS_MOST (4096 * 1024) /* C C S: 32 MiB */

/* One step of a learning signal that the rule changes forward in time; arrays are (rows, columns). */
struct signal {
    const struct rule_config *rule;
    int units, rows, columns;
    const float *learning; /* L_t; NULL: 0 */
    float *g;              /* g_{t-1} in, g_t out */
    float *scratch;
};

/*
 * Everything that the rest of core needs to know about a rule: no code tests which rule it is. Members that are NULL, 0
 * or false stand for what most rules have.
 */
struct rule_ops {
    const char *name, *doc;
    /*
     * The shared parameters that it has, by name, NULL-ended: "mu", "weights", "averaging", "tracking", "modulation",
     * "first_hop", "taps" (api/parameters.c). Those of the feedback belong to every rule. NULL: none.
     */
    const char *const *takes;
    const char *const *took_in_1; /* those that it had in version 0.1, frozen; NULL: none (checkpoint.c) */
    struct fields parameters;     /* its own: RULE_OWN below */
    int units_most;               /* networks that it fits, and why; 0: all */
    const char *units_need;       /* "... and is limited to" */
    bool uses_hop;
    bool hop_is_weights; /* M is W itself whatever rule->weights is */
    bool hops_at_loss;   /* the hop is taken only before steps that carry loss: it determines the cost */
    enum forward_form (*forward)(const struct rule_config *rule, const struct rule_shape *shape); /* NULL: none */
    bool (*keeps_inner)(const struct rule_config *rule); /* whether credit needs m and gm; NULL: no */
    int (*taps)(const struct rule_config *rule);         /* steps after which its filter is cut; NULL: no cut */
    /*
     * Steps of the blocks within which credit travels, counted from the trial's end, where nothing arrives from the
     * step after; NULL or 0: the whole trial.
     */
    int (*window)(const struct rule_config *rule);
    void (*credit)(const struct credit *credit); /* the reverse step */
    void (*signal)(const struct signal *signal); /* FORWARD_SIGNAL: the step forward */
    bool membrane_alone;                         /* it is defined for membrane neurons only */
    /* Whether its own parameters suit the network, as rule_suits; NULL: always. */
    bool (*suits)(const struct rule_config *rule, const struct rule_shape *shape, const char **parameter,
                  char error[256]);
    /*
     * Bytes of memory that it wants of the reverse recursion: one for all, which `load` fills at every change of
     * weights, and one for each block, cleared before each batch. NULL: none.
     */
    size_t (*shared_size)(const struct rule_config *rule, const struct rule_shape *shape);
    size_t (*block_size)(const struct rule_config *rule, const struct rule_shape *shape);
    void (*load)(const struct rule_config *rule, const struct rule_shape *shape, const struct network *network,
                 void *shared);
    /* How its taps are fitted; NULL: they are not. And fitted ones, borrowed: (S, C, C), [s - 1][g][h]. */
    const struct tap_fit *(*fit)(const struct rule_config *rule);
    void (*fitted)(struct rule_config *rule, const struct tap_fit *fit, const double *taps);
    /* Multiply-adds of a step of one trial, in the place of a hop's or beside the traces'; NULL: a hop's. */
    double (*work)(const struct rule_config *rule, const struct rule_shape *shape);
};

/* Whether M has one value for all pairs of a block of types, for a rule that has the choice: a hop of rank C. */
bool hop_is_low_rank(const struct rule_config *rule, const struct rule_shape *shape);

/* Whether it has the shared parameter of that name. */
bool rule_takes(const struct rule_ops *ops, const char *name);
bool rule_took_in_1(const struct rule_ops *ops, const char *name);
enum forward_form rule_forward(const struct rule_config *rule, const struct rule_shape *shape);
bool rule_keeps_inner(const struct rule_config *rule);
/* 0: no cut */
int rule_taps(const struct rule_config *rule);
/* NULL: no taps are fitted. */
const struct tap_fit *rule_fit(const struct rule_config *rule);
/* Whether lags decouple: free taps, and one step alone carries loss. Unknowns of a type, at each lag or in all. */
bool fit_decouples(const struct tap_fit *fit, const struct rule_shape *shape);
double fit_unknowns(const struct tap_fit *fit, const struct rule_shape *shape);
/* 0: the whole trial */
int rule_window(const struct rule_config *rule);
/* Whether its credit travels through types in a hop of rank C. */
bool rule_is_low_rank(const struct rule_config *rule, const struct rule_shape *shape);
/* Whether mu_of has a number for each unit; else one for each type. */
bool rule_mu_is_of_units(const struct rule_config *rule, const struct rule_shape *shape);
/*
 * Whether the rule's parameters suit a network of this shape: lists have the right lengths. False with what `parameter`
 * ("mu") must be. How large a network may be is units_most's to say.
 */
bool rule_suits(const struct rule_config *rule, const struct rule_shape *shape, const char **parameter,
                char error[256]);
#define SHUFFLED_UNITS_MOST 4096

extern const struct rule_ops *const rule_table[RULE_TYPES];

#define RULE_DECLARED(number, name) extern const struct rule_ops rule_##name;
RULES(RULE_DECLARED)
#undef RULE_DECLARED

/*
 * What a rule has of its own: RULE_OWN_STRUCT(struct x) once after the struct, RULE_OWN(struct x, member) as the offset
 * of a parameter, and rule_own(rule) to read it.
 */
#define RULE_OWN_STRUCT(type) _Static_assert(sizeof(type) <= OWN_BYTES, "too large for the storage of a rule's own")
#define RULE_OWN(type, member) (offsetof(struct rule_config, own) + offsetof(type, member))
static inline const void *rule_own(const struct rule_config *rule) {
    return rule->own.bytes;
}

/*
 * h = rows_in M^T with the epilogue applied; rows_in (rows, columns). `out` as EPILOGUE_STORE wants it, else NULL. For
 * neuron models other than membrane the epilogue names what becomes of the hop (enum hopped), and the model's reverse
 * carry does it.
 */
void hop_run(const struct credit *credit, enum epilogue epilogue, const float *rows_in, float *out);
/* A step of credit that nothing reaches from other units. */
void credit_local(const struct credit *credit);
/* A step of the model's reverse carry, which `hop` (rows, columns) reaches; not for membrane. */
void credit_flow(const struct credit *credit, enum hopped hopped, const float *hop);

/*
 * The filter of finite `taps` S: for every step with loss, up to S steps ago in reverse time, the vector K^s a and what
 * of it is nonlocal. A ring of S slots, since an event dies after S hops. Sizes in floats; the caller provides the
 * memory.
 */
struct filter {
    int taps;     /* S */
    int next;     /* slot of the next event */
    int *age;     /* (S) hops done; 0: the slot is empty (an event is stored with age 1 before its first hop) */
    float *r, *q; /* (S, rows, columns): K^s a; K^s a - leak^s a */
    float *h, *scaled, *sum; /* (rows, columns) scratch */
};

/* Floats for taps S over an array of `elements` = rows * columns floats, SIZE_BEYOND if there are too many. Ages
 * take S ints besides. */
size_t filter_size(int taps, size_t elements);

#endif
