/*
 * MNIST in time (LeCun et al. 1998): row_mnist shows one row of 28 pixels (0..1) for steps_per_row steps, pixel_mnist
 * one pixel for steps_per_pixel steps. Cross-entropy at the last step; training images are drawn by the counter, the
 * official test split is evaluated whole.
 */
#include <stdio.h>

#include "core/tasks/tasks.h"

enum { SIDE = 28, PIXELS = SIDE * SIDE, DIGITS = 10 };

static bool mnist_shape(const struct task_config *config, int inputs, int steps, struct task_shape *shape,
                        char error[256]) {
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

static bool row_mnist_shape(const struct task_config *config, struct task_shape *shape, char error[256]) {
    return mnist_shape(config, SIDE, SIDE * config->row_mnist.steps_per_row, shape, error);
}

static bool pixel_mnist_shape(const struct task_config *config, struct task_shape *shape, char error[256]) {
    return mnist_shape(config, 1, PIXELS * config->pixel_mnist.steps_per_pixel, shape, error);
}

static const struct trial_set *mnist_set(const struct task *task, const struct trial_id *id) {
    return id->phase == TRIAL_TEST ? &task->config->data->test : &task->config->data->train;
}

static void mnist_trial(const struct task *task, struct trial_id id, struct trial *trial) {
    const struct trial_set *set = mnist_set(task, &id);
    size_t source = id.trial;
    if (id.phase != TRIAL_TEST && id.phase != TRIAL_LISTED) {
        struct random_stream stream = task_stream(task, RANDOM_TRAINING_LABEL, RANDOM_EVALUATION_LABEL, id);
        source = (size_t)random_below(&stream, 0, set->trials);
    }
    *trial = (struct trial){.id = id, .source = source, .label = set->labels[source]};
}

/* `width` pixels from pixel number `first` of the image on, scaled to 0..1. */
static void pixels_copy(const struct task *task, const struct trial *trial, int first, int width, float *x) {
    const uint8_t *image = mnist_set(task, &trial->id)->pixels + trial->source * PIXELS + first;
    for (int i = 0; i < width; i++) {
        x[i] = (float)image[i] * (1.0f / 255.0f);
    }
}

static void row_mnist_inputs(const struct task *task, const struct trial *trial, int from, int to, float *x,
                             size_t stride) {
    for (int t = from; t < to; t++) {
        pixels_copy(task, trial, t / task->config->row_mnist.steps_per_row * SIDE, SIDE,
                    x + (size_t)(t - from) * stride);
    }
}

static void pixel_mnist_inputs(const struct task *task, const struct trial *trial, int from, int to, float *x,
                               size_t stride) {
    for (int t = from; t < to; t++) {
        pixels_copy(task, trial, t / task->config->pixel_mnist.steps_per_pixel, 1, x + (size_t)(t - from) * stride);
    }
}

static float mnist_target(const struct task *task, const struct trial *trial, int t, int *class_index, float *values) {
    (void)values;
    *class_index = trial->label;
    return t == task->shape.steps - 1 ? 1.0f : 0.0f;
}

static const struct field row_parameters[] = {
    {.name = "steps_per_row",
     .type = FIELD_INT,
     .offset = offsetof(struct task_config, row_mnist.steps_per_row),
     .unit = "ms",
     .low = 1,
     .high = 10000,
     .fallback = "1",
     .identity = "1",
     .doc = "how long each row of pixels is shown"},
    {.name = "sha256",
     .type = FIELD_SHA256_OR_NULL,
     .offset = offsetof(struct task_config, data_sha256),
     .fallback = "null",
     .identity = "null",
     .omit_null = true,
     .doc = "version of the data; null: the newest when the job is accepted, which the job then names"},
};

static const struct field pixel_parameters[] = {
    {.name = "steps_per_pixel",
     .type = FIELD_INT,
     .offset = offsetof(struct task_config, pixel_mnist.steps_per_pixel),
     .unit = "ms",
     .low = 1,
     .high = 1000,
     .fallback = "1",
     .identity = "1",
     .doc = "how long each pixel is shown"},
    {.name = "sha256",
     .type = FIELD_SHA256_OR_NULL,
     .offset = offsetof(struct task_config, data_sha256),
     .fallback = "null",
     .identity = "null",
     .omit_null = true,
     .doc = "version of the data; null: the newest when the job is accepted, which the job then names"},
};

static const struct task_default row_defaults[] = {
    UNPUBLISHED_DEFAULTS,
    {"network", "units", "128"},
    {"network", "tau", "10"},
    {"network", "bias", "true"},
    {"optimizer", "learning_rate", "0.002"},
    {"optimizer", "decay", "{\"factor\": 0.5, \"every\": 8000}"},
    {"training", "iterations", "30000"},
    {"training", "evaluate_every", "null"},
    {"training", "checkpoint_every", "1000"},
};

static const struct task_default pixel_defaults[] = {
    UNPUBLISHED_DEFAULTS,
    {"network", "units", "128"},
    {"network", "tau", "20"},
    {"network", "bias", "true"},
    {"rule", "mu", "0.1"},
    {"optimizer", "learning_rate", "0.001"},
    {"optimizer", "decay", "{\"factor\": 0.5, \"every\": 8000}"},
    {"training", "iterations", "30000"},
    {"training", "evaluate_every", "null"},
    {"training", "checkpoint_every", "1000"},
};

const struct task_ops task_row_mnist = {
    .name = "row_mnist",
    .doc = "MNIST digits, a row of pixels at a time; DIR/datasets/mnist/ holds the four IDX files",
    .parameters = FIELDS(row_parameters),
    .defaults = row_defaults,
    .default_count = sizeof row_defaults / sizeof *row_defaults,
    .needs = NEEDS_MNIST,
    .shape = row_mnist_shape,
    .trial = mnist_trial,
    .inputs = row_mnist_inputs,
    .target = mnist_target,
};

const struct task_ops task_pixel_mnist = {
    .name = "pixel_mnist",
    .doc = "MNIST digits, a pixel at a time; DIR/datasets/mnist/ holds the four IDX files",
    .parameters = FIELDS(pixel_parameters),
    .defaults = pixel_defaults,
    .default_count = sizeof pixel_defaults / sizeof *pixel_defaults,
    .needs = NEEDS_MNIST,
    .shape = pixel_mnist_shape,
    .trial = mnist_trial,
    .inputs = pixel_mnist_inputs,
    .target = mnist_target,
};
