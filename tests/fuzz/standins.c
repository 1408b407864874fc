/* Functions of the transport and the store that files under test name; no target calls them. */
#include <stdlib.h>

#include "server/http/http.h"
#include "server/routes/static_files.h"
#include "server/store/store.h"

const struct static_file static_files[] = {{0}};
const size_t static_file_count = 0;

void http_header_set(struct request *request, const char *name, const char *value) {
    (void)request;
    (void)name;
    (void)value;
    abort();
}

const char *http_header(const struct request *request, const char *name) {
    (void)request;
    (void)name;
    abort();
}

void http_reply_constant(struct request *request, int status, const char *type, const void *bytes, size_t size) {
    (void)request;
    (void)status;
    (void)type;
    (void)bytes;
    (void)size;
    abort();
}

void http_reply_empty(struct request *request, int status) {
    (void)request;
    (void)status;
    abort();
}

int store_data_holders(struct store_reader *reader, bool (*each)(void *user, const char *sha256, int64_t jobs),
                       void *user) {
    (void)reader;
    (void)each;
    (void)user;
    abort();
}
