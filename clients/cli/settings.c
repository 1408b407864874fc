/*
 * Where the server is and what to show it. See settings.h.
 */
#include "clients/cli/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "api/program.h"
#include "clients/cli/memory.h"
#include "clients/cli/report.h"

#define TOKEN_BYTES_MAX 4096
#define FILE_BYTES_MAX ((size_t)1 << 20)

/* What the configuration file says. */
struct file_settings {
    char *server, *token, *token_file, *ca_file;
    struct pool_setting *pools, **pools_last;
};

static void setting_set(struct setting *setting, const char *value, const char *origin) {
    free(setting->value);
    free(setting->origin);
    setting->value = memory_copy(value);
    setting->origin = memory_copy(origin);
}

static void setting_release(struct setting *setting) {
    free(setting->value);
    free(setting->origin);
}

/* "~/x" as the shell has it, since nobody expands it in a file. */
static char *home_expand(const char *path) {
    const char *home = getenv("HOME");
    return strncmp(path, "~/", 2) == 0 && home != NULL ? memory_format("%s%s", home, path + 1) : memory_copy(path);
}

/* pool.NAME.KEY: kept as it is; pools.c reads it where a pool is asked for. */
static bool pool_line(struct file_settings *file, const char *path, int line, const char *key, const char *value,
                      char fault[OPTION_FAULT_BYTES]) {
    const char *name = key + strlen("pool."), *dot = strrchr(name, '.');
    if (dot == NULL || dot == name || dot[1] == '\0') {
        snprintf(fault, OPTION_FAULT_BYTES, "%.400s:%d: a pool's setting is pool.NAME.KEY; got \"%.100s\"", path, line,
                 key);
        return false;
    }
    struct pool_setting *setting = memory_allocate(1, sizeof *setting);
    setting->pool = memory_format("%.*s", (int)(dot - name), name);
    setting->key = memory_copy(dot + 1);
    setting->value = memory_copy(value);
    setting->origin = memory_format("%s:%d", path, line);
    *file->pools_last = setting;
    file->pools_last = &setting->next;
    return true;
}

static bool take_line(void *user, const char *path, int line, const char *key, const char *value,
                      char fault[OPTION_FAULT_BYTES]) {
    static const struct option options[] = {{"server", 0, OPTION_TEXT, "URL", 0, 0, false, NULL},
                                            {"token", 0, OPTION_TEXT, "TOKEN", 0, 0, false, NULL},
                                            {"token-file", 0, OPTION_FILE, "FILE", 0, 0, false, NULL},
                                            {"ca-file", 0, OPTION_FILE, "FILE", 0, 0, false, NULL},
                                            OPTIONS_END};
    static const struct option_words words = {.tables = {{options, sizeof *options}}};
    struct file_settings *file = user;
    char **fields[] = {&file->server, &file->token, &file->token_file, &file->ca_file}, origin[512];
    int64_t number;
    if (strncmp(key, "pool.", 5) == 0) {
        return pool_line(file, path, line, key, value, fault);
    }
    const struct option *option = option_find(&words, key, strlen(key));
    if (option == NULL) {
        snprintf(
            fault, OPTION_FAULT_BYTES,
            "%.400s:%d: there is no setting \"%.100s\"; there are server, token, token_file, ca_file and pool.NAME.KEY",
            path, line, key);
        return false;
    }
    snprintf(origin, sizeof origin, "%.400s:%d: %s", path, line, option->name);
    if (!option_read_value(option, origin, value, &number, fault)) {
        return false;
    }
    char **field = fields[option - options];
    free(*field);
    *field = option->type == OPTION_FILE ? home_expand(value) : memory_copy(value);
    return true;
}

/* Others may read a file of this mode that holds a secret. */
static void mode_check(const char *path) {
    struct stat status;
    if (stat(path, &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & 077) != 0) {
        report_note("%s holds a token and others may read it; run chmod 600 on it", path);
    }
}

