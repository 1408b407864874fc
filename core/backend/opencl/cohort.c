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
        bytes[b] = size_aligned(bytes[b] > 0 ? bytes[b] : 8, 8);
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

static bool buffers_make(struct cohort *cohort) {
    static const uint8_t zero = 0;
    for (int b = 0; b < BUFFERS; b++) {
        size_t size = size_times(cohort->buffer_bytes[b], (size_t)cohort->jobs);
        cl_int failed = CL_MEM_OBJECT_ALLOCATION_FAILURE;
        if (size_possible(size)) {
            cohort->buffers[b] = cohort->cl->CreateBuffer(cohort->context, CL_MEM_READ_WRITE, size, NULL, &failed);
        }
        if (!cohort_check(cohort, failed, "allocating") ||
            !cohort_check(
                cohort,
                cohort->cl->EnqueueFillBuffer(cohort->queue, cohort->buffers[b], &zero, 1, 0, size, 0, NULL, NULL),
                "clearing memory")) {
            return false;
        }
    }
    return cohort_check(cohort, cohort->cl->Finish(cohort->queue), "clearing memory");
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
    if (shape->hop_averages && !cohort->averages_given) {
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
    cohort->averages_given = averages != NULL;
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

static bool problem_covered(struct cohort *cohort, const struct backend_problem *problem, struct error *error) {
    const struct network *network = problem->network;
    const struct backend_sizes sizes = sizes_of_network(network);
    struct batch_options options = *problem->options;
    options.neuron = network->neuron;
    options.readout_leaks = network->readout_leaks;
    options.noisy = network->noisy;
    options.task = problem->task ? problem->task->ops : NULL;
    cohort->task = problem->task ? device_task_find(problem->task->ops) : NULL;
    if (network->activation != ACTIVATION_RELU && network->activation != ACTIVATION_TANH) {
        snprintf(error->text, sizeof error->text, "network.activation is not covered by the device");
        return false;
    }
    cohort->device = shape_device(&options, error);
    if (!cohort->device || !shape_make(&sizes, &options, cohort->jobs, cohort->device, &cohort->shape, error)) {
        return false;
    }
    return true;
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

static bool cohort_fill(struct cohort *cohort, enum result *result, struct error *error) {
    const struct shape *shape = &cohort->shape;
    *result = RESULT_DEVICE_LOST;
    cohort->size = sizes_of(&cohort->problems[0], shape, cohort->task);
    size_t each = cohort_bytes(shape, &cohort->size, cohort->buffer_bytes);
    cohort->memory_bytes = size_times(each, (size_t)cohort->jobs);
    if (cohort->memory_bytes > cohort->device->memory) {
        *result = RESULT_INVALID;
        snprintf(error->text, sizeof error->text, "%d of these jobs need %zu bytes of the device, which has %llu",
                 cohort->jobs, cohort->memory_bytes, (unsigned long long)cohort->device->memory);
        return false;
    }
    if (device_open(cohort) && program_build(cohort, error) && buffers_make(cohort)) {
        bool written = true;
        for (int job = 0; written && job < cohort->jobs; job++) {
            job_numbers_fill(&cohort->host[job], &cohort->problems[job], cohort->task);
            written = fixed_parts_write(cohort, job) && task_data_write(cohort, job);
        }
        if (shape->bias) {
            LAUNCH(cohort, KERNEL_BIAS_FILL, (size_t)shape->slots * (size_t)shape->rows_padded, 1);
        }
        if (written && !cohort->failed) {
            return true;
        }
        *result = written ? RESULT_DEVICE_LOST : RESULT_NO_MEMORY;
    }
    if (cohort->failed || *result == RESULT_NO_MEMORY) {
        snprintf(error->text, sizeof error->text, "%s", cohort->failed ? cohort->error : "out of memory");
    }
    return false;
}

struct cohort *cohort_create(const struct backend_problem *problems, int jobs, enum result *result,
                             struct error *error) {
    struct cohort *cohort = calloc(1, sizeof *cohort);
    *result = RESULT_NO_MEMORY;
    snprintf(error->text, sizeof error->text, "out of memory");
    if (!cohort) {
        return NULL;
    }
    cohort->jobs = jobs;
    cohort->problems = calloc((size_t)jobs, sizeof *cohort->problems);
    cohort->host = calloc((size_t)jobs, sizeof *cohort->host);
    if (!cohort->problems || !cohort->host) {
        cohort_destroy(cohort);
        return NULL;
    }
    memcpy(cohort->problems, problems, (size_t)jobs * sizeof *problems);
    *result = RESULT_INVALID;
    cohort->cl = cl_load(error->text);
    if (cohort->cl && problem_covered(cohort, &problems[0], error) && cohort_fill(cohort, result, error)) {
        *error = (struct error){0};
        for (int job = 0; job < jobs; job++) {
            cohort->problems[job].options = NULL; /* of the call alone */
        }
        return cohort;
    }
    cohort_destroy(cohort);
    return NULL;
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
    free(cohort);
}
