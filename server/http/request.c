/*
 * HTTP transport, second half: a request from its first line to its end. See http.h and transport.c.
 *
 * Framing is checked before anything else looks at a request: a client that sends two lengths, or a length and chunks,
 * or two hosts is answered 400 and disconnected, because no later byte of that connection can be trusted to start a
 * request. An unwanted body is drained, so that the connection stays in step, but only up to DRAIN_BYTES beyond what is
 * allowed.
 */
#include "server/http/internal.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "api/problem.h"
#include "api/text.h"

#define DRAIN_BYTES (INT64_C(32) << 20)
#define GZIP_FROM 1400         /* bytes; compressing less does not save a packet */
#define GZIP_TO (512 << 10)    /* above it the loop would be held too long */
#define ANSWER_PACE (64 << 10) /* bytes per second at which a client must read a response, after --body-timeout */
#define SOURCE_BLOCK 4096      /* for HTTP/1.0 clients; others are written directly into the connection's buffer */

static struct request_state *state_of(const struct request *request) {
    return (struct request_state *)(uintptr_t)request;
}

/* ---- headers ---- */

/* Trailing blanks are not part of a value (RFC 9110, 5.5). */
static const char *trim(struct request_state *state, const char *value) {
    size_t length = value == NULL ? 0 : strlen(value), kept = length;
    while (kept > 0 && (value[kept - 1] == ' ' || value[kept - 1] == '\t')) {
        kept--;
    }
    if (kept == length) {
        return value;
    }
    for (const struct trimmed *known = state->trimmed; known != NULL; known = known->next) {
        if (known->value == value) {
            return known->text;
        }
    }
    struct trimmed *copy = malloc(sizeof *copy + kept + 1);
    if (copy == NULL) {
        return value;
    }
    memcpy(copy->text, value, kept);
    copy->text[kept] = '\0';
    copy->value = value;
    copy->next = state->trimmed;
    state->trimmed = copy;
    return copy->text;
}

const char *http_header(const struct request *request, const char *name) {
    struct request_state *state = state_of(request);
    return trim(state, MHD_lookup_connection_value(state->raw, MHD_HEADER_KIND, name));
}

const char *http_host(const struct request *request) {
    const char *authority = state_of(request)->authority;
    return authority != NULL ? authority : http_header(request, "Host");
}

struct header_search {
    const char *name;
    size_t count;
};

static enum MHD_Result count_header(void *user, enum MHD_ValueKind kind, const char *name, const char *value) {
    struct header_search *search = user;
    (void)kind;
    (void)value;
    search->count += strcasecmp(name, search->name) == 0;
    return MHD_YES;
}

size_t http_header_count(const struct request *request, const char *name) {
    struct header_search search = {.name = name};
    MHD_get_connection_values(state_of(request)->raw, MHD_HEADER_KIND, count_header, &search);
    return search.count;
}

int64_t http_body_length(const struct request *request) {
    const char *text = http_header(request, "Content-Length");
    if (text == NULL) {
        return http_header(request, "Transfer-Encoding") == NULL ? 0 : -1;
    }
    char *end;
    long long length = strtoll(text, &end, 10);
    return *end == '\0' && length >= 0 ? length : INT64_MAX;
}

bool http_is_local(const struct request *request, const char *address) {
    struct sockaddr_storage local;
    struct in6_addr here, named;
    socklen_t size = sizeof local;
    return getsockname(state_of(request)->connection->socket, (struct sockaddr *)&local, &size) == 0 &&
           address_of_socket((const struct sockaddr *)&local, &here) && address_parse(address, &named) &&
           address_equal(&here, &named);
}

void http_header_set(struct request *request, const char *name, const char *value) {
    struct request_state *state = state_of(request);
    if (state->response != NULL || state->header_count == REPLY_HEADERS_MAX) {
        return;
    }
    struct reply_header header = {strdup(name), strdup(value)};
    if (header.name == NULL || header.value == NULL) {
        free(header.name);
        free(header.value);
        state->header_lost = true;
        return;
    }
    state->headers[state->header_count++] = header;
}

