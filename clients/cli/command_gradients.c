/*
 * modprop gradients, simulate and evaluate: a network asked directly, without training.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/text.h"
#include "clients/cli/commands.h"
#include "clients/cli/format.h"
#include "clients/cli/jobs.h"
#include "clients/cli/report.h"
#include "clients/cli/submission.h"
#include "clients/cli/table.h"

extern const struct command command_gradients, command_simulate, command_evaluate;

#define BODY_BYTES_MAX ((size_t)1 << 30)
#define UNIT_MAX 1000000 /* far beyond any network's: the server says how many there are */

/*
 * Sends `body` and writes the answer to --output, or with --json to standard output; *document is for the summary, the
 * caller's.
 */
static enum status ask(struct cli *cli, const char *path, const struct text *body, const char *doing,
                       json_t **document) {
    const char *output = argument_text(&cli->arguments, "output");
    const struct http_request request = {
        .method = "POST", .path = path, .type = "application/json", .body = body->data, .body_size = body->size};
    struct text bytes;
    enum status status = cli_fetch(cli, &request, doing, document, &bytes);
    if (status == STATUS_OK && output != NULL) {
        text_add(&bytes, bytes.size > 0 && bytes.data[bytes.size - 1] != '\n' ? "\n" : "");
        status = cli_write(output, bytes.data, bytes.size);
    } else if (status == STATUS_OK && cli->json) {
        cli_print(&bytes);
    }
    text_release(&bytes);
    return status;
}

/* The summary would stand in the middle of an answer that goes to standard output itself. */
static bool summary_is_wanted(const struct cli *cli) {
    const char *output = argument_text(&cli->arguments, "output");
    return !cli->json && (output == NULL || strcmp(output, "-") != 0);
}

/* The rule object in words: its type, then what else it says. */
static void rule_put(struct text *text, const json_t *rule) {
    const char *name;
    json_t *value;
    text_add(text, job_text(rule, "type"));
    json_object_foreach((json_t *)rule, name, value) {
        if (strcmp(name, "type") != 0) {
            char *dump = value_words(value);
            text_printf(text, " %s %s", name, dump);
            free(dump);
        }
    }
}

static void cosines_print(const struct cli *cli, const json_t *answer) {
    static const char *const parts[] = {"W", "Win", "b", "Wout", "bout", "all"};
    static const struct table_column columns[] = {{"COSINE WITH BPTT", false, true, 0},
                                                  {"W", true, false, 0},
                                                  {"WIN", true, false, 0},
                                                  {"B", true, false, 0},
                                                  {"WOUT", true, false, 0},
                                                  {"BOUT", true, false, 0},
                                                  {"ALL", true, false, 0}};
    struct table table;
    size_t index;
    json_t *item;
    char number[FORMAT_BYTES];
    table_init(&table, columns, 7);
    json_array_foreach(json_object_get(answer, "rules"), index, item) {
        struct text rule = {0};
        rule_put(&rule, json_object_get(item, "rule"));
        table_add(&table, rule.data);
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
            const json_t *cosine = json_object_get(json_object_get(item, "cosine"), parts[i]);
            snprintf(number, sizeof number, "%.4f", json_number_value(cosine));
            table_add(&table, json_is_number(cosine) ? number : "-");
        }
        text_release(&rule);
    }
    printf("loss %s\n\n", format_number(json_object_get(answer, "loss"), 6, number));
    table_print(&table, &cli->out);
    table_release(&table);
}

static enum status gradients(struct cli *cli) {
    struct text body = {0};
    json_t *answer = NULL, *check;
    json_error_t fault;
    const char *file = cli->arguments.operands[0];
    enum status status = file_read_whole(file, BODY_BYTES_MAX, &body);
    if (status == STATUS_OK) {
        /*
         * Sent as it is: parsing here is for the message with a line, which the server's could not relate to the file's
         * name.
         */
        check = json_loadb(body.data == NULL ? "" : body.data, body.size, JSON_REJECT_DUPLICATES, &fault);
        status = check != NULL ? STATUS_OK
                               : report_error(STATUS_USAGE, "%s is not JSON: line %d, column %d: %s", file, fault.line,
                                              fault.column, fault.text);
        json_decref(check);
    }
    if (status == STATUS_OK) {
        status = ask(cli, "/v1/gradients", &body, "compute the gradients", &answer);
    }
    if (status == STATUS_OK && summary_is_wanted(cli)) {
        cosines_print(cli, answer);
    }
    json_decref(answer);
    text_release(&body);
    return status;
}

/* A unit's number at `*at`, which goes on behind it; -1 where there is none. */
static long long unit_parse(const char **at) {
    char *end;
    long long unit = **at >= '0' && **at <= '9' ? strtoll(*at, &end, 10) : -1;
    if (unit < 0 || unit > UNIT_MAX) {
        return -1;
    }
    *at = end;
    return unit;
}

