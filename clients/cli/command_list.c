/*
 * modprop list and modprop show: jobs, many or one.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/text.h"
#include "clients/cli/commands.h"
#include "clients/cli/format.h"
#include "clients/cli/jobs.h"
#include "clients/cli/report.h"
#include "clients/cli/table.h"

extern const struct command command_list, command_show;

/* Text as a value of the server's query language (server/QUERIES.md), literally. */
static void literal_put(struct text *q, const char *text) {
    text_add(q, "\"");
    for (; *text != '\0'; text++) {
        text_append(q, "\\", *text == '"' || *text == '\\');
        text_append(q, text, 1);
    }
    text_add(q, "\"");
}

/* The blank before the next term. */
static void gap_put(struct text *q) {
    text_add(q, q->size == 0 ? "" : " ");
}

static void term_put(struct text *q, const struct arguments *arguments, const char *name) {
    const char *value = argument_text(arguments, name);
    if (value != NULL) {
        gap_put(q);
        text_printf(q, "%s:", name);
        literal_put(q, value);
    }
}

/* KEY: the metadata have it. KEY=VALUE: a number, true, false or null as such; else a text. */
static void metadata_put(struct text *q, const char *note) {
    size_t length = strcspn(note, "=");
    struct text key = {0};
    text_append(&key, note, length);
    gap_put(q);
    text_add(q, "meta.");
    literal_put(q, key.data == NULL ? "" : key.data);
    text_release(&key);
    const char *value = note[length] == '\0' ? NULL : note + length + 1;
    json_t *json = value == NULL ? NULL : json_loads(value, JSON_DECODE_ANY, NULL);
    text_add(q, ":");
    if (value == NULL || json_is_array(json) || json_is_object(json)) {
        text_add(q, "*"); /* what it holds is compared here */
    } else if (json_is_null(json)) {
        text_add(q, "none");
    } else if (json_is_number(json)) {
        text_add(q, value);
    } else {
        literal_put(q, json_is_string(json) ? json_string_value(json) : value);
    }
    json_decref(json);
}

/* The query that the words of the command line make together with `begin`, that of a view. */
static void query_put(struct text *q, const struct arguments *arguments, const char *begin) {
    static const char *const names[] = {"status", "task", "rule", "name"};
    const char *note, *given = argument_text(arguments, "query");
    size_t cursor = 0;
    text_add(q, begin == NULL ? "" : begin);
    if (given != NULL) {
        gap_put(q);
        text_add(q, given);
    }
    for (size_t i = 0; i < arguments->count; i++) {
        gap_put(q);
        text_add(q, arguments->operands[i]);
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        term_put(q, arguments, names[i]);
    }
    while ((note = argument_next(arguments, "metadata", &cursor)) != NULL) {
        metadata_put(q, note);
    }
}

/* Whether the job's metadata holds KEY=VALUE; VALUE is JSON, or else a string. */
static bool metadata_has(const json_t *job, const char *note) {
    size_t length = strcspn(note, "=");
    const json_t *held = json_object_getn(json_object_get(job, "metadata"), note, length);
    json_t *wanted = json_loads(note[length] == '\0' ? "" : note + length + 1, JSON_DECODE_ANY, NULL);
    const char *text = json_string_value(held);
    bool has = held != NULL && (note[length] == '\0' || json_equal(held, wanted) ||
                                (text != NULL && strcmp(text, note + length + 1) == 0));
    json_decref(wanted);
    return has;
}

static bool is_nested(const char *note) {
    const char *value = strchr(note, '=');
    return value != NULL && (value[1] == '[' || value[1] == '{');
}

/* The part of the choice that the server's language leaves to its clients: lists and objects within --metadata. */
static bool is_chosen(const struct arguments *arguments, const json_t *job) {
    const char *note;
    size_t cursor = 0;
    bool chosen = true;
    while (chosen && (note = argument_next(arguments, "metadata", &cursor)) != NULL) {
        chosen = !is_nested(note) || metadata_has(job, note);
    }
    return chosen;
}

static bool is_sieved(const struct arguments *arguments) {
    const char *note;
    size_t cursor = 0;
    bool nested = false;
    while (!nested && (note = argument_next(arguments, "metadata", &cursor)) != NULL) {
        nested = is_nested(note);
    }
    return nested;
}

