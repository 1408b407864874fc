/*
 * The command line by tables. See arguments.h.
 */
#include "clients/cli/arguments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/commands.h"
#include "clients/cli/memory.h"
#include "clients/cli/report.h"

#define NAMES_MAX 64

const struct option global_options[] = {
    {"server", 's', OPTION_TEXT, "URL", 0, 0, false,
     "the daemon, http://HOST:PORT or https://HOST:PORT (default http://127.0.0.1:8080)"},
    {"token", 0, OPTION_TEXT, "TOKEN", 0, 0, false,
     "the token; other users of this machine can read it here, so prefer a file"},
    {"token-file", 0, OPTION_FILE, "FILE", 0, 0, false, "file that holds the token"},
    {"ca-file", 0, OPTION_FILE, "FILE", 0, 0, false, "certificate (PEM) of the authority to trust for https"},
    {"config", 0, OPTION_FILE, "FILE", 0, 0, false, "configuration file (default ~/.config/modprop/config)"},
    {"timeout", 0, OPTION_SECONDS, "SECONDS", 1, 86400, false,
     "give up after this much silence of the server (default 120)"},
    {"json", 0, OPTION_SWITCH, NULL, 0, 0, false, "print the server's JSON, errors too"},
    {"no-color", 0, OPTION_SWITCH, NULL, 0, 0, false,
     "no colours (they appear only on a terminal, and not if NO_COLOR is set)"},
    {"help", 'h', OPTION_SWITCH, NULL, 0, 0, false, "explain the command"},
    {"version", 'V', OPTION_SWITCH, NULL, 0, 0, false, "print the version"},
    OPTIONS_END,
};

/* The command's own options, then those of every command. */
static struct option_words words_of(const struct arguments *arguments) {
    const struct option *own = arguments->command == NULL ? NULL : arguments->command->options;
    return (struct option_words){.tables = {{own, sizeof *own}, {global_options, sizeof *global_options}},
                                 .program = arguments->program};
}

static bool take_option(void *user, const struct option *option, const char *value, char fault[OPTION_FAULT_BYTES]) {
    struct arguments *arguments = user;
    int64_t number;
    char origin[64];
    snprintf(origin, sizeof origin, "--%s", option->name);
    if (option->type == OPTION_SWITCH && value != NULL) {
        snprintf(fault, OPTION_FAULT_BYTES, "%s takes no value", origin);
        return false;
    }
    arguments->given[arguments->given_count++] = (struct given){option, value};
    return option_read_value(option, origin, value, &number, fault);
}

/* The one command of two words whose second is `word`, such as "experiment trials" of trials; NULL: none or several. */
static const char *pair_of(const char *word) {
    const char *found = NULL;
    for (const struct command *const *command = command_table; *command != NULL; command++) {
        const char *space = strchr((*command)->name, ' ');
        if (space != NULL && strcmp(space + 1, word) == 0) {
            if (found != NULL) {
                return NULL;
            }
            found = (*command)->name;
        }
    }
    return found;
}

static enum status unknown_command(const char *word) {
    const char *names[NAMES_MAX];
    size_t count = 0;
    for (const struct command *const *command = command_table; *command != NULL && count < NAMES_MAX; command++) {
        names[count++] = (*command)->name;
    }
    const char *nearest = pair_of(word);
    nearest = nearest == NULL ? name_nearest(word, names, count) : nearest;
    return nearest == NULL
               ? report_error(STATUS_USAGE, "there is no command \"%s\" (modprop help lists them)", word)
               : report_error(STATUS_USAGE, "there is no command \"%s\"; did you mean %s? (modprop help lists them)",
                              word, nearest);
}

/*
 * The first operand names the command, and the next one may be its second word ("datasets put"). Options in front of it
 * are global ones; they are parsed by the same table, so the command is looked for first.
 */
static enum status command_choose(struct arguments *arguments, int count, char **words, int places[2]) {
    const struct option_words known = words_of(arguments);
    int found = 0;
    for (int i = 0; i < count && found < 2; i++) {
        if (words[i][0] == '-' && words[i][1] != '\0') {
            const char *name = words[i] + 2;
            const struct option *option = words[i][1] == '-'    ? option_find(&known, name, strlen(name))
                                          : words[i][2] == '\0' ? option_find_letter(&known, words[i][1])
                                                                : NULL;
            i += option != NULL && option->type != OPTION_SWITCH;
            continue;
        }
        if (found == 1 && i != places[0] + 1) {
            break;
        }
        places[found++] = i;
    }
    if (found == 0) {
        return STATUS_OK;
    }
    if (found == 2) {
        char *pair = memory_format("%s %s", words[places[0]], words[places[1]]);
        arguments->command = command_find(pair);
        free(pair);
    }
    if (arguments->command == NULL) {
        places[1] = -1;
        arguments->command = command_find(words[places[0]]);
    }
    return arguments->command == NULL ? unknown_command(words[places[0]]) : STATUS_OK;
}

