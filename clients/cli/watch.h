/*
 * Watching several jobs at once on a terminal: a table that is redrawn in place, a row a job, with its place in the
 * queue, the time left and its last evaluation.
 */
#ifndef MODPROP_CLI_WATCH_H
#define MODPROP_CLI_WATCH_H

#include "clients/cli/commands.h"

/*
 * Until all have ended. STATUS_OK when all succeeded, STATUS_JOB when one did not; patience as for follow_job. Needs a
 * terminal whose cursor moves.
 */
enum status watch_jobs(struct cli *cli, char **ids, size_t count, long patience);

#endif
