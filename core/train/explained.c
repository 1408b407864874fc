/* Filters explained: see explained.h. */
#include "core/train/explained.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/size.h"
#include "core/rules/rules.h"
#include "core/train/batch.h"
#include "core/train/fit.h"

enum { GRADIENTS = 3 }; /* bptt's, eprop's and a filter's */

/* The job with types of another number. */
static struct train_config typed(const struct train_config *config, const struct explain_request *request, int index) {
    struct train_config other = *config;
    if (request->types_count > 0) {
        other.network.types_per_sign = request->types_per_sign[index];
        other.network.type_of_unit = NULL;
        other.network.types = 0;
        other.network.types_shuffled = false;
    }
    other.rule = (struct rule_config){.type = RULE_FILTER};
    other.training.memory = EXPLAINED_HISTORY;
    return other;
}

static int types_answers(const struct explain_request *request) {
    return request->types_count > 0 ? request->types_count : 1;
}

static struct tap_fit fit_of(const struct explain_request *request, int index) {
    struct tap_fit fit = request->fit;
    fit.steps = request->steps[index];
    return fit;
}

/* ---- what all numbers of types share ---- */

struct opened {
    const struct train_config *config;
    const struct explain_request *request;
    const struct trained *trained;
    struct work *work;
    struct task task;
    struct team *team;
    struct trial_id *ids;
    float *gradients;
    double *taps; /* (steps of all answers of one number of types, C, C) */
};

static void opened_release(struct opened *opened) {
    team_destroy(opened->team);
    task_release(&opened->task);
    free(opened->ids);
    free(opened->gradients);
    free(opened->taps);
}

static enum result opened_make(struct opened *opened, struct error *error) {
    const struct train_config *config = opened->config;
    enum result result = task_init(&opened->task, &config->task, config->seed, opened->work, error->text);
    if (result != RESULT_DONE) {
        return result;
    }
    opened->team = team_create();
    opened->ids = calloc((size_t)opened->request->fit.trials, sizeof *opened->ids);
    opened->gradients = malloc(
        size_times(GRADIENTS, size_times(opened->trained->parameters, sizeof *opened->gradients)));
    if (!opened->team || !opened->ids || !opened->gradients) {
        snprintf(error->text, sizeof error->text, "out of memory for the gradients of %d units", config->network.units);
        return RESULT_NO_MEMORY;
    }
    team_resize(opened->team, opened->request->threads);
    return RESULT_DONE;
}

/* ---- one number of types ---- */

struct explaining {
    struct opened *opened;
    struct train_config config; /* with these types */
    struct network network;
    struct tape tape;
    struct rule_shape shape;
    struct batch_options options;
    struct align_batch batch;
    struct explained *answers; /* (steps_count) */
    double *modprop;           /* ModProp's taps; the longest begin with all others */
    struct error *error;
};

static double *taps_at(const struct explaining *explaining, int index) {
    size_t square = (size_t)explaining->network.types * (size_t)explaining->network.types, before = 0;
    for (int i = 0; i < index; i++) {
        before += (size_t)explaining->opened->request->steps[i];
    }
    return explaining->opened->taps + before * square;
}

static size_t steps_sum(const struct explain_request *request, int *most) {
    size_t sum = 0;
    *most = 0;
    for (int i = 0; i < request->steps_count; i++) {
        sum += (size_t)request->steps[i];
        *most = request->steps[i] > *most ? request->steps[i] : *most;
    }
    return sum;
}

static enum result score(struct explaining *explaining, const double *taps, int steps, struct fit_score *score) {
    struct opened *opened = explaining->opened;
    struct tape_sums sums;
    if (!tape_measure(&explaining->tape, taps, steps, opened->team, opened->work, &sums)) {
        return RESULT_STOPPED;
    }
    fit_score_make(&sums, score);
    return RESULT_DONE;
}