/* Adds the chosen of a page, up to `limit` jobs in all. Returns how many of the page were looked at. */
static size_t page_take(const struct arguments *arguments, json_t *jobs, const json_t *list, long long limit) {
    size_t index = 0;
    for (; index < json_array_size(list) && (long long)json_array_size(jobs) < limit; index++) {
        json_t *job = json_array_get(list, index);
        if (is_chosen(arguments, job)) {
            json_array_append(jobs, job);
        }
    }
    return index;
}

/* One page into `jobs`, with *cursor moved behind what was looked at (NULL: to the end). */
static enum status page_get(struct cli *cli, json_t *jobs, const char *query, long long limit, char **cursor) {
    long long missing = limit - (long long)json_array_size(jobs);
    json_t *page;
    enum status status = cli_get_page(cli, "jobs", query, *cursor, is_sieved(&cli->arguments) ? PAGE_MOST : missing,
                                      &page);
    size_t size = json_array_size(json_object_get(page, "jobs")),
           looked = page_take(&cli->arguments, jobs, json_object_get(page, "jobs"), limit);
    if (status == STATUS_OK && looked < size) { /* cursors are the server's: it says the one that stands there */
        json_decref(page);
        status = cli_get_page(cli, "jobs", query, *cursor, (long long)looked, &page);
    }
    const char *next = json_string_value(json_object_get(page, "next"));
    free(*cursor);
    *cursor = next == NULL ? NULL : memory_copy(next); /* a page may be empty and not the last */
    json_decref(page);
    return status;
}

/* Up to `limit` jobs that fit `q` into the array `jobs`; *next is the cursor behind them (NULL: none), the caller's. */
static enum status jobs_get(struct cli *cli, json_t *jobs, const char *q, long long limit, char **next) {
    enum status status = STATUS_OK;
    struct text query = {0};
    *next = NULL;
    text_add(&query, "");
    if (q[strspn(q, " ")] != '\0') {
        char *escaped = http_escape(q);
        text_printf(&query, "&q=%s", escaped);
        free(escaped);
    }
    do {
        status = page_get(cli, jobs, query.data, limit, next);
    } while (status == STATUS_OK && *next != NULL && (long long)json_array_size(jobs) < limit);
    text_release(&query);
    return status;
}

static int prefix_length(const json_t *jobs) {
    size_t count = json_array_size(jobs);
    const char **ids = memory_allocate(count, sizeof *ids);
    for (size_t i = 0; i < count; i++) {
        ids[i] = job_text(json_array_get(jobs, i), "id");
    }
    int length = job_prefix_length(ids, count);
    free(ids);
    return length;
}

/* The status, with the share that is done while there is more to do; of a job that diverged it says so. */
static void status_text(const json_t *job, char text[64]) {
    const json_t *fraction = job_member(job, "progress.fraction");
    double share = json_is_number(fraction) ? json_number_value(fraction) : 0;
    if (share > 0 && strcmp(job_status(job), "succeeded") != 0) {
        snprintf(text, 64, "%s %.0f %%", job_status(job), floor(100 * share));
    } else {
        snprintf(text, 64, "%s", job_standing(job));
    }
}

static void row_add(struct table *table, const json_t *job, int characters, bool named) {
    char id[64], status[64], number[FORMAT_BYTES], task[JOB_TASK_BYTES];
    struct text rule = {0};
    snprintf(id, sizeof id, "%.*s", characters, job_text(job, "id"));
    table_add(table, id);
    if (named) {
        table_add(table, json_string_value(json_object_get(job, "name")));
    }
    job_rule_put(&rule, job);
    table_add(table, job_task(job, task));
    table_add(table, rule.data);
    snprintf(number, sizeof number, "%lld", (long long)json_integer_value(json_object_get(job, "seed")));
    table_add(table, number);
    status_text(job, status);
    table_add_painted(table, status, job_status_paint(job_standing(job)));
    table_add(table, format_number(job_member(job, "metrics.loss"), 3, number));
    table_add(table, format_percent(job_member(job, "metrics.accuracy"), number));
    table_add(table, format_age(json_object_get(job, "created_at"), number));
    text_release(&rule);
}

