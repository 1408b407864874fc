/* The random numbers of a trial, and what tasks do with periods of it: see tasks.h. */
#include <string.h>

#include "core/tasks/tasks.h"

struct random_stream task_stream(const struct task *task, enum random_purpose training, enum random_purpose evaluation,
                                 struct trial_id id) {
    return random_stream_make(task->seed, id.phase == TRIAL_TRAINING ? training : evaluation, id.iteration, id.trial);
}

static struct task_block block_within(struct task_block block, struct task_period period) {
    int from = block.from > period.start ? block.from : period.start,
        to = block.to < period.end ? block.to : period.end;
    float *x = from < to ? block.x + (size_t)(from - block.from) * block.stride : block.x;
    return (struct task_block){.from = from, .to = to, .x = x + period.first, .stride = block.stride};
}

void task_block_clear(struct task_block block, int inputs) {
    for (int t = block.from; t < block.to; t++) {
        memset(block.x + (size_t)(t - block.from) * block.stride, 0, (size_t)inputs * sizeof *block.x);
    }
}

void task_period_add(struct task_block block, struct task_period period, float value) {
    struct task_block within = block_within(block, period);
    for (int t = within.from; t < within.to; t++) {
        for (int i = 0; i < period.count; i++) {
            within.x[(size_t)(t - within.from) * within.stride + (size_t)i] += value;
        }
    }
}

void task_noise_add(const struct task *task, const struct trial *trial, double deviation, struct task_block block,
                    struct task_period period) {
    enum { VALUES = 128 }; /* made together: random_normal_fill is made for rows of numbers */
    struct task_block within = block_within(block, period);
    if (deviation == 0 || within.from >= within.to) {
        return;
    }
    struct random_stream stream = task_stream(task, RANDOM_TRAINING_NOISE, RANDOM_EVALUATION_NOISE, trial->id);
    float values[VALUES], scale = (float)deviation;
    uint64_t width = (uint64_t)period.count, at = (uint64_t)within.from * width, end = (uint64_t)within.to * width;
    for (uint64_t first = at; first < end; first += VALUES) {
        size_t count = end - first < VALUES ? (size_t)(end - first) : VALUES;
        random_normal_fill(&stream, first, count, values);
        for (size_t k = 0; k < count; k++) {
            size_t row = (size_t)((first + k) / width - (uint64_t)within.from), column = (size_t)((first + k) % width);
            within.x[row * within.stride + column] += scale * values[k];
        }
    }
}

struct task_shape task_choice_shape(int inputs, int start, int answer, double trial_work) {
    return (struct task_shape){.steps = start + answer,
                               .inputs = inputs,
                               .outputs = 2,
                               .loss = LOSS_CROSS_ENTROPY,
                               .has_accuracy = true,
                               .mask_from = start,
                               .mask_uniform = true,
                               .trial_work = trial_work,
                               .input_work = WORK_UNIFORM,
                               .target_work = 1};
}

float task_label_target(const struct task *task, const struct trial *trial, int t, int *class_index, float *values) {
    (void)values;
    *class_index = trial->label;
    return t >= task->shape.mask_from ? 1.0f : 0.0f;
}
