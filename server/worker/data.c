/*
 * Datasets on a worker: files under their digest, in the scratch directory, laid out as in a data directory so that
 * datasets.c reads them. A file is fetched under another name, checked against its digest, and renamed into place: what
 * has the name is whole, and processes that share a scratch directory do not disturb each other. Loop thread.
 */
#include <errno.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/worker/agent.h"

static void path_of(const struct agent *agent, const char *sha256, char path[OUTBOX_PATH_BYTES]) {
    snprintf(path, OUTBOX_PATH_BYTES, "%.300s/datasets/content/%.64s.safetensors", agent->options.scratch, sha256);
}

static void fetched_path(const struct agent *agent, const char *sha256, char path[OUTBOX_PATH_BYTES]) {
    snprintf(path, OUTBOX_PATH_BYTES, "%.300s/%.64s.fetched", agent->directory, sha256);
}

/* Where the digest of the MNIST files that are here is kept. */
static void mnist_mark(const struct agent *agent, char path[OUTBOX_PATH_BYTES]) {
    snprintf(path, OUTBOX_PATH_BYTES, "%.300s/datasets/mnist/sha256", agent->options.scratch);
}

static bool mnist_is_here(const struct agent *agent, const char *sha256) {
    char path[OUTBOX_PATH_BYTES], mark[STORE_HASH_BYTES] = "";
    mnist_mark(agent, path);
    FILE *file = fopen(path, "re");
    bool read = file != NULL && fgets(mark, sizeof mark, file) != NULL;
    if (file != NULL) {
        fclose(file);
    }
    return read && strcmp(mark, sha256) == 0;
}

bool data_is_here(const struct agent *agent, const char *sha256, int64_t mnist) {
    char path[OUTBOX_PATH_BYTES];
    path_of(agent, sha256, path);
    return mnist > 0 ? mnist_is_here(agent, sha256) : access(path, R_OK) == 0;
}

FILE *data_open(const struct agent *agent, const char *sha256) {
    char path[OUTBOX_PATH_BYTES];
    fetched_path(agent, sha256, path);
    return fopen(path, "w+e");
}

static bool digest_is(FILE *file, const char *sha256) {
    struct sha256_ctx context;
    uint8_t digest[SHA256_DIGEST_SIZE];
    char buffer[65536], hex[STORE_HASH_BYTES];
    size_t size;
    sha256_init(&context);
    rewind(file);
    while ((size = fread(buffer, 1, sizeof buffer, file)) > 0) {
        sha256_update(&context, size, (const uint8_t *)buffer);
    }
    sha256_digest(&context, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++) {
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    }
    return !ferror(file) && strcmp(hex, sha256) == 0;
}

static bool folder_make(const struct agent *agent, const char *name) {
    char path[OUTBOX_PATH_BYTES];
    snprintf(path, sizeof path, "%.300s/%s", agent->options.scratch, name);
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

/* Copies `size` bytes behind a header into a file that appears whole. */
static bool part_write(const struct agent *agent, const char *name, const unsigned char *header, size_t header_size,
                       FILE *from, size_t size) {
    char path[OUTBOX_PATH_BYTES], made[OUTBOX_PATH_BYTES], buffer[65536];
    snprintf(path, sizeof path, "%.300s/datasets/mnist/%s", agent->options.scratch, name);
    snprintf(made, sizeof made, "%.300s/mnist.part", agent->directory);
    FILE *to = fopen(made, "we");
    bool good = to != NULL && fwrite(header, 1, header_size, to) == header_size;
    while (good && size > 0) {
        size_t some = fread(buffer, 1, size < sizeof buffer ? size : sizeof buffer, from);
        good = some > 0 && fwrite(buffer, 1, some, to) == some;
        size -= some;
    }
    good = to != NULL && fclose(to) == 0 && good;
    return good && rename(made, path) == 0;
}

/* The four files as they are published, from images and labels one after the other. */
static bool mnist_write(const struct agent *agent, FILE *file, int64_t training) {
    static const char *const names[2][2] = {{"train-images-idx3-ubyte", "train-labels-idx1-ubyte"},
                                            {"t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}};
    bool good = fseek(file, 0, SEEK_END) == 0;
    const long size = ftell(file), pair = 28 * 28 + 1;
    const int64_t counts[2] = {training, size / pair - training};
    rewind(file);
    good = good && size > 0 && size % pair == 0 && counts[1] > 0 && size / pair <= INT32_MAX;
    for (int i = 0; good && i < 2; i++) {
        const unsigned n = (unsigned)counts[i];
        const unsigned char images[16] = {0, 0, 8, 3, n >> 24 & 255, n >> 16 & 255, n >> 8 & 255, n & 255, 0, 0, 0, 28,
                                          0, 0, 0, 28};
        const unsigned char labels[8] = {0, 0, 8, 1, n >> 24 & 255, n >> 16 & 255, n >> 8 & 255, n & 255};
        good = part_write(agent, names[i][0], images, sizeof images, file, (size_t)n * 28 * 28) &&
               part_write(agent, names[i][1], labels, sizeof labels, file, n);
    }
    return good;
}

static bool mnist_keep(const struct agent *agent, const char *sha256, int64_t training, FILE *file) {
    char path[OUTBOX_PATH_BYTES];
    bool good = folder_make(agent, "datasets") && folder_make(agent, "datasets/mnist") &&
                mnist_write(agent, file, training);
    mnist_mark(agent, path);
    FILE *mark = good ? fopen(path, "we") : NULL;
    good = mark != NULL && fputs(sha256, mark) >= 0;
    return mark != NULL && fclose(mark) == 0 && good;
}

bool data_keep(const struct agent *agent, const char *sha256, int64_t mnist, FILE *file) {
    char from[OUTBOX_PATH_BYTES], to[OUTBOX_PATH_BYTES];
    fetched_path(agent, sha256, from);
    path_of(agent, sha256, to);
    bool good = fflush(file) == 0 && digest_is(file, sha256);
    if (good && mnist > 0) {
        good = mnist_keep(agent, sha256, mnist, file);
        unlink(from);
    }
    good = fclose(file) == 0 && good;
    if (good && mnist == 0) {
        good = folder_make(agent, "datasets") && folder_make(agent, "datasets/content") && rename(from, to) == 0;
    }
    if (!good) {
        unlink(from);
    }
    return good;
}
