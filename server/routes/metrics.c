/*
 * Metrics: see metrics.h. Names follow Prometheus' conventions: a prefix, base units, _total for counters.
 */
#include "server/routes/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

#include "api/job.h"
#include "core/base/build.h"
#include "core/kernels/select.h"
#include "server/base/host.h"
#include "server/routes/routes.h"

/* Every status that a route returns; the last one stands for all others. */
static const int codes[METRIC_CODES] = {200, 201, 202, 204, 206, 304, 400, 401, 403, 404, 405, 406,
                                        409, 412, 413, 415, 417, 422, 429, 500, 503, 507, 431, 0};

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
    fprintf(out, *labels == '\0' ? "%s%s %.16g\n" : "%s{%s} %.16g\n", name, labels, value);
}

void metrics_histogram(FILE *out, const char *name, const char *labels, const struct histogram *histogram) {
    const char *comma = *labels == '\0' ? "" : ",";
    uint64_t below = 0;
    for (size_t i = 0; i < histogram->buckets; i++) {
        below += histogram->counts[i];
        fprintf(out, "%s_bucket{%s%sle=\"%g\"} %llu\n", name, labels, comma, histogram->bounds[i],
                (unsigned long long)below);
    }
    below += histogram->counts[histogram->buckets];
    fprintf(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, labels, comma, (unsigned long long)below);
    fprintf(out, *labels == '\0' ? "%s_sum%s %.9g\n" : "%s_sum{%s} %.9g\n", name, labels, histogram->sum);
    fprintf(out, *labels == '\0' ? "%s_count%s %llu\n" : "%s_count{%s} %llu\n", name, labels,
            (unsigned long long)below);
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
                 "Time from a request's first line to the end of its response, by route.");
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
    single(out, "modprop_http_requests_active", "gauge", "Requests in progress, streams included.",
           (double)counts.requests);
    single(out, "modprop_http_body_bytes", "gauge", "Bytes of request bodies in memory now.",
           (double)counts.body_bytes);
    single(out, "modprop_http_answer_bytes", "gauge",
           "Bytes of responses in memory that clients have not read yet, streams excluded.",
           (double)counts.answer_bytes);
    single(out, "modprop_http_answer_file_bytes", "gauge",
           "The same for responses too large for memory, kept in files.", (double)counts.answer_file_bytes);
    single(out, "modprop_http_answers_cut_total", "counter",
           "Responses cut to make room for other clients: their client held the most unread bytes.",
           (double)counts.answers_cut);
    single(out, "modprop_http_received_bytes_total", "counter", "Bytes of request bodies received.",
           (double)counts.body_received);
    single(out, "modprop_http_sent_bytes_total", "counter", "Bytes of response bodies sent, streams included.",
           (double)counts.body_sent);
    single(out, "modprop_http_connections_accepted_total", "counter", "Connections accepted.", (double)counts.accepted);
    single(out, "modprop_http_connections_evicted_total", "counter", "Idle connections closed to make room.",
           (double)counts.evicted);
    single(out, "modprop_http_connections_expired_total", "counter",
           "Connections closed because headers, a body or reading a response took too long.", (double)counts.expired);
}

static void render_outcomes(FILE *out, const struct jobs_counts *counts) {
    static const enum job_status final[] = {JOB_SUCCEEDED, JOB_FAILED, JOB_CANCELLED};
    char labels[64];
    metrics_help(out, "modprop_job_queue_wait_seconds", "histogram",
                 "Time from a job's submission to its first start.");
    metrics_histogram(out, "modprop_job_queue_wait_seconds", "", &counts->waits);
    metrics_help(out, "modprop_job_run_seconds", "histogram",
                 "Training time, in all attempts, of jobs that ended, by how they ended.");
    for (size_t i = 0; i < sizeof final / sizeof final[0]; i++) {
        snprintf(labels, sizeof labels, "status=\"%s\"", job_status_name(final[i]));
        metrics_histogram(out, "modprop_job_run_seconds", labels, &counts->runs[final[i]]);
    }
    metrics_help(out, "modprop_jobs_failed_total", "counter", "Jobs that failed, by the code of their error.");
    for (size_t i = 0; i < JOBS_FAILURES; i++) {
        snprintf(labels, sizeof labels, "code=\"%s\"", jobs_failure_names[i]);
        metrics_value(out, "modprop_jobs_failed_total", labels, (double)counts->failed[i]);
    }
}

