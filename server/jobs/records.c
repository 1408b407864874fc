/*
 * Records: the reports of an attempt (executor.h) become units of the active job: an evaluation is an event and the
 * job's row; a checkpoint is its data, an event and the row. A record is settled when its unit has come back from the
 * store; a record that needs no unit, or whose job is lost, is settled at once. Evaluations that come together, in one
 * call of a worker, are gathered in one unit with one row: the unit settles the first, the others are settled as they
 * are gathered. Loop thread.
 */
#include <string.h>

#include "server/jobs/internal.h"

/* Where a worker goes on reporting after a restart of the daemon. */
static void number_take(struct store_job *job, const struct attempt_record *record) {
    job->reported = record->number > job->reported ? record->number : job->reported;
}

/* What made the updates that the record rests on. */
static void device_take(struct active_job *active, const struct attempt_view *view) {
    if (view->on_device) {
        active_isa_record(active, ISA_DEVICE);
    }
}

static void numbers_take(struct active_job *active, const struct attempt *attempt,
                         const struct attempt_record *record) {
    struct store_job *job = &active->job;
    struct attempt_view view;
    const struct train_progress *progress = &record->progress;
    job->iteration = progress->iteration;
    number_take(job, record);
    job->loss = progress->loss;
    job->accuracy = progress->accuracy;
    job->initial_loss = progress->iteration == 0 ? progress->loss : job->initial_loss;
    job->progressed = progress->iteration > job->progressed ? progress->iteration : job->progressed;
    if (record->kind == RECORD_PROGRESS) {
        active_operations(active)->look(attempt, &view);
        job->trials_per_second = view.trials_per_second;
        job->trained = view.trained;
        device_take(active, &view);
        memcpy(job->dataset_sha256, record->sha256, sizeof record->sha256);
    }
}

static bool row_add(struct active_job *active, struct store_unit *unit) {
    struct store_item *row = store_unit_add(unit, STORE_JOB_SET);
    if (row != NULL) {
        job_row_copy(&row->job, &active->job);
    }
    return row != NULL;
}

void records_flush(struct active_job *active, struct attempt *attempt) {
    struct store_unit *unit = active->gathered;
    bool under_way = false;
    active->gathered = NULL;
    if (unit == NULL) {
        return;
    }
    if (row_add(active, unit)) {
        under_way = active_submit(active, unit);
    } else {
        active_discard(active, unit);
    }
    if (!under_way) {
        active_operations(active)->settle(attempt);
    }
}

/* True if it stays unsettled until its unit has come back: the first of those that are gathered. */
static bool progress_store(struct active_job *active, struct attempt *attempt, struct attempt_record *record) {
    bool first = active->gathered == NULL;
    struct store_unit *unit = first ? active_unit(active, attempt, false) : active->gathered;
    struct event_head head;
    struct store_event *event = unit != NULL ? active_event(active, unit, EVENT_PROGRESS, &head) : NULL;
    numbers_take(active, attempt, record);
    if (event == NULL) {
        active->gathered = NULL;
        active_discard(active, unit);
        if (!first) {
            active_operations(active)->settle(attempt);
        }
        return false;
    }
    event->iteration = record->progress.iteration;
    event->check = record->check;
    record->check = NULL;
    double rate = record->kind == RECORD_INHERITED ? record->rate : active->job.trials_per_second;
    event->json = event_progress_text(&head, &record->progress, record->elapsed, rate);
    active->gathered = unit;
    if (!record->more) {
        records_flush(active, attempt);
    }
    return first;
}

static bool checkpoint_store(struct active_job *active, struct attempt *attempt, struct attempt_record *record) {
    struct store_unit *unit = active_unit(active, attempt, false);
    struct event_head head;
    struct store_item *item = unit != NULL ? store_unit_add(unit, STORE_CHECKPOINT_ADD) : NULL;
    struct store_event *event = item != NULL ? active_event(active, unit, EVENT_CHECKPOINT, &head) : NULL;
    struct store_job *job = &active->job;
    struct attempt_view view;
    active_operations(active)->look(attempt, &view);
    number_take(job, record);
    device_take(active, &view);
    job->progressed = record->iteration > job->progressed ? record->iteration : job->progressed;
    if (event == NULL || !row_add(active, unit)) {
        active_discard(active, unit);
        return false;
    }
    item->checkpoint = (struct store_checkpoint){.iteration = record->iteration,
                                                 .created = head.time,
                                                 .loss = record->loss,
                                                 .bytes = record->bytes,
                                                 .size = record->size,
                                                 .keep = record->keep};
    record->bytes = NULL;
    memcpy(item->checkpoint.job, job->id, sizeof job->id);
    memcpy(item->checkpoint.sha256, record->sha256, sizeof record->sha256);
    event->iteration = record->iteration;
    event->json = event_checkpoint_text(&head, record->iteration, record->loss, record->size, record->sha256);
    return active_submit(active, unit);
}

static bool log_store(struct active_job *active, struct attempt *attempt, const struct attempt_record *record) {
    struct store_unit *unit = active_unit(active, attempt, false);
    struct event_head head;
    struct store_event *event = unit != NULL ? active_event(active, unit, EVENT_LOG, &head) : NULL;
    number_take(&active->job, record);
    if (event == NULL || (record->number > 0 && !row_add(active, unit))) {
        active_discard(active, unit);
        return false;
    }
    event->json = event_log_text(&head, "warning", record->text);
    return active_submit(active, unit);
}

void record_store(struct active_job *active, struct attempt *attempt, struct attempt_record *record) {
    bool under_way = false;
    if (record->kind != RECORD_PROGRESS) {
        records_flush(active, attempt);
    }
    if (active->state.phase != PHASE_LOST) {
        switch (record->kind) {
        case RECORD_PROGRESS:
        case RECORD_INHERITED:
            under_way = progress_store(active, attempt, record);
            break;
        case RECORD_KNOWN:
            numbers_take(active, attempt, record);
            break;
        case RECORD_CHECKPOINT:
            under_way = checkpoint_store(active, attempt, record);
            break;
        case RECORD_LOG:
            under_way = log_store(active, attempt, record);
            break;
        }
    }
    if (!under_way) {
        active_operations(active)->settle(attempt);
    }
}
