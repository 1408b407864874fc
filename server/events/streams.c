/*
 * Event streams: see streams.h.
 *
 * Why there are no gaps and no duplicates: events are committed in order of seq and published on this thread after
 * their commit. Before a stream has a page read it notes the ring's head. Whatever is published later is at or after
 * that head; whatever was published earlier is committed and so in the page, however late a lane reads it. Events that
 * are in both are recognised by their number, which only grows.
 *
 * A thousand streams may begin at once. Each has one page read at a time, and those of one client at most
 * PAGES_OF_ONE together, so that they leave places in the lane to its other requests. Who gets none waits in a list.
 *
 * Rejected: one queue per stream (a thousand copies of each event, and a policy for when it is full); reading the store
 * for every event and stream (a thousand queries per event).
 */
#include "server/events/streams.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/loop.h"
#include "server/base/holders.h"
#include "server/http/spool.h"

#define RING 1024            /* events kept for streams that are up to date; a power of two */
#define RING_BYTES (4 << 20) /* and their bytes */
#define FILL_BYTES 32768     /* a buffer or a page is not filled beyond this, except by a single event */
#define PAGES_OF_ONE 4       /* pages that are read for one client at once */
#define PAGES_TRIED 32       /* streams that ask a lane again in one callback */

struct ring_event {
    struct stream_event event;
    char job[STREAM_JOB_BYTES], type[24];
    char bytes[]; /* json */
};

struct stream_page {
    struct ring_event *events[STREAM_PAGE_EVENTS];
    size_t count, next, bytes;
    bool complete, failed;
};

enum stream_phase { STREAM_EVENTS, STREAM_WEIGHTS_WAIT, STREAM_WEIGHTS, STREAM_ENDED };

struct stream {
    struct streams *streams;
    struct stream *next, *previous;
    struct request *request;
    struct holder *holder;      /* NULL: it is being cut, or there was no memory to count it */
    char job[STREAM_JOB_BYTES]; /* "" : all */
    int64_t cursor;
    bool sse, weights, endless;
    bool counted;             /* among those of `limit` */
    bool joined;              /* `position` is valid: everything before it was sent or is not ours */
    uint64_t position;        /* in the ring's count */
    struct stream_page *page; /* being sent; NULL: none */
    bool asking;              /* in the list of those that want a page */
    struct stream *next_asking;
    bool reading;          /* a lane reads its page */
    void *page_handle;     /* owned by the hook while it works */
    struct holder *reader; /* counted for it */
    enum stream_phase phase;
    char *buffer; /* what remains to be sent; NULL while idle */
    size_t used, sent, capacity;
    bool failed;
    uint64_t last_write; /* ms */
    struct spool line;   /* the weights */
    uint64_t line_sent;
    void *weights_handle; /* owned by the hook while it works */
};

struct streams {
    struct streams_hooks hooks;
    uint64_t heartbeat; /* ms */
    size_t limit, token_limit, count;
    struct holders holders, readers; /* streams; pages that are being read */
    uint64_t cut;
    struct stream *first;
    struct stream *asking, **last_asking; /* in turn */
    struct ring_event *ring[RING];
    uint64_t head, tail; /* events head-1 .. tail are in the ring */
    size_t ring_bytes;
    uint64_t sent_events, sent_bytes;
};

/* ---- the ring ---- */

static void ring_drop(struct streams *streams) {
    struct ring_event *oldest = streams->ring[streams->tail % RING];
    streams->ring_bytes -= oldest->event.size;
    streams->ring[streams->tail % RING] = NULL;
    streams->tail++;
    free(oldest);
}

/* NULL if out of memory. */
static struct ring_event *event_copy(const struct stream_event *event) {
    struct ring_event *copy = malloc(sizeof *copy + event->size + 1);
    if (copy != NULL) {
        copy->event = *event;
        snprintf(copy->job, sizeof copy->job, "%s", event->job);
        snprintf(copy->type, sizeof copy->type, "%s", event->type);
        memcpy(copy->bytes, event->json, event->size);
        copy->bytes[event->size] = '\0';
        copy->event.job = copy->job;
        copy->event.type = copy->type;
        copy->event.json = copy->bytes;
    }
    return copy;
}

/* False if out of memory: then the ring is emptied, and every stream reads from the store. */
static bool ring_add(struct streams *streams, const struct stream_event *event) {
    struct ring_event *copy = event_copy(event);
    if (copy == NULL) {
        while (streams->tail < streams->head) {
            ring_drop(streams);
        }
        streams->head++;
        streams->tail = streams->head;
        return false;
    }
    while (streams->tail < streams->head &&
           (streams->head - streams->tail == RING || streams->ring_bytes + event->size > RING_BYTES)) {
        ring_drop(streams);
    }
    streams->ring[streams->head % RING] = copy;
    streams->ring_bytes += event->size;
    streams->head++;
    return true;
}

