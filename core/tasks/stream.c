/* The random numbers of a trial: see tasks.h. */
#include "core/tasks/tasks.h"

struct random_stream task_stream(const struct task *task, enum random_purpose training, enum random_purpose evaluation,
                                 struct trial_id id) {
    return random_stream_make(task->seed, id.phase == TRIAL_TRAINING ? training : evaluation, id.iteration, id.trial);
}
