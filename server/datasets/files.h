/*
 * A user's dataset as a file: a safetensors file with inputs (T,B,I); targets (T,B) of classes or (T,B,O) of values;
 * optional mask (T,B); optional test_inputs, test_targets, test_mask. Or weights, for network.initial: W (N,N),
 * Win (I,N), optional b (N), Wout (N,O), bout (O); further tensors, as GET .../weights has them, are not looked at.
 *
 * The result of checking a file is a struct dataset_info. It is stored beside the file (catalog.h), so that the data
 * need not be read again to know their shape. Files are read by pread in blocks and never mapped: a failing disk is an
 * error, not a signal, and a loaded dataset takes exactly the memory that was allocated. Any thread.
 */
#ifndef MODPROP_SERVER_DATASET_FILES_H
#define MODPROP_SERVER_DATASET_FILES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/tasks/task.h"
#include "server/store/store.h"

#define DATASET_NAME_BYTES 65
#define DATASET_ERROR_BYTES 512

struct dataset_info {
    char sha256[STORE_HASH_BYTES]; /* of the file */
    int64_t bytes, memory;         /* of the file; of the data once they are loaded */
    size_t steps, trials, inputs, outputs, test_trials;
    bool classes;           /* cross-entropy */
    bool mask, test_mask;   /* the split has one */
    size_t from, test_from; /* the first step that counts in any trial of the split; `steps` if none does */
    int64_t counted;        /* entries of the training targets that count: steps times trials without a mask */
    char inputs_type[8], targets_type[8];
    size_t units; /* above 0: the file holds weights, for network.initial, of so many units; of the other members only
                   * sha256, bytes, memory, inputs, outputs and the next one are set */
    bool bias;    /* the weights have b */
};

/* 1 to 64 letters, digits, dots, hyphens and underscores, not starting with a dot. */
bool dataset_name_is_valid(const char *name);

/* For long operations: `stopped` is polled between blocks; NULL: it cannot be stopped. */
struct dataset_patience {
    bool (*stopped)(void *user);
    void *user;
};

enum dataset_result {
    DATASET_SOUND,
    DATASET_REFUSED,   /* the file is not a dataset; the sentence says why */
    DATASET_UNREADABLE /* the disk failed, memory ran out, or it was stopped */
};

/*
 * Reads the whole file and checks every number. `strict`: the rules for an upload; else those of version 0.1, for files
 * already stored.
 */
enum dataset_result dataset_check(const char *path, bool strict, const struct dataset_patience *patience,
                                  struct dataset_info *info, char error[DATASET_ERROR_BYTES]);

/* What is stored beside the file, and its inverse; false if the document is not one of ours. NULL if out of memory. */
json_t *dataset_info_encode(const struct dataset_info *info);
bool dataset_info_decode(struct dataset_info *info, const json_t *document);

/* The data's sizes without their trials: enough for a task's shape and an estimate. */
struct task_data dataset_describe(const struct dataset_info *info);

/* The trials in memory; `memory` (freed by dataset_data_release) holds them. */
struct dataset_data {
    struct task_data task;
    void *memory[16];
    int count;
    int64_t bytes;
};
/* Loads a file that was checked before, and compares its sha256. False with a sentence. */
bool dataset_data_load(const char *path, const char *sha256, struct dataset_data *loaded,
                       char error[DATASET_ERROR_BYTES]);
void dataset_data_release(struct dataset_data *loaded);

/*
 * Loads weights that were checked before: W, Win, b (if present), Wout, bout as float32, in this order. False with a
 * sentence; else the caller frees *memory.
 */
bool weights_file_load(const char *path, const char *sha256, float **memory, char error[DATASET_ERROR_BYTES]);

#endif
