/*
 * The end of every main of Check: runs a suite and frees it.
 */
#ifndef MODPROP_TESTS_SUITE_H
#define MODPROP_TESTS_SUITE_H

#include <check.h>

/* The status of main. CK_VERBOSITY in the environment says how much is printed. */
static inline int suite_run(Suite *suite) {
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}

#endif
