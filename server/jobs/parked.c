/*
 * Parked jobs: those that were stopped through no fault of their own and will resume by themselves.
 *
 * A full disk (or anything else that keeps the store from writing) stops all running jobs; a shortage of memory or
 * descriptors stops the job that met it. Nothing that was committed is lost: a job's id is kept here with the reason,
 * and its row is read again when it may resume (driver.c). A disk is tested with one write at a time. What one job
 * lacked may be lacking for long, and retrying each second would fill its events: it is left for HINDERED_MILLISECONDS.
 * The next job in the queue would lack it too, and the whole queue might end up here within a moment: nothing is
 * started for PAUSE_MILLISECONDS.
 */
#include <stdlib.h>
#include <string.h>

#include "server/jobs/internal.h"

#define HINDERED_MILLISECONDS 10000
#define PAUSE_MILLISECONDS 1000

bool jobs_are_stalled(const struct jobs *jobs) {
    return jobs->disk_full || store_is_full(jobs->options.store, NULL);
}

struct parked *parked_find(const struct jobs *jobs, const char *id) {
    struct parked *parked = jobs->parked;
    while (parked != NULL && strcmp(parked->id, id) != 0) {
        parked = parked->next;
    }
    return parked;
}

void parked_add(struct jobs *jobs, struct active_job *active) {
    struct parked **at = &jobs->parked, *parked = parked_find(jobs, active->job.id);
    if (parked != NULL) {
        parked->stopped = parked->stopped || active->stopped;
        return;
    }
    while (*at != NULL) {
        at = &(*at)->next;
    }
    uint64_t now = clock_milliseconds();
    parked = active->reserved;
    memcpy(parked->id, active->job.id, sizeof parked->id);
    parked->number = active->job.number;
    parked->due = jobs->disk_full ? 0 : now + HINDERED_MILLISECONDS;
    parked->stopped = active->stopped;
    jobs->start_at = now + PAUSE_MILLISECONDS;
    memcpy(parked->reason, active->reason, sizeof parked->reason);
    *at = parked;
    active->reserved = NULL;
}

struct parked *parked_take(struct jobs *jobs, uint64_t now) {
    struct parked **at = &jobs->parked;
    /* it is active: its last unit, or an action on it, is in progress */
    while (*at != NULL && ((*at)->due > now || active_find(jobs, (*at)->id) != NULL)) {
        at = &(*at)->next;
    }
    struct parked *parked = *at;
    if (parked != NULL) {
        *at = parked->next;
    }
    return parked;
}

void parked_put_back(struct jobs *jobs, struct parked *parked, uint64_t now) {
    parked->due = now + HINDERED_MILLISECONDS;
    parked->next = jobs->parked;
    jobs->parked = parked;
}

void parked_release(struct jobs *jobs) {
    for (struct parked *parked = jobs->parked, *next; parked != NULL; parked = next) {
        next = parked->next;
        free(parked);
    }
}
