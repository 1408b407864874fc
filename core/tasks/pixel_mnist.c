/*
 * MNIST a pixel at a time, each for steps_per_pixel steps; the loss counts the last step. See mnist.h. With a
 * permutation_seed the pixels come in one order for all images, drawn from that seed alone (Le, Jaitly and Hinton
 * 2015).
 */
#include "core/tasks/mnist.h"
#include "core/tasks/tasks.h"

struct pixel_mnist {
    int steps_per_pixel;      /* ms that one pixel is shown */
    int64_t permutation_seed; /* 0: none */
};
OWN_STRUCT(struct pixel_mnist);

static bool pixel_mnist_shape(const struct task_config *config, struct task_shape *shape, char error[256]) {
    const struct pixel_mnist *parameter = own(config);
    return mnist_shape(config, 1, PIXELS * parameter->steps_per_pixel, shape, error);
}

static size_t pixel_mnist_state_size(const struct task_config *config) {
    const struct pixel_mnist *parameter = own(config);
    return parameter->permutation_seed == 0 ? 0 : PIXELS * sizeof(int);
}

/* Fisher and Yates: each order of the pixels is equally likely. */
static void pixel_mnist_init(struct task *task, struct work *work) {
    (void)work;
    const struct pixel_mnist *parameter = own(task->config);
    int *order = task->state;
    struct random_stream stream = random_stream_make((uint64_t)parameter->permutation_seed, RANDOM_TASK, 0, 0);
    for (int i = 0; i < PIXELS && order != NULL; i++) {
        int other = (int)random_below(&stream, (uint64_t)i, (uint64_t)i + 1);
        order[i] = order[other];
        order[other] = i;
    }
}

static void pixel_mnist_inputs(const struct task *task, const struct trial *trial, int from, int to, float *x,
                               size_t stride) {
    const struct pixel_mnist *parameter = own(task->config);
    const int *order = task->state;
    for (int t = from; t < to; t++) {
        int pixel = t / parameter->steps_per_pixel;
        mnist_pixels(task, trial, order ? order[pixel] : pixel, 1, x + (size_t)(t - from) * stride);
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
    {.name = "permutation_seed",
     .type = FIELD_INT64_OR_NULL,
     .offset = OWN(struct pixel_mnist, permutation_seed),
     .low = 1,
     .high = 9007199254740991,
     .fallback = "null",
     .identity = "null",
     .omit_null = true,
     .doc = "seed of the one order in which all images' pixels are shown; null: row by row"},
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
    .state_size = pixel_mnist_state_size,
    .init = pixel_mnist_init,
    .shape = pixel_mnist_shape,
    .trial = mnist_trial,
    .inputs = pixel_mnist_inputs,
    .target = task_label_target,
};
