/* MNIST a row of 28 pixels (0..1) at a time, each for steps_per_row steps; the loss counts the last step. See mnist.h.
 */
#include "core/tasks/mnist.h"
#include "core/tasks/tasks.h"

struct row_mnist {
    int steps_per_row; /* ms that one row is shown */
};
OWN_STRUCT(struct row_mnist);

static bool row_mnist_shape(const struct task_config *config, struct task_shape *shape, char error[256]) {
    const struct row_mnist *parameter = own(config);
    return mnist_shape(config, SIDE, SIDE * parameter->steps_per_row, shape, error);
}

static void row_mnist_inputs(const struct task *task, const struct trial *trial, int from, int to, float *x,
                             size_t stride) {
    const struct row_mnist *parameter = own(task->config);
    for (int t = from; t < to; t++) {
        mnist_pixels(task, trial, t / parameter->steps_per_row * SIDE, SIDE, x + (size_t)(t - from) * stride);
    }
}

static const struct field parameters[] = {
    {.name = "steps_per_row",
     .type = FIELD_INT,
     .offset = OWN(struct row_mnist, steps_per_row),
     .unit = "ms",
     .low = 1,
     .high = 10000,
     .fallback = "1",
     .identity = "1",
     .doc = "how long each row of pixels is shown"},
    DATA_SHA256_FIELD,
};

static const struct task_default defaults[] = {
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

const struct task_ops task_row_mnist = {
    .name = "row_mnist",
    .doc = "MNIST digits, one row of pixels at a time; DIR/datasets/mnist/ holds the four IDX files",
    .parameters = FIELDS(parameters),
    .defaults = defaults,
    .default_count = sizeof defaults / sizeof *defaults,
    .needs = NEEDS_MNIST,
    .shape = row_mnist_shape,
    .trial = mnist_trial,
    .inputs = row_mnist_inputs,
    .target = task_label_target,
};
