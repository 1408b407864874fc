/*
 * Another program, run to its end: its words, what it reads and what it writes. For sbatch, squeue, scancel and sacct.
 */
#ifndef MODPROP_CLI_PROCESS_H
#define MODPROP_CLI_PROCESS_H

#include "clients/cli/memory.h"

struct process {
    int status;           /* of its exit; -1: it could not be run, did not end in time, or a signal ended it */
    struct text out, err; /* at most 16 MiB of each */
};

/*
 * Runs `words` (ended by NULL; found along PATH) with `input` on its standard input (NULL: nothing) and ends it after
 * `seconds`. The caller releases the result.
 */
struct process process_run(const char *const *words, const char *input, int seconds);
void process_release(struct process *process);

#endif
