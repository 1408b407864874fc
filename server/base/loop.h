/*
 * The loop thread: libuv's loop, a queue for other threads, signals, and a tick each second.
 *
 * Everything that is not explicitly for another thread runs here. Other threads reach the loop only through loop_post;
 * what they post runs in order, on the loop thread. Embedded in the daemon; initialised and released by main.
 */
#ifndef MODPROP_SERVER_LOOP_H
#define MODPROP_SERVER_LOOP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "server/base/reading.h"

/* Embedded in whatever is posted, so posting allocates nothing and cannot fail. */
struct loop_message {
    struct loop_message *next;
    void (*deliver)(struct loop_message *message); /* on the loop thread; may free the message */
};

struct loop_hooks {
    void *user;
    void (*tick)(void *user, uint64_t now); /* each second; now in ms, monotonic */
    void (*signal)(void *user, int number); /* SIGTERM, SIGINT, SIGHUP */
};

/* What the loop thread is running, for its measurements. */
enum loop_callback {
    LOOP_REQUEST, /* a route's handler */
    LOOP_ANSWER,  /* one part of a streamed response */
    LOOP_MESSAGE, /* from another thread: commits, reports of jobs */
    LOOP_FINISH,  /* the end of a lane's task */
    LOOP_TICK,    /* the once-a-second tick */
    LOOP_CALLBACKS
};

extern const char *const loop_callback_names[LOOP_CALLBACKS];

/* The maxima of any one callback of a kind since loop_init: CPU time, and what it read (reading.h). */
struct loop_load {
    double cpu_seconds;
    struct reading read;
};

struct loop_mark {
    double cpu_seconds;
    struct reading read;
};

struct loop {
    uv_loop_t uv;
    uv_async_t door;
    uv_timer_t timer;
    uv_signal_t signals[3];
    pthread_mutex_t mutex; /* guards first, last */
    struct loop_message *first, **last;
    struct loop_hooks hooks;
    uint64_t tick_due;  /* ms */
    double lag_seconds; /* how late the last tick was */
    double lag_max_seconds;
    struct loop_load loads[LOOP_CALLBACKS];
};

/* 0, or -1 with errno. */
int loop_init(struct loop *loop, const struct loop_hooks *hooks);

/* Runs until loop_stop. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* Closes every remaining handle, delivers what is still posted, and frees. */
void loop_release(struct loop *loop);

/* Any thread; the message belongs to the loop until it is delivered. */
void loop_post(struct loop *loop, struct loop_message *message);

/* Loop thread: delivers what is posted now instead of at the next iteration; for an orderly shutdown. */
void loop_deliver(struct loop *loop);

/* Loop thread: around a callback that is measured. Nested measured calls count for both. */
struct loop_mark loop_enter(void);
void loop_leave(struct loop *loop, enum loop_callback callback, const struct loop_mark *mark);

/* Monotonic milliseconds; any thread. */
uint64_t clock_milliseconds(void);
double clock_seconds(void);

#endif
