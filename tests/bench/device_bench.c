/*
 * The device's benchmark: cohorts of jobs at one size, each job with its own seed; milliseconds of an update a job, and
 * whether the first and the last job of each cohort end with the processor's bits. Prints one JSON object a row.
 * tests/bench/device makes a table of it.
 *
 *     device_bench [DEVICE [UNITS [DELAY [TRIALS [UPDATES [JOBS...]]]]]]
 *
 * Defaults: the first suitable device, the published delayed XOR (120, 700, 32), 10 updates, cohorts of 1, 264 and
 * 1056.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/backend/opencl/cohort.h"

enum { CUE = 100, CUE_SMALL = 8 };

struct host {
    struct train_config config;
    struct task task;
    struct network network;
    struct optimizer optimizer;
    struct batch_options options;
};

static const struct {
    const char *name;
    struct rule_config rule;
} rules[] = {{"eprop", {.type = RULE_EPROP}},
             {"modprop type", {.type = RULE_MODPROP, .mu = 0.25, .weights = CREDIT_TYPE}},
             {"modprop cell", {.type = RULE_MODPROP, .mu = 0.25}},
             {"mdgl", {.type = RULE_MDGL}},
             {"bptt", {.type = RULE_BPTT}}};

static int device = -1, units = 120, delay = 700, trials = 32, updates = 10;

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void fail(const char *what) {
    fprintf(stderr, "device_bench: %s\n", what);
    exit(1);
}

static void host_make(struct host *host, const struct rule_config *rule, uint64_t seed) {
    char text[256];
    double cue = delay < CUE ? CUE_SMALL : CUE;
    *host = (struct host){.config = {.seed = seed,
                                     .task = TASK_CONFIG(TASK_DELAYED_XOR, {"delay", delay}, {"cue", cue}),
                                     .network = {.units = units,
                                                 .tau = 100,
                                                 .dale = true,
                                                 .excitatory_fraction = 0.8,
                                                 .types_per_sign = 1,
                                                 .connectivity = 1,
                                                 .rewiring = REWIRING_DEEP_R},
                                     .rule = *rule,
                                     .optimizer = {.learning_rate = 5e-4,
                                                   .decay_factor = 0.8,
                                                   .decay_every = 300,
                                                   .beta1 = 0.9,
                                                   .beta2 = 0.999,
                                                   .epsilon = 1e-8,
                                                   .l2 = 5e-4,
                                                   .l1 = 0.01},
                                     .training = {.batch_size = trials}}};
    if (task_init(&host->task, &host->config.task, seed, NULL, text) != RESULT_DONE) {
        fail(text);
    }
    const struct task_shape *shape = &host->task.shape;
    if (network_init(&host->network, &host->config.network, shape->inputs, shape->outputs, seed, NULL, text) !=
            RESULT_DONE ||
        !optimizer_init(&host->optimizer, &host->network, &host->config)) {
        fail("out of memory");
    }
    host->options = (struct batch_options){.steps = shape->steps,
                                           .trials = trials,
                                           .loss = shape->loss,
                                           .mask_from = shape->mask_from,
                                           .mask_uniform = shape->mask_uniform,
                                           .device = device,
                                           .rule = &host->config.rule};
}

static void host_release(struct host *host) {
    optimizer_release(&host->optimizer);
    network_release(&host->network);
    task_release(&host->task);
}

static struct backend_problem problem_of(struct host *host, struct team *team) {
    return (struct backend_problem){.network = &host->network,
                                    .options = &host->options,
                                    .team = team,
                                    .task = &host->task,
                                    .optimizer = &host->optimizer};
}

/* Whether the processor ends with the same weights after so many updates. */
static bool bits_are_equal(const struct host *found, const struct rule_config *rule, int64_t made) {
    struct host host;
    struct error error = {0};
    struct phases phases = {0};
    struct backend_course course = {0};
    struct team *team = team_create();
    enum result result;
    host_make(&host, rule, found->config.seed);
    const struct backend_problem problem = problem_of(&host, team);
    struct backend *processor = backend_cpu.create(&problem, &result, &error);
    if (!processor) {
        fail(error.text);
    }
    backend_cpu.load(processor, NULL, rule->mu, NULL);
    while (course.iteration < made) {
        backend_cpu.iterate(processor, made, &course, NULL, &phases);
    }
    bool equal = memcmp(host.network.weights, found->network.weights, host.network.parameters * sizeof(float)) == 0;
    backend_destroy(processor);
    team_destroy(team);
    host_release(&host);
    return equal;
}

