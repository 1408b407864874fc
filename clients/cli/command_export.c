/*
 * modprop export: an experiment as a folder, with all that a paper's supplement needs, which appears whole or not at
 * all. modprop rerun reads it again (command_rerun.c).
 *
 * Every number in it is the server's: tables as it writes them, figures and their CSV from one and the same answer.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/text.h"
#include "clients/cli/commands.h"
#include "clients/cli/digest.h"
#include "clients/cli/experiments.h"
#include "clients/cli/findings.h"
#include "clients/cli/folder.h"
#include "clients/cli/jobs.h"
#include "clients/cli/methods.h"
#include "clients/cli/report.h"

extern const struct command command_export;

struct exporting {
    struct cli *cli;
    struct folder folder;
    const char *id;
    json_t *experiment, *trials, *points;
    json_t *manifests;   /* by "POINT-SEED" */
    struct text weights; /* lines of digests.txt on weights */
    struct text remarks; /* lines of README.md on what is not here, which are said as notes too */
    struct text absent;  /* such lines on single trials, which are in README.md alone */
    size_t figures;
    bool pdf_fails;
};

/* A part of the experiment as the server writes it. */
static enum status part_write(struct exporting *exporting, const char *rest, const char *name) {
    struct http_answer answer;
    char *path = experiment_path(exporting->id, rest);
    const struct http_request request = {.path = path, .accept = "text/csv"};
    enum status status = cli_call(exporting->cli, &request, "read the experiment", &answer);
    if (status == STATUS_OK) {
        status = folder_write(&exporting->folder, name, answer.body.data, answer.body.size);
    }
    http_answer_release(&answer);
    free(path);
    return status;
}

static enum status tables_write(struct exporting *exporting) {
    enum status status = part_write(exporting, "/points", "tables/points.csv");
    status = status == STATUS_OK ? part_write(exporting, "/trials", "tables/trials.csv") : status;
    return status == STATUS_OK ? part_write(exporting, "/compare", "tables/compare.csv") : status;
}

static enum status json_write(struct exporting *exporting, const char *name, const json_t *document) {
    size_t size;
    char *text = json_line(document, &size);
    enum status status = folder_write(&exporting->folder, name, text, size);
    free(text);
    return status;
}

/* ---- figures ---- */

static void csv_text_put(struct text *text, const char *string) {
    text_add(text, "\"");
    for (const char *c = string; *c != '\0'; c++) {
        text_append(text, *c == '"' ? "\"\"" : c, *c == '"' ? 2 : 1);
    }
    text_add(text, "\"");
}

static void csv_number_put(struct text *text, const json_t *value) {
    char number[32] = "";
    if (json_is_integer(value)) {
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
    } else if (json_is_number(value)) {
        number_put(json_number_value(value), number);
    }
    text_printf(text, ",%s", number);
}

/* The rows of what a figure draws: its own curves, not another answer of the server. */
static void curves_csv_put(struct text *text, const json_t *curves) {
    static const char *const columns[] = {"iteration", "n", "median", "low", "high"};
    size_t index;
    json_t *curve;
    text_add(text, "point,label,key,iteration,n,median,low,high\n");
    json_array_foreach((json_t *)curves, index, curve) {
        for (size_t i = 0; i < json_array_size(json_object_get(curve, "iteration")); i++) {
            csv_text_put(text, job_text(curve, "point"));
            text_add(text, ",");
            csv_text_put(text, job_text(curve, "label"));
            text_printf(text, ",%s", job_text(curve, "key"));
            for (size_t k = 0; k < sizeof columns / sizeof *columns; k++) {
                csv_number_put(text, json_array_get(json_object_get(curve, columns[k]), i));
            }
            text_add(text, "\n");
        }
    }
}

/* One figure of at most PLOT_POINTS curves: SVG, CSV and, where gnuplot does it, PDF. */
static enum status figure_write(struct exporting *exporting, const json_t *curves, const char *key, size_t number) {
    char *begin = number == 1 ? memory_format("figures/%s", key) : memory_format("figures/%s-%zu", key, number);
    static const char *const endings[] = {"svg", "csv", "pdf"};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < 3 && status == STATUS_OK; i++) {
        struct text bytes = {0};
        char *name = memory_format("%s.%s", begin, endings[i]);
        bool drawn = true;
        if (i == 1) {
            curves_csv_put(&bytes, curves);
        } else {
            drawn = curves_figure_put(&bytes, curves, key, i == 2) == STATUS_OK;
        }
        exporting->pdf_fails = exporting->pdf_fails || !drawn;
        status = drawn ? folder_write(&exporting->folder, name, bytes.data, bytes.size) : STATUS_OK;
        text_release(&bytes);
        free(name);
    }
    exporting->figures++;
    free(begin);
    return status;
}

