/*
 * A user's datasets: see files.h. Files are mapped, never read whole into memory for a check. Any thread.
 */
#include "server/datasets/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/safetensors.h"

#define SUFFIX ".safetensors"
#define OUTPUTS_MAX 4096
#define LENGTH_MAX INT32_MAX

bool dataset_name_is_valid(const char *name) {
    size_t length = strlen(name);
    return length > 0 && length < DATASET_NAME_BYTES && name[0] != '.' &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") == length;
}

static bool sync_path(const char *path, int flags) {
    int descriptor = open(path, flags | O_CLOEXEC);
    bool ok = descriptor >= 0 &&
              (fsync(descriptor) == 0 || errno == EINVAL); /* EINVAL: a file system without such a thing */
    if (descriptor >= 0) {
        close(descriptor);
    }
    return ok;
}

bool dataset_directory(const char *data, char path[4096]) {
    static const char *const levels[] = {"", "/datasets", "/datasets/user"};
    char parent[4096];
    for (int i = 1; i < 3; i++) {
        if (snprintf(parent, sizeof parent, "%s%s", data, levels[i - 1]) >= (int)sizeof parent ||
            snprintf(path, 4096, "%s%s", data, levels[i]) >= 4096) {
            return false;
        }
        bool made = mkdir(path, 0700) == 0;
        /* a directory is durable once the one that holds it is */
        if (made ? !sync_path(parent, O_RDONLY | O_DIRECTORY) : errno != EEXIST) {
            return false;
        }
    }
    return true;
}

/* ---- a mapped file ---- */

struct mapped {
    const unsigned char *bytes;
    size_t size;
    int64_t modified; /* ms */
};

static bool map_file(const char *path, struct mapped *file) {
    struct stat status;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    file->bytes = NULL;
    if (descriptor >= 0 && fstat(descriptor, &status) == 0 && status.st_size > 0) {
        void *at = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
        file->bytes = at == MAP_FAILED ? NULL : at;
        file->size = (size_t)status.st_size;
        file->modified = (int64_t)status.st_mtim.tv_sec * 1000 + status.st_mtim.tv_nsec / 1000000;
    }
    if (descriptor >= 0) {
        close(descriptor);
    }
    return file->bytes != NULL;
}

static void unmap_file(struct mapped *file) {
    if (file->bytes != NULL) {
        munmap((void *)(uintptr_t)file->bytes, file->size);
        file->bytes = NULL;
    }
}

/* ---- what a file holds ---- */

struct split {
    const struct safetensor *inputs, *targets, *mask; /* NULL: none */
};

struct layout {
    struct safetensor tensors[SAFETENSORS_MAX];
    int count;
    struct split train, test;
};

static bool fail(char *error, const char *sentence) {
    snprintf(error, DATASET_ERROR_BYTES, "%s", sentence);
    return false;
}

/* "F32 (12, 30, 2)": what a tensor is. */
static const char *tensor_quote(const struct safetensor *tensor, char text[128]) {
    int used = snprintf(text, 128, "%s (", tensor_type_name(tensor->type));
    for (int i = 0; i < tensor->dimensions; i++) {
        used += snprintf(text + used, 128 - (size_t)used, "%s%zu", i == 0 ? "" : ", ", tensor->shape[i]);
    }
    snprintf(text + used, 128 - (size_t)used, ")");
    return text;
}

/* "[3, 0, 1]": where an entry stands, each index from 0. */
static const char *entry_quote(const struct safetensor *tensor, size_t entry, char text[128]) {
    size_t below = tensor->count;
    int used = snprintf(text, 128, "[");
    for (int i = 0; i < tensor->dimensions; i++) {
        below /= tensor->shape[i];
        used += snprintf(text + used, 128 - (size_t)used, "%s%zu", i == 0 ? "" : ", ",
                         entry / below % tensor->shape[i]);
    }
    snprintf(text + used, 128 - (size_t)used, "]");
    return text;
}

static bool names_are_known(const struct layout *layout, char *error) {
    static const char *const known[] = {"inputs", "targets", "mask", "test_inputs", "test_targets", "test_mask"};
    for (int i = 0; i < layout->count; i++) {
        bool found = false;
        for (size_t j = 0; j < sizeof known / sizeof known[0]; j++) {
            found = found || strcmp(layout->tensors[i].name, known[j]) == 0;
        }
        if (!found) {
            snprintf(error, DATASET_ERROR_BYTES,
                     "the tensor \"%.60s\" is not one of inputs, targets, mask, test_inputs, test_targets, test_mask",
                     layout->tensors[i].name);
            return false;
        }
    }
    return true;
}

