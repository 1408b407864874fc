/*
 * Idempotency-Key: see keys.h.
 */
#include "server/routes/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/routes/replies.h"

#define KEY_BYTES 200

static bool key_is_well_formed(const char *key) {
    size_t length = strlen(key);
    for (const char *c = key; *c != '\0'; c++) {
        length = *c < '!' || *c > '~' ? KEY_BYTES + 1 : length;
    }
    return length > 0 && length <= KEY_BYTES;
}

static bool key_is_pending(const struct server *server, const char *key) {
    const struct keyed *other = server->pending;
    while (other != NULL && strcmp(other->key, key) != 0) {
        other = other->next;
    }
    return other != NULL;
}

/* Whether the key is new. Else it has been answered, or `known` is set. */
static bool key_is_new(struct server *server, struct request *request, const struct keyed *keyed,
                       char known[STORE_ID_BYTES]) {
    struct store_key found = {0};
    int result = store_key_read(server->reader, keyed->key, &found);
    if (result == 1 && strcmp(found.body, keyed->body_sha256) == 0) {
        http_header_set(request, "Idempotency-Replayed", "true");
        memcpy(known, found.job, STORE_ID_BYTES);
    } else if (result == 1) {
        http_problem(request, 422, "this Idempotency-Key was used with another body");
    } else if (result < 0) {
        http_problem(request, 503, "the database cannot be read");
    }
    free(found.key);
    return result == 0;
}

bool keyed_begin(struct server *server, struct request *request, const char *kind, struct keyed *keyed,
                 char known[STORE_ID_BYTES]) {
    const char *key = http_header(request, "Idempotency-Key");
    char *own = NULL;
    if (key == NULL) {
        return true;
    }
    if (!key_is_well_formed(key)) {
        http_problem(request, 400,
                     "Idempotency-Key must have 1 to %d printable characters without spaces; got \"%.60s\"", KEY_BYTES,
                     key);
        return false;
    }
    if (asprintf(&own, "%s\n%s%s", request->identity, kind, key) < 0) {
        http_problem(request, 503, "out of memory");
        return false;
    }
    keyed->key = own;
    sha256_hex(request->body, request->body_size, keyed->body_sha256);
    if (key_is_pending(server, own)) {
        http_header_set(request, "Retry-After", "1");
        http_problem(request, 409, "a submission with this Idempotency-Key is in progress");
        return false;
    }
    if (!key_is_new(server, request, keyed, known)) {
        return false;
    }
    keyed->next = server->pending;
    server->pending = keyed;
    return true;
}

void keyed_end(struct server *server, struct keyed *keyed) {
    struct keyed **link = &server->pending;
    while (*link != NULL && *link != keyed) {
        link = &(*link)->next;
    }
    if (*link != NULL) {
        *link = keyed->next;
    }
    free(keyed->key);
    keyed->key = NULL;
}
