/*
 * What the daemon and the command line share as programs. See program.c.
 */
#ifndef MODPROP_API_PROGRAM_H
#define MODPROP_API_PROGRAM_H

#include <stddef.h>

/*
 * Call it before anything is opened. Occupies the descriptors 0, 1 and 2 if they were closed (`<&-`), so that no file
 * opened later gets one of them and receives output meant for a terminal; reading and writing there keep failing with
 * EBADF. Ignores SIGXFSZ: a file that has reached the size limit (ulimit -f) is then an error of write(2) instead of
 * the end of the program.
 */
void program_begin(void);

/*
 * The bytes of a file of at most `limit`, followed by a 0 that *size does not count; the caller frees it. NULL with
 * errno (EFBIG: it is longer).
 */
char *program_read_file(const char *path, size_t limit, size_t *size);

#endif
