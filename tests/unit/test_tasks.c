/*
 * Tasks against their definitions: what is shown when, which class it means, and that a trial is the same in whatever
 * blocks of time it is produced.
 */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/tasks/task.h"
#include "tests/unit/suite.h"

static struct task task_make(const struct task_config *config, uint64_t seed) {
    struct task task;
    char error[256] = "";
    ck_assert_msg(task_init(&task, config, seed, NULL, error) == RESULT_DONE, "%s", error);
    return task;
}

static struct trial trial_make(const struct task *task, enum trial_phase phase, int64_t iteration, size_t number) {
    struct trial trial;
    task->ops->trial(task, (struct trial_id){.phase = phase, .iteration = iteration, .trial = number}, &trial);
    return trial;
}

/*
 * (T, I) of a trial, produced `block` steps at a time into rows of `stride` floats; the padding between rows must stay
 * unchanged.
 */
static float *inputs_make(const struct task *task, const struct trial *trial, int block, size_t stride) {
    size_t steps = (size_t)task->shape.steps, inputs = (size_t)task->shape.inputs;
    float *wide = malloc(steps * stride * sizeof *wide), *x = malloc(steps * inputs * sizeof *x);
    int touched = 0;
    ck_assert(wide && x);
    for (size_t i = 0; i < steps * stride; i++) {
        wide[i] = -77;
    }
    for (int from = 0; from < task->shape.steps; from += block) {
        int to = task->shape.steps - from < block ? task->shape.steps : from + block;
        task->ops->inputs(task, trial, from, to, wide + (size_t)from * stride, stride);
    }
    for (size_t t = 0; t < steps; t++) {
        memcpy(x + t * inputs, wide + t * stride, inputs * sizeof *x);
        for (size_t i = inputs; i < stride; i++) {
            touched += wide[t * stride + i] != -77;
        }
    }
    ck_assert_int_eq(touched, 0);
    free(wide);
    return x;
}

static void blocks_agree(const struct task *task, const struct trial *trial) {
    static const int blocks[] = {1, 7, 16, 33};
    size_t inputs = (size_t)task->shape.inputs, bytes = (size_t)task->shape.steps * inputs * sizeof(float);
    float *whole = inputs_make(task, trial, task->shape.steps, inputs);
    for (size_t k = 0; k < sizeof blocks / sizeof *blocks; k++) {
        float *x = inputs_make(task, trial, blocks[k], inputs + k);
        ck_assert_int_eq(memcmp(x, whole, bytes), 0);
        free(x);
    }
    free(whole);
}

START_TEST(delayed_xor_is_its_definition) {
    struct task_config config = TASK_CONFIG(TASK_DELAYED_XOR, {"delay", 700}, {"cue", 100}, {"amplitude", 2},
                                            {"noise", 0});
    struct task task = task_make(&config, 3);
    int seen[4] = {0};
    ck_assert_int_eq(task.shape.steps, 900);
    for (size_t number = 0; number < 64; number++) {
        struct trial trial = trial_make(&task, TRIAL_TRAINING, 5, number);
        float *x = inputs_make(&task, &trial, 900, 2);
        bool first = x[2 * 50] > 1, last = x[2 * 850 + 1] > 1;
        double worst = 0;
        for (int t = 0; t < 900; t++) {
            double s = -50 + 100.0 * (t % 100) / 99, pulse = 2 * exp(-s * s / (2 * 25 * 25));
            worst = fmax(worst, fabs((double)x[2 * t] - 0.02 - (first && t < 100 ? pulse : 0)));
            worst = fmax(worst, fabs((double)x[2 * t + 1] - 0.02 - (last && t >= 800 ? pulse : 0)));
        }
        ck_assert_double_lt(worst, 1e-6);
        int class_index = -1;
        ck_assert(task.ops->target(&task, &trial, 899, &class_index, NULL) == 1);
        ck_assert_int_eq(class_index, first == last);
        seen[2 * first + last]++;
        free(x);
    }
    for (int k = 0; k < 4; k++) {
        ck_assert_int_ge(seen[k], 4);
    }
    task_release(&task);
}
END_TEST

