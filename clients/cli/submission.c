/*
 * A job put together from a file, another job, and options. See submission.h.
 *
 * Nothing is checked here but that it is JSON: the server knows the fields and answers all faults at once.
 */
#include "clients/cli/submission.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "api/text.h"
#include "clients/cli/jobs.h"
#include "clients/cli/report.h"
#include "clients/cli/seeds.h"
#include "clients/cli/signals.h"

#define JOB_BYTES_MAX ((size_t)256 << 20)
#define KEY_BYTES 200 /* of an idempotency key, by the contract */

enum status file_read_whole(const char *path, size_t limit, struct text *text) {
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(path, "re");
    const char *name = is_stdin ? "standard input" : path;
    char bytes[65536];
    if (file == NULL) {
        return report_error(STATUS_FAILED, "cannot read %s: %s", name, strerror(errno));
    }
    for (size_t got; (got = fread(bytes, 1, sizeof bytes, file)) > 0 && text->size <= limit;) {
        text_append(text, bytes, got);
    }
    int error = ferror(file) ? errno : 0;
    if (!is_stdin) {
        fclose(file);
    }
    if (signals_interrupted()) {
        return STATUS_INTERRUPTED;
    }
    if (error != 0) {
        return report_error(STATUS_FAILED, "cannot read %s: %s", name, strerror(error));
    }
    return text->size > limit ? report_error(STATUS_USAGE, "%s must have at most %zu bytes", name, limit) : STATUS_OK;
}

/* What a job is answered with beyond what can be submitted is left behind. */
static json_t *submittable(const json_t *job) {
    static const char *const fields[] = {"name", "metadata", "seed", "threads",   "priority", "time_limit",
                                         "task", "network",  "rule", "optimizer", "training"};
    json_t *document = json_object();
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        json_t *field = json_object_get(job, fields[i]);
        if (field != NULL) {
            json_object_set(document, fields[i], field);
        }
    }
    return document;
}

/* What show --json wrote is a job or an experiment too: it is known by the id and the links that nobody submits. */
static enum status file_take(const char *path, json_t **document) {
    struct text text = {0};
    json_error_t fault;
    const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
    enum status status = file_read_whole(path, JOB_BYTES_MAX, &text);
    if (status == STATUS_OK) {
        *document = json_loadb(text.data == NULL ? "" : text.data, text.size, JSON_REJECT_DUPLICATES, &fault);
        if (*document == NULL) {
            status = report_error(STATUS_USAGE, "%s is not JSON: line %d, column %d: %s", name, fault.line,
                                  fault.column, fault.text);
        } else if (!json_is_object(*document)) {
            status = report_error(STATUS_USAGE,
                                  "%s must hold a JSON object, such as {\"task\": {\"type\": \"delayed_xor\"}}", name);
        } else if (json_object_get(*document, "id") != NULL && json_object_get(*document, "links") != NULL) {
            json_t *answered = *document, *specification = json_object_get(answered, "specification");
            *document = json_is_object(specification) ? json_incref(specification) : submittable(answered);
            json_decref(answered);
        }
    }
    text_release(&text);
    return status;
}

static enum status job_take(struct cli *cli, const char *word, json_t **document) {
    json_t *job;
    enum status status = job_get(cli, word, &job);
    if (status == STATUS_OK) {
        *document = submittable(job);
    }
    json_decref(job);
    return status;
}

enum status submission_set(json_t *document, const char *path, json_t *value) {
    json_t *at = document;
    for (const char *name = path;;) {
        size_t length = strcspn(name, ".");
        if (length == 0) {
            json_decref(value);
            return report_error(STATUS_USAGE, "\"%s\" must be names divided by single dots, such as rule.mu", path);
        }
        if (name[length] == '\0') {
            return json_object_setn_new(at, name, length, value) == 0
                       ? STATUS_OK
                       : report_error(STATUS_USAGE, "\"%s\" cannot be set: its name is not UTF-8", path);
        }
        json_t *next = json_object_getn(at, name, length);
        if (next == NULL || json_is_null(next)) {
            next = json_object();
            json_object_setn_new(at, name, length, next);
        }
        if (!json_is_object(next)) {
            json_decref(value);
            return report_error(STATUS_USAGE, "\"%s\" cannot be set: %.*s is no object", path,
                                (int)(name + length - path), path);
        }
        at = next;
        name += length + 1;
    }
}

