/*
 * Symmetric positive definite equations, as ridge regression has them: (G + lambda I) x = y, in double, by Cholesky's
 * decomposition (Golub and Van Loan 2013, algorithm 4.2.2, outer products). Every operation has its place in one order,
 * so the bits are the same on every host. Owns nothing.
 */
#ifndef MODPROP_CORE_RIDGE_H
#define MODPROP_CORE_RIDGE_H

#include "core/base/work.h"

/*
 * G: (n,n) row-major, of which the upper triangle is read and overwritten. x: y in, the solution out. A direction whose
 * pivot is not positive, which rounding alone can cause, gets 0. False when stopped.
 */
bool ridge_solve(int n, double *G, double lambda, double *x, struct work *work);
/* Multiply-adds of it. */
double ridge_cost(int n);

#endif
