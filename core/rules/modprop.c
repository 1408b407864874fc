/*
 * ModProp (Liu et al. 2022): credit through arbitrary timespans, the activation derivative on the way replaced by the
 * constant mu.
 *
 *     first_hop mu        d_t = a_t + leak d_{t+1} + mu ((gain d_{t+1}) M^T)          (the published code)
 *     first_hop exact     m_t = a_t + leak m_{t+1} + mu ((gain m_{t+1}) M^T)
 *                         d_t = a_t + leak d_{t+1} + psi_t ((gain m_{t+1}) M^T)       (the paper's filter taps)
 *
 * With finite taps S the nonlocal part of the credit is cut after S steps. With K = diag(leak) + mu M diag(gain),
 *
 *     first_hop mu        d_t = local_t + sum_{s=1..S} (K^s - leak^s) a_{t+s},
 *                         local_t = a_t + leak local_{t+1}
 *     first_hop exact     d_t = a_t + leak d_{t+1} + psi_t sum_{s=1..S} M gain K^{s-1} a_{t+s}
 *
 * Each event a_t is carried on its own: subtracting the tail of the uncut recursion instead would cancel badly where
 * K's norm exceeds 1.
 */
#include "core/rules/rules.h"

#include <string.h>

#include "core/kernels/activations.h"

static void event_advance(const struct credit *credit, int slot, size_t elements) {
    struct filter *filter = credit->filter;
    const bool at_source = neuron_table[credit->neuron]->mu_at_source;
    float *r = filter->r + (size_t)slot * elements, *q = filter->q + (size_t)slot * elements;
    credit->kernels->scale_rows(credit->rows, credit->columns, credit->gain, r, filter->scaled);
    if (at_source) {
        credit->kernels->scale_rows(credit->rows, credit->columns, credit->mu, filter->scaled, filter->scaled);
    }
    hop_run(credit, EPILOGUE_STORE, filter->scaled, filter->h);
    const bool exact = credit->rule->first_hop == FIRST_HOP_EXACT;
    for (size_t i = 0; i < elements; i++) {
        size_t c = i % (size_t)credit->columns;
        float leak = credit->leak[c], step = at_source ? filter->h[i] : credit->mu[c] * filter->h[i];
        q[i] = leak * q[i] + step;
        r[i] = leak * r[i] + step;
        filter->sum[i] += exact ? filter->h[i] : q[i];
    }
    if (++filter->age[slot] > filter->taps) {
        filter->age[slot] = 0;
    }
}

static void event_add(const struct credit *credit, size_t elements) {
    struct filter *filter = credit->filter;
    const float *event = neuron_table[credit->neuron]->mu_at_source ? credit->learning : credit->a;
    memcpy(filter->r + (size_t)filter->next * elements, event, elements * sizeof(float));
    memset(filter->q + (size_t)filter->next * elements, 0, elements * sizeof(float));
    filter->age[filter->next] = 1;
    filter->next = (filter->next + 1) % filter->taps;
}

/* The credit itself, from the filter's sum. */
static void cut_flow(const struct credit *credit, size_t elements) {
    const struct filter *filter = credit->filter;
    const bool exact = credit->rule->first_hop == FIRST_HOP_EXACT;
    if (credit->psi) {
        credit_flow(credit, exact ? HOPPED_THROUGH : HOPPED_BESIDE, filter->sum);
        return;
    }
    for (size_t i = 0; i < elements; i++) {
        size_t c = i % (size_t)credit->columns;
        float z = credit->z[i / (size_t)credit->columns * credit->z_stride + c];
        float psi = psi_of(credit->activation, z);
        float local = (credit->a ? credit->a[i] : 0.0f) + credit->leak[c] * credit->d[i];
        float nonlocal = exact ? psi * filter->sum[i] : filter->sum[i];
        credit->d[i] = exact ? local + nonlocal : local;
        credit->gd[i] = credit->gain[c] * (local + nonlocal);
    }
}

static void modprop_credit_cut(const struct credit *credit) {
    struct filter *filter = credit->filter;
    size_t elements = (size_t)credit->rows * (size_t)credit->columns;
    memset(filter->sum, 0, elements * sizeof(float));
    /* oldest first, so that the order of the sum is the order of the events */
    for (int i = 0; i < filter->taps && !credit->work->stopped; i++) {
        int slot = (filter->next + i) % filter->taps;
        if (filter->age[slot] > 0) {
            event_advance(credit, slot, elements);
        }
    }
    cut_flow(credit, elements);
    if (credit->a) {
        event_add(credit, elements);
    }
}

static void modprop_credit(const struct credit *credit) {
    if (credit->filter) {
        modprop_credit_cut(credit);
    } else if (credit->rule->first_hop == FIRST_HOP_MU) {
        hop_run(credit, EPILOGUE_CREDIT_MU, credit->past, NULL);
    } else {
        hop_run(credit, EPILOGUE_CREDIT_EXACT, credit->gm_next, NULL);
    }
}

/* The filter between types is a sum of exponentials, as long as it is not cut and begins with a mu that a type shares.
 */
static enum forward_form modprop_forward(const struct rule_config *rule, const struct rule_shape *shape) {
    if (rule->taps > 0 || !hop_is_low_rank(rule, shape) || rule_mu_is_of_units(rule, shape)) {
        return FORWARD_NONE;
    }
    return rule->first_hop == FIRST_HOP_MU ? FORWARD_MODES : FORWARD_MODES_EXACT;
}

static bool modprop_keeps_inner(const struct rule_config *rule) {
    return rule->first_hop == FIRST_HOP_EXACT;
}

static int modprop_taps(const struct rule_config *rule) {
    return rule->taps;
}

static const char *const takes[] = {"mu", "weights", "averaging", "tracking", "modulation", "first_hop", "taps", NULL};

static const char *const took_in_1[] = {"mu", "weights", "averaging", "tracking", "first_hop", "taps", NULL};

const struct rule_ops rule_modprop = {.name = "modprop",
                                      .doc = "ModProp: credit through other units over any time, by local modulatory "
                                             "signals with one constant mu for the activation derivative",
                                      .takes = takes,
                                      .took_in_1 = took_in_1,
                                      .uses_hop = true,
                                      .forward = modprop_forward,
                                      .keeps_inner = modprop_keeps_inner,
                                      .taps = modprop_taps,
                                      .credit = modprop_credit};
