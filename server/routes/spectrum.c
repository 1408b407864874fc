/*
 * GET /v1/jobs/{id}/spectrum: the eigenvalues of W of any checkpoint, computed in the lane of heavy computations, so
 * that no client computes them on its own.
 *
 * Bound: what would take more than SPECTRUM_WORK_MAX is rejected before it starts; what runs has the lane's time limit
 * and ends when its client is gone. The memory counts as the job's own while it trains, which is never less.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/spectrum.h"
#include "api/weights.h"
#include "core/train/spectrum.h"
#include "server/routes/network.h"
#include "server/routes/routes.h"

struct spectrum_work {
    struct computation computation; /* first */
    char job[STORE_ID_BYTES];
    int64_t iteration; /* -1: the newest */
    bool csv;
    char *condition; /* If-None-Match; NULL */
};

static void spectrum_work_release(struct computation *computation) {
    struct spectrum_work *work = (struct spectrum_work *)computation; /* its first member */
    free(work->condition);
    free(work);
}

static void compute(struct spectrum_work *work, const struct trained *trained, const char *sha256) {
    struct computation *computation = &work->computation;
    struct spectrum spectrum;
    struct error error;
    switch (spectrum_compute(trained, lane_is_stopped, computation, &spectrum, &error)) {
    case RESULT_DONE:
        if (work->csv) {
            spectrum_write_csv(&computation->writer, &spectrum);
        } else {
            spectrum_write_json(&computation->writer, &spectrum, work->job, trained->iteration, sha256);
        }
        spectrum_release(&spectrum);
        break;
    case RESULT_NO_MEMORY:
        computation_fail(computation, 503, "not enough memory for this request now");
        break;
    case RESULT_STOPPED:
        computation_fail(computation, 503, "the computation was stopped");
        break;
    default:
        computation_fail(computation, 422, "%.300s", error.text);
    }
}

static void work_spectrum(struct computation *computation) {
    struct spectrum_work *work = (struct spectrum_work *)computation;
    struct job_spec spec;
    struct trained trained;
    char sha256[65];
    if (!network_open(computation, work->job, work->iteration, &spec, &trained)) {
        return;
    }
    weights_digest(&trained, sha256);
    snprintf(computation->etag, sizeof computation->etag, "\"%s-spectrum%s-%lld\"", sha256, work->csv ? "-csv" : "",
             (long long)trained.iteration);
    if (work->condition != NULL && etag_matches(work->condition, computation->etag)) {
        computation->status = 304;
    } else if (spectrum_cost(trained.units) > SPECTRUM_WORK_MAX) {
        computation->etag[0] = '\0';
        computation_fail(computation, 422,
                         "the spectrum of %d units would take %.3g multiply-adds; at most %.3g are allowed per request "
                         "(GET /v1/jobs/%s/weights gives W)",
                         trained.units, spectrum_cost(trained.units), SPECTRUM_WORK_MAX, work->job);
    } else {
        compute(work, &trained, sha256);
    }
    network_close(&spec, &trained);
}

void route_spectrum(struct server *server, struct request *request) {
    int64_t iteration = -1;
    const struct query_parameter parameters[] = {
        {.name = "iteration", .type = QUERY_INTEGER, .low = 0, .high = INT64_MAX, .integer = &iteration}};
    struct store_job job;
    if (!read_query(request, parameters, 1) || !read_job(server, request, &job)) {
        return;
    }
    struct spectrum_work *work = calloc(1, sizeof *work);
    if (work == NULL) {
        http_problem(request, 500, "out of memory");
    } else {
        const char *condition = http_header(request, "If-None-Match");
        memcpy(work->job, job.id, sizeof work->job);
        work->iteration = iteration;
        work->condition = condition == NULL ? NULL : strdup(condition);
        work->csv = strcmp(request->type, "text/csv") == 0;
        computation_init(&work->computation, server, request,
                         work->csv ? "text/csv; charset=utf-8; header=present" : "application/json");
        work->computation.task.engine = job.memory;
        work->computation.work = work_spectrum;
        work->computation.release = spectrum_work_release;
        computation_start(&work->computation, LANE_HEAVY);
    }
    store_job_release(&job);
}
