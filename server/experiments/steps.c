/*
 * Steps: how experiments advance. See experiments.h for when, internal.h for what is shared.
 *
 * What a step does depends on the state alone: in the state running it creates trials, in the others it acts on the
 * existing jobs. A step that finds nothing left to do leads to the next state. If a client changes the experiment
 * meanwhile, the step's result is void; the next step starts from what is stored.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/experiments/internal.h"

#define WINDOW 200       /* queued and running jobs of one experiment */
#define STEP_TRIALS 64   /* trials that one step creates */
#define STEP_LOOKS 20000 /* trials that one step looks at */
#define STEP_ACTIONS 64  /* jobs that one step acts on */
#define STEP_FORGETS 500 /* trials that one step forgets */

#define BIT(status) (1u << (status))
#define UNFINISHED (BIT(JOB_QUEUED) | BIT(JOB_RUNNING) | BIT(JOB_PAUSING) | BIT(JOB_PAUSED) | BIT(JOB_CANCELLING))

/* What a step does in a state to the jobs with these statuses, and the next state when there are none left. */
static const struct {
    unsigned statuses;
    enum jobs_action action;
    enum experiment_state next;
} works[EXPERIMENT_STATES] = {
    [EXPERIMENT_PAUSED] = {BIT(JOB_QUEUED) | BIT(JOB_RUNNING), JOBS_PAUSE, EXPERIMENT_PAUSED},
    [EXPERIMENT_RESUMING] = {BIT(JOB_PAUSED) | BIT(JOB_PAUSING), JOBS_RESUME, EXPERIMENT_RUNNING},
    [EXPERIMENT_CANCELLING] = {UNFINISHED, JOBS_CANCEL, EXPERIMENT_CANCELLED},
    [EXPERIMENT_RETRYING] = {BIT(JOB_FAILED) | BIT(JOB_CANCELLED), JOBS_DELETE, EXPERIMENT_RUNNING},
    [EXPERIMENT_DELETING] = {BIT(JOB_SUCCEEDED) | BIT(JOB_FAILED) | BIT(JOB_CANCELLED), JOBS_DELETE,
                             EXPERIMENT_DELETING},
};

/* A trial that a step has prepared. */
struct prepared {
    struct step *step;
    struct store_trial trial;
    struct admission admission;
    char same[STORE_ID_BYTES]; /* the job that is linked; "": one is created */
    const char *outcome;       /* of that one, as the next three */
    int64_t iteration;
    double loss, accuracy;
};

struct step {
    struct lane_task task; /* first */
    struct experiments *experiments;
    struct experiment *experiment;
    enum experiment_state state; /* as it was when the step started, and so the generation */
    unsigned generation;
    size_t room, cursor;
    /* found */
    int64_t unfinished;
    bool failed;
    bool with_failures;
    char reason[REASON_BYTES]; /* why a trial cannot be created */
    size_t prepared_count, acted_count, forgotten_count;
    struct prepared prepared[STEP_TRIALS];
    char acted[STEP_ACTIONS][STORE_ID_BYTES];
    char forgotten[STEP_FORGETS][STORE_ID_BYTES]; /* jobs of trials that go */
    /* on the loop: units and actions in progress, plus one for the loop that counts them */
    size_t waiting;
    bool hindered; /* something was not stored: the next step waits for the tick */
};

void experiment_grow(struct experiment *experiment) {
    if (experiment->grown.document != NULL) {
        design_release(&experiment->design);
        experiment->design = experiment->grown;
        experiment->grown = (struct design){0};
    }
}

/* ---- a step's work (in the lane) ---- */

static bool act_on_job(void *user, const char *id, int64_t status) {
    struct step *step = user;
    (void)status;
    snprintf(step->acted[step->acted_count++], STORE_ID_BYTES, "%s", id);
    return step->acted_count < STEP_ACTIONS;
}

