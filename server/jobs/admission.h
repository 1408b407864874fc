/*
 * Admission: whether a job may be submitted. The document becomes a specification with every default filled in; its
 * dataset is fixed to a version and held; its memory, multiply-adds and bytes are estimated and compared with what is
 * available. Used for a job that a client submits and for each point of an experiment.
 *
 * Any thread, one admission at a time; `limits` outlives it.
 */
#ifndef MODPROP_SERVER_ADMISSION_H
#define MODPROP_SERVER_ADMISSION_H

#include "api/job.h"
#include "core/train/train.h"
#include "server/datasets/catalog.h"
#include "server/datasets/datasets.h"
#include "server/store/store.h"

/* The limits that a job is compared with. */
struct admission_limits {
    struct catalog *catalog;
    struct datasets *datasets;
    int64_t memory, max_job_bytes;
};

struct admission {
    const struct admission_limits *limits; /* the caller sets these two before */
    struct problems *problems;
    bool repeats; /* a stored job's specification: its version of a dataset will do, whatever became of the name */
    struct job_spec spec;
    char *text;        /* of the specification, for the store; NULL if it was not requested */
    char digest[65];   /* job_spec_digest */
    char identity[65]; /* job_spec_identity, as far as the result */
    struct train_estimate estimate;
    int64_t data_bytes;   /* bytes that its data take in memory */
    bool holds;           /* a version of a dataset; when the job takes it over, the caller sets this to false */
    uint64_t begin;       /* json_memory_begin */
    bool short_of_memory; /* out of memory while it was read: the result cannot be trusted */
};

/* Checks the document; faults go to admission->problems. `store`: also makes the text. */
void admission_check(struct admission *admission, struct store_reader *reader, const json_t *document, bool store);
/*
 * The second half of it, for a specification that was decoded before: fixes its data, checks its shape and what it
 * costs.
 */
void admission_settle(struct admission *admission, bool store);
/* Call it once, in any case. */
void admission_release(struct admission *admission);

#endif
