/*
 * The order of queued jobs, in memory: by priority, the greater first, then by number. A job's place in it is found by
 * bisection, so that no answer counts the queue.
 *
 * What starts next is fair: within the greatest priority the owners (tokens) take turns, and within an owner his
 * experiments; among the jobs of one experiment the first submitted goes first. So one owner's thousand jobs, or one
 * experiment's, hold nobody up; a place is the number of jobs that stand before in submission, and some behind may
 * start earlier.
 *
 * The loop adds, removes and picks, when a change of status is committed; any thread may ask for places. The database
 * stays the truth: this is read from it at the start.
 */
#ifndef MODPROP_SERVER_JOBS_QUEUE_H
#define MODPROP_SERVER_JOBS_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "server/store/store.h"

struct queue;

/* NULL without memory. */
struct queue *queue_create(void);
/* NULL-safe. */
void queue_destroy(struct queue *queue);

/* False without memory: the job is not in the queue, and it is to be read again. Of `job` priority, number, owner and
   experiment are used. */
bool queue_add(struct queue *queue, const struct store_job *job);
/* Nothing where it is not there. */
void queue_remove(struct queue *queue, int priority, int64_t number);

/* How many of its priority or greater were submitted before this one, which need not be in the queue. Any thread. */
int64_t queue_place(struct queue *queue, int priority, int64_t number);

/* Queued jobs of this owner. */
int64_t queue_count(struct queue *queue, const char *owner);

/*
 * The number of the job whose turn it is, and that `skip` does not refuse; 0: there is none. queue_served says that it
 * starts; the turn then goes to others.
 */
int64_t queue_next(struct queue *queue, bool (*skip)(void *user, int64_t number), void *user);
void queue_served(struct queue *queue, const struct store_job *job);

#endif
