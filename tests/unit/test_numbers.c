/*
 * Random numbers against Philox's published vectors, elementary functions against libm, eigenvalues against A v =
 * lambda v.
 */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/eigen.h"
#include "core/base/elementary.h"
#include "core/kernels/kernels.h"
#include "core/base/random.h"
#include "core/kernels/fma.h"
#include "tests/unit/suite.h"

START_TEST(philox_vectors) {
    /* Salmon et al. 2011, Random123's known answers for philox4x32-10 */
    static const uint32_t vectors[3][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {~0u, ~0u, ~0u, ~0u, ~0u, ~0u, 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb, 0x5001e420,
         0x24126ea1}};
    for (int i = 0; i < 3; i++) {
        uint32_t out[4];
        philox4x32_10(vectors[i], vectors[i] + 4, out);
        ck_assert_int_eq(memcmp(out, vectors[i] + 6, sizeof out), 0);
    }
}
END_TEST

START_TEST(normals_are_normal_and_the_same_everywhere) {
    enum { COUNT = 200003 };
    float *values = malloc(COUNT * sizeof *values), *other = malloc(COUNT * sizeof *other);
    struct random_stream stream = random_stream_make(7, RANDOM_TRAINING_NOISE, 3, 5);
    random_normal_fill_with(RANDOM_VARIANT_PORTABLE, &stream, 1, COUNT, values);
    double sum = 0, square = 0, cube = 0, beyond = 0;
    for (int i = 0; i < COUNT; i++) {
        double x = (double)values[i];
        ck_assert(isfinite(x));
        sum += x;
        square += x * x;
        cube += x * x * x;
        beyond += fabs(x) > 1.959964;
    }
    ck_assert_double_lt(fabs(sum / COUNT), 0.01);
    ck_assert_double_lt(fabs(square / COUNT - 1), 0.015);
    ck_assert_double_lt(fabs(cube / COUNT), 0.03);
    ck_assert_double_lt(fabs(beyond / COUNT - 0.05), 0.003);
    for (int variant = RANDOM_VARIANT_PORTABLE; variant <= (int)random_variant_best(); variant++) {
        random_normal_fill_with((enum random_variant)variant, &stream, 1, COUNT, other);
        ck_assert_int_eq(memcmp(values, other, COUNT * sizeof *values), 0);
    }
    /* value by value, starting anywhere, it is the same stream */
    for (uint64_t at = 1; at < COUNT; at += 997) {
        float one;
        random_normal_fill(&stream, at, 1, &one);
        ck_assert(one == values[at - 1]);
    }
    free(values);
    free(other);
}
END_TEST

START_TEST(streams_differ) {
    struct random_stream base = random_stream_make(1, RANDOM_TASK, 0, 0),
                         others[] = {random_stream_make(2, RANDOM_TASK, 0, 0),
                                     random_stream_make((uint64_t)1 << 40 | 1, RANDOM_TASK, 0, 0),
                                     random_stream_make(1, RANDOM_MASK, 0, 0),
                                     random_stream_make(1, RANDOM_TASK, 1, 0),
                                     random_stream_make(1, RANDOM_TASK, (int64_t)1 << 33, 0),
                                     random_stream_make(1, RANDOM_TASK, 0, 1)};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        ck_assert_uint_ne(random_bits(&base, 0), random_bits(&others[i], 0));
    }
    for (uint64_t n = 1; n < 50; n++) {
        for (uint64_t i = 0; i < 50; i++) {
            ck_assert_uint_lt(random_below(&base, i, n), n);
        }
    }
}
END_TEST

START_TEST(elementary_functions) {
    for (int i = -100000; i <= 100000; i++) {
        double x = i * 0.00705, sine, cosine;
        if (x > -700) {
            ck_assert_double_lt(fabs(elementary_exp(x) / exp(x) - 1), 5e-16);
        }
        double y = exp(i * 0.0069);
        ck_assert_double_le(fabs(elementary_log(y) - log(y)), 5e-16 * fmax(1, fabs(log(y))));
        elementary_sincos_turns(i * 1e-5, &sine, &cosine);
        ck_assert_double_lt(fabs(sine - sin(6.283185307179586 * (i * 1e-5))), 2e-15);
        ck_assert_double_lt(fabs(cosine - cos(6.283185307179586 * (i * 1e-5))), 2e-15);
    }
    ck_assert(elementary_exp(-1e9) == 0 && isinf(elementary_exp(1e9)) && isnan(elementary_exp(NAN)));
    ck_assert(isinf(elementary_log(0)) && isnan(elementary_log(-1)) && elementary_log(1) == 0);
}
END_TEST

