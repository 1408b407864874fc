/*
 * modprop analyse: an analysis of a trained network, computed by the server. What its types take and give is explained
 * by modprop analyses, from the server's own table; nothing here knows one of them.
 */
#include <stdlib.h>
#include <string.h>

#include "api/text.h"
#include "clients/cli/commands.h"
#include "clients/cli/format.h"
#include "clients/cli/jobs.h"
#include "clients/cli/report.h"
#include "clients/cli/submission.h"
#include "clients/cli/table.h"

extern const struct command command_analyse;

/* The request: the type, the checkpoint, and each --with. The caller frees it. */
static enum status body_make(const struct arguments *arguments, char **body, size_t *size) {
    json_t *document = json_pack("{s:s}", "type", arguments->operands[1]);
    enum status status = document == NULL ? report_error(STATUS_USAGE, "TYPE must be UTF-8") : STATUS_OK;
    size_t cursor = 0;
    for (const char *set; status == STATUS_OK && (set = argument_next(arguments, "with", &cursor)) != NULL;) {
        status = submission_option(document, "with", set);
    }
    if (status == STATUS_OK && argument_is_set(arguments, "iteration")) {
        json_object_set_new(document, "iteration", json_integer(argument_integer(arguments, "iteration", 0)));
    }
    *body = status == STATUS_OK ? json_text(document, size) : NULL;
    json_decref(document);
    return status;
}

/* "step 101 x trial 64 x component 3" */
static void shape_put(struct text *text, const json_t *result) {
    const json_t *axis, *at = json_object_get(result, "values");
    size_t index;
    json_array_foreach(json_object_get(result, "axes"), index, axis) {
        text_printf(text, "%s%s %zu", index == 0 ? "" : " x ", json_string_value(axis), json_array_size(at));
        at = json_array_get(at, 0);
    }
}

/* A line a result: numbers themselves, arrays by their shapes. */
static void results_print(const struct cli *cli, const json_t *answer) {
    static const struct table_column columns[] = {
        {"RESULT", false, true, 0}, {"VALUE", true, false, 0}, {"UNIT", false, false, 0}, {"AXES", false, false, 0}};
    struct table table;
    const char *name;
    json_t *result;
    char number[FORMAT_BYTES];
    table_init(&table, columns, 4);
    json_object_foreach(json_object_get(answer, "results"), name, result) {
        const json_t *value = json_object_get(result, "values");
        const char *unit = json_string_value(json_object_get(result, "unit"));
        struct text shape = {0};
        shape_put(&shape, result);
        table_add(&table, name);
        table_add(&table, json_is_array(value) ? "" : format_number(value, 6, number));
        table_add(&table, unit == NULL ? "" : unit);
        table_add(&table, shape.data == NULL ? "" : shape.data);
        text_release(&shape);
    }
    table_print(&table, &cli->out);
    table_release(&table);
}

static enum status analyse(struct cli *cli) {
    const char *output = argument_text(&cli->arguments, "output");
    struct text bytes = {0};
    json_t *answer = NULL;
    char *id = NULL, *body = NULL;
    size_t size = 0;
    enum status status = body_make(&cli->arguments, &body, &size);
    if (status == STATUS_OK && (status = job_resolve(cli, cli->arguments.operands[0], &id)) == STATUS_OK) {
        char *path = job_path(id, "/analyses");
        const struct http_request request = {
            .method = "POST", .path = path, .type = "application/json", .body = body, .body_size = size};
        status = cli_fetch(cli, &request, "analyse the network", &answer, &bytes);
        free(path);
    }
    if (status == STATUS_OK && output != NULL) {
        status = cli_write(output, bytes.data, bytes.size);
    } else if (status == STATUS_OK && cli->json) {
        cli_print(&bytes);
    }
    if (status == STATUS_OK && !cli->json && (output == NULL || strcmp(output, "-") != 0)) {
        results_print(cli, answer);
    }
    json_decref(answer);
    text_release(&bytes);
    free(id);
    free(body);
    return status;
}

static const struct option options[] = {
    {"output", 'o', OPTION_FILE, "FILE", 0, 0, false, "write the whole answer (JSON) to FILE"},
    {"with", 'w', OPTION_TEXT, "NAME=VALUE", 0, 0, true,
     "a parameter of the analysis, such as trials=16; VALUE is JSON, or else a string"},
    {"iteration", 0, OPTION_INTEGER, "N", 0, 1000000000000, false, "of this checkpoint (default: the newest)"},
    OPTIONS_END,
};

const struct command command_analyse = {
    .name = "analyse",
    .group = "Results",
    .operands = "JOB TYPE",
    .least = 2,
    .most = 2,
    .operand = OPERAND_JOB,
    .summary = "analyse a trained network: dimensionality, selectivity, lesions, ...",
    .description = "modprop analyses lists the types and explains their parameters and results. Prints single numbers "
                   "and the shapes of arrays; the arrays themselves come with --json or --output.",
    .examples = "modprop analyse latest dimensionality --with trials=32 -o space.json\n"
                "modprop analyse latest lesions --with of=units --json\n"
                "modprop analyse latest difficulty --with parameter=delay --with values=[300,700,1100]\n",
    .options = options,
    .run = analyse,
};
