/*
 * POST /v1/jobs/{id}/analyses: any analysis of core/analysis, of any checkpoint, in the lane of heavy computations; and
 * GET /v1/analyses, the list of them.
 *
 * Everything that the request names is resolved once, in the lane; data are held by their digest until it is over. What
 * would take too much is rejected before it starts, its memory is counted, and it ends when its client is gone.
 */
#include <stdlib.h>
#include <string.h>

#include "api/analysis.h"
#include "api/weights.h"
#include "core/base/size.h"
#include "core/tasks/task.h"
#include "server/routes/network.h"
#include "server/routes/routes.h"

struct analysis_work {
    struct computation computation; /* first */
    char job[STORE_ID_BYTES];
    bool decoded; /* it has waited for memory since */
    struct analysis_ask ask;
};

static void analysis_work_release(struct computation *computation) {
    struct analysis_work *work = (struct analysis_work *)computation; /* its first member */
    analysis_ask_release(&work->ask);
    free(work);
}

static void answer_write(struct analysis_work *work, const struct trained *trained,
                         const struct analysis_answer *answer) {
    char sha256[65];
    weights_digest(trained, sha256);
    if (!analysis_answer_write(&work->computation.writer, work->job, &work->ask, trained, sha256, answer)) {
        computation_fail(&work->computation, 422,
                         "the answer would have more than %d numbers: ask for fewer trials, or longer bins (every)",
                         ANALYSIS_NUMBERS_MAX);
    }
}

/* The network is open, the task's data are held. */
static void analyse(struct analysis_work *work, struct analysis_input *input) {
    struct computation *computation = &work->computation;
    struct analysis_answer answer;
    struct error error;
    switch (analysis_run(work->ask.type, input, lane_is_stopped, computation, &answer, &error)) {
    case RESULT_DONE:
        answer_write(work, input->network.trained, &answer);
        break;
    case RESULT_INVALID:
        computation_fail(computation, 422, "%.400s", error.text);
        break;
    default:
        computation_fail(computation, 503, "the analysis could not be made: %.300s", error.text);
    }
    analysis_answer_release(&answer);
}

/* With the data that the task rests on. */
static void run_on_data(struct analysis_work *work, const struct store_job *job, struct train_config *config,
                        struct analysis_input *input) {
    struct computation *computation = &work->computation;
    struct datasets *datasets = computation->server->datasets;
    const struct task_data *data = NULL;
    char reason[DATASETS_ERROR_BYTES];
    if (datasets_hold(datasets, &config->task, job->dataset_sha256, &data, reason) != DATASETS_HELD) {
        computation_fail(computation, 409, "%s", reason);
        return;
    }
    config->task.data = data;
    if (!task_table[config->task.type]->shape(&config->task, &input->shape, reason)) {
        computation_fail(computation, 409, "%s", reason);
    } else {
        analysis_ask_fit(&work->ask, input, &computation->problems);
        input->request.threads = computation->server->cores;
        if (computation->problems.count > 0) {
            computation_fail(computation, 422, "the request has bad fields");
        } else if (computation_memory(computation, size_plus(analysis_table[work->ask.type]->memory(input),
                                                             (size_t)datasets_memory(datasets, job->dataset_sha256)))) {
            analyse(work, input);
        }
    }
    datasets_release(datasets, data);
}

/* False after computation_fail. */
static bool decode(struct analysis_work *work) {
    struct computation *computation = &work->computation;
    json_t *document = computation_body(computation);
    if (document == NULL) {
        return false;
    }
    analysis_ask_decode(&work->ask, document, &computation->problems);
    json_decref(document);
    computation_tidy(computation);
    if (computation->problems.count > 0) {
        computation_fail(computation, 422, "the request has bad fields");
    }
    work->decoded = computation->problems.count == 0;
    return work->decoded;
}

static void work_analysis(struct computation *computation) {
    struct analysis_work *work = (struct analysis_work *)computation;
    struct store_job job;
    struct job_spec spec;
    struct trained trained;
    if (!work->decoded && !decode(work)) {
        return;
    }
    if (store_job_read(computation_reader(computation), work->job, &job) != 1) {
        computation_fail(computation, 404, "there is no job %s", work->job);
        return;
    }
    if (network_open(computation, work->job, work->ask.iteration, &spec, &trained)) {
        struct analysis_input input = {.network = {&spec.config, &trained}};
        run_on_data(work, &job, &spec.config, &input);
        network_close(&spec, &trained);
    }
    store_job_release(&job);
}

void route_analysis(struct server *server, struct request *request) {
    struct store_job job;
    if (!read_job(server, request, &job)) {
        return;
    }
    struct analysis_work *work = calloc(1, sizeof *work);
    if (work == NULL) {
        http_problem(request, 500, "out of memory");
    } else {
        memcpy(work->job, job.id, sizeof work->job);
        computation_init(&work->computation, server, request, "application/json");
        work->computation.work = work_analysis;
        work->computation.release = analysis_work_release;
        computation_start(&work->computation, LANE_HEAVY);
    }
    store_job_release(&job);
}

void route_analyses(struct server *server, struct request *request) {
    (void)server;
    http_reply_json(request, 200, analyses_describe());
}
