/*
 * Representational similarity of two networks that are shown the same trials.
 *
 * X and Y: rates of both, a row for each bin and trial, a column a unit, columns centred. Linear CKA: |Y^T X|_F^2 /
 * (|X^T X|_F |Y^T Y|_F) (Kornblith et al. 2019, "Similarity of neural network representations revisited"). Procrustes:
 * with X and Y scaled to Frobenius norm 1, the rotation that fits best leaves the squared distance 2 - 2 |X^T Y|_*, the
 * nuclear norm (Schoenemann 1966; Williams et al. 2021, "Generalized shape metrics on neural representations"). Both
 * are invariant to rotations of either space, and defined for different numbers of units.
 */
#include <math.h>
#include <stdlib.h>

#include "core/analysis/activity.h"
#include "core/analysis/matrix.h"
#include "core/base/size.h"

enum { CKA, PROCRUSTES, DISTANCE, TIMES, CKA_TIMES, LOSS, OTHER_LOSS, OUTPUTS };

static const struct analysis_output outputs[] = {
    [CKA] = {"cka", "", NULL, "linear centred kernel alignment, 0 to 1"},
    [PROCRUSTES] = {"procrustes_similarity", "", NULL, "nuclear norm of the normalised X^T Y, 0 to 1"},
    [DISTANCE] = {"procrustes_distance", "", NULL, "what the best rotation leaves, 0 to the square root of 2"},
    [TIMES] = {"step", "step", "ms", "the beginning of each bin"},
    [CKA_TIMES] = {"cka_over_time", "step", NULL, "of each bin alone, over trials"},
    [LOSS] = {"loss", "", NULL, "of this network on the trials"},
    [OTHER_LOSS] = {"other_loss", "", NULL, "of the other network on the same trials"},
};

extern const struct analysis_ops analysis_similarity;

static size_t units_of(const struct analysis_network *network) {
    return (size_t)network->trained->units;
}

static size_t similarity_memory(const struct analysis_input *input) {
    size_t n = units_of(&input->network), m = units_of(&input->other), trials = input->request.trials,
           squares = size_plus(size_times(n, n), size_plus(size_times(m, m), size_times(n, m))),
           grams = size_plus(size_times(2 * trials, trials), size_times(trials, n + m));
    return size_plus(size_plus(activity_memory(input, &input->network), activity_memory(input, &input->other)),
                     size_plus(matrix_singular_memory(n, m),
                               size_times(size_plus(squares, size_plus(grams, 4 * (n + m))), sizeof(double))));
}

static double similarity_cost(const struct analysis_input *input) {
    double n = (double)units_of(&input->network), m = (double)units_of(&input->other),
           bins = (double)activity_bins(input), trials = (double)input->request.trials;
    return activity_cost(input, &input->network) + activity_cost(input, &input->other) +
           bins * trials * (n * n + m * m + n * m) + bins * trials * trials * (n + m) +
           matrix_singular_cost(units_of(&input->network), units_of(&input->other));
}

/* gram (B,B) of the centred rates of one bin, (B,n). `centred` has room for those. */
static void gram_write(const float *rates, size_t trials, size_t n, double *centred, double *gram) {
    for (size_t u = 0; u < n; u++) {
        double mean = 0;
        for (size_t b = 0; b < trials; b++) {
            mean += (double)rates[b * n + u];
        }
        for (size_t b = 0; b < trials; b++) {
            centred[b * n + u] = (double)rates[b * n + u] - mean / (double)trials;
        }
    }
    for (size_t a = 0; a < trials; a++) {
        for (size_t b = 0; b <= a; b++) {
            double sum = 0;
            for (size_t u = 0; u < n; u++) {
                sum += centred[a * n + u] * centred[b * n + u];
            }
            gram[a * trials + b] = gram[b * trials + a] = sum;
        }
    }
}

static double cosine(double inner, double first, double second) {
    return first > 0 && second > 0 ? inner / sqrt(first * second) : NAN;
}

static bool times_compare(const struct activity *x, const struct activity *y, double *grams, double *centred,
                          double *cka, struct work *work) {
    size_t trials = x->trials, square = trials * trials;
    for (size_t k = 0; k < x->bins; k++) {
        double inner = 0;
        gram_write(x->rates + k * trials * x->units, trials, x->units, centred, grams);
        gram_write(y->rates + k * trials * y->units, trials, y->units, centred, grams + square);
        for (size_t i = 0; i < square; i++) {
            inner += grams[i] * grams[square + i];
        }
        cka[k] = cosine(inner, matrix_square(grams, square), matrix_square(grams + square, square));
        if (work_add(work, (double)square * (double)(x->units + y->units))) {
            return false;
        }
    }
    return true;
}

