/*
 * Requests of clients: submissions and actions. Each is answered once: refused at once, or when its change is durable.
 * state.c decides what an action does; an action on a job with a change in progress waits in its list
 * (life.c).
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "api/event.h"
#include "server/jobs/internal.h"
#include "server/base/log.h"

/* ---- submission ---- */

#define PROGRESS_BYTES (1100 + STORE_EVENT_OVERHEAD) /* with every diagnostic, and what must be reproduced */
#define CHECKPOINT_EVENT_BYTES (360 + STORE_EVENT_OVERHEAD)
#define OTHER_BYTES (256 << 10) /* the job itself, its status events and its log */

double jobs_bytes_most(const struct train_config *config, const struct train_estimate *estimate) {
    double iterations = (double)config->training.iterations, bytes = (double)estimate->checkpoint_bytes;
    double every = config->training.evaluate_every > 0 ? (double)config->training.evaluate_every : 1.0;
    double evaluations = iterations / every + 2;
    double checkpoints = iterations / (double)config->training.checkpoint_every + 2;
    double kept = checkpoints < config->training.keep_checkpoints ? checkpoints : config->training.keep_checkpoints;
    return OTHER_BYTES + evaluations * PROGRESS_BYTES + checkpoints * CHECKPOINT_EVENT_BYTES +
           (kept + 1) * (bytes + STORE_CHECKPOINT_OVERHEAD) + 4 * bytes; /* the document with given weights */
}

struct submission {
    struct jobs *jobs;
    char id[STORE_ID_BYTES];
    jobs_done *done;
    void *user;
};

/*
 * UUIDv7 (RFC 9562): milliseconds, then a counter within the millisecond so that ids of one daemon ascend, then random
 * bits.
 */
void jobs_id_make(struct jobs *jobs, char id[STORE_ID_BYTES]) {
    unsigned char random[8] = {0};
    int64_t now = clock_unix_milliseconds();
    if (now > jobs->last_time) {
        jobs->last_time = now;
        jobs->id_counter = 0;
    } else if (++jobs->id_counter > 0xfff) {
        jobs->last_time++;
        jobs->id_counter = 0;
    }
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        log_warning("the system gave no random bytes for a job's id");
    }
    unsigned long long time = (unsigned long long)jobs->last_time;
    snprintf(id, STORE_ID_BYTES, "%08llx-%04llx-7%03x-%02x%02x-%02x%02x%02x%02x%02x%02x", time >> 16 & 0xffffffff,
             time & 0xffff, jobs->id_counter, (random[0] & 0x3f) | 0x80, random[1], random[2], random[3], random[4],
             random[5], random[6], random[7]);
}

static void submission_done(struct store_unit *unit) {
    struct submission *submission = unit->user;
    struct jobs *jobs = submission->jobs;
    if (unit->result == STORE_WRITTEN) {
        events_publish(jobs, unit);
        jobs->counts.jobs[JOB_QUEUED]++;
        const struct store_job *job = &unit->first->job; /* with the number that it was given */
        jobs->queue_short = !queue_add(jobs->queue, job) || jobs->queue_short;
        submission->done(submission->user, JOBS_DONE, submission->id, NULL);
        jobs->moved(jobs);
    } else {
        jobs->queued--;
        if (unit->result == STORE_STALLED && !unit->refused) {
            jobs_stall(jobs, unit);
        }
        submission->done(submission->user, unit->result == STORE_STALLED ? JOBS_NO_ROOM : JOBS_BROKEN, submission->id,
                         unit->error);
    }
    free(submission);
}

/*
 * Whose turns the job shares. Its place in an experiment that made it is in the job's own unit: neither is ever there
 * without the other.
 */
