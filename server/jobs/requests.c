/*
 * What clients ask of jobs: submissions and actions. Each is answered once: refused at once, or when what it changes is
 * durable.
 *
 * An action on a job whose change is under way waits in its entry's line, since what it may do depends on how that
 * ends; entry_settle calls waiters_settle then. The table `steps` says what each action does in each status.
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
static void id_make(struct jobs *jobs, char id[STORE_ID_BYTES]) {
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
        queue_add(jobs->queue, job->priority, job->number);
        submission->done(submission->user, JOBS_DONE, submission->id, NULL);
        jobs_schedule(jobs);
    } else {
        jobs->queued--;
        if (unit->result == STORE_STALLED) {
            jobs_stall(jobs, unit);
        }
        submission->done(submission->user, unit->result == STORE_STALLED ? JOBS_NO_ROOM : JOBS_BROKEN, submission->id,
                         unit->error);
    }
    free(submission);
}

static bool submission_fill(struct jobs *jobs, struct store_unit *unit, const struct jobs_submission *asked,
                            const char *id) {
    const struct job_spec *spec = asked->spec;
    const char *key = asked->key;
    struct store_item *item = store_unit_add(unit, STORE_JOB_ADD),
                      *said = item != NULL ? store_unit_add(unit, STORE_EVENT_ADD) : NULL;
    struct store_item *kept = said != NULL && key != NULL ? store_unit_add(unit, STORE_KEY_ADD) : NULL;
    if (said == NULL || (key != NULL && kept == NULL)) {
        free(asked->document);
        return false;
    }
    int64_t now = clock_unix_milliseconds();
    struct store_job *job = &item->job;
    *job = (struct store_job){.document = asked->document,
                              .name = strdup(spec->name),
                              .task = strdup(task_type_name(spec->config.task.type)),
                              .rule = strdup(rule_type_name(spec->config.rule.type)),
                              .priority = spec->priority,
                              .created = now,
                              .attempt = 1,
                              .iterations = spec->config.training.iterations,
                              .memory = asked->memory,
                              .loss = NAN,
                              .accuracy = NAN,
                              .initial_loss = NAN,
                              .request = text_copy(asked->request)};
    snprintf(job->digest, sizeof job->digest, "%s", asked->digest);
    snprintf(job->dataset_sha256, sizeof job->dataset_sha256, "%s", asked->data);
    memcpy(job->id, id, sizeof job->id);
    struct event_head head = {.job = id, .id = 1, .seq = ++jobs->seq, .time = now};
    said->event = (struct store_event){.seq = head.seq,
                                       .id = 1,
                                       .time = now,
                                       .iteration = -1,
                                       .type = "status",
                                       .json = job_status_text(&head, job, NULL)};
    memcpy(said->event.job, id, sizeof said->event.job);
    if (kept != NULL) {
        kept->key = (struct store_key){.key = strdup(key), .created = now};
        memcpy(kept->key.job, id, sizeof kept->key.job);
        snprintf(kept->key.body, sizeof kept->key.body, "%s", asked->body);
    }
    return job->document != NULL && job->digest[0] != '\0' && job->name != NULL && job->task != NULL &&
           job->rule != NULL && said->event.json != NULL && (kept == NULL || kept->key.key != NULL);
}

void jobs_submit(struct jobs *jobs, const struct jobs_submission *asked, char id[STORE_ID_BYTES], jobs_done *done,
                 void *user) {
    id_make(jobs, id);
    if (jobs->queued >= jobs->options.max_queued) {
        free(asked->document);
        done(user, JOBS_CROWDED, id, "the queue is full");
        return;
    }
    struct submission *submission = malloc(sizeof *submission);
    struct store_unit *unit = submission != NULL ? store_unit_create(submission_done, submission) : NULL;
    if (unit == NULL) {
        free(asked->document);
    }
    if (unit == NULL || !submission_fill(jobs, unit, asked, id)) {
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

/* ---- actions ---- */

static const char *const action_names[] = {"cancelled", "paused", "resumed", "deleted"};

/* What an action does to a job in a status. */
enum step {
    REFUSE, /* conflict */
    KEEP,   /* it is so already */
    TO_CANCELLED,
    TO_CANCELLING,
    TO_PAUSED,
    TO_PAUSING,
    TO_QUEUED,
    TO_RESUME_LATER,
    TO_NOTHING
};

static const enum step steps[][JOB_STATUSES] = {
    /*
     *                queued        running        pausing          paused        cancelling  succeeded   failed
     * cancelled
     */
    [JOBS_CANCEL] = {TO_CANCELLED, TO_CANCELLING, TO_CANCELLING, TO_CANCELLED, KEEP, REFUSE, REFUSE, KEEP},
    [JOBS_PAUSE] = {TO_PAUSED, TO_PAUSING, KEEP, KEEP, REFUSE, REFUSE, REFUSE, REFUSE},
    [JOBS_RESUME] = {KEEP, KEEP, TO_RESUME_LATER, TO_QUEUED, REFUSE, REFUSE, REFUSE, REFUSE},
    [JOBS_DELETE] = {REFUSE, REFUSE, REFUSE, REFUSE, REFUSE, TO_NOTHING, TO_NOTHING, TO_NOTHING},
};

