/*
 * Training: see train.h. The loop is: evaluate if due, hand out a checkpoint if due, make one update; after the last
 * update one more evaluation and the final checkpoint. A checkpoint carries the evaluation made at its iteration, so a
 * resumed job reports it again, bit for bit, and its caller can compare.
 */
#include "core/train/train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/size.h"
#include "core/train/checkpoint.h"
#include "core/base/eigen.h"
#include "core/engine/engine.h"

/* 1 - exp(-1/20): a running mean with a time constant of 20 iterations */
#define MU_STEP 0.048770575499285984

struct training {
    const struct train_config *config;
    struct train_control *control;
    const struct train_callbacks *callbacks;
    struct error *error;
    struct task task;
    struct network network;
    struct optimizer optimizer;
    struct engine *engine, *exact; /* exact: bptt on the same batch, for diagnostics */
    struct team *team;
    struct trial *trials; /* (batch_size) of the batch that runs */
    float *gradient, *exact_gradient;
    double *averages; /* (2, C, C) the first type averages, if they are tracked for the whole run */
    unsigned char *checkpoint_bytes;
    struct train_state state;
    struct phases phases;
    struct work work; /* all the work of the job, and its stop word */
};

static bool training_stopped(void *user) {
    struct training *training = user;
    return atomic_load_explicit(&training->control->command, memory_order_relaxed) != TRAIN_GO;
}

static void threads_take(struct training *training) {
    int threads = atomic_load_explicit(&training->control->threads, memory_order_relaxed);
    if (threads >= 1) {
        team_resize(training->team, threads);
    }
}

/* ---- batches ---- */

static void trial_inputs(const void *user, size_t trial, int from, int to, float *x, size_t stride) {
    const struct training *training = user;
    training->task.ops->inputs(&training->task, &training->trials[trial], from, to, x, stride);
}

static float trial_target(const void *user, size_t trial, int t, int *class_index, float *values) {
    const struct training *training = user;
    return training->task.ops->target(&training->task, &training->trials[trial], t, class_index, values);
}

/* Trials of an evaluation. */
static size_t evaluated_trials(const struct training_config *config, const struct task_shape *shape) {
    size_t all = shape->test_trials > 0 ? shape->test_trials : (size_t)config->batch_size;
    return shape->test_trials > 0 && config->evaluation_trials > 0 && (size_t)config->evaluation_trials < all
               ? (size_t)config->evaluation_trials
               : all;
}

/* The k-th trial of an evaluation: they lie evenly over the test split, which may be sorted. */
static size_t test_trial(const struct training *training, size_t k) {
    const struct task_shape *shape = &training->task.shape;
    return (size_t)((uint64_t)k * shape->test_trials / evaluated_trials(&training->config->training, shape));
}

static struct batch_source trials_source(struct training *training, enum trial_phase phase, int64_t iteration,
                                         size_t first, int count) {
    for (int i = 0; i < count; i++) {
        size_t k = first + (size_t)i;
        if (work_add(&training->work, training->task.shape.trial_work)) {
            break;
        }
        struct trial_id id = {phase, iteration, phase == TRIAL_TEST ? test_trial(training, k) : k};
        training->task.ops->trial(&training->task, id, &training->trials[i]);
    }
    return (struct batch_source){.user = training, .inputs = trial_inputs, .target = trial_target};
}

static enum result batch_run(struct training *training, struct engine *engine, enum trial_phase phase, size_t first,
                             int count, float *gradient, struct engine_result *run) {
    struct batch_source source = trials_source(training, phase, training->state.iteration, first, count);
    if (training->work.stopped) {
        return RESULT_STOPPED; /* before all trials were drawn */
    }
    enum result result = engine_batch_run(engine, training->team, &source, count, gradient, &training->work, run);
    if (result == RESULT_NO_MEMORY) {
        snprintf(training->error->text, sizeof training->error->text,
                 "out of memory for the history of the reverse recursion");
    } else if (result == RESULT_INVALID) {
        snprintf(training->error->text, sizeof training->error->text, "%s", ENGINE_CLASS_INVALID);
    }
    return result;
}

