/*
 * Weights that a request names: read in a lane, from a job's checkpoint or from an uploaded file.
 */
#ifndef MODPROP_SERVER_REFERENCE_H
#define MODPROP_SERVER_REFERENCE_H

#include "api/job.h"
#include "api/problem.h"
#include "server/datasets/catalog.h"
#include "server/store/store.h"

/*
 * The weights that `reference` names into `document`, whose memory the caller frees; iteration and sha256 of the
 * reference then say which they are. False, with a fault at path/name, where there are none.
 */
bool reference_read(struct store_reader *reader, struct catalog *catalog, struct weights_reference *reference,
                    struct weights_document *document, const struct path *path, const char *name,
                    struct problems *problems);

#endif
