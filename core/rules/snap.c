/*
 * SnAp (sparse n-step approximation, Menick et al. 2021): real-time recurrent learning whose influence of a weight into
 * unit p on unit k is kept, after every step, only where k can be reached from p in fewer than n steps through existing
 * synapses (p reaches itself in 0). Order 1 is e-prop, an order that reaches everything is rtrl; in between it pays
 * where synapses are few (connectivity).
 *
 * Backwards in time the same gradient is, for each p, backpropagation in the network of R_p, those k alone,
 *     d^p_{k,t} = a_{k,t} + leak_k d^p_{k,t+1} + psi_{k,t} sum_{m in R_p} W[k,m] gain_m d^p_{m,t+1},   k in R_p,
 * of which unit p's own credit d^p_{p,t} is kept. That costs a number for each pair (p, k) in the place of one for each
 * pair and source, so it is the form used here; trials are the inner dimension.
 */
#include <string.h>

#include "core/kernels/activations.h"
#include "core/rules/rules.h"

#define UNITS_MOST 1024

struct snap {
    int order;
};
RULE_OWN_STRUCT(struct snap);

/* What the weights say, of N units: lists in the order of their first index. */
struct lists {
    int *synapse_end; /* (N) of the synapses from unit k: to `to`, of weight `weight` */
    int *to;          /* (N * N) */
    float *weight;
    int *reach_end; /* (N) of the units that p reaches, p first */
    int *reached;   /* (N * N) */
    int *seen;      /* (N) scratch */
};

static struct lists lists_at(void *shared, int units) {
    size_t n = (size_t)units;
    int *at = shared;
    return (struct lists){.synapse_end = at,
                          .to = at + n,
                          .weight = (float *)(void *)(at + n + n * n),
                          .reach_end = at + n + 2 * n * n,
                          .reached = at + 2 * n + 2 * n * n,
                          .seen = at + 2 * n + 3 * n * n};
}

static size_t snap_shared(const struct rule_config *rule, const struct rule_shape *shape) {
    (void)rule;
    size_t n = (size_t)shape->units;
    return (3 * n * n + 3 * n) * sizeof(int);
}

/* d^p_k of every pair, and gain d of one p's network spread out over all units; trials innermost. */
static size_t snap_block(const struct rule_config *rule, const struct rule_shape *shape) {
    (void)rule;
    size_t n = (size_t)shape->units;
    return (n * n + n) * BLOCK_TRIALS * sizeof(float);
}

static int list_first(const int *ends, int i) {
    return i == 0 ? 0 : ends[i - 1];
}

/* Breadth first from p, order - 1 steps deep, or until all units are reached. */
static int reach_fill(const struct lists *lists, int units, int p, int order, int used) {
    const int start = used;
    int first = used, level_end = used + 1;
    lists->reached[used++] = p;
    lists->seen[p] = p + 1;
    for (int depth = 1; depth < order && first < used; depth++) {
        for (; first < level_end; first++) {
            int k = lists->reached[first];
            for (int i = list_first(lists->synapse_end, k); i < lists->synapse_end[k]; i++) {
                if (used - start == units) {
                    return used;
                }
                if (lists->seen[lists->to[i]] != p + 1) {
                    lists->seen[lists->to[i]] = p + 1;
                    lists->reached[used++] = lists->to[i];
                }
            }
        }
        level_end = used;
    }
    return used;
}

static void snap_load(const struct rule_config *rule, const struct rule_shape *shape, const struct network *network,
                      void *shared) {
    (void)shape;
    const struct snap *snap = rule_own(rule);
    const struct lists lists = lists_at(shared, network->units);
    const float *W = network->weights + network->offset_W;
    int n = network->units, used = 0;
    for (int i = 0; i < n * n; i++) {
        if (W[i] != 0.0f) {
            lists.to[used] = i % n;
            lists.weight[used++] = W[i];
        }
        lists.synapse_end[i / n] = used;
    }
    memset(lists.seen, 0, (size_t)n * sizeof(int));
    used = 0;
    for (int p = 0; p < n; p++) {
        used = reach_fill(&lists, n, p, snap->order, used);
        lists.reach_end[p] = used;
    }
}

