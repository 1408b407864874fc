/*
 * modprop compare: jobs side by side, as tables and as a plot.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/text.h"
#include "clients/cli/commands.h"
#include "clients/cli/compare.h"
#include "clients/cli/format.h"
#include "clients/cli/jobs.h"
#include "clients/cli/report.h"
#include "clients/cli/table.h"

extern const struct command command_compare;

#define PLOT_ROWS 16
#define UNDER_DEFAULT "0.1"
#define OVER_DEFAULT "0.95" /* of an accuracy, for which more is better */

/* What counts as learnt: values under the bound, or over it. */
struct bound {
    const char *text;
    double value;
    bool is_over;
};

static double number_or_nan(const json_t *value) {
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* One column of the metrics as a curve. Complains where the server does not know the column. */
static enum status curve_get(struct cli *cli, const char *id, const char *metric, struct curve *curve) {
    char *key = http_escape(metric), *rest = memory_format("/metrics?keys=%s", key), *path = job_path(id, rest);
    json_t *document;
    enum status status = cli_get(cli, path, "read the metrics", &document);
    const json_t *x = json_object_get(document, "iteration"), *y = json_object_get(document, metric);
    if (status == STATUS_OK && !json_is_array(y)) {
        status = report_error(STATUS_FAILED, "the metrics of job %s have no \"%s\"", id, metric);
    } else if (status == STATUS_OK) {
        size_t count = json_array_size(x) < json_array_size(y) ? json_array_size(x) : json_array_size(y);
        curve->x = memory_allocate(count, sizeof *curve->x);
        curve->y = memory_allocate(count, sizeof *curve->y);
        for (size_t i = 0; i < count; i++) {
            curve->x[i] = number_or_nan(json_array_get(x, i));
            curve->y[i] = number_or_nan(json_array_get(y, i));
        }
        curve->count = count;
    }
    json_decref(document);
    free(path);
    free(rest);
    free(key);
    return status;
}

static bool lower_is_better(const char *metric) {
    return strstr(metric, "loss") != NULL;
}

static void member_measure(struct member *member, const char *metric, const struct bound *bound) {
    member->loss = number_or_nan(job_member(member->job, "metrics.loss"));
    member->accuracy = number_or_nan(job_member(member->job, "metrics.accuracy"));
    member->reached = curve_reach(&member->curve, bound->value, bound->is_over);
    member->best = NAN;
    for (size_t i = 0; i < member->curve.count; i++) {
        member->best = lower_is_better(metric) ? fmin(member->best, member->curve.y[i])
                                               : fmax(member->best, member->curve.y[i]);
    }
}

static enum status members_get(struct cli *cli, struct comparison *comparison, const char *metric,
                               const struct bound *bound) {
    enum status status = STATUS_OK;
    comparison->members = memory_allocate(cli->arguments.count, sizeof *comparison->members);
    for (size_t i = 0; i < cli->arguments.count && status == STATUS_OK; i++) {
        struct member *member = &comparison->members[comparison->count++];
        status = job_get(cli, cli->arguments.operands[i], &member->job);
        if (status == STATUS_OK) {
            status = curve_get(cli, job_text(member->job, "id"), metric, &member->curve);
        }
        for (size_t j = 0; j < i && status == STATUS_OK; j++) {
            if (json_equal(json_object_get(comparison->members[j].job, "id"), json_object_get(member->job, "id"))) {
                status = report_error(STATUS_USAGE, "job %s is named twice", job_text(member->job, "id"));
            }
        }
        member_measure(member, metric, bound);
    }
    return status;
}

/* Significant digits where `decimals` is negative; "-" for what is not known. */
static const char *number_text(double value, int decimals, const char *unit, char text[FORMAT_BYTES]) {
    if (!isfinite(value)) {
        return "-";
    }
    if (decimals < 0) {
        snprintf(text, FORMAT_BYTES, "%.3g%s", value, unit);
    } else {
        snprintf(text, FORMAT_BYTES, "%.*f%s", decimals, value, unit);
    }
    return text;
}

static int prefix_length(const struct comparison *comparison) {
    const char **ids = memory_allocate(comparison->count, sizeof *ids);
    for (size_t i = 0; i < comparison->count; i++) {
        ids[i] = job_text(comparison->members[i].job, "id");
    }
    int length = job_prefix_length(ids, comparison->count);
    free(ids);
    return length;
}

static void row_add(struct table *table, const struct comparison *comparison, const struct member *member,
                    int characters) {
    char text[64], number[FORMAT_BYTES];
    snprintf(text, sizeof text, "%.*s", characters, job_text(member->job, "id"));
    table_add(table, text);
    table_add_painted(table, comparison->groups[member->group].name,
                      comparison->group_count > 1 ? plot_group_paint(member->group) : PAINT_NONE);
    snprintf(text, sizeof text, "%lld", (long long)json_integer_value(json_object_get(member->job, "seed")));
    table_add(table, text);
    table_add_painted(table, job_status(member->job), job_status_paint(job_status(member->job)));
    table_add(table, number_text(member->loss, -1, "", number));
    table_add(table, number_text(100 * member->accuracy, 1, " %", number));
    table_add(table, number_text(member->reached, 0, "", number));
    table_add(table, number_text(member->best, -1, "", number));
}

static void members_print(const struct cli *cli, const struct comparison *comparison, const struct bound *bound) {
    char reached[FORMAT_BYTES];
    snprintf(reached, sizeof reached, "%s %.12s", bound->is_over ? "OVER" : "UNDER", bound->text);
    const struct table_column columns[] = {{"JOB", false, false, 0},  {"CONFIGURATION", false, true, 0},
                                           {"SEED", true, false, 0},  {"STATUS", false, false, 3},
                                           {"LOSS", true, false, 0},  {"ACC", true, false, 2},
                                           {reached, true, false, 1}, {"BEST", true, false, 4}};
    struct table table;
    int characters = cli->out.is_terminal ? prefix_length(comparison) : JOB_ID_CHARACTERS;
    table_init(&table, columns, 8);
    for (size_t i = 0; i < comparison->count; i++) {
        row_add(&table, comparison, &comparison->members[i], characters);
    }
    table_print(&table, &cli->out);
    table_release(&table);
}

/* "0.031 +- 0.012". */
static char *spread_text(const struct cli *cli, double mean, double deviation, double scale, int digits) {
    if (!isfinite(mean)) {
        return memory_copy("-");
    }
    return isfinite(deviation)
               ? memory_format("%.*g %s %.2g", digits, scale * mean, cli->out.utf8 ? "\u00b1" : "+-", scale * deviation)
               : memory_format("%.*g", digits, scale * mean);
}

static void groups_print(const struct cli *cli, const struct comparison *comparison, const struct bound *bound) {
    char reached[FORMAT_BYTES + 8], text[64];
    snprintf(reached, sizeof reached, "MEDIAN %s %.12s", bound->is_over ? "OVER" : "UNDER", bound->text);
    const struct table_column columns[] = {{"CONFIGURATION", false, true, 0},
                                           {"JOBS", true, false, 3},
                                           {"LOSS", true, false, 0},
                                           {"ACCURACY %", true, false, 2},
                                           {reached, true, false, 1}};
    struct table table;
    table_init(&table, columns, 5);
    for (int i = 0; i < comparison->group_count; i++) {
        const struct group *group = &comparison->groups[i];
        char *loss = spread_text(cli, group->loss_mean, group->loss_deviation, 1, 3),
             *accuracy = spread_text(cli, group->accuracy_mean, group->accuracy_deviation, 100, 4);
        table_add(&table, group->name);
        snprintf(text, sizeof text, "%d", group->members);
        table_add(&table, text);
        table_add(&table, loss);
        table_add(&table, accuracy);
        if (isfinite(group->reached_median)) {
            snprintf(text, sizeof text, "%.0f (%d of %d)", group->reached_median, group->reached_count, group->members);
        } else {
            snprintf(text, sizeof text, "- (%d of %d)", group->reached_count, group->members);
        }
        table_add(&table, text);
        free(loss);
        free(accuracy);
    }
    putchar('\n');
    table_print(&table, &cli->out);
    table_release(&table);
}

static json_t *json_number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static void json_print(const struct comparison *comparison, const struct bound *bound) {
    const char *reached = bound->is_over ? "over" : "under";
    json_t *jobs = json_array(), *groups = json_array();
    for (size_t i = 0; i < comparison->count; i++) {
        const struct member *member = &comparison->members[i];
        json_array_append_new(
            jobs,
            json_pack("{s:O*, s:s, s:O*, s:s, s:o, s:o, s:o, s:o}", "id", json_object_get(member->job, "id"), "group",
                      comparison->groups[member->group].name, "seed", json_object_get(member->job, "seed"), "status",
                      job_status(member->job), "loss", json_number(member->loss), "best", json_number(member->best),
                      "accuracy", json_number(member->accuracy), reached, json_number(member->reached)));
    }
    for (int i = 0; i < comparison->group_count; i++) {
        const struct group *group = &comparison->groups[i];
        json_array_append_new(
            groups, json_pack("{s:s, s:i, s:{s:o, s:o}, s:{s:o, s:o}, s:{s:o, s:i}}", "name", group->name, "jobs",
                              group->members, "loss", "mean", json_number(group->loss_mean), "deviation",
                              json_number(group->loss_deviation), "accuracy", "mean", json_number(group->accuracy_mean),
                              "deviation", json_number(group->accuracy_deviation), reached, "median",
                              json_number(group->reached_median), "count", group->reached_count));
    }
    json_t *document = json_pack("{s:o, s:o}", "jobs", jobs, "groups", groups);
    cli_print_json(document);
    json_decref(document);
}

/* ---- the plot ---- */

static enum status plot_write(const struct cli *cli, const struct plot *plot, const char *path) {
    struct text bytes = {0};
    enum status status = STATUS_OK;
    if (strcmp(path, "-") == 0) {
        plot_text_put(&bytes, plot, &cli->out, cli->out.is_terminal ? terminal_columns(&cli->out) : 80, PLOT_ROWS);
        printf("\n%s", bytes.data);
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

/* Each group's mean; a group of several shows its members too, where there is room: not in characters. */
static enum status plot_make(const struct cli *cli, const struct comparison *comparison, const char *metric,
                             const char *path) {
    const char *scale = argument_text(&cli->arguments, "scale");
    const char **names = memory_allocate((size_t)comparison->group_count, sizeof *names);
    struct plot_line *lines = memory_allocate(comparison->count + (size_t)comparison->group_count, sizeof *lines);
    size_t count = 0;
    for (size_t i = 0; i < comparison->count; i++) {
        if (comparison->groups[comparison->members[i].group].members > 1 && strcmp(path, "-") != 0) {
            lines[count++] = (struct plot_line){.curve = comparison->members[i].curve,
                                                .group = comparison->members[i].group};
        }
    }
    for (int group = 0; group < comparison->group_count; group++) {
        names[group] = comparison->groups[group].name;
        lines[count++] = (struct plot_line){.curve = comparison->groups[group].mean, .group = group, .mean = true};
    }
    char task[JOB_TASK_BYTES], *title = memory_format("%s: %s", job_task(comparison->members[0].job, task), metric);
    bool logarithmic = scale == NULL ? lower_is_better(metric) : strcmp(scale, "log") == 0;
    char *y_name = memory_format("%s%s", metric, logarithmic ? " (logarithmic)" : "");
    const struct plot plot = {.title = title,
                              .x_name = "iteration",
                              .y_name = y_name,
                              .names = names,
                              .groups = comparison->group_count,
                              .lines = lines,
                              .line_count = count,
                              .logarithmic = logarithmic};
    enum status status = plot_write(cli, &plot, path);
    free(title);
    free(y_name);
    free(names);
    free(lines);
    return status;
}

/* --under or --over, else what suits the metric. */
static enum status bound_read(const struct arguments *arguments, const char *metric, struct bound *bound) {
    const char *under = argument_text(arguments, "under"), *over = argument_text(arguments, "over");
    if (under != NULL && over != NULL) {
        return report_error(STATUS_USAGE, "--under and --over exclude each other");
    }
    bound->is_over = over != NULL || (under == NULL && strstr(metric, "accuracy") != NULL);
    bound->text = over != NULL ? over : under != NULL ? under : bound->is_over ? OVER_DEFAULT : UNDER_DEFAULT;
    char *end;
    bound->value = strtod(bound->text, &end);
    return *end == '\0' && end != bound->text && isfinite(bound->value)
               ? STATUS_OK
               : report_error(STATUS_USAGE, "--%s must be a number, such as %s; got \"%s\"",
                              bound->is_over ? "over" : "under", bound->is_over ? OVER_DEFAULT : UNDER_DEFAULT,
                              bound->text);
}

static enum status run(struct cli *cli) {
    const struct arguments *arguments = &cli->arguments;
    const char *metric = argument_text(arguments, "metric"), *plot = argument_text(arguments, "plot");
    struct bound bound = {0};
    metric = metric == NULL ? "loss" : metric;
    enum status status = bound_read(arguments, metric, &bound);
    if (status != STATUS_OK) {
        return status;
    }
    if (plot != NULL && strcmp(plot, "-") != 0 && !ends_with(plot, ".svg") && !ends_with(plot, ".png")) {
        return report_error(STATUS_USAGE, "--plot must be a file named .svg or .png, or - for here; got \"%s\"", plot);
    }
    struct comparison comparison = {0};
    status = members_get(cli, &comparison, metric, &bound);
    if (status == STATUS_OK) {
        comparison_group(&comparison);
        if (cli->json) {
            json_print(&comparison, &bound);
        } else {
            members_print(cli, &comparison, &bound);
            if ((size_t)comparison.group_count < comparison.count) {
                groups_print(cli, &comparison, &bound);
            }
        }
        if (plot == NULL && cli->out.is_terminal && !cli->json && !argument_is_set(arguments, "no-plot")) {
            plot = "-";
        }
        status = plot == NULL ? STATUS_OK : plot_make(cli, &comparison, metric, plot);
    }
    comparison_release(&comparison);
    return status;
}

static const struct option options[] = {
    {"plot", 'p', OPTION_FILE, "FILE", 0, 0, false,
     "draw the curves into FILE (.svg, or .png if gnuplot is installed), or here (-)"},
    {"no-plot", 0, OPTION_SWITCH, NULL, 0, 0, false, "no plot on a terminal"},
    {"metric", 'm', OPTION_TEXT, "NAME", 0, 0, false, "column of the metrics to compare (default loss)"},
    {"scale", 0, OPTION_CHOICE, "log|linear", 0, 0, false, "the plot's y axis (default log for a loss)"},
    {"under", 'u', OPTION_TEXT, "VALUE", 0, 0, false, "values under it count as learnt (default " UNDER_DEFAULT ")"},
    {"over", 0, OPTION_TEXT, "VALUE", 0, 0, false,
     "values over it count as learnt (the default for an accuracy, " OVER_DEFAULT ")"},
    OPTIONS_END,
};

const struct command command_compare = {
    .name = "compare",
    .group = "Results",
    .operands = "JOB...",
    .least = 1,
    .most = -1,
    .operand = OPERAND_JOB,
    .summary = "compare jobs in a table and a plot, seeds averaged",
    .description =
        "Jobs that differ in nothing but the seed form a group: the second table gives its mean and standard "
        "deviation, the plot its mean "
        "(thick) over its members (thin). A group is named by the fields that set it apart. UNDER (or "
        "OVER) is the first of five evaluations in a row beyond the bound, and its median over a group counts a job "
        "that is not there yet as later than all others.",
    .examples = "modprop compare $(modprop list --quiet --limit 6)\nmodprop compare 0192f3a4-7b1c 0192f3a4-9c02 --plot "
                "curves.svg\n",
    .options = options,
    .run = run,
};
