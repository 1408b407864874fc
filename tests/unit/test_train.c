/*
 * Training: the published initial weights, Dale's law after every update, Deep R, checkpoints, and that interruptions
 * and threads change no bit.
 */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "api/job.h"
#include "core/train/checkpoint.h"
#include "core/base/eigen.h"
#include "core/model/network.h"
#include "core/model/optimizer.h"
#include "core/base/random.h"
#include "core/rules/rules.h"
#include "core/tasks/task.h"
#include "core/train/train.h"
#include "tests/unit/decoded.h"
#include "tests/unit/suite.h"

/* A rule with its defaults, and taps between the four types of config_small for the one that has none. */
static struct rule_config rule_plain(enum rule_type type) {
    json_t *document = json_pack("{s:s}", "type", rule_type_name(type));
    if (type == RULE_FILTER) {
        json_object_set_new(document, "taps",
                            json_loads("[[[0.1],[0],[0],[0]],[[0],[0],[0],[0]],"
                                       "[[0],[0.2],[0],[0]],[[0],[0],[0],[0]]]",
                                       0, NULL));
    }
    struct rule_config rule = rule_decoded(document);
    json_decref(document);
    return rule;
}

static struct train_config config_small(void) {
    return (struct train_config){
        .seed = 3,
        .task = TASK_CONFIG(TASK_DELAYED_XOR, {"delay", 30}, {"cue", 12}, {"amplitude", 2}, {"noise", 0.01}),
        .network = {.units = 24,
                    .tau = 20,
                    .dale = true,
                    .excitatory_fraction = 0.8,
                    .types_per_sign = 2,
                    .connectivity = 1,
                    .rewiring = REWIRING_DEEP_R},
        .rule = {.type = RULE_MODPROP, .mu = 0.25},
        .optimizer = {.learning_rate = 2e-3,
                      .decay_factor = 0.8,
                      .decay_every = 10,
                      .beta1 = 0.9,
                      .beta2 = 0.999,
                      .epsilon = 1e-8,
                      .l2 = 5e-4,
                      .l1 = 0.01},
        .training = {.iterations = 25, .batch_size = 12, .evaluate_every = 5, .checkpoint_every = 4}};
}

/* ---- initial weights ---- */

START_TEST(published_initial_weights) {
    struct network_config config = config_small().network;
    struct network network;
    char error[256];
    config.units = 120;
    ck_assert_int_eq(network_init(&network, &config, 2, 2, 9, NULL, error), 0);
    ck_assert_int_eq(network.inhibitory, 23);
    const float *W = network.weights + network.offset_W;
    double copy[120 * 120], scratch[480], radius;
    for (int q = 0; q < 120; q++) {
        for (int p = 0; p < 120; p++) {
            float w = W[q * 120 + p];
            ck_assert(q == p ? w == 0.0f : w * (float)network.sign[q] >= 0.0f);
            copy[q * 120 + p] = (double)w;
        }
    }
    ck_assert_int_eq(eigen_radius(120, copy, scratch, NULL, &radius), 0);
    ck_assert_msg(radius > 1.2 && radius < 1.8, "spectral radius of W in use: %g", radius);
    /* columns summed to 0 before the diagonal went: what is missing is the diagonal, of the source's sign */
    for (int p = 0; p < 120; p++) {
        double sum = 0;
        for (int q = 0; q < 120; q++) {
            sum += (double)W[q * 120 + p];
        }
        ck_assert(sum * network.sign[p] <= 1e-6);
    }
    network_release(&network);
}
END_TEST

START_TEST(types_are_as_equal_as_can_be) {
    struct network_config config = config_small().network;
    struct network network;
    char error[256];
    const int wanted[][3] = {{120, 1, 2}, {120, 4, 8}, {120, 23, 46}, {120, 40, 63}, {6, 1, 2}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        config.units = wanted[i][0];
        config.types_per_sign = wanted[i][1];
        ck_assert_int_eq(network_init(&network, &config, 2, 2, 1, NULL, error), 0);
        ck_assert_int_eq(network.types, wanted[i][2]);
        int sum = 0;
        for (int g = 0; g < network.types; g++) {
            ck_assert_int_gt(network.type_size[g], 0);
            sum += network.type_size[g];
        }
        ck_assert_int_eq(sum, config.units);
        for (int p = 1; p < config.units; p++) {
            ck_assert_int_le(network.type_of_unit[p] - network.type_of_unit[p - 1], 1);
        }
        network_release(&network);
    }
}
END_TEST

