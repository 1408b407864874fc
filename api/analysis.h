/*
 * POST /v1/jobs/{id}/analyses: what is asked, by "type", and the answer, which names each result with its axes; and
 * GET /v1/analyses, which says what there is. All of it follows from the table of core/analysis.
 */
#ifndef MODPROP_API_ANALYSIS_H
#define MODPROP_API_ANALYSIS_H

#include <jansson.h>

#include "api/job.h"
#include "api/problem.h"
#include "api/writer.h"
#include "core/analysis/analysis.h"

#define ANALYSIS_WORK_MAX 4e11       /* multiply-adds */
#define ANALYSIS_NUMBERS_MAX 8000000 /* numbers in a response */

struct analysis_ask {
    enum analysis_type type;
    struct analysis_request request; /* complete once decoded */
    int64_t iteration;               /* of the checkpoint; -1: the newest */
    int64_t trials, first;           /* as decoded, for `request` */
    int split;
    char other[JOB_ID_BYTES]; /* the job that is compared with; "": the same */
    int64_t other_iteration;  /* -1: the newest */
    char parameter[FIELD_NAME_BYTES];
    struct numbers values;      /* of the parameter */
    struct task_config *levels; /* the task with each value */
    int level_count;
    struct numbers types_per_sign, steps; /* likewise */
};

/* Decodes and checks what needs no network; call the release function in any case. */
void analysis_ask_decode(struct analysis_ask *ask, const json_t *document, struct problems *problems);
void analysis_ask_release(struct analysis_ask *ask);
/* Checks against the networks and the task, which the input has, and completes it. */
void analysis_ask_fit(struct analysis_ask *ask, struct analysis_input *input, struct problems *problems);

/* `sha256`: of the weights. False if the answer has too many numbers: nothing is written. */
bool analysis_answer_write(struct writer *writer, const char *job, const struct analysis_ask *ask,
                           const struct trained *trained, const char *sha256, const struct analysis_answer *answer);

json_t *analyses_describe(void);
json_t *analysis_schema(void);

#endif
