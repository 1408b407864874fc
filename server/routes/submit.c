/*
 * Submitting jobs: POST /v1/jobs and POST /v1/jobs:validate; and jobs made from jobs: POST /v1/jobs/{id}/extend and
 * /retry.
 *
 * A submission is parsed and checked in a lane if that may take long (data to be read, weights to be copied from
 * another job, a large body), else at once. Then jobs/requests.c stores it, and only when it is durable does the client
 * get 201, or does its stream start.
 */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/field.h"
#include "api/job.h"
#include "api/text.h"
#include "core/tasks/task.h"
#include "server/jobs/repetition.h"
#include "server/routes/keys.h"
#include "server/routes/replies.h"
#include "server/routes/routes.h"

#define LARGE_BODY                                                                                                     \
    65536 /* bytes; larger bodies are parsed in a lane, one at a time per client: a tree takes many times its text */

struct submission {
    struct computation computation; /* first */
    struct admission admission;
    bool repeats; /* it is made from another job, by `repetition` */
    struct repetition repetition;
    json_t *document; /* until it is decoded; NULL: the body is large and not yet parsed */
    bool validate_only;
    struct keyed keyed;
    const char *type; /* of the answer */
};

static void submission_release(struct computation *computation) {
    struct submission *submission = (struct submission *)computation; /* its first member */
    keyed_end(computation->server, &submission->keyed);
    repetition_release(&submission->repetition);
    admission_release(&submission->admission);
    json_decref(submission->document);
    problems_release(&submission->computation.problems);
    spool_release(&submission->computation.out);
    free(submission);
}

/* From the body to a checked specification, or to problems. */
static void check(struct submission *submission, struct store_reader *reader) {
    struct computation *computation = &submission->computation;
    if (submission->document == NULL && (submission->document = computation_body(computation)) == NULL) {
        return;
    }
    submission->admission.problems = &computation->problems;
    if (submission->repeats) {
        repetition_make(&submission->repetition, reader, submission->document);
        if (submission->repetition.status != 0) {
            computation_fail(computation, submission->repetition.status, "%s", submission->repetition.detail);
        }
    } else {
        admission_check(&submission->admission, reader, submission->document, !submission->validate_only);
    }
    json_decref(submission->document);
    submission->document = NULL;
}

/* ---- answering (loop) ---- */

static void open_stream(struct server *server, struct request *request, const char *id, bool sse) {
    const struct stream_options options = {.job = id, .sse = sse, .weights = true};
    streams_open(server->streams, request, 201, &options);
}

static void answer_created(struct server *server, struct request *request, const char *id, const char *type) {
    char location[64];
    snprintf(location, sizeof location, "/v1/jobs/%s", id);
    http_header_set(request, "Location", location);
    if (strcmp(type, "application/json") == 0) {
        reply_job(server, request, 201, id);
    } else {
        open_stream(server, request, id, strcmp(type, "text/event-stream") == 0);
    }
}

static void on_submitted(void *user, enum jobs_result result, const char *id, const char *detail) {
    struct submission *submission = user;
    struct request *request = submission->computation.request;
    if (result == JOBS_DONE) {
        submission->admission.holds = false; /* the job holds it now */
        log_info("job submitted", LOG_T("job", id), LOG_T("request_id", request->id),
                 LOG_T("token", request->identity[0] == '\0' ? NULL : request->identity));
        answer_created(submission->computation.server, request, id, submission->type);
    } else {
        reply_refusal(request, result, detail);
    }
    submission_release(&submission->computation);
}

/* The whole job's multiply-adds, and the seconds that they take if it runs alone at the recently measured rate. */
static void put_work(const struct submission *submission, json_t *costs) {
    const struct train_estimate *estimate = &submission->admission.estimate;
    struct jobs *jobs = submission->computation.server->jobs;
    int threads = jobs_threads(jobs, submission->admission.spec.threads, estimate->threads_most);
    double training = estimate->training_multiply_adds / (jobs_rate(jobs, RATE_TRAINING) * threads),
           evaluation = estimate->evaluation_multiply_adds / (jobs_rate(jobs, RATE_EVALUATION) * threads);
    json_object_set_new(costs, "training",
                        json_pack("{s:f, s:o}", "multiply_adds", estimate->training_multiply_adds, "seconds",
                                  json_number_or_null(training)));
    json_object_set_new(costs, "evaluation",
                        json_pack("{s:f, s:o}", "multiply_adds", estimate->evaluation_multiply_adds, "seconds",
                                  json_number_or_null(evaluation)));
    json_object_set_new(costs, "threads", json_integer(threads));
    json_object_set_new(costs, "seconds_reason",
                        isfinite(training) && isfinite(evaluation)
                            ? json_null()
                            : json_string("no job has been trained and evaluated since the daemon started, so that its "
                                          "rate is not known yet"));
}