/* ---- the optimiser ---- */

static void invariants_check(const struct network *network, const struct optimizer *optimizer) {
    size_t n = (size_t)network->units, connected = n;
    for (size_t q = 0; q < n; q++) {
        for (size_t p = 0; p < n; p++) {
            float w = network->weights[network->offset_W + q * n + p];
            ck_assert(w * (float)network->sign[q] >= 0.0f && (q != p || w == 0.0f));
            connected += w != 0.0f;
        }
    }
    for (size_t i = 0; i < n * (size_t)network->outputs; i++) {
        float w = network->weights[network->offset_Wout + i];
        ck_assert(w * (float)network->sign[i / (size_t)network->outputs] >= 0.0f);
        connected += w != 0.0f;
    }
    if (optimizer->rewiring == REWIRING_DEEP_R) {
        ck_assert_uint_ge(connected, (size_t)floor(0.99 * (double)(n * n + n * (size_t)network->outputs)));
    }
}

START_TEST(dale_and_rewiring_hold_after_every_update) {
    for (int rewiring = 0; rewiring < 2; rewiring++) {
        struct train_config config = config_small();
        config.network.rewiring = (enum rewiring)rewiring;
        config.optimizer.learning_rate = 0.05; /* so that many weights cross 0 */
        struct network network;
        struct optimizer optimizer;
        char error[256];
        ck_assert_int_eq(network_init(&network, &config.network, 2, 2, 9, NULL, error), 0);
        ck_assert(optimizer_init(&optimizer, &network, &config));
        float *gradient = malloc(network.parameters * sizeof *gradient);
        struct random_stream stream = random_stream_make(5, RANDOM_TASK, 0, 0);
        for (int64_t n = 0; n < 40; n++) {
            random_normal_fill(&stream, (uint64_t)n * network.parameters, network.parameters, gradient);
            optimizer_update(&optimizer, &network, gradient, n);
            invariants_check(&network, &optimizer);
        }
        free(gradient);
        optimizer_release(&optimizer);
        network_release(&network);
    }
}
END_TEST

/* Without rewiring a dormant weight returns if its gradient says so; with Deep R it does not return by itself. */
START_TEST(a_zeroed_weight_returns) {
    for (int rewiring = 0; rewiring < 2; rewiring++) {
        struct train_config config = config_small();
        config.network.rewiring = (enum rewiring)rewiring;
        config.optimizer.l1 = config.optimizer.l2 = 0;
        struct network network;
        struct optimizer optimizer;
        char error[256];
        ck_assert_int_eq(network_init(&network, &config.network, 2, 2, 9, NULL, error), 0);
        ck_assert(optimizer_init(&optimizer, &network, &config));
        float *gradient = calloc(network.parameters, sizeof *gradient),
              *w = &network.weights[network.offset_W + (size_t)(20 * 24 + 3)];
        *w = 0;
        gradient[network.offset_W + (size_t)(20 * 24 + 3)] = -1; /* unit 20 excites: down the gradient is up */
        optimizer_update(&optimizer, &network, gradient, 0);
        ck_assert(rewiring == REWIRING_NONE ? *w > 0.0f : *w == 0.0f);
        free(gradient);
        optimizer_release(&optimizer);
        network_release(&network);
    }
}
END_TEST

