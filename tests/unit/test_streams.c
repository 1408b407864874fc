/*
 * Event streams against a small model of a store: whatever the order of commits, publications, reads and slow readers,
 * every stream gets each of its events once, in order, and ends where it must. The transport is replaced by the
 * functions below.
 */
#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "server/http/spool.h"
#include "server/events/streams.h"
#include "tests/unit/suite.h"

#define JOBS 3
#define EVENTS 3000
#define READERS 24

/* ---- the transport's stand-ins ---- */

struct reader {
    struct request request;
    const struct body_source *source;
    void *user;
    bool awake;
    int status;
    char *text;
    size_t used;
    bool was_cut;
    ssize_t end; /* what read returned last where it was negative */
};

static struct reader *reader_of(struct request *request) {
    return (struct reader *)request; /* its first member */
}

const char *http_holder(const struct request *request) {
    return request->identity[0] != '\0' ? request->identity : request->address;
}

void http_cut_request(struct request *request) {
    reader_of(request)->was_cut = true;
}

void http_wake(struct request *request) {
    reader_of(request)->awake = true;
}

void http_header_set(struct request *request, const char *name, const char *value) {
    (void)request;
    (void)name;
    (void)value;
}

void http_problem(struct request *request, int status, const char *format, ...) {
    (void)format;
    reader_of(request)->status = status;
}

void http_reply_source(struct request *request, int status, const char *type, const struct body_source *source,
                       void *user) {
    (void)type;
    struct reader *reader = reader_of(request);
    reader->status = status;
    reader->source = source;
    reader->user = user;
    reader->awake = true;
}

void http_reply_file(struct request *request, int status, const char *type, int descriptor, uint64_t size) {
    (void)request;
    (void)status;
    (void)type;
    (void)size;
    close(descriptor);
}

void http_reply_bytes(struct request *request, int status, const char *type, char *bytes, size_t size) {
    (void)request;
    (void)status;
    (void)type;
    (void)size;
    free(bytes);
}

/* ---- the model of a store ---- */

struct model_event {
    char job[16], json[64];
    int64_t id, seq;
    bool terminal;
};

static struct model_event stored[EVENTS];
static int committed, published;
static int64_t last_id[JOBS];
static bool ended[JOBS];
static struct streams *streams;
static unsigned seed;

static struct stream_event view(const struct model_event *event) {
    return (struct stream_event){.job = event->job,
                                 .id = event->id,
                                 .seq = event->seq,
                                 .type = event->terminal ? "status" : "progress",
                                 .terminal = event->terminal,
                                 .succeeded = event->terminal,
                                 .json = event->json,
                                 .size = strlen(event->json)};
}

static void commit(int job, bool terminal) {
    if (committed == EVENTS || ended[job]) {
        return;
    }
    struct model_event *event = &stored[committed];
    snprintf(event->job, sizeof event->job, "job%d", job);
    event->id = ++last_id[job];
    event->seq = ++committed;
    event->terminal = ended[job] = terminal;
    snprintf(event->json, sizeof event->json, "{\"job\":%d,\"id\":%lld,\"seq\":%d}", job, (long long)event->id,
             committed);
}

static void publish(void) {
    if (published < committed) {
        struct stream_event event = view(&stored[published++]);
        streams_publish(streams, &event);
    }
}

/* A page that a lane reads: at some later time, and of what is committed by then. */
struct catchup {
    struct catchup *next;
    char job[16];
    bool all;
    int64_t after;
    void (*done)(void *to, struct stream_page *page);
    void *to;
};

static struct catchup *catchups;
static size_t reading_most, reading_count;

static bool page(void *user, const struct request *request, const char *job, int64_t after,
                 void (*done)(void *to, struct stream_page *page), void *to, void **handle) {
    (void)user;
    (void)request;
    if (rand_r(&seed) % 4 == 0) {
        return false; /* the lane is full */
    }
    struct catchup *catchup = calloc(1, sizeof *catchup);
    *catchup = (struct catchup){.next = catchups, .all = job == NULL, .after = after, .done = done, .to = to};
    snprintf(catchup->job, sizeof catchup->job, "%s", job == NULL ? "" : job);
    catchups = catchup;
    *handle = catchup;
    reading_count++;
    reading_most = reading_count > reading_most ? reading_count : reading_most;
    return true;
}

