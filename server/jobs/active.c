/*
 * Entries: active jobs in memory, and what of them goes to the store.
 *
 * Whatever changes a job is a unit of the active job: rows and events that are committed together or not at all.
 * active_commit makes the most important unit (status, row and event in one); an attempt's records are others. If a
 * unit cannot be made, the active job is lost (unit_failed): no unit follows it, because that would leave a gap. What
 * is committed is published and counted here; life.c decides what follows (unit_done).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/event.h"
#include "server/datasets/catalog.h"
#include "server/jobs/internal.h"
#include "server/base/log.h"

/* ---- the list ---- */

int64_t clock_unix_milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct active_job *active_find(const struct jobs *jobs, const char *id) {
    struct active_job *active = jobs->active;
    while (active != NULL && strcmp(active->job.id, id) != 0) {
        active = active->next;
    }
    return active;
}

struct active_job *active_add(struct jobs *jobs, struct store_job *job) {
    struct active_job *active = calloc(1, sizeof *active);
    struct parked *reserved = calloc(1, sizeof *reserved);
    if (active == NULL || reserved == NULL) {
        free(active);
        free(reserved);
        store_job_release(job);
        return NULL;
    }
    active->jobs = jobs;
    active->executor = jobs->options.executor;
    active->reserved = reserved;
    active->job = *job;
    active->stored = job->status;
    active->bytes = job->bytes;
    active->state = state_of_row(job->status);
    active->state.draining = jobs->draining;
    active->next = jobs->active;
    jobs->active = active;
    return active;
}

void active_remove(struct active_job *active) {
    struct active_job **at = &active->jobs->active;
    while (*at != active) {
        at = &(*at)->next;
    }
    *at = active->next;
    store_job_release(&active->job);
    free(active->reserved);
    free(active);
}

char *text_copy(const char *text) {
    return text == NULL ? NULL : strdup(text);
}

void job_row_copy(struct store_job *to, const struct store_job *from) {
    *to = *from;
    to->document = to->history = to->brief = to->name = to->notes = to->tags = NULL;
    to->task = to->rule = to->request = NULL;
    to->error_code = text_copy(from->error_code);
    to->error_detail = text_copy(from->error_detail);
    to->build = text_copy(from->build);
    to->isa = text_copy(from->isa);
}

/* ---- counting ---- */

const char *const jobs_failure_names[JOBS_FAILURES] = {
    "diverged",       "time_limit", "not_reproducible", "crashed",  "no_memory",
    "bad_checkpoint", "invalid",    "dataset_changed",  "internal", "other"};

/* A change of status that is durable now. */
static void change_count(struct jobs_counts *counts, const struct store_job *job) {
    if (job->status == JOB_RUNNING && job->attempt == 1) {
        histogram_add(&counts->waits, (double)(job->started - job->created) * 1e-3);
    }
    if (job_status_is_final(job->status) && job->trained > 0) {
        histogram_add(&counts->runs[job->status], job->trained);
    }
    if (job->status == JOB_FAILED) {
        size_t code = 0;
        while (code < JOBS_FAILURES - 1 &&
               (job->error_code == NULL || strcmp(job->error_code, jobs_failure_names[code]) != 0)) {
            code++;
        }
        counts->failed[code]++;
    }
}

/* A job's position in the queue, after a change of its status that is durable now. */
static void change_queue(struct jobs *jobs, const struct store_job *job, enum job_status before,
                         enum job_status after) {
    if (before == JOB_QUEUED) {
        queue_remove(jobs->queue, job->priority, job->number);
    } else if (after == JOB_QUEUED && !queue_add(jobs->queue, job)) {
        jobs->queue_short = true;
        log_warning("not enough memory to queue a job", LOG_T("job", job->id));
    }
}

/* Rows show what was committed; the active job may be ahead by now. */
static void unit_count(struct active_job *active, const struct store_unit *unit) {
    struct jobs_counts *counts = &active->jobs->counts;
    for (const struct store_item *item = unit->first; item != NULL; item = item->next) {
        if (item->kind == STORE_EVENT_ADD && strcmp(item->event.job, active->job.id) == 0) {
            active->bytes = item->event.job_bytes;
        } else if (item->kind == STORE_JOB_DELETE) {
            counts->jobs[active->stored]--;
            catalog_release(datasets_catalog(active->jobs->options.datasets), active->job.dataset_sha256);
        } else if (item->kind == STORE_JOB_SET && item->job.status != active->stored) {
            counts->jobs[active->stored]--;
            counts->jobs[item->job.status]++;
            change_queue(active->jobs, &active->job, active->stored, item->job.status);
            active->stored = item->job.status;
            change_count(counts, &item->job);
        }
    }
}

void active_count(struct active_job *active) {
    struct jobs_counts *counts = &active->jobs->counts;
    struct attempt_view view;
    if (active->attempt == NULL) {
        return;
    }
    active_operations(active)->look(active->attempt, &view);
    int64_t more = view.updates - active->counted; /* 0 until its thread has read the job */
    active->counted = view.updates;
    if (more > 0) {
        counts->iterations[view.task][view.rule] += (uint64_t)more;
        counts->trials[view.task][view.rule] += (uint64_t)more * (uint64_t)view.batch_size;
    }
}

