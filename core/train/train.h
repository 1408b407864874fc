/*
 * Training: the one entry point through which a job runs.
 *
 * train_run blocks its caller's thread until the job has ended or was stopped; its team of threads exists only during
 * the call. It uses no file, clock, socket or log: it reports through the callbacks, all of which are called on the
 * calling thread, between two iterations.
 */
#ifndef MODPROP_CORE_TRAIN_H
#define MODPROP_CORE_TRAIN_H

#include <stdatomic.h>

#include "core/base/phases.h"
#include "core/base/result.h"
#include "core/base/work.h"
#include "core/model/config.h"

enum train_command {
    TRAIN_GO = 0,
    TRAIN_STOP,   /* discard the unfinished iteration, hand out a checkpoint, return RESULT_STOPPED */
    TRAIN_ABANDON /* return RESULT_STOPPED at once; no checkpoint */
};

/* Written by any thread, read inside the time loop. */
struct train_control {
    atomic_int command;          /* enum train_command */
    atomic_int threads;          /* wanted size of the team, 1 or more; applied between two iterations */
    struct train_device *device; /* where the job runs if that covers it; NULL: on the processor */
};

/* A device. Its result is that of the processor, bit for bit, so a job may begin on one and end on the other. */
struct train_device {
    int number;    /* among cl_devices (core/backend/opencl/cl.h) */
    bool used;     /* out: the job runs, or ran, there */
    char why[256]; /* out: it does not, since ...; "" */
    /* Called once, on the thread that trains, when it is known whether the job runs there; may be NULL. */
    void (*decided)(void *user);
    void *user;
};

/* What is known of a device. */
struct train_device_info {
    char name[128], platform[128], driver[128];
    bool gpu;
    bool suitable;         /* its arithmetic is that of the processor */
    char why[160];         /* it is not, since ... */
    unsigned units;        /* compute units */
    uint64_t memory_bytes; /* its own */
};
/* The number of devices, and what is known of number `number` where there is one. 0, with a sentence: none. */
int train_devices(int number, struct train_device_info *info, char error[256]);

/* What happens on a device: now, and since the start of the process. Jobs of equal shape run there as one cohort. */
struct train_device_load {
    int jobs, cohorts;
    uint64_t memory_bytes; /* that they take of it */
    /* rounds: of a cohort's updates or batches; updates: of all jobs; kernels launched; copies to it and back */
    int64_t rounds, updates, launches, transfers;
    double seconds; /* of rounds */
};
struct train_device_load train_device_load(int number);

/* Whether the device covers the job; device->why says what it does not cover. */
bool train_device_covers(const struct train_config *config, struct train_device *device);

/* The gradients of rules for one batch, compared: by weight matrix, and in whole. */
enum alignment_part {
    ALIGNMENT_W,
    ALIGNMENT_WIN,
    ALIGNMENT_B, /* NaN throughout without bias */
    ALIGNMENT_WOUT,
    ALIGNMENT_ALL,
    ALIGNMENT_PARTS
};

struct alignment {
    int count;
    enum rule_type rules[ALIGNED_MOST];
    double norms[ALIGNMENT_PARTS][ALIGNED_MOST];
    double cosines[ALIGNMENT_PARTS][ALIGNED_MOST][ALIGNED_MOST]; /* NaN where one is zero */
};

#define LAG_BINS 32

/*
 * How taps explain bptt's nonlocal credit psi N on one batch (core/train/fit.h). share: 1 - |psi (n - N)|^2 /
 * |psi N|^2, each trial weighted by 1 / sum |A|^2; NaN where there is nothing to explain.
 */
struct fit_score {
    double share, cosine;                 /* over all lags */
    double share_reached, cosine_reached; /* over those that the taps reach */
    double cosine_dW;                     /* of the whole gradient of W with bptt's */
    double share_dW, cosine_dW_nonlocal;  /* of what it has beyond e-prop's, with what bptt has */
    double energy[LAG_BINS];              /* share of |psi N|^2 that lies at lags of bin i, 2^(i-1) < lag <= 2^i */
    double share_lag[LAG_BINS], cosine_lag[LAG_BINS];
};

/* Of the last fit of a job's taps; doubles alone, since checkpoints hold it. */
struct fit_report {
    double share;            /* on the batch that was fitted to */
    struct fit_score unseen; /* on another */
};
enum { REPORT_DOUBLES = sizeof(struct fit_report) / sizeof(double) };

/* Only the members named by `present`, bits of enum diagnostic, are set. */
struct train_diagnostics {
    unsigned present;
    double cosine_W, cosine_Win, cosine_b, cosine_Wout,
        cosine_all; /* with the true gradient (bptt, symmetric feedback) of the same batch; NaN where one is zero */
    double spectral_radius; /* of W */
    double mean_psi;        /* over units, steps and trials of the batch */
    double silent_fraction; /* share of units whose psi is zero throughout the batch */
    double mu;              /* of the next update */
    double gradient_norm_W, gradient_norm_Win, gradient_norm_Wout;
    double credit_gain; /* the largest norm of a power of the credit operator within the trial */
    struct alignment alignment;
    struct fit_report fit; /* of taps that are fitted; reported without being requested */
    struct phases phases;  /* of the training iterations since the last report */
};

