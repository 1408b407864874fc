/* gradients_compute in a chosen way, for tests: methods and backends are each other's check. */
#ifndef MODPROP_CORE_GRADIENTS_BY_H
#define MODPROP_CORE_GRADIENTS_BY_H

#include "core/backend/backend.h"
#include "core/train/gradients.h"

struct gradients_way {
    const struct backend_ops *backend; /* NULL: the processor */
    int device;                        /* of a backend that has several */
    enum engine_method method;
    int64_t memory; /* bytes of history; 0: the default */
    int threads;
};

enum result gradients_compute_by(const struct gradients_problem *problem, const struct rule_config *rule,
                                 const struct gradients_way *way, bool (*stop)(void *user), void *user,
                                 struct gradients *gradients, double *loss, struct error *error);

#endif
