/*
 * Optimisers: see optimizer.h. Plain loops over the five weight arrays, compiled for the baseline: 15,000 weights take
 * some tens of microseconds, a hundredth of an iteration, and one code for all hosts gives one set of bits.
 *
 * Adam (Kingma and Ba 2015) in the form w -= lr sqrt(1 - b2^n) / (1 - b1^n) * m / (sqrt(v) + eps); Deep R follows
 * Bellec et al. 2018 as in the published ModProp code.
 */
#include "core/model/optimizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/random.h"
#include "core/base/size.h"

#define CONNECTED_SHARE 0.99

/*
 * One of the weight arrays, and what applies to it. rows x columns, row-major; the row is the source unit if
 * `from_unit`.
 */
struct weight_array {
    size_t offset, rows, columns;
    bool decays;    /* l2 */
    bool from_unit; /* l1, Dale's law and rewiring apply */
};

enum { ARRAYS = 5 };

static void arrays_list(const struct network *network, struct weight_array list[ARRAYS]) {
    size_t n = (size_t)network->units, inputs = (size_t)network->inputs, outputs = (size_t)network->outputs;
    list[0] = (struct weight_array){network->offset_W, n, n, true, true};
    list[1] = (struct weight_array){network->offset_Win, inputs, n, true, false};
    list[2] = (struct weight_array){network->offset_b, network->bias, n, false, false};
    list[3] = (struct weight_array){network->offset_Wout, n, outputs, true, true};
    list[4] = (struct weight_array){network->offset_bout, 1, outputs, false, false};
}

size_t optimizer_state_floats(size_t parameters, int units, int outputs, const struct train_config *config) {
    size_t moments = config->optimizer.type == OPTIMIZER_ADAM ? 2 : 1;
    size_t feedback = config->rule.feedback == FEEDBACK_SYMMETRIC ? 0 : size_times((size_t)units, (size_t)outputs);
    return size_plus(size_times(moments, parameters), feedback);
}

double optimizer_cost(size_t parameters) {
    return 20.0 * (double)parameters;
}

bool optimizer_init(struct optimizer *optimizer, const struct network *network, const struct train_config *config) {
    bool rewires = network->dale && config->network.rewiring == REWIRING_DEEP_R,
         has_feedback = config->rule.feedback != FEEDBACK_SYMMETRIC;
    size_t n = (size_t)network->units, outputs = (size_t)network->outputs, synapses = n * n + n * outputs;
    *optimizer = (struct optimizer){.config = &config->optimizer,
                                    .rewiring = rewires ? REWIRING_DEEP_R : REWIRING_NONE,
                                    .seed = config->seed,
                                    .feedback_adapts = config->rule.feedback == FEEDBACK_ADAPTIVE,
                                    .feedback_decay = config->rule.feedback_decay};
    optimizer->state_floats = optimizer_state_floats(network->parameters, network->units, network->outputs, config);
    float *state = optimizer->memory = calloc(optimizer->state_floats + (rewires ? synapses : 0), sizeof *state);
    if (!state) {
        return false;
    }
    optimizer->first = state;
    optimizer->second = config->optimizer.type == OPTIMIZER_ADAM ? state + network->parameters : NULL;
    optimizer->dormant = rewires ? (uint32_t *)(void *)(state + optimizer->state_floats) : NULL;
    if (!has_feedback) {
        return true;
    }
    optimizer->feedback = state + optimizer->state_floats - n * outputs;
    struct random_stream stream = random_stream_make(config->seed, RANDOM_FEEDBACK, 0, 0);
    for (size_t i = 0; i < n * outputs; i++) {
        optimizer->feedback[i] = (float)(random_normal(&stream, i) / sqrt((double)n));
    }
    return true;
}

void optimizer_release(struct optimizer *optimizer) {
    if (!optimizer) {
        return;
    }
    free(optimizer->memory);
    *optimizer = (struct optimizer){0};
}

/* x^n by squaring: our own bits, whatever libm's pow does. */
static double power(double x, int64_t n) {
    double result = 1;
    for (; n > 0; n /= 2, x *= x) {
        if (n % 2) {
            result *= x;
        }
    }
    return result;
}

double optimizer_learning_rate(const struct optimizer_config *config, int64_t iteration) {
    return config->decay_every > 0
               ? config->learning_rate * power(config->decay_factor, iteration / config->decay_every)
               : config->learning_rate;
}

