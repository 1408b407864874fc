/*
 * Metrics: what is measured of a trial's curves. A specification names them as objects, a query as short texts.
 *
 * Pure; any thread. What a metric's value is, is computed in statistics.c.
 */
#ifndef MODPROP_SERVER_EXPERIMENT_METRICS_H
#define MODPROP_SERVER_EXPERIMENT_METRICS_H

#include <jansson.h>
#include <stdbool.h>

#include "api/problem.h"

#define DESIGN_METRICS 16
#define METRIC_NAME_BYTES 64

/* How far training has come: what a curve is drawn against, and what "learned" is measured in. */
enum metric_unit {
    UNIT_ITERATIONS,
    UNIT_TRIALS, /* iterations times the batch's size */
    UNIT_SECONDS /* of training, as the evaluations report it: a matter of the machine */
};

enum metric_kind {
    METRIC_LEARNED, /* the first iteration of `in_a_row` evaluations under (or above) the threshold; else never */
    METRIC_FINAL,   /* the curve's last value */
    METRIC_BEST,    /* its minimum, or maximum if larger is better */
    METRIC_AREA     /* its average height, by trapezoids */
};

struct metric {
    char name[METRIC_NAME_BYTES];
    enum metric_kind kind;
    char key[METRIC_NAME_BYTES]; /* the curve: loss, accuracy, or any other of GET /v1/jobs/{id}/metrics */
    double threshold;
    bool above;
    int in_a_row;
    enum metric_unit unit; /* of METRIC_LEARNED */
    bool greater_is_better;
};

/* iterations, trials or seconds; false: none of them. */
bool metric_unit_find(const char *name, enum metric_unit *unit);
/* Reads the metrics of a list (NULL: the final loss) into `metrics`; returns how many. */
size_t metrics_read(const json_t *list, struct metric metrics[DESIGN_METRICS], struct problems *problems);
/*
 * The same of a query's text: final:CURVE, best:CURVE, area:CURVE, CURVE_below:THRESHOLD and CURVE_above:THRESHOLD, the
 * latter two with :IN_A_ROW where it is not 1, separated by commas. Named final_CURVE and so on.
 */
size_t metrics_parse(const char *text, enum metric_unit unit, struct metric metrics[DESIGN_METRICS],
                     struct problems *problems);

/* Whether there is a curve of this name in GET /v1/jobs/{id}/metrics. */
bool curve_exists(const char *key);

/* Adds the fault that `key`, of the parameter `keys`, is none, with the nearest name, or all that there are. */
void curve_refuse(struct problems *problems, const char *key);

#endif
