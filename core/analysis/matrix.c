/* See matrix.h. */
#include "core/analysis/matrix.h"

#include <string.h>

void matrix_mean(const float *x, size_t rows, size_t n, double *mean) {
    memset(mean, 0, n * sizeof *mean);
    for (size_t r = 0; r < rows; r++) {
        for (size_t i = 0; i < n; i++) {
            mean[i] += (double)x[r * n + i];
        }
    }
    for (size_t i = 0; i < n && rows > 0; i++) {
        mean[i] /= (double)rows;
    }
}

bool matrix_product(const float *x, size_t n, const double *mean_x, const float *y, size_t m, const double *mean_y,
                    size_t rows, double *row, double *product, struct work *work) {
    memset(product, 0, n * m * sizeof *product);
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < m; j++) {
            row[j] = (double)y[r * m + j] - mean_y[j];
        }
        for (size_t i = 0; i < n; i++) {
            double value = (double)x[r * n + i] - mean_x[i], *sums = product + i * m;
            if (value == 0) {
                continue;
            }
            for (size_t j = 0; j < m; j++) {
                sums[j] += value * row[j];
            }
        }
        if (work_add(work, (double)n * (double)m)) {
            return false;
        }
    }
    return true;
}
