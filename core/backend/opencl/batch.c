/*
 * What a batch and an update are on the device: the order of launches. See cohort.h.
 *
 * Time goes in blocks of TIME_BLOCK steps, one launch of each kernel a block, so that no launch is long; once enough
 * has been launched the host waits for the device and looks at the stop word. The launches of an update are never
 * interrupted: either all of them are made or none.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/backend/opencl/cohort.h"

/* Multiply-adds that a compute unit is given between two looks at the stop word: milliseconds on a GPU. */
#define UNIT_WORK 1e8

/* Ways of numbers.cl: which jobs a kernel is for, where modes decide. */
enum way { WAY_ANY, WAY_TRACES, WAY_REVERSE };

static bool is_reverse(const struct cohort *cohort) {
    return cohort->shape.method == METHOD_REVERSE || cohort->shape.modes;
}

static int sources_of(const struct shape *shape) {
    return shape->inputs + shape->bias + shape->units;
}

/* Counts a launch of so many multiply-adds a job; true: the stop word is set, or the device has failed. */
static bool launched(struct cohort *cohort, struct work *work, double multiply_adds) {
    cohort->waiting += multiply_adds * cohort->now.count;
    if (work) {
        work->done += cohort->now.first == cohort->spans[0].first ? multiply_adds : 0; /* a job is in one span */
    }
    if (cohort->waiting < UNIT_WORK * (cohort->device->units > 0 ? cohort->device->units : 1)) {
        return cohort->failed;
    }
    cohort->waiting = 0;
    cohort_check(cohort, cohort->cl->Finish(cohort->queue), "waiting for it");
    return cohort->failed || work_look(work);
}

/* ---- parts of a batch ---- */

/* A batch that runs. */
struct run {
    bool gradient;
    bool given; /* inputs and targets come from the host */
    struct work *work;
};

/* Loss of steps [from, to), `slot` that of step `from`, and its sums, in the order of time or backwards. */
static void loss_launch(struct cohort *cohort, const struct run *run, int from, int to, int slot, bool backwards,
                        enum way way) {
    const struct shape *shape = &cohort->shape;
    int first = from > shape->mask_from ? from : shape->mask_from, at = slot + (first - from);
    if (first >= to) {
        return;
    }
    LAUNCH(cohort, KERNEL_LOSS_STEPS, shape->rows_padded, to - first, first, to, at);
    LAUNCH(cohort, KERNEL_LOSS_OF_TRIALS, shape->rows_padded, 1, first, to, backwards, way);
    if (run->gradient) {
        LAUNCH(cohort, KERNEL_READOUT_GRADIENT, shape->outputs * shape->columns, shape->groups, first, to, at,
               backwards, way);
        LAUNCH(cohort, KERNEL_BOUT_GRADIENT, shape->outputs, shape->groups, first, to, backwards, way);
    }
}

static int outer_groups(const struct shape *shape) {
    return ((sources_of(shape) + 7) / 8 + shape->outer_tiles - 1) / shape->outer_tiles;
}

/* The outer product of entries [first, first + count) of the rings. */
static void rows_flush(struct cohort *cohort, int first, int count) {
    const struct shape *shape = &cohort->shape;
    LAUNCH(cohort, KERNEL_OUTER_ROWS, outer_groups(shape), shape->groups, shape->ring, shape->ring, first % shape->ring,
           first % shape->ring, count, WAY_TRACES);
}

/* The traces of steps [from, to) and what loss takes of them; entries that make a whole chain are flushed. */
static void traces_launch(struct cohort *cohort, int from, int to, int slot) {
    const struct shape *shape = &cohort->shape;
    LAUNCH(cohort, KERNEL_TRACES_ADVANCE, sources_of(shape), shape->rows_padded, from, to, slot);
    int first = from > shape->mask_from ? from : shape->mask_from, at = slot + (first - from);
    if (first >= to) {
        return;
    }
    LAUNCH(cohort, KERNEL_TRACES_FACTORS, shape->columns * (to - first), shape->rows_padded, first, to, at);
    if (shape->entries == 2) {
        LAUNCH(cohort, KERNEL_TRACES_HOP, shape->rows_padded / shape->group_rows, to - first, first, at);
    }
    if (shape->modes) {
        LAUNCH(cohort, KERNEL_MODES_SIGNALS, shape->rows_padded, to - first, first, to);
        LAUNCH(cohort, KERNEL_MODES_SHARED, sources_of(shape), 2 * shape->types * shape->groups, first, to);
    }
    int before = (first - shape->mask_from) * shape->entries / TIME_BLOCK,
        after = (to - shape->mask_from) * shape->entries, chains = after / TIME_BLOCK;
    for (int chain = before; chain < chains; chain++) {
        rows_flush(cohort, chain * TIME_BLOCK, TIME_BLOCK);
    }
    if (to == shape->steps && after % TIME_BLOCK > 0) {
        rows_flush(cohort, chains * TIME_BLOCK, after % TIME_BLOCK);
    }
}