struct scratch {
    double *mean_x, *mean_y, *row, *square, *cross, *values, *grams, *centred;
    void *memory;
};

static bool scratch_make(struct scratch *scratch, size_t n, size_t m, size_t trials) {
    size_t most = n > m ? n : m;
    double *at = malloc((2 * n + 2 * m + most + most * most + n * m + 2 * trials * trials + trials * most) *
                        sizeof *at);
    scratch->memory = at;
    if (!at) {
        return false;
    }
    scratch->mean_x = at;
    scratch->mean_y = scratch->mean_x + n;
    scratch->row = scratch->mean_y + m;
    scratch->values = scratch->row + most;
    scratch->square = scratch->values + n + m;
    scratch->cross = scratch->square + most * most;
    scratch->grams = scratch->cross + n * m;
    scratch->centred = scratch->grams + 2 * trials * trials;
    return true;
}

/* |X^T X|_F^2, and the sum of squares of X itself. */
static bool own_square(const struct activity *x, const double *mean, const struct scratch *scratch, double *product,
                       double *total, struct work *work) {
    size_t n = x->units;
    if (!matrix_product(x->rates, n, mean, x->rates, n, mean, x->bins * x->trials, scratch->row, scratch->square,
                        work)) {
        return false;
    }
    *product = matrix_square(scratch->square, n * n);
    *total = 0;
    for (size_t i = 0; i < n; i++) {
        *total += scratch->square[i * n + i];
    }
    return true;
}

/* As eigen_symmetric returns, or -3. */
static int whole_compare(const struct activity *x, const struct activity *y, const struct scratch *scratch,
                         const struct analysis_array *arrays, struct work *work) {
    size_t rows = x->bins * x->trials, count = x->units < y->units ? x->units : y->units;
    double xx, yy, total_x, total_y, nuclear = 0;
    matrix_mean(x->rates, rows, x->units, scratch->mean_x);
    matrix_mean(y->rates, rows, y->units, scratch->mean_y);
    if (!own_square(x, scratch->mean_x, scratch, &xx, &total_x, work) ||
        !own_square(y, scratch->mean_y, scratch, &yy, &total_y, work) ||
        !matrix_product(x->rates, x->units, scratch->mean_x, y->rates, y->units, scratch->mean_y, rows, scratch->row,
                        scratch->cross, work)) {
        return -1;
    }
    int found = matrix_singular_values(scratch->cross, x->units, y->units, scratch->values, work);
    for (size_t i = 0; found == 0 && i < count; i++) {
        nuclear += scratch->values[i];
    }
    double similarity = cosine(nuclear, total_x, total_y);
    *arrays[CKA].values = cosine(matrix_square(scratch->cross, x->units * y->units), xx, yy);
    *arrays[PROCRUSTES].values = similarity;
    *arrays[DISTANCE].values = similarity > 1 ? 0 : sqrt(2 - 2 * similarity);
    return found;
}

static enum result compare(const struct activity *x, const struct activity *y, struct analysis_answer *answer,
                           struct work *work, struct error *error) {
    const size_t lengths[OUTPUTS][ANALYSIS_AXES_MOST] = {[TIMES] = {x->bins}, [CKA_TIMES] = {x->bins}};
    struct scratch scratch;
    if (!analysis_arrays(answer, &analysis_similarity, lengths, error) ||
        !scratch_make(&scratch, x->units, y->units, x->trials)) {
        return analysis_no_memory(error);
    }
    activity_times(x, answer->arrays[TIMES].values);
    *answer->arrays[LOSS].values = x->loss;
    *answer->arrays[OTHER_LOSS].values = y->loss;
    int found = whole_compare(x, y, &scratch, answer->arrays, work);
    if (found == 0 && !times_compare(x, y, scratch.grams, scratch.centred, answer->arrays[CKA_TIMES].values, work)) {
        found = -1;
    }
    free(scratch.memory);
    return analysis_solved(found, error);
}

static enum result similarity_run(const struct analysis_input *input, struct work *work, struct analysis_answer *answer,
                                  struct error *error) {
    struct activity x = {0}, y = {0};
    enum result result = activity_make(input, &input->network, work, &x, error);
    if (result == RESULT_DONE) {
        result = activity_make(input, &input->other, work, &y, error);
    }
    if (result == RESULT_DONE) {
        result = compare(&x, &y, answer, work, error);
    }
    activity_release(&x);
    activity_release(&y);
    return result;
}

const struct analysis_ops analysis_similarity = {
    .name = "similarity",
    .doc = "how alike the activity of two networks is on the same trials: linear CKA and Procrustes",
    .outputs = outputs,
    .output_count = OUTPUTS,
    .memory = similarity_memory,
    .cost = similarity_cost,
    .run = similarity_run,
};
