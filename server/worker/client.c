/* The worker's HTTP client: see client.h. curl's multi interface, driven by libuv's timers and poll handles. */
#include "server/worker/client.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CONNECT_SECONDS 10L
#define ANSWER_MOST ((size_t)256 << 20)
#define IDENTITY_BYTES 128

struct client {
    struct client_options options;
    CURLM *multi;
    uv_timer_t timer;
    struct client_call *calls;
    char identity[IDENTITY_BYTES];
    bool loopback;
    bool doubtful; /* a call failed since the last answer: what connections there are may be dead */
};

/* A socket of curl's that libuv watches. */
struct watch {
    uv_poll_t poll; /* first */
    struct client *client;
    curl_socket_t socket;
};

static void calls_finish(struct client *client);

/* ---- libuv and curl ---- */

static void on_poll(uv_poll_t *poll, int status, int events) {
    const struct watch *watch = (const struct watch *)poll; /* its first member */
    struct client *client = watch->client;
    int flags = ((events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0) |
                ((events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0) | (status < 0 ? CURL_CSELECT_ERR : 0);
    int running;
    curl_multi_socket_action(client->multi, watch->socket, flags, &running);
    calls_finish(client);
}

static void watch_free(uv_handle_t *handle) {
    free(handle); /* the first member of its struct watch */
}

static int on_socket(CURL *easy, curl_socket_t socket, int what, void *user, void *of_socket) {
    struct client *client = user;
    struct watch *watch = of_socket;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (watch != NULL) {
            uv_poll_stop(&watch->poll);
            uv_close((uv_handle_t *)&watch->poll, watch_free);
            curl_multi_assign(client->multi, socket, NULL);
        }
        return 0;
    }
    if (watch == NULL) {
        watch = calloc(1, sizeof *watch);
        if (watch == NULL || uv_poll_init_socket(&client->options.loop->uv, &watch->poll, socket) != 0) {
            free(watch);
            return -1;
        }
        watch->client = client;
        watch->socket = socket;
        curl_multi_assign(client->multi, socket, watch);
    }
    uv_poll_start(&watch->poll, (what != CURL_POLL_OUT ? UV_READABLE : 0) | (what != CURL_POLL_IN ? UV_WRITABLE : 0),
                  on_poll);
    return 0;
}

static void on_timer(uv_timer_t *timer) {
    struct client *client = timer->data;
    int running;
    curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    calls_finish(client);
}

static int on_timeout(CURLM *multi, long milliseconds, void *user) {
    struct client *client = user;
    (void)multi;
    if (milliseconds < 0) {
        uv_timer_stop(&client->timer);
    } else {
        uv_timer_start(&client->timer, on_timer, (uint64_t)milliseconds, 0);
    }
    return 0;
}

/* ---- one call ---- */

static size_t receive(char *bytes, size_t size, size_t count, void *user) {
    struct client_call *call = user;
    size_t total = size * count;
    long status = 0;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    if (call->download != NULL && status == 200) {
        return fwrite(bytes, 1, total, call->download) == total ? total : 0;
    }
    if (call->answer_size + total > ANSWER_MOST) {
        return 0;
    }
    char *answer = realloc(call->answer, call->answer_size + total + 1);
    if (answer == NULL) {
        return 0;
    }
    memcpy(answer + call->answer_size, bytes, total);
    call->answer = answer;
    call->answer_size += total;
    answer[call->answer_size] = '\0';
    return total;
}

static size_t send_file(char *bytes, size_t size, size_t count, void *user) {
    struct client_call *call = user;
    size_t got = fread(bytes, 1, size * count, call->upload);
    return got == 0 && ferror(call->upload) ? CURL_READFUNC_ABORT : got;
}

static void header_add(struct client_call *call, const char *name, const char *value) {
    char line[512];
    snprintf(line, sizeof line, "%s: %s", name, value);
    struct curl_slist *headers = curl_slist_append(call->headers, line);
    call->headers = headers != NULL ? headers : call->headers;
    explicit_bzero(line, sizeof line);
}

static void headers_set(struct client_call *call) {
    const struct client *client = call->client;
    char bearer[400];
    header_add(call, "Accept", "application/json, application/octet-stream");
    header_add(call, "Expect", "");
    if (call->body != NULL || call->upload != NULL) {
        header_add(call, "Content-Type", call->upload != NULL ? "application/octet-stream" : "application/json");
    }
    if (client->options.token != NULL) {
        snprintf(bearer, sizeof bearer, "Bearer %s", client->options.token);
        header_add(call, "Authorization", bearer);
        explicit_bzero(bearer, sizeof bearer);
    }
    if (client->identity[0] != '\0') {
        header_add(call, "Modprop-Worker", client->identity);
    }
}

static void handle_set(struct client_call *call, const char *url) {
    const struct client *client = call->client;
    CURL *easy = call->easy;
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "modpropd-worker/" MODPROP_VERSION);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->message);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, call->seconds);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, client->doubtful ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
    if (client->options.ca_file != NULL) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, client->options.ca_file);
    }
    if (client->loopback) {
        curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    }
    if (call->upload != NULL) {
        rewind(call->upload);
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, send_file);
        curl_easy_setopt(easy, CURLOPT_READDATA, call);
        curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)call->upload_size);
    } else if (call->body != NULL) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_size);
    }
}

