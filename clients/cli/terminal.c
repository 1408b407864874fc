/*
 * What the program knows about where it writes. See terminal.h.
 */
#include "clients/cli/terminal.h"

#include <langinfo.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "api/printable.h"

#define WRAP_MAX 100 /* longer lines are hard to read */

void terminal_init(struct terminal *terminal, FILE *file) {
    const char *no_colour = getenv("NO_COLOR"), *kind = getenv("TERM");
    terminal->file = file;
    terminal->is_terminal = isatty(fileno(file)) == 1;
    terminal->moves = terminal->is_terminal && kind != NULL && strcmp(kind, "dumb") != 0;
    terminal->colour = terminal->moves && (no_colour == NULL || *no_colour == '\0');
    terminal->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

int terminal_columns(const struct terminal *terminal) {
    struct winsize size;
    int columns = 0;
    if (terminal->is_terminal && ioctl(fileno(terminal->file), TIOCGWINSZ, &size) == 0) {
        columns = size.ws_col;
    }
    const char *variable = getenv("COLUMNS");
    if (columns <= 0 && variable != NULL) {
        columns = (int)strtol(variable, NULL, 10);
    }
    columns = columns <= 0 || columns > 10000 ? 80 : columns;
    return columns < 20 ? 20 : columns;
}

int terminal_rows(const struct terminal *terminal) {
    struct winsize size;
    return terminal->is_terminal && ioctl(fileno(terminal->file), TIOCGWINSZ, &size) == 0 && size.ws_row > 0
               ? size.ws_row
               : 24;
}

bool terminal_confirm(const char *question) {
    char answer[16];
    if (isatty(STDIN_FILENO) != 1 || isatty(STDERR_FILENO) != 1) {
        return true;
    }
    fprintf(stderr, "%s [y/N] ", terminal_shown(question));
    fflush(stderr);
    return fgets(answer, sizeof answer, stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
}

const char *terminal_paint(const struct terminal *terminal, enum paint paint) {
    static const char *const sequences[] = {"\033[0m",  "\033[1m",  "\033[2m",  "\033[31m", "\033[32m",
                                            "\033[33m", "\033[34m", "\033[35m", "\033[36m"};
    return terminal->colour ? sequences[paint] : "";
}

void terminal_wrap(const struct terminal *terminal, const char *sentence, int indent) {
    int columns = terminal_columns(terminal), at = indent;
    columns = columns > WRAP_MAX ? WRAP_MAX : columns;
    while (*sentence != '\0') {
        int length = (int)strcspn(sentence, " \n");
        if (at > indent && at + 1 + length > columns) {
            fprintf(terminal->file, "\n%*s", indent, "");
            at = indent;
        } else if (at > indent) {
            fputc(' ', terminal->file);
            at++;
        }
        fprintf(terminal->file, "%.*s", length, sentence);
        at += length;
        sentence += length + (sentence[length] != '\0');
    }
    fputc('\n', terminal->file);
}

void terminal_clean(struct text *text, const char *string, bool lines) {
    size_t before = text->size;
    text_add(text, string == NULL ? "" : string);
    printable_make(text->data + before, lines);
    text->size = before + strlen(text->data + before);
}

const char *terminal_shown(const char *string) {
    static struct text ring[SHOWN_AT_ONCE];
    static size_t next;
    struct text *text = &ring[next++ % SHOWN_AT_ONCE];
    text_clear(text);
    terminal_clean(text, string, false);
    return text->data;
}

static int code_width(uint32_t code) {
    int width = code < 0x80 ? 1 : wcwidth((wchar_t)code);
    return width < 0 ? 1 : width;
}

int terminal_width(const char *string) {
    int width = 0;
    for (const char *at = string; *at != '\0';) {
        uint32_t code;
        int length = utf8_decode(at, &code);
        width += length == 0 ? 1 : code_width(code);
        at += length == 0 ? 1 : length;
    }
    return width;
}

int terminal_fit(const struct terminal *terminal, struct text *text, const char *string, int columns) {
    int width = terminal_width(string);
    if (width <= columns) {
        text_add(text, string);
        return width;
    }
    int used = 0;
    for (const char *at = string; columns > 0;) {
        uint32_t code;
        int length = utf8_decode(at, &code), wide = length == 0 ? 1 : code_width(code);
        if (used + wide > columns - 1) {
            break;
        }
        text_append(text, at, length == 0 ? 1 : (size_t)length);
        at += length == 0 ? 1 : length;
        used += wide;
    }
    if (columns > 0) {
        text_add(text, terminal->utf8 ? "\u2026" : "~");
        used++;
    }
    return used;
}
