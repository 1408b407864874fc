/*
 * Following a job to its end. See follow.h.
 *
 * The event ids are the stored sequence, so "the last one that came" is all that must be remembered between two
 * connections: nothing is shown twice and nothing is missed. What is not understood (an event of a later version) is
 * passed over.
 */
#include "clients/cli/follow.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "api/text.h"
#include "clients/cli/events.h"
#include "clients/cli/format.h"
#include "clients/cli/jobs.h"
#include "clients/cli/progress.h"
#include "clients/cli/report.h"
#include "clients/cli/signals.h"
#include "clients/cli/watch.h"

#define REDRAW_SECONDS 0.1
#define CLOCK_SECONDS 1.0
#define PAUSE_FIRST 0.5
#define PAUSE_MAX 15.0
#define QUIET_SECONDS 60 /* then the stream is opened anew: a dead one looks like a quiet one */
#define RATE_EVENTS 8    /* progress events over which the speed is taken */

struct follow {
    struct cli *cli;
    const char *id;
    enum follow_form form;
    struct event_parser parser;
    struct progress progress;
    int64_t last_id;
    char *title, *note;
    char status[32];
    long long iteration, iterations;
    double loss, accuracy, trials_per_second;
    double *losses;
    size_t loss_count, loss_room;
    double recent_iteration[RATE_EVENTS], recent_elapsed[RATE_EVENTS]; /* a ring */
    size_t recent_count;
    double seconds_left, left_at; /* time left, as of this monotonic time */
    bool dirty;                   /* something changed since the last drawing */
    bool came;                    /* an event came over this connection */
    bool fell_silent;             /* this connection stood and then brought nothing */
    int write_error;              /* of standard output; 0: none */
    json_t *end;                  /* the terminal event, or the job, once it ended */
};

