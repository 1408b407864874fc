/*
 * Selectivity and tuning: how a unit's rate depends on the class of the trial, on the inputs and on the targets.
 *
 * r_bu: rate of unit u in trial b, its mean over the steps that are analysed. Tuning: the mean of r over the trials of
 * each class. Selectivity: eta^2, the share of the variance of r over trials that the classes explain, sum_c n_c (m_cu
 * - m_u)^2 / sum_b (r_bu - m_u)^2; its F ratio is that of a one-way analysis of variance. d': of the class with the
 * highest mean against all others, (m_1 - m_2) / sqrt((s_1^2 + s_2^2) / 2) (Green and Swets 1966). Correlations are
 * Pearson's, over bins and trials.
 */
#include <math.h>
#include <stdlib.h>

#include "core/analysis/activity.h"
#include "core/analysis/matrix.h"
#include "core/base/size.h"

enum {
    LABELED,
    TUNING,
    SELECTIVITY,
    F_RATIO,
    PREFERRED,
    D_PRIME,
    INPUT_CORRELATION,
    TARGET_CORRELATION,
    UNIT_TYPES,
    TYPE_SIZES,
    TYPE_SELECTIVITY,
    TYPE_TUNING,
    OUTPUTS
};

static const struct analysis_output outputs[] = {
    [LABELED] = {"label_trials", "label", NULL, "trials of each class"},
    [TUNING] = {"tuning", "label unit", NULL, "mean rate of each unit in the trials of each class"},
    [SELECTIVITY] = {"selectivity", "unit", NULL, "share of a unit's variance over trials that the classes explain"},
    [F_RATIO] = {"f_ratio", "unit", NULL, "of a one-way analysis of variance of the rates by class"},
    [PREFERRED] = {"preferred", "unit", NULL, "the class with the highest mean rate"},
    [D_PRIME] = {"d_prime", "unit", NULL, "of the preferred class against the others"},
    [INPUT_CORRELATION] = {"input_correlation", "unit input", NULL,
                           "of the rate with each input, over bins and trials"},
    [TARGET_CORRELATION] = {"target_correlation", "unit output", NULL,
                            "of the rate with each target value, over bins and trials that count"},
    [UNIT_TYPES] = {"unit_type", "unit", NULL, "cell type of each unit"},
    [TYPE_SIZES] = {"type_units", "type", NULL, "units of each cell type"},
    [TYPE_SELECTIVITY] = {"type_selectivity", "type", NULL, "mean selectivity of each cell type"},
    [TYPE_TUNING] = {"type_tuning", "label type", NULL, "mean tuning of each cell type"},
};

extern const struct analysis_ops analysis_selectivity;

static size_t selectivity_memory(const struct analysis_input *input) {
    const struct trained *trained = input->network.trained;
    size_t n = (size_t)trained->units,
           row = (size_t)trained->inputs + (size_t)trained->outputs + input->request.trials + 16;
    return size_plus(activity_memory(input, &input->network), size_times(size_times(n, row), 2 * sizeof(double)));
}

static double selectivity_cost(const struct analysis_input *input) {
    const struct trained *trained = input->network.trained;
    double rows = (double)activity_bins(input) * (double)input->request.trials;
    return activity_cost(input, &input->network) +
           rows * trained->units * (4.0 + trained->inputs + 3.0 * trained->outputs);
}

/* means (B,N): each trial's mean rates. */
static void trial_means(const struct activity *activity, double *means) {
    size_t row = activity->trials * activity->units;
    for (size_t k = 0; k < activity->bins; k++) {
        for (size_t i = 0; i < row; i++) {
            means[i] += (double)activity->rates[k * row + i] / (double)activity->bins;
        }
    }
}

static double ratio(double a, double b) {
    return b > 0 ? a / b : NAN;
}

