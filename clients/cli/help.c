/*
 * Help, from the table of commands. See help.h.
 */
#include "clients/cli/help.h"

#include <stdlib.h>
#include <string.h>

#include "clients/cli/commands.h"

static const struct {
    const char *name, *doc;
} variable_table[] = {
    {"MODPROP_SERVER", "as --server"},   {"MODPROP_TOKEN", "as --token"},   {"MODPROP_TOKEN_FILE", "as --token-file"},
    {"MODPROP_CA_FILE", "as --ca-file"}, {"MODPROP_CONFIG", "as --config"}, {"NO_COLOR", "set to anything: no colours"},
};

static const struct {
    int status;
    const char *doc;
} status_table[] = {
    {STATUS_OK, "done; a job that was followed succeeded"},
    {STATUS_JOB, "a job that was followed failed or was cancelled; doctor found a fault"},
    {STATUS_USAGE, "bad usage: flags, operands, settings, or a file that is not what the command takes"},
    {STATUS_UNREACHABLE, "the server cannot be reached, or the connection broke"},
    {STATUS_REFUSED, "the server refused: there is no such job, a field is wrong, a token is missing"},
    {STATUS_FAILED,
     "this machine failed: a file, memory, a program that is not installed, a response that cannot be understood"},
    {STATUS_INTERRUPTED, "interrupted by Ctrl-C or a signal; the job keeps running"},
};

static void heading(const struct terminal *terminal, const char *text) {
    fprintf(terminal->file, "\n%s%s%s\n", terminal_paint(terminal, PAINT_BOLD), text,
            terminal_paint(terminal, PAINT_NONE));
}

/* "  name   what it does": names in a column `width` wide. */
static void entry(const struct terminal *terminal, const char *name, int width, const char *doc) {
    int pad = width - (int)strlen(name);
    fprintf(terminal->file, "  %s", name);
    if (pad < 0) {
        fprintf(terminal->file, "\n%*s", width + 4, "");
    } else {
        fprintf(terminal->file, "%*s", pad + 2, "");
    }
    terminal_wrap(terminal, doc, width + 4);
}

static void options_print(const struct terminal *terminal, const struct option *options) {
    for (const struct option *option = options; option != NULL && option->name != NULL; option++) {
        struct text name = {0}, doc = {0};
        if (option->letter != 0) {
            text_printf(&name, "-%c, ", option->letter);
        } else {
            text_add(&name, "    ");
        }
        text_printf(&name, "--%s%s%s", option->name, option->value == NULL ? "" : " ",
                    option->value == NULL ? "" : option->value);
        text_printf(&doc, "%s%s", option->doc, option->repeats ? "; may be given more than once" : "");
        entry(terminal, name.data, 24, doc.data);
        text_release(&name);
        text_release(&doc);
    }
}

static void paragraphs_print(const struct terminal *terminal, const char *text) {
    while (*text != '\0') {
        const char *end = strstr(text, "\n\n");
        size_t length = end == NULL ? strlen(text) : (size_t)(end - text);
        struct text paragraph = {0};
        text_append(&paragraph, text, length);
        fputc('\n', terminal->file);
        terminal_wrap(terminal, paragraph.data, 0);
        text_release(&paragraph);
        text += length + (end == NULL ? 0 : 2);
    }
}

/* The options of every command in one paragraph: a command's own help is about the command. */
static void globals_print(const struct terminal *terminal) {
    struct text names = {0};
    for (const struct option *option = global_options; option->name != NULL; option++) {
        text_printf(&names, "%s--%s", option == global_options ? "" : ", ", option->name);
    }
    fputs("  ", terminal->file);
    terminal_wrap(terminal, names.data, 2);
    text_release(&names);
}

