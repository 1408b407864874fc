/*
 * Tables of text: columns aligned, cut to the terminal where there is one, spare ones left out. Piped, all is there and
 * nothing is cut.
 */
#ifndef MODPROP_CLI_TABLE_H
#define MODPROP_CLI_TABLE_H

#include "clients/cli/terminal.h"

#define TABLE_COLUMNS_MAX 16

struct table_column {
    const char *heading;
    bool right;    /* aligned to the right: numbers */
    bool flexible; /* gives up width when the terminal is narrow */
    int spare;     /* above 0: left out where there is no room for it, the highest first */
};

struct table {
    const struct table_column *columns;
    int column_count;
    char **cells; /* row by row, cleaned */
    enum paint *paints;
    size_t cell_count, room;
};

void table_init(struct table *table, const struct table_column *columns, int count);
/* The next cell, row by row; NULL is "-". */
void table_add(struct table *table, const char *cell);
void table_add_painted(struct table *table, const char *cell, enum paint paint);
void table_print(const struct table *table, const struct terminal *terminal);
/* The same into `text`, cut to `columns`; 0: nothing is cut. */
void table_put(const struct table *table, const struct terminal *terminal, int columns, struct text *text);
void table_release(struct table *table);

#endif
