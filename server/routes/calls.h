/*
 * Calls of workers: who calls, and requests that wait for leases, for records to be stored, or for the end of an
 * attempt to be durable. Embedded in struct server. Loop thread.
 */
#ifndef MODPROP_SERVER_CALLS_H
#define MODPROP_SERVER_CALLS_H

#include <stdint.h>

#include "api/problem.h"
#include "server/executor/remote.h"

struct server;
struct request;

/* A request that waits. */
struct call {
    struct remote_call call; /* first */
    struct call *next;
    struct server *server;
    struct request *request;
    struct worker *worker;
    int status;               /* of the answer */
    int64_t number;           /* of the record that is expected next, once these are stored */
    char job[STORE_ID_BYTES]; /* whose change of status it waits for; "": it waits for `call` */
    int attempt;
    uint64_t deadline; /* ms; with `job` */
    void (*reply)(struct call *call, enum remote_result result);
};

struct calls {
    struct call *first;
};

/* NULL, after answering, if out of memory. */
struct call *call_add(struct server *server, struct request *request,
                      void (*reply)(struct call *call, enum remote_result result));
/* Answers by reply and frees. */
void call_end(struct call *call, enum remote_result result);
/* A change of this job's status is durable. */
void calls_job_changed(struct server *server, const char *job);
/* Each second: those whose clients are gone, or whose time is over. */
void calls_tick(struct server *server, uint64_t now);
/* The daemon shuts down: answers those that wait for leases, or (`all`) all. */
void calls_close(struct server *server, bool all);

/*
 * The worker that the request's header Modprop-Worker names and proves by its secret. NULL after answering: 403 if it
 * does not, 404 if this daemon does not know the worker, which then announces itself again.
 */
struct worker *call_worker(struct server *server, struct request *request);
/* The id in that header, if its secret is right; "" if there is none, and false after answering 403 if it is wrong. */
bool call_identity(struct server *server, struct request *request, char id[STORE_ID_BYTES]);

/* Members of a body. Absent or wrong ones are faults, unless there is a fallback. */
const char *body_text(const json_t *body, const char *name, size_t most, const char *fallback,
                      struct problems *problems);
int64_t body_integer(const json_t *body, const char *name, int64_t low, int64_t high, int64_t fallback,
                     struct problems *problems);
double body_number(const json_t *body, const char *name, double fallback);

#endif
