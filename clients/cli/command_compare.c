/*
 * modprop compare: jobs side by side, as tables and as a plot. The statistics are the server's (POST /v1/compare).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/text.h"
#include "clients/cli/commands.h"
#include "clients/cli/findings.h"
#include "clients/cli/jobs.h"
#include "clients/cli/report.h"

extern const struct command command_compare;

#define UNDER_DEFAULT "0.1"
#define OVER_DEFAULT "0.95" /* of an accuracy, for which more is better */
#define IN_A_ROW 5

/* What counts as learned: values under the bound, or over it. */
struct bound {
    double value;
    bool is_over;
};

/* --under or --over, else what suits the metric. */
static enum status bound_read(const struct arguments *arguments, const char *metric, struct bound *bound) {
    const char *under = argument_text(arguments, "under"), *over = argument_text(arguments, "over");
    if (under != NULL && over != NULL) {
        return report_error(STATUS_USAGE, "--under and --over exclude each other");
    }
    bound->is_over = over != NULL || (under == NULL && strstr(metric, "accuracy") != NULL);
    const char *text = over != NULL ? over : under != NULL ? under : bound->is_over ? OVER_DEFAULT : UNDER_DEFAULT;
    char *end;
    bound->value = strtod(text, &end);
    return *end == '\0' && end != text && isfinite(bound->value)
               ? STATUS_OK
               : report_error(STATUS_USAGE, "--%s must be a number, such as %s; got \"%s\"",
                              bound->is_over ? "over" : "under", bound->is_over ? OVER_DEFAULT : UNDER_DEFAULT, text);
}

/* The last value, the best one, and when it was learned. */
static json_t *metrics_make(const char *metric, const struct bound *bound) {
    char *learned = memory_format("%s_%s", metric, bound->is_over ? "above" : "below");
    json_t *metrics = json_pack("[{s:s}, {s:s}, {s:s, s:f, s:i}]", "final", metric, "best", metric, "name", "learned",
                                learned, bound->value, "in_a_row", IN_A_ROW);
    free(learned);
    return metrics;
}

/* The ids of the jobs that are named, each once. Complains. */
static enum status jobs_read(struct cli *cli, json_t *ids) {
    enum status status = STATUS_OK;
    for (size_t i = 0; i < cli->arguments.count && status == STATUS_OK; i++) {
        char *id = NULL;
        json_t *other;
        size_t index;
        status = job_resolve(cli, cli->arguments.operands[i], &id);
        json_array_foreach(ids, index, other) {
            if (status == STATUS_OK && strcasecmp(json_string_value(other), id) == 0) {
                status = report_error(STATUS_USAGE, "job %s is named twice", id);
            }
        }
        if (status == STATUS_OK) {
            json_array_append_new(ids, json_string(id));
        }
        free(id);
    }
    return status;
}

/* The request: jobs or a query, what makes points, metrics, the curve. Complains. */
static enum status request_make(struct cli *cli, const char *metric, const struct bound *bound, json_t *request) {
    const char *q = argument_text(&cli->arguments, "query"), *by = argument_text(&cli->arguments, "by");
    enum status status = STATUS_OK;
    if ((q == NULL) == (cli->arguments.count == 0)) {
        return report_error(STATUS_USAGE, "modprop compare needs jobs or --query, and not both");
    }
    if (q != NULL) {
        json_object_set_new(request, "q", json_string(q));
    } else {
        json_t *ids = json_array();
        status = jobs_read(cli, ids);
        json_object_set_new(request, "jobs", ids);
    }
    if (by != NULL) {
        json_t *fields = json_array();
        size_t length;
        for (const char *rest = by, *one; rest != NULL && (one = option_list_next(&rest, &length)) != NULL;) {
            json_array_append_new(fields, json_stringn(one, length));
        }
        json_object_set_new(request, "by", fields);
    }
    json_object_set_new(request, "metrics", metrics_make(metric, bound));
    json_object_set_new(request, "curves", json_pack("[s]", metric));
    json_object_set_new(request, "seeds", json_true());
    return status;
}

static enum status request_send(struct cli *cli, const json_t *request, json_t **answer, struct text *body) {
    size_t size;
    char *text = json_text(request, &size);
    enum status status = cli_fetch(
        cli,
        &(const struct http_request){
            .method = "POST", .path = "/v1/compare", .type = "application/json", .body = text, .body_size = size},
        "compare the jobs", answer, body);
    free(text);
    return status;
}