/* One evaluation. */
struct train_progress {
    int64_t iteration;    /* updates made before this evaluation */
    double loss;          /* of the evaluation; NaN if no step of its trials counts */
    double accuracy;      /* NaN in the same case, and if the task has none */
    double training_loss; /* of the last training batch; NaN at iteration 0, and if no step of the batch counts */
    double learning_rate; /* of the next update */
    bool last;            /* the evaluation after the last update */
    struct train_diagnostics diagnostics;
};

struct train_callbacks {
    void *user;
    /* Every evaluation, in order. Returning false ends training with RESULT_STOPPED. */
    bool (*progress)(void *user, const struct train_progress *progress);
    /*
     * A checkpoint of the state after `iteration` updates; bytes are valid during the call. Returning false ends
     * training with RESULT_STOPPED.
     */
    bool (*checkpoint)(void *user, int64_t iteration, double loss, const unsigned char *bytes, size_t size);
    /*
     * Called within every evaluation, must be cheap: `done` of its `trials` are done, 0 when it starts and all when it
     * ends. May be NULL.
     */
    void (*evaluating)(void *user, size_t done, size_t trials);
    /* Called after every iteration, must be cheap: `iteration` updates are done. May be NULL. */
    void (*iteration)(void *user, int64_t iteration);
    /* Monotonic seconds, for phases only; never reaches a result. May be NULL. */
    double (*clock)(void *user);
    struct work *work; /* where train_run stores how much work it did, in multiply-adds; may be NULL */
};

/*
 * Trains `config` from its beginning, or from `checkpoint` (NULL: from the beginning) of `checkpoint_size` bytes. The
 * same config gives the same bits whatever control->threads was at any time and wherever it was interrupted. Before
 * RESULT_DONE the checkpoint callback has been called with the final state.
 *
 * With control->device what that covers runs there, after its first update has been compared with the processor's:
 * RESULT_DEVICE_LOST, with `error`, where they differ or the device fails. What was reported until then is right.
 */
enum result train_run(const struct train_config *config, const unsigned char *checkpoint, size_t checkpoint_size,
                      struct train_control *control, const struct train_callbacks *callbacks, struct error *error);

/* What a job will need, computed from its configuration and the shapes of its data alone; nothing large is
 * allocated. */
struct train_estimate {
    size_t memory_bytes; /* peak of the core, with any number of threads: all memory belongs to blocks of trials */
    size_t checkpoint_bytes;
    double start_multiply_adds;                              /* of the task and the initial weights */
    double multiply_adds;                                    /* of one training iteration, the update included */
    double forward_multiply_adds;                            /* of its forward pass alone */
    double trial_multiply_adds;                              /* of one trial's evaluation */
    double training_multiply_adds, evaluation_multiply_adds; /* of the whole job: its updates; its evaluations with
                                                                their diagnostics */
    int threads_most;                                        /* that have work to do */
    const char *method; /* "forward traces", "reverse recursion", "reverse recursion, recomputed in segments", "forward
                           sensitivities" */
};

/* False, with `error`, if the sizes overflow or contradict each other. */
bool train_estimate_compute(const struct train_config *config, struct train_estimate *estimate, struct error *error);

/* Whether an evaluation meets stop_when. A loss or an accuracy that is NaN, because no step counts, meets nothing. */
bool train_stop_met(const struct training_config *config, double loss, double accuracy);

/*
 * Iterations from one evaluation of `trials` trials to the next, a round number, such that evaluation stays under a
 * fifth of the work. It depends on sizes alone, and not on the rule, whose updates cost at least a forward pass: jobs
 * that are compared evaluate at the same iterations.
 */
int64_t train_cadence(size_t trials, int batch_size);

/* A trained (or training) network's state, read from a checkpoint. Pointers point into memory owned by the struct. */
struct trained {
    int units, inputs, outputs, types;
    bool has_bias;
    int64_t iteration;
    int64_t evaluated;                      /* iteration of the last evaluation; -1: none yet */
    const float *W, *Win, *b, *Wout, *bout; /* b NULL where absent; contiguous in this order from W on */
    size_t parameters;                      /* floats from W to the end of bout */
    const float *leak;                      /* (N) */
    const float *rho, *beta;                /* (N) of a model that adapts, else NULL */
    const int *type_of_unit;                /* (N) */
    const int *sign_of_unit;                /* (N) -1, +1; 0 without Dale's law */
    void *memory;
};

/*
 * Checks and opens a checkpoint of this configuration. Returns RESULT_DONE, RESULT_BAD_CHECKPOINT or RESULT_NO_MEMORY.
 */
enum result trained_open(const struct train_config *config, const unsigned char *bytes, size_t size,
                         struct trained *trained, struct error *error);
void trained_release(struct trained *trained);

#endif
