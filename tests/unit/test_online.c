/*
 * Updates within a trial, by the engine alone: where an update changes nothing, the gradients gathered between updates
 * add up to the whole trial's, for every neuron model and rule that goes forward in time, since traces and state go on;
 * and what modes carry when an update makes a pair of two real ones, or two of a pair.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/engine/internal.h"
#include "core/model/network.h"
#include "tests/unit/suite.h"

enum { UNITS = 14, TRIALS = 11, EVERY = 7 };

struct host {
    struct task_config config;
    struct task task;
    struct network network;
    struct team *team;
    struct trial trials[TRIALS];
};

static void host_make(struct host *host, enum neuron neuron, bool leaky, int types_per_sign) {
    char error[256];
    const struct network_config network = {.units = UNITS,
                                           .tau = 15,
                                           .neuron = neuron,
                                           .activation = ACTIVATION_TANH,
                                           .threshold = 0.6,
                                           .dampening = 0.3,
                                           .refractory = 2,
                                           .beta = 0.3,
                                           .tau_adaptation = 30,
                                           .adaptive_fraction = 0.5,
                                           .readout_tau = {leaky, 10},
                                           .excitatory_fraction = 0.8,
                                           .types_per_sign = types_per_sign,
                                           .connectivity = 1,
                                           .bias = true};
    memset(host, 0, sizeof *host);
    host->config = (struct task_config)TASK_CONFIG(TASK_PATTERN, {"inputs", 6}, {"outputs", 2}, {"duration", 90});
    ck_assert_int_eq(task_init(&host->task, &host->config, 3, NULL, error), RESULT_DONE);
    ck_assert_int_eq(network_init(&host->network, &network, 6, 2, 5 + (uint64_t)types_per_sign, NULL, error),
                     RESULT_DONE);
    host->team = team_create();
    team_resize(host->team, 2);
    for (size_t i = 0; i < TRIALS; i++) {
        host->task.ops->trial(&host->task, (struct trial_id){TRIAL_TRAINING, 0, i}, &host->trials[i]);
    }
}

static void host_release(struct host *host) {
    team_destroy(host->team);
    network_release(&host->network);
    task_release(&host->task);
}

static void host_inputs(const void *user, size_t trial, int from, int to, float *x, size_t stride) {
    const struct host *host = user;
    host->task.ops->inputs(&host->task, &host->trials[trial], from, to, x, stride);
}

static float host_target(const void *user, size_t trial, int t, int *class_index, float *values) {
    const struct host *host = user;
    return host->task.ops->target(&host->task, &host->trials[trial], t, class_index, values);
}

/* What an update gathers. */
struct pieces {
    struct engine *engine;
    const float *gradient;
    double *sum;
    size_t count;
    int updates;
};

static void piece_add(void *user) {
    struct pieces *pieces = user;
    for (size_t i = 0; i < pieces->count; i++) {
        pieces->sum[i] += (double)pieces->gradient[i];
    }
    pieces->updates++;
    engine_weights_load(pieces->engine, NULL, 0.3, NULL); /* the same weights again: modes are made anew */
}

static struct engine *engine_make(const struct host *host, const struct rule_config *rule, int every,
                                  enum engine_method method) {
    struct error error;
    enum result result;
    const struct task_shape *shape = &host->task.shape;
    const struct batch_options options = {.steps = shape->steps,
                                          .trials = TRIALS,
                                          .loss = shape->loss,
                                          .mask_from = shape->mask_from,
                                          .mask_uniform = shape->mask_uniform,
                                          .rule = rule,
                                          .method = method,
                                          .update_every = every};
    struct engine *engine = engine_create(&host->network, &options, &result, &error);
    ck_assert_msg(engine != NULL, "%s: %s", rule_table[rule->type]->name, error.text);
    engine_weights_load(engine, NULL, 0.3, NULL);
    return engine;
}

/* The largest difference between the sum of the pieces and the whole, over the largest entry. */
static double pieces_distance(const struct host *host, const struct rule_config *rule, enum engine_method whole_by) {
    const size_t count = host->network.parameters;
    const struct batch_source source = {.user = host, .inputs = host_inputs, .target = host_target};
    struct batch_result run = {0}, online_run = {0};
    struct engine *whole = engine_make(host, rule, 0, whole_by), *online = engine_make(host, rule, EVERY, METHOD_AUTO);
    float *expected = malloc(count * sizeof *expected), *gradient = malloc(count * sizeof *gradient);
    struct pieces pieces = {online, gradient, calloc(count, sizeof(double)), count, 0};
    const struct engine_update update = {piece_add, &pieces};
    ck_assert(expected && gradient && pieces.sum);
    ck_assert_int_eq(engine_batch_run(whole, host->team, &source, TRIALS, expected, NULL, &run), RESULT_DONE);
    ck_assert_int_eq(engine_batch_online(online, host->team, &source, TRIALS, gradient, &update, NULL, &online_run),
                     RESULT_DONE);
    ck_assert_int_ne(engine_method_used(online), METHOD_REVERSE);
    ck_assert_int_eq(pieces.updates, (host->task.shape.steps - 1) / EVERY + 1);
    ck_assert_double_eq_tol(run.loss, online_run.loss, 1e-6 * fabs(run.loss));
    double distance = 0, largest = 0;
    for (size_t i = 0; i < count; i++) {
        distance = fmax(distance, fabs(pieces.sum[i] - (double)expected[i]));
        largest = fmax(largest, fabs((double)expected[i]));
    }
    free(expected);
    free(gradient);
    free(pieces.sum);
    engine_destroy(whole);
    engine_destroy(online);
    return distance / largest;
}

