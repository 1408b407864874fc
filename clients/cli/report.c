/*
 * Errors, on standard error. See report.h.
 *
 * A problem document's pointers become the paths that --set takes (/rule/mu is rule.mu), so that what is read can be
 * typed.
 */
#include "clients/cli/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/terminal.h"

static struct {
    bool json, begun;
    struct terminal terminal;
} report;

void report_begin(bool json, bool colour) {
    report.json = json;
    report.begun = true;
    terminal_init(&report.terminal, stderr);
    report.terminal.colour = report.terminal.colour && colour;
}

static const char *paint(enum paint colour) {
    return report.begun ? terminal_paint(&report.terminal, colour) : "";
}

/* What was written to standard output comes first, also where both are one file. */
static void emit(const char *colour, const char *sentence) {
    struct text clean = {0};
    terminal_clean(&clean, sentence, true);
    fflush(stdout);
    fprintf(stderr, "%smodprop:%s %s\n", colour, paint(PAINT_NONE), clean.data == NULL ? "" : clean.data);
    text_release(&clean);
}

static void emit_json(json_t *problem) {
    char *line = json_dumps(problem, JSON_COMPACT | JSON_ENSURE_ASCII); /* a terminal obeys C1 characters */
    fflush(stdout);
    fprintf(stderr, "%s\n", line == NULL ? "{}" : line);
    free(line);
    json_decref(problem);
}

enum status report_error(enum status status, const char *format, ...) {
    static const char *const titles[] = {"ok", "job", "usage", "unreachable", "refused", "failed"};
    char *sentence = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&sentence, format, arguments);
    va_end(arguments);
    if (length >= 0 && report.json) {
        json_t *detail = json_string(sentence);
        emit_json(json_pack("{s:s, s:s, s:o, s:i}", "type", "about:blank", "title",
                            (size_t)status < 6 ? titles[status] : "interrupted", "detail",
                            detail == NULL ? json_string("(text that is not UTF-8)") : detail, "exit", (int)status));
    } else if (length >= 0) {
        emit(paint(PAINT_RED), sentence);
    }
    free(length >= 0 ? sentence : NULL);
    return status;
}

void report_note(const char *format, ...) {
    char *sentence = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&sentence, format, arguments);
    va_end(arguments);
    if (length >= 0 && !report.json) {
        emit(paint(PAINT_YELLOW), sentence);
    }
    free(length >= 0 ? sentence : NULL);
}

/* "/rule/mu" as "rule.mu"; "" as "(the body)". ~1 and ~0 stand for / and ~. */
static void path_put(struct text *text, const char *pointer) {
    if (*pointer == '\0') {
        text_add(text, "(the body)");
        return;
    }
    for (const char *at = pointer + (*pointer == '/'); *at != '\0'; at++) {
        if (*at == '~' && (at[1] == '0' || at[1] == '1')) {
            at++;
            text_add(text, *at == '0' ? "~" : "/");
        } else {
            text_append(text, *at == '/' ? "." : at, 1);
        }
    }
}

/* The faults of a problem document below one another, fields aligned. */
static void faults_put(const json_t *errors) {
    size_t index;
    json_t *fault;
    int widest = 0;
    json_array_foreach((json_t *)errors, index, fault) {
        const char *pointer = json_string_value(json_object_get(fault, "pointer"));
        int width = pointer == NULL || *pointer == '\0' ? 10 : terminal_width(pointer) - 1;
        widest = width > widest && width <= 40 ? width : widest;
    }
    json_array_foreach((json_t *)errors, index, fault) {
        const char *pointer = json_string_value(json_object_get(fault, "pointer")),
                   *detail = json_string_value(json_object_get(fault, "detail"));
        struct text path = {0}, field = {0}, sentence = {0};
        path_put(&path, pointer == NULL ? "" : pointer);
        terminal_clean(&field, path.data, false);
        terminal_clean(&sentence, detail == NULL ? "is wrong" : detail, false);
        int pad = widest - terminal_width(field.data);
        fprintf(stderr, "  %s%s%s%*s  %s\n", paint(PAINT_BOLD), field.data, paint(PAINT_NONE), pad > 0 ? pad : 0, "",
                sentence.data);
        text_release(&path);
        text_release(&field);
        text_release(&sentence);
    }
}

enum status report_problem(const char *doing, int status, const char *body) {
    json_t *problem = body == NULL ? NULL : json_loads(body, 0, NULL);
    const char *title = json_string_value(json_object_get(problem, "title")),
               *detail = json_string_value(json_object_get(problem, "detail"));
    const json_t *errors = json_object_get(problem, "errors");
    if (report.json && json_is_object(problem)) {
        emit_json(problem);
        return STATUS_REFUSED;
    }
    struct text sentence = {0};
    text_printf(&sentence, "cannot %s: ", doing);
    if (detail != NULL || title != NULL) {
        text_printf(&sentence, "%s (%d)", detail != NULL ? detail : title, status);
    } else {
        text_printf(&sentence, "the server answered %d%s%.*s", status, body == NULL || *body == '\0' ? "" : ": ",
                    body == NULL ? 0 : (int)strcspn(body, "\r\n"), body == NULL ? "" : body);
    }
    if (status == 401) {
        text_add(&sentence, "\nGive a token by --token-file, MODPROP_TOKEN or the configuration file (modprop help).");
    }
    if (json_array_size(errors) > 0) {
        emit(paint(PAINT_RED), sentence.data);
        faults_put(errors);
    } else {
        report_error(STATUS_REFUSED, "%s", sentence.data);
    }
    text_release(&sentence);
    json_decref(problem);
    return STATUS_REFUSED;
}
