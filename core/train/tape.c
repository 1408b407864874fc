/* Tapes: see tape.h. Sums are in double and in one order: of a trial by step, lag and type; of trials by number. */
#include "core/train/tape.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/size.h"

/* Doubles of a step of a trial. */
static size_t step_doubles(int types) {
    return size_plus(size_times(3, (size_t)types), 1);
}

size_t tape_bytes(int steps, int trials, int types) {
    size_t cells = size_times((size_t)steps, (size_t)trials);
    return size_plus(size_times(cells, size_plus(size_times(step_doubles(types), sizeof(double)), 1)),
                     size_times((size_t)trials, size_plus(sizeof(double) + sizeof(int) + sizeof(struct tape_sums),
                                                          size_times((size_t)types, sizeof(double)))));
}

bool tape_init(struct tape *tape, int steps, int trials, int types, int units, const int *type_of_unit) {
    size_t cells = size_times((size_t)steps, (size_t)trials), each = size_times(cells, (size_t)types);
    *tape = (struct tape){
        .steps = steps, .trials = trials, .types = types, .units = units, .type_of_unit = type_of_unit};
    double *memory = malloc(tape_bytes(steps, trials, types));
    if (!memory) {
        return false;
    }
    tape->memory = memory;
    tape->A = memory;
    tape->P = tape->A + each;
    tape->R = tape->P + each;
    tape->Q = tape->R + each;
    tape->weight = tape->Q + cells;
    tape->n = tape->weight + trials;
    tape->partial = (struct tape_sums *)(void *)(tape->n + (size_t)trials * (size_t)types);
    tape->last = (int *)(void *)(tape->partial + trials);
    tape->live = (unsigned char *)(tape->last + trials);
    tape_clear(tape);
    return true;
}

void tape_release(struct tape *tape) {
    if (tape) {
        free(tape->memory);
        *tape = (struct tape){0};
    }
}

void tape_clear(struct tape *tape) {
    memset(tape->memory, 0, tape_bytes(tape->steps, tape->trials, tape->types));
}

void tape_note(void *user, const struct batch_credit *step) {
    struct tape *tape = user;
    size_t cell = step->trial * (size_t)tape->steps + (size_t)step->t, first = cell * (size_t)tape->types;
    for (int p = 0; p < tape->units; p++) {
        size_t at = first + (size_t)tape->type_of_unit[p];
        double a = step->a ? (double)step->a[p] : 0, psi = (double)step->psi[p], N = (double)step->nonlocal[p];
        tape->A[at] += a;
        tape->P[at] += psi * psi;
        tape->R[at] += psi * psi * N;
        tape->Q[cell] += psi * psi * N * N;
    }
    for (int g = 0; g < tape->types; g++) {
        tape->live[cell] |= tape->A[first + (size_t)g] != 0;
    }
}

void tape_finish(struct tape *tape) {
    size_t steps = (size_t)tape->steps, types = (size_t)tape->types;
    for (size_t b = 0; b < (size_t)tape->trials; b++) {
        double sum = 0;
        tape->last[b] = -1;
        for (size_t t = 0; t < steps; t++) {
            const double *A = tape->A + (b * steps + t) * types;
            for (size_t g = 0; g < types; g++) {
                sum += A[g] * A[g];
            }
            tape->last[b] = tape->live[b * steps + t] ? (int)t : tape->last[b];
        }
        double weight = 1 / sum;
        tape->weight[b] = sum > 0 && isfinite(weight) ? weight : 0;
    }
}

/* ---- how taps do ---- */

static int bin_of(int lag) {
    int bin = 0;
    while (bin < LAG_BINS - 1 && (int64_t)1 << bin < lag) {
        bin++;
    }
    return bin;
}

struct measuring {
    const struct tape *tape;
    const double *taps;
    int lags;
    struct work *work;
    atomic_bool stopped;
};

static bool measuring_stopped(void *user) {
    struct measuring *measuring = user;
    return atomic_load_explicit(&measuring->stopped, memory_order_relaxed);
}

/* The member of the caller's thread polls its stop word for all. */
static bool measuring_polled(void *user) {
    struct measuring *measuring = user;
    if (work_look(measuring->work)) {
        atomic_store(&measuring->stopped, true);
    }
    return measuring_stopped(user);
}

