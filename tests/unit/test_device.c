/*
 * The backend opencl on the first device that computes as the processor does (PoCL, where there is no other): every
 * golden case that it covers, to the golden tolerance and to the processor's bits, each with some of its rules, since a
 * program is built for each; and what an update copies between host and device. Skipped, with the reason, where there
 * is no device.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/backend/opencl/seats.h"
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

static struct train_config host_config(void) {
    return (struct train_config){
        .seed = 7,
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
        .training = {.batch_size = TRIALS}};
}

/* All but the backend; host->config is there. */
static void host_fill(struct host *host) {
    char text[256];
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
}

static void host_open(struct host *host, const struct backend_ops *ops, struct team *team, const double *averages) {
    struct error error = {0};
    enum result result;
    const struct backend_problem problem = {.network = &host->network,
                                            .options = &host->options,
                                            .team = team,
                                            .task = &host->task,
                                            .optimizer = &host->optimizer};
    host->backend = ops->create(&problem, &result, &error);
    ck_assert_msg(host->backend != NULL, "%s", error.text);
    ops->load(host->backend, NULL, host->config.rule.mu, averages);
}

static void host_make(struct host *host) {
    *host = (struct host){.config = host_config()};
    host_fill(host);
    host_open(host, &backend_opencl, NULL, NULL);
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

/* ---- several jobs at once ---- */

/*
 * Five jobs that differ in all that may differ: seed, task, rates, mu, and whether type averages are given. Four sit
 * down; the first holds the device until the others wait, so that these are known to make one round; one leaves after
 * its first update; the last sits down while the others train, which lets the cohort grow.
 */
enum { JOBS = 5, FIRST = 4, LEAVES = 1, LATE = 4, UPDATES = 5, TYPES = 4 };

struct together {
    int number;
    struct host host;
    struct backend_course course;
    const struct cohort *cohort;
    pthread_t thread;
};

static pthread_barrier_t meeting; /* of the first */
static pthread_barrier_t door;    /* of the first job and the late one */
static atomic_bool held;
static struct seats_load before;

static const double given_averages[TYPES * TYPES] = {0.01, 0.02,  -0.01, 0.03,  0.02,  0.01,  -0.02, -0.01,
                                                     0.03, -0.01, 0.02,  -0.03, -0.02, -0.03, 0.01,  0.02};

static const double *averages_of(int number) {
    return number == 2 ? given_averages : NULL;
}

static void together_fill(struct together *job, int number) {
    *job = (struct together){.number = number, .host = {.config = host_config()}, .course = {.mu_mean = MU_PUBLISHED}};
    struct train_config *config = &job->host.config;
    config->task = (struct task_config)TASK_CONFIG(TASK_DELAYED_XOR, {"delay", 20}, {"cue", 8},
                                                   {"amplitude", 2 + number}, {"noise", 0.01 * number});
    config->network.units = 13; /* odd: every array of a job begins at its own place */
    config->seed = 100 + (uint64_t)number;
    config->rule = (struct rule_config){.type = RULE_MODPROP, .mu = 0.2 + 0.1 * number, .weights = CREDIT_TYPE};
    config->optimizer.learning_rate *= 1 + number;
    config->optimizer.l2 = 1e-3 * number;
    host_fill(&job->host);
}

static int64_t updates_of(const struct together *job) {
    return job->number == LEAVES ? 1 : UPDATES;
}

static void updates_make(struct together *job, int64_t most, struct work *work) {
    struct phases phases = {0};
    const struct backend_ops *ops = job->host.backend->ops;
    for (int64_t last = job->course.iteration + most; job->course.iteration < last;) {
        ck_assert_int_eq(ops->iterate(job->host.backend, last - job->course.iteration, &job->course, work, &phases),
                         RESULT_DONE);
    }
}

/* The stop word of the first job, looked at within its round. */
static bool hold(void *user) {
    (void)user;
    atomic_store(&held, true);
    while (seats_load(device).waiting < FIRST - 1) {
        sched_yield();
    }
    return false;
}

/* One update: of the first job, and then of the others together. */
static void first_updates(struct together *job) {
    struct work work = {.stop = hold};
    while (job->number > 0 && !atomic_load(&held)) {
        sched_yield();
    }
    updates_make(job, 1, job->number > 0 ? NULL : &work);
    pthread_barrier_wait(&meeting);
    if (job->number == 0) {
        struct seats_load after = seats_load(device);
        ck_assert_int_eq(after.rounds - before.rounds, 2);
        ck_assert_int_eq(after.updates - before.updates, FIRST);
        ck_assert(after.jobs == FIRST && after.cohorts == 1 && after.memory_bytes > 0);
    }
    pthread_barrier_wait(&meeting); /* nobody goes on before it was looked at */
    if (job->number == 0) {
        pthread_barrier_wait(&door); /* the late one may come */
        pthread_barrier_wait(&door); /* it has */
    }
}

static void *together_train(void *user) {
    struct together *job = user;
    if (job->number == LATE) {
        pthread_barrier_wait(&door);
    }
    host_open(&job->host, &backend_opencl, NULL, averages_of(job->number));
    job->cohort = opencl_cohort(job->host.backend);
    if (job->number == LATE) {
        pthread_barrier_wait(&door);
    } else {
        if (pthread_barrier_wait(&meeting) == PTHREAD_BARRIER_SERIAL_THREAD) {
            before = seats_load(device);
        }
        pthread_barrier_wait(&meeting);
        first_updates(job);
    }
    updates_make(job, updates_of(job) - job->course.iteration, NULL);
    job->host.backend->ops->read(job->host.backend);
    backend_destroy(job->host.backend);
    return NULL;
}

/* Its weights and its optimiser's state are those that it has alone on the processor. */
static void together_check(struct together *found) {
    struct together job;
    struct team *team = team_create();
    together_fill(&job, found->number);
    host_open(&job.host, &backend_cpu, team, averages_of(found->number));
    updates_make(&job, updates_of(&job), NULL);
    const struct host *here = &job.host, *there = &found->host;
    ck_assert(job.course.iteration == found->course.iteration);
    ck_assert(memcmp(&job.course.training_loss, &found->course.training_loss, sizeof(double)) == 0);
    ck_assert_msg(memcmp(here->network.weights, there->network.weights, here->network.parameters * sizeof(float)) == 0,
                  "job %d has other weights", found->number);
    ck_assert_msg(memcmp(here->optimizer.first, there->optimizer.first, here->optimizer.state_floats * sizeof(float)) ==
                      0,
                  "job %d has another state", found->number);
    host_release(&job.host);
    team_destroy(team);
}

START_TEST(jobs_of_a_cohort_have_the_bits_that_they_have_alone) {
    static struct together jobs[JOBS];
    pthread_barrier_init(&meeting, NULL, FIRST);
    pthread_barrier_init(&door, NULL, 2);
    for (int i = 0; i < JOBS; i++) {
        together_fill(&jobs[i], i);
        ck_assert_int_eq(pthread_create(&jobs[i].thread, NULL, together_train, &jobs[i]), 0);
    }
    for (int i = 0; i < JOBS; i++) {
        pthread_join(jobs[i].thread, NULL);
        ck_assert_msg(jobs[i].cohort == jobs[0].cohort, "job %d was in another cohort", i);
    }
    ck_assert(seats_load(device).jobs == 0 && seats_load(device).memory_bytes == 0);
    for (int i = 0; i < JOBS; i++) {
        together_check(&jobs[i]);
        jobs[i].host.backend = NULL;
        host_release(&jobs[i].host);
    }
    pthread_barrier_destroy(&meeting);
    pthread_barrier_destroy(&door);
}
END_TEST

/* NULL, with a sentence that has `word`: the device does not take the job now. */
static void is_refused(struct host *host, enum result why, const char *word) {
    struct error error = {0};
    enum result result;
    const struct backend_problem problem = {
        .network = &host->network, .options = &host->options, .task = &host->task, .optimizer = &host->optimizer};
    host->backend = backend_opencl.create(&problem, &result, &error);
    ck_assert(host->backend == NULL);
    ck_assert_int_eq(result, why);
    ck_assert_msg(strstr(error.text, word) != NULL, "%s", error.text);
}

START_TEST(a_full_device_takes_no_other_job) {
    struct host hosts[3], more = {.config = host_config()}, other = {.config = host_config()};
    const struct cl_device *devices;
    char error[256];
    cl_devices(&devices, error);
    uint64_t *memory = (uint64_t *)(uintptr_t)&devices[device].memory, all = *memory;
    host_make(&hosts[0]);
    uint64_t each = opencl_cohort(hosts[0].backend)->memory_bytes;
    *memory = 3 * each + each / 2; /* three jobs, though cohorts grow to twice their size */
    host_make(&hosts[1]);
    host_make(&hosts[2]);
    ck_assert(opencl_cohort(hosts[2].backend)->memory_bytes == 3 * each);
    host_fill(&more);
    is_refused(&more, RESULT_INVALID, "no memory for another of these jobs beside 3");
    other.config.network.units = 21;
    host_fill(&other);
    is_refused(&other, RESULT_INVALID, "beside those that run there");
    host_release(&hosts[1]);
    host_make(&hosts[1]); /* a place is free again */
    *memory = all;
    for (int i = 0; i < 3; i++) {
        host_release(&hosts[i]);
    }
    host_release(&more);
    host_release(&other);
}
END_TEST

static cl_mem no_buffer(cl_context context, cl_bitfield flags, size_t size, void *host, cl_int *failed) {
    (void)context;
    (void)flags;
    (void)size;
    (void)host;
    *failed = CL_MEM_OBJECT_ALLOCATION_FAILURE;
    return NULL;
}

/* A job runs. Another of its shape is refused by a driver `beside`, and one of another shape by `alone`; it goes on. */
static void memory_is_refused(const struct cl_functions *beside, const struct cl_functions *alone) {
    struct host host, more = {.config = host_config()}, other = {.config = host_config()};
    struct backend_course course = {.mu_mean = MU_PUBLISHED};
    struct phases phases = {0};
    char error[256];
    struct cl_functions *functions = (struct cl_functions *)(uintptr_t)cl_load(error);
    const struct cl_functions real = *functions;
    host_make(&host);
    *functions = *beside;
    host_fill(&more);
    is_refused(&more, RESULT_INVALID, "no memory for another of these jobs beside 1");
    *functions = *alone;
    other.config.network.units = 21;
    host_fill(&other);
    is_refused(&other, RESULT_INVALID, "no memory for the job now");
    *functions = real;
    ck_assert_int_eq(backend_opencl.iterate(host.backend, 2, &course, NULL, &phases), RESULT_DONE);
    host_release(&host);
    host_release(&more);
    host_release(&other);
}

START_TEST(what_the_driver_has_no_memory_for_is_refused_and_the_others_go_on) {
    char error[256];
    struct cl_functions without = *cl_load(error);
    without.CreateBuffer = no_buffer;
    memory_is_refused(&without, &without);
}
END_TEST

/* A driver that finds no memory for a buffer until it is first used. */
static cl_int no_fill(cl_command_queue queue, cl_mem buffer, const void *pattern, size_t bytes, size_t from,
                      size_t size, cl_uint waits, const cl_event *events, cl_event *event) {
    (void)queue, (void)buffer, (void)pattern, (void)bytes, (void)from, (void)size, (void)waits, (void)events;
    (void)event;
    return CL_MEM_OBJECT_ALLOCATION_FAILURE;
}

static cl_int no_copy(cl_command_queue queue, cl_mem from, cl_mem to, size_t at, size_t there, size_t size,
                      cl_uint waits, const cl_event *events, cl_event *event) {
    (void)queue, (void)from, (void)to, (void)at, (void)there, (void)size, (void)waits, (void)events, (void)event;
    return CL_OUT_OF_RESOURCES;
}

START_TEST(memory_that_lacks_at_its_first_use_ends_no_other_job) {
    char error[256];
    struct cl_functions beside = *cl_load(error), alone = beside;
    beside.EnqueueCopyBuffer = no_copy;
    alone.EnqueueFillBuffer = no_fill;
    memory_is_refused(&beside, &alone);
}
END_TEST

/* A cohort of two could not grow to four; when it grows to three, it has room for four on this side already. */
START_TEST(a_cohort_that_could_not_grow_may_grow_by_less) {
    struct host hosts[3], more = {.config = host_config()};
    const struct cl_device *devices;
    char error[256];
    struct cl_functions *functions = (struct cl_functions *)(uintptr_t)cl_load(error);
    const struct cl_functions real = *functions;
    cl_devices(&devices, error);
    uint64_t *memory = (uint64_t *)(uintptr_t)&devices[device].memory, all = *memory;
    host_make(&hosts[0]);
    uint64_t each = opencl_cohort(hosts[0].backend)->memory_bytes;
    host_make(&hosts[1]);
    functions->CreateBuffer = no_buffer;
    host_fill(&more);
    is_refused(&more, RESULT_INVALID, "no memory for another of these jobs beside 2");
    functions->CreateBuffer = real.CreateBuffer;
    *memory = 3 * each + each / 2;
    host_make(&hosts[2]);
    *memory = all;
    ck_assert(seats_load(device).jobs == 3 && seats_load(device).memory_bytes == 3 * each);
    for (int i = 0; i < 3; i++) {
        host_release(&hosts[i]);
    }
    host_release(&more);
}
END_TEST

START_TEST(a_device_that_computes_wrongly_ends_all_its_jobs) { /* the last: it takes no other job */
    struct host a, b, late = {.config = host_config()};
    struct backend_course course = {.mu_mean = MU_PUBLISHED};
    struct phases phases = {0};
    host_make(&a);
    host_make(&b);
    opencl_condemn(a.backend, "a test");
    ck_assert_int_eq(backend_opencl.iterate(b.backend, 1, &course, NULL, &phases), RESULT_DEVICE_LOST);
    ck_assert_str_eq(b.backend->lost, "a test");
    host_release(&a);
    host_release(&b);
    host_fill(&late);
    is_refused(&late, RESULT_DEVICE_LOST, "a test");
    host_release(&late);
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
    TCase *several = tcase_create("several");
    tcase_set_timeout(several, 0);
    tcase_add_test(several, jobs_of_a_cohort_have_the_bits_that_they_have_alone);
    tcase_add_test(several, a_full_device_takes_no_other_job);
    tcase_add_test(several, what_the_driver_has_no_memory_for_is_refused_and_the_others_go_on);
    tcase_add_test(several, memory_that_lacks_at_its_first_use_ends_no_other_job);
    tcase_add_test(several, a_cohort_that_could_not_grow_may_grow_by_less);
    tcase_add_test(several, a_device_that_computes_wrongly_ends_all_its_jobs);
    suite_add_tcase(suite, several);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK); /* a driver's threads do not live on in a child */
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
