/* What the task files share. */
#ifndef MODPROP_CORE_TASKS_TASKS_H
#define MODPROP_CORE_TASKS_TASKS_H

#include "core/base/random.h"
#include "core/tasks/task.h"

extern const struct task_ops task_delayed_xor, task_pattern, task_row_mnist, task_pixel_mnist, task_evidence,
    task_dataset;

/* The stream of a trial: of the first purpose in training, of the second in evaluation, where trials must be others. */
struct random_stream task_stream(const struct task *task, enum random_purpose training, enum random_purpose evaluation,
                                 struct trial_id id);

#endif
