/*
 * modprop pause, resume, cancel and delete: one call for each job that is named.
 */
#include <stdlib.h>
#include <string.h>

#include "clients/cli/commands.h"
#include "clients/cli/jobs.h"
#include "clients/cli/report.h"

extern const struct command command_pause, command_resume, command_cancel, command_delete;

/* What a command does to a job: POST of an action, or DELETE. */
struct control {
    const char *action; /* NULL: DELETE */
    const char *doing;
};

/* Asks before a job is deleted, in words that show which one. */
static bool is_confirmed(struct cli *cli, const char *id) {
    json_t *job;
    char *path = job_path(id, "");
    bool agreed = false;
    if (cli_get(cli, path, "show the job", &job) == STATUS_OK) {
        const char *name = json_string_value(json_object_get(job, "name"));
        struct text question = {0};
        char task[JOB_TASK_BYTES];
        text_printf(&question, "Delete job %s%s%s%s (%s, ", id, name == NULL ? "" : " \"", name == NULL ? "" : name,
                    name == NULL ? "" : "\"", job_task(job, task));
        job_rule_put(&question, job);
        text_printf(&question, ", %s) with its events and weights?", job_status(job));
        agreed = terminal_confirm(question.data);
        text_release(&question);
    }
    json_decref(job);
    free(path);
    return agreed;
}

static enum status control_one(struct cli *cli, const struct control *control, const char *word) {
    char *id, *path = NULL;
    json_t *job = NULL;
    struct text body = {0};
    enum status status = job_resolve(cli, word, &id);
    if (status == STATUS_OK && control->action == NULL && cli->out.is_terminal &&
        !argument_is_set(&cli->arguments, "yes") && !is_confirmed(cli, id)) {
        status = report_error(STATUS_REFUSED, "job %s was not deleted", id);
    } else if (status == STATUS_OK) {
        path = job_path(id, control->action == NULL ? "" : control->action);
        const struct http_request request = {.method = control->action == NULL ? "DELETE" : "POST", .path = path};
        status = cli_fetch(cli, &request, control->doing, &job, &body);
    }
    if (status == STATUS_OK && cli->json && job == NULL) {
        printf("{\"id\":\"%s\",\"status\":\"deleted\"}\n",
               id); /* the server has no words for it; an id needs no escaping */
    } else if (status == STATUS_OK && cli->json) {
        cli_print(&body);
    } else if (status == STATUS_OK) {
        const char *state = job == NULL ? "deleted" : job_status(job);
        printf("%s  %s%s%s\n", terminal_shown(id), terminal_paint(&cli->out, job_status_paint(state)),
               terminal_shown(state), terminal_paint(&cli->out, PAINT_NONE));
    }
    json_decref(job);
    text_release(&body);
    free(path);
    free(id);
    return status;
}

/* All are tried; the first failure is the status. */
static enum status control_all(struct cli *cli, const struct control *control) {
    enum status first = STATUS_OK;
    for (size_t i = 0; i < cli->arguments.count; i++) {
        enum status status = control_one(cli, control, cli->arguments.operands[i]);
        first = first == STATUS_OK ? status : first;
        if (status == STATUS_INTERRUPTED || status == STATUS_UNREACHABLE) {
            break;
        }
    }
    return first;
}

static enum status pause_run(struct cli *cli) {
    return control_all(cli, &(const struct control){"/pause", "pause the job"});
}

static enum status resume_run(struct cli *cli) {
    return control_all(cli, &(const struct control){"/resume", "resume the job"});
}

static enum status cancel_run(struct cli *cli) {
    return control_all(cli, &(const struct control){"/cancel", "cancel the job"});
}

static enum status delete_run(struct cli *cli) {
    return control_all(cli, &(const struct control){NULL, "delete the job"});
}

static const struct option delete_options[] = {
    {"yes", 'y', OPTION_SWITCH, NULL, 0, 0, false, "do not ask on a terminal"},
    OPTIONS_END,
};

#define CONTROL(word, what, more, table, function)                                                                     \
    {.name = word,                                                                                                     \
     .group = "Jobs",                                                                                                  \
     .operands = "JOB...",                                                                                             \
     .least = 1,                                                                                                       \
     .most = -1,                                                                                                       \
     .operand = OPERAND_JOB,                                                                                           \
     .summary = what,                                                                                                  \
     .description = more                                                                                               \
     " Prints the new state of each job. All named jobs are tried; the exit status is that of the first failure.",     \
     .examples = "modprop " word " latest\n",                                                                          \
     .options = table,                                                                                                 \
     .run = function}

const struct command command_pause = CONTROL("pause", "stop a job for now; it keeps its progress",
                                             "A running job stops at its last checkpoint.", NULL, pause_run);
const struct command command_resume = CONTROL(
    "resume", "resume a paused job",
    "The job resumes from its last checkpoint and ends with the weights that it would have had without the pause.",
    NULL, resume_run);
const struct command command_cancel = CONTROL("cancel", "stop a job for good; what it has reported is kept",
                                              "The job ends; its events and checkpoints are kept.", NULL, cancel_run);
const struct command command_delete = CONTROL("delete", "delete finished jobs with their events and weights",
                                              "Only a job that has ended can be deleted (cancel it first). "
                                              "On a terminal it asks before each deletion.",
                                              delete_options, delete_run);
