/*
 * The daemon's threads: libuv's pool, which runs jobs and lanes, and the store's writer. All have a stack large enough
 * for kernels, leave signals to the loop, and can report a crash, including an overflow of their stack.
 *
 * The pool is sized and started once, at the daemon's start, with all its threads: libuv aborts the process if it
 * cannot start a thread, and that must be an error message at the start, not a crash later.
 */
#ifndef MODPROP_SERVER_THREAD_H
#define MODPROP_SERVER_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#define THREAD_IDLE "pool"  /* name of a pool thread that is idle */
#define POOL_FILE_THREADS 2 /* besides slots and lanes: for libuv's own file operations */
#define POOL_MOST 1024      /* libuv's own limit */

/* Starts `run`(user); false if the thread or memory for it is not available. The caller joins it. */
bool thread_start(pthread_t *thread, void (*run)(void *user), void *user);

/*
 * Sizes libuv's pool and starts all its threads. Call it before anything else uses the pool, on the loop thread. False
 * with a sentence of at most `size` bytes in `error`.
 */
bool pool_start(uv_loop_t *loop, int threads, char *error, size_t size);

/* Names the calling thread, and threads that it starts from now on, for system tools; at most 15 bytes. */
void thread_name_set(const char *name);

/*
 * The calling thread computes little and is to run soon after it wakes, before those that compute much: it asks the
 * system for short slices of time (Linux 6.12 and later; elsewhere nothing changes). Its share stays the same, and
 * threads that it starts have slices of the usual length.
 */
void thread_slices_shorten(void);

/*
 * From now on the calling thread, and the threads that it starts, work for `label` (at most 39 bytes), which is then
 * blamed for their crashes. `slot` is below POOL_MOST and in use by no other thread until thread_slot_leave.
 */
void thread_slot_enter(int slot, const char *label);
void thread_slot_leave(int slot);

/*
 * From now on a fatal signal of the process writes the label of the faulting thread (or an empty line) to `descriptor`
 * before it ends the process as usual.
 */
void crash_mark_on_signals(int descriptor);

#endif
