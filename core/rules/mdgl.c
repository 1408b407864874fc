/*
 * MDGL (multidigraph learning, Liu et al. 2021): one step of nonlocal credit,
 *     d_t = a_t + leak d_{t+1} + psi_t ((gain a_{t+1}) M^T).
 * The hop is taken only where step t+1 carries loss.
 */
#include "core/rules/rules.h"

static void mdgl_credit(const struct credit *credit) {
    if (*credit->a_next_live) {
        hop_run(credit, EPILOGUE_CREDIT_PSI, credit->a_next, NULL);
    } else {
        credit_local(credit);
    }
    *credit->a_next_live = credit->a != NULL;
    if (credit->a) {
        credit->kernels->scale_rows(credit->rows, credit->columns, credit->gain, credit->a, credit->a_next);
    }
}

static enum forward_form mdgl_forward(const struct rule_config *rule, const struct rule_shape *shape) {
    (void)rule;
    (void)shape;
    return FORWARD_NEIGHBOUR;
}

static const char *const takes[] = {"weights", "averaging", "tracking", "modulation", NULL};

static const char *const took_in_1[] = {"weights", "averaging", "tracking", NULL};

const struct rule_ops rule_mdgl = {.name = "mdgl",
                                   .doc = "multidigraph learning: one step of credit through other units",
                                   .takes = takes,
                                   .took_in_1 = took_in_1,
                                   .uses_hop = true,
                                   .hops_at_loss = true,
                                   .forward = mdgl_forward,
                                   .credit = mdgl_credit};
