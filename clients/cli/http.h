/*
 * HTTP client: one connection handle of libcurl, used by one thread, for one call at a time.
 *
 * Knows addresses, tokens, bodies and how an answer arrives; knows no command and prints nothing. Redirects are not
 * followed (a token must not travel on). Driven by curl's multi interface, because a stream needs a tick while it is
 * quiet and must see a signal at once.
 */
#ifndef MODPROP_CLI_HTTP_H
#define MODPROP_CLI_HTTP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "clients/cli/memory.h"
#include "clients/cli/settings.h"

#define HTTP_ERROR_BYTES 512

struct http;

struct http_request {
    const char *method; /* NULL: GET */
    const char *path;   /* begins with /; query included */
    const char *accept; /* NULL: application/json */
    const char *type;   /* of the body; NULL: none is sent */
    const void *body;   /* `body_size` bytes, or NULL */
    size_t body_size;
    FILE *upload; /* body of `body_size` bytes from here instead; -1 in upload_size: size not known (chunked) */
    int64_t upload_size;
    const char *idempotency_key; /* NULL: none. With one a call that broke off is repeated. */
    int64_t last_event_id;       /* above 0: Last-Event-ID */
    /*
     * Takes the body of a 2xx answer as it comes, instead of answer->body. False ends the call with STATUS_FAILED: the
     * sink has complained.
     */
    bool (*sink)(void *user, const char *bytes, size_t size);
    void (*tick)(void *user); /* about five times a second; may be NULL */
    void *user;
    long quiet_seconds; /* silence that ends the call; 0: the settings' timeout */
};

struct http_answer {
    int status; /* 0: none came */
    struct text body;
    char type[128];               /* Content-Type */
    long retry_after;             /* seconds; 0: not said */
    bool fell_silent;             /* the answer began and then brought nothing for `quiet_seconds` */
    char error[HTTP_ERROR_BYTES]; /* why there was no (whole) answer */
};

/* Whether the address is of this machine itself. */
bool url_is_loopback(const char *url);

struct http *http_create(const struct settings *settings);
void http_destroy(struct http *http);

/*
 * STATUS_OK when a whole answer came, whatever its status; STATUS_UNREACHABLE with a sentence in answer->error when
 * not; STATUS_FAILED when the sink gave up; STATUS_INTERRUPTED after a signal. Fills `answer` anew.
 */
enum status http_perform(struct http *http, const struct http_request *request, struct http_answer *answer);
void http_answer_release(struct http_answer *answer);

/* One path segment or query value with everything but letters, digits and -._~ escaped; the caller frees it. */
char *http_escape(const char *segment);

/* Sleeps, in small steps, with `tick` between them; false when a signal came. */
bool http_pause(double seconds, void (*tick)(void *user), void *user);

#endif
