/*
 * The dashboard's files, embedded when the daemon is built (embed.py makes the table from clients/web/files.txt).
 */
#ifndef MODPROP_SERVER_STATIC_FILES_H
#define MODPROP_SERVER_STATIC_FILES_H

#include <stddef.h>

struct static_file {
    const char *url, *type;
    const char *tag, *packed_tag; /* entity tags, quoted */
    const unsigned char *plain;
    size_t plain_size;
    const unsigned char *packed; /* gzip; NULL if it saves nothing */
    size_t packed_size;
};

extern const struct static_file static_files[]; /* ends with an entry whose url is NULL */
extern const size_t static_file_count;

#endif
