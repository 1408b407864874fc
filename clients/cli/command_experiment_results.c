/*
 * modprop experiment compare, trials and plot: what an experiment found. Every number, label and colour is the
 * server's.
 */
#include <stdlib.h>
#include <string.h>

#include "clients/cli/commands.h"
#include "clients/cli/experiments.h"
#include "clients/cli/findings.h"
#include "clients/cli/report.h"

extern const struct command command_experiment_compare, command_experiment_trials, command_experiment_plot;

/* Appends "?name=value" or "&name=value" where the option was given. */
static void query_put(struct text *path, const struct arguments *arguments, const char *name) {
    const char *value = argument_text(arguments, name);
    if (value != NULL) {
        char *escaped = http_escape(value);
        text_printf(path, "%c%s=%s", strchr(path->data, '?') == NULL ? '?' : '&', name, escaped);
        free(escaped);
    }
}

/* "/points?metrics=..." of these options of the command. */
static void path_put(struct text *path, const struct arguments *arguments, const char *rest,
                     const char *const *options) {
    text_add(path, rest);
    for (; *options != NULL; options++) {
        query_put(path, arguments, *options);
    }
}

/* A part of the experiment as JSON, CSV or lines of JSON, as --format says; else *document, the caller's. */
static enum status part_get(struct cli *cli, const char *rest, json_t **document) {
    static const struct {
        const char *name, *accept;
    } forms[] = {{"json", "application/json"}, {"csv", "text/csv"}, {"ndjson", "application/x-ndjson"}};
    const char *format = argument_text(&cli->arguments, "format");
    char *id = NULL, *path = NULL;
    *document = NULL;
    enum status status = experiment_resolve(cli, cli->arguments.operands[0], &id);
    format = format == NULL && cli->json ? "json" : format;
    if (status == STATUS_OK) {
        path = experiment_path(id, rest);
    }
    if (status == STATUS_OK && format == NULL) {
        status = cli_get(cli, path, "read the experiment", document);
    }
    for (size_t i = 0; status == STATUS_OK && format != NULL && i < sizeof forms / sizeof *forms; i++) {
        if (strcmp(forms[i].name, format) == 0) {
            status = cli_copy(cli, path, forms[i].accept, "read the experiment");
        }
    }
    free(path);
    free(id);
    return status;
}

/* ---- compare ---- */

static enum status compare(struct cli *cli) {
    static const char *const query[] = {"metrics", "in", "axis", "to", NULL};
    struct text path = {0};
    json_t *document;
    struct table table;
    path_put(&path, &cli->arguments, "/compare", query);
    enum status status = part_get(cli, path.data, &document);
    const json_t *list = json_object_get(document, "comparisons");
    if (document != NULL && json_array_size(list) == 0) {
        report_note("there is nothing to compare: the experiment has one point");
    } else if (document != NULL) {
        comparisons_table_make(&table, list);
        table_print(&table, &cli->out);
        table_release(&table);
    }
    json_decref(document);
    text_release(&path);
    return status;
}

/* ---- trials ---- */

static enum status trials(struct cli *cli) {
    static const char *const query[] = {"points", "metrics", NULL};
    struct text path = {0};
    json_t *document;
    struct table table;
    path_put(&path, &cli->arguments, "/trials", query);
    enum status status = part_get(cli, path.data, &document);
    if (document != NULL) {
        trials_table_make(&table, json_object_get(document, "trials"));
        table_print(&table, &cli->out);
        table_release(&table);
    }
    json_decref(document);
    text_release(&path);
    return status;
}

/* ---- plot ---- */

