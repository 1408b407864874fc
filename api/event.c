/* Events: see event.h. */
#include "api/event.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/field.h"
#include "api/rule.h"
#include "api/text.h"

void time_text(int64_t milliseconds, char text[TIME_TEXT_BYTES]) {
    time_t seconds = (time_t)(milliseconds / 1000);
    struct tm parts;
    char date[24];
    if (gmtime_r(&seconds, &parts) == NULL || strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts) == 0) {
        snprintf(date, sizeof date, "0000-00-00T00:00:00"); /* out of range: the row is damaged */
    }
    snprintf(text, TIME_TEXT_BYTES, "%s.%03dZ", date, (int)(milliseconds % 1000));
}

const struct event_kind event_kinds[EVENT_TYPES] = {[EVENT_STATUS] = {"status", "EventStatus"},
                                                    [EVENT_PROGRESS] = {"progress", "EventProgress"},
                                                    [EVENT_CHECKPOINT] = {"checkpoint", "EventCheckpoint"},
                                                    [EVENT_LOG] = {"log", "EventLog"},
                                                    [EVENT_DELETED] = {"deleted", "EventDeleted"},
                                                    [EVENT_CHANGED] = {"changed", "EventChanged"},
                                                    [EVENT_TRIAL] = {"trial", "EventTrial"},
                                                    [EVENT_EXPERIMENT] = {"experiment", "EventExperiment"}};

static json_t *event_begin(const struct event_head *head, enum event_type type) {
    char time[TIME_TEXT_BYTES];
    time_text(head->time, time);
    return json_pack("{s:I, s:s, s:I, s:s, s:s}", "id", (json_int_t)head->id, "job", head->job, "seq",
                     (json_int_t)head->seq, "type", event_kinds[type].name, "time", time);
}

static char *event_end(json_t *event) {
    char *text = json_text(event, NULL);
    json_decref(event);
    return text;
}

static void set_text(json_t *object, const char *name, const char *text) {
    if (text != NULL) {
        json_object_set_new(object, name, json_string(text));
    }
}

static void set_number(json_t *object, const char *name, double number) {
    json_object_set_new(object, name, json_number_or_null(number));
}

const char *outcome_name(double loss, double initial_loss) {
    return loss > 3 * initial_loss ? "diverged" : "trained";
}

char *event_status_text(const struct event_head *head, const struct event_status *status) {
    json_t *event = event_begin(head, EVENT_STATUS);
    set_text(event, "status", status->status);
    set_text(event, "reason", status->reason);
    json_object_set_new(event, "attempt", json_integer(status->attempt));
    if (status->final) {
        json_t *metrics = json_pack("{s:I}", "iteration", (json_int_t)status->iteration);
        set_number(metrics, "loss", status->loss);
        set_number(metrics, "accuracy", status->accuracy);
        json_object_set_new(event, "metrics", metrics);
    }
    set_text(event, "outcome", status->outcome);
    if (status->weights) {
        char link[96];
        snprintf(link, sizeof link, "/v1/jobs/%s/weights", head->job);
        set_text(event, "weights_sha256", status->weights_sha256);
        json_object_set_new(event, "links", json_pack("{s:s}", "weights", link));
    }
    if (status->error_code != NULL) {
        json_t *error = json_pack("{s:s, s:s}", "code", status->error_code, "detail",
                                  status->error_detail != NULL ? status->error_detail : "");
        if (status->error_iteration >= 0) {
            json_object_set_new(error, "iteration", json_integer(status->error_iteration));
        }
        json_object_set_new(event, "error", error);
    }
    return event_end(event);
}

static void put_results(json_t *object, const struct train_progress *progress) {
    json_object_set_new(object, "iteration", json_integer(progress->iteration));
    set_number(object, "loss", progress->loss);
    set_number(object, "accuracy", progress->accuracy);
    set_number(object, "training_loss", progress->training_loss);
    set_number(object, "learning_rate", progress->learning_rate);
}

#define DIAGNOSTIC(bit, key, member) {bit, key, offsetof(struct train_diagnostics, member)}

