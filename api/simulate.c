/*
 * What a simulation or an evaluation is asked, and its answer: see simulate.h. One table has the fields of both.
 */
#include "api/simulate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/array.h"
#include "api/field.h"
#include "api/text.h"

#define SIMULATE (1u << ASK_SIMULATE)
#define EVALUATE (1u << ASK_EVALUATE)
#define TRIALS_EVALUATED_MAX 100000000.0

/* By enum simulate_split; an evaluation may leave it open. */
static const char *const split_choices[] = {"fresh", "test", "training", NULL};
static const char *const split_choices_open[] = {"fresh", "test", "training", "auto", NULL};
enum { SPLIT_AUTO = 3 };

/* What the tables can decode; the lists are read by hand. */
struct simple {
    struct simulate_ask *ask;
    int trials, every, split;
    int64_t evaluated, first; /* trials of an evaluation; 0: all */
    uint64_t seed;
    double noise;
};

#define SIMPLE(member) offsetof(struct simple, member)

static void keep_list(const json_t *value, const struct path *path, const struct field *field, void *object,
                      struct problems *problems) {
    (void)value;
    (void)path;
    (void)field;
    (void)object;
    (void)problems; /* read by simulate_ask_decode, which owns the memory */
}

int64_t iteration_decode(const json_t *value, const struct path *path, const char *name, struct problems *problems) {
    char got[80];
    if (value == NULL || json_is_null(value)) {
        return -1;
    }
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        problems_add(problems, path, name, "must be an integer of at least 0, or null: the newest; got %s",
                     value_quote(value, got));
        return -1;
    }
    return json_integer_value(value);
}

static void decode_iteration(const json_t *value, const struct path *path, const struct field *field, void *object,
                             struct problems *problems) {
    ((struct simple *)object)->ask->iteration = iteration_decode(value, path, field->name, problems);
}

static void decode_weights_of_own(const json_t *value, const struct path *path, const struct field *field, void *object,
                                  struct problems *problems) {
    struct simulate_ask *ask = ((struct simple *)object)->ask;
    weights_reference_decode(value, path, field->name, &ask->weights, &ask->weights_from, problems);
}

static const struct field dataset_items[] = {
    {.name = "name", .type = FIELD_NAME, .offset = offsetof(struct simulate_ask, dataset), .doc = "the dataset's name"},
    {.name = "sha256",
     .type = FIELD_SHA256_OR_NULL,
     .offset = offsetof(struct simulate_ask, dataset_sha256),
     .fallback = "null",
     .doc = "version of the data; null: the newest"},
};
static const struct fields dataset_fields = {dataset_items, sizeof dataset_items / sizeof dataset_items[0]};
static const struct decoding dataset_decoding = {.fields = &dataset_fields, .variant = ~0u};

static void decode_dataset(const json_t *value, const struct path *path, const struct field *field, void *object,
                           struct problems *problems) {
    const struct path here = {.parent = path, .name = field->name};
    char got[80];
    if (json_is_object(value)) {
        fields_decode(&dataset_decoding, value, &here, ((struct simple *)object)->ask, problems);
    } else if (!json_is_null(value)) {
        problems_add(problems, path, field->name, "must be {\"name\": text, \"sha256\": text or null}, or null; got %s",
                     value_quote(value, got));
    }
}

static json_t *encode_null(const struct field *field, const void *object) {
    (void)field;
    (void)object;
    return json_null();
}

static const struct field_custom inputs_list = {
    keep_list, encode_null,
    "{\"type\": [\"array\", \"null\"], \"items\": {\"type\": \"array\", \"items\": {\"type\": "
    "\"array\", \"items\": {\"type\": \"number\"}}}}"};
static const struct field_custom units_list = {
    keep_list, encode_null, "{\"type\": [\"array\", \"null\"], \"items\": {\"type\": \"integer\", \"minimum\": 0}}"};
