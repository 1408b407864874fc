/*
 * modprop completion (the scripts for shells) and modprop complete (what they call).
 *
 * The scripts know nothing: at every Tab they hand the words so far to `modprop complete`, which answers a candidate a
 * line, a tab, and its meaning; the line ":files" asks the shell to offer files as well. So all that can be completed
 * is known in one place, the tables, and jobs, datasets, tasks and rules come from the server itself.
 */
#include <stdlib.h>
#include <string.h>

#include "clients/cli/commands.h"
#include "clients/cli/format.h"
#include "clients/cli/jobs.h"
#include "clients/cli/report.h"

extern const struct command command_completion, command_complete;

#define SERVER_SECONDS 2

static const char bash_script[] =
    "# modprop: completion for bash. Install as /usr/share/bash-completion/completions/modprop, or: eval \"$(modprop "
    "completion bash)\"\n"
    "_modprop() {\n"
    "    local current=${COMP_WORDS[COMP_CWORD]} line\n"
    "    [[ $current == '=' ]] && current=\n"
    "    COMPREPLY=()\n"
    "    while IFS= read -r line; do\n"
    "        if [[ $line == :files ]]; then\n"
    "            compopt -o filenames 2>/dev/null\n"
    "            while IFS= read -r line; do COMPREPLY+=(\"$line\"); done < <(compgen -f -- \"$current\")\n"
    "        else\n"
    "            COMPREPLY+=(\"${line%%$'\\t'*}\")\n"
    "            [[ ${line%%$'\\t'*} == *= ]] && compopt -o nospace 2>/dev/null\n"
    "        fi\n"
    "    done < <(\"${COMP_WORDS[0]}\" complete -- \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)\n"
    "}\n"
    "complete -F _modprop modprop\n";

static const char zsh_script[] =
    "#compdef modprop\n"
    "# modprop: completion for zsh. Install as _modprop in a directory of $fpath, or: eval \"$(modprop completion "
    "zsh)\"\n"
    "_modprop() {\n"
    "    local -a lines candidates prefixes\n"
    "    local line files=\n"
    "    lines=(\"${(@f)$(${(Q)words[1]} complete -- \"${(@Q)words[2,CURRENT]}\" 2>/dev/null)}\")\n"
    "    for line in $lines; do\n"
    "        if [[ $line == :files ]]; then\n"
    "            files=1\n"
    "        elif [[ ${line%%$'\\t'*} == *= ]]; then\n"
    "            prefixes+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\")\n"
    "        else\n"
    "            candidates+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\")\n"
    "        fi\n"
    "    done\n"
    "    (( $#candidates )) && _describe -V modprop candidates\n"
    "    (( $#prefixes )) && _describe -V modprop prefixes -S ''\n"
    "    [[ -n $files ]] && _files\n"
    "}\n"
    "if [[ $funcstack[1] == _modprop ]]; then _modprop \"$@\"; else compdef _modprop modprop; fi\n";

static const char fish_script[] = "# modprop: completion for fish. Install as vendor_completions.d/modprop.fish, or: "
                                  "modprop completion fish | source\n"
                                  "function __modprop_complete\n"
                                  "    set -l words (commandline -opc)\n"
                                  "    set -l token (commandline -ct)\n"
                                  "    for line in ($words[1] complete -- $words[2..-1] \"$token\" 2>/dev/null)\n"
                                  "        if test \"$line\" = :files\n"
                                  "            __fish_complete_path \"$token\"\n"
                                  "        else\n"
                                  "            echo $line\n"
                                  "        end\n"
                                  "    end\n"
                                  "end\n"
                                  "complete -c modprop -f -k -a '(__modprop_complete)'\n";

static enum status completion(struct cli *cli) {
    static const struct {
        const char *shell, *script;
    } scripts[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        if (strcmp(scripts[i].shell, cli->arguments.operands[0]) == 0) {
            fputs(scripts[i].script, stdout);
            return STATUS_OK;
        }
    }
    return report_error(STATUS_USAGE, "SHELL must be bash, zsh or fish; got \"%s\"", cli->arguments.operands[0]);
}

/* ---- complete ---- */

/* What is being completed: candidates are shown behind `before` ("--option=") and must begin with `part`. */
struct request {
    struct cli *cli;
    const char *part;
    char *before;
};

static void offer(const struct request *request, const char *word, const char *meaning) {
    if (strncmp(word, request->part, strlen(request->part)) == 0) {
        printf("%s%s\t%s\n", request->before == NULL ? "" : request->before, terminal_shown(word),
               terminal_shown(meaning));
    }
}

