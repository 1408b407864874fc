/*
 * Simulation and evaluation: batches of a forward pass on the processor, with what it shows kept. See simulate.h.
 *
 * Owner: the calling thread. Within a batch the callbacks of the source run on the team's members, each trial on one of
 * them, and write that trial's entries alone.
 */
#include "core/train/simulate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/backend/backend.h"
#include "core/base/random.h"
#include "core/base/size.h"

enum { NOISE_UNITS = 64 }; /* whose own noise is drawn at a time */

struct simulation {
    const struct train_config *config;
    const struct trained *trained;
    const struct simulate_request *request;
    struct simulate_answer *answer;
    struct task task;
    struct trial *trials; /* of the batch that runs */
    size_t batch, first;  /* most trials of a batch; the number of the first of the one that runs */
    struct network network;
    uint8_t *silenced; /* (N) */
    struct backend *backend;
    struct team *team;
    struct work work;
};

/* ---- the source of the batches ---- */

static void simulation_inputs(const void *user, size_t trial, int from, int to, float *x, size_t stride) {
    const struct simulation *simulation = user;
    const struct simulate_request *request = simulation->request;
    size_t inputs = (size_t)simulation->network.inputs, number = simulation->first + trial;
    if (!request->x) {
        simulation->task.ops->inputs(&simulation->task, &simulation->trials[trial], from, to, x, stride);
        return;
    }
    for (int t = from; t < to; t++) {
        memcpy(x + (size_t)(t - from) * stride, request->x + ((size_t)t * request->trials + number) * inputs,
               inputs * sizeof(float));
    }
}

static float simulation_target(const void *user, size_t trial, int t, int *class_index, float *values) {
    const struct simulation *simulation = user;
    if (simulation->request->x) {
        return 0.0f;
    }
    return simulation->task.ops->target(&simulation->task, &simulation->trials[trial], t, class_index, values);
}

/* The request's noise, and the network's own: of split trials that of the job's evaluations. */
static void simulation_noise(const void *user, size_t trial, int t, int from, int count, float *noise) {
    const struct simulation *simulation = user;
    const struct simulate_request *request = simulation->request;
    const struct network *network = &simulation->network;
    size_t number = request->first + simulation->first + trial;
    const struct random_stream stream = random_stream_make(request->seed, RANDOM_CURRENT, t, number);
    memset(noise, 0, (size_t)count * sizeof *noise);
    if (request->noise > 0) {
        random_normal_fill(&stream, (uint64_t)from, (size_t)count, noise);
    }
    for (int done = 0; done < count; done += NOISE_UNITS) {
        float own[NOISE_UNITS] = {0};
        int units = count - done < NOISE_UNITS ? count - done : NOISE_UNITS, first = from + done;
        if (network->noisy) {
            uint64_t seed = request->split == SIMULATE_FRESH ? request->seed : simulation->config->seed;
            trial_noise(seed, simulation->trials[trial].id, network->units, t, first, units, own);
        }
        for (int i = 0; i < units; i++) {
            float sum = (float)request->noise * noise[done + i] + own[i] * network->noise_of_unit[first + i];
            noise[done + i] = simulation->silenced[first + i] ? 0.0f : sum;
        }
    }
}

/* Numbers of a step's target. */
static size_t target_width(const struct simulation *simulation) {
    return simulation->answer->loss_type == LOSS_CROSS_ENTROPY ? 1 : (size_t)simulation->network.outputs;
}

static void target_keep(const struct simulation *simulation, size_t trial, int t, size_t at) {
    const struct simulate_answer *answer = simulation->answer;
    size_t width = target_width(simulation);
    float *target = answer->targets + at * width, weight = 0.0f;
    int class_index = 0;
    if (!simulation->request->x && t >= simulation->task.shape.mask_from) {
        weight = simulation_target(simulation, trial, t, &class_index, target);
    }
    for (size_t i = 0; i < width && weight == 0.0f; i++) {
        target[i] = NAN;
    }
    if (weight != 0.0f && answer->loss_type == LOSS_CROSS_ENTROPY) {
        target[0] = (float)class_index;
    }
    answer->mask[at] = weight;
}

