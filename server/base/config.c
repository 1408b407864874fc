/*
 * Configuration: the table of settings and the code that reads it. See config.h.
 *
 * Owned by main: read once, before any thread starts, and constant afterwards. core/base/options reads words, values,
 * files and rows.
 */
#include "server/base/config.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/program.h"
#include "core/base/options.h"
#include "server/base/address.h"

#define FILE_BYTES_MAX ((size_t)1 << 20)
#define KIB INT64_C(1024)
#define MIB (KIB * KIB)

#define FIELD(name) offsetof(struct config, name)

static const struct option_row setting_table[] = {
    {{"data", 0, OPTION_TEXT, "DIR", 0, 0, false,
      "directory of the store; created if missing (not its parent); one daemon at a time (required)"},
     FIELD(data),
     NULL},
    {{"listen", 0, OPTION_TEXT, "ADDRESS:PORT", 0, 0, false, "where to listen; port 0 picks a free one"},
     FIELD(listen),
     "127.0.0.1:8080"},
    {{"workers", 0, OPTION_INTEGER, "N", -1, 1000, false,
      "jobs trained at once by this daemon; 0 leaves all to workers (modpropd worker), -1 is one per core"},
     FIELD(workers),
     "-1"},
    {{"cores", 0, OPTION_INTEGER, "N", 0, 4096, false,
      "cores shared by the running jobs; 0 is all that this process may use"},
     FIELD(cores),
     "0"},
    {{"memory", 0, OPTION_BYTES, "BYTES", 0, INT64_MAX, false,
      "memory that all running jobs together may use; 0 is nine tenths of what this process may use"},
     FIELD(memory),
     "0"},
    {{"request-memory", 0, OPTION_BYTES, "BYTES", 0, INT64_MAX, false,
      "memory that large bodies being read may take together (about 48 times their bytes); others wait; 0 is a "
      "sixteenth of what this process may use, at least 64 MiB"},
     FIELD(request_memory),
     "0"},
    {{"max-queued", 0, OPTION_INTEGER, "N", 1, 10000000, false, "jobs that may be queued; beyond it 429"},
     FIELD(max_queued),
     "20000"},
    {{"max-token-queued", 0, OPTION_INTEGER, "N", 0, 10000000, false,
      "queued jobs of one token (or, without tokens, of one address); beyond it 429; 0 sets no bound of its "
      "own"},
     FIELD(max_token_queued),
     "0"},
    {{"max-submit-priority", 0, OPTION_INTEGER, "N", -1000000, 1000000, false,
      "highest priority that a token of the role submit may give a job; beyond it 422; an admin's may give any"},
     FIELD(max_submit_priority),
     "1000000"},
    {{"max-job-bytes", 0, OPTION_BYTES, "BYTES", MIB, INT64_MAX, false,
      "bytes that one job may store: a submission that could store more is answered 422, a job that does is paused"},
     FIELD(max_job_bytes),
     "64G"},
    {{"isa", 0, OPTION_TEXT, "NAME", 0, 0, false,
      "instruction set of the kernels (portable, avx2, avx512, neon) instead of the best the host has"},
     FIELD(isa),
     NULL},
    {{"device", 0, OPTION_TEXT, "none|auto|opencl:N", 0, 0, false,
      "device that runs the jobs that it covers, with the same results: auto is the first GPU, opencl:N number N of "
      "GET /v1/devices"},
     FIELD(device),
     "none"},
    {{"device-jobs", 0, OPTION_INTEGER, "N", 1, 900, false,
      "jobs that run on the device at once, beside those of --workers; those of equal shape run side by side"},
     FIELD(device_jobs),
     "256"},
    {{"token-file", 0, OPTION_TEXT, "FILE", 0, 0, false,
      "file of tokens, one line name:role:sha256 each (see `modpropd token`); reloaded on SIGHUP"},
     FIELD(token_file),
     NULL},
    {{"create-token", 0, OPTION_SWITCH, NULL, 0, 0, false,
      "if no token exists, create one with the role admin and write it to DIR/token (mode 0600)"},
     FIELD(create_token),
     "false"},
    {{"allow-unauthenticated", 0, OPTION_SWITCH, NULL, 0, 0, false, "listen beyond loopback without tokens"},
     FIELD(allow_unauthenticated),
     "false"},
    {{"tls-cert", 0, OPTION_TEXT, "FILE", 0, 0, false,
      "certificate chain (PEM); with --tls-key the daemon uses HTTPS; both are reloaded on SIGHUP"},
     FIELD(tls_cert),
     NULL},
    {{"tls-key", 0, OPTION_TEXT, "FILE", 0, 0, false, "private key (PEM) of --tls-cert"}, FIELD(tls_key), NULL},
    {{"allow-origin", 0, OPTION_LIST, "URL", 0, 0, true,
      "origin of web pages that may call the API, such as https://lab.example; may be given more than once"},
     FIELD(allow_origin),
     NULL},
    {{"allow-host", 0, OPTION_LIST, "NAME", 0, 0, true,
      "another name by which clients reach this daemon (Host header); may be given more than once"},
     FIELD(allow_host),
     NULL},
    {{"log-format", 0, OPTION_CHOICE, "text|json", 0, 0, false, "format of log lines on standard error"},
     FIELD(log_format),
     "text"},
    {{"log-level", 0, OPTION_CHOICE, "error|warning|info|debug", 0, 0, false, "lowest level that is logged"},
     FIELD(log_level),
     "info"},
    {{"access-log", 0, OPTION_SWITCH, NULL, 0, 0, false, "log every request at level info (else at debug)"},
     FIELD(access_log),
     "false"},
    {{"docs", 0, OPTION_TEXT, "DIR", 0, 0, false,
      "folder of the documentation that clients/docs/build made, served at /docs/; read once, at the start"},
     FIELD(docs),
     NULL},
    {{"keep-days", 0, OPTION_INTEGER, "DAYS", 0, 36500, false, "delete jobs this long after their end; 0 keeps them"},
     FIELD(keep_days),
     "0"},
    {{"keep-bytes", 0, OPTION_BYTES, "BYTES", 0, INT64_MAX, false,
      "delete the oldest finished jobs while the store takes more than this; 0 keeps them"},
     FIELD(keep_bytes),
     "0"},
    {{"max-connections", 0, OPTION_INTEGER, "N", 16, 100000, false,
      "connections at once; beyond it the longest idle one is closed, and where none is idle all but probes are "
      "answered 503"},
     FIELD(max_connections),
     "4096"},
    {{"max-address-connections", 0, OPTION_INTEGER, "N", 1, 100000, false,
      "connections at once from one address; beyond it its longest idle one is closed"},
     FIELD(max_address_connections),
     "2048"},
    {{"max-streams", 0, OPTION_INTEGER, "N", 1, 100000, false,
      "event streams at once; beyond it the oldest one of the client with the most is closed, or that client gets 503"},
     FIELD(max_streams),
     "2000"},
    {{"token-streams", 0, OPTION_INTEGER, "N", 1, 100000, false, "event streams at once of one token; beyond it 429"},
     FIELD(token_streams),
     "1000"},
    {{"token-answers", 0, OPTION_BYTES, "BYTES", MIB, INT64_MAX, false,
      "responses that one token has not read, in memory (large ones, in files, count a thirty-second part); beyond it "
      "429"},
     FIELD(token_answers),
     "128M"},
    {{"max-waiting", 0, OPTION_INTEGER, "N", 1, 4096, false,
      "requests that may wait in each lane (reads, checks, heavy computations); one client may have half of that; "
      "beyond it 429"},
     FIELD(max_waiting),
     "64"},
    {{"max-body", 0, OPTION_BYTES, "BYTES", KIB, 1024 * MIB, false, "largest JSON body"}, FIELD(max_body), "32M"},
    {{"max-dataset", 0, OPTION_BYTES, "BYTES", KIB, INT64_MAX, false, "largest dataset"}, FIELD(max_dataset), "4G"},
    {{"max-datasets", 0, OPTION_INTEGER, "N", 1, 1000000, false,
      "datasets, including old versions that jobs use; beyond it 507"},
     FIELD(max_datasets),
     "10000"},
    {{"max-datasets-bytes", 0, OPTION_BYTES, "BYTES", 0, INT64_MAX, false,
      "bytes of all datasets together; beyond it 507; 0 sets no bound but the disk's"},
     FIELD(max_datasets_bytes),
     "0"},
    {{"max-token-datasets-bytes", 0, OPTION_BYTES, "BYTES", 0, INT64_MAX, false,
      "bytes of the datasets that one token uploaded; beyond it 507; 0 sets no bound"},
     FIELD(max_token_datasets_bytes),
     "0"},
    {{"rate", 0, OPTION_INTEGER, "N", 0, 1000000, false,
      "requests per second of one token (or, without tokens, of one address), all but probes, dashboard files "
      "included; "
      "0 sets no bound"},
     FIELD(rate),
     "0"},
    {{"header-timeout", 0, OPTION_SECONDS, "SECONDS", 1, 3600, false,
      "from the start of a connection to the end of its first request's headers"},
     FIELD(header_timeout),
     "15"},
    {{"body-timeout", 0, OPTION_SECONDS, "SECONDS", 1, 86400, false,
      "for a body to arrive, for a dataset one second more per MiB; for a response to be read, one second more per "
      "each 64 KiB"},
     FIELD(body_timeout),
     "60"},
    {{"idle-timeout", 0, OPTION_SECONDS, "SECONDS", 1, 86400, false,
      "from the end of one response to the end of the next request's headers"},
     FIELD(idle_timeout),
     "75"},
    {{"heartbeat", 0, OPTION_SECONDS, "SECONDS", 1, 3600, false, "between heartbeats on an idle event stream"},
     FIELD(heartbeat),
     "15"},
    {{"shutdown-timeout", 0, OPTION_SECONDS, "SECONDS", 1, 3600, false,
      "for running jobs to write their checkpoints after SIGTERM"},
     FIELD(shutdown_timeout),
     "4"},
    {{"worker-lease", 0, OPTION_SECONDS, "SECONDS", 3, 3600, false,
      "silence of a worker (modpropd worker) after which its jobs are queued again"},
     FIELD(worker_lease),
     "60"},
    {{"config", 0, OPTION_TEXT, "FILE", 0, 0, false, "file with these settings, one per line: key = value"},
     FIELD(file),
     NULL},
    OPTION_ROWS_END,
};

