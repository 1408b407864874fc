/*
 * Routes: the checks that all of them share. See routes.h; the table is in table.c.
 *
 * Order of the checks at the header stage: rate (of everything but probes, including refused requests), Host and Origin
 * (a hostile page learns nothing else), the dashboard's files, token, path, method, role, state of the daemon,
 * acceptable type, query, type of the body. The transport checks the length of a body.
 */
#include "server/routes/routes.h"
#include "server/routes/replies.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JSON "application/json"
#define SITE_FAULT_BYTES 256
#define CUTS_MAX 16 /* other clients' responses that one request may displace */

static const char *const method_names[] = {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "?"};

/* ---- Host and Origin ---- */

/* The name in a Host header or an authority: without port and brackets. False if it is malformed. */
static bool host_name(const char *host, char name[256]) {
    const char *end = *host == '[' ? strchr(host, ']') : strchr(host, ':');
    if (*host == '[' && end == NULL) {
        return false;
    }
    const char *from = *host == '[' ? host + 1 : host;
    size_t length = end == NULL ? strlen(from) : (size_t)(end - from);
    const char *port = end == NULL ? "" : *end == ']' ? end + 1 : end;
    if (length == 0 || length >= 256 ||
        (*port != '\0' && (*port != ':' || port[1 + strspn(port + 1, "0123456789")] != '\0'))) {
        return false;
    }
    memcpy(name, from, length);
    name[length] = '\0';
    if (length > 1 && name[length - 1] == '.') {
        name[length - 1] = '\0'; /* a fully qualified name's dot */
    }
    return true;
}

static bool list_has(const struct text_list *list, const char *text) {
    for (size_t i = 0; i < list->count; i++) {
        if (strcasecmp(list->items[i], text) == 0) {
            return true;
        }
    }
    return false;
}

/*
 * localhost, a loopback address, the address at which the connection arrived, or an allowed name: DNS rebinding needs
 * any other name.
 */
static bool host_is_allowed(const struct server *server, const struct request *request, const char *host) {
    char name[256];
    return host_name(host, name) &&
           (host_is_loopback(name) || list_has(&server->config.allow_host, name) || http_is_local(request, name));
}

/* The page's own origin, or an allowed one. */
static bool origin_is_allowed(const struct server *server, const struct request *request, const char *origin) {
    const char *host = http_host(request), *scheme = http_is_tls(server->http) ? "https://" : "http://";
    size_t length = strlen(scheme);
    if (host != NULL && strncasecmp(origin, scheme, length) == 0 && strcasecmp(origin + length, host) == 0) {
        return true;
    }
    return list_has(&server->config.allow_origin, origin);
}

/* A request that a page of another origin makes the browser send without Origin (an image, a script, a form of old
 * browsers). Another port of this host is "same-site" to the browser, but foreign to us. */
static bool is_foreign_fetch(const struct request *request) {
    const char *site = http_header(request, "Sec-Fetch-Site"), *mode = http_header(request, "Sec-Fetch-Mode");
    return site != NULL && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0 &&
           !(request->method == HTTP_GET && mode != NULL && strcmp(mode, "navigate") == 0);
}

/* True, with a sentence, if the request comes from a place that may not send it. */
static bool is_from_elsewhere(const struct server *server, struct request *request, char fault[SITE_FAULT_BYTES]) {
    const char *host = http_host(request), *origin = http_header(request, "Origin");
    if (host != NULL && !host_is_allowed(server, request, host)) {
        snprintf(fault, SITE_FAULT_BYTES,
                 "Host must be localhost, a loopback address, the address of this socket, or a name given with "
                 "--allow-host; got %.100s",
                 host);
        return true;
    }
    if (origin == NULL) {
        snprintf(fault, SITE_FAULT_BYTES,
                 "pages of other origins may not call this daemon; allow an origin with --allow-origin");
        return is_foreign_fetch(request);
    }
    snprintf(fault, SITE_FAULT_BYTES, "Origin must be this daemon's own or one given with --allow-origin; got %.100s",
             origin);
    request->allow_origin = list_has(&server->config.allow_origin, origin) ? origin : NULL;
    return !origin_is_allowed(server, request, origin);
}

/* ---- paths ---- */

