/*
 * Metrics: see metrics.h. Names follow Prometheus' conventions: a prefix, base units, _total for counters.
 */
#include "server/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "server/host.h"
#include "server/routes.h"

const double latency_bounds[] = {0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
const size_t latency_buckets = sizeof latency_bounds / sizeof latency_bounds[0];
const double duration_bounds[] = {0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400, 43200, 86400, 604800};
const size_t duration_buckets = sizeof duration_bounds / sizeof duration_bounds[0];

/* Every status that a route answers with; the last stands for any other. */
static const int codes[METRIC_CODES] = {200, 201, 202, 204, 206, 304, 400, 401, 403, 404, 405, 406,
                                        409, 412, 413, 415, 417, 422, 429, 500, 503, 507, 431, 0};

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

void metrics_init(struct metrics *metrics) {
    memset(metrics, 0, sizeof *metrics);
    for (size_t i = 0; i <= METRIC_ROUTES_MAX; i++) {
        histogram_init(&metrics->route_seconds[i], latency_bounds, latency_buckets);
    }
}

void metrics_request(struct metrics *metrics, int route, int status, double seconds) {
    size_t index = route < 0 || route >= METRIC_ROUTES_MAX ? METRIC_ROUTES_MAX : (size_t)route, code = 0;
    while (code < METRIC_CODES - 1 && codes[code] != status) {
        code++;
    }
    metrics->route_codes[index][code]++;
    histogram_add(&metrics->route_seconds[index], seconds);
}

void metrics_help(FILE *out, const char *name, const char *type, const char *help) {
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void metrics_value(FILE *out, const char *name, const char *labels, double value) {
    fprintf(out, *labels == '\0' ? "%s%s %.17g\n" : "%s{%s} %.17g\n", name, labels, value);
}

void metrics_histogram(FILE *out, const char *name, const char *labels, const struct histogram *histogram) {
    const char *comma = *labels == '\0' ? "" : ",";
    uint64_t below = 0;
    for (size_t i = 0; i < histogram->buckets; i++) {
        below += histogram->counts[i];
        fprintf(out, "%s_bucket{%s%sle=\"%g\"} %llu\n", name, labels, comma, histogram->bounds[i], (unsigned long long)below);
    }
    below += histogram->counts[histogram->buckets];
    fprintf(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, labels, comma, (unsigned long long)below);
    fprintf(out, *labels == '\0' ? "%s_sum%s %.9g\n" : "%s_sum{%s} %.9g\n", name, labels, histogram->sum);
    fprintf(out, *labels == '\0' ? "%s_count%s %llu\n" : "%s_count{%s} %llu\n", name, labels, (unsigned long long)below);
}

/* One metric without labels. */
static void single(FILE *out, const char *name, const char *type, const char *help, double value) {
    metrics_help(out, name, type, help);
    metrics_value(out, name, "", value);
}

static const char *route_label(size_t index) {
    return index < route_count ? route_table[index].name : "none";
}

static void render_requests(FILE *out, const struct metrics *metrics) {
    char labels[128];
    metrics_help(out, "modprop_http_requests_total", "counter", "Requests answered, by route and status.");
    for (size_t i = 0; i <= METRIC_ROUTES_MAX; i++) {
        for (size_t j = 0; j < METRIC_CODES; j++) {
            if (metrics->route_codes[i][j] > 0) {
                snprintf(labels, sizeof labels, "route=\"%s\",code=\"%d\"", route_label(i), codes[j]);
                metrics_value(out, "modprop_http_requests_total", labels, (double)metrics->route_codes[i][j]);
            }
        }
    }
    metrics_help(out, "modprop_http_request_duration_seconds", "histogram",
                 "Time from a request's first line to the end of its answer, by route.");
    for (size_t i = 0; i <= METRIC_ROUTES_MAX; i++) {
        const struct histogram *histogram = &metrics->route_seconds[i];
        uint64_t total = 0;
        for (size_t j = 0; j <= histogram->buckets; j++) {
            total += histogram->counts[j];
        }
        if (total > 0) {
            snprintf(labels, sizeof labels, "route=\"%s\"", route_label(i));
            metrics_histogram(out, "modprop_http_request_duration_seconds", labels, histogram);
        }
    }
}

static void render_connections(FILE *out, struct server *server) {
    struct http_counts counts = http_counts(server->http);
    single(out, "modprop_http_connections", "gauge", "Connections open now.", (double)counts.connections);
    single(out, "modprop_http_requests_active", "gauge", "Requests under way now, streams included.", (double)counts.requests);
    single(out, "modprop_http_body_bytes", "gauge", "Bytes of request bodies in memory now.", (double)counts.body_bytes);
    single(out, "modprop_http_connections_accepted_total", "counter", "Connections accepted.", (double)counts.accepted);
    single(out, "modprop_http_connections_evicted_total", "counter", "Idle connections closed to make room.", (double)counts.evicted);
    single(out, "modprop_http_connections_expired_total", "counter", "Connections closed because headers or a body took too long.",
           (double)counts.expired);
}

static void render_jobs(FILE *out, struct server *server) {
    char labels[64];
    struct store_counts counts = store_counts(server->store);
    metrics_help(out, "modprop_jobs", "gauge", "Jobs in the store, by status.");
    for (int i = 0; i < JOB_STATUSES; i++) {
        int64_t count = store_jobs_count(server->reader, (enum job_status)i);
        snprintf(labels, sizeof labels, "status=\"%s\"", job_status_name((enum job_status)i));
        metrics_value(out, "modprop_jobs", labels, count < 0 ? NAN : (double)count);
    }
    single(out, "modprop_jobs_stalled", "gauge", "1 while jobs wait for room on the disk.", jobs_are_stalled(server->jobs));
    single(out, "modprop_streams", "gauge", "Event streams open now.", (double)streams_count(server->streams));
    single(out, "modprop_stream_events_total", "counter", "Events sent on all streams.", (double)streams_sent_events(server->streams));
    single(out, "modprop_service_queue_depth", "gauge", "Gradients, simulations and encodings that wait or run.",
           server->service == NULL ? 0.0 : (double)service_depth(server->service));
    single(out, "modprop_store_queue_depth", "gauge", "Writes that wait for a commit.", (double)store_depth(server->store));
    single(out, "modprop_store_commits_total", "counter", "Commits of the store, one fsync each.", (double)counts.commits);
    single(out, "modprop_store_writes_total", "counter", "Writes that were committed.", (double)counts.units);
    single(out, "modprop_store_failures_total", "counter", "Writes that failed.", (double)counts.failures);
    single(out, "modprop_store_commit_seconds_total", "counter", "Time spent in commits.", counts.commit_seconds);
    single(out, "modprop_store_commit_max_seconds", "gauge", "The longest commit.", counts.commit_seconds_max);
}

static void render_process(FILE *out, struct server *server) {
    struct rusage usage;
    char labels[160];
    getrusage(RUSAGE_SELF, &usage);
    double user = (double)usage.ru_utime.tv_sec + 1e-6 * (double)usage.ru_utime.tv_usec;
    double system = (double)usage.ru_stime.tv_sec + 1e-6 * (double)usage.ru_stime.tv_usec;
    single(out, "process_cpu_seconds_total", "counter", "Processor time used.", user + system);
    single(out, "process_resident_memory_bytes", "gauge", "Memory resident now.", (double)host_resident_bytes());
    single(out, "process_open_fds", "gauge", "File descriptors open now.", (double)host_open_descriptors());
    single(out, "process_start_time_seconds", "gauge", "When the daemon started, in seconds since 1970.",
           round((double)time(NULL) - (clock_seconds() - server->started)));
    single(out, "modprop_loop_lag_seconds", "gauge", "How late the event loop's last tick came.", server->loop.lag_seconds);
    single(out, "modprop_loop_lag_max_seconds", "gauge", "The latest that a tick of the event loop ever came.",
           server->loop.lag_max_seconds);
    single(out, "modprop_cores", "gauge", "Cores divided over the running jobs.", server->cores);
    single(out, "modprop_memory_limit_bytes", "gauge", "Memory that running jobs may take together.", (double)server->memory);
    snprintf(labels, sizeof labels, "version=\"%s\"", MODPROP_VERSION);
    metrics_help(out, "modprop_build_info", "gauge", "Always 1; what runs.");
    metrics_value(out, "modprop_build_info", labels, 1);
}

char *metrics_render(struct server *server, size_t *size) {
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    if (out == NULL) {
        return NULL;
    }
    render_process(out, server);
    render_jobs(out, server);
    render_connections(out, server);
    render_requests(out, &server->metrics);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
