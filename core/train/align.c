/* Alignment: see align.h. */
#include "core/train/align.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/size.h"
#include "core/model/optimizer.h"
#include "core/rules/rules.h"
#include "core/train/batch.h"
#include "core/train/checkpoint.h"

bool align_suits(const struct train_config *config, const struct rule_config *rule, const char **parameter,
                 char error[256]) {
    if (rule->mu_auto) {
        *parameter = "mu";
        snprintf(error, 256, "must not be \"auto\" here: the running mean is that of training, and one batch has none");
        return false;
    }
    if (rule->gain_bound.most > 0) {
        *parameter = "mu";
        snprintf(error, 256, "must be a number or a list here: a bound on the gain rescales mu in training alone");
        return false;
    }
    if (rule_fit(rule)) {
        *parameter = "taps";
        snprintf(error, 256, "must be given here: a fit belongs to training");
        return false;
    }
    if (rule_is_averaged(rule) && rule->tracking == TRACKING_INITIAL) {
        *parameter = "tracking";
        snprintf(error, 256, "must be \"current\" here: the first averages are kept for the job's own rule alone");
        return false;
    }
    if (rule->feedback != FEEDBACK_SYMMETRIC && config->rule.feedback == FEEDBACK_SYMMETRIC) {
        *parameter = "feedback";
        snprintf(error, 256, "must be \"symmetric\" where the job's own is: there are no other feedback weights");
        return false;
    }
    return true;
}

static void part_find(const struct network *network, enum alignment_part part, size_t *from, size_t *count) {
    const size_t ends[] = {network->offset_W,    network->offset_Win,  network->offset_b,
                           network->offset_Wout, network->offset_bout, network->parameters};
    bool whole = part == ALIGNMENT_ALL;
    *from = whole ? 0 : ends[part];
    *count = whole ? network->parameters : ends[part + 1] - ends[part];
}

static double dot(const float *a, const float *b, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += (double)a[i] * (double)b[i];
    }
    return sum;
}

static void compare(const struct network *network, const float *gradients, struct alignment *alignment) {
    for (int part = 0; part < ALIGNMENT_PARTS; part++) {
        size_t from, count;
        part_find(network, (enum alignment_part)part, &from, &count);
        for (int i = 0; i < alignment->count; i++) {
            const float *a = gradients + (size_t)i * network->parameters + from;
            alignment->norms[part][i] = count > 0 ? sqrt(dot(a, a, count)) : NAN;
            for (int k = 0; k <= i; k++) {
                const float *b = gradients + (size_t)k * network->parameters + from;
                double norms = alignment->norms[part][i] * alignment->norms[part][k];
                double cosine = norms > 0 ? fmax(-1, fmin(1, dot(a, b, count) / norms)) : NAN;
                alignment->cosines[part][i][k] = alignment->cosines[part][k][i] = cosine;
            }
        }
    }
}

enum result align_gradient(const struct align_batch *batch, const struct rule_config *rule, float *gradient,
                           struct batch_result *run, struct error *error) {
    const struct backend_ops *ops = backend_table[BACKEND_CPU];
    struct batch_options options = *batch->options;
    options.rule = rule;
    options.clock = NULL;
    options.count_psi = false;
    const struct backend_problem problem = {
        .network = batch->network, .options = &options, .team = batch->team, .task = batch->task};
    enum result result;
    struct backend *backend = ops->create(&problem, &result, error);
    if (!backend) {
        return result;
    }
    ops->load(backend, rule->feedback == FEEDBACK_SYMMETRIC ? NULL : batch->feedback, rule->mu, NULL);
    result = ops->trials(backend, batch->ids, options.trials, gradient, batch->work, run);
    backend_destroy(backend);
    if (result == RESULT_NO_MEMORY || result == RESULT_INVALID) {
        snprintf(error->text, sizeof error->text, "%s",
                 result == RESULT_INVALID ? BATCH_CLASS_INVALID : "out of memory for a gradient to compare");
    }
    return result;
}

enum result align_run(const struct align_batch *batch, const struct rule_config *rules, int count, float *gradients,
                      double *loss, struct alignment *alignment, struct error *error) {
    *alignment = (struct alignment){.count = count};
    for (int i = 0; i < count; i++) {
        struct batch_result run = {0};
        enum result result = align_gradient(batch, &rules[i], gradients + (size_t)i * batch->network->parameters, &run,
                                            error);
        if (result != RESULT_DONE) {
            return result;
        }
        alignment->rules[i] = rules[i].type;
        *loss = run.loss;
    }
    compare(batch->network, gradients, alignment);
    return RESULT_DONE;
}

