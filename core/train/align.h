/*
 * Alignment: the gradients of several rules for one batch of a job's own task, and the cosines between them.
 *
 * Each rule gets a backend of its own for as long as its gradient takes, so memory is that of the rule that needs most.
 * Owner: the caller's thread.
 */
#ifndef MODPROP_CORE_ALIGN_H
#define MODPROP_CORE_ALIGN_H

#include "core/backend/backend.h"
#include "core/train/train.h"

/* A network in the course of training, and the batch; borrowed. */
struct align_batch {
    const struct train_config *config;
    const struct batch_options *options; /* of the job's batches; the rule is replaced */
    struct network *network;
    const struct task *task;
    const float *feedback; /* the job's F, (O,N), for rules whose feedback is not symmetric; NULL: it has none */
    struct team *team;
    struct work *work;
    const struct trial_id *ids; /* (options->trials) */
};

/*
 * Whether a rule can be compared in this job: a gradient alone has no running mean of psi and no first averages, and
 * random or adaptive feedback is the job's own or none. False with what `parameter` of the rule must be.
 */
bool align_suits(const struct train_config *config, const struct rule_config *rule, const char **parameter,
                 char error[256]);

/* The gradient of one rule for the batch. As align_run. */
enum result align_gradient(const struct align_batch *batch, const struct rule_config *rule, float *gradient,
                           struct batch_result *run, struct error *error);

/*
 * Writes the gradient of each rule, network->parameters floats one after the other, into `gradients`, their loss, and
 * how they compare. As backend_ops.trials, or RESULT_NO_MEMORY or RESULT_INVALID with a sentence.
 */
enum result align_run(const struct align_batch *batch, const struct rule_config *rules, int count, float *gradients,
                      double *loss, struct alignment *alignment, struct error *error);

/* The same for a checkpoint: the job's training trials of the checkpoint's iteration, with the weights that it has. */
struct align_request {
    const struct rule_config *rules;
    int count;
    int threads;
    int64_t memory; /* bytes that history may take */
};
struct align_answer {
    int64_t iteration;
    double loss;
    struct alignment alignment;
};
enum result align_checkpoint(const struct train_config *config, const unsigned char *checkpoint, size_t size,
                             const struct align_request *request, bool (*stop)(void *user), void *user,
                             struct align_answer *answer, struct error *error);
/* Multiply-adds of it. False, with `error`, if a rule does not fit. */
bool align_cost(const struct train_config *config, const struct align_request *request, double *multiply_adds,
                struct error *error);

/* What it takes of memory, gradients included, and in multiply-adds. False as backend_ops.plan. */
bool align_plan(const struct backend_sizes *sizes, const struct batch_options *options, const struct rule_config *rules,
                int count, size_t *bytes, double *multiply_adds, struct error *error);

#endif
