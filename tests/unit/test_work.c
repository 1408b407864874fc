/*
 * The stop word and the estimate: at every parameter's greatest value, alone and in a set that covers every pair of
 * values, the operations between two checks of the stop word are bounded, and the counted work is within a factor of 3
 * of the estimate.
 *
 * What is too heavy to finish runs until it is stopped; what would take too much memory is only estimated. No wall time
 * is asserted: the time of a stop is printed, and measured in tests/bench.
 */
#include <check.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/job.h"
#include "core/base/eigen.h"
#include "core/base/random.h"
#include "core/model/network.h"
#include "core/train/gradients.h"
#include "core/train/train.h"
#include "tests/unit/decoded.h"
#include "tests/unit/suite.h"

/* Between two checks: at most a few kernel calls, or a weight update, which is not interrupted. A fraction of a
 * second. */
#define LOOK_MOST 2e8
#define MEMORY_MOST ((size_t)300 << 20)

/* ---- the space of configurations ---- */

enum parameter {
    P_TASK,
    P_STEPS,
    P_INPUTS,
    P_OUTPUTS,
    P_UNITS,
    P_TYPES,
    P_DALE,
    P_CONNECTIVITY,
    P_RULE,
    P_WEIGHTS,
    P_HOP,
    P_TAPS,
    P_TRACKING,
    P_FEEDBACK,
    P_BATCH,
    P_DIAGNOSTICS,
    P_MEMORY,
    P_ACTIVATION,
    P_OPTIMIZER,
    PARAMETERS
};

/* Values of each; the last is the greatest allowed (api/parameters.c). */
static const struct {
    int count;
    double small[5], great[5];
} space[PARAMETERS] = {
    [P_TASK] = {3, {TASK_DELAYED_XOR, TASK_PATTERN, TASK_EVIDENCE}, {TASK_DELAYED_XOR, TASK_PATTERN, TASK_EVIDENCE}},
    [P_STEPS] = {2, {20, 150}, {20, 10000000}},
    [P_INPUTS] = {2, {1, 40}, {1, 4096}},
    [P_OUTPUTS] = {2, {1, 20}, {1, 1024}},
    [P_UNITS] = {3, {12, 40, 90}, {24, 1000, 16384}},
    [P_TYPES] = {2, {1, 16384}, {1, 16384}},
    [P_DALE] = {2, {1, 0}, {1, 0}},
    [P_CONNECTIVITY] = {2, {1, 0.3}, {1, 0.01}},
    [P_RULE] = {5, {0, 1, 2, 3, 4}, {0, 1, 2, 3, 4}},
    [P_WEIGHTS] = {3, {0, 1, 2}, {0, 1, 2}}, /* cell, type, type of existing synapses */
    [P_HOP] = {2, {0, 1}, {0, 1}},
    [P_TAPS] = {3, {0, 1, 4}, {0, 1, 1e9}},
    [P_TRACKING] = {2, {0, 1}, {0, 1}},
    [P_FEEDBACK] = {3, {0, 1, 2}, {0, 1, 2}},
    [P_BATCH] = {2, {1, 40}, {1, 65536}},
    [P_DIAGNOSTICS] = {2, {0, DIAGNOSTIC_ALL}, {0, DIAGNOSTIC_ALL}},
    [P_MEMORY] = {2, {0, 1 << 20}, {0, 1 << 20}},
    [P_ACTIVATION] = {2, {0, 1}, {0, 1}},
    [P_OPTIMIZER] = {2, {0, 1}, {0, 1}},
};

