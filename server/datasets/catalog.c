/*
 * The catalogue of users' datasets: see catalog.h.
 *
 * Order of a PUT, each step durable before the next: the file and its checked properties under its digest, then the
 * name. A kill in between leaves a version that no name points at; the next start removes it. If making a change
 * durable fails, nothing is removed: both the new and the old version stay until a start finds out which of them the
 * disk has kept.
 *
 * Rejected: rows in the database (a dataset is a file, and its pointer should be repairable with an editor); hard links
 * (not available on some file systems).
 */
#include "server/datasets/catalog.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "server/base/holders.h"
#include "server/base/log.h"

#define RESERVE_BYTES ((int64_t)64 << 20) /* of the disk, left free by uploads; a sixteenth of a small disk */

struct version {
    struct dataset_info info; /* first member: its sha256 is the key */
    char owner[CATALOG_OWNER_BYTES];
    int64_t holders;
    int names; /* names that have it among their versions */
    int newest_of;
    struct holder *charged; /* its owner, for its bytes; NULL: nobody */
    bool kept;              /* it is not known whether its name is durable: it stays until the next start */
};

struct named {
    struct version *version;
    int64_t created;
};

struct name {
    char name[DATASET_NAME_BYTES]; /* first member: the key */
    struct named *versions;        /* newest first */
    size_t count;
};

/* Pointers to structs that start with their key, sorted by it. */
struct table {
    void **items;
    size_t count, room;
};

struct doomed {
    struct doomed *next;
    char sha256[STORE_HASH_BYTES];
};

struct catalog {
    struct shelf shelf;
    struct catalog_limits limits;
    pthread_mutex_t files, mutex;
    struct table versions, names;
    struct catalog_totals totals; /* kept up to date: they are asked for on the loop */
    struct holders owners;        /* bytes of the versions that each has put */
    struct doomed *doomed;        /* versions whose files are to be removed */
    int64_t incoming;             /* bytes that uploads have announced and not yet written */
    bool recovered;               /* until then no holder is known, and nothing is removed */
    uv_work_t work;
    bool working; /* the loop's: `work` is in progress */
};

/* ---- tables ---- */

