/*
 * Backpropagation through time: the exact gradient,
 *     d_t = a_t + leak d_{t+1} + psi_t ((gain d_{t+1}) W^T).
 */
#include "core/rules/rules.h"

static void bptt_credit(const struct credit *credit) {
    hop_run(credit, EPILOGUE_CREDIT_PSI, credit->gd_next, NULL);
}

const struct rule_ops rule_bptt = {.name = "bptt",
                                   .doc = "backpropagation through time: the exact gradient",
                                   .uses_hop = true,
                                   .hop_is_weights = true,
                                   .credit = bptt_credit};