START_TEST(trials_differ_and_repeat) {
    struct task_config config = TASK_CONFIG(TASK_DELAYED_XOR, {"delay", 60}, {"cue", 20}, {"amplitude", 2},
                                            {"noise", 0.01});
    struct task task = task_make(&config, 3);
    struct trial base = trial_make(&task, TRIAL_TRAINING, 5, 1),
                 others[] = {trial_make(&task, TRIAL_TRAINING, 5, 2), trial_make(&task, TRIAL_TRAINING, 6, 1),
                             trial_make(&task, TRIAL_EVALUATION, 5, 1)};
    float *x = inputs_make(&task, &base, 100, 2);
    for (size_t k = 0; k < sizeof others / sizeof *others; k++) {
        float *y = inputs_make(&task, &others[k], 100, 2);
        for (int i = 50; i < 100; i++) { /* the delay, which holds only noise */
            ck_assert(x[i] != y[i]);
        }
        free(y);
    }
    blocks_agree(&task, &base);
    free(x);
    task_release(&task);
}
END_TEST

START_TEST(pattern_is_frozen_and_scaled) {
    struct task_config config = TASK_CONFIG(TASK_PATTERN, {"inputs", 20}, {"outputs", 3}, {"duration", 1000});
    struct task task = task_make(&config, 9);
    struct trial one = trial_make(&task, TRIAL_TRAINING, 0, 0), other = trial_make(&task, TRIAL_EVALUATION, 17, 4);
    float *x = inputs_make(&task, &one, 1000, 20), *y = inputs_make(&task, &other, 1000, 20);
    ck_assert_int_eq(memcmp(x, y, 20000 * sizeof *x), 0);
    float values[3], largest[3] = {0};
    double square = 0;
    for (int i = 0; i < 20000; i++) {
        square += (double)x[i] * (double)x[i];
    }
    ck_assert_double_lt(fabs(square / 20000 - 1), 0.05);
    for (int t = 0; t < 1000; t++) {
        ck_assert(task.ops->target(&task, &one, t, NULL, values) == 1);
        for (int o = 0; o < 3; o++) {
            largest[o] = fmaxf(largest[o], fabsf(values[o]));
        }
    }
    for (int o = 0; o < 3; o++) {
        ck_assert_double_lt(fabs((double)largest[o] - 1), 1e-6);
    }
    blocks_agree(&task, &one);
    free(x);
    free(y);
    task_release(&task);
}
END_TEST

/*
 * Adds a trial's spikes by group to spikes[4]; counts in *stray those where none may occur. Returns the cues on the
 * right according to the spikes.
 */
static int evidence_count(const struct task *task, const float *x, double spikes[4], int *stray) {
    int cues = (int)task_number(task->config, "cues"), duration = (int)task_number(task->config, "cue_duration"),
        active = (int)task_number(task->config, "cue_active"), right = 0;
    for (int cue = 0; cue < cues; cue++) {
        double sides[2] = {0};
        for (int t = cue * duration; t < (cue + 1) * duration; t++) {
            for (int i = 0; i < 20; i++) {
                sides[i / 10] += (double)x[40 * t + i];
                *stray += x[40 * t + i] != 0 && t % duration >= active;
            }
        }
        *stray += sides[0] > 0 && sides[1] > 0; /* a cue has one side */
        right += sides[1] > 0;
    }
    int cued = cues * duration;
    for (int t = 0; t < task->shape.steps; t++) {
        for (int i = 0; i < 40; i++) {
            float spike = x[40 * t + i];
            spikes[i / 10] += (double)spike;
            *stray += (spike != 0 && spike != 1) || (spike != 0 && i < 20 && t >= cued) ||
                      (spike != 0 && i >= 30 && t < task->shape.mask_from);
        }
    }
    return right;
}

static void evidence_check(int cues, int trials) {
    struct task_config config = TASK_CONFIG(TASK_EVIDENCE, {"cues", cues}, {"cue_duration", 150}, {"cue_active", 100},
                                            {"delay", 800}, {"recall", 150}, {"cue_probability", 0.7},
                                            {"active_rate", 40}, {"background_rate", 10});
    struct task task = task_make(&config, 4);
    double spikes[4] = {0}, each = trials * 10.0;
    int of_class[2] = {0}, stray = 0, steps = cues * 150 + 800 + 150;
    ck_assert_int_eq(task.shape.steps, steps);
    for (int number = 0; number < trials; number++) {
        struct trial trial = trial_make(&task, TRIAL_TRAINING, 0, (size_t)number);
        float *x = inputs_make(&task, &trial, steps, 40);
        int right = evidence_count(&task, x, spikes, &stray), class_index = -1;
        ck_assert(task.ops->target(&task, &trial, steps - 150, &class_index, NULL) == 1);
        ck_assert_int_eq(class_index, 2 * right > cues);
        of_class[class_index]++;
        free(x);
    }
    ck_assert_int_eq(stray, 0);
    ck_assert_double_lt(fabs((spikes[0] + spikes[1]) / (each * cues * 100 * 0.04) - 1), 0.04);
    ck_assert_double_lt(fabs(spikes[2] / (each * steps * 0.01) - 1), 0.04);
    ck_assert_double_lt(fabs(spikes[3] / (each * 150 * 0.04) - 1), 0.06);
    ck_assert_int_ge(of_class[0], trials / 4);
    ck_assert_int_ge(of_class[1], trials / 4);
    struct trial trial = trial_make(&task, TRIAL_TRAINING, 0, 0);
    blocks_agree(&task, &trial);
    task_release(&task);
}

