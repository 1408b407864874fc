/*
 * Problems: every fault of a document, found in one pass, each with a JSON Pointer and a sentence that states the constraint;
 * and the problem document (RFC 9457) that carries them.
 */
#ifndef MODPROP_API_PROBLEM_H
#define MODPROP_API_PROBLEM_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define PROBLEMS_MAX 100

/* Where in a document: a chain of names up to the root (NULL). Lives on the stack of whoever descends. */
struct path {
    const struct path *parent;
    const char *name; /* member; NULL: `index` */
    size_t index;
};

struct problems {
    json_t *errors; /* array of {"pointer", "detail"}; NULL until the first */
    size_t count;   /* all, those beyond PROBLEMS_MAX included */
};

/* Adds a fault at path/name (name NULL: at path itself). */
void problems_add(struct problems *problems, const struct path *path, const char *name, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void problems_release(struct problems *problems);

/* {"type", "title", "status", "detail"}; with the faults as "errors" where there are any (they are taken over). */
json_t *problem_document(int status, const char *title, const char *detail, struct problems *problems);

/* The value as compact JSON for a sentence, cut to fit; returns `text`. */
const char *value_quote(const json_t *value, char text[80]);

/* The known name nearest to `name` by edit distance, or NULL where none is near. */
const char *name_nearest(const char *name, const char *const *known, size_t count);

/*
 * Parses a body. NULL, with a sentence that names line and column in `error`, where it is no JSON, has a member twice, is nested deeper than
 * 64, or is not an object.
 */
json_t *json_parse(const char *text, size_t size, char error[256]);

#endif
