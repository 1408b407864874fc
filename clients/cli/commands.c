/* The table of commands, in the order of help: main registers it (commands.h). */
#include "clients/cli/commands.h"

extern const struct command command_submit, command_validate, command_list, command_show, command_follow, command_pause,
    command_resume, command_cancel, command_extend, command_retry, command_delete, command_metrics, command_weights,
    command_spectrum, command_checkpoints, command_compare, command_simulate, command_evaluate, command_gradients,
    command_tasks, command_rules, command_neurons, command_datasets, command_datasets_put, command_datasets_get,
    command_datasets_fetch, command_datasets_show, command_datasets_delete, command_views, command_views_save,
    command_views_delete, command_edit, command_doctor, command_completion, command_complete, command_help,
    command_version;

/* One a line. */
/* clang-format off */
const struct command *const commands_listed[] = {
    &command_submit,
    &command_validate,
    &command_list,
    &command_show,
    &command_follow,
    &command_pause,
    &command_resume,
    &command_cancel,
    &command_extend,
    &command_retry,
    &command_delete,
    &command_edit,
    &command_views,
    &command_views_save,
    &command_views_delete,
    &command_metrics,
    &command_weights,
    &command_spectrum,
    &command_checkpoints,
    &command_compare,
    &command_simulate,
    &command_evaluate,
    &command_gradients,
    &command_tasks,
    &command_rules,
    &command_neurons,
    &command_datasets,
    &command_datasets_put,
    &command_datasets_get,
    &command_datasets_fetch,
    &command_datasets_show,
    &command_datasets_delete,
    &command_doctor,
    &command_completion,
    &command_complete,
    &command_help,
    &command_version,
    NULL,
};
/* clang-format on */
