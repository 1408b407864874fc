/* The table of tasks, and how an instance is created. */
#include "core/tasks/task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/random.h"
#include "core/tasks/tasks.h"

_Static_assert(TASK_TYPES <= TASKS_MOST, "a task is a bit of a word");

const int task_count = TASK_TYPES;

#define TASK_ENTRY(number, name) [TASK_##number] = &task_##name,
const struct task_ops *const task_table[] = {TASKS(TASK_ENTRY)};

/* Whether the arrays that a task reads from a split exist; a split without trials is not read. */
static bool set_is_complete(const struct trial_set *set, const struct task_config *config) {
    if (set->trials == 0) {
        return true;
    }
    if (task_table[config->type]->needs == NEEDS_MNIST) {
        return set->pixels && set->labels;
    }
    const struct data_array *targets = config->data->loss == LOSS_CROSS_ENTROPY ? &set->classes : &set->values;
    return (set->inputs.bytes || set->spikes.first) && targets->bytes && (!set->masked || set->mask);
}

const struct task_ops *task_ops_of(const struct task_config *config) {
    return task_table[config->type];
}

/* The task's own parameter of this name. */
static const struct field *parameter_find(const struct task_config *config, const char *name) {
    const struct fields *parameters = &task_ops_of(config)->parameters;
    for (size_t i = 0; i < parameters->count; i++) {
        if (strcmp(parameters->items[i].name, name) == 0) {
            return &parameters->items[i];
        }
    }
    abort(); /* the caller's mistake: names are written in code */
}

double task_number(const struct task_config *config, const char *name) {
    const struct field *field = parameter_find(config, name);
    const char *at = (const char *)config + field->offset;
    switch (field->type) {
    case FIELD_NUMBER:
        return *(const double *)at;
    case FIELD_BOOLEAN:
        return *(const bool *)at;
    case FIELD_INT64:
    case FIELD_INT64_OR_NULL:
        return (double)*(const int64_t *)at;
    case FIELD_INT:
    case FIELD_INT_OR_NULL:
    case FIELD_CHOICE:
        return *(const int *)at;
    default:
        abort(); /* the caller's mistake: the parameter is no number */
    }
}

/* Parameters that are no numbers (a dataset's name and digest) are left as they are. */
static void parameter_set(struct task_config *config, const struct field *field, double value) {
    char *at = (char *)config + field->offset;
    switch (field->type) {
    case FIELD_NUMBER:
        *(double *)at = value;
        break;
    case FIELD_BOOLEAN:
        *(bool *)at = value != 0;
        break;
    case FIELD_INT64:
    case FIELD_INT64_OR_NULL:
        *(int64_t *)at = (int64_t)value;
        break;
    case FIELD_INT:
    case FIELD_INT_OR_NULL:
    case FIELD_CHOICE:
        *(int *)at = (int)value;
        break;
    default:
        break;
    }
}

/* A default, which is JSON text, as the number that parameter_set takes: null is 0, a choice its index. */
static double fallback_number(const struct field *field) {
    if (field->type == FIELD_BOOLEAN) {
        return strcmp(field->fallback, "true") == 0;
    }
    for (int i = 0; field->type == FIELD_CHOICE && field->choices[i] != NULL; i++) {
        size_t length = strlen(field->choices[i]);
        if (strncmp(field->fallback + 1, field->choices[i], length) == 0 && field->fallback[length + 1] == '"') {
            return i;
        }
    }
    return strtod(field->fallback, NULL);
}

struct task_config task_config_make(enum task_type type, const struct task_value *values, size_t count) {
    struct task_config config = {.type = type};
    const struct fields *parameters = &task_ops_of(&config)->parameters;
    for (size_t i = 0; i < parameters->count; i++) {
        if (parameters->items[i].fallback) {
            parameter_set(&config, &parameters->items[i], fallback_number(&parameters->items[i]));
        }
    }
    for (size_t i = 0; i < count; i++) {
        parameter_set(&config, parameter_find(&config, values[i].name), values[i].value);
    }
    return config;
}

enum result task_init(struct task *task, const struct task_config *config, uint64_t seed, struct work *work,
                      char error[256]) {
    *task = (struct task){.ops = task_table[config->type], .config = config, .seed = seed};
    if (!task->ops->shape(config, &task->shape, error)) {
        return RESULT_INVALID;
    }
    if (config->data &&
        !(set_is_complete(&config->data->train, config) && set_is_complete(&config->data->test, config))) {
        snprintf(error, 256, "the task's data lack inputs or targets");
        return RESULT_INVALID;
    }
    size_t size = task->ops->state_size ? task->ops->state_size(config) : 0;
    if (size > 0) {
        size = (size + 63) / 64 * 64;
        task->state = aligned_alloc(64, size);
        if (!task->state) {
            snprintf(error, 256, "out of memory for the task");
            return RESULT_NO_MEMORY;
        }
        memset(task->state, 0, size);
    }
    if (task->ops->init) {
        task->ops->init(task, work);
    }
    if (work && work->stopped) {
        snprintf(error, 256, "stopped");
        return RESULT_STOPPED;
    }
    return RESULT_DONE;
}

void task_release(struct task *task) {
    if (!task) {
        return;
    }
    free(task->state);
    *task = (struct task){0};
}

void trial_noise(uint64_t seed, struct trial_id id, int units, int t, int from, int count, float *noise) {
    bool listed = id.phase == TRIAL_TEST || id.phase == TRIAL_LISTED;
    int64_t iteration = 4 * (listed ? 0 : id.iteration) + (int64_t)id.phase;
    const struct random_stream stream = random_stream_make(seed, RANDOM_NEURONS, iteration, id.trial);
    random_normal_fill(&stream, (uint64_t)t * (uint64_t)units + (uint64_t)from, (size_t)count, noise);
}
