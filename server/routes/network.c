/* Opening a job's network: see network.h. */
#include "server/routes/network.h"

#include <stdlib.h>

static void fail_without(struct computation *computation, const char *job, int64_t iteration) {
    if (iteration < 0) {
        computation_fail(computation, 409,
                         "there is no checkpoint yet: the first is written after training.checkpoint_every iterations");
    } else {
        computation_fail(computation, 404,
                         "there is no intact checkpoint of iteration %lld (GET /v1/jobs/%s/checkpoints lists them)",
                         (long long)iteration, job);
    }
}

/* The checkpoint is read; `document` is the job's. */
static bool checkpoint_open(struct computation *computation, const char *document,
                            const struct store_checkpoint *checkpoint, struct job_spec *spec, struct trained *trained) {
    struct error error = {.text = ""};
    if (!job_spec_parse(spec, document)) {
        computation_fail(computation, 500, "the job's document is damaged");
        return false;
    }
    if (trained_open(&spec->config, checkpoint->bytes, checkpoint->size, trained, &error) != RESULT_DONE) {
        computation_fail(computation, 500, "the checkpoint cannot be opened: %.300s", error.text);
        return false;
    }
    return true;
}

bool network_open(struct computation *computation, const char *job, int64_t iteration, struct job_spec *spec,
                  struct trained *trained) {
    struct store_reader *reader = computation_reader(computation);
    struct store_checkpoint checkpoint = {0};
    char *document = NULL;
    *spec = (struct job_spec){0};
    if (store_document_read(reader, job, &document) != 1) {
        computation_fail(computation, 404, "there is no job %s", job);
        return false;
    }
    int found = store_checkpoint_read(reader, job, iteration, &checkpoint, NULL);
    bool opened = found == 1 && checkpoint_open(computation, document, &checkpoint, spec, trained);
    if (found < 0) {
        computation_fail(computation, 500, "the checkpoint cannot be read");
    } else if (found == 0) {
        fail_without(computation, job, iteration);
    }
    free(checkpoint.bytes);
    free(document);
    if (!opened) {
        job_spec_release(spec);
    }
    return opened;
}

void network_close(struct job_spec *spec, struct trained *trained) {
    trained_release(trained);
    job_spec_release(spec);
}