static double number_of(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* The time left runs down between two events. */
static double left_now(const struct follow *follow) {
    double left = follow->seconds_left - (time_monotonic() - follow->left_at);
    return follow->seconds_left < 0 || strcmp(follow->status, "running") != 0 ? -1 : left < 0 ? 0 : left;
}

static void draw(struct follow *follow, bool now) {
    double since = time_monotonic() - follow->progress.drawn_at;
    if (follow->form != FOLLOW_LIVE ||
        (!now && since < (follow->dirty ? REDRAW_SECONDS : CLOCK_SECONDS) && !signals_resized())) {
        return;
    }
    const struct progress_view view = {.title = follow->title,
                                       .status = follow->status,
                                       .note = follow->note,
                                       .iteration = follow->iteration,
                                       .iterations = follow->iterations,
                                       .seconds_left = left_now(follow),
                                       .loss = follow->loss,
                                       .accuracy = follow->accuracy,
                                       .trials_per_second = follow->trials_per_second,
                                       .losses = follow->losses,
                                       .loss_count = follow->loss_count};
    progress_draw(&follow->progress, &view);
    follow->progress.drawn_at = time_monotonic();
    follow->dirty = false;
}

static void tick(void *user) {
    draw(user, false);
}

static void note_set(struct follow *follow, char *note) {
    free(follow->note);
    follow->note = note;
    follow->dirty = true;
}

/* Iterations over training time of the last few events. `elapsed` that went back belongs to another attempt. */
static void rate_update(struct follow *follow, double iteration, double elapsed) {
    size_t newest = (follow->recent_count + RATE_EVENTS - 1) % RATE_EVENTS;
    if (!isfinite(iteration) || !isfinite(elapsed)) {
        return;
    }
    if (follow->recent_count > 0 &&
        (elapsed < follow->recent_elapsed[newest] || iteration < follow->recent_iteration[newest])) {
        follow->recent_count = 0;
    }
    follow->recent_iteration[follow->recent_count % RATE_EVENTS] = iteration;
    follow->recent_elapsed[follow->recent_count % RATE_EVENTS] = elapsed;
    follow->recent_count++;
    size_t oldest = follow->recent_count > RATE_EVENTS ? follow->recent_count % RATE_EVENTS : 0;
    double done = iteration - follow->recent_iteration[oldest], took = elapsed - follow->recent_elapsed[oldest];
    follow->seconds_left = done > 0 && took >= 0 ? ((double)follow->iterations - iteration) * took / done : -1;
    follow->left_at = time_monotonic();
}

static void progress_line(const struct follow *follow, const json_t *event) {
    char loss[FORMAT_BYTES], accuracy[FORMAT_BYTES], left[FORMAT_BYTES];
    printf("iteration %lld/%lld  loss %s", follow->iteration, follow->iterations,
           format_number(json_object_get(event, "loss"), 4, loss));
    if (json_is_number(json_object_get(event, "accuracy"))) {
        printf("  accuracy %s", format_percent(json_object_get(event, "accuracy"), accuracy));
    }
    if (follow->seconds_left >= 0 && follow->iteration < follow->iterations) {
        printf("  %s left", format_duration(follow->seconds_left, left));
    }
    putchar('\n');
}

static void take_progress(struct follow *follow, const json_t *event) {
    const json_t *iteration = json_object_get(event, "iteration");
    follow->iteration = json_is_integer(iteration) ? json_integer_value(iteration) : follow->iteration;
    follow->loss = number_of(event, "loss");
    follow->accuracy = number_of(event, "accuracy");
    double speed = number_of(event, "trials_per_second");
    follow->trials_per_second = isfinite(speed) ? speed : follow->trials_per_second;
    if (isfinite(follow->loss)) {
        if (follow->loss_count == follow->loss_room) {
            follow->loss_room = follow->loss_room == 0 ? 256 : follow->loss_room * 2;
            follow->losses = memory_resize(follow->losses, follow->loss_room, sizeof *follow->losses);
        }
        follow->losses[follow->loss_count++] = follow->loss;
    }
    rate_update(follow, number_of(event, "iteration"), number_of(event, "elapsed_seconds"));
    if (follow->form == FOLLOW_LINES) {
        progress_line(follow, event);
    }
}

/* A line of its own, above the live display where there is one. */
static void say(struct follow *follow, const char *sentence) {
    struct text clean = {0};
    terminal_clean(&clean, sentence, false);
    progress_erase(&follow->progress);
    printf("%s\n", clean.data == NULL ? "" : clean.data);
    follow->dirty = true;
    text_release(&clean);
}

static void take_status(struct follow *follow, const json_t *event) {
    snprintf(follow->status, sizeof follow->status, "%s", terminal_shown(job_status(event)));
    if (follow->form == FOLLOW_LINES && !job_has_ended(event)) {
        const char *reason = json_string_value(json_object_get(event, "reason"));
        char *sentence = memory_format("%s%s%s", follow->status, reason == NULL ? "" : ": ",
                                       reason == NULL ? "" : reason);
        say(follow, sentence);
        free(sentence);
    }
    if (job_has_ended(event)) {
        follow->end = json_incref((json_t *)event);
    }
}

static void take_log(struct follow *follow, const json_t *event) {
    const char *message = json_string_value(json_object_get(event, "message"));
    if (message != NULL && follow->form != FOLLOW_JSON) {
        say(follow, message);
    }
}

static void take_deleted(struct follow *follow, const json_t *event) {
    snprintf(follow->status, sizeof follow->status, "deleted");
    follow->end = json_incref((json_t *)event);
}

/*
 * What was printed goes out at once, so that a pipe's reader is never behind. A pipe that nobody reads any more ends
 * the program here.
 */
static bool lines_flush(struct follow *follow) {
    if (fflush(stdout) == 0 && !ferror(stdout)) {
        return true;
    }
    follow->write_error = errno;
    if (errno == EPIPE) {
        signals_pipe_closed();
    }
    return false;
}

static bool take_event(void *user, const char *id, const char *type, const char *data, size_t size) {
    static const struct {
        const char *type;
        void (*take)(struct follow *follow, const json_t *event);
    } takers[] = {{"progress", take_progress}, {"status", take_status}, {"log", take_log}, {"deleted", take_deleted}};
    struct follow *follow = user;
    json_t *event = json_loadb(data, size, 0, NULL);
    int64_t number = strtoll(id, NULL, 10);
    (void)type; /* the object repeats it */
    if (event == NULL || (number > 0 && number <= follow->last_id)) {
        json_decref(event);
        return true;
    }
    follow->last_id = number > follow->last_id ? number : follow->last_id;
    follow->came = follow->dirty = true;
    if (follow->form == FOLLOW_JSON) {
        cli_print_bytes(data, size);
    }
    const char *kind = json_string_value(json_object_get(event, "type"));
    for (size_t i = 0; kind != NULL && i < sizeof takers / sizeof takers[0]; i++) {
        if (strcmp(takers[i].type, kind) == 0) {
            takers[i].take(follow, event);
        }
    }
    json_decref(event);
    return (follow->form == FOLLOW_LIVE || lines_flush(follow)) && follow->end == NULL;
}

static bool sink(void *user, const char *bytes, size_t size) {
    struct follow *follow = user;
    if (follow->note != NULL) {
        note_set(follow, NULL); /* the connection stands again */
    }
    return event_parser_feed(&follow->parser, bytes, size);
}

/* The job itself: what the display needs to begin, and how it ended where no event reported it. */
static void job_take(struct follow *follow, json_t *job) {
    struct text title = {0}, clean = {0};
    char task[JOB_TASK_BYTES];
    const char *name = json_string_value(json_object_get(job, "name"));
    const json_t *iterations = job_member(job, "training.iterations"),
                 *iteration = job_member(job, "progress.iteration");
    text_printf(&title, "%s%s%.13s  %s  ", name == NULL ? "" : name, name == NULL ? "" : "  ", follow->id,
                job_task(job, task));
    job_rule_put(&title, job);
    if (json_is_integer(json_object_get(job, "seed"))) {
        text_printf(&title, "  seed %lld", (long long)json_integer_value(json_object_get(job, "seed")));
    }
    terminal_clean(&clean, title.data, false);
    free(follow->title);
    follow->title = clean.data;
    text_release(&title);
    follow->iterations = json_integer_value(iterations);
    follow->iteration = json_integer_value(iteration);
    snprintf(follow->status, sizeof follow->status, "%s", terminal_shown(job_status(job)));
}

/* The first line of a job that is followed by lines; what waits says behind how many. */
static void title_line(const struct follow *follow, const json_t *job) {
    const json_t *place = json_object_get(job, "queue_position");
    printf("%s\n", follow->title);
    if (json_is_integer(place) && json_integer_value(place) > 0) {
        printf("queued, %lld ahead\n", (long long)json_integer_value(place));
    }
}

/* Whether an answer means that the server will be back: it restarts, or is crowded. */
static bool is_passing(int status) {
    return status == 429 || status == 502 || status == 503 || status == 504;
}

/* After 204: the terminal event was seen or never will be, so the job says how it ended. */
static enum status end_fetch(struct follow *follow) {
    char *path = job_path(follow->id, "");
    json_t *job;
    enum status status = cli_get(follow->cli, path, "follow the job", &job);
    free(path);
    if (status == STATUS_OK) {
        snprintf(follow->status, sizeof follow->status, "%s", terminal_shown(job_status(job)));
        follow->end = json_incref(job);
        if (follow->form == FOLLOW_JSON) {
            cli_print_json(job);
        }
    }
    json_decref(job);
    return status;
}

/* One connection, until it ends. STATUS_UNREACHABLE: try again. */
static enum status connection(struct follow *follow, long *retry_after, char **reason) {
    char *path = job_path(follow->id, "/events");
    const struct http_request request = {.path = path,
                                         .accept = "text/event-stream",
                                         .last_event_id = follow->last_id,
                                         .sink = sink,
                                         .tick = tick,
                                         .user = follow,
                                         .quiet_seconds = QUIET_SECONDS};
    struct http_answer answer;
    event_parser_restart(&follow->parser);
    follow->came = false;
    enum status status = http_perform(follow->cli->http, &request, &answer);
    *retry_after = answer.retry_after;
    follow->fell_silent = answer.status == 200 && answer.fell_silent;
    if (follow->end != NULL) {
        status = STATUS_OK;
    } else if (status == STATUS_OK && answer.status == 204) {
        status = end_fetch(follow);
    } else if (status == STATUS_OK && (answer.status < 200 || answer.status > 299) && !is_passing(answer.status)) {
        progress_erase(&follow->progress);
        status = report_problem("follow the job", answer.status, answer.body.data);
    } else if (status == STATUS_OK || status == STATUS_UNREACHABLE) {
        *reason = *answer.error != '\0'       ? memory_copy(answer.error)
                  : is_passing(answer.status) ? memory_format("the server answered %d", answer.status)
                                              : memory_copy("the stream ended");
        status = STATUS_UNREACHABLE;
    } else if (status == STATUS_FAILED) {
        progress_erase(&follow->progress);
        report_error(status, "cannot follow the job: %s%s",
                     follow->write_error != 0 ? "standard output cannot be written: " : "",
                     follow->write_error != 0 ? strerror(follow->write_error)
                                              : "an event is larger than this program accepts");
    }
    http_answer_release(&answer);
    free(path);
    return status;
}

/*
 * Connections with growing pauses, each up to half a second longer by chance so that many followers do not come back at
 * once.
 */
static enum status connections(struct follow *follow, long patience) {
    double pause = PAUSE_FIRST, lost_at = -1;
    for (;;) {
        long retry_after = 0;
        char *reason = NULL;
        enum status status = connection(follow, &retry_after, &reason);
        if (status != STATUS_UNREACHABLE) {
            free(reason);
            return status;
        }
        if (follow->fell_silent) { /* a job that waits has nothing to say: look whether the server is still there */
            lost_at = -1;
            free(reason);
            continue;
        }
        if (follow->came) {
            pause = PAUSE_FIRST;
            lost_at = -1;
        }
        lost_at = lost_at < 0 ? time_monotonic() : lost_at;
        if (patience > 0 && time_monotonic() - lost_at > (double)patience) {
            progress_leave(&follow->progress);
            report_error(status, "gave up following the job: %s", reason);
            free(reason);
            return status;
        }
        double wait = (retry_after > pause ? (double)retry_after : pause) + 0.5 * ((double)rand() / (double)RAND_MAX);
        wait = patience > 0 && wait > (double)patience ? (double)patience : wait;
        if (follow->form == FOLLOW_LINES && follow->note == NULL) {
            report_note("%s; retrying until it is back", reason);
        }
        note_set(follow, memory_format("connection lost, retrying (%s)", reason));
        free(reason);
        draw(follow, true);
        if (!http_pause(wait, tick, follow)) {
            return STATUS_INTERRUPTED;
        }
        pause = pause * 2 > PAUSE_MAX ? PAUSE_MAX : pause * 2;
    }
}

/* The last line: how it ended. The terminal event and the job have the same members. */
static void end_print(const struct follow *follow) {
    const struct terminal *terminal = &follow->cli->out;
    const json_t *metrics = json_object_get(follow->end, "metrics");
    const char *detail = json_string_value(job_member(follow->end, "error.detail")),
               *reason = json_string_value(json_object_get(follow->end, "reason"));
    char loss[FORMAT_BYTES], accuracy[FORMAT_BYTES];
    struct text line = {0}, clean = {0};
    if (strcmp(job_standing(follow->end), "diverged") == 0) {
        text_printf(&line, ", but diverged,");
    }
    if (json_is_number(json_object_get(metrics, "loss"))) {
        const json_t *iteration = json_object_get(metrics, "iteration");
        text_printf(&line, " after %lld iterations: loss %s",
                    json_is_integer(iteration) ? (long long)json_integer_value(iteration) : follow->iteration,
                    format_number(json_object_get(metrics, "loss"), 4, loss));
        if (json_is_number(json_object_get(metrics, "accuracy"))) {
            text_printf(&line, ", accuracy %s", format_percent(json_object_get(metrics, "accuracy"), accuracy));
        }
    }
    if (detail != NULL || reason != NULL) {
        text_printf(&line, "%s%s", line.size > 0 ? "; " : ": ", detail != NULL ? detail : reason);
    }
    terminal_clean(&clean, line.data == NULL ? "" : line.data, false);
    printf("%s%s%s%s\n", terminal_paint(terminal, job_status_paint(job_standing(follow->end))), follow->status,
           terminal_paint(terminal, PAINT_NONE), clean.data == NULL ? "" : clean.data);
    text_release(&line);
    text_release(&clean);
}

static enum status finish(struct follow *follow, enum status status) {
    if (status == STATUS_INTERRUPTED) {
        progress_leave(&follow->progress);
        report_note("the job keeps running; modprop follow %s shows it again", follow->id);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (follow->form != FOLLOW_JSON) {
        note_set(follow, NULL);
        draw(follow, true);
        progress_leave(&follow->progress);
        end_print(follow);
    }
    return strcmp(follow->status, "succeeded") == 0 ? STATUS_OK : STATUS_JOB;
}

enum status follow_job(struct cli *cli, const char *id, enum follow_form form, long patience) {
    struct follow follow = {
        .cli = cli, .id = id, .form = form, .loss = NAN, .accuracy = NAN, .trials_per_second = NAN, .seconds_left = -1};
    char *path = job_path(id, "");
    json_t *job;
    srand((unsigned)time(NULL) ^ (unsigned)getpid()
                                     << 16); /* followers that a script started in one second must not agree */
    event_parser_init(&follow.parser, take_event, &follow);
    progress_init(&follow.progress, &cli->out);
    enum status status = cli_get(cli, path, "follow the job", &job);
    if (status == STATUS_OK) {
        job_take(&follow, job);
        if (form == FOLLOW_LINES) {
            title_line(&follow, job);
            fflush(stdout);
        }
        draw(&follow, true);
        status = connections(&follow, patience);
    }
    status = finish(&follow, status);
    json_decref(job);
    json_decref(follow.end);
    event_parser_release(&follow.parser);
    free(follow.losses);
    free(follow.title);
    free(follow.note);
    free(path);
    return status;
}

static int by_id(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

enum status follow_jobs(struct cli *cli, char **ids, size_t count, enum follow_form form, long patience) {
    enum status worst = STATUS_OK;
    if (form == FOLLOW_LIVE && count > 1) {
        return watch_jobs(cli, ids, count, patience);
    }
    qsort(ids, count, sizeof *ids, by_id);
    for (size_t i = 0; i < count && worst != STATUS_INTERRUPTED; i++) {
        enum status status = follow_job(cli, ids[i], form, patience);
        worst = status > worst ? status : worst;
    }
    return worst;
}

enum follow_form follow_form_choose(const struct cli *cli) {
    return cli->json                                                      ? FOLLOW_JSON
           : cli->out.moves && !argument_is_set(&cli->arguments, "plain") ? FOLLOW_LIVE
                                                                          : FOLLOW_LINES;
}
