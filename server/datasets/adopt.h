/* Jobs of version 0.1 that name their dataset only by name: each gets the version that the name has now, and holds
 * it. */
#ifndef MODPROP_SERVER_DATASETS_ADOPT_H
#define MODPROP_SERVER_DATASETS_ADOPT_H

#include "server/base/loop.h"
#include "server/datasets/catalog.h"
#include "server/store/store.h"

/*
 * At the start, before holders are counted and any job starts; committed when it returns. False with a sentence if the
 * jobs cannot be read.
 */
bool datasets_adopt_jobs(struct catalog *catalog, struct store *store, struct store_reader *reader, struct loop *loop,
                         char error[DATASET_ERROR_BYTES]);

#endif
