/*
 * What becomes of a job: see state.h. One function per fact; each looks at the phase and leaves the state unchanged
 * where the fact does not apply.
 */
#include "server/jobs/state.h"

struct job_state state_of_row(enum job_status status) {
    bool rests = status == JOB_QUEUED || status == JOB_PAUSED || job_status_is_final(status);
    return (struct job_state){.phase = rests ? PHASE_RESTS : PHASE_ADRIFT, .status = status};
}

/* ---- building steps ---- */

static void commit(struct step *step, enum phase phase, enum job_status status) {
    if (status == JOB_QUEUED) {
        step->actions |= ACTION_ATTEMPT;
    }
    step->state.phase = phase;
    step->state.status = status;
    step->state.committing = true;
    step->actions |= ACTION_COMMIT;
}

static void settle(struct step *step, enum job_status status) {
    commit(step, PHASE_SETTLES, status);
    step->state.why = WHY_NONE;
    step->state.end = END_NONE;
}

static void stop(struct step *step, enum why why) {
    step->state.phase = PHASE_STOPS;
    step->state.why = why;
    step->actions |= why == WHY_CANCEL ? ACTION_ABANDON : ACTION_CHECKPOINT;
}

static void lose(struct step *step) {
    if (step->state.working && step->state.phase != PHASE_LOST) {
        step->actions |= ACTION_ABANDON;
    }
    step->state.phase = PHASE_LOST;
    step->state.end = END_NONE;
}

/* It ended without a result of its own, having written what it could. */
static bool gave_way(enum end end) {
    return end == END_STOPPED || end == END_RETURNED || end == END_EXHAUSTED;
}

/* What an attempt's end means for the job, once nothing of it is being committed. */
static void conclude(struct step *step, enum end end) {
    enum why why = step->state.why;
    if (why == WHY_CANCEL) {
        settle(step, JOB_CANCELLED);
    } else if (end == END_FINISHED) {
        settle(step, JOB_SUCCEEDED);
    } else if (end == END_FAILED || (gave_way(end) && why == WHY_TIME)) {
        settle(step, JOB_FAILED);
    } else if (gave_way(end) && (why == WHY_PAUSE || why == WHY_SPACE)) {
        settle(step, JOB_PAUSED);
    } else if (gave_way(end) && why == WHY_DRAIN) {
        step->state.phase = PHASE_LEFT; /* the next start queues it again, or adopts it */
    } else if (end == END_RETURNED) {
        settle(step, JOB_QUEUED);
    } else if (end == END_EXHAUSTED) {
        settle(step, JOB_PAUSED);
    } else {
        lose(step);
    }
}

/* ---- what clients ask ---- */

static void ask_cancel(struct step *step) {
    struct job_state *state = &step->state;
    if (state->status == JOB_CANCELLED && !state->committing) {
        step->answer = ANSWER_DONE;
    } else if (job_status_is_final(state->status) && !state->committing) {
        step->answer = ANSWER_REFUSED;
    } else if (state->committing) {
        if (state->working && state->why != WHY_CANCEL) {
            stop(step, WHY_CANCEL); /* at once, whatever becomes of the commit */
        }
        step->answer = ANSWER_WAIT;
    } else if (state->status == JOB_CANCELLING && state->phase != PHASE_ADRIFT) {
        step->answer = ANSWER_DONE;
    } else if (state->working) {
        stop(step, WHY_CANCEL);
        commit(step, PHASE_STOPS, JOB_CANCELLING);
        step->answer = ANSWER_COMMIT;
    } else {
        settle(step, JOB_CANCELLED);
        step->answer = ANSWER_COMMIT;
    }
}

static void ask_pause(struct step *step) {
    struct job_state *state = &step->state;
    if (state->committing) {
        step->answer = ANSWER_WAIT;
    } else if (state->status == JOB_PAUSED || (state->status == JOB_PAUSING && state->phase != PHASE_ADRIFT)) {
        step->answer = ANSWER_DONE;
    } else if (state->status == JOB_CANCELLING || job_status_is_final(state->status)) {
        step->answer = ANSWER_REFUSED;
    } else if (state->working) {
        if (state->phase == PHASE_RUNS) {
            stop(step, WHY_PAUSE);
        }
        commit(step, PHASE_STOPS, JOB_PAUSING);
        step->answer = ANSWER_COMMIT;
    } else {
        settle(step, JOB_PAUSED);
        step->answer = ANSWER_COMMIT;
    }
}

static void ask_resume(struct step *step) {
    struct job_state *state = &step->state;
    if (state->committing) {
        step->answer = ANSWER_WAIT;
    } else if (state->status == JOB_CANCELLING || job_status_is_final(state->status)) {
        step->answer = ANSWER_REFUSED;
    } else if (state->status == JOB_PAUSED || (state->status == JOB_PAUSING && state->phase == PHASE_ADRIFT)) {
        settle(step, JOB_QUEUED);
        step->answer = ANSWER_COMMIT;
    } else { /* a pausing job can be resumed once it is paused: until then nothing durable could record it */
        step->answer = state->status == JOB_PAUSING ? ANSWER_WAIT : ANSWER_DONE;
    }
}

static void ask_delete(struct step *step) {
    struct job_state *state = &step->state;
    if (state->committing) {
        step->answer = ANSWER_WAIT;
    } else if (!job_status_is_final(state->status)) {
        step->answer = ANSWER_REFUSED;
    } else {
        state->phase = PHASE_LEAVES;
        state->committing = true;
        step->actions |= ACTION_DELETE;
        step->answer = ANSWER_COMMIT;
    }
}