/* ---- evaluation ---- */

static enum result diverged(struct training *training, const char *what) {
    training->error->iteration = training->state.iteration;
    snprintf(training->error->text, sizeof training->error->text, "%s is not finite at iteration %lld", what,
             (long long)training->state.iteration);
    return RESULT_DIVERGED;
}

static void evaluating(const struct training *training, size_t done, size_t trials) {
    const struct train_callbacks *callbacks = training->callbacks;
    if (callbacks->evaluating) {
        callbacks->evaluating(callbacks->user, done, trials);
    }
}

/* The test split, or part of it, in batches, each weighted with its mask; or one fresh batch. */
static enum result evaluation_run(struct training *training, double *loss, double *accuracy) {
    const struct training_config *config = &training->config->training;
    size_t trials = evaluated_trials(config, &training->task.shape), most = (size_t)config->batch_size;
    enum trial_phase phase = training->task.shape.test_trials > 0 ? TRIAL_TEST : TRIAL_EVALUATION;
    double sum = 0, correct = 0, weight = 0;
    evaluating(training, 0, trials);
    for (size_t first = 0; first < trials; first += most) {
        int count = (int)(trials - first < most ? trials - first : most);
        struct engine_result run = {0};
        threads_take(training);
        enum result result = batch_run(training, training->engine, phase, first, count, NULL, &run);
        if (result != RESULT_DONE) {
            return result;
        }
        if (run.weight > 0) {
            sum += run.loss * run.weight;
            correct += run.correct * run.weight;
            weight += run.weight;
        }
        evaluating(training, first + (size_t)count, trials);
    }
    *loss = weight > 0 ? sum / weight : training->task.shape.empty_loss;
    *accuracy = training->task.shape.has_accuracy && weight > 0 ? correct / weight : NAN;
    return isfinite(*loss) || weight == 0 ? RESULT_DONE : diverged(training, "the loss of the evaluation");
}

/* A loss or an accuracy that is NaN, because no step counts, meets no condition. */
static bool stop_met(const struct training_config *config, double loss, double accuracy) {
    switch (config->stop_metric) {
    case STOP_ACCURACY_ABOVE:
        return accuracy > config->stop_threshold;
    case STOP_ACCURACY_BELOW:
        return accuracy < config->stop_threshold;
    case STOP_LOSS_ABOVE:
        return loss > config->stop_threshold;
    case STOP_LOSS_BELOW:
        return loss < config->stop_threshold;
    case STOP_NEVER:
        break;
    }
    return false;
}

static bool stop_reached(const struct training *training) {
    return training->config->training.stop_metric != STOP_NEVER &&
           training->state.streak >= training->config->training.stop_evaluations;
}

static bool training_done(const struct training *training) {
    return training->state.iteration >= training->config->training.iterations ||
           (training->state.evaluated_iteration == training->state.iteration && stop_reached(training));
}

/* ---- diagnostics ---- */

static double norm_of(const float *a, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += (double)a[i] * (double)a[i];
    }
    return sqrt(sum);
}

static double cosine_of(const float *a, const float *b, size_t count) {
    double dot = 0;
    for (size_t i = 0; i < count; i++) {
        dot += (double)a[i] * (double)b[i];
    }
    return dot / (norm_of(a, count) * norm_of(b, count));
}

/*
 * Spectral radius of W; NaN if the eigenvalues do not converge, which then never happens for this W. A stop or lack of
 * memory gives no value at all: a value would differ from what the resumed job finds at the same iteration.
 */
