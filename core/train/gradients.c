/*
 * Gradients of one given batch: a network and a batch source made from the problem, one run of the processor. See
 * gradients.h.
 */
#include "core/train/gradients.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/random.h"
#include "core/base/size.h"
#include "core/backend/backend.h"
#include "core/model/neuron.h"
#include "core/rules/rules.h"
#include "core/train/gradients_by.h"

static void problem_inputs(const void *user, size_t trial, int from, int to, float *x, size_t stride) {
    const struct gradients_problem *problem = user;
    size_t inputs = (size_t)problem->inputs;
    for (int t = from; t < to; t++) {
        memcpy(x + (size_t)(t - from) * stride, problem->x + ((size_t)t * (size_t)problem->trials + trial) * inputs,
               inputs * sizeof(float));
    }
}

static float problem_target(const void *user, size_t trial, int t, int *class_index, float *values) {
    const struct gradients_problem *problem = user;
    size_t at = (size_t)t * (size_t)problem->trials + trial, outputs = (size_t)problem->outputs;
    if (problem->loss == LOSS_CROSS_ENTROPY) {
        *class_index = problem->classes[at];
    } else {
        memcpy(values, problem->values + at * outputs, outputs * sizeof(float));
    }
    return problem->mask ? problem->mask[at] : 1.0f;
}

static void problem_signs(const void *user, size_t trial, int t, int count, float *signs) {
    const struct gradients_problem *problem = user;
    size_t at = ((size_t)t * (size_t)problem->trials + trial) * (size_t)count;
    if (problem->nu) {
        memcpy(signs, problem->nu + at, (size_t)count * sizeof *signs);
        return;
    }
    const struct random_stream stream = random_stream_make(problem->seed, RANDOM_RANK_ONE, 0, trial);
    random_signs_fill(&stream, t, count, signs);
}

static enum result network_make(struct network *network, const struct gradients_problem *problem, struct error *error) {
    snprintf(error->text, sizeof error->text, "out of memory for a network of %d units", problem->units);
    if (!network_allocate(network, problem->units, problem->inputs, problem->outputs, problem->b != NULL, false)) {
        return RESULT_NO_MEMORY;
    }
    network->neuron = problem->neuron;
    network->activation = problem->activation;
    network->readout_leaks = problem->readout_kappa > 0;
    network->readout_kappa = problem->readout_kappa;
    if (neuron_table[problem->neuron]->spikes) {
        network_spiking_set(network, problem->threshold, problem->dampening, problem->refractory);
    }
    network->types = problem->types;
    for (int p = 0; p < problem->units; p++) {
        network_leak_set(network, p, problem->leak[p]);
        if (neuron_table[problem->neuron]->adapts) {
            network_adaptation_set(network, p, problem->rho[p], problem->beta[p]);
        }
        network->type_of_unit[p] = problem->type_of_unit ? problem->type_of_unit[p] : 0;
        network->type_size[network->type_of_unit[p]]++;
    }
    struct weights_view view = {problem->units, problem->inputs, problem->outputs, problem->W,
                                problem->Win,   problem->b,      problem->Wout,    problem->bout};
    return network_weights_set(network, &view, error->text) ? RESULT_DONE : RESULT_INVALID;
}

static enum result refuse(struct error *error, const char *text) {
    snprintf(error->text, sizeof error->text, "%s", text);
    return RESULT_INVALID;
}

static enum result sizes_check(const struct gradients_problem *problem, struct error *error) {
    if (problem->units < 1 || problem->inputs < 1 || problem->outputs < 1) {
        return refuse(error, "a network has at least 1 unit, 1 input and 1 output");
    }
    if (problem->types < 1 || problem->types > problem->units) {
        return refuse(error, "types must number from 1 to units");
    }
    for (int p = 0; problem->type_of_unit && p < problem->units; p++) {
        if (problem->type_of_unit[p] < 0 || problem->type_of_unit[p] >= problem->types) {
            return refuse(error, "the type of a unit must be from 0 to the number of types - 1");
        }
    }
    return RESULT_DONE;
}

static enum result neuron_check(const struct gradients_problem *problem, struct error *error) {
    const struct neuron_ops *neuron = neuron_table[problem->neuron];
    if (neuron->spikes && !(problem->threshold > 0 && problem->dampening >= 0 && problem->refractory >= 0)) {
        return refuse(error, "a spiking model needs a threshold above 0, and a dampening and refractory of at least 0");
    }
    if (neuron->adapts && (!problem->rho || !problem->beta)) {
        return refuse(error, "rho and beta must be given for a model that adapts");
    }
    if (!(problem->readout_kappa >= 0 && problem->readout_kappa < 1)) {
        return refuse(error, "readout_kappa must be at least 0 and below 1");
    }
    return RESULT_DONE;
}