const struct jobs_counts *jobs_counts(struct jobs *jobs) {
    for (struct active_job *active = jobs->active; active != NULL; active = active->next) {
        active_count(active);
    }
    return &jobs->counts;
}

/* ---- units ---- */

struct stream_event stream_event_of(const struct store_event *event) {
    return (struct stream_event){.job = event->job,
                                 .id = event->id,
                                 .seq = event->seq,
                                 .type = event->type,
                                 .terminal = event->terminal,
                                 .succeeded = event->succeeded,
                                 .json = event->json,
                                 .size = strlen(event->json)};
}

void events_publish(struct jobs *jobs, const struct store_unit *unit) {
    for (const struct store_item *item = unit->first; item != NULL; item = item->next) {
        if (item->kind == STORE_EVENT_ADD) {
            const struct stream_event event = stream_event_of(&item->event);
            jobs->options.publish(jobs->options.user, &event);
        }
    }
}

void active_reason_set(struct active_job *active, const char *reason) {
    snprintf(active->reason, sizeof active->reason, "%.*s", REASON_BYTES - 1, reason);
}

static void unit_done(struct store_unit *unit) {
    struct unit_context context = *(struct unit_context *)unit->user;
    struct jobs *jobs = context.active->jobs;
    free(unit->user);
    context.active->units--;
    if (unit->result == STORE_WRITTEN) {
        events_publish(jobs, unit);
        unit_count(context.active, unit);
    } else {
        jobs->queued -= context.queued;
    }
    jobs->unit_done(&context, unit);
}

struct store_unit *active_unit(struct active_job *active, struct attempt *attempt, bool changes) {
    struct unit_context *context = malloc(sizeof *context);
    struct store_unit *unit = context != NULL ? store_unit_create(unit_done, context) : NULL;
    if (unit == NULL) {
        free(context);
        return NULL;
    }
    *context = (struct unit_context){.active = active, .attempt = attempt, .changes = changes};
    return unit;
}

/* Texts of events are made even when memory is short. */
static bool unit_is_filled(const struct store_unit *unit) {
    const struct store_item *item = unit->first;
    while (item != NULL && (item->kind != STORE_EVENT_ADD || item->event.json != NULL)) {
        item = item->next;
    }
    return item == NULL;
}

bool active_submit(struct active_job *active, struct store_unit *unit) {
    const struct unit_context *context = unit->user;
    if (!unit_is_filled(unit)) {
        active_discard(active, unit);
        return false;
    }
    active->units++;
    active->jobs->queued += context->queued;
    store_submit(active->jobs->options.store, unit);
    return true;
}

void active_discard(struct active_job *active, struct store_unit *unit) {
    if (unit != NULL) {
        free(unit->user);
        store_unit_free(unit);
    }
    active_reason_set(active, "out of memory");
    active->jobs->unit_failed(active);
}

struct store_event *active_event(struct active_job *active, struct store_unit *unit, enum event_type type,
                                 struct event_head *head) {
    struct store_item *item = store_unit_add(unit, STORE_EVENT_ADD);
    if (item == NULL) {
        return NULL;
    }
    struct store_event *event = &item->event;
    event->seq = ++active->jobs->seq;
    event->id = ++active->job.events;
    event->time = clock_unix_milliseconds();
    event->iteration = -1;
    memcpy(event->job, active->job.id, sizeof event->job);
    snprintf(event->type, sizeof event->type, "%s", event_kinds[type].name);
    *head = (struct event_head){.job = active->job.id, .id = event->id, .seq = event->seq, .time = event->time};
    return event;
}

/* ---- changes ---- */

char *job_status_text(const struct event_head *head, const struct store_job *job, const char *reason) {
    bool final = job_status_is_final(job->status);
    struct event_status status = {.status = job_status_name(job->status),
                                  .reason = reason,
                                  .attempt = job->attempt,
                                  .final = final,
                                  .weights = job->status == JOB_SUCCEEDED,
                                  .iteration = job->iteration,
                                  .loss = job->loss,
                                  .accuracy = job->accuracy,
                                  .outcome = job->status == JOB_SUCCEEDED ? outcome_name(job->loss, job->initial_loss)
                                                                          : NULL,
                                  .weights_sha256 = *job->weights_sha256 != '\0' ? job->weights_sha256 : NULL,
                                  .error_code = job->error_code,
                                  .error_detail = job->error_detail,
                                  .error_iteration = job->error_iteration};
    return event_status_text(head, &status);
}

/* Whatever the clock says, no job ends before it starts. */
static void times_set(struct store_job *job) {
    int64_t now = clock_unix_milliseconds();
    if (job->status == JOB_RUNNING && job->started == 0) {
        job->started = now > job->created ? now : job->created;
    }
    if (job_status_is_final(job->status)) {
        int64_t least = job->started > job->created ? job->started : job->created;
        job->finished = now > least ? now : least;
    }
}

