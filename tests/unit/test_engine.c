/*
 * The engine's plan at the limits of what it admits, and what every entry point of core refuses: sizes that contradict
 * each other are an error with a sentence in every build, never a read or write out of bounds.
 */
#include <check.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/size.h"
#include "core/engine/engine.h"
#include "core/train/gradients.h"
#include "core/train/simulate.h"
#include "tests/unit/suite.h"

/* ---- the plan ---- */

static const struct rule_config rules[] = {
    {.type = RULE_BPTT},
    {.type = RULE_EPROP},
    {.type = RULE_MDGL, .weights = CREDIT_TYPE},
    {.type = RULE_MODPROP, .mu = 0.25, .weights = CREDIT_TYPE},
    {.type = RULE_MODPROP, .mu = 0.25, .first_hop = FIRST_HOP_EXACT},
    {.type = RULE_MODPROP, .mu = 0.25, .taps = 1000000000},
    {.type = RULE_RTRL},
};

static void plan_check(int units, int inputs, int outputs, int types, const struct batch_options *options) {
    struct engine_plan plan = {0};
    struct error error = {0};
    if (!engine_plan_make(units, inputs, outputs, types, true, true, options, &plan, &error)) {
        ck_assert_uint_gt(strlen(error.text), 10);
        return;
    }
    ck_assert_int_ge(plan.segment_steps, 1);
    ck_assert_int_le(plan.segment_steps, options->steps);
    ck_assert(size_possible(plan.memory_bytes));
    ck_assert(isfinite(plan.multiply_adds) && plan.multiply_adds >= plan.forward_multiply_adds);
    double segments = ceil((double)options->steps / plan.segment_steps);
    if (plan.method == METHOD_REVERSE) {
        /* history of a segment, and the snapshots of all segments, are in it */
        double rows = fmin(options->trials, BLOCK_TRIALS);
        ck_assert_double_ge((double)plan.memory_bytes, 4.0 * rows * units * (plan.segment_steps + 2 * segments - 2));
    }
}

START_TEST(plan_of_extreme_sizes_is_sane_or_refused) {
    static const int steps[] =
        {1,           63,      64, 65, INT_MAX / 2, STEPS_MOST - 1, STEPS_MOST, STEPS_MOST + 1, INT_MAX - 64,
         INT_MAX - 1, INT_MAX, 0,  -1, INT_MIN},
                     sizes[] = {1, 16, 64, 16384, 30001, SOURCES_MOST, SOURCES_MOST + 1, INT_MAX},
                     trials[] = {1, 8, 65536, TRIALS_MOST, INT_MAX};
    static const int64_t memory[] = {0, 1 << 20, INT64_MAX};
    for (size_t r = 0; r < sizeof rules / sizeof *rules; r++) {
        for (size_t t = 0; t < sizeof steps / sizeof *steps; t++) {
            for (size_t n = 0; n < sizeof sizes / sizeof *sizes; n++) {
                for (size_t k = 0; k < 3 * (sizeof trials / sizeof *trials); k++) {
                    struct batch_options options = {.steps = steps[t],
                                                    .trials = trials[k / 3],
                                                    .mask_from = steps[t] > 0 ? steps[t] - 1 : 0,
                                                    .rule = &rules[r],
                                                    .memory = memory[k % 3]};
                    int units = k % 2 ? sizes[n] : 6, others = k % 2 ? 6 : sizes[n];
                    plan_check(units, others, 2, k % 5 ? 1 : units, &options);
                    plan_check(units, 2, others, 1, &options);
                }
            }
        }
    }
}
END_TEST

