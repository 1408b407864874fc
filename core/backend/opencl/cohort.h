/*
 * What the files of this backend share: a cohort, jobs of one shape that run side by side on one device, a job an index
 * in every array. shape.c says what is covered and chooses sizes, program.c builds the kernels, cohort.c owns memory
 * and weights, batch.c launches what a batch and an update are, seats.c brings the jobs of several threads together;
 * ../opencl.c is the backend, a seat in a cohort.
 *
 * A call is for some of the jobs: cohort->spans lists them, and every launch is for the jobs of one span, whose number
 * a kernel has from its third index. Nothing of other jobs is read or written.
 *
 * All that an update needs is on the device: between two calls of cohort_iterate nothing is copied, and the host only
 * waits from time to time, so that a stop word is looked at.
 *
 * Owner: one thread at a time (seats.c). A failure of the device ends a cohort: every later call returns
 * RESULT_DEVICE_LOST, and cohort->error says what happened.
 */
#ifndef MODPROP_CORE_BACKEND_OPENCL_COHORT_H
#define MODPROP_CORE_BACKEND_OPENCL_COHORT_H

#include "core/backend/backend.h"
#include "core/backend/opencl/cl.h"
#include "core/engine/engine.h"

/* How a hop of credit runs; numbers of credit.cl. */
enum credit_kind { CREDIT_LOCAL, CREDIT_PSI, CREDIT_MU, CREDIT_BOTH, CREDIT_NEXT };

/* All that the kernels are built for, and how they are laid out. */
struct shape {
    int units, inputs, outputs, types, steps, trials, mask_from;
    bool bias, mask_uniform, count_psi;
    enum loss_type loss;
    enum engine_method method; /* as the engine would: the order of every sum follows from it */
    /* layout */
    int columns, z_offset;               /* of a source row */
    int block_rows, rows_padded, groups; /* as in the engine; trials in whole blocks */
    int lanes, tile_rows, group_rows;    /* forward.cl */
    int outer_tiles, outer_chunk;        /* credit.cl */
    int slots, losses, traces, entries, ring, kept;
    /* rule */
    enum credit_kind credit;
    int hop_types, window;
    bool modes; /* forward by modes where they are well-conditioned, else the reverse recursion */
    bool has_feedback, hop_averages, hop_existing, mu_auto, mu_given;
};

/*
 * The shape for a batch on a device. False, with a sentence that says what the device does not cover.
 */
bool shape_make(const struct backend_sizes *sizes, const struct batch_options *options, int jobs,
                const struct cl_device *device, struct shape *shape, struct error *error);
/* The device of the options; NULL, with a sentence. */
const struct cl_device *shape_device(const struct batch_options *options, struct error *error);

/* A task that the device draws: the row of tasks.c. */
struct device_task {
    const struct task_ops *task;
    const char *text;                                          /* of its .cl file */
    void (*numbers)(const struct task *task, double *numbers); /* 8, for job->task; NULL: none */
    size_t (*data)(const struct task *task);                   /* how many floats it has beside; NULL: none */
    void (*fill)(const struct task *task, float *data);
};
const struct device_task *device_task_find(const struct task_ops *task); /* NULL: not covered */

/* The text of a .cl file, made by embed.py. */
const char *opencl_text(const char *name);

/* A job's numbers on the device; numbers.cl has the same struct. */
struct opencl_job {
    uint64_t seed;
    int64_t iteration, failed, trials;
    double mu, mu_mean, training_loss, weight, loss, correct, psi_mean;
    int64_t silent, modes_good;
    double rate, shrink, learning_rate, decay_factor;
    int64_t decay_every;
    double momentum, beta1, beta2, epsilon, l2, l1, clip_norm, feedback_decay, clip_scale, leak, gain, task[8];
};
#define OPENCL_NEVER (-1)

