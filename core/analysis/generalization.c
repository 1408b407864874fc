/*
 * Generalisation: loss and accuracy on the training split and on the test split, and what is between them.
 */
#include <stdio.h>

#include "core/analysis/evaluation.h"

enum { TRAINING_LOSS, TEST_LOSS, LOSS_GAP, TRAINING_ACCURACY, TEST_ACCURACY, ACCURACY_GAP, TRAINING, TEST, OUTPUTS };

static const struct analysis_output outputs[] = {
    [TRAINING_LOSS] = {"training_loss", "", NULL, "on trials of the training split"},
    [TEST_LOSS] = {"test_loss", "", NULL, "on trials of the test split"},
    [LOSS_GAP] = {"loss_gap", "", NULL, "test loss less training loss"},
    [TRAINING_ACCURACY] = {"training_accuracy", "", NULL, "on trials of the training split"},
    [TEST_ACCURACY] = {"test_accuracy", "", NULL, "on trials of the test split"},
    [ACCURACY_GAP] = {"accuracy_gap", "", NULL, "training accuracy less test accuracy"},
    [TRAINING] = {"training_trials", "", NULL, "trials of the training split that were run"},
    [TEST] = {"test_trials", "", NULL, "trials of the test split that were run"},
};

extern const struct analysis_ops analysis_generalization;

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

static size_t generalization_memory(const struct analysis_input *input) {
    return evaluation_memory(input, &input->shape);
}

static double generalization_cost(const struct analysis_input *input) {
    size_t trials = input->request.trials;
    return evaluation_cost(input, &input->shape, least(trials, input->shape.training_trials)) +
           evaluation_cost(input, &input->shape, least(trials, input->shape.test_trials));
}

static enum result generalization_run(const struct analysis_input *input, struct work *work,
                                      struct analysis_answer *answer, struct error *error) {
    static const size_t lengths[OUTPUTS][ANALYSIS_AXES_MOST] = {{0}};
    size_t trials = input->request.trials, training = least(trials, input->shape.training_trials),
           test = least(trials, input->shape.test_trials);
    const struct evaluation_change changes[] = {{.split_given = true, .split = SIMULATE_TRAINING, .trials = training},
                                                {.split_given = true, .split = SIMULATE_TEST, .trials = test}};
    double loss[2], accuracy[2];
    if (training == 0 || test == 0) {
        snprintf(error->text, sizeof error->text,
                 "generalization needs a training and a test split; the task of this job has no %s split",
                 training == 0 ? "training" : "test");
        return RESULT_INVALID;
    }
    if (!analysis_arrays(answer, &analysis_generalization, lengths, error)) {
        return RESULT_NO_MEMORY;
    }
    for (int i = 0; i < 2; i++) {
        enum result result = evaluation_make(input, &changes[i], work, &loss[i], &accuracy[i], error);
        if (result != RESULT_DONE) {
            return result;
        }
    }
    const double values[OUTPUTS] = {loss[0],          loss[1],     loss[1] - loss[0],
                                    accuracy[0],      accuracy[1], accuracy[0] - accuracy[1],
                                    (double)training, (double)test};
    for (int i = 0; i < OUTPUTS; i++) {
        *answer->arrays[i].values = values[i];
    }
    return RESULT_DONE;
}

const struct analysis_ops analysis_generalization = {
    .name = "generalization",
    .doc = "loss and accuracy on the training and the test split, and the gap between them",
    .outputs = outputs,
    .output_count = OUTPUTS,
    .memory = generalization_memory,
    .cost = generalization_cost,
    .run = generalization_run,
};
