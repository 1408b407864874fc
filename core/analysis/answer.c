/* What all analyses use: memory for their results, and sentences. See analysis.h; the table is in analysis.c. */
#include "core/analysis/analysis.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/size.h"

void analysis_answer_release(struct analysis_answer *answer) {
    for (int i = 0; i < ANALYSIS_OUTPUTS_MOST; i++) {
        free(answer->arrays[i].values);
    }
    *answer = (struct analysis_answer){0};
}

int analysis_axes_count(const struct analysis_output *output) {
    int count = *output->axes != '\0';
    for (const char *at = output->axes; *at != '\0'; at++) {
        count += *at == ' ';
    }
    return count;
}

enum result analysis_no_memory(struct error *error) {
    snprintf(error->text, sizeof error->text, "out of memory for this analysis");
    return RESULT_NO_MEMORY;
}

enum result analysis_solved(int found, struct error *error) {
    if (found == -1) {
        snprintf(error->text, sizeof error->text, "the computation was stopped");
        return RESULT_STOPPED;
    }
    if (found == -3) {
        return analysis_no_memory(error);
    }
    if (found < 0) {
        snprintf(error->text, sizeof error->text, "the eigenvalues did not converge");
        return RESULT_INVALID;
    }
    return RESULT_DONE;
}

double *analysis_array(struct analysis_answer *answer, const struct analysis_ops *ops, int output,
                       const size_t *lengths, struct error *error) {
    struct analysis_array *array = &answer->arrays[output];
    size_t count = 1;
    for (int i = 0; i < analysis_axes_count(&ops->outputs[output]); i++) {
        array->lengths[i] = lengths[i];
        count = size_times(count, lengths[i]);
    }
    array->values = size_possible(size_times(count, sizeof(double))) ? calloc(count > 0 ? count : 1, sizeof(double))
                                                                     : NULL;
    if (!array->values) {
        analysis_no_memory(error);
    }
    return array->values;
}

bool analysis_arrays(struct analysis_answer *answer, const struct analysis_ops *ops,
                     const size_t (*lengths)[ANALYSIS_AXES_MOST], struct error *error) {
    for (int i = 0; i < ops->output_count; i++) {
        bool wanted = true;
        for (int k = 0; k < analysis_axes_count(&ops->outputs[i]); k++) {
            wanted = wanted && lengths[i][k] > 0;
        }
        if (wanted && !analysis_array(answer, ops, i, lengths[i], error)) {
            return false;
        }
    }
    return true;
}
