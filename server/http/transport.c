/*
 * HTTP transport: see http.h.
 *
 * What libmicrohttpd 0.9.75 does not do by itself, and what is done about it here:
 *   1. its epoll descriptor does not wake for resumed connections: code that resumes one sets `kicked`, and before_wait
 * runs the daemon;
 *   2. its timeout changes with every step: before_wait reads MHD_get_timeout before every wait and arms a timer;
 *   3. suspended connections never time out and hide a vanished client: sources write heartbeats (streams.c), waits are
 * bounded;
 *   4. stopping it with a suspended connection aborts the process: http_destroy resumes all, runs, then stops;
 *   5. a reader that returns 0 without suspending spins: read_source suspends. One byte resets its only timeout:
 * headers, bodies and responses have absolute deadlines here, checked each second and enforced by shutdown(2) on the
 * socket. At its connection limit new clients would hang: its limit is higher than ours, and beyond ours an idle
 * connection is closed;
 *   6. it does not limit bodies: bodies are counted here; 413 is sent at the header stage, or after draining a bounded
 * rest;
 *   7. it misses the end of a stream that arrives together with the last bytes before it: hangups.c has it read again;
 *   8. it lets two Content-Length headers through: request.c refuses those, and everything else that could smuggle a
 * request.
 *
 * Two versions are supported, Debian 12's 0.9.75 and Debian 13's 1.0.1, and all of the above is done for both. What was
 * found to differ, by the same requests to both (tests/debian/run runs the suites with each):
 *   - 1.0 checks more before it calls us, and answers with HTML of its own: 400 to a missing Host, to a blank before
 * the colon of a header, to a NUL in a header (which 0.9.75 passes on, cut there), and to a Transfer-Encoding other
 * than chunked. With 0.9.75 request.c finds the first two and the last; the status is the same;
 *   - a blank within the target is answered 301 with the blank as %20 by 1.0, 400 by request.c with 0.9.75;
 *   - 0.9.75 leaves trailing blanks in the values of headers, and request.c removes them; 1.0 removes them itself;
 *   - 0.9.75 repeats the head of its own 400 in the body where Content-Length is no number; 1.0 does not;
 *   - the sentences in its bodies differ, and tests must not read them.
 *
 * Rejected: MHD's own threads (each thing has one owner, see ARCHITECTURE.md); MHD_PostProcessor (bodies are JSON); its
 * unescaping (a %2F must not become a path separator; routes decode segment by segment); MHD_OPTION_STRICT_FOR_CLIENT
 * (its response to a missing Host repeats the header; framing is checked here anyway).
 */
#include "server/http/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "server/http/hangups.h"

#define POOL_BYTES 16384         /* a connection's buffers; bounds the headers */
#define RESERVED_DESCRIPTORS 192 /* store, checkpoints, datasets */
#define LISTEN_BACKLOG 1024
#define KICKS_IN_A_ROW 16

static struct connection *connection_of(struct MHD_Connection *raw) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(raw, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info == NULL ? NULL : info->socket_context;
}

static void peer_address(struct MHD_Connection *raw, char address[ADDRESS_BYTES]) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(raw, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    snprintf(address, ADDRESS_BYTES, "unknown");
    if (info == NULL || info->client_addr == NULL) {
        return;
    }
    struct in6_addr peer;
    if (address_of_socket(info->client_addr, &peer)) {
        address_text(&peer, address);
    }
}

/* Ends a connection from outside: libmicrohttpd offers no other way than to let it see the end of the stream. */
static void connection_cut(struct connection *connection) {
    if (!connection->cut) {
        connection->cut = true;
        shutdown(connection->socket, SHUT_RDWR);
        connection->http->kicked = true;
    }
}

/*
 * How readily a connection is given up for a new one: idle first, then one whose headers or body still arrive; 0:
 * never.
 */
static int connection_worth(const struct connection *connection) {
    const struct request_state *request = connection->request;
    return connection->cut                         ? 0
           : request == NULL                       ? 3
           : !request->begun                       ? 2
           : !request->handled && !request->queued ? 1
                                                   : 0;
}

/* The connection to give up: of `address`, or of all if that is NULL. Among the readiest, the one that waits
 * longest. */