/* Every pair from the start: a series that first appears with its first value has no rate. */
static void render_by_rule(FILE *out, const char *name, const char *help,
                           const uint64_t values[TASKS_MOST][RULE_TYPES]) {
    char labels[128];
    metrics_help(out, name, "counter", help);
    for (int task = 0; task < task_count; task++) {
        for (int rule = 0; rule < RULE_TYPES; rule++) {
            snprintf(labels, sizeof labels, "task=\"%s\",rule=\"%s\"", task_type_name(task), rule_type_name(rule));
            metrics_value(out, name, labels, (double)values[task][rule]);
        }
    }
}

static void render_jobs(FILE *out, struct server *server) {
    char labels[64];
    const struct jobs_counts *done = jobs_counts(server->jobs);
    int64_t since = store_queue_since(server->reader);
    metrics_help(out, "modprop_jobs", "gauge", "Jobs in the store, by status.");
    for (int i = 0; i < JOB_STATUSES; i++) {
        snprintf(labels, sizeof labels, "status=\"%s\"", job_status_name((enum job_status)i));
        metrics_value(out, "modprop_jobs", labels, (double)done->jobs[i]);
    }
    single(out, "modprop_jobs_stalled", "gauge", "1 while jobs wait for space on the disk.",
           jobs_are_stalled(server->jobs));
    single(out, "modprop_queue_age_seconds", "gauge", "How long the job that starts next has waited; 0 if none waits.",
           since > 0   ? fmax(0.0, (double)(clock_unix_milliseconds() - since) * 1e-3)
           : since < 0 ? NAN
                       : 0.0);
    render_outcomes(out, done);
    render_by_rule(out, "modprop_training_iterations_total", "Updates made, by task and rule.", done->iterations);
    render_by_rule(out, "modprop_training_trials_total", "Trials trained on, by task and rule.", done->trials);
    single(out, "modprop_streams", "gauge", "Event streams open now.", (double)streams_count(server->streams));
    single(out, "modprop_streams_cut_total", "counter",
           "Event streams closed to make room for other clients when --max-streams was reached.",
           (double)streams_cut(server->streams));
    single(out, "modprop_stream_events_total", "counter", "Events sent on all streams.",
           (double)streams_sent_events(server->streams));
    single(out, "modprop_stream_bytes_total", "counter", "Bytes sent on all streams.",
           (double)streams_sent_bytes(server->streams));
    single(out, "modprop_service_queue_depth", "gauge",
           "Computations for requests (reads, checks, gradients, simulations) that wait or run.",
           server->lanes == NULL ? 0.0 : (double)lanes_depth(server->lanes));
}

/* Bytes of the disk that the reserve holds. */
static double reserve_held(const char *directory) {
    char path[4096];
    struct stat file;
    snprintf(path, sizeof path, "%s/reserve", directory);
    return stat(path, &file) == 0 ? 512.0 * (double)file.st_blocks : 0.0;
}

/* Workers: processes elsewhere that lease jobs. */
static void render_workers(FILE *out, const struct server *server) {
    const struct remote_counts counts = remote_counts(server->remote);
    single(out, "modprop_workers", "gauge", "Workers that the daemon has heard from lately.", counts.workers);
    single(out, "modprop_worker_slots", "gauge", "Jobs that these workers can train at once.",
           server->remote_executor->operations->capacity(server->remote_executor));
    single(out, "modprop_leases", "gauge", "Jobs that are leased to workers now.", counts.attempts);
    single(out, "modprop_leases_total", "counter", "Leases given to workers.", (double)counts.leased);
    single(out, "modprop_leases_silent_total", "counter", "Leases that ended because their worker was silent.",
           (double)counts.silent);
    single(out, "modprop_leases_returned_total", "counter", "Leases that workers gave back.", (double)counts.returned);
    single(out, "modprop_leases_stale_total", "counter", "Calls of workers that were refused because no lease held.",
           (double)counts.stale);
}

