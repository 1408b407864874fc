/*
 * What the parts of the store's writing side share: opening.c (the directory, the database, its locks), units.c (units
 * and their items), writer.c (rows), rounds.c (the queue, the writer's thread, the full disk). No other file includes
 * this one.
 */
#ifndef MODPROP_SERVER_STORE_INTERNAL_H
#define MODPROP_SERVER_STORE_INTERNAL_H

#include <pthread.h>
#include <sqlite3.h>

#include "server/store/reserve.h"
#include "server/store/stops.h"
#include "server/store/store.h"

#define PAGE_BYTES 4096
#define BUSY_MILLISECONDS 5000
#define DISK_FULL "the disk is full"

struct store {
    struct loop *loop;
    sqlite3 *database;
    sqlite3_stmt **statements; /* of writer.c */
    int lock, database_lock;   /* of the directory, of the database's file */
    pthread_t writer;
    bool writing; /* the thread exists */
    pthread_mutex_t mutex;
    pthread_cond_t wake, idle;        /* something waits; nothing waits or is being written */
    struct store_unit *first, **last; /* under the mutex */
    size_t depth;
    bool leave;
    uint64_t handled; /* the last failure that the loop has handled; failures are counted from 1 */
    uint64_t failed;  /* writer's: the last failure; units made before the loop has handled it fail untried */
    char reason[STORE_ERROR_BYTES]; /* writer's: of the last commit that failed */
    bool disk_is_full;              /* writer's: the last reason was a full disk */
    struct reserve reserve;         /* writer's */
    struct stops stops;             /* cancellations that could not be stored */
    bool full;                      /* under the mutex: units that do not free space are refused */
    int64_t grown;                  /* writer's: bytes by which jobs have grown in this transaction */
    bool purging;                   /* writer's: parts of a deleted job are left */
    bool purge_failed;              /* writer's: the last portion failed */
    struct store_counts counts;
};

/* ---- units.c ---- */

/* The job or experiment that a unit belongs to; "" for none. */
const char *unit_job(const struct store_unit *unit);

/* ---- writer.c ---- */

/* Prepares the statements on the open database. False if out of memory, or if the database does not have the schema. */
bool writer_prepare(struct store *store);
void writer_release(struct store *store);
/*
 * Writes the units in one commit, each between two savepoints, and sets the result of those that violate a constraint.
 * SQLITE_OK, or the failure of the whole commit, whose reason is kept in the store. `synced` receives the time of
 * COMMIT itself; unchanged if it was not reached.
 */
int units_commit(struct store *store, struct store_unit *units, double *synced);
/* Removes one portion of what deleted jobs have left, in its own commit. 1: more is left; 0: nothing is; -1: failed. */
int purge_commit(struct store *store);

/* ---- rounds.c ---- */

/* Sees whether there is space again when the disk was full, and whether it is full when the reserve is not held. */
void room_look(struct store *store);
/* Starts the writer's thread; false if there is none. */
bool writer_start(struct store *store);
/* Writes what waits, and ends the thread if it was started. */
void writer_stop(struct store *store);

#endif
