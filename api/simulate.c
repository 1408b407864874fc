#include "api/simulate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/array.h"
#include "api/field.h"

static const char *const split_choices[] = {"fresh", "test", NULL};

/* What the tables can decode; the lists are read by hand. */
struct simple {
    int trials, every, split;
    uint64_t seed;
    int64_t iteration; /* 0 for null: the newest; else one more than asked */
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

static void decode_iteration(const json_t *value, const struct path *path, const struct field *field, void *object,
                             struct problems *problems) {
    struct simple *simple = object;
    char got[80];
    simple->iteration = -1;
    if (json_is_null(value)) {
        return;
    }
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        problems_add(problems, path, field->name, "must be an integer of at least 0, or null; got %s",
                     value_quote(value, got));
        return;
    }
    simple->iteration = json_integer_value(value);
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
static const struct field_custom iteration = {decode_iteration, encode_null,
                                              "{\"type\": [\"integer\", \"null\"], \"minimum\": 0}"};

static const struct field items[] = {
    {.name = "trials",
     .type = FIELD_INT,
     .offset = SIMPLE(trials),
     .low = 1,
     .high = 4096,
     .fallback = "1",
     .doc = "trials to run, where inputs are not given"},
    {.name = "seed",
     .type = FIELD_SEED,
     .offset = SIMPLE(seed),
     .low = 0,
     .high = 9007199254740991.0,
     .fallback = "0",
     .doc = "of fresh trials"},
    {.name = "split",
     .type = FIELD_CHOICE,
     .offset = SIMPLE(split),
     .choices = split_choices,
     .fallback = "\"fresh\"",
     .doc = "fresh trials of the task, or the first of its test split"},
    {.name = "every",
     .type = FIELD_INT,
     .offset = SIMPLE(every),
     .unit = "steps",
     .low = 1,
     .high = 1000000,
     .fallback = "1",
     .doc = "steps from one value told to the next"},
    {.name = "iteration",
     .type = FIELD_CUSTOM,
     .custom = &iteration,
     .fallback = "null",
     .doc = "checkpoint to run; null: the newest"},
    {.name = "units",
     .type = FIELD_CUSTOM,
     .custom = &units_list,
     .fallback = "null",
     .doc = "units whose rates are told; null: 10, as equally as can be of all cell types, evenly spaced"},
    {.name = "inputs",
     .type = FIELD_CUSTOM,
     .custom = &inputs_list,
     .fallback = "null",
     .doc = "inputs of your own, steps by trials by inputs"},
};

static const struct fields fields = {items, sizeof items / sizeof items[0]};
static const struct decoding decoding = {.fields = &fields, .variant = ~0u};

json_t *simulate_schema(void) {
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
        problems_add(problems, NULL, "inputs", "is too large for the memory there is");
    } else if (array_read(value, 3, lengths, ask->x, NULL, "inputs", problems)) {
        ask->request.steps = (int)lengths[0];
        ask->request.trials = (int)lengths[1];
        ask->inputs = (int)lengths[2];
        ask->request.x = ask->x;
    }
}

static void read_units(struct simulate_ask *ask, const json_t *value, struct problems *problems) {
    size_t count = json_array_size(value);
    char got[80];
    if (!json_is_array(value) || count > 16384) {
        problems_add(problems, NULL, "units", "must be a list of at most 16384 units, or null; got %s",
                     shape_quote(value, got));
        return;
    }
    ask->units = calloc(count + 1, sizeof *ask->units);
    ask->units_given = true;
    if (ask->units == NULL) {
        problems_add(problems, NULL, "units", "there is no memory for this");
    } else if (array_read_integers(value, 1, &count, 0, 16383, ask->units, NULL, "units", problems)) {
        ask->request.unit_count = (int)count;
        ask->request.units = ask->units;
    }
}

void simulate_ask_decode(struct simulate_ask *ask, const json_t *document, struct problems *problems) {
    memset(ask, 0, sizeof *ask);
    struct simple simple = {0};
    const json_t *inputs = json_object_get(document, "inputs"), *units = json_object_get(document, "units");
    fields_decode(&decoding, document, NULL, &simple, problems);
    ask->iteration = simple.iteration;
    ask->request.trials = simple.trials;
    ask->request.seed = simple.seed;
    ask->request.test_split = simple.split == 1;
    ask->request.every = simple.every;
    if (inputs != NULL && !json_is_null(inputs)) {
        read_inputs(ask, inputs, problems);
    }
    if (units != NULL && !json_is_null(units)) {
        read_units(ask, units, problems);
    }
}

static size_t kept_steps(const struct simulate_ask *ask) {
    return ((size_t)ask->request.steps + (size_t)ask->request.every - 1) / (size_t)ask->request.every;
}

/* A cell type of which units are shown; they lie together. */
struct shown {
    int first, size, share;
};

