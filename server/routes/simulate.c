/*
 * POST /v1/jobs/{id}/simulate and /evaluate: run a trained network forward, in the lane of heavy computations.
 *
 * All that a request names (checkpoint, weights of another job, dataset) is resolved once, in the lane; a dataset is
 * held by its digest until the run is over.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/job.h"
#include "api/simulate.h"
#include "core/base/size.h"
#include "core/tasks/task.h"
#include "server/datasets/catalog.h"
#include "server/jobs/reference.h"
#include "server/routes/network.h"
#include "server/routes/routes.h"

struct simulation {
    struct computation computation; /* first */
    char job[STORE_ID_BYTES];
    enum ask_kind kind;
    bool decoded; /* it has waited for memory since */
    struct simulate_ask ask;
};

static void simulation_release(struct computation *computation) {
    struct simulation *simulation = (struct simulation *)computation; /* its first member */
    simulate_ask_release(&simulation->ask);
    free(simulation);
}

/* The network is open, the task's data are held. */
static void simulate(struct simulation *simulation, const struct train_config *config, const struct trained *trained) {
    struct computation *computation = &simulation->computation;
    struct simulate_ask *ask = &simulation->ask;
    struct simulate_answer answer = {0};
    struct task_shape shape;
    struct error error = {.text = ""};
    char reason[256];
    if (!task_table[config->task.type]->shape(&config->task, &shape, reason)) {
        computation_fail(computation, 409, "%s", reason);
        return;
    }
    simulate_ask_fit(ask, config, trained, &shape, &computation->problems);
    ask->request.threads = computation->server->cores;
    if (computation->problems.count > 0) {
        computation_fail(computation, 422, "the request has bad fields");
    } else if (!simulate_answer_create(ask, trained, &shape, &answer)) {
        computation_fail(computation, 503, "not enough memory for this request now");
    } else {
        const char *data = ask->request.x == NULL ? config->task.data_sha256 : "";
        switch (simulate_run(config, trained, &ask->request, lane_is_stopped, computation, &answer, &error)) {
        case RESULT_DONE:
            simulate_answer_write(&computation->writer, simulation->job, ask, trained, data, &answer);
            break;
        case RESULT_INVALID:
            computation_fail(computation, 422, "%.400s", error.text);
            break;
        default:
            computation_fail(computation, 503, "the network could not be run: %.300s", error.text);
        }
    }
    simulate_answer_release(&answer);
}

/* With the data that the task rests on. `sha256`: of a job of version 0.1, which does not say so itself. */
static void run_on_data(struct simulation *simulation, struct train_config *config, const char *sha256,
                        const struct trained *trained) {
    struct computation *computation = &simulation->computation;
    struct datasets *datasets = computation->server->datasets;
    const struct task_data *data = NULL;
    char reason[DATASETS_ERROR_BYTES];
    if (datasets_hold(datasets, &config->task, sha256, &data, reason) != DATASETS_HELD) {
        computation_fail(computation, 409, "%s", reason);
        return;
    }
    config->task.data = data;
    if (data != NULL && config->task.data_sha256[0] == '\0') {
        datasets_digest(datasets, data, config->task.data_sha256);
    }
    simulate(simulation, config, trained);
    datasets_release(datasets, data);
}

/* What the network takes while it runs, and the data. False: see computation_memory. */
static bool memory_is_counted(struct simulation *simulation, size_t network, int64_t data) {
    return computation_memory(&simulation->computation, size_plus(network, (size_t)data));
}

/* With another dataset in the place of the task. */
static void run_on_dataset(struct simulation *simulation, struct train_config *config, const struct trained *trained) {
    struct computation *computation = &simulation->computation;
    struct catalog *catalog = computation->server->catalog;
    const struct path path = {.name = "dataset"};
    struct task_config task = TASK_CONFIG(TASK_DATASET, {"draw", 2});
    struct dataset_info info;
    memcpy(task.dataset, simulation->ask.dataset, sizeof task.dataset);
    memcpy(task.data_sha256, simulation->ask.dataset_sha256, sizeof task.data_sha256);
    switch (catalog_hold(catalog, task.dataset, task.data_sha256, &info)) {
    case CATALOG_NO_NAME:
        problems_add(&computation->problems, &path, "name",
                     "there is no dataset \"%s\" (PUT /v1/datasets/%s makes one)", task.dataset, task.dataset);
        break;
    case CATALOG_NO_VERSION:
        problems_add(&computation->problems, &path, "sha256", "the dataset \"%s\" has no version %s (any more)",
                     task.dataset, task.data_sha256);
        break;
    case CATALOG_HELD:
        if (info.units == 0) {
            config->task = task;
            if (memory_is_counted(simulation, simulate_memory(config, trained, (int)info.steps), info.memory)) {
                run_on_data(simulation, config, task.data_sha256, trained);
            }
            catalog_release(catalog, task.data_sha256);
            return;
        }
        problems_add(&computation->problems, &path, "name", "must name a dataset; \"%s\" holds weights", task.dataset);
        catalog_release(catalog, task.data_sha256);
        break;
    }
    computation_fail(computation, 422, "the request has bad fields");
}

