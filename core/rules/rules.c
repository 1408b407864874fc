/* The table of rules, accessors for members of a row that may be NULL, and which networks a rule fits. */
#include "core/rules/rules.h"

#include <stdio.h>
#include <string.h>

#define RULE_ENTRY(number, name) [RULE_##number] = &rule_##name,
const struct rule_ops *const rule_table[RULE_TYPES] = {RULES(RULE_ENTRY)};

enum forward_form rule_forward(const struct rule_config *rule, const struct rule_shape *shape) {
    const struct rule_ops *ops = rule_table[rule->type];
    return ops->forward ? ops->forward(rule, shape) : FORWARD_NONE;
}

bool rule_keeps_inner(const struct rule_config *rule) {
    const struct rule_ops *ops = rule_table[rule->type];
    return ops->keeps_inner && ops->keeps_inner(rule);
}

int rule_taps(const struct rule_config *rule) {
    const struct rule_ops *ops = rule_table[rule->type];
    return ops->taps ? ops->taps(rule) : 0;
}

const struct tap_fit *rule_fit(const struct rule_config *rule) {
    const struct rule_ops *ops = rule_table[rule->type];
    return ops->fit ? ops->fit(rule) : NULL;
}

int rule_window(const struct rule_config *rule) {
    const struct rule_ops *ops = rule_table[rule->type];
    return ops->window ? ops->window(rule) : 0;
}

bool rule_is_low_rank(const struct rule_config *rule, const struct rule_shape *shape) {
    return !rule_table[rule->type]->hop_is_weights && hop_is_low_rank(rule, shape);
}

static bool mu_fits(const struct rule_config *rule, const struct rule_shape *shape, char error[256]) {
    int count = rule->mu_of.lengths[0];
    if (rule->mu_of.values && count != shape->types && count != shape->units) {
        snprintf(error, 256, "must be one number, one for each type (%d) or one for each unit (%d); got a list of %d",
                 shape->types, shape->units, count);
        return false;
    }
    return true;
}

static bool weights_fit(const struct rule_config *rule, const struct rule_shape *shape, char error[256]) {
    if (rule->weights == CREDIT_SHUFFLED && shape->units > SHUFFLED_UNITS_MOST) {
        snprintf(error, 256,
                 "must not be \"shuffled\" with more than %d units, since it keeps units * units positions; got %d",
                 SHUFFLED_UNITS_MOST, shape->units);
        return false;
    }
    return true;
}

static bool modulation_fits(const struct rule_config *rule, const struct rule_shape *shape, char error[256]) {
    const int *lengths = rule->modulation.lengths;
    if (!rule->modulation.values) {
        snprintf(error, 256, "%s", rule->weights == CREDIT_GIVEN ? "is required where weights is \"given\"" : "");
        return rule->weights != CREDIT_GIVEN;
    }
    if (rule->weights == CREDIT_GIVEN &&
        (lengths[0] != lengths[1] || (lengths[0] != shape->units && lengths[0] != shape->types))) {
        snprintf(error, 256,
                 "must have %d rows and columns, one for each unit, or %d, one for each type; got %d and %d",
                 shape->units, shape->types, lengths[0], lengths[1]);
        return false;
    }
    return true;
}

static bool list_has(const char *const *names, const char *name) {
    while (names && *names && strcmp(*names, name) != 0) {
        names++;
    }
    return names && *names;
}

bool rule_takes(const struct rule_ops *ops, const char *name) {
    return list_has(ops->takes, name);
}

bool rule_took_in_1(const struct rule_ops *ops, const char *name) {
    return list_has(ops->took_in_1, name);
}

/* Whether the neuron model gives the first hop a meaning. */
static bool first_hop_fits(const struct rule_config *rule, const struct rule_shape *shape, char error[256]) {
    const struct neuron_ops *neuron = neuron_table[shape->neuron];
    bool exact = rule->first_hop == FIRST_HOP_EXACT;
    if (!rule_takes(rule_table[rule->type], "first_hop") || (exact ? neuron->hop_exact : neuron->hop_by_mu)) {
        return true;
    }
    snprintf(error, 256, "must be \"%s\" where network.model is \"%s\", since %s; got \"%s\"", exact ? "mu" : "exact",
             neuron->name, neuron->hop_why, exact ? "exact" : "mu");
    return false;
}

static bool network_fits(const struct rule_config *rule, const struct rule_shape *shape, char error[256]) {
    const struct rule_ops *ops = rule_table[rule->type];
    enum forward_form form = rule_forward(rule, shape);
    if (ops->membrane_alone && shape->neuron != NEURON_MEMBRANE) {
        snprintf(error, 256,
                 "must not be \"%s\" where network.model is \"%s\": it is defined for membrane neurons alone",
                 ops->name, neuron_table[shape->neuron]->name);
        return false;
    }
    if (shape->readout_leaks && (form == FORWARD_SIGNAL || form == FORWARD_RANK_ONE)) {
        snprintf(error, 256,
                 "must not be \"%s\" where the readout leaks (network.readout_tau): it goes forward in time, where the "
                 "learning signal of a step is not yet known",
                 ops->name);
        return false;
    }
    return true;
}

bool rule_suits(const struct rule_config *rule, const struct rule_shape *shape, const char **parameter,
                char error[256]) {
    static const struct {
        const char *parameter;
        bool (*fits)(const struct rule_config *rule, const struct rule_shape *shape, char error[256]);
    } checks[] = {{"type", network_fits},
                  {"mu", mu_fits},
                  {"weights", weights_fit},
                  {"modulation", modulation_fits},
                  {"first_hop", first_hop_fits}};
    const struct rule_ops *ops = rule_table[rule->type];
    if (ops->suits && !ops->suits(rule, shape, parameter, error)) {
        return false;
    }
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        if (!checks[i].fits(rule, shape, error)) {
            *parameter = checks[i].parameter;
            return false;
        }
    }
    return true;
}
