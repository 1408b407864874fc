/*
 * modprop datasets, and its put, get, show and delete: data of the user's own.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "api/text.h"
#include "clients/cli/commands.h"
#include "clients/cli/format.h"
#include "clients/cli/jobs.h"
#include "clients/cli/npz.h"
#include "clients/cli/report.h"
#include "clients/cli/table.h"

extern const struct command command_datasets, command_datasets_put, command_datasets_get, command_datasets_show,
    command_datasets_delete;

static char *dataset_path(const char *name) {
    char *escaped = http_escape(name), *path = memory_format("/v1/datasets/%s", escaped);
    free(escaped);
    return path;
}

static void number_add(struct table *table, const json_t *dataset, const char *name) {
    const json_t *value = json_object_get(dataset, name);
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value));
    table_add(table, json_is_integer(value) ? text : "-");
}

static void row_add(struct table *table, const json_t *dataset) {
    char text[FORMAT_BYTES];
    const json_t *size = json_object_get(dataset, "size");
    table_add(table, job_text(dataset, "name"));
    number_add(table, dataset, "steps");
    number_add(table, dataset, "trials");
    number_add(table, dataset, "test_trials");
    number_add(table, dataset, "inputs");
    number_add(table, dataset, "outputs");
    table_add(table, json_is_number(size) ? format_bytes(json_number_value(size), text) : "-");
    table_add(table, job_text(dataset, "sha256"));
}

/* One page: printed as JSON, or its rows into the table. *after: the name behind which the next page begins, or NULL.
 */
static enum status page_add(struct cli *cli, struct table *table, char **after) {
    json_t *document, *dataset;
    struct text body;
    size_t index;
    char *escaped = *after == NULL ? NULL : http_escape(*after);
    char *path = escaped == NULL ? memory_copy("/v1/datasets") : memory_format("/v1/datasets?after=%s", escaped);
    enum status status = cli_fetch(cli, &(const struct http_request){.path = path}, "list the datasets", &document,
                                   &body);
    json_array_foreach(json_object_get(document, "datasets"), index, dataset) {
        row_add(table, dataset);
    }
    if (status == STATUS_OK && cli->json) {
        cli_print(&body);
    }
    const char *next = json_string_value(json_object_get(document, "next"));
    free(*after);
    *after = status == STATUS_OK && next != NULL ? memory_copy(next) : NULL;
    json_decref(document);
    text_release(&body);
    free(path);
    free(escaped);
    return status;
}

static enum status list(struct cli *cli) {
    static const struct table_column columns[] = {{"NAME", false, true, 0},   {"STEPS", true, false, 0},
                                                  {"TRIALS", true, false, 0}, {"TEST", true, false, 2},
                                                  {"INPUTS", true, false, 0}, {"OUTPUTS", true, false, 0},
                                                  {"SIZE", true, false, 1},   {"SHA256", false, true, 3}};
    struct table table;
    char *after = NULL;
    enum status status;
    table_init(&table, columns, 8);
    do {
        status = page_add(cli, &table, &after);
    } while (after != NULL);
    if (status == STATUS_OK && !cli->json && table.cell_count == 0) {
        report_note("no datasets yet; modprop datasets put stores one");
    } else if (status == STATUS_OK && !cli->json) {
        table_print(&table, &cli->out);
    }
    table_release(&table);
    return status;
}

/* Members a line each, as the server names them. */
static void dataset_print(const json_t *dataset) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)dataset, name, value) {
        if (strcmp(name, "links") == 0) {
            continue;
        }
        char *text = value_words(value);
        printf("%-12s %s\n", terminal_shown(name), terminal_shown(text));
        free(text);
    }
}

/* The call on one dataset; its document, if any comes, is shown. */
static enum status one(struct cli *cli, const struct http_request *request, const char *doing, const char *done) {
    json_t *document;
    struct text body;
    enum status status = cli_fetch(cli, request, doing, &document, &body);
    if (status == STATUS_OK && cli->json && document == NULL) {
        json_t *words = json_pack("{s:s, s:s}", "name", cli->arguments.operands[0], "status",
                                  done); /* the server has none for it */
        cli_print_json(words);
        json_decref(words);
    } else if (status == STATUS_OK && cli->json) {
        cli_print(&body);
    } else if (status == STATUS_OK && document != NULL) {
        dataset_print(document);
    } else if (status == STATUS_OK) {
        printf("%s  %s\n", cli->arguments.operands[0], done);
    }
    json_decref(document);
    text_release(&body);
    return status;
}

