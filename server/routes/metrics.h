/*
 * What Prometheus reads at /metrics: counters kept by the loop thread, and gauges read when the page is made.
 *
 * Label sets are bounded: routes come from the route table, codes from our statuses, tasks and rules from their
 * enumerations.
 */
#ifndef MODPROP_SERVER_METRICS_H
#define MODPROP_SERVER_METRICS_H

#include <stdint.h>
#include <stdio.h>

#include "server/base/histogram.h"

#define METRIC_ROUTES_MAX 128
#define METRIC_CODES 24

struct metrics {
    struct histogram route_seconds[METRIC_ROUTES_MAX + 1]; /* the last: no route */
    uint64_t route_codes[METRIC_ROUTES_MAX + 1][METRIC_CODES];
};

void metrics_init(struct metrics *metrics);

/* One answered request; `route` is its index in the table, or -1. */
void metrics_request(struct metrics *metrics, int route, int status, double seconds);

/* Writers of the text format. `labels` is "" or a list such as route="x",code="200". */
void metrics_help(FILE *out, const char *name, const char *type, const char *help);
void metrics_value(FILE *out, const char *name, const char *labels, double value);
void metrics_histogram(FILE *out, const char *name, const char *labels, const struct histogram *histogram);

struct server;

/* The whole page; the caller frees it. NULL if out of memory. */
char *metrics_render(struct server *server, size_t *size);

#endif
