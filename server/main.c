/*
 * modpropd: reads its configuration, puts the parts together, runs the loop, and takes the parts down in order.
 *
 * Exit status: 0 after SIGTERM or SIGINT, 1 for a failure at run time, 2 for bad usage or configuration; a failure is always told in
 * one sentence on standard error. Standard output carries the ready line and nothing else.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/healthcheck.h"
#include "server/host.h"
#include "server/notify.h"
#include "server/routes.h"
#include "server/server.h"

extern char **environ;

static int fail(int status, const char *sentence) {
    fprintf(stderr, "modpropd: %s\n", sentence);
    return status;
}

/* ---- the loop's hooks -------------------------------------------------------------------------------------------- */

static void on_tick(void *user, uint64_t now) {
    struct server *server = user;
    if (server->http != NULL) {
        http_tick(server->http, now);
    }
    if (server->watchdog_interval != 0 && now >= server->watchdog_due) {
        server->watchdog_due = now + server->watchdog_interval;
        notify_send("WATCHDOG=1");
    }
}

static void on_signal(void *user, int number) {
    struct server *server = user;
    char error[CONFIG_ERROR_BYTES];
    if (number != SIGHUP) {
        log_info("stopping", LOG_T("signal", number == SIGTERM ? "SIGTERM" : "SIGINT"));
        server->state = SERVER_DRAINING;
        loop_stop(&server->loop);
    } else if (auth_reload(server->auth, error)) {
        log_info("tokens were read again", LOG_I("tokens", auth_count(server->auth)));
    } else {
        log_error("tokens were not read again; the old ones stay in force", LOG_T("reason", error));
    }
}

/* ---- starting ---------------------------------------------------------------------------------------------------- */

/* Makes the data directory where it is missing (not its parents: a mistyped path should not grow a tree). */
static bool make_data_directory(const char *path, char *error) {
    struct stat status;
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        snprintf(error, CONFIG_ERROR_BYTES, "--data: the directory %s cannot be made: %s", path, strerror(errno));
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
    server->cores = server->config.cores > 0 ? (int)server->config.cores : cores;
    server->workers = server->config.workers >= 0 ? (int)server->config.workers : server->cores;
    server->memory = server->config.memory > 0 ? server->config.memory : host_memory() / 10 * 9;
}

static bool start(struct server *server, char *error) {
    static const struct http_hooks routes = {.head = routes_head, .handle = routes_handle, .done = routes_done};
    struct http_hooks hooks = routes;
    hooks.user = server;
    measure_host(server);
    metrics_init(&server->metrics);
    server->started = clock_seconds();
    server->auth = make_data_directory(server->config.data, error) ? auth_create(&server->config, error) : NULL;
    if (server->auth == NULL) {
        return false;
    }
    server->service = service_create(&server->loop, (size_t)server->config.max_waiting);
    if (server->service == NULL) {
        snprintf(error, CONFIG_ERROR_BYTES, "the service thread cannot start");
        return false;
    }
    server->http = http_create(&server->loop, &server->config, &hooks, error);
    return server->http != NULL;
}

/* The line that scripts wait for: submissions are accepted from now on. */
static bool say_ready(struct server *server) {
    const char *listen = server->config.listen;
    int host = (int)(strrchr(listen, ':') - listen);
    server->state = SERVER_READY;
    log_info("ready", LOG_I("port", http_port(server->http)), LOG_I("cores", server->cores), LOG_I("workers", server->workers),
             LOG_I("memory_bytes", server->memory), LOG_I("tokens", auth_count(server->auth)));
    server->watchdog_interval = notify_watchdog_milliseconds();
    notify_send("READY=1");
    return printf("modpropd listening on %s://%.*s:%d\n", http_is_tls(server->http) ? "https" : "http", host, listen, http_port(server->http)) > 0 &&
           fflush(stdout) == 0;
}

static void stop(struct server *server) {
    notify_send("STOPPING=1");
    if (server->http != NULL) {
        http_quiesce(server->http);
    }
    service_destroy(server->service); /* its tasks finish on the loop, before their requests go */
    loop_deliver(&server->loop);
    http_destroy(server->http, 500);
    auth_destroy(server->auth);
}

static int serve(struct server *server) {
    char error[CONFIG_ERROR_BYTES] = "";
    const struct loop_hooks hooks = {.user = server, .tick = on_tick, .signal = on_signal};
    if (loop_init(&server->loop, &hooks) != 0) {
        return fail(1, "the event loop cannot start");
    }
    bool started = start(server, error);
    if (started && !say_ready(server)) {
        log_warning("the ready line could not be written to standard output", LOG_T("reason", strerror(errno)));
    }
    if (started) {
        loop_run(&server->loop);
    }
    stop(server);
    loop_release(&server->loop);
    if (!started) {
        return fail(server->start_status == 0 ? 1 : server->start_status, error);
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
        return -1;
    case CONFIG_HELP:
        help = config_help();
        fputs(help == NULL ? "" : help, stdout);
        free(help);
        return 0;
    case CONFIG_VERSION:
        printf("modpropd %s\n", MODPROP_VERSION);
        return 0;
    default:
        return fail(2, error);
    }
}

int main(int count, char **arguments) {
    static struct server server;
    signal(SIGPIPE, SIG_IGN); /* a client that is gone is an error of write(2), not the daemon's end */
    umask(0077);
    if (count > 1 && strcmp(arguments[1], "token") == 0) {
        return auth_token_command(count - 2, arguments + 2);
    }
    if (count > 1 && strcmp(arguments[1], "healthcheck") == 0) {
        return healthcheck_command(count - 2, arguments + 2, environ);
    }
    int status = read_configuration(&server, count - 1, arguments + 1);
    if (status < 0) {
        status = serve(&server);
    }
    config_release(&server.config);
    return status;
}
