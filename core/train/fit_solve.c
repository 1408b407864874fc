/* Taps from a tape: see fit.h. */
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/elementary.h"
#include "core/base/ridge.h"
#include "core/base/size.h"
#include "core/train/fit.h"

#define SYSTEMS_BYTES ((size_t)256 << 20) /* normal matrices that are made at the same time, together */
#define MEMBERS_MOST 16

/* What a type's system takes: doubles of one member's scratch. */
struct system_sizes {
    int order;    /* of the matrix: unknowns, or trials in the dual form */
    int unknowns; /* of a system */
    bool dual;
    size_t doubles;
};

static struct system_sizes sizes_of(const struct tap_fit *fit, bool decouples, int types, int trials) {
    int unknowns = decouples ? types : types * (fit->basis == FIT_EXPONENTIAL ? fit->terms : fit->steps);
    bool dual = decouples && trials < types;
    size_t order = (size_t)(dual ? trials : unknowns);
    /* the matrix, its right side, and what rows are made of: two numbers a trial, or one row */
    size_t rows = decouples ? 2 * (size_t)trials : (size_t)unknowns;
    return (struct system_sizes){(int)order, unknowns, dual, order * order + order + rows};
}

/* Members that solve at the same time; it depends on sizes alone. */
static int members_of(const struct system_sizes *sizes, int types) {
    size_t fit = SYSTEMS_BYTES / (sizes->doubles * sizeof(double));
    int most = fit < 1 ? 1 : fit > MEMBERS_MOST ? MEMBERS_MOST : (int)fit;
    return most < types ? most : types;
}

struct solving {
    const struct tape *tape;
    const struct tap_fit *fit;
    bool decouples;
    struct system_sizes sizes;
    int members;      /* most */
    double *products; /* (B, B) A_b . A_b' of the last step; dual */
    double *decays;   /* (2, terms) lambda_k, lambda_k^S */
    double *scratch;  /* (members, sizes.doubles) */
    double *taps;
    struct work *work;
    double done[MEMBERS_MOST];
    atomic_bool stopped;
};

static bool solving_stopped(void *user) {
    struct solving *solving = user;
    return atomic_load_explicit(&solving->stopped, memory_order_relaxed);
}

/* The member of the caller's thread polls its stop word for all. */
static bool solving_polled(void *user) {
    struct solving *solving = user;
    if (work_look(solving->work)) {
        atomic_store(&solving->stopped, true);
    }
    return solving_stopped(user);
}

/* A member's part of the scratch. */
struct system {
    double *G, *x, *rows;
};

static struct system system_of(const struct solving *solving, int member) {
    double *at = solving->scratch + (size_t)member * solving->sizes.doubles;
    size_t order = (size_t)solving->sizes.order;
    return (struct system){at, at + order * order, at + order * order + order};
}

static double ridge_of(const struct tap_fit *fit, double trace, int unknowns) {
    return fit->ridge * trace / unknowns;
}

/* ---- one lag at a time ---- */

/*
 * The rows of type g at lag s, x_b = root_b A_b with root_b^2 = w_b P_b, and their right sides y_b = root_b R_b / P_b.
 * The trace of X^T X is returned.
 */
static double lag_rows(const struct solving *solving, int g, int s, double *root, double *y) {
    const struct tape *tape = solving->tape;
    size_t types = (size_t)tape->types, steps = (size_t)tape->steps;
    double trace = 0;
    for (size_t b = 0; b < (size_t)tape->trials; b++) {
        size_t at = (b * steps + steps - 1 - (size_t)s) * types + (size_t)g;
        const double *A = tape->A + (b * steps + steps - 1) * types;
        double P = tape->P[at], sum = 0;
        root[b] = sqrt(tape->weight[b] * P);
        y[b] = P > 0 ? root[b] * (tape->R[at] / P) : 0;
        for (size_t h = 0; h < types; h++) {
            sum += A[h] * A[h];
        }
        trace += root[b] * root[b] * sum;
    }
    return trace;
}

