/*
 * The outbox of one attempt on a worker: what it has reported and the daemon has not acknowledged yet. It lies in files
 * of the worker's scratch directory, so that an attempt trains on while the daemon cannot be reached, whatever it
 * reports meanwhile.
 *
 *     NAME.records          one record a line, in order; removed from the front as they are acknowledged
 *     NAME.ITERATION.check  a checkpoint
 *
 * Records are sent in order. A checkpoint is sent once all that was reported before it is acknowledged, so that a job
 * which resumes from it lacks no evaluation; a newer one takes the place of one that waits, unless the job keeps
 * several. What was sent and not acknowledged is sent again exactly as it was: its numbers are taken. Loop thread.
 */
#ifndef MODPROP_SERVER_WORKER_OUTBOX_H
#define MODPROP_SERVER_WORKER_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "server/store/store.h"

#define OUTBOX_PATH_BYTES 512
#define OUTBOX_BATCH_BYTES 65536
#define OUTBOX_BATCH_RECORDS 256

struct outbox;

struct outbox_checkpoint {
    struct outbox_checkpoint *next;
    char path[OUTBOX_PATH_BYTES];
    int64_t iteration;
    double loss;
    size_t size;
    char sha256[STORE_HASH_BYTES];
    int64_t after; /* bytes of records that were reported before it */
};

/* What is to be sent next. */
struct outbox_item {
    int64_t first; /* the number of its first record */
    char *body;    /* records; owned by the outbox until it is acknowledged */
    size_t body_size;
    const struct outbox_checkpoint *checkpoint; /* NULL: it is records */
};

/* `path`: the beginning of the files' names. NULL if its files cannot be made. */
struct outbox *outbox_create(const char *path, bool keeps_several);
/* Removes its files. NULL-safe. */
void outbox_destroy(struct outbox *outbox);

/* A record as JSON text. False if it cannot be kept: the scratch directory is full. */
bool outbox_record(struct outbox *outbox, const char *json);
bool outbox_checkpoint(struct outbox *outbox, int64_t iteration, double loss, const void *bytes, size_t size,
                       const char *sha256);
/* False: there is nothing to send now. `checkpoints`: whether one may be sent. The same item until it is
 * acknowledged. */
bool outbox_next(struct outbox *outbox, bool checkpoints, struct outbox_item *item);
/* The item has arrived. */
void outbox_acknowledge(struct outbox *outbox);
/* Nothing is left to send. */
bool outbox_is_empty(const struct outbox *outbox);
/* How many records have arrived, checkpoints among them. */
int64_t outbox_count(const struct outbox *outbox);
/* Iteration of the newest checkpoint that has arrived; -1: none. */
int64_t outbox_checkpointed(const struct outbox *outbox);

#endif
