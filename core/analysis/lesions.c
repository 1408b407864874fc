/*
 * Lesions: loss and accuracy of the network without one unit, one cell type, or one pathway, on the same trials.
 *
 * A unit or a type is removed by setting all weights to and from it, its bias and its readout to 0. A pathway is all
 * weights from one group to another: sources are the inputs and the cell types, targets the cell types and the outputs.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/analysis/evaluation.h"
#include "core/base/size.h"

enum {
    LOSS,
    ACCURACY,
    UNIT_LOSS,
    UNIT_ACCURACY,
    UNIT_TYPES,
    TYPE_LOSS,
    TYPE_ACCURACY,
    PATHWAY_LOSS,
    PATHWAY_ACCURACY,
    OUTPUTS
};

static const struct analysis_output outputs[] = {
    [LOSS] = {"loss", "", NULL, "of the intact network"},
    [ACCURACY] = {"accuracy", "", NULL, "of the intact network, where the task has one"},
    [UNIT_LOSS] = {"unit_loss", "unit", NULL, "without each unit (of: units)"},
    [UNIT_ACCURACY] = {"unit_accuracy", "unit", NULL, "without each unit (of: units)"},
    [UNIT_TYPES] = {"unit_type", "unit", NULL, "cell type of each unit (of: units)"},
    [TYPE_LOSS] = {"type_loss", "type", NULL, "without each cell type (of: types)"},
    [TYPE_ACCURACY] = {"type_accuracy", "type", NULL, "without each cell type (of: types)"},
    [PATHWAY_LOSS] = {"pathway_loss", "source target", NULL,
                      "without each pathway (of: pathways): sources are the inputs, then the cell types; targets the "
                      "cell types, then the outputs; undefined from the inputs to the outputs"},
    [PATHWAY_ACCURACY] = {"pathway_accuracy", "source target", NULL, "likewise"},
};

extern const struct analysis_ops analysis_lesions;

static int lesions_count(const struct analysis_input *input) {
    const struct trained *trained = input->network.trained;
    int types = trained->types;
    return input->request.of == LESION_UNITS   ? trained->units
           : input->request.of == LESION_TYPES ? types
                                               : (types + 1) * (types + 1) - 1;
}

static size_t lesions_memory(const struct analysis_input *input) {
    return size_plus(evaluation_memory(input, &input->shape),
                     size_times(input->network.trained->parameters, sizeof(float)));
}

static double lesions_cost(const struct analysis_input *input) {
    return (lesions_count(input) + 1.0) *
           (evaluation_cost(input, &input->shape, input->request.trials) + (double)input->network.trained->parameters);
}

/* The parts of a copy of the weights. */
struct parts {
    float *W, *Win, *b, *Wout;
};

static void unit_remove(const struct trained *trained, const struct parts *parts, size_t unit) {
    size_t n = (size_t)trained->units, outputs_count = (size_t)trained->outputs;
    for (size_t q = 0; q < n; q++) {
        parts->W[q * n + unit] = parts->W[unit * n + q] = 0;
    }
    for (size_t i = 0; i < (size_t)trained->inputs; i++) {
        parts->Win[i * n + unit] = 0;
    }
    if (parts->b) {
        parts->b[unit] = 0;
    }
    memset(parts->Wout + unit * outputs_count, 0, outputs_count * sizeof(float));
}

/* Row `source` of the table of pathways: -1 the inputs, else a type; column `target`: a type, or `types` the outputs.
 */
static void pathway_cut(const struct trained *trained, const struct parts *parts, int source, int target) {
    size_t n = (size_t)trained->units, outputs_count = (size_t)trained->outputs;
    const int *type = trained->type_of_unit;
    for (size_t p = 0; p < n; p++) {
        if (target == trained->types) {
            if (type[p] == source) {
                memset(parts->Wout + p * outputs_count, 0, outputs_count * sizeof(float));
            }
            continue;
        }
        if (type[p] != target) {
            continue;
        }
        for (size_t i = 0; source < 0 && i < (size_t)trained->inputs; i++) {
            parts->Win[i * n + p] = 0;
        }
        for (size_t q = 0; source >= 0 && q < n; q++) {
            parts->W[q * n + p] = type[q] == source ? 0 : parts->W[q * n + p];
        }
    }
}

