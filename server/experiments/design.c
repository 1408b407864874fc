/*
 * Reading a specification, and its points. See design.h.
 */
#include "server/experiments/design.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/event.h"
#include "core/base/options.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define SEED_MOST 9007199254740991.0
#define NAME_MOST 200
#define NOTES_MOST 65536
#define TAGS_MOST 32
#define IN_A_ROW_MOST 1000

static const char *const known[] = {"name",   "notes", "tags",    "base",    "axes", "design",
                                    "points", "seeds", "metrics", "compare", "reuse"};

/* Adds faults for members of `object` that are not in the list. */
static void check_members(const json_t *object, const char *const *names, size_t count, const struct path *path,
                          const char *what, struct problems *problems) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value) {
        bool found = false;
        for (size_t i = 0; i < count; i++) {
            found = found || strcmp(names[i], name) == 0;
        }
        if (!found) {
            problems_add_unknown(problems, path, name, what, names, count);
        }
    }
}

/* An integer member from low to high; `fallback` if it is absent. */
static int64_t integer_of(const json_t *object, const char *name, double low, double high, int64_t fallback,
                          const struct path *path, struct problems *problems) {
    const json_t *value = json_object_get(object, name);
    char got[80];
    if (value == NULL) {
        return fallback;
    }
    double number = json_number_value(value);
    if (!json_is_number(value) || floor(number) != number || number < low || number > high) {
        problems_add(problems, path, name, "must be an integer from %.0f to %.0f; got %s", low, high,
                     value_quote(value, got));
        return fallback;
    }
    return (int64_t)number;
}

/* ---- JSON Pointers into a job ---- */

/* One token of a pointer, unescaped; returns where it continues. NULL if it does not fit. */
static const char *token_take(const char *pointer, char token[METRIC_NAME_BYTES]) {
    size_t used = 0;
    for (pointer++; *pointer != '\0' && *pointer != '/'; pointer++) {
        char c = *pointer;
        if (c == '~' && (pointer[1] == '0' || pointer[1] == '1')) {
            c = *++pointer == '0' ? '~' : '/';
        }
        if (used + 1 >= METRIC_NAME_BYTES) {
            return NULL;
        }
        token[used++] = c;
    }
    token[used] = '\0';
    return pointer;
}

static bool is_pointer(const char *pointer) {
    char token[METRIC_NAME_BYTES];
    bool fits = pointer != NULL && *pointer == '/' && pointer[1] != '\0' && strcmp(pointer, "/seed") != 0;
    while (fits && *pointer != '\0') {
        pointer = token_take(pointer, token);
        fits = pointer != NULL && *token != '\0';
    }
    return fits;
}

/* Sets the member that the pointer names; missing objects on the way are created. False if out of memory. */
static bool pointer_set(json_t *document, const char *pointer, const json_t *value) {
    char token[METRIC_NAME_BYTES];
    pointer = token_take(pointer, token);
    while (pointer != NULL && *pointer != '\0') {
        json_t *next = json_object_get(document, token);
        if (!json_is_object(next)) {
            next = json_object();
            json_object_set_new(document, token, next);
        }
        document = next;
        pointer = token_take(pointer, token);
    }
    return pointer != NULL && json_object_set_new(document, token, json_deep_copy(value)) == 0;
}

/* ---- axes ---- */

static void patch_check(const json_t *patch, const struct path *path, struct problems *problems) {
    const char *name;
    json_t *value;
    size_t pointers = 0;
    if (!json_is_object(patch)) {
        problems_add(problems, path, NULL, "must be an object of JSON Pointers into the job, with an optional label");
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)patch, name, value) {
        if (strcmp(name, "label") == 0) {
            const char *label = json_string_value(value);
            if (label == NULL || *label == '\0' || strlen(label) >= METRIC_NAME_BYTES) {
                problems_add(problems, path, name, "must be a string of 1 to %d bytes", METRIC_NAME_BYTES - 1);
            }
        } else if (!is_pointer(name)) {
            problems_add(problems, path, name,
                         "must be a JSON Pointer into the job, such such such as \"/optimizer/learning_rate\", and not "
                         "its seed");
        } else {
            pointers++;
        }
    }
    if (pointers == 0) {
        problems_add(problems, path, NULL, "must set at least one field of the job");
    }
}

