/* The sizes of a fit of taps: how its unknowns fall apart. core/train/fit.h makes it. */
#include "core/rules/rules.h"

bool fit_decouples(const struct tap_fit *fit, const struct rule_shape *shape) {
    return fit->basis == FIT_FREE && shape->losses == 1 && !shape->readout_leaks;
}

double fit_unknowns(const struct tap_fit *fit, const struct rule_shape *shape) {
    int each = fit->basis == FIT_EXPONENTIAL ? fit->terms : fit_decouples(fit, shape) ? 1 : fit->steps;
    return (double)shape->types * each;
}
