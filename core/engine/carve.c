/*
 * One block of memory carved into aligned arrays: see internal.h. The same function is run twice, first with base NULL,
 * to learn the size, then with the memory.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/size.h"
#include "core/engine/internal.h"

#define CARVE_ALIGN 64

void *carve(struct carver *carver, size_t count, size_t size) {
    void *at = carver->base ? carver->base + carver->used : NULL;
    carver->used = size_plus(carver->used, size_aligned(size_times(count, size), CARVE_ALIGN));
    return at;
}

void *carver_allocate(struct carver *carver) {
    if (!size_possible(carver->used)) {
        return NULL;
    }
    size_t size = carver->used > 0 ? carver->used : CARVE_ALIGN;
    void *memory = aligned_alloc(CARVE_ALIGN, size);
    if (memory) {
        memset(memory, 0, size);
    }
    *carver = (struct carver){.base = memory};
    return memory;
}
