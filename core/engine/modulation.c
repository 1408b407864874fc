/*
 * The modulatory weights M on which credit travels: W itself, its averages over blocks of types, given ones, the
 * averages replaced by random ones, or W shuffled within blocks. See MATHEMATICS.md ("M, the weights that carry
 * credit") and internal.h.
 *
 * What is drawn (normals, a permutation) depends on the seed alone and is drawn once, when the engine is made; what is
 * computed from W is computed anew at every change of weights, unless averages are handed in (tracking initial).
 */
#include <math.h>
#include <string.h>

#include "core/base/random.h"
#include "core/base/size.h"
#include "core/engine/internal.h"

/* ---- memory, and what is drawn ---- */

void hop_carve(struct carver *carver, struct engine *engine) {
    size_t columns = (size_t)engine->columns, units = (size_t)engine->network->units,
           types = (size_t)engine->network->types, square = size_times(types, types);
    engine->hop.low_rank = rule_is_low_rank(&engine->rule, &engine->shape);
    if (engine->hop.low_rank) {
        engine->hop.gather = (struct packed){carve(carver, units * (size_t)engine->type_columns, sizeof(float)),
                                             (int)units, engine->type_columns};
        engine->hop.scatter = (struct packed){carve(carver, types * columns, sizeof(float)), (int)types,
                                              engine->columns};
    } else {
        engine->hop.matrix = (struct packed){carve(carver, units * columns, sizeof(float)), (int)units,
                                             engine->columns};
    }
    engine->sum_matrix = carve(carver, units * units, sizeof(float));
    engine->averages = carve(carver, square, 2 * sizeof(double));
    engine->mu = carve(carver, columns, sizeof(float));
    if (engine->rule.weights == CREDIT_RANDOM) {
        engine->draws = carve(carver, square, sizeof(double));
    } else if (engine->rule.weights == CREDIT_SHUFFLED) {
        engine->permutation = carve(carver, size_times(units, units), sizeof(int32_t));
        engine->block_ends = carve(carver, size_plus(square, 1), sizeof(int32_t));
    }
}

/* |normal| for each block of types. */
static void draws_make(struct engine *engine) {
    struct random_stream stream = random_stream_make(engine->options.seed, RANDOM_MODULATION, 0, 0);
    size_t count = (size_t)engine->network->types * (size_t)engine->network->types;
    for (size_t i = 0; i < count; i++) {
        engine->draws[i] = fabs(random_normal(&stream, i));
    }
}

static size_t block_of(const struct network *network, size_t q, size_t p) {
    return (size_t)network->type_of_unit[q] * (size_t)network->types + (size_t)network->type_of_unit[p];
}

/*
 * permutation[i]: whose entry of W is M's at position i. Positions off the diagonal are sorted by block, each block's
 * list is shuffled (Durstenfeld 1964), and the shuffled list is what the sorted one takes.
 */
static void permutation_make(struct engine *engine) {
    const struct network *network = engine->network;
    size_t n = (size_t)network->units, blocks = (size_t)network->types * (size_t)network->types;
    int32_t *from = engine->permutation, *ends = engine->block_ends;
    int32_t *sorted = (int32_t *)(void *)engine->sum_matrix; /* not yet in use, and as large */
    memset(ends, 0, (blocks + 1) * sizeof *ends);
    for (size_t i = 0; i < n * n; i++) {
        from[i] = (int32_t)i;
        ends[block_of(network, i / n, i % n) + 1] += i % (n + 1) != 0;
    }
    for (size_t b = 0; b < blocks; b++) {
        ends[b + 1] += ends[b];
    }
    /* ends[b] is where the next position of block b goes, and in the end where the block ends */
    for (size_t i = 0; i < n * n; i++) {
        if (i % (n + 1) != 0) {
            sorted[ends[block_of(network, i / n, i % n)]++] = (int32_t)i;
        }
    }
    struct random_stream stream = random_stream_make(engine->options.seed, RANDOM_PERMUTATION, 0, 0);
    for (size_t b = 0; b < blocks; b++) {
        int32_t first = b == 0 ? 0 : ends[b - 1];
        for (int32_t i = ends[b] - 1; i > first; i--) {
            int32_t other = first + (int32_t)random_below(&stream, (uint64_t)i, (uint64_t)i - (uint64_t)first + 1);
            int32_t at = sorted[i], taken = from[sorted[other]];
            from[sorted[other]] = from[at];
            from[at] = taken;
        }
    }
}

void hop_draw(struct engine *engine) {
    if (engine->draws) {
        draws_make(engine);
    }
    if (engine->permutation) {
        permutation_make(engine);
    }
}

/* ---- mu ---- */

void mu_load(struct engine *engine, double mu) {
    const struct network *network = engine->network;
    const struct numbers *of = &engine->rule.mu_of;
    bool of_units = rule_mu_is_of_units(&engine->rule, &engine->shape);
    engine->mu_shared = (float)mu;
    for (int p = 0; engine->mu && p < network->units; p++) {
        engine->mu[p] = !of->values ? (float)mu : (float)of->values[of_units ? p : network->type_of_unit[p]];
    }
}

