/*
 * Problems: see problem.h. Knows no socket; the server sends what is made here.
 */
#include "api/problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POINTER_BYTES 512
#define DEPTH_MAX 64

/* Appends one reference token, ~ and / escaped (RFC 6901). */
static size_t token_put(char *pointer, size_t used, const char *token) {
    if (used + 2 < POINTER_BYTES) {
        pointer[used++] = '/';
    }
    for (; *token != '\0' && used + 3 < POINTER_BYTES; token++) {
        if (*token == '~' || *token == '/') {
            pointer[used++] = '~';
            pointer[used++] = *token == '~' ? '0' : '1';
        } else {
            pointer[used++] = *token;
        }
    }
    pointer[used] = '\0';
    return used;
}

static size_t pointer_put(char *pointer, const struct path *path) {
    char index[24];
    if (path == NULL) {
        pointer[0] = '\0';
        return 0;
    }
    size_t used = pointer_put(pointer, path->parent);
    snprintf(index, sizeof index, "%zu", path->index);
    return token_put(pointer, used, path->name != NULL ? path->name : index);
}

void problems_add(struct problems *problems, const struct path *path, const char *name, const char *format, ...) {
    char pointer[POINTER_BYTES], detail[512];
    va_list arguments;
    if (problems->count++ >= PROBLEMS_MAX) {
        return;
    }
    size_t used = pointer_put(pointer, path);
    if (name != NULL) {
        token_put(pointer, used, name);
    }
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    if (problems->errors == NULL) {
        problems->errors = json_array();
    }
    json_t *text = json_string(detail);
    if (text == NULL) { /* cut within a character */
        for (char *c = detail; *c != '\0'; c++) {
            *c = (unsigned char)*c >= 0x80 ? '?' : *c;
        }
        text = json_string(detail);
    }
    json_t *where = json_string(pointer);
    json_array_append_new(problems->errors, json_pack("{s:o, s:o}", "pointer", where == NULL ? json_string("") : where, "detail", text));
}

void problems_release(struct problems *problems) {
    json_decref(problems->errors);
    *problems = (struct problems){0};
}

json_t *problem_document(int status, const char *title, const char *detail, struct problems *problems) {
    json_t *document = json_pack("{s:s, s:s, s:i, s:s}", "type", "about:blank", "title", title, "status", status, "detail", detail);
    if (document != NULL && problems != NULL && problems->errors != NULL) {
        json_object_set_new(document, "errors", problems->errors);
        problems->errors = NULL;
    }
    return document;
}

#define QUOTE_BYTES 76

struct quote {
    char *text;
    size_t used;
};

/* Takes what fits and stops the encoder there: json_dumpb would leave out the piece that does not fit and what lay in its place before. */
static int quote_put(const char *piece, size_t size, void *user) {
    struct quote *quote = user;
    size_t room = QUOTE_BYTES + 1 - quote->used;
    size_t taken = size < room ? size : room;
    memcpy(quote->text + quote->used, piece, taken);
    quote->used += taken;
    return taken < size ? -1 : 0;
}

const char *value_quote(const json_t *value, char text[80]) {
    struct quote quote = {.text = text};
    json_dump_callback(value, quote_put, &quote, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9));
    if (quote.used == 0) {
        snprintf(text, 80, "a value that cannot be shown");
    } else if (quote.used <= QUOTE_BYTES) {
        text[quote.used] = '\0';
    } else {
        memcpy(text + QUOTE_BYTES - 3, "...", 4);
    }
    return text;
}

/* Levenshtein's distance, names up to 31 characters; longer ones are far from everything. */
static size_t edit_distance(const char *a, const char *b) {
    size_t row[32], columns = strlen(b);
    if (columns > 31 || strlen(a) > 31) {
        return 99;
    }
    for (size_t j = 0; j <= columns; j++) {
        row[j] = j;
    }
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= columns; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            size_t shift = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = change < shift ? change : shift;
        }
    }
    return row[columns];
}

const char *name_nearest(const char *name, const char *const *known, size_t count) {
    const char *nearest = NULL;
    size_t least = strlen(name) / 3 + 2; /* farther is no help */
    for (size_t i = 0; i < count; i++) {
        size_t distance = edit_distance(name, known[i]);
        if (distance < least) {
            least = distance;
            nearest = known[i];
        }
    }
    return nearest;
}

/* Nesting is checked before jansson sees the text, which recurses. Brackets within strings do not count. */
static bool is_too_deep(const char *text, size_t size) {
    size_t depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (quoted) {
            i += c == '\\';
            quoted = c != '"';
        } else if (c == '"') {
            quoted = true;
        } else if (c == '[' || c == '{') {
            if (++depth > DEPTH_MAX) {
                return true;
            }
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth--;
        }
    }
    return false;
}

json_t *json_parse(const char *text, size_t size, char error[256]) {
    json_error_t fault;
    if (text == NULL || size == 0) {
        snprintf(error, 256, "the body must be a JSON object; it is empty");
        return NULL;
    }
    if (is_too_deep(text, size)) {
        snprintf(error, 256, "the body must not be nested deeper than %d", DEPTH_MAX);
        return NULL;
    }
    json_t *document = json_loadb(text, size, JSON_REJECT_DUPLICATES, &fault);
    if (document == NULL) {
        snprintf(error, 256, "the body is not JSON: line %d, column %d: %.150s", fault.line, fault.column, fault.text);
    } else if (!json_is_object(document)) {
        snprintf(error, 256, "the body must be a JSON object");
        json_decref(document);
        document = NULL;
    }
    return document;
}
