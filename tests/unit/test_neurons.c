/*
 * The neuron models: the scalar forms against the vector forms bit for bit, the reverse carry as the transpose of the
 * tangent, finite differences where the model has a derivative, identities between rules, and the same bits on every
 * instruction set, number of threads and in segments. (The golden cases are in test_rules.c.) Tolerances are relative
 * to the largest entry; the seed is printed.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/kernels/kernels.h"
#include "core/kernels/select.h"
#include "core/model/neuron.h"
#include "tests/unit/problems.h"

static uint64_t seed;

/* ---- the scalar form is the vector form ---- */

enum { ROWS = 3, COLUMNS = 48, STRIDE = 64, SIZE = ROWS * STRIDE };

static float relu_of(float x) {
    return x > 0.0f ? x : 0.0f;
}
static float relu_slope(float z) {
    return z > 0.0f;
}
static float tanh_of(float x) {
    _Alignas(64) float in[LANES] = {x}, out[LANES];
    kernels_portable.tanh_rows(LANES, in, out);
    return out[0];
}
static float tanh_slope(float z) {
    return fmaf(-z, z, 1.0f);
}

/* What a step reads and writes, (ROWS, COLUMNS) but z and z_before. */
struct arrays {
    _Alignas(64) float leak[COLUMNS], gain[COLUMNS], rho[COLUMNS], beta[COLUMNS], mu[COLUMNS], u[SIZE], z_before[SIZE],
        z[SIZE], psi[SIZE], state[NEURON_STATES_MOST][SIZE], carry[NEURON_CARRIES_MOST][SIZE], learning[SIZE],
        hop[SIZE], delta[SIZE], m[SIZE], gm[SIZE], past[SIZE];
};

static float draw(const struct random_stream *stream, uint64_t *index) {
    return (float)random_normal(stream, (*index)++);
}

static void arrays_fill(struct arrays *a, enum neuron neuron, uint64_t number) {
    struct random_stream stream = random_stream_make(seed, RANDOM_TASK, 2, number);
    uint64_t index = 0;
    memset(a, 0, sizeof *a);
    for (int c = 0; c < COLUMNS; c++) {
        a->leak[c] = 0.5f + 0.4f * (float)random_uniform(&stream, 2 * index++);
        a->gain[c] = neuron_table[neuron]->spikes ? 1.0f : 1.0f - a->leak[c];
        a->rho[c] = 0.9f;
        a->beta[c] = 0.2f * (float)(c % 3);
        a->mu[c] = 0.1f * (float)(c % 5);
    }
    for (int i = 0; i < SIZE; i++) {
        a->u[i] = draw(&stream, &index);
        a->z_before[i] = neuron_table[neuron]->spikes ? (float)(draw(&stream, &index) > 0.5f) : draw(&stream, &index);
        a->state[0][i] = draw(&stream, &index);
        a->state[1][i] = (float)(i % 4); /* resting steps */
        a->state[2][i] = fabsf(draw(&stream, &index));
        a->learning[i] = draw(&stream, &index);
        a->hop[i] = draw(&stream, &index);
        a->carry[0][i] = draw(&stream, &index);
        a->carry[1][i] = draw(&stream, &index);
        a->m[i] = draw(&stream, &index);
    }
}

static const struct neuron_constants constants = {
    .threshold = 0.6f, .psi_peak = 0.5f, .psi_slope = 0.8333333f, .refractory = 3.0f};

static struct neuron_unit unit_at(const struct arrays *a, int c, enum activation activation) {
    return (struct neuron_unit){.leak = a->leak[c],
                                .gain = a->gain[c],
                                .rho = a->rho[c],
                                .beta = a->beta[c],
                                .all = &constants,
                                .phi = activation == ACTIVATION_TANH ? tanh_of : relu_of,
                                .phi_slope = activation == ACTIVATION_TANH ? tanh_slope : relu_slope};
}

static void assert_bits(float scalar, float vector, const char *what, enum neuron neuron) {
    ck_assert_msg(memcmp(&scalar, &vector, sizeof scalar) == 0,
                  "seed %llu: %s of %s: %.9g by the scalar form, %.9g by %s", (unsigned long long)seed, what,
                  neuron_table[neuron]->name, (double)scalar, (double)vector, kernels_name());
}

