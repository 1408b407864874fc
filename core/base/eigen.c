/*
 * Eigenvalues: see eigen.h. Three algorithms, each the smallest that does its job.
 *
 * eigen_values, eigen_radius (large matrices, eigenvalues only): Householder reduction to Hessenberg form, then
 * Francis' implicit double-shift QR in real arithmetic, about 10 n^3 multiply-adds (Golub and Van Loan, "Matrix
 * Computations", 7.5). eigen_decompose (one row a cell type, so small): the same reduction in complex arithmetic and
 * single-shift QR with Givens rotations to a complex Schur form, eigenvectors by back substitution. Complex arithmetic
 * costs four times as much and spares the cases of 2 x 2 blocks. eigen_symmetric: reduction to tridiagonal form, then
 * the implicit symmetric QR step with Wilkinson's shift (Golub and Van Loan, 8.3).
 */
#include "core/base/eigen.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "core/base/eigen_complex.h"

static bool order_is_possible(int n) {
    return n >= 1 && n <= 30000;
}

/* A Householder vector and a row of the matrix that it is applied to. */
size_t eigen_radius_scratch_size(int n) {
    return order_is_possible(n) ? 2 * (size_t)n * sizeof(double) : 0;
}

/* H and Q, and two vectors. */
size_t eigen_decompose_scratch_size(int n) {
    size_t size = (size_t)n;
    return order_is_possible(n) ? (2 * size * size + 2 * size) * sizeof(complex_t) : 0;
}

/* ---- real: values alone ---- */

/*
 * The Householder vector of x (length n) in place, v[0] = 1 implied by beta: returns beta with (I - beta v v^T) x =
 * alpha e_1.
 */
static double householder(int n, double *x, double *alpha) {
    double scale = 0, norm2 = 0;
    for (int i = 0; i < n; i++) {
        scale = fmax(scale, fabs(x[i]));
    }
    *alpha = 0;
    if (scale == 0) {
        return 0;
    }
    for (int i = 0; i < n; i++) {
        x[i] /= scale;
        norm2 += x[i] * x[i];
    }
    double norm = sqrt(norm2), first = x[0] > 0 ? x[0] + norm : x[0] - norm;
    *alpha = (x[0] > 0 ? -norm : norm) * scale;
    double beta = 2 / (norm2 - x[0] * x[0] + first * first);
    x[0] = first;
    return beta;
}

/* a becomes upper Hessenberg. `v` has room for 2 n. False when stopped. */
static bool hessenberg_reduce(int n, double *a, double *v, struct work *work) {
    double *w = v + n;
    for (int k = 0; k < n - 2; k++) {
        int m = n - k - 1;
        double alpha;
        for (int i = 0; i < m; i++) {
            v[i] = a[(size_t)(k + 1 + i) * n + k];
        }
        double beta = householder(m, v, &alpha);
        if (beta == 0) {
            continue;
        }
        /* from the left: a -= beta v (v^T a), row by row */
        memset(w, 0, (size_t)n * sizeof *w);
        for (int i = 0; i < m && !work_add(work, m + 1); i++) {
            for (int c = k; c < n; c++) {
                w[c] += v[i] * a[(size_t)(k + 1 + i) * n + c];
            }
        }
        for (int i = 0; i < m && !work_add(work, m + 1); i++) {
            for (int c = k; c < n; c++) {
                a[(size_t)(k + 1 + i) * n + c] -= beta * v[i] * w[c];
            }
        }
        /* from the right: a -= beta (a v) v^T */
        for (int r = 0; r < n && !work_add(work, 2 * m); r++) {
            double *row = a + (size_t)r * n + k + 1, sum = 0;
            for (int i = 0; i < m; i++) {
                sum += row[i] * v[i];
            }
            for (int i = 0; i < m; i++) {
                row[i] -= beta * sum * v[i];
            }
        }
        a[(size_t)(k + 1) * n + k] = alpha;
        for (int i = 1; i < m; i++) {
            a[(size_t)(k + 1 + i) * n + k] = 0;
        }
        if (work_add(work, m)) {
            return false;
        }
    }
    return true;
}

/* Larger absolute eigenvalue of [[a, b], [c, d]]. */
static double pair_radius(double a, double b, double c, double d) {
    double half = 0.5 * (a + d), determinant = a * d - b * c, square = half * half - determinant;
    if (square < 0) {
        return sqrt(determinant);
    }
    return fabs(half) + sqrt(square);
}