/* The whole trial forward. False when stopped. */
static bool forward_launch(struct cohort *cohort, const struct run *run) {
    const struct shape *shape = &cohort->shape;
    bool keeps = is_reverse(cohort), later = keeps && run->gradient && !shape->modes;
    double each = (double)shape->rows_padded * sources_of(shape) * shape->units;
    for (int from = 0; from < shape->steps; from += TIME_BLOCK) {
        int to = from + TIME_BLOCK < shape->steps ? from + TIME_BLOCK : shape->steps, slot = keeps ? from : 0;
        LAUNCH(cohort, run->given ? KERNEL_INPUTS_GIVEN : KERNEL_INPUTS_DRAW, shape->rows_padded, to - from, from,
               to - from, slot);
        LAUNCH(cohort, KERNEL_FORWARD, shape->rows_padded / shape->group_rows, 1, slot, to - from);
        if (run->gradient && shape->count_psi) {
            LAUNCH(cohort, KERNEL_PSI_COUNT, shape->units, shape->groups, slot, to - from);
        }
        if (!later) {
            loss_launch(cohort, run, from, to, slot, false, run->gradient ? WAY_TRACES : WAY_ANY);
        }
        if (run->gradient && shape->traces > 0) {
            traces_launch(cohort, from, to, slot);
        }
        if (!keeps) {
            LAUNCH(cohort, KERNEL_FORWARD_WRAP, shape->columns, shape->rows_padded, to - from);
        }
        if (launched(cohort, run->work, each * (to - from))) {
            return false;
        }
    }
    return true;
}

/* Credit and gradient from the last step to the first. False when stopped. */
static bool reverse_launch(struct cohort *cohort, const struct run *run) {
    const struct shape *shape = &cohort->shape;
    double each = (double)shape->rows_padded * (sources_of(shape) + shape->units) * shape->units;
    LAUNCH(cohort, KERNEL_CREDIT_RESET, 3 * shape->rows_padded * shape->columns, 1);
    for (int to = shape->steps; to > 0;) {
        int from = (to - 1) / TIME_BLOCK * TIME_BLOCK;
        loss_launch(cohort, run, from, to, from, true, WAY_REVERSE);
        LAUNCH(cohort, KERNEL_CREDIT, shape->rows_padded / shape->group_rows, 1, from, to, from);
        LAUNCH(cohort, KERNEL_OUTER_HISTORY, outer_groups(shape), shape->groups, shape->slots, TIME_BLOCK, from, 0,
               to - from, WAY_REVERSE);
        if (launched(cohort, run->work, each * (to - from))) {
            return false;
        }
        to = from;
    }
    return true;
}

/* The batch whose trials are named or given. False when stopped. */
static bool batch_launch(struct cohort *cohort, const struct run *run, bool training) {
    const struct shape *shape = &cohort->shape;
    int wide = sources_of(shape) > shape->outputs ? sources_of(shape) : shape->outputs,
        high = shape->columns > 2 * shape->types ? shape->columns : 2 * shape->types;
    size_t sums = (size_t)shape->groups * (size_t)wide * (size_t)high;
    if (!run->given) {
        LAUNCH(cohort, KERNEL_TRIALS_DRAW, shape->rows_padded, 1);
        LAUNCH(cohort, KERNEL_TARGETS_DRAW, shape->rows_padded, shape->losses);
    }
    LAUNCH(cohort, KERNEL_WEIGHTS_SUM, 1, 1);
    LAUNCH(cohort, KERNEL_SUMS_RESET, sums > (size_t)shape->rows_padded ? sums : (size_t)shape->rows_padded, 1);
    LAUNCH(cohort, KERNEL_FORWARD_RESET, shape->columns, shape->rows_padded);
    if (run->gradient && shape->traces > 0) {
        LAUNCH(cohort, KERNEL_TRACES_RESET, shape->traces * shape->rows_padded * (shape->z_offset + shape->columns), 1);
    }
    if (!forward_launch(cohort, run) || (run->gradient && is_reverse(cohort) && !reverse_launch(cohort, run))) {
        return false;
    }
    LAUNCH(cohort, KERNEL_BATCH_END, 1, 1, training);
    if (run->gradient) {
        if (shape->modes) {
            LAUNCH(cohort, KERNEL_MODES_SHARES, sources_of(shape), shape->types);
        }
        LAUNCH(cohort, KERNEL_GRADIENT_REDUCE, shape->units, sources_of(shape));
        LAUNCH(cohort, KERNEL_READOUT_REDUCE, shape->units, shape->outputs);
    }
    return true;
}