static void keep(float *to, size_t at, const float *from, size_t count) {
    if (to) {
        memcpy(to + at * count, from, count * sizeof(float));
    }
}

static void share_add(float *to, size_t at, const float *from, size_t count, float share) {
    for (size_t i = 0; to && i < count; i++) {
        to[at * count + i] += share * from[i];
    }
}

/* A step as a part of its bin's mean. */
static void bin_add(const struct simulation *simulation, const struct batch_step *step, size_t at) {
    const struct simulate_request *request = simulation->request;
    const struct simulate_answer *answer = simulation->answer;
    int begin = step->t - step->t % request->every, left = request->steps - begin;
    float share = 1.0f / (float)(left < request->every ? left : request->every);
    share_add(answer->inputs, at, step->inputs, (size_t)simulation->network.inputs, share);
    share_add(answer->outputs, at, step->outputs, (size_t)simulation->network.outputs, share);
    for (int u = 0; answer->rates && u < request->unit_count; u++) {
        answer->rates[at * (size_t)request->unit_count + (size_t)u] += share * step->rates[request->units[u]];
    }
    if (answer->targets && answer->mask && step->t == begin) {
        target_keep(simulation, step->trial, step->t, at);
    }
}

static void simulation_step(const void *user, const struct batch_step *step) {
    const struct simulation *simulation = user;
    const struct simulate_request *request = simulation->request;
    const struct simulate_answer *answer = simulation->answer;
    size_t at = (size_t)(step->t / request->every) * request->trials + simulation->first + step->trial;
    if (request->binned) {
        bin_add(simulation, step, at);
        return;
    }
    keep(answer->inputs, at, step->inputs, (size_t)simulation->network.inputs);
    keep(answer->outputs, at, step->outputs, (size_t)simulation->network.outputs);
    for (int u = 0; answer->rates && u < request->unit_count; u++) {
        answer->rates[at * (size_t)request->unit_count + (size_t)u] = step->rates[request->units[u]];
    }
    if (answer->targets && answer->mask) {
        target_keep(simulation, step->trial, step->t, at);
    }
}

/* ---- the run ---- */

/* The trials of the batch that begins at number `first`. False when stopped. */
static bool trials_draw(struct simulation *simulation, size_t first, size_t count) {
    static const enum trial_phase phases[] = {
        [SIMULATE_FRESH] = TRIAL_EVALUATION, [SIMULATE_TEST] = TRIAL_TEST, [SIMULATE_TRAINING] = TRIAL_LISTED};
    const struct simulate_request *request = simulation->request;
    const struct simulate_answer *answer = simulation->answer;
    simulation->first = first;
    for (size_t i = 0; i < count; i++) {
        struct trial *trial = &simulation->trials[i];
        struct trial_id id = {phases[request->split], 0, request->first + first + i};
        int label = -1;
        trial->id = id;
        if (!request->x) {
            if (work_add(&simulation->work, simulation->task.shape.trial_work)) {
                return false;
            }
            simulation->task.ops->trial(&simulation->task, id, trial);
            label = simulation->task.shape.has_accuracy ? trial->label : -1;
        }
        if (answer->labels) {
            answer->labels[first + i] = label;
        }
        if (answer->trials) {
            answer->trials[first + i] = !request->x && simulation->task.ops->needs != NEEDS_NOTHING ? trial->source
                                                                                                    : id.trial;
        }
    }
    return true;
}

