/*
 * Configuration: the table of settings and what reads it. See config.h.
 *
 * Owned by main: read once, before any thread starts, and constant from then on. Rejected: getopt_long (it would be a
 * second list of the same names, and its messages name no constraint).
 */
#include "server/app/config.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/address.h"

#define KIB INT64_C(1024)
#define MIB (KIB * KIB)
#define LIST_ITEMS_MAX 64

enum option_type { OPTION_TEXT, OPTION_INTEGER, OPTION_BYTES, OPTION_SWITCH, OPTION_CHOICE, OPTION_LIST };

struct option {
    const char *name;
    enum option_type type;
    const char *value;          /* what --help calls the value */
    size_t offset;              /* of the field in struct config */
    const char *fallback;       /* default, in the words a user would give; NULL: none */
    int64_t low, high;          /* OPTION_INTEGER, OPTION_BYTES */
    const char *const *choices; /* OPTION_CHOICE, NULL-ended; the field receives the index */
    const char *doc;
};

static const char *const format_choices[] = {"text", "json", NULL};
static const char *const level_choices[] = {"error", "warning", "info", "debug", NULL};

#define FIELD(name) offsetof(struct config, name)

static const struct option option_table[] = {
    {"data", OPTION_TEXT, "DIR", FIELD(data), NULL, 0, 0, NULL,
     "directory of the store; made if missing; one daemon at a time (required)"},
    {"listen", OPTION_TEXT, "ADDRESS:PORT", FIELD(listen), "127.0.0.1:8080", 0, 0, NULL,
     "where to listen; port 0 picks a free one"},
    {"workers", OPTION_INTEGER, "N", FIELD(workers), "-1", -1, 1000, NULL,
     "jobs trained at once; 0 accepts jobs and trains none, -1 is one a core"},
    {"cores", OPTION_INTEGER, "N", FIELD(cores), "0", 0, 4096, NULL,
     "cores divided over the running jobs; 0 is all that this process may use"},
    {"memory", OPTION_BYTES, "BYTES", FIELD(memory), "0", 0, INT64_MAX, NULL,
     "memory that running jobs may take together; 0 is nine tenths of what this process may use"},
    {"max-queued", OPTION_INTEGER, "N", FIELD(max_queued), "20000", 1, 10000000, NULL,
     "jobs that may wait; a submission beyond is answered 429"},
    {"isa", OPTION_TEXT, "NAME", FIELD(isa), NULL, 0, 0, NULL,
     "instruction set of the kernels (portable, avx2, avx512, neon) instead of the best the host has"},
    {"token-file", OPTION_TEXT, "FILE", FIELD(token_file), NULL, 0, 0, NULL,
     "lines name:role:sha256 of those who may call (see `modpropd token`); read again on SIGHUP"},
    {"create-token", OPTION_SWITCH, NULL, FIELD(create_token), "false", 0, 0, NULL,
     "where no token exists make an admin's one and write it to DIR/token (mode 0600)"},
    {"allow-unauthenticated", OPTION_SWITCH, NULL, FIELD(allow_unauthenticated), "false", 0, 0, NULL,
     "listen beyond loopback without tokens"},
    {"tls-cert", OPTION_TEXT, "FILE", FIELD(tls_cert), NULL, 0, 0, NULL,
     "certificate chain (PEM); with --tls-key the daemon speaks HTTPS; both are read again on SIGHUP"},
    {"tls-key", OPTION_TEXT, "FILE", FIELD(tls_key), NULL, 0, 0, NULL, "private key (PEM) of --tls-cert"},
    {"allow-origin", OPTION_LIST, "URL", FIELD(allow_origin), NULL, 0, 0, NULL,
     "origin of web pages that may call, such as https://lab.example; may be given more than once"},
    {"allow-host", OPTION_LIST, "NAME", FIELD(allow_host), NULL, 0, 0, NULL,
     "further name under which clients reach this daemon (Host header); may be given more than once"},
    {"log-format", OPTION_CHOICE, "FORMAT", FIELD(log_format), "text", 0, 0, format_choices,
     "how entries are written to standard error"},
    {"log-level", OPTION_CHOICE, "LEVEL", FIELD(log_level), "info", 0, 0, level_choices,
     "the least important entries that are written"},
    {"access-log", OPTION_SWITCH, NULL, FIELD(access_log), "false", 0, 0, NULL,
     "log every request at level info (else at debug)"},
    {"keep-days", OPTION_INTEGER, "DAYS", FIELD(keep_days), "0", 0, 36500, NULL,
     "delete jobs this long after their end; 0 keeps them"},
    {"keep-bytes", OPTION_BYTES, "BYTES", FIELD(keep_bytes), "0", 0, INT64_MAX, NULL,
     "delete the oldest finished jobs while the store takes more; 0 keeps them"},
    {"max-connections", OPTION_INTEGER, "N", FIELD(max_connections), "4096", 16, 100000, NULL,
     "connections at once; beyond it the longest idle one is closed, and where none is idle all but probes are "
     "answered 503"},
    {"max-address-connections", OPTION_INTEGER, "N", FIELD(max_address_connections), "2048", 1, 100000, NULL,
     "connections at once from one address; beyond it its longest idle one is closed"},
    {"max-streams", OPTION_INTEGER, "N", FIELD(max_streams), "2000", 1, 100000, NULL,
     "event streams at once; beyond it 503"},
    {"max-waiting", OPTION_INTEGER, "N", FIELD(max_waiting), "64", 1, 4096, NULL,
     "requests that may wait in each lane (reads, checks, heavy computations); one client may have half of that; "
     "beyond it 429"},
    {"max-body", OPTION_BYTES, "BYTES", FIELD(max_body), "32M", KIB, 1024 * MIB, NULL, "largest JSON body"},
    {"max-dataset", OPTION_BYTES, "BYTES", FIELD(max_dataset), "4G", KIB, INT64_MAX, NULL, "largest dataset"},
    {"rate", OPTION_INTEGER, "N", FIELD(rate), "0", 0, 1000000, NULL,
     "requests a second of one token (or, without tokens, of one address), all but probes, the dashboard's files too; "
     "0 sets no bound"},
    {"header-timeout", OPTION_INTEGER, "SECONDS", FIELD(header_timeout), "15", 1, 3600, NULL,
     "from a connection's begin to the end of its first request's headers"},
    {"body-timeout", OPTION_INTEGER, "SECONDS", FIELD(body_timeout), "60", 1, 86400, NULL,
     "for a body to arrive whole, a dataset a second more for each MiB; for an answer to be taken, a second more for "
     "each 64 KiB"},
    {"idle-timeout", OPTION_INTEGER, "SECONDS", FIELD(idle_timeout), "75", 1, 86400, NULL,
     "from one answer to the end of the next request's headers"},
    {"heartbeat", OPTION_INTEGER, "SECONDS", FIELD(heartbeat), "15", 1, 3600, NULL,
     "between signs of life on a quiet event stream"},
    {"shutdown-timeout", OPTION_INTEGER, "SECONDS", FIELD(shutdown_timeout), "4", 1, 3600, NULL,
     "for running jobs to write their checkpoints at SIGTERM"},
    {"config", OPTION_TEXT, "FILE", FIELD(file), NULL, 0, 0, NULL, "file of these settings, a line each: key = value"},
};

