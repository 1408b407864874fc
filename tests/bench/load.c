/*
 * load: the client side of the service's benchmark. One thread, epoll, plain HTTP/1.1 to 127.0.0.1.
 *
 *   load submit PORT CONNECTIONS COUNT BODY      COUNT submissions of the job document BODY, one at a time on each
 * connection load follow PORT STREAMS SECONDS PATH...     STREAMS event streams (NDJSON) over the PATHs in turn, for
 * SECONDS
 *
 * Prints one JSON object. In C because it shares the machine with what it measures: a thousand streams read by a script
 * would take the cores from training, and the benchmark would be of the script. `follow` takes as an event's latency
 * the time from its member "time", set when it was made for the store, to its arrival here; both on the machine's
 * real-time clock, in steps of a millisecond.
 *
 * Exit status: 0, 1 for a failure of the load itself (a sentence says which), 2 for bad usage.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 16384
#define CONNECTIONS_MOST 20000

/* The position of a connection in the response that it reads. */
enum phase { PHASE_HEAD, PHASE_BODY, PHASE_CHUNK_SIZE, PHASE_CHUNK, PHASE_CHUNK_END, PHASE_DONE };

struct connection {
    int fd;
    enum phase phase;
    int status;
    long left;    /* bytes of the body or chunk still to come */
    double began; /* seconds: when the request was sent */
    size_t framed, used;
    char frame[16];        /* the size line of a chunk */
    char line[LINE_BYTES]; /* of the head, or of the body */
};

/* A line of a body, without its line break. */
typedef void on_line(void *user, const char *line);

struct samples {
    double *values; /* milliseconds */
    size_t count, capacity;
};

static _Noreturn void fail(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double clock_seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void samples_add(struct samples *samples, double value) {
    if (samples->count == samples->capacity) {
        samples->capacity = samples->capacity == 0 ? 4096 : 2 * samples->capacity;
        samples->values = realloc(samples->values, samples->capacity * sizeof *samples->values);
        if (samples->values == NULL) {
            fail("latencies");
        }
    }
    samples->values[samples->count++] = value;
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts; returns the value that `share` of all values do not exceed. 0 if there are none. */
static double samples_quantile(struct samples *samples, double share) {
    if (samples->count == 0) {
        return 0;
    }
    qsort(samples->values, samples->count, sizeof *samples->values, compare_doubles);
    size_t index = (size_t)(share * (double)(samples->count - 1) + 0.5);
    return samples->values[index];
}

static int connect_to(int port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        fail("socket");
    }
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        fail("connect");
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* Requests are far smaller than a socket's buffer, so a partial write is a failure. */
static void send_whole(int fd, const char *bytes, size_t size) {
    if (send(fd, bytes, size, MSG_NOSIGNAL) != (ssize_t)size) {
        fail("send");
    }
}

static int watch(struct connection *connections, size_t count) {
    int poll = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &connections[i]};
        int fd = connections[i].fd;
        if (poll < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0 || epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) != 0) {
            fail("epoll");
        }
    }
    return poll;
}

/* ---- reading an answer ---- */

/*
 * Collects one byte of a line; true when the line is complete, without its break (LF or CR LF). Longer lines are
 * truncated.
 */
static bool gather(char *line, size_t *used, size_t capacity, char byte) {
    if (byte != '\n') {
        if (*used < capacity - 1) {
            line[(*used)++] = byte;
        }
        return false;
    }
    if (*used > 0 && line[*used - 1] == '\r') {
        (*used)--;
    }
    line[*used] = '\0';
    *used = 0;
    return true;
}

/* A line of the head; an empty one ends it. */
static void head_line(struct connection *connection) {
    const char *line = connection->line;
    if (strncmp(line, "HTTP/1.1 ", 9) == 0) {
        connection->status = atoi(line + 9);
        connection->left = 0;
    } else if (strncasecmp(line, "Content-Length:", 15) == 0) {
        connection->left = atol(line + 15);
    } else if (strncasecmp(line, "Transfer-Encoding: chunked", 26) == 0) {
        connection->left = -1;
    } else if (*line == '\0') {
        connection->phase = connection->left < 0 ? PHASE_CHUNK_SIZE : connection->left > 0 ? PHASE_BODY : PHASE_DONE;
    }
}

static void body_byte(struct connection *connection, char byte, on_line *take, void *user) {
    if (gather(connection->line, &connection->used, sizeof connection->line, byte) && take != NULL) {
        take(user, connection->line);
    }
    connection->left--;
}