static enum result stopped_result(const struct cohort *cohort) {
    return cohort->failed ? RESULT_DEVICE_LOST : RESULT_STOPPED;
}

/* ---- the jobs of a call ---- */

/* Whether the modes are good is among the numbers, and only the device knows: it says so anew. */
static void jobs_write(struct cohort *cohort) {
    for (int s = 0; s < cohort->span_count; s++) {
        cohort->now = cohort->spans[s];
        cohort_write(cohort, BUFFER_JOBS, cohort->now.first, &cohort->host[cohort->now.first],
                     (size_t)cohort->now.count * sizeof *cohort->host);
        if (cohort->shape.modes) {
            LAUNCH(cohort, KERNEL_MODES_MAKE, 1, 1);
        }
    }
}

static void jobs_fetch(struct cohort *cohort) {
    for (int s = 0; s < cohort->span_count; s++) {
        const struct span span = cohort->spans[s];
        cohort_fetch(cohort, BUFFER_JOBS, span.first, &cohort->host[span.first],
                     (size_t)span.count * sizeof *cohort->host);
    }
}

/* The job after `job` that the call is for, in span *s; -1: none. The first: job -1, *s 0. */
static int job_next(const struct cohort *cohort, int *s, int job) {
    if (*s < cohort->span_count && job >= cohort->spans[*s].first + cohort->spans[*s].count - 1) {
        (*s)++;
        job = -1;
    }
    if (*s >= cohort->span_count) {
        return -1;
    }
    return job < cohort->spans[*s].first ? cohort->spans[*s].first : job + 1;
}

/* ---- batches of the caller ---- */

bool cohort_batch_fits(const struct cohort *cohort, const struct cohort_batch *batch) {
    return batch->trials >= 1 && batch->trials <= cohort->shape.trials &&
           (!batch->gradient || batch->trials == cohort->shape.trials) && (batch->source || cohort->task);
}

static enum result ids_write(struct cohort *cohort, int job, const struct cohort_batch *batch) {
    const size_t rows = (size_t)cohort->shape.rows_padded;
    int64_t *named = calloc(3 * rows, sizeof *named);
    if (!named) {
        return RESULT_NO_MEMORY;
    }
    for (int i = 0; i < batch->trials; i++) {
        named[3 * i] = batch->ids[i].phase;
        named[3 * i + 1] = batch->ids[i].iteration;
        named[3 * i + 2] = (int64_t)batch->ids[i].trial;
    }
    cohort_write(cohort, BUFFER_IDS, job, named, 3 * rows * sizeof *named);
    free(named);
    return RESULT_DONE;
}

/* Inputs, weights, classes and values of a source in the layout of the device. */
struct given {
    float *inputs, *weights, *values;
    int32_t *classes;
};

/* False if a target names a class that the outputs do not have. */
static bool given_fill(const struct shape *shape, const struct batch_source *source, int trials, struct given *given) {
    size_t rows = (size_t)shape->rows_padded, inputs = (size_t)shape->inputs, outputs = (size_t)shape->outputs;
    for (size_t b = 0; b < (size_t)trials; b++) {
        source->inputs(source->user, b, 0, shape->steps, given->inputs + b * inputs, rows * inputs);
        for (int t = shape->mask_from; t < shape->steps; t++) {
            size_t at = (size_t)(t - shape->mask_from) * rows + b;
            int class_index = 0;
            given->weights[at] = source->target(source->user, b, t, &class_index, given->values + at * outputs);
            given->classes[at] = class_index;
            if (shape->loss == LOSS_CROSS_ENTROPY && given->weights[at] != 0.0f &&
                (class_index < 0 || class_index >= shape->outputs)) {
                return false;
            }
        }
    }
    return true;
}

static enum result given_write(struct cohort *cohort, int job, const struct cohort_batch *batch) {
    const struct shape *shape = &cohort->shape;
    size_t rows = (size_t)shape->rows_padded, targets = (size_t)shape->losses * rows,
           inputs = (size_t)shape->steps * rows * (size_t)shape->inputs, values = targets * (size_t)shape->outputs;
    struct given given = {calloc(inputs, sizeof(float)), calloc(targets, sizeof(float)), calloc(values, sizeof(float)),
                          calloc(targets, sizeof(int32_t))};
    enum result result = RESULT_NO_MEMORY;
    if (given.inputs && given.weights && given.values && given.classes) {
        result = given_fill(shape, batch->source, batch->trials, &given) ? RESULT_DONE : RESULT_INVALID;
    }
    if (result == RESULT_DONE) {
        cohort_write(cohort, BUFFER_GIVEN, job, given.inputs, inputs * sizeof(float));
        cohort_write(cohort, BUFFER_TARGET_WEIGHTS, job, given.weights, targets * sizeof(float));
        cohort_write(cohort, BUFFER_TARGET_CLASSES, job, given.classes, targets * sizeof(int32_t));
        cohort_write(cohort, BUFFER_TARGET_VALUES, job, given.values, values * sizeof(float));
    }
    free(given.inputs);
    free(given.weights);
    free(given.values);
    free(given.classes);
    return result;
}

