/*
 * modprop rerun: an exported experiment again, on the server at hand, and whether every bit agrees.
 *
 * What is compared stands in the export: of each trial the sha256 of its weights and its final metrics. Nothing is
 * reused from the server, so each trial is trained anew.
 */
#include <stdlib.h>
#include <string.h>

#include "api/caption.h"
#include "api/text.h"
#include "clients/cli/commands.h"
#include "clients/cli/digest.h"
#include "clients/cli/experiments.h"
#include "clients/cli/jobs.h"
#include "clients/cli/poll.h"
#include "clients/cli/report.h"
#include "clients/cli/seeds.h"
#include "clients/cli/submission.h"
#include "clients/cli/table.h"

extern const struct command command_rerun;

#define FILE_BYTES_MAX ((size_t)1 << 31)

struct rerunning {
    struct cli *cli;
    const char *directory;
    json_t *digests;    /* digests.txt: sha256 by name */
    json_t *weights;    /* the same of weights, by "POINT-SEED" */
    json_t *experiment; /* as the server made it */
    struct table table;
    json_t *rows; /* with --json */
    size_t compared, differ, damaged;
    bool other_build;
};

/* ---- the export ---- */

static enum status file_read(const struct rerunning *rerunning, const char *name, struct text *text) {
    char *path = memory_format("%s/%s", rerunning->directory, name);
    enum status status = file_read_whole(path, FILE_BYTES_MAX, text);
    free(path);
    return status;
}

/* Lines "sha256  name", and "# sha256  weights of POINT-SEED". */
static enum status digests_read(struct rerunning *rerunning) {
    struct text text = {0};
    enum status status = file_read(rerunning, "digests.txt", &text);
    if (status == STATUS_FAILED) {
        report_note("is %s a folder of modprop export?", rerunning->directory);
    }
    char *rest = text.data;
    for (char *line; status == STATUS_OK && (line = strsep(&rest, "\n")) != NULL;) {
        bool is_weights = strncmp(line, "# ", 2) == 0;
        char *sha256 = line + (is_weights ? 2 : 0), *name = strstr(sha256, is_weights ? "  weights of " : "  ");
        if (name != NULL) {
            *name = '\0';
            name += is_weights ? sizeof "  weights of " - 1 : 2;
            json_object_set_new(is_weights ? rerunning->weights : rerunning->digests, name, json_string(sha256));
        }
    }
    text_release(&text);
    return status;
}

/* Every file against its digest. A file that was changed is said, and counted; the rerun goes on. */
static enum status files_check(struct rerunning *rerunning) {
    const char *name;
    json_t *listed;
    enum status status = STATUS_OK;
    json_object_foreach(rerunning->digests, name, listed) {
        struct text text = {0};
        char digest[DIGEST_BYTES];
        status = status == STATUS_OK ? file_read(rerunning, name, &text) : status;
        if (status == STATUS_OK && strcmp(digest_of(text.data, text.size, digest), json_string_value(listed)) != 0) {
            rerunning->damaged++;
            report_note("%s was changed: its sha256 is not the one in digests.txt", name);
        }
        text_release(&text);
    }
    return status;
}

static enum status document_read(const struct rerunning *rerunning, const char *name, json_t **document) {
    struct text text = {0};
    json_error_t fault;
    *document = NULL;
    enum status status = file_read(rerunning, name, &text);
    if (status == STATUS_OK) {
        *document = json_loadb(text.data == NULL ? "" : text.data, text.size, 0, &fault);
        status = json_is_object(*document)
                     ? STATUS_OK
                     : report_error(STATUS_USAGE, "%s/%s is no JSON object", rerunning->directory, name);
    }
    text_release(&text);
    return status;
}

/* ---- the run ---- */

/* A name of its own, so that the experiment's stays that of one experiment where the server has both. */
static void rename_it(json_t *specification) {
    const char *name = json_string_value(json_object_get(specification, "name"));
    char *longer = name == NULL || *name == '\0' ? NULL : memory_format("%s (rerun)", name);
    if (longer != NULL && strlen(longer) <= CAPTION_NAME_MOST) {
        json_object_set_new(specification, "name", json_string(longer));
    } else {
        json_object_del(specification, "name");
    }
    free(longer);
}