static const struct field_custom lesion_lists = {
    keep_list, encode_null,
    "{\"type\": [\"object\", \"null\"], \"additionalProperties\": false, \"properties\": {\"units\": {\"type\": "
    "\"array\", \"maxItems\": 16384, \"items\": {\"type\": \"integer\", \"minimum\": 0}}, \"synapses\": {\"type\": "
    "\"array\", \"maxItems\": 1000000, \"items\": {\"type\": \"array\", \"minItems\": 2, \"maxItems\": 2, \"items\": "
    "{\"type\": \"integer\", \"minimum\": 0}}}}}"};
static const struct field_custom iteration = {decode_iteration, encode_null,
                                              "{\"type\": [\"integer\", \"null\"], \"minimum\": 0}"};
static const struct field_custom weights = {decode_weights_of_own, encode_null, "{\"type\": [\"object\", \"null\"]}"};
static const struct field_custom dataset = {
    decode_dataset, encode_null,
    "{\"type\": [\"object\", \"null\"], \"required\": [\"name\"], \"additionalProperties\": false, \"properties\": "
    "{\"name\": {\"type\": \"string\"}, \"sha256\": {\"type\": [\"string\", \"null\"]}}}"};

static const struct field items[] = {
    {.name = "trials",
     .variants = SIMULATE,
     .type = FIELD_INT,
     .offset = SIMPLE(trials),
     .low = 1,
     .high = 4096,
     .fallback = "1",
     .doc = "trials to run if no inputs are given"},
    {.name = "trials",
     .variants = EVALUATE,
     .type = FIELD_INT64_OR_NULL,
     .offset = SIMPLE(evaluated),
     .low = 1,
     .high = TRIALS_EVALUATED_MAX,
     .fallback = "null",
     .doc = "trials to run; null: all of the split from `first` on, of fresh ones a batch"},
    {.name = "seed",
     .type = FIELD_SEED,
     .offset = SIMPLE(seed),
     .low = 0,
     .high = 9007199254740991.0,
     .fallback = "0",
     .doc = "of fresh trials, and of noise"},
    {.name = "split",
     .variants = SIMULATE,
     .type = FIELD_CHOICE,
     .offset = SIMPLE(split),
     .choices = split_choices,
     .fallback = "\"fresh\"",
     .doc = "fresh trials of the task, or those of its test or training split in order"},
    {.name = "split",
     .variants = EVALUATE,
     .type = FIELD_CHOICE,
     .offset = SIMPLE(split),
     .choices = split_choices_open,
     .fallback = "\"auto\"",
     .doc = "as for a simulation; auto: the test split, else the training split, else fresh trials: whichever exists "
            "first"},
    {.name = "first",
     .type = FIELD_INT64,
     .offset = SIMPLE(first),
     .low = 0,
     .high = TRIALS_EVALUATED_MAX,
     .fallback = "0",
     .doc = "number of the first trial within the split"},
    {.name = "every",
     .variants = SIMULATE,
     .type = FIELD_INT,
     .offset = SIMPLE(every),
     .unit = "steps",
     .low = 1,
     .high = 1000000,
     .fallback = "1",
     .doc = "steps from one value reported to the next"},
    {.name = "iteration",
     .type = FIELD_CUSTOM,
     .custom = &iteration,
     .fallback = "null",
     .doc = "checkpoint to run; null: the newest"},
    {.name = "weights",
     .type = FIELD_CUSTOM,
     .custom = &weights,
     .fallback = "null",
     .doc = "weights to run in the place of the trained ones, used as they are: a weights document, or {\"job\": id, "
            "\"iteration\": n} for those of another job. The rest of the network (leaks, types, activation) stays "
            "this job's"},
    {.name = "dataset",
     .type = FIELD_CUSTOM,
     .custom = &dataset,
     .fallback = "null",
     .doc = "dataset whose trials are run in the place of the task's; its inputs and outputs must be as many as the "
            "network's"},
    {.name = "lesion",
     .type = FIELD_CUSTOM,
     .custom = &lesion_lists,
     .fallback = "null",
     .doc = "units to silence (their rate is 0), and synapses [from, to] whose weight is taken as 0"},
    {.name = "noise",
     .type = FIELD_NUMBER,
     .offset = SIMPLE(noise),
     .low = 0,
     .high = 1e6,
     .fallback = "0",
     .doc = "standard deviation of the normal noise that is added to the input current of every unit at every step; "
            "it follows from seed, step, trial and unit alone"},
    {.name = "units",
     .variants = SIMULATE,
     .type = FIELD_CUSTOM,
     .custom = &units_list,
     .fallback = "null",
     .doc = "units whose rates are reported; null: 10, as equally as can be of all cell types, evenly spaced"},
    {.name = "inputs",
     .variants = SIMULATE,
     .type = FIELD_CUSTOM,
     .custom = &inputs_list,
     .fallback = "null",
     .doc = "your own inputs, steps by trials by inputs"},
};

