/*
 * Performance against difficulty: loss and accuracy of one trained network on trials of its task with another value of
 * one of the task's parameters (delay, coherence, noise of the inputs), or with noise on every unit's input current.
 */
#include "core/analysis/evaluation.h"

enum { VALUES, LOSS, ACCURACY, OUTPUTS };

static const struct analysis_output outputs[] = {
    [VALUES] = {"value", "value", NULL, "of the parameter, as asked"},
    [LOSS] = {"loss", "value", NULL, "on trials with that value"},
    [ACCURACY] = {"accuracy", "value", NULL, "likewise; undefined where the task has none"},
};

extern const struct analysis_ops analysis_difficulty;

/* The shape at one level; that of the input where the parameter gives none, which the run then says. */
static struct task_shape shape_at(const struct analysis_input *input, int level) {
    struct task_shape shape = input->shape;
    char text[256];
    if (input->levels && !task_table[input->levels[level].type]->shape(&input->levels[level], &shape, text)) {
        return input->shape;
    }
    return shape;
}

static size_t difficulty_memory(const struct analysis_input *input) {
    size_t most = 0;
    for (int i = 0; i < input->level_count; i++) {
        const struct task_shape shape = shape_at(input, i);
        size_t bytes = evaluation_memory(input, &shape);
        most = bytes > most ? bytes : most;
    }
    return most;
}

static double difficulty_cost(const struct analysis_input *input) {
    double sum = 0;
    for (int i = 0; i < input->level_count; i++) {
        const struct task_shape shape = shape_at(input, i);
        sum += evaluation_cost(input, &shape, input->request.trials);
    }
    return sum;
}

static enum result difficulty_run(const struct analysis_input *input, struct work *work, struct analysis_answer *answer,
                                  struct error *error) {
    size_t count = (size_t)input->level_count;
    const size_t lengths[OUTPUTS][ANALYSIS_AXES_MOST] = {{count}, {count}, {count}};
    const struct analysis_array *arrays = answer->arrays;
    if (!analysis_arrays(answer, &analysis_difficulty, lengths, error)) {
        return RESULT_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        const struct evaluation_change change = {.task = input->levels ? &input->levels[i] : NULL,
                                                 .noise_given = input->levels == NULL,
                                                 .noise = input->values[i]};
        arrays[VALUES].values[i] = input->values[i];
        enum result result = evaluation_make(input, &change, work, &arrays[LOSS].values[i], &arrays[ACCURACY].values[i],
                                             error);
        if (result != RESULT_DONE) {
            return result;
        }
    }
    return RESULT_DONE;
}

const struct analysis_ops analysis_difficulty = {
    .name = "difficulty",
    .doc = "loss and accuracy of the trained network as a parameter of its task, or noise, makes the trials harder",
    .outputs = outputs,
    .output_count = OUTPUTS,
    .memory = difficulty_memory,
    .cost = difficulty_cost,
    .run = difficulty_run,
};