struct store_event *jobs_event_add(struct jobs *jobs, struct store_unit *unit, const char *of, enum event_type type,
                                   struct event_head *head) {
    struct store_item *item = store_unit_add(unit, STORE_EVENT_ADD);
    if (item == NULL) {
        return NULL;
    }
    struct store_event *event = &item->event;
    *event = (struct store_event){
        .seq = ++jobs->seq, .id = STORE_EVENT_UNNUMBERED, .time = clock_unix_milliseconds(), .iteration = -1};
    snprintf(event->job, sizeof event->job, "%.36s", of);
    snprintf(event->type, sizeof event->type, "%s", event_kinds[type].name);
    *head = (struct event_head){.job = of, .seq = event->seq, .time = event->time};
    return event;
}

void jobs_publish(struct jobs *jobs, const struct store_unit *unit) {
    events_publish(jobs, unit);
}

/* The end of a job that an experiment made is the end of a trial, in one commit. False if out of memory. */
static bool trial_event_add(struct active_job *active, struct store_unit *unit) {
    const struct store_job *job = &active->job;
    struct event_head head;
    struct store_event *event = jobs_event_add(active->jobs, unit, job->experiment, EVENT_TRIAL, &head);
    const struct event_trial trial = {
        .experiment = job->experiment,
        .point = job->point,
        .seed = job->seed,
        .job = job->id,
        .status = job_status_name(job->status),
        .outcome = job->status == JOB_SUCCEEDED ? outcome_name(job->loss, job->initial_loss) : NULL,
        .iteration = job->iteration,
        .loss = job->loss,
        .accuracy = job->accuracy};
    if (event != NULL) {
        event->json = event_trial_text(&head, &trial);
    }
    return event != NULL;
}

bool active_commit(struct active_job *active) {
    struct store_job *job = &active->job;
    enum job_status status = active->state.status;
    int queued = (status == JOB_QUEUED) - (job->status == JOB_QUEUED);
    const char *reason = *active->reason != '\0' ? active->reason : NULL;
    job->status = status;
    times_set(job);
    struct store_unit *unit = active_unit(active, NULL, true);
    struct store_item *row = unit != NULL ? store_unit_add(unit, STORE_JOB_SET) : NULL;
    struct event_head head;
    struct store_event *event = row != NULL ? active_event(active, unit, EVENT_STATUS, &head) : NULL;
    if (event == NULL) {
        active_discard(active, unit);
        return false;
    }
    ((struct unit_context *)unit->user)->queued = queued;
    unit->frees = status == JOB_PAUSING || status == JOB_PAUSED || status == JOB_CANCELLING || status == JOB_CANCELLED;
    job_row_copy(&row->job, job);
    event->terminal = job_status_is_final(status);
    event->succeeded = status == JOB_SUCCEEDED;
    event->json = job_status_text(&head, job, reason);
    if (event->terminal && job->point[0] != '\0' && !trial_event_add(active, unit)) {
        active_discard(active, unit);
        return false;
    }
    log_info("job", LOG_T("job", job->id), LOG_T("status", job_status_name(status)), LOG_I("attempt", job->attempt),
             LOG_T("reason", reason), LOG_T("error", job->error_code), LOG_T("request_id", job->request));
    active->reason[0] = '\0';
    return active_submit(active, unit);
}

bool active_commit_deletion(struct active_job *active) {
    struct store_unit *unit = active_unit(active, NULL, true);
    struct store_item *gone = unit != NULL ? store_unit_add(unit, STORE_JOB_DELETE) : NULL;
    struct event_head head;
    struct store_event *event = gone != NULL ? active_event(active, unit, EVENT_DELETED, &head) : NULL;
    if (event == NULL) {
        active_discard(active, unit);
        return false;
    }
    unit->frees = true;
    memcpy(gone->job.id, active->job.id, sizeof gone->job.id);
    event->terminal = true;
    event->json = event_deleted_text(&head);
    return active_submit(active, unit);
}

void active_error_set(struct active_job *active, const char *code, const char *detail, int64_t iteration) {
    struct store_job *job = &active->job;
    free(job->error_code);
    free(job->error_detail);
    job->error_code = text_copy(code);
    job->error_detail = text_copy(detail);
    job->error_iteration = iteration;
}

void active_isa_record(struct active_job *active, const char *name) {
    struct store_job *job = &active->job;
    char text[128];
    const char *last = job->isa != NULL ? strrchr(job->isa, ',') : NULL;
    last = last != NULL ? last + 1 : job->isa;
    if (last != NULL && strcmp(last, name) == 0) {
        return;
    }
    bool follows = last != NULL && (job->progressed > 0 || strcmp(name, ISA_DEVICE) == 0);
    snprintf(text, sizeof text, "%s%s%s", follows ? job->isa : "", follows ? "," : "", name);
    free(job->isa);
    job->isa = text_copy(text);
}