/* f = X^T (X X^T + lambda)^-1 y */
static bool lag_dual(const struct solving *solving, const struct system *system, const double *root, double lambda,
                     double *f, struct work *work) {
    const struct tape *tape = solving->tape;
    size_t types = (size_t)tape->types, steps = (size_t)tape->steps, trials = (size_t)tape->trials;
    for (size_t b = 0; b < trials; b++) {
        for (size_t c = b; c < trials; c++) {
            system->G[b * trials + c] = root[b] * root[c] * solving->products[b * trials + c];
        }
    }
    if (!ridge_solve(tape->trials, system->G, lambda, system->x, work)) {
        return false;
    }
    memset(f, 0, types * sizeof *f);
    for (size_t b = 0; b < trials; b++) {
        const double *A = tape->A + (b * steps + steps - 1) * types;
        double factor = system->x[b] * root[b];
        for (size_t h = 0; h < types; h++) {
            f[h] += factor * A[h];
        }
    }
    return !work_add(work, (double)trials * ((double)trials / 2 + (double)types));
}

/* G += d x x^T, the upper triangle. */
static void normal_add(int n, double d, const double *x, double *G) {
    for (int i = 0; i < n; i++) {
        double factor = d * x[i], *row = G + (size_t)i * (size_t)n;
        for (int j = i; j < n && factor != 0; j++) {
            row[j] += factor * x[j];
        }
    }
}

/* f = (X^T X + lambda)^-1 X^T y */
static bool lag_primal(const struct solving *solving, const struct system *system, const double *root, const double *y,
                       double lambda, double *f, struct work *work) {
    const struct tape *tape = solving->tape;
    size_t types = (size_t)tape->types, steps = (size_t)tape->steps, trials = (size_t)tape->trials;
    memset(system->G, 0, types * types * sizeof *system->G);
    memset(f, 0, types * sizeof *f);
    for (size_t b = 0; b < trials; b++) {
        const double *A = tape->A + (b * steps + steps - 1) * types;
        normal_add(tape->types, root[b] * root[b], A, system->G);
        for (size_t h = 0; h < types; h++) {
            f[h] += root[b] * y[b] * A[h];
        }
    }
    return !work_add(work, (double)trials * (double)types * ((double)types / 2 + 1)) &&
           ridge_solve(tape->types, system->G, lambda, f, work);
}

static bool lags_solve(struct solving *solving, int g, const struct system *system, struct work *work) {
    const struct tape *tape = solving->tape;
    size_t types = (size_t)tape->types;
    double *root = system->rows, *y = root + tape->trials;
    for (int s = 1; s <= solving->fit->steps && s < tape->steps; s++) {
        double *f = solving->taps + ((size_t)(s - 1) * types + (size_t)g) * types;
        double trace = lag_rows(solving, g, s, root, y), lambda = ridge_of(solving->fit, trace, tape->types);
        if (work_add(work, (double)tape->trials * (double)types)) {
            return false;
        }
        if (!(trace > 0)) {
            continue;
        }
        memcpy(system->x, y, solving->sizes.dual ? (size_t)tape->trials * sizeof *y : 0);
        if (!(solving->sizes.dual ? lag_dual(solving, system, root, lambda, f, work)
                                  : lag_primal(solving, system, root, y, lambda, f, work))) {
            return false;
        }
    }
    return true;
}

/* ---- all lags of a type together ---- */

/* What taps of free lags see of step t: A_{t+1} .. A_{t+S}, 0 beyond the trial. */
static void row_free(const struct solving *solving, const double *A, int t, double *x) {
    const struct tape *tape = solving->tape;
    size_t types = (size_t)tape->types;
    int within = tape->steps - 1 - t, lags = solving->fit->steps;
    size_t count = (size_t)(within < lags ? within : lags) * types;
    memcpy(x, A + (size_t)(t + 1) * types, count * sizeof *x);
    memset(x + count, 0, ((size_t)lags * types - count) * sizeof *x);
}

/* E_{k,t} = sum_{s=1..S} lambda_k^{s-1} A_{t+s}, from that of t + 1, in place. */
static void row_exponential(const struct solving *solving, const double *A, int t, double *x) {
    const struct tape *tape = solving->tape;
    size_t types = (size_t)tape->types;
    const double *enters = A + (size_t)(t + 1) * types;
    int lags = solving->fit->steps, terms = solving->fit->terms;
    bool leaves = t + 1 + lags < tape->steps;
    for (size_t k = 0; k < (size_t)terms; k++) {
        double decay = solving->decays[k], end = solving->decays[(size_t)terms + k];
        for (size_t h = 0; h < types; h++) {
            double left = leaves ? end * A[(size_t)(t + 1 + lags) * types + h] : 0;
            x[k * types + h] = decay * x[k * types + h] + enters[h] - left;
        }
    }
}

