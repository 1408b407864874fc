/*
 * Engine: sizes, memory and weights. See engine.h; batch.c runs a batch.
 *
 * All memory of an engine is one block, carved once. The reverse recursion's history is a second block, allocated when
 * first needed, because a rule with forward traces falls back on it only if its modes are ill-conditioned.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/eigen.h"
#include "core/base/size.h"
#include "core/engine/internal.h"

#define HISTORY_CACHED (32 * 1024 * 1024) /* bytes */

/* Steps that carry loss, at most. */
static double loss_steps(const struct batch_options *options) {
    return (double)(options->steps - options->mask_from);
}

static struct rule_shape shape_make(int units, int types, const struct batch_options *options) {
    return (struct rule_shape){.units = units,
                               .types = types,
                               .steps = options->steps,
                               .losses = options->steps - options->mask_from,
                               .neuron = options->neuron,
                               .readout_leaks = options->readout_leaks,
                               .connectivity = options->connectivity > 0 ? options->connectivity : 1};
}

static struct plan_sizes sizes_make(int units, int inputs, int outputs, int types, bool bias, bool equal_leaks,
                                    const struct batch_options *options) {
    struct plan_sizes sizes = {.units = units,
                               .outputs = outputs,
                               .types = types,
                               .sources = (double)inputs + bias + units,
                               .steps = options->steps,
                               .trials = options->trials,
                               .losses = loss_steps(options),
                               .signals = options->readout_leaks || options->rate_cost > 0 ? options->steps
                                                                                           : loss_steps(options),
                               .equal_leaks = equal_leaks,
                               .fused = options->neuron == NEURON_MEMBRANE,
                               .one_trace = neuron_table[options->neuron]->one_trace,
                               .readout_leaks = options->readout_leaks,
                               .rate_cost = options->rate_cost > 0,
                               .rule = options->rule,
                               .form = FORWARD_NONE};
    if (options->rule) {
        sizes.shape = shape_make(units, types, options);
        sizes.form = rule_forward(options->rule, &sizes.shape);
    }
    sizes.forward = sizes.trials *
                    (sizes.steps * sizes.sources * sizes.units + sizes.losses * sizes.units * sizes.outputs +
                     sizes.steps * sizes.units *
                         ((sizes.fused ? 0 : NEURON_WORK) + (options->noisy ? WORK_NORMAL : 0)));
    return sizes;
}

static int trials_rows(int trials) {
    return trials < BLOCK_TRIALS ? trials : BLOCK_TRIALS;
}

static int trials_blocks(int trials) {
    return trials / BLOCK_TRIALS + (trials % BLOCK_TRIALS != 0);
}

/* Of a whole batch, for `steps` steps: source rows, and psi and outputs where they do not follow from those. */
static double history_bytes(const struct plan_sizes *sizes, int trials, double steps) {
    int units = (int)sizes->units;
    double stride = lanes_pad((int)(sizes->sources - sizes->units)) + lanes_pad(units),
           more = (sizes->fused ? 0 : lanes_pad(units)) + (sizes->readout_leaks ? sizes->outputs : 0);
    return sizeof(float) * (double)trials_blocks(trials) * trials_rows(trials) * (stride + more) * (steps + 1);
}

/*
 * The longest segment, a multiple of TIME_BLOCK, with which history and snapshots fit into `memory`; at least one
 * TIME_BLOCK, where the trial has that many steps.
 */
static int segment_choose(const struct plan_sizes *sizes, const struct batch_options *options) {
    int rows = trials_rows(options->trials), blocks = trials_blocks(options->trials);
    double memory = (double)(options->memory > 0 ? options->memory : BATCH_MEMORY_DEFAULT), steps = options->steps;
    if (history_bytes(sizes, options->trials, steps) <= memory) {
        return options->steps;
    }
    double arrays = neuron_table[options->neuron]->states + 1.0 + options->readout_leaks,
           snapshot = arrays * sizeof(float) * blocks * rows * lanes_pad((int)sizes->units), best = TIME_BLOCK;
    double segment = TIME_BLOCK;
    while (segment < steps) {
        double bytes = history_bytes(sizes, options->trials, segment) + ceil(steps / segment) * snapshot;
        best = bytes > memory ? best : segment;
        segment *= 2;
    }
    return (int)fmin(best, steps);
}

