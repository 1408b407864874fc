/*
 * HTTP client. See http.h.
 */
#include "clients/cli/http.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "clients/cli/format.h"
#include "clients/cli/signals.h"

#define TICK_MILLISECONDS 200
#define CONNECT_SECONDS 10L
#define ATTEMPTS 4
#define BODY_BYTES_MAX ((size_t)4 << 30)
#define PROBLEM_BYTES_MAX ((size_t)1 << 20)

struct http {
    CURLM *multi;
    CURL *easy;
    const struct settings *settings;
    bool server_is_loopback;
};

/* One call on its way. */
struct transfer {
    struct http *http;
    const struct http_request *request;
    struct http_answer *answer;
    bool sink_gave_up;
    double last_sign; /* time_monotonic() when bytes last moved */
};

bool url_is_loopback(const char *url) {
    const char *host = strstr(url, "://");
    host = host == NULL ? url : host + 3;
    size_t length = strcspn(host, ":/");
    return (length == 9 && strncasecmp(host, "localhost", 9) == 0) || strncmp(host, "127.", 4) == 0 ||
           strncmp(host, "[::1]", 5) == 0;
}

struct http *http_create(const struct settings *settings) {
    struct http *http = memory_allocate(1, sizeof *http);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    http->settings = settings;
    http->multi = curl_multi_init();
    http->easy = curl_easy_init();
    http->server_is_loopback = url_is_loopback(settings->server.value);
    return http;
}

void http_destroy(struct http *http) {
    if (http == NULL) {
        return;
    }
    curl_easy_cleanup(http->easy);
    curl_multi_cleanup(http->multi);
    curl_global_cleanup();
    free(http);
}

char *http_escape(const char *segment) {
    static const char hexadecimal[] = "0123456789ABCDEF";
    struct text text = {0};
    text_add(&text, "");
    for (const unsigned char *c = (const unsigned char *)segment; *c != '\0'; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
                     strchr("-._~", *c) != NULL;
        char escaped[3] = {'%', hexadecimal[*c >> 4], hexadecimal[*c & 15]};
        text_append(&text, plain ? (const void *)c : escaped, plain ? 1 : 3);
    }
    return text.data;
}

static size_t receive(char *bytes, size_t size, size_t count, void *user) {
    struct transfer *transfer = user;
    size_t total = size * count;
    long status = 0;
    transfer->last_sign = time_monotonic();
    curl_easy_getinfo(transfer->http->easy, CURLINFO_RESPONSE_CODE, &status);
    bool good = status >= 200 && status < 300;
    if (good && transfer->request->sink != NULL) {
        if (!transfer->request->sink(transfer->request->user, bytes, total)) {
            transfer->sink_gave_up = true;
            return 0;
        }
        return total;
    }
    if (transfer->answer->body.size + total > (good ? BODY_BYTES_MAX : PROBLEM_BYTES_MAX)) {
        return 0;
    }
    text_append(&transfer->answer->body, bytes, total);
    return total;
}

static size_t upload(char *bytes, size_t size, size_t count, void *user) {
    struct transfer *transfer = user;
    FILE *file = transfer->request->upload;
    transfer->last_sign = time_monotonic();
    size_t got = fread(bytes, size, count, file);
    return got == 0 && ferror(file) ? CURL_READFUNC_ABORT : got * size;
}

static void header_add(struct curl_slist **headers, const char *name, const char *value) {
    if (value != NULL) {
        char *line = memory_format("%s: %s", name, value);
        *headers = curl_slist_append(*headers, line);
        free(line);
    }
}

static struct curl_slist *headers_make(const struct http *http, const struct http_request *request) {
    struct curl_slist *headers = NULL;
    char number[32];
    snprintf(number, sizeof number, "%lld", (long long)request->last_event_id);
    header_add(&headers, "Accept", request->accept == NULL ? "application/json" : request->accept);
    header_add(&headers, "Content-Type", request->type);
    header_add(&headers, "Idempotency-Key", request->idempotency_key);
    header_add(&headers, "Last-Event-ID", request->last_event_id > 0 ? number : NULL);
    if (http->settings->token.value != NULL) {
        char *value = memory_format("Bearer %s", http->settings->token.value);
        header_add(&headers, "Authorization", value);
        free(value);
    }
    /* Without this curl waits a second for "100 Continue" before large bodies. */
    headers = curl_slist_append(headers, "Expect:");
    if (request->type == NULL) {
        headers = curl_slist_append(headers, "Content-Type:");
    }
    return headers;
}

