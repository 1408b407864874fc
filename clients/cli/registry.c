/* The commands that this program has, for those whom they are listed to: help, arguments, completion. See commands.h.
 */
#include <string.h>

#include "clients/cli/commands.h"

const struct command *const *command_table;

void commands_register(const struct command *const *table) {
    command_table = table;
}

const struct command *command_find(const char *name) {
    for (const struct command *const *command = command_table; *command != NULL; command++) {
        if (strcmp((*command)->name, name) == 0) {
            return *command;
        }
    }
    return NULL;
}