static struct task_config task_make(const double *value) {
    double steps = value[P_STEPS];
    bool great = steps > 100000;
    switch ((enum task_type)value[P_TASK]) {
    case TASK_PATTERN:
        return TASK_CONFIG(TASK_PATTERN, {"inputs", value[P_INPUTS]}, {"outputs", value[P_OUTPUTS]},
                           {"duration", steps});
    case TASK_EVIDENCE:
        return TASK_CONFIG(TASK_EVIDENCE, {"cues", great ? 1000 : 3}, {"cue_duration", great ? 100000 : 5},
                           {"cue_active", 4}, {"delay", great ? 1000000 : steps}, {"recall", great ? 100000 : 10},
                           {"cue_probability", 0.7}, {"active_rate", 40}, {"background_rate", 10});
    default:
        return TASK_CONFIG(TASK_DELAYED_XOR, {"cue", great ? 100000 : 4}, {"delay", great ? 1000000 : steps},
                           {"amplitude", 2}, {"noise", 0.01});
    }
}

/* Three taps for each pair of types. */
static json_t *taps_make(int types) {
    json_t *taps = json_array();
    for (int g = 0; g < types; g++) {
        json_t *row = json_array();
        for (int h = 0; h < types; h++) {
            json_array_append_new(row, json_pack("[f, f, f]", 0.1, 0.0, -0.1));
        }
        json_array_append_new(taps, row);
    }
    return taps;
}

/* The parameters that only this rule has, at their defaults; their lists live as long as the test. */
static struct own own_make(enum rule_type type, int types) {
    json_t *document = json_pack("{s:s}", "type", rule_type_name(type));
    if (type == RULE_FILTER) {
        json_object_set_new(document, "taps", taps_make(types));
    }
    struct rule_config rule = rule_decoded(document);
    json_decref(document);
    return rule.own;
}

static struct train_config config_make(const double *value) {
    struct train_config config = {.seed = 5,
                                  .network = {.units = (int)value[P_UNITS],
                                              .tau = 20,
                                              .activation = (enum activation)value[P_ACTIVATION],
                                              .dale = value[P_DALE] > 0,
                                              .excitatory_fraction = 0.8,
                                              .types_per_sign = (int)value[P_TYPES],
                                              .connectivity = value[P_CONNECTIVITY],
                                              .rewiring = value[P_DALE] > 0 ? REWIRING_DEEP_R : REWIRING_NONE,
                                              .bias = true},
                                  .rule = {.type = (enum rule_type)value[P_RULE],
                                           .mu = 0.1,
                                           .weights = value[P_WEIGHTS] > 0 ? CREDIT_TYPE : CREDIT_CELL,
                                           .averaging = value[P_WEIGHTS] > 1 ? AVERAGING_EXISTING : AVERAGING_ALL,
                                           .tracking = (enum tracking)value[P_TRACKING],
                                           .first_hop = (enum first_hop)value[P_HOP],
                                           .taps = (int)value[P_TAPS],
                                           .feedback = (enum feedback)value[P_FEEDBACK]},
                                  .optimizer = {.type = (enum optimizer_type)value[P_OPTIMIZER],
                                                .learning_rate = 1e-4,
                                                .beta1 = 0.9,
                                                .beta2 = 0.999,
                                                .epsilon = 1e-8,
                                                .momentum = 0.5},
                                  .training = {.iterations = 3,
                                               .batch_size = (int)value[P_BATCH],
                                               .evaluate_every = 2,
                                               .memory = (int64_t)value[P_MEMORY],
                                               .diagnostics = (unsigned)value[P_DIAGNOSTICS]}};
    config.task = task_make(value);
    int types = network_types_count(&config.network);
    if (config.rule.type == RULE_FILTER && types > 100) {
        config.rule.type = RULE_EPROP; /* a list that long would be the test's own cost */
    }
    config.rule.own = own_make(config.rule.type, types);
    return config;
}

/* ---- running one, until it ends or is stopped ---- */

struct runner {
    struct train_control control;
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    bool over;
    long nanoseconds; /* after which it is stopped; 0: never */
    struct timespec stopped_at;
    int64_t iterations, evaluations;
};

static double seconds_since(const struct timespec *then) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)(now.tv_sec - then->tv_sec) + 1e-9 * (double)(now.tv_nsec - then->tv_nsec);
}

