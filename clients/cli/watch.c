/*
 * Watching several jobs at once. See watch.h.
 *
 * The jobs are asked for once a second, each by itself: one stream a job would be many connections, and the stream of
 * all jobs carries everybody's. A server that is away is asked again until patience ends.
 */
#include "clients/cli/watch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/format.h"
#include "clients/cli/jobs.h"
#include "clients/cli/poll.h"
#include "clients/cli/progress.h"
#include "clients/cli/report.h"
#include "clients/cli/table.h"

#define ASK_SECONDS 1.0

struct watch {
    struct cli *cli;
    char **ids;
    json_t **jobs; /* as last heard of; NULL: deleted */
    size_t count;
    struct progress progress;
    struct poll poll;
};

static bool is_over(const struct watch *watch, size_t i) {
    return watch->jobs[i] == NULL || job_has_ended(watch->jobs[i]);
}

static size_t over_count(const struct watch *watch) {
    size_t over = 0;
    for (size_t i = 0; i < watch->count; i++) {
        over += is_over(watch, i);
    }
    return over;
}

/* The state: "queued, 3 ahead" are three that start earlier, "running 40 %" is the share done. */
static void state_text(const json_t *job, char text[64]) {
    const json_t *place = json_object_get(job, "queue_position"), *fraction = job_member(job, "progress.fraction");
    if (json_is_integer(place) && json_integer_value(place) > 0) {
        snprintf(text, 64, "%s, %lld ahead", job_status(job), (long long)json_integer_value(place));
    } else if (json_is_integer(place)) {
        snprintf(text, 64, "%s, next", job_status(job));
    } else if (!job_has_ended(job) && json_is_number(fraction)) {
        snprintf(text, 64, "%s %.0f %%", job_status(job), floor(100 * json_number_value(fraction)));
    } else {
        snprintf(text, 64, "%s", job_standing(job));
    }
}

static void left_text(const json_t *job, char text[FORMAT_BYTES]) {
    double left = time_parse(json_string_value(job_member(job, "progress.estimated_finish"))) - time_now();
    format_duration(job_has_ended(job) || !isfinite(left) ? -1 : left < 0 ? 0 : left, text);
}

static void row_add(const struct watch *watch, struct table *table, size_t i, int characters) {
    const json_t *job = watch->jobs[i];
    char text[64], number[FORMAT_BYTES];
    struct text rule = {0};
    snprintf(text, sizeof text, "%.*s", characters, watch->ids[i]);
    table_add(table, text);
    table_add(table, json_string_value(json_object_get(job, "name")));
    text_add(&rule, "");
    if (job != NULL) {
        job_rule_put(&rule, job);
    }
    table_add(table, rule.data);
    snprintf(text, sizeof text, "%lld", (long long)json_integer_value(json_object_get(job, "seed")));
    table_add(table, text);
    snprintf(text, sizeof text, "deleted");
    if (job != NULL) {
        state_text(job, text);
    }
    table_add_painted(table, text, job_status_paint(job == NULL ? "" : job_standing(job)));
    left_text(job, number);
    table_add(table, number);
    table_add(table, format_number(job_member(job, "metrics.loss"), 3, number));
    table_add(table, format_percent(job_member(job, "metrics.accuracy"), number));
    text_release(&rule);
}

/* Jobs that go on come first where there is not room for all; their order stays otherwise. */
static size_t rows_choose(const struct watch *watch, size_t room, size_t *chosen) {
    size_t count = 0, open = watch->count - over_count(watch);
    size_t ended_room = open >= room ? 0 : room - open;
    for (size_t i = 0; i < watch->count && count < room; i++) {
        bool is_shown = !is_over(watch, i) || ended_room > 0;
        ended_room -= is_over(watch, i) && ended_room > 0;
        if (is_shown) {
            chosen[count++] = i;
        }
    }
    return count;
}

static void table_make(const struct watch *watch, struct table *table, size_t room) {
    size_t *chosen = memory_allocate(watch->count, sizeof *chosen), count = rows_choose(watch, room, chosen);
    const char **ids = memory_allocate(watch->count, sizeof *ids);
    for (size_t i = 0; i < watch->count; i++) {
        ids[i] = watch->ids[i];
    }
    int characters = job_prefix_length(ids, watch->count);
    for (size_t i = 0; i < count; i++) {
        row_add(watch, table, chosen[i], characters);
    }
    free(ids);
    free(chosen);
}