#define OPTIONS (sizeof option_table / sizeof option_table[0])

/* Where a value came from, in a user's words: "--workers", "MODPROP_WORKERS" or "modpropd.conf:3: workers". */
struct origin {
    char text[512];
};

static enum config_result fail(char *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

static enum config_result fail(char *error, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, CONFIG_ERROR_BYTES, format, arguments);
    va_end(arguments);
    return CONFIG_BAD;
}

static void *option_field(struct config *config, const struct option *option) {
    return (char *)config + option->offset;
}

/* Names are matched with - and _ alike, so that a file may use either. */
static const struct option *option_find(const char *name, size_t length) {
    for (size_t i = 0; i < OPTIONS; i++) {
        const char *known = option_table[i].name;
        size_t j = 0;
        while (j < length && known[j] != '\0' && (known[j] == name[j] || (known[j] == '-' && name[j] == '_'))) {
            j++;
        }
        if (j == length && known[j] == '\0') {
            return &option_table[i];
        }
    }
    return NULL;
}

/* MODPROP_NAME of an option. */
static void option_variable(const struct option *option, char variable[64]) {
    int length = snprintf(variable, 64, "MODPROP_%s", option->name);
    for (int i = 8; i < length; i++) {
        variable[i] = variable[i] == '-' ? '_' : (char)toupper((unsigned char)variable[i]);
    }
}

static enum config_result set_text(char **field, const char *value, const char *origin, char *error) {
    if (*value == '\0') {
        return fail(error, "%s must not be empty", origin);
    }
    char *copy = strdup(value);
    if (copy == NULL) {
        return fail(error, "%s: out of memory", origin);
    }
    free(*field);
    *field = copy;
    return CONFIG_OK;
}