/* Times are the host's, not the job's: they are reported, but do not count when results are compared. */
static const struct {
    unsigned bit;
    const char *key;
    size_t offset;
} diagnostic_keys[] = {
    DIAGNOSTIC(DIAGNOSTIC_MU, "mu", mu),
    DIAGNOSTIC(DIAGNOSTIC_COSINE, "cosine_W", cosine_W),
    DIAGNOSTIC(DIAGNOSTIC_COSINE, "cosine_Win", cosine_Win),
    DIAGNOSTIC(DIAGNOSTIC_COSINE, "cosine_b", cosine_b),
    DIAGNOSTIC(DIAGNOSTIC_COSINE, "cosine_Wout", cosine_Wout),
    DIAGNOSTIC(DIAGNOSTIC_COSINE, "cosine_all", cosine_all),
    DIAGNOSTIC(DIAGNOSTIC_SPECTRAL_RADIUS, "spectral_radius", spectral_radius),
    DIAGNOSTIC(DIAGNOSTIC_PSI, "mean_psi", mean_psi),
    DIAGNOSTIC(DIAGNOSTIC_PSI, "silent_fraction", silent_fraction),
    DIAGNOSTIC(DIAGNOSTIC_NORMS, "gradient_norm_W", gradient_norm_W),
    DIAGNOSTIC(DIAGNOSTIC_NORMS, "gradient_norm_Win", gradient_norm_Win),
    DIAGNOSTIC(DIAGNOSTIC_NORMS, "gradient_norm_Wout", gradient_norm_Wout),
    DIAGNOSTIC(DIAGNOSTIC_CREDIT_GAIN, "credit_gain", credit_gain),
    DIAGNOSTIC(DIAGNOSTIC_FIT, "fit_share", fit.share),
    DIAGNOSTIC(DIAGNOSTIC_FIT, "fit_share_unseen", fit.unseen.share),
    DIAGNOSTIC(DIAGNOSTIC_FIT, "fit_cosine", fit.unseen.cosine),
    DIAGNOSTIC(DIAGNOSTIC_FIT, "fit_cosine_dW", fit.unseen.cosine_dW),
    DIAGNOSTIC(DIAGNOSTIC_FIT, "fit_share_dW", fit.unseen.share_dW),
    DIAGNOSTIC(DIAGNOSTIC_FIT, "fit_cosine_dW_nonlocal", fit.unseen.cosine_dW_nonlocal),
    DIAGNOSTIC(DIAGNOSTIC_PHASES, "seconds_trials", phases.trials),
    DIAGNOSTIC(DIAGNOSTIC_PHASES, "seconds_forward", phases.forward),
    DIAGNOSTIC(DIAGNOSTIC_PHASES, "seconds_credit", phases.credit),
    DIAGNOSTIC(DIAGNOSTIC_PHASES, "seconds_gradient", phases.gradient),
    DIAGNOSTIC(DIAGNOSTIC_PHASES, "seconds_optimizer", phases.optimizer),
};

size_t event_curves(const char *names[CURVES_MAX]) {
    static const char *const always[CURVES_ALWAYS] = {
        "iteration", "loss", "accuracy", "training_loss", "learning_rate", "elapsed_seconds", "trials_per_second"};
    const size_t diagnostics = sizeof diagnostic_keys / sizeof *diagnostic_keys;
    static_assert(CURVES_ALWAYS + sizeof diagnostic_keys / sizeof *diagnostic_keys <= CURVES_MAX, "room for all");
    memcpy(names, always, sizeof always);
    for (size_t i = 0; i < diagnostics; i++) {
        names[CURVES_ALWAYS + i] = diagnostic_keys[i].key;
    }
    return CURVES_ALWAYS + diagnostics;
}

static const char *const alignment_names[ALIGNMENT_PARTS] = {"W", "Win", "b", "Wout", "all"};

/* {"rules": [..], "W": [[..]], .., "all": [[..]]}: the cosine of each rule's gradient with each other's. */
json_t *alignment_encode(const struct alignment *alignment) {
    json_t *object = json_object(), *rules = json_array();
    for (int i = 0; i < alignment->count; i++) {
        json_array_append_new(rules, json_string(rule_type_name(alignment->rules[i])));
    }
    json_object_set_new(object, "rules", rules);
    for (int part = 0; part < ALIGNMENT_PARTS; part++) {
        json_t *matrix = json_array();
        for (int i = 0; i < alignment->count; i++) {
            json_t *row = json_array();
            for (int k = 0; k < alignment->count; k++) {
                json_array_append_new(row, json_number_or_null(alignment->cosines[part][i][k]));
            }
            json_array_append_new(matrix, row);
        }
        json_object_set_new(object, alignment_names[part], matrix);
    }
    return object;
}

