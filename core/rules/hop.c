/* What rules share: the hop of credit from a step to the previous one, and the size of a filter. See rules.h. */
#include "core/base/size.h"
#include "core/rules/rules.h"

void credit_flow(const struct credit *credit, enum hopped hopped, const float *hop) {
    const struct neuron_ops *ops = neuron_table[credit->neuron];
    const struct neuron_credit flow = {
        .neuron = credit->neuron,
        .hopped = hopped,
        .rows = credit->rows,
        .columns = credit->columns,
        .leak = credit->leak,
        .gain = credit->gain,
        .rho = credit->rho,
        .beta = credit->beta,
        .psi = credit->psi,
        .learning = credit->learning,
        .hop = hop,
        .mu = hopped == HOPPED_BESIDE || ops->mu_at_source ? NULL : credit->mu,
        .carry = {credit->d, credit->second},
        .delta = credit->gd,
        .m = credit->m,
        .gm = credit->gm,
        .mu_next = ops->mu_at_source && credit->past_next ? credit->mu : NULL,
        .past_next = credit->past_next,
    };
    credit->kernels->neuron_credit(&flow);
}

void credit_local(const struct credit *credit) {
    if (credit->psi) {
        credit_flow(credit, HOPPED_NONE, NULL);
    } else {
        credit->kernels->credit_local(credit->rows, credit->columns, credit->leak, credit->gain, credit->a, credit->d,
                                      credit->gd);
    }
}

static void hop_product(const struct credit *credit, enum epilogue epilogue, const float *rows_in, float *out) {
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

void hop_run(const struct credit *credit, enum epilogue epilogue, const float *rows_in, float *out) {
    static const enum hopped kinds[] = {[EPILOGUE_CREDIT_PSI] = HOPPED_THROUGH,
                                        [EPILOGUE_CREDIT_MU] = HOPPED_PAST,
                                        [EPILOGUE_CREDIT_EXACT] = HOPPED_EXACT};
    if (!credit->psi || epilogue == EPILOGUE_STORE) {
        hop_product(credit, epilogue, rows_in, out);
        return;
    }
    hop_product(credit, EPILOGUE_STORE, rows_in, credit->h);
    credit_flow(credit, kinds[epilogue], credit->h);
}

bool hop_is_low_rank(const struct rule_config *rule, const struct rule_shape *shape) {
    if (rule->weights == CREDIT_GIVEN) {
        return rule->modulation.lengths[0] != shape->units;
    }
    return rule_is_averaged(rule) && rule->averaging == AVERAGING_ALL;
}

bool rule_mu_is_of_units(const struct rule_config *rule, const struct rule_shape *shape) {
    return rule->mu_of.values && rule->mu_of.lengths[0] == shape->units;
}

size_t filter_size(int taps, size_t elements) {
    return size_times((size_t)taps * 2 + 3, elements);
}