/* The lane reads one page, not always the oldest. */
static void read_one(void) {
    struct catchup **at = &catchups;
    while (*at != NULL && (*at)->next != NULL && rand_r(&seed) % 2 == 0) {
        at = &(*at)->next;
    }
    struct catchup *catchup = *at;
    if (catchup == NULL) {
        return;
    }
    *at = catchup->next;
    reading_count -= catchup->done != NULL;
    struct stream_page *made = stream_page_create();
    bool more = true;
    for (int i = 0; i < committed && more; i++) {
        struct stream_event event = view(&stored[i]);
        if (catchup->all ? event.seq > catchup->after
                         : strcmp(event.job, catchup->job) == 0 && event.id > catchup->after) {
            more = stream_page_add(made, &event);
        }
    }
    if (more) {
        stream_page_complete(made);
    }
    if (catchup->done != NULL) {
        catchup->done(catchup->to, made);
    } else {
        stream_page_free(made);
    }
    free(catchup);
}

/* Until nothing is read any more; those that were refused ask again with the tick. */
static void read_all(void) {
    for (int i = 0; i < 50 || catchups != NULL; i++) {
        streams_tick(streams, clock_milliseconds());
        read_one();
    }
}

static void forget_page(void *user, void *handle) {
    (void)user;
    ((struct catchup *)handle)->done = NULL;
    reading_count--;
}

static bool weights(void *user, const char *job, bool as_sse, void (*done)(void *to, struct spool *line), void *to,
                    void **handle) {
    struct spool line;
    (void)user;
    (void)as_sse;
    *handle = NULL;
    spool_init(&line, "/tmp");
    spool_text(&line, "{\"type\":\"weights\",\"job\":\"");
    spool_text(&line, job);
    spool_text(&line, "\"}\n");
    ck_assert(spool_finish(&line));
    done(to, &line);
    return true;
}

static void forget(void *user, void *handle) {
    (void)user;
    (void)handle;
}

/* ---- readers ---- */

/* One call as the transport makes it, with a buffer of random size. */
static void reader_step(struct reader *reader) {
    char bytes[700];
    if (!reader->awake || reader->end != 0) {
        return;
    }
    ssize_t got = reader->source->read(reader->user, bytes, 1 + (size_t)rand_r(&seed) % sizeof bytes);
    if (got < 0) {
        reader->end = got;
    } else if (got == 0) {
        reader->awake = false;
    } else {
        reader->text = realloc(reader->text, reader->used + (size_t)got + 1);
        memcpy(reader->text + reader->used, bytes, (size_t)got);
        reader->used += (size_t)got;
        reader->text[reader->used] = '\0';
    }
}

/* Until nothing more comes. */
static void reader_drain(struct reader *reader) {
    do {
        while (reader->awake && reader->end == 0) {
            reader_step(reader);
        }
        read_all();
    } while (reader->awake && reader->end == 0);
}

static void reader_release(struct reader *reader) {
    if (reader->source != NULL) {
        reader->source->close(reader->user);
    }
    free(reader->text);
}

/* The exact text that a stream of `job` (-1: all) after `after` must have sent. */
static char *expected_text(int job, int64_t after, bool with_weights) {
    char *text = NULL, name[16];
    size_t size;
    FILE *out = open_memstream(&text, &size);
    snprintf(name, sizeof name, "job%d", job);
    for (int i = 0; i < committed; i++) {
        const struct model_event *event = &stored[i];
        if (job < 0 ? event->seq > after : strcmp(event->job, name) == 0 && event->id > after) {
            fprintf(out, "%s\n", event->json);
        }
    }
    if (with_weights) {
        fprintf(out, "{\"type\":\"weights\",\"job\":\"%s\"}\n", name);
    }
    fclose(out);
    return text;
}

static void model_reset(void) {
    static const struct streams_hooks hooks = {
        .page = page, .weights = weights, .forget = forget, .forget_page = forget_page};
    committed = published = 0;
    memset(last_id, 0, sizeof last_id);
    memset(ended, 0, sizeof ended);
    streams = streams_create(&hooks, 15, 1000, 1000);
    seed = getenv("TEST_SEED") != NULL ? (unsigned)atoi(getenv("TEST_SEED")) : (unsigned)time(NULL);
    fprintf(stderr, "seed %u\n", seed);
}