static const struct fields fields = {items, sizeof items / sizeof items[0]};

static struct decoding decoding_of(enum ask_kind kind) {
    return (struct decoding){.fields = &fields,
                             .variant = 1u << kind,
                             .variant_name = kind == ASK_EVALUATE ? "an evaluation" : "a simulation"};
}

json_t *simulate_schema(enum ask_kind kind) {
    const struct decoding decoding = decoding_of(kind);
    return json_pack("{s:s, s:o, s:b}", "type", "object", "properties", fields_schema(&decoding),
                     "additionalProperties", 0);
}

static void read_inputs(struct simulate_ask *ask, const json_t *value, struct problems *problems) {
    size_t lengths[3];
    char got[80];
    if (array_shape(value, lengths) != 3 || lengths[0] == 0 || lengths[1] == 0 || lengths[2] == 0) {
        problems_add(
            problems, NULL, "inputs",
            "must be a list (steps) of lists (trials) of lists (inputs) of numbers, none empty, or null; got %s",
            shape_quote(value, got));
        return;
    }
    size_t bytes = size_product(lengths, 3, sizeof(float));
    if (lengths[0] > 10000000 || lengths[1] > 4096 || lengths[2] > 16384 || bytes == 0 || bytes > (size_t)1 << 30) {
        problems_add(problems, NULL, "inputs",
                     "must have at most 10000000 steps, 4096 trials and 16384 inputs; got %zu, %zu and %zu", lengths[0],
                     lengths[1], lengths[2]);
        return;
    }
    if (!array_check(value, 3, lengths, NULL, "inputs", problems)) {
        return;
    }
    ask->x = malloc(bytes);
    if (ask->x == NULL) {
        problems_add(problems, NULL, "inputs", "is too large for the available memory");
    } else if (array_read(value, 3, lengths, ask->x, NULL, "inputs", problems)) {
        ask->request.steps = (int)lengths[0];
        ask->request.trials = lengths[1];
        ask->inputs = (int)lengths[2];
        ask->request.x = ask->x;
    }
}

/* A list of at most `most` units, or of pairs of them, malloc'ed; NULL with a fault. */
static int32_t *read_numbers(const json_t *value, bool pairs, size_t most, const struct path *path, const char *name,
                             int *count, struct problems *problems) {
    const size_t lengths[2] = {json_array_size(value), 2};
    char got[80];
    if (!json_is_array(value) || lengths[0] > most) {
        problems_add(problems, path, name, "must be a list of at most %zu %s, or null; got %s", most,
                     pairs ? "pairs of units" : "units", shape_quote(value, got));
        return NULL;
    }
    if (pairs && !array_check(value, 2, lengths, path, name, problems)) {
        return NULL;
    }
    int32_t *numbers = calloc(lengths[0] * (pairs ? 2 : 1) + 1, sizeof *numbers);
    if (numbers == NULL) {
        problems_add(problems, path, name, "not enough memory for this");
    } else if (array_read_integers(value, pairs ? 2 : 1, lengths, 0, 16383, numbers, path, name, problems)) {
        *count = (int)lengths[0];
    }
    return numbers;
}

static bool is_given(const json_t *value) {
    return value != NULL && !json_is_null(value);
}

static void read_units(struct simulate_ask *ask, const json_t *value, struct problems *problems) {
    ask->units_given = true;
    ask->units = read_numbers(value, false, 16384, NULL, "units", &ask->request.unit_count, problems);
    ask->request.units = ask->units;
}