/* `named`: the user asked for this file, so it must exist. */
static enum status file_read(struct settings *settings, struct file_settings *values, bool named) {
    size_t size;
    char fault[OPTION_FAULT_BYTES];
    char *text = settings->file == NULL ? NULL : program_read_file(settings->file, FILE_BYTES_MAX, &size);
    if (text == NULL) {
        return settings->file == NULL || (!named && (errno == ENOENT || errno == ENOTDIR))
                   ? STATUS_OK
                   : report_error(STATUS_FAILED, "the configuration file %s cannot be read: %s", settings->file,
                                  strerror(errno));
    }
    settings->file_found = true;
    enum status status = settings_read_text(text, size, settings->file, take_line, values, fault)
                             ? STATUS_OK
                             : report_error(STATUS_USAGE, "%s", fault);
    if (values->token != NULL) {
        mode_check(settings->file);
    }
    free(text);
    return status;
}

/* A token is one word of printable ASCII: anything else would let it break out of its header. */
static enum status token_check(const char *token, const char *origin) {
    for (const char *c = token; *c != '\0'; c++) {
        if (*c <= ' ' || *c > '~') {
            return report_error(STATUS_USAGE, "the token from %s must be one word of printable ASCII", origin);
        }
    }
    if (strchr(token, ':') != NULL) {
        return report_error(
            STATUS_USAGE, "%s gives \"name:role:sha256\", which is the daemon's list; a client needs the token itself",
            origin);
    }
    return STATUS_OK;
}

static enum status token_from_file(struct settings *settings, const char *path, const char *origin) {
    size_t size;
    char *text = program_read_file(path, TOKEN_BYTES_MAX, &size), *token = text;
    if (text == NULL) {
        return report_error(STATUS_FAILED, "the token file %s (%s) cannot be read: %s", path, origin, strerror(errno));
    }
    mode_check(path);
    const char *wrong = text_begin(&token, size);
    char *where = memory_format("%s %s", origin, path);
    token += wrong == NULL ? strspn(token, " \t\r\n") : 0;
    for (size_t length = wrong == NULL ? strlen(token) : 0;
         length > 0 && strchr(" \t\r\n", token[length - 1]) != NULL;) {
        token[--length] = '\0';
    }
    enum status status = wrong != NULL    ? report_error(STATUS_USAGE, "the token file %s (%s) %s", path, origin, wrong)
                         : *token == '\0' ? report_error(STATUS_USAGE, "the token file %s (%s) is empty", path, origin)
                                          : token_check(token, where);
    if (status == STATUS_OK) {
        setting_set(&settings->token, token, where);
    }
    free(where);
    free(text);
    return status;
}

/* Takes the token of one level, itself or from a file; *taken says so to the weaker levels. */
static enum status token_take(struct settings *settings, const char *token, const char *path, const char *origin,
                              const char *file_origin, bool *taken) {
    if (*taken || (token == NULL && path == NULL)) {
        return STATUS_OK;
    }
    *taken = true;
    if (token == NULL) {
        return token_from_file(settings, path, file_origin);
    }
    setting_set(&settings->token, token, origin);
    return token_check(token, origin);
}

/* Whether what stands behind the host's last colon, if any, is a port. `host` may end in a path. */
static bool port_is_valid(const char *host) {
    const char *end = host + strcspn(host, "/"), *address = memchr(host, ']', (size_t)(end - host));
    const char *colon = memchr(address == NULL ? host : address, ':',
                               (size_t)(end - (address == NULL ? host : address)));
    char *rest;
    long port = colon == NULL ? 1 : strtol(colon + 1, &rest, 10);
    return colon == NULL || (colon[1] >= '0' && colon[1] <= '9' && rest == end && port >= 1 && port <= 65535);
}

/* "HOST:PORT" becomes http://HOST:PORT; slashes at the end go. */
static enum status server_set(struct settings *settings, const char *value, const char *origin) {
    bool has_scheme = strstr(value, "://") != NULL;
    char *url = memory_format("%s%s", has_scheme ? "" : "http://", value);
    for (size_t length = strlen(url); length > 0 && url[length - 1] == '/';) {
        url[--length] = '\0';
    }
    const char *host = strncasecmp(url, "http://", 7) == 0    ? url + 7
                       : strncasecmp(url, "https://", 8) == 0 ? url + 8
                                                              : "";
    bool valid = *host != '\0' && *host != '/' && *host != ':' && host[strcspn(host, "?#@ \t\r\n")] == '\0' &&
                 port_is_valid(host);
    if (valid) {
        setting_set(&settings->server, url, origin);
    }
    free(url);
    return valid
               ? STATUS_OK
               : report_error(STATUS_USAGE,
                              "%s must be an address such as http://127.0.0.1:8080 or https://lab.example; got \"%s\"",
                              origin, value);
}

