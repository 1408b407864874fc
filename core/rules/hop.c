/* What rules share: the hop of credit from a step to the previous one, and the size of a filter. See rules.h. */
#include "core/base/size.h"
#include "core/rules/rules.h"

void hop_run(const struct credit *credit, enum epilogue epilogue, const float *rows_in, float *out) {
    const struct hop *hop = credit->hop;
    struct product product = {
        .rows_in = rows_in,
        .row_stride = (size_t)credit->columns,
        .rows = credit->rows,
        .matrix = &hop->matrix,
        .out = out,
        .leak = credit->leak,
        .gain = credit->gain,
        .activation = credit->activation,
        .mu = credit->mu,
        .z = credit->z,
        .z_stride = credit->z_stride,
        .a = credit->a,
        .d = credit->d,
        .gd = credit->gd,
        .m = credit->m,
        .gm = credit->gm,
    };
    if (hop->low_rank) {
        struct product gather = {.rows_in = rows_in,
                                 .row_stride = (size_t)credit->columns,
                                 .rows = credit->rows,
                                 .matrix = &hop->gather,
                                 .out = credit->thin};
        product_run(credit->kernels, EPILOGUE_STORE, &gather);
        work_add(credit->work, (double)credit->rows * gather.matrix->sources * gather.matrix->columns);
        product.rows_in = credit->thin;
        product.row_stride = (size_t)hop->gather.columns;
        product.matrix = &hop->scatter;
    }
    product_run(credit->kernels, epilogue, &product);
    work_add(credit->work, (double)credit->rows * product.matrix->sources * product.matrix->columns);
}

size_t filter_size(int taps, size_t elements) {
    return size_times((size_t)taps * 2 + 3, elements);
}
