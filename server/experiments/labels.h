/*
 * Labels and colours of points, the same in every client.
 *
 * A label shows what differs from the defaults of the point's task and rule, and only as far as it distinguishes the
 * points: "modprop, mu=0.25". A colour belongs to a rule and is the same in every experiment. Pure; any thread.
 */
#ifndef MODPROP_SERVER_LABELS_H
#define MODPROP_SERVER_LABELS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* The colour of a rule, as "#rrggbb"; distinguishable for the colour-blind and on light and dark backgrounds. */
const char *rule_colour(const char *rule);

/*
 * Labels of `count` configurations with all defaults filled in (job_spec_encode). `given` (NULL, or as many): the
 * user's names for points, an array of texts; the fields of the point that `covered` names (JSON Pointers, of all
 * points) are then left out. Each label is malloc'ed. False if out of memory: some may be NULL.
 */
bool labels_make(json_t *const *configurations, size_t count, json_t *const *given, const json_t *covered,
                 char **labels);

#endif