/* The fields of a kernel's argument that are constants of the units. */
#define CONSTANTS_OF(a) .leak = (a).leak, .gain = (a).gain, .rho = (a).rho, .beta = (a).beta

static void step_check(enum neuron neuron, enum activation activation) {
    static struct arrays before, after;
    const struct neuron_ops *ops = neuron_table[neuron];
    arrays_fill(&before, neuron, neuron);
    after = before;
    struct neuron_step step = {.neuron = neuron,
                               .activation = activation,
                               .rows = ROWS,
                               .columns = COLUMNS,
                               CONSTANTS_OF(after),
                               .all = constants,
                               .u = after.u,
                               .z_before = after.z_before,
                               .z = after.z,
                               .psi = after.psi,
                               .z_stride = STRIDE};
    for (int i = 0; i < ops->states; i++) {
        step.state[i] = after.state[i];
    }
    kernels_current()->neuron_step(&step);
    for (int r = 0; r < ROWS; r++) {
        for (int c = 0; c < COLUMNS; c++) {
            int at = r * COLUMNS + c, z_at = r * STRIDE + c;
            struct neuron_unit unit = unit_at(&before, c, activation);
            float state[NEURON_STATES_MOST] = {before.state[0][at], before.state[1][at], before.state[2][at]}, psi;
            assert_bits(ops->step(&unit, before.u[at], before.z_before[z_at], state, &psi), after.z[z_at], "z", neuron);
            assert_bits(psi, after.psi[at], "psi", neuron);
            for (int i = 0; i < ops->states; i++) {
                assert_bits(state[i], after.state[i][at], "the state", neuron);
            }
        }
    }
}

START_TEST(the_scalar_step_is_the_vector_step) {
    for (int neuron = 0; neuron < NEURON_MODELS; neuron++) {
        step_check((enum neuron)neuron, ACTIVATION_RELU);
        step_check((enum neuron)neuron, ACTIVATION_TANH);
    }
}
END_TEST

static void credit_check(enum neuron neuron, enum hopped hopped) {
    static struct arrays before, after;
    const struct neuron_ops *ops = neuron_table[neuron];
    arrays_fill(&before, neuron, 10 + (uint64_t)hopped);
    for (int i = 0; i < SIZE; i++) {
        before.psi[i] = (float)(i % 3) * 0.25f;
    }
    after = before;
    const bool by_mu = hopped == HOPPED_PAST || hopped == HOPPED_EXACT;
    const struct neuron_credit credit = {.neuron = neuron,
                                         .hopped = hopped,
                                         .rows = ROWS,
                                         .columns = COLUMNS,
                                         CONSTANTS_OF(after),
                                         .psi = after.psi,
                                         .learning = after.learning,
                                         .hop = after.hop,
                                         .mu = by_mu ? after.mu : NULL,
                                         .carry = {after.carry[0], ops->carries > 1 ? after.carry[1] : NULL},
                                         .delta = after.delta,
                                         .m = after.m,
                                         .gm = after.gm,
                                         .mu_next = after.mu,
                                         .past_next = after.past};
    kernels_current()->neuron_credit(&credit);
    for (int at = 0; at < ROWS * COLUMNS; at++) {
        int c = at % COLUMNS;
        struct neuron_unit unit = unit_at(&before, c, ACTIVATION_RELU);
        float hop = before.hop[at], carry[NEURON_CARRIES_MOST] = {before.carry[0][at], before.carry[1][at]};
        struct neuron_inflow in = {.learning = before.learning[at],
                                   .through = hopped == HOPPED_THROUGH || hopped == HOPPED_EXACT ? hop : 0.0f,
                                   .past = hopped == HOPPED_PAST ? before.mu[c] * hop : 0.0f,
                                   .beside = hopped == HOPPED_BESIDE ? hop : 0.0f};
        assert_bits(ops->credit(&unit, before.psi[at], &in, carry), after.delta[at], "delta", neuron);
        for (int i = 0; i < ops->carries; i++) {
            assert_bits(carry[i], after.carry[i][at], "the carry", neuron);
        }
        assert_bits(before.mu[c] * unit.gain * carry[0], after.past[at], "what hops by mu", neuron);
        if (hopped == HOPPED_EXACT) {
            float m = fmaf(unit.leak, before.m[at], fmaf(before.psi[at], in.learning, before.mu[c] * hop));
            assert_bits(m, after.m[at], "m", neuron);
            assert_bits(unit.gain * m, after.gm[at], "gain m", neuron);
        }
    }
}