static void body_set(CURL *easy, struct transfer *transfer) {
    const struct http_request *request = transfer->request;
    bool is_post = request->method != NULL && strcmp(request->method, "POST") == 0;
    if (request->upload != NULL) {
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, upload);
        curl_easy_setopt(easy, CURLOPT_READDATA, transfer);
        curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)request->upload_size);
    } else if (request->body != NULL || is_post) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body == NULL ? "" : request->body);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t)(request->body == NULL ? 0 : request->body_size));
    }
    if (request->method != NULL) {
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
    }
}

static long connect_seconds(const struct http *http) {
    return http->settings->timeout < CONNECT_SECONDS ? http->settings->timeout : CONNECT_SECONDS;
}

static void handle_set(struct transfer *transfer, const char *url, struct curl_slist *headers,
                       char error[CURL_ERROR_SIZE]) {
    const struct http *http = transfer->http;
    CURL *easy = http->easy;
    curl_easy_reset(easy);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "modprop/" MODPROP_VERSION);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, connect_seconds(http));
    if (http->settings->ca_file.value != NULL) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, http->settings->ca_file.value);
    }
    if (http->server_is_loopback) {
        curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    }
    body_set(easy, transfer);
}

static long quiet_seconds(const struct transfer *transfer) {
    return transfer->request->quiet_seconds > 0 ? transfer->request->quiet_seconds : transfer->http->settings->timeout;
}

/*
 * Runs the multi handle until the transfer is over; CURLE_ABORTED_BY_CALLBACK after a signal. Silence is measured here
 * and not by CURLOPT_LOW_SPEED_TIME, which takes a stream's heartbeats of a few bytes for silence too.
 */
static CURLcode drive(struct transfer *transfer) {
    struct http *http = transfer->http;
    CURLcode result = CURLE_OK;
    int running = 1;
    transfer->last_sign = time_monotonic();
    curl_multi_add_handle(http->multi, http->easy);
    while (running > 0) {
        if (curl_multi_perform(http->multi, &running) != CURLM_OK) {
            result = CURLE_FAILED_INIT;
            break;
        }
        if (signals_interrupted()) {
            result = CURLE_ABORTED_BY_CALLBACK;
            break;
        }
        if (running > 0 && time_monotonic() - transfer->last_sign > (double)quiet_seconds(transfer)) {
            result = CURLE_OPERATION_TIMEDOUT;
            break;
        }
        if (running > 0) {
            curl_multi_poll(http->multi, NULL, 0, TICK_MILLISECONDS, NULL);
        }
        if (transfer->request->tick != NULL) {
            transfer->request->tick(transfer->request->user);
        }
    }
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(http->multi, &left)) != NULL;) {
        if (message->msg == CURLMSG_DONE) {
            result = message->data.result;
        }
    }
    curl_multi_remove_handle(http->multi, http->easy);
    return result;
}

static void answer_fill(struct transfer *transfer) {
    struct http_answer *answer = transfer->answer;
    CURL *easy = transfer->http->easy;
    long status = 0;
    const char *type = NULL;
    curl_off_t retry = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
    curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry);
    answer->status = (int)status;
    answer->retry_after = retry < 0 ? 0 : retry > 3600 ? 3600 : (long)retry;
    snprintf(answer->type, sizeof answer->type, "%s", type == NULL ? "" : type);
}

/* What is wrong with encryption, in a user's words; false where it is not encryption. */
static bool tls_error_fill(struct http_answer *answer, const struct http *http, CURLcode code, const char *detail) {
    const char *server = http->settings->server.value, *file = http->settings->ca_file.value;
    if (code == CURLE_SSL_CONNECT_ERROR) {
        snprintf(answer->error, sizeof answer->error, "%s does not use TLS (is it an http:// address?): %s", server,
                 detail);
    } else if (code == CURLE_PEER_FAILED_VERIFICATION) {
        snprintf(answer->error, sizeof answer->error,
                 "the certificate of %s is not trusted (--ca-file names the authority's): %s", server, detail);
    } else if (code == CURLE_SSL_CACERT_BADFILE) {
        snprintf(answer->error, sizeof answer->error, "the certificates in %s cannot be used: %s",
                 file == NULL ? "the system" : file, detail);
    } else {
        return false;
    }
    return true;
}

