/*
 * Statistics of an experiment: each number that any client shows is computed here, once.
 *
 * Pure functions on arrays of doubles. Any thread; no I/O, no clock; what is drawn at random is drawn from the
 * counter-based generator, so the same seed gives the same numbers.
 *
 * "Never" (a trial that did not learn) is INFINITY: later than everything, never dropped. Rank statistics take it as it
 * is and may themselves be INFINITY; a mean of anything that holds it does not exist (NaN). A missing value must not be
 * passed: the caller leaves it out and counts it.
 *
 * Sources: Hyndman and Fan 1996 (type 7 quantiles); Student 1908; Wilson 1927; Efron 1987 (BCa); Fisher 1935 and
 * Pitman 1937 (sign-flip test); Holm 1979; Guenther 1981 (sample size for a paired t test).
 */
#ifndef MODPROP_SERVER_STATISTICS_H
#define MODPROP_SERVER_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Both ends; NaN where there is no such interval. */
struct interval {
    double low, high;
};

/* Below so many values an interval is to be marked as resting on few. */
#define STATISTICS_FEW 10

/* Of n values of one metric. */
struct summary {
    size_t n, finite;
    double mean, standard_deviation; /* of the sample, n - 1; NaN where a value is INFINITY or n is too small */
    struct interval mean_95;         /* Student's t with n - 1 degrees of freedom */
    double median, quartiles[2];     /* type 7; INFINITY: never */
    struct interval median_95;       /* order statistics; NaN, NaN below 6 values */
    double median_coverage;          /* its exact coverage, at least 0.95; NaN where there is none */
    double interquartile_mean;       /* mean without the lowest and highest quarter (each floor(n / 4)) */
    double share;                    /* finite / n */
    struct interval share_95;        /* Wilson's */
};

/* Sorts `values` ascending. With n 0 all results are NaN. */
void summary_compute(double *values, size_t n, struct summary *summary);

/* Quantile p in [0,1] of ascending values, type 7; between a finite and an infinite neighbour it is INFINITY. NaN if
 * there are no values. */
double quantile_sorted(const double *sorted, size_t n, double p);

/* Wilson's 95 % interval of a share of `part` in n; `part` may be a half where ties count half. NaN of none. */
struct interval share_interval(double part, size_t n);

/* Student's t: the value that a t of so many degrees of freedom stays below in absolute value with probability p. */
double student_two_sided(int degrees, double p);

/*
 * BCa bootstrap interval (95 %) of the mean of n finite values (trim 0) or of their interquartile mean (trim 0.25),
 * from `draws` resamples of the seed. NaN, NaN below 3 values, where all are equal, and without memory.
 */
struct interval bootstrap_interval(const double *values, size_t n, double trim, size_t draws, uint64_t seed);

/* Of n pairs (x[i], y[i]): y against x. */
struct paired {
    size_t n, finite;       /* finite: pairs of which both are */
    double mean_difference; /* y - x, over the finite ones; of logarithms where `logarithms` was asked for; NaN: none */
    double spread;          /* standard deviation of those differences; NaN below 2 */
    struct interval difference_95;
    double won; /* share of pairs with y < x, ties half; never loses to all */
    struct interval won_95;
    double sign_flip_p;     /* two-sided; of the mean difference, exact to 20 finite pairs; NaN without a pair */
    double sign_flip_error; /* its standard error where it was drawn; 0: exact */
    double
        sign_test_p; /* two-sided binomial test of won against 1/2, ties left out, never included; 1 without a pair */
    double least_p;  /* the smallest p that so many finite pairs can reach: 2 / 2^finite, at most 1 */
    double pairs_needed; /* to settle a factor of 1.5 with 80 % power at this spread; NaN unless logarithms */
};

/*
 * `logarithms`: differences are of natural logarithms (iterations; values must be positive, one that is not counts as
 * missing from the differences).
 */
void paired_compute(const double *x, const double *y, size_t n, bool logarithms, uint64_t seed, struct paired *paired);

/* Holm's adjustment of n p values, in their order; NaN stays NaN and does not count. False if out of memory. */
bool holm_adjust(const double *p, size_t n, double *adjusted);

/* ---- from one trial's curve ---- */

/*
 * The first iteration of `in_a_row` evaluations under (or above) the threshold; INFINITY: never. A value that is NaN
 * (an evaluation without a loss) interrupts a row.
 */
double curve_learned(const double *iterations, const double *values, size_t n, double threshold, bool above,
                     int in_a_row);
/* Area under the curve by trapezoids, divided by its length: the average height. NaN values are left out; NaN of none.
 */
double curve_area(const double *iterations, const double *values, size_t n);
/* The smallest (or largest) finite value; NaN of none. */
double curve_best(const double *values, size_t n, bool largest);

#endif
