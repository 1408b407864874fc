/*
 * Jobs side by side: their curves, and groups of jobs that differ in nothing but the seed.
 */
#ifndef MODPROP_CLI_COMPARE_H
#define MODPROP_CLI_COMPARE_H

#include "clients/cli/commands.h"
#include "clients/cli/plot.h"

struct member {
    json_t *job;
    struct curve curve;    /* of the metric that is compared */
    double loss, accuracy; /* of the last evaluation; NAN: none */
    double best;           /* the metric's best value */
    double reached;        /* first iteration of five evaluations in a row beyond the bound; NAN: not yet */
    int group;
};

struct group {
    char *name; /* what sets it apart: "modprop mu 0.25" */
    int members;
    struct curve mean; /* at the iterations that all its members have */
    double loss_mean, loss_deviation, accuracy_mean, accuracy_deviation; /* sample deviation; NAN below two */
    double reached_median; /* a member that is not there counts as infinitely late; INFINITY where that is the median */
    int reached_count;
};

struct comparison {
    struct member *members;
    size_t count;
    struct group *groups;
    int group_count;
};

/*
 * Takes over the jobs (documents) and curves that the caller has put into comparison->members: finds groups, means,
 * medians.
 */
void comparison_group(struct comparison *comparison);
void comparison_release(struct comparison *comparison);

/* First x of five values in a row below `bound` (`is_over`: above it); NAN. */
double curve_reach(const struct curve *curve, double bound, bool is_over);

#endif
