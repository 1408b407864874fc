/*
 * Content negotiation: which of our types an Accept header prefers (RFC 9110, 12.5.1). The most specific range that
 * matches a type gives its weight; among equal weights the server's order decides. Malformed ranges match nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "server/http/accept.h"

/* How specifically a range of `length` characters matches `type`: 3 exactly, 2 as type/ *, 1 as * / *, 0 not. */
static int range_matches(const char *range, size_t length, const char *type) {
    const char *slash = strchr(type, '/');
    if (length == strlen(type) && strncasecmp(range, type, length) == 0) {
        return 3;
    }
    if (length == 3 && strncmp(range, "*/*", 3) == 0) {
        return 1;
    }
    size_t family = (size_t)(slash - type) + 1;
    return length == family + 1 && strncasecmp(range, type, family) == 0 && range[family] == '*' ? 2 : 0;
}

/* The weight of a range's parameters (";q=0.5;level=1"); 1 where q is not given. */
static double weight_of(const char *parameters, const char *end) {
    while (parameters < end) {
        parameters += strspn(parameters, "; \t");
        if (parameters + 2 < end && (parameters[0] == 'q' || parameters[0] == 'Q') && parameters[1] == '=') {
            double weight = strtod(parameters + 2, NULL);
            return weight >= 0.0 && weight <= 1.0 ? weight : 0.0;
        }
        parameters += strcspn(parameters, ";,");
    }
    return 1.0;
}

static double type_weight(const char *accept, const char *type) {
    int best = 0;
    double weight = 0.0;
    while (*accept != '\0') {
        accept += strspn(accept, ", \t");
        size_t whole = strcspn(accept, ","), length = strcspn(accept, ",; \t");
        int match = range_matches(accept, length, type);
        if (match > best) {
            best = match;
            weight = weight_of(accept + length, accept + whole);
        }
        accept += whole;
    }
    return weight;
}

const char *accept_choose(const char *accept, const char *const *types) {
    if (accept == NULL || accept[strspn(accept, " \t")] == '\0') {
        return types[0];
    }
    const char *best = NULL;
    double best_weight = 0.0;
    for (size_t i = 0; types[i] != NULL; i++) {
        double weight = type_weight(accept, types[i]);
        if (weight > best_weight) {
            best = types[i];
            best_weight = weight;
        }
    }
    return best;
}
