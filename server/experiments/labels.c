/*
 * Labels: see labels.h. Configurations are flattened to "section/member" names; a name whose values are not all equal
 * distinguishes points.
 */
#include "server/experiments/labels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/job.h"
#include "api/text.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define NAME_BYTES 200
#define NUMBER_BYTES 32
#define LONG 8 /* digits of a number that a label does not need where fewer distinguish it */

static const char *const sections[] = {"rule", "task", "network", "optimizer", "training"};

/* Okabe and Ito's palette; wine and olive are Tol's. A rule that has none of its own is grey. */
static const struct {
    const char *rule, *colour;
} colours[] = {{"bptt", "#000000"},    {"eprop", "#D55E00"}, {"mdgl", "#009E73"},
               {"modprop", "#0072B2"}, {"rtrl", "#CC79A7"},  {"filter", "#E69F00"},
               {"snap", "#56B4E9"},    {"uoro", "#882255"},  {"diffusion", "#999933"}};

const char *rule_colour(const char *rule) {
    for (size_t i = 0; i < COUNT(colours); i++) {
        if (strcmp(colours[i].rule, rule) == 0) {
            return colours[i].colour;
        }
    }
    return "#7F7F7F";
}

/* Adds the members of an object, and those of nested objects with their full path. */
static void flatten(json_t *flat, const char *prefix, const json_t *object) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value) {
        char path[NAME_BYTES];
        snprintf(path, sizeof path, "%s/%s", prefix, name);
        if (json_is_object(value)) {
            flatten(flat, path, value);
        } else {
            json_object_set(flat, path, value);
        }
    }
}

static json_t *configuration_flat(const json_t *configuration) {
    json_t *flat = json_object();
    for (size_t i = 0; i < COUNT(sections); i++) {
        flatten(flat, sections[i], json_object_get(configuration, sections[i]));
    }
    return flat;
}

static const char *type_of(const json_t *flat, const char *name) {
    const char *type = json_string_value(json_object_get(flat, name));
    return type == NULL ? "" : type;
}

/* The defaults of a configuration's task and rule; cached in `known` by both names. */
static json_t *defaults_of(json_t *known, const json_t *flat) {
    char key[NAME_BYTES];
    const char *task = type_of(flat, "task/type"), *rule = type_of(flat, "rule/type");
    snprintf(key, sizeof key, "%s %s", task, rule);
    json_t *defaults = json_object_get(known, key);
    if (defaults == NULL) {
        struct job_spec spec = {0};
        struct problems problems = {0};
        json_t *least = json_pack("{s:{s:s}, s:{s:s}}", "task", "type", task, "rule", "type", rule);
        job_spec_decode(&spec, least, &problems);
        json_t *whole = job_spec_encode(&spec, false);
        defaults = configuration_flat(whole);
        json_object_set_new(known, key, defaults);
        json_decref(whole);
        json_decref(least);
        problems_release(&problems);
        job_spec_release(&spec);
    }
    return defaults;
}

/* Whether a JSON Pointer in `covered` names the field, or an object that contains it. */
static bool is_covered(const json_t *covered, const char *name) {
    const char *pointer;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)covered, pointer, value) {
        size_t length = strlen(pointer) - 1; /* it begins with a slash */
        if (strncmp(pointer + 1, name, length) == 0 && (name[length] == '\0' || name[length] == '/')) {
            return true;
        }
    }
    return false;
}

/* The names whose values differ between configurations, in the order in which a label shows them. */
static json_t *names_apart(json_t *const *flats, size_t count, const json_t *covered) {
    json_t *apart = json_object();
    for (size_t i = 0; i < count; i++) {
        const char *name;
        json_t *value;
        json_object_foreach(flats[i], name, value) {
            const json_t *first = json_object_get(flats[0], name);
            bool differs = first == NULL || !json_equal(first, value);
            if (differs && json_object_get(apart, name) == NULL && !is_covered(covered, name)) {
                json_object_set_new(apart, name, json_true());
            }
        }
    }
    /* what the first has and another lacks */
    const char *name;
    json_t *value;
    json_object_foreach(flats[0], name, value) {
        for (size_t i = 1; i < count && json_object_get(apart, name) == NULL; i++) {
            if (json_object_get(flats[i], name) == NULL && !is_covered(covered, name)) {
                json_object_set_new(apart, name, json_true());
            }
        }
    }
    return apart;
}

static const char *last_part(const char *name) {
    const char *slash = strrchr(name, '/');
    return slash == NULL ? name : slash + 1;
}

