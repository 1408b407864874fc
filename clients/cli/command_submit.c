/*
 * modprop submit and modprop validate: a job sent, or only checked.
 */
#include <stdlib.h>
#include <string.h>

#include "api/text.h"
#include "clients/cli/commands.h"
#include "clients/cli/experiments.h"
#include "clients/cli/follow.h"
#include "clients/cli/format.h"
#include "clients/cli/jobs.h"
#include "clients/cli/report.h"
#include "clients/cli/seeds.h"
#include "clients/cli/submission.h"

extern const struct command command_submit, command_validate;

#define SEEDS_MAX 1000

/* Seeds to submit the job with, in the order given, none twice. */
struct seeds {
    long long values[SEEDS_MAX];
    size_t count;
};

static void seed_add(struct seeds *seeds, long long seed) {
    for (size_t i = 0; i < seeds->count; i++) {
        if (seeds->values[i] == seed) {
            return;
        }
    }
    seeds->values[seeds->count++] = seed;
}

/* What --seed or --seeds says; none where neither is given. */
static enum status seeds_read(const struct arguments *arguments, struct seeds *seeds) {
    const char *option = argument_text(arguments, "seed") != NULL ? "seed" : "seeds",
               *text = argument_text(arguments, option);
    json_t *ranges, *range;
    size_t index;
    if (text == NULL) {
        return STATUS_OK;
    }
    enum status status = seeds_parse(option, text, SEEDS_MAX, &ranges);
    json_array_foreach(ranges, index, range) {
        long long from = json_integer_value(json_object_get(range, "from")),
                  count = json_integer_value(json_object_get(range, "count"));
        for (long long seed = from; seed < from + count; seed++) {
            seed_add(seeds, seed);
        }
    }
    json_decref(ranges);
    return status;
}

static char *key_choose(const struct cli *cli, long long seed, bool many) {
    const char *given = argument_text(&cli->arguments, "key");
    return given == NULL ? submission_key_make() : many ? memory_format("%s-%lld", given, seed) : memory_copy(given);
}

/* A job for each seed, or one without a word about it. */
static enum status send_all(struct cli *cli, json_t *document, const struct seeds *seeds, size_t count, char **ids) {
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        char *key = key_choose(cli, seeds->values[i], count > 1);
        if (seeds->count > 0) {
            json_object_set_new(document, "seed", json_integer(seeds->values[i]));
        }
        status = submission_send(cli, "/v1/jobs", document, key, &ids[i]);
        free(key);
    }
    return status;
}

static enum status submit(struct cli *cli) {
    struct seeds seeds = {.count = 0};
    json_t *document = NULL;
    if (submission_has_axes(&cli->arguments)) {
        return experiment_run(cli);
    }
    enum status status = seeds_read(&cli->arguments, &seeds);
    size_t count = seeds.count == 0 ? 1 : seeds.count;
    if (status == STATUS_OK) {
        status = submission_key_check(argument_text(&cli->arguments, "key"), count > 1);
    }
    if (status == STATUS_OK) {
        status = submission_make(cli, &document);
    }
    if (status != STATUS_OK) {
        return status;
    }
    char **ids = memory_allocate(count, sizeof *ids);
    status = send_all(cli, document, &seeds, count, ids);
    if (status == STATUS_OK && argument_is_set(&cli->arguments, "follow")) {
        status = follow_jobs(cli, ids, count, follow_form_choose(cli),
                             (long)argument_integer(&cli->arguments, "patience", 0));
    } else if (status == STATUS_OK && cli->out.is_terminal && !cli->json) {
        puts(count == 1 ? "watch it: modprop follow latest" : "watch them: modprop list");
    }
    for (size_t i = 0; i < count; i++) {
        free(ids[i]);
    }
    free(ids);
    json_decref(document);
    return status;
}