static enum status put(struct cli *cli) {
    const char *name = cli->arguments.operands[0], *file = cli->arguments.operands[1];
    bool is_stdin = strcmp(file, "-") == 0;
    FILE *upload = is_stdin ? stdin : fopen(file, "re");
    struct stat about = {0};
    if (upload == NULL) {
        return report_error(STATUS_FAILED, "cannot read %s: %s", file, strerror(errno));
    }
    if (fstat(fileno(upload), &about) == 0 && S_ISDIR(about.st_mode)) {
        fclose(upload);
        return report_error(STATUS_USAGE, "%s is a directory; a dataset is one file, safetensors or npz", file);
    }
    int64_t size = S_ISREG(about.st_mode) ? (int64_t)about.st_size : -1;
    if (size >= 0 && !is_stdin && npz_is(upload)) {
        fclose(upload);
        enum status converted = npz_convert(file, &upload, &size);
        if (converted != STATUS_OK) {
            return converted;
        }
    }
    char *path = dataset_path(name);
    const struct http_request request = {
        .method = "PUT", .path = path, .type = "application/octet-stream", .upload = upload, .upload_size = size};
    enum status status = one(cli, &request, "store the dataset", "stored");
    if (!is_stdin) {
        fclose(upload);
    }
    free(path);
    return status;
}

static enum status get(struct cli *cli) {
    const char *name = cli->arguments.operands[0], *output = argument_text(&cli->arguments, "output");
    if ((output == NULL || strcmp(output, "-") == 0) && cli->out.is_terminal) {
        return report_error(STATUS_USAGE,
                            "safetensors are bytes that a terminal cannot show: give --output FILE, or a pipe");
    }
    char *path = dataset_path(name);
    enum status status = cli_copy(cli, path, "application/octet-stream", "read the dataset");
    free(path);
    return status;
}

static enum status show(struct cli *cli) {
    char *path = dataset_path(cli->arguments.operands[0]);
    enum status status = one(cli, &(const struct http_request){.path = path}, "show the dataset", "");
    free(path);
    return status;
}

static enum status delete(struct cli *cli) {
    char *path = dataset_path(cli->arguments.operands[0]);
    enum status status = one(cli, &(const struct http_request){.method = "DELETE", .path = path}, "delete the dataset",
                             "deleted");
    free(path);
    return status;
}

const struct command command_datasets = {
    .name = "datasets",
    .group = "Data",
    .operands = "",
    .least = 0,
    .most = 0,
    .summary = "list the datasets",
    .description =
        "A dataset is what task.type=dataset trains on: a safetensors or npz file with inputs (T,B,I), "
        "targets (B, T,B or T,B,O), and if wanted mask (T,B) and the same with test_ in front. T steps, B "
        "trials, I inputs, O outputs; targets of one or two dimensions are classes. Inputs that are spikes are "
        "lists instead, spikes_trials, spikes_times and spikes_units, in the order of trials and times, and "
        "shape, which is [T,B,I].",
    .examples = "modprop datasets\nmodprop datasets put digits digits.safetensors\nmodprop submit --task dataset --set "
                "task.name=digits\n",
    .run = list,
};

const struct command command_datasets_put = {
    .name = "datasets put",
    .group = "Data",
    .operands = "NAME FILE",
    .least = 2,
    .most = 2,
    .operand = OPERAND_FILE,
    .summary = "store a file of arrays, safetensors or npz, under a name",
    .description = "Sends FILE (- is standard input, which must be safetensors). A file that numpy.savez or "
                   "savez_compressed wrote is sent as safetensors, with its values as they are; its arrays have the "
                   "names that modprop datasets --help lists. The server checks everything and returns shapes and "
                   "sha256. The Python package makes such files of sequences, time series and recordings of spikes: "
                   "python -m modprop.datasets --help.",
    .examples = "modprop datasets put digits digits.safetensors\nmodprop datasets put digits digits.npz\n",
    .run = put,
};

static const struct option get_options[] = {
    {"output", 'o', OPTION_FILE, "FILE", 0, 0, false, "write to FILE, which appears whole or not at all"},
    OPTIONS_END,
};

const struct command command_datasets_get = {
    .name = "datasets get",
    .group = "Data",
    .operands = "NAME",
    .least = 1,
    .most = 1,
    .operand = OPERAND_DATASET,
    .summary = "save a dataset as the safetensors file that was stored",
    .description = "Copies the newest version of the dataset, byte for byte as it was put.",
    .examples = "modprop datasets get digits -o digits.safetensors\n",
    .options = get_options,
    .run = get,
};

const struct command command_datasets_show = {
    .name = "datasets show",
    .group = "Data",
    .operands = "NAME",
    .least = 1,
    .most = 1,
    .operand = OPERAND_DATASET,
    .summary = "show a dataset's shapes and sha256",
    .description = "Shows what the server recorded when the dataset was stored.",
    .examples = "modprop datasets show digits\n",
    .run = show,
};

const struct command command_datasets_delete = {
    .name = "datasets delete",
    .group = "Data",
    .operands = "NAME",
    .least = 1,
    .most = 1,
    .operand = OPERAND_DATASET,
    .summary = "delete a dataset",
    .description = "Deletes the dataset's name. Versions that jobs use stay until those jobs are deleted.",
    .examples = "modprop datasets delete digits\n",
    .run = delete,
};
