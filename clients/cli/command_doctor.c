/*
 * modprop doctor: is there a daemon, is it ready, does it fit, may we use it.
 */
#include <stdlib.h>
#include <string.h>

#include "api/text.h"
#include "clients/cli/commands.h"
#include "clients/cli/format.h"
#include "clients/cli/jobs.h"
#include "clients/cli/report.h"

extern const struct command command_doctor;

struct findings {
    struct cli *cli;
    json_t *list; /* {"check", "ok", "detail"} */
    bool all_ok;
};

static void find(struct findings *findings, const char *check, bool ok, char *detail) {
    const struct terminal *terminal = &findings->cli->out;
    struct text clean = {0};
    terminal_clean(&clean, detail, false);
    json_array_append_new(findings->list, json_pack("{s:s, s:b, s:s}", "check", check, "ok", (int)ok, "detail",
                                                    clean.data == NULL ? "" : clean.data));
    if (!findings->cli->json) {
        printf("%s%s%s  %-13s %s\n", terminal_paint(terminal, ok ? PAINT_GREEN : PAINT_RED), ok ? "ok  " : "FAIL",
               terminal_paint(terminal, PAINT_NONE), check, clean.data == NULL ? "" : clean.data);
        fflush(stdout);
    }
    findings->all_ok = findings->all_ok && ok;
    text_release(&clean);
    free(detail);
}

/* The first sentence of a refusal. */
static char *refusal(const struct http_answer *answer) {
    json_t *problem = answer->body.data == NULL ? NULL : json_loads(answer->body.data, 0, NULL);
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    char *text = detail == NULL ? memory_format("answered %d", answer->status)
                                : memory_format("answered %d: %s", answer->status, detail);
    json_decref(problem);
    return text;
}

static void settings_check(struct findings *findings) {
    const struct settings *settings = &findings->cli->settings;
    bool is_default = strcmp(settings->server.origin, SETTINGS_DEFAULT) == 0;
    find(findings, "configuration", true,
         settings->file == NULL
             ? memory_copy("no home directory, so no file")
             : memory_format("%s%s", settings->file, settings->file_found ? "" : " (there is none; that is fine)"));
    find(findings, "server", true,
         memory_format("%s (%s%s)", settings->server.value, is_default ? "" : "from ", settings->server.origin));
    find(findings, "token", true,
         settings->token.value == NULL ? memory_copy("none") : memory_format("from %s", settings->token.origin));
    bool plain = strncmp(settings->server.value, "http://", 7) == 0;
    if (plain && !url_is_loopback(settings->server.value) && settings->token.value != NULL) {
        find(findings, "encryption", false,
             memory_copy("the token is sent to another machine over plain http; use https"));
    }
}

/* True when the daemon answers at all. */
static bool reach_check(struct findings *findings) {
    struct http_answer answer;
    struct cli *cli = findings->cli;
    enum status status = http_perform(cli->http, &(const struct http_request){.path = "/livez", .accept = "*/*"},
                                      &answer);
    bool reached = status == STATUS_OK;
    if (!reached) {
        find(findings, "reachable", false,
             memory_format("%s; is modpropd running there? (modpropd --data DIR starts one)", answer.error));
    } else {
        bool alive = answer.status == 200;
        find(findings, "reachable", alive,
             alive ? memory_copy("answers") : memory_format("/livez answered %d; is it a modpropd?", answer.status));
    }
    http_answer_release(&answer);
    return reached;
}

static void ready_check(struct findings *findings) {
    struct http_answer answer;
    enum status status = http_perform(findings->cli->http,
                                      &(const struct http_request){.path = "/readyz", .accept = "*/*"}, &answer);
    bool ready = status == STATUS_OK && answer.status == 200;
    find(findings, "ready", ready,
         ready                 ? memory_copy("takes jobs")
         : status == STATUS_OK ? refusal(&answer)
                               : memory_copy(answer.error));
    http_answer_release(&answer);
}

/* Versions fit when their first two numbers are the same. */
static bool version_fits(const char *version) {
    const char *own = MODPROP_VERSION;
    size_t first = strcspn(own, ".") + 1, length = first + strcspn(own + first, ".");
    return strncmp(own, version, length) == 0 && (version[length] == '.' || version[length] == '\0');
}

/* " (2 cores, 2 workers, 21.2 GiB of memory)", of what the daemon reports. */
static char *limits_describe(const json_t *limits) {
    const json_t *cores = json_object_get(limits, "cores"), *workers = json_object_get(limits, "workers"),
                 *memory = json_object_get(limits, "memory_bytes");
    char size[FORMAT_BYTES];
    if (!json_is_integer(cores) || !json_is_integer(workers) || !json_is_number(memory)) {
        return memory_copy("");
    }
    json_int_t core_count = json_integer_value(cores), worker_count = json_integer_value(workers);
    return memory_format(" (%lld core%s, %lld worker%s, %s of memory)", (long long)core_count,
                         core_count == 1 ? "" : "s", (long long)worker_count, worker_count == 1 ? "" : "s",
                         format_bytes(json_number_value(memory), size));
}

