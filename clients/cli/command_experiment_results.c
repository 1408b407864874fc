/*
 * modprop experiment compare, trials and plot: what an experiment found. Every number, label and colour is the
 * server's.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/commands.h"
#include "clients/cli/experiments.h"
#include "clients/cli/format.h"
#include "clients/cli/jobs.h"
#include "clients/cli/plot.h"
#include "clients/cli/report.h"

extern const struct command command_experiment_compare, command_experiment_trials, command_experiment_plot;

#define PLOT_ROWS 20
#define PLOT_POINTS 12 /* lines of one plot; more cannot be told apart */

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

/* "0.71 [0.52, 0.97]"; ratios where differences are of logarithms. */
static void difference_put(struct text *text, const json_t *comparison) {
    bool logarithms = json_is_true(json_object_get(comparison, "logarithms"));
    const json_t *mean = json_object_get(comparison, "mean_difference"),
                 *interval = json_object_get(comparison, "difference_95");
    if (!json_is_number(mean)) {
        text_add(text, "-");
        return;
    }
    double value = json_number_value(mean), low = json_number_value(json_object_get(interval, "low")),
           high = json_number_value(json_object_get(interval, "high"));
    text_printf(text, "%s%.3g", logarithms ? "x " : "", logarithms ? exp(value) : value);
    if (json_is_object(interval)) {
        text_printf(text, " [%.3g, %.3g]", logarithms ? exp(low) : low, logarithms ? exp(high) : high);
    }
}

/* "80 % [49, 94]". */
static void won_put(struct text *text, const json_t *comparison) {
    const json_t *won = json_object_get(comparison, "won"), *interval = json_object_get(comparison, "won_95");
    if (!json_is_number(won)) {
        text_add(text, "-");
        return;
    }
    text_printf(text, "%.0f %%", 100 * json_number_value(won));
    if (json_is_object(interval)) {
        text_printf(text, " [%.0f, %.0f]", 100 * json_number_value(json_object_get(interval, "low")),
                    100 * json_number_value(json_object_get(interval, "high")));
    }
}

static void comparison_add(struct table *table, const json_t *comparison) {
    static const char *const probabilities[] = {"sign_flip_p", "holm_p"};
    struct text text = {0};
    char number[FORMAT_BYTES];
    bool few = json_is_true(json_object_get(comparison, "few"));
    table_add(table, job_text(comparison, "metric"));
    table_add(table, job_text(comparison, "label"));
    table_add(table, job_text(comparison, "to_label"));
    text_printf(&text, "%lld%s", (long long)json_integer_value(json_object_get(comparison, "n")), few ? " (few)" : "");
    table_add(table, text.data);
    text_clear(&text);
    difference_put(&text, comparison);
    table_add(table, text.data);
    text_clear(&text);
    won_put(&text, comparison);
    table_add(table, text.data);
    for (size_t i = 0; i < sizeof probabilities / sizeof *probabilities; i++) {
        table_add(table, format_number(json_object_get(comparison, probabilities[i]), 3, number));
    }
    table_add(table, format_number(json_object_get(comparison, "pairs_needed"), 4, number));
    text_release(&text);
}

static enum status compare(struct cli *cli) {
    static const struct table_column columns[] = {
        {"METRIC", false, false, 1}, {"CONDITION", false, true, 0},  {"AGAINST", false, true, 0},
        {"PAIRS", true, false, 0},   {"DIFFERENCE", true, false, 0}, {"WON", true, false, 2},
        {"P", true, false, 4},       {"P (HOLM)", true, false, 0},   {"NEEDED", true, false, 3}};
    static const char *const query[] = {"metrics", "in", "axis", "to", NULL};
    struct text path = {0};
    json_t *document, *comparison;
    struct table table;
    size_t index;
    path_put(&path, &cli->arguments, "/compare", query);
    enum status status = part_get(cli, path.data, &document);
    const json_t *list = json_object_get(document, "comparisons");
    if (document != NULL && json_array_size(list) == 0) {
        report_note("there is nothing to compare: the experiment has one point");
    } else if (document != NULL) {
        table_init(&table, columns, sizeof columns / sizeof *columns);
        json_array_foreach((json_t *)list, index, comparison) {
            comparison_add(&table, comparison);
        }
        table_print(&table, &cli->out);
        table_release(&table);
    }
    json_decref(document);
    text_release(&path);
    return status;
}

