/*
 * Runs a trained network forward on fresh trials of its task or on given inputs: what POST /v1/jobs/{id}/simulate asks
 * for.
 */
#ifndef MODPROP_CORE_SIMULATE_H
#define MODPROP_CORE_SIMULATE_H

#include "core/model/config.h"
#include "core/train/train.h"

struct simulate_request {
    int steps, trials; /* T, B; steps must be the task's own where inputs are not given */
    int inputs;        /* I of x; ignored where it is NULL */
    const float *x;    /* (T,B,I) given inputs, or NULL: trials of the task */
    uint64_t seed;     /* of fresh trials; trial k is the evaluation trial k of that seed */
    bool test_split;   /* trials 0..B-1 of the task's test split instead */
    const int *units;  /* (unit_count) units whose rates are wanted */
    int unit_count;
    int every; /* every how many steps values are kept, 1 or more; step 0 is the first */
};

/* Arrays of the caller, kept = (T + every - 1) / every steps: inputs (kept,B,I), rates (kept,B,unit_count), outputs
   (kept,B,O), labels (B, -1 where the trial has no single class). */
struct simulate_answer {
    float *inputs, *rates, *outputs;
    int *labels;
};

/*
 * TRAIN_FINISHED, TRAIN_STOPPED, TRAIN_NO_MEMORY or TRAIN_INVALID: the network, its configuration, the task's data as
 * they are now and the request do not agree. Nothing of the answer is written then.
 */
enum train_result simulate_run(const struct train_config *config, const struct trained *trained,
                               const struct simulate_request *request, bool (*stop)(void *user), void *user,
                               struct simulate_answer *answer, struct train_error *error);

#endif