START_TEST(the_scalar_carry_is_the_vector_carry) {
    for (int neuron = 0; neuron < NEURON_MODELS; neuron++) {
        for (int hopped = 0; hopped < HOPPED_KINDS; hopped++) {
            credit_check((enum neuron)neuron, (enum hopped)hopped);
        }
    }
}
END_TEST

START_TEST(the_scalar_trace_is_the_vector_trace) {
    for (int neuron = 0; neuron < NEURON_MODELS; neuron++) {
        static struct arrays before, after;
        const struct neuron_ops *ops = neuron_table[neuron];
        arrays_fill(&before, (enum neuron)neuron, 30);
        after = before;
        struct neuron_trace step = {.neuron = (enum neuron)neuron,
                                    .columns = COLUMNS,
                                    CONSTANTS_OF(after),
                                    .psi_before = after.learning,
                                    .psi = after.hop,
                                    .s = before.u[0],
                                    .e = after.delta,
                                    .e_before = after.past};
        for (int i = 0; i < ops->traces; i++) {
            step.trace[i] = after.carry[i];
        }
        kernels_current()->neuron_trace(&step);
        kernels_current()->multiply_add(COLUMNS, after.hop, after.u, after.m);
        for (int c = 0; c < COLUMNS; c++) {
            struct neuron_unit unit = unit_at(&before, c, ACTIVATION_RELU);
            float trace[NEURON_TRACES_MOST] = {before.carry[0][c], before.carry[1][c]}, psi = before.hop[c];
            assert_bits(ops->eligibility(&unit, before.learning[c], trace), after.past[c], "e before", neuron);
            ops->trace(&unit, before.u[0], before.learning[c], psi, trace);
            assert_bits(ops->eligibility(&unit, psi, trace), after.delta[c], "e", neuron);
            for (int i = 0; i < ops->traces; i++) {
                assert_bits(trace[i], after.carry[i][c], "the trace", neuron);
            }
            assert_bits(fmaf(psi, before.u[c], before.m[c]), after.m[c], "what it adds", neuron);
        }
    }
}
END_TEST

/* ---- terms of 0 are left out ---- */

enum { SOURCES = 61, ROWS_MANY = 173 };

/* Mostly zeros of either sign, ones, a few numbers, some of which are too small for their products. */
static float sparse_draw(const struct random_stream *stream, uint64_t *index, double density) {
    double u = random_uniform(stream, 2 * (*index)++);
    float value = draw(stream, index);
    return u > density          ? u > (1 + density) / 2 ? 0.0f : -0.0f
           : u > 0.2 * density  ? 1.0f
           : u > 0.05 * density ? value
                                : value * 1e-30f;
}

static bool same_number(float a, float b) {
    return memcmp(&a, &b, sizeof a) == 0 || (a == 0.0f && b == 0.0f);
}

START_TEST(a_list_of_sources_gives_the_whole_product) {
    static _Alignas(64) float rows_in[BLOCK_TRIALS * SOURCES], matrix[SOURCES * COLUMNS], data[SOURCES * COLUMNS],
        whole[BLOCK_TRIALS * COLUMNS], listed[BLOCK_TRIALS * COLUMNS];
    struct random_stream stream = random_stream_make(seed, RANDOM_TASK, 5, 0);
    const struct kernels *kernels = kernels_current();
    struct packed packed = {data, SOURCES, COLUMNS};
    uint64_t index = 0;
    for (int rows = 1; rows <= BLOCK_TRIALS; rows++) {
        for (int i = 0; i < SOURCES * COLUMNS; i++) {
            matrix[i] = sparse_draw(&stream, &index, 0.8);
        }
        for (int i = 0; i < rows * SOURCES; i++) {
            rows_in[i] = sparse_draw(&stream, &index, rows / 16.0);
        }
        packed_fill(kernels, &packed, 0, SOURCES, matrix, COLUMNS, COLUMNS, false);
        int list[SOURCES], count = kernels->sources_list(rows, SOURCES, rows_in, SOURCES, list);
        ck_assert(count >= 0 && count <= SOURCES && (rows > 1 || count < SOURCES)); /* a sparse row may be 0 */
        struct product product = {
            .rows_in = rows_in, .row_stride = SOURCES, .rows = rows, .matrix = &packed, .out = whole};
        product_run(kernels, EPILOGUE_STORE, &product);
        product.out = listed;
        for (int panel = 0; panel < packed_panels(kernels, COLUMNS); panel++) {
            kernels->product_listed(&product, list, count, panel);
        }
        for (int i = 0; i < rows * COLUMNS; i++) {
            ck_assert_msg(same_number(whole[i], listed[i]), "seed %llu: %g whole, %g by the list",
                          (unsigned long long)seed, (double)whole[i], (double)listed[i]);
        }
    }
}
END_TEST

