/*
 * The reserve: a file of a few megabytes in the data directory that only occupies disk space. When the disk is full it
 * is released, and what frees space (a cancellation, a deletion) is committed into that space; it is recreated when
 * there is free space for twice its size. Used on the writer's thread.
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

/* Finds out its size and whether it exists. False if the path is too long. */
bool reserve_init(struct reserve *reserve, const char *directory);
/* Creates the file, completely or not at all. False if there is no space. */
bool reserve_take(struct reserve *reserve);
/* Gives its space back to the disk. */
void reserve_release(struct reserve *reserve);
/* Bytes that are free on its disk for this process; INT64_MAX if unknown. */
int64_t reserve_disk_free(const struct reserve *reserve);

#endif
