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

enum { SWEEPS_MOST = 60 }; /* a value that needs more sweeps will not converge */

struct complex_number {
    double re, im;
};

typedef struct complex_number complex_t;

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

/* ---- complex: values and vectors ---- */

static complex_t c_add(complex_t a, complex_t b) {
    return (complex_t){a.re + b.re, a.im + b.im};
}
static complex_t c_sub(complex_t a, complex_t b) {
    return (complex_t){a.re - b.re, a.im - b.im};
}
static complex_t c_mul(complex_t a, complex_t b) {
    return (complex_t){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}
static complex_t c_conj(complex_t a) {
    return (complex_t){a.re, -a.im};
}
static double c_abs(complex_t a) {
    return sqrt(a.re * a.re + a.im * a.im);
}

static complex_t c_div(complex_t a, complex_t b) {
    double size = b.re * b.re + b.im * b.im;
    complex_t product = c_mul(a, c_conj(b));
    return (complex_t){product.re / size, product.im / size};
}

static complex_t c_sqrt(complex_t a) {
    double size = c_abs(a), re = sqrt(0.5 * (size + fabs(a.re)));
    if (re == 0) {
        return (complex_t){0, 0};
    }
    double im = 0.5 * a.im / re;
    if (a.re >= 0) {
        return (complex_t){re, im};
    }
    return (complex_t){fabs(im), a.im < 0 ? -re : re};
}

/* Eigenvalue of [[a, b], [c, d]] nearer to d. */
static complex_t wilkinson_shift(complex_t a, complex_t b, complex_t c, complex_t d) {
    complex_t half = {0.5 * (a.re - d.re), 0.5 * (a.im - d.im)};
    complex_t root = c_sqrt(c_add(c_mul(half, half), c_mul(b, c)));
    complex_t plus = c_add(half, root), minus = c_sub(half, root);
    return c_add(d, c_abs(plus) < c_abs(minus) ? plus : minus);
}

/* (x, y) <- (c x + s y, -conj(s) x + c y), c real. */
static void rotate(complex_t *x, complex_t *y, double c, complex_t s) {
    complex_t kept = *x;
    complex_t sy = c_mul(s, *y), sx = c_mul(c_conj(s), kept);
    *x = (complex_t){c * kept.re + sy.re, c * kept.im + sy.im};
    *y = (complex_t){c * y->re - sx.re, c * y->im - sx.im};
}

/* The rotation of rows that makes y zero beside x. */
static void rotation_make(complex_t x, complex_t y, double *c, complex_t *s) {
    double size = sqrt(x.re * x.re + x.im * x.im + y.re * y.re + y.im * y.im), first = c_abs(x);
    *c = 1;
    *s = (complex_t){0, 0};
    if (size == 0 || c_abs(y) == 0) {
        return;
    }
    if (first == 0) {
        *c = 0;
        *s = (complex_t){y.re / size, -y.im / size};
        return;
    }
    *c = first / size;
    complex_t phase = {x.re / first, x.im / first};
    complex_t product = c_mul(phase, c_conj(y));
    *s = (complex_t){product.re / size, product.im / size};
}

/* Rows i and i+1 from the left, columns from the right with the conjugate, and Q along. */
static void rows_rotate(int n, complex_t *h, int i, int k, int from, double c, complex_t s) {
    for (int col = from; col < n; col++) {
        rotate(&h[i * n + col], &h[k * n + col], c, s);
    }
}

static void columns_rotate(int n, complex_t *a, int i, int k, int to, double c, complex_t s) {
    for (int row = 0; row < to; row++) {
        rotate(&a[row * n + i], &a[row * n + k], c, c_conj(s));
    }
}

static void givens_apply(int n, complex_t *h, complex_t *q, int i, int k, int from, double c, complex_t s) {
    rows_rotate(n, h, i, k, from, c, s);
    columns_rotate(n, h, i, k, n, c, s);
    columns_rotate(n, q, i, k, n, c, s);
}

/* False when stopped. */
static bool complex_hessenberg(int n, complex_t *h, complex_t *q, struct work *work) {
    for (int col = 0; col < n - 2; col++) {
        for (int row = col + 2; row < n; row++) {
            double c;
            complex_t s;
            rotation_make(h[(col + 1) * n + col], h[row * n + col], &c, &s);
            givens_apply(n, h, q, col + 1, row, 0, c, s);
            h[row * n + col] = (complex_t){0, 0};
            if (work_add(work, 3.0 * WORK_ROTATION * n)) {
                return false;
            }
        }
    }
    return true;
}

/*
 * An explicit QR step H - shift = QR, H = RQ + shift, on the window [low, high], rotation by rotation, applied to the
 * whole of H so that it stays a Schur form. False when stopped.
 */
static bool qr_step(int n, complex_t *h, complex_t *q, int low, int high, complex_t shift, struct work *work) {
    double c;
    complex_t s, x = c_sub(h[low * n + low], shift), y = h[(low + 1) * n + low];
    for (int k = low; k < high; k++) {
        rotation_make(x, y, &c, &s);
        givens_apply(n, h, q, k, k + 1, 0, c, s);
        if (k > low) {
            h[(k + 1) * n + k - 1] = (complex_t){0, 0};
        }
        if (k + 2 <= high) {
            x = h[(k + 1) * n + k];
            y = h[(k + 2) * n + k];
        }
        if (work_add(work, 3.0 * WORK_ROTATION * n)) {
            return false;
        }
    }
    return true;
}

/* As eigen_decompose returns. */
static int schur_form(int n, complex_t *h, complex_t *q, struct work *work) {
    if (!complex_hessenberg(n, h, q, work)) {
        return -1;
    }
    int high = n - 1, sweep = 0;
    while (high > 0) {
        int low = high;
        for (; low > 0; low--) {
            double near = c_abs(h[(low - 1) * n + low - 1]) + c_abs(h[low * n + low]);
            if (c_abs(h[low * n + low - 1]) <= DBL_EPSILON * (near > 0 ? near : DBL_MIN)) {
                h[low * n + low - 1] = (complex_t){0, 0};
                break;
            }
        }
        if (low == high) {
            high--;
            sweep = 0;
            continue;
        }
        if (sweep++ == SWEEPS_MOST) {
            return -2;
        }
        complex_t shift = wilkinson_shift(h[(high - 1) * n + high - 1], h[(high - 1) * n + high],
                                          h[high * n + high - 1], h[high * n + high]);
        if (sweep % 10 == 0) {
            shift = (complex_t){c_abs(h[high * n + high - 1]) + shift.re, 0.7 * c_abs(h[high * n + high - 1])};
        }
        if (!qr_step(n, h, q, low, high, shift, work)) {
            return -1;
        }
    }
    return 0;
}

/*
 * x (n) = eigenvector of the triangular h for its k-th diagonal entry, by back substitution; equal diagonal entries are
 * separated by a tiny amount.
 */
static void triangular_vector(int n, const complex_t *h, int k, double norm, complex_t *x) {
    for (int i = 0; i < n; i++) {
        x[i] = (complex_t){i == k, 0};
    }
    for (int i = k - 1; i >= 0; i--) {
        complex_t sum = {0, 0};
        for (int j = i + 1; j <= k; j++) {
            sum = c_add(sum, c_mul(h[i * n + j], x[j]));
        }
        complex_t gap = c_sub(h[k * n + k], h[i * n + i]);
        if (c_abs(gap) <= DBL_EPSILON * norm) {
            gap = (complex_t){DBL_EPSILON * norm + DBL_MIN, 0};
        }
        x[i] = c_div(sum, gap);
    }
}

/* v = Q x, norm 1; for a real eigenvalue it is rotated to be real. */
static void vector_finish(int n, const complex_t *q, const complex_t *x, bool real, complex_t *v) {
    double norm = 0;
    int largest = 0;
    for (int r = 0; r < n; r++) {
        v[r] = (complex_t){0, 0};
        for (int i = 0; i < n; i++) {
            v[r] = c_add(v[r], c_mul(q[r * n + i], x[i]));
        }
        if (c_abs(v[r]) > c_abs(v[largest])) {
            largest = r;
        }
    }
    complex_t turn = real && c_abs(v[largest]) > 0 ? v[largest] : (complex_t){1, 0};
    for (int r = 0; r < n; r++) {
        v[r] = c_div(v[r], turn);
        if (real) {
            v[r].im = 0;
        }
        norm += v[r].re * v[r].re + v[r].im * v[r].im;
    }
    norm = norm > 0 ? sqrt(norm) : 1;
    for (int r = 0; r < n; r++) {
        v[r] = (complex_t){v[r].re / norm, v[r].im / norm};
    }
}

static double schur_norm(int n, const complex_t *h) {
    double norm = 0;
    for (int i = 0; i < n * n; i++) {
        norm = fmax(norm, c_abs(h[i]));
    }
    return norm;
}

/*
 * Columns in the order of the Schur form's diagonal; of a pair the member with positive imaginary part is written,
 * where it is met, with its conjugate beside it.
 */
static int vectors_write(int n, const complex_t *h, const complex_t *q, complex_t *x, struct work *work, double *re,
                         double *im, double *vectors) {
    complex_t *v = x + n;
    double norm = schur_norm(n, h), tiny = 64 * n * DBL_EPSILON * norm;
    int column = 0;
    for (int k = 0; k < n; k++) {
        complex_t value = h[k * n + k];
        bool real = fabs(value.im) <= tiny;
        if (!real && value.im < 0) {
            continue;
        }
        if (column + !real >= n) {
            return -2; /* pairs were not complete: the tolerance separated one */
        }
        if (work_add(work, 4.0 * n * n + 2.0 * k * k)) {
            return -1;
        }
        triangular_vector(n, h, k, norm, x);
        vector_finish(n, q, x, real, v);
        re[column] = value.re;
        im[column] = real ? 0 : value.im;
        for (int r = 0; r < n; r++) {
            vectors[r * n + column] = v[r].re;
        }
        if (!real) {
            re[column + 1] = value.re;
            im[column + 1] = -value.im;
            for (int r = 0; r < n; r++) {
                vectors[r * n + column + 1] = v[r].im;
            }
        }
        column += 1 + !real;
    }
    return column == n ? 0 : -2;
}

double eigen_decompose_cost(int n) {
    return 100.0 * n * n * n;
}

int eigen_decompose(int n, double *a, void *scratch, struct work *work, double *re, double *im, double *vectors) {
    complex_t *h = scratch, *q = h + (size_t)n * (size_t)n, *x = q + (size_t)n * (size_t)n;
    for (int i = 0; i < n * n; i++) {
        h[i] = (complex_t){a[i], 0};
        q[i] = (complex_t){i % (n + 1) == 0, 0};
    }
    int result = schur_form(n, h, q, work);
    return result == 0 ? vectors_write(n, h, q, x, work, re, im, vectors) : result;
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
        double *row = vectors ? vectors + (size_t)k * n : NULL, *other = vectors ? vectors + (size_t)most * n : NULL,
               largest = 0;
        for (int i = 0; vectors && i < n; i++) {
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
