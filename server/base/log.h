/*
 * Structured logging to standard error: one line per entry, as JSON or as text.
 *
 * An entry is a constant message plus named fields, so that programs can search the log; nothing is ever interpolated
 * into the message. Any thread may log; lines never mix. Logging never blocks: a line that its reader does not take at
 * once is dropped and counted, and a later line reports the number. Callers never pass secrets (tokens, Authorization
 * headers, bodies) to this interface.
 */
#ifndef MODPROP_SERVER_LOG_H
#define MODPROP_SERVER_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

enum log_type { LOG_END, LOG_TEXT, LOG_INTEGER, LOG_NUMBER };

struct log_field {
    enum log_type type;
    const char *key;
    const char *text; /* LOG_TEXT; NULL leaves the field out */
    int64_t integer;
    double number;
};

#define LOG_T(name, value) ((struct log_field){.type = LOG_TEXT, .key = (name), .text = (value)})
#define LOG_I(name, value) ((struct log_field){.type = LOG_INTEGER, .key = (name), .integer = (int64_t)(value)})
#define LOG_N(name, value) ((struct log_field){.type = LOG_NUMBER, .key = (name), .number = (value)})

/* Sets what is written from now on; call it before other threads start. The default is text and info. */
void log_configure(enum log_format format, enum log_level level);

/* True if an entry of this level would be written: for callers whose fields are expensive to compute. */
bool log_enabled(enum log_level level);

/* Reports dropped lines if that is possible now; call it each second. */
void log_tick(void);

/* Lines that were dropped since the start. */
uint64_t log_lost(void);

/* Writes one entry; fields end with a field of type LOG_END. Texts longer than 2,000 bytes are truncated. */
void log_write(enum log_level level, const char *message, const struct log_field *fields);

#define LOG_FIELDS(...) ((const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){.type = LOG_END}})
#define log_error(message, ...) log_write(LOG_LEVEL_ERROR, message, LOG_FIELDS(__VA_ARGS__))
#define log_warning(message, ...) log_write(LOG_LEVEL_WARNING, message, LOG_FIELDS(__VA_ARGS__))
#define log_info(message, ...) log_write(LOG_LEVEL_INFO, message, LOG_FIELDS(__VA_ARGS__))
#define log_debug(message, ...) log_write(LOG_LEVEL_DEBUG, message, LOG_FIELDS(__VA_ARGS__))

#endif
