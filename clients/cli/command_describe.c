/*
 * modprop tasks, rules, neurons and analyses: what can be trained and analysed and how, from the server's own tables.
 */
#include <stdlib.h>
#include <string.h>

#include "api/problem.h"
#include "api/text.h"
#include "clients/cli/commands.h"
#include "clients/cli/format.h"
#include "clients/cli/jobs.h"
#include "clients/cli/report.h"

extern const struct command command_tasks, command_rules, command_neurons, command_analyses;

#define NAMES_MAX 64

/* A sentence of the server's, indented. */
static void sentence_print(const struct cli *cli, const char *sentence, int indent) {
    struct text clean = {0};
    terminal_clean(&clean, sentence, false);
    printf("%*s", indent, "");
    terminal_wrap(&cli->out, clean.data == NULL ? "" : clean.data, indent);
    text_release(&clean);
}

static void bounds_put(struct text *text, const json_t *schema) {
    const json_t *low = json_object_get(schema, "minimum"), *above = json_object_get(schema, "exclusiveMinimum"),
                 *high = json_object_get(schema, "maximum");
    const json_t *least = low != NULL ? low : above;
    if (json_is_number(least)) {
        text_printf(text, "%s %.10g",
                    low == NULL    ? " above"
                    : high != NULL ? " from"
                                   : " of at least",
                    json_number_value(least));
    }
    if (json_is_number(high)) {
        text_printf(text, "%s %.10g", least == NULL ? " up to" : " to", json_number_value(high));
    }
}

/*
 * A parameter of its own kind, from its JSON Schema: the alternatives, each with its bounds; objects by the names of
 * their members.
 */
static void schema_put(struct text *text, const json_t *schema) {
    const json_t *alternatives = json_object_get(schema, "oneOf"), *constant = json_object_get(schema, "const"),
                 *type = json_object_get(schema, "type");
    const char *name;
    json_t *item;
    size_t index;
    json_array_foreach((json_t *)alternatives, index, item) {
        text_add(text, index > 0 ? " | " : "");
        schema_put(text, item);
    }
    text_add(text, json_is_string(constant) ? json_string_value(constant) : "");
    json_array_foreach((json_t *)type, index, item) {
        text_printf(text, "%s%s", index > 0 ? " | " : "", json_is_string(item) ? json_string_value(item) : "?");
    }
    text_add(text, json_is_string(type) ? json_string_value(type) : "");
    bounds_put(text, schema);
    const char *before = " with ";
    json_object_foreach(json_object_get(schema, "properties"), name, item) {
        text_printf(text, "%s%s", before, name);
        before = ", ";
    }
}

/* "a|b|c", "number from 0 to 1 ms", or what a schema says. */
static void range_put(struct text *text, const json_t *parameter) {
    const json_t *choice, *choices = json_object_get(parameter, "choices"),
                          *schema = json_object_get(parameter, "schema");
    const char *unit = json_string_value(json_object_get(parameter, "unit"));
    size_t index;
    json_array_foreach((json_t *)choices, index, choice) {
        text_printf(text, "%s%s", index > 0 ? " | " : "",
                    json_string_value(choice) == NULL ? "null" : json_string_value(choice));
    }
    if (json_array_size(choices) > 0) {
        return;
    }
    if (schema != NULL) {
        schema_put(text, schema);
    } else {
        text_add(text, job_text(parameter, "type"));
        bounds_put(text, parameter);
    }
    text_printf(text, "%s%s", unit == NULL ? "" : " ", unit == NULL ? "" : unit);
    text_add(text, json_is_true(json_object_get(parameter, "nullable")) ? ", or null" : "");
}

