/*
 * The backend seam: every backend of the table gives the bits of the engine and the optimiser run by hand, trial by
 * trial, and keeps nothing of an update that failed.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/backend/backend.h"
#include "core/backend/opencl/cl.h"
#include "core/engine/engine.h"
#include "tests/unit/suite.h"

enum { UNITS = 20, TRIALS = 12, UPDATES = 6 };

/* Everything that a backend is given, and what it leaves. */
struct host {
    struct train_config config;
    struct task task;
    struct network network;
    struct optimizer optimizer;
    struct batch_options options;
    struct team *team;
};

static struct train_config config_make(const struct rule_config *rule) {
    return (struct train_config){
        .seed = 7,
        .task = TASK_CONFIG(TASK_DELAYED_XOR, {"delay", 20}, {"cue", 8}, {"amplitude", 2}, {"noise", 0.01}),
        .network = {.units = UNITS,
                    .tau = 20,
                    .dale = true,
                    .excitatory_fraction = 0.8,
                    .types_per_sign = 2,
                    .connectivity = 1,
                    .rewiring = REWIRING_DEEP_R},
        .rule = *rule,
        .optimizer = {.learning_rate = 2e-3, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .l2 = 5e-4, .l1 = 0.01},
        .training = {.batch_size = TRIALS}};
}

static void host_make(struct host *host, const struct rule_config *rule) {
    char error[256];
    memset(host, 0, sizeof *host);
    host->config = config_make(rule);
    ck_assert_int_eq(task_init(&host->task, &host->config.task, host->config.seed, NULL, error), RESULT_DONE);
    const struct task_shape *shape = &host->task.shape;
    ck_assert_int_eq(network_init(&host->network, &host->config.network, shape->inputs, shape->outputs,
                                  host->config.seed, NULL, error),
                     RESULT_DONE);
    ck_assert(optimizer_init(&host->optimizer, &host->network, &host->config));
    host->team = team_create();
    ck_assert_ptr_nonnull(host->team);
    host->options = (struct batch_options){.steps = shape->steps,
                                           .trials = TRIALS,
                                           .loss = shape->loss,
                                           .mask_from = shape->mask_from,
                                           .mask_uniform = shape->mask_uniform,
                                           .rule = &host->config.rule,
                                           .count_psi = host->config.rule.mu_auto};
}

static void host_release(struct host *host) {
    team_destroy(host->team);
    optimizer_release(&host->optimizer);
    network_release(&host->network);
    task_release(&host->task);
}

static struct backend *backend_make(const struct backend_ops *ops, struct host *host) {
    struct error error = {0};
    enum result result;
    const struct backend_problem problem = {.network = &host->network,
                                            .options = &host->options,
                                            .team = host->team,
                                            .task = &host->task,
                                            .optimizer = &host->optimizer};
    struct backend *backend = ops->create(&problem, &result, &error);
    ck_assert_msg(backend != NULL, "%s: %s", ops->name, error.text);
    ck_assert_ptr_eq(backend->ops, ops);
    return backend;
}

/* ---- by hand ---- */

struct drawn {
    const struct task *task;
    struct trial trials[TRIALS];
};

static void drawn_inputs(const void *user, size_t trial, int from, int to, float *x, size_t stride) {
    const struct drawn *drawn = user;
    drawn->task->ops->inputs(drawn->task, &drawn->trials[trial], from, to, x, stride);
}

static float drawn_target(const void *user, size_t trial, int t, int *class_index, float *values) {
    const struct drawn *drawn = user;
    return drawn->task->ops->target(drawn->task, &drawn->trials[trial], t, class_index, values);
}

static struct batch_source draw(struct drawn *drawn, const struct task *task, enum trial_phase phase,
                                int64_t iteration) {
    drawn->task = task;
    for (size_t i = 0; i < TRIALS; i++) {
        task->ops->trial(task, (struct trial_id){phase, iteration, i}, &drawn->trials[i]);
    }
    return (struct batch_source){.user = drawn, .inputs = drawn_inputs, .target = drawn_target};
}

static double mu_of(const struct host *host, double mean) {
    return host->config.rule.mu_auto ? mean : host->config.rule.mu;
}

