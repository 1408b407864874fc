/*
 * Changes of an experiment's specification: its name, notes, tags, metrics and comparison are replaced; seeds, values
 * of axes and points are added. Nothing is ever taken away, and what is added comes after what is there, so that a
 * point keeps its name and a trial its job. What is there already is not added again: a change may be repeated.
 *
 * Pure; any thread.
 */
#ifndef MODPROP_SERVER_GROWTH_H
#define MODPROP_SERVER_GROWTH_H

#include "server/experiments/design.h"

/*
 * The document of `design` with the changes of a PATCH. *grown: points or trials are added. NULL, with faults, if the
 * changes are not allowed. The result is to be read by design_read, which checks it as a whole.
 */
json_t *design_change(const struct design *design, const json_t *changes, bool *grown, struct problems *problems);

#endif
