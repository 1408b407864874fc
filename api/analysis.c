/*
 * What an analysis is asked, and its answer: see analysis.h. One table has the fields of all analyses.
 */
#include "api/analysis.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/field.h"
#include "api/numbers.h"
#include "api/rule.h"
#include "api/simulate.h"
#include "api/text.h"

#define BIT(type) (1u << ANALYSIS_##type)
#define ACTIVITY (BIT(DIMENSIONALITY) | BIT(SELECTIVITY) | BIT(TIMESCALES) | BIT(SIMILARITY) | BIT(CHANGES))
#define RUNS (ACTIVITY | BIT(LESIONS) | BIT(DIFFICULTY)) /* trials that the request chooses */
#define CURRENT_NOISE "current_noise"                    /* what difficulty may also vary */
enum { LEVELS_MOST = 64 };

#define ASK(member) offsetof(struct analysis_ask, member)

static const char *const split_choices[] = {"fresh", "test", "training", NULL}; /* by enum simulate_split */

static void decode_iteration(const json_t *value, const struct path *path, const struct field *field, void *object,
                             struct problems *problems) {
    ((struct analysis_ask *)object)->iteration = iteration_decode(value, path, field->name, problems);
}

static json_t *encode_iteration(const struct field *field, const void *object) {
    (void)field;
    int64_t iteration = ((const struct analysis_ask *)object)->iteration;
    return iteration < 0 ? json_null() : json_integer(iteration);
}

static const struct field_custom iteration = {decode_iteration, encode_iteration,
                                              "{\"type\": [\"integer\", \"null\"], \"minimum\": 0}"};

static void decode_other(const json_t *value, const struct path *path, const struct field *field, void *object,
                         struct problems *problems) {
    static const char *const known[] = {"job", "iteration"};
    const struct path here = {.parent = path, .name = field->name};
    struct analysis_ask *ask = object;
    const json_t *job = json_object_get(value, known[0]);
    const char *name, *id = json_string_value(job);
    json_t *member;
    char got[80];
    if (!json_is_object(value)) {
        problems_add(problems, path, field->name, "must be {\"job\": id or null, \"iteration\": n or null}; got %s",
                     value_quote(value, got));
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)value, name, member) {
        if (strcmp(name, known[0]) != 0 && strcmp(name, known[1]) != 0) {
            problems_add_unknown(problems, &here, name, "field", known, 2);
        }
    }
    if (id != NULL && strlen(id) < sizeof ask->other) {
        memcpy(ask->other, id, strlen(id) + 1);
    } else if (job != NULL && !json_is_null(job)) {
        problems_add(problems, &here, known[0], "must be the id of a job, or null: this one; got %s",
                     value_quote(job, got));
    }
    ask->other_iteration = iteration_decode(json_object_get(value, known[1]), &here, known[1], problems);
}

static json_t *encode_other(const struct field *field, const void *object) {
    (void)field;
    const struct analysis_ask *ask = object;
    return json_pack("{s:o, s:o}", "job", *ask->other == '\0' ? json_null() : json_string(ask->other), "iteration",
                     ask->other_iteration < 0 ? json_null() : json_integer(ask->other_iteration));
}

static const struct field_custom other = {
    decode_other, encode_other,
    "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {\"job\": {\"type\": [\"string\", "
    "\"null\"]}, \"iteration\": {\"type\": [\"integer\", \"null\"], \"minimum\": 0}}}"};

static const char *const lesion_choices[] = {"units", "types", "pathways", NULL}; /* by enum lesion_target */
static const char *const basis_choices[] = {"exponential", "free", NULL};         /* by enum fit_basis */