static enum config_result set_switch(bool *field, const char *value, const char *origin, char *error) {
    static const char *const yes[] = {"true", "yes", "on", "1"}, *const no[] = {"false", "no", "off", "0"};
    for (size_t i = 0; i < 4; i++) {
        if (strcasecmp(value, yes[i]) == 0 || strcasecmp(value, no[i]) == 0) {
            *field = strcasecmp(value, yes[i]) == 0;
            return CONFIG_OK;
        }
    }
    return fail(error, "%s must be true or false; got \"%.100s\"", origin, value);
}

/* 1, 1k, 1K, 1KiB = 1024 and so on up to T, for sizes in bytes; a bare number otherwise. */
static bool integer_parse(const char *value, bool bytes, int64_t *result) {
    static const char units[] = "KMGT";
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (end == value || errno != 0 || isspace((unsigned char)*value)) {
        return false;
    }
    int64_t factor = 1;
    const char *unit = *end == '\0' ? NULL : strchr(units, toupper((unsigned char)*end));
    if (bytes && unit != NULL) {
        for (const char *u = units; u <= unit; u++) {
            factor *= 1024;
        }
        end++;
        if (strcmp(end, "iB") == 0 || strcmp(end, "B") == 0) {
            end += strlen(end);
        }
    }
    return *end == '\0' && !__builtin_mul_overflow((int64_t)number, factor, result);
}

static enum config_result set_integer(const struct option *option, int64_t *field, const char *value,
                                      const char *origin, char *error) {
    bool bytes = option->type == OPTION_BYTES;
    int64_t number;
    if (integer_parse(value, bytes, &number) && number >= option->low && number <= option->high) {
        *field = number;
        return CONFIG_OK;
    }
    if (option->high == INT64_MAX) {
        return fail(error, "%s must be %s of at least %lld; got \"%.100s\"", origin,
                    bytes ? "a number of bytes (such as 512M or 8G)" : "an integer", (long long)option->low, value);
    }
    return fail(error, "%s must be %s from %lld to %lld; got \"%.100s\"", origin,
                bytes ? "a number of bytes (such as 512K or 32M)" : "an integer", (long long)option->low,
                (long long)option->high, value);
}

static enum config_result set_choice(const struct option *option, int64_t *field, const char *value, const char *origin,
                                     char *error) {
    char known[256] = "";
    for (int64_t i = 0; option->choices[i] != NULL; i++) {
        if (strcmp(option->choices[i], value) == 0) {
            *field = i;
            return CONFIG_OK;
        }
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i == 0 ? "" : ", ", option->choices[i]);
    }
    return fail(error, "%s must be one of %s; got \"%.100s\"", origin, known, value);
}

static enum config_result list_add(struct text_list *list, const char *text, size_t length, const char *origin,
                                   char *error) {
    if (length == 0) {
        return fail(error, "%s must not have an empty entry", origin);
    }
    if (list->count == LIST_ITEMS_MAX) {
        return fail(error, "%s takes at most %d entries", origin, LIST_ITEMS_MAX);
    }
    char **items = realloc(list->items, (list->count + 1) * sizeof *items);
    char *copy = strndup(text, length);
    if (items != NULL) {
        list->items = items;
    }
    if (items == NULL || copy == NULL) {
        free(copy);
        return fail(error, "%s: out of memory", origin);
    }
    items[list->count++] = copy;
    return CONFIG_OK;
}

static enum config_result set_list(struct text_list *list, const char *value, const char *origin, char *error) {
    for (const char *from = value;; from++) {
        from += strspn(from, " ");
        size_t length = strcspn(from, ",");
        size_t trimmed = length;
        while (trimmed > 0 && from[trimmed - 1] == ' ') {
            trimmed--;
        }
        enum config_result result = list_add(list, from, trimmed, origin, error);
        from += length;
        if (result != CONFIG_OK || *from == '\0') {
            return result;
        }
    }
}

static void list_release(struct text_list *list) {
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i]);
    }
    free(list->items);
    *list = (struct text_list){0};
}

static enum config_result option_set(struct config *config, const struct option *option, const char *value,
                                     const char *origin, char *error) {
    void *field = option_field(config, option);
    switch (option->type) {
    case OPTION_TEXT:
        return set_text(field, value, origin, error);
    case OPTION_SWITCH:
        return set_switch(field, value, origin, error);
    case OPTION_CHOICE:
        return set_choice(option, field, value, origin, error);
    case OPTION_LIST:
        return set_list(field, value, origin, error);
    default:
        return set_integer(option, field, value, origin, error);
    }
}