/* ---- a stream's buffer ---- */

static bool put(struct stream *stream, const char *bytes, size_t size) {
    if (stream->used + size > stream->capacity) {
        size_t capacity = stream->used + size + 1024;
        char *buffer = realloc(stream->buffer, capacity);
        if (buffer == NULL) {
            stream->failed = true;
            return false;
        }
        stream->buffer = buffer;
        stream->capacity = capacity;
    }
    memcpy(stream->buffer + stream->used, bytes, size);
    stream->used += size;
    return true;
}

static void put_event(struct stream *stream, const struct stream_event *event) {
    char head[96];
    if (stream->sse) {
        long long number = (long long)(stream->job[0] != '\0' ? event->id : event->seq);
        int length = snprintf(head, sizeof head, "id: %lld\nevent: %s\ndata: ", number, event->type);
        put(stream, head, (size_t)length);
        put(stream, event->json, event->size);
        put(stream, "\n\n", 2);
    } else {
        put(stream, event->json, event->size);
        put(stream, "\n", 1);
    }
    stream->streams->sent_events++;
}

static void begin_weights(struct stream *stream);

/* True if more events may go into the buffer. */
static bool take_event(struct stream *stream, const struct stream_event *event) {
    int64_t number = stream->job[0] != '\0' ? event->id : event->seq;
    if ((stream->job[0] != '\0' && strcmp(event->job, stream->job) != 0) || number <= stream->cursor) {
        return true;
    }
    put_event(stream, event);
    stream->cursor = number;
    if (event->terminal && !stream->endless) {
        stream->phase = STREAM_ENDED;
        if (stream->weights && event->succeeded) {
            begin_weights(stream);
        }
        return false;
    }
    return stream->used < FILL_BYTES;
}

/* ---- pages ---- */

struct stream_page *stream_page_create(void) {
    return calloc(1, sizeof(struct stream_page));
}

void stream_page_free(struct stream_page *page) {
    for (size_t i = 0; page != NULL && i < page->count; i++) {
        free(page->events[i]);
    }
    free(page);
}

bool stream_page_add(struct stream_page *page, const struct stream_event *event) {
    struct ring_event *copy = event_copy(event);
    if (copy == NULL) {
        page->failed = true;
        return false;
    }
    page->events[page->count++] = copy;
    page->bytes += event->size;
    return page->count < STREAM_PAGE_EVENTS && page->bytes < FILL_BYTES;
}

bool stream_page_failed(const struct stream_page *page) {
    return page->failed;
}

void stream_page_complete(struct stream_page *page) {
    page->complete = true;
}

static void page_drop(struct stream *stream) {
    stream_page_free(stream->page);
    stream->page = NULL;
}

static void page_settle(struct stream *stream) {
    stream->reading = false;
    stream->page_handle = NULL;
    holders_give(&stream->streams->readers, stream->reader, 1);
    stream->reader = NULL;
}

static void pages_ask(struct streams *streams);

static void on_page(void *to, struct stream_page *page) {
    struct stream *stream = to;
    page_settle(stream);
    stream->page = page;
    stream->failed = stream->failed || page == NULL;
    http_wake(stream->request);
    pages_ask(stream->streams);
}

/* False: no lane takes it now. The ring's head is noted first: see above. */
static bool page_begin(struct stream *stream) {
    struct streams *streams = stream->streams;
    const char *holder = http_holder(stream->request);
    if (holders_amount(&streams->readers, holder) >= PAGES_OF_ONE) {
        return false;
    }
    stream->reader = holders_take(&streams->readers, holder, 1);
    stream->reading = true;
    stream->position = streams->head;
    if (!streams->hooks.page(streams->hooks.user, stream->request, stream->job[0] != '\0' ? stream->job : NULL,
                             stream->cursor, on_page, stream, &stream->page_handle)) {
        page_settle(stream);
        return false;
    }
    return true;
}

static void asking_append(struct stream *stream) {
    stream->asking = true;
    stream->next_asking = NULL;
    *stream->streams->last_asking = stream;
    stream->streams->last_asking = &stream->next_asking;
}

static struct stream *asking_take(struct streams *streams) {
    struct stream *stream = streams->asking;
    streams->asking = stream->next_asking;
    if (streams->asking == NULL) {
        streams->last_asking = &streams->asking;
    }
    stream->asking = false;
    return stream;
}

static void asking_leave(struct stream *stream) {
    struct stream **at = &stream->streams->asking;
    while (*at != stream) {
        at = &(*at)->next_asking;
    }
    *at = stream->next_asking;
    if (*at == NULL) {
        stream->streams->last_asking = at;
    }
    stream->asking = false;
}

