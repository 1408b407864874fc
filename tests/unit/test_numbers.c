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
    /* value by value, from anywhere, it is the same stream */
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
        free(a);
        free(b);
        free(v);
        free(scratch);
        free(less);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("numbers");
    TCase *tests = tcase_create("numbers");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, philox_vectors);
    tcase_add_test(tests, normals_are_normal_and_the_same_everywhere);
    tcase_add_test(tests, streams_differ);
    tcase_add_test(tests, elementary_functions);
    tcase_add_test(tests, tanh_of_every_instruction_set);
    tcase_add_test(tests, eigenvalues);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