/* UPDATES updates; returns the mean of psi as it is then. */
static double train_by_hand(struct host *host) {
    struct error error;
    enum result result;
    struct engine *engine = engine_create(&host->network, &host->options, &result, &error);
    float *gradient = malloc(host->network.parameters * sizeof *gradient);
    double mean = MU_PUBLISHED;
    ck_assert(engine && gradient);
    for (int64_t n = 0; n < UPDATES; n++) {
        struct drawn drawn;
        struct batch_result run = {0};
        engine_weights_load(engine, host->optimizer.feedback, mu_of(host, mean), NULL);
        struct batch_source source = draw(&drawn, &host->task, TRIAL_TRAINING, n);
        ck_assert_int_eq(engine_batch_run(engine, host->team, &source, TRIALS, gradient, NULL, &run), RESULT_DONE);
        optimizer_update(&host->optimizer, &host->network, gradient, n);
        mean += (1 - exp(-1.0 / 20)) * (run.psi_mean - mean);
    }
    free(gradient);
    engine_destroy(engine);
    return mean;
}

/* ---- the tests ---- */

/* The backend of a test; NULL, with a line that says why, where this host has no device for it. */
static const struct backend_ops *ops_of(int number) {
    const struct cl_device *devices;
    char error[256] = "no device computes as the processor does";
    int count = number == BACKEND_OPENCL ? cl_devices(&devices, error) : 0;
    for (int i = 0; i < count; i++) {
        if (devices[i].suitable) {
            return backend_table[number];
        }
    }
    if (number != BACKEND_OPENCL) {
        return backend_table[number];
    }
    printf("SKIPPED for opencl: %s\n", error);
    return NULL;
}

static const struct rule_config rules[] = {
    {.type = RULE_BPTT},
    {.type = RULE_EPROP, .feedback = FEEDBACK_ADAPTIVE, .feedback_decay = 1e-3},
    {.type = RULE_MODPROP, .mu = 0.25, .weights = CREDIT_TYPE},
    {.type = RULE_MODPROP, .mu_auto = true},
};
#define RULE_COUNT (int)(sizeof rules / sizeof *rules)

static void weights_compare(const struct host *a, const struct host *b, const char *name) {
    ck_assert_msg(memcmp(a->network.weights, b->network.weights, a->network.parameters * sizeof(float)) == 0,
                  "%s: other weights", name);
    ck_assert_msg(memcmp(a->optimizer.first, b->optimizer.first, a->optimizer.state_floats * sizeof(float)) == 0,
                  "%s: another state of the optimiser", name);
}

START_TEST(updates_are_those_made_by_hand) {
    const struct backend_ops *ops = ops_of(_i / RULE_COUNT);
    struct host expected, host;
    if (!ops) {
        return;
    }
    host_make(&expected, &rules[_i % RULE_COUNT]);
    host_make(&host, &rules[_i % RULE_COUNT]);
    double mean = train_by_hand(&expected);
    struct backend *backend = backend_make(ops, &host);
    struct backend_course course = {.mu_mean = MU_PUBLISHED};
    struct phases phases = {0};
    ops->load(backend, host.optimizer.feedback, mu_of(&host, course.mu_mean), NULL);
    while (course.iteration < UPDATES) {
        int64_t before = course.iteration;
        ck_assert_int_eq(ops->iterate(backend, UPDATES - before, &course, NULL, &phases), RESULT_DONE);
        ck_assert_int_gt(course.iteration, before);
        ck_assert_int_le(course.iteration, UPDATES);
    }
    ops->read(backend);
    weights_compare(&host, &expected, ops->name);
    ck_assert(isfinite(course.training_loss));
    ck_assert_double_eq_tol(course.mu_mean, host.config.rule.mu_auto ? mean : MU_PUBLISHED, 1e-12);
    backend_destroy(backend);
    host_release(&host);
    host_release(&expected);
}
END_TEST

