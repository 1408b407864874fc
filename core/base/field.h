/*
 * A parameter, defined once: name, type, unit, range, default and meaning of one value that a user can set. The tables
 * of these rows belong to what they describe (a task's to its file in core/tasks, the others' to api/parameters.c).
 * From them api makes decoding, defaults, validation, encoding, descriptions, schemas and identities (api/field.h).
 *
 * Defaults and choices are JSON text, because they are used to read documents; nothing here parses it.
 */
#ifndef MODPROP_CORE_FIELD_H
#define MODPROP_CORE_FIELD_H

#include <stdbool.h>
#include <stddef.h>

#define FIELD_NAME_BYTES 65
#define FIELD_SHA256_BYTES 65

enum field_type {
    FIELD_INT,             /* int */
    FIELD_INT_OR_NULL,     /* int; null is 0 */
    FIELD_INT64,           /* int64_t */
    FIELD_INT64_OR_NULL,   /* int64_t; null is 0 */
    FIELD_SEED,            /* uint64_t */
    FIELD_NUMBER,          /* double */
    FIELD_NUMBER_OR_NULL,  /* struct optional_double */
    FIELD_BOOLEAN,         /* bool */
    FIELD_CHOICE,          /* an enum, by index into choices */
    FIELD_NAME,            /* char[FIELD_NAME_BYTES], of a dataset; never empty */
    FIELD_SHA256_OR_NULL,  /* char[FIELD_SHA256_BYTES], hexadecimal; null is "" */
    FIELD_NUMBERS_OR_NULL, /* struct numbers: lists of numbers, nested `dimensions` deep */
    /*
     * struct numbers as above; or, where `alternative` is given instead, an object of one member, itself an object of
     * fields
     */
    FIELD_NUMBERS_OR_FIELDS,
    FIELD_CUSTOM /* by functions of its own (api) */
};

/* What a parameter can change. */
enum field_reach {
    REACH_COURSE, /* the weights of every iteration */
    REACH_RESULT, /* not the weights, but where training ends and what is reported on the way */
    REACH_NOTHING /* neither */
};

struct field_custom;
struct field;

/* A table of fields, and its initializer from an array. */
struct fields {
    const struct field *items;
    size_t count;
};
#define FIELDS(table) {table, sizeof table / sizeof *table}

/*
 * What may stand in the place of a list: {"name": {fields}}. The member at `present`, an int, is one of the fields; it
 * is at least 1 where they are given, and 0 where the list is.
 */
struct field_alternative {
    const char *name;
    struct fields fields;
    size_t present;
};

struct field {
    const char *name;
    enum field_type type;
    size_t offset;
    const char *unit; /* NULL: none */
    double low, high; /* inclusive, unless low_excluded; FIELD_NUMBERS_OR_NULL: of every entry */
    bool low_excluded;
    const char *fallback; /* default as JSON text */
    enum field_reach reach;
    /*
     * The value, as JSON text, with which the field does not enter the identity of a job (identity.h); NULL if it
     * changes nothing. Frozen: it never changes once released, even if the default does. A row that is added later gets
     * the value that describes what jobs did before.
     */
    const char *identity;
    const char *before; /* what a stored document means that is older than the field and lacks it; NULL: fallback */
    const char *const *choices; /* NULL-ended */
    int dimensions;             /* FIELD_NUMBERS_OR_NULL */
    const struct field_alternative *alternative;
    bool omit_null;     /* a null is left out of documents: documents older than the field keep their text */
    bool omit_fallback; /* the same of a value that is the fallback, where nothing gives another default */
    unsigned variants;  /* one bit for each variant (rule, task, optimizer) that has it; 0: all */
    const struct field_custom *custom;
    const char *doc;
};

#endif
