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
#include "core/backend/backend.h"
#include "core/base/eigen.h"
#include "core/train/align.h"
#include "core/train/batch.h"
#include "core/train/bound.h"
#include "core/train/checkpoint.h"
#include "core/train/device.h"
#include "core/train/fit.h"

struct training {
    const struct train_config *config;
    struct train_control *control;
    const struct train_callbacks *callbacks;
    struct error *error;
    struct task task;
    struct network network;
    struct optimizer optimizer;
    struct backend *backend, *exact; /* exact: bptt on the same batch, for diagnostics */
    struct team *team;
    struct trial_id *ids;             /* (batch_size) of an evaluation's batch, or a diagnostic's */
    float *gradient, *exact_gradient; /* for diagnostics */
    float *aligned_gradients;         /* (aligned_count, parameters) */
    struct fit fit;                   /* of a rule whose taps are fitted; else 0 */
    double *averages;                 /* (2, C, C) the first type averages, if they are tracked for the whole run */
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

static enum result batch_end(struct training *training, enum result result) {
    if (result == RESULT_DEVICE_LOST) {
        snprintf(training->error->text, sizeof training->error->text, "%s", training->backend->lost);
    } else if (result == RESULT_NO_MEMORY) {
        snprintf(training->error->text, sizeof training->error->text,
                 "out of memory for the history of the reverse recursion");
    } else if (result == RESULT_INVALID) {
        snprintf(training->error->text, sizeof training->error->text, "%s", BATCH_CLASS_INVALID);
    }
    return result;
}

static enum result batch_run(struct training *training, struct backend *backend, enum trial_phase phase, size_t first,
                             int count, float *gradient, struct batch_result *run) {
    for (int i = 0; i < count; i++) {
        size_t k = first + (size_t)i;
        training->ids[i] = (struct trial_id){phase, training->state.iteration,
                                             phase == TRIAL_TEST ? test_trial(training, k) : k};
    }
    return batch_end(training, backend->ops->trials(backend, training->ids, count, gradient, &training->work, run));
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
        struct batch_result run = {0};
        threads_take(training);
        enum result result = batch_run(training, training->backend, phase, first, count, NULL, &run);
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

bool train_stop_met(const struct training_config *config, double loss, double accuracy) {
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
    training->backend->ops->read(training->backend);
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

/* For gradients by other rules than the job's own, on the weights that it has now. */
static struct align_batch other_batch(struct training *training, const struct batch_options *options) {
    training->backend->ops->read(training->backend);
    return (struct align_batch){.config = training->config,
                                .options = options,
                                .network = &training->network,
                                .task = &training->task,
                                .feedback = training->optimizer.feedback,
                                .team = training->team,
                                .work = &training->work,
                                .ids = training->ids};
}

static enum result alignment_make(struct training *training, struct alignment *alignment) {
    const struct training_config *config = &training->config->training;
    const struct batch_options options = train_batch_options(training->config, &training->task.shape, NULL);
    double loss;
    for (int i = 0; i < config->batch_size; i++) {
        training->ids[i] = (struct trial_id){TRIAL_TRAINING, training->state.iteration, (size_t)i};
    }
    const struct align_batch batch = other_batch(training, &options);
    return align_run(&batch, config->aligned, config->aligned_count, training->aligned_gradients, &loss, alignment,
                     training->error);
}

/* What is about credit itself: its gain, and how rules align. */
static enum result credit_diagnostics_make(struct training *training, struct train_diagnostics *diagnostics) {
    struct backend *backend = training->backend;
    enum result result = RESULT_DONE;
    if (diagnostics->present & DIAGNOSTIC_CREDIT_GAIN) {
        result = backend->ops->credit_gain(backend, &training->work, &diagnostics->credit_gain);
        if (result == RESULT_NO_MEMORY) {
            snprintf(training->error->text, sizeof training->error->text,
                     "out of memory for the credit gain of %d units", training->network.units);
        }
    }
    if (result == RESULT_DONE && (diagnostics->present & DIAGNOSTIC_ALIGNMENT)) {
        result = alignment_make(training, &diagnostics->alignment);
    }
    return result;
}

/* Of the training batch of this iteration, before it is used. What was not requested costs nothing. */
static enum result diagnostics_make(struct training *training, struct train_diagnostics *diagnostics) {
    const struct network *network = &training->network;
    unsigned wanted = training->config->training.diagnostics;
    int batch = training->config->training.batch_size;
    double radius = NAN;
    struct batch_result run = {0}, ignored = {0};
    enum result result = RESULT_DONE;
    if (wanted & DIAGNOSTIC_GRADIENT) {
        result = batch_run(training, training->backend, TRIAL_TRAINING, 0, batch, training->gradient, &run);
    }
    if (result == RESULT_DONE && (wanted & DIAGNOSTIC_COSINE)) {
        /* the true gradient: whatever feedback the rule has, with the readout's own weights */
        training->backend->ops->read(training->backend);
        training->exact->ops->load(training->exact, NULL, 0, NULL);
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
    return credit_diagnostics_make(training, diagnostics);
}

/* ---- reports ---- */

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
    const struct rule_config *rule = &training->config->rule;
    if ((rule->mu_auto && training->config->training.events >= 2) || rule->gain_bound.most > 0) {
        progress.diagnostics.present |= DIAGNOSTIC_MU;
        progress.diagnostics.mu = state->mu_mean;
    }
    if (training->fit.config) {
        progress.diagnostics.present |= DIAGNOSTIC_FIT;
        progress.diagnostics.fit = *training->fit.report;
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
        state->streak = train_stop_met(&training->config->training, loss, accuracy) ? state->streak + 1 : 0;
        state->evaluated_iteration = state->iteration;
    }
    return progress_report(training);
}

static struct checkpoint_arrays training_arrays(struct training *training) {
    return (struct checkpoint_arrays){.network = &training->network,
                                      .optimizer = &training->optimizer,
                                      .averages = training->fit.config ? training->fit.kept : training->averages,
                                      .average_count = checkpoint_kept(training->config)};
}

static enum result checkpoint_report(struct training *training) {
    const struct network *network = &training->network;
    training->backend->ops->read(training->backend);
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

static double mu_now(const struct training *training) {
    const struct rule_config *rule = &training->config->rule;
    bool changes = rule->mu_auto || rule->gain_bound.most > 0;
    return changes ? training->state.mu_mean : rule->mu;
}

static void weights_load(struct training *training) {
    training->backend->ops->load(training->backend, training->optimizer.feedback, mu_now(training), training->averages);
}

static int64_t next_due(int64_t iteration, int64_t every) {
    return every > 0 ? every - iteration % every : INT64_MAX;
}

/* Iterations between what is made anew every so many; 0: never. */
static int64_t renewed_every(const struct rule_config *rule) {
    const struct tap_fit *fit = rule_fit(rule);
    return fit ? fit->every : rule->gain_bound.most > 0 ? rule->gain_bound.every : 0;
}

/*
 * What is made anew of the weights every so many iterations, before the evaluation, which reports it. A resumed job
 * makes it again, the same, or has it from its checkpoint.
 */
static enum result renew(struct training *training) {
    const struct rule_config *rule = &training->config->rule;
    if (rule->gain_bound.most > 0) {
        enum result result = bound_mu(training->backend, rule, training->optimizer.feedback, training->averages,
                                      &training->work, &training->state.mu_mean);
        if (result == RESULT_NO_MEMORY) {
            snprintf(training->error->text, sizeof training->error->text,
                     "out of memory for the credit gain of %d units", training->network.units);
        }
        return result;
    }
    const struct batch_options options = train_batch_options(training->config, &training->task.shape, NULL);
    const struct align_batch job = other_batch(training, &options);
    enum result result = fit_run(&training->fit, &job, training->state.iteration, training->error);
    if (result == RESULT_DONE) {
        weights_load(training);
    }
    return result;
}

/* Updates until something has to be looked at or reported. */
static int64_t updates_most(const struct training *training) {
    const struct training_config *config = &training->config->training;
    int64_t iteration = training->state.iteration, most = config->iterations - iteration,
            evaluation = next_due(iteration, config->evaluate_every),
            checkpoint = next_due(iteration, config->checkpoint_every),
            renewal = next_due(iteration, renewed_every(&training->config->rule));
    most = evaluation < most ? evaluation : most;
    most = renewal < most ? renewal : most;
    return checkpoint < most ? checkpoint : most;
}

static enum result updates_make(struct training *training) {
    struct train_state *state = &training->state;
    const int64_t before = state->iteration;
    struct backend_course course = {before, state->training_loss, state->mu_mean};
    enum result result = training->backend->ops->iterate(training->backend, updates_most(training), &course,
                                                         &training->work, &training->phases);
    state->iteration = course.iteration;
    state->training_loss = course.training_loss;
    state->mu_mean = course.mu_mean;
    if (result == RESULT_DIVERGED) {
        return diverged(training, "the training loss");
    }
    if (state->iteration > before && training->callbacks->iteration) {
        training->callbacks->iteration(training->callbacks->user, state->iteration);
    }
    return batch_end(training, result);
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
        if (due(training->state.iteration, renewed_every(&training->config->rule))) {
            result = renew(training);
        }
        if (result == RESULT_DONE && (training->state.iteration >= config->iterations ||
                                      due(training->state.iteration, config->evaluate_every))) {
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
            result = training_stopped(training) ? RESULT_STOPPED : updates_make(training);
        }
    }
    bool ordered = result == RESULT_STOPPED && atomic_load(&training->control->command) == TRAIN_STOP;
    if (result == RESULT_DONE || ordered) {
        enum result reported = checkpoint_report(training);
        result = reported == RESULT_DONE ? result : reported;
    }
    return result;
}

/* ---- making and releasing ---- */

static struct batch_options options_make(struct training *training, const struct rule_config *rule) {
    const struct train_config *config = training->config;
    struct batch_options options = train_batch_options(config, &training->task.shape, rule);
    options.count_psi = train_counts_psi(config);
    options.clock = training->callbacks ? training->callbacks->clock : NULL;
    options.clock_user = training->callbacks ? training->callbacks->user : NULL;
    return options;
}

static enum result gradients_make(struct training *training) {
    unsigned wanted = training->config->training.diagnostics;
    size_t parameters = training->network.parameters;
    if (wanted & DIAGNOSTIC_GRADIENT) {
        training->gradient = malloc(parameters * sizeof *training->gradient);
    }
    if (wanted & DIAGNOSTIC_COSINE) {
        training->exact_gradient = malloc(parameters * sizeof *training->exact_gradient);
    }
    if (wanted & DIAGNOSTIC_ALIGNMENT) {
        size_t count = (size_t)training->config->training.aligned_count;
        training->aligned_gradients = malloc(count * parameters * sizeof *training->aligned_gradients);
    }
    if ((training->gradient || !(wanted & DIAGNOSTIC_GRADIENT)) &&
        (training->aligned_gradients || !(wanted & DIAGNOSTIC_ALIGNMENT)) &&
        (training->exact_gradient || !(wanted & DIAGNOSTIC_COSINE))) {
        return RESULT_DONE;
    }
    snprintf(training->error->text, sizeof training->error->text,
             "out of memory for the diagnostics' gradients of %zu weights", parameters);
    return RESULT_NO_MEMORY;
}

/* The update that is next, where there is one. */
static enum result first_update_check(struct training *training, const struct backend_problem *problem) {
    const struct train_state *state = &training->state;
    const struct backend_course course = {state->iteration, state->training_loss, state->mu_mean};
    if (state->iteration >= training->config->training.iterations) {
        return RESULT_DONE;
    }
    return device_check(training->backend, problem, mu_now(training), training->averages, &course, &training->work,
                        training->error);
}

static enum result backends_make(struct training *training) {
    static const struct rule_config exact_rule = {.type = RULE_EXACT};
    const struct backend_ops *ops = backend_table[BACKEND_CPU];
    const struct rule_config *rule = training->fit.config ? &training->fit.rule : &training->config->rule;
    struct batch_options options = options_make(training, rule);
    struct backend_problem problem = {.network = &training->network,
                                      .options = &options,
                                      .team = training->team,
                                      .task = &training->task,
                                      .optimizer = &training->optimizer};
    enum result result = gradients_make(training);
    if (result != RESULT_DONE) {
        return result;
    }
    if (training->control->device) {
        options.device = training->control->device->number;
        training->backend = device_backend(&problem, training->config, training->control->device, &result,
                                           training->error);
        result = training->backend ? first_update_check(training, &problem) : result;
        if (result != RESULT_DONE) {
            return result;
        }
        if (training->control->device->decided) {
            training->control->device->decided(training->control->device->user);
        }
    }
    if (!training->backend) {
        training->backend = ops->create(&problem, &result, training->error);
    }
    if (!training->backend) {
        return result;
    }
    if (training->config->training.diagnostics & DIAGNOSTIC_COSINE) {
        options = train_batch_options(training->config, &training->task.shape, &exact_rule);
        problem.optimizer = NULL;
        training->exact = ops->create(&problem, &result, training->error);
        if (!training->exact) {
            return result;
        }
    }
    return RESULT_DONE;
}

static bool memory_make(struct training *training) {
    const struct train_config *config = training->config;
    size_t types = (size_t)training->network.types;
    if (!optimizer_init(&training->optimizer, &training->network, config)) {
        return false;
    }
    training->ids = calloc((size_t)config->training.batch_size, sizeof *training->ids);
    bool tracks = rule_is_averaged(&config->rule) && config->rule.tracking == TRACKING_INITIAL;
    if (tracks) {
        training->averages = calloc(2 * types * types, sizeof *training->averages);
    }
    if (rule_fit(&config->rule) && !fit_init(&training->fit, config, &training->task.shape, &training->network)) {
        return false;
    }
    struct checkpoint_arrays arrays = training_arrays(training);
    training->checkpoint_bytes = malloc(checkpoint_size(&arrays));
    training->team = team_create();
    return training->ids && training->checkpoint_bytes && training->team && (!tracks || training->averages);
}

static void training_release(struct training *training) {
    backend_destroy(training->backend);
    backend_destroy(training->exact);
    team_destroy(training->team);
    optimizer_release(&training->optimizer);
    network_release(&training->network);
    task_release(&training->task);
    free(training->ids);
    free(training->gradient);
    free(training->exact_gradient);
    free(training->aligned_gradients);
    fit_release(&training->fit);
    free(training->averages);
    free(training->checkpoint_bytes);
}

/*
 * A resumed job takes its weights from the checkpoint, so the initial ones, which cost an eigenvalue problem, are not
 * computed: zeros take their place.
 */
static enum result network_make(struct training *training, bool resumes) {
    const struct train_config *config = training->config;
    const struct task_shape *shape = &training->task.shape;
    return (resumes ? network_init_blank : network_init)(&training->network, &config->network, shape->inputs,
                                                         shape->outputs, config->seed, &training->work,
                                                         training->error->text);
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
    if (!checkpoint && config->rule.gain_bound.most > 0) {
        training->state.mu_mean = config->rule.mu;
    }
    if (!checkpoint && training->averages) {
        type_averages(&training->network, config->rule.averaging == AVERAGING_EXISTING, training->averages);
    }
    result = backends_make(training);
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

/* For one evaluation, the cost of its diagnostics besides the evaluated trials; `compared`: of other rules' gradients.
 */
static double diagnostics_work(const struct train_config *config, double rule, double compared) {
    unsigned wanted = config->training.diagnostics;
    return (wanted & DIAGNOSTIC_GRADIENT ? rule : 0) + compared +
           (wanted & DIAGNOSTIC_SPECTRAL_RADIUS ? eigen_radius_cost(config->network.units) : 0);
}

static void estimate_totals(const struct train_config *config, const struct task_shape *shape, double compared,
                            struct train_estimate *estimate) {
    const struct training_config *training = &config->training;
    double batch = training->batch_size, iterations = (double)training->iterations;
    int64_t every = training->evaluate_every > 0 ? training->evaluate_every : training->iterations;
    double evaluations = (double)((training->iterations - 1) / every + 2); /* at 0, and one more at the end */
    estimate->trial_multiply_adds = estimate->forward_multiply_adds / batch;
    estimate->training_multiply_adds = estimate->multiply_adds * iterations;
    estimate->evaluation_multiply_adds = evaluations *
                                         (estimate->trial_multiply_adds * (double)evaluated_trials(training, shape) +
                                          diagnostics_work(config, estimate->multiply_adds, compared));
}

/* Bytes that diagnostics take besides the second backend; `doubles` is W in double. */
static size_t diagnostics_memory(unsigned wanted, size_t parameters, size_t doubles) {
    size_t gradients = (wanted & DIAGNOSTIC_GRADIENT ? 1 : 0) + (wanted & DIAGNOSTIC_COSINE ? 1 : 0);
    return size_plus(wanted & DIAGNOSTIC_SPECTRAL_RADIUS ? doubles : 0,
                     size_times(size_times(gradients, parameters), sizeof(float)));
}

/* The cost of what is made before the first iteration: the task and the initial weights. */
static double start_work(const struct train_config *config, const struct task_shape *shape) {
    double (*init_work)(const struct task_config *) = task_table[config->task.type]->init_work;
    return (init_work ? init_work(&config->task) : 0) +
           network_init_cost(&config->network, shape->inputs, shape->outputs);
}

/* What the diagnostics take that look at other gradients than the job's own, or at its credit; per evaluation. */
struct compared {
    size_t bytes; /* and those of renewals */
    double multiply_adds;
    double renewal; /* an iteration's share of what is made anew every so many */
};

/* What is made anew every so many iterations takes; `multiply_adds` are an iteration's share. */
static bool renewal_plan(const struct train_config *config, const struct task_shape *shape, size_t *bytes,
                         double *multiply_adds, struct error *error) {
    const struct tap_fit *fit = rule_fit(&config->rule);
    *bytes = 0;
    *multiply_adds = 0;
    if (config->rule.gain_bound.most > 0) {
        bound_plan(backend_table[BACKEND_CPU], config->network.units, shape->steps, bytes, multiply_adds);
        *multiply_adds /= config->rule.gain_bound.every;
    }
    if (fit && !fit_plan(config, shape, bytes, multiply_adds, error)) {
        return false;
    }
    *multiply_adds /= fit ? fit->every : 1;
    return true;
}

static bool compared_plan(const struct train_config *config, const struct task_shape *shape, struct compared *compared,
                          struct error *error) {
    static const struct rule_config exact_rule = {.type = RULE_EXACT};
    const struct backend_ops *backend = backend_table[BACKEND_CPU];
    const struct backend_sizes sizes = train_backend_sizes(config, shape);
    const struct batch_options options = train_batch_options(config, shape, &exact_rule);
    struct backend_plan exact = {0};
    size_t aligned = 0, gain = 0;
    double aligned_work = 0, gain_work = 0;
    unsigned wanted = config->training.diagnostics;
    if ((wanted & DIAGNOSTIC_COSINE) && !backend->plan(&sizes, &options, &exact, error)) {
        return false;
    }
    if ((wanted & DIAGNOSTIC_ALIGNMENT) &&
        !align_plan(&sizes, &options, config->training.aligned, config->training.aligned_count, &aligned, &aligned_work,
                    error)) {
        return false;
    }
    if (wanted & DIAGNOSTIC_CREDIT_GAIN) {
        backend->credit_gain_plan(config->network.units, shape->steps, &gain, &gain_work);
    }
    size_t renewal;
    if (!renewal_plan(config, shape, &renewal, &compared->renewal, error)) {
        return false;
    }
    compared->bytes = size_plus(size_plus(exact.memory_bytes, renewal), size_plus(aligned, gain));
    compared->multiply_adds = exact.multiply_adds + aligned_work + gain_work;
    return true;
}

/* Updates of an iteration. */
static double updates_of(const struct train_config *config, const struct task_shape *shape) {
    int every = config->training.update_every;
    return every > 0 ? (double)((shape->steps - 1) / every + 1) : 1;
}

bool train_estimate_compute(const struct train_config *config, struct train_estimate *estimate, struct error *error) {
    struct training training = {.config = config};
    *error = (struct error){0};
    if (!task_table[config->task.type]->shape(&config->task, &training.task.shape, error->text)) {
        return false;
    }
    const struct task_shape *shape = &training.task.shape;
    const struct network_config *network = &config->network;
    struct batch_options options = options_make(&training, &config->rule);
    const struct backend_sizes sizes = train_backend_sizes(config, shape);
    struct backend_plan plan;
    if (!backend_table[BACKEND_CPU]->plan(&sizes, &options, &plan, error)) {
        return false;
    }
    struct compared compared = {0};
    if (!compared_plan(config, shape, &compared, error)) {
        return false;
    }
    size_t checkpoint = checkpoint_size_estimate(config, shape->inputs, shape->outputs);
    size_t square = size_times((size_t)network->units, (size_t)network->units),
           doubles = size_times(square, sizeof(double));
    /*
     * weights, gradient, optimiser state and a checkpoint's bytes; the initial weights' two matrices in double come and
     * go before the backend
     */
    size_t fixed = size_times(config->training.update_every > 0 ? 4 : 3, checkpoint),
           start = network->dale && !network->initial ? size_times(2, doubles) : 0;
    size_t parameters = network_parameters(network->units, shape->inputs, shape->outputs, network->bias);
    size_t running = size_plus(size_plus(plan.memory_bytes, compared.bytes),
                               diagnostics_memory(config->training.diagnostics, parameters, doubles));
    size_t memory = size_plus(fixed, running > start ? running : start);
    if (!size_possible(memory)) {
        snprintf(error->text, sizeof error->text,
                 "the memory for %d units, %d inputs and %d outputs is beyond what this machine can address",
                 network->units, shape->inputs, shape->outputs);
        return false;
    }
    double draw = shape->trial_work * config->training.batch_size;
    *estimate = (struct train_estimate){.memory_bytes = memory,
                                        .checkpoint_bytes = checkpoint,
                                        .multiply_adds = plan.multiply_adds + draw +
                                                         updates_of(config, shape) * optimizer_cost(parameters) +
                                                         compared.renewal,
                                        .forward_multiply_adds = plan.forward_multiply_adds + draw,
                                        .start_multiply_adds = start_work(config, shape),
                                        .threads_most = plan.threads_most,
                                        .method = plan.method};
    estimate_totals(config, shape, compared.multiply_adds, estimate);
    return true;
}