static void ask(struct step *step, enum fact fact) {
    switch (step->state.phase) {
    case PHASE_GONE:
        step->answer = ANSWER_UNKNOWN;
        return;
    case PHASE_LOST: /* its attempt was ordered to end; what frees space is then tried again from the database's row */
        step->answer = fact == FACT_ASK_RESUME ? ANSWER_NO_ROOM : ANSWER_WAIT;
        return;
    case PHASE_LEFT:
        step->answer = ANSWER_CLOSING;
        return;
    default:
        break;
    }
    switch (fact) {
    case FACT_ASK_CANCEL:
        ask_cancel(step);
        break;
    case FACT_ASK_PAUSE:
        ask_pause(step);
        break;
    case FACT_ASK_RESUME:
        ask_resume(step);
        break;
    default:
        ask_delete(step);
    }
}

/* ---- what the store says ---- */

static void committed(struct step *step) {
    struct job_state *state = &step->state;
    if (!state->committing) {
        return;
    }
    state->committing = false;
    switch (state->phase) {
    case PHASE_STARTS:
        if (state->draining) {
            state->phase = PHASE_LEFT;
        } else {
            state->phase = PHASE_RUNS;
            state->working = true;
            step->actions |= ACTION_BEGIN;
        }
        break;
    case PHASE_STOPS:
        if (state->end != END_NONE) {
            conclude(step, state->end);
        }
        break;
    case PHASE_SETTLES:
        state->phase = PHASE_RESTS;
        break;
    case PHASE_LEAVES:
        state->phase = PHASE_GONE;
        break;
    default: /* lost: what was in progress succeeded after all */
        break;
    }
}

static void unwritten(struct step *step) {
    step->state.committing = false;
    if (step->state.phase != PHASE_GONE && step->state.phase != PHASE_LEFT) {
        lose(step);
    }
}

/* ---- what the attempt and the daemon say ---- */

static void ended(struct step *step, enum end end) {
    struct job_state *state = &step->state;
    if (!state->working) {
        return;
    }
    state->working = false;
    if (state->phase == PHASE_LOST) {
        return;
    }
    if (state->committing) {
        state->end = end; /* one change at a time: it follows the commit */
    } else {
        conclude(step, end);
    }
}

static void stall(struct step *step) {
    /* what is in progress of it has failed too, or may have: whatever followed would leave a gap */
    if (step->state.working || step->state.committing) {
        lose(step);
    }
}

static void drain(struct step *step) {
    step->state.draining = true;
    if (step->state.phase == PHASE_RUNS) {
        stop(step, WHY_DRAIN);
    }
}

static void adrift(struct step *step, enum fact fact) {
    if (step->state.phase != PHASE_ADRIFT) {
        return;
    }
    if (step->state.status == JOB_PAUSING) {
        settle(step, JOB_PAUSED);
    } else if (step->state.status == JOB_CANCELLING) {
        settle(step, JOB_CANCELLED);
    } else {
        settle(step, fact == FACT_RETRY ? JOB_QUEUED : fact == FACT_GUILTY ? JOB_FAILED : JOB_PAUSED);
    }
}

/* A job that is cancelled needs no attempt any more. */
static void adopted(struct step *step) {
    struct job_state *state = &step->state;
    if (state->phase != PHASE_ADRIFT) {
        return;
    }
    if (state->status == JOB_CANCELLING || state->draining) {
        adrift(step, FACT_RETRY);
        return;
    }
    state->phase = PHASE_RUNS;
    state->working = true;
    step->actions |= ACTION_ADOPT;
    if (state->status == JOB_PAUSING) {
        stop(step, WHY_PAUSE);
    }
}

static void picked(struct step *step) {
    if (step->state.phase == PHASE_RESTS && step->state.status == JOB_QUEUED && !step->state.draining) {
        commit(step, PHASE_STARTS, JOB_RUNNING);
    }
}

static void limit(struct step *step, enum why why) {
    if (step->state.phase == PHASE_RUNS) {
        stop(step, why);
    }
}

enum leave state_leave(const struct job_state *state) {
    if (state->working || state->committing || state->phase == PHASE_LEFT) {
        return LEAVE_NOT;
    }
    return state->phase == PHASE_RESTS || state->phase == PHASE_GONE ? LEAVE_RELEASE : LEAVE_PARK;
}

struct step state_next(struct job_state state, enum fact fact) {
    struct step step = {.state = state, .answer = ANSWER_NONE};
    switch (fact) {
    case FACT_PICKED:
        picked(&step);
        break;
    case FACT_COMMITTED:
        committed(&step);
        break;
    case FACT_UNWRITTEN:
        unwritten(&step);
        break;
    case FACT_FINISHED:
    case FACT_STOPPED:
    case FACT_FAILED:
    case FACT_HINDERED:
    case FACT_RETURNED:
    case FACT_EXHAUSTED:
        ended(&step, (enum end)(END_FINISHED + (fact - FACT_FINISHED)));
        break;
    case FACT_ADOPTED:
        adopted(&step);
        break;
    case FACT_TIME:
        limit(&step, WHY_TIME);
        break;
    case FACT_SPACE:
        limit(&step, WHY_SPACE);
        break;
    case FACT_STALL:
        stall(&step);
        break;
    case FACT_DRAIN:
        drain(&step);
        break;
    case FACT_RETRY:
    case FACT_GUILTY:
    case FACT_HELD:
        adrift(&step, fact);
        break;
    default:
        ask(&step, fact);
    }
    return step;
}