START_TEST(every_stream_gets_every_event_once) {
    struct reader readers[READERS] = {0};
    int64_t after[READERS];
    int jobs[READERS], opened = 0;
    model_reset();
    while (committed < EVENTS - JOBS || opened < READERS) {
        int dice = rand_r(&seed) % 100;
        if (dice % 3 == 0) {
            read_one();
            streams_tick(streams, clock_milliseconds());
        }
        if (dice < 50 && committed < EVENTS - JOBS) {
            commit(rand_r(&seed) % JOBS, false);
        } else if (dice < 52 && committed < EVENTS - JOBS) {
            for (int i = 0; i < 1500 && committed < EVENTS - JOBS; i++) {
                commit(rand_r(&seed) % JOBS, false); /* a burst beyond the ring */
                publish();
            }
        } else if (dice < 80) {
            publish();
        } else if (dice < 85 && opened < READERS) {
            jobs[opened] = rand_r(&seed) % (JOBS + 1) - 1;
            int64_t last = jobs[opened] < 0 ? committed : last_id[jobs[opened]];
            after[opened] = last == 0 ? 0 : rand_r(&seed) % (last + 1);
            char name[16];
            snprintf(name, sizeof name, "job%d", jobs[opened]);
            streams_open(streams, &readers[opened].request, 200,
                         &(struct stream_options){.job = jobs[opened] < 0 ? NULL : name,
                                                  .after = after[opened],
                                                  .endless = jobs[opened] < 0,
                                                  .weights = opened % 2 == 0});
            opened++;
        } else {
            for (int i = 0; i < opened; i++) {
                if (rand_r(&seed) % (i + 1) == 0) { /* the later ones are slow */
                    reader_step(&readers[i]);
                }
            }
        }
    }
    for (int job = 0; job < JOBS; job++) {
        commit(job, true);
    }
    while (published < committed) {
        publish();
    }
    for (int i = 0; i < READERS; i++) {
        reader_drain(&readers[i]);
        char *text = expected_text(jobs[i], after[i], jobs[i] >= 0 && i % 2 == 0);
        ck_assert_str_eq(readers[i].text == NULL ? "" : readers[i].text, text);
        ck_assert_int_eq(readers[i].end, jobs[i] >= 0 ? SOURCE_END : 0);
        free(text);
        reader_release(&readers[i]);
    }
    ck_assert_uint_eq(streams_count(streams), 0);
    streams_destroy(streams);
}
END_TEST

START_TEST(live_stream_begins_now) {
    struct reader reader = {0};
    model_reset();
    commit(0, false);
    publish();
    streams_open(streams, &reader.request, 200, &(struct stream_options){.after = 1, .live = true, .endless = true});
    commit(1, false);
    publish();
    reader_drain(&reader);
    ck_assert_str_eq(reader.text, "{\"job\":1,\"id\":1,\"seq\":2}\n");
    reader_release(&reader);
    streams_destroy(streams);
}
END_TEST

START_TEST(server_sent_events_carry_id_and_type) {
    struct reader reader = {0};
    model_reset();
    commit(0, false);
    streams_open(streams, &reader.request, 200, &(struct stream_options){.job = "job0", .sse = true});
    reader_drain(&reader);
    ck_assert_str_eq(reader.text, "id: 1\nevent: progress\ndata: {\"job\":0,\"id\":1,\"seq\":1}\n\n");
    reader_release(&reader);
    streams_destroy(streams);
}
END_TEST

START_TEST(quiet_stream_shows_life) {
    struct reader reader = {0};
    model_reset();
    streams_open(streams, &reader.request, 200, &(struct stream_options){.job = "job0", .sse = true});
    reader_drain(&reader);
    ck_assert(!reader.awake);
    uint64_t now = clock_milliseconds();
    streams_tick(streams, now + 14000);
    ck_assert(!reader.awake);
    streams_tick(streams, now + 15001);
    ck_assert(reader.awake);
    for (int i = 0; i < 10; i++) {
        reader_step(&reader);
    }
    ck_assert_str_eq(reader.text, ":\n\n");
    reader_release(&reader);
    streams_destroy(streams);
}
END_TEST

