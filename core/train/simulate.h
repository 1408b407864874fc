/*
 * Runs a network forward, without a gradient, on trials of a task or on given inputs: what POST /v1/jobs/{id}/simulate
 * and /evaluate ask for. Both are the same run; a simulation keeps what happened at some steps, an evaluation keeps
 * nothing but the loss.
 *
 * The network is a job's: its leaks, cell types, activation. Its weights are the trained ones, or some of one's own,
 * which are taken as they are, autapses and synapses beyond the job's connectivity included. A silenced unit neither
 * receives nor sends: its rate is 0. A cut synapse has the weight 0. Noise is added to the current of every unit that
 * is not silenced, at every step: noise * n(seed, t, trial, unit), standard normal numbers of the counter
 * (RANDOM_CURRENT), so that the same request gives the same noise on every host and number of threads, and the noise of
 * a trial does not depend on which others are run.
 *
 * Trials run in batches of the job's batch_size, as its own evaluations do: all trials of a test split give the loss
 * and the accuracy of the job's evaluation to the last bit.
 */
#ifndef MODPROP_CORE_SIMULATE_H
#define MODPROP_CORE_SIMULATE_H

#include "core/model/config.h"
#include "core/tasks/task.h"
#include "core/train/train.h"

enum simulate_split {
    SIMULATE_FRESH,   /* evaluation trials of the request's seed */
    SIMULATE_TEST,    /* the test split, in order */
    SIMULATE_TRAINING /* the training split, in order */
};

struct simulate_request {
    int steps;      /* T; the task's own where inputs are not given */
    size_t trials;  /* B */
    int inputs;     /* I of x; ignored where it is NULL */
    const float *x; /* (T,B,I) given inputs, or NULL: trials of the task */
    uint64_t seed;  /* of fresh trials, and of noise */
    enum simulate_split split;
    size_t first;         /* trials first .. first+B-1 of the split */
    const int32_t *units; /* (unit_count) units whose rates are requested */
    int unit_count;
    int every;   /* every how many steps values are kept, step 0 first; 0: nothing is kept */
    bool binned; /* inputs, rates and outputs are means over the steps from one kept step to the next: the arrays hold 0
                    before, and are added to */

    const struct weights_view *weights; /* of one's own; NULL: the trained ones */
    const int32_t *silenced;            /* (silenced_count) units */
    int silenced_count;
    const int32_t *cut; /* (cut_count, 2) synapses of W: from, to */
    int cut_count;
    double noise; /* standard deviation; 0: none */
    int threads;  /* 1 or more; 0 counts as 1 */
};

/*
 * Arrays of the caller, kept = (T + every - 1) / every steps; any may be NULL: inputs (kept,B,I), rates
 * (kept,B,unit_count), outputs (kept,B,O), labels (B, -1 where the trial has no single class), targets (kept,B) classes
 * or (kept,B,O) values, NaN where the step does not count or there is no target, mask (kept,B), trials (B) their
 * indices in their split.
 */
struct simulate_answer {
    float *inputs, *rates, *outputs;
    int *labels;
    float *targets, *mask;
    size_t *trials;
    enum loss_type loss_type; /* of the task */
    double loss, accuracy;    /* NaN where nothing counts; accuracy also of squared errors */
    double counted;           /* sum of the masks */
    double multiply_adds;     /* that were done */
};

/*
 * RESULT_DONE, RESULT_STOPPED, RESULT_NO_MEMORY or RESULT_INVALID: the network, its configuration, the task's data as
 * they are now and the request do not agree. Nothing of the answer is to be used then.
 */
enum result simulate_run(const struct train_config *config, const struct trained *trained,
                         const struct simulate_request *request, bool (*stop)(void *user), void *user,
                         struct simulate_answer *answer, struct error *error);

/*
 * Bytes that a run of trials with this many steps takes at its peak, the answer's arrays and the task's data excepted.
 * SIZE_MAX: more than can be addressed.
 */
size_t simulate_memory(const struct train_config *config, const struct trained *trained, int steps);

/* Multiply-adds that the run takes, from sizes alone. `shape` is the task's. */
double simulate_cost(const struct train_config *config, const struct trained *trained, const struct task_shape *shape,
                     const struct simulate_request *request);

#endif