#define PROGRAM "modpropd"
#define PREFIX "MODPROPD_"
#define OLD_PREFIX "MODPROP_" /* the names of version 0.1 */

static enum config_result fail(char *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

static enum config_result fail(char *error, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, CONFIG_ERROR_BYTES, format, arguments);
    va_end(arguments);
    return CONFIG_BAD;
}

static bool take_line(void *user, const char *path, int line, const char *key, const char *value,
                      char fault[OPTION_FAULT_BYTES]) {
    char origin[512];
    const struct option_words words = option_rows_words(setting_table, PROGRAM);
    const struct option *option = option_find(&words, key, strlen(key));
    if (option == NULL || option_row_of(option)->offset == FIELD(file)) {
        fail(fault, "%.400s:%d: there is no setting \"%.100s\" (modpropd --help lists them)", path, line, key);
        return false;
    }
    snprintf(origin, sizeof origin, "%.400s:%d: %s", path, line, option->name);
    return option_row_set(option_row_of(option), user, value, origin, false, fault);
}

static enum config_result read_file(struct config *config, const char *path, char *error) {
    size_t size;
    char *text = program_read_file(path, FILE_BYTES_MAX, &size);
    if (text == NULL) {
        return fail(error, "the configuration file %.400s cannot be read: %s", path, strerror(errno));
    }
    bool done = settings_read_text(text, size, path, take_line, config, error);
    free(text);
    return done ? CONFIG_OK : CONFIG_BAD;
}

