/*
 * modprop follow.
 */
#include <stdlib.h>

#include "clients/cli/commands.h"
#include "clients/cli/follow.h"
#include "clients/cli/jobs.h"

extern const struct command command_follow;

static enum status run(struct cli *cli) {
    long patience = (long)argument_integer(&cli->arguments, "patience", 0);
    size_t count = cli->arguments.count;
    char **ids = memory_allocate(count, sizeof *ids);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        status = job_resolve(cli, cli->arguments.operands[i], &ids[i]);
    }
    if (status == STATUS_OK) {
        status = follow_jobs(cli, ids, count, follow_form_choose(cli), patience);
    }
    for (size_t i = 0; i < count; i++) {
        free(ids[i]);
    }
    free(ids);
    return status;
}

static const struct option options[] = {FOLLOW_OPTIONS, OPTIONS_END};

const struct command command_follow = {
    .name = "follow",
    .group = "Jobs",
    .operands = "JOB...",
    .least = 1,
    .most = -1,
    .operand = OPERAND_JOB,
    .summary = "watch a job until it ends",
    .description =
        "Shows progress from the job's first event on: a bar, the time left, loss and accuracy of the last evaluation "
        "and a small curve of the loss. Several jobs are a table, with each one's place in the queue and the time "
        "left. "
        "In a pipe each event is printed as a line instead, with --json each event as the server sent it, of several "
        "jobs "
        "one after the other, the oldest first.\n\n"
        "If the connection is lost or the daemon restarts, the command waits, and the display continues after the last "
        "event "
        "that came. Ctrl-C "
        "stops "
        "the watching, not the job. The exit status is 0 when the job succeeded and 1 when it failed or was cancelled.",
    .examples = "modprop follow latest\nmodprop follow 0192f3a4-7b1c --plain | tee run.log\n",
    .options = options,
    .run = run,
};
