/*
 * Help, from the table of commands.
 */
#ifndef MODPROP_CLI_HELP_H
#define MODPROP_CLI_HELP_H

#include <jansson.h>

#include "clients/cli/arguments.h"
#include "clients/cli/terminal.h"

/* Of a command, or (NULL) the list of all. */
void help_print(const struct command *command, const struct terminal *terminal);

/* The whole table as a document: what the manual page is made from. */
json_t *help_describe(void);

#endif
