/*
 * A cohort's memory and weights: see cohort.h.
 */
#include "core/backend/opencl/cohort.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/size.h"
#include "core/rules/rules.h"

void cohort_write(struct cohort *cohort, enum buffer buffer, int job, const void *from, size_t size) {
    cohort->transfers++;
    if (!cohort->failed && size > 0) {
        cohort_check(cohort,
                     cohort->cl->EnqueueWriteBuffer(cohort->queue, cohort->buffers[buffer], 1,
                                                    (size_t)job * cohort->buffer_bytes[buffer], size, from, 0, NULL,
                                                    NULL),
                     "copying to it");
    }
}

void cohort_fetch(struct cohort *cohort, enum buffer buffer, int job, void *to, size_t size) {
    cohort->transfers++;
    if (!cohort->failed && size > 0) {
        cohort_check(cohort,
                     cohort->cl->EnqueueReadBuffer(cohort->queue, cohort->buffers[buffer], 1,
                                                   (size_t)job * cohort->buffer_bytes[buffer], size, to, 0, NULL, NULL),
                     "copying from it");
    }
}

/* ---- memory ---- */

size_t cohort_bytes(const struct shape *shape, const struct sizes *size, size_t bytes[BUFFERS]) {
    size_t units = (size_t)shape->units, rows = (size_t)shape->rows_padded, block = (size_t)shape->block_rows,
           losses = (size_t)shape->losses, outputs = (size_t)shape->outputs, columns = (size_t)shape->columns,
           row = columns + (size_t)shape->z_offset, slots = (size_t)shape->slots, lanes = (size_t)shape->lanes,
           sources = units + (size_t)shape->inputs + shape->bias, types = (size_t)shape->types,
           hops = shape->hop_types > 0 ? (size_t)shape->hop_types : units, groups = (size_t)shape->groups,
           reverse = shape->method == METHOD_REVERSE || shape->modes, modes = shape->modes, kept = (size_t)shape->kept,
           traces = (size_t)shape->traces, ring = (size_t)shape->ring, total = 0;
#define BUFFER_SIZE(name, elements, each) bytes[BUFFER_##name] = size_times((size_t)(elements), each);
    OPENCL_BUFFERS(BUFFER_SIZE)
#undef BUFFER_SIZE
    for (int b = 0; b < BUFFERS; b++) {
        bytes[b] = bytes[b] > 0 ? bytes[b] : 8;
        total = size_plus(total, bytes[b]);
    }
    return total;
}

static struct sizes sizes_of(const struct backend_problem *problem, const struct shape *shape,
                             const struct device_task *task) {
    const struct network *network = problem->network;
    const struct optimizer *optimizer = problem->optimizer;
    size_t n = (size_t)network->units, outputs = (size_t)network->outputs;
    bool rewires = optimizer && optimizer->rewiring == REWIRING_DEEP_R;
    return (struct sizes){.data = task && task->data ? task->data(problem->task) : 0,
                          .given = (size_t)shape->steps * (size_t)shape->rows_padded * (size_t)shape->inputs,
                          .parameters = network->parameters,
                          .state = optimizer ? optimizer->state_floats : shape->has_feedback * n * outputs,
                          .mask = network->mask ? n * n : 0,
                          .dormant = rewires ? n * n + n * outputs : 0};
}

/* A buffer for `jobs`; NULL, with *failed, if there is no memory for it. */
static cl_mem buffer_make(const struct cohort *cohort, enum buffer buffer, int jobs, cl_int *failed) {
    size_t size = size_times(cohort->buffer_bytes[buffer], (size_t)jobs);
    *failed = CL_MEM_OBJECT_ALLOCATION_FAILURE;
    return size_possible(size) ? cohort->cl->CreateBuffer(cohort->context, CL_MEM_READ_WRITE, size, NULL, failed)
                               : NULL;
}

/*
 * The result of a buffer's first use. Many drivers find memory for a buffer only then; that they find none is no
 * failure of the device. After any other error the cohort has failed.
 */
static bool first_use_check(struct cohort *cohort, cl_int error, const char *what) {
    bool full = error == CL_MEM_OBJECT_ALLOCATION_FAILURE || error == CL_OUT_OF_RESOURCES ||
                error == CL_OUT_OF_HOST_MEMORY;
    return !full && cohort_check(cohort, error, what);
}

