/*
 * Keeping what trials have found: when the job of a trial ends, its outcome and a table of its curves are stored apart
 * from it (store.h: store_finding). Statistics read that, and it outlasts the job, which retention may then delete.
 *
 * Which jobs are left to be kept is a list in the store, so a crash loses none. A round reads some of it in a lane and
 * makes the tables; the loop then stores them. A round is due when a job ends or is linked, and each second until one
 * finds nothing; a full one is followed by the next. Loop thread, except for the round's own work.
 */
#ifndef MODPROP_SERVER_ARCHIVE_H
#define MODPROP_SERVER_ARCHIVE_H

#include "server/base/lanes.h"
#include "server/jobs/jobs.h"

struct archive {
    struct store *store;
    struct store_reader **lane_readers;
    struct lanes *lanes;
    struct jobs *jobs;
    struct archive_round *round; /* in progress; NULL: none */
    bool due;                    /* something has ended since the round began */
    bool settled;                /* the last round found nothing */
    bool draining;               /* no more rounds */
};

/* Starts a round, or lets one follow that in progress. */
void archive_kick(struct archive *archive);
/* Each second. */
void archive_tick(struct archive *archive);

#endif