static json_t *patches_read(const json_t *list, const struct path *path, const char *name, struct problems *problems) {
    const struct path at = {.parent = path, .name = name};
    size_t index;
    json_t *patch;
    if (!json_is_array(list) || json_array_size(list) == 0 || json_array_size(list) > DESIGN_POINTS) {
        problems_add(problems, path, name, "must be a list of 1 to %d patches", DESIGN_POINTS);
        return NULL;
    }
    json_array_foreach(list, index, patch) {
        const struct path one = {.parent = &at, .index = index};
        patch_check(patch, &one, problems);
    }
    return json_deep_copy(list);
}

static void value_append(json_t *values, const char *pointer, json_t *value) {
    json_t *patch = json_object();
    json_object_set_new(patch, pointer, value);
    json_array_append_new(values, patch);
}

/* `count` values from the first to the last number of `range`. */
static json_t *range_read(const json_t *axis, const char *name, const char *pointer, const struct path *path,
                          struct problems *problems) {
    const json_t *range = json_object_get(axis, name);
    bool logarithmic = strcmp(name, "log") == 0;
    double low = json_number_value(json_array_get(range, 0)), high = json_number_value(json_array_get(range, 1));
    int64_t count = integer_of(axis, "count", 2, DESIGN_POINTS, 0, path, problems);
    if (json_array_size(range) != 2 || !json_is_number(json_array_get(range, 0)) ||
        !json_is_number(json_array_get(range, 1)) || (logarithmic && !(low > 0 && high > 0))) {
        problems_add(problems, path, name, "must be a list of two %snumbers: the first and the last value",
                     logarithmic ? "positive " : "");
        return NULL;
    }
    if (count == 0) {
        problems_add(problems, path, "count", "must be the number of values, from 2 to %d", DESIGN_POINTS);
        return NULL;
    }
    json_t *values = json_array();
    for (int64_t i = 0; i < count; i++) {
        double part = (double)i / (double)(count - 1);
        double value = logarithmic ? exp(log(low) + part * (log(high) - log(low))) : low + part * (high - low);
        value = i == 0 ? low : i == count - 1 ? high : value;
        bool whole = floor(value) == value && fabs(value) < SEED_MOST;
        value_append(values, pointer, whole ? json_integer((json_int_t)value) : json_real(value));
    }
    return values;
}

static json_t *values_read(const json_t *axis, const char *pointer, const struct path *path,
                           struct problems *problems) {
    const json_t *list = json_object_get(axis, "values");
    size_t index;
    json_t *value;
    if (!json_is_array(list) || json_array_size(list) == 0 || json_array_size(list) > DESIGN_POINTS) {
        problems_add(problems, path, "values", "must be a list of 1 to %d values", DESIGN_POINTS);
        return NULL;
    }
    json_t *values = json_array();
    json_array_foreach(list, index, value) {
        value_append(values, pointer, json_deep_copy(value));
    }
    return values;
}

/* The last part of a pointer: the name of an axis without one. */
static const char *pointer_end(const char *pointer) {
    const char *slash = strrchr(pointer, '/');
    return slash == NULL ? pointer : slash + 1;
}

static void axis_name(struct axis *axis, const json_t *document, const char *pointer, size_t index,
                      const struct path *path, struct problems *problems) {
    const json_t *given = json_object_get(document, "name");
    const char *name = json_string_value(given);
    if (given != NULL && (name == NULL || *name == '\0' || strlen(name) >= sizeof axis->name)) {
        problems_add(problems, path, "name", "must be a string of 1 to %zu bytes", sizeof axis->name - 1);
    } else if (name != NULL) {
        snprintf(axis->name, sizeof axis->name, "%s", name);
    } else if (pointer != NULL) {
        snprintf(axis->name, sizeof axis->name, "%.*s", (int)sizeof axis->name - 1, pointer_end(pointer));
    } else {
        snprintf(axis->name, sizeof axis->name, "axis%zu", index);
    }
}

