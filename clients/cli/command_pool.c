/*
 * modprop workers; pool slurm and pool check: as many allocations of a cluster as a daemon's queue needs.
 *
 * Slurm gives workers their machines, and nothing more: jobs, results and their order are the daemon's. The truth is
 * what squeue and the daemon say, asked anew each time, so that this program may be killed and started anywhere, at any
 * time; it is no daemon, and two of them disturb nothing but each other's numbers for a moment. What cannot be asked
 * has not ended: without an answer of squeue nothing is submitted or cancelled, so an sbatch that submitted and
 * reported a failure all the same makes no surplus allocation.
 *
 * Rejected: a Slurm job for each training job (jobs take seconds; centres ask for half an hour or more), and arrays
 * (a lost task loses its part).
 */
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clients/cli/commands.h"
#include "clients/cli/format.h"
#include "clients/cli/pools.h"
#include "clients/cli/process.h"
#include "clients/cli/report.h"
#include "clients/cli/signals.h"
#include "clients/cli/table.h"

#define COMMAND_SECONDS 60
#define SUBMIT_SECONDS 10.0 /* between two submissions */
#define STRANGERS_MOST 10
#define SHOWN_BYTES 400

extern const struct command command_workers, command_pool_slurm, command_pool_check;

struct keeper {
    struct cli *cli;
    struct pool pool;
    char *user, *job_name;
    char *said;          /* the last line about its state */
    double submitted_at; /* monotonic; negative: never */
    bool there;          /* it had allocations when it was last asked */
};

/* The daemon's answer to one GET; NULL after a note: it is asked again later. */
static json_t *ask(struct keeper *keeper, const char *path) {
    struct http_answer answer;
    const struct http_request request = {.path = path, .quiet_seconds = COMMAND_SECONDS};
    json_t *document = NULL;
    if (keeper->cli->http == NULL) {
        keeper->cli->http = http_create(&keeper->cli->settings);
    }
    enum status status = http_perform(keeper->cli->http, &request, &answer);
    if (status != STATUS_OK) {
        report_note("the daemon cannot be asked: %s", answer.error);
    } else if (answer.status != 200) {
        report_note("the daemon cannot be asked: it answers %d to %s", answer.status, path);
    } else {
        document = json_loadb(answer.body.data, answer.body.size, 0, NULL);
    }
    http_answer_release(&answer);
    return document;
}

/* What squeue says; false after a note: nothing is known. */
static bool squeue(const struct keeper *keeper, struct allocations *allocations) {
    const char *const words[] = {"squeue", "-h",  "-u", keeper->user,  "-n", keeper->job_name,
                                 "-t",     "all", "-o", "%i|%T|%r|%L", NULL};
    struct process process = process_run(words, NULL, COMMAND_SECONDS);
    bool known = process.status == 0 && allocations_read(process.out.data, allocations);
    if (!known) {
        report_note("squeue cannot be asked, so nothing is done: %.400s",
                    process.status == 0 ? "its answer cannot be read" : process.err.data);
    }
    process_release(&process);
    return known;
}

/* Cancels pending ones, the newest first. */
static void cancel(const struct allocations *allocations, int count) {
    const char *words[64] = {"scancel", "--state=PENDING"};
    size_t used = 2;
    for (size_t i = allocations->count; i-- > 0 && count > 0 && used < 62;) {
        if (allocations->items[i].pending) {
            words[used++] = allocations->items[i].id;
            count--;
        }
    }
    struct process process = process_run(words, NULL, COMMAND_SECONDS);
    if (process.status != 0) {
        report_note("scancel failed: %.400s", process.err.data);
    } else {
        report_note("cancelled %zu allocation%s that waited and is not needed", used - 2, used == 3 ? "" : "s");
    }
    process_release(&process);
}

static bool submit(struct keeper *keeper) {
    char *script = pool_script(&keeper->pool, keeper->cli->settings.server.value);
    char **words = pool_words(&keeper->pool, false);
    struct process process = process_run((const char *const *)words, script, COMMAND_SECONDS);
    bool done = process.status == 0;
    keeper->submitted_at = time_monotonic();
    if (done) {
        process.out.data[strcspn(process.out.data, ";\n")] = '\0';
        report_note("submitted allocation %s", process.out.data);
    } else {
        report_note("sbatch failed: %.400s", process.err.data);
    }
    process_release(&process);
    pool_words_release(words);
    free(script);
    return done;
}

/* What Slurm's accounting knows about the last allocation that never joined; for the explanation alone. */
static char *explanation(const struct allocations *allocations) {
    const char *id = NULL;
    for (size_t i = 0; i < allocations->count; i++) {
        id = allocations->items[i].pending || allocations->items[i].live ? id : allocations->items[i].id;
    }
    const char *const words[] = {"sacct", "-P", "-n", "-X", "-j", id, "-o", "JobID,State,ExitCode,Reason,NodeList",
                                 NULL};
    struct process process = process_run(words, NULL, COMMAND_SECONDS);
    char *text = process.status == 0 && *process.out.data != '\0'
                     ? memory_format("sacct says %.*s", (int)strcspn(process.out.data, "\n"), process.out.data)
                     : memory_format("the last one is %s", id);
    process_release(&process);
    return text;
}

