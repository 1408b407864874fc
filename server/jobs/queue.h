/*
 * The order of queued jobs, in memory: by priority, greatest first, then by number. A job's position is found by
 * bisection, so no request has to count the queue.
 *
 * What starts next is fair: within the greatest priority the owners (tokens) take turns, and within an owner the
 * experiments; within one experiment the job submitted first goes first. So one owner's thousand jobs, or one
 * experiment's, do not block others. A position is the number of jobs submitted before it; some jobs after it may start
 * earlier.
 *
 * The loop adds, removes and picks, when a change of status is committed; any thread may ask for positions. The
 * database stays the authority: the queue is read from it at the start.
 */
#ifndef MODPROP_SERVER_JOBS_QUEUE_H
#define MODPROP_SERVER_JOBS_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "server/store/store.h"

struct queue;

/* NULL if out of memory. */
struct queue *queue_create(void);
/* NULL-safe. */
void queue_destroy(struct queue *queue);

/* False if out of memory: the job is not in the queue, and the queue must be read again. Uses `job`'s priority,
 * number, owner and experiment. */
bool queue_add(struct queue *queue, const struct store_job *job);
/* Does nothing if it is not there. */
void queue_remove(struct queue *queue, int priority, int64_t number);

/* How many jobs of its priority or greater were submitted before this one, which need not be in the queue. Any
 * thread. */
int64_t queue_position(struct queue *queue, int priority, int64_t number);

/* Queued jobs of this owner. */
int64_t queue_count(struct queue *queue, const char *owner);

/*
 * The number of the job whose turn it is and that `skip` does not refuse; 0: there is none. queue_served reports that
 * it starts; the turn then passes to others.
 */
int64_t queue_next(struct queue *queue, bool (*skip)(void *user, int64_t number), void *user);
void queue_served(struct queue *queue, const struct store_job *job);

#endif
