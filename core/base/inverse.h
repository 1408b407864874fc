/*
 * The inverse of a small matrix, in double. Text that a device's compiler reads too: see eigen_complex.h.
 */
#ifndef MODPROP_CORE_INVERSE_H
#define MODPROP_CORE_INVERSE_H

#include <math.h>

#include "core/base/work.h"

static void matrix_identity(int n, double *a) {
    for (int i = 0; i < n * n; i++) {
        a[i] = i % (n + 1) == 0;
    }
}

static void row_swap(int n, double *a, int i, int k) {
    for (int c = 0; c < n; c++) {
        double kept = a[i * n + c];
        a[i * n + c] = a[k * n + c];
        a[k * n + c] = kept;
    }
}

/* inverse = a^-1 by Gauss-Jordan with row pivoting; a is destroyed. False where it is singular or
 * when stopped. */
static bool matrix_invert(int n, double *a, double *inverse, struct work *work) {
    matrix_identity(n, inverse);
    for (int k = 0; k < n; k++) {
        int pivot = k;
        for (int i = k + 1; i < n; i++) {
            if (fabs(a[i * n + k]) > fabs(a[pivot * n + k])) {
                pivot = i;
            }
        }
        if (!(fabs(a[pivot * n + k]) > 0)) {
            return false;
        }
        row_swap(n, a, k, pivot);
        row_swap(n, inverse, k, pivot);
        double scale = 1.0 / a[k * n + k];
        for (int c = 0; c < n; c++) {
            a[k * n + c] *= scale;
            inverse[k * n + c] *= scale;
        }
        for (int i = 0; i < n; i++) {
            if (work_add(work, 2.0 * n)) {
                return false;
            }
            double factor = a[i * n + k];
            for (int c = 0; i != k && factor != 0 && c < n; c++) {
                a[i * n + c] -= factor * a[k * n + c];
                inverse[i * n + c] -= factor * inverse[k * n + c];
            }
        }
    }
    return true;
}

/* Largest column sum of absolute values. */
static double matrix_norm(int n, const double *a) {
    double norm = 0;
    for (int c = 0; c < n; c++) {
        double sum = 0;
        for (int r = 0; r < n; r++) {
            sum += fabs(a[r * n + c]);
        }
        norm = sum > norm ? sum : norm;
    }
    return norm;
}

#endif