static void *stop_later(void *user) {
    struct runner *runner = user;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += runner->nanoseconds;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&runner->mutex);
    while (!runner->over && pthread_cond_timedwait(&runner->ended, &runner->mutex, &until) == 0) {
    }
    clock_gettime(CLOCK_REALTIME, &runner->stopped_at);
    atomic_store(&runner->control.command, TRAIN_STOP);
    pthread_mutex_unlock(&runner->mutex);
    return NULL;
}

static bool progress_count(void *user, const struct train_progress *progress) {
    struct runner *runner = user;
    (void)progress;
    runner->evaluations++;
    return true;
}

static bool checkpoint_ignore(void *user, int64_t iteration, double loss, const unsigned char *bytes, size_t size) {
    (void)user;
    (void)iteration;
    (void)loss;
    (void)bytes;
    (void)size;
    return true;
}

static void iteration_count(void *user, int64_t iteration) {
    ((struct runner *)user)->iterations = iteration;
}

struct outcome {
    enum result result;
    struct error error;
    struct work work;
    double stop_seconds; /* from the stop word to the end */
    int64_t iterations, evaluations;
};

static struct outcome run(const struct train_config *config, long nanoseconds) {
    struct runner runner = {.nanoseconds = nanoseconds};
    struct outcome outcome = {0};
    struct train_callbacks callbacks = {.user = &runner,
                                        .progress = progress_count,
                                        .checkpoint = checkpoint_ignore,
                                        .iteration = iteration_count,
                                        .work = &outcome.work};
    pthread_t thread;
    pthread_mutex_init(&runner.mutex, NULL);
    pthread_cond_init(&runner.ended, NULL);
    if (nanoseconds > 0) {
        ck_assert_int_eq(pthread_create(&thread, NULL, stop_later, &runner), 0);
    }
    outcome.result = train_run(config, NULL, 0, &runner.control, &callbacks, &outcome.error);
    if (nanoseconds > 0) {
        pthread_mutex_lock(&runner.mutex);
        runner.over = true;
        pthread_cond_signal(&runner.ended);
        outcome.stop_seconds = runner.stopped_at.tv_sec > 0 ? seconds_since(&runner.stopped_at) : 0;
        pthread_mutex_unlock(&runner.mutex);
        pthread_join(thread, NULL);
    }
    outcome.iterations = runner.iterations;
    outcome.evaluations = runner.evaluations;
    return outcome;
}

static void describe(const double *value, char *text, size_t size) {
    size_t used = 0;
    for (int p = 0; p < PARAMETERS && used < size; p++) {
        used += (size_t)snprintf(text + used, size - used, "%g ", value[p]);
    }
}

/* ---- what must hold ---- */

/* The estimate of what has run, including the start. */
static double estimated(const struct train_estimate *estimate, const struct train_config *config, double iterations,
                        double evaluations) {
    double all = (double)((config->training.iterations - 1) / config->training.evaluate_every + 2);
    return estimate->start_multiply_adds + iterations * estimate->multiply_adds +
           evaluations * estimate->evaluation_multiply_adds / all;
}

static bool case_run(const double *value, long nanoseconds, double *slowest) {
    struct train_config config = config_make(value);
    struct train_estimate estimate;
    struct error error;
    char text[256];
    describe(value, text, sizeof text);
    if (!train_estimate_compute(&config, &estimate, &error)) {
        ck_assert_msg(strlen(error.text) > 10, "%s", text);
        return false;
    }
    ck_assert_msg(isfinite(estimate.multiply_adds) && estimate.multiply_adds > 0, "%s", text);
    if (estimate.memory_bytes > MEMORY_MOST) {
        return false;
    }
    struct outcome outcome = run(&config, nanoseconds);
    ck_assert_msg(outcome.result <= RESULT_DIVERGED, "%s: %s", text, outcome.error.text);
    double least = estimated(&estimate, &config, (double)outcome.iterations, (double)outcome.evaluations),
           most = estimated(&estimate, &config, (double)outcome.iterations + 1, (double)outcome.evaluations + 1);
    bool finished = outcome.result == RESULT_DONE;
    ck_assert_msg(outcome.work.done <= 3 * (finished ? least : most), "%s: counted %g, estimated %g", text,
                  outcome.work.done, finished ? least : most);
    ck_assert_msg(!finished || outcome.work.done >= least / 3, "%s: counted %g, estimated %g", text, outcome.work.done,
                  least);
    ck_assert_msg(outcome.work.longest <= LOOK_MOST, "%s: %g operations between two looks", text, outcome.work.longest);
    *slowest = fmax(*slowest, outcome.stop_seconds);
    return true;
}