START_TEST(a_sparse_outer_product_has_the_bits_of_the_whole) {
    static _Alignas(64) float s[ROWS_MANY * SOURCES], g[ROWS_MANY * COLUMNS], whole[SOURCES * COLUMNS],
        sparse[SOURCES * COLUMNS];
    struct random_stream stream = random_stream_make(seed, RANDOM_TASK, 6, 0);
    uint64_t index = 0;
    memset(whole, 0, sizeof whole);
    memset(sparse, 0, sizeof sparse);
    for (int round = 0; round < 6; round++) {
        int rows = round == 0 ? 1 : ROWS_MANY - round;
        for (int i = 0; i < ROWS_MANY * SOURCES; i++) {
            s[i] = sparse_draw(&stream, &index, round / 5.0 * 0.4);
        }
        for (int i = 0; i < ROWS_MANY * COLUMNS; i++) {
            g[i] = sparse_draw(&stream, &index, 0.9);
        }
        kernels_current()->outer(s, SOURCES, g, rows, SOURCES, COLUMNS, whole);
        kernels_current()->outer_sparse(s, SOURCES, g, rows, SOURCES, COLUMNS, sparse);
        ck_assert_msg(memcmp(whole, sparse, sizeof whole) == 0, "seed %llu round %d: other bits with %s",
                      (unsigned long long)seed, round, kernels_name());
    }
    ck_assert(kernels_current()->finite(ROWS_MANY * COLUMNS, g));
    g[77] = INFINITY;
    ck_assert(!kernels_current()->finite(ROWS_MANY * COLUMNS, g));
    g[77] = NAN;
    ck_assert(!kernels_current()->finite(ROWS_MANY * COLUMNS, g));
}
END_TEST

/* ---- the carry is the transpose of the tangent ---- */

enum { STEPS = 12 };

/*
 * One unit by itself, W its weight on itself: sum_t L_t dz_t by the tangent in direction du is sum_t delta_t du_t by
 * the carry with bptt's hop.
 */
START_TEST(the_carry_is_the_transpose_of_the_tangent) {
    struct random_stream stream = random_stream_make(seed, RANDOM_TASK, 3, 0);
    uint64_t index = 0;
    for (int neuron = 0; neuron < NEURON_MODELS; neuron++) {
        const struct neuron_ops *ops = neuron_table[neuron];
        const struct neuron_exact exact = {0.8, ops->spikes ? 1 : 0.2, 0.9, 0.3};
        const struct neuron_unit unit = {0.8f, ops->spikes ? 1.0f : 0.2f, 0.9f, 0.3f, &constants, relu_of, relu_slope};
        double psi[STEPS], learning[STEPS], du[STEPS], tangent[NEURON_CARRIES_MOST] = {0}, forward = 0, backward = 0,
                                                       z = 0, w = 0.7;
        for (int t = 0; t < STEPS; t++) {
            psi[t] = random_uniform(&stream, 2 * index++);
            learning[t] = random_normal(&stream, index++);
            du[t] = random_normal(&stream, index++);
            z = ops->tangent(&exact, psi[t], du[t] + w * z, z, tangent);
            forward += learning[t] * z;
        }
        float carry[NEURON_CARRIES_MOST] = {0}, delta = 0;
        for (int t = STEPS - 1; t >= 0; t--) {
            struct neuron_inflow in = {.learning = (float)learning[t], .through = (float)w * delta};
            delta = ops->credit(&unit, (float)psi[t], &in, carry);
            backward += (double)delta * du[t];
        }
        ck_assert_msg(fabs(forward - backward) < 1e-4 * fmax(1, fabs(forward)),
                      "seed %llu: %s: %g forward, %g backward", (unsigned long long)seed, ops->name, forward, backward);
    }
}
END_TEST