static struct connection *connection_victim(struct http *http, const struct connection *newest, const char *address) {
    struct connection *victim = NULL;
    int most = 0;
    for (struct connection *c = http->connections; c != NULL; c = c->next) {
        int worth = c == newest || (address != NULL && strcmp(c->address, address) != 0) ? 0 : connection_worth(c);
        if (worth > most || (worth > 0 && worth == most && c->idle_since < victim->idle_since)) {
            victim = c;
            most = worth;
        }
    }
    return victim;
}

static size_t connections_of(const struct http *http, const char *address) {
    size_t count = 0;
    for (const struct connection *c = http->connections; c != NULL; c = c->next) {
        count += !c->cut && strcmp(c->address, address) == 0;
    }
    return count;
}

/*
 * Beyond a limit the new connection replaces one that is being wasted. If there is none, it stays, within
 * libmicrohttpd's own limit, which is a little higher: on it probes are answered, and everything else gets 503.
 */
static void make_room(struct http *http, struct connection *newest) {
    bool address_full = connections_of(http, newest->address) > (size_t)http->config->max_address_connections;
    if (!address_full && http->counts.connections <= http->connection_limit) {
        return;
    }
    struct connection *victim = connection_victim(http, newest, address_full ? newest->address : NULL);
    if (victim != NULL) {
        connection_cut(victim);
        http->counts.evicted++;
    }
    newest->crowded = address_full &&
                      connections_of(http, newest->address) > (size_t)http->config->max_address_connections;
}

static void connection_begin(struct http *http, struct MHD_Connection *raw, void **context) {
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) {
        return; /* without a context its requests are refused */
    }
    uint64_t now = clock_milliseconds();
    connection->http = http;
    connection->socket = MHD_get_connection_info(raw, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    connection->idle_since = now;
    connection->deadline = now + (uint64_t)http->config->header_timeout * 1000;
    peer_address(raw, connection->address);
    connection->next = http->connections;
    if (http->connections != NULL) {
        http->connections->previous = connection;
    }
    http->connections = connection;
    *context = connection;
    hangups_watch(connection);
    http->counts.connections++;
    http->counts.accepted++;
    make_room(http, connection);
}

static void connection_end(struct connection *connection) {
    struct http *http = connection->http;
    hangups_forget(connection);
    if (connection->previous != NULL) {
        connection->previous->next = connection->next;
    } else {
        http->connections = connection->next;
    }
    if (connection->next != NULL) {
        connection->next->previous = connection->previous;
    }
    http->counts.connections--;
    free(connection);
}

static void on_connection(void *user, struct MHD_Connection *raw, void **context,
                          enum MHD_ConnectionNotificationCode code) {
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        connection_begin(user, raw, context);
    } else if (*context != NULL) {
        connection_end(*context);
        *context = NULL;
    }
}

/* The request line is read: only now is the URL still as the client sent it. */
static void *on_address(void *user, const char *address, struct MHD_Connection *raw) {
    struct connection *connection = connection_of(raw);
    return connection == NULL ? NULL : request_create(user, connection, raw, address);
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *raw, const char *address, const char *method,
                                  const char *version, const char *upload, size_t *upload_size, void **context) {
    (void)user;
    (void)raw;
    (void)address;
    struct request_state *state = *context;
    if (state == NULL) {
        return MHD_NO;
    }
    if (!state->begun) {
        state->begun = true;
        return request_begin(state, method, version) ? MHD_YES : MHD_NO;
    }
    if (*upload_size > 0) {
        size_t size = *upload_size;
        *upload_size = 0;
        return request_receive(state, upload, size) ? MHD_YES : MHD_NO;
    }
    return request_finish(state) ? MHD_YES : MHD_NO;
}

static void on_done(void *user, struct MHD_Connection *raw, void **context, enum MHD_RequestTerminationCode code) {
    struct http *http = user;
    struct request_state *state = *context;
    (void)raw;
    if (state == NULL) {
        return;
    }
    *context = NULL;
    if (code == MHD_REQUEST_TERMINATED_COMPLETED_OK && !state->request.head_only) {
        http->counts.body_sent += state->response_size;
    }
    struct connection *connection = state->connection;
    request_destroy(state);
    uint64_t now = clock_milliseconds();
    connection->request = NULL;
    http->hung_up = http->hung_up || connection->hung_up;
    connection->idle_since = now;
    connection->deadline = now + (uint64_t)http->config->idle_timeout * 1000;
    if (http->quiescing) {
        connection_cut(connection);
    }
}