/* ---- trials ---- */

static enum status trials(struct cli *cli) {
    static const struct table_column columns[] = {{"POINT", false, false, 1},  {"CONDITION", false, true, 0},
                                                  {"SEED", true, false, 0},    {"JOB", false, false, 2},
                                                  {"STATUS", false, false, 0}, {"ITERATION", true, false, 3}};
    static const char *const query[] = {"points", "metrics", NULL};
    struct text path = {0};
    json_t *document, *trial;
    struct table table;
    size_t index;
    char text[FORMAT_BYTES];
    path_put(&path, &cli->arguments, "/trials", query);
    enum status status = part_get(cli, path.data, &document);
    if (document != NULL) {
        table_init(&table, columns, sizeof columns / sizeof *columns);
        json_array_foreach(json_object_get(document, "trials"), index, trial) {
            bool diverged = json_is_true(json_object_get(trial, "diverged"));
            table_add(&table, job_text(trial, "point"));
            table_add(&table, job_text(trial, "label"));
            snprintf(text, sizeof text, "%lld", (long long)json_integer_value(json_object_get(trial, "seed")));
            table_add(&table, text);
            table_add(&table, json_string_value(json_object_get(trial, "job")));
            table_add_painted(&table, diverged ? "diverged" : job_status(trial),
                              job_status_paint(diverged ? "diverged" : job_status(trial)));
            table_add(&table, format_number(json_object_get(trial, "iteration"), 9, text));
        }
        table_print(&table, &cli->out);
        table_release(&table);
    }
    json_decref(document);
    text_release(&path);
    return status;
}

/* ---- plot ---- */

/* The curve `member` ("median", "low", "high") over x; a null is a gap. */
static struct curve curve_make(const json_t *document, const char *member) {
    const json_t *x = json_object_get(document, "x"), *y = json_object_get(document, member);
    x = json_is_array(x) ? x : json_object_get(document, "iteration");
    struct curve curve = {.count = json_array_size(x)};
    curve.x = memory_allocate(curve.count + 1, sizeof *curve.x);
    curve.y = memory_allocate(curve.count + 1, sizeof *curve.y);
    for (size_t i = 0; i < curve.count; i++) {
        const json_t *value = json_array_get(y, i);
        curve.x[i] = json_number_value(json_array_get(x, i));
        curve.y[i] = json_is_number(value) ? json_number_value(value) : NAN;
    }
    return curve;
}

static enum status plot_write(const struct cli *cli, const struct plot *plot, const char *path) {
    struct text bytes = {0};
    enum status status = STATUS_OK;
    if (path == NULL || strcmp(path, "-") == 0) {
        plot_text_put(&bytes, plot, &cli->out, cli->out.is_terminal ? terminal_columns(&cli->out) : 80, PLOT_ROWS);
        printf("%s", bytes.data);
    } else if (ends_with(path, ".svg")) {
        plot_svg_put(&bytes, plot);
        status = cli_write(path, bytes.data, bytes.size);
    } else {
        status = plot_png_make(&bytes, plot);
        status = status == STATUS_OK ? cli_write(path, bytes.data, bytes.size) : status;
    }
    text_release(&bytes);
    return status;
}

