/*
 * Datasets on disk: see datasets.h. The IDX format: http://yann.lecun.com/exdb/mnist: a magic number (type 8,
 * dimensions), sizes, bytes; all big-endian.
 */
#include "server/datasets/datasets.h"

#include <errno.h>
#include <nettle/sha2.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "server/datasets/catalog.h"
#include "server/datasets/files.h"
#include "server/datasets/shelf.h"

#define IDX_MOST_BYTES ((size_t)256 << 20) /* protects against a gzip bomb; MNIST's largest file has 47 MB */

/* A user's dataset that is held. */
struct user_set {
    struct user_set *next;
    struct dataset_data loaded;
    char sha256[STORE_HASH_BYTES];
    int holders;
};

struct datasets {
    char *directory;
    struct catalog *catalog; /* NULL: another process owns the directory */
    struct user_set *user_sets;
    pthread_mutex_t mutex;
    struct task_data mnist;
    unsigned char *parts[4];
    char mnist_sha256[65];
    int holders;
    _Atomic int64_t mnist_bytes; /* once it is loaded */
};

static const struct {
    const char *names[2]; /* as published, and as some mirrors name it */
    bool images, test;
} mnist_files[4] = {
    {{"train-images-idx3-ubyte", "train-images.idx3-ubyte"}, true, false},
    {{"train-labels-idx1-ubyte", "train-labels.idx1-ubyte"}, false, false},
    {{"t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte"}, true, true},
    {{"t10k-labels-idx1-ubyte", "t10k-labels.idx1-ubyte"}, false, true},
};

static unsigned big_endian(const unsigned char *bytes) {
    return (unsigned)bytes[0] << 24 | (unsigned)bytes[1] << 16 | (unsigned)bytes[2] << 8 | bytes[3];
}

bool idx_parse(const unsigned char *bytes, size_t size, bool images, unsigned char **items, size_t *count,
               char error[DATASETS_ERROR_BYTES]) {
    size_t header = images ? 16 : 8, each = images ? 28 * 28 : 1;
    if (size < header) {
        snprintf(error, DATASETS_ERROR_BYTES, "is truncated: it has %zu bytes, its header alone %zu", size, header);
        return false;
    }
    unsigned magic = big_endian(bytes), wanted = images ? 0x803 : 0x801;
    if (magic != wanted) {
        snprintf(error, DATASETS_ERROR_BYTES, "is not an IDX file of %s: it begins with 0x%08x, expected 0x%08x",
                 images ? "images" : "labels", magic, wanted);
        return false;
    }
    if (images && (big_endian(bytes + 8) != 28 || big_endian(bytes + 12) != 28)) {
        snprintf(error, DATASETS_ERROR_BYTES, "has images of %u x %u pixels, expected 28 x 28", big_endian(bytes + 8),
                 big_endian(bytes + 12));
        return false;
    }
    size_t found = big_endian(bytes + 4), needed = header + found * each;
    if (found == 0 || size != needed) {
        snprintf(error, DATASETS_ERROR_BYTES, "is %s: it announces %zu %s, which take %zu bytes, and has %zu",
                 size < needed ? "truncated" : "wrong", found, images ? "images" : "labels", needed, size);
        return false;
    }
    for (size_t i = 0; !images && i < found; i++) {
        if (bytes[header + i] > 9) {
            snprintf(error, DATASETS_ERROR_BYTES, "has the label %u at position %zu; labels are digits 0 to 9",
                     bytes[header + i], i);
            return false;
        }
    }
    unsigned char *copy = malloc(found * each);
    if (copy == NULL) {
        snprintf(error, DATASETS_ERROR_BYTES, "does not fit into memory");
        return false;
    }
    memcpy(copy, bytes + header, found * each);
    *items = copy;
    *count = found;
    return true;
}

/* zlib reads plain files too. NULL with the fault in `error`. */
static unsigned char *file_inflate(const char *path, size_t *size, char *error) {
    gzFile file = gzopen(path, "rbe");
    unsigned char *bytes = NULL;
    size_t used = 0, room = 0;
    int got = 0;
    if (file == NULL) {
        snprintf(error, DATASETS_ERROR_BYTES, "cannot be opened: %s", strerror(errno));
        return NULL;
    }
    do {
        if (used == room) {
            room = room == 0 ? (size_t)16 << 20 : 2 * room;
            unsigned char *larger = room > IDX_MOST_BYTES ? NULL : realloc(bytes, room);
            if (larger == NULL) {
                snprintf(error, DATASETS_ERROR_BYTES, "is larger than %zu MiB, or does not fit into memory",
                         IDX_MOST_BYTES >> 20);
                got = -2;
                break;
            }
            bytes = larger;
        }
        got = gzread(file, bytes + used, (unsigned)(room - used));
        used += got > 0 ? (size_t)got : 0;
    } while (got > 0);
    int code = Z_OK;
    if (got == -1) {
        const char *why = gzerror(file, &code);
        snprintf(error, DATASETS_ERROR_BYTES, "cannot be read: %s", code == Z_ERRNO ? strerror(errno) : why);
    }
    /* close reports a truncated gzip stream */
    int closed = gzclose_r(file);
    if (got == 0 && closed != Z_OK) {
        snprintf(error, DATASETS_ERROR_BYTES, "is truncated: its gzip stream ends too early");
        got = -1;
    }
    if (got < 0) {
        free(bytes);
        return NULL;
    }
    *size = used;
    return bytes;
}

