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
#include "server/experiments/metrics.h"
#include "server/store/store.h"

#define DESIGN_AXES 6
#define DESIGN_POINTS 10000  /* at most */
#define DESIGN_TRIALS 200000 /* at most */
/* One axis: what each of its values sets. */
struct axis {
    char name[METRIC_NAME_BYTES];
    json_t *values; /* array of objects: JSON Pointers into the job, and optionally "label" */
    size_t count;
};

enum design_kind {
    DESIGN_GRID,  /* every combination */
    DESIGN_ZIP,   /* the axes vary together */
    DESIGN_LIST,  /* the points are given one by one, as the values of one axis */
    DESIGN_RANDOM /* each axis' value is drawn for each point: by a counter, so more points begin with the same ones */
};

/* What is kept of the checkpoints of a trial that has ended. */
enum weights_kept { WEIGHTS_AS_JOB, WEIGHTS_LAST, WEIGHTS_NONE };

struct design {
    json_t *document; /* as it was submitted; owned */
    const json_t *base;
    enum design_kind kind;
    struct axis axes[DESIGN_AXES];
    size_t axis_count;
    int64_t *seeds;
    size_t seed_count, points;
    struct metric metrics[DESIGN_METRICS];
    size_t metric_count;
    int compare_axis; /* -1: nothing is compared */
    size_t compare_to;
    bool reuse; /* jobs that the store already has */
    enum weights_kept weights;
    size_t most_running; /* jobs at once; 0: no bound of its own */
    const char *name, *notes;
    json_t *tags;
};

/* Reads a specification; its own faults go to `problems`. Call design_release in any case. */
void design_read(struct design *design, const json_t *document, struct problems *problems);
/*
 * What is required of a submission, or of a change of one (`document`: what the client sent), beyond what makes it
 * readable: no control characters in the texts that tables show, and each value of an axis of a grid, or each point of
 * a list, once. Specifications that were stored before stay as they are.
 */
void design_sent_check(const json_t *document, struct problems *problems);
/* NULL-safe, also for one that was never read (all zero). */
void design_release(struct design *design);

/*
 * Reads seeds: {"from", "count"}, or a list of seeds and of such ranges. malloc'ed and *count of them, each once; NULL,
 * with a fault, if there is something wrong.
 */
int64_t *design_seeds_read(const json_t *seeds, size_t *count, struct problems *problems);
/* Reads a list of patches (objects of JSON Pointers) at path/name; a copy, or NULL with a fault. */
json_t *design_patches_read(const json_t *list, const struct path *path, const char *name, struct problems *problems);

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