/* Consumes what arrived, up to the end of the response. Lines of the body go to `take`; they may span chunks. */
static void answer_take(struct connection *connection, const char *bytes, size_t size, on_line *take, void *user) {
    for (size_t i = 0; i < size && connection->phase != PHASE_DONE; i++) {
        switch (connection->phase) {
        case PHASE_HEAD:
            if (gather(connection->line, &connection->used, sizeof connection->line, bytes[i])) {
                head_line(connection);
            }
            break;
        case PHASE_BODY:
            body_byte(connection, bytes[i], take, user);
            connection->phase = connection->left == 0 ? PHASE_DONE : PHASE_BODY;
            break;
        case PHASE_CHUNK_SIZE:
            if (gather(connection->frame, &connection->framed, sizeof connection->frame, bytes[i])) {
                connection->left = strtol(connection->frame, NULL, 16);
                connection->phase = connection->left > 0 ? PHASE_CHUNK : PHASE_DONE;
            }
            break;
        case PHASE_CHUNK:
            body_byte(connection, bytes[i], take, user);
            connection->phase = connection->left == 0 ? PHASE_CHUNK_END : PHASE_CHUNK;
            break;
        case PHASE_CHUNK_END:
            connection->phase = bytes[i] == '\n' ? PHASE_CHUNK_SIZE : PHASE_CHUNK_END;
            break;
        case PHASE_DONE:
            break;
        }
    }
}

static void request_send(struct connection *connection, const char *request, size_t size) {
    connection->phase = PHASE_HEAD;
    connection->used = connection->framed = 0;
    connection->began = clock_seconds(CLOCK_MONOTONIC);
    send_whole(connection->fd, request, size);
}

static struct connection *connections_open(int port, size_t count) {
    struct connection *connections = calloc(count, sizeof *connections);
    if (connections == NULL) {
        fail("connections");
    }
    for (size_t i = 0; i < count; i++) {
        connections[i].fd = connect_to(port);
    }
    return connections;
}

/* ---- submit ---- */

static char *submission_make(int port, const char *body, size_t *size) {
    char *request;
    int length = asprintf(&request,
                          "POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
                          "Content-Length: %zu\r\n\r\n%s",
                          port, strlen(body), body);
    if (length < 0) {
        fail("request");
    }
    *size = (size_t)length;
    return request;
}

struct submit {
    const char *request;
    size_t size;
    long total, sent, refused;
    struct samples latencies;
};

/* Data arrived: if it ends a response, the connection sends its next submission. */
static void submit_receive(struct submit *submit, struct connection *connection) {
    char bytes[16384];
    ssize_t got = recv(connection->fd, bytes, sizeof bytes, 0);
    if (got <= 0) {
        fail("the daemon closed a connection");
    }
    answer_take(connection, bytes, (size_t)got, NULL, NULL);
    if (connection->phase != PHASE_DONE) {
        return;
    }
    samples_add(&submit->latencies, 1e3 * (clock_seconds(CLOCK_MONOTONIC) - connection->began));
    submit->refused += connection->status != 201;
    if (submit->sent < submit->total) {
        submit->sent++;
        request_send(connection, submit->request, submit->size);
    }
}

static void run_submit(int port, size_t count, long total, const char *body) {
    struct submit submit = {.total = total};
    char *request = submission_make(port, body, &submit.size);
    struct connection *connections = connections_open(port, count);
    int poll = watch(connections, count);
    submit.request = request;
    double began = clock_seconds(CLOCK_MONOTONIC);
    for (size_t i = 0; i < count && submit.sent < total; i++, submit.sent++) {
        request_send(&connections[i], request, submit.size);
    }
    while ((long)submit.latencies.count < total) {
        struct epoll_event events[64];
        int ready = epoll_wait(poll, events, 64, 30000);
        if (ready <= 0) {
            fail(ready == 0 ? "no answer for 30 s" : "epoll_wait");
        }
        for (int i = 0; i < ready; i++) {
            submit_receive(&submit, events[i].data.ptr);
        }
    }
    double seconds = clock_seconds(CLOCK_MONOTONIC) - began;
    printf("{\"connections\": %zu, \"submissions\": %ld, \"refused\": %ld, \"seconds\": %.3f, \"per_second\": %.1f, ",
           count, total, submit.refused, seconds, (double)(total - submit.refused) / seconds);
    printf("\"p50_ms\": %.2f, \"p99_ms\": %.2f}\n", samples_quantile(&submit.latencies, 0.5),
           samples_quantile(&submit.latencies, 0.99));
    free(request);
    free(connections);
    free(submit.latencies.values);
}

/* ---- follow ---- */

struct follow {
    double began; /* real time, seconds: events made before are replay and not counted */
    struct samples latencies;
    long refused, ended;
};