/* ---- networks ---- */

/* A random network of this model that spikes now and then. */
static struct problem_shape shape_of_neuron(uint64_t draw_number, enum neuron neuron, bool leaky) {
    struct problem_shape shape = shape_any(seed, draw_number);
    shape.neuron = neuron;
    shape.readout_kappa = leaky ? 0.85 : 0;
    return shape;
}

#define FOR_NEURONS(owned, neuron_of, leaky_of, draws)                                                                 \
    for (uint64_t draw = 0; draw < (draws); draw++)                                                                    \
        for (int neuron_of = 0; neuron_of < NEURON_MODELS; neuron_of++)                                                \
            for (int leaky_of = 0; leaky_of < 2; leaky_of++)                                                           \
                for (struct problem_shape shape = shape_of_neuron(draw, (enum neuron)neuron_of, leaky_of),             \
                                          *once = &shape;                                                              \
                     once; once = NULL)                                                                                \
                    for (struct owned_problem owned = {0}; once; problem_release(&owned), once = NULL)                 \
                        if (problem_random(&owned, &shape, seed + draw), true)

static struct rule_config modprop_of(enum neuron neuron, int taps) {
    return (struct rule_config){.type = RULE_MODPROP,
                                .mu = 0.3,
                                .taps = taps,
                                .first_hop = neuron_table[neuron]->hop_by_mu ? FIRST_HOP_MU : FIRST_HOP_EXACT};
}

START_TEST(modprop_with_mu_zero_or_one_tap) {
    /* by mu nothing hops where mu is 0: e-prop. Past one exact hop nothing goes on where the filter has one tap: mdgl.
     */
    FOR_NEURONS(owned, neuron, leaky, 6) {
        struct rule_config rule = modprop_of((enum neuron)neuron, 1);
        struct rule_config other = {.type = RULE_MDGL};
        if (rule.first_hop == FIRST_HOP_MU) {
            rule.taps = 0;
            rule.mu = 0;
            other.type = RULE_EPROP;
        }
        ASSERT_SAME(gradients_compare(&owned.problem, rule, METHOD_REVERSE, other, METHOD_REVERSE), 1e-5);
    }
}
END_TEST

START_TEST(rtrl_is_bptt) {
    for (uint64_t draw = 0; draw < 4; draw++) {
        for (int neuron = 0; neuron < NEURON_MODELS; neuron++) {
            struct problem_shape shape = shape_of_neuron(draw, (enum neuron)neuron, draw % 2);
            struct owned_problem owned;
            shape.trials = 3;
            shape.units = 5 + (int)draw;
            shape.types = 1;
            problem_random(&owned, &shape, seed + draw);
            ASSERT_SAME(gradients_compare(&owned.problem, (struct rule_config){.type = RULE_RTRL}, METHOD_AUTO,
                                          (struct rule_config){.type = RULE_BPTT}, METHOD_AUTO),
                        2e-5);
            problem_release(&owned);
        }
    }
}
END_TEST

START_TEST(traces_of_lif_are_the_recursion) {
    /* equal leaks and no leak in the readout: a trace a source, and outer products only at steps with loss */
    for (uint64_t draw = 0; draw < 12; draw++) {
        struct problem_shape shape = shape_of_neuron(draw, NEURON_LIF, false);
        struct owned_problem owned;
        shape.unequal_leaks = false;
        shape.mask_from = draw % 3 == 0 ? 1 << 20 : draw % 3 == 1 ? 10 : 0;
        problem_random(&owned, &shape, seed + draw);
        const struct rule_config rules[] = {
            {.type = RULE_EPROP}, {.type = RULE_MDGL}, {.type = RULE_MDGL, .weights = CREDIT_TYPE}};
        for (size_t r = 0; r < sizeof rules / sizeof *rules; r++) {
            ASSERT_SAME(gradients_compare(&owned.problem, rules[r], METHOD_FORWARD, rules[r], METHOD_REVERSE), 3e-5);
        }
        problem_release(&owned);
    }
}
END_TEST

