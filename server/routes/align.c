/*
 * POST /v1/jobs/{id}/gradients: the gradients of any rules for a batch of the job's own task, with the weights of one
 * of its checkpoints, and the cosines between them; in the lane of heavy computations. The batch is the one that the
 * job trains with at the checkpoint's iteration.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/event.h"
#include "api/job.h"
#include "api/parameters.h"
#include "api/simulate.h"
#include "api/text.h"
#include "core/train/align.h"
#include "server/routes/replies.h"
#include "server/routes/routes.h"

#define WORK_MAX 4e11                    /* multiply-adds of all rules together */
#define HISTORY_MAX ((int64_t)256 << 20) /* bytes; a longer history is recomputed in segments */

struct alignment_work {
    struct computation computation; /* first */
    char job[STORE_ID_BYTES];
    struct rule_config rules[ALIGNED_MOST];
    int count;
    int64_t iteration; /* of the checkpoint; -1: the newest */
    json_t *asked;     /* the rules as received, until the job's neuron model is known */
};

static void alignment_release(struct computation *computation) {
    struct alignment_work *work = (struct alignment_work *)computation; /* its first member */
    for (int i = 0; i < work->count; i++) {
        rule_release(&work->rules[i]);
    }
    json_decref(work->asked);
    free(work);
}

static void decode(struct alignment_work *work, const json_t *document, struct problems *problems) {
    static const char *const known[] = {"rules", "iteration"};
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)document, name, member) {
        if (strcmp(name, known[0]) != 0 && strcmp(name, known[1]) != 0) {
            problems_add_unknown(problems, NULL, name, "field", known, 2);
        }
    }
    work->asked = json_incref(json_object_get(document, "rules"));
    work->iteration = iteration_decode(json_object_get(document, "iteration"), NULL, "iteration", problems);
}

static json_t *norms_encode(const struct alignment *alignment, int rule) {
    static const char *const names[ALIGNMENT_PARTS] = {"W", "Win", "b", "Wout", "all"};
    json_t *norms = json_object();
    for (int part = 0; part < ALIGNMENT_PARTS; part++) {
        json_object_set_new(norms, names[part], json_number_or_null(alignment->norms[part][rule]));
    }
    return norms;
}

static void answer_write(struct alignment_work *work, const struct align_answer *answer) {
    json_t *rules = json_array();
    for (int i = 0; i < work->count; i++) {
        json_array_append_new(rules, json_pack("{s:o, s:o}", "rule", rule_encode(&work->rules[i]), "norms",
                                               norms_encode(&answer->alignment, i)));
    }
    json_t *document = json_pack("{s:s, s:I, s:o, s:o, s:o}", "job", work->job, "iteration",
                                 (json_int_t)answer->iteration, "loss", json_number_or_null(answer->loss), "rules",
                                 rules, "alignment", alignment_encode(&answer->alignment));
    char *text = json_text(document, NULL);
    json_decref(document);
    if (text == NULL) {
        computation_fail(&work->computation, 503, "not enough memory for this request now");
    } else {
        writer_text(&work->computation.writer, text);
    }
    free(text);
}

/* The task's data are held. */
static void run(struct alignment_work *work, const struct train_config *config, const struct store_checkpoint *bytes) {
    struct computation *computation = &work->computation;
    struct align_request request = {
        .rules = work->rules, .count = work->count, .threads = computation->server->cores, .memory = HISTORY_MAX};
    struct align_answer answer = {0};
    struct error error = {.text = ""};
    double cost;
    if (!align_cost(config, &request, &cost, &error)) {
        computation_fail(computation, 422, "%.400s", error.text);
        return;
    }
    if (cost > WORK_MAX) {
        computation_fail(computation, 422,
                         "the rules would take %.3g multiply-adds together, at most %.3g are allowed per request", cost,
                         WORK_MAX);
        return;
    }
    switch (
        align_checkpoint(config, bytes->bytes, bytes->size, &request, lane_is_stopped, computation, &answer, &error)) {
    case RESULT_DONE:
        answer_write(work, &answer);
        break;
    case RESULT_INVALID:
        computation_fail(computation, 422, "%.400s", error.text);
        break;
    case RESULT_BAD_CHECKPOINT:
        computation_fail(computation, 500, "the checkpoint cannot be opened: %.300s", error.text);
        break;
    default:
        computation_fail(computation, 503, "the gradients could not be computed: %.300s", error.text);
    }
}

static void run_on_data(struct alignment_work *work, struct job_spec *spec, const struct store_job *job,
                        const struct store_checkpoint *bytes) {
    struct computation *computation = &work->computation;
    struct datasets *datasets = computation->server->datasets;
    const struct path path = {.name = "rules"};
    const struct task_data *data = NULL;
    char reason[DATASETS_ERROR_BYTES];
    alignment_rules_decode(work->asked, spec->config.network.neuron, NULL, "rules", work->rules, &work->count,
                           &computation->problems);
    if (computation->problems.count == 0) {
        job_spec_check_aligned(spec, work->rules, work->count, &path, &computation->problems);
    }
    if (computation->problems.count > 0) {
        computation_fail(computation, 422, "the request has bad fields");
        return;
    }
    if (datasets_hold(datasets, &spec->config.task, job->dataset_sha256, &data, reason) != DATASETS_HELD) {
        computation_fail(computation, 409, "%s", reason);
        return;
    }
    spec->config.task.data = data;
    run(work, &spec->config, bytes);
    datasets_release(datasets, data);
}

static void open_job(struct alignment_work *work, const struct store_job *job) {
    struct computation *computation = &work->computation;
    struct store_checkpoint checkpoint = {0};
    struct job_spec spec = {0};
    char *document = NULL;
    if (store_checkpoint_read(computation_reader(computation), job->id, work->iteration, &checkpoint, NULL) != 1) {
        computation_fail(computation, 409,
                         work->iteration < 0 ? "there is no checkpoint yet"
                                             : "there is no checkpoint of this iteration");
    } else if (store_document_read(computation_reader(computation), job->id, &document) != 1 ||
               !job_spec_parse(&spec, document)) {
        computation_fail(computation, 500, "the job's document is damaged");
    } else {
        run_on_data(work, &spec, job, &checkpoint);
    }
    free(document);
    free(checkpoint.bytes);
    job_spec_release(&spec);
}

static void work_alignment(struct computation *computation) {
    struct alignment_work *work = (struct alignment_work *)computation;
    struct store_job job;
    json_t *document = computation_body(computation);
    if (document == NULL) {
        return;
    }
    decode(work, document, &computation->problems);
    json_decref(document);
    computation_tidy(computation);
    if (computation->problems.count > 0) {
        computation_fail(computation, 422, "the request has bad fields");
    } else if (store_job_read(computation_reader(computation), work->job, &job) != 1) {
        computation_fail(computation, 404, "there is no job %s", work->job);
    } else {
        open_job(work, &job);
        store_job_release(&job);
    }
}

void route_align(struct server *server, struct request *request) {
    struct store_job job;
    if (!read_job(server, request, &job)) {
        return;
    }
    struct alignment_work *work = calloc(1, sizeof *work);
    if (work == NULL) {
        http_problem(request, 500, "out of memory");
    } else {
        memcpy(work->job, job.id, sizeof work->job);
        computation_init(&work->computation, server, request, "application/json");
        work->computation.work = work_alignment;
        work->computation.release = alignment_release;
        computation_start(&work->computation, LANE_HEAVY);
    }
    store_job_release(&job);
}
