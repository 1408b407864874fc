/*
 * Network: shapes, fixed parts and initial weights. See network.h. All arithmetic of the initial weights is in double;
 * the result is rounded once.
 */
#include "core/model/network.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/eigen.h"
#include "core/base/elementary.h"
#include "core/base/random.h"
#include "core/base/size.h"
#include "core/model/neuron.h"

static int sign_types(int units, int types) {
    return units < types ? units : types;
}

int network_inhibitory_count(const struct network_config *config) {
    if (!config->dale) {
        return 0;
    }
    int excitatory = (int)floor(config->excitatory_fraction * config->units) + 1;
    return excitatory >= config->units ? 0 : config->units - excitatory;
}

int network_types_count(const struct network_config *config) {
    if (config->type_of_unit) {
        return config->types;
    }
    if (!config->dale) {
        return sign_types(config->units, config->types_per_sign);
    }
    int inhibitory = network_inhibitory_count(config);
    return sign_types(inhibitory, config->types_per_sign) +
           sign_types(config->units - inhibitory, config->types_per_sign);
}

/* ---- memory ---- */

size_t network_parameters(int units, int inputs, int outputs, bool bias) {
    size_t n = (size_t)units, into = size_plus((size_t)inputs, (size_t)outputs);
    return size_plus(size_times(n, size_plus(size_plus(n, into), bias)), (size_t)outputs);
}

double network_init_cost(const struct network_config *config, int inputs, int outputs) {
    double n = config->units, drawn = config->connectivity < 1 ? n * n * WORK_UNIFORM : 0,
           rest = drawn + (double)network_parameters(config->units, inputs, outputs, config->bias);
    if (config->initial) {
        return rest;
    }
    rest += n * inputs * WORK_NORMAL;
    if (!config->dale) {
        return rest + n * (n + outputs) * WORK_NORMAL;
    }
    double matrices = 1 + ceil(outputs / n);
    return rest + matrices * (n * n * (WORK_NORMAL + 2) + eigen_radius_cost(config->units));
}

static bool offsets_make(struct network *network, bool bias) {
    size_t n = (size_t)network->units, inputs = (size_t)network->inputs, outputs = (size_t)network->outputs;
    network->offset_W = 0;
    network->offset_Win = size_times(n, n);
    network->offset_b = size_plus(network->offset_Win, size_times(n, inputs));
    network->offset_Wout = size_plus(network->offset_b, bias ? n : 0);
    network->offset_bout = size_plus(network->offset_Wout, size_times(n, outputs));
    network->parameters = size_plus(network->offset_bout, outputs);
    return size_possible(size_times(network->parameters, 16)); /* the fixed parts take less than the rest */
}

static void *part(unsigned char **at, size_t count, size_t size) {
    void *here = *at;
    *at += (count * size + 63) / 64 * 64;
    return here;
}

static void network_carve(struct network *network, unsigned char *base, bool masked, size_t *size) {
    size_t n = (size_t)network->units;
    unsigned char *at = base;
    network->weights = part(&at, network->parameters, sizeof(float));
    network->leak = part(&at, n, sizeof(float));
    network->gain = part(&at, n, sizeof(float));
    network->leak_exact = part(&at, n, sizeof(double));
    network->gain_exact = part(&at, n, sizeof(double));
    network->rho = part(&at, n, sizeof(float));
    network->beta = part(&at, n, sizeof(float));
    network->noise_of_unit = part(&at, n, sizeof(float));
    network->rho_exact = part(&at, n, sizeof(double));
    network->beta_exact = part(&at, n, sizeof(double));
    network->type_of_unit = part(&at, n, sizeof(int));
    network->type_size = part(&at, n, sizeof(int));
    network->sign = part(&at, n, sizeof(int));
    network->mask = masked ? part(&at, n * n, 1) : NULL;
    *size = (size_t)(at - base);
}

bool network_allocate(struct network *network, int units, int inputs, int outputs, bool bias, bool masked) {
    *network = (struct network){.units = units, .inputs = inputs, .outputs = outputs, .bias = bias};
    size_t size;
    if (units < 1 || inputs < 1 || outputs < 1 || !offsets_make(network, bias)) {
        return false;
    }
    /* the first pass measures: its pointers are never used */
    static unsigned char origin;
    network_carve(network, &origin, masked, &size);
    network->memory = aligned_alloc(64, size);
    if (!network->memory) {
        *network = (struct network){0};
        return false;
    }
    memset(network->memory, 0, size);
    network_carve(network, network->memory, masked, &size);
    return true;
}

void network_release(struct network *network) {
    if (!network) {
        return;
    }
    free(network->memory);
    *network = (struct network){0};
}