static void entry_delete(struct entry *entry) {
    struct store_unit *unit = entry_unit(entry, NULL, true);
    struct store_item *gone = unit != NULL ? store_unit_add(unit, STORE_JOB_DELETE) : NULL;
    struct event_head head;
    struct store_event *event = gone != NULL ? entry_event(entry, unit, "deleted", &head) : NULL;
    if (event == NULL) {
        entry_discard(entry, unit);
        return;
    }
    memcpy(gone->job.id, entry->job.id, sizeof gone->job.id);
    event->terminal = true;
    event->json = event_deleted_text(&head);
    entry->deleted = true;
    entry_submit(entry, unit);
}

static void step_take(struct entry *entry, enum step step) {
    switch (step) {
    case TO_CANCELLED:
        entry_change(entry, JOB_CANCELLED, NULL);
        break;
    case TO_CANCELLING:
        entry_change(entry, JOB_CANCELLING, NULL);
        if (entry->worker != NULL) {
            worker_stop(entry->worker, STOP_CANCEL);
        }
        break;
    case TO_PAUSED:
        entry_change(entry, JOB_PAUSED, NULL);
        break;
    case TO_PAUSING:
        entry_change(entry, JOB_PAUSING, NULL);
        if (entry->worker != NULL) {
            worker_stop(entry->worker, STOP_PAUSE);
        }
        break;
    case TO_QUEUED:
        entry_queue_again(entry, NULL);
        break;
    case TO_RESUME_LATER:
        entry->resume_after_pause = true;
        break;
    case TO_NOTHING:
        entry_delete(entry);
        break;
    case REFUSE:
    case KEEP:
        break;
    }
}

static void waiter_append(struct entry *entry, struct waiter *waiter) {
    struct waiter **at = &entry->waiting;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    waiter->next = NULL;
    *at = waiter;
}

static void waiter_finish(struct entry *entry, struct waiter *waiter, enum jobs_result result, const char *detail) {
    waiter->done(waiter->user, result, entry->job.id, detail);
    free(waiter);
}

static void action_do(struct entry *entry, struct waiter *waiter) {
    char detail[128];
    enum step step = steps[waiter->action][entry->job.status];
    if (step == REFUSE) {
        snprintf(detail, sizeof detail, "the job has the status %s and cannot be %s%s",
                 job_status_name(entry->job.status), action_names[waiter->action],
                 waiter->action == JOBS_DELETE ? "; cancel it first" : "");
        waiter_finish(entry, waiter, JOBS_CONFLICT, detail);
        return;
    }
    step_take(entry, step);
    if (entry->changing) {
        /* first in the line again: its answer goes out with the commit */
        waiter->taken = true;
        waiter->next = entry->waiting;
        entry->waiting = waiter;
    } else if (entry->lost) {
        waiter_finish(entry, waiter, JOBS_NO_ROOM, entry->reason);
    } else {
        waiter_finish(entry, waiter, JOBS_DONE, NULL);
    }
}

void waiters_answer(struct entry *entry, enum jobs_result result, const char *detail) {
    while (entry->waiting != NULL) {
        struct waiter *waiter = entry->waiting;
        entry->waiting = waiter->next;
        waiter_finish(entry, waiter, result, detail);
    }
}

void waiters_settle(struct entry *entry) {
    while (!entry->changing && !entry->lost && entry->waiting != NULL) {
        struct waiter *waiter = entry->waiting;
        entry->waiting = waiter->next;
        if (waiter->taken) {
            waiter_finish(entry, waiter, JOBS_DONE, NULL);
        } else if (entry->deleted) {
            waiter_finish(entry, waiter, JOBS_UNKNOWN, "there is no such job");
        } else {
            action_do(entry, waiter);
        }
    }
    if (entry->lost) { /* before, or by what one of them asked */
        waiters_answer(entry, JOBS_NO_ROOM, entry->reason);
    }
}

void jobs_act(struct jobs *jobs, const char *id, enum jobs_action action, jobs_done *done, void *user) {
    struct entry *entry = entry_find(jobs, id);
    struct waiter *waiter = malloc(sizeof *waiter);
    struct store_job job;
    if (waiter != NULL && entry == NULL) {
        int found = store_job_read(jobs->options.reader, id, &job);
        if (found != 1) {
            free(waiter);
            done(user, found == 0 ? JOBS_UNKNOWN : JOBS_BROKEN, id,
                 found == 0 ? "there is no such job" : "the database cannot be read");
            return;
        }
        entry = entry_add(jobs, &job);
    }
    if (entry == NULL || waiter == NULL) {
        free(waiter);
        done(user, JOBS_BROKEN, id, "out of memory");
        return;
    }
    *waiter = (struct waiter){.action = action, .done = done, .user = user};
    waiter_append(entry, waiter);
    entry_settle(entry);
}
