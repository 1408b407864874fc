/*
 * POST /v1/jobs/{id}/simulate and /evaluate: which trials, with which weights, what is done to the network; and the
 * answers, written row by row.
 */
#ifndef MODPROP_API_SIMULATE_H
#define MODPROP_API_SIMULATE_H

#include <jansson.h>

#include "api/job.h"
#include "api/problem.h"
#include "api/writer.h"
#include "core/train/simulate.h"

#define SIMULATE_UNITS_DEFAULT 10
#define SIMULATE_NUMBERS_MAX 8000000 /* numbers in a response */
#define SIMULATE_WORK_MAX 4e11       /* multiply-adds */

enum ask_kind { ASK_SIMULATE, ASK_EVALUATE };

struct simulate_ask {
    enum ask_kind kind;
    struct simulate_request request; /* its arrays are the ask's */
    int64_t iteration;               /* of the checkpoint; -1: the newest */
    bool units_given;
    bool split_given; /* else an evaluation takes the split that there is */
    int inputs;       /* of given inputs */
    float *x;
    int32_t *units, *silenced, *cut;
    struct weights_document weights; /* of one's own; memory NULL: none, until those of weights_from are put there */
    struct weights_reference weights_from;                              /* which stored ones are to be taken */
    char dataset[FIELD_NAME_BYTES], dataset_sha256[FIELD_SHA256_BYTES]; /* whose trials are to be run; "": the task's */
};

/* A checkpoint's iteration at path/name; -1: the newest, or a fault. */
int64_t iteration_decode(const json_t *value, const struct path *path, const char *name, struct problems *problems);

/* Decodes and checks what needs no network; call the release function in any case. */
void simulate_ask_decode(struct simulate_ask *ask, enum ask_kind kind, const json_t *document,
                         struct problems *problems);
/* Checks against the network and the shape of the task that is run, and completes split, trials, steps and units. */
void simulate_ask_fit(struct simulate_ask *ask, const struct train_config *config, const struct trained *trained,
                      const struct task_shape *shape, struct problems *problems);
void simulate_ask_release(struct simulate_ask *ask);

/* Arrays for the response. False if out of memory. */
bool simulate_answer_create(const struct simulate_ask *ask, const struct trained *trained,
                            const struct task_shape *shape, struct simulate_answer *answer);
void simulate_answer_release(struct simulate_answer *answer);
/* `data`: the SHA-256 of the data whose trials were run; "": none. */
void simulate_answer_write(struct writer *writer, const char *job, const struct simulate_ask *ask,
                           const struct trained *trained, const char *data, const struct simulate_answer *answer);

/* JSON Schema of the request. */
json_t *simulate_schema(enum ask_kind kind);

#endif
