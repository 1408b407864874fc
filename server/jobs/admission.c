/*
 * Admission: from a job's document to a checked specification, or to all of its faults. See admission.h.
 */
#include "server/jobs/admission.h"

#include <stdlib.h>
#include <string.h>

#include "api/text.h"
#include "core/tasks/task.h"
#include "server/jobs/jobs.h"
#include "server/jobs/reference.h"

/* Copies stored weights into the specification. */
static void resolve_initial(struct admission *admission, struct store_reader *reader) {
    const struct path network = {.name = "network"};
    struct problems *problems = admission->problems;
    struct job_spec *spec = &admission->spec;
    if (!reference_read(reader, admission->limits->catalog, &spec->initial_from, &spec->initial, &network, "initial",
                        problems)) {
        return;
    }
    spec->config.network.initial = &spec->initial.view;
    if (spec->units_open) {
        job_spec_units_set(spec, spec->initial.units, problems);
    } else if (spec->initial.units != spec->config.network.units) {
        problems_add(problems, &network, "initial", "must have network.units units (%d); %s %s has %d",
                     spec->config.network.units, spec->initial_from.file[0] != '\0' ? "the file" : "job",
                     spec->initial_from.file[0] != '\0' ? spec->initial_from.file : spec->initial_from.job,
                     spec->initial.units);
    }
}

/* What the job will need, compared with what is available. */
static void check_estimate(struct admission *admission) {
    const struct admission_limits *limits = admission->limits;
    struct problems *problems = admission->problems;
    struct error error = {.text = ""};
    admission->data_bytes = datasets_memory(limits->datasets, admission->spec.config.task.data_sha256);
    size_t data = (size_t)admission->data_bytes;
    if (!train_estimate_compute(&admission->spec.config, &admission->estimate, &error)) {
        problems_add(problems, NULL, "network", "cannot be trained like this: %.300s", error.text);
    } else if (admission->estimate.memory_bytes + data > (size_t)limits->memory) {
        problems_add(problems, &(struct path){.name = "training"}, "batch_size",
                     "the job would take %zu bytes of memory and its data %zu; at most %lld may be used (--memory): "
                     "use fewer units, trials or steps, data of a smaller type, or a bound in training.memory",
                     admission->estimate.memory_bytes, data, (long long)limits->memory);
    } else if (jobs_bytes_most(&admission->spec.config, &admission->estimate) > (double)limits->max_job_bytes) {
        problems_add(
            problems, &(struct path){.name = "training"}, "evaluate_every",
            "the job could store %.3g bytes; at most %lld may be stored (--max-job-bytes): use fewer iterations, "
            "a larger evaluate_every or checkpoint_every, or a smaller keep_checkpoints",
            jobs_bytes_most(&admission->spec.config, &admission->estimate), (long long)limits->max_job_bytes);
    }
}

/* Checks that depend on the task's shape, which is now known. */
static void check_shape(struct admission *admission) {
    struct problems *problems = admission->problems;
    const struct task_config *task = &admission->spec.config.task;
    struct task_shape shape;
    char reason[256];
    if (!task_table[task->type]->shape(task, &shape, reason)) {
        problems_add(problems, &(struct path){.name = "task"}, NULL, "%s", reason);
    } else {
        job_spec_check_shape(&admission->spec, shape.inputs, shape.outputs, problems);
        job_spec_settle(&admission->spec, &shape, problems);
    }
    if (problems->count == 0) {
        check_estimate(admission);
    }
}

/* Fixes the version of the dataset from the catalogue: no data are read. */
static void check_dataset(struct admission *admission) {
    struct problems *problems = admission->problems;
    struct task_config *task = &admission->spec.config.task;
    const struct path path = {.name = "task"};
    struct dataset_info info;
    enum catalog_result held = catalog_hold(admission->limits->catalog, task->dataset, task->data_sha256, &info);
    if (held != CATALOG_HELD && admission->repeats &&
        catalog_hold_version(admission->limits->catalog, task->data_sha256, &info)) {
        held = CATALOG_HELD;
    }
    switch (held) {
    case CATALOG_NO_NAME:
        problems_add(problems, &path, "name", "there is no dataset \"%s\" (PUT /v1/datasets/%s makes one)",
                     task->dataset, task->dataset);
        return;
    case CATALOG_NO_VERSION:
        problems_add(problems, &path, "sha256", "the dataset \"%s\" has no version %s (any more)", task->dataset,
                     task->data_sha256);
        return;
    case CATALOG_HELD:
        break;
    }
    admission->holds = true;
    if (info.units > 0) {
        problems_add(problems, &path, "name", "must name a dataset; \"%s\" holds weights, for network.initial",
                     task->dataset);
        return;
    }
    const struct task_data data = dataset_describe(&info);
    task->data = &data;
    check_shape(admission);
    task->data = NULL;
}

/* MNIST, whose files belong to the operator: fixes their digest. */
static void check_mnist(struct admission *admission) {
    struct datasets *datasets = admission->limits->datasets;
    struct task_config *task = &admission->spec.config.task;
    const struct task_data *data = NULL;
    char error[DATASETS_ERROR_BYTES];
    enum datasets_result result = datasets_hold(datasets, task, "", &data, error);
    if (result != DATASETS_HELD) {
        problems_add(admission->problems, &(struct path){.name = "task"},
                     result == DATASETS_CHANGED ? "sha256" : "type", "%.400s", error);
        return;
    }
    datasets_digest(datasets, data, task->data_sha256);
    task->data = data;
    check_shape(admission);
    task->data = NULL;
    datasets_release(datasets, data);
}

static void check_data(struct admission *admission) {
    switch (task_ops_of(&admission->spec.config.task)->needs) {
    case NEEDS_DATASET:
        check_dataset(admission);
        break;
    case NEEDS_MNIST:
        check_mnist(admission);
        break;
    case NEEDS_NOTHING:
        check_shape(admission);
    }
}

static void identity_take(struct admission *admission) {
    uint8_t identity[IDENTITY_BYTES];
    if (!job_spec_identity(&admission->spec, REACH_RESULT, identity)) {
        admission->short_of_memory = true;
        return;
    }
    for (size_t i = 0; i < IDENTITY_BYTES; i++) {
        snprintf(admission->identity + 2 * i, 3, "%02x", identity[i]);
    }
}

void admission_check(struct admission *admission, struct store_reader *reader, const json_t *document, bool store) {
    struct problems *problems = admission->problems;
    admission->begin = json_memory_begin();
    job_spec_decode(&admission->spec, document, problems);
    if (problems->count == 0 && admission->spec.initial.memory == NULL &&
        weights_reference_is_given(&admission->spec.initial_from)) {
        resolve_initial(admission, reader);
    }
    admission_settle(admission, store);
}

void admission_settle(struct admission *admission, bool store) {
    struct problems *problems = admission->problems;
    if (problems->count == 0) {
        check_data(admission);
    }
    admission->short_of_memory = json_memory_short(admission->begin);
    if (problems->count == 0) {
        admission->text = store ? job_spec_text(&admission->spec) : NULL;
        admission->short_of_memory = admission->short_of_memory || (store && admission->text == NULL);
        job_spec_digest(&admission->spec, admission->digest);
        identity_take(admission);
    }
}

void admission_release(struct admission *admission) {
    if (admission->holds) {
        catalog_release(admission->limits->catalog, admission->spec.config.task.data_sha256);
    }
    job_spec_release(&admission->spec);
    free(admission->text);
    admission->holds = false;
    admission->text = NULL;
}
