/*
 * A tape: what a filter between cell types can be fitted to and measured by. For every step of every trial of a batch
 * it has, of each type g, the signal A_g that the type broadcasts, and of bptt's nonlocal credit N (core/rules/bptt.c)
 * the sums over the type's units of psi^2, psi^2 N and psi^2 N^2. No more is needed: the filter gives all units of a
 * type the same n_g, so |psi (n - N)|^2 is P_g n_g^2 - 2 R_g n_g + Q.
 *
 * A batch's credit is shown to tape_note by the engine, trial by trial on any thread; the tape is otherwise its
 * owner's.
 */
#ifndef MODPROP_CORE_TAPE_H
#define MODPROP_CORE_TAPE_H

#include "core/base/team.h"
#include "core/base/work.h"
#include "core/tasks/batch.h"
#include "core/train/train.h"

/*
 * Lags in bins that double: 1, 2, 3 to 4, 5 to 8, ... The lag of a step is what lies between it and the last step that
 * broadcasts; where loss falls on one step alone it is the lag of the tap that acts there.
 */
struct tape_sums;
struct tape {
    int steps, trials, types, units; /* T, B, C, N */
    const int *type_of_unit;         /* (N), borrowed */
    double *A, *P, *R;               /* (B, T, C) */
    double *Q;                       /* (B, T) */
    unsigned char *live;             /* (B, T) A is not 0 */
    double *weight;                  /* (B) 1 / sum |A|^2, or 0: trials count alike, however small their error */
    int *last;                       /* (B) the last step that broadcasts; -1: none */
    double *n;                       /* (B, C) scratch of a measurement, as partial (B) */
    struct tape_sums *partial;
    void *memory;
};

/* Weighted sums over trials, by bin: |psi N|^2, psi n psi N, |psi n|^2; those of lags that taps reach besides. */
struct tape_sums {
    double energy[LAG_BINS], cross[LAG_BINS], square[LAG_BINS];
    double reached[3];
};

size_t tape_bytes(int steps, int trials, int types);
/* False: out of memory. */
bool tape_init(struct tape *tape, int steps, int trials, int types, int units, const int *type_of_unit);
void tape_release(struct tape *tape); /* NULL-safe */
void tape_clear(struct tape *tape);
/* batch_options.credit, with the tape as credit_user. */
void tape_note(void *user, const struct batch_credit *step);
/* Weights and last steps, after the batch. */
void tape_finish(struct tape *tape);

/*
 * How taps (S, C, C), [s - 1][g][h], do on the tape. False when stopped. What it costs, with `live` steps of a trial
 * that broadcast.
 */
bool tape_measure(const struct tape *tape, const double *taps, int lags, struct team *team, struct work *work,
                  struct tape_sums *sums);
double tape_measure_cost(int steps, int trials, int types, int lags, int live);

/* 1 - |psi (n - N)|^2 / |psi N|^2, and the cosine of psi n and psi N; NaN where N is 0. */
double sums_share(double energy, double cross, double square);
double sums_cosine(double energy, double cross, double square);

#endif
