/*
 * What is known about a dataset without reading its file: the result of checking it, kept as a document beside the file
 * (catalog.h), so that the data need not be read again to know their shape. Any thread.
 */
#ifndef MODPROP_SERVER_DATASET_INFO_H
#define MODPROP_SERVER_DATASET_INFO_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/tasks/task.h"
#include "server/store/store.h"

#define DATASET_NAME_BYTES 65

struct dataset_info {
    char sha256[STORE_HASH_BYTES]; /* of the file */
    int64_t bytes, memory;         /* of the file; of the data once they are loaded */
    size_t steps, trials, inputs, outputs, test_trials;
    bool classes;               /* cross-entropy */
    bool mask, test_mask;       /* the split has one */
    size_t from, test_from;     /* the first step that counts in any trial of the split; `steps` if none does */
    int64_t counted;            /* entries of the training targets that count: steps times trials without a mask */
    size_t spikes, test_spikes; /* `spikes` above 0: the inputs are spikes, so many in each split, and `steps` are ticks
                                 * of their times */
    char inputs_type[8], targets_type[8]; /* where the inputs are spikes, the type of their units */
    size_t units; /* above 0: the file holds weights, for network.initial, of so many units; of the other members only
                   * sha256, bytes, memory, inputs, outputs and the next one are set */
    bool bias;    /* the weights have b */
};

/* 1 to 64 letters, digits, dots, hyphens and underscores, not starting with a dot. */
bool dataset_name_is_valid(const char *name);

/* What is stored beside the file, and its inverse; false if the document is not one of ours. NULL if out of memory. */
json_t *dataset_info_encode(const struct dataset_info *info);
bool dataset_info_decode(struct dataset_info *info, const json_t *document);

/* The data's sizes without their trials: enough for a task's shape and an estimate. */
struct task_data dataset_describe(const struct dataset_info *info);

#endif
