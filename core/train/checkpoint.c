/* Checkpoints: see checkpoint.h. */
#include "core/train/checkpoint.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/size.h"
#include "core/model/neuron.h"
#include "core/rules/rules.h"
#include "core/tasks/task.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "checkpoints are little-endian and written as they lie in memory");

#define CHECKPOINT_VERSION 2u
#define IDENTITY_BYTES sizeof(((struct train_config *)NULL)->identity)

static const char magic[8] = "MODPROP";

struct checkpoint_header {
    char magic[8];
    uint32_t version, checksum; /* of every byte after it */
    uint64_t size, identity_1;  /* 0 except in version 1 */
    int32_t units, inputs, outputs, types, bias, streak;
    uint64_t parameters, optimizer_floats, averages;
    int64_t iteration, evaluated_iteration;
    double training_loss, mu_mean, loss, accuracy;
};

enum { CHECKED_FROM = offsetof(struct checkpoint_header, size) };

/*
 * CRC-32 (IEEE 802.3, reflected), four bits at a time. It detects torn and flipped bytes; the store's sha256 protects
 * against tampering.
 */
static uint32_t checksum(const unsigned char *bytes, size_t size) {
    static const uint32_t table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
                                       0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                       0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

/*
 * ---- identity of version 1 ----
 *
 * It hashes what does not apply to a job too: the parameters of other tasks, rules and optimizers, which had the
 * defaults of version 0.1. Those stand here, so that no default that changes later reaches it.
 */

static const struct {
    enum task_type task;
    const char *name;
    double by_default;
} tasks_1[] = {
    {TASK_DELAYED_XOR, "delay", 700},   {TASK_DELAYED_XOR, "cue", 100},        {TASK_DELAYED_XOR, "amplitude", 2},
    {TASK_DELAYED_XOR, "noise", 0.01},  {TASK_PATTERN, "inputs", 20},          {TASK_PATTERN, "outputs", 1},
    {TASK_PATTERN, "duration", 1000},   {TASK_ROW_MNIST, "steps_per_row", 1},  {TASK_PIXEL_MNIST, "steps_per_pixel", 1},
    {TASK_EVIDENCE, "cues", 7},         {TASK_EVIDENCE, "cue_duration", 150},  {TASK_EVIDENCE, "cue_active", 100},
    {TASK_EVIDENCE, "delay", 800},      {TASK_EVIDENCE, "recall", 150},        {TASK_EVIDENCE, "cue_probability", 0.7},
    {TASK_EVIDENCE, "active_rate", 40}, {TASK_EVIDENCE, "background_rate", 10}};
static const struct rule_config rule_1 = {.mu = 0.25};
static const struct optimizer_config optimizer_1 = {.momentum = 0.9, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8};

static struct rule_config rule_as_1(const struct rule_config *config, enum task_type task) {
    struct rule_config rule = rule_1;
    const struct rule_ops *ops = rule_table[config->type];
    bool credited = rule_took_in_1(ops, "weights");
    if (rule_took_in_1(ops, "mu")) {
        rule.mu = config->mu_auto ? rule_1.mu : config->mu;
        rule.mu_auto = config->mu_auto;
        rule.first_hop = config->first_hop;
        rule.taps = config->taps;
    } else if (task == TASK_ROW_MNIST || task == TASK_PIXEL_MNIST) {
        rule.mu = 0.1;
    }
    rule.type = config->type;
    rule.weights = credited ? config->weights : CREDIT_CELL;
    rule.averaging = credited ? config->averaging : AVERAGING_ALL;
    rule.tracking = credited ? config->tracking : TRACKING_CURRENT;
    rule.feedback = config->feedback;
    rule.feedback_decay = config->feedback_decay;
    return rule;
}

static struct optimizer_config optimizer_as_1(const struct optimizer_config *config) {
    struct optimizer_config optimizer = *config;
    if (config->type == OPTIMIZER_ADAM) {
        optimizer.momentum = optimizer_1.momentum;
    } else {
        optimizer.beta1 = optimizer_1.beta1;
        optimizer.beta2 = optimizer_1.beta2;
        optimizer.epsilon = optimizer_1.epsilon;
    }
    return optimizer;
}

static void hash_bytes(uint64_t *hash, const void *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        *hash = (*hash ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3u; /* FNV-1a */
    }
}

static void hash_number(uint64_t *hash, double number) {
    hash_bytes(hash, &number, sizeof number);
}

static void hash_task(uint64_t *hash, const struct task_config *task) {
    hash_number(hash, task->type);
    for (size_t i = 0; i < sizeof tasks_1 / sizeof *tasks_1; i++) {
        hash_number(hash, tasks_1[i].task == task->type ? task_number(task, tasks_1[i].name) : tasks_1[i].by_default);
    }
    hash_bytes(hash, task->dataset, strlen(task->dataset));
}

static void hash_network(uint64_t *hash, const struct network_config *network) {
    const double numbers[] = {network->units,
                              network->tau,
                              network->tau_is_range,
                              network->tau_low,
                              network->tau_high,
                              network->activation,
                              network->dale,
                              network->excitatory_fraction,
                              network->types_per_sign,
                              network->connectivity,
                              network->rewiring,
                              network->discretization,
                              network->bias};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        hash_number(hash, numbers[i]);
    }
    for (int p = 0; network->tau_of_unit && p < network->units; p++) {
        hash_number(hash, network->tau_of_unit[p]);
    }
}

