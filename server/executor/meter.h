/*
 * How fast this machine computes: multiply-adds per second and thread, for training and for evaluation, measured on
 * recent jobs. POST /v1/jobs:validate derives seconds from it.
 *
 * A struct rates belongs to the daemon and may be used from any thread: a mutex guards it. A struct meter belongs to
 * one job and the thread that trains it; it adds to the rates what happened between two of its calls. Times measured
 * here never reach a result.
 */
#ifndef MODPROP_SERVER_METER_H
#define MODPROP_SERVER_METER_H

#include <pthread.h>
#include <stddef.h>

#include "core/train/train.h"

enum rate { RATE_TRAINING, RATE_EVALUATION, RATES };

struct rates {
    pthread_mutex_t mutex;
    struct {
        double work, seconds; /* multiply-adds; seconds times threads. Older measurements weigh less */
    } of[RATES];
};

void rates_init(struct rates *rates);
void rates_release(struct rates *rates);
/* Multiply-adds per second and thread; NaN before the first measurement. */
double rates_read(struct rates *rates, enum rate rate);

struct meter {
    struct rates *rates;
    double iteration, trial; /* multiply-adds of an update, and of a trial's evaluation */
    int threads_most;        /* more threads would have no work */
    double since;            /* of the last call; 0: the time since then does not count */
    size_t evaluated;
};

void meter_init(struct meter *meter, struct rates *rates, const struct train_estimate *estimate);
/* An update is done. `threads` took part, or could have. */
void meter_iteration(struct meter *meter, double now, int threads);
/* `done` of the `trials` of an evaluation are done; 0: it starts. */
void meter_evaluating(struct meter *meter, double now, int threads, size_t done, size_t trials);
/* Something else follows, such as a checkpoint. */
void meter_pause(struct meter *meter);

#endif
