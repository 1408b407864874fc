/* Calls of the server, and what is printed of their answers, as commands make them. See commands.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/text.h"
#include "clients/cli/commands.h"
#include "clients/cli/output.h"
#include "clients/cli/report.h"

enum status cli_call(struct cli *cli, const struct http_request *request, const char *doing,
                     struct http_answer *answer) {
    if (cli->http == NULL) {
        cli->http = http_create(&cli->settings);
    }
    enum status status = http_perform(cli->http, request, answer);
    if (status == STATUS_OK && (answer->status < 200 || answer->status > 299)) {
        return report_problem(doing, answer->status, answer->body.data);
    }
    if (status == STATUS_UNREACHABLE) {
        const char *hint =
            answer->status == 0
                ? "; is modpropd running there? (modpropd --data DIR starts one; modprop doctor looks for "
                  "other causes)"
                : "";
        return report_error(status, "cannot %s: %s%s", doing, answer->error, hint);
    }
    if (status == STATUS_FAILED && *answer->error != '\0' && request->sink == NULL) {
        return report_error(status, "cannot %s: %s", doing, answer->error);
    }
    return status;
}

enum status cli_fetch(struct cli *cli, const struct http_request *request, const char *doing, json_t **document,
                      struct text *body) {
    struct http_answer answer;
    json_error_t fault;
    *document = NULL;
    enum status status = cli_call(cli, request, doing, &answer);
    if (status == STATUS_OK && answer.body.size > 0) {
        *document = json_loadb(answer.body.data, answer.body.size, 0, &fault);
        if (*document == NULL) {
            status = report_error(STATUS_FAILED, "cannot %s: the response of %s is not JSON (is it a modpropd?): %s",
                                  doing, cli->settings.server.value, fault.text);
        }
    }
    if (body != NULL) {
        *body = answer.body;
        answer.body = (struct text){0};
    }
    http_answer_release(&answer);
    return status;
}

enum status cli_get(struct cli *cli, const char *path, const char *doing, json_t **document) {
    const struct http_request request = {.path = path};
    return cli_fetch(cli, &request, doing, document, NULL);
}

enum status cli_get_page(struct cli *cli, const char *list, const char *query, const char *after, long long limit,
                         json_t **page) {
    char *cursor = after == NULL ? NULL : http_escape(after), *doing = memory_format("list the %s", list);
    char *path = memory_format("/v1/%s?limit=%lld%s%s%s", list, limit < PAGE_MOST ? limit : PAGE_MOST, query,
                               cursor == NULL ? "" : "&after=", cursor == NULL ? "" : cursor);
    enum status status = cli_get(cli, path, doing, page);
    free(cursor);
    free(doing);
    free(path);
    return status;
}

void cli_print_bytes(const char *bytes, size_t size) {
    struct text clean = {0};
    if (size > 0 && isatty(STDOUT_FILENO) == 1) { /* a script gets the bytes as they came */
        struct text whole = {0};
        text_append(&whole, bytes, size);
        terminal_clean(&clean, whole.data, true);
        text_release(&whole);
        bytes = clean.data;
        size = clean.size;
    }
    if (size > 0) {
        fwrite(bytes, 1, size, stdout);
        if (bytes[size - 1] != '\n') {
            putchar('\n');
        }
    }
    text_release(&clean);
}

void cli_print(const struct text *body) {
    cli_print_bytes(body->data, body->size);
}

void cli_print_json(const json_t *document) {
    size_t size = 0;
    char *text = json_text(document, &size);
    cli_print_bytes(text, size);
    free(text);
}

enum status cli_write(const char *path, const void *bytes, size_t size) {
    struct output output;
    enum status status = output_open(&output, path);
    if (status == STATUS_OK) {
        output_write(&output, bytes, size);
        status = output_close(&output, status);
    }
    return status;
}

/* An output, and the byte that it ends with. */
struct copy {
    struct output output;
    char last;
};

static bool output_sink(void *user, const char *bytes, size_t size) {
    struct copy *copy = user;
    copy->last = size > 0 ? bytes[size - 1] : copy->last;
    return output_write(&copy->output, bytes, size);
}

enum status cli_copy(struct cli *cli, const char *path, const char *accept, const char *doing) {
    struct copy copy = {.last = '\n'};
    struct http_answer answer;
    enum status status = output_open(&copy.output, argument_text(&cli->arguments, "output"));
    if (status != STATUS_OK) {
        return status;
    }
    const struct http_request request = {.path = path, .accept = accept, .sink = output_sink, .user = &copy};
    status = cli_call(cli, &request, doing, &answer);
    if (status == STATUS_OK && copy.last != '\n' && strncmp(answer.type, "application/json", 16) == 0) {
        output_write(&copy.output, "\n", 1); /* from a daemon of version 0.1 */
    }
    http_answer_release(&answer);
    return output_close(&copy.output, status);
}

enum status cli_finish(enum status status) {
    if (fflush(stdout) != 0 || ferror(stdout)) {
        int error = errno;
        clearerr(stdout);
        return status != STATUS_OK
                   ? status
                   : report_error(STATUS_FAILED, "cannot write to standard output: %s", strerror(error));
    }
    return status;
}
