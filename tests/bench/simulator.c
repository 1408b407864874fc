/*
 * The simulator's benchmark at one size: the machine's multiply-add peak and memory bandwidth, the forward pass, and
 * each rule's training iteration with its phases, all in one run so that ratios mean something. Prints one JSON object.
 * tests/bench/run makes tables and sweeps of it.
 *
 *     simulator [UNITS [STEPS [TRIALS [THREADS [ROUNDS [LOSS [ROW [MODEL [READOUT_TAU]]]]]]]]]
 *
 * Defaults: the published delayed XOR, 120 900 32 2 9 last all membrane 0. LOSS is "last" (delayed XOR: the last step
 * carries loss) or "every" (pattern generation: each does). ROW names one row of the table, to measure it alone, or is
 * "all". MODEL is a neuron model with the constants of its defaults; READOUT_TAU in ms, 0 for a readout without a leak.
 * Rows that a model does not have are left out.
 */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "core/backend/backend.h"
#include "core/kernels/select.h"
#include "core/kernels/kernels.h"
#include "core/model/neuron.h"
#include "core/model/optimizer.h"
#include "core/train/train.h"

enum { ROUNDS_MOST = 101, MEMBERS_MOST = 256 };

struct bench {
    struct train_config config;
    struct task task;
    struct network network;
    struct trial_id *ids; /* (batch_size) */
    struct team *team;
    int rounds;
};

static bool alone; /* one thread */

/* One thread is measured by its own CPU time, which other programs disturb less; several by the clock on the wall. */
static double seconds(void *user) {
    (void)user;
    struct timespec now;
    clock_gettime(alone ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, by_value);
    return values[count / 2];
}

/* ---- the machine ---- */

struct probe {
    double flops[MEMBERS_MOST];
    float *memory;
    size_t each;
    volatile float sink[MEMBERS_MOST];
};

static void peak_work(void *user, int member, int members) {
    (void)members;
    struct probe *probe = user;
    probe->sink[member] = kernels_current()->peak(400000, &probe->flops[member]);
}

static double peak_measure(struct team *team) {
    static struct probe probe;
    double rates[7];
    for (int i = 0; i < 7; i++) {
        double began = seconds(NULL), flops = 0;
        team_run(team, peak_work, &probe);
        double took = seconds(NULL) - began;
        for (int m = 0; m < team_members(team); m++) {
            flops += probe.flops[m];
        }
        rates[i] = flops / took;
    }
    return median(rates, 7);
}

static void bandwidth_work(void *user, int member, int members) {
    (void)members;
    struct probe *probe = user;
    kernels_current()->accumulate(probe->each / 2, probe->memory + (size_t)member * probe->each,
                                  probe->memory + (size_t)member * probe->each + probe->each / 2);
}

/* Bytes per second of reading two arrays and writing one, far beyond the caches. */
static double bandwidth_measure(struct team *team) {
    static struct probe probe;
    size_t members = (size_t)team_members(team);
    double rates[5];
    probe.each = (size_t)16 << 20;
    probe.memory = aligned_alloc(64, members * probe.each * sizeof(float));
    if (!probe.memory) {
        return NAN;
    }
    memset(probe.memory, 0, members * probe.each * sizeof(float));
    for (int i = 0; i < 5; i++) {
        double began = seconds(NULL);
        team_run(team, bandwidth_work, &probe);
        rates[i] = (double)members * (double)probe.each * sizeof(float) * 1.5 / (seconds(NULL) - began);
    }
    free(probe.memory);
    return median(rates, 5);
}

/* ---- the simulator ---- */

struct timing {
    double seconds;       /* median of an iteration */
    struct phases phases; /* means */
    struct backend_plan plan;
};

/* A backend for the network, and what it will cost; ends the process where it cannot be made. */
static struct backend *backend_make(struct bench *bench, const struct batch_options *options,
                                    struct optimizer *optimizer, struct backend_plan *plan) {
    const struct backend_ops *ops = backend_table[BACKEND_CPU];
    const struct network *network = &bench->network;
    const struct backend_sizes sizes = {network->units, network->inputs, network->outputs,
                                        network->types, network->bias,   network->equal_leaks};
    const struct backend_problem problem = {.network = &bench->network,
                                            .options = options,
                                            .team = bench->team,
                                            .task = &bench->task,
                                            .optimizer = optimizer};
    struct error error = {.text = "out of memory"};
    enum result result;
    struct backend *backend = ops->plan(&sizes, options, plan, &error) ? ops->create(&problem, &result, &error) : NULL;
    if (!backend) {
        fprintf(stderr, "simulator: %s\n", error.text);
        exit(1);
    }
    return backend;
}

