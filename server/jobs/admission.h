/*
 * Admission: whether a job may be submitted. The document becomes a specification with every default filled in; its
 * dataset is fixed to a version and held; its memory, multiply-adds and bytes are estimated and held against what there
 * is. Used for a job that a client submits and for each point of an experiment.
 *
 * Any thread, one admission at a time; `house` outlives it.
 */
#ifndef MODPROP_SERVER_ADMISSION_H
#define MODPROP_SERVER_ADMISSION_H

#include "api/job.h"
#include "core/train/train.h"
#include "server/datasets/catalog.h"
#include "server/datasets/datasets.h"
#include "server/store/store.h"

/* What a job is held against. */
struct admission_house {
    struct catalog *catalog;
    struct datasets *datasets;
    int64_t memory, max_job_bytes;
};

struct admission {
    const struct admission_house *house; /* set these two before */
    struct problems *problems;
    struct job_spec spec;
    char *text;      /* of the specification, for the store; NULL where it was not asked for */
    char digest[65]; /* job_spec_digest */
    struct train_estimate estimate;
    int64_t data_bytes;   /* that its data take in memory */
    bool holds;           /* a version of a dataset; whoever submits the job passes it on by setting this to false */
    bool short_of_memory; /* while it was read: whatever came out cannot be trusted */
};

/* Checks the document; faults go to admission->problems. `store`: the text is made too. */
void admission_check(struct admission *admission, struct store_reader *reader, const json_t *document, bool store);
/* In any case, once. */
void admission_release(struct admission *admission);

#endif
