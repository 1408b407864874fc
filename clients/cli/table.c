/*
 * Tables of text. See table.h.
 */
#include "clients/cli/table.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define GAP 2
#define NARROWEST 6
#define COMFORTABLE 14 /* a flexible column shrinks to this before a spare one goes */

void table_init(struct table *table, const struct table_column *columns, int count) {
    *table = (struct table){.columns = columns, .column_count = count > TABLE_COLUMNS_MAX ? TABLE_COLUMNS_MAX : count};
}

void table_add_painted(struct table *table, const char *cell, enum paint paint) {
    struct text clean = {0};
    if (table->cell_count == table->room) {
        table->room = table->room == 0 ? 64 : table->room * 2;
        table->cells = memory_resize(table->cells, table->room, sizeof *table->cells);
        table->paints = memory_resize(table->paints, table->room, sizeof *table->paints);
    }
    text_add(&clean, "");
    terminal_clean(&clean, cell == NULL || *cell == '\0' ? "-" : cell, false);
    table->cells[table->cell_count] = clean.data;
    table->paints[table->cell_count++] = paint;
}

void table_add(struct table *table, const char *cell) {
    table_add_painted(table, cell, PAINT_NONE);
}

static void widths_measure(const struct table *table, int widths[]) {
    for (int c = 0; c < table->column_count; c++) {
        widths[c] = terminal_width(table->columns[c].heading);
    }
    for (size_t i = 0; i < table->cell_count; i++) {
        int *width = &widths[i % (size_t)table->column_count], own = terminal_width(table->cells[i]);
        *width = own > *width ? own : *width;
    }
}

/*
 * Columns that the shown ones take, flexible ones counted with at most `most`. A column that is left out has the width
 * 0.
 */
static int widths_sum(const struct table *table, const int widths[], int most) {
    int total = -GAP;
    for (int c = 0; c < table->column_count; c++) {
        int width = table->columns[c].flexible && widths[c] > most ? most : widths[c];
        total += widths[c] == 0 ? 0 : width + GAP;
    }
    return total;
}

/* Leaves spare columns out, the highest first, until the rest has room. */
static void spares_drop(const struct table *table, int widths[], int columns) {
    while (widths_sum(table, widths, COMFORTABLE) > columns) {
        int last = -1;
        for (int c = 0; c < table->column_count; c++) {
            if (widths[c] > 0 && table->columns[c].spare > (last < 0 ? 0 : table->columns[last].spare)) {
                last = c;
            }
        }
        if (last < 0) {
            return;
        }
        widths[last] = 0;
    }
}

/* Takes what is too much from the flexible columns, the widest first, one column at a time. */
static void widths_fit(const struct table *table, int widths[], int columns) {
    for (int total = widths_sum(table, widths, INT_MAX); total > columns; total--) {
        int widest = -1;
        for (int c = 0; c < table->column_count; c++) {
            if (table->columns[c].flexible && widths[c] > NARROWEST && (widest < 0 || widths[c] > widths[widest])) {
                widest = c;
            }
        }
        if (widest < 0) {
            return;
        }
        widths[widest]--;
    }
}

/* The cell, padded on its left where it is a number; the padding on its right and the gap come with the next one, so
   that no line ends in spaces. Returns that padding. */
static int cell_put(const struct terminal *terminal, struct text *line, bool right, const char *cell, enum paint paint,
                    int width) {
    struct text fitted = {0};
    text_add(&fitted, "");
    int pad = width - terminal_fit(terminal, &fitted, cell, width);
    text_repeat(line, " ", right ? pad : 0);
    text_printf(line, "%s%s%s", paint == PAINT_NONE ? "" : terminal_paint(terminal, paint), fitted.data,
                paint == PAINT_NONE ? "" : terminal_paint(terminal, PAINT_NONE));
    text_release(&fitted);
    return right ? 0 : pad;
}

/* A line of the table: the heading (`row` -1) or the cells from `row` on. */
static void row_put(const struct table *table, const struct terminal *terminal, struct text *line, long row,
                    const int widths[]) {
    int owed = -GAP; /* columns of space before the next cell, less the gap */
    for (int c = 0; c < table->column_count; c++) {
        size_t index = row < 0 ? 0 : (size_t)row * (size_t)table->column_count + (size_t)c;
        if (widths[c] > 0 && (row < 0 || index < table->cell_count)) {
            text_repeat(line, " ", owed + GAP);
            owed = cell_put(terminal, line, table->columns[c].right,
                            row < 0 ? table->columns[c].heading : table->cells[index],
                            row < 0 ? PAINT_BOLD : table->paints[index], widths[c]);
        }
    }
    text_add(line, "\n");
}

void table_put(const struct table *table, const struct terminal *terminal, int columns, struct text *text) {
    int widths[TABLE_COLUMNS_MAX] = {0};
    long rows = (long)((table->cell_count + (size_t)table->column_count - 1) / (size_t)table->column_count);
    widths_measure(table, widths);
    if (columns > 0) {
        spares_drop(table, widths, columns);
        widths_fit(table, widths, columns);
    }
    for (long row = -1; row < rows; row++) {
        row_put(table, terminal, text, row, widths);
    }
}

void table_print(const struct table *table, const struct terminal *terminal) {
    struct text lines = {0};
    table_put(table, terminal, terminal->is_terminal ? terminal_columns(terminal) : 0, &lines);
    fputs(lines.data, terminal->file);
    text_release(&lines);
}

void table_release(struct table *table) {
    for (size_t i = 0; i < table->cell_count; i++) {
        free(table->cells[i]);
    }
    free(table->cells);
    free(table->paints);
    *table = (struct table){0};
}
