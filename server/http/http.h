/*
 * HTTP transport: libmicrohttpd in external epoll mode inside the libuv loop.
 *
 * Owned by the loop thread; no function here may be called from another. It knows connections, requests, bodies,
 * deadlines and responses; it knows no route and no job. The life of a request:
 *
 *     head   all headers have arrived. The hook may respond at once, or says what to do with the body.
 *     handle the whole body has arrived (or went to a sink). The hook responds now, or later from the loop: until then
 *            the connection is suspended and the request stays valid.
 *     done   the response has been sent or the client is gone; the request is freed when the hook returns.
 */
#ifndef MODPROP_SERVER_HTTP_H
#define MODPROP_SERVER_HTTP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "server/base/config.h"
#include "server/base/address.h"
#include "server/base/loop.h"

#define REQUEST_ID_BYTES 72

enum http_method { HTTP_GET, HTTP_POST, HTTP_PUT, HTTP_DELETE, HTTP_PATCH, HTTP_OPTIONS, HTTP_OTHER };

struct http;

/* Receives a body that is not kept in memory. */
struct body_sink {
    /* Takes bytes in order. False stops it: the rest is drained; the sink has answered by http_problem. */
    bool (*write)(void *user, const char *bytes, size_t size);
};

/* Supplies a response body that does not exist as a whole. */
struct body_source {
    /* Writes up to `size` bytes and returns how many; 0 for "nothing now" (call http_wake when there is more),
     * SOURCE_END, or SOURCE_FAIL, which cuts the connection. */
    ssize_t (*read)(void *user, char *bytes, size_t size);
    /* Called once, when the response has been sent or the client is gone. */
    void (*close)(void *user);
};

#define SOURCE_END (-1)
#define SOURCE_FAIL (-2)

struct request {
    enum http_method method;
    bool head_only;          /* HEAD: as GET, the body stays here */
    const char *method_name; /* as sent */
    char *path;              /* as sent, up to the ? */
    const char *query;       /* as sent, after the ?; "" if there is none */
    char id[REQUEST_ID_BYTES];
    char address[ADDRESS_BYTES]; /* of the peer, without port */
    char *body;                  /* bytes, then a 0 that is not counted; NULL if there is no body */
    size_t body_size;
    double started;    /* clock_seconds */
    int status;        /* of the response; 0 before there is one */
    void *user;        /* for the route's use, from head to done */
    const void *route; /* for the routes: which one, what its path names, the type negotiated */
    char parameter[136];
    char further[2][136]; /* what else its path names, in order */
    const char *type;
    char identity[72];        /* name of the token that was sent; "" */
    const char *allow_origin; /* the Origin that may read the response; NULL */
    bool may_gzip;            /* the client accepts gzip */
    bool close;               /* close the connection after the response */
    bool crowded;             /* above the connection limit: only probes are answered */
};

struct http_hooks {
    void *user;
    /*
     * A request that the transport itself refuses: counts it, and answers if the client may make no more of them. False
     * once it has answered.
     */
    bool (*admit)(void *user, struct request *request);
    void (*head)(void *user, struct request *request);
    void (*handle)(void *user, struct request *request);
    void (*done)(void *user, struct request *request);
};

struct http_counts {
    size_t connections, requests, suspended;
    size_t body_bytes;                        /* in memory now */
    uint64_t answer_bytes, answer_file_bytes; /* of responses being sent: in memory, in unlinked files */
    uint64_t accepted, evicted, expired, refused;
    uint64_t answers_cut; /* to make room for others, because their clients held most */
    uint64_t body_received,
        body_sent; /* bytes of bodies since the start; a complete response counts when it has been sent */
};

/* Opens the socket and starts. NULL with a sentence in `error`. `config` must outlive it. */
struct http *http_create(struct loop *loop, const struct config *config, const struct http_hooks *hooks,
                         char error[CONFIG_ERROR_BYTES]);
