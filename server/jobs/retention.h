/*
 * Retention: finished jobs are deleted some days after their end (--keep-days), and those that finished first while the
 * store takes more than its bound (--keep-bytes). A deletion is the same as a client's: durable, and reported by an
 * event. Queued, running and paused jobs are never touched.
 *
 * Ages depend on the clock, and a clock can be wrong: when it has jumped by more than an hour, no job is deleted
 * because of its age for a day.
 *
 * Loop thread. Embedded; all zero except for its two bounds is a valid start.
 */
#ifndef MODPROP_SERVER_RETENTION_H
#define MODPROP_SERVER_RETENTION_H

#include "server/jobs/jobs.h"

struct retention {
    int64_t days;      /* 0: for ever */
    int64_t bytes;     /* 0: no bound */
    struct jobs *jobs; /* of the last tick, as the next two */
    struct store_reader *reader;
    int64_t before;     /* jobs that ended before this are deleted, Unix ms; INT64_MIN: none because of its age */
    int deleting;       /* deletions in progress */
    bool more;          /* the round was full: another one follows */
    int64_t offset;     /* Unix ms minus ms since boot, at the last look; 0: none yet */
    uint64_t ages_from; /* ms, monotonic: until then no job is deleted because of its age */
};

/* Each second; `now` monotonic milliseconds. */
void retention_tick(struct retention *retention, struct jobs *jobs, struct store_reader *reader, uint64_t now);

#endif