static enum result radius_of(struct training *training, double *radius) {
    const struct network *network = &training->network;
    size_t n = (size_t)network->units;
    double *copy = malloc(n * n * sizeof *copy);
    void *scratch = malloc(eigen_radius_scratch_size(network->units));
    int found = -1;
    for (size_t i = 0; copy && i < n * n; i++) {
        copy[i] = (double)network->weights[network->offset_W + i];
    }
    if (copy && scratch) {
        found = eigen_radius(network->units, copy, scratch, &training->work, radius);
    } else {
        snprintf(training->error->text, sizeof training->error->text,
                 "out of memory for the spectral radius of %d units", network->units);
    }
    enum result result = !copy || !scratch ? RESULT_NO_MEMORY : found == -1 ? RESULT_STOPPED : RESULT_DONE;
    free(copy);
    free(scratch);
    *radius = found == 0 ? *radius : NAN;
    return result;
}

static void cosines_make(const struct training *training, struct train_diagnostics *diagnostics) {
    const struct network *network = &training->network;
    size_t n = (size_t)network->units, into = (size_t)network->inputs * n, out = (size_t)network->outputs * n;
    const float *a = training->gradient, *b = training->exact_gradient;
    diagnostics->cosine_W = cosine_of(a + network->offset_W, b + network->offset_W, n * n);
    diagnostics->cosine_Win = cosine_of(a + network->offset_Win, b + network->offset_Win, into);
    diagnostics->cosine_b = network->bias ? cosine_of(a + network->offset_b, b + network->offset_b, n) : NAN;
    diagnostics->cosine_Wout = cosine_of(a + network->offset_Wout, b + network->offset_Wout, out);
    diagnostics->cosine_all = cosine_of(a, b, network->parameters);
}

/* Of the training batch of this iteration, before it is used. What was not requested costs nothing. */
static enum result diagnostics_make(struct training *training, struct train_diagnostics *diagnostics) {
    const struct network *network = &training->network;
    unsigned wanted = training->config->training.diagnostics;
    int batch = training->config->training.batch_size;
    double radius = NAN;
    struct engine_result run = {0}, ignored = {0};
    enum result result = RESULT_DONE;
    if (wanted & (DIAGNOSTIC_COSINE | DIAGNOSTIC_PSI | DIAGNOSTIC_NORMS)) {
        result = batch_run(training, training->engine, TRIAL_TRAINING, 0, batch, training->gradient, &run);
    }
    if (result == RESULT_DONE && (wanted & DIAGNOSTIC_COSINE)) {
        engine_weights_load(training->exact, NULL, 0, NULL); /* the true gradient: whatever feedback the rule has, with
                                                              * the readout's own weights */
        result = batch_run(training, training->exact, TRIAL_TRAINING, 0, batch, training->exact_gradient, &ignored);
    }
    if (result == RESULT_DONE && (wanted & DIAGNOSTIC_SPECTRAL_RADIUS)) {
        result = radius_of(training, &radius);
    }
    if (result != RESULT_DONE) {
        return result;
    }
    size_t n = (size_t)network->units, into = (size_t)network->inputs * n, out = (size_t)network->outputs * n;
    *diagnostics = (struct train_diagnostics){.present = wanted,
                                              .spectral_radius = radius,
                                              .mean_psi = run.psi_mean,
                                              .silent_fraction = (double)run.silent_units / network->units,
                                              .phases = training->phases};
    if (wanted & DIAGNOSTIC_COSINE) {
        cosines_make(training, diagnostics);
    }
    if (wanted & DIAGNOSTIC_NORMS) {
        diagnostics->gradient_norm_W = norm_of(training->gradient + network->offset_W, n * n);
        diagnostics->gradient_norm_Win = norm_of(training->gradient + network->offset_Win, into);
        diagnostics->gradient_norm_Wout = norm_of(training->gradient + network->offset_Wout, out);
    }
    training->phases = (struct phases){0};
    return RESULT_DONE;
}

/* ---- what is said ---- */

static enum result progress_report(struct training *training) {
    const struct train_state *state = &training->state;
    struct train_progress progress = {
        .iteration = state->iteration,
        .loss = state->loss,
        .accuracy = state->accuracy,
        .training_loss = state->training_loss,
        .learning_rate = optimizer_learning_rate(&training->config->optimizer, state->iteration),
        .last = training_done(training)};
    if (training->config->training.diagnostics) {
        enum result result = diagnostics_make(training, &progress.diagnostics);
        if (result != RESULT_DONE) {
            return result;
        }
    }
    if (training->config->rule.mu_auto && training->config->training.events >= 2) {
        progress.diagnostics.present |= DIAGNOSTIC_MU;
        progress.diagnostics.mu = state->mu_mean;
    }
    return training->callbacks->progress(training->callbacks->user, &progress) ? RESULT_DONE : RESULT_STOPPED;
}