/* ---- sets of cases ---- */

enum { CASES_MOST = 200, CANDIDATES = 40 };

static bool covered[PARAMETERS][5][PARAMETERS][5];

static int cover_count(const int *level, bool take) {
    int fresh = 0;
    for (int a = 0; a < PARAMETERS; a++) {
        for (int b = a + 1; b < PARAMETERS; b++) {
            fresh += !covered[a][level[a]][b][level[b]];
            covered[a][level[a]][b][level[b]] = covered[a][level[a]][b][level[b]] || take;
        }
    }
    return fresh;
}

/* The next case, the best of some random ones; false once every pair of values has occurred. */
static bool case_next(uint64_t number, int *best) {
    int most = 0, level[PARAMETERS];
    struct random_stream stream = random_stream_make(11, RANDOM_TASK, (int64_t)number, 0);
    for (int c = 0; c < CANDIDATES * 20 && (c < CANDIDATES || most == 0); c++) {
        for (int p = 0; p < PARAMETERS; p++) {
            level[p] = (int)random_below(&stream, (uint64_t)(c * PARAMETERS + p), (uint64_t)space[p].count);
        }
        int fresh = cover_count(level, false);
        if (fresh > most) {
            most = fresh;
            memcpy(best, level, sizeof level);
        }
    }
    return most > 0 && cover_count(best, true) > 0;
}

static void pairs_run(bool great, long nanoseconds) {
    int level[PARAMETERS], cases = 0, ran = 0;
    double value[PARAMETERS], slowest = 0;
    memset(covered, 0, sizeof covered);
    for (; cases < CASES_MOST && case_next((uint64_t)cases, level); cases++) {
        for (int p = 0; p < PARAMETERS; p++) {
            value[p] = great ? space[p].great[level[p]] : space[p].small[level[p]];
        }
        ran += case_run(value, nanoseconds, &slowest);
    }
    printf("%s values in pairs: %d cases, %d ran, slowest stop %.3f s\n", great ? "greatest" : "small", cases, ran,
           slowest);
    ck_assert_int_gt(ran, cases / 4);
}

START_TEST(estimate_is_within_a_factor_of_3_in_every_pair) {
    pairs_run(false, 0);
}
END_TEST

START_TEST(stop_is_seen_at_every_pair_of_greatest_values) {
    pairs_run(true, 60000000);
}
END_TEST

/* Rules with a cost of their own: few and many types and synapses, loss at one step and at all. */
START_TEST(estimate_is_within_a_factor_of_3_with_every_other_rule) {
    double value[PARAMETERS], slowest = 0;
    for (int rule = RULE_RTRL + 1; rule < RULE_TYPES; rule++) {
        for (int variant = 0; variant < 4; variant++) {
            for (int p = 0; p < PARAMETERS; p++) {
                value[p] = space[p].small[0];
            }
            value[P_RULE] = rule;
            value[P_TASK] = variant % 2 ? TASK_PATTERN : TASK_DELAYED_XOR;
            value[P_UNITS] = variant % 2 ? 40 : 90;
            value[P_CONNECTIVITY] = variant < 2 ? 0.1 : 1;
            value[P_TYPES] = variant < 2 ? 1 : 3;
            value[P_BATCH] = 9;
            ck_assert(case_run(value, 0, &slowest));
        }
        value[P_RULE] = rule;
        value[P_STEPS] = 10000000;
        value[P_UNITS] = 200;
        case_run(value, 60000000, &slowest);
    }
}
END_TEST

