/*
 * The datasets' location on the disk: the directories, names and durable changes of catalog.h, and the files of version
 * 0.1. It knows no holders and no limits. Only one thread at a time changes anything (the catalogue ensures that).
 */
#ifndef MODPROP_SERVER_SHELF_H
#define MODPROP_SERVER_SHELF_H

#include <jansson.h>
#include <stdbool.h>

#include "server/datasets/files.h"

#define SHELF_PATH_BYTES 4096

struct shelf {
    char content[SHELF_PATH_BYTES - 256], names[SHELF_PATH_BYTES - 256]; /* directories */
};

/* Creates the directories if they are missing, and removes what an unfinished change left. False with a sentence. */
bool shelf_open(struct shelf *shelf, const char *data, char error[DATASET_ERROR_BYTES]);
/* Moves the files of version 0.1 to their new places. A damaged one stays where it is, and the log says so. */
bool shelf_migrate(const struct shelf *shelf, const char *data, char error[DATASET_ERROR_BYTES]);

/* Of a version's file. */
void shelf_path(const struct shelf *shelf, const char *sha256, char path[SHELF_PATH_BYTES]);
/* A new file in the directory of the versions: the descriptor, or -1 with errno. */
int shelf_upload_open(const struct shelf *shelf, char path[SHELF_PATH_BYTES]);

/* The changes: 0 when durable, or an errno. The upload becomes the version's file. */
int shelf_version_add(const struct shelf *shelf, const char *upload, const struct dataset_info *info);
int shelf_name_write(const struct shelf *shelf, const char *name, const json_t *document);
int shelf_name_remove(const struct shelf *shelf, const char *name);
/* Not made durable: the next start removes what is left. */
void shelf_version_remove(const struct shelf *shelf, const char *sha256);

/* Calls `each` for every version, or name, that has a readable document. False if a directory cannot be read. */
bool shelf_versions(const struct shelf *shelf, bool (*each)(void *user, const struct dataset_info *info), void *user);
bool shelf_names(const struct shelf *shelf, bool (*each)(void *user, const char *name, const json_t *document),
                 void *user);

/* A version's file in a directory that another process owns, migrated or not. False: there is none. */
bool dataset_path_find(const char *data, const char *sha256, char path[SHELF_PATH_BYTES]);

#endif