START_TEST(evidence_is_its_definition) {
    evidence_check(7, 100);
    evidence_check(131, 32); /* more cues than a word has bits: what is shown must still match the class */
}
END_TEST

/* ---- what holds of every task whose trials are made ---- */

/* Weights and targets of all steps from mask_from on are what the shape says, and in range. */
static void targets_agree(const struct task *task, const struct trial *trial) {
    const struct task_shape *shape = &task->shape;
    float *values = calloc((size_t)shape->outputs, sizeof *values);
    double weights = 0;
    ck_assert(values != NULL);
    for (int t = shape->mask_from; t < shape->steps; t++) {
        int class_index = -1;
        float weight = task->ops->target(task, trial, t, &class_index, values);
        ck_assert(weight >= 0 && (!shape->mask_uniform || weight == 1));
        if (shape->loss == LOSS_CROSS_ENTROPY && weight > 0) {
            ck_assert(class_index >= 0 && class_index < shape->outputs);
        }
        for (int o = 0; o < shape->outputs; o++) {
            ck_assert(isfinite(values[o]));
        }
        weights += (double)weight;
    }
    ck_assert_msg(weights > 0, "%s: a trial without a step that counts", task->ops->name);
    free(values);
}

START_TEST(trials_are_whole_in_any_blocks) {
    struct task_config config = task_config_make((enum task_type)_i, NULL, 0);
    if (task_ops_of(&config)->needs != NEEDS_NOTHING) {
        return;
    }
    struct task task = task_make(&config, 11);
    static const enum trial_phase phases[] = {TRIAL_TRAINING, TRIAL_EVALUATION};
    for (size_t number = 0; number < 6; number++) {
        struct trial trial = trial_make(&task, phases[number % 2], 3, number);
        blocks_agree(&task, &trial);
        targets_agree(&task, &trial);
    }
    task_release(&task);
}
END_TEST

/* Spikes of two trials in 7 ticks and 3 inputs, as (tick, unit), and what they are as counts. */
static const size_t spikes_first[] = {0, 6, 8};
static const uint32_t spikes_ticks[] = {0, 0, 0, 2, 3, 6, 1, 6};
static const uint16_t spikes_units[] = {1, 1, 2, 0, 0, 1, 2, 2};
static const uint8_t spikes_classes[] = {0, 1};
static const float spikes_mask[7 * 2] = {0, 0, 0.5f, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0};

START_TEST(spikes_are_counted_in_bins_of_ticks) {
    const struct task_data data = {.steps = 7,
                                   .inputs = 3,
                                   .outputs = 2,
                                   .spiking = true,
                                   .train = {.trials = 2,
                                             .spikes = {spikes_first, spikes_ticks, spikes_units},
                                             .classes = {spikes_classes, DATA_U8},
                                             .class_per_trial = true,
                                             .mask = spikes_mask,
                                             .masked = true,
                                             .mask_from = 1}};
    struct task_config config = TASK_CONFIG(TASK_DATASET, {"bin", _i}, {"draw", 2});
    config.data = &data;
    struct task task = task_make(&config, 1);
    ck_assert_int_eq(task.shape.steps, (7 + _i - 1) / _i);
    ck_assert_int_eq(task.shape.mask_from, 1 / _i);
    for (size_t number = 0; number < 2; number++) {
        float counts[7 * 3] = {0}, mask[7] = {0};
        for (size_t k = spikes_first[number]; k < spikes_first[number + 1]; k++) {
            counts[spikes_ticks[k] / (unsigned)_i * 3 + spikes_units[k]]++;
        }
        for (int tick = 0; tick < 7; tick++) {
            float weight = spikes_mask[2 * (size_t)tick + number];
            mask[tick / _i] = weight != 0 ? weight : mask[tick / _i];
        }
        struct trial trial = trial_make(&task, TRIAL_LISTED, 0, number);
        float *x = inputs_make(&task, &trial, task.shape.steps, 3);
        ck_assert_mem_eq(x, counts, sizeof(float) * 3 * (size_t)task.shape.steps);
        free(x);
        blocks_agree(&task, &trial);
        for (int t = task.shape.mask_from; t < task.shape.steps; t++) {
            int class_index = -1;
            ck_assert_float_eq(task.ops->target(&task, &trial, t, &class_index, NULL), mask[t]);
            ck_assert_int_eq(class_index, (int)number);
        }
    }
    task_release(&task);
}
END_TEST

