/*
 * Activity: a simulation whose values are averaged over bins. See activity.h.
 *
 * The average is taken while the network runs, so that memory is that of the bins: spikes of a bin would otherwise be
 * seen only where they fall on a step that is kept.
 */
#include "core/analysis/activity.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/size.h"

static int bin_of(const struct analysis_input *input, int step) {
    return step / input->request.every;
}

/* Bins before the first, and those up to the last that is wanted. */
static size_t bins_until(const struct analysis_input *input) {
    return (size_t)bin_of(input, input->request.end - 1) + 1;
}

size_t activity_bins(const struct analysis_input *input) {
    return bins_until(input) - (size_t)bin_of(input, input->request.begin);
}

static size_t bins_all(const struct analysis_input *input) {
    return (size_t)bin_of(input, input->shape.steps - 1) + 1;
}

size_t activity_memory(const struct analysis_input *input, const struct analysis_network *network) {
    const struct trained *trained = network->trained;
    size_t width = (size_t)trained->units + (size_t)trained->inputs + 2 * (size_t)trained->outputs + 1,
           kept = size_times(size_times(bins_all(input), input->request.trials), width);
    return size_plus(size_times(kept, sizeof(float)), simulate_memory(network->config, trained, input->shape.steps));
}

double activity_cost(const struct analysis_input *input, const struct analysis_network *network) {
    const struct simulate_request run = {
        .steps = input->shape.steps, .trials = input->request.trials, .every = 1, .noise = input->request.noise};
    double kept = (double)input->request.trials * input->shape.steps *
                  (network->trained->units + network->trained->inputs);
    return simulate_cost(network->config, network->trained, &input->shape, &run) + kept;
}

/* Drops the bins before `begin`; those after `end` are only not counted. */
static void bins_cut(struct activity *activity, size_t before) {
    size_t rows = activity->bins * activity->trials, skipped = before * activity->trials;
    memmove(activity->rates, activity->rates + skipped * activity->units,
            rows * activity->units * sizeof *activity->rates);
    memmove(activity->x, activity->x + skipped * activity->inputs, rows * activity->inputs * sizeof *activity->x);
    if (activity->targets) {
        memmove(activity->targets, activity->targets + skipped * activity->outputs,
                rows * activity->outputs * sizeof *activity->targets);
    }
}

/* Arrays of the simulation; false if memory is short. `units` (N) are all. */
static bool arrays_make(struct activity *activity, size_t rows, struct simulate_answer *answer, int32_t **units,
                        bool values) {
    activity->rates = calloc(rows * activity->units + 1, sizeof(float));
    activity->x = calloc(rows * activity->inputs + 1, sizeof(float));
    activity->labels = calloc(activity->trials + 1, sizeof(int));
    *units = calloc(activity->units + 1, sizeof **units);
    if (values) {
        activity->targets = calloc(rows * activity->outputs + 1, sizeof(float));
        answer->mask = calloc(rows + 1, sizeof(float));
    }
    answer->rates = activity->rates;
    answer->inputs = activity->x;
    answer->labels = activity->labels;
    answer->targets = activity->targets;
    for (size_t u = 0; *units && u < activity->units; u++) {
        (*units)[u] = (int32_t)u;
    }
    return activity->rates && activity->x && activity->labels && *units &&
           (!values || (activity->targets && answer->mask));
}

static void labels_count(struct activity *activity) {
    for (size_t b = 0; b < activity->trials; b++) {
        activity->classes = activity->labels[b] >= activity->classes ? activity->labels[b] + 1 : activity->classes;
    }
}

enum result activity_make(const struct analysis_input *input, const struct analysis_network *network, struct work *work,
                          struct activity *activity, struct error *error) {
    const struct analysis_request *request = &input->request;
    const struct trained *trained = network->trained;
    size_t before = (size_t)bin_of(input, request->begin), rows = bins_all(input) * request->trials;
    struct train_config config = *network->config;
    struct simulate_answer answer = {0};
    int32_t *units = NULL;
    config.task = input->network.config->task;
    *activity = (struct activity){.bins = activity_bins(input),
                                  .trials = request->trials,
                                  .units = (size_t)trained->units,
                                  .inputs = (size_t)trained->inputs,
                                  .outputs = (size_t)trained->outputs,
                                  .first_step = (int)before * request->every,
                                  .every = request->every};
    enum result result = RESULT_NO_MEMORY;
    if (arrays_make(activity, rows, &answer, &units, input->shape.loss == LOSS_MSE)) {
        const struct simulate_request run = {.steps = input->shape.steps,
                                             .trials = request->trials,
                                             .seed = request->seed,
                                             .split = request->split,
                                             .first = request->first,
                                             .noise = request->noise,
                                             .units = units,
                                             .unit_count = trained->units,
                                             .every = request->every,
                                             .binned = true,
                                             .threads = request->threads};
        result = simulate_run(&config, trained, &run, work->stop, work->user, &answer, error);
        work_add(work, answer.multiply_adds);
    } else {
        analysis_no_memory(error);
    }
    free(answer.mask);
    free(units);
    if (result == RESULT_DONE) {
        activity->loss = answer.loss;
        activity->accuracy = answer.accuracy;
        bins_cut(activity, before);
        labels_count(activity);
    }
    return result;
}

void activity_release(struct activity *activity) {
    free(activity->rates);
    free(activity->x);
    free(activity->targets);
    free(activity->labels);
    *activity = (struct activity){0};
}

void activity_times(const struct activity *activity, double *times) {
    for (size_t k = 0; k < activity->bins; k++) {
        times[k] = activity->first_step + (double)k * activity->every;
    }
}

void activity_labels(const struct activity *activity, double *labels) {
    for (size_t b = 0; labels && b < activity->trials; b++) {
        labels[b] = activity->labels[b] < 0 ? NAN : activity->labels[b];
    }
}
