/*
 * Unbiased online recurrent optimisation (Tallec and Ollivier 2018): a random estimate of rank one of real-time
 * recurrent learning's sensitivities, whose mean over all signs is exact; by the engine's rank-one method
 * (core/engine/method_rank_one.c).
 */
#include "core/rules/rules.h"

static enum forward_form uoro_forward(const struct rule_config *rule, const struct rule_shape *shape) {
    (void)rule;
    (void)shape;
    return FORWARD_RANK_ONE;
}

const struct rule_ops rule_uoro = {.name = "uoro",
                                   .doc = "unbiased online recurrent optimisation: real-time recurrent learning by a "
                                          "random estimate of rank one, right on the average and noisy in any one draw",
                                   .membrane_alone = true,
                                   .hop_is_weights = true,
                                   .forward = uoro_forward};
