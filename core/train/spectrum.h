/*
 * The spectrum of a trained network: all eigenvalues of its recurrent weights W, in double precision, by the QR
 * algorithm (core/base/eigen.h). For GET /v1/jobs/{id}/spectrum. Blocks the calling thread; owns no state.
 */
#ifndef MODPROP_CORE_SPECTRUM_H
#define MODPROP_CORE_SPECTRUM_H

#include "core/train/train.h"

struct spectrum {
    int units;                /* N */
    double *real, *imaginary; /* (N) sorted: the largest modulus first, then the largest real part, of a pair the
                                 positive imaginary part first */
    double radius;            /* the largest modulus */
    double multiply_adds;     /* that were done */
};

/*
 * The same weights give the same bits on every host. `stop` (may be NULL) is polled. RESULT_DONE; or, with a sentence
 * in error and nothing to release, RESULT_STOPPED, RESULT_NO_MEMORY, or RESULT_INVALID: the eigenvalues did not
 * converge, or there are too many units.
 */
enum result spectrum_compute(const struct trained *trained, bool (*stop)(void *user), void *user,
                             struct spectrum *spectrum, struct error *error);
void spectrum_release(struct spectrum *spectrum); /* NULL-safe */

/* Multiply-adds that it takes, within a factor of 2; bytes. */
double spectrum_cost(int units);
size_t spectrum_memory(int units);

#endif