static void alignment_read(const json_t *object, struct alignment *alignment) {
    const json_t *rules = json_object_get(object, "rules");
    size_t count = json_array_size(rules);
    alignment->count = count <= ALIGNED_MOST ? (int)count : ALIGNED_MOST;
    for (int i = 0; i < alignment->count; i++) {
        const char *name = json_string_value(json_array_get(rules, (size_t)i));
        (void)(name != NULL && rule_type_find(name, &alignment->rules[i]));
        for (int part = 0; part < ALIGNMENT_PARTS; part++) {
            const json_t *row = json_array_get(json_object_get(object, alignment_names[part]), (size_t)i);
            for (int k = 0; k < alignment->count; k++) {
                const json_t *value = json_array_get(row, (size_t)k);
                alignment->cosines[part][i][k] = json_is_number(value) ? json_number_value(value) : NAN;
            }
        }
    }
}

/* {"to": [1, 2, 4, ..], "energy": [..], "share": [..], "cosine": [..]}: `to` is the last lag of a bin. */
json_t *lags_encode(const struct fit_score *score) {
    json_t *to = json_array(), *energy = json_array(), *share = json_array(), *cosine = json_array();
    int bins = LAG_BINS;
    while (bins > 0 && !(score->energy[bins - 1] > 0)) {
        bins--;
    }
    for (int i = 0; i < bins; i++) {
        json_array_append_new(to, json_integer((json_int_t)1 << i));
        json_array_append_new(energy, json_number_or_null(score->energy[i]));
        json_array_append_new(share, json_number_or_null(score->share_lag[i]));
        json_array_append_new(cosine, json_number_or_null(score->cosine_lag[i]));
    }
    return json_pack("{s:o, s:o, s:o, s:o}", "to", to, "energy", energy, "share", share, "cosine", cosine);
}

