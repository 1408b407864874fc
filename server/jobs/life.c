/*
 * A job's life: passes facts to state.c and performs the actions that it returns; keeps the list of waiting clients.
 *
 * Facts come from the store (a unit is done), the executor (an attempt reports or ends), clients (requests.c) and the
 * daemon (driver.c). The pure function answers each; the actions are performed at once. Then the job is examined:
 * waiting clients may ask again, and one with nothing in progress is released. Loop thread.
 *
 * A fact may arrive while another one is handled (a unit that cannot be made); only the outermost call releases the
 * active.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/log.h"
#include "server/jobs/internal.h"

#define LOSSES_MOST 5
#define TRIES_MOST 8 /* another job may fail in between */
#define RESUME_SECONDS 20

/* ---- who waits ---- */

static const struct {
    const char *past;
    enum fact fact;
} asks[] = {[JOBS_CANCEL] = {"cancelled", FACT_ASK_CANCEL},
            [JOBS_PAUSE] = {"paused", FACT_ASK_PAUSE},
            [JOBS_RESUME] = {"resumed", FACT_ASK_RESUME},
            [JOBS_DELETE] = {"deleted", FACT_ASK_DELETE}};

static void waiter_finish(struct active_job *active, struct waiter *waiter, enum jobs_result result,
                          const char *detail) {
    waiter->done(waiter->user, result, active->job.id, detail);
    free(waiter);
}

static struct waiter *waiter_take(struct active_job *active) {
    struct waiter *waiter = active->waiting;
    if (waiter != NULL) {
        active->waiting = waiter->next;
    }
    return waiter;
}

void waiters_answer(struct active_job *active, enum jobs_result result, const char *detail) {
    for (struct waiter *waiter = waiter_take(active); waiter != NULL; waiter = waiter_take(active)) {
        waiter_finish(active, waiter, result, detail);
    }
}

/*
 * An action that frees space, and whose commit met a full disk, is tried again from the reserve as soon as nothing of
 * the job is in progress; also if meanwhile some space was found. False: answer it now.
 */
static bool taken_again(struct active_job *active, const struct store_unit *unit) {
    struct waiter *waiter = active->waiting;
    if (waiter == NULL || !waiter->taken || waiter->action == JOBS_RESUME || waiter->tries == TRIES_MOST ||
        !unit->full) {
        return false;
    }
    waiter->taken = false;
    waiter->tries++;
    return true;
}

/* A change that a client requested is done. */
static void taken_answer(struct active_job *active, bool written) {
    struct waiter *waiter = active->waiting;
    if (waiter == NULL || !waiter->taken) {
        return;
    }
    active->waiting = waiter->next;
    if (!written && waiter->action == JOBS_CANCEL) {
        active->stopped = true;
    }
    waiter_finish(active, waiter, written ? JOBS_DONE : JOBS_NO_ROOM, written ? NULL : active->reason);
}

static void waiter_refuse(struct active_job *active, struct waiter *waiter) {
    char detail[128];
    snprintf(detail, sizeof detail, "the job has the status %s and cannot be %s%s",
             job_status_name(active->state.status), asks[waiter->action].past,
             waiter->action == JOBS_DELETE ? "; cancel it first" : "");
    waiter_finish(active, waiter, JOBS_CONFLICT, detail);
}

static void waiter_first(struct active_job *active, struct waiter *waiter, bool taken) {
    waiter->taken = taken;
    waiter->next = active->waiting;
    active->waiting = waiter;
}

/* ---- actions ---- */

static const struct attempt_hooks hooks;

static void fact(struct active_job *active, enum fact fact);

static void begin(struct active_job *active, bool adopted) {
    struct jobs *jobs = active->jobs;
    const struct attempt_task task = {.id = active->job.id,
                                      .dataset_sha256 = active->job.dataset_sha256,
                                      .iteration = active->job.iteration,
                                      .trained = active->job.trained,
                                      .memory = active->job.memory,
                                      .place = active->job.worker,
                                      .number = active->job.attempt,
                                      .adopted = adopted,
                                      .reported = active->job.reported};
    active->counted = 0;
    active->attempt = active_operations(active)->start(active->executor, &task, &hooks, active);
    if (active->attempt == NULL) {
        log_warning("a job cannot be started now: not enough memory for it", LOG_T("job", active->job.id),
                    LOG_T("request_id", active->job.request));
        active_reason_set(active, "not enough memory to start it");
        fact(active, FACT_HINDERED);
    } else {
        jobs->began(jobs);
    }
}