START_TEST(plan_of_the_longest_dataset_keeps_positive_segments) {
    /* an I8 file just under 4 GiB: steps + segment - 1 used to overflow */
    struct batch_options options = {
        .steps = STEPS_MOST, .trials = 1, .mask_from = STEPS_MOST - 1, .rule = &rules[0], .memory = INT64_MAX};
    struct engine_plan plan;
    struct error error = {0};
    ck_assert(engine_plan_make(6, 1, 2, 1, false, true, &options, &plan, &error));
    ck_assert_int_eq(plan.segment_steps, STEPS_MOST);
    ck_assert_uint_gt(plan.memory_bytes, (size_t)STEPS_MOST * 32 * sizeof(float));
    ck_assert_uint_lt(plan.memory_bytes, (size_t)STEPS_MOST * 34 * sizeof(float));
    options.steps = INT_MAX - 10;
    ck_assert(!engine_plan_make(6, 1, 2, 1, false, true, &options, &plan, &error));
    ck_assert_ptr_nonnull(strstr(error.text, "steps must number from 1 to 2147482624; got 2147483637"));
}
END_TEST

START_TEST(sizes_stop_at_the_end_instead_of_wrapping) {
    ck_assert_uint_eq(size_times(SIZE_MAX / 2, 2), SIZE_MAX - 1);
    ck_assert_uint_eq(size_times(SIZE_MAX / 2, 3), SIZE_BEYOND);
    ck_assert_uint_eq(size_times(SIZE_BEYOND, 0), 0);
    ck_assert_uint_eq(size_plus(SIZE_BEYOND, 1), SIZE_BEYOND);
    ck_assert_uint_eq(size_aligned(SIZE_BEYOND - 5, 64), SIZE_BEYOND);
    ck_assert_uint_eq(size_aligned(65, 64), 128);
    ck_assert(!size_possible(SIZE_BEYOND) && size_possible(1));
    ck_assert(!size_possible(network_parameters(INT_MAX, INT_MAX, INT_MAX, true) * 0 + SIZE_BEYOND));
    ck_assert_uint_eq(network_parameters(3, 2, 1, true), 9 + 6 + 3 + 3 + 1);
}
END_TEST

/* ---- shapes that do not agree ---- */

enum { UNITS = 8, STEPS = 12, TRIALS = 5 };

/* A dataset with room for the largest shape that the tests give it. */
struct data {
    float inputs[STEPS * TRIALS * 64];
    int32_t classes[STEPS * TRIALS];
    struct task_data data;
};

static void data_make(struct data *data, size_t inputs, size_t outputs) {
    memset(data, 0, sizeof *data);
    for (int i = 0; i < STEPS * TRIALS; i++) {
        data->classes[i] = i % 2;
    }
    data->data = (struct task_data){.steps = STEPS, .inputs = inputs, .outputs = outputs, .loss = LOSS_CROSS_ENTROPY};
    data->data.train = (struct trial_set){.trials = TRIALS,
                                          .inputs = {(unsigned char *)data->inputs, DATA_F32},
                                          .classes = {(unsigned char *)data->classes, DATA_I32}};
}

static struct train_config config_make(const struct data *data) {
    struct train_config config = {.seed = 1,
                                  .task = {.type = TASK_DATASET, .data = &data->data},
                                  .network = {.units = UNITS,
                                              .tau = 20,
                                              .dale = true,
                                              .excitatory_fraction = 0.8,
                                              .types_per_sign = 1,
                                              .connectivity = 1},
                                  .rule = {.type = RULE_EPROP},
                                  .optimizer = {.learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-8},
                                  .training = {.iterations = 2, .batch_size = 3, .evaluate_every = 1}};
    return config;
}

struct kept {
    unsigned char *bytes;
    size_t size;
};

static bool progress_ignore(void *user, const struct train_progress *progress) {
    (void)user;
    (void)progress;
    return true;
}

static bool checkpoint_keep(void *user, int64_t iteration, double loss, const unsigned char *bytes, size_t size) {
    struct kept *kept = user;
    (void)iteration;
    (void)loss;
    kept->bytes = realloc(kept->bytes, size);
    memcpy(kept->bytes, bytes, size);
    kept->size = size;
    return true;
}

static enum result train(const struct train_config *config, struct kept *kept, struct error *error) {
    struct train_control control = {0};
    struct train_callbacks callbacks = {.user = kept, .progress = progress_ignore, .checkpoint = checkpoint_keep};
    return train_run(config, NULL, 0, &control, &callbacks, error);
}