/* Fills in where the units of the shown types lie: of `all` types `count`, evenly spaced. How many units they have. */
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
 * Where none were named: units of all types, as equally as can be, evenly spaced within each; of more types than units
 * are shown, some types, evenly spaced too. The first units would all be inhibitory.
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

void simulate_ask_fit(struct simulate_ask *ask, const struct trained *trained, int steps, size_t test_trials,
                      struct problems *problems) {
    struct simulate_request *request = &ask->request;
    request->inputs = ask->inputs;
    if (request->x == NULL) {
        request->steps = steps;
    } else if (ask->inputs != trained->inputs) {
        problems_add(problems, NULL, "inputs", "must have %d inputs a trial, as the network has; got %d",
                     trained->inputs, ask->inputs);
    }
    if (request->test_split && request->x == NULL && test_trials == 0) {
        problems_add(problems, NULL, "split", "must be \"fresh\": the job's task has no test split; got \"test\"");
    } else if (request->test_split && request->x == NULL && (size_t)request->trials > test_trials) {
        problems_add(problems, NULL, "trials", "must be at most the test split's trials (%zu); got %d", test_trials,
                     request->trials);
    }
    for (int i = 0; i < request->unit_count; i++) {
        if (request->units[i] >= trained->units) {
            problems_add(problems, &(struct path){.parent = &(struct path){.name = "units"}, .index = (size_t)i}, NULL,
                         "must be a unit of the network, 0 to %d; got %d", trained->units - 1, request->units[i]);
            return;
        }
    }
    if (!ask->units_given && !choose_units(ask, trained)) {
        problems_add(problems, NULL, "units", "there is no memory for this");
    }
    double numbers = (double)kept_steps(ask) * request->trials *
                     (trained->inputs + request->unit_count + trained->outputs);
    double work = (double)request->steps * request->trials * trained->units *
                  (trained->units + trained->inputs + trained->outputs);
    if (numbers > SIMULATE_NUMBERS_MAX) {
        problems_add(
            problems, NULL, "every",
            "must be larger, or trials and units fewer: the answer would have %.0f numbers, at most %d are told",
            numbers, SIMULATE_NUMBERS_MAX);
    }
    if (work > SIMULATE_WORK_MAX) {
        problems_add(problems, NULL, "trials",
                     "must be fewer: this would take %.3g multiply-adds, at most %.3g are done for one request", work,
                     SIMULATE_WORK_MAX);
    }
}

void simulate_ask_release(struct simulate_ask *ask) {
    free(ask->x);
    free(ask->units);
    memset(ask, 0, sizeof *ask);
}

bool simulate_answer_create(const struct simulate_ask *ask, const struct trained *trained,
                            struct simulate_answer *answer) {
    size_t rows = kept_steps(ask) * (size_t)ask->request.trials;
    answer->inputs = calloc(rows * (size_t)trained->inputs + 1, sizeof(float));
    answer->rates = calloc(rows * (size_t)ask->request.unit_count + 1, sizeof(float));
    answer->outputs = calloc(rows * (size_t)trained->outputs + 1, sizeof(float));
    answer->labels = calloc((size_t)ask->request.trials + 1, sizeof(int));
    return answer->inputs != NULL && answer->rates != NULL && answer->outputs != NULL && answer->labels != NULL;
}

void simulate_answer_release(struct simulate_answer *answer) {
    free(answer->inputs);
    free(answer->rates);
    free(answer->outputs);
    free(answer->labels);
    *answer = (struct simulate_answer){0};
}

void simulate_answer_write(struct writer *writer, const char *job, const struct simulate_ask *ask,
                           const struct trained *trained, const struct simulate_answer *answer) {
    size_t kept = kept_steps(ask), B = (size_t)ask->request.trials;
    char head[256];
    snprintf(head, sizeof head,
             "{\"job\":\"%s\",\"iteration\":%lld,\"steps\":%d,\"every\":%d,\"trials\":%zu,\"units\":", job,
             (long long)trained->iteration, ask->request.steps, ask->request.every, B);
    writer_text(writer, head);
    writer_integers(writer, ask->request.units, (size_t)ask->request.unit_count);
    writer_text(writer, ",\"labels\":[");
    for (size_t i = 0; i < B; i++) {
        char label[24];
        snprintf(label, sizeof label, answer->labels[i] < 0 ? "%snull" : "%s%d", i == 0 ? "" : ",", answer->labels[i]);
        writer_text(writer, label);
    }
    writer_text(writer, "],\"inputs\":");
    writer_cube(writer, answer->inputs, kept, B, (size_t)trained->inputs);
    writer_text(writer, ",\"rates\":");
    writer_cube(writer, answer->rates, kept, B, (size_t)ask->request.unit_count);
    writer_text(writer, ",\"outputs\":");
    writer_cube(writer, answer->outputs, kept, B, (size_t)trained->outputs);
    writer_text(writer, "}");
}
