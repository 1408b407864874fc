/*
 * The activity of a network on trials, as analyses take it: rates of all units, averaged over bins of steps.
 *
 * K bins, B trials, N units, I inputs, O outputs. The last bin may be shorter. Owned by the struct.
 */
#ifndef MODPROP_CORE_ACTIVITY_H
#define MODPROP_CORE_ACTIVITY_H

#include "core/analysis/analysis.h"

struct activity {
    size_t bins, trials; /* K, B */
    size_t units, inputs, outputs;
    int first_step; /* of bin 0 */
    int every;      /* steps of a bin */
    float *rates;   /* (K,B,N) */
    float *x;       /* (K,B,I) */
    float *targets; /* (K,B,O) of a task of values: at the first step of each bin, NaN where it does not count;
                       NULL: of classes */
    int *labels;    /* (B) -1: no class */
    int classes;    /* 1 + the largest label; 0: no trial has one */
    double loss, accuracy;
};

/*
 * Runs the input's trials with the weights of `network`, whose configuration may be another job's: then it must have
 * the sizes of the input's task. Steps outside [begin, end) are left out, to whole bins. As struct analysis_ops's run;
 * the caller releases in any case.
 */
enum result activity_make(const struct analysis_input *input, const struct analysis_network *network, struct work *work,
                          struct activity *activity, struct error *error);
void activity_release(struct activity *activity);

size_t activity_memory(const struct analysis_input *input, const struct analysis_network *network);
double activity_cost(const struct analysis_input *input, const struct analysis_network *network);
/* Bins that the input asks for. */
size_t activity_bins(const struct analysis_input *input);
/* The step at which each bin begins, in ms. */
void activity_times(const struct activity *activity, double *times);
/* The class of each trial as a number, NaN where it has none; NULL writes nothing. */
void activity_labels(const struct activity *activity, double *labels);

#endif
