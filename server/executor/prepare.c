/*
 * What is read for a lease: the job's document, the evaluations that it inherits, its newest checkpoint's digest. A
 * document may be tens of megabytes, so this happens on a thread of libuv's pool; one at a time, for all leases that
 * wait, with one connection to the store. See leases.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/event.h"
#include "api/job.h"
#include "core/tasks/tasks.h"
#include "server/executor/leases.h"

void prepared_release(struct prepared *prepared) {
    free(prepared->document);
    prepared->document = NULL;
    for (size_t i = 0; i < prepared->history_count; i++) {
        free(prepared->history[i].check);
    }
    free(prepared->history);
    prepared->history = NULL;
    prepared->history_count = 0;
}

/* ---- on the thread ---- */

static void fault_set(struct prepared *prepared, const char *fault) {
    snprintf(prepared->fault, sizeof prepared->fault, "%.*s", EXECUTOR_TEXT_BYTES - 1, fault);
}

/* MNIST's digest belongs to no document: it is that of the files which are there, or of those that the job began with.
 */
static void mnist_take(struct attempt *attempt, const struct task_config *task) {
    struct prepared *prepared = &attempt->prepared;
    struct datasets *datasets = attempt->remote->options.datasets;
    const struct task_data *data;
    char text[DATASETS_ERROR_BYTES];
    const enum datasets_result result = datasets_hold(datasets, task, attempt->dataset_sha256, &data, text);
    if (result != DATASETS_HELD) {
        fault_set(prepared, text);
        prepared->code = result == DATASETS_CHANGED ? "dataset_changed" : "invalid";
        return;
    }
    datasets_digest(datasets, data, prepared->dataset_sha256);
    prepared->mnist_training = (int64_t)data->train.trials;
    datasets_release(datasets, data);
}

static void spec_take(struct attempt *attempt, const char *document) {
    struct prepared *prepared = &attempt->prepared;
    struct job_spec spec;
    struct train_estimate estimate = {0};
    struct error error;
    if (!job_spec_parse(&spec, document)) {
        fault_set(prepared, "its document cannot be read");
        return;
    }
    prepared->batch_size = spec.config.training.batch_size;
    prepared->threads_most = spec.threads;
    prepared->time_limit = spec.time_limit;
    prepared->task = spec.config.task.type;
    prepared->rule = spec.config.rule.type;
    if (train_estimate_compute(&spec.config, &estimate, &error)) {
        prepared->checkpoint_bytes = estimate.checkpoint_bytes; /* unknown where data give the shapes */
    }
    snprintf(prepared->dataset_sha256, sizeof prepared->dataset_sha256, "%.64s", spec.config.task.data_sha256);
    if (task_ops_of(&spec.config.task)->needs == NEEDS_MNIST) {
        mnist_take(attempt, &spec.config.task);
    }
    job_spec_release(&spec);
}

static bool newest(void *user, const struct store_checkpoint *checkpoint) {
    struct prepared *prepared = user;
    prepared->checkpoint = checkpoint->iteration;
    memcpy(prepared->checkpoint_sha256, checkpoint->sha256, sizeof prepared->checkpoint_sha256);
    return false;
}

/* An evaluation that is inherited and not among the job's own events yet. */
static bool evaluation_add(struct attempt *attempt, struct store_reader *reader, const json_t *event) {
    struct prepared *prepared = &attempt->prepared;
    struct attempt_record record = {.kind = RECORD_INHERITED};
    char *known = NULL;
    record.progress = event_progress_read(event, &record.elapsed, &record.rate);
    int found = store_progress_check(reader, attempt->id, record.progress.iteration, &known);
    free(known);
    if (found != 0) {
        return found == 1;
    }
    struct attempt_record *history = realloc(prepared->history, (prepared->history_count + 1) * sizeof *history);
    record.check = event_progress_check(&record.progress);
    if (history == NULL || record.check == NULL) {
        prepared->history = history != NULL ? history : prepared->history;
        free(record.check);
        return false;
    }
    memcpy(record.sha256, attempt->dataset_sha256, sizeof record.sha256);
    history[prepared->history_count++] = record;
    prepared->history = history;
    return true;
}

static void history_take(struct attempt *attempt, struct store_reader *reader) {
    char *history = NULL, *rest;
    bool good = store_history_read(reader, attempt->id, &history) >= 0;
    rest = history;
    for (char *line; good && rest != NULL && (line = strsep(&rest, "\n")) != NULL && *line != '\0';) {
        json_t *event = json_loads(line, 0, NULL);
        good = event != NULL && evaluation_add(attempt, reader, event);
        json_decref(event);
    }
    free(history);
    if (!good) {
        fault_set(&attempt->prepared, "the evaluations of the job that it extends cannot be read");
    }
}

static void prepare(struct attempt *attempt, struct store_reader *reader) {
    struct prepared *prepared = &attempt->prepared;
    char *document = NULL;
    prepared->checkpoint = -1;
    if (store_document_read(reader, attempt->id, &document) != 1) {
        fault_set(prepared, "its document cannot be read");
        return;
    }
    spec_take(attempt, document);
    if (store_checkpoints_list(reader, attempt->id, newest, prepared) < 0) {
        fault_set(prepared, "its checkpoints cannot be read");
    }
    history_take(attempt, reader);
    if (strlen(document) <= REMOTE_DOCUMENT_MOST) {
        prepared->document = document;
    } else {
        free(document);
    }
}

static void run(uv_work_t *work) {
    struct remote *remote = work->data;
    char reason[STORE_ERROR_BYTES] = "";
    if (remote->work_reader == NULL) {
        remote->work_reader = store_reader_open(remote->options.directory, reason);
    }
    for (struct attempt *attempt = remote->work_list; attempt != NULL; attempt = attempt->next_prepared) {
        if (remote->work_reader == NULL) {
            fault_set(&attempt->prepared, reason);
        } else {
            prepare(attempt, remote->work_reader);
        }
    }
}

/* ---- on the loop ---- */

static void start(struct remote *remote);

static void after_run(uv_work_t *work, int status) {
    struct remote *remote = work->data;
    (void)status; /* nothing is cancelled */
    const struct loop_mark mark = loop_enter();
    remote->preparing = false;
    for (struct attempt *attempt = remote->work_list, *next; attempt != NULL; attempt = next) {
        next = attempt->next_prepared;
        attempt->preparing = false;
        remote->prepared(attempt);
    }
    remote->work_list = NULL;
    start(remote);
    loop_leave(remote->options.loop, LOOP_MESSAGE, &mark);
}

static void start(struct remote *remote) {
    if (remote->preparing || remote->to_prepare == NULL) {
        return;
    }
    remote->work_list = remote->to_prepare;
    remote->to_prepare = NULL;
    remote->to_prepare_last = &remote->to_prepare;
    remote->preparing = true;
    remote->work.data = remote;
    uv_queue_work(&remote->options.loop->uv, &remote->work, run, after_run); /* fails without a callback alone */
}

void prepare_submit(struct attempt *attempt) {
    struct remote *remote = attempt->remote;
    attempt->preparing = true;
    attempt->next_prepared = NULL;
    *remote->to_prepare_last = attempt;
    remote->to_prepare_last = &attempt->next_prepared;
    start(remote);
}

void prepare_release(struct remote *remote) {
    store_reader_close(remote->work_reader);
}
