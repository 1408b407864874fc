/*
 * What the two halves of the HTTP transport share: transport.c (the daemon, connections, deadlines) and request.c
 * (requests, bodies, answers). Nobody else includes this file.
 */
#ifndef MODPROP_SERVER_HTTP_INTERNAL_H
#define MODPROP_SERVER_HTTP_INTERNAL_H

#include <microhttpd.h>

#include "server/http/http.h"
#include "server/base/holders.h"
#include "server/http/tls.h"

#define REPLY_HEADERS_MAX 16
#define RESERVED_CONNECTIONS 64 /* above our limit: probes, and clients that are answered 503 */

struct request_state;

struct connection {
    struct http *http;
    struct connection *next, *previous;
    struct request_state *request; /* under way; NULL: idle */
    int socket;                    /* borrowed from libmicrohttpd */
    bool cut;                      /* shutdown(2) was called on it */
    bool crowded;                  /* its address has too many, none of which could be closed for it */
    uint64_t idle_since;           /* ms */
    uint64_t deadline;             /* ms; 0: none (an answer is being made, or a stream sent) */
    char address[ADDRESS_BYTES];
};

struct http {
    struct loop *loop;
    const struct config *config;
    struct http_hooks hooks;
    struct MHD_Daemon *daemon;
    int socket;
    struct sockaddr_storage address;
    struct tls *tls; /* NULL without TLS */
    uv_poll_t poll;
    uv_prepare_t prepare;
    uv_timer_t timer;
    bool kicked;    /* MHD_run before the next wait */
    bool quiescing; /* no new connections */
    bool ending;    /* nothing may suspend any more */
    struct connection *connections;
    size_t connection_limit;
    size_t body_budget; /* bytes that all bodies in memory may take together */
    struct http_counts counts;
    struct holders answers; /* who has not taken how much */
};

enum body_mode { BODY_DRAIN, BODY_KEEP, BODY_SINK };

struct reply_header {
    char *name, *value;
};

/* A header's value without the blanks behind it, which libmicrohttpd 0.9.75 leaves there. */
struct trimmed {
    struct trimmed *next;
    const char *value; /* as libmicrohttpd has it */
    char text[];
};

/* A request with what is the transport's own. The public part comes first: a request is cast to its state. */
struct request_state {
    struct request request;
    struct http *http;
    struct connection *connection;
    struct MHD_Connection *raw;
    char *authority; /* of a target in absolute form; NULL */
    struct trimmed *trimmed;
    bool begun, handled, queued, suspended, body_failed;
    enum body_mode body_mode;
    uint64_t body_limit;    /* bytes kept or sunk */
    uint64_t body_received; /* bytes seen, drained ones counted */
    size_t body_capacity;
    const struct body_sink *sink;
    void *sink_user;
    struct MHD_Response *response;            /* the answer, not yet queued */
    uint64_t answer_bytes, answer_file_bytes; /* its size, counted until it has left */
    struct holder *holder;                    /* charged for it; NULL: nobody */
    uint64_t response_size;                   /* of a body that is there whole; 0: it comes from a source */
    const struct body_source *source;
    void *source_user;
    struct reply_header headers[REPLY_HEADERS_MAX];
    size_t header_count;
    bool header_lost; /* for lack of memory: the answer would not say what it is */
};

struct request_state *request_create(struct http *http, struct connection *connection, struct MHD_Connection *raw,
                                     const char *address);
void request_destroy(struct request_state *state);

/* The three steps of a request; false cuts the connection. */
bool request_begin(struct request_state *state, const char *method, const char *version);
bool request_receive(struct request_state *state, const char *bytes, size_t size);
bool request_finish(struct request_state *state);

/* Counts the answer's bytes until it has left or its connection is cut. */
void answer_charge(struct request_state *state, uint64_t bytes, uint64_t file_bytes);
void answer_discharge(struct request_state *state);

/*
 * The daemon ends: answers 503 where nothing was answered, ends a source, resumes. False where the request is still
 * arriving: its connection is to be cut.
 */
bool request_abandon(struct request_state *state);

#endif
