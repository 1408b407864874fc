/*
 * Using the parameter tables: see field.h.
 */
#include "api/field.h"

#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/numbers.h"
#include "core/model/config.h"

#define FIELDS_MAX 64

static void *member_of(const struct field *field, void *object) {
    return (char *)object + field->offset;
}

static const void *member_of_const(const struct field *field, const void *object) {
    return (const char *)object + field->offset;
}

bool field_applies(const struct field *field, unsigned variant) {
    return field->variants == 0 || (field->variants & variant) != 0;
}

json_t *json_number_or_null(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

/* ---- sentences ---- */

static bool takes_null(const struct field *field) {
    return field->type == FIELD_INT_OR_NULL || field->type == FIELD_INT64_OR_NULL ||
           field->type == FIELD_NUMBER_OR_NULL;
}

static bool is_integer(const struct field *field) {
    return field->type <= FIELD_SEED;
}

/* "must be an integer from 1 to 10 or null" */
static void constraint_put(const struct field *field, char text[320]) {
    size_t used = 0;
    if (field->type == FIELD_BOOLEAN) {
        snprintf(text, 320, "must be true or false");
        return;
    }
    if (field->type == FIELD_CHOICE) {
        used = (size_t)snprintf(text, 320, "must be one of");
        for (size_t i = 0; field->choices[i] != NULL && used < 300; i++) {
            used += (size_t)snprintf(text + used, 320 - used, "%s \"%s\"", i == 0 ? "" : ",", field->choices[i]);
        }
        return;
    }
    used = (size_t)snprintf(text, 320, "must be %s", is_integer(field) ? "an integer" : "a number");
    if (field->high == INFINITY) {
        used += (size_t)snprintf(text + used, 320 - used, " %s %.16g", field->low_excluded ? "above" : "of at least",
                                 field->low);
    } else if (field->low_excluded) {
        used += (size_t)snprintf(text + used, 320 - used, " above %.16g, at most %.16g", field->low, field->high);
    } else {
        used += (size_t)snprintf(text + used, 320 - used, " from %.16g to %.16g", field->low, field->high);
    }
    snprintf(text + used, 320 - used, "%s", takes_null(field) ? ", or null" : "");
}

static void complain(const json_t *value, const struct path *path, const struct field *field,
                     struct problems *problems) {
    char text[320], got[80];
    constraint_put(field, text);
    problems_add(problems, path, field->name, "%s; got %s", text, value_quote(value, got));
}

/* ---- decoding ---- */

static bool in_range(const struct field *field, double value) {
    return isfinite(value) && (field->low_excluded ? value > field->low : value >= field->low) && value <= field->high;
}

/* 3.0 is an integer too: some encoders have no other number type. */
static bool integer_of(const json_t *value, int64_t *result) {
    if (json_is_integer(value)) {
        *result = json_integer_value(value);
        return true;
    }
    double real = json_real_value(value);
    if (json_is_real(value) && real == floor(real) && fabs(real) < 9007199254740992.0) {
        *result = (int64_t)real;
        return true;
    }
    return false;
}

static bool decode_integer(const json_t *value, const struct field *field, void *member) {
    int64_t number = 0;
    if (!(takes_null(field) && json_is_null(value))) {
        if (!integer_of(value, &number) || !in_range(field, (double)number)) {
            return false;
        }
    }
    if (field->type == FIELD_INT || field->type == FIELD_INT_OR_NULL) {
        *(int *)member = (int)number;
    } else if (field->type == FIELD_SEED) {
        *(uint64_t *)member = (uint64_t)number;
    } else {
        *(int64_t *)member = number;
    }
    return true;
}

static bool decode_number(const json_t *value, const struct field *field, void *member) {
    if (field->type == FIELD_NUMBER_OR_NULL) {
        struct optional_double *optional = member;
        optional->set = !json_is_null(value);
        optional->value = json_number_value(value);
        return !optional->set || (json_is_number(value) && in_range(field, optional->value));
    }
    *(double *)member = json_number_value(value);
    return json_is_number(value) && in_range(field, *(double *)member);
}

static bool decode_choice(const json_t *value, const struct field *field, void *member) {
    for (int i = 0; json_is_string(value) && field->choices[i] != NULL; i++) {
        if (strcmp(json_string_value(value), field->choices[i]) == 0) {
            *(int *)member = i;
            return true;
        }
    }
    return false;
}

/* Names are also file names: only letters that every file system accepts, and no hidden files. */
static void decode_name(const json_t *value, const struct path *path, const struct field *field, char *member,
                        struct problems *problems) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
    const char *name = json_string_value(value);
    char got[80];
    if (name == NULL || *name == '\0' || strlen(name) >= FIELD_NAME_BYTES || *name == '.' ||
        name[strspn(name, letters)] != '\0') {
        problems_add(problems, path, field->name,
                     "must be a dataset's name: 1 to 64 letters, digits, dots, hyphens and underscores; got %s",
                     value_quote(value, got));
    } else {
        memcpy(member, name, strlen(name) + 1);
    }
}

