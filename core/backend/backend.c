/* The table of backends. See backend.h. */
#include "core/backend/backend.h"

#define BACKEND_ENTRY(number, name) [BACKEND_##number] = &backend_##name,
const struct backend_ops *const backend_table[BACKEND_TYPES] = {BACKENDS(BACKEND_ENTRY)};

void backend_destroy(struct backend *backend) {
    if (backend) {
        backend->ops->destroy(backend);
    }
}