START_TEST(training_and_evaluation_see_other_trials) {
    struct task_config config = task_config_make((enum task_type)_i, NULL, 0);
    if (task_ops_of(&config)->needs != NEEDS_NOTHING || _i == TASK_PATTERN) {
        return;
    }
    struct task task = task_make(&config, 11), again = task_make(&config, 11), other = task_make(&config, 12);
    size_t inputs = (size_t)task.shape.inputs, bytes = (size_t)task.shape.steps * inputs * sizeof(float),
           differ[2] = {0};
    for (size_t number = 0; number < 8; number++) {
        struct trial trials[] = {
            trial_make(&task, TRIAL_TRAINING, 3, number), trial_make(&again, TRIAL_TRAINING, 3, number),
            trial_make(&task, TRIAL_EVALUATION, 3, number), trial_make(&other, TRIAL_TRAINING, 3, number)};
        float *x[] = {inputs_make(&task, &trials[0], task.shape.steps, inputs),
                      inputs_make(&again, &trials[1], task.shape.steps, inputs),
                      inputs_make(&task, &trials[2], task.shape.steps, inputs),
                      inputs_make(&other, &trials[3], task.shape.steps, inputs)};
        ck_assert(memcmp(x[0], x[1], bytes) == 0 && trials[0].label == trials[1].label);
        differ[0] += memcmp(x[0], x[2], bytes) != 0;
        differ[1] += memcmp(x[0], x[3], bytes) != 0;
        for (size_t k = 0; k < 4; k++) {
            free(x[k]);
        }
    }
    ck_assert(differ[0] > 1 && differ[1] > 1);
    task_release(&task);
    task_release(&again);
    task_release(&other);
}
END_TEST

START_TEST(two_classes_are_balanced) {
    struct task_config config = task_config_make((enum task_type)_i, NULL, 0);
    if (task_ops_of(&config)->needs != NEEDS_NOTHING) {
        return;
    }
    struct task task = task_make(&config, 11);
    int ones = 0, trials = 2000;
    for (int number = 0; number < trials; number++) {
        ones += trial_make(&task, TRIAL_TRAINING, 3, (size_t)number).label == 1;
    }
    if (task.shape.loss == LOSS_CROSS_ENTROPY && task.shape.outputs == 2 && task.shape.mask_uniform) {
        ck_assert_msg(abs(ones - trials / 2) < 150, "%s: %d of %d", task.ops->name, ones, trials);
    }
    task_release(&task);
}
END_TEST

/* ---- the decisions of neurogym ---- */

static double input_at(const float *x, const struct task *task, int t, int i) {
    return (double)x[(size_t)t * (size_t)task->shape.inputs + (size_t)i];
}

START_TEST(perceptual_decision_is_its_definition) {
    struct task_config config = TASK_CONFIG(TASK_PERCEPTUAL_DECISION, {"fixation", 5}, {"stimulus", 20}, {"delay", 3},
                                            {"decision", 4}, {"noise", 0});
    struct task task = task_make(&config, 3);
    int of_coherence[6] = {0};
    ck_assert_int_eq(task.shape.steps, 32);
    ck_assert_int_eq(task.shape.mask_from, 28);
    for (size_t number = 0; number < 200; number++) {
        struct trial trial = trial_make(&task, TRIAL_TRAINING, 5, number);
        float *x = inputs_make(&task, &trial, 32, 3);
        double c = input_at(x, &task, 10, 1) - input_at(x, &task, 10, 2), size = fabs(c);
        for (int t = 0; t < 32; t++) {
            bool shown = t >= 5 && t < 25;
            ck_assert(input_at(x, &task, t, 0) == (t < 28));
            ck_assert(fabs(input_at(x, &task, t, 1) - (shown ? (1 + c) / 2 : 0)) < 1e-6);
            ck_assert(fabs(input_at(x, &task, t, 2) - (shown ? (1 - c) / 2 : 0)) < 1e-6);
        }
        ck_assert(size < 1e-6 || (c < 0) == trial.label);
        of_coherence[size < 1e-6 ? 0 : (int)lround(log2(size / 0.064)) + 1]++;
        free(x);
    }
    for (int k = 0; k < 5; k++) {
        ck_assert_int_ge(of_coherence[k], 20);
    }
    task_release(&task);
}
END_TEST