static void gradient_regularise(const struct optimizer *optimizer, const struct network *network,
                                const struct weight_array *arrays, float *gradient) {
    float l2 = (float)optimizer->config->l2;
    for (int k = 0; k < ARRAYS; k++) {
        float *g = gradient + arrays[k].offset, *w = network->weights + arrays[k].offset;
        for (size_t i = 0; arrays[k].decays && i < arrays[k].rows * arrays[k].columns; i++) {
            g[i] += l2 * w[i];
        }
    }
    size_t n = (size_t)network->units;
    float *g = gradient + network->offset_W;
    for (size_t i = 0; i < n * n; i++) {
        if (i % (n + 1) == 0 || (network->mask && !network->mask[i])) {
            g[i] = 0;
        }
    }
}

static void gradient_clip(const struct optimizer *optimizer, size_t count, float *gradient) {
    if (!optimizer->config->clip_norm.set) {
        return;
    }
    double sum = 0, most = optimizer->config->clip_norm.value;
    for (size_t i = 0; i < count; i++) {
        sum += (double)gradient[i] * (double)gradient[i];
    }
    if (!(sum > most * most)) {
        return;
    }
    float scale = (float)(most / sqrt(sum));
    for (size_t i = 0; i < count; i++) {
        gradient[i] *= scale;
    }
}

/* The gradient becomes the step to be added to the weights. */
static void adam_step(struct optimizer *optimizer, size_t count, float *gradient, int64_t iteration,
                      double learning_rate) {
    const struct optimizer_config *config = optimizer->config;
    float b1 = (float)config->beta1, b2 = (float)config->beta2, c1 = (float)(1 - config->beta1),
          c2 = (float)(1 - config->beta2);
    float epsilon = (float)config->epsilon;
    float rate = (float)(learning_rate * sqrt(1 - power(config->beta2, iteration + 1)) /
                         (1 - power(config->beta1, iteration + 1)));
    float *restrict m = optimizer->first, *restrict v = optimizer->second;
    for (size_t i = 0; i < count; i++) {
        m[i] = b1 * m[i] + c1 * gradient[i];
        v[i] = b2 * v[i] + c2 * gradient[i] * gradient[i];
        gradient[i] = -rate * m[i] / (sqrtf(v[i]) + epsilon);
    }
}

static void sgd_step(struct optimizer *optimizer, size_t count, float *gradient, double learning_rate) {
    float momentum = (float)optimizer->config->momentum,
          rate = (float)learning_rate, *restrict velocity = optimizer->first;
    for (size_t i = 0; i < count; i++) {
        velocity[i] = momentum * velocity[i] + gradient[i];
        gradient[i] = -rate * velocity[i];
    }
}

/* w += step; with Deep R a dormant entry stays 0 whatever its gradient is. */
static void step_apply(const struct optimizer *optimizer, const struct weight_array *array, float *weights,
                       const float *step) {
    bool keeps_dormant = optimizer->rewiring == REWIRING_DEEP_R && array->from_unit;
    float *w = weights + array->offset;
    const float *s = step + array->offset;
    for (size_t i = 0; i < array->rows * array->columns; i++) {
        w[i] = keeps_dormant && w[i] == 0.0f ? 0.0f : w[i] + s[i];
    }
}

/* F receives the updates of Wout, transposed, and both decay. */
static void feedback_adapt(struct optimizer *optimizer, struct network *network, const float *step) {
    if (!optimizer->feedback_adapts) {
        return;
    }
    size_t n = (size_t)network->units, outputs = (size_t)network->outputs;
    float keep = (float)(1 - optimizer->feedback_decay), *Wout = network->weights + network->offset_Wout;
    const float *s = step + network->offset_Wout;
    for (size_t j = 0; j < n; j++) {
        for (size_t o = 0; o < outputs; o++) {
            float *f = &optimizer->feedback[o * n + j];
            *f = keep * (*f + s[j * outputs + o]);
            Wout[j * outputs + o] *= keep;
        }
    }
}

static float shrink(float w, float by) {
    if (w > by) {
        return w - by;
    }
    return w < -by ? w + by : 0.0f;
}

