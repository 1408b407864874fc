/*
 * What the parts of experiments share. Each calls only those above it; a call the other way is a hook:
 *
 *     steps.c        how an experiment advances
 *     experiments.c  changes of state and specification; what clients ask; start and end
 *
 * No other file includes this one. Loop thread, except where noted.
 */
#ifndef MODPROP_SERVER_EXPERIMENTS_INTERNAL_H
#define MODPROP_SERVER_EXPERIMENTS_INTERNAL_H

#include "server/experiments/archive.h"
#include "server/experiments/experiments.h"

#define REASON_BYTES 256

/* An experiment that is not final, or that a change is made to. */
struct experiment {
    struct experiment *next;
    struct store_experiment row;
    struct design design; /* a step's lane reads it */
    struct design grown;  /* takes its place once the step in progress has ended; document NULL: none */
    unsigned generation;  /* of the design and the state: a step that began with another one is void */
    size_t cursor;        /* all trials before this one exist */
    bool due;
    bool committing; /* a change of it is in progress */
    char reason[REASON_BYTES];
};

struct step;
struct asking;

struct experiments {
    struct experiments_options options;
    struct experiment *first;
    struct step *step;     /* in progress; NULL: none */
    struct asking *asking; /* what clients asked while a change was in progress, in order */
    struct archive archive;
    bool draining;
    /* hook, set by experiments.c: stores a new state, without a client that asked; `gone`: that it is deleted */
    void (*state_change)(struct experiments *experiments, struct experiment *experiment, enum experiment_state state,
                         bool gone);
};

/* ---- steps.c ---- */

/* Starts a step of the first experiment that one is due for, unless one is in progress. */
void steps_kick(struct experiments *experiments);
/* Whether a step of this experiment is in progress. */
bool step_is_of(const struct experiments *experiments, const struct experiment *experiment);

/* The design that waited for the end of a step takes its place. */
void experiment_grow(struct experiment *experiment);

#endif
