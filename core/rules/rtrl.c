/*
 * Real-time recurrent learning: the gradient of bptt computed forward in time, by the engine's sensitivities
 * (core/engine/method_sensitivities.c).
 */
#include "core/rules/rules.h"

const struct rule_ops rule_rtrl = {.name = "rtrl", .hop_is_weights = true};