/* Decodes one segment of a path. False if it is malformed, too long, or hides a slash or a zero. */
static bool segment_decode(const char *from, size_t length, char *to, size_t room) {
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        int byte = (unsigned char)from[i];
        if (byte == '%') {
            char digits[3] = {0};
            if (i + 2 >= length || !isxdigit((unsigned char)from[i + 1]) || !isxdigit((unsigned char)from[i + 2])) {
                return false;
            }
            memcpy(digits, from + i + 1, 2);
            byte = (int)strtol(digits, NULL, 16);
            i += 2;
        }
        if (byte == 0 || (byte == '/' && from[i] != '/') || used + 1 >= room) {
            return false;
        }
        to[used++] = (char)byte;
    }
    to[used] = '\0';
    return used > 0 || length == 0;
}

#define FURTHER (sizeof((struct request *)0)->further / sizeof((struct request *)0)->further[0])

static bool path_matches(const char *pattern, const char *path, struct request *request) {
    char segment[sizeof request->parameter];
    size_t named = 0;
    while (*pattern == '/' && *path == '/') {
        size_t wanted = strcspn(++pattern, "/"), given = strcspn(++path, "/");
        if (!segment_decode(path, given, segment, sizeof segment)) {
            return false;
        }
        if (*pattern == '{') {
            if (*segment == '\0') {
                return false;
            }
            char *to = named == 0 ? request->parameter : request->further[named <= FURTHER ? named - 1 : FURTHER - 1];
            memcpy(to, segment, strlen(segment) + 1);
            named++;
        } else if (strlen(segment) != wanted || strncmp(segment, pattern, wanted) != 0) {
            return false;
        }
        pattern += wanted;
        path += given;
    }
    return *pattern == '\0' && *path == '\0';
}

/* The route of a path and method; else NULL, and `allow` lists the methods of the path ("": the path is unknown). */
static const struct route *route_find(struct request *request, char allow[64]) {
    allow[0] = '\0';
    for (size_t i = 0; i < route_count; i++) {
        const struct route *route = &route_table[i];
        if (!path_matches(route->path, request->path, request)) {
            continue;
        }
        if (route->method == request->method) {
            return route;
        }
        size_t used = strlen(allow);
        snprintf(allow + used, 64 - used, "%s%s%s", used == 0 ? "" : ", ", method_names[route->method],
                 route->method == HTTP_GET ? ", HEAD" : "");
    }
    return NULL;
}

/* ---- the header stage ---- */

static enum role role_of(struct server *server, struct request *request) {
    if (!auth_is_required(server->auth)) {
        return ROLE_ANYBODY;
    }
    return auth_check(server->auth, http_header(request, "Authorization"), request->identity);
}

static void answer_options(struct request *request, const char *allow) {
    char methods[80];
    snprintf(methods, sizeof methods, "%s, OPTIONS", allow);
    http_header_set(request, "Allow", methods);
    if (request->allow_origin != NULL && http_header(request, "Access-Control-Request-Method") != NULL) {
        http_header_set(request, "Access-Control-Allow-Methods", methods);
        http_header_set(
            request, "Access-Control-Allow-Headers",
            "Accept, Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, X-Request-Id");
        http_header_set(request, "Access-Control-Max-Age", "600");
        /* a page of the web that requests a host of this network */
        if (http_header(request, "Access-Control-Request-Private-Network") != NULL) {
            http_header_set(request, "Access-Control-Allow-Private-Network", "true");
        }
    }
    http_reply_empty(request, 204);
}

static void answer_unauthorized(struct request *request, const char *authorization) {
    http_header_set(request, "WWW-Authenticate",
                    authorization == NULL ? "Bearer realm=\"modprop\""
                                          : "Bearer realm=\"modprop\", error=\"invalid_token\"");
    http_problem(request, 401,
                 authorization == NULL ? "this daemon requires a token: Authorization: Bearer TOKEN"
                                       : "this daemon does not know the token");
}

/*
 * False, after answering, if the client has used up its rate. Files, preflights and refused requests count too; probes
 * do not.
 */
static bool check_rate(struct server *server, struct request *request) {
    int retry = 1;
    if (auth_rate_take(server->auth, http_holder(request), &retry)) {
        return true;
    }
    char seconds[16];
    snprintf(seconds, sizeof seconds, "%d", retry);
    http_header_set(request, "Retry-After", seconds);
    http_problem(request, 429, "at most %lld requests per second are allowed (--rate)", (long long)server->config.rate);
    return false;
}

bool routes_admit(void *user, struct request *request) {
    (void)role_of(user, request);
    return check_rate(user, request);
}

