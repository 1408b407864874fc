/* Reading a file in blocks: see blocks.h. */
#include "server/datasets/blocks.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_MOST (8 + SAFETENSORS_HEADER_BYTES)

/* 0, or an errno. A file that ends before its size gives EIO. */
static int read_at(const struct blocks *blocks, size_t offset, unsigned char *to, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(blocks->descriptor, to + done, size - done, (off_t)(offset + done));
        if (got < 0 && errno != EINTR) {
            return errno;
        }
        if (got == 0) {
            return EIO;
        }
        done += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

int blocks_open(struct blocks *blocks, const char *path) {
    struct stat status;
    *blocks = (struct blocks){.descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (blocks->descriptor < 0 || fstat(blocks->descriptor, &status) != 0) {
        return errno;
    }
    if (!S_ISREG(status.st_mode)) {
        return EINVAL;
    }
    blocks->size = (size_t)status.st_size;
    blocks->block = malloc(BLOCK_BYTES > HEADER_MOST ? BLOCK_BYTES : HEADER_MOST);
    return blocks->block == NULL ? ENOMEM : 0;
}

void blocks_close(struct blocks *blocks) {
    free(blocks->block);
    if (blocks->descriptor >= 0) {
        close(blocks->descriptor);
    }
}

int blocks_header(struct blocks *blocks, size_t *held) {
    *held = blocks->size < HEADER_MOST ? blocks->size : HEADER_MOST;
    return read_at(blocks, 0, blocks->block, *held);
}

int tensor_walk(struct blocks *blocks, const struct safetensor *tensor, const struct dataset_patience *patience,
                take_entries *take, void *user, bool *taken) {
    size_t each = tensor_type_size(tensor->type), most = BLOCK_BYTES / each;
    for (size_t first = 0; first < tensor->count && *taken;) {
        struct safetensor part = *tensor;
        part.count = tensor->count - first < most ? tensor->count - first : most;
        part.bytes = blocks->block;
        if (patience != NULL && patience->stopped(patience->user)) {
            return ECANCELED;
        }
        int number = read_at(blocks, tensor->offset + first * each, blocks->block, part.count * each);
        if (number != 0) {
            return number;
        }
        *taken = take(user, tensor, &part, first);
        first += part.count;
    }
    return 0;
}

int tensors_walk(struct blocks *blocks, const struct safetensor *const tensors[TENSORS_ABREAST],
                 const struct dataset_patience *patience, take_abreast *take, void *user, bool *taken) {
    const size_t room = BLOCK_BYTES / TENSORS_ABREAST, most = room / sizeof(int64_t);
    for (size_t first = 0; first < tensors[0]->count && *taken;) {
        struct safetensor parts[TENSORS_ABREAST];
        size_t count = tensors[0]->count - first < most ? tensors[0]->count - first : most;
        int number = patience != NULL && patience->stopped(patience->user) ? ECANCELED : 0;
        for (int i = 0; i < TENSORS_ABREAST && number == 0; i++) {
            size_t each = tensor_type_size(tensors[i]->type);
            parts[i] = *tensors[i];
            parts[i].count = count;
            parts[i].bytes = blocks->block + (size_t)i * room;
            number = read_at(blocks, tensors[i]->offset + first * each, blocks->block + (size_t)i * room, count * each);
        }
        if (number != 0) {
            return number;
        }
        *taken = take(user, parts, first);
        first += count;
    }
    return 0;
}

int blocks_digest(struct blocks *blocks, const struct dataset_patience *patience, char hex[STORE_HASH_BYTES]) {
    struct sha256_ctx context;
    uint8_t bytes[SHA256_DIGEST_SIZE];
    sha256_init(&context);
    for (size_t at = 0; at < blocks->size; at += BLOCK_BYTES) {
        size_t size = blocks->size - at < BLOCK_BYTES ? blocks->size - at : BLOCK_BYTES;
        int number = patience != NULL && patience->stopped(patience->user) ? ECANCELED
                                                                           : read_at(blocks, at, blocks->block, size);
        if (number != 0) {
            return number;
        }
        sha256_update(&context, size, blocks->block);
    }
    sha256_digest(&context, sizeof bytes, bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    }
    return 0;
}
