/*
 * What the files that read the store share: reader.c and lists.c. No file outside the store includes it.
 */
#ifndef MODPROP_SERVER_STORE_READER_H
#define MODPROP_SERVER_STORE_READER_H

#include <sqlite3.h>

#include "server/store/store.h"

#define READER_QUERIES 64 /* statements of reader.c, at most */
#define READER_LISTS 16   /* and of lists.c */

struct store_reader {
    sqlite3 *database;
    sqlite3_stmt *queries[READER_QUERIES], *lists[READER_LISTS]; /* prepared on first use */
};

/* A statement that is not reset keeps its snapshot alive, and with it the write-ahead log. */
void query_end(sqlite3_stmt *statement);

/* The current row; with `borrow` its texts are valid until the statement steps. False if out of memory, or if the row
 * is damaged. */
bool job_fill(sqlite3_stmt *s, struct store_job *job, bool borrow);
bool experiment_fill(sqlite3_stmt *s, struct store_experiment *experiment, bool borrow);

#endif
