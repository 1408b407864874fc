/*
 * modprop views, and its save and delete: lists that the server keeps by name. modprop edit: what jobs are called.
 */
#include <stdlib.h>
#include <string.h>

#include "api/text.h"
#include "clients/cli/commands.h"
#include "clients/cli/jobs.h"
#include "clients/cli/report.h"
#include "clients/cli/table.h"

extern const struct command command_views, command_views_save, command_views_delete, command_edit;

static char *view_path(const char *name) {
    char *escaped = http_escape(name), *path = memory_format("/v1/views/%s", escaped);
    free(escaped);
    return path;
}

/* "a,b" as a list; json null where the option was not given. */
static json_t *list_of(const char *text) {
    size_t length;
    json_t *list = text == NULL ? json_null() : json_array();
    for (const char *rest = text, *one; rest != NULL && (one = option_list_next(&rest, &length)) != NULL;) {
        if (length > 0) {
            json_array_append_new(list, json_stringn(one, length));
        }
    }
    return list;
}

/* A list as "a, b"; the caller frees it. */
static char *list_words(const json_t *list) {
    struct text words = {0};
    size_t index;
    json_t *one;
    text_add(&words, "");
    json_array_foreach((json_t *)list, index, one) {
        text_printf(&words, "%s%s", index == 0 ? "" : ", ", json_string_value(one));
    }
    return words.data;
}

static enum status views(struct cli *cli) {
    static const struct table_column columns[] = {{"NAME", false, false, 0},
                                                  {"OF", false, false, 3},
                                                  {"QUERY", false, true, 0},
                                                  {"SORT", false, false, 1},
                                                  {"COLUMNS", false, true, 2}};
    json_t *document, *view;
    struct text body;
    struct table table;
    size_t index;
    enum status status = cli_fetch(cli, &(const struct http_request){.path = "/v1/views"}, "list the views", &document,
                                   &body);
    const json_t *list = json_object_get(document, "views");
    if (status == STATUS_OK && cli->json) {
        cli_print(&body);
    } else if (status == STATUS_OK && json_array_size(list) == 0) {
        report_note("no views yet; modprop views save NAME QUERY makes one");
    } else if (status == STATUS_OK) {
        table_init(&table, columns, 5);
        json_array_foreach((json_t *)list, index, view) {
            const json_t *shown = json_object_get(view, "columns");
            char *words = list_words(shown);
            table_add(&table, job_text(view, "name"));
            table_add(&table, job_text(view, "of"));
            table_add(&table, job_text(view, "q"));
            table_add(&table, json_string_value(json_object_get(view, "sort")));
            table_add(&table, json_is_array(shown) ? words : NULL);
            free(words);
        }
        table_print(&table, &cli->out);
        table_release(&table);
    }
    json_decref(document);
    text_release(&body);
    return status;
}

/* One call with a JSON body; its answer is printed with --json. */
static enum status document_send(struct cli *cli, const char *method, const char *path, json_t *document,
                                 const char *doing) {
    size_t size;
    char *text = json_text(document, &size);
    const struct http_request request = {
        .method = method, .path = path, .type = "application/json", .body = text, .body_size = size};
    struct http_answer answer;
    enum status status = cli_call(cli, &request, doing, &answer);
    if (status == STATUS_OK && cli->json) {
        cli_print(&answer.body);
    }
    http_answer_release(&answer);
    free(text);
    return status;
}

static enum status save(struct cli *cli) {
    const struct arguments *arguments = &cli->arguments;
    const char *given = argument_text(arguments, "query"), *of = argument_text(arguments, "of"),
               *sort = argument_text(arguments, "sort");
    struct text q = {0};
    text_add(&q, given == NULL ? "" : given);
    for (size_t i = 1; i < arguments->count; i++) {
        text_printf(&q, "%s%s", q.size == 0 ? "" : " ", arguments->operands[i]);
    }
    json_t *document = json_pack("{s:s, s:s, s:s?, s:o}", "of", of == NULL ? "jobs" : of, "q", q.data, "sort", sort,
                                 "columns", list_of(argument_text(arguments, "columns")));
    char *path = view_path(arguments->operands[0]);
    enum status status = document_send(cli, "PUT", path, document, "save the view");
    if (status == STATUS_OK) {
        report_note("saved; modprop list --view %s shows it", arguments->operands[0]);
    }
    json_decref(document);
    text_release(&q);
    free(path);
    return status;
}

