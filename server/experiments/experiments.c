/*
 * The life of experiments: see experiments.h.
 *
 * What a step does depends on the state alone: in the state running it creates trials, in the others it acts on the
 * existing jobs. A step that finds nothing left to do leads to the next state. If a client changes the state meanwhile,
 * the step's result is void; the next step starts from what is stored.
 */
#include "server/experiments/experiments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/text.h"
#include "server/base/log.h"

#define WINDOW 200       /* queued and running jobs of one experiment */
#define STEP_TRIALS 64   /* trials that one step creates */
#define STEP_LOOKS 20000 /* trials that one step looks at */
#define STEP_ACTIONS 64  /* jobs that one step acts on */
#define ACTIVE_MOST 1000 /* unfinished experiments at once */
#define REASON_BYTES 200

#define BIT(status) (1u << (status))
#define UNFINISHED (BIT(JOB_QUEUED) | BIT(JOB_RUNNING) | BIT(JOB_PAUSING) | BIT(JOB_PAUSED) | BIT(JOB_CANCELLING))

static const char *const state_names[EXPERIMENT_STATES] = {
    [EXPERIMENT_RUNNING] = "running",     [EXPERIMENT_PAUSED] = "paused",
    [EXPERIMENT_RESUMING] = "running",    [EXPERIMENT_CANCELLING] = "cancelling",
    [EXPERIMENT_DELETING] = "deleting",   [EXPERIMENT_RETRYING] = "running",
    [EXPERIMENT_COMPLETE] = "complete",   [EXPERIMENT_COMPLETE_WITH_FAILURES] = "complete_with_failures",
    [EXPERIMENT_CANCELLED] = "cancelled",
};

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

/* An unfinished experiment. */
struct experiment {
    struct experiment *next;
    struct store_experiment row;
    struct design design;
    size_t cursor; /* all trials before this one exist */
    bool due;
    bool committing; /* a change of its state is in progress */
    char reason[REASON_BYTES];
};

struct experiments {
    struct experiments_options options;
    struct experiment *first;
    struct step *step; /* in progress; NULL: none */
    bool draining;
};

/* A trial that a step has prepared. */
struct prepared {
    struct step *step;
    struct store_trial trial;
    struct admission admission;
    char same[STORE_ID_BYTES]; /* the job that is linked; "": one is created */
};

struct step {
    struct lane_task task; /* first */
    struct experiments *experiments;
    struct experiment *experiment;
    enum experiment_state state; /* as it was when the step started */
    size_t room, cursor;
    /* found */
    int64_t unfinished;
    bool failed;
    bool with_failures;
    char reason[REASON_BYTES]; /* why a trial cannot be created */
    size_t prepared_count, acted_count;
    struct prepared prepared[STEP_TRIALS];
    char acted[STEP_ACTIONS][STORE_ID_BYTES];
    /* on the loop: units and actions in progress, plus one for the loop that counts them */
    size_t waiting;
    bool hindered; /* something was not stored: the next step waits for the tick */
};

const char *experiment_state_name(enum experiment_state state) {
    return state_names[state];
}

static struct experiment *experiment_find(const struct experiments *experiments, const char *id) {
    struct experiment *experiment = experiments->first;
    while (experiment != NULL && strcmp(experiment->row.id, id) != 0) {
        experiment = experiment->next;
    }
    return experiment;
}

const char *experiments_reason(const struct experiments *experiments, const char *id) {
    const struct experiment *experiment = experiment_find(experiments, id);
    return experiment == NULL || experiment->reason[0] == '\0' ? NULL : experiment->reason;
}

static void experiment_remove(struct experiments *experiments, struct experiment *experiment) {
    struct experiment **at = &experiments->first;
    while (*at != experiment) {
        at = &(*at)->next;
    }
    *at = experiment->next;
    design_release(&experiment->design);
    store_experiment_release(&experiment->row);
    free(experiment);
}

/* ---- checking (any thread) ---- */

/* The faults of one point, reported once however many points have them. */
static void faults_take(json_t *seen, const json_t *errors, const char *point) {
    size_t index;
    json_t *error;
    json_array_foreach((json_t *)(uintptr_t)errors, index, error) {
        char key[1200];
        snprintf(key, sizeof key, "%s\n%s", json_string_value(json_object_get(error, "pointer")),
                 json_string_value(json_object_get(error, "detail")));
        json_t *entry = json_object_get(seen, key);
        if (entry == NULL && json_object_size(seen) < PROBLEMS_MAX) {
            json_object_set_new(seen, key, json_pack("{s:s, s:i, s:O}", "point", point, "count", 1, "error", error));
        } else if (entry != NULL) {
            json_object_set_new(entry, "count", json_integer(json_integer_value(json_object_get(entry, "count")) + 1));
        }
    }
}