START_TEST(adam_takes_the_first_step_of_its_formula) {
    struct train_config config = config_small();
    config.network.dale = false;
    config.network.rewiring = REWIRING_NONE;
    config.optimizer.l1 = config.optimizer.l2 = 0;
    struct network network;
    struct optimizer optimizer;
    char error[256];
    ck_assert_int_eq(network_init(&network, &config.network, 2, 2, 9, NULL, error), 0);
    ck_assert(optimizer_init(&optimizer, &network, &config));
    float *gradient = calloc(network.parameters, sizeof *gradient), before = network.weights[1];
    gradient[1] = 0.5f;
    optimizer_update(&optimizer, &network, gradient, 0);
    /* m = 0.05, v = 0.00025: w -= lr sqrt(0.001) / 0.1 * 0.05 / (sqrt(0.00025) + 1e-8) */
    double step = 2e-3 * sqrt(1e-3) / 0.1 * 0.05 / (sqrt(0.00025) + 1e-8);
    ck_assert_double_lt(fabs((double)(before - network.weights[1]) - step), 1e-6);
    free(gradient);
    optimizer_release(&optimizer);
    network_release(&network);
}
END_TEST

/* ---- training ---- */

/* What a run reported: its evaluations and all its checkpoints. */
struct record {
    struct train_control control;
    double loss[64], accuracy[64];
    int64_t evaluated[64];
    struct train_diagnostics diagnostics[64];
    int evaluations;
    unsigned char *checkpoint[64];
    size_t size[64];
    int64_t iteration[64];
    int checkpoints;
    int64_t stop_at; /* iteration at which to order a stop; -1: never */
    enum train_command stop_how;
    int looks, stop_look; /* at the clock; the check at which to order a stop, 0: never */
};

static bool on_progress(void *user, const struct train_progress *progress) {
    struct record *record = user;
    record->evaluated[record->evaluations] = progress->iteration;
    record->diagnostics[record->evaluations] = progress->diagnostics;
    record->loss[record->evaluations] = progress->loss;
    record->accuracy[record->evaluations++] = progress->accuracy;
    return true;
}

static bool on_checkpoint(void *user, int64_t iteration, double loss, const unsigned char *bytes, size_t size) {
    (void)loss;
    struct record *record = user;
    int i = record->checkpoints++;
    record->checkpoint[i] = malloc(size);
    memcpy(record->checkpoint[i], bytes, size);
    record->size[i] = size;
    record->iteration[i] = iteration;
    return true;
}

static void on_iteration(void *user, int64_t iteration) {
    struct record *record = user;
    if (iteration == record->stop_at) {
        atomic_store(&record->control.command, record->stop_how);
    }
}

static enum result record_run(struct record *record, const struct train_config *config, int threads, int64_t stop_at,
                              enum train_command how, const unsigned char *from, size_t size) {
    *record = (struct record){.stop_at = stop_at, .stop_how = how};
    atomic_store(&record->control.threads, threads);
    const struct train_callbacks callbacks = {
        .user = record, .progress = on_progress, .checkpoint = on_checkpoint, .iteration = on_iteration};
    struct error error;
    return train_run(config, from, size, &record->control, &callbacks, &error);
}

static void record_release(struct record *record) {
    for (int i = 0; i < record->checkpoints; i++) {
        free(record->checkpoint[i]);
    }
}

static void last_same(const struct record *a, const struct record *b) {
    int i = a->checkpoints - 1, k = b->checkpoints - 1;
    ck_assert_uint_eq(a->size[i], b->size[k]);
    ck_assert_int_eq(memcmp(a->checkpoint[i], b->checkpoint[k], a->size[i]), 0);
}

/* As last_same, for checkpoints whose configurations differ only in what does not change a weight. */
static void last_same_weights(const struct record *a, const struct record *b, const struct train_config *config_b) {
    struct trained one, other;
    struct error error;
    struct train_config config_a = *config_b;
    int i = a->checkpoints - 1, k = b->checkpoints - 1;
    config_a.training.diagnostics = 0;
    ck_assert_int_eq(trained_open(&config_a, a->checkpoint[i], a->size[i], &one, &error), RESULT_DONE);
    ck_assert_int_eq(trained_open(config_b, b->checkpoint[k], b->size[k], &other, &error), RESULT_DONE);
    ck_assert_uint_eq(one.parameters, other.parameters);
    ck_assert_int_eq(memcmp(one.W, other.W, one.parameters * sizeof(float)), 0);
    trained_release(&one);
    trained_release(&other);
}

