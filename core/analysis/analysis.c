/* The table of analyses, and how one is run: see analysis.h. */
#include "core/analysis/analysis.h"

enum { BINS = 100 }; /* of a trial, where the request leaves their width open */

extern const struct analysis_ops analysis_dimensionality, analysis_selectivity, analysis_timescales,
    analysis_similarity, analysis_changes, analysis_curvature, analysis_generalization, analysis_lesions,
    analysis_difficulty, analysis_filters;

const struct analysis_ops *const analysis_table[ANALYSIS_TYPES] = {
    [ANALYSIS_DIMENSIONALITY] = &analysis_dimensionality,
    [ANALYSIS_SELECTIVITY] = &analysis_selectivity,
    [ANALYSIS_TIMESCALES] = &analysis_timescales,
    [ANALYSIS_SIMILARITY] = &analysis_similarity,
    [ANALYSIS_CHANGES] = &analysis_changes,
    [ANALYSIS_CURVATURE] = &analysis_curvature,
    [ANALYSIS_GENERALIZATION] = &analysis_generalization,
    [ANALYSIS_LESIONS] = &analysis_lesions,
    [ANALYSIS_DIFFICULTY] = &analysis_difficulty,
    [ANALYSIS_FILTERS] = &analysis_filters,
};

void analysis_settle(struct analysis_input *input) {
    struct analysis_request *request = &input->request;
    int steps = input->shape.steps;
    request->end = request->end == 0 || request->end > steps ? steps : request->end;
    if (request->every == 0) {
        request->every = (steps + BINS - 1) / BINS;
    }
    request->every = request->every > steps ? steps : request->every;
    request->threads = request->threads > 1 ? request->threads : 1;
}

enum result analysis_run(enum analysis_type type, const struct analysis_input *input, bool (*stop)(void *user),
                         void *user, struct analysis_answer *answer, struct error *error) {
    struct work work = {.stop = stop, .user = user};
    *answer = (struct analysis_answer){.every = input->request.every};
    *error = (struct error){0};
    enum result result = analysis_table[type]->run(input, &work, answer, error);
    answer->multiply_adds = work.done;
    if (result == RESULT_DONE) {
        *error = (struct error){0};
    }
    return result;
}
