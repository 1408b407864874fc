/*
 * How much of BPTT's nonlocal credit filters between cell types explain: of the fitted ones, the best that there are by
 * squared error, and of ModProp's own. See core/train/explained.h and fit.h, and MATHEMATICS.md ("Filters fitted to
 * BPTT").
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/analysis/analysis.h"
#include "core/base/size.h"

enum {
    TYPES,
    STEPS,
    LAGS,
    ENERGY,
    SEEN,
    SHARE,
    COSINE,
    SHARE_REACHED,
    COSINE_REACHED,
    SHARE_DW,
    COSINE_DW_NONLOCAL,
    COSINE_DW,
    SHARE_LAG,
    COSINE_LAG,
    TAPS,
    OUTPUTS
};

static const struct analysis_output outputs[] = {
    [TYPES] = {"types", "types", NULL, "C, the cell types of the whole network"},
    [STEPS] = {"steps", "steps", "steps", "S, how far taps reach"},
    [LAGS] = {"lag", "lag", "steps", "the last lag of each bin: 1, 2, 4, 8, ..."},
    [ENERGY] = {"energy", "types lag", NULL, "share of the nonlocal credit's square that lies in each bin"},
    [SEEN] = {"share_seen", "types steps", NULL, "share explained on the trials that were fitted to"},
    [SHARE] = {"share", "filter types steps", NULL,
               "share explained on other trials, all lags together; filter 0 is the fitted one, 1 ModProp's own"},
    [COSINE] = {"cosine", "filter types steps", NULL, "of the filter's nonlocal credit and bptt's, likewise"},
    [SHARE_REACHED] = {"share_reached", "filter types steps", NULL, "share explained at lags of at most S"},
    [COSINE_REACHED] = {"cosine_reached", "filter types steps", NULL, "cosine at lags of at most S"},
    [SHARE_DW] = {"share_dW", "filter types steps", NULL, "share explained of what bptt's dW has beyond e-prop's"},
    [COSINE_DW_NONLOCAL] = {"cosine_dW_nonlocal", "filter types steps", NULL, "cosine of the same"},
    [COSINE_DW] = {"cosine_dW", "filter types steps", NULL, "cosine of the whole dW with bptt's"},
    [SHARE_LAG] = {"share_lag", "filter types lag", NULL, "share explained in each bin, with the most steps"},
    [COSINE_LAG] = {"cosine_lag", "filter types lag", NULL, "cosine in each bin, with the most steps"},
    [TAPS] = {"taps", "tap credited broadcasting", NULL,
              "the fitted taps themselves, with the most steps; if asked for, and of one number of types"},
};

extern const struct analysis_ops analysis_filters;

static int rows_of(const struct explain_request *request) {
    return request->types_count > 0 ? request->types_count : 1;
}

static struct explain_request explain_of(const struct analysis_input *input) {
    struct explain_request request = input->request.explain;
    request.threads = input->request.threads;
    request.fit.trials = (int)input->request.trials;
    return request;
}

static bool filters_plan(const struct analysis_input *input, size_t *bytes, double *multiply_adds,
                         struct error *error) {
    const struct explain_request request = explain_of(input);
    return explain_plan(input->network.config, &request, bytes, multiply_adds, error);
}

static bool filters_suits(const struct analysis_input *input, struct error *error) {
    size_t bytes;
    double multiply_adds;
    return filters_plan(input, &bytes, &multiply_adds, error);
}

static size_t filters_memory(const struct analysis_input *input) {
    size_t bytes;
    double multiply_adds;
    struct error error;
    return filters_plan(input, &bytes, &multiply_adds, &error) ? bytes : SIZE_BEYOND;
}

static double filters_cost(const struct analysis_input *input) {
    size_t bytes;
    double multiply_adds;
    struct error error;
    return filters_plan(input, &bytes, &multiply_adds, &error) ? multiply_adds : INFINITY;
}

/* ---- the answer ---- */

/* Index of the most steps. */
static int longest_of(const struct explain_request *request) {
    int longest = 0;
    for (int i = 1; i < request->steps_count; i++) {
        longest = request->steps[i] > request->steps[longest] ? i : longest;
    }
    return longest;
}

/* Bins that any network has credit in. */
static size_t bins_of(const struct explained *answers, int count) {
    size_t bins = 0;
    for (int i = 0; i < count; i++) {
        for (size_t k = 0; k < LAG_BINS; k++) {
            bins = answers[i].fitted.energy[k] > 0 && k + 1 > bins ? k + 1 : bins;
        }
    }
    return bins;
}