static void jobs_print(const struct cli *cli, const json_t *jobs) {
    struct table_column columns[] = {{"JOB", false, false, 0}, {"NAME", false, true, 2}, {"TASK", false, true, 4},
                                     {"RULE", false, true, 0}, {"SEED", true, false, 1}, {"STATUS", false, false, 0},
                                     {"LOSS", true, false, 0}, {"ACC", true, false, 3},  {"AGE", true, false, 5}};
    bool named = false;
    size_t index;
    json_t *job;
    json_array_foreach((json_t *)jobs, index, job) {
        named = named || json_is_string(json_object_get(job, "name"));
    }
    if (!named) {
        memmove(columns + 1, columns + 2, sizeof columns - 2 * sizeof columns[0]);
    }
    struct table table;
    table_init(&table, columns, 9 - !named);
    int characters = cli->out.is_terminal ? prefix_length(jobs) : JOB_ID_CHARACTERS;
    json_array_foreach((json_t *)jobs, index, job) {
        row_add(&table, job, characters, named);
    }
    table_print(&table, &cli->out);
    table_release(&table);
}

static void jobs_print_json(json_t *jobs, const char *next) {
    json_t *document = json_pack("{s:O, s:s?}", "jobs", jobs, "next", next);
    cli_print_json(document);
    json_decref(document);
}

static void none_note(const char *q) {
    report_note("no jobs%s",
                q[strspn(q, " ")] != '\0' ? " of this kind" : " yet; modprop submit --task delayed_xor makes one");
}

/* ---- a view's order and columns ---- */

static const struct {
    const char *name, *path;
} short_names[] = {{"task", "task.type"},       {"rule", "rule.type"},
                   {"loss", "metrics.loss"},    {"accuracy", "metrics.accuracy"},
                   {"created", "created_at"},   {"started", "started_at"},
                   {"finished", "finished_at"}, {"iteration", "progress.iteration"},
                   {"units", "network.units"},  {"dataset", "task.name"},
                   {"config", "config_sha256"}, {"tag", "tags"},
                   {"time", "created_at"},      {"progress", "progress.fraction"}};

/* What a field of a query is of a job's document. */
static const json_t *field_of(const json_t *job, const char *name) {
    char path[128];
    for (size_t i = 0; i < sizeof short_names / sizeof *short_names; i++) {
        if (strcmp(short_names[i].name, name) == 0) {
            return job_member(job, short_names[i].path);
        }
    }
    snprintf(path, sizeof path, "%s%.100s", strncmp(name, "meta.", 5) == 0 ? "metadata." : "",
             strncmp(name, "meta.", 5) == 0 ? name + 5 : name);
    return job_member(job, path);
}

/* Numbers, then texts, then what has neither; `down` turns the first two round. */
static int field_order(const json_t *a, const json_t *b, bool down) {
    int kind_a = json_is_number(a)   ? 0
                 : json_is_string(a) ? 1
                                     : 2,
        kind_b = json_is_number(b)   ? 0
                 : json_is_string(b) ? 1
                                     : 2;
    double x = json_number_value(a), y = json_number_value(b);
    int order = kind_a != kind_b || kind_a == 2 ? 0
                : kind_a == 1                   ? strcmp(json_string_value(a), json_string_value(b))
                                                : (x > y) - (x < y);
    return kind_a != kind_b ? kind_a - kind_b : down ? -order : order;
}

struct sorted {
    json_t *job;
    const json_t *value;
    size_t place;
    bool down;
};

static int by_field(const void *a, const void *b) {
    const struct sorted *x = a, *y = b;
    int order = field_order(x->value, y->value, x->down);
    return order != 0 ? order : (x->place > y->place) - (x->place < y->place);
}

static void jobs_sort(json_t *jobs, const char *sort) {
    bool down = *sort == '-';
    size_t count = json_array_size(jobs);
    struct sorted *sorted = memory_allocate(count + 1, sizeof *sorted);
    for (size_t i = 0; i < count; i++) {
        json_t *job = json_incref(json_array_get(jobs, i));
        sorted[i] = (struct sorted){job, field_of(job, sort + down), i, down};
    }
    qsort(sorted, count, sizeof *sorted, by_field);
    json_array_clear(jobs);
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(jobs, sorted[i].job);
    }
    free(sorted);
}

