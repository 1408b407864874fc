/* See evaluation.h. */
#include "core/analysis/evaluation.h"

#include <stdio.h>

enum result evaluation_make(const struct analysis_input *input, const struct evaluation_change *change,
                            struct work *work, double *loss, double *accuracy, struct error *error) {
    struct train_config config = *input->network.config;
    struct simulate_answer answer = {0};
    struct task_shape shape = input->shape;
    if (change->task) {
        config.task = *change->task;
        if (!task_table[config.task.type]->shape(&config.task, &shape, error->text)) {
            return RESULT_INVALID;
        }
    }
    const struct simulate_request run = {.steps = shape.steps,
                                         .trials = change->split_given ? change->trials : input->request.trials,
                                         .seed = input->request.seed,
                                         .split = change->split_given ? change->split : input->request.split,
                                         .first = change->split_given ? 0 : input->request.first,
                                         .weights = change->weights,
                                         .noise = change->noise_given ? change->noise : input->request.noise,
                                         .threads = input->request.threads};
    enum result result = simulate_run(&config, input->network.trained, &run, work->stop, work->user, &answer, error);
    work_add(work, answer.multiply_adds);
    *loss = answer.loss;
    *accuracy = answer.accuracy;
    return result;
}

size_t evaluation_memory(const struct analysis_input *input, const struct task_shape *shape) {
    return simulate_memory(input->network.config, input->network.trained, shape->steps);
}

double evaluation_cost(const struct analysis_input *input, const struct task_shape *shape, size_t trials) {
    const struct simulate_request run = {.steps = shape->steps, .trials = trials, .noise = input->request.noise};
    return simulate_cost(input->network.config, input->network.trained, shape, &run);
}