/* STATUS_OK, or STATUS_FAILED after a sentence: the pool pauses itself. */
static enum status strangers_check(struct keeper *keeper, const struct allocations *allocations) {
    if (allocations->count < STRANGERS_MOST) {
        return STATUS_OK;
    }
    json_t *document = ask(keeper, "/v1/workers");
    size_t strangers = document == NULL ? 0 : pool_strangers(allocations, json_object_get(document, "workers"));
    json_decref(document);
    if (strangers < STRANGERS_MOST) {
        return STATUS_OK;
    }
    char *why = explanation(allocations);
    enum status status = report_error(
        STATUS_FAILED,
        "%zu allocations have ended and their workers never joined, so the pool submits no more: %s. Look at what "
        "pool.%s.output names, and try pool.%s.program on a node",
        strangers, why, keeper->pool.name, keeper->pool.name);
    free(why);
    return status;
}

/* A line about the pool, where it says something new. */
static void say(struct keeper *keeper, const json_t *document, const struct allocations *allocations) {
    const char *reason = "";
    for (size_t i = 0; i < allocations->count; i++) {
        reason = allocations->items[i].pending ? allocations->items[i].reason : reason;
    }
    char *line = memory_format("pool %s: %lld wanted, %zu running with %lld slots, %zu waiting%s%s%s",
                               keeper->pool.name, (long long)json_integer_value(json_object_get(document, "wanted")),
                               allocations->live, (long long)json_integer_value(json_object_get(document, "slots")),
                               allocations->pending, *reason != '\0' ? " (" : "", reason, *reason != '\0' ? ")" : "");
    if (keeper->said == NULL || strcmp(line, keeper->said) != 0) {
        report_note("%s", line);
    }
    free(keeper->said);
    keeper->said = line;
}

/* Submits some, at their distance; ends when one fails, because only squeue knows what became of it. */
static void submit_some(struct keeper *keeper, int count) {
    double pause = (double)keeper->pool.poll < SUBMIT_SECONDS ? (double)keeper->pool.poll : SUBMIT_SECONDS;
    for (int i = 0; i < count && !signals_interrupted(); i++) {
        double left = keeper->submitted_at < 0 ? 0 : keeper->submitted_at + pause - time_monotonic();
        if ((left > 0 && !http_pause(left, NULL, NULL)) || !submit(keeper)) {
            return;
        }
        keeper->there = true;
    }
}

static enum status step(struct keeper *keeper) {
    char *path = memory_format("/v1/pools/%s?slots=%lld", keeper->pool.name, (long long)keeper->pool.slots);
    struct allocations allocations;
    json_t *document = ask(keeper, path);
    int64_t wanted = json_integer_value(json_object_get(document, "wanted"));
    enum status status = STATUS_OK;
    free(path);
    if (document == NULL || (wanted == 0 && !keeper->there) || !squeue(keeper, &allocations)) {
        json_decref(document);
        return STATUS_OK;
    }
    keeper->there = allocations.pending + allocations.live > 0;
    say(keeper, document, &allocations);
    int count = pool_decide(&keeper->pool, &allocations, wanted);
    if (count < 0) {
        cancel(&allocations, -count);
    } else if (count > 0 && (status = strangers_check(keeper, &allocations)) == STATUS_OK) {
        submit_some(keeper, count);
    }
    allocations_release(&allocations);
    json_decref(document);
    return status;
}

static enum status keeper_init(struct keeper *keeper, struct cli *cli) {
    const struct passwd *user = getpwuid(getuid());
    *keeper = (struct keeper){.cli = cli, .submitted_at = -1, .there = true};
    enum status status = pool_read(&cli->settings, cli->arguments.operands[0], &keeper->pool);
    keeper->user = user != NULL ? memory_copy(user->pw_name) : memory_format("%ld", (long)getuid());
    keeper->job_name = memory_format("modprop-%s", cli->arguments.operands[0]);
    return status;
}

static void keeper_release(struct keeper *keeper) {
    pool_release(&keeper->pool);
    free(keeper->user);
    free(keeper->job_name);
    free(keeper->said);
}

static enum status pool_slurm(struct cli *cli) {
    struct keeper keeper;
    bool once = argument_is_set(&cli->arguments, "once");
    enum status status = keeper_init(&keeper, cli);
    if (status == STATUS_OK) {
        status = step(&keeper);
    }
    while (status == STATUS_OK && !once) {
        if (!http_pause((double)keeper.pool.poll, NULL, NULL)) {
            status = STATUS_INTERRUPTED;
        } else {
            status = step(&keeper);
        }
    }
    keeper_release(&keeper);
    return status;
}