/* Workers may do what is theirs, and nothing else; without tokens everybody may do everything. */
static bool role_may(enum role role, const struct route *route) {
    return role_allows(role, route->role) || (role == ROLE_WORKER && route->workers);
}

/* NULL, after answering, if there is no such route, method or permission. */
static const struct route *check_route(struct request *request, const struct route *route, const char *allow,
                                       enum role role) {
    bool is_public = route != NULL && route->role == ROLE_PUBLIC;
    if (request->method == HTTP_OPTIONS && (allow[0] != '\0' || strcmp(request->path, "*") == 0)) {
        answer_options(request, allow[0] == '\0' ? "GET, HEAD, POST, PUT, DELETE" : allow);
        return NULL;
    }
    if (!is_public && role == ROLE_PUBLIC) {
        answer_unauthorized(request, http_header(request, "Authorization"));
        return NULL;
    }
    if (route == NULL && allow[0] == '\0') {
        http_problem(request, 404, "there is nothing at %.200s", request->path);
    } else if (route == NULL) {
        char methods[80];
        snprintf(methods, sizeof methods, "%s, OPTIONS", allow);
        http_header_set(request, "Allow", methods);
        http_problem(request, 405, "%.40s is not allowed at %.200s; allowed: %s", request->method_name, request->path,
                     methods);
    } else if (!is_public && !role_may(role, route)) {
        http_problem(request, 403, "the token \"%s\" has the role %s; this needs %s", request->identity,
                     role_name(role), role_name(route->role));
        route = NULL;
    }
    return route;
}

/* What one token may hold is limited; when the total limit is reached, the client that holds most gives way. */
static bool check_answers(struct server *server, struct request *request) {
    const char *holder = http_holder(request);
    if (request->identity[0] != '\0' && http_held(server->http, holder) > (uint64_t)server->config.token_answers) {
        http_header_set(request, "Retry-After", "1");
        http_problem(request, 429, "the token \"%s\" must first read the responses that wait for it (--token-answers)",
                     holder);
        return false;
    }
    for (int cut = 0; answers_are_full(server); cut++) {
        if (cut == CUTS_MAX || !http_relieve(server->http, holder)) {
            request->close = true;
            http_header_set(request, "Retry-After", "1");
            http_problem(request, 503, "too many responses wait for clients that do not read them");
            return false;
        }
    }
    return true;
}

/* False, after answering, if the daemon cannot accept the request now. */
static bool check_state(struct server *server, struct request *request, const struct route *route) {
    if (route->anytime) {
        return true;
    }
    const char *reason = request->crowded                     ? "all connections are in use"
                         : server->state == SERVER_RECOVERING ? "the daemon is still starting"
                         : server->state == SERVER_DRAINING   ? "the daemon is shutting down"
                                                              : NULL;
    if (reason != NULL) {
        request->close = true;
        http_header_set(request, "Retry-After", "1");
        http_problem(request, 503, "%s", reason);
        return false;
    }
    return check_answers(server, request);
}

static bool check_accept(struct request *request, const struct route *route) {
    request->type = accept_choose(http_header(request, "Accept"), route->types);
    if (request->type == NULL) {
        char known[256] = "";
        for (size_t i = 0; i < ROUTE_TYPES_MAX && route->types[i] != NULL; i++) {
            size_t used = strlen(known);
            snprintf(known + used, sizeof known - used, "%s%s", i == 0 ? "" : ", ", route->types[i]);
        }
        http_problem(request, 406, "Accept must allow one of: %s", known);
    }
    return request->type != NULL;
}

/* If a route takes no query, one is a mistake; probes and public pages are requested with all sorts of queries. */
static bool check_no_query(struct request *request, const struct route *route) {
    return route->query != NULL || route->anytime || route->role == ROLE_PUBLIC || read_query(request, NULL, 0);
}

/* True if the header's type is `wanted`, whatever its parameters (a charset other than UTF-8 is refused). */
static bool type_is(const char *given, const char *wanted) {
    size_t length = strlen(wanted);
    if (given == NULL || strncasecmp(given, wanted, length) != 0) {
        return false;
    }
    given += length;
    given += strspn(given, " \t");
    const char *charset = strcasestr(given, "charset=");
    return (*given == '\0' || *given == ';') && (charset == NULL || strcasestr(charset, "utf-8") != NULL);
}

