/*
 * Where results go: standard output, or a file that appears whole or not at all.
 *
 * A regular file is written under a temporary name beside its place, synced, and renamed. What is no regular file is
 * written as it is: a device, a pipe, and a link, which stays a link (/dev/stdout is one). A link to what standard
 * output is open on means standard output.
 */
#ifndef MODPROP_CLI_OUTPUT_H
#define MODPROP_CLI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "clients/cli/status.h"

struct output {
    FILE *file;
    char *path;      /* NULL: standard output */
    char *temporary; /* NULL: written in place */
    bool failed;     /* a write failed, and it was said */
};

/* `path` NULL or "-": standard output. Complains where it cannot be made. */
enum status output_open(struct output *output, const char *path);

/* Complains at the first failure; where the reader of a pipe went away the process ends as by SIGPIPE. */
bool output_write(struct output *output, const void *bytes, size_t size);

/*
 * Puts the file in its place where `status` is STATUS_OK and all was written, else takes it away. Returns the status of
 * the whole.
 */
enum status output_close(struct output *output, enum status status);

#endif
