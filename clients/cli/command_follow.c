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
    enum status worst = STATUS_OK;
    for (size_t i = 0; i < cli->arguments.count; i++) {
        char *id;
        enum status status = job_resolve(cli, cli->arguments.operands[i], &id);
        if (status == STATUS_OK) {
            status = follow_job(cli, id, follow_form_choose(cli), patience);
        }
        free(id);
        worst = status > worst ? status : worst;
        if (status == STATUS_INTERRUPTED) {
            break;
        }
    }
    return worst;
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
        "and a small curve of "
        "the "
        "loss. In a pipe it prints a line an event instead, with --json each event as the server sent it. Several jobs "
        "are followed one "
        "after the other.\n\n"
        "A lost connection, or a restart of the daemon, is waited for, and the display goes on behind the last event "
        "that came. Ctrl-C "
        "stops "
        "the watching, not the job. The exit status is 0 when the job succeeded and 1 when it failed or was cancelled.",
    .examples = "modprop follow latest\nmodprop follow 0192f3a4-7b1c --plain | tee run.log\n",
    .options = options,
    .run = run,
};
