/*
 * Synapse-type-specific filter taps: the idea of Liu et al. 2022 in full. A cell of type h broadcasts its learning
 * signal, summed over the type, A_{h,t} = sum_{j of type h} a_{j,t}; a cell of type g convolves its eligibility with
 * taps F[g,h,s], s = 1..S, the same at all times:
 *     n_{p,t} = sum_{s=1..S} sum_h F[type(p),h,s] A_{h,t+s},      d_t = a_t + leak d_{t+1} + psi_t n_t.
 * modprop with type weights and an exact first hop is such a filter; here the taps are anybody's.
 *
 * A of the last S steps (in reverse time) is kept in a ring. Steps without loss broadcast nothing and are passed over,
 * so a trial with loss at its last step alone costs C * C multiply-adds a step. Sums over lags are in double.
 */
#include <stdio.h>
#include <string.h>

#include "core/base/size.h"
#include "core/kernels/activations.h"
#include "core/rules/rules.h"

struct filter_rule {
    struct numbers taps; /* (C,C,S): taps[g][h][s-1] */
    struct tap_fit fit;
    const double *fitted; /* (S,C,C), where they are fitted */
};
RULE_OWN_STRUCT(struct filter_rule);

/* Taps that reach within the trial. */
static int steps_kept(const struct rule_config *rule, const struct rule_shape *shape) {
    const struct filter_rule *filter = rule_own(rule);
    int taps = filter->fit.steps > 0 ? filter->fit.steps : filter->taps.lengths[2];
    return taps < shape->steps ? taps : shape->steps;
}

/* Given taps by lag, (S, C, C), of which a step reads one lag's at a time; fitted ones are so already. */
static size_t filter_shared(const struct rule_config *rule, const struct rule_shape *shape) {
    const struct filter_rule *filter = rule_own(rule);
    if (filter->fit.steps > 0) {
        return 0;
    }
    size_t types = (size_t)shape->types;
    return size_times((size_t)steps_kept(rule, shape), size_times(types * types, sizeof(double)));
}

static void filter_load(const struct rule_config *rule, const struct rule_shape *shape, const struct network *network,
                        void *shared) {
    (void)network;
    const struct filter_rule *filter = rule_own(rule);
    if (filter->fit.steps > 0) {
        return;
    }
    size_t pairs = (size_t)shape->types * (size_t)shape->types, taps = (size_t)filter->taps.lengths[2],
           kept = (size_t)steps_kept(rule, shape);
    double *by_lag = shared;
    for (size_t pair = 0; pair < pairs; pair++) {
        for (size_t s = 0; s < kept; s++) {
            by_lag[s * pairs + pair] = filter->taps.values[pair * taps + s];
        }
    }
}

/* A block's ring: A (S, C, BLOCK_TRIALS), n (C, BLOCK_TRIALS), and the step of each slot + 1, or 0 (S ints). */
static size_t filter_block(const struct rule_config *rule, const struct rule_shape *shape) {
    size_t kept = (size_t)steps_kept(rule, shape),
           each = size_times((size_t)shape->types, BLOCK_TRIALS * sizeof(double));
    return size_plus(size_times(kept + 1, each), kept * sizeof(int));
}

struct ring {
    int kept, types;
    double *signals, *nonlocal; /* (S, C, BLOCK_TRIALS), (C, BLOCK_TRIALS) */
    int *step;                  /* (S) */
};

static struct ring ring_of(const struct credit *credit) {
    int kept = steps_kept(credit->rule, credit->shape), types = credit->shape->types;
    double *signals = credit->own;
    size_t each = (size_t)types * BLOCK_TRIALS;
    return (struct ring){.kept = kept,
                         .types = types,
                         .signals = signals,
                         .nonlocal = signals + (size_t)kept * each,
                         .step = (int *)(void *)(signals + (size_t)(kept + 1) * each)};
}

/* n += F[.,.,s] A_{t+s} */
static void lag_add(const struct ring *ring, const double *taps, const double *signals) {
    for (int g = 0; g < ring->types; g++) {
        double *to = ring->nonlocal + (size_t)g * BLOCK_TRIALS;
        for (int h = 0; h < ring->types; h++) {
            double tap = taps[(size_t)g * (size_t)ring->types + (size_t)h];
            const double *from = signals + (size_t)h * BLOCK_TRIALS;
            for (int row = 0; row < BLOCK_TRIALS; row++) {
                to[row] += tap * from[row];
            }
        }
    }
}

