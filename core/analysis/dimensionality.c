/*
 * Dimensionality of activity: principal components of the rates, their participation ratio, and the trials' paths along
 * the first of them.
 *
 * X holds the rates of all bins and trials, a column a unit, less its mean; C = X^T X / (rows - 1) = V diag(l) V^T with
 * l descending. Participation ratio: (sum l)^2 / sum l^2, from 1 to N (Gao et al. 2017, "A theory of multineuronal
 * dimensionality, dynamics and measurement"). Trajectories: X V.
 */
#include <math.h>
#include <stdlib.h>

#include "core/analysis/activity.h"
#include "core/analysis/matrix.h"
#include "core/base/eigen.h"
#include "core/base/size.h"

enum { RATIO, TIMES, LABELS, VARIANCES, EXPLAINED, MEANS, COMPONENTS, TRAJECTORIES, OUTPUTS };

static const struct analysis_output outputs[] = {
    [RATIO] = {"participation_ratio", "", NULL, "of the variances: how many dimensions the activity fills, 1 to N"},
    [TIMES] = {"step", "step", "ms", "the beginning of each bin"},
    [LABELS] = {"label", "trial", NULL, "the class of each trial, where it has one"},
    [VARIANCES] = {"variance", "dimension", NULL, "along each principal component, the largest first"},
    [EXPLAINED] = {"explained", "dimension", NULL, "share of the whole variance"},
    [MEANS] = {"mean", "unit", NULL, "mean rate of each unit"},
    [COMPONENTS] = {"components", "component unit", NULL, "the first principal components: vectors of length 1"},
    [TRAJECTORIES] = {"trajectories", "step trial component", NULL, "rates, less their mean, along the components"},
};

extern const struct analysis_ops analysis_dimensionality;

static size_t components_of(const struct analysis_input *input) {
    size_t units = (size_t)input->network.trained->units, wanted = (size_t)input->request.components;
    return wanted < units ? wanted : units;
}

static size_t dimensionality_memory(const struct analysis_input *input) {
    size_t n = (size_t)input->network.trained->units, square = size_times(size_times(n, n), 2 * sizeof(double)),
           paths = size_times(size_times(activity_bins(input), input->request.trials),
                              components_of(input) * sizeof(double));
    return size_plus(size_plus(activity_memory(input, &input->network), square),
                     size_plus(paths, size_times(n, 12 * sizeof(double))));
}

static double dimensionality_cost(const struct analysis_input *input) {
    double n = input->network.trained->units, rows = (double)activity_bins(input) * (double)input->request.trials;
    return activity_cost(input, &input->network) + rows * n * (n + (double)components_of(input)) +
           eigen_symmetric_cost(input->network.trained->units, true);
}

static bool paths_write(const struct activity *activity, const double *mean, const double *components, size_t count,
                        double *paths, struct work *work) {
    for (size_t r = 0; r < activity->bins * activity->trials; r++) {
        const float *rates = activity->rates + r * activity->units;
        for (size_t k = 0; k < count; k++) {
            double sum = 0;
            for (size_t u = 0; u < activity->units; u++) {
                sum += ((double)rates[u] - mean[u]) * components[k * activity->units + u];
            }
            paths[r * count + k] = sum;
        }
        if (work_add(work, (double)count * (double)activity->units)) {
            return false;
        }
    }
    return true;
}

/* Variances below 0 are rounding. */
static void variances_write(size_t n, double *variances, double *explained, double *ratio) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        variances[i] = variances[i] > 0 ? variances[i] : 0;
        sum += variances[i];
        squares += variances[i] * variances[i];
    }
    for (size_t i = 0; i < n; i++) {
        explained[i] = sum > 0 ? variances[i] / sum : NAN;
    }
    *ratio = squares > 0 ? sum * sum / squares : NAN;
}

/* `square` and `vectors` are (N,N), `scratch` that of eigen_symmetric. */
static enum result components_find(const struct activity *activity, struct analysis_answer *answer, double *square,
                                   double *vectors, void *scratch, struct work *work, struct error *error) {
    size_t n = activity->units, rows = activity->bins * activity->trials;
    const struct analysis_array *arrays = answer->arrays;
    double *mean = arrays[MEANS].values;
    matrix_mean(activity->rates, rows, n, mean);
    if (!matrix_product(activity->rates, n, mean, activity->rates, n, mean, rows, scratch, square, work)) {
        return analysis_solved(-1, error);
    }
    for (size_t i = 0; i < n * n; i++) {
        square[i] /= rows > 1 ? (double)(rows - 1) : 1;
    }
    int found = eigen_symmetric((int)n, square, scratch, work, arrays[VARIANCES].values, vectors);
    if (found != 0) {
        return analysis_solved(found, error);
    }
    variances_write(n, arrays[VARIANCES].values, arrays[EXPLAINED].values, arrays[RATIO].values);
    size_t count = arrays[COMPONENTS].lengths[0];
    for (size_t i = 0; i < count * n; i++) {
        arrays[COMPONENTS].values[i] = vectors[i];
    }
    return paths_write(activity, mean, vectors, count, arrays[TRAJECTORIES].values, work) ? RESULT_DONE
                                                                                          : analysis_solved(-1, error);
}

static enum result activity_analyse(const struct activity *activity, size_t components, struct analysis_answer *answer,
                                    struct work *work, struct error *error) {
    size_t n = activity->units;
    const size_t lengths[OUTPUTS][ANALYSIS_AXES_MOST] = {
        [TIMES] = {activity->bins},
        [LABELS] = {activity->classes > 0 ? activity->trials : 0},
        [VARIANCES] = {n},
        [EXPLAINED] = {n},
        [MEANS] = {n},
        [COMPONENTS] = {components, n},
        [TRAJECTORIES] = {activity->bins, activity->trials, components}};
    if (!analysis_arrays(answer, &analysis_dimensionality, lengths, error)) {
        return RESULT_NO_MEMORY;
    }
    activity_times(activity, answer->arrays[TIMES].values);
    activity_labels(activity, answer->arrays[LABELS].values);
    double *square = malloc(n * n * sizeof *square), *vectors = malloc(n * n * sizeof *vectors);
    void *scratch = malloc(eigen_symmetric_scratch_size((int)n) + 1);
    enum result result = square && vectors && scratch
                             ? components_find(activity, answer, square, vectors, scratch, work, error)
                             : analysis_no_memory(error);
    free(square);
    free(vectors);
    free(scratch);
    return result;
}

static enum result dimensionality_run(const struct analysis_input *input, struct work *work,
                                      struct analysis_answer *answer, struct error *error) {
    struct activity activity;
    enum result result = activity_make(input, &input->network, work, &activity, error);
    if (result == RESULT_DONE) {
        result = activity_analyse(&activity, components_of(input), answer, work, error);
    }
    activity_release(&activity);
    return result;
}

const struct analysis_ops analysis_dimensionality = {
    .name = "dimensionality",
    .doc = "principal components of the units' rates, their participation ratio, and each trial's path along them",
    .outputs = outputs,
    .output_count = OUTPUTS,
    .memory = dimensionality_memory,
    .cost = dimensionality_cost,
    .run = dimensionality_run,
};
