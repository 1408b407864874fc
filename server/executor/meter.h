/*
 * How fast this machine computes: multiply-adds a second and thread, of training and of evaluation, as the jobs that
 * ran here lately had them. From it POST /v1/jobs:validate gives seconds.
 *
 * A struct rates is the daemon's, for any thread: a mutex guards it. A struct meter is one job's, for the thread that
 * trains it; it adds to the rates what lies between two of its calls. Times here never reach a result.
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
        double work, seconds; /* multiply-adds; seconds times threads. What is long past weighs less */
    } of[RATES];
};

void rates_init(struct rates *rates);
void rates_release(struct rates *rates);
/* Multiply-adds a second and thread; NaN before anything was measured. */
double rates_read(struct rates *rates, enum rate rate);

struct meter {
    struct rates *rates;
    double iteration, trial; /* multiply-adds of an update, and of a trial's evaluation */
    int threads_most;        /* more would have nothing to do */
    double since;            /* of the last call; 0: what went on since then is not to be counted */
    size_t evaluated;
};

void meter_init(struct meter *meter, struct rates *rates, const struct train_estimate *estimate);
/* An update is done. `threads` took part, or would have. */
void meter_iteration(struct meter *meter, double now, int threads);
/* `done` of the `trials` of an evaluation are done; 0: it begins. */
void meter_evaluating(struct meter *meter, double now, int threads, size_t done, size_t trials);
/* Something else comes now, such as a checkpoint. */
void meter_pause(struct meter *meter);

#endif