static enum status delete(struct cli *cli) {
    enum status status = STATUS_OK;
    for (size_t i = 0; i < cli->arguments.count && status == STATUS_OK; i++) {
        char *path = view_path(cli->arguments.operands[i]);
        struct http_answer answer;
        status = cli_call(cli, &(const struct http_request){.method = "DELETE", .path = path}, "delete the view",
                          &answer);
        http_answer_release(&answer);
        free(path);
    }
    return status;
}

static enum status edit(struct cli *cli) {
    static const char *const texts[] = {"name", "notes"};
    const struct arguments *arguments = &cli->arguments;
    const char *tags = argument_text(arguments, "tags");
    json_t *document = json_object();
    enum status status = STATUS_OK;
    for (size_t i = 0; i < 2; i++) {
        const char *text = argument_text(arguments, texts[i]);
        if (text != NULL) {
            json_object_set_new(document, texts[i], json_string(text));
        }
    }
    if (tags != NULL) {
        json_object_set_new(document, "tags", list_of(tags));
    }
    if (json_object_size(document) == 0) {
        status = report_error(STATUS_USAGE, "say what to change: --name, --notes or --tags");
    }
    for (size_t i = 0; i < arguments->count && status == STATUS_OK; i++) {
        char *id = NULL;
        status = job_resolve(cli, arguments->operands[i], &id);
        char *path = status == STATUS_OK ? job_path(id, "") : NULL;
        status = status == STATUS_OK ? document_send(cli, "PATCH", path, document, "change the job") : status;
        free(path);
        free(id);
    }
    json_decref(document);
    return status;
}

static const struct option save_options[] = {
    {"query", 'Q', OPTION_TEXT, "QUERY", 0, 0, false, "which jobs, as modprop list takes it"},
    {"sort", 0, OPTION_TEXT, "FIELD", 0, 0, false, "sort by this field; -FIELD in descending order"},
    {"columns", 0, OPTION_TEXT, "FIELD,...", 0, 0, false, "show these fields"},
    {"of", 0, OPTION_CHOICE, "jobs|experiments", 0, 0, false, "what is listed (default jobs)"},
    OPTIONS_END,
};

static const struct option edit_options[] = {
    {"name", 'n', OPTION_TEXT, "NAME", 0, 0, false, "the new name; \"\" removes it"},
    {"notes", 0, OPTION_TEXT, "TEXT", 0, 0, false, "the new notes; \"\" removes them"},
    {"tags", 0, OPTION_TEXT, "TAG,...", 0, 0, false, "the new tags, in place of the old; \"\" removes them"},
    OPTIONS_END,
};

const struct command command_views = {
    .name = "views",
    .group = "Jobs",
    .operands = "",
    .least = 0,
    .most = 0,
    .operand = OPERAND_NONE,
    .summary = "list the saved views",
    .description = "A view is a query with an order and columns that the server keeps under a name, for all clients.",
    .examples = "modprop views\nmodprop list --view good\n",
    .run = views,
};

const struct command command_views_save = {
    .name = "views save",
    .group = "Jobs",
    .operands = "NAME [QUERY]...",
    .least = 1,
    .most = -1,
    .operand = OPERAND_NONE,
    .summary = "save a view under a name, replacing one of that name",
    .description = "Terms that begin with a minus must be given with --query. --sort and --columns take the fields of "
                   "queries.",
    .examples = "modprop views save good rule:eprop 'loss<0.1' --sort loss --columns id,name,seed,loss,meta.lab\n",
    .options = save_options,
    .run = save,
};

const struct command command_views_delete = {
    .name = "views delete",
    .group = "Jobs",
    .operands = "NAME...",
    .least = 1,
    .most = -1,
    .operand = OPERAND_NONE,
    .summary = "delete saved views",
    .description = "Deletes the views, not the jobs that they show.",
    .examples = "modprop views delete good\n",
    .run = delete,
};

const struct command command_edit = {
    .name = "edit",
    .group = "Jobs",
    .operands = "JOB...",
    .least = 1,
    .most = -1,
    .operand = OPERAND_JOB,
    .summary = "change the name, notes and tags of jobs",
    .description = "Can be used at any time: none of them affects results. Options that are not given change nothing.",
    .examples = "modprop edit latest --name 'figure 2' --tags paper,draft\n",
    .options = edit_options,
    .run = edit,
};
