/*
 * Real-time recurrent learning: the gradient of bptt computed forward in time, by the engine's sensitivities
 * (core/engine/method_sensitivities.c).
 */
#include "core/rules/rules.h"

static enum forward_form rtrl_forward(const struct rule_config *rule, const struct rule_shape *shape) {
    (void)rule;
    (void)shape;
    return FORWARD_SENSITIVITIES;
}

const struct rule_ops rule_rtrl = {
    .name = "rtrl",
    .doc = "real-time recurrent learning: the exact gradient forward in time; for networks of at most 64 units",
    .units_most = 64,
    .units_need = "units * units * (units + inputs) sensitivities a trial",
    .hop_is_weights = true,
    .forward = rtrl_forward};