/* Whether the daemon's device runs the job, and why not; null without a device. */
static json_t *device_coverage(const struct submission *submission) {
    struct train_device device = {.number = submission->computation.server->device};
    if (device.number < 0) {
        return json_null();
    }
    bool covers = train_device_covers(&submission->admission.spec.config, &device);
    return json_pack("{s:b, s:o}", "covers", covers, "reason", covers ? json_null() : json_string(device.why));
}

static void answer_validated(struct submission *submission) {
    json_t *document = job_spec_encode(&submission->admission.spec, false);
    const struct train_estimate *estimate = &submission->admission.estimate;
    json_object_set_new(document, "config_sha256", json_string(submission->admission.digest));
    json_t *costs = json_pack("{s:I, s:I, s:I, s:f, s:f, s:s}", "memory_bytes", (json_int_t)estimate->memory_bytes,
                              "data_bytes", (json_int_t)submission->admission.data_bytes, "checkpoint_bytes",
                              (json_int_t)estimate->checkpoint_bytes, "multiply_adds", estimate->multiply_adds,
                              "forward_multiply_adds", estimate->forward_multiply_adds, "method", estimate->method);
    put_work(submission, costs);
    json_object_set_new(costs, "device", device_coverage(submission));
    json_object_set_new(document, "estimate", costs);
    http_reply_json(submission->computation.request, 200, document);
}

/* The highest priority that the request's token may give. */
static int64_t priority_most(const struct server *server, const struct request *request) {
    char name[TOKEN_NAME_BYTES];
    bool bounded = auth_is_required(server->auth) &&
                   !role_allows(auth_check(server->auth, http_header(request, "Authorization"), name), ROLE_ADMIN);
    return bounded ? server->config.max_submit_priority : INT_MAX;
}

static void priority_check(struct submission *submission) {
    const struct computation *computation = &submission->computation;
    int64_t most = priority_most(computation->server, computation->request);
    if (submission->admission.spec.priority > most) {
        problems_add(&submission->computation.problems, NULL, "priority",
                     "must be at most %lld for a token of the role submit (--max-submit-priority); got %d",
                     (long long)most, submission->admission.spec.priority);
    }
}

/* The specification is checked: refuse, answer, or store. */
static void conclude(struct submission *submission) {
    struct computation *computation = &submission->computation;
    struct server *server = computation->server;
    char id[STORE_ID_BYTES];
    priority_check(submission);
    if (computation->task.outcome != LANE_GO) {
        reply_stopped(computation->request, &computation->task);
    } else if (server->state != SERVER_READY) {
        http_problem(computation->request, 503, "the daemon is shutting down");
    } else if (computation->status >= 400) {
        if (computation->status == 503) {
            http_header_set(computation->request, "Retry-After", "5");
        }
        reply_problems(computation->request, computation->status, computation->detail, &computation->problems);
    } else if (submission->admission.short_of_memory) {
        http_header_set(computation->request, "Retry-After", "5");
        http_problem(computation->request, 503, "not enough memory to read the job now");
    } else if (computation->problems.count > 0) {
        reply_problems(computation->request, 422, "the job has bad fields", &computation->problems);
    } else if (submission->validate_only) {
        answer_validated(submission);
    } else {
        const struct jobs_submission wanted = {
            .spec = &submission->admission.spec,
            .document = submission->admission.text,
            .digest = submission->admission.digest,
            .identity = submission->admission.identity,
            .inherited = submission->repetition.inherited.checkpoint.bytes == NULL ? NULL
                                                                                   : &submission->repetition.inherited,
            .data = submission->admission.spec.config.task.data_sha256,
            .memory = (int64_t)submission->admission.estimate.memory_bytes,
            .key = submission->keyed.key,
            .body = submission->keyed.body_sha256,
            .owner = computation->request->identity[0] != '\0' ? computation->request->identity
                                                               : computation->request->address,
            .request = computation->request->id};
        submission->admission.text = NULL;
        jobs_submit(server->jobs, &wanted, id, on_submitted, submission);
        return;
    }
    submission_release(computation);
}