static bool experiment_fill(struct store_unit *unit, const struct jobs_submission *given, struct store_job *job) {
    const char *named = json_string_value(json_object_get(given->spec->metadata, "experiment"));
    snprintf(job->experiment, sizeof job->experiment, "%s", named == NULL ? "" : named);
    struct store_item *item = given->trial == NULL ? NULL : store_unit_add(unit, STORE_TRIAL_ADD);
    if (item == NULL) {
        return given->trial == NULL;
    }
    item->trial = *given->trial;
    item->trial.made = true;
    memcpy(item->trial.job, job->id, sizeof item->trial.job);
    memcpy(job->point, given->trial->point, sizeof job->point);
    snprintf(job->experiment, sizeof job->experiment, "%s", given->experiment);
    return true;
}

void jobs_inherited_release(struct jobs_inherited *inherited) {
    free(inherited->checkpoint.bytes);
    free(inherited->history);
    *inherited = (struct jobs_inherited){0};
}

/* An extended job is stored with the checkpoint that it continues from, and shows how far that one is. */
static bool inheritance_fill(struct store_unit *unit, struct jobs_inherited *inherited, struct store_job *job) {
    struct store_item *set = store_unit_add(unit, STORE_JOB_SET),
                      *checkpoint = set != NULL ? store_unit_add(unit, STORE_CHECKPOINT_ADD) : NULL;
    if (checkpoint == NULL) {
        return false;
    }
    job->history = inherited->history;
    inherited->history = NULL;
    checkpoint->checkpoint = inherited->checkpoint;
    inherited->checkpoint.bytes = NULL;
    memcpy(checkpoint->checkpoint.job, job->id, sizeof job->id);
    checkpoint->checkpoint.created = job->created;
    job->iteration = inherited->iteration;
    job->progressed = checkpoint->checkpoint.iteration;
    job->loss = inherited->loss;
    job->accuracy = inherited->accuracy;
    job->initial_loss = inherited->initial_loss;
    job_row_copy(&set->job, job);
    return true;
}

/* The row of the job; what of its texts is missing for lack of memory is NULL. */
static void job_fill(struct store_job *job, const struct jobs_submission *given, const char *id, int64_t now) {
    const struct job_spec *spec = given->spec;
    const struct caption *caption = &spec->caption;
    *job = (struct store_job){.document = given->document,
                              .name = strdup(caption->name == NULL ? "" : caption->name),
                              .notes = strdup(caption->notes == NULL ? "" : caption->notes),
                              .tags = strdup(caption->tags == NULL ? "[]" : caption->tags),
                              .seed = (int64_t)spec->config.seed,
                              .task = strdup(task_type_name(spec->config.task.type)),
                              .rule = strdup(rule_type_name(spec->config.rule.type)),
                              .priority = spec->priority,
                              .created = now,
                              .attempt = 1,
                              .iterations = spec->config.training.iterations,
                              .memory = given->memory,
                              .loss = NAN,
                              .accuracy = NAN,
                              .initial_loss = NAN,
                              .request = text_copy(given->request)};
    memcpy(job->id, id, sizeof job->id);
    snprintf(job->digest, sizeof job->digest, "%s", given->digest);
    snprintf(job->identity, sizeof job->identity, "%s", given->identity == NULL ? "" : given->identity);
    snprintf(job->dataset_sha256, sizeof job->dataset_sha256, "%s", given->data);
    snprintf(job->owner, sizeof job->owner, "%s", given->owner);
}

/* None of its texts is missing. */
static bool job_is_whole(const struct store_job *job) {
    return job->document != NULL && job->digest[0] != '\0' && job->name != NULL && job->notes != NULL &&
           job->tags != NULL && job->task != NULL && job->rule != NULL;
}

