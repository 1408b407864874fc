/* MNIST a pixel at a time, each for steps_per_pixel steps; the loss counts the last step. See mnist.h. */
#include "core/tasks/mnist.h"
#include "core/tasks/tasks.h"

struct pixel_mnist {
    int steps_per_pixel; /* ms that one pixel is shown */
};
OWN_STRUCT(struct pixel_mnist);

static bool pixel_mnist_shape(const struct task_config *config, struct task_shape *shape, char error[256]) {
    const struct pixel_mnist *parameter = own(config);
    return mnist_shape(config, 1, PIXELS * parameter->steps_per_pixel, shape, error);
}

static void pixel_mnist_inputs(const struct task *task, const struct trial *trial, int from, int to, float *x,
                               size_t stride) {
    const struct pixel_mnist *parameter = own(task->config);
    for (int t = from; t < to; t++) {
        mnist_pixels(task, trial, t / parameter->steps_per_pixel, 1, x + (size_t)(t - from) * stride);
    }
}

static const struct field parameters[] = {
    {.name = "steps_per_pixel",
     .type = FIELD_INT,
     .offset = OWN(struct pixel_mnist, steps_per_pixel),
     .unit = "ms",
     .low = 1,
     .high = 1000,
     .fallback = "1",
     .identity = "1",
     .doc = "how long each pixel is shown"},
    DATA_SHA256_FIELD,
};

static const struct task_default defaults[] = {
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

const struct task_ops task_pixel_mnist = {
    .name = "pixel_mnist",
    .doc = "MNIST digits, one pixel at a time; DIR/datasets/mnist/ holds the four IDX files",
    .parameters = FIELDS(parameters),
    .defaults = defaults,
    .default_count = sizeof defaults / sizeof *defaults,
    .needs = NEEDS_MNIST,
    .shape = pixel_mnist_shape,
    .trial = mnist_trial,
    .inputs = pixel_mnist_inputs,
    .target = mnist_target,
};
