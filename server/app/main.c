/*
 * modpropd: reads its configuration, starts the parts, runs the loop, and stops the parts in order.
 *
 * Exit status: 0 after SIGTERM or SIGINT, 1 for a failure at run time, 2 for bad usage or configuration. A failure is
 * always reported in one sentence on standard error. Standard output carries the ready line and nothing else.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/program.h"
#include "api/text.h"
#include "core/base/build.h"
#include "core/kernels/select.h"
#include "server/datasets/adopt.h"
#include "server/datasets/catalog.h"
#include "server/executor/pool.h"
#include "server/executor/remote.h"
#include "server/experiments/experiments.h"
#include "server/app/healthcheck.h"
#include "server/base/host.h"
#include "server/app/maintenance.h"
#include "server/app/notify.h"
#include "server/routes/routes.h"
#include "server/routes/server.h"
#include "server/worker/command.h"
#include "server/base/thread.h"

#define LAST_MILLISECONDS 500 /* for requests still in progress when the jobs have stopped */

static int fail(int status, const char *sentence) {
    fprintf(stderr, "modpropd: %s\n", sentence);
    return status;
}

/* ---- the loop's hooks ---- */

static void on_tick(void *user, uint64_t now) {
    struct server *server = user;
    log_tick();
    http_tick(server->http, now);
    streams_tick(server->streams, now);
    if (server->lanes == NULL) {
        return; /* everything is being stopped, or did not start */
    }
    lanes_tick(server->lanes, now);
    waits_tick(&server->waits, now);
    catalog_tick(server->catalog, &server->loop.uv);
    remote_tick(server->remote);
    calls_tick(server, now);
    jobs_tick(server->jobs, now);
    experiments_tick(server->experiments);
    if (server->state == SERVER_READY) {
        retention_tick(&server->retention, server->jobs, server->reader, now);
    }
    if (server->watchdog_interval != 0 && now >= server->watchdog_due) {
        server->watchdog_due = now + server->watchdog_interval;
        notify_send("WATCHDOG=1");
    }
    if (server->stop_due != 0 && now >= server->stop_due) {
        loop_stop(&server->loop);
    }
}

static void on_idle(void *user) {
    struct server *server = user;
    server->drained = true;
    loop_stop(&server->loop);
}

/* Stops taking jobs and lets running ones write a checkpoint; a second signal changes nothing. */
static void drain(struct server *server) {
    if (server->state == SERVER_DRAINING) {
        return;
    }
    server->state = SERVER_DRAINING;
    server->stop_due = clock_milliseconds() + (uint64_t)server->config.shutdown_timeout * 1000;
    notify_send("STOPPING=1");
    http_quiesce(server->http);
    experiments_drain(server->experiments);
    calls_close(server, false);
    jobs_drain(server->jobs, on_idle, server);
}

static void reload_certificate(struct server *server) {
    char error[CONFIG_ERROR_BYTES];
    if (!http_is_tls(server->http)) {
        return;
    }
    if (http_tls_reload(server->http, error)) {
        log_info("certificate reloaded");
    } else {
        log_error("certificate not reloaded; the old one stays in use", LOG_T("reason", error));
    }
}

static void on_signal(void *user, int number) {
    struct server *server = user;
    char error[CONFIG_ERROR_BYTES];
    if (number != SIGHUP) {
        log_info("stopping", LOG_T("signal", number == SIGTERM ? "SIGTERM" : "SIGINT"));
        drain(server);
        return;
    }
    reload_certificate(server);
    if (auth_reload(server->auth, error)) {
        size_t closed = routes_tokens_changed(server);
        log_info("tokens reloaded", LOG_I("tokens", auth_count(server->auth)), LOG_I("requests_closed", closed));
    } else {
        log_error("tokens not reloaded; the old ones stay in use", LOG_T("reason", error));
    }
}

