/* A job's fitted taps: when they are made, from which trials, and how they do. See fit.h. */
#include "core/train/fit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/size.h"
#include "core/train/batch.h"
#include "core/train/checkpoint.h"

enum { GRADIENTS = 3 };

/* ---- scores ---- */

static double total(const double *bins) {
    double sum = 0;
    for (int i = 0; i < LAG_BINS; i++) {
        sum += bins[i];
    }
    return sum;
}

void fit_score_make(const struct tape_sums *sums, struct fit_score *score) {
    double energy = total(sums->energy), cross = total(sums->cross), square = total(sums->square);
    const double *reached = sums->reached;
    *score = (struct fit_score){.share = sums_share(energy, cross, square),
                                .cosine = sums_cosine(energy, cross, square),
                                .share_reached = sums_share(reached[0], reached[1], reached[2]),
                                .cosine_reached = sums_cosine(reached[0], reached[1], reached[2]),
                                .cosine_dW = NAN,
                                .share_dW = NAN,
                                .cosine_dW_nonlocal = NAN};
    for (int i = 0; i < LAG_BINS; i++) {
        score->energy[i] = energy > 0 ? sums->energy[i] / energy : 0;
        score->share_lag[i] = sums_share(sums->energy[i], sums->cross[i], sums->square[i]);
        score->cosine_lag[i] = sums_cosine(sums->energy[i], sums->cross[i], sums->square[i]);
    }
}

void fit_gradients_compare(const struct network *network, const float *rule, const float *eprop, const float *bptt,
                           struct fit_score *score) {
    size_t from = network->offset_W, count = (size_t)network->units * (size_t)network->units;
    double whole[3] = {0}, nonlocal[3] = {0};
    for (size_t i = from; i < from + count; i++) {
        double f = (double)rule[i], e = (double)eprop[i], b = (double)bptt[i];
        whole[0] += b * b;
        whole[1] += f * b;
        whole[2] += f * f;
        nonlocal[0] += (b - e) * (b - e);
        nonlocal[1] += (f - e) * (b - e);
        nonlocal[2] += (f - e) * (f - e);
    }
    score->cosine_dW = sums_cosine(whole[0], whole[1], whole[2]);
    score->share_dW = sums_share(nonlocal[0], nonlocal[1], nonlocal[2]);
    score->cosine_dW_nonlocal = sums_cosine(nonlocal[0], nonlocal[1], nonlocal[2]);
}

/* ---- batches ---- */

static void ids_make(const struct align_batch *job, int64_t iteration, size_t first, int count, struct trial_id *ids) {
    for (int i = 0; i < count; i++) {
        size_t trial = (size_t)job->config->training.batch_size + first + (size_t)i;
        ids[i] = (struct trial_id){TRIAL_TRAINING, iteration, trial};
    }
}

enum result fit_tape_fill(struct tape *tape, const struct align_batch *job, struct trial_id *ids,
                          enum feedback feedback, int64_t iteration, size_t first, float *gradient,
                          struct error *error) {
    const struct rule_config exact = {.type = RULE_EXACT, .feedback = feedback};
    struct batch_options options = *job->options;
    struct align_batch batch = *job;
    struct batch_result run = {0};
    options.trials = tape->trials;
    options.credit = tape_note;
    options.credit_user = tape;
    batch.options = &options;
    batch.ids = ids;
    ids_make(job, iteration, first, tape->trials, ids);
    tape_clear(tape);
    enum result result = align_gradient(&batch, &exact, gradient, &run, error);
    tape_finish(tape);
    return result;
}

/* ---- a job's fit ---- */

struct rule_shape fit_shape(const struct train_config *config, const struct task_shape *shape) {
    return (struct rule_shape){.units = config->network.units,
                               .types = network_types_count(&config->network),
                               .steps = shape->steps,
                               .losses = shape->steps - shape->mask_from,
                               .neuron = config->network.neuron,
                               .readout_leaks = config->network.readout_tau.set};
}

bool fit_init(struct fit *fit, const struct train_config *config, const struct task_shape *shape,
              const struct network *network) {
    *fit = (struct fit){.rule = config->rule, .shape = fit_shape(config, shape)};
    fit->config = rule_fit(&config->rule);
    fit->kept = calloc(checkpoint_kept(config), sizeof *fit->kept);
    fit->ids = calloc((size_t)fit->config->trials, sizeof *fit->ids);
    fit->gradients = malloc(size_times(GRADIENTS, size_times(network->parameters, sizeof *fit->gradients)));
    fit->report = (struct fit_report *)(void *)fit->kept;
    fit->taps = fit->kept ? fit->kept + REPORT_DOUBLES : NULL;
    rule_table[fit->rule.type]->fitted(&fit->rule, fit->config, fit->taps);
    bool taped = tape_init(&fit->tape, shape->steps, fit->config->trials, network->types, network->units,
                           network->type_of_unit);
    return fit->kept && fit->ids && fit->gradients && taped;
}

