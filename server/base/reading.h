/*
 * What a thread has read from the database: the steps of its statements and the bytes of the pages that they touched,
 * on any connection. The store's readers count; the loop compares before and after each of its callbacks (loop.h), so
 * that a test can see whether a callback takes time in proportion to what is stored.
 */
#ifndef MODPROP_SERVER_READING_H
#define MODPROP_SERVER_READING_H

#include <stdint.h>

struct reading {
    uint64_t steps, bytes;
};

/* Adds to the calling thread's counts. */
void reading_add(uint64_t steps, uint64_t bytes);
/* The calling thread's counts since it started. */
struct reading reading_done(void);

#endif
