/* What a thread has read: see reading.h. */
#include "server/base/reading.h"

static _Thread_local struct reading reading;

void reading_add(uint64_t steps, uint64_t bytes) {
    reading.steps += steps;
    reading.bytes += bytes;
}

struct reading reading_done(void) {
    return reading;
}
