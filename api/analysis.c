/*
 * What an analysis is asked, and its answer: see analysis.h. One table has the fields of all analyses.
 */
#include "api/analysis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/field.h"
#include "api/rule.h"
#include "api/simulate.h"
#include "api/text.h"

#define BIT(type) (1u << ANALYSIS_##type)
#define ACTIVITY (BIT(DIMENSIONALITY) | BIT(SELECTIVITY))
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

static const struct field items[] = {
    {.name = "iteration",
     .type = FIELD_CUSTOM,
     .custom = &iteration,
     .fallback = "null",
     .doc = "checkpoint that is analysed; null: the newest"},
    {.name = "trials",
     .variants = ACTIVITY,
     .type = FIELD_INT64,
     .offset = ASK(trials),
     .low = 1,
     .high = 4096,
     .fallback = "64",
     .doc = "trials to run"},
    {.name = "seed",
     .variants = ACTIVITY,
     .type = FIELD_SEED,
     .offset = ASK(request.seed),
     .low = 0,
     .high = 9007199254740991.0,
     .fallback = "0",
     .doc = "of fresh trials, and of noise"},
    {.name = "split",
     .variants = ACTIVITY,
     .type = FIELD_CHOICE,
     .offset = ASK(split),
     .choices = split_choices,
     .fallback = "\"fresh\"",
     .doc = "fresh trials of the task, or those of its test or training split in order"},
    {.name = "first",
     .variants = ACTIVITY,
     .type = FIELD_INT64,
     .offset = ASK(first),
     .low = 0,
     .high = 100000000,
     .fallback = "0",
     .doc = "number of the first trial within the split"},
    {.name = "noise",
     .variants = ACTIVITY,
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

void analysis_ask_decode(struct analysis_ask *ask, const json_t *document, struct problems *problems) {
    char name[48];
    int type;
    *ask = (struct analysis_ask){.iteration = -1};
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
}

void analysis_ask_release(struct analysis_ask *ask) {
    *ask = (struct analysis_ask){0};
}

static void fit_trials(const struct analysis_ask *ask, const struct analysis_input *input, struct problems *problems) {
    const struct analysis_request *request = &ask->request;
    const struct task_shape *shape = &input->shape;
    size_t all = request->split == SIMULATE_TEST ? shape->test_trials : shape->training_trials;
    if (request->split != SIMULATE_FRESH && all == 0) {
        problems_add(problems, NULL, "split", "must be \"fresh\": the job's task has no %s split; got \"%s\"",
                     split_choices[request->split], split_choices[request->split]);
    } else if (request->split != SIMULATE_FRESH && (request->first >= all || request->trials > all - request->first)) {
        problems_add(problems, NULL, "trials", "must be at most the %s split's trials from first on (%zu); got %zu",
                     split_choices[request->split], request->first < all ? all - request->first : 0, request->trials);
    }
    if (request->begin >= shape->steps) {
        problems_add(problems, NULL, "begin", "must be below the trial's steps (%d); got %d", shape->steps,
                     request->begin);
    } else if (request->end != 0 && request->end <= request->begin) {
        problems_add(problems, NULL, "end", "must be above begin (%d); got %d", request->begin, request->end);
    }
}

void analysis_ask_fit(const struct analysis_ask *ask, struct analysis_input *input, struct problems *problems) {
    input->request = ask->request;
    fit_trials(ask, input, problems);
    if (problems->count > 0) {
        return;
    }
    analysis_settle(input);
    double cost = analysis_table[ask->type]->cost(input);
    if (cost > ANALYSIS_WORK_MAX) {
        problems_add(problems, NULL, "trials",
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
