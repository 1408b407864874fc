/*
 * A study: points, their trials and the value of each metric in each trial; of an experiment, or of any set of jobs.
 * From it come all numbers that clients show, by statistics.h alone.
 *
 * Which value a trial has: a job that succeeded has what its curve says. One that diverged (its outcome, or the code of
 * its failure) has learned never, which is later than all and never dropped. Any other failure has no value: it is
 * missing, and counted. A job that has not ended is neither.
 *
 * In a lane: gathering reads each trial's job, and its curves where a metric needs them.
 */
#ifndef MODPROP_SERVER_STUDY_H
#define MODPROP_SERVER_STUDY_H

#include "server/experiments/curves.h"
#include "server/experiments/design.h"

/* How a point is shown beside its colour (styles.c). */
struct study_style {
    int dash, marker; /* from 0, the plain ones */
    char *panel;      /* NULL: there is one panel */
};

struct study_point {
    char name[STORE_POINT_BYTES];
    json_t *configuration; /* with all defaults */
    char *label;
    struct study_style style;
    size_t indices[DESIGN_AXES];
    size_t first, count; /* of the study's trials */
};

enum value_state { VALUE_THERE, VALUE_MISSING, VALUE_OPEN };

struct study_trial {
    size_t point;
    int64_t seed;
    char job[STORE_ID_BYTES];
    enum job_status status;
    bool kept;                       /* its result is apart from its job */
    bool linked, diverged, archived; /* archived: its job has been deleted, what it found has not */
    int64_t iteration;               /* of the last evaluation */
    double progress;                 /* 0 to 1; 1: it has ended */
    enum value_state states[DESIGN_METRICS];
    double values[DESIGN_METRICS]; /* INFINITY: never */
};

struct study {
    struct store_reader *reader;
    bool (*stopped)(void *user); /* polled */
    void *user;
    struct metric metrics[DESIGN_METRICS];
    size_t metric_count;
    struct study_point *points;
    size_t point_count;
    struct study_trial *trials; /* by point, then seed */
    size_t trial_count, trial_room;
    struct design design; /* of an experiment; else its document is NULL */
    size_t draws;         /* of bootstrap intervals; 0: none */
    enum metric_unit x;   /* of curves over seeds, beside the iteration where x_given */
    bool x_given;
    int compare_axis; /* -1: points are compared to the point compare_to */
    size_t compare_to;
    bool failed; /* no memory, or the store cannot be read */
};

/*
 * Points, labels and trials of a stored experiment; with the values of all metrics where `values`. The study's own
 * metrics replace the experiment's, if it has any.
 */
void study_of_experiment(struct study *study, const struct store_experiment *row, bool values);
/*
 * The same of jobs, which are listed, or are all (at most 10,000) that a query finds. Those whose configurations differ
 * in the seed alone (by all that reaches a result) are one point; or with `by` those that agree in these fields. Of
 * jobs that a query finds and that agree in everything, the seed too, the newest that has succeeded counts. Ids that
 * are no jobs, faults of the query and of `by`, and two jobs of a point with one seed go to `problems`.
 */
struct study_set {
    const json_t *ids; /* NULL where there is a query */
    const char *q;     /* NULL: ids */
    const json_t *by;  /* a list of fields, as in queries; NULL: by configuration */
};
void study_of_jobs(struct study *study, const struct study_set *set, struct problems *problems);
void study_release(struct study *study);

/* The point of this name; SIZE_MAX. */
size_t study_find(const struct study *study, const char *name);

/* Records, each an object of numbers, texts and objects of these. NULL if out of memory. */
json_t *study_point_record(const struct study *study, size_t point);
json_t *study_trial_record(const struct study *study, size_t trial);
/*
 * Calls each (which takes over the record) for every comparison. False if out of memory or where `each` returned false.
 */
bool study_compare(const struct study *study, bool (*each)(void *user, json_t *record), void *user);

/* ---- what a study's parts share ---- */

/* A trial's curves, those that are wanted. False on failure. */
bool study_curves_read(const struct study *study, const struct study_trial *trial, struct curves *curves);
double study_batch_size(const struct study *study, const struct study_trial *trial);
/* "bptt", "delayed_xor": the type in a section of the point's configuration. */
const char *study_type(const struct study_point *point, const char *section);
/* By axis: the point's value, or what the user calls it, or its index. */
json_t *study_values(const struct study *study, const struct study_point *point);
/* Sets the style of every point. */
void study_style(struct study *study);

/* ---- curves over seeds (bands.c) ---- */

/* At each iteration: quartiles over seeds; with study->draws the mean too, and its bootstrap interval. */
struct band {
    double *iterations, *x, *median, *low, *high, *mean, *mean_low, *mean_high; /* (length) each */
    size_t *seeds;                                                              /* how many have a value there */
    size_t length;
};
bool study_band_compute(const struct study *study, size_t point, const char *key, struct band *band);
void band_release(struct band *band);

/* One trial's own. False on failure; release it in any case. */
struct trial_curve {
    struct curves curves;
    double *values; /* of `curves` */
    double *x;
};
bool trial_curve_read(const struct study *study, const struct study_trial *trial, const char *key,
                      struct trial_curve *curve);
void trial_curve_release(struct trial_curve *curve);

/* Records of curves: a whole one; one row of it; each seed's own as one object, and as rows. */
json_t *study_band_record(const struct study *study, size_t point, const char *key, const struct band *band);
json_t *study_band_row(const struct study *study, size_t point, const char *key, const struct band *band, size_t row);
json_t *study_seeds_record(const struct study *study, size_t point, const char *key);
bool study_seeds_rows(const struct study *study, size_t point, const char *key,
                      bool (*each)(void *user, json_t *record), void *user);

#endif
