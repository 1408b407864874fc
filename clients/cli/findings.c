/*
 * What the server found, as tables and plots. See findings.h.
 */
#include "clients/cli/findings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/format.h"
#include "clients/cli/jobs.h"
#include "clients/cli/plot.h"
#include "clients/cli/report.h"

#define METRIC_COLUMNS 3 /* metrics that a table of points or trials shows */
#define PLOT_ROWS 20

/* ---- points ---- */

/* A number with four digits, "never", or "-". */
static const char *value_text(const json_t *value, char text[FORMAT_BYTES]) {
    return json_is_string(value) ? json_string_value(value) : format_number(value, 4, text);
}

/* "990 [840, never]". */
static void metric_put(struct text *text, const json_t *metric) {
    const json_t *quartiles = json_object_get(metric, "quartiles");
    char number[FORMAT_BYTES];
    text_add(text, value_text(json_object_get(metric, "median"), number));
    if (json_is_object(quartiles) && !json_is_string(json_object_get(quartiles, "low"))) { /* not [never, never] */
        text_printf(text, " [%s, ", value_text(json_object_get(quartiles, "low"), number));
        text_printf(text, "%s]", value_text(json_object_get(quartiles, "high"), number));
    }
}

/* Seeds that count; what is missing, diverged or failed is said. */
static void seeds_put(struct text *text, const json_t *point, bool with_progress) {
    static const char *const remarks[] = {"diverged", "failed"};
    const json_t *progress = json_object_get(point, "progress");
    text_printf(text, "%lld", (long long)json_integer_value(json_object_get(point, "n")));
    for (size_t i = 0; i < sizeof remarks / sizeof *remarks; i++) {
        long long count = json_integer_value(json_object_get(point, remarks[i]));
        if (count > 0) {
            text_printf(text, ", %lld %s", count, remarks[i]);
        }
    }
    if (with_progress && json_is_number(progress) && json_number_value(progress) < 1) {
        text_printf(text, " (%.0f %%)", 100 * json_number_value(progress));
    }
}

static struct table_column headings[3 + METRIC_COLUMNS];

void points_table_make(struct table *table, const json_t *points, bool with_progress) {
    const json_t *first = json_object_get(json_array_get(points, 0), "metrics");
    json_t *point, *metric;
    const char *name;
    size_t index;
    int columns = 3;
    headings[0] = (struct table_column){"POINT", false, false, 2};
    headings[1] = (struct table_column){"CONDITION", false, true, 0};
    headings[2] = (struct table_column){"SEEDS", true, false, 0};
    json_object_foreach((json_t *)first, name, metric) {
        if (columns < 3 + METRIC_COLUMNS) {
            headings[columns] = (struct table_column){name, true, false, columns == 3 ? 0 : columns};
            columns++;
        }
    }
    table_init(table, headings, columns);
    json_array_foreach((json_t *)points, index, point) {
        struct text text = {0};
        int column = 3;
        table_add(table, job_text(point, "point"));
        table_add(table, job_text(point, "label"));
        seeds_put(&text, point, with_progress);
        table_add(table, text.data);
        json_object_foreach(json_object_get(point, "metrics"), name, metric) {
            if (column++ < columns) {
                text_clear(&text);
                metric_put(&text, metric);
                table_add(table, text.data);
            }
        }
        for (; column < columns; column++) {
            table_add(table, NULL);
        }
        text_release(&text);
    }
}

/* ---- trials ---- */

static struct table_column trial_headings[6 + METRIC_COLUMNS];

static void trial_add(struct table *table, const json_t *trial, int columns) {
    bool diverged = json_is_true(json_object_get(trial, "diverged"));
    const char *state = diverged ? "diverged" : job_status(trial), *name;
    char text[FORMAT_BYTES];
    json_t *value;
    int column = 6;
    table_add(table, job_text(trial, "point"));
    table_add(table, job_text(trial, "label"));
    snprintf(text, sizeof text, "%lld", (long long)json_integer_value(json_object_get(trial, "seed")));
    table_add(table, text);
    table_add(table, json_string_value(json_object_get(trial, "job")));
    table_add_painted(table, state, job_status_paint(state));
    table_add(table, format_number(json_object_get(trial, "iteration"), 9, text));
    json_object_foreach(json_object_get(trial, "metrics"), name, value) {
        if (column < columns) {
            table_add(table, value_text(value, text));
            column++;
        }
    }
    for (; column < columns; column++) {
        table_add(table, NULL);
    }
}

void trials_table_make(struct table *table, const json_t *trials) {
    static const struct table_column fixed[] = {{"POINT", false, false, 3},  {"CONDITION", false, true, 0},
                                                {"SEED", true, false, 0},    {"JOB", false, false, 2},
                                                {"STATUS", false, false, 4}, {"ITERATION", true, false, 5}};
    const json_t *first = json_object_get(json_array_get(trials, 0), "metrics");
    const char *name;
    json_t *value, *trial;
    size_t index;
    int columns = 6;
    memcpy(trial_headings, fixed, sizeof fixed);
    json_object_foreach((json_t *)first, name, value) {
        if (columns < 6 + METRIC_COLUMNS) {
            trial_headings[columns++] = (struct table_column){name, true, false, 0};
        }
    }
    table_init(table, trial_headings, columns);
    json_array_foreach((json_t *)trials, index, trial) {
        trial_add(table, trial, columns);
    }
}

/* ---- comparisons ---- */

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