/* The first spelling that exists. False: `path` is the expected one. */
static bool file_find(const char *directory, int which, char path[4096]) {
    static const char *const suffixes[] = {"", ".gz"};
    for (int name = 0; name < 2; name++) {
        for (int suffix = 0; suffix < 2; suffix++) {
            snprintf(path, 4096, "%s/datasets/mnist/%s%s", directory, mnist_files[which].names[name], suffixes[suffix]);
            if (access(path, F_OK) == 0) {
                return true;
            }
        }
    }
    snprintf(path, 4096, "%s/datasets/mnist/%s", directory, mnist_files[which].names[0]);
    return false;
}

static bool file_load(struct datasets *datasets, int which, size_t *count, char *error) {
    char path[4096], fault[DATASETS_ERROR_BYTES] = "";
    size_t size = 0;
    if (!file_find(datasets->directory, which, path)) {
        snprintf(error, DATASETS_ERROR_BYTES,
                 "the MNIST file %.240s (or the same with .gz) is missing; modprop datasets fetch mnist --data DIR "
                 "downloads all four",
                 path);
        return false;
    }
    unsigned char *bytes = file_inflate(path, &size, fault);
    bool loaded = bytes != NULL &&
                  idx_parse(bytes, size, mnist_files[which].images, &datasets->parts[which], count, fault);
    free(bytes);
    if (!loaded) {
        snprintf(error, DATASETS_ERROR_BYTES, "the MNIST file %.250s %.200s", path, fault);
    }
    return loaded;
}

static void mnist_unload(struct datasets *datasets) {
    for (int i = 0; i < 4; i++) {
        free(datasets->parts[i]);
        datasets->parts[i] = NULL;
    }
    datasets->mnist = (struct task_data){0};
}

static void mnist_digest(struct datasets *datasets) {
    struct sha256_ctx context;
    uint8_t bytes[SHA256_DIGEST_SIZE];
    const struct trial_set *sets[] = {&datasets->mnist.train, &datasets->mnist.test};
    sha256_init(&context);
    for (int i = 0; i < 2; i++) {
        sha256_update(&context, sets[i]->trials * 28 * 28, sets[i]->pixels);
        sha256_update(&context, sets[i]->trials, sets[i]->labels);
    }
    sha256_digest(&context, sizeof bytes, bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        snprintf(datasets->mnist_sha256 + 2 * i, 3, "%02x", bytes[i]);
    }
}

static bool mnist_load(struct datasets *datasets, char *error) {
    size_t counts[4];
    for (int i = 0; i < 4; i++) {
        if (!file_load(datasets, i, &counts[i], error)) {
            mnist_unload(datasets);
            return false;
        }
    }
    for (int i = 0; i < 4; i += 2) {
        if (counts[i] != counts[i + 1]) {
            snprintf(error, DATASETS_ERROR_BYTES, "the MNIST %s files do not belong together: %zu images, %zu labels",
                     mnist_files[i].test ? "test" : "training", counts[i], counts[i + 1]);
            mnist_unload(datasets);
            return false;
        }
    }
    datasets->mnist.train = (struct trial_set){
        .trials = counts[0], .pixels = datasets->parts[0], .labels = datasets->parts[1]};
    datasets->mnist.test = (struct trial_set){
        .trials = counts[2], .pixels = datasets->parts[2], .labels = datasets->parts[3]};
    mnist_digest(datasets);
    atomic_store(&datasets->mnist_bytes, (int64_t)((counts[0] + counts[2]) * (28 * 28 + 1)));
    return true;
}

struct datasets *datasets_create(const char *directory, struct catalog *catalog) {
    struct datasets *datasets = calloc(1, sizeof *datasets);
    if (datasets == NULL || (datasets->directory = strdup(directory)) == NULL) {
        free(datasets);
        return NULL;
    }
    datasets->catalog = catalog;
    pthread_mutex_init(&datasets->mutex, NULL);
    return datasets;
}

void datasets_destroy(struct datasets *datasets) {
    if (datasets == NULL) {
        return;
    }
    mnist_unload(datasets);
    pthread_mutex_destroy(&datasets->mutex);
    free(datasets->directory);
    free(datasets);
}

struct catalog *datasets_catalog(struct datasets *datasets) {
    return datasets->catalog;
}

