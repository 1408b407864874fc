/* The routes that this daemon has: see routes.h. Written once, at the start. */
#include "server/routes/routes.h"

const struct route *route_table;
size_t route_count;

void routes_register(const struct route *table, size_t count) {
    route_table = table;
    route_count = count;
}
