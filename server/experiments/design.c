/*
 * Reading a specification, and its points. See design.h.
 */
#include "server/experiments/design.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/random.h"
#include "server/experiments/members.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define NAME_MOST 200
#define NOTES_MOST 65536
#define TAGS_MOST 32

static const char *const members_known[] = {"name",   "notes",  "tags",        "base",    "axes",
                                            "design", "points", "seeds",       "metrics", "compare",
                                            "reuse",  "count",  "random_seed", "keep",    "most_running"};

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
                         "must be a JSON Pointer into the job, such as \"/optimizer/learning_rate\", and not "
                         "its seed");
        } else {
            pointers++;
        }
    }
    if (pointers == 0) {
        problems_add(problems, path, NULL, "must set at least one field of the job");
    }
}

json_t *design_patches_read(const json_t *list, const struct path *path, const char *name, struct problems *problems) {
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

/* A number, as an integer where it is one. */
static json_t *number_of(double value) {
    bool whole = floor(value) == value && fabs(value) < SEED_MOST;
    return whole ? json_integer((json_int_t)value) : json_real(value);
}

/* Whether two numbers are so far apart that their difference overflows, and with it what lies between them. */
static bool too_wide(double low, double high, const char *form, const struct path *path, struct problems *problems) {
    bool wide = !isfinite(high - low);
    if (wide) {
        problems_add(problems, path, form, "must be two numbers whose difference is below 1.8e308");
    }
    return wide;
}

/* `count` values from the first to the last number of `range`. */
static json_t *range_read(const json_t *axis, const char *name, const char *pointer, const struct path *path,
                          struct problems *problems) {
    const json_t *range = json_object_get(axis, name);
    bool logarithmic = strcmp(name, "log") == 0;
    double low = json_number_value(json_array_get(range, 0)), high = json_number_value(json_array_get(range, 1));
    int64_t count = member_integer(axis, "count", 2, DESIGN_POINTS, 0, path, problems);
    if (json_array_size(range) != 2 || !json_is_number(json_array_get(range, 0)) ||
        !json_is_number(json_array_get(range, 1)) || (logarithmic && !(low > 0 && high > 0))) {
        problems_add(problems, path, name, "must be a list of two %snumbers: the first and the last value",
                     logarithmic ? "positive " : "");
        return NULL;
    }
    if (count == 0) {
        if (!json_is_integer(json_object_get(axis, "count"))) {
            problems_add(problems, path, "count", "must be the number of values, from 2 to %d", DESIGN_POINTS);
        }
        return NULL;
    }
    if (too_wide(low, high, name, path, problems)) {
        return NULL;
    }
    json_t *values = json_array();
    for (int64_t i = 0; i < count; i++) {
        double part = (double)i / (double)(count - 1);
        double value = logarithmic ? exp(log(low) + part * (log(high) - log(low))) : low + part * (high - low);
        value = i == 0 ? low : i == count - 1 ? high : value;
        value_append(values, pointer, number_of(value));
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

/* What the design random draws an axis' values with. */
struct draw {
    bool random;   /* else nothing is drawn */
    int64_t count; /* of the points */
    uint64_t seed;
    size_t axis;
};

/* Uniform in [0,1): of a point, the same whatever number of points there is. */
static double drawn(const struct draw *draw, int64_t point) {
    const struct random_stream stream = random_stream_make(draw->seed, RANDOM_DESIGN, point, draw->axis);
    return random_uniform(&stream, 0);
}

/* A value for each point, from between the two numbers of `uniform` or `log_uniform`. */
static json_t *values_draw(const json_t *axis, const char *form, const char *pointer, const struct draw *draw,
                           const struct path *path, struct problems *problems) {
    const json_t *range = json_object_get(axis, form), *integer = json_object_get(axis, "integer");
    bool logarithmic = strcmp(form, "log_uniform") == 0, whole = json_is_true(integer);
    double low = json_number_value(json_array_get(range, 0)), high = json_number_value(json_array_get(range, 1));
    if (integer != NULL && !json_is_boolean(integer)) {
        problems_add(problems, path, "integer", "must be true or false");
    }
    if (json_array_size(range) != 2 || !json_is_number(json_array_get(range, 0)) ||
        !json_is_number(json_array_get(range, 1)) || !(low < high) || (logarithmic && !(low > 0))) {
        problems_add(problems, path, form, "must be a list of two %snumbers, the smaller one first",
                     logarithmic ? "positive " : "");
        return NULL;
    }
    if (too_wide(low, high, form, path, problems)) {
        return NULL;
    }
    json_t *values = json_array();
    for (int64_t i = 0; i < draw->count; i++) {
        double part = drawn(draw, i);
        double value = logarithmic ? exp(log(low) + part * (log(high) - log(low))) : low + part * (high - low);
        value_append(values, pointer, number_of(whole ? floor(value + 0.5) : value));
    }
    return values;
}

/* One of the listed values for each point. */
static json_t *values_choose(const json_t *listed, const struct draw *draw) {
    json_t *values = listed == NULL ? NULL : json_array();
    for (int64_t i = 0; values != NULL && i < draw->count; i++) {
        size_t chosen = (size_t)(drawn(draw, i) * (double)json_array_size(listed));
        json_array_append(values, json_array_get(listed, chosen));
    }
    return values;
}

/* The one form in which an axis says its values; NULL, with a fault, if there is none, or more than one. */
static const char *axis_form(const json_t *document, bool random, const struct path *path, struct problems *problems) {
    static const char *const forms[] = {"patches", "values", "linear", "log", "uniform", "log_uniform"};
    const char *form = NULL;
    size_t given = 0;
    for (size_t i = 0; i < COUNT(forms); i++) {
        if (json_object_get(document, forms[i]) != NULL) {
            form = forms[i];
            given++;
        }
    }
    bool is_drawn = form != NULL && strstr(form, "uniform") != NULL;
    if (given != 1) {
        problems_add(problems, path, NULL, "must have one of values, linear, log, patches, uniform or log_uniform");
    } else if (is_drawn && !random) {
        problems_add(problems, path, form, "belongs to the design random");
    } else {
        return form;
    }
    return NULL;
}

static void axis_read(struct axis *axis, const json_t *document, const struct draw *draw, const struct path *path,
                      struct problems *problems) {
    static const char *const members[] = {"name",  "path",    "values",  "linear",      "log",
                                          "count", "patches", "uniform", "log_uniform", "integer"};
    const char *pointer = json_string_value(json_object_get(document, "path")),
               *form = axis_form(document, draw->random, path, problems);
    members_check(document, members, COUNT(members), path, "member of an axis", problems);
    axis_name(axis, document, pointer, draw->axis, path, problems);
    if (form == NULL) {
        return;
    }
    if (strcmp(form, "patches") != 0 && !is_pointer(pointer)) {
        problems_add(problems, path, "path",
                     "must be a JSON Pointer into the job, such as \"/optimizer/learning_rate\", and not its seed");
        return;
    }
    bool is_drawn = strstr(form, "uniform") != NULL;
    json_t *values = is_drawn ? values_draw(document, form, pointer, draw, path, problems)
                     : strcmp(form, "patches") == 0
                         ? design_patches_read(json_object_get(document, form), path, form, problems)
                     : strcmp(form, "values") == 0 ? values_read(document, pointer, path, problems)
                                                   : range_read(document, form, pointer, path, problems);
    if (draw->random && !is_drawn) {
        json_t *chosen = values_choose(values, draw);
        json_decref(values);
        values = chosen;
    }
    axis->values = values;
    axis->count = json_array_size(values);
}

static struct draw draw_read(const struct design *design, struct problems *problems) {
    struct draw draw = {.random = design->kind == DESIGN_RANDOM};
    if (draw.random) {
        draw.seed = (uint64_t)member_integer(design->document, "random_seed", 0, SEED_MOST, 0, NULL, problems);
        draw.count = member_integer(design->document, "count", 1, DESIGN_POINTS, 0, NULL, problems);
        if (draw.count == 0 && json_object_get(design->document, "count") == NULL) {
            problems_add(problems, NULL, "count", "must be the number of points, from 1 to %d", DESIGN_POINTS);
        }
    }
    return draw;
}

static void axes_read(struct design *design, struct problems *problems) {
    const json_t *axes = json_object_get(design->document, "axes");
    const struct path path = {.name = "axes"};
    size_t index;
    json_t *axis;
    struct draw draw = draw_read(design, problems);
    if (axes != NULL && (!json_is_array(axes) || json_array_size(axes) > DESIGN_AXES)) {
        problems_add(problems, NULL, "axes", "must be a list of at most %d axes", DESIGN_AXES);
        return;
    }
    json_array_foreach(axes, index, axis) {
        const struct path one = {.parent = &path, .index = index};
        draw.axis = index;
        if (json_is_object(axis)) {
            axis_read(&design->axes[index], axis, &draw, &one, problems);
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
        if (design->kind != DESIGN_GRID && design->axes[i].count != design->axes[0].count) {
            problems_add(problems, &(struct path){.name = "axes"}, NULL,
                         "must all have as many values as the first (%zu) where the design is zip; the axis \"%s\" "
                         "has %zu",
                         design->axes[0].count, design->axes[i].name, design->axes[i].count);
            return;
        }
        points = design->kind == DESIGN_GRID || i == 0 ? points * (double)design->axes[i].count : points;
    }
    if (points > DESIGN_POINTS || points * (double)design->seed_count > DESIGN_TRIALS) {
        problems_add(problems, NULL, "axes", "make %.0f points and %.0f trials; at most %d and %d are allowed", points,
                     points * (double)design->seed_count, DESIGN_POINTS, DESIGN_TRIALS);
        return;
    }
    design->points = (size_t)points;
}

static const char *const kind_names[] = {
    [DESIGN_GRID] = "grid", [DESIGN_ZIP] = "zip", [DESIGN_LIST] = "list", [DESIGN_RANDOM] = "random"};

static void kind_read(struct design *design, struct problems *problems) {
    const json_t *given = json_object_get(design->document, "design");
    const char *name = given == NULL ? "grid" : json_string_value(given);
    char got[80];
    for (size_t i = 0; name != NULL && i < COUNT(kind_names); i++) {
        if (strcmp(name, kind_names[i]) == 0) {
            design->kind = (enum design_kind)i;
            return;
        }
    }
    problems_add(problems, NULL, "design", "must be grid, zip, list or random; got %s", value_quote(given, got));
}

/* Members that belong to one kind of design alone. */
static void shape_check(const struct design *design, struct problems *problems) {
    static const struct {
        const char *name;
        enum design_kind kind;
    } own[] = {{"points", DESIGN_LIST}, {"count", DESIGN_RANDOM}, {"random_seed", DESIGN_RANDOM}};
    for (size_t i = 0; i < COUNT(own); i++) {
        if (design->kind != own[i].kind && json_object_get(design->document, own[i].name) != NULL) {
            problems_add(problems, NULL, own[i].name, "belongs to the design %s", kind_names[own[i].kind]);
        }
    }
    if (design->kind == DESIGN_LIST && json_object_get(design->document, "axes") != NULL) {
        problems_add(problems, NULL, "axes", "must be absent if the design is list: its points are in \"points\"");
    }
}

static void shape_read(struct design *design, struct problems *problems) {
    kind_read(design, problems);
    shape_check(design, problems);
    if (design->kind == DESIGN_LIST) {
        snprintf(design->axes[0].name, sizeof design->axes[0].name, "point");
        design->axes[0].values = design_patches_read(json_object_get(design->document, "points"), NULL, "points",
                                                     problems);
        design->axes[0].count = json_array_size(design->axes[0].values);
        design->axis_count = 1;
    } else {
        axes_read(design, problems);
    }
}

/* ---- seeds ---- */

struct seed_list {
    int64_t *seeds;
    size_t count, room;
    bool failed; /* a fault has been reported */
};

static void seed_append(struct seed_list *list, int64_t seed, struct problems *problems) {
    if (list->count == list->room) {
        size_t room = list->room == 0 ? 64 : 2 * list->room;
        int64_t *more = realloc(list->seeds, room * sizeof *more);
        if (more == NULL) {
            problems_add(problems, NULL, "seeds", "not enough memory for so many seeds");
            list->failed = true;
            return;
        }
        list->seeds = more;
        list->room = room;
    }
    list->seeds[list->count++] = seed;
}

static void range_append(struct seed_list *list, const json_t *range, const struct path *path,
                         struct problems *problems) {
    static const char *const members[] = {"from", "count"};
    size_t faults = problems->count;
    members_check(range, members, COUNT(members), path, "member of seeds", problems);
    int64_t from = member_integer(range, "from", 0, SEED_MOST - DESIGN_TRIALS, 1, path, problems),
            count = member_integer(range, "count", 1, DESIGN_TRIALS, 10, path, problems);
    list->failed = list->failed || problems->count > faults;
    for (int64_t i = 0; !list->failed && i < count; i++) {
        seed_append(list, from + i, problems);
    }
}

static void seeds_append(struct seed_list *list, const json_t *values, struct problems *problems) {
    const struct path path = {.name = "seeds"};
    for (size_t i = 0; !list->failed && i < json_array_size(values); i++) {
        const json_t *value = json_array_get(values, i);
        const struct path at = {.parent = &path, .index = i};
        if (json_is_object(value)) {
            range_append(list, value, &at, problems);
        } else if (!json_is_integer(value) || json_integer_value(value) < 0 || json_number_value(value) > SEED_MOST) {
            problems_add(problems, &at, NULL, "must be a seed, an integer from 0 to %.0f, or a range of them",
                         SEED_MOST);
            list->failed = true;
        } else {
            seed_append(list, json_integer_value(value), problems);
        }
        if (list->count > DESIGN_TRIALS) {
            problems_add(problems, NULL, "seeds", "must be at most %d", DESIGN_TRIALS);
            list->failed = true;
        }
    }
}

static int by_value(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Reports a seed that is there twice. */
static void seeds_check(struct seed_list *list, struct problems *problems) {
    int64_t *sorted = list->failed ? NULL : malloc((list->count + 1) * sizeof *sorted);
    list->failed = sorted == NULL;
    if (sorted == NULL) {
        return;
    }
    if (list->count > 0) {
        memcpy(sorted, list->seeds, list->count * sizeof *sorted);
    }
    qsort(sorted, list->count, sizeof *sorted, by_value);
    for (size_t i = 1; !list->failed && i < list->count; i++) {
        if (sorted[i] == sorted[i - 1]) {
            problems_add(problems, NULL, "seeds", "must list each seed only once; %lld appears twice",
                         (long long)sorted[i]);
            list->failed = true;
        }
    }
    free(sorted);
}

int64_t *design_seeds_read(const json_t *seeds, size_t *count, struct problems *problems) {
    const struct path path = {.name = "seeds"};
    struct seed_list list = {0};
    size_t faults = problems->count;
    if (seeds == NULL || json_is_object(seeds)) {
        range_append(&list, seeds, &path, problems);
    } else if (json_is_array(seeds) && json_array_size(seeds) > 0) {
        seeds_append(&list, seeds, problems);
    } else {
        problems_add(problems, NULL, "seeds",
                     "must be {\"from\": 1, \"count\": 20}, or a list of seeds and of such ranges");
        list.failed = true;
    }
    seeds_check(&list, problems);
    *count = list.failed ? 0 : list.count;
    if (!list.failed) {
        return list.seeds;
    }
    if (problems->count == faults) {
        problems_add(problems, NULL, "seeds", "not enough memory for so many seeds");
    }
    free(list.seeds);
    return NULL;
}

/* ---- what is compared ---- */

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
    members_check(compare, members, COUNT(members), &path, "member of compare", problems);
    if (design->compare_axis < 0) {
        problems_add(problems, &path, "axis", "must be the name of an axis; got \"%.60s\"", name == NULL ? "" : name);
        return;
    }
    size_t count = design->axes[design->compare_axis].count;
    design->compare_to = (size_t)member_integer(compare, "to", 0, count == 0 ? 0 : (double)count - 1, 0, &path,
                                                problems);
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

static void keep_read(struct design *design, struct problems *problems) {
    static const char *const members[] = {"weights"}, *const kinds[] = {"all", "last", "none"};
    static const enum weights_kept kept[] = {WEIGHTS_AS_JOB, WEIGHTS_LAST, WEIGHTS_NONE};
    const struct path path = {.name = "keep"};
    const json_t *keep = json_object_get(design->document, "keep"), *weights = json_object_get(keep, "weights"),
                 *most = json_object_get(design->document, "most_running");
    const char *name = json_string_value(weights);
    bool known = keep == NULL || json_is_null(keep);
    if (!known && !json_is_object(keep)) {
        problems_add(problems, NULL, "keep", "must be {\"weights\": \"all\", \"last\" or \"none\"}, or null");
        return;
    }
    members_check(keep, members, COUNT(members), &path, "member of keep", problems);
    for (size_t i = 0; name != NULL && i < COUNT(kinds); i++) {
        if (strcmp(name, kinds[i]) == 0) {
            design->weights = kept[i];
            known = true;
        }
    }
    if (!known && weights != NULL) {
        problems_add(problems, &path, "weights", "must be all, last or none");
    }
    design->most_running = json_is_null(most) ? 0
                                              : (size_t)member_integer(design->document, "most_running", 1,
                                                                       DESIGN_TRIALS, 0, NULL, problems);
}

void design_read(struct design *design, const json_t *document, struct problems *problems) {
    *design = (struct design){.document = json_deep_copy(document)};
    if (design->document == NULL) {
        problems_add(problems, NULL, NULL, "not enough memory to read it");
        return;
    }
    members_check(design->document, members_known, COUNT(members_known), NULL, "member of an experiment", problems);
    design->name = text_of(design->document, "name", NAME_MOST, problems);
    design->notes = text_of(design->document, "notes", NOTES_MOST, problems);
    tags_read(design, problems);
    base_read(design, problems);
    reuse_read(design, problems);
    design->seeds = design_seeds_read(json_object_get(design->document, "seeds"), &design->seed_count, problems);
    keep_read(design, problems);
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
    const bool is_grid = design->kind == DESIGN_GRID;
    for (size_t i = design->axis_count; i-- > 0;) {
        indices[i] = is_grid ? point % design->axes[i].count : point;
        point = is_grid ? point / design->axes[i].count : point;
    }
}

void design_name(const struct design *design, size_t point, char name[STORE_POINT_BYTES]) {
    size_t indices[DESIGN_AXES] = {0}, used = 0;
    if (design->kind != DESIGN_GRID || design->axis_count == 0) {
        snprintf(name, STORE_POINT_BYTES, "%zu", point);
        return;
    }
    design_indices(design, point, indices);
    for (size_t i = 0; i < design->axis_count && used < STORE_POINT_BYTES; i++) {
        used += (size_t)snprintf(name + used, STORE_POINT_BYTES - used, "%s%zu", i == 0 ? "" : ".", indices[i]);
    }
}

size_t design_find(const struct design *design, const char *name) {
    const bool is_grid = design->kind == DESIGN_GRID;
    char own[STORE_POINT_BYTES];
    size_t point = 0;
    const char *at = name;
    for (size_t i = 0; i < (is_grid ? design->axis_count : 1); i++) {
        char *end;
        point = point * (is_grid ? design->axes[i].count : 1) + strtoul(at, &end, 10);
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
    if (whole && design->weights != WEIGHTS_AS_JOB) {
        json_t *one = json_integer(1);
        whole = one != NULL && pointer_set(job, "/training/keep_checkpoints", one);
        json_decref(one);
    }
    if (!whole || json_object_set_new(job, "seed", json_integer(seed)) != 0) {
        json_decref(job);
        return NULL;
    }
    return job;
}