/* A document of the server's, the caller's; NULL where it does not come soon: a Tab must not hang. */
static json_t *document_ask(const struct request *request, const char *path) {
    json_t *document;
    struct settings *settings = &request->cli->settings;
    if (settings->server.value == NULL && settings_read(settings, &request->cli->arguments) != STATUS_OK) {
        return NULL;
    }
    settings->timeout = SERVER_SECONDS;
    return cli_get(request->cli, path, "complete", &document) == STATUS_OK ? document : NULL;
}

/* Items of a list that the server has, by one member, explained by another. */
static void offer_list(const struct request *request, const char *path, const char *list, const char *name,
                       const char *meaning) {
    json_t *document = document_ask(request, path), *item;
    size_t index;
    json_array_foreach(json_object_get(document, list), index, item) {
        offer(request, job_text(item, name), meaning == NULL ? "" : job_text(item, meaning));
    }
    json_decref(document);
}

static void offer_jobs(const struct request *request) {
    json_t *document, *job;
    size_t index;
    offer(request, "latest", "the newest job");
    document = document_ask(request, "/v1/jobs?limit=50");
    json_array_foreach(json_object_get(document, "jobs"), index, job) {
        struct text meaning = {0};
        char task[JOB_TASK_BYTES];
        const char *name = json_string_value(json_object_get(job, "name"));
        text_printf(&meaning, "%s%s%s %s ", name == NULL ? "" : name, name == NULL ? "" : " ", job_status(job),
                    job_task(job, task));
        job_rule_put(&meaning, job);
        offer(request, job_text(job, "id"), meaning.data);
        text_release(&meaning);
    }
    json_decref(document);
}

/* "section.name=" for each parameter that `seen` does not have yet. */
static void offer_parameters(const struct request *request, const char *section, const json_t *parameters,
                             json_t *seen) {
    const char *name;
    json_t *parameter;
    json_object_foreach((json_t *)parameters, name, parameter) {
        char *word = memory_format("%s.%s=", section, name);
        if (json_object_get(seen, word) == NULL) {
            json_object_set_new(seen, word, json_true());
            offer(request, word, job_text(parameter, "description"));
        }
        free(word);
    }
}

/* What --set takes: the parameters of all tasks, rules and neuron models. */
static void offer_paths(const struct request *request) {
    json_t *tasks = document_ask(request, "/v1/tasks"), *rules = document_ask(request, "/v1/rules"),
           *neurons = document_ask(request, "/v1/neurons");
    json_t *seen = json_object(), *item, *parameters;
    const char *section;
    size_t index;
    json_array_foreach(json_object_get(tasks, "tasks"), index, item) {
        offer_parameters(request, "task", json_object_get(item, "parameters"), seen);
        json_object_foreach(json_object_get(item, "defaults"), section, parameters) {
            offer_parameters(request, section, parameters, seen);
        }
    }
    json_array_foreach(json_object_get(rules, "rules"), index, item) {
        offer_parameters(request, "rule", json_object_get(item, "parameters"), seen);
    }
    json_array_foreach(json_object_get(neurons, "neurons"), index, item) {
        offer_parameters(request, "network", json_object_get(item, "parameters"), seen);
    }
    json_decref(seen);
    json_decref(neurons);
    json_decref(rules);
    json_decref(tasks);
}

/* The parameter `name` of any of a list's items; NULL. */
static const json_t *listed_find(const json_t *list, const char *name) {
    const json_t *found = NULL;
    json_t *item;
    size_t index;
    json_array_foreach((json_t *)list, index, item) {
        found = found != NULL ? found : json_object_get(json_object_get(item, "parameters"), name);
    }
    return found;
}

/* The parameter `path` ("rule.mu") of any task, rule or neuron model; NULL. */
static const json_t *parameter_find(const json_t *tasks, const json_t *rules, const json_t *neurons, const char *path) {
    const char *name = strchr(path, '.');
    size_t index, length = name == NULL ? 0 : (size_t)(name - path);
    json_t *item;
    if (name == NULL) {
        return NULL;
    }
    name++;
    json_array_foreach(json_object_get(tasks, "tasks"), index, item) {
        const json_t *own = strncmp(path, "task.", 5) == 0 ? json_object_get(item, "parameters") : NULL;
        const json_t *found = json_object_get(
            own != NULL ? own : json_object_getn(json_object_get(item, "defaults"), path, length), name);
        if (found != NULL) {
            return found;
        }
    }
    return strncmp(path, "rule.", 5) == 0      ? listed_find(json_object_get(rules, "rules"), name)
           : strncmp(path, "network.", 8) == 0 ? listed_find(json_object_get(neurons, "neurons"), name)
                                               : NULL;
}