START_TEST(streams_are_bounded) {
    static const struct streams_hooks hooks = {
        .page = page, .weights = weights, .forget = forget, .forget_page = forget_page};
    struct reader readers[3] = {0};
    model_reset();
    streams_destroy(streams);
    streams = streams_create(&hooks, 15, 2, 2);
    for (int i = 0; i < 3; i++) {
        streams_open(streams, &readers[i].request, 200, &(struct stream_options){.job = "job0"});
    }
    ck_assert_int_eq(readers[1].status, 200);
    ck_assert_int_eq(readers[2].status, 503);
    for (int i = 0; i < 3; i++) {
        reader_release(&readers[i]);
    }
    streams_destroy(streams);
}
END_TEST

static int open_as(struct reader *reader, const char *identity) {
    snprintf(reader->request.identity, sizeof reader->request.identity, "%s", identity);
    streams_open(streams, &reader->request, 200, &(struct stream_options){.job = "job0"});
    return reader->status;
}

/* One token may have three of four streams; when all four are in use, the client with the most gives way. */
START_TEST(whoever_has_most_gives_way) {
    static const struct streams_hooks hooks = {
        .page = page, .weights = weights, .forget = forget, .forget_page = forget_page};
    struct reader ann[4] = {0}, bob[3] = {0}, cleo = {0};
    model_reset();
    streams_destroy(streams);
    streams = streams_create(&hooks, 15, 4, 3);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(open_as(&ann[i], "ann"), 200);
    }
    ck_assert_int_eq(open_as(&ann[3], "ann"), 429);
    ck_assert_int_eq(open_as(&bob[0], "bob"), 200);
    ck_assert_int_eq(open_as(&bob[1], "bob"), 200);
    ck_assert(ann[0].was_cut && !ann[1].was_cut && !ann[2].was_cut);
    ck_assert_int_eq(streams_cut(streams), 1);
    ck_assert_int_eq(streams_count(streams), 4);
    ck_assert_int_eq(open_as(&bob[2], "bob"), 503); /* both have two: neither has more than bob would have */
    ck_assert_int_eq(open_as(&cleo, "cleo"), 200);
    ck_assert_int_eq(streams_count(streams), 4);
    for (int i = 0; i < 4; i++) {
        reader_release(&ann[i]);
    }
    for (int i = 0; i < 3; i++) {
        reader_release(&bob[i]);
    }
    reader_release(&cleo);
    ck_assert_int_eq(streams_count(streams), 0);
    streams_destroy(streams);
}
END_TEST

/* The streams of one client never have more than four pages read at once, and all get theirs. */
START_TEST(many_streams_take_turns_to_catch_up) {
    struct reader readers[40] = {0};
    model_reset();
    reading_most = 0;
    for (int i = 0; i < 500; i++) {
        commit(0, false);
    }
    for (int i = 0; i < 40; i++) {
        ck_assert_int_eq(open_as(&readers[i], i % 2 == 0 ? "ann" : "bob"), 200);
        reader_step(&readers[i]);
    }
    ck_assert_uint_le(reading_count, 8);
    reader_release(&readers[0]); /* one that waits or is being read for goes */
    reader_release(&readers[39]);
    for (int i = 1; i < 39; i++) {
        reader_drain(&readers[i]);
    }
    for (int i = 1; i < 39; i++) {
        char *text = expected_text(0, 0, false);
        ck_assert_str_eq(readers[i].text, text);
        free(text);
        reader_release(&readers[i]);
    }
    ck_assert_uint_eq(reading_most, 8);
    streams_destroy(streams);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("streams");
    TCase *cases = tcase_create("streams");
    tcase_add_test(cases, every_stream_gets_every_event_once);
    tcase_add_test(cases, live_stream_begins_now);
    tcase_add_test(cases, server_sent_events_carry_id_and_type);
    tcase_add_test(cases, quiet_stream_shows_life);
    tcase_add_test(cases, streams_are_bounded);
    tcase_add_test(cases, whoever_has_most_gives_way);
    tcase_add_test(cases, many_streams_take_turns_to_catch_up);
    suite_add_tcase(suite, cases);
    return suite_run(suite);
}
