/*
 * modprop experiment: run, list, show, follow, extend, edit, and what stops or deletes one.
 */
#include <stdlib.h>
#include <string.h>

#include "api/text.h"
#include "clients/cli/commands.h"
#include "clients/cli/experiments.h"
#include "clients/cli/findings.h"
#include "clients/cli/format.h"
#include "clients/cli/jobs.h"
#include "clients/cli/report.h"
#include "clients/cli/seeds.h"
#include "clients/cli/submission.h"

extern const struct command command_experiment, command_experiment_list, command_experiment_run,
    command_experiment_validate, command_experiment_show, command_experiment_follow, command_experiment_extend,
    command_experiment_pause, command_experiment_resume, command_experiment_cancel, command_experiment_retry,
    command_experiment_delete;

/* ---- list ---- */

static void list_print(const struct cli *cli, const json_t *experiments) {
    static const struct table_column columns[] = {{"EXPERIMENT", false, false, 0}, {"NAME", false, true, 0},
                                                  {"POINTS", true, false, 2},      {"TRIALS", true, false, 0},
                                                  {"STATUS", false, false, 0},     {"AGE", true, false, 1}};
    struct table table;
    size_t index;
    json_t *experiment;
    char text[FORMAT_BYTES], id[64];
    const char **ids = memory_allocate(json_array_size(experiments), sizeof *ids);
    json_array_foreach((json_t *)experiments, index, experiment) {
        ids[index] = job_text(experiment, "id");
    }
    int characters = cli->out.is_terminal ? job_prefix_length(ids, json_array_size(experiments)) : JOB_ID_CHARACTERS;
    table_init(&table, columns, 6);
    json_array_foreach((json_t *)experiments, index, experiment) {
        struct text progress = {0};
        snprintf(id, sizeof id, "%.*s", characters, job_text(experiment, "id"));
        table_add(&table, id);
        table_add(&table, json_string_value(json_object_get(experiment, "name")));
        snprintf(text, sizeof text, "%lld", (long long)json_integer_value(json_object_get(experiment, "points")));
        table_add(&table, text);
        experiment_progress_put(experiment, &progress);
        table_add(&table, progress.data);
        table_add_painted(&table, job_status(experiment), experiment_paint(job_status(experiment)));
        table_add(&table, format_age(json_object_get(experiment, "created_at"), text));
        text_release(&progress);
    }
    table_print(&table, &cli->out);
    table_release(&table);
    free(ids);
}

static enum status experiments_get(struct cli *cli, long long limit, json_t **all, char **next) {
    const char *q = argument_text(&cli->arguments, "query");
    char *escaped = q == NULL ? NULL : http_escape(q),
         *query = escaped == NULL ? memory_copy("") : memory_format("&q=%s", escaped);
    enum status status;
    *all = json_array();
    *next = NULL;
    do {
        json_t *page = NULL;
        status = cli_get_page(cli, "experiments", query, *next, limit - (long long)json_array_size(*all), &page);
        json_array_extend(*all, json_object_get(page, "experiments"));
        const char *cursor = json_string_value(json_object_get(page, "next"));
        free(*next);
        *next = cursor == NULL ? NULL : memory_copy(cursor);
        json_decref(page);
    } while (status == STATUS_OK && *next != NULL && (long long)json_array_size(*all) < limit);
    free(escaped);
    free(query);
    return status;
}

static enum status list(struct cli *cli) {
    json_t *all, *experiment;
    char *next;
    size_t index;
    enum status status = experiments_get(cli, argument_integer(&cli->arguments, "limit", 20), &all, &next);
    if (status == STATUS_OK && cli->json) {
        json_t *document = json_pack("{s:O, s:s?}", "experiments", all, "next", next);
        cli_print_json(document);
        json_decref(document);
    } else if (status == STATUS_OK && argument_is_set(&cli->arguments, "quiet")) {
        json_array_foreach(all, index, experiment) {
            puts(terminal_shown(job_text(experiment, "id")));
        }
    } else if (status == STATUS_OK && json_array_size(all) == 0) {
        report_note("no experiments%s", argument_is_set(&cli->arguments, "query")
                                            ? " of this kind"
                                            : " yet; modprop experiment run --task delayed_xor --rule bptt,eprop "
                                              "--seeds 1-10 makes one");
    } else if (status == STATUS_OK) {
        list_print(cli, all);
        if (next != NULL) {
            report_note("there are more; --limit shows them");
        }
    }
    json_decref(all);
    free(next);
    return status;
}

