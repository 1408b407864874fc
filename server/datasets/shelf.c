/*
 * Datasets on the disk: see shelf.h. Documents are written to a temporary file, synced and renamed, and their directory
 * is synced: after a power cut either the old or the new one is there.
 *
 * Version 0.1 had DIR/datasets/user/NAME@SHA256.safetensors. Such a file is read once (the result of its check was not
 * stored), its name is written, and then it is moved; a kill between the two leaves the file where it was, and the next
 * start does it again.
 */
#include "server/datasets/shelf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/text.h"
#include "server/base/log.h"

#define DATA ".safetensors"
#define DOCUMENT ".json"
#define DOCUMENT_MOST (1 << 20) /* bytes; a larger file is not one of ours */
#define HASH_LENGTH ((size_t)STORE_HASH_BYTES - 1)

static bool fail(char *error, const char *what, const char *path, int number) {
    snprintf(error, DATASET_ERROR_BYTES, "%s %.300s: %s", what, path, strerror(number));
    return false;
}

/* ---- single steps: 0, or an errno ---- */

static int sync_descriptor(int descriptor) {
    return fsync(descriptor) == 0 || errno == EINVAL ? 0 : errno; /* EINVAL: a file system that does not support this */
}

static int sync_path(const char *path, int flags) {
    int descriptor = open(path, flags | O_CLOEXEC);
    int number = descriptor < 0 ? errno : sync_descriptor(descriptor);
    if (descriptor >= 0) {
        close(descriptor);
    }
    return number;
}

static int sync_directory(const char *path) {
    return sync_path(path, O_RDONLY | O_DIRECTORY);
}

static int rename_path(const char *from, const char *to) {
    return rename(from, to) == 0 ? 0 : errno;
}

static int write_all(int descriptor, const char *bytes, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t written = write(descriptor, bytes + done, size - done);
        if (written < 0 && errno != EINTR) {
            return errno;
        }
        done += written > 0 ? (size_t)written : 0;
    }
    return 0;
}

/* The document becomes DIRECTORY/FILE; durable once the directory is synced. */
static int document_write(const char *directory, const char *file, const json_t *document) {
    char path[SHELF_PATH_BYTES], temporary[SHELF_PATH_BYTES];
    size_t size = 0;
    char *text = json_text(document, &size);
    if (text == NULL) {
        return ENOMEM;
    }
    snprintf(path, sizeof path, "%s/%s", directory, file);
    snprintf(temporary, sizeof temporary, "%s/.upload-XXXXXX", directory);
    int descriptor = mkostemp(temporary, O_CLOEXEC);
    int number = descriptor < 0 ? errno : write_all(descriptor, text, size);
    free(text);
    if (descriptor >= 0) {
        number = number != 0 ? number : sync_descriptor(descriptor);
        close(descriptor);
        number = number != 0 ? number : rename_path(temporary, path);
        if (number != 0) {
            unlink(temporary);
        }
    }
    return number;
}

static json_t *document_read(const char *path) {
    struct stat status;
    json_t *document = NULL;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor >= 0 && fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) &&
        status.st_size <= DOCUMENT_MOST) {
        size_t size = (size_t)status.st_size;
        char *text = malloc(size + 1);
        if (text != NULL && read(descriptor, text, size) == (ssize_t)size) {
            document = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
        }
        free(text);
    }
    if (descriptor >= 0) {
        close(descriptor);
    }
    return document;
}

/* ---- opening ---- */

static int directory_make(const char *parent, const char *path) {
    if (mkdir(path, 0700) == 0) {
        return sync_directory(parent); /* a directory is durable once its parent is */
    }
    return errno == EEXIST ? 0 : errno;
}

static void temporary_clear(const char *directory) {
    char path[SHELF_PATH_BYTES];
    DIR *entries = opendir(directory);
    for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
        if (strncmp(entry->d_name, ".upload-", 8) == 0 &&
            snprintf(path, sizeof path, "%s/%s", directory, entry->d_name) < (int)sizeof path) {
            unlink(path);
        }
    }
    if (entries != NULL) {
        closedir(entries);
    }
}

