/*
 * What the device covers, and the sizes that its kernels are built for: see cohort.h.
 *
 * The method is the engine's own choice for the same batch, since the order of the sums follows from it.
 */
#include <stdio.h>

#include "core/backend/opencl/cohort.h"
#include "core/rules/rules.h"

enum { TYPES_MOST = 32 }; /* of modes, whose eigenvalue problem is in the private memory of a work-item */

static bool refuse(struct error *error, const char *text) {
    snprintf(error->text, sizeof error->text, "%s", text);
    return false;
}

const struct cl_device *shape_device(const struct batch_options *options, struct error *error) {
    const struct cl_device *devices;
    int count = cl_devices(&devices, error->text);
    if (count == 0) {
        return NULL;
    }
    if (options->device < 0 || options->device >= count) {
        snprintf(error->text, sizeof error->text, "device must be from 0 to %d; got %d", count - 1, options->device);
        return NULL;
    }
    const struct cl_device *device = &devices[options->device];
    if (!device->suitable) {
        snprintf(error->text, sizeof error->text, "device %d (%.60s) does not compute as the processor does: %.120s",
                 options->device, device->name, device->why);
        return NULL;
    }
    return device;
}

/* ---- the rule ---- */

static enum credit_kind credit_of(const struct rule_config *rule) {
    switch (rule->type) {
    case RULE_BPTT:
        return CREDIT_PSI;
    case RULE_MDGL:
        return CREDIT_NEXT;
    case RULE_MODPROP:
        return rule->first_hop == FIRST_HOP_MU ? CREDIT_MU : CREDIT_BOTH;
    default:
        return CREDIT_LOCAL;
    }
}

static bool rule_covered(const struct rule_config *rule, const struct rule_shape *of, struct error *error) {
    if (rule->type != RULE_BPTT && rule->type != RULE_EPROP && rule->type != RULE_MDGL && rule->type != RULE_MODPROP) {
        snprintf(error->text, sizeof error->text,
                 "rule %s is not covered by the device, which has bptt, eprop, mdgl and modprop",
                 rule_table[rule->type]->name);
        return false;
    }
    bool hops = rule->type == RULE_MDGL || rule->type == RULE_MODPROP;
    if (hops && rule->weights != CREDIT_CELL && rule->weights != CREDIT_TYPE) {
        return refuse(error, "rule.weights other than cell and type are not covered by the device");
    }
    if (rule->gain_bound.most > 0) {
        return refuse(error, "rule.mu with a bound on the credit gain is not covered by the device");
    }
    if (rule_taps(rule) > 0 && rule_taps(rule) < of->steps - 1) {
        return refuse(error, "rule.taps is not covered by the device");
    }
    return true;
}

static void rule_shape_fill(const struct rule_config *rule, const struct rule_shape *of, struct shape *shape) {
    bool hops = rule->type == RULE_MDGL || rule->type == RULE_MODPROP;
    shape->credit = credit_of(rule);
    shape->window = rule_window(rule);
    shape->has_feedback = rule->feedback != FEEDBACK_SYMMETRIC;
    shape->hop_averages = hops && rule->weights == CREDIT_TYPE;
    shape->hop_types = hops && rule_is_low_rank(rule, of) ? of->types : 0;
    shape->hop_existing = shape->hop_averages && rule->averaging == AVERAGING_EXISTING;
    shape->mu_auto = rule->mu_auto;
    shape->mu_given = rule->mu_of.values != NULL;
}

/* ---- the layout ---- */

static int at_least(int a, int b) {
    return a > b ? a : b;
}

/* Local memory that a work-group of `rows` trials takes, in bytes. */
static size_t group_bytes(const struct shape *shape, int rows) {
    size_t sources = (size_t)shape->inputs + (size_t)shape->bias + (size_t)shape->units,
           pitch = (size_t)rows + (rows % 8 == 0 ? 4 : 0);
    return sizeof(float) * pitch * (2 * sources + (size_t)shape->hop_types);
}

/* Tiles of the outer product: of sources, and the rows whose sum stays in local memory. */
static void outer_choose(struct shape *shape, const struct cl_device *device) {
    int sources = shape->inputs + shape->bias + shape->units, tiles = (sources + 7) / 8,
        room = at_least((device->group_items < 512 ? (int)device->group_items : 512) / shape->lanes, 1);
    shape->outer_tiles = tiles < room ? tiles : room;
    shape->outer_chunk = 16;
    while (shape->outer_chunk > 1 &&
           (size_t)shape->outer_chunk * sizeof(float) * (size_t)(8 * shape->outer_tiles + shape->columns) >
               device->local_memory / 2) {
        shape->outer_chunk /= 2;
    }
}

/* Work-items of a group of trials. */
static int trial_items(const struct shape *shape) {
    return shape->lanes * (shape->group_rows / shape->tile_rows);
}

/* The most trials of a group that its local memory holds, of those that divide the batch. */
static int group_rows_choose(const struct shape *shape, int most, const struct cl_device *device) {
    int rows = most;
    while (rows > 1 && (shape->rows_padded % rows != 0 || group_bytes(shape, rows) > device->local_memory)) {
        rows = rows % 2 ? 1 : rows / 2;
    }
    return rows;
}

/*
 * Tiles of trials: a lone job is spread over as many work-groups as there are, many jobs take large tiles, which read
 * the weights less often.
 */