/* ---- validate ---- */

static enum status validate(struct cli *cli) {
    static const struct {
        const char *member, *words;
        bool is_bytes;
    } numbers[] = {{"points", "points", false},
                   {"trials", "trials", false},
                   {"estimate.core_hours", "core-hours", false},
                   {"estimate.multiply_adds", "multiply-adds", false},
                   {"estimate.bytes", "stored", true},
                   {"estimate.memory_bytes", "memory of a trial", true}};
    json_t *answer;
    struct text body;
    char text[FORMAT_BYTES];
    enum status status = experiment_send(cli, "/v1/experiments:validate", NULL, &answer, &body);
    if (status == STATUS_OK && cli->json) {
        cli_print(&body);
    } else if (status == STATUS_OK) {
        printf("%sthe experiment is valid%s\n", terminal_paint(&cli->out, PAINT_GREEN),
               terminal_paint(&cli->out, PAINT_NONE));
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
            const json_t *value = job_member(answer, numbers[i].member);
            if (json_is_number(value)) {
                double number = json_number_value(value);
                printf("%-20s %s%s\n", numbers[i].words,
                       numbers[i].is_bytes ? format_bytes(number, text) : format_count(number, text),
                       strstr(numbers[i].member, "hours") != NULL ? " (at the speed of recent jobs here)" : "");
            }
        }
    }
    json_decref(answer);
    text_release(&body);
    return status;
}

/* ---- show, follow ---- */

static enum status show(struct cli *cli) {
    const char *word = cli->arguments.operands[0];
    json_t *experiment, *points = NULL;
    struct text text = {0};
    enum status status = experiment_get(cli, word, "", &experiment);
    if (status == STATUS_OK && cli->json) {
        cli_print_json(experiment);
        json_decref(experiment);
        return STATUS_OK;
    }
    if (status == STATUS_OK) {
        status = experiment_get(cli, job_text(experiment, "id"), "/points", &points);
    }
    if (status == STATUS_OK) {
        const char *name = json_string_value(json_object_get(experiment, "name")),
                   *notes = json_string_value(json_object_get(experiment, "notes")), *state = job_status(experiment),
                   *reason = json_string_value(json_object_get(experiment, "reason"));
        struct table table;
        experiment_progress_put(experiment, &text);
        printf("%s%s%s\n", terminal_shown(job_text(experiment, "id")), name == NULL ? "" : "  ", terminal_shown(name));
        printf("%s%s%s, %s trials%s%s\n", terminal_paint(&cli->out, experiment_paint(state)), terminal_shown(state),
               terminal_paint(&cli->out, PAINT_NONE), text.data, reason == NULL ? "" : ": ", terminal_shown(reason));
        if (notes != NULL && *notes != '\0') {
            printf("%s\n", terminal_shown(notes));
        }
        putchar('\n');
        points_table_make(&table, json_object_get(points, "points"), !experiment_has_ended(experiment));
        table_print(&table, &cli->out);
        table_release(&table);
    }
    text_release(&text);
    json_decref(experiment);
    json_decref(points);
    return status;
}

static enum status follow(struct cli *cli) {
    char *id;
    enum status status = experiment_resolve(cli, cli->arguments.operands[0], &id);
    if (status == STATUS_OK) {
        status = experiment_follow(cli, id, follow_form_choose(cli),
                                   (long)argument_integer(&cli->arguments, "patience", 0));
    }
    free(id);
    return status;
}

/* ---- extend, pause, resume, cancel, retry, delete ---- */

