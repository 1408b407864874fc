/*
 * Experiments as the command line sees them: which one a word means, running one, and following one to its end.
 */
#ifndef MODPROP_CLI_EXPERIMENTS_H
#define MODPROP_CLI_EXPERIMENTS_H

#include "clients/cli/commands.h"
#include "clients/cli/follow.h"

/*
 * The id that `word` means: an id, the beginning of one, "latest", or the name that exactly one experiment has. *id
 * belongs to the caller. Complains where there is none (STATUS_REFUSED) or there are several (STATUS_USAGE).
 */
enum status experiment_resolve(struct cli *cli, const char *word, char **id);

/* "/v1/experiments/ID" and `rest`; the caller frees it. */
char *experiment_path(const char *id, const char *rest);

/* GET of the document (`rest` "") or a part of it ("/points"), of any word. *document belongs to the caller. */
enum status experiment_get(struct cli *cli, const char *word, const char *rest, json_t **document);

/*
 * POST of the experiment that the options and the file make (submission.h) to `path`. *document is the answer, the
 * caller's, and `body` its bytes, released by the caller in any case.
 */
enum status experiment_send(struct cli *cli, const char *path, const char *key, json_t **document, struct text *body);

/* The command `experiment run`, and `submit` with several values of a field: sends, prints the id, follows. */
enum status experiment_run(struct cli *cli);

/* Whether it has come to rest: complete, complete_with_failures, cancelled. */
bool experiment_has_ended(const json_t *experiment);
enum paint experiment_paint(const char *status);

/* "12 of 60, 1 failed, 3 cancelled": trials that ran to their end, of all; those that failed are among them. */
void experiment_progress_put(const json_t *experiment, struct text *text);

/*
 * Watches it to its end: a table that is redrawn, a line for each change (FOLLOW_LINES), or the server's events
 * (FOLLOW_JSON). STATUS_OK when it is complete, STATUS_JOB when trials failed or it was cancelled; `patience` as for
 * follow_job.
 */
enum status experiment_follow(struct cli *cli, const char *id, enum follow_form form, long patience);

/* The row of a command that takes one experiment: its second word, help in short and long, an example, its options. */
#define EXPERIMENT_COMMAND(word, short_words, words, example, table, function)                                         \
    {.name = "experiment " word,                                                                                       \
     .group = "Experiments",                                                                                           \
     .operands = "EXPERIMENT",                                                                                         \
     .least = 1,                                                                                                       \
     .most = 1,                                                                                                        \
     .operand = OPERAND_EXPERIMENT,                                                                                    \
     .summary = short_words,                                                                                           \
     .description = words,                                                                                             \
     .examples = "modprop experiment " word " " example "\n",                                                          \
     .options = table,                                                                                                 \
     .run = function}

#endif