static const struct field items[] = {
    {.name = "iteration",
     .type = FIELD_CUSTOM,
     .variants = ~BIT(CHANGES),
     .custom = &iteration,
     .fallback = "null",
     .doc = "checkpoint that is analysed; null: the newest"},
    {.name = "trials",
     .variants = BIT(LESIONS),
     .type = FIELD_INT64,
     .offset = ASK(trials),
     .low = 1,
     .high = 4096,
     .fallback = "32",
     .doc = "trials to run with each lesion, the same ones"},
    {.name = "trials",
     .variants = (RUNS & ~BIT(LESIONS)) | BIT(FILTERS),
     .type = FIELD_INT64,
     .offset = ASK(trials),
     .low = 1,
     .high = 4096,
     .fallback = "64",
     .doc = "trials to run"},
    {.name = "trials",
     .variants = BIT(GENERALIZATION),
     .type = FIELD_INT64,
     .offset = ASK(trials),
     .low = 1,
     .high = 100000000,
     .fallback = "1000",
     .doc = "trials of each split to run, from its beginning; of a smaller split all"},
    {.name = "seed",
     .variants = RUNS | BIT(GENERALIZATION) | BIT(CURVATURE),
     .type = FIELD_SEED,
     .offset = ASK(request.seed),
     .low = 0,
     .high = 9007199254740991.0,
     .fallback = "0",
     .doc = "of fresh trials, of noise, and of the direction in which the power iteration begins"},
    {.name = "split",
     .variants = RUNS,
     .type = FIELD_CHOICE,
     .offset = ASK(split),
     .choices = split_choices,
     .fallback = "\"fresh\"",
     .doc = "fresh trials of the task, or those of its test or training split in order"},
    {.name = "first",
     .variants = RUNS,
     .type = FIELD_INT64,
     .offset = ASK(first),
     .low = 0,
     .high = 100000000,
     .fallback = "0",
     .doc = "number of the first trial within the split"},
    {.name = "noise",
     .variants = RUNS | BIT(GENERALIZATION),
     .type = FIELD_NUMBER,
     .offset = ASK(request.noise),
     .low = 0,
     .high = 1e6,
     .fallback = "0",
     .doc = "standard deviation of normal noise on the input current of every unit, as in a simulation"},
    {.name = "every",
     .variants = ACTIVITY,
     .type = FIELD_INT_OR_NULL,
     .offset = ASK(request.every),
     .unit = "steps",
     .low = 1,
     .high = 1000000,
     .fallback = "null",
     .doc = "steps of a bin; rates are means over bins. null: so that a trial has about 100 bins"},
    {.name = "begin",
     .variants = ACTIVITY,
     .type = FIELD_INT,
     .offset = ASK(request.begin),
     .unit = "steps",
     .low = 0,
     .high = 10000000,
     .fallback = "0",
     .doc = "the step at which the analysed part of a trial begins"},
    {.name = "end",
     .variants = ACTIVITY,
     .type = FIELD_INT_OR_NULL,
     .offset = ASK(request.end),
     .unit = "steps",
     .low = 1,
     .high = 10000000,
     .fallback = "null",
     .doc = "the step before which that part ends; null: the trial's end"},
    {.name = "components",
     .variants = BIT(DIMENSIONALITY),
     .type = FIELD_INT,
     .offset = ASK(request.components),
     .low = 1,
     .high = 100,
     .fallback = "3",
     .doc = "principal components that are given with the trials' paths along them"},
    {.name = "lags",
     .variants = BIT(TIMESCALES),
     .type = FIELD_INT_OR_NULL,
     .offset = ASK(request.lags),
     .unit = "bins",
     .low = 4,
     .high = 100000,
     .fallback = "null",
     .doc = "longest lag of the autocorrelation; null: half of the bins"},
    {.name = "other",
     .variants = BIT(SIMILARITY),
     .type = FIELD_CUSTOM,
     .custom = &other,
     .doc = "the network that is compared with, {\"job\": id, \"iteration\": n}: another job (null or absent: this "
            "one), at a checkpoint (null or absent: the newest). It is shown the trials of this job's task"},
    {.name = "of",
     .variants = BIT(LESIONS),
     .type = FIELD_CHOICE,
     .offset = ASK(request.of),
     .choices = lesion_choices,
     .fallback = "\"types\"",
     .doc = "what is removed, one at a time"},
    {.name = "parameter",
     .variants = BIT(DIFFICULTY),
     .type = FIELD_NAME,
     .offset = ASK(parameter),
     .doc = "a number among the parameters of the job's task, such as delay, or current_noise: noise on the input "
            "current of every unit"},
    {.name = "values",
     .variants = BIT(DIFFICULTY),
     .type = FIELD_NUMBERS_OR_NULL,
     .offset = ASK(values),
     .dimensions = 1,
     .low = -1e9,
     .high = 1e9,
     .doc = "of the parameter, 1 to 64"},
    {.name = "iterations",
     .variants = BIT(CURVATURE),
     .type = FIELD_INT,
     .offset = ASK(request.iterations),
     .low = 1,
     .high = 1000,
     .fallback = "20",
     .doc = "most steps of the power iteration; it ends once the estimate changes by less than a part in 10000"},
    {.name = "step",
     .variants = BIT(CURVATURE),
     .type = FIELD_NUMBER,
     .offset = ASK(request.step),
     .low = 1e-6,
     .high = 0.1,
     .fallback = "0.001",
     .doc = "distance between the weights whose gradients are compared, as a share of the norm of all weights"},
    {.name = "types_per_sign",
     .variants = BIT(FILTERS),
     .type = FIELD_NUMBERS_OR_NULL,
     .offset = ASK(types_per_sign),
     .dimensions = 1,
     .low = 1,
     .high = 16384,
     .fallback = "null",
     .doc = "how finely to type cells, as in network: up to 16 numbers; null: the job's own types"},
    {.name = "steps",
     .variants = BIT(FILTERS),
     .type = FIELD_NUMBERS_OR_NULL,
     .offset = ASK(steps),
     .unit = "steps",
     .dimensions = 1,
     .low = 1,
     .high = 1000000,
     .doc = "how far taps reach: up to 16 numbers"},
    {.name = "basis",
     .variants = BIT(FILTERS),
     .type = FIELD_CHOICE,
     .offset = ASK(request.explain.fit.basis),
     .choices = basis_choices,
     .fallback = "\"free\"",
     .doc = "free taps, or sums of exponentials with time constants spread evenly in log from 1 to S steps"},
    {.name = "terms",
     .variants = BIT(FILTERS),
     .type = FIELD_INT,
     .offset = ASK(request.explain.fit.terms),
     .low = 1,
     .high = 64,
     .fallback = "8",
     .doc = "exponentials"},
    {.name = "ridge",
     .variants = BIT(FILTERS),
     .type = FIELD_NUMBER,
     .offset = ASK(request.explain.fit.ridge),
     .low = 0,
     .low_excluded = true,
     .high = 1e6,
     .fallback = "0.001",
     .doc = "times the mean of the normal matrix's diagonal: what is added to that diagonal"},
    {.name = "mu",
     .variants = BIT(FILTERS),
     .type = FIELD_NUMBER,
     .offset = ASK(request.explain.mu),
     .low = 0,
     .high = 1,
     .fallback = "0.25",
     .doc = "of ModProp's own taps"},
    {.name = "taps",
     .variants = BIT(FILTERS),
     .type = FIELD_BOOLEAN,
     .offset = ASK(request.explain.keep_taps),
     .fallback = "false",
     .doc = "give the fitted taps too, where at most one number of types is asked for"},
};

