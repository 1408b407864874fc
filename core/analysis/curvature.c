/*
 * Curvature of the loss: the eigenvalue of the Hessian with the largest modulus, by power iteration.
 *
 * H v = [g(w + e v) - g(w - e v)] / (2 e) for |v| = 1 (Pearlmutter 1994, equation 2), g the true gradient (bptt) of the
 * loss of one training batch, that of the checkpoint's iteration; e = step |w|. v begins at random, by the seed, and is
 * H v / |H v| after each step (von Mises); the estimate is the Rayleigh quotient v . H v. It ends when two estimates
 * differ by less than a part in 10^4. Only synapses that exist (W not 0) and all other weights can move. The gradients
 * are float32, so rounding leaves an error of about 10^-7 |g| / e in H v; `residual` shows how much that is of the
 * eigenvalue, together with what the iteration has not removed.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/analysis/analysis.h"
#include "core/backend/backend.h"
#include "core/base/random.h"
#include "core/base/size.h"
#include "core/train/batch.h"

#define CONVERGED 1e-4
#define HISTORY_MOST ((int64_t)256 << 20) /* bytes; a longer history is recomputed in segments */

enum { EIGENVALUE, RESIDUAL, ESTIMATES, LOSS, GRADIENT_NORM, OUTPUTS };

static const struct analysis_output outputs[] = {
    [EIGENVALUE] = {"eigenvalue", "", NULL, "of the Hessian with the largest modulus"},
    [RESIDUAL] = {"residual", "", NULL, "|H v - eigenvalue v| of the last step, relative to the eigenvalue"},
    [ESTIMATES] = {"estimate", "power", NULL, "after each step of the power iteration"},
    [LOSS] = {"loss", "", NULL, "of the batch"},
    [GRADIENT_NORM] = {"gradient_norm", "", NULL, "of the batch, over all weights that can move"},
};

extern const struct analysis_ops analysis_curvature;

static const struct rule_config exact = {.type = RULE_BPTT, .feedback = FEEDBACK_SYMMETRIC};

static struct batch_options options_of(const struct analysis_input *input) {
    struct batch_options options = train_batch_options(input->network.config, &input->shape, &exact);
    options.memory = HISTORY_MOST;
    options.update_every = 0;
    return options;
}

/* False if the batch cannot be planned, which the run then says. */
static bool plan_of(const struct analysis_input *input, struct backend_plan *plan) {
    const struct backend_sizes sizes = train_backend_sizes(input->network.config, &input->shape);
    const struct batch_options options = options_of(input);
    struct error error;
    return backend_table[BACKEND_CPU]->plan(&sizes, &options, plan, &error);
}

static size_t curvature_memory(const struct analysis_input *input) {
    struct backend_plan plan;
    size_t weights = size_times(input->network.trained->parameters, 4 * sizeof(float) + 2 * sizeof(double));
    return plan_of(input, &plan) ? size_plus(plan.memory_bytes, weights) : weights;
}

static double curvature_cost(const struct analysis_input *input) {
    struct backend_plan plan;
    return plan_of(input, &plan) ? (2.0 * input->request.iterations + 1) *
                                       (plan.multiply_adds + 8.0 * (double)input->network.trained->parameters)
                                 : 0;
}

struct curvature {
    struct task task;
    struct network network;
    struct backend *backend;
    struct batch_options options;
    struct team *team;
    struct trial_id *ids;
    struct work *work;
    float *weights, *plus, *minus; /* (P) the checkpoint's; gradients */
    double *v, *image;             /* (P) */
    size_t parameters;
    double loss;
};

static void curvature_release(struct curvature *curvature) {
    backend_destroy(curvature->backend);
    team_destroy(curvature->team);
    network_release(&curvature->network);
    task_release(&curvature->task);
    free(curvature->ids);
    free(curvature->weights);
    free(curvature->plus);
    free(curvature->minus);
    free(curvature->v);
    free(curvature->image);
}

