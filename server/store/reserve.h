/*
 * The reserve: a file of a few megabytes in the data directory that holds room on the disk and nothing else. When the
 * disk is full it is released, and what frees space (a cancellation, a deletion) is committed into that room; it is
 * taken again when there is room for it twice. The writer's thread.
 */
#ifndef MODPROP_SERVER_STORE_RESERVE_H
#define MODPROP_SERVER_STORE_RESERVE_H

#include <stdbool.h>
#include <stdint.h>

struct reserve {
    char path[4096];
    int64_t bytes; /* 8 MiB, or a sixteenth of a small disk */
    bool held;
};

/* Finds out how large it is to be and whether it is there. False where the path is too long. */
bool reserve_init(struct reserve *reserve, const char *directory);
/* Makes the file, whole or not at all. False where there is no room. */
bool reserve_take(struct reserve *reserve);
/* Gives its room back to the disk. */
void reserve_release(struct reserve *reserve);
/* Bytes that are free on its disk for this process; INT64_MAX where nobody knows. */
int64_t reserve_disk_free(const struct reserve *reserve);

#endif
