/* See device.h. */
#include "core/train/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <stdint.h>
#include <string.h>

#include "core/backend/opencl/seats.h"
#include "core/train/batch.h"

static bool refuse(struct train_device *device, const char *why) {
    snprintf(device->why, sizeof device->why, "%s", why);
    return false;
}

/* What of a job lies outside its batches. */
static bool job_covered(const struct train_config *config, struct train_device *device) {
    return !(config->training.diagnostics & DIAGNOSTIC_CREDIT_GAIN) ||
           refuse(device, "training.diagnostics.credit_gain is not covered by the device");
}

struct backend *device_backend(const struct backend_problem *problem, const struct train_config *config,
                               struct train_device *device, enum result *result, struct error *error) {
    *result = RESULT_DONE;
    device->used = false;
    *device->why = '\0';
    if (!job_covered(config, device)) {
        return NULL;
    }
    struct backend *backend = backend_opencl.create(problem, result, error);
    device->used = backend != NULL;
    if (!backend && *result == RESULT_INVALID) {
        refuse(device, error->text);
        *error = (struct error){0};
        *result = RESULT_DONE;
    }
    /* cppcheck-suppress returnDanglingLifetime ; the backend holds copies */
    return backend;
}

int train_devices(int number, struct train_device_info *info, char error[256]) {
    const struct cl_device *devices;
    int count = cl_devices(&devices, error);
    if (number >= 0 && number < count) {
        const struct cl_device *device = &devices[number];
        *info = (struct train_device_info){
            .gpu = device->gpu, .suitable = device->suitable, .units = device->units, .memory_bytes = device->memory};
        snprintf(info->name, sizeof info->name, "%s", device->name);
        snprintf(info->platform, sizeof info->platform, "%s", device->platform);
        snprintf(info->driver, sizeof info->driver, "%s", device->driver);
        snprintf(info->why, sizeof info->why, "%s", device->why);
    }
    return count;
}

struct train_device_load train_device_load(int number) {
    const struct seats_load load = seats_load(number);
    return (struct train_device_load){.jobs = load.jobs,
                                      .cohorts = load.cohorts,
                                      .memory_bytes = load.memory_bytes,
                                      .rounds = load.rounds,
                                      .updates = load.updates,
                                      .launches = load.launches,
                                      .transfers = load.transfers,
                                      .seconds = load.seconds};
}

bool train_device_covers(const struct train_config *config, struct train_device *device) {
    struct task_shape shape;
    struct error error = {0};
    struct backend_plan plan;
    const struct task_ops *task = task_table[config->task.type];
    *device->why = '\0';
    if (!device_task_find(task)) { /* its shape may need data */
        snprintf(device->why, sizeof device->why, "task %s is not covered by the device", task->name);
        return false;
    }
    if (!task->shape(&config->task, &shape, error.text)) {
        return refuse(device, error.text);
    }
    const struct backend_sizes sizes = train_backend_sizes(config, &shape);
    struct batch_options options = train_batch_options(config, &shape, &config->rule);
    options.count_psi = train_counts_psi(config);
    options.device = device->number;
    options.task = task;
    return job_covered(config, device) &&
           (backend_opencl.plan(&sizes, &options, &plan, &error) || refuse(device, error.text));
}

/* ---- the check ---- */

/* Weights and the optimiser's state together. */
static size_t state_floats(const struct backend_problem *problem) {
    return problem->network->parameters + problem->optimizer->state_floats;
}

static void state_copy(const struct backend_problem *problem, float *kept, bool back) {
    size_t weights = problem->network->parameters, state = problem->optimizer->state_floats;
    float *parts[] = {problem->network->weights, problem->optimizer->first};
    size_t sizes[] = {weights, state};
    for (int i = 0; i < 2; kept += sizes[i++]) {
        memcpy(back ? parts[i] : kept, back ? kept : parts[i], sizes[i] * sizeof *kept);
    }
}

/* One update from the state that `before` has; what it leaves goes to `after`. */
static enum result update_once(struct backend *backend, const struct backend_problem *problem, double mu,
                               const double *averages, struct backend_course *course, struct work *work,
                               const float *before, float *after) {
    struct phases phases = {0};
    backend->ops->load(backend, problem->optimizer->feedback, mu, averages);
    enum result result = backend->ops->iterate(backend, 1, course, work, &phases);
    backend->ops->read(backend);
    state_copy(problem, after, false);
    state_copy(problem, (float *)(uintptr_t)before, true);
    return result;
}

/* A NaN is itself, and -0 is not 0. */
static bool same_bits(double a, double b) {
    uint64_t x, y;
    memcpy(&x, &a, sizeof x);
    memcpy(&y, &b, sizeof y);
    return x == y;
}

static bool courses_agree(const struct backend_course *a, const struct backend_course *b) {
    return a->iteration == b->iteration && same_bits(a->training_loss, b->training_loss) &&
           same_bits(a->mu_mean, b->mu_mean);
}

enum result device_check(struct backend *backend, const struct backend_problem *problem, double mu,
                         const double *averages, const struct backend_course *course, struct work *work,
                         struct error *error) {
    enum result result = RESULT_NO_MEMORY;
    size_t floats = state_floats(problem);
    float *before = malloc(3 * floats * sizeof *before), *expected = before + floats, *found = expected + floats;
    struct backend *processor = before ? backend_cpu.create(problem, &result, error) : NULL;
    if (!processor) {
        free(before);
        return result;
    }
    struct backend_course here = *course, there = *course;
    state_copy(problem, before, false);
    result = update_once(processor, problem, mu, averages, &here, work, before, expected);
    backend_destroy(processor);
    if (result == RESULT_DONE || result == RESULT_DIVERGED) {
        enum result other = update_once(backend, problem, mu, averages, &there, work, before, found);
        bool same = other == result && (result == RESULT_DIVERGED || courses_agree(&here, &there)) &&
                    memcmp(expected, found, floats * sizeof *found) == 0;
        result = other == RESULT_STOPPED || other == RESULT_NO_MEMORY ? other : same ? RESULT_DONE : RESULT_DEVICE_LOST;
        if (other == RESULT_DEVICE_LOST) {
            snprintf(error->text, sizeof error->text, "%s", backend->lost);
        } else if (result == RESULT_DEVICE_LOST) {
            snprintf(error->text, sizeof error->text,
                     "the device's first update differs from the processor's: it is not used");
            opencl_condemn(backend, error->text);
        }
    }
    free(before);
    return result;
}