/* JSON, or else a string; NULL where it is not UTF-8. */
static json_t *value_make(const char *text, size_t size) {
    json_t *value = json_loadb(text, size, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    return value == NULL ? json_stringn(text, size) : value;
}

/* Bytes up to the next comma that stands in no brackets and no quotation marks, or to the end. */
static size_t value_length(const char *text) {
    size_t length = 0;
    bool quoted = false;
    for (int depth = 0; text[length] != '\0' && (quoted || depth > 0 || text[length] != ','); length++) {
        char c = text[length];
        length += quoted && c == '\\' && text[length + 1] != '\0';
        quoted = c == '"' ? !quoted : quoted;
        depth += quoted ? 0 : (c == '[' || c == '{') - (c == ']' || c == '}');
    }
    return length;
}

json_t *submission_values(const char *text) {
    json_t *values = json_array();
    for (bool more = true; more;) {
        size_t length = value_length(text);
        if (json_array_append_new(values, value_make(text, length)) != 0) {
            json_decref(values);
            return NULL;
        }
        more = text[length] == ',';
        text += length + more;
    }
    return values;
}

/* "rule.mu" as a JSON Pointer, "/rule/mu"; the caller frees it. */
static char *pointer_make(const char *path) {
    char *pointer = memory_format("/%s", path);
    for (char *c = pointer; *c != '\0'; c++) {
        *c = *c == '.' ? '/' : *c;
    }
    return pointer;
}

enum status submission_option(json_t *document, const char *option, const char *text) {
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text) {
        return report_error(STATUS_USAGE, "--%s must be NAME=VALUE, such as trials=16; got \"%s\"", option, text);
    }
    json_t *value = value_make(equals + 1, strlen(equals + 1));
    if (value == NULL) {
        return report_error(STATUS_USAGE, "the value of --%s %.*s is not UTF-8", option, (int)(equals - text), text);
    }
    char *path = memory_format("%.*s", (int)(equals - text), text);
    enum status status = submission_set(document, path, value);
    free(path);
    return status;
}

static enum status set_option(json_t *document, json_t *axes, const char *text) {
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text) {
        return report_error(STATUS_USAGE, "--set must be PATH=VALUE, such as rule.mu=0.3; got \"%s\"", text);
    }
    bool is_axis = axes != NULL && equals[1 + value_length(equals + 1)] == ',';
    json_t *value = is_axis ? submission_values(equals + 1) : value_make(equals + 1, strlen(equals + 1));
    if (value == NULL) {
        return report_error(STATUS_USAGE, "the value of --set %.*s is not UTF-8", (int)(equals - text), text);
    }
    char *path = memory_format("%.*s", (int)(equals - text), text);
    enum status status = STATUS_OK;
    if (is_axis) {
        char *pointer = pointer_make(path);
        json_array_append_new(axes, json_pack("{s:s, s:o}", "path", pointer, "values", value));
        free(pointer);
    } else {
        status = submission_set(document, path, value);
    }
    free(path);
    return status;
}

/* KEY=VALUE; a key may have dots, which --set would take for steps. */
static enum status metadata_option(json_t *document, const char *text) {
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text) {
        return report_error(STATUS_USAGE, "--metadata must be KEY=VALUE, such as lab=north; got \"%s\"", text);
    }
    json_t *value = json_loads(equals + 1, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    value = value == NULL ? json_string(equals + 1) : value;
    json_t *metadata = json_object_get(document, "metadata");
    if (!json_is_object(metadata)) {
        metadata = json_object();
        json_object_set_new(document, "metadata", metadata);
    }
    return value != NULL && json_object_setn_new(metadata, text, (size_t)(equals - text), value) == 0
               ? STATUS_OK
               : report_error(STATUS_USAGE, "--metadata must be UTF-8");
}

/* --rule bptt,eprop: an axis of types, each with its own defaults. */
static enum status types_option(json_t *axes, const char *object, const char *types) {
    json_t *patches = json_array(), *names = submission_values(types), *name;
    char *pointer = pointer_make(object);
    size_t index;
    json_array_foreach(names, index, name) {
        json_array_append_new(patches, json_pack("{s:{s:O}}", pointer, "type", name));
    }
    json_array_append_new(axes, json_pack("{s:s, s:o}", "name", object, "patches", patches));
    free(pointer);
    enum status status = names == NULL ? report_error(STATUS_USAGE, "--%s must be UTF-8", object) : STATUS_OK;
    json_decref(names);
    return status;
}