static void axis_read(struct axis *axis, const json_t *document, size_t index, const struct path *path,
                      struct problems *problems) {
    static const char *const members[] = {"name", "path", "values", "linear", "log", "count", "patches"};
    static const char *const forms[] = {"patches", "values", "linear", "log"};
    const char *pointer = json_string_value(json_object_get(document, "path")), *form = NULL;
    size_t given = 0;
    check_members(document, members, COUNT(members), path, "member of an axis", problems);
    for (size_t i = 0; i < COUNT(forms); i++) {
        if (json_object_get(document, forms[i]) != NULL) {
            form = forms[i];
            given++;
        }
    }
    axis_name(axis, document, pointer, index, path, problems);
    if (given != 1) {
        problems_add(problems, path, NULL, "must have one of values, linear, log or patches");
    } else if (strcmp(form, "patches") == 0) {
        axis->values = patches_read(json_object_get(document, "patches"), path, "patches", problems);
    } else if (!is_pointer(pointer)) {
        problems_add(
            problems, path, "path",
            "must be a JSON Pointer into the job, such such such as \"/optimizer/learning_rate\", and not its seed");
    } else if (strcmp(form, "values") == 0) {
        axis->values = values_read(document, pointer, path, problems);
    } else {
        axis->values = range_read(document, form, pointer, path, problems);
    }
    axis->count = json_array_size(axis->values);
}

static void axes_read(struct design *design, struct problems *problems) {
    const json_t *axes = json_object_get(design->document, "axes");
    const struct path path = {.name = "axes"};
    size_t index;
    json_t *axis;
    if (axes != NULL && (!json_is_array(axes) || json_array_size(axes) > DESIGN_AXES)) {
        problems_add(problems, NULL, "axes", "must be a list of at most %d axes", DESIGN_AXES);
        return;
    }
    json_array_foreach(axes, index, axis) {
        const struct path one = {.parent = &path, .index = index};
        if (json_is_object(axis)) {
            axis_read(&design->axes[index], axis, index, &one, problems);
        } else {
            problems_add(problems, &one, NULL, "must be an object");
        }
        for (size_t i = 0; i < index; i++) {
            if (strcmp(design->axes[i].name, design->axes[index].name) == 0) {
                problems_add(problems, &one, "name", "must not be the name of another axis");
            }
        }
        design->axis_count++;
    }
}

static void points_count(struct design *design, struct problems *problems) {
    double points = 1;
    for (size_t i = 0; i < design->axis_count; i++) {
        if (design->axes[i].values == NULL) {
            return; /* its fault is reported already */
        }
        if (!design->is_grid && design->axes[i].count != design->axes[0].count) {
            problems_add(problems, &(struct path){.name = "axes"}, NULL,
                         "must all have as many values as the first (%zu) where the design is zip; the axis \"%s\" "
                         "has %zu",
                         design->axes[0].count, design->axes[i].name, design->axes[i].count);
            return;
        }
        points = design->is_grid || i == 0 ? points * (double)design->axes[i].count : points;
    }
    if (points > DESIGN_POINTS || points * (double)design->seed_count > DESIGN_TRIALS) {
        problems_add(problems, NULL, "axes", "make %.0f points and %.0f trials; at most %d and %d are allowed", points,
                     points * (double)design->seed_count, DESIGN_POINTS, DESIGN_TRIALS);
        return;
    }
    design->points = (size_t)points;
}

