/* The cost of one hop of credit: see internal.h. */
#include <math.h>

#include "core/engine/internal.h"

double hop_cost(const struct rule_config *rule, const struct rule_shape *shape) {
    const struct rule_ops *ops = rule_table[rule->type];
    double units = shape->units, types = shape->types;
    if (ops->work) {
        return ops->work(rule, shape);
    }
    if (!ops->uses_hop) {
        return 0;
    }
    double padded_types = ceil(types / LANES) * LANES;
    return rule_is_low_rank(rule, shape) ? units * padded_types + types * units : units * units;
}
