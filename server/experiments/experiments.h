/*
 * Experiments: conditions x seeds as one object. See design.h for what one is, state and trials in store.h.
 *
 *     running <-> paused
 *     running, paused -> cancelling -> cancelled
 *     running -> complete | complete_with_failures
 *     retry:  cancelled, complete_with_failures -> running
 *     delete: removes a final one with its jobs
 *     edit:   complete, complete_with_failures -> running where it adds trials; else the state stays
 *
 * An experiment advances in steps, one at a time: a lane's task (LANE_CHECKS) reads how far it is and prepares what
 * comes next, at most a window of jobs ahead. The loop then submits these jobs, each with its trial in one unit, so a
 * crash at any moment neither loses nor repeats a trial: the next step reads from the table of trials what exists. A
 * step is due when a job ends, when a client acts, and each second.
 *
 * Loop thread only, except for the step's own work.
 */
#ifndef MODPROP_SERVER_EXPERIMENTS_H
#define MODPROP_SERVER_EXPERIMENTS_H

#include "server/base/lanes.h"
#include "server/experiments/design.h"
#include "server/jobs/admission.h"
#include "server/jobs/jobs.h"

struct experiments;

struct experiments_options {
    struct loop *loop;
    struct store *store;
    struct store_reader *reader;        /* the loop's */
    struct store_reader **lane_readers; /* one for each seat's tasks */
    struct lanes *lanes;
    struct jobs *jobs;
    const struct admission_limits *limits;
    int64_t max_queued; /* of all jobs: experiments fill at most half */
    const char *build;
};

/* Reads the unfinished experiments. NULL with a sentence. */
struct experiments *experiments_create(const struct experiments_options *options, char error[STORE_ERROR_BYTES]);
/* After the store is closed and no lane's task runs. NULL-safe. */
void experiments_destroy(struct experiments *experiments);
/* A job has ended. */
void experiments_job_ended(struct experiments *experiments);
/* Each second. */
void experiments_tick(struct experiments *experiments);
/* No more steps. */
void experiments_drain(struct experiments *experiments);

struct experiments_submission {
    struct design *design;  /* the caller's until `done`, which takes it over only with JOBS_DONE */
    char *document;         /* its text; taken over in any case */
    const char *owner;      /* as of a job */
    const char *key, *body; /* as of a job */
};

/* `done` is called once, as for jobs, when the change is durable or refused. */
void experiments_submit(struct experiments *experiments, const struct experiments_submission *submission,
                        jobs_done *done, void *user);

enum experiments_action {
    EXPERIMENTS_PAUSE,
    EXPERIMENTS_RESUME,
    EXPERIMENTS_CANCEL,
    EXPERIMENTS_RETRY,
    EXPERIMENTS_DELETE
};

void experiments_act(struct experiments *experiments, const char *id, enum experiments_action action, jobs_done *done,
                     void *user);

/* A changed specification (growth.h). All is the caller's until `done`; the design is taken over with JOBS_DONE. */
struct experiments_edit {
    struct design *design;
    const char *document; /* its text */
    const char *before;   /* the text of the document that it was made from; if that has changed, the edit is refused */
    bool grown;           /* it has more trials: a complete experiment runs again */
};

void experiments_edit(struct experiments *experiments, const char *id, const struct experiments_edit *edit,
                      jobs_done *done, void *user);

/* Why an experiment does not advance; NULL: nothing stops it. Valid until the loop continues. */
const char *experiments_reason(const struct experiments *experiments, const char *id);

/* The design of a stored experiment; false if out of memory or if it is damaged. Call design_release in any case. */
bool experiment_design(const struct store_experiment *row, struct design *design);

/* Checks the job of every point (any thread): faults go to `problems`, each with its pointer, costs to `costs`. */
struct experiment_costs {
    double multiply_adds; /* of all trials, evaluations included */
    double bytes;         /* the most that they may store */
    double memory;        /* of the largest trial */
};
void experiment_check(const struct design *design, const struct admission_limits *limits, struct store_reader *reader,
                      bool (*stopped)(void *user), void *user, struct problems *problems,
                      struct experiment_costs *costs);

#endif