/* Called for each committed event. */
static void on_event(void *user, const struct stream_event *event) {
    struct server *server = user;
    streams_publish(server->streams, event);
    calls_job_changed(server, event->job);
    if (event->terminal) {
        waits_job_ended(&server->waits, event->job);
        experiments_job_ended(server->experiments);
    }
}

/* ---- starting ---- */

/*
 * A directory is durable once its parent is. EINVAL: a file system that does not support this; EACCES: we may not open
 * it.
 */
static bool parent_sync(const char *path) {
    char parent[4096 + 4];
    bool fits = snprintf(parent, sizeof parent, "%s/..", path) < (int)sizeof parent;
    int descriptor = fits ? open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    bool done = descriptor < 0 ? errno == EACCES : fsync(descriptor) == 0 || errno == EINVAL;
    if (descriptor >= 0) {
        close(descriptor);
    }
    return done;
}

/* Creates the data directory if it is missing (but not its parents: a mistyped path should not create a tree). */
static bool make_data_directory(const char *path, char *error) {
    struct stat status;
    bool made = mkdir(path, 0700) == 0;
    if (!made && errno != EEXIST) {
        char parent[4096];
        snprintf(parent, sizeof parent, "%s", path);
        bool orphan = errno == ENOENT && access(dirname(parent), F_OK) != 0;
        snprintf(error, CONFIG_ERROR_BYTES, "--data: the directory %.150s cannot be created: %s%.150s%s", path,
                 orphan ? "its parent " : strerror(errno), orphan ? parent : "", orphan ? " does not exist" : "");
        return false;
    }
    if (made && !parent_sync(path)) {
        snprintf(error, CONFIG_ERROR_BYTES, "--data: the directory %s cannot be made durable: %s", path,
                 strerror(errno));
        return false;
    }
    if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode)) {
        snprintf(error, CONFIG_ERROR_BYTES, "--data: %s is not a directory", path);
        return false;
    }
    return true;
}

static void measure_host(struct server *server) {
    int cores = host_cores();
    server->host_cores = cores;
    server->host_memory = host_memory();
    server->cores = server->config.cores > 0 ? (int)server->config.cores : cores;
    server->workers = server->config.workers >= 0 ? (int)server->config.workers : server->cores;
    int64_t sixteenth = server->host_memory / 16, least = (int64_t)64 << 20;
    server->request_memory = server->config.request_memory > 0 ? server->config.request_memory
                             : sixteenth > least               ? sixteenth
                                                               : least;
    server->memory = server->config.memory > 0 ? server->config.memory : server->host_memory / 10 * 9;
}

static bool open_lane_readers(struct server *server, char *error) {
    for (int i = 0; i < LANE_SEATS; i++) {
        server->lane_readers[i] = store_reader_open(server->config.data, error);
        if (server->lane_readers[i] == NULL) {
            return false;
        }
    }
    return true;
}

/* We hold the store's lock: no other process writes in the directory. */
static bool start_datasets(struct server *server, char *error) {
    const struct catalog_limits limits = {.versions = server->config.max_datasets,
                                          .bytes = server->config.max_datasets_bytes,
                                          .owner_bytes = server->config.max_token_datasets_bytes};
    server->catalog = catalog_open(server->config.data, &limits, error);
    server->datasets = server->catalog == NULL ? NULL : datasets_create(server->config.data, server->catalog);
    server->admission = (struct admission_limits){.catalog = server->catalog,
                                                  .datasets = server->datasets,
                                                  .memory = server->memory,
                                                  .max_job_bytes = server->config.max_job_bytes};
    return server->datasets != NULL &&
           datasets_adopt_jobs(server->catalog, server->store, server->reader, &server->loop, error) &&
           catalog_recover(server->catalog, server->reader, error);
}

