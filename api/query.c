#include "api/query.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int hex(char digit) {
    return digit >= '0' && digit <= '9'   ? digit - '0'
           : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
           : digit >= 'A' && digit <= 'F' ? digit - 'A' + 10
                                          : -1;
}

/* application/x-www-form-urlencoded. False if it is malformed or does not fit. */
static bool decode(const char *from, size_t length, char *to, size_t room) {
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        char byte = from[i] == '+' ? ' ' : from[i];
        if (byte == '%') {
            if (i + 2 >= length || hex(from[i + 1]) < 0 || hex(from[i + 2]) < 0) {
                return false;
            }
            byte = (char)(hex(from[i + 1]) << 4 | hex(from[i + 2]));
            i += 2;
        }
        if (byte == '\0' || used + 1 >= room) {
            return false;
        }
        to[used++] = byte;
    }
    to[used] = '\0';
    return true;
}

static bool set_integer(const struct query_parameter *parameter, const char *value) {
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (end == value || *end != '\0' || errno != 0 || value[strspn(value, "-0123456789")] != '\0' ||
        number < parameter->low || number > parameter->high) {
        return false;
    }
    *parameter->integer = number;
    return true;
}

static void set(const struct query_parameter *parameter, const char *value, struct problems *problems) {
    size_t room = parameter->room == 0 ? QUERY_VALUE_BYTES : parameter->room;
    if (parameter->type == QUERY_INTEGER) {
        if (!set_integer(parameter, value)) {
            problems_add(problems, NULL, parameter->name, "must be an integer from %lld to %lld; got \"%.60s\"",
                         (long long)parameter->low, (long long)parameter->high, value);
        }
    } else if (parameter->type == QUERY_BOOLEAN) {
        if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0 && strcmp(value, "1") != 0 &&
            strcmp(value, "0") != 0) {
            problems_add(problems, NULL, parameter->name, "must be true or false; got \"%.60s\"", value);
        }
        *parameter->boolean = strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
    } else if (strlen(value) >= room) {
        problems_add(problems, NULL, parameter->name, "must be at most %zu bytes", room - 1);
    } else if (*value == '\0') {
        problems_add(problems, NULL, parameter->name, "must not be empty; got \"\"");
    } else {
        snprintf(parameter->text, room, "%s", value);
    }
}

static const struct query_parameter *find(const struct query_parameter *parameters, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(parameters[i].name, name) == 0) {
            return &parameters[i];
        }
    }
    return NULL;
}

static void complain_unknown(const struct query_parameter *parameters, size_t count, const char *name,
                             struct problems *problems) {
    const char *known[QUERY_PARAMETERS_MAX];
    for (size_t i = 0; i < count; i++) {
        known[i] = parameters[i].name;
    }
    problems_add_unknown(problems, NULL, name, "query parameter", known, count);
}

void query_read(const char *query, const struct query_parameter *parameters, size_t count, struct problems *problems) {
    bool seen[QUERY_PARAMETERS_MAX] = {false};
    assert(count <= QUERY_PARAMETERS_MAX);
    while (*query != '\0') {
        char name[64], value[QUERY_LONGEST_BYTES];
        size_t length = strcspn(query, "&"), split = strcspn(query, "=&");
        bool ok = decode(query, split, name, sizeof name) &&
                  decode(query + split + (split < length), split < length ? length - split - 1 : 0, value,
                         sizeof value);
        const struct query_parameter *parameter = ok ? find(parameters, count, name) : NULL;
        if (length > 0 && !ok) {
            problems_add(problems, NULL, NULL, "a query parameter is too long or not well encoded");
        } else if (length > 0 && parameter == NULL) {
            complain_unknown(parameters, count, name, problems);
        } else if (parameter != NULL && seen[parameter - parameters]) {
            problems_add(problems, NULL, name, "must be given once");
        } else if (parameter != NULL) {
            seen[parameter - parameters] = true;
            set(parameter, value, problems);
        }
        query += length + (query[length] == '&');
    }
}
