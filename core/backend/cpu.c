/*
 * The processor: the engine with its kernels, and the optimiser beside it. It works on its caller's copy of weights and
 * optimiser state, so `read` has nothing to bring.
 *
 * `iterate` makes one update a call: between two of them the caller may change the team.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/backend/backend.h"
#include "core/base/random.h"
#include "core/engine/engine.h"

/* 1 - exp(-1/20): a running mean with a time constant of 20 iterations */
#define MU_STEP 0.048770575499285984

struct cpu {
    struct backend backend;
    struct backend_problem problem;
    struct engine *engine;
    int most; /* trials of a batch */
    double (*clock)(void *user);
    void *clock_user;
    bool mu_auto;
    double mu; /* as last loaded */
    const double *averages;
    struct trial *trials;      /* (most) of the batch that runs; NULL without a task */
    float *gradient;           /* (parameters) of an update; NULL without an optimiser */
    int update_every, updates; /* steps between updates within a trial, 0: none; updates of an iteration */
    float *kept;               /* weights and optimiser's state before such an iteration */
};

static struct cpu *cpu_of(struct backend *backend) {
    return (struct cpu *)backend;
}

/* ---- trials of the task ---- */

static void trial_inputs(const void *user, size_t trial, int from, int to, float *x, size_t stride) {
    const struct cpu *cpu = user;
    const struct task *task = cpu->problem.task;
    task->ops->inputs(task, &cpu->trials[trial], from, to, x, stride);
}

static float trial_target(const void *user, size_t trial, int t, int *class_index, float *values) {
    const struct cpu *cpu = user;
    const struct task *task = cpu->problem.task;
    return task->ops->target(task, &cpu->trials[trial], t, class_index, values);
}

static void trial_signs(const void *user, size_t trial, int t, int count, float *signs) {
    const struct cpu *cpu = user;
    const struct trial_id id = cpu->trials[trial].id;
    const struct random_stream stream = random_stream_make(cpu->problem.task->seed, RANDOM_RANK_ONE, id.iteration,
                                                           id.trial);
    random_signs_fill(&stream, t, count, signs);
}

/* The network's own noise, on the current of every unit. */
static void network_noise(const void *user, size_t trial, int t, int from, int count, float *noise) {
    const struct cpu *cpu = user;
    const struct network *network = cpu->problem.network;
    trial_noise(cpu->problem.task->seed, cpu->trials[trial].id, network->units, t, from, count, noise);
    for (int i = 0; i < count; i++) {
        noise[i] *= network->noise_of_unit[from + i];
    }
}

static bool trial_draw(struct cpu *cpu, int at, struct trial_id id, struct work *work) {
    const struct task *task = cpu->problem.task;
    if (work_add(work, task->shape.trial_work)) {
        return false;
    }
    task->ops->trial(task, id, &cpu->trials[at]);
    return true;
}

static struct batch_source drawn_source(const struct cpu *cpu) {
    return (struct batch_source){.user = cpu,
                                 .inputs = trial_inputs,
                                 .target = trial_target,
                                 .signs = trial_signs,
                                 .noise = cpu->problem.network->noisy ? network_noise : NULL};
}

static enum result drawn_run(struct cpu *cpu, int trials, float *gradient, struct work *work,
                             struct batch_result *result) {
    const struct batch_source source = drawn_source(cpu);
    return engine_batch_run(cpu->engine, cpu->problem.team, &source, trials, gradient, work, result);
}

static enum result cpu_trials(struct backend *backend, const struct trial_id *ids, int trials, float *gradient,
                              struct work *work, struct batch_result *result) {
    struct cpu *cpu = cpu_of(backend);
    for (int i = 0; i < trials && i < cpu->most; i++) {
        if (!trial_draw(cpu, i, ids[i], work)) {
            return RESULT_STOPPED; /* before all trials were drawn */
        }
    }
    return drawn_run(cpu, trials, gradient, work, result);
}

static enum result cpu_run(struct backend *backend, const struct batch_source *source, int trials, float *gradient,
                           struct work *work, struct batch_result *result) {
    struct cpu *cpu = cpu_of(backend);
    return engine_batch_run(cpu->engine, cpu->problem.team, source, trials, gradient, work, result);
}

/* ---- updates ---- */