static bool curve_has_values(const json_t *curve) {
    size_t index;
    json_t *value;
    json_array_foreach(json_object_get(curve, "median"), index, value) {
        if (json_is_number(value)) {
            return true;
        }
    }
    return false;
}

/* The curves of a key by panels, a figure each, and at most PLOT_POINTS curves in each. */
static enum status key_write(struct exporting *exporting, const char *key) {
    char *escaped = http_escape(key), *rest = memory_format("/curves?keys=%s", escaped);
    json_t *document = NULL, *curve, *curves = json_array();
    size_t index, number = 0;
    const char *panel = "";
    enum status status = experiment_get(exporting->cli, exporting->id, rest, &document);
    json_array_foreach(json_object_get(document, "curves"), index, curve) {
        bool full = json_array_size(curves) == PLOT_POINTS || strcmp(panel, job_text(curve, "panel")) != 0;
        if (status == STATUS_OK && full && json_array_size(curves) > 0) {
            status = figure_write(exporting, curves, key, ++number);
            json_array_clear(curves);
        }
        panel = job_text(curve, "panel");
        if (curve_has_values(curve)) {
            json_array_append(curves, curve);
        }
    }
    if (status == STATUS_OK && json_array_size(curves) > 0) {
        status = figure_write(exporting, curves, key, ++number);
    }
    json_decref(curves);
    json_decref(document);
    free(escaped);
    free(rest);
    return status;
}

/* The loss, the accuracy, and what else the experiment's metrics are of. */
static enum status figures_write(struct exporting *exporting) {
    static const char *const of[] = {"final", "best", "area"};
    json_t *keys = json_pack("{s:b, s:b}", "loss", true, "accuracy", true), *metric, *unused;
    const char *key;
    size_t index;
    enum status status = STATUS_OK;
    json_array_foreach(job_member(exporting->experiment, "specification.metrics"), index, metric) {
        for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
            key = json_string_value(json_object_get(metric, of[i]));
            if (key != NULL && strchr(key, '/') == NULL && *key != '.') {
                json_object_set_new(keys, key, json_true());
            }
        }
    }
    json_object_foreach(keys, key, unused) {
        status = status == STATUS_OK ? key_write(exporting, key) : status;
    }
    json_decref(keys);
    if (exporting->pdf_fails) {
        text_add(&exporting->remarks, "- The figures are SVG alone: no gnuplot that draws PDF was installed.\n");
    }
    if (status == STATUS_OK && exporting->figures == 0) {
        text_add(&exporting->remarks, "- There is no figure: no trial has results.\n");
    }
    return status;
}

/* ---- manifests ---- */

static enum status manifest_write(struct exporting *exporting, const json_t *trial) {
    const char *point = job_text(trial, "point"), *state = job_text(trial, "status");
    long long seed = (long long)json_integer_value(json_object_get(trial, "seed"));
    char *key = memory_format("%s-%lld", point, seed), *path = job_path(job_text(trial, "job"), "/manifest"),
         *name = memory_format("manifests/%s.json", key);
    json_t *manifest = NULL;
    enum status status = STATUS_OK;
    if (json_is_true(json_object_get(trial, "archived"))) {
        text_printf(&exporting->absent,
                    "- Trial %s has no manifest: retention has deleted its job. Its numbers are in the tables.\n", key);
    } else if (strcmp(state, "succeeded") != 0 && strcmp(state, "failed") != 0 && strcmp(state, "cancelled") != 0) {
        text_printf(&exporting->absent, "- Trial %s has no manifest: it is %s.\n", key, state);
    } else {
        if (strcmp(state, "cancelled") == 0) {
            text_printf(&exporting->absent, "- Trial %s has no results: it was cancelled.\n", key);
        }
        status = cli_get(exporting->cli, path, "read the manifest", &manifest);
    }
    if (manifest != NULL) {
        const char *weights = json_string_value(json_object_get(manifest, "weights_sha256"));
        status = json_write(exporting, name, manifest);
        json_object_set_new(exporting->manifests, key, manifest);
        if (weights != NULL) {
            text_printf(&exporting->weights, "# %s  weights of %s\n", weights, key);
        }
    }
    free(key);
    free(path);
    free(name);
    return status;
}

static enum status manifests_write(struct exporting *exporting) {
    size_t index;
    json_t *trial;
    enum status status = STATUS_OK;
    json_array_foreach(json_object_get(exporting->trials, "trials"), index, trial) {
        status = status == STATUS_OK ? manifest_write(exporting, trial) : status;
    }
    return status;
}

/* ---- datasets ---- */