/*
 * What the engine's int indices can hold, with room for one more step or vector. So no arithmetic on steps, sources or
 * columns of a plan can overflow.
 */
static const struct {
    const char *name;
    int most;
} size_limits[] = {{"steps", STEPS_MOST},
                   {"trials", TRIALS_MOST},
                   {"units", SOURCES_MOST},
                   {"inputs", SOURCES_MOST},
                   {"outputs", SOURCES_MOST}};

static bool sizes_fit(int units, int inputs, int outputs, const struct batch_options *options, struct error *error) {
    const int sizes[] = {options->steps, options->trials, units, inputs, outputs};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (sizes[i] < 1 || sizes[i] > size_limits[i].most) {
            snprintf(error->text, sizeof error->text, "%s must number from 1 to %d; got %d", size_limits[i].name,
                     size_limits[i].most, sizes[i]);
            return false;
        }
    }
    if (options->mask_from < 0 || options->mask_from > options->steps) {
        snprintf(error->text, sizeof error->text, "the first step with loss must be from 0 to %d; got %d",
                 options->steps, options->mask_from);
        return false;
    }
    return true;
}

static bool rule_fits(int units, int types, const struct batch_options *options, struct error *error) {
    const struct rule_config *rule = options->rule;
    if (!rule) {
        return true;
    }
    const struct rule_ops *ops = rule_table[rule->type];
    if (ops->units_most > 0 && units > ops->units_most) {
        snprintf(error->text, sizeof error->text, "%s needs %s and is limited to %d units; got %d", ops->name,
                 ops->units_need, ops->units_most, units);
        return false;
    }
    if (types < 1 || types > units) {
        snprintf(error->text, sizeof error->text, "types must number from 1 to units; got %d for %d units", types,
                 units);
        return false;
    }
    const char *parameter;
    char reason[256];
    const struct rule_shape shape = shape_make(units, types, options);
    if (!rule_suits(rule, &shape, &parameter, reason)) {
        snprintf(error->text, sizeof error->text, "%s %.200s", parameter, reason);
        return false;
    }
    return true;
}

static void memory_carve(struct carver *carver, struct engine *engine);
static void reverse_carve(struct carver *carver, struct engine *engine);
static void engine_sizes(struct engine *engine, int units, int inputs, int types, bool bias);

/* For updates within a trial, of a rule that has a reverse form too; METHOD_AUTO where none goes forward in time. */
static enum engine_method online_method(const struct plan_sizes *sizes) {
    static const enum engine_method forward[] = {METHOD_FORWARD, METHOD_SYNAPSES};
    for (size_t i = 0; i < sizeof forward / sizeof *forward; i++) {
        if (method_table[forward[i]]->applies(sizes)) {
            return forward[i];
        }
    }
    return METHOD_AUTO;
}

/* `history`: bytes that the reverse recursion would keep */
static enum engine_method method_choose(const struct batch_options *options, const struct plan_sizes *sizes,
                                        bool recomputes, double history) {
    if (!options->rule) {
        return METHOD_FORWARD;
    }
    if (options->method > METHOD_FORWARD && method_table[options->method]->applies(sizes)) {
        return options->method;
    }
    if (options->update_every > 0 && online_method(sizes) != METHOD_AUTO) {
        return online_method(sizes);
    }
    if (!method_table[METHOD_REVERSE]->applies(sizes)) {
        static const enum engine_method forward[] = {METHOD_FORWARD, METHOD_SYNAPSES, METHOD_RANK_ONE};
        for (size_t i = 0; i < sizeof forward / sizeof *forward; i++) {
            if (method_table[forward[i]]->applies(sizes)) {
                return forward[i];
            }
        }
        return METHOD_SENSITIVITIES;
    }
    if (!method_table[METHOD_FORWARD]->applies(sizes)) {
        return METHOD_REVERSE;
    }
    if (options->method != METHOD_AUTO) {
        return options->method;
    }
    double by_reverse = method_table[METHOD_REVERSE]->cost(sizes),
           by_traces = method_table[METHOD_FORWARD]->cost(sizes);
    /*
     * some extra arithmetic is acceptable if no history has to be written and read, more if it does not fit the caches
     */
    double price = history > HISTORY_CACHED ? 1.4 : 1.1;
    return recomputes || by_traces <= price * by_reverse ? METHOD_FORWARD : METHOD_REVERSE;
}