/* Uploads a dataset of the export that the server does not have, or has in another version. */
static enum status dataset_send(struct rerunning *rerunning, const char *name, const char *sha256, const char *file) {
    char *escaped = http_escape(name), *path = memory_format("/v1/datasets/%s", escaped);
    const struct http_request question = {.path = path};
    struct http_answer answer;
    struct text text = {0};
    json_t *document = NULL;
    enum status status = http_perform(rerunning->cli->http, &question, &answer);
    if (status == STATUS_OK && answer.status == 200) {
        document = json_loadb(answer.body.data, answer.body.size, 0, NULL);
    }
    http_answer_release(&answer);
    const char *there = json_string_value(json_object_get(document, "sha256"));
    if (there != NULL && strcmp(there, sha256) != 0) {
        status = report_error(STATUS_USAGE,
                              "the server has another dataset under the name \"%s\"; rerun on a server of its own, or "
                              "store the export's with modprop datasets put %s %s/%s",
                              name, name, rerunning->directory, file);
    } else if (there == NULL) {
        status = file_read(rerunning, file, &text);
    }
    if (status == STATUS_OK && there == NULL) {
        const struct http_request upload = {.method = "PUT",
                                            .path = path,
                                            .type = "application/octet-stream",
                                            .body = text.data,
                                            .body_size = text.size};
        json_t *stored;
        status = cli_fetch(rerunning->cli, &upload, "store the dataset", &stored, NULL);
        json_decref(stored);
    }
    json_decref(document);
    text_release(&text);
    free(escaped);
    free(path);
    return status;
}

/* The datasets that the manifests name and the export holds. */
static enum status datasets_send(struct rerunning *rerunning) {
    const char *name;
    json_t *unused, *seen = json_object();
    enum status status = STATUS_OK;
    if (rerunning->cli->http == NULL) {
        rerunning->cli->http = http_create(&rerunning->cli->settings);
    }
    json_object_foreach(rerunning->digests, name, unused) {
        json_t *manifest = NULL;
        if (status == STATUS_OK && strncmp(name, "manifests/", 10) == 0) {
            status = document_read(rerunning, name, &manifest);
        }
        const char *sha256 = json_string_value(json_object_get(manifest, "dataset_sha256")),
                   *dataset = json_string_value(job_member(manifest, "config.task.name"));
        char *file = memory_format("datasets/%s.safetensors", sha256 == NULL ? "" : sha256);
        if (status == STATUS_OK && dataset != NULL && sha256 != NULL &&
            json_object_get(rerunning->digests, file) != NULL && json_object_get(seen, file) == NULL) {
            json_object_set_new(seen, file, json_true());
            status = dataset_send(rerunning, dataset, sha256, file);
        }
        free(file);
        json_decref(manifest);
    }
    json_decref(seen);
    return status;
}

static enum status submit(struct rerunning *rerunning) {
    struct cli *cli = rerunning->cli;
    const char *seeds = argument_text(&cli->arguments, "seeds");
    json_t *specification, *ranges = NULL;
    enum status status = document_read(rerunning, "experiment.json", &specification);
    if (status == STATUS_OK && seeds != NULL) {
        status = seeds_parse("seeds", seeds, EXPERIMENT_SEEDS_MAX, &ranges);
    }
    if (status == STATUS_OK) {
        size_t size;
        char *key = submission_key_make();
        json_object_set_new(specification, "reuse", json_string("none"));
        rename_it(specification);
        if (ranges != NULL) {
            json_object_set_new(specification, "seeds", ranges);
        }
        char *text = json_text(specification, &size);
        const struct http_request request = {.method = "POST",
                                             .path = "/v1/experiments",
                                             .type = "application/json",
                                             .body = text,
                                             .body_size = size,
                                             .idempotency_key = key};
        status = cli_fetch(cli, &request, "accept the experiment", &rerunning->experiment, NULL);
        free(text);
        free(key);
    }
    json_decref(specification);
    return status;
}

/* The experiment as it is now; a server that is away for a while is asked again later. */
static enum status look(struct poll *poll, const char *path, json_t **experiment) {
    enum status status = poll_get(poll, path, false, experiment);
    return status == STATUS_UNREACHABLE ? STATUS_OK : status;
}

