/*
 * In a lane: opens a job's network, the weights of one of its checkpoints with the job's own configuration. Three
 * routes read one: weights, spectrum, simulate.
 */
#ifndef MODPROP_SERVER_NETWORK_H
#define MODPROP_SERVER_NETWORK_H

#include "api/job.h"
#include "core/train/train.h"
#include "server/routes/replies.h"

/*
 * `iteration` -1: the newest checkpoint. False, after computation_fail, if there is no such job or checkpoint or it is
 * damaged. Otherwise the caller calls network_close.
 */
bool network_open(struct computation *computation, const char *job, int64_t iteration, struct job_spec *spec,
                  struct trained *trained);
void network_close(struct job_spec *spec, struct trained *trained);

#endif
