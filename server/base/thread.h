/*
 * The daemon's threads: libuv's pool, which runs jobs and lanes, and the store's writer. All have a stack large enough
 * for kernels, leave signals to the loop, and can report a crash, an overflow of their stack included.
 *
 * The pool is sized and started once, at the daemon's start, with all its threads: libuv aborts the process where a
 * thread cannot be started, and that must be a sentence at the start, not a crash later.
 */
#ifndef MODPROP_SERVER_THREAD_H
#define MODPROP_SERVER_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#define THREAD_IDLE "pool"  /* name of a thread of the pool that runs nothing */
#define POOL_FILE_THREADS 2 /* beside slots and lanes: for libuv's own file operations */
#define POOL_MOST 1024      /* libuv's own limit */

/* Starts `run`(user); false where there is no thread or no memory for one. To be joined. */
bool thread_start(pthread_t *thread, void (*run)(void *user), void *user);

/*
 * Sizes libuv's pool and starts all its threads. Before anything else uses the pool; on the loop thread. False with a
 * sentence of at most `size` bytes in `error`.
 */
bool pool_start(uv_loop_t *loop, int threads, char *error, size_t size);

/* Names the calling thread, and threads that it starts from now on, for the system's tools; at most 15 bytes. */
void thread_name_set(const char *name);

/*
 * From now on the calling thread, and those that it starts, work for `label` (at most 39 bytes): a crash of theirs is
 * its. `slot` is below POOL_MOST and of nobody else until thread_slot_leave.
 */
void thread_slot_enter(int slot, const char *label);
void thread_slot_leave(int slot);

/*
 * From now on a fatal signal of the process itself writes the label of the thread that it met (or an empty line) to
 * `descriptor` before it ends the process as it would have.
 */
void crash_mark_on_signals(int descriptor);

#endif
