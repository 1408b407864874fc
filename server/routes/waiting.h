/*
 * Requests that wait for the end of a job (GET /v1/jobs/{id}?wait=): see waiting.c. Loop thread. Embedded in struct
 * server.
 */
#ifndef MODPROP_SERVER_WAITING_H
#define MODPROP_SERVER_WAITING_H

#include <stddef.h>

#include "server/base/loop.h"

struct server;
struct request;
struct waiting;

struct waits {
    struct loop_message more; /* brings the next portion of answers */
    struct server *server;
    struct waiting *first;         /* in no order */
    struct waiting *ready, **last; /* to be answered, in order */
    size_t count;                  /* of both */
    bool posted;                   /* `more` is under way */
};

void waits_init(struct waits *waits, struct server *server);

/* False if too many requests wait, or there is no memory: the caller answers. `seconds` from now it is answered. */
bool waits_add(struct waits *waits, struct request *request, const char *job, int64_t seconds);
/* The job has ended. */
void waits_job_ended(struct waits *waits, const char *job);
/* Each second: those whose time is over, and those whose clients are gone. */
void waits_tick(struct waits *waits, uint64_t now);
/* The daemon shuts down: answers all. */
void waits_end(struct waits *waits);

#endif