/* What a final status carries besides itself. */
static void end_take(struct active_job *active) {
    const struct attempt_end *end = &active->end;
    if (active->state.status == JOB_FAILED) {
        active_error_set(active, end->code, end->detail, end->iteration);
    } else if (active->state.status == JOB_SUCCEEDED) {
        memcpy(active->job.weights_sha256, end->weights_sha256, sizeof end->weights_sha256);
    }
}

static void perform(struct active_job *active, unsigned actions) {
    if ((actions & ACTION_ADOPT) != 0) {
        begin(active, true);
    }
    if (active->attempt != NULL && (actions & (ACTION_CHECKPOINT | ACTION_ABANDON)) != 0) {
        bool abandon = (actions & ACTION_ABANDON) != 0;
        bool leaves = active->state.why == WHY_DRAIN;
        active_operations(active)->order(active->attempt, abandon  ? ATTEMPT_ABANDON
                                                          : leaves ? ATTEMPT_LEAVE
                                                                   : ATTEMPT_CHECKPOINT);
    }
    if ((actions & ACTION_ATTEMPT) != 0) {
        active->job.attempt++;
    }
    if ((actions & ACTION_COMMIT) != 0) {
        end_take(active);
        active_commit(active);
    }
    if ((actions & ACTION_DELETE) != 0) {
        active_commit_deletion(active);
    }
    if ((actions & ACTION_BEGIN) != 0) {
        begin(active, false);
    }
}

static void fact(struct active_job *active, enum fact fact) {
    struct step step = state_next(active->state, fact);
    bool was_lost = active->state.phase == PHASE_LOST;
    bool started = active->state.phase == PHASE_STARTS && step.state.phase != PHASE_STARTS;
    active->state = step.state;
    if (started && !active->state.working && active_is_remote(active)) {
        active_operations(active)->unreserve(active->executor, active->job.worker);
    }
    if (!was_lost && step.state.phase == PHASE_LOST) {
        log_warning("a job was stopped; it will resume by itself", LOG_T("job", active->job.id),
                    LOG_T("reason", active->reason), LOG_T("request_id", active->job.request));
    }
    perform(active, step.actions);
}

/* False if the waiter is in the list again. */
static bool ask(struct active_job *active, struct waiter *waiter) {
    struct step step = state_next(active->state, asks[waiter->action].fact);
    active->state = step.state;
    bool waits = step.answer == ANSWER_WAIT || step.answer == ANSWER_COMMIT;
    if (waits) {
        waiter_first(active, waiter, step.answer == ANSWER_COMMIT);
    }
    perform(active, step.actions);
    switch (step.answer) {
    case ANSWER_REFUSED:
        waiter_refuse(active, waiter);
        break;
    case ANSWER_UNKNOWN:
        waiter_finish(active, waiter, JOBS_UNKNOWN, "there is no such job");
        break;
    case ANSWER_NO_ROOM:
        waiter_finish(active, waiter, JOBS_NO_ROOM, active->reason);
        break;
    case ANSWER_CLOSING:
        waiter_finish(active, waiter, JOBS_CLOSING, NULL);
        break;
    case ANSWER_DONE:
        waiter_finish(active, waiter, JOBS_DONE, NULL);
        break;
    default:
        break;
    }
    return !waits;
}

/* ---- looking at the job ---- */

void life_report_idle(struct jobs *jobs) {
    bool idle = jobs->idle != NULL;
    for (const struct active_job *active = jobs->active; active != NULL; active = active->next) {
        idle = idle && active->attempt == NULL && active->units == 0;
    }
    if (idle) {
        void (*report)(void *user) = jobs->idle;
        jobs->idle = NULL;
        report(jobs->idle_user);
    }
}

