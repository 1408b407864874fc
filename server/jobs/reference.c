/*
 * Weights by reference: see reference.h. A lane's thread, with that seat's reader.
 */
#include "server/jobs/reference.h"

#include <stdlib.h>
#include <string.h>

#include "core/train/train.h"

static bool weights_copy(const struct trained *trained, struct weights_document *document) {
    float *memory = malloc(trained->parameters * sizeof *memory);
    if (memory == NULL) {
        return false;
    }
    memcpy(memory, trained->W, trained->parameters * sizeof *memory);
    *document = (struct weights_document){
        .units = trained->units,
        .inputs = trained->inputs,
        .outputs = trained->outputs,
        .memory = memory,
        .view = weights_view_make(memory, trained->units, trained->inputs, trained->outputs, trained->has_bias)};
    return true;
}

bool reference_read(struct store_reader *reader, const char *id, int64_t iteration, struct weights_document *document,
                    const struct path *path, const char *name, struct problems *problems) {
    struct job_spec spec = {0};
    struct store_job job;
    struct store_checkpoint checkpoint = {0};
    struct trained trained;
    struct error error;
    bool taken = false;
    if (store_job_read(reader, id, &job) != 1) {
        problems_add(problems, path, name, "must name an existing job; there is no job \"%s\"", id);
        return false;
    }
    if (store_document_read(reader, job.id, &job.document) != 1 || !job_spec_parse(&spec, job.document) ||
        store_checkpoint_read(reader, job.id, iteration, &checkpoint, NULL) != 1) {
        problems_add(problems, path, name, "must name an existing checkpoint: job %s has %s", job.id,
                     iteration < 0 ? "none yet" : "none of that iteration");
    } else if (trained_open(&spec.config, checkpoint.bytes, checkpoint.size, &trained, &error) != RESULT_DONE) {
        problems_add(problems, path, name, "the checkpoint of job %s cannot be opened: %.200s", job.id, error.text);
    } else {
        taken = weights_copy(&trained, document);
        if (!taken) {
            problems_add(problems, path, name, "not enough memory for the weights of job %s", job.id);
        }
        trained_release(&trained);
    }
    free(checkpoint.bytes);
    job_spec_release(&spec);
    store_job_release(&job);
    return taken;
}
