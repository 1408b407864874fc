/*
 * Loss and accuracy of a network on trials, as analyses take them: a forward pass that keeps nothing.
 */
#ifndef MODPROP_CORE_EVALUATION_H
#define MODPROP_CORE_EVALUATION_H

#include "core/analysis/analysis.h"

/* What differs from the input; members that are 0 or NULL differ in nothing. */
struct evaluation_change {
    const struct task_config *task;     /* in the place of the network's */
    const struct weights_view *weights; /* in the place of the trained ones */
    bool split_given;                   /* `split` and `trials` replace the request's, from the split's start on */
    enum simulate_split split;
    size_t trials;
    bool noise_given;
    double noise;
};

/* NaN where nothing counts, and the accuracy also where the task has none. As struct analysis_ops's run. */
enum result evaluation_make(const struct analysis_input *input, const struct evaluation_change *change,
                            struct work *work, double *loss, double *accuracy, struct error *error);

/* Of one evaluation, with `shape` in the place of the input's and `trials` in the place of the request's. */
size_t evaluation_memory(const struct analysis_input *input, const struct task_shape *shape);
double evaluation_cost(const struct analysis_input *input, const struct task_shape *shape, size_t trials);

#endif