static enum result arrays_make(const struct explain_request *request, const struct explained *answers, size_t bins,
                               struct analysis_answer *answer, struct error *error) {
    size_t rows = (size_t)rows_of(request), columns = (size_t)request->steps_count, types = (size_t)answers[0].types,
           lags = (size_t)request->steps[longest_of(request)];
    for (int i = 0; i < OUTPUTS; i++) {
        const size_t lengths[][ANALYSIS_AXES_MOST] = {[TYPES] = {rows},
                                                      [STEPS] = {columns},
                                                      [LAGS] = {bins},
                                                      [ENERGY] = {rows, bins},
                                                      [SEEN] = {rows, columns},
                                                      [SHARE] = {2, rows, columns},
                                                      [SHARE_LAG] = {2, rows, bins},
                                                      [TAPS] = {lags, types, types}};
        int like = i > SHARE && i < SHARE_LAG ? SHARE : i == COSINE_LAG ? SHARE_LAG : i;
        bool wanted = i != TAPS || answers[longest_of(request)].taps;
        if (wanted && !analysis_array(answer, &analysis_filters, i, lengths[like], error)) {
            return RESULT_NO_MEMORY;
        }
    }
    return RESULT_DONE;
}

/* The score of one filter in all results; `present` false: NaN. */
static void score_write(const struct fit_score *score, bool present, size_t at, struct analysis_answer *answer) {
    const double values[OUTPUTS] = {[SHARE] = score->share,
                                    [COSINE] = score->cosine,
                                    [SHARE_REACHED] = score->share_reached,
                                    [COSINE_REACHED] = score->cosine_reached,
                                    [SHARE_DW] = score->share_dW,
                                    [COSINE_DW_NONLOCAL] = score->cosine_dW_nonlocal,
                                    [COSINE_DW] = score->cosine_dW};
    for (int i = SHARE; i <= COSINE_DW; i++) {
        answer->arrays[i].values[at] = present ? values[i] : NAN;
    }
}

static void lags_write(const struct fit_score *score, bool present, size_t at, size_t bins,
                       struct analysis_answer *answer) {
    for (size_t k = 0; k < bins; k++) {
        answer->arrays[SHARE_LAG].values[at * bins + k] = present ? score->share_lag[k] : NAN;
        answer->arrays[COSINE_LAG].values[at * bins + k] = present ? score->cosine_lag[k] : NAN;
    }
}

static void answer_write(const struct explain_request *request, const struct explained *answers, size_t bins,
                         struct analysis_answer *answer) {
    size_t rows = (size_t)rows_of(request), columns = (size_t)request->steps_count,
           longest = (size_t)longest_of(request);
    for (size_t i = 0; i < rows; i++) {
        for (size_t k = 0; k < columns; k++) {
            const struct explained *one = &answers[i * columns + k];
            answer->arrays[STEPS].values[k] = one->steps;
            answer->arrays[SEEN].values[i * columns + k] = one->share_seen;
            score_write(&one->fitted, true, i * columns + k, answer);
            score_write(&one->modprop, one->has_modprop, (rows + i) * columns + k, answer);
        }
        const struct explained *most = &answers[i * columns + longest];
        answer->arrays[TYPES].values[i] = most->types;
        lags_write(&most->fitted, true, i, bins, answer);
        lags_write(&most->modprop, most->has_modprop, rows + i, bins, answer);
        memcpy(answer->arrays[ENERGY].values + i * bins, most->fitted.energy, bins * sizeof(double));
    }
    for (size_t k = 0; k < bins; k++) {
        answer->arrays[LAGS].values[k] = (double)((int64_t)1 << k);
    }
    if (answers[longest].taps) {
        size_t types = (size_t)answers[longest].types, lags = (size_t)answers[longest].steps;
        memcpy(answer->arrays[TAPS].values, answers[longest].taps, lags * types * types * sizeof(double));
    }
}

static enum result filters_run(const struct analysis_input *input, struct work *work, struct analysis_answer *answer,
                               struct error *error) {
    const struct explain_request request = explain_of(input);
    int count = rows_of(&request) * request.steps_count;
    struct explained *answers = calloc((size_t)count, sizeof *answers);
    if (!answers) {
        return analysis_no_memory(error);
    }
    enum result result = explain(input->network.config, input->network.trained, &request, work, answers, error);
    if (result == RESULT_DONE) {
        size_t bins = bins_of(answers, count);
        result = arrays_make(&request, answers, bins, answer, error);
        if (result == RESULT_DONE) {
            answer_write(&request, answers, bins, answer);
        }
        explained_release(answers, count);
    }
    free(answers);
    return result;
}

const struct analysis_ops analysis_filters = {
    .name = "filters",
    .doc = "filters between cell types fitted to bptt's nonlocal credit: the share that they explain, for several "
           "numbers of types and steps, ModProp's own taps beside them",
    .outputs = outputs,
    .output_count = OUTPUTS,
    .suits = filters_suits,
    .memory = filters_memory,
    .cost = filters_cost,
    .run = filters_run,
};
