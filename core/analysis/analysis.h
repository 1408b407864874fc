/*
 * Analyses of trained networks: what may be computed of one, or of two, after or during training. One file an analysis,
 * each ending in one `struct analysis_ops`; analysis_table lists them all. No JSON here: the table names each result
 * with its axes, and whoever writes an answer (api/analysis.c) goes by it.
 *
 * Every number is double precision and the same on every host. An analysis blocks the calling thread, owns no state,
 * counts its work and looks at the stop word; its memory and cost are known from sizes alone, before it starts.
 */
#ifndef MODPROP_CORE_ANALYSIS_H
#define MODPROP_CORE_ANALYSIS_H

#include "core/base/result.h"
#include "core/base/work.h"
#include "core/tasks/task.h"
#include "core/train/explained.h"
#include "core/train/simulate.h"
#include "core/train/train.h"

enum analysis_type {
    ANALYSIS_DIMENSIONALITY,
    ANALYSIS_SELECTIVITY,
    ANALYSIS_TIMESCALES,
    ANALYSIS_SIMILARITY,
    ANALYSIS_CHANGES,
    ANALYSIS_CURVATURE,
    ANALYSIS_GENERALIZATION,
    ANALYSIS_LESIONS,
    ANALYSIS_DIFFICULTY,
    ANALYSIS_FILTERS,
    ANALYSIS_TYPES /* their number */
};

/* What each lesion removes. */
enum lesion_target { LESION_UNITS, LESION_TYPES, LESION_PATHWAYS };

/* A network: the weights of a checkpoint with the configuration of its job, whose data are loaded. */
struct analysis_network {
    const struct train_config *config;
    const struct trained *trained;
};

/* What is asked. Members that an analysis does not name are ignored. */
struct analysis_request {
    size_t trials;             /* B */
    uint64_t seed;             /* of fresh trials, and of noise */
    enum simulate_split split; /* whose trials are run */
    size_t first;              /* of the split */
    double noise;              /* standard deviation, as in struct simulate_request */
    int every;                 /* steps of a bin, whose mean is analysed; 0: so that a trial has about 100 bins */
    int begin, end;            /* steps [begin, end) are analysed; end 0: to the trial's end */
    int components;            /* principal components that are given in full */
    int lags;                  /* bins; 0: half of those that there are */
    int iterations;            /* of power iteration, at most */
    double step;               /* of the differences of gradients, as a share of the weights' norm */
    enum lesion_target of;
    struct explain_request explain; /* of filters; its trials and threads are those above and below */
    int threads;                    /* 1 or more */
};

struct analysis_input {
    struct analysis_network network;
    struct analysis_network other;    /* with which it is compared */
    const struct trained *series;     /* (series_count) the checkpoints of the job, the oldest first */
    int series_count;                 /* 0: the analysis takes none */
    const struct task_config *levels; /* (level_count) the task at each difficulty; NULL: the noise differs instead */
    const double *values;             /* (level_count) what differs */
    int level_count;
    struct analysis_request request;
    struct task_shape shape; /* of the task that is run */
};

/* A result as the table describes it. `axes`: names separated by blanks, the outermost first; "": one number. */
struct analysis_output {
    const char *name, *axes, *unit, *doc;
};

#define ANALYSIS_OUTPUTS_MOST 16
#define ANALYSIS_AXES_MOST 3

/* A result as computed, by the index of its row; values NULL: the network or its task has no such thing. */
struct analysis_array {
    double *values;
    size_t lengths[ANALYSIS_AXES_MOST];
};

struct analysis_answer {
    struct analysis_array arrays[ANALYSIS_OUTPUTS_MOST];
    int every;            /* as used */
    double multiply_adds; /* that were done */
};

struct analysis_ops {
    const char *name, *doc;
    const struct analysis_output *outputs;
    int output_count;
    /* False, with a sentence, if what is asked does not fit the network. NULL: it always does. */
    bool (*suits)(const struct analysis_input *input, struct error *error);
    /* Bytes at its peak, results included; multiply-adds. From sizes alone. */
    size_t (*memory)(const struct analysis_input *input);
    double (*cost)(const struct analysis_input *input);
    /* RESULT_DONE; or, with a sentence, RESULT_STOPPED, RESULT_NO_MEMORY or RESULT_INVALID. */
    enum result (*run)(const struct analysis_input *input, struct work *work, struct analysis_answer *answer,
                       struct error *error);
};

extern const struct analysis_ops *const analysis_table[ANALYSIS_TYPES];

/* Fills in what the request leaves open; the shape must be set. Before memory, cost and run. */
void analysis_settle(struct analysis_input *input);
/* `stop` (may be NULL) is polled. As ops->run; the caller releases the answer in any case. */
enum result analysis_run(enum analysis_type type, const struct analysis_input *input, bool (*stop)(void *user),
                         void *user, struct analysis_answer *answer, struct error *error);
void analysis_answer_release(struct analysis_answer *answer);

/* ---- for the analyses' own files ---- */

/* The axes of an output, as a number. */
int analysis_axes_count(const struct analysis_output *output);
/* Memory for result `output` with these lengths, zeroed and owned by the answer; NULL, with a sentence, if there is
 * none. */
double *analysis_array(struct analysis_answer *answer, const struct analysis_ops *ops, int output,
                       const size_t *lengths, struct error *error);
/* The same for all outputs, lengths[output], but those whose length on some axis is 0. False as above. */
bool analysis_arrays(struct analysis_answer *answer, const struct analysis_ops *ops,
                     const size_t (*lengths)[ANALYSIS_AXES_MOST], struct error *error);
/* Says that memory is short. */
enum result analysis_no_memory(struct error *error);
/* What eigen_symmetric and its like return, as a result; -3: memory is short. */
enum result analysis_solved(int found, struct error *error);

#endif
