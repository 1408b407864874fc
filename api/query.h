/*
 * Query strings: `a=1&b=x%20y`. Every fault is named; unknown parameters are refused with the nearest known name.
 */
#ifndef MODPROP_API_QUERY_H
#define MODPROP_API_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include "api/problem.h"

#define QUERY_VALUE_BYTES 512
#define QUERY_LONGEST_BYTES 2048 /* room that a parameter may have, at most */

enum query_type { QUERY_INTEGER, QUERY_TEXT, QUERY_BOOLEAN };

#define QUERY_PARAMETERS_MAX 32 /* of one route */

/* One parameter: where its value goes; a parameter that is absent leaves it unchanged. */
struct query_parameter {
    const char *name;
    enum query_type type;
    int64_t low, high; /* QUERY_INTEGER */
    int64_t *integer;
    char *text;
    size_t room; /* of text; 0: QUERY_VALUE_BYTES */
    bool *boolean;
};

/* Reads `query` (after the ?) with at most QUERY_PARAMETERS_MAX parameters. Faults have the parameter's name as
 * pointer. */
void query_read(const char *query, const struct query_parameter *parameters, size_t count, struct problems *problems);

#endif