/* The file of a dataset, where the server still has the version that the trials used. */
static enum status dataset_write(struct exporting *exporting, const char *name, const char *sha256) {
    char *escaped = http_escape(name), *path = memory_format("/v1/datasets/%s", escaped), digest[DIGEST_BYTES];
    struct http_answer answer;
    const struct http_request request = {.path = path, .accept = "application/octet-stream"};
    enum status status = cli_call(exporting->cli, &request, "read the dataset", &answer);
    if (status == STATUS_OK && strcmp(digest_of(answer.body.data, answer.body.size, digest), sha256) == 0) {
        char *file = memory_format("datasets/%s.safetensors", sha256);
        status = folder_write(&exporting->folder, file, answer.body.data, answer.body.size);
        free(file);
    } else if (status == STATUS_OK) {
        text_printf(&exporting->remarks,
                    "- Dataset %s is not here: the server has a newer version than the trials used (sha256 %s).\n",
                    name, sha256);
    }
    http_answer_release(&answer);
    free(escaped);
    free(path);
    return status;
}

static enum status datasets_write(struct exporting *exporting) {
    const char *key;
    json_t *manifest, *seen = json_object();
    enum status status = STATUS_OK;
    json_object_foreach(exporting->manifests, key, manifest) {
        const char *sha256 = json_string_value(json_object_get(manifest, "dataset_sha256")),
                   *task = job_text(manifest, "config.task.type"), *name = job_text(manifest, "config.task.name");
        if (status != STATUS_OK || sha256 == NULL || json_object_get(seen, sha256) != NULL) {
            continue;
        }
        json_object_set_new(seen, sha256, json_true());
        if (strcmp(task, "dataset") != 0) {
            text_printf(&exporting->remarks, "- The data of %s are public; the sha256 of what was used is %s.\n", task,
                        sha256);
        } else if (argument_is_set(&exporting->cli->arguments, "digests")) {
            text_printf(&exporting->remarks, "- Dataset %s is not here, as --digests asked: its sha256 is %s.\n", name,
                        sha256);
        } else {
            status = dataset_write(exporting, name, sha256);
        }
    }
    json_decref(seen);
    return status;
}

/* ---- texts ---- */

static enum status texts_write(struct exporting *exporting) {
    struct text methods = {0}, references = {0}, readme = {0};
    methods_put(&methods, &references, exporting->experiment, json_object_get(exporting->points, "points"),
                exporting->manifests);
    enum status status = folder_write(&exporting->folder, "methods.md", methods.data, methods.size);
    if (status == STATUS_OK) {
        status = folder_write(&exporting->folder, "references.bib", references.data, references.size);
    }
    const char *name = json_string_value(json_object_get(exporting->experiment, "name"));
    text_printf(&readme,
                "# %s\n\nAn experiment of ModProp, exported by modprop %s.\n\n"
                "| file | content |\n| --- | --- |\n"
                "| experiment.json | the specification; `modprop experiment run experiment.json` runs it |\n"
                "| methods.md, references.bib | how it was done, as text for a paper, and what it cites |\n"
                "| figures/ | curves over seeds, and as CSV exactly what is drawn |\n"
                "| tables/ | points (conditions), trials and paired comparisons, with every statistic |\n"
                "| manifests/POINT-SEED.json | of each trial the configuration, build, digests and final metrics |\n"
                "| datasets/ | the uploaded data that were used, each named by its sha256 |\n"
                "| digests.txt | sha256 of every file (`sha256sum -c digests.txt`) and of each trial's weights |\n\n"
                "`modprop rerun DIR` trains everything again on the server that you name and says whether every bit "
                "agrees.\n",
                name == NULL || *name == '\0' ? "Experiment" : name, MODPROP_VERSION);
    if (exporting->remarks.size + exporting->absent.size > 0) {
        text_printf(&readme, "\nWhat is not here:\n\n%s%s", exporting->remarks.size == 0 ? "" : exporting->remarks.data,
                    exporting->absent.size == 0 ? "" : exporting->absent.data);
    }
    if (status == STATUS_OK) {
        status = folder_write(&exporting->folder, "README.md", readme.data, readme.size);
    }
    text_release(&methods);
    text_release(&references);
    text_release(&readme);
    return status;
}

/* digests.txt, which does not list itself. */
static enum status digests_write(struct exporting *exporting) {
    struct text all = {0};
    text_append(&all, exporting->folder.digests.data, exporting->folder.digests.size);
    text_append(&all, exporting->weights.size == 0 ? "" : exporting->weights.data, exporting->weights.size);
    enum status status = folder_write(&exporting->folder, "digests.txt", all.data, all.size);
    text_release(&all);
    return status;
}

static enum status all_write(struct exporting *exporting) {
    static enum status (*const parts[])(struct exporting *) = {tables_write,   figures_write, manifests_write,
                                                               datasets_write, texts_write,   digests_write};
    enum status status = json_write(exporting, "experiment.json",
                                    json_object_get(exporting->experiment, "specification"));
    for (size_t i = 0; i < sizeof parts / sizeof *parts && status == STATUS_OK; i++) {
        status = parts[i](exporting);
    }
    return status;
}