static bool normal_make(const struct solving *solving, int g, const struct system *system, struct work *work) {
    const struct tape *tape = solving->tape;
    size_t types = (size_t)tape->types, steps = (size_t)tape->steps;
    int n = solving->sizes.unknowns;
    double *x = system->rows;
    for (size_t b = 0; b < (size_t)tape->trials; b++) {
        const double *A = tape->A + b * steps * types;
        memset(x, 0, (size_t)n * sizeof *x);
        for (int t = tape->last[b] - 1; t >= 0; t--) {
            size_t at = (b * steps + (size_t)t) * types + (size_t)g;
            double d = tape->weight[b] * tape->P[at], r = tape->weight[b] * tape->R[at];
            if (solving->fit->basis == FIT_FREE) {
                row_free(solving, A, t, x);
            } else {
                row_exponential(solving, A, t, x);
            }
            normal_add(n, d, x, system->G);
            for (int i = 0; i < n; i++) {
                system->x[i] += r * x[i];
            }
            if (work_add(work, (double)n * ((d > 0 ? (double)n / 2 : 0) + 4))) {
                return false;
            }
        }
    }
    return true;
}

/* The taps of type g from its solution. */
static void taps_write(const struct solving *solving, int g, const double *solution) {
    size_t types = (size_t)solving->tape->types, terms = (size_t)solving->fit->terms;
    for (size_t h = 0; h < types; h++) {
        for (size_t s = 0; s < (size_t)solving->fit->steps; s++) {
            solving->taps[(s * types + (size_t)g) * types + h] = solving->fit->basis == FIT_FREE
                                                                     ? solution[s * types + h]
                                                                     : 0;
        }
        for (size_t k = 0; k < terms && solving->fit->basis == FIT_EXPONENTIAL; k++) {
            double power = 1;
            for (size_t s = 0; s < (size_t)solving->fit->steps; s++) {
                solving->taps[(s * types + (size_t)g) * types + h] += solution[k * types + h] * power;
                power *= solving->decays[k];
            }
        }
    }
}

static bool type_solve(struct solving *solving, int g, const struct system *system, struct work *work) {
    size_t n = (size_t)solving->sizes.unknowns;
    double trace = 0;
    memset(system->G, 0, n * n * sizeof *system->G);
    memset(system->x, 0, n * sizeof *system->x);
    if (!normal_make(solving, g, system, work)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        trace += system->G[i * n + i];
    }
    if (!(trace > 0)) {
        memset(system->x, 0, n * sizeof *system->x);
    } else if (!ridge_solve((int)n, system->G, ridge_of(solving->fit, trace, (int)n), system->x, work)) {
        return false;
    }
    taps_write(solving, g, system->x);
    return !work_add(work, (double)solving->fit->steps * (double)n);
}

/* ---- all types ---- */

static void types_solve(void *user, int member, int members) {
    struct solving *solving = user;
    struct work work = {.stop = member == 0 ? solving_polled : solving_stopped, .user = solving};
    int from, to, most = members < solving->members ? members : solving->members;
    if (member >= most) {
        return;
    }
    const struct system system = system_of(solving, member);
    team_share(solving->tape->types, member, most, &from, &to);
    for (int g = from; g < to; g++) {
        if (!(solving->decouples ? lags_solve(solving, g, &system, &work) : type_solve(solving, g, &system, &work))) {
            break;
        }
    }
    solving->done[member] = work.done;
}

static void products_make(const struct solving *solving) {
    const struct tape *tape = solving->tape;
    size_t types = (size_t)tape->types, steps = (size_t)tape->steps, trials = (size_t)tape->trials;
    for (size_t b = 0; b < trials; b++) {
        for (size_t c = b; c < trials; c++) {
            const double *A = tape->A + (b * steps + steps - 1) * types,
                         *other = tape->A + (c * steps + steps - 1) * types;
            double sum = 0;
            for (size_t h = 0; h < types; h++) {
                sum += A[h] * other[h];
            }
            solving->products[b * trials + c] = sum;
        }
    }
}

/* Time constants spread evenly in log from 1 to S steps; one alone is in the middle. */
static void decays_make(const struct solving *solving) {
    int terms = solving->fit->terms, lags = solving->fit->steps;
    for (int k = 0; k < terms; k++) {
        double place = terms > 1 ? (double)k / (terms - 1) : 0.5;
        double tau = elementary_exp(place * elementary_log(lags));
        solving->decays[k] = elementary_exp(-1 / tau);
        solving->decays[terms + k] = elementary_exp(-lags / tau);
    }
}