static void decode_sha256(const json_t *value, const struct path *path, const struct field *field, char *member,
                          struct problems *problems) {
    const char *digest = json_string_value(value);
    char got[80];
    if (json_is_null(value)) {
        member[0] = '\0';
    } else if (digest == NULL || strlen(digest) != FIELD_SHA256_BYTES - 1 ||
               strspn(digest, "0123456789abcdef") != FIELD_SHA256_BYTES - 1) {
        problems_add(problems, path, field->name,
                     "must be a SHA-256 of 64 lower-case hexadecimal digits, or null; got %s", value_quote(value, got));
    } else {
        memcpy(member, digest, FIELD_SHA256_BYTES);
    }
}

/* A list of numbers, or the object of fields that may stand in its place. */
static void decode_alternative(const json_t *value, const struct path *path, const struct field *field, void *object,
                               struct problems *problems) {
    const struct field_alternative *alternative = field->alternative;
    const struct path here = {.parent = path, .name = field->name},
                      inner = {.parent = &here, .name = alternative->name};
    const struct decoding decoding = {.fields = &alternative->fields, .variant = ~0u};
    const json_t *given = json_object_get(value, alternative->name);
    *(struct numbers *)member_of(field, object) = (struct numbers){0};
    *(int *)(void *)((char *)object + alternative->present) = 0;
    if (!json_is_object(value)) {
        numbers_decode(value, field->dimensions, field->low, field->high, path, field->name, member_of(field, object),
                       problems);
    } else if (given == NULL || json_object_size(value) != 1) {
        char got[80];
        problems_add(problems, path, field->name, "must be a list, or an object with the one member \"%s\"; got %s",
                     alternative->name, value_quote(value, got));
    } else {
        fields_decode(&decoding, given, &inner, object, problems);
    }
}

static void decode_value(const json_t *value, const struct path *path, const struct field *field, void *object,
                         struct problems *problems) {
    void *member = member_of(field, object);
    bool ok = true;
    switch (field->type) {
    case FIELD_CUSTOM:
        field->custom->decode(value, path, field, object, problems);
        return;
    case FIELD_NAME:
        decode_name(value, path, field, member, problems);
        return;
    case FIELD_SHA256_OR_NULL:
        decode_sha256(value, path, field, member, problems);
        return;
    case FIELD_NUMBERS_OR_NULL:
        numbers_decode(value, field->dimensions, field->low, field->high, path, field->name, member, problems);
        return;
    case FIELD_NUMBERS_OR_FIELDS:
        decode_alternative(value, path, field, object, problems);
        return;
    case FIELD_BOOLEAN:
        ok = json_is_boolean(value);
        *(bool *)member = json_is_true(value);
        break;
    case FIELD_CHOICE:
        ok = decode_choice(value, field, member);
        break;
    case FIELD_NUMBER:
    case FIELD_NUMBER_OR_NULL:
        ok = decode_number(value, field, member);
        break;
    default:
        ok = decode_integer(value, field, member);
    }
    if (!ok) {
        complain(value, path, field, problems);
    }
}