static void columns_print(const struct cli *cli, const json_t *jobs, const json_t *columns) {
    size_t count = json_array_size(columns) < TABLE_COLUMNS_MAX ? json_array_size(columns) : TABLE_COLUMNS_MAX, index;
    struct table_column heads[TABLE_COLUMNS_MAX];
    struct table table;
    json_t *job;
    for (size_t i = 0; i < count; i++) {
        heads[i] = (struct table_column){json_string_value(json_array_get(columns, i)), false, i > 0, (int)i};
    }
    table_init(&table, heads, (int)count);
    json_array_foreach((json_t *)jobs, index, job) {
        for (size_t i = 0; i < count; i++) {
            const json_t *value = field_of(job, json_string_value(json_array_get(columns, i)));
            char *text = value == NULL || json_is_null(value) ? memory_copy("-") : value_words(value);
            table_add(&table, text);
            free(text);
        }
    }
    table_print(&table, &cli->out);
    table_release(&table);
}

/* The view that --view names, which must be of jobs; NULL where none is named. */
static enum status view_get(struct cli *cli, json_t **view) {
    const char *name = argument_text(&cli->arguments, "view");
    *view = NULL;
    if (name == NULL) {
        return STATUS_OK;
    }
    char *escaped = http_escape(name), *path = memory_format("/v1/views/%s", escaped);
    enum status status = cli_get(cli, path, "read the view", view);
    free(escaped);
    free(path);
    if (status == STATUS_OK && strcmp(job_text(*view, "of"), "jobs") != 0) {
        status = report_error(STATUS_USAGE, "the view %s is of %s, not of jobs", name, job_text(*view, "of"));
    }
    return status;
}

/* ---- the command ---- */

static void list_print(const struct cli *cli, json_t *jobs, const json_t *view, const char *next) {
    const json_t *columns = json_object_get(view, "columns");
    json_t *job;
    size_t index;
    if (cli->json) {
        jobs_print_json(jobs, next);
    } else if (argument_is_set(&cli->arguments, "quiet")) {
        json_array_foreach(jobs, index, job) {
            puts(terminal_shown(job_text(job, "id")));
        }
    } else {
        if (json_array_size(columns) > 0) {
            columns_print(cli, jobs, columns);
        } else {
            jobs_print(cli, jobs);
        }
        if (next != NULL && cli->out.is_terminal) {
            report_note("there are more; --limit N or --all shows them");
        }
    }
}

static enum status list(struct cli *cli) {
    const struct arguments *arguments = &cli->arguments;
    long long limit = argument_is_set(arguments, "all") ? 100000000 : argument_integer(arguments, "limit", 20);
    if (argument_is_set(arguments, "all") && argument_is_set(arguments, "limit")) {
        return report_error(STATUS_USAGE, "--all and --limit exclude each other");
    }
    json_t *jobs = json_array(), *view;
    char *next = NULL;
    struct text q = {0};
    enum status status = view_get(cli, &view);
    query_put(&q, arguments, json_string_value(json_object_get(view, "q")));
    status = status == STATUS_OK ? jobs_get(cli, jobs, q.data, limit, &next) : status;
    const char *sort = json_string_value(json_object_get(view, "sort"));
    if (status == STATUS_OK && sort != NULL) {
        jobs_sort(jobs, sort);
    }
    if (status == STATUS_OK && json_array_size(jobs) == 0 && !cli->json && !argument_is_set(arguments, "quiet")) {
        none_note(q.data);
    } else if (status == STATUS_OK) {
        list_print(cli, jobs, view, next);
    }
    text_release(&q);
    json_decref(view);
    json_decref(jobs);
    free(next);
    return status;
}

/* ---- show ---- */

#define KEY_WIDTH 16 /* with a sha256 behind it: 80 */

