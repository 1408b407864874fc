/*
 * Jobs made from jobs: see repetition.h.
 */
#include "server/jobs/repetition.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/event.h"
#include "api/text.h"
#include "core/train/checkpoint.h"

static bool refuse(struct repetition *repetition, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool refuse(struct repetition *repetition, int status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(repetition->detail, sizeof repetition->detail, format, arguments);
    va_end(arguments);
    repetition->status = status;
    return false;
}

/* ---- the evaluations ---- */

/* Evaluations on their way from the other job to the new one. */
struct gathering {
    struct repetition *repetition;
    FILE *out;
    int64_t last;      /* iteration of the newest that was taken; -1: none */
    int64_t until;     /* the checkpoint's iteration */
    int64_t evaluated; /* of the last evaluation that the checkpoint has counted */
    int streak;        /* evaluations in a row, up to there, that met stop_when */
    int64_t met;       /* where there were enough of them; -1: nowhere */
    bool failed;
};

/* Takes an evaluation that the longer job would have made too. */
static bool gather(struct gathering *gathering, json_t *event) {
    static const char *const own[] = {"id", "job", "seq", "type", "time"};
    const struct training_config *training = &gathering->repetition->admission->spec.config.training;
    struct jobs_inherited *inherited = &gathering->repetition->inherited;
    double elapsed, rate;
    const struct train_progress progress = event_progress_read(event, &elapsed, &rate);
    if (progress.iteration <= gathering->last || progress.iteration > gathering->until ||
        progress.iteration % training->evaluate_every != 0) {
        return true;
    }
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        json_object_del(event, own[i]);
    }
    char *text = json_text(event, NULL);
    bool put = text != NULL && fprintf(gathering->out, "%s\n", text) > 0;
    free(text);
    if (progress.iteration <= gathering->evaluated && gathering->met < 0) {
        gathering->streak = train_stop_met(training, progress.loss, progress.accuracy) ? gathering->streak + 1 : 0;
        bool enough = training->stop_metric != STOP_NEVER && gathering->streak >= training->stop_evaluations;
        gathering->met = enough ? progress.iteration : -1;
    }
    gathering->last = progress.iteration;
    inherited->iteration = progress.iteration;
    inherited->loss = progress.loss;
    inherited->accuracy = progress.accuracy;
    inherited->initial_loss = progress.iteration == 0 ? progress.loss : inherited->initial_loss;
    return put;
}

static bool gather_text(struct gathering *gathering, const char *text) {
    json_t *event = json_loads(text, 0, NULL);
    gathering->failed = gathering->failed || event == NULL || !gather(gathering, event);
    json_decref(event);
    return !gathering->failed && !gathering->repetition->stopped(gathering->repetition->user);
}

static bool gather_event(void *user, const struct store_event *event) {
    return gather_text(user, event->json);
}

/* What the other job has inherited itself, and perhaps not yet reported, then what it has reported. */
static bool gather_all(struct gathering *gathering, struct store_reader *reader) {
    const char *source = gathering->repetition->source;
    char *history = NULL, *rest;
    bool read = store_history_read(reader, source, &history) >= 0;
    rest = history;
    for (char *line; read && rest != NULL && (line = strsep(&rest, "\n")) != NULL && *line != '\0';) {
        read = gather_text(gathering, line);
    }
    free(history);
    return read && store_progress_read(reader, source, 0, gathering->until, gather_event, gathering) >= 0 &&
           !gathering->failed;
}

static bool history_take(struct repetition *repetition, struct store_reader *reader, const struct trained *trained) {
    struct jobs_inherited *inherited = &repetition->inherited;
    struct gathering gathering = {
        .repetition = repetition, .last = -1, .until = trained->iteration, .evaluated = trained->evaluated, .met = -1};
    size_t size;
    inherited->loss = inherited->accuracy = inherited->initial_loss = NAN;
    gathering.out = open_memstream(&inherited->history, &size);
    bool taken = gathering.out != NULL && gather_all(&gathering, reader);
    taken = gathering.out != NULL && fclose(gathering.out) == 0 && taken;
    if (!taken) {
        return refuse(repetition, 503, "the evaluations of job %s cannot be read now", repetition->source);
    }
    if (gathering.met >= 0) {
        problems_add(repetition->admission->problems, NULL, "stop_when",
                     "was met at iteration %lld, where a job with it ends; give null, or a condition that has not been "
                     "met",
                     (long long)gathering.met);
    }
    checkpoint_streak_set(inherited->checkpoint.bytes, gathering.streak);
    return true;
}

/* ---- the checkpoint ---- */

