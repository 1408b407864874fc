/*
 * A job's life: passes facts to state.c and performs the actions that it returns; keeps the list of waiting clients.
 *
 * Facts come from the store (a unit is done), the executor (an attempt reports or ends), clients (requests.c) and the
 * daemon (driver.c). The pure function answers each; the actions are performed at once. Then the entry is examined:
 * waiting clients may ask again, and an entry with nothing in progress is released. Loop thread.
 *
 * A fact may arrive while another one is handled (a unit that cannot be made); only the outermost call releases the
 * entry.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/log.h"
#include "server/jobs/internal.h"

#define TRIES_MOST 8 /* another job may fail in between */

static const struct executor_operations *operations_of(const struct jobs *jobs) {
    return jobs->options.executor->operations;
}

/* ---- who waits ---- */

static const struct {
    const char *past;
    enum fact fact;
} asks[] = {[JOBS_CANCEL] = {"cancelled", FACT_ASK_CANCEL},
            [JOBS_PAUSE] = {"paused", FACT_ASK_PAUSE},
            [JOBS_RESUME] = {"resumed", FACT_ASK_RESUME},
            [JOBS_DELETE] = {"deleted", FACT_ASK_DELETE}};

static void waiter_finish(struct entry *entry, struct waiter *waiter, enum jobs_result result, const char *detail) {
    waiter->done(waiter->user, result, entry->job.id, detail);
    free(waiter);
}

static struct waiter *waiter_take(struct entry *entry) {
    struct waiter *waiter = entry->waiting;
    if (waiter != NULL) {
        entry->waiting = waiter->next;
    }
    return waiter;
}

void waiters_answer(struct entry *entry, enum jobs_result result, const char *detail) {
    for (struct waiter *waiter = waiter_take(entry); waiter != NULL; waiter = waiter_take(entry)) {
        waiter_finish(entry, waiter, result, detail);
    }
}

/*
 * An action that frees space, and whose commit met a full disk, is tried again from the reserve as soon as nothing of
 * the job is in progress; also if meanwhile some space was found. False: answer it now.
 */
static bool taken_again(struct entry *entry, const struct store_unit *unit) {
    struct waiter *waiter = entry->waiting;
    if (waiter == NULL || !waiter->taken || waiter->action == JOBS_RESUME || waiter->tries == TRIES_MOST ||
        !unit->full) {
        return false;
    }
    waiter->taken = false;
    waiter->tries++;
    return true;
}

/* A change that a client requested is done. */
static void taken_answer(struct entry *entry, bool written) {
    struct waiter *waiter = entry->waiting;
    if (waiter == NULL || !waiter->taken) {
        return;
    }
    entry->waiting = waiter->next;
    if (!written && waiter->action == JOBS_CANCEL) {
        entry->stopped = true;
    }
    waiter_finish(entry, waiter, written ? JOBS_DONE : JOBS_NO_ROOM, written ? NULL : entry->reason);
}

static void waiter_refuse(struct entry *entry, struct waiter *waiter) {
    char detail[128];
    snprintf(detail, sizeof detail, "the job has the status %s and cannot be %s%s",
             job_status_name(entry->state.status), asks[waiter->action].past,
             waiter->action == JOBS_DELETE ? "; cancel it first" : "");
    waiter_finish(entry, waiter, JOBS_CONFLICT, detail);
}

static void waiter_first(struct entry *entry, struct waiter *waiter, bool taken) {
    waiter->taken = taken;
    waiter->next = entry->waiting;
    entry->waiting = waiter;
}

/* ---- actions ---- */

static const struct attempt_hooks hooks;

static void fact(struct entry *entry, enum fact fact);

static void begin(struct entry *entry) {
    struct jobs *jobs = entry->jobs;
    const struct attempt_task task = {.id = entry->job.id,
                                      .dataset_sha256 = entry->job.dataset_sha256,
                                      .iteration = entry->job.iteration,
                                      .trained = entry->job.trained};
    entry->counted = 0;
    entry->attempt = operations_of(jobs)->start(jobs->options.executor, &task, &hooks, entry);
    if (entry->attempt == NULL) {
        log_warning("a job cannot be started now: not enough memory for it", LOG_T("job", entry->job.id),
                    LOG_T("request_id", entry->job.request));
        entry_reason_set(entry, "not enough memory to start it");
        fact(entry, FACT_HINDERED);
    } else {
        jobs->began(jobs);
    }
}

/* What a final status carries besides itself. */
static void end_take(struct entry *entry) {
    const struct attempt_end *end = &entry->end;
    if (entry->state.status == JOB_FAILED) {
        entry_error_set(entry, end->code, end->detail, end->iteration);
    } else if (entry->state.status == JOB_SUCCEEDED) {
        memcpy(entry->job.weights_sha256, end->weights_sha256, sizeof end->weights_sha256);
    }
}

