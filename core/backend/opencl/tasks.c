/* The tasks that the device draws: see cohort.h, and trials.cl for what a .cl file of a task defines. */
#include <string.h>

#include "core/backend/opencl/cohort.h"
#include "core/tasks/tasks.h"

static void numbers_of(const struct task *task, const char *const *names, double *numbers) {
    for (int i = 0; names[i]; i++) {
        numbers[i] = task_number(task->config, names[i]);
    }
}

static void delayed_xor_numbers(const struct task *task, double *numbers) {
    static const char *const names[] = {"cue", "delay", "noise", NULL};
    numbers_of(task, names, numbers);
}

static size_t delayed_xor_data(const struct task *task) {
    return (size_t)task_number(task->config, "cue");
}

static void delayed_xor_fill(const struct task *task, float *data) {
    memcpy(data, task->state, delayed_xor_data(task) * sizeof *data); /* the pulse */
}

static void evidence_numbers(const struct task *task, double *numbers) {
    static const char *const names[] = {"cues",        "cue_duration",    "cue_active", "delay", "cue_probability",
                                        "active_rate", "background_rate", NULL};
    numbers_of(task, names, numbers);
}

/* Of tasks whose trials are all alike: the inputs and the targets of every step. */
static size_t frozen_data(const struct task *task) {
    const struct task_shape *shape = &task->shape;
    return (size_t)shape->steps * (size_t)shape->inputs +
           (size_t)(shape->steps - shape->mask_from) * (size_t)shape->outputs;
}

static void frozen_fill(const struct task *task, float *data) {
    const struct task_shape *shape = &task->shape;
    struct trial trial;
    int ignored;
    task->ops->trial(task, (struct trial_id){.phase = TRIAL_TRAINING}, &trial);
    task->ops->inputs(task, &trial, 0, shape->steps, data, (size_t)shape->inputs);
    float *values = data + (size_t)shape->steps * (size_t)shape->inputs;
    for (int t = shape->mask_from; t < shape->steps; t++, values += shape->outputs) {
        task->ops->target(task, &trial, t, &ignored, values);
    }
}

static const struct device_task tasks[] = {
    {&task_delayed_xor, "task_delayed_xor", delayed_xor_numbers, delayed_xor_data, delayed_xor_fill},
    {&task_evidence, "task_evidence", evidence_numbers, NULL, NULL},
    {&task_pattern, "task_frozen", NULL, frozen_data, frozen_fill},
};

const struct device_task *device_task_find(const struct task_ops *task) {
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
        if (tasks[i].task == task) {
            return &tasks[i];
        }
    }
    return NULL;
}