/* l1, then Dale's law: an entry that has reached or crossed 0 is dormant. */
static void weights_project(const struct optimizer *optimizer, struct network *network,
                            const struct weight_array *array, double learning_rate) {
    float by = (float)(learning_rate * optimizer->config->l1);
    for (size_t r = 0; array->from_unit && r < array->rows; r++) {
        float *w = network->weights + array->offset + r * array->columns;
        int sign = network->dale ? network->sign[r] : 0;
        for (size_t c = 0; c < array->columns; c++) {
            float shrunk = by > 0 ? shrink(w[c], by) : w[c];
            w[c] = sign != 0 && shrunk * (float)sign <= 0.0f ? 0.0f : shrunk;
        }
    }
}

/* ---- Deep R ---- */

/*
 * Lists dormant entries, W's before Wout's, as indices into the joint array; *counted is how many entries are
 * considered in total.
 */
static size_t dormant_list(const struct optimizer *optimizer, const struct network *network, size_t *counted) {
    size_t n = (size_t)network->units, outs = n * (size_t)network->outputs, dormant = 0;
    const float *W = network->weights + network->offset_W, *Wout = network->weights + network->offset_Wout;
    /* the diagonal counts as connected; with a mask only the mask's entries are considered */
    *counted = network->mask ? 0 : n;
    for (size_t i = 0; i < n * n; i++) {
        if (i % (n + 1) == 0 || (network->mask && !network->mask[i])) {
            continue;
        }
        ++*counted;
        if (W[i] == 0.0f) {
            optimizer->dormant[dormant++] = (uint32_t)i;
        }
    }
    for (size_t i = 0; i < outs; i++) {
        if (Wout[i] == 0.0f) {
            optimizer->dormant[dormant++] = (uint32_t)(n * n + i);
        }
    }
    *counted += outs;
    return dormant;
}

static void synapse_revive(struct network *network, uint32_t index) {
    size_t n = (size_t)network->units, at = index;
    if (at < n * n) {
        network->weights[network->offset_W + at] = DEEP_R_PLACEHOLDER * (float)network->sign[at / n];
    } else {
        network->weights[network->offset_Wout + at - n * n] =
            DEEP_R_PLACEHOLDER * (float)network->sign[(at - n * n) / (size_t)network->outputs];
    }
}

static void rewire(const struct optimizer *optimizer, struct network *network, int64_t iteration) {
    if (optimizer->rewiring != REWIRING_DEEP_R) {
        return;
    }
    size_t counted, dormant = dormant_list(optimizer, network, &counted),
                    wanted = (size_t)floor(CONNECTED_SHARE * (double)counted);
    struct random_stream stream = random_stream_make(optimizer->seed, RANDOM_REWIRING, iteration, 0);
    /* the first draws of a Fisher-Yates shuffle */
    for (size_t i = 0; counted - dormant + i < wanted && i < dormant; i++) {
        size_t pick = i + (size_t)random_below(&stream, i, dormant - i);
        uint32_t chosen = optimizer->dormant[pick];
        optimizer->dormant[pick] = optimizer->dormant[i];
        synapse_revive(network, chosen);
    }
}

void optimizer_update_within(struct optimizer *optimizer, struct network *network, float *gradient, int64_t iteration,
                             int64_t update) {
    struct weight_array arrays[ARRAYS];
    arrays_list(network, arrays);
    double learning_rate = optimizer_learning_rate(optimizer->config, iteration);
    gradient_regularise(optimizer, network, arrays, gradient);
    gradient_clip(optimizer, network->parameters, gradient);
    if (optimizer->config->type == OPTIMIZER_ADAM) {
        adam_step(optimizer, network->parameters, gradient, update, learning_rate);
    } else {
        sgd_step(optimizer, network->parameters, gradient, learning_rate);
    }
    for (int k = 0; k < ARRAYS; k++) {
        step_apply(optimizer, &arrays[k], network->weights, gradient);
    }
    feedback_adapt(optimizer, network, gradient);
    for (int k = 0; k < ARRAYS; k++) {
        weights_project(optimizer, network, &arrays[k], learning_rate);
    }
    rewire(optimizer, network, update);
}

void optimizer_update(struct optimizer *optimizer, struct network *network, float *gradient, int64_t iteration) {
    optimizer_update_within(optimizer, network, gradient, iteration, iteration);
}
