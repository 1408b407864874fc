/*
 * Event streams: server-sent events and newline-delimited JSON, of one job or of all.
 *
 * A stream is a cursor: the number of the last event that it has sent. It takes the events that follow from a short
 * ring of recently committed events, or, when it is new or has fallen behind the ring, from the store, a page at a
 * time. So a stream's memory is small and constant whatever its client does, a slow client does not affect others, and
 * nothing is sent that is not stored.
 *
 * Loop thread only. An event is published here after its commit, in the order of its sequence.
 */
#ifndef MODPROP_SERVER_STREAMS_H
#define MODPROP_SERVER_STREAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/http/http.h"

#define STREAM_JOB_BYTES 40

struct spool;

/* A stored event. `json` is the flat object that clients see, without line breaks. */
struct stream_event {
    const char *job;
    int64_t id;  /* 1, 2, 3 .. within the job */
    int64_t seq; /* store-wide, ascending */
    const char *type;
    bool terminal;  /* the job's last status, or its deletion */
    bool succeeded; /* terminal, and there are final weights */
    const char *json;
    size_t size;
};

/* What streams ask of the rest of the daemon. */
struct streams_hooks {
    void *user;
    /* Calls `emit` in order for up to `limit` stored events after `after` (id of `job`, or seq if job is NULL);
     * returns how many, or -1 on failure. emit returns false to stop early; that event counts. */
    int (*page)(void *user, const char *job, int64_t after, int limit,
                bool (*emit)(void *to, const struct stream_event *event), void *to);
    /* Starts making the last line of a stream that asked for weights, including its line break; `done` is called
     * once on the loop, with a spool to take over, or with NULL if there are none. False: it could not be started. */
    bool (*weights)(void *user, const char *job, bool as_sse, void (*done)(void *to, struct spool *line), void *to,
                    void **handle);
    /* The stream is closed: `done` must not be called any more. */
    void (*forget)(void *user, void *handle);
};

struct streams;

/* At most `limit` streams at once, and `token_limit` per token. */
struct streams *streams_create(const struct streams_hooks *hooks, int heartbeat_seconds, size_t limit,
                               size_t token_limit);
void streams_destroy(struct streams *streams);

/* A committed event. */
void streams_publish(struct streams *streams, const struct stream_event *event);

/* Heartbeats; call each second. */
void streams_tick(struct streams *streams, uint64_t now);

size_t streams_count(const struct streams *streams);
/* Streams that were cut to make room for other clients. */
uint64_t streams_cut(const struct streams *streams);
uint64_t streams_sent_events(const struct streams *streams);
uint64_t streams_sent_bytes(const struct streams *streams);

struct stream_options {
    const char *job; /* NULL: all jobs */
    int64_t after;   /* the cursor to start from */
    bool live;       /* start with what is published from now on; `after` is the last event's number */
    bool sse;        /* else NDJSON */
    bool weights;    /* end with the weights */
    bool endless;    /* of all jobs: does not end at a terminal event */
};

/*
 * Answers the request with a stream. If there are too many, the oldest one of the client that has most is cut; if that
 * would be the requesting client, it gets 503. 429 if the token has as many as it may have.
 */
void streams_open(struct streams *streams, struct request *request, int status, const struct stream_options *options);

#endif