START_TEST(delayed_match_to_sample_is_its_definition) {
    struct task_config config = TASK_CONFIG(TASK_DELAYED_MATCH_TO_SAMPLE, {"fixation", 5}, {"sample", 6}, {"delay", 7},
                                            {"test", 8}, {"decision", 9}, {"noise", 0});
    struct task task = task_make(&config, 3);
    int seen[4] = {0};
    ck_assert_int_eq(task.shape.steps, 35);
    ck_assert_int_eq(task.shape.mask_from, 26);
    for (size_t number = 0; number < 100; number++) {
        struct trial trial = trial_make(&task, TRIAL_TRAINING, 5, number);
        float *x = inputs_make(&task, &trial, 35, 3);
        int sample = input_at(x, &task, 5, 2) == 1, test = input_at(x, &task, 18, 2) == 1;
        for (int t = 0; t < 35; t++) {
            int shown = t >= 5 && t < 11 ? sample : t >= 18 && t < 26 ? test : -1;
            ck_assert(input_at(x, &task, t, 0) == (t < 26));
            ck_assert(input_at(x, &task, t, 1) == (shown == 0) && input_at(x, &task, t, 2) == (shown == 1));
        }
        ck_assert_int_eq(trial.label, sample != test);
        seen[2 * sample + test]++;
        free(x);
    }
    for (int k = 0; k < 4; k++) {
        ck_assert_int_ge(seen[k], 10);
    }
    task_release(&task);
}
END_TEST

START_TEST(context_decision_is_its_definition) {
    struct task_config config = TASK_CONFIG(TASK_CONTEXT_DECISION, {"fixation", 5}, {"stimulus", 20}, {"delay", 3},
                                            {"decision", 4}, {"noise", 0});
    struct task task = task_make(&config, 3);
    int seen[8] = {0};
    ck_assert_int_eq(task.shape.steps, 32);
    for (size_t number = 0; number < 200; number++) {
        struct trial trial = trial_make(&task, TRIAL_TRAINING, 5, number);
        float *x = inputs_make(&task, &trial, 32, 7);
        int context = input_at(x, &task, 0, 6) == 1, side[2];
        for (int m = 0; m < 2; m++) {
            double first = input_at(x, &task, 10, 1 + 2 * m), second = input_at(x, &task, 10, 2 + 2 * m);
            side[m] = first < second;
            ck_assert(fabs(first + second - 1) < 1e-6 && fabs(first - second) > 0.049);
        }
        for (int t = 0; t < 32; t++) {
            ck_assert(input_at(x, &task, t, 5) == !context && input_at(x, &task, t, 6) == context);
            ck_assert(input_at(x, &task, t, 0) == (t < 28) && ((t >= 5 && t < 25) == (input_at(x, &task, t, 1) != 0)));
        }
        ck_assert_int_eq(trial.label, side[context]);
        seen[4 * context + 2 * side[0] + side[1]]++;
        free(x);
    }
    for (int k = 0; k < 8; k++) {
        ck_assert_int_ge(seen[k], 8);
    }
    task_release(&task);
}
END_TEST

START_TEST(noise_is_normal_and_in_its_period) {
    struct task_config config = TASK_CONFIG(TASK_PERCEPTUAL_DECISION, {"fixation", 50}, {"stimulus", 4000},
                                            {"coherence_scale", 0}, {"noise", 2});
    struct task task = task_make(&config, 3);
    struct trial trial = trial_make(&task, TRIAL_TRAINING, 0, 0);
    float *x = inputs_make(&task, &trial, task.shape.steps, 3);
    double sum[2] = {0}, square[2] = {0}, product = 0;
    for (int t = 0; t < task.shape.steps; t++) {
        double a = input_at(x, &task, t, 1) - 0.5, b = input_at(x, &task, t, 2) - 0.5;
        if (t < 50 || t >= 4050) {
            ck_assert(a == -0.5 && b == -0.5);
            continue;
        }
        sum[0] += a, sum[1] += b, square[0] += a * a, square[1] += b * b, product += a * b;
    }
    for (int i = 0; i < 2; i++) {
        ck_assert(fabs(sum[i] / 4000) < 0.15 && fabs(square[i] / 4000 - 4) < 0.4);
    }
    ck_assert(fabs(product / 4000) < 0.3);
    free(x);
    task_release(&task);
}
END_TEST