/* One call of an experiment by any word for it; prints what it is then. */
static enum status experiment_call(struct cli *cli, const char *word, const char *method, const char *rest,
                                   const json_t *document, const char *doing) {
    char *id, *path = NULL, *text = NULL;
    json_t *answer = NULL;
    struct text body = {0};
    size_t size = 0;
    enum status status = experiment_resolve(cli, word, &id);
    if (status == STATUS_OK) {
        path = experiment_path(id, rest);
        text = document == NULL ? NULL : json_text(document, &size);
        status = cli_fetch(cli,
                           &(const struct http_request){.method = method,
                                                        .path = path,
                                                        .type = document == NULL ? NULL : "application/json",
                                                        .body = text,
                                                        .body_size = size},
                           doing, &answer, &body);
    }
    if (status == STATUS_OK && cli->json && answer != NULL) {
        cli_print(&body);
    } else if (status == STATUS_OK) {
        const char *state = answer == NULL ? "deleted" : job_status(answer);
        printf("%s  %s%s%s\n", terminal_shown(id), terminal_paint(&cli->out, experiment_paint(state)),
               terminal_shown(state), terminal_paint(&cli->out, PAINT_NONE));
    }
    json_decref(answer);
    text_release(&body);
    free(text);
    free(path);
    free(id);
    return status;
}

static enum status experiment_calls(struct cli *cli, const char *method, const char *rest, const char *doing) {
    enum status first = STATUS_OK;
    for (size_t i = 0; i < cli->arguments.count; i++) {
        enum status status = experiment_call(cli, cli->arguments.operands[i], method, rest, NULL, doing);
        first = first == STATUS_OK ? status : first;
        if (status == STATUS_INTERRUPTED || status == STATUS_UNREACHABLE) {
            break;
        }
    }
    return first;
}

static enum status pause_run(struct cli *cli) {
    return experiment_calls(cli, "POST", "/pause", "pause the experiment");
}

static enum status resume_run(struct cli *cli) {
    return experiment_calls(cli, "POST", "/resume", "resume the experiment");
}

static enum status cancel_run(struct cli *cli) {
    return experiment_calls(cli, "POST", "/cancel", "cancel the experiment");
}

static enum status retry_run(struct cli *cli) {
    return experiment_calls(cli, "POST", "/retry", "retry the experiment");
}

static enum status delete_run(struct cli *cli) {
    char *question = memory_format("Delete %zu experiment%s with the jobs made for %s?", cli->arguments.count,
                                   cli->arguments.count == 1 ? "" : "s", cli->arguments.count == 1 ? "it" : "them");
    bool agreed = !cli->out.is_terminal || argument_is_set(&cli->arguments, "yes") || terminal_confirm(question);
    free(question);
    return agreed ? experiment_calls(cli, "DELETE", "", "delete the experiment")
                  : report_error(STATUS_REFUSED, "nothing was deleted");
}

/* --axis rule.mu=0.5,1: values are added under the name of the axis. */
static enum status axes_read(const struct arguments *arguments, json_t *document) {
    const char *given;
    size_t cursor = 0;
    json_t *axes = json_object();
    enum status status = STATUS_OK;
    while (status == STATUS_OK && (given = argument_next(arguments, "axis", &cursor)) != NULL) {
        const char *equals = strchr(given, '=');
        json_t *values = equals == NULL || equals == given ? NULL : submission_values(equals + 1);
        if (values == NULL || json_object_setn_new(axes, given, (size_t)(equals - given), values) != 0) {
            status = report_error(STATUS_USAGE, "--axis must be NAME=VALUE,..., such as mu=0.5,1; got \"%s\"", given);
        }
    }
    if (json_object_size(axes) > 0) {
        json_object_set(document, "axes", axes);
    }
    json_decref(axes);
    return status;
}