/* The device that runs jobs (--device); without one all are 0. */
static void render_device(FILE *out, const struct server *server) {
    struct train_device_load load = {0};
    if (server->device >= 0) {
        load = train_device_load(server->device);
    }
    single(out, "modprop_device_jobs", "gauge", "Jobs that run on the device.", load.jobs);
    single(out, "modprop_device_cohorts", "gauge", "Groups of jobs of equal shape that run side by side on the device.",
           load.cohorts);
    single(out, "modprop_device_memory_bytes", "gauge", "Memory of the device that these jobs take.",
           (double)load.memory_bytes);
    single(out, "modprop_device_rounds_total", "counter",
           "Rounds on the device, each of updates or of an evaluation of one cohort.", (double)load.rounds);
    single(out, "modprop_device_updates_total", "counter", "Updates made on the device, of all jobs.",
           (double)load.updates);
    single(out, "modprop_device_launches_total", "counter", "Kernels launched on the device.", (double)load.launches);
    single(out, "modprop_device_transfers_total", "counter", "Copies between the host and the device, either way.",
           (double)load.transfers);
    single(out, "modprop_device_seconds_total", "counter", "Time of the rounds on the device.", load.seconds);
}

static void render_datasets(FILE *out, struct server *server) {
    const struct catalog_totals totals = catalog_totals(server->catalog);
    single(out, "modprop_datasets", "gauge", "Names of datasets.", (double)totals.names);
    single(out, "modprop_dataset_versions", "gauge", "Versions of datasets, those without a name included.",
           (double)totals.versions);
    single(out, "modprop_dataset_bytes", "gauge", "Bytes of all versions of datasets.", (double)totals.bytes);
    single(out, "modprop_dataset_unnamed_bytes", "gauge",
           "Of these, bytes of versions that jobs still use and that no name has any more.",
           (double)totals.unnamed_bytes);
}

/* What quotas and other limits are set to; 0: none. */
static void render_bounds(FILE *out, const struct config *config) {
    const struct {
        const char *option;
        int64_t value;
    } bounds[] = {{"max-queued", config->max_queued},
                  {"max-token-queued", config->max_token_queued},
                  {"max-submit-priority", config->max_submit_priority},
                  {"max-job-bytes", config->max_job_bytes},
                  {"keep-bytes", config->keep_bytes},
                  {"max-datasets", config->max_datasets},
                  {"max-datasets-bytes", config->max_datasets_bytes},
                  {"max-token-datasets-bytes", config->max_token_datasets_bytes},
                  {"max-dataset", config->max_dataset},
                  {"max-body", config->max_body},
                  {"max-streams", config->max_streams},
                  {"token-streams", config->token_streams},
                  {"token-answers", config->token_answers},
                  {"max-waiting", config->max_waiting},
                  {"max-connections", config->max_connections},
                  {"max-address-connections", config->max_address_connections}};
    char labels[64];
    metrics_help(out, "modprop_bound", "gauge", "Quotas and other limits by the option that sets them; 0: none.");
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        snprintf(labels, sizeof labels, "option=\"%s\"", bounds[i].option);
        metrics_value(out, "modprop_bound", labels, (double)bounds[i].value);
    }
}

static void render_store(FILE *out, struct server *server) {
    struct store_counts counts = store_counts(server->store);
    struct statvfs disk = {0};
    bool known = statvfs(server->config.data, &disk) == 0;
    double block = (double)disk.f_frsize;
    single(out, "modprop_store_queue_depth", "gauge", "Writes that wait for a commit.",
           (double)store_depth(server->store));
    single(out, "modprop_store_commits_total", "counter", "Commits of the store, one fsync each.",
           (double)counts.commits);
    single(out, "modprop_store_writes_total", "counter", "Writes that were committed.", (double)counts.units);
    single(out, "modprop_store_failures_total", "counter", "Writes that failed.", (double)counts.failures);
    metrics_help(out, "modprop_store_commit_seconds", "histogram", "Time of a commit, from its first statement on.");
    metrics_histogram(out, "modprop_store_commit_seconds", "", &counts.commit);
    metrics_help(out, "modprop_store_sync_seconds", "histogram",
                 "The part of a commit that made it durable: writing the log and fsync.");
    metrics_histogram(out, "modprop_store_sync_seconds", "", &counts.sync);
    single(out, "modprop_store_bytes", "gauge",
           "Approximate bytes that all jobs take in the database; --keep-bytes bounds them.",
           (double)store_bytes_used(server->reader));
    single(out, "modprop_store_file_bytes", "gauge", "Size of the database's file, free pages included.",
           (double)store_bytes_file(server->reader));
    single(out, "modprop_store_free_bytes", "gauge", "Bytes of the file's free pages, which are reused.",
           (double)store_bytes_free(server->reader));
    single(out, "modprop_store_full", "gauge", "1 while the disk is full and only writes that free space are accepted.",
           store_is_full(server->store, NULL));
    single(out, "modprop_store_reserve_bytes", "gauge",
           "Disk space that is reserved for cancellations and deletions; 0 while the disk is full.",
           reserve_held(server->config.data));
    single(out, "modprop_store_purging", "gauge", "1 while parts of deleted jobs are still to be removed.",
           counts.purging);
    single(out, "modprop_store_purge_commits_total", "counter", "Commits that removed a portion of deleted jobs.",
           (double)counts.portions);
    single(out, "modprop_store_memory_bytes", "gauge", "Memory that the store uses: page caches and statements.",
           (double)store_memory_bytes());
    single(out, "modprop_disk_free_bytes", "gauge",
           "Space that the daemon may still use on the disk of the data directory.",
           known ? block * (double)disk.f_bavail : NAN);
    single(out, "modprop_disk_size_bytes", "gauge", "Size of the disk of the data directory.",
           known ? block * (double)disk.f_blocks : NAN);
}