/* Those that wait ask again, in turn; who is refused goes to the end. */
static void pages_ask(struct streams *streams) {
    for (int i = 0; i < PAGES_TRIED && streams->asking != NULL; i++) {
        struct stream *stream = asking_take(streams);
        if (!page_begin(stream)) {
            asking_append(stream);
        }
    }
}

static void fill_from_page(struct stream *stream) {
    struct stream_page *page = stream->page;
    while (page->next < page->count) {
        if (!take_event(stream, &page->events[page->next++]->event)) {
            return;
        }
    }
    stream->joined = page->complete;
    page_drop(stream);
}

static void fill_from_ring(struct stream *stream) {
    struct streams *streams = stream->streams;
    while (stream->position < streams->head) {
        if (!take_event(stream, &streams->ring[stream->position++ % RING]->event)) {
            return;
        }
    }
}

/* False if there is nothing to take now: all that is committed was sent, or a page is being read. */
static bool fill(struct stream *stream) {
    struct streams *streams = stream->streams;
    if (stream->page != NULL) {
        fill_from_page(stream);
        return true;
    }
    if (stream->joined && stream->position >= streams->tail) {
        bool any = stream->position < streams->head;
        fill_from_ring(stream);
        return any;
    }
    stream->joined = false;
    if (!stream->reading && !stream->asking && !page_begin(stream)) {
        asking_append(stream);
    }
    return stream->page != NULL;
}

/* ---- the last line ---- */

static void on_weights(void *to, struct spool *line) {
    struct stream *stream = to;
    stream->weights_handle = NULL;
    if (line == NULL) {
        stream->phase = STREAM_ENDED;
    } else {
        stream->line = *line;
        stream->phase = STREAM_WEIGHTS;
    }
    http_wake(stream->request);
}

static void begin_weights(struct stream *stream) {
    struct streams *streams = stream->streams;
    stream->phase = STREAM_WEIGHTS_WAIT;
    if (!streams->hooks.weights(streams->hooks.user, stream->job, stream->sse, on_weights, stream,
                                &stream->weights_handle)) {
        stream->phase = STREAM_ENDED;
        stream->failed = true; /* cut it rather than end as if there were no weights */
    }
}

/* ---- what the transport calls ---- */

static ssize_t send_buffer(struct stream *stream, char *bytes, size_t size) {
    size_t part = stream->used - stream->sent < size ? stream->used - stream->sent : size;
    memcpy(bytes, stream->buffer + stream->sent, part);
    stream->sent += part;
    stream->streams->sent_bytes += part;
    if (stream->sent == stream->used) {
        free(stream->buffer);
        stream->buffer = NULL;
        stream->used = stream->sent = stream->capacity = 0;
    }
    return (ssize_t)part;
}

static ssize_t send_line(struct stream *stream, char *bytes, size_t size) {
    ssize_t part = spool_read(&stream->line, stream->line_sent, bytes, size);
    stream->line_sent += part > 0 ? (uint64_t)part : 0;
    stream->streams->sent_bytes += part > 0 ? (uint64_t)part : 0;
    return part > 0 ? part : part == 0 ? SOURCE_END : SOURCE_FAIL;
}

static ssize_t stream_read(void *user, char *bytes, size_t size) {
    struct stream *stream = user;
    stream->last_write = clock_milliseconds();
    while (stream->used == 0 && stream->phase == STREAM_EVENTS && !stream->failed && fill(stream)) {
    }
    if (stream->used > 0) {
        return send_buffer(stream, bytes, size);
    }
    if (stream->failed) {
        return SOURCE_FAIL;
    }
    switch (stream->phase) {
    case STREAM_WEIGHTS:
        return send_line(stream, bytes, size);
    case STREAM_ENDED:
        return SOURCE_END;
    default:
        return 0;
    }
}

/* Removes the stream from the counts. */
static void stream_discount(struct stream *stream) {
    holders_give(&stream->streams->holders, stream->holder, 1);
    stream->holder = NULL;
    stream->streams->count -= stream->counted;
    stream->counted = false;
}

static void stream_close(void *user) {
    struct stream *stream = user;
    struct streams *streams = stream->streams;
    if (stream->weights_handle != NULL) {
        streams->hooks.forget(streams->hooks.user, stream->weights_handle);
    }
    if (stream->reading) {
        streams->hooks.forget_page(streams->hooks.user, stream->page_handle);
        page_settle(stream);
    }
    if (stream->asking) {
        asking_leave(stream);
    }
    page_drop(stream);
    if (stream->previous != NULL) {
        stream->previous->next = stream->next;
    } else {
        streams->first = stream->next;
    }
    if (stream->next != NULL) {
        stream->next->previous = stream->previous;
    }
    stream_discount(stream);
    spool_release(&stream->line);
    free(stream->buffer);
    free(stream);
}