bool align_plan(const struct backend_sizes *sizes, const struct batch_options *options, const struct rule_config *rules,
                int count, size_t *bytes, double *multiply_adds, struct error *error) {
    size_t parameters = network_parameters(sizes->units, sizes->inputs, sizes->outputs, sizes->bias), most = 0;
    *multiply_adds = 0;
    for (int i = 0; i < count; i++) {
        struct batch_options one = *options;
        struct backend_plan plan;
        one.rule = &rules[i];
        if (!backend_table[BACKEND_CPU]->plan(sizes, &one, &plan, error)) {
            return false;
        }
        most = plan.memory_bytes > most ? plan.memory_bytes : most;
        *multiply_adds += plan.multiply_adds;
    }
    *bytes = size_plus(most, size_times(size_times((size_t)count, parameters), sizeof(float)));
    return true;
}

/* ---- from a checkpoint ---- */

struct aligned {
    struct task task;
    struct network network;
    struct optimizer optimizer;
    struct team *team;
    struct trial_id *ids;
    float *gradients;
    double *kept; /* what the checkpoint has of averages or a fit */
    struct work work;
};

static void aligned_release(struct aligned *aligned) {
    team_destroy(aligned->team);
    optimizer_release(&aligned->optimizer);
    network_release(&aligned->network);
    task_release(&aligned->task);
    free(aligned->ids);
    free(aligned->gradients);
    free(aligned->kept);
}

static enum result aligned_make(struct aligned *aligned, const struct train_config *config,
                                const struct align_request *request, struct error *error) {
    enum result result = task_init(&aligned->task, &config->task, config->seed, &aligned->work, error->text);
    const struct task_shape *shape = &aligned->task.shape;
    if (result == RESULT_DONE) {
        result = network_init_blank(&aligned->network, &config->network, shape->inputs, shape->outputs, config->seed,
                                    &aligned->work, error->text);
    }
    if (result != RESULT_DONE) {
        return result;
    }
    size_t count = (size_t)request->count;
    aligned->team = team_create();
    aligned->ids = calloc((size_t)config->training.batch_size, sizeof *aligned->ids);
    aligned->gradients = malloc(count * aligned->network.parameters * sizeof *aligned->gradients);
    aligned->kept = calloc(checkpoint_kept(config) + 1, sizeof *aligned->kept);
    if (!aligned->team || !aligned->ids || !aligned->gradients || !aligned->kept ||
        !optimizer_init(&aligned->optimizer, &aligned->network, config)) {
        snprintf(error->text, sizeof error->text, "out of memory for %zu gradients", count);
        return RESULT_NO_MEMORY;
    }
    team_resize(aligned->team, request->threads);
    return RESULT_DONE;
}

static enum result aligned_run(struct aligned *aligned, const struct train_config *config,
                               const struct align_request *request, struct align_answer *answer, struct error *error) {
    struct batch_options options = train_batch_options(config, &aligned->task.shape, NULL);
    options.memory = request->memory;
    for (int i = 0; i < options.trials; i++) {
        aligned->ids[i] = (struct trial_id){TRIAL_TRAINING, answer->iteration, (size_t)i};
    }
    const struct align_batch batch = {.config = config,
                                      .options = &options,
                                      .network = &aligned->network,
                                      .task = &aligned->task,
                                      .feedback = aligned->optimizer.feedback,
                                      .team = aligned->team,
                                      .work = &aligned->work,
                                      .ids = aligned->ids};
    return align_run(&batch, request->rules, request->count, aligned->gradients, &answer->loss, &answer->alignment,
                     error);
}

enum result align_checkpoint(const struct train_config *config, const unsigned char *checkpoint, size_t size,
                             const struct align_request *request, bool (*stop)(void *user), void *user,
                             struct align_answer *answer, struct error *error) {
    struct aligned aligned = {.work = {.stop = stop, .user = user}};
    struct train_state state;
    *error = (struct error){0};
    enum result result = aligned_make(&aligned, config, request, error);
    if (result == RESULT_DONE) {
        const struct checkpoint_arrays arrays = {.network = &aligned.network,
                                                 .optimizer = &aligned.optimizer,
                                                 .averages = aligned.kept,
                                                 .average_count = checkpoint_kept(config)};
        if (!checkpoint_read(config, checkpoint, size, &state, &arrays, error)) {
            result = RESULT_BAD_CHECKPOINT;
        } else {
            answer->iteration = state.iteration;
            result = aligned_run(&aligned, config, request, answer, error);
        }
    }
    aligned_release(&aligned);
    return result;
}

bool align_cost(const struct train_config *config, const struct align_request *request, double *multiply_adds,
                struct error *error) {
    struct task_shape shape;
    size_t bytes;
    *error = (struct error){0};
    if (!task_table[config->task.type]->shape(&config->task, &shape, error->text)) {
        return false;
    }
    const struct backend_sizes sizes = train_backend_sizes(config, &shape);
    struct batch_options options = train_batch_options(config, &shape, NULL);
    options.memory = request->memory;
    return align_plan(&sizes, &options, request->rules, request->count, &bytes, multiply_adds, error);
}