static void parameter_print(const struct cli *cli, const char *prefix, const char *name, const json_t *parameter) {
    const json_t *value = json_object_get(parameter, "default");
    char *fallback = value == NULL ? NULL : value_words(value);
    struct text line = {0};
    range_put(&line, parameter);
    printf("  %s%s%s%s%s = %s  (%s)\n", terminal_paint(&cli->out, PAINT_BOLD), terminal_shown(prefix),
           *prefix == '\0' ? "" : ".", terminal_shown(name), terminal_paint(&cli->out, PAINT_NONE),
           terminal_shown(fallback == NULL ? "required" : fallback), terminal_shown(line.data));
    if (json_is_string(json_object_get(parameter, "description"))) {
        sentence_print(cli, job_text(parameter, "description"), 6);
    }
    text_release(&line);
    free(fallback);
}

static void parameters_print(const struct cli *cli, const char *prefix, const json_t *parameters) {
    const char *name;
    json_t *parameter;
    json_object_foreach((json_t *)parameters, name, parameter) {
        parameter_print(cli, prefix, name, parameter);
    }
}

/* "recommended for PURPOSE: --set rule.mu=0.25 ..." and what was measured. */
static void recommended_print(const struct cli *cli, const json_t *recommended) {
    size_t index;
    json_t *one, *section, *value;
    const char *object, *name;
    json_array_foreach((json_t *)recommended, index, one) {
        struct text line = {0};
        json_object_foreach(json_object_get(one, "settings"), object, section) {
            json_object_foreach(section, name, value) {
                char *words = value_words(value);
                text_printf(&line, " --set %s.%s=%s", object, name, words == NULL ? "" : words);
                free(words);
            }
        }
        printf("  %srecommended for %s:%s%s\n", terminal_paint(&cli->out, PAINT_BOLD),
               terminal_shown(job_text(one, "for")), terminal_paint(&cli->out, PAINT_NONE), terminal_shown(line.data));
        sentence_print(cli, job_text(one, "evidence"), 6);
        text_release(&line);
    }
}

/* The results of an analysis, each with its axes. */
static void results_print(const struct cli *cli, const json_t *results) {
    const char *name;
    json_t *result, *axis;
    size_t index;
    json_object_foreach((json_t *)results, name, result) {
        printf("  gives %s%s%s (", terminal_paint(&cli->out, PAINT_BOLD), terminal_shown(name),
               terminal_paint(&cli->out, PAINT_NONE));
        json_array_foreach(json_object_get(result, "axes"), index, axis) {
            const char *text = json_string_value(axis);
            printf("%s%s", index == 0 ? "" : ", ", terminal_shown(text == NULL ? "" : text));
        }
        printf(")\n");
        sentence_print(cli, job_text(result, "description"), 6);
    }
}

/*
 * One task, rule, neuron model or analysis in full. `object` is its place in a job: "task", "rule" or "network"; "": it
 * has none.
 */
static void item_print(const struct cli *cli, const char *object, const json_t *item) {
    const char *name;
    json_t *section;
    printf("%s%s%s\n", terminal_paint(&cli->out, PAINT_BOLD), terminal_shown(job_text(item, "type")),
           terminal_paint(&cli->out, PAINT_NONE));
    sentence_print(cli, job_text(item, "description"), 2);
    parameters_print(cli, object, json_object_get(item, "parameters"));
    json_object_foreach(json_object_get(item, "defaults"), name, section) {
        parameters_print(cli, name, section);
    }
    recommended_print(cli, json_object_get(item, "recommended"));
    results_print(cli, json_object_get(item, "results"));
}

/* The list: name and meaning. */
static void list_print(const struct cli *cli, const json_t *items, const char *plural) {
    size_t index;
    json_t *item;
    json_array_foreach((json_t *)items, index, item) {
        printf("%s%s%s\n", terminal_paint(&cli->out, PAINT_BOLD), terminal_shown(job_text(item, "type")),
               terminal_paint(&cli->out, PAINT_NONE));
        sentence_print(cli, job_text(item, "description"), 4);
    }
    if (cli->out.is_terminal) {
        printf("\nmodprop %s TYPE explains the parameters of one.\n", plural);
    }
}

/* A table of the server's: its name, that of one entry, and the entry's place in a job. */
struct described {
    const char *plural, *singular, *object;
};