/* A member of the fit of filter's taps, by the name that documents have. */
static void fit_set(struct rule_config *rule, const char *name, int value) {
    const struct fields *fields = &rule_table[RULE_FILTER]->parameters.items[0].alternative->fields;
    for (size_t i = 0; i < fields->count; i++) {
        if (strcmp(fields->items[i].name, name) == 0) {
            *(int *)(void *)((char *)rule + fields->items[i].offset) = value;
        } else if (strcmp(fields->items[i].name, "ridge") == 0) {
            *(double *)(void *)((char *)rule + fields->items[i].offset) = 1e-3;
        }
    }
}

static struct rule_config fitted_rule(enum fit_basis basis) {
    struct rule_config rule = {.type = RULE_FILTER};
    fit_set(&rule, "steps", 9);
    fit_set(&rule, "basis", (int)basis);
    fit_set(&rule, "terms", 3);
    fit_set(&rule, "every", 3);
    fit_set(&rule, "trials", 11);
    return rule;
}

static struct train_config config_variant(int variant) {
    struct train_config config = config_small();
    const struct rule_config rules[] = {
        {.type = RULE_MODPROP, .mu = 0.25},
        {.type = RULE_MODPROP, .mu = 0.25, .weights = CREDIT_TYPE, .tracking = TRACKING_INITIAL},
        {.type = RULE_MODPROP, .mu_auto = true, .weights = CREDIT_TYPE},
        {.type = RULE_EPROP, .feedback = FEEDBACK_ADAPTIVE, .feedback_decay = 1e-3},
        {.type = RULE_BPTT},
        {.type = RULE_MODPROP, .mu = 0.9, .gain_bound = {1.2, 3}},
        fitted_rule(FIT_FREE),
        fitted_rule(FIT_EXPONENTIAL)};
    config.rule = rules[variant];
    if (variant == 4) {
        config.optimizer = (struct optimizer_config){
            .type = OPTIMIZER_SGD, .learning_rate = 0.01, .momentum = 0.9, .clip_norm = {true, 1.0}};
    }
    return config;
}

START_TEST(resumed_from_every_checkpoint_ends_the_same) {
    struct train_config config = config_variant(_i);
    struct record whole, rest;
    ck_assert_int_eq(record_run(&whole, &config, 1, -1, TRAIN_GO, NULL, 0), RESULT_DONE);
    ck_assert_int_eq(whole.checkpoints, 7); /* 4, 8, ... 24, and the end */
    ck_assert_int_eq(whole.evaluations, 6);
    for (int i = 0; i < whole.checkpoints; i++) {
        ck_assert_int_eq(record_run(&rest, &config, 1 + i % 3, -1, TRAIN_GO, whole.checkpoint[i], whole.size[i]),
                         RESULT_DONE);
        last_same(&whole, &rest);
        ck_assert(rest.loss[rest.evaluations - 1] == whole.loss[whole.evaluations - 1]);
        record_release(&rest);
    }
    record_release(&whole);
}
END_TEST

START_TEST(stopped_at_any_iteration_goes_on_the_same) {
    struct train_config config = config_small();
    struct record whole, part, rest;
    ck_assert_int_eq(record_run(&whole, &config, 2, -1, TRAIN_GO, NULL, 0), RESULT_DONE);
    for (int64_t at = 1; at < 25; at += 3) {
        ck_assert_int_eq(record_run(&part, &config, 1, at, TRAIN_STOP, NULL, 0), RESULT_STOPPED);
        int last = part.checkpoints - 1;
        ck_assert_int_eq(part.iteration[last], at);
        ck_assert_int_eq(record_run(&rest, &config, 3, -1, TRAIN_GO, part.checkpoint[last], part.size[last]),
                         RESULT_DONE);
        last_same(&whole, &rest);
        record_release(&part);
        record_release(&rest);
    }
    ck_assert_int_eq(record_run(&part, &config, 1, 2, TRAIN_ABANDON, NULL, 0), RESULT_STOPPED);
    ck_assert_int_eq(part.checkpoints, 0);
    record_release(&part);
    record_release(&whole);
}
END_TEST