static void run_check(struct lane_task *task) {
    struct submission *submission = (struct submission *)task;
    check(submission, computation_reader(&submission->computation));
    computation_tidy(&submission->computation);
}

static void finish_check(struct lane_task *task) {
    conclude((struct submission *)task);
}

/* ---- the routes ---- */

/* Whether checking may take long: then it happens in a lane. `document` NULL: the body is large. */
static bool takes_long(const json_t *document) {
    const char *task = json_string_value(json_object_get(json_object_get(document, "task"), "type"));
    const json_t *initial = json_object_get(json_object_get(document, "network"), "initial");
    enum task_type type;
    bool data = task != NULL && task_type_find(task, &type) && task_table[type]->needs == NEEDS_MNIST;
    return document == NULL || data || json_is_object(initial);
}

/* NULL after answering. `document` is taken over. */
static struct submission *submission_make(struct server *server, struct request *request, json_t *document) {
    struct submission *submission = calloc(1, sizeof *submission);
    if (submission == NULL) {
        json_decref(document);
        http_problem(request, 503, "out of memory");
        return NULL;
    }
    computation_init(&submission->computation, server, request, NULL);
    submission->computation.release = submission_release;
    submission->computation.task.run = run_check;
    submission->computation.task.finish = finish_check;
    submission->admission.limits = &server->admission;
    submission->document = document;
    submission->type = request->type;
    return submission;
}

static void submit(struct server *server, struct request *request, bool validate_only) {
    char known[STORE_ID_BYTES] = "";
    bool large = request->body_size > LARGE_BODY;
    json_t *document = large ? NULL : read_body(request);
    if (document == NULL && !large) {
        return;
    }
    bool long_check = takes_long(document);
    struct submission *submission = submission_make(server, request, document);
    if (submission == NULL) {
        return;
    }
    submission->validate_only = validate_only;
    if (!validate_only && !keyed_begin(server, request, "", &submission->keyed, known)) {
        submission_release(&submission->computation);
        if (known[0] != '\0') {
            answer_created(server, request, known, request->type);
        }
        return;
    }
    if (long_check) {
        computation_start(&submission->computation, LANE_CHECKS);
    } else {
        check(submission, server->reader);
        conclude(submission);
    }
}

void route_submit(struct server *server, struct request *request) {
    submit(server, request, false);
}

/* A large body costs seconds to check: a client that may not submit the job must not make the daemon read it. */
static bool may_validate(struct server *server, struct request *request) {
    char name[TOKEN_NAME_BYTES];
    if (request->body_size <= LARGE_BODY || !auth_is_required(server->auth) ||
        role_allows(auth_check(server->auth, http_header(request, "Authorization"), name), ROLE_SUBMIT)) {
        return true;
    }
    http_problem(request, 403,
                 "validating a body of more than %d bytes needs the role submit; the token \"%s\" has read", LARGE_BODY,
                 request->identity);
    return false;
}

void route_validate(struct server *server, struct request *request) {
    if (may_validate(server, request)) {
        submit(server, request, true);
    }
}

/* ---- jobs made from jobs ---- */

static void repeat(struct server *server, struct request *request, enum repetition_kind kind) {
    char known[STORE_ID_BYTES] = "", key[64];
    json_t *document = kind == REPEAT_RETRY ? json_object() : read_body(request);
    struct submission *submission = document == NULL ? NULL : submission_make(server, request, document);
    if (submission == NULL) {
        if (!http_is_answered(request)) {
            http_problem(request, 503, "out of memory");
        }
        return;
    }
    submission->repeats = true;
    submission->repetition = (struct repetition){.admission = &submission->admission,
                                                 .kind = kind,
                                                 .source = request->parameter,
                                                 .priority_most = priority_most(server, request),
                                                 .stopped = lane_is_stopped,
                                                 .user = submission};
    snprintf(key, sizeof key, "%s %.36s\n", kind == REPEAT_EXTEND ? "extend" : "retry", request->parameter);
    if (!keyed_begin(server, request, key, &submission->keyed, known)) {
        submission_release(&submission->computation);
        if (known[0] != '\0') {
            answer_created(server, request, known, request->type);
        }
        return;
    }
    computation_start(&submission->computation, LANE_CHECKS);
}

void route_extend(struct server *server, struct request *request) {
    repeat(server, request, REPEAT_EXTEND);
}

void route_retry(struct server *server, struct request *request) {
    repeat(server, request, REPEAT_RETRY);
}