static enum result evaluate(struct training *training) {
    struct train_state *state = &training->state;
    if (state->evaluated_iteration != state->iteration) {
        double loss, accuracy;
        enum result result = evaluation_run(training, &loss, &accuracy);
        if (result != RESULT_DONE) {
            return result;
        }
        state->loss = loss;
        state->accuracy = accuracy;
        state->streak = stop_met(&training->config->training, loss, accuracy) ? state->streak + 1 : 0;
        state->evaluated_iteration = state->iteration;
    }
    return progress_report(training);
}

static struct checkpoint_arrays training_arrays(struct training *training) {
    size_t types = (size_t)training->network.types;
    return (struct checkpoint_arrays){.network = &training->network,
                                      .optimizer = &training->optimizer,
                                      .averages = training->averages,
                                      .average_count = training->averages ? types * types : 0};
}

static enum result checkpoint_report(struct training *training) {
    const struct network *network = &training->network;
    for (size_t i = 0; i < network->parameters; i++) {
        if (!isfinite(network->weights[i])) {
            return diverged(training, "a weight");
        }
    }
    struct checkpoint_arrays arrays = training_arrays(training);
    checkpoint_write(training->config, &training->state, &arrays, training->checkpoint_bytes);
    double loss = training->state.evaluated_iteration >= 0 ? training->state.loss : NAN;
    bool go_on = training->callbacks->checkpoint(training->callbacks->user, training->state.iteration, loss,
                                                 training->checkpoint_bytes, checkpoint_size(&arrays));
    return go_on ? RESULT_DONE : RESULT_STOPPED;
}

/* ---- the loop ---- */

static void weights_load(struct training *training) {
    const struct rule_config *rule = &training->config->rule;
    engine_weights_load(training->engine, training->optimizer.feedback,
                        rule->mu_auto ? training->state.mu_mean : rule->mu, training->averages);
}

static enum result update_make(struct training *training) {
    struct engine_result run = {0};
    enum result result = batch_run(training, training->engine, TRIAL_TRAINING, 0, training->config->training.batch_size,
                                   training->gradient, &run);
    if (result != RESULT_DONE) {
        return result;
    }
    if (run.weight > 0 && !isfinite(run.loss)) {
        return diverged(training, "the training loss");
    }
    const struct train_callbacks *callbacks = training->callbacks;
    double since = callbacks->clock ? callbacks->clock(callbacks->user) : 0;
    optimizer_update(&training->optimizer, &training->network, training->gradient, training->state.iteration);
    work_add(&training->work, optimizer_cost(training->network.parameters));
    training->state.iteration++;
    training->state.training_loss = run.weight > 0 ? run.loss : training->task.shape.empty_loss;
    if (training->config->rule.mu_auto) {
        training->state.mu_mean += MU_STEP * (run.psi_mean - training->state.mu_mean);
    }
    weights_load(training);
    if (callbacks->clock) {
        training->phases.optimizer += callbacks->clock(callbacks->user) - since;
    }
    phases_add(&training->phases, &run.phases);
    if (callbacks->iteration) {
        callbacks->iteration(callbacks->user, training->state.iteration);
    }
    return RESULT_DONE;
}

static bool due(int64_t iteration, int64_t every) {
    return every > 0 && iteration % every == 0;
}