START_TEST(damaged_checkpoints_are_refused) {
    struct train_config config = config_small(), other = config;
    struct record whole, rest;
    ck_assert_int_eq(record_run(&whole, &config, 1, -1, TRAIN_GO, NULL, 0), RESULT_DONE);
    unsigned char *bytes = whole.checkpoint[1];
    size_t size = whole.size[1];
    for (size_t at = 0; at < size; at += 1 + size / 97) {
        bytes[at] ^= 0x10;
        ck_assert_int_eq(record_run(&rest, &config, 1, -1, TRAIN_GO, bytes, size), RESULT_BAD_CHECKPOINT);
        bytes[at] ^= 0x10;
        unsigned char *cut = malloc(at + 1);
        memcpy(cut, bytes, at + 1);
        ck_assert_int_eq(record_run(&rest, &config, 1, -1, TRAIN_GO, cut, at), RESULT_BAD_CHECKPOINT);
        free(cut);
    }
    other.identity[31]++;
    ck_assert_int_eq(record_run(&rest, &other, 1, -1, TRAIN_GO, bytes, size), RESULT_BAD_CHECKPOINT);
    record_release(&whole);
}
END_TEST

/* What version 0.1 would have written: no identity after the header of 128 bytes, but its own kind in it. */
static unsigned char *as_version_1(const struct train_config *config, const unsigned char *bytes, size_t *size) {
    const uint32_t version = 1;
    const uint64_t identity = config_identity_1(config), length = *size - sizeof config->identity;
    unsigned char *old = malloc(length);
    memcpy(old, bytes, 128);
    memcpy(old + 128, bytes + 128 + sizeof config->identity, length - 128);
    memcpy(old + 8, &version, sizeof version);
    memcpy(old + 16, &length, sizeof length);
    memcpy(old + 24, &identity, sizeof identity);
    const uint32_t sum = (uint32_t)crc32(0, old + 16, (unsigned)length - 16);
    memcpy(old + 12, &sum, sizeof sum);
    *size = length;
    return old;
}

START_TEST(checkpoints_of_version_1_are_read) {
    struct train_config config = config_small();
    struct record whole, rest;
    struct trained now, then;
    struct error error;
    ck_assert_int_eq(record_run(&whole, &config, 1, -1, TRAIN_GO, NULL, 0), RESULT_DONE);
    size_t size = whole.size[1];
    unsigned char *old = as_version_1(&config, whole.checkpoint[1], &size);
    ck_assert_int_eq(trained_open(&config, whole.checkpoint[1], whole.size[1], &now, &error), RESULT_DONE);
    ck_assert_int_eq(trained_open(&config, old, size, &then, &error), RESULT_DONE);
    ck_assert_int_eq(memcmp(now.W, then.W, now.parameters * sizeof(float)), 0);
    ck_assert_int_eq(memcmp(now.leak, then.leak, (size_t)now.units * sizeof(float)), 0);
    trained_release(&now);
    trained_release(&then);
    ck_assert_int_eq(record_run(&rest, &config, 1, -1, TRAIN_GO, old, size), RESULT_DONE);
    last_same(&whole, &rest);
    record_release(&rest);
    config.identity[0]++;            /* no part of version 1 */
    config.optimizer.momentum = 0.1; /* nor is what Adam does not have */
    ck_assert_int_eq(trained_open(&config, old, size, &then, &error), RESULT_DONE);
    trained_release(&then);
    config.seed++;
    ck_assert_int_eq(trained_open(&config, old, size, &then, &error), RESULT_BAD_CHECKPOINT);
    free(old);
    record_release(&whole);
}
END_TEST

START_TEST(a_loss_that_is_not_finite_ends_it) {
    struct train_config config = config_small();
    struct record record;
    config.network.dale = false;
    config.network.rewiring = REWIRING_NONE;
    config.optimizer = (struct optimizer_config){.type = OPTIMIZER_SGD, .learning_rate = 1e30};
    ck_assert_int_eq(record_run(&record, &config, 1, -1, TRAIN_GO, NULL, 0), RESULT_DIVERGED);
    record_release(&record);
}
END_TEST

START_TEST(stop_when_ends_it) {
    struct train_config config = config_small();
    struct record record;
    config.training.stop_metric = STOP_LOSS_BELOW;
    config.training.stop_threshold = 1e9;
    config.training.stop_evaluations = 3;
    ck_assert_int_eq(record_run(&record, &config, 1, -1, TRAIN_GO, NULL, 0), RESULT_DONE);
    ck_assert_int_eq(record.evaluations, 3);
    ck_assert_int_eq(record.evaluated[2], 10);
    record_release(&record);
}
END_TEST