static void hash_learning(uint64_t *hash, const struct rule_config *rule, const struct optimizer_config *optimizer,
                          int batch_size) {
    const double numbers[] = {rule->type,
                              rule->mu,
                              rule->mu_auto,
                              rule->weights,
                              rule->averaging,
                              rule->tracking,
                              rule->first_hop,
                              rule->taps,
                              rule->feedback,
                              rule->feedback_decay,
                              optimizer->type,
                              optimizer->learning_rate,
                              optimizer->decay_factor,
                              optimizer->decay_every,
                              optimizer->momentum,
                              optimizer->beta1,
                              optimizer->beta2,
                              optimizer->epsilon,
                              optimizer->l2,
                              optimizer->l1,
                              optimizer->clip_norm.set,
                              optimizer->clip_norm.set ? optimizer->clip_norm.value : 0,
                              batch_size};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        hash_number(hash, numbers[i]);
    }
}

uint64_t config_identity_1(const struct train_config *config) {
    uint64_t hash = 0xcbf29ce484222325u;
    hash_number(&hash, (double)config->seed);
    const struct rule_config rule = rule_as_1(&config->rule, config->task.type);
    const struct optimizer_config optimizer = optimizer_as_1(&config->optimizer);
    hash_task(&hash, &config->task);
    hash_network(&hash, &config->network);
    hash_learning(&hash, &rule, &optimizer, config->training.batch_size);
    return hash;
}

/* ---- sizes, writing, reading ---- */

/* From the beginning to the weights. */
static size_t head_size(uint32_t version) {
    return sizeof(struct checkpoint_header) + (version == 1 ? 0 : IDENTITY_BYTES);
}

static size_t size_of(uint32_t version, size_t parameters, size_t optimizer_floats, size_t averages, size_t units) {
    size_t floats = size_times(size_plus(parameters, optimizer_floats), sizeof(float)),
           rest = size_plus(size_times(averages, sizeof(double)),
                            size_times(units, sizeof(float) + 2 * sizeof(int32_t)));
    return size_plus(head_size(version), size_plus(floats, rest));
}

size_t checkpoint_kept(const struct train_config *config) {
    const struct tap_fit *fit = rule_fit(&config->rule);
    size_t types = (size_t)network_types_count(&config->network), square = size_times(types, types);
    if (fit) {
        return size_plus(REPORT_DOUBLES, size_times((size_t)fit->steps, square));
    }
    return rule_is_averaged(&config->rule) && config->rule.tracking == TRACKING_INITIAL ? square : 0;
}

size_t checkpoint_size(const struct checkpoint_arrays *arrays) {
    return size_of(CHECKPOINT_VERSION, arrays->network->parameters, arrays->optimizer->state_floats,
                   arrays->average_count, (size_t)arrays->network->units);
}

size_t checkpoint_size_estimate(const struct train_config *config, int inputs, int outputs) {
    size_t n = (size_t)config->network.units,
           parameters = network_parameters(config->network.units, inputs, outputs, config->network.bias);
    return size_of(CHECKPOINT_VERSION, parameters,
                   optimizer_state_floats(parameters, config->network.units, outputs, config), checkpoint_kept(config),
                   n);
}

static unsigned char *put(unsigned char *at, const void *from, size_t size) {
    if (size > 0) {
        memcpy(at, from, size);
    }
    return at + size;
}

