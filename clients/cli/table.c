/*
 * Tables of text. See table.h.
 */
#include "clients/cli/table.h"

#include <stdlib.h>
#include <string.h>

#define GAP       2
#define NARROWEST 6

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

/* Takes what is too much from the flexible columns, the widest first, one column at a time. */
static void widths_fit(const struct table *table, int widths[], int columns) {
    int total = GAP * (table->column_count - 1);
    for (int c = 0; c < table->column_count; c++) {
        total += widths[c];
    }
    for (; total > columns; total--) {
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

static void cell_put(const struct table *table, const struct terminal *terminal, struct text *line, int column, const char *cell,
                     enum paint paint, int width) {
    struct text fitted = {0};
    text_add(&fitted, "");
    int pad = width - terminal_fit(terminal, &fitted, cell, width);
    bool last = column == table->column_count - 1;
    text_repeat(line, " ", table->columns[column].right ? pad : 0);
    text_printf(line, "%s%s%s", paint == PAINT_NONE ? "" : terminal_paint(terminal, paint), fitted.data,
                paint == PAINT_NONE ? "" : terminal_paint(terminal, PAINT_NONE));
    text_repeat(line, " ", last ? 0 : (table->columns[column].right ? 0 : pad) + GAP);
    text_release(&fitted);
}

void table_print(const struct table *table, const struct terminal *terminal) {
    int widths[TABLE_COLUMNS_MAX];
    struct text line = {0};
    widths_measure(table, widths);
    if (terminal->is_terminal) {
        widths_fit(table, widths, terminal_columns(terminal));
    }
    for (int c = 0; c < table->column_count; c++) {
        cell_put(table, terminal, &line, c, table->columns[c].heading, PAINT_BOLD, widths[c]);
    }
    text_add(&line, "\n");
    for (size_t i = 0; i < table->cell_count; i++) {
        int column = (int)(i % (size_t)table->column_count);
        cell_put(table, terminal, &line, column, table->cells[i], table->paints[i], widths[column]);
        text_add(&line, column == table->column_count - 1 ? "\n" : "");
    }
    fputs(line.data, terminal->file);
    text_release(&line);
}

void table_release(struct table *table) {
    for (size_t i = 0; i < table->cell_count; i++) {
        free(table->cells[i]);
    }
    free(table->cells);
    free(table->paints);
    *table = (struct table){0};
}