static bool split_fits(const struct split *split, const char *prefix, struct dataset_info *info, bool first,
                       char *error) {
    const struct safetensor *x = split->inputs, *y = split->targets, *m = split->mask;
    char got[128], whole[128];
    if (x == NULL || y == NULL) {
        snprintf(error, DATASET_ERROR_BYTES, "the tensors %sinputs and %stargets are required", prefix, prefix);
        return false;
    }
    if (x->dimensions != 3 || x->count == 0 || x->shape[0] > LENGTH_MAX || x->shape[1] > LENGTH_MAX ||
        x->shape[2] > 16384) {
        snprintf(
            error, DATASET_ERROR_BYTES,
            "the tensor %sinputs must have the shape (steps, trials, inputs), none 0, at most 16384 inputs; got %s",
            prefix, tensor_quote(x, got));
        return false;
    }
    bool classes = y->dimensions == 2;
    if ((!classes && y->dimensions != 3) || y->shape[0] != x->shape[0] || y->shape[1] != x->shape[1] ||
        (classes && !safetensor_is_integer(y)) || (!classes && (y->shape[2] == 0 || y->shape[2] > OUTPUTS_MAX))) {
        snprintf(error, DATASET_ERROR_BYTES,
                 "the tensor %stargets must be integers of shape (steps, trials), classes, or numbers of shape (steps, "
                 "trials, outputs), "
                 "with the steps and trials of %sinputs, %s; got %s",
                 prefix, prefix, tensor_quote(x, whole), tensor_quote(y, got));
        return false;
    }
    if (m != NULL && (m->dimensions != 2 || m->shape[0] != x->shape[0] || m->shape[1] != x->shape[1])) {
        snprintf(error, DATASET_ERROR_BYTES,
                 "the tensor %smask must have the shape (steps, trials) of %sinputs, %s; got %s", prefix, prefix,
                 tensor_quote(x, whole), tensor_quote(m, got));
        return false;
    }
    if (first) {
        info->steps = x->shape[0];
        info->trials = x->shape[1];
        info->inputs = x->shape[2];
        info->classes = classes;
        info->mask = m != NULL;
        info->outputs = classes ? 0 : y->shape[2];
        return true;
    }
    info->test_trials = x->shape[1];
    if (x->shape[0] != info->steps || x->shape[2] != info->inputs || classes != info->classes ||
        (!classes && y->shape[2] != info->outputs)) {
        snprintf(error, DATASET_ERROR_BYTES,
                 "the test split must have the steps (%zu), inputs (%zu) and kind of targets (%s) of the training "
                 "split; got %zu, %zu and %s",
                 info->steps, info->inputs, info->classes ? "classes" : "values", x->shape[0], x->shape[2],
                 tensor_quote(y, got));
        return false;
    }
    return true;
}

static bool layout_read(const struct mapped *file, struct layout *layout, struct dataset_info *info, char *error) {
    char reason[256];
    if (!safetensors_parse(file->bytes, file->size, layout->tensors, &layout->count, reason)) {
        return fail(error, reason);
    }
    const struct safetensor *t = layout->tensors;
    int n = layout->count;
    layout->train = (struct split){safetensor_find(t, n, "inputs"), safetensor_find(t, n, "targets"),
                                   safetensor_find(t, n, "mask")};
    layout->test = (struct split){safetensor_find(t, n, "test_inputs"), safetensor_find(t, n, "test_targets"),
                                  safetensor_find(t, n, "test_mask")};
    bool has_test = layout->test.inputs != NULL || layout->test.targets != NULL || layout->test.mask != NULL;
    info->bytes = (int64_t)file->size;
    return names_are_known(layout, error) && split_fits(&layout->train, "", info, true, error) &&
           (!has_test || split_fits(&layout->test, "test_", info, false, error));
}

static bool numbers_are_finite(const struct safetensor *tensor, char *error) {
    for (size_t i = 0; i < tensor->count; i++) {
        if (!isfinite((float)safetensor_number(tensor, i))) {
            char at[128];
            snprintf(error, DATASET_ERROR_BYTES,
                     "the tensor %s must hold finite numbers of float32's range; entry %s is %g", tensor->name,
                     entry_quote(tensor, i, at), safetensor_number(tensor, i));
            return false;
        }
    }
    return true;
}

