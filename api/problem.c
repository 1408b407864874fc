/*
 * Problems: see problem.h. Has no socket; the server sends what is made here.
 */
#include "api/problem.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/text.h"
#include "core/base/options.h"

#define POINTER_BYTES 512
#define DEPTH_MAX 64

json_t *json_string_of(char *text) {
    json_t *string = json_string(text);
    for (char *c = text; string == NULL && *c != '\0'; c++) {
        *c = (unsigned char)*c >= 0x80 ? '?' : *c;
    }
    return string == NULL ? json_string(text) : string;
}

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
    json_array_append_new(problems->errors, json_pack("{s:o, s:o}", "pointer", json_string_of(pointer), "detail",
                                                      json_string_of(detail)));
}

/* Names beyond the reported ones are not examined: a million unknown names must cost nothing. */
void problems_add_unknown(struct problems *problems, const struct path *path, const char *name, const char *what,
                          const char *const *known, size_t count) {
    const char *nearest = problems->count < PROBLEMS_MAX ? name_nearest(name, known, count) : NULL;
    if (nearest != NULL) {
        problems_add(problems, path, name, "is not a known %s; did you mean \"%s\"?", what, nearest);
    } else {
        problems_add(problems, path, name, "is not a known %s", what);
    }
}

void problems_release(struct problems *problems) {
    json_decref(problems->errors);
    *problems = (struct problems){0};
}

json_t *problem_document(int status, const char *title, const char *detail, struct problems *problems) {
    char counted[256];
    if (problems != NULL && problems->count > PROBLEMS_MAX) {
        snprintf(counted, sizeof counted, "%.150s; it has %zu, of which the first %d are listed", detail,
                 problems->count, PROBLEMS_MAX);
        detail = counted;
    }
    json_t *document = json_pack("{s:s, s:s, s:i, s:s}", "type", "about:blank", "title", title, "status", status,
                                 "detail", detail);
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

/*
 * Takes what fits and stops the encoder there: json_dumpb would drop the piece that does not fit and keep what was in
 * its place before.
 */
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
    json_dump_callback(value, quote_put, &quote,
                       JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9));
    if (quote.used == 0) {
        snprintf(text, 80, "a value that cannot be shown");
    } else if (quote.used <= QUOTE_BYTES) {
        text[quote.used] = '\0';
    } else {
        memcpy(text + QUOTE_BYTES - 3, "...", 4);
    }
    return text;
}

/* Nesting is checked before jansson, which recurses, sees the text. Brackets within strings do not count. */
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

static json_t *parse(const char *text, size_t size, char error[256], bool *overflow) {
    json_error_t fault;
    *overflow = false;
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
        *overflow = json_error_code(&fault) == json_error_numeric_overflow;
        /* jansson's own words for it name its flag */
        const char *why = json_error_code(&fault) == json_error_null_character
                              ? "a text must not have the character \\u0000"
                              : fault.text;
        snprintf(error, 256, "the body is not JSON: line %d, column %d: %.150s", fault.line, fault.column, why);
    } else if (!json_is_object(document)) {
        snprintf(error, 256, "the body must be a JSON object");
        json_decref(document);
        document = NULL;
    }
    return document;
}

json_t *json_parse(const char *text, size_t size, char error[256]) {
    bool overflow;
    return parse(text, size, error, &overflow);
}

/* ---- bodies ---- */

/* The state of a walk through a text: one level per open bracket. */
struct level {
    struct path path; /* its parent is the level below; index counts the entries of a list */
    const char *key;  /* of an object: the last key's opening quote; NULL in a list */
    size_t key_size;  /* quotes included */
    char name[128];   /* the key decoded, once a fault is reported */
};

struct walk {
    struct level levels[DEPTH_MAX + 1];
    size_t depth, values, members; /* values: separators and brackets, roughly what jansson allocates */
    struct problems *problems;
};

/* Just after the string that starts at text[at], or `size`. */
static size_t string_skip(const char *text, size_t at, size_t size) {
    for (at++; at < size && text[at] != '"'; at++) {
        at += text[at] == '\\';
    }
    return at < size ? at + 1 : size;
}

static size_t digits_skip(const char *text, size_t at, size_t size) {
    while (at < size && text[at] >= '0' && text[at] <= '9') {
        at++;
    }
    return at;
}

/* Just after the number that starts at text[at], where jansson ends it too. */
static size_t number_skip(const char *text, size_t at, size_t size) {
    at = digits_skip(text, at + (text[at] == '-'), size);
    if (at < size && text[at] == '.') {
        at = digits_skip(text, at + 1, size);
    }
    if (at < size && (text[at] == 'e' || text[at] == 'E')) {
        at++;
        at = digits_skip(text, at + (at < size && (text[at] == '+' || text[at] == '-')), size);
    }
    return at;
}

