/*
 * Logging: see log.h. The line is built in a fixed buffer on the caller's stack, so that logging works when memory has
 * run out. Rejected: a logging thread with a queue (it loses the last lines before a crash, which matter most).
 *
 * Logging never waits for a reader of standard error that has stopped reading. Setting O_NONBLOCK on the descriptor
 * itself would set it for every process that shares it (a shell's terminal), so a pipe or terminal is opened a second
 * time through /proc, a socket is written with MSG_DONTWAIT, and a file, which has no reader, is written directly. What
 * cannot be written at once is dropped and counted; the rest of a line that was cut is kept and goes first, so that
 * lines stay complete. One mutex orders the writers; nothing blocks while holding it.
 */
#include "server/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
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

bool log_enabled(enum log_level level) {
    return level <= current_level;
}

/* The last two bytes are reserved for the end of a line. */
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
 * A quoted string with everything but printable ASCII escaped: a hostile value can neither end the line, nor colour a
 * terminal, nor make the line invalid JSON with bytes that are not UTF-8.
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

/* A field that does not fit is dropped entirely: the line stays valid. */
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

static void line_make(struct line *line, enum log_level level, const char *message, const struct log_field *fields) {
    line->used = 0;
    line->full = false;
    line_head(line, level, message);
    for (; fields->type != LOG_END; fields++) {
        line_field(line, fields);
    }
    if (current_format == LOG_FORMAT_JSON) {
        line->bytes[line->used++] = '}';
    }
    line->bytes[line->used++] = '\n';
}

/* ---- the way out ---- */

enum out_kind { OUT_FILE, OUT_SOCKET, OUT_OPENED, OUT_POLLED };

static struct {
    pthread_mutex_t mutex;
    enum out_kind kind;
    int descriptor;
    char rest[LINE_BYTES]; /* the rest of a line that was cut; it goes before the next one */
    size_t rest_size;
    uint64_t lost;      /* lines dropped since the start */
    uint64_t announced; /* those of them that a log line has reported */
} out = {.mutex = PTHREAD_MUTEX_INITIALIZER, .kind = OUT_FILE, .descriptor = STDERR_FILENO};

static void out_choose(void) {
    struct stat status;
    if (fstat(STDERR_FILENO, &status) != 0 || S_ISREG(status.st_mode)) {
        return;
    }
    if (S_ISSOCK(status.st_mode)) {
        out.kind = OUT_SOCKET;
        return;
    }
    int opened = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_APPEND | O_NOCTTY | O_CLOEXEC);
    out.kind = opened >= 0 ? OUT_OPENED : OUT_POLLED;
    out.descriptor = opened >= 0 ? opened : STDERR_FILENO;
}

/* Like write(2), but returns EAGAIN instead of waiting. */
static ssize_t out_write(const char *bytes, size_t size) {
    struct pollfd ready = {.fd = out.descriptor, .events = POLLOUT};
    ssize_t written;
    do {
        if (out.kind == OUT_POLLED && poll(&ready, 1, 0) == 0) {
            errno = EAGAIN;
            return -1;
        }
        /* a pipe that is ready accepts this much without blocking */
        written = out.kind == OUT_SOCKET   ? send(out.descriptor, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL)
                  : out.kind == OUT_POLLED ? write(out.descriptor, bytes, size < 4096 ? size : 4096)
                                           : write(out.descriptor, bytes, size);
    } while (written < 0 && errno == EINTR);
    return written;
}

/* Sends the rest of a cut line; false if some of it is left. A descriptor that fails permanently accepts nothing. */
static bool out_flush(void) {
    while (out.rest_size > 0) {
        ssize_t written = out_write(out.rest, out.rest_size);
        if (written <= 0) {
            out.rest_size = written < 0 && errno != EAGAIN ? 0 : out.rest_size;
            return out.rest_size == 0;
        }
        out.rest_size -= (size_t)written;
        memmove(out.rest, out.rest + written, out.rest_size);
    }
    return true;
}

/* False if nothing of the line could be written. */
static bool out_line(const struct line *line) {
    if (!out_flush()) {
        return false;
    }
    ssize_t written = out_write(line->bytes, line->used);
    if (written <= 0) {
        return false;
    }
    out.rest_size = line->used - (size_t)written;
    memcpy(out.rest, line->bytes + written, out.rest_size);
    return true;
}

/* Reports what was lost once writing works again; false if it still does not. */
static bool out_recover(void) {
    struct line line;
    if (out.lost == out.announced) {
        return true;
    }
    line_make(&line, LOG_LEVEL_WARNING, "log lines were dropped because nothing read them in time",
              LOG_FIELDS(LOG_I("lines", out.lost - out.announced)));
    bool written = out_line(&line);
    out.announced = written ? out.lost : out.announced;
    return written;
}

void log_configure(enum log_format format, enum log_level level) {
    current_format = format;
    current_level = level;
    out_choose();
}

void log_write(enum log_level level, const char *message, const struct log_field *fields) {
    if (!log_enabled(level)) {
        return;
    }
    int saved = errno;
    struct line line;
    line_make(&line, level, message, fields);
    pthread_mutex_lock(&out.mutex);
    if (!out_recover() || !out_line(&line)) {
        out.lost++;
    }
    pthread_mutex_unlock(&out.mutex);
    errno = saved;
}

void log_tick(void) {
    pthread_mutex_lock(&out.mutex);
    if (out_flush()) {
        (void)out_recover();
    }
    pthread_mutex_unlock(&out.mutex);
}

uint64_t log_lost(void) {
    pthread_mutex_lock(&out.mutex);
    uint64_t lost = out.lost;
    pthread_mutex_unlock(&out.mutex);
    return lost;
}