START_TEST(stop_is_seen_at_each_greatest_value_alone) {
    double value[PARAMETERS], slowest = 0;
    for (int rule = RULE_MDGL; rule <= RULE_MODPROP; rule++) {
        for (int p = 0; p < PARAMETERS; p++) {
            for (int other = 0; other < PARAMETERS; other++) {
                value[other] = space[other].small[0];
            }
            value[P_TASK] = p == P_INPUTS || p == P_OUTPUTS ? TASK_PATTERN : TASK_DELAYED_XOR;
            value[P_RULE] = rule;
            value[p] = p == P_RULE ? rule : space[p].great[space[p].count - 1];
            case_run(value, 60000000, &slowest);
        }
    }
    printf("greatest values alone: slowest stop %.3f s\n", slowest);
}
END_TEST

START_TEST(stop_is_seen_in_the_eigenvalues_of_1000_types) {
    /* the case of the report: cancel took 57 s, 1.8e8 multiply-adds were estimated */
    double value[PARAMETERS], slowest = 0;
    for (int p = 0; p < PARAMETERS; p++) {
        value[p] = space[p].small[0];
    }
    value[P_STEPS] = 6;
    value[P_UNITS] = value[P_TYPES] = 1000;
    value[P_DALE] = 0;
    value[P_RULE] = RULE_MODPROP;
    value[P_WEIGHTS] = 1;
    struct train_config config = config_make(value);
    struct train_estimate estimate;
    struct error error;
    ck_assert(train_estimate_compute(&config, &estimate, &error));
    ck_assert_double_gt(estimate.multiply_adds, 5e10);
    ck_assert(case_run(value, 500000000, &slowest));
    printf("1000 types: slowest stop %.3f s\n", slowest);
}
END_TEST

START_TEST(eigenvalues_cost_what_they_are_said_to) {
    static double a[200 * 200], vectors[200 * 200], re[200], im[200];
    void *scratch = malloc(eigen_decompose_scratch_size(200));
    for (int n = 10; n <= 200; n *= 2) {
        for (int radius_only = 0; radius_only < 2; radius_only++) {
            struct random_stream stream = random_stream_make(3, RANDOM_TASK, n, 0);
            struct work work = {0};
            double radius;
            for (int i = 0; i < n * n; i++) {
                a[i] = random_normal(&stream, (uint64_t)i);
            }
            int result = radius_only ? eigen_radius(n, a, scratch, &work, &radius)
                                     : eigen_decompose(n, a, scratch, &work, re, im, vectors);
            double said = radius_only ? eigen_radius_cost(n) : eigen_decompose_cost(n);
            ck_assert_int_eq(result, 0);
            printf("eigen%s of order %d: %.2f n^3\n", radius_only ? " radius" : "", n, work.done / ((double)n * n * n));
            ck_assert_double_lt(work.done, 2 * said);
            ck_assert_double_gt(work.done, said / 2);
        }
    }
    free(scratch);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("work");
    TCase *cases = tcase_create("work");
    tcase_add_test(cases, eigenvalues_cost_what_they_are_said_to);
    tcase_add_test(cases, estimate_is_within_a_factor_of_3_in_every_pair);
    tcase_add_test(cases, estimate_is_within_a_factor_of_3_with_every_other_rule);
    tcase_add_test(cases, stop_is_seen_at_each_greatest_value_alone);
    tcase_add_test(cases, stop_is_seen_at_every_pair_of_greatest_values);
    tcase_add_test(cases, stop_is_seen_in_the_eigenvalues_of_1000_types);
    tcase_set_timeout(cases, 0);
    suite_add_tcase(suite, cases);
    return suite_run(suite);
}