/* Variables of the client that version 0.1 of the daemon read too: their values are not meant for the daemon. */
static bool is_the_clients(const struct option_row *setting) {
    return setting->offset == FIELD(file) || setting->offset == FIELD(token_file);
}

static enum config_result read_environment(struct config *config, char **environment, char *error) {
    for (const struct option_row *setting = setting_table; setting->option.name != NULL; setting++) {
        char name[64];
        const char *value = option_variable_find(&setting->option, PREFIX, environment, name);
        if (value == NULL && !is_the_clients(setting)) {
            value = option_variable_find(&setting->option, OLD_PREFIX, environment, name);
        }
        if (value != NULL && !option_row_set(setting, config, value, name, true, error)) {
            return CONFIG_BAD;
        }
    }
    return CONFIG_OK;
}

void config_warn(char **environment) {
    for (const struct option_row *setting = setting_table; setting->option.name != NULL; setting++) {
        char name[64], old[64];
        bool is_set = option_variable_find(&setting->option, PREFIX, environment, name) != NULL;
        if (option_variable_find(&setting->option, OLD_PREFIX, environment, old) == NULL || is_set) {
            continue;
        }
        if (is_the_clients(setting)) {
            log_warning("this variable belongs to the clients; the daemon ignores it", LOG_T("variable", old),
                        LOG_T("the_daemons", name));
        } else {
            log_warning("this variable has a new name; the old one is deprecated", LOG_T("variable", old),
                        LOG_T("new_name", name));
        }
    }
}

