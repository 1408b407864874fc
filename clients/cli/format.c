/*
 * Quantities as a person reads them. See format.h.
 */
#include "clients/cli/format.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "api/text.h"
#include "clients/cli/memory.h"

char *format_duration(double seconds, char text[FORMAT_BYTES]) {
    long long whole = seconds >= 0 && seconds < 1e12 ? (long long)seconds : -1;
    if (whole < 0) {
        snprintf(text, FORMAT_BYTES, "-");
    } else if (seconds < 9.95) {
        snprintf(text, FORMAT_BYTES, "%.1f s", seconds);
    } else if (whole < 60) {
        snprintf(text, FORMAT_BYTES, "%lld s", whole);
    } else if (whole < 3600) {
        snprintf(text, FORMAT_BYTES, "%lldm %02llds", whole / 60, whole % 60);
    } else if (whole < 86400) {
        snprintf(text, FORMAT_BYTES, "%lldh %02lldm", whole / 3600, whole / 60 % 60);
    } else {
        snprintf(text, FORMAT_BYTES, "%lldd %02lldh", whole / 86400, whole / 3600 % 24);
    }
    return text;
}

static char *scaled(double value, double step, const char *const *units, int count, char text[FORMAT_BYTES]) {
    int unit = 0;
    while (unit < count - 1 && fabs(value) >= step) {
        value /= step;
        unit++;
    }
    snprintf(text, FORMAT_BYTES, "%.*f%s%s", unit > 0 && fabs(value) < 99.95 ? 1 : 0, value,
             *units[unit] == '\0' ? "" : " ", units[unit]);
    return text;
}

char *format_bytes(double bytes, char text[FORMAT_BYTES]) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    return scaled(bytes, 1024, units, 5, text);
}

char *format_count(double count, char text[FORMAT_BYTES]) {
    static const char *const units[] = {"", "k", "M", "G", "T", "P"};
    return scaled(count, 1000, units, 6, text);
}

char *format_number(const json_t *value, int digits, char text[FORMAT_BYTES]) {
    if (json_is_number(value)) {
        snprintf(text, FORMAT_BYTES, "%.*g", digits, json_number_value(value));
    } else {
        snprintf(text, FORMAT_BYTES, "-");
    }
    return text;
}

char *format_percent(const json_t *fraction, char text[FORMAT_BYTES]) {
    if (json_is_number(fraction)) {
        snprintf(text, FORMAT_BYTES, "%.1f %%", 100 * json_number_value(fraction));
    } else {
        snprintf(text, FORMAT_BYTES, "-");
    }
    return text;
}

double time_parse(const char *text) {
    struct tm parts = {0};
    const char *rest = text == NULL ? NULL : strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
    if (rest == NULL) {
        return NAN;
    }
    double fraction = 0;
    if (*rest == '.') {
        char *end;
        fraction = strtod(rest, &end);
        rest = end;
    }
    return strcmp(rest, "Z") == 0 ? (double)timegm(&parts) + fraction : NAN;
}

double time_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double time_monotonic(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text), tail = strlen(end);
    return length > tail && strcasecmp(text + length - tail, end) == 0;
}

char *value_words(const json_t *value) {
    return json_is_string(value) ? memory_copy(json_string_value(value)) : json_text(value, NULL);
}

char *format_age(const json_t *time, char text[FORMAT_BYTES]) {
    double then = time_parse(json_string_value(time)), age = time_now() - then;
    return format_duration(age < 0 && age > -60 ? 0 : age, text);
}
