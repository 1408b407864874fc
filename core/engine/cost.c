/* The cost of one hop of credit: see internal.h. */
#include <math.h>

#include "core/engine/internal.h"

double hop_cost(const struct rule_config *rule, double units, double types) {
    if (!rule_table[rule->type]->uses_hop) {
        return 0;
    }
    double padded_types = ceil(types / LANES) * LANES;
    const struct rule_shape shape = {.units = (int)units, .types = (int)types};
    return rule_is_low_rank(rule, &shape) ? units * padded_types + types * units : units * units;
}