static void shape_read(struct design *design, struct problems *problems) {
    const json_t *given = json_object_get(design->document, "design");
    const char *name = given == NULL ? "grid" : json_string_value(given);
    const json_t *list = json_object_get(design->document, "points");
    char got[80];
    bool is_list = name != NULL && strcmp(name, "list") == 0;
    design->is_grid = name != NULL && strcmp(name, "grid") == 0;
    if (name == NULL || (!is_list && !design->is_grid && strcmp(name, "zip") != 0)) {
        problems_add(problems, NULL, "design", "must be grid, zip or list; got %s", value_quote(given, got));
    } else if (!is_list && list != NULL) {
        problems_add(problems, NULL, "points", "belongs to the design list");
    } else if (is_list && json_object_get(design->document, "axes") != NULL) {
        problems_add(problems, NULL, "axes", "must be absent if the design is list: its points are in \"points\"");
    } else if (is_list) {
        snprintf(design->axes[0].name, sizeof design->axes[0].name, "point");
        design->axes[0].values = patches_read(list, NULL, "points", problems);
        design->axes[0].count = json_array_size(design->axes[0].values);
        design->axis_count = 1;
    } else {
        axes_read(design, problems);
    }
}

/* ---- seeds ---- */

static bool seeds_list(struct design *design, const json_t *list, struct problems *problems) {
    const struct path path = {.name = "seeds"};
    design->seed_count = json_array_size(list);
    design->seeds = malloc((design->seed_count + 1) * sizeof *design->seeds);
    for (size_t i = 0; design->seeds != NULL && i < design->seed_count; i++) {
        const json_t *value = json_array_get(list, i);
        const struct path at = {.parent = &path, .index = i};
        design->seeds[i] = (int64_t)json_number_value(value);
        if (!json_is_integer(value) || design->seeds[i] < 0 || (double)design->seeds[i] > SEED_MOST) {
            problems_add(problems, &at, NULL, "must be a seed, an integer from 0 to %.0f", SEED_MOST);
        }
        for (size_t j = 0; j < i && design->seed_count <= DESIGN_POINTS; j++) {
            if (design->seeds[j] == design->seeds[i]) {
                problems_add(problems, &at, NULL, "must not be given twice");
                break;
            }
        }
    }
    return design->seeds != NULL;
}

static void seeds_read(struct design *design, struct problems *problems) {
    static const char *const members[] = {"from", "count"};
    const struct path path = {.name = "seeds"};
    const json_t *seeds = json_object_get(design->document, "seeds");
    if (json_is_array(seeds) && json_array_size(seeds) > 0 && json_array_size(seeds) <= DESIGN_POINTS) {
        if (!seeds_list(design, seeds, problems)) {
            problems_add(problems, NULL, "seeds", "not enough memory for so many seeds");
        }
        return;
    }
    if (seeds != NULL && !json_is_object(seeds)) {
        problems_add(problems, NULL, "seeds", "must be {\"from\": 1, \"count\": 20} or a list of 1 to %d seeds",
                     DESIGN_POINTS);
        return;
    }
    check_members(seeds, members, COUNT(members), &path, "member of seeds", problems);
    int64_t from = integer_of(seeds, "from", 0, SEED_MOST - DESIGN_TRIALS, 1, &path, problems),
            count = integer_of(seeds, "count", 1, DESIGN_TRIALS, 10, &path, problems);
    design->seeds = malloc((size_t)count * sizeof *design->seeds);
    for (int64_t i = 0; design->seeds != NULL && i < count; i++) {
        design->seeds[i] = from + i;
    }
    design->seed_count = design->seeds == NULL ? 0 : (size_t)count;
}

/* ---- metrics and comparison ---- */

/* "loss_below": the curve, and the side of the threshold. False if the name has another form. */
static bool threshold_name(const char *name, struct metric *metric) {
    const char *end = strrchr(name, '_');
    if (end == NULL || end == name || (strcmp(end, "_below") != 0 && strcmp(end, "_above") != 0)) {
        return false;
    }
    metric->above = strcmp(end, "_above") == 0;
    snprintf(metric->key, sizeof metric->key, "%.*s", (int)(end - name), name);
    return true;
}