/* True if the number exceeds int64 or double: jansson refuses it. */
static bool number_overflows(const char *number, size_t length) {
    char copy[512];
    if (length >= sizeof copy) {
        return true;
    }
    memcpy(copy, number, length);
    copy[length] = '\0';
    errno = 0;
    if (strcspn(copy, ".eE") == length) {
        strtoll(copy, NULL, 10);
        return errno == ERANGE;
    }
    return isinf(strtod(copy, NULL));
}

static void complain_overflow(struct walk *walk, const char *number, size_t length) {
    for (size_t i = 1; i <= walk->depth; i++) {
        struct level *level = &walk->levels[i];
        level->path.parent = i == 1 ? NULL : &walk->levels[i - 1].path;
        level->path.name = NULL;
        if (level->key != NULL) {
            json_t *name = json_loadb(level->key, level->key_size, JSON_DECODE_ANY, NULL);
            snprintf(level->name, sizeof level->name, "%s", name == NULL ? "?" : json_string_value(name));
            json_decref(name);
            level->path.name = level->name;
        }
    }
    problems_add(walk->problems, walk->depth == 0 ? NULL : &walk->levels[walk->depth].path, NULL,
                 "must be %s; got %.*s%s",
                 memchr(number, '.', length) || memchr(number, 'e', length) || memchr(number, 'E', length)
                     ? "a number of magnitude below 1.8e308"
                     : "an integer of 64 bits",
                 (int)(length > 60 ? 60 : length), number, length > 60 ? "..." : "");
}

/* One character outside strings and numbers. */
static void walk_bracket(struct walk *walk, char c) {
    walk->values += c == ',' || c == '[' || c == '{';
    walk->members += c == ':';
    if (c == '[' || c == '{') {
        walk->depth += walk->depth < DEPTH_MAX;
        walk->levels[walk->depth] = (struct level){0};
    } else if ((c == ']' || c == '}') && walk->depth > 0) {
        walk->depth--;
    } else if (c == ',' && walk->levels[walk->depth].key == NULL) {
        walk->levels[walk->depth].path.index++;
    }
}

/*
 * Counts the values and members; with problems, reports every number that is too large. The text need not be well
 * formed.
 */
static struct walk body_walk(const char *text, size_t size, struct problems *problems) {
    struct walk walk = {.problems = problems};
    for (size_t at = 0; at < size;) {
        size_t from = at;
        if (text[at] == '"') {
            at = string_skip(text, at, size);
            size_t next = at;
            while (next < size && strchr(" \t\r\n", text[next]) != NULL && text[next] != '\0') {
                next++;
            }
            if (next < size && text[next] == ':') {
                walk.levels[walk.depth].key = text + from;
                walk.levels[walk.depth].key_size = at - from;
            }
        } else if (problems != NULL && text[at] != '\0' && strchr("-0123456789", text[at]) != NULL) {
            at = number_skip(text, at, size);
            if (number_overflows(text + from, at - from)) {
                complain_overflow(&walk, text + from, at - from);
            }
        } else {
            walk_bracket(&walk, text[at++]);
        }
    }
    return walk;
}

json_t *json_parse_body(const char *text, size_t size, struct problems *problems, int *status, char error[256]) {
    bool overflow = false;
    *status = 413;
    const struct walk counted = body_walk(text, text == NULL ? 0 : size, NULL);
    if (counted.values > JSON_VALUES_MAX || counted.members > JSON_MEMBERS_MAX) {
        bool members = counted.members > JSON_MEMBERS_MAX;
        snprintf(error, 256, "the body must have at most %d %s; it has about %zu",
                 members ? JSON_MEMBERS_MAX : JSON_VALUES_MAX,
                 members ? "members of objects" : "values (numbers, strings, lists, objects)",
                 members ? counted.members : counted.values);
        return NULL;
    }
    *status = 400;
    const uint64_t begin = json_memory_begin();
    json_t *document = parse(text, size, error, &overflow);
    if (json_memory_short(begin)) {
        (void)json_memory_begin(); /* the document is discarded */
        json_decref(document);
        *status = 503;
        snprintf(error, 256, "not enough memory to read the body now");
        return NULL;
    }
    if (document == NULL && overflow) {
        *status = 422;
        body_walk(text, size, problems);
        if (problems->count == 0) { /* part of something that is not JSON anyway */
            problems_add(problems, NULL, NULL, "%s", error);
        }
        snprintf(error, 256, "the body has numbers that are too large");
    }
    return document;
}