/* Seconds since 1970 of the event's member "time" (RFC 3339, UTC); negative if there is none. */
static double event_time(const char *line) {
    struct tm broken = {0};
    double seconds;
    const char *member = strstr(line, "\"time\":");
    int found = member == NULL ? 0
                               : sscanf(member + 7, " \"%d-%d-%dT%d:%d:%lfZ", &broken.tm_year, &broken.tm_mon,
                                        &broken.tm_mday, &broken.tm_hour, &broken.tm_min, &seconds);
    if (found != 6) {
        return -1;
    }
    broken.tm_year -= 1900;
    broken.tm_mon -= 1;
    return (double)timegm(&broken) + seconds;
}

static void event_line(void *user, const char *line) {
    struct follow *follow = user;
    double made = *line == '{' ? event_time(line) : -1;
    if (made >= follow->began) {
        samples_add(&follow->latencies, 1e3 * (clock_seconds(CLOCK_REALTIME) - made));
    }
}

static void follow_receive(struct follow *follow, int poll, struct connection *connection) {
    char bytes[65536];
    ssize_t got = recv(connection->fd, bytes, sizeof bytes, 0);
    if (got > 0) {
        answer_take(connection, bytes, (size_t)got, event_line, follow);
    }
    if (got <= 0 || connection->phase == PHASE_DONE) {
        follow->ended++;
        follow->refused += connection->status != 200;
        epoll_ctl(poll, EPOLL_CTL_DEL, connection->fd, NULL);
    }
}

static void subscribe(struct connection *connections, size_t count, int port, char *const *paths, int path_count) {
    for (size_t i = 0; i < count; i++) {
        char request[1024];
        int length = snprintf(request, sizeof request,
                              "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: application/x-ndjson\r\n\r\n",
                              paths[i % (size_t)path_count], port);
        if (length < 0 || (size_t)length >= sizeof request) {
            errno = ENAMETOOLONG;
            fail("a path");
        }
        request_send(&connections[i], request, (size_t)length);
    }
}

static void run_follow(int port, size_t count, double seconds, char *const *paths, int path_count) {
    struct follow follow = {0};
    struct connection *connections = connections_open(port, count);
    int poll = watch(connections, count);
    subscribe(connections, count, port, paths, path_count);
    /* What was published while the streams opened is replay; its time distinguishes it from live events. */
    double opened = clock_seconds(CLOCK_MONOTONIC) + 1, end = opened + seconds;
    follow.began = clock_seconds(CLOCK_REALTIME) + 1;
    for (double now; (now = clock_seconds(CLOCK_MONOTONIC)) < end && follow.ended < (long)count;) {
        struct epoll_event events[256];
        int ready = epoll_wait(poll, events, 256, (int)(1e3 * (end - now)) + 1);
        if (ready < 0 && errno != EINTR) {
            fail("epoll_wait");
        }
        for (int i = 0; i < ready; i++) {
            follow_receive(&follow, poll, events[i].data.ptr);
        }
    }
    size_t events = follow.latencies.count;
    printf("{\"streams\": %zu, \"seconds\": %.1f, \"events\": %zu, \"events_per_second\": %.1f, ", count, seconds,
           events, (double)events / seconds);
    printf("\"p50_ms\": %.2f, \"p99_ms\": %.2f, \"most_ms\": %.2f, ", samples_quantile(&follow.latencies, 0.5),
           samples_quantile(&follow.latencies, 0.99), samples_quantile(&follow.latencies, 1));
    printf("\"refused\": %ld, \"ended\": %ld}\n", follow.refused, follow.ended);
    free(connections);
    free(follow.latencies.values);
}

/* ---- the command line ---- */

/* A whole number from 1 to most, or a message and exit status 2. */
static long number(const char *text, const char *name, long most) {
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno != 0 || *end != '\0' || end == text || value < 1 || value > most) {
        fprintf(stderr, "load: %s must be a whole number from 1 to %ld; got \"%s\"\n", name, most, text);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max; /* a thousand streams need more than the usual soft limit */
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (argc == 6 && strcmp(argv[1], "submit") == 0) {
        run_submit((int)number(argv[2], "PORT", 65535), (size_t)number(argv[3], "CONNECTIONS", CONNECTIONS_MOST),
                   number(argv[4], "COUNT", 100000000), argv[5]);
    } else if (argc >= 6 && strcmp(argv[1], "follow") == 0) {
        run_follow((int)number(argv[2], "PORT", 65535), (size_t)number(argv[3], "STREAMS", CONNECTIONS_MOST),
                   (double)number(argv[4], "SECONDS", 86400), argv + 5, argc - 5);
    } else {
        fputs("usage: load submit PORT CONNECTIONS COUNT BODY\n       load follow PORT STREAMS SECONDS PATH...\n",
              stderr);
        return 2;
    }
    return 0;
}
