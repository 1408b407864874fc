/*
 * Eigenvalues of small dense real matrices, in double precision, by Householder reduction to Hessenberg form and
 * implicitly shifted QR. Our own code, because core links only libm and threads, and its bits must not depend on the
 * host.
 */
#ifndef MODPROP_CORE_EIGEN_H
#define MODPROP_CORE_EIGEN_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/work.h"

/* Bytes of scratch for a matrix of order n; 0 beyond the order that can be computed. */
size_t eigen_radius_scratch_size(int n); /* of eigen_values too */
size_t eigen_decompose_scratch_size(int n);

/*
 * Multiply-adds that they take, within a factor of 2 for matrices of random entries: how many sweeps QR needs depends
 * on the matrix.
 */
double eigen_radius_cost(int n); /* of eigen_values too */
double eigen_decompose_cost(int n);

/*
 * Largest absolute eigenvalue of the row-major (n,n) matrix a, which is destroyed. `work` (may be NULL) counts and
 * stops. Returns 0; -1 if stopped; -2 if QR did not converge.
 */
int eigen_radius(int n, double *a, void *scratch, struct work *work, double *radius);

/*
 * All eigenvalues (re, im) of a, which is destroyed; the two of a complex pair are neighbours, the positive imaginary
 * part first. `scratch`, `work` and what is returned as for eigen_radius.
 */
int eigen_values(int n, double *a, void *scratch, struct work *work, double *re, double *im);

/*
 * All eigenvalues (re, im) and right eigenvectors of a (destroyed). vectors is (n,n) row-major; column k holds the
 * eigenvector of a real eigenvalue; a complex pair k, k+1 (im[k] > 0) holds real part in column k and imaginary part in
 * k+1. Columns (pairs) have Euclidean norm 1. `work` and what is returned as for eigen_radius.
 */
int eigen_decompose(int n, double *a, void *scratch, struct work *work, double *re, double *im, double *vectors);

/*
 * The symmetric (n,n) matrix a, of which the lower triangle is read, is destroyed. values (n) come in descending order;
 * vectors, (n,n) row-major or NULL, gets the eigenvector of values[k] as row k: the rows are orthonormal, and the entry
 * of largest modulus of each is positive. `scratch` is eigen_symmetric_scratch_size bytes; `work` and what is returned
 * as for eigen_radius.
 */
size_t eigen_symmetric_scratch_size(int n);
double eigen_symmetric_cost(int n, bool vectors);
int eigen_symmetric(int n, double *a, void *scratch, struct work *work, double *values, double *vectors);

#endif
