/*
 * PATCH /v1/jobs/{id}: the name, notes and tags of a job.
 */
#include <stdlib.h>
#include <string.h>

#include "api/caption.h"
#include "server/routes/replies.h"
#include "server/routes/routes.h"

#define BODY_MOST 65536 /* bytes: the largest caption as JSON is smaller */

static const char *const members[] = {"name", "notes", "tags"};

struct captioning {
    struct server *server;
    struct request *request;
};

static void on_captioned(void *user, enum jobs_result result, const char *id, const char *detail) {
    struct captioning captioning = *(struct captioning *)user;
    struct request *request = captioning.request;
    free(user);
    log_info(result == JOBS_DONE ? "job changed" : "job not changed", LOG_T("job", id), LOG_T("action", "caption"),
             LOG_T("reason", result == JOBS_DONE ? NULL : detail), LOG_T("request_id", request->id),
             LOG_T("token", request->identity[0] == '\0' ? NULL : request->identity));
    if (result == JOBS_DONE) {
        reply_job(captioning.server, request, 200, id);
    } else {
        reply_refusal(request, result, detail);
    }
}

/* False after answering. */
static bool read_caption(struct request *request, struct caption *caption) {
    struct problems problems = {0};
    const char *name;
    json_t *value, *document = read_body(request);
    if (document == NULL) {
        return false;
    }
    json_object_foreach(document, name, value) {
        if (strcmp(name, members[0]) != 0 && strcmp(name, members[1]) != 0 && strcmp(name, members[2]) != 0) {
            problems_add_unknown(&problems, NULL, name, "field of a caption", members, 3);
        }
    }
    caption_read(caption, document, false, &problems);
    json_decref(document);
    if (problems.count > 0) {
        caption_release(caption);
        reply_problems(request, 422, "the change has bad fields", &problems);
        return false;
    }
    return true;
}

void route_job_caption(struct server *server, struct request *request) {
    struct caption caption;
    struct store_job job;
    if (request->body_size > BODY_MOST) {
        http_problem(request, 413, "a change of a job has at most %d bytes", BODY_MOST);
        return;
    }
    if (!read_caption(request, &caption)) {
        return;
    }
    struct captioning *captioning = malloc(sizeof *captioning);
    if (captioning == NULL) {
        http_problem(request, 503, "out of memory");
    } else if (!read_job(server, request, &job)) {
        free(captioning);
    } else {
        *captioning = (struct captioning){server, request};
        jobs_caption(server->jobs, job.id, &caption, on_captioned, captioning);
        store_job_release(&job);
    }
    caption_release(&caption);
}