void comparisons_table_make(struct table *table, const json_t *comparisons) {
    static const struct table_column columns[] = {
        {"METRIC", false, false, 1}, {"CONDITION", false, true, 0},  {"AGAINST", false, true, 0},
        {"PAIRS", true, false, 0},   {"DIFFERENCE", true, false, 0}, {"WON", true, false, 2},
        {"P", true, false, 4},       {"P (HOLM)", true, false, 0},   {"NEEDED", true, false, 3}};
    json_t *comparison;
    size_t index;
    table_init(table, columns, sizeof columns / sizeof *columns);
    json_array_foreach((json_t *)comparisons, index, comparison) {
        comparison_add(table, comparison);
    }
}

/* ---- curves ---- */

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

enum status plot_path_check(const char *option, const char *path) {
    return path == NULL || strcmp(path, "-") == 0 || ends_with(path, ".svg") || ends_with(path, ".png")
               ? STATUS_OK
               : report_error(STATUS_USAGE, "--%s must be a file named .svg or .png, or - for here; got \"%s\"", option,
                              path);
}

/* The thin lines of a point: each seed's curve where the answer has them, else its quartiles. */
static size_t thin_lines(const json_t *curve, int group, struct plot_line *lines) {
    const json_t *seeds = json_object_get(curve, "seeds");
    const char *name;
    json_t *seed;
    size_t count = 0;
    if (!json_is_object(seeds)) {
        lines[count++] = (struct plot_line){.curve = curve_make(curve, "low"), .group = group};
        lines[count++] = (struct plot_line){.curve = curve_make(curve, "high"), .group = group};
        return count;
    }
    json_object_foreach((json_t *)seeds, name, seed) {
        if (json_object_size(seeds) > 1) { /* a single seed's curve is the median */
            lines[count++] = (struct plot_line){.curve = curve_make(seed, "value"), .group = group};
        }
    }
    return count;
}

static size_t lines_most(const json_t *curves) {
    size_t most = 1, index;
    json_t *curve;
    json_array_foreach((json_t *)curves, index, curve) {
        most += 3 + json_object_size(json_object_get(curve, "seeds"));
    }
    return most;
}

/* The plot of `curves`, released by curves_plot_release: with thin lines unless it is in characters. */
struct curves_plot {
    struct plot plot;
    struct plot_line *lines;
    const char **names, **colours;
    int *dashes;
    char *y_name, *title;
};

static void curves_plot_make(struct curves_plot *made, const json_t *curves, const char *key, bool thin) {
    size_t count = json_array_size(curves), lines = 0;
    *made = (struct curves_plot){.names = memory_allocate(count + 1, sizeof *made->names),
                                 .colours = memory_allocate(count + 1, sizeof *made->colours),
                                 .dashes = memory_allocate(count + 1, sizeof *made->dashes),
                                 .lines = memory_allocate(lines_most(curves), sizeof *made->lines)};
    for (size_t i = 0; i < count; i++) {
        const json_t *curve = json_array_get(curves, i);
        made->names[i] = job_text(curve, "label");
        made->colours[i] = job_text(curve, "colour");
        made->dashes[i] = (int)json_integer_value(json_object_get(curve, "dash"));
        lines += thin ? thin_lines(curve, (int)i, made->lines + lines) : 0;
        made->lines[lines++] = (struct plot_line){.curve = curve_make(curve, "median"), .group = (int)i, .mean = true};
    }
    bool logarithmic = strstr(key, "loss") != NULL;
    made->y_name = memory_format("%s%s", key, logarithmic ? " (logarithmic)" : "");
    made->title = memory_format("%s, median over seeds", key);
    made->plot = (struct plot){.title = made->title,
                               .x_name = "iteration",
                               .y_name = made->y_name,
                               .names = made->names,
                               .colours = made->colours,
                               .dashes = made->dashes,
                               .groups = (int)count,
                               .lines = made->lines,
                               .line_count = lines,
                               .logarithmic = logarithmic};
}

static void curves_plot_release(struct curves_plot *made) {
    for (size_t i = 0; i < made->plot.line_count; i++) {
        free(made->lines[i].curve.x);
        free(made->lines[i].curve.y);
    }
    free(made->lines);
    free(made->names);
    free(made->colours);
    free(made->dashes);
    free(made->y_name);
    free(made->title);
}

enum status curves_plot(const struct cli *cli, const json_t *curves, const char *key, const char *path) {
    const char *scale = argument_text(&cli->arguments, "scale"), *unit = argument_text(&cli->arguments, "x");
    struct curves_plot made;
    curves_plot_make(&made, curves, key, path != NULL && strcmp(path, "-") != 0);
    if (scale != NULL) {
        made.plot.logarithmic = strcmp(scale, "log") == 0;
        free(made.y_name);
        made.y_name = memory_format("%s%s", key, made.plot.logarithmic ? " (logarithmic)" : "");
        made.plot.y_name = made.y_name;
    }
    made.plot.x_name = unit == NULL ? made.plot.x_name : unit;
    enum status status = plot_write(cli, &made.plot, path);
    curves_plot_release(&made);
    return status;
}

enum status curves_figure_put(struct text *bytes, const json_t *curves, const char *key, bool pdf) {
    struct curves_plot made;
    enum status status = STATUS_OK;
    curves_plot_make(&made, curves, key, true);
    made.plot.column = true;
    if (pdf) {
        status = plot_pdf_make(bytes, &made.plot);
    } else {
        plot_svg_put(bytes, &made.plot);
    }
    curves_plot_release(&made);
    return status;
}