static enum status one_print(const struct cli *cli, const json_t *items, const struct described *what,
                             const char *type) {
    const char *names[NAMES_MAX];
    size_t count = 0, index;
    json_t *item;
    json_array_foreach((json_t *)items, index, item) {
        const char *name = job_text(item, "type");
        if (strcmp(name, type) == 0) {
            if (cli->json) {
                cli_print_json(item);
            } else {
                item_print(cli, what->object, item);
            }
            return STATUS_OK;
        }
        if (count < NAMES_MAX) {
            names[count++] = name;
        }
    }
    const char *nearest = name_nearest(type, names, count);
    return report_error(STATUS_USAGE, "there is no %s \"%s\"%s%s%s (modprop %s lists them)", what->singular, type,
                        nearest == NULL ? "" : "; did you mean ", nearest == NULL ? "" : nearest,
                        nearest == NULL ? "" : "?", what->plural);
}

static enum status describe(struct cli *cli, const struct described *what) {
    const char *plural = what->plural;
    char *path = memory_format("/v1/%s", plural), *doing = memory_format("list the %s", plural);
    json_t *document;
    struct text body;
    enum status status = cli_fetch(cli, &(const struct http_request){.path = path}, doing, &document, &body);
    const json_t *items = json_object_get(document, plural);
    if (status == STATUS_OK && cli->arguments.count == 1) {
        status = one_print(cli, items, what, cli->arguments.operands[0]);
    } else if (status == STATUS_OK && cli->json) {
        cli_print(&body);
    } else if (status == STATUS_OK) {
        list_print(cli, items, plural);
    }
    json_decref(document);
    text_release(&body);
    free(path);
    free(doing);
    return status;
}

static enum status tasks(struct cli *cli) {
    return describe(cli, &(const struct described){"tasks", "task", "task"});
}

static enum status rules(struct cli *cli) {
    return describe(cli, &(const struct described){"rules", "rule", "rule"});
}

static enum status neurons(struct cli *cli) {
    return describe(cli, &(const struct described){"neurons", "neuron", "network"});
}

static enum status analyses(struct cli *cli) {
    return describe(cli, &(const struct described){"analyses", "analysis", ""});
}

const struct command command_tasks = {
    .name = "tasks",
    .group = "Method",
    .operands = "[TYPE]",
    .least = 0,
    .most = 1,
    .operand = OPERAND_TASK,
    .summary = "list the tasks, or explain one with all its parameters",
    .description = "Every parameter is shown as --set takes it, with its default, range, unit and meaning; the "
                   "defaults of network, "
                   "optimizer and training are "
                   "those of the task.",
    .examples = "modprop tasks\nmodprop tasks delayed_xor\n",
    .run = tasks,
};

const struct command command_rules = {
    .name = "rules",
    .group = "Method",
    .operands = "[TYPE]",
    .least = 0,
    .most = 1,
    .operand = OPERAND_RULE,
    .summary = "list the learning rules, or explain one with all its parameters",
    .description = "Every parameter is shown as --set takes it, with its default, range, unit and meaning.",
    .examples = "modprop rules\nmodprop rules modprop\n",
    .run = rules,
};

const struct command command_neurons = {
    .name = "neurons",
    .group = "Method",
    .operands = "[TYPE]",
    .least = 0,
    .most = 1,
    .operand = OPERAND_NEURON,
    .summary = "list the neuron models, or explain one with all its parameters",
    .description = "A model is chosen with --set network.model=TYPE. Every parameter of its network is shown as --set "
                   "takes it, with its default, range, unit and meaning, and so are the rule's defaults with it.",
    .examples = "modprop neurons\nmodprop neurons alif\n",
    .run = neurons,
};

const struct command command_analyses = {
    .name = "analyses",
    .group = "Method",
    .operands = "[TYPE]",
    .least = 0,
    .most = 1,
    .operand = OPERAND_ANALYSIS,
    .summary = "list the analyses, or explain one with its parameters and results",
    .description = "Every parameter is shown as modprop analyse --with takes it, with its default, range, unit and "
                   "meaning; every result with its axes.",
    .examples = "modprop analyses\nmodprop analyses timescales\n",
    .run = analyses,
};