/* Whether another distinguishing name ends in the same word. */
static bool is_ambiguous(json_t *apart, const char *name) {
    const char *other;
    json_t *value;
    json_object_foreach(apart, other, value) {
        if (strcmp(other, name) != 0 && strcmp(last_part(other), last_part(name)) == 0) {
            return true;
        }
    }
    return false;
}

static void part_put(FILE *out, bool *first, const char *text) {
    fprintf(out, "%s%s", *first ? "" : ", ", text);
    *first = false;
}

/* A number of many digits, such as one of an axis of logarithmic steps, in four of them. */
static void value_shorten(char short_text[NUMBER_BYTES], const json_t *value) {
    snprintf(short_text, NUMBER_BYTES, "%.4g", json_real_value(value));
}

/* Whether values of this name that differ also differ in four digits. */
static bool is_short_enough(json_t *const *flats, size_t count, const char *name) {
    json_t *texts = json_object();
    bool fits = texts != NULL;
    for (size_t i = 0; fits && i < count; i++) {
        json_t *value = json_object_get(flats[i], name);
        char text[NUMBER_BYTES];
        if (json_is_real(value)) {
            value_shorten(text, value);
            const json_t *known = json_object_get(texts, text);
            fits = known == NULL || json_real_value(known) == json_real_value(value);
            json_object_set(texts, text, value);
        }
    }
    json_decref(texts);
    return fits;
}

static void value_put(FILE *out, bool *first, json_t *apart, const char *name, const json_t *value) {
    char shown[NAME_BYTES], few[NUMBER_BYTES];
    char *text = json_is_string(value) ? NULL : json_text(value, NULL);
    if (text != NULL && json_is_real(value) && strlen(text) > LONG && json_is_true(json_object_get(apart, name))) {
        value_shorten(few, value);
        snprintf(text, strlen(text) + 1, "%s", few);
    }
    snprintf(shown, sizeof shown, "%s", is_ambiguous(apart, name) ? name : last_part(name));
    for (char *c = shown; *c != '\0'; c++) {
        *c = *c == '/' ? '.' : *c;
    }
    part_put(out, first, shown);
    fprintf(out, "=%s", json_is_string(value) ? json_string_value(value) : text == NULL ? "?" : text);
    free(text);
}

static void given_put(FILE *out, bool *first, const json_t *given) {
    size_t index;
    json_t *text;
    json_array_foreach((json_t *)(uintptr_t)given, index, text) {
        part_put(out, first, json_string_value(text));
    }
}

static char *label_make(const json_t *flat, const json_t *defaults, json_t *apart, const json_t *given) {
    char *label = NULL;
    size_t size;
    bool first = true;
    const char *name;
    json_t *value;
    FILE *out = open_memstream(&label, &size);
    if (out == NULL) {
        return NULL;
    }
    given_put(out, &first, given);
    static const char *const types[] = {"rule/type", "task/type"};
    for (size_t i = 0; i < COUNT(types); i++) {
        if (json_object_get(apart, types[i]) != NULL) {
            part_put(out, &first, type_of(flat, types[i]));
        }
    }
    json_object_foreach(apart, name, value) {
        const json_t *own = json_object_get(flat, name), *usual = json_object_get(defaults, name);
        bool is_type = strcmp(name, types[0]) == 0 || strcmp(name, types[1]) == 0;
        if (!is_type && own != NULL && (usual == NULL || !json_equal(usual, own))) {
            value_put(out, &first, apart, name, own);
        }
    }
    if (first) {
        fputs(type_of(flat, "rule/type"), out);
    }
    return fclose(out) == 0 ? label : NULL;
}

bool labels_make(json_t *const *configurations, size_t count, json_t *const *given, const json_t *covered,
                 char **labels) {
    json_t **flats = calloc(count == 0 ? 1 : count, sizeof *flats), *known = json_object();
    bool whole = flats != NULL && known != NULL;
    for (size_t i = 0; whole && i < count; i++) {
        flats[i] = configuration_flat(configurations[i]);
        whole = flats[i] != NULL;
    }
    json_t *apart = whole && count > 0 ? names_apart(flats, count, covered) : NULL, *value;
    const char *name;
    json_object_foreach(apart, name, value) {
        json_object_set_new(apart, name, json_boolean(is_short_enough(flats, count, name)));
    }
    for (size_t i = 0; whole && i < count; i++) {
        labels[i] = label_make(flats[i], defaults_of(known, flats[i]), apart, given == NULL ? NULL : given[i]);
        whole = labels[i] != NULL;
    }
    json_decref(apart);
    json_decref(known);
    for (size_t i = 0; flats != NULL && i < count; i++) {
        json_decref(flats[i]);
    }
    free(flats);
    return whole;
}