static bool trained_take(struct repetition *repetition, struct store_reader *reader, const struct trained *trained) {
    struct job_spec *spec = &repetition->admission->spec;
    struct jobs_inherited *inherited = &repetition->inherited;
    char digest[STORE_HASH_BYTES];
    if (trained->iteration >= spec->config.training.iterations) {
        problems_add(repetition->admission->problems, NULL, "iterations",
                     "must be more than the %lld that the job has made; got %lld", (long long)trained->iteration,
                     (long long)spec->config.training.iterations);
        return true;
    }
    sha256_hex(trained->W, trained->parameters * sizeof(float), digest);
    if (!job_spec_origin_set(spec, "extension", repetition->source, trained->iteration, digest)) {
        return refuse(repetition, 503, "out of memory");
    }
    if (!history_take(repetition, reader, trained)) {
        return false;
    }
    sha256_hex(inherited->checkpoint.bytes, inherited->checkpoint.size, inherited->checkpoint.sha256);
    inherited->checkpoint.keep = training_keep(&spec->config.training);
    return true;
}

static bool checkpoint_take(struct repetition *repetition, struct store_reader *reader) {
    struct store_checkpoint *checkpoint = &repetition->inherited.checkpoint;
    struct trained trained;
    struct error error;
    int found = store_checkpoint_read(reader, repetition->source, -1, checkpoint, NULL);
    if (found != 1) {
        return refuse(repetition, found < 0 ? 503 : 409,
                      found < 0 ? "the checkpoints of job %s cannot be read now"
                                : "job %s has no checkpoint to continue from; submit it again, or retry it",
                      repetition->source);
    }
    enum result opened = trained_open(&repetition->admission->spec.config, checkpoint->bytes, checkpoint->size,
                                      &trained, &error);
    if (opened != RESULT_DONE) {
        return refuse(repetition, opened == RESULT_NO_MEMORY ? 503 : 409,
                      "the checkpoint of job %s cannot be opened: %.200s", repetition->source, error.text);
    }
    bool taken = trained_take(repetition, reader, &trained);
    trained_release(&trained);
    return taken;
}

/* ---- the whole ---- */

/* Whether the other job has ended in a way that allows it. */
static bool status_check(struct repetition *repetition, enum job_status status) {
    const char *name = job_status_name(status);
    if (status == JOB_PAUSED || status == JOB_PAUSING) {
        return refuse(repetition, 409, "the job is %s; resume it, or cancel it first", name);
    }
    if (!job_status_is_final(status)) {
        return refuse(repetition, 409, "the job is %s; wait until it has ended, or cancel it first", name);
    }
    if (repetition->kind == REPEAT_RETRY && status == JOB_SUCCEEDED) {
        return refuse(repetition, 409, "the job has succeeded; extend it, or submit it again with another seed");
    }
    return true;
}

static bool source_read(struct repetition *repetition, struct store_reader *reader) {
    struct store_job job;
    char *document = NULL;
    int found = store_job_read(reader, repetition->source, &job);
    if (found != 1) {
        return refuse(repetition, found < 0 ? 503 : 404,
                      found < 0 ? "the job %.60s cannot be read now" : "there is no job %.60s", repetition->source);
    }
    bool allowed = status_check(repetition, job.status);
    store_job_release(&job);
    if (!allowed) {
        return false;
    }
    bool parsed = store_document_read(reader, repetition->source, &document) == 1 &&
                  job_spec_parse(&repetition->admission->spec, document);
    free(document);
    return parsed || refuse(repetition, 503, "the document of job %.60s cannot be read now", repetition->source);
}

/* A job that was accepted before its data were fixed has another identity once they are: its checkpoint does not fit.
 */
static void identity_check(struct repetition *repetition) {
    const struct job_spec *spec = &repetition->admission->spec;
    uint8_t identity[IDENTITY_BYTES];
    if (!job_spec_identity(spec, REACH_COURSE, identity)) {
        (void)refuse(repetition, 503, "out of memory");
    } else if (memcmp(identity, spec->config.identity, sizeof identity) != 0) {
        (void)refuse(repetition, 409,
                     "the job is of version 0.1, which did not record its data; submit it again with more iterations");
    }
}

void repetition_make(struct repetition *repetition, struct store_reader *reader, const json_t *body) {
    struct admission *admission = repetition->admission;
    struct job_spec *spec = &admission->spec;
    admission->begin = json_memory_begin();
    admission->repeats = true;
    if (!source_read(repetition, reader)) {
        return;
    }
    spec->priority = spec->priority > repetition->priority_most ? (int)repetition->priority_most : spec->priority;
    if (repetition->kind == REPEAT_EXTEND) {
        job_spec_extend(spec, body, admission->problems);
        if (admission->problems->count > 0 || !checkpoint_take(repetition, reader)) {
            return;
        }
    } else if (!job_spec_origin_set(spec, "retry", repetition->source, 0, NULL)) {
        (void)refuse(repetition, 503, "out of memory");
        return;
    }
    admission_settle(admission, true);
    if (repetition->kind == REPEAT_EXTEND && admission->problems->count == 0) {
        identity_check(repetition);
    }
}

void repetition_release(struct repetition *repetition) {
    jobs_inherited_release(&repetition->inherited);
}