static enum status pool_check_run(struct cli *cli) {
    struct keeper keeper;
    enum status status = keeper_init(&keeper, cli);
    if (status == STATUS_OK) {
        char *script = pool_script(&keeper.pool, cli->settings.server.value), **words = pool_words(&keeper.pool, true);
        struct process process = process_run((const char *const *)words, script, COMMAND_SECONDS);
        if (process.status == 0) {
            printf("Slurm would take an allocation of pool %s: %.400s\n", keeper.pool.name, process.err.data);
        } else {
            status = report_error(STATUS_FAILED, "Slurm refuses an allocation of pool %s: %.400s", keeper.pool.name,
                                  process.err.data);
        }
        process_release(&process);
        pool_words_release(words);
        free(script);
    }
    if (status == STATUS_OK && access(keeper.pool.program, X_OK) != 0) {
        report_note("%s cannot be run here; the nodes need it", keeper.pool.program);
    }
    json_t *document = status == STATUS_OK ? ask(&keeper, "/v1/pools") : NULL;
    if (status == STATUS_OK && document == NULL) {
        status = STATUS_UNREACHABLE;
    }
    json_decref(document);
    keeper_release(&keeper);
    return status;
}

static enum status workers(struct cli *cli) {
    static const struct table_column columns[] = {{"WORKER", false, false, 0}, {"POOL", false, false, 1},
                                                  {"JOBS", true, false, 0},    {"SLOTS", true, false, 0},
                                                  {"SET", false, false, 2},    {"SILENT", true, false, 0}};
    json_t *document, *worker;
    struct text body;
    struct table table;
    size_t index;
    enum status status = cli_fetch(cli, &(const struct http_request){.path = "/v1/workers"}, "list the workers",
                                   &document, &body);
    const json_t *list = json_object_get(document, "workers");
    if (status == STATUS_OK && cli->json) {
        cli_print(&body);
    } else if (status == STATUS_OK && json_array_size(list) == 0) {
        report_note("no workers; modpropd worker --server %s starts one", cli->settings.server.value);
    } else if (status == STATUS_OK) {
        table_init(&table, columns, 6);
        json_array_foreach((json_t *)(uintptr_t)list, index, worker) {
            char running[FORMAT_BYTES], slots[FORMAT_BYTES], silent[FORMAT_BYTES];
            const char *external = json_string_value(json_object_get(worker, "external"));
            bool named = external != NULL && *external != '\0';
            format_count((double)json_integer_value(json_object_get(worker, "running")), running);
            format_count((double)json_integer_value(json_object_get(worker, "slots")), slots);
            format_duration(json_number_value(json_object_get(worker, "silent_seconds")), silent);
            table_add(&table, named ? external : json_string_value(json_object_get(worker, "id")));
            table_add(&table, json_string_value(json_object_get(worker, "pool")));
            table_add(&table, running);
            table_add(&table, slots);
            table_add(&table, json_string_value(json_object_get(worker, "instruction_set")));
            table_add(&table, silent);
        }
        table_print(&table, &cli->out);
        table_release(&table);
    }
    json_decref(document);
    text_release(&body);
    return status;
}

const struct command command_workers = {
    .name = "workers",
    .group = "Workers",
    .operands = "",
    .least = 0,
    .most = 0,
    .operand = OPERAND_NONE,
    .summary = "list the workers that train the server's jobs elsewhere",
    .description = "Workers are processes on other machines (modpropd worker) that ask the server for jobs. SILENT is "
                   "how long ago each was heard from.",
    .examples = "modprop workers\nmodprop workers --json\n",
    .run = workers,
};

static const struct option slurm_options[] = {
    {"once", 0, OPTION_SWITCH, NULL, 0, 0, false, "do what is to be done now, and end: for scrontab"},
    OPTIONS_END,
};

const struct command command_pool_slurm = {
    .name = "pool slurm",
    .group = "Workers",
    .operands = "NAME",
    .least = 1,
    .most = 1,
    .operand = OPERAND_NONE,
    .summary = "keep as many Slurm allocations with workers as the queue needs",
    .description =
        "Asks the server and squeue, submits allocations with sbatch and cancels those that wait and are not needed: "
        "at "
        "most pool.NAME.backlog waiting, at most pool.NAME.max_workers in all. Runs on a login node until it is "
        "interrupted, or once, from scrontab. It keeps no state, and ending it ends no worker.\n\n"
        "The configuration file has the pool's keys: pool.NAME.program (modpropd) and pool.NAME.token_file (a token of "
        "the role worker, mode 0600), on a file system that the nodes share; max_workers, backlog, slots, cores, "
        "memory, "
        "walltime, idle, poll, sbatch_args (such as --partition=main --account=lab), isa, scratch, output (a log "
        "file), "
        "server (the server as the nodes reach it).",
    .examples = "modprop pool slurm night\nmodprop pool slurm night --once\n",
    .options = slurm_options,
    .run = pool_slurm,
};

const struct command command_pool_check = {
    .name = "pool check",
    .group = "Workers",
    .operands = "NAME",
    .least = 1,
    .most = 1,
    .operand = OPERAND_NONE,
    .summary = "ask Slurm whether it would take an allocation of a pool",
    .description = "Runs sbatch --test-only with what pool slurm would submit, and asks the server. Submits nothing.",
    .examples = "modprop pool check night\n",
    .run = pool_check_run,
};
