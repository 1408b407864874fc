/*
 * Optimisers, regularisers, Dale's law and rewiring: how a gradient changes the weights.
 */
#ifndef MODPROP_CORE_OPTIMIZER_H
#define MODPROP_CORE_OPTIMIZER_H

#include "core/model/network.h"

struct optimizer {
    const struct optimizer_config *config;
    enum rewiring rewiring;
    uint64_t seed;
    float *first, *second; /* (parameters) Adam's moments; SGD: first is the velocity, second NULL */
    float *feedback;       /* (O,N) F, or NULL if feedback is symmetric */
    bool feedback_adapts;
    double feedback_decay;
    uint32_t *dormant;   /* scratch for rewiring; NULL if there is none */
    size_t state_floats; /* floats from `first` on that a checkpoint keeps: moments, then feedback */
    void *memory;
};

/*
 * Zero moments, feedback drawn from the seed. False if out of memory. optimizer_release is NULL-safe and accepts partly
 * initialised ones.
 */
bool optimizer_init(struct optimizer *optimizer, const struct network *network, const struct train_config *config);
void optimizer_release(struct optimizer *optimizer);
/* Floats that `first`, `second` and `feedback` take for a network of these sizes. */
size_t optimizer_state_floats(size_t parameters, int units, int outputs, const struct train_config *config);

/* Multiply-adds of one update, approximately. An update is never interrupted: it has no stop word. */
double optimizer_cost(size_t parameters);

/* Learning rate of update `iteration`, counted from 0. */
double optimizer_learning_rate(const struct optimizer_config *config, int64_t iteration);

/*
 * Update number `iteration` (from 0) of network->weights with `gradient` (parameters), which is overwritten. In this
 * order: l2, absent synapses cleared, clipping by the global norm, Adam or SGD, decay of adaptive feedback, l1, Dale's
 * law, Deep R. Serial; the order of every sum is fixed.
 */
void optimizer_update(struct optimizer *optimizer, struct network *network, float *gradient, int64_t iteration);
/* The same where an iteration has several updates: number `update` of all; the learning rate is the iteration's. */
void optimizer_update_within(struct optimizer *optimizer, struct network *network, float *gradient, int64_t iteration,
                             int64_t update);

#endif
