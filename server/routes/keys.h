/*
 * Idempotency-Key: a submission that is sent again is answered as the first one was. Keys of one client are its own,
 * and those of jobs are not those of experiments. Loop thread.
 */
#ifndef MODPROP_SERVER_KEYS_H
#define MODPROP_SERVER_KEYS_H

#include "server/routes/server.h"

/* Embedded in what is submitted. All zero: without a key. */
struct keyed {
    struct keyed *next; /* in server->pending, until it is committed */
    char *key;          /* identity, line break, kind, the client's key; NULL: none */
    char body_sha256[STORE_HASH_BYTES];
};

/*
 * Reads the request's key, if it has one. False where the submission must not go on: with `known` the request is to be
 * answered with what has this id; else it has been answered. keyed_end in any case.
 */
bool keyed_begin(struct server *server, struct request *request, const char *kind, struct keyed *keyed,
                 char known[STORE_ID_BYTES]);
void keyed_end(struct server *server, struct keyed *keyed);

#endif
