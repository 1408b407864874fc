/*
 * Training on a device: which jobs it covers, and the check of its first update against the processor's. Owner: the
 * thread that trains.
 */
#ifndef MODPROP_CORE_TRAIN_DEVICE_H
#define MODPROP_CORE_TRAIN_DEVICE_H

#include "core/backend/backend.h"
#include "core/train/train.h"

/*
 * The backend, for the problem, of the device that its options name. NULL, with *result RESULT_DONE and device->why: it
 * does not cover the job, which runs on the processor. NULL with RESULT_NO_MEMORY or RESULT_DEVICE_LOST and `error`.
 */
struct backend *device_backend(const struct backend_problem *problem, const struct train_config *config,
                               struct train_device *device, enum result *result, struct error *error);

/*
 * Makes update number course->iteration on the processor and on the device, from the network's weights and the
 * optimiser's state, and compares what they leave, bit for bit. Both are then as they were, and the device is to be
 * loaded again. RESULT_DONE; RESULT_DEVICE_LOST with `error` where they differ; or as backend_ops.iterate.
 */
enum result device_check(struct backend *backend, const struct backend_problem *problem, double mu,
                         const double *averages, const struct backend_course *course, struct work *work,
                         struct error *error);

#endif