/* Whether larger values of this curve are better. */
static bool curve_rises(const char *key) {
    return strcmp(key, "accuracy") == 0 || strncmp(key, "cosine", 6) == 0;
}

static bool curve_exists(const char *key) {
    const char *names[CURVES_MAX];
    size_t count = event_curves(names);
    bool found = false;
    for (size_t i = 1; i < count; i++) { /* not the iteration */
        found = found || strcmp(names[i], key) == 0;
    }
    return found;
}

/* One member of a metric's document. False if it does not say what is measured. */
static bool metric_member(struct metric *metric, const char *name, const json_t *value, const struct path *path,
                          struct problems *problems) {
    static const char *const kinds[] = {[METRIC_FINAL] = "final", [METRIC_BEST] = "best", [METRIC_AREA] = "area"};
    for (int kind = METRIC_FINAL; kind <= METRIC_AREA; kind++) {
        if (strcmp(name, kinds[kind]) == 0) {
            const char *key = json_string_value(value);
            metric->kind = (enum metric_kind)kind;
            snprintf(metric->key, sizeof metric->key, "%.*s", (int)sizeof metric->key - 1, key == NULL ? "" : key);
            return true;
        }
    }
    if (threshold_name(name, metric)) {
        metric->kind = METRIC_LEARNED;
        metric->threshold = json_number_value(value);
        if (!json_is_number(value)) {
            problems_add(problems, path, name, "must be a number");
        }
        return true;
    }
    if (strcmp(name, "name") != 0 && strcmp(name, "in_a_row") != 0) {
        problems_add(problems, path, name,
                     "is not a known member of a metric: final, best and area name a curve; CURVE_below and "
                     "CURVE_above have a threshold, with in_a_row");
    }
    return false;
}

static void metric_finish(struct metric *metric, const json_t *document, size_t measures, const struct path *path,
                          struct problems *problems) {
    static const char *const kinds[] = {"learned", "final", "best", "area"};
    const json_t *given = json_object_get(document, "name");
    const char *name = json_string_value(given);
    metric->in_a_row = (int)integer_of(document, "in_a_row", 1, IN_A_ROW_MOST, 1, path, problems);
    metric->greater_is_better = metric->kind != METRIC_LEARNED && curve_rises(metric->key);
    if (measures != 1) {
        problems_add(problems, path, NULL,
                     "must have one measure: final, best or area with a curve, or CURVE_below or CURVE_above with a "
                     "threshold");
    } else if (!curve_exists(metric->key)) {
        problems_add(problems, path, NULL, "must name a curve of GET /v1/jobs/{id}/metrics; got \"%.60s\"",
                     metric->key);
    }
    if (given != NULL && (name == NULL || *name == '\0' || strlen(name) >= sizeof metric->name)) {
        problems_add(problems, path, "name", "must be a string of 1 to %zu bytes", sizeof metric->name - 1);
    } else if (name != NULL) {
        snprintf(metric->name, sizeof metric->name, "%s", name);
    } else if (metric->kind == METRIC_LEARNED) {
        snprintf(metric->name, sizeof metric->name, "learned");
    } else {
        snprintf(metric->name, sizeof metric->name, "%s_%.*s", kinds[metric->kind], (int)sizeof metric->name - 9,
                 metric->key);
    }
}

static void metric_read(struct metric *metric, const json_t *document, const struct path *path,
                        struct problems *problems) {
    const char *name;
    json_t *value;
    size_t measures = 0;
    json_object_foreach((json_t *)(uintptr_t)document, name, value) {
        measures += metric_member(metric, name, value, path, problems);
    }
    metric_finish(metric, document, measures, path, problems);
}