/* A client wants to cancel a lost job: tries the database's row once more. False: it cannot be read. */
static bool row_read_again(struct active_job *active) {
    struct store_job job;
    int found = store_job_read(active->jobs->options.reader, active->job.id, &job);
    if (found != 1) {
        active->state.phase = found == 0 ? PHASE_GONE : PHASE_LOST;
        return found == 0;
    }
    store_job_release(&active->job);
    active->job = job;
    active->stored = job.status;
    active->state = state_of_row(job.status);
    active->state.draining = active->jobs->draining;
    active->reason[0] = '\0';
    return true;
}

/* True if the job was released. */
static bool leave(struct active_job *active) {
    struct jobs *jobs = active->jobs;
    enum leave leave = state_leave(&active->state);
    if (leave == LEAVE_NOT || active->units > 0 || active->waiting != NULL) {
        return false;
    }
    if (leave == LEAVE_PARK) {
        parked_add(jobs, active);
    }
    active_remove(active);
    jobs->moved(jobs);
    return true;
}

/* Waiting clients ask again, until none is left or all wait for the store or for an attempt's end. */
static void waiters_ask(struct active_job *active) {
    bool answered = true;
    while (answered && active->waiting != NULL && !active->waiting->taken && !active->state.committing) {
        bool rests = active->units == 0 && state_leave(&active->state) == LEAVE_PARK;
        if (active->state.phase == PHASE_LOST && active->waiting->tries > 0 && !rests) {
            return;
        }
        if (active->state.phase == PHASE_LOST && rests && !row_read_again(active)) {
            waiters_answer(active, JOBS_BROKEN, "the database cannot be read");
            return;
        }
        answered = ask(active, waiter_take(active));
    }
}

static void look(struct active_job *active) {
    struct jobs *jobs = active->jobs;
    waiters_ask(active);
    leave(active);
    life_report_idle(jobs);
}

void active_fact(struct active_job *active, enum fact what) {
    fact(active, what);
    look(active);
}

/*
 * Resuming a job that is still pausing waits for its attempt's end, which a silent worker may owe for its whole lease:
 * a cancellation does not wait behind that, and the client gets an answer after a while.
 */
static bool resume_waits(const struct waiter *waiter) {
    return waiter->action == JOBS_RESUME && !waiter->taken;
}

void waiters_expire(struct active_job *active) {
    bool any = false;
    for (struct waiter **at = &active->waiting, *waiter; (waiter = *at) != NULL;) {
        if (active->state.status == JOB_PAUSING && resume_waits(waiter) &&
            clock_seconds() - waiter->since > RESUME_SECONDS) {
            *at = waiter->next;
            any = true;
            waiter_finish(active, waiter, JOBS_CONFLICT,
                          "the job is still pausing, since what runs it has not stopped yet; resume it when it is "
                          "paused");
        } else {
            at = &waiter->next;
        }
    }
    if (any) {
        look(active);
    }
}

void active_ask(struct active_job *active, struct waiter *waiter) {
    struct waiter **at = &active->waiting;
    bool cancels = waiter->action == JOBS_CANCEL;
    while (*at != NULL && !(cancels && resume_waits(*at))) {
        at = &(*at)->next;
    }
    bool first = at == &active->waiting;
    waiter->next = *at;
    *at = waiter;
    if (!first && cancels) { /* training stops at once; the answer follows in its turn */
        struct step step = state_next(active->state, FACT_ASK_CANCEL);
        if (step.answer == ANSWER_WAIT) {
            active->state = step.state;
            perform(active, step.actions);
        }
    }
    if (first && active->state.committing) {
        ask(active, waiter_take(active));
    }
    look(active);
}

/* ---- the hooks ---- */

static void on_record(void *user, struct attempt *attempt, struct attempt_record *record) {
    record_store(user, attempt, record);
}

/* A worker went silent with this job, or could not run it; true if that has now happened too often without progress. */
static bool is_exhausted(struct active_job *active) {
    struct store_job *job = &active->job;
    if (active->end.verdict != ATTEMPT_RETURNED || !active->end.lost || active->state.phase == PHASE_LOST) {
        return false;
    }
    job->kills = job->killed_at == job->progressed ? job->kills + 1 : 1;
    job->killed_at = job->progressed;
    if (job->kills < LOSSES_MOST) {
        return false;
    }
    job->kills = 0; /* resuming it allows as many attempts again */
    active_reason_set(active,
                      "five workers went silent or could not run this job, without progress; resume it when the "
                      "cause is gone");
    return true;
}

