/*
 * Lanes: what is too long for the loop and must not wait behind jobs, on libuv's thread pool.
 *
 * Each lane has a number of seats and never has more tasks in the pool than that; the rest wait here. The pool is made
 * large enough for all slots of jobs and all seats (thread.h), so that no lane, and no file operation, ever waits for a
 * job or for another lane. Who waits is served in turn: by token, and for one token by client; one token has at most
 * `most_of_one` seats of a lane and half of its waiting places, so that the others are never shut out.
 *
 * Owner: the loop thread, alone; only a task's stop word is shared. A task is made on the loop, runs on a thread of the
 * pool, and is finished on the loop; in between nobody else touches it. It is given up, by its stop word, when its
 * client is gone, when its time is over, or when the daemon stops; it ends as soon as it looks, and finish is called
 * all the same.
 *
 * What a task takes to read its body is many times the body. All tasks together take at most `memory` bytes of that, or
 * one task as much as it needs while no other takes any: the rest wait for their turn, and tasks that need none pass
 * them. The same holds, with a sum of its own, for the memory that tasks compute with (networks, data): otherwise a
 * long computation would hold up everybody's bodies.
 */
#ifndef MODPROP_SERVER_LANES_H
#define MODPROP_SERVER_LANES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "server/base/loop.h"

enum lane {
    LANE_READS,  /* metrics, weights, lists, datasets */
    LANE_CHECKS, /* submissions, large validations, uploads of datasets */
    LANE_HEAVY,  /* gradients, simulations */
    LANES
};

#define LANE_SEATS 7 /* of all lanes together: the number of tasks that run at once */

enum lane_stop {
    LANE_GO,
    LANE_GONE,  /* its client is gone */
    LANE_TIME,  /* it exceeded its lane's time limit */
    LANE_ENDING /* the daemon shuts down */
};

struct lanes;

struct lane_task {
    void (*run)(struct lane_task *task);    /* a thread of the pool */
    void (*finish)(struct lane_task *task); /* loop thread, once, always; frees */
    bool (*gone)(struct lane_task *task);   /* loop thread, each second: whether its client is gone; NULL: never */
    enum lane_stop outcome;                 /* for finish: why it was stopped; LANE_GO: run completed */
    int seat;                               /* for run: 0 to LANE_SEATS - 1, used by no other task meanwhile */
    atomic_int stop;                        /* enum lane_stop; polled by run */
    _Atomic int64_t memory; /* bytes that it takes; set before lanes_submit, and by run to less once it takes less */
    int64_t engine;         /* bytes that it computes with; set before lanes_submit */
    /* private to the lanes */
    uv_work_t work;
    struct lane_task *next;
    struct lanes *lanes;
    enum lane lane;
    uint64_t token, client;           /* the token, hashed; tokens with the same hash share their turns */
    uint64_t token_turn, client_turn; /* its position among the waiting tasks */
    uint64_t deadline;                /* ms; 0: still waiting */
};

/* Every lane holds at most `limit` waiting tasks; `memory` is for those that run, once for bodies and once for what
 * they compute with. NULL if out of memory. */
struct lanes *lanes_create(struct loop *loop, size_t limit, int64_t memory);

/*
 * False if the lane has no waiting place for this token, or the lanes are closing: the caller keeps the task. `token`
 * names the token ("": there are no tokens, and the client counts), `client` the address.
 */
bool lanes_submit(struct lanes *lanes, enum lane lane, const char *token, const char *client, struct lane_task *task);

/* Each second: time limits, and clients that are gone. NULL-safe: the loop still ticks while the daemon shuts down. */
void lanes_tick(struct lanes *lanes, uint64_t now);

/* The time limit in seconds of a task of the lane. */
int lane_seconds(enum lane lane);

/* Bytes that running tasks have taken of `memory`. */
int64_t lanes_memory_taken(const struct lanes *lanes);

/* Tasks that wait or run. */
size_t lanes_depth(const struct lanes *lanes);

/*
 * Sets the stop word of all tasks, runs the loop until all are finished, and frees. NULL-safe. False if a task has not
 * checked its stop word by `until` (clock_milliseconds): it still runs, and nothing that it uses may be freed.
 */
bool lanes_destroy(struct lanes *lanes, uint64_t until);

/* For core's polled callbacks: user is the task. */
bool lane_is_stopped(void *task);

#endif