static void cohort_measure(const char *name, const struct rule_config *rule, int jobs) {
    struct host *hosts = calloc((size_t)jobs, sizeof *hosts);
    struct backend_problem *problems = calloc((size_t)jobs, sizeof *problems);
    struct backend_course *courses = calloc((size_t)jobs, sizeof *courses);
    struct error error = {0};
    enum result result;
    for (int job = 0; job < jobs; job++) {
        host_make(&hosts[job], rule, (uint64_t)job + 1);
        problems[job] = problem_of(&hosts[job], NULL);
    }
    struct cohort *cohort = cohort_create(problems, jobs, &result, &error);
    if (!cohort) {
        printf("{\"rule\": \"%s\", \"jobs\": %d, \"refused\": \"%s\"}\n", name, jobs, error.text);
    } else {
        for (int job = 0; job < jobs; job++) {
            cohort_load(cohort, job, NULL, rule->mu, NULL);
        }
        cohort_weights_changed(cohort);
        enum result first = cohort_iterate(cohort, 1, courses, NULL); /* kernels are built */
        double began = seconds();
        enum result rest = cohort_iterate(cohort, updates, courses, NULL);
        double ms = 1e3 * (seconds() - began) / updates / jobs;
        if (first != RESULT_DONE || rest != RESULT_DONE) {
            fail(cohort->error);
        }
        cohort_read(cohort, 0);
        cohort_read(cohort, jobs - 1);
        bool equal = bits_are_equal(&hosts[0], rule, updates + 1) &&
                     bits_are_equal(&hosts[jobs - 1], rule, updates + 1);
        printf("{\"rule\": \"%s\", \"jobs\": %d, \"ms_of_a_job\": %.5f, \"bits_equal\": %s, \"bytes\": %zu}\n", name,
               jobs, ms, equal ? "true" : "false", cohort->memory_bytes);
    }
    fflush(stdout);
    cohort_destroy(cohort);
    for (int job = 0; job < jobs; job++) {
        host_release(&hosts[job]);
    }
    free(hosts);
    free(problems);
    free(courses);
}

int main(int count, char **arguments) {
    const struct cl_device *devices;
    char text[256] = "no device computes as the processor does";
    int *numbers[] = {&device, &units, &delay, &trials, &updates}, cohorts[16] = {1, 264, 1056}, cohort_count = 3;
    for (int i = 1; i < count && i <= 5; i++) {
        *numbers[i - 1] = atoi(arguments[i]);
    }
    for (int i = 6; i < count && i < 22; i++) {
        cohorts[i - 6] = atoi(arguments[i]);
        cohort_count = i - 5;
    }
    int listed = cl_devices(&devices, text);
    for (int i = 0; i < listed && device < 0; i++) {
        device = devices[i].suitable ? i : device;
    }
    if (device < 0 || device >= listed) {
        fail(text);
    }
    printf("{\"device\": \"%s\", \"driver\": \"%s\", \"units\": %d, \"steps\": %d, \"trials\": %d}\n",
           devices[device].name, devices[device].driver, units, delay + 2 * (delay < CUE ? CUE_SMALL : CUE), trials);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        for (int k = 0; k < cohort_count; k++) {
            cohort_measure(rules[i].name, &rules[i].rule, cohorts[k]);
        }
    }
    return 0;
}