/* Trials named by id and the same trials given as a source: one loss, one gradient. */
START_TEST(trials_are_the_same_named_or_given) {
    const struct backend_ops *ops = ops_of(_i);
    struct host host;
    if (!ops) {
        return;
    }
    host_make(&host, &rules[0]);
    struct backend *backend = backend_make(ops, &host);
    struct trial_id ids[TRIALS];
    struct drawn drawn;
    struct batch_source source = draw(&drawn, &host.task, TRIAL_EVALUATION, 3);
    struct batch_result named = {0}, given = {0};
    size_t bytes = host.network.parameters * sizeof(float);
    float *a = malloc(bytes), *b = malloc(bytes);
    ck_assert(a && b);
    for (size_t i = 0; i < TRIALS; i++) {
        ids[i] = (struct trial_id){TRIAL_EVALUATION, 3, i};
    }
    ops->load(backend, NULL, 0, NULL);
    ck_assert_int_eq(ops->trials(backend, ids, TRIALS, a, NULL, &named), RESULT_DONE);
    ck_assert_int_eq(ops->run(backend, &source, TRIALS, b, NULL, &given), RESULT_DONE);
    ck_assert(named.loss == given.loss && named.weight == given.weight && memcmp(a, b, bytes) == 0);
    ck_assert_int_eq(ops->trials(backend, ids, TRIALS + 1, NULL, NULL, &named), RESULT_INVALID);
    free(a);
    free(b);
    backend_destroy(backend);
    host_release(&host);
}
END_TEST

static bool always(void *user) {
    (void)user;
    return true;
}

START_TEST(a_failed_update_leaves_nothing) {
    const struct backend_ops *ops = ops_of(_i);
    struct host untouched, host;
    if (!ops) {
        return;
    }
    struct phases phases = {0};
    host_make(&untouched, &rules[0]);
    host_make(&host, &rules[0]);
    struct backend *backend = backend_make(ops, &host);
    struct backend_course course = {.iteration = 2, .training_loss = 5, .mu_mean = MU_PUBLISHED};
    ops->load(backend, NULL, 0, NULL);
    struct work stopped = {.stop = always};
    work_look(&stopped);
    ck_assert_int_eq(ops->iterate(backend, 1, &course, &stopped, &phases), RESULT_STOPPED);
    ck_assert(course.iteration == 2 && course.training_loss == 5 && course.mu_mean == MU_PUBLISHED);
    ops->read(backend);
    weights_compare(&host, &untouched, ops->name);

    host.network.weights[host.network.offset_bout] = untouched.network.weights[host.network.offset_bout] = NAN;
    ops->load(backend, NULL, 0, NULL);
    ck_assert_int_eq(ops->iterate(backend, 1, &course, NULL, &phases), RESULT_DIVERGED);
    ck_assert(course.iteration == 2 && course.training_loss == 5);
    ops->read(backend);
    weights_compare(&host, &untouched, ops->name);
    backend_destroy(backend);
    host_release(&host);
    host_release(&untouched);
}
END_TEST

START_TEST(a_plan_is_what_create_will_do) {
    const struct backend_ops *ops = ops_of(_i);
    struct host host;
    if (!ops) {
        return;
    }
    struct error error = {0};
    struct backend_plan plan;
    host_make(&host, &rules[0]);
    const struct network *network = &host.network;
    struct backend_sizes sizes = {network->units, network->inputs, network->outputs,
                                  network->types, network->bias,   network->equal_leaks};
    ck_assert(ops->plan(&sizes, &host.options, &plan, &error));
    ck_assert(plan.method && plan.memory_bytes > 0 && plan.threads_most >= 1);
    ck_assert(plan.multiply_adds > plan.forward_multiply_adds && plan.forward_multiply_adds > 0);
    sizes.units = 0;
    ck_assert(!ops->plan(&sizes, &host.options, &plan, &error));
    ck_assert_msg(strstr(error.text, "units") != NULL, "%s", error.text);

    enum result result = RESULT_DONE;
    host.options.steps = 0;
    const struct backend_problem problem = {.network = &host.network, .options = &host.options, .team = host.team};
    ck_assert_ptr_null(ops->create(&problem, &result, &error));
    ck_assert_int_eq(result, RESULT_INVALID);
    backend_destroy(NULL);
    host_release(&host);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("backend");
    TCase *tests = tcase_create("backend");
    tcase_set_timeout(tests, 300); /* a device's compiler */
    tcase_add_loop_test(tests, updates_are_those_made_by_hand, 0, BACKEND_TYPES * RULE_COUNT);
    tcase_add_loop_test(tests, trials_are_the_same_named_or_given, 0, BACKEND_TYPES);
    tcase_add_loop_test(tests, a_failed_update_leaves_nothing, 0, BACKEND_TYPES);
    tcase_add_loop_test(tests, a_plan_is_what_create_will_do, 0, BACKEND_TYPES);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