static void perform(struct entry *entry, unsigned actions) {
    if (entry->attempt != NULL && (actions & (ACTION_CHECKPOINT | ACTION_ABANDON)) != 0) {
        bool abandon = (actions & ACTION_ABANDON) != 0;
        operations_of(entry->jobs)->order(entry->attempt, abandon ? ATTEMPT_ABANDON : ATTEMPT_CHECKPOINT);
    }
    if ((actions & ACTION_ATTEMPT) != 0) {
        entry->job.attempt++;
    }
    if ((actions & ACTION_COMMIT) != 0) {
        end_take(entry);
        entry_commit(entry);
    }
    if ((actions & ACTION_DELETE) != 0) {
        entry_commit_deletion(entry);
    }
    if ((actions & ACTION_BEGIN) != 0) {
        begin(entry);
    }
}

static void fact(struct entry *entry, enum fact fact) {
    struct step step = state_next(entry->state, fact);
    bool was_lost = entry->state.phase == PHASE_LOST;
    entry->state = step.state;
    if (!was_lost && step.state.phase == PHASE_LOST) {
        log_warning("a job was stopped; it will resume by itself", LOG_T("job", entry->job.id),
                    LOG_T("reason", entry->reason), LOG_T("request_id", entry->job.request));
    }
    perform(entry, step.actions);
}

/* False if the waiter is in the list again. */
static bool ask(struct entry *entry, struct waiter *waiter) {
    struct step step = state_next(entry->state, asks[waiter->action].fact);
    entry->state = step.state;
    bool waits = step.answer == ANSWER_WAIT || step.answer == ANSWER_COMMIT;
    if (waits) {
        waiter_first(entry, waiter, step.answer == ANSWER_COMMIT);
    }
    perform(entry, step.actions);
    switch (step.answer) {
    case ANSWER_REFUSED:
        waiter_refuse(entry, waiter);
        break;
    case ANSWER_UNKNOWN:
        waiter_finish(entry, waiter, JOBS_UNKNOWN, "there is no such job");
        break;
    case ANSWER_NO_ROOM:
        waiter_finish(entry, waiter, JOBS_NO_ROOM, entry->reason);
        break;
    case ANSWER_CLOSING:
        waiter_finish(entry, waiter, JOBS_CLOSING, NULL);
        break;
    case ANSWER_DONE:
        waiter_finish(entry, waiter, JOBS_DONE, NULL);
        break;
    default:
        break;
    }
    return !waits;
}

/* ---- looking at the entry ---- */

void life_report_idle(struct jobs *jobs) {
    bool idle = jobs->idle != NULL;
    for (const struct entry *entry = jobs->entries; entry != NULL; entry = entry->next) {
        idle = idle && entry->attempt == NULL && entry->units == 0;
    }
    if (idle) {
        void (*report)(void *user) = jobs->idle;
        jobs->idle = NULL;
        report(jobs->idle_user);
    }
}

/* A client wants to cancel a lost job: tries the database's row once more. False: it cannot be read. */
static bool row_read_again(struct entry *entry) {
    struct store_job job;
    int found = store_job_read(entry->jobs->options.reader, entry->job.id, &job);
    if (found != 1) {
        entry->state.phase = found == 0 ? PHASE_GONE : PHASE_LOST;
        return found == 0;
    }
    store_job_release(&entry->job);
    entry->job = job;
    entry->stored = job.status;
    entry->state = state_of_row(job.status);
    entry->state.draining = entry->jobs->draining;
    entry->reason[0] = '\0';
    return true;
}

/* True if the entry was released. */
static bool leave(struct entry *entry) {
    struct jobs *jobs = entry->jobs;
    enum leave leave = state_leave(&entry->state);
    if (leave == LEAVE_NOT || entry->units > 0 || entry->waiting != NULL) {
        return false;
    }
    if (leave == LEAVE_PARK) {
        parked_add(jobs, entry);
    }
    entry_remove(entry);
    jobs->moved(jobs);
    return true;
}

/* Waiting clients ask again, until none is left or all wait for the store or for an attempt's end. */
static void waiters_ask(struct entry *entry) {
    bool answered = true;
    while (answered && entry->waiting != NULL && !entry->waiting->taken && !entry->state.committing) {
        bool rests = entry->units == 0 && state_leave(&entry->state) == LEAVE_PARK;
        if (entry->state.phase == PHASE_LOST && entry->waiting->tries > 0 && !rests) {
            return;
        }
        if (entry->state.phase == PHASE_LOST && rests && !row_read_again(entry)) {
            waiters_answer(entry, JOBS_BROKEN, "the database cannot be read");
            return;
        }
        answered = ask(entry, waiter_take(entry));
    }
}