/* The weights of another job, where they are asked for. */
static bool take_weights(struct simulation *simulation) {
    struct computation *computation = &simulation->computation;
    struct simulate_ask *ask = &simulation->ask;
    if (ask->weights.memory != NULL || !weights_reference_is_given(&ask->weights_from) ||
        reference_read(computation_reader(computation), computation->server->catalog, &ask->weights_from, &ask->weights,
                       NULL, "weights", &computation->problems)) {
        return true;
    }
    computation_fail(computation, 422, "the request has bad fields");
    return false;
}

/*
 * With trials of the job's own task. Those take less than training did; given inputs may be longer.
 */
static void run_on_own(struct simulation *simulation, const struct store_job *job, struct train_config *config,
                       const struct trained *trained) {
    const struct simulate_request *request = &simulation->ask.request;
    size_t network = request->x == NULL ? (size_t)job->memory : simulate_memory(config, trained, request->steps);
    if (memory_is_counted(simulation, network,
                          datasets_memory(simulation->computation.server->datasets, job->dataset_sha256))) {
        run_on_data(simulation, config, job->dataset_sha256, trained);
    }
}

static void open_network(struct simulation *simulation, const struct store_job *job) {
    struct computation *computation = &simulation->computation;
    struct job_spec spec;
    struct trained trained;
    if (!network_open(computation, simulation->job, simulation->ask.iteration, &spec, &trained)) {
        return;
    }
    if (take_weights(simulation) && simulation->ask.dataset[0] != '\0') {
        run_on_dataset(simulation, &spec.config, &trained);
    } else if (computation->status < 400) {
        run_on_own(simulation, job, &spec.config, &trained);
    }
    network_close(&spec, &trained);
}

/* False after computation_fail. */
static bool decode(struct simulation *simulation) {
    struct computation *computation = &simulation->computation;
    json_t *document = computation->request->body_size == 0 ? json_object() : computation_body(computation);
    if (document == NULL) {
        return false;
    }
    simulate_ask_decode(&simulation->ask, simulation->kind, document, &computation->problems);
    json_decref(document);
    computation_tidy(computation);
    if (computation->problems.count > 0) {
        computation_fail(computation, 422, "the request has bad fields");
    }
    simulation->decoded = computation->problems.count == 0;
    return simulation->decoded;
}

static void work_simulation(struct computation *computation) {
    struct simulation *simulation = (struct simulation *)computation;
    struct store_job job;
    if (!simulation->decoded && !decode(simulation)) {
        return;
    }
    if (store_job_read(computation_reader(computation), simulation->job, &job) != 1) {
        computation_fail(computation, 404, "there is no job %s", simulation->job);
    } else {
        open_network(simulation, &job);
        store_job_release(&job);
    }
}

static void begin(struct server *server, struct request *request, enum ask_kind kind) {
    struct store_job job;
    if (!read_job(server, request, &job)) {
        return;
    }
    struct simulation *simulation = calloc(1, sizeof *simulation);
    if (simulation == NULL) {
        http_problem(request, 500, "out of memory");
    } else {
        memcpy(simulation->job, job.id, sizeof simulation->job);
        simulation->kind = kind;
        computation_init(&simulation->computation, server, request, "application/json");
        simulation->computation.work = work_simulation;
        simulation->computation.release = simulation_release;
        computation_start(&simulation->computation, LANE_HEAVY);
    }
    store_job_release(&job);
}

void route_simulate(struct server *server, struct request *request) {
    begin(server, request, ASK_SIMULATE);
}

void route_evaluate(struct server *server, struct request *request) {
    begin(server, request, ASK_EVALUATE);
}
