/*
 * Searches: the language of `q`, which lists of jobs and experiments, the command line, the Python client and the
 * dashboard share. server/QUERIES.md explains it to users.
 *
 *     query    = [ term { blank term } ]                 what is found fits every term
 *     term     = [ "-" ] ( word | field operator values )  "-": what does not fit
 *     word     = text                                    the name contains it
 *     field    = name { "." name }                       name: letters, digits, "_", "-"; after a "." also quoted
 *     operator = ":" | "=" | "!=" | "<" | "<=" | ">" | ">="      ":" and "=" are the same
 *     values   = value { "," value }                     any of them
 *     value    = text | number | [ low ] ".." [ high ] | "none"
 *
 * Text is compared without regard to case (of ASCII letters); "*" stands for any characters. Within double quotes
 * everything is literal but \" and \\.
 *
 * Pure: no store, no socket, no clock, no memory of its own; a parsed search does not change and may be used by any
 * thread. Rejected: translating a query into SQL, whose comparisons of text, numbers and missing values differ from
 * these; and parentheses with "or", which nobody needed beside "," (two lists do as well).
 */
#ifndef MODPROP_API_SEARCH_H
#define MODPROP_API_SEARCH_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/problem.h"

#define SEARCH_BYTES 1024 /* of a query, with its final 0 */
#define SEARCH_TERMS 32
#define SEARCH_VALUES 128 /* of all terms together */
#define SEARCH_PATH 8     /* names of a field, at most */

enum search_kind { SEARCH_JOBS, SEARCH_EXPERIMENTS };

/* What a field is. Those of a document's own members are SEARCH_MEMBER. */
enum search_key {
    SEARCH_WORD, /* a word without a field */
    SEARCH_NAME,
    SEARCH_NOTES,
    SEARCH_TAG,
    SEARCH_ID,
    SEARCH_STATUS,
    SEARCH_OUTCOME,
    SEARCH_TASK,
    SEARCH_RULE,
    SEARCH_SEED,
    SEARCH_EXPERIMENT,
    SEARCH_POINT,
    SEARCH_OWNER,
    SEARCH_PRIORITY,
    SEARCH_LOSS,
    SEARCH_ACCURACY,
    SEARCH_ITERATION,
    SEARCH_ITERATIONS,
    SEARCH_ATTEMPT,
    SEARCH_SECONDS,
    SEARCH_CREATED,
    SEARCH_STARTED,
    SEARCH_FINISHED,
    SEARCH_ERROR,
    SEARCH_CONFIG,
    SEARCH_DATA,
    SEARCH_BUILD,
    SEARCH_POINTS,
    SEARCH_TRIALS,
    SEARCH_MEMBER
};

enum search_type {
    SEARCH_TEXT,
    SEARCH_BEGINNING, /* text that the value is the beginning of: ids and digests */
    SEARCH_CHOICE,    /* text, one of a known few */
    SEARCH_NUMBER,
    SEARCH_TIME, /* Unix ms; a date, or a date with a time, stands for all of its day, hour, minute or second */
    SEARCH_ANY   /* as the value is: text, number, boolean, or a list of these */
};

struct search_field { /* the name comes first, for name_nearest_in */
    const char *name;
    enum search_key key;
    enum search_type type;
    unsigned kinds;      /* bits 1 << enum search_kind */
    const char *choices; /* separated by |; NULL: tasks, rules, or none */
    const char *doc;
};

/* All fields with a name of their own. */
extern const struct search_field search_fields[];
extern const size_t search_field_count;

enum search_relation { SEARCH_EQUAL, SEARCH_LESS, SEARCH_LEAST, SEARCH_GREATER, SEARCH_MOST };

struct search_value {
    const char *text;                            /* the pattern, SEARCH_STAR for each "*" */
    bool has_star, is_none, is_number, is_range; /* a range is a number too */
    double low, high;                            /* is_number: both bounds are within it */
};

struct search_term {
    enum search_key key;
    enum search_type type;
    enum search_relation relation;
    bool negated;
    const char *path[SEARCH_PATH]; /* SEARCH_MEMBER: names from the document's root on */
    size_t depth;
    const struct search_value *values;
    size_t count;
};

#define SEARCH_STAR '\1'

struct search {
    struct search_term terms[SEARCH_TERMS];
    size_t count;
    struct search_value values[SEARCH_VALUES];
    size_t value_count;
    char texts[3 * SEARCH_BYTES]; /* what the others point to: a struct search is never copied */
    size_t used;
};

/*
 * Adds the terms of a query to a search that is all zero at first (then everything fits). Every fault goes to
 * `problems` under the name `parameter`, with the position of its first character, counted from 1, the constraint, and
 * the nearest known name. False if there are any.
 */
bool search_read(struct search *search, enum search_kind kind, const char *query, const char *parameter,
                 struct problems *problems);
/* Adds the term "field is this value, literally". Its fault goes to the field's name. */
bool search_equal(struct search *search, enum search_kind kind, const char *field, const char *value,
                  struct problems *problems);

/* A field's value in what is searched. */
struct search_datum {
    enum { DATUM_NONE, DATUM_NUMBER, DATUM_TEXT, DATUM_JSON } type;
    double number;
    const char *text;
    const json_t *json;
};

/* Whether it fits; `read` gives the value of a term's field, valid until it is called again. */
bool search_fits(const struct search *search,
                 void (*read)(void *user, const struct search_term *term, struct search_datum *datum), void *user);

/*
 * The values of which the field must have one (or, with a count of 1, exactly this one) in everything that fits: the
 * first term of the key that is not negated, has no wildcard and does not ask for order. NULL: there is none. A store
 * looks these up instead of going through all rows.
 */
const struct search_term *search_exact(const struct search *search, enum search_key key);

/* The member at the term's path of a document; NULL. */
const json_t *search_member(const struct search_term *term, const json_t *document);

/* The fields as a text for documentation: "name, notes, ...". */
void search_names(enum search_kind kind, char *text, size_t room);

#endif
