/*
 * Stored columns: one row per column. From them come the schema of a new database, INSERT, UPDATE and SELECT, and the
 * conversion between a row and its struct in both directions. To add a column, add one row here and one member to its
 * struct (store.h).
 *
 * Statements name records, not columns. columns_prepare replaces
 *
 *     {jobs}          by the names of the columns that are read, in the order in which record_read takes them
 *     {jobs:insert}   by the whole INSERT, {jobs:replace} by INSERT OR REPLACE, {jobs:update} by the whole UPDATE of
 * the row whose key is the last parameter; record_bind binds all of them
 */
#ifndef MODPROP_SERVER_STORE_COLUMNS_H
#define MODPROP_SERVER_STORE_COLUMNS_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

enum column_type {
    COLUMN_INT,   /* int, or an enumeration */
    COLUMN_LONG,  /* int64_t */
    COLUMN_FLAG,  /* bool */
    COLUMN_REAL,  /* double; NaN is NULL */
    COLUMN_TEXT,  /* char *, owned; NULL is NULL */
    COLUMN_CHARS, /* char[], zero-terminated */
    COLUMN_BLOB   /* unsigned char * and the size_t at `size_offset`; never read by record_read */
};

enum column_use {
    COLUMN_ADD = 1, /* written by INSERT */
    COLUMN_SET = 2, /* written by UPDATE */
    COLUMN_KEY = 4, /* what UPDATE finds the row by */
    COLUMN_GET = 8  /* read */
};

struct column {
    const char *name, *definition; /* definition: SQL's type and constraints */
    enum column_type type;
    unsigned use;
    size_t offset, room; /* in the struct; room: of COLUMN_CHARS */
    size_t size_offset;
    int since; /* the schema version that added it, from 5 on; 0: older */
};

struct record {
    const char *table;
    const struct column *columns;
    size_t count;
    const char *constraints; /* after the columns; "" : none */
    const char *options;     /* behind the table; "" : none */
    int since;               /* as of a column */
};

extern const struct record record_jobs, record_events, record_checkpoints, record_keys, record_experiments,
    record_trials, record_views, record_findings;

/* CREATE TABLE of the record; malloc'ed, NULL if out of memory. */
char *record_create_text(const struct record *record);
/* ALTER TABLE for its columns of exactly this version, "" if there are none; malloc'ed, NULL if out of memory. */
char *record_alter_text(const struct record *record, int version);

/* Prepares a statement with the names above in it; returns SQLite's result. */
int columns_prepare(sqlite3 *database, const char *pattern, sqlite3_stmt **statement);

/* Binds the row's columns for this use (COLUMN_ADD or COLUMN_SET), and for COLUMN_SET the key after them. Texts are
 * not copied. */
void record_bind(sqlite3_stmt *statement, const struct record *record, unsigned use, const void *row);

/*
 * Reads the columns of the current row of a statement that starts with them. Texts are copied, or with `borrow` views
 * that are valid until the statement steps again. False if out of memory or if an integer does not fit: the row is
 * damaged.
 */
bool record_read(sqlite3_stmt *statement, const struct record *record, void *row, bool borrow);

/* The number of columns that record_read takes: what a statement selects after them starts at this index. */
int record_width(const struct record *record);

#endif