/* ---- M ---- */

/* M as a whole matrix: the average wherever a synapse exists. */
static void existing_fill(struct engine *engine) {
    const struct network *network = engine->network;
    const float *W = network->weights + network->offset_W;
    size_t n = (size_t)network->units, types = (size_t)network->types;
    for (size_t q = 0; q < n; q++) {
        const double *row = engine->averages + (size_t)network->type_of_unit[q] * types;
        for (size_t p = 0; p < n; p++) {
            size_t at = q * n + p;
            engine->sum_matrix[at] = W[at] != 0.0f ? (float)row[network->type_of_unit[p]] : 0.0f;
        }
    }
}

/* M as a hop of rank C, from its value for each block. */
static void low_rank_fill(struct engine *engine) {
    const struct network *network = engine->network;
    size_t n = (size_t)network->units, types = (size_t)network->types;
    /* sum_matrix is free here: (N, C) indicators first, then (C, N) averages; C <= N */
    float *scratch = engine->sum_matrix;
    memset(scratch, 0, n * types * sizeof(float));
    for (size_t j = 0; j < n; j++) {
        scratch[j * types + (size_t)network->type_of_unit[j]] = 1.0f;
    }
    packed_fill(engine->kernels, &engine->hop.gather, 0, (int)n, scratch, types, (int)types, false);
    for (size_t h = 0; h < types; h++) {
        for (size_t p = 0; p < n; p++) {
            scratch[h * n + p] = (float)engine->averages[(size_t)network->type_of_unit[p] * types + h];
        }
    }
    packed_fill(engine->kernels, &engine->hop.scatter, 0, (int)types, scratch, n, (int)n, false);
}

/*
 * The averages' random counterpart: |normal| times the block's sign, scaled so that M has the Frobenius norm that it
 * has with the averages.
 */
static void averages_randomize(struct engine *engine, const double *counts) {
    size_t square = (size_t)engine->network->types * (size_t)engine->network->types;
    double wanted = 0, found = 0;
    for (size_t i = 0; i < square; i++) {
        double draw = engine->averages[i] == 0 ? 0 : engine->draws[i];
        wanted += counts[i] * engine->averages[i] * engine->averages[i];
        found += counts[i] * draw * draw;
    }
    double scale = found > 0 ? sqrt(wanted / found) : 0;
    for (size_t i = 0; i < square; i++) {
        double w = engine->averages[i];
        engine->averages[i] = w == 0 ? 0 : (w > 0 ? scale : -scale) * engine->draws[i];
    }
}

/* The value of M for each block of types, into engine->averages. */
static void blocks_fill(struct engine *engine, const double *averages) {
    const struct network *network = engine->network;
    size_t square = (size_t)network->types * (size_t)network->types;
    if (engine->rule.weights == CREDIT_GIVEN) {
        memcpy(engine->averages, engine->rule.modulation.values, square * sizeof *averages);
        return;
    }
    if (!averages || engine->rule.weights == CREDIT_RANDOM) {
        type_averages(network, engine->rule.averaging == AVERAGING_EXISTING, engine->averages);
    }
    if (averages) {
        memcpy(engine->averages, averages, square * sizeof *averages);
    }
    if (engine->rule.weights == CREDIT_RANDOM) {
        averages_randomize(engine, engine->averages + square);
    }
}

/* M as a whole matrix, where it is not W: into sum_matrix. */
static void matrix_fill(struct engine *engine) {
    const float *W = engine->network->weights + engine->network->offset_W;
    size_t n = (size_t)engine->network->units;
    for (size_t i = 0; i < n * n && engine->rule.weights == CREDIT_GIVEN; i++) {
        engine->sum_matrix[i] = (float)engine->rule.modulation.values[i];
    }
    for (size_t i = 0; i < n * n && engine->rule.weights == CREDIT_SHUFFLED; i++) {
        engine->sum_matrix[i] = W[engine->permutation[i]];
    }
}

void hop_load(struct engine *engine, const double *averages) {
    const struct network *network = engine->network;
    size_t n = (size_t)network->units;
    const struct rule_ops *ops = rule_table[engine->rule.type];
    if (!ops->uses_hop) {
        return;
    }
    if (engine->hop.low_rank) {
        blocks_fill(engine, averages);
        low_rank_fill(engine);
        return;
    }
    const float *matrix = network->weights + network->offset_W;
    if (!ops->hop_is_weights && engine->rule.weights != CREDIT_CELL) {
        if (rule_is_averaged(&engine->rule)) {
            blocks_fill(engine, averages);
            existing_fill(engine);
        } else {
            matrix_fill(engine);
        }
        matrix = engine->sum_matrix;
    }
    packed_fill(engine->kernels, &engine->hop.matrix, 0, (int)n, matrix, n, (int)n, true);
}