/* ---- fixed parts ---- */

static void types_group(struct network *network, int first_unit, int units, int first_type, int types) {
    for (int i = 0; i < units; i++) {
        /* groups as equal as possible, the larger ones first */
        int each = units / types, larger = units % types;
        int type = i < larger * (each + 1) ? i / (each + 1) : larger + (i - larger * (each + 1)) / each;
        network->type_of_unit[first_unit + i] = first_type + type;
        network->type_size[first_type + type]++;
    }
}

/* Deals the types of units [first, first + units) out among them at random (Durstenfeld 1964). */
static void types_shuffle(struct network *network, int first, int units, uint64_t seed) {
    struct random_stream stream = random_stream_make(seed, RANDOM_TYPES, 0, 0);
    int *type = network->type_of_unit + first;
    for (int i = units - 1; i > 0; i--) {
        int other = (int)random_below(&stream, (uint64_t)first + (uint64_t)i, (uint64_t)i + 1), kept = type[i];
        type[i] = type[other];
        type[other] = kept;
    }
}

static void types_assign(struct network *network, const struct network_config *config, uint64_t seed) {
    int n = network->units, inhibitory = network->inhibitory, excitatory = n - inhibitory;
    if (config->type_of_unit) {
        for (int p = 0; p < n; p++) {
            network->type_of_unit[p] = config->type_of_unit[p];
            network->type_size[config->type_of_unit[p]]++;
        }
        return;
    }
    int below = inhibitory > 0 ? sign_types(inhibitory, config->types_per_sign) : 0;
    if (below > 0) {
        types_group(network, 0, inhibitory, 0, below);
    }
    types_group(network, inhibitory, excitatory, below, network->types - below);
    if (config->types_shuffled) {
        types_shuffle(network, 0, inhibitory, seed);
        types_shuffle(network, inhibitory, excitatory, seed);
    }
}

static void leaks_assign(struct network *network, const struct network_config *config, uint64_t seed) {
    struct random_stream stream = random_stream_make(seed, RANDOM_TAU, 0, 0);
    network->equal_leaks = true;
    for (int p = 0; p < network->units; p++) {
        double tau = config->tau;
        if (config->tau_of_unit) {
            tau = config->tau_of_unit[p];
        } else if (config->tau_is_range) {
            tau = config->tau_low + (config->tau_high - config->tau_low) * random_uniform(&stream, (uint64_t)p);
        }
        double leak = config->discretization == DISCRETIZATION_EULER ? 1 - 1 / tau : elementary_exp(-1 / tau);
        network_leak_set(network, p, leak);
    }
}

void network_leak_set(struct network *network, int unit, double leak) {
    double gain = neuron_table[network->neuron]->spikes ? 1 : 1 - leak;
    network->leak_exact[unit] = leak;
    network->gain_exact[unit] = gain;
    network->leak[unit] = (float)leak;
    network->gain[unit] = (float)gain;
    network->equal_leaks = (unit == 0 || network->equal_leaks) && leak == network->leak_exact[0];
}

void network_adaptation_set(struct network *network, int unit, double rho, double beta) {
    network->rho_exact[unit] = rho;
    network->beta_exact[unit] = beta;
    network->rho[unit] = (float)rho;
    network->beta[unit] = (float)beta;
}

void network_spiking_set(struct network *network, double threshold, double dampening, int refractory) {
    network->spiking = (struct neuron_constants){.threshold = (float)threshold,
                                                 .psi_peak = (float)(dampening / threshold),
                                                 .psi_slope = (float)(dampening / (threshold * threshold)),
                                                 .refractory = (float)refractory};
}

void network_adaptation_of(const struct network_config *config, uint64_t seed, int unit, double *rho, double *beta) {
    struct random_stream stream = random_stream_make(seed, RANDOM_ADAPTATION, 0, 0);
    int inhibitory = network_inhibitory_count(config);
    int first = unit < inhibitory ? 0 : inhibitory, end = unit < inhibitory ? inhibitory : config->units;
    double tau = config->tau_adaptation;
    if (config->tau_adaptation_is_range) {
        tau = config->tau_adaptation_low +
              (config->tau_adaptation_high - config->tau_adaptation_low) * random_uniform(&stream, (uint64_t)unit);
    }
    *rho = elementary_exp(-1 / tau);
    *beta = end - unit <= (int)floor(config->adaptive_fraction * (end - first) + 0.5) ? config->beta : 0;
}