enum result fit_solve(const struct tape *tape, const struct tap_fit *fit, bool decouples, struct team *team,
                      struct work *work, double *taps) {
    struct solving solving = {.tape = tape, .fit = fit, .decouples = decouples, .taps = taps, .work = work};
    size_t types = (size_t)tape->types, trials = (size_t)tape->trials;
    solving.sizes = sizes_of(fit, decouples, tape->types, tape->trials);
    solving.members = members_of(&solving.sizes, tape->types);
    atomic_init(&solving.stopped, false);
    size_t products = solving.sizes.dual ? trials * trials : 0, decays = 2 * (size_t)fit->terms;
    double *memory = malloc((products + decays + (size_t)solving.members * solving.sizes.doubles) * sizeof *memory);
    if (!memory) {
        return RESULT_NO_MEMORY;
    }
    solving.products = memory;
    solving.decays = memory + products;
    solving.scratch = solving.decays + decays;
    memset(taps, 0, (size_t)fit->steps * types * types * sizeof *taps);
    if (solving.sizes.dual) {
        products_make(&solving);
    }
    decays_make(&solving);
    team_run(team, types_solve, &solving);
    for (int i = 0; i < MEMBERS_MOST && work; i++) {
        work->done += solving.done[i];
    }
    free(memory);
    return atomic_load(&solving.stopped) ? RESULT_STOPPED : RESULT_DONE;
}

size_t fit_solve_bytes(const struct tap_fit *fit, bool decouples, int types, int trials) {
    const struct system_sizes sizes = sizes_of(fit, decouples, types, trials);
    size_t products = sizes.dual ? (size_t)trials * (size_t)trials : 0;
    return size_times(
        size_plus(products + 2 * (size_t)fit->terms, size_times((size_t)members_of(&sizes, types), sizes.doubles)),
        sizeof(double));
}

double fit_solve_cost(const struct tap_fit *fit, bool decouples, int types, int trials, int steps) {
    const struct system_sizes sizes = sizes_of(fit, decouples, types, trials);
    double n = sizes.order, rows = trials, C = types;
    if (decouples) {
        double forms = sizes.dual ? rows * (rows / 2 + C) : rows * C * (C / 2 + 1);
        return C * fmin(fit->steps, steps) * (ridge_cost(sizes.order) + forms + rows * C);
    }
    return C * (ridge_cost(sizes.order) + rows * steps * n * (n / 2 + 4) + fit->steps * n);
}

/* ---- ModProp's own ---- */

/* K = Lam + Mu D w Gam in K, w Gam in taps of lag 1; false where leaks differ within a type. */
static bool operator_make(const struct network *network, double mu, const double *w, double *K, double *taps) {
    size_t types = (size_t)network->types;
    for (size_t p = 0; p < (size_t)network->units; p++) {
        size_t g = (size_t)network->type_of_unit[p];
        for (size_t i = 0; i < types; i++) {
            size_t at = i * types + g;
            double value = w[at] * network->gain_exact[p];
            taps[at] = value;
            K[at] = mu * network->type_size[i] * value + (i == g ? network->leak_exact[p] : 0);
        }
        size_t q = p;
        while (q > 0 && (size_t)network->type_of_unit[q - 1] != g) {
            q--;
        }
        if (q > 0 && network->leak_exact[q - 1] != network->leak_exact[p]) {
            return false;
        }
    }
    return true;
}

enum result fit_modprop_taps(const struct network *network, double mu, int lags, double *taps, struct work *work) {
    size_t types = (size_t)network->types, square = types * types;
    double *w = malloc(4 * square * sizeof *w);
    if (!w) {
        return RESULT_NO_MEMORY;
    }
    double *K = w + 2 * square;
    type_averages(network, false, w);
    enum result result = operator_make(network, mu, w, K, taps) ? RESULT_DONE : RESULT_INVALID;
    for (size_t s = 1; s < (size_t)lags && result == RESULT_DONE; s++) {
        const double *before = taps + (s - 1) * square;
        double *to = taps + s * square;
        memset(to, 0, square * sizeof *to);
        for (size_t i = 0; i < square; i++) {
            size_t row = i / types, k = i % types;
            for (size_t j = 0; j < types; j++) {
                to[row * types + j] += before[i] * K[k * types + j];
            }
        }
        result = work_add(work, (double)square * (double)types) ? RESULT_STOPPED : RESULT_DONE;
    }
    free(w);
    return result;
}
