/*
 * The database's schema and its versions. A database's version is its PRAGMA user_version; store_open migrates an older
 * one to the newest in one transaction, which a crash undoes completely. A newer one is refused.
 */
#ifndef MODPROP_SERVER_STORE_SCHEMA_H
#define MODPROP_SERVER_STORE_SCHEMA_H

#include <sqlite3.h>
#include <stdbool.h>

#define SCHEMA_VERSION 13

/*
 * A database may be damaged or come from another source: its schema runs no functions, nothing can turn off its checks,
 * and cells are checked when pages are read. Call it before anything is read.
 */
void schema_distrust(sqlite3 *database);

/* -1 if the database cannot be read. */
int schema_version(sqlite3 *database);

/*
 * Whether every job in a database of ours has a valid status: no page check sees this, and names are looked up by it.
 */
bool statuses_are_known(sqlite3 *database);

/*
 * From version `from` (0: an empty database) to SCHEMA_VERSION. False: sqlite3_errmsg says why, and nothing has
 * changed.
 */
bool schema_migrate(sqlite3 *database, int from);

#endif
