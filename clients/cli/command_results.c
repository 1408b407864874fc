/*
 * modprop metrics, weights, spectrum and checkpoints: what a job left, copied out.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clients/cli/commands.h"
#include "clients/cli/format.h"
#include "clients/cli/jobs.h"
#include "clients/cli/report.h"
#include "clients/cli/table.h"

extern const struct command command_metrics, command_weights, command_spectrum, command_checkpoints;

/* Six digits are what a person reads; a pipe gets all of them. */
#define TERMINAL_DIGITS 6

/* The lists of the document at `path`, a column each. `begin` (may be NULL) prints what stands above them. */
static enum status lists_table(struct cli *cli, const char *path, const char *action,
                               void (*begin)(const json_t *document)) {
    struct table_column columns[TABLE_COLUMNS_MAX];
    const json_t *lists[TABLE_COLUMNS_MAX];
    const char *name;
    json_t *document, *values;
    int count = 0;
    char number[FORMAT_BYTES];
    enum status status = cli_get(cli, path, action, &document);
    json_object_foreach(document, name, values) {
        if (json_is_array(values) && count < TABLE_COLUMNS_MAX) {
            columns[count] = (struct table_column){.heading = name, .right = true, .spare = count};
            lists[count++] = values;
        }
    }
    if (status == STATUS_OK && count > 0) {
        struct table table;
        if (begin != NULL) {
            begin(document);
        }
        table_init(&table, columns, count);
        for (size_t row = 0; row < json_array_size(lists[0]); row++) {
            for (int c = 0; c < count; c++) {
                table_add(&table, format_number(json_array_get(lists[c], row), TERMINAL_DIGITS, number));
            }
        }
        table_print(&table, &cli->out);
        table_release(&table);
    }
    json_decref(document);
    return status;
}

/* A table on a terminal; otherwise, or into a file, CSV, or with --json the document itself. */
static enum status lists_show(struct cli *cli, const char *path, const char *action,
                              void (*begin)(const json_t *document)) {
    bool is_shown = cli->out.is_terminal && !cli->json && argument_text(&cli->arguments, "output") == NULL;
    return is_shown ? lists_table(cli, path, action, begin)
                    : cli_copy(cli, path, cli->json ? "application/json" : "text/csv", action);
}

static enum status metrics(struct cli *cli) {
    const struct arguments *arguments = &cli->arguments;
    const char *keys = argument_text(arguments, "keys");
    long long points = argument_integer(arguments, "points", 0);
    char *id;
    enum status status = job_resolve(cli, arguments->operands[0], &id);
    if (status == STATUS_OK) {
        struct text query = {0};
        text_add(&query, "/metrics");
        if (points > 0) {
            text_printf(&query, "?points=%lld", points);
        }
        if (keys != NULL) {
            char *escaped = http_escape(keys);
            text_printf(&query, "%skeys=%s", points > 0 ? "&" : "?", escaped);
            free(escaped);
        }
        char *path = job_path(id, query.data);
        status = lists_show(cli, path, "read the metrics", NULL);
        free(path);
        text_release(&query);
    }
    free(id);
    return status;
}

/* Said by --format, else by the file's name, else JSON. */
static bool wants_safetensors(const struct arguments *arguments) {
    const char *format = argument_text(arguments, "format"), *output = argument_text(arguments, "output");
    return format != NULL ? strcmp(format, "safetensors") == 0 : output != NULL && ends_with(output, ".safetensors");
}

/* Whether the name of the file, which alone says what is written, ends in what neither format does. */
static bool names_another_format(const struct arguments *arguments) {
    const char *output = argument_text(arguments, "output"), *slash = output == NULL ? NULL : strrchr(output, '/'),
               *file = slash == NULL ? output : slash + 1;
    return file != NULL && argument_text(arguments, "format") == NULL && strchr(file, '.') != NULL &&
           !ends_with(file, ".json");
}