/* normal(0, noise sqrt(1 - leak^2) / gain) on the current gives v the standard deviation noise. */
static float noise_of(const struct network *network, double noise, int unit) {
    double leak = network->leak_exact[unit], gain = network->gain_exact[unit];
    return gain > 0 ? (float)(noise * sqrt(1 - leak * leak) / gain) : 0.0f;
}

static void neurons_assign(struct network *network, const struct network_config *config, uint64_t seed) {
    const struct neuron_ops *ops = neuron_table[config->neuron];
    if (ops->spikes) {
        network_spiking_set(network, config->threshold, config->dampening, config->refractory);
    }
    for (int p = 0; ops->adapts && p < network->units; p++) {
        double rho, beta;
        network_adaptation_of(config, seed, p, &rho, &beta);
        network_adaptation_set(network, p, rho, beta);
    }
    for (int p = 0; p < network->units; p++) {
        network->noise_of_unit[p] = noise_of(network, config->noise, p);
    }
    network->noisy = config->noise > 0;
    network->readout_leaks = config->readout_tau.set;
    network->readout_kappa = config->readout_tau.set ? elementary_exp(-1 / config->readout_tau.value) : 0;
}

static void mask_draw(struct network *network, double connectivity, uint64_t seed, struct work *work) {
    struct random_stream stream = random_stream_make(seed, RANDOM_MASK, 0, 0);
    size_t n = (size_t)network->units;
    for (size_t i = 0; network->mask && i < n * n && !work_add(work, WORK_UNIFORM); i++) {
        network->mask[i] = i % (n + 1) != 0 && random_uniform(&stream, i) < connectivity;
    }
}

/* ---- the published weights ---- */

/* |normal| times the source's sign; inhibitory rows scaled so that all excitation equals all inhibition. */
static void signed_normals(const struct network *network, const struct random_stream *stream, double *a,
                           struct work *work) {
    int n = network->units;
    double excitation = 0, inhibition = 0;
    for (int q = 0; q < n && !work_add(work, (double)n * WORK_NORMAL); q++) {
        for (int p = 0; p < n; p++) {
            size_t at = (size_t)q * (size_t)n + (size_t)p;
            a[at] = fabs(random_normal(stream, at)) * network->sign[q];
            *(network->sign[q] > 0 ? &excitation : &inhibition) += fabs(a[at]);
        }
    }
    for (size_t at = 0; inhibition > 0 && at < (size_t)network->inhibitory * (size_t)n; at++) {
        a[at] *= excitation / inhibition;
    }
}

/* Column by column, the weaker side is raised by an equal amount on every entry until the column sums to 0. */
static void columns_balance(const struct network *network, double *a, struct work *work) {
    int n = network->units, inhibitory = network->inhibitory;
    if (inhibitory == 0) {
        return;
    }
    for (int p = 0; p < n && !work_add(work, 2.0 * n); p++) {
        double sum = 0;
        for (int q = 0; q < n; q++) {
            sum += a[(size_t)q * (size_t)n + (size_t)p];
        }
        /* too much excitation: inhibition is raised, and the other way round */
        int from = sum > 0 ? 0 : inhibitory, to = sum > 0 ? inhibitory : n;
        for (int q = from; q < to; q++) {
            a[(size_t)q * (size_t)n + (size_t)p] -= sum / (to - from);
        }
    }
}

/* One matrix of the recipe, of spectral radius 1, its diagonal kept. Returns what eigen_radius returns. */
static int balanced_matrix(const struct network *network, uint64_t seed, enum random_purpose purpose, double *a,
                           double *copy, void *scratch, struct work *work) {
    size_t square = (size_t)network->units * (size_t)network->units;
    struct random_stream stream = random_stream_make(seed, purpose, 0, 0);
    double radius;
    signed_normals(network, &stream, a, work);
    columns_balance(network, a, work);
    memcpy(copy, a, square * sizeof *a);
    int result = work->stopped ? -1 : eigen_radius(network->units, copy, scratch, work, &radius);
    for (size_t i = 0; result == 0 && i < square; i++) {
        a[i] /= radius;
    }
    return result;
}

/* The published weights are those of the membrane; another model's are as large as it says. */
static const struct neuron_weights *weights_of(const struct network *network) {
    return &neuron_table[network->neuron]->weights;
}