/* d of unit k in the network of p, whose gain d of the step after is spread out in `arriving`. */
static void unit_credit(const struct credit *credit, const struct lists *lists, int k, const float *arriving,
                        float *d) {
    float hop[BLOCK_TRIALS] = {0};
    for (int i = list_first(lists->synapse_end, k); i < lists->synapse_end[k]; i++) {
        const float *from = arriving + (size_t)lists->to[i] * BLOCK_TRIALS;
        float weight = lists->weight[i];
        for (int row = 0; row < BLOCK_TRIALS; row++) {
            hop[row] += weight * from[row];
        }
    }
    for (int row = 0; row < credit->rows; row++) {
        size_t at = (size_t)row * (size_t)credit->columns + (size_t)k;
        float psi = psi_of(credit->activation, credit->z[(size_t)row * credit->z_stride + (size_t)k]);
        d[row] = (credit->a ? credit->a[at] : 0.0f) + credit->leak[k] * d[row] + psi * hop[row];
    }
}

static void snap_credit(const struct credit *credit) {
    int n = credit->network->units;
    const struct lists lists = lists_at(credit->shared, n);
    float *d = credit->own, *arriving = d + (size_t)n * (size_t)n * BLOCK_TRIALS;
    for (int p = 0; p < n; p++) {
        int first = list_first(lists.reach_end, p), end = lists.reach_end[p];
        double synapses = 0;
        for (int e = first; e < end; e++) {
            int k = lists.reached[e];
            synapses += lists.synapse_end[k] - list_first(lists.synapse_end, k);
            for (int row = 0; row < BLOCK_TRIALS; row++) {
                arriving[k * BLOCK_TRIALS + row] = credit->gain[k] * d[(size_t)e * BLOCK_TRIALS + (size_t)row];
            }
        }
        if (work_add(credit->work, credit->rows * (synapses + (double)(end - first)))) {
            return;
        }
        for (int e = first; e < end; e++) {
            unit_credit(credit, &lists, lists.reached[e], arriving, d + (size_t)e * BLOCK_TRIALS);
        }
        for (int e = first; e < end; e++) {
            memset(arriving + (size_t)lists.reached[e] * BLOCK_TRIALS, 0, BLOCK_TRIALS * sizeof(float));
        }
        for (int row = 0; row < credit->rows; row++) {
            size_t at = (size_t)row * (size_t)credit->columns + (size_t)p;
            credit->d[at] = d[(size_t)first * BLOCK_TRIALS + (size_t)row];
            credit->gd[at] = credit->gain[p] * credit->d[at];
        }
    }
}

/* In a random network: each of the units reached last reaches a new one with the probability of a synapse. */
static double snap_work(const struct rule_config *rule, const struct rule_shape *shape) {
    const struct snap *snap = rule_own(rule);
    double n = shape->units, synapses = shape->connectivity * (n - 1), reached = 1, last = 1;
    for (int depth = 1; depth < snap->order && reached < n; depth++) {
        double found = last * synapses * (n - reached) / n;
        last = found < n - reached ? found : n - reached;
        reached += last;
    }
    return n * reached * (synapses + 1);
}

static const struct field parameters[] = {
    {.name = "order",
     .type = FIELD_INT,
     .offset = RULE_OWN(struct snap, order),
     .unit = "steps",
     .low = 1,
     .high = 16384,
     .fallback = "2",
     .identity = "2",
     .doc =
         "the influence of a weight is kept on units that its target reaches in fewer steps than this: 1 is eprop, a "
         "number that reaches all units is rtrl"},
};

const struct rule_ops rule_snap = {
    .name = "snap",
    .doc =
        "SnAp: real-time recurrent learning that keeps a weight's influence only on units a few synapses away; useful "
        "where connectivity is low",
    .parameters = FIELDS(parameters),
    .membrane_alone = true,
    .units_most = UNITS_MOST,
    .units_need = "units * units credits a trial",
    .shared_size = snap_shared,
    .block_size = snap_block,
    .load = snap_load,
    .work = snap_work,
    .credit = snap_credit};