/* Makes the buffers and uses each. False: there is no memory for them, or the device has failed. */
static bool buffers_make(struct cohort *cohort) {
    static const uint8_t zero = 0;
    cl_int made = CL_SUCCESS, used = CL_SUCCESS;
    for (int b = 0; b < BUFFERS && used == CL_SUCCESS; b++) {
        cohort->buffers[b] = buffer_make(cohort, b, cohort->jobs, &made);
        if (made != CL_SUCCESS) {
            return false;
        }
        used = cohort->cl->EnqueueFillBuffer(cohort->queue, cohort->buffers[b], &zero, 1, 0, 1, 0, NULL, NULL);
    }
    used = used == CL_SUCCESS ? cohort->cl->Finish(cohort->queue) : used;
    return first_use_check(cohort, used, "clearing memory");
}

/* What another job has left in this one's place. */
static void job_clear(struct cohort *cohort, int job) {
    static const uint8_t zero = 0;
    for (int b = 0; b < BUFFERS && !cohort->failed; b++) {
        size_t size = cohort->buffer_bytes[b];
        cohort_check(cohort,
                     cohort->cl->EnqueueFillBuffer(cohort->queue, cohort->buffers[b], &zero, 1, (size_t)job * size,
                                                   size, 0, NULL, NULL),
                     "clearing memory");
    }
}

/* ---- what never changes ---- */

static void job_numbers_fill(struct opencl_job *job, const struct backend_problem *problem,
                             const struct device_task *task) {
    *job = (struct opencl_job){.failed = OPENCL_NEVER, .trials = problem->options->trials};
    job->leak = problem->network->leak_exact[0];
    job->gain = problem->network->gain_exact[0];
    if (problem->task) {
        job->seed = problem->task->seed;
    }
    if (task && task->numbers) {
        task->numbers(problem->task, job->task);
    }
    if (problem->optimizer) {
        const struct optimizer_config *config = problem->optimizer->config;
        job->learning_rate = config->learning_rate;
        job->decay_factor = config->decay_factor;
        job->decay_every = config->decay_every;
        job->momentum = config->momentum;
        job->beta1 = config->beta1;
        job->beta2 = config->beta2;
        job->epsilon = config->epsilon;
        job->l2 = config->l2;
        job->l1 = config->l1;
        job->clip_norm = config->clip_norm.value;
        job->feedback_decay = problem->optimizer->feedback_decay;
    }
}

/* mu of every unit, where the rule has a list; leaks and gains; types, signs, mask. */
static bool fixed_parts_write(struct cohort *cohort, int job) {
    const struct backend_problem *problem = &cohort->problems[job];
    const struct network *network = problem->network;
    const struct shape *shape = &cohort->shape;
    size_t n = (size_t)network->units, columns = (size_t)shape->columns;
    float *units = calloc(2 * columns, sizeof *units), *mu = calloc(columns, sizeof *mu);
    bool made = units && mu;
    if (made) {
        memcpy(units, network->leak, n * sizeof *units);
        memcpy(units + columns, network->gain, n * sizeof *units);
        cohort_write(cohort, BUFFER_UNIT, job, units, 2 * columns * sizeof *units);
        cohort_write(cohort, BUFFER_TYPES, job, network->type_of_unit, n * sizeof(int32_t));
        cohort_write(cohort, BUFFER_TYPE_SIZES, job, network->type_size, n * sizeof(int32_t));
        cohort_write(cohort, BUFFER_SIGNS, job, network->sign, n * sizeof(int32_t));
        if (network->mask) {
            cohort_write(cohort, BUFFER_MASK, job, network->mask, n * n);
        }
        if (shape->mu_given) {
            const struct numbers *of = &problem->options->rule->mu_of;
            for (size_t p = 0; p < n; p++) {
                mu[p] = (float)of->values[of->lengths[0] == shape->units ? p : (size_t)network->type_of_unit[p]];
            }
            cohort_write(cohort, BUFFER_MU_GIVEN, job, mu, columns * sizeof *mu);
            if (shape->modes) {
                cohort_write(cohort, BUFFER_MU_OF, job, of->values, (size_t)shape->types * sizeof *of->values);
            }
        }
    }
    free(units);
    free(mu);
    return made;
}

static bool task_data_write(struct cohort *cohort, int job) {
    const struct task *task = cohort->problems[job].task;
    if (!cohort->task || !cohort->task->data) {
        return true;
    }
    float *data = malloc(cohort->size.data * sizeof *data);
    if (data) {
        cohort->task->fill(task, data);
        cohort_write(cohort, BUFFER_DATA, job, data, cohort->size.data * sizeof *data);
    }
    free(data);
    return data != NULL;
}