static const struct fields fields = {items, sizeof items / sizeof items[0]};

/* Names and meanings, as the decoder of variants takes them. */
static const struct variant *variants_all(void) {
    static _Thread_local struct variant variants[ANALYSIS_TYPES];
    for (int i = 0; i < ANALYSIS_TYPES; i++) {
        variants[i] = (struct variant){analysis_table[i]->name, analysis_table[i]->doc};
    }
    return variants;
}

/* A list of integers, of at most EXPLAINED_MOST. */
static int integers_take(const struct numbers *numbers, const char *name, int to[EXPLAINED_MOST],
                         struct problems *problems) {
    size_t count = numbers_count(numbers);
    bool whole = count <= EXPLAINED_MOST;
    for (size_t i = 0; i < count && whole; i++) {
        whole = numbers->values[i] == floor(numbers->values[i]);
        to[i] = (int)numbers->values[i];
    }
    if (!whole) {
        problems_add(problems, NULL, name, "must be at most %d integers", EXPLAINED_MOST);
    }
    return whole ? (int)count : 0;
}

static void explain_take(struct analysis_ask *ask, struct problems *problems) {
    struct explain_request *explain = &ask->request.explain;
    explain->types_count = integers_take(&ask->types_per_sign, "types_per_sign", explain->types_per_sign, problems);
    explain->steps_count = integers_take(&ask->steps, "steps", explain->steps, problems);
    if (explain->steps_count == 0 && problems->count == 0) {
        problems_add(problems, NULL, "steps", "must be a list of 1 to %d integers", EXPLAINED_MOST);
    }
}