/* n_t of each type; false when stopped. */
static bool nonlocal_sum(const struct credit *credit, const struct ring *ring) {
    size_t pairs = (size_t)ring->types * (size_t)ring->types, each = (size_t)ring->types * BLOCK_TRIALS;
    const struct filter_rule *filter = rule_own(credit->rule);
    const double *by_lag = filter->fit.steps > 0 ? filter->fitted : credit->shared;
    memset(ring->nonlocal, 0, each * sizeof(double));
    for (int s = 1; s <= ring->kept && by_lag; s++) {
        int slot = (credit->t + s) % ring->kept;
        if (ring->step[slot] != credit->t + s + 1) {
            continue;
        }
        if (work_add(credit->work, (double)credit->rows * (double)pairs)) {
            return false;
        }
        lag_add(ring, by_lag + (size_t)(s - 1) * pairs, ring->signals + (size_t)slot * each);
    }
    return true;
}

/* A_t, for the steps before. */
static void signals_keep(const struct credit *credit, const struct ring *ring) {
    int slot = credit->t % ring->kept;
    double *to = ring->signals + (size_t)slot * (size_t)ring->types * BLOCK_TRIALS;
    memset(to, 0, (size_t)ring->types * BLOCK_TRIALS * sizeof(double));
    for (int row = 0; row < credit->rows; row++) {
        for (int j = 0; j < credit->network->units; j++) {
            to[credit->network->type_of_unit[j] * BLOCK_TRIALS + row] += (double)credit->a[row * credit->columns + j];
        }
    }
    ring->step[slot] = credit->t + 1;
}

static void filter_credit(const struct credit *credit) {
    const struct ring ring = ring_of(credit);
    int n = credit->network->units;
    if (!nonlocal_sum(credit, &ring) || work_add(credit->work, (double)credit->rows * 2 * n)) {
        return;
    }
    for (int row = 0; row < credit->rows; row++) {
        for (int p = 0; p < n; p++) {
            size_t at = (size_t)row * (size_t)credit->columns + (size_t)p;
            float psi = psi_of(credit->activation, credit->z[(size_t)row * credit->z_stride + (size_t)p]);
            float nonlocal = (float)ring.nonlocal[credit->network->type_of_unit[p] * BLOCK_TRIALS + row];
            credit->d[at] = (credit->a ? credit->a[at] : 0.0f) + credit->leak[p] * credit->d[at] + psi * nonlocal;
            credit->gd[at] = credit->gain[p] * credit->d[at];
        }
    }
    if (credit->a) {
        signals_keep(credit, &ring);
    }
}

static double filter_work(const struct rule_config *rule, const struct rule_shape *shape) {
    double types = shape->types, lags = steps_kept(rule, shape);
    /* of the lags those that carry loss, on the average over the trial */
    double live = lags < shape->losses ? lags : shape->losses;
    return types * types * live + 3.0 * shape->units;
}

static bool fit_suits(const struct tap_fit *fit, const struct rule_shape *shape, char error[256]) {
    double unknowns = fit_unknowns(fit, shape), taps = (double)shape->types * shape->types * fit->steps;
    if (fit->steps > shape->steps) {
        snprintf(error, 256, "must have a fit of at most %d steps, those of a trial; got %d", shape->steps, fit->steps);
        return false;
    }
    if (unknowns > FIT_UNKNOWNS_MOST) {
        snprintf(error, 256,
                 "must leave at most %d unknowns a type: fewer types, %s; got %d types, which have %.0f unknowns each",
                 FIT_UNKNOWNS_MOST,
                 fit->basis == FIT_FREE ? "fewer steps, or the basis \"exponential\"" : "or fewer terms", shape->types,
                 unknowns);
        return false;
    }
    if (taps > FIT_TAPS_MOST) {
        snprintf(error, 256, "must be at most %d in all, types * types * steps; got %.0f", FIT_TAPS_MOST, taps);
        return false;
    }
    return true;
}