/* Both eigenvalues of [[a, b], [c, d]]. The smaller of two real ones comes from the product: their difference would
 * cancel. */
static void pair_values(double a, double b, double c, double d, double re[2], double im[2]) {
    double half = 0.5 * (a + d), difference = 0.5 * (a - d), square = difference * difference + b * c;
    if (square < 0) {
        re[0] = re[1] = half;
        im[0] = sqrt(-square);
        im[1] = -im[0];
        return;
    }
    double larger = half >= 0 ? half + sqrt(square) : half - sqrt(square);
    re[0] = larger;
    re[1] = larger != 0 ? (a * d - b * c) / larger : 0;
    im[0] = im[1] = 0;
}

/* One reflection of a Francis step on rows and columns k .. k+size-1 of the window [low, high]. */
static void bulge_reflect(int n, double *h, int low, int high, int k, int size, double *x) {
    double alpha, beta = householder(size, x, &alpha);
    if (beta == 0) {
        return;
    }
    for (int c = k > low ? k - 1 : low; c <= high; c++) {
        double sum = 0;
        for (int i = 0; i < size; i++) {
            sum += x[i] * h[(size_t)(k + i) * n + c];
        }
        for (int i = 0; i < size; i++) {
            h[(size_t)(k + i) * n + c] -= beta * x[i] * sum;
        }
    }
    int last = k + 3 < high ? k + 3 : high;
    for (int r = low; r <= last; r++) {
        double *row = h + (size_t)r * n + k, sum = 0;
        for (int i = 0; i < size; i++) {
            sum += x[i] * row[i];
        }
        for (int i = 0; i < size; i++) {
            row[i] -= beta * x[i] * sum;
        }
    }
}

#define H(r, c) h[(size_t)(r) * n + (c)]

/*
 * One implicit double-shift step on the window [low, high] of h, high - low >= 2. An exceptional shift breaks cycles.
 * False when stopped.
 */
static bool francis_step(int n, double *h, int low, int high, int sweep, struct work *work) {
    double trace = H(high - 1, high - 1) + H(high, high),
           determinant = H(high - 1, high - 1) * H(high, high) - H(high - 1, high) * H(high, high - 1);
    if (sweep % 10 == 9) {
        double shift = fabs(H(high, high - 1)) + fabs(H(high - 1, high - 2));
        trace = 1.5 * shift;
        determinant = shift * shift;
    }
    double x[3] = {
        H(low, low) * H(low, low) + H(low, low + 1) * H(low + 1, low) - trace * H(low, low) + determinant,
        H(low + 1, low) * (H(low, low) + H(low + 1, low + 1) - trace),
        H(low + 1, low) * H(low + 2, low + 1),
    };
    for (int k = low; k < high - 1; k++) {
        if (work_add(work, 6 * (high - low + 6))) {
            return false;
        }
        bulge_reflect(n, h, low, high, k, 3, x);
        x[0] = H(k + 1, k);
        x[1] = H(k + 2, k);
        x[2] = k + 3 <= high ? H(k + 3, k) : 0;
    }
    bulge_reflect(n, h, low, high, high - 1, 2, x);
    for (int r = low + 2; r <= high; r++) {
        for (int c = low; c < r - 1; c++) {
            H(r, c) = 0;
        }
    }
    return true;
}

double eigen_radius_cost(int n) {
    return 6.0 * n * n * n;
}

/* Where the active window that ends at `high` begins; what is negligible below the diagonal there becomes 0. */
static int window_begin(int n, double *h, int high) {
    int low = high;
    for (; low > 0; low--) {
        double near = fabs(H(low - 1, low - 1)) + fabs(H(low, low));
        if (fabs(H(low, low - 1)) <= DBL_EPSILON * (near > 0 ? near : 1)) {
            H(low, low - 1) = 0;
            break;
        }
    }
    return low;
}

/*
 * Deflates h until every window has one or two rows, and hands each to `found`, from the last to the first. Returns as
 * eigen_radius.
 */
static int windows_find(int n, double *h, void *scratch, struct work *work,
                        void (*found)(void *user, int n, const double *h, int low, int high), void *user) {
    if (!hessenberg_reduce(n, h, scratch, work)) {
        return -1;
    }
    int high = n - 1, sweep = 0;
    while (high >= 0) {
        int low = window_begin(n, h, high);
        if (low >= high - 1) {
            found(user, n, h, low, high);
            high = low - 1;
            sweep = 0;
            continue;
        }
        if (sweep++ == SWEEPS_MOST) {
            return -2;
        }
        if (!francis_step(n, h, low, high, sweep, work)) {
            return -1;
        }
    }
    return 0;
}

