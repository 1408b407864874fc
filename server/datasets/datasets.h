/*
 * Data that tasks read from DIR/datasets: MNIST in its four IDX files, plain or gzip.
 *
 * Loaded when first asked for, shared by all jobs that hold it, kept while anyone does and until another set is asked
 * for. Any thread; a mutex guards the table, and loading happens under it, so that one load serves all who wait.
 */
#ifndef MODPROP_SERVER_DATASETS_H
#define MODPROP_SERVER_DATASETS_H

#include "core/tasks/task.h"

#define DATASETS_ERROR_BYTES 512

struct datasets;

/* NULL without memory. `directory` is the data directory, copied. */
struct datasets *datasets_create(const char *directory);
/* When nobody holds data any more. NULL-safe. */
void datasets_destroy(struct datasets *datasets);

/*
 * The data of this task's type, held until datasets_release; *data is NULL for tasks that need none. False with a
 * sentence that says which file is missing, truncated or wrong, and why.
 */
bool datasets_hold(struct datasets *datasets, const struct task_config *task, const struct task_data **data,
                   char error[DATASETS_ERROR_BYTES]);
void datasets_release(struct datasets *datasets, const struct task_data *data);
/*
 * SHA-256, in hexadecimal, of data that is held: MNIST's images and labels, training before test; of a user's dataset
 * its file. "" for NULL.
 */
void datasets_digest(struct datasets *datasets, const struct task_data *data, char digest[65]);

/*
 * Parses one IDX file's bytes: images (count, 28, 28) or labels (count), into malloc'ed *items. False with the fault.
 */
bool idx_parse(const unsigned char *bytes, size_t size, bool images, unsigned char **items, size_t *count,
               char error[DATASETS_ERROR_BYTES]);

#endif