/* Whether the figures show this trial: those that succeeded, and those that failed because they diverged. */
static bool is_drawn(const json_t *trial) {
    return strcmp(job_text(trial, "status"), "succeeded") == 0 || json_is_true(json_object_get(trial, "diverged"));
}

/* What is missing, on standard error, where scripts do not take it for output. Single trials are counted here. */
static void remarks_say(const struct exporting *exporting) {
    const json_t *trials = json_object_get(exporting->trials, "trials");
    const char *state = job_status(exporting->experiment);
    bool ended = experiment_has_ended(exporting->experiment);
    size_t index, drawn = 0, count = json_array_size(trials);
    json_t *trial;
    json_array_foreach((json_t *)trials, index, trial) {
        drawn += is_drawn(trial);
    }
    if (!ended || (drawn < count && strcmp(state, "cancelled") == 0)) {
        report_note("the experiment %s %s: %zu of %zu trials are in the figures (README.md lists the rest)%s",
                    ended                           ? "was"
                    : strcmp(state, "running") == 0 ? "is still"
                                                    : "is",
                    state, drawn, count, ended ? "" : "; export again when it has ended");
    } else if (exporting->absent.size > 0) {
        report_note("some trials have no manifest or no results; README.md lists them");
    }
    for (const char *line = exporting->remarks.data; line != NULL && *line != '\0'; line = strchr(line, '\n') + 1) {
        report_note("%.*s", (int)strcspn(line + 2, "\n"), line + 2); /* without its "- " */
    }
}

static enum status export_run(struct cli *cli) {
    const char *directory = cli->arguments.operands[1];
    struct exporting exporting = {.cli = cli, .manifests = json_object()};
    enum status status = experiment_get(cli, cli->arguments.operands[0], "", &exporting.experiment);
    if (status == STATUS_REFUSED) {
        report_note("export writes experiments; a single job's curve: modprop compare JOB --plot FILE.svg");
    } else if (status == STATUS_OK) {
        exporting.id = job_text(exporting.experiment, "id");
        status = experiment_get(cli, exporting.id, "/trials", &exporting.trials);
    }
    status = status == STATUS_OK ? experiment_get(cli, exporting.id, "/points", &exporting.points) : status;
    if (status == STATUS_OK && !experiment_has_ended(exporting.experiment)) {
        text_printf(&exporting.absent, "- What was still to run: the experiment was %s when it was exported.\n",
                    job_status(exporting.experiment));
    }
    status = status == STATUS_OK ? folder_open(&exporting.folder, directory) : status;
    status = status == STATUS_OK ? all_write(&exporting) : status;
    status = folder_close(&exporting.folder, status);
    if (status == STATUS_OK && cli->json) {
        json_t *said = json_pack("{s:s, s:s, s:I, s:I}", "experiment", exporting.id, "directory", directory, "figures",
                                 (json_int_t)exporting.figures, "manifests",
                                 (json_int_t)json_object_size(exporting.manifests));
        cli_print_json(said);
        json_decref(said);
    } else if (status == STATUS_OK) {
        printf("%s: %zu figure%s, %zu manifest%s\n", terminal_shown(directory), exporting.figures,
               exporting.figures == 1 ? "" : "s", json_object_size(exporting.manifests),
               json_object_size(exporting.manifests) == 1 ? "" : "s");
        remarks_say(&exporting);
    }
    json_decref(exporting.experiment);
    json_decref(exporting.trials);
    json_decref(exporting.points);
    json_decref(exporting.manifests);
    text_release(&exporting.weights);
    text_release(&exporting.remarks);
    text_release(&exporting.absent);
    return status;
}

static const struct option options[] = {
    {"digests", 0, OPTION_SWITCH, NULL, 0, 0, false, "of datasets their sha256 alone, not the files"},
    OPTIONS_END,
};

const struct command command_export = {
    .name = "export",
    .group = "Experiments",
    .operands = "EXPERIMENT DIR",
    .least = 2,
    .most = 2,
    .operand = OPERAND_EXPERIMENT,
    .summary = "write an experiment as a folder: figures, tables, manifests, methods",
    .description =
        "DIR must not exist, or be empty; it appears complete or not at all. It holds figures at column width (SVG, "
        "and "
        "PDF if gnuplot draws it) with the CSV of what they show, tables, the specification, each trial's manifest, "
        "uploaded datasets, a methods text made from the configuration, its references (BibTeX), and the sha256 of "
        "every file and of each trial's weights. EXPERIMENT is an id, the beginning of one, a name, or latest.",
    .examples = "modprop export latest supplement\n"
                "modprop export rules supplement --digests\n",
    .options = options,
    .run = export_run,
};