size_t metrics_read(const json_t *list, struct metric metrics[DESIGN_METRICS], struct problems *problems) {
    const struct path path = {.name = "metrics"};
    size_t count = json_array_size(list);
    memset(metrics, 0, DESIGN_METRICS * sizeof *metrics);
    if (list == NULL) {
        metrics[0] = (struct metric){.name = "final_loss", .kind = METRIC_FINAL, .key = "loss", .in_a_row = 1};
        return 1;
    }
    if (!json_is_array(list) || count == 0 || count > DESIGN_METRICS) {
        problems_add(problems, NULL, "metrics", "must be a list of 1 to %d metrics", DESIGN_METRICS);
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        const struct path one = {.parent = &path, .index = i};
        const json_t *document = json_array_get(list, i);
        if (!json_is_object(document)) {
            problems_add(problems, &one, NULL, "must be an object");
            continue;
        }
        metric_read(&metrics[i], document, &one, problems);
        for (size_t j = 0; j < i; j++) {
            if (strcmp(metrics[i].name, metrics[j].name) == 0) {
                problems_add(problems, &one, "name", "must not be the name of another metric");
            }
        }
    }
    return count;
}

static void compare_read(struct design *design, struct problems *problems) {
    static const char *const members[] = {"axis", "to"};
    const struct path path = {.name = "compare"};
    const json_t *compare = json_object_get(design->document, "compare");
    const char *name = json_string_value(json_object_get(compare, "axis"));
    design->compare_axis = -1;
    for (size_t i = 0; i < design->axis_count; i++) {
        bool meant = name != NULL ? strcmp(name, design->axes[i].name) == 0 : design->axes[i].count > 1;
        design->compare_axis = design->compare_axis < 0 && meant ? (int)i : design->compare_axis;
    }
    if (compare == NULL || json_is_null(compare)) {
        design->compare_axis = compare == NULL ? design->compare_axis : -1;
        return;
    }
    if (!json_is_object(compare)) {
        problems_add(problems, NULL, "compare", "must be {\"axis\": name, \"to\": index of a value}, or null");
        return;
    }
    check_members(compare, members, COUNT(members), &path, "member of compare", problems);
    if (design->compare_axis < 0) {
        problems_add(problems, &path, "axis", "must be the name of an axis; got \"%.60s\"", name == NULL ? "" : name);
        return;
    }
    size_t count = design->axes[design->compare_axis].count;
    design->compare_to = (size_t)integer_of(compare, "to", 0, count == 0 ? 0 : (double)count - 1, 0, &path, problems);
}

/* ---- the whole ---- */

static const char *text_of(const json_t *document, const char *name, size_t most, struct problems *problems) {
    const json_t *value = json_object_get(document, name);
    const char *text = json_string_value(value);
    if (value != NULL && !json_is_null(value) && (text == NULL || json_string_length(value) > most)) {
        problems_add(problems, NULL, name, "must be a string of at most %zu bytes, or null", most);
    }
    return text == NULL ? "" : text;
}

static void tags_read(struct design *design, struct problems *problems) {
    json_t *tags = json_object_get(design->document, "tags"), *tag;
    size_t index;
    design->tags = tags;
    if (tags != NULL && (!json_is_array(tags) || json_array_size(tags) > TAGS_MOST)) {
        problems_add(problems, NULL, "tags", "must be a list of at most %d words", TAGS_MOST);
        return;
    }
    json_array_foreach(tags, index, tag) {
        if (json_string_length(tag) == 0 || json_string_length(tag) >= METRIC_NAME_BYTES) {
            problems_add(problems, &(struct path){.name = "tags"}, NULL, "must be words of 1 to %d bytes",
                         METRIC_NAME_BYTES - 1);
        }
    }
}

static void base_read(struct design *design, struct problems *problems) {
    const struct path path = {.name = "base"};
    design->base = json_object_get(design->document, "base");
    if (!json_is_object(design->base)) {
        problems_add(problems, NULL, "base", "must be a job, as POST /v1/jobs takes one, without a seed");
    } else if (json_object_get(design->base, "seed") != NULL) {
        problems_add(problems, &path, "seed", "must be absent: the seeds are in \"seeds\"");
    }
}

