/*
 * Labels and colours of points, the same in every client.
 *
 * A label shows what differs from the defaults of the point's task and rule, as short as it tells points apart:
 * "modprop, mu=0.25". What users call a point comes first; then the types of rule and task; then one field after the
 * other, each only if it tells apart points that have the same label so far. A colour belongs to a rule and is the same
 * in every experiment. Pure; any thread.
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
 * user's names for points, an array of texts; the fields that `covered` names (as many; JSON Pointers) are what they
 * stand for. Each label is malloc'ed. False if out of memory: some may be NULL.
 */
bool labels_make(json_t *const *configurations, size_t count, json_t *const *given, json_t *const *covered,
                 char **labels);

#endif