static void read_lesion(struct simulate_ask *ask, const json_t *value, struct problems *problems) {
    static const char *const known[] = {"units", "synapses"};
    const struct path here = {.name = "lesion"};
    const json_t *units = json_object_get(value, known[0]), *synapses = json_object_get(value, known[1]);
    char got[80];
    if (!json_is_object(value)) {
        problems_add(problems, NULL, "lesion",
                     "must be {\"units\": list, \"synapses\": list of pairs}, or null; got %s",
                     value_quote(value, got));
        return;
    }
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)value, name, member) {
        if (strcmp(name, known[0]) != 0 && strcmp(name, known[1]) != 0) {
            problems_add_unknown(problems, &here, name, "field", known, 2);
        }
    }
    if (is_given(units)) {
        ask->silenced = read_numbers(units, false, 16384, &here, known[0], &ask->request.silenced_count, problems);
        ask->request.silenced = ask->silenced;
    }
    if (is_given(synapses)) {
        ask->cut = read_numbers(synapses, true, 1000000, &here, known[1], &ask->request.cut_count, problems);
        ask->request.cut = ask->cut;
    }
}

void simulate_ask_decode(struct simulate_ask *ask, enum ask_kind kind, const json_t *document,
                         struct problems *problems) {
    *ask = (struct simulate_ask){.kind = kind, .iteration = -1, .weights_from.iteration = -1};
    const struct decoding decoding = decoding_of(kind);
    struct simple simple = {.ask = ask};
    const json_t *inputs = json_object_get(document, "inputs"), *units = json_object_get(document, "units"),
                 *lesion = json_object_get(document, "lesion");
    fields_decode(&decoding, document, NULL, &simple, problems);
    ask->split_given = simple.split != SPLIT_AUTO;
    ask->request.trials = kind == ASK_EVALUATE ? (size_t)simple.evaluated : (size_t)simple.trials;
    ask->request.seed = simple.seed;
    ask->request.split = ask->split_given ? (enum simulate_split)simple.split : SIMULATE_FRESH;
    ask->request.first = (size_t)simple.first;
    ask->request.every = simple.every;
    ask->request.noise = simple.noise;
    if (is_given(lesion)) {
        read_lesion(ask, lesion, problems);
    }
    if (kind == ASK_SIMULATE && is_given(inputs)) {
        read_inputs(ask, inputs, problems);
        if (ask->dataset[0] != '\0') {
            problems_add(problems, NULL, "dataset", "must be null where inputs are given");
        }
    }
    if (kind == ASK_SIMULATE && is_given(units)) {
        read_units(ask, units, problems);
    }
}

static size_t kept_steps(const struct simulate_ask *ask) {
    return ((size_t)ask->request.steps + (size_t)ask->request.every - 1) / (size_t)ask->request.every;
}

/* A cell type whose units are shown; its units are contiguous. */
struct shown {
    int first, size, share;
};

/* Fills in which units of the shown types are included: `count` of `all` types, evenly spaced. Returns how many
 * units they have. */
static int shown_find(const struct trained *trained, struct shown *shown, int count) {
    int all = trained->types, found = 0;
    for (int u = 0; u < trained->units; u++) {
        int type = trained->type_of_unit[u], at = (type * count + all - 1) / all;
        if (at < count && at * all / count == type) {
            shown[at].first = shown[at].size == 0 ? u : shown[at].first;
            shown[at].size++;
            found++;
        }
    }
    return found;
}

/*
 * If no units were named: units of all types, as equally as possible, evenly spaced within each; if there are more
 * types than units to show, only some types, evenly spaced too. The first units would all be inhibitory.
 */
