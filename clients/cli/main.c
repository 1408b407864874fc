/*
 * modprop: the command line of the training service.
 *
 * Reads the words by the tables (arguments), the settings, and runs one command. One thread; a command ends the
 * process, so there is no state between two of them but what the server keeps.
 */
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "api/program.h"
#include "clients/cli/commands.h"
#include "clients/cli/help.h"
#include "clients/cli/report.h"
#include "clients/cli/signals.h"

static enum status run(struct cli *cli) {
    const struct arguments *arguments = &cli->arguments;
    if (argument_is_set(arguments, "version")) {
        return command_find("version")->run(cli);
    }
    if (argument_is_set(arguments, "help")) {
        help_print(arguments->command, &cli->out);
        return STATUS_OK;
    }
    if (arguments->command == NULL) {
        help_print(NULL, &cli->out);
        return report_error(STATUS_USAGE, "a command is needed");
    }
    enum status status = arguments->command->offline ? STATUS_OK : settings_read(&cli->settings, arguments);
    return status == STATUS_OK ? arguments->command->run(cli) : status;
}

/* --json must shape the complaint about a bad command line too, so it is looked for before the words are parsed. */
static bool has_word(int count, char **words, const char *word) {
    for (int i = 0; i < count && strcmp(words[i], "--") != 0; i++) {
        if (strcmp(words[i], word) == 0) {
            return true;
        }
    }
    return false;
}

int main(int count, char **words) {
    struct cli cli = {.json = has_word(count, words, "--json")};
    bool colour = !has_word(count, words, "--no-color");
    program_begin();
    setlocale(LC_ALL, "");
    setlocale(LC_NUMERIC, "C");
    memory_begin();
    commands_register(commands_listed);
    signals_begin();
    terminal_init(&cli.out, stdout);
    cli.out.colour = cli.out.colour && colour;
    report_begin(cli.json, colour);
    enum status status = arguments_parse(&cli.arguments, count - 1, words + 1);
    if (status == STATUS_OK) {
        status = run(&cli);
    }
    status = cli_finish(status);
    http_destroy(cli.http);
    settings_release(&cli.settings);
    arguments_release(&cli.arguments);
    return (int)status;
}