static enum config_result read_defaults(struct config *config, char *error) {
    for (size_t i = 0; i < OPTIONS; i++) {
        if (option_table[i].fallback != NULL &&
            option_set(config, &option_table[i], option_table[i].fallback, option_table[i].name, error) != CONFIG_OK) {
            return CONFIG_BAD;
        }
    }
    return CONFIG_OK;
}

static enum config_result file_line(struct config *config, const char *path, int number, char *line, char *error) {
    struct origin origin;
    line += strspn(line, " \t");
    for (size_t length = strlen(line); length > 0 && isspace((unsigned char)line[length - 1]);) {
        line[--length] = '\0';
    }
    if (*line == '\0' || *line == '#') {
        return CONFIG_OK;
    }
    size_t length = strcspn(line, " \t=");
    char *value = line + length;
    value += strspn(value, " \t");
    if (*value != '=') {
        return fail(error, "%s:%d must read \"key = value\"; got \"%.100s\"", path, number, line);
    }
    value++;
    value += strspn(value, " \t");
    const struct option *option = option_find(line, length);
    if (option == NULL || option->offset == FIELD(file)) {
        return fail(error, "%s:%d: there is no setting \"%.*s\" (modpropd --help lists them)", path, number,
                    (int)(length > 100 ? 100 : length), line);
    }
    snprintf(origin.text, sizeof origin.text, "%s:%d: %s", path, number, option->name);
    return option_set(config, option, value, origin.text, error);
}

static enum config_result read_file(struct config *config, const char *path, char *error) {
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return fail(error, "the configuration file %s cannot be read: %s", path, strerror(errno));
    }
    enum config_result result = CONFIG_OK;
    char line[4096];
    for (int number = 1; result == CONFIG_OK && fgets(line, sizeof line, file) != NULL; number++) {
        if (strlen(line) == sizeof line - 1) {
            result = fail(error, "%s:%d must be shorter than %zu characters", path, number, sizeof line - 1);
            break;
        }
        result = file_line(config, path, number, line, error);
    }
    if (result == CONFIG_OK && ferror(file)) {
        result = fail(error, "the configuration file %s cannot be read: %s", path, strerror(errno));
    }
    fclose(file);
    return result;
}

/* A list given in a stronger place replaces that of a weaker one instead of adding to it. */
static void forget_list(struct config *config, const struct option *option) {
    if (option->type == OPTION_LIST) {
        list_release(option_field(config, option));
    }
}

static enum config_result read_environment(struct config *config, char **environment, char *error) {
    for (size_t i = 0; i < OPTIONS; i++) {
        char variable[64];
        option_variable(&option_table[i], variable);
        size_t length = strlen(variable);
        for (char **entry = environment; *entry != NULL; entry++) {
            if (strncmp(*entry, variable, length) != 0 || (*entry)[length] != '=') {
                continue;
            }
            forget_list(config, &option_table[i]);
            if (option_set(config, &option_table[i], *entry + length + 1, variable, error) != CONFIG_OK) {
                return CONFIG_BAD;
            }
        }
    }
    return CONFIG_OK;
}

struct flag {
    const struct option *option;
    const char *value;
    char origin[80];
    int used; /* arguments */
};

static enum config_result flag_parse(struct flag *flag, int count, char **arguments, char *error) {
    const char *argument = arguments[0];
    if (strncmp(argument, "--", 2) != 0) {
        return fail(error, "\"%.100s\" is not a flag of modpropd (modpropd --help lists them)", argument);
    }
    size_t length = strcspn(argument + 2, "=");
    flag->option = option_find(argument + 2, length);
    if (flag->option == NULL) {
        return fail(error, "there is no flag --%.*s (modpropd --help lists them)", (int)(length > 100 ? 100 : length),
                    argument + 2);
    }
    snprintf(flag->origin, sizeof flag->origin, "--%s", flag->option->name);
    flag->used = 1;
    if (argument[2 + length] == '=') {
        flag->value = argument + 3 + length;
    } else if (flag->option->type == OPTION_SWITCH) {
        flag->value = "true";
    } else if (count < 2) {
        return fail(error, "%s needs a value (%s)", flag->origin, flag->option->value);
    } else {
        flag->value = arguments[1];
        flag->used = 2;
    }
    return CONFIG_OK;
}

