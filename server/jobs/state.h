/*
 * What becomes of a job: a pure function of its state and a fact. It does no input or output, allocates nothing and
 * reads no clock; life.c passes it the facts and performs its actions. tests/unit/test_state.c tests all pairs, and all
 * interleavings with a crash at every commit.
 *
 *     RESTS --picked--> STARTS --committed--> RUNS --ended--> SETTLES --committed--> RESTS
 *                                               \--order, time, ...--> STOPS --ended--/
 *
 * A job that cannot be written is LOST: nothing of it is committed any more, because that would leave a gap. Once it
 * has nothing in progress it is PARKED, and later read again from the database, where it is ADRIFT: running, pausing or
 * cancelling without an attempt. So is a job that a crash left. One that a worker runs is adopted: the daemon's restart
 * is no event of its life.
 *
 * Invariants: a job has at most one attempt, and only once "running" is durable; at most one change of its status is in
 * progress; nothing is answered before it is durable; a final status never changes.
 */
#ifndef MODPROP_SERVER_JOBS_STATE_H
#define MODPROP_SERVER_JOBS_STATE_H

#include <stdbool.h>

#include "server/store/store.h"

enum phase {
    PHASE_RESTS,   /* queued, paused or ended; durable, and nothing is in progress */
    PHASE_STARTS,  /* "running" is being committed */
    PHASE_RUNS,    /* an attempt runs it */
    PHASE_STOPS,   /* an attempt runs it and was ordered to end */
    PHASE_SETTLES, /* no attempt; what follows is being committed */
    PHASE_LEAVES,  /* its deletion is being committed */
    PHASE_LOST,    /* memory and database differ; nothing is committed */
    PHASE_ADRIFT,  /* running, pausing or cancelling in the database, and no attempt runs it */
    PHASE_LEFT,    /* the same, left to the next start of the daemon */
    PHASE_GONE,    /* deleted */
    PHASES
};

/* Why an attempt was ordered to end. */
enum why { WHY_NONE, WHY_PAUSE, WHY_CANCEL, WHY_TIME, WHY_SPACE, WHY_DRAIN, WHYS };

/* How an attempt ended, if that happened during a commit and waits for it. */
enum end { END_NONE, END_FINISHED, END_STOPPED, END_FAILED, END_LOST, END_RETURNED, END_EXHAUSTED, ENDS };

struct job_state {
    enum phase phase;
    enum job_status status; /* as last decided; its commit may still be in progress */
    enum why why;
    enum end end;
    bool committing; /* a change of the status is in progress */
    bool working;    /* an attempt runs it */
    bool draining;   /* the daemon shuts down: no attempt starts */
};

enum fact {
    FACT_ASK_CANCEL, /* a client's request; repeated after each commit while the answer is ANSWER_WAIT */
    FACT_ASK_PAUSE,
    FACT_ASK_RESUME,
    FACT_ASK_DELETE,
    FACT_PICKED,    /* it is its turn in the queue */
    FACT_COMMITTED, /* the change is durable */
    FACT_UNWRITTEN, /* the change could not be written */
    FACT_FINISHED,  /* the attempt ended: all iterations are done */
    FACT_STOPPED,   /* because of an order, or because it could not report anything */
    FACT_FAILED,    /* because of an error of the job itself */
    FACT_HINDERED,  /* for a reason outside the job; or the attempt could not start */
    FACT_RETURNED,  /* its place ended or gave it back: it is queued again */
    FACT_EXHAUSTED, /* the same, too often without progress: it is paused */
    FACT_TIME,      /* it has reached its time limit */
    FACT_SPACE,     /* it has reached the limit of bytes that it may store */
    FACT_STALL,     /* a record of it, or anything at all, can be written now */
    FACT_DRAIN,     /* the daemon shuts down */
    FACT_RETRY,     /* adrift: it may resume */
    FACT_GUILTY,    /* adrift: it has crashed the daemon too often */
    FACT_HELD,      /* adrift: it was killed too often without progress */
    FACT_ADOPTED,   /* adrift: a worker runs it on, under the attempt that the database names */
    FACTS
};

enum action {
    ACTION_COMMIT = 1,      /* `status` of the new state */
    ACTION_ATTEMPT = 2,     /* counts as a new attempt; with ACTION_COMMIT */
    ACTION_DELETE = 4,      /* commit the deletion */
    ACTION_BEGIN = 8,       /* start an attempt */
    ACTION_CHECKPOINT = 16, /* order it to write a checkpoint and end */
    ACTION_ABANDON = 32,    /* order it to end at once */
    ACTION_ADOPT = 64       /* take up the attempt that goes on; before ACTION_CHECKPOINT */
};

/* To the client. */
enum answer {
    ANSWER_NONE,    /* nobody asked */
    ANSWER_DONE,    /* it is so already */
    ANSWER_COMMIT,  /* done when the change in progress is durable */
    ANSWER_WAIT,    /* ask again when the commit, or the attempt, is over */
    ANSWER_REFUSED, /* its status does not allow that */
    ANSWER_UNKNOWN, /* there is no such job any more */
    ANSWER_NO_ROOM, /* nothing can be written */
    ANSWER_CLOSING  /* the daemon is shutting down */
};

struct step {
    struct job_state state;
    unsigned actions; /* bits of enum action, ACTION_ADOPT first, the others in the order of their values */
    enum answer answer;
};

/* For a job as the database has it, which no attempt runs. */
struct job_state state_of_row(enum job_status status);

struct step state_next(struct job_state state, enum fact fact);

/* What may be done with a job that has nothing in progress and no waiting clients. */
enum leave {
    LEAVE_NOT,
    LEAVE_RELEASE, /* release it */
    LEAVE_PARK     /* release it; it is read again when it may resume */
};

enum leave state_leave(const struct job_state *state);

#endif