/* Every number; counts the classes into info->outputs. */
static bool split_is_sound(const struct split *split, struct dataset_info *info, char *error) {
    double sum = 0.0;
    char at[128];
    if (!numbers_are_finite(split->inputs, error)) {
        return false;
    }
    if (!info->classes && !numbers_are_finite(split->targets, error)) {
        return false;
    }
    for (size_t i = 0; info->classes && i < split->targets->count; i++) {
        double class = safetensor_number(split->targets, i);
        if (class < 0 || class >= OUTPUTS_MAX) {
            snprintf(error, DATASET_ERROR_BYTES, "the tensor %s must hold classes from 0 to %d; entry %s is %.0f",
                     split->targets->name, OUTPUTS_MAX - 1, entry_quote(split->targets, i, at), class);
            return false;
        }
        info->outputs = (size_t)class + 1 > info->outputs ? (size_t)class + 1 : info->outputs;
    }
    for (size_t i = 0; split->mask != NULL && i < split->mask->count; i++) {
        double weight = safetensor_number(split->mask, i);
        if (!(weight >= 0.0 && weight <= 1e6)) {
            snprintf(error, DATASET_ERROR_BYTES, "the tensor %s must hold numbers from 0 to 1000000; entry %s is %g",
                     split->mask->name, entry_quote(split->mask, i, at), weight);
            return false;
        }
        sum += (double)(float)weight; /* as it will be used */
    }
    if (split->mask != NULL && sum == 0.0) {
        snprintf(error, DATASET_ERROR_BYTES,
                 "the tensor %s must count at least one step; all its entries are 0 as float32", split->mask->name);
        return false;
    }
    return true;
}

/* ---- the directory ---- */

/* Splits "NAME@SHA256.safetensors". */
static bool file_name_split(const char *file, char name[DATASET_NAME_BYTES], char sha256[STORE_HASH_BYTES]) {
    const char *at = strrchr(file, '@');
    if (at == NULL || (size_t)(at - file) >= DATASET_NAME_BYTES ||
        strlen(at + 1) != STORE_HASH_BYTES - 1 + strlen(SUFFIX) || strcmp(at + STORE_HASH_BYTES, SUFFIX) != 0) {
        return false;
    }
    snprintf(name, DATASET_NAME_BYTES, "%.*s", (int)(at - file), file);
    snprintf(sha256, STORE_HASH_BYTES, "%.*s", STORE_HASH_BYTES - 1, at + 1);
    return true;
}

/* The class count of a class dataset is known only by reading it; it is told where a dataset is put or trained on. */
static bool info_read(const char *path, struct dataset_info *info, char *error) {
    struct mapped file;
    struct layout layout;
    if (!map_file(path, &file)) {
        return fail(error, "the dataset's file cannot be read");
    }
    bool ok = layout_read(&file, &layout, info, error) &&
              (!info->classes || split_is_sound(&layout.train, info, error));
    info->created = file.modified;
    unmap_file(&file);
    return ok;
}

int dataset_find(const char *data, const char *name, struct dataset_info *info, char path[4096],
                 char error[DATASET_ERROR_BYTES]) {
    char directory[4096];
    int found = 0;
    *info = (struct dataset_info){0};
    DIR *entries = dataset_directory(data, directory) ? opendir(directory) : NULL;
    for (struct dirent *entry; entries != NULL && found == 0 && (entry = readdir(entries)) != NULL;) {
        char known[DATASET_NAME_BYTES], sha256[STORE_HASH_BYTES];
        if (file_name_split(entry->d_name, known, sha256) && strcmp(known, name) == 0) {
            memcpy(info->name, known, sizeof known);
            memcpy(info->sha256, sha256, sizeof sha256);
            found = snprintf(path, 4096, "%s/%s", directory, entry->d_name) < 4096 && info_read(path, info, error) ? 1
                                                                                                                   : -1;
        }
    }
    if (entries != NULL) {
        closedir(entries);
    }
    return found;
}

