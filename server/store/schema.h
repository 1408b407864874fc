/*
 * The database's schema and its versions. The number of a database's version is its PRAGMA user_version; store_open
 * brings an older one to the newest in one transaction, which a crash undoes whole. A newer one is refused.
 */
#ifndef MODPROP_SERVER_STORE_SCHEMA_H
#define MODPROP_SERVER_STORE_SCHEMA_H

#include <sqlite3.h>
#include <stdbool.h>

#define SCHEMA_VERSION 9

/*
 * A database may be damaged or made by somebody else: its schema runs no functions, nothing can turn off its checks,
 * and cells are checked when pages are read. To be called before anything is read.
 */
void schema_distrust(sqlite3 *database);

/* -1 where the database cannot be read. */
int schema_version(sqlite3 *database);

/*
 * Whether every job of a database of ours has a status that exists: what no page check sees, and what names are looked
 * up by.
 */
bool statuses_are_known(sqlite3 *database);

/*
 * From version `from` (0: an empty database) to SCHEMA_VERSION. False: sqlite3_errmsg says why, and nothing has
 * changed.
 */
bool schema_migrate(sqlite3 *database, int from);

#endif