static void version_check(struct findings *findings) {
    struct http_answer answer;
    enum status status = http_perform(findings->cli->http, &(const struct http_request){.path = "/version"}, &answer);
    json_t *document = status == STATUS_OK && answer.body.data != NULL ? json_loads(answer.body.data, 0, NULL) : NULL;
    const char *name = json_string_value(json_object_get(document, "name")),
               *version = json_string_value(json_object_get(document, "version"));
    if (version == NULL) {
        find(findings, "version", false,
             status == STATUS_OK ? memory_format("/version answered %d; is it a modpropd?", answer.status)
                                 : memory_copy(answer.error));
    } else if (!version_fits(version)) {
        find(findings, "version", false,
             memory_format("the daemon is %s, this program %s: use the same version", version, MODPROP_VERSION));
    } else {
        char *more = limits_describe(json_object_get(document, "limits"));
        find(findings, "version", true,
             memory_format("%s %s, as this program%s", name == NULL ? "the daemon" : name, version, more));
        free(more);
    }
    json_decref(document);
    http_answer_release(&answer);
}

static void access_check(struct findings *findings) {
    struct http_answer answer;
    enum status status = http_perform(findings->cli->http, &(const struct http_request){.path = "/v1/jobs?limit=1"},
                                      &answer);
    if (status != STATUS_OK) {
        find(findings, "access", false, memory_copy(answer.error));
    } else if (answer.status == 401) {
        find(findings, "access", false,
             findings->cli->settings.token.value == NULL
                 ? memory_copy("the daemon requires a token (--token-file, MODPROP_TOKEN)")
                 : memory_copy("the daemon does not know this token"));
    } else {
        bool may = answer.status == 200;
        find(findings, "access", may, may ? memory_copy("may read jobs") : refusal(&answer));
    }
    http_answer_release(&answer);
}

/* "opencl:0, NVIDIA H100: 12 jobs run there, 3.1 GiB of 79.2 GiB taken", of the device that is used. */
static char *device_describe(const json_t *device) {
    char taken[FORMAT_BYTES], all[FORMAT_BYTES];
    long long jobs = (long long)json_integer_value(json_object_get(device, "jobs"));
    const char *name = json_string_value(json_object_get(device, "name"));
    return memory_format("opencl:%lld, %s: %lld job%s there, %s of %s taken",
                         (long long)json_integer_value(json_object_get(device, "number")), name == NULL ? "" : name,
                         jobs, jobs == 1 ? " runs" : "s run",
                         format_bytes(json_number_value(json_object_get(device, "memory_taken_bytes")), taken),
                         format_bytes(json_number_value(json_object_get(device, "memory_bytes")), all));
}

/* Nothing is said of devices where the daemon was not started with one, or may not list them to us. */
static void device_check(struct findings *findings) {
    struct http_answer answer;
    enum status status = http_perform(findings->cli->http, &(const struct http_request){.path = "/v1/devices"},
                                      &answer);
    json_t *document = status == STATUS_OK && answer.status == 200 && answer.body.data != NULL
                           ? json_loads(answer.body.data, 0, NULL)
                           : NULL;
    const json_t *device;
    size_t i;
    json_array_foreach(json_object_get(document, "devices"), i, device) {
        if (json_is_true(json_object_get(device, "used"))) {
            find(findings, "device", true, device_describe(device));
        }
    }
    json_decref(document);
    http_answer_release(&answer);
}

static enum status run(struct cli *cli) {
    struct findings findings = {.cli = cli, .list = json_array(), .all_ok = true};
    cli->http = http_create(&cli->settings);
    settings_check(&findings);
    bool reached = reach_check(&findings);
    if (reached) {
        ready_check(&findings);
        version_check(&findings);
        access_check(&findings);
        device_check(&findings);
    }
    if (cli->json) {
        json_t *document = json_pack("{s:b, s:O}", "ok", (int)findings.all_ok, "checks", findings.list);
        cli_print_json(document);
        json_decref(document);
    }
    json_decref(findings.list);
    return !reached ? STATUS_UNREACHABLE : findings.all_ok ? STATUS_OK : STATUS_JOB;
}

const struct command command_doctor = {
    .name = "doctor",
    .group = "Program",
    .operands = "",
    .least = 0,
    .most = 0,
    .summary = "check that the daemon is reachable, ready and compatible, and accepts the token",
    .description = "Reports where server and token come from, then asks the daemon. The exit status is 0 when all is "
                   "well, 3 when the daemon "
                   "cannot be reached, "
                   "1 for any other fault.",
    .examples = "modprop doctor\nmodprop doctor --server https://lab.example --token-file ~/token\n",
    .run = run,
};
