/*
 * What daemon and command line do alike as programs. See program.c.
 */
#ifndef MODPROP_API_PROGRAM_H
#define MODPROP_API_PROGRAM_H

#include <stddef.h>

/*
 * Call it before anything is opened. Takes the numbers 0, 1 and 2 where they were closed (`<&-`), so that no file
 * opened later gets one of them and receives what is meant for a terminal; reading and writing there go on failing with
 * EBADF. Ignores SIGXFSZ: a file that has reached the limit (ulimit -f) is an error of write(2), not the program's end.
 */
void program_begin(void);

/*
 * The bytes of a file of at most `limit`, 0-ended behind *size bytes; the caller frees it. NULL with errno (EFBIG: it
 * is longer).
 */
char *program_read_file(const char *path, size_t limit, size_t *size);

#endif
