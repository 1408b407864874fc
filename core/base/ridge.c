/* Ridge regression's equations: see ridge.h. The factor U, U^T U = G + lambda I, takes the place of G row by row. */
#include "core/base/ridge.h"

#include <math.h>
#include <string.h>

double ridge_cost(int n) {
    return (double)n * n * n / 6 + 2.0 * n * n;
}

/* Row k of U; a pivot of 0 marks a direction that is left out. */
static void row_scale(int n, int k, double *row) {
    double pivot = row[k] > 0 ? sqrt(row[k]) : 0;
    row[k] = pivot;
    for (int j = k + 1; j < n; j++) {
        row[j] = pivot > 0 ? row[j] / pivot : 0;
    }
}

bool ridge_solve(int n, double *G, double lambda, double *x, struct work *work) {
    size_t width = (size_t)n;
    for (int k = 0; k < n; k++) {
        const double *row = G + (size_t)k * width;
        G[(size_t)k * width + (size_t)k] += lambda;
        row_scale(n, k, G + (size_t)k * width);
        for (int i = k + 1; i < n; i++) {
            double factor = row[i], *to = G + (size_t)i * width;
            for (int j = i; j < n; j++) {
                to[j] -= factor * row[j];
            }
        }
        if (work_add(work, (double)(n - k) * (n - k) / 2 + 4.0 * n)) {
            return false;
        }
    }
    for (int k = 0; k < n; k++) {
        const double *row = G + (size_t)k * width;
        x[k] = row[k] > 0 ? x[k] / row[k] : 0;
        for (int j = k + 1; j < n; j++) {
            x[j] -= row[j] * x[k];
        }
    }
    for (int k = n - 1; k >= 0; k--) {
        const double *row = G + (size_t)k * width;
        double sum = x[k];
        for (int j = k + 1; j < n; j++) {
            sum -= row[j] * x[j];
        }
        x[k] = row[k] > 0 ? sum / row[k] : 0;
    }
    return true;
}
