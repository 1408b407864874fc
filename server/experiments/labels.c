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
static json_t *names_apart(json_t *const *flats, size_t count) {
    json_t *apart = json_object();
    for (size_t i = 0; i < count; i++) {
        const char *name;
        json_t *value;
        json_object_foreach(flats[i], name, value) {
            const json_t *first = json_object_get(flats[0], name);
            bool differs = first == NULL || !json_equal(first, value);
            if (differs && json_object_get(apart, name) == NULL) {
                json_object_set_new(apart, name, json_true());
            }
        }
    }
    /* what the first has and another lacks */
    const char *name;
    json_t *value;
    json_object_foreach(flats[0], name, value) {
        for (size_t i = 1; i < count && json_object_get(apart, name) == NULL; i++) {
            if (json_object_get(flats[i], name) == NULL) {
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

/* ---- making them ---- */

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

/* A value as a label shows it; `few`: a long number in four digits. malloc'ed. */
static char *value_text(const json_t *value, bool few) {
    char *text = json_is_string(value) ? strdup(json_string_value(value)) : json_text(value, NULL);
    if (text != NULL && few && json_is_real(value) && strlen(text) > LONG) {
        char short_text[NUMBER_BYTES];
        value_shorten(short_text, value);
        snprintf(text, strlen(text) + 1, "%s", short_text);
    }
    return text;
}

/* What a label says of a field: "name=value"; NULL where the point has none, or has the default. malloc'ed. */
static char *field_text(json_t *apart, const char *name, const json_t *flat, const json_t *defaults) {
    const json_t *own = json_object_get(flat, name), *usual = json_object_get(defaults, name);
    char shown[NAME_BYTES], *text = NULL;
    if (own == NULL || (usual != NULL && json_equal((json_t *)(uintptr_t)usual, (json_t *)(uintptr_t)own))) {
        return NULL;
    }
    snprintf(shown, sizeof shown, "%s", is_ambiguous(apart, name) ? name : last_part(name));
    for (char *c = shown; *c != '\0'; c++) {
        *c = *c == '/' ? '.' : *c;
    }
    char *value = value_text(own, json_is_true(json_object_get(apart, name)));
    if (asprintf(&text, "%s=%s", shown, value == NULL ? "?" : value) < 0) {
        text = NULL;
    }
    free(value);
    return text;
}

static bool label_append(char **label, const char *part) {
    char *longer = NULL;
    if (part == NULL) {
        return true;
    }
    if (asprintf(&longer, "%s%s%s", *label, **label == '\0' ? "" : ", ", part) < 0) {
        return false;
    }
    free(*label);
    *label = longer;
    return true;
}

/* Whether these parts tell apart what the labels so far do not. */
static bool parts_distinguish(char *const *labels, char *const *parts, size_t count) {
    json_t *seen = json_object();
    bool distinguish = false;
    for (size_t i = 0; i < count && !distinguish; i++) {
        const char *part = parts[i] == NULL ? "" : parts[i];
        const char *other = json_string_value(json_object_get(seen, labels[i]));
        distinguish = other != NULL && strcmp(other, part) != 0;
        json_object_set_new(seen, labels[i], json_string(part));
    }
    json_decref(seen);
    return distinguish;
}

/* Adds the parts to the labels, if that tells points apart; frees them. False if out of memory. */
static bool parts_add(char **labels, char **parts, size_t count) {
    bool wanted = parts_distinguish(labels, parts, count), whole = true;
    for (size_t i = 0; i < count; i++) {
        whole = whole && (!wanted || label_append(&labels[i], parts[i]));
        free(parts[i]);
        parts[i] = NULL;
    }
    return whole;
}

struct making {
    json_t **flats, *apart, *known;
    json_t *const *covered; /* NULL: nothing is */
    char **labels, **parts;
    size_t count;
};

/* What users call the points comes first, whether or not it tells them apart. */
static bool given_add(struct making *making, json_t *const *given) {
    bool whole = true;
    for (size_t i = 0; whole && i < making->count; i++) {
        size_t index;
        json_t *text;
        making->labels[i] = strdup("");
        whole = making->labels[i] != NULL;
        json_array_foreach(given == NULL ? NULL : given[i], index, text) {
            whole = whole && label_append(&making->labels[i], json_string_value(text));
        }
    }
    return whole;
}

/* Whether what users call the point stands for the field. */
static bool is_said(const struct making *making, size_t point, const char *name) {
    return making->covered != NULL && is_covered(making->covered[point], name);
}

static bool types_add(struct making *making) {
    static const char *const types[] = {"rule/type", "task/type"};
    bool whole = true;
    for (size_t k = 0; whole && k < COUNT(types); k++) {
        bool differ = json_object_get(making->apart, types[k]) != NULL;
        for (size_t i = 0; differ && i < making->count; i++) {
            making->parts[i] = is_said(making, i, types[k]) ? NULL : strdup(type_of(making->flats[i], types[k]));
        }
        for (size_t i = 0; i < making->count; i++) { /* whether or not what users call others tells them apart */
            whole = whole && label_append(&making->labels[i], making->parts[i]);
            free(making->parts[i]);
            making->parts[i] = NULL;
        }
        json_object_del(making->apart, types[k]);
    }
    return whole;
}

static bool fields_add(struct making *making) {
    const char *name;
    json_t *value;
    bool whole = true;
    json_object_foreach(making->apart, name, value) {
        json_object_set_new(making->apart, name, json_boolean(is_short_enough(making->flats, making->count, name)));
        for (size_t i = 0; whole && i < making->count; i++) {
            making->parts[i] = is_said(making, i, name) ? NULL
                                                        : field_text(making->apart, name, making->flats[i],
                                                                     defaults_of(making->known, making->flats[i]));
        }
        whole = whole && parts_add(making->labels, making->parts, making->count);
    }
    return whole;
}

/* A point about which there is nothing to say is called by its rule. */
static bool empty_name(struct making *making) {
    bool whole = true;
    for (size_t i = 0; whole && i < making->count; i++) {
        whole = *making->labels[i] != '\0' || label_append(&making->labels[i], type_of(making->flats[i], "rule/type"));
    }
    return whole;
}

bool labels_make(json_t *const *configurations, size_t count, json_t *const *given, json_t *const *covered,
                 char **labels) {
    struct making making = {.flats = calloc(count + 1, sizeof *making.flats),
                            .parts = calloc(count + 1, sizeof *making.parts),
                            .known = json_object(),
                            .covered = covered,
                            .labels = labels,
                            .count = count};
    bool whole = making.flats != NULL && making.parts != NULL && making.known != NULL;
    for (size_t i = 0; whole && i < count; i++) {
        making.flats[i] = configuration_flat(configurations[i]);
        whole = making.flats[i] != NULL;
    }
    making.apart = whole && count > 0 ? names_apart(making.flats, count) : NULL;
    whole = whole && given_add(&making, given) && types_add(&making) && fields_add(&making) && empty_name(&making);
    json_decref(making.apart);
    json_decref(making.known);
    for (size_t i = 0; making.flats != NULL && i < count; i++) {
        json_decref(making.flats[i]);
    }
    free(making.flats);
    free(making.parts);
    return whole;
}
