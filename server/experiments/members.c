/* Checks of a document's members: see members.h. */
#include "server/experiments/members.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

void members_check(const json_t *object, const char *const *names, size_t count, const struct path *path,
                   const char *what, struct problems *problems) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value) {
        bool found = false;
        for (size_t i = 0; i < count; i++) {
            found = found || strcmp(names[i], name) == 0;
        }
        if (!found) {
            problems_add_unknown(problems, path, name, what, names, count);
        }
    }
}

int64_t member_integer(const json_t *object, const char *name, double low, double high, int64_t fallback,
                       const struct path *path, struct problems *problems) {
    const json_t *value = json_object_get(object, name);
    char got[80];
    if (value == NULL) {
        return fallback;
    }
    double number = json_number_value(value);
    if (!json_is_number(value) || floor(number) != number || number < low || number > high) {
        problems_add(problems, path, name, "must be an integer from %.0f to %.0f; got %s", low, high,
                     value_quote(value, got));
        return fallback;
    }
    return (int64_t)number;
}
