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

#include "server/experiments/design.h"

struct study_point {
    char name[STORE_POINT_BYTES];
    json_t *configuration; /* with all defaults */
    char *label;
    size_t indices[DESIGN_AXES];
    size_t first, count; /* of the study's trials */
};

enum value_state { VALUE_THERE, VALUE_MISSING, VALUE_OPEN };

struct study_trial {
    size_t point;
    int64_t seed;
    char job[STORE_ID_BYTES];
    enum job_status status;
    bool linked, diverged;
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
    int compare_axis;     /* -1: points are compared to the point compare_to */
    size_t compare_to;
    bool failed; /* no memory, or the store cannot be read */
};

/* Points, labels and trials of a stored experiment; with the values of all metrics where `values`. */
void study_of_experiment(struct study *study, const struct store_experiment *row, bool values);
/*
 * The same of jobs: those whose configurations differ in the seed alone (by all that reaches a result) are one point.
 * Ids that are no jobs go to `problems`.
 */
void study_of_jobs(struct study *study, const json_t *ids, struct problems *problems);
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

/* One curve of a point's trials: quartiles over seeds at each iteration. */
struct study_curve {
    double *iterations, *median, *low, *high;
    size_t *seeds; /* how many have a value there */
    size_t length;
};
bool study_curve_compute(const struct study *study, size_t point, const char *key, struct study_curve *curve);
void study_curve_release(struct study_curve *curve);
/* One trial's own. False if out of memory. */
struct curve_values {
    double *iterations, *values;
    size_t length, room;
};
bool study_curve_read(const struct study *study, const char *job, const char *key, struct curve_values *values);
void curve_values_release(struct curve_values *values);

#endif
