#include "api/array.h"

#include <math.h>
#include <stdio.h>

int array_shape(const json_t *value, size_t lengths[3]) {
    int dimensions = 0;
    while (json_is_array(value) && dimensions < 3) {
        lengths[dimensions++] = json_array_size(value);
        value = json_array_get(value, 0);
    }
    return json_is_array(value) ? 0 : dimensions;
}

size_t size_product(const size_t *lengths, int dimensions, size_t size) {
    for (int i = 0; i < dimensions; i++) {
        if (__builtin_mul_overflow(size, lengths[i], &size)) {
            return 0;
        }
    }
    return size;
}

/* The type of an entry. */
struct reading {
    bool lengths_only; /* entries are not looked at */
    float *floats;
    int32_t *integers; /* NULL: floats */
    double *doubles;   /* NULL: floats */
    int low, high;
    double least, most;
    size_t used;
};

static bool read_entry(const json_t *value, struct reading *reading, const struct path *path,
                       struct problems *problems) {
    char got[80];
    if (reading->integers != NULL) {
        if (!json_is_integer(value) || json_integer_value(value) < reading->low ||
            json_integer_value(value) > reading->high) {
            problems_add(problems, path, NULL, "must be an integer from %d to %d; got %s", reading->low, reading->high,
                         value_quote(value, got));
            return false;
        }
        reading->integers[reading->used++] = (int32_t)json_integer_value(value);
        return true;
    }
    double number = json_number_value(value);
    if (reading->doubles != NULL) {
        if (!json_is_number(value) || !(number >= reading->least && number <= reading->most)) {
            problems_add(problems, path, NULL, "must be a number from %.9g to %.9g; got %s", reading->least,
                         reading->most, value_quote(value, got));
            return false;
        }
        reading->doubles[reading->used++] = number;
        return true;
    }
    if (!json_is_number(value) || !isfinite((float)number)) {
        problems_add(problems, path, NULL, "must be a number within the range of float32; got %s",
                     value_quote(value, got));
        return false;
    }
    if (reading->floats != NULL) {
        reading->floats[reading->used++] = (float)number;
    }
    return true;
}

/* Reading stops at the first fault of a list: a wrong list is wrong a million times. */
static bool read_level(const json_t *value, int dimensions, const size_t *lengths, struct reading *reading,
                       const struct path *path, struct problems *problems) {
    if (dimensions == 0) {
        return read_entry(value, reading, path, problems);
    }
    if (!json_is_array(value) || json_array_size(value) != lengths[0]) {
        char got[80];
        if (json_is_array(value)) {
            problems_add(problems, path, NULL, "must be a list of %zu entries; it has %zu", lengths[0],
                         json_array_size(value));
        } else {
            problems_add(problems, path, NULL, "must be a list of %zu entries; got %s", lengths[0],
                         shape_quote(value, got));
        }
        return false;
    }
    if (reading->lengths_only && dimensions == 1) {
        return true;
    }
    for (size_t i = 0; i < lengths[0]; i++) {
        struct path below = {.parent = path, .index = i};
        if (!read_level(json_array_get(value, i), dimensions - 1, lengths + 1, reading, &below, problems)) {
            return false;
        }
    }
    return true;
}

bool array_check(const json_t *value, int dimensions, const size_t *lengths, const struct path *path, const char *name,
                 struct problems *problems) {
    struct reading reading = {.lengths_only = true};
    struct path here = {.parent = path, .name = name};
    return read_level(value, dimensions, lengths, &reading, &here, problems);
}

bool array_read(const json_t *value, int dimensions, const size_t *lengths, float *to, const struct path *path,
                const char *name, struct problems *problems) {
    struct reading reading = {.floats = to};
    struct path here = {.parent = path, .name = name};
    return read_level(value, dimensions, lengths, &reading, &here, problems);
}

bool array_read_integers(const json_t *value, int dimensions, const size_t *lengths, int low, int high, int32_t *to,
                         const struct path *path, const char *name, struct problems *problems) {
    struct reading reading = {.integers = to, .low = low, .high = high};
    struct path here = {.parent = path, .name = name};
    return read_level(value, dimensions, lengths, &reading, &here, problems);
}

bool array_read_doubles(const json_t *value, int dimensions, const size_t *lengths, double low, double high, double *to,
                        const struct path *path, const char *name, struct problems *problems) {
    struct reading reading = {.doubles = to, .least = low, .most = high};
    struct path here = {.parent = path, .name = name};
    return read_level(value, dimensions, lengths, &reading, &here, problems);
}

const char *shape_quote(const json_t *value, char text[80]) {
    if (json_is_array(value)) {
        snprintf(text, 80, "a list of %zu entries", json_array_size(value));
        return text;
    }
    return value == NULL ? "none" : value_quote(value, text);
}
