/*
 * modprop help and modprop version.
 */
#include <stdlib.h>

#include "api/text.h"
#include "clients/cli/commands.h"
#include "clients/cli/help.h"
#include "clients/cli/report.h"

extern const struct command command_help, command_version;

static void print_document(json_t *document) {
    cli_print_json(document);
    json_decref(document);
}

static enum status help(struct cli *cli) {
    const struct arguments *arguments = &cli->arguments;
    if (cli->json) {
        print_document(help_describe());
        return STATUS_OK;
    }
    if (arguments->count == 0) {
        help_print(NULL, &cli->out);
        return STATUS_OK;
    }
    char *name = arguments->count == 1 ? memory_copy(arguments->operands[0])
                                       : memory_format("%s %s", arguments->operands[0], arguments->operands[1]);
    const struct command *command = command_find(name);
    enum status status = command != NULL
                             ? STATUS_OK
                             : report_error(STATUS_USAGE, "there is no command \"%s\" (modprop help lists them)", name);
    if (command != NULL) {
        help_print(command, &cli->out);
    }
    free(name);
    return status;
}

static enum status version(struct cli *cli) {
    if (cli->json) {
        print_document(json_pack("{s:s, s:s}", "name", "modprop", "version", MODPROP_VERSION));
    } else {
        puts("modprop " MODPROP_VERSION);
    }
    return STATUS_OK;
}

const struct command command_help = {
    .name = "help",
    .group = "Program",
    .operands = "[COMMAND]",
    .least = 0,
    .most = 2,
    .operand = OPERAND_COMMAND,
    .offline = true,
    .summary = "list the commands, or explain one",
    .description = "With --json the whole table of commands and options, as a document.",
    .examples = "modprop help submit\n",
    .run = help,
};

const struct command command_version = {
    .name = "version",
    .group = "Program",
    .operands = "",
    .least = 0,
    .most = 0,
    .offline = true,
    .summary = "print this program's version",
    .description = "modprop doctor shows that of the daemon too.",
    .run = version,
};
