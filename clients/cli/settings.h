/*
 * Where the server is and what to show it: from flags, else the environment, else the configuration file, else the
 * default.
 *
 * The file (~/.config/modprop/config, or under XDG_CONFIG_HOME) has lines "key = value" with the keys server, token,
 * token_file, ca_file, and pool.NAME.KEY (pools.h); # begins a comment. A token of the file goes only to the server
 * that the file names (the default one if it names none): --server with some other address must not hand it out.
 */
#ifndef MODPROP_CLI_SETTINGS_H
#define MODPROP_CLI_SETTINGS_H

#include "clients/cli/arguments.h"

#define SETTINGS_SERVER "http://127.0.0.1:8080"
#define SETTINGS_DEFAULT "the default" /* origin of what nobody set */

/*
 * A value and where it came from, in a user's words ("--server", "MODPROP_SERVER", "/home/x/.config/modprop/config",
 * SETTINGS_DEFAULT).
 */
struct setting {
    char *value; /* NULL: none */
    char *origin;
};

/* A line pool.NAME.KEY = VALUE (pools.h). */
struct pool_setting {
    struct pool_setting *next;
    char *pool, *key, *value, *origin;
};

struct settings {
    struct setting server; /* scheme://host[:port][/prefix], no slash at the end */
    struct setting token;
    struct setting ca_file;
    char *file; /* the configuration file's path; NULL: there is no home */
    bool file_found;
    struct pool_setting *pools; /* in the file's order */
    long timeout;               /* seconds of silence */
};

/* Complains and returns STATUS_USAGE where a value is wrong, STATUS_FAILED where a named file cannot be read. */
enum status settings_read(struct settings *settings, const struct arguments *arguments);
void settings_release(struct settings *settings);

#endif