static void on_log(void *user, const char *format, va_list arguments) {
    (void)user;
    char text[256];
    if (log_enabled(LOG_LEVEL_DEBUG)) {
        vsnprintf(text, sizeof text, format, arguments);
        text[strcspn(text, "\n")] = '\0';
        log_debug("libmicrohttpd", LOG_T("said", text));
    }
}

/* The URL is taken raw in on_address; nothing must be unescaped in place. */
static size_t keep_escapes(void *user, struct MHD_Connection *raw, char *text) {
    (void)user;
    (void)raw;
    return strlen(text);
}

/* ---- inside libuv ---- */

static void run_daemon(struct http *http) {
    int rounds = 0;
    do {
        http->kicked = false;
        MHD_run(http->daemon);
    } while (http->kicked && ++rounds < KICKS_IN_A_ROW);
}

static void on_readable(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    run_daemon(poll->data);
}

static void on_timer(uv_timer_t *timer) {
    run_daemon(timer->data);
}

/* Just before libuv waits: what was resumed since runs now, and the wait is no longer than libmicrohttpd allows. */
static void before_wait(uv_prepare_t *prepare) {
    struct http *http = prepare->data;
    if (http->kicked || http->hung_up) {
        run_daemon(http);
    }
    if (http->hung_up) {
        hangups_show(http);
        run_daemon(http);
    }
    MHD_UNSIGNED_LONG_LONG milliseconds;
    if (http->kicked) {
        uv_timer_start(&http->timer, on_timer, 0, 0);
    } else if (MHD_get_timeout(http->daemon, &milliseconds) == MHD_YES) {
        uv_timer_start(&http->timer, on_timer, milliseconds, 0);
    } else {
        uv_timer_stop(&http->timer);
    }
}

static void leave_loop(struct http *http) {
    uv_close((uv_handle_t *)&http->poll, NULL);
    uv_close((uv_handle_t *)&http->prepare, NULL);
    uv_close((uv_handle_t *)&http->timer, NULL);
    hangups_leave(http);
}

/* The result is libuv's: 0, or a negative error, and then no handle is left behind. */
static int join_loop(struct http *http) {
    int descriptor = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    int result = hangups_join(http);
    if (result != 0) {
        return result;
    }
    result = uv_poll_init(&http->loop->uv, &http->poll, descriptor);
    if (result != 0) {
        hangups_leave(http);
        return result;
    }
    uv_prepare_init(&http->loop->uv, &http->prepare);
    uv_timer_init(&http->loop->uv, &http->timer);
    http->poll.data = http->prepare.data = http->timer.data = http;
    result = uv_poll_start(&http->poll, UV_READABLE, on_readable);
    if (result != 0) {
        leave_loop(http);
        return result;
    }
    uv_prepare_start(&http->prepare, before_wait);
    return 0;
}

/* ---- starting ---- */

static int listen_at(struct http *http, char *error) {
    const struct config *config = http->config;
    int one = 1;
    int descriptor = socket(config->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor >= 0) {
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        socklen_t size = sizeof http->address;
        if (bind(descriptor, (const struct sockaddr *)&config->address, config->address_size) == 0 &&
            listen(descriptor, LISTEN_BACKLOG) == 0 &&
            getsockname(descriptor, (struct sockaddr *)&http->address, &size) == 0) {
            return descriptor;
        }
    }
    snprintf(error, CONFIG_ERROR_BYTES, "cannot listen at %.300s: %s%s", config->listen, strerror(errno),
             errno == EADDRINUSE ? "; give another --listen, such as 127.0.0.1:0 for a free port" : "");
    if (descriptor >= 0) {
        close(descriptor);
    }
    return -1;
}

/* -1: no socket was passed; -2, with a sentence: the passed socket cannot be used. */
static int refuse_inherited(char *error, const char *sentence) {
    snprintf(error, CONFIG_ERROR_BYTES, "socket activation: %s", sentence);
    return -2;
}

/*
 * systemd's socket activation: the one descriptor that it passes is our listening socket, and --listen is not used. Its
 * address must meet the rule that check() in config.c applies to --listen: a socket reachable by others needs tokens.
 */