static enum config_result read_flags(struct config *config, int count, char **arguments, char *error) {
    static const char *const stops[] = {"--help", "-h", "--version", NULL};
    const char *stop;
    if (!option_rows_read_words(setting_table, PROGRAM, config, count, arguments, stops, &stop, error)) {
        return CONFIG_BAD;
    }
    return stop == NULL ? CONFIG_OK : strcmp(stop, "--version") == 0 ? CONFIG_VERSION : CONFIG_HELP;
}

bool config_is_open(const struct config *config) {
    return config->token_file == NULL && !config->create_token && !config->allow_unauthenticated;
}

/* "127.0.0.1:8080", "[::1]:8080", "localhost:8080". Other names are refused: a daemon must not depend on a resolver
 * to know where to listen. */
static enum config_result listen_parse(struct config *config, char *error) {
    const char *colon = strrchr(config->listen, ':');
    char host[64];
    int64_t port = 0;
    static const struct option number = {.type = OPTION_INTEGER, .low = 0, .high = 65535};
    size_t length = colon == NULL ? 0 : (size_t)(colon - config->listen);
    if (colon == NULL || length == 0 || length >= sizeof host ||
        !option_read_value(&number, "", colon + 1, &port, error)) {
        return fail(error,
                    "--listen must be ADDRESS:PORT with a port from 0 to 65535, such as 127.0.0.1:8080 or [::1]:8080; "
                    "got \"%.100s\"",
                    config->listen);
    }
    bool bracketed = config->listen[0] == '[' && colon[-1] == ']';
    snprintf(host, sizeof host, "%.*s", (int)(bracketed ? length - 2 : length), config->listen + (bracketed ? 1 : 0));
    struct sockaddr_in *four = (struct sockaddr_in *)&config->address;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&config->address;
    if (bracketed && inet_pton(AF_INET6, host, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons((uint16_t)port);
        config->address_size = sizeof *six;
    } else if (!bracketed &&
               inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons((uint16_t)port);
        config->address_size = sizeof *four;
    } else {
        return fail(error,
                    "--listen must name an IPv4 address, an IPv6 address in brackets, or localhost; got \"%.100s\"",
                    config->listen);
    }
    config->address_is_loopback = host_is_loopback(host);
    return CONFIG_OK;
}

/* An origin as browsers send it: scheme://host[:port], with nothing after it. */
static bool origin_is_valid(const char *origin) {
    const char *host = strncmp(origin, "http://", 7) == 0    ? origin + 7
                       : strncmp(origin, "https://", 8) == 0 ? origin + 8
                                                             : NULL;
    return host != NULL && *host != '\0' && host[strcspn(host, "/?#@ *")] == '\0';
}

/* Checks that involve several settings. */
static enum config_result check(struct config *config, char *error) {
    if (config->data == NULL) {
        return fail(error, "--data is required: the directory of the store (or set MODPROPD_DATA)");
    }
    if (listen_parse(config, error) != CONFIG_OK) {
        return CONFIG_BAD;
    }
    if ((config->tls_cert == NULL) != (config->tls_key == NULL)) {
        return fail(error, "--tls-cert and --tls-key go together; %s is missing",
                    config->tls_cert == NULL ? "--tls-cert" : "--tls-key");
    }
    for (size_t i = 0; i < config->allow_origin.count; i++) {
        if (!origin_is_valid(config->allow_origin.items[i])) {
            return fail(error,
                        "--allow-origin must be a scheme, host and port such as https://lab.example:8443, without a "
                        "path; got \"%.100s\"",
                        config->allow_origin.items[i]);
        }
    }
    for (size_t i = 0; i < config->allow_host.count; i++) {
        const char *host = config->allow_host.items[i];
        if (host[strcspn(host, "/: *")] != '\0') {
            return fail(
                error,
                "--allow-host must be a name without scheme and port, such as modprop.lab.example; got \"%.100s\"",
                host);
        }
    }
    if (!config->address_is_loopback && config_is_open(config)) {
        return fail(error,
                    "--listen %s is reachable by others and needs --token-file (or --create-token; "
                    "--allow-unauthenticated if all who "
                    "reach it may do "
                    "everything)",
                    config->listen);
    }
    return CONFIG_OK;
}

/* All sources, lowest precedence first; `path` is the file's name or NULL. */
static enum config_result read_layers(struct config *config, const char *path, int count, char **arguments,
                                      char **environment, char *error) {
    *config = (struct config){0};
    enum config_result result = option_rows_default(setting_table, config, error) ? CONFIG_OK : CONFIG_BAD;
    if (result == CONFIG_OK && path != NULL) {
        result = read_file(config, path, error);
    }
    if (result == CONFIG_OK) {
        result = read_environment(config, environment, error);
    }
    return result == CONFIG_OK ? read_flags(config, count, arguments, error) : result;
}

enum config_result config_read(struct config *config, int count, char **arguments, char **environment,
                               char error[CONFIG_ERROR_BYTES]) {
    static_assert(sizeof setting_table / sizeof setting_table[0] - 1 <= OPTION_ROWS_MAX, "a table of options");
    enum config_result result = read_layers(config, NULL, count, arguments, environment, error);
    if (result == CONFIG_OK && config->file != NULL) {
        /*
         * The file's name may come from a flag or a variable, so it is known only now; everything is read again, the
         * file first.
         */
        char *path = config->file;
        config->file = NULL;
        config_release(config);
        result = read_layers(config, path, count, arguments, environment, error);
        free(path);
    }
    return result == CONFIG_OK ? check(config, error) : result;
}

void config_release(struct config *config) {
    option_rows_release(setting_table, config);
}

char *config_help(void) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        return NULL;
    }
    fputs(
        "modpropd: trains recurrent networks with biologically plausible learning rules, over HTTP\n\n"
        "usage: modpropd --data DIR [--SETTING VALUE ...]\n"
        "       modpropd token NAME ROLE         creates a token (roles: read, submit, admin, worker), prints it once\n"
        "       modpropd healthcheck [--listen ADDRESS:PORT]\n"
        "                                        exit 0 if a daemon answers at that address\n"
        "       modpropd verify --data DIR [--rerun] [JOB]\n"
        "                                        checks everything stored; --rerun trains again and compares bits\n"
        "       modpropd backup --data DIR FILE  copies the whole database, with or without a running daemon\n"
        "       modpropd worker --server URL     trains jobs of a daemon elsewhere (modpropd worker --help)\n"
        "       modpropd --help | --version\n\n"
        "Every setting is also MODPROPD_SETTING in the environment (upper case, _ for -) and a key of the file that "
        "--config\n"
        "names; flags win over the environment, the environment over the file.\n\n",
        out);
    for (const struct option_row *setting = setting_table; setting->option.name != NULL; setting++) {
        char line[OPTION_HELP_BYTES];
        option_row_help(setting, line);
        fprintf(out, "%s\n", line);
    }
    fputs("\nExit status: 0 after a clean shutdown, 1 for a failure at run time, 2 for bad usage or configuration.\n",
          out);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