/* The rules that go forward in time by traces of synapses, of this model and readout; how many. */
static int forward_rules(enum neuron neuron, bool leaky, struct rule_config rules[5]) {
    const struct neuron_ops *ops = neuron_table[neuron];
    int count = 0;
    rules[count++] = (struct rule_config){.type = RULE_EPROP};
    if (!leaky) {
        rules[count++] = (struct rule_config){.type = RULE_MDGL};
        rules[count++] = (struct rule_config){.type = RULE_MDGL, .weights = CREDIT_TYPE};
    }
    if (!leaky && ops->hop_exact) {
        rules[count++] = (struct rule_config){
            .type = RULE_MODPROP, .mu = 0.3, .weights = CREDIT_TYPE, .first_hop = FIRST_HOP_EXACT};
    }
    if (ops->mu_at_source) {
        rules[count++] = (struct rule_config){
            .type = RULE_MODPROP, .mu = 0.3, .weights = CREDIT_TYPE, .first_hop = FIRST_HOP_MU};
    }
    return count;
}

START_TEST(traces_of_synapses_are_the_recursion) {
    int done = 0;
    FOR_NEURONS(owned, neuron, leaky, 10) {
        struct rule_config rules[5];
        double mu[2] = {0.2, 0.4};
        int count = forward_rules((enum neuron)neuron, leaky, rules);
        for (int r = 0; r < count; r++) {
            if (rules[r].type == RULE_MODPROP && owned.problem.types == 2 && owned.problem.units > 2) {
                rules[r].mu_of = (struct numbers){.values = mu, .lengths = {2}};
            }
            if (method_planned(&owned.problem, rules[r], METHOD_SYNAPSES) != METHOD_SYNAPSES) {
                ck_assert(shape.unequal_leaks && rules[r].type == RULE_MODPROP);
                continue;
            }
            done += rules[r].type == RULE_MODPROP;
            ASSERT_SAME(gradients_compare(&owned.problem, rules[r], METHOD_SYNAPSES, rules[r], METHOD_REVERSE), 3e-5);
        }
    }
    ck_assert_int_ge(done, 5);
}
END_TEST

START_TEST(bits_of_synapse_traces_depend_on_nothing_else) {
    FOR_NEURONS(owned, neuron, leaky, 2) {
        struct rule_config rules[5];
        int count = forward_rules((enum neuron)neuron, leaky, rules);
        for (int r = 0; r < count; r++) {
            struct owned_gradients authority, other;
            ck_assert(kernels_select("portable"));
            double loss = gradients_run(&owned.problem, rules[r], METHOD_SYNAPSES, 0, 1, &authority);
            for (int i = 0; kernels_listed(i); i++) {
                ck_assert(kernels_select(kernels_listed(i)->name));
                ck_assert(gradients_run(&owned.problem, rules[r], METHOD_SYNAPSES, 0, 3, &other) == loss);
                ck_assert_msg(memcmp(authority.data, other.data, other.size * sizeof(float)) == 0,
                              "rule %d of %s: other bits with %s", r, neuron_table[neuron]->name, kernels_name());
                gradients_free(&other);
            }
            gradients_free(&authority);
        }
    }
}
END_TEST

START_TEST(an_infinite_weight_of_a_silent_unit_counts) {
    /* 0 times infinity is no number: the unit that it reaches is silenced, as by the whole sum */
    struct problem_shape shape = shape_of_neuron(1, NEURON_LIF, false);
    shape.bias = false;
    shape.units = 12;
    shape.outputs = 1;
    shape.loss = LOSS_MSE;
    struct owned_problem owned;
    struct owned_gradients out;
    const struct rule_config rule = {.type = RULE_EPROP};
    problem_random(&owned, &shape, 7); /* of which unit 1 fires where there is loss */
    float *W = (float *)(uintptr_t)owned.problem.W, *Win = (float *)(uintptr_t)owned.problem.Win;
    for (int i = 0; i < shape.inputs; i++) {
        Win[i * shape.units] = 0;
        Win[i * shape.units + 1] = 5;
    }
    for (int q = 0; q < shape.units; q++) {
        W[q * shape.units] = 0; /* unit 0 never fires */
    }
    gradients_run(&owned.problem, rule, METHOD_AUTO, 0, 1, &out);
    ck_assert(out.view.Wout[0] == 0.0f && out.view.Wout[1] != 0.0f);
    gradients_free(&out);
    W[1] = INFINITY;
    gradients_run(&owned.problem, rule, METHOD_AUTO, 0, 1, &out);
    ck_assert(out.view.Wout[1] == 0.0f);
    gradients_free(&out);
    problem_release(&owned);
}
END_TEST