/* Iteration `iteration`; without a rule the forward pass of the same trials. */
static void iteration_run(struct bench *bench, struct backend *backend, bool trains, struct backend_course *course,
                          struct phases *phases) {
    int trials = bench->config.training.batch_size;
    struct batch_result run = {0};
    if (trains) {
        backend->ops->iterate(backend, 1, course, NULL, phases);
        return;
    }
    for (int i = 0; i < trials; i++) {
        bench->ids[i] = (struct trial_id){TRIAL_TRAINING, course->iteration, (size_t)i};
    }
    backend->ops->trials(backend, bench->ids, trials, NULL, NULL, &run);
    phases_add(phases, &run.phases);
    course->iteration++;
}

/*
 * One complete training iteration: trials, gradient, optimiser, packing. rule NULL: the forward pass alone, inputs
 * included.
 */
static struct timing iteration_measure(struct bench *bench, const struct rule_config *rule, enum engine_method method) {
    struct train_config config = bench->config;
    const struct task_shape *shape = &bench->task.shape;
    const struct batch_options options = {.steps = shape->steps,
                                          .trials = config.training.batch_size,
                                          .loss = shape->loss,
                                          .mask_from = shape->mask_from,
                                          .mask_uniform = shape->mask_uniform,
                                          .neuron = bench->network.neuron,
                                          .readout_leaks = bench->network.readout_leaks,
                                          .rule = rule,
                                          .method = method,
                                          .clock = seconds};
    struct timing timing = {0};
    struct optimizer optimizer;
    struct backend_course course = {0};
    double times[ROUNDS_MOST];
    if (rule) {
        config.rule = *rule;
    }
    if (!optimizer_init(&optimizer, &bench->network, &config)) {
        fprintf(stderr, "simulator: out of memory\n");
        exit(1);
    }
    struct backend *backend = backend_make(bench, &options, rule ? &optimizer : NULL, &timing.plan);
    backend->ops->load(backend, NULL, config.rule.mu, NULL);
    for (int i = -2; i < bench->rounds; i++) {
        double began = seconds(NULL);
        struct phases phases = {0};
        iteration_run(bench, backend, rule != NULL, &course, &phases);
        if (i >= 0) {
            times[i] = seconds(NULL) - began;
            phases_add(&timing.phases, &phases);
        }
    }
    timing.seconds = median(times, bench->rounds);
    const struct phases *sum = &timing.phases;
    double rounds = bench->rounds;
    timing.phases = (struct phases){sum->trials / rounds, sum->forward / rounds, sum->credit / rounds,
                                    sum->gradient / rounds, sum->optimizer / rounds};
    backend_destroy(backend);
    optimizer_release(&optimizer);
    return timing;
}

static void timing_print(const char *name, const struct timing *timing, double forward, double peak) {
    double flops = 2 *
                   (timing->plan.multiply_adds > 0 ? timing->plan.multiply_adds : timing->plan.forward_multiply_adds);
    const struct phases *p = &timing->phases;
    printf("  \"%s\": {\"ms\": %.4f, \"to_forward\": %.3f, \"gflops\": %.1f, \"of_peak\": %.3f, \"trials_ms\": %.4f, "
           "\"forward_ms\": %.4f, \"credit_ms\": %.4f, "
           "\"gradient_ms\": %.4f, \"optimizer_ms\": %.4f, \"method\": \"%s\", \"memory_bytes\": %zu},\n",
           name, 1e3 * timing->seconds, timing->seconds / forward, 1e-9 * flops / timing->seconds,
           flops / timing->seconds / peak, 1e3 * p->trials, 1e3 * p->forward, 1e3 * p->credit, 1e3 * p->gradient,
           1e3 * p->optimizer, timing->plan.method, timing->plan.memory_bytes);
}