static enum result training_loop(struct training *training) {
    const struct training_config *config = &training->config->training;
    int64_t checkpointed = training->state.iteration;
    enum result result = RESULT_DONE;
    while (result == RESULT_DONE) {
        threads_take(training);
        if (training->state.iteration >= config->iterations || due(training->state.iteration, config->evaluate_every)) {
            result = evaluate(training);
        }
        if (result != RESULT_DONE || training_done(training)) {
            break;
        }
        if (due(training->state.iteration, config->checkpoint_every) && training->state.iteration != checkpointed) {
            checkpointed = training->state.iteration;
            result = checkpoint_report(training);
        }
        if (result == RESULT_DONE) {
            result = training_stopped(training) ? RESULT_STOPPED : update_make(training);
        }
    }
    bool told_to_stop = result == RESULT_STOPPED && atomic_load(&training->control->command) == TRAIN_STOP;
    if (result == RESULT_DONE || told_to_stop) {
        enum result said = checkpoint_report(training);
        result = said == RESULT_DONE ? result : said;
    }
    return result;
}

/* ---- making and releasing ---- */

static struct engine_options options_make(struct training *training, const struct rule_config *rule) {
    const struct task_shape *shape = &training->task.shape;
    const struct training_config *config = &training->config->training;
    return (struct engine_options){.steps = shape->steps,
                                   .trials = config->batch_size,
                                   .loss = shape->loss,
                                   .mask_from = shape->mask_from,
                                   .mask_uniform = shape->mask_uniform,
                                   .input_work = shape->input_work,
                                   .target_work = shape->target_work,
                                   .rule = rule,
                                   .memory = config->memory,
                                   .count_psi = (config->diagnostics & DIAGNOSTIC_PSI) ||
                                                training->config->rule.mu_auto,
                                   .clock = training->callbacks ? training->callbacks->clock : NULL,
                                   .clock_user = training->callbacks ? training->callbacks->user : NULL};
}

static enum result engines_make(struct training *training) {
    static const struct rule_config bptt = {.type = RULE_BPTT};
    struct engine_options options = options_make(training, &training->config->rule);
    enum result result = RESULT_NO_MEMORY;
    training->engine = engine_create(&training->network, &options, &result, training->error);
    if (!training->engine) {
        return result;
    }
    if (!(training->config->training.diagnostics & DIAGNOSTIC_COSINE)) {
        return RESULT_DONE;
    }
    options.rule = &bptt;
    options.clock = NULL;
    training->exact = engine_create(&training->network, &options, &result, training->error);
    if (!training->exact) {
        return result;
    }
    training->exact_gradient = malloc(training->network.parameters * sizeof *training->exact_gradient);
    if (training->exact_gradient) {
        return RESULT_DONE;
    }
    snprintf(training->error->text, sizeof training->error->text, "out of memory for a second gradient of %zu weights",
             training->network.parameters);
    return RESULT_NO_MEMORY;
}

static bool memory_make(struct training *training) {
    const struct train_config *config = training->config;
    size_t types = (size_t)training->network.types;
    if (!optimizer_init(&training->optimizer, &training->network, config)) {
        return false;
    }
    training->trials = calloc((size_t)config->training.batch_size, sizeof *training->trials);
    training->gradient = malloc(training->network.parameters * sizeof *training->gradient);
    if (config->rule.weights == CREDIT_TYPE && config->rule.tracking == TRACKING_INITIAL) {
        training->averages = calloc(2 * types * types, sizeof *training->averages);
    }
    struct checkpoint_arrays arrays = training_arrays(training);
    training->checkpoint_bytes = malloc(checkpoint_size(&arrays));
    training->team = team_create();
    bool averaged = config->rule.weights != CREDIT_TYPE || config->rule.tracking != TRACKING_INITIAL ||
                    training->averages;
    return training->trials && training->gradient && training->checkpoint_bytes && training->team && averaged;
}

static void training_release(struct training *training) {
    engine_destroy(training->engine);
    engine_destroy(training->exact);
    team_destroy(training->team);
    optimizer_release(&training->optimizer);
    network_release(&training->network);
    task_release(&training->task);
    free(training->trials);
    free(training->gradient);
    free(training->exact_gradient);
    free(training->averages);
    free(training->checkpoint_bytes);
}