static enum status weights(struct cli *cli) {
    const struct arguments *arguments = &cli->arguments;
    const char *output = argument_text(arguments, "output"), *iteration = argument_text(arguments, "iteration");
    bool safetensors = wants_safetensors(arguments);
    if (safetensors && cli->json) {
        return report_error(STATUS_USAGE, "--json and --format safetensors exclude each other");
    }
    if (safetensors && (output == NULL || strcmp(output, "-") == 0) && cli->out.is_terminal) {
        return report_error(STATUS_USAGE,
                            "safetensors is binary, which a terminal cannot show: use --output FILE, or a pipe");
    }
    if (!safetensors && names_another_format(arguments)) {
        return report_error(STATUS_USAGE,
                            "--output must end in .json or .safetensors, or --format says what is written; got \"%s\"",
                            output);
    }
    char *id;
    enum status status = job_resolve(cli, arguments->operands[0], &id);
    if (status == STATUS_OK) {
        char *rest = memory_format("/weights%s%s%s%s", safetensors || iteration != NULL ? "?" : "",
                                   safetensors ? "format=safetensors&" : "",
                                   iteration == NULL ? "" : "iteration=", iteration == NULL ? "" : iteration);
        if (ends_with(rest, "&")) {
            rest[strlen(rest) - 1] = '\0';
        }
        char *path = job_path(id, rest);
        status = cli_copy(cli, path, safetensors ? "*/*" : "application/json", "read the weights");
        free(path);
        free(rest);
    }
    free(id);
    return status;
}

static void spectrum_begin(const json_t *document) {
    char radius[FORMAT_BYTES];
    struct text line = {0};
    text_printf(&line, "iteration %lld, %lld units, spectral radius %s\n",
                (long long)json_integer_value(json_object_get(document, "iteration")),
                (long long)json_integer_value(json_object_get(document, "units")),
                format_number(json_object_get(document, "spectral_radius"), TERMINAL_DIGITS, radius));
    cli_print(&line);
    text_release(&line);
}

static enum status spectrum(struct cli *cli) {
    const char *iteration = argument_text(&cli->arguments, "iteration");
    char *id;
    enum status status = job_resolve(cli, cli->arguments.operands[0], &id);
    if (status == STATUS_OK) {
        char *rest = memory_format("/spectrum%s%s",
                                   iteration == NULL ? "" : "?iteration=", iteration == NULL ? "" : iteration);
        char *path = job_path(id, rest);
        status = lists_show(cli, path, "compute the spectrum", spectrum_begin);
        free(path);
        free(rest);
    }
    free(id);
    return status;
}

static enum status checkpoints(struct cli *cli) {
    static const struct table_column columns[] = {
        {"ITERATION", true, false, 0}, {"LOSS", true, false, 0}, {"SIZE", true, false, 0}, {"SHA256", false, true, 0}};
    char *id, *path = NULL;
    json_t *document = NULL, *checkpoint;
    struct text body = {0};
    enum status status = job_resolve(cli, cli->arguments.operands[0], &id);
    if (status == STATUS_OK) {
        path = job_path(id, "/checkpoints");
        status = cli_fetch(cli, &(const struct http_request){.path = path}, "list the checkpoints", &document, &body);
    }
    if (status == STATUS_OK && cli->json) {
        cli_print(&body);
    } else if (status == STATUS_OK) {
        struct table table;
        size_t index;
        char text[FORMAT_BYTES];
        table_init(&table, columns, 4);
        json_array_foreach(json_object_get(document, "checkpoints"), index, checkpoint) {
            snprintf(text, sizeof text, "%lld",
                     (long long)json_integer_value(json_object_get(checkpoint, "iteration")));
            table_add(&table, text);
            table_add(&table, format_number(json_object_get(checkpoint, "loss"), 4, text));
            table_add(&table, format_bytes(json_number_value(json_object_get(checkpoint, "size")), text));
            table_add(&table, job_text(checkpoint, "sha256"));
        }
        table_print(&table, &cli->out);
        table_release(&table);
    }
    json_decref(document);
    text_release(&body);
    free(path);
    free(id);
    return status;
}