static bool choose_units(struct simulate_ask *ask, const struct trained *trained) {
    enum { MOST = SIMULATE_UNITS_DEFAULT };
    struct shown shown[MOST] = {{0}};
    int types = trained->types < MOST ? trained->types : MOST, count = trained->units < MOST ? trained->units : MOST;
    ask->units = calloc(MOST, sizeof *ask->units);
    if (ask->units == NULL) {
        return false;
    }
    int found = shown_find(trained, shown, types);
    count = found < count ? found : count;
    for (int left = count, at = 0; left > 0; at = (at + 1) % types) {
        bool more = shown[at].share < shown[at].size;
        shown[at].share += more;
        left -= more;
    }
    for (int at = 0, used = 0; at < types; at++) {
        for (int i = 0; i < shown[at].share; i++) {
            ask->units[used++] = shown[at].first + (int)((int64_t)i * shown[at].size / shown[at].share);
        }
    }
    ask->request.units = ask->units;
    ask->request.unit_count = count;
    return true;
}

/* Every unit that is named is one of the network's. */
static void check_units(const int32_t *units, int count, int width, const struct path *path, const char *name, int all,
                        struct problems *problems) {
    const struct path list = {.parent = path, .name = name};
    for (int i = 0; i < count * width; i++) {
        if (units[i] >= all) {
            const struct path entry = {.parent = &list, .index = (size_t)(i / width)},
                              part = {.parent = &entry, .index = (size_t)(i % width)};
            problems_add(problems, width > 1 ? &part : &entry, NULL, "must be a unit of the network, 0 to %d; got %d",
                         all - 1, units[i]);
            return;
        }
    }
}

/* Weights of one's own, once they are there. */
static void fit_weights(struct simulate_ask *ask, const struct trained *trained, struct problems *problems) {
    const struct weights_document *given = &ask->weights;
    const struct path path = {.name = "weights"};
    if (given->memory == NULL) {
        return;
    }
    ask->request.weights = &given->view;
    if (given->units != trained->units || given->inputs != trained->inputs || given->outputs != trained->outputs) {
        problems_add(problems, NULL, path.name,
                     "must be for %d units, %d inputs and %d outputs, as the job's network has; they are for %d, %d "
                     "and %d",
                     trained->units, trained->inputs, trained->outputs, given->units, given->inputs, given->outputs);
    } else if (given->view.b != NULL && !trained->has_bias) {
        problems_add(problems, &path, "b", "must be absent: the job's network has no bias (network.bias)");
    }
}

/* Which trials, of those that there are. */
static void fit_trials(struct simulate_ask *ask, const struct train_config *config, const struct task_shape *shape,
                       struct problems *problems) {
    struct simulate_request *request = &ask->request;
    if (!ask->split_given) {
        request->split = shape->test_trials > 0       ? SIMULATE_TEST
                         : shape->training_trials > 0 ? SIMULATE_TRAINING
                                                      : SIMULATE_FRESH;
    }
    size_t all = request->split == SIMULATE_TEST ? shape->test_trials : shape->training_trials;
    if (request->split == SIMULATE_FRESH) {
        request->trials = request->trials > 0 ? request->trials : (size_t)config->training.batch_size;
        return;
    }
    const char *name = split_choices[request->split];
    size_t left = request->first < all ? all - request->first : 0;
    request->trials = request->trials > 0 ? request->trials : left;
    if (all == 0) {
        problems_add(problems, NULL, "split", "must be \"fresh\": the job's task has no %s split; got \"%s\"", name,
                     name);
    } else if (left == 0) {
        problems_add(problems, NULL, "first", "must be below the %s split's trials (%zu); got %zu", name, all,
                     request->first);
    } else if (request->trials > left) {
        problems_add(problems, NULL, "trials", "must be at most the %s split's trials%s (%zu); got %zu", name,
                     request->first > 0 ? " from first on" : "", left, request->trials);
    }
}

/* Numbers of a target at one step. */
static size_t target_width(const struct simulate_ask *ask, const struct trained *trained,
                           const struct task_shape *shape) {
    return ask->request.x == NULL && shape->loss == LOSS_CROSS_ENTROPY ? 1 : (size_t)trained->outputs;
}

