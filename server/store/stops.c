/*
 * See stops.h. The file is STOPS_MOST slots of SLOT_BYTES: an id and a line break, or zero bytes. It is filled with
 * zeros when it is made, so that its blocks exist; a slot never crosses a sector.
 */
#include "server/store/stops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLOT_BYTES 64

static bool slot_write(struct stops *stops, int slot) {
    char bytes[SLOT_BYTES] = "";
    if (stops->ids[slot][0] != '\0') {
        snprintf(bytes, sizeof bytes, "%s\n", stops->ids[slot]);
    }
    return pwrite(stops->descriptor, bytes, sizeof bytes, (off_t)slot * SLOT_BYTES) == (ssize_t)sizeof bytes &&
           fdatasync(stops->descriptor) == 0;
}

static bool file_fill(int descriptor) {
    static const char zeros[SLOT_BYTES * STOPS_MOST];
    return pwrite(descriptor, zeros, sizeof zeros, 0) == (ssize_t)sizeof zeros && fsync(descriptor) == 0;
}

/* Call with the mutex held, or before other threads know of it. */
static void file_open(struct stops *stops) {
    struct stat file;
    int descriptor = open(stops->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    bool whole = descriptor >= 0 && fstat(descriptor, &file) == 0 && file.st_size == SLOT_BYTES * STOPS_MOST;
    if (descriptor >= 0 && !whole && !file_fill(descriptor)) {
        close(descriptor);
        (void)unlink(stops->path);
        descriptor = -1;
    }
    stops->descriptor = descriptor;
}

bool stops_init(struct stops *stops, const char *directory) {
    *stops = (struct stops){.descriptor = -1};
    pthread_mutex_init(&stops->mutex, NULL);
    if (snprintf(stops->path, sizeof stops->path, "%s/stops", directory) >= (int)sizeof stops->path) {
        return false;
    }
    file_open(stops);
    for (int slot = 0; stops->descriptor >= 0 && slot < STOPS_MOST; slot++) {
        char bytes[SLOT_BYTES + 1] = "";
        if (pread(stops->descriptor, bytes, SLOT_BYTES, (off_t)slot * SLOT_BYTES) == SLOT_BYTES &&
            strcspn(bytes, "\n") < STORE_ID_BYTES) {
            bytes[strcspn(bytes, "\n")] = '\0';
            memcpy(stops->ids[slot], bytes, STORE_ID_BYTES);
            stops->count += bytes[0] != '\0';
        }
    }
    return true;
}

void stops_release(struct stops *stops) {
    if (stops->descriptor >= 0) {
        close(stops->descriptor);
    }
    pthread_mutex_destroy(&stops->mutex);
}

void stops_prepare(struct stops *stops) {
    pthread_mutex_lock(&stops->mutex);
    if (stops->descriptor < 0) {
        file_open(stops);
    }
    pthread_mutex_unlock(&stops->mutex);
}

/* The slot of an id, "" for a free one; STOPS_MOST: none. */
static int slot_find(const struct stops *stops, const char *id) {
    int slot = 0;
    while (slot < STOPS_MOST && strcmp(stops->ids[slot], id) != 0) {
        slot++;
    }
    return slot;
}

bool stops_add(struct stops *stops, const char *id) {
    pthread_mutex_lock(&stops->mutex);
    bool noted = slot_find(stops, id) < STOPS_MOST;
    int slot = slot_find(stops, "");
    if (!noted && slot < STOPS_MOST && stops->descriptor >= 0) {
        snprintf(stops->ids[slot], STORE_ID_BYTES, "%s", id);
        noted = slot_write(stops, slot);
        if (!noted) {
            stops->ids[slot][0] = '\0';
        }
        stops->count += noted;
    }
    pthread_mutex_unlock(&stops->mutex);
    return noted;
}

void stops_remove(struct stops *stops, const char *id) {
    pthread_mutex_lock(&stops->mutex);
    int slot = stops->count == 0 ? STOPS_MOST : slot_find(stops, id);
    if (slot < STOPS_MOST) {
        stops->ids[slot][0] = '\0';
        stops->count--;
        (void)slot_write(stops, slot); /* if it stays, the next start finds that the job has ended */
    }
    pthread_mutex_unlock(&stops->mutex);
}

bool stops_has(struct stops *stops, const char *id) {
    pthread_mutex_lock(&stops->mutex);
    bool has = stops->count > 0 && slot_find(stops, id) < STOPS_MOST;
    pthread_mutex_unlock(&stops->mutex);
    return has;
}