static void cpu_load(struct backend *backend, const float *feedback, double mu, const double *averages) {
    struct cpu *cpu = cpu_of(backend);
    cpu->mu = mu;
    cpu->averages = averages;
    engine_weights_load(cpu->engine, feedback, mu, averages);
}

static double cpu_clock(const struct cpu *cpu) {
    return cpu->clock ? cpu->clock(cpu->clock_user) : 0;
}

/* One update after another within a trial. */
struct online {
    struct cpu *cpu;
    struct backend_course *course;
    struct work *work;
    int made;
};

static void online_update(void *user) {
    struct online *online = user;
    struct cpu *cpu = online->cpu;
    struct optimizer *optimizer = cpu->problem.optimizer;
    int64_t iteration = online->course->iteration;
    optimizer_update_within(optimizer, cpu->problem.network, cpu->gradient, iteration,
                            iteration * cpu->updates + online->made++);
    work_add(online->work, optimizer_cost(cpu->problem.network->parameters));
    engine_weights_load(cpu->engine, optimizer->feedback, cpu->mu, cpu->averages);
}

/* Weights and optimiser's state, kept before an iteration with several updates, or put back when it failed. */
static void online_keep(struct cpu *cpu, bool back) {
    const struct network *network = cpu->problem.network;
    struct optimizer *optimizer = cpu->problem.optimizer;
    size_t weights = network->parameters * sizeof(float), state = optimizer->state_floats * sizeof(float);
    float *kept = cpu->kept, *kept_state = kept + network->parameters;
    memcpy(back ? network->weights : kept, back ? kept : network->weights, weights);
    memcpy(back ? optimizer->first : kept_state, back ? kept_state : optimizer->first, state);
}

/* The batch with its updates; on failure nothing of it is kept. */
static enum result online_run(struct cpu *cpu, struct backend_course *course, struct work *work,
                              struct batch_result *run) {
    struct online online = {cpu, course, work, 0};
    const struct engine_update update = {online_update, &online};
    const struct batch_source source = drawn_source(cpu);
    online_keep(cpu, false);
    enum result result = engine_batch_online(cpu->engine, cpu->problem.team, &source, cpu->most, cpu->gradient, &update,
                                             work, run);
    if (result == RESULT_DONE && run->weight > 0 && !isfinite(run->loss)) {
        result = RESULT_DIVERGED;
    }
    if (result != RESULT_DONE) {
        online_keep(cpu, true);
        engine_weights_load(cpu->engine, cpu->problem.optimizer->feedback, cpu->mu, cpu->averages);
    }
    return result;
}

static enum result cpu_iterate(struct backend *backend, int64_t most, struct backend_course *course, struct work *work,
                               struct phases *phases) {
    (void)most;
    struct cpu *cpu = cpu_of(backend);
    struct optimizer *optimizer = cpu->problem.optimizer;
    struct batch_result run = {0};
    for (int i = 0; i < cpu->most; i++) {
        if (!trial_draw(cpu, i, (struct trial_id){TRIAL_TRAINING, course->iteration, (size_t)i}, work)) {
            return RESULT_STOPPED;
        }
    }
    enum result result = cpu->update_every > 0 ? online_run(cpu, course, work, &run)
                                               : drawn_run(cpu, cpu->most, cpu->gradient, work, &run);
    if (result != RESULT_DONE) {
        return result;
    }
    if (run.weight > 0 && !isfinite(run.loss)) {
        return RESULT_DIVERGED;
    }
    double since = cpu_clock(cpu);
    if (cpu->update_every == 0) {
        optimizer_update(optimizer, cpu->problem.network, cpu->gradient, course->iteration);
        work_add(work, optimizer_cost(cpu->problem.network->parameters));
    }
    course->iteration++;
    course->training_loss = run.weight > 0 ? run.loss : cpu->problem.task->shape.empty_loss;
    if (cpu->mu_auto) {
        course->mu_mean += MU_STEP * (run.psi_mean - course->mu_mean);
    }
    cpu_load(backend, optimizer->feedback, cpu->mu_auto ? course->mu_mean : cpu->mu, cpu->averages);
    run.phases.optimizer = cpu_clock(cpu) - since;
    phases_add(phases, &run.phases);
    return RESULT_DONE;
}