/* Tests require that no work on the loop grows with what is stored; these numbers show it. */
static void render_loop(FILE *out, const struct loop *loop) {
    static const struct {
        const char *name, *help;
    } all[] = {{"modprop_loop_callback_cpu_seconds_max", "The most CPU time of one callback of the event loop."},
               {"modprop_loop_callback_steps_max", "The most steps of database statements in one callback."},
               {"modprop_loop_callback_read_bytes_max", "The most bytes of database pages read in one callback."}};
    char labels[64];
    for (int metric = 0; metric < 3; metric++) {
        metrics_help(out, all[metric].name, "gauge", all[metric].help);
        for (int i = 0; i < LOOP_CALLBACKS; i++) {
            const struct loop_load *load = &loop->loads[i];
            const double values[] = {load->cpu_seconds, (double)load->read.steps, (double)load->read.bytes};
            snprintf(labels, sizeof labels, "callback=\"%s\"", loop_callback_names[i]);
            metrics_value(out, all[metric].name, labels, values[metric]);
        }
    }
}

static void render_process(FILE *out, struct server *server) {
    struct rusage usage;
    struct rlimit files = {0};
    char labels[160];
    getrlimit(RLIMIT_NOFILE, &files);
    getrusage(RUSAGE_SELF, &usage);
    double user = (double)usage.ru_utime.tv_sec + 1e-6 * (double)usage.ru_utime.tv_usec;
    double system = (double)usage.ru_stime.tv_sec + 1e-6 * (double)usage.ru_stime.tv_usec;
    single(out, "process_cpu_seconds_total", "counter", "Processor time used.", user + system);
    single(out, "process_resident_memory_bytes", "gauge", "Memory resident now.", (double)host_resident_bytes());
    single(out, "modprop_heap_bytes", "gauge", "Memory allocated now, including the store's.",
           (double)host_heap_bytes());
    single(out, "process_open_fds", "gauge", "File descriptors open now.", (double)host_open_descriptors());
    single(out, "process_max_fds", "gauge", "File descriptors that may be open.", (double)files.rlim_cur);
    single(out, "process_start_time_seconds", "gauge", "When the daemon started, in seconds since 1970.",
           round((double)time(NULL) - (clock_seconds() - server->started)));
    single(out, "modprop_log_lines_lost_total", "counter", "Log lines dropped because nothing read them in time.",
           (double)log_lost());
    single(out, "modprop_loop_lag_seconds", "gauge", "How late the event loop's last tick came.",
           server->loop.lag_seconds);
    single(out, "modprop_loop_lag_max_seconds", "gauge", "The greatest lag of the event loop's tick since the start.",
           server->loop.lag_max_seconds);
    render_loop(out, &server->loop);
    single(out, "modprop_cores", "gauge", "Cores shared by the running jobs.", server->cores);
    single(out, "modprop_memory_limit_bytes", "gauge", "Memory that all running jobs together may use.",
           (double)server->memory);
    snprintf(labels, sizeof labels, "version=\"%s\",build=\"%s\",instruction_set=\"%s\"", MODPROP_VERSION,
             build_identity, kernels_name());
    metrics_help(out, "modprop_build_info", "gauge", "Always 1; labels describe the build.");
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
    render_store(out, server);
    render_datasets(out, server);
    render_workers(out, server);
    render_device(out, server);
    render_bounds(out, &server->config);
    render_connections(out, server);
    render_requests(out, &server->metrics);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
