/*
 * Mackey-Glass: predict a chaotic series `horizon` steps ahead (Mackey and Glass 1977; as a test of networks, Jaeger
 * and Haas 2004), dx/dt = 0.2 x(t - lag) / (1 + x(t - lag)^10) - 0.1 x(t).
 *
 * One series a job, of SERIES values one time unit (1 ms) apart, made once from the seed by Runge-Kutta of fourth order
 * at steps of 0.1 (x(t - lag) between steps is the mean of its neighbours), from a constant past drawn in [1.1, 1.3)
 * and after TRANSIENT time units. A trial is a window: the input at step t is x(t) - 1, the target x(t + horizon) - 1.
 * Training draws windows from the first four fifths, evaluation from the last fifth. Squared error after `washout` ms;
 * no accuracy.
 */
#include "core/tasks/tasks.h"

struct mackey_glass {
    int lag, horizon, duration, washout; /* ms */
};
OWN_STRUCT(struct mackey_glass);

enum { SERIES = 20000, TRAINING = SERIES / 5 * 4, TRANSIENT = 1000, FINE = 10, LAG_MOST = 100, STEP_WORK = 80 };

static bool mackey_glass_shape(const struct task_config *config, struct task_shape *shape, char error[256]) {
    (void)error;
    const struct mackey_glass *glass = own(config);
    *shape = (struct task_shape){.steps = glass->washout + glass->duration,
                                 .inputs = 1,
                                 .outputs = 1,
                                 .loss = LOSS_MSE,
                                 .mask_from = glass->washout,
                                 .mask_uniform = true,
                                 .trial_work = WORK_UNIFORM,
                                 .input_work = 1,
                                 .target_work = 1};
    return true;
}

static size_t mackey_glass_state_size(const struct task_config *config) {
    (void)config;
    return SERIES * sizeof(float);
}

static double mackey_glass_init_work(const struct task_config *config) {
    (void)config;
    return (double)STEP_WORK * FINE * (TRANSIENT + SERIES);
}

static double slope(double x, double lagged) {
    double square = lagged * lagged, fourth = square * square, tenth = fourth * fourth * square;
    return 0.2 * lagged / (1 + tenth) - 0.1 * x;
}

static void mackey_glass_init(struct task *task, struct work *work) {
    const struct mackey_glass *glass = own(task->config);
    struct random_stream stream = random_stream_make(task->seed, RANDOM_TASK, 0, 0);
    const double h = 1.0 / FINE;
    double past[LAG_MOST * FINE] = {0}, x = 1.1 + 0.2 * random_uniform(&stream, 0);
    float *series = task->state;
    int length = glass->lag * FINE;
    for (int i = 0; i < length; i++) {
        past[i] = x;
    }
    for (int i = 0; i < FINE * (TRANSIENT + SERIES) && !work_add(work, STEP_WORK); i++) {
        if (i % FINE == 0 && i >= FINE * TRANSIENT) {
            series[i / FINE - TRANSIENT] = (float)(x - 1);
        }
        double before = past[i % length], after = past[(i + 1) % length], between = 0.5 * (before + after);
        double k1 = slope(x, before), k2 = slope(x + 0.5 * h * k1, between), k3 = slope(x + 0.5 * h * k2, between),
               k4 = slope(x + h * k3, after);
        past[i % length] = x;
        x += h / 6 * (k1 + 2 * k2 + 2 * k3 + k4);
    }
}

/* bits: where the window begins. */
static void mackey_glass_trial(const struct task *task, struct trial_id id, struct trial *trial) {
    struct random_stream stream = task_stream(task, RANDOM_TRAINING_LABEL, RANDOM_EVALUATION_LABEL, id);
    const struct mackey_glass *glass = own(task->config);
    uint64_t window = (uint64_t)task->shape.steps + (uint64_t)glass->horizon;
    uint64_t first = id.phase == TRIAL_TRAINING ? 0 : TRAINING, end = id.phase == TRIAL_TRAINING ? TRAINING : SERIES;
    *trial = (struct trial){.id = id, .bits = first + random_below(&stream, 0, end - first - window + 1), .label = -1};
}

static void mackey_glass_inputs(const struct task *task, const struct trial *trial, int from, int to, float *x,
                                size_t stride) {
    const float *series = task->state;
    for (int t = from; t < to; t++) {
        x[(size_t)(t - from) * stride] = series[trial->bits + (uint64_t)t];
    }
}

static float mackey_glass_target(const struct task *task, const struct trial *trial, int t, int *class_index,
                                 float *values) {
    (void)class_index;
    const struct mackey_glass *glass = own(task->config);
    const float *series = task->state;
    values[0] = series[trial->bits + (uint64_t)t + (uint64_t)glass->horizon];
    return 1.0f;
}

static const struct field parameters[] = {
    MS_FIELD(struct mackey_glass, lag, 1, LAG_MOST, "17", "lag of the equation; the series is chaotic from 17 on"),
    MS_FIELD(struct mackey_glass, horizon, 1, 1000, "10", "how far ahead to predict"),
    MS_FIELD(struct mackey_glass, duration, 1, 2000, "300", "length of a trial after the washout"),
    MS_FIELD(struct mackey_glass, washout, 0, 1000, "100", "steps at the start of a trial that do not count"),
};

static const struct task_default defaults[] = {
    UNPUBLISHED_DEFAULTS,
    {"network", "tau", "10"},
    {"optimizer", "learning_rate", "0.001"},
    {"training", "iterations", "1000"},
};

const struct task_ops task_mackey_glass = {
    .name = "mackey_glass",
    .doc = "predict a chaotic series some steps ahead",
    .parameters = FIELDS(parameters),
    .defaults = defaults,
    .default_count = sizeof defaults / sizeof *defaults,
    .without_accuracy = true,
    .state_size = mackey_glass_state_size,
    .init = mackey_glass_init,
    .init_work = mackey_glass_init_work,
    .shape = mackey_glass_shape,
    .trial = mackey_glass_trial,
    .inputs = mackey_glass_inputs,
    .target = mackey_glass_target,
};
