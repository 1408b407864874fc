/*
 * The life of experiments: changes of their state and specification, and what clients ask. See experiments.h.
 *
 * An experiment has at most one change in progress. What clients ask meanwhile waits for it, in order.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/event.h"
#include "api/text.h"
#include "server/base/log.h"
#include "server/experiments/internal.h"

#define ACTIVE_MOST 1000 /* unfinished experiments at once */

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
    design_release(&experiment->grown);
    store_experiment_release(&experiment->row);
    free(experiment);
}

/* ---- changes ---- */

struct change {
    struct experiments *experiments;
    struct experiment *experiment;
    enum experiment_state state;
    const struct experiments_edit *edit; /* NULL: of the state alone */
    jobs_done *done;                     /* NULL: no client asked */
    void *user;
};

static void askings_take(struct experiments *experiments);

static bool state_is_final(enum experiment_state state) {
    return state >= EXPERIMENT_COMPLETE;
}

/* The edited specification is durable: it is the experiment's from now on, and for a step from its end on. */
static void edit_take(struct experiments *experiments, struct experiment *experiment,
                      const struct experiments_edit *edit, struct store_experiment *row) {
    struct store_experiment before = experiment->row;
    experiment->row.name = row->name;
    experiment->row.notes = row->notes;
    experiment->row.tags = row->tags;
    experiment->row.document = row->document;
    experiment->row.points = row->points;
    experiment->row.trials = row->trials;
    row->name = before.name; /* to be freed with the unit */
    row->notes = before.notes;
    row->tags = before.tags;
    row->document = before.document;
    design_release(&experiment->grown);
    experiment->grown = *edit->design;
    *edit->design = (struct design){0};
    if (!step_is_of(experiments, experiment)) {
        experiment_grow(experiment);
    }
}

static void change_take(const struct change *change, struct store_unit *unit, bool gone) {
    struct experiment *experiment = change->experiment;
    if (change->state != experiment->row.state || gone) {
        log_info("experiment", LOG_T("experiment", experiment->row.id),
                 LOG_T("status", gone ? "deleted" : experiment_state_name(change->state)));
    }
    experiment->row.state = change->state;
    experiment->row.finished = gone ? 0 : unit->first->experiment.finished;
    experiment->generation++;
    experiment->due = true;
    experiment->cursor = 0; /* what a retry has deleted, or an edit has added, may be before it */
    if (change->edit != NULL) {
        edit_take(change->experiments, experiment, change->edit, &unit->first->experiment);
    }
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
        change_take(&change, unit, gone);
    } else if (unit->result == STORE_STALLED && !unit->refused) {
        jobs_stall(experiments->options.jobs, unit);
    }
    if ((written && gone) || state_is_final(experiment->row.state)) {
        experiment_remove(experiments, experiment);
    }
    if (written) {
        jobs_publish(experiments->options.jobs, unit); /* which may start a step */
    }
    if (change.done != NULL) {
        change.done(change.user,
                    written                         ? JOBS_DONE
                    : unit->result == STORE_STALLED ? JOBS_NO_ROOM
                                                    : JOBS_BROKEN,
                    id, written ? NULL : unit->error);
    }
    askings_take(experiments);
    steps_kick(experiments);
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

/* What a design and its text give for a row. False if out of memory. */
static bool row_fill(struct store_experiment *row, const struct design *design, char *document) {
    row->points = (int64_t)design->points;
    row->trials = (int64_t)design_trials(design);
    row->name = strdup(design->name);
    row->notes = strdup(design->notes);
    row->tags = design->tags == NULL ? strdup("[]") : json_text(design->tags, NULL);
    row->document = document;
    return row->name != NULL && row->notes != NULL && row->tags != NULL && row->document != NULL;
}

static bool change_fill(struct store_experiment *row, const struct experiment *experiment,
                        const struct change *change) {
    const struct experiments_edit *edit = change->edit;
    if (edit == NULL && !row_copy(row, &experiment->row)) {
        return false;
    }
    if (edit != NULL) {
        *row = experiment->row;
        if (!row_fill(row, edit->design, strdup(edit->document))) {
            return false;
        }
    }
    row->state = change->state;
    row->finished = !state_is_final(change->state)           ? 0
                    : experiment->row.state == change->state ? experiment->row.finished
                                                             : clock_unix_milliseconds();
    return true;
}

