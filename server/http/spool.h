/*
 * A spool: bytes that one side writes and a response sends. They stay in memory while they are few and go to an
 * unlinked file when they are many, so that a weights document of any size takes bounded memory and is sent with the
 * client's own backpressure.
 *
 * Used by one thread at a time (handed from a lane to the loop with its task).
 */
#ifndef MODPROP_SERVER_SPOOL_H
#define MODPROP_SERVER_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "server/http/http.h"

#define SPOOL_MEMORY_BYTES ((size_t)1 << 20)

struct spool {
    const char *directory; /* of the file; borrowed */
    char *bytes;           /* the beginning, until there is a file; then the writer's buffer */
    size_t used, capacity;
    int descriptor; /* -1: everything is in memory */
    uint64_t size;
    uint64_t held; /* of size, once it counts in spools_held */
    int error;     /* errno of the first failure; all later writes fail */
};

/* `directory` must outlive the spool. */
void spool_init(struct spool *spool, const char *directory);
void spool_release(struct spool *spool);

/* False once anything has failed (memory, disk); the writer may ignore it and check spool_finish. */
bool spool_write(struct spool *spool, const void *bytes, size_t size);
bool spool_text(struct spool *spool, const char *text);

/* Ends writing. False if anything has failed. */
bool spool_finish(struct spool *spool);

/* Reads at `position`; how many bytes, 0 at the end, -1 on failure. */
ssize_t spool_read(const struct spool *spool, uint64_t position, void *bytes, size_t size);

/* Bytes of all spools that were finished and not released. Any thread. */
uint64_t spools_held(void);

/* Responds with what was written; the spool is empty afterwards. A failed spool gives 503 or 507. */
void spool_reply(struct spool *spool, struct request *request, int status, const char *type);

#endif
