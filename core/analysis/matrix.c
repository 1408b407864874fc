/* See matrix.h. */
#include "core/analysis/matrix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/eigen.h"
#include "core/base/size.h"

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

int matrix_singular_values(const double *a, size_t n, size_t m, double *values, struct work *work) {
    size_t order = n + m, count = n < m ? n : m;
    double *square = calloc(order * order, sizeof *square), *all = malloc(order * sizeof *all);
    void *scratch = malloc(eigen_symmetric_scratch_size((int)order) + 1);
    int found = square && all && scratch ? 0 : -3;
    for (size_t i = 0; found == 0 && i < n; i++) {
        for (size_t j = 0; j < m; j++) {
            square[(n + j) * order + i] = square[i * order + n + j] = a[i * m + j];
        }
    }
    found = found == 0 ? eigen_symmetric((int)order, square, scratch, work, all, NULL) : found;
    for (size_t i = 0; found == 0 && i < count; i++) {
        values[i] = all[i] > 0 ? all[i] : 0;
    }
    free(square);
    free(all);
    free(scratch);
    return found;
}

size_t matrix_singular_memory(size_t n, size_t m) {
    size_t order = size_plus(n, m);
    return size_times(size_times(order, size_plus(order, 6)), sizeof(double));
}

double matrix_singular_cost(size_t n, size_t m) {
    return eigen_symmetric_cost((int)(n + m), false);
}

double matrix_square(const double *a, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += a[i] * a[i];
    }
    return sum;
}

void types_mean(const struct trained *trained, const double *values, double *means) {
    for (int t = 0; t < trained->types; t++) {
        double sum = 0, count = 0;
        for (int u = 0; u < trained->units; u++) {
            if (trained->type_of_unit[u] == t && isfinite(values[u])) {
                sum += values[u];
                count++;
            }
        }
        means[t] = count > 0 ? sum / count : NAN;
    }
}