static bool path_of(struct datasets *datasets, const char *sha256, char path[SHELF_PATH_BYTES]) {
    if (datasets->catalog == NULL) {
        return dataset_path_find(datasets->directory, sha256, path);
    }
    catalog_path(datasets->catalog, sha256, path);
    return access(path, F_OK) == 0;
}

/* Call with the mutex held. */
static bool user_set_hold(struct datasets *datasets, const char *name, const char *sha256,
                          const struct task_data **data, char *error) {
    char path[SHELF_PATH_BYTES];
    for (struct user_set *set = datasets->user_sets; set != NULL; set = set->next) {
        if (strcmp(set->sha256, sha256) == 0) {
            set->holders++;
            *data = &set->loaded.task;
            return true;
        }
    }
    if (!path_of(datasets, sha256, path)) {
        snprintf(error, DATASETS_ERROR_BYTES, "the dataset \"%s\" is gone: its version %s is no longer stored", name,
                 *sha256 == '\0' ? "of then" : sha256);
        return false;
    }
    struct user_set *set = calloc(1, sizeof *set);
    if (set == NULL || !dataset_data_load(path, sha256, &set->loaded, error)) {
        if (set == NULL) {
            snprintf(error, DATASETS_ERROR_BYTES, "the dataset does not fit into memory");
        }
        free(set);
        return false;
    }
    snprintf(set->sha256, sizeof set->sha256, "%s", sha256);
    set->holders = 1;
    set->next = datasets->user_sets;
    datasets->user_sets = set;
    *data = &set->loaded.task;
    return true;
}

/* Call with the mutex held. False if the data are not a user's dataset. */
static bool user_set_release(struct datasets *datasets, const struct task_data *data) {
    for (struct user_set **link = &datasets->user_sets; *link != NULL; link = &(*link)->next) {
        struct user_set *set = *link;
        if (&set->loaded.task == data) {
            if (--set->holders == 0) {
                *link = set->next;
                dataset_data_release(&set->loaded);
                free(set);
            }
            return true;
        }
    }
    return false;
}

/* Call with the mutex held. */
static enum datasets_result mnist_hold(struct datasets *datasets, const char *sha256, const struct task_data **data,
                                       char *error) {
    if (datasets->mnist.train.trials == 0 && !mnist_load(datasets, error)) {
        return DATASETS_MISSING;
    }
    if (*sha256 != '\0' && strcmp(sha256, datasets->mnist_sha256) != 0) {
        snprintf(error, DATASETS_ERROR_BYTES,
                 "the MNIST files have changed since the job was accepted: their sha256 was %s and is %s", sha256,
                 datasets->mnist_sha256);
        return DATASETS_CHANGED;
    }
    datasets->holders++;
    *data = &datasets->mnist;
    return DATASETS_HELD;
}

enum datasets_result datasets_hold(struct datasets *datasets, const struct task_config *task, const char *sha256,
                                   const struct task_data **data, char error[DATASETS_ERROR_BYTES]) {
    enum datasets_result result = DATASETS_HELD;
    const char *wanted = task->data_sha256[0] != '\0' ? task->data_sha256 : sha256;
    *data = NULL;
    const enum task_needs needs = task_ops_of(task)->needs;
    if (needs == NEEDS_NOTHING) {
        return DATASETS_HELD;
    }
    pthread_mutex_lock(&datasets->mutex);
    if (needs == NEEDS_MNIST) {
        result = mnist_hold(datasets, wanted, data, error);
    } else if (!user_set_hold(datasets, task->dataset, wanted, data, error)) {
        result = DATASETS_MISSING;
    }
    pthread_mutex_unlock(&datasets->mutex);
    return result;
}

int64_t datasets_memory(struct datasets *datasets, const char *sha256) {
    int64_t memory = datasets->catalog == NULL ? 0 : catalog_memory(datasets->catalog, sha256);
    /* not a user's dataset: the digest is MNIST's, whose table may be locked for long by a load */
    return memory > 0 || *sha256 == '\0' ? memory : atomic_load(&datasets->mnist_bytes);
}

void datasets_release(struct datasets *datasets, const struct task_data *data) {
    if (data == NULL) {
        return;
    }
    /* kept even if no job holds it: the next job of the kind starts at once, for 55 MB */
    pthread_mutex_lock(&datasets->mutex);
    if (!user_set_release(datasets, data)) {
        datasets->holders--;
    }
    pthread_mutex_unlock(&datasets->mutex);
}

void datasets_digest(struct datasets *datasets, const struct task_data *data, char digest[65]) {
    digest[0] = '\0';
    if (data == NULL) {
        return; /* and does not wait for another thread's load */
    }
    pthread_mutex_lock(&datasets->mutex);
    for (const struct user_set *set = datasets->user_sets; set != NULL; set = set->next) {
        if (&set->loaded.task == data) {
            snprintf(digest, 65, "%s", set->sha256);
        }
    }
    if (data == &datasets->mnist) {
        snprintf(digest, 65, "%s", datasets->mnist_sha256);
    }
    pthread_mutex_unlock(&datasets->mutex);
}