#define OUTPUT_OPTION                                                                                                  \
    {"output", 'o', OPTION_FILE, "FILE", 0, 0, false, "write to FILE, which appears complete or not at all"}

static const struct option metrics_options[] = {
    OUTPUT_OPTION,
    {"points", 'p', OPTION_INTEGER, "N", 2, 10000000, false, "thin the curve to about N points; peaks are kept"},
    {"keys", 'k', OPTION_TEXT, "NAME,...", 0, 0, false, "only these columns, such as loss,accuracy"},
    OPTIONS_END,
};

#define ITERATION_OPTION                                                                                               \
    {                                                                                                                  \
        "iteration",                                                                                                   \
        'i',                                                                                                           \
        OPTION_INTEGER,                                                                                                \
        "N",                                                                                                           \
        0,                                                                                                             \
        1000000000000,                                                                                                 \
        false,                                                                                                         \
        "of the checkpoint of this iteration (modprop checkpoints lists them)"}

static const struct option weights_options[] = {
    OUTPUT_OPTION,
    {"format", 'F', OPTION_CHOICE, "json|safetensors", 0, 0, false,
     "the default is what the file's name ends in, else json"},
    ITERATION_OPTION,
    OPTIONS_END,
};

static const struct option spectrum_options[] = {OUTPUT_OPTION, ITERATION_OPTION, OPTIONS_END};

const struct command command_metrics = {
    .name = "metrics",
    .group = "Results",
    .operands = "JOB",
    .least = 1,
    .most = 1,
    .operand = OPERAND_JOB,
    .summary = "print a job's curve as CSV",
    .description =
        "Prints iteration, loss, accuracy and what else was measured, a line an evaluation: a table of rounded numbers "
        "on a terminal, CSV with all digits in a pipe or file, lists with --json.",
    .examples = "modprop metrics latest > curve.csv\nmodprop metrics latest --keys loss --points 500 -o loss.csv\n",
    .options = metrics_options,
    .run = metrics,
};

const struct command command_weights = {
    .name = "weights",
    .group = "Results",
    .operands = "JOB",
    .least = 1,
    .most = 1,
    .operand = OPERAND_JOB,
    .summary = "save the trained weights (JSON or safetensors)",
    .description = "The final weights, or, while a job runs, those of its newest checkpoint.",
    .examples = "modprop weights latest -o weights.safetensors\nmodprop weights latest | jq .sha256\n",
    .options = weights_options,
    .run = weights,
};

const struct command command_spectrum = {
    .name = "spectrum",
    .group = "Results",
    .operands = "JOB",
    .least = 1,
    .most = 1,
    .operand = OPERAND_JOB,
    .summary = "print the eigenvalues of the recurrent weights",
    .description =
        "Prints the eigenvalues of W, computed by the daemon, the largest modulus first: with the spectral radius and "
        "rounded on a terminal, as CSV with all digits in a pipe or file, as one document with --json. Of the final "
        "weights, or, while a job runs, of those of its newest checkpoint.",
    .examples = "modprop spectrum latest\nmodprop spectrum latest --iteration 100 -o spectrum.csv\n"
                "modprop spectrum latest --json | jq .spectral_radius\n",
    .options = spectrum_options,
    .run = spectrum,
};

const struct command command_checkpoints = {
    .name = "checkpoints",
    .group = "Results",
    .operands = "JOB",
    .least = 1,
    .most = 1,
    .operand = OPERAND_JOB,
    .summary = "list the checkpoints that are kept",
    .description = "Lists the iterations whose weights can still be read (modprop weights --iteration).",
    .examples = "modprop checkpoints latest\n",
    .run = checkpoints,
};
