/* The store as a source of attempts: see source.h. Each attempt has a connection of its own. */
#include "server/executor/source.h"

static void *store_open_for(void *user, const char *id, char reason[STORE_ERROR_BYTES]) {
    (void)id;
    return store_reader_open(user, reason);
}

static void store_close_for(void *handle) {
    store_reader_close(handle);
}

static int store_document(void *handle, const char *id, char **document) {
    return store_document_read(handle, id, document);
}

static int store_history(void *handle, const char *id, char **history) {
    return store_history_read(handle, id, history);
}

static int store_checkpoint_newest(void *handle, const char *id, struct store_checkpoint *checkpoint, int *damaged) {
    return store_checkpoint_read(handle, id, -1, checkpoint, damaged);
}

static int store_check(void *handle, const char *id, int64_t iteration, char **check) {
    return store_progress_check(handle, id, iteration, check);
}

struct source source_of_store(const char *directory) {
    return (struct source){.user = (void *)(uintptr_t)directory,
                           .open = store_open_for,
                           .close = store_close_for,
                           .document = store_document,
                           .history = store_history,
                           .checkpoint = store_checkpoint_newest,
                           .check = store_check};
}
