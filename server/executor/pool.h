/*
 * The executor of this daemon: attempts on threads of libuv's pool, one thread per slot.
 */
#ifndef MODPROP_SERVER_EXECUTOR_POOL_H
#define MODPROP_SERVER_EXECUTOR_POOL_H

#include "server/base/loop.h"
#include "server/datasets/datasets.h"
#include "server/executor/executor.h"
#include "server/executor/source.h"

/*
 * All must outlive it, the source excepted, which is copied; the pool has `slots` threads for it (pool_start), and
 * `device_jobs` more. `device`: the number of the one that runs what it covers, at most so many jobs at once; -1: none,
 * and no jobs. NULL if out of memory.
 */
struct executor *pool_executor_create(struct loop *loop, struct datasets *datasets, const struct source *source,
                                      int slots, int device, int device_jobs);

#endif
