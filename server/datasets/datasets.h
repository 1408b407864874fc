/*
 * Data in memory, for whoever trains on them: users' datasets, by their digest, and MNIST in its four IDX files, plain
 * or gzip, from DIR/datasets/mnist.
 *
 * Loaded when first asked for, shared by all who hold them. A user's dataset goes when the last one lets go; MNIST
 * stays. Any thread; a mutex guards the table, and loading happens under it, so that one load serves all who wait. The
 * loop thread never waits for it: it asks the catalogue (catalog.h) alone.
 */
#ifndef MODPROP_SERVER_DATASETS_H
#define MODPROP_SERVER_DATASETS_H

#include "core/tasks/task.h"

#define DATASETS_ERROR_BYTES 512

struct catalog;
struct datasets;

/*
 * NULL without memory. `directory` is the data directory, copied. `catalog` outlives it; NULL where somebody else owns
 * the directory, whose files are then only read.
 */
struct datasets *datasets_create(const char *directory, struct catalog *catalog);
/* When nobody holds data any more. NULL-safe. */
void datasets_destroy(struct datasets *datasets);
struct catalog *datasets_catalog(struct datasets *datasets);

enum datasets_result {
    DATASETS_HELD,
    DATASETS_MISSING, /* a file is missing, truncated, wrong or cannot be read */
    DATASETS_CHANGED  /* the data are there, and are not those that the task rests on */
};

/*
 * The data that this task rests on, held until datasets_release; *data is NULL for tasks that need none. Which they
 * are, task->data_sha256 says, or, for jobs of version 0.1, `sha256`; "" for MNIST: those that are there. Else a
 * sentence.
 */
enum datasets_result datasets_hold(struct datasets *datasets, const struct task_config *task, const char *sha256,
                                   const struct task_data **data, char error[DATASETS_ERROR_BYTES]);
void datasets_release(struct datasets *datasets, const struct task_data *data);
/*
 * SHA-256, in hexadecimal, of data that is held: MNIST's images and labels, training before test; of a user's dataset
 * its file. "" for NULL.
 */
void datasets_digest(struct datasets *datasets, const struct task_data *data, char digest[65]);
/* Bytes that data of this digest take in memory. Never waits for a load; 0 where nothing is known of them. */
int64_t datasets_memory(struct datasets *datasets, const char *sha256);

/*
 * Parses one IDX file's bytes: images (count, 28, 28) or labels (count), into malloc'ed *items. False with the fault.
 */
bool idx_parse(const unsigned char *bytes, size_t size, bool images, unsigned char **items, size_t *count,
               char error[DATASETS_ERROR_BYTES]);

#endif
