/*
 * modprop extend and modprop retry: jobs made from jobs that have ended.
 */
#include <stdlib.h>
#include <string.h>

#include "clients/cli/commands.h"
#include "clients/cli/follow.h"
#include "clients/cli/jobs.h"
#include "clients/cli/report.h"
#include "clients/cli/submission.h"

extern const struct command command_extend, command_retry;

/* A new job from each that is named; `body` NULL: without one. Then follows them where that was requested. */
static enum status repeat_all(struct cli *cli, const char *action, const json_t *body) {
    const char *given = argument_text(&cli->arguments, "key");
    size_t count = cli->arguments.count, made = 0;
    char **ids = memory_allocate(count, sizeof *ids);
    enum status status = submission_key_check(given, false);
    while (status == STATUS_OK && made < count) {
        char *source, *path = NULL, *key = given == NULL ? submission_key_make() : memory_copy(given);
        status = job_resolve(cli, cli->arguments.operands[made], &source);
        if (status == STATUS_OK) {
            path = job_path(source, action);
            status = submission_send(cli, path, body, key, &ids[made]);
        }
        made += status == STATUS_OK;
        free(source);
        free(path);
        free(key);
    }
    if (status == STATUS_OK && argument_is_set(&cli->arguments, "follow")) {
        status = follow_jobs(cli, ids, made, follow_form_choose(cli),
                             (long)argument_integer(&cli->arguments, "patience", 0));
    }
    for (size_t i = 0; i < count; i++) {
        free(ids[i]);
    }
    free(ids);
    return status;
}

/* --stop-when as JSON; "none" is null. */
static enum status condition_set(const char *text, json_t *body) {
    json_t *condition = strcmp(text, "none") == 0 ? json_null() : json_loads(text, JSON_DECODE_ANY, NULL);
    if (condition == NULL) {
        return report_error(STATUS_USAGE,
                            "--stop-when must be none, or JSON such as {\"metric\":\"loss\",\"below\":0.1}; got \"%s\"",
                            text);
    }
    json_object_set_new(body, "stop_when", condition);
    return STATUS_OK;
}

static enum status extend(struct cli *cli) {
    const char *condition = argument_text(&cli->arguments, "stop-when");
    if (!argument_is_set(&cli->arguments, "iterations")) {
        return report_error(STATUS_USAGE,
                            "extend needs --iterations N: how many the new job has in all, with those already made");
    }
    json_t *body = json_object();
    json_object_set_new(body, "iterations", json_integer(argument_integer(&cli->arguments, "iterations", 0)));
    enum status status = condition == NULL ? STATUS_OK : condition_set(condition, body);
    if (status == STATUS_OK) {
        status = repeat_all(cli, "/extend", body);
    }
    json_decref(body);
    return status;
}

static enum status retry(struct cli *cli) {
    return repeat_all(cli, "/retry", NULL);
}

#define REPEAT_OPTIONS                                                                                                 \
    {"follow", 'f', OPTION_SWITCH, NULL, 0, 0, false, "watch the new job until it ends"},                              \
        {"key", 0, OPTION_TEXT, "KEY",                                                                                 \
         0,     0, false,       "idempotency key: the same key never makes a second job (default: a random key)"},     \
        FOLLOW_OPTIONS

static const struct option extend_options[] = {
    {"iterations", 'i', OPTION_INTEGER, "N", 1, 1000000000000, false,
     "total number of iterations of the new job; required"},
    {"stop-when", 0, OPTION_TEXT, "CONDITION", 0, 0, false,
     "another stop condition, as JSON, or none (default: the job's own)"},
    REPEAT_OPTIONS,
    OPTIONS_END,
};

static const struct option retry_options[] = {REPEAT_OPTIONS, OPTIONS_END};

const struct command command_extend = {
    .name = "extend",
    .group = "Jobs",
    .operands = "JOB...",
    .least = 1,
    .most = -1,
    .operand = OPERAND_JOB,
    .summary = "continue a job that has ended, as a new job with more iterations",
    .description =
        "The new job starts from the newest checkpoint, with the state of the optimiser and its schedule, and begins "
        "with the curves of the old one: its weights are those of a job that was submitted with N iterations at the "
        "start, bit for bit. Works for jobs that succeeded, failed or were cancelled and have a checkpoint. A job that "
        "ended because its stop_when was met needs --stop-when.",
    .examples = "modprop extend latest --iterations 6000 --follow\n"
                "modprop extend 0192f3a4-7b1c --iterations 6000 --stop-when none\n",
    .options = extend_options,
    .run = extend,
};

const struct command command_retry = {
    .name = "retry",
    .group = "Jobs",
    .operands = "JOB...",
    .least = 1,
    .most = -1,
    .operand = OPERAND_JOB,
    .summary = "submit a job that failed or was cancelled again",
    .description = "The new job has the same configuration, seed and data, and starts from the beginning. To go on "
                   "from the last checkpoint instead, use extend.",
    .examples = "modprop retry latest --follow\n",
    .options = retry_options,
    .run = retry,
};
