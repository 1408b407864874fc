/*
 * Sums over the rows of matrices of measurements: means, covariances, products. float32 in, double out, in one order.
 */
#ifndef MODPROP_CORE_MATRIX_H
#define MODPROP_CORE_MATRIX_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/work.h"

/* mean (n) of the columns of x, (rows,n) row-major. */
void matrix_mean(const float *x, size_t rows, size_t n, double *mean);
/*
 * product (n,m) = (x - mean_x)^T (y - mean_y), x (rows,n), y (rows,m). `row` has room for m numbers. False when
 * stopped.
 */
bool matrix_product(const float *x, size_t n, const double *mean_x, const float *y, size_t m, const double *mean_y,
                    size_t rows, double *row, double *product, struct work *work);

#endif
