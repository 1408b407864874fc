/* Where the time of a batch goes, by the engine's clock: see internal.h. */
#include "core/engine/internal.h"

void phase_end(struct engine *engine, int first_group, double *since, double *phase) {
    if (first_group != 0 || !engine->options.clock) {
        return;
    }
    double now = engine->options.clock(engine->options.clock_user);
    *phase += now - *since;
    *since = now;
}

double phase_begin(const struct engine *engine, int first_group) {
    return first_group == 0 && engine->options.clock ? engine->options.clock(engine->options.clock_user) : 0;
}