/* Arrays on the device, a job after the other: name, elements a job, bytes of one. */
#define OPENCL_BUFFERS(ROW)                                                                                            \
    ROW(JOBS, 1, sizeof(struct opencl_job))                                                                            \
    ROW(IDS, rows, 24)                                                                                                 \
    ROW(DRAWN, rows, 24)                                                                                               \
    ROW(DATA, size->data, 4)                                                                                           \
    ROW(TARGET_WEIGHTS, losses *rows, 4)                                                                               \
    ROW(TARGET_CLASSES, losses *rows, 4)                                                                               \
    ROW(TARGET_VALUES, losses *rows *outputs, 4)                                                                       \
    ROW(GIVEN, size->given, 4)                                                                                         \
    ROW(LIVE, losses *(rows / block), 4)                                                                               \
    ROW(HISTORY, slots *rows *row, 4)                                                                                  \
    ROW(V, rows *columns, 4)                                                                                           \
    ROW(UNIT, 2 * columns, 4)                                                                                          \
    ROW(PACKED, sources * 4 * lanes, 4)                                                                                \
    ROW(WOUT_T, outputs *columns, 4)                                                                                   \
    ROW(BOUT, outputs, 4)                                                                                              \
    ROW(FEEDBACK, outputs *columns, 4)                                                                                 \
    ROW(MU, columns, 4)                                                                                                \
    ROW(MU_GIVEN, columns, 4)                                                                                          \
    ROW(HOP, hops * 4 * lanes, 4)                                                                                      \
    ROW(TYPES, units, 4)                                                                                               \
    ROW(TYPE_SIZES, units, 4)                                                                                          \
    ROW(AVERAGES, types *types, 8)                                                                                     \
    ROW(OUTPUTS, losses *rows *outputs, 4)                                                                             \
    ROW(ERR, losses *rows *outputs, 4)                                                                                 \
    ROW(LOSSES, losses *rows, 8)                                                                                       \
    ROW(CORRECTS, losses *rows, 8)                                                                                     \
    ROW(TRIAL_LOSS, rows, 8)                                                                                           \
    ROW(TRIAL_CORRECT, rows, 8)                                                                                        \
    ROW(READOUT, groups *outputs *columns, 4)                                                                          \
    ROW(BOUT_TOTAL, groups *outputs, 8)                                                                                \
    ROW(PSI, groups *columns, 8)                                                                                       \
    ROW(TOTAL, groups *sources *columns, 4)                                                                            \
    ROW(CARRIED, reverse * 3 * rows * columns, 4)                                                                      \
    ROW(GD, reverse *TIME_BLOCK *rows *columns, 4)                                                                     \
    ROW(TRACES, traces *rows *row, 4)                                                                                  \
    ROW(ROWS, ring *rows *row, 4)                                                                                      \
    ROW(FACTORS, ring *rows *columns, 4)                                                                               \
    ROW(KEPT, kept *traces *rows *row, 4)                                                                              \
    ROW(SIGNALS, kept *rows * 3 * types, 4)                                                                            \
    ROW(MODES, modes *types, 32)                                                                                       \
    ROW(MU_OF, modes *types, 8)                                                                                        \
    ROW(VECTORS, modes *types *types, 8)                                                                               \
    ROW(INVERSE, modes *types *types, 8)                                                                               \
    ROW(SHARED, modes *groups * 2 * types * sources, 8)                                                                \
    ROW(SHARES, modes *sources *types, 8)                                                                              \
    ROW(GRADIENT, size->parameters, 4)                                                                                 \
    ROW(WEIGHTS, size->parameters, 4)                                                                                  \
    ROW(STATE, size->state, 4)                                                                                         \
    ROW(SIGNS, units, 4)                                                                                               \
    ROW(MASK, size->mask, 1)                                                                                           \
    ROW(DORMANT, size->dormant, 4)

#define OPENCL_BUFFER(name, elements, bytes) BUFFER_##name,
enum buffer { OPENCL_BUFFERS(OPENCL_BUFFER) BUFFERS };
#undef OPENCL_BUFFER