START_TEST(tanh_of_every_instruction_set) {
    enum { COUNT = 4096 };
    _Alignas(64) float x[COUNT], authority[COUNT], y[COUNT];
    for (int i = 0; i < COUNT; i++) {
        x[i] = (float)((i - COUNT / 2) * (i % 7 == 0 ? 1e-5 : 0.01));
    }
    kernels_portable.tanh_rows(COUNT, x, authority);
    for (int i = 0; i < COUNT; i++) {
        double exact = tanh((double)x[i]);
        ck_assert_double_le(fabs((double)authority[i] - exact), 4e-7 * fabs(exact));
    }
    for (int k = 0; kernels_listed(k); k++) {
        kernels_listed(k)->tanh_rows(COUNT, x, y);
        ck_assert_int_eq(memcmp(y, authority, sizeof y), 0);
    }
    x[0] = NAN;
    x[1] = INFINITY;
    for (int k = 0; kernels_listed(k); k++) {
        kernels_listed(k)->tanh_rows(LANES, x, y);
        ck_assert(isnan(y[0]));
    }
}
END_TEST

static double residual(int n, const double *a, const double *re, const double *im, const double *v) {
    double worst = 0;
    for (int k = 0; k < n; k++) {
        for (int r = 0; r < n; r++) {
            double x = 0, y = 0;
            bool pair = im[k] > 0;
            for (int j = 0; j < n && im[k] >= 0; j++) {
                x += a[r * n + j] * v[j * n + k];
                y += pair ? a[r * n + j] * v[j * n + k + 1] : 0;
            }
            if (im[k] < 0) {
                continue;
            }
            double other = pair ? v[r * n + k + 1] : 0;
            worst = fmax(worst, fabs(x - (re[k] * v[r * n + k] - im[k] * other)));
            worst = fmax(worst, fabs(y - (im[k] * v[r * n + k] + re[k] * other)) * pair);
        }
    }
    return worst;
}

/* Whether each value of one list is a value of the other, within a tolerance: QR finds them in different orders. */
static void values_compare(int n, const double *re, const double *im, const double *re_b, const double *im_b) {
    bool taken[64] = {false};
    for (int k = 0; k < n; k++) {
        int nearest = -1;
        for (int i = 0; i < n; i++) {
            double d = hypot(re[k] - re_b[i], im[k] - im_b[i]);
            if (!taken[i] && (nearest < 0 || d < hypot(re[k] - re_b[nearest], im[k] - im_b[nearest]))) {
                nearest = i;
            }
        }
        taken[nearest] = true;
        double d = hypot(re[k] - re_b[nearest], im[k] - im_b[nearest]);
        ck_assert_msg(d < 1e-9 * sqrt(n), "order %d: %g%+gi is %g from any other", n, re[k], im[k], d);
    }
}

START_TEST(eigenvalues) {
    for (int n = 1; n <= 61; n += n < 12 ? 1 : 7) {
        size_t square = (size_t)n * (size_t)n;
        double *a = malloc(square * sizeof *a), *b = malloc(square * sizeof *b), *v = malloc(square * sizeof *v),
               re[64], im[64], radius, largest = 0;
        void *scratch = malloc(eigen_decompose_scratch_size(n)), *less = malloc(eigen_radius_scratch_size(n));
        struct random_stream stream = random_stream_make(11, RANDOM_TASK, n, 0);
        for (size_t i = 0; i < square; i++) {
            a[i] = b[i] = random_normal(&stream, i);
        }
        ck_assert_int_eq(eigen_decompose(n, b, scratch, NULL, re, im, v), 0);
        ck_assert_double_lt(residual(n, a, re, im, v), 1e-12);
        memcpy(b, a, square * sizeof *b);
        ck_assert_int_eq(eigen_radius(n, b, less, NULL, &radius), 0);
        for (int k = 0; k < n; k++) {
            largest = fmax(largest, hypot(re[k], im[k]));
        }
        ck_assert_double_lt(fabs(radius - largest), 1e-10 * largest);
        double re_only[64], im_only[64];
        memcpy(b, a, square * sizeof *b);
        ck_assert_int_eq(eigen_values(n, b, less, NULL, re_only, im_only), 0);
        values_compare(n, re_only, im_only, re, im);
        for (int k = 0; k < n; k++) {
            bool first = im_only[k] > 0, second = im_only[k] < 0;
            ck_assert(!first || (im_only[k + 1] == -im_only[k] && re_only[k + 1] == re_only[k]));
            ck_assert(!second || im_only[k - 1] == -im_only[k]);
        }
        free(a);
        free(b);
        free(v);
        free(scratch);
        free(less);
    }
}
END_TEST