/* How many trials are unfinished, and whether some have ended without success. */
static bool count_status(void *user, enum job_status status, int64_t count) {
    struct step *step = user;
    step->unfinished += job_status_is_final(status) ? 0 : count;
    step->with_failures = step->with_failures || status == JOB_FAILED || status == JOB_CANCELLED;
    return true;
}

static bool forget_trial(void *user, const char *job, int64_t number) {
    struct step *step = user;
    (void)number;
    snprintf(step->forgotten[step->forgotten_count++], STORE_ID_BYTES, "%s", job);
    return step->forgotten_count < STEP_FORGETS;
}

static struct store_reader *step_reader(const struct step *step) {
    return step->experiments->options.lane_readers[step->task.seat];
}

struct same {
    struct step *step;
    struct prepared *prepared;
};

/* Whether an ended job with the same result has reported all that this trial's is to report. */
static bool same_check(void *user, const struct store_job *job) {
    const struct same *same = user;
    struct job_spec spec = {0};
    char *document = NULL;
    const unsigned wanted = same->prepared->admission.spec.config.training.diagnostics;
    if (store_document_read(step_reader(same->step), job->id, &document) == 1 && job_spec_parse(&spec, document) &&
        (spec.config.training.diagnostics & wanted) == wanted) {
        memcpy(same->prepared->same, job->id, sizeof same->prepared->same);
        same->prepared->outcome = outcome_name(job->loss, job->initial_loss);
        same->prepared->loss = job->loss;
        same->prepared->accuracy = job->accuracy;
        same->prepared->iteration = job->iteration;
    }
    job_spec_release(&spec);
    free(document);
    return same->prepared->same[0] == '\0';
}

/* The job that the store has for a trial: same result, data and build, with the diagnostics and weights asked for. */
static bool same_find(struct step *step, struct prepared *prepared) {
    const struct admission *admission = &prepared->admission;
    struct same same = {step, prepared};
    struct store_job wanted = {0};
    char *build = strdup(step->experiments->options.build);
    wanted.build = build;
    snprintf(wanted.digest, sizeof wanted.digest, "%s", admission->digest);
    snprintf(wanted.identity, sizeof wanted.identity, "%s", admission->identity);
    snprintf(wanted.dataset_sha256, sizeof wanted.dataset_sha256, "%s", admission->spec.config.task.data_sha256);
    int found = build == NULL ? -1
                              : store_jobs_same(step_reader(step), &wanted,
                                                step->experiment->design.weights != WEIGHTS_NONE, same_check, &same);
    free(build);
    return found >= 0;
}

/* One trial that does not exist yet. False if it cannot be created. */
static bool trial_prepare(struct step *step, struct prepared *prepared) {
    const struct design *design = &step->experiment->design;
    const struct experiments_options *options = &step->experiments->options;
    struct problems problems = {0};
    struct admission *admission = &prepared->admission;
    prepared->step = step;
    *admission = (struct admission){.limits = options->limits, .problems = &problems};
    json_t *job = design_job(design, design_find(design, prepared->trial.point), prepared->trial.seed);
    if (job != NULL) {
        admission_check(admission, step_reader(step), job, true);
    }
    json_decref(job);
    if (problems.count > 0) {
        const json_t *error = json_array_get(problems.errors, 0);
        snprintf(step->reason, sizeof step->reason, "point %s cannot be run: %.60s %.100s", prepared->trial.point,
                 json_string_value(json_object_get(error, "pointer")),
                 json_string_value(json_object_get(error, "detail")));
    }
    bool whole = job != NULL && problems.count == 0 && !admission->short_of_memory;
    problems_release(&problems);
    admission->problems = NULL;
    if (whole && design->reuse) {
        whole = same_find(step, prepared);
    }
    if (!whole) {
        admission_release(admission);
    }
    return whole;
}