static bool submission_fill(struct jobs *jobs, struct store_unit *unit, const struct jobs_submission *given,
                            const char *id) {
    const char *key = given->key;
    struct store_item *item = store_unit_add(unit, STORE_JOB_ADD),
                      *event_item = item != NULL ? store_unit_add(unit, STORE_EVENT_ADD) : NULL;
    struct store_item *kept = event_item != NULL && key != NULL ? store_unit_add(unit, STORE_KEY_ADD) : NULL;
    if (event_item == NULL || (key != NULL && kept == NULL)) {
        free(given->document);
        return false;
    }
    int64_t now = clock_unix_milliseconds();
    struct store_job *job = &item->job;
    job_fill(job, given, id, now);
    if (!experiment_fill(unit, given, job) ||
        (given->inherited != NULL && !inheritance_fill(unit, given->inherited, job))) {
        return false;
    }
    struct event_head head = {.job = id, .id = 1, .seq = ++jobs->seq, .time = now};
    event_item->event = (struct store_event){.seq = head.seq,
                                             .id = 1,
                                             .time = now,
                                             .iteration = -1,
                                             .type = "status",
                                             .json = job_status_text(&head, job, NULL)};
    memcpy(event_item->event.job, id, sizeof event_item->event.job);
    if (kept != NULL) {
        kept->key = (struct store_key){.key = strdup(key), .created = now};
        memcpy(kept->key.job, id, sizeof kept->key.job);
        snprintf(kept->key.body, sizeof kept->key.body, "%s", given->body);
    }
    return job_is_whole(job) && event_item->event.json != NULL && (kept == NULL || kept->key.key != NULL);
}

static void submit(struct jobs *jobs, const struct jobs_submission *given, char id[STORE_ID_BYTES], jobs_done *done,
                   void *user) {
    jobs_id_make(jobs, id);
    if (jobs->queued >= jobs->options.max_queued) {
        free(given->document);
        done(user, JOBS_CROWDED, id, "the queue is full (--max-queued)");
        return;
    }
    if (jobs->options.owner_queued > 0 && queue_count(jobs->queue, given->owner) >= jobs->options.owner_queued) {
        free(given->document);
        done(user, JOBS_CROWDED, id, "this token has the most queued jobs that it may have (--max-token-queued)");
        return;
    }
    struct submission *submission = malloc(sizeof *submission);
    struct store_unit *unit = submission != NULL ? store_unit_create(submission_done, submission) : NULL;
    if (unit == NULL) {
        free(given->document);
    }
    if (unit == NULL || !submission_fill(jobs, unit, given, id)) {
        free(submission);
        store_unit_free(unit);
        done(user, JOBS_BROKEN, id, "out of memory");
        return;
    }
    *submission = (struct submission){.jobs = jobs, .done = done, .user = user};
    memcpy(submission->id, id, sizeof submission->id);
    jobs->queued++;
    store_submit(jobs->options.store, unit);
}

void jobs_submit(struct jobs *jobs, const struct jobs_submission *given, char id[STORE_ID_BYTES], jobs_done *done,
                 void *user) {
    struct jobs_inherited inherited = {0};
    struct jobs_submission copy = *given;
    if (given->inherited != NULL) { /* `done` may free the caller's */
        inherited = *given->inherited;
        *given->inherited = (struct jobs_inherited){0};
        copy.inherited = &inherited;
    }
    submit(jobs, &copy, id, done, user);
    jobs_inherited_release(&inherited); /* what the unit did not take over */
}

/* ---- actions ---- */

void jobs_act(struct jobs *jobs, const char *id, enum jobs_action action, jobs_done *done, void *user) {
    struct active_job *active = active_find(jobs, id);
    struct waiter *waiter = malloc(sizeof *waiter);
    struct store_job job;
    if (waiter != NULL && active == NULL) {
        int found = store_job_read(jobs->options.reader, id, &job);
        if (found != 1) {
            free(waiter);
            done(user, found == 0 ? JOBS_UNKNOWN : JOBS_BROKEN, id,
                 found == 0 ? "there is no such job" : "the database cannot be read");
            return;
        }
        active = active_add(jobs, &job);
    }
    if (active == NULL || waiter == NULL) {
        free(waiter);
        done(user, JOBS_BROKEN, id, "out of memory");
        return;
    }
    *waiter = (struct waiter){.action = action, .since = clock_seconds(), .done = done, .user = user};
    active_ask(active, waiter);
}
