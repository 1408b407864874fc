/*
 * Stalled jobs: those that were stopped through no fault of their own, and go on by themselves.
 *
 * A full disk (or whatever else keeps the store from writing) stops all that run; want of memory, of a thread or of
 * descriptors stops the one that met it. Nothing is lost that was committed: a job's id is kept here with the reason,
 * and its row is read again when it may go on. A disk is tried by one write every RETRY_MILLISECONDS: one stalled job
 * is queued again; where that fails all is as before, else the others follow, one a tick. What one job alone lacked may
 * be lacking for long, and trying each second would fill its events: it is left for HINDERED_MILLISECONDS. The next in
 * the queue would lack it too, and the whole queue might come here within a moment: nothing is started for
 * PAUSE_MILLISECONDS.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/jobs/internal.h"
#include "server/base/log.h"

#define RETRY_MILLISECONDS 2000
#define HINDERED_MILLISECONDS 10000
#define PAUSE_MILLISECONDS 1000

bool jobs_are_stalled(const struct jobs *jobs) {
    return jobs->disk_full;
}

struct stalled *stalled_find(const struct jobs *jobs, const char *id) {
    struct stalled *stalled = jobs->stalled;
    while (stalled != NULL && strcmp(stalled->id, id) != 0) {
        stalled = stalled->next;
    }
    return stalled;
}

void stalled_add(struct jobs *jobs, struct entry *entry) {
    struct stalled **at = &jobs->stalled, *stalled = entry->place;
    if (stalled_find(jobs, entry->job.id) != NULL) {
        return;
    }
    while (*at != NULL) {
        at = &(*at)->next;
    }
    uint64_t now = clock_milliseconds();
    memcpy(stalled->id, entry->job.id, sizeof stalled->id);
    stalled->due = jobs->disk_full ? 0 : now + HINDERED_MILLISECONDS;
    jobs->start_at = now + PAUSE_MILLISECONDS;
    memcpy(stalled->reason, entry->reason, sizeof stalled->reason);
    *at = stalled;
    entry->place = NULL;
}

void jobs_stall(struct jobs *jobs, const struct store_unit *unit) {
    const char *reason = unit->error;
    if (!jobs->disk_full) {
        log_error("writing failed; jobs stop until it succeeds", LOG_T("reason", reason));
    }
    jobs->disk_full = true;
    snprintf(jobs->reason, sizeof jobs->reason, "%.*s", REASON_BYTES - 1, reason);
    jobs->retry_at = clock_milliseconds() + RETRY_MILLISECONDS;
    for (struct entry *entry = jobs->entries; entry != NULL; entry = entry->next) {
        if (entry->units > 0) {
            entry_lose(entry,
                       reason); /* what is under way of it has failed too, or may have: the next would leave a gap */
        } else if (entry->worker != NULL) {
            worker_stop(entry->worker, STOP_STALL);
        }
    }
    store_failure_handled(jobs->options.store, unit);
}

/* Queues a stalled job again, or ends what it was in the midst of. False for want of memory. */
static bool stalled_resume(struct jobs *jobs, const struct stalled *stalled) {
    struct store_job job;
    int found = store_job_read(jobs->options.reader, stalled->id, &job);
    if (found != 1) {
        return found == 0;
    }
    if (job.status == JOB_QUEUED || job.status == JOB_PAUSED || job_status_is_final(job.status)) {
        store_job_release(&job);
        return true;
    }
    struct entry *entry = entry_add(jobs, &job);
    if (entry == NULL) {
        return false;
    }
    entry_rest(entry, stalled->reason);
    bool changing = !entry->lost;
    if (!changing) {
        entry_remove(entry);
    }
    return changing;
}

static void stalled_retry(struct jobs *jobs, uint64_t now) {
    struct stalled **at = &jobs->stalled;
    /* an entry: its last unit, or an action on it, is under way */
    while (*at != NULL && ((*at)->due > now || entry_find(jobs, (*at)->id) != NULL)) {
        at = &(*at)->next;
    }
    struct stalled *stalled = *at;
    jobs->disk_full = jobs->disk_full && jobs->stalled != NULL && stalled == NULL;
    if (stalled == NULL) {
        jobs_schedule(jobs);
        return;
    }
    *at = stalled->next; /* while it is there, no entry of it begins */
    if (stalled_resume(jobs, stalled)) {
        free(stalled);
    } else {
        stalled->due = now + HINDERED_MILLISECONDS;
        stalled->next = jobs->stalled;
        jobs->stalled = stalled;
    }
}

void stalled_tick(struct jobs *jobs, uint64_t now) {
    bool is_due = jobs->disk_full ? now >= jobs->retry_at : jobs->stalled != NULL;
    if (is_due && !jobs->draining) {
        jobs->retry_at = now + RETRY_MILLISECONDS;
        stalled_retry(jobs, now);
    }
}

void stalled_release(struct jobs *jobs) {
    for (struct stalled *stalled = jobs->stalled, *next; stalled != NULL; stalled = next) {
        next = stalled->next;
        free(stalled);
    }
}
