/*
 * The design of an experiment: its points, and the job of each point with each seed.
 *
 * Points are computed from the specification whenever they are needed, and never stored: an experiment of 100,000
 * trials takes as much memory as one of ten. The name of a point does not change when the experiment grows: it is the
 * indices of its axes' values, separated by dots ("0.2.1"); for a zip or a list its position.
 *
 * Pure: no store, no socket. A design that has been read does not change and may be used by any thread.
 */
#ifndef MODPROP_SERVER_DESIGN_H
#define MODPROP_SERVER_DESIGN_H

#include <jansson.h>
#include <stdint.h>

#include "api/problem.h"
#include "server/store/store.h"

#define DESIGN_AXES 6
#define DESIGN_POINTS 10000  /* at most */
#define DESIGN_TRIALS 200000 /* at most */
#define DESIGN_METRICS 16
#define METRIC_NAME_BYTES 64

enum metric_kind {
    METRIC_LEARNED, /* the first iteration of `in_a_row` evaluations under (or above) the threshold; else never */
    METRIC_FINAL,   /* the curve's last value */
    METRIC_BEST,    /* its minimum, or maximum if larger is better */
    METRIC_AREA     /* its average height, by trapezoids */
};

struct metric {
    char name[METRIC_NAME_BYTES];
    enum metric_kind kind;
    char key[METRIC_NAME_BYTES]; /* the curve: loss, accuracy, or any other of GET /v1/jobs/{id}/metrics */
    double threshold;
    bool above;
    int in_a_row;
    bool greater_is_better;
};

/* One axis: what each of its values sets. */
struct axis {
    char name[METRIC_NAME_BYTES];
    json_t *values; /* array of objects: JSON Pointers into the job, and optionally "label" */
    size_t count;
};

struct design {
    json_t *document; /* as it was submitted; owned */
    const json_t *base;
    bool is_grid; /* every combination; else the axes vary together */
    struct axis axes[DESIGN_AXES];
    size_t axis_count;
    int64_t *seeds;
    size_t seed_count, points;
    struct metric metrics[DESIGN_METRICS];
    size_t metric_count;
    int compare_axis; /* -1: nothing is compared */
    size_t compare_to;
    bool reuse; /* jobs that the store already has */
    const char *name, *notes;
    json_t *tags;
};

/* Reads a specification; its own faults go to `problems`. Call design_release in any case. */
void design_read(struct design *design, const json_t *document, struct problems *problems);
/* NULL-safe, also for one that was never read (all zero). */
void design_release(struct design *design);

/* Reads the metrics of a list (NULL: the final loss) into `metrics`; returns how many. */
size_t metrics_read(const json_t *list, struct metric metrics[DESIGN_METRICS], struct problems *problems);

size_t design_trials(const struct design *design);
/* The index of each axis' value at a point. */
void design_indices(const struct design *design, size_t point, size_t indices[DESIGN_AXES]);
/* The point's name. */
void design_name(const struct design *design, size_t point, char name[STORE_POINT_BYTES]);
/* The point with this name; SIZE_MAX: there is none. */
size_t design_find(const struct design *design, const char *name);
/* The job of a point with a seed, as it would be submitted. NULL if out of memory. */
json_t *design_job(const struct design *design, size_t point, int64_t seed);

#endif
