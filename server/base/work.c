/* What a thread has read: see work.h. */
#include "server/base/work.h"

static _Thread_local struct work work;

void work_add(uint64_t steps, uint64_t bytes) {
    work.steps += steps;
    work.bytes += bytes;
}

struct work work_done(void) {
    return work;
}