/* A fault of every point belongs to the base; a fault of some points is reported at the first of them. */
static void faults_tell(json_t *seen, size_t points, struct problems *problems) {
    const char *key;
    json_t *entry;
    json_object_foreach(seen, key, entry) {
        const json_t *error = json_object_get(entry, "error");
        const char *pointer = json_string_value(json_object_get(error, "pointer")),
                   *detail = json_string_value(json_object_get(error, "detail")),
                   *point = json_string_value(json_object_get(entry, "point"));
        int count = (int)json_integer_value(json_object_get(entry, "count"));
        if (problems->errors == NULL) {
            problems->errors = json_array();
        }
        problems->count++;
        bool all = (size_t)count == points;
        json_array_append_new(
            problems->errors,
            json_pack("{s:o, s:o}", "pointer",
                      all ? json_sprintf("/base%s", pointer) : json_sprintf("/points/%s%s", point, pointer), "detail",
                      all || count == 1 ? json_string(detail) : json_sprintf("%s (so do %d points)", detail, count)));
    }
}

static void costs_add(struct experiment_costs *costs, const struct admission *admission, size_t seeds) {
    const struct train_estimate *estimate = &admission->estimate;
    double memory = (double)estimate->memory_bytes + (double)admission->data_bytes;
    costs->multiply_adds += (double)seeds * (estimate->training_multiply_adds + estimate->evaluation_multiply_adds);
    costs->bytes += (double)seeds * jobs_bytes_most(&admission->spec.config, estimate);
    costs->memory = memory > costs->memory ? memory : costs->memory;
}

void experiment_check(const struct design *design, const struct admission_house *house, struct store_reader *reader,
                      bool (*stopped)(void *user), void *user, struct problems *problems,
                      struct experiment_costs *costs) {
    json_t *seen = json_object();
    bool short_of_memory = seen == NULL;
    for (size_t point = 0; point < design->points && !short_of_memory && !stopped(user); point++) {
        char name[STORE_POINT_BYTES];
        struct problems own = {0};
        struct admission admission = {.house = house, .problems = &own};
        json_t *job = design_job(design, point, design->seeds[0]);
        short_of_memory = job == NULL;
        if (job != NULL) {
            admission_check(&admission, reader, job, false);
            short_of_memory = admission.short_of_memory;
        }
        design_name(design, point, name);
        faults_take(seen, own.errors, name);
        if (own.count == 0 && !short_of_memory) {
            costs_add(costs, &admission, design->seed_count);
        }
        admission_release(&admission);
        problems_release(&own);
        json_decref(job);
    }
    faults_tell(seen, design->points, problems);
    json_decref(seen);
    if (short_of_memory) {
        problems_add(problems, NULL, NULL, "not enough memory to check it now; try again");
    }
}

/* ---- a step's work (in the lane) ---- */

static bool count_job(void *user, const char *id, int64_t status) {
    (void)id;
    (void)status;
    ++*(int64_t *)user;
    return true;
}

static bool act_on_job(void *user, const char *id, int64_t status) {
    struct step *step = user;
    (void)status;
    snprintf(step->acted[step->acted_count++], STORE_ID_BYTES, "%s", id);
    return step->acted_count < STEP_ACTIONS;
}

static bool count_failures(void *user, enum job_status status, int64_t count) {
    struct step *step = user;
    step->with_failures = step->with_failures || (count > 0 && status != JOB_SUCCEEDED);
    return true;
}

static struct store_reader *step_reader(const struct step *step) {
    return step->experiments->options.lane_readers[step->task.seat];
}

