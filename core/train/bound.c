/* Keeping the credit gain under a bound: see bound.h. */
#include "core/train/bound.h"

enum { HALVINGS = 10 };

/* Whether the gain with this mu is at most the bound. One that is not finite is not. */
static enum result respects(struct backend *backend, const struct rule_config *rule, const float *feedback,
                            const double *averages, double mu, struct work *work, bool *does) {
    double gain = 0;
    backend->ops->load(backend, feedback, mu, averages);
    enum result result = backend->ops->credit_gain(backend, work, &gain);
    *does = gain <= rule->gain_bound.most;
    return result;
}

enum result bound_mu(struct backend *backend, const struct rule_config *rule, const float *feedback,
                     const double *averages, struct work *work, double *mu) {
    bool does;
    double low = 0, high = rule->mu;
    enum result result = respects(backend, rule, feedback, averages, high, work, &does);
    if (result == RESULT_DONE && does) {
        *mu = high;
        return RESULT_DONE;
    }
    for (int i = 0; i < HALVINGS && result == RESULT_DONE; i++) {
        double middle = (low + high) / 2;
        result = respects(backend, rule, feedback, averages, middle, work, &does);
        low = does ? middle : low;
        high = does ? high : middle;
    }
    if (result == RESULT_DONE) {
        *mu = low;
        backend->ops->load(backend, feedback, low, averages);
    }
    return result;
}

void bound_plan(const struct backend_ops *ops, int units, int steps, size_t *bytes, double *multiply_adds) {
    ops->credit_gain_plan(units, steps, bytes, multiply_adds);
    *multiply_adds *= 1 + HALVINGS;
}