/* Sizes beyond the shape's: what the task, the optimiser and the network bring. Floats, but mask: bytes. */
struct sizes {
    size_t data, given, parameters, state, mask, dormant;
};

/* Kernels: name, function, buffers in order, ints after them (program.c). */
enum kernel {
    KERNEL_IDS_TRAINING,
    KERNEL_TRIALS_DRAW,
    KERNEL_INPUTS_DRAW,
    KERNEL_INPUTS_GIVEN,
    KERNEL_TARGETS_DRAW,
    KERNEL_BIAS_FILL,
    KERNEL_WEIGHTS_SUM,
    KERNEL_FORWARD,
    KERNEL_FORWARD_RESET,
    KERNEL_FORWARD_WRAP,
    KERNEL_PSI_COUNT,
    KERNEL_LOSS_STEPS,
    KERNEL_LOSS_OF_TRIALS,
    KERNEL_READOUT_GRADIENT,
    KERNEL_BOUT_GRADIENT,
    KERNEL_SUMS_RESET,
    KERNEL_BATCH_END,
    KERNEL_CREDIT,
    KERNEL_CREDIT_RESET,
    KERNEL_OUTER_HISTORY,
    KERNEL_OUTER_ROWS,
    KERNEL_TRACES_RESET,
    KERNEL_TRACES_ADVANCE,
    KERNEL_TRACES_FACTORS,
    KERNEL_TRACES_HOP,
    KERNEL_MODES_MAKE,
    KERNEL_MODES_SIGNALS,
    KERNEL_MODES_SHARED,
    KERNEL_MODES_SHARES,
    KERNEL_GRADIENT_REDUCE,
    KERNEL_READOUT_REDUCE,
    KERNEL_UPDATE_REGULARISE,
    KERNEL_UPDATE_NUMBERS,
    KERNEL_UPDATE_STEP,
    KERNEL_UPDATE_REWIRE,
    KERNEL_UPDATE_END,
    KERNEL_LOAD_FORWARD,
    KERNEL_LOAD_READOUT,
    KERNEL_LOAD_HOP,
    KERNEL_LOAD_AVERAGES,
    KERNELS
};

/* Jobs that lie side by side. */
struct span {
    int first, count;
};

struct cohort {
    const struct cl_functions *cl;
    const struct cl_device *device;
    cl_context context;
    cl_command_queue queue;
    cl_program program;
    cl_kernel kernels[KERNELS]; /* made at their first use */
    cl_mem buffers[BUFFERS];
    size_t buffer_bytes[BUFFERS]; /* of one job */
    struct shape shape;
    struct sizes size;
    int jobs;                         /* that there is room for */
    struct backend_problem *problems; /* (jobs) */
    struct opencl_job *host;          /* (jobs) the same numbers here */
    bool *averages_given;             /* (jobs) those of a span are equal */
    struct span *spans;               /* (jobs) the jobs that the next call is for; first all */
    int span_count;
    struct span now; /* of the launches */
    /* Whether updates are to end for now, looked at after each; NULL: not before they are made. */
    bool (*enough)(void *user);
    void *enough_user;
    const struct device_task *task;
    bool failed;
    char error[256]; /* of the device */
    double waiting;  /* multiply-adds launched since the host has waited */
    size_t memory_bytes;
    int64_t transfers, launches; /* copies between host and device, either way; kernels */
};

/* opencl.c. The cohort of a backend of that file's, for tests. */
struct cohort *opencl_cohort(struct backend *backend);
/* The device of this backend computes wrongly: all jobs there end with RESULT_DEVICE_LOST and this sentence. */
void opencl_condemn(struct backend *backend, const char *why);

/* program.c. False, with cohort->error: the text could not be built. */
bool program_build(struct cohort *cohort, struct error *error);
void program_release(struct cohort *cohort);
/* Kernels are made again at their next use: buffers are others. */
void kernels_forget(struct cohort *cohort);
/*
 * The sizes and choices that a program is built for, as text. Jobs with equal text may share a cohort: all that differs
 * between them is in arrays. NULL if out of memory; the caller's.
 */
