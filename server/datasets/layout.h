/*
 * What a dataset's file holds, by its header alone: the tensors of each split and whether their shapes and types belong
 * together. No value is read. Any thread.
 */
#ifndef MODPROP_SERVER_DATASET_LAYOUT_H
#define MODPROP_SERVER_DATASET_LAYOUT_H

#include "server/datasets/blocks.h"
#include "server/datasets/info.h"

#define OUTPUTS_MAX 4096

enum spike_tensor { SPIKE_TRIALS, SPIKE_TIMES, SPIKE_UNITS, SPIKE_TENSORS };
_Static_assert(SPIKE_TENSORS == TENSORS_ABREAST, "a spike is read from its three tensors at once");

/* Members are NULL where the file has no such tensor. */
struct split {
    const struct safetensor *inputs; /* NULL: the inputs are spikes */
    const struct safetensor *spikes[SPIKE_TENSORS];
    const struct safetensor *targets, *mask;
    size_t shape[3]; /* steps, trials, inputs: of the inputs, or as the metadata say of spikes */
};

struct layout {
    struct safetensor tensors[SAFETENSORS_MAX];
    int count;
    struct split train, test;
    bool has_test;
    struct safetensors_metadata metadata;
    const struct safetensor *weights[5]; /* W, Win, b, Wout, bout; b NULL: none. W NULL: these are no weights */
};

/*
 * Reads the header and fills what `info` takes from it: all but digests and what depends on values. False with a
 * sentence, or with *number an errno.
 */
bool layout_read(struct blocks *blocks, bool strict, struct layout *layout, struct dataset_info *info, int *number,
                 char error[DATASET_ERROR_BYTES]);

/* Whether the targets are classes, and one a trial instead of one a step and trial. */
bool targets_are_classes(const struct safetensor *targets);
bool targets_are_per_trial(const struct safetensor *targets);

/* Bytes that a tensor takes in memory; data used in place keep their type, the rest are float32. */
size_t tensor_memory(const struct safetensor *tensor, bool as_floats);

#endif