static void radius_found(void *user, int n, const double *h, int low, int high) {
    double *largest = user;
    *largest = fmax(*largest, low == high ? fabs(H(high, high))
                                          : pair_radius(H(low, low), H(low, high), H(high, low), H(high, high)));
}

int eigen_radius(int n, double *a, void *scratch, struct work *work, double *radius) {
    double largest = 0;
    int result = windows_find(n, a, scratch, work, radius_found, &largest);
    if (result == 0) {
        *radius = largest;
    }
    return result;
}

struct values {
    double *re, *im;
};

static void values_found(void *user, int n, const double *h, int low, int high) {
    const struct values *values = user;
    if (low == high) {
        values->re[low] = H(low, low);
        values->im[low] = 0;
    } else {
        pair_values(H(low, low), H(low, high), H(high, low), H(high, high), values->re + low, values->im + low);
    }
}

int eigen_values(int n, double *a, void *scratch, struct work *work, double *re, double *im) {
    struct values values = {re, im};
    return windows_find(n, a, scratch, work, values_found, &values);
}

#undef H

double eigen_decompose_cost(int n) {
    return 100.0 * n * n * n;
}

int eigen_decompose(int n, double *a, void *scratch, struct work *work, double *re, double *im, double *vectors) {
    return complex_decompose(n, a, scratch, work, re, im, vectors);
}

/* ---- symmetric ---- */

/* Diagonal, the one beside it, betas of the reflections, two vectors. */
size_t eigen_symmetric_scratch_size(int n) {
    return order_is_possible(n) ? 5 * (size_t)n * sizeof(double) : 0;
}

double eigen_symmetric_cost(int n, bool vectors) {
    double size = n;
    return size * size * size * (vectors ? 6 : 1) + 30 * size * size;
}

/* p = A v of the trailing matrix of order m, whose lower triangle is stored; false when stopped. */
static bool lower_times(int n, const double *a, int first, const double *v, double *p, struct work *work) {
    int m = n - first;
    memset(p, 0, (size_t)m * sizeof *p);
    for (int i = 0; i < m; i++) {
        const double *row = a + (size_t)(first + i) * n + first;
        double sum = row[i] * v[i];
        for (int j = 0; j < i; j++) {
            sum += row[j] * v[j];
            p[j] += row[j] * v[i];
        }
        p[i] += sum;
        if (work_add(work, 2.0 * i)) {
            return false;
        }
    }
    return true;
}

/*
 * T = Q^T A Q, diagonal d and beside it e. Row k of a holds, right of the diagonal, the vector of reflection k, betas
 * its factor. `v` has room for 2 n.
 */
static bool tridiagonal_reduce(int n, double *a, double *d, double *e, double *betas, double *v, struct work *work) {
    double *p = v + n;
    for (int k = 0; k < n - 1; k++) {
        int m = n - k - 1;
        for (int i = 0; i < m; i++) {
            v[i] = a[(size_t)(k + 1 + i) * n + k];
        }
        betas[k] = m > 1 ? householder(m, v, &e[k]) : 0;
        e[k] = m > 1 ? e[k] : v[0];
        d[k] = a[(size_t)k * n + k];
        if (betas[k] == 0) {
            continue;
        }
        if (!lower_times(n, a, k + 1, v, p, work)) {
            return false;
        }
        double inner = 0;
        for (int i = 0; i < m; i++) {
            p[i] *= betas[k];
            inner += p[i] * v[i];
        }
        for (int i = 0; i < m; i++) {
            p[i] -= 0.5 * betas[k] * inner * v[i];
        }
        for (int i = 0; i < m && !work_add(work, 2.0 * i + 2); i++) {
            double *row = a + (size_t)(k + 1 + i) * n + k + 1;
            for (int j = 0; j <= i; j++) {
                row[j] -= v[i] * p[j] + p[i] * v[j];
            }
        }
        memcpy(a + (size_t)k * n + k + 1, v, (size_t)m * sizeof *v);
    }
    d[n - 1] = a[(size_t)n * n - 1];
    return !work_look(work);
}