/* The next trials that do not exist yet: all points with the first seed, then with the second, and so on. */
static void trials_prepare(struct step *step) {
    const struct design *design = &step->experiment->design;
    size_t trials = design_trials(design);
    for (int looks = 0; looks < STEP_LOOKS && step->cursor < trials && step->prepared_count < step->room &&
                        !lane_is_stopped(&step->task);
         looks++) {
        struct prepared *prepared = &step->prepared[step->prepared_count];
        prepared->trial = (struct store_trial){.experiment = step->experiment->row.number,
                                               .seed = design->seeds[step->cursor / design->points]};
        design_name(design, step->cursor % design->points, prepared->trial.point);
        int there = store_trial_exists(step_reader(step), prepared->trial.experiment, prepared->trial.point,
                                       prepared->trial.seed);
        if (there < 0 || (there == 0 && !trial_prepare(step, prepared))) {
            step->failed = true;
            return;
        }
        step->prepared_count += there == 0;
        step->cursor++;
    }
}

/* What a state other than running does: trials that are to be forgotten, then jobs. */
static void actions_prepare(struct step *step) {
    const struct store_experiment *row = &step->experiment->row;
    bool deletes = step->state == EXPERIMENT_DELETING;
    if (deletes || step->state == EXPERIMENT_RETRYING) {
        step->failed = store_trials_left(step_reader(step), row->number, !deletes, STEP_FORGETS, forget_trial, step) <
                       0;
    }
    if (!step->failed && step->forgotten_count == 0) {
        step->failed = store_experiment_jobs(step_reader(step), row->id, row->number, works[step->state].statuses,
                                             STEP_ACTIONS, act_on_job, step) < 0;
    }
}

static void step_run(struct lane_task *task) {
    struct step *step = (struct step *)task;
    if (step->state != EXPERIMENT_RUNNING) {
        actions_prepare(step);
        return;
    }
    step->failed = store_trials_count(step_reader(step), step->experiment->row.number, count_status, step) < 0;
    const size_t most = step->experiment->design.most_running;
    const int64_t window = most > 0 && most < WINDOW ? (int64_t)most : WINDOW;
    size_t room = step->unfinished >= window ? 0 : (size_t)(window - step->unfinished);
    step->room = room < step->room ? room : step->room;
    if (!step->failed) {
        trials_prepare(step);
    }
}

/* ---- a step's end (on the loop) ---- */

static void step_release(struct step *step) {
    for (size_t i = 0; i < step->prepared_count; i++) {
        admission_release(&step->prepared[i].admission);
    }
    free(step);
}

/* Nothing is left to do in this state. */
static void step_conclude(struct step *step) {
    struct experiments *experiments = step->experiments;
    struct experiment *experiment = step->experiment;
    if (step->state != EXPERIMENT_RUNNING) {
        if (step->acted_count + step->forgotten_count > 0) {
            return;
        }
        if (works[step->state].next != step->state) {
            experiments->state_change(experiments, experiment, works[step->state].next, false);
        } else if (step->state == EXPERIMENT_DELETING) {
            experiments->state_change(experiments, experiment, EXPERIMENT_DELETING, true);
        }
    } else if (step->prepared_count == 0 && step->unfinished == 0 &&
               step->cursor == design_trials(&experiment->design)) {
        experiments->state_change(experiments, experiment,
                                  step->with_failures ? EXPERIMENT_COMPLETE_WITH_FAILURES : EXPERIMENT_COMPLETE, false);
    }
}

/* Nothing has been changed since the step began. */
static bool step_is_current(const struct step *step) {
    return step->experiment->generation == step->generation && !step->experiment->committing;
}

/* One of those in progress has come back. */
static void step_count(struct step *step) {
    struct experiments *experiments = step->experiments;
    struct experiment *experiment = step->experiment;
    if (--step->waiting > 0) {
        return;
    }
    bool current = step_is_current(step);
    if (current && !step->hindered) {
        experiment->due = experiment->due || experiment->cursor != step->cursor;
        experiment->cursor = step->cursor;
        snprintf(experiment->reason, sizeof experiment->reason, "%s", step->reason);
        /* after creating trials it looks again at once; after acting on jobs their ends trigger the next step */
        experiment->due = experiment->due || step->acted_count == STEP_ACTIONS;
        step_conclude(step);
    }
    experiments->step = NULL;
    step_release(step);
    experiment_grow(experiment);
    steps_kick(experiments);
}