static enum result batches_run(struct simulation *simulation, struct error *error) {
    const struct simulate_request *request = simulation->request;
    struct simulate_answer *answer = simulation->answer;
    const struct batch_source source = {.user = simulation,
                                        .inputs = simulation_inputs,
                                        .target = simulation_target,
                                        .noise = request->noise > 0 || simulation->network.noisy ? simulation_noise
                                                                                                 : NULL,
                                        .step = request->every > 0 ? simulation_step : NULL,
                                        .step_every = request->binned ? 1 : request->every};
    double loss = 0, correct = 0;
    for (size_t first = 0; first < request->trials; first += simulation->batch) {
        size_t left = request->trials - first, count = left < simulation->batch ? left : simulation->batch;
        struct batch_result run = {0};
        enum result result = RESULT_STOPPED;
        if (trials_draw(simulation, first, count)) {
            result = simulation->backend->ops->run(simulation->backend, &source, (int)count, NULL, &simulation->work,
                                                   &run);
        }
        if (result != RESULT_DONE) {
            snprintf(error->text, sizeof error->text, "%s", result == RESULT_INVALID ? BATCH_CLASS_INVALID : "stopped");
            return result;
        }
        if (run.weight > 0) {
            loss += run.loss * run.weight;
            correct += run.correct * run.weight;
            answer->counted += run.weight;
        }
    }
    answer->loss = answer->counted > 0 ? loss / answer->counted : NAN;
    answer->accuracy = simulation->task.shape.has_accuracy && answer->counted > 0 ? correct / answer->counted : NAN;
    return RESULT_DONE;
}

/* ---- before it ---- */

static enum result refuse(struct error *error, const char *text) {
    snprintf(error->text, sizeof error->text, "%s", text);
    return RESULT_INVALID;
}

static bool all_below(const int32_t *values, int count, int bound) {
    for (int i = 0; i < count; i++) {
        if (values[i] < 0 || values[i] >= bound) {
            return false;
        }
    }
    return true;
}

static enum result request_check(const struct train_config *config, const struct trained *trained,
                                 const struct simulate_request *request, struct error *error) {
    int units = trained->units;
    if (request->trials < 1 || request->steps < 1 || request->every < 0) {
        return refuse(error, "trials and steps must be at least 1, every at least 0");
    }
    if (units != config->network.units || trained->has_bias != config->network.bias) {
        return refuse(error, "the network has other sizes than its configuration");
    }
    if (request->x && request->inputs != trained->inputs) {
        return refuse(error, "the given inputs must be as many as the network has");
    }
    if (!all_below(request->units, request->unit_count, units) ||
        !all_below(request->silenced, request->silenced_count, units) ||
        !all_below(request->cut, 2 * request->cut_count, units)) {
        return refuse(error, "a unit is not of the network");
    }
    return RESULT_DONE;
}

static enum result task_make(struct simulation *simulation, struct error *error) {
    const struct simulate_request *request = simulation->request;
    const struct train_config *config = simulation->config;
    enum result result = task_init(&simulation->task, &config->task, request->seed, &simulation->work, error->text);
    if (result != RESULT_DONE) {
        return result;
    }
    const struct task_shape *shape = &simulation->task.shape;
    size_t available = request->split == SIMULATE_TEST ? shape->test_trials : shape->training_trials;
    if (shape->inputs != simulation->network.inputs || shape->outputs != simulation->network.outputs) {
        snprintf(error->text, sizeof error->text,
                 "the network has %d inputs and %d outputs; the data have %d and %d: they are not of its task",
                 simulation->network.inputs, simulation->network.outputs, shape->inputs, shape->outputs);
        return RESULT_INVALID;
    }
    if (shape->steps != request->steps) {
        snprintf(error->text, sizeof error->text, "steps must be the task's own, %d; got %d", shape->steps,
                 request->steps);
        return RESULT_INVALID;
    }
    if (request->split != SIMULATE_FRESH &&
        (request->first > available || request->trials > available - request->first)) {
        snprintf(error->text, sizeof error->text, "the split has %zu trials; asked for %zu from trial %zu on",
                 available, request->trials, request->first);
        return RESULT_INVALID;
    }
    simulation->answer->loss_type = shape->loss;
    return RESULT_DONE;
}