/* ---- memory and time ---- */

static float target_at(const struct task *task, const struct trial *trial, int t, int *class_index) {
    float values[16] = {0}, weight = task->ops->target(task, trial, t, class_index, values);
    return weight == 0 ? NAN : values[0];
}

START_TEST(go_nogo_is_its_definition) {
    struct task_config config = TASK_CONFIG(TASK_GO_NOGO, {"fixation", 2}, {"stimulus", 3}, {"delay", 4},
                                            {"decision", 5});
    struct task task = task_make(&config, 3);
    ck_assert(task.shape.steps == 14 && task.shape.mask_from == 9);
    for (size_t number = 0; number < 40; number++) {
        struct trial trial = trial_make(&task, TRIAL_TRAINING, 5, number);
        float *x = inputs_make(&task, &trial, 14, 3);
        for (int t = 0; t < 14; t++) {
            bool shown = t >= 2 && t < 5;
            ck_assert(input_at(x, &task, t, 0) == (t < 9));
            ck_assert(input_at(x, &task, t, 1) == (shown && trial.label == 0));
            ck_assert(input_at(x, &task, t, 2) == (shown && trial.label == 1));
        }
        free(x);
    }
    task_release(&task);
}
END_TEST

/* With a rate of 1000 Hz every input that is on fires at every step, so the inputs say all. */
static void store_recall_check(double probability, int characters, int seen[2]) {
    struct task_config config = TASK_CONFIG(TASK_STORE_RECALL, {"characters", characters}, {"duration", 3},
                                            {"command_probability", probability}, {"active_rate", 1000});
    struct task task = task_make(&config, 3);
    for (size_t number = 0; number < 100; number++) {
        struct trial trial = trial_make(&task, TRIAL_TRAINING, 5, number);
        float *x = inputs_make(&task, &trial, task.shape.steps, 40);
        int held = -1, recalls = 0;
        for (int t = 0; t < task.shape.steps; t++) {
            int class_index = -1;
            bool zero = input_at(x, &task, t, 0) == 1, one = input_at(x, &task, t, 10) == 1,
                 store = input_at(x, &task, t, 20) == 1, recall = input_at(x, &task, t, 30) == 1;
            ck_assert(zero + one == !recall && !(store && recall));
            ck_assert((task.ops->target(&task, &trial, t, &class_index, NULL) == 1) == recall);
            if (store) {
                ck_assert(held == -1 || t % 3 != 0);
                held = one;
            }
            if (recall) {
                ck_assert_int_eq(class_index, held);
                seen[class_index]++;
                recalls++;
                held = t % 3 == 2 ? -1 : held;
            }
        }
        ck_assert(recalls > 0);
        free(x);
    }
    task_release(&task);
}

START_TEST(store_recall_is_its_definition) {
    int seen[2] = {0};
    store_recall_check(0.3, 12, seen);
    store_recall_check(0, 2, seen); /* none by chance: the last two periods are store and recall */
    store_recall_check(1, 21, seen);
    ck_assert(abs(seen[0] - seen[1]) < (seen[0] + seen[1]) / 8);
}
END_TEST

START_TEST(copy_is_its_definition) {
    struct task_config config = TASK_CONFIG(TASK_COPY, {"symbols", 4}, {"length", 6}, {"item", 3}, {"delay", 5});
    struct task task = task_make(&config, 3);
    int seen[4] = {0};
    ck_assert(task.shape.steps == 41 && task.shape.mask_from == 23);
    for (size_t number = 0; number < 40; number++) {
        struct trial trial = trial_make(&task, TRIAL_TRAINING, 5, number);
        float *x = inputs_make(&task, &trial, 41, 5);
        for (int t = 0; t < 41; t++) {
            double sum = 0;
            for (int s = 0; s < 4; s++) {
                sum += input_at(x, &task, t, s);
            }
            ck_assert(sum == (t < 18) && input_at(x, &task, t, 4) == (t >= 23));
        }
        for (int t = 0; t < 18; t++) {
            int class_index = -1;
            ck_assert(task.ops->target(&task, &trial, 23 + t, &class_index, NULL) == 1);
            ck_assert(input_at(x, &task, t, class_index) == 1);
            seen[class_index]++;
        }
        free(x);
    }
    for (int s = 0; s < 4; s++) {
        ck_assert_int_ge(seen[s], 100);
    }
    task_release(&task);
}
END_TEST