static bool tiles_choose(struct shape *shape, int jobs, const struct cl_device *device, struct error *error) {
    shape->lanes = 8;
    while (4 * shape->lanes < shape->columns) {
        shape->lanes *= 2;
    }
    bool many = !device->gpu || (long)jobs * shape->rows_padded >= 64L * device->units;
    int most = shape->block_rows < BLOCK_TRIALS ? shape->block_rows : many && device->gpu ? 32 : many ? 8 : 4;
    shape->group_rows = group_rows_choose(shape, most, device);
    shape->tile_rows = !many ? 1 : shape->group_rows < 8 ? shape->group_rows : 8;
    while (trial_items(shape) > (int)device->group_items && shape->tile_rows < 8 &&
           shape->tile_rows < shape->group_rows) {
        shape->tile_rows *= 2;
    }
    if (group_bytes(shape, shape->group_rows) > device->local_memory || trial_items(shape) > (int)device->group_items) {
        snprintf(error->text, sizeof error->text, "%d units and %d inputs do not fit the local memory of the device",
                 shape->units, shape->inputs);
        return false;
    }
    outer_choose(shape, device);
    return true;
}

static void blocks_fill(struct shape *shape) {
    shape->block_rows = shape->trials < BLOCK_TRIALS ? shape->trials : BLOCK_TRIALS;
    int blocks = (shape->trials - 1) / shape->block_rows + 1;
    shape->rows_padded = blocks * shape->block_rows;
    shape->groups = blocks < GROUPS_MOST ? blocks : GROUPS_MOST;
    shape->columns = lanes_pad(shape->units);
    shape->z_offset = (shape->inputs + shape->bias + 3) / 4 * 4;
    shape->losses = shape->steps - shape->mask_from;
}

static bool history_fill(struct shape *shape, struct error *error) {
    bool reverse = shape->method == METHOD_REVERSE || shape->modes;
    shape->slots = (reverse ? shape->steps : TIME_BLOCK) + 1;
    if (shape->method != METHOD_FORWARD) {
        return true;
    }
    shape->traces = shape->modes ? 1 + shape->types : 1;
    shape->kept = !shape->modes ? 0 : shape->losses < TIME_BLOCK ? shape->losses : TIME_BLOCK;
    shape->entries = shape->credit == CREDIT_NEXT ? 2 : 1;
    bool flushed = (long)shape->losses * shape->entries > TIME_BLOCK;
    shape->ring = flushed ? 4 * TIME_BLOCK : shape->losses * shape->entries;
    /* what a trial without loss adds to a chain is 0, but it counts where a long chain is cut */
    if (flushed && (!shape->mask_uniform || shape->trials != shape->rows_padded)) {
        snprintf(error->text, sizeof error->text,
                 "%s at more than %d steps is not covered by the device for a rule that goes forward in time",
                 shape->mask_uniform ? "a batch that is no multiple of 8 with loss"
                                     : "loss that differs between trials",
                 TIME_BLOCK / shape->entries);
        return false;
    }
    return true;
}

static bool options_covered(const struct batch_options *options, struct error *error) {
    if (options->neuron != NEURON_MEMBRANE) {
        return refuse(error, "network.model other than membrane is not covered by the device");
    }
    if (options->readout_leaks) {
        return refuse(error, "network.readout_tau is not covered by the device");
    }
    if (options->noisy) {
        return refuse(error, "network.noise is not covered by the device");
    }
    if (options->update_every > 0) {
        return refuse(error, "training.update_every is not covered by the device");
    }
    if (options->task && !device_task_find(options->task)) {
        snprintf(error->text, sizeof error->text, "task %s is not covered by the device", options->task->name);
        return false;
    }
    return options->mask_from < options->steps || refuse(error, "a trial without a step that carries loss is not "
                                                                "covered by the device");
}

bool shape_make(const struct backend_sizes *sizes, const struct batch_options *options, int jobs,
                const struct cl_device *device, struct shape *shape, struct error *error) {
    struct engine_plan plan;
    if (!engine_plan_make(sizes->units, sizes->inputs, sizes->outputs, sizes->types, sizes->bias, sizes->equal_leaks,
                          options, &plan, error) ||
        !options_covered(options, error)) {
        return false;
    }
    *shape = (struct shape){.units = sizes->units,
                            .inputs = sizes->inputs,
                            .outputs = sizes->outputs,
                            .types = sizes->types,
                            .steps = options->steps,
                            .trials = options->trials,
                            .mask_from = options->mask_from,
                            .bias = sizes->bias,
                            .mask_uniform = options->mask_uniform,
                            .count_psi = options->count_psi,
                            .loss = options->loss,
                            .method = options->rule ? plan.method : METHOD_AUTO};
    if (options->rule) {
        const struct rule_shape of = {.units = sizes->units,
                                      .types = sizes->types,
                                      .steps = options->steps,
                                      .losses = options->steps - options->mask_from,
                                      .neuron = options->neuron,
                                      .connectivity = options->connectivity > 0 ? options->connectivity : 1};
        if (!rule_covered(options->rule, &of, error)) {
            return false;
        }
        rule_shape_fill(options->rule, &of, shape);
        if (plan.method != METHOD_REVERSE && plan.method != METHOD_FORWARD) {
            snprintf(error->text, sizeof error->text, "the method %s is not covered by the device",
                     engine_method_name(plan.method, false));
            return false;
        }
        shape->modes = plan.method == METHOD_FORWARD && rule_forward(options->rule, &of) == FORWARD_MODES;
        if (shape->modes && sizes->types > TYPES_MOST) {
            snprintf(error->text, sizeof error->text, "modprop with more than %d types is not covered by the device",
                     TYPES_MOST);
            return false;
        }
    }
    blocks_fill(shape);
    return history_fill(shape, error) && tiles_choose(shape, jobs, device, error);
}
