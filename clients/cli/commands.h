/*
 * The commands, and what a running command has at hand.
 *
 * A command is a `struct command` at the end of the file that holds it (command_*.c); commands.c lists them all, and
 * main registers that list, so that a command may ask for the others (help, completion) without including them.
 */
#ifndef MODPROP_CLI_COMMANDS_H
#define MODPROP_CLI_COMMANDS_H

#include <jansson.h>
#include <stdbool.h>

#include "clients/cli/arguments.h"
#include "clients/cli/http.h"
#include "clients/cli/settings.h"
#include "clients/cli/terminal.h"

struct cli {
    struct arguments arguments;
    struct settings settings;
    struct http *http;   /* made by the first call */
    struct terminal out; /* standard output */
    bool json;           /* --json */
};

/* commands.c: in the order of help; ended by NULL. */
extern const struct command *const commands_listed[];

/* registry.c: the registered list. */
extern const struct command *const *command_table;
void commands_register(const struct command *const *table);

/* NULL where there is none of that name. */
const struct command *command_find(const char *name);

/* ---- calls.c ---- */

/*
 * One call. Complains where it fails, with `doing` in the sentence ("list the jobs"), and returns a status; STATUS_OK
 * means that the server answered 2xx. `answer` is released by the caller (http_answer_release) in any case.
 */
enum status cli_call(struct cli *cli, const struct http_request *request, const char *doing,
                     struct http_answer *answer);

/* GET of a document: *document belongs to the caller, NULL unless STATUS_OK. */
enum status cli_get(struct cli *cli, const char *path, const char *doing, json_t **document);

#define PAGE_MOST 100

/*
 * A page of at most `limit` (up to PAGE_MOST) entries of a list, "jobs" or "experiments", behind the cursor `after`
 * (NULL: the first); `query` is "" or "&name=value...".
 */
enum status cli_get_page(struct cli *cli, const char *list, const char *query, const char *after, long long limit,
                         json_t **page);

/* The same with any request. `body`: bytes as they came, for --json; may be NULL. */
enum status cli_fetch(struct cli *cli, const struct http_request *request, const char *doing, json_t **document,
                      struct text *body);

/* Prints bytes of the server's and a line break. */
void cli_print(const struct text *body);
/* The same of bytes that need not be 0-ended, and of a document. */
void cli_print_bytes(const char *bytes, size_t size);
void cli_print_json(const json_t *document);

/* Writes bytes to the file `path`, or to standard output where it is NULL or "-". */
enum status cli_write(const char *path, const void *bytes, size_t size);

/* Streams the answer to GET into --output, which appears whole or not at all; JSON ends in a line break. */
enum status cli_copy(struct cli *cli, const char *path, const char *accept, const char *doing);

/* Flushes standard output: STATUS_FAILED, with a sentence, where it could not be written (a full disk). */
enum status cli_finish(enum status status);

#endif