/* The position of the first item whose key is not below this one. */
static size_t table_position(const struct table *table, const char *key) {
    size_t low = 0, high = table->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(table->items[middle], key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void *table_find(const struct table *table, const char *key) {
    size_t position = table_position(table, key);
    return position < table->count && strcmp(table->items[position], key) == 0 ? table->items[position] : NULL;
}

static bool table_add(struct table *table, void *item) {
    size_t position = table_position(table, item);
    if (table->count == table->room) {
        size_t room = table->room == 0 ? 64 : 2 * table->room;
        void **items = realloc(table->items, room * sizeof *items);
        if (items == NULL) {
            return false;
        }
        table->items = items;
        table->room = room;
    }
    memmove(table->items + position + 1, table->items + position, (table->count - position) * sizeof *table->items);
    table->items[position] = item;
    table->count++;
    return true;
}

static void table_remove(struct table *table, const char *key) {
    size_t position = table_position(table, key);
    memmove(table->items + position, table->items + position + 1, (table->count - position - 1) * sizeof *table->items);
    table->count--;
}

/* ---- versions and names (under the mutex) ---- */

static struct version *version_add(struct catalog *catalog, const struct dataset_info *info) {
    struct version *version = calloc(1, sizeof *version);
    if (version != NULL) {
        version->info = *info;
        if (!table_add(&catalog->versions, version)) {
            free(version);
            return NULL;
        }
        catalog->totals.versions++;
        catalog->totals.unnamed++;
        catalog->totals.bytes += info->bytes;
        catalog->totals.unnamed_bytes += info->bytes;
    }
    return version;
}

static void version_own(struct catalog *catalog, struct version *version, const char *owner) {
    uint64_t bytes = (uint64_t)version->info.bytes;
    holders_give(&catalog->owners, version->charged, bytes);
    snprintf(version->owner, sizeof version->owner, "%s", owner);
    version->charged = holders_take(&catalog->owners, version->owner, bytes);
}

/* One name more, or one less, has the version among its own. */
static void version_names_add(struct catalog *catalog, struct version *version, int more) {
    bool was_named = version->names > 0;
    version->names += more;
    int unnamed = (version->names == 0) - !was_named;
    catalog->totals.unnamed += (size_t)unnamed;
    catalog->totals.unnamed_bytes += unnamed * version->info.bytes;
}

/* Removes a version from a name's list. */
static void name_drop(struct catalog *catalog, struct name *name, size_t at) {
    version_names_add(catalog, name->versions[at].version, -1);
    memmove(name->versions + at, name->versions + at + 1, (name->count - at - 1) * sizeof *name->versions);
    name->count--;
}

static size_t name_place(const struct name *name, const struct version *version) {
    size_t at = 0;
    while (at < name->count && name->versions[at].version != version) {
        at++;
    }
    return at;
}

/* Removes a version that is not the newest of any name and that no job holds; its file is removed later. */
static void version_settle(struct catalog *catalog, struct version *version) {
    if (!catalog->recovered || version->holders > 0 || version->newest_of > 0 || version->kept) {
        return;
    }
    struct doomed *doomed = malloc(sizeof *doomed);
    if (doomed == NULL) {
        return; /* it stays; the next start removes it */
    }
    for (size_t i = 0; version->names > 0 && i < catalog->names.count; i++) {
        struct name *name = catalog->names.items[i];
        size_t at = name_place(name, version);
        if (at < name->count) {
            name_drop(catalog, name, at);
        }
    }
    memcpy(doomed->sha256, version->info.sha256, sizeof doomed->sha256);
    doomed->next = catalog->doomed;
    catalog->doomed = doomed;
    table_remove(&catalog->versions, version->info.sha256);
    catalog->totals.versions--;
    catalog->totals.unnamed--;
    catalog->totals.bytes -= version->info.bytes;
    catalog->totals.unnamed_bytes -= version->info.bytes;
    holders_give(&catalog->owners, version->charged, (uint64_t)version->info.bytes);
    free(version);
}

/* Puts a version at the front of a name's list; a version that was in the list moves. False if out of memory. */
static bool name_push(struct catalog *catalog, struct name *name, struct version *version, int64_t created) {
    size_t at = name_place(name, version);
    if (name->count > 0) {
        name->versions[0].version->newest_of--;
    }
    if (at < name->count) {
        memmove(name->versions + 1, name->versions, at * sizeof *name->versions);
    } else {
        struct named *versions = realloc(name->versions, (name->count + 1) * sizeof *versions);
        if (versions == NULL) {
            if (name->count > 0) {
                name->versions[0].version->newest_of++;
            }
            return false;
        }
        name->versions = versions;
        memmove(versions + 1, versions, name->count * sizeof *versions);
        name->count++;
        version_names_add(catalog, version, 1);
    }
    name->versions[0] = (struct named){version, created};
    version->newest_of++;
    return true;
}

static void name_free(struct name *name) {
    free(name->versions);
    free(name);
}

static struct name *name_add(struct catalog *catalog, const char *text) {
    struct name *name = calloc(1, sizeof *name);
    if (name != NULL) {
        snprintf(name->name, sizeof name->name, "%s", text);
        if (!table_add(&catalog->names, name)) {
            free(name);
            name = NULL;
        }
    }
    return name;
}

/* ---- opening ---- */

static bool version_open(void *user, const struct dataset_info *info) {
    return version_add(user, info) != NULL;
}

/* A name's document. Versions whose files are gone are skipped; a name whose newest version is gone is skipped. */
static bool name_open(void *user, const char *text, const json_t *document) {
    struct catalog *catalog = user;
    const json_t *list = json_object_get(document, "versions");
    const char *newest = json_string_value(json_object_get(json_array_get(list, 0), "sha256"));
    if (newest == NULL || table_find(&catalog->versions, newest) == NULL) {
        log_warning("a dataset's newest version is missing; the name is skipped", LOG_T("dataset", text),
                    LOG_T("sha256", newest));
        return true;
    }
    struct name *name = name_add(catalog, text);
    bool ok = name != NULL;
    for (size_t i = json_array_size(list); ok && i-- > 0;) {
        const json_t *one = json_array_get(list, i);
        const char *sha256 = json_string_value(json_object_get(one, "sha256")),
                   *owner = json_string_value(json_object_get(one, "owner"));
        struct version *version = sha256 == NULL ? NULL : table_find(&catalog->versions, sha256);
        if (version != NULL) {
            version_own(catalog, version, owner == NULL ? "" : owner);
            ok = name_push(catalog, name, version, json_integer_value(json_object_get(one, "created")));
        }
    }
    return ok;
}

struct catalog *catalog_open(const char *directory, const struct catalog_limits *limits,
                             char error[DATASET_ERROR_BYTES]) {
    struct catalog *catalog = calloc(1, sizeof *catalog);
    if (catalog == NULL) {
        snprintf(error, DATASET_ERROR_BYTES, "out of memory");
        return NULL;
    }
    catalog->limits = *limits;
    pthread_mutex_init(&catalog->files, NULL);
    pthread_mutex_init(&catalog->mutex, NULL);
    bool ok = shelf_open(&catalog->shelf, directory, error) && shelf_migrate(&catalog->shelf, directory, error);
    if (ok && (!shelf_versions(&catalog->shelf, version_open, catalog) ||
               !shelf_names(&catalog->shelf, name_open, catalog))) {
        snprintf(error, DATASET_ERROR_BYTES, "the datasets in %.300s/datasets cannot be read", directory);
        ok = false;
    }
    if (!ok) {
        catalog_close(catalog, NULL);
        catalog = NULL;
    }
    return catalog;
}

static bool holders_add(void *user, const char *sha256, int64_t jobs) {
    struct version *version = table_find(&((struct catalog *)user)->versions, sha256);
    if (version != NULL) {
        version->holders += jobs;
    }
    return true;
}

bool catalog_recover(struct catalog *catalog, struct store_reader *reader, char error[DATASET_ERROR_BYTES]) {
    pthread_mutex_lock(&catalog->mutex);
    bool ok = store_data_holders(reader, holders_add, catalog) >= 0;
    catalog->recovered = ok;
    for (size_t i = catalog->versions.count; ok && i-- > 0;) {
        version_settle(catalog, catalog->versions.items[i]);
    }
    pthread_mutex_unlock(&catalog->mutex);
    if (!ok) {
        snprintf(error, DATASET_ERROR_BYTES, "the jobs in the database cannot be read");
    }
    return ok;
}

/* ---- what there is ---- */

static void dataset_show(const struct name *name, struct catalog_dataset *dataset) {
    memcpy(dataset->name, name->name, sizeof dataset->name);
    dataset->count = name->count;
    for (size_t i = 0; i < name->count && i < CATALOG_VERSIONS_SHOWN; i++) {
        const struct version *version = name->versions[i].version;
        dataset->versions[i] = (struct catalog_version){
            .info = version->info, .created = name->versions[i].created, .holders = version->holders};
        memcpy(dataset->versions[i].owner, version->owner, sizeof version->owner);
    }
}

bool catalog_find(struct catalog *catalog, const char *name, struct catalog_dataset *dataset) {
    pthread_mutex_lock(&catalog->mutex);
    const struct name *found = table_find(&catalog->names, name);
    if (found != NULL) {
        dataset_show(found, dataset);
    }
    pthread_mutex_unlock(&catalog->mutex);
    return found != NULL;
}

size_t catalog_list(struct catalog *catalog, const char *after, size_t limit,
                    void (*each)(void *user, const struct catalog_dataset *dataset), void *user) {
    size_t listed = 0;
    struct catalog_dataset dataset;
    pthread_mutex_lock(&catalog->mutex);
    for (size_t i = table_position(&catalog->names, after); i < catalog->names.count && listed < limit; i++) {
        const struct name *name = catalog->names.items[i];
        if (strcmp(name->name, after) != 0) {
            dataset_show(name, &dataset);
            each(user, &dataset);
            listed++;
        }
    }
    pthread_mutex_unlock(&catalog->mutex);
    return listed;
}

struct catalog_totals catalog_totals(struct catalog *catalog) {
    pthread_mutex_lock(&catalog->mutex);
    struct catalog_totals totals = catalog->totals;
    totals.names = catalog->names.count;
    pthread_mutex_unlock(&catalog->mutex);
    return totals;
}

int64_t catalog_memory(struct catalog *catalog, const char *sha256) {
    pthread_mutex_lock(&catalog->mutex);
    const struct version *version = table_find(&catalog->versions, sha256);
    int64_t memory = version == NULL ? 0 : version->info.memory;
    pthread_mutex_unlock(&catalog->mutex);
    return memory;
}

void catalog_path(const struct catalog *catalog, const char *sha256, char path[SHELF_PATH_BYTES]) {
    shelf_path(&catalog->shelf, sha256, path);
}

/* ---- holding ---- */

static struct version *version_of(const struct name *name, const char *sha256) {
    for (size_t i = 0; i < name->count; i++) {
        if (*sha256 == '\0' || strcmp(name->versions[i].version->info.sha256, sha256) == 0) {
            return name->versions[i].version;
        }
    }
    return NULL;
}

enum catalog_result catalog_hold(struct catalog *catalog, const char *name, char sha256[STORE_HASH_BYTES],
                                 struct dataset_info *info) {
    pthread_mutex_lock(&catalog->mutex);
    const struct name *found = table_find(&catalog->names, name);
    struct version *version = found == NULL ? NULL : version_of(found, sha256);
    if (version != NULL) {
        version->holders++;
        *info = version->info;
        memcpy(sha256, version->info.sha256, STORE_HASH_BYTES);
    }
    pthread_mutex_unlock(&catalog->mutex);
    return version != NULL ? CATALOG_HELD : found == NULL ? CATALOG_NO_NAME : CATALOG_NO_VERSION;
}

bool catalog_hold_version(struct catalog *catalog, const char *sha256, struct dataset_info *info) {
    pthread_mutex_lock(&catalog->mutex);
    struct version *version = *sha256 == '\0' ? NULL : table_find(&catalog->versions, sha256);
    if (version != NULL) {
        version->holders++;
        *info = version->info;
    }
    pthread_mutex_unlock(&catalog->mutex);
    return version != NULL;
}

void catalog_release(struct catalog *catalog, const char *sha256) {
    pthread_mutex_lock(&catalog->mutex);
    struct version *version = table_find(&catalog->versions, sha256);
    if (version != NULL && version->holders > 0) {
        version->holders--;
        version_settle(catalog, version);
    }
    pthread_mutex_unlock(&catalog->mutex);
}

/* ---- room ---- */

/* Bytes that uploads may still use. */
static int64_t disk_room(const struct catalog *catalog) {
    struct statvfs disk;
    if (statvfs(catalog->shelf.content, &disk) != 0) {
        return INT64_MAX; /* the write itself will report the error */
    }
    int64_t all = (int64_t)(disk.f_blocks * disk.f_frsize), left = (int64_t)(disk.f_bavail * disk.f_frsize);
    int64_t reserve = all / 16 < RESERVE_BYTES ? all / 16 : RESERVE_BYTES;
    return left - reserve;
}

static bool bound_holds(const char *what, int64_t taken, int64_t more, int64_t most, char *error) {
    if (most == 0 || more <= most - taken) {
        return true;
    }
    snprintf(error, DATASET_ERROR_BYTES,
             "%s take %lld bytes, and %lld more are above the bound of %lld: delete datasets, and the jobs that hold "
             "old versions",
             what, (long long)taken, (long long)more, (long long)most);
    return false;
}

/* Call with the mutex held. */
static bool bounds_hold(const struct catalog *catalog, const char *owner, int64_t more, char *error) {
    int64_t all = catalog->totals.bytes, owned = (int64_t)holders_amount(&catalog->owners, owner);
    if (catalog->limits.versions > 0 && (int64_t)catalog->versions.count >= catalog->limits.versions) {
        snprintf(error, DATASET_ERROR_BYTES,
                 "there are %zu datasets, including old versions that jobs use, and no more may be stored "
                 "(--max-datasets): delete some, or the jobs that use old versions",
                 catalog->versions.count);
        return false;
    }
    return bound_holds("all datasets (--max-datasets-bytes)", all, more, catalog->limits.bytes, error) &&
           bound_holds("the datasets of this token (--max-token-datasets-bytes)", owned, more,
                       catalog->limits.owner_bytes, error);
}

int catalog_room_take(struct catalog *catalog, const char *owner, int64_t bytes, char error[DATASET_ERROR_BYTES]) {
    int64_t room = disk_room(catalog);
    pthread_mutex_lock(&catalog->mutex);
    room -= catalog->incoming;
    bool ok = bounds_hold(catalog, owner, bytes, error);
    if (ok && bytes > room) {
        snprintf(error, DATASET_ERROR_BYTES,
                 "the disk has space for %lld more bytes of datasets, and this one has %lld: free some, or delete "
                 "datasets",
                 (long long)(room < 0 ? 0 : room), (long long)bytes);
        ok = false;
    }
    catalog->incoming += ok ? bytes : 0;
    pthread_mutex_unlock(&catalog->mutex);
    return ok ? 0 : 507;
}

void catalog_room_return(struct catalog *catalog, int64_t bytes) {
    pthread_mutex_lock(&catalog->mutex);
    catalog->incoming -= bytes;
    pthread_mutex_unlock(&catalog->mutex);
}

int catalog_upload_open(const struct catalog *catalog, char path[SHELF_PATH_BYTES]) {
    return shelf_upload_open(&catalog->shelf, path);
}

/* ---- changing ---- */

static int64_t unix_milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static json_t *named_document(const char *sha256, int64_t created, const char *owner) {
    return json_pack("{s:s, s:I, s:s}", "sha256", sha256, "created", (json_int_t)created, "owner", owner);
}

/* The name's document with a new version in front of the existing ones; NULL if out of memory. Takes the mutex. */
static json_t *name_document(struct catalog *catalog, const char *name, const char *sha256, int64_t created,
                             const char *owner) {
    json_t *list = json_array();
    int failed = json_array_append_new(list, named_document(sha256, created, owner));
    pthread_mutex_lock(&catalog->mutex);
    const struct name *known = table_find(&catalog->names, name);
    for (size_t i = 0; known != NULL && i < known->count; i++) {
        const struct version *version = known->versions[i].version;
        if (strcmp(version->info.sha256, sha256) != 0) {
            failed |= json_array_append_new(
                list, named_document(version->info.sha256, known->versions[i].created, version->owner));
        }
    }
    pthread_mutex_unlock(&catalog->mutex);
    json_t *document = json_pack("{s:s, s:o}", "name", name, "versions", list);
    if (failed != 0) {
        json_decref(document);
        return NULL;
    }
    return document;
}

static int failure(int number, char *error) {
    snprintf(error, DATASET_ERROR_BYTES, "the dataset cannot be stored: %s", strerror(number));
    return number == ENOSPC || number == EDQUOT || number == EFBIG ? 507 : 500;
}

/* The state before a version is stored. */
struct standing {
    bool named, newest, stored; /* the name exists; this is its newest version; the version exists */
};

static struct standing standing_of(struct catalog *catalog, const char *name, const char *sha256) {
    pthread_mutex_lock(&catalog->mutex);
    const struct name *known = table_find(&catalog->names, name);
    struct version *version = table_find(&catalog->versions, sha256);
    struct standing standing = {.named = known != NULL,
                                .newest = known != NULL && known->versions[0].version == version,
                                .stored = version != NULL};
    if (version != NULL) {
        version->holders++; /* it must not be removed while it is being named */
    }
    pthread_mutex_unlock(&catalog->mutex);
    return standing;
}

/* Brings memory in line with the disk. False if out of memory: the next start reads the disk. */
static bool version_name(struct catalog *catalog, const char *text, const char *owner, const struct dataset_info *info,
                         int64_t created) {
    pthread_mutex_lock(&catalog->mutex);
    struct version *version = table_find(&catalog->versions, info->sha256), *before = NULL;
    struct name *name = table_find(&catalog->names, text);
    version = version != NULL ? version : version_add(catalog, info);
    name = name != NULL ? name : name_add(catalog, text);
    bool ok = version != NULL && name != NULL;
    if (ok) {
        before = name->count > 0 && name->versions[0].version != version ? name->versions[0].version : NULL;
        if (version->owner[0] == '\0') {
            version_own(catalog, version, owner);
        }
        ok = name_push(catalog, name, version, created);
    }
    if (name != NULL && name->count == 0) {
        table_remove(&catalog->names, text);
        name_free(name);
    }
    if (ok && before != NULL) {
        version_settle(catalog, before);
    }
    pthread_mutex_unlock(&catalog->mutex);
    return ok;
}

/* After a change that may or may not have reached the disk: nothing that it concerns is removed before the next
 * start. */
static void keep_all(struct catalog *catalog, const char *text, const struct dataset_info *info) {
    pthread_mutex_lock(&catalog->mutex);
    struct name *name = table_find(&catalog->names, text);
    struct version *version = table_find(&catalog->versions, info->sha256);
    version = version != NULL ? version : version_add(catalog, info);
    if (version != NULL) {
        version->kept = true;
    }
    for (size_t i = 0; name != NULL && i < name->count; i++) {
        name->versions[i].version->kept = true;
    }
    pthread_mutex_unlock(&catalog->mutex);
}

/* Call with `files` held. 0, or an errno. */
static int version_store(struct catalog *catalog, const char *name, const char *owner, const char *upload,
                         const struct dataset_info *info, bool stored) {
    int64_t created = unix_milliseconds();
    int number = stored ? 0 : shelf_version_add(&catalog->shelf, upload, info);
    if (number != 0) {
        return number;
    }
    json_t *document = name_document(catalog, name, info->sha256, created, owner);
    number = document == NULL ? ENOMEM : shelf_name_write(&catalog->shelf, name, document);
    json_decref(document);
    if (number == 0 && version_name(catalog, name, owner, info, created)) {
        return 0;
    }
    keep_all(catalog, name, info);
    return number != 0 ? number : ENOMEM;
}

/* Call with `files` held: the file is valid. */
static int version_put(struct catalog *catalog, const char *name, const char *owner, const char *upload,
                       const struct dataset_info *info, char *error) {
    struct standing standing = standing_of(catalog, name, info->sha256);
    int status = standing.named ? 200 : 201;
    if (!standing.stored) {
        pthread_mutex_lock(&catalog->mutex);
        status = bounds_hold(catalog, owner, info->bytes, error) ? status : 507;
        pthread_mutex_unlock(&catalog->mutex);
    }
    if (status < 300 && !standing.newest) {
        int number = version_store(catalog, name, owner, upload, info, standing.stored);
        status = number == 0 ? status : failure(number, error);
    }
    if (standing.stored) {
        catalog_release(catalog, info->sha256);
    }
    return status;
}

int catalog_put(struct catalog *catalog, const char *name, const char *owner, const char *upload,
                const struct dataset_patience *patience, struct dataset_info *info, char error[DATASET_ERROR_BYTES]) {
    int status = 500;
    switch (dataset_check(upload, true, patience, info, error)) {
    case DATASET_SOUND:
        pthread_mutex_lock(&catalog->files);
        status = version_put(catalog, name, owner, upload, info, error);
        pthread_mutex_unlock(&catalog->files);
        break;
    case DATASET_REFUSED:
        status = 422;
        break;
    case DATASET_UNREADABLE:
        break;
    }
    unlink(upload); /* if it did not become a version's file */
    return status;
}

/* In memory: removes the name, and its versions that no job holds. */
static void name_forget(struct catalog *catalog, const char *text) {
    pthread_mutex_lock(&catalog->mutex);
    struct name *name = table_find(&catalog->names, text);
    table_remove(&catalog->names, text);
    name->versions[0].version->newest_of--;
    while (name->count > 0) {
        struct version *version = name->versions[name->count - 1].version;
        name_drop(catalog, name, name->count - 1);
        version_settle(catalog, version);
    }
    name_free(name);
    pthread_mutex_unlock(&catalog->mutex);
}

int catalog_remove(struct catalog *catalog, const char *name, char error[DATASET_ERROR_BYTES]) {
    struct catalog_dataset dataset;
    int status = 204;
    pthread_mutex_lock(&catalog->files);
    if (!catalog_find(catalog, name, &dataset)) {
        snprintf(error, DATASET_ERROR_BYTES, "there is no dataset \"%s\"", name);
        status = 404;
    } else {
        int number = shelf_name_remove(&catalog->shelf, name);
        if (number == 0) {
            name_forget(catalog, name);
        } else {
            keep_all(catalog, name, &dataset.versions[0].info);
            status = 500;
            snprintf(error, DATASET_ERROR_BYTES, "the dataset cannot be removed: %s", strerror(number));
        }
    }
    pthread_mutex_unlock(&catalog->files);
    return status;
}

/* ---- what nobody needs any more ---- */

static struct doomed *doomed_take(struct catalog *catalog) {
    pthread_mutex_lock(&catalog->mutex);
    struct doomed *doomed = catalog->doomed;
    if (doomed != NULL) {
        catalog->doomed = doomed->next;
    }
    /* it may have been stored again since */
    bool back = doomed != NULL && table_find(&catalog->versions, doomed->sha256) != NULL;
    pthread_mutex_unlock(&catalog->mutex);
    if (back) {
        doomed->sha256[0] = '\0';
    }
    return doomed;
}

/* Call with `files` held, so that no version is stored while its file is removed. */
static void doomed_remove(struct catalog *catalog) {
    pthread_mutex_lock(&catalog->files);
    for (struct doomed *doomed; (doomed = doomed_take(catalog)) != NULL;) {
        if (doomed->sha256[0] != '\0') {
            shelf_version_remove(&catalog->shelf, doomed->sha256);
        }
        free(doomed);
    }
    pthread_mutex_unlock(&catalog->files);
}

static void doomed_work(uv_work_t *work) {
    doomed_remove(work->data);
}

static void doomed_removed(uv_work_t *work, int status) {
    (void)status;
    ((struct catalog *)work->data)->working = false;
}

void catalog_tick(struct catalog *catalog, uv_loop_t *loop) {
    pthread_mutex_lock(&catalog->mutex);
    bool any = catalog->doomed != NULL;
    pthread_mutex_unlock(&catalog->mutex);
    if (any && !catalog->working) {
        catalog->work.data = catalog;
        catalog->working = uv_queue_work(loop, &catalog->work, doomed_work, doomed_removed) == 0;
    }
}

void catalog_close(struct catalog *catalog, uv_loop_t *loop) {
    if (catalog == NULL) {
        return;
    }
    while (catalog->working) {
        uv_run(loop, UV_RUN_ONCE);
    }
    doomed_remove(catalog);
    for (size_t i = 0; i < catalog->names.count; i++) {
        name_free(catalog->names.items[i]);
    }
    for (size_t i = 0; i < catalog->versions.count; i++) {
        struct version *version = catalog->versions.items[i];
        holders_give(&catalog->owners, version->charged, (uint64_t)version->info.bytes);
        free(version);
    }
    free(catalog->names.items);
    free(catalog->versions.items);
    pthread_mutex_destroy(&catalog->files);
    pthread_mutex_destroy(&catalog->mutex);
    free(catalog);
}