char *program_key(const struct cohort *cohort);
/* Bytes of all buffers, for `jobs`. */
size_t cohort_bytes(const struct shape *shape, const struct sizes *size, size_t bytes[BUFFERS]);

/*
 * Launches a kernel over x by y elements of every job of cohort->now; the ints follow. A kernel of work-groups is given
 * as many groups in x. Nothing happens once the cohort has failed.
 */
void cohort_launch(struct cohort *cohort, enum kernel kernel, size_t x, size_t y, const int *numbers);
#define LAUNCH(cohort, kernel, x, y, ...)                                                                              \
    cohort_launch((cohort), (kernel), (size_t)(x), (size_t)(y), (const int[]){0, ##__VA_ARGS__} + 1)

/* cohort.c. As backend_ops.create, load and read; `problems` (jobs) differ in their numbers alone. */
struct cohort *cohort_create(const struct backend_problem *problems, int jobs, enum result *result,
                             struct error *error);
/*
 * In parts: what a cohort is for one job with room for `jobs`, without anything on the device (NULL, with *result and
 * `error`, as create); its memory and program there; and a job, whose memory is then as if none had been there.
 */
struct cohort *cohort_prepare(const struct backend_problem *problem, int jobs, enum result *result,
                              struct error *error);
bool cohort_open(struct cohort *cohort, enum result *result, struct error *error);
bool cohort_place(struct cohort *cohort, int job, const struct backend_problem *problem, struct error *error);
/*
 * Makes room for `jobs` in all; the jobs that are there stay as they are. `problem` is like theirs. False: the device
 * has no memory for it, or has failed; without failure the cohort is as it was.
 */
bool cohort_grow(struct cohort *cohort, int jobs, const struct backend_problem *problem);
/* As realloc; without memory for it the old one, and *made false. */
void *enlarged(void *memory, size_t size, bool *made);
/* How many jobs the device has memory for at most, if `bytes` of it are taken by others. */
int cohort_most(const struct cohort *cohort, uint64_t bytes);
void cohort_destroy(struct cohort *cohort);
void cohort_load(struct cohort *cohort, int job, const float *feedback, double mu, const double *averages);
void cohort_read(struct cohort *cohort, int job);
/* Copies to and from the device; they wait. `from` and `count` in bytes of a job. */
void cohort_write(struct cohort *cohort, enum buffer buffer, int job, const void *from, size_t size);
void cohort_fetch(struct cohort *cohort, enum buffer buffer, int job, void *to, size_t size);
/* What a change of weights brings, of the jobs of cohort->now; launched. */
void cohort_weights_changed(struct cohort *cohort);
/* program.c. Notes that a call has failed. */
bool cohort_check(struct cohort *cohort, cl_int error, const char *what);

/* A job's batch: trials of its task that are named, or, with `source`, given. */
struct cohort_batch {
    const struct batch_source *source;
    const struct trial_id *ids; /* (trials) */
    int trials;
    float *gradient; /* may be NULL */
    struct batch_result *result;
};
/* False: backend_ops.run and trials have to answer RESULT_INVALID. */
bool cohort_batch_fits(const struct cohort *cohort, const struct cohort_batch *batch);

/*
 * batch.c. As backend_ops.run and trials, and iterate, for the jobs of the spans; batches and courses are by job. The
 * batches of one call are alike: all named or all given, all with a gradient or none. `work` counts what one job costs.
 * cohort_iterate returns RESULT_DIVERGED if a job has diverged and none was stopped; who it is, is in cohort->host.
 */
enum result cohort_batches(struct cohort *cohort, const struct cohort_batch *batches, struct work *work);
enum result cohort_iterate(struct cohort *cohort, int64_t most, struct backend_course *courses, struct work *work);

#endif
