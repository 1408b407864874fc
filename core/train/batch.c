/* See batch.h. */
#include "core/train/batch.h"

struct batch_options train_batch_options(const struct train_config *config, const struct task_shape *shape,
                                         const struct rule_config *rule) {
    return (struct batch_options){.steps = shape->steps,
                                  .trials = config->training.batch_size,
                                  .loss = shape->loss,
                                  .mask_from = shape->mask_from,
                                  .mask_uniform = shape->mask_uniform,
                                  .neuron = config->network.neuron,
                                  .readout_leaks = config->network.readout_tau.set,
                                  .noisy = config->network.noise > 0,
                                  .rate_cost = config->training.rate_cost,
                                  .update_every = rule == &config->rule ? config->training.update_every : 0,
                                  .rate_target = config->training.rate_target,
                                  .input_work = shape->input_work,
                                  .target_work = shape->target_work,
                                  .rule = rule,
                                  .seed = config->seed,
                                  .connectivity = config->network.connectivity,
                                  .memory = config->training.memory};
}

struct backend_sizes train_backend_sizes(const struct train_config *config, const struct task_shape *shape) {
    const struct network_config *network = &config->network;
    return (struct backend_sizes){.units = network->units,
                                  .inputs = shape->inputs,
                                  .outputs = shape->outputs,
                                  .types = network_types_count(network),
                                  .bias = network->bias,
                                  .equal_leaks = !network->tau_of_unit && !network->tau_is_range};
}

bool train_counts_psi(const struct train_config *config) {
    return (config->training.diagnostics & DIAGNOSTIC_PSI) || config->rule.mu_auto;
}