static enum result cpu_credit_gain(struct backend *backend, struct work *work, double *gain) {
    struct cpu *cpu = cpu_of(backend);
    void *scratch = malloc(engine_credit_gain_bytes(cpu->problem.network->units));
    if (!scratch) {
        return RESULT_NO_MEMORY;
    }
    bool done = engine_credit_gain(cpu->engine, scratch, work, gain);
    free(scratch);
    return done ? RESULT_DONE : RESULT_STOPPED;
}

static void cpu_credit_gain_plan(int units, int steps, size_t *bytes, double *multiply_adds) {
    *bytes = engine_credit_gain_bytes(units);
    *multiply_adds = engine_credit_gain_cost(units, steps);
}

static void cpu_read(struct backend *backend) {
    (void)backend; /* the caller's copy is the one that is updated */
}

/* ---- plan, create, destroy ---- */

static bool cpu_plan(const struct backend_sizes *sizes, const struct batch_options *options, struct backend_plan *plan,
                     struct error *error) {
    struct engine_plan made;
    if (!engine_plan_make(sizes->units, sizes->inputs, sizes->outputs, sizes->types, sizes->bias, sizes->equal_leaks,
                          options, &made, error)) {
        return false;
    }
    int blocks = (options->trials + BLOCK_TRIALS - 1) / BLOCK_TRIALS;
    *plan = (struct backend_plan){.method = engine_method_name(made.method, made.segment_steps < options->steps),
                                  .memory_bytes = made.memory_bytes,
                                  .forward_multiply_adds = made.forward_multiply_adds,
                                  .multiply_adds = made.multiply_adds,
                                  .threads_most = blocks < GROUPS_MOST ? blocks : GROUPS_MOST};
    return true;
}

static void cpu_destroy(struct backend *backend) {
    struct cpu *cpu = cpu_of(backend);
    engine_destroy(cpu->engine);
    free(cpu->trials);
    free(cpu->gradient);
    free(cpu->kept);
    free(cpu);
}

static bool cpu_allocate(struct cpu *cpu) {
    if (cpu->problem.task) {
        cpu->trials = calloc((size_t)cpu->most, sizeof *cpu->trials);
    }
    if (cpu->problem.optimizer) {
        cpu->gradient = malloc(cpu->problem.network->parameters * sizeof *cpu->gradient);
    }
    bool keeps = cpu->update_every > 0 && cpu->problem.optimizer;
    if (keeps) {
        cpu->kept = malloc((cpu->problem.network->parameters + cpu->problem.optimizer->state_floats) *
                           sizeof *cpu->kept);
    }
    return (cpu->trials || !cpu->problem.task) && (cpu->gradient || !cpu->problem.optimizer) && (cpu->kept || !keeps);
}

static struct backend *cpu_create(const struct backend_problem *problem, enum result *result, struct error *error) {
    const struct batch_options *options = problem->options;
    struct cpu *cpu = calloc(1, sizeof *cpu);
    *result = RESULT_NO_MEMORY;
    if (!cpu) {
        snprintf(error->text, sizeof error->text, "out of memory");
        return NULL;
    }
    cpu->backend.ops = &backend_cpu;
    cpu->problem = *problem;
    cpu->problem.options = NULL;
    cpu->most = options->trials;
    cpu->update_every = options->update_every;
    cpu->updates = options->update_every > 0 ? (options->steps - 1) / options->update_every + 1 : 1;
    cpu->clock = options->clock;
    cpu->clock_user = options->clock_user;
    cpu->mu_auto = options->rule && options->rule->mu_auto;
    cpu->engine = engine_create(problem->network, options, result, error);
    if (cpu->engine && !cpu_allocate(cpu)) {
        *result = RESULT_NO_MEMORY;
        snprintf(error->text, sizeof error->text, "out of memory for a gradient of %zu weights",
                 problem->network->parameters);
    } else if (cpu->engine) {
        return &cpu->backend;
    }
    cpu_destroy(&cpu->backend);
    return NULL;
}

const struct backend_ops backend_cpu = {.name = "cpu",
                                        .plan = cpu_plan,
                                        .create = cpu_create,
                                        .load = cpu_load,
                                        .run = cpu_run,
                                        .trials = cpu_trials,
                                        .iterate = cpu_iterate,
                                        .credit_gain = cpu_credit_gain,
                                        .credit_gain_plan = cpu_credit_gain_plan,
                                        .read = cpu_read,
                                        .destroy = cpu_destroy};