static void on_end(void *user, struct attempt *attempt, const struct attempt_end *end) {
    static const enum fact facts[] = {[ATTEMPT_FINISHED] = FACT_FINISHED,
                                      [ATTEMPT_STOPPED] = FACT_STOPPED,
                                      [ATTEMPT_FAILED] = FACT_FAILED,
                                      [ATTEMPT_LOST] = FACT_HINDERED,
                                      [ATTEMPT_RETURNED] = FACT_RETURNED};
    struct active_job *active = user;
    struct attempt_view view;
    records_flush(active, attempt);
    active_count(active);
    active_operations(active)->look(attempt, &view);
    active->attempt = NULL;
    active->on_device = false;
    active->job.trials_per_second = view.trials_per_second;
    active->job.trained = view.trained;
    active->end = *end;
    if (end->verdict == ATTEMPT_STOPPED && active->state.why == WHY_TIME) {
        active->end.code = "time_limit";
        snprintf(active->end.detail, sizeof active->end.detail,
                 "the job reached its time limit; its last checkpoint is kept");
    } else if (end->verdict == ATTEMPT_STOPPED && active->state.why == WHY_SPACE) {
        active_reason_set(active, "it has reached the limit of stored bytes for one job (--max-job-bytes)");
    } else if (end->verdict >= ATTEMPT_LOST && active->state.phase != PHASE_LOST) {
        active_reason_set(active, end->detail);
    } else if (end->verdict == ATTEMPT_STOPPED && active->state.why == WHY_NONE && active->state.phase != PHASE_LOST) {
        active_reason_set(active, "out of memory"); /* it could not report anything: it resumes from its checkpoint */
    }
    active_fact(active, is_exhausted(active) ? FACT_EXHAUSTED : facts[end->verdict]);
}

static void on_placed(void *user, struct attempt *attempt) {
    struct active_job *active = user;
    (void)attempt;
    active->on_device = true;
    active->jobs->moved(active->jobs);
}

static const struct attempt_hooks hooks = {.record = on_record, .placed = on_placed, .end = on_end};

static void on_unit_done(const struct unit_context *context, const struct store_unit *unit) {
    struct active_job *active = context->active;
    bool written = unit->result == STORE_WRITTEN;
    if (context->attempt != NULL) {
        active_operations(active)->settle(context->attempt);
    }
    if (!written) {
        if (active->state.phase != PHASE_LOST) {
            active_reason_set(active, unit->error);
        }
        if (context->changes && !taken_again(active, unit)) {
            taken_answer(active, false);
        }
        fact(active, context->changes ? FACT_UNWRITTEN : FACT_STALL);
        jobs_stall(active->jobs, unit);
    } else if (context->changes) {
        taken_answer(active, true);
        fact(active, FACT_COMMITTED);
    }
    look(active);
}

static void on_unit_failed(struct active_job *active) {
    if (active->state.committing) {
        taken_answer(active, false);
        fact(active, FACT_UNWRITTEN);
    } else {
        fact(active, FACT_STALL);
    }
}

void jobs_stall(struct jobs *jobs, const struct store_unit *unit) {
    if (!jobs->disk_full) {
        log_error("writing failed; jobs stop until it succeeds", LOG_T("reason", unit->error));
    }
    jobs->disk_full = true;
    snprintf(jobs->reason, sizeof jobs->reason, "%.*s", REASON_BYTES - 1, unit->error);
    jobs->retry_at = clock_milliseconds() + JOBS_RETRY_MILLISECONDS;
    for (struct active_job *active = jobs->active; active != NULL; active = active->next) {
        if (active->state.phase != PHASE_LOST && (active->state.working || active->state.committing)) {
            active_reason_set(active, unit->error);
            fact(active, FACT_STALL);
        }
    }
    store_failure_handled(jobs->options.store, unit);
}

void life_init(struct jobs *jobs) {
    jobs->unit_done = on_unit_done;
    jobs->unit_failed = on_unit_failed;
}