static enum status extend(struct cli *cli) {
    const struct arguments *arguments = &cli->arguments;
    const char *seeds = argument_text(arguments, "seeds");
    static const char *const texts[] = {"name", "notes"};
    json_t *document = json_object(), *ranges = NULL;
    enum status status = seeds == NULL ? STATUS_OK : seeds_parse("seeds", seeds, EXPERIMENT_SEEDS_MAX, &ranges);
    if (ranges != NULL) {
        json_object_set_new(document, "seeds", ranges);
    }
    status = status == STATUS_OK ? axes_read(arguments, document) : status;
    for (size_t i = 0; i < 2; i++) {
        const char *text = argument_text(arguments, texts[i]);
        if (text != NULL) {
            json_object_set_new(document, texts[i], json_string(text));
        }
    }
    if (status == STATUS_OK && argument_is_set(arguments, "points")) {
        json_object_set_new(document, "count", json_integer(argument_integer(arguments, "points", 0)));
    }
    if (status == STATUS_OK && json_object_size(document) == 0) {
        status = report_error(STATUS_USAGE,
                              "say what is added or changed: --seeds, --axis, --points, --name or --notes");
    }
    if (status == STATUS_OK) {
        status = experiment_call(cli, arguments->operands[0], "PATCH", "", document, "extend the experiment");
    }
    json_decref(document);
    return status;
}

/* ---- the tables ---- */

static const struct option list_options[] = {
    {"query", 'Q', OPTION_TEXT, "QUERY", 0, 0, false, "which experiments, in the server's query language"},
    {"limit", 'l', OPTION_INTEGER, "N", 1, 1000000, false, "how many at most (default 20)"},
    {"quiet", 'q', OPTION_SWITCH, NULL, 0, 0, false, "ids only, one per line"},
    OPTIONS_END,
};

static const struct option run_options[] = {
    SUBMISSION_OPTIONS,
    {"seeds", 0, OPTION_TEXT, "N,N-M,...", 0, 0, false, "the seeds, in place of those of the file"},
    {"follow", 'f', OPTION_SWITCH, NULL, 0, 0, false, "watch the experiment until it ends"},
    {"key", 0, OPTION_TEXT, "KEY", 0, 0, false,
     "idempotency key: the same key and experiment never create a second one (default: a random key)"},
    FOLLOW_OPTIONS,
    OPTIONS_END,
};

static const struct option validate_options[] = {
    SUBMISSION_OPTIONS,
    {"seeds", 0, OPTION_TEXT, "N,N-M,...", 0, 0, false, "the seeds, in place of those of the file"},
    OPTIONS_END,
};

static const struct option follow_options[] = {FOLLOW_OPTIONS, OPTIONS_END};

static const struct option extend_options[] = {
    {"seeds", 0, OPTION_TEXT, "N,N-M,...", 0, 0, false, "seeds to add; those that are there already stay"},
    {"axis", 0, OPTION_TEXT, "NAME=VALUE,...", 0, 0, true, "values to add to an axis, by the axis' name"},
    {"points", 0, OPTION_INTEGER, "N", 1, 10000, false, "design random: the number of points in all"},
    {"name", 'n', OPTION_TEXT, "NAME", 0, 0, false, "the new name"},
    {"notes", 0, OPTION_TEXT, "TEXT", 0, 0, false, "the new notes"},
    OPTIONS_END,
};

static const struct option delete_options[] = {
    {"yes", 'y', OPTION_SWITCH, NULL, 0, 0, false, "do not ask on a terminal"},
    OPTIONS_END,
};

#define LIST(word)                                                                                                     \
    {.name = word,                                                                                                     \
     .group = "Experiments",                                                                                           \
     .operands = "",                                                                                                   \
     .least = 0,                                                                                                       \
     .most = 0,                                                                                                        \
     .operand = OPERAND_NONE,                                                                                          \
     .summary = "list experiments, newest first",                                                                      \
     .description = "A row for each experiment: conditions, trials that have ended, and its state.",                   \
     .examples = "modprop " word "\n",                                                                                 \
     .options = list_options,                                                                                          \
     .run = list}

const struct command command_experiment = LIST("experiment");
const struct command command_experiment_list = LIST("experiment list");