/* --task, --rule: another type has other parameters, so the old ones go. */
static enum status type_option(json_t *document, json_t *axes, const char *object, const char *type) {
    if (axes != NULL && strchr(type, ',') != NULL) {
        return types_option(axes, object, type);
    }
    const json_t *old = json_object_get(json_object_get(document, object), "type");
    if (json_string_value(old) != NULL && strcmp(json_string_value(old), type) == 0) {
        return STATUS_OK;
    }
    json_t *value = old == NULL ? json_object_get(document, object) : NULL;
    json_t *name = json_string(type);
    if (name == NULL) {
        return report_error(STATUS_USAGE, "--%s must be UTF-8", object);
    }
    if (json_is_object(value)) {
        json_object_set_new(value, "type", name);
    } else {
        json_object_set_new(document, object, json_pack("{s:o}", "type", name));
    }
    return STATUS_OK;
}

/* --name, --notes, --tag. */
static enum status caption_options(const struct arguments *arguments, json_t *document) {
    static const char *const texts[] = {"name", "notes"};
    size_t cursor = 0;
    json_t *tags = json_array();
    for (const char *tag; (tag = argument_next(arguments, "tag", &cursor)) != NULL;) {
        if (json_array_append_new(tags, json_string(tag)) != 0) {
            json_decref(tags);
            return report_error(STATUS_USAGE, "--tag must be UTF-8");
        }
    }
    if (json_array_size(tags) > 0) {
        json_object_set(document, "tags", tags);
    }
    json_decref(tags);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *text = argument_text(arguments, texts[i]);
        if (text != NULL && json_object_set_new(document, texts[i], json_string(text)) != 0) {
            return report_error(STATUS_USAGE, "--%s must be UTF-8", texts[i]);
        }
    }
    return STATUS_OK;
}

/* `document` takes the captions, `job` the fields (the same, or an experiment's base), `axes` (or NULL) lists. */
static enum status options_apply(struct cli *cli, json_t *document, json_t *job, json_t *axes) {
    const struct arguments *arguments = &cli->arguments;
    const char *task = argument_text(arguments, "task"), *rule = argument_text(arguments, "rule");
    enum status status = task == NULL ? STATUS_OK : type_option(job, axes, "task", task);
    if (status == STATUS_OK && rule != NULL) {
        status = type_option(job, axes, "rule", rule);
    }
    if (status == STATUS_OK) {
        status = caption_options(arguments, document);
    }
    size_t cursor = 0;
    for (const char *note; status == STATUS_OK && (note = argument_next(arguments, "metadata", &cursor)) != NULL;) {
        status = metadata_option(job, note);
    }
    cursor = 0;
    for (const char *set; status == STATUS_OK && (set = argument_next(arguments, "set", &cursor)) != NULL;) {
        status = set_option(job, axes, set);
    }
    return status;
}

/* What the options change: a file, a job that there is, or nothing yet. */
static enum status document_begin(struct cli *cli, json_t **document) {
    const struct arguments *arguments = &cli->arguments;
    const char *from = argument_text(arguments, "from");
    if (from != NULL && arguments->count > 0) {
        return report_error(STATUS_USAGE, "a job is made from a file or --from a job, not both");
    }
    if (from != NULL) {
        return job_take(cli, from, document);
    }
    if (arguments->count > 0) {
        return file_take(arguments->operands[0], document);
    }
    if (argument_is_set(arguments, "set") || argument_is_set(arguments, "task") || argument_is_set(arguments, "rule")) {
        *document = json_object();
        return STATUS_OK;
    }
    return report_error(STATUS_USAGE,
                        "modprop %s needs a FILE (- is standard input), --task, --set or --from (modprop %s --help)",
                        arguments->command->name, arguments->command->name);
}

/* Releases the document of what went wrong. */
static enum status document_end(enum status status, json_t **document) {
    if (status != STATUS_OK) {
        json_decref(*document);
        *document = NULL;
    }
    return status;
}

