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

bool data_is_here(const struct agent *agent, const char *sha256) {
    char path[OUTBOX_PATH_BYTES];
    path_of(agent, sha256, path);
    return access(path, R_OK) == 0;
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

bool data_keep(const struct agent *agent, const char *sha256, FILE *file) {
    char from[OUTBOX_PATH_BYTES], to[OUTBOX_PATH_BYTES];
    fetched_path(agent, sha256, from);
    path_of(agent, sha256, to);
    bool good = fflush(file) == 0 && digest_is(file, sha256);
    good = fclose(file) == 0 && good;
    good = good && folder_make(agent, "datasets") && folder_make(agent, "datasets/content") && rename(from, to) == 0;
    if (!good) {
        unlink(from);
    }
    return good;
}