static void result_take(struct cohort *cohort, int job, const struct cohort_batch *batch) {
    const struct opencl_job *host = &cohort->host[job];
    batch->result->weight = host->weight;
    batch->result->loss = host->loss;
    batch->result->correct = host->correct;
    if (batch->gradient) {
        cohort_fetch(cohort, BUFFER_GRADIENT, job, batch->gradient, cohort->size.parameters * sizeof *batch->gradient);
        if (cohort->shape.count_psi) {
            batch->result->psi_mean = host->psi_mean;
            batch->result->silent_units = (int)host->silent;
        }
    }
}

enum result cohort_batches(struct cohort *cohort, const struct cohort_batch *batches, struct work *work) {
    const struct cohort_batch *first = &batches[cohort->spans[0].first];
    const struct run run = {.gradient = first->gradient != NULL, .given = first->source != NULL, .work = work};
    for (int s = 0, job = job_next(cohort, &s, -1); job >= 0; job = job_next(cohort, &s, job)) {
        enum result written = run.given ? given_write(cohort, job, &batches[job])
                                        : ids_write(cohort, job, &batches[job]);
        if (written != RESULT_DONE) {
            return written;
        }
        cohort->host[job].trials = batches[job].trials;
    }
    jobs_write(cohort);
    if (work_look(work)) {
        return RESULT_STOPPED;
    }
    for (int s = 0; s < cohort->span_count; s++) {
        cohort->now = cohort->spans[s];
        if (!batch_launch(cohort, &run, false)) {
            return stopped_result(cohort);
        }
    }
    jobs_fetch(cohort);
    for (int s = 0, job = job_next(cohort, &s, -1); job >= 0; job = job_next(cohort, &s, job)) {
        result_take(cohort, job, &batches[job]);
    }
    return cohort->failed ? RESULT_DEVICE_LOST : RESULT_DONE;
}

/* ---- updates ---- */

static void update_launch(struct cohort *cohort) {
    LAUNCH(cohort, KERNEL_UPDATE_REGULARISE, cohort->size.parameters, 1);
    LAUNCH(cohort, KERNEL_UPDATE_NUMBERS, 1, 1);
    LAUNCH(cohort, KERNEL_UPDATE_STEP, cohort->size.parameters, 1);
    if (cohort->size.dormant > 0) {
        LAUNCH(cohort, KERNEL_UPDATE_REWIRE, 1, 1);
    }
    LAUNCH(cohort, KERNEL_UPDATE_END, 1, 1);
    cohort_weights_changed(cohort);
}

/* One update of every job, span by span. False when stopped: jobs of later spans are an update behind. */
static bool updates_launch(struct cohort *cohort, const struct run *run) {
    for (int s = 0; s < cohort->span_count; s++) {
        cohort->now = cohort->spans[s];
        LAUNCH(cohort, KERNEL_IDS_TRAINING, cohort->shape.rows_padded, 1);
        if (!batch_launch(cohort, run, true)) {
            return false;
        }
        update_launch(cohort);
    }
    return true;
}

enum result cohort_iterate(struct cohort *cohort, int64_t most, struct backend_course *courses, struct work *work) {
    const struct run run = {.gradient = true, .work = work};
    for (int s = 0, job = job_next(cohort, &s, -1); job >= 0; job = job_next(cohort, &s, job)) {
        struct opencl_job *host = &cohort->host[job];
        host->iteration = courses[job].iteration;
        host->training_loss = courses[job].training_loss;
        host->mu_mean = courses[job].mu_mean;
        host->failed = OPENCL_NEVER;
        host->trials = cohort->shape.trials;
    }
    jobs_write(cohort);
    enum result result = work_look(work) ? RESULT_STOPPED : RESULT_DONE;
    for (int64_t i = 0; i < most && result == RESULT_DONE; i++) {
        if (i > 0 && cohort->enough && cohort->enough(cohort->enough_user)) {
            break;
        }
        result = updates_launch(cohort, &run) ? RESULT_DONE : stopped_result(cohort);
    }
    jobs_fetch(cohort);
    if (cohort->failed) {
        return RESULT_DEVICE_LOST;
    }
    for (int s = 0, job = job_next(cohort, &s, -1); job >= 0; job = job_next(cohort, &s, job)) {
        const struct opencl_job *host = &cohort->host[job];
        courses[job] = (struct backend_course){host->iteration, host->training_loss, host->mu_mean};
        result = host->failed != OPENCL_NEVER && result == RESULT_DONE ? RESULT_DIVERGED : result;
    }
    return result;
}