/* "NAME.json" without its suffix; false if the entry is not such a file. */
static bool stem_of(const char *file, const char *suffix, char *stem, size_t room) {
    size_t length = strlen(file), tail = strlen(suffix);
    if (length <= tail || length - tail >= room || strcmp(file + length - tail, suffix) != 0 || file[0] == '.') {
        return false;
    }
    snprintf(stem, room, "%.*s", (int)(length - tail), file);
    return true;
}

/* Removes documents without their file: a store or a removal was interrupted. */
static void orphans_clear(const struct shelf *shelf) {
    char document[SHELF_PATH_BYTES], file[SHELF_PATH_BYTES], sha256[STORE_HASH_BYTES];
    DIR *entries = opendir(shelf->content);
    for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
        if (stem_of(entry->d_name, DOCUMENT, sha256, sizeof sha256)) {
            shelf_path(shelf, sha256, file);
            snprintf(document, sizeof document, "%s/%s" DOCUMENT, shelf->content, sha256);
            if (access(file, F_OK) != 0 && errno == ENOENT) {
                unlink(document);
            }
        }
    }
    if (entries != NULL) {
        closedir(entries);
    }
}

bool shelf_open(struct shelf *shelf, const char *data, char error[DATASET_ERROR_BYTES]) {
    char parent[SHELF_PATH_BYTES - 300];
    if (snprintf(parent, sizeof parent, "%s/datasets", data) >= (int)sizeof parent) {
        return fail(error, "the data directory's path is too long:", data, ENAMETOOLONG);
    }
    snprintf(shelf->content, sizeof shelf->content, "%s/content", parent);
    snprintf(shelf->names, sizeof shelf->names, "%s/names", parent);
    int number = directory_make(data, parent);
    number = number != 0 ? number : directory_make(parent, shelf->content);
    number = number != 0 ? number : directory_make(parent, shelf->names);
    if (number != 0) {
        return fail(error, "the directory of datasets cannot be created:", parent, number);
    }
    temporary_clear(shelf->content);
    orphans_clear(shelf);
    temporary_clear(shelf->names);
    return true;
}

void shelf_path(const struct shelf *shelf, const char *sha256, char path[SHELF_PATH_BYTES]) {
    snprintf(path, SHELF_PATH_BYTES, "%s/%.64s" DATA, shelf->content, sha256);
}

int shelf_upload_open(const struct shelf *shelf, char path[SHELF_PATH_BYTES]) {
    snprintf(path, SHELF_PATH_BYTES, "%s/.upload-XXXXXX", shelf->content);
    return mkostemp(path, O_CLOEXEC);
}

/* ---- changes ---- */

int shelf_version_add(const struct shelf *shelf, const char *upload, const struct dataset_info *info) {
    char path[SHELF_PATH_BYTES], file[STORE_HASH_BYTES + 8];
    json_t *document = dataset_info_encode(info);
    snprintf(file, sizeof file, "%s" DOCUMENT, info->sha256);
    shelf_path(shelf, info->sha256, path);
    int number = document == NULL ? ENOMEM : document_write(shelf->content, file, document);
    json_decref(document);
    number = number != 0 ? number : sync_path(upload, O_RDWR);
    number = number != 0 ? number : rename_path(upload, path);
    return number != 0 ? number : sync_directory(shelf->content);
}

void shelf_version_remove(const struct shelf *shelf, const char *sha256) {
    char path[SHELF_PATH_BYTES];
    shelf_path(shelf, sha256, path);
    unlink(path);
    snprintf(path, sizeof path, "%s/%.64s" DOCUMENT, shelf->content, sha256);
    unlink(path);
}

int shelf_name_write(const struct shelf *shelf, const char *name, const json_t *document) {
    char file[DATASET_NAME_BYTES + 8];
    snprintf(file, sizeof file, "%s" DOCUMENT, name);
    int number = document_write(shelf->names, file, document);
    return number != 0 ? number : sync_directory(shelf->names);
}