/* What a field of --set may be: its choices, or its default as an example. */
static void offer_field_values(const struct request *request, const char *path) {
    json_t *tasks = document_ask(request, "/v1/tasks"), *rules = document_ask(request, "/v1/rules"),
           *neurons = document_ask(request, "/v1/neurons"), *choice;
    const json_t *parameter = parameter_find(tasks, rules, neurons, path),
                 *usual = json_object_get(parameter, "default");
    char *text = usual == NULL ? memory_copy("") : value_words(usual);
    size_t index;
    if (strcmp(path, "task.type") == 0 || strcmp(path, "rule.type") == 0) {
        bool is_task = path[0] == 't';
        json_array_foreach(json_object_get(is_task ? tasks : rules, is_task ? "tasks" : "rules"), index, choice) {
            offer(request, job_text(choice, "type"), job_text(choice, "description"));
        }
    }
    json_array_foreach(json_object_get(parameter, "choices"), index, choice) {
        const char *word = json_string_value(choice);
        offer(request, word, strcmp(word, text) == 0 ? "the default" : "");
    }
    if (json_is_boolean(usual)) {
        offer(request, "true", json_is_true(usual) ? "the default" : "");
        offer(request, "false", json_is_true(usual) ? "" : "the default");
    } else if (parameter != NULL && usual != NULL && json_object_get(parameter, "choices") == NULL) {
        offer(request, text, "the default");
    }
    free(text);
    json_decref(neurons);
    json_decref(rules);
    json_decref(tasks);
}

/* PATH=VALUE: paths, and behind the sign values. */
static void offer_setting(struct request *request) {
    const char *equals = strchr(request->part, '=');
    if (equals == NULL) {
        offer_paths(request);
        return;
    }
    char *path = memory_format("%.*s", (int)(equals - request->part), request->part);
    char *before = memory_format("%s%s=", request->before == NULL ? "" : request->before, path);
    free(request->before);
    request->before = before;
    request->part = equals + 1;
    offer_field_values(request, path);
    free(path);
}

static void offer_commands(const struct request *request) {
    for (const struct command *const *command = command_table; *command != NULL; command++) {
        if (strchr((*command)->name, ' ') == NULL && (*command)->group != NULL) {
            offer(request, (*command)->name, (*command)->summary);
        }
    }
}

/* The second words of commands of two. */
static void offer_second_words(const struct request *request, const char *first) {
    size_t length = strlen(first);
    for (const struct command *const *command = command_table; *command != NULL; command++) {
        if (strncmp((*command)->name, first, length) == 0 && (*command)->name[length] == ' ') {
            offer(request, (*command)->name + length + 1, (*command)->summary);
        }
    }
}

static void offer_operand(const struct request *request, enum operand operand) {
    switch (operand) {
    case OPERAND_JOB:
        offer_jobs(request);
        break;
    case OPERAND_FILE:
        puts(":files");
        break;
    case OPERAND_DATASET:
        offer_list(request, "/v1/datasets", "datasets", "name", NULL);
        break;
    case OPERAND_TASK:
        offer_list(request, "/v1/tasks", "tasks", "type", "description");
        break;
    case OPERAND_RULE:
        offer_list(request, "/v1/rules", "rules", "type", "description");
        break;
    case OPERAND_NEURON:
        offer_list(request, "/v1/neurons", "neurons", "type", "description");
        break;
    case OPERAND_ANALYSIS:
        offer_list(request, "/v1/analyses", "analyses", "type", "description");
        break;
    case OPERAND_EXPERIMENT:
        offer(request, "latest", "the newest experiment");
        offer_list(request, "/v1/experiments?limit=50", "experiments", "id", "name");
        break;
    case OPERAND_COMMAND:
        offer_commands(request);
        break;
    case OPERAND_SHELL:
        offer(request, "bash", "");
        offer(request, "zsh", "");
        offer(request, "fish", "");
        break;
    case OPERAND_NONE:
        break;
    }
}

static void offer_choices(const struct request *request, const char *choices) {
    char *copy = memory_copy(choices), *rest = copy;
    for (const char *choice; (choice = strsep(&rest, "|")) != NULL;) {
        offer(request, choice, "");
    }
    free(copy);
}

static void offer_value(struct request *request, const struct option *option) {
    if (option->type == OPTION_CHOICE) {
        offer_choices(request, option->value);
    } else if (option->type == OPTION_FILE) {
        puts(":files");
    } else if (strcmp(option->name, "from") == 0) {
        offer_jobs(request);
    } else if (strcmp(option->name, "set") == 0) {
        offer_setting(request);
    } else if (strcmp(option->name, "task") == 0 || strcmp(option->name, "rule") == 0) {
        offer_operand(request, strcmp(option->name, "task") == 0 ? OPERAND_TASK : OPERAND_RULE);
    }
}

