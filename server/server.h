/*
 * The daemon's parts, tied together by main and reached by the routes. Everything here belongs to the loop thread.
 */
#ifndef MODPROP_SERVER_SERVER_H
#define MODPROP_SERVER_SERVER_H

#include "server/auth.h"
#include "server/config.h"
#include "server/http.h"
#include "server/loop.h"
#include "server/metrics.h"
#include "server/service.h"

enum server_state { SERVER_RECOVERING, SERVER_READY, SERVER_DRAINING };

struct server {
    struct config config;
    struct loop loop;
    struct http *http;
    struct auth *auth;
    struct service *service;
    struct metrics metrics;
    enum server_state state;
    int cores;          /* to divide over the jobs */
    int workers;        /* jobs at once */
    int64_t memory;     /* bytes for jobs */
    double started;     /* clock_seconds */
    uint64_t watchdog_interval, watchdog_due; /* ms; interval 0: no service manager watches */
    int start_status;   /* exit status of a failed start; 0: 1 */
};

#endif
