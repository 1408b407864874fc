/*
 * e-prop (Bellec et al. 2020; RFLO, Murray 2019, with random feedback; the paper's "three-factor" rule): credit stays
 * in the cell, d_t = a_t + leak d_{t+1}.
 */
#include "core/rules/rules.h"

static void eprop_credit(const struct credit *credit) {
    credit_local(credit);
}

static enum forward_form eprop_forward(const struct rule_config *rule, const struct rule_shape *shape) {
    (void)rule;
    (void)shape;
    return FORWARD_ELIGIBILITY;
}

const struct rule_ops rule_eprop = {.name = "eprop",
                                    .doc = "e-prop: local eligibility traces and the learning signal; no credit "
                                           "through other units (with random feedback: RFLO)",
                                    .forward = eprop_forward,
                                    .credit = eprop_credit};