/* The event of an experiment's new status or extent, in the unit that changes it. False if out of memory. */
static bool event_fill(struct experiments *experiments, struct store_unit *unit, const struct store_experiment *row,
                       bool gone) {
    struct event_head head;
    struct store_event *event = jobs_event_add(experiments->options.jobs, unit, row->id, EVENT_EXPERIMENT, &head);
    if (event == NULL) {
        return false;
    }
    event->terminal = gone || state_is_final(row->state);
    event->json = event_experiment_text(&head, gone ? "deleted" : experiment_state_name(row->state), NULL, row->points,
                                        row->trials);
    return event->json != NULL;
}

/* Whether clients see that something else goes on than before. */
static bool change_is_seen(const struct change *change) {
    const char *before = experiment_state_name(change->experiment->row.state),
               *after = experiment_state_name(change->state);
    return strcmp(before, after) != 0 || (change->edit != NULL && change->edit->grown);
}

/* Stores what `wanted` says (or, with `gone`, that the experiment was deleted). */
static void change_submit(const struct change *wanted, bool gone) {
    struct change *change = malloc(sizeof *change);
    struct experiment *experiment = wanted->experiment;
    struct store_unit *unit = change == NULL ? NULL : store_unit_create(change_done, change);
    struct store_item *item = unit == NULL
                                  ? NULL
                                  : store_unit_add(unit, gone ? STORE_EXPERIMENT_DELETE : STORE_EXPERIMENT_SET);
    if (item == NULL || !change_fill(&item->experiment, experiment, wanted) ||
        ((gone || change_is_seen(wanted)) && !event_fill(wanted->experiments, unit, &item->experiment, gone))) {
        free(change);
        store_unit_free(unit);
        if (wanted->done != NULL) {
            wanted->done(wanted->user, JOBS_BROKEN, experiment->row.id, "out of memory");
        }
        if (state_is_final(experiment->row.state)) {
            experiment_remove(wanted->experiments, experiment);
        }
        return;
    }
    *change = *wanted;
    enum experiment_state state = wanted->state;
    unit->frees = wanted->edit == NULL && state != EXPERIMENT_RUNNING && state != EXPERIMENT_RESUMING &&
                  state != EXPERIMENT_RETRYING;
    experiment->committing = true;
    store_submit(wanted->experiments->options.store, unit);
}

/* For steps: without a client that asked. */
static void state_change(struct experiments *experiments, struct experiment *experiment, enum experiment_state state,
                         bool gone) {
    const struct change change = {.experiments = experiments, .experiment = experiment, .state = state};
    change_submit(&change, gone);
}

static void all_due(struct experiments *experiments) {
    for (struct experiment *experiment = experiments->first; experiment != NULL; experiment = experiment->next) {
        experiment->due = true;
    }
    steps_kick(experiments);
}

void experiments_job_ended(struct experiments *experiments) {
    if (experiments != NULL && experiments->first != NULL) {
        all_due(experiments);
    }
    if (experiments != NULL) {
        archive_kick(&experiments->archive);
    }
}

void experiments_tick(struct experiments *experiments) {
    all_due(experiments);
    archive_tick(&experiments->archive);
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
        jobs_publish(creation.experiments->options.jobs, unit);
        if (experiment_add(creation.experiments, row, creation.design) == NULL) {
            log_warning("not enough memory to run an experiment; it resumes after a restart", LOG_T("experiment", id));
        }
        creation.done(creation.user, JOBS_DONE, id, NULL);
        steps_kick(creation.experiments);
        return;
    }
    if (unit->result == STORE_STALLED && !unit->refused) {
        jobs_stall(creation.experiments->options.jobs, unit);
    }
    creation.done(creation.user, unit->result == STORE_STALLED ? JOBS_NO_ROOM : JOBS_BROKEN, id, unit->error);
}

