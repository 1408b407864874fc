/*
 * The command line by tables: what a command takes stands once (struct command), and parsing, help, completion and the
 * manual page all read it there. Rejected: getopt_long, a second list of the same names whose messages name no
 * constraint.
 */
#ifndef MODPROP_CLI_ARGUMENTS_H
#define MODPROP_CLI_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "clients/cli/status.h"
#include "core/base/options.h"

struct cli;

/* What a word can be, for completion. */
enum operand {
    OPERAND_NONE,
    OPERAND_JOB,
    OPERAND_FILE,
    OPERAND_DATASET,
    OPERAND_TASK,
    OPERAND_RULE,
    OPERAND_NEURON,
    OPERAND_ANALYSIS,
    OPERAND_EXPERIMENT,
    OPERAND_COMMAND,
    OPERAND_SHELL
};

struct command {
    const char *name;             /* one word, or two: "datasets put" */
    const char *group;            /* heading in the list of commands; NULL: not listed */
    const char *operands;         /* as usage shows them */
    int least, most;              /* how many operands; most -1: any number */
    enum operand operand;         /* what they are */
    bool offline;                 /* needs no settings: must work whatever they are */
    const char *summary;          /* a line, without a full stop */
    const char *description;      /* paragraphs divided by empty lines */
    const char *examples;         /* lines "command  # what it does"; NULL: none */
    const struct option *options; /* NULL: only the global ones */
    enum status (*run)(struct cli *cli);
};

struct given {
    const struct option *option;
    const char *value; /* OPTION_SWITCH: NULL */
};

/* Pointers into argv and the tables. */
struct arguments {
    const struct command *command; /* NULL: none was named */
    char program[64];              /* "modprop list": whose --help explains what was given */
    struct given *given;
    size_t given_count;
    const char **operands;
    size_t count;
};

/* Options that every command takes. */
extern const struct option global_options[];

/*
 * Parses and checks. Complains and returns STATUS_USAGE where something is wrong; `arguments` is released by the caller
 * in any case.
 */
enum status arguments_parse(struct arguments *arguments, int count, char **words);
void arguments_release(struct arguments *arguments);

/* The value of an option that the command's table has, NULL where it was not given. */
const char *argument_text(const struct arguments *arguments, const char *name);
bool argument_is_set(const struct arguments *arguments, const char *name);
/* The value of an integer option (its range was checked), or `fallback`. */
long long argument_integer(const struct arguments *arguments, const char *name, long long fallback);
/* The values of a repeated option in their order: start with *cursor 0; NULL at the end. */
const char *argument_next(const struct arguments *arguments, const char *name, size_t *cursor);

#endif