static int rules_of(enum neuron neuron, bool leaky, struct rule_config rules[4]) {
    const struct neuron_ops *ops = neuron_table[neuron];
    int count = 0;
    rules[count++] = (struct rule_config){.type = RULE_EPROP};
    if (!leaky) {
        rules[count++] = (struct rule_config){.type = RULE_MDGL, .weights = CREDIT_TYPE};
    }
    if (ops->hop_by_mu && (!leaky || ops->mu_at_source)) {
        rules[count++] = (struct rule_config){.type = RULE_MODPROP, .weights = CREDIT_TYPE};
    }
    if (ops->hop_exact && !leaky) {
        rules[count++] = (struct rule_config){
            .type = RULE_MODPROP, .weights = CREDIT_TYPE, .first_hop = FIRST_HOP_EXACT};
    }
    return count;
}

START_TEST(pieces_add_up) {
    const enum neuron neuron = (enum neuron)(_i / 2);
    const bool leaky = _i % 2;
    struct rule_config rules[4];
    for (int types = 2; types <= 5; types += 3) {
        struct host host;
        host_make(&host, neuron, leaky, types);
        int count = rules_of(neuron, leaky, rules);
        for (int r = 0; r < count; r++) {
            double distance = pieces_distance(&host, &rules[r], METHOD_REVERSE);
            ck_assert_msg(distance < 3e-5, "%s, %s, %d types%s: off by %g of the largest entry",
                          neuron_table[neuron]->name, rule_table[rules[r].type]->name, types,
                          leaky ? ", a leaky readout" : "", distance);
        }
        host_release(&host);
    }
}
END_TEST

START_TEST(no_form_no_updates) {
    static const struct {
        enum neuron neuron;
        bool leaky;
        struct rule_config rule;
    } refused[] = {
        {NEURON_MEMBRANE, false, {.type = RULE_BPTT}},
        {NEURON_MEMBRANE, false, {.type = RULE_MODPROP}},
        {NEURON_MEMBRANE, true, {.type = RULE_MDGL}},
        {NEURON_MEMBRANE, true, {.type = RULE_MODPROP, .weights = CREDIT_TYPE}},
        {NEURON_ALIF, true, {.type = RULE_MODPROP, .weights = CREDIT_TYPE, .first_hop = FIRST_HOP_EXACT}},
        {NEURON_RATE, false, {.type = RULE_MODPROP, .weights = CREDIT_TYPE, .averaging = AVERAGING_EXISTING}},
        {NEURON_RATE, false, {.type = RULE_MODPROP, .weights = CREDIT_TYPE, .taps = 3}},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct batch_options options = {.steps = 20,
                                        .trials = 2,
                                        .neuron = refused[i].neuron,
                                        .readout_leaks = refused[i].leaky,
                                        .rule = &refused[i].rule,
                                        .update_every = 5};
        struct engine_plan plan;
        struct error error = {0};
        ck_assert(!engine_plan_make(10, 2, 2, 2, false, true, &options, &plan, &error));
        ck_assert_msg(strstr(error.text, "update_every") && strstr(error.text, "rtrl"), "%s", error.text);
        options.update_every = 0;
        ck_assert(engine_plan_make(10, 2, 2, 2, false, true, &options, &plan, &error));
    }
}
END_TEST

/* ---- what modes carry ---- */

/* Two values of four traces of kinds `before`, seen as kinds `now`. */
static void recast_check(const unsigned char now[4], const unsigned char before[4], const float expected[4]) {
    struct network network = {.types = 4};
    unsigned char kinds[8];
    float values[4], traces[8];
    memcpy(kinds, now, 4);
    memcpy(kinds + 4, before, 4);
    struct engine engine = {.network = &network, .kinds = kinds, .kind_values = values, .mode_count = 1};
    for (int i = 0; i < 8; i++) {
        traces[i] = (float)(i / 2 + 1) * (i % 2 ? -10.0f : 1.0f); /* 1 2 3 4, and -10 times that */
    }
    modes_recast(&engine, 2, traces);
    for (int i = 0; i < 8; i++) {
        ck_assert_msg(traces[i] == expected[i / 2] * (i % 2 ? -10.0f : 1.0f), "trace %d is %g", i / 2,
                      (double)traces[i]);
    }
}

START_TEST(modes_change_their_kind) {
    static const unsigned char real[4] = {0, 0, 0, 0}, early[4] = {1, 2, 0, 0}, late[4] = {0, 0, 1, 2},
                               middle[4] = {0, 1, 2, 0};
    recast_check(early, early, (const float[4]){1, 2, 3, 4});
    recast_check(early, real, (const float[4]){1.5f, 0, 3, 4});
    recast_check(real, early, (const float[4]){1, 1, 3, 4});
    recast_check(late, early, (const float[4]){1, 1, 3.5f, 0});
    /* 1 + 2i, 1 - 2i, 3, 4: the pair in the middle is of 1 - 2i and 3 */
    recast_check(middle, early, (const float[4]){1, 2, -1, 4});
}
END_TEST

int main(void) {
    Suite *suite = suite_create("online");
    TCase *tests = tcase_create("online");
    tcase_set_timeout(tests, 0);
    tcase_add_loop_test(tests, pieces_add_up, 0, 2 * NEURON_MODELS);
    tcase_add_test(tests, no_form_no_updates);
    tcase_add_test(tests, modes_change_their_kind);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
