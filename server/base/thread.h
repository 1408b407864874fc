/*
 * The daemon's own threads: a stack large enough for kernels, signals left to the loop, and room to tell of a crash.
 *
 * libuv's pool is not used: it aborts the process where its threads cannot be started, and here a job only waits for
 * better times.
 */
#ifndef MODPROP_SERVER_THREAD_H
#define MODPROP_SERVER_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/* Starts `run`(user); false where there is no thread or no memory for one. To be joined. */
bool thread_start(pthread_t *thread, void (*run)(void *user), void *user);

/*
 * From now on a fatal signal of the process itself writes a byte to `descriptor` before it ends the process as it would
 * have. Threads that thread_start made tell of a stack that overflowed, too.
 */
void crash_mark_on_signals(int descriptor);

#endif
