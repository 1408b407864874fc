/*
 * Logging: see log.h. The line is built in a fixed buffer on the caller's stack, so that logging needs no memory when
 * memory is what ran out. Rejected: a logging thread with a queue (loses the last lines of a crash, and those are the
 * ones that matter).
 */
#include "server/base/log.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 8192
#define TEXT_BYTES 2000

static enum log_format current_format = LOG_FORMAT_TEXT;
static enum log_level current_level = LOG_LEVEL_INFO;

static const char *const level_names[] = {"error", "warning", "info", "debug"};

struct line {
    char bytes[LINE_BYTES];
    size_t used;
    bool full; /* something did not fit */
};

void log_configure(enum log_format format, enum log_level level) {
    current_format = format;
    current_level = level;
}

bool log_enabled(enum log_level level) {
    return level <= current_level;
}

/* The last two bytes are kept for what ends a line. */
static void line_byte(struct line *line, char byte) {
    if (line->used < LINE_BYTES - 2) {
        line->bytes[line->used++] = byte;
    } else {
        line->full = true;
    }
}

static void line_text(struct line *line, const char *text) {
    for (; *text != '\0'; text++) {
        line_byte(line, *text);
    }
}

/*
 * A quoted string with everything but printable ASCII escaped: a hostile value can neither end its line, nor colour a
 * terminal, nor make the line invalid JSON by bytes that are no UTF-8.
 */
static void line_quoted(struct line *line, const char *text) {
    line_byte(line, '"');
    for (size_t i = 0; text[i] != '\0' && i < TEXT_BYTES; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte == '"' || byte == '\\') {
            line_byte(line, '\\');
            line_byte(line, (char)byte);
        } else if (byte < 0x20 || byte >= 0x7f) {
            char escape[8];
            snprintf(escape, sizeof escape, "\\u%04x", byte);
            line_text(line, escape);
        } else {
            line_byte(line, (char)byte);
        }
    }
    line_byte(line, '"');
}

static bool text_is_plain(const char *text) {
    return *text != '\0' && text[strcspn(text, " \"\\=")] == '\0' && strlen(text) < TEXT_BYTES &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/@+,[]%?&*") == strlen(text);
}

static void line_value(struct line *line, const struct log_field *field) {
    char number[40];
    switch (field->type) {
    case LOG_TEXT:
        if (current_format == LOG_FORMAT_TEXT && text_is_plain(field->text)) {
            line_text(line, field->text);
        } else {
            line_quoted(line, field->text);
        }
        return;
    case LOG_INTEGER:
        snprintf(number, sizeof number, "%lld", (long long)field->integer);
        break;
    case LOG_NUMBER:
        if (isfinite(field->number)) {
            snprintf(number, sizeof number, "%.6g", field->number);
        } else {
            snprintf(number, sizeof number, "null");
        }
        break;
    default:
        return;
    }
    line_text(line, number);
}

/* A field that does not fit is left out whole: the line stays valid. */
static void line_field(struct line *line, const struct log_field *field) {
    size_t before = line->used;
    if (field->type == LOG_TEXT && field->text == NULL) {
        return;
    }
    if (current_format == LOG_FORMAT_JSON) {
        line_text(line, ",\"");
        line_text(line, field->key);
        line_text(line, "\":");
    } else {
        line_byte(line, ' ');
        line_text(line, field->key);
        line_byte(line, '=');
    }
    line_value(line, field);
    if (line->full) {
        line->used = before;
        line->full = false;
    }
}

static void line_head(struct line *line, enum log_level level, const char *message) {
    struct timespec now;
    struct tm utc;
    char stamp[48];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t length = strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(stamp + length, sizeof stamp - length, ".%03ldZ", now.tv_nsec / 1000000);
    if (current_format == LOG_FORMAT_JSON) {
        line_text(line, "{\"time\":\"");
        line_text(line, stamp);
        line_text(line, "\",\"level\":\"");
        line_text(line, level_names[level]);
        line_text(line, "\",\"message\":");
        line_quoted(line, message);
    } else {
        line_text(line, stamp);
        line_byte(line, ' ');
        line_text(line, level_names[level]);
        line_byte(line, ' ');
        line_text(line, message);
    }
}

void log_write(enum log_level level, const char *message, const struct log_field *fields) {
    if (!log_enabled(level)) {
        return;
    }
    int saved = errno;
    struct line line;
    line.used = 0;
    line.full = false;
    line_head(&line, level, message);
    for (; fields->type != LOG_END; fields++) {
        line_field(&line, fields);
    }
    if (current_format == LOG_FORMAT_JSON) {
        line.bytes[line.used++] = '}';
    }
    line.bytes[line.used++] = '\n';
    ssize_t written;
    do {
        written = write(STDERR_FILENO, line.bytes, line.used);
    } while (written < 0 && errno == EINTR);
    errno = saved;
}