/*
 * A resumed job takes its weights from the checkpoint, so the initial ones, which cost an eigenvalue problem, are not
 * computed: zeros take their place.
 */
static enum result network_make(struct training *training, bool resumes) {
    struct network_config config = training->config->network;
    const struct task_shape *shape = &training->task.shape;
    float *zeros = NULL;
    struct weights_view view;
    if (resumes) {
        size_t n = (size_t)config.units, most = n > (size_t)shape->inputs ? n : (size_t)shape->inputs;
        most = most > (size_t)shape->outputs ? most : (size_t)shape->outputs;
        zeros = calloc(n * most, sizeof *zeros);
        if (!zeros) {
            snprintf(training->error->text, sizeof training->error->text, "out of memory for a network of %d units",
                     config.units);
            return RESULT_NO_MEMORY;
        }
        view = (struct weights_view){config.units, shape->inputs, shape->outputs, zeros, zeros, zeros, zeros, zeros};
        config.initial = &view;
    }
    enum result result = network_init(&training->network, &config, shape->inputs, shape->outputs,
                                      training->config->seed, &training->work, training->error->text);
    free(zeros);
    return result;
}

static enum result training_make(struct training *training, const unsigned char *checkpoint, size_t size) {
    const struct train_config *config = training->config;
    enum result result = task_init(&training->task, &config->task, config->seed, &training->work,
                                   training->error->text);
    if (result == RESULT_DONE) {
        result = network_make(training, checkpoint != NULL);
    }
    if (result != RESULT_DONE) {
        return result;
    }
    if (!memory_make(training)) {
        snprintf(training->error->text, sizeof training->error->text, "out of memory for the optimiser of %zu weights",
                 training->network.parameters);
        return RESULT_NO_MEMORY;
    }
    training->state = (struct train_state){
        .training_loss = NAN, .mu_mean = MU_PUBLISHED, .evaluated_iteration = -1, .loss = NAN, .accuracy = NAN};
    struct checkpoint_arrays arrays = training_arrays(training);
    if (checkpoint && !checkpoint_read(config, checkpoint, size, &training->state, &arrays, training->error)) {
        return RESULT_BAD_CHECKPOINT;
    }
    if (!checkpoint && training->averages) {
        type_averages(&training->network, config->rule.averaging == AVERAGING_EXISTING, training->averages);
    }
    result = engines_make(training);
    if (result == RESULT_DONE) {
        weights_load(training);
    }
    return result;
}

enum result train_run(const struct train_config *config, const unsigned char *checkpoint, size_t checkpoint_size_given,
                      struct train_control *control, const struct train_callbacks *callbacks, struct error *error) {
    struct training training = {.config = config, .control = control, .callbacks = callbacks, .error = error};
    training.work = (struct work){.stop = training_stopped, .user = &training};
    *error = (struct error){0};
    if (config->training.batch_size < 1) {
        snprintf(error->text, sizeof error->text, "batch_size must be at least 1; got %d", config->training.batch_size);
        return RESULT_INVALID;
    }
    enum result result = training_make(&training, checkpoint, checkpoint_size_given);
    if (result == RESULT_DONE) {
        result = training_loop(&training);
    }
    training_release(&training);
    if (callbacks->work) {
        *callbacks->work = training.work;
    }
    return result;
}

/* For one evaluation, the cost of its diagnostics besides the evaluated trials. */
static double diagnostics_work(const struct train_config *config, double rule, double exact) {
    unsigned wanted = config->training.diagnostics;
    return (wanted & (DIAGNOSTIC_COSINE | DIAGNOSTIC_PSI | DIAGNOSTIC_NORMS) ? rule : 0) +
           (wanted & DIAGNOSTIC_COSINE ? exact : 0) +
           (wanted & DIAGNOSTIC_SPECTRAL_RADIUS ? eigen_radius_cost(config->network.units) : 0);
}

