/*
 * Options: see options.h.
 */
#include "core/base/options.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NAMES_MAX 128 /* that are compared with a misspelt one */
#define LETTER_BYTES 64

static bool fail(char *fault, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool fail(char *fault, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(fault, OPTION_FAULT_BYTES, format, arguments);
    va_end(arguments);
    return false;
}

/* ---- tables ---- */

const struct option *option_at(const struct option_table *table, size_t index) {
    return (const struct option *)(const void *)((const char *)table->first + index * table->stride);
}

static bool name_is(const char *known, const char *name, size_t length) {
    size_t i = 0;
    while (i < length && known[i] != '\0' && (known[i] == name[i] || (known[i] == '-' && name[i] == '_'))) {
        i++;
    }
    return i == length && known[i] == '\0';
}

/* By name, or by letter where that is NULL. */
static const struct option *find(const struct option_words *words, const char *name, size_t length, char letter) {
    for (size_t i = 0; i < 2; i++) {
        const struct option_table *table = &words->tables[i];
        for (size_t j = 0; table->first != NULL && option_at(table, j)->name != NULL; j++) {
            const struct option *option = option_at(table, j);
            if (name != NULL ? name_is(option->name, name, length) : letter != 0 && option->letter == letter) {
                return option;
            }
        }
    }
    return NULL;
}

const struct option *option_find(const struct option_words *words, const char *name, size_t length) {
    return find(words, name, length, 0);
}

const struct option *option_find_letter(const struct option_words *words, char letter) {
    return find(words, NULL, 0, letter);
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

const char *name_nearest_in(const char *name, const void *items, size_t stride, size_t count) {
    const char *nearest = NULL;
    size_t least = strlen(name) / 3 + 2; /* names farther away are no help */
    for (size_t i = 0; i < count; i++) {
        const char *known;
        memcpy(&known, (const char *)items + i * stride, sizeof known);
        size_t distance = edit_distance(name, known);
        if (distance < least) {
            least = distance;
            nearest = known;
        }
    }
    return nearest;
}

const char *name_nearest(const char *name, const char *const *known, size_t count) {
    return name_nearest_in(name, known, sizeof *known, count);
}

/* ---- words ---- */

static bool unknown_option(const struct option_words *words, const char *word, char *fault) {
    const char *names[NAMES_MAX];
    char name[LETTER_BYTES];
    size_t count = 0;
    for (size_t i = 0; i < 2; i++) {
        const struct option_table *table = &words->tables[i];
        for (size_t j = 0; table->first != NULL && count < NAMES_MAX && option_at(table, j)->name != NULL; j++) {
            names[count++] = option_at(table, j)->name;
        }
    }
    int length = (int)strcspn(word, "=");
    bool is_long = strncmp(word, "--", 2) == 0;
    snprintf(name, sizeof name, "%.*s", length > 2 ? length - 2 : 0, word + 2);
    const char *nearest = is_long ? name_nearest(name, names, count) : NULL;
    return fail(fault, "there is no option %.*s%s%s%s (%s --help lists them)", length > 100 ? 100 : length, word,
                nearest == NULL ? "" : "; did you mean --", nearest == NULL ? "" : nearest, nearest == NULL ? "" : "?",
                words->program);
}

static bool give(const struct option *option, const char *value, option_take take, void *user, char *fault) {
    if (option->type != OPTION_SWITCH && value == NULL) {
        return fail(fault, "--%s needs a value (%s)", option->name, option->value);
    }
    return take(user, option, value, fault);
}

static bool read_long(const struct option_words *words, char **argument, int left, int *used, option_take take,
                      void *user, char *fault) {
    const char *name = argument[0] + 2;
    size_t length = strcspn(name, "=");
    const struct option *option = option_find(words, name, length);
    if (option == NULL) {
        return unknown_option(words, argument[0], fault);
    }
    const char *value = name[length] == '=' ? name + length + 1 : NULL;
    if (value == NULL && option->type != OPTION_SWITCH && left > 1) {
        value = argument[1];
        *used = 2;
    }
    return give(option, value, take, user, fault);
}

bool option_read_word(const struct option_words *words, char **argument, int left, int *used, option_take take,
                      void *user, char fault[OPTION_FAULT_BYTES]) {
    *used = 1;
    if (argument[0][1] == '-') {
        return read_long(words, argument, left, used, take, user, fault);
    }
    for (const char *at = argument[0] + 1; *at != '\0'; at++) {
        const struct option *option = option_find_letter(words, *at);
        if (option == NULL) {
            return unknown_option(words, argument[0], fault);
        }
        bool has_value = option->type != OPTION_SWITCH;
        const char *value = !has_value ? NULL : at[1] != '\0' ? at + 1 : left > 1 ? argument[1] : NULL;
        *used = value != NULL && at[1] == '\0' ? 2 : *used;
        if (!give(option, value, take, user, fault)) {
            return false;
        }
        if (has_value) {
            break;
        }
    }
    return true;
}

/* ---- values ---- */

/* The factor of a unit after a number ("" is 1), or 0. */
static int64_t unit_factor(enum option_type type, const char *unit) {
    static const char sizes[] = "KMGT";
    static const struct {
        const char *name;
        int64_t seconds;
    } times[] = {{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
    if (*unit == '\0') {
        return 1;
    }
    for (size_t i = 0; type == OPTION_SECONDS && i < sizeof times / sizeof times[0]; i++) {
        if (strcmp(unit, times[i].name) == 0) {
            return times[i].seconds;
        }
    }
    const char *size = type == OPTION_BYTES ? strchr(sizes, toupper((unsigned char)*unit)) : NULL;
    bool is_whole = unit[1] == '\0' || strcmp(unit + 1, "iB") == 0 || strcmp(unit + 1, "B") == 0;
    return size != NULL && is_whole ? INT64_C(1) << 10 * (size - sizes + 1) : 0;
}

static bool read_number(const struct option *option, const char *origin, const char *value, int64_t *number,
                        char *fault) {
    static const char *const kinds[] = {[OPTION_INTEGER] = "an integer",
                                        [OPTION_BYTES] = "a number of bytes (such as 512K or 8G)",
                                        [OPTION_SECONDS] = "a number of seconds (such as 90, 15m or 2h)"};
    char *end = NULL;
    errno = 0;
    long long count = strtoll(value, &end, 10);
    bool is_plain = (value[0] == '-' || isdigit((unsigned char)value[0])) && errno == 0;
    int64_t factor = is_plain && end != value ? unit_factor(option->type, end) : 0;
    if (factor != 0 && !__builtin_mul_overflow((int64_t)count, factor, number) && *number >= option->low &&
        *number <= option->high) {
        return true;
    }
    return option->high == INT64_MAX ? fail(fault, "%s must be %s of at least %lld; got \"%.100s\"", origin,
                                            kinds[option->type], option->low, value)
                                     : fail(fault, "%s must be %s from %lld to %lld; got \"%.100s\"", origin,
                                            kinds[option->type], option->low, option->high, value);
}

static bool read_switch(const char *origin, const char *value, int64_t *number, char *fault) {
    static const char *const yes[] = {"true", "yes", "on", "1"}, *const no[] = {"false", "no", "off", "0"};
    *number = value == NULL;
    for (size_t i = 0; value != NULL && i < sizeof yes / sizeof yes[0]; i++) {
        if (strcasecmp(value, yes[i]) == 0 || strcasecmp(value, no[i]) == 0) {
            *number = strcasecmp(value, yes[i]) == 0;
            return true;
        }
    }
    return value == NULL || fail(fault, "%s must be true or false; got \"%.100s\"", origin, value);
}

static bool read_choice(const struct option *option, const char *origin, const char *value, int64_t *number,
                        char *fault) {
    char known[256] = "";
    size_t used = 0;
    *number = 0;
    for (const char *at = option->value; *at != '\0'; (*number)++) {
        size_t length = strcspn(at, "|");
        if (strlen(value) == length && strncmp(at, value, length) == 0) {
            return true;
        }
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%.*s", used == 0 ? "" : ", ", (int)length, at);
        used = used < sizeof known ? used : sizeof known - 1;
        at += length + (at[length] == '|');
    }
    return fail(fault, "%s must be one of %s; got \"%.100s\"", origin, known, value);
}

bool option_read_value(const struct option *option, const char *origin, const char *value, int64_t *number,
                       char fault[OPTION_FAULT_BYTES]) {
    *number = 0;
    switch (option->type) {
    case OPTION_SWITCH:
        return read_switch(origin, value, number, fault);
    case OPTION_CHOICE:
        return read_choice(option, origin, value, number, fault);
    case OPTION_INTEGER:
    case OPTION_BYTES:
    case OPTION_SECONDS:
        return read_number(option, origin, value, number, fault);
    default:
        return *value != '\0' || fail(fault, "%s must not be empty", origin);
    }
}

const char *option_list_next(const char **rest, size_t *length) {
    const char *from = *rest;
    if (from == NULL) {
        return NULL;
    }
    from += strspn(from, " ");
    size_t whole = strcspn(from, ",");
    *rest = from[whole] == ',' ? from + whole + 1 : NULL;
    while (whole > 0 && from[whole - 1] == ' ') {
        whole--;
    }
    *length = whole;
    return from;
}

void option_variable(const struct option *option, const char *prefix, char variable[64]) {
    size_t from = strlen(prefix);
    int length = snprintf(variable, 64, "%s%s", prefix, option->name);
    for (size_t i = from; i < (size_t)length && i < 63; i++) {
        variable[i] = variable[i] == '-' ? '_' : (char)toupper((unsigned char)variable[i]);
    }
}

const char *variable_find(char **environment, const char *name) {
    size_t length = strlen(name);
    for (char **entry = environment; *entry != NULL; entry++) {
        if (strncmp(*entry, name, length) == 0 && (*entry)[length] == '=') {
            return *entry + length + 1;
        }
    }
    return NULL;
}

const char *option_variable_find(const struct option *option, const char *prefix, char **environment,
                                 char variable[64]) {
    option_variable(option, prefix, variable);
    return variable_find(environment, variable);
}

/* ---- rows that fill a struct ---- */

struct option_words option_rows_words(const struct option_row *rows, const char *program) {
    return (struct option_words){.tables = {{&rows->option, sizeof *rows}}, .program = program};
}

const struct option_row *option_row_of(const struct option *option) {
    return (const struct option_row *)(const void *)option; /* its first member */
}

void *option_row_field(const struct option_row *row, void *fields) {
    return (char *)fields + row->offset;
}

static bool set_text(char **field, const char *value, const char *origin, char *fault) {
    char *copy = strdup(value);
    if (copy == NULL) {
        return fail(fault, "%s: out of memory", origin);
    }
    free(*field);
    *field = copy;
    return true;
}

static bool list_add(struct text_list *list, const char *text, size_t length, const char *origin, char *fault) {
    if (length == 0) {
        return fail(fault, "%s must not have an empty entry", origin);
    }
    if (list->count == TEXT_LIST_MAX) {
        return fail(fault, "%s takes at most %d entries", origin, TEXT_LIST_MAX);
    }
    char **items = realloc(list->items, (list->count + 1) * sizeof *items);
    char *copy = strndup(text, length);
    if (items != NULL) {
        list->items = items;
    }
    if (items == NULL || copy == NULL) {
        free(copy);
        return fail(fault, "%s: out of memory", origin);
    }
    items[list->count++] = copy;
    return true;
}

static bool set_list(struct text_list *list, const char *value, const char *origin, char *fault) {
    size_t length;
    for (const char *rest = value, *entry; (entry = option_list_next(&rest, &length)) != NULL;) {
        if (!list_add(list, entry, length, origin, fault)) {
            return false;
        }
    }
    return true;
}

static void list_release(struct text_list *list) {
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i]);
    }
    free(list->items);
    *list = (struct text_list){0};
}

bool option_row_set(const struct option_row *row, void *fields, const char *value, const char *origin, bool replace,
                    char fault[OPTION_FAULT_BYTES]) {
    void *field = option_row_field(row, fields);
    int64_t number;
    if (!option_read_value(&row->option, origin, value, &number, fault)) {
        return false;
    }
    switch (row->option.type) {
    case OPTION_TEXT:
    case OPTION_FILE:
        return set_text(field, value, origin, fault);
    case OPTION_LIST:
        if (replace) {
            list_release(field);
        }
        return set_list(field, value, origin, fault);
    case OPTION_SWITCH:
        *(bool *)field = number != 0;
        return true;
    default:
        *(int64_t *)field = number;
        return true;
    }
}

bool option_rows_default(const struct option_row *rows, void *fields, char fault[OPTION_FAULT_BYTES]) {
    for (const struct option_row *row = rows; row->option.name != NULL; row++) {
        if (row->fallback != NULL && !option_row_set(row, fields, row->fallback, row->option.name, true, fault)) {
            return false;
        }
    }
    return true;
}

struct row_words {
    const struct option_row *rows;
    void *fields;
    uint64_t seen; /* a bit a row */
};

static bool take_word(void *user, const struct option *option, const char *value, char fault[OPTION_FAULT_BYTES]) {
    struct row_words *words = user;
    const struct option_row *row = option_row_of(option);
    uint64_t bit = UINT64_C(1) << (row - words->rows);
    bool is_first = (words->seen & bit) == 0;
    char origin[80];
    snprintf(origin, sizeof origin, "--%s", option->name);
    words->seen |= bit;
    const char *given = value == NULL ? "true" : value; /* only a switch may stand alone */
    return option_row_set(row, words->fields, given, origin, is_first, fault);
}

bool option_rows_read_words(const struct option_row *rows, const char *program, void *fields, int count,
                            char **arguments, const char *const *stops, const char **stop,
                            char fault[OPTION_FAULT_BYTES]) {
    const struct option_words options = option_rows_words(rows, program);
    struct row_words words = {.rows = rows, .fields = fields};
    *stop = NULL;
    for (int i = 0, used; i < count; i += used) {
        for (const char *const *at = stops; *at != NULL; at++) {
            if (strcmp(arguments[i], *at) == 0) {
                *stop = *at;
                return true;
            }
        }
        if (arguments[i][0] != '-' || arguments[i][1] == '\0') {
            return fail(fault, "\"%.100s\" is not an option of %s (%s --help lists them)", arguments[i], program,
                        program);
        }
        if (!option_read_word(&options, arguments + i, count - i, &used, take_word, &words, fault)) {
            return false;
        }
    }
    return true;
}

void option_row_help(const struct option_row *row, char line[OPTION_HELP_BYTES]) {
    const struct option *option = &row->option;
    bool has_default = row->fallback != NULL && option->type != OPTION_SWITCH;
    char head[64];
    snprintf(head, sizeof head, "--%s %s", option->name, option->value == NULL ? "" : option->value);
    snprintf(line, OPTION_HELP_BYTES, "  %-36s  %s%s%s%s", head, option->doc, has_default ? " [" : "",
             has_default ? row->fallback : "", has_default ? "]" : "");
}

void option_rows_release(const struct option_row *rows, void *fields) {
    for (const struct option_row *row = rows; row->option.name != NULL; row++) {
        void *field = option_row_field(row, fields);
        if (row->option.type == OPTION_TEXT || row->option.type == OPTION_FILE) {
            free(*(char **)field);
            *(char **)field = NULL;
        } else if (row->option.type == OPTION_LIST) {
            list_release(field);
        }
    }
}

/* ---- files ---- */

const char *text_begin(char **text, size_t size) {
    static const char mark[] = "\xef\xbb\xbf";
    const unsigned char *bytes = (const unsigned char *)*text;
    if (size >= 2 && ((bytes[0] == 0xff && bytes[1] == 0xfe) || (bytes[0] == 0xfe && bytes[1] == 0xff))) {
        return "must be text in UTF-8; it begins as UTF-16 does";
    }
    if (memchr(*text, 0, size) != NULL) {
        return "must be text; it holds a zero byte";
    }
    *text += size >= 3 && strncmp(*text, mark, 3) == 0 ? 3 : 0;
    return NULL;
}

static char *trim(char *text) {
    text += strspn(text, " \t");
    for (size_t length = strlen(text); length > 0 && isspace((unsigned char)text[length - 1]);) {
        text[--length] = '\0';
    }
    return text;
}

/* Ends the line where a comment starts: at the beginning or after a blank, but not inside quotes. */
static void cut_comment(char *line) {
    bool is_quoted = false;
    for (char *at = line; *at != '\0'; at++) {
        is_quoted = *at == '"' ? !is_quoted : is_quoted;
        if (*at == '#' && !is_quoted && (at == line || isspace((unsigned char)at[-1]))) {
            *at = '\0';
            return;
        }
    }
}

/* The value without its quotes; NULL if they are not a pair around the whole value. */
static char *unquote(char *value) {
    size_t length = strlen(value);
    if (value[0] != '"') {
        return value;
    }
    if (length < 2 || strchr(value + 1, '"') != value + length - 1) {
        return NULL;
    }
    value[length - 1] = '\0';
    return value + 1;
}

static bool read_line(char *line, const char *path, int number, settings_take take, void *user, char *fault) {
    char whole[128];
    snprintf(whole, sizeof whole, "%.100s", trim(line));
    cut_comment(line);
    line = trim(line);
    if (*line == '\0') {
        return true;
    }
    char *equals = strchr(line, '=');
    if (equals == NULL || equals == line) {
        return fail(fault, "%.400s:%d must read \"key = value\"; got \"%s\"", path, number, whole);
    }
    *equals = '\0';
    char *value = unquote(trim(equals + 1));
    return value != NULL ? take(user, path, number, trim(line), value, fault)
                         : fail(fault,
                                "%.400s:%d: a value that begins with a double quote must end with the next one; got "
                                "\"%s\"",
                                path, number, whole);
}

bool settings_read_text(char *text, size_t size, const char *path, settings_take take, void *user,
                        char fault[OPTION_FAULT_BYTES]) {
    const char *wrong = text_begin(&text, size);
    if (wrong != NULL) {
        return fail(fault, "%.400s %s", path, wrong);
    }
    char *rest = text;
    for (int number = 1; rest != NULL; number++) {
        if (!read_line(strsep(&rest, "\n"), path, number, take, user, fault)) {
            return false;
        }
    }
    return true;
}