/* "name value  name value ..." of an object, broken to the width, lines below one another behind the key. */
static void object_print(const struct cli *cli, const char *key, const json_t *object) {
    int columns = cli->out.is_terminal ? terminal_columns(&cli->out) : 100, at = KEY_WIDTH;
    const char *name;
    json_t *value;
    printf("%s%-*s%s", terminal_paint(&cli->out, PAINT_BOLD), KEY_WIDTH, terminal_shown(key),
           terminal_paint(&cli->out, PAINT_NONE));
    json_object_foreach((json_t *)object, name, value) {
        struct text piece = {0}, clean = {0};
        char *text = value_words(value);
        bool is_type = strcmp(name, "type") == 0;
        text_printf(&piece, "%s%s%s", is_type ? "" : name, is_type ? "" : " ", text);
        terminal_clean(&clean, piece.data, false);
        int width = terminal_width(clean.data);
        if (at > KEY_WIDTH && at + 2 + width > columns) {
            printf("\n%*s", KEY_WIDTH, "");
            at = KEY_WIDTH;
        }
        printf("%s%s", at > KEY_WIDTH ? "  " : "", clean.data);
        at += width + (at > KEY_WIDTH ? 2 : 0);
        text_release(&piece);
        text_release(&clean);
        free(text);
    }
    putchar('\n');
}

static void line_print(const struct cli *cli, const char *key, const char *value, enum paint paint) {
    printf("%s%-*s%s%s%s%s%s\n", terminal_paint(&cli->out, PAINT_BOLD), KEY_WIDTH, terminal_shown(key),
           terminal_paint(&cli->out, PAINT_NONE), (int)strlen(key) >= KEY_WIDTH ? " " : "",
           paint == PAINT_NONE ? "" : terminal_paint(&cli->out, paint), terminal_shown(value),
           paint == PAINT_NONE ? "" : terminal_paint(&cli->out, PAINT_NONE));
}

static void progress_print(const struct cli *cli, const json_t *job) {
    const json_t *progress = json_object_get(job, "progress"), *finish = json_object_get(progress, "estimated_finish");
    char number[FORMAT_BYTES];
    struct text line = {0};
    text_printf(&line, "%lld of %lld iterations", (long long)json_integer_value(json_object_get(progress, "iteration")),
                (long long)json_integer_value(json_object_get(progress, "iterations")));
    if (json_is_number(json_object_get(progress, "trials_per_second"))) {
        text_printf(&line, ", %s trials/s",
                    format_count(json_number_value(json_object_get(progress, "trials_per_second")), number));
    }
    const json_t *evaluating = json_object_get(progress, "evaluating");
    if (json_is_object(evaluating)) {
        text_printf(&line, ", evaluating %lld of %lld trials",
                    (long long)json_integer_value(json_object_get(evaluating, "done")),
                    (long long)json_integer_value(json_object_get(evaluating, "trials")));
    }
    double left = time_parse(json_string_value(finish)) - time_now();
    if (isfinite(left) && left > 0 && !job_has_ended(job)) {
        text_printf(&line, ", %s left", format_duration(left, number));
    }
    line_print(cli, "progress", line.data, PAINT_NONE);
    text_release(&line);
}

static void metrics_print(const struct cli *cli, const json_t *metrics) {
    char number[FORMAT_BYTES];
    line_print(cli, "loss", format_number(json_object_get(metrics, "loss"), 4, number), PAINT_NONE);
    line_print(cli, "accuracy", format_percent(json_object_get(metrics, "accuracy"), number), PAINT_NONE);
}

static void error_print(const struct cli *cli, const json_t *error) {
    struct text line = {0};
    text_printf(&line, "%s: %s", job_text(error, "code"), job_text(error, "detail"));
    line_print(cli, "error", line.data, PAINT_RED);
    text_release(&line);
}

/*
 * Members in the server's order. What this program does not know is shown by its name, so that a newer daemon loses
 * nothing.
 */
static void job_print(const struct cli *cli, const json_t *job) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)job, name, value) {
        if (json_is_null(value) || strcmp(name, "links") == 0 ||
            (json_is_object(value) && json_object_size(value) == 0)) {
            continue;
        }
        if (strcmp(name, "progress") == 0) {
            progress_print(cli, job);
        } else if (strcmp(name, "metrics") == 0) {
            metrics_print(cli, value);
        } else if (strcmp(name, "error") == 0) {
            error_print(cli, value);
        } else if (json_is_object(value)) {
            object_print(cli, name, value);
        } else {
            bool is_standing = strcmp(name, "status") == 0 || strcmp(name, "outcome") == 0;
            char *text = value_words(value);
            line_print(cli, name, text, is_standing ? job_status_paint(text) : PAINT_NONE);
            free(text);
        }
    }
}

