#include "api/numbers.h"

#include <stdint.h>
#include <stdlib.h>

#include "api/array.h"

/* Numbers of one list in all: 256 x 256. A job's document is read and sent whole, so none may be large. */
#define NUMBERS_MAX 65536

static const char *const nested[] = {"a list of numbers", "a list of lists of numbers",
                                     "a list of lists of lists of numbers"};

static bool lengths_fit(const size_t *lengths, int dimensions) {
    size_t count = 1;
    for (int i = 0; i < dimensions; i++) {
        if (lengths[i] == 0 || lengths[i] > NUMBERS_MAX / count) {
            return false;
        }
        count *= lengths[i];
    }
    return true;
}

void numbers_decode(const json_t *value, int dimensions, double low, double high, const struct path *path,
                    const char *name, struct numbers *numbers, struct problems *problems) {
    size_t lengths[NUMBERS_DIMENSIONS];
    char got[80];
    *numbers = (struct numbers){0};
    if (json_is_null(value)) {
        return;
    }
    if (array_shape(value, lengths) != dimensions || !lengths_fit(lengths, dimensions)) {
        problems_add(problems, path, name,
                     "must be %s, none of them empty, with at most %d numbers in all, or null; got %s",
                     nested[dimensions - 1], NUMBERS_MAX, shape_quote(value, got));
        return;
    }
    if (!array_check(value, dimensions, lengths, path, name, problems)) {
        return;
    }
    size_t size = size_product(lengths, dimensions, sizeof(double));
    double *values = size > 0 ? malloc(size) : NULL;
    if (values == NULL) {
        problems_add(problems, path, name, "not enough memory for this list");
    } else if (array_read_doubles(value, dimensions, lengths, low, high, values, path, name, problems)) {
        *numbers = (struct numbers){.values = values, .dimensions = dimensions};
        for (int i = 0; i < dimensions; i++) {
            numbers->lengths[i] = (int)lengths[i];
        }
        return;
    }
    free(values);
}

static json_t *encode_level(const struct numbers *numbers, int level, const double **at) {
    json_t *list = json_array();
    bool last = level + 1 >= numbers->dimensions || level + 1 >= NUMBERS_DIMENSIONS;
    for (int i = 0; i < numbers->lengths[level]; i++) {
        json_t *entry = last ? json_real(*(*at)++) : encode_level(numbers, level + 1, at);
        if (json_array_append_new(list, entry) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

json_t *numbers_encode(const struct numbers *numbers) {
    const double *at = numbers->values;
    return at == NULL ? json_null() : encode_level(numbers, 0, &at);
}

json_t *numbers_schema(int dimensions, double low, double high, bool nullable) {
    json_t *schema = json_pack("{s:s, s:f, s:f}", "type", "number", "minimum", low, "maximum", high);
    for (int i = 0; i < dimensions; i++) {
        schema = json_pack("{s:s, s:i, s:i, s:o}", "type", "array", "minItems", 1, "maxItems", NUMBERS_MAX, "items",
                           schema);
    }
    if (nullable) {
        json_object_set_new(schema, "type", json_pack("[s, s]", "array", "null"));
    }
    return schema;
}

void numbers_release(struct numbers *numbers) {
    free((void *)(uintptr_t)numbers->values);
    *numbers = (struct numbers){0};
}
