/*
 * A device with OpenCL 1.2: see core/backend/opencl/cohort.h. The backend is a seat in a cohort: jobs of equal shape
 * that are trained at the same time, each by a thread of its own, run side by side (core/backend/opencl/seats.h).
 *
 * Between `load` and `read` the device has the newest weights and optimiser state. A gradient takes a whole batch of
 * options->trials. The credit gain is computed on the processor, from the weights read back.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/backend/backend.h"
#include "core/backend/opencl/cohort.h"
#include "core/backend/opencl/seats.h"

struct opencl {
    struct backend backend;
    struct seat *seat;
};

static struct opencl *opencl_of(struct backend *backend) {
    return (struct opencl *)backend;
}

struct cohort *opencl_cohort(struct backend *backend) {
    return seat_cohort(opencl_of(backend)->seat);
}

void opencl_condemn(struct backend *backend, const char *why) {
    seat_condemn(opencl_of(backend)->seat, why);
}

/* A failure of the device is explained to the caller. */
static enum result explained(struct opencl *opencl, enum result result) {
    if (result == RESULT_DEVICE_LOST) {
        snprintf(opencl->backend.lost, sizeof opencl->backend.lost, "%s", seat_cohort(opencl->seat)->error);
    }
    return result;
}

static bool opencl_plan(const struct backend_sizes *sizes, const struct batch_options *options,
                        struct backend_plan *plan, struct error *error) {
    struct shape shape;
    struct engine_plan engine;
    size_t bytes[BUFFERS];
    if (!engine_plan_make(sizes->units, sizes->inputs, sizes->outputs, sizes->types, sizes->bias, sizes->equal_leaks,
                          options, &engine, error)) {
        return false;
    }
    const struct cl_device *device = shape_device(options, error);
    if (!device || !shape_make(sizes, options, 1, device, &shape, error)) {
        return false;
    }
    size_t n = (size_t)sizes->units, synapses = n * n + n * (size_t)sizes->outputs,
           parameters = network_parameters(sizes->units, sizes->inputs, sizes->outputs, sizes->bias);
    const struct sizes most = {.given = (size_t)shape.steps * (size_t)shape.rows_padded * (size_t)shape.inputs,
                               .parameters = parameters,
                               .state = 2 * parameters + n * (size_t)sizes->outputs,
                               .mask = n * n,
                               .dormant = synapses};
    size_t memory = cohort_bytes(&shape, &most, bytes);
    if (memory > device->memory) {
        snprintf(error->text, sizeof error->text, "the job needs %zu bytes of the device, which has %llu", memory,
                 (unsigned long long)device->memory);
        return false;
    }
    *plan = (struct backend_plan){.method = engine_method_name(engine.method, false),
                                  .memory_bytes = memory,
                                  .forward_multiply_adds = engine.forward_multiply_adds,
                                  .multiply_adds = engine.multiply_adds,
                                  .threads_most = 1};
    return true;
}

static struct backend *opencl_create(const struct backend_problem *problem, enum result *result, struct error *error) {
    struct opencl *opencl = calloc(1, sizeof *opencl);
    if (!opencl) {
        *result = RESULT_NO_MEMORY;
        snprintf(error->text, sizeof error->text, "out of memory");
        return NULL;
    }
    opencl->backend.ops = &backend_opencl;
    opencl->seat = seat_take(problem, result, error);
    if (!opencl->seat) {
        free(opencl);
        return NULL;
    }
    return &opencl->backend;
}

static void opencl_load(struct backend *backend, const float *feedback, double mu, const double *averages) {
    seat_load(opencl_of(backend)->seat, feedback, mu, averages);
}

static enum result opencl_run(struct backend *backend, const struct batch_source *source, int trials, float *gradient,
                              struct work *work, struct batch_result *result) {
    struct opencl *opencl = opencl_of(backend);
    const struct cohort_batch batch = {.source = source, .trials = trials, .gradient = gradient, .result = result};
    return explained(opencl, seat_batch(opencl->seat, &batch, work));
}

static enum result opencl_trials(struct backend *backend, const struct trial_id *ids, int trials, float *gradient,
                                 struct work *work, struct batch_result *result) {
    struct opencl *opencl = opencl_of(backend);
    const struct cohort_batch batch = {.ids = ids, .trials = trials, .gradient = gradient, .result = result};
    return explained(opencl, seat_batch(opencl->seat, &batch, work));
}

static enum result opencl_iterate(struct backend *backend, int64_t most, struct backend_course *course,
                                  struct work *work, struct phases *phases) {
    struct opencl *opencl = opencl_of(backend);
    (void)phases; /* the parts of an update overlap in the device's queue */
    return explained(opencl, seat_iterate(opencl->seat, most, course, work));
}

static void opencl_read(struct backend *backend) {
    seat_read(opencl_of(backend)->seat);
}

static void opencl_destroy(struct backend *backend) {
    seat_leave(opencl_of(backend)->seat);
    free(backend);
}

const struct backend_ops backend_opencl = {.name = "opencl",
                                           .plan = opencl_plan,
                                           .create = opencl_create,
                                           .load = opencl_load,
                                           .run = opencl_run,
                                           .trials = opencl_trials,
                                           .iterate = opencl_iterate,
                                           .read = opencl_read,
                                           .destroy = opencl_destroy};