static int listen_inherited(struct http *http, char *error) {
    const char *process = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    int listening = 0;
    if (process == NULL || count == NULL || strtol(process, NULL, 10) != (long)getpid()) {
        return -1;
    }
    socklen_t size = sizeof http->address, option = sizeof listening;
    if (strtol(count, NULL, 10) != 1) {
        return refuse_inherited(error, "exactly one socket can be used (one ListenStream= in the socket unit)");
    }
    if (getsockopt(3, SOL_SOCKET, SO_ACCEPTCONN, &listening, &option) != 0 || listening == 0 ||
        getsockname(3, (struct sockaddr *)&http->address, &size) != 0 ||
        (http->address.ss_family != AF_INET && http->address.ss_family != AF_INET6)) {
        return refuse_inherited(error,
                                "the socket must be a listening one of IPv4 or IPv6 (ListenStream=ADDRESS:PORT)");
    }
    struct in6_addr address;
    bool is_loopback = address_of_socket((const struct sockaddr *)&http->address, &address) &&
                       address_is_loopback(&address);
    if (!is_loopback && config_is_open(http->config)) {
        return refuse_inherited(error, "the socket is reachable by others and needs --token-file (or --create-token; "
                                       "--allow-unauthenticated if all who reach it may do everything)");
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    fcntl(3, F_SETFD, FD_CLOEXEC);
    fcntl(3, F_SETFL, fcntl(3, F_GETFL) | O_NONBLOCK);
    return 3;
}

/* As many descriptors as allowed; fewer connections than configured if that is not enough. */
static void raise_limits(struct http *http) {
    struct rlimit limit;
    int64_t wanted = http->config->max_connections;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
        getrlimit(RLIMIT_NOFILE, &limit);
        int64_t room = limit.rlim_cur > (rlim_t)INT32_MAX ? INT32_MAX : (int64_t)limit.rlim_cur;
        room -= RESERVED_DESCRIPTORS + RESERVED_CONNECTIONS;
        if (room < 16) {
            room = 16;
        }
        if (wanted > room) {
            log_warning("fewer connections than --max-connections: the limit of open files is too low",
                        LOG_I("connections", room), LOG_I("open_files", limit.rlim_cur));
            wanted = room;
        }
    }
    http->connection_limit = (size_t)wanted;
}

static struct MHD_Daemon *start_daemon(struct http *http) {
    unsigned int flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    if (http->tls != NULL) {
        flags |= MHD_USE_TLS;
    }
    return MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, http, MHD_OPTION_EXTERNAL_LOGGER, on_log, http, MHD_OPTION_LISTEN_SOCKET,
        http->socket, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned int)(http->connection_limit + RESERVED_CONNECTIONS), MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        (unsigned int)http->config->max_address_connections + RESERVED_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned int)http->config->idle_timeout, MHD_OPTION_NOTIFY_COMPLETED, on_done, http,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_URI_LOG_CALLBACK, on_address, http,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, http, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_ARRAY,
        http->tls != NULL ? tls_options() : none, MHD_OPTION_END);
}

static void http_free(struct http *http) {
    tls_destroy(http->tls);
    free(http);
}

struct http *http_create(struct loop *loop, const struct config *config, const struct http_hooks *hooks,
                         char error[CONFIG_ERROR_BYTES]) {
    struct http *http = calloc(1, sizeof *http);
    if (http == NULL) {
        snprintf(error, CONFIG_ERROR_BYTES, "out of memory");
        return NULL;
    }
    http->loop = loop;
    http->config = config;
    http->hooks = *hooks;
    http->body_budget = (size_t)config->max_body * 8;
    raise_limits(http);
    http->tls = config->tls_cert == NULL ? NULL : tls_create(config, error);
    http->socket = config->tls_cert == NULL || http->tls != NULL ? listen_inherited(http, error) : -2;
    if (http->socket == -1) {
        http->socket = listen_at(http, error);
    }
    if (http->socket < 0) {
        http_free(http);
        return NULL;
    }
    http->daemon = start_daemon(http);
    if (http->daemon == NULL) {
        snprintf(error, CONFIG_ERROR_BYTES, "the HTTP daemon cannot start");
        close(http->socket);
        http_free(http);
        return NULL;
    }
    int joined = join_loop(http);
    if (joined != 0) {
        snprintf(error, CONFIG_ERROR_BYTES, "the HTTP daemon cannot join the event loop: %s", uv_strerror(joined));
        MHD_stop_daemon(http->daemon);
        http_free(http);
        return NULL;
    }
    return http;
}

