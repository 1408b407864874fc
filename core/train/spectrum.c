/* The spectrum of W: see spectrum.h. */
#include "core/train/spectrum.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/eigen.h"
#include "core/base/size.h"

struct value {
    double modulus, re, im;
};

static int descending(double a, double b) {
    return (a < b) - (a > b);
}

static int value_order(const void *a, const void *b) {
    const struct value *x = a, *y = b;
    int by_modulus = descending(x->modulus, y->modulus), by_real = descending(x->re, y->re);
    return by_modulus != 0 ? by_modulus : by_real != 0 ? by_real : descending(x->im, y->im);
}

/* `values` has room for the units. */
static void spectrum_sort(struct spectrum *spectrum, struct value *values) {
    size_t n = (size_t)spectrum->units;
    for (size_t i = 0; i < n; i++) {
        double re = spectrum->real[i], im = spectrum->imaginary[i];
        values[i] = (struct value){sqrt(re * re + im * im), re, im};
    }
    qsort(values, n, sizeof *values, value_order);
    for (size_t i = 0; i < n; i++) {
        spectrum->real[i] = values[i].re;
        spectrum->imaginary[i] = values[i].im;
    }
    spectrum->radius = values[0].modulus;
}

static enum result values_compute(const struct trained *trained, double *W, void *scratch, struct work *work,
                                  struct spectrum *spectrum, struct error *error) {
    size_t n = (size_t)trained->units;
    for (size_t i = 0; i < n * n; i++) {
        W[i] = (double)trained->W[i];
    }
    int found = eigen_values(trained->units, W, scratch, work, spectrum->real, spectrum->imaginary);
    snprintf(error->text, sizeof error->text, "%s",
             found == -1 ? "the computation was stopped" : "the eigenvalues of W did not converge");
    return found == 0 ? RESULT_DONE : found == -1 ? RESULT_STOPPED : RESULT_INVALID;
}

enum result spectrum_compute(const struct trained *trained, bool (*stop)(void *user), void *user,
                             struct spectrum *spectrum, struct error *error) {
    size_t n = (size_t)trained->units, scratch_size = eigen_radius_scratch_size(trained->units);
    struct work work = {.stop = stop, .user = user};
    *spectrum = (struct spectrum){.units = trained->units};
    *error = (struct error){0};
    if (scratch_size == 0) {
        snprintf(error->text, sizeof error->text, "a spectrum can be computed of at most 30000 units; got %d",
                 trained->units);
        return RESULT_INVALID;
    }
    double *W = malloc(n * n * sizeof *W);
    struct value *values = malloc(n * sizeof *values);
    void *scratch = malloc(scratch_size);
    spectrum->real = malloc(n * sizeof *spectrum->real);
    spectrum->imaginary = malloc(n * sizeof *spectrum->imaginary);
    enum result result = RESULT_NO_MEMORY;
    if (W && values && scratch && spectrum->real && spectrum->imaginary) {
        result = values_compute(trained, W, scratch, &work, spectrum, error);
    } else {
        snprintf(error->text, sizeof error->text, "out of memory for the spectrum of %d units", trained->units);
    }
    if (result == RESULT_DONE) {
        spectrum_sort(spectrum, values);
        *error = (struct error){0};
    }
    spectrum->multiply_adds = work.done;
    free(W);
    free(values);
    free(scratch);
    if (result != RESULT_DONE) {
        spectrum_release(spectrum);
    }
    return result;
}

void spectrum_release(struct spectrum *spectrum) {
    if (!spectrum) {
        return;
    }
    free(spectrum->real);
    free(spectrum->imaginary);
    *spectrum = (struct spectrum){0};
}

double spectrum_cost(int units) {
    return eigen_radius_cost(units);
}

size_t spectrum_memory(int units) {
    size_t n = (size_t)units;
    return size_plus(size_times(size_times(n, n), sizeof(double)), size_times(n, 7 * sizeof(double)));
}
