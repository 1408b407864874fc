/*
 * Spools: see spool.h. The file is made with O_TMPFILE in the data directory: it has no name, so a crash leaves nothing
 * behind. If the file system does not support O_TMPFILE, a file is made and unlinked at once.
 */
#include "server/http/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void spool_init(struct spool *spool, const char *directory) {
    *spool = (struct spool){.directory = directory, .descriptor = -1};
}

static _Atomic uint64_t held;

uint64_t spools_held(void) {
    return atomic_load(&held);
}

void spool_release(struct spool *spool) {
    atomic_fetch_sub(&held, spool->held);
    free(spool->bytes);
    if (spool->descriptor >= 0) {
        close(spool->descriptor);
    }
    spool_init(spool, spool->directory);
}

static int file_open(const char *directory) {
    int descriptor = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (descriptor < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/.spool-XXXXXX", directory);
        descriptor = mkostemp(path, O_CLOEXEC);
        if (descriptor >= 0) {
            unlink(path);
        }
    }
    return descriptor;
}

static bool fail(struct spool *spool, int error) {
    if (spool->error == 0) {
        spool->error = error;
    }
    return false;
}

static bool flush(struct spool *spool) {
    for (size_t done = 0; done < spool->used;) {
        ssize_t written = write(spool->descriptor, spool->bytes + done, spool->used - done);
        if (written < 0 && errno != EINTR) {
            return fail(spool, errno);
        }
        done += written > 0 ? (size_t)written : 0;
    }
    spool->used = 0;
    return true;
}

/* Makes room for at least one byte. */
static bool make_room(struct spool *spool) {
    if (spool->used < spool->capacity) {
        return true;
    }
    if (spool->capacity < SPOOL_MEMORY_BYTES) {
        size_t capacity = spool->capacity == 0 ? 4096 : spool->capacity * 2;
        char *bytes = realloc(spool->bytes, capacity);
        if (bytes == NULL) {
            return fail(spool, ENOMEM);
        }
        spool->bytes = bytes;
        spool->capacity = capacity;
        return true;
    }
    if (spool->descriptor < 0) {
        spool->descriptor = file_open(spool->directory);
        if (spool->descriptor < 0) {
            return fail(spool, errno);
        }
    }
    return flush(spool);
}

bool spool_write(struct spool *spool, const void *bytes, size_t size) {
    if (spool->error != 0) {
        return false;
    }
    for (const char *from = bytes; size > 0;) {
        if (!make_room(spool)) {
            return false;
        }
        size_t part = spool->capacity - spool->used < size ? spool->capacity - spool->used : size;
        memcpy(spool->bytes + spool->used, from, part);
        spool->used += part;
        spool->size += part;
        from += part;
        size -= part;
    }
    return true;
}

bool spool_text(struct spool *spool, const char *text) {
    return spool_write(spool, text, strlen(text));
}

bool spool_finish(struct spool *spool) {
    if (spool->error == 0 && spool->descriptor >= 0 && flush(spool)) {
        free(spool->bytes);
        spool->bytes = NULL;
        spool->capacity = 0;
    }
    atomic_fetch_add(&held, spool->size - spool->held);
    spool->held = spool->size;
    return spool->error == 0;
}

ssize_t spool_read(const struct spool *spool, uint64_t position, void *bytes, size_t size) {
    if (position >= spool->size) {
        return 0;
    }
    if (spool->descriptor >= 0) {
        return pread(spool->descriptor, bytes, size, (off_t)position);
    }
    size_t part = spool->size - position < size ? (size_t)(spool->size - position) : size;
    memcpy(bytes, spool->bytes + position, part);
    return (ssize_t)part;
}

void spool_reply(struct spool *spool, struct request *request, int status, const char *type) {
    if (spool->error != 0) {
        bool full = spool->error == ENOSPC || spool->error == EDQUOT;
        http_problem(request, full ? 507 : 503, "the response cannot be created: %s", strerror(spool->error));
    } else if (spool->descriptor >= 0) {
        http_reply_file(request, status, type, spool->descriptor, spool->size);
        spool->descriptor = -1;
    } else {
        char *bytes = spool->bytes == NULL ? calloc(1, 1) : spool->bytes;
        spool->bytes = NULL;
        http_reply_bytes(request, status, type, bytes, (size_t)spool->size);
    }
    spool_release(spool);
}
