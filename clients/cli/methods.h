/*
 * An experiment as the methods section of a paper: text made from the configurations that the trials ran with.
 */
#ifndef MODPROP_CLI_METHODS_H
#define MODPROP_CLI_METHODS_H

#include <jansson.h>

#include "clients/cli/memory.h"

/*
 * `methods` takes Markdown, `references` the BibTeX entries that it cites. `points` are the server's (/points);
 * `manifests` those of trials by "POINT-SEED", from which all parameters come; there may be none.
 */
void methods_put(struct text *methods, struct text *references, const json_t *experiment, const json_t *points,
                 const json_t *manifests);

#endif
