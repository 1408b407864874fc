/* The table of rules, and what they share: the hop of credit from a step to the one before. */
#include "core/rules/rules.h"

#include "core/base/size.h"

const struct rule_ops *const rule_table[RULE_TYPES] = {
    [RULE_BPTT] = &rule_bptt,       [RULE_EPROP] = &rule_eprop, [RULE_MDGL] = &rule_mdgl,
    [RULE_MODPROP] = &rule_modprop, [RULE_RTRL] = &rule_rtrl,
};

enum forward_form rule_forward(const struct rule_config *rule) {
    const struct rule_ops *ops = rule_table[rule->type];
    return ops->forward ? ops->forward(rule) : FORWARD_NONE;
}

bool rule_keeps_inner(const struct rule_config *rule) {
    const struct rule_ops *ops = rule_table[rule->type];
    return ops->keeps_inner && ops->keeps_inner(rule);
}

int rule_taps(const struct rule_config *rule) {
    const struct rule_ops *ops = rule_table[rule->type];
    return ops->taps ? ops->taps(rule) : 0;
}

bool rule_is_low_rank(const struct rule_config *rule) {
    return !rule_table[rule->type]->hop_is_weights && rule->weights == CREDIT_TYPE && rule->averaging == AVERAGING_ALL;
}

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