/* A neuron model by name, with the constants that its defaults have. */
static void neuron_set(struct network_config *network, const char *name, int readout_tau) {
    int neuron = 0;
    while (neuron < NEURON_MODELS && strcmp(neuron_table[neuron]->name, name) != 0) {
        neuron++;
    }
    if (neuron == NEURON_MODELS) {
        fprintf(stderr, "simulator: MODEL must be the name of a neuron model; got %s\n", name);
        exit(2);
    }
    network->neuron = (enum neuron)neuron;
    network->readout_tau = (struct optional_double){readout_tau > 0, readout_tau};
    if (neuron_table[neuron]->spikes) {
        network->tau = 20;
        network->threshold = 0.6;
        network->dampening = 0.3;
        network->refractory = 5;
        network->beta = 0.16;
        network->tau_adaptation = 1200;
        network->adaptive_fraction = 0.4;
    }
}

static void bench_make(struct bench *bench, int units, int steps, int trials, bool every) {
    char error[256];
    int cue = steps / 9 > 0 ? steps / 9 : 1;
    bench->config = (struct train_config){.seed = 1,
                                          .task = TASK_CONFIG(TASK_DELAYED_XOR, {"delay", steps - 2 * cue},
                                                              {"cue", cue}, {"amplitude", 2}, {"noise", 0.01}),
                                          .network = {.units = units,
                                                      .tau = 100,
                                                      .dale = true,
                                                      .excitatory_fraction = 0.8,
                                                      .types_per_sign = 1,
                                                      .connectivity = 1,
                                                      .rewiring = REWIRING_DEEP_R},
                                          .rule = {.mu = 0.25},
                                          .optimizer = {.learning_rate = 5e-4,
                                                        .decay_factor = 0.8,
                                                        .decay_every = 300,
                                                        .beta1 = 0.9,
                                                        .beta2 = 0.999,
                                                        .epsilon = 1e-8,
                                                        .l2 = 5e-4,
                                                        .l1 = 0.01},
                                          .training = {.batch_size = trials}};
    if (every) {
        bench->config.task = TASK_CONFIG(TASK_PATTERN, {"inputs", 20}, {"outputs", 1}, {"duration", steps});
    }
    bench->ids = calloc((size_t)trials, sizeof *bench->ids);
    if (!bench->ids || task_init(&bench->task, &bench->config.task, 1, NULL, error) != RESULT_DONE) {
        fprintf(stderr, "simulator: out of memory\n");
        exit(1);
    }
}

/*
 * Fresh weights of a network with this many types per sign; beyond 256 units without Dale's law, whose initial weights
 * need an eigenvalue problem.
 */
static void network_renew(struct bench *bench, int types_per_sign) {
    char error[256];
    struct network_config config = bench->config.network;
    config.types_per_sign = types_per_sign;
    config.dale = config.units <= 256;
    network_release(&bench->network);
    if (network_init(&bench->network, &config, bench->task.shape.inputs, bench->task.shape.outputs, 1, NULL, error) !=
        RESULT_DONE) {
        fprintf(stderr, "simulator: %s\n", error);
        exit(1);
    }
}

static int argument(int count, char **values, int at, int fallback) {
    int value = count > at ? atoi(values[at]) : fallback;
    if (value < 1) {
        fprintf(stderr, "simulator: every argument must be a positive integer; got %s\n", values[at]);
        exit(2);
    }
    return value;
}