/* "3,0,8-11" as a list. */
static enum status units_parse(const char *option, const char *text, json_t *units) {
    for (const char *at = text;; at++) {
        long long first = unit_parse(&at), last = first;
        if (first >= 0 && *at == '-') {
            at++;
            last = unit_parse(&at);
        }
        if (first < 0 || last < first || (*at != ',' && *at != '\0')) {
            return report_error(
                STATUS_USAGE,
                "--%s must be numbers of units or ranges, the first unit being 0, such as 0,3,8-11; got \"%s\"", option,
                text);
        }
        for (long long unit = first; unit <= last; unit++) {
            json_array_append_new(units, json_integer(unit));
        }
        if (*at == '\0') {
            return STATUS_OK;
        }
    }
}

/* The units of an option, where it was given, as a list under `name` of the document. */
static enum status units_put(const struct cli *cli, const char *option, json_t *document, const char *name) {
    const char *text = argument_text(&cli->arguments, option);
    json_t *list = text == NULL ? NULL : json_array();
    enum status status = text == NULL ? STATUS_OK : units_parse(option, text, list);
    if (list != NULL) {
        json_object_set_new(document, name, list);
    }
    return status;
}

/* What is done to the network, and whose weights and trials it gets. */
static enum status changes_put(struct cli *cli, json_t *document) {
    const char *weights = argument_text(&cli->arguments, "weights"), *noise = argument_text(&cli->arguments, "noise"),
               *dataset = argument_text(&cli->arguments, "dataset");
    json_t *lesion = json_object();
    char *id = NULL, *end = NULL;
    enum status status = units_put(cli, "silence", lesion, "units");
    if (json_object_size(lesion) > 0) {
        json_object_set(document, "lesion", lesion);
    }
    json_decref(lesion);
    if (noise != NULL) {
        double deviation = strtod(noise, &end);
        json_object_set_new(document, "noise", json_real(deviation));
        if (end == noise || *end != '\0' || !isfinite(deviation) || deviation < 0) {
            status = report_error(STATUS_USAGE, "--noise must be a number of at least 0; got \"%s\"", noise);
        }
    }
    if (dataset != NULL) {
        json_object_set_new(document, "dataset", json_pack("{s:s}", "name", dataset));
    }
    if (status == STATUS_OK && weights != NULL && (status = job_resolve(cli, weights, &id)) == STATUS_OK) {
        json_object_set_new(document, "weights", json_pack("{s:s}", "job", id));
    }
    free(id);
    return status;
}

static enum status simulation_make(struct cli *cli, bool shows, struct text *body) {
    static const char *const integers[] = {"trials", "seed", "iteration", "first", "every"};
    const struct arguments *arguments = &cli->arguments;
    json_t *document = json_object();
    for (size_t i = 0; i < sizeof integers / sizeof integers[0] - !shows; i++) {
        if (argument_is_set(arguments, integers[i])) {
            json_object_set_new(document, integers[i], json_integer(argument_integer(arguments, integers[i], 0)));
        }
    }
    if (argument_text(arguments, "split") != NULL) {
        json_object_set_new(document, "split", json_string(argument_text(arguments, "split")));
    } else if (shows && argument_is_set(arguments, "test")) {
        json_object_set_new(document, "split", json_string("test"));
    }
    enum status status = shows ? units_put(cli, "units", document, "units") : STATUS_OK;
    if (status == STATUS_OK) {
        status = changes_put(cli, document);
    }
    if (status == STATUS_OK) {
        size_t size;
        char *text = json_text(document, &size);
        text_append(body, text, size);
        free(text);
    }
    json_decref(document);
    return status;
}

/* What came back, by its shape; the values themselves are for --json. */
static void shapes_print(const json_t *answer) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)answer, name, value) {
        if (!json_is_array(value)) {
            char *text = value_words(value);
            printf("%-12s %.100s\n", terminal_shown(name), terminal_shown(text));
            free(text);
            continue;
        }
        printf("%-12s ", terminal_shown(name));
        for (const json_t *at = value; json_is_array(at); at = json_array_get(at, 0)) {
            printf("%s%zu", at == value ? "" : " x ", json_array_size(at));
        }
        putchar('\n');
    }
}

static enum status network_run(struct cli *cli, bool shows) {
    const char *input = argument_text(&cli->arguments, "input");
    struct text body = {0};
    json_t *answer = NULL;
    char *id;
    enum status status = job_resolve(cli, cli->arguments.operands[0], &id);
    if (status == STATUS_OK) {
        status = input == NULL ? simulation_make(cli, shows, &body) : file_read_whole(input, BODY_BYTES_MAX, &body);
    }
    if (status == STATUS_OK) {
        char *path = job_path(id, shows ? "/simulate" : "/evaluate");
        status = ask(cli, path, &body, shows ? "simulate the network" : "evaluate the network", &answer);
        free(path);
    }
    if (status == STATUS_OK && summary_is_wanted(cli)) {
        shapes_print(answer);
    }
    json_decref(answer);
    text_release(&body);
    free(id);
    return status;
}