static void on_acted(void *user, enum jobs_result result, const char *id, const char *detail) {
    struct step *step = user;
    (void)id;
    (void)detail;
    step->hindered = step->hindered || result == JOBS_NO_ROOM || result == JOBS_CLOSING || result == JOBS_BROKEN;
    step->experiment->due = step->experiment->due || (result == JOBS_DONE && step->state != EXPERIMENT_PAUSED);
    step_count(step);
}

static void on_submitted(void *user, enum jobs_result result, const char *id, const char *detail) {
    struct prepared *prepared = user;
    struct step *step = prepared->step;
    (void)id;
    (void)detail;
    prepared->admission.holds = prepared->admission.holds && result != JOBS_DONE; /* otherwise the job holds it now */
    step->hindered = step->hindered || result != JOBS_DONE;
    step_count(step);
}

static void on_linked(struct store_unit *unit) {
    struct step *step = unit->user;
    if (unit->result == STORE_WRITTEN) {
        jobs_publish(step->experiments->options.jobs, unit);
        archive_kick(&step->experiments->archive);
    }
    step->hindered = step->hindered || unit->result != STORE_WRITTEN;
    if (unit->result == STORE_STALLED && !unit->refused) {
        jobs_stall(step->experiments->options.jobs, unit);
    }
    step_count(step);
}

static void trial_link(struct step *step, struct prepared *prepared) {
    struct store_unit *unit = store_unit_create(on_linked, step);
    struct store_item *item = unit == NULL ? NULL : store_unit_add(unit, STORE_TRIAL_ADD);
    struct event_head head;
    struct store_event *event = item == NULL ? NULL
                                             : jobs_event_add(step->experiments->options.jobs, unit,
                                                              step->experiment->row.id, EVENT_TRIAL, &head);
    const struct event_trial trial = {.experiment = step->experiment->row.id,
                                      .point = prepared->trial.point,
                                      .seed = prepared->trial.seed,
                                      .job = prepared->same,
                                      .status = job_status_name(JOB_SUCCEEDED),
                                      .outcome = prepared->outcome,
                                      .iteration = prepared->iteration,
                                      .loss = prepared->loss,
                                      .accuracy = prepared->accuracy,
                                      .linked = true};
    if (event != NULL) {
        event->json = event_trial_text(&head, &trial);
    }
    if (event == NULL || event->json == NULL) {
        store_unit_free(unit);
        on_submitted(prepared, JOBS_BROKEN, "", NULL);
        return;
    }
    item->trial = prepared->trial;
    memcpy(item->trial.job, prepared->same, sizeof item->trial.job);
    store_submit(step->experiments->options.store, unit);
}

static void trial_submit(struct step *step, struct prepared *prepared) {
    struct admission *admission = &prepared->admission;
    char id[STORE_ID_BYTES];
    const struct jobs_submission submission = {.spec = &admission->spec,
                                               .document = admission->text,
                                               .digest = admission->digest,
                                               .identity = admission->identity,
                                               .data = admission->spec.config.task.data_sha256,
                                               .memory = (int64_t)admission->estimate.memory_bytes,
                                               .owner = step->experiment->row.owner,
                                               .trial = &prepared->trial,
                                               .experiment = step->experiment->row.id};
    admission->text = NULL;
    jobs_submit(step->experiments->options.jobs, &submission, id, on_submitted, prepared);
}

/* A unit that forgets trials: those of the jobs from one on. False if out of memory. */
static bool trials_forget(struct step *step, char (*jobs)[STORE_ID_BYTES], size_t count,
                          void (*done)(struct store_unit *unit)) {
    struct store_unit *unit = store_unit_create(done, step);
    bool whole = unit != NULL;
    for (size_t i = 0; whole && i < count; i++) {
        struct store_item *item = store_unit_add(unit, STORE_TRIAL_FORGET);
        whole = item != NULL;
        if (whole) {
            item->trial.experiment = step->experiment->row.number;
            memcpy(item->trial.job, jobs[i], sizeof item->trial.job);
        }
    }
    if (!whole) {
        store_unit_free(unit);
        return false;
    }
    unit->frees = true;
    store_submit(step->experiments->options.store, unit);
    return true;
}