void http_address(const struct http *http, char text[ADDRESS_BYTES]) {
    if (http->address.ss_family == AF_INET6) {
        char literal[INET6_ADDRSTRLEN] = "";
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)&http->address)->sin6_addr, literal, sizeof literal);
        snprintf(text, ADDRESS_BYTES, "[%s]", literal);
    } else {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)&http->address)->sin_addr, text, ADDRESS_BYTES);
    }
}

int http_port(const struct http *http) {
    return ntohs(http->address.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)&http->address)->sin6_port
                                                     : ((const struct sockaddr_in *)&http->address)->sin_port);
}

bool http_is_tls(const struct http *http) {
    return http->tls != NULL;
}

bool http_tls_reload(struct http *http, char error[CONFIG_ERROR_BYTES]) {
    return http->tls == NULL || tls_reload(http->tls, error);
}

struct http_counts http_counts(const struct http *http) {
    return http->counts;
}

/* ---- deadlines and the end ---- */

void http_tick(struct http *http, uint64_t now) {
    if (http->tls != NULL) {
        tls_tick(http->tls, now);
    }
    hangups_show(http); /* again: bytes may have been read since the last time */
    for (struct connection *c = http->connections; c != NULL; c = c->next) {
        if (c->deadline != 0 && now >= c->deadline && !c->cut) {
            http->counts.expired++;
            connection_cut(c);
        }
    }
}

uint64_t http_held(const struct http *http, const char *holder) {
    return holders_amount(&http->answers, holder);
}

void http_cut_request(struct request *request) {
    struct request_state *state = (struct request_state *)request; /* its first member */
    connection_cut(state->connection);
    http_wake(request); /* a stream sees the cut and ends */
}

bool http_relieve(struct http *http, const char *asking) {
    const struct holder *greatest = holders_greatest(&http->answers);
    if (greatest == NULL || strcmp(greatest->name, asking) == 0) {
        return false;
    }
    struct request_state *largest = NULL;
    for (struct connection *c = http->connections; c != NULL; c = c->next) {
        struct request_state *request = c->request;
        bool is_theirs = request != NULL && request->holder == greatest;
        if (is_theirs && (largest == NULL || request->answer_bytes + request->answer_file_bytes >
                                                 largest->answer_bytes + largest->answer_file_bytes)) {
            largest = request;
        }
    }
    if (largest == NULL) {
        return false;
    }
    answer_discharge(largest);
    http_cut_request(&largest->request);
    http->counts.answers_cut++;
    return true;
}

size_t http_cut(struct http *http, bool (*keep)(void *user, const struct request *request), void *user) {
    size_t count = 0;
    for (struct connection *c = http->connections; c != NULL; c = c->next) {
        if (c->request != NULL && c->request->begun && !c->cut && !keep(user, &c->request->request)) {
            connection_cut(c);
            http_wake(&c->request->request); /* a stream sees the cut and ends */
            count++;
        }
    }
    return count;
}

void http_quiesce(struct http *http) {
    if (http->quiescing) {
        return;
    }
    http->quiescing = true;
    MHD_quiesce_daemon(http->daemon);
    close(http->socket);
    for (struct connection *c = http->connections; c != NULL; c = c->next) {
        if (c->request == NULL) {
            connection_cut(c);
        }
    }
}

bool http_is_quiet(const struct http *http) {
    return http->counts.requests == 0;
}

/* Every suspended request gets an end: streams are cut, waiting requests get 503. */
static void end_all(struct http *http) {
    for (struct connection *c = http->connections; c != NULL; c = c->next) {
        if (c->request == NULL || !request_abandon(c->request)) {
            connection_cut(c);
        }
    }
}

void http_destroy(struct http *http, int milliseconds) {
    if (http == NULL) {
        return;
    }
    http_quiesce(http);
    http->ending = true;
    uv_poll_stop(&http->poll);
    uint64_t until = clock_milliseconds() + (uint64_t)milliseconds;
    int descriptor = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    do {
        end_all(http); /* including those whose handler suspended them meanwhile */
        run_daemon(http);
        if (http->counts.connections > 0) {
            struct pollfd wait = {.fd = descriptor, .events = POLLIN};
            poll(&wait, 1, 20);
        }
    } while (http->counts.connections > 0 && clock_milliseconds() < until);
    end_all(http);
    run_daemon(http);
    MHD_stop_daemon(http->daemon);
    leave_loop(http);
    http_free(http);
}