static int dale_weights(struct network *network, uint64_t seed, double *a, double *copy, void *scratch,
                        struct work *work) {
    size_t n = (size_t)network->units, outputs = (size_t)network->outputs;
    float *W = network->weights + network->offset_W, *Wout = network->weights + network->offset_Wout;
    const double scale = weights_of(network)->dale;
    int result = balanced_matrix(network, seed, RANDOM_WEIGHTS_W, a, copy, scratch, work);
    for (size_t i = 0; result == 0 && i < n * n; i++) {
        W[i] = (float)(scale * a[i]);
    }
    /* the readout takes the first O columns of as many more such matrices as it needs */
    for (size_t first = 0, k = 0; result == 0 && first < outputs; first += n, k++) {
        result = balanced_matrix(network, seed + (k << 54), RANDOM_WEIGHTS_WOUT, a, copy, scratch, work);
        for (size_t j = 0; result == 0 && j < n; j++) {
            for (size_t o = first; o < outputs && o < first + n; o++) {
                Wout[j * outputs + o] = (float)(scale * a[j * n + (o - first)]);
            }
        }
    }
    return result;
}

static void free_weights(struct network *network, uint64_t seed, struct work *work) {
    size_t n = (size_t)network->units, outputs = (size_t)network->outputs;
    struct random_stream w = random_stream_make(seed, RANDOM_WEIGHTS_W, 0, 0),
                         out = random_stream_make(seed, RANDOM_WEIGHTS_WOUT, 0, 0);
    double deviation = sqrt(weights_of(network)->W / (double)n), read = sqrt(weights_of(network)->Wout / (double)n);
    for (size_t i = 0; i < n * n && !work_add(work, WORK_NORMAL); i++) {
        network->weights[network->offset_W + i] = (float)(deviation * random_normal(&w, i));
    }
    for (size_t i = 0; i < n * outputs && !work_add(work, WORK_NORMAL); i++) {
        network->weights[network->offset_Wout + i] = (float)(read * random_normal(&out, i));
    }
}

static void input_weights(struct network *network, uint64_t seed, struct work *work) {
    struct random_stream stream = random_stream_make(seed, RANDOM_WEIGHTS_WIN, 0, 0);
    size_t count = (size_t)network->units * (size_t)network->inputs;
    double deviation = sqrt(weights_of(network)->Win / network->inputs);
    for (size_t i = 0; i < count && !work_add(work, WORK_NORMAL); i++) {
        network->weights[network->offset_Win + i] = (float)(deviation * random_normal(&stream, i));
    }
}

/* No autapses, and nothing where the mask has no synapse. */
static void absent_clear(struct network *network) {
    size_t n = (size_t)network->units;
    float *W = network->weights + network->offset_W;
    for (size_t i = 0; i < n * n; i++) {
        if (i % (n + 1) == 0 || (network->mask && !network->mask[i])) {
            W[i] = 0;
        }
    }
}

static enum result published_weights(struct network *network, uint64_t seed, struct work *work, char error[256]) {
    size_t square = (size_t)network->units * (size_t)network->units,
           scratch_size = eigen_radius_scratch_size(network->units);
    input_weights(network, seed, work);
    if (!network->dale) {
        free_weights(network, seed, work);
        return work->stopped ? RESULT_STOPPED : RESULT_DONE;
    }
    double *a = malloc(square * sizeof *a), *copy = malloc(square * sizeof *copy);
    void *scratch = scratch_size > 0 ? malloc(scratch_size) : NULL;
    enum result result = RESULT_NO_MEMORY;
    if (!a || !copy || !scratch) {
        snprintf(error, 256, "out of memory for the initial weights of %d units", network->units);
    } else {
        int made = dale_weights(network, seed, a, copy, scratch, work);
        result = made == 0 ? RESULT_DONE : made == -1 ? RESULT_STOPPED : RESULT_INVALID;
        if (made != 0) {
            snprintf(error, 256,
                     made == -1 ? "stopped" : "the spectral radius of the initial weights could not be computed");
        }
    }
    free(a);
    free(copy);
    free(scratch);
    return result;
}

bool network_weights_set(struct network *network, const struct weights_view *given, char error[256]) {
    if (given->units != network->units || given->inputs != network->inputs || given->outputs != network->outputs) {
        snprintf(error, 256,
                 "the given weights are for %d units, %d inputs and %d outputs; the network has %d, %d and %d",
                 given->units, given->inputs, given->outputs, network->units, network->inputs, network->outputs);
        return false;
    }
    size_t n = (size_t)network->units, inputs = (size_t)network->inputs, outputs = (size_t)network->outputs;
    float *weights = network->weights;
    memcpy(weights + network->offset_W, given->W, n * n * sizeof(float));
    memcpy(weights + network->offset_Win, given->Win, inputs * n * sizeof(float));
    if (network->bias && given->b) {
        memcpy(weights + network->offset_b, given->b, n * sizeof(float));
    }
    memcpy(weights + network->offset_Wout, given->Wout, n * outputs * sizeof(float));
    memcpy(weights + network->offset_bout, given->bout, outputs * sizeof(float));
    return true;
}

