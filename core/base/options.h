/*
 * Options: what the daemon and the command line accept as words, variables and lines of a settings file, read by one
 * module. A table gives the name, type and range of every option once; words, files, help and completion use it.
 *
 * Owner: the owner of the table. Thread: any; nothing is kept here. Every fault is one sentence that names the option
 * and the constraint, written to `fault` only if a function fails. Rejected: getopt_long, a second list of the same
 * names whose messages name no constraint.
 */
#ifndef MODPROP_CORE_OPTIONS_H
#define MODPROP_CORE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPTION_FAULT_BYTES 1024

enum option_type {
    OPTION_SWITCH,
    OPTION_TEXT,
    OPTION_INTEGER,
    OPTION_FILE,
    OPTION_CHOICE,
    OPTION_BYTES,   /* 512, 64K, 8G: powers of 1024 */
    OPTION_SECONDS, /* 90, 90s, 15m, 2h, 1d */
    OPTION_LIST     /* texts, separated by commas or given more than once */
};

struct option {
    const char *name; /* without the dashes; NULL ends a table */
    char letter;      /* 0: none */
    enum option_type type;
    const char *value;   /* how help shows the value; for OPTION_CHOICE "a|b|c", the choices themselves */
    long long low, high; /* OPTION_INTEGER, OPTION_BYTES, OPTION_SECONDS */
    bool repeats;        /* may be given more than once; else the last one counts */
    const char *doc;
};

/* Ends a table of options. */
#define OPTIONS_END {NULL, 0, OPTION_SWITCH, NULL, 0, 0, false, NULL}

/* Options that are `stride` bytes apart: alone, or as the first member of a larger row. */
struct option_table {
    const struct option *first; /* NULL: an empty table */
    size_t stride;
};

const struct option *option_at(const struct option_table *table, size_t index);

/* The words that a program accepts. If two options have one name, that of the first table counts. */
struct option_words {
    struct option_table tables[2];
    const char *program; /* "modprop list": whose --help lists them */
};

/* By name (`length` characters, - and _ alike) or by letter; NULL. */
const struct option *option_find(const struct option_words *words, const char *name, size_t length);
const struct option *option_find_letter(const struct option_words *words, char letter);

/* Takes an option and its value (NULL: a switch without one). False after writing `fault`. */
typedef bool (*option_take)(void *user, const struct option *option, const char *value, char fault[OPTION_FAULT_BYTES]);

/*
 * One word that starts with a dash, and the value after it: "--name", "--name=value", "--name value", "-f", "-fo FILE",
 * "-oFILE". *used: words taken.
 */
bool option_read_word(const struct option_words *words, char **argument, int left, int *used, option_take take,
                      void *user, char fault[OPTION_FAULT_BYTES]);

/*
 * Checks a value and reads it as the option's type says: *number is an integer, a number of bytes or seconds, the index
 * of the choice, or 1 and 0 for a switch. `origin` says where it came from, in a user's words ("--workers").
 */
bool option_read_value(const struct option *option, const char *origin, const char *value, int64_t *number,
                       char fault[OPTION_FAULT_BYTES]);

/* The next entry of a comma-separated list, without surrounding blanks; *rest is NULL after the last one. */
const char *option_list_next(const char **rest, size_t *length);

/* PREFIX and the name in upper case, _ for -. */
void option_variable(const struct option *option, const char *prefix, char variable[64]);
/* The value of a variable in an environment that ends with NULL, or NULL. */
const char *variable_find(char **environment, const char *name);
/* The same of an option's variable, whose name is written to `variable` in any case. */
const char *option_variable_find(const struct option *option, const char *prefix, char **environment,
                                 char variable[64]);

/* Texts, given one by one or separated by commas: at most TEXT_LIST_MAX. */
#define TEXT_LIST_MAX 64

struct text_list {
    char **items;
    size_t count;
};

/*
 * A row of a table that fills a struct: the option, the field that it fills, and its default as a user would write it
 * (NULL: none). The option's type gives the field's: char * for OPTION_TEXT and OPTION_FILE (a copy; NULL: not given),
 * struct text_list for OPTION_LIST, bool for OPTION_SWITCH, int64_t for the others. A table has at most OPTION_ROWS_MAX
 * rows and ends with OPTION_ROWS_END; the struct starts zeroed, and option_rows_release frees what it holds.
 */
#define OPTION_ROWS_MAX 64

struct option_row {
    struct option option;
    size_t offset;
    const char *fallback;
};

#define OPTION_ROWS_END {OPTIONS_END, 0, NULL}

/* The options of a table as words of a program. */
struct option_words option_rows_words(const struct option_row *rows, const char *program);
/* The row that an option of such a table is part of, and its field in `fields`. */
const struct option_row *option_row_of(const struct option *option);
void *option_row_field(const struct option_row *row, void *fields);

/*
 * Checks a value and writes it to its field. A list grows by it: `replace` is for the first value from a source of
 * higher precedence, which takes the place of what a lower one gave. False after writing `fault`.
 */
bool option_row_set(const struct option_row *row, void *fields, const char *value, const char *origin, bool replace,
                    char fault[OPTION_FAULT_BYTES]);

/* Every default of the table. */
bool option_rows_default(const struct option_row *rows, void *fields, char fault[OPTION_FAULT_BYTES]);

/*
 * The words of a command line, all of them options, up to the first that is one of `stops` (such as "--help"; the list
 * ends with NULL): *stop is that one, or NULL.
 */
bool option_rows_read_words(const struct option_row *rows, const char *program, void *fields, int count,
                            char **arguments, const char *const *stops, const char **stop,
                            char fault[OPTION_FAULT_BYTES]);

/* A line of help, without its end. */
#define OPTION_HELP_BYTES 1024
void option_row_help(const struct option_row *row, char line[OPTION_HELP_BYTES]);

void option_rows_release(const struct option_row *rows, void *fields);

/*
 * Where the text of a file starts: after a byte order mark. Returns the fault ("must be text; ...") or NULL. `text`
 * ends with a 0 after its `size` bytes.
 */
const char *text_begin(char **text, size_t size);

/* Takes one setting; `line` is its number. False after writing `fault`. */
typedef bool (*settings_take)(void *user, const char *path, int line, const char *key, const char *value,
                              char fault[OPTION_FAULT_BYTES]);

/*
 * The lines of a settings file, "key = value": surrounding blanks are ignored, # starts a comment at the beginning of a
 * line or after a blank, and a value in double quotes is taken literally. Changes `text`, which ends with a 0 after its
 * `size` bytes.
 */
bool settings_read_text(char *text, size_t size, const char *path, settings_take take, void *user,
                        char fault[OPTION_FAULT_BYTES]);

/* The known name with the fewest single-letter changes, or NULL if all are far away. */
const char *name_nearest(const char *name, const char *const *known, size_t count);
/* The same among `count` items, `stride` bytes apart, each of which starts with the pointer to its name. */
const char *name_nearest_in(const char *name, const void *items, size_t stride, size_t count);

#endif