static void command_print(const struct command *command, const struct terminal *terminal) {
    fprintf(terminal->file, "Usage: modprop %s%s%s [OPTION]...\n", command->name, *command->operands == '\0' ? "" : " ",
            command->operands);
    paragraphs_print(terminal, command->description);
    if (command->options != NULL) {
        heading(terminal, "Options");
        options_print(terminal, command->options);
    }
    heading(terminal, "Options of every command (modprop help explains them)");
    globals_print(terminal);
    if (command->examples != NULL) {
        heading(terminal, "Examples");
        char *copy = memory_copy(command->examples), *rest = copy;
        for (const char *line; (line = strsep(&rest, "\n")) != NULL && *line != '\0';) {
            fprintf(terminal->file, "  %s\n", line);
        }
        free(copy);
    }
}

static void overview_print(const struct terminal *terminal) {
    const char *group = "";
    fprintf(terminal->file, "Usage: modprop COMMAND [OPERAND]... [OPTION]...\n\n");
    terminal_wrap(terminal,
                  "Trains recurrent networks with biologically plausible learning rules, on a modpropd daemon.", 0);
    for (const struct command *const *command = command_table; *command != NULL; command++) {
        if ((*command)->group == NULL) {
            continue;
        }
        if (strcmp(group, (*command)->group) != 0) {
            group = (*command)->group;
            heading(terminal, group);
        }
        entry(terminal, (*command)->name, 20, (*command)->summary);
    }
    heading(terminal, "Options of every command");
    options_print(terminal, global_options);
    heading(terminal, "Environment");
    for (size_t i = 0; i < sizeof variable_table / sizeof variable_table[0]; i++) {
        entry(terminal, variable_table[i].name, 18, variable_table[i].doc);
    }
    heading(terminal, "Configuration file");
    fprintf(terminal->file, "  ");
    terminal_wrap(terminal,
                  "Lines key = value with the keys server, token, token_file, ca_file; # begins a comment. A token of "
                  "the file goes to the server "
                  "of the file only.",
                  2);
    heading(terminal, "Exit status");
    for (size_t i = 0; i < sizeof status_table / sizeof status_table[0]; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", status_table[i].status);
        entry(terminal, number, 4, status_table[i].doc);
    }
    fprintf(terminal->file,
            "\nA JOB is an id, the beginning of one, a name, or latest. modprop COMMAND --help explains a command.\n");
}

void help_print(const struct command *command, const struct terminal *terminal) {
    if (command == NULL) {
        overview_print(terminal);
    } else {
        command_print(command, terminal);
    }
}

static json_t *options_describe(const struct option *options) {
    json_t *list = json_array();
    for (const struct option *option = options; option != NULL && option->name != NULL; option++) {
        char letter[2] = {option->letter, '\0'};
        json_array_append_new(list, json_pack("{s:s, s:s?, s:s?, s:b, s:s}", "name", option->name, "letter",
                                              option->letter == 0 ? NULL : letter, "value", option->value, "repeats",
                                              (int)option->repeats, "description", option->doc));
    }
    return list;
}

json_t *help_describe(void) {
    json_t *commands = json_array(), *variables = json_array(), *statuses = json_array();
    for (const struct command *const *at = command_table; *at != NULL; at++) {
        const struct command *command = *at;
        json_array_append_new(commands, json_pack("{s:s, s:s?, s:s, s:s, s:s, s:s?, s:o}", "name", command->name,
                                                  "group", command->group, "operands", command->operands, "summary",
                                                  command->summary, "description", command->description, "examples",
                                                  command->examples, "options", options_describe(command->options)));
    }
    for (size_t i = 0; i < sizeof variable_table / sizeof variable_table[0]; i++) {
        json_array_append_new(
            variables, json_pack("{s:s, s:s}", "name", variable_table[i].name, "description", variable_table[i].doc));
    }
    for (size_t i = 0; i < sizeof status_table / sizeof status_table[0]; i++) {
        json_array_append_new(
            statuses, json_pack("{s:i, s:s}", "status", status_table[i].status, "description", status_table[i].doc));
    }
    return json_pack("{s:s, s:o, s:o, s:o, s:o}", "version", MODPROP_VERSION, "commands", commands, "options",
                     options_describe(global_options), "environment", variables, "exit", statuses);
}