/* The cost of the source of trials. It does not affect the choice of the method: all have the same. */
static void sources_cost_add(int inputs, const struct batch_options *options, struct engine_plan *plan) {
    double once = options->trials * ((double)options->steps * inputs * options->input_work +
                                     loss_steps(options) * options->target_work *
                                         (options->mask_uniform ? 1 : 2)); /* sum m is computed first */
    bool recomputes = plan->method == METHOD_REVERSE && plan->segment_steps < options->steps;
    plan->forward_multiply_adds += once;
    plan->multiply_adds += once +
                           (recomputes ? (double)options->trials * options->steps * inputs * options->input_work : 0);
}

/* What a change of weights costs: packing, type averages, the modes of the forward form; and adding up the groups. */
static double load_cost(int units, int inputs, int outputs, int types, bool bias, const struct batch_options *options,
                        const struct engine_plan *plan) {
    double n = units, k = (double)inputs + bias + n, c = types,
           groups = fmin(trials_blocks(options->trials), GROUPS_MOST), cost = n * (k + outputs) + groups * k * n;
    const struct rule_config *rule = options->rule;
    if (rule_table[rule->type]->uses_hop) {
        cost += 2 * n * n;
    }
    const struct rule_shape shape = shape_make(units, types, options);
    if (forms_modes(rule_forward(rule, &shape)) && plan->method != METHOD_REVERSE) {
        cost += eigen_decompose_cost(types) + 2 * c * c * c + k * c * (c + 2 * groups);
    }
    return cost;
}

/* Updates within a trial need a method that goes forward in time. */
static bool updates_fit(const struct batch_options *options, enum engine_method method, struct error *error) {
    if (options->update_every > 0 && method == METHOD_REVERSE) {
        snprintf(error->text, sizeof error->text,
                 "training.update_every needs a rule that goes forward in time: eprop; mdgl where network.readout_tau "
                 "is null; modprop with weights by type, averaging all, taps null and one tau for all units, in a "
                 "leaky readout only of model rate; diffusion, uoro or rtrl");
        return false;
    }
    return true;
}

bool engine_plan_make(int units, int inputs, int outputs, int types, bool bias, bool equal_leaks,
                      const struct batch_options *options, struct engine_plan *plan, struct error *error) {
    if (!sizes_fit(units, inputs, outputs, options, error) || !rule_fits(units, types, options, error)) {
        return false;
    }
    struct engine_plan made = {0};
    struct plan_sizes sizes = sizes_make(units, inputs, outputs, types, bias, equal_leaks, options);
    made.segment_steps = segment_choose(&sizes, options);
    made.method = method_choose(options, &sizes, made.segment_steps < options->steps,
                                history_bytes(&sizes, options->trials, options->steps));
    if (!updates_fit(options, made.method, error)) {
        return false;
    }
    made.forward_multiply_adds = sizes.forward;
    made.multiply_adds = options->rule ? method_table[made.method]->cost(&sizes) : sizes.forward;
    if (options->rule && made.method == METHOD_REVERSE && made.segment_steps < options->steps) {
        made.multiply_adds += made.forward_multiply_adds;
    }
    sources_cost_add(inputs, options, &made);
    double updates = options->update_every > 0 ? ceil((double)options->steps / options->update_every) : 1;
    made.multiply_adds += updates *
                          (options->rule ? load_cost(units, inputs, outputs, types, bias, options, &made) : 0);

    struct network shape = {.units = units,
                            .inputs = inputs,
                            .outputs = outputs,
                            .types = types,
                            .bias = bias,
                            .neuron = options->neuron,
                            .readout_leaks = options->readout_leaks};
    struct engine probe = {.network = &shape, .options = *options, .plan = made, .has_rule = options->rule != NULL};
    if (options->rule) {
        probe.rule = *options->rule;
    }
    engine_sizes(&probe, units, inputs, types, bias);
    struct carver carver = {0};
    memory_carve(&carver, &probe);
    if (made.method == METHOD_REVERSE) {
        reverse_carve(&carver, &probe);
    }
    if (!size_possible(carver.used)) {
        snprintf(error->text, sizeof error->text,
                 "the memory for %d units, %d steps and %d trials is beyond what this machine can address", units,
                 options->steps, options->trials);
        return false;
    }
    made.memory_bytes = carver.used;
    *plan = made;
    return true;
}