static void estimate_totals(const struct train_config *config, const struct task_shape *shape, double exact,
                            struct train_estimate *estimate) {
    const struct training_config *training = &config->training;
    double batch = training->batch_size, iterations = (double)training->iterations;
    int blocks = (training->batch_size + BLOCK_TRIALS - 1) / BLOCK_TRIALS;
    int64_t every = training->evaluate_every > 0 ? training->evaluate_every : training->iterations;
    double evaluations = (double)((training->iterations - 1) / every + 2); /* at 0, and one more at the end */
    estimate->trial_multiply_adds = estimate->forward_multiply_adds / batch;
    estimate->training_multiply_adds = estimate->multiply_adds * iterations;
    estimate->evaluation_multiply_adds = evaluations *
                                         (estimate->trial_multiply_adds * (double)evaluated_trials(training, shape) +
                                          diagnostics_work(config, estimate->multiply_adds, exact));
    estimate->threads_most = blocks < GROUPS_MOST ? blocks : GROUPS_MOST;
}

/* The cost of what is made before the first iteration: the task and the initial weights. */
static double start_work(const struct train_config *config, const struct task_shape *shape) {
    double (*init_work)(const struct task_config *) = task_table[config->task.type]->init_work;
    return (init_work ? init_work(&config->task) : 0) +
           network_init_cost(&config->network, shape->inputs, shape->outputs);
}

bool train_estimate_compute(const struct train_config *config, struct train_estimate *estimate, struct error *error) {
    struct training training = {.config = config};
    *error = (struct error){0};
    if (!task_table[config->task.type]->shape(&config->task, &training.task.shape, error->text)) {
        return false;
    }
    const struct task_shape *shape = &training.task.shape;
    const struct network_config *network = &config->network;
    struct engine_options options = options_make(&training, &config->rule);
    bool equal_leaks = !network->tau_of_unit && !network->tau_is_range;
    struct engine_plan plan, exact = {0};
    if (!engine_plan_make(network->units, shape->inputs, shape->outputs, network_types_count(network), network->bias,
                          equal_leaks, &options, &plan, error)) {
        return false;
    }
    static const struct rule_config bptt = {.type = RULE_BPTT};
    options.rule = &bptt;
    if ((config->training.diagnostics & DIAGNOSTIC_COSINE) &&
        !engine_plan_make(network->units, shape->inputs, shape->outputs, network_types_count(network), network->bias,
                          equal_leaks, &options, &exact, error)) {
        return false;
    }
    size_t checkpoint = checkpoint_size_estimate(config, shape->inputs, shape->outputs);
    size_t square = size_times((size_t)network->units, (size_t)network->units),
           doubles = size_times(square, sizeof(double));
    /*
     * weights, gradient, optimiser state and a checkpoint's bytes; the initial weights' two matrices in double come and
     * go before the engine
     */
    size_t fixed = size_times(3, checkpoint), start = network->dale && !network->initial ? size_times(2, doubles) : 0;
    size_t looked_at = config->training.diagnostics & DIAGNOSTIC_SPECTRAL_RADIUS ? doubles : 0;
    size_t engines = size_plus(size_plus(plan.memory_bytes, exact.memory_bytes), looked_at);
    size_t memory = size_plus(fixed, engines > start ? engines : start);
    if (!size_possible(memory)) {
        snprintf(error->text, sizeof error->text,
                 "the memory for %d units, %d inputs and %d outputs is beyond what this machine can address",
                 network->units, shape->inputs, shape->outputs);
        return false;
    }
    double draw = shape->trial_work * config->training.batch_size;
    size_t parameters = network_parameters(network->units, shape->inputs, shape->outputs, network->bias);
    *estimate = (struct train_estimate){.memory_bytes = memory,
                                        .checkpoint_bytes = checkpoint,
                                        .multiply_adds = plan.multiply_adds + draw + optimizer_cost(parameters),
                                        .forward_multiply_adds = plan.forward_multiply_adds + draw,
                                        .start_multiply_adds = start_work(config, shape),
                                        .method = engine_method_name(plan.method, plan.segment_steps < shape->steps)};
    estimate_totals(config, shape, exact.multiply_adds, estimate);
    return true;
}
