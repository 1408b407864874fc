/* Changes of a specification: see growth.h. */
#include "server/experiments/growth.h"

#include <stdlib.h>
#include <string.h>

#include "server/experiments/members.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* What is replaced; the rest of `members` in design_change is added to. */
static const char *const replaced[] = {"name", "notes", "tags", "metrics", "compare", "most_running"};

/* A change that is being made. */
struct growth {
    const struct design *design;
    json_t *document; /* the new one */
    bool grown;
    struct problems *problems;
};

/* ---- seeds ---- */

static int by_value(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Seeds as ranges and single seeds: as short as they can be said, in their order. */
static json_t *seeds_encode(const int64_t *seeds, size_t count) {
    json_t *list = json_array();
    for (size_t i = 0, run; i < count; i += run) {
        for (run = 1; i + run < count && seeds[i + run] == seeds[i] + (int64_t)run; run++) {
        }
        json_t *entry = run == 1 ? json_integer((json_int_t)seeds[i])
                                 : json_pack("{s:I, s:I}", "from", (json_int_t)seeds[i], "count", (json_int_t)run);
        if (run == count && run > 1) {
            json_decref(list);
            return entry;
        }
        json_array_append_new(list, entry);
    }
    return list;
}

static void seeds_grow(struct growth *growth, const json_t *added) {
    const struct design *design = growth->design;
    size_t more = 0, count = design->seed_count;
    int64_t *own = design_seeds_read(added, &more, growth->problems);
    int64_t *sorted = malloc((count + 1) * sizeof *sorted), *all = malloc((count + more + 1) * sizeof *all);
    if (own != NULL && sorted != NULL && all != NULL) {
        memcpy(all, design->seeds, count * sizeof *all);
        memcpy(sorted, design->seeds, count * sizeof *sorted);
        qsort(sorted, design->seed_count, sizeof *sorted, by_value);
        for (size_t i = 0; i < more; i++) {
            if (bsearch(&own[i], sorted, design->seed_count, sizeof *sorted, by_value) == NULL) {
                all[count++] = own[i];
            }
        }
    } else if (own != NULL) {
        problems_add(growth->problems, NULL, "seeds", "not enough memory for so many seeds");
    }
    if (count > design->seed_count) {
        json_object_set_new(growth->document, "seeds", seeds_encode(all, count));
        growth->grown = true;
    }
    free(own);
    free(sorted);
    free(all);
}

/* ---- values of axes ---- */

/* 1 and 1.0 are one value. */
static bool is_same(const json_t *a, const json_t *b) {
    return json_is_number(a) && json_is_number(b) ? json_number_value(a) == json_number_value(b)
                                                  : json_equal((json_t *)(uintptr_t)a, (json_t *)(uintptr_t)b);
}

static bool is_among(const json_t *list, const json_t *value) {
    size_t index;
    json_t *one;
    json_array_foreach((json_t *)(uintptr_t)list, index, one) {
        if (is_same(one, value)) {
            return true;
        }
    }
    return false;
}

/* An axis' values as its document lists them: patches, or plain values. */
static json_t *axis_values(const struct axis *axis, bool patches) {
    json_t *values = json_array(), *patch;
    size_t index;
    json_array_foreach(axis->values, index, patch) {
        json_array_append(values, patches ? patch : json_object_iter_value(json_object_iter(patch)));
    }
    return values;
}

/* The axis' own document in the new specification, with these values. */
static void axis_set(const struct growth *growth, size_t index, bool patches, json_t *values) {
    static const char *const ranges[] = {"linear", "log", "count"};
    json_t *axis = json_array_get(json_object_get(growth->document, "axes"), index);
    for (size_t i = 0; i < COUNT(ranges); i++) {
        json_object_del(axis, ranges[i]);
    }
    json_object_set(axis, patches ? "patches" : "values", values);
}

/* How many of an axis' values an addition has; the index of the axis, or -1 with a fault. */
static int axis_find(const struct growth *growth, const char *name, const json_t *added) {
    const struct path path = {.name = "axes"};
    const struct design *design = growth->design;
    for (size_t i = 0; i < design->axis_count; i++) {
        if (strcmp(design->axes[i].name, name) == 0) {
            if (json_is_array(added) && json_array_size(added) > 0 && json_array_size(added) <= DESIGN_POINTS) {
                return (int)i;
            }
            problems_add(growth->problems, &path, name, "must be a list of 1 to %d values to add", DESIGN_POINTS);
            return -1;
        }
    }
    problems_add(growth->problems, &path, name, "is not the name of an axis of this experiment");
    return -1;
}

static void axes_grow_grid(struct growth *growth, const json_t *axes) {
    const char *name;
    json_t *added, *value;
    json_object_foreach((json_t *)(uintptr_t)axes, name, added) {
        int index = axis_find(growth, name, added);
        if (index < 0) {
            continue;
        }
        json_t *own = json_array_get(json_object_get(growth->document, "axes"), (size_t)index);
        bool patches = json_object_get(own, "patches") != NULL;
        json_t *values = axis_values(&growth->design->axes[index], patches);
        size_t at, before = json_array_size(values);
        json_array_foreach(added, at, value) {
            if (!is_among(values, value)) {
                json_array_append(values, value);
            }
        }
        if (json_array_size(values) > before) {
            axis_set(growth, (size_t)index, patches, values);
            growth->grown = true;
        }
        json_decref(values);
    }
}

/* Whether all axes have these values together already. */
static bool row_is_there(json_t *const *values, json_t *const *added, size_t axes, size_t row) {
    for (size_t at = 0; at < json_array_size(values[0]); at++) {
        bool same = true;
        for (size_t i = 0; same && i < axes; i++) {
            same = is_same(json_array_get(values[i], at), json_array_get(added[i], row));
        }
        if (same) {
            return true;
        }
    }
    return false;
}

/* Of a zip: a value for every axis, together. */
static void axes_grow_zip(struct growth *growth, const json_t *axes) {
    const struct design *design = growth->design;
    json_t *values[DESIGN_AXES] = {NULL}, *added[DESIGN_AXES] = {NULL}, *value;
    bool patches[DESIGN_AXES], whole = json_object_size(axes) == design->axis_count, grown = false;
    const char *name;
    json_object_foreach((json_t *)(uintptr_t)axes, name, value) {
        int index = axis_find(growth, name, value);
        whole = whole && index >= 0;
        if (index >= 0) {
            added[index] = value;
        }
    }
    for (size_t i = 0; whole && i < design->axis_count; i++) {
        json_t *own = json_array_get(json_object_get(growth->document, "axes"), i);
        patches[i] = json_object_get(own, "patches") != NULL;
        values[i] = axis_values(&design->axes[i], patches[i]);
        whole = json_array_size(added[i]) == json_array_size(added[0]);
    }
    for (size_t row = 0; whole && row < json_array_size(added[0]); row++) {
        bool is_new = !row_is_there(values, added, design->axis_count, row);
        for (size_t i = 0; is_new && i < design->axis_count; i++) {
            json_array_append(values[i], json_array_get(added[i], row));
        }
        grown = grown || is_new;
    }
    for (size_t i = 0; i < design->axis_count; i++) {
        if (whole && grown) {
            axis_set(growth, i, patches[i], values[i]);
        }
        json_decref(values[i]);
    }
    growth->grown = growth->grown || (whole && grown);
    if (!whole && growth->problems->count == 0) {
        problems_add(growth->problems, NULL, "axes",
                     "must have the same number of values for every axis: the design zip varies them together");
    }
}

static void axes_grow(struct growth *growth, const json_t *axes) {
    enum design_kind kind = growth->design->kind;
    if (!json_is_object(axes)) {
        problems_add(growth->problems, NULL, "axes", "must be an object: values to add, by the name of an axis");
    } else if (kind == DESIGN_GRID) {
        axes_grow_grid(growth, axes);
    } else if (kind == DESIGN_ZIP) {
        axes_grow_zip(growth, axes);
    } else {
        problems_add(growth->problems, NULL, "axes", "cannot grow in this design: it has \"%s\" instead",
                     kind == DESIGN_LIST ? "points" : "count");
    }
}

/* ---- points ---- */

static void points_grow(struct growth *growth, const json_t *added) {
    size_t index;
    json_t *patch;
    if (growth->design->kind != DESIGN_LIST) {
        problems_add(growth->problems, NULL, "points", "belongs to the design list");
        return;
    }
    json_t *checked = design_patches_read(added, NULL, "points", growth->problems),
           *points = json_object_get(growth->document, "points");
    json_array_foreach(checked, index, patch) {
        if (!is_among(points, patch)) {
            json_array_append(points, patch);
            growth->grown = true;
        }
    }
    json_decref(checked);
}

static void count_grow(struct growth *growth, const json_t *count) {
    size_t points = growth->design->points;
    if (growth->design->kind != DESIGN_RANDOM) {
        problems_add(growth->problems, NULL, "count", "belongs to the design random");
    } else if (!json_is_integer(count) || json_integer_value(count) < (json_int_t)points ||
               json_integer_value(count) > DESIGN_POINTS) {
        problems_add(growth->problems, NULL, "count", "must be the total number of points, from the current %zu to %d",
                     points, DESIGN_POINTS);
    } else if (json_integer_value(count) > (json_int_t)points) {
        json_object_set_new(growth->document, "count", json_integer(json_integer_value(count)));
        growth->grown = true;
    }
}

/* ---- the whole ---- */

static void members_replace(const struct growth *growth, const json_t *changes) {
    for (size_t i = 0; i < COUNT(replaced); i++) {
        json_t *value = json_object_get(changes, replaced[i]);
        if (value != NULL) {
            json_object_set(growth->document, replaced[i], value);
        }
    }
    if (json_is_null(json_object_get(growth->document, "tags"))) {
        json_object_del(growth->document, "tags");
    }
}

json_t *design_change(const struct design *design, const json_t *changes, bool *grown, struct problems *problems) {
    static const char *const members[] = {"name",         "notes", "tags", "metrics", "compare",
                                          "most_running", "seeds", "axes", "points",  "count"};
    static const struct {
        const char *name;
        void (*grow)(struct growth *growth, const json_t *added);
    } growing[] = {{"seeds", seeds_grow}, {"axes", axes_grow}, {"points", points_grow}, {"count", count_grow}};
    struct growth growth = {.design = design, .document = json_deep_copy(design->document), .problems = problems};
    size_t faults = problems->count;
    members_check(changes, members, COUNT(members), NULL, "member of a change", problems);
    if (growth.document == NULL) {
        problems_add(problems, NULL, NULL, "not enough memory to change it");
        return NULL;
    }
    members_replace(&growth, changes);
    for (size_t i = 0; i < COUNT(growing); i++) {
        const json_t *added = json_object_get(changes, growing[i].name);
        if (added != NULL) {
            growing[i].grow(&growth, added);
        }
    }
    if (problems->count > faults) {
        json_decref(growth.document);
        return NULL;
    }
    *grown = growth.grown;
    return growth.document;
}