static enum status plot(struct cli *cli) {
    const char *key = argument_text(&cli->arguments, "metric"), *path = argument_text(&cli->arguments, "output");
    static const char *const query[] = {"points", "x", NULL};
    struct text rest = {0};
    json_t *document = NULL;
    if (plot_path_check("output", path) != STATUS_OK) {
        return STATUS_USAGE;
    }
    key = key == NULL ? "loss" : key;
    char *escaped = http_escape(key), *begin = memory_format("/curves?keys=%s", escaped);
    path_put(&rest, &cli->arguments, begin, query);
    enum status status = experiment_get(cli, cli->arguments.operands[0], rest.data, &document);
    const json_t *curves = json_object_get(document, "curves");
    if (status == STATUS_OK && json_array_size(curves) > PLOT_POINTS) {
        status = report_error(STATUS_USAGE, "%zu curves are too many for one plot; --points chooses at most %d",
                              json_array_size(curves), PLOT_POINTS);
    } else if (status == STATUS_OK && json_array_size(curves) == 0) {
        report_note("nothing has been evaluated yet");
    } else if (status == STATUS_OK) {
        status = curves_plot(cli, curves, key, path);
    }
    json_decref(document);
    text_release(&rest);
    free(escaped);
    free(begin);
    return status;
}

/* ---- the tables ---- */

#define FORM                                                                                                           \
    {"format", 0, OPTION_CHOICE, "json|csv|ndjson", 0, 0, false, "as the server has it, not as a table"},              \
        {"output", 'o', OPTION_FILE, "FILE", 0, 0, false, "with --format or --json: into FILE"}
#define METRICS                                                                                                        \
    {"metrics",   'm',                                                                                                 \
     OPTION_TEXT, "NAME,...",                                                                                          \
     0,           0,                                                                                                   \
     false,       "other metrics than the experiment's: final:loss, best:accuracy, area:loss, loss_below:0.1:5"}
#define POINTS {"points", 0, OPTION_TEXT, "POINT,...", 0, 0, false, "these points alone, such as 0.1,1.0"}

static const struct option compare_options[] = {
    METRICS,
    {"in", 0, OPTION_CHOICE, "iterations|trials|seconds", 0, 0, false, "the unit of the first times below a bound"},
    {"axis", 0, OPTION_TEXT, "NAME", 0, 0, false, "the axis along which points are compared"},
    {"to", 0, OPTION_INTEGER, "INDEX", 0, 10000, false, "the index of the axis' value that others are compared to"},
    FORM,
    OPTIONS_END,
};

static const struct option trials_options[] = {POINTS, METRICS, FORM, OPTIONS_END};

static const struct option plot_options[] = {
    {"metric", 'm', OPTION_TEXT, "KEY", 0, 0, false, "what is drawn: loss (the default), accuracy or a diagnostic"},
    POINTS,
    {"x", 0, OPTION_CHOICE, "iterations|trials|seconds", 0, 0, false, "the x axis (default iterations)"},
    {"scale", 0, OPTION_CHOICE, "log|linear", 0, 0, false, "the y axis (default log for the loss)"},
    {"output", 'o', OPTION_FILE, "FILE", 0, 0, false,
     "into FILE, .svg, or .png if gnuplot is installed (default: here)"},
    OPTIONS_END,
};

const struct command command_experiment_compare = EXPERIMENT_COMMAND(
    "compare", "differences between an experiment's points, paired by seed",
    "For each comparison: the mean difference with its 95 % interval (for iterations a ratio; \"x 0.7\" means 0.7 "
    "times as many), the share of seeds won, the p value of the sign-flip test, the same with Holm's adjustment over "
    "all rows, and the number of pairs needed to detect a factor of 1.5 with 80 % power. Rows with fewer than ten "
    "pairs are marked few.",
    "latest --metrics final:loss", compare_options, compare);
const struct command command_experiment_trials = EXPERIMENT_COMMAND(
    "trials", "an experiment's trials, one row per point and seed",
    "Each trial is a job like any other, so that modprop show and modprop metrics take its id.",
    "latest --format csv -o trials.csv", trials_options, trials);
const struct command command_experiment_plot = EXPERIMENT_COMMAND(
    "plot", "curves of an experiment's points: median and quartiles over seeds",
    "The median of a point is a thick line, its quartiles are thin ones. Colours are the server's, one a rule.",
    "latest --metric accuracy -o accuracy.svg", plot_options, plot);
