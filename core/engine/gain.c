/*
 * The credit gain: how much the credit operator K = diag(leak) + diag(mu) M diag(gain) can amplify credit on its way
 * through a trial, max_n |K^n| over n within the trial, |.| the largest singular value. K may have a spectral radius
 * below 1 and still amplify for a while (Trefethen and Embree 2005, transient growth), which is where bursts come from.
 *
 * n runs over 1, 2, 3, 4, 6, 8, 12, .. up to the trial's steps: the powers of 2 by squaring, each times the one before
 * for those between. A norm is that of a power iteration on (K^n)^T K^n from a fixed start, so the result is a function
 * of K alone; all in double.
 */
#include <math.h>
#include <string.h>

#include "core/base/size.h"
#include "core/engine/internal.h"

enum { NORM_ROUNDS = 40, ARRAYS = 4 };

size_t engine_credit_gain_bytes(int units) {
    size_t n = (size_t)units;
    return size_times(size_plus(size_times(ARRAYS, size_times(n, n)), size_times(2, n)), sizeof(double));
}

double engine_credit_gain_cost(int units, int steps) {
    double n = units, products = 2 * log2(steps + 1.0);
    return products * (n * n * n + 2 * NORM_ROUNDS * n * n);
}

/* K, row p, column j: influence of v_p on v_j of the next step. */
static void operator_fill(const struct engine *engine, double *K) {
    const struct network *network = engine->network;
    const float *W = network->weights + network->offset_W;
    bool whole = rule_table[engine->rule.type]->hop_is_weights || engine->rule.weights == CREDIT_CELL;
    size_t n = (size_t)network->units, types = (size_t)network->types;
    for (size_t p = 0; p < n; p++) {
        for (size_t j = 0; j < n; j++) {
            double M = whole ? (double)W[p * n + j] : (double)engine->sum_matrix[p * n + j];
            if (engine->hop.low_rank) {
                M = engine->averages[(size_t)network->type_of_unit[p] * types + (size_t)network->type_of_unit[j]];
            }
            double mu = (double)engine->mu[engine->neuron->mu_at_source ? j : p];
            K[p * n + j] = mu * M * network->gain_exact[j] + (p == j ? network->leak_exact[p] : 0);
        }
    }
}

static bool multiply(int n, const double *a, const double *b, double *to, struct work *work) {
    memset(to, 0, (size_t)n * (size_t)n * sizeof *to);
    for (int i = 0; i < n; i++) {
        if (work_add(work, (double)n * n)) {
            return false;
        }
        for (int k = 0; k < n; k++) {
            double factor = a[(size_t)i * (size_t)n + (size_t)k];
            for (int j = 0; j < n; j++) {
                to[(size_t)i * (size_t)n + (size_t)j] += factor * b[(size_t)k * (size_t)n + (size_t)j];
            }
        }
    }
    return true;
}

static double length_of(const double *x, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) {
        sum += x[i] * x[i];
    }
    return sqrt(sum);
}

/* The largest singular value of a; x and y are scratch of n numbers. */
static double norm_of(int n, const double *a, double *x, double *y, struct work *work) {
    double norm = 0;
    for (int i = 0; i < n; i++) {
        x[i] = 1 + 1.0 / (i + 2);
    }
    for (int round = 0; round < NORM_ROUNDS && !work_add(work, 2.0 * n * n); round++) {
        double length = length_of(x, n);
        memset(y, 0, (size_t)n * sizeof *y);
        for (int i = 0; i < n; i++) {
            x[i] = length > 0 ? x[i] / length : 0;
        }
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++) {
                y[i] += a[(size_t)i * (size_t)n + (size_t)j] * x[j];
            }
        }
        norm = length_of(y, n);
        memset(x, 0, (size_t)n * sizeof *x);
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++) {
                x[j] += a[(size_t)i * (size_t)n + (size_t)j] * y[i];
            }
        }
    }
    return norm;
}

bool engine_credit_gain(const struct engine *engine, void *scratch, struct work *work, double *gain) {
    int n = engine->network->units, steps = engine->options.steps;
    size_t square = (size_t)n * (size_t)n;
    /* K^(m/2), K^m and K^(3m/2), and room for a product */
    double *half = scratch, *whole = half + square, *between = whole + square, *next = between + square,
           *x = next + square, *y = x + n;
    operator_fill(engine, whole);
    double most = norm_of(n, whole, x, y, work);
    for (int64_t m = 1; m <= steps && !(work && work->stopped) && isfinite(most); m *= 2) {
        if (m > 1 && m + m / 2 <= steps) {
            if (!multiply(n, whole, half, between, work)) {
                return false;
            }
            most = fmax(most, norm_of(n, between, x, y, work));
        }
        if (2 * m > steps || !multiply(n, whole, whole, next, work)) {
            break;
        }
        double *freed = half;
        half = whole;
        whole = next;
        next = freed;
        most = fmax(most, norm_of(n, whole, x, y, work));
    }
    *gain = most;
    return !(work && work->stopped);
}