static void reuse_read(struct design *design, struct problems *problems) {
    const json_t *value = json_object_get(design->document, "reuse");
    const char *reuse = value == NULL ? "same_build" : json_string_value(value);
    if (reuse == NULL || (strcmp(reuse, "same_build") != 0 && strcmp(reuse, "none") != 0)) {
        problems_add(problems, NULL, "reuse", "must be same_build or none");
    }
    design->reuse = reuse != NULL && strcmp(reuse, "same_build") == 0;
}

void design_read(struct design *design, const json_t *document, struct problems *problems) {
    *design = (struct design){.document = json_deep_copy(document)};
    if (design->document == NULL) {
        problems_add(problems, NULL, NULL, "not enough memory to read it");
        return;
    }
    check_members(design->document, known, COUNT(known), NULL, "member of an experiment", problems);
    design->name = text_of(design->document, "name", NAME_MOST, problems);
    design->notes = text_of(design->document, "notes", NOTES_MOST, problems);
    tags_read(design, problems);
    base_read(design, problems);
    reuse_read(design, problems);
    seeds_read(design, problems);
    shape_read(design, problems);
    points_count(design, problems);
    design->metric_count = metrics_read(json_object_get(design->document, "metrics"), design->metrics, problems);
    compare_read(design, problems);
}

void design_release(struct design *design) {
    for (size_t i = 0; i < DESIGN_AXES; i++) {
        json_decref(design->axes[i].values);
    }
    free(design->seeds);
    json_decref(design->document);
    *design = (struct design){0};
}

size_t design_trials(const struct design *design) {
    return design->points * design->seed_count;
}

void design_indices(const struct design *design, size_t point, size_t indices[DESIGN_AXES]) {
    for (size_t i = design->axis_count; i-- > 0;) {
        indices[i] = design->is_grid ? point % design->axes[i].count : point;
        point = design->is_grid ? point / design->axes[i].count : point;
    }
}

void design_name(const struct design *design, size_t point, char name[STORE_POINT_BYTES]) {
    size_t indices[DESIGN_AXES] = {0}, used = 0;
    if (!design->is_grid || design->axis_count == 0) {
        snprintf(name, STORE_POINT_BYTES, "%zu", point);
        return;
    }
    design_indices(design, point, indices);
    for (size_t i = 0; i < design->axis_count && used < STORE_POINT_BYTES; i++) {
        used += (size_t)snprintf(name + used, STORE_POINT_BYTES - used, "%s%zu", i == 0 ? "" : ".", indices[i]);
    }
}

size_t design_find(const struct design *design, const char *name) {
    char own[STORE_POINT_BYTES];
    size_t point = 0;
    const char *at = name;
    for (size_t i = 0; i < (design->is_grid ? design->axis_count : 1); i++) {
        char *end;
        point = point * (design->is_grid ? design->axes[i].count : 1) + strtoul(at, &end, 10);
        at = *end == '.' ? end + 1 : end;
    }
    if (point >= design->points) {
        return SIZE_MAX;
    }
    design_name(design, point, own);
    return strcmp(own, name) == 0 ? point : SIZE_MAX;
}

json_t *design_job(const struct design *design, size_t point, int64_t seed) {
    size_t indices[DESIGN_AXES] = {0};
    json_t *job = json_deep_copy(design->base);
    bool whole = job != NULL;
    design_indices(design, point, indices);
    for (size_t i = 0; whole && i < design->axis_count; i++) {
        const char *name;
        json_t *value, *patch = json_array_get(design->axes[i].values, indices[i]);
        json_object_foreach(patch, name, value) {
            whole = whole && (*name != '/' || pointer_set(job, name, value));
        }
    }
    if (!whole || json_object_set_new(job, "seed", json_integer(seed)) != 0) {
        json_decref(job);
        return NULL;
    }
    return job;
}
