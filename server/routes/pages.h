/*
 * Pages of a folder, served as the dashboard's files are (static.c): the documentation that clients/docs/build made
 * (--docs DIR), at /docs/. The folder is read once, at the start, so that serving touches no disk and what changes in
 * the folder later cannot reach a reader.
 *
 * Owner: the loop thread. Nobody writes after pages_open.
 */
#ifndef MODPROP_SERVER_PAGES_H
#define MODPROP_SERVER_PAGES_H

#include "server/base/config.h"
#include "server/routes/static_files.h"

#define PAGES_URL "/docs/"
/* What a folder may hold: more of either means that it is not one of documentation. */
#define PAGES_FILES 4096
#define PAGES_BYTES ((size_t)64 << 20)

struct pages;

/*
 * Reads the folder's files of known types (by suffix; others, links and hidden ones are passed over); NAME.gz is NAME
 * as gzip. NULL with a sentence: the folder cannot be read, has no index.html, or is too large.
 */
struct pages *pages_open(const char *folder, char error[CONFIG_ERROR_BYTES]);
/* The file of a path such as /docs/start.html; /docs/ is index.html. NULL: none. `pages` may be NULL. */
const struct static_file *pages_find(const struct pages *pages, const char *path);
void pages_close(struct pages *pages); /* NULL-safe */

#endif