static bool start_store(struct server *server, char *error) {
    const char *directory = server->config.data;
    server->store = store_open(directory, &server->loop, error);
    server->reader = server->store == NULL ? NULL : store_reader_open(directory, error);
    if (server->reader == NULL || !open_lane_readers(server, error)) {
        return false;
    }
    if (!start_datasets(server, error)) {
        return false;
    }
    server->lanes = lanes_create(&server->loop, (size_t)server->config.max_waiting, server->request_memory);
    const struct streams_hooks hooks = {.user = server,
                                        .page = history_page_begin,
                                        .weights = results_weights_begin,
                                        .forget = results_weights_forget,
                                        .forget_page = history_page_forget};
    server->streams = streams_create(&hooks, (int)server->config.heartbeat, (size_t)server->config.max_streams,
                                     (size_t)server->config.token_streams);
    if (server->lanes == NULL || server->streams == NULL) {
        snprintf(error, CONFIG_ERROR_BYTES, "out of memory");
        return false;
    }
    return true;
}

static bool start_experiments(struct server *server, char *error) {
    const struct experiments_options options = {.loop = &server->loop,
                                                .store = server->store,
                                                .reader = server->reader,
                                                .lane_readers = server->lane_readers,
                                                .lanes = server->lanes,
                                                .jobs = server->jobs,
                                                .limits = &server->admission,
                                                .max_queued = server->config.max_queued,
                                                .build = build_identity};
    server->experiments = experiments_create(&options, error);
    return server->experiments != NULL;
}

static bool start_jobs(struct server *server, char *error) {
    const char *directory = server->config.data;
    const struct source source = source_of_store(directory);
    const struct remote_options remote = {.loop = &server->loop,
                                          .reader = server->reader,
                                          .datasets = server->datasets,
                                          .directory = directory,
                                          .lease = (int)server->config.worker_lease};
    server->executor = pool_executor_create(&server->loop, server->datasets, &source, server->workers, server->device,
                                            server->device_jobs);
    server->remote_executor = remote_executor_create(&remote, error);
    server->remote = remote_of(server->remote_executor);
    if (server->remote == NULL) {
        return false;
    }
    const struct jobs_options options = {.loop = &server->loop,
                                         .store = server->store,
                                         .reader = server->reader,
                                         .datasets = server->datasets,
                                         .executor = server->executor,
                                         .remote = server->remote_executor,
                                         .workers = server->workers,
                                         .cores = server->cores,
                                         .max_queued = server->config.max_queued,
                                         .owner_queued = server->config.max_token_queued,
                                         .max_job_bytes = server->config.max_job_bytes,
                                         .memory = server->memory,
                                         .build = build_identity,
                                         .user = server,
                                         .publish = on_event};
    char crashed[STORE_ID_BYTES];
    store_crash_mark_take(directory, crashed);
    /* a job that crashes the daemon repeatedly is detected, and no other job is blamed for it */
    server->mark = store_crash_mark_open(directory);
    if (server->mark >= 0) {
        crash_mark_on_signals(server->mark);
    }
    server->retention = (struct retention){.days = server->config.keep_days, .bytes = server->config.keep_bytes};
    server->jobs = server->executor == NULL ? NULL : jobs_create(&options);
    if (server->jobs == NULL) {
        snprintf(error, CONFIG_ERROR_BYTES, "out of memory");
        return false;
    }
    return jobs_start(server->jobs, crashed, error) && start_experiments(server, error);
}

static bool start_kernels(const struct server *server, char *error) {
    if (kernels_select(server->config.isa)) {
        return true;
    }
    snprintf(error, CONFIG_ERROR_BYTES,
             "--isa must be an instruction set that was built and that this host has (portable, avx2, avx512, neon); "
             "got \"%.60s\"",
             server->config.isa);
    return false;
}

/* The first GPU whose arithmetic is the processor's; -1: there is none. */
static int gpu_find(void) {
    struct train_device_info info;
    char why[256];
    int count = train_devices(-1, &info, why);
    for (int i = 0; i < count; i++) {
        if (train_devices(i, &info, why) > 0 && info.gpu && info.suitable) {
            return i;
        }
    }
    return -1;
}