void analysis_ask_decode(struct analysis_ask *ask, const json_t *document, struct problems *problems) {
    char name[48];
    int type;
    *ask = (struct analysis_ask){.iteration = -1, .other_iteration = -1};
    if (!variant_decode(document, variants_all(), ANALYSIS_TYPES, -1, NULL, &type, problems)) {
        return;
    }
    ask->type = (enum analysis_type)type;
    snprintf(name, sizeof name, "an analysis of type %s", analysis_table[type]->name);
    const struct decoding decoding = {.fields = &fields, .variant = 1u << type, .variant_name = name, .skip = "type"};
    fields_decode(&decoding, document, NULL, ask, problems);
    ask->request.trials = (size_t)ask->trials;
    ask->request.first = (size_t)ask->first;
    ask->request.split = (enum simulate_split)ask->split;
    if (ask->type == ANALYSIS_FILTERS) {
        explain_take(ask, problems);
    }
}

static void levels_release(struct analysis_ask *ask) {
    for (int i = 0; i < ask->level_count; i++) {
        task_config_release(&ask->levels[i]);
    }
    free(ask->levels);
    ask->levels = NULL;
    ask->level_count = 0;
}

void analysis_ask_release(struct analysis_ask *ask) {
    levels_release(ask);
    fields_release(&fields, 1u << ask->type, ask);
    *ask = (struct analysis_ask){0};
}

/* The task with each value of the parameter. */
static void fit_levels(struct analysis_ask *ask, const struct task_config *task, struct problems *problems) {
    const struct path values = {.name = "values"};
    size_t count = numbers_count(&ask->values);
    char fault[256];
    levels_release(ask);
    if (count < 1 || count > LEVELS_MOST) {
        problems_add(problems, NULL, "values", "must be a list of 1 to %d numbers; got %zu", LEVELS_MOST, count);
        return;
    }
    bool noise = strcmp(ask->parameter, CURRENT_NOISE) == 0;
    ask->levels = noise ? NULL : calloc(count, sizeof *ask->levels);
    for (size_t i = 0; i < count; i++) {
        const struct path here = {.parent = &values, .index = i};
        if (noise && ask->values.values[i] < 0) {
            problems_add(problems, &here, NULL, "must be at least 0; got %g", ask->values.values[i]);
        } else if (!noise && ask->levels == NULL) {
            problems_add(problems, &here, NULL, "not enough memory for this");
        } else if (!noise && !task_parameter_is_number(task->type, ask->parameter)) {
            problems_add(problems, NULL, "parameter",
                         "must be a number among the parameters of the task %s, or \"" CURRENT_NOISE "\"; got \"%s\"",
                         task_type_name(task->type), ask->parameter);
            return;
        } else if (!noise && !task_config_change(task, ask->parameter, ask->values.values[i],
                                                 &ask->levels[ask->level_count++], fault)) {
            problems_add(problems, &here, NULL, "%s", fault);
        }
    }
}

