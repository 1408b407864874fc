/* The table of neuron models. */
#include "core/model/neuron.h"

#define NEURON_ENTRY(number, name) [NEURON_##number] = &neuron_##name,
const struct neuron_ops *const neuron_table[NEURON_MODELS] = {NEURONS(NEURON_ENTRY)};