static const char *default_find(const struct field_default *defaults, size_t count, unsigned variant,
                                const char *section, const char *name) {
    for (size_t i = 0; i < count; i++) {
        const struct field_default *one = &defaults[i];
        if ((one->variants & variant) != 0 && strcmp(one->section, section) == 0 && strcmp(one->name, name) == 0) {
            return one->fallback;
        }
    }
    return NULL;
}

static const char *fallback_of(const struct decoding *decoding, const struct field *field) {
    if (field->before != NULL && (decoding->stored || !field_applies(field, decoding->variant))) {
        return field->before; /* also where the field does not apply: nothing that depends on it may change */
    }
    const char *strict = default_find(decoding->strict, decoding->strict_count, decoding->strict_variant,
                                      decoding->section, field->name),
               *other = default_find(decoding->defaults, decoding->default_count, decoding->default_variant,
                                     decoding->section, field->name);
    return strict != NULL ? strict : other != NULL ? other : field->fallback;
}

static json_t *default_of(const struct decoding *decoding, const struct field *field) {
    return json_loads(fallback_of(decoding, field), JSON_DECODE_ANY, NULL);
}

const struct field *field_find(const struct fields *fields, unsigned variant, const char *name) {
    const struct field *foreign = NULL;
    for (size_t i = 0; i < fields->count; i++) {
        if (strcmp(fields->items[i].name, name) == 0) {
            if (field_applies(&fields->items[i], variant)) {
                return &fields->items[i];
            }
            foreign = &fields->items[i];
        }
    }
    return foreign;
}

static void complain_unknown(const struct decoding *decoding, const char *name, const struct path *path,
                             struct problems *problems) {
    const char *known[FIELDS_MAX];
    size_t count = 0;
    if (field_find(decoding->fields, decoding->variant, name) != NULL) {
        problems_add(problems, path, name, "does not apply to %s", decoding->variant_name);
        return;
    }
    for (size_t i = 0; i < decoding->fields->count && count < FIELDS_MAX - 1; i++) {
        if (field_applies(&decoding->fields->items[i], decoding->variant)) {
            known[count++] = decoding->fields->items[i].name;
        }
    }
    if (decoding->skip != NULL) {
        known[count++] = decoding->skip;
    }
    problems_add_unknown(problems, path, name, "field", known, count);
}

void fields_decode(const struct decoding *decoding, const json_t *document, const struct path *path, void *object,
                   struct problems *problems) {
    const char *name;
    json_t *value;
    if (document != NULL && !json_is_object(document)) {
        char got[80];
        problems_add(problems, path, NULL, "must be an object; got %s", value_quote(document, got));
        document = NULL;
    }
    json_object_foreach((json_t *)(uintptr_t)document, name, value) {
        const struct field *field = field_find(decoding->fields, decoding->variant, name);
        bool skipped = decoding->skip != NULL && strcmp(name, decoding->skip) == 0;
        if (!skipped && (field == NULL || !field_applies(field, decoding->variant))) {
            complain_unknown(decoding, name, path, problems);
        }
    }
    /* rows that do not apply come first: another variant's row may describe the same member */
    size_t count = decoding->fields->count;
    for (size_t i = 0; i < 2 * count; i++) {
        const struct field *field = &decoding->fields->items[i < count ? i : i - count];
        bool applies = field_applies(field, decoding->variant), second = i >= count;
        json_t *given = applies ? json_object_get(document, field->name) : NULL;
        if (applies != second) {
            continue;
        }
        if (given != NULL) {
            decode_value(given, path, field, object, problems);
        } else if (fallback_of(decoding, field) != NULL) {
            json_t *fallback = default_of(decoding, field);
            decode_value(fallback, path, field, object, problems);
            json_decref(fallback);
        } else if (applies) {
            problems_add(problems, path, field->name, "is required");
        }
    }
}

/* ---- encoding ---- */

static json_t *encode_alternative(const struct field *field, const void *object) {
    const struct field_alternative *alternative = field->alternative;
    if (*(const int *)(const void *)((const char *)object + alternative->present) == 0) {
        return numbers_encode(member_of_const(field, object));
    }
    json_t *inner = json_object();
    if (!fields_encode(&alternative->fields, ~0u, object, inner)) {
        json_decref(inner);
        return NULL;
    }
    return json_pack("{s:o}", alternative->name, inner);
}