/* A silenced unit's synapses, bias and readout are 0, so that its v stays 0. */
static void unit_silence(struct network *network, size_t unit) {
    size_t n = (size_t)network->units, outputs = (size_t)network->outputs;
    float *W = network->weights + network->offset_W, *Win = network->weights + network->offset_Win;
    for (size_t q = 0; q < n; q++) {
        W[q * n + unit] = W[unit * n + q] = 0.0f;
    }
    for (size_t i = 0; i < (size_t)network->inputs; i++) {
        Win[i * n + unit] = 0.0f;
    }
    if (network->bias) {
        network->weights[network->offset_b + unit] = 0.0f;
    }
    memset(network->weights + network->offset_Wout + unit * outputs, 0, outputs * sizeof(float));
}

static void lesion_make(struct simulation *simulation) {
    const struct simulate_request *request = simulation->request;
    struct network *network = &simulation->network;
    size_t n = (size_t)network->units;
    for (int i = 0; i < request->silenced_count; i++) {
        simulation->silenced[request->silenced[i]] = 1;
        unit_silence(network, (size_t)request->silenced[i]);
    }
    for (int i = 0; i < request->cut_count; i++) {
        size_t from = (size_t)request->cut[2 * i], to = (size_t)request->cut[2 * i + 1];
        network->weights[network->offset_W + from * n + to] = 0.0f;
    }
}

/* Fixed parts as training made them, the weights as trained or given. */
static enum result network_make(struct simulation *simulation, struct error *error) {
    const struct trained *trained = simulation->trained;
    const struct train_config *config = simulation->config;
    struct network_config given = config->network;
    struct weights_view weights = {trained->units, trained->inputs, trained->outputs, trained->W,
                                   trained->Win,   trained->b,      trained->Wout,    trained->bout};
    given.initial = &weights;
    enum result result = network_init(&simulation->network, &given, trained->inputs, trained->outputs, config->seed,
                                      &simulation->work, error->text);
    if (result != RESULT_DONE) {
        return result;
    }
    const struct weights_view *own = simulation->request->weights;
    if (own && own->b && !trained->has_bias) {
        return refuse(error, "the weights have a bias b, which the network does not");
    }
    if (own && !network_weights_set(&simulation->network, own, error->text)) {
        return RESULT_INVALID;
    }
    lesion_make(simulation);
    return RESULT_DONE;
}

static enum result memory_make(struct simulation *simulation, struct error *error) {
    size_t batch = (size_t)(simulation->config->training.batch_size > 1 ? simulation->config->training.batch_size : 1);
    simulation->batch = simulation->request->trials < batch ? simulation->request->trials : batch;
    simulation->trials = calloc(simulation->batch, sizeof *simulation->trials);
    simulation->silenced = calloc((size_t)simulation->trained->units, 1);
    simulation->team = team_create();
    if (!simulation->trials || !simulation->silenced || !simulation->team) {
        snprintf(error->text, sizeof error->text, "out of memory for %zu trials", simulation->batch);
        return RESULT_NO_MEMORY;
    }
    team_resize(simulation->team, simulation->request->threads > 1 ? simulation->request->threads : 1);
    return RESULT_DONE;
}

static enum result backend_make(struct simulation *simulation, struct error *error) {
    const struct simulate_request *request = simulation->request;
    const struct task_shape *shape = &simulation->task.shape;
    const struct batch_options options = {.steps = request->steps,
                                          .trials = (int)simulation->batch,
                                          .loss = request->x ? LOSS_MSE : shape->loss,
                                          .mask_from = request->x ? request->steps : shape->mask_from,
                                          .mask_uniform = !request->x && shape->mask_uniform,
                                          .input_work = request->x ? 1 : shape->input_work,
                                          .target_work = request->x ? 1 : shape->target_work};
    enum result result = RESULT_DONE;
    const struct backend_problem problem = {
        .network = &simulation->network, .options = &options, .team = simulation->team};
    simulation->backend = backend_table[BACKEND_CPU]->create(&problem, &result, error);
    if (!simulation->backend) {
        return result;
    }
    simulation->backend->ops->load(simulation->backend, NULL, 0, NULL);
    return RESULT_DONE;
}

