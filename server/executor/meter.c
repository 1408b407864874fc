/* Measured rates: see meter.h. */
#include "server/executor/meter.h"

#include <math.h>

#define SECONDS_KEPT 120.0 /* after this many thread-seconds the past is halved */

void rates_init(struct rates *rates) {
    *rates = (struct rates){0};
    pthread_mutex_init(&rates->mutex, NULL);
}

void rates_release(struct rates *rates) {
    pthread_mutex_destroy(&rates->mutex);
}

double rates_read(struct rates *rates, enum rate rate) {
    pthread_mutex_lock(&rates->mutex);
    double work = rates->of[rate].work, seconds = rates->of[rate].seconds;
    pthread_mutex_unlock(&rates->mutex);
    return work > 0 && seconds > 0 ? work / seconds : NAN;
}

static void rates_add(struct rates *rates, enum rate rate, double work, double seconds) {
    pthread_mutex_lock(&rates->mutex);
    rates->of[rate].work += work;
    rates->of[rate].seconds += seconds;
    if (rates->of[rate].seconds > SECONDS_KEPT) {
        rates->of[rate].work /= 2;
        rates->of[rate].seconds /= 2;
    }
    pthread_mutex_unlock(&rates->mutex);
}

void meter_init(struct meter *meter, struct rates *rates, const struct train_estimate *estimate) {
    *meter = (struct meter){.rates = rates,
                            .iteration = estimate->multiply_adds,
                            .trial = estimate->trial_multiply_adds,
                            .threads_most = estimate->threads_most};
}

static void meter_add(struct meter *meter, enum rate rate, double work, double now, int threads) {
    int busy = threads < meter->threads_most ? threads : meter->threads_most;
    if (meter->since > 0 && work > 0) {
        rates_add(meter->rates, rate, work, (now - meter->since) * busy);
    }
    meter->since = now;
}

void meter_iteration(struct meter *meter, double now, int threads) {
    meter_add(meter, RATE_TRAINING, meter->iteration, now, threads);
}

void meter_evaluating(struct meter *meter, double now, int threads, size_t done, size_t trials) {
    if (done == 0) {
        meter->since = now;
    } else {
        meter_add(meter, RATE_EVALUATION, (double)(done - meter->evaluated) * meter->trial, now, threads);
    }
    meter->evaluated = done;
    if (done == trials) {
        meter_pause(meter);
    }
}

void meter_pause(struct meter *meter) {
    meter->since = 0;
}