/* In a user's words: what failed, and with which server. */
static void error_fill(struct http_answer *answer, const struct http *http, CURLcode code, const char *detail,
                       long quiet) {
    const char *server = http->settings->server.value;
    long number = 0;
    if (tls_error_fill(answer, http, code, detail)) {
        return;
    }
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        if (answer->status == 0) {
            snprintf(answer->error, sizeof answer->error, "%s does not answer (waited %ld s)", server, quiet);
        } else {
            answer->fell_silent = true;
            snprintf(answer->error, sizeof answer->error, "%s was silent for %ld s", server, quiet);
        }
        break;
    case CURLE_COULDNT_CONNECT:
        curl_easy_getinfo(http->easy, CURLINFO_OS_ERRNO, &number);
        snprintf(answer->error, sizeof answer->error, "cannot reach %s: %s", server,
                 number != 0 ? strerror((int)number) : detail);
        break;
    case CURLE_GOT_NOTHING: /* also what a server of https does with a request in plain text */
        snprintf(answer->error, sizeof answer->error, "%s closed the connection without a response%s", server,
                 strncasecmp(server, "http:", 5) == 0 ? " (is it an https:// address?)" : "");
        break;
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
        snprintf(answer->error, sizeof answer->error, "%s closed the connection before its response was complete",
                 server);
        break;
    case CURLE_READ_ERROR:
    case CURLE_ABORTED_BY_CALLBACK:
        snprintf(answer->error, sizeof answer->error, "the file to be sent could not be read");
        break;
    case CURLE_WRITE_ERROR:
        snprintf(answer->error, sizeof answer->error, "the response of %s is larger than this program accepts", server);
        break;
    default:
        snprintf(answer->error, sizeof answer->error, "cannot reach %s: %s", server,
                 *detail != '\0' ? detail : curl_easy_strerror(code));
    }
}

static CURLcode attempt(struct http *http, const struct http_request *request, struct http_answer *answer,
                        bool *sink_gave_up) {
    struct transfer transfer = {.http = http, .request = request, .answer = answer};
    char error[CURL_ERROR_SIZE] = "";
    char *url = memory_format("%s%s", http->settings->server.value, request->path);
    struct curl_slist *headers = headers_make(http, request);
    handle_set(&transfer, url, headers, error);
    CURLcode code = drive(&transfer);
    answer_fill(&transfer);
    if (code != CURLE_OK) {
        bool waited_to_connect = code == CURLE_OPERATION_TIMEDOUT && answer->status == 0 &&
                                 strstr(error, "onnect") != NULL;
        error_fill(answer, http, code, error, waited_to_connect ? connect_seconds(http) : quiet_seconds(&transfer));
    }
    *sink_gave_up = transfer.sink_gave_up;
    curl_slist_free_all(headers);
    free(url);
    return code;
}

/* The call may have been carried out, and nothing can be known of it but by asking again. */
static bool broke_off(CURLcode code) {
    return code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR ||
           code == CURLE_PARTIAL_FILE;
}

enum status http_perform(struct http *http, const struct http_request *request, struct http_answer *answer) {
    bool sink_gave_up = false;
    CURLcode code = CURLE_OK;
    *answer = (struct http_answer){0};
    for (int i = 0; i < ATTEMPTS; i++) {
        http_answer_release(answer);
        code = attempt(http, request, answer, &sink_gave_up);
        bool again = request->idempotency_key != NULL && request->upload == NULL &&
                     (broke_off(code) || (i > 0 && code == CURLE_COULDNT_CONNECT));
        if (!again || i == ATTEMPTS - 1 || !http_pause(0.25 * (1 << (2 * i)), request->tick, request->user)) {
            break;
        }
    }
    if (signals_interrupted()) {
        return STATUS_INTERRUPTED;
    }
    if (sink_gave_up || code == CURLE_READ_ERROR || code == CURLE_ABORTED_BY_CALLBACK || code == CURLE_WRITE_ERROR) {
        return STATUS_FAILED;
    }
    return code == CURLE_OK ? STATUS_OK : STATUS_UNREACHABLE;
}

void http_answer_release(struct http_answer *answer) {
    text_release(&answer->body);
    *answer = (struct http_answer){0};
}

bool http_pause(double seconds, void (*tick)(void *user), void *user) {
    double until = time_monotonic() + seconds;
    for (;;) {
        double left = until - time_monotonic();
        if (signals_interrupted() || left <= 0) {
            return !signals_interrupted();
        }
        struct timespec step = {.tv_nsec = (long)(1e9 * (left < 0.2 ? left : 0.2))};
        nanosleep(&step, NULL);
        if (tick != NULL) {
            tick(user);
        }
    }
}