/* The checksum, which comes last. */
static void seal(unsigned char *bytes, uint64_t size) {
    uint32_t sum = checksum(bytes + CHECKED_FROM, size - CHECKED_FROM);
    memcpy(bytes + offsetof(struct checkpoint_header, checksum), &sum, sizeof sum);
}

void checkpoint_write(const struct train_config *config, const struct train_state *state,
                      const struct checkpoint_arrays *arrays, unsigned char *bytes) {
    const struct network *network = arrays->network;
    struct checkpoint_header header = {.version = CHECKPOINT_VERSION,
                                       .size = checkpoint_size(arrays),
                                       .units = network->units,
                                       .inputs = network->inputs,
                                       .outputs = network->outputs,
                                       .types = network->types,
                                       .bias = network->bias,
                                       .streak = state->streak,
                                       .parameters = network->parameters,
                                       .optimizer_floats = arrays->optimizer->state_floats,
                                       .averages = arrays->average_count,
                                       .iteration = state->iteration,
                                       .evaluated_iteration = state->evaluated_iteration,
                                       .training_loss = state->training_loss,
                                       .mu_mean = state->mu_mean,
                                       .loss = state->loss,
                                       .accuracy = state->accuracy};
    memcpy(header.magic, magic, sizeof magic);
    size_t n = (size_t)network->units;
    unsigned char *at = put(bytes, &header, sizeof header);
    at = put(at, config->identity, IDENTITY_BYTES);
    at = put(at, network->weights, network->parameters * sizeof(float));
    at = put(at, arrays->optimizer->first, arrays->optimizer->state_floats * sizeof(float));
    at = put(at, arrays->averages, arrays->average_count * sizeof(double));
    at = put(at, network->leak, n * sizeof(float));
    at = put(at, network->type_of_unit, n * sizeof(int32_t));
    put(at, network->sign, n * sizeof(int32_t));
    seal(bytes, header.size);
}

void checkpoint_streak_set(unsigned char *bytes, int32_t streak) {
    struct checkpoint_header header;
    memcpy(&header, bytes, sizeof header);
    memcpy(bytes + offsetof(struct checkpoint_header, streak), &streak, sizeof streak);
    seal(bytes, header.size);
}

static bool refuse(struct error *error, const char *text) {
    snprintf(error->text, sizeof error->text, "%s", text);
    return false;
}

static bool identity_matches(const struct train_config *config, const struct checkpoint_header *header,
                             const unsigned char *bytes) {
    if (header->version == 1) {
        return header->identity_1 == config_identity_1(config);
    }
    return memcmp(bytes + sizeof *header, config->identity, IDENTITY_BYTES) == 0;
}

static bool header_check(const struct train_config *config, const unsigned char *bytes, size_t size,
                         struct checkpoint_header *header, struct error *error) {
    if (size < head_size(CHECKPOINT_VERSION)) {
        return refuse(error, "the checkpoint is truncated");
    }
    memcpy(header, bytes, sizeof *header);
    if (memcmp(header->magic, magic, sizeof magic) != 0) {
        return refuse(error, "this is not a checkpoint of modprop");
    }
    if (header->version != 1 && header->version != CHECKPOINT_VERSION) {
        return refuse(error, "the checkpoint has a version that this program does not read");
    }
    if (header->size != size) {
        return refuse(error, "the checkpoint is truncated or has bytes appended");
    }
    if (checksum(bytes + CHECKED_FROM, size - CHECKED_FROM) != header->checksum) {
        return refuse(error, "the checkpoint is damaged: its checksum does not match");
    }
    if (!identity_matches(config, header, bytes)) {
        return refuse(error, "the checkpoint belongs to another job: its configuration differs");
    }
    uint64_t most = size / sizeof(float);
    if (header->units < 1 || (uint64_t)header->units > most || header->parameters > most ||
        header->optimizer_floats > most || header->averages > most ||
        size_of(header->version, header->parameters, header->optimizer_floats, header->averages,
                (size_t)header->units) != size) {
        return refuse(error, "the checkpoint is damaged: its sizes contradict each other");
    }
    return true;
}

static const unsigned char *get(const unsigned char *at, void *to, size_t size) {
    if (size > 0) {
        memcpy(to, at, size);
    }
    return at + size;
}