/* What validation reports beyond the job: every number and word of "estimate", by its name. */
static void estimate_print(const json_t *answer) {
    static const char *const bytes[] = {"memory_bytes", "memory", "checkpoint_bytes"};
    const char *name;
    json_t *value;
    char text[FORMAT_BYTES];
    const json_t *estimate = json_object_get(answer, "estimate");
    json_object_foreach((json_t *)(estimate == NULL ? answer : estimate), name, value) {
        bool is_bytes = strstr(name, "bytes") != NULL;
        for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++) {
            is_bytes = is_bytes || strcmp(name, bytes[i]) == 0;
        }
        if (json_is_number(value)) {
            double number = json_number_value(value);
            printf("%-24s %s\n", terminal_shown(name),
                   is_bytes ? format_bytes(number, text) : format_count(number, text));
        } else if (json_is_string(value)) {
            printf("%-24s %s\n", terminal_shown(name), terminal_shown(json_string_value(value)));
        }
    }
}

static enum status validate(struct cli *cli) {
    json_t *document, *answer = NULL;
    struct text body = {0};
    enum status status = submission_make(cli, &document);
    if (status == STATUS_OK) {
        size_t size;
        char *text = json_text(document, &size);
        const struct http_request request = {
            .method = "POST", .path = "/v1/jobs:validate", .type = "application/json", .body = text, .body_size = size};
        status = cli_fetch(cli, &request, "accept the job", &answer, &body);
        free(text);
    }
    if (status == STATUS_OK && cli->json) {
        cli_print(&body);
    } else if (status == STATUS_OK) {
        printf("%sthe job is valid%s\n", terminal_paint(&cli->out, PAINT_GREEN), terminal_paint(&cli->out, PAINT_NONE));
        estimate_print(answer);
    }
    json_decref(answer);
    json_decref(document);
    text_release(&body);
    return status;
}

static const struct option submit_options[] = {
    SUBMISSION_OPTIONS,
    {"seed", 0, OPTION_TEXT, "N,N-M,...", 0, 0, false, "the seed; several submit a job for each"},
    {"seeds", 0, OPTION_TEXT, "N,N-M,...", 0, 0, false, "the same"},
    {"follow", 'f', OPTION_SWITCH, NULL, 0, 0, false, "watch the job until it ends"},
    {"key", 0, OPTION_TEXT, "KEY", 0, 0, false,
     "idempotency key: the same key and job never create a second one (default: a random key)"},
    FOLLOW_OPTIONS,
    OPTIONS_END,
};

static const struct option validate_options[] = {SUBMISSION_OPTIONS, OPTIONS_END};

const struct command command_submit = {
    .name = "submit",
    .group = "Jobs",
    .operands = "[FILE]",
    .least = 0,
    .most = 1,
    .operand = OPERAND_FILE,
    .summary = "submit a job (a JSON file, - for standard input, or options alone)",
    .description =
        "Sends a job and prints its id. The job is the JSON object in FILE (what show --json printed is one "
        "too), or the configuration of "
        "another job (--from), or nothing; then the "
        "options change it, in the order --task, --rule, --name, --metadata, --set, --seed. What is not given has the "
        "published default, so --task "
        "delayed_xor is a complete job.\n\n"
        "A field that is given several values, such as --set rule.mu=0.1,0.25 or --rule bptt,eprop, makes an "
        "experiment "
        "of every combination and seed, and its id is printed (modprop experiment run --help).\n\n"
        "If the response is lost, the call is repeated with the same idempotency key: there is "
        "one job, never two.",
    .examples = "modprop submit --task delayed_xor --follow\n"
                "modprop submit job.json --set rule.mu=0.3 --set training.iterations=500\n"
                "modprop submit --from latest --rule eprop --seed 1-5\n",
    .options = submit_options,
    .run = submit,
};

const struct command command_validate = {
    .name = "validate",
    .group = "Jobs",
    .operands = "[FILE]",
    .least = 0,
    .most = 1,
    .operand = OPERAND_FILE,
    .summary = "check a job and estimate its cost, without submitting it",
    .description = "Takes a job as submit does. The server names every field that is wrong, or says how much memory "
                   "and work the job "
                   "takes; with --json it "
                   "shows the job with every default filled in.",
    .examples = "modprop validate job.json\nmodprop validate --task delayed_xor --json\n",
    .options = validate_options,
    .run = validate,
};
