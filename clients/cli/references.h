/*
 * The publications that methods cite, as BibTeX.
 */
#ifndef MODPROP_CLI_REFERENCES_H
#define MODPROP_CLI_REFERENCES_H

#include "clients/cli/memory.h"

/* Appends the entry of a citation key ("liu2022"); a key that there is no entry for is a fault of the program. */
void reference_put(struct text *text, const char *key);

#endif
