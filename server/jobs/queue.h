/*
 * The order in which queued jobs start, in memory: by priority, the greater first, then by number. A job's place in it
 * is found by bisection, so that no answer counts the queue.
 *
 * The loop adds and removes, when a change of status is committed; any thread may ask for places. The database stays
 * the truth: this is read from it at the start.
 */
#ifndef MODPROP_SERVER_JOBS_QUEUE_H
#define MODPROP_SERVER_JOBS_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

struct queue;

/* NULL without memory. */
struct queue *queue_create(void);
/* NULL-safe. */
void queue_destroy(struct queue *queue);

/* False without memory: the job's place, and that of others behind it, is then unknown by one. */
bool queue_add(struct queue *queue, int priority, int64_t number);
/* Nothing where it is not there. */
void queue_remove(struct queue *queue, int priority, int64_t number);

/* How many queued jobs start before this one, which need not be in the queue. Any thread. */
int64_t queue_place(struct queue *queue, int priority, int64_t number);

#endif