/* Whether the problem's numbers and arrays agree; the engine checks sizes and classes itself. */
static enum result problem_check(const struct gradients_problem *problem, const struct rule_config *rule,
                                 struct error *error) {
    enum result result = sizes_check(problem, error);
    result = result == RESULT_DONE ? neuron_check(problem, error) : result;
    if (result != RESULT_DONE) {
        return result;
    }
    if (!problem->W || !problem->Win || !problem->Wout || !problem->bout || !problem->leak || !problem->x) {
        return refuse(error, "W, Win, Wout, bout, leak and x must be given");
    }
    if (problem->loss == LOSS_CROSS_ENTROPY ? !problem->classes : !problem->values) {
        return refuse(error, "targets must be given: classes for cross-entropy, values for squared error");
    }
    if (rule->feedback != FEEDBACK_SYMMETRIC && !problem->feedback) {
        return refuse(error, "feedback must be given unless it is symmetric");
    }
    if (rule->mu_auto) {
        return refuse(error, "mu \"auto\" is a running mean over training iterations; a single batch has none");
    }
    if (rule_fit(rule)) {
        return refuse(error, "taps are fitted in training; a single batch has those that are given");
    }
    if (rule->gain_bound.most > 0) {
        return refuse(error, "a bound on the gain rescales mu in training; a single batch has mu as it is given");
    }
    return RESULT_DONE;
}

static void gradients_copy(const struct network *network, const float *from, struct gradients *to) {
    size_t n = (size_t)network->units;
    memcpy(to->W, from + network->offset_W, n * n * sizeof(float));
    memcpy(to->Win, from + network->offset_Win, (size_t)network->inputs * n * sizeof(float));
    if (network->bias && to->b) {
        memcpy(to->b, from + network->offset_b, n * sizeof(float));
    }
    memcpy(to->Wout, from + network->offset_Wout, n * (size_t)network->outputs * sizeof(float));
    memcpy(to->bout, from + network->offset_bout, (size_t)network->outputs * sizeof(float));
}

static struct batch_options options_of(const struct gradients_problem *problem, const struct rule_config *rule,
                                       enum engine_method method, int64_t memory) {
    return (struct batch_options){.steps = problem->steps,
                                  .trials = problem->trials,
                                  .loss = problem->loss,
                                  .mask_uniform = !problem->mask,
                                  .rate_cost = problem->rate_cost,
                                  .rate_target = problem->rate_target,
                                  .neuron = problem->neuron,
                                  .rule = rule,
                                  .seed = problem->seed,
                                  .method = method,
                                  .memory = memory,
                                  .input_work = 1,
                                  .target_work = problem->loss == LOSS_MSE ? problem->outputs : 1};
}

enum result gradients_compute_by(const struct gradients_problem *problem, const struct rule_config *rule,
                                 const struct gradients_way *way, bool (*stop)(void *user), void *user,
                                 struct gradients *gradients, double *loss, struct error *error) {
    *error = (struct error){0};
    enum result result = problem_check(problem, rule, error);
    if (result != RESULT_DONE) {
        return result;
    }
    struct batch_options options = options_of(problem, rule, way->method, way->memory);
    options.device = way->device;
    struct batch_source source = {
        .user = problem, .inputs = problem_inputs, .target = problem_target, .signs = problem_signs};
    struct batch_result run = {0};
    struct work work = {.stop = stop, .user = user};
    struct network network = {0};
    struct backend *backend = NULL;
    struct team *team = team_create();
    const struct backend_problem job = {
        .network = &network, .options = &options, .team = team}; /* as long as backend */
    float *gradient = NULL;
    result = network_make(&network, problem, error);
    if (result == RESULT_DONE) {
        gradient = malloc(network.parameters * sizeof *gradient);
        backend = (way->backend ? way->backend : backend_table[BACKEND_CPU])->create(&job, &result, error);
    }
    if (backend && (!team || !gradient)) {
        result = RESULT_NO_MEMORY;
        snprintf(error->text, sizeof error->text, "out of memory for a gradient of %zu weights", network.parameters);
    } else if (backend) {
        team_resize(team, way->threads);
        backend->ops->load(backend, rule->feedback == FEEDBACK_SYMMETRIC ? NULL : problem->feedback, rule->mu, NULL);
        result = backend->ops->run(backend, &source, problem->trials, gradient, &work, &run);
    }
    if (result == RESULT_DONE) {
        gradients_copy(&network, gradient, gradients);
        *loss = run.loss;
        *error = (struct error){0};
    } else if (backend && result == RESULT_INVALID) {
        refuse(error, BATCH_CLASS_INVALID);
    }
    backend_destroy(backend);
    team_destroy(team);
    free(gradient);
    network_release(&network);
    return result;
}

enum result gradients_compute(const struct gradients_problem *problem, const struct rule_config *rule, int threads,
                              bool (*stop)(void *user), void *user, struct gradients *gradients, double *loss,
                              struct error *error) {
    const struct gradients_way way = {.method = METHOD_AUTO, .threads = threads};
    return gradients_compute_by(problem, rule, &way, stop, user, gradients, loss, error);
}

size_t gradients_memory(const struct gradients_problem *problem, const struct rule_config *rule) {
    const struct backend_sizes sizes = {.units = problem->units,
                                        .inputs = problem->inputs,
                                        .outputs = problem->outputs,
                                        .types = problem->types,
                                        .bias = true};
    const struct batch_options options = options_of(problem, rule, METHOD_AUTO, 0);
    const size_t N = (size_t)problem->units, beside = N + (size_t)problem->inputs + (size_t)problem->outputs + 1;
    struct backend_plan plan;
    struct error error;
    if (!backend_table[BACKEND_CPU]->plan(&sizes, &options, &plan, &error)) {
        return SIZE_MAX;
    }
    /* a network of its own, with its fixed parts, and the gradient */
    return size_plus(plan.memory_bytes, size_times(3 * sizeof(float), size_times(N, beside)));
}