static bool filter_suits(const struct rule_config *rule, const struct rule_shape *shape, const char **parameter,
                         char error[256]) {
    const struct filter_rule *filter = rule_own(rule);
    const int *lengths = filter->taps.lengths;
    *parameter = "taps";
    if (filter->fit.steps > 0) {
        return fit_suits(&filter->fit, shape, error);
    }
    if (!filter->taps.values) {
        snprintf(error, 256,
                 "is required: a list of one list for each type, of one for each type, of taps; or "
                 "{\"fit\": {\"steps\": S}}");
        return false;
    }
    if (lengths[0] != shape->types || lengths[1] != shape->types) {
        snprintf(error, 256, "must have %d lists of %d lists of taps, one for each type; got %d and %d", shape->types,
                 shape->types, lengths[0], lengths[1]);
        return false;
    }
    return true;
}

static const struct tap_fit *filter_fit(const struct rule_config *rule) {
    const struct filter_rule *filter = rule_own(rule);
    return filter->fit.steps > 0 ? &filter->fit : NULL;
}

static void filter_fitted(struct rule_config *rule, const struct tap_fit *fit, const double *taps) {
    struct filter_rule *filter = (struct filter_rule *)(void *)rule->own.bytes;
    filter->fit = *fit;
    filter->fitted = taps;
}

#define FIT(member) RULE_OWN(struct filter_rule, fit.member)
static const char *const bases[] = {"exponential", "free", NULL};
static const struct field fit_parameters[] = {
    {.name = "steps",
     .type = FIELD_INT,
     .offset = FIT(steps),
     .unit = "steps",
     .low = 1,
     .high = 1000000,
     .doc = "S, how far the taps reach"},
    {.name = "basis",
     .type = FIELD_CHOICE,
     .offset = FIT(basis),
     .choices = bases,
     .fallback = "\"exponential\"",
     .doc = "sums of exponentials with time constants spread evenly in log from 1 to S steps, or free taps"},
    {.name = "terms",
     .type = FIELD_INT,
     .offset = FIT(terms),
     .low = 1,
     .high = 64,
     .fallback = "8",
     .doc = "exponentials"},
    {.name = "every",
     .type = FIELD_INT,
     .offset = FIT(every),
     .unit = "iterations",
     .low = 1,
     .high = 1000000000,
     .fallback = "100",
     .doc = "how often they are fitted, from iteration 0 on"},
    {.name = "trials",
     .type = FIELD_INT,
     .offset = FIT(trials),
     .unit = "trials",
     .low = 1,
     .high = 65536,
     .fallback = "32",
     .doc = "of the fresh batch that they are fitted to; another of as many tests them"},
    {.name = "ridge",
     .type = FIELD_NUMBER,
     .offset = FIT(ridge),
     .low = 0,
     .low_excluded = true,
     .high = 1e6,
     .fallback = "0.001",
     .doc = "times the mean of the normal matrix's diagonal: what is added to that diagonal"},
};
static const struct field_alternative fit_alternative = {"fit", FIELDS(fit_parameters), FIT(steps)};

static const struct field parameters[] = {
    {.name = "taps",
     .type = FIELD_NUMBERS_OR_FIELDS,
     .alternative = &fit_alternative,
     .offset = RULE_OWN(struct filter_rule, taps),
     .dimensions = 3,
     .low = -1e6,
     .high = 1e6,
     .fallback = "null",
     .identity = "null",
     .doc = "taps[g][h][s-1]: what a cell of type g makes, s steps earlier, of the learning signal that type h "
            "broadcasts; or {\"fit\": {\"steps\": S}}: fitted to bptt by least squares, every 100 iterations"},
};

const struct rule_ops rule_filter = {.name = "filter",
                                     .doc = "filter taps between cell types, your own or fitted to bptt: each type "
                                            "broadcasts its learning signal, and each cell convolves its eligibility "
                                            "with it",
                                     .parameters = FIELDS(parameters),
                                     .membrane_alone = true,
                                     .suits = filter_suits,
                                     .shared_size = filter_shared,
                                     .block_size = filter_block,
                                     .load = filter_load,
                                     .fit = filter_fit,
                                     .fitted = filter_fitted,
                                     .work = filter_work,
                                     .credit = filter_credit};