static void engine_sizes(struct engine *engine, int units, int inputs, int types, bool bias) {
    engine->shape = shape_make(units, types, &engine->options);
    engine->form = engine->has_rule ? rule_forward(&engine->rule, &engine->shape) : FORWARD_NONE;
    engine->window = engine->has_rule ? rule_window(&engine->rule) : 0;
    engine->neuron = neuron_table[engine->network->neuron];
    engine->fused = engine->network->neuron == NEURON_MEMBRANE;
    engine->columns = lanes_pad(units);
    engine->type_columns = lanes_pad(types);
    engine->sources = inputs + bias + units;
    engine->z_offset = lanes_pad(inputs + bias);
    engine->first_source = engine->z_offset - bias - inputs;
    engine->stride = (size_t)engine->z_offset + (size_t)engine->columns;
    engine->block_rows = trials_rows(engine->options.trials);
    engine->block_count = trials_blocks(engine->options.trials);
    engine->group_count = engine->block_count < GROUPS_MOST ? engine->block_count : GROUPS_MOST;
    engine->segments = (engine->options.steps - 1) / engine->plan.segment_steps + 1;
}

static void block_carve(struct carver *carver, struct engine *engine, struct block *block) {
    size_t rows = (size_t)engine->block_rows, columns = (size_t)engine->columns,
           outputs = (size_t)engine->network->outputs;
    block->v = carve(carver, (size_t)engine->neuron->states * rows * columns, sizeof(float));
    if (!engine->fused) {
        block->u = carve(carver, rows * columns, sizeof(float));
        block->listed = carve(carver, (size_t)engine->sources, sizeof(int));
        block->learning = carve(carver, rows * columns, sizeof(float));
        block->psi = carve(carver, (TIME_BLOCK + 1) * rows, columns * sizeof(float));
    }
    if (engine->network->readout_leaks) {
        block->filtered = carve(carver, (TIME_BLOCK + 1) * rows, columns * sizeof(float));
    }
    block->y = carve(carver, rows * outputs, sizeof(float));
    block->err = carve(carver, rows * outputs, sizeof(float));
    block->a = carve(carver, rows * columns, sizeof(float));
    block->thin = carve(carver, rows * (size_t)engine->type_columns, sizeof(float));
    block->history = carve(carver, (TIME_BLOCK + 1) * rows, engine->stride * sizeof(float));
    if (engine->has_rule && method_table[engine->plan.method]->carve_block) {
        method_table[engine->plan.method]->carve_block(carver, engine, block);
    }
}

static void matrices_carve(struct carver *carver, struct engine *engine) {
    size_t columns = (size_t)engine->columns, outputs = (size_t)engine->network->outputs;
    engine->weights = (struct packed){carve(carver, (size_t)engine->sources * columns, sizeof(float)), engine->sources,
                                      engine->columns};
    engine->leak = carve(carver, columns, sizeof(float));
    engine->gain = carve(carver, columns, sizeof(float));
    if (engine->options.rate_cost > 0) {
        engine->cost = carve(carver, columns, sizeof(float));
    }
    if (!engine->fused) {
        engine->rho = carve(carver, columns, sizeof(float));
        engine->beta = carve(carver, columns, sizeof(float));
    }
    engine->wout_t = carve(carver, outputs * columns, sizeof(float));
    engine->bout = carve(carver, outputs, sizeof(float));
    engine->feedback = carve(carver, outputs * columns, sizeof(float));
    if (!engine->has_rule) {
        return;
    }
    if (rule_table[engine->rule.type]->uses_hop) {
        hop_carve(carver, engine);
    }
    const struct rule_ops *ops = rule_table[engine->rule.type];
    if (ops->shared_size) {
        engine->rule_shared = carve(carver, ops->shared_size(&engine->rule, &engine->shape), 1);
    }
    if (method_table[engine->plan.method]->carve_matrices) {
        method_table[engine->plan.method]->carve_matrices(carver, engine);
    }
}

