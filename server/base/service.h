/*
 * The service thread: what is too long for the loop and must not wait behind jobs: gradients, simulations, large
 * encodings.
 *
 * One thread, one bounded queue, first come first served. A task is made on the loop, runs on the service thread, and
 * is finished on the loop again; in between nobody else touches it. The loop may give a task up (its client is gone,
 * the daemon stops): `stop` is then set, the task ends as soon as it looks, and finish is called all the same.
 */
#ifndef MODPROP_SERVER_SERVICE_H
#define MODPROP_SERVER_SERVICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "server/base/loop.h"

struct service_task {
    struct loop_message message;               /* the service's own */
    struct service_task *next;                 /* the service's own */
    atomic_bool stop;                          /* set by anyone; polled by run */
    void (*run)(struct service_task *task);    /* service thread */
    void (*finish)(struct service_task *task); /* loop thread, once, always; frees */
};

struct service;

/* NULL where the thread cannot start. At most `limit` tasks wait. */
struct service *service_create(struct loop *loop, size_t limit);

/* Loop thread. False where the queue is full or the service ends: the task stays the caller's. */
bool service_submit(struct service *service, struct service_task *task);

/* Tasks that wait or run. */
size_t service_depth(struct service *service);

/*
 * Sets stop of all tasks, waits for the thread, posts every finish to the loop (loop_release delivers them), frees.
 * NULL-safe. False where a task has not looked up by `until` (clock_milliseconds): the thread still runs, and nothing
 * that it uses may be freed.
 */
bool service_destroy(struct service *service, uint64_t until);

/* For core's polled callbacks: user is the task. */
bool service_is_stopped(void *task);

#endif