int dataset_list(const char *data, void (*each)(void *user, const struct dataset_info *info), void *user) {
    char directory[4096], error[DATASET_ERROR_BYTES], path[4096];
    struct dirent **entries;
    int listed = 0, count = dataset_directory(data, directory) ? scandir(directory, &entries, NULL, alphasort) : -1;
    for (int i = 0; i < count; i++) {
        struct dataset_info info = {0};
        if (file_name_split(entries[i]->d_name, info.name, info.sha256) &&
            snprintf(path, sizeof path, "%s/%s", directory, entries[i]->d_name) < 4096 &&
            info_read(path, &info, error)) {
            each(user, &info);
            listed++;
        }
        free(entries[i]);
    }
    if (count >= 0) {
        free(entries);
    }
    return count < 0 ? -1 : listed;
}

static void digest_bytes(const struct mapped *file, char hex[STORE_HASH_BYTES]) {
    struct sha256_ctx context;
    uint8_t bytes[SHA256_DIGEST_SIZE];
    sha256_init(&context);
    sha256_update(&context, file->size, file->bytes);
    sha256_digest(&context, sizeof bytes, bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    }
}

/* Removes every file of this name but `keep` (NULL: all); how many. */
static int remove_others(const char *directory, const char *name, const char *keep) {
    int removed = 0;
    DIR *entries = opendir(directory);
    for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
        char known[DATASET_NAME_BYTES], sha256[STORE_HASH_BYTES], path[4096];
        if (file_name_split(entry->d_name, known, sha256) && strcmp(known, name) == 0 &&
            (keep == NULL || strcmp(sha256, keep) != 0) &&
            snprintf(path, sizeof path, "%s/%s", directory, entry->d_name) < 4096) {
            removed += unlink(path) == 0;
        }
    }
    if (entries != NULL) {
        closedir(entries);
    }
    return removed;
}

