/*
 * A job put together from a file, another job, and options: what submit and validate send.
 */
#ifndef MODPROP_CLI_SUBMISSION_H
#define MODPROP_CLI_SUBMISSION_H

#include "clients/cli/commands.h"

/* The options below, for the tables of submit and validate. */
#define SUBMISSION_OPTIONS                                                                                             \
    {"set", 0, OPTION_TEXT, "PATH=VALUE",                                                                              \
     0,     0, true,        "set a field, such as rule.mu=0.3; VALUE is JSON, or else a string"},                      \
        {"task", 't', OPTION_TEXT, "TYPE", 0, 0, false, "as --set task.type=TYPE (modprop tasks lists them)"},         \
        {"rule", 'r', OPTION_TEXT, "TYPE", 0, 0, false, "as --set rule.type=TYPE (modprop rules lists them)"},         \
        {"name", 'n', OPTION_TEXT, "NAME", 0, 0, false, "as --set name=NAME"},                                         \
        {"metadata", 0, OPTION_TEXT, "KEY=VALUE",                                                                      \
         0,          0, true,        "note a value under a key of the job's metadata; VALUE is JSON, or a string"},    \
        {"notes", 0, OPTION_TEXT, "TEXT", 0, 0, false, "as --set notes=TEXT"},                                         \
        {"tag", 0, OPTION_TEXT, "TAG", 0, 0, true, "a tag, by which modprop list tag:TAG finds the job"},              \
        {"from", 0, OPTION_TEXT, "JOB", 0, 0, false, "begin with the configuration of this job"}

/*
 * *document belongs to the caller. Complains: STATUS_USAGE for a file that is no JSON or a bad --set, STATUS_FAILED for
 * no file.
 */
enum status submission_make(struct cli *cli, json_t **document);

/* Whether an option gives a field several values: what is submitted is an experiment then, not a job. */
bool submission_has_axes(const struct arguments *arguments);

#define EXPERIMENT_SEEDS_MAX 100000

/*
 * The same for an experiment: FILE holds one (a member "base"), or what show --json printed of one, or a job, which
 * becomes the base. A field that is given several values ("--set rule.mu=0.1,0.25", "--rule bptt,eprop") becomes an
 * axis, behind those of the file; --seeds, where the command has it, its seeds.
 */
enum status submission_make_experiment(struct cli *cli, json_t **document);

/*
 * The values of "0.1,0.25,null": JSON, or else strings; commas in brackets and quotation marks divide nothing. NULL
 * where one of them is not UTF-8.
 */
json_t *submission_values(const char *text);

/* document.path = value; objects on the way are made. Complains where something on the way is no object. */
enum status submission_set(json_t *document, const char *path, json_t *value);

/* One value of an option that takes NAME=VALUE, into the document. Complains. */
enum status submission_option(json_t *document, const char *option, const char *text);

/*
 * A key of its own for every submission, which the caller frees: a call that broke off can be repeated without making a
 * second job. NULL where the system gives no random bytes.
 */
char *submission_key_make(void);

/*
 * A key that a user gives travels in a header: the same words that the server takes, and nothing that would end the
 * line; `many`: room for a number behind it. Complains.
 */
enum status submission_key_check(const char *key, bool many);

/*
 * Sends a job (`document` NULL: no body) to `path` and prints its id, as --json, the terminal and --follow ask. *id
 * belongs to the caller. Complains.
 */
enum status submission_send(struct cli *cli, const char *path, const json_t *document, const char *key, char **id);

/* Reads a whole file ("-": standard input) of at most `limit` bytes. Complains. */
enum status file_read_whole(const char *path, size_t limit, struct text *text);

#endif
