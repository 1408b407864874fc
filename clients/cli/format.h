/*
 * Quantities as a person reads them. Each writes into the caller's buffer and returns it.
 */
#ifndef MODPROP_CLI_FORMAT_H
#define MODPROP_CLI_FORMAT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define FORMAT_BYTES 32

/* Seconds: "4.2 s", "3m 07s", "2h 05m", "3d 04h"; "-" where negative or not finite. */
char *format_duration(double seconds, char text[FORMAT_BYTES]);
/* 1536 -> "1.5 KiB". */
char *format_bytes(double bytes, char text[FORMAT_BYTES]);
/* 12500000 -> "12.5 M". */
char *format_count(double count, char text[FORMAT_BYTES]);
/* A JSON number with `digits` significant digits; "-" where it is null or missing. */
char *format_number(const json_t *value, int digits, char text[FORMAT_BYTES]);
/* 0.984 -> "98.4 %"; "-" where it is null or missing. */
char *format_percent(const json_t *fraction, char text[FORMAT_BYTES]);
/* An RFC 3339 UTC time: how long ago ("3m 07s"), "-" where it is null, missing or not a time. */
char *format_age(const json_t *time, char text[FORMAT_BYTES]);

/* A JSON value in words: a string as it is, anything else as JSON. The caller frees it. */
char *value_words(const json_t *value);

/* Seconds since 1970 of an RFC 3339 UTC time; NAN where it is none. */
double time_parse(const char *text);
/* Seconds since 1970 now. */
double time_now(void);
/* Seconds of a clock that is never set: for what lies between two moments. */
double time_monotonic(void);

/* Whether `text` ends in `end` and has more before it; the case of letters does not matter. */
bool ends_with(const char *text, const char *end);

#endif