static bool header_is_set(const struct request_state *state, const char *name) {
    for (size_t i = 0; i < state->header_count; i++) {
        if (strcasecmp(state->headers[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* True where Accept-Encoding names gzip with a weight other than 0. */
static bool takes_gzip(const struct request *request) {
    const char *accept = http_header(request, "Accept-Encoding");
    const char *gzip = accept == NULL ? NULL : strcasestr(accept, "gzip");
    if (gzip == NULL || (gzip > accept && strchr(" ,\t", gzip[-1]) == NULL)) {
        return false;
    }
    gzip += 4;
    gzip += strspn(gzip, " ;\t");
    return !(strncasecmp(gzip, "q=", 2) == 0 && strtod(gzip + 2, NULL) <= 0.0);
}

/* ---- life ---- */

/* Unique in this process, and hard to guess across processes. */
static void make_id(char id[REQUEST_ID_BYTES]) {
    static _Atomic uint64_t counter;
    static uint64_t process;
    if (process == 0 && getrandom(&process, sizeof process, 0) != sizeof process) {
        process = (uint64_t)getpid();
    }
    snprintf(id, REQUEST_ID_BYTES, "%08llx-%llx", (unsigned long long)(process & 0xffffffff),
             (unsigned long long)++counter);
}

/* A client's own id is kept if it is harmless in a header and a log. */
static void take_id(struct request *request) {
    const char *given = http_header(request, "X-Request-Id");
    size_t length = given == NULL ? 0 : strlen(given);
    if (length > 0 && length <= 64 &&
        strspn(given, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") == length) {
        memcpy(request->id, given, length + 1);
    }
}

struct request_state *request_create(struct http *http, struct connection *connection, struct MHD_Connection *raw,
                                     const char *address) {
    struct request_state *state = calloc(1, sizeof *state);
    if (state == NULL) {
        return NULL;
    }
    struct request *request = &state->request;
    state->http = http;
    state->connection = connection;
    state->raw = raw;
    request->path = strdup(address);
    if (request->path == NULL) {
        free(state);
        return NULL;
    }
    char *mark = strchr(request->path, '?');
    request->query = mark == NULL ? "" : mark + 1;
    if (mark != NULL) {
        *mark = '\0';
    }
    memcpy(request->address, connection->address, sizeof request->address);
    make_id(request->id);
    request->started = clock_seconds();
    connection->request = state;
    http->counts.requests++;
    return state;
}

const char *http_holder(const struct request *request) {
    return request->identity[0] != '\0' ? request->identity : request->address;
}

static uint64_t answer_weight(const struct request_state *state) {
    return state->answer_bytes + state->answer_file_bytes / HTTP_FILE_SHARE;
}

void answer_charge(struct request_state *state, uint64_t bytes, uint64_t file_bytes) {
    struct http *http = state->http;
    state->answer_bytes = bytes;
    state->answer_file_bytes = file_bytes;
    http->counts.answer_bytes += bytes;
    http->counts.answer_file_bytes += file_bytes;
    state->holder = holders_take(&http->answers, http_holder(&state->request), answer_weight(state));
}

void answer_discharge(struct request_state *state) {
    struct http *http = state->http;
    holders_give(&http->answers, state->holder, answer_weight(state));
    state->holder = NULL;
    http->counts.answer_bytes -= state->answer_bytes;
    http->counts.answer_file_bytes -= state->answer_file_bytes;
    state->answer_bytes = state->answer_file_bytes = 0;
}

static void body_release(struct request_state *state) {
    state->http->counts.body_bytes -= state->body_capacity;
    free(state->request.body);
    state->request.body = NULL;
    state->request.body_size = 0;
    state->body_capacity = 0;
}

void request_destroy(struct request_state *state) {
    struct http *http = state->http;
    if (state->begun) {
        http->hooks.done(http->hooks.user, &state->request);
    }
    if (state->source != NULL && state->source->close != NULL) {
        state->source->close(state->source_user);
    }
    if (state->response != NULL) {
        MHD_destroy_response(state->response);
    }
    for (size_t i = 0; i < state->header_count; i++) {
        free(state->headers[i].name);
        free(state->headers[i].value);
    }
    body_release(state);
    answer_discharge(state);
    http->counts.requests--;
    for (struct trimmed *next; state->trimmed != NULL; state->trimmed = next) {
        next = state->trimmed->next;
        free(state->trimmed);
    }
    free(state->authority);
    free(state->request.path);
    free(state);
}

static void suspend(struct request_state *state) {
    state->suspended = true;
    state->http->counts.suspended++;
    MHD_suspend_connection(state->raw);
}

static void resume(struct request_state *state) {
    if (state->suspended) {
        state->suspended = false;
        state->http->counts.suspended--;
        MHD_resume_connection(state->raw);
        state->http->kicked = true;
    }
}

/* ---- the three steps ---- */

static const struct {
    const char *name;
    enum http_method method;
} method_table[] = {{"GET", HTTP_GET},       {"HEAD", HTTP_GET},    {"POST", HTTP_POST},      {"PUT", HTTP_PUT},
                    {"DELETE", HTTP_DELETE}, {"PATCH", HTTP_PATCH}, {"OPTIONS", HTTP_OPTIONS}};

static enum http_method method_find(const char *name) {
    for (size_t i = 0; i < sizeof method_table / sizeof method_table[0]; i++) {
        if (strcmp(method_table[i].name, name) == 0) {
            return method_table[i].method;
        }
    }
    return HTTP_OTHER;
}

/*
 * "Content-Length : 5" is a different header to us and a length to another server; a lone CR or a zero in a value ends
 * it for some readers and not for others (RFC 9112, 2.2; RFC 9110, 5.5).
 */
static enum MHD_Result find_loose_header(void *user, enum MHD_ValueKind kind, const char *name, size_t name_size,
                                         const char *value, size_t value_size) {
    const char **fault = user;
    (void)kind;
    for (size_t i = 0; i < name_size; i++) {
        if (name[i] == ' ' || name[i] == '\t') {
            *fault = "the names of headers must not contain spaces";
        } else if ((unsigned char)name[i] < ' ' || name[i] == 0x7f) {
            *fault = "the names of headers must not contain control characters";
        }
    }
    for (size_t i = 0; i < value_size; i++) {
        if (((unsigned char)value[i] < ' ' && value[i] != '\t') || value[i] == 0x7f) {
            *fault =
                "the values of headers must not contain control characters, such as a zero byte or a CR without LF";
        }
    }
    return *fault == NULL ? MHD_YES : MHD_NO;
}

/* If one of these is sent twice, it is unclear which one counts, and another reader may choose differently. */
static const struct {
    const char *name, *fault;
} single_headers[] = {{"Authorization", "Authorization must be sent at most once"},
                      {"Content-Type", "Content-Type must be sent at most once"},
                      {"Content-Encoding", "Content-Encoding must be sent at most once"},
                      {"Origin", "Origin must be sent at most once"},
                      {"Idempotency-Key", "Idempotency-Key must be sent at most once"},
                      {"Last-Event-ID", "Last-Event-ID must be sent at most once"}};

/* What makes the end of this request's body uncertain. NULL: nothing. */
static const char *length_fault(const struct request *request, bool is_old) {
    const char *coding = http_header(request, "Transfer-Encoding");
    size_t lengths = http_header_count(request, "Content-Length");
    if (lengths > 1 || (lengths == 1 && http_body_length(request) == INT64_MAX)) {
        return "Content-Length must be sent once, as one decimal number";
    }
    if (coding != NULL && is_old) { /* RFC 9112, 6.1: its sender may not know what that is */
        return "Transfer-Encoding must not be sent with HTTP/1.0";
    }
    if (coding != NULL && (http_header_count(request, "Transfer-Encoding") > 1 || strcasecmp(coding, "chunked") != 0)) {
        return "Transfer-Encoding must be chunked, sent once";
    }
    return coding != NULL && lengths > 0 ? "Content-Length and Transfer-Encoding must not be sent together" : NULL;
}

/* What makes the end of this request or its host uncertain. NULL: nothing. */
static const char *framing_fault(const struct request *request, bool is_old) {
    const char *fault = NULL;
    MHD_get_connection_values_n(state_of(request)->raw, MHD_HEADER_KIND, find_loose_header, &fault);
    for (const char *c = request->path; fault == NULL && *c != '\0'; c++) {
        if ((unsigned char)*c <= ' ' || *c == 0x7f) {
            fault = "the address must not contain spaces or control characters";
        }
    }
    if (fault == NULL) {
        fault = length_fault(request, is_old);
    }
    size_t hosts = http_header_count(request, "Host");
    if (fault == NULL && (hosts > 1 || (!is_old && hosts == 0))) {
        fault = "Host must be sent once";
    }
    for (size_t i = 0; fault == NULL && i < sizeof single_headers / sizeof single_headers[0]; i++) {
        if (http_header_count(request, single_headers[i].name) > 1) {
            fault = single_headers[i].fault;
        }
    }
    return fault;
}

/*
 * The target is a path, * for OPTIONS, or an absolute URL, which names the host whatever Host says (RFC 9112, 3.2).
 * Leaves the path in request->path; returns the fault, or NULL.
 */
static const char *read_target(struct request_state *state) {
    struct request *request = &state->request;
    char *path = request->path;
    size_t scheme = strncasecmp(path, "http://", 7) == 0 ? 7 : strncasecmp(path, "https://", 8) == 0 ? 8 : 0;
    bool is_options = request->method == HTTP_OPTIONS;
    if (path[0] == '/' || (is_options && strcmp(path, "*") == 0)) {
        return NULL;
    }
    size_t length = scheme == 0 ? 0 : strcspn(path + scheme, "/");
    if (length == 0 || memchr(path + scheme, '@', length) != NULL) {
        return "the request's target must be a path that begins with / or an address http://HOST/PATH without user";
    }
    state->authority = strndup(path + scheme, length);
    if (state->authority == NULL) {
        return "out of memory";
    }
    const char *rest = path + scheme + length;
    if (*rest == '\0') {
        snprintf(path, 2, "%s", is_options && *request->query == '\0' ? "*" : "/");
    } else {
        memmove(path, rest, strlen(rest) + 1);
    }
    return NULL;
}

static void set_deadline(struct request_state *state, int64_t length) {
    struct http *http = state->http;
    int64_t seconds = http->config->body_timeout;
    if (state->body_mode == BODY_SINK) {
        seconds += (length >= 0 ? length : (int64_t)state->body_limit) >> 20;
    }
    state->connection->deadline = clock_milliseconds() + (uint64_t)seconds * 1000;
}

static bool queue(struct request_state *state);

/* Refuses a request after which no byte can be trusted to start another one. */
static bool refuse(struct request_state *state, const char *fault) {
    struct request *request = &state->request;
    request->close = true;
    if (state->http->hooks.admit(state->http->hooks.user, request)) {
        http_problem(request, 400, "%s", fault);
    }
    return queue(state); /* at once: whatever follows is not read */
}

/* What the route wants, and what the transport itself refuses. */
static void ask_route(struct request_state *state, int64_t length, const char *expect) {
    struct request *request = &state->request;
    const struct http_hooks *hooks = &state->http->hooks;
    if (expect == NULL || strcasecmp(expect, "100-continue") == 0) {
        hooks->head(hooks->user, request);
    } else if (hooks->admit(hooks->user, request)) {
        http_problem(request, 417, "the only supported expectation is 100-continue");
    }
    if (state->body_mode == BODY_DRAIN && state->response == NULL) {
        state->body_limit = 0;
    }
    if (state->response == NULL && state->body_mode != BODY_DRAIN && length > 0 &&
        (uint64_t)length > state->body_limit) {
        http_problem(request, 413, "the body must have at most %llu bytes; it has %lld",
                     (unsigned long long)state->body_limit, (long long)length);
    }
}

bool request_begin(struct request_state *state, const char *method, const char *version) {
    struct request *request = &state->request;
    struct http *http = state->http;
    request->method = method_find(method);
    request->method_name = method;
    request->head_only = strcmp(method, "HEAD") == 0;
    take_id(request);
    const char *fault = framing_fault(request, strcmp(version, "HTTP/1.0") == 0);
    if (fault == NULL) {
        fault = read_target(state);
    }
    request->may_gzip = takes_gzip(request);
    request->crowded = state->connection->crowded || http->counts.connections > http->connection_limit;
    if (fault != NULL) {
        return refuse(state, fault);
    }
    int64_t length = http_body_length(request);
    const char *expect = http_header(request, "Expect");
    ask_route(state, length, expect);
    set_deadline(state, length);
    if (state->response != NULL && length != 0 && (expect != NULL || length > DRAIN_BYTES)) {
        request->close = true;
        return queue(state);
    }
    return true;
}

static bool body_append(struct request_state *state, const char *bytes, size_t size) {
    struct request *request = &state->request;
    size_t needed = request->body_size + size + 1;
    if (needed > state->body_capacity) {
        size_t capacity = state->body_capacity < 4096 ? 4096 : state->body_capacity * 2;
        capacity = capacity < needed ? needed : capacity;
        size_t growth = capacity - state->body_capacity;
        char *body = state->http->counts.body_bytes + growth > state->http->body_budget
                         ? NULL
                         : realloc(request->body, capacity);
        if (body == NULL) {
            return false;
        }
        state->http->counts.body_bytes += growth;
        request->body = body;
        state->body_capacity = capacity;
    }
    memcpy(request->body + request->body_size, bytes, size);
    request->body_size += size;
    request->body[request->body_size] = '\0';
    return true;
}

bool request_receive(struct request_state *state, const char *bytes, size_t size) {
    struct request *request = &state->request;
    state->body_received += size;
    state->http->counts.body_received += size;
    if (state->body_received > state->body_limit && state->body_received - state->body_limit > (uint64_t)DRAIN_BYTES) {
        return false;
    }
    if (state->body_mode == BODY_DRAIN || state->body_failed || state->response != NULL) {
        return true;
    }
    if (state->body_received > state->body_limit) {
        state->body_failed = true;
        body_release(state);
        http_problem(request, 413, "the body must have at most %llu bytes", (unsigned long long)state->body_limit);
    } else if (state->body_mode == BODY_SINK) {
        state->body_failed = !state->sink->write(state->sink_user, bytes, size);
    } else if (!body_append(state, bytes, size)) {
        state->body_failed = true;
        body_release(state);
        http_header_set(request, "Retry-After", "5");
        http_problem(request, 503, "not enough memory for this body now");
    }
    return true;
}

bool request_finish(struct request_state *state) {
    struct http *http = state->http;
    state->connection->deadline = 0;
    if (!state->handled) {
        state->handled = true;
        if (state->response == NULL) {
            http->hooks.handle(http->hooks.user, &state->request);
        }
    }
    if (state->response == NULL && http->ending) {
        http_problem(&state->request, 503, "the daemon is shutting down");
    }
    if (state->response != NULL) {
        return queue(state);
    }
    suspend(state);
    return true;
}

bool request_abandon(struct request_state *state) {
    if (state->queued) {
        resume(state); /* its source sees `ending` and ends */
    } else if (state->handled && state->response == NULL) {
        state->request.close = true;
        http_problem(&state->request, 503, "the daemon is shutting down");
    }
    return state->queued || state->handled;
}

/* ---- bodies ---- */

void http_body_keep(struct request *request, size_t limit) {
    struct request_state *state = state_of(request);
    state->body_mode = BODY_KEEP;
    state->body_limit = limit;
}

void http_body_sink(struct request *request, uint64_t limit, const struct body_sink *sink, void *user) {
    struct request_state *state = state_of(request);
    state->body_mode = BODY_SINK;
    state->body_limit = limit;
    state->sink = sink;
    state->sink_user = user;
}

/* ---- answers ---- */

bool http_is_gone(const struct request *request) {
    const struct connection *connection = state_of(request)->connection;
    return connection->hung_up || connection->cut;
}

bool http_is_answered(const struct request *request) {
    return state_of(request)->response != NULL || state_of(request)->queued;
}

/* If MHD has no memory for it, the connection is cut before anything is sent. */
static void add_header(struct request_state *state, const char *name, const char *value) {
    if (MHD_add_response_header(state->response, name, value) != MHD_YES) {
        state->header_lost = true;
    }
}

/* What every response carries; headers set by the route go first. */
static void add_headers(struct request_state *state) {
    struct request *request = &state->request;
    for (size_t i = 0; i < state->header_count; i++) {
        add_header(state, state->headers[i].name, state->headers[i].value);
    }
    add_header(state, "X-Request-Id", request->id);
    add_header(state, "X-Content-Type-Options", "nosniff");
    if (!header_is_set(state, "Cache-Control")) {
        add_header(state, "Cache-Control", "no-store");
    }
    if (!header_is_set(state, "Vary")) {
        add_header(state, "Vary", "Accept, Accept-Encoding, Origin");
    }
    if (request->allow_origin != NULL) {
        add_header(state, "Access-Control-Allow-Origin", request->allow_origin);
        add_header(state, "Access-Control-Expose-Headers",
                   "Location, ETag, Retry-After, X-Request-Id, Idempotency-Replayed");
    } else {
        add_header(state, "Cross-Origin-Resource-Policy", "same-origin");
    }
    if (request->close || state->http->quiescing) {
        add_header(state, "Connection", "close");
    }
}

/*
 * The time by which the response must have been read: otherwise a client that reads one byte per minute would hold it
 * for ever. Streams may last as long as they like.
 */
static uint64_t answer_deadline(const struct request_state *state) {
    uint64_t seconds = (uint64_t)state->http->config->body_timeout + state->response_size / ANSWER_PACE;
    return state->source != NULL ? 0 : clock_milliseconds() + seconds * 1000;
}

static bool queue(struct request_state *state) {
    state->queued = true;
    state->handled = true;
    state->connection->deadline = answer_deadline(state);
    state->header_lost = false;
    add_headers(state);
    enum MHD_Result result = state->header_lost
                                 ? MHD_NO
                                 : MHD_queue_response(state->raw, (unsigned int)state->request.status, state->response);
    MHD_destroy_response(state->response);
    state->response = NULL;
    return result == MHD_YES;
}

/* Takes the response; true if it is the first. */
static void answer(struct request_state *state, int status, struct MHD_Response *response) {
    if (response != NULL && state->header_lost) { /* a body without its Content-Encoding, for example, would be
                                                   * garbage */
        MHD_destroy_response(response);
        response = NULL;
    }
    if (response == NULL) {
        /* Out of memory: without a response the connection is cut, which the client would do next anyway. */
        response = MHD_create_response_from_buffer(0, (void *)(uintptr_t)"", MHD_RESPMEM_PERSISTENT);
        status = 503;
        if (response == NULL) {
            shutdown(state->connection->socket, SHUT_RDWR);
            return;
        }
    }
    state->response = response;
    state->request.status = status;
    resume(state);
}

static bool is_compressible(const char *type) {
    return strncmp(type, "text/", 5) == 0 || strstr(type, "json") != NULL || strstr(type, "javascript") != NULL ||
           strstr(type, "svg") != NULL;
}

/* The bytes as gzip, or NULL if that fails or is not worth it. */
static char *gzip(const char *bytes, size_t size, size_t *packed_size) {
    z_stream stream = {0};
    char *packed = malloc(size);
    if (packed == NULL || deflateInit2(&stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(packed);
        return NULL;
    }
    stream.next_in = (Bytef *)(uintptr_t)bytes;
    stream.avail_in = (uInt)size;
    stream.next_out = (Bytef *)packed;
    stream.avail_out = (uInt)size;
    int result = deflate(&stream, Z_FINISH);
    *packed_size = stream.total_out;
    deflateEnd(&stream);
    if (result != Z_STREAM_END) {
        free(packed);
        return NULL;
    }
    return packed;
}

void http_reply_bytes(struct request *request, int status, const char *type, char *bytes, size_t size) {
    if (http_is_answered(request) || bytes == NULL) {
        free(bytes);
        if (!http_is_answered(request)) {
            http_problem(request, 503, "out of memory");
        }
        return;
    }
    struct request_state *state = state_of(request);
    if (request->may_gzip && size >= GZIP_FROM && size <= GZIP_TO && is_compressible(type) &&
        !header_is_set(state, "ETag")) {
        size_t packed_size;
        char *packed = gzip(bytes, size, &packed_size);
        if (packed != NULL) {
            free(bytes);
            bytes = packed;
            size = packed_size;
            http_header_set(request, "Content-Encoding", "gzip");
        }
    }
    http_header_set(request, "Content-Type", type);
    struct MHD_Response *response = MHD_create_response_from_buffer(size, bytes, MHD_RESPMEM_MUST_FREE);
    state->response_size = size;
    if (response == NULL) {
        free(bytes);
    } else {
        answer_charge(state, size, 0);
    }
    answer(state, status, response);
}

void http_reply_json(struct request *request, int status, json_t *document) {
    size_t size = 0;
    char *text = json_line(document, &size);
    json_decref(document);
    http_reply_bytes(request, status, "application/json", text, size);
}

void http_reply_constant(struct request *request, int status, const char *type, const void *bytes, size_t size) {
    if (!http_is_answered(request)) {
        http_header_set(request, "Content-Type", type);
        state_of(request)->response_size = size;
        answer(state_of(request), status,
               MHD_create_response_from_buffer(size, (void *)(uintptr_t)bytes, MHD_RESPMEM_PERSISTENT));
    }
}

void http_reply_file(struct request *request, int status, const char *type, int descriptor, uint64_t size) {
    if (http_is_answered(request)) {
        close(descriptor);
        return;
    }
    http_header_set(request, "Content-Type", type);
    struct request_state *state = state_of(request);
    struct stat file;
    bool is_own = fstat(descriptor, &file) == 0 &&
                  file.st_nlink == 0; /* the file has no other link: its space is freed once it has been sent */
    struct MHD_Response *response = MHD_create_response_from_fd64(size, descriptor);
    state->response_size = size;
    if (response == NULL) {
        close(descriptor);
    } else if (is_own) {
        answer_charge(state, 0, size);
    }
    answer(state, status, response);
}

static ssize_t read_source(void *user, uint64_t position, char *bytes, size_t size) {
    struct request_state *state = user;
    (void)position;
    if (state->http->ending) {
        return MHD_CONTENT_READER_END_OF_STREAM;
    }
    if (state->connection->cut) {
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    const struct loop_mark mark = loop_enter();
    ssize_t result = state->source->read(state->source_user, bytes, size);
    loop_leave(state->http->loop, LOOP_ANSWER, &mark);
    if (result == SOURCE_END) {
        return MHD_CONTENT_READER_END_OF_STREAM;
    }
    if (result == SOURCE_FAIL) {
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    if (result == 0) {
        suspend(state); /* or libmicrohttpd would ask again at once, for ever */
    }
    state->http->counts.body_sent += (uint64_t)result;
    return result;
}

void http_reply_source(struct request *request, int status, const char *type, const struct body_source *source,
                       void *user) {
    struct request_state *state = state_of(request);
    if (http_is_answered(request)) {
        source->close(user);
        return;
    }
    http_header_set(request, "Content-Type", type);
    state->source = source;
    state->source_user = user;
    answer(state, status, MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, SOURCE_BLOCK, read_source, state, NULL));
}

void http_reply_empty(struct request *request, int status) {
    if (!http_is_answered(request)) {
        answer(state_of(request), status,
               MHD_create_response_from_buffer(0, (void *)(uintptr_t)"", MHD_RESPMEM_PERSISTENT));
    }
}

void http_problem(struct request *request, int status, const char *format, ...) {
    char detail[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    if (http_is_answered(request)) {
        return;
    }
    (void)json_memory_begin(); /* what was to be sent instead may have failed for lack of memory */
    json_t *problem = json_pack("{s:s, s:s, s:i, s:o}", "type", "about:blank", "title", http_status_text(status),
                                "status", status, "detail",
                                json_string_of(detail)); /* it may quote bytes that are not UTF-8 */
    size_t size = 0;
    char *text = json_line(problem, &size);
    json_decref(problem);
    if (text == NULL) {
        answer(state_of(request), status, NULL);
        return;
    }
    http_reply_bytes(request, status, "application/problem+json", text, size);
}

void http_wake(struct request *request) {
    struct request_state *state = state_of(request);
    if (state->queued) {
        resume(state);
    }
}

const char *http_status_text(int status) {
    return MHD_get_reason_phrase_for((unsigned int)status);
}