START_TEST(adding_is_its_definition) {
    struct task_config config = TASK_CONFIG(TASK_ADDING, {"length", 7}, {"item", 2});
    struct task task = task_make(&config, 3);
    double mean = 0;
    for (size_t number = 0; number < 200; number++) {
        struct trial trial = trial_make(&task, TRIAL_TRAINING, 5, number);
        float *x = inputs_make(&task, &trial, 14, 2);
        double sum = 0;
        int marks[2] = {0};
        for (int k = 0; k < 7; k++) {
            double value = input_at(x, &task, 2 * k, 0), mark = input_at(x, &task, 2 * k, 1);
            ck_assert(value >= 0 && value <= 1 && value == input_at(x, &task, 2 * k + 1, 0));
            sum += value * mark;
            marks[k >= 3] += mark == 1;
        }
        ck_assert(marks[0] == 1 && marks[1] == 1);
        ck_assert(fabs((double)target_at(&task, &trial, 13, NULL) - sum) < 1e-6);
        mean += sum / 200;
        free(x);
    }
    ck_assert(fabs(mean - 1) < 0.1);
    task_release(&task);
}
END_TEST

START_TEST(flip_flop_is_its_definition) {
    struct task_config config = TASK_CONFIG(TASK_FLIP_FLOP, {"channels", 2}, {"duration", 4000}, {"slot", 10},
                                            {"pulse", 4}, {"pulse_probability", 0.25});
    struct task task = task_make(&config, 3);
    struct trial trial = trial_make(&task, TRIAL_TRAINING, 5, 1);
    float *x = inputs_make(&task, &trial, task.shape.steps, 2), held[2] = {0};
    int pulses[2] = {0};
    for (int t = 0; t < task.shape.steps; t++) {
        float values[2];
        for (int i = 0; i < 2; i++) {
            float value = x[2 * t + i];
            ck_assert(value == 0 || (fabsf(value) == 1 && t % 10 < 4));
            held[i] = value != 0 ? value : held[i];
            pulses[value > 0] += value != 0 && t % 10 == 0;
        }
        ck_assert(task.ops->target(&task, &trial, t, NULL, values) == 1);
        ck_assert(values[0] == held[0] && values[1] == held[1]);
    }
    ck_assert(abs(pulses[0] + pulses[1] - 200) < 40 && abs(pulses[0] - pulses[1]) < 50);
    free(x);
    task_release(&task);
}
END_TEST

START_TEST(interval_reproduction_is_its_definition) {
    struct task_config config = TASK_CONFIG(TASK_INTERVAL_REPRODUCTION, {"fixation", 5}, {"pulse", 2}, {"shortest", 10},
                                            {"longest", 19}, {"gain", 2});
    struct task task = task_make(&config, 3);
    bool seen[20] = {false};
    ck_assert_int_eq(task.shape.steps, 5 + 19 + 38 + 2);
    for (size_t number = 0; number < 200; number++) {
        struct trial trial = trial_make(&task, TRIAL_TRAINING, 5, number);
        float *x = inputs_make(&task, &trial, task.shape.steps, 2);
        int set = 0;
        while (input_at(x, &task, set, 1) == 0) {
            set++;
        }
        int interval = set - 5;
        ck_assert(interval >= 10 && interval <= 19);
        seen[interval] = true;
        for (int t = 0; t < task.shape.steps; t++) {
            ck_assert(input_at(x, &task, t, 0) == (t >= 5 && t < 7) &&
                      input_at(x, &task, t, 1) == (t >= set && t < set + 2));
            double target = (double)target_at(&task, &trial, t, NULL);
            ck_assert(t < set ? isnan(target) : fabs(target - fmin(1, (t - set) / (2.0 * interval))) < 1e-6);
        }
        free(x);
    }
    for (int k = 10; k < 20; k++) {
        ck_assert(seen[k]);
    }
    task_release(&task);
}
END_TEST

