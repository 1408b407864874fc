/*
 * Work: what a long computation does, counted in multiply-adds, and when it checks the stop word.
 *
 * Any loop over more than a million operations adds what it has done, at least once per WORK_LOOK operations where
 * possible, and ends if that returns true; its caller discards what it has written. Counting costs one addition and one
 * comparison per kernel call. No result depends on it.
 *
 * Owner: one thread. The members of a team count separately (core/engine/batch.c).
 */
#ifndef MODPROP_CORE_WORK_H
#define MODPROP_CORE_WORK_H

#include <stdbool.h>
#include <stddef.h>

#define WORK_LOOK 1e6

/* The cost of operations other than multiply-adds, as they are counted. */
#define WORK_NORMAL 60   /* one normal number in double, with its random bits */
#define WORK_UNIFORM 30  /* one uniform number */
#define WORK_ROTATION 12 /* a complex rotation of two numbers */

struct work {
    bool (*stop)(void *user); /* true: end; NULL: never */
    void *user;
    double done;    /* multiply-adds since the start */
    double since;   /* of them, since the last check */
    double longest; /* most between two checks */
    bool stopped;   /* a check has found the stop word set */
};

/* Checks the stop word now. */
static inline bool work_look(struct work *work) {
    if (!work) {
        return false;
    }
    work->longest = work->since > work->longest ? work->since : work->longest;
    work->since = 0;
    work->stopped = work->stopped || (work->stop && work->stop(work->user));
    return work->stopped;
}

/* Counts `operations` just done, or about to be done; true: the stop word is set. NULL counts nothing. */
static inline bool work_add(struct work *work, double operations) {
    if (!work) {
        return false;
    }
    work->done += operations;
    work->since += operations;
    return work->since >= WORK_LOOK ? work_look(work) : work->stopped;
}

#endif