static enum result simulation_run(struct simulation *simulation, struct error *error) {
    enum result result = request_check(simulation->config, simulation->trained, simulation->request, error);
    if (result == RESULT_DONE) {
        result = memory_make(simulation, error);
    }
    if (result == RESULT_DONE) {
        result = network_make(simulation, error);
    }
    if (result == RESULT_DONE && !simulation->request->x) {
        result = task_make(simulation, error);
    }
    if (result == RESULT_DONE) {
        result = backend_make(simulation, error);
    }
    return result == RESULT_DONE ? batches_run(simulation, error) : result;
}

enum result simulate_run(const struct train_config *config, const struct trained *trained,
                         const struct simulate_request *request, bool (*stop)(void *user), void *user,
                         struct simulate_answer *answer, struct error *error) {
    struct simulation simulation = {.config = config,
                                    .trained = trained,
                                    .request = request,
                                    .answer = answer,
                                    .work = {.stop = stop, .user = user}};
    *error = (struct error){0};
    answer->loss_type = LOSS_MSE;
    answer->loss = answer->accuracy = NAN;
    answer->counted = 0;
    enum result result = simulation_run(&simulation, error);
    answer->multiply_adds = simulation.work.done;
    if (result == RESULT_DONE) {
        *error = (struct error){0};
    }
    backend_destroy(simulation.backend);
    team_destroy(simulation.team);
    network_release(&simulation.network);
    task_release(&simulation.task);
    free(simulation.trials);
    free(simulation.silenced);
    return result;
}

size_t simulate_memory(const struct train_config *config, const struct trained *trained, int steps) {
    int batch = config->training.batch_size > 1 ? config->training.batch_size : 1;
    const struct network_config *network = &config->network;
    const struct backend_sizes sizes = {.units = trained->units,
                                        .inputs = trained->inputs,
                                        .outputs = trained->outputs,
                                        .types = trained->types,
                                        .bias = trained->has_bias,
                                        .equal_leaks = !network->tau_of_unit && !network->tau_is_range};
    const struct batch_options options = {.steps = steps,
                                          .trials = batch,
                                          .loss = LOSS_MSE,
                                          .neuron = network->neuron,
                                          .readout_leaks = network->readout_tau.set,
                                          .noisy = true};
    struct backend_plan plan;
    struct error error;
    if (!backend_table[BACKEND_CPU]->plan(&sizes, &options, &plan, &error)) {
        return SIZE_MAX;
    }
    /* the network's own weights and its fixed parts, which are no more */
    size_t network_bytes = size_times(2 * sizeof(float), trained->parameters);
    return size_plus(size_plus(plan.memory_bytes, network_bytes), size_times((size_t)batch, sizeof(struct trial)));
}

double simulate_cost(const struct train_config *config, const struct trained *trained, const struct task_shape *shape,
                     const struct simulate_request *request) {
    double units = trained->units, inputs = trained->inputs, outputs = trained->outputs, steps = request->steps;
    double losses = request->x ? 0 : steps - shape->mask_from, kept = request->every > 0 ? steps / request->every : 0;
    double made = request->x ? inputs : inputs * shape->input_work,
           drawn = request->x ? 0 : shape->trial_work + 2 * losses * shape->target_work;
    double step = units * (units + inputs + trained->has_bias) + made +
                  units * WORK_NORMAL * ((request->noise > 0) + (config->network.noise > 0)) +
                  (config->network.neuron == NEURON_MEMBRANE ? 0 : NEURON_WORK * units);
    return (double)request->trials * (steps * step + (losses + kept) * units * outputs + drawn) +
           network_init_cost(&config->network, trained->inputs, trained->outputs);
}