/* A V^T = V^T diag(values), orthonormal rows, and equal values: a projection, which has two of them many times. */
START_TEST(symmetric) {
    for (int n = 1; n <= 64; n += n < 12 ? 1 : 13) {
        size_t order = (size_t)n, square = order * order;
        double *a = calloc(square, sizeof *a), *b = malloc(square * sizeof *b), *v = malloc(square * sizeof *v),
               values[64], alone[64];
        void *scratch = malloc(eigen_symmetric_scratch_size(n));
        struct random_stream stream = random_stream_make(12, RANDOM_TASK, n, 0);
        for (size_t i = 0; i < square; i++) {
            size_t row = i / order, column = i % order;
            a[i] = n % 2           ? (row == column) - 2.0 / n
                   : row <= column ? random_normal(&stream, i)
                                   : a[column * order + row];
        }
        memcpy(b, a, square * sizeof *b);
        ck_assert_int_eq(eigen_symmetric(n, b, scratch, NULL, values, v), 0);
        memcpy(b, a, square * sizeof *b);
        ck_assert_int_eq(eigen_symmetric(n, b, scratch, NULL, alone, NULL), 0);
        for (size_t k = 0; k < order; k++) {
            ck_assert(k == 0 || values[k] <= values[k - 1]);
            ck_assert_double_lt(fabs(values[k] - alone[k]), 1e-12 * (1 + fabs(values[k])));
            for (size_t i = 0; i < order; i++) {
                double image = 0, inner = 0;
                for (size_t j = 0; j < order; j++) {
                    image += a[i * order + j] * v[k * order + j];
                    inner += v[i * order + j] * v[k * order + j];
                }
                ck_assert_double_lt(fabs(image - values[k] * v[k * order + i]), 1e-12 * n);
                ck_assert_double_lt(fabs(inner - (i == k)), 1e-13 * n);
            }
        }
        free(a);
        free(b);
        free(v);
        free(scratch);
    }
}
END_TEST

