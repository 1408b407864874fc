/*
 * The backend opencl on the first device that computes as the processor does (PoCL, where there is no other): every
 * golden case that it covers, to the golden tolerance and to the processor's bits, each with some of its rules, since a
 * program is built for each; and what an update copies between host and device. Skipped, with the reason, where there
 * is no device.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/backend/opencl/cohort.h"
#include "core/rules/rules.h"
#include "tests/unit/problems.h"

#define TOLERANCE 1e-5
enum { COVERED_LEAST = 20, RULES_SHARE = 4 }; /* a case takes every fourth rule, each case others */

static int device = -1;
static int covered, refused;

static struct gradients_way way_of(bool on_device) {
    return (struct gradients_way){.backend = on_device ? &backend_opencl : NULL, .device = device, .threads = 1};
}

/* The device's gradient is the processor's, bit for bit. False where the device does not cover the rule. */
static bool bits_are_equal(const struct gradients_problem *problem, const struct rule_config *rule, const char *name,
                           struct owned_gradients *found) {
    struct owned_gradients expected;
    struct error error;
    double loss = 0, here = 1;
    const struct gradients_way way = way_of(true), processor = way_of(false);
    gradients_allocate(found, problem);
    enum result result = gradients_compute_by(problem, rule, &way, NULL, NULL, &found->view, &loss, &error);
    if (result == RESULT_INVALID) {
        ck_assert_msg(strstr(error.text, "covered") != NULL, "%s of %s: %s", rule_table[rule->type]->name, name,
                      error.text);
        gradients_free(found);
        refused++;
        return false;
    }
    ck_assert_msg(result == RESULT_DONE, "%s of %s: %s", rule_table[rule->type]->name, name, error.text);
    gradients_allocate(&expected, problem);
    ck_assert_int_eq(gradients_compute_by(problem, rule, &processor, NULL, NULL, &expected.view, &here, &error),
                     RESULT_DONE);
    ck_assert_msg(memcmp(expected.data, found->data, found->size * sizeof(float)) == 0 && loss == here,
                  "%s of %s: the device has other bits", rule_table[rule->type]->name, name);
    gradients_free(&expected);
    covered++;
    return true;
}

static void case_check(const json_t *item, size_t number, const char *name) {
    static const char *const names[] = {"W", "Win", "b", "Wout", "bout"};
    struct owned_problem owned;
    size_t index;
    const json_t *entry;
    problem_from_json(&owned, item);
    json_array_foreach(json_object_get(item, "rules"), index, entry) {
        struct rule_config rule = rule_from_json(json_object_get(entry, "rule"));
        struct owned_gradients found, golden;
        if ((index + number) % RULES_SHARE != 0 || !bits_are_equal(&owned.problem, &rule, name, &found)) {
            continue;
        }
        gradients_allocate(&golden, &owned.problem);
        float *const fields[] = {golden.view.W, golden.view.Win, golden.view.b, golden.view.Wout, golden.view.bout};
        for (int f = 0; f < 5; f++) {
            golden_field(json_object_get(entry, "gradients"), names[f], fields[f]);
        }
        double distance = gradients_distance(&found, &golden);
        ck_assert_msg(distance <= TOLERANCE, "%s of %s: off by %g", rule_table[rule.type]->name, name, distance);
        gradients_free(&golden);
        gradients_free(&found);
    }
    problem_release(&owned);
}

START_TEST(golden_cases) {
    static const char *const files[] = {MODPROP_GOLDEN, MODPROP_GOLDEN_MORE};
    covered = refused = 0;
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        json_t *cases = golden_load(files[f]), *item;
        size_t index;
        json_array_foreach(cases, index, item) {
            char name[64];
            snprintf(name, sizeof name, "case %zu of %s", index, f == 0 ? "gradients" : "more");
            case_check(item, index, name);
        }
        json_decref(cases);
    }
    printf("%d golden gradients on the device, %d not covered\n", covered, refused);
    ck_assert_int_ge(covered, COVERED_LEAST);
}
END_TEST

/* ---- whole updates ---- */

enum { TRIALS = 12 };

struct host {
    struct train_config config;
    struct task task;
    struct network network;
    struct optimizer optimizer;
    struct batch_options options;
    struct backend *backend;
};