/* One trial that does not exist yet. False if it cannot be created. */
static bool trial_prepare(struct step *step, struct prepared *prepared) {
    const struct design *design = &step->experiment->design;
    const struct experiments_options *options = &step->experiments->options;
    struct problems problems = {0};
    struct admission *admission = &prepared->admission;
    prepared->step = step;
    *admission = (struct admission){.house = options->house, .problems = &problems};
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
        whole = store_job_same(step_reader(step), admission->digest, admission->spec.config.task.data_sha256,
                               options->build, prepared->same) >= 0;
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

static void step_run(struct lane_task *task) {
    struct step *step = (struct step *)task;
    const struct store_experiment *row = &step->experiment->row;
    const unsigned statuses = step->state == EXPERIMENT_RUNNING ? UNFINISHED : works[step->state].statuses;
    if (step->state != EXPERIMENT_RUNNING) {
        step->failed = store_experiment_jobs(step_reader(step), row->id, row->number, statuses, STEP_ACTIONS,
                                             act_on_job, step) < 0;
        return;
    }
    step->failed = store_experiment_jobs(step_reader(step), row->id, row->number, statuses, WINDOW, count_job,
                                         &step->unfinished) < 0;
    size_t room = step->unfinished >= WINDOW ? 0 : (size_t)(WINDOW - step->unfinished);
    step->room = room < step->room ? room : step->room;
    if (!step->failed) {
        trials_prepare(step);
    }
    if (step->cursor == design_trials(&step->experiment->design) && step->prepared_count == 0 &&
        step->unfinished == 0) {
        step->failed = step->failed ||
                       store_trials_count(step_reader(step), row->id, row->number, count_failures, step) < 0;
    }
}

/* ---- changes of state ---- */

struct change {
    struct experiments *experiments;
    struct experiment *experiment;
    enum experiment_state state;
    jobs_done *done; /* NULL: no client asked */
    void *user;
};

static void kick(struct experiments *experiments);

static bool state_is_final(enum experiment_state state) {
    return state >= EXPERIMENT_COMPLETE;
}

static void change_done(struct store_unit *unit) {
    struct change change = *(struct change *)unit->user;
    struct experiments *experiments = change.experiments;
    struct experiment *experiment = change.experiment;
    char id[STORE_ID_BYTES];
    bool written = unit->result == STORE_WRITTEN, gone = unit->first->kind == STORE_EXPERIMENT_DELETE;
    free(unit->user);
    memcpy(id, experiment->row.id, sizeof id);
    experiment->committing = false;
    if (written) {
        experiment->row.state = change.state;
        experiment->row.finished = gone ? 0 : unit->first->experiment.finished;
        experiment->due = true;
        experiment->cursor = 0; /* what a retry has deleted is before it */
        log_info("experiment", LOG_T("experiment", id), LOG_T("status", gone ? "deleted" : state_names[change.state]));
    } else if (unit->result == STORE_STALLED && !unit->refused) {
        jobs_stall(experiments->options.jobs, unit);
    }
    if ((written && gone) || state_is_final(experiment->row.state)) {
        experiment_remove(experiments, experiment);
    }
    if (change.done != NULL) {
        change.done(change.user,
                    written                         ? JOBS_DONE
                    : unit->result == STORE_STALLED ? JOBS_NO_ROOM
                                                    : JOBS_BROKEN,
                    id, written ? NULL : unit->error);
    }
    kick(experiments);
}

/* The part of the row that a change writes. */
static bool row_copy(struct store_experiment *to, const struct store_experiment *from) {
    *to = *from;
    to->name = strdup(from->name);
    to->notes = strdup(from->notes);
    to->tags = strdup(from->tags);
    to->document = strdup(from->document);
    return to->name != NULL && to->notes != NULL && to->tags != NULL && to->document != NULL;
}

/* Stores the state (or, with `gone`, that the experiment was deleted). `done` may be NULL. */
static void change_submit(struct experiments *experiments, struct experiment *experiment, enum experiment_state state,
                          bool gone, jobs_done *done, void *user) {
    struct change *change = malloc(sizeof *change);
    struct store_unit *unit = change == NULL ? NULL : store_unit_create(change_done, change);
    struct store_item *item = unit == NULL
                                  ? NULL
                                  : store_unit_add(unit, gone ? STORE_EXPERIMENT_DELETE : STORE_EXPERIMENT_SET);
    if (item == NULL || !row_copy(&item->experiment, &experiment->row)) {
        free(change);
        store_unit_free(unit);
        if (done != NULL) {
            done(user, JOBS_BROKEN, experiment->row.id, "out of memory");
        }
        return;
    }
    *change = (struct change){experiments, experiment, state, done, user};
    item->experiment.state = state;
    item->experiment.finished = state_is_final(state) ? clock_unix_milliseconds() : 0;
    unit->frees = state != EXPERIMENT_RUNNING && state != EXPERIMENT_RESUMING && state != EXPERIMENT_RETRYING;
    experiment->committing = true;
    store_submit(experiments->options.store, unit);
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
        if (step->acted_count == 0 && works[step->state].next != step->state) {
            change_submit(experiments, experiment, works[step->state].next, false, NULL, NULL);
        } else if (step->acted_count == 0 && step->state == EXPERIMENT_DELETING) {
            change_submit(experiments, experiment, EXPERIMENT_DELETING, true, NULL, NULL);
        }
    } else if (step->prepared_count == 0 && step->unfinished == 0 &&
               step->cursor == design_trials(&experiment->design)) {
        change_submit(experiments, experiment,
                      step->with_failures ? EXPERIMENT_COMPLETE_WITH_FAILURES : EXPERIMENT_COMPLETE, false, NULL, NULL);
    }
}