static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value == NULL || *value == '\0' ? NULL : value;
}

static void file_find(struct settings *settings, const char *named) {
    const char *base = variable("XDG_CONFIG_HOME"), *home = variable("HOME");
    if (named != NULL) {
        settings->file = memory_copy(named);
    } else if (base != NULL && *base == '/') {
        settings->file = memory_format("%s/modprop/config", base);
    } else if (home != NULL) {
        settings->file = memory_format("%s/.config/modprop/config", home);
    }
}

static enum status tokens_take(struct settings *settings, const struct arguments *arguments,
                               const struct file_settings *file) {
    bool taken = false;
    enum status status = token_take(settings, argument_text(arguments, "token"), argument_text(arguments, "token-file"),
                                    "--token", "--token-file", &taken);
    if (status == STATUS_OK) {
        status = token_take(settings, variable("MODPROP_TOKEN"), variable("MODPROP_TOKEN_FILE"), "MODPROP_TOKEN",
                            "MODPROP_TOKEN_FILE", &taken);
    }
    /* The file's server, spelled as server_set spells it. */
    struct settings own = {0};
    if (status == STATUS_OK && !taken && (file->token != NULL || file->token_file != NULL)) {
        status = server_set(&own, file->server == NULL ? SETTINGS_SERVER : file->server, settings->file);
        if (status == STATUS_OK && strcmp(own.server.value, settings->server.value) == 0) {
            status = token_take(settings, file->token, file->token_file, settings->file, "token_file", &taken);
        }
    }
    setting_release(&own.server);
    return status;
}

enum status settings_read(struct settings *settings, const struct arguments *arguments) {
    *settings = (struct settings){0};
    struct file_settings file = {0};
    file.pools_last = &file.pools;
    const char *named = argument_text(arguments, "config") != NULL ? argument_text(arguments, "config")
                                                                   : variable("MODPROP_CONFIG");
    file_find(settings, named);
    enum status status = file_read(settings, &file, named != NULL);
    const char *flag = argument_text(arguments, "server"), *environment = variable("MODPROP_SERVER");
    if (status == STATUS_OK) {
        status = flag != NULL          ? server_set(settings, flag, "--server")
                 : environment != NULL ? server_set(settings, environment, "MODPROP_SERVER")
                 : file.server != NULL ? server_set(settings, file.server, settings->file)
                                       : server_set(settings, SETTINGS_SERVER, SETTINGS_DEFAULT);
    }
    if (status == STATUS_OK) {
        status = tokens_take(settings, arguments, &file);
    }
    const char *ca_flag = argument_text(arguments, "ca-file"), *ca_environment = variable("MODPROP_CA_FILE");
    const char *ca_file = ca_flag != NULL ? ca_flag : ca_environment != NULL ? ca_environment : file.ca_file;
    if (ca_file != NULL) {
        setting_set(&settings->ca_file, ca_file,
                    ca_flag != NULL          ? "--ca-file"
                    : ca_environment != NULL ? "MODPROP_CA_FILE"
                                             : settings->file);
    }
    settings->timeout = (long)argument_integer(arguments, "timeout", 120);
    settings->pools = file.pools;
    free(file.server);
    free(file.token);
    free(file.token_file);
    free(file.ca_file);
    return status;
}

void settings_release(struct settings *settings) {
    setting_release(&settings->server);
    setting_release(&settings->token);
    setting_release(&settings->ca_file);
    free(settings->file);
    while (settings->pools != NULL) {
        struct pool_setting *setting = settings->pools;
        settings->pools = setting->next;
        free(setting->pool);
        free(setting->key);
        free(setting->value);
        free(setting->origin);
        free(setting);
    }
    *settings = (struct settings){0};
}