/* Medians thick, quartiles thin beside them; on a terminal the medians alone. */
static enum status plot_make(const struct cli *cli, const json_t *curves, const char *key, const char *path) {
    const char *scale = argument_text(&cli->arguments, "scale"), *unit = argument_text(&cli->arguments, "x");
    static const char *const members[] = {"low", "high", "median"};
    size_t count = json_array_size(curves), lines = 0;
    size_t first = path == NULL || strcmp(path, "-") == 0 ? 2 : 0;
    const char **names = memory_allocate(count + 1, sizeof *names),
               **colours = memory_allocate(count + 1, sizeof *names);
    int *dashes = memory_allocate(count + 1, sizeof *dashes);
    struct plot_line *line = memory_allocate(3 * count + 1, sizeof *line);
    for (size_t i = 0; i < count; i++) {
        const json_t *curve = json_array_get(curves, i);
        names[i] = job_text(curve, "label");
        colours[i] = job_text(curve, "colour");
        dashes[i] = (int)json_integer_value(json_object_get(curve, "dash"));
        for (size_t j = first; j < 3; j++) {
            line[lines++] = (struct plot_line){.curve = curve_make(curve, members[j]), .group = (int)i, .mean = j == 2};
        }
    }
    bool logarithmic = scale == NULL ? strcmp(key, "loss") == 0 : strcmp(scale, "log") == 0;
    char *y_name = memory_format("%s%s", key, logarithmic ? " (logarithmic)" : "");
    const struct plot plot = {.title = key,
                              .x_name = unit == NULL ? "iteration" : unit,
                              .y_name = y_name,
                              .names = names,
                              .colours = colours,
                              .dashes = dashes,
                              .groups = (int)count,
                              .lines = line,
                              .line_count = lines,
                              .logarithmic = logarithmic};
    enum status status = plot_write(cli, &plot, path);
    for (size_t i = 0; i < lines; i++) {
        free(line[i].curve.x);
        free(line[i].curve.y);
    }
    free(line);
    free(names);
    free(colours);
    free(dashes);
    free(y_name);
    return status;
}

static enum status plot(struct cli *cli) {
    const char *key = argument_text(&cli->arguments, "metric"), *path = argument_text(&cli->arguments, "output");
    static const char *const query[] = {"points", "x", NULL};
    struct text rest = {0};
    json_t *document = NULL;
    if (path != NULL && strcmp(path, "-") != 0 && !ends_with(path, ".svg") && !ends_with(path, ".png")) {
        return report_error(STATUS_USAGE, "--output must be a file named .svg or .png, or - for here; got \"%s\"",
                            path);
    }
    key = key == NULL ? "loss" : key;
    char *escaped = http_escape(key), *begin = memory_format("/curves?keys=%s", escaped);
    path_put(&rest, &cli->arguments, begin, query);
    enum status status = experiment_get(cli, cli->arguments.operands[0], rest.data, &document);
    const json_t *curves = json_object_get(document, "curves");
    if (status == STATUS_OK && json_array_size(curves) > PLOT_POINTS) {
        status = report_error(STATUS_USAGE, "%zu curves cannot be told apart in one plot; --points chooses at most %d",
                              json_array_size(curves), PLOT_POINTS);
    } else if (status == STATUS_OK && json_array_size(curves) == 0) {
        report_note("nothing has been evaluated yet");
    } else if (status == STATUS_OK) {
        status = plot_make(cli, curves, key, path);
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

#define RESULT(word, short_words, words, example, table, function)                                                     \
    {.name = "experiment " word,                                                                                       \
     .group = "Experiments",                                                                                           \
     .operands = "EXPERIMENT",                                                                                         \
     .least = 1,                                                                                                       \
     .most = 1,                                                                                                        \
     .operand = OPERAND_EXPERIMENT,                                                                                    \
     .summary = short_words,                                                                                           \
     .description = words,                                                                                             \
     .examples = "modprop experiment " word " " example "\n",                                                          \
     .options = table,                                                                                                 \
     .run = function}

const struct command command_experiment_compare = RESULT(
    "compare", "differences between an experiment's points, paired by seed",
    "For each comparison the mean difference with its 95 % interval (of iterations a ratio, \"x 0.7\": in 0.7 times "
    "as many), the share of seeds won, the p value of the sign-flip test, the same adjusted after Holm for all rows, "
    "and the number of pairs that would settle a factor of 1.5 at 80 % power. Below ten pairs a row is marked: few.",
    "latest --metrics final:loss", compare_options, compare);
const struct command command_experiment_trials = RESULT(
    "trials", "an experiment's trials, a row a seed of a point",
    "Each trial is a job like any other, so that modprop show and modprop metrics take its id.",
    "latest --format csv -o trials.csv", trials_options, trials);
const struct command command_experiment_plot = RESULT(
    "plot", "curves of an experiment's points: median and quartiles over seeds",
    "The median of a point is a thick line, its quartiles are thin ones. Colours are the server's, one a rule.",
    "latest --metric accuracy -o accuracy.svg", plot_options, plot);
