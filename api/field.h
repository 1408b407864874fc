/*
 * Using the parameter tables: core/base/field.h describes a row. The tables give decoding, defaults, validation,
 * encoding, /v1/tasks, /v1/rules and OpenAPI's schemas, so that each parameter is described in one place.
 */
#ifndef MODPROP_API_FIELD_H
#define MODPROP_API_FIELD_H

#include <stdbool.h>
#include <stddef.h>

#include "api/problem.h"
#include "core/base/field.h"

struct field_custom {
    /* Sets the member; adds to problems if it cannot. */
    void (*decode)(const json_t *value, const struct path *path, const struct field *field, void *object,
                   struct problems *problems);
    json_t *(*encode)(const struct field *field, const void *object);
    const char *schema; /* JSON Schema, as text */
};

/* An object whose defaults depend on something else: these override the table's. */
struct field_default {
    unsigned variants;
    const char *section, *name, *fallback;
};

/*
 * Decodes `document` (an object, or NULL for all defaults) into `object`. `skip` (may be NULL) is a member that the
 * caller reads itself. `defaults` override the table's for `section` and the bit `variant_of_defaults`.
 */
struct decoding {
    const struct fields *fields;
    unsigned variant;         /* bit */
    const char *variant_name; /* "rule bptt", for sentences */
    const char *skip;
    const char *section;
    const struct field_default *defaults;
    size_t default_count;
    unsigned default_variant;
    const struct field_default *strict; /* the same, and before those: of the neuron model, for strict_variant */
    size_t strict_count;
    unsigned strict_variant;
    bool stored; /* the document comes from the store: what it leaves out has the meaning of field.before */
};

void fields_decode(const struct decoding *decoding, const json_t *document, const struct path *path, void *object,
                   struct problems *problems);

/*
 * Adds the members to `target`, in the table's order. False if out of memory: a document that lacks a member must never
 * pass for a complete one.
 */
bool fields_encode(const struct fields *fields, unsigned variant, const void *object, json_t *target);

/* Frees the lists of numbers of the fields that apply. */
void fields_release(const struct fields *fields, unsigned variant, void *object);

/* Whether the variant (a bit) has the field. */
bool field_applies(const struct field *field, unsigned variant);
/* Variants may have fields with the same name: the one that applies, else one that does not, else NULL. */
const struct field *field_find(const struct fields *fields, unsigned variant, const char *name);
#define ANY_VARIANT (~0u)
/* The field's value in `object`; NULL if out of memory. */
json_t *field_encode(const struct field *field, const void *object);

/*
 * {"name": {"type", "unit", "default", "minimum", "maximum", "choices", "description"}}; and JSON Schema's properties
 * of the same.
 */
json_t *fields_describe(const struct decoding *decoding);
json_t *fields_schema(const struct decoding *decoding);
/* The names of those that must be given: they have no default. */
json_t *fields_required(const struct decoding *decoding);

/* A finite number, or null: JSON has no NaN. */
json_t *json_number_or_null(double value);

#endif