static enum config_result read_flags(struct config *config, int count, char **arguments, char *error) {
    uint64_t seen = 0;
    for (int i = 0; i < count;) {
        struct flag flag;
        if (strcmp(arguments[i], "--help") == 0 || strcmp(arguments[i], "-h") == 0) {
            return CONFIG_HELP;
        }
        if (strcmp(arguments[i], "--version") == 0) {
            return CONFIG_VERSION;
        }
        if (flag_parse(&flag, count - i, arguments + i, error) != CONFIG_OK) {
            return CONFIG_BAD;
        }
        i += flag.used;
        size_t index = (size_t)(flag.option - option_table);
        if ((seen >> index & 1) == 0) {
            forget_list(config, flag.option);
        }
        seen |= UINT64_C(1) << index;
        if (option_set(config, flag.option, flag.value, flag.origin, error) != CONFIG_OK) {
            return CONFIG_BAD;
        }
    }
    return CONFIG_OK;
}

bool config_is_open(const struct config *config) {
    return config->token_file == NULL && !config->create_token && !config->allow_unauthenticated;
}

/* "127.0.0.1:8080", "[::1]:8080", "localhost:8080". Other names are refused: a daemon must not depend on a resolver to
 * know where it listens. */
static enum config_result listen_parse(struct config *config, char *error) {
    const char *colon = strrchr(config->listen, ':');
    char host[64];
    int64_t port;
    size_t length = colon == NULL ? 0 : (size_t)(colon - config->listen);
    if (colon == NULL || length == 0 || length >= sizeof host || !integer_parse(colon + 1, false, &port) || port < 0 ||
        port > 65535) {
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

/* An origin as browsers send it: scheme://host[:port], nothing behind it. */
static bool origin_is_valid(const char *origin) {
    const char *host = strncmp(origin, "http://", 7) == 0    ? origin + 7
                       : strncmp(origin, "https://", 8) == 0 ? origin + 8
                                                             : NULL;
    return host != NULL && *host != '\0' && host[strcspn(host, "/?#@ *")] == '\0';
}

/* What no single setting can know. */
static enum config_result check(struct config *config, char *error) {
    if (config->data == NULL) {
        return fail(error, "--data is required: the directory of the store (or set MODPROP_DATA)");
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

/* All layers, the weakest first; `path` is the file's name or NULL. */
static enum config_result read_layers(struct config *config, const char *path, int count, char **arguments,
                                      char **environment, char *error) {
    *config = (struct config){0};
    enum config_result result = read_defaults(config, error);
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
    static_assert(OPTIONS <= 64, "read_flags keeps a bit a setting");
    enum config_result result = read_layers(config, NULL, count, arguments, environment, error);
    if (result == CONFIG_OK && config->file != NULL) {
        /*
         * The file's name may come from a flag or a variable, so it is known only now; all is read once more, the file
         * first.
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
    for (size_t i = 0; i < OPTIONS; i++) {
        if (option_table[i].type == OPTION_TEXT) {
            char **field = option_field(config, &option_table[i]);
            free(*field);
            *field = NULL;
        }
        forget_list(config, &option_table[i]);
    }
}

char *config_help(void) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        return NULL;
    }
    fputs("modpropd: trains recurrent networks with biologically plausible learning rules, over HTTP\n\n"
          "usage: modpropd --data DIR [--SETTING VALUE ...]\n"
          "       modpropd token NAME ROLE         makes a token (roles: read, submit, admin) and prints it once\n"
          "       modpropd healthcheck [--listen ADDRESS:PORT]\n"
          "                                        exit 0 where a daemon is alive at that address\n"
          "       modpropd verify --data DIR [--rerun] [JOB]\n"
          "                                        checks all that is stored; --rerun trains again and compares bits\n"
          "       modpropd backup --data DIR FILE  copies the database, whole, beside a running daemon or without\n"
          "       modpropd --help | --version\n\n"
          "Every setting is also MODPROP_SETTING in the environment (upper case, _ for -) and a key of the file that "
          "--config\n"
          "names; flags win over the environment, the environment over the file.\n\n",
          out);
    for (size_t i = 0; i < OPTIONS; i++) {
        const struct option *option = &option_table[i];
        char head[64];
        snprintf(head, sizeof head, "--%s %s", option->name, option->value == NULL ? "" : option->value);
        fprintf(out, "  %-34s %s", head, option->doc);
        if (option->choices != NULL) {
            fputs(": ", out);
            for (size_t j = 0; option->choices[j] != NULL; j++) {
                fprintf(out, "%s%s", j == 0 ? "" : ", ", option->choices[j]);
            }
        }
        if (option->fallback != NULL && option->type != OPTION_SWITCH) {
            fprintf(out, " [%s]", option->fallback);
        }
        fputc('\n', out);
    }
    fputs("\nExit status: 0 after a clean end, 1 for a failure at run time, 2 for bad usage or configuration.\n", out);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
