/*
 * Simulation: the engine's forward pass over fresh or given trials, with rates and outputs kept. One thread; see
 * simulate.h.
 */
#include "core/train/simulate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/engine/engine.h"

struct simulation {
    const struct simulate_request *request;
    struct simulate_answer *answer;
    struct task task;
    struct trial *trials;
    struct network network;
    struct engine *engine;
};

static void simulation_inputs(const void *user, size_t trial, int from, int to, float *x, size_t stride) {
    const struct simulation *simulation = user;
    const struct simulate_request *request = simulation->request;
    size_t inputs = (size_t)simulation->network.inputs;
    if (!request->x) {
        simulation->task.ops->inputs(&simulation->task, &simulation->trials[trial], from, to, x, stride);
        return;
    }
    for (int t = from; t < to; t++) {
        memcpy(x + (size_t)(t - from) * stride, request->x + ((size_t)t * (size_t)request->trials + trial) * inputs,
               inputs * sizeof(float));
    }
}

static void step_keep(void *user, size_t trial, int t, const float *x, const float *z, const float *y) {
    struct simulation *simulation = user;
    const struct simulate_request *request = simulation->request;
    size_t inputs = (size_t)simulation->network.inputs, outputs = (size_t)simulation->network.outputs,
           units = (size_t)request->unit_count, at = (size_t)(t / request->every) * (size_t)request->trials + trial;
    memcpy(simulation->answer->inputs + at * inputs, x, inputs * sizeof(float));
    memcpy(simulation->answer->outputs + at * outputs, y, outputs * sizeof(float));
    for (size_t u = 0; u < units; u++) {
        simulation->answer->rates[at * units + u] = z[request->units[u]];
    }
}

static enum train_result trials_make(struct simulation *simulation, const struct train_config *config,
                                     struct work *work, struct train_error *error) {
    const struct simulate_request *request = simulation->request;
    enum train_result result = task_init(&simulation->task, &config->task, request->seed, work, error->text);
    if (result != TRAIN_FINISHED) {
        return result;
    }
    const struct task_shape *shape = &simulation->task.shape;
    if (shape->inputs != simulation->network.inputs || shape->outputs != simulation->network.outputs) {
        snprintf(error->text, sizeof error->text,
                 "the network has %d inputs and %d outputs; its task now has %d and %d: its data are not those that it "
                 "was trained on",
                 simulation->network.inputs, simulation->network.outputs, shape->inputs, shape->outputs);
        return TRAIN_INVALID;
    }
    if (shape->steps != request->steps) {
        snprintf(error->text, sizeof error->text, "steps must be the task's own, %d; got %d", shape->steps,
                 request->steps);
        return TRAIN_INVALID;
    }
    if (request->test_split && (size_t)request->trials > simulation->task.shape.test_trials) {
        snprintf(error->text, sizeof error->text, "the test split has %zu trials; asked for %d",
                 simulation->task.shape.test_trials, request->trials);
        return TRAIN_INVALID;
    }
    for (int i = 0; i < request->trials; i++) {
        if (work_add(work, shape->trial_work)) {
            return TRAIN_STOPPED;
        }
        struct trial_id id = {request->test_split ? TRIAL_TEST : TRIAL_EVALUATION, 0, (size_t)i};
        simulation->task.ops->trial(&simulation->task, id, &simulation->trials[i]);
        simulation->answer->labels[i] = simulation->task.shape.has_accuracy ? simulation->trials[i].label : -1;
    }
    return TRAIN_FINISHED;
}

/* The trained network: fixed parts as training made them, the weights as trained. */
static enum train_result network_make(struct network *network, const struct train_config *config,
                                      const struct trained *trained, struct work *work, struct train_error *error) {
    struct network_config given = config->network;
    struct weights_view weights = {trained->units, trained->inputs, trained->outputs, trained->W,
                                   trained->Win,   trained->b,      trained->Wout,    trained->bout};
    given.initial = &weights;
    return network_init(network, &given, trained->inputs, trained->outputs, config->seed, work, error->text);
}

static enum train_result request_check(const struct train_config *config, const struct trained *trained,
                                       const struct simulate_request *request, struct train_error *error) {
    const char *wrong = NULL;
    if (request->trials < 1 || request->steps < 1 || request->every < 1) {
        wrong = "trials, steps and every must be at least 1";
    } else if (trained->units != config->network.units || trained->has_bias != config->network.bias) {
        wrong = "the network has other sizes than its configuration";
    } else if (request->x && request->inputs != trained->inputs) {
        wrong = "the given inputs must be as many as the network has";
    }
    for (int u = 0; u < request->unit_count && !wrong; u++) {
        wrong = request->units[u] < 0 || request->units[u] >= trained->units ? "a unit is not of the network" : NULL;
    }
    if (wrong) {
        snprintf(error->text, sizeof error->text, "%s", wrong);
    }
    return wrong ? TRAIN_INVALID : TRAIN_FINISHED;
}

static enum train_result simulation_run(struct simulation *simulation, const struct train_config *config,
                                        const struct trained *trained, struct work *work, struct train_error *error) {
    const struct simulate_request *request = simulation->request;
    enum train_result result = request_check(config, trained, request, error);
    if (result != TRAIN_FINISHED) {
        return result;
    }
    snprintf(error->text, sizeof error->text, "out of memory for %d trials", request->trials);
    simulation->trials = calloc((size_t)request->trials, sizeof *simulation->trials);
    result = simulation->trials ? network_make(&simulation->network, config, trained, work, error) : TRAIN_NO_MEMORY;
    if (result == TRAIN_FINISHED && !request->x) {
        result = trials_make(simulation, config, work, error);
    }
    if (result != TRAIN_FINISHED) {
        return result;
    }
    for (int i = 0; request->x && i < request->trials; i++) {
        simulation->answer->labels[i] = -1;
    }
    struct engine_options options = {.steps = request->x ? request->steps : simulation->task.shape.steps,
                                     .trials = request->trials,
                                     .loss = LOSS_MSE};
    simulation->engine = engine_create(&simulation->network, &options, &result, error);
    if (!simulation->engine) {
        return result;
    }
    struct batch_source source = {.user = simulation, .inputs = simulation_inputs};
    struct engine_watch watch = {.user = simulation, .every = request->every, .step = step_keep};
    engine_weights_load(simulation->engine, NULL, 0, NULL);
    *error = (struct train_error){0};
    return engine_watch_run(simulation->engine, &source, request->trials, &watch, work) ? TRAIN_FINISHED
                                                                                        : TRAIN_STOPPED;
}

enum train_result simulate_run(const struct train_config *config, const struct trained *trained,
                               const struct simulate_request *request, bool (*stop)(void *user), void *user,
                               struct simulate_answer *answer, struct train_error *error) {
    struct work work = {.stop = stop, .user = user};
    struct simulation simulation = {.request = request, .answer = answer};
    *error = (struct train_error){0};
    enum train_result result = simulation_run(&simulation, config, trained, &work, error);
    engine_destroy(simulation.engine);
    network_release(&simulation.network);
    task_release(&simulation.task);
    free(simulation.trials);
    return result;
}