/* Two by two: a real pair of very different sizes, a rotation, a Jordan block, nothing at all. */
START_TEST(eigenvalues_of_two_rows) {
    const struct {
        double a[4], re[2], im[2];
    } cases[] = {
        {{1e8, 1, 1, 2e-8}, {1e8 + 1e-8, 1e-8}, {0, 0}},
        {{0, -2, 2, 0}, {0, 0}, {2, -2}},
        {{3, 1, 0, 3}, {3, 3}, {0, 0}},
        {{-1, 2, 0, -4}, {-4, -1}, {0, 0}},
        {{0, 0, 0, 0}, {0, 0}, {0, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double a[4], re[2], im[2], scratch[4];
        memcpy(a, cases[i].a, sizeof a);
        ck_assert_int_eq(eigen_values(2, a, scratch, NULL, re, im), 0);
        bool turned = fabs(re[0] - cases[i].re[0]) > fabs(re[1] - cases[i].re[0]);
        for (int k = 0; k < 2; k++) {
            double expected = cases[i].re[turned ? 1 - k : k];
            ck_assert_msg(fabs(re[k] - expected) <= 1e-14 * fabs(expected) && im[k] == cases[i].im[k],
                          "case %zu: %.17g%+.17gi", i, re[k], im[k]);
        }
    }
}
END_TEST

/* ---- the fused multiply-add without an instruction ---- */

static uint32_t float_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void fma_check(const float a[4], const float b[4], const float c[4]) {
    fma_floats x, y, z, result;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    memcpy(&z, c, sizeof z);
    result = fma_exact4(x, y, z);
    for (int i = 0; i < 4; i++) {
        float wanted = fmaf(a[i], b[i], c[i]), got = result[i];
        if (float_bits(wanted) != float_bits(got) &&
            !(isnan(wanted) && isnan(got))) { /* a passed check writes a mark */
            ck_abort_msg("%a * %a + %a is %a; got %a", (double)a[i], (double)b[i], (double)c[i], (double)wanted,
                         (double)got);
        }
    }
}

/* A sum at, or next to, the midpoint of two neighbouring floats: the case of double rounding. */
static void middle_make(const uint32_t r[4], float *a, float *b, float *c) {
    int exponent = (int)(r[0] % 250) - 140, apart = (int)(r[1] % 64);
    float mantissa = 1 + (float)(r[2] >> 9) * 0x1p-23f,
          half = 1 + (r[3] & 1 ? 0x1p-23f : 0) - (r[3] & 2 ? 0x1p-23f : 0);
    *c = ldexpf(mantissa, exponent);
    *a = ldexpf(half, exponent / 2 - 12);
    *b = ldexpf(r[3] & 4 ? -1.0f : 1.0f, exponent - exponent / 2 - 12 - (r[3] & 8 ? apart : 0));
}

START_TEST(exact_fma_has_the_bits_of_fmaf) {
    static const float hard[] = {
        0.0f,          -0.0f,          1.0f,           -1.0f,      INFINITY,         -INFINITY,       NAN,
        0x1p-149f,     -0x1p-149f,     0x1p-126f,      -0x1p-126f, 0x1.fffffep-127f, 0x1.fffffep127f, -0x1.fffffep127f,
        0x1.000002p0f, 0x1.fffffep-1f, 0x1p-75f,       0x1p-74f,   0x1p-24f,         0x1p-25f,        0x1p23f,
        0x1.8p1f,      0x1p64f,        0x1.000002p-63f};
    enum { HARD = sizeof hard / sizeof *hard, ROUNDS = 5000000 };
    float a[4], b[4], c[4];
    for (int i = 0; i < HARD; i++) {
        for (int j = 0; j < HARD; j++) {
            for (int k = 0; k < HARD; k++) {
                for (int lane = 0; lane < 4; lane++) {
                    a[lane] = hard[(i + lane) % HARD];
                    b[lane] = hard[j];
                    c[lane] = hard[k];
                }
                fma_check(a, b, c);
            }
        }
    }
    for (uint32_t round = 0; round < ROUNDS; round++) {
        const uint32_t key[2] = {20, 26};
        uint32_t r[4];
        for (uint32_t lane = 0; lane < 4; lane++) {
            philox4x32_10((uint32_t[4]){round, lane, 1, 0}, key, r);
            if (round % 4 == 0) { /* any bits */
                a[lane] = float_of(r[0]);
                b[lane] = float_of(r[1]);
                c[lane] = float_of(r[2]);
            } else if (round % 4 == 1) { /* a sum whose terms are of the same size, or the result subnormal */
                int exponent = (int)(r[3] % 120) - 100;
                a[lane] = ldexpf((float)(int32_t)r[0], exponent);
                b[lane] = ldexpf((float)(int32_t)r[1], (int)(r[3] >> 8) % 40 - 60);
                c[lane] = ldexpf((float)(int32_t)r[2], exponent + (int)(r[3] >> 16) % 80 - 70);
            } else {
                middle_make(r, &a[lane], &b[lane], &c[lane]);
            }
        }
        fma_check(a, b, c);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("numbers");
    TCase *tests = tcase_create("numbers");
    tcase_set_timeout(tests, 0); /* meson's is enough: a busy machine takes minutes with a sanitizer */
    tcase_add_test(tests, exact_fma_has_the_bits_of_fmaf);
    tcase_add_test(tests, philox_vectors);
    tcase_add_test(tests, normals_are_normal_and_the_same_everywhere);
    tcase_add_test(tests, streams_differ);
    tcase_add_test(tests, elementary_functions);
    tcase_add_test(tests, tanh_of_every_instruction_set);
    tcase_add_test(tests, eigenvalues);
    tcase_add_test(tests, eigenvalues_of_two_rows);
    tcase_add_test(tests, symmetric);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
