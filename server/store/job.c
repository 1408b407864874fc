/* A stored job in memory: the names of its statuses, and its release. See store.h. Any thread. */
#include "server/store/store.h"

#include <stdlib.h>
#include <string.h>

static const char *const status_names[JOB_STATUSES] = {"queued",     "running",   "pausing", "paused",
                                                       "cancelling", "succeeded", "failed",  "cancelled"};

const char *job_status_name(enum job_status status) {
    return status_names[status];
}

bool job_status_find(const char *name, enum job_status *status) {
    for (int i = 0; i < JOB_STATUSES; i++) {
        if (strcmp(name, status_names[i]) == 0) {
            *status = (enum job_status)i;
            return true;
        }
    }
    return false;
}

static const char *const state_names[EXPERIMENT_STATES] = {
    [EXPERIMENT_RUNNING] = "running",     [EXPERIMENT_PAUSED] = "paused",
    [EXPERIMENT_RESUMING] = "running",    [EXPERIMENT_CANCELLING] = "cancelling",
    [EXPERIMENT_DELETING] = "deleting",   [EXPERIMENT_RETRYING] = "running",
    [EXPERIMENT_COMPLETE] = "complete",   [EXPERIMENT_COMPLETE_WITH_FAILURES] = "complete_with_failures",
    [EXPERIMENT_CANCELLED] = "cancelled",
};

const char *experiment_state_name(enum experiment_state state) {
    return state_names[state];
}

void store_experiment_release(struct store_experiment *experiment) {
    free(experiment->name);
    free(experiment->notes);
    free(experiment->tags);
    free(experiment->document);
    *experiment = (struct store_experiment){0};
}

void store_view_release(struct store_view *view) {
    free(view->document);
    *view = (struct store_view){0};
}

void store_job_release(struct store_job *job) {
    free(job->document);
    free(job->history);
    free(job->brief);
    free(job->name);
    free(job->task);
    free(job->rule);
    free(job->notes);
    free(job->tags);
    free(job->error_code);
    free(job->error_detail);
    free(job->build);
    free(job->isa);
    free(job->request);
    *job = (struct store_job){0};
}
