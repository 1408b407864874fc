/*
 * What analyses compute of matrices: means, covariances and products over the rows of measurements (float32 in, double
 * out, in one order), singular values, means over cell types.
 */
#ifndef MODPROP_CORE_MATRIX_H
#define MODPROP_CORE_MATRIX_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/work.h"
#include "core/train/train.h"

/* mean (n) of the columns of x, (rows,n) row-major. */
void matrix_mean(const float *x, size_t rows, size_t n, double *mean);
/*
 * product (n,m) = (x - mean_x)^T (y - mean_y), x (rows,n), y (rows,m). `row` has room for m numbers. False when
 * stopped.
 */
bool matrix_product(const float *x, size_t n, const double *mean_x, const float *y, size_t m, const double *mean_y,
                    size_t rows, double *row, double *product, struct work *work);

/*
 * The singular values of a (n,m) row-major, descending, into `values` (the smaller of n and m): the non-negative
 * eigenvalues of [[0, a], [a^T, 0]], which are exact to the rounding of the largest. Returns as eigen_symmetric, or -3
 * if memory is short.
 */
int matrix_singular_values(const double *a, size_t n, size_t m, double *values, struct work *work);
size_t matrix_singular_memory(size_t n, size_t m);
double matrix_singular_cost(size_t n, size_t m);
/* Sum of squares. */
double matrix_square(const double *a, size_t count);
/* Means over the units of each cell type, of those whose value is finite; NaN where there are none. */
void types_mean(const struct trained *trained, const double *values, double *means);

#endif
