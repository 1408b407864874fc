/*
 * Requests that wait: see waiting.h.
 *
 * Thousands may wait for one job. Its end only moves them to the list of those that are ready; they are answered a
 * portion at a time, and between two portions the loop serves whatever else is due. A client that has hung up is not
 * waited for: its connection is free again within a second or two.
 */
#include "server/routes/waiting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/routes/replies.h"

#define WAITERS_MAX 4096
#define PORTION 16 /* answers in one callback: each reads a row and makes a document */

struct waiting {
    struct waiting *next;
    struct request *request;
    char job[STORE_ID_BYTES];
    uint64_t deadline; /* ms */
    bool gone;
};

static void answer(struct waits *waits, struct waiting *waiting) {
    if (waiting->gone) {
        reply_gone(waiting->request);
    } else {
        reply_job(waits->server, waiting->request, 200, waiting->job);
    }
    free(waiting);
}

/* Entries are unlinked first: answering may run other handlers. */
static struct waiting *ready_take(struct waits *waits) {
    struct waiting *waiting = waits->ready;
    if (waiting != NULL) {
        waits->ready = waiting->next;
        waits->last = waits->ready == NULL ? &waits->ready : waits->last;
        waits->count--;
    }
    return waiting;
}

static void ready_answer(struct waits *waits) {
    struct waiting *waiting;
    for (int i = 0; i < PORTION && (waiting = ready_take(waits)) != NULL; i++) {
        answer(waits, waiting);
    }
    if (waits->ready != NULL && !waits->posted) {
        waits->posted = true;
        loop_post(&waits->server->loop, &waits->more);
    }
}

static void on_more(struct loop_message *message) {
    struct waits *waits = (struct waits *)message; /* its first member */
    waits->posted = false;
    ready_answer(waits);
}

void waits_init(struct waits *waits, struct server *server) {
    *waits = (struct waits){.more = {.deliver = on_more}, .server = server};
    waits->last = &waits->ready;
}

/* Unlinks *at and appends it to those that are ready. */
static void make_ready(struct waits *waits, struct waiting **at) {
    struct waiting *waiting = *at;
    *at = waiting->next;
    waiting->next = NULL;
    *waits->last = waiting;
    waits->last = &waiting->next;
}

bool waits_add(struct waits *waits, struct request *request, const char *job, int64_t seconds) {
    struct waiting *waiting = waits->count < WAITERS_MAX ? calloc(1, sizeof *waiting) : NULL;
    if (waiting == NULL) {
        return false;
    }
    waiting->request = request;
    snprintf(waiting->job, sizeof waiting->job, "%s", job);
    waiting->deadline = clock_milliseconds() + (uint64_t)seconds * 1000;
    waiting->next = waits->first;
    waits->first = waiting;
    waits->count++;
    return true;
}

void waits_job_ended(struct waits *waits, const char *job) {
    for (struct waiting **at = &waits->first; *at != NULL;) {
        if (strcmp((*at)->job, job) == 0) {
            make_ready(waits, at);
        } else {
            at = &(*at)->next;
        }
    }
    ready_answer(waits);
}

void waits_tick(struct waits *waits, uint64_t now) {
    for (struct waiting **at = &waits->first; *at != NULL;) {
        struct waiting *waiting = *at;
        waiting->gone = http_is_gone(waiting->request);
        if (waiting->gone || now >= waiting->deadline) {
            make_ready(waits, at);
        } else {
            at = &waiting->next;
        }
    }
    ready_answer(waits);
}

void waits_end(struct waits *waits) {
    while (waits->first != NULL) {
        make_ready(waits, &waits->first);
    }
    for (struct waiting *waiting; (waiting = ready_take(waits)) != NULL;) {
        http_problem(waiting->request, 503, "the daemon is shutting down");
        free(waiting);
    }
}
