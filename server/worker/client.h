/*
 * The worker's HTTP client: calls of libcurl on the libuv loop, as many at once as there are. It knows the server's
 * address, its token and the worker's secret, and how an answer arrives; it knows no call's meaning. Redirects are not
 * followed: a token must not travel on. Connections are kept, but after a call without an answer the next one takes a
 * new one: where a firewall has forgotten the old ones, each would cost a silence of its own. Loop thread.
 */
#ifndef MODPROP_SERVER_WORKER_CLIENT_H
#define MODPROP_SERVER_WORKER_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "server/base/loop.h"

#define CLIENT_PATH_BYTES 384
#define CLIENT_ERROR_BYTES 256

struct client;

struct client_options {
    struct loop *loop;
    const char *server;  /* http://HOST:PORT, without a / at its end */
    const char *token;   /* NULL: none */
    const char *ca_file; /* NULL: the system's */
};

/* One call. Filled in by the caller, who owns it until `done`; `body`, `upload` and `download` too. */
struct client_call {
    const char *method; /* "GET", "POST", "PUT" */
    char path[CLIENT_PATH_BYTES];
    const char *body; /* of POST: JSON; NULL: none */
    size_t body_size;
    FILE *upload; /* of PUT: from its beginning */
    int64_t upload_size;
    FILE *download; /* where the body of a 200 goes; NULL: to `answer` */
    long seconds;   /* silence that ends the call */
    void (*done)(struct client_call *call);
    void *user;
    /* for done: */
    int status; /* 0: no answer came, and `error` says why */
    char *answer;
    size_t answer_size;
    char error[CLIENT_ERROR_BYTES];
    /* private */
    struct client *client;
    struct client_call *next;
    void *easy, *headers;
    char message[CLIENT_ERROR_BYTES];
};

/* NULL if out of memory. The options' texts must outlive it. */
struct client *client_create(const struct client_options *options);
/* Ends all calls without `done`; the loop runs once more to close its handles. NULL-safe. */
void client_destroy(struct client *client);
/* "ID SECRET", sent with every call from now on; "": none. Copied. */
void client_identity_set(struct client *client, const char *identity);
/* `done` follows later, always. */
void client_start(struct client *client, struct client_call *call);

#endif
