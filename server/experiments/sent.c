/*
 * What is required of a specification that a client sends, and not of one that is stored: see design_sent_check. Pure;
 * any thread.
 */
#include <stdlib.h>
#include <string.h>

#include "api/caption.h"
#include "server/experiments/design.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

static void text_check(const json_t *object, const char *name, const struct path *path, struct problems *problems) {
    const char *text = json_string_value(json_object_get(object, name));
    if (text != NULL && caption_has_control(text, strcmp(name, "notes") == 0)) {
        problems_add(problems, path, name, "must not have control characters");
    }
}

/* The texts of that name in the objects of a list. */
static void texts_check(const json_t *list, const char *name, const struct path *path, struct problems *problems) {
    size_t index;
    json_t *one;
    json_array_foreach((json_t *)(uintptr_t)list, index, one) {
        text_check(one, name, &(struct path){.parent = path, .index = index}, problems);
    }
}

/* The values of one axis of a grid, or the points of a list: what is there twice makes the same trials twice. */
static void values_check(const json_t *list, const struct path *path, struct problems *problems) {
    json_t *seen = json_object(), *one;
    size_t index;
    json_array_foreach((json_t *)(uintptr_t)list, index, one) {
        json_t *patch = json_is_object(one) ? json_copy(one) : NULL;
        json_object_del(patch, "label");
        char *text = json_dumps(patch == NULL ? one : patch, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
        if (text != NULL && json_object_get(seen, text) != NULL) {
            problems_add(problems, &(struct path){.parent = path, .index = index}, NULL,
                         "must differ from the others; it equals number %lld of them",
                         (long long)json_integer_value(json_object_get(seen, text)));
        } else if (text != NULL) {
            json_object_set_new(seen, text, json_integer((json_int_t)index));
        }
        free(text);
        json_decref(patch);
    }
    json_decref(seen);
}

static void axis_check(const json_t *axis, bool grid, const struct path *path, struct problems *problems) {
    static const char *const forms[] = {"values", "patches"};
    text_check(axis, "name", path, problems);
    for (size_t i = 0; i < COUNT(forms); i++) {
        const struct path at = {.parent = path, .name = forms[i]};
        const json_t *list = json_object_get(axis, forms[i]);
        texts_check(list, "label", &at, problems);
        if (grid) {
            values_check(list, &at, problems);
        }
    }
}

/* In a submission a list of axes; in a change an object: the name of an axis, and what is added to it. */
static void axes_check(const json_t *axes, bool grid, struct problems *problems) {
    const struct path path = {.name = "axes"};
    const char *name;
    size_t index;
    json_t *one;
    json_array_foreach((json_t *)(uintptr_t)axes, index, one) {
        axis_check(one, grid, &(struct path){.parent = &path, .index = index}, problems);
    }
    json_object_foreach((json_t *)(uintptr_t)axes, name, one) {
        texts_check(one, "label", &(struct path){.parent = &path, .name = name}, problems);
    }
}

void design_sent_check(const json_t *document, struct problems *problems) {
    const struct path points = {.name = "points"}, metrics = {.name = "metrics"}, tags = {.name = "tags"};
    const json_t *kind = json_object_get(document, "design"), *list = json_object_get(document, "tags");
    size_t index;
    json_t *tag;
    text_check(document, "name", NULL, problems);
    text_check(document, "notes", NULL, problems);
    json_array_foreach((json_t *)(uintptr_t)list, index, tag) {
        const char *text = json_string_value(tag);
        if (text != NULL && caption_has_control(text, false)) {
            problems_add(problems, &(struct path){.parent = &tags, .index = index}, NULL,
                         "must not have control characters");
        }
    }
    const bool grid = kind == NULL || (json_is_string(kind) && strcmp(json_string_value(kind), "grid") == 0);
    axes_check(json_object_get(document, "axes"), grid, problems);
    texts_check(json_object_get(document, "points"), "label", &points, problems);
    if (json_is_string(kind) && strcmp(json_string_value(kind), "list") == 0) {
        values_check(json_object_get(document, "points"), &points, problems);
    }
    texts_check(json_object_get(document, "metrics"), "name", &metrics, problems);
}