static void host_make(struct host *host) {
    char text[256];
    struct error error = {0};
    enum result result;
    *host = (struct host){
        .config = {.seed = 7,
                   .task = TASK_CONFIG(TASK_DELAYED_XOR, {"delay", 20}, {"cue", 8}, {"amplitude", 2}, {"noise", 0.01}),
                   .network = {.units = 20,
                               .tau = 20,
                               .dale = true,
                               .excitatory_fraction = 0.8,
                               .types_per_sign = 2,
                               .connectivity = 1,
                               .rewiring = REWIRING_DEEP_R},
                   .rule = {.type = RULE_BPTT},
                   .optimizer = {.learning_rate = 2e-3, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .l1 = 0.01},
                   .training = {.batch_size = TRIALS}}};
    ck_assert_int_eq(task_init(&host->task, &host->config.task, host->config.seed, NULL, text), RESULT_DONE);
    const struct task_shape *shape = &host->task.shape;
    ck_assert_int_eq(network_init(&host->network, &host->config.network, shape->inputs, shape->outputs,
                                  host->config.seed, NULL, text),
                     RESULT_DONE);
    ck_assert(optimizer_init(&host->optimizer, &host->network, &host->config));
    host->options = (struct batch_options){.steps = shape->steps,
                                           .trials = TRIALS,
                                           .loss = shape->loss,
                                           .mask_from = shape->mask_from,
                                           .mask_uniform = shape->mask_uniform,
                                           .device = device,
                                           .rule = &host->config.rule};
    const struct backend_problem problem = {
        .network = &host->network, .options = &host->options, .task = &host->task, .optimizer = &host->optimizer};
    host->backend = backend_opencl.create(&problem, &result, &error);
    ck_assert_msg(host->backend != NULL, "%s", error.text);
    backend_opencl.load(host->backend, NULL, 0, NULL);
}

static void host_release(struct host *host) {
    backend_destroy(host->backend);
    optimizer_release(&host->optimizer);
    network_release(&host->network);
    task_release(&host->task);
}

/* Copies that `updates` updates take. */
static int64_t copies_of(struct host *host, int64_t updates) {
    struct backend_course course = {.training_loss = 0, .mu_mean = MU_PUBLISHED};
    struct phases phases = {0};
    struct cohort *cohort = opencl_cohort(host->backend);
    int64_t before = cohort->transfers;
    ck_assert_int_eq(backend_opencl.iterate(host->backend, updates, &course, NULL, &phases), RESULT_DONE);
    ck_assert_int_eq(course.iteration, updates);
    return cohort->transfers - before;
}

START_TEST(updates_copy_nothing_between_them) {
    struct host host;
    host_make(&host);
    int64_t one = copies_of(&host, 1);
    ck_assert_int_le(one, 2); /* the course, to the device and back */
    ck_assert_int_eq(copies_of(&host, 9), one);
    host_release(&host);
}
END_TEST

START_TEST(a_failure_ends_every_call_with_a_sentence) {
    struct host host;
    struct backend_course course = {.mu_mean = MU_PUBLISHED};
    struct phases phases = {0};
    host_make(&host);
    cohort_check(opencl_cohort(host.backend), -36, "a test");
    ck_assert_int_eq(backend_opencl.iterate(host.backend, 1, &course, NULL, &phases), RESULT_DEVICE_LOST);
    ck_assert_msg(strstr(host.backend->lost, "a test") != NULL, "%s", host.backend->lost);
    ck_assert(course.iteration == 0);
    host_release(&host);
}
END_TEST

START_TEST(what_is_not_covered_is_refused_with_a_sentence) {
    struct host host;
    struct error error = {0};
    struct backend_plan plan;
    host_make(&host);
    const struct backend_sizes sizes = {.units = 20, .inputs = 2, .outputs = 2, .types = 4, .equal_leaks = true};
    ck_assert_msg(backend_opencl.plan(&sizes, &host.options, &plan, &error), "%s", error.text);
    ck_assert(plan.memory_bytes > 0 && plan.method != NULL);
    host.options.update_every = 1;
    ck_assert(!backend_opencl.plan(&sizes, &host.options, &plan, &error));
    ck_assert(strstr(error.text, "update_every") != NULL);
    host.options.update_every = 0;
    host.config.rule.type = RULE_SNAP;
    ck_assert(!backend_opencl.plan(&sizes, &host.options, &plan, &error));
    ck_assert_msg(strstr(error.text, "snap") != NULL, "%s", error.text);
    host.config.rule.type = RULE_BPTT;
    host.options.device = CL_DEVICES_MOST;
    ck_assert(!backend_opencl.plan(&sizes, &host.options, &plan, &error));
    ck_assert_msg(strstr(error.text, "device must be") != NULL, "%s", error.text);
    host_release(&host);
}
END_TEST

int main(void) {
    const struct cl_device *devices;
    char error[256] = "no device computes as the processor does";
    for (int i = cl_devices(&devices, error) - 1; i >= 0; i--) {
        device = devices[i].suitable ? i : device;
    }
    if (device < 0) {
        printf("SKIPPED: %s\n", error);
        return 77;
    }
    Suite *suite = suite_create("device");
    TCase *tests = tcase_create("device");
    tcase_set_timeout(tests, 0);
    tcase_add_test(tests, golden_cases);
    tcase_add_test(tests, updates_copy_nothing_between_them);
    tcase_add_test(tests, a_failure_ends_every_call_with_a_sentence);
    tcase_add_test(tests, what_is_not_covered_is_refused_with_a_sentence);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK); /* a driver's threads do not live on in a child */
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