static bool device_fits(int number, char *error) {
    struct train_device_info info;
    char why[256] = "";
    int count = train_devices(number, &info, why);
    if (number < count && info.suitable) {
        log_info("device", LOG_I("number", number), LOG_T("name", info.name), LOG_T("platform", info.platform));
        return true;
    }
    if (number < count) {
        snprintf(error, CONFIG_ERROR_BYTES, "--device opencl:%d (%.80s) does not compute as the processor does: %.120s",
                 number, info.name, info.why);
    } else if (count == 0) {
        snprintf(error, CONFIG_ERROR_BYTES, "--device opencl:%d: %.200s", number, why);
    } else {
        snprintf(error, CONFIG_ERROR_BYTES, "--device must be from opencl:0 to opencl:%d on this host; got opencl:%d",
                 count - 1, number);
    }
    return false;
}

/* Nothing is loaded of a vendor's library unless a device is asked for. */
static bool start_device(struct server *server, char *error) {
    const char *text = server->config.device;
    char *end;
    server->device = -1;
    if (strcmp(text, "none") == 0) {
        return true;
    }
    if (strcmp(text, "auto") == 0) {
        server->device = gpu_find();
        if (server->device < 0) {
            log_info("no device: no GPU computes as the processor does");
            return true;
        }
        return device_fits(server->device, error);
    }
    long number = strncmp(text, "opencl:", 7) == 0 && text[7] >= '0' && text[7] <= '9' ? strtol(text + 7, &end, 10)
                                                                                       : -1;
    if (number < 0 || number > 1000 || *end != '\0') {
        snprintf(error, CONFIG_ERROR_BYTES, "--device must be none, auto or opencl:N; got \"%.60s\"", text);
        return false;
    }
    server->device = (int)number;
    return device_fits(server->device, error);
}

static bool start(struct server *server, char *error) {
    const struct http_hooks hooks = {
        .user = server, .admit = routes_admit, .head = routes_head, .handle = routes_handle, .done = routes_done};
    metrics_init(&server->metrics);
    waits_init(&server->waits, server);
    server->started = clock_seconds();
    if (server->config.docs != NULL && (server->pages = pages_open(server->config.docs, error)) == NULL) {
        return false;
    }
    server->auth = make_data_directory(server->config.data, error) ? auth_create(&server->config, error) : NULL;
    if (server->auth == NULL || !start_store(server, error)) {
        return false;
    }
    routes_register(routes_listed, routes_listed_count);
    server->http = http_create(&server->loop, &server->config, &hooks, error);
    return server->http != NULL && start_jobs(server, error);
}

/* The line that scripts wait for: from now on submissions are accepted. */
static bool say_ready(struct server *server) {
    char address[ADDRESS_BYTES];
    http_address(server->http, address);
    server->state = SERVER_READY;
    log_info("ready", LOG_I("port", http_port(server->http)), LOG_I("cores", server->cores),
             LOG_I("workers", server->workers), LOG_I("memory_bytes", server->memory),
             LOG_I("tokens", auth_count(server->auth)));
    server->watchdog_interval = notify_watchdog_milliseconds();
    notify_send("READY=1");
    const char *scheme = http_is_tls(server->http) ? "https" : "http";
    return printf("modpropd listening on %s://%s:%d\n", scheme, address, http_port(server->http)) > 0 &&
           fflush(stdout) == 0;
}

/*
 * Stops everything. The order matters: what still waits in a lane or for a commit is answered before its request is
 * freed, and the store is closed after the last write and before the jobs that made it.
 */
