/*
 * The catalogue of users' datasets: which versions exist, which names point at them, and which jobs hold them.
 *
 *     DIR/datasets/content/SHA256.safetensors   a version: the file as uploaded, under its digest
 *     DIR/datasets/content/SHA256.json          the result of its check (files.h)
 *     DIR/datasets/names/NAME.json              the name's versions, newest first
 *
 * A version is immutable. A name points at its newest version; a PUT makes a new version and disturbs no job. A job
 * pins the version that it was accepted with (a hold), and so does a submission while it is checked. A version without
 * a name stays as long as it is held, and is removed with the last hold. Holds are counted in memory; at a start they
 * are rebuilt from the store's jobs, and versions without a name or a hold are removed.
 *
 * Queries are answered from memory: only catalog_put, and opening a directory of version 0.1, whose files are named
 * NAME@SHA256 in DIR/datasets/user, read a dataset's data. Any thread. Two mutexes: `files` is held while files change
 * (long), `mutex` guards the tables (microseconds) and is taken inside `files`.
 */
#ifndef MODPROP_SERVER_CATALOG_H
#define MODPROP_SERVER_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "server/datasets/files.h"
#include "server/datasets/shelf.h"
#include "server/store/store.h"

#define CATALOG_OWNER_BYTES 72
#define CATALOG_VERSIONS_SHOWN 20

struct catalog;

/* 0: no bound */
struct catalog_limits {
    int64_t versions, bytes, owner_bytes;
};

/* Opens what is stored, as the owner of the directory; migrates version 0.1. NULL with a sentence. */
struct catalog *catalog_open(const char *directory, const struct catalog_limits *limits,
                             char error[DATASET_ERROR_BYTES]);
/* Loop thread, once nothing else uses it. Waits for what catalog_tick started and removes what was to be removed.
 * NULL-safe. */
void catalog_close(struct catalog *catalog, uv_loop_t *loop);
/* At the start: registers the jobs' holds and removes what no name or job uses. False if the jobs cannot be read. */
bool catalog_recover(struct catalog *catalog, struct store_reader *reader, char error[DATASET_ERROR_BYTES]);

/* ---- what there is ---- */

struct catalog_version {
    struct dataset_info info;
    int64_t created; /* ms since 1970: when it was stored under this name; 0: under none */
    int64_t holders; /* jobs, and submissions in progress */
    char owner[CATALOG_OWNER_BYTES];
};

struct catalog_dataset {
    char name[DATASET_NAME_BYTES];
    size_t count;                                            /* of versions */
    struct catalog_version versions[CATALOG_VERSIONS_SHOWN]; /* the newest of them, the current one first */
};

struct catalog_totals {
    size_t names, versions, unnamed; /* unnamed: versions that no longer have a name but are held by jobs */
    int64_t bytes, unnamed_bytes;
};

bool catalog_find(struct catalog *catalog, const char *name, struct catalog_dataset *dataset);
/* Names after `after` in order, at most `limit`; returns how many. `each` must not call the catalogue. */
size_t catalog_list(struct catalog *catalog, const char *after, size_t limit,
                    void (*each)(void *user, const struct catalog_dataset *dataset), void *user);
struct catalog_totals catalog_totals(struct catalog *catalog);
/* Whether the name has, or had, this version and it still exists. */
bool catalog_has(struct catalog *catalog, const char *name, const char *sha256);
/* Bytes that the version's data take once they are loaded; 0: there is no such version. */
int64_t catalog_memory(struct catalog *catalog, const char *sha256);
/* The version's file. */
void catalog_path(const struct catalog *catalog, const char *sha256, char path[SHELF_PATH_BYTES]);

/* ---- holding ---- */

enum catalog_result { CATALOG_HELD, CATALOG_NO_NAME, CATALOG_NO_VERSION };

/* Holds the version that `sha256` names ("": the name's newest, whose digest is then stored there). */
enum catalog_result catalog_hold(struct catalog *catalog, const char *name, char sha256[STORE_HASH_BYTES],
                                 struct dataset_info *info);
/* Holds a stored version by its digest alone, whatever name it has. False if there is none. */
bool catalog_hold_version(struct catalog *catalog, const char *sha256, struct dataset_info *info);
/* Releases one hold; what no name or job uses is removed soon, by catalog_tick. "" and unknown digests do nothing. */
void catalog_release(struct catalog *catalog, const char *sha256);

/* ---- changing ---- */

/*
 * Whether this owner may store `bytes` more: 0, or 507 with a sentence. If 0, they count as used until
 * catalog_room_return, which is called when writing them ends.
 */
int catalog_room_take(struct catalog *catalog, const char *owner, int64_t bytes, char error[DATASET_ERROR_BYTES]);
void catalog_room_return(struct catalog *catalog, int64_t bytes);
/* A new file for an upload, in the directory of the versions. Returns the descriptor, or -1 with errno. */
int catalog_upload_open(const struct catalog *catalog, char path[SHELF_PATH_BYTES]);

/*
 * Checks an uploaded file, makes it durable and the newest version of the name. The file at `upload` is gone in either
 * case. 201: the name is new; 200: it has another version or the same one again. *info then describes this file,
 * whatever has happened to the name meanwhile. Otherwise 422, 507 or 500 with a sentence.
 */
int catalog_put(struct catalog *catalog, const char *name, const char *owner, const char *upload,
                const struct dataset_patience *patience, struct dataset_info *info, char error[DATASET_ERROR_BYTES]);
/* Removes the name. Its versions stay while any job holds them. 204, 404 or 500. */
int catalog_remove(struct catalog *catalog, const char *name, char error[DATASET_ERROR_BYTES]);

/* Loop thread: removes files that are no longer in use, on libuv's pool. */
void catalog_tick(struct catalog *catalog, uv_loop_t *loop);

#endif