static void fit_other(const struct analysis_input *input, struct problems *problems) {
    const struct trained *one = input->network.trained, *two = input->other.trained;
    if (one->inputs != two->inputs || one->outputs != two->outputs) {
        problems_add(problems, NULL, "other",
                     "must have %d inputs and %d outputs, as the job's network has; it has %d and %d", one->inputs,
                     one->outputs, two->inputs, two->outputs);
    }
}

static bool has_window(enum analysis_type type) {
    return (1u << type & ACTIVITY) != 0;
}

static void fit_trials(const struct analysis_ask *ask, const struct analysis_input *input, struct problems *problems) {
    const struct analysis_request *request = &ask->request;
    const struct task_shape *shape = &input->shape;
    if ((1u << ask->type & RUNS) == 0) {
        return;
    }
    size_t all = request->split == SIMULATE_TEST ? shape->test_trials : shape->training_trials;
    if (request->split != SIMULATE_FRESH && all == 0) {
        problems_add(problems, NULL, "split", "must be \"fresh\": the job's task has no %s split; got \"%s\"",
                     split_choices[request->split], split_choices[request->split]);
    } else if (request->split != SIMULATE_FRESH && (request->first >= all || request->trials > all - request->first)) {
        problems_add(problems, NULL, "trials", "must be at most the %s split's trials from first on (%zu); got %zu",
                     split_choices[request->split], request->first < all ? all - request->first : 0, request->trials);
    }
    if (has_window(ask->type) && request->begin >= shape->steps) {
        problems_add(problems, NULL, "begin", "must be below the trial's steps (%d); got %d", shape->steps,
                     request->begin);
    } else if (request->end != 0 && request->end <= request->begin) {
        problems_add(problems, NULL, "end", "must be above begin (%d); got %d", request->begin, request->end);
    }
}

void analysis_ask_fit(struct analysis_ask *ask, struct analysis_input *input, struct problems *problems) {
    input->request = ask->request;
    fit_trials(ask, input, problems);
    if (ask->type == ANALYSIS_SIMILARITY) {
        fit_other(input, problems);
    } else if (ask->type == ANALYSIS_DIFFICULTY) {
        fit_levels(ask, &input->network.config->task, problems);
        input->levels = ask->levels;
        input->values = ask->values.values;
        input->level_count = (int)numbers_count(&ask->values);
    }
    if (problems->count > 0) {
        return;
    }
    analysis_settle(input);
    struct error error = {0};
    if (analysis_table[ask->type]->suits != NULL && !analysis_table[ask->type]->suits(input, &error)) {
        problems_add(problems, NULL, NULL, "%.400s", error.text);
        return;
    }
    double cost = analysis_table[ask->type]->cost(input);
    if (cost > ANALYSIS_WORK_MAX) {
        problems_add(problems, NULL, ask->type == ANALYSIS_CURVATURE ? "iterations" : "trials",
                     "must be fewer: this would take %.3g multiply-adds, at most %.3g are allowed per request", cost,
                     ANALYSIS_WORK_MAX);
    }
}

/* ---- the answer ---- */

/* Nested lists, `count` axes deep; returns what follows the last value written. */
static const double *nested_write(struct writer *writer, const double *values, const size_t *lengths, int count) {
    if (count == 0) {
        char number[32];
        number_put(*values, number);
        writer_text(writer, number);
        return values + 1;
    }
    if (count == 1) {
        writer_doubles(writer, values, lengths[0]);
        return values + lengths[0];
    }
    writer_text(writer, "[");
    for (size_t i = 0; i < lengths[0]; i++) {
        writer_text(writer, i == 0 ? "" : ",");
        values = nested_write(writer, values, lengths + 1, count - 1);
    }
    writer_text(writer, "]");
    return values;
}

/* "step trial" as a list of names. */
static json_t *axes_list(const char *axes) {
    json_t *list = json_array();
    while (*axes != '\0') {
        size_t length = strcspn(axes, " ");
        json_array_append_new(list, json_stringn(axes, length));
        axes += length + (axes[length] == ' ');
    }
    return list;
}

