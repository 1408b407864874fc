/*
 * Seeds as a user writes them. See seeds.h.
 */
#include "clients/cli/seeds.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "clients/cli/report.h"

/* One number, or -1. *at stands behind it. */
static long long seed_parse(const char **at) {
    char *end = NULL;
    errno = 0;
    long long seed = **at >= '0' && **at <= '9' ? strtoll(*at, &end, 10) : -1;
    *at = end == NULL ? *at : end;
    return errno != 0 || seed > SEED_MAX ? -1 : seed;
}

enum status seeds_parse(const char *option, const char *text, long long most, json_t **ranges) {
    const char *at = text;
    long long named = 0;
    bool valid = true;
    *ranges = json_array();
    for (bool more = true; valid && more;) {
        long long first = seed_parse(&at), last = first;
        if (*at == '-') {
            at++;
            last = seed_parse(&at);
        }
        more = *at == ',';
        valid = first >= 0 && last >= first && last - first < most - named && (more || *at == '\0');
        at += more;
        if (valid) {
            named += last - first + 1;
            json_array_append_new(
                *ranges, json_pack("{s:I, s:I}", "from", (json_int_t)first, "count", (json_int_t)(last - first + 1)));
        }
    }
    if (valid) {
        return STATUS_OK;
    }
    json_decref(*ranges);
    *ranges = NULL;
    return report_error(STATUS_USAGE,
                        "--%s must be numbers from 0 to 2^53-1 or ranges, at most %lld seeds, such as 1,2,5-8; got "
                        "\"%s\"",
                        option, most, text);
}
