/*
 * Jobs made from jobs: one that extends another, and one that tries it again. In a lane: the other job's stored
 * document becomes the new job's specification, and an extension also takes its newest checkpoint and its evaluations
 * up to there, as copies, so that the new job depends on nothing that may be deleted.
 *
 * An extended job ends with the weights, the evaluations and the config_sha256 of a job that was submitted with these
 * iterations: evaluations that such a job would not have made (the last one, where it was not due) are left out, and
 * so is what they counted for in stop_when.
 */
#ifndef MODPROP_SERVER_REPETITION_H
#define MODPROP_SERVER_REPETITION_H

#include "server/jobs/admission.h"
#include "server/jobs/jobs.h"

enum repetition_kind { REPEAT_EXTEND, REPEAT_RETRY };

struct repetition {
    struct admission *admission; /* the caller sets these four before */
    enum repetition_kind kind;
    const char *source;          /* the other job's id */
    int64_t priority_most;       /* what the new job's priority is reduced to */
    bool (*stopped)(void *user); /* polled while evaluations are read */
    void *user;
    struct jobs_inherited inherited; /* of an extension, once this succeeded */
    int status;                      /* of the answer if the other job does not allow it; 0: it does */
    char detail[400];
};

/*
 * Fills admission->spec and the rest of it as admission_check does, from the job `source` and `body` (of an extension:
 * job_spec_extend; of a retry NULL). Faults of the body go to admission->problems.
 */
void repetition_make(struct repetition *repetition, struct store_reader *reader, const json_t *body);
void repetition_release(struct repetition *repetition);

#endif
