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

enum {
    SERIES_MOST = 64,    /* checkpoints of a series that are analysed */
    SERIES_LISTED = 4096 /* and that they are chosen from */
};

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

/* ---- the checkpoints of a series ---- */

struct series {
    struct analysis_work *work;
    int64_t iterations[SERIES_LISTED]; /* the newest first */
    int count;
    struct trained networks[SERIES_MOST]; /* the oldest first */
    int opened;
};

static bool list_iteration(void *user, const struct store_checkpoint *checkpoint) {
    struct series *series = user;
    if (series->count < SERIES_LISTED) {
        series->iterations[series->count++] = checkpoint->iteration;
    }
    return series->count < SERIES_LISTED && !lane_is_stopped(&series->work->computation);
}

/* Which are taken of more than SERIES_MOST: evenly spaced ones, the first and the last included. */
static void series_list(struct series *series) {
    struct computation *computation = &series->work->computation;
    store_checkpoints_list(computation_reader(computation), series->work->job, list_iteration, series);
    for (int i = 0; series->count > SERIES_MOST && i < SERIES_MOST; i++) {
        series->iterations[i] = series->iterations[i * (series->count - 1) / (SERIES_MOST - 1)];
    }
    series->count = series->count < SERIES_MOST ? series->count : SERIES_MOST;
}

/* False after computation_fail. One that has been pruned meanwhile is left out. */
static bool series_open(struct series *series, const struct train_config *config) {
    struct computation *computation = &series->work->computation;
    for (int i = series->count - 1; i >= 0; i--) {
        struct store_checkpoint checkpoint = {0};
        struct error error = {.text = ""};
        if (store_checkpoint_read(computation_reader(computation), series->work->job, series->iterations[i],
                                  &checkpoint, NULL) != 1) {
            continue;
        }
        enum result result = trained_open(config, checkpoint.bytes, checkpoint.size, &series->networks[series->opened],
                                          &error);
        free(checkpoint.bytes);
        if (result != RESULT_DONE) {
            computation_fail(computation, 500, "the checkpoint of iteration %lld cannot be opened: %.300s",
                             (long long)series->iterations[i], error.text);
            return false;
        }
        series->opened++;
    }
    return true;
}

static void series_analyse(struct analysis_work *work, struct analysis_input *input, struct series *series) {
    if (series_open(series, input->network.config)) {
        input->series = series->networks;
        input->series_count = series->opened;
        analyse(work, input);
    }
    for (int i = 0; i < series->opened; i++) {
        trained_release(&series->networks[i]);
    }
}

/* ---- before it runs ---- */

/* The request fits, its memory is counted. False if not: see computation_memory. */
static bool is_admitted(struct analysis_work *work, struct analysis_input *input, int64_t data) {
    struct computation *computation = &work->computation;
    analysis_ask_fit(&work->ask, input, &computation->problems);
    input->request.threads = computation->server->cores;
    if (computation->problems.count > 0) {
        computation_fail(computation, 422, "the request has bad fields");
        return false;
    }
    return computation_memory(computation, size_plus(analysis_table[work->ask.type]->memory(input), (size_t)data));
}

static void run(struct analysis_work *work, struct analysis_input *input, int64_t data) {
    struct series *series = work->ask.type == ANALYSIS_CHANGES ? calloc(1, sizeof *series) : NULL;
    if (work->ask.type != ANALYSIS_CHANGES) {
        if (is_admitted(work, input, data)) {
            analyse(work, input);
        }
        return;
    }
    if (series == NULL) {
        computation_fail(&work->computation, 503, "not enough memory for this request now");
        return;
    }
    series->work = work;
    series_list(series);
    input->series_count = series->count;
    if (is_admitted(work, input, data)) {
        series_analyse(work, input, series);
    }
    free(series);
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
    if (task_table[config->task.type]->shape(&config->task, &input->shape, reason)) {
        run(work, input, datasets_memory(datasets, job->dataset_sha256));
    } else {
        computation_fail(computation, 409, "%s", reason);
    }
    datasets_release(datasets, data);
}

/* With the other network beside it, where the analysis compares two. */
static void run_beside(struct analysis_work *work, const struct store_job *job, struct train_config *config,
                       struct analysis_input *input) {
    struct computation *computation = &work->computation;
    const struct path path = {.name = "other"};
    const char *id = work->ask.other[0] == '\0' ? work->job : work->ask.other;
    struct job_spec spec;
    struct trained trained;
    if (work->ask.type != ANALYSIS_SIMILARITY) {
        run_on_data(work, job, config, input);
    } else if (network_open(computation, id, work->ask.other_iteration, &spec, &trained)) {
        input->other = (struct analysis_network){&spec.config, &trained};
        run_on_data(work, job, config, input);
        input->other = (struct analysis_network){0};
        network_close(&spec, &trained);
    } else if (computation->status < 500) {
        problems_add(&computation->problems, &path, strcmp(id, work->job) == 0 ? "iteration" : "job", "%s",
                     computation->detail);
        computation_fail(computation, 422, "the request has bad fields");
    }
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
        run_beside(work, &job, &spec.config, &input);
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
