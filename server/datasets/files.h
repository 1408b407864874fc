/*
 * A user's dataset as a file: a safetensors file with inputs (T,B,I), or spikes instead of them (spikes.h); targets (B)
 * or (T,B) of classes, or (T,B,O) of values; optional mask (T,B); optional test_inputs or test_spikes_*, test_targets,
 * test_mask. Or weights, for network.initial: W (N,N),
 * Win (I,N), optional b (N), Wout (N,O), bout (O); further tensors, as GET .../weights has them, are not looked at.
 *
 * Files are read in blocks (blocks.h); their headers are layout.h's. A loaded dataset takes exactly the memory that its
 * struct dataset_info says. Any thread.
 */
#ifndef MODPROP_SERVER_DATASET_FILES_H
#define MODPROP_SERVER_DATASET_FILES_H

#include "server/datasets/blocks.h"
#include "server/datasets/info.h"

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
