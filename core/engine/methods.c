/* The table of methods: see internal.h. */
#include "core/engine/internal.h"

const struct method *const method_table[] = {[METHOD_AUTO] = NULL,
                                             [METHOD_REVERSE] = &method_reverse,
                                             [METHOD_FORWARD] = &method_traces,
                                             [METHOD_SENSITIVITIES] = &method_sensitivities,
                                             [METHOD_SYNAPSES] = &method_synapses,
                                             [METHOD_RANK_ONE] = &method_rank_one};