/* Fits all numbers of steps to the first batch. */
static enum result answers_fit(struct explaining *explaining) {
    struct opened *opened = explaining->opened;
    enum result result = fit_tape_fill(&explaining->tape, &explaining->batch, opened->ids, FEEDBACK_SYMMETRIC,
                                       opened->trained->iteration, 0, opened->gradients, explaining->error);
    for (int i = 0; i < opened->request->steps_count && result == RESULT_DONE; i++) {
        const struct tap_fit fit = fit_of(opened->request, i);
        struct fit_score seen = {0};
        double *taps = taps_at(explaining, i);
        result = fit_solve(&explaining->tape, &fit, fit_decouples(&fit, &explaining->shape), opened->team, opened->work,
                           taps);
        if (result == RESULT_NO_MEMORY) {
            snprintf(explaining->error->text, sizeof explaining->error->text, "out of memory for a fit of %d steps",
                     fit.steps);
        }
        result = result == RESULT_DONE ? score(explaining, taps, fit.steps, &seen) : result;
        explaining->answers[i] = (struct explained){
            .types = explaining->network.types, .steps = fit.steps, .share_seen = seen.share};
    }
    return result;
}

/* A score with that of the gradient, whose bptt and eprop are there. */
static enum result taps_test(struct explaining *explaining, const struct tap_fit *fit, const double *taps,
                             struct fit_score *to) {
    float *bptt = explaining->opened->gradients, *eprop = bptt + explaining->network.parameters,
          *own = eprop + explaining->network.parameters;
    struct rule_config rule = explaining->config.rule;
    struct batch_result run = {0};
    rule_table[rule.type]->fitted(&rule, fit, taps);
    enum result result = score(explaining, taps, fit->steps, to);
    result = result == RESULT_DONE ? align_gradient(&explaining->batch, &rule, own, &run, explaining->error) : result;
    if (result == RESULT_DONE) {
        fit_gradients_compare(&explaining->network, own, eprop, bptt, to);
    }
    return result;
}

static enum result taps_keep(struct explaining *explaining, int index) {
    struct explained *answer = &explaining->answers[index];
    size_t count = (size_t)answer->steps * (size_t)answer->types * (size_t)answer->types;
    answer->taps = malloc(count * sizeof *answer->taps);
    if (!answer->taps) {
        snprintf(explaining->error->text, sizeof explaining->error->text, "out of memory for %zu taps", count);
        return RESULT_NO_MEMORY;
    }
    memcpy(answer->taps, taps_at(explaining, index), count * sizeof *answer->taps);
    return RESULT_DONE;
}

/* Tests all on the second batch. */
static enum result answers_test(struct explaining *explaining, bool has_modprop) {
    struct opened *opened = explaining->opened;
    const struct explain_request *request = opened->request;
    const struct rule_config eprop = {.type = RULE_EPROP};
    struct batch_result run = {0};
    enum result result = fit_tape_fill(&explaining->tape, &explaining->batch, opened->ids, eprop.feedback,
                                       opened->trained->iteration, (size_t)request->fit.trials, opened->gradients,
                                       explaining->error);
    explaining->batch.ids = opened->ids; /* now those of this batch */
    if (result == RESULT_DONE) {
        result = align_gradient(&explaining->batch, &eprop, opened->gradients + explaining->network.parameters, &run,
                                explaining->error);
    }
    for (int i = 0; i < request->steps_count && result == RESULT_DONE; i++) {
        const struct tap_fit fit = fit_of(request, i);
        struct explained *answer = &explaining->answers[i];
        answer->has_modprop = has_modprop;
        result = taps_test(explaining, &fit, taps_at(explaining, i), &answer->fitted);
        if (result == RESULT_DONE && has_modprop) {
            result = taps_test(explaining, &fit, explaining->modprop, &answer->modprop);
        }
        if (result == RESULT_DONE && request->keep_taps && request->types_count <= 1) {
            result = taps_keep(explaining, i);
        }
    }
    return result;
}

static enum result explaining_make(struct explaining *explaining) {
    struct opened *opened = explaining->opened;
    const struct task_shape *shape = &opened->task.shape;
    const struct explain_request *request = opened->request;
    enum result result = network_init_blank(&explaining->network, &explaining->config.network, shape->inputs,
                                            shape->outputs, explaining->config.seed, opened->work,
                                            explaining->error->text);
    if (result != RESULT_DONE) {
        return result;
    }
    struct network *network = &explaining->network;
    memcpy(network->weights, opened->trained->W, network->parameters * sizeof *network->weights);
    int most;
    size_t square = (size_t)network->types * (size_t)network->types, steps = steps_sum(request, &most);
    free(opened->taps);
    opened->taps = malloc(size_times(steps + (size_t)most, square * sizeof *opened->taps));
    explaining->modprop = opened->taps ? opened->taps + steps * square : NULL;
    if (!opened->taps || !tape_init(&explaining->tape, shape->steps, request->fit.trials, network->types,
                                    network->units, network->type_of_unit)) {
        snprintf(explaining->error->text, sizeof explaining->error->text, "out of memory for filters between %d types",
                 network->types);
        return RESULT_NO_MEMORY;
    }
    explaining->shape = fit_shape(&explaining->config, shape);
    explaining->options = train_batch_options(&explaining->config, shape, NULL);
    explaining->options.trials = request->fit.trials;
    explaining->batch = (struct align_batch){.config = &explaining->config,
                                             .options = &explaining->options,
                                             .network = network,
                                             .task = &opened->task,
                                             .team = opened->team,
                                             .work = opened->work,
                                             .ids = opened->ids};
    return RESULT_DONE;
}