static enum status show(struct cli *cli) {
    long wait = (long)argument_integer(&cli->arguments, "wait", 0);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < cli->arguments.count && status == STATUS_OK; i++) {
        char *id, *path = NULL;
        json_t *job = NULL;
        struct text body = {0};
        status = job_resolve(cli, cli->arguments.operands[i], &id);
        if (status == STATUS_OK) {
            char *query = wait > 0 ? memory_format("?wait=%ld", wait) : memory_copy("");
            path = job_path(id, query);
            const struct http_request request = {.path = path, .quiet_seconds = wait > 0 ? wait + 30 : 0};
            status = cli_fetch(cli, &request, "show the job", &job, &body);
            free(query);
        }
        if (status == STATUS_OK && cli->json) {
            cli_print(&body);
        } else if (status == STATUS_OK) {
            fputs(i > 0 ? "\n" : "", stdout);
            job_print(cli, job);
        }
        json_decref(job);
        text_release(&body);
        free(path);
        free(id);
    }
    return status;
}

static const struct option list_options[] = {
    {"query", 'Q', OPTION_TEXT, "QUERY", 0, 0, false, "only jobs that fit, such as 'rule:eprop loss<0.1'"},
    {"view", 0, OPTION_TEXT, "NAME", 0, 0, false, "a saved view's query, order and columns (modprop views)"},
    {"status", 0, OPTION_CHOICE, "queued|running|pausing|paused|cancelling|succeeded|failed|cancelled", 0, 0, false,
     "only jobs in this state"},
    {"task", 't', OPTION_TEXT, "TYPE", 0, 0, false, "only jobs of this task"},
    {"rule", 'r', OPTION_TEXT, "TYPE", 0, 0, false, "only jobs of this rule"},
    {"name", 'n', OPTION_TEXT, "NAME", 0, 0, false, "only jobs of this name"},
    {"metadata", 0, OPTION_TEXT, "KEY[=VALUE]", 0, 0, true, "only jobs whose metadata has this"},
    {"limit", 'l', OPTION_INTEGER, "N", 1, 1000000, false, "how many, the newest first (default 20)"},
    {"all", 'a', OPTION_SWITCH, NULL, 0, 0, false, "all of them"},
    {"quiet", 'q', OPTION_SWITCH, NULL, 0, 0, false, "ids only"},
    OPTIONS_END,
};

static const struct option show_options[] = {
    {"wait", 'w', OPTION_SECONDS, "SECONDS", 1, 3600, false, "answer when the job ends, or after so many seconds"},
    OPTIONS_END,
};

const struct command command_list = {
    .name = "list",
    .group = "Jobs",
    .operands = "[QUERY]...",
    .least = 0,
    .most = -1,
    .operand = OPERAND_NONE,
    .summary = "list jobs, the newest first",
    .description =
        "On a terminal ids are shortened to what distinguishes them; such a prefix can be given wherever a "
        "JOB is expected. In a pipe they are complete.\n\n"
        "A query is a list of terms, and a job must match all of them: words of its name, field:value, "
        "field:a,b (either), field:1..5, field<value, field:none; a minus before a term finds what does not "
        "match it, and text in double quotes is literal. Fields are those of server/QUERIES.md, such as name, "
        "tag, notes, status, rule, task, seed, loss, accuracy, created, and any of a job's by its path: "
        "rule.mu, meta.lab. Terms may be given as words, or all in one with --query, as those that begin "
        "with a minus must be. The other options are shorthands for terms.",
    .examples = "modprop list rule:eprop seed:1..5 'loss<0.1'\nmodprop list --query '-status:failed meta.lab=x'\n"
                "modprop list --view good\nmodprop cancel $(modprop list --quiet --status queued --all)\n",
    .options = list_options,
    .run = list,
};

const struct command command_show = {
    .name = "show",
    .group = "Jobs",
    .operands = "JOB...",
    .least = 1,
    .most = -1,
    .operand = OPERAND_JOB,
    .summary = "show a job: state, progress, metrics, configuration",
    .description = "Shows everything that the server knows of a job, the defaults that were filled in included.",
    .examples = "modprop show latest\nmodprop show latest --wait 60 --json\n",
    .options = show_options,
    .run = show,
};
