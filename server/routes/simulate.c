/*
 * POST /v1/jobs/{id}/simulate: runs a trained network forward, in the lane of heavy computations.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/job.h"
#include "api/simulate.h"
#include "core/tasks/task.h"
#include "server/routes/replies.h"
#include "server/routes/routes.h"

struct simulation {
    struct computation computation; /* first */
    char job[STORE_ID_BYTES];
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
    struct simulate_answer answer = {0};
    struct task_shape shape;
    struct train_error error = {.text = ""};
    char reason[256];
    if (!task_table[config->task.type]->shape(&config->task, &shape, reason)) {
        computation_fail(computation, 409, "%s", reason);
        return;
    }
    simulate_ask_fit(&simulation->ask, trained, shape.steps, shape.test_trials, &computation->problems);
    if (computation->problems.count > 0) {
        computation_fail(computation, 422, "the request has bad fields");
    } else if (!simulate_answer_create(&simulation->ask, trained, &answer)) {
        computation_fail(computation, 503, "there is no memory for this request now");
    } else {
        switch (
            simulate_run(config, trained, &simulation->ask.request, lane_is_stopped, computation, &answer, &error)) {
        case TRAIN_FINISHED:
            simulate_answer_write(&computation->writer, simulation->job, &simulation->ask, trained, &answer);
            break;
        case TRAIN_INVALID:
            computation_fail(computation, 422, "%.400s", error.text);
            break;
        default:
            computation_fail(computation, 503, "the simulation could not be run: %.300s", error.text);
        }
    }
    simulate_answer_release(&answer);
}

static void open_network(struct simulation *simulation, const struct store_job *job) {
    struct computation *computation = &simulation->computation;
    struct store_checkpoint checkpoint = {0};
    struct job_spec spec = {0};
    struct trained trained;
    struct train_error error = {.text = ""};
    const struct task_data *data = NULL;
    char reason[DATASETS_ERROR_BYTES], *document = NULL;
    if (store_checkpoint_read(computation_reader(computation), job->id, simulation->ask.iteration, &checkpoint, NULL) !=
        1) {
        computation_fail(computation, 409,
                         simulation->ask.iteration < 0 ? "there is no checkpoint yet"
                                                       : "there is no checkpoint of this iteration");
    } else if (store_document_read(computation_reader(computation), job->id, &document) != 1 ||
               !job_spec_parse(&spec, document)) {
        computation_fail(computation, 500, "the job's document is damaged");
    } else if (datasets_hold(computation->server->datasets, &spec.config.task, job->dataset_sha256, &data, reason) !=
               DATASETS_HELD) {
        computation_fail(computation, 409, "%s", reason);
    } else {
        spec.config.task.data = data;
        if (trained_open(&spec.config, checkpoint.bytes, checkpoint.size, &trained, &error) == TRAIN_FINISHED) {
            simulate(simulation, &spec.config, &trained);
            trained_release(&trained);
        } else {
            computation_fail(computation, 500, "the checkpoint cannot be opened: %.300s", error.text);
        }
        datasets_release(computation->server->datasets, data);
    }
    free(document);
    free(checkpoint.bytes);
    job_spec_release(&spec);
}

static void work_simulation(struct computation *computation) {
    struct simulation *simulation = (struct simulation *)computation;
    struct store_job job;
    json_t *document = computation->request->body_size == 0 ? json_object() : computation_body(computation);
    if (document == NULL) {
        return;
    }
    simulate_ask_decode(&simulation->ask, document, &computation->problems);
    json_decref(document);
    if (computation->problems.count > 0) {
        computation_fail(computation, 422, "the request has bad fields");
    } else if (store_job_read(computation_reader(computation), simulation->job, &job) != 1) {
        computation_fail(computation, 404, "there is no job %s", simulation->job);
    } else {
        open_network(simulation, &job);
        store_job_release(&job);
    }
}

void route_simulate(struct server *server, struct request *request) {
    struct store_job job;
    if (!read_job(server, request, &job)) {
        return;
    }
    struct simulation *simulation = calloc(1, sizeof *simulation);
    if (simulation == NULL) {
        http_problem(request, 500, "out of memory");
    } else {
        memcpy(simulation->job, job.id, sizeof simulation->job);
        computation_init(&simulation->computation, server, request, "application/json");
        simulation->computation.work = work_simulation;
        simulation->computation.release = simulation_release;
        computation_start(&simulation->computation, LANE_HEAVY);
    }
    store_job_release(&job);
}