static void table_show(const struct cli *cli, struct table *table) {
    table_print(table, &cli->out);
    table_release(table);
}

/* Jobs, then points where some have several seeds, then comparisons where there are several points. */
static void answer_print(const struct cli *cli, const json_t *answer) {
    const json_t *trials = json_object_get(answer, "trials"), *points = json_object_get(answer, "points"),
                 *comparisons = json_object_get(answer, "comparisons");
    struct table table;
    trials_table_make(&table, trials);
    table_show(cli, &table);
    if (json_array_size(points) < json_array_size(trials)) {
        putchar('\n');
        points_table_make(&table, points, false);
        table_show(cli, &table);
    }
    if (json_array_size(comparisons) > 0) {
        putchar('\n');
        comparisons_table_make(&table, comparisons);
        table_show(cli, &table);
    }
}

static enum status run(struct cli *cli) {
    const struct arguments *arguments = &cli->arguments;
    const char *metric = argument_text(arguments, "metric"), *plot = argument_text(arguments, "plot");
    struct bound bound = {0};
    struct text body = {0};
    json_t *request = json_object(), *answer = NULL;
    metric = metric == NULL ? "loss" : metric;
    enum status status = bound_read(arguments, metric, &bound);
    status = status == STATUS_OK ? plot_path_check("plot", plot) : status;
    status = status == STATUS_OK ? request_make(cli, metric, &bound, request) : status;
    status = status == STATUS_OK ? request_send(cli, request, &answer, &body) : status;
    if (status == STATUS_OK && cli->json) {
        cli_print(&body);
    } else if (status == STATUS_OK) {
        answer_print(cli, answer);
    }
    const json_t *curves = json_object_get(answer, "curves");
    bool here = plot == NULL && cli->out.is_terminal && !cli->json && !argument_is_set(arguments, "no-plot") &&
                json_array_size(curves) <= PLOT_POINTS;
    if (status == STATUS_OK && (here || plot != NULL)) {
        if (!cli->json && (here || strcmp(plot, "-") == 0)) {
            putchar('\n');
        }
        status = curves_plot(cli, curves, metric, plot);
    }
    json_decref(request);
    json_decref(answer);
    text_release(&body);
    return status;
}

static const struct option options[] = {
    {"query", 'Q', OPTION_TEXT, "QUERY", 0, 0, false,
     "the jobs that this finds, instead of names (modprop list --help)"},
    {"by", 0, OPTION_TEXT, "FIELD,...", 0, 0, false,
     "how jobs form points: name, task, rule, or a field such as rule.mu (default: all but the seed)"},
    {"plot", 'p', OPTION_FILE, "FILE", 0, 0, false,
     "draw the curves into FILE (.svg, or .png if gnuplot is installed), or here (-)"},
    {"no-plot", 0, OPTION_SWITCH, NULL, 0, 0, false, "no plot on a terminal"},
    {"metric", 'm', OPTION_TEXT, "NAME", 0, 0, false,
     "the curve that is compared: any column of the metrics (default loss)"},
    {"scale", 0, OPTION_CHOICE, "log|linear", 0, 0, false, "the plot's y axis (default log for a loss)"},
    {"under", 'u', OPTION_TEXT, "VALUE", 0, 0, false, "values under it count as learned (default " UNDER_DEFAULT ")"},
    {"over", 0, OPTION_TEXT, "VALUE", 0, 0, false,
     "values over it count as learned (the default for an accuracy, " OVER_DEFAULT ")"},
    OPTIONS_END,
};

const struct command command_compare = {
    .name = "compare",
    .group = "Results",
    .operands = "[JOB]...",
    .least = 0,
    .most = -1,
    .operand = OPERAND_JOB,
    .summary = "compare jobs in tables and a plot, with the server's statistics",
    .description =
        "Jobs that differ only in the seed form a point, named after what distinguishes it; --by groups them "
        "otherwise. There is a row for each job, then one for each point (medians with quartiles), then one for each "
        "comparison with the first point, paired by seed (experiment compare --help explains the columns). learned is "
        "the first "
        "of five evaluations in a row beyond the bound; a job that never got there, or diverged, shows as never, which "
        "ranks after all others.",
    .examples = "modprop compare $(modprop list --quiet --limit 6)\nmodprop compare --query 'tag:paper' --by rule "
                "--plot curves.svg\n",
    .options = options,
    .run = run,
};