static void stop(struct server *server) {
    uint64_t until = server->stop_due != 0 ? server->stop_due + LAST_MILLISECONDS
                                           : clock_milliseconds() + 10 * LAST_MILLISECONDS;
    waits_end(&server->waits);
    calls_close(server, true);
    if (!lanes_destroy(server->lanes, until)) {
        /* It may be reading a large dataset. Its client gets no response; what was answered is stored. */
        log_warning("stopped during a computation that did not end in time");
        store_close(server->store);
        _exit(0);
    }
    server->lanes = NULL;
    loop_deliver(&server->loop);
    store_close(server->store);
    loop_deliver(&server->loop);
    http_destroy(server->http, LAST_MILLISECONDS);
    streams_destroy(server->streams);
    experiments_destroy(server->experiments);
    jobs_destroy(server->jobs);
    if (server->executor != NULL) {
        server->executor->operations->destroy(server->executor);
    }
    if (server->remote_executor != NULL) {
        server->remote_executor->operations->destroy(server->remote_executor);
    }
    datasets_destroy(server->datasets);
    catalog_close(server->catalog, &server->loop.uv);
    for (int i = 0; i < LANE_SEATS; i++) {
        store_reader_close(server->lane_readers[i]);
    }
    store_reader_close(server->reader);
    auth_destroy(server->auth);
    pages_close(server->pages);
}

static int serve(struct server *server) {
    char error[CONFIG_ERROR_BYTES] = "";
    const struct loop_hooks hooks = {.user = server, .tick = on_tick, .signal = on_signal};
    measure_host(server);
    if (!start_kernels(server, error) || !start_device(server, error)) {
        return fail(2, error);
    }
    if (loop_init(&server->loop, &hooks) != 0) {
        return fail(1, "the event loop cannot start");
    }
    server->device_jobs = server->device >= 0 ? (int)server->config.device_jobs : 0;
    int threads = server->workers + server->device_jobs + LANE_SEATS + POOL_FILE_THREADS;
    bool started = pool_start(&server->loop.uv, threads, error, sizeof error) && start(server, error);
    if (started && !say_ready(server)) {
        log_warning("the ready line could not be written to standard output", LOG_T("reason", strerror(errno)));
    }
    if (started) {
        thread_slices_shorten();
        loop_run(&server->loop);
        store_mark_stopped(server->mark);
    }
    if (started && !server->drained) {
        /*
         * A worker did not check its stop word in time. Its job resumes from its last checkpoint, as after a crash; its
         * thread cannot be joined.
         */
        log_warning("stopped before a running job could write its last checkpoint");
        _exit(0);
    }
    stop(server);
    loop_release(&server->loop);
    if (!started) {
        return fail(1, error);
    }
    log_info("stopped");
    return 0;
}

static int read_configuration(struct server *server, int count, char **arguments) {
    char error[CONFIG_ERROR_BYTES];
    char *help;
    switch (config_read(&server->config, count, arguments, environ, error)) {
    case CONFIG_OK:
        log_configure((enum log_format)server->config.log_format, (enum log_level)server->config.log_level);
        config_warn(environ);
        return -1;
    case CONFIG_HELP:
        help = config_help();
        fputs(help == NULL ? "" : help, stdout);
        free(help);
        return 0;
    case CONFIG_VERSION:
        printf("modpropd %s (build %s)\n", MODPROP_VERSION, build_identity);
        return 0;
    default:
        return fail(2, error);
    }
}

int main(int count, char **arguments) {
    static struct server server;
    program_begin();
    signal(SIGPIPE, SIG_IGN); /* a client that disconnected is an error of write(2), not the end of the daemon */
    umask(0077);
    json_memory_watch();
    if (count > 1 && strcmp(arguments[1], "token") == 0) {
        return auth_token_command(count - 2, arguments + 2);
    }
    if (count > 1 && strcmp(arguments[1], "healthcheck") == 0) {
        return healthcheck_command(count - 2, arguments + 2, environ);
    }
    if (count > 1 && strcmp(arguments[1], "verify") == 0) {
        return verify_command(count - 2, arguments + 2, environ);
    }
    if (count > 1 && strcmp(arguments[1], "backup") == 0) {
        return backup_command(count - 2, arguments + 2, environ);
    }
    if (count > 1 && strcmp(arguments[1], "worker") == 0) {
        return worker_command(count - 2, arguments + 2, environ);
    }
    int status = read_configuration(&server, count - 1, arguments + 1);
    if (status < 0) {
        status = serve(&server);
    }
    config_release(&server.config);
    return status;
}