/* Where it listens: the address (IPv6 in brackets) and the port. */
void http_address(const struct http *http, char text[ADDRESS_BYTES]);
int http_port(const struct http *http);
bool http_is_tls(const struct http *http);
/* Reloads certificate and key, if there are any; false with a sentence, and the old ones stay in use. */
bool http_tls_reload(struct http *http, char error[CONFIG_ERROR_BYTES]);
struct http_counts http_counts(const struct http *http);

/* Deadlines; call each second with the loop's milliseconds. */
void http_tick(struct http *http, uint64_t now);

/* No new connections from now on; idle ones are closed. */
void http_quiesce(struct http *http);
/* True once no request is in progress. */
bool http_is_quiet(const struct http *http);
/*
 * Ends streams, answers 503 to all waiting requests, runs until that has been sent or `milliseconds` are over, stops
 * and frees. NULL-safe.
 */
void http_destroy(struct http *http, int milliseconds);

/* The client: the token's name, else the address. */
const char *http_holder(const struct request *request);
/*
 * What the unread responses of `holder` take: bytes in memory, and for files one byte per HTTP_FILE_SHARE.
 */
#define HTTP_FILE_SHARE 32
uint64_t http_held(const struct http *http, const char *holder);
/* Cuts the largest response of the client that holds most, unless that is `asking`. False if none could be cut. */
bool http_relieve(struct http *http, const char *asking);
/* Closes the connection of a request; its source is closed soon after. */
void http_cut_request(struct request *request);

/* Closes the connection of every active request for which `keep` is false; returns how many. */
size_t http_cut(struct http *http, bool (*keep)(void *user, const struct request *request), void *user);

/* The host that the request addresses, as host[:port]: the one in its target, if any, else the Host header; NULL:
 * neither. */
const char *http_host(const struct request *request);

/* The value of a request header without surrounding blanks, or NULL. http_header_count returns how often it was
 * sent. */
const char *http_header(const struct request *request, const char *name);
size_t http_header_count(const struct request *request, const char *name);

/*
 * In head: the body may have `limit` bytes and is kept in memory, or goes to the sink. Without either call it is
 * drained.
 */
void http_body_keep(struct request *request, size_t limit);
void http_body_sink(struct request *request, uint64_t limit, const struct body_sink *sink, void *user);
/* True if `address` (a literal) is this host's address at which the request arrived. */
bool http_is_local(const struct request *request, const char *address);
/* Content-Length, or -1 where no length was sent. */
int64_t http_body_length(const struct request *request);

/* Sets a response header; call it before the response is given. */
void http_header_set(struct request *request, const char *name, const char *value);

/*
 * The responses. Each may be given once per request, in head, in handle or (while the request is suspended) later on
 * the loop; a second one is ignored and its arguments are freed. All take ownership of their arguments.
 */
void http_reply_json(struct request *request, int status, json_t *document);
void http_reply_bytes(struct request *request, int status, const char *type, char *bytes, size_t size);
/* Bytes that live as long as the program. */
void http_reply_constant(struct request *request, int status, const char *type, const void *bytes, size_t size);
/* The file's bytes from 0 to size; the descriptor is closed afterwards. */
void http_reply_file(struct request *request, int status, const char *type, int descriptor, uint64_t size);
void http_reply_source(struct request *request, int status, const char *type, const struct body_source *source,
                       void *user);
void http_reply_empty(struct request *request, int status);
/* A problem document (RFC 9457) whose detail is formatted like printf. */
void http_problem(struct request *request, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
/*
 * True if the client has closed its side of a connection whose request waits for its response (hangups.c):
 * libmicrohttpd does not watch suspended connections.
 */
bool http_is_gone(const struct request *request);
/* True once the request has its response. */
bool http_is_answered(const struct request *request);

/* The request's source has more data (or wants to end). */
void http_wake(struct request *request);

/* "Not Found" for 404 and so on. */
const char *http_status_text(int status);

#endif
