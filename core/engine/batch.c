/*
 * Running a batch: a team member takes whole groups, each method in its way; then the groups' accumulators are added in
 * order. See engine.h.
 *
 * Each member counts its own work, in its first group; the member with group 0 polls the caller's stop word, and the
 * others read its result. A stopped batch leaves a gradient that must not be used.
 */
#include <math.h>
#include <string.h>

#include "core/engine/internal.h"

/* What the members' counts poll: the caller's stop word for the member with group 0, its result for the others. */
static bool caller_stopped(void *user) {
    struct engine *engine = user;
    if (work_look(engine->work)) {
        atomic_store(&engine->stopped, true);
    }
    return atomic_load_explicit(&engine->stopped, memory_order_relaxed);
}

static bool batch_stopped(void *user) {
    struct engine *engine = user;
    return atomic_load_explicit(&engine->stopped, memory_order_relaxed);
}

/* Counts of a member's groups [first, last): all in the first one's. */
static void member_work_begin(struct engine *engine, int first, int last) {
    struct work *caller = first == 0 ? engine->work : NULL;
    engine->groups[first].own = (struct work){
        .stop = first == 0 ? caller_stopped : batch_stopped, .user = engine, .since = caller ? caller->since : 0};
    if (caller) {
        caller->since = 0;
    }
    for (int g = first; g < last; g++) {
        engine->groups[g].work = &engine->groups[first].own;
    }
}

/* Adds the members' counts to the caller's: the sum of the work, and the intervals of the member that polls. */
static void member_work_end(struct engine *engine) {
    struct work *work = engine->work, *first = &engine->groups[0].own;
    for (int g = 0; work && g < engine->group_count; g++) {
        work->done += engine->groups[g].work == &engine->groups[g].own ? engine->groups[g].own.done : 0;
        engine->groups[g].work = NULL;
    }
    if (work) {
        work->since += first->since;
        work->longest = first->longest > work->longest ? first->longest : work->longest;
    }
}

static void batch_work(void *user, int member, int members) {
    struct engine *engine = user;
    int first, last;
    team_share(engine->group_count, member, members, &first, &last);
    /* the groups that the batch fills, if it is shorter than the engine allows */
    while (last > first && engine->blocks[engine->groups[last - 1].first].rows == 0) {
        last--;
    }
    if (first >= last) {
        return;
    }
    member_work_begin(engine, first, last);
    for (int g = first; g < last && engine->stage != STAGE_BACK; g++) {
        group_reset(engine, &engine->groups[g]);
    }
    if (!engine->want_gradient) {
        blocks_run_forward(engine, first, last);
    } else {
        method_table[engine->method]->run(engine, first, last);
    }
}

/* L_{p,t} gets rate_cost (mean_p - rate_target) / (T B) more at every step. The groups' sums are added in order. */
static void rate_cost_make(struct engine *engine) {
    const struct batch_options *options = &engine->options;
    double elements = (double)options->steps * engine->trials;
    for (int p = 0; p < engine->network->units; p++) {
        double sum = 0;
        for (int g = 0; g < engine->group_count; g++) {
            sum += engine->groups[g].rate_total[p];
        }
        engine->cost[p] = (float)(options->rate_cost * (sum / elements - options->rate_target) / elements);
    }
}

/* Of one source's row of the gradient. */
static double reduce_cost(const struct engine *engine) {
    double n = engine->network->units, types = engine->network->types, groups = engine->group_count;
    bool by_mode = engine->method == METHOD_FORWARD && engine->form == FORWARD_MODES;
    return groups * n + (by_mode ? types * (types + 2 * groups) : 0);
}

/* Adds the groups' accumulators in order and unpads them; rows of sources are shared out. */
static void reduce_work(void *user, int member, int members) {
    struct engine *engine = user;
    const struct network *network = engine->network;
    size_t columns = (size_t)engine->columns, n = (size_t)network->units;
    int from, to;
    team_share(engine->sources, member, members, &from, &to);
    for (int g = 1; g < engine->group_count; g++) {
        engine->kernels->accumulate((size_t)(to - from) * columns, engine->groups[g].total + (size_t)from * columns,
                                    engine->groups[0].total + (size_t)from * columns);
    }
    int inputs = network->inputs, recurrent = inputs + network->bias;
    struct work work = {.stop = member == 0 ? caller_stopped : batch_stopped, .user = engine};
    double each = reduce_cost(engine);
    for (int k = from; k < to && !work_add(&work, each); k++) {
        if (method_table[engine->method]->reduce) {
            method_table[engine->method]->reduce(engine, k, engine->groups[0].total + (size_t)k * columns);
        }
        size_t offset = k < inputs      ? network->offset_Win + (size_t)k * n
                        : k < recurrent ? network->offset_b
                                        : network->offset_W + (size_t)(k - recurrent) * n;
        memcpy(engine->gradient + offset, engine->groups[0].total + (size_t)k * columns, n * sizeof(float));
    }
}

static void readout_reduce(struct engine *engine) {
    const struct network *network = engine->network;
    size_t n = (size_t)network->units, outputs = (size_t)network->outputs, columns = (size_t)engine->columns;
    for (size_t o = 0; o < outputs; o++) {
        double bias = 0;
        for (int g = 0; g < engine->group_count; g++) {
            bias += engine->groups[g].bout[o];
        }
        engine->gradient[network->offset_bout + o] = (float)bias;
        for (size_t j = 0; j < n; j++) {
            float sum = 0;
            for (int g = 0; g < engine->group_count; g++) {
                sum += engine->groups[g].readout[o * columns + j];
            }
            engine->gradient[network->offset_Wout + j * outputs + o] = sum;
        }
    }
}

