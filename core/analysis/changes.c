/*
 * Changes of the weights over checkpoints, against the initial weights, which the configuration and the seed give.
 *
 * Norms are Frobenius'. Effective rank: exp(-sum p_i log p_i), p_i = s_i / sum s of the singular values s (Roy and
 * Vetterli 2007, "The effective rank: a measure of effective dimensionality"). Kernel alignment: of the Gram matrices
 * of the rates of both networks on the same trials, <K_1, K_2> / (|K_1| |K_2|) with K = X X^T, X not centred
 * (Cristianini et al. 2001, "On kernel-target alignment"): near 1 where the representation has stayed what it was.
 */
#include <math.h>
#include <stdlib.h>

#include "core/analysis/activity.h"
#include "core/analysis/matrix.h"
#include "core/base/eigen.h"
#include "core/base/elementary.h"
#include "core/base/size.h"
#include "core/model/network.h"

enum {
    ITERATION,
    NORM_W,
    NORM_WIN,
    NORM_WOUT,
    CHANGE_W,
    CHANGE_WIN,
    CHANGE_WOUT,
    RANK,
    CHANGE_RANK,
    RADIUS,
    ALIGNMENT,
    LOSS,
    OUTPUTS
};

static const struct analysis_output outputs[] = {
    [ITERATION] = {"iteration", "checkpoint", NULL, "of each checkpoint; the first entry, 0, is the initial network"},
    [NORM_W] = {"norm_W", "checkpoint", NULL, "Frobenius norm of W"},
    [NORM_WIN] = {"norm_Win", "checkpoint", NULL, "of Win"},
    [NORM_WOUT] = {"norm_Wout", "checkpoint", NULL, "of Wout"},
    [CHANGE_W] = {"change_W", "checkpoint", NULL, "Frobenius norm of W less the initial W"},
    [CHANGE_WIN] = {"change_Win", "checkpoint", NULL, "of Win"},
    [CHANGE_WOUT] = {"change_Wout", "checkpoint", NULL, "of Wout"},
    [RANK] = {"effective_rank", "checkpoint", NULL, "of W"},
    [CHANGE_RANK] = {"change_rank", "checkpoint", NULL, "effective rank of W less the initial W"},
    [RADIUS] = {"spectral_radius", "checkpoint", NULL, "of W"},
    [ALIGNMENT] = {"kernel_alignment", "checkpoint", NULL, "of the activity with that of the initial network"},
    [LOSS] = {"loss", "checkpoint", NULL, "on the trials that are run"},
};

extern const struct analysis_ops analysis_changes;

static size_t changes_memory(const struct analysis_input *input) {
    const struct trained *trained = input->network.trained;
    size_t n = (size_t)trained->units, all = size_times((size_t)input->series_count + 2, trained->parameters);
    return size_plus(size_plus(size_times(2, activity_memory(input, &input->network)), matrix_singular_memory(n, n)),
                     size_plus(size_times(all, sizeof(float)), size_times(size_times(n, n), 3 * sizeof(double))));
}

static double changes_cost(const struct analysis_input *input) {
    const struct trained *trained = input->network.trained;
    size_t units = (size_t)trained->units;
    double n = trained->units, rows = (double)activity_bins(input) * (double)input->request.trials,
           each = activity_cost(input, &input->network) + 2 * rows * n * n + 2 * matrix_singular_cost(units, units) +
                  eigen_radius_cost(trained->units);
    return network_init_cost(&input->network.config->network, trained->inputs, trained->outputs) +
           (input->series_count + 1.0) * each;
}

/* Memory for one comparison after the other. */
struct scratch {
    double *mean, *row, *square, *values, *solver; /* mean (N) is 0 */
    struct activity first;                         /* of the initial network */
    double first_square;                           /* |X^T X|_F^2 of it */
};

static bool scratch_make(struct scratch *scratch, size_t n) {
    scratch->mean = calloc(n + 1, sizeof(double));
    scratch->row = malloc((n + 1) * sizeof(double));
    scratch->square = malloc((n * n + 1) * sizeof(double));
    scratch->values = malloc((n + 1) * sizeof(double));
    scratch->solver = malloc(eigen_radius_scratch_size((int)n) + 1);
    return scratch->mean && scratch->row && scratch->square && scratch->values && scratch->solver;
}

static void scratch_release(struct scratch *scratch) {
    free(scratch->mean);
    free(scratch->row);
    free(scratch->square);
    free(scratch->values);
    free(scratch->solver);
    activity_release(&scratch->first);
}

/* |a - b|_F; b NULL: |a|_F. */
static double norm(const float *a, const float *b, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        double entry = (double)a[i] - (b ? (double)b[i] : 0);
        sum += entry * entry;
    }
    return sqrt(sum);
}

/* Of a - b (n,n); b NULL: of a. NaN of a matrix of 0. As matrix_singular_values returns. */
static int effective_rank(const float *a, const float *b, size_t n, const struct scratch *scratch, struct work *work,
                          double *rank) {
    double sum = 0, entropy = 0;
    for (size_t i = 0; i < n * n; i++) {
        scratch->square[i] = (double)a[i] - (b ? (double)b[i] : 0);
    }
    int found = matrix_singular_values(scratch->square, n, n, scratch->values, work);
    for (size_t i = 0; found == 0 && i < n; i++) {
        sum += scratch->values[i];
    }
    for (size_t i = 0; found == 0 && i < n; i++) {
        double share = sum > 0 ? scratch->values[i] / sum : 0;
        entropy -= share > 1e-300 ? share * elementary_log(share) : 0;
    }
    *rank = sum > 0 ? elementary_exp(entropy) : NAN;
    return found;
}