/* A rule by the method that its plan chooses, and, if both methods exist and differ, by each. */
static const struct {
    const char *name;
    struct rule_config rule;
    int types;
    enum engine_method method;
} rows[] = {
    {"eprop", {.type = RULE_EPROP}, 1, METHOD_AUTO},
    {"mdgl", {.type = RULE_MDGL}, 1, METHOD_AUTO},
    {"modprop type 2", {.type = RULE_MODPROP, .mu = 0.25, .weights = CREDIT_TYPE}, 1, METHOD_AUTO},
    {"modprop type 8", {.type = RULE_MODPROP, .mu = 0.25, .weights = CREDIT_TYPE}, 4, METHOD_AUTO},
    {"modprop type 2, forward", {.type = RULE_MODPROP, .mu = 0.25, .weights = CREDIT_TYPE}, 1, METHOD_FORWARD},
    {"modprop type 2, reverse", {.type = RULE_MODPROP, .mu = 0.25, .weights = CREDIT_TYPE}, 1, METHOD_REVERSE},
    {"modprop type 8, forward", {.type = RULE_MODPROP, .mu = 0.25, .weights = CREDIT_TYPE}, 4, METHOD_FORWARD},
    {"modprop type 8, reverse", {.type = RULE_MODPROP, .mu = 0.25, .weights = CREDIT_TYPE}, 4, METHOD_REVERSE},
    {"modprop cell", {.type = RULE_MODPROP, .mu = 0.25}, 1, METHOD_AUTO},
    {"bptt", {.type = RULE_BPTT}, 1, METHOD_AUTO},
    {"eprop, synapse traces", {.type = RULE_EPROP}, 1, METHOD_SYNAPSES}, /* slow: only where it is named */
};

/* Whether the neuron model has the row; its first hop becomes the model's own. */
static bool row_fits(const struct bench *bench, struct rule_config *rule, enum engine_method method) {
    const struct neuron_ops *neuron = neuron_table[bench->config.network.neuron];
    rule->first_hop = neuron->hop_by_mu ? FIRST_HOP_MU : FIRST_HOP_EXACT;
    return method != METHOD_FORWARD ||
           (neuron->one_trace && neuron->hop_by_mu && !bench->config.network.readout_tau.set);
}

int main(int count, char **values) {
    static struct bench bench;
    int units = argument(count, values, 1, 120), steps = argument(count, values, 2, 900),
        trials = argument(count, values, 3, 32);
    int threads = argument(count, values, 4, 2);
    bench.rounds = argument(count, values, 5, 9);
    bench.rounds = bench.rounds > ROUNDS_MOST ? ROUNDS_MOST : bench.rounds;
    if (!kernels_select(getenv("MODPROP_ISA")) || !(bench.team = team_create())) {
        fprintf(stderr, "simulator: MODPROP_ISA names kernels that this host lacks\n");
        return 2;
    }
    threads = team_resize(bench.team, threads < MEMBERS_MOST ? threads : MEMBERS_MOST);
    alone = threads == 1;
    bool every = count > 6 && strcmp(values[6], "every") == 0;
    if (count > 6 && !every && strcmp(values[6], "last") != 0) {
        fprintf(stderr, "simulator: LOSS must be last or every; got %s\n", values[6]);
        return 2;
    }
    bench_make(&bench, units, steps, trials, every);
    neuron_set(&bench.config.network, count > 8 ? values[8] : "membrane", count > 9 ? atoi(values[9]) : 0);
    network_renew(&bench, 1);
    double peak = peak_measure(bench.team);
    struct timing forward = iteration_measure(&bench, NULL, METHOD_AUTO);
    printf("{\"units\": %d, \"steps\": %d, \"trials\": %d, \"threads\": %d, \"isa\": \"%s\", \"loss\": \"%s\", "
           "\"model\": \"%s\", \"peak_gflops\": %.1f,\n \"rules\": {\n",
           units, steps, trials, threads, kernels_name(), every ? "every" : "last",
           neuron_table[bench.config.network.neuron]->name, 1e-9 * peak);
    timing_print("forward", &forward, forward.seconds, peak);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rule_config rule = rows[i].rule;
        bool named = count > 7 && strcmp(values[7], rows[i].name) == 0,
             all = count <= 7 || strcmp(values[7], "all") == 0;
        if (!(named || (all && rows[i].method != METHOD_SYNAPSES)) || !row_fits(&bench, &rule, rows[i].method)) {
            continue;
        }
        network_renew(&bench, rows[i].types);
        struct timing timing = iteration_measure(&bench, &rule, rows[i].method);
        timing_print(rows[i].name, &timing, forward.seconds, peak);
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    /* last, because its arrays would count as the simulator's memory */
    printf("  \"end\": null},\n \"resident_bytes_most\": %ld, \"bandwidth_gbytes\": %.1f}\n", usage.ru_maxrss * 1024L,
           1e-9 * bandwidth_measure(bench.team));
    network_release(&bench.network);
    task_release(&bench.task);
    team_destroy(bench.team);
    free(bench.ids);
    return 0;
}