START_TEST(firing_cost_does_not_depend_on_threads_or_segments) {
    FOR_NEURONS(owned, neuron, leaky, 2) {
        if (!neuron_table[neuron]->spikes) {
            continue;
        }
        struct owned_gradients one, many, segmented, free_of_it;
        const struct rule_config rule = {.type = RULE_BPTT};
        gradients_run(&owned.problem, rule, METHOD_AUTO, 0, 1, &free_of_it);
        owned.problem.rate_cost = 30;
        owned.problem.rate_target = 0.02;
        double loss = gradients_run(&owned.problem, rule, METHOD_AUTO, 0, 1, &one);
        ck_assert(gradients_run(&owned.problem, rule, METHOD_AUTO, 0, 3, &many) == loss);
        ck_assert(gradients_run(&owned.problem, rule, METHOD_AUTO, 1, 2, &segmented) == loss);
        ck_assert_int_eq(memcmp(one.data, many.data, one.size * sizeof(float)), 0);
        ck_assert_int_eq(memcmp(one.data, segmented.data, one.size * sizeof(float)), 0);
        ck_assert(gradients_distance(&one, &free_of_it) > 0);
        gradients_free(&one);
        gradients_free(&many);
        gradients_free(&segmented);
        gradients_free(&free_of_it);
    }
}
END_TEST

START_TEST(long_taps_cut_nothing) {
    /* the ring of events over the whole trial but its first step, whose events nothing precedes */
    FOR_NEURONS(owned, neuron, leaky, 6) {
        struct rule_config cut = modprop_of((enum neuron)neuron, shape.steps > 3 ? shape.steps - 2 : 1),
                           whole = modprop_of((enum neuron)neuron, 0),
                           beyond = modprop_of((enum neuron)neuron, 1 << 20);
        ASSERT_SAME(gradients_compare(&owned.problem, beyond, METHOD_REVERSE, whole, METHOD_REVERSE), 0);
        gradients_compare(&owned.problem, cut, METHOD_REVERSE, whole, METHOD_REVERSE);
    }
}
END_TEST

START_TEST(bits_do_not_depend_on_threads_segments_or_instructions) {
    FOR_NEURONS(owned, neuron, leaky, 3) {
        const struct rule_config rules[] = {
            {.type = RULE_BPTT}, {.type = RULE_EPROP}, modprop_of((enum neuron)neuron, 0)};
        for (size_t r = 0; r < sizeof rules / sizeof *rules; r++) {
            bits_compare(&owned.problem, rules[r], neuron_table[neuron]->name);
        }
    }
}
END_TEST

/* The loss at w + step less that at w - step, over 2 step. */
static double difference(const struct owned_problem *owned, const float *weight, struct rule_config rule) {
    float *w = (float *)(uintptr_t)weight, kept = *w, step = 0x1p-7f;
    struct owned_gradients scratch;
    double losses[2];
    for (int side = 0; side < 2; side++) {
        *w = side ? kept - step : kept + step;
        losses[side] = gradients_run(&owned->problem, rule, METHOD_AUTO, 0, 1, &scratch);
        gradients_free(&scratch);
    }
    *w = kept;
    return (losses[0] - losses[1]) / (2 * (double)step);
}

