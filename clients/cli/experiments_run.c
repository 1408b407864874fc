/*
 * Running an experiment: what the options and the file say is posted, and followed where the user asks. See
 * experiments.h.
 */
#include <stdlib.h>

#include "api/text.h"
#include "clients/cli/experiments.h"
#include "clients/cli/jobs.h"
#include "clients/cli/report.h"
#include "clients/cli/submission.h"

enum status experiment_send(struct cli *cli, const char *path, const char *key, json_t **document, struct text *body) {
    json_t *experiment;
    *document = NULL;
    *body = (struct text){0};
    enum status status = submission_make_experiment(cli, &experiment);
    if (status != STATUS_OK) {
        return status;
    }
    size_t size;
    char *text = json_text(experiment, &size);
    const struct http_request request = {.method = "POST",
                                         .path = path,
                                         .type = "application/json",
                                         .body = text,
                                         .body_size = size,
                                         .idempotency_key = key};
    status = cli_fetch(cli, &request, "accept the experiment", document, body);
    json_decref(experiment);
    free(text);
    return status;
}

enum status experiment_run(struct cli *cli) {
    const char *given = argument_text(&cli->arguments, "key");
    bool follow = argument_is_set(&cli->arguments, "follow");
    json_t *answer = NULL;
    struct text body = {0};
    enum status status = submission_key_check(given, false);
    char *key = given == NULL ? submission_key_make() : memory_copy(given);
    if (status == STATUS_OK) {
        status = experiment_send(cli, "/v1/experiments", key, &answer, &body);
    }
    if (status == STATUS_OK && cli->json) {
        cli_print(&body);
    } else if (status == STATUS_OK && !(follow && cli->out.is_terminal)) {
        printf("%s\n", terminal_shown(job_text(answer, "id")));
        if (cli->out.is_terminal) {
            report_note("%lld points, %lld trials; modprop experiment follow latest shows them",
                        (long long)json_integer_value(json_object_get(answer, "points")),
                        (long long)json_integer_value(json_object_get(answer, "trials")));
        }
    }
    fflush(stdout);
    if (status == STATUS_OK && follow) {
        status = experiment_follow(cli, job_text(answer, "id"), follow_form_choose(cli),
                                   (long)argument_integer(&cli->arguments, "patience", 0));
    }
    json_decref(answer);
    text_release(&body);
    free(key);
    return status;
}