enum result network_init(struct network *network, const struct network_config *config, int inputs, int outputs,
                         uint64_t seed, struct work *work, char error[256]) {
    struct work unwatched = {0};
    work = work ? work : &unwatched;
    bool masked = config->connectivity < 1;
    if (config->units < 1 || inputs < 1 || outputs < 1 || config->types_per_sign < 1) {
        snprintf(error, 256, "a network has at least 1 unit, input, output and type; got %d, %d, %d and %d",
                 config->units, inputs, outputs, config->types_per_sign);
        return RESULT_INVALID;
    }
    if (!network_allocate(network, config->units, inputs, outputs, config->bias, masked)) {
        snprintf(error, 256, "out of memory for a network of %d units", config->units);
        return RESULT_NO_MEMORY;
    }
    network->dale = config->dale;
    network->neuron = config->neuron;
    network->activation = config->activation;
    network->inhibitory = network_inhibitory_count(config);
    network->types = network_types_count(config);
    for (int q = 0; config->dale && q < network->units; q++) {
        network->sign[q] = q < network->inhibitory ? -1 : 1;
    }
    types_assign(network, config, seed);
    leaks_assign(network, config, seed);
    neurons_assign(network, config, seed);
    mask_draw(network, config->connectivity, seed, work);
    enum result result = RESULT_DONE;
    if (config->initial) {
        result = network_weights_set(network, config->initial, error) ? RESULT_DONE : RESULT_INVALID;
    } else {
        result = published_weights(network, seed, work, error);
    }
    absent_clear(network);
    if (result == RESULT_DONE && work_add(work, (double)network->parameters)) {
        result = RESULT_STOPPED;
    }
    if (result != RESULT_DONE) {
        network_release(network);
    }
    return result;
}

enum result network_init_blank(struct network *network, const struct network_config *config, int inputs, int outputs,
                               uint64_t seed, struct work *work, char error[256]) {
    int most = config->units > inputs ? config->units : inputs;
    most = most > outputs ? most : outputs;
    float *zeros = calloc((size_t)config->units * (size_t)most, sizeof *zeros);
    if (!zeros) {
        snprintf(error, 256, "out of memory for a network of %d units", config->units);
        return RESULT_NO_MEMORY;
    }
    const struct weights_view view = {config->units, inputs, outputs, zeros, zeros, zeros, zeros, zeros};
    struct network_config blank = *config;
    blank.initial = &view;
    enum result result = network_init(network, &blank, inputs, outputs, seed, work, error);
    free(zeros);
    return result;
}

bool network_given_losses(const struct network_config *config, int inputs, int outputs, uint64_t seed,
                          struct given_losses *losses, char error[256]) {
    const struct weights_view *given = config->initial;
    struct network network = {0};
    struct given_losses found = {0};
    if (network_init(&network, config, inputs, outputs, seed, NULL, error) != 0) {
        return false;
    }
    size_t n = (size_t)network.units, columns = (size_t)outputs;
    const float *W = network.weights + network.offset_W;
    for (size_t i = 0; i < n * n; i++) {
        found.diagonal += given->W[i] != 0 && i % (n + 1) == 0;
        found.unmasked += given->W[i] != 0 && i % (n + 1) != 0 && W[i] == 0;
        found.forbidden += network.dale && W[i] * (float)network.sign[i / n] < 0;
    }
    for (size_t i = 0; i < n * columns; i++) {
        found.forbidden += network.dale && given->Wout[i] * (float)network.sign[i / columns] < 0;
    }
    for (size_t i = 0; given->b && !network.bias && i < n; i++) {
        found.bias += given->b[i] != 0;
    }
    network_release(&network);
    *losses = found;
    return true;
}

void type_averages(const struct network *network, bool existing, double *averages) {
    size_t n = (size_t)network->units, types = (size_t)network->types, square = types * types;
    const float *W = network->weights + network->offset_W;
    double *sums = averages, *counts = averages + square;
    memset(averages, 0, 2 * square * sizeof *averages);
    for (size_t q = 0; q < n; q++) {
        size_t row = (size_t)network->type_of_unit[q] * types;
        for (size_t p = 0; p < n; p++) {
            size_t at = row + (size_t)network->type_of_unit[p];
            float w = W[q * n + p];
            sums[at] += (double)w;
            counts[at] += !existing || w != 0.0f;
        }
    }
    for (size_t i = 0; i < square; i++) {
        averages[i] = counts[i] > 0 ? sums[i] / counts[i] : 0;
    }
}