START_TEST(simulation_of_other_data_is_refused) {
    static struct data data, others[5];
    data_make(&data, 2, 2);
    data_make(&others[0], 64, 2);
    data_make(&others[1], 1, 2);
    data_make(&others[2], 2, 3);
    data_make(&others[3], 2, 2);
    others[3].data.steps = STEPS - 1;
    data_make(&others[4], 2, 2);
    others[4].data.train.classes.bytes = NULL;
    struct train_config config = config_make(&data);
    struct kept kept = {0};
    struct error error;
    struct trained trained;
    ck_assert_int_eq(train(&config, &kept, &error), RESULT_DONE);
    ck_assert_int_eq(trained_open(&config, kept.bytes, kept.size, &trained, &error), RESULT_DONE);
    static float inputs[STEPS * TRIALS * 64], rates[STEPS * TRIALS], outputs[STEPS * TRIALS * 3];
    int labels[TRIALS], unit = 0;
    struct simulate_request request = {
        .steps = STEPS, .trials = TRIALS, .seed = 1, .units = &unit, .unit_count = 1, .every = 1};
    struct simulate_answer answer = {.inputs = inputs, .rates = rates, .outputs = outputs, .labels = labels};
    ck_assert_int_eq(simulate_run(&config, &trained, &request, NULL, NULL, &answer, &error), RESULT_DONE);
    for (int i = 0; i < 5; i++) {
        struct train_config other = config;
        other.task.data = &others[i].data;
        ck_assert_int_eq(simulate_run(&other, &trained, &request, NULL, NULL, &answer, &error), RESULT_INVALID);
        ck_assert_uint_gt(strlen(error.text), 10);
    }
    struct train_config larger = config;
    larger.network.units = 4 * UNITS;
    ck_assert_int_eq(simulate_run(&larger, &trained, &request, NULL, NULL, &answer, &error), RESULT_INVALID);
    unit = UNITS;
    ck_assert_int_eq(simulate_run(&config, &trained, &request, NULL, NULL, &answer, &error), RESULT_INVALID);
    unit = 0;
    request.x = inputs;
    request.inputs = 3;
    ck_assert_int_eq(simulate_run(&config, &trained, &request, NULL, NULL, &answer, &error), RESULT_INVALID);
    request.inputs = 2;
    ck_assert_int_eq(simulate_run(&config, &trained, &request, NULL, NULL, &answer, &error), RESULT_DONE);
    request.every = -1;
    ck_assert_int_eq(simulate_run(&config, &trained, &request, NULL, NULL, &answer, &error), RESULT_INVALID);
    trained_release(&trained);
    free(kept.bytes);
}
END_TEST

START_TEST(training_with_weights_of_other_sizes_is_refused) {
    static struct data data;
    static const float weights[UNITS * UNITS + UNITS * 2 + UNITS * 2 + 2];
    data_make(&data, 2, 2);
    struct train_config config = config_make(&data);
    struct weights_view view = weights_view_make(weights, UNITS, 2, 2, false);
    struct kept kept = {0};
    struct error error;
    config.network.initial = &view;
    ck_assert_int_eq(train(&config, &kept, &error), RESULT_DONE);
    data_make(&data, 64, 2);
    ck_assert_int_eq(train(&config, &kept, &error), RESULT_INVALID);
    ck_assert_ptr_nonnull(strstr(error.text, "the given weights are for 8 units, 2 inputs and 2 outputs"));
    data_make(&data, 2, 2);
    config.network.units = UNITS + 1;
    ck_assert_int_eq(train(&config, &kept, &error), RESULT_INVALID);
    config.network.units = 0;
    ck_assert_int_eq(train(&config, &kept, &error), RESULT_INVALID);
    config = config_make(&data);
    config.training.batch_size = 0;
    ck_assert_int_eq(train(&config, &kept, &error), RESULT_INVALID);
    free(kept.bytes);
}
END_TEST

