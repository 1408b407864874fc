#include "server/base/histogram.h"

const double latency_bounds[] = {0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                 0.1,    0.25,   0.5,   1,      2.5,   5,    10};
const size_t latency_buckets = sizeof latency_bounds / sizeof latency_bounds[0];
const double duration_bounds[] = {0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400, 43200, 86400, 604800};
const size_t duration_buckets = sizeof duration_bounds / sizeof duration_bounds[0];

void histogram_init(struct histogram *histogram, const double *bounds, size_t buckets) {
    *histogram = (struct histogram){.bounds = bounds, .buckets = buckets};
}

void histogram_add(struct histogram *histogram, double value) {
    size_t i = 0;
    while (i < histogram->buckets && value > histogram->bounds[i]) {
        i++;
    }
    histogram->counts[i]++;
    histogram->sum += value;
}