int shelf_name_remove(const struct shelf *shelf, const char *name) {
    char path[SHELF_PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s" DOCUMENT, shelf->names, name);
    return unlink(path) != 0 && errno != ENOENT ? errno : sync_directory(shelf->names);
}

/* ---- reading ---- */

/* The document beside a version's file; created again if it is missing or damaged. */
static bool info_read(const struct shelf *shelf, const char *sha256, struct dataset_info *info) {
    char path[SHELF_PATH_BYTES], file[STORE_HASH_BYTES + 8], error[DATASET_ERROR_BYTES];
    snprintf(file, sizeof file, "%s" DOCUMENT, sha256);
    snprintf(path, sizeof path, "%s/%s", shelf->content, file);
    json_t *document = document_read(path);
    bool known = document != NULL && dataset_info_decode(info, document) && strcmp(info->sha256, sha256) == 0;
    json_decref(document);
    if (known) {
        return true;
    }
    shelf_path(shelf, sha256, path);
    if (dataset_check(path, false, NULL, info, error) != DATASET_SOUND || strcmp(info->sha256, sha256) != 0) {
        log_warning("a dataset's file is damaged and is skipped", LOG_T("file", path), LOG_T("reason", error));
        return false;
    }
    document = dataset_info_encode(info);
    (void)document_write(shelf->content, file, document); /* else the next start reads the file again */
    json_decref(document);
    return true;
}

bool shelf_versions(const struct shelf *shelf, bool (*each)(void *user, const struct dataset_info *info), void *user) {
    DIR *entries = opendir(shelf->content);
    bool ok = entries != NULL;
    for (struct dirent *entry; ok && (entry = readdir(entries)) != NULL;) {
        char sha256[STORE_HASH_BYTES];
        struct dataset_info info;
        if (stem_of(entry->d_name, DATA, sha256, sizeof sha256) && strlen(sha256) == HASH_LENGTH &&
            info_read(shelf, sha256, &info)) {
            ok = each(user, &info);
        }
    }
    if (entries != NULL) {
        closedir(entries);
    }
    return ok;
}

bool shelf_names(const struct shelf *shelf, bool (*each)(void *user, const char *name, const json_t *document),
                 void *user) {
    char path[SHELF_PATH_BYTES], name[DATASET_NAME_BYTES];
    DIR *entries = opendir(shelf->names);
    bool ok = entries != NULL;
    for (struct dirent *entry; ok && (entry = readdir(entries)) != NULL;) {
        if (!stem_of(entry->d_name, DOCUMENT, name, sizeof name) || !dataset_name_is_valid(name)) {
            continue;
        }
        snprintf(path, sizeof path, "%s/%.200s", shelf->names, entry->d_name);
        json_t *document = document_read(path);
        if (document == NULL) {
            log_warning("a dataset's name cannot be read and is skipped", LOG_T("file", path));
        } else {
            ok = each(user, name, document);
        }
        json_decref(document);
    }
    if (entries != NULL) {
        closedir(entries);
    }
    return ok;
}

/* ---- version 0.1 ---- */

/* Splits "NAME@SHA256.safetensors". */
static bool old_name_split(const char *file, char name[DATASET_NAME_BYTES], char sha256[STORE_HASH_BYTES]) {
    const char *at = strrchr(file, '@');
    if (at == NULL || (size_t)(at - file) >= DATASET_NAME_BYTES || !stem_of(at + 1, DATA, sha256, STORE_HASH_BYTES) ||
        strlen(sha256) != HASH_LENGTH) {
        return false;
    }
    snprintf(name, DATASET_NAME_BYTES, "%.*s", (int)(at - file), file);
    return dataset_name_is_valid(name);
}

static int64_t modified_of(const char *path) {
    struct stat status;
    return stat(path, &status) != 0 ? 0 : (int64_t)status.st_mtim.tv_sec * 1000 + status.st_mtim.tv_nsec / 1000000;
}

/* When the name's newest version was stored; 0: the name does not exist yet. */
static int64_t newest_of(const struct shelf *shelf, const char *name, const char *sha256, bool *same) {
    char path[SHELF_PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s" DOCUMENT, shelf->names, name);
    json_t *document = document_read(path);
    const json_t *first = json_array_get(json_object_get(document, "versions"), 0);
    const char *digest = json_string_value(json_object_get(first, "sha256"));
    int64_t created = json_integer_value(json_object_get(first, "created"));
    *same = digest != NULL && strcmp(digest, sha256) == 0;
    json_decref(document);
    return created;
}

/* Migrates one file of version 0.1: its name, the result of its check, then its location. 0, or an errno. */
static int old_file_move(const struct shelf *shelf, const char *path, const char *name,
                         const struct dataset_info *info) {
    bool same;
    int64_t created = modified_of(path);
    int number = 0;
    /* a kill during a replacement left two files of one name: the newer one is the dataset */
    if (newest_of(shelf, name, info->sha256, &same) < created && !same) {
        json_t *document = json_pack("{s:s, s:[{s:s, s:I, s:s}]}", "name", name, "versions", "sha256", info->sha256,
                                     "created", (json_int_t)created, "owner", "");
        number = document == NULL ? ENOMEM : shelf_name_write(shelf, name, document);
        json_decref(document);
    }
    return number != 0 ? number : shelf_version_add(shelf, path, info);
}

bool shelf_migrate(const struct shelf *shelf, const char *data, char error[DATASET_ERROR_BYTES]) {
    char directory[SHELF_PATH_BYTES - 256], path[SHELF_PATH_BYTES];
    snprintf(directory, sizeof directory, "%s/datasets/user", data);
    temporary_clear(directory);
    DIR *entries = opendir(directory);
    int number = 0;
    for (struct dirent *entry; entries != NULL && number == 0 && (entry = readdir(entries)) != NULL;) {
        char name[DATASET_NAME_BYTES], sha256[STORE_HASH_BYTES];
        struct dataset_info info;
        if (!old_name_split(entry->d_name, name, sha256)) {
            continue;
        }
        snprintf(path, sizeof path, "%s/%.200s", directory, entry->d_name);
        bool sound = dataset_check(path, false, NULL, &info, error) == DATASET_SOUND;
        if (!sound || strcmp(info.sha256, sha256) != 0) {
            log_warning("a dataset of version 0.1 is damaged and is skipped", LOG_T("file", path),
                        LOG_T("reason", sound ? "its sha256 is not the one in its name" : error));
            continue;
        }
        number = old_file_move(shelf, path, name, &info);
    }
    if (entries != NULL) {
        closedir(entries);
        (void)rmdir(directory); /* stays if something is left in it */
    }
    return number == 0 || fail(error, "a dataset of version 0.1 cannot be moved:", path, number);
}

bool dataset_path_find(const char *data, const char *sha256, char path[SHELF_PATH_BYTES]) {
    char directory[SHELF_PATH_BYTES - 256], name[DATASET_NAME_BYTES], digest[STORE_HASH_BYTES];
    bool found = snprintf(path, SHELF_PATH_BYTES, "%s/datasets/content/%.64s" DATA, data, sha256) < SHELF_PATH_BYTES &&
                 access(path, F_OK) == 0;
    DIR *entries = found || snprintf(directory, sizeof directory, "%s/datasets/user", data) >= (int)sizeof directory
                       ? NULL
                       : opendir(directory);
    for (struct dirent *entry; entries != NULL && !found && (entry = readdir(entries)) != NULL;) {
        found = old_name_split(entry->d_name, name, digest) && strcmp(digest, sha256) == 0;
        if (found) {
            snprintf(path, SHELF_PATH_BYTES, "%s/%.200s", directory, entry->d_name);
        }
    }
    if (entries != NULL) {
        closedir(entries);
    }
    return found;
}