enum status submission_make(struct cli *cli, json_t **document) {
    *document = NULL;
    enum status status = document_begin(cli, document);
    status = status == STATUS_OK ? options_apply(cli, *document, *document, NULL) : status;
    return document_end(status, document);
}

/* A job becomes the base of an experiment; a seed of its own is its only one. */
static void base_make(json_t **document) {
    if (!json_is_object(json_object_get(*document, "base"))) {
        json_t *seed = json_incref(json_object_get(*document, "seed"));
        json_object_del(*document, "seed");
        *document = json_pack("{s:o}", "base", *document);
        if (seed != NULL) {
            json_object_set_new(*document, "seeds", json_pack("[o]", seed));
        }
    }
}

bool submission_has_axes(const struct arguments *arguments) {
    static const char *const types[] = {"task", "rule"};
    const char *given;
    size_t cursor = 0;
    bool has = false;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        given = argument_text(arguments, types[i]);
        has = has || (given != NULL && strchr(given, ',') != NULL);
    }
    while ((given = argument_next(arguments, "set", &cursor)) != NULL) {
        const char *equals = strchr(given, '=');
        has = has || (equals != NULL && equals[1 + value_length(equals + 1)] == ',');
    }
    return has;
}

enum status submission_make_experiment(struct cli *cli, json_t **document) {
    json_t *axes = json_array();
    const char *option = argument_text(&cli->arguments, "seed") != NULL ? "seed" : "seeds",
               *seeds = argument_text(&cli->arguments, option);
    *document = NULL;
    enum status status = document_begin(cli, document);
    if (status == STATUS_OK) {
        base_make(document);
        status = options_apply(cli, *document, json_object_get(*document, "base"), axes);
    }
    if (status == STATUS_OK && json_array_size(axes) > 0) {
        json_t *all = json_object_get(*document, "axes");
        if (json_is_array(all)) {
            json_array_extend(all, axes);
        } else {
            json_object_set(*document, "axes", axes);
        }
    }
    if (status == STATUS_OK && seeds != NULL) {
        json_t *ranges;
        status = seeds_parse(option, seeds, EXPERIMENT_SEEDS_MAX, &ranges);
        if (status == STATUS_OK) {
            json_object_set_new(*document, "seeds", ranges);
        }
    }
    json_decref(axes);
    return document_end(status, document);
}

char *submission_key_make(void) {
    unsigned char random[16];
    char key[33];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof random; i++) {
        snprintf(key + 2 * i, 3, "%02x", random[i]);
    }
    return memory_copy(key);
}

enum status submission_key_check(const char *key, bool many) {
    size_t room = KEY_BYTES - (many ? sizeof "-9007199254740991" - 1 : 0);
    for (const char *c = key; c != NULL && *c != '\0'; c++) {
        if (*c < '!' || *c > '~' || (size_t)(c - key) >= room) {
            return report_error(STATUS_USAGE, "--key must be 1 to %zu printable ASCII characters without spaces", room);
        }
    }
    return STATUS_OK;
}

enum status submission_send(struct cli *cli, const char *path, const json_t *document, const char *key, char **id) {
    size_t size = 0;
    char *text = document == NULL ? NULL : json_text(document, &size);
    const struct http_request request = {.method = "POST",
                                         .path = path,
                                         .type = document == NULL ? NULL : "application/json",
                                         .body = text,
                                         .body_size = size,
                                         .idempotency_key = key};
    json_t *job;
    struct text body;
    enum status status = cli_fetch(cli, &request, "submit the job", &job, &body);
    *id = NULL;
    if (status == STATUS_OK) {
        const char *own = json_string_value(json_object_get(job, "id"));
        if (own == NULL) {
            status = report_error(STATUS_FAILED, "the response of %s has no id (is it a modpropd?)",
                                  cli->settings.server.value);
        } else {
            *id = memory_copy(own);
        }
    }
    if (status == STATUS_OK && cli->json) {
        cli_print(&body);
    } else if (status == STATUS_OK && !cli->out.is_terminal) {
        printf("%s\n", terminal_shown(*id));
    } else if (status == STATUS_OK && !argument_is_set(&cli->arguments, "follow")) {
        printf("%s  %s\n", terminal_shown(*id), terminal_shown(job_status(job)));
    }
    fflush(stdout);
    json_decref(job);
    text_release(&body);
    free(text);
    return status;
}