/* As many trials as a step forgets; then it looks again. */
static void on_forgotten(struct store_unit *unit) {
    struct step *step = unit->user;
    step->experiment->due = true;
    on_linked(unit);
}

static void step_perform(struct step *step) {
    if (step->forgotten_count > 0 && !trials_forget(step, step->forgotten, step->forgotten_count, on_forgotten)) {
        step->hindered = true;
        step->waiting--;
    }
    if (step->state == EXPERIMENT_RETRYING && step->acted_count > 0 &&
        !trials_forget(step, step->acted, step->acted_count, on_linked)) {
        step->hindered = true; /* the trials would outlast their jobs */
        step->waiting -= step->acted_count + 1;
        return;
    }
    for (size_t i = 0; i < step->acted_count; i++) {
        jobs_act(step->experiments->options.jobs, step->acted[i], works[step->state].action, on_acted, step);
    }
    for (size_t i = 0; i < step->prepared_count; i++) {
        if (step->prepared[i].same[0] != '\0') {
            trial_link(step, &step->prepared[i]);
        } else {
            trial_submit(step, &step->prepared[i]);
        }
    }
}

static void step_finish(struct lane_task *task) {
    struct step *step = (struct step *)task;
    struct experiments *experiments = step->experiments;
    struct experiment *experiment = step->experiment;
    bool current = step_is_current(step);
    step->waiting = 1;
    step->hindered = step->failed || task->outcome != LANE_GO;
    if (step->failed && step->reason[0] != '\0') {
        snprintf(experiment->reason, sizeof experiment->reason, "%s", step->reason);
    }
    if (current && !experiments->draining && task->outcome == LANE_GO) {
        step->waiting += step->prepared_count + step->acted_count + (step->forgotten_count > 0) +
                         (step->state == EXPERIMENT_RETRYING && step->acted_count > 0);
        step_perform(step);
    }
    step_count(step);
}

/* How many trials may be created now: experiments leave half of the queue to other jobs. */
static size_t room_of(const struct experiments *experiments) {
    int64_t left = experiments->options.max_queued / 2 - jobs_counts(experiments->options.jobs)->jobs[JOB_QUEUED];
    return left <= 0 ? 0 : left > STEP_TRIALS ? STEP_TRIALS : (size_t)left;
}

/* Starts a step of the first experiment that one is due for and moves it to the end of the list. */
void steps_kick(struct experiments *experiments) {
    struct experiment *experiment = experiments->first;
    while (experiment != NULL && (!experiment->due || experiment->committing)) {
        experiment = experiment->next;
    }
    if (experiment == NULL || experiments->step != NULL || experiments->draining) {
        return;
    }
    struct step *step = calloc(1, sizeof *step);
    if (step == NULL) {
        return; /* the tick tries again */
    }
    step->task = (struct lane_task){.run = step_run, .finish = step_finish};
    step->experiments = experiments;
    step->experiment = experiment;
    step->state = experiment->row.state;
    step->generation = experiment->generation;
    step->room = room_of(experiments);
    step->cursor = experiment->cursor;
    if (!lanes_submit(experiments->options.lanes, LANE_CHECKS, experiment->row.owner, experiment->row.id,
                      &step->task)) {
        free(step);
        return;
    }
    experiments->step = step;
    experiment->due = false;
    struct experiment **at = &experiments->first; /* to the end of the list */
    while (*at != experiment) {
        at = &(*at)->next;
    }
    *at = experiment->next;
    experiment->next = NULL;
    for (at = &experiments->first; *at != NULL;) {
        at = &(*at)->next;
    }
    *at = experiment;
}

bool step_is_of(const struct experiments *experiments, const struct experiment *experiment) {
    return experiments->step != NULL && experiments->step->experiment == experiment;
}
