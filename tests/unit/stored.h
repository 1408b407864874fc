/*
 * The tests of the store: each test has a directory, a store and a reader of its own, and units that it makes of
 * numbers. One thread runs the loop, in `units_await`.
 */
#ifndef MODPROP_TESTS_STORED_H
#define MODPROP_TESTS_STORED_H

#include <check.h>

#include "server/base/loop.h"
#include "server/store/store.h"

#define STORED_ORDERED_MOST 1024

extern char directory[64];
extern struct store *store;
extern struct store_reader *reader;
extern struct loop loop;
extern int awaited;                             /* units that have not come back */
extern int results[3];                          /* units that came back, by their result */
extern int order[STORED_ORDERED_MOST], ordered; /* their numbers, in the order in which they came back */
extern struct store_unit stalled;               /* the last one that failed with its commit, as it was */

struct store_unit *unit_make(int number);
void unit_submit(struct store_unit *unit);
/* Waits until every unit has come back. */
void units_await(void);
void results_forget(void);
void id_of(int number, char id[STORE_ID_BYTES]);
void job_put(struct store_unit *unit, int number, int priority);
void event_put(struct store_unit *unit, int job, int64_t id, int64_t seq, const char *check);
void checkpoint_put(struct store_unit *unit, int job, int64_t iteration, int keep);
/* A job's document of 3 MB, most of it initial weights; the caller frees it. */
char *large_document(void);
void job_submit(int number, int priority);
/* Deletes the job, with the event of its deletion. */
void job_remove(int number, int64_t id, int64_t seq);
/* On the store's database, by a connection of its own. */
void statement_run(const char *text);
/* Waits until what a deletion left is gone. */
void purge_await(void);
/* The number that a query of one row and column finds. */
int64_t number_read(const char *text);
/* Counts events into the int at `user`. */
bool event_count(void *user, const struct store_event *event);
/* Runs the tests with a store each; the status of main. */
int stored_suite_run(const char *name, const TTest *const *tests, size_t count);

#endif