static enum result curvature_make(const struct analysis_input *input, struct curvature *curvature,
                                  struct error *error) {
    const struct train_config *config = input->network.config;
    const struct trained *trained = input->network.trained;
    const struct weights_view view = {trained->units, trained->inputs, trained->outputs, trained->W,
                                      trained->Win,   trained->b,      trained->Wout,    trained->bout};
    struct network_config given = config->network;
    size_t count = trained->parameters;
    given.initial = &view;
    enum result result = task_init(&curvature->task, &config->task, config->seed, curvature->work, error->text);
    if (result == RESULT_DONE) {
        result = network_init(&curvature->network, &given, trained->inputs, trained->outputs, config->seed,
                              curvature->work, error->text);
    }
    if (result != RESULT_DONE) {
        return result;
    }
    curvature->options = options_of(input);
    curvature->parameters = count;
    curvature->team = team_create();
    curvature->ids = calloc((size_t)curvature->options.trials, sizeof *curvature->ids);
    curvature->weights = calloc(count, sizeof(float));
    curvature->plus = malloc(count * sizeof(float));
    curvature->minus = malloc(count * sizeof(float));
    curvature->v = calloc(count, sizeof(double));
    curvature->image = malloc(count * sizeof(double));
    if (!curvature->team || !curvature->ids || !curvature->weights || !curvature->plus || !curvature->minus ||
        !curvature->v || !curvature->image) {
        return analysis_no_memory(error);
    }
    team_resize(curvature->team, input->request.threads);
    memcpy(curvature->weights, curvature->network.weights, count * sizeof(float));
    for (int i = 0; i < curvature->options.trials; i++) {
        curvature->ids[i] = (struct trial_id){TRIAL_TRAINING, trained->iteration, (size_t)i};
    }
    const struct backend_problem problem = {.network = &curvature->network,
                                            .options = &curvature->options,
                                            .team = curvature->team,
                                            .task = &curvature->task};
    curvature->backend = backend_table[BACKEND_CPU]->create(&problem, &result, error);
    return curvature->backend ? RESULT_DONE : result;
}

/* The gradient at w + along v. */
static enum result gradient_at(struct curvature *curvature, double along, float *gradient, struct error *error) {
    const struct backend_ops *ops = backend_table[BACKEND_CPU];
    struct batch_result run = {0};
    for (size_t i = 0; i < curvature->parameters; i++) {
        curvature->network.weights[i] = along == 0 ? curvature->weights[i]
                                                   : (float)((double)curvature->weights[i] + along * curvature->v[i]);
    }
    ops->load(curvature->backend, NULL, exact.mu, NULL);
    enum result result = ops->trials(curvature->backend, curvature->ids, curvature->options.trials, gradient,
                                     curvature->work, &run);
    if (result != RESULT_DONE) {
        snprintf(error->text, sizeof error->text, "%s",
                 result == RESULT_INVALID ? BATCH_CLASS_INVALID : "the gradient was not computed");
    }
    curvature->loss = run.loss;
    return result;
}

/* Whether weight i can move: recurrent weights of 0 are synapses that do not exist. */
static bool moves(const struct curvature *curvature, size_t i) {
    const struct network *network = &curvature->network;
    size_t at = i - network->offset_W, n = (size_t)network->units;
    return i < network->offset_W || at >= n * n || curvature->weights[i] != 0;
}

static double norm(const double *values, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += values[i] * values[i];
    }
    return sqrt(sum);
}

static void direction_begin(struct curvature *curvature, uint64_t seed) {
    const struct random_stream stream = random_stream_make(seed, RANDOM_CURRENT, 0, 0);
    for (size_t i = 0; i < curvature->parameters; i++) {
        curvature->v[i] = moves(curvature, i) ? random_normal(&stream, i) : 0;
    }
    double length = norm(curvature->v, curvature->parameters);
    for (size_t i = 0; i < curvature->parameters; i++) {
        curvature->v[i] /= length;
    }
}