static void offer_options(const struct request *request, const struct command *command) {
    const struct option *tables[2] = {command == NULL ? NULL : command->options, global_options};
    for (int table = 0; table < 2; table++) {
        for (const struct option *option = tables[table]; option != NULL && option->name != NULL; option++) {
            char *word = memory_format("--%s", option->name);
            offer(request, word, option->doc);
            free(word);
        }
    }
}

/* The option that `word` names ("--name", "-n"), NULL where it names none. */
static const struct option *option_named(const struct command *command, const char *word) {
    const struct option *tables[2] = {command == NULL ? NULL : command->options, global_options};
    for (int table = 0; table < 2 && word[0] == '-'; table++) {
        for (const struct option *option = tables[table]; option != NULL && option->name != NULL; option++) {
            bool is_long = word[1] == '-' && strcmp(word + 2, option->name) == 0;
            if (is_long || (option->letter != 0 && word[1] == option->letter && word[2] == '\0')) {
                return option;
            }
        }
    }
    return NULL;
}

/* What the words before the cursor say. */
struct context {
    const struct command *command;
    const char *first;             /* the first operand, while it may still become a command of two words */
    const struct option *expected; /* whose value comes next; NULL: none's */
};

static struct context context_read(const char **words, size_t count) {
    struct context context = {0};
    for (size_t i = 0; i < count; i++) {
        if (strcmp(words[i], "=") == 0) {
            continue; /* bash divides --name=value into three words */
        }
        if (context.expected != NULL) {
            context.expected = NULL;
        } else if (words[i][0] == '-') {
            const struct option *option = option_named(context.command, words[i]);
            context.expected = option != NULL && option->type != OPTION_SWITCH ? option : NULL;
        } else if (context.first == NULL) {
            context.first = words[i];
            context.command = command_find(words[i]);
        } else {
            char *pair = memory_format("%s %s", context.first, words[i]);
            const struct command *command = command_find(pair);
            context.command = command != NULL ? command : context.command;
            context.first = "";
            free(pair);
        }
    }
    return context;
}

/*
 * bash divides --set rule.weights=ce into --set, rule.weights, = and ce: the path where the last word is a value so
 * divided, NULL where it is none.
 */
static const char *divided_path(const char **words, size_t count) {
    size_t sign = count > 0 && strcmp(words[count - 1], "=") == 0 ? count - 1 : count - 2;
    if (count < 3 || sign < 2 || strcmp(words[sign], "=") != 0) {
        return NULL;
    }
    size_t option = sign - 2;
    option -= option > 0 && strcmp(words[option], "=") == 0;
    return strcmp(words[option], "--set") == 0 ? words[sign - 1] : NULL;
}

static enum status complete(struct cli *cli) {
    const char **words = cli->arguments.operands;
    size_t count = cli->arguments.count;
    if (count == 0) {
        return STATUS_OK;
    }
    struct context context = context_read(words, count - 1);
    struct request request = {.cli = cli, .part = words[count - 1]};
    const char *equals = strncmp(request.part, "--", 2) == 0 ? strchr(request.part, '=') : NULL;
    if (strcmp(request.part, "=") == 0) {
        request.part = "";
    }
    const char *path = divided_path(words, count);
    if (path != NULL) {
        offer_field_values(&request, path);
        return STATUS_OK;
    }
    if (equals != NULL) {
        char *name = memory_format("%.*s", (int)(equals - request.part), request.part);
        context.expected = option_named(context.command, name);
        request.before = memory_format("%s=", name);
        request.part = equals + 1;
        free(name);
    }
    if (context.expected != NULL) {
        offer_value(&request, context.expected);
    } else if (equals == NULL && request.part[0] == '-' && request.part[1] != '\0') {
        offer_options(&request, context.command);
    } else if (context.first == NULL) {
        offer_commands(&request);
    } else {
        offer_second_words(&request, context.first);
        offer_operand(&request, context.command == NULL ? OPERAND_NONE : context.command->operand);
    }
    free(request.before);
    return STATUS_OK;
}

const struct command command_completion = {
    .name = "completion",
    .group = "Program",
    .operands = "bash|zsh|fish",
    .least = 1,
    .most = 1,
    .operand = OPERAND_SHELL,
    .offline = true,
    .summary = "print the script that completes words in a shell",
    .description =
        "Completes commands, options, files, and, with the server's help, jobs, datasets, tasks, rules and what "
        "--set takes, names and values.",
    .examples = "eval \"$(modprop completion bash)\"\n",
    .run = completion,
};

const struct command command_complete = {
    .name = "complete",
    .operands = "-- WORD...",
    .least = 0,
    .most = -1,
    .offline = true,
    .summary = "candidates for the last word (what completion scripts call)",
    .description = "Prints one candidate per line, with a tab and its meaning; the line :files requests files too.",
    .run = complete,
};
