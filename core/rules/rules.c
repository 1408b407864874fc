/* The table of rules, and accessors for members of a row that may be NULL. */
#include "core/rules/rules.h"

#define RULE_ENTRY(number, name) [RULE_##number] = &rule_##name,
const struct rule_ops *const rule_table[RULE_TYPES] = {RULES(RULE_ENTRY)};

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
    return !rule_table[rule->type]->hop_is_weights && hop_is_low_rank(rule);
}