/* The line below the table. */
static char *summary_make(const struct watch *watch) {
    return watch->poll.note != NULL ? memory_format("connection lost, retrying (%s)", watch->poll.note)
                                    : memory_format("%zu of %zu jobs have ended; Ctrl-C stops the watching",
                                                    over_count(watch), watch->count);
}

static void draw(struct watch *watch) {
    static const struct table_column columns[] = {
        {"JOB", false, false, 0},    {"NAME", false, true, 3}, {"RULE", false, true, 0}, {"SEED", true, false, 2},
        {"STATUS", false, false, 0}, {"LEFT", true, false, 0}, {"LOSS", true, false, 1}, {"ACC", true, false, 4}};
    int rows = terminal_rows(&watch->cli->out);
    struct table table;
    struct text text = {0};
    char *summary = summary_make(watch);
    table_init(&table, columns, sizeof columns / sizeof columns[0]);
    table_make(watch, &table, rows > 4 ? (size_t)rows - 3 : 1);
    int width = terminal_columns(&watch->cli->out) - 1; /* a full last column makes some terminals wrap */
    table_put(&table, &watch->cli->out, width, &text);
    terminal_fit(&watch->cli->out, &text, summary, width);
    progress_draw_text(&watch->progress, text.data);
    text_release(&text);
    table_release(&table);
    free(summary);
}

/* Takes a job's document anew. STATUS_UNREACHABLE: later. */
static enum status ask(struct watch *watch, size_t i) {
    char *path = job_path(watch->ids[i], "");
    enum status status = poll_get(&watch->poll, path, true, &watch->jobs[i]);
    free(path);
    return status;
}

static enum status ask_all(struct watch *watch) {
    enum status status = STATUS_OK;
    for (size_t i = 0; i < watch->count && status == STATUS_OK; i++) {
        status = is_over(watch, i) ? STATUS_OK : ask(watch, i);
    }
    return status;
}

static enum status until_all_end(struct watch *watch, long patience) {
    for (;;) {
        draw(watch);
        if (over_count(watch) == watch->count) {
            return STATUS_OK;
        }
        if (!http_pause(ASK_SECONDS, NULL, NULL)) {
            return STATUS_INTERRUPTED;
        }
        enum status status = ask_all(watch);
        if (poll_gives_up(&watch->poll, status, patience)) {
            progress_leave(&watch->progress);
            return report_error(STATUS_UNREACHABLE, "gave up following the jobs: %s", watch->poll.note);
        }
        if (status != STATUS_OK && status != STATUS_UNREACHABLE) {
            return status;
        }
    }
}

static enum status outcome(const struct watch *watch) {
    for (size_t i = 0; i < watch->count; i++) {
        if (watch->jobs[i] == NULL || strcmp(job_status(watch->jobs[i]), "succeeded") != 0) {
            return STATUS_JOB;
        }
    }
    return STATUS_OK;
}

enum status watch_jobs(struct cli *cli, char **ids, size_t count, long patience) {
    struct watch watch = {.cli = cli, .ids = ids, .count = count};
    enum status status = STATUS_OK;
    watch.jobs = memory_allocate(count, sizeof *watch.jobs);
    progress_init(&watch.progress, &cli->out);
    poll_init(&watch.poll, cli, "follow the job", &watch.progress);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        char *path = job_path(ids[i], "");
        status = cli_get(cli, path, "follow the job", &watch.jobs[i]);
        free(path);
    }
    if (status == STATUS_OK) {
        status = until_all_end(&watch, patience);
        progress_leave(&watch.progress);
    }
    if (status == STATUS_INTERRUPTED) {
        report_note("the jobs go on; modprop list shows them");
    }
    status = status == STATUS_OK ? outcome(&watch) : status;
    for (size_t i = 0; i < count; i++) {
        json_decref(watch.jobs[i]);
    }
    free(watch.jobs);
    poll_release(&watch.poll);
    return status;
}