START_TEST(classes_beyond_the_outputs_are_refused) {
    static struct data data;
    data_make(&data, 2, 2);
    struct train_config config = config_make(&data);
    struct kept kept = {0};
    struct error error;
    for (int bad = -1; bad <= 2; bad += 3) {
        for (int i = 0; i < STEPS * TRIALS; i++) {
            data.classes[i] = bad;
        }
        ck_assert_int_eq(train(&config, &kept, &error), RESULT_INVALID);
        ck_assert_str_eq(error.text, BATCH_CLASS_INVALID);
    }
    free(kept.bytes);
}
END_TEST

static enum result gradients_of(const struct gradients_problem *problem, struct error *error) {
    static float W[UNITS * UNITS], Win[UNITS * 2], Wout[UNITS * 2], bout[2];
    struct gradients gradients = {W, Win, NULL, Wout, bout};
    struct rule_config rule = {.type = RULE_MODPROP, .mu = 0.25, .weights = CREDIT_TYPE};
    double loss;
    return gradients_compute(problem, &rule, 1, NULL, NULL, &gradients, &loss, error);
}

START_TEST(gradients_of_contradictory_problems_are_refused) {
    static float weights[UNITS * UNITS], x[STEPS * TRIALS * 2];
    static int32_t classes[STEPS * TRIALS];
    double leak[UNITS] = {0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9};
    int types[UNITS] = {0, 1, 0, 1, 0, 1, 0, 1};
    const struct gradients_problem good = {.units = UNITS,
                                           .inputs = 2,
                                           .outputs = 2,
                                           .types = 2,
                                           .steps = STEPS,
                                           .trials = TRIALS,
                                           .loss = LOSS_CROSS_ENTROPY,
                                           .W = weights,
                                           .Win = weights,
                                           .Wout = weights,
                                           .bout = weights,
                                           .leak = leak,
                                           .type_of_unit = types,
                                           .x = x,
                                           .classes = classes};
    struct error error;
    ck_assert_int_eq(gradients_of(&good, &error), RESULT_DONE);
    struct gradients_problem bad[12];
    for (int i = 0; i < 12; i++) {
        bad[i] = good;
    }
    bad[0].units = 0;
    bad[1].inputs = -1;
    bad[2].outputs = 0;
    bad[3].steps = 0;
    bad[4].trials = 0;
    bad[5].types = 1;
    bad[6].types = UNITS + 1;
    bad[7].types = 0;
    bad[8].classes = NULL;
    bad[9].x = NULL;
    bad[10].loss = LOSS_MSE;
    bad[11].steps = INT_MAX;
    for (int i = 0; i < 12; i++) {
        ck_assert_msg(gradients_of(&bad[i], &error) == RESULT_INVALID && strlen(error.text) > 10, "problem %d", i);
    }
    classes[7] = 2;
    ck_assert_int_eq(gradients_of(&good, &error), RESULT_INVALID);
    ck_assert_str_eq(error.text, BATCH_CLASS_INVALID);
    classes[7] = 0;
}
END_TEST

int main(void) {
    Suite *suite = suite_create("engine");
    TCase *plan = tcase_create("plan"), *shapes = tcase_create("shapes");
    tcase_add_test(plan, plan_of_extreme_sizes_is_sane_or_refused);
    tcase_add_test(plan, plan_of_the_longest_dataset_keeps_positive_segments);
    tcase_add_test(plan, sizes_stop_at_the_end_instead_of_wrapping);
    tcase_add_test(shapes, simulation_of_other_data_is_refused);
    tcase_add_test(shapes, training_with_weights_of_other_sizes_is_refused);
    tcase_add_test(shapes, classes_beyond_the_outputs_are_refused);
    tcase_add_test(shapes, gradients_of_contradictory_problems_are_refused);
    tcase_set_timeout(plan, 300);
    suite_add_tcase(suite, plan);
    suite_add_tcase(suite, shapes);
    return suite_run(suite);
}
