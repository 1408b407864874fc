/*
 * Rules as the API decodes them, for tests. The lists of a rule live as long as the test's process, so that tests can
 * copy rules as they like: what was decoded is kept where the leak sanitizer finds it.
 */
#ifndef MODPROP_TESTS_DECODED_H
#define MODPROP_TESTS_DECODED_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "api/problem.h"
#include "api/rule.h"

struct decoded {
    struct rule_config rule;
    struct decoded *next;
};

/* A rule, which must be valid, of membrane neurons. */
static inline struct rule_config rule_decoded(const json_t *json) {
    static struct decoded *all;
    struct problems problems = {0};
    struct decoded *decoded = calloc(1, sizeof *decoded);
    ck_assert_ptr_nonnull(decoded);
    rule_decode(&decoded->rule, json, NEURON_MEMBRANE, NULL, &problems);
    ck_assert_msg(problems.count == 0, "%s", json_dumps(problems.errors, 0));
    decoded->next = all;
    all = decoded;
    return decoded->rule;
}

#endif