static void lesion_make(const struct analysis_input *input, const struct parts *parts, int index) {
    const struct trained *trained = input->network.trained;
    int width = trained->types + 1;
    if (input->request.of == LESION_PATHWAYS) {
        pathway_cut(trained, parts, index / width - 1, index % width);
        return;
    }
    for (int u = 0; u < trained->units; u++) {
        if (input->request.of == LESION_UNITS ? u == index : trained->type_of_unit[u] == index) {
            unit_remove(trained, parts, (size_t)u);
        }
    }
}

/* `copy` has room for the parameters. */
static enum result lesions_make(const struct analysis_input *input, float *copy, double *loss, double *accuracy,
                                struct work *work, struct error *error) {
    const struct trained *trained = input->network.trained;
    const struct weights_view view = weights_view_make(copy, trained->units, trained->inputs, trained->outputs,
                                                       trained->has_bias);
    const struct parts parts = {copy, copy + (view.Win - copy), view.b ? copy + (view.b - copy) : NULL,
                                copy + (view.Wout - copy)};
    const struct evaluation_change change = {.weights = &view};
    bool pathways = input->request.of == LESION_PATHWAYS;
    for (int i = 0; i < lesions_count(input) + pathways; i++) {
        if (pathways && i == trained->types) { /* from the inputs to the outputs there is nothing */
            loss[i] = accuracy[i] = NAN;
            continue;
        }
        memcpy(copy, trained->W, trained->parameters * sizeof *copy);
        lesion_make(input, &parts, i);
        enum result result = evaluation_make(input, &change, work, &loss[i], &accuracy[i], error);
        if (result != RESULT_DONE) {
            return result;
        }
    }
    return RESULT_DONE;
}

static enum result lesions_run(const struct analysis_input *input, struct work *work, struct analysis_answer *answer,
                               struct error *error) {
    const struct trained *trained = input->network.trained;
    enum lesion_target of = input->request.of;
    size_t units = of == LESION_UNITS ? (size_t)trained->units : 0,
           types = of == LESION_TYPES ? (size_t)trained->types : 0,
           paths = of == LESION_PATHWAYS ? (size_t)trained->types + 1 : 0;
    int first = of == LESION_UNITS ? UNIT_LOSS : of == LESION_TYPES ? TYPE_LOSS : PATHWAY_LOSS;
    const size_t lengths[OUTPUTS][ANALYSIS_AXES_MOST] = {[UNIT_LOSS] = {units},
                                                         [UNIT_ACCURACY] = {units},
                                                         [UNIT_TYPES] = {units},
                                                         [TYPE_LOSS] = {types},
                                                         [TYPE_ACCURACY] = {types},
                                                         [PATHWAY_LOSS] = {paths, paths},
                                                         [PATHWAY_ACCURACY] = {paths, paths}};
    const struct analysis_array *arrays = answer->arrays;
    float *copy = malloc(trained->parameters * sizeof *copy);
    if (!copy || !analysis_arrays(answer, &analysis_lesions, lengths, error)) {
        free(copy);
        return analysis_no_memory(error);
    }
    for (size_t u = 0; u < units; u++) {
        arrays[UNIT_TYPES].values[u] = trained->type_of_unit[u];
    }
    enum result result = evaluation_make(input, &(struct evaluation_change){0}, work, arrays[LOSS].values,
                                         arrays[ACCURACY].values, error);
    if (result == RESULT_DONE) {
        result = lesions_make(input, copy, arrays[first].values, arrays[first + 1].values, work, error);
    }
    free(copy);
    return result;
}

const struct analysis_ops analysis_lesions = {
    .name = "lesions",
    .doc = "loss and accuracy without each unit, each cell type, or each pathway between inputs, types and outputs",
    .outputs = outputs,
    .output_count = OUTPUTS,
    .memory = lesions_memory,
    .cost = lesions_cost,
    .run = lesions_run,
};
