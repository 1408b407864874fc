/*
 * A backend runs the batches of one job: created for a network and a rule, it takes the weights, runs batches and
 * iterations, gives the weights back, and is destroyed. Whichever it is, the bits are the same; so what a job computes
 * never depends on it. One file a backend, each ending in one `struct backend_ops`; backend_table lists them all by the
 * rows of core/base/seams.h.
 *
 * The caller has one copy of what training changes: the network's weights and the optimiser's state. Between `load` and
 * `read` a backend may hold a newer one of its own, on a device; until `read` has returned the caller's copy is out of
 * date.
 *
 * A backend on a device may lose it: calls then return RESULT_DEVICE_LOST, and all that the caller has not read is
 * gone.
 *
 * Owner: the thread that trains. Between two calls nothing runs.
 */
#ifndef MODPROP_CORE_BACKEND_H
#define MODPROP_CORE_BACKEND_H

#include "core/base/result.h"
#include "core/base/seams.h"
#include "core/base/team.h"
#include "core/base/work.h"
#include "core/model/network.h"
#include "core/model/optimizer.h"
#include "core/tasks/batch.h"

struct backend_sizes {
    int units, inputs, outputs, types; /* N, I, O, C */
    bool bias, equal_leaks;
};

/* What a batch will cost, computed from sizes alone. */
struct backend_plan {
    const char *method;                          /* in words */
    size_t memory_bytes;                         /* peak of what the backend allocates */
    double forward_multiply_adds, multiply_adds; /* of one forward pass; of one gradient with its forward pass and what
                                                    a change of weights costs */
    int threads_most;                            /* that have work to do */
};

/* What a backend is created for. Everything is borrowed and outlives it, but `options`, which it copies. */
struct backend_problem {
    struct network *network;
    const struct batch_options *options;
    struct team *team; /* threads of the host, for a backend that computes on them */
    /* for `trials` and `iterate`; NULL where only batches of given sources are run */
    const struct task *task;
    struct optimizer *optimizer; /* for `iterate` */
};

/* What training carries from one iteration to the next, beside the weights and the optimiser's state. */
struct backend_course {
    int64_t iteration;    /* updates made */
    double training_loss; /* of the last one; the task's empty_loss if none of its steps counted */
    double mu_mean;       /* running mean of psi, for mu "auto" */
};

/* An instance: the first member of what each backend makes. */
struct backend {
    const struct backend_ops *ops;
    char lost[256]; /* of a call that returned RESULT_DEVICE_LOST: what has happened */
};

struct backend_ops {
    const char *name;
    /* False, with `error`, if a size is out of range, memory could not be addressed or the rule does not fit. */
    bool (*plan)(const struct backend_sizes *sizes, const struct batch_options *options, struct backend_plan *plan,
                 struct error *error);
    /* NULL, with `error` and *result set to RESULT_NO_MEMORY or RESULT_INVALID, on failure. */
    struct backend *(*create)(const struct backend_problem *problem, enum result *result, struct error *error);
    /*
     * Takes the network's weights and the optimiser's state from the caller's copy. To be called after every change
     * that the caller makes. `feedback` is F, (O,N); NULL: Wout transposed. mu as in the rule. `averages`, (C,C), are
     * the type averages to use for credit (type weights), borrowed; NULL: W is averaged again after each update.
     */
    void (*load)(struct backend *backend, const float *feedback, double mu, const double *averages);
    /*
     * Runs trials 0..trials-1 of the source. With `gradient` (network->parameters floats in the order of the weights)
     * also writes the rule's gradient. RESULT_DONE, RESULT_STOPPED (`work`, which counts and may be NULL, was stopped),
     * RESULT_NO_MEMORY, RESULT_DEVICE_LOST, or RESULT_INVALID if `trials` is not from 1 to options->trials (a device's
     * gradient: options->trials itself) or a target is a class that the outputs do not have.
     */
    enum result (*run)(struct backend *backend, const struct batch_source *source, int trials, float *gradient,
                       struct work *work, struct batch_result *result);
    /* The same for trials of the task, which the backend draws. */
    enum result (*trials)(struct backend *backend, const struct trial_id *ids, int trials, float *gradient,
                          struct work *work, struct batch_result *result);
    /*
     * Makes updates number course->iteration and on: at least one, at most `most`, as many as the backend likes to make
     * before its caller may look at stop words and change the team. Each draws options->trials training trials of its
     * number. Writes `course`; `phases` are added to. As `run`, or RESULT_DIVERGED: the loss of update
     * course->iteration is not finite, and neither it nor a later one was made. On any failure nothing of the update
     * that failed is kept.
     */
    enum result (*iterate)(struct backend *backend, int64_t most, struct backend_course *course, struct work *work,
                           struct phases *phases);
    /*
     * The credit gain of the weights last loaded, of a rule with mu (core/engine/gain.c). RESULT_DONE, RESULT_STOPPED
     * or RESULT_NO_MEMORY. What it takes, from sizes alone. NULL: the backend has none.
     */
    enum result (*credit_gain)(struct backend *backend, struct work *work, double *gain);
    void (*credit_gain_plan)(int units, int steps, size_t *bytes, double *multiply_adds);
    /* Brings the weights and the optimiser's state into the caller's copy. */
    void (*read)(struct backend *backend);
    void (*destroy)(struct backend *backend); /* NULL-safe through backend_destroy */
};

#define BACKEND_DECLARE(number, name) extern const struct backend_ops backend_##name;
BACKENDS(BACKEND_DECLARE)
#undef BACKEND_DECLARE
/* By enum backend_type. */
extern const struct backend_ops *const backend_table[];

/* NULL-safe. */
void backend_destroy(struct backend *backend);

#endif