/* One of those in progress has come back. */
static void step_count(struct step *step) {
    struct experiments *experiments = step->experiments;
    struct experiment *experiment = step->experiment;
    if (--step->waiting > 0) {
        return;
    }
    bool current = experiment->row.state == step->state && !experiment->committing;
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
    kick(experiments);
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
    step->hindered = step->hindered || unit->result != STORE_WRITTEN;
    if (unit->result == STORE_STALLED && !unit->refused) {
        jobs_stall(step->experiments->options.jobs, unit);
    }
    step_count(step);
}

static void trial_link(struct step *step, struct prepared *prepared) {
    struct store_unit *unit = store_unit_create(on_linked, step);
    struct store_item *item = unit == NULL ? NULL : store_unit_add(unit, STORE_TRIAL_ADD);
    if (item == NULL) {
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
    const struct jobs_submission asked = {.spec = &admission->spec,
                                          .document = admission->text,
                                          .digest = admission->digest,
                                          .data = admission->spec.config.task.data_sha256,
                                          .memory = (int64_t)admission->estimate.memory_bytes,
                                          .owner = step->experiment->row.owner,
                                          .trial = &prepared->trial,
                                          .experiment = step->experiment->row.id};
    admission->text = NULL;
    jobs_submit(step->experiments->options.jobs, &asked, id, on_submitted, prepared);
}

static void step_perform(struct step *step) {
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
    bool current = experiment->row.state == step->state && !experiment->committing;
    step->waiting = 1;
    step->hindered = step->failed || task->outcome != LANE_GO;
    if (step->failed && step->reason[0] != '\0') {
        snprintf(experiment->reason, sizeof experiment->reason, "%s", step->reason);
    }
    if (current && !experiments->draining && task->outcome == LANE_GO) {
        step->waiting += step->prepared_count + step->acted_count;
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
static void kick(struct experiments *experiments) {
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

static void all_due(struct experiments *experiments) {
    for (struct experiment *experiment = experiments->first; experiment != NULL; experiment = experiment->next) {
        experiment->due = true;
    }
    kick(experiments);
}

void experiments_job_ended(struct experiments *experiments) {
    if (experiments != NULL && experiments->first != NULL) {
        all_due(experiments);
    }
}

void experiments_tick(struct experiments *experiments) {
    all_due(experiments);
}

void experiments_drain(struct experiments *experiments) {
    experiments->draining = true;
}

/* ---- what clients ask ---- */

bool experiment_design(const struct store_experiment *row, struct design *design) {
    struct problems problems = {0};
    json_t *document = json_loads(row->document, 0, NULL);
    *design = (struct design){0};
    if (document != NULL) {
        design_read(design, document, &problems);
    }
    bool read = document != NULL && problems.count == 0;
    json_decref(document);
    problems_release(&problems);
    return read;
}

/*
 * Takes ownership of the row, and of its design if given (NULL: it is read from the row). NULL if out of memory, or if
 * the document is damaged.
 */
static struct experiment *experiment_add(struct experiments *experiments, struct store_experiment *row,
                                         struct design *design) {
    struct experiment *experiment = calloc(1, sizeof *experiment);
    bool read = experiment != NULL && (design != NULL || experiment_design(row, &experiment->design));
    if (!read) {
        if (experiment != NULL) {
            design_release(&experiment->design);
        }
        free(experiment);
        return NULL;
    }
    if (design != NULL) {
        experiment->design = *design;
        *design = (struct design){0};
    }
    experiment->row = *row;
    *row = (struct store_experiment){0};
    experiment->due = true;
    experiment->next = experiments->first;
    experiments->first = experiment;
    return experiment;
}

struct creation {
    struct experiments *experiments;
    struct design *design; /* the caller's, until `done` */
    jobs_done *done;
    void *user;
};

static void creation_done(struct store_unit *unit) {
    struct creation creation = *(struct creation *)unit->user;
    struct store_experiment *row = &unit->first->experiment;
    char id[STORE_ID_BYTES];
    free(unit->user);
    memcpy(id, row->id, sizeof id);
    if (unit->result == STORE_WRITTEN) {
        if (experiment_add(creation.experiments, row, creation.design) == NULL) {
            log_warning("not enough memory to run an experiment; it resumes after a restart", LOG_T("experiment", id));
        }
        creation.done(creation.user, JOBS_DONE, id, NULL);
        kick(creation.experiments);
        return;
    }
    if (unit->result == STORE_STALLED && !unit->refused) {
        jobs_stall(creation.experiments->options.jobs, unit);
    }
    creation.done(creation.user, unit->result == STORE_STALLED ? JOBS_NO_ROOM : JOBS_BROKEN, id, unit->error);
}

static bool creation_fill(struct experiments *experiments, struct store_unit *unit,
                          const struct experiments_submission *asked) {
    struct store_item *item = store_unit_add(unit, STORE_EXPERIMENT_ADD),
                      *key = item != NULL && asked->key != NULL ? store_unit_add(unit, STORE_KEY_ADD) : NULL;
    const struct design *design = asked->design;
    if (item == NULL || (asked->key != NULL && key == NULL)) {
        free(asked->document);
        return false;
    }
    struct store_experiment *row = &item->experiment;
    *row = (struct store_experiment){.state = EXPERIMENT_RUNNING,
                                     .created = clock_unix_milliseconds(),
                                     .points = (int64_t)design->points,
                                     .trials = (int64_t)design_trials(design),
                                     .name = strdup(design->name),
                                     .notes = strdup(design->notes),
                                     .tags = design->tags == NULL ? strdup("[]") : json_text(design->tags, NULL),
                                     .document = asked->document};
    jobs_id_make(experiments->options.jobs, row->id);
    snprintf(row->owner, sizeof row->owner, "%s", asked->owner);
    if (key != NULL) {
        key->key = (struct store_key){.key = strdup(asked->key), .created = row->created};
        memcpy(key->key.job, row->id, sizeof key->key.job);
        snprintf(key->key.body, sizeof key->key.body, "%s", asked->body);
    }
    return row->name != NULL && row->notes != NULL && row->tags != NULL && row->document != NULL &&
           (key == NULL || key->key.key != NULL);
}

static size_t active_count(const struct experiments *experiments) {
    size_t count = 0;
    for (const struct experiment *e = experiments->first; e != NULL; e = e->next) {
        count++;
    }
    return count;
}

void experiments_submit(struct experiments *experiments, const struct experiments_submission *asked, jobs_done *done,
                        void *user) {
    if (active_count(experiments) >= ACTIVE_MOST) {
        free(asked->document);
        done(user, JOBS_CROWDED, "", "as many experiments go on as may at once (1000); wait until one is complete");
        return;
    }
    struct creation *creation = malloc(sizeof *creation);
    struct store_unit *unit = creation == NULL ? NULL : store_unit_create(creation_done, creation);
    if (unit == NULL) {
        free(asked->document);
    }
    if (unit == NULL || !creation_fill(experiments, unit, asked)) {
        free(creation);
        store_unit_free(unit);
        done(user, JOBS_BROKEN, "", "out of memory");
        return;
    }
    *creation = (struct creation){experiments, asked->design, done, user};
    store_submit(experiments->options.store, unit);
}

#define STATE(state) (1u << (state))
#define GOING_ON (STATE(EXPERIMENT_RUNNING) | STATE(EXPERIMENT_RESUMING) | STATE(EXPERIMENT_RETRYING))

/* From which states an action leads to which. */
static const struct {
    const char *past;
    unsigned from;
    enum experiment_state to;
} actions[] = {
    [EXPERIMENTS_PAUSE] = {"paused", GOING_ON | STATE(EXPERIMENT_PAUSED), EXPERIMENT_PAUSED},
    [EXPERIMENTS_RESUME] = {"resumed", STATE(EXPERIMENT_PAUSED), EXPERIMENT_RESUMING},
    [EXPERIMENTS_CANCEL] = {"cancelled",
                            GOING_ON | STATE(EXPERIMENT_PAUSED) | STATE(EXPERIMENT_CANCELLING) |
                                STATE(EXPERIMENT_CANCELLED),
                            EXPERIMENT_CANCELLING},
    [EXPERIMENTS_RETRY] = {"retried", STATE(EXPERIMENT_COMPLETE_WITH_FAILURES) | STATE(EXPERIMENT_CANCELLED),
                           EXPERIMENT_RETRYING},
    [EXPERIMENTS_DELETE] = {"deleted",
                            STATE(EXPERIMENT_COMPLETE) | STATE(EXPERIMENT_COMPLETE_WITH_FAILURES) |
                                STATE(EXPERIMENT_CANCELLED),
                            EXPERIMENT_DELETING},
};

static void refuse(const struct store_experiment *row, enum experiments_action action, jobs_done *done, void *user) {
    char detail[160];
    snprintf(detail, sizeof detail, "the experiment is %s and cannot be %s%s", state_names[row->state],
             actions[action].past, action == EXPERIMENTS_DELETE ? "; cancel it first" : "");
    done(user, JOBS_CONFLICT, row->id, detail);
}

/* Reads a final one, which continues if the action allows it. NULL, after answering, if it does not. */
static struct experiment *experiment_wake(struct experiments *experiments, const char *id,
                                          enum experiments_action action, jobs_done *done, void *user) {
    struct store_experiment row;
    struct experiment *experiment = NULL;
    int found = store_experiment_read(experiments->options.reader, id, &row);
    if (found != 1) {
        done(user, found == 0 ? JOBS_UNKNOWN : JOBS_BROKEN, id, found == 0 ? NULL : "the database cannot be read");
        return NULL;
    }
    if ((actions[action].from & STATE(row.state)) == 0) {
        refuse(&row, action, done, user);
    } else if (action == EXPERIMENTS_CANCEL) {
        done(user, JOBS_DONE, id, NULL); /* it is cancelled */
    } else if ((experiment = experiment_add(experiments, &row, NULL)) == NULL) {
        done(user, JOBS_BROKEN, id, "out of memory");
    } else {
        experiment->due = false; /* until its state has changed */
        return experiment;
    }
    store_experiment_release(&row);
    return NULL;
}

void experiments_act(struct experiments *experiments, const char *id, enum experiments_action action, jobs_done *done,
                     void *user) {
    struct experiment *experiment = experiment_find(experiments, id);
    if (experiment == NULL) {
        experiment = experiment_wake(experiments, id, action, done, user);
        if (experiment == NULL) {
            return;
        }
    }
    if (experiment->row.state == EXPERIMENT_DELETING) {
        done(user, JOBS_UNKNOWN, id, NULL);
    } else if (experiment->committing) {
        done(user, JOBS_CONFLICT, id, "the experiment's state is about to change; try again");
    } else if ((actions[action].from & STATE(experiment->row.state)) == 0) {
        refuse(&experiment->row, action, done, user);
    } else if (experiment->row.state == actions[action].to) {
        done(user, JOBS_DONE, id, NULL);
    } else {
        change_submit(experiments, experiment, actions[action].to, false, done, user);
    }
}

/* ---- start and end ---- */

static bool experiment_recover(void *user, const struct store_experiment *found) {
    struct store_experiment row;
    if (!row_copy(&row, found) || experiment_add(user, &row, NULL) == NULL) {
        store_experiment_release(&row);
        return false;
    }
    return true;
}

struct experiments *experiments_create(const struct experiments_options *options, char error[STORE_ERROR_BYTES]) {
    struct experiments *experiments = calloc(1, sizeof *experiments);
    if (experiments == NULL) {
        snprintf(error, STORE_ERROR_BYTES, "out of memory");
        return NULL;
    }
    experiments->options = *options;
    int count = store_experiments_list(options->reader, INT64_MAX, ACTIVE_MOST, true, experiment_recover, experiments);
    if (count < 0 || (size_t)count != active_count(experiments)) {
        snprintf(error, STORE_ERROR_BYTES, "the experiments in the database cannot be read");
        experiments_destroy(experiments);
        return NULL;
    }
    return experiments;
}

void experiments_destroy(struct experiments *experiments) {
    if (experiments == NULL) {
        return;
    }
    while (experiments->first != NULL) {
        experiment_remove(experiments, experiments->first);
    }
    free(experiments);
}