/* ---- weights ---- */

void cohort_weights_changed(struct cohort *cohort) {
    const struct shape *shape = &cohort->shape;
    int sources = shape->inputs + shape->bias + shape->units;
    LAUNCH(cohort, KERNEL_LOAD_FORWARD, 4 * shape->lanes, sources);
    LAUNCH(cohort, KERNEL_LOAD_READOUT, shape->columns, shape->outputs);
    if (shape->hop_averages && !cohort->averages_given[cohort->now.first]) {
        LAUNCH(cohort, KERNEL_LOAD_AVERAGES, shape->types, shape->types);
    }
    if (shape->modes) {
        LAUNCH(cohort, KERNEL_MODES_MAKE, 1, 1);
    }
    if (shape->credit != CREDIT_LOCAL) {
        LAUNCH(cohort, KERNEL_LOAD_HOP, 4 * shape->lanes, shape->hop_types > 0 ? shape->hop_types : shape->units);
    }
}

/* F into the state, where no optimiser has it there. */
static void feedback_write(struct cohort *cohort, int job, const float *feedback) {
    const struct network *network = cohort->problems[job].network;
    size_t n = (size_t)network->units, outputs = (size_t)network->outputs;
    const float *Wout = network->weights + network->offset_Wout;
    float *transposed = malloc(n * outputs * sizeof *transposed);
    if (!transposed) {
        cohort_check(cohort, CL_OUT_OF_HOST_MEMORY, "loading weights");
        return;
    }
    for (size_t o = 0; o < outputs; o++) {
        for (size_t j = 0; j < n; j++) {
            transposed[o * n + j] = feedback ? feedback[o * n + j] : Wout[j * outputs + o];
        }
    }
    cohort_write(cohort, BUFFER_STATE, job, transposed, n * outputs * sizeof *transposed);
    free(transposed);
}

void cohort_load(struct cohort *cohort, int job, const float *feedback, double mu, const double *averages) {
    const struct backend_problem *problem = &cohort->problems[job];
    const struct network *network = problem->network;
    size_t types = (size_t)network->types;
    cohort_write(cohort, BUFFER_WEIGHTS, job, network->weights, network->parameters * sizeof(float));
    if (problem->optimizer) {
        cohort_write(cohort, BUFFER_STATE, job, problem->optimizer->first,
                     problem->optimizer->state_floats * sizeof(float));
    } else if (cohort->shape.has_feedback) {
        feedback_write(cohort, job, feedback);
    }
    cohort->averages_given[job] = averages != NULL;
    if (averages && cohort->shape.hop_averages) {
        cohort_write(cohort, BUFFER_AVERAGES, job, averages, types * types * sizeof *averages);
    }
    cohort->host[job].mu = mu;
    cohort_write(cohort, BUFFER_JOBS, job, &cohort->host[job], sizeof cohort->host[job]);
}

void cohort_read(struct cohort *cohort, int job) {
    const struct backend_problem *problem = &cohort->problems[job];
    cohort_fetch(cohort, BUFFER_WEIGHTS, job, problem->network->weights, problem->network->parameters * sizeof(float));
    if (problem->optimizer) {
        cohort_fetch(cohort, BUFFER_STATE, job, problem->optimizer->first,
                     problem->optimizer->state_floats * sizeof(float));
    }
}

/* ---- making and releasing ---- */

static struct backend_sizes sizes_of_network(const struct network *network) {
    return (struct backend_sizes){.units = network->units,
                                  .inputs = network->inputs,
                                  .outputs = network->outputs,
                                  .types = network->types,
                                  .bias = network->bias,
                                  .equal_leaks = network->equal_leaks};
}

/* The shape of the problem in a cohort with room for `jobs`. */
static bool shape_find(const struct backend_problem *problem, int jobs, const struct cl_device **device,
                       struct shape *shape, struct error *error) {
    const struct network *network = problem->network;
    const struct backend_sizes sizes = sizes_of_network(network);
    struct batch_options options = *problem->options;
    options.neuron = network->neuron;
    options.readout_leaks = network->readout_leaks;
    options.noisy = network->noisy;
    options.task = problem->task ? problem->task->ops : NULL;
    if (network->activation != ACTIVATION_RELU && network->activation != ACTIVATION_TANH) {
        snprintf(error->text, sizeof error->text, "network.activation is not covered by the device");
        return false;
    }
    *device = shape_device(&options, error);
    return *device && shape_make(&sizes, &options, jobs, *device, shape, error);
}