static void psi_report(const struct engine *engine, struct batch_result *result) {
    const struct network *network = engine->network;
    double sum = 0;
    int silent = 0;
    for (int p = 0; p < network->units; p++) {
        double unit = 0;
        for (int g = 0; g < engine->group_count; g++) {
            unit += engine->groups[g].psi_total[p];
        }
        sum += unit;
        silent += unit == 0;
    }
    result->psi_mean = sum / ((double)network->units * engine->options.steps * engine->trials);
    result->silent_units = silent;
}

static bool batch_prepare(struct engine *engine, int trials, float *gradient) {
    engine->trials = trials;
    engine->want_gradient = gradient != NULL;
    engine->gradient = gradient;
    engine->method = engine->plan.method;
    if (gradient && forms_modes(engine->form) && !engine->traces_good && engine->method != METHOD_REVERSE &&
        engine->options.update_every == 0) {
        engine->method = METHOD_REVERSE;
    }
    if (gradient && engine->method == METHOD_REVERSE && !engine_reverse_prepare(engine)) {
        return false;
    }
    if (gradient) {
        engine->used = engine->method;
    }
    blocks_assign(engine, trials);
    memset(engine->trial_loss, 0, (size_t)trials * sizeof(double));
    memset(engine->trial_correct, 0, (size_t)trials * sizeof(double));
    engine->phases = (struct phases){0};
    engine->weight_sum = batch_weight_sum(engine);
    return true;
}

/* Steps [from, to) of the batch; with a gradient, what they add to it. */
static enum result steps_run(struct engine *engine, struct team *team, int from, int to) {
    engine->from = from;
    engine->to = to;
    engine->stage = engine->want_gradient && engine->cost ? STAGE_FORWARD : STAGE_WHOLE;
    team_run(team, batch_work, engine);
    member_work_end(engine);
    if (engine->stage == STAGE_FORWARD && !atomic_load(&engine->stopped)) {
        rate_cost_make(engine);
        engine->stage = STAGE_BACK;
        team_run(team, batch_work, engine);
        member_work_end(engine);
    }
    if (atomic_load(&engine->stopped)) {
        return atomic_load(&engine->class_invalid) ? RESULT_INVALID : RESULT_STOPPED;
    }
    double since = phase_begin(engine, 0);
    if (engine->want_gradient) {
        team_run(team, reduce_work, engine);
        work_add(engine->work, reduce_cost(engine) * engine->sources);
        if (atomic_load(&engine->stopped)) {
            return RESULT_STOPPED;
        }
        readout_reduce(engine);
        phase_end(engine, 0, &since, &engine->phases.gradient);
    }
    return RESULT_DONE;
}

static bool modes_prepare(struct engine *engine) {
    return engine_modes_prepare(engine, method_table[engine->plan.method]->recast);
}

static enum result batch_run(struct engine *engine, struct team *team, const struct batch_source *source, int trials,
                             float *gradient, const struct engine_update *update, struct work *work,
                             struct batch_result *result) {
    const int steps = engine->options.steps, every = update ? engine->options.update_every : steps;
    engine->source = source;
    engine->work = work;
    atomic_store(&engine->stopped, false);
    atomic_store(&engine->class_invalid, false);
    if (trials < 1 || trials > engine->options.trials) {
        return RESULT_INVALID;
    }
    if (gradient && !modes_prepare(engine)) {
        return RESULT_STOPPED;
    }
    if (!batch_prepare(engine, trials, gradient)) {
        return RESULT_NO_MEMORY;
    }
    enum result done = RESULT_DONE;
    for (int from = 0; from < steps && done == RESULT_DONE; from += every) {
        done = steps_run(engine, team, from, steps - from < every ? steps : from + every);
        if (done == RESULT_DONE && update) {
            update->make(update->user);
            done = modes_prepare(engine) ? RESULT_DONE : RESULT_STOPPED;
        }
    }
    if (done != RESULT_DONE) {
        return done;
    }
    double loss = 0, correct = 0;
    for (int i = 0; i < trials; i++) {
        loss += engine->trial_loss[i];
        correct += engine->trial_correct[i];
    }
    result->weight = engine->weight_sum;
    /* in a batch of a user's own trials it may be that no step counts: no loss, no gradient, and no fault */
    result->loss = engine->weight_sum > 0 ? loss / engine->weight_sum : NAN;
    result->correct = engine->weight_sum > 0 ? correct / engine->weight_sum : NAN;
    if (gradient && engine->options.count_psi) {
        psi_report(engine, result);
    }
    phases_add(&result->phases, &engine->phases);
    return RESULT_DONE;
}

enum result engine_batch_run(struct engine *engine, struct team *team, const struct batch_source *source, int trials,
                             float *gradient, struct work *work, struct batch_result *result) {
    return batch_run(engine, team, source, trials, gradient, NULL, work, result);
}

enum result engine_batch_online(struct engine *engine, struct team *team, const struct batch_source *source, int trials,
                                float *gradient, const struct engine_update *update, struct work *work,
                                struct batch_result *result) {
    return batch_run(engine, team, source, trials, gradient, update, work, result);
}
