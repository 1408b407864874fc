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

static bool job_read(struct store_reader *reader, struct weights_reference *reference,
                     struct weights_document *document, const struct path *path, const char *name,
                     struct problems *problems) {
    const char *id = reference->job;
    const int64_t iteration = reference->iteration;
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
        reference->iteration = trained.iteration;
        sha256_hex(trained.W, trained.parameters * sizeof(float), reference->sha256);
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

/* The version is held while it is read. */
static bool file_read(struct catalog *catalog, struct weights_reference *reference, struct weights_document *document,
                      const struct path *path, const char *name, struct problems *problems) {
    const struct path here = {.parent = path, .name = name};
    struct dataset_info info;
    char file[SHELF_PATH_BYTES], error[DATASET_ERROR_BYTES];
    float *memory = NULL;
    switch (catalog_hold(catalog, reference->file, reference->sha256, &info)) {
    case CATALOG_NO_NAME:
        problems_add(problems, &here, "weights", "there are no weights \"%s\" (PUT /v1/datasets/%s stores a file)",
                     reference->file, reference->file);
        return false;
    case CATALOG_NO_VERSION:
        problems_add(problems, &here, "sha256", "\"%s\" has no version %s (any more)", reference->file,
                     reference->sha256);
        return false;
    case CATALOG_HELD:
        break;
    }
    catalog_path(catalog, reference->sha256, file);
    if (info.units == 0) {
        problems_add(problems, &here, "weights", "must name a file with W, Win, Wout and bout; \"%s\" is a dataset",
                     reference->file);
    } else if (!weights_file_load(file, reference->sha256, &memory, error)) {
        problems_add(problems, &here, "weights", "%.400s", error);
    } else {
        const int units = (int)info.units, inputs = (int)info.inputs, outputs = (int)info.outputs;
        *document = (struct weights_document){.units = units,
                                              .inputs = inputs,
                                              .outputs = outputs,
                                              .memory = memory,
                                              .view = weights_view_make(memory, units, inputs, outputs, info.bias)};
    }
    catalog_release(catalog, reference->sha256);
    return memory != NULL;
}

bool reference_read(struct store_reader *reader, struct catalog *catalog, struct weights_reference *reference,
                    struct weights_document *document, const struct path *path, const char *name,
                    struct problems *problems) {
    return reference->file[0] != '\0' ? file_read(catalog, reference, document, path, name, problems)
                                      : job_read(reader, reference, document, path, name, problems);
}