/* vectors = Q^T, from the reflections, the last first. */
static bool reflections_gather(int n, const double *a, const double *betas, double *vectors, struct work *work) {
    memset(vectors, 0, (size_t)n * (size_t)n * sizeof *vectors);
    for (int i = 0; i < n; i++) {
        vectors[(size_t)i * n + i] = 1;
    }
    for (int k = n - 3; k >= 0; k--) {
        const double *v = a + (size_t)k * n + k + 1;
        int m = n - k - 1;
        for (int r = k + 1; r < n; r++) {
            double *row = vectors + (size_t)r * n + k + 1, sum = 0;
            for (int i = 0; i < m; i++) {
                sum += row[i] * v[i];
            }
            for (int i = 0; i < m; i++) {
                row[i] -= betas[k] * sum * v[i];
            }
            if (work_add(work, 2.0 * m)) {
                return false;
            }
        }
    }
    return true;
}

/* Rows k and k+1 of the vectors, turned. */
static void rows_turn(int n, double *vectors, int k, double c, double s) {
    double *upper = vectors + (size_t)k * n, *lower = upper + n;
    for (int i = 0; i < n; i++) {
        double x = upper[i], y = lower[i];
        upper[i] = c * x + s * y;
        lower[i] = c * y - s * x;
    }
}

/* One QR step on the rows low..high of T, where nothing beside the diagonal is 0. */
static bool symmetric_step(int n, double *d, double *e, int low, int high, double *vectors, struct work *work) {
    double half = 0.5 * (d[high - 1] - d[high]), beside = e[high - 1], root = sqrt(half * half + beside * beside),
           shift = d[high] - beside * (beside / (half >= 0 ? half + root : half - root)), x = d[low] - shift,
           z = e[low];
    for (int k = low; k < high; k++) {
        double r = sqrt(x * x + z * z), c = r > 0 ? x / r : 1, s = r > 0 ? z / r : 0;
        double a = d[k], b = e[k], q = d[k + 1];
        if (k > low) {
            e[k - 1] = r;
        }
        d[k] = c * c * a + 2 * c * s * b + s * s * q;
        d[k + 1] = s * s * a - 2 * c * s * b + c * c * q;
        e[k] = c * s * (q - a) + (c * c - s * s) * b;
        if (k + 1 < high) {
            x = e[k];
            z = s * e[k + 1];
            e[k + 1] *= c;
        }
        if (vectors) {
            rows_turn(n, vectors, k, c, s);
        }
        if (work_add(work, vectors ? 4.0 * n : 16)) {
            return false;
        }
    }
    return true;
}

/* As eigen_symmetric returns: d becomes the eigenvalues. */
static int tridiagonal_solve(int n, double *d, double *e, double *vectors, struct work *work) {
    int high = n - 1, sweep = 0;
    double norm = 0;
    for (int i = 0; i < n; i++) {
        norm = fmax(norm, fabs(d[i]) + (i < n - 1 ? fabs(e[i]) : 0));
    }
    while (high > 0) {
        int low = high;
        while (low > 0 && fabs(e[low - 1]) > DBL_EPSILON * fmax(fabs(d[low - 1]) + fabs(d[low]), DBL_EPSILON * norm)) {
            low--;
        }
        if (low == high) {
            high--;
            sweep = 0;
            continue;
        }
        if (sweep++ == SWEEPS_MOST) {
            return -2;
        }
        if (!symmetric_step(n, d, e, low, high, vectors, work)) {
            return -1;
        }
    }
    return 0;
}

/* Descending, by selection: a row moves at most once. */
static void symmetric_order(int n, double *values, double *vectors) {
    for (int k = 0; k < n; k++) {
        int most = k;
        for (int i = k + 1; i < n; i++) {
            most = values[i] > values[most] ? i : most;
        }
        double value = values[most];
        values[most] = values[k];
        values[k] = value;
        if (vectors == NULL) {
            continue;
        }
        double *row = vectors + (size_t)k * n, *other = vectors + (size_t)most * n, largest = 0;
        for (int i = 0; i < n; i++) {
            double entry = other[i];
            other[i] = row[i];
            row[i] = entry;
            largest = fabs(entry) > fabs(largest) ? entry : largest;
        }
        for (int i = 0; largest < 0 && i < n; i++) {
            row[i] = -row[i];
        }
    }
}

int eigen_symmetric(int n, double *a, void *scratch, struct work *work, double *values, double *vectors) {
    double *e = scratch, *betas = e + n, *v = betas + n;
    if (!tridiagonal_reduce(n, a, values, e, betas, v, work) ||
        (vectors && !reflections_gather(n, a, betas, vectors, work))) {
        return -1;
    }
    int result = tridiagonal_solve(n, values, e, vectors, work);
    if (result == 0) {
        symmetric_order(n, values, vectors);
    }
    return result;
}