/* Waits for its end: on a terminal with the live table of experiment follow, else with a remark for each change. */
static enum status wait_for_end(struct rerunning *rerunning) {
    const char *id = job_text(rerunning->experiment, "id");
    char *path = experiment_path(id, "");
    struct text before = {0};
    struct poll poll;
    enum status status = STATUS_OK;
    poll_init(&poll, rerunning->cli, "follow the experiment", NULL);
    if (rerunning->cli->out.is_terminal && !rerunning->cli->json) {
        status = experiment_follow(rerunning->cli, id, FOLLOW_LIVE, 0);
        status = status == STATUS_JOB ? STATUS_OK : status; /* failed trials are compared like others */
    }
    status = status == STATUS_OK ? look(&poll, path, &rerunning->experiment) : status;
    while (status == STATUS_OK && !experiment_has_ended(rerunning->experiment)) {
        struct text progress = {0};
        experiment_progress_put(rerunning->experiment, &progress);
        if (before.data == NULL || strcmp(before.data, progress.data) != 0) {
            report_note("%s trials", progress.data);
        }
        text_release(&before);
        before = progress;
        status = http_pause(0.5, NULL, NULL) ? look(&poll, path, &rerunning->experiment) : STATUS_INTERRUPTED;
    }
    text_release(&before);
    poll_release(&poll);
    free(path);
    return status;
}

/* ---- the comparison ---- */

/* Why the two manifests of a trial differ; NULL: every bit agrees. `listed`: the weights' sha256 in digests.txt. */
static const char *difference(const json_t *then, const json_t *now, const char *listed) {
    const char *weights = json_string_value(json_object_get(now, "weights_sha256"));
    const json_t *old = json_object_get(then, "weights_sha256");
    if (strcmp(job_status(then), job_status(now)) != 0) {
        return "it ended otherwise";
    }
    if (!json_equal(json_object_get(then, "dataset_sha256"), json_object_get(now, "dataset_sha256"))) {
        return "other data";
    }
    if (json_is_string(old) && (listed == NULL || strcmp(json_string_value(old), listed) != 0)) {
        return "digests.txt and the manifest name different weights";
    }
    if (json_is_string(old) && (weights == NULL || strcmp(json_string_value(old), weights) != 0)) {
        return "other weights";
    }
    return json_equal(json_object_get(then, "metrics"), json_object_get(now, "metrics")) ? NULL : "other metrics";
}

static void row_add(struct rerunning *rerunning, const char *key, const json_t *then, const json_t *now) {
    const char *listed = json_string_value(json_object_get(rerunning->weights, key)),
               *why = difference(then, now, listed);
    const char *weights = job_text(now, "weights_sha256");
    char shortened[17];
    rerunning->compared++;
    rerunning->differ += why != NULL;
    rerunning->other_build = rerunning->other_build ||
                             !json_equal(json_object_get(then, "build"), json_object_get(now, "build")) ||
                             !json_equal(json_object_get(then, "instruction_sets"),
                                         json_object_get(now, "instruction_sets"));
    snprintf(shortened, sizeof shortened, "%.16s", weights);
    table_add(&rerunning->table, key);
    table_add(&rerunning->table, shortened);
    table_add_painted(&rerunning->table, why == NULL ? "every bit agrees" : why, why == NULL ? PAINT_GREEN : PAINT_RED);
    json_array_append_new(rerunning->rows,
                          json_pack("{s:s, s:O, s:O?, s:O?, s:b, s:s?}", "trial", key, "job",
                                    json_object_get(now, "job"), "weights_sha256",
                                    json_object_get(now, "weights_sha256"), "exported_weights_sha256",
                                    json_object_get(then, "weights_sha256"), "agrees", why == NULL, "reason", why));
}

static enum status trial_compare(struct rerunning *rerunning, const json_t *trial) {
    char *key = memory_format("%s-%lld", job_text(trial, "point"),
                              (long long)json_integer_value(json_object_get(trial, "seed"))),
         *name = memory_format("manifests/%s.json", key), *path = job_path(job_text(trial, "job"), "/manifest");
    json_t *then = NULL, *now = NULL;
    enum status status = STATUS_OK;
    if (json_object_get(rerunning->digests, name) == NULL) {
        report_note("trial %s is not in the export, so that there is nothing to compare it with", key);
    } else {
        status = document_read(rerunning, name, &then);
        status = status == STATUS_OK ? cli_get(rerunning->cli, path, "read the manifest", &now) : status;
    }
    if (then != NULL && strcmp(job_status(then), "cancelled") == 0) {
        report_note("trial %s was cancelled before the export, so that there is nothing to compare it with", key);
    } else if (status == STATUS_OK && now != NULL) {
        row_add(rerunning, key, then, now);
    }
    json_decref(then);
    json_decref(now);
    free(key);
    free(name);
    free(path);
    return status;
}