static void group_carve(struct carver *carver, struct engine *engine, struct group *group) {
    size_t columns = (size_t)engine->columns, outputs = (size_t)engine->network->outputs;
    group->total = carve(carver, (size_t)engine->sources * columns, sizeof(float));
    group->readout = carve(carver, outputs * columns, sizeof(float));
    group->bout = carve(carver, outputs, sizeof(double));
    group->psi = carve(carver, columns, sizeof(float));
    group->psi_total = carve(carver, columns, sizeof(double));
    if (engine->options.rate_cost > 0) {
        group->rate_total = carve(carver, columns, sizeof(double));
    }
    if (engine->has_rule && method_table[engine->plan.method]->carve_group) {
        method_table[engine->plan.method]->carve_group(carver, engine, group);
    }
}

/*
 * Carves one block for each of the engine's. All take the same memory, so if only the size is needed, one is measured
 * for all: planning takes no time in proportion to the trials.
 */
static void blocks_carve(struct carver *carver, struct engine *engine,
                         void (*block_carve_one)(struct carver *, struct engine *, struct block *)) {
    if (carver->base) {
        for (int b = 0; b < engine->block_count; b++) {
            block_carve_one(carver, engine, &engine->blocks[b]);
        }
        return;
    }
    struct carver one = {0};
    struct block scratch = {0};
    block_carve_one(&one, engine, &scratch);
    carver->used = size_plus(carver->used, size_times(one.used, (size_t)engine->block_count));
}

static void memory_carve(struct carver *carver, struct engine *engine) {
    matrices_carve(carver, engine);
    struct block *blocks = carve(carver, (size_t)engine->block_count, sizeof *blocks);
    struct group *groups = carve(carver, (size_t)engine->group_count, sizeof *groups), scratch;
    engine->blocks = blocks;
    engine->groups = groups;
    blocks_carve(carver, engine, block_carve);
    for (int g = 0; g < engine->group_count; g++) {
        struct group *group = groups ? &groups[g] : (scratch = (struct group){0}, &scratch);
        team_share(engine->block_count, g, engine->group_count, &group->first, &group->count);
        group->count -= group->first;
        group_carve(carver, engine, group);
    }
    engine->trial_loss = carve(carver, (size_t)engine->options.trials, sizeof(double));
    engine->trial_correct = carve(carver, (size_t)engine->options.trials, sizeof(double));
}

static void reverse_carve(struct carver *carver, struct engine *engine) {
    blocks_carve(carver, engine, method_table[METHOD_REVERSE]->carve_history);
}

static void bias_fill(struct engine *engine, struct block *block, size_t slots) {
    if (engine->network->bias) {
        for (size_t i = 0; i < slots * (size_t)engine->block_rows; i++) {
            block->history[i * engine->stride + (size_t)engine->z_offset - 1] = 1.0f;
        }
    }
}

bool engine_reverse_prepare(struct engine *engine) {
    if (engine->reverse_memory) {
        return true;
    }
    struct carver carver = {0};
    reverse_carve(&carver, engine);
    engine->reverse_memory = carver_allocate(&carver);
    if (!engine->reverse_memory) {
        return false;
    }
    reverse_carve(&carver, engine);
    for (int b = 0; b < engine->block_count; b++) {
        bias_fill(engine, &engine->blocks[b], (size_t)engine->plan.segment_steps + 1);
    }
    return true;
}

static bool engine_allocate(struct engine *engine) {
    struct carver carver = {0};
    memory_carve(&carver, engine);
    engine->memory = carver_allocate(&carver);
    if (!engine->memory) {
        return false;
    }
    memory_carve(&carver, engine);
    for (int b = 0; b < engine->block_count; b++) {
        bias_fill(engine, &engine->blocks[b], TIME_BLOCK + 1);
    }
    hop_draw(engine);
    const struct network *network = engine->network;
    memcpy(engine->leak, network->leak, (size_t)network->units * sizeof(float));
    memcpy(engine->gain, network->gain, (size_t)network->units * sizeof(float));
    if (!engine->fused) {
        memcpy(engine->rho, network->rho, (size_t)network->units * sizeof(float));
        memcpy(engine->beta, network->beta, (size_t)network->units * sizeof(float));
    }
    return engine->plan.method != METHOD_REVERSE || engine_reverse_prepare(engine);
}