static void derivative_check(enum neuron neuron, uint64_t draw) {
    struct problem_shape shape = shape_of_neuron(draw, neuron, draw % 2);
    shape.activation = ACTIVATION_TANH;
    shape.steps = 4 + shape.steps % 12;
    shape.bias = true;
    struct owned_problem owned;
    problem_random(&owned, &shape, seed + draw);
    struct owned_gradients gradient;
    const struct rule_config rule = {.type = RULE_BPTT};
    gradients_run(&owned.problem, rule, METHOD_AUTO, 0, 1, &gradient);
    const float *const weights[] = {owned.problem.W, owned.problem.Win, owned.problem.b, owned.problem.Wout,
                                    owned.problem.bout},
                       *const fields[] = {gradient.view.W, gradient.view.Win, gradient.view.b, gradient.view.Wout,
                                          gradient.view.bout};
    double largest = 0;
    for (size_t i = 0; i < gradient.size; i++) {
        largest = fmax(largest, fabs((double)gradient.data[i]));
    }
    for (int f = 0; f < 5; f++) {
        double numeric = difference(&owned, weights[f] + 1, rule);
        ck_assert_msg(fabs(numeric - (double)fields[f][1]) < 4e-3 * largest + 1e-5,
                      "seed %llu draw %llu: %s, field %d: %g by differences, %g by bptt", (unsigned long long)seed,
                      (unsigned long long)draw, neuron_table[neuron]->name, f, numeric, (double)fields[f][1]);
    }
    gradients_free(&gradient);
    problem_release(&owned);
}

START_TEST(bptt_is_the_derivative) {
    for (int neuron = 0; neuron < NEURON_MODELS; neuron++) {
        for (uint64_t draw = 0; !neuron_table[neuron]->spikes && draw < 8; draw++) {
            derivative_check((enum neuron)neuron, draw);
        }
    }
}
END_TEST

/* ---- refused ---- */

START_TEST(a_first_hop_without_a_meaning_is_refused) {
    for (int neuron = 0; neuron < NEURON_MODELS; neuron++) {
        struct problem_shape shape = shape_of_neuron(0, (enum neuron)neuron, false);
        struct owned_problem owned;
        struct owned_gradients out;
        problem_random(&owned, &shape, seed);
        gradients_allocate(&out, &owned.problem);
        for (int exact = 0; exact < 2; exact++) {
            const struct neuron_ops *ops = neuron_table[neuron];
            const struct rule_config rule = {.type = RULE_MODPROP, .mu = 0.3, .first_hop = (enum first_hop)exact};
            double loss;
            struct error error;
            enum result result = gradients_compute(&owned.problem, &rule, 1, NULL, NULL, &out.view, &loss, &error);
            bool sensible = exact ? ops->hop_exact : ops->hop_by_mu;
            ck_assert_int_eq(result, sensible ? RESULT_DONE : RESULT_INVALID);
            ck_assert_msg(sensible || strstr(error.text, "first_hop must be") == error.text, "%s", error.text);
        }
        gradients_free(&out);
        problem_release(&owned);
    }
}
END_TEST

static void tests_add(TCase *tests, bool first) {
    tcase_add_test(tests, the_scalar_step_is_the_vector_step);
    tcase_add_test(tests, the_scalar_carry_is_the_vector_carry);
    tcase_add_test(tests, the_scalar_trace_is_the_vector_trace);
    tcase_add_test(tests, traces_of_synapses_are_the_recursion);
    tcase_add_test(tests, bptt_is_the_derivative);
    tcase_add_test(tests, a_list_of_sources_gives_the_whole_product);
    tcase_add_test(tests, a_sparse_outer_product_has_the_bits_of_the_whole);
    tcase_add_test(tests, an_infinite_weight_of_a_silent_unit_counts);
    if (first) {
        tcase_add_test(tests, the_carry_is_the_transpose_of_the_tangent);
        tcase_add_test(tests, modprop_with_mu_zero_or_one_tap);
        tcase_add_test(tests, rtrl_is_bptt);
        tcase_add_test(tests, traces_of_lif_are_the_recursion);
        tcase_add_test(tests, bits_of_synapse_traces_depend_on_nothing_else);
        tcase_add_test(tests, firing_cost_does_not_depend_on_threads_or_segments);
        tcase_add_test(tests, long_taps_cut_nothing);
        tcase_add_test(tests, bits_do_not_depend_on_threads_segments_or_instructions);
        tcase_add_test(tests, a_first_hop_without_a_meaning_is_refused);
    }
}

int main(void) {
    return kernels_suites_run("neurons", &seed, tests_add);
}
