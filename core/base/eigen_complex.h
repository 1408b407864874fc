/*
 * The complex middle of eigen.c: eigenvalues and vectors of small matrices by a complex Schur form. It is text of its
 * own because a device's compiler reads it too (core/backend/opencl), so it uses what OpenCL C 1.2 and C have in
 * common: no library but fmax, fabs and sqrt, and no memory but the caller's.
 */
#ifndef MODPROP_CORE_EIGEN_COMPLEX_H
#define MODPROP_CORE_EIGEN_COMPLEX_H

#include <float.h>
#include <math.h>

#include "core/base/work.h"

enum { SWEEPS_MOST = 60 }; /* a value that needs more sweeps will not converge */

struct complex_number {
    double re, im;
};

typedef struct complex_number complex_t;

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
    complex_t middle = {0.5 * (a.re - d.re), 0.5 * (a.im - d.im)};
    complex_t root = c_sqrt(c_add(c_mul(middle, middle), c_mul(b, c)));
    complex_t plus = c_add(middle, root), minus = c_sub(middle, root);
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

static int complex_decompose(int n, double *a, void *scratch, struct work *work, double *re, double *im,
                             double *vectors) {
    complex_t *h = scratch, *q = h + (size_t)n * (size_t)n, *x = q + (size_t)n * (size_t)n;
    for (int i = 0; i < n * n; i++) {
        h[i] = (complex_t){a[i], 0};
        q[i] = (complex_t){i % (n + 1) == 0, 0};
    }
    int result = schur_form(n, h, q, work);
    return result == 0 ? vectors_write(n, h, q, x, work, re, im, vectors) : result;
}

#endif