static double number_in(const json_t *list, size_t i) {
    const json_t *value = json_array_get(list, i);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static void lags_read(const json_t *object, struct fit_score *score) {
    size_t bins = json_array_size(json_object_get(object, "energy"));
    for (size_t i = 0; i < bins && i < LAG_BINS; i++) {
        score->energy[i] = number_in(json_object_get(object, "energy"), i);
        score->share_lag[i] = number_in(json_object_get(object, "share"), i);
        score->cosine_lag[i] = number_in(json_object_get(object, "cosine"), i);
    }
}

static void put_diagnostics(json_t *object, const struct train_diagnostics *diagnostics, unsigned wanted) {
    for (size_t i = 0; i < sizeof diagnostic_keys / sizeof *diagnostic_keys; i++) {
        if (diagnostics->present & wanted & diagnostic_keys[i].bit) {
            set_number(object, diagnostic_keys[i].key,
                       *(const double *)((const char *)diagnostics + diagnostic_keys[i].offset));
        }
    }
    if (diagnostics->present & wanted & DIAGNOSTIC_ALIGNMENT) {
        json_object_set_new(object, "alignment", alignment_encode(&diagnostics->alignment));
    }
    if (diagnostics->present & wanted & DIAGNOSTIC_FIT) {
        json_object_set_new(object, "fit_lags", lags_encode(&diagnostics->fit.unseen));
    }
}

char *event_progress_text(const struct event_head *head, const struct train_progress *progress, double elapsed_seconds,
                          double trials_per_second) {
    json_t *event = event_begin(head, EVENT_PROGRESS);
    put_results(event, progress);
    set_number(event, "elapsed_seconds", elapsed_seconds);
    set_number(event, "trials_per_second", trials_per_second);
    put_diagnostics(event, &progress->diagnostics, ~0u);
    return event_end(event);
}

/* A null is NaN: JSON has none. */
static double number_at(const json_t *event, const char *name) {
    const json_t *value = json_object_get(event, name);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

struct train_progress event_progress_read(const json_t *event, double *elapsed_seconds, double *trials_per_second) {
    struct train_progress progress = {.iteration = json_integer_value(json_object_get(event, "iteration")),
                                      .loss = number_at(event, "loss"),
                                      .accuracy = number_at(event, "accuracy"),
                                      .training_loss = number_at(event, "training_loss"),
                                      .learning_rate = number_at(event, "learning_rate")};
    for (size_t i = 0; i < sizeof diagnostic_keys / sizeof *diagnostic_keys; i++) {
        if (json_object_get(event, diagnostic_keys[i].key) != NULL) {
            progress.diagnostics.present |= diagnostic_keys[i].bit;
            *(double *)((char *)&progress.diagnostics + diagnostic_keys[i].offset) = number_at(event,
                                                                                               diagnostic_keys[i].key);
        }
    }
    const json_t *alignment = json_object_get(event, "alignment");
    if (alignment != NULL) {
        progress.diagnostics.present |= DIAGNOSTIC_ALIGNMENT;
        alignment_read(alignment, &progress.diagnostics.alignment);
    }
    lags_read(json_object_get(event, "fit_lags"), &progress.diagnostics.fit.unseen);
    *elapsed_seconds = number_at(event, "elapsed_seconds");
    *trials_per_second = number_at(event, "trials_per_second");
    return progress;
}

char *event_progress_check(const struct train_progress *progress) {
    json_t *results = json_object();
    put_results(results, progress);
    put_diagnostics(results, &progress->diagnostics, ~(unsigned)DIAGNOSTIC_PHASES);
    return event_end(results);
}

char *event_checkpoint_text(const struct event_head *head, int64_t iteration, double loss, size_t size,
                            const char *sha256) {
    json_t *event = event_begin(head, EVENT_CHECKPOINT);
    json_object_set_new(event, "iteration", json_integer(iteration));
    set_number(event, "loss", loss);
    json_object_set_new(event, "size", json_integer((json_int_t)size));
    set_text(event, "sha256", sha256);
    return event_end(event);
}

char *event_log_text(const struct event_head *head, const char *level, const char *message) {
    json_t *event = event_begin(head, EVENT_LOG);
    set_text(event, "level", level);
    set_text(event, "message", message);
    return event_end(event);
}

char *event_changed_text(const struct event_head *head) {
    return event_end(event_begin(head, EVENT_CHANGED));
}

char *event_deleted_text(const struct event_head *head) {
    return event_end(event_begin(head, EVENT_DELETED));
}

/* ---- of experiments ---- */

static json_t *experiment_begin(const struct event_head *head, enum event_type type, const char *experiment) {
    char time[TIME_TEXT_BYTES];
    time_text(head->time, time);
    return json_pack("{s:s, s:I, s:s, s:s}", "experiment", experiment, "seq", (json_int_t)head->seq, "type",
                     event_kinds[type].name, "time", time);
}

char *event_trial_text(const struct event_head *head, const struct event_trial *trial) {
    json_t *event = experiment_begin(head, EVENT_TRIAL, trial->experiment);
    set_text(event, "point", trial->point);
    json_object_set_new(event, "seed", json_integer((json_int_t)trial->seed));
    set_text(event, "job", trial->job);
    set_text(event, "status", trial->status);
    json_object_set_new(event, "outcome", trial->outcome == NULL ? json_null() : json_string(trial->outcome));
    json_object_set_new(event, "iteration", json_integer((json_int_t)trial->iteration));
    set_number(event, "loss", trial->loss);
    set_number(event, "accuracy", trial->accuracy);
    json_object_set_new(event, "linked", json_boolean(trial->linked));
    return event_end(event);
}

char *event_experiment_text(const struct event_head *head, const char *status, const char *reason, int64_t points,
                            int64_t trials) {
    json_t *event = experiment_begin(head, EVENT_EXPERIMENT, head->job);
    set_text(event, "status", status);
    set_text(event, "reason", reason);
    json_object_set_new(event, "points", json_integer((json_int_t)points));
    json_object_set_new(event, "trials", json_integer((json_int_t)trials));
    return event_end(event);
}