static void look(struct entry *entry) {
    struct jobs *jobs = entry->jobs;
    waiters_ask(entry);
    leave(entry);
    life_report_idle(jobs);
}

void entry_fact(struct entry *entry, enum fact what) {
    fact(entry, what);
    look(entry);
}

void entry_ask(struct entry *entry, struct waiter *waiter) {
    struct waiter **at = &entry->waiting;
    bool first = *at == NULL;
    bool cancels = waiter->action == JOBS_CANCEL;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    waiter->next = NULL;
    *at = waiter;
    if (!first && cancels) { /* training stops at once; the answer follows in its turn */
        struct step step = state_next(entry->state, FACT_ASK_CANCEL);
        if (step.answer == ANSWER_WAIT) {
            entry->state = step.state;
            perform(entry, step.actions);
        }
    }
    if (first && entry->state.committing) {
        ask(entry, waiter_take(entry));
    }
    look(entry);
}

/* ---- the hooks ---- */

static void on_record(void *user, struct attempt *attempt, struct attempt_record *record) {
    record_store(user, attempt, record);
}

static void on_end(void *user, struct attempt *attempt, const struct attempt_end *end) {
    static const enum fact facts[] = {[ATTEMPT_FINISHED] = FACT_FINISHED,
                                      [ATTEMPT_STOPPED] = FACT_STOPPED,
                                      [ATTEMPT_FAILED] = FACT_FAILED,
                                      [ATTEMPT_LOST] = FACT_HINDERED};
    struct entry *entry = user;
    struct attempt_view view;
    entry_count(entry);
    operations_of(entry->jobs)->look(attempt, &view);
    entry->attempt = NULL;
    entry->job.trials_per_second = view.trials_per_second;
    entry->job.trained = view.trained;
    entry->end = *end;
    if (end->verdict == ATTEMPT_STOPPED && entry->state.why == WHY_TIME) {
        entry->end.code = "time_limit";
        snprintf(entry->end.detail, sizeof entry->end.detail,
                 "the job reached its time limit; its last checkpoint is kept");
    } else if (end->verdict == ATTEMPT_STOPPED && entry->state.why == WHY_SPACE) {
        entry_reason_set(entry, "it has reached the limit of stored bytes for one job (--max-job-bytes)");
    } else if (end->verdict == ATTEMPT_LOST && entry->state.phase != PHASE_LOST) {
        entry_reason_set(entry, end->detail);
    } else if (end->verdict == ATTEMPT_STOPPED && entry->state.why == WHY_NONE && entry->state.phase != PHASE_LOST) {
        entry_reason_set(entry, "out of memory"); /* it could not report anything: it resumes from its checkpoint */
    }
    entry_fact(entry, facts[end->verdict]);
}

static const struct attempt_hooks hooks = {.record = on_record, .end = on_end};

static void on_unit_done(const struct unit_context *context, const struct store_unit *unit) {
    struct entry *entry = context->entry;
    bool written = unit->result == STORE_WRITTEN;
    if (context->attempt != NULL) {
        operations_of(entry->jobs)->settle(context->attempt);
    }
    if (!written) {
        if (entry->state.phase != PHASE_LOST) {
            entry_reason_set(entry, unit->error);
        }
        if (context->changes && !taken_again(entry, unit)) {
            taken_answer(entry, false);
        }
        fact(entry, context->changes ? FACT_UNWRITTEN : FACT_STALL);
        jobs_stall(entry->jobs, unit);
    } else if (context->changes) {
        taken_answer(entry, true);
        fact(entry, FACT_COMMITTED);
    }
    look(entry);
}

static void on_unit_failed(struct entry *entry) {
    if (entry->state.committing) {
        taken_answer(entry, false);
        fact(entry, FACT_UNWRITTEN);
    } else {
        fact(entry, FACT_STALL);
    }
}

void jobs_stall(struct jobs *jobs, const struct store_unit *unit) {
    if (!jobs->disk_full) {
        log_error("writing failed; jobs stop until it succeeds", LOG_T("reason", unit->error));
    }
    jobs->disk_full = true;
    snprintf(jobs->reason, sizeof jobs->reason, "%.*s", REASON_BYTES - 1, unit->error);
    jobs->retry_at = clock_milliseconds() + JOBS_RETRY_MILLISECONDS;
    for (struct entry *entry = jobs->entries; entry != NULL; entry = entry->next) {
        if (entry->state.phase != PHASE_LOST && (entry->state.working || entry->state.committing)) {
            entry_reason_set(entry, unit->error);
            fact(entry, FACT_STALL);
        }
    }
    store_failure_handled(jobs->options.store, unit);
}

void life_init(struct jobs *jobs) {
    jobs->unit_done = on_unit_done;
    jobs->unit_failed = on_unit_failed;
}