bool checkpoint_read(const struct train_config *config, const unsigned char *bytes, size_t size,
                     struct train_state *state, const struct checkpoint_arrays *arrays, struct error *error) {
    struct checkpoint_header header;
    const struct network *network = arrays->network;
    if (!header_check(config, bytes, size, &header, error)) {
        return false;
    }
    if (header.units != network->units || header.inputs != network->inputs || header.outputs != network->outputs ||
        header.types != network->types || header.bias != network->bias || header.parameters != network->parameters ||
        header.optimizer_floats != arrays->optimizer->state_floats || header.averages != arrays->average_count) {
        return refuse(error, "the checkpoint belongs to another job: its network has other sizes");
    }
    *state = (struct train_state){.iteration = header.iteration,
                                  .training_loss = header.training_loss,
                                  .mu_mean = header.mu_mean,
                                  .evaluated_iteration = header.evaluated_iteration,
                                  .loss = header.loss,
                                  .accuracy = header.accuracy,
                                  .streak = header.streak};
    const unsigned char *at = bytes + head_size(header.version);
    at = get(at, network->weights, network->parameters * sizeof(float));
    at = get(at, arrays->optimizer->first, arrays->optimizer->state_floats * sizeof(float));
    get(at, arrays->averages, arrays->average_count * sizeof(double));
    return true;
}

/* ---- for readers of weights ---- */

static void trained_point(struct trained *trained, const struct checkpoint_header *header,
                          const unsigned char *memory) {
    size_t n = (size_t)header->units, inputs = (size_t)header->inputs, outputs = (size_t)header->outputs;
    const unsigned char *arrays = memory + head_size(header->version);
    const float *weights = (const float *)(const void *)arrays;
    const unsigned char *fixed = arrays + (header->parameters + header->optimizer_floats) * sizeof(float) +
                                 header->averages * sizeof(double);
    *trained = (struct trained){
        .units = header->units,
        .inputs = header->inputs,
        .outputs = header->outputs,
        .types = header->types,
        .has_bias = header->bias != 0,
        .iteration = header->iteration,
        .evaluated = header->evaluated_iteration,
        .parameters = header->parameters,
        .W = weights,
        .Win = weights + n * n,
        .leak = (const float *)(const void *)fixed,
        .type_of_unit = (const int *)(const void *)(fixed + n * sizeof(float)),
        .sign_of_unit = (const int *)(const void *)(fixed + n * (sizeof(float) + sizeof(int32_t))),
        .memory = (void *)(uintptr_t)memory};
    const float *at = trained->Win + inputs * n;
    trained->b = header->bias ? at : NULL;
    trained->Wout = at + (header->bias ? n : 0);
    trained->bout = trained->Wout + n * outputs;
}

/* It follows from configuration and seed, so checkpoints do not hold it. */
static void adaptation_point(struct trained *trained, const struct train_config *config, float *memory) {
    for (int p = 0; p < trained->units; p++) {
        double rho, beta;
        network_adaptation_of(&config->network, config->seed, p, &rho, &beta);
        memory[p] = (float)rho;
        memory[trained->units + p] = (float)beta;
    }
    trained->rho = memory;
    trained->beta = memory + trained->units;
}

enum result trained_open(const struct train_config *config, const unsigned char *bytes, size_t size,
                         struct trained *trained, struct error *error) {
    struct checkpoint_header header;
    *error = (struct error){0};
    if (!header_check(config, bytes, size, &header, error)) {
        return RESULT_BAD_CHECKPOINT;
    }
    uint64_t n = (uint64_t)header.units;
    if (header.inputs < 1 || header.outputs < 1 ||
        header.parameters != n * n + (uint64_t)header.inputs * n + (header.bias ? n : 0) +
                                 n * (uint64_t)header.outputs + (uint64_t)header.outputs) {
        refuse(error, "the checkpoint is damaged: its sizes contradict each other");
        return RESULT_BAD_CHECKPOINT;
    }
    const bool adapts = neuron_table[config->network.neuron]->adapts;
    const size_t more = adapts ? 2 * (size_t)n * sizeof(float) : 0, start = size_aligned(size, sizeof(float));
    unsigned char *memory = malloc(size_plus(start, more));
    if (!memory) {
        refuse(error, "out of memory");
        return RESULT_NO_MEMORY;
    }
    memcpy(memory, bytes, size);
    trained_point(trained, &header, memory);
    if (adapts) {
        adaptation_point(trained, config, (float *)(void *)(memory + start));
    }
    return RESULT_DONE;
}

void trained_release(struct trained *trained) {
    if (!trained) {
        return;
    }
    free(trained->memory);
    *trained = (struct trained){0};
}