json_t *field_encode(const struct field *field, const void *object) {
    const void *member = member_of_const(field, object);
    const struct optional_double *optional = member;
    switch (field->type) {
    case FIELD_INT:
        return json_integer(*(const int *)member);
    case FIELD_INT_OR_NULL:
        return *(const int *)member == 0 ? json_null() : json_integer(*(const int *)member);
    case FIELD_INT64:
        return json_integer(*(const int64_t *)member);
    case FIELD_INT64_OR_NULL:
        return *(const int64_t *)member == 0 ? json_null() : json_integer(*(const int64_t *)member);
    case FIELD_SEED:
        return json_integer((json_int_t) * (const uint64_t *)member);
    case FIELD_NUMBER:
        return json_number_or_null(*(const double *)member);
    case FIELD_NUMBER_OR_NULL:
        return optional->set ? json_number_or_null(optional->value) : json_null();
    case FIELD_BOOLEAN:
        return json_boolean(*(const bool *)member);
    case FIELD_CHOICE:
        return json_string(field->choices[*(const int *)member]);
    case FIELD_NAME:
        return json_string(member);
    case FIELD_SHA256_OR_NULL:
        return *(const char *)member == '\0' ? json_null() : json_string(member);
    case FIELD_NUMBERS_OR_NULL:
        return numbers_encode(member);
    case FIELD_NUMBERS_OR_FIELDS:
        return encode_alternative(field, object);
    default:
        return field->custom->encode(field, object);
    }
}

void fields_release(const struct fields *fields, unsigned variant, void *object) {
    for (size_t i = 0; i < fields->count; i++) {
        const struct field *field = &fields->items[i];
        bool holds = field->type == FIELD_NUMBERS_OR_NULL || field->type == FIELD_NUMBERS_OR_FIELDS;
        if (holds && field_applies(field, variant)) {
            numbers_release(member_of(field, object));
        }
    }
}

/* Of words and numbers; without memory of its own, since a lack of it must not change a document. */
static bool is_fallback(const struct field *field, const json_t *value) {
    if (!json_is_string(value)) {
        return json_is_number(value) && json_number_value(value) == strtod(field->fallback, NULL);
    }
    const size_t length = json_string_length(value);
    return strlen(field->fallback) == length + 2 && memcmp(field->fallback + 1, json_string_value(value), length) == 0;
}

bool fields_encode(const struct fields *fields, unsigned variant, const void *object, json_t *target) {
    bool ok = target != NULL;
    for (size_t i = 0; i < fields->count && ok; i++) {
        const struct field *field = &fields->items[i];
        json_t *value = field_applies(field, variant) ? field_encode(field, object) : NULL;
        if (field->omit_null && json_is_null(value)) {
            continue; /* jansson's null is a constant and is not freed */
        }
        if (field->omit_fallback && value != NULL && is_fallback(field, value)) {
            json_decref(value);
            continue;
        }
        ok = !field_applies(field, variant) || json_object_set_new(target, field->name, value) == 0;
    }
    return ok;
}

/* ---- describing ---- */

static const char *type_name(const struct field *field) {
    static const char *const names[] = {"integer", "integer", "integer", "integer", "integer", "number", "number",
                                        "boolean", "choice",  "custom",  "custom",  "custom",  "custom", "custom"};
    return names[field->type];
}

static json_t *alternative_schema(const struct field *field) {
    const struct field_alternative *alternative = field->alternative;
    const struct decoding decoding = {.fields = &alternative->fields, .variant = ~0u};
    json_t *object = json_pack("{s:s, s:o, s:o, s:b}", "type", "object", "properties", fields_schema(&decoding),
                               "required", fields_required(&decoding), "additionalProperties", 0);
    json_t *outer = json_pack("{s:s, s:{s:o}, s:[s], s:b}", "type", "object", "properties", alternative->name, object,
                              "required", alternative->name, "additionalProperties", 0);
    return json_pack("{s:[o, o]}", "oneOf", numbers_schema(field->dimensions, field->low, field->high, true), outer);
}