static bool device_open(struct cohort *cohort) {
    cl_int failed;
    cohort->context = cohort->cl->CreateContext(NULL, 1, &cohort->device->id, NULL, NULL, &failed);
    if (!cohort_check(cohort, failed, "opening it")) {
        return false;
    }
    cohort->queue = cohort->cl->CreateCommandQueue(cohort->context, cohort->device->id, 0, &failed);
    return cohort_check(cohort, failed, "opening it");
}

bool cohort_place(struct cohort *cohort, int job, const struct backend_problem *problem, struct error *error) {
    const struct shape *shape = &cohort->shape;
    cohort->problems[job] = *problem;
    job_clear(cohort, job);
    job_numbers_fill(&cohort->host[job], problem, cohort->task);
    bool written = fixed_parts_write(cohort, job) && task_data_write(cohort, job);
    cohort->problems[job].options = NULL; /* of the call alone */
    if (shape->bias) {
        cohort->now = (struct span){job, 1};
        LAUNCH(cohort, KERNEL_BIAS_FILL, (size_t)shape->slots * (size_t)shape->rows_padded, 1);
    }
    if (!written || cohort->failed) {
        snprintf(error->text, sizeof error->text, "%s", cohort->failed ? cohort->error : "out of memory");
    }
    return written && !cohort->failed;
}

void *enlarged(void *memory, size_t size, bool *made) {
    void *larger = realloc(memory, size);
    if (!larger) {
        *made = false;
        return memory;
    }
    return larger;
}

/* Whatever has room for a job each, on this side. */
static bool places_make(struct cohort *cohort, int jobs) {
    size_t count = (size_t)jobs;
    bool made = true;
    cohort->problems = enlarged(cohort->problems, count * sizeof *cohort->problems, &made);
    cohort->host = enlarged(cohort->host, count * sizeof *cohort->host, &made);
    cohort->spans = enlarged(cohort->spans, count * sizeof *cohort->spans, &made);
    cohort->averages_given = enlarged(cohort->averages_given, count * sizeof *cohort->averages_given, &made);
    return made;
}

struct cohort *cohort_prepare(const struct backend_problem *problem, int jobs, enum result *result,
                              struct error *error) {
    struct cohort *cohort = calloc(1, sizeof *cohort);
    *result = RESULT_NO_MEMORY;
    snprintf(error->text, sizeof error->text, "out of memory");
    if (!cohort || !places_make(cohort, jobs)) {
        cohort_destroy(cohort);
        return NULL;
    }
    cohort->jobs = jobs;
    cohort->problems[0] = *problem;
    cohort->spans[0] = cohort->now = (struct span){0, jobs};
    cohort->span_count = 1;
    cohort->task = problem->task ? device_task_find(problem->task->ops) : NULL;
    cohort->cl = cl_load(error->text);
    *result = RESULT_INVALID;
    if (!cohort->cl || !shape_find(problem, jobs, &cohort->device, &cohort->shape, error)) {
        cohort_destroy(cohort);
        return NULL;
    }
    cohort->size = sizes_of(problem, &cohort->shape, cohort->task);
    cohort->memory_bytes = size_times(cohort_bytes(&cohort->shape, &cohort->size, cohort->buffer_bytes), (size_t)jobs);
    if (cohort->memory_bytes > cohort->device->memory) {
        snprintf(error->text, sizeof error->text, "%d of these jobs need %zu bytes of the device, which has %llu", jobs,
                 cohort->memory_bytes, (unsigned long long)cohort->device->memory);
        cohort_destroy(cohort);
        return NULL;
    }
    *error = (struct error){0};
    return cohort;
}

bool cohort_open(struct cohort *cohort, enum result *result, struct error *error) {
    *result = RESULT_DEVICE_LOST;
    if (device_open(cohort) && program_build(cohort, error)) {
        *result = buffers_make(cohort) ? RESULT_DONE : cohort->failed ? RESULT_DEVICE_LOST : RESULT_INVALID;
    }
    if (cohort->failed) {
        snprintf(error->text, sizeof error->text, "%s", cohort->error);
    } else if (*result == RESULT_INVALID) {
        snprintf(error->text, sizeof error->text, "the device has no memory for the job now, %zu bytes",
                 cohort->memory_bytes);
    }
    return *result == RESULT_DONE;
}

