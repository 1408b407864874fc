/*
 * Events as clients see them: flat objects, one line of compact JSON each. Times are Unix milliseconds, written as RFC
 * 3339 UTC.
 */
#ifndef MODPROP_API_EVENT_H
#define MODPROP_API_EVENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/train/train.h"

#define TIME_TEXT_BYTES 32

/* The types of stored events, one row each (event.c); everything that uses a type's name takes it from there. */
enum event_type {
    EVENT_STATUS,
    EVENT_PROGRESS,
    EVENT_CHECKPOINT,
    EVENT_LOG,
    EVENT_DELETED,
    EVENT_CHANGED,
    EVENT_TRIAL,      /* of an experiment: a trial has ended, or was linked */
    EVENT_EXPERIMENT, /* its status, or its extent, has changed */
    EVENT_TYPES
};

struct event_kind {
    const char *name;   /* "progress" */
    const char *schema; /* server/routes/schemas/NAME.json */
};

extern const struct event_kind event_kinds[EVENT_TYPES];

/* What every event has. Events of experiments are numbered by the store, which puts their id in front. */
struct event_head {
    const char *job;
    int64_t id, seq, time;
};

struct event_status {
    const char *status;
    const char *reason; /* NULL: none; a sentence for a status that needs one */
    int attempt;
    bool final; /* metrics are reported, and with `weights` a link to them */
    bool weights;
    int64_t iteration;
    double loss, accuracy;                 /* NaN: null */
    const char *outcome;                   /* of a job that succeeded, see outcome_name; NULL: none */
    const char *weights_sha256;            /* NULL: none */
    const char *error_code, *error_detail; /* NULL: none */
    int64_t error_iteration;               /* -1: none */
};

/*
 * The outcome of a job that succeeded: "diverged" if its loss ended above three times its loss at iteration 0, else
 * "trained". A loss that is not finite is something else: it fails the job.
 */
const char *outcome_name(double loss, double initial_loss);

/* Each returns a new text that the caller frees, NULL if out of memory. */
char *event_status_text(const struct event_head *head, const struct event_status *status);
char *event_progress_text(const struct event_head *head, const struct train_progress *progress, double elapsed_seconds,
                          double trials_per_second);
char *event_checkpoint_text(const struct event_head *head, int64_t iteration, double loss, size_t size,
                            const char *sha256);
char *event_log_text(const struct event_head *head, const char *level, const char *message);
char *event_deleted_text(const struct event_head *head);
char *event_changed_text(const struct event_head *head);

/* A trial that has ended; the id of the head is not used, nor that of its experiment. */
struct event_trial {
    const char *experiment, *point;
    int64_t seed;
    const char *job, *status;
    const char *outcome; /* as of event_status */
    int64_t iteration;
    double loss, accuracy; /* NaN: null */
    bool linked;           /* the job was there before */
};
char *event_trial_text(const struct event_head *head, const struct event_trial *trial);
/* head->job: the experiment's id. reason NULL: none. */
char *event_experiment_text(const struct event_head *head, const char *status, const char *reason, int64_t points,
                            int64_t trials);

/* An alignment as events have it; NULL if out of memory. And the score of taps by lag: bins as far as they are used. */
json_t *alignment_encode(const struct alignment *alignment);
json_t *lags_encode(const struct fit_score *score);

/* The names of all curves that progress events can have; the first CURVES_ALWAYS are those of every job. */
#define CURVES_ALWAYS 7
#define CURVES_MAX 32
size_t event_curves(const char *names[CURVES_MAX]);

/*
 * Reads a progress event's object back, whatever else it has. Numbers are exact: event_progress_text and
 * event_progress_check give the same text again.
 */
struct train_progress event_progress_read(const json_t *event, double *elapsed_seconds, double *trials_per_second);

/* The part of a progress event that must be the same when the iteration is recomputed. */
char *event_progress_check(const struct train_progress *progress);

void time_text(int64_t milliseconds, char text[TIME_TEXT_BYTES]);

#endif