static enum status compare(struct rerunning *rerunning) {
    json_t *trials, *trial;
    size_t index;
    enum status status = experiment_get(rerunning->cli, job_text(rerunning->experiment, "id"), "/trials", &trials);
    json_array_foreach(json_object_get(trials, "trials"), index, trial) {
        status = status == STATUS_OK ? trial_compare(rerunning, trial) : status;
    }
    json_decref(trials);
    return status;
}

/* The table, or the document, and the exit status that they come to. */
static enum status verdict(const struct rerunning *rerunning) {
    const struct cli *cli = rerunning->cli;
    bool agrees = rerunning->differ == 0 && rerunning->damaged == 0 && rerunning->compared > 0;
    if (cli->json) {
        json_t *said = json_pack("{s:O, s:b, s:b, s:I, s:O}", "experiment",
                                 json_object_get(rerunning->experiment, "id"), "agrees", agrees, "other_build",
                                 rerunning->other_build, "damaged_files", (json_int_t)rerunning->damaged, "trials",
                                 rerunning->rows);
        cli_print_json(said);
        json_decref(said);
        return agrees ? STATUS_OK : STATUS_JOB;
    }
    table_print(&rerunning->table, &cli->out);
    if (rerunning->other_build) {
        report_note(
            "the builds or instruction sets differ, and bits agree only between equal ones (core/MATHEMATICS.md, "
            "Same bits); the manifests name them");
    }
    printf("%zu of %zu trials agree in every bit%s\n", rerunning->compared - rerunning->differ, rerunning->compared,
           rerunning->damaged > 0 ? "; files of the export were changed" : "");
    return agrees ? STATUS_OK : STATUS_JOB;
}

static enum status rerun(struct cli *cli) {
    static const struct table_column columns[] = {
        {"TRIAL", false, false, 0}, {"WEIGHTS", false, false, 1}, {"RESULT", false, true, 0}};
    struct rerunning rerunning = {.cli = cli,
                                  .directory = cli->arguments.operands[0],
                                  .digests = json_object(),
                                  .weights = json_object(),
                                  .rows = json_array()};
    table_init(&rerunning.table, columns, sizeof columns / sizeof *columns);
    static enum status (*const steps[])(struct rerunning *) = {digests_read, files_check,  datasets_send,
                                                               submit,       wait_for_end, compare};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < sizeof steps / sizeof *steps && status == STATUS_OK; i++) {
        status = steps[i](&rerunning);
    }
    if (status == STATUS_INTERRUPTED && rerunning.experiment != NULL) {
        report_note("the experiment goes on; modprop experiment follow %s shows it",
                    job_text(rerunning.experiment, "id"));
    }
    status = status == STATUS_OK ? verdict(&rerunning) : status;
    table_release(&rerunning.table);
    json_decref(rerunning.digests);
    json_decref(rerunning.weights);
    json_decref(rerunning.rows);
    json_decref(rerunning.experiment);
    return status;
}

static const struct option options[] = {
    {"seeds", 0, OPTION_TEXT, "N,N-M,...", 0, 0, false, "these seeds alone, in place of all"},
    OPTIONS_END,
};

const struct command command_rerun = {
    .name = "rerun",
    .group = "Experiments",
    .operands = "DIR",
    .least = 1,
    .most = 1,
    .operand = OPERAND_FILE,
    .summary = "train an exported experiment again and compare every bit",
    .description =
        "DIR is what export wrote. The experiment is submitted to the server, which trains every trial anew, and each "
        "trial's weights and final metrics are compared with those of the export. Files that were changed since the "
        "export are named. The exit status is 1 where anything differs; builds that differ are named as a cause.",
    .examples = "modprop rerun supplement\n"
                "modprop rerun supplement --seeds 1-3\n",
    .options = options,
    .run = rerun,
};
