/*
 * A user's datasets: DIR/datasets/user/NAME@SHA256.safetensors, a file each. The name carries the sha256, so that a
 * dataset and its digest are replaced in one rename. Inputs (T,B,I); targets (T,B) of classes or (T,B,O) of values;
 * optional mask (T,B); optional test_inputs, test_targets, test_mask.
 */
#ifndef MODPROP_SERVER_DATASET_FILES_H
#define MODPROP_SERVER_DATASET_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/tasks/task.h"
#include "server/store/store.h"

#define DATASET_NAME_BYTES 65
#define DATASET_ERROR_BYTES 512

struct dataset_info {
    char name[DATASET_NAME_BYTES];
    char sha256[STORE_HASH_BYTES];
    int64_t bytes, created; /* ms since 1970 */
    size_t steps, trials, inputs, outputs, test_trials;
    bool classes, mask;
};

/* 1 to 64 letters, digits, dots, hyphens and underscores, not beginning with a dot. */
bool dataset_name_is_valid(const char *name);

/* Makes the directory where it is missing; 4096 bytes of path. */
bool dataset_directory(const char *data, char path[4096]);

/* Removes uploads that a daemon left unfinished, and the older of two files of one name, of which a kill left both. */
void dataset_uploads_clear(const char *data);

/* 1 found (with the file's path), 0 not, -1 damaged (error says how). Reads the header alone. */
int dataset_find(const char *data, const char *name, struct dataset_info *info, char path[4096],
                 char error[DATASET_ERROR_BYTES]);

/* Calls each for every dataset; how many, or -1. */
int dataset_list(const char *data, void (*each)(void *user, const struct dataset_info *info), void *user);

/*
 * Checks a file that was uploaded (every number, every class), makes it durable and the dataset of this name. False
 * with a sentence; *status is then 422, 507 or 500. The file at `upload` is gone either way. *replaced: there was one
 * of this name.
 */
bool dataset_adopt(const char *data, const char *name, const char *upload, struct dataset_info *info, bool *replaced,
                   int *status, char error[DATASET_ERROR_BYTES]);
bool dataset_remove(const char *data, const char *name);

/* The trials in memory; `memory` (freed by dataset_data_release) holds them. False with a sentence. */
struct dataset_data {
    struct task_data task;
    void *memory[8];
    int count;
};
bool dataset_data_load(const char *data, const char *name, struct dataset_data *loaded, char sha256[STORE_HASH_BYTES],
                       char error[DATASET_ERROR_BYTES]);
void dataset_data_release(struct dataset_data *loaded);

#endif
