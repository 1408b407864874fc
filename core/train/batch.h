/* What a job's batches need, from its configuration: the words between training and its diagnostics. */
#ifndef MODPROP_CORE_TRAIN_BATCH_H
#define MODPROP_CORE_TRAIN_BATCH_H

#include "core/backend/backend.h"

/*
 * Options of the job's training batches under `rule`, without clock and psi. Under another rule than the job's own
 * there are no updates within a trial: its gradient is that of whole trials.
 */
struct batch_options train_batch_options(const struct train_config *config, const struct task_shape *shape,
                                         const struct rule_config *rule);
struct backend_sizes train_backend_sizes(const struct train_config *config, const struct task_shape *shape);
/* Whether a job wants psi counted. */
bool train_counts_psi(const struct train_config *config);

#endif
