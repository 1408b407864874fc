/*
 * What distinguishes points where their colour, which is their rule's, does not: by dash, marker and panel. See
 * study.h.
 *
 * The value of an axis has a rank: how many earlier values of the axis have the same colour. An axis all of whose ranks
 * are 0 needs its colours alone. The rank on the first other axis is the dash, that on the second the marker; the
 * values on the rest are the panel. Points without axes have their rank among all points as their dash.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/text.h"
#include "server/experiments/labels.h"
#include "server/experiments/study.h"

const char *study_type(const struct study_point *point, const char *section) {
    const char *type = json_string_value(json_object_get(json_object_get(point->configuration, section), "type"));
    return type == NULL ? "" : type;
}

/* The index of the first value of an axis that is equal to this one: a design that draws has the same one often. */
static size_t value_first(const struct axis *axis, size_t index) {
    const json_t *patch = json_array_get(axis->values, index);
    size_t first = 0;
    while (first < index && !json_equal(json_array_get(axis->values, first), (json_t *)(uintptr_t)patch)) {
        first++;
    }
    return first;
}

/* The only value that a patch sets; NULL where it sets several. */
static json_t *patch_value(const json_t *patch) {
    const char *name = json_object_iter_key(json_object_iter((json_t *)(uintptr_t)patch));
    return json_object_size(patch) == 1 ? json_object_get(patch, name) : NULL;
}

/* The type of a value that is an object, such as a rule, where none of the axis' other patches has the same; or NULL.
 */
static json_t *value_type(const struct study *study, size_t axis, const json_t *value) {
    const json_t *patches = json_object_get(json_array_get(json_object_get(study->design.document, "axes"), axis),
                                            "patches");
    json_t *type = json_object_get(value, "type");
    for (size_t i = 0; json_is_string(type) && i < json_array_size(patches); i++) {
        json_t *other = patch_value(json_array_get(patches, i));
        json_t *same = json_object_get(other, "type");
        if (same != NULL && json_equal(type, same) && !json_equal(other, (json_t *)(uintptr_t)value)) {
            return NULL;
        }
    }
    return json_is_string(type) ? type : NULL;
}

/* By axis: its value at the point, or what the user calls it, or its type where that is enough; else its index. */
json_t *study_values(const struct study *study, const struct study_point *point) {
    json_t *values = json_object();
    for (size_t i = 0; i < study->design.axis_count; i++) {
        json_t *patch = json_array_get(study->design.axes[i].values, point->indices[i]);
        json_t *label = json_object_get(patch, "label"), *value = label != NULL ? label : patch_value(patch);
        value = json_is_object(value) ? value_type(study, i, value) : value;
        bool plain = value != NULL && !json_is_object(value) && !json_is_array(value);
        json_object_set_new(values, study->design.axes[i].name,
                            plain ? json_incref(value)
                                  : json_integer((json_int_t)value_first(&study->design.axes[i], point->indices[i])));
    }
    return values;
}

/* ---- ranks ---- */

/* The distance between the points of two neighbouring values of an axis. */
static size_t axis_stride(const struct design *design, size_t axis) {
    size_t stride = 1;
    for (size_t i = axis + 1; i < design->axis_count; i++) {
        stride *= design->axes[i].count;
    }
    return stride;
}

/* The ranks of `count` points, 0, stride and so on: how many before have the same colour. NULL if out of memory. */
static int *ranks_of(const struct study *study, size_t stride, size_t count, bool *all_zero) {
    int *ranks = malloc((count + 1) * sizeof *ranks);
    json_t *seen = json_object();
    *all_zero = true;
    for (size_t i = 0; ranks != NULL && i < count; i++) {
        const char *colour = rule_colour(study_type(&study->points[i * stride], "rule"));
        ranks[i] = (int)json_integer_value(json_object_get(seen, colour));
        json_object_set_new(seen, colour, json_integer(ranks[i] + 1));
        *all_zero = *all_zero && ranks[i] == 0;
    }
    json_decref(seen);
    return ranks;
}

static void panel_add(struct study_point *point, const struct study *study, size_t axis) {
    json_t *values = study_values(study, point);
    const char *name = study->design.axes[axis].name;
    const json_t *value = json_object_get(values, name);
    char *text = json_is_string(value) ? NULL : json_text(value, NULL), *whole = NULL;
    if (asprintf(&whole, "%s%s%s=%s", point->style.panel == NULL ? "" : point->style.panel,
                 point->style.panel == NULL ? "" : ", ", name,
                 text != NULL            ? text
                 : json_is_string(value) ? json_string_value(value)
                                         : "?") >= 0) {
        free(point->style.panel);
        point->style.panel = whole;
    }
    free(text);
    json_decref(values);
}

static void grid_style(struct study *study) {
    size_t further = 0;
    for (size_t axis = 0; axis < study->design.axis_count; axis++) {
        bool by_colour;
        int *ranks = ranks_of(study, axis_stride(&study->design, axis), study->design.axes[axis].count, &by_colour);
        for (size_t i = 0; ranks != NULL && !by_colour && i < study->point_count; i++) {
            struct study_point *point = &study->points[i];
            if (further >= 2) {
                panel_add(point, study, axis);
            } else {
                *(further == 0 ? &point->style.dash : &point->style.marker) = ranks[point->indices[axis]];
            }
        }
        further += !by_colour;
        free(ranks);
    }
}

void study_style(struct study *study) {
    if (study->design.document != NULL && study->design.kind == DESIGN_GRID) {
        grid_style(study);
        return;
    }
    bool by_colour;
    int *ranks = ranks_of(study, 1, study->point_count, &by_colour);
    for (size_t i = 0; ranks != NULL && i < study->point_count; i++) {
        study->points[i].style.dash = ranks[i];
    }
    free(ranks);
}
