/*
 * POST /v1/jobs/{id}/simulate: which trials, which units, how often; and the answer, written row by row.
 */
#ifndef MODPROP_API_SIMULATE_H
#define MODPROP_API_SIMULATE_H

#include <jansson.h>

#include "api/problem.h"
#include "api/writer.h"
#include "core/train/simulate.h"

#define SIMULATE_UNITS_DEFAULT 10
#define SIMULATE_NUMBERS_MAX 4000000 /* numbers of an answer */
#define SIMULATE_WORK_MAX 4e11       /* multiply-adds */

struct simulate_ask {
    struct simulate_request request; /* its arrays are the ask's */
    int64_t iteration;               /* of the checkpoint; -1: the newest */
    bool units_given;
    int inputs; /* of given inputs */
    float *x;
    int32_t *units;
};

/* Decodes and checks what needs no network; release it in any case. */
void simulate_ask_decode(struct simulate_ask *ask, const json_t *document, struct problems *problems);
/* Checks against the network and its task (T steps, test_trials), and completes steps and units. */
void simulate_ask_fit(struct simulate_ask *ask, const struct trained *trained, int steps, size_t test_trials,
                      struct problems *problems);
void simulate_ask_release(struct simulate_ask *ask);

/* Arrays for the answer. False without memory. */
bool simulate_answer_create(const struct simulate_ask *ask, const struct trained *trained,
                            struct simulate_answer *answer);
void simulate_answer_release(struct simulate_answer *answer);
void simulate_answer_write(struct writer *writer, const char *job, const struct simulate_ask *ask,
                           const struct trained *trained, const struct simulate_answer *answer);

/* JSON Schema of the request. */
json_t *simulate_schema(void);

#endif
