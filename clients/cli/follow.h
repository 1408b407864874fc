/*
 * Following a job to its end: its event stream, over any number of connections, shown live, as lines, or as JSON.
 */
#ifndef MODPROP_CLI_FOLLOW_H
#define MODPROP_CLI_FOLLOW_H

#include "clients/cli/commands.h"

enum follow_form {
    FOLLOW_LIVE,  /* redrawn in place; needs a terminal */
    FOLLOW_LINES, /* a line an event */
    FOLLOW_JSON   /* each event as the server sent it, a line each */
};

/*
 * STATUS_OK when the job succeeded, STATUS_JOB when it failed or was cancelled. A lost connection is taken up again,
 * with growing pauses, at the event behind the last one that came; `patience` seconds without one end it with
 * STATUS_UNREACHABLE (0: never).
 */
enum status follow_job(struct cli *cli, const char *id, enum follow_form form, long patience);

/*
 * Several jobs, oldest first (ids sort by time): on a terminal a live table (watch.h), else one after the other. The
 * worst of their statuses.
 */
enum status follow_jobs(struct cli *cli, char **ids, size_t count, enum follow_form form, long patience);

/* Live on a terminal unless --plain, JSON with --json, else lines. */
enum follow_form follow_form_choose(const struct cli *cli);

#define FOLLOW_OPTIONS                                                                                                 \
    {"plain", 0, OPTION_SWITCH, NULL, 0, 0, false, "a line an event on a terminal too"},                               \
        {"patience", 0,        OPTION_INTEGER, "SECONDS",                                                              \
         0,          31536000, false,          "give up when the server stays away for so long (default 0: never)"}

#endif
