/*
 * A task: what a trial is. One file per task, each ending in one `struct task_ops`; task_table lists them all.
 *
 * A task instance is immutable once made and shared by all threads. Trials are produced in blocks of time from the
 * counter-based generator, so nothing here has size T. The noise of a trial depends only on (seed, phase, iteration,
 * trial).
 */
#ifndef MODPROP_CORE_TASKS_TASK_H
#define MODPROP_CORE_TASKS_TASK_H

#include "core/base/field.h"
#include "core/base/result.h"
#include "core/base/work.h"
#include "core/model/config.h"

enum loss_type { LOSS_CROSS_ENTROPY, LOSS_MSE };

/* An array as in its file, row-major, read in place without a converted copy. Not aligned. */
enum data_type { DATA_F32, DATA_F64, DATA_I8, DATA_U8, DATA_I16, DATA_I32, DATA_I64 };
struct data_array {
    const unsigned char *bytes; /* NULL: none */
    enum data_type type;
};

/*
 * Spikes, by trial and then by tick; each adds 1 to its input. Trial b has those from first[b] to before first[b + 1].
 * Borrowed.
 */
struct spike_list {
    const size_t *first;   /* (B + 1); NULL: the inputs are an array */
    const uint32_t *ticks; /* each below T */
    const uint16_t *units; /* each below I */
};

/* Trials given as arrays: MNIST (pixels, labels) or a user's dataset. Borrowed, immutable. Unused fields are NULL. */
struct trial_set {
    size_t trials;             /* B */
    const uint8_t *pixels;     /* (B, 28, 28), MNIST */
    const uint8_t *labels;     /* (B), MNIST */
    struct data_array inputs;  /* (T, B, I), dataset; or */
    struct spike_list spikes;  /* instead of them */
    struct data_array classes; /* (T, B), dataset with cross-entropy: integers from 0 to O - 1; or */
    bool class_per_trial;      /* they are (B), of each trial the same at all steps */
    struct data_array values;  /* (T, B, O), dataset with squared error */
    const float *mask;         /* (T, B), dataset; NULL: every step counts */
    bool masked;               /* there is a mask, whether or not it is loaded */
    size_t mask_from;          /* the first step that counts in any trial; T if none does */
};

/* With sizes alone (described) it gives a task's shape and a job's estimate, but no trials. */
struct task_data {
    size_t steps, inputs, outputs; /* dataset; of spikes, steps are ticks */
    enum loss_type loss;           /* dataset */
    bool spiking;                  /* dataset: its inputs are spikes */
    struct trial_set train, test;  /* test.trials 0: the dataset has no test split */
};

struct task_shape {
    int steps, inputs, outputs; /* T, I, O */
    enum loss_type loss;
    bool has_accuracy;
    int mask_from;      /* the first step that may carry loss: earlier steps never count */
    bool mask_uniform;  /* every step from mask_from on has weight 1 in every trial; else call task_ops.target */
    double empty_loss;  /* the loss of a batch in which no step counts */
    double trial_work;  /* cost in multiply-adds of drawing a trial, */
    double input_work;  /* of one value of its inputs, */
    double target_work; /* and of the target of a step, approximately */
    size_t test_trials; /* trials of the test split, all used by an evaluation; 0: an evaluation is one fresh batch */
    size_t training_trials; /* trials of the training split; 0: they are made, and as many as one likes */
};

enum trial_phase { TRIAL_TRAINING, TRIAL_EVALUATION, TRIAL_TEST, TRIAL_LISTED };

/*
 * Names one trial. In TRIAL_TEST and TRIAL_LISTED `trial` is the index in the test split and in the training split, and
 * iteration is ignored.
 */
struct trial_id {
    enum trial_phase phase;
    int64_t iteration;
    size_t trial;
};

/* What a task needs to know about a trial to produce any part of it; filled by task->trial, opaque to callers. */
struct trial {
    struct trial_id id;
    uint64_t bits; /* the task's own: cue bits, favoured side */
    size_t source; /* index in the trial_set it comes from */
    int label;     /* class of the trial where it has one */
};

struct task;

/* The data that must be loaded before a task has a shape. */
enum task_needs {
    NEEDS_NOTHING,
    NEEDS_MNIST,  /* the four files, the same for every job */
    NEEDS_DATASET /* the user's dataset of the configuration's name */
};

/* A default of a section of the job that differs from the table's, which is the published run's. */
struct task_default {
    const char *section, *name, *fallback; /* as JSON text */
};

struct task_ops {
    const char *name, *doc;
    struct fields parameters; /* offsets within struct task_config; OWN in tasks.h */
    const struct task_default *defaults;
    size_t default_count;
    enum task_needs needs;
    bool without_accuracy; /* whatever its data are */
    /*
     * Checks that involve several parameters, each of which is in range. False with the name of the one to change and
     * the constraint. NULL: no checks.
     */
    bool (*check)(const struct task_config *config, const char **parameter, char error[256]);
    /* Shape from the configuration alone (config->data set if the task needs it). False with a sentence in error. */
    bool (*shape)(const struct task_config *config, struct task_shape *shape, char error[256]);
    /* Fills task->state (state_size bytes, zeroed, 64-byte aligned) from the seed. Either may be NULL. */
    size_t (*state_size)(const struct task_config *config);
    double (*init_work)(const struct task_config *config); /* multiply-adds of init; NULL: few */
    void (*init)(struct task *task, struct work *work);    /* ends early when `work` is stopped */
    void (*trial)(const struct task *task, struct trial_id id, struct trial *trial);
    /* x[(t - from) * stride + i] for t in [from, to), i in [0, I) */
    void (*inputs)(const struct task *task, const struct trial *trial, int from, int to, float *x, size_t stride);
    /*
     * Target and mask weight at step t: *class_index for cross-entropy, or values[0..O). Called only for t >=
     * mask_from.
     */
    float (*target)(const struct task *task, const struct trial *trial, int t, int *class_index, float *values);
};

struct task {
    const struct task_ops *ops;
    const struct task_config *config;
    struct task_shape shape;
    uint64_t seed;
    void *state;
};

/* The table of tasks, by enum task_type. Their numbers are bits of a word. */
#define TASKS_MOST 32
extern const struct task_ops *const task_table[];
extern const int task_count;

const struct task_ops *task_ops_of(const struct task_config *config);

/*
 * The task's own parameters by name, for who has no document: those that are integers or numbers. The process ends
 * where the task has none of that name.
 */
struct task_value {
    const char *name;
    double value;
};
double task_number(const struct task_config *config, const char *name);
/* All others have their defaults. */
struct task_config task_config_make(enum task_type type, const struct task_value *values, size_t count);
#define TASK_CONFIG(type, ...)                                                                                         \
    task_config_make(type, (const struct task_value[]){__VA_ARGS__},                                                   \
                     sizeof((const struct task_value[]){__VA_ARGS__}) / sizeof(struct task_value))

/*
 * Makes a task; task_release frees it (NULL-safe, also after a partial construction). `work` (may be NULL) counts and
 * stops. RESULT_DONE, or RESULT_STOPPED, RESULT_INVALID or RESULT_NO_MEMORY with a sentence in error.
 */
/*
 * Standard normal numbers of the network's own noise at step t, for units [from, from + count) of `units`: named as the
 * trial's inputs are, so that the same trial has the same noise wherever it runs.
 */
void trial_noise(uint64_t seed, struct trial_id id, int units, int t, int from, int count, float *noise);

enum result task_init(struct task *task, const struct task_config *config, uint64_t seed, struct work *work,
                      char error[256]);
void task_release(struct task *task);

#endif