static void prepare_body(struct server *server, struct request *request, const struct route *route) {
    bool has_body = http_body_length(request) != 0;
    const char *wanted = route->body == BODY_OCTETS ? "application/octet-stream" : JSON,
               *given = http_header(request, "Content-Type");
    if (request->method == HTTP_GET) {
        return;
    }
    if ((has_body || given != NULL) && !type_is(given, wanted)) { /* an empty form is a form */
        http_problem(request, 415, "Content-Type must be %s; got %.100s: with curl, add -H 'Content-Type: %s'", wanted,
                     given == NULL ? "none" : given, wanted);
    } else if (http_header(request, "Content-Encoding") != NULL &&
               strcasecmp(http_header(request, "Content-Encoding"), "identity") != 0) {
        http_problem(request, 415, "Content-Encoding must be identity: compressed bodies are not accepted");
    } else if (route->body == BODY_OCTETS) {
        route->begin(server, request);
    } else if (route->body != BODY_NONE) {
        http_body_keep(request, (size_t)server->config.max_body);
    }
}

/*
 * Answers with a file of the dashboard or the documentation; false if the path is none. `/` is the page for clients
 * that prefer HTML (browsers), and the index of the API for all others.
 */
static bool answer_file(const struct server *server, struct request *request) {
    static const char *const types[] = {JSON, "text/html", NULL};
    if (request->method != HTTP_GET) {
        return false;
    }
    if (server->pages != NULL && strcmp(request->path, "/docs") == 0) { /* its links are relative to /docs/ */
        http_header_set(request, "Location", PAGES_URL);
        http_reply_empty(request, 301);
        return true;
    }
    const struct static_file *file = static_find(request->path);
    if (file != NULL && strcmp(request->path, "/") == 0) {
        const char *type = accept_choose(http_header(request, "Accept"), types);
        file = type != NULL && strcmp(type, "text/html") == 0 ? file : NULL;
    } else if (file == NULL) {
        file = pages_find(server->pages, request->path);
    }
    if (file != NULL) {
        static_reply(request, file);
    }
    return file != NULL;
}

void routes_head(void *user, struct request *request) {
    struct server *server = user;
    char allow[64], fault[SITE_FAULT_BYTES];
    const struct route *route = route_find(request, allow);
    enum role role = role_of(server, request);
    bool is_foreign = is_from_elsewhere(server, request, fault);
    if ((route == NULL || !route->anytime) && !check_rate(server, request)) {
        return;
    }
    if (is_foreign) {
        http_problem(request, 403, "%s", fault);
        return;
    }
    if (answer_file(server, request)) {
        return;
    }
    route = check_route(request, route, allow, role);
    request->route = route;
    if (route != NULL && check_state(server, request, route) && check_accept(request, route) &&
        check_no_query(request, route)) {
        prepare_body(server, request, route);
    }
}

void routes_handle(void *user, struct request *request) {
    const struct route *route = request->route;
    struct server *server = user;
    const struct loop_mark mark = loop_enter();
    route->handle(server, request);
    loop_leave(&server->loop, LOOP_REQUEST, &mark);
}

static bool may_go_on(void *user, const struct request *request) {
    const struct server *server = user;
    const struct route *route = request->route;
    char name[TOKEN_NAME_BYTES];
    return route == NULL || route->role == ROLE_PUBLIC ||
           role_may(auth_check(server->auth, http_header(request, "Authorization"), name), route);
}

size_t routes_tokens_changed(struct server *server) {
    return auth_is_required(server->auth) ? http_cut(server->http, may_go_on, server) : 0;
}

void routes_done(void *user, struct request *request) {
    struct server *server = user;
    const struct route *route = request->route;
    if (route != NULL && route->abandon != NULL) {
        route->abandon(request);
    }
    double seconds = clock_seconds() - request->started;
    metrics_request(&server->metrics, route == NULL ? -1 : (int)(route - route_table), request->status, seconds);
    enum log_level level = server->config.access_log ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG;
    if (log_enabled(level)) {
        log_write(level, "request",
                  LOG_FIELDS(LOG_T("request_id", request->id), LOG_T("client", request->address),
                             LOG_T("method", request->method_name), LOG_T("path", request->path),
                             LOG_T("route", route == NULL ? NULL : route->name),
                             LOG_T("token", request->identity[0] == '\0' ? NULL : request->identity),
                             LOG_I("status", request->status), LOG_N("seconds", seconds)));
    }
}
