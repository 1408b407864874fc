/*
 * Labels and colours of points: what every client shows them by.
 *
 * A label says what differs from the defaults of the point's task and rule, and of that only what tells the points
 * apart: "modprop, mu=0.25". A colour is the rule's, the same in every experiment. Pure; any thread.
 */
#ifndef MODPROP_SERVER_LABELS_H
#define MODPROP_SERVER_LABELS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* The colour of a rule, as "#rrggbb"; apart for the colour-blind and on light and dark grounds. */
const char *rule_colour(const char *rule);

/*
 * Labels of `count` configurations with all defaults filled in (job_spec_encode). `given` (NULL, or as many): what the
 * user calls a point, an array of texts; its fields that `covered` names (JSON Pointers, of all points) are then left
 * out. Each label is malloc'ed. False without memory: some may be NULL.
 */
bool labels_make(json_t *const *configurations, size_t count, json_t *const *given, const json_t *covered,
                 char **labels);

#endif
