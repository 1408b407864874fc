/*
 * Parameters that are lists of numbers (FIELD_NUMBERS_OR_NULL, core/base/numbers.h): from JSON and back. The memory
 * belongs to the object that holds the parameter; fields_release (field.h) frees it.
 */
#ifndef MODPROP_API_NUMBERS_H
#define MODPROP_API_NUMBERS_H

#include "api/problem.h"
#include "core/base/field.h"
#include "core/base/numbers.h"

/*
 * Reads a list nested `dimensions` deep, none empty, all of one length on each level, with entries from low to high.
 * null gives no list. On a fault, which goes to problems, `numbers` has none.
 */
void numbers_decode(const json_t *value, int dimensions, double low, double high, const struct path *path,
                    const char *name, struct numbers *numbers, struct problems *problems);
/* null where there is no list; NULL if out of memory. */
json_t *numbers_encode(const struct numbers *numbers);
/* JSON Schema of such a list; null is allowed if `nullable`. */
json_t *numbers_schema(int dimensions, double low, double high, bool nullable);
void numbers_release(struct numbers *numbers);

#endif
