/*
 * Files from memory: the dashboard's and the documentation's (pages.h). They may load only each other
 * (Content-Security-Policy), need no token, and are revalidated by entity tag at every load, so that a new daemon never
 * serves an old page.
 */
#include <string.h>

#include "server/routes/routes.h"
#include "server/routes/static_files.h"

#define POLICY                                                                                                         \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "   \
    "form-action 'none'; "                                                                                             \
    "frame-ancestors 'none'"

bool etag_matches(const char *condition, const char *tag) {
    size_t length = strlen(tag);
    if (condition == NULL) {
        return false;
    }
    while (*condition != '\0') {
        condition += strspn(condition, ", \t");
        if (*condition == '*') {
            return true;
        }
        condition += strncmp(condition, "W/", 2) == 0 ? 2 : 0;
        if (strncmp(condition, tag, length) == 0 && strchr(", \t", condition[length]) != NULL) {
            return true; /* strchr finds the end of the text too */
        }
        condition += strcspn(condition, ",");
    }
    return false;
}

const struct static_file *static_find(const char *path) {
    for (const struct static_file *file = static_files; file->url != NULL; file++) {
        if (strcmp(file->url, path) == 0) {
            return file;
        }
    }
    return NULL;
}

void static_reply(struct request *request, const struct static_file *file) {
    bool packed = request->may_gzip && file->packed != NULL;
    const char *tag = packed ? file->packed_tag : file->tag;
    http_header_set(request, "ETag", tag);
    http_header_set(request, "Cache-Control", "no-cache");
    http_header_set(request, "Content-Security-Policy", POLICY);
    http_header_set(request, "Referrer-Policy", "no-referrer");
    if (etag_matches(http_header(request, "If-None-Match"), tag)) {
        http_reply_empty(request, 304);
        return;
    }
    if (packed) {
        http_header_set(request, "Content-Encoding", "gzip");
        http_reply_constant(request, 200, file->type, file->packed, file->packed_size);
    } else {
        http_reply_constant(request, 200, file->type, file->plain, file->plain_size);
    }
}