static bool creation_fill(struct experiments *experiments, struct store_unit *unit,
                          const struct experiments_submission *submission) {
    struct store_item *item = store_unit_add(unit, STORE_EXPERIMENT_ADD),
                      *key = item != NULL && submission->key != NULL ? store_unit_add(unit, STORE_KEY_ADD) : NULL;
    if (item == NULL || (submission->key != NULL && key == NULL)) {
        free(submission->document);
        return false;
    }
    struct store_experiment *row = &item->experiment;
    *row = (struct store_experiment){.state = EXPERIMENT_RUNNING, .created = clock_unix_milliseconds()};
    bool filled = row_fill(row, submission->design, submission->document);
    jobs_id_make(experiments->options.jobs, row->id);
    snprintf(row->owner, sizeof row->owner, "%s", submission->owner);
    if (key != NULL) {
        key->key = (struct store_key){.key = strdup(submission->key), .created = row->created};
        memcpy(key->key.job, row->id, sizeof key->key.job);
        snprintf(key->key.body, sizeof key->key.body, "%s", submission->body);
    }
    return filled && (key == NULL || key->key.key != NULL) && event_fill(experiments, unit, row, false);
}

static size_t active_count(const struct experiments *experiments) {
    size_t count = 0;
    for (const struct experiment *e = experiments->first; e != NULL; e = e->next) {
        count++;
    }
    return count;
}

void experiments_submit(struct experiments *experiments, const struct experiments_submission *submission,
                        jobs_done *done, void *user) {
    if (active_count(experiments) >= ACTIVE_MOST) {
        free(submission->document);
        done(user, JOBS_CROWDED, "",
             "1000 experiments are unfinished, as many as are allowed; wait until one has ended");
        return;
    }
    struct creation *creation = malloc(sizeof *creation);
    struct store_unit *unit = creation == NULL ? NULL : store_unit_create(creation_done, creation);
    if (unit == NULL) {
        free(submission->document);
    }
    if (unit == NULL || !creation_fill(experiments, unit, submission)) {
        free(creation);
        store_unit_free(unit);
        done(user, JOBS_BROKEN, "", "out of memory");
        return;
    }
    *creation = (struct creation){experiments, submission->design, done, user};
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
    snprintf(detail, sizeof detail, "the experiment is %s and cannot be %s%s", experiment_state_name(row->state),
             actions[action].past, action == EXPERIMENTS_DELETE ? "; cancel it first" : "");
    done(user, JOBS_CONFLICT, row->id, detail);
}

/* What a client asks: an action, or an edit. */
struct asking {
    struct asking *next;
    char id[STORE_ID_BYTES + 1]; /* one more than an id has, so that what is too long stays unknown */
    enum experiments_action action;
    const struct experiments_edit *edit; /* NULL: the action */
    jobs_done *done;
    void *user;
};

/* The state that an edit leads to. False, after answering, if it is not allowed. */
static bool edit_state(const struct store_experiment *row, const struct asking *asking, enum experiment_state *to) {
    char detail[200];
    bool complete = row->state == EXPERIMENT_COMPLETE || row->state == EXPERIMENT_COMPLETE_WITH_FAILURES;
    *to = asking->edit->grown && complete ? EXPERIMENT_RUNNING : row->state;
    if (strcmp(asking->edit->before, row->document) != 0) {
        asking->done(asking->user, JOBS_CONFLICT, row->id,
                     "another request changed the experiment at the same time; try again");
        return false;
    }
    if (asking->edit->grown && (row->state == EXPERIMENT_CANCELLING || row->state == EXPERIMENT_CANCELLED)) {
        snprintf(detail, sizeof detail, "the experiment is %s and cannot be extended; retry it first",
                 experiment_state_name(row->state));
        asking->done(asking->user, JOBS_CONFLICT, row->id, detail);
        return false;
    }
    return true;
}

/* The state that an action leads to. False, after answering, if nothing is to be changed. */
static bool action_state(const struct store_experiment *row, const struct asking *asking, enum experiment_state *to) {
    *to = actions[asking->action].to;
    if ((actions[asking->action].from & STATE(row->state)) == 0) {
        refuse(row, asking->action, asking->done, asking->user);
        return false;
    }
    if (row->state == *to || (asking->action == EXPERIMENTS_CANCEL && row->state == EXPERIMENT_CANCELLED)) {
        asking->done(asking->user, JOBS_DONE, row->id, NULL);
        return false;
    }
    return true;
}