static enum status simulate(struct cli *cli) {
    return network_run(cli, true);
}

static enum status evaluate(struct cli *cli) {
    return network_run(cli, false);
}

#define OUTPUT_OPTION {"output", 'o', OPTION_FILE, "FILE", 0, 0, false, "write the whole answer (JSON) to FILE"}

#define CHANGE_OPTIONS                                                                                                 \
    {"seed", 0, OPTION_INTEGER, "N", 0, (1LL << 53) - 1, false, "seed of fresh trials and of noise"},                  \
        {"first", 0, OPTION_INTEGER, "N", 0, 100000000, false, "number of the first trial in its split"},              \
        {"split", 0, OPTION_TEXT, "NAME", 0, 0, false, "fresh trials, or those of the test or training split"},        \
        {"iteration",                                                                                                  \
         0,                                                                                                            \
         OPTION_INTEGER,                                                                                               \
         "N",                                                                                                          \
         0,                                                                                                            \
         1000000000000,                                                                                                \
         false,                                                                                                        \
         "with the weights of this checkpoint (default: the newest)"},                                                 \
        {"weights", 0, OPTION_TEXT, "JOB", 0, 0, false, "with the weights of another job"},                            \
        {"dataset", 0, OPTION_TEXT, "NAME", 0, 0, false, "on the trials of this dataset"},                             \
        {"silence", 0, OPTION_TEXT, "N,N-M,...", 0, 0, false, "units whose rate is held at 0"},                        \
        {"noise", 0, OPTION_TEXT, "X", 0, 0, false, "standard deviation of noise on every unit's input current"},      \
        {"input", 'i', OPTION_FILE, "FILE",                                                                            \
         0,       0,   false,       "the request itself (JSON, - is standard input) instead of the options above"}

static const struct option gradients_options[] = {OUTPUT_OPTION, OPTIONS_END};

static const struct option evaluate_options[] = {
    OUTPUT_OPTION,
    {"trials", 't', OPTION_INTEGER, "N", 1, 100000000, false, "how many trials (default: all of the split)"},
    CHANGE_OPTIONS,
    OPTIONS_END,
};

static const struct option simulate_options[] = {
    OUTPUT_OPTION,
    {"trials", 't', OPTION_INTEGER, "N", 1, 4096, false, "how many trials (default 1)"},
    {"units", 'u', OPTION_TEXT, "N,N-M,...", 0, 0, false,
     "units whose rates are wanted, from 0 (default: ten, of every cell type)"},
    {"every", 'e', OPTION_INTEGER, "N", 1, 1000000, false, "keep the values of every so many steps"},
    {"test", 0, OPTION_SWITCH, NULL, 0, 0, false, "trials of the task's test split"},
    CHANGE_OPTIONS,
    OPTIONS_END,
};

const struct command command_gradients = {
    .name = "gradients",
    .group = "Method",
    .operands = "FILE",
    .least = 1,
    .most = 1,
    .operand = OPERAND_FILE,
    .summary = "gradients of learning rules on a given network and batch",
    .description = "FILE (- is standard input) holds a JSON object with network, inputs, targets, mask, loss and "
                   "rules. Prints the loss "
                   "and the cosine of every "
                   "rule's gradient with that of bptt; the gradients themselves come with --json or --output.",
    .examples = "modprop gradients case.json\nmodprop gradients case.json -o gradients.json\n",
    .options = gradients_options,
    .run = gradients,
};

const struct command command_simulate = {
    .name = "simulate",
    .group = "Results",
    .operands = "JOB",
    .least = 1,
    .most = 1,
    .operand = OPERAND_JOB,
    .summary = "run a trained network on fresh trials",
    .description = "Runs the job's network and gives inputs, rates of the chosen units, outputs, targets and mask, as "
                   "JSON with --json or --output; else only their shapes.",
    .examples = "modprop simulate latest --trials 4 --units 0,60 -o activity.json\n"
                "modprop simulate latest --silence 0-3 --noise 0.1 --json\n",
    .options = simulate_options,
    .run = simulate,
};

const struct command command_evaluate = {
    .name = "evaluate",
    .group = "Results",
    .operands = "JOB",
    .least = 1,
    .most = 1,
    .operand = OPERAND_JOB,
    .summary = "loss and accuracy of a trained network",
    .description = "Runs the job's network on its test split, or its training split, or fresh trials: whichever the "
                   "task has first. With other weights, another dataset, silenced units or noise where they are given.",
    .examples = "modprop evaluate latest\nmodprop evaluate latest --dataset mine --noise 0.1\n",
    .options = evaluate_options,
    .run = evaluate,
};
