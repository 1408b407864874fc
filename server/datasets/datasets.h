/*
 * Data in memory for training: users' datasets, by their digest, and MNIST in its four IDX files, plain or gzip, from
 * DIR/datasets/mnist.
 *
 * Loaded on first use, shared by all holders. A user's dataset is freed when the last holder releases it; MNIST stays.
 * Any thread; a mutex guards the table, and loading happens while it is held, so that one load serves all who wait. The
 * loop thread never waits for it: it uses only the catalogue (catalog.h).
 */
#ifndef MODPROP_SERVER_DATASETS_H
#define MODPROP_SERVER_DATASETS_H

#include "core/tasks/task.h"

#define DATASETS_ERROR_BYTES 512

struct catalog;
struct datasets;

/*
 * NULL if out of memory. `directory` is the data directory, copied. `catalog` must outlive it; NULL if another process
 * owns the directory, whose files are then only read.
 */
struct datasets *datasets_create(const char *directory, struct catalog *catalog);
/* Once no data are held. NULL-safe. */
void datasets_destroy(struct datasets *datasets);
struct catalog *datasets_catalog(struct datasets *datasets);

enum datasets_result {
    DATASETS_HELD,
    DATASETS_MISSING, /* a file is missing, truncated, wrong or cannot be read */
    DATASETS_CHANGED  /* the data exist, but are not those that the task was accepted with */
};

/*
 * The data that this task uses, held until datasets_release; *data is NULL for tasks that need none. task->data_sha256
 * identifies them, or, for jobs of version 0.1, `sha256`; "" for MNIST: the present files. Otherwise a sentence.
 */
enum datasets_result datasets_hold(struct datasets *datasets, const struct task_config *task, const char *sha256,
                                   const struct task_data **data, char error[DATASETS_ERROR_BYTES]);
void datasets_release(struct datasets *datasets, const struct task_data *data);
/*
 * SHA-256, in hexadecimal, of held data: for MNIST of the images and labels, training before test; for a user's dataset
 * of its file. "" for NULL.
 */
void datasets_digest(struct datasets *datasets, const struct task_data *data, char digest[65]);
/* Bytes that data with this digest take in memory. Never waits for a load; 0 if unknown. */
int64_t datasets_memory(struct datasets *datasets, const char *sha256);

/*
 * Parses one IDX file's bytes: images (count, 28, 28) or labels (count), into malloc'ed *items. False with the fault.
 */
bool idx_parse(const unsigned char *bytes, size_t size, bool images, unsigned char **items, size_t *count,
               char error[DATASETS_ERROR_BYTES]);

#endif