/*
 * Diagnostics change nothing, and their values are right: for bptt the cosine with itself, for W its eigenvalues, for a
 * network driven to silence its silence.
 */
START_TEST(diagnostics_tell_the_truth_and_change_nothing) {
    struct train_config config = config_variant(_i);
    struct record plain, watched;
    ck_assert_int_eq(record_run(&plain, &config, 1, -1, TRAIN_GO, NULL, 0), RESULT_DONE);
    config.training.diagnostics = DIAGNOSTIC_ALL;
    ck_assert_int_eq(record_run(&watched, &config, 2, -1, TRAIN_GO, NULL, 0), RESULT_DONE);
    const struct train_diagnostics *first = &watched.diagnostics[0];
    ck_assert_uint_eq(first->present, DIAGNOSTIC_ALL);
    ck_assert(first->mean_psi > 0.05 && first->mean_psi < 1 && first->silent_fraction >= 0 &&
              first->silent_fraction < 1);
    ck_assert(first->gradient_norm_W > 0 && first->gradient_norm_Win > 0 && first->gradient_norm_Wout > 0);
    if (config.rule.type == RULE_BPTT) {
        ck_assert(fabs(first->cosine_all - 1) < 1e-6 && fabs(first->cosine_W - 1) < 1e-6 &&
                  fabs(first->cosine_Win - 1) < 1e-6);
    } else {
        ck_assert(first->cosine_W < 0.9999 && fabs(first->cosine_all) <= 1 + 1e-6);
    }
    if (config.rule.feedback == FEEDBACK_SYMMETRIC) {
        ck_assert(fabs(first->cosine_Wout - 1) < 1e-6); /* the readout's gradient is the same in every rule */
    }

    struct trained trained;
    struct error error;
    const int last = watched.checkpoints - 1;
    ck_assert_int_eq(trained_open(&config, watched.checkpoint[last], watched.size[last], &trained, &error),
                     RESULT_DONE);
    double copy[24 * 24], scratch[4 * 24], radius;
    for (int i = 0; i < 24 * 24; i++) {
        copy[i] = (double)trained.W[i];
    }
    ck_assert_int_eq(eigen_radius(24, copy, scratch, NULL, &radius), 0);
    ck_assert(watched.diagnostics[watched.evaluations - 1].spectral_radius == radius);
    trained_release(&trained);
    for (int i = 0; i < plain.evaluations; i++) {
        ck_assert(plain.loss[i] == watched.loss[i]);
    }
    last_same_weights(&plain, &watched, &config);
    record_release(&plain);
    record_release(&watched);
}
END_TEST

START_TEST(diagnostics_are_chosen_one_by_one) {
    for (unsigned bit = 1; bit <= DIAGNOSTIC_ALL; bit <<= 1) {
        struct train_config config = config_small();
        struct record record;
        config.training.diagnostics = bit;
        ck_assert_int_eq(record_run(&record, &config, 1, -1, TRAIN_GO, NULL, 0), RESULT_DONE);
        const struct train_diagnostics *d = &record.diagnostics[1];
        ck_assert_uint_eq(d->present, bit);
        ck_assert((d->gradient_norm_W > 0) == (bit == DIAGNOSTIC_NORMS));
        ck_assert((d->mean_psi > 0) == (bit == DIAGNOSTIC_PSI));
        ck_assert((d->spectral_radius > 0) == (bit == DIAGNOSTIC_SPECTRAL_RADIUS));
        ck_assert((d->cosine_Wout > 0.9999) == (bit == DIAGNOSTIC_COSINE));
        record_release(&record);
    }
}
END_TEST

static double on_clock(void *user) {
    struct record *record = user;
    if (++record->looks == record->stop_look) {
        atomic_store(&record->control.command, TRAIN_STOP);
    }
    return record->looks;
}

/*
 * Wherever it is ordered to stop, even during the computation of W's eigenvalues, no evaluation is reported in part: it
 * reports what an undisturbed run reports, and resuming reports the rest.
 */
