/*
 * Sources: what an attempt on the pool starts from. The daemon's attempts read the store (source.c); those of a worker
 * read what came with the lease (server/worker). A source is opened by the attempt's thread, used by it alone, and
 * closed by it.
 */
#ifndef MODPROP_SERVER_EXECUTOR_SOURCE_H
#define MODPROP_SERVER_EXECUTOR_SOURCE_H

#include "server/store/store.h"

struct source {
    void *user;
    /* A handle for the job `id`, or NULL with a sentence. */
    void *(*open)(void *user, const char *id, char reason[STORE_ERROR_BYTES]);
    void (*close)(void *handle);
    /* As the functions of store.h that end alike; the texts and the bytes are the caller's. */
    int (*document)(void *handle, const char *id, char **document);
    int (*history)(void *handle, const char *id, char **history);
    int (*checkpoint)(void *handle, const char *id, struct store_checkpoint *checkpoint, int *damaged);
    int (*check)(void *handle, const char *id, int64_t iteration, char **check);
};

/* The store in this directory, which must outlive the source. */
struct source source_of_store(const char *directory);

#endif
