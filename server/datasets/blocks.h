/*
 * A safetensors file that is read in blocks: one buffer, filled by pread, never mapped, so that a failing disk is an
 * error and not a signal. Entries of a tensor come in order, a block at a time. Any thread.
 */
#ifndef MODPROP_SERVER_DATASET_BLOCKS_H
#define MODPROP_SERVER_DATASET_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>

#include "api/safetensors.h"
#include "server/store/store.h"

#define DATASET_ERROR_BYTES 512
#define BLOCK_BYTES ((size_t)1 << 20)

/* For long operations: `stopped` is polled between blocks; NULL: it cannot be stopped. */
struct dataset_patience {
    bool (*stopped)(void *user);
    void *user;
};

struct blocks {
    int descriptor;
    size_t size;          /* of the file */
    unsigned char *block; /* BLOCK_BYTES, or as many as a header may have */
};

/* 0, or an errno. To be closed in either case. */
int blocks_open(struct blocks *blocks, const char *path);
void blocks_close(struct blocks *blocks);
/* The file's header into the buffer, *held bytes of it, perhaps with values behind. 0, or an errno. */
int blocks_header(struct blocks *blocks, size_t *held);
/* SHA-256 of the file, in hexadecimal. 0, or an errno; ECANCELED where it was stopped. */
int blocks_digest(struct blocks *blocks, const struct dataset_patience *patience, char hex[STORE_HASH_BYTES]);

/*
 * Entries [first, first + part->count) of a tensor; part->bytes holds them. False ends the pass: the file is refused.
 */
typedef bool take_entries(void *user, const struct safetensor *tensor, const struct safetensor *part, size_t first);
/*
 * Passes on the tensor's entries, one block at a time. 0, or an errno; *taken is false if `take` wants no more. Does
 * nothing if *taken is false already.
 */
int tensor_walk(struct blocks *blocks, const struct safetensor *tensor, const struct dataset_patience *patience,
                take_entries *take, void *user, bool *taken);

/* The same of several tensors with as many entries each, side by side: parts[i] of tensors[i]. */
#define TENSORS_ABREAST 3
typedef bool take_abreast(void *user, const struct safetensor parts[TENSORS_ABREAST], size_t first);
int tensors_walk(struct blocks *blocks, const struct safetensor *const tensors[TENSORS_ABREAST],
                 const struct dataset_patience *patience, take_abreast *take, void *user, bool *taken);

#endif
