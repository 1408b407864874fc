/*
 * A folder that appears whole or not at all: it is filled under a temporary name beside its place, then renamed.
 *
 * Each file's sha256 is noted, so that the folder can end with a list of them (digests.txt, which sha256sum -c checks).
 */
#ifndef MODPROP_CLI_FOLDER_H
#define MODPROP_CLI_FOLDER_H

#include "clients/cli/memory.h"
#include "clients/cli/status.h"

struct folder {
    char *path, *temporary;
    struct text digests; /* lines "sha256  name" */
};

/* Begins the folder `path`, which must not exist or be empty. Complains: STATUS_USAGE, STATUS_FAILED. */
enum status folder_open(struct folder *folder, const char *path);

/* Writes a file; `name` may lie in a folder within ("figures/loss.svg"), which is made. Complains. */
enum status folder_write(struct folder *folder, const char *name, const void *bytes, size_t size);

/* Puts the folder in its place where `status` is STATUS_OK, else takes all of it away. Returns the whole's status. */
enum status folder_close(struct folder *folder, enum status status);

#endif