struct cohort *cohort_create(const struct backend_problem *problems, int jobs, enum result *result,
                             struct error *error) {
    struct cohort *cohort = cohort_prepare(&problems[0], jobs, result, error);
    bool made = cohort && cohort_open(cohort, result, error);
    for (int job = 0; made && job < jobs; job++) {
        made = cohort_place(cohort, job, &problems[job], error);
        *result = made ? RESULT_DONE : cohort->failed ? RESULT_DEVICE_LOST : RESULT_NO_MEMORY;
    }
    if (!made) {
        cohort_destroy(cohort);
        return NULL;
    }
    cohort->now = cohort->spans[0];
    return cohort;
}

/* ---- growing ---- */

int cohort_most(const struct cohort *cohort, uint64_t bytes) {
    size_t each = cohort->memory_bytes / (size_t)cohort->jobs;
    uint64_t most = bytes < cohort->device->memory ? (cohort->device->memory - bytes) / each : 0;
    for (int b = 0; b < BUFFERS; b++) {
        uint64_t here = cohort->device->allocation_most / cohort->buffer_bytes[b];
        most = here < most ? here : most;
    }
    return most < INT32_MAX ? (int)most : INT32_MAX;
}

/* The buffer with room for `jobs`, and in it what it has for those that are there. */
static bool buffer_grow(struct cohort *cohort, enum buffer buffer, int jobs) {
    cl_int failed;
    cl_mem larger = buffer_make(cohort, buffer, jobs, &failed);
    if (failed != CL_SUCCESS) {
        return false;
    }
    size_t size = cohort->buffer_bytes[buffer] * (size_t)cohort->jobs;
    failed = cohort->cl->EnqueueCopyBuffer(cohort->queue, cohort->buffers[buffer], larger, 0, 0, size, 0, NULL, NULL);
    failed = failed == CL_SUCCESS ? cohort->cl->Finish(cohort->queue) : failed;
    bool copied = first_use_check(cohort, failed, "copying in it");
    cohort->cl->ReleaseMemObject(copied ? cohort->buffers[buffer] : larger);
    cohort->buffers[buffer] = copied ? larger : cohort->buffers[buffer];
    return copied;
}

/* A larger cohort may have other tiles, which are part of the program. */
static bool program_renew(struct cohort *cohort, int jobs, const struct backend_problem *problem) {
    struct shape shape;
    struct error error = {0};
    if (!shape_find(problem, jobs, &cohort->device, &shape, &error)) {
        return false;
    }
    bool same = shape.group_rows == cohort->shape.group_rows && shape.tile_rows == cohort->shape.tile_rows;
    cohort->shape.group_rows = shape.group_rows;
    cohort->shape.tile_rows = shape.tile_rows;
    if (same) {
        return true;
    }
    const struct backend_problem first = cohort->problems[0];
    cohort->problems[0] = *problem; /* the program is built of what the jobs have in common */
    program_release(cohort);
    bool built = program_build(cohort, &error);
    cohort->problems[0] = first;
    return built || cohort_check(cohort, CL_BUILD_PROGRAM_FAILURE, "building for more jobs");
}

bool cohort_grow(struct cohort *cohort, int jobs, const struct backend_problem *problem) {
    if (!places_make(cohort, jobs)) {
        return false;
    }
    /* a buffer that has grown while another could not holds more than is used, and stays */
    bool grown = true;
    kernels_forget(cohort);
    for (int b = 0; grown && b < BUFFERS; b++) {
        grown = buffer_grow(cohort, b, jobs);
    }
    if (!grown || !program_renew(cohort, jobs, problem)) {
        return false;
    }
    cohort->memory_bytes = cohort->memory_bytes / (size_t)cohort->jobs * (size_t)jobs;
    cohort->jobs = jobs;
    return true;
}

void cohort_destroy(struct cohort *cohort) {
    if (!cohort) {
        return;
    }
    if (cohort->queue) {
        cohort->cl->Finish(cohort->queue);
    }
    for (int b = 0; b < BUFFERS; b++) {
        if (cohort->buffers[b]) {
            cohort->cl->ReleaseMemObject(cohort->buffers[b]);
        }
    }
    program_release(cohort);
    if (cohort->queue) {
        cohort->cl->ReleaseCommandQueue(cohort->queue);
    }
    if (cohort->context) {
        cohort->cl->ReleaseContext(cohort->context);
    }
    free(cohort->problems);
    free(cohort->host);
    free(cohort->spans);
    free(cohort->averages_given);
    free(cohort);
}