const struct command command_experiment_run = {
    .name = "experiment run",
    .group = "Experiments",
    .operands = "[FILE]",
    .least = 0,
    .most = 1,
    .operand = OPERAND_FILE,
    .summary = "run conditions times seeds as one experiment",
    .description =
        "FILE is an experiment (a JSON object with \"base\"), what experiment show --json printed, or a job, which "
        "every trial begins with. A field that is given several values is an axis: --set rule.mu=0.1,0.25,0.5, --rule "
        "bptt,eprop. Every combination of the axes' values is a point; a point runs once for each seed. A value that "
        "has a comma itself is written in quotation marks or brackets.\n\n"
        "Trials that the server has already, from the same build and data, are linked and not run again. If the "
        "response is lost, the call is repeated with the same idempotency key: there is one experiment, never two.",
    .examples = "modprop experiment run --task delayed_xor --rule bptt,eprop,modprop --seeds 1-20 --follow\n"
                "modprop experiment run first-hop.json --seeds 1-5\n",
    .options = run_options,
    .run = experiment_run,
};

const struct command command_experiment_validate = {
    .name = "experiment validate",
    .group = "Experiments",
    .operands = "[FILE]",
    .least = 0,
    .most = 1,
    .operand = OPERAND_FILE,
    .summary = "check an experiment and estimate its cost, without running it",
    .description = "Takes an experiment as run does. The server names every fault of every point, or says how many "
                   "trials there are and what they cost.",
    .examples = "modprop experiment validate --task delayed_xor --set rule.mu=0.1,0.25,0.5 --seeds 1-20\n",
    .options = validate_options,
    .run = validate,
};

#define ANY_WORD " EXPERIMENT is an id, the beginning of one, a name, or latest."

const struct command command_experiment_show = EXPERIMENT_COMMAND(
    "show", "show an experiment and its results, one row per point",
    "For each point the number of seeds that count, with how much of the training of all its seeds is done while it "
    "is not complete, as in 5 (52 %), and of each metric the median with its quartiles; \"never\" is "
    "later than all. With --json the experiment's document." ANY_WORD,
    "latest", NULL, show);
const struct command command_experiment_follow = EXPERIMENT_COMMAND(
    "follow", "watch an experiment until it ends",
    "On a terminal a table of its points is redrawn; in a pipe there is a line for each change, with --json a line "
    "for each event. Ctrl-C stops the watching, not the experiment. The exit status is 1 if trials failed." ANY_WORD,
    "latest", follow_options, follow);
const struct command command_experiment_extend = EXPERIMENT_COMMAND(
    "extend", "add seeds or values to an experiment",
    "Existing trials stay, and new ones run. Nothing is ever removed, so the command may be repeated." ANY_WORD,
    "latest --seeds 21-30", extend_options, extend);

#define CONTROL(word, short_words, words, table, function)                                                             \
    {.name = "experiment " word,                                                                                       \
     .group = "Experiments",                                                                                           \
     .operands = "EXPERIMENT...",                                                                                      \
     .least = 1,                                                                                                       \
     .most = -1,                                                                                                       \
     .operand = OPERAND_EXPERIMENT,                                                                                    \
     .summary = short_words,                                                                                           \
     .description = words " All that are named are tried; the exit status is that of the first failure.",              \
     .examples = "modprop experiment " word " latest\n",                                                               \
     .options = table,                                                                                                 \
     .run = function}

const struct command command_experiment_pause = CONTROL("pause", "stop experiments for now; nothing is lost",
                                                        "Its running trials stop at their last checkpoints.", NULL,
                                                        pause_run);
const struct command command_experiment_resume = CONTROL("resume", "resume paused experiments",
                                                         "Every trial ends with the weights that it would have had "
                                                         "without the pause.",
                                                         NULL, resume_run);
const struct command command_experiment_cancel = CONTROL("cancel", "stop experiments for good",
                                                         "What their trials have reported is kept.", NULL, cancel_run);
const struct command command_experiment_retry = CONTROL("retry", "run failed and cancelled trials again",
                                                        "Trials that succeeded stay as they are.", NULL, retry_run);
const struct command command_experiment_delete = CONTROL(
    "delete", "delete experiments with the jobs made for them",
    "Jobs that were submitted on their own, or that another experiment uses, stay. On a terminal it asks first.",
    delete_options, delete_run);
