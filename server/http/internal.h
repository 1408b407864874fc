/*
 * What the parts of the HTTP transport share: transport.c (the daemon, connections, deadlines), request.c (requests,
 * bodies, responses) and hangups.c (clients that close their side). No other file includes this one.
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
    struct request_state *request; /* active; NULL: idle */
    int socket;                    /* borrowed from libmicrohttpd */
    bool cut;                      /* shutdown(2) was called on it */
    bool hung_up;                  /* its client has closed its sending side, or all */
    bool crowded;                  /* its address has too many, and none of them could be closed */
    uint64_t idle_since;           /* ms */
    uint64_t deadline;             /* ms; 0: none (a response is being made, or a stream sent) */
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
    int hangups; /* an epoll descriptor: the ends of the clients' streams */
    uv_poll_t hangup_poll;
    bool hung_up;   /* one was seen and not yet shown to libmicrohttpd */
    bool kicked;    /* MHD_run before the next wait */
    bool quiescing; /* no new connections */
    bool ending;    /* nothing may be suspended any more */
    struct connection *connections;
    size_t connection_limit;
    size_t body_budget; /* limit for the bytes of all bodies in memory together */
    struct http_counts counts;
    struct holders answers; /* who holds how many unread bytes */
};

enum body_mode { BODY_DRAIN, BODY_KEEP, BODY_SINK };

struct reply_header {
    char *name, *value;
};

/* A header's value without trailing blanks, which libmicrohttpd 0.9.75 leaves in place. */
struct trimmed {
    struct trimmed *next;
    const char *value; /* as libmicrohttpd has it */
    char text[];
};

/* A request together with the transport's own part. The public part comes first: a request is cast to its state. */
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
    uint64_t body_received; /* bytes received, including drained ones */
    size_t body_capacity;
    const struct body_sink *sink;
    void *sink_user;
    struct MHD_Response *response;            /* the answer, not yet queued */
    uint64_t answer_bytes, answer_file_bytes; /* its size, counted until it has left */
    struct holder *holder;                    /* charged for it; NULL: none */
    uint64_t response_size;                   /* of a complete body; 0: it comes from a source */
    const struct body_source *source;
    void *source_user;
    struct reply_header headers[REPLY_HEADERS_MAX];
    size_t header_count;
    bool header_lost; /* out of memory: the response would lack a header that describes it */
};

struct request_state *request_create(struct http *http, struct connection *connection, struct MHD_Connection *raw,
                                     const char *address);
void request_destroy(struct request_state *state);

/* The three steps of a request; false cuts the connection. */
bool request_begin(struct request_state *state, const char *method, const char *version);
bool request_receive(struct request_state *state, const char *bytes, size_t size);
bool request_finish(struct request_state *state);

/* Counts the response's bytes until it has been sent or its connection is cut. */
void answer_charge(struct request_state *state, uint64_t bytes, uint64_t file_bytes);
void answer_discharge(struct request_state *state);

/*
 * The daemon shuts down: answers 503 to what has no response, ends a source, resumes. False if the request is still
 * arriving: its connection must be cut.
 */
bool request_abandon(struct request_state *state);

#endif