/* image = H v; *estimate = v . H v, *off = |H v - estimate v|. */
static enum result hessian_apply(struct curvature *curvature, double step, double *estimate, double *off,
                                 struct error *error) {
    enum result result = gradient_at(curvature, step, curvature->plus, error);
    if (result == RESULT_DONE) {
        result = gradient_at(curvature, -step, curvature->minus, error);
    }
    *estimate = *off = 0;
    for (size_t i = 0; result == RESULT_DONE && i < curvature->parameters; i++) {
        double change = (double)curvature->plus[i] - (double)curvature->minus[i];
        curvature->image[i] = moves(curvature, i) ? change / (2 * step) : 0;
        *estimate += curvature->v[i] * curvature->image[i];
    }
    for (size_t i = 0; result == RESULT_DONE && i < curvature->parameters; i++) {
        double rest = curvature->image[i] - *estimate * curvature->v[i];
        *off += rest * rest;
    }
    *off = sqrt(*off);
    return result;
}

/* `estimates` has room for `most`; *count says how many were made. */
static enum result power_iterate(struct curvature *curvature, int most, double step, double *estimates, size_t *count,
                                 double *residual, struct error *error) {
    for (int k = 0; k < most; k++) {
        double off;
        enum result result = hessian_apply(curvature, step, &estimates[k], &off, error);
        if (result != RESULT_DONE) {
            return result;
        }
        double length = norm(curvature->image, curvature->parameters);
        *count = (size_t)k + 1;
        *residual = off / fabs(estimates[k]);
        if (length == 0 || (k > 0 && fabs(estimates[k] - estimates[k - 1]) <= CONVERGED * fabs(estimates[k]))) {
            break;
        }
        for (size_t i = 0; i < curvature->parameters; i++) {
            curvature->v[i] = curvature->image[i] / length;
        }
    }
    return RESULT_DONE;
}

static double weights_norm(const struct curvature *curvature) {
    double sum = 0;
    for (size_t i = 0; i < curvature->parameters; i++) {
        sum += (double)curvature->weights[i] * (double)curvature->weights[i];
    }
    return sqrt(sum);
}

static enum result curvature_find(const struct analysis_input *input, struct curvature *curvature,
                                  struct analysis_answer *answer, struct error *error) {
    const size_t lengths[OUTPUTS][ANALYSIS_AXES_MOST] = {[ESTIMATES] = {(size_t)input->request.iterations}};
    const struct analysis_array *arrays = answer->arrays;
    double length = weights_norm(curvature), squares = 0;
    if (!analysis_arrays(answer, &analysis_curvature, lengths, error)) {
        return RESULT_NO_MEMORY;
    }
    enum result result = gradient_at(curvature, 0, curvature->plus, error);
    if (result != RESULT_DONE) {
        return result;
    }
    for (size_t i = 0; i < curvature->parameters; i++) {
        squares += moves(curvature, i) ? (double)curvature->plus[i] * (double)curvature->plus[i] : 0;
    }
    *arrays[LOSS].values = curvature->loss;
    *arrays[GRADIENT_NORM].values = sqrt(squares);
    direction_begin(curvature, input->request.seed);
    size_t made = 0;
    result = power_iterate(curvature, input->request.iterations, input->request.step * (length > 0 ? length : 1),
                           arrays[ESTIMATES].values, &made, arrays[RESIDUAL].values, error);
    answer->arrays[ESTIMATES].lengths[0] = made;
    *arrays[EIGENVALUE].values = made > 0 ? arrays[ESTIMATES].values[made - 1] : NAN;
    return result;
}

static enum result curvature_run(const struct analysis_input *input, struct work *work, struct analysis_answer *answer,
                                 struct error *error) {
    struct curvature curvature = {.work = work};
    enum result result = curvature_make(input, &curvature, error);
    if (result == RESULT_DONE) {
        result = curvature_find(input, &curvature, answer, error);
    }
    curvature_release(&curvature);
    return result;
}

const struct analysis_ops analysis_curvature = {
    .name = "curvature",
    .doc =
        "the eigenvalue of largest modulus of the loss's Hessian, on the training batch of the checkpoint's iteration",
    .outputs = outputs,
    .output_count = OUTPUTS,
    .memory = curvature_memory,
    .cost = curvature_cost,
    .run = curvature_run,
};
