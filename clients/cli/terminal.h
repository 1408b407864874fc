/*
 * What the program knows about where it writes: is it a terminal, how wide, may there be colour, are there characters
 * beyond ASCII.
 *
 * Everything that came from the server passes terminal_clean or terminal_shown before it reaches a terminal: a job's
 * name, an id, a status may hold escape sequences.
 */
#ifndef MODPROP_CLI_TERMINAL_H
#define MODPROP_CLI_TERMINAL_H

#include <stdbool.h>
#include <stdio.h>

#include "clients/cli/memory.h"

enum paint {
    PAINT_NONE,
    PAINT_BOLD,
    PAINT_DIM,
    PAINT_RED,
    PAINT_GREEN,
    PAINT_YELLOW,
    PAINT_BLUE,
    PAINT_MAGENTA,
    PAINT_CYAN
};

struct terminal {
    FILE *file;
    bool is_terminal;
    bool moves;  /* a terminal that is not "dumb": the cursor can go back to what stands there */
    bool colour; /* such a terminal, and NO_COLOR is unset or empty */
    bool utf8;   /* the locale's characters are UTF-8 */
};

/* Needs setlocale to have been called. */
void terminal_init(struct terminal *terminal, FILE *file);

/* The width now, in columns: the terminal's own, else $COLUMNS, else 80. At least 20. */
int terminal_columns(const struct terminal *terminal);

/* The height now, in lines: the terminal's own, else 24. */
int terminal_rows(const struct terminal *terminal);

/*
 * Whether the user agrees to `question`, asked on standard error and answered on standard input. Where one of the two
 * is no terminal nobody is asked, and the answer is yes: a script means what it says.
 */
bool terminal_confirm(const char *question);

/* The escape sequence that begins a colour (PAINT_NONE: that ends it), or "" where there is no colour. */
const char *terminal_paint(const struct terminal *terminal, enum paint paint);

/*
 * Adds `string` (NULL: "") with each control character as '?' and each byte that is no UTF-8 too. Line breaks become
 * spaces unless `lines`. `text` is 0-ended afterwards.
 */
void terminal_clean(struct text *text, const char *string, bool lines);

/*
 * `string` (NULL: "") cleaned, on one line, for the arguments of one printf: valid until SHOWN_AT_ONCE more calls were
 * made.
 */
#define SHOWN_AT_ONCE 8
const char *terminal_shown(const char *string);

/* Columns that a cleaned string takes; characters beyond ASCII count as their width in the locale. */
int terminal_width(const char *string);

/*
 * Adds `string` cut to `columns` columns, the last of them an ellipsis where something was cut. Returns the columns
 * used.
 */
int terminal_fit(const struct terminal *terminal, struct text *text, const char *string, int columns);

/*
 * Prints `sentence` from column `indent` on, where the cursor already stands, broken at spaces to the width, which is
 * at most 100.
 */
void terminal_wrap(const struct terminal *terminal, const char *sentence, int indent);

#endif
