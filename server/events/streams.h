/*
 * Event streams: server-sent events and newline-delimited JSON, of one job or of all.
 *
 * A stream is a cursor: the number of the last event that it has sent. It takes the events that follow from a short
 * ring of recently committed events, or, when it is new or has fallen behind the ring, from the store, a page at a
 * time, which is read in a lane. So a stream's memory is small and constant whatever its client does, a slow client
 * does not affect others, and nothing is sent that is not stored.
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
struct request;

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

/* Stored events on their way to a stream. */
struct stream_page;

/* NULL if out of memory. */
struct stream_page *stream_page_create(void);
void stream_page_free(struct stream_page *page);
/* Copies an event. False: this was the last one that the page takes, or memory has run out (stream_page_failed). */
bool stream_page_add(struct stream_page *page, const struct stream_event *event);
bool stream_page_failed(const struct stream_page *page);
/* Nothing else was committed when the page was read. */
void stream_page_complete(struct stream_page *page);
/* Most events of one page: what a reader is to be asked for. */
#define STREAM_PAGE_EVENTS 64

/* What streams ask of the rest of the daemon. */
struct streams_hooks {
    void *user;
    /* Starts reading a page of stored events after `after` (id of `job`, or seq if job is NULL), in order; `request` is
     * the one that they are for. `done` is called once on the loop, with the page, which passes to it, or with NULL if
     * it cannot be read. False: not now. */
    bool (*page)(void *user, const struct request *request, const char *job, int64_t after,
                 void (*done)(void *to, struct stream_page *page), void *to, void **handle);
    /* Starts making the last line of a stream that asked for weights, including its line break; `done` is called
     * once on the loop, with a spool to take over, or with NULL if there are none. False: it could not be started. */
    bool (*weights)(void *user, const char *job, bool as_sse, void (*done)(void *to, struct spool *line), void *to,
                    void **handle);
    /* The stream is closed: `done` of its weights, or of its page, must not be called any more. */
    void (*forget)(void *user, void *handle);
    void (*forget_page)(void *user, void *handle);
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
