/*
 * Backpropagation through time: the exact gradient,
 *     d_t = a_t + leak d_{t+1} + psi_t ((gain d_{t+1}) W^T).
 * With a window of S steps (truncated: Williams and Peng 1990) credit is carried back only within consecutive blocks of
 * S steps, counted from the trial's end: at a block's last step d_{t+1} counts as 0, while the forward state goes on.
 */
#include "core/rules/rules.h"

struct bptt {
    int window; /* 0: the whole trial */
};
RULE_OWN_STRUCT(struct bptt);

static void bptt_credit(const struct credit *credit) {
    if (!credit->gd_next) {
        credit_local(credit);
        return;
    }
    hop_run(credit, EPILOGUE_CREDIT_PSI, credit->gd_next, NULL);
}

static int bptt_window(const struct rule_config *rule) {
    const struct bptt *bptt = rule_own(rule);
    return bptt->window;
}

static const struct field parameters[] = {
    {.name = "window",
     .type = FIELD_INT_OR_NULL,
     .offset = RULE_OWN(struct bptt, window),
     .unit = "steps",
     .low = 1,
     .high = 1000000000,
     .fallback = "null",
     .identity = "null",
     .omit_null = true,
     .doc = "carry credit back only within blocks of this many steps, counted from the trial's end (truncated "
            "backpropagation); null: through the whole trial"},
};

const struct rule_ops rule_bptt = {.name = "bptt",
                                   .doc = "backpropagation through time: the exact gradient",
                                   .parameters = FIELDS(parameters),
                                   .uses_hop = true,
                                   .hop_is_weights = true,
                                   .window = bptt_window,
                                   .credit = bptt_credit};