/* ---- the interface ---- */

struct streams *streams_create(const struct streams_hooks *hooks, int heartbeat_seconds, size_t limit,
                               size_t token_limit) {
    struct streams *streams = calloc(1, sizeof *streams);
    if (streams != NULL) {
        streams->hooks = *hooks;
        streams->last_asking = &streams->asking;
        streams->heartbeat = (uint64_t)heartbeat_seconds * 1000;
        streams->limit = limit;
        streams->token_limit = token_limit;
    }
    return streams;
}

void streams_destroy(struct streams *streams) {
    if (streams != NULL) {
        while (streams->tail < streams->head) {
            ring_drop(streams);
        }
        free(streams);
    }
}

void streams_publish(struct streams *streams, const struct stream_event *event) {
    ring_add(streams, event);
    for (struct stream *stream = streams->first; stream != NULL; stream = stream->next) {
        if (stream->job[0] == '\0' || strcmp(stream->job, event->job) == 0) {
            http_wake(stream->request);
        }
    }
}

void streams_tick(struct streams *streams, uint64_t now) {
    pages_ask(streams);
    for (struct stream *stream = streams->first; stream != NULL; stream = stream->next) {
        if (stream->used == 0 && now - stream->last_write >= streams->heartbeat) {
            stream->last_write = now;
            put(stream, stream->sse ? ":\n\n" : "\n", stream->sse ? 3 : 1);
            http_wake(stream->request);
        }
    }
}

size_t streams_count(const struct streams *streams) {
    return streams->count;
}

uint64_t streams_cut(const struct streams *streams) {
    return streams->cut;
}

uint64_t streams_sent_events(const struct streams *streams) {
    return streams->sent_events;
}

uint64_t streams_sent_bytes(const struct streams *streams) {
    return streams->sent_bytes;
}

/* Cuts the oldest stream of the client that has most, if the requesting client would still have fewer. */
static bool make_room(struct streams *streams, const char *asking) {
    const struct holder *greatest = holders_greatest(&streams->holders);
    struct stream *victim = NULL;
    if (greatest == NULL || greatest->amount <= holders_amount(&streams->holders, asking) + 1) {
        return false;
    }
    for (struct stream *stream = streams->first; stream != NULL; stream = stream->next) {
        victim = stream->holder == greatest ? stream : victim;
    }
    if (victim == NULL) {
        return false;
    }
    stream_discount(victim);
    streams->cut++;
    http_cut_request(victim->request);
    return true;
}

/* False, after answering, if there is no room for another one. */
static bool check_room(struct streams *streams, struct request *request) {
    const char *holder = http_holder(request);
    uint64_t own = holders_amount(&streams->holders, holder);
    if (request->identity[0] != '\0' && own >= streams->token_limit) {
        http_header_set(request, "Retry-After", "5");
        http_problem(request, 429, "the token \"%s\" may have at most %zu event streams at once (--token-streams)",
                     holder, streams->token_limit);
        return false;
    }
    if (streams->count >= streams->limit && !make_room(streams, holder)) {
        http_header_set(request, "Retry-After", "5");
        http_problem(request, 503, "at most %zu event streams are open at once (--max-streams)", streams->limit);
        return false;
    }
    return true;
}

void streams_open(struct streams *streams, struct request *request, int status, const struct stream_options *options) {
    static const struct body_source source = {.read = stream_read, .close = stream_close};
    if (!check_room(streams, request)) {
        return;
    }
    struct stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL) {
        http_problem(request, 503, "not enough memory for a stream now");
        return;
    }
    stream->holder = holders_take(&streams->holders, http_holder(request), 1);
    stream->counted = true;
    stream->streams = streams;
    stream->request = request;
    snprintf(stream->job, sizeof stream->job, "%s", options->job == NULL ? "" : options->job);
    stream->cursor = options->after;
    stream->sse = options->sse;
    stream->weights = options->weights;
    stream->endless = options->endless;
    stream->joined = options->live;
    stream->position = streams->head;
    stream->last_write = clock_milliseconds();
    spool_init(&stream->line, NULL);
    stream->next = streams->first;
    if (streams->first != NULL) {
        streams->first->previous = stream;
    }
    streams->first = stream;
    streams->count++;
    http_header_set(request, "X-Accel-Buffering", "no"); /* nginx must not hold events back */
    http_reply_source(request, status, options->sse ? "text/event-stream" : "application/x-ndjson", &source, stream);
}
