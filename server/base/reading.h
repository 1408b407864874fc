/*
 * What a thread has read from the database: steps of its statements and bytes of the pages that they touched, whichever
 * connection they used. Kept by the store's readers; the loop compares before and after each of its callbacks (loop.h),
 * so that a test sees whether any of them takes time in proportion to what is stored.
 */
#ifndef MODPROP_SERVER_READING_H
#define MODPROP_SERVER_READING_H

#include <stdint.h>

struct reading {
    uint64_t steps, bytes;
};

/* Adds to what the calling thread has done. */
void reading_add(uint64_t steps, uint64_t bytes);
/* What the calling thread has done since it began. */
struct reading reading_done(void);

#endif