/* Of two files of one name, which is newer. */
static int64_t file_age(const char *directory, const char *file) {
    struct stat status;
    char path[4096];
    bool found = snprintf(path, sizeof path, "%s/%s", directory, file) < 4096 && stat(path, &status) == 0;
    return found ? (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec : INT64_MIN;
}

void dataset_uploads_clear(const char *data) {
    char directory[4096], path[4096], kept[DATASET_NAME_BYTES] = "", sha256[STORE_HASH_BYTES] = "";
    struct dirent **entries;
    int64_t kept_age = 0;
    int count = dataset_directory(data, directory) ? scandir(directory, &entries, NULL, alphasort) : -1;
    for (int i = 0; i < count; i++) {
        const char *file = entries[i]->d_name;
        char name[DATASET_NAME_BYTES], digest[STORE_HASH_BYTES];
        if (strncmp(file, ".upload-", 8) == 0 && snprintf(path, sizeof path, "%s/%s", directory, file) < 4096) {
            unlink(path);
        } else if (file_name_split(file, name, digest)) {
            /*
             * files of one name follow each other; a kill between the rename of the new one and the removal of the old
             * one leaves both
             */
            bool same = strcmp(name, kept) == 0;
            int64_t age = file_age(directory, file);
            if (!same || age > kept_age) {
                memcpy(kept, name, sizeof name);
                memcpy(sha256, digest, sizeof digest);
                kept_age = age;
            }
            if (same) {
                remove_others(directory, kept, sha256);
            }
        }
        free(entries[i]);
    }
    if (count >= 0) {
        free(entries);
    }
}

static bool upload_check(const char *upload, struct dataset_info *info, char *error) {
    struct mapped file;
    struct layout layout;
    if (!map_file(upload, &file)) {
        return fail(error, "the body must be a safetensors file; it is empty");
    }
    bool ok = layout_read(&file, &layout, info, error) && split_is_sound(&layout.train, info, error) &&
              (layout.test.inputs == NULL || split_is_sound(&layout.test, info, error));
    if (ok) {
        digest_bytes(&file, info->sha256);
    }
    info->created = file.modified;
    unmap_file(&file);
    return ok;
}

bool dataset_adopt(const char *data, const char *name, const char *upload, struct dataset_info *info, bool *replaced,
                   int *status, char error[DATASET_ERROR_BYTES]) {
    char directory[4096], path[4096 + 256];
    *info = (struct dataset_info){0};
    *status = 422;
    if (!upload_check(upload, info, error)) {
        unlink(upload);
        return false;
    }
    snprintf(info->name, sizeof info->name, "%s", name);
    *status = 500;
    bool ok = dataset_directory(data, directory);
    snprintf(path, sizeof path, "%s/%s@%s%s", directory, name, info->sha256, SUFFIX);
    ok = ok && sync_path(upload, O_RDWR) && rename(upload, path) == 0;
    if (ok) {
        /* the new one is durable before the old one goes: after a power cut one of them is there */
        ok = sync_path(directory, O_RDONLY | O_DIRECTORY);
        *replaced = remove_others(directory, name, info->sha256) > 0;
        ok = (!*replaced || sync_path(directory, O_RDONLY | O_DIRECTORY)) && ok;
    }
    if (!ok) {
        *status = errno == ENOSPC || errno == EDQUOT ? 507 : 500;
        snprintf(error, DATASET_ERROR_BYTES, "the dataset cannot be stored: %s", strerror(errno));
        unlink(upload);
    }
    return ok;
}

bool dataset_remove(const char *data, const char *name) {
    char directory[4096];
    bool removed = dataset_directory(data, directory) && remove_others(directory, name, NULL) > 0;
    return removed && sync_path(directory, O_RDONLY | O_DIRECTORY);
}

/* ---- loading ---- */

static void *take(struct dataset_data *loaded, size_t count, size_t size) {
    void *memory = calloc(count, size);
    if (memory != NULL) {
        loaded->memory[loaded->count++] = memory;
    }
    return memory;
}

static float *floats_of(struct dataset_data *loaded, const struct safetensor *tensor) {
    float *to = take(loaded, tensor->count, sizeof *to);
    for (size_t i = 0; to != NULL && i < tensor->count; i++) {
        to[i] = (float)safetensor_number(tensor, i);
    }
    return to;
}

static bool split_load(struct dataset_data *loaded, const struct split *split, bool classes, struct trial_set *set) {
    set->trials = split->inputs->shape[1];
    set->inputs = floats_of(loaded, split->inputs);
    set->mask = split->mask == NULL ? NULL : floats_of(loaded, split->mask);
    if (!classes) {
        set->values = floats_of(loaded, split->targets);
        return set->inputs != NULL && set->values != NULL && (split->mask == NULL || set->mask != NULL);
    }
    int32_t *to = take(loaded, split->targets->count, sizeof *to);
    for (size_t i = 0; to != NULL && i < split->targets->count; i++) {
        to[i] = (int32_t)safetensor_number(split->targets, i);
    }
    set->classes = to;
    return set->inputs != NULL && to != NULL && (split->mask == NULL || set->mask != NULL);
}

bool dataset_data_load(const char *data, const char *name, struct dataset_data *loaded, char sha256[STORE_HASH_BYTES],
                       char error[DATASET_ERROR_BYTES]) {
    struct dataset_info info;
    struct mapped file;
    struct layout layout;
    char path[4096], digest[STORE_HASH_BYTES];
    *loaded = (struct dataset_data){0};
    int found = dataset_find(data, name, &info, path, error);
    if (found == 0) {
        snprintf(error, DATASET_ERROR_BYTES, "there is no dataset \"%s\" (PUT /v1/datasets/%s makes one)", name, name);
    }
    if (found != 1 || !map_file(path, &file)) {
        return found == 1 ? fail(error, "the dataset's file cannot be read") : false;
    }
    digest_bytes(&file, digest);
    bool ok = strcmp(digest, info.sha256) == 0
                  ? true
                  : fail(error, "the dataset's file is damaged: its sha256 is not the one under which it was put");
    ok = ok && layout_read(&file, &layout, &info, error) && split_is_sound(&layout.train, &info, error) &&
         (layout.test.inputs == NULL || split_is_sound(&layout.test, &info, error));
    if (ok) {
        loaded->task = (struct task_data){.steps = info.steps,
                                          .inputs = info.inputs,
                                          .outputs = info.outputs,
                                          .loss = info.classes ? LOSS_CROSS_ENTROPY : LOSS_MSE};
        ok = (split_load(loaded, &layout.train, info.classes, &loaded->task.train) &&
              (layout.test.inputs == NULL || split_load(loaded, &layout.test, info.classes, &loaded->task.test))) ||
             fail(error, "the dataset does not fit into memory");
    }
    memcpy(sha256, digest, sizeof digest);
    unmap_file(&file);
    if (!ok) {
        dataset_data_release(loaded);
    }
    return ok;
}

void dataset_data_release(struct dataset_data *loaded) {
    for (int i = 0; i < loaded->count; i++) {
        free(loaded->memory[i]);
    }
    *loaded = (struct dataset_data){0};
}
