/*
 * The daemon's parts, connected by main and used by the routes. Everything here belongs to the loop thread.
 */
#ifndef MODPROP_SERVER_SERVER_H
#define MODPROP_SERVER_SERVER_H

#include "server/http/auth.h"
#include "server/base/config.h"
#include "server/datasets/datasets.h"
#include "server/http/http.h"
#include "server/jobs/admission.h"
#include "server/jobs/jobs.h"
#include "server/base/loop.h"
#include "server/routes/metrics.h"
#include "server/routes/calls.h"
#include "server/routes/pages.h"
#include "server/routes/waiting.h"
#include "server/jobs/retention.h"
#include "server/base/lanes.h"
#include "server/store/store.h"
#include "server/events/streams.h"

enum server_state { SERVER_RECOVERING, SERVER_READY, SERVER_DRAINING };

struct server {
    struct config config;
    struct loop loop;
    struct http *http;
    struct auth *auth;
    struct store *store;
    struct store_reader *reader;                   /* the loop's */
    struct store_reader *lane_readers[LANE_SEATS]; /* one for each seat's tasks */
    struct catalog *catalog;
    struct datasets *datasets;
    struct admission_limits admission; /* the limits that a submitted job is compared with */
    struct executor *executor, *remote_executor;
    struct remote *remote; /* the same as remote_executor */
    struct jobs *jobs;
    struct experiments *experiments;
    struct retention retention;
    struct streams *streams;
    struct lanes *lanes;
    struct waits waits;    /* requests that wait for a job's end */
    struct calls calls;    /* requests of workers that wait */
    struct keyed *pending; /* submissions with a key that are not committed yet (routes/keys.c) */
    struct metrics metrics;
    struct pages *pages; /* the documentation; NULL without --docs */
    enum server_state state;
    int host_cores;                           /* what affinity and cgroups allow this process */
    int64_t host_memory;                      /* bytes */
    int device;                               /* the number of the one that runs jobs; -1: none */
    int device_jobs;                          /* at most, at once; 0 without a device */
    int cores;                                /* to share among the jobs */
    int workers;                              /* jobs at once */
    int64_t memory;                           /* bytes for jobs */
    int64_t request_memory;                   /* bytes for bodies that are being read (lanes.h) */
    double started;                           /* clock_seconds */
    uint64_t watchdog_interval, watchdog_due; /* ms; interval 0: there is no service manager */
    uint64_t stop_due;                        /* ms: when an unfinished shutdown is given up; 0: no shutdown */
    int mark;                                 /* descriptor of the mark of crashes and stops; -1: none */
    bool drained;                             /* no job runs any more */
};

#endif