static void document_write(struct writer *writer, json_t *document) {
    char *text = json_text(document, NULL);
    json_decref(document);
    writer->failed = writer->failed || text == NULL;
    writer_text(writer, text == NULL ? "" : text);
    free(text);
}

static void result_write(struct writer *writer, const struct analysis_output *output,
                         const struct analysis_array *array) {
    char head[160];
    snprintf(head, sizeof head, "\"%s\":{\"axes\":", output->name);
    writer_text(writer, head);
    document_write(writer, axes_list(output->axes));
    snprintf(head, sizeof head, output->unit == NULL ? ",\"unit\":null,\"values\":%s" : ",\"unit\":\"%s\",\"values\":",
             output->unit == NULL ? "" : output->unit);
    writer_text(writer, head);
    nested_write(writer, array->values, array->lengths, analysis_axes_count(output));
    writer_text(writer, "}");
}

static double answer_numbers(const struct analysis_ops *ops, const struct analysis_answer *answer) {
    double all = 0;
    for (int i = 0; i < ops->output_count; i++) {
        double count = answer->arrays[i].values != NULL;
        for (int k = 0; k < analysis_axes_count(&ops->outputs[i]); k++) {
            count *= (double)answer->arrays[i].lengths[k];
        }
        all += count;
    }
    return all;
}

bool analysis_answer_write(struct writer *writer, const char *job, const struct analysis_ask *ask,
                           const struct trained *trained, const char *sha256, const struct analysis_answer *answer) {
    const struct analysis_ops *ops = analysis_table[ask->type];
    json_t *parameters = json_object();
    char text[320], number[32];
    bool encoded = fields_encode(&fields, 1u << ask->type, ask, parameters);
    writer->failed = writer->failed || !encoded;
    if (answer_numbers(ops, answer) > ANALYSIS_NUMBERS_MAX) {
        json_decref(parameters);
        return false;
    }
    snprintf(text, sizeof text,
             "{\"type\":\"%s\",\"job\":\"%s\",\"iteration\":%lld,\"sha256\":\"%s\",\"parameters\":", ops->name, job,
             (long long)trained->iteration, sha256);
    writer_text(writer, text);
    document_write(writer, parameters);
    number_put(answer->multiply_adds, number);
    snprintf(text, sizeof text, ",\"every\":%d,\"multiply_adds\":%s,\"results\":{", answer->every, number);
    writer_text(writer, text);
    bool first = true;
    for (int i = 0; i < ops->output_count; i++) {
        if (answer->arrays[i].values != NULL) {
            writer_text(writer, first ? "" : ",");
            result_write(writer, &ops->outputs[i], &answer->arrays[i]);
            first = false;
        }
    }
    writer_text(writer, "}}");
    return true;
}

/* ---- what there is ---- */

static json_t *outputs_describe(const struct analysis_ops *ops) {
    json_t *all = json_object();
    for (int i = 0; i < ops->output_count; i++) {
        const struct analysis_output *output = &ops->outputs[i];
        json_object_set_new(all, output->name,
                            json_pack("{s:o, s:s?, s:s}", "axes", axes_list(output->axes), "unit", output->unit,
                                      "description", output->doc));
    }
    return all;
}

json_t *analyses_describe(void) {
    json_t *list = json_array();
    for (int i = 0; i < ANALYSIS_TYPES; i++) {
        const struct decoding decoding = {.fields = &fields, .variant = 1u << i};
        const struct analysis_ops *ops = analysis_table[i];
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:o, s:o}", "type", ops->name, "description", ops->doc,
                                        "parameters", fields_describe(&decoding), "results", outputs_describe(ops)));
    }
    return json_pack("{s:o}", "analyses", list);
}

json_t *analysis_schema(void) {
    return variants_schema(&fields, variants_all(), ANALYSIS_TYPES, true);
}
