/*
 * gradients_compute by a chosen method and within `memory` bytes of history, for tests: the methods are each other's
 * check.
 */
#ifndef MODPROP_CORE_GRADIENTS_BY_H
#define MODPROP_CORE_GRADIENTS_BY_H

#include "core/tasks/batch.h"
#include "core/train/gradients.h"

enum result gradients_compute_by(const struct gradients_problem *problem, const struct rule_config *rule,
                                 enum engine_method method, int64_t memory, int threads, bool (*stop)(void *user),
                                 void *user, struct gradients *gradients, double *loss, struct error *error);

#endif