/* The target is the input of `horizon` steps later, and the series obeys the equation (central differences). */
START_TEST(mackey_glass_is_its_definition) {
    struct task_config config = TASK_CONFIG(TASK_MACKEY_GLASS, {"horizon", 7}, {"duration", 900}, {"washout", 100});
    struct task task = task_make(&config, 3);
    struct trial trial = trial_make(&task, TRIAL_TRAINING, 5, 1);
    float *x = inputs_make(&task, &trial, 1000, 1);
    double worst = 0, low = 9, high = -9;
    for (int t = 100; t + 7 < 1000; t++) {
        ck_assert(target_at(&task, &trial, t, NULL) == x[t + 7]);
        double now = (double)x[t] + 1, lagged = (double)x[t - 17] + 1;
        double slope = (8 * ((double)x[t + 1] - (double)x[t - 1]) - ((double)x[t + 2] - (double)x[t - 2])) / 12;
        worst = fmax(worst, fabs(slope - (0.2 * lagged / (1 + pow(lagged, 10)) - 0.1 * now)));
        low = fmin(low, now);
        high = fmax(high, now);
    }
    ck_assert_msg(worst < 2e-3, "%g", worst);
    ck_assert(low > 0.2 && low < 0.6 && high > 1.2 && high < 1.5);
    free(x);
    task_release(&task);
    struct work work = {.stopped = true};
    char error[256];
    ck_assert_int_eq(task_init(&task, &config, 3, &work, error), RESULT_STOPPED);
    task_release(&task);
}
END_TEST

START_TEST(permuted_pixels_are_a_permutation) {
    enum { SIDE = 28, COUNT = SIDE * SIDE };
    static uint8_t pixels[2 * COUNT], labels[2] = {3, 7};
    for (int i = 0; i < COUNT; i++) {
        pixels[i] = (uint8_t)(i / 4);
        pixels[COUNT + i] = (uint8_t)(i % 4);
    }
    struct task_data data = {.train = {.trials = 2, .pixels = pixels, .labels = labels}};
    int different = 0, seen[COUNT] = {0};
    float *x[3][2];
    for (int k = 0; k < 3; k++) { /* two job seeds with the same order, and another order */
        struct task_config config = TASK_CONFIG(TASK_PIXEL_MNIST, {"permutation_seed", k == 2 ? 6 : 5});
        config.data = &data;
        struct task task = task_make(&config, k == 1 ? 99 : 1);
        for (size_t image = 0; image < 2; image++) {
            struct trial trial = trial_make(&task, TRIAL_LISTED, 0, image);
            x[k][image] = inputs_make(&task, &trial, COUNT, 1);
            blocks_agree(&task, &trial);
        }
        task_release(&task);
    }
    for (int i = 0; i < COUNT; i++) {
        int pixel = 4 * (int)lround((double)x[0][0][i] * 255) + (int)lround((double)x[0][1][i] * 255);
        seen[pixel]++;
        different += pixel != i;
        ck_assert(x[0][0][i] == x[1][0][i]);
    }
    for (int i = 0; i < COUNT; i++) {
        ck_assert_int_eq(seen[i], 1);
    }
    ck_assert(different > COUNT / 2 && memcmp(x[0][0], x[2][0], COUNT * sizeof(float)) != 0);
    for (int k = 0; k < 6; k++) {
        free(x[k / 2][k % 2]);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("tasks");
    TCase *tests = tcase_create("tasks");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, delayed_xor_is_its_definition);
    tcase_add_test(tests, trials_differ_and_repeat);
    tcase_add_test(tests, pattern_is_frozen_and_scaled);
    tcase_add_test(tests, evidence_is_its_definition);
    tcase_add_loop_test(tests, trials_are_whole_in_any_blocks, 0, TASK_TYPES);
    tcase_add_loop_test(tests, spikes_are_counted_in_bins_of_ticks, 1, 9);
    tcase_add_loop_test(tests, training_and_evaluation_see_other_trials, 0, TASK_TYPES);
    tcase_add_loop_test(tests, two_classes_are_balanced, 0, TASK_TYPES);
    tcase_add_test(tests, perceptual_decision_is_its_definition);
    tcase_add_test(tests, delayed_match_to_sample_is_its_definition);
    tcase_add_test(tests, context_decision_is_its_definition);
    tcase_add_test(tests, noise_is_normal_and_in_its_period);
    tcase_add_test(tests, go_nogo_is_its_definition);
    tcase_add_test(tests, store_recall_is_its_definition);
    tcase_add_test(tests, copy_is_its_definition);
    tcase_add_test(tests, adding_is_its_definition);
    tcase_add_test(tests, flip_flop_is_its_definition);
    tcase_add_test(tests, interval_reproduction_is_its_definition);
    tcase_add_test(tests, mackey_glass_is_its_definition);
    tcase_add_test(tests, permuted_pixels_are_a_permutation);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
