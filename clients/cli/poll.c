/*
 * Asking a server again and again. See poll.h.
 */
#include "clients/cli/poll.h"

#include <stdlib.h>

#include "clients/cli/format.h"
#include "clients/cli/report.h"

void poll_init(struct poll *poll, struct cli *cli, const char *doing, struct progress *progress) {
    *poll = (struct poll){.cli = cli, .doing = doing, .progress = progress, .lost_at = -1};
}

void poll_release(struct poll *poll) {
    free(poll->note);
}

enum status poll_get(struct poll *poll, const char *path, bool may_vanish, json_t **document) {
    const struct http_request request = {.path = path};
    struct http_answer answer;
    enum status status = http_perform(poll->cli->http, &request, &answer);
    json_t *fresh = status == STATUS_OK && answer.status == 200
                        ? json_loadb(answer.body.data == NULL ? "" : answer.body.data, answer.body.size, 0, NULL)
                        : NULL;
    free(poll->note);
    poll->note = NULL;
    if (fresh != NULL || (may_vanish && answer.status == 404)) {
        json_decref(*document);
        *document = fresh;
    } else if (status == STATUS_OK && answer.status != 429 && answer.status < 500) {
        if (poll->progress != NULL) {
            progress_erase(poll->progress);
        }
        status = report_problem(poll->doing, answer.status, answer.body.data);
    } else if (status != STATUS_INTERRUPTED) {
        status = STATUS_UNREACHABLE;
        poll->note = *answer.error != '\0' ? memory_copy(answer.error)
                                           : memory_format("the server answered %d", answer.status);
    }
    http_answer_release(&answer);
    return status;
}

bool poll_gives_up(struct poll *poll, enum status status, long patience) {
    poll->lost_at = status == STATUS_OK ? -1 : poll->lost_at < 0 ? time_monotonic() : poll->lost_at;
    return patience > 0 && poll->lost_at >= 0 && time_monotonic() - poll->lost_at > (double)patience;
}
