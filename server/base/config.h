/*
 * Configuration: one table (config.c) with the name, type, range, default and meaning of every setting.
 *
 * A setting NAME is the flag --NAME, the environment variable MODPROPD_NAME (upper case, _ for -) and the key NAME of
 * the file that --config names (lines `key = value`, # starts a comment). Version 0.1 read MODPROP_NAME, which is the
 * clients' prefix: it is still read, with a warning, unless a client has a variable of that name. Flags take precedence
 * over the environment, the environment over the file, the file over the default. Everything is checked before anything
 * is opened; an error is reported in one sentence that names the flag, the variable or the line of the file, and the
 * constraint.
 */
#ifndef MODPROP_SERVER_CONFIG_H
#define MODPROP_SERVER_CONFIG_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "core/base/options.h"
#include "server/base/log.h"

#define CONFIG_ERROR_BYTES 1024

struct config {
    char *file;                      /* --config; NULL */
    char *data;                      /* directory */
    char *listen;                    /* as given */
    struct sockaddr_storage address; /* what `listen` means */
    socklen_t address_size;
    bool address_is_loopback;
    int64_t workers;                      /* jobs at once; -1: one per core; 0: none is started */
    int64_t cores;                        /* 0: all that this process may use */
    int64_t request_memory;               /* bytes for bodies being read; 0: a sixteenth of the same */
    int64_t memory;                       /* bytes for jobs; 0: nine tenths of what this process may use */
    int64_t max_submit_priority;          /* of jobs that a token which is no admin's submits */
    int64_t max_queued, max_token_queued; /* queued jobs; of one token (0: no bound of its own) */
    int64_t max_job_bytes;
    char *isa;    /* NULL: the best one */
    char *device; /* none, auto or opencl:N */
    int64_t device_jobs;
    char *token_file; /* NULL */
    bool create_token;
    bool allow_unauthenticated;
    char *tls_cert, *tls_key; /* files; both or neither */
    struct text_list allow_origin, allow_host;
    int64_t log_format, log_level;
    bool access_log;
    char *docs;         /* folder of the documentation; NULL */
    int64_t keep_days;  /* 0: for ever */
    int64_t keep_bytes; /* 0: no bound */
    int64_t max_connections, max_address_connections, max_streams, max_waiting;
    int64_t token_streams, token_answers;                 /* of one token: streams; unread bytes */
    int64_t max_body;                                     /* bytes of a JSON body */
    int64_t max_dataset;                                  /* bytes of a dataset */
    int64_t rate;                                         /* requests a second a token or address; 0: no bound */
    int64_t header_timeout, body_timeout, idle_timeout;   /* seconds */
    int64_t heartbeat;                                    /* seconds */
    int64_t shutdown_timeout;                             /* seconds */
    int64_t worker_lease;                                 /* seconds */
    int64_t max_datasets;                                 /* versions of datasets */
    int64_t max_datasets_bytes, max_token_datasets_bytes; /* 0: no bound */
};

enum config_result { CONFIG_OK, CONFIG_HELP, CONFIG_VERSION, CONFIG_BAD };

/*
 * Reads flags (arguments[0..count), without the program's name), environment and file into `config`; on CONFIG_BAD
 * `error` holds a sentence. config_release frees what it holds (NULL-safe, also after a partial read).
 */
enum config_result config_read(struct config *config, int count, char **arguments, char **environment,
                               char error[CONFIG_ERROR_BYTES]);
void config_release(struct config *config);

/* Logs a warning for outdated variable names; call it once the log is configured. */
void config_warn(char **environment);

/* True if there are no tokens and --allow-unauthenticated is not set: the daemon may then listen only on loopback. */
bool config_is_open(const struct config *config);

/* The text of --help, made from the table; the caller frees it. */
char *config_help(void);

#endif