static void fit_size(const struct simulate_ask *ask, const struct train_config *config, const struct trained *trained,
                     const struct task_shape *shape, struct problems *problems) {
    const struct simulate_request *request = &ask->request;
    double work = simulate_cost(config, trained, shape, request);
    if (ask->kind == ASK_SIMULATE) {
        double width = trained->inputs + request->unit_count + trained->outputs + 1 +
                       (double)target_width(ask, trained, shape),
               numbers = (double)kept_steps(ask) * (double)request->trials * width;
        if (numbers > SIMULATE_NUMBERS_MAX) {
            problems_add(problems, NULL, "every",
                         "must be larger, or trials and units fewer: the answer would have %.0f numbers, at most %d "
                         "are given",
                         numbers, SIMULATE_NUMBERS_MAX);
        }
    }
    if (work > SIMULATE_WORK_MAX) {
        problems_add(problems, NULL, "trials",
                     "must be fewer: this would take %.3g multiply-adds, at most %.3g are allowed per request", work,
                     SIMULATE_WORK_MAX);
    }
}

void simulate_ask_fit(struct simulate_ask *ask, const struct train_config *config, const struct trained *trained,
                      const struct task_shape *shape, struct problems *problems) {
    const struct path lesion = {.name = "lesion"};
    struct simulate_request *request = &ask->request;
    request->inputs = ask->inputs;
    if (request->x == NULL) {
        request->steps = shape->steps;
        fit_trials(ask, config, shape, problems);
        if (shape->inputs != trained->inputs || shape->outputs != trained->outputs) {
            problems_add(problems, NULL, "dataset",
                         "must have %d inputs and %d outputs, as the job's network has; it has %d and %d",
                         trained->inputs, trained->outputs, shape->inputs, shape->outputs);
        }
    } else if (ask->inputs != trained->inputs) {
        problems_add(problems, NULL, "inputs", "must have %d inputs per trial, like the network; got %d",
                     trained->inputs, ask->inputs);
    }
    check_units(ask->units, request->unit_count, 1, NULL, "units", trained->units, problems);
    check_units(ask->silenced, request->silenced_count, 1, &lesion, "units", trained->units, problems);
    check_units(ask->cut, request->cut_count, 2, &lesion, "synapses", trained->units, problems);
    fit_weights(ask, trained, problems);
    if (ask->kind == ASK_SIMULATE && !ask->units_given && !choose_units(ask, trained)) {
        problems_add(problems, NULL, "units", "not enough memory for this");
    }
    fit_size(ask, config, trained, shape, problems);
}

void simulate_ask_release(struct simulate_ask *ask) {
    free(ask->x);
    free(ask->units);
    free(ask->silenced);
    free(ask->cut);
    free(ask->weights.memory);
    memset(ask, 0, sizeof *ask);
}

bool simulate_answer_create(const struct simulate_ask *ask, const struct trained *trained,
                            const struct task_shape *shape, struct simulate_answer *answer) {
    if (ask->kind == ASK_EVALUATE) {
        return true; /* nothing is kept */
    }
    size_t rows = kept_steps(ask) * ask->request.trials;
    answer->inputs = calloc(rows * (size_t)trained->inputs + 1, sizeof(float));
    answer->rates = calloc(rows * (size_t)ask->request.unit_count + 1, sizeof(float));
    answer->outputs = calloc(rows * (size_t)trained->outputs + 1, sizeof(float));
    answer->targets = calloc(rows * target_width(ask, trained, shape) + 1, sizeof(float));
    answer->mask = calloc(rows + 1, sizeof(float));
    answer->labels = calloc(ask->request.trials + 1, sizeof(int));
    answer->trials = calloc(ask->request.trials + 1, sizeof *answer->trials);
    return answer->inputs != NULL && answer->rates != NULL && answer->outputs != NULL && answer->targets != NULL &&
           answer->mask != NULL && answer->labels != NULL && answer->trials != NULL;
}

void simulate_answer_release(struct simulate_answer *answer) {
    free(answer->inputs);
    free(answer->rates);
    free(answer->outputs);
    free(answer->targets);
    free(answer->mask);
    free(answer->labels);
    free(answer->trials);
    *answer = (struct simulate_answer){0};
}