void fit_release(struct fit *fit) {
    if (fit) {
        free(fit->kept);
        free(fit->ids);
        free(fit->gradients);
        tape_release(&fit->tape);
        *fit = (struct fit){0};
    }
}

/* How the rule with its new taps does on the batch of the tape, whose gradient of bptt is the first. */
static enum result gradients_measure(struct fit *fit, const struct align_batch *job, struct error *error) {
    const struct rule_config eprop = {
        .type = RULE_EPROP, .feedback = fit->rule.feedback, .feedback_decay = fit->rule.feedback_decay};
    struct batch_options options = *job->options;
    struct align_batch batch = *job;
    struct batch_result run = {0};
    size_t parameters = job->network->parameters;
    options.trials = fit->tape.trials;
    batch.options = &options;
    batch.ids = fit->ids;
    float *of_eprop = fit->gradients + parameters, *of_rule = of_eprop + parameters;
    enum result result = align_gradient(&batch, &eprop, of_eprop, &run, error);
    if (result == RESULT_DONE) {
        result = align_gradient(&batch, &fit->rule, of_rule, &run, error);
    }
    if (result == RESULT_DONE) {
        fit_gradients_compare(job->network, of_rule, of_eprop, fit->gradients, &fit->report->unseen);
    }
    return result;
}

static enum result taps_make(struct fit *fit, const struct align_batch *job, struct error *error) {
    enum result result = fit_solve(&fit->tape, fit->config, fit_decouples(fit->config, &fit->shape), job->team,
                                   job->work, fit->taps);
    if (result == RESULT_NO_MEMORY) {
        snprintf(error->text, sizeof error->text, "out of memory for a fit of %.0f unknowns a type",
                 fit_unknowns(fit->config, &fit->shape));
    }
    return result;
}

/* Score of the taps on the tape. */
static enum result tape_score(struct fit *fit, const struct align_batch *job, struct fit_score *score) {
    struct tape_sums sums;
    if (!tape_measure(&fit->tape, fit->taps, fit->config->steps, job->team, job->work, &sums)) {
        return RESULT_STOPPED;
    }
    fit_score_make(&sums, score);
    return RESULT_DONE;
}

enum result fit_run(struct fit *fit, const struct align_batch *job, int64_t iteration, struct error *error) {
    struct fit_score seen;
    size_t trials = (size_t)fit->config->trials;
    enum feedback feedback = fit->rule.feedback;
    enum result result = fit_tape_fill(&fit->tape, job, fit->ids, feedback, iteration, 0, fit->gradients, error);
    result = result == RESULT_DONE ? taps_make(fit, job, error) : result;
    result = result == RESULT_DONE ? tape_score(fit, job, &seen) : result;
    if (result == RESULT_DONE) {
        fit->report->share = seen.share;
        result = fit_tape_fill(&fit->tape, job, fit->ids, feedback, iteration, trials, fit->gradients, error);
    }
    result = result == RESULT_DONE ? tape_score(fit, job, &fit->report->unseen) : result;
    return result == RESULT_DONE ? gradients_measure(fit, job, error) : result;
}

/* ---- what it takes ---- */

bool fit_plan(const struct train_config *config, const struct task_shape *shape, size_t *bytes, double *multiply_adds,
              struct error *error) {
    const struct tap_fit *fit = rule_fit(&config->rule);
    const struct rule_config rules[GRADIENTS] = {{.type = RULE_EXACT}, {.type = RULE_EPROP}, config->rule};
    const struct backend_sizes sizes = train_backend_sizes(config, shape);
    const struct rule_shape rule_shape = fit_shape(config, shape);
    struct batch_options options = train_batch_options(config, shape, NULL);
    size_t gradients = 0;
    double batches = 0, exact = 0;
    options.trials = fit->trials;
    options.credit = tape_note;
    if (!align_plan(&sizes, &options, rules, GRADIENTS, &gradients, &batches, error) ||
        !align_plan(&sizes, &options, rules, 1, &(size_t){0}, &exact, error)) {
        return false;
    }
    bool decouples = fit_decouples(fit, &rule_shape);
    double cells = (double)fit->trials * shape->steps;
    int live = rule_shape.readout_leaks ? shape->steps : rule_shape.losses;
    size_t tape = tape_bytes(shape->steps, fit->trials, rule_shape.types),
           ids = size_times((size_t)fit->trials, sizeof(struct trial_id));
    *bytes = size_plus(size_plus(gradients, size_plus(tape, ids)),
                       size_plus(fit_solve_bytes(fit, decouples, rule_shape.types, fit->trials),
                                 size_times(checkpoint_kept(config), sizeof(double))));
    /* the batch that is fitted to and the other, each with a hop more and its tape */
    *multiply_adds = batches + exact +
                     2 * cells * ((double)rule_shape.units * rule_shape.units + 4 * rule_shape.units) +
                     fit_solve_cost(fit, decouples, rule_shape.types, fit->trials, shape->steps) +
                     2 * tape_measure_cost(shape->steps, fit->trials, rule_shape.types, fit->steps, live);
    return true;
}