/*
 * The command that a `word` behind `first`, of which it is no second word, may mean: one of that name alone
 * ("experiment export" means export), else of the commands of two words that begin with `first` the one whose second
 * word is nearest. NULL: neither, or no command of two words begins so.
 */
static const char *command_meant(const char *first, const char *word) {
    const char *names[NAMES_MAX];
    size_t count = 0, length = strlen(first);
    for (const struct command *const *command = command_table; *command != NULL && count < NAMES_MAX; command++) {
        if (strncmp((*command)->name, first, length) == 0 && (*command)->name[length] == ' ') {
            names[count++] = (*command)->name + length + 1;
        }
    }
    const char *nearest = name_nearest(word, names, count);
    const struct command *own = count == 0 ? NULL : command_find(word);
    return own != NULL ? own->name : nearest == NULL ? NULL : nearest - length - 1;
}

static enum status count_check(const struct arguments *arguments) {
    const struct command *command = arguments->command;
    int count = (int)arguments->count;
    if (argument_is_set(arguments, "help") || argument_is_set(arguments, "version") ||
        (count >= command->least && (command->most < 0 || count <= command->most))) {
        return STATUS_OK;
    }
    if (count < command->least) {
        return report_error(STATUS_USAGE, "modprop %s needs %s (modprop %s --help)", command->name, command->operands,
                            command->name);
    }
    const char *word = arguments->operands[command->most], *meant = command_meant(command->name, word);
    if (meant != NULL) {
        return report_error(STATUS_USAGE,
                            "there is no command \"%s %s\"; did you mean modprop %s? (modprop help lists them)",
                            command->name, word, meant);
    }
    return report_error(STATUS_USAGE, "modprop %s takes %s%s; \"%s\" is one too many (modprop %s --help)",
                        command->name, command->most == 0 ? "no operands" : "only ",
                        command->most == 0 ? "" : command->operands, word, command->name);
}

enum status arguments_parse(struct arguments *arguments, int count, char **words) {
    int places[2] = {-1, -1};
    *arguments = (struct arguments){0};
    /* "-abc" is three options in one word, so there may be more of them than words. */
    size_t characters = 1;
    for (int i = 0; i < count; i++) {
        characters += strlen(words[i]);
    }
    arguments->given = memory_allocate(characters, sizeof *arguments->given);
    arguments->operands = memory_allocate((size_t)count + 1, sizeof *arguments->operands);
    enum status status = command_choose(arguments, count, words, places);
    snprintf(arguments->program, sizeof arguments->program, "modprop%s%s", arguments->command == NULL ? "" : " ",
             arguments->command == NULL ? "" : arguments->command->name);
    const struct option_words known = words_of(arguments);
    char fault[OPTION_FAULT_BYTES];
    bool options_ended = false;
    for (int i = 0; i < count && status == STATUS_OK;) {
        int used = 1;
        if (i == places[0] || i == places[1]) {
            i++;
            continue;
        }
        if (!options_ended && strcmp(words[i], "--") == 0) {
            options_ended = true;
        } else if (!options_ended && words[i][0] == '-' && words[i][1] != '\0') {
            if (!option_read_word(&known, words + i, count - i, &used, take_option, arguments, fault)) {
                status = report_error(STATUS_USAGE, "%s", fault);
            }
        } else {
            arguments->operands[arguments->count++] = words[i];
        }
        i += used;
    }
    return status != STATUS_OK || arguments->command == NULL ? status : count_check(arguments);
}

void arguments_release(struct arguments *arguments) {
    free(arguments->given);
    free(arguments->operands);
    *arguments = (struct arguments){0};
}

static const struct given *given_find(const struct arguments *arguments, const char *name) {
    for (size_t i = arguments->given_count; i > 0; i--) {
        if (strcmp(arguments->given[i - 1].option->name, name) == 0) {
            return &arguments->given[i - 1];
        }
    }
    return NULL;
}

const char *argument_text(const struct arguments *arguments, const char *name) {
    const struct given *given = given_find(arguments, name);
    return given == NULL ? NULL : given->value;
}

bool argument_is_set(const struct arguments *arguments, const char *name) {
    return given_find(arguments, name) != NULL;
}

long long argument_integer(const struct arguments *arguments, const char *name, long long fallback) {
    const struct given *given = given_find(arguments, name);
    char fault[OPTION_FAULT_BYTES];
    int64_t number;
    return given != NULL && option_read_value(given->option, name, given->value, &number, fault) ? number : fallback;
}

const char *argument_next(const struct arguments *arguments, const char *name, size_t *cursor) {
    while (*cursor < arguments->given_count) {
        const struct given *given = &arguments->given[(*cursor)++];
        if (strcmp(given->option->name, name) == 0) {
            return given->value;
        }
    }
    return NULL;
}
