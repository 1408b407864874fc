/*
 * Who may call: tokens from a file, and how often.
 *
 * The file has lines `name:role:sha256` (sha256 of the token, 64 hex digits; # starts a comment). A token is 32 random
 * bytes, so one hash without salt is enough. Roles contain each other:
 *
 *     read    every GET, and validation, which stores nothing
 *     submit  read, and: submit, pause, resume and cancel jobs, gradients, simulations, datasets
 *     admin   submit, and: delete jobs and datasets
 *     worker  none of these, but the calls of workers, which no other role may make
 *
 * SECURITY.md has the table by route.
 *
 * Owned by the loop thread; auth_reload replaces the list as a whole or leaves it as it was.
 */
#ifndef MODPROP_SERVER_AUTH_H
#define MODPROP_SERVER_AUTH_H

#include "server/base/config.h"

enum role {
    ROLE_PUBLIC,
    ROLE_READ,
    ROLE_SUBMIT,
    ROLE_ADMIN,
    ROLE_WORKER, /* outside that order: what workers call, and nothing else */
    ROLE_ANYBODY /* without tokens: everything */
};

#define TOKEN_NAME_BYTES 65

struct auth;

/* Reads the tokens that `config` names (and creates one if it says so). NULL with a sentence in `error`. */
struct auth *auth_create(const struct config *config, char error[CONFIG_ERROR_BYTES]);
void auth_destroy(struct auth *auth);

/* False, with a sentence, if the file is malformed now; the tokens read before then stay in use. */
bool auth_reload(struct auth *auth, char error[CONFIG_ERROR_BYTES]);

/* False if no token is needed. */
bool auth_is_required(const struct auth *auth);
size_t auth_count(const struct auth *auth);

/* The role for the value of an Authorization header, and the token's name; ROLE_PUBLIC if it has no known token. */
enum role auth_check(const struct auth *auth, const char *authorization, char name[TOKEN_NAME_BYTES]);

const char *role_name(enum role role);
/* Whether a token of `role` may do what needs `needed`. */
bool role_allows(enum role role, enum role needed);

/*
 * True if `key` (a token's name or an address) may make another request now; else the seconds after which to retry.
 */
bool auth_rate_take(struct auth *auth, const char *key, int *retry_seconds);

/* `modpropd token NAME ROLE [--token-file FILE]`: creates a token, prints it once, and returns an exit status. */
int auth_token_command(int count, char **arguments);

#endif
