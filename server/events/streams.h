/*
 * Event streams: server-sent events and newline-delimited JSON, of one job or of all.
 *
 * A stream is a cursor: the number of the last event that it has sent. It takes what follows from a short ring of
 * events that were just committed, or, when it is new or has fallen behind the ring, a page at a time from the store.
 * So a stream's memory is small and constant whatever its client does, a slow client costs the others nothing, and
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
    /* Calls `emit` for up to `limit` stored events behind `after` (id of `job`, or seq where job is NULL) in order; how
       many, or -1 on failure. emit returns false to stop early; that event counts. */
    int (*page)(void *user, const char *job, int64_t after, int limit,
                bool (*emit)(void *to, const struct stream_event *event), void *to);
    /* Begins making the last line of a stream that wants weights, its line break included; `done` is called once on the
       loop, with a spool to take over or NULL where there are none. False: it cannot even begin. */
    bool (*weights)(void *user, const char *job, bool as_sse, void (*done)(void *to, struct spool *line), void *to,
                    void **handle);
    /* The stream is gone: `done` must not be called any more. */
    void (*forget)(void *user, void *handle);
};

struct streams;

/* At most `limit` streams at once, and `token_limit` of one token. */
struct streams *streams_create(const struct streams_hooks *hooks, int heartbeat_seconds, size_t limit,
                               size_t token_limit);
void streams_destroy(struct streams *streams);

/* A committed event. */
void streams_publish(struct streams *streams, const struct stream_event *event);

/* Heartbeats; call each second. */
void streams_tick(struct streams *streams, uint64_t now);

size_t streams_count(const struct streams *streams);
/* Streams that were cut to make room for those of others. */
uint64_t streams_cut(const struct streams *streams);
uint64_t streams_sent_events(const struct streams *streams);
uint64_t streams_sent_bytes(const struct streams *streams);

struct stream_options {
    const char *job; /* NULL: all jobs */
    int64_t after;   /* the cursor to begin with */
    bool live;       /* begin with what is published from now on; `after` is the last event's number */
    bool sse;        /* else NDJSON */
    bool weights;    /* end with the weights */
    bool endless;    /* of all jobs: does not end at a terminal event */
};

/*
 * Answers the request with a stream. Where there are too many, the oldest one of whoever has most is cut for it; where
 * that would be the one who asks, 503. 429 where the token has as many as one may.
 */
void streams_open(struct streams *streams, struct request *request, int status, const struct stream_options *options);

#endif
