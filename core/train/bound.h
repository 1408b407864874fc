/*
 * mu: {"gain_at_most": g}: every so many iterations mu is rescaled so that the credit gain (core/engine/gain.c) is at
 * most g. Owner: the thread that trains.
 *
 * mu is the rule's own number where that respects the bound; else it is halved down to: of the numbers k / 1024 times
 * it the largest that bisection finds to respect the bound. mu = 0 always does, since the leak alone is below 1 and g
 * is at least 1. It depends on the weights alone, so a resumed job finds the same.
 */
#ifndef MODPROP_CORE_BOUND_H
#define MODPROP_CORE_BOUND_H

#include "core/backend/backend.h"

/*
 * Loads the backend with the rescaled mu, and writes it. `feedback` and `averages` as for backend_ops.load.
 * RESULT_DONE, or RESULT_STOPPED or RESULT_NO_MEMORY: the backend must then be loaded again before it runs.
 */
enum result bound_mu(struct backend *backend, const struct rule_config *rule, const float *feedback,
                     const double *averages, struct work *work, double *mu);
/* What it takes at most. */
void bound_plan(const struct backend_ops *ops, int units, int steps, size_t *bytes, double *multiply_adds);

#endif