static int radius_find(const float *W, size_t n, const struct scratch *scratch, struct work *work, double *radius) {
    for (size_t i = 0; i < n * n; i++) {
        scratch->square[i] = (double)W[i];
    }
    return eigen_radius((int)n, scratch->square, scratch->solver, work, radius);
}

/* |X^T Y|_F^2, not centred. */
static bool cross_square(const struct activity *x, const struct activity *y, const struct scratch *scratch,
                         struct work *work, double *square) {
    size_t n = x->units, rows = x->bins * x->trials;
    if (!matrix_product(x->rates, n, scratch->mean, y->rates, n, scratch->mean, rows, scratch->row, scratch->square,
                        work)) {
        return false;
    }
    *square = matrix_square(scratch->square, n * n);
    return true;
}

static void norms_write(const struct trained *now, const struct trained *initial, const struct analysis_array *arrays,
                        size_t at) {
    size_t n = (size_t)now->units, inputs = (size_t)now->inputs * n, outputs_count = (size_t)now->outputs * n;
    arrays[ITERATION].values[at] = at == 0 ? 0 : (double)now->iteration;
    arrays[NORM_W].values[at] = norm(now->W, NULL, n * n);
    arrays[NORM_WIN].values[at] = norm(now->Win, NULL, inputs);
    arrays[NORM_WOUT].values[at] = norm(now->Wout, NULL, outputs_count);
    arrays[CHANGE_W].values[at] = norm(now->W, initial->W, n * n);
    arrays[CHANGE_WIN].values[at] = norm(now->Win, initial->Win, inputs);
    arrays[CHANGE_WOUT].values[at] = norm(now->Wout, initial->Wout, outputs_count);
}

/* Entry `at` of the activity's results; entry 0 is the initial network, whose activity is kept. */
static enum result activity_compare(const struct analysis_input *input, const struct trained *now,
                                    struct scratch *scratch, const struct analysis_array *arrays, size_t at,
                                    struct work *work, struct error *error) {
    const struct analysis_network network = {input->network.config, now};
    struct activity activity = {0}, *own = at == 0 ? &scratch->first : &activity;
    double both = 0, square = 0;
    enum result result = activity_make(input, &network, work, own, error);
    if (result == RESULT_DONE && (!cross_square(&scratch->first, own, scratch, work, &both) ||
                                  !cross_square(own, own, scratch, work, &square))) {
        result = analysis_solved(-1, error);
    }
    scratch->first_square = at == 0 ? square : scratch->first_square;
    arrays[LOSS].values[at] = own->loss;
    arrays[ALIGNMENT].values[at] = square > 0 && scratch->first_square > 0 ? both / sqrt(square * scratch->first_square)
                                                                           : NAN;
    activity_release(&activity);
    return result;
}

static enum result checkpoint_compare(const struct analysis_input *input, const struct trained *now,
                                      const struct trained *initial, struct scratch *scratch,
                                      const struct analysis_array *arrays, size_t at, struct work *work,
                                      struct error *error) {
    size_t n = (size_t)now->units;
    norms_write(now, initial, arrays, at);
    int found = effective_rank(now->W, NULL, n, scratch, work, &arrays[RANK].values[at]);
    found = found == 0 ? effective_rank(now->W, initial->W, n, scratch, work, &arrays[CHANGE_RANK].values[at]) : found;
    found = found == 0 ? radius_find(now->W, n, scratch, work, &arrays[RADIUS].values[at]) : found;
    return found == 0 ? activity_compare(input, now, scratch, arrays, at, work, error) : analysis_solved(found, error);
}

static enum result series_compare(const struct analysis_input *input, const struct trained *initial,
                                  struct analysis_answer *answer, struct work *work, struct error *error) {
    size_t n = (size_t)initial->units, count = (size_t)input->series_count + 1, lengths[OUTPUTS][ANALYSIS_AXES_MOST];
    struct scratch scratch = {0};
    for (int i = 0; i < OUTPUTS; i++) {
        lengths[i][0] = count;
    }
    enum result result = RESULT_DONE;
    if (!scratch_make(&scratch, n) ||
        !analysis_arrays(answer, &analysis_changes, (const size_t (*)[ANALYSIS_AXES_MOST])lengths, error)) {
        result = analysis_no_memory(error);
    }
    for (size_t i = 0; result == RESULT_DONE && i < count; i++) {
        result = checkpoint_compare(input, i == 0 ? initial : &input->series[i - 1], initial, &scratch, answer->arrays,
                                    i, work, error);
    }
    scratch_release(&scratch);
    return result;
}

static enum result changes_run(const struct analysis_input *input, struct work *work, struct analysis_answer *answer,
                               struct error *error) {
    const struct train_config *config = input->network.config;
    struct trained initial = *input->network.trained;
    struct network network;
    enum result result = network_init(&network, &config->network, initial.inputs, initial.outputs, config->seed, work,
                                      error->text);
    if (result != RESULT_DONE) {
        return result;
    }
    initial.W = network.weights + network.offset_W;
    initial.Win = network.weights + network.offset_Win;
    initial.b = initial.has_bias ? network.weights + network.offset_b : NULL;
    initial.Wout = network.weights + network.offset_Wout;
    initial.bout = network.weights + network.offset_bout;
    result = series_compare(input, &initial, answer, work, error);
    network_release(&network);
    return result;
}

const struct analysis_ops analysis_changes = {
    .name = "changes",
    .doc = "how far weights and activity have moved from the initial network, at every checkpoint that is kept",
    .outputs = outputs,
    .output_count = OUTPUTS,
    .memory = changes_memory,
    .cost = changes_cost,
    .run = changes_run,
};
