/*
 * How long a worker waits before it calls again, or asks for more. See agent.h. Loop thread.
 */
#include <math.h>
#include <sys/random.h>

#include "server/worker/agent.h"

#define PAUSE_FIRST 500.0  /* ms, of the first retry */
#define PAUSE_MOST 15000.0 /* ms */
#define REST_MOST 300      /* seconds without new jobs after one that could not run */

uint64_t agent_pause(const struct agent *agent, int failures) {
    double most = agent->beat_seconds > 0 ? fmin(PAUSE_MOST, agent->beat_seconds * 1500) : PAUSE_MOST;
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random) {
        random = (uint32_t)clock_milliseconds() * 2654435761u;
    }
    return (uint64_t)(fmin(most, PAUSE_FIRST * exp2(fmin(failures, 16))) * (0.5 + (double)random / UINT32_MAX));
}

void agent_rest(struct agent *agent) {
    int64_t seconds = agent->refusals < 6 ? 5 << agent->refusals : REST_MOST;
    agent->refusals++;
    agent->lease_at = clock_milliseconds() + (uint64_t)seconds * 1000;
}

void agent_forgotten(struct agent *agent, bool identity) {
    if (identity) {
        client_identity_set(agent->client, "");
    }
    agent->announced = false;
}
