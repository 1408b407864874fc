/*
 * Jobs of version 0.1: see adopt.h.
 *
 * Version 0.1 stored the digest of a job's data when the job first reported, and refused to replace the dataset of an
 * unfinished job; so a waiting job means the version that its name has now. The digest is written only to the job's
 * row: its document, and with it its config_sha256, stays as it was stored.
 */
#include "server/datasets/adopt.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/job.h"

struct adoption {
    struct catalog *catalog;
    struct store *store;
    struct store_reader *reader;
};

/* The version that the document's dataset has now; false: there is none, or the job has ended. */
static bool version_find(struct catalog *catalog, const struct store_job *job, char sha256[STORE_HASH_BYTES]) {
    json_t *document = job_spec_brief(job->brief);
    const char *name = json_string_value(json_object_get(json_object_get(document, "task"), "name"));
    struct catalog_dataset *dataset = calloc(1, sizeof *dataset);
    bool found = name != NULL && dataset != NULL && !job_status_is_final(job->status) &&
                 catalog_find(catalog, name, dataset);
    if (found) {
        memcpy(sha256, dataset->versions[0].info.sha256, STORE_HASH_BYTES);
    }
    free(dataset);
    json_decref(document);
    return found;
}

static bool job_adopt(void *user, const char *id, int64_t number) {
    struct adoption *adoption = user;
    struct store_job job;
    char sha256[STORE_HASH_BYTES];
    (void)number;
    if (store_job_read(adoption->reader, id, &job) != 1) {
        return false;
    }
    if (!version_find(adoption->catalog, &job, sha256)) {
        store_job_release(&job);
        return true;
    }
    struct store_unit *unit = store_unit_create(NULL, NULL);
    struct store_item *item = unit == NULL ? NULL : store_unit_add(unit, STORE_JOB_SET);
    if (item == NULL) {
        store_unit_free(unit);
        store_job_release(&job);
        return false;
    }
    memcpy(job.dataset_sha256, sha256, sizeof job.dataset_sha256);
    item->job = job;
    store_submit(adoption->store, unit);
    return true;
}

bool datasets_adopt_jobs(struct catalog *catalog, struct store *store, struct store_reader *reader, struct loop *loop,
                         char error[DATASET_ERROR_BYTES]) {
    struct adoption adoption = {.catalog = catalog, .store = store, .reader = reader};
    bool read = store_data_unknown(reader, job_adopt, &adoption) >= 0;
    store_flush(store);
    loop_deliver(loop);
    if (!read) {
        snprintf(error, DATASET_ERROR_BYTES, "the jobs in the database cannot be read");
    }
    return read;
}