static void call_release(struct client_call *call) {
    struct client_call **at = &call->client->calls;
    while (*at != call) {
        at = &(*at)->next;
    }
    *at = call->next;
    if (call->easy != NULL) {
        curl_multi_remove_handle(call->client->multi, call->easy);
        curl_easy_cleanup(call->easy);
    }
    curl_slist_free_all(call->headers);
    call->easy = call->headers = NULL;
}

static void call_finish(struct client_call *call, CURLcode code) {
    long status = 0;
    if (code == CURLE_OK) {
        curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    } else {
        snprintf(call->error, sizeof call->error, "%s",
                 call->message[0] != '\0' ? call->message : curl_easy_strerror(code));
    }
    call->status = (int)status;
    call->client->doubtful = code != CURLE_OK;
    call_release(call);
    call->done(call);
}

/* A call for which there was no memory. */
static struct client_call *unstarted_find(const struct client *client) {
    struct client_call *call = client->calls;
    while (call != NULL && call->easy != NULL) {
        call = call->next;
    }
    return call;
}

static void calls_finish(struct client *client) {
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
        struct client_call *call = NULL;
        if (message->msg == CURLMSG_DONE) {
            const CURLcode code = message->data.result;
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
            call_finish(call, code);
        }
    }
    for (struct client_call *call; (call = unstarted_find(client)) != NULL;) {
        call_finish(call, CURLE_OUT_OF_MEMORY);
    }
}

void client_start(struct client *client, struct client_call *call) {
    char url[CLIENT_PATH_BYTES + 512];
    call->client = client;
    call->status = 0;
    call->answer = NULL;
    call->answer_size = 0;
    call->error[0] = call->message[0] = '\0';
    call->headers = NULL;
    call->next = client->calls;
    client->calls = call;
    call->easy = curl_easy_init();
    snprintf(url, sizeof url, "%.500s%s", client->options.server, call->path);
    if (call->easy != NULL) {
        headers_set(call);
        handle_set(call, url);
        curl_multi_add_handle(client->multi, call->easy);
    } else {
        uv_timer_start(&client->timer, on_timer, 1, 0);
    }
}

/* ---- the client ---- */

static bool is_loopback(const char *server) {
    const char *host = strstr(server, "://");
    host = host == NULL ? server : host + 3;
    size_t length = strcspn(host, ":/");
    return (length == 9 && strncasecmp(host, "localhost", 9) == 0) || strncmp(host, "127.", 4) == 0 ||
           strncmp(host, "[::1]", 5) == 0;
}

struct client *client_create(const struct client_options *options) {
    struct client *client = calloc(1, sizeof *client);
    if (client == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != 0 || (client->multi = curl_multi_init()) == NULL) {
        free(client);
        return NULL;
    }
    client->options = *options;
    client->loopback = is_loopback(options->server);
    uv_timer_init(&options->loop->uv, &client->timer);
    client->timer.data = client;
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    return client;
}

static void client_free(uv_handle_t *timer) {
    free(timer->data);
}

void client_destroy(struct client *client) {
    if (client == NULL) {
        return;
    }
    while (client->calls != NULL) {
        call_release(client->calls);
    }
    curl_multi_cleanup(client->multi);
    curl_global_cleanup();
    uv_close((uv_handle_t *)&client->timer, client_free);
}

void client_identity_set(struct client *client, const char *identity) {
    snprintf(client->identity, sizeof client->identity, "%s", identity);
}