static void write_number(struct writer *writer, const char *name, double value) {
    char number[32];
    number_put(value, number);
    writer_text(writer, name);
    writer_text(writer, number);
}

/* What both answers have. */
static void write_result(struct writer *writer, const char *job, const struct simulate_ask *ask,
                         const struct trained *trained, const char *data, const struct simulate_answer *answer) {
    const struct simulate_request *request = &ask->request;
    char head[512];
    snprintf(head, sizeof head,
             "{\"job\":\"%s\",\"iteration\":%lld,\"steps\":%d,\"trials\":%zu,\"first\":%zu,\"split\":", job,
             (long long)trained->iteration, request->steps, request->trials, request->first);
    writer_text(writer, head);
    if (request->x != NULL) {
        writer_text(writer, "null,\"loss_type\":null");
    } else {
        snprintf(head, sizeof head, "\"%s\",\"loss_type\":\"%s\"", split_choices[request->split],
                 answer->loss_type == LOSS_CROSS_ENTROPY ? "cross_entropy" : "mse");
        writer_text(writer, head);
    }
    snprintf(head, sizeof head, *data == '\0' ? ",\"dataset_sha256\":null%s" : ",\"dataset_sha256\":\"%s\"", data);
    writer_text(writer, head);
    write_number(writer, ",\"loss\":", answer->loss);
    write_number(writer, ",\"accuracy\":", answer->accuracy);
    write_number(writer, ",\"counted\":", answer->counted);
    write_number(writer, ",\"multiply_adds\":", answer->multiply_adds);
}

static void write_trials(struct writer *writer, const struct simulate_ask *ask, const struct simulate_answer *answer) {
    char text[32];
    writer_text(writer, ",\"labels\":[");
    for (size_t i = 0; i < ask->request.trials; i++) {
        snprintf(text, sizeof text, answer->labels[i] < 0 ? "%snull" : "%s%d", i == 0 ? "" : ",", answer->labels[i]);
        writer_text(writer, text);
    }
    writer_text(writer, "],\"trial_indices\":[");
    for (size_t i = 0; i < ask->request.trials; i++) {
        snprintf(text, sizeof text, "%s%zu", i == 0 ? "" : ",", answer->trials[i]);
        writer_text(writer, text);
    }
    writer_text(writer, "]");
}

static void write_targets(struct writer *writer, const struct simulate_ask *ask, const struct trained *trained,
                          const struct simulate_answer *answer) {
    size_t kept = kept_steps(ask), B = ask->request.trials;
    if (ask->request.x != NULL) {
        writer_text(writer, ",\"targets\":null,\"mask\":null");
        return;
    }
    writer_text(writer, ",\"targets\":");
    if (answer->loss_type == LOSS_CROSS_ENTROPY) {
        writer_matrix(writer, answer->targets, kept, B);
    } else {
        writer_cube(writer, answer->targets, kept, B, (size_t)trained->outputs);
    }
    writer_text(writer, ",\"mask\":");
    writer_matrix(writer, answer->mask, kept, B);
}

void simulate_answer_write(struct writer *writer, const char *job, const struct simulate_ask *ask,
                           const struct trained *trained, const char *data, const struct simulate_answer *answer) {
    char every[48];
    write_result(writer, job, ask, trained, data, answer);
    if (ask->kind == ASK_SIMULATE) {
        size_t kept = kept_steps(ask), B = ask->request.trials;
        snprintf(every, sizeof every, ",\"every\":%d,\"units\":", ask->request.every);
        writer_text(writer, every);
        writer_integers(writer, ask->request.units, (size_t)ask->request.unit_count);
        write_trials(writer, ask, answer);
        writer_text(writer, ",\"inputs\":");
        writer_cube(writer, answer->inputs, kept, B, (size_t)trained->inputs);
        writer_text(writer, ",\"rates\":");
        writer_cube(writer, answer->rates, kept, B, (size_t)ask->request.unit_count);
        writer_text(writer, ",\"outputs\":");
        writer_cube(writer, answer->outputs, kept, B, (size_t)trained->outputs);
        write_targets(writer, ask, trained, answer);
    }
    writer_text(writer, "}");
}