struct engine *engine_create(const struct network *network, const struct batch_options *options, enum result *result,
                             struct error *error) {
    struct engine *engine = calloc(1, sizeof *engine);
    *result = RESULT_NO_MEMORY;
    if (!engine) {
        snprintf(error->text, sizeof error->text, "out of memory");
        return NULL;
    }
    engine->kernels = kernels_current();
    engine->network = network;
    engine->options = *options;
    engine->options.neuron = network->neuron;
    engine->options.readout_leaks = network->readout_leaks;
    engine->options.noisy = network->noisy;
    engine->options.rate_cost = neuron_table[network->neuron]->spikes ? options->rate_cost : 0;
    engine->has_rule = options->rule != NULL;
    if (options->rule) {
        engine->rule = *options->rule;
    }
    engine->options.rule = engine->has_rule ? &engine->rule : NULL;
    if (!engine_plan_make(network->units, network->inputs, network->outputs, network->types, network->bias,
                          network->equal_leaks, &engine->options, &engine->plan, error)) {
        *result = RESULT_INVALID;
        engine_destroy(engine);
        return NULL;
    }
    engine_sizes(engine, network->units, network->inputs, network->types, network->bias);
    if (!engine_allocate(engine)) {
        snprintf(error->text, sizeof error->text, "out of memory: training needs %zu bytes", engine->plan.memory_bytes);
        engine_destroy(engine);
        return NULL;
    }
    return engine;
}

void engine_destroy(struct engine *engine) {
    if (!engine) {
        return;
    }
    free(engine->memory);
    free(engine->reverse_memory);
    free(engine);
}

void engine_weights_load(struct engine *engine, const float *feedback, double mu, const double *averages) {
    const struct network *network = engine->network;
    int n = network->units, outputs = network->outputs, inputs = network->inputs;
    const float *weights = network->weights, *Wout = weights + network->offset_Wout;
    packed_fill(engine->kernels, &engine->weights, 0, inputs, weights + network->offset_Win, (size_t)n, n, false);
    if (network->bias) {
        packed_fill(engine->kernels, &engine->weights, inputs, 1, weights + network->offset_b, (size_t)n, n, false);
    }
    packed_fill(engine->kernels, &engine->weights, inputs + network->bias, n, weights + network->offset_W, (size_t)n, n,
                false);
    engine->sparse = engine->neuron->spikes &&
                     engine->kernels->finite((size_t)engine->sources * (size_t)engine->columns, engine->weights.data);
    for (int b = 0; b < engine->block_count && !engine->sparse; b++) {
        engine->blocks[b].listed_count = 0;
    }
    for (size_t o = 0; o < (size_t)outputs; o++) {
        for (size_t j = 0; j < (size_t)n; j++) {
            size_t at = o * (size_t)engine->columns + j;
            engine->wout_t[at] = Wout[j * (size_t)outputs + o];
            engine->feedback[at] = feedback ? feedback[o * (size_t)n + j] : engine->wout_t[at];
        }
    }
    memcpy(engine->bout, weights + network->offset_bout, (size_t)outputs * sizeof(float));
    if (!engine->has_rule) {
        return;
    }
    mu_load(engine, mu);
    hop_load(engine, averages);
    if (engine->rule_shared) {
        rule_table[engine->rule.type]->load(&engine->rule, &engine->shape, network, engine->rule_shared);
    }
    engine->traces_stale = engine->plan.method == METHOD_FORWARD || engine->plan.method == METHOD_SYNAPSES;
}

enum engine_method engine_method_used(const struct engine *engine) {
    return engine->used;
}

const char *engine_method_name(enum engine_method method, bool segmented) {
    const struct method *row = method_table[method == METHOD_AUTO ? METHOD_REVERSE : method];
    return segmented && row->name_in_segments ? row->name_in_segments : row->name;
}