START_TEST(a_stop_within_an_evaluation_tells_no_half_of_it) {
    struct train_config config = config_small();
    config.training = (struct training_config){.iterations = 2,
                                               .batch_size = 12,
                                               .evaluate_every = 1,
                                               .checkpoint_every = 1,
                                               .diagnostics = DIAGNOSTIC_SPECTRAL_RADIUS};
    struct record whole;
    enum result result = RESULT_STOPPED;
    ck_assert_int_eq(record_run(&whole, &config, 1, -1, TRAIN_GO, NULL, 0), RESULT_DONE);
    for (int look = 1; result == RESULT_STOPPED; look++) {
        struct record part = {.stop_at = -1, .stop_look = look}, rest;
        const struct train_callbacks callbacks = {
            .user = &part, .progress = on_progress, .checkpoint = on_checkpoint, .clock = on_clock};
        struct error error;
        result = train_run(&config, NULL, 0, &part.control, &callbacks, &error);
        ck_assert(result == RESULT_STOPPED || (result == RESULT_DONE && look > 10));
        for (int i = 0; i < part.evaluations; i++) {
            ck_assert_msg(part.diagnostics[i].spectral_radius == whole.diagnostics[i].spectral_radius,
                          "look %d, evaluation %d: %g", look, i, part.diagnostics[i].spectral_radius);
        }
        int last = part.checkpoints - 1;
        ck_assert_int_eq(record_run(&rest, &config, 1, -1, TRAIN_GO, part.checkpoint[last], part.size[last]),
                         RESULT_DONE);
        ck_assert_int_ge(part.evaluations + rest.evaluations, whole.evaluations);
        last_same(&whole, &rest);
        record_release(&part);
        record_release(&rest);
    }
    record_release(&whole);
}
END_TEST

START_TEST(every_task_trains) {
    const struct task_config tasks[] = {
        TASK_CONFIG(TASK_PATTERN, {"inputs", 20}, {"outputs", 3}, {"duration", 50}),
        TASK_CONFIG(TASK_EVIDENCE, {"cues", 3}, {"cue_duration", 15}, {"cue_active", 10}, {"delay", 20}, {"recall", 10},
                    {"cue_probability", 0.7}, {"active_rate", 40}, {"background_rate", 10})};
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
        for (int rule = 0; rule < RULE_TYPES; rule++) {
            struct train_config config = config_small();
            struct record record;
            config.task = tasks[i];
            config.rule = rule_plain((enum rule_type)rule);
            ck_assert_int_eq(record_run(&record, &config, 2, -1, TRAIN_GO, NULL, 0), RESULT_DONE);
            ck_assert(isfinite(record.loss[record.evaluations - 1]));
            ck_assert(isnan(record.accuracy[0]) == (tasks[i].type == TASK_PATTERN));
            record_release(&record);
        }
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("train");
    TCase *tests = tcase_create("train");
    tcase_set_timeout(tests, 0);
    tcase_add_test(tests, published_initial_weights);
    tcase_add_test(tests, types_are_as_equal_as_can_be);
    tcase_add_test(tests, dale_and_rewiring_hold_after_every_update);
    tcase_add_test(tests, a_zeroed_weight_returns);
    tcase_add_test(tests, adam_takes_the_first_step_of_its_formula);
    tcase_add_loop_test(tests, resumed_from_every_checkpoint_ends_the_same, 0, 8);
    tcase_add_test(tests, stopped_at_any_iteration_goes_on_the_same);
    tcase_add_test(tests, damaged_checkpoints_are_refused);
    tcase_add_test(tests, checkpoints_of_version_1_are_read);
    tcase_add_test(tests, a_loss_that_is_not_finite_ends_it);
    tcase_add_test(tests, stop_when_ends_it);
    tcase_add_loop_test(tests, diagnostics_tell_the_truth_and_change_nothing, 0, 5);
    tcase_add_test(tests, diagnostics_are_chosen_one_by_one);
    tcase_add_test(tests, a_stop_within_an_evaluation_tells_no_half_of_it);
    tcase_add_test(tests, every_task_trains);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