static enum result types_explain(struct opened *opened, int index, struct explained *answers, struct error *error) {
    struct explaining explaining = {
        .opened = opened, .config = typed(opened->config, opened->request, index), .answers = answers, .error = error};
    int most;
    (void)steps_sum(opened->request, &most);
    enum result result = explaining_make(&explaining), modprop = RESULT_DONE;
    if (result == RESULT_DONE) {
        modprop = fit_modprop_taps(&explaining.network, opened->request->mu, most, explaining.modprop, opened->work);
        result = modprop == RESULT_INVALID ? RESULT_DONE : modprop;
    }
    result = result == RESULT_DONE ? answers_fit(&explaining) : result;
    result = result == RESULT_DONE ? answers_test(&explaining, modprop == RESULT_DONE) : result;
    tape_release(&explaining.tape);
    network_release(&explaining.network);
    return result;
}

enum result explain(const struct train_config *config, const struct trained *trained,
                    const struct explain_request *request, struct work *work, struct explained *answers,
                    struct error *error) {
    struct opened opened = {.config = config, .request = request, .trained = trained, .work = work};
    int types = types_answers(request), count = types * request->steps_count;
    memset(answers, 0, (size_t)count * sizeof *answers);
    *error = (struct error){0};
    enum result result = opened_make(&opened, error);
    for (int i = 0; i < types && result == RESULT_DONE; i++) {
        result = types_explain(&opened, i, answers + i * request->steps_count, error);
    }
    opened_release(&opened);
    if (result != RESULT_DONE) {
        explained_release(answers, count);
    }
    return result;
}

void explained_release(struct explained *answers, int count) {
    for (int i = 0; i < count; i++) {
        free(answers[i].taps);
        answers[i].taps = NULL;
    }
}

/* ---- what it takes ---- */

static bool types_plan(const struct train_config *config, const struct explain_request *request,
                       const struct task_shape *shape, size_t *bytes, double *multiply_adds, struct error *error) {
    int most;
    const size_t types = (size_t)network_types_count(&config->network), square = size_times(types, types);
    *bytes = size_plus(
        tape_bytes(shape->steps, request->fit.trials, (int)types),
        size_times(size_times(2, steps_sum(request, &most)) + (size_t)most, size_times(square, sizeof(double))));
    *multiply_adds = (double)square * (double)types * most;
    for (int i = 0; i < request->steps_count; i++) {
        const struct tap_fit fit = fit_of(request, i);
        struct train_config one = *config;
        size_t taken;
        double work;
        rule_table[one.rule.type]->fitted(&one.rule, &fit, NULL);
        if (!fit_plan(&one, shape, &taken, &work, error)) {
            return false;
        }
        *bytes = size_plus(*bytes, taken);
        *multiply_adds += 2 * work; /* ModProp's taps are tested as the fitted ones are */
    }
    return true;
}

bool explain_plan(const struct train_config *config, const struct explain_request *request, size_t *bytes,
                  double *multiply_adds, struct error *error) {
    struct task_shape shape;
    *error = (struct error){0};
    *bytes = 0;
    *multiply_adds = 0;
    if (!task_table[config->task.type]->shape(&config->task, &shape, error->text)) {
        return false;
    }
    for (int i = 0; i < types_answers(request); i++) {
        struct train_config one = typed(config, request, i);
        size_t taken;
        double work;
        if (!types_plan(&one, request, &shape, &taken, &work, error)) {
            return false;
        }
        *bytes = taken > *bytes ? taken : *bytes;
        *multiply_adds += work;
    }
    return true;
}