/* JSON Schema for what the words above do not describe; else NULL. */
static json_t *own_schema(const struct field *field) {
    switch (field->type) {
    case FIELD_CUSTOM:
        return json_loads(field->custom->schema, 0, NULL);
    case FIELD_NAME:
        return json_pack("{s:s, s:i, s:i}", "type", "string", "minLength", 1, "maxLength", 64);
    case FIELD_SHA256_OR_NULL:
        return json_pack("{s:[s,s], s:s}", "type", "string", "null", "pattern", "^[0-9a-f]{64}$");
    case FIELD_NUMBERS_OR_NULL:
        return numbers_schema(field->dimensions, field->low, field->high, true);
    case FIELD_NUMBERS_OR_FIELDS:
        return alternative_schema(field);
    default:
        return NULL;
    }
}

static json_t *choices_list(const struct field *field) {
    json_t *list = json_array();
    for (size_t i = 0; field->choices[i] != NULL; i++) {
        json_array_append_new(list, json_string(field->choices[i]));
    }
    return list;
}

/* minimum and maximum, in the words of JSON Schema. */
static void bounds_put(const struct field *field, json_t *target) {
    if (field->type > FIELD_NUMBER_OR_NULL) {
        return;
    }
    json_object_set_new(target, field->low_excluded ? "exclusiveMinimum" : "minimum",
                        is_integer(field) ? json_integer((json_int_t)field->low) : json_real(field->low));
    if (isfinite(field->high)) {
        json_object_set_new(target, "maximum",
                            is_integer(field) ? json_integer((json_int_t)field->high) : json_real(field->high));
    }
}

json_t *fields_describe(const struct decoding *decoding) {
    json_t *all = json_object();
    for (size_t i = 0; i < decoding->fields->count; i++) {
        const struct field *field = &decoding->fields->items[i];
        if (!field_applies(field, decoding->variant)) {
            continue;
        }
        json_t *one = json_pack("{s:s, s:s?}", "type", type_name(field), "unit", field->unit);
        if (fallback_of(decoding, field) != NULL) {
            json_object_set_new(one, "default", default_of(decoding, field));
        } else {
            json_object_set_new(one, "required", json_true());
        }
        bounds_put(field, one);
        json_object_set_new(one, "nullable", json_boolean(takes_null(field)));
        if (field->type == FIELD_CHOICE) {
            json_object_set_new(one, "choices", choices_list(field));
        } else {
            json_t *schema = own_schema(field);
            if (schema != NULL) {
                json_object_set_new(one, "schema", schema);
            }
        }
        json_object_set_new(one, "description", json_string(field->doc));
        json_object_set_new(all, field->name, one);
    }
    return all;
}

static json_t *field_schema(const struct field *field) {
    json_t *own = own_schema(field);
    if (own != NULL) {
        return own;
    }
    if (field->type == FIELD_CHOICE) {
        return json_pack("{s:s, s:o}", "type", "string", "enum", choices_list(field));
    }
    json_t *schema = takes_null(field) ? json_pack("{s:[s,s]}", "type", type_name(field), "null")
                                       : json_pack("{s:s}", "type", type_name(field));
    bounds_put(field, schema);
    return schema;
}

json_t *fields_required(const struct decoding *decoding) {
    json_t *names = json_array();
    for (size_t i = 0; i < decoding->fields->count; i++) {
        const struct field *field = &decoding->fields->items[i];
        if (field_applies(field, decoding->variant) && fallback_of(decoding, field) == NULL) {
            json_array_append_new(names, json_string(field->name));
        }
    }
    return names;
}

json_t *fields_schema(const struct decoding *decoding) {
    json_t *all = json_object();
    for (size_t i = 0; i < decoding->fields->count; i++) {
        const struct field *field = &decoding->fields->items[i];
        if (!field_applies(field, decoding->variant)) {
            continue;
        }
        json_t *schema = field_schema(field);
        if (fallback_of(decoding, field) != NULL) {
            json_object_set_new(schema, "default", default_of(decoding, field));
        }
        json_object_set_new(schema, "description", json_string(field->doc));
        json_object_set_new(all, field->name, schema);
    }
    return all;
}
