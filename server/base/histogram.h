/*
 * Histograms in Prometheus' format. Plain values without a lock: the owner adds to it, or guards it.
 */
#ifndef MODPROP_SERVER_HISTOGRAM_H
#define MODPROP_SERVER_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_BUCKETS_MAX 16

struct histogram {
    const double *bounds; /* ascending, `buckets` of them */
    size_t buckets;
    uint64_t counts[HISTOGRAM_BUCKETS_MAX + 1]; /* the last one: above all bounds */
    double sum;
};

void histogram_init(struct histogram *histogram, const double *bounds, size_t buckets);
void histogram_add(struct histogram *histogram, double value);

extern const double latency_bounds[]; /* seconds, of requests and commits */
extern const size_t latency_buckets;
extern const double duration_bounds[]; /* seconds, of queue waits and runs */
extern const size_t duration_buckets;

#endif
