/*
 * Captions of jobs: a change of name, notes or tags. No active job takes part in it, so that a job may be renamed
 * whatever happens to it, and neither its events nor their digest change. Loop thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/event.h"
#include "server/jobs/internal.h"

struct captioning {
    struct jobs *jobs;
    char id[STORE_ID_BYTES];
    jobs_done *done;
    void *user;
};

static void captioning_done(struct store_unit *unit) {
    struct captioning captioning = *(struct captioning *)unit->user;
    enum jobs_result result = unit->result == STORE_WRITTEN  ? JOBS_DONE
                              : unit->result == STORE_FAILED ? JOBS_UNKNOWN /* it was deleted meanwhile */
                                                             : JOBS_NO_ROOM;
    free(unit->user);
    if (result == JOBS_DONE) {
        events_publish(captioning.jobs, unit);
    } else if (result == JOBS_NO_ROOM && !unit->refused) {
        jobs_stall(captioning.jobs, unit);
    }
    captioning.done(captioning.user, result, captioning.id, unit->error);
}

/* False if out of memory. */
static bool unit_fill(struct jobs *jobs, struct store_unit *unit, const char *id, const struct caption *caption) {
    struct store_item *row = store_unit_add(unit, STORE_JOB_CAPTION),
                      *event_item = row == NULL ? NULL : store_unit_add(unit, STORE_EVENT_ADD);
    if (event_item == NULL) {
        return false;
    }
    struct store_job *job = &row->job;
    job->name = text_copy(caption->name);
    job->notes = text_copy(caption->notes);
    job->tags = text_copy(caption->tags);
    snprintf(job->id, sizeof job->id, "%s", id);
    struct store_event *event = &event_item->event;
    *event = (struct store_event){.seq = ++jobs->seq, .time = clock_unix_milliseconds(), .iteration = -1};
    const struct event_head head = {.job = job->id, .id = 0, .seq = event->seq, .time = event->time};
    memcpy(event->job, job->id, sizeof event->job);
    snprintf(event->type, sizeof event->type, "%s", event_kinds[EVENT_CHANGED].name);
    event->json = event_changed_text(&head);
    return event->json != NULL && (caption->name == NULL || job->name != NULL) &&
           (caption->notes == NULL || job->notes != NULL) && (caption->tags == NULL || job->tags != NULL);
}

void jobs_caption(struct jobs *jobs, const char *id, const struct caption *caption, jobs_done *done, void *user) {
    if (jobs->draining) {
        done(user, JOBS_CLOSING, id, NULL);
        return;
    }
    struct captioning *captioning = malloc(sizeof *captioning);
    struct store_unit *unit = captioning == NULL ? NULL : store_unit_create(captioning_done, captioning);
    if (unit == NULL || !unit_fill(jobs, unit, id, caption)) {
        free(captioning);
        store_unit_free(unit);
        done(user, JOBS_BROKEN, id, "out of memory");
        return;
    }
    *captioning = (struct captioning){.jobs = jobs, .done = done, .user = user};
    snprintf(captioning->id, sizeof captioning->id, "%s", id);
    store_submit(jobs->options.store, unit);
}