/* d' of the trials of class `preferred` against those of the others. */
static double d_prime(const struct activity *activity, const double *means, size_t unit, int preferred) {
    double count[2] = {0}, sum[2] = {0}, squares[2] = {0};
    for (int pass = 0; pass < 2; pass++) {
        for (size_t b = 0; b < activity->trials; b++) {
            int side = activity->labels[b] != preferred;
            double value = means[b * activity->units + unit];
            if (activity->labels[b] < 0) {
                continue;
            }
            if (pass == 0) {
                count[side]++;
                sum[side] += value;
            } else {
                double off = value - sum[side] / count[side];
                squares[side] += off * off;
            }
        }
    }
    if (count[0] < 2 || count[1] < 2) {
        return NAN;
    }
    double spread = (squares[0] / (count[0] - 1) + squares[1] / (count[1] - 1)) / 2;
    return ratio(sum[0] / count[0] - sum[1] / count[1], sqrt(spread));
}

static void unit_tune(const struct activity *activity, const double *means, size_t unit,
                      const struct analysis_array *arrays) {
    size_t n = activity->units;
    double all = 0, total = 0, between = 0, within = 0, groups = 0;
    const double *counts = arrays[LABELED].values;
    double *tuning = arrays[TUNING].values;
    int preferred = -1;
    for (size_t b = 0; b < activity->trials; b++) {
        int label = activity->labels[b];
        if (label >= 0) {
            tuning[(size_t)label * n + unit] += means[b * n + unit];
            all += means[b * n + unit];
            total++;
        }
    }
    for (int c = 0; c < activity->classes; c++) {
        double *mean = &tuning[(size_t)c * n + unit];
        *mean = ratio(*mean, counts[c]);
        groups += counts[c] > 0;
        between += counts[c] > 0 ? counts[c] * (*mean - all / total) * (*mean - all / total) : 0;
        preferred = counts[c] > 0 && (preferred < 0 || *mean > tuning[(size_t)preferred * n + unit]) ? c : preferred;
    }
    for (size_t b = 0; b < activity->trials; b++) {
        int label = activity->labels[b];
        double off = label < 0 ? 0 : means[b * n + unit] - tuning[(size_t)label * n + unit];
        within += off * off;
    }
    arrays[SELECTIVITY].values[unit] = ratio(between, between + within);
    arrays[F_RATIO].values[unit] = groups > 1 && total > groups
                                       ? ratio(between / (groups - 1), within / (total - groups))
                                       : NAN;
    arrays[PREFERRED].values[unit] = preferred;
    arrays[D_PRIME].values[unit] = d_prime(activity, means, unit, preferred);
}

/* Pearson's correlation of each unit's rate with column `column` of y (rows,m); rows where y is NaN do not count. */
static void column_correlate(const struct activity *activity, const float *y, size_t m, size_t column,
                             double *correlation) {
    size_t n = activity->units, rows = activity->bins * activity->trials;
    double count = 0, mean = 0;
    for (size_t r = 0; r < rows; r++) {
        count += !isnan(y[r * m + column]);
        mean += isnan(y[r * m + column]) ? 0 : (double)y[r * m + column];
    }
    mean /= count > 0 ? count : 1;
    for (size_t u = 0; u < n; u++) {
        double rate = 0, both = 0, first = 0, second = 0;
        for (size_t r = 0; r < rows; r++) {
            rate += isnan(y[r * m + column]) ? 0 : (double)activity->rates[r * n + u];
        }
        rate /= count > 0 ? count : 1;
        for (size_t r = 0; r < rows; r++) {
            double a = (double)activity->rates[r * n + u] - rate, b = (double)y[r * m + column] - mean;
            if (!isnan(b)) {
                both += a * b;
                first += a * a;
                second += b * b;
            }
        }
        correlation[u * m + column] = first > 0 && second > 0 ? both / sqrt(first * second) : NAN;
    }
}

static bool correlate(const struct activity *activity, const float *y, size_t m, double *correlation,
                      struct work *work) {
    for (size_t i = 0; y && i < m; i++) {
        column_correlate(activity, y, m, i, correlation);
        if (work_add(work, (double)(activity->bins * activity->trials) * (double)activity->units)) {
            return false;
        }
    }
    return true;
}

