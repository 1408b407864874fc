/*
 * Following an experiment to its end. See experiments.h.
 *
 * The experiment is asked for once a second, and its points when a trial has ended or started since: a stream would
 * say no more. With --json the server's own events are copied, a line each. A server that is away is asked again until
 * patience ends.
 */
#include <stdlib.h>
#include <string.h>

#include "clients/cli/experiments.h"
#include "clients/cli/findings.h"
#include "clients/cli/format.h"
#include "clients/cli/jobs.h"
#include "clients/cli/poll.h"
#include "clients/cli/progress.h"
#include "clients/cli/report.h"

#define ASK_SECONDS 1.0

struct following {
    struct cli *cli;
    const char *id;
    enum follow_form form;
    json_t *experiment, *points; /* as last heard of */
    struct progress progress;
    struct poll poll;
    char *said; /* the last line of FOLLOW_LINES */
};

/* A part of the experiment anew. STATUS_UNREACHABLE: later; *document stays as it was where there was no new one. */
static enum status ask(struct following *following, const char *rest, json_t **document) {
    char *path = experiment_path(following->id, rest);
    enum status status = poll_get(&following->poll, path, false, document);
    free(path);
    return status;
}

static void summary_put(const struct following *following, struct text *text) {
    if (following->poll.note != NULL) {
        text_printf(text, "connection lost, retrying (%s)", following->poll.note);
        return;
    }
    text_printf(text, "%s: ", job_status(following->experiment));
    experiment_progress_put(following->experiment, text);
    text_add(text, " trials");
}

static void draw(struct following *following) {
    struct terminal *terminal = &following->cli->out;
    int width = terminal_columns(terminal) - 1, rows = terminal_rows(terminal) - 3;
    struct table table;
    struct text text = {0}, summary = {0};
    json_t *shown = json_array(), *point;
    size_t index;
    json_array_foreach(json_object_get(following->points, "points"), index, point) {
        if ((int)index < rows) {
            json_array_append(shown, point);
        }
    }
    if (json_array_size(shown) > 0) {
        points_table_make(&table, shown, true);
        table_put(&table, terminal, width, &text);
        table_release(&table);
    }
    summary_put(following, &summary);
    if (!experiment_has_ended(following->experiment)) {
        text_add(&summary, "; Ctrl-C stops the watching");
    }
    terminal_fit(terminal, &text, summary.data, width);
    progress_draw_text(&following->progress, text.data);
    json_decref(shown);
    text_release(&summary);
    text_release(&text);
}

/* Says what there is to say, where something has changed. */
static void show(struct following *following, bool changed) {
    if (following->form == FOLLOW_LIVE) {
        draw(following);
    } else if (changed || following->poll.note != NULL) {
        struct text line = {0};
        summary_put(following, &line);
        if (following->said == NULL || strcmp(following->said, line.data) != 0) {
            printf("%s\n", terminal_shown(line.data));
            fflush(stdout);
        }
        free(following->said);
        following->said = line.data;
    }
}

static enum status until_the_end(struct following *following, long patience) {
    bool was_lost = false;
    for (json_t *before = NULL;;) {
        bool has_ended = experiment_has_ended(following->experiment);
        before = json_deep_copy(json_object_get(following->experiment, "counts"));
        enum status status = ask(following, "", &following->experiment);
        bool changed = following->points == NULL ||
                       !json_equal(before, json_object_get(following->experiment, "counts")) ||
                       has_ended != experiment_has_ended(following->experiment) || following->form == FOLLOW_LIVE;
        json_decref(before);
        if (status == STATUS_OK && changed) {
            status = ask(following, "/points", &following->points);
        }
        if (poll_gives_up(&following->poll, status, patience)) {
            progress_leave(&following->progress);
            return report_error(STATUS_UNREACHABLE, "gave up following the experiment: %s", following->poll.note);
        }
        if (status != STATUS_OK && status != STATUS_UNREACHABLE) {
            return status;
        }
        if (following->form == FOLLOW_LIVE || status == STATUS_OK || !was_lost) {
            show(following, changed);
        }
        was_lost = status != STATUS_OK;
        if (status == STATUS_OK && experiment_has_ended(following->experiment)) {
            return STATUS_OK;
        }
        if (!http_pause(ASK_SECONDS, NULL, NULL)) {
            return STATUS_INTERRUPTED;
        }
    }
}

static enum status outcome(const json_t *experiment) {
    return strcmp(job_status(experiment), "complete") == 0 ? STATUS_OK : STATUS_JOB;
}

/* The events as they come, then what they ended in. */
static enum status events_copy(struct cli *cli, const char *id) {
    char *path = experiment_path(id, "/events");
    json_t *experiment = NULL;
    enum status status = cli_copy(cli, path, "application/x-ndjson", "follow the experiment");
    free(path);
    if (status == STATUS_OK) {
        path = experiment_path(id, "");
        status = cli_get(cli, path, "follow the experiment", &experiment);
        free(path);
    }
    status = status == STATUS_OK ? outcome(experiment) : status;
    json_decref(experiment);
    return status;
}

enum status experiment_follow(struct cli *cli, const char *id, enum follow_form form, long patience) {
    if (form == FOLLOW_JSON) {
        return events_copy(cli, id);
    }
    struct following following = {.cli = cli, .id = id, .form = form};
    char *path = experiment_path(id, "");
    progress_init(&following.progress, &cli->out);
    poll_init(&following.poll, cli, "follow the experiment", &following.progress);
    enum status status = cli_get(cli, path, "follow the experiment", &following.experiment);
    free(path);
    if (status == STATUS_OK) {
        status = until_the_end(&following, patience);
        progress_leave(&following.progress);
    }
    if (status == STATUS_OK && form == FOLLOW_LINES) {
        struct table table;
        points_table_make(&table, json_object_get(following.points, "points"), false);
        table_print(&table, &cli->out);
        table_release(&table);
    }
    if (status == STATUS_INTERRUPTED) {
        report_note("the experiment goes on; modprop experiment follow %s shows it", id);
    }
    status = status == STATUS_OK ? outcome(following.experiment) : status;
    json_decref(following.experiment);
    json_decref(following.points);
    poll_release(&following.poll);
    free(following.said);
    return status;
}