static bool asked_state(const struct store_experiment *row, const struct asking *asking, enum experiment_state *to) {
    return asking->edit != NULL ? edit_state(row, asking, to) : action_state(row, asking, to);
}

/* Reads a final one, which is changed. NULL, after answering, if it is not there, or not to be changed. */
static struct experiment *experiment_wake(struct experiments *experiments, const struct asking *asking) {
    struct store_experiment row;
    struct experiment *experiment = NULL;
    enum experiment_state to;
    int found = store_experiment_read(experiments->options.reader, asking->id, &row);
    if (found != 1) {
        asking->done(asking->user, found == 0 ? JOBS_UNKNOWN : JOBS_BROKEN, asking->id,
                     found == 0 ? NULL : "the database cannot be read");
        return NULL;
    }
    if (asked_state(&row, asking, &to)) {
        experiment = experiment_add(experiments, &row, NULL);
        if (experiment == NULL) {
            asking->done(asking->user, JOBS_BROKEN, asking->id, "out of memory");
        } else {
            experiment->due = false; /* until it has changed */
        }
    }
    if (experiment == NULL) {
        store_experiment_release(&row);
    }
    return experiment;
}

/* Answers, or lets it wait for the change that is in progress. */
static void asking_perform(struct experiments *experiments, struct asking *asking) {
    struct experiment *experiment = experiment_find(experiments, asking->id);
    struct change change = {
        .experiments = experiments, .edit = asking->edit, .done = asking->done, .user = asking->user};
    if (experiment != NULL && experiment->committing) {
        struct asking **end = &experiments->asking;
        while (*end != NULL) {
            end = &(*end)->next;
        }
        asking->next = NULL;
        *end = asking;
        return;
    }
    if (experiment == NULL) {
        experiment = experiment_wake(experiments, asking);
    } else if (experiment->row.state == EXPERIMENT_DELETING) {
        asking->done(asking->user, JOBS_UNKNOWN, asking->id, NULL);
        experiment = NULL;
    }
    if (experiment != NULL && asked_state(&experiment->row, asking, &change.state)) {
        change.experiment = experiment;
        change_submit(&change, false);
    }
    free(asking);
}

/* What has waited for a change: what still has to wait waits again, in the same order. */
static void askings_take(struct experiments *experiments) {
    struct asking *asking = experiments->asking;
    experiments->asking = NULL;
    while (asking != NULL) {
        struct asking *next = asking->next;
        asking_perform(experiments, asking);
        asking = next;
    }
}

static void ask(struct experiments *experiments, const char *id, const struct asking *wanted) {
    struct asking *asking = malloc(sizeof *asking);
    if (asking == NULL) {
        wanted->done(wanted->user, JOBS_BROKEN, id, "out of memory");
        return;
    }
    *asking = *wanted;
    snprintf(asking->id, sizeof asking->id, "%.37s", id);
    asking_perform(experiments, asking);
}

void experiments_act(struct experiments *experiments, const char *id, enum experiments_action action, jobs_done *done,
                     void *user) {
    const struct asking wanted = {.action = action, .done = done, .user = user};
    ask(experiments, id, &wanted);
}

void experiments_edit(struct experiments *experiments, const char *id, const struct experiments_edit *edit,
                      jobs_done *done, void *user) {
    const struct asking wanted = {.edit = edit, .done = done, .user = user};
    ask(experiments, id, &wanted);
}

/* ---- start and end ---- */

void experiments_drain(struct experiments *experiments) {
    experiments->draining = experiments->archive.draining = true;
    while (experiments->asking != NULL) {
        struct asking *asking = experiments->asking;
        experiments->asking = asking->next;
        asking->done(asking->user, JOBS_CLOSING, asking->id, "the daemon is shutting down");
        free(asking);
    }
}

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
    experiments->state_change = state_change;
    experiments->archive = (struct archive){
        .store = options->store, .lane_readers = options->lane_readers, .lanes = options->lanes, .jobs = options->jobs};
    int count = store_experiments_active(options->reader, INT64_MAX, ACTIVE_MOST, experiment_recover, experiments);
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