static void labels_count(const struct activity *activity, double *counts) {
    for (size_t b = 0; b < activity->trials; b++) {
        if (activity->labels[b] >= 0) {
            counts[activity->labels[b]]++;
        }
    }
}

static void tune(const struct activity *activity, const struct trained *trained, const double *means,
                 const struct analysis_array *arrays) {
    size_t n = activity->units, types = (size_t)trained->types;
    labels_count(activity, arrays[LABELED].values);
    for (size_t u = 0; u < n; u++) {
        unit_tune(activity, means, u, arrays);
    }
    types_mean(trained, arrays[SELECTIVITY].values, arrays[TYPE_SELECTIVITY].values);
    for (size_t c = 0; c < (size_t)activity->classes; c++) {
        types_mean(trained, arrays[TUNING].values + c * n, arrays[TYPE_TUNING].values + c * types);
    }
}

static bool arrays_make(const struct activity *activity, size_t types, struct analysis_answer *answer,
                        struct error *error) {
    size_t n = activity->units, classes = (size_t)activity->classes, tuned = classes > 0 ? n : 0;
    const size_t lengths[OUTPUTS][ANALYSIS_AXES_MOST] = {
        [LABELED] = {classes},
        [TUNING] = {classes, n},
        [SELECTIVITY] = {tuned},
        [F_RATIO] = {tuned},
        [PREFERRED] = {tuned},
        [D_PRIME] = {tuned},
        [INPUT_CORRELATION] = {n, activity->inputs},
        [TARGET_CORRELATION] = {n, activity->targets ? activity->outputs : 0},
        [UNIT_TYPES] = {n},
        [TYPE_SIZES] = {types},
        [TYPE_SELECTIVITY] = {classes > 0 ? types : 0},
        [TYPE_TUNING] = {classes, types},
    };
    return analysis_arrays(answer, &analysis_selectivity, lengths, error);
}

static enum result activity_analyse(const struct activity *activity, const struct trained *trained,
                                    struct analysis_answer *answer, struct work *work, struct error *error) {
    const struct analysis_array *arrays = answer->arrays;
    double *means = calloc(activity->trials * activity->units + 1, sizeof *means);
    if (!means || !arrays_make(activity, (size_t)trained->types, answer, error)) {
        free(means);
        return analysis_no_memory(error);
    }
    for (size_t u = 0; u < activity->units; u++) {
        arrays[UNIT_TYPES].values[u] = trained->type_of_unit[u];
        arrays[TYPE_SIZES].values[trained->type_of_unit[u]]++;
    }
    trial_means(activity, means);
    if (activity->classes > 0) {
        tune(activity, trained, means, arrays);
    }
    free(means);
    if (work_add(work, 4.0 * (double)(activity->bins * activity->trials) * (double)activity->units) ||
        !correlate(activity, activity->x, activity->inputs, arrays[INPUT_CORRELATION].values, work) ||
        !correlate(activity, activity->targets, activity->outputs, arrays[TARGET_CORRELATION].values, work)) {
        return analysis_solved(-1, error);
    }
    return RESULT_DONE;
}

static enum result selectivity_run(const struct analysis_input *input, struct work *work,
                                   struct analysis_answer *answer, struct error *error) {
    struct activity activity;
    enum result result = activity_make(input, &input->network, work, &activity, error);
    if (result == RESULT_DONE) {
        result = activity_analyse(&activity, input->network.trained, answer, work, error);
    }
    activity_release(&activity);
    return result;
}

const struct analysis_ops analysis_selectivity = {
    .name = "selectivity",
    .doc = "what each unit and each cell type responds to: mean rate by class, share of variance that the classes "
           "explain, correlations with inputs and targets",
    .outputs = outputs,
    .output_count = OUTPUTS,
    .memory = selectivity_memory,
    .cost = selectivity_cost,
    .run = selectivity_run,
};
