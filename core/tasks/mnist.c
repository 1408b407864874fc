/*
 * MNIST in time (LeCun et al. 1998), as row_mnist.c and pixel_mnist.c show it: training images are drawn by the
 * counter, the official test split is evaluated whole. See mnist.h.
 */
#include "core/tasks/mnist.h"

#include <stdio.h>

#include "core/tasks/tasks.h"

bool mnist_shape(const struct task_config *config, int inputs, int steps, struct task_shape *shape, char error[256]) {
    if (!config->data || config->data->train.trials == 0 || !config->data->train.pixels) {
        snprintf(error, 256, "the MNIST images are not loaded");
        return false;
    }
    *shape = (struct task_shape){.steps = steps,
                                 .inputs = inputs,
                                 .outputs = DIGITS,
                                 .loss = LOSS_CROSS_ENTROPY,
                                 .has_accuracy = true,
                                 .mask_from = steps - 1,
                                 .mask_uniform = true,
                                 .trial_work = WORK_UNIFORM,
                                 .input_work = 1,
                                 .target_work = 1,
                                 .test_trials = config->data->test.trials,
                                 .training_trials = config->data->train.trials};
    return true;
}

static const struct trial_set *mnist_set(const struct task *task, const struct trial_id *id) {
    return id->phase == TRIAL_TEST ? &task->config->data->test : &task->config->data->train;
}

void mnist_trial(const struct task *task, struct trial_id id, struct trial *trial) {
    const struct trial_set *set = mnist_set(task, &id);
    size_t source = id.trial;
    if (id.phase != TRIAL_TEST && id.phase != TRIAL_LISTED) {
        struct random_stream stream = task_stream(task, RANDOM_TRAINING_LABEL, RANDOM_EVALUATION_LABEL, id);
        source = (size_t)random_below(&stream, 0, set->trials);
    }
    *trial = (struct trial){.id = id, .source = source, .label = set->labels[source]};
}

void mnist_pixels(const struct task *task, const struct trial *trial, int first, int width, float *x) {
    const uint8_t *image = mnist_set(task, &trial->id)->pixels + trial->source * PIXELS + first;
    for (int i = 0; i < width; i++) {
        x[i] = (float)image[i] * (1.0f / 255.0f);
    }
}
