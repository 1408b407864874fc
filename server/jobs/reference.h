/*
 * Weights that a request names by a job: read in a lane, from that job's checkpoint.
 */
#ifndef MODPROP_SERVER_REFERENCE_H
#define MODPROP_SERVER_REFERENCE_H

#include "api/job.h"
#include "api/problem.h"
#include "server/store/store.h"

/*
 * The weights of a job's checkpoint (`iteration` -1: of its newest) into `document`, whose memory the caller frees.
 * False, with a fault at path/name, where there are none.
 */
bool reference_read(struct store_reader *reader, const char *id, int64_t iteration, struct weights_document *document,
                    const struct path *path, const char *name, struct problems *problems);

#endif
