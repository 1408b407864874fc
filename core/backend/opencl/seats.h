/*
 * Seats: how jobs on threads of their own share a device. Jobs of equal shape sit in one cohort; a job takes a seat,
 * asks for batches and updates as it would of a backend of its own, and leaves. Jobs come and go between two updates.
 *
 * Any thread may take a seat; a seat belongs to the thread that took it. Of all threads with a seat at one device, one
 * at a time calls the driver.
 */
#ifndef MODPROP_CORE_BACKEND_OPENCL_SEATS_H
#define MODPROP_CORE_BACKEND_OPENCL_SEATS_H

#include "core/backend/opencl/cohort.h"

struct seat;

/*
 * A seat for the problem at the device of its options. NULL: RESULT_INVALID (the device does not cover the job, or has
 * no memory for it beside those that are there), RESULT_NO_MEMORY or RESULT_DEVICE_LOST, with `error`.
 */
struct seat *seat_take(const struct backend_problem *problem, enum result *result, struct error *error);
void seat_leave(struct seat *seat);

/* As backend_ops.load and read. */
void seat_load(struct seat *seat, const float *feedback, double mu, const double *averages);
void seat_read(struct seat *seat);

/*
 * As backend_ops.trials, run and iterate; together with those jobs of the cohort that ask for the same. Updates end
 * early when another job asks for something.
 */
enum result seat_batch(struct seat *seat, const struct cohort_batch *batch, struct work *work);
enum result seat_iterate(struct seat *seat, int64_t most, struct backend_course *course, struct work *work);

/*
 * The device computes wrongly: every call of every seat there returns RESULT_DEVICE_LOST from now on, and as long as
 * the process runs no seat is taken there, also by those who wait for one.
 */
void seat_condemn(struct seat *seat, const char *why);

struct cohort *seat_cohort(const struct seat *seat);

/* What happens at a device: now, and since the start of the process. */
struct seats_load {
    int jobs, cohorts, waiting; /* waiting: jobs and others whose turn it is not yet */
    uint64_t memory_bytes;
    int64_t rounds, updates, launches, transfers; /* updates: of all jobs */
    double seconds;                               /* of rounds, by the clocks of the jobs' options */
};
struct seats_load seats_load(int device);

#endif
