/*
 * Problems: every fault of a document, found in one pass, each with a JSON Pointer and a sentence that states the
 * constraint; and the problem document (RFC 9457) that carries them.
 */
#ifndef MODPROP_API_PROBLEM_H
#define MODPROP_API_PROBLEM_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define PROBLEMS_MAX 100

/* A position in a document: a chain of names up to the root (NULL). Lives on the caller's stack. */
struct path {
    const struct path *parent;
    const char *name; /* member; NULL: `index` */
    size_t index;
};

struct problems {
    json_t *errors; /* array of {"pointer", "detail"}; NULL until the first */
    size_t count;   /* the total, including those beyond PROBLEMS_MAX */
};

/* Adds a fault at path/name (name NULL: at path itself). */
void problems_add(struct problems *problems, const struct path *path, const char *name, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Adds "is not a known WHAT", with the nearest known name if one is near. */
void problems_add_unknown(struct problems *problems, const struct path *path, const char *name, const char *what,
                          const char *const *known, size_t count);
void problems_release(struct problems *problems);

/* {"type", "title", "status", "detail"}; any faults are added as "errors" (and moved out of `problems`). */
json_t *problem_document(int status, const char *title, const char *detail, struct problems *problems);

/* The value as compact JSON for a message, truncated to fit; returns `text`. */
const char *value_quote(const json_t *value, char text[80]);

/*
 * Parses a body. NULL, with a sentence that names line and column in `error`, if it is not JSON, has a duplicate
 * member, is nested deeper than 64, or is not an object.
 */
json_t *json_parse(const char *text, size_t size, char error[256]);

/*
 * The same for a client's request. It also refuses, before allocating memory for them, more values than JSON_VALUES_MAX
 * or more members of objects than JSON_MEMBERS_MAX, which cost more (*status 413). Numbers that a machine cannot
 * represent give *status 422, each with its pointer in the problems; out of memory gives 503; everything else gives
 * 400.
 */
#define JSON_VALUES_MAX 4000000
#define JSON_MEMBERS_MAX 100000
json_t *json_parse_body(const char *text, size_t size, struct problems *problems, int *status, char error[256]);

/*
 * A JSON string of the text; bytes that are not UTF-8 (because of a quotation or a cut within a character) are replaced
 * by "?".
 */
json_t *json_string_of(char *text);

#endif
