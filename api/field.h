/*
 * Parameter tables: one line a parameter says its name, type, unit, range, default and meaning. From these tables come
 * decoding, defaults, validation, encoding, /v1/tasks, /v1/rules and OpenAPI's schemas; nothing about a parameter is
 * said twice.
 */
#ifndef MODPROP_API_FIELD_H
#define MODPROP_API_FIELD_H

#include <stdbool.h>
#include <stddef.h>

#include "api/problem.h"

enum field_type {
    FIELD_INT,            /* int */
    FIELD_INT_OR_NULL,    /* int; null is 0 */
    FIELD_INT64,          /* int64_t */
    FIELD_INT64_OR_NULL,  /* int64_t; null is 0 */
    FIELD_SEED,           /* uint64_t */
    FIELD_NUMBER,         /* double */
    FIELD_NUMBER_OR_NULL, /* struct optional_double */
    FIELD_BOOLEAN,        /* bool */
    FIELD_CHOICE,         /* an enum, by index into choices */
    FIELD_CUSTOM          /* by functions of its own */
};

/* How far a parameter reaches. */
enum field_reach {
    REACH_COURSE, /* the weights of every iteration */
    REACH_RESULT, /* not them, but where training ends and what is reported on the way */
    REACH_NOTHING /* neither */
};

struct field;

struct field_custom {
    /* Sets the member; adds to problems where it cannot. */
    void (*decode)(const json_t *value, const struct path *path, const struct field *field, void *object,
                   struct problems *problems);
    json_t *(*encode)(const struct field *field, const void *object);
    const char *schema; /* JSON Schema, as text */
};

struct field {
    const char *name;
    enum field_type type;
    size_t offset;
    const char *unit; /* NULL: none */
    double low, high; /* inclusive, unless low_excluded */
    bool low_excluded;
    const char *fallback; /* default as JSON text */
    enum field_reach reach;
    /*
     * The value, as JSON text, with which the field does not enter the identity of a job (identity.h); NULL where it
     * reaches nothing. Frozen: it never changes once released, even if the default does. A row that is added later
     * takes the value that stands for what jobs did before.
     */
    const char *identity;
    const char *before; /* what a stored document without the field means, which is older than it; NULL: fallback */
    const char *const *choices; /* NULL-ended */
    bool omit_null;    /* a null is left out of documents: those from before the field existed keep their text */
    unsigned variants; /* a bit for each variant (rule, task, optimizer) that has it; 0: all */
    const struct field_custom *custom;
    const char *doc;
};

/* A table of fields. */
struct fields {
    const struct field *items;
    size_t count;
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
    bool stored; /* the document comes from the store: what it lacks has the meaning of field.before */
};

void fields_decode(const struct decoding *decoding, const json_t *document, const struct path *path, void *object,
                   struct problems *problems);

/*
 * Adds the members to `target`, in the table's order. False without memory: a document that lacks a member must never
 * pass for a whole one.
 */
bool fields_encode(const struct fields *fields, unsigned variant, const void *object, json_t *target);

/* Whether the variant (a bit) has the field. */
bool field_applies(const struct field *field, unsigned variant);
/* The field's value in `object`; NULL without memory. */
json_t *field_encode(const struct field *field, const void *object);

/*
 * {"name": {"type", "unit", "default", "minimum", "maximum", "choices", "description"}}; and JSON Schema's properties
 * of the same.
 */
json_t *fields_describe(const struct decoding *decoding);
json_t *fields_schema(const struct decoding *decoding);

/* A finite number, or null: JSON has no NaN. */
json_t *json_number_or_null(double value);

#endif