/* n_{g,t} = sum_{s,h} F[g,h,s] A_{h,t+s} of all types. */
static void nonlocal_make(const struct measuring *measuring, size_t b, int t, double *n) {
    const struct tape *tape = measuring->tape;
    size_t types = (size_t)tape->types, steps = (size_t)tape->steps;
    memset(n, 0, types * sizeof *n);
    for (int s = 1; s <= measuring->lags && t + s <= tape->last[b]; s++) {
        size_t cell = b * steps + (size_t)(t + s);
        const double *A = tape->A + cell * types, *lag = measuring->taps + (size_t)(s - 1) * types * types;
        for (size_t g = 0; tape->live[cell] && g < types; g++) {
            for (size_t h = 0; h < types; h++) {
                n[g] += lag[g * types + h] * A[h];
            }
        }
    }
}

static void step_measure(const struct measuring *measuring, size_t b, int t, struct tape_sums *sums) {
    const struct tape *tape = measuring->tape;
    size_t types = (size_t)tape->types, cell = b * (size_t)tape->steps + (size_t)t, at = cell * types;
    double *n = tape->n + b * types, square = 0, cross = 0, w = tape->weight[b];
    nonlocal_make(measuring, b, t, n);
    for (size_t g = 0; g < types; g++) {
        square += tape->P[at + g] * n[g] * n[g];
        cross += tape->R[at + g] * n[g];
    }
    const double measured[3] = {w * tape->Q[cell], w * cross, w * square};
    int lag = tape->last[b] - t, bin = bin_of(lag);
    sums->energy[bin] += measured[0];
    sums->cross[bin] += measured[1];
    sums->square[bin] += measured[2];
    for (int i = 0; i < 3 && lag <= measuring->lags; i++) {
        sums->reached[i] += measured[i];
    }
}

static void measure_work(void *user, int member, int members) {
    struct measuring *measuring = user;
    const struct tape *tape = measuring->tape;
    struct work work = {.stop = member == 0 ? measuring_polled : measuring_stopped, .user = measuring};
    int from, to;
    double lags = measuring->lags, types = tape->types;
    team_share(tape->trials, member, members, &from, &to);
    for (int b = from; b < to; b++) {
        double live = 0;
        tape->partial[b] = (struct tape_sums){0};
        for (int t = tape->last[b] - 1; t >= 0 && tape->weight[b] > 0; t--) {
            live += tape->live[(size_t)b * (size_t)tape->steps + (size_t)t + 1];
            if (work_add(&work, (live < lags ? live : lags) * types * types + lags)) {
                return;
            }
            step_measure(measuring, (size_t)b, t, &tape->partial[b]);
        }
    }
}

bool tape_measure(const struct tape *tape, const double *taps, int lags, struct team *team, struct work *work,
                  struct tape_sums *sums) {
    struct measuring measuring = {.tape = tape, .taps = taps, .lags = lags, .work = work};
    atomic_init(&measuring.stopped, false);
    team_run(team, measure_work, &measuring);
    *sums = (struct tape_sums){0};
    if (atomic_load(&measuring.stopped)) {
        return false;
    }
    for (int b = 0; b < tape->trials; b++) {
        for (int i = 0; i < LAG_BINS; i++) {
            sums->energy[i] += tape->partial[b].energy[i];
            sums->cross[i] += tape->partial[b].cross[i];
            sums->square[i] += tape->partial[b].square[i];
        }
        for (int i = 0; i < 3; i++) {
            sums->reached[i] += tape->partial[b].reached[i];
        }
    }
    double live = 0;
    for (size_t i = 0; i < (size_t)tape->trials * (size_t)tape->steps; i++) {
        live += tape->live[i];
    }
    return !work_add(work,
                     tape_measure_cost(tape->steps, tape->trials, tape->types, lags, (int)ceil(live / tape->trials)));
}

double tape_measure_cost(int steps, int trials, int types, int lags, int live) {
    double reached = lags < live ? lags : live;
    return (double)trials * steps * (reached * types * types + (double)lags);
}

double sums_share(double energy, double cross, double square) {
    return energy > 0 ? (2 * cross - square) / energy : NAN;
}

double sums_cosine(double energy, double cross, double square) {
    double norms = sqrt(energy * square);
    return energy > 0 && norms > 0 ? fmax(-1, fmin(1, cross / norms)) : NAN;
}
